/* proxy/token_cache.h - tokens that were found to be ours, so that the next call with the same
 * one costs a comparison instead of two parsers and an HMAC.
 *
 * Kept is what cannot change: that these bytes, all of them, bear a signature by this secret, and
 * the claims they make. Whether the token's time has come or is over is asked with every call;
 * whether token, session or agent were revoked is the registry's to say, with every call too.
 * Another secret empties it. Nothing is kept of what was refused: refusals cost what they cost.
 *
 * Where a token lies follows from its signature, which nobody can choose for a token that is
 * taken in, by a multiplication with a random number, which nobody knows. A guess is compared
 * with what lies there in time that depends on its length alone, so that time does not tell how
 * much of it is right. A few hundred bytes each (a token, its claims), at most 2.5 KiB.
 *
 * One cache belongs to one thread. */
#ifndef PROXY_TOKEN_CACHE_H
#define PROXY_TOKEN_CACHE_H

#include "proxy/token.h"

/* 2,048 places of four. More tokens in use at once than that are verified more often. */
#define TOKEN_CACHE_MAX 8192u

struct token_cache;

struct token_cache *token_cache_new(void);
/** Wipes what it holds. */
void token_cache_free(struct token_cache **cache);
/** As token_check(), in every result. */
enum token_result token_cache_check(struct token_cache *cache, struct token_claims *out,
    const char *token, size_t size, const uint8_t secret[TOKEN_SECRET_SIZE],
    int64_t now_s) MUST_CHECK;

#endif
