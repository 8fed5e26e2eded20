/* proxy/chain_parts.h - inside proxy/chain*.c only.
 *
 * Where you are standing: a question is put to endpoints one survey each. A survey is one
 * endpoint's whole answer, read in steps one request after another; it never hears of other
 * surveys. The question (chain.c) decides who is asked, at which block, and whether those
 * who were asked agree:
 *
 *   chain_fates, … ─▶ question ─┬▶ survey of one endpoint ─ chain id ─ head ─┐
 *                               └▶ survey of another ────── chain id ─ head ─┤
 *            the block that all of them have, `depth` below the lowest head ◀┘
 *                               ┌───────────────┴───────────────┐
 *                     begin … survey_close             begin … survey_close
 *                               └──────▶ same block? ◀──────────┘
 *                                     kind->report
 *
 * A survey that fails takes its endpoint out of the question, and another's place is taken
 * by the next endpoint; when there is none left the question is CHAIN_UNREACHABLE. A survey
 * never frees itself or its question: it notes its end, and the question acts from the loop. */
#ifndef PROXY_CHAIN_PARTS_H
#define PROXY_CHAIN_PARTS_H

#include <event2/event_struct.h>
#include <jansson.h>

#include "proxy/chain.h"
#include "proxy/chain_read.h"
#include "proxy/rpc.h"

struct endpoint {
	struct rpc *rpc;
	bool id_ok;            /* eth_chainId was right, and nothing has failed since */
	int64_t id_until_us;   /* ...and it is asked again after that, monotonic clock */
	bool failing;          /* its last survey failed: said once in the log */
	int64_t last_until_us; /* asked after the others until then, on the monotonic clock */
	int64_t span;          /* blocks in one eth_getLogs: shrinks when it is refused */
	bool head_known;
	struct chain_block head; /* the last one seen */
	char reason[RPC_REASON_SIZE];
};

struct chain {
	struct event_base *base;
	char network[ASSET_NETWORK_SIZE];
	uint64_t chain_id;
	uint32_t request_ms_max;
	struct chain_topics topics;
	struct endpoint endpoints[CHAIN_ENDPOINTS_MAX];
	size_t endpoint_count;
	size_t turn; /* whose turn it is to be asked first */
	struct question *questions;
};

/* --- surveys (chain_survey.c) --- */

enum survey_state {
	SURVEY_IDLE,    /* not asked */
	SURVEY_OPENING, /* chain id and head are being asked for */
	SURVEY_OPEN,    /* the head is known */
	SURVEY_READING, /* at the common block, if the kind has one */
	SURVEY_DONE,
	SURVEY_FAILED,
};

struct survey;
typedef void survey_then(struct survey *survey);
/* What takes an answer: RPC_OK, and RPC_ERROR if the question was asked so. */
typedef void survey_take(struct survey *survey, const struct rpc_answer *answer);
/* One log of a scan; it calls survey_fail() when the log should not be there. */
typedef void survey_log(struct survey *survey, const struct chain_log *log);

struct survey {
	struct question *question;
	struct endpoint *endpoint;
	enum survey_state state;
	bool chosen; /* takes part in the verdict */
	struct rpc_request *request;
	const char *method; /* of the request */
	bool errors_taken;
	survey_take *take;
	unsigned requests_left;
	int64_t until_us;               /* the monotonic clock: no request is begun after that */
	struct chain_block head, block; /* block: the common one */
	char reason[RPC_REASON_SIZE];   /* SURVEY_FAILED */
	void *work;                     /* the kind's */

	/* survey_block */
	int64_t asked_number;
	struct chain_block read;
	survey_then *read_then;
	/* survey_seek */
	struct chain_block low, high;
	bool low_known;
	int64_t want_s, back;
	unsigned seek_count;
	survey_then *seek_then;
	/* survey_scan */
	json_t *filter;
	int64_t scan_at, scan_end, scan_span;
	unsigned scan_left;
	size_t scan_count, scan_count_max;
	bool scanned; /* to the end */
	survey_log *scan_log;
	survey_then *scan_then;
};

/** Ask for the chain id, unless it is known, and the head. */
void survey_open(struct survey *survey);
/** Read the block target, and begin the kind's questions. */
void survey_begin(struct survey *survey, int64_t target);
/** Back to SURVEY_IDLE or, when it was read at another block, SURVEY_OPEN. Requests under
 * way are dropped. */
void survey_reset(struct survey *survey, enum survey_state state);

/** One request. params becomes ours. errors_taken: take is also given error objects, which
 * else end the survey. */
void survey_ask(struct survey *survey, const char *method, json_t *params, size_t answer_size_max,
    bool errors_taken, survey_take *take);
/** Read the block with a number at or below the common one's into survey->read. */
void survey_block(struct survey *survey, int64_t number, survey_then *then);
/** Find two blocks around a moment: low is at or before it (or the chain's first), high after
 * it, not far apart. When the common block is not after it, both are that. */
void survey_seek(struct survey *survey, int64_t time_s, survey_then *then);
/** eth_getLogs from block to block, in pieces; filter (address and topics) becomes ours. from
 * is survey->low's number, which survey_seek() found: when only small pieces are allowed it
 * is looked for again, more closely.
 * Blocks above the common one may be refused without harm. survey->scanned is false when the
 * end was not reached: the pieces were too many, or were refused there. */
void survey_scan(struct survey *survey, json_t *filter, int64_t from, int64_t to, size_t count_max,
    survey_log *log, survey_then *then);
/** How many pieces of logs so many blocks are, as far as the endpoint is known. */
int64_t survey_pieces(const struct survey *survey, int64_t blocks);
/** The last step: the common block is still the same. */
void survey_close(struct survey *survey);

void survey_done(struct survey *survey);
void survey_fail(struct survey *survey, const char *format, ...) PRINTF_LIKE(2, 3);

/* --- questions (chain.c) --- */

struct question_kind {
	bool all;       /* every endpoint is asked, and counts */
	bool blockless; /* no head, no common block */
	/* One endpoint's part, ended by survey_close, survey_done or survey_fail. */
	void (*begin)(struct survey *survey);
	/* Frees survey->work. NULL: there is none. */
	void (*forget)(struct survey *survey);
	/* Tells the caller; OK: the chosen surveys are done, at the same block. */
	void (*report)(struct question *question, enum chain_result result, const char *reason);
	/* Frees what the question copied. NULL: nothing. */
	void (*fini)(struct question *question);
};

/* The first member of each kind's own. */
struct question {
	struct chain *chain;
	struct question *prev, *next;
	const struct question_kind *kind;
	struct event step;
	size_t need; /* surveys that must agree */
	int64_t depth;
	bool reading;
	int64_t target;
	struct survey surveys[CHAIN_ENDPOINTS_MAX]; /* in the order of asking */
	size_t survey_count;
};

/** Fills in the question and has its first step taken from the loop. */
void question_start(struct question *question, struct chain *chain,
    const struct question_kind *kind, size_t need, int64_t depth);
/** min(2, endpoints), at least one. */
size_t question_quorum(const struct chain *chain);
/** Have the next step taken, from the loop. */
void question_wake(struct question *question);
/** The chosen surveys in order: the one at or after *position, which is advanced past it. */
struct survey *question_next(struct question *question, size_t *position);
const char *survey_origin(const struct survey *survey);

#endif
