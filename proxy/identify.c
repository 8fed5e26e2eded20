#include "proxy/identify.h"

#include <string.h>
#include <strings.h>

static const char *bearer(const struct headers *headers, const char **detail)
{
	const char *value;
	size_t count = headers_all(&value, 1, headers, "authorization");

	*detail = "send Authorization: Bearer and the agent's token";
	if (count != 1 || strncasecmp(value, "bearer ", 7) != 0)
		return NULL;
	value += 7;
	return value + strspn(value, " ");
}

enum problem identify(struct identity *out, const char **detail, struct house *house,
    struct token_cache *tokens, const struct headers *headers, int64_t now_s)
{
	const char *token = bearer(headers, detail);
	enum token_result result;

	memset(out, 0, sizeof *out);
	if (!token)
		return PROBLEM_UNAUTHENTICATED;
	result = token_cache_check(
	    tokens, &out->claims, token, strlen(token), house->token_secret, now_s);
	*detail = result == TOKEN_EXPIRED ? "the token has expired: ask the owner for a new one"
					  : "the token is not valid here";
	if (result != TOKEN_OK)
		return PROBLEM_UNAUTHENTICATED;
	out->agent = registry_agent(house->registry, out->claims.agent);
	if (!out->agent || strcmp(out->agent->owner, out->claims.owner) != 0)
		return PROBLEM_UNAUTHENTICATED;
	out->authentic = true;
	if (!registry_admit(house->registry, out->claims.session, out->claims.expires_s)) {
		*detail = registry_revoked(house->registry, out->claims.session)
			      ? "the token was revoked: ask the owner for a new one"
			      : "the token has expired: ask the owner for a new one";
		return PROBLEM_UNAUTHENTICATED;
	}
	*detail = "the owner has suspended this agent";
	return atomic_load(&out->agent->suspended) ? PROBLEM_AGENT_SUSPENDED : PROBLEM_NONE;
}
