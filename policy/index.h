/* policy/index.h - what in a policy speaks about one tool or one payee.
 *
 * Built once, after parsing; never changes. Internal to policy/. */
#ifndef POLICY_INDEX_H
#define POLICY_INDEX_H

#include <stddef.h>

#include "policy/patterns.h"
#include "policy/policy.h"

struct policy_index {
	size_t *order;           /* positions in policy->limits, by precedence */
	struct patterns *tools;  /* over order: every limit but those on payees */
	struct patterns *payees; /* over order: the limits on payees */
	struct patterns *allows; /* over policy->rules */
	struct patterns *denies;
};

/** Keeps the patterns and targets of policy, which must outlive it. */
struct policy_index *policy_index_new(const struct policy *policy);
/** Accepts NULL inside. */
void policy_index_free(struct policy_index **index);

#endif
