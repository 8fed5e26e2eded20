/* policy/limit.h - how much, how often: (scope, window, measure, max).
 *
 * One mechanism for every budget and every rate. A limit is compared with a
 * total that somebody else keeps (ledger/meter.h); this room holds no state. */
#ifndef POLICY_LIMIT_H
#define POLICY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/amount.h"
#include "common/window.h"

/* Whose calls are counted together. */
enum limit_scope {
	LIMIT_SCOPE_SESSION = 1, /* one token (its jti) */
	LIMIT_SCOPE_AGENT = 2,   /* everything the agent does */
	LIMIT_SCOPE_WALLET = 3,  /* what leaves the agent's wallet; metered calls do not count */
	LIMIT_SCOPE_TOOL = 4,    /* target NULL: each tool by itself; else all tools that match */
	LIMIT_SCOPE_PAYEE = 5,   /* target NULL: each payee by itself; else that address */
};

enum limit_measure {
	LIMIT_SPEND = 1, /* max in micro-dollars */
	LIMIT_CALLS = 2, /* max in calls */
};

struct limit {
	enum limit_scope scope;
	char *target; /* tool pattern, or payee address in lower-case hex with 0x; else NULL */
	enum window window;
	enum limit_measure measure;
	int64_t max;  /* 0 or more; micro-dollars or calls */
	char *name;   /* "session total spend 5.00", "tool:web_search day calls 9": what a
		       * refusal names as its rule */
};

/** The words of policy files, tables and JSON: "session", …; "spend", "calls". */
const char *limit_scope_str(enum limit_scope scope);
const char *limit_measure_str(enum limit_measure measure);

/** The name of a limit whose other members are set; the caller frees it. */
char *limit_format_name(const struct limit *limit);

/** Frees what the limit owns; the struct itself is the caller's. */
void limit_fini(struct limit *limit);

/* What one limit has counted so far, read by the caller at one moment. */
struct limit_total {
	int64_t firm;        /* spent + signed-but-open + firm holds (or calls made) */
	int64_t provisional; /* holds of calls that have no quote yet; part of no other figure */
	int64_t resets_us;   /* when the window next gives something back; 0: never */
};

#endif
