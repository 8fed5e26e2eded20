/* wallet/challenge.c - reading a 402.
 *
 * A stranger wrote every byte seen here. This file bounds them and finds the
 * fields; whether any of it may be paid is decided in wallet/choice.c. */
#include "wallet/challenge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"

/* Stands where a text was expected and something else stood. Absent has a
 * meaning of its own (the default transfer method), which this must not get. */
static const char not_text[] = "(not text)";

static enum challenge_result refuse(char reason[256], enum challenge_result result,
    const char *format, ...) PRINTF_LIKE(3, 4);

static enum challenge_result refuse(char reason[256], enum challenge_result result,
    const char *format, ...)
{
	va_list args;

	if (reason == NULL)
		return result;
	va_start(args, format);
	vsnprintf(reason, 256, format, args);
	va_end(args);
	return result;
}

const char *challenge_result_str(enum challenge_result result)
{
	switch (result) {
	case CHALLENGE_OK:
		return "ok";
	case CHALLENGE_ABSENT:
		return "absent";
	case CHALLENGE_DUPLICATE:
		return "duplicate";
	case CHALLENGE_TOO_LARGE:
		return "too_large";
	case CHALLENGE_BAD_BASE64:
		return "bad_base64";
	case CHALLENGE_BAD_JSON:
		return "bad_json";
	case CHALLENGE_BAD_FORM:
		return "bad_form";
	}
	return "unknown";
}

struct challenge *challenge_hold(struct challenge *challenge)
{
	challenge->holders++;
	return challenge;
}

void challenge_free(struct challenge **challenge_p)
{
	struct challenge *challenge = *challenge_p;

	*challenge_p = NULL;
	if (challenge == NULL || --challenge->holders > 0)
		return;
	for (size_t i = 0; i < challenge->option_count; i++)
		free(challenge->options[i].echo);
	json_decref(challenge->root);
	free(challenge->text);
	free(challenge);
}

/* Absent and null are NULL; anything that is not text is not_text. */
static const char *claim(const json_t *object, const char *key)
{
	const json_t *member = json_member(object, key);

	if (member == NULL)
		return NULL;
	return json_is_string(member) ? json_string_value(member) : not_text;
}

/* The version number, which some servers write as text; 0 when there is none. */
static int version_of(const json_t *root)
{
	const json_t *member = json_member(root, "x402Version");

	if (json_is_integer(member) && json_integer_value(member) == 1)
		return 1;
	if (json_is_integer(member) && json_integer_value(member) == 2)
		return 2;
	if (json_is_string(member) && strcmp(json_string_value(member), "1") == 0)
		return 1;
	if (json_is_string(member) && strcmp(json_string_value(member), "2") == 0)
		return 2;
	return 0;
}

static void read_timeout(struct requirement *option)
{
	const json_t *timeout = json_member(option->json, "maxTimeoutSeconds");
	json_int_t seconds = json_integer_value(timeout); /* 0 when it is no integer */

	if (seconds < 1 || seconds > INT32_MAX)
		return;
	option->timeout_valid = true;
	option->timeout_s = seconds;
}

static void read_option(struct requirement *option, const struct challenge *challenge,
    json_t *entry)
{
	const json_t *extra = json_member(entry, "extra");
	bool v1 = challenge->version == 1;

	option->json = entry;
	option->scheme = json_str(entry, "scheme");
	option->network = json_str(entry, "network");
	option->amount = json_str(entry, v1 ? "maxAmountRequired" : "amount");
	option->asset = json_str(entry, "asset");
	option->has_contract = address_parse(&option->contract, option->asset);
	option->pay_to = json_str(entry, "payTo");
	option->has_payee = address_parse(&option->payee, option->pay_to);
	if (option->has_payee)
		address_format(option->payee_text, &option->payee);
	option->resource_url = v1 ? claim(entry, "resource") : claim(challenge->resource, "url");
	option->payment_flow = claim(extra, "paymentFlow");
	option->transfer_method = claim(extra, "assetTransferMethod");
	option->domain_name = json_str(extra, "name");
	option->domain_version = json_str(extra, "version");
	read_timeout(option);
}

static enum challenge_result read_options(struct challenge *challenge, char reason[256])
{
	const json_t *accepts = json_member(challenge->root, "accepts");
	json_t *entry;
	size_t index;

	if (!json_is_array(accepts) || json_array_size(accepts) == 0)
		return refuse(reason, CHALLENGE_BAD_FORM, "accepts is not a list with an entry");
	json_array_foreach (accepts, index, entry) {
		if (!json_is_object(entry))
			return refuse(reason, CHALLENGE_BAD_FORM, "accepts[%zu] is not an object",
			    index);
		if (index < CHALLENGE_OPTIONS_MAX)
			read_option(&challenge->options[challenge->option_count++], challenge,
			    entry);
	}
	challenge->option_dropped = json_array_size(accepts) - challenge->option_count;
	return CHALLENGE_OK;
}

/* A member that v2 wants as an object, or leaves out. */
static enum challenge_result read_object(json_t **out, const struct challenge *challenge,
    const char *key, char reason[256])
{
	json_t *member = json_member(challenge->root, key);

	if (member != NULL && !json_is_object(member))
		return refuse(reason, CHALLENGE_BAD_FORM, "%s is not an object", key);
	*out = member;
	return CHALLENGE_OK;
}

/* Takes text and root whatever happens. */
static enum challenge_result build(struct challenge **out, char reason[256], char *text,
    size_t text_size, json_t *root, int version)
{
	struct challenge *challenge = must_calloc(1, sizeof(*challenge));
	enum challenge_result result = CHALLENGE_OK;

	challenge->holders = 1;
	challenge->version = version;
	challenge->root = root;
	challenge->text = text;
	challenge->text_size = text_size;
	challenge->error = json_str(root, "error");
	if (version == 2)
		result = read_object(&challenge->resource, challenge, "resource", reason);
	if (version == 2 && result == CHALLENGE_OK)
		result = read_object(&challenge->extensions, challenge, "extensions", reason);
	if (result == CHALLENGE_OK)
		result = read_options(challenge, reason);
	if (result != CHALLENGE_OK) {
		challenge_free(&challenge);
		return result;
	}
	*out = challenge;
	return CHALLENGE_OK;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum challenge_result refuse_large(char reason[256])
{
	return refuse(reason, CHALLENGE_TOO_LARGE, "the challenge is larger than %u bytes",
	    CHALLENGE_SIZE_MAX);
}

static enum challenge_result parse_header(struct challenge **out, char reason[256],
    const char *header)
{
	size_t length, text_size;
	struct json_error bad;
	uint8_t *text;
	json_t *root;

	/* Blanks around a value are the transport's, not part of it. */
	while (*header == ' ' || *header == '\t')
		header++;
	length = strlen(header);
	while (length > 0 && (header[length - 1] == ' ' || header[length - 1] == '\t'))
		length--;
	if (length > (CHALLENGE_SIZE_MAX + 2) / 3 * 4)
		return refuse_large(reason);
	if (!base64_decode(&text, &text_size, header, length, CHALLENGE_SIZE_MAX + 2))
		return refuse(reason, CHALLENGE_BAD_BASE64,
		    "the PAYMENT-REQUIRED header is not base64");
	if (text_size > CHALLENGE_SIZE_MAX) {
		free(text);
		return refuse_large(reason);
	}
	root = json_read(&bad, (const char *)text, text_size, CHALLENGE_SIZE_MAX);
	if (root == NULL) {
		free(text);
		return refuse(reason, CHALLENGE_BAD_JSON, "the PAYMENT-REQUIRED header: %s",
		    bad.reason);
	}
	if (version_of(root) != 2) {
		json_decref(root);
		free(text);
		return refuse(reason, CHALLENGE_BAD_FORM,
		    "the PAYMENT-REQUIRED header is not an x402Version 2 object");
	}
	return build(out, reason, (char *)text, text_size, root, 2);
}

static enum challenge_result absent(char reason[256])
{
	return refuse(reason, CHALLENGE_ABSENT, "the answer carries no x402 challenge");
}

/* Is this body worth reading: does it claim to be a challenge? Status 402 has
 * other users, and their pages and objects pass through untouched. */
static bool claims_challenge(const char *body, size_t size)
{
	static const char mark[] = "\"x402Version\"";
	size_t start = 0;

	while (start < size && is_blank(body[start]))
		start++;
	return start < size && body[start] == '{' &&
	    memmem(body + start, size - start, mark, sizeof(mark) - 1) != NULL;
}

static enum challenge_result parse_body(struct challenge **out, char reason[256],
    const char *body, size_t size)
{
	struct json_error bad;
	json_t *root;
	int version;

	if (body == NULL || !claims_challenge(body, size))
		return absent(reason);
	if (size > CHALLENGE_SIZE_MAX)
		return refuse_large(reason);
	root = json_read(&bad, body, size, CHALLENGE_SIZE_MAX);
	if (root == NULL)
		return refuse(reason, CHALLENGE_BAD_JSON, "the challenge in the body: %s",
		    bad.reason);
	version = version_of(root);
	if (json_member(root, "x402Version") == NULL ||
	    (version == 2 && json_member(root, "accepts") == NULL)) {
		json_decref(root);
		return absent(reason);
	}
	if (version == 0) {
		json_decref(root);
		return refuse(reason, CHALLENGE_BAD_FORM, "x402Version is neither 1 nor 2");
	}
	return build(out, reason, must_strndup(body, size), size, root, version);
}

enum challenge_result challenge_parse(struct challenge **out, char reason[256],
    const char *const *headers, size_t header_count, const char *body, size_t body_size)
{
	if (header_count > 1)
		return refuse(reason, CHALLENGE_DUPLICATE,
		    "%zu PAYMENT-REQUIRED headers in one answer", header_count);
	if (header_count == 1)
		return parse_header(out, reason, headers[0]);
	return parse_body(out, reason, body, body_size);
}
