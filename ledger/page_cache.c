/* ledger/page_cache.c - see page_cache.h. */
#include "ledger/page_cache.h"

#include <sqlite3.h>
#include <stddef.h>

/* The first byte of the locks; the page that it is on is left out of every database. */
#define PENDING_BYTE 0x40000000u

struct page_cache {
	sqlite3_pcache *real;
	unsigned nobody; /* the number that no page has */
};

static sqlite3_pcache_methods2 real;

static struct page_cache *cache_of(sqlite3_pcache *cache)
{
	return (struct page_cache *)cache;
}

static sqlite3_pcache *real_of(sqlite3_pcache *cache)
{
	return cache_of(cache)->real;
}

static unsigned number(sqlite3_pcache *cache, unsigned page)
{
	return page == cache_of(cache)->nobody ? 0 : page;
}

static int cache_init(void *arg)
{
	return real.xInit(arg);
}

static void cache_shutdown(void *arg)
{
	real.xShutdown(arg);
}

static sqlite3_pcache *cache_create(int page_size, int extra_size, int purgeable)
{
	struct page_cache *cache = sqlite3_malloc(sizeof(*cache));

	if (cache == NULL)
		return NULL;
	cache->nobody = PENDING_BYTE / (unsigned)page_size + 1;
	cache->real = real.xCreate(page_size, extra_size, purgeable);
	if (cache->real == NULL) {
		sqlite3_free(cache);
		return NULL;
	}
	return (sqlite3_pcache *)cache;
}

static void cache_set_size(sqlite3_pcache *cache, int pages)
{
	real.xCachesize(real_of(cache), pages);
}

static int cache_count(sqlite3_pcache *cache)
{
	return real.xPagecount(real_of(cache));
}

static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *cache, unsigned page, int create)
{
	return real.xFetch(real_of(cache), number(cache, page), create);
}

static void cache_unpin(sqlite3_pcache *cache, sqlite3_pcache_page *page, int discard)
{
	real.xUnpin(real_of(cache), page, discard);
}

static void cache_rekey(
    sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
	real.xRekey(real_of(cache), page, number(cache, from), number(cache, to));
}

static void cache_truncate(sqlite3_pcache *cache, unsigned limit)
{
	real.xTruncate(real_of(cache), limit);
}

static void cache_destroy(sqlite3_pcache *cache)
{
	real.xDestroy(real_of(cache));
	sqlite3_free(cache);
}

static void cache_shrink(sqlite3_pcache *cache)
{
	real.xShrink(real_of(cache));
}

void page_cache_install(void)
{
	sqlite3_pcache_methods2 methods = {.iVersion = 1,
	    .xInit = cache_init,
	    .xShutdown = cache_shutdown,
	    .xCreate = cache_create,
	    .xCachesize = cache_set_size,
	    .xPagecount = cache_count,
	    .xFetch = cache_fetch,
	    .xUnpin = cache_unpin,
	    .xRekey = cache_rekey,
	    .xTruncate = cache_truncate,
	    .xDestroy = cache_destroy,
	    .xShrink = cache_shrink};

	sqlite3_pcache_methods2 before;

	if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &before) != SQLITE_OK ||
	    before.xFetch == cache_fetch)
		return;
	real = before;
	methods.pArg = real.pArg;
	(void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}
