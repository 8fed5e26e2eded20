/* wallet/cipher.c - the ciphers and derivations of this room, by OpenSSL.
 *
 * OpenSSL wipes key schedules and derivation memory when it frees them. */
#include "wallet/cipher.h"

#include <openssl/evp.h>

#include "common/bytes.h"
#include "wallet/romix.h"

/* Sizes here are tens of bytes, so they fit OpenSSL's int. */
#define SIZE_SMALL     4096
/* scrypt's input and scratch rows, beside its table: 1 MiB. */
#define SCRATCH_BLOCKS 8192

bool cipher_gcm_seal(uint8_t *out, uint8_t tag[CIPHER_TAG_SIZE],
    const uint8_t key[CIPHER_KEY_SIZE], const uint8_t nonce[CIPHER_NONCE_SIZE], const void *aad,
    size_t aad_size, const uint8_t *in, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool sealed;
	int length;

	must(size <= SIZE_SMALL && aad_size <= SIZE_SMALL);
	sealed = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &length, aad, (int)aad_size) == 1 &&
	    EVP_EncryptUpdate(ctx, out, &length, in, (int)size) == 1 &&
	    EVP_EncryptFinal_ex(ctx, out + length, &length) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CIPHER_TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!sealed)
		bytes_wipe(out, size);
	return sealed;
}

bool cipher_gcm_open(uint8_t *out, const uint8_t tag[CIPHER_TAG_SIZE],
    const uint8_t key[CIPHER_KEY_SIZE], const uint8_t nonce[CIPHER_NONCE_SIZE], const void *aad,
    size_t aad_size, const uint8_t *in, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool opened;
	int length;

	must(size <= SIZE_SMALL && aad_size <= SIZE_SMALL);
	/* The cast: OpenSSL's ctrl takes a plain pointer, but only reads the tag. */
	opened = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &length, aad, (int)aad_size) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &length, in, (int)size) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CIPHER_TAG_SIZE, (void *)tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + length, &length) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!opened)
		bytes_wipe(out, size);
	return opened;
}

bool cipher_ctr(uint8_t *out, const uint8_t key[CIPHER_CTR_KEY_SIZE],
    const uint8_t iv[CIPHER_CTR_IV_SIZE], const uint8_t *in, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool done;
	int length;

	must(size <= SIZE_SMALL);
	done = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, key, iv) == 1 &&
	    EVP_EncryptUpdate(ctx, out, &length, in, (int)size) == 1 &&
	    EVP_EncryptFinal_ex(ctx, out + length, &length) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!done)
		bytes_wipe(out, size);
	return done;
}

bool cipher_scrypt_fits(const struct cipher_scrypt *cost)
{
	uint64_t blocks_max = CIPHER_SCRYPT_BYTES_MAX / 128;

	if (cost->n < 2 || (cost->n & (cost->n - 1)) != 0 || cost->r == 0 || cost->p == 0)
		return false;
	/* In this order nothing overflows. */
	if (cost->n > blocks_max || cost->r > blocks_max / cost->n)
		return false;
	if (cost->p > CIPHER_SCRYPT_WORK_MAX / (cost->n * cost->r))
		return false;
	return (cost->n + cost->p + 2) * cost->r <= blocks_max + SCRATCH_BLOCKS;
}

bool cipher_scrypt(uint8_t out[CIPHER_KEY_SIZE], const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, const struct cipher_scrypt *cost)
{
	must(cipher_scrypt_fits(cost));
	if (cost->r < 4 && cost->n >> (16 * cost->r) != 0)
		return romix_scrypt(out, CIPHER_KEY_SIZE, password, password_size, salt, salt_size,
		    cost->n, cost->r, cost->p);
	if (EVP_PBE_scrypt(password, password_size, salt, salt_size, cost->n, cost->r, cost->p,
		CIPHER_SCRYPT_BYTES_MAX + 128 * SCRATCH_BLOCKS, out, CIPHER_KEY_SIZE) == 1)
		return true;
	bytes_wipe(out, CIPHER_KEY_SIZE);
	return false;
}

bool cipher_pbkdf2(uint8_t out[CIPHER_KEY_SIZE], const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, uint32_t rounds)
{
	must(rounds >= 1 && rounds <= CIPHER_PBKDF2_ROUNDS_MAX);
	if (password_size <= INT32_MAX && salt_size <= SIZE_SMALL &&
	    PKCS5_PBKDF2_HMAC(password, (int)password_size, salt, (int)salt_size, (int)rounds,
		EVP_sha256(), CIPHER_KEY_SIZE, out) == 1)
		return true;
	bytes_wipe(out, CIPHER_KEY_SIZE);
	return false;
}
