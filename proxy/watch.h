/* proxy/watch.h - payments that have ended and are asked about again.
 *
 * What the chain ended is asked about until it is old enough to last; what an owner gave back
 * on his word until the chain has said so too; what contradicts itself until it is booked or
 * decided. Here are only their ids: the ledger knows the rest, and what is no longer to be
 * asked about drops out when it is looked at. Shared by the reconciler and owner's commands,
 * behind one lock, never held across I/O. Filled from the store at start.
 *
 * It is also where it is said that somebody is booking a payment just now: two who booked the
 * same one side by side would set its money aside twice. */
#ifndef PROXY_WATCH_H
#define PROXY_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "wallet/asset.h"

struct watch;

/* 80 bytes each: 20 MB. An hour of ends by the chain at 70 a second; those past it are asked
 * about again after the next start, if they are still young then. */
#define WATCH_MAX 262144u

struct watch *watch_new(void);
void watch_free(struct watch **watch);

/** One that is there already stays as it is. asset is borrowed for good. */
void watch_add(struct watch *watch, int64_t payment, const struct asset *asset);
void watch_remove(struct watch *watch, int64_t payment);
size_t watch_count(struct watch *watch);
/** The ids on one network, in no order; the caller frees them. NULL when there are none. */
int64_t *watch_list(size_t *count, struct watch *watch, const char *network);

/* A commit failed, and the disk may have kept the rows although it said no: where the money
 * is in memory until the ledger can be read again. */
enum watch_doubt {
	WATCH_SURE = 0,
	WATCH_OPEN = 1,  /* open, and in proxy/outstanding.h */
	WATCH_ASIDE = 2, /* set aside as open, to be booked from available */
	WATCH_SPENT = 3, /* spent */
};

/** watch_begin - book this payment, watched or not. False, *doubt untouched: another does at
 * this moment. */
bool watch_begin(enum watch_doubt *doubt, struct watch *watch, int64_t payment,
    const struct asset *asset) MUST_CHECK;
/** doubt: what the next to begin is told. keep: watch it from now on. */
void watch_end(struct watch *watch, int64_t payment, enum watch_doubt doubt, bool keep);

#endif
