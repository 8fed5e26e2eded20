/* Base64, base64url and hex: what is taken has one spelling, and comes out of its bytes again. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "tests/fuzz/fuzz.h"

typedef bool decode_fn(
    uint8_t **out, size_t *out_size, const char *text, size_t length, size_t size_max);
typedef char *encode_fn(const void *bytes, size_t size);

/* Reads as bytes exactly when size_max has room for them. */
static void check_bound(decode_fn *decode, const char *text, size_t length, size_t size)
{
	uint8_t *out = NULL;
	size_t out_size = 0;

	must(decode(&out, &out_size, text, length, size));
	must(out_size == size && out[size] == '\0');
	free(out);
	out = NULL;
	if (size > 0) {
		must(!decode(&out, &out_size, text, length, size - 1));
		must(out == NULL && out_size == size);
	}
}

static size_t without_padding(const char *text, size_t length)
{
	while (length > 0 && text[length - 1] == '=')
		length--;
	return length;
}

static void check_text(decode_fn *decode, encode_fn *encode, const char *text, size_t length)
{
	uint8_t *out = NULL;
	size_t out_size = 0, bare;
	char *again;

	if (!decode(&out, &out_size, text, length, length)) {
		must(out == NULL && out_size == 0);
		return;
	}
	must(out_size <= length / 4 * 3 + 2);
	again = encode(out, out_size);
	bare = without_padding(again, strlen(again));
	/* Padded, if at all, as it would be written. */
	must((length == bare || length == strlen(again)) && memcmp(text, again, length) == 0);
	check_bound(decode, text, length, out_size);
	free(again);
	free(out);
}

static void check_bytes(decode_fn *decode, encode_fn *encode, const uint8_t *bytes, size_t size)
{
	char *text = encode(bytes, size);
	uint8_t *out = NULL;
	size_t out_size = 0;

	must(decode(&out, &out_size, text, strlen(text), size));
	must(out_size == size && memcmp(out, bytes, size) == 0);
	free(out);
	free(text);
}

static void check_hex(const uint8_t *data, size_t size, const char *text)
{
	char *digits = must_alloc(2 * size + 3);
	uint8_t *out = must_alloc(size + 1), *guard = must_alloc(size + 1);
	size_t half;

	must(hex_decode(out, size, hex_encode_0x(digits, data, size)));
	must(memcmp(out, data, size) == 0);
	must(hex_decode(out, size, hex_encode(digits, data, size)));
	must(memcmp(out, data, size) == 0);
	memset(guard, 0xa5, size + 1);
	for (half = size / 2 > 1 ? size / 2 - 1 : 0; half <= size / 2; half++) {
		memset(out, 0xa5, size + 1);
		if (!hex_decode(out, half, text)) {
			must(memcmp(out, guard, size + 1) == 0);
			continue;
		}
		hex_encode(digits, out, half);
		must(strcasecmp(digits, text + (strlen(text) == 2 * half ? 0 : 2)) == 0);
	}
	free(guard);
	free(out);
	free(digits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = must_strndup((const char *)data, size);

	check_text(base64_decode, base64_encode, (const char *)data, size);
	check_text(base64url_decode, base64url_encode, (const char *)data, size);
	check_bytes(base64_decode, base64_encode, data, size);
	check_bytes(base64url_decode, base64url_encode, data, size);
	check_hex(data, size, text);
	free(text);
	return 0;
}
