/* ledger/page_cache.h - SQLite's page cache, without one detour.
 *
 * When a page of an index is split, SQLite may let two pages change numbers, and gives one of
 * them meanwhile the number of the page that no database has: the one at 1 GiB, where the locks
 * are. The default cache remembers the largest number it ever saw, to know whether a commit cuts
 * anything off; having seen that one, it looks through all it holds at the end of the commit. A
 * nonce is random, so that almost every commit splits a page: it was an eighth of the writer's
 * time, and more with a larger cache.
 *
 * This cache is the default one, asked for number 0 in the place of that number: 0 is the number
 * of no page either. Nothing else is changed.
 * Source: sqlite.org/c3ref/pcache_methods2.html; balance_nonroot in btree.c, pcache1.c of SQLite
 * 3.40.1. */
#ifndef LEDGER_PAGE_CACHE_H
#define LEDGER_PAGE_CACHE_H

/** For the whole process, before SQLite is first used by it; later, and a second time, it does
 * nothing. */
void page_cache_install(void);

#endif
