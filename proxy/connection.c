/* proxy/connection.c - the life of one connection, phase by phase (proxy/connection.h). */
#include "proxy/connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

static struct evbuffer *input_of(const struct connection *connection)
{
	return bufferevent_get_input(connection->bev);
}

static size_t out_size(const struct connection *connection)
{
	return evbuffer_get_length(bufferevent_get_output(connection->bev));
}

static void input_drop(struct connection *connection)
{
	size_t size = evbuffer_get_length(input_of(connection));

	connection->lingered_size += size;
	evbuffer_drain(input_of(connection), size);
}

void connection_cut(struct connection *connection, enum connection_cut cut)
{
	if (connection->cut == CUT_NONE)
		connection->cut = cut;
}

void connection_poke(struct connection *connection)
{
	if (connection->running || connection->poked)
		return;
	connection->poked = true;
	event_active(&connection->later, EV_TIMEOUT, 1);
}

/* Sends what it can at once: by itself libevent would wait for the loop to say that the socket
 * can be written to, which it nearly always can, at three system calls more for each answer. What
 * is left libevent writes, as it writes all of TLS. */
static void out_push(struct connection *connection)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);
	int written;

	if (connection->ssl != NULL || (connection->writing && out_size(connection) > 0))
		return;
	if (out_size(connection) > 0) {
		/* bufferevent keeps all others off its end of the output. */
		evbuffer_unfreeze(output, 1);
		written = evbuffer_write(output, connection->fd);
		evbuffer_freeze(output, 1);
		if (written < 0 && errno != EAGAIN && errno != EINTR)
			connection_cut(connection, CUT_PEER);
	}
	if (connection->writing == (out_size(connection) > 0))
		return;
	connection->writing = !connection->writing;
	if (connection->writing)
		bufferevent_enable(connection->bev, EV_WRITE);
	else
		bufferevent_disable(connection->bev, EV_WRITE);
}

static void exchange_finish(struct connection *connection, bool completed)
{
	const struct listener *listener = connection->listener;

	connection->exchange->over = true;
	listener->events->finished(connection->exchange, completed, listener->arg);
	exchange_free(&connection->exchange);
}

/* Closing sends a reset instead of an orderly end. */
static void reset_on_close(struct connection *connection)
{
	const struct linger abort_now = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &abort_now,
	    sizeof(abort_now));
}

/* --- the phases --- */

/* A client that speaks no TLS, plain HTTP say, gets an orderly end: what it sent and nobody
 * read would make the kernel send a reset instead. */
static void handshake_end(struct connection *connection)
{
	int fd = connection->fd;
	char scratch[4096];

	for (size_t size = 0; size < AHEAD_SIZE_MAX; size += sizeof(scratch)) {
		if (recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT) <= 0)
			break;
	}
	(void)shutdown(fd, SHUT_WR);
}

static enum connection_phase step_handshake(struct connection *connection)
{
	if (connection->secured)
		return CONNECTION_HEAD;
	if (connection->cut == CUT_NONE && !connection->peer_closed)
		return CONNECTION_HANDSHAKE;
	handshake_end(connection);
	return CONNECTION_GONE;
}

static enum connection_phase refuse(struct connection *connection, int status, const char *detail)
{
	connection->closing = true;
	turnstile_judge(connection, true);
	exchange_problem(connection, status, "bad_request", detail);
	return CONNECTION_FLUSH;
}

static enum connection_phase step_head(struct connection *connection)
{
	const struct listener *listener = connection->listener;

	if (connection->cut == CUT_HEAD_SLOW) {
		connection->cut = CUT_NONE;
		return refuse(connection, 408, "The request head did not arrive in time.");
	}
	if (connection->cut != CUT_NONE || connection->peer_closed)
		return CONNECTION_GONE;
	if (!turnstile_look(connection))
		return CONNECTION_HEAD;
	switch (request_head(connection)) {
	case REQUEST_MORE:
		connection->seen_size = evbuffer_get_length(input_of(connection));
		return CONNECTION_HEAD;
	case REQUEST_REFUSED:
		return refuse(connection, connection->refusal, connection->refusal_detail);
	case REQUEST_READY:
		break;
	}
	connection->seen_size = 0;
	connection->phase = CONNECTION_EXCHANGE; /* the callback may look around */
	listener->events->head(connection->exchange, listener->arg);
	return CONNECTION_EXCHANGE;
}

static enum connection_phase exchange_lost(struct connection *connection)
{
	enum connection_cut why = connection->cut;
	bool started = connection->exchange->started;
	bool until_close = connection->exchange->until_close;

	exchange_finish(connection, false);
	if (!started && (why == CUT_BODY_BAD || why == CUT_BODY_SLOW)) {
		connection->cut = CUT_NONE;
		return why == CUT_BODY_BAD
			   ? refuse(connection, 400, "The request body is malformed.")
			   : refuse(connection, 408, "The request body did not arrive in time.");
	}
	if (started && until_close)
		reset_on_close(connection);
	return CONNECTION_GONE;
}

/* Answered: what still comes of the request body is read over, so that the next request
 * can be found behind it, or thrown away when there will be none. */
static void body_drop(struct connection *connection)
{
	connection->dropping = true;
	while (!connection->closing && request_body(connection)) {
		if (connection->dropped_size > DRAIN_SIZE_MAX)
			connection->closing = true;
	}
	if (connection->closing)
		input_drop(connection);
}

/* Behind the rest of the body; where a trailer is being read, line ends are counted on. */
static enum connection_phase after_body(struct connection *connection)
{
	if (!connection->body_complete)
		return CONNECTION_DRAIN;
	connection->lines.size = 0;
	return CONNECTION_HEAD;
}

static enum connection_phase exchange_done(struct connection *connection)
{
	if (!connection->exchange->keep_alive || connection->listener->acceptor == NULL)
		connection->closing = true;
	turnstile_judge(connection, connection->exchange->refused);
	exchange_finish(connection, true);
	if (connection->cut != CUT_NONE)
		return CONNECTION_GONE;
	if (connection->closing || connection->peer_closed)
		return CONNECTION_FLUSH;
	return after_body(connection);
}

/* One callback of the handler, if one is due. */
static bool exchange_callback(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	const struct listener *listener = connection->listener;

	if (exchange->blocked && out_size(connection) <= listener->limits.out_size_low) {
		exchange->blocked = false;
		listener->events->writable(exchange, listener->arg);
		return true;
	}
	if (!exchange->body_wanted || exchange->body_paused || exchange->body_end_told)
		return false;
	if (connection->body_complete) {
		exchange->body_end_told = true;
		listener->events->body_end(exchange, listener->arg);
		return true;
	}
	return request_body(connection);
}

static enum connection_phase step_exchange(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;

	do {
		out_push(connection);
	} while (connection->cut == CUT_NONE && !exchange->ended && exchange_callback(connection));
	if (connection->cut != CUT_NONE)
		return exchange_lost(connection);
	if (!exchange->ended)
		return CONNECTION_EXCHANGE;
	if (!exchange->keep_alive)
		connection->closing = true;
	if (!connection->body_complete || connection->closing)
		body_drop(connection);
	return out_size(connection) > 0 ? CONNECTION_EXCHANGE : exchange_done(connection);
}

static enum connection_phase step_drain(struct connection *connection)
{
	if (connection->cut != CUT_NONE || connection->peer_closed)
		return CONNECTION_GONE;
	body_drop(connection);
	if (connection->closing || connection->listener->acceptor == NULL)
		return CONNECTION_FLUSH;
	return after_body(connection);
}

static enum connection_phase step_flush(struct connection *connection)
{
	input_drop(connection);
	out_push(connection);
	if (connection->cut != CUT_NONE)
		return CONNECTION_GONE;
	if (out_size(connection) > 0)
		return CONNECTION_FLUSH;
	if (connection->ssl != NULL) {
		(void)SSL_shutdown(connection->ssl); /* the word that nothing was cut off */
		ERR_clear_error();
	}
	if (connection->peer_closed || shutdown(connection->fd, SHUT_WR) != 0)
		return CONNECTION_GONE;
	return CONNECTION_LINGER;
}

static enum connection_phase step_linger(struct connection *connection)
{
	input_drop(connection);
	if (connection->cut != CUT_NONE || connection->peer_closed ||
	    connection->lingered_size > LINGER_SIZE_MAX)
		return CONNECTION_GONE;
	return CONNECTION_LINGER;
}

static enum connection_phase step(struct connection *connection)
{
	switch (connection->phase) {
	case CONNECTION_HANDSHAKE:
		return step_handshake(connection);
	case CONNECTION_HEAD:
		return step_head(connection);
	case CONNECTION_EXCHANGE:
		return step_exchange(connection);
	case CONNECTION_DRAIN:
		return step_drain(connection);
	case CONNECTION_FLUSH:
		return step_flush(connection);
	case CONNECTION_LINGER:
		return step_linger(connection);
	case CONNECTION_GONE:
		break;
	}
	return CONNECTION_GONE;
}

/* --- what is waited for --- */

static bool body_due(const struct connection *connection)
{
	const struct exchange *exchange = connection->exchange;

	return exchange->ended || (exchange->body_wanted && !exchange->body_paused);
}

static size_t in_size_high(const struct connection *connection)
{
	switch (connection->phase) {
	case CONNECTION_HANDSHAKE:
	case CONNECTION_HEAD:
		return HEAD_SIZE_MAX + 1;
	case CONNECTION_EXCHANGE:
		return body_due(connection) ? BODY_SIZE_READ : AHEAD_SIZE_MAX;
	case CONNECTION_DRAIN:
	case CONNECTION_FLUSH:
	case CONNECTION_LINGER:
	case CONNECTION_GONE:
		break;
	}
	return BODY_SIZE_READ;
}

static enum connection_wait wait_exchange(const struct connection *connection)
{
	if (connection->exchange->ended)
		return WAIT_NOTHING; /* the write time-out watches */
	if (!connection->body_complete && body_due(connection))
		return WAIT_BODY;
	/* A socket that is not read tells nothing of a hang-up. */
	return connection->reading ? WAIT_NOTHING : WAIT_POLL;
}

static enum connection_wait wait_for(const struct connection *connection)
{
	switch (connection->phase) {
	case CONNECTION_HANDSHAKE:
		return WAIT_HANDSHAKE;
	case CONNECTION_HEAD:
		if (connection->seen_size > 0 || turnstile_amid_record(connection))
			return WAIT_HEAD;
		/* Whoever waits for us is not idle. */
		return connection->line > LINE_IDLE ? WAIT_NOTHING : WAIT_IDLE;
	case CONNECTION_EXCHANGE:
		return wait_exchange(connection);
	case CONNECTION_DRAIN:
		return WAIT_BODY;
	case CONNECTION_LINGER:
		return WAIT_LINGER;
	case CONNECTION_FLUSH:
	case CONNECTION_GONE:
		break;
	}
	return WAIT_NOTHING;
}

static uint32_t wait_ms(const struct connection *connection, enum connection_wait wait)
{
	const struct listener_limits *limits = &connection->listener->limits;

	switch (wait) {
	case WAIT_IDLE:
		return limits->idle_ms_max;
	case WAIT_HANDSHAKE:
	case WAIT_HEAD:
		return limits->head_ms_max;
	case WAIT_BODY:
		return limits->body_idle_ms_max;
	case WAIT_POLL:
		return HANGUP_POLL_MS;
	case WAIT_LINGER:
		return LINGER_MS_MAX;
	case WAIT_NOTHING:
		break;
	}
	return 0;
}

/* Done by hand: above a high watermark libevent 2.1 calls the read callback over and over
 * until the input has been taken. */
static void reading_arm(struct connection *connection)
{
	bool reading = evbuffer_get_length(input_of(connection)) < in_size_high(connection);

	if (connection->phase == CONNECTION_HEAD && !turnstile_passes(connection))
		reading = false;
	if (reading == connection->reading || connection->peer_closed)
		return;
	connection->reading = reading;
	if (connection->ssl != NULL && reading)
		bufferevent_enable(connection->bev, EV_READ);
	else if (connection->ssl != NULL)
		bufferevent_disable(connection->bev, EV_READ);
	else if (reading)
		event_add(&connection->readable, NULL);
	else
		event_del(&connection->readable);
}

static void connection_arm(struct connection *connection)
{
	enum connection_wait wait;

	reading_arm(connection);
	turnstile_arm(connection);
	wait = wait_for(connection);
	if (wait == connection->wait && !(wait == WAIT_BODY && connection->progress))
		return;
	connection->wait = wait;
	connection->progress = false;
	if (wait == WAIT_NOTHING) {
		event_del(&connection->timer);
	} else {
		uint32_t ms = wait_ms(connection, wait);
		const struct timeval after = {ms / 1000, (ms % 1000) * 1000};

		event_add(&connection->timer, &after);
	}
}

/* --- events --- */

static void connection_free(struct connection *connection)
{
	struct listener *listener = connection->listener;

	event_del(&connection->timer);
	event_del(&connection->later);
	event_del(&connection->readable);
	turnstile_remove(connection);
	bufferevent_free(connection->bev);
	DL_DELETE(listener->connections, connection);
	listener->connection_count--;
	if (connection->refused)
		listener->refused_count--;
	free(connection);
}

void connection_close(struct connection *connection)
{
	must(!connection->running);
	if (connection->exchange != NULL) {
		bool until_close = connection->exchange->until_close;

		connection->running = true;
		exchange_finish(connection, false);
		if (until_close)
			reset_on_close(connection);
	}
	connection_free(connection);
}

void connection_run(struct connection *connection)
{
	enum connection_phase before;

	must(!connection->running);
	connection->running = true;
	do {
		before = connection->phase;
		connection->phase = step(connection);
	} while (connection->phase != before);
	connection->running = false;
	if (connection->phase == CONNECTION_GONE)
		connection_free(connection);
	else
		connection_arm(connection);
}

static void on_io(struct bufferevent *bev, void *arg)
{
	(void)bev;
	connection_run(arg);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd;
	(void)what;
	connection->poked = false;
	connection_run(connection);
}

/* The end of the peer's sending counts as a hang-up until the answer is complete: from
 * here a client that only shut its sending side down looks like one that died, and
 * paying for a dead agent is worse than asking the living to keep the connection open. */
static void note_peer_closed(struct connection *connection)
{
	connection->peer_closed = true;
	if (connection->exchange != NULL && !connection->exchange->ended)
		connection_cut(connection, CUT_PEER);
}

/* Some of what has come. By itself libevent would first ask the kernel how much there is. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;
	char bytes[READ_SIZE_MAX];
	ssize_t size = recv(fd, bytes, sizeof(bytes), 0);

	(void)what;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		event_del(&connection->readable);
	if (size == 0)
		note_peer_closed(connection);
	else if (size < 0 || evbuffer_add(input_of(connection), bytes, (size_t)size) != 0)
		connection_cut(connection, CUT_PEER);
	connection_run(connection);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct connection *connection = arg;

	(void)bev;
	/* After an end libevent writes no more to a TLS connection, and who says in TLS that it
	 * is done waits for nothing. */
	if (what & BEV_EVENT_CONNECTED)
		connection->secured = true;
	else if (what & BEV_EVENT_TIMEOUT)
		connection_cut(connection, CUT_WRITE_SLOW);
	else
		connection_cut(connection, CUT_PEER);
	connection_run(connection);
}

static void poll_peer(struct connection *connection)
{
	struct pollfd peer = {.fd = connection->fd, .events = POLLRDHUP};

	if (poll(&peer, 1, 0) > 0)
		note_peer_closed(connection);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd;
	(void)what;
	switch (connection->wait) {
	case WAIT_POLL:
		poll_peer(connection);
		break;
	case WAIT_HEAD:
		connection_cut(connection, CUT_HEAD_SLOW);
		break;
	case WAIT_BODY:
		connection_cut(connection, CUT_BODY_SLOW);
		break;
	case WAIT_HANDSHAKE:
	case WAIT_IDLE:
	case WAIT_LINGER:
	case WAIT_NOTHING:
		connection_cut(connection, CUT_PEER);
		break;
	}
	connection->wait = WAIT_NOTHING;
	connection_run(connection);
}

static void socket_prepare(int fd)
{
	const int on = 1;

	/* Both fail on a Unix socket, where neither is needed. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* Takes fd, also on NULL; *ssl stays NULL where there is no TLS. */
static struct bufferevent *bufferevent_make(SSL **ssl, const struct listener *listener, int fd)
{
	struct bufferevent *bev = NULL;

	if (listener->tls == NULL) {
		bev = bufferevent_socket_new(listener->base, fd, BEV_OPT_CLOSE_ON_FREE);
	} else if ((*ssl = SSL_new(listener->tls)) != NULL) {
		bev = bufferevent_openssl_socket_new(listener->base, fd, *ssl,
		    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
		if (bev == NULL)
			SSL_free(*ssl);
	}
	if (bev == NULL)
		close(fd);
	return bev;
}

void connection_new(struct listener *listener, int fd, bool refused)
{
	const uint32_t write_ms = listener->limits.write_idle_ms_max;
	const struct timeval write_wait = {write_ms / 1000, (write_ms % 1000) * 1000};
	SSL *ssl = NULL;
	struct bufferevent *bev = bufferevent_make(&ssl, listener, fd);
	struct connection *connection;

	if (bev == NULL)
		return;
	socket_prepare(fd);
	connection = must_calloc(1, sizeof(*connection));
	connection->listener = listener;
	connection->bev = bev;
	connection->fd = fd;
	connection->ssl = ssl;
	connection->phase = ssl != NULL ? CONNECTION_HANDSHAKE : CONNECTION_HEAD;
	connection->refused = refused;
	event_assign(&connection->timer, listener->base, -1, 0, on_timer, connection);
	event_assign(&connection->later, listener->base, -1, 0, on_later, connection);
	event_assign(&connection->readable, listener->base, fd, EV_READ | EV_PERSIST, on_readable,
	    connection);
	turnstile_add(connection);
	bufferevent_setcb(bev, on_io, on_io, on_event, connection);
	must(bufferevent_set_max_single_write(bev, WRITE_SIZE_MAX) == 0);
	bufferevent_setwatermark(bev, EV_WRITE, listener->limits.out_size_low, 0);
	bufferevent_set_timeouts(bev, NULL, &write_wait);
	if (ssl == NULL) {
		bufferevent_disable(bev, EV_WRITE);	 /* out_push() */
		evbuffer_unfreeze(input_of(connection), 0); /* on_readable() */
	}
	DL_APPEND(listener->connections, connection);
	listener->connection_count++;
	if (refused) {
		listener->refused_count++;
		connection->closing = true;
		connection->phase = CONNECTION_FLUSH;
		exchange_problem(connection, 503, "too_many_connections",
		    "As many connections as allowed are open. Try again later.");
		connection_poke(connection);
	}
	connection_arm(connection);
}
