/* wallet/romix.h - scrypt for the parameters OpenSSL refuses.
 *
 * RFC 7914 wants n < 2^(16 r), and OpenSSL insists. Key files by web3.py (and the
 * published test vector) have n = 262144 with r = 1, which Python and Go compute, so
 * an owner who brings one needs this. Nothing else uses it. */
#ifndef WALLET_ROMIX_H
#define WALLET_ROMIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

/** scrypt with one thread; n a power of two. Bounds are the caller's. False when
 * memory is gone; out is then wiped. */
bool romix_scrypt(uint8_t *out, size_t size, const char *password, size_t password_size,
    const uint8_t *salt, size_t salt_size, uint64_t n, uint32_t r, uint32_t p) MUST_CHECK;

#endif
