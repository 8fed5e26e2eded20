/* wallet/romix.c - scrypt for the parameters OpenSSL refuses. Source: RFC 7914. */
#include "wallet/romix.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define BLOCK_WORDS 16 /* Salsa20's 64 bytes */

static uint32_t rotate(uint32_t word, unsigned bits)
{
	return word << bits | word >> (32 - bits);
}

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*b ^= rotate(*a + *d, 7);
	*c ^= rotate(*b + *a, 9);
	*d ^= rotate(*c + *b, 13);
	*a ^= rotate(*d + *c, 18);
}

/* Salsa20/8 in place. */
static void salsa(uint32_t block[BLOCK_WORDS])
{
	uint32_t x[BLOCK_WORDS];
	int i;

	memcpy(x, block, sizeof(x));
	for (i = 0; i < 4; i++) {
		quarter(&x[0], &x[4], &x[8], &x[12]);
		quarter(&x[5], &x[9], &x[13], &x[1]);
		quarter(&x[10], &x[14], &x[2], &x[6]);
		quarter(&x[15], &x[3], &x[7], &x[11]);
		quarter(&x[0], &x[1], &x[2], &x[3]);
		quarter(&x[5], &x[6], &x[7], &x[4]);
		quarter(&x[10], &x[11], &x[8], &x[9]);
		quarter(&x[15], &x[12], &x[13], &x[14]);
	}
	for (i = 0; i < BLOCK_WORDS; i++)
		block[i] += x[i];
}

static void xor_words(uint32_t *into, const uint32_t *from, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		into[i] ^= from[i];
}

/* scryptBlockMix: 2r blocks from `in` to `out`, even ones first. */
static void mix(uint32_t *out, const uint32_t *in, uint32_t r)
{
	uint32_t x[BLOCK_WORDS];
	size_t i;

	memcpy(x, in + (2 * (size_t)r - 1) * BLOCK_WORDS, sizeof(x));
	for (i = 0; i < 2 * (size_t)r; i++) {
		xor_words(x, in + i * BLOCK_WORDS, BLOCK_WORDS);
		salsa(x);
		memcpy(out + (i / 2 + (i % 2) * r) * BLOCK_WORDS, x, sizeof(x));
	}
}

/* scryptROMix over words; table holds n rows, x and y one row each. */
static void romix(uint32_t *x, uint32_t *y, uint32_t *table, uint64_t n, uint32_t r)
{
	size_t words = (size_t)r * 2 * BLOCK_WORDS;
	uint64_t i;

	for (i = 0; i < n; i++) {
		memcpy(table + i * words, x, words * sizeof(*x));
		mix(y, x, r);
		memcpy(x, y, words * sizeof(*x));
	}
	for (i = 0; i < n; i++) {
		uint64_t row = x[words - BLOCK_WORDS] & (n - 1);

		xor_words(x, table + row * words, words);
		mix(y, x, r);
		memcpy(x, y, words * sizeof(*x));
	}
}

static void load_words(uint32_t *words, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++, bytes += 4)
		words[i] = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		    (uint32_t)bytes[3] << 24;
}

static void store_words(uint8_t *bytes, const uint32_t *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++, bytes += 4) {
		bytes[0] = (uint8_t)words[i];
		bytes[1] = (uint8_t)(words[i] >> 8);
		bytes[2] = (uint8_t)(words[i] >> 16);
		bytes[3] = (uint8_t)(words[i] >> 24);
	}
}

static bool pbkdf2_once(uint8_t *out, size_t size, const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size)
{
	return password_size <= INT32_MAX && salt_size <= INT32_MAX && size <= INT32_MAX &&
	    PKCS5_PBKDF2_HMAC(password, (int)password_size, salt, (int)salt_size, 1, EVP_sha256(),
		(int)size, out) == 1;
}

static void drop(void *memory, size_t size)
{
	if (memory != NULL)
		bytes_wipe(memory, size);
	free(memory);
}

bool romix_scrypt(uint8_t *out, size_t size, const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, uint64_t n, uint32_t r, uint32_t p)
{
	size_t row = (size_t)r * 128, table_size = row * n, input_size = row * p;
	uint32_t *table = malloc(table_size), *rows = malloc(2 * row);
	uint8_t *input = malloc(input_size);
	bool done = false;
	uint32_t i;

	if (table == NULL || rows == NULL || input == NULL)
		goto out;
	if (!pbkdf2_once(input, input_size, password, password_size, salt, salt_size))
		goto out;
	for (i = 0; i < p; i++) {
		load_words(rows, input + i * row, row / 4);
		romix(rows, rows + row / 4, table, n, r);
		store_words(input + i * row, rows, row / 4);
	}
	done = pbkdf2_once(out, size, password, password_size, input, input_size);
out:
	drop(table, table_size);
	drop(rows, 2 * row);
	drop(input, input_size);
	if (!done)
		bytes_wipe(out, size);
	return done;
}
