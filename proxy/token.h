/* proxy/token.h - agent tokens: HS256 JWTs that name agent, owner and session.
 *
 * Source: RFC 7519, RFC 7515. Claims, all of them required: iss "tallyward", sub agent, owner,
 * jti session, iat, nbf, exp (whole seconds, to the year 9999); no aud. The signature is
 * compared in constant time before libjwt sees the token: Debian 12's libjwt 1.10 compares with
 * strcmp. No part of a token but its session is ever logged. */
#ifndef PROXY_TOKEN_H
#define PROXY_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

#define TOKEN_SECRET_SIZE  32
#define TOKEN_SESSION_SIZE 33 /* 32 hex digits and NUL: 128 random bits */
#define TOKEN_NAME_SIZE    65 /* agent names are at most 64 bytes */
#define TOKEN_OWNER_SIZE   257
/* Claims of the sizes above need under 1 KiB in base64. */
#define TOKEN_SIZE_MAX 2048

enum token_result {
	TOKEN_OK = 0,
	TOKEN_MALFORMED = 1,     /* not three base64url parts, too long, bad JSON, missing claims */
	TOKEN_BAD_ALGORITHM = 2, /* any alg but HS256, "none" and crit included */
	TOKEN_BAD_SIGNATURE = 3,
	TOKEN_NOT_YET_VALID = 4,
	TOKEN_EXPIRED = 5,
};
const char *token_result_str(enum token_result result);

struct token_claims {
	char agent[TOKEN_NAME_SIZE];
	char owner[TOKEN_OWNER_SIZE];
	char session[TOKEN_SESSION_SIZE];
	int64_t issued_s;
	int64_t not_before_s; /* token_make() says issued_s */
	int64_t expires_s;
};

/** A fresh session id from the kernel's randomness. */
void token_session(char out[TOKEN_SESSION_SIZE]);

/** The signed token; the caller wipes and frees it. */
char *token_make(const struct token_claims *claims, const uint8_t secret[TOKEN_SECRET_SIZE]);

/** token_verify - is it ours, whatever the time is?
 * Out  *out only when TOKEN_OK; else one of the first three other results. */
enum token_result token_verify(struct token_claims *out, const char *token, size_t size,
    const uint8_t secret[TOKEN_SECRET_SIZE]) MUST_CHECK;
/** What the time says of claims that are ours: TOKEN_OK or one of the last two results. */
enum token_result token_time(const struct token_claims *claims, int64_t now_s) MUST_CHECK;
/** token_check - both: who does this token say is calling, at now_s?
 * Out  *out only when TOKEN_OK. Revocation is the registry's to know. */
enum token_result token_check(struct token_claims *out, const char *token, size_t size,
    const uint8_t secret[TOKEN_SECRET_SIZE], int64_t now_s) MUST_CHECK;

#endif
