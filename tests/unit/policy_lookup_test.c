/* Asking a policy about one call: may it be made, and which limits speak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "policy/patterns.h"
#include "policy/policy.h"

#define SELLER "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define OTHER  "0x036cbd53842c5426634e7929541ec2318f3dcf7e"

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
	const char *tool;
	bool allowed;
	const char *name;
} RULES[] = {
    {"{}", "anything", true, "no allowlist"},
    {"{\"tools\": {\"blocklist\": [\"a\"]}}", "b", true, "no allowlist"},
    {"{\"tools\": {\"blocklist\": [\"a\"]}}", "a", false, "deny a"},
    {"{\"tools\": {\"allowlist\": []}}", "a", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": []}}", "", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": [\"a\"]}}", "a", true, "allow a"},
    {"{\"tools\": {\"allowlist\": [\"a\"]}}", "A", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": [\"a\"]}}", "ab", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": [\"ab\"]}}", "a", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": [\"github/*\"]}}", "github/issues", true, "allow github/*"},
    {"{\"tools\": {\"allowlist\": [\"github/*\"]}}", "github", true, "allow github/*"},
    {"{\"tools\": {\"allowlist\": [\"github/*\"]}}", "githubx", false, "not in allowlist"},
    {"{\"tools\": {\"allowlist\": [\"?\"]}}", "a", true, "allow ?"},
    {"{\"tools\": {\"allowlist\": [\"?\"]}}", "aa", false, "not in allowlist"},
    /* Block wins, whichever is written first and however exactly. */
    {"{\"tools\": {\"allowlist\": [\"a\"], \"blocklist\": [\"*\"]}}", "a", false, "deny *"},
    {"{\"tools\": {\"blocklist\": [\"a\"], \"allowlist\": [\"*\"]}}", "a", false, "deny a"},
    {"{\"tools\": {\"blocklist\": [\"a\"], \"allowlist\": [\"a\"]}}", "a", false, "deny a"},
    {"{\"tools\": {\"allowlist\": [\"*\"], \"blocklist\": [\"a\"]}}", "b", true, "allow *"},
    {"{\"rules\": [{\"deny\": \"*\"}]}", "a", false, "deny *"},
    /* The first that decides is the one that is named. */
    {"{\"rules\": [{\"allow\": \"a*\"}, {\"allow\": \"a\"}]}", "a", true, "allow a*"},
    {"{\"rules\": [{\"allow\": \"a\"}, {\"allow\": \"a*\"}]}", "a", true, "allow a"},
    {"{\"rules\": [{\"deny\": \"b\"}, {\"deny\": \"a*\"}, {\"deny\": \"a\"}]}", "a", false,
	"deny a*"},
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(RULES) / sizeof(*RULES); i++) {
		struct policy *policy = parse(RULES[i].text);
		const char *name = NULL;

		assert_int_equal(policy_rule(policy, RULES[i].tool, &name), RULES[i].allowed);
		assert_string_equal(name, RULES[i].name);
		policy_free(&policy);
	}
}

/* Every kind of limit, written backwards from the order they come out in. */
static const char EVERY_LIMIT[] =
    "{\"limits\": ["
    "{\"scope\": \"agent\", \"window\": \"minute\", \"calls\": 1},"
    "{\"scope\": \"tool:web\", \"window\": \"hour\", \"calls\": 2},"
    "{\"scope\": \"session\", \"window\": \"day\", \"calls\": 3},"
    "{\"scope\": \"agent\", \"window\": \"month\", \"calls\": 4},"
    "{\"scope\": \"payee\", \"window\": \"minute\", \"spend\": \"5\"},"
    "{\"scope\": \"agent\", \"window\": \"hour\", \"spend\": \"6\"},"
    "{\"scope\": \"payee:" SELLER "\", \"window\": \"day\", \"spend\": \"7\"},"
    "{\"scope\": \"tool:w*\", \"window\": \"day\", \"spend\": \"8\"},"
    "{\"scope\": \"tool:web\", \"window\": \"day\", \"spend\": \"9\"},"
    "{\"scope\": \"wallet\", \"window\": \"month\", \"spend\": \"10\"},"
    "{\"scope\": \"wallet\", \"window\": \"total\", \"calls\": 11},"
    "{\"scope\": \"tool\", \"window\": \"total\", \"spend\": \"12\"},"
    "{\"scope\": \"session\", \"window\": \"total\", \"calls\": 13},"
    "{\"scope\": \"session\", \"window\": \"total\", \"spend\": \"14\"},"
    "{\"scope\": \"tool:*\", \"window\": \"call\", \"spend\": \"15\"},"
    "{\"scope\": \"session\", \"window\": \"call\", \"spend\": \"16\"},"
    "{\"scope\": \"agent\", \"window\": \"minute\", \"calls\": 17},"
    "{\"scope\": \"tool:other\", \"window\": \"call\", \"spend\": \"18\"},"
    "{\"scope\": \"payee:" OTHER "\", \"window\": \"call\", \"spend\": \"19\"}]}";

/* Numbers are the max of each limit: dollars or calls. */
static const struct {
	const char *tool;
	const char *payee;
	bool metered;
	const char *maxes;
} LOOKUPS[] = {
    {"web", SELLER, false, "15 16 14 13 12 11 10 7 8 9 6 5 4 3 2 1 17"},
    {"web", SELLER, true, "15 16 14 13 12 7 8 9 6 5 4 3 2 1 17"},
    {"web", NULL, false, "15 16 14 13 12 11 10 8 9 6 4 3 2 1 17"},
    {"web", OTHER, true, "15 16 19 14 13 12 8 9 6 5 4 3 2 1 17"},
    {"www", NULL, true, "15 16 14 13 12 8 6 4 3 1 17"},
    {"other", NULL, true, "15 16 18 14 13 12 6 4 3 1 17"},
    {"web/", NULL, true, "15 16 14 13 12 8 6 4 3 1 17"},
    {"", NULL, true, "15 16 14 13 12 6 4 3 1 17"},
};

static void test_limits(void **state)
{
	struct policy *policy = parse(EVERY_LIMIT);

	(void)state;
	for (size_t i = 0; i < sizeof(LOOKUPS) / sizeof(*LOOKUPS); i++) {
		const struct limit *limits[32];
		const size_t count = policy_limits(
		    limits, 32, policy, LOOKUPS[i].tool, LOOKUPS[i].payee, LOOKUPS[i].metered);
		struct buf out;

		buf_init(&out, 256);
		for (size_t j = 0; j < count; j++) {
			const bool spend = limits[j]->measure == LIMIT_SPEND;

			buf_add_format(&out, "%s%lld", j == 0 ? "" : " ",
			    (long long)(limits[j]->max / (spend ? 1000000 : 1)));
		}
		assert_string_equal(buf_str(&out), LOOKUPS[i].maxes);
		buf_fini(&out);
	}
	policy_free(&policy);
}

static void test_limits_room(void **state)
{
	struct policy *policy = parse(EVERY_LIMIT);
	const struct limit *limits[4] = {NULL, NULL, NULL, NULL};

	(void)state;
	assert_int_equal(policy_limits(NULL, 0, policy, "web", SELLER, false), 17);
	assert_int_equal(policy_limits(limits, 3, policy, "web", SELLER, false), 17);
	assert_true(limits[0]->max == 15000000);
	assert_true(limits[2]->max == 14000000);
	assert_null(limits[3]);
	policy_free(&policy);
}

#define MANY 10000

/* Ten thousand tools with a limit and a rule each: one call meets its own. */
static void test_many(void **state)
{
	struct policy *policy;
	struct buf text;

	(void)state;
	buf_init(&text, POLICY_SIZE_MAX);
	buf_add_str(&text, "{\"tools\": {\"allowlist\": [");
	for (int i = 0; i < MANY; i++)
		buf_add_format(&text, "%s\"t%d\"", i == 0 ? "" : ",", i);
	buf_add_str(&text, "]}, \"limits\": [");
	for (int i = 0; i < MANY; i++)
		buf_add_format(&text,
		    "%s{\"scope\": \"tool:t%d\", \"window\": \"day\", \"calls\": %d}",
		    i == 0 ? "" : ",", i, i);
	buf_add_str(&text, "]}");
	assert_true(buf_ok(&text));
	policy = parse(buf_str(&text));
	buf_fini(&text);
	for (int i = 0; i < MANY; i++) {
		const struct limit *limit;
		const char *name;
		char tool[16];

		snprintf(tool, sizeof(tool), "t%d", i);
		assert_true(policy_rule(policy, tool, &name));
		assert_string_equal(name + strlen("allow "), tool);
		assert_int_equal(policy_limits(&limit, 1, policy, tool, NULL, false), 1);
		assert_true(limit->max == i);
	}
	policy_free(&policy);
}

/* A walk merges the exact chain and the open one in ascending order. */
static void test_patterns(void **state)
{
	static const char *const texts[] = {"a", "*", "b", NULL, "a", "?", "a*b", "a"};
	static const struct {
		const char *text;
		const char *positions;
	} rows[] = {{"a", "0 1 3 4 5 7 "}, {"b", "1 2 3 5 "}, {"ab", "1 3 6 "}, {"", "1 3 "},
	    {"zz", "1 3 "}, {"*", "1 3 5 "}};
	struct patterns *patterns = patterns_new(sizeof(texts) / sizeof(*texts));
	struct patterns *empty = patterns_new(0);
	struct patterns_walk walk = patterns_match(empty, "a");

	(void)state;
	assert_true(patterns_next(&walk) == PATTERNS_END);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		patterns_add(patterns, i, texts[i]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char got[64] = "";
		size_t position;

		walk = patterns_match(patterns, rows[i].text);
		while ((position = patterns_next(&walk)) != PATTERNS_END)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%zu ", position);
		assert_string_equal(got, rows[i].positions);
		assert_true(patterns_next(&walk) == PATTERNS_END);
	}
	patterns_free(&empty);
	patterns_free(&patterns);
	patterns_free(&patterns);
	assert_null(patterns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_limits_room),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
