/* proxy/reserve.h - the one atomic step: read the totals, decide, set aside.
 *
 * Joins policy/ (which decides) and ledger/ (which counts) under the purses' lock, so that
 * the check and the hold cannot be parted. Also the waiting line: a call that does not fit
 * only because of other calls' provisional holds waits its turn, first come first served per
 * agent, bounded in number here and in time by the caller.
 *
 * Invariant, for every limit of the policy in force, after every call:
 *     firm + provisional <= max      (see policy/decide.h) */
#ifndef PROXY_RESERVE_H
#define PROXY_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/decide.h"
#include "proxy/mailbox.h"
#include "proxy/registry.h"

enum reserve_result {
	RESERVE_OK = 0,
	RESERVE_WAITING = 1,    /* `resolved` will be posted with the final result */
	RESERVE_OVER_LIMIT = 2, /* reservation->decision says which */
	RESERVE_NO_FUNDS = 3,
	RESERVE_CROWDED = 4, /* too many of this agent's calls wait already */
};

enum reserve_stage {
	RESERVE_PROVISIONAL = 1, /* before forwarding: at most `spend`, less when less is left */
	RESERVE_EXACT = 2,       /* the quote: exactly `spend`, from `slot`, to `payee` */
	RESERVE_METERED = 3,     /* a metered call's declared price, exactly */
};

/* In the caller's storage; the caller sets what is under "asked". */
struct reservation {
	/* asked */
	struct purses *purses;
	struct agent *agent;
	struct registry *registry;   /* asked for the policy in force, each time it is decided */
	const char *session, *tool;
	const char *payee; /* lower-case address; RESERVE_EXACT only */
	int64_t at_us;     /* the call's id: decides the windows charged */
	int64_t spend;     /* micro-dollars */
	unsigned slot;
	size_t waiting_max;
	struct mailbox *mailbox;     /* where `resolved` runs */
	void (*resolved)(void *arg); /* result is in reservation->result */
	void *arg;
	/* answered */
	enum reserve_result result;
	struct decision decision;
	int64_t held; /* micro-dollars in the provisional hold */
	/* inside */
	struct policy_ref *policy; /* decided by last; decision.limit lives in it */
	enum reserve_stage stage;
	struct hold hold;
	bool waiting;
	struct reservation *next, *previous;
	struct note note;
};

/** Ask for a stage. Provisional and metered begin a reservation; exact refits one that is
 * provisional (on a refusal the hold is as it was; while it waits, or is turned away because
 * too many wait, it holds nothing). */
enum reserve_result reserve_ask(
    struct reservation *reservation, enum reserve_stage stage) MUST_CHECK;

/** Gives back the policy; the reservation has ended, or never began. */
void reserve_fini(struct reservation *reservation);

/** Stop waiting. True: it was still waiting, `resolved` will not be posted, and nothing new
 * is held. False: `resolved` has been posted already and will run. */
bool reserve_stop_waiting(struct reservation *reservation) MUST_CHECK;

/* Ends of a reservation; each lets waiting calls of the agent try again. */
void reserve_release(struct reservation *reservation);    /* nothing was signed */
void reserve_unsign(struct reservation *reservation);     /* no signature, no row left */
void reserve_settle(struct reservation *reservation);     /* signed → spent */
void reserve_leave_open(struct reservation *reservation); /* signed → open, for later */
void reserve_charge(struct reservation *reservation);     /* metered → spent */
void reserve_give_back(struct reservation *reservation);  /* metered → released */

/** Let an agent's waiting calls try again: after an owner's deposit or change of policy. */
void reserve_retry(struct purses *purses, struct agent *agent);

/** What the tightest spend limit of this call, or the wallet, still leaves. */
int64_t reserve_remaining(struct reservation *reservation);

/* One limit as it stands, for /v1/me and `policy explain`. */
struct limit_reading {
	const struct limit *limit; /* borrowed from the policy */
	int64_t used;              /* firm and provisional */
	struct limit_total total;
	int64_t at_us;
};

/** reserve_explain - what would be decided, changing nothing.
 *
 * Out  readings (at most readings_max stored); returns how many limits speak about the call */
size_t reserve_explain(struct decision *out, struct limit_reading *readings, size_t readings_max,
    struct purses *purses, const struct agent *agent, const struct policy *policy,
    const char *session, const char *tool, const char *payee, bool metered, int64_t spend,
    int64_t now_us);

/** One limit's reading; session, tool, payee only where its scope needs them. */
struct limit_reading reserve_read(struct purses *purses, const struct agent *agent,
    const struct limit *limit, const char *session, const char *tool, const char *payee,
    int64_t now_us);

#endif
