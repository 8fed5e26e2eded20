/* proxy/identify.h - bearer token → agent, owner, session. No disk. */
#ifndef PROXY_IDENTIFY_H
#define PROXY_IDENTIFY_H

#include "proxy/headers.h"
#include "proxy/problem.h"
#include "proxy/rooms.h"
#include "proxy/token_cache.h"

struct identity {
	struct agent *agent; /* known whenever claims are */
	struct token_claims claims;
	bool authentic; /* claims were signed by us and not expired; may still be revoked */
};

/** PROBLEM_NONE, PROBLEM_UNAUTHENTICATED or PROBLEM_AGENT_SUSPENDED; *detail says why in
 * words that help an agent's developer and tell an attacker nothing. */
enum problem identify(struct identity *out, const char **detail, struct house *house,
    struct token_cache *tokens, const struct headers *headers, int64_t now_s);

#endif
