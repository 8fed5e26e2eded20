/* A policy file: what is read is within its bounds and can be written and read again, and a
 * decision under it never lets a limit be crossed.
 *
 * The first eight bytes are what is asked and what was counted before; the rest is the file. */
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/policy.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"

#define ASKED_SIZE 8
#define LIMITS_MAX 64

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void check_list(const struct policy_list *list, const struct policy_list *again)
{
	size_t i;

	must((list->items == NULL) == (again->items == NULL) && list->count == again->count);
	must(list->items != NULL || list->count == 0);
	for (i = 0; i < list->count; i++) {
		must(list->items[i][0] && strlen(list->items[i]) <= POLICY_WORD_SIZE_MAX);
		must(same(list->items[i], again->items[i]));
	}
}

static void check_limits(const struct policy *policy, const struct policy *again)
{
	size_t i;

	must(policy->limit_count <= POLICY_LIMITS_MAX && policy->limit_count == again->limit_count);
	for (i = 0; i < policy->limit_count; i++) {
		const struct limit *a = &policy->limits[i], *b = &again->limits[i];

		must(a->max >= 0 && a->max == b->max);
		must(a->scope >= LIMIT_SCOPE_SESSION && a->scope <= LIMIT_SCOPE_PAYEE);
		must(a->window >= WINDOW_CALL && a->window <= WINDOW_TOTAL);
		must(a->measure == LIMIT_SPEND || a->measure == LIMIT_CALLS);
		must(a->scope == b->scope && a->window == b->window && a->measure == b->measure);
		must(same(a->target, b->target) && same(a->name, b->name) && a->name[0]);
		must(decide_code_of(a) != DECIDE_CODE_NONE);
	}
}

static void check_again(const struct policy *policy)
{
	char *text = policy_format(policy), *text_again;
	struct json_error error;
	struct policy *again = policy_parse(&error, text, strlen(text));
	size_t i;

	must(again != NULL);
	must(same(policy->agent, again->agent) && same(policy->owner, again->owner));
	must(policy->has_allow == again->has_allow);
	must(policy->rule_count <= POLICY_RULES_MAX && policy->rule_count == again->rule_count);
	for (i = 0; i < policy->rule_count; i++) {
		must(policy->rules[i].effect == again->rules[i].effect);
		must(same(policy->rules[i].pattern, again->rules[i].pattern));
		must(same(policy->rules[i].name, again->rules[i].name));
	}
	check_limits(policy, again);
	check_list(&policy->payment.networks, &again->payment.networks);
	check_list(&policy->payment.assets, &again->payment.assets);
	check_list(&policy->payment.payees, &again->payment.payees);
	must(policy->payment.authorization_s_max >= POLICY_AUTHORIZATION_S_MIN);
	must(policy->payment.authorization_s_max <= POLICY_AUTHORIZATION_S_MAX);
	must(policy->payment.authorization_s_max == again->payment.authorization_s_max);
	must(policy->payment.pin_payee == again->payment.pin_payee);
	must(policy->payment.require_offer == again->payment.require_offer);
	text_again = policy_format(again);
	must(strcmp(text, text_again) == 0);
	free(text_again);
	policy_free(&again);
	free(text);
}

/* What fits may be added to every total; what was granted is what may be had. */
static void check_decision(const struct decide_request *request, const struct limit *const *limits,
    const struct limit_total *totals, size_t count)
{
	struct decision decision = decide(request, limits, totals, count);
	size_t i;

	must(strcmp(decide_code_str(decision.code), "unknown") != 0);
	must(decision.granted >= 0 && decision.granted <= request->spend);
	must(decision.verdict == DECIDE_ALLOW || decision.granted == 0);
	must((decision.verdict == DECIDE_ALLOW) == (decision.code == DECIDE_CODE_NONE));
	must(decision.verdict == DECIDE_ALLOW || decision.limit != NULL);
	if (decision.verdict != DECIDE_ALLOW)
		return;
	must(request->may_shrink || decision.granted == request->spend);
	must(decision.granted > 0 || request->spend == 0);
	for (i = 0; i < count; i++) {
		bool call = limits[i]->window == WINDOW_CALL;
		int64_t firm = call || totals[i].firm < 0 ? 0 : totals[i].firm;
		int64_t held = call || totals[i].provisional < 0 ? 0 : totals[i].provisional;
		int64_t left = limits[i]->max - firm;

		if (limits[i]->measure == LIMIT_CALLS)
			must(!request->count_call || left >= 1);
		else
			must(decision.granted == 0 || left - held >= decision.granted);
	}
}

static void check_decide(const struct policy *policy, const uint8_t *asked)
{
	static const char *const tools[] = {"web_search", "github/issues", "a"};
	static const char payee[] = "0x209693bc6afc0c5328ba36faf03c514ef312287c";
	const struct limit *limits[LIMITS_MAX];
	struct limit_total totals[LIMITS_MAX];
	const char *name = NULL, *tool = tools[asked[0] % 3];
	struct decide_request request = {
	    .spend = ((int64_t)asked[1] << (asked[2] % 56)) + asked[3] - (asked[2] > 200),
	    .may_shrink = (asked[0] & 4) != 0,
	    .count_call = (asked[0] & 8) != 0,
	};
	size_t count = policy_limits(
	    limits, LIMITS_MAX, policy, tool, asked[0] & 16 ? payee : NULL, asked[0] & 32);
	size_t i;

	if (request.spend < 0)
		request.spend = INT64_MAX;
	must(count <= policy->limit_count);
	if (count > LIMITS_MAX)
		count = LIMITS_MAX;
	for (i = 0; i < count; i++) {
		must(i == 0 || decide_rank(limits[i - 1]) <= decide_rank(limits[i]));
		totals[i] = (struct limit_total){
		    .firm = asked[4] == 255 ? INT64_MAX : (int64_t)asked[4] << (asked[5] % 55),
		    .provisional =
			asked[6] == 255 ? INT64_MAX : (int64_t)asked[6] << (asked[7] % 55),
		    .resets_us = asked[7],
		};
		if (asked[5] > 250)
			totals[i].firm = -1 - totals[i].firm;
		if (i % 3 == 2)
			totals[i] = (struct limit_total){.firm = limits[i]->max - asked[4]};
	}
	check_decision(&request, limits, totals, count);
	(void)!policy_rule(policy, tool, &name);
	must(name != NULL && name[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_error error = {.line = -1};
	struct policy *policy;
	const char *text;
	json_t *tree;
	int line = 1;
	size_t i;

	if (size < ASKED_SIZE)
		return 0;
	text = (const char *)data + ASKED_SIZE;
	size -= ASKED_SIZE;
	policy = policy_parse(&error, text, size);
	if (policy == NULL) {
		for (i = 0; i < size; i++)
			line += text[i] == '\n';
		must(error.line >= 0 && error.line <= line && error.reason[0]);
		return 0;
	}
	tree = json_read(&error, text, size, POLICY_SIZE_MAX);
	must(tree != NULL && members_all(text, size, tree));
	json_decref(tree);
	check_again(policy);
	check_decide(policy, data);
	policy_free(&policy);
	must(policy == NULL);
	return 0;
}
