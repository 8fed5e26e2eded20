/* Random policies, totals and requests against models too simple to be wrong.
 *
 * Each run takes a new seed and prints it when something differs;
 * TEST_SEED=n runs that one again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/glob.h"
#include "policy/decide.h"
#include "policy/policy.h"

#define ROUNDS	   20000
#define LIMITS_MAX 8

static uint64_t seed;
static uint64_t random_state;

#define check(expr)                                                                                \
	do {                                                                                       \
		if (!(expr))                                                                       \
			fail_msg("%s: TEST_SEED=%llu", #expr, (unsigned long long)seed);           \
	} while (0)

/* xorshift64*, of which the better, higher half is used. */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717);
}

static int64_t random_below(int64_t bound)
{
	return (int64_t)((random_next() >> 32) % (uint64_t)bound);
}

/* Small, so that limits are met often; now and then an end of the number line. */
static int64_t random_quantity(void)
{
	if (random_below(20) == 0)
		return INT64_MAX - random_below(3);
	return random_below(12);
}

static enum window random_window(enum limit_measure measure)
{
	const int first = measure == LIMIT_CALLS ? WINDOW_MINUTE : WINDOW_CALL;

	return (enum window)(first + random_below(WINDOW_TOTAL - first + 1));
}

static struct limit random_limit(void)
{
	struct limit limit = {0};

	limit.scope = (enum limit_scope)(1 + random_below(5));
	limit.measure = (enum limit_measure)(1 + random_below(2));
	limit.window = random_window(limit.measure);
	limit.max = random_quantity();
	return limit;
}

/* The words of decide.h in wide arithmetic, one limit at a time. */
static __int128 model_want(const struct decide_request *request, const struct limit *const *limits,
    const struct limit_total *totals, size_t count)
{
	__int128 want = request->spend;

	for (size_t i = 0; i < count; i++) {
		const int64_t firm = limits[i]->window == WINDOW_CALL ? 0 : totals[i].firm;
		const __int128 left = (__int128)limits[i]->max - firm;

		if (request->may_shrink && limits[i]->measure == LIMIT_SPEND && left < want)
			want = left < 0 ? 0 : left;
	}
	return want;
}

static bool model_fits(const struct decide_request *request, __int128 want,
    const struct limit *limit, const struct limit_total *total, bool with_provisional)
{
	__int128 used = limit->window == WINDOW_CALL ? 0 : total->firm;

	if (limit->measure == LIMIT_CALLS)
		return !request->count_call || used + 1 <= limit->max;
	if (request->spend == 0)
		return true;
	if (with_provisional && limit->window != WINDOW_CALL)
		used += total->provisional;
	/* A want shrunk to nothing fits nothing that is full. */
	return used + (want == 0 ? 1 : want) <= limit->max;
}

static enum decide_verdict model_verdict(const struct decide_request *request, __int128 want,
    const struct limit *const *limits, const struct limit_total *totals, size_t count)
{
	enum decide_verdict verdict = DECIDE_ALLOW;

	for (size_t i = 0; i < count; i++) {
		if (!model_fits(request, want, limits[i], &totals[i], false))
			return DECIDE_DENY;
		if (!model_fits(request, want, limits[i], &totals[i], true))
			verdict = DECIDE_WAIT;
	}
	return verdict;
}

/* Whether the limit named is one that refuses, and none that refuses ranks before it. */
static void check_named(const struct decision *got, const struct decide_request *request,
    __int128 want, const struct limit *const *limits, const struct limit_total *totals,
    size_t count)
{
	const bool with_provisional = got->verdict == DECIDE_WAIT;
	bool found = false;

	for (size_t i = 0; i < count; i++) {
		const bool fits =
		    model_fits(request, want, limits[i], &totals[i], with_provisional);

		if (got->limit == limits[i]) {
			found = true;
			check(!fits);
			check(got->code == decide_code_of(limits[i]));
		} else if (!fits) {
			check(decide_rank(got->limit) <= decide_rank(limits[i]));
		}
	}
	check(found);
}

static void check_invariant(const struct decision *got, const struct decide_request *request,
    const struct limit *const *limits, const struct limit_total *totals, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const bool is_call = limits[i]->window == WINDOW_CALL;
		__int128 used = is_call ? 0 : totals[i].firm;

		if (limits[i]->measure == LIMIT_CALLS) {
			check(!request->count_call || used + 1 <= limits[i]->max);
			continue;
		}
		used += is_call ? 0 : totals[i].provisional;
		check(got->granted == 0 || used + got->granted <= limits[i]->max);
		if (is_call)
			continue;
		/* What remains is the least room, and never more than it. */
		check(got->limit != NULL);
		check(got->remaining >= 0);
		check(used > limits[i]->max || got->remaining <= limits[i]->max - used);
	}
}

static void test_decide(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct limit kept[LIMITS_MAX];
		const struct limit *limits[LIMITS_MAX];
		struct limit_total totals[LIMITS_MAX];
		const size_t count = (size_t)random_below(LIMITS_MAX + 1);
		const struct decide_request request = {
		    .spend = random_quantity(),
		    .may_shrink = random_below(2) == 0,
		    .count_call = random_below(2) == 0,
		};
		struct decision got;
		__int128 want;

		for (size_t i = 0; i < count; i++) {
			kept[i] = random_limit();
			limits[i] = &kept[i];
			totals[i] = (struct limit_total){random_quantity(), random_quantity(), 7};
		}
		want = model_want(&request, limits, totals, count);
		got = decide(&request, limits, totals, count);
		check(got.verdict == model_verdict(&request, want, limits, totals, count));
		if (got.verdict == DECIDE_ALLOW) {
			check(got.granted == want);
			check(got.code == DECIDE_CODE_NONE);
			check_invariant(&got, &request, limits, totals, count);
		} else {
			check(got.granted == 0);
			check_named(&got, &request, want, limits, totals, count);
		}
	}
}

/* A purse kept as a caller keeps it: hold provisionally, refit to a quote or let
 * go, settle. No total ever crosses a limit. */
struct purse {
	struct limit limits[LIMITS_MAX];
	const struct limit *pointers[LIMITS_MAX];
	struct limit_total totals[LIMITS_MAX];
	size_t count;
};

static void purse_add(struct purse *purse, int64_t firm, int64_t provisional, int64_t calls)
{
	for (size_t i = 0; i < purse->count; i++) {
		const bool spend = purse->limits[i].measure == LIMIT_SPEND;

		purse->totals[i].firm += spend ? firm : calls;
		purse->totals[i].provisional += spend ? provisional : 0;
	}
}

static void purse_check(const struct purse *purse)
{
	for (size_t i = 0; i < purse->count; i++) {
		const struct limit_total *total = &purse->totals[i];

		check(total->firm >= 0 && total->provisional >= 0);
		if (purse->limits[i].window != WINDOW_CALL)
			check(total->firm + total->provisional <= purse->limits[i].max);
	}
}

#define HOLDS_MAX 16

static void purse_live(struct purse *purse)
{
	int64_t holds[HOLDS_MAX] = {0}; /* provisional; 0 is a free place */

	for (int step = 0; step < 200; step++) {
		int64_t *hold = &holds[random_below(HOLDS_MAX)];
		struct decide_request request = {.spend = 1 + random_below(9)};
		struct decision got;

		if (*hold == 0) {
			request.may_shrink = true;
			request.count_call = true;
			got = decide(&request, purse->pointers, purse->totals, purse->count);
			if (got.verdict == DECIDE_ALLOW) {
				*hold = got.granted;
				purse_add(purse, 0, *hold, 1);
			}
		} else {
			/* The quote may be above or below what was held. */
			purse_add(purse, 0, -*hold, 0);
			*hold = 0;
			got = decide(&request, purse->pointers, purse->totals, purse->count);
			if (got.verdict == DECIDE_ALLOW)
				purse_add(purse, got.granted, 0, 0);
		}
		purse_check(purse);
	}
}

static void test_purse(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS / 100; round++) {
		struct purse purse = {.count = (size_t)random_below(LIMITS_MAX + 1)};

		for (size_t i = 0; i < purse.count; i++) {
			purse.limits[i] = random_limit();
			purse.limits[i].max = random_below(200);
			purse.pointers[i] = &purse.limits[i];
		}
		purse_live(&purse);
	}
}

static const char *const PATTERNS[] = {"a", "b", "ab", "a/b", "a*", "*b", "a/*", "*", "?", "a?"};
static const char *const TOOLS[] = {"a", "b", "ab", "a/b", "a/b/c", "bb", "c", ""};
static const char *const PAYEES[] = {"0x0000000000000000000000000000000000000001",
    "0x0000000000000000000000000000000000000002", "0x0000000000000000000000000000000000000003"};

#define COUNT_OF(array)	 ((int64_t)(sizeof(array) / sizeof(*(array))))
#define RANDOM_OF(array) ((array)[random_below(COUNT_OF(array))])

static void write_random_limit(struct buf *text)
{
	const struct limit limit = random_limit();

	buf_add_format(text, "{\"scope\": \"%s", limit_scope_str(limit.scope));
	if (limit.scope == LIMIT_SCOPE_TOOL && random_below(4) > 0)
		buf_add_format(text, ":%s", RANDOM_OF(PATTERNS));
	if (limit.scope == LIMIT_SCOPE_PAYEE && random_below(4) > 0)
		buf_add_format(text, ":%s", PAYEES[random_below(2)]);
	buf_add_format(text, "\", \"window\": \"%s\", ", window_str(limit.window));
	if (limit.measure == LIMIT_CALLS)
		buf_add_format(text, "\"calls\": %lld}", (long long)limit.max);
	else
		buf_add_format(text, "\"spend\": \"%lld\"}", (long long)random_below(100));
}

static struct policy *random_policy(void)
{
	const int64_t rules = random_below(5), limits = random_below(20);
	struct json_error error = {0};
	struct policy *policy;
	struct buf text;

	buf_init(&text, POLICY_SIZE_MAX);
	buf_add_str(&text, "{\"rules\": [");
	for (int64_t i = 0; i < rules; i++)
		buf_add_format(&text, "%s{\"%s\": \"%s\"}", i == 0 ? "" : ",",
		    random_below(3) == 0 ? "deny" : "allow", RANDOM_OF(PATTERNS));
	buf_add_str(&text, "], \"limits\": [");
	for (int64_t i = 0; i < limits; i++) {
		buf_add_str(&text, i == 0 ? "" : ",");
		write_random_limit(&text);
	}
	buf_add_str(&text, "]}");
	check(buf_ok(&text));
	policy = policy_parse(&error, buf_str(&text), text.size);
	check(policy != NULL);
	buf_fini(&text);
	return policy;
}

static bool model_applies(
    const struct limit *limit, const char *tool, const char *payee, bool metered)
{
	switch (limit->scope) {
	case LIMIT_SCOPE_SESSION:
	case LIMIT_SCOPE_AGENT:
		return true;
	case LIMIT_SCOPE_WALLET:
		return !metered;
	case LIMIT_SCOPE_TOOL:
		return limit->target == NULL || glob_match(limit->target, tool);
	case LIMIT_SCOPE_PAYEE:
		return payee != NULL &&
		       (limit->target == NULL || strcmp(limit->target, payee) == 0);
	}
	return false;
}

static void check_limits(
    const struct policy *policy, const char *tool, const char *payee, bool metered)
{
	const struct limit *got[32];
	const size_t count = policy_limits(got, 32, policy, tool, payee, metered);
	size_t expected = 0;

	for (size_t i = 0; i < policy->limit_count; i++) {
		const struct limit *limit = &policy->limits[i];
		size_t found = 0;

		for (size_t j = 0; j < count; j++)
			found += got[j] == limit;
		check(found == model_applies(limit, tool, payee, metered));
		expected += found;
	}
	check(count == expected);
	for (size_t i = 1; i < count; i++) {
		check(decide_rank(got[i - 1]) <= decide_rank(got[i]));
		check(decide_rank(got[i - 1]) < decide_rank(got[i]) || got[i - 1] < got[i]);
	}
}

static void check_rule(const struct policy *policy, const char *tool)
{
	const struct rule *deny = NULL, *allow = NULL;
	const char *name, *expected;

	for (size_t i = policy->rule_count; i-- > 0;) {
		const struct rule *rule = &policy->rules[i];

		if (!glob_match(rule->pattern, tool))
			continue;
		if (rule->effect == RULE_DENY)
			deny = rule;
		else
			allow = rule;
	}
	if (deny != NULL)
		expected = deny->name;
	else if (!policy->has_allow)
		expected = "no allowlist";
	else
		expected = allow != NULL ? allow->name : "not in allowlist";
	check(policy_rule(policy, tool, &name) ==
	      (deny == NULL && (allow != NULL || !policy->has_allow)));
	check(strcmp(name, expected) == 0);
}

static void test_lookup(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS / 20; round++) {
		struct policy *policy = random_policy();

		for (int i = 0; i < 8; i++) {
			const char *tool = RANDOM_OF(TOOLS);
			const char *payee = random_below(3) == 0 ? NULL : RANDOM_OF(PAYEES);

			check_limits(policy, tool, payee, random_below(2) == 0);
			check_rule(policy, tool);
		}
		policy_free(&policy);
	}
}

static int choose_seed(void **state)
{
	const char *chosen = getenv("TEST_SEED");

	(void)state;
	if (chosen != NULL)
		seed = strtoull(chosen, NULL, 10);
	else
		bytes_random(&seed, sizeof(seed));
	return 0;
}

/* Each test starts from the seed, so that it can be run by itself. */
static int start_random(void **state)
{
	(void)state;
	random_state = seed | 1; /* xorshift may not start at 0 */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_decide, start_random),
	    cmocka_unit_test_setup(test_purse, start_random),
	    cmocka_unit_test_setup(test_lookup, start_random),
	};

	return cmocka_run_group_tests(tests, choose_seed, NULL);
}
