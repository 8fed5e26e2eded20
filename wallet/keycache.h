/* wallet/keycache.h - the unlocked keys, by agent, each in one arena slot.
 *
 * Bounded: past keys_max the key that was unlocked first is wiped and goes; it is
 * read again when it is needed. Not thread-safe: finding may run in parallel, all
 * else needs the caller's exclusive lock. */
#ifndef WALLET_KEYCACHE_H
#define WALLET_KEYCACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/table.h"
#include "wallet/address.h"
#include "wallet/arena.h"

struct cached_key {
	char *agent;
	struct address address;
	char address_text[ADDRESS_TEXT_SIZE]; /* EIP-55, which is a hash of its own to make */
	uint8_t *key;       /* SIGNER_KEY_SIZE bytes in the arena */
	atomic_bool proved; /* its first signature recovered to address */
	UT_hash_handle hh;
};

struct keycache;

/** The arena must outlive the cache. keys_max is 1 or more. */
struct keycache *keycache_new(struct arena *arena, size_t keys_max);
void keycache_free(struct keycache **cache);

/** Borrowed until the next put or drop; NULL when not cached. */
struct cached_key *keycache_find(const struct keycache *cache, const char *agent);
/** Takes *key, which becomes NULL; replaces the agent's former key. */
struct cached_key *keycache_put(struct keycache *cache, const char *agent,
    const struct address *address, uint8_t **key);
void keycache_drop(struct keycache *cache, const char *agent);
size_t keycache_count(const struct keycache *cache);

#endif
