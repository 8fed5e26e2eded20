/* proxy/problem.h - refusals as RFC 9457 problem+json, with stable codes. */
#ifndef PROXY_PROBLEM_H
#define PROXY_PROBLEM_H

#include <jansson.h>
#include <stdint.h>

#include "common/buf.h"

/* Every way a call can end without the seller's answer. The words are the contract. */
enum problem {
	PROBLEM_NONE = 0,
	PROBLEM_BAD_REQUEST,
	PROBLEM_AGENT_PAYMENT_HEADER,
	PROBLEM_UNAUTHENTICATED,
	PROBLEM_AGENT_SUSPENDED,
	PROBLEM_TOOL_DENIED,
	PROBLEM_OVER_CALL_LIMIT,
	PROBLEM_OVER_SESSION_LIMIT,
	PROBLEM_OVER_TOTAL_LIMIT,
	PROBLEM_INSUFFICIENT_FUNDS,
	PROBLEM_NO_PAYABLE_OPTION,
	PROBLEM_UNKNOWN_TOOL,
	PROBLEM_NOT_FOUND,
	PROBLEM_IDEMPOTENCY_CONFLICT,
	PROBLEM_BODY_TOO_LARGE,
	PROBLEM_OVER_MONTH_LIMIT,
	PROBLEM_OVER_DAY_LIMIT,
	PROBLEM_OVER_HOUR_LIMIT,
	PROBLEM_OVER_MINUTE_LIMIT,
	PROBLEM_RATE_LIMITED,
	PROBLEM_UPSTREAM_UNREACHABLE,
	PROBLEM_PAYMENT_REJECTED,
	PROBLEM_PAYMENT_UNKNOWN,
	PROBLEM_NOT_ACCEPTING_PAYMENTS,
	PROBLEM_UPSTREAM_TIMEOUT,
};

int problem_status(enum problem problem);
const char *problem_code(enum problem problem);
const char *problem_title(enum problem problem);

struct problem_body {
	enum problem problem;
	const char *detail; /* one sentence for a person */
	const char *rule;   /* or NULL */
	bool money;         /* requested and remaining are micro-dollars, else counts */
	bool has_amounts;
	int64_t requested, remaining;
	int64_t resets_us; /* 0: null */
	int64_t call;      /* 0: null */
	json_t *options;   /* borrowed; NULL: left out */
};

/** The JSON text; the caller frees it. */
char *problem_format(const struct problem_body *body);

#endif
