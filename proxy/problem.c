#include "proxy/problem.h"

#include <stdlib.h>

#include "common/amount.h"
#include "common/clock.h"

struct entry {
	int status;
	const char *code;
	const char *title;
};

static const struct entry entries[] = {
    [PROBLEM_NONE] = {500, "internal", "No problem"},
    [PROBLEM_BAD_REQUEST] = {400, "bad_request", "Bad request"},
    [PROBLEM_AGENT_PAYMENT_HEADER] = {400, "agent_payment_header", "Payment header from the agent"},
    [PROBLEM_UNAUTHENTICATED] = {401, "unauthenticated", "No valid token"},
    [PROBLEM_AGENT_SUSPENDED] = {403, "agent_suspended", "Agent suspended"},
    [PROBLEM_TOOL_DENIED] = {403, "tool_denied", "Tool not allowed by policy"},
    [PROBLEM_OVER_CALL_LIMIT] = {403, "over_call_limit", "Over the limit of one call"},
    [PROBLEM_OVER_SESSION_LIMIT] = {403, "over_session_limit", "Over the session's limit"},
    [PROBLEM_OVER_TOTAL_LIMIT] = {403, "over_total_limit", "Over a total limit"},
    [PROBLEM_INSUFFICIENT_FUNDS] = {403, "insufficient_funds", "Not enough money in the wallet"},
    [PROBLEM_NO_PAYABLE_OPTION] = {403, "no_payable_option",
	"Nothing the seller offers may be paid"},
    [PROBLEM_UNKNOWN_TOOL] = {404, "unknown_tool", "No such tool"},
    [PROBLEM_NOT_FOUND] = {404, "not_found", "No such page"},
    [PROBLEM_IDEMPOTENCY_CONFLICT] = {409, "idempotency_conflict", "Idempotency-Key in use"},
    [PROBLEM_BODY_TOO_LARGE] = {413, "body_too_large", "Request body too large"},
    [PROBLEM_OVER_MONTH_LIMIT] = {429, "over_month_limit", "Over the month's limit"},
    [PROBLEM_OVER_DAY_LIMIT] = {429, "over_day_limit", "Over the day's limit"},
    [PROBLEM_OVER_HOUR_LIMIT] = {429, "over_hour_limit", "Over the hour's limit"},
    [PROBLEM_OVER_MINUTE_LIMIT] = {429, "over_minute_limit", "Over the minute's limit"},
    [PROBLEM_RATE_LIMITED] = {429, "rate_limited", "Too many calls"},
    [PROBLEM_UPSTREAM_UNREACHABLE] = {502, "upstream_unreachable", "Seller not reached"},
    [PROBLEM_PAYMENT_REJECTED] = {502, "payment_rejected", "Seller did not take the payment"},
    [PROBLEM_PAYMENT_UNKNOWN] = {502, "payment_unknown", "Outcome of the payment unknown"},
    [PROBLEM_NOT_ACCEPTING_PAYMENTS] = {503, "not_accepting_payments", "Not signing payments now"},
    [PROBLEM_UPSTREAM_TIMEOUT] = {504, "upstream_timeout", "Seller did not answer in time"},
};

int problem_status(enum problem problem)
{
	return entries[problem].status;
}

const char *problem_code(enum problem problem)
{
	return entries[problem].code;
}

const char *problem_title(enum problem problem)
{
	return entries[problem].title;
}

static json_t *quantity(const struct problem_body *body, int64_t value)
{
	char text[AMOUNT_TEXT_SIZE];

	if (!body->has_amounts)
		return json_null();
	if (!body->money)
		return json_integer(value);
	return json_string(amount_format(text, amount_of(value)));
}

/* Details may quote a stranger, and may have been cut in the middle of a character: what is
 * not UTF-8 then loses everything that is not ASCII. */
static json_t *words(const char *text)
{
	json_t *json = json_string(text);
	char *copy;

	if (json)
		return json;
	copy = must_strdup(text);
	for (char *at = copy; *at; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	json = json_string(copy);
	free(copy);
	return json;
}

char *problem_format(const struct problem_body *body)
{
	char time[CLOCK_TEXT_SIZE], call[24], type[64];
	json_t *root;
	char *text;

	snprintf(type, sizeof type, "urn:tallyward:problem:%s", problem_code(body->problem));
	snprintf(call, sizeof call, "%lld", (long long)body->call);
	root = json_pack("{s:s, s:s, s:i, s:o, s:s, s:s?, s:o, s:o, s:s?, s:s?}", "type", type,
	    "title", problem_title(body->problem), "status", problem_status(body->problem),
	    "detail", words(body->detail ? body->detail : problem_title(body->problem)), "code",
	    problem_code(body->problem), "rule", body->rule, "requested",
	    quantity(body, body->requested), "remaining", quantity(body, body->remaining),
	    "resets_at", body->resets_us ? clock_format(time, body->resets_us) : NULL, "call",
	    body->call ? call : NULL);
	must(root != NULL);
	if (body->options)
		must(json_object_set(root, "options", body->options) == 0);
	text = json_dumps(root, JSON_COMPACT);
	must(text != NULL);
	json_decref(root);
	return text;
}
