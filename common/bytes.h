/* common/bytes.h - hex, decimals, base64, text, secrets, randomness. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

/** Lower-case hex of size bytes into text (2 * size + 1 chars); returns text. */
char *hex_encode(char *text, const void *bytes, size_t size);
/** With a leading "0x" (2 * size + 3 chars). */
char *hex_encode_0x(char *text, const void *bytes, size_t size);

/** Exactly size bytes from hex of either case; a leading "0x" is taken.
 * Returns false, out untouched, when text is NULL, has another length or other
 * digits. */
bool hex_decode(void *out, size_t size, const char *text) MUST_CHECK;

/** Room for any number, its sign and the NUL. */
#define DECIMAL_TEXT_SIZE 21
/** The digits of a number; returns text. */
char *decimal_encode(char text[DECIMAL_TEXT_SIZE], int64_t number);

/** Standard alphabet, padded, no line breaks. The caller frees the result. */
char *base64_encode(const void *bytes, size_t size);

/** Standard alphabet only, padding optional (but whole), no white space inside,
 * and no left-over bits: each value has one spelling per choice of padding.
 * On success *out is allocated (with a terminating NUL that *out_size does not
 * count) and the caller frees it. Returns false, both untouched, on bad input,
 * without memory, or when the result would be longer than size_max. */
bool base64_decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max) MUST_CHECK;

/** base64url as JWT uses it: padding is neither written nor taken; else the
 * same rules. */
char *base64url_encode(const void *bytes, size_t size);
bool base64url_decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max) MUST_CHECK;

/** How many come before the first control character (0x00 to 0x1f, 0x7f); size: there is none. */
size_t bytes_span_text(const void *bytes, size_t size);

/** Equality in time that depends on size alone. */
bool bytes_equal_ct(const void *a, const void *b, size_t size);

/** Overwrite a secret; the compiler may not drop it. */
void bytes_wipe(void *bytes, size_t size);

/** getrandom(2); aborts the process when the kernel has none to give, because
 * a predictable nonce is worse than no answer. */
void bytes_random(void *out, size_t size);

#endif
