#include "proxy/token.h"

#include <jwt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "common/json.h"

#define ISSUER "tallyward"
/* The last second of the year 9999, which is as far as RFC 3339 reaches. */
#define SECONDS_MAX INT64_C(253402300799)

const char *token_result_str(enum token_result result)
{
	switch (result) {
	case TOKEN_OK:
		return "ok";
	case TOKEN_MALFORMED:
		return "malformed";
	case TOKEN_BAD_ALGORITHM:
		return "bad_algorithm";
	case TOKEN_BAD_SIGNATURE:
		return "bad_signature";
	case TOKEN_NOT_YET_VALID:
		return "not_yet_valid";
	case TOKEN_EXPIRED:
		return "expired";
	}
	return "unknown";
}

void token_session(char out[TOKEN_SESSION_SIZE])
{
	uint8_t random[(TOKEN_SESSION_SIZE - 1) / 2];

	bytes_random(random, sizeof random);
	hex_encode(out, random, sizeof random);
}

char *token_make(const struct token_claims *claims, const uint8_t secret[TOKEN_SECRET_SIZE])
{
	jwt_t *jwt = NULL;
	char *encoded, *token;

	must(jwt_new(&jwt) == 0);
	must(jwt_add_grant(jwt, "iss", ISSUER) == 0);
	must(jwt_add_grant(jwt, "sub", claims->agent) == 0);
	must(jwt_add_grant(jwt, "owner", claims->owner) == 0);
	must(jwt_add_grant(jwt, "jti", claims->session) == 0);
	must(jwt_add_grant_int(jwt, "iat", (long)claims->issued_s) == 0);
	must(jwt_add_grant_int(jwt, "nbf", (long)claims->issued_s) == 0);
	must(jwt_add_grant_int(jwt, "exp", (long)claims->expires_s) == 0);
	must(jwt_set_alg(jwt, JWT_ALG_HS256, secret, TOKEN_SECRET_SIZE) == 0);
	encoded = jwt_encode_str(jwt);
	must(encoded != NULL);
	token = must_strdup(encoded);
	bytes_wipe(encoded, strlen(encoded));
	free(encoded);
	jwt_free(jwt);
	must(strlen(token) <= TOKEN_SIZE_MAX);
	return token;
}

/* One part as JSON, or NULL: read more strictly than libjwt does, which takes the last of
 * two equal keys and stops at a NUL. */
static json_t *part_read(const char *text, size_t size, size_t size_max)
{
	struct json_error error;
	uint8_t *bytes = NULL;
	size_t bytes_size = 0;
	json_t *part;

	if (!base64url_decode(&bytes, &bytes_size, text, size, size_max))
		return NULL;
	part = json_read(&error, (const char *)bytes, bytes_size, size_max);
	bytes_wipe(bytes, bytes_size);
	free(bytes);
	return part;
}

/* The header decides nothing: it must say what we would have said. */
static enum token_result header_check(const char *text, size_t size)
{
	const char *algorithm;
	json_t *header = part_read(text, size, 512);
	enum token_result result = TOKEN_MALFORMED;

	if (!json_is_object(header))
		goto out;
	algorithm = json_str(header, "alg");
	result = TOKEN_BAD_ALGORITHM;
	if (!algorithm || strcmp(algorithm, "HS256") != 0 || json_object_get(header, "crit"))
		goto out;
	result = TOKEN_OK;
out:
	json_decref(header);
	return result;
}

/* RFC 7519 4.1.3: one that names audiences is for somebody else; ours name none. */
static bool payload_check(const char *text, size_t size)
{
	json_t *payload = part_read(text, size, TOKEN_SIZE_MAX);
	bool ok = json_is_object(payload) && !json_object_get(payload, "aud");

	json_decref(payload);
	return ok;
}

static bool signature_check(const char *token, size_t signed_size, const char *signature,
    size_t signature_size, const uint8_t secret[TOKEN_SECRET_SIZE])
{
	struct digest expected = hmac_sha256(secret, TOKEN_SECRET_SIZE, token, signed_size);
	uint8_t *given = NULL;
	size_t given_size = 0;
	bool equal;

	if (!base64url_decode(&given, &given_size, signature, signature_size, DIGEST_SIZE))
		return false;
	equal = given_size == DIGEST_SIZE && bytes_equal_ct(given, expected.bytes, DIGEST_SIZE);
	free(given);
	bytes_wipe(&expected, sizeof expected);
	return equal;
}

static bool claim_text(char *out, size_t out_size, jwt_t *jwt, const char *name)
{
	const char *value = jwt_get_grant(jwt, name);
	size_t size = value ? strlen(value) : 0;

	if (size == 0 || size >= out_size)
		return false;
	memcpy(out, value, size + 1);
	return true;
}

/* A whole number of seconds; libjwt takes anything else for 0. */
static bool claim_time(int64_t *out, jwt_t *jwt, const char *name)
{
	*out = jwt_get_grant_int(jwt, name);
	return *out > 0 && *out <= SECONDS_MAX;
}

static enum token_result claims_read(struct token_claims *out, jwt_t *jwt)
{
	struct token_claims claims;
	const char *issuer = jwt_get_grant(jwt, "iss");

	memset(&claims, 0, sizeof claims);
	if (!issuer || strcmp(issuer, ISSUER) != 0 ||
	    !claim_time(&claims.issued_s, jwt, "iat") ||
	    !claim_time(&claims.not_before_s, jwt, "nbf") ||
	    !claim_time(&claims.expires_s, jwt, "exp") ||
	    !claim_text(claims.agent, sizeof claims.agent, jwt, "sub") ||
	    !claim_text(claims.owner, sizeof claims.owner, jwt, "owner") ||
	    !claim_text(claims.session, sizeof claims.session, jwt, "jti"))
		return TOKEN_MALFORMED;
	*out = claims;
	return TOKEN_OK;
}

enum token_result token_verify(struct token_claims *out, const char *token, size_t size,
    const uint8_t secret[TOKEN_SECRET_SIZE])
{
	char copy[TOKEN_SIZE_MAX + 1];
	const char *payload, *signature, *end = token + size;
	enum token_result result;
	jwt_t *jwt = NULL;

	if (size == 0 || size > TOKEN_SIZE_MAX || memchr(token, '\0', size))
		return TOKEN_MALFORMED;
	payload = memchr(token, '.', size);
	signature = payload ? memchr(payload + 1, '.', (size_t)(end - payload - 1)) : NULL;
	if (!signature || memchr(signature + 1, '.', (size_t)(end - signature - 1)))
		return TOKEN_MALFORMED;
	result = header_check(token, (size_t)(payload - token));
	if (result != TOKEN_OK)
		return result;
	if (!signature_check(token, (size_t)(signature - token), signature + 1,
		(size_t)(end - signature - 1), secret))
		return TOKEN_BAD_SIGNATURE;
	if (!payload_check(payload + 1, (size_t)(signature - payload - 1)))
		return TOKEN_MALFORMED;
	memcpy(copy, token, size);
	copy[size] = '\0';
	if (jwt_decode(&jwt, copy, secret, TOKEN_SECRET_SIZE) == 0)
		result = claims_read(out, jwt);
	else
		result = TOKEN_MALFORMED;
	jwt_free(jwt);
	bytes_wipe(copy, sizeof copy);
	return result;
}

enum token_result token_time(const struct token_claims *claims, int64_t now_s)
{
	if (now_s < claims->not_before_s || now_s < claims->issued_s)
		return TOKEN_NOT_YET_VALID;
	return now_s >= claims->expires_s ? TOKEN_EXPIRED : TOKEN_OK;
}

enum token_result token_check(struct token_claims *out, const char *token, size_t size,
    const uint8_t secret[TOKEN_SECRET_SIZE], int64_t now_s)
{
	struct token_claims claims;
	enum token_result result = token_verify(&claims, token, size, secret);

	if (result == TOKEN_OK)
		result = token_time(&claims, now_s);
	if (result == TOKEN_OK)
		*out = claims;
	return result;
}
