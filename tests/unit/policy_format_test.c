/* Writing a policy: always the full form, and what is written reads back equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "policy/policy.h"

#define ADDRESS "0x209693bc6afc0c5328ba36faf03c514ef312287c"

static struct policy *parse(const char *text)
{
	struct json_error error = {0};
	struct policy *policy = policy_parse(&error, text, strlen(text));

	if (policy == NULL)
		fail_msg("line %d, %s: %s in %s", error.line, error.path, error.reason, text);
	return policy;
}

static const struct {
	const char *text;
	const char *full;
} ROWS[] = {
    {"{}", "{\n"
	   "  \"rules\": [],\n"
	   "  \"limits\": [],\n"
	   "  \"payment\": {\n"
	   "    \"maxAuthorizationSeconds\": 60,\n"
	   "    \"pinPayee\": false,\n"
	   "    \"requireOffer\": false\n"
	   "  }\n"
	   "}\n"},
    {"{\"tools\": {\"allowlist\": [], \"blocklist\": [\"x\"]}}",
	"{\n"
	"  \"rules\": [\n"
	"    {\"deny\": \"x\"}\n"
	"  ],\n"
	"  \"tools\": {\"allowlist\": []},\n"
	"  \"limits\": [],\n"
	"  \"payment\": {\n"
	"    \"maxAuthorizationSeconds\": 60,\n"
	"    \"pinPayee\": false,\n"
	"    \"requireOffer\": false\n"
	"  }\n"
	"}\n"},
    {"{\"owner\": \"asmit@example.com\", \"agentId\": \"coding \\\"agent\\\" \\\\ 01\","
     "\"budget\": {\"sessionLimitCents\": 500, \"maxPerCall\": \"0.5\"},"
     "\"tools\": {\"allowlist\": [\"web_search\", \"git\\\"hub/*\"],"
     "\"blocklist\": [\"crypto_trading\"]},"
     "\"rateLimit\": {\"callsPerMinute\": 10},"
     "\"limits\": [{\"scope\": \"tool:web_search\", \"window\": \"day\", \"spendCents\": 100},"
     "{\"scope\": \"payee:" ADDRESS "\", \"window\": \"month\", \"spend\": \"0.000001\"},"
     "{\"scope\": \"payee\", \"window\": \"hour\", \"calls\": 0}],"
     "\"payment\": {\"requireOffer\": true, \"pinPayee\": true, "
     "\"payees\": [\"" ADDRESS "\"], \"assets\": [],"
     "\"networks\": [\"eip155:1\", \"eip155:8453\"], \"maxAuthorizationSeconds\": 90}}",
	"{\n"
	"  \"agentId\": \"coding \\\"agent\\\" \\\\ 01\",\n"
	"  \"owner\": \"asmit@example.com\",\n"
	"  \"rules\": [\n"
	"    {\"allow\": \"web_search\"},\n"
	"    {\"allow\": \"git\\\"hub/*\"},\n"
	"    {\"deny\": \"crypto_trading\"}\n"
	"  ],\n"
	"  \"limits\": [\n"
	"    {\"scope\": \"session\", \"window\": \"total\", \"spend\": \"5.00\"},\n"
	"    {\"scope\": \"agent\", \"window\": \"call\", \"spend\": \"0.50\"},\n"
	"    {\"scope\": \"agent\", \"window\": \"minute\", \"calls\": 10},\n"
	"    {\"scope\": \"tool:web_search\", \"window\": \"day\", \"spend\": \"1.00\"},\n"
	"    {\"scope\": \"payee:" ADDRESS "\", \"window\": \"month\", \"spend\": \"0.000001\"},\n"
	"    {\"scope\": \"payee\", \"window\": \"hour\", \"calls\": 0}\n"
	"  ],\n"
	"  \"payment\": {\n"
	"    \"networks\": [\"eip155:1\", \"eip155:8453\"],\n"
	"    \"assets\": [],\n"
	"    \"payees\": [\"" ADDRESS "\"],\n"
	"    \"maxAuthorizationSeconds\": 90,\n"
	"    \"pinPayee\": true,\n"
	"    \"requireOffer\": true\n"
	"  }\n"
	"}\n"},
};

static void test_full_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
		struct policy *policy = parse(ROWS[i].text);
		char *full = policy_format(policy);

		assert_string_equal(full, ROWS[i].full);
		free(full);
		policy_free(&policy);
	}
}

static void assert_text_equal(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void assert_list_equal(const struct policy_list *a, const struct policy_list *b)
{
	assert_int_equal(a->items == NULL, b->items == NULL);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_string_equal(a->items[i], b->items[i]);
}

static void assert_policy_equal(const struct policy *a, const struct policy *b)
{
	assert_text_equal(a->agent, b->agent);
	assert_text_equal(a->owner, b->owner);
	assert_int_equal(a->has_allow, b->has_allow);
	assert_int_equal(a->rule_count, b->rule_count);
	for (size_t i = 0; i < a->rule_count; i++) {
		assert_int_equal(a->rules[i].effect, b->rules[i].effect);
		assert_string_equal(a->rules[i].pattern, b->rules[i].pattern);
		assert_string_equal(a->rules[i].name, b->rules[i].name);
	}
	assert_int_equal(a->limit_count, b->limit_count);
	for (size_t i = 0; i < a->limit_count; i++) {
		assert_int_equal(a->limits[i].scope, b->limits[i].scope);
		assert_text_equal(a->limits[i].target, b->limits[i].target);
		assert_int_equal(a->limits[i].window, b->limits[i].window);
		assert_int_equal(a->limits[i].measure, b->limits[i].measure);
		assert_true(a->limits[i].max == b->limits[i].max);
		assert_string_equal(a->limits[i].name, b->limits[i].name);
	}
	assert_list_equal(&a->payment.networks, &b->payment.networks);
	assert_list_equal(&a->payment.assets, &b->payment.assets);
	assert_list_equal(&a->payment.payees, &b->payment.payees);
	assert_true(a->payment.authorization_s_max == b->payment.authorization_s_max);
	assert_int_equal(a->payment.pin_payee, b->payment.pin_payee);
	assert_int_equal(a->payment.require_offer, b->payment.require_offer);
}

static void check_round_trip(const char *text)
{
	struct policy *policy = parse(text);
	char *full = policy_format(policy);
	struct policy *again = parse(full);
	char *full_again = policy_format(again);

	assert_policy_equal(policy, again);
	assert_string_equal(full, full_again);
	free(full_again);
	policy_free(&again);
	free(full);
	policy_free(&policy);
}

static void test_round_trip(void **state)
{
	struct buf text;

	(void)state;
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++)
		check_round_trip(ROWS[i].text);

	buf_init(&text, POLICY_SIZE_MAX);
	buf_add_str(&text, "{\"limits\": [");
	for (int i = 0; i < 10000; i++)
		buf_add_format(&text,
		    "%s{\"scope\": \"tool:web_search_%d\", \"window\": \"day\", \"spend\": "
		    "\"1.%02d\"}",
		    i == 0 ? "" : ",", i, i % 100);
	buf_add_str(&text, "]}");
	assert_true(buf_ok(&text));
	check_round_trip(buf_str(&text));
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_full_form),
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
