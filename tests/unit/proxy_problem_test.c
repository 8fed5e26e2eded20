/* Refusals: the words and statuses agents rely on, and the JSON around them. */
#include "proxy/problem.h"

#include "common/json.h"
#include "tests/unit/unit.h"

#define RESETS_US INT64_C(1763683200000000)

/* The table of README.md. */
static const struct {
	enum problem problem;
	int status;
	const char *code;
} rows[] = {
    {PROBLEM_BAD_REQUEST, 400, "bad_request"},
    {PROBLEM_AGENT_PAYMENT_HEADER, 400, "agent_payment_header"},
    {PROBLEM_UNAUTHENTICATED, 401, "unauthenticated"},
    {PROBLEM_AGENT_SUSPENDED, 403, "agent_suspended"},
    {PROBLEM_TOOL_DENIED, 403, "tool_denied"},
    {PROBLEM_OVER_CALL_LIMIT, 403, "over_call_limit"},
    {PROBLEM_OVER_SESSION_LIMIT, 403, "over_session_limit"},
    {PROBLEM_OVER_TOTAL_LIMIT, 403, "over_total_limit"},
    {PROBLEM_INSUFFICIENT_FUNDS, 403, "insufficient_funds"},
    {PROBLEM_NO_PAYABLE_OPTION, 403, "no_payable_option"},
    {PROBLEM_UNKNOWN_TOOL, 404, "unknown_tool"},
    {PROBLEM_NOT_FOUND, 404, "not_found"},
    {PROBLEM_IDEMPOTENCY_CONFLICT, 409, "idempotency_conflict"},
    {PROBLEM_BODY_TOO_LARGE, 413, "body_too_large"},
    {PROBLEM_OVER_MONTH_LIMIT, 429, "over_month_limit"},
    {PROBLEM_OVER_DAY_LIMIT, 429, "over_day_limit"},
    {PROBLEM_OVER_HOUR_LIMIT, 429, "over_hour_limit"},
    {PROBLEM_OVER_MINUTE_LIMIT, 429, "over_minute_limit"},
    {PROBLEM_RATE_LIMITED, 429, "rate_limited"},
    {PROBLEM_UPSTREAM_UNREACHABLE, 502, "upstream_unreachable"},
    {PROBLEM_PAYMENT_REJECTED, 502, "payment_rejected"},
    {PROBLEM_PAYMENT_UNKNOWN, 502, "payment_unknown"},
    {PROBLEM_NOT_ACCEPTING_PAYMENTS, 503, "not_accepting_payments"},
    {PROBLEM_UPSTREAM_TIMEOUT, 504, "upstream_timeout"},
};

/* What it says, read back the way an agent would; the caller drops it. */
static json_t *read_back(const struct problem_body *body)
{
	struct json_error error = {0};
	char *text = problem_format(body);
	json_t *root = json_read(&error, text, strlen(text), 64 * 1024);

	if (!root)
		fail_msg("%s: %s", text, error.reason);
	assert_null(strchr(text, '\n'));
	free(text);
	return root;
}

static void assert_says(const struct problem_body *body, const char *expected)
{
	char *text = problem_format(body);

	assert_string_equal(text, expected);
	free(text);
}

static void every_status_and_code(void **state)
{
	(void)state;
	assert_int_equal(COUNT(rows), PROBLEM_UPSTREAM_TIMEOUT);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *title = problem_title(rows[i].problem);

		row_check(rows[i].code, rows[i].problem == (enum problem)(i + 1));
		row_check(rows[i].code, problem_status(rows[i].problem) == rows[i].status);
		row_check(rows[i].code, strcmp(problem_code(rows[i].problem), rows[i].code) == 0);
		row_check(rows[i].code, title != NULL && *title != '\0');
		for (size_t j = 0; j < i; j++) {
			row_check(rows[i].code, strcmp(rows[i].code, rows[j].code) != 0);
			row_check(rows[i].code, strcmp(title, problem_title(rows[j].problem)) != 0);
		}
	}
	/* Not in the table, because no agent should ever see it: our own mistake. */
	assert_int_equal(problem_status(PROBLEM_NONE), 500);
	assert_string_equal(problem_code(PROBLEM_NONE), "internal");
}

/* Every member is there, in each: a reader need not ask first. */
static void every_shape(void **state)
{
	static const char *const members[] = {"type", "title", "status", "detail", "code", "rule",
	    "requested", "remaining", "resets_at", "call"};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct problem_body body = {.problem = rows[i].problem};
		json_t *root = read_back(&body);
		const char *type = json_str(root, "type");

		row_check(rows[i].code, json_object_size(root) == COUNT(members));
		for (size_t j = 0; j < COUNT(members); j++)
			row_check(rows[i].code, json_object_get(root, members[j]) != NULL);
		for (size_t j = 5; j < COUNT(members); j++)
			row_check(rows[i].code, json_member(root, members[j]) == NULL);
		row_check(rows[i].code, type && strncmp(type, "urn:tallyward:problem:", 22) == 0);
		row_check(rows[i].code, strcmp(type + 22, rows[i].code) == 0);
		row_check(rows[i].code, strcmp(json_str(root, "code"), rows[i].code) == 0);
		row_check(rows[i].code,
		    strcmp(json_str(root, "title"), problem_title(rows[i].problem)) == 0);
		row_check(rows[i].code,
		    json_integer_value(json_object_get(root, "status")) == rows[i].status);
		/* Without a sentence of its own, the title. */
		row_check(rows[i].code,
		    strcmp(json_str(root, "detail"), problem_title(rows[i].problem)) == 0);
		json_decref(root);
	}
}

static void to_the_letter(void **state)
{
	struct problem_body body = {.problem = PROBLEM_OVER_CALL_LIMIT,
	    .detail = "the owner's limit \"agent call spend 0.10\" does not leave enough",
	    .rule = "agent call spend 0.10",
	    .money = true,
	    .has_amounts = true,
	    .requested = 500000,
	    .remaining = 100000,
	    .call = INT64_C(1795186737454507)};

	(void)state;
	assert_says(&body,
	    "{\"type\":\"urn:tallyward:problem:over_call_limit\","
	    "\"title\":\"Over the limit of one call\",\"status\":403,"
	    "\"detail\":\"the owner's limit \\\"agent call spend 0.10\\\" does not leave enough\","
	    "\"code\":\"over_call_limit\",\"rule\":\"agent call spend 0.10\","
	    "\"requested\":\"0.50\",\"remaining\":\"0.10\",\"resets_at\":null,"
	    "\"call\":\"1795186737454507\"}");
	body = (struct problem_body){.problem = PROBLEM_RATE_LIMITED,
	    .detail = "",
	    .has_amounts = true,
	    .requested = 1,
	    .resets_us = RESETS_US};
	assert_says(&body,
	    "{\"type\":\"urn:tallyward:problem:rate_limited\",\"title\":\"Too many calls\","
	    "\"status\":429,\"detail\":\"\",\"code\":\"rate_limited\",\"rule\":null,"
	    "\"requested\":1,\"remaining\":0,\"resets_at\":\"2025-11-21T00:00:00Z\",\"call\":"
	    "null}");
}

/* Money is decimal dollars in a string, a count is a number, and neither is null. */
static void amounts_and_counts(void **state)
{
	static const struct {
		bool has_amounts, money;
		int64_t value;
		const char *text;
	} quantities[] = {
	    {true, true, 0, "\"0.00\""},
	    {true, true, 1, "\"0.000001\""},
	    {true, true, 50000, "\"0.05\""},
	    {true, true, 1000000, "\"1.00\""},
	    {true, true, 12345678, "\"12.345678\""},
	    {true, true, INT64_MAX, "\"9223372036854.775807\""},
	    {true, true, -1, "\"-0.000001\""},
	    {true, true, INT64_MIN, "\"-9223372036854.775808\""},
	    {true, false, 0, "0"},
	    {true, false, 1, "1"},
	    {true, false, 50000, "50000"},
	    {true, false, INT64_MAX, "9223372036854775807"},
	    {true, false, -1, "-1"},
	    {true, false, INT64_MIN, "-9223372036854775808"},
	    {false, true, 0, "null"},
	    {false, true, 50000, "null"},
	    {false, false, 0, "null"},
	    {false, false, 50000, "null"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(quantities) * 2; i++) {
		bool is_requested = i % 2 == 0;
		struct problem_body body = {.problem = PROBLEM_OVER_DAY_LIMIT,
		    .has_amounts = quantities[i / 2].has_amounts,
		    .money = quantities[i / 2].money,
		    .requested = is_requested ? quantities[i / 2].value : 3,
		    .remaining = is_requested ? 3 : quantities[i / 2].value};
		char *text = problem_format(&body);
		char expected[64];

		snprintf(expected, sizeof expected, "\"%s\":%s,",
		    is_requested ? "requested" : "remaining", quantities[i / 2].text);
		row_check(expected, strstr(text, expected) != NULL);
		free(text);
	}
}

static void rule_time_and_call(void **state)
{
	static const struct {
		const char *rule;
		int64_t resets_us, call;
		const char *text;
	} facts[] = {
	    {NULL, 0, 0, "\"rule\":null,"},
	    {NULL, 0, 0, "\"resets_at\":null,"},
	    {NULL, 0, 0, "\"call\":null}"},
	    {"", 0, 0, "\"rule\":\"\","},
	    {"deny crypto_*", 0, 0, "\"rule\":\"deny crypto_*\","},
	    {"deny \"\\\t", 0, 0, "\"rule\":\"deny \\\"\\\\\\t\","},
	    {"deny ü", 0, 0, "\"rule\":\"deny ü\","},
	    {NULL, RESETS_US, 0, "\"resets_at\":\"2025-11-21T00:00:00Z\","},
	    {NULL, 0, 1, "\"call\":\"1\"}"},
	    {NULL, 0, INT64_MAX, "\"call\":\"9223372036854775807\"}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(facts); i++) {
		struct problem_body body = {.problem = PROBLEM_TOOL_DENIED,
		    .rule = facts[i].rule,
		    .resets_us = facts[i].resets_us,
		    .call = facts[i].call};
		char *text = problem_format(&body);

		row_check(facts[i].text, strstr(text, facts[i].text) != NULL);
		free(text);
	}
}

/* Details quote strangers, and may be cut anywhere. */
static void details(void **state)
{
	static const struct {
		const char *detail;
		const char *read;
	} texts[] = {
	    {NULL, "Seller not reached"},
	    {"", ""},
	    {"plain", "plain"},
	    {"a \"quote\", a \\ and a /", "a \"quote\", a \\ and a /"},
	    {"\r\n\t\x01\x1f\x7f", "\r\n\t\x01\x1f\x7f"},
	    {"\",\"status\":200,\"x\":\"", "\",\"status\":200,\"x\":\""},
	    {"fünf €, \xf0\x9f\x92\xb6", "fünf €, \xf0\x9f\x92\xb6"},
	    {"\xef\xbb\xbf", "\xef\xbb\xbf"},
	    /* Not UTF-8. */
	    {"\xff", "?"},
	    {"a\xff"
	     "b",
		"a?b"},
	    {"Latin 1: f\xfcnf", "Latin 1: f?nf"},
	    {"cut \xe2", "cut ?"},
	    {"cut \xe2\x82", "cut ??"},
	    {"cut \xf0\x9f\x92", "cut ???"},
	    {"a tail alone \x82", "a tail alone ?"},
	    {"longer than it must be \xc0\xaf", "longer than it must be ??"},
	    {"half a surrogate \xed\xa0\x80", "half a surrogate ???"},
	    {"past the last \xf4\x90\x80\x80", "past the last ????"},
	    /* One bad byte costs the good ones too. */
	    {"\xc3\xbc \xff", "?? ?"},
	    {"\xff\"\\\n", "?\"\\\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct problem_body body = {
		    .problem = PROBLEM_UPSTREAM_UNREACHABLE, .detail = texts[i].detail};
		json_t *root = read_back(&body);

		row_check(texts[i].read, strcmp(json_str(root, "detail"), texts[i].read) == 0);
		row_check(texts[i].read, json_object_size(root) == 10);
		row_check(
		    texts[i].read, json_integer_value(json_object_get(root, "status")) == 502);
		json_decref(root);
	}
}

static void a_long_detail(void **state)
{
	static char detail[30001];
	struct problem_body body = {.problem = PROBLEM_BAD_REQUEST, .detail = detail};
	json_t *root;

	(void)state;
	memset(detail, 'x', sizeof detail - 1);
	root = read_back(&body);
	assert_string_equal(json_str(root, "detail"), detail);
	json_decref(root);
	memset(detail, 0xff, sizeof detail - 1);
	root = read_back(&body);
	assert_int_equal(strlen(json_str(root, "detail")), sizeof detail - 1);
	assert_int_equal(strspn(json_str(root, "detail"), "?"), sizeof detail - 1);
	json_decref(root);
}

/* Left out when NULL, there when empty; and still the caller's afterwards. */
static void options(void **state)
{
	struct problem_body body = {.problem = PROBLEM_NO_PAYABLE_OPTION, .call = 7};
	char *text = problem_format(&body);

	(void)state;
	assert_null(strstr(text, "options"));
	free(text);

	body.options = json_array();
	text = problem_format(&body);
	assert_non_null(strstr(text, "\"call\":\"7\",\"options\":[]}"));
	free(text);

	assert_int_equal(json_array_append_new(body.options, json_string("too dear")), 0);
	for (int i = 0; i < 3; i++) {
		text = problem_format(&body);
		assert_non_null(strstr(text, "\"call\":\"7\",\"options\":[\"too dear\"]}"));
		free(text);
	}
	assert_int_equal(body.options->refcount, 1);
	json_decref(body.options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_status_and_code),
	    cmocka_unit_test(every_shape),
	    cmocka_unit_test(to_the_letter),
	    cmocka_unit_test(amounts_and_counts),
	    cmocka_unit_test(rule_time_and_call),
	    cmocka_unit_test(details),
	    cmocka_unit_test(a_long_detail),
	    cmocka_unit_test(options),
	};

	return unit_run(tests);
}
