/* Reading a policy: both forms, and a plain sentence for everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "policy/policy.h"

#define ADDRESS_LOWER "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define ADDRESS_EIP55 "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define ADDRESS_TYPO  "0x209693bC6afc0C5328bA36FaF03C514EF312287C"

static struct policy *parse(const char *text)
{
	struct json_error error = {0};
	struct policy *policy = policy_parse(&error, text, strlen(text));

	if (policy == NULL)
		fail_msg("%s: line %d, %s: %s", text, error.line, error.path, error.reason);
	return policy;
}

/* "allow a; deny b | session total spend 5.00": every name in the order kept. */
static char *names_of(const struct policy *policy)
{
	struct buf out;

	buf_init(&out, POLICY_SIZE_MAX);
	for (size_t i = 0; i < policy->rule_count; i++)
		buf_add_format(&out, "%s%s", i == 0 ? "" : "; ", policy->rules[i].name);
	buf_add_str(&out, " | ");
	for (size_t i = 0; i < policy->limit_count; i++)
		buf_add_format(&out, "%s%s", i == 0 ? "" : "; ", policy->limits[i].name);
	assert_true(buf_ok(&out));
	return buf_take(&out);
}

static const struct {
	const char *text;
	const char *names;
	bool has_allow;
} GOOD[] = {
    {"{}", " | ", false},
    {"{\"budget\": {}, \"tools\": {}, \"rateLimit\": {}, \"payment\": {}, \"rules\": [], "
     "\"limits\": []}",
	" | ", false},
    {"{\"agentId\": \"coding-agent-01\", \"owner\": \"asmit@example.com\",\n"
     " \"budget\": { \"sessionLimitCents\": 500, \"maxPerCallCents\": 50, "
     "\"dailyLimitCents\": 2000 },\n"
     " \"tools\": { \"allowlist\": [\"web_search\", \"github/*\"], "
     "\"blocklist\": [\"crypto_trading\"] },\n"
     " \"rateLimit\": { \"callsPerMinute\": 10, \"callsPerHour\": 200 }}",
	"allow web_search; allow github/*; deny crypto_trading | session total spend 5.00; "
	"agent call spend 0.50; agent day spend 20.00; agent minute calls 10; "
	"agent hour calls 200",
	true},
    {"{\"budget\": {\"minuteLimitCents\": 1, \"hourlyLimitCents\": 2, \"monthlyLimitCents\": 3,"
     "\"totalLimitCents\": 4}}",
	" | agent minute spend 0.01; agent hour spend 0.02; agent month spend 0.03; "
	"agent total spend 0.04",
	false},
    {"{\"budget\": {\"sessionLimit\": \"5\", \"maxPerCall\": \"0.000001\", \"minuteLimit\": \"1\","
     "\"hourlyLimit\": \"2.5\", \"dailyLimit\": \"3\", \"monthlyLimit\": \"4\","
     "\"totalLimit\": \"0\"}}",
	" | session total spend 5.00; agent call spend 0.000001; agent minute spend 1.00; "
	"agent hour spend 2.50; agent day spend 3.00; agent month spend 4.00; "
	"agent total spend 0.00",
	false},
    {"{\"rateLimit\": {\"callsPerDay\": 1, \"callsPerMonth\": 0, \"callsPerSession\": 3}}",
	" | agent day calls 1; agent month calls 0; session total calls 3", false},
    {"{\"tools\": {\"allowlist\": []}}", " | ", true},
    {"{\"tools\": {\"blocklist\": [\"a\"]}}", "deny a | ", false},
    {"{\"rules\": [{\"allow\": \"github/*\"}, {\"deny\": \"crypto_*\"}]}",
	"allow github/*; deny crypto_* | ", true},
    {"{\"limits\": [{\"scope\": \"session\", \"window\": \"total\", \"spend\": \"5.00\"},"
     "{\"scope\": \"session\", \"window\": \"call\", \"spend\": \"1\"},"
     "{\"scope\": \"agent\", \"window\": \"minute\", \"calls\": 10},"
     "{\"scope\": \"wallet\", \"window\": \"month\", \"spendCents\": 7},"
     "{\"scope\": \"tool\", \"window\": \"hour\", \"spend\": \"1\"},"
     "{\"scope\": \"tool:web_search\", \"window\": \"day\", \"spend\": \"1.00\"},"
     "{\"scope\": \"payee\", \"window\": \"day\", \"spend\": \"1.00\"},"
     "{\"spend\": \"1.00\", \"window\": \"day\", \"scope\": \"payee:" ADDRESS_EIP55 "\"}]}",
	" | session total spend 5.00; session call spend 1.00; agent minute calls 10; "
	"wallet month spend 0.07; tool hour spend 1.00; tool:web_search day spend 1.00; "
	"payee day spend 1.00; payee:" ADDRESS_LOWER " day spend 1.00",
	false},
    /* The same limit twice: both are enforced. */
    {"{\"limits\": [{\"scope\": \"agent\", \"window\": \"day\", \"calls\": 1},"
     "{\"scope\": \"agent\", \"window\": \"day\", \"calls\": 1}]}",
	" | agent day calls 1; agent day calls 1", false},
    /* Both forms in one file, in the order written. */
    {"{\"limits\": [{\"scope\": \"tool:a:b\", \"window\": \"day\", \"calls\": 1}],"
     "\"rules\": [{\"deny\": \"x\"}], \"budget\": {\"dailyLimit\": \"1\"},"
     "\"tools\": {\"allowlist\": [\"y\"]}}",
	"deny x; allow y | tool:a:b day calls 1; agent day spend 1.00", true},
    /* The largest amounts there are. */
    {"{\"budget\": {\"totalLimit\": \"9223372036854.775807\", "
     "\"dailyLimitCents\": 922337203685477}, "
     "\"rateLimit\": {\"callsPerDay\": 9223372036854775807}}",
	" | agent total spend 9223372036854.775807; agent day spend 9223372036854.77; "
	"agent day calls 9223372036854775807",
	false},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(GOOD) / sizeof(*GOOD); i++) {
		struct policy *policy = parse(GOOD[i].text);
		char *names = names_of(policy);

		assert_string_equal(names, GOOD[i].names);
		assert_int_equal(policy->has_allow, GOOD[i].has_allow);
		free(names);
		policy_free(&policy);
		assert_null(policy);
	}
}

static void test_identity(void **state)
{
	struct policy *policy;

	(void)state;
	policy = parse("{\"agentId\": \"coding-agent-01\", \"owner\": \"ünal@example.com\"}");
	assert_string_equal(policy->agent, "coding-agent-01");
	assert_string_equal(policy->owner, "ünal@example.com");
	policy_free(&policy);
	policy = parse("{}");
	assert_null(policy->agent);
	assert_null(policy->owner);
	policy_free(&policy);
}

static void test_payment(void **state)
{
	struct policy *policy;

	(void)state;
	policy = parse("{}");
	assert_null(policy->payment.networks.items);
	assert_null(policy->payment.assets.items);
	assert_null(policy->payment.payees.items);
	assert_int_equal(policy->payment.authorization_s_max, 60);
	assert_false(policy->payment.pin_payee);
	assert_false(policy->payment.require_offer);
	policy_free(&policy);

	policy = parse("{\"payment\": {\"networks\": [], \"assets\": [], \"payees\": []}}");
	assert_non_null(policy->payment.networks.items);
	assert_int_equal(policy->payment.networks.count, 0);
	assert_non_null(policy->payment.assets.items);
	assert_non_null(policy->payment.payees.items);
	policy_free(&policy);

	policy = parse("{\"payment\": {\"networks\": [\"eip155:8453\", \"eip155:84532\"],"
		       "\"assets\": [\"USDC\", \"" ADDRESS_EIP55 "\"],"
		       "\"payees\": [\"" ADDRESS_EIP55 "\", \"" ADDRESS_LOWER "\"],"
		       "\"maxAuthorizationSeconds\": 15, \"pinPayee\": true,"
		       "\"requireOffer\": true}}");
	assert_int_equal(policy->payment.networks.count, 2);
	assert_string_equal(policy->payment.networks.items[1], "eip155:84532");
	assert_int_equal(policy->payment.assets.count, 2);
	assert_string_equal(policy->payment.assets.items[0], "USDC");
	assert_string_equal(policy->payment.assets.items[1], ADDRESS_LOWER);
	assert_int_equal(policy->payment.payees.count, 2);
	assert_string_equal(policy->payment.payees.items[0], ADDRESS_LOWER);
	assert_int_equal(policy->payment.authorization_s_max, 15);
	assert_true(policy->payment.pin_payee);
	assert_true(policy->payment.require_offer);
	policy_free(&policy);

	policy = parse("{\"payment\": {\"maxAuthorizationSeconds\": 3600}}");
	assert_int_equal(policy->payment.authorization_s_max, 3600);
	policy_free(&policy);
}

#define LIMIT(rest) "{\"limits\": [\n" rest "\n]}"

static const struct {
	const char *text;
	int line;
	const char *path;
	const char *reason;
} BAD[] = {
    /* Unknown keys, at every level. */
    {"{\n\n\"budgt\": 1}", 3, "budgt", "unknown key \"budgt\"; did you mean \"budget\"?"},
    {"{\n\"zebra\": 1}", 2, "zebra", "unknown key \"zebra\""},
    {"{\"\": 1}", 1, "", "unknown key \"\""},
    {"{\"budget\": {\n\n\n\"sesionLimitCents\": 5}}", 4, "budget.sesionLimitCents",
	"unknown key \"sesionLimitCents\"; did you mean \"sessionLimitCents\"?"},
    {"{\"tools\": {\n\"allowList\": []}}", 2, "tools.allowList",
	"unknown key \"allowList\"; did you mean \"allowlist\"?"},
    {"{\"rateLimit\": {\n\"callPerMinute\": 5}}", 2, "rateLimit.callPerMinute",
	"unknown key \"callPerMinute\"; did you mean \"callsPerMinute\"?"},
    {"{\"rules\": [\n{\"allow\": \"a\"},\n{\"dney\": \"b\"}]}", 3, "rules[1].dney",
	"unknown key \"dney\"; did you mean \"deny\"?"},
    {LIMIT("{\"scope\": \"agent\",\n\"windw\": \"day\", \"calls\": 1}"), 3, "limits[0].windw",
	"unknown key \"windw\"; did you mean \"window\"?"},
    {"{\"payment\": {\n\"network\": []}}", 2, "payment.network",
	"unknown key \"network\"; did you mean \"networks\"?"},
    /* A key that would forge a second line is shown on one, with the line around it. */
    {"{\n\"a\\nb\": 1}", 2, "a?b", "unknown key \"a?b\""},
    {"{\n\"a.b[0]\": 1}", 2, "a.b[0]", "unknown key \"a.b[0]\""},
    {"{\"budget\":\n{\n\"\": 1}}", 2, "budget.", "unknown key \"\""},
    {"{\n\"012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "1234567890123456789012345678901234567890123456789012345678901234567890123456789\": 1}",
	2,
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	"567890123456789012345678901234567890123456",
	"unknown key \"012345678901234567890123456789012345678901234567890123456789012...\""},

    /* The wrong kind of value. */
    {"\n[]", 2, "", "must be an object, not an array"},
    {"1", 1, "", "must be an object, not a number"},
    {"{\"agentId\":\n7}", 2, "agentId", "must be a string, not a number"},
    {"{\"agentId\": null}", 1, "agentId", "must be a string, not null"},
    {"{\"owner\": \"\"}", 1, "owner", "must not be empty"},
    {"{\"owner\": \"a\\u0007\"}", 1, "owner", "must not hold control characters"},
    {"{\"budget\": [500]}", 1, "budget", "must be an object, not an array"},
    {"{\"budget\": null}", 1, "budget", "must be an object, not null"},
    {"{\"tools\": true}", 1, "tools", "must be an object, not true"},
    {"{\"rateLimit\": 10}", 1, "rateLimit", "must be an object, not a number"},
    {"{\"payment\": \"eip155:1\"}", 1, "payment", "must be an object, not a string"},
    {"{\"rules\": {\"allow\": \"a\"}}", 1, "rules", "must be an array, not an object"},
    {"{\"rules\": [\n\"a\"]}", 2, "rules[0]", "must be an object, not a string"},
    {"{\"limits\": {}}", 1, "limits", "must be an array, not an object"},
    {LIMIT("7"), 2, "limits[0]", "must be an object, not a number"},
    {"{\"tools\": {\"allowlist\": \"web_search\"}}", 1, "tools.allowlist",
	"must be an array, not a string"},
    {"{\"tools\": {\"allowlist\": null}}", 1, "tools.allowlist", "must be an array, not null"},
    {"{\"tools\": {\"blocklist\": [\"a\",\n7]}}", 2, "tools.blocklist[1]",
	"must be a string, not a number"},

    /* Money. */
    {"{\"budget\": {\"sessionLimitCents\": \"500\"}}", 1, "budget.sessionLimitCents",
	"must be a whole number of cents, not a string"},
    {"{\"budget\": {\n\"sessionLimitCents\": 50.5}}", 2, "budget.sessionLimitCents",
	"must be a whole number of cents, not a number with decimals"},
    {"{\"budget\": {\"sessionLimitCents\": 50.0}}", 1, "budget.sessionLimitCents",
	"must be a whole number of cents, not a number with decimals"},
    {"{\"budget\": {\"sessionLimitCents\": 1e3}}", 1, "budget.sessionLimitCents",
	"must be a whole number of cents, not a number with decimals"},
    {"{\"budget\": {\"dailyLimitCents\": -1}}", 1, "budget.dailyLimitCents", "must be 0 or more"},
    {"{\"budget\": {\"dailyLimitCents\": null}}", 1, "budget.dailyLimitCents",
	"must be a whole number of cents, not null"},
    {"{\"budget\": {\"dailyLimitCents\": 922337203685478}}", 1, "budget.dailyLimitCents",
	"is too large"},
    {"{\"budget\": {\n\"maxPerCall\": 0.05}}", 2, "budget.maxPerCall",
	"must be decimal dollars in a string such as \"0.05\", not a number with decimals"},
    {"{\"budget\": {\"maxPerCall\": 5}}", 1, "budget.maxPerCall",
	"must be decimal dollars in a string such as \"0.05\", not a number"},
    {"{\"budget\": {\"maxPerCall\": \"-5\"}}", 1, "budget.maxPerCall", "must be 0 or more"},
    {"{\"budget\": {\"maxPerCall\": \"$5\"}}", 1, "budget.maxPerCall",
	"\"$5\" is not decimal dollars such as \"0.05\": digits, at most six decimals"},
    {"{\"budget\": {\"maxPerCall\": \"\"}}", 1, "budget.maxPerCall",
	"\"\" is not decimal dollars such as \"0.05\": digits, at most six decimals"},
    {"{\"budget\": {\"maxPerCall\": \"0.0000001\"}}", 1, "budget.maxPerCall",
	"\"0.0000001\" is not decimal dollars such as \"0.05\": digits, at most six decimals"},
    {"{\"budget\": {\"maxPerCall\": \"1e3\"}}", 1, "budget.maxPerCall",
	"\"1e3\" is not decimal dollars such as \"0.05\": digits, at most six decimals"},
    {"{\"budget\": {\"maxPerCall\": \"9223372036854.775808\"}}", 1, "budget.maxPerCall",
	"\"9223372036854.775808\" is not decimal dollars such as \"0.05\": digits, at most six "
	"decimals"},
    {"{\"budget\": {\"maxPerCall\": \"0.05\",\n\"maxPerCallCents\": 5}}", 2,
	"budget.maxPerCallCents",
	"\"maxPerCall\" and \"maxPerCallCents\" say the same thing; keep one"},
    {"{\"budget\": {\"totalLimitCents\": 5,\n\"totalLimit\": \"1\"}}", 1, "budget.totalLimitCents",
	"\"totalLimit\" and \"totalLimitCents\" say the same thing; keep one"},

    /* Rates. */
    {"{\"rateLimit\": {\"callsPerDay\": \"10\"}}", 1, "rateLimit.callsPerDay",
	"must be a whole number of calls, not a string"},
    {"{\"rateLimit\": {\"callsPerDay\": 1.5}}", 1, "rateLimit.callsPerDay",
	"must be a whole number of calls, not a number with decimals"},
    {"{\"rateLimit\": {\"callsPerDay\": false}}", 1, "rateLimit.callsPerDay",
	"must be a whole number of calls, not false"},
    {"{\"rateLimit\": {\"callsPerDay\": -10}}", 1, "rateLimit.callsPerDay", "must be 0 or more"},

    /* Rules. */
    {"{\"rules\": [\n{}]}", 2, "rules[0]", "a rule has exactly one key, \"allow\" or \"deny\""},
    {"{\"rules\": [{\"allow\": \"a\", \"deny\": \"b\"}]}", 1, "rules[0]",
	"a rule has exactly one key, \"allow\" or \"deny\""},
    {"{\"rules\": [{\"allow\": \"\"}]}", 1, "rules[0].allow", "must not be empty"},
    {"{\"rules\": [{\"deny\": \"web search\"}]}", 1, "rules[0].deny",
	"a tool pattern has no spaces"},
    {"{\"rules\": [{\"deny\": [\"a\"]}]}", 1, "rules[0].deny", "must be a string, not an array"},
    {"{\"tools\": {\"allowlist\": [\"a\",\n\" \"]}}", 2, "tools.allowlist[1]",
	"a tool pattern has no spaces"},

    /* Limits. */
    {LIMIT("{}"), 2, "limits[0]", "\"scope\" is missing"},
    {LIMIT("{\"scope\": \"agent\"}"), 2, "limits[0]", "\"window\" is missing"},
    {LIMIT("{\"scope\": \"agent\", \"window\": \"day\"}"), 2, "limits[0]",
	"\"spend\" or \"calls\" is missing"},
    {LIMIT("{\"scope\": \"agent\", \"window\": \"day\", \"calls\": 1},\n"
	   "{\"scope\": \"agent\", \"window\": \"day\", \"spend\": \"1\", \"calls\": 1}"),
	3, "limits[1]", "a limit has one measure, \"spend\" or \"calls\"; write two limits"},
    {LIMIT("{\"scope\": \"agent\", \"window\": \"day\", \"spendCents\": 1, \"calls\": 1}"), 2,
	"limits[0]", "a limit has one measure, \"spend\" or \"calls\"; write two limits"},
    {LIMIT("{\"scope\": \"agent\", \"window\": \"day\", \"spend\": \"1\", \"spendCents\": 1}"), 2,
	"limits[0]", "\"spend\" and \"spendCents\" say the same thing; keep one"},
    {LIMIT("{\"scope\": \"agent\", \"window\": \"call\",\n\"calls\": 1}"), 3, "limits[0].calls",
	"the window \"call\" holds one call by itself; it limits \"spend\" only"},
    {LIMIT("{\"scope\": 1}"), 2, "limits[0].scope", "must be a string, not a number"},
    {LIMIT("{\"scope\": \"agnt\"}"), 2, "limits[0].scope",
	"unknown scope \"agnt\"; did you mean \"agent\"?"},
    {LIMIT("{\"scope\": \"Session\"}"), 2, "limits[0].scope",
	"unknown scope \"Session\"; did you mean \"session\"?"},
    {LIMIT("{\"scope\": \"everything\"}"), 2, "limits[0].scope", "unknown scope \"everything\""},
    {LIMIT("{\"scope\": \"agent:x\"}"), 2, "limits[0].scope",
	"scope \"agent\" takes nothing after it"},
    {LIMIT("{\"scope\": \"session:\"}"), 2, "limits[0].scope",
	"scope \"session\" takes nothing after it"},
    {LIMIT("{\"scope\": \"tool:\"}"), 2, "limits[0].scope", "the tool pattern is empty"},
    {LIMIT("{\"scope\": \"tool:a b\"}"), 2, "limits[0].scope", "a tool pattern has no spaces"},
    {LIMIT("{\"scope\": \"payee:\"}"), 2, "limits[0].scope",
	"not an address: 0x and 40 hex digits"},
    {LIMIT("{\"scope\": \"payee:209693bc6afc0c5328ba36faf03c514ef312287c00\"}"), 2,
	"limits[0].scope", "not an address: 0x and 40 hex digits"},
    {LIMIT("{\"scope\": \"payee:209693bc6afc0c5328ba36faf03c514ef312287c\"}"), 2, "limits[0].scope",
	"not an address: 0x and 40 hex digits"},
    {LIMIT("{\"scope\": \"payee:0X209693bc6afc0c5328ba36faf03c514ef312287c\"}"), 2,
	"limits[0].scope", "not an address: 0x and 40 hex digits"},
    {LIMIT("{\"scope\": \"payee:0x209693bc6afc0c5328ba36faf03c514ef312287g\"}"), 2,
	"limits[0].scope", "not an address: 0x and 40 hex digits"},
    {LIMIT("{\"scope\": \"payee:" ADDRESS_TYPO "\"}"), 2, "limits[0].scope",
	"the address fails its EIP-55 check; look for a typing error"},
    /* A later member is wrong after a target was kept. */
    {LIMIT("{\"scope\": \"tool:a\",\n\"window\": \"week\"}"), 3, "limits[0].window",
	"unknown window \"week\""},
    {LIMIT("{\"scope\": \"tool:a\",\n\"window\": \"mont\"}"), 3, "limits[0].window",
	"unknown window \"mont\"; did you mean \"month\"?"},
    {LIMIT("{\"window\": 60}"), 2, "limits[0].window", "must be a string, not a number"},
    {LIMIT("{\"spend\": 5}"), 2, "limits[0].spend",
	"must be decimal dollars in a string such as \"0.05\", not a number"},
    {LIMIT("{\"spendCents\": 0.5}"), 2, "limits[0].spendCents",
	"must be a whole number of cents, not a number with decimals"},
    {LIMIT("{\"calls\": \"5\"}"), 2, "limits[0].calls",
	"must be a whole number of calls, not a string"},
    {LIMIT("{\"calls\": -5}"), 2, "limits[0].calls", "must be 0 or more"},

    /* Payment. */
    {"{\"payment\": {\"networks\": \"eip155:1\"}}", 1, "payment.networks",
	"must be an array, not a string"},
    {"{\"payment\": {\"networks\": [\"eip155:1\",\n\"base\"]}}", 2, "payment.networks[1]",
	"not a network id such as \"eip155:84532\""},
    {"{\"payment\": {\"networks\": [\"eip155:\"]}}", 1, "payment.networks[0]",
	"not a network id such as \"eip155:84532\""},
    {"{\"payment\": {\"networks\": [\"eip155:*\"]}}", 1, "payment.networks[0]",
	"not a network id such as \"eip155:84532\""},
    {"{\"payment\": {\"networks\": [84532]}}", 1, "payment.networks[0]",
	"must be a string, not a number"},
    {"{\"payment\": {\"assets\": [\"USD C\"]}}", 1, "payment.assets[0]",
	"not a token symbol such as \"USDC\""},
    {"{\"payment\": {\"assets\": [\"0x12\"]}}", 1, "payment.assets[0]",
	"not an address: 0x and 40 hex digits"},
    {"{\"payment\": {\"payees\": [\"bob\"]}}", 1, "payment.payees[0]",
	"not an address: 0x and 40 hex digits"},
    {"{\"payment\": {\"payees\": [\n\"" ADDRESS_TYPO "\"]}}", 2, "payment.payees[0]",
	"the address fails its EIP-55 check; look for a typing error"},
    {"{\"payment\": {\"payees\": null}}", 1, "payment.payees", "must be an array, not null"},
    {"{\"payment\": {\"maxAuthorizationSeconds\": 14}}", 1, "payment.maxAuthorizationSeconds",
	"must be 15 to 3600 seconds"},
    {"{\"payment\": {\"maxAuthorizationSeconds\": 3601}}", 1, "payment.maxAuthorizationSeconds",
	"must be 15 to 3600 seconds"},
    {"{\"payment\": {\"maxAuthorizationSeconds\": -60}}", 1, "payment.maxAuthorizationSeconds",
	"must be 0 or more"},
    {"{\"payment\": {\"maxAuthorizationSeconds\": \"60\"}}", 1, "payment.maxAuthorizationSeconds",
	"must be a whole number of seconds, not a string"},
    {"{\"payment\": {\"pinPayee\": \"yes\"}}", 1, "payment.pinPayee",
	"must be true or false, not a string"},
    {"{\"payment\": {\"pinPayee\": 1}}", 1, "payment.pinPayee",
	"must be true or false, not a number"},
    {"{\"payment\": {\"requireOffer\": null}}", 1, "payment.requireOffer",
	"must be true or false, not null"},
    {"{\"payment\": {\"requireOffers\": true}}", 1, "payment.requireOffers",
	"unknown key \"requireOffers\"; did you mean \"requireOffer\"?"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
		struct json_error error = {0};

		assert_null(policy_parse(&error, BAD[i].text, strlen(BAD[i].text)));
		if (strcmp(error.reason, BAD[i].reason) != 0 || error.line != BAD[i].line ||
		    strcmp(error.path, BAD[i].path) != 0)
			fail_msg("%s\n  said line %d, \"%s\": %s\n  not  line %d, \"%s\": %s",
			    BAD[i].text, error.line, error.path, error.reason, BAD[i].line,
			    BAD[i].path, BAD[i].reason);
	}
}

/* Long words are cut between characters, never inside one. */
static void test_cut_words(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		struct json_error error = {0};
		struct buf text;
		json_t *path, *reason;

		buf_init(&text, 1024);
		buf_add_format(&text, "{\"%.*s", (int)shift, "aaa");
		for (int i = 0; i < 50; i++)
			buf_add_str(&text, "€");
		buf_add_str(&text, "\": 1}");
		assert_null(policy_parse(&error, buf_str(&text), text.size));
		path = json_string(error.path);
		reason = json_string(error.reason);
		assert_non_null(path);
		assert_non_null(reason);
		assert_in_range(strlen(error.path), sizeof(error.path) - 4, sizeof(error.path) - 1);
		assert_non_null(strstr(error.reason, "€...\""));
		json_decref(reason);
		json_decref(path);
		buf_fini(&text);
	}
}

/* What is not JSON at all is common/json.h's to refuse; its place is passed on. */
static void test_not_json(void **state)
{
	static const struct {
		const char *text;
		int line;
	} rows[] = {{"", 0}, {"{", 1}, {"{\n\"owner\": \"a\",\n}", 3}, {"{}\n{}", 2},
	    {"{\"owner\": \"a\",\n\"owner\": \"b\"}", 2}, {"{\"owner\":\n\"\xff\"}", 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct json_error error = {0};

		assert_null(policy_parse(&error, rows[i].text, strlen(rows[i].text)));
		assert_true(strlen(error.reason) > 0);
		if (rows[i].line != 0)
			assert_int_equal(error.line, rows[i].line);
	}
}

static void expect_refused(struct buf *text, const char *path, const char *reason)
{
	struct json_error error = {0};

	assert_true(buf_ok(text));
	assert_null(policy_parse(&error, buf_str(text), text->size));
	assert_string_equal(error.path, path);
	assert_string_equal(error.reason, reason);
	buf_clear(text);
}

static void test_too_much(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 4 * POLICY_SIZE_MAX);

	buf_add_str(&text, "{\"owner\": \"");
	for (size_t i = 0; i <= POLICY_WORD_SIZE_MAX; i++)
		buf_add_str(&text, "a");
	buf_add_str(&text, "\"}");
	expect_refused(&text, "owner", "is longer than 256 bytes");

	buf_add_str(&text, "{\"tools\": {\"allowlist\": [\"a\"");
	for (size_t i = 0; i < POLICY_RULES_MAX; i++)
		buf_add_str(&text, ",\"a\"");
	buf_add_str(&text, "]}}");
	expect_refused(&text, "tools.allowlist[16384]", "more than 16384 rules");

	buf_add_str(&text, "{\"limits\": [");
	for (size_t i = 0; i <= POLICY_LIMITS_MAX; i++)
		buf_add_format(&text, "%s{\"scope\":\"tool:a\",\"window\":\"day\",\"calls\":1}",
		    i == 0 ? "" : ",");
	buf_add_str(&text, "]}");
	expect_refused(&text, "limits[16384]", "more than 16384 limits");

	for (size_t i = 0; i <= POLICY_SIZE_MAX; i++)
		buf_add_str(&text, " ");
	expect_refused(&text, "", "longer than 1048576 bytes");

	/* Fits as it stands, but would not fit again after policy_format(). */
	buf_add_str(&text, "{\"tools\": {\"allowlist\": [\"a\"");
	for (size_t i = 1; i < POLICY_RULES_MAX; i++)
		buf_add_str(&text, ",\"a_name_of_sixty_bytes_0123456789012345678901234567890123\"");
	buf_add_str(&text, "]}}");
	assert_true(text.size <= POLICY_SIZE_MAX);
	expect_refused(&text, "", "longer than 1048576 bytes in the full form");
	buf_fini(&text);
}

static void test_free_nothing(void **state)
{
	struct policy *policy = NULL;

	(void)state;
	policy_free(&policy);
	assert_null(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_identity),
	    cmocka_unit_test(test_payment),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_cut_words),
	    cmocka_unit_test(test_not_json),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_free_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
