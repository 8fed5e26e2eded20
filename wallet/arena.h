/* wallet/arena.h - memory for secrets: never swapped, dumped or inherited.
 *
 * One reserved range of addresses, opened ARENA_STEP_SLOTS slots at a time: locked
 * (mlock), left out of core files (MADV_DONTDUMP) and zeroed in a forked child
 * (MADV_WIPEONFORK). Where the kernel refuses one of these, usually for
 * RLIMIT_MEMLOCK, the arena still works and says so once in the log. Every slot
 * is wiped when it is given back and when the arena goes.
 * Thread-safe. */
#ifndef WALLET_ARENA_H
#define WALLET_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

#define ARENA_SLOT_SIZE  32  /* a private key, a data key, a derived key */
#define ARENA_STEP_SLOTS 512 /* 16 KiB: a whole number of pages of 4 and 16 KiB */

struct arena;

/** At most slots_max secrets at once, rounded up to whole steps. NULL with errno set
 * when the address range cannot be had. */
struct arena *arena_new(size_t slots_max);
/** Wipes everything; NULL inside is fine. */
void arena_free(struct arena **arena);

/** A zeroed slot of ARENA_SLOT_SIZE bytes; NULL with errno ENOMEM when all are taken. */
uint8_t *arena_take(struct arena *arena);
/** Wiped and free again; *slot becomes NULL. NULL inside is fine. */
void arena_give(struct arena *arena, uint8_t **slot);

#endif
