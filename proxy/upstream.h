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
#include <netinet/in.h>

#include "common/table.h"
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
	bool working;           /* upstream_work() is, */
	bool due;               /* and curl wants to be called back at once */
	struct transfer *queue; /* those with a wish */
	bool acting;		/* curl is, or wishes are carried out */
	struct transfer *untimed; /* whose timers are set when it has acted */
	struct upstream_socket *sockets;     /* by fd */
	struct upstream_socket *connections; /* those of them that stand, by their ends */
	size_t transfer_count;
	unsigned limits_count; /* how often limits were set */
	struct transfer *spares; /* with a handle that has nothing to do */
	size_t spare_count;
};

/* A key: all of its bytes count, and none are between these. */
struct ends {
	struct in6_addr own, peer; /* IPv4 as IPv6 has it: ::ffff:192.0.2.1 */
	int own_port, peer_port;
};

/* A socket that curl has us watch: a connection, from its opening to its closing, or one of
 * curl's own that is here only while it is watched.
 *
 * Bytes that come on a kept HTTP/1 connection while nobody has asked for anything would be given
 * to the next request as its answer, perhaps another agent's: libcurl 7.88 looks only for the
 * end. So a connection goes on being watched when curl wants no more of it. When something comes
 * then and its transfer is over, it is shut down; curl finds it dead and does not use it again.
 * When its transfer is paused it is only not watched any more. And because the loop may not have
 * looked yet, each is looked at once more before a request goes out on it. What comes after that
 * cannot be told from the answer, by anybody. HTTP/2 has its own order: what comes there belongs
 * to a stream, or to the connection.
 *
 * Going on watching is cheap, too: the next request will want the same. */
struct upstream_socket {
	struct upstream *upstream;
	int fd;
	bool connection;
	bool connected;	  /* ends are known */
	bool used;	  /* a request went out on it */
	bool multiplexed; /* HTTP/2 was spoken on it */
	short wanted;	  /* EV_READ, EV_WRITE: by curl */
	short watched;	  /* by the loop */
	struct transfer *user; /* whose request went out on it and is not over */
	struct ends ends;
	enum reach reach; /* of its peer */
	struct event event;
	UT_hash_handle hh, ends_hh;
};

enum transfer_phase {
	TRANSFER_PREPARED, /* not to be given to curl before transfer_send() */
	TRANSFER_NEW,      /* to be given to curl in the next turn */
	TRANSFER_CONNECT,  /* resolving, connecting, TLS */
	TRANSFER_SEND,     /* the request is going out */
	TRANSFER_WAIT,     /* it is out; no head yet */
	TRANSFER_BODY,     /* the head has come */
	TRANSFER_OVER,     /* `done` is being, or was, called */
};

struct transfer {
	struct upstream *upstream;
	struct transfer *prev, *next; /* in the queue */
	struct transfer *prev_untimed, *next_untimed;
	bool untimed;
	struct upstream_socket *socket; /* its connection's, once its request may go out */
	const struct transfer_events *events;
	void *arg;
	CURL *easy;
	CURLU *place; /* scheme, host and port, that the handle may keep; NULL: none yet */
	char *origin; /* as they were given, "https://host:1" */
	char *method; /* that the handle was told last; NULL: none */
	bool told_upload; /* and that a body goes with it */
	bool told_fresh;  /* not to use a kept connection */
	struct curl_slist *fields; /* one piece of memory */
	unsigned limits_count;     /* the upstream's, when its handle was made */
	bool ended_well;
	struct event timer;
	enum transfer_phase phase;
	bool queued;
	bool cancelled;
	bool pause_wished;
	bool resume_wished;
	bool body_wished;
	bool receive_paused;
	bool send_paused;
	bool spoiled; /* its kept connection was not fit to be used; nothing was sent */
	bool hurried; /* its timer runs once, for all of the body */
	bool safe; /* may be sent again */
	bool uploads; /* a body, if only one of no bytes */
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
/** The same, once the loop has looked at its sockets: for what would go on and on otherwise, while
 * all others wait. */
void upstream_queue_later(struct transfer *transfer);
void upstream_timer_set(struct event *timer, uint32_t ms);
/** For curl: the socket of a new connection, or CURL_SOCKET_BAD. */
curl_socket_t upstream_open(struct upstream *upstream, const struct curl_sockaddr *address);
/** For curl: close such a socket; arg is the upstream. */
int upstream_close(void *arg, curl_socket_t fd);
/** The connection between these two, as curl writes them; NULL: there is none any more. */
struct upstream_socket *upstream_connection(struct upstream *upstream, const char *own_address,
    int own_port, const char *peer_address, int peer_port);
/** The transfer's request goes out next, on this connection. False: not on this one, something has
 * come on it unasked, its end perhaps. */
bool upstream_use(struct transfer *transfer, struct upstream_socket *socket) MUST_CHECK;
/** The transfer is over; if its connection was kept, it rests. */
void upstream_rest(struct transfer *transfer);

/* In proxy/transfer.c; never to be called from inside curl. */
/** Carry out what was wished. */
void transfer_work(struct transfer *transfer);
/** Set the timers of those that went from one wait to the next while curl acted. A request on a
 * kept connection goes through two at once, and an answer in one piece through two and its end. */
void transfer_timers_set(struct upstream *upstream);
/** Tell `done`, unless it was cancelled, and free it. */
void transfer_finish(struct transfer *transfer, enum transfer_result result, const char *reason);
/** The same for what curl ended with. */
void transfer_fail(struct transfer *transfer, CURLcode code);
/** Free it, telling nobody; its handle may be kept. */
void transfer_free(struct transfer *transfer);
/** Free the handles that are kept. */
void transfer_spares_free(struct upstream *upstream);

#endif
