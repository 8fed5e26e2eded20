/* policy/parse.c - both written forms into rules and limits.
 *
 * A reader starts at the tables: what each object may hold and which function
 * reads it. The short form is sugar; its keys name the limit they stand for. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "policy/draft.h"
#include "policy/format.h"
#include "policy/index.h"
#include "policy/policy.h"
#include "policy/words.h"

/* A list with room for one more item. */
static void *grown(void *items, size_t *capacity, size_t count, size_t item_size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity == 0 ? 8 : *capacity * 2;
	return must_realloc(items, *capacity * item_size);
}

static bool add_rule(
    struct draft *draft, const struct spot *at, enum rule_effect effect, const json_t *value)
{
	struct policy *policy = draft->policy;
	const char *pattern, *wrong;

	if (!draft_text(draft, at, &pattern, value))
		return false;
	wrong = words_check_pattern(pattern);
	if (wrong != NULL)
		return draft_fail(draft, at, "%s", wrong);
	if (policy->rule_count == POLICY_RULES_MAX)
		return draft_fail(draft, at, "more than %u rules", POLICY_RULES_MAX);
	policy->rules =
	    grown(policy->rules, &draft->rule_capacity, policy->rule_count, sizeof(*policy->rules));
	policy->rules[policy->rule_count++] = (struct rule){
	    .effect = effect,
	    .pattern = must_strdup(pattern),
	    .name = must_format("%s %s", effect == RULE_ALLOW ? "allow" : "deny", pattern),
	};
	if (effect == RULE_ALLOW)
		policy->has_allow = true;
	return true;
}

/* Takes limit's target, also when it fails. */
static bool add_limit(struct draft *draft, const struct spot *at, struct limit limit)
{
	struct policy *policy = draft->policy;

	if (policy->limit_count == POLICY_LIMITS_MAX) {
		limit_fini(&limit);
		return draft_fail(draft, at, "more than %u limits", POLICY_LIMITS_MAX);
	}
	policy->limits = grown(
	    policy->limits, &draft->limit_capacity, policy->limit_count, sizeof(*policy->limits));
	limit.name = limit_format_name(&limit);
	policy->limits[policy->limit_count++] = limit;
	return true;
}

static bool read_name(struct draft *draft, const struct spot *at, json_t *value, char **out)
{
	const char *text;

	if (!draft_text(draft, at, &text, value))
		return false;
	*out = must_strdup(text);
	return true;
}

static bool read_agent(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_name(draft, at, value, &draft->policy->agent);
}

static bool read_owner(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_name(draft, at, value, &draft->policy->owner);
}

/* The short form: budget, tools, rateLimit. */

static bool read_budget_cents(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	struct limit limit = {.scope = key->scope, .window = key->window, .measure = LIMIT_SPEND};

	return draft_cents(draft, at, &limit.max, value) && add_limit(draft, at, limit);
}

static bool read_budget_dollars(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	struct limit limit = {.scope = key->scope, .window = key->window, .measure = LIMIT_SPEND};

	return draft_dollars(draft, at, &limit.max, value) && add_limit(draft, at, limit);
}

static bool read_rate(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	struct limit limit = {.scope = key->scope, .window = key->window, .measure = LIMIT_CALLS};

	return draft_count(draft, at, &limit.max, value, "calls") && add_limit(draft, at, limit);
}

/* Pairs: dollars, then the same in cents. */
static const struct draft_key BUDGET_KEYS[] = {
    {"sessionLimit", read_budget_dollars, LIMIT_SCOPE_SESSION, WINDOW_TOTAL},
    {"sessionLimitCents", read_budget_cents, LIMIT_SCOPE_SESSION, WINDOW_TOTAL},
    {"maxPerCall", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_CALL},
    {"maxPerCallCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_CALL},
    {"minuteLimit", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_MINUTE},
    {"minuteLimitCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_MINUTE},
    {"hourlyLimit", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_HOUR},
    {"hourlyLimitCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_HOUR},
    {"dailyLimit", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_DAY},
    {"dailyLimitCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_DAY},
    {"monthlyLimit", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_MONTH},
    {"monthlyLimitCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_MONTH},
    {"totalLimit", read_budget_dollars, LIMIT_SCOPE_AGENT, WINDOW_TOTAL},
    {"totalLimitCents", read_budget_cents, LIMIT_SCOPE_AGENT, WINDOW_TOTAL},
    {NULL, NULL, 0, 0},
};

static const struct draft_key RATE_KEYS[] = {
    {"callsPerMinute", read_rate, LIMIT_SCOPE_AGENT, WINDOW_MINUTE},
    {"callsPerHour", read_rate, LIMIT_SCOPE_AGENT, WINDOW_HOUR},
    {"callsPerDay", read_rate, LIMIT_SCOPE_AGENT, WINDOW_DAY},
    {"callsPerMonth", read_rate, LIMIT_SCOPE_AGENT, WINDOW_MONTH},
    {"callsPerSession", read_rate, LIMIT_SCOPE_SESSION, WINDOW_TOTAL},
    {NULL, NULL, 0, 0},
};

static bool read_budget(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	for (size_t i = 0; BUDGET_KEYS[i].name != NULL; i += 2) {
		const char *dollars = BUDGET_KEYS[i].name, *cents = BUDGET_KEYS[i + 1].name;
		const struct spot here = {.parent = at, .key = cents};

		if (json_object_get(value, dollars) && json_object_get(value, cents))
			return draft_fail(draft, &here,
			    "\"%s\" and \"%s\" say the same thing; keep one", dollars, cents);
	}
	return draft_object(draft, at, value, BUDGET_KEYS);
}

static bool read_rates(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return draft_object(draft, at, value, RATE_KEYS);
}

static bool read_rule_list(
    struct draft *draft, const struct spot *at, json_t *value, enum rule_effect effect)
{
	if (!draft_is_array(draft, at, value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};

		if (!add_rule(draft, &here, effect, json_array_get(value, i)))
			return false;
	}
	return true;
}

static bool read_allowlist(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	draft->policy->has_allow = true; /* also when empty: then nothing is allowed */
	return read_rule_list(draft, at, value, RULE_ALLOW);
}

static bool read_blocklist(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_rule_list(draft, at, value, RULE_DENY);
}

static const struct draft_key TOOLS_KEYS[] = {
    {"allowlist", read_allowlist, 0, 0},
    {"blocklist", read_blocklist, 0, 0},
    {NULL, NULL, 0, 0},
};

static bool read_tools(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return draft_object(draft, at, value, TOOLS_KEYS);
}

/* The full form: rules. */

static bool read_allow(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return add_rule(draft, at, RULE_ALLOW, value);
}

static bool read_deny(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return add_rule(draft, at, RULE_DENY, value);
}

static const struct draft_key RULE_KEYS[] = {
    {"allow", read_allow, 0, 0},
    {"deny", read_deny, 0, 0},
    {NULL, NULL, 0, 0},
};

static bool read_rules(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	if (!draft_is_array(draft, at, value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};
		json_t *rule = json_array_get(value, i);

		if (!draft_object(draft, &here, rule, RULE_KEYS))
			return false;
		if (json_object_size(rule) != 1)
			return draft_fail(
			    draft, &here, "a rule has exactly one key, \"allow\" or \"deny\"");
	}
	return true;
}

/* The full form: limits. One limit is read into draft->limit. */

static const char *const SCOPE_WORDS[] = {"session", "agent", "wallet", "tool", "payee", NULL};
static const char *const WINDOW_WORDS[] = {"call", "minute", "hour", "day", "month", "total", NULL};

static bool read_target(struct draft *draft, const struct spot *at, const char *target)
{
	struct limit *limit = &draft->limit;
	char address[WORDS_ADDRESS_SIZE];
	const char *wrong;

	if (limit->scope != LIMIT_SCOPE_TOOL && limit->scope != LIMIT_SCOPE_PAYEE)
		return draft_fail(draft, at, "scope \"%s\" takes nothing after it",
		    limit_scope_str(limit->scope));
	if (limit->scope == LIMIT_SCOPE_TOOL)
		wrong = words_check_pattern(target);
	else
		wrong = words_check_address(address, target);
	if (wrong != NULL)
		return draft_fail(draft, at, "%s", wrong);
	limit->target = must_strdup(limit->scope == LIMIT_SCOPE_TOOL ? target : address);
	return true;
}

static bool read_scope(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	const char *text, *colon;
	size_t length;

	(void)key;
	if (!draft_text(draft, at, &text, value))
		return false;
	colon = strchr(text, ':');
	length = colon == NULL ? strlen(text) : (size_t)(colon - text);
	for (int scope = LIMIT_SCOPE_SESSION; scope <= LIMIT_SCOPE_PAYEE; scope++) {
		const char *word = limit_scope_str((enum limit_scope)scope);

		if (strlen(word) != length || strncmp(word, text, length) != 0)
			continue;
		draft->limit.scope = (enum limit_scope)scope;
		return colon == NULL || read_target(draft, at, colon + 1);
	}
	return draft_fail_unknown(draft, at, "scope", text, SCOPE_WORDS);
}

static bool read_window(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	const char *text;

	(void)key;
	if (!draft_text(draft, at, &text, value))
		return false;
	if (!window_parse(&draft->limit.window, text))
		return draft_fail_unknown(draft, at, "window", text, WINDOW_WORDS);
	return true;
}

static bool read_spend(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	draft->limit.measure = LIMIT_SPEND;
	return draft_dollars(draft, at, &draft->limit.max, value);
}

static bool read_spend_cents(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	draft->limit.measure = LIMIT_SPEND;
	return draft_cents(draft, at, &draft->limit.max, value);
}

static bool read_calls(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	draft->limit.measure = LIMIT_CALLS;
	return draft_count(draft, at, &draft->limit.max, value, "calls");
}

static const struct draft_key LIMIT_KEYS[] = {
    {"scope", read_scope, 0, 0},
    {"window", read_window, 0, 0},
    {"spend", read_spend, 0, 0},
    {"spendCents", read_spend_cents, 0, 0},
    {"calls", read_calls, 0, 0},
    {NULL, NULL, 0, 0},
};

static bool check_limit(struct draft *draft, const struct spot *at, const json_t *value)
{
	const bool spend = json_object_get(value, "spend") != NULL;
	const bool cents = json_object_get(value, "spendCents") != NULL;
	const bool calls = json_object_get(value, "calls") != NULL;
	const struct spot at_calls = {.parent = at, .key = "calls"};

	if (json_object_get(value, "scope") == NULL)
		return draft_fail(draft, at, "\"scope\" is missing");
	if (json_object_get(value, "window") == NULL)
		return draft_fail(draft, at, "\"window\" is missing");
	if (spend && cents)
		return draft_fail(
		    draft, at, "\"spend\" and \"spendCents\" say the same thing; keep one");
	if ((spend || cents) && calls)
		return draft_fail(
		    draft, at, "a limit has one measure, \"spend\" or \"calls\"; write two limits");
	if (!spend && !cents && !calls)
		return draft_fail(draft, at, "\"spend\" or \"calls\" is missing");
	if (calls && draft->limit.window == WINDOW_CALL)
		return draft_fail(draft, &at_calls,
		    "the window \"call\" holds one call by itself; it limits \"spend\" only");
	return true;
}

static bool read_limits(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	if (!draft_is_array(draft, at, value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};
		json_t *item = json_array_get(value, i);
		struct limit limit;

		if (!draft_object(draft, &here, item, LIMIT_KEYS) ||
		    !check_limit(draft, &here, item))
			return false;
		limit = draft->limit;
		draft->limit = (struct limit){0};
		if (!add_limit(draft, &here, limit))
			return false;
	}
	return true;
}

/* payment: what may be signed. */

/* Returns what is wrong with text, or NULL. An address is written to lower, which
 * stays empty for every other word. */
typedef const char *check_fn(char lower[WORDS_ADDRESS_SIZE], const char *text);

static const char *check_network(char lower[WORDS_ADDRESS_SIZE], const char *text)
{
	(void)lower;
	return words_check_network(text);
}

static const char *check_asset(char lower[WORDS_ADDRESS_SIZE], const char *text)
{
	return strncmp(text, "0x", 2) == 0 ? words_check_address(lower, text)
					   : words_check_symbol(text);
}

static bool read_list(struct draft *draft, const struct spot *at, json_t *value,
    struct policy_list *list, check_fn *check)
{
	if (!draft_is_array(draft, at, value))
		return false;
	list->items = must_calloc(json_array_size(value) + 1, sizeof(*list->items));
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};
		char lower[WORDS_ADDRESS_SIZE] = "";
		const char *text, *wrong;

		if (!draft_text(draft, &here, &text, json_array_get(value, i)))
			return false;
		wrong = check(lower, text);
		if (wrong != NULL)
			return draft_fail(draft, &here, "%s", wrong);
		list->items[list->count++] = must_strdup(*lower == '\0' ? text : lower);
	}
	return true;
}

static bool read_networks(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_list(draft, at, value, &draft->policy->payment.networks, check_network);
}

static bool read_assets(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_list(draft, at, value, &draft->policy->payment.assets, check_asset);
}

static bool read_payees(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return read_list(draft, at, value, &draft->policy->payment.payees, words_check_address);
}

static bool read_authorization(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	int64_t seconds;

	(void)key;
	if (!draft_count(draft, at, &seconds, value, "seconds"))
		return false;
	if (seconds < POLICY_AUTHORIZATION_S_MIN || seconds > POLICY_AUTHORIZATION_S_MAX)
		return draft_fail(draft, at, "must be %d to %d seconds", POLICY_AUTHORIZATION_S_MIN,
		    POLICY_AUTHORIZATION_S_MAX);
	draft->policy->payment.authorization_s_max = seconds;
	return true;
}

static bool read_pin_payee(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return draft_flag(draft, at, &draft->policy->payment.pin_payee, value);
}

static bool read_require_offer(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return draft_flag(draft, at, &draft->policy->payment.require_offer, value);
}

static const struct draft_key PAYMENT_KEYS[] = {
    {"networks", read_networks, 0, 0},
    {"assets", read_assets, 0, 0},
    {"payees", read_payees, 0, 0},
    {"maxAuthorizationSeconds", read_authorization, 0, 0},
    {"pinPayee", read_pin_payee, 0, 0},
    {"requireOffer", read_require_offer, 0, 0},
    {NULL, NULL, 0, 0},
};

static bool read_payment(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *key)
{
	(void)key;
	return draft_object(draft, at, value, PAYMENT_KEYS);
}

static const struct draft_key POLICY_KEYS[] = {
    {"agentId", read_agent, 0, 0},
    {"owner", read_owner, 0, 0},
    {"budget", read_budget, 0, 0},
    {"tools", read_tools, 0, 0},
    {"rateLimit", read_rates, 0, 0},
    {"rules", read_rules, 0, 0},
    {"limits", read_limits, 0, 0},
    {"payment", read_payment, 0, 0},
    {NULL, NULL, 0, 0},
};

/* What was read can be written in the full form and read again. */
static bool check_full_form(struct draft *draft)
{
	struct buf full;
	bool ok;

	buf_init(&full, POLICY_SIZE_MAX);
	policy_write(&full, draft->policy);
	ok = buf_ok(&full);
	buf_fini(&full);
	if (!ok)
		return draft_fail(
		    draft, NULL, "longer than %u bytes in the full form", POLICY_SIZE_MAX);
	return true;
}

struct policy *policy_parse(struct json_error *error, const char *text, size_t size)
{
	struct draft draft = {.error = error, .text = text, .size = size};
	struct policy *policy = NULL;
	json_t *root = json_read(error, text, size, POLICY_SIZE_MAX);

	if (root == NULL)
		return NULL;
	draft.policy = must_calloc(1, sizeof(*draft.policy));
	draft.policy->payment.authorization_s_max = POLICY_AUTHORIZATION_S_DEFAULT;
	if (!draft_object(&draft, NULL, root, POLICY_KEYS) || !check_full_form(&draft))
		goto out;
	draft.policy->index = policy_index_new(draft.policy);
	policy = draft.policy;
	draft.policy = NULL;
out:
	limit_fini(&draft.limit);
	policy_free(&draft.policy);
	json_decref(root);
	return policy;
}
