/* proxy/exchange.h - the server side of HTTP/1.1: a listener, its connections, and on
 * each connection one request with its response at a time.
 *
 * bufferevent + llhttp in strict mode (Content-Length with Transfer-Encoding, duplicate
 * lengths, bare LF and obsolete folding are refused). One listener belongs to one event
 * loop; all calls and callbacks happen on that loop's thread. The process ignores SIGPIPE.
 *
 * What is malformed, too large or too slow is answered here, with a problem+json body of
 * code "bad_request", and never reaches `head`. Requests after the first on a connection
 * wait unparsed until the one before is finished. An offer to upgrade is ignored, which
 * HTTP allows. The end of the agent's sending counts as a hang-up until the answer is
 * complete: a client that only shut its sending side down cannot be told from one that
 * died, and nobody should pay for the dead.
 *
 * Callbacks note, the loop acts: an exchange is never freed inside one of its own
 * callbacks. It stays valid until `finished` has been called, which is always the last
 * callback, exactly once for every exchange whose `head` was called. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/headers.h"

struct event_base;
struct evbuffer;
struct listener;
struct exchange;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* What the owner of a listener gives; every wait and size has a limit. */
struct listener_limits {
	uint32_t connections_max;  /* a further one takes the place of one that is idle and has no
				    * credit, or is answered 503 "too_many_connections" */
	uint32_t descriptor_max;   /* the same for a connection with this descriptor or a higher
				    * one, as the kernel gives out the lowest first; 0: no limit */
	uint32_t head_ms_max;      /* from the first byte of a head to its end: slowloris */
	uint32_t idle_ms_max;      /* between requests on a kept connection */
	uint32_t body_idle_ms_max; /* without a byte of a body that is being waited for */
	uint32_t write_idle_ms_max;/* without a byte taken by a slow reader */
	uint32_t out_size_high;    /* stop producing when so much waits to be written */
	uint32_t out_size_low;     /* go on when it has fallen to this */
};

struct exchange_events {
	/* The head is complete. The body, if any, is paused until exchange_read_body(). */
	void (*head)(struct exchange *exchange, void *arg);
	/* A piece of the decoded body (chunking removed). Borrowed. May call
	 * exchange_pause_body(). */
	void (*body)(struct exchange *exchange, const void *bytes, size_t size, void *arg);
	/* The body is complete (called once, after exchange_read_body, also for no body).
	 * Neither this nor `body` comes after exchange_end() or exchange_reply(). */
	void (*body_end)(struct exchange *exchange, void *arg);
	/* Output fell to out_size_low after exchange_write() returned false. */
	void (*writable)(struct exchange *exchange, void *arg);
	/* The last callback. completed: the response was written out whole. False: the agent
	 * hung up, broke the protocol mid-body, timed out, or exchange_abort() was called.
	 * After it the exchange is gone. */
	void (*finished)(struct exchange *exchange, bool completed, void *arg);
	/* Microseconds until the next connections without credit may have their turn, now that
	 * some had and were refused (the turnstile in proxy/connection.h). NULL: no pause. */
	uint32_t (*pause_us)(void *arg);
};

/** listener_new - serve on an already bound, listening, non-blocking socket, which the
 * listener then owns. arg goes to every callback. listener_socket_* make such sockets:
 * "127.0.0.1:8402", "[::1]:0" (SO_REUSEPORT when shared), or a Unix socket path (mode 0600;
 * a stale one is replaced). Return the fd, or -1 with reason filled. */
struct listener *listener_new(struct event_base *base, int fd, const struct listener_limits *limits,
    const struct exchange_events *events, void *arg);
/** Other limits from now on: for what is waited for next; a connection's own time to take
 * output stays as it was made. On the listener's loop. */
void listener_set_limits(struct listener *listener, const struct listener_limits *limits);
/** TLS for connections from now on; takes context, whose certificate they will show. NULL:
 * plain. A handshake has head_ms_max; what over connections_max cannot be served is closed without
 * one. On the listener's loop. */
void listener_set_tls(struct listener *listener, struct ssl_ctx_st *context);
/** Stop accepting; kept idle connections are closed, exchanges under way go on. */
void listener_drain(struct listener *listener);
/** Connections still there. */
size_t listener_connections(const struct listener *listener);
/** Closes everything, calling `finished` for what was under way. Not from a callback of
 * this listener's. */
void listener_free(struct listener **listener);
/** Is it an address and a port, like 127.0.0.1:8402 or [::1]:0, whoever may listen there? */
bool listener_address_valid(const char *address);
int listener_socket_tcp(char reason[256], const char *address, bool shared) MUST_CHECK;
/** Its two halves: a port is taken by the first, which may need a right that goes, and nobody
 * can connect before the second. False: reason is filled, the socket is still the caller's. */
int listener_socket_bind(char reason[256], const char *address, bool shared) MUST_CHECK;
bool listener_socket_listen(char reason[256], int fd) MUST_CHECK;
int listener_socket_unix(char reason[256], const char *path) MUST_CHECK;
/** "127.0.0.1:43121": what a socket was bound to. */
bool listener_socket_name(char *out, size_t out_size, int fd) MUST_CHECK;

/* --- the request ------------------------------------------------------- */
/** A constant, which outlives the exchange. */
const char *exchange_method(const struct exchange *exchange);
/** Request target as received: origin-form only ("/path?query"); any other form has been
 * answered 400 before `head`. */
const char *exchange_target(const struct exchange *exchange);
const struct headers *exchange_headers(const struct exchange *exchange);
/** Content-Length, 0 without a body, -1 when chunked. */
int64_t exchange_body_size(const struct exchange *exchange);
/** Let the body come (sends 100 Continue when it was asked for); pause and go on. */
void exchange_read_body(struct exchange *exchange);
void exchange_pause_body(struct exchange *exchange);
void exchange_resume_body(struct exchange *exchange);
/** A place for the handler's own pointer, NULL at first. */
void exchange_set_user(struct exchange *exchange, void *user);
void *exchange_user(const struct exchange *exchange);

/* --- the response ------------------------------------------------------ */
/** exchange_reply - a whole response at once; body is copied. Adds Content-Length and Date.
 * What is left of the request body is drained if small, else the connection closes. */
void exchange_reply(struct exchange *exchange, int status, const struct headers *headers,
    const void *body, size_t size);
/** exchange_start - begin a streamed response. body_size -1: unknown (chunked; close for
 * HTTP/1.0). Framing headers (Content-Length, Transfer-Encoding, Connection, Date if absent)
 * are ours: such names in headers are ignored. For HEAD, 204, 304 no body is written; for
 * HEAD body_size is still said as Content-Length when 0 or more. */
void exchange_start(struct exchange *exchange, int status, const struct headers *headers,
    int64_t body_size);
/** Always takes all bytes. Returns true to go on at once, false: wait for `writable` (or for
 * `finished`, when the agent is gone). More than body_size promised, or less at
 * exchange_end(), cuts the connection as exchange_abort() does. */
bool exchange_write(struct exchange *exchange, const void *bytes, size_t size) MUST_CHECK;
void exchange_end(struct exchange *exchange);
/** The answer refuses what was asked: it costs the connection credit. Before it is complete. */
void exchange_refuse(struct exchange *exchange);
/** Cut the connection so that the agent cannot mistake the answer for a whole one. */
void exchange_abort(struct exchange *exchange);

#endif
