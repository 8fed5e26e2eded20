/* proxy/upstream.h - inside proxy/upstream.c and transfer.c only.
 *
 * Where you are standing: libcurl may not be called from inside its own callbacks, and
 * its callbacks run inside our calls of it. So every wish of a handler (start, resume,
 * cancel) is noted on the transfer, the transfer is queued, and upstream_work() carries
 * the wishes out from the loop, where nothing of curl's is on the stack:
 *
 *   handler ──▶ wish + queue ──▶ upstream_work ─┐
 *   sockets, timer of curl ─────────────────────┼─▶ curl ──▶ on_header, on_body, on_read
 *                                               │              (head, body of the handler)
 *                                               └─▶ finished transfers ──▶ done */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <curl/curl.h>
#include <event2/event_struct.h>

#include "proxy/reach.h"
#include "proxy/transfer.h"

struct upstream {
	struct event_base *base;
	struct upstream_limits limits;
	char *ca_file;
	bool has_bundle; /* curl's default trust is one file */
	CURLM *multi;
	struct event timer; /* curl's */
	struct event work;
	struct transfer *queue; /* those with a wish */
	struct upstream_socket *sockets;
	size_t transfer_count;
};

struct upstream_socket {
	struct event event;
	struct upstream_socket *prev, *next;
};

enum transfer_phase {
	TRANSFER_NEW,     /* not yet given to curl */
	TRANSFER_CONNECT, /* resolving, connecting, TLS */
	TRANSFER_SEND,    /* the request is going out */
	TRANSFER_WAIT,    /* it is out; no head yet */
	TRANSFER_BODY,    /* the head has come */
	TRANSFER_OVER,    /* `done` is being, or was, called */
};

struct transfer {
	struct upstream *upstream;
	struct transfer *prev, *next; /* in the queue */
	const struct transfer_events *events;
	void *arg;
	CURL *easy;
	struct curl_slist *fields;
	struct event timer;
	enum transfer_phase phase;
	bool queued;
	bool cancelled;
	bool pause_wished;
	bool resume_wished;
	bool body_wished;
	bool receive_paused;
	bool send_paused;
	bool hurried; /* its timer runs once, for all of the body */
	bool safe; /* may be sent again */
	bool secure;
	bool loopback;
	unsigned reach; /* where it may go */
	unsigned sent_count;
	/* The request body. */
	struct spool *body;
	int64_t body_size;
	int64_t body_offset;
	/* The response. */
	struct headers headers;
	size_t head_size; /* all header bytes, 1xx and trailers too */
	bool in_head;     /* a status line was seen and its head has not ended */
	int64_t content_length;
	/* What went wrong where curl would only say that we stopped it. */
	const char *fault;
	enum reach refused; /* an address that it may not reach; 0: none was met */
	char error[CURL_ERROR_SIZE];
};

/** Have the transfer's wishes carried out from the loop, soon. */
void upstream_queue(struct transfer *transfer);
void upstream_timer_set(struct event *timer, uint32_t ms);

/* In proxy/transfer.c; never to be called from inside curl. */
/** Carry out what was wished. */
void transfer_work(struct transfer *transfer);
/** Tell `done`, unless it was cancelled, and free it. */
void transfer_finish(struct transfer *transfer, enum transfer_result result, const char *reason);
/** The same for what curl ended with. */
void transfer_fail(struct transfer *transfer, CURLcode code);
/** Free it, telling nobody. */
void transfer_free(struct transfer *transfer);

#endif
