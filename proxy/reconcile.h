/* proxy/reconcile.h - open payments are ended by what the chain says.
 *
 * On the daemon's main loop: for each network with RPC endpoints the open payments are asked
 * about in groups (chain.h), and the findings booked:
 *
 *   used       → settled     open → spent       with its Transfer
 *   cancelled  → cancelled   open → available
 *   unused     → expired     open → available   the block's time and our own clock are both
 *                                               past validBefore
 *   unknown, unreachable, disagreement: nothing is booked; what disagrees is flagged
 *
 * What the chain ended is asked about again until it is old enough to last; when it is gone
 * (a reorganisation) the end is undone by new rows. Refunds of claimed payments are looked
 * for in the same rounds. */
#ifndef PROXY_RECONCILE_H
#define PROXY_RECONCILE_H

#include <stdint.h>

struct event_base;
struct house;
struct reconciler;

/* How old, by its block's time, what the chain said must be until it is believed to last.
 * Far more blocks than reconcile_depth() waits for, on every chain we pay on. */
#define RECONCILE_REORG_US (INT64_C(3600) * 1000000)

/** Begins at once; never NULL. */
struct reconciler *reconciler_start(struct event_base *base, struct house *house);
/** The configuration has changed: follow it, beginning with a look at once. On the loop. */
void reconciler_refresh(struct reconciler *reconciler);
void reconciler_stop(struct reconciler **reconciler);

/** How many blocks must follow one on this network before it is believed: the configuration's
 * chain_depth, or when that is -1 our own table's. */
int64_t reconcile_depth(const struct house *house, const char *network);

#endif
