/* wallet/cipher.h - the ciphers and derivations of this room, by OpenSSL.
 *
 * False means that OpenSSL could not (memory) or, for cipher_gcm_open, that the
 * tag does not fit; outputs are then wiped. */
#ifndef WALLET_CIPHER_H
#define WALLET_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

#define CIPHER_KEY_SIZE   32
#define CIPHER_NONCE_SIZE 12
#define CIPHER_TAG_SIZE   16

#define CIPHER_CTR_KEY_SIZE 16
#define CIPHER_CTR_IV_SIZE  16

/* What a derivation may cost at most, whoever wrote its parameters. */
#define CIPHER_SCRYPT_BYTES_MAX  (UINT64_C(1) << 30)
#define CIPHER_SCRYPT_WORK_MAX   (UINT64_C(1) << 24) /* n * r * p: eight times geth's own */
#define CIPHER_PBKDF2_ROUNDS_MAX 10000000

struct cipher_scrypt {
	uint64_t n; /* a power of two, 2 and up */
	uint32_t r;
	uint32_t p;
};

/** AES-256-GCM; out holds size bytes. */
bool cipher_gcm_seal(uint8_t *out, uint8_t tag[CIPHER_TAG_SIZE],
    const uint8_t key[CIPHER_KEY_SIZE], const uint8_t nonce[CIPHER_NONCE_SIZE], const void *aad,
    size_t aad_size, const uint8_t *in, size_t size) MUST_CHECK;
bool cipher_gcm_open(uint8_t *out, const uint8_t tag[CIPHER_TAG_SIZE],
    const uint8_t key[CIPHER_KEY_SIZE], const uint8_t nonce[CIPHER_NONCE_SIZE], const void *aad,
    size_t aad_size, const uint8_t *in, size_t size) MUST_CHECK;

/** AES-128-CTR, both ways. */
bool cipher_ctr(uint8_t *out, const uint8_t key[CIPHER_CTR_KEY_SIZE],
    const uint8_t iv[CIPHER_CTR_IV_SIZE], const uint8_t *in, size_t size) MUST_CHECK;

/** Parameters are sane and within the bounds above. */
bool cipher_scrypt_fits(const struct cipher_scrypt *cost) MUST_CHECK;
/** cost must fit. */
bool cipher_scrypt(uint8_t out[CIPHER_KEY_SIZE], const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, const struct cipher_scrypt *cost) MUST_CHECK;
/** PBKDF2-HMAC-SHA-256; rounds 1..CIPHER_PBKDF2_ROUNDS_MAX. */
bool cipher_pbkdf2(uint8_t out[CIPHER_KEY_SIZE], const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, uint32_t rounds) MUST_CHECK;

#endif
