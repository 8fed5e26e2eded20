/* ledger/purse.h - every agent's money in memory: balances, meters, holds.
 *
 * The journal is the truth; a purse is its running sum plus the holds of calls in
 * flight, rebuilt from the journal at start. One lock covers all purses: a caller
 * takes it, reads what it needs to decide, changes, and lets go, without any I/O
 * in between. All functions below purses_lock() need it held, the recalling apart.
 *
 * Invariants, after every call:
 *   per asset    available >= 0, open >= 0, reserved >= 0
 *   per purse    provisional >= 0 and <= sum of available over chain assets
 *   a hold       is counted in each of its meters exactly once
 *   money        only moves: a sum that would not fit int64 stays where it was
 *
 * What counts as a call, and when:
 *   agent, session, tool   every call admitted, once, by hold_place or
 *                          hold_place_metered; it stays counted whatever follows
 *   wallet, payee          every payment signed, by hold_sign; undone with it by
 *                          hold_unsign or purse_refund, done again by purse_reopen
 * So the counts of wallet and payee move only when the exact price is fitted: there
 * the caller asks their limits on calls for one more, and those of the others for none. */
#ifndef LEDGER_PURSE_H
#define LEDGER_PURSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "common/window.h"

/* The numbers equal policy/limit.h's scopes; the two rooms do not know each other
 * and proxy/reserve.c asserts it at compile time. */
enum purse_subject {
	PURSE_SESSION = 1,
	PURSE_AGENT = 2,
	PURSE_WALLET = 3,
	PURSE_TOOL = 4,
	PURSE_PAYEE = 5,
};

/* Which asset: a small number the caller gives out (its table's position + 1).
 * Slot 0 is off-chain dollars, the money of metered tools. */
#define PURSE_OFF_CHAIN 0u
#define PURSE_SLOT_MAX  256u
/* Bytes of a payee's name with its terminator; an address takes 43. */
#define PURSE_PAYEE_SIZE 64u

struct balance {
	int64_t available; /* free to use; without deducting provisional holds */
	int64_t reserved;  /* journaled holds of metered calls (off-chain) */
	int64_t open;      /* signed, outcome unknown */
	int64_t spent;     /* settled */
};

struct purses;
struct purse;

/** Never NULL. purses_free accepts NULL inside; no hold may be in force and the lock
 * must be free. */
struct purses *purses_new(void);
void purses_free(struct purses **purses);
void purses_lock(struct purses *purses);
void purses_unlock(struct purses *purses);

/** A new purse, empty; there is one for each agent, who keeps the address: it is not looked up
 * again. Never NULL; stays until purses_free. */
struct purse *purses_add(struct purses *purses);

/* What counts against an agent's limits from before the start is read when somebody first asks
 * for it: most agents of many do not call in one day. Until then the purse sleeps. Nothing below
 * reads or changes a meter of a sleeping purse before its past has been read, so that no limit
 * ever sees less than all of it. What may not be read so late is the caller's affair: the reader
 * answers as of the start (store_charges), whatever was booked since. */

enum purse_past {
	PURSE_AWAKE = 0,      /* the purse knows its past */
	PURSE_LONG = 1,	      /* it has more rows than were to be read: the purse sleeps on */
	PURSE_UNREADABLE = 2, /* no limit of this agent can be trusted */
};

/** Tells `draft` the past of the purse that sleeps for owner, by purse_restore_charge() alone.
 * PURSE_AWAKE: it was told, of at most rows_max rows of the ledger. Called by any thread, for one
 * purse by several at once, each with a draft of its own; with the lock held or not. */
typedef enum purse_past purse_recall_fn(
    struct purse *draft, void *owner, size_t rows_max, void *arg);
/** Before the first purse_sleep(). */
void purses_recall_by(struct purses *purses, purse_recall_fn *recall, void *arg);
/** Before anything else is done with the purse but purse_restore(). */
void purse_sleep(struct purse *purse, void *owner);

/** purse_recall - read the past of a purse that sleeps, without holding up other purses: first
 * thing for a call, with the lock NOT held.
 *
 * Returns  true: it is awake. False: its past could not be read, so that no limit of this agent
 *          can be trusted; the next call asks again.
 * Blocks   for as long as the reading takes; not at all once awake.
 *
 * Where this was not called, the past is read with the lock held by whatever needs it first.
 * When that fails, a reading is zero; what must be booked is, and would be lost to a later
 * reading of the past, so that purse_recall() is then false until the process ends. */
bool purse_recall(struct purse *purse) MUST_CHECK;
/** The same, but of rows_max rows at most: for who must not be held up longer than that. */
enum purse_past purse_recall_short(struct purse *purse, size_t rows_max) MUST_CHECK;
/** Is there a past that has not been read? Once false it stays so. With the lock held or not. */
bool purse_asleep(const struct purse *purse);

/** All zero for a slot that never had money. */
struct balance purse_balance(const struct purse *purse, unsigned slot);
/** Sum of provisional holds, micro-dollars. */
int64_t purse_provisional(const struct purse *purse);
/** Sum of available over chain assets less provisional holds; never negative. */
int64_t purse_free(const struct purse *purse);
/** The same before provisional holds; saturates. */
int64_t purse_available(const struct purse *purse);

struct purse_reading {
	int64_t firm;        /* spend or calls in the window */
	int64_t provisional; /* provisional spend of this subject; 0 for calls */
	int64_t resets_us;   /* 0: never */
};

/** purse_read - what one subject has used in one window.
 *
 * In  subject, name  session id, tool (a glob sums every tool of this agent that
 *                    matches), payee (0x address, either case); NULL for agent, wallet
 *     calls          true: count calls instead of money
 *     at_us          the moment the call was reserved
 *
 * A name nobody has used reads zero and leaves no trace. A sum saturates, and resets
 * when the first of its tools does. WINDOW_CALL reads zero. A payee is not known
 * before the quote, so provisional money is never a payee's. */
struct purse_reading purse_read(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us);
/** The same but for the time, which takes longer to find: resets_us is 0. */
struct purse_reading purse_sum(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us);
/* Whose meters the limits of one call read: found once, read for each limit. */
struct purse_subjects {
	const struct purse_meter *found[PURSE_PAYEE + 1]; /* by subject; NULL: used by nobody */
};

/** Names as for purse_read, but none is a glob; NULL: that subject will not be asked about. For
 * as long as the lock is held and nothing is charged. */
struct purse_subjects purse_find(
    struct purse *purse, const char *session, const char *tool, const char *payee);
/** As purse_sum of that subject's name. */
struct purse_reading purse_subject_sum(const struct purse_subjects *subjects,
    enum purse_subject subject, enum window window, bool calls, int64_t at_us);
/** When `amount` (money, or calls) of that window will have been given back, with no
 * further charges, or all of it when it holds less; at_us when there is nothing to
 * wait for. The end of a day or month; 0 (never) for total and call. */
int64_t purse_frees_at(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us, int64_t amount);

/* --- holds ------------------------------------------------------------- */

enum hold_state {
	HOLD_NONE = 0,
	HOLD_PROVISIONAL = 1, /* before the quote; may be 0 */
	HOLD_SIGNED = 2,      /* exact price, moved to open; its journal row is queued */
	HOLD_METERED = 3,     /* exact price of a metered call, moved to reserved */
	HOLD_DONE = 4,        /* released, settled, refunded or left open */
};

/* In the caller's storage; zero-initialised is HOLD_NONE. Opaque to callers. */
struct hold {
	enum hold_state state;
	struct purse *purse;
	int64_t at_us;  /* decides the windows charged */
	int64_t amount; /* micro-dollars */
	unsigned slot;
	bool counted;   /* has been charged as one call */
	struct purse_meter *session, *tool, *payee;
};

enum hold_result {
	HOLD_OK = 0,
	HOLD_NO_FUNDS = 1, /* that asset's available does not cover it */
	HOLD_BUSY = 2,     /* it would, were it not for other calls' provisional holds */
};
const char *hold_result_str(enum hold_result result); /* "ok", "no_funds", "busy" */

/** hold_place - admit a call: count it in agent, session and tool, and set `amount`
 * aside provisionally in agent, wallet, session and tool.
 *
 * Returns  HOLD_OK
 *          HOLD_NO_FUNDS  purse_available is below amount
 *          HOLD_BUSY      purse_free is below amount
 *          Nothing has changed unless OK; amount 0 always succeeds.
 * In       out     HOLD_NONE or HOLD_DONE; in use until it is HOLD_DONE
 *          amount  micro-dollars, 0 or more
 * The limits have been decided by the caller. */
enum hold_result hold_place(struct hold *out, struct purse *purse, const char *session,
    const char *tool, int64_t at_us, int64_t amount) MUST_CHECK;
/** hold_place_metered - admit a metered call at its exact price (counted in agent,
 * session and tool, not in the wallet): payable → reserved off-chain. Firm at once:
 * there is nothing provisional about it. */
void hold_place_metered(struct hold *out, struct purse *purse, const char *session,
    const char *tool, int64_t at_us, int64_t amount);
/** The provisional amount changes (a refit that must wait gives back its money).
 * Results as of hold_place, this hold's own amount not counted against it; less than
 * before always succeeds. */
enum hold_result hold_resize(struct hold *hold, int64_t amount) MUST_CHECK;
/** hold_sign - PROVISIONAL → SIGNED at the exact price: the provisional amount goes,
 * the price moves available → open in `slot`, and is charged to agent, wallet,
 * session, tool and payee at hold->at_us; wallet and payee count one call.
 *
 * Returns  HOLD_OK
 *          HOLD_NO_FUNDS  the slot's available is below price
 *          HOLD_BUSY      it is not, but other calls' provisional holds need it
 *          Nothing has changed unless OK; the hold is still provisional.
 * In       slot   a chain asset's, 1..PURSE_SLOT_MAX - 1
 *          payee  0x address, either case
 *          price  micro-dollars, 0 or more; above the provisional amount is allowed */
enum hold_result hold_sign(struct hold *hold, unsigned slot, const char *payee, int64_t price)
    MUST_CHECK;
/** hold_unsign - SIGNED → DONE, as if never signed: only when no signature and no row
 * left (the key would not open). The call stays counted, the payment does not. */
void hold_unsign(struct hold *hold);
/** PROVISIONAL → DONE. The call stays counted. */
void hold_release(struct hold *hold);
/** SIGNED → DONE: open → spent. */
void hold_settle(struct hold *hold);
/** SIGNED → DONE with the money left open; purse_settle or purse_refund ends it. */
void hold_leave_open(struct hold *hold);
/** METERED → DONE: reserved → spent, or given back and its spend uncharged. */
void hold_charge(struct hold *hold);
void hold_give_back(struct hold *hold);

/* --- without a hold: rebuild at start, owner's acts, late outcomes -------- */

/** Slots of chain assets only; amounts 0 or more. available saturates. */
void purse_deposit(struct purse *purse, unsigned slot, int64_t amount);
/** False, nothing changed, when the slot's available or the purse's free money is below
 * amount (provisional holds are safe). */
bool purse_withdraw(struct purse *purse, unsigned slot, int64_t amount) MUST_CHECK;
/** A slot's balance as the journal sums it, at start, before any hold. A payment still
 * open then is part of balance->open and ends by purse_settle or purse_refund.
 * Negative numbers, of a ledger that verify would refuse, count as 0. */
void purse_restore(struct purse *purse, unsigned slot, const struct balance *balance);
/** Charges meters only: spend and calls of the past. Of a sleeping purse only its draft.
 *
 * In  session, tool, payee  NULL: not charged there (a session long expired; no payee)
 *     wallet  true: left the wallet (x402); false: was metered
 *     spend   to agent, session, tool, payee, and to the wallet if wallet
 *     calls   without a payee, calls admitted (agent, session, tool); with a payee,
 *             payments signed (payee, and the wallet if wallet). The two are counted
 *             apart, see the top, so a paid call is restored by two charges.
 * Negative numbers count as 0. */
void purse_restore_charge(struct purse *purse, const char *session, const char *tool,
    const char *payee, bool wallet, int64_t at_us, int64_t spend, int64_t calls);
/** An open payment ends: open → spent, or open → available with its charges undone in
 * every meter that still exists (session, tool, payee may be NULL). Never moves more
 * than is open, and a refund that finds less undoes no charge: only a damaged ledger
 * asks for it. */
void purse_settle(struct purse *purse, unsigned slot, int64_t amount);
void purse_refund(struct purse *purse, unsigned slot, int64_t amount, const char *session,
    const char *tool, const char *payee, int64_t at_us);
/** purse_reopen - an end that did not last: the payment is open again.
 *
 * Returns  true   spent → open, when from_spent: it was charged all the while. Else available →
 *                 open and charged once more, in the windows of at_us, to agent, wallet,
 *                 session, tool and payee (each may be NULL: not charged there); a limit may
 *                 stand above its maximum afterwards, because the seller has, or may take,
 *                 what the owner's limits had been given back
 *          false  nothing has changed: spent, or available, or the purse's free money
 *                 (provisional holds are safe) is below amount. Not to be paid with money that
 *                 is not there; the caller keeps the contradiction in view */
bool purse_reopen(struct purse *purse, unsigned slot, int64_t amount, bool from_spent,
    const char *session, const char *tool, const char *payee, int64_t at_us) MUST_CHECK;
/** A seller pays back what was settled: spent → available, at most what is spent.
 *
 * No limit is given back: a limit says how much may go out in its windows, and it did go
 * out. Else a seller who pays back at once would turn a day's limit into a turnover
 * without end, and windows long closed would change behind their reader. An owner who
 * thinks otherwise raises the limit. store_charges() counts the same way. */
void purse_pay_back(struct purse *purse, unsigned slot, int64_t amount);

/* --- upkeep -------------------------------------------------------------- */

/** True only for a session that can place no further call. */
typedef bool session_expired_fn(const char *session, void *arg);

/** purse_trim - give back the memory of what no limit can need: quanta that have slid
 * out of minute and hour, and sessions that have expired with no call in flight.
 *
 * In    expired  called with the lock held, once for each idle session; NULL: keep all
 * Cost  grows with the purse's sessions, tools and payees; once a minute is plenty
 * Tools and payees stay, because their totals have no end: there are as many as the
 * owner registered, and as many as were ever paid, some 600 bytes each at rest. */
void purse_trim(struct purse *purse, int64_t now_us, session_expired_fn *expired, void *arg);

#endif
