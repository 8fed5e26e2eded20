/* wallet/keycache.c - the unlocked keys, by agent. */
#include "wallet/keycache.h"

#include <stdlib.h>
#include <string.h>

struct keycache {
	struct arena *arena;
	size_t keys_max;
	struct cached_key *keys; /* uthash keeps them in the order of putting */
};

struct keycache *keycache_new(struct arena *arena, size_t keys_max)
{
	struct keycache *cache = must_calloc(1, sizeof(*cache));

	must(keys_max > 0);
	cache->arena = arena;
	cache->keys_max = keys_max;
	return cache;
}

static void forget(struct keycache *cache, struct cached_key *cached)
{
	HASH_DEL(cache->keys, cached);
	arena_give(cache->arena, &cached->key);
	free(cached->agent);
	free(cached);
}

void keycache_free(struct keycache **cache)
{
	if (*cache == NULL)
		return;
	while ((*cache)->keys != NULL)
		forget(*cache, (*cache)->keys);
	free(*cache);
	*cache = NULL;
}

struct cached_key *keycache_find(const struct keycache *cache, const char *agent)
{
	struct cached_key *cached;

	HASH_FIND_STR(cache->keys, agent, cached);
	return cached;
}

struct cached_key *keycache_put(struct keycache *cache, const char *agent,
    const struct address *address, uint8_t **key)
{
	struct cached_key *cached;

	keycache_drop(cache, agent);
	if (HASH_COUNT(cache->keys) >= cache->keys_max)
		forget(cache, cache->keys);
	cached = must_calloc(1, sizeof(*cached));
	cached->agent = must_strdup(agent);
	cached->address = *address;
	address_format(cached->address_text, address);
	cached->key = *key;
	atomic_init(&cached->proved, false);
	*key = NULL;
	HASH_ADD_KEYPTR(hh, cache->keys, cached->agent, strlen(cached->agent), cached);
	return cached;
}

void keycache_drop(struct keycache *cache, const char *agent)
{
	struct cached_key *cached = keycache_find(cache, agent);

	if (cached != NULL)
		forget(cache, cached);
}

size_t keycache_count(const struct keycache *cache)
{
	return HASH_COUNT(cache->keys);
}
