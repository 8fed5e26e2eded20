/* proxy/transfer.h - outgoing HTTP: libcurl's multi-socket interface on the loop.
 *
 * One struct upstream a worker (its multi handle and kept connections). Redirects are
 * never followed, environment proxies, cookies and .netrc never used, content never
 * decoded, paths sent as they are, certificates always verified, http and https only. An
 * address is looked at when a connection to it is about to be made, and when one is used again
 * (proxy/reach.h): what the request may not reach gets no byte.
 * Callbacks note, the loop acts: a transfer may be cancelled inside its callbacks and is
 * freed at the end of the loop turn. */
#ifndef PROXY_TRANSFER_H
#define PROXY_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "proxy/headers.h"
#include "proxy/spool.h"

struct event_base;
struct upstream;
struct transfer;

struct upstream_limits {
	uint32_t connections_max;     /* kept, in all */
	uint32_t connect_ms_max;
	uint32_t response_ms_max;     /* to the end of the head, once the request is out */
	uint32_t idle_ms_max;         /* without a byte of the body, while not paused */
	uint32_t head_size_max;       /* all header bytes of one response, 1xx included */
	const char *ca_file;          /* NULL: the system's */
};

struct upstream *upstream_new(struct event_base *base, const struct upstream_limits *limits);
/** Other limits from now on; a phase of a transfer that has begun keeps its time. Connections
 * are used again only for the same certificates. On the upstream's loop, not from a callback. */
void upstream_set_limits(struct upstream *upstream, const struct upstream_limits *limits);
void upstream_free(struct upstream **upstream); /* no transfer may be under way */

enum transfer_result {
	TRANSFER_OK = 0,
	TRANSFER_UNREACHABLE = 1, /* could not resolve, connect (in time), or make TLS:
				   * nothing was sent */
	TRANSFER_TIMEOUT = 2,     /* after the request was sent, or while it was */
	TRANSFER_BROKEN = 3,      /* reset, malformed answer, body cut short, header limits */
	TRANSFER_FORBIDDEN = 4,   /* every address is outside the request's reach: nothing was
				   * sent */
};
const char *transfer_result_str(enum transfer_result result);

struct transfer_request {
	const char *method;
	const char *url;
	const struct headers *headers; /* sent as they are; Host, Content-Length,
					* Transfer-Encoding and Expect are ours, and skipped */
	struct spool *body;            /* read from its start; NULL: none. May still be growing.
					* Stays the caller's, until `done` or transfer_cancel().
					* HEAD is sent without it */
	int64_t body_size;             /* known length, or -1: chunked. Ignored without body */
	unsigned reach;                /* set of enum reach: where it may go */
};

struct transfer_events {
	/* The final head (1xx are skipped). headers are valid until `done`. */
	void (*head)(
	    struct transfer *transfer, int status, const struct headers *headers, void *arg);
	/* A piece of the body. Return false to be given it again after transfer_resume(),
	 * or take it and call transfer_pause(): back-pressure. */
	bool (*body)(struct transfer *transfer, const void *bytes, size_t size, void *arg);
	/* The last callback; not called after transfer_cancel(). reason: curl's words. */
	void (*done)(struct transfer *transfer, enum transfer_result result, const char *reason,
	    void *arg);
};

/** transfer_start - never calls back before it returned. Never NULL.
 *
 * The request leaves at most once, unless its method is safe (GET, HEAD, OPTIONS, TRACE):
 * those are repeated on a fresh connection when a kept one turns out to be dead. */
struct transfer *transfer_start(struct upstream *upstream, const struct transfer_request *request,
    const struct transfer_events *events, void *arg);
/** transfer_prepare - the same, but nothing happens before transfer_send(): no name is looked up,
 * no connection made or taken, not a byte sent, no time runs. Until then it may be cancelled, and
 * nothing else. Everything of the request but its body is copied. Never NULL. */
struct transfer *transfer_prepare(struct upstream *upstream,
    const struct transfer_request *request, const struct transfer_events *events, void *arg);
/** Once for each that was prepared; never calls back before it returned. */
void transfer_send(struct transfer *transfer);
/** The spool has grown or was finished. */
void transfer_body_ready(struct transfer *transfer);
/** No more of the body until transfer_resume(); one piece more may be held in memory. */
void transfer_pause(struct transfer *transfer);
void transfer_resume(struct transfer *transfer);
/** From `head` on: the rest of the answer has response_ms_max from now, all of it, however it
 * drips; for answers that something waits for. Not to be paused any more. */
void transfer_hurry(struct transfer *transfer);
/** No callback comes after this; *transfer is NULL. */
void transfer_cancel(struct transfer **transfer);

/** Facts known once `head` was called (and for the last two at `done`). The head of the
 * answer stays as it was given to `head`, without trailers, until `done` has returned. */
const struct headers *transfer_headers(const struct transfer *transfer);
int64_t transfer_content_length(const struct transfer *transfer); /* -1 unknown */
bool transfer_peer_loopback(const struct transfer *transfer);     /* the address connected to */
bool transfer_peer_secure(const struct transfer *transfer);       /* https */
bool transfer_request_sent(const struct transfer *transfer);      /* a connection was made and
								    * bytes may have left */

#endif
