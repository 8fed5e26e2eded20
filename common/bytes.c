/* common/bytes.c - hex, base64, secrets, randomness. */
#include "common/bytes.h"

#include <endian.h>
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

char *decimal_encode(char text[DECIMAL_TEXT_SIZE], int64_t number)
{
	/* The negation is done unsigned: INT64_MIN has no positive twin. */
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[DECIMAL_TEXT_SIZE];
	char *first = digits + sizeof digits - 1;

	*first = '\0';
	do {
		*--first = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (number < 0)
		*--first = '-';
	return memcpy(text, first, (size_t)(digits + sizeof digits - first));
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

static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 24 bits as four letters. Behind them. */
static char *put_letters(char *at, const char *alphabet, uint32_t group)
{
	at[0] = alphabet[group >> 18 & 63];
	at[1] = alphabet[group >> 12 & 63];
	at[2] = alphabet[group >> 6 & 63];
	at[3] = alphabet[group & 63];
	return at + 4;
}

static char *encode(const void *bytes, size_t size, const char *alphabet, bool padded)
{
	const uint8_t *in = bytes;
	char *text = must_alloc((size / 3 + 1) * 4 + 1), *at = text;
	uint32_t group;

	/* Two groups from eight bytes that are read at once. */
	for (; size >= 8; in += 6, size -= 6) {
		uint64_t word = be64toh(word_at(in));

		at = put_letters(at, alphabet, (uint32_t)(word >> 40));
		at = put_letters(at, alphabet, (uint32_t)(word >> 16));
	}
	for (; size >= 3; in += 3, size -= 3) {
		group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		at = put_letters(at, alphabet, group);
	}
	if (size > 0) {
		group = (uint32_t)in[0] << 16 | (size > 1 ? (uint32_t)in[1] << 8 : 0);
		at = put_letters(at, alphabet, group) - (size > 1 ? 1 : 2);
		if (size == 1 && padded)
			*at++ = '=';
		if (padded)
			*at++ = '=';
	}
	*at = '\0';
	return text;
}

/* For each byte the six bits that it stands for, and in which alphabets it does. */
#define IN_BASE64    0x40u
#define IN_BASE64URL 0x80u
#define BOTH         (IN_BASE64 | IN_BASE64URL)

static const uint8_t base64_digits[256] = {
    ['A'] = BOTH | 0, ['B'] = BOTH | 1, ['C'] = BOTH | 2, ['D'] = BOTH | 3, ['E'] = BOTH | 4,
    ['F'] = BOTH | 5, ['G'] = BOTH | 6, ['H'] = BOTH | 7, ['I'] = BOTH | 8, ['J'] = BOTH | 9,
    ['K'] = BOTH | 10, ['L'] = BOTH | 11, ['M'] = BOTH | 12, ['N'] = BOTH | 13, ['O'] = BOTH | 14,
    ['P'] = BOTH | 15, ['Q'] = BOTH | 16, ['R'] = BOTH | 17, ['S'] = BOTH | 18, ['T'] = BOTH | 19,
    ['U'] = BOTH | 20, ['V'] = BOTH | 21, ['W'] = BOTH | 22, ['X'] = BOTH | 23, ['Y'] = BOTH | 24,
    ['Z'] = BOTH | 25, ['a'] = BOTH | 26, ['b'] = BOTH | 27, ['c'] = BOTH | 28, ['d'] = BOTH | 29,
    ['e'] = BOTH | 30, ['f'] = BOTH | 31, ['g'] = BOTH | 32, ['h'] = BOTH | 33, ['i'] = BOTH | 34,
    ['j'] = BOTH | 35, ['k'] = BOTH | 36, ['l'] = BOTH | 37, ['m'] = BOTH | 38, ['n'] = BOTH | 39,
    ['o'] = BOTH | 40, ['p'] = BOTH | 41, ['q'] = BOTH | 42, ['r'] = BOTH | 43, ['s'] = BOTH | 44,
    ['t'] = BOTH | 45, ['u'] = BOTH | 46, ['v'] = BOTH | 47, ['w'] = BOTH | 48, ['x'] = BOTH | 49,
    ['y'] = BOTH | 50, ['z'] = BOTH | 51, ['0'] = BOTH | 52, ['1'] = BOTH | 53, ['2'] = BOTH | 54,
    ['3'] = BOTH | 55, ['4'] = BOTH | 56, ['5'] = BOTH | 57, ['6'] = BOTH | 58, ['7'] = BOTH | 59,
    ['8'] = BOTH | 60, ['9'] = BOTH | 61,
    ['+'] = IN_BASE64 | 62, ['/'] = IN_BASE64 | 63,
    ['-'] = IN_BASE64URL | 62, ['_'] = IN_BASE64URL | 63,
};

/* Four letters as 24 bits; *alphabets loses those that one of them is not in. */
static unsigned take_letters(const char letters[4], unsigned *alphabets)
{
	unsigned a = base64_digits[(uint8_t)letters[0]], b = base64_digits[(uint8_t)letters[1]];
	unsigned c = base64_digits[(uint8_t)letters[2]], d = base64_digits[(uint8_t)letters[3]];

	*alphabets &= a & b & c & d;
	return (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
}

/* text is without padding from here on. */
static bool decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max, unsigned alphabet)
{
	size_t size = length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0), left = length % 4;
	unsigned alphabets = alphabet, group;
	uint8_t *bytes, *at;

	if (left == 1 || size > size_max)
		return false;
	bytes = malloc(size + 1);
	if (bytes == NULL)
		return false;
	at = bytes;
	for (const char *end = text + (length - left); text < end; text += 4) {
		group = take_letters(text, &alphabets);
		*at++ = (uint8_t)(group >> 16);
		*at++ = (uint8_t)(group >> 8);
		*at++ = (uint8_t)group;
	}
	if (left > 0) {
		char last[4] = {'A', 'A', 'A', 'A'}; /* no bits */

		memcpy(last, text, left);
		group = take_letters(last, &alphabets);
		*at++ = (uint8_t)(group >> 16);
		if (left > 2)
			*at++ = (uint8_t)(group >> 8);
		/* Left-over bits that are not zero would give one value two spellings. */
		if ((left > 2 ? group & 0xff : group & 0xffff) != 0)
			alphabets = 0;
	}
	if (alphabets != alphabet) {
		bytes_wipe(bytes, size);
		free(bytes);
		return false;
	}
	must((size_t)(at - bytes) == size);
	*at = '\0';
	*out = bytes;
	*out_size = size;
	return true;
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
	return decode(out, out_size, text, length, size_max, IN_BASE64);
}

char *base64url_encode(const void *bytes, size_t size)
{
	return encode(bytes, size, base64url_alphabet, false);
}

bool base64url_decode(uint8_t **out, size_t *out_size, const char *text, size_t length,
    size_t size_max)
{
	return decode(out, out_size, text, length, size_max, IN_BASE64URL);
}

static bool is_control(uint8_t byte)
{
	return byte < 0x20 || byte == 0x7f;
}

/* All of them are looked at, whatever is found, which compilers then do at once. */
#define BLOCK_SIZE 32u

static bool block_has_control(const uint8_t bytes[BLOCK_SIZE])
{
	uint8_t found = 0;

	for (size_t i = 0; i < BLOCK_SIZE; i++)
		found |= is_control(bytes[i]);
	return found != 0;
}

/* Eight bytes, the first of them lowest: the top bit of each that is a control character. Exact up
 * to the lowest that is set: a borrow reaches the byte above only from one that counts itself. */
static uint64_t controls(uint64_t word)
{
	const uint64_t ones = UINT64_MAX / 0xff, tops = ones << 7;
	uint64_t del = word ^ ones * 0x7f;

	return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
}

size_t bytes_span_text(const void *bytes, size_t size)
{
	const uint8_t *at = bytes, *end = at + size;

	while ((size_t)(end - at) >= BLOCK_SIZE && !block_has_control(at))
		at += BLOCK_SIZE;
	for (; end - at >= 8; at += 8) {
		uint64_t found = controls(le64toh(word_at(at)));

		if (found != 0)
			return (size_t)(at - (const uint8_t *)bytes) +
			       (size_t)__builtin_ctzll(found) / 8;
	}
	while (at < end && !is_control(*at))
		at++;
	return (size_t)(at - (const uint8_t *)bytes);
}

bool bytes_equal_ct(const void *a, const void *b, size_t size)
{
	const uint8_t *left = a, *right = b;
	volatile uint64_t difference = 0; /* no compiler may stop at the first one */
	size_t i = 0;

	for (; size - i >= 8; i += 8)
		difference |= word_at(left + i) ^ word_at(right + i);
	for (; i < size; i++)
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
