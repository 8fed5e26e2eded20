/* policy/format.c - one rule or limit a line, in the order they are kept. */
#include "policy/format.h"

#include <stdlib.h>

static void add_quoted(struct buf *out, const char *text)
{
	json_t *string = json_string(text);
	char *quoted = string == NULL ? NULL : json_dumps(string, JSON_ENCODE_ANY);

	must(quoted != NULL); /* every string came out of a JSON file */
	buf_add_str(out, quoted);
	free(quoted);
	json_decref(string);
}

static void write_member(struct buf *out, const char *key, const char *text)
{
	if (text == NULL)
		return;
	buf_add_format(out, "  \"%s\": ", key);
	add_quoted(out, text);
	buf_add_str(out, ",\n");
}

static void write_rules(struct buf *out, const struct policy *policy)
{
	bool has_allow = false;

	buf_add_str(out, "  \"rules\": [");
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct rule *rule = &policy->rules[i];

		buf_add_format(out, "%s\n    {\"%s\": ", i == 0 ? "" : ",",
		    rule->effect == RULE_ALLOW ? "allow" : "deny");
		add_quoted(out, rule->pattern);
		buf_add_str(out, "}");
		has_allow = has_allow || rule->effect == RULE_ALLOW;
	}
	buf_add_str(out, policy->rule_count == 0 ? "],\n" : "\n  ],\n");
	if (policy->has_allow && !has_allow)
		buf_add_str(out, "  \"tools\": {\"allowlist\": []},\n");
}

static void write_limit(struct buf *out, const struct limit *limit)
{
	const char *scope = limit_scope_str(limit->scope);
	char dollars[AMOUNT_TEXT_SIZE];

	buf_add_str(out, "{\"scope\": ");
	if (limit->target == NULL) {
		add_quoted(out, scope);
	} else {
		char *with_target = must_format("%s:%s", scope, limit->target);

		add_quoted(out, with_target);
		free(with_target);
	}
	buf_add_format(out, ", \"window\": \"%s\", ", window_str(limit->window));
	if (limit->measure == LIMIT_CALLS)
		buf_add_format(out, "\"calls\": %lld}", (long long)limit->max);
	else
		buf_add_format(
		    out, "\"spend\": \"%s\"}", amount_format(dollars, amount_of(limit->max)));
}

static void write_limits(struct buf *out, const struct policy *policy)
{
	buf_add_str(out, "  \"limits\": [");
	for (size_t i = 0; i < policy->limit_count; i++) {
		buf_add_str(out, i == 0 ? "\n    " : ",\n    ");
		write_limit(out, &policy->limits[i]);
	}
	buf_add_str(out, policy->limit_count == 0 ? "],\n" : "\n  ],\n");
}

static void write_list(struct buf *out, const char *key, const struct policy_list *list)
{
	if (list->items == NULL)
		return;
	buf_add_format(out, "    \"%s\": [", key);
	for (size_t i = 0; i < list->count; i++) {
		buf_add_str(out, i == 0 ? "" : ", ");
		add_quoted(out, list->items[i]);
	}
	buf_add_str(out, "],\n");
}

void policy_write(struct buf *out, const struct policy *policy)
{
	const struct policy_payment *payment = &policy->payment;

	buf_add_str(out, "{\n");
	write_member(out, "agentId", policy->agent);
	write_member(out, "owner", policy->owner);
	write_rules(out, policy);
	write_limits(out, policy);
	buf_add_str(out, "  \"payment\": {\n");
	write_list(out, "networks", &payment->networks);
	write_list(out, "assets", &payment->assets);
	write_list(out, "payees", &payment->payees);
	buf_add_format(out,
	    "    \"maxAuthorizationSeconds\": %lld,\n    \"pinPayee\": %s,\n"
	    "    \"requireOffer\": %s\n  }\n}\n",
	    (long long)payment->authorization_s_max, payment->pin_payee ? "true" : "false",
	    payment->require_offer ? "true" : "false");
}

char *policy_format(const struct policy *policy)
{
	struct buf out;

	buf_init(&out, POLICY_SIZE_MAX);
	policy_write(&out, policy);
	must(buf_ok(&out)); /* policy_parse() made sure of it */
	return buf_take(&out);
}
