/* policy/limit.c - the words and the name of a limit. */
#include "policy/limit.h"

#include <stdlib.h>

#include "common/must.h"

const char *limit_scope_str(enum limit_scope scope)
{
	switch (scope) {
	case LIMIT_SCOPE_SESSION:
		return "session";
	case LIMIT_SCOPE_AGENT:
		return "agent";
	case LIMIT_SCOPE_WALLET:
		return "wallet";
	case LIMIT_SCOPE_TOOL:
		return "tool";
	case LIMIT_SCOPE_PAYEE:
		return "payee";
	}
	must_fail("a known scope", __FILE__, __LINE__, __func__);
}

const char *limit_measure_str(enum limit_measure measure)
{
	switch (measure) {
	case LIMIT_SPEND:
		return "spend";
	case LIMIT_CALLS:
		return "calls";
	}
	must_fail("a known measure", __FILE__, __LINE__, __func__);
}

char *limit_format_name(const struct limit *limit)
{
	const char *scope = limit_scope_str(limit->scope);
	const char *colon = limit->target == NULL ? "" : ":";
	const char *target = limit->target == NULL ? "" : limit->target;
	const char *window = window_str(limit->window);
	char dollars[AMOUNT_TEXT_SIZE];

	if (limit->measure == LIMIT_CALLS)
		return must_format(
		    "%s%s%s %s calls %lld", scope, colon, target, window, (long long)limit->max);
	return must_format("%s%s%s %s spend %s", scope, colon, target, window,
	    amount_format(dollars, amount_of(limit->max)));
}

void limit_fini(struct limit *limit)
{
	free(limit->target);
	free(limit->name);
	*limit = (struct limit){0};
}
