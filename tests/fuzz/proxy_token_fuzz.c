/* Agents' tokens: nothing that we did not sign is believed, and what we signed only as it was
 * written.
 *
 * The first byte: 's' header and payload, parted by a newline, which the harness encodes and
 * signs, so that what lies behind the signature is reached; 'e' pairs of bytes, each of them a
 * place and a byte to put there in a good token; anything else a token as it came. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "proxy/token.h"
#include "tests/fuzz/fuzz.h"

#define NOW_S 1700000000

static const uint8_t secret[TOKEN_SECRET_SIZE] = "a secret that nobody else has..";

static const struct token_claims good = {
    .agent = "researcher",
    .owner = "alice@example.com",
    .session = "00112233445566778899aabbccddeeff",
    .issued_s = NOW_S - 60,
    .expires_s = NOW_S + 3600,
};

static bool claims_equal(const struct token_claims *a, const struct token_claims *b)
{
	return strcmp(a->agent, b->agent) == 0 && strcmp(a->owner, b->owner) == 0 &&
	       strcmp(a->session, b->session) == 0 && a->issued_s == b->issued_s &&
	       a->expires_s == b->expires_s;
}

/* Whoever has the signature of everything before the last point has the secret. */
static bool signature_fits(const char *token, size_t size)
{
	const char *point = memrchr(token, '.', size);
	struct digest digest;
	char *text;
	bool fits;

	must(point != NULL);
	digest = hmac_sha256(secret, sizeof(secret), token, (size_t)(point - token));
	text = base64url_encode(digest.bytes, DIGEST_SIZE);
	fits = strlen(text) == size - (size_t)(point + 1 - token) &&
	       memcmp(text, point + 1, strlen(text)) == 0;
	free(text);
	return fits;
}

static enum token_result check(struct token_claims *claims, const char *token, size_t size)
{
	static const struct token_claims untouched = {.agent = "nobody", .issued_s = 5};
	struct token_claims early = untouched;
	enum token_result result;

	*claims = untouched;
	result = token_check(claims, token, size, secret, NOW_S);
	must(strcmp(token_result_str(result), "unknown") != 0);
	if (result != TOKEN_OK) {
		must(memcmp(claims, &untouched, sizeof(untouched)) == 0);
		return result;
	}
	must(size <= TOKEN_SIZE_MAX && signature_fits(token, size));
	must(claims->agent[0] && claims->owner[0] && claims->session[0]);
	must(strlen(claims->agent) < TOKEN_NAME_SIZE && strlen(claims->owner) < TOKEN_OWNER_SIZE);
	must(strlen(claims->session) < TOKEN_SESSION_SIZE);
	must(claims->expires_s > NOW_S);
	/* Over when it is over, to the second. */
	must(token_check(&early, token, size, secret, claims->expires_s) == TOKEN_EXPIRED);
	must(token_check(&early, token, size, secret, claims->expires_s - 1) == TOKEN_OK);
	must(claims_equal(&early, claims));
	return result;
}

static void try_signed(const char *text, size_t size)
{
	const char *newline = memchr(text, '\n', size);
	size_t header_size = newline ? (size_t)(newline - text) : size;
	char *header = base64url_encode(text, header_size);
	char *payload =
	    newline ? base64url_encode(newline + 1, size - header_size - 1) : must_strdup("");
	char *start = must_format("%s.%s", header, payload);
	struct digest digest = hmac_sha256(secret, sizeof(secret), start, strlen(start));
	char *signature = base64url_encode(digest.bytes, DIGEST_SIZE);
	char *token = must_format("%s.%s", start, signature);
	struct token_claims claims;

	must(check(&claims, token, strlen(token)) != TOKEN_BAD_SIGNATURE);
	free(token);
	free(signature);
	free(start);
	free(payload);
	free(header);
}

static void try_edited(const uint8_t *edits, size_t size)
{
	char *token = token_make(&good, secret), *edited = must_strdup(token);
	size_t length = strlen(token), i;
	struct token_claims claims;
	enum token_result result;

	for (i = 0; i + 1 < size; i += 2)
		edited[edits[i] * length / 256] = (char)edits[i + 1];
	result = check(&claims, edited, length);
	must((result == TOKEN_OK) == (memcmp(token, edited, length) == 0));
	if (result == TOKEN_OK)
		must(claims_equal(&claims, &good));
	free(edited);
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct token_claims claims;

	if (size == 0)
		return 0;
	if (data[0] == 's')
		try_signed((const char *)data + 1, size - 1);
	else if (data[0] == 'e')
		try_edited(data + 1, size - 1);
	else
		(void)check(&claims, (const char *)data + 1, size - 1);
	return 0;
}
