#include "proxy/token_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define WAYS       4u
#define PLACE_BITS 11u
_Static_assert(WAYS << PLACE_BITS == TOKEN_CACHE_MAX, "as many as the header says");

struct entry {
	char *token; /* not NUL-terminated; NULL: none */
	size_t size;
	uint64_t used;
	struct token_claims claims;
};

struct token_cache {
	struct entry entries[TOKEN_CACHE_MAX];
	uint8_t secret[TOKEN_SECRET_SIZE]; /* that all of them were verified with */
	uint64_t multiplier;               /* random and odd */
	uint64_t uses;
};

struct token_cache *token_cache_new(void)
{
	struct token_cache *cache = must_calloc(1, sizeof *cache);

	bytes_random(&cache->multiplier, sizeof cache->multiplier);
	cache->multiplier |= 1;
	return cache;
}

static void entry_clear(struct entry *entry)
{
	if (!entry->token)
		return; /* nor is memory touched that nobody has used yet */
	bytes_wipe(entry->token, entry->size);
	free(entry->token);
	*entry = (struct entry){0};
}

static void clear(struct token_cache *cache)
{
	for (size_t i = 0; i < TOKEN_CACHE_MAX; i++)
		entry_clear(&cache->entries[i]);
}

void token_cache_free(struct token_cache **cache)
{
	if (!*cache)
		return;
	clear(*cache);
	bytes_wipe((*cache)->secret, TOKEN_SECRET_SIZE);
	free(*cache);
	*cache = NULL;
}

/* The WAYS entries among which it lies, if it does. The last character of a signature says only
 * two bits of it, so the eight before it count. */
static struct entry *place_of(struct token_cache *cache, const char *token, size_t size)
{
	uint64_t bits = 0;

	if (size > sizeof bits)
		memcpy(&bits, token + size - 1 - sizeof bits, sizeof bits);
	return &cache->entries[(bits * cache->multiplier >> (64 - PLACE_BITS)) * WAYS];
}

static struct entry *find(struct entry *place, const char *token, size_t size)
{
	for (size_t i = 0; i < WAYS; i++) {
		if (place[i].token && place[i].size == size &&
		    bytes_equal_ct(place[i].token, token, size))
			return &place[i];
	}
	return NULL;
}

/* In the place of the one that was not used for longest. */
static struct entry *enter(
    struct entry *place, const char *token, size_t size, const struct token_claims *claims)
{
	struct entry *oldest = place;

	for (size_t i = 1; i < WAYS; i++) {
		if (place[i].used < oldest->used)
			oldest = &place[i];
	}
	entry_clear(oldest);
	oldest->token = must_alloc(size);
	memcpy(oldest->token, token, size);
	oldest->size = size;
	oldest->claims = *claims;
	return oldest;
}

enum token_result token_cache_check(struct token_cache *cache, struct token_claims *out,
    const char *token, size_t size, const uint8_t secret[TOKEN_SECRET_SIZE], int64_t now_s)
{
	struct entry *place, *entry;
	struct token_claims claims;
	enum token_result result;

	if (!bytes_equal_ct(cache->secret, secret, TOKEN_SECRET_SIZE)) {
		clear(cache);
		memcpy(cache->secret, secret, TOKEN_SECRET_SIZE);
	}
	place = place_of(cache, token, size);
	entry = find(place, token, size);
	result = TOKEN_OK;
	if (entry)
		claims = entry->claims;
	else
		result = token_verify(&claims, token, size, secret);
	if (result == TOKEN_OK)
		result = token_time(&claims, now_s);
	if (result != TOKEN_OK)
		return result;
	if (!entry)
		entry = enter(place, token, size, &claims);
	entry->used = ++cache->uses;
	*out = claims;
	return TOKEN_OK;
}
