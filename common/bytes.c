/* common/bytes.c - hex, base64, secrets, randomness. */
#include "common/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

char *hex_encode(char *text, const void *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = bytes;
	size_t i;

	for (i = 0; i < size; i++) {
		text[2 * i] = digits[in[i] >> 4];
		text[2 * i + 1] = digits[in[i] & 15];
	}
	text[2 * size] = '\0';
	return text;
}

char *hex_encode_0x(char *text, const void *bytes, size_t size)
{
	text[0] = '0';
	text[1] = 'x';
	hex_encode(text + 2, bytes, size);
	return text;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(void *out, size_t size, const char *text)
{
	uint8_t *bytes = out;
	size_t i;

	if (text == NULL)
		return false;
	if (text[0] == '0' && text[1] == 'x')
		text += 2;
	if (strlen(text) != 2 * size)
		return false;
	for (i = 0; i < 2 * size; i++) {
		if (hex_digit(text[i]) < 0)
			return false;
	}
	for (i = 0; i < size; i++)
		bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return true;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const void *bytes, size_t size, const char *alphabet, bool padded)
{
	const uint8_t *in = bytes;
	char *text = must_alloc((size / 3 + 1) * 4 + 1);
	size_t i, length = 0;

	for (i = 0; i < size; i += 3) {
		size_t left = size - i;
		unsigned group = (unsigned)in[i] << 16;

		if (left > 1)
			group |= (unsigned)in[i + 1] << 8;
		if (left > 2)
			group |= in[i + 2];
		text[length++] = alphabet[group >> 18];
		text[length++] = alphabet[group >> 12 & 63];
		if (left > 1)
			text[length++] = alphabet[group >> 6 & 63];
		else if (padded)
			text[length++] = '=';
		if (left > 2)
			text[length++] = alphabet[group & 63];
		else if (padded)
			text[length++] = '=';
	}
	text[length] = '\0';
	return text;
}

/* The six bits of a letter, or -1. c62 and c63 are the two letters in which
 * the alphabets differ. */
static int base64_digit(char c, char c62, char c63)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == c62)
		return 62;
	if (c == c63)
		return 63;
	return -1;
}

/* text is without padding from here on. */
static bool decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max, const char *alphabet)
{
	size_t size, i, filled = 0;
	unsigned group = 0, bits = 0;
	uint8_t *bytes;

	if (length % 4 == 1)
		return false;
	size = length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0);
	if (size > size_max)
		return false;
	bytes = malloc(size + 1);
	if (bytes == NULL)
		return false;
	for (i = 0; i < length; i++) {
		int digit = base64_digit(text[i], alphabet[62], alphabet[63]);

		if (digit < 0)
			goto bad;
		group = group << 6 | (unsigned)digit;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[filled++] = (uint8_t)(group >> bits);
			group &= (1u << bits) - 1;
		}
	}
	/* Left-over bits that are not zero would give one value two spellings. */
	if (group != 0)
		goto bad;
	must(filled == size);
	bytes[size] = '\0';
	*out = bytes;
	*out_size = size;
	return true;
bad:
	bytes_wipe(bytes, filled);
	free(bytes);
	return false;
}

char *base64_encode(const void *bytes, size_t size)
{
	return encode(bytes, size, base64_alphabet, true);
}

bool base64_decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max)
{
	if (length > 0 && length % 4 == 0 && text[length - 1] == '=')
		length -= text[length - 2] == '=' ? 2 : 1;
	return decode(out, out_size, text, length, size_max, base64_alphabet);
}

char *base64url_encode(const void *bytes, size_t size)
{
	return encode(bytes, size, base64url_alphabet, false);
}

bool base64url_decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max)
{
	return decode(out, out_size, text, length, size_max, base64url_alphabet);
}

bool bytes_equal_ct(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *left = a, *right = b;
	uint8_t difference = 0;
	size_t i;

	for (i = 0; i < size; i++)
		difference |= left[i] ^ right[i];
	return difference == 0;
}

void bytes_wipe(void *bytes, size_t size)
{
	explicit_bzero(bytes, size);
}

void bytes_random(void *out, size_t size)
{
	uint8_t *bytes = out;
	size_t filled = 0;

	while (filled < size) {
		ssize_t got = getrandom(bytes + filled, size - filled, 0);

		if (got < 0 && errno == EINTR)
			continue;
		must(got > 0);
		filled += (size_t)got;
	}
}
