/* policy/policy.c - asking a policy about one call. */
#include "policy/policy.h"

#include <stdlib.h>

#include "policy/index.h"

static void policy_list_fini(struct policy_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct policy_list){0};
}

void policy_free(struct policy **policy)
{
	struct policy *old = *policy;

	if (old == NULL)
		return;
	policy_index_free(&old->index);
	policy_list_fini(&old->payment.payees);
	policy_list_fini(&old->payment.assets);
	policy_list_fini(&old->payment.networks);
	for (size_t i = 0; i < old->limit_count; i++)
		limit_fini(&old->limits[i]);
	free(old->limits);
	for (size_t i = 0; i < old->rule_count; i++) {
		free(old->rules[i].pattern);
		free(old->rules[i].name);
	}
	free(old->rules);
	free(old->owner);
	free(old->agent);
	free(old);
	*policy = NULL;
}

bool policy_rule(const struct policy *policy, const char *tool, const char **name)
{
	struct patterns_walk denies = patterns_match(policy->index->denies, tool);
	struct patterns_walk allows = patterns_match(policy->index->allows, tool);
	const size_t deny = patterns_next(&denies);
	const size_t allow = patterns_next(&allows);

	if (deny != PATTERNS_END) {
		*name = policy->rules[deny].name;
		return false;
	}
	if (!policy->has_allow) {
		*name = "no allowlist";
		return true;
	}
	*name = allow == PATTERNS_END ? "not in allowlist" : policy->rules[allow].name;
	return allow != PATTERNS_END;
}

size_t policy_limits(const struct limit **out, size_t count_max, const struct policy *policy,
    const char *tool, const char *payee, bool metered)
{
	const struct policy_index *index = policy->index;
	struct patterns_walk tools = patterns_match(index->tools, tool);
	struct patterns_walk payees = {0};
	size_t next_tool = patterns_next(&tools);
	size_t next_payee = PATTERNS_END;
	size_t count = 0;

	if (payee != NULL) {
		payees = patterns_match(index->payees, payee);
		next_payee = patterns_next(&payees);
	}
	while (next_tool != PATTERNS_END || next_payee != PATTERNS_END) {
		const bool is_tool = next_tool < next_payee;
		const size_t next = is_tool ? next_tool : next_payee;
		const struct limit *limit = &policy->limits[index->order[next]];

		if (is_tool)
			next_tool = patterns_next(&tools);
		else
			next_payee = patterns_next(&payees);
		if (metered && limit->scope == LIMIT_SCOPE_WALLET)
			continue;
		if (count < count_max)
			out[count] = limit;
		count++;
	}
	return count;
}
