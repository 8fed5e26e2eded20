/* proxy/booking.h - what the chain says about a payment becomes rows, and then money in memory.
 *
 * Used by the reconciler and by `wallet reconcile`, on whichever thread; blocks on the disk.
 *
 *   ledger says \ chain says     used        cancelled   unused      no log of it
 *   signed, open                 SETTLE      GIVE_BACK   GIVE_BACK   -
 *   spent, as the chain said     PROVE(1)    TURN        TURN        REOPEN
 *   spent, by receipt or owner   PROVE       FLAG        FLAG        -
 *   given back, chain said       TAKE        PROVE       PROVE       REOPEN(2)
 *   given back, owner's word     TAKE        PROVE       PROVE       -
 *
 * (1) Only when it is in another block or transaction than before: nothing else is news.
 * (2) When it was given back because of a cancellation, which is now gone: it may be cashable
 *     again. A proof that it expired unused does not go away: blocks made from now on are
 *     later than validBefore, whatever a node that lags shows; only a use undoes it.
 *
 * Used by a transfer that is not ours (another payee or value) is FLAG in every row. TAKE
 * and REOPEN of what was given back need money that may have been spent since: where the
 * wallet does not cover it, FLAG, and again each time until it does. */
#ifndef PROXY_BOOKING_H
#define PROXY_BOOKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/store.h"
#include "proxy/chain.h"
#include "proxy/rooms.h"
#include "proxy/watch.h"

enum booking_act {
	BOOKING_NOTHING = 0,
	BOOKING_PROVE,     /* the ledger is right: evidence for it is written */
	BOOKING_SETTLE,    /* open → spent */
	BOOKING_GIVE_BACK, /* open → available */
	BOOKING_REOPEN,    /* spent, or available → open */
	BOOKING_TURN,      /* spent → open → available */
	BOOKING_TAKE,      /* available → open → spent */
	BOOKING_FLAG,      /* a contradiction that cannot be booked is written down, once */
};
const char *booking_act_str(enum booking_act act); /* "settle", … */

/* What the chain said before, by the newest evidence row of its kind. */
struct booking_proof {
	int64_t id; /* 0: none. Of the row, so its time too */
	enum evidence_kind kind;
	int64_t block, block_s; /* block_s 0: unknown */
	int64_t log_index;
	char block_hash[CHAIN_TEXT_SIZE];
	char transaction[CHAIN_TEXT_SIZE];
	char detail[160];
};

/* One payment: as the ledger has it, and what is done about it. */
struct booking {
	int64_t payment, call;
	struct agent *agent;
	const struct asset *asset;
	unsigned slot;
	int64_t amount; /* micro-dollars */
	struct chain_query query;
	char *tool, *session;
	struct digest request; /* as proxy/outstanding.h wants it */
	struct digest target;
	enum payment_state state;
	char transaction[CHAIN_TEXT_SIZE]; /* the latest one named, or "" */
	struct booking_proof proof;   /* used, cancelled or unused, unless it is gone; else id 0 */
	struct booking_proof dispute; /* the contradiction nobody has answered; else id 0 */
	/* done, by booking_commit() */
	enum booking_act act;
	enum store_result result; /* of its rows; OK when there were none */
	char flag[160];           /* BOOKING_FLAG: what contradicts what */
	/* inside */
	bool begun;
	enum watch_doubt doubt; /* of an earlier commit */
	bool set_aside;         /* available → open has been done in memory */
};

/** booking_load - the ledger's side. OK; NOT_FOUND (of an asset or agent we do not know, too);
 * BROKEN. Out: *out, to be ended with booking_fini; untouched unless OK. */
enum store_result booking_load(
    struct booking *out, struct house *house, int64_t payment) MUST_CHECK;
void booking_fini(struct booking *booking);

/** The same for an open payment, without the disk: only what chain_fates() is asked. */
struct chain_query booking_query(const struct open_payment *payment);

/** booking_rule - what is to be done; pure. The table at the top. Out: flag, the words of a
 * BOOKING_FLAG. now_s: our own clock, which must have passed validBefore for a payment to be
 * given back as unused; until then that is no news. */
enum booking_act booking_rule(char flag[160], const struct booking *booking,
    const struct chain_finding *finding, int64_t now_s) MUST_CHECK;

/** booking_commit - decide by findings (in the order of bookings) and write; returns when all
 * of it is durable or refused, with memory changed where it was durable. Each booking's act
 * and result say what happened; one that another books at this moment, or that
 * ended meanwhile, is left alone: NOTHING, or a result that is not OK. */
void booking_commit(struct house *house, struct booking *bookings,
    const struct chain_finding *findings, size_t count, int64_t now_us);

/** booking_dispute - two endpoints contradict each other about it: a flag, once. */
void booking_dispute(struct house *house, int64_t payment, const char *detail, int64_t now_us);

/** Must it still be asked about, though it is not open? reorg_us: ends by the chain younger
 * than that are. */
bool booking_is_watched(const struct booking *booking, int64_t now_us, int64_t reorg_us);

#endif
