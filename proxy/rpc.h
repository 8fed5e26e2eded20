/* proxy/rpc.h - JSON-RPC 2.0 with one endpoint: one question, one bounded answer.
 *
 * What comes back is hostile until it is shown to be an answer to this question: HTTP 200,
 * no content coding, JSON within common/json.h's bounds, "jsonrpc":"2.0", our id, exactly
 * one of result and error. Whether the result makes sense is for chain_read.h.
 *
 * The URL holds the owner's API key: reasons name its origin at most, and words of the
 * endpoint that repeat a part of the URL are masked.
 *
 * Source: https://www.jsonrpc.org/specification; HTTP over proxy/transfer.h. */
#ifndef PROXY_RPC_H
#define PROXY_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

struct event_base;
struct upstream;
struct rpc;
struct rpc_request;

enum rpc_result {
	RPC_OK = 0,
	RPC_ERROR = 1,  /* the endpoint says no: an error object */
	RPC_FAILED = 2, /* no answer in time, or nothing that is one */
};
const char *rpc_result_str(enum rpc_result result);

#define RPC_REASON_SIZE 192u
#define RPC_ORIGIN_SIZE 128u
#define RPC_URL_SIZE    1024u /* keys are 32 to 200 characters */
/* The longest question is eth_getLogs for 64 authorizations: 128 topics of 69 bytes. */
#define RPC_QUESTION_SIZE_MAX (64u * 1024u)

struct rpc_answer {
	enum rpc_result result;
	const json_t *value; /* RPC_OK: the result, which may be JSON's null; else NULL */
	int64_t code;        /* RPC_ERROR: the error's; 0 when it has none */
	const char *reason;  /* not RPC_OK: one line of printable ASCII without the URL; else "" */
};

/** Everything in answer lives until done returns. */
typedef void rpc_fn(const struct rpc_answer *answer, void *arg);

/** May this URL be asked? https to any host; http to localhost and addresses of the
 * loopback interface alone: on the way to any other host, whoever forwards the packets
 * could write the answers. No user name, no fragment. False with a reason. */
bool rpc_url_check(char reason[RPC_REASON_SIZE], const char *url) MUST_CHECK;
/** scheme://host[:port] of a URL, "(not a URL)" when it is none; returns origin. */
const char *rpc_url_origin(char origin[RPC_ORIGIN_SIZE], const char *url);

/** Never NULL: what asks an endpoint whose URL may not be asked is told so.
 * request_ms_max: from the question to the last byte of the answer. */
struct rpc *rpc_new(
    struct event_base *base, struct upstream *upstream, const char *url, uint32_t request_ms_max);
/** No request may be under way. */
void rpc_free(struct rpc **rpc);
const char *rpc_origin(const struct rpc *rpc);

/** rpc_ask - params (an array) becomes ours. done is called once, from the loop, never
 * before this returned; it may ask again, and cancel other requests. Never NULL. */
struct rpc_request *rpc_ask(struct rpc *rpc, const char *method, json_t *params,
    size_t answer_size_max, rpc_fn *done, void *arg);
/** No callback comes after this; *request is NULL. Takes NULL inside. */
void rpc_cancel(struct rpc_request **request);

#endif
