/* policy/index.c - sort the limits once, so that a look-up only merges. */
#include "policy/index.h"

#include <stdlib.h>

#include "common/must.h"
#include "policy/decide.h"

struct ranked {
	unsigned rank;
	size_t position;
};

static int ranked_cmp(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return (a->position > b->position) - (a->position < b->position);
}

/* By precedence, then as written; the caller frees it. */
static size_t *order_new(const struct policy *policy)
{
	struct ranked *ranked = must_calloc(policy->limit_count + 1, sizeof(*ranked));
	size_t *order = must_calloc(policy->limit_count + 1, sizeof(*order));

	for (size_t i = 0; i < policy->limit_count; i++)
		ranked[i] = (struct ranked){decide_rank(&policy->limits[i]), i};
	qsort(ranked, policy->limit_count, sizeof(*ranked), ranked_cmp);
	for (size_t i = 0; i < policy->limit_count; i++)
		order[i] = ranked[i].position;
	free(ranked);
	return order;
}

struct policy_index *policy_index_new(const struct policy *policy)
{
	struct policy_index *index = must_calloc(1, sizeof(*index));

	index->order = order_new(policy);
	index->tools = patterns_new(policy->limit_count);
	index->payees = patterns_new(policy->limit_count);
	for (size_t i = 0; i < policy->limit_count; i++) {
		const struct limit *limit = &policy->limits[index->order[i]];

		patterns_add(limit->scope == LIMIT_SCOPE_PAYEE ? index->payees : index->tools, i,
		    limit->target);
	}
	index->allows = patterns_new(policy->rule_count);
	index->denies = patterns_new(policy->rule_count);
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct rule *rule = &policy->rules[i];

		patterns_add(
		    rule->effect == RULE_DENY ? index->denies : index->allows, i, rule->pattern);
	}
	return index;
}

void policy_index_free(struct policy_index **index)
{
	if (*index == NULL)
		return;
	patterns_free(&(*index)->denies);
	patterns_free(&(*index)->allows);
	patterns_free(&(*index)->payees);
	patterns_free(&(*index)->tools);
	free((*index)->order);
	free(*index);
	*index = NULL;
}
