/* wallet/storage.h - Web3 Secret Storage, version 3: the key files of other wallets.
 *
 * Source: Ethereum's Web3 Secret Storage Definition. Read: scrypt or PBKDF2 (HMAC
 * SHA-256), AES-128-CTR, as geth, foundry, MetaMask and web3.py write it. Written:
 * scrypt n=262144 r=8 p=1. */
#ifndef WALLET_STORAGE_H
#define WALLET_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wallet/arena.h"
#include "wallet/keystore.h"

#define STORAGE_SIZE_MAX (16u * 1024u) /* real ones are 500 bytes */

/* What a file says about its key besides the key. */
struct storage_claims {
	bool has_address;
	struct address address;
};

/** storage_open - decrypt a version 3 file; slow on purpose.
 *
 * Returns  KEYSTORE_OK, KEYSTORE_BAD_FILE (malformed, or a derivation beyond cipher.h's
 *          bounds), KEYSTORE_BAD_PASSPHRASE (the file's MAC does not fit), KEYSTORE_IO
 * Out      key (an arena slot), *claims; untouched unless OK, key wiped
 *          reason  one sentence, only when not OK; may be NULL */
enum keystore_result storage_open(uint8_t key[ARENA_SLOT_SIZE], struct storage_claims *claims,
    char reason[256], struct arena *arena, const char *json, size_t size, const char *password,
    size_t password_size) MUST_CHECK;

/** storage_seal - the reverse; the caller frees *out. KEYSTORE_OK or KEYSTORE_IO. */
enum keystore_result storage_seal(char **out, struct arena *arena,
    const uint8_t key[ARENA_SLOT_SIZE], const struct address *address, const char *password,
    size_t password_size) MUST_CHECK;

#endif
