/* common/digest.h - SHA-256 (OpenSSL) and Keccak-256 (our own, keccak.c:
 * Debian 12's OpenSSL has SHA-3 but not the Keccak padding Ethereum uses). */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGEST_SIZE 32

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/** Not for secrets: it stops at the first difference. */
static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

/** SHA-256, one piece or streamed. sha256_free accepts NULL inside. */
struct digest sha256(const void *bytes, size_t size);
extern const struct digest sha256_of_nothing; /* sha256("", 0) */
struct sha256; /* a running hash */
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *running, const void *bytes, size_t size);
struct digest sha256_done(struct sha256 **running); /* frees *running */
void sha256_free(struct sha256 **running);

struct digest hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size);

/** Keccak-256 as Ethereum uses it (padding 0x01). */
struct digest keccak256(const void *bytes, size_t size);

#endif
