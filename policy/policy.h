/* policy/policy.h - what an owner allows an agent, as data.
 *
 * Source: doc/ARCHITECTURE.md "Policy", tallyward-policy(5). Both written forms
 * (budget / tools / rateLimit, and rules / limits / payment) become this one
 * structure; the short form is sugar. Immutable after parsing, so it is shared
 * between threads without a lock. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "policy/limit.h"

/* A policy file is written by hand; a megabyte holds 10,000 limits. */
#define POLICY_SIZE_MAX (1u << 20)
/* Each of the two lists: more than that megabyte is ever likely to hold. */
#define POLICY_LIMITS_MAX 16384u
#define POLICY_RULES_MAX  16384u

/* Bytes in a tool pattern, a name or a symbol: one line of a table or a log. */
#define POLICY_WORD_SIZE_MAX 256u

/* Authorization lifetime, seconds (x402: facilitators want now + 6 at least). */
#define POLICY_AUTHORIZATION_S_MIN     15
#define POLICY_AUTHORIZATION_S_MAX     3600
#define POLICY_AUTHORIZATION_S_DEFAULT 60

enum rule_effect { RULE_ALLOW = 1, RULE_DENY = 2 };

struct rule {
	enum rule_effect effect;
	char *pattern; /* glob over the tool's name */
	char *name;    /* "allow web_search", as a refusal names it */
};

/* What may be signed. A NULL list allows everything our asset table knows; an
 * empty list (count 0, items not NULL) allows nothing. */
struct policy_list {
	char **items;
	size_t count;
};

struct policy_payment {
	struct policy_list networks; /* "eip155:84532" */
	struct policy_list assets;   /* symbol ("USDC") or contract address, lower case */
	struct policy_list payees;   /* addresses, lower case, 0x */
	int64_t authorization_s_max;
	bool pin_payee;              /* a tool's first paid payee is the only one after */
	bool require_offer;          /* only options that payTo has signed an offer for */
};

struct policy {
	char *agent; /* from the file, or NULL */
	char *owner; /* from the file, or NULL */
	struct rule *rules;
	size_t rule_count;
	bool has_allow; /* an allowlist was written, even an empty one */
	struct limit *limits;
	size_t limit_count;
	struct policy_payment payment;
	struct policy_index *index; /* policy/index.h: what speaks about a tool or a payee */
};

/** policy_parse - read either form.
 *
 * Returns  the policy (policy_free), or NULL with *error saying path, line,
 *          reason and the nearest known key.
 * In       text, size  the file as read; not kept. At most POLICY_SIZE_MAX bytes,
 *                      and at most as many again once written in the full form,
 *                      so that what policy_format() wrote can always be read
 * Addresses are kept in lower case; mixed case must pass the EIP-55 check, so
 * that a mistyped payee is an error here and not a limit that never applies. */
struct policy *policy_parse(struct json_error *error, const char *text, size_t size);
/** Accepts NULL inside. */
void policy_free(struct policy **policy);

/** The policy in the full form, one rule or limit a line, for `policy show`; the
 * caller frees it. policy_parse() of it gives an equal policy. An allowlist that
 * is empty has no rule to stand for it and is written as in the short form. */
char *policy_format(const struct policy *policy);

/** policy_rule - may this tool be called at all? Block wins over allow; without
 * an allowlist every tool is allowed; an empty one allows nothing.
 *
 * Returns  true when allowed
 * Out      name  always set, borrowed, never NULL: the first rule written that
 *                decides it, "no allowlist" or "not in allowlist" */
bool policy_rule(const struct policy *policy, const char *tool, const char **name) MUST_CHECK;

/** policy_limits - the limits that speak about one call.
 *
 * Returns  how many there are; pointers to the first `count_max` are stored.
 *          Order: as in decide.h's precedence (call, session, total, month, day,
 *          hour, minute; within session and total spend before calls, then the
 *          windowed counts of calls from month to minute), then as written.
 * In       payee  lower-case 0x address, or NULL while no quote has arrived: then
 *                 payee limits are left out
 *          metered  true leaves wallet limits out
 * Cost     grows with the limits that apply and with those written with wildcards,
 *          not with all of them. */
size_t policy_limits(const struct limit **out, size_t count_max, const struct policy *policy,
    const char *tool, const char *payee, bool metered);

#endif
