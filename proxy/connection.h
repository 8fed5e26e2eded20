/* proxy/connection.h - inside proxy/listener.c, connection.c, turnstile.c, request.c and
 * exchange.c only.
 *
 * A connection walks through these phases; each has one function in connection.c that
 * does what can be done now and returns the phase that is next:
 *
 *  new, TLS
 *   └──▶ HANDSHAKE ──▶ GONE
 *          │ done
 *          │  ┌────────────────────────────────────────────┐
 *          ▼  ▼                                            │
 *   ┌──▶ HEAD ──▶ EXCHANGE ──▶ DRAIN (rest of the body) ───┘
 *   │     │           │           │
 *  new    │ malformed │ last one  │ too much
 *         └───────────┴─────┬─────┘
 *                           ▼
 *                         FLUSH ──▶ LINGER ──▶ GONE
 *
 * The turnstile. A refusal costs the agent next to nothing and us a parsed head, a token
 * checked, an answer and an audit row; a thousand agents that do nothing but collect them
 * would have the loop to themselves, because it serves whatever socket is ready. So a
 * connection has credit: one for each answer that was no refusal, up to CREDIT_MAX, less one
 * for each that was. With credit it is served whenever it is ready. Without, its socket is
 * only watched, in LINE_IDLE; when something has come it stands in line, those that were never
 * answered (LINE_NEW) apart from those whose last answers were refusals (LINE_REFUSED), and
 * neither line can hold up the other. A few of the first and one of the second have their
 * turn, to be read and to have one head looked at, and then the loop goes round; after
 * refusals the owner of the listener may ask for a pause first (pause_us). Both lines are
 * served in the order in which they were joined, so everybody's turn comes, however many
 * there are.
 *
 * Everything that happens elsewhere (events of the socket, timers, the handler's calls)
 * leaves a note in these structs and has connection_run() look at it, either now or, from
 * a handler's call, in the same turn of the loop. */
#ifndef PROXY_CONNECTION_H
#define PROXY_CONNECTION_H

#include <event2/event_struct.h>
#include <llhttp.h>
#include <time.h>

#include "proxy/exchange.h"

struct bufferevent;
struct evconnlistener;

/* A request line's target; common servers stop at 8 or 16 KiB. */
#define TARGET_SIZE_MAX (16u * 1024u)
/* The head on the wire: fields with ": " and CRLF, and the request line with the longest
 * method that llhttp knows. */
#define HEAD_SIZE_MAX (HEADERS_SIZE_MAX + HEADERS_COUNT_MAX * 4u + TARGET_SIZE_MAX + 64u)
/* Read ahead while nothing is asked for: enough to see a hang-up behind a few
 * pipelined requests; and while a body flows. */
#define AHEAD_SIZE_MAX (16u * 1024u)
#define BODY_SIZE_READ (64u * 1024u)
/* Written in one turn of the loop when the socket has room again. libevent's own 16 KiB would be
 * a call to epoll for each, and one that wakes the reader. */
#define WRITE_SIZE_MAX (256u * 1024u)
/* Read at once, so that one connection does not hold up the others. */
#define READ_SIZE_MAX (16u * 1024u)
/* Trailers are thrown away, and chunk extensions too; nobody sends more in earnest.
 * A trailer must fit what is read ahead. */
#define TRAILER_SIZE_MAX   (8u * 1024u)
#define EXTENSION_SIZE_MAX 4096u
/* What is left of a refused body is read to its end to keep the connection if it is not
 * more than this: the cost of about one TCP and TLS handshake. */
#define DRAIN_SIZE_MAX (64 * 1024)
/* A closed connection's input is thrown away for so long and so far, because unread
 * input makes the kernel send a reset that destroys the answer on its way. */
#define LINGER_MS_MAX   5000u
#define LINGER_SIZE_MAX (16u * 1024u * 1024u)
/* How often a connection whose input is full is asked whether its peer is still there.
 * (An orderly end that waits behind more data than the kernel holds for us is not seen
 * before that data is read: it is not here yet.) */
#define HANGUP_POLL_MS 1000u
/* Credit: so many refusals in a row are nothing that a well-behaved agent with a wrong idea of
 * its limits would have to wait for. */
#define CREDIT_MAX 8u
/* Turns given at once. Most of those that are new will behave. */
#define NEW_TURNS     4u
#define REFUSED_TURNS 1u
/* Connections accepted in one turn of the loop: a flood of them must not hold up the rest. */
#define ACCEPT_MAX 4u
/* Looked at for one that can be closed: those that turn out to have asked stand in line then,
 * and are not met again. */
#define EVICT_LOOKS 16u
/* Of the connections over connections_max, so many are told so properly. */
#define REFUSED_MAX 64u

enum connection_phase {
	CONNECTION_HANDSHAKE, /* of TLS */
	CONNECTION_HEAD,     /* idle, or a head is arriving; no exchange */
	CONNECTION_EXCHANGE, /* the handler has it */
	CONNECTION_DRAIN,    /* answered; the rest of the request body is thrown away */
	CONNECTION_FLUSH,    /* the last bytes are being written */
	CONNECTION_LINGER,   /* our side is shut down; waiting for the peer's */
	CONNECTION_GONE,     /* to be freed */
};

/* Why an exchange ends early, the first reason wins. */
enum connection_cut {
	CUT_NONE = 0,
	CUT_ABORT,      /* the handler gave up, or wrote another length than it said */
	CUT_PEER,       /* hung up, or broken; or idle for too long */
	CUT_HEAD_SLOW,  /* head_ms_max; there is no exchange yet */
	CUT_BODY_BAD,   /* malformed chunks */
	CUT_BODY_SLOW,  /* body_idle_ms_max */
	CUT_WRITE_SLOW, /* write_idle_ms_max */
};

enum connection_wait { /* what the connection's timer stands for */
	WAIT_NOTHING = 0,
	WAIT_HANDSHAKE,
	WAIT_IDLE,
	WAIT_HEAD,
	WAIT_BODY,
	WAIT_POLL,
	WAIT_LINGER,
};

/* Where a connection without credit waits. */
enum turnstile_line {
	LINE_NONE = 0, /* it does not */
	LINE_IDLE,     /* for something to come, or the rest of a handshake or record; the
			* oldest first */
	LINE_NEW,      /* for its turn: has not been answered yet */
	LINE_REFUSED,  /* for its turn: has, and was refused */
	LINE_COUNT,
};

/* The part of llhttp's work that llhttp 8.1 is too kind in: line ends. */
struct lines {
	size_t size; /* bytes seen */
	bool in_first;
	bool line_empty; /* nothing since the last CRLF */
	unsigned char last;
};

struct exchange {
	struct connection *connection;
	void *user;
	/* The request. */
	struct headers headers;
	char *target;
	const char *method;
	int64_t body_size;
	bool http_1_0;
	bool head_only; /* HEAD */
	bool wants_continue;
	bool keep_alive;
	bool body_wanted;
	bool body_paused;
	bool body_end_told;
	/* The response. */
	bool started;
	bool chunked;
	bool bodyless;
	bool until_close; /* framed by the end of the connection */
	bool ended;
	bool blocked;     /* the handler waits for `writable` */
	bool over;        /* `finished` is being called */
	bool refused;     /* the answer is a refusal: costs credit */
	int64_t out_left; /* bytes promised by Content-Length and not yet given; -1: no promise */
};

struct connection {
	struct listener *listener;
	struct connection *prev, *next;
	struct bufferevent *bev;
	int fd; /* bev's */
	struct exchange *exchange; /* NULL between requests */
	struct ssl_st *ssl; /* bev's; NULL: plain */
	struct event timer;
	struct event later;
	struct event readable; /* of a plain connection; TLS is libevent's to read */
	enum connection_phase phase;
	enum connection_wait wait;
	enum connection_cut cut;
	bool running;
	bool poked; /* will be run, by `later` */
	bool secured;     /* the handshake is done */
	bool refused;     /* over connections_max */
	bool peer_closed; /* it has said that it sends no more */
	bool progress;    /* body bytes came since the timer was set */
	bool closing;     /* no further request on this connection */
	bool reading;     /* the socket is watched for input */
	bool writing;     /* and for room for output, by libevent; plain connections */
	size_t lingered_size;
	/* The turnstile. */
	struct event ready; /* something has come; while in LINE_IDLE */
	struct connection *line_prev, *line_next;
	enum turnstile_line line;
	unsigned credit;
	bool known;       /* was answered before */
	bool turn;        /* may have its input looked at once */
	size_t seen_size; /* of the input, all of it a head that is not complete yet */
	/* The head that is arriving, or the trailer. */
	struct lines lines;
	struct exchange *parsed; /* while llhttp is in a head */
	int refusal;             /* the status a malformed head deserves, 0: none */
	const char *refusal_detail;
	const char *field;
	size_t field_size;
	const char *value;
	size_t value_size;
	/* The body that is arriving. */
	llhttp_t parser;
	bool body_complete; /* its end was seen */
	bool in_trailer;
	bool dropping;     /* nobody wants it any more */
	int64_t body_left; /* -1: chunked */
	int64_t dropped_size;
	size_t extension_size;
};

struct listener {
	struct event_base *base;
	struct evconnlistener *acceptor; /* NULL once draining */
	struct event *again;             /* accepts again after descriptors ran out */
	struct listener_limits limits;
	struct ssl_ctx_st *tls; /* NULL: plain */
	const struct exchange_events *events;
	void *arg;
	struct connection *connections;
	size_t connection_count;
	size_t refused_count;
	unsigned accepted_count; /* since the loop looked at its sockets */
	struct connection *lines[LINE_COUNT];
	struct event turn;  /* of those who stand first in a line */
	int64_t turn_at_us; /* not before this, on the monotonic clock */
	bool turned_away;   /* somebody without credit was refused since the last turn */
	time_t date_s;
	char date[32];
};

/** connection_new - take over an accepted socket. refused: answer 503 and close. */
void connection_new(struct listener *listener, int fd, bool refused);
/** Do what can be done now; frees the connection when that was its end. */
void connection_run(struct connection *connection);
/** Have connection_run called soon, unless it is running already. */
void connection_poke(struct connection *connection);
/** Note why the exchange ends; only the first reason counts. */
void connection_cut(struct connection *connection, enum connection_cut cut);
/** Free it at once, telling its exchange. */
void connection_close(struct connection *connection);

/* The turnstile, in proxy/turnstile.c. */
void turnstile_init(struct listener *listener);
void turnstile_fini(struct listener *listener);
void turnstile_add(struct connection *connection);
void turnstile_remove(struct connection *connection);
/** May its socket be read, and what was read be looked at? */
bool turnstile_passes(const struct connection *connection);
/** Has it its turn, and of what came nothing that could be looked at: part of a TLS record? It
 * then has no more time than a head. */
bool turnstile_amid_record(const struct connection *connection);
/** Have it wait where it belongs, or not at all; after each run. */
void turnstile_arm(struct connection *connection);
/** True: look at the head now, there is something new to see. Uses up its turn. */
bool turnstile_look(struct connection *connection);
/** It was answered. */
void turnstile_judge(struct connection *connection, bool refused);
/** Close the one that has been idle for longest without ever having earned credit, or having
 * lost it, has sent nothing since, and did not just come. False: none was found. */
bool turnstile_evict(struct listener *listener);

/* Reading requests, in proxy/request.c. */
enum request_read {
	REQUEST_MORE,    /* not all here yet */
	REQUEST_READY,   /* connection->exchange was made */
	REQUEST_REFUSED, /* connection->refusal says how */
};
enum request_read request_head(struct connection *connection) MUST_CHECK;
/** Feed what has arrived of the body. Returns true when anything moved. */
bool request_body(struct connection *connection) MUST_CHECK;
void exchange_free(struct exchange **exchange);

/* Writing responses, in proxy/exchange.c. */
/** "Not Found"; "" for a status without a name. */
const char *exchange_status_str(int status);
/** A whole problem+json response of the listener's own, outside of any exchange. */
void exchange_problem(
    struct connection *connection, int status, const char *code, const char *detail);
/** "Sun, 06 Nov 1994 08:49:37 GMT", made once a second. */
const char *listener_date(struct listener *listener);

#endif
