/* policy/decide.h - the decision: a pure function of its arguments.
 *
 * Invariant: when it says DECIDE_ALLOW and granted is above 0, then for every limit
 *     firm + provisional + granted <= max
 * so that a caller who reads the totals, asks, and adds the grant to them
 * without letting go of its lock can never cross a limit. */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/limit.h"

enum decide_verdict {
	DECIDE_ALLOW = 1,
	DECIDE_DENY = 2, /* would not fit even if every provisional hold went away */
	DECIDE_WAIT = 3, /* does not fit only because of other calls' provisional holds */
};

/* The stable words of a refusal, in order of precedence. */
enum decide_code {
	DECIDE_CODE_NONE = 0,
	DECIDE_CODE_OVER_CALL_LIMIT = 1,    /* "over_call_limit", 403 */
	DECIDE_CODE_OVER_SESSION_LIMIT = 2, /* "over_session_limit", 403: scope session, total */
	DECIDE_CODE_OVER_TOTAL_LIMIT = 3,   /* "over_total_limit", 403: other scopes, total */
	DECIDE_CODE_OVER_MONTH_LIMIT = 4,   /* "over_month_limit", 429, and so on down */
	DECIDE_CODE_OVER_DAY_LIMIT = 5,
	DECIDE_CODE_OVER_HOUR_LIMIT = 6,
	DECIDE_CODE_OVER_MINUTE_LIMIT = 7,
	DECIDE_CODE_RATE_LIMITED = 8,       /* "rate_limited", 429: any windowed count of calls;
					     * a session's or total's count of calls is 2 or 3 */
};
/** The words above; "none" for NONE. */
const char *decide_code_str(enum decide_code code);

/** What a refusal by this limit is called. */
enum decide_code decide_code_of(const struct limit *limit);
/** Place in the order of precedence, lower first: by code; spend before calls;
 * longer windows before shorter ones. */
unsigned decide_rank(const struct limit *limit);

/* What is asked of the limits. */
struct decide_request {
	int64_t spend;     /* micro-dollars wanted, 0 or more */
	bool may_shrink;   /* true: grant less when less is left (a provisional hold); deny only
			    * when nothing is left. false: all or nothing (a quoted price) */
	bool count_call;   /* true: also counts as one call (false when refitting a hold) */
};

struct decision {
	enum decide_verdict verdict;
	enum decide_code code;      /* NONE when allowed; when waiting, what it will be if the
				     * wait runs out */
	const struct limit *limit;  /* that decided; when allowed, the tightest spend limit that
				     * runs out (per-call limits never do), or NULL */
	int64_t granted;            /* micro-dollars; 0 unless DECIDE_ALLOW */
	int64_t remaining;          /* of `limit`, in its measure, before this call: max - firm -
				     * provisional, never below 0; of a per-call limit its max */
	int64_t resets_us;          /* of `limit`; 0: never */
};

/** decide - compare one request with every limit that applies.
 *
 * In   limits, totals  parallel arrays of `count`, as policy_limits() gave them;
 *                      a WINDOW_CALL limit is compared with the request alone and
 *                      its total is ignored. A negative total counts as 0
 * Rules: want = may_shrink ? min(spend, max - firm over all limits) : spend. Deny,
 *   naming the first limit in precedence order that cannot hold it, when want does
 *   not fit firm alone (or want is 0 although spend was not). Wait when it fits firm
 *   but not firm + provisional. A request whose spend is 0 is never refused by a
 *   spend limit. A count_call request needs firm + 1 <= max of every limit of calls;
 *   calls are never provisional. Overflow counts as not fitting. */
struct decision decide(const struct decide_request *request, const struct limit *const *limits,
    const struct limit_total *totals, size_t count);

#endif
