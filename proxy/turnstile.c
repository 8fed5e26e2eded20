/* proxy/turnstile.c - the lines in which connections without credit wait (proxy/connection.h). */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/clock.h"
#include "proxy/connection.h"

static bool has_news(const struct connection *connection)
{
	return evbuffer_get_length(bufferevent_get_input(connection->bev)) != connection->seen_size;
}

bool turnstile_passes(const struct connection *connection)
{
	return connection->credit > 0 || connection->turn;
}

static void leave(struct connection *connection)
{
	struct connection **line = &connection->listener->lines[connection->line];

	if (connection->line == LINE_NONE)
		return;
	if (connection->line == LINE_IDLE)
		event_del(&connection->ready);
	DL_DELETE2(*line, connection, line_prev, line_next);
	connection->line = LINE_NONE;
}

static void enter(struct connection *connection, enum turnstile_line line)
{
	leave(connection);
	connection->line = line;
	DL_APPEND2(connection->listener->lines[line], connection, line_prev, line_next);
}

static bool anybody_waits(const struct listener *listener)
{
	return listener->lines[LINE_NEW] != NULL || listener->lines[LINE_REFUSED] != NULL;
}

/* Always by way of a timer, though it be for no time at all: so the loop looks at its sockets
 * between two turns, and whoever has credit is served first. */
static void schedule(struct listener *listener)
{
	int64_t wait_us = listener->turn_at_us - clock_mono_us();
	struct timeval after = {0, 0};

	if (!anybody_waits(listener) || event_pending(&listener->turn, EV_TIMEOUT, NULL))
		return;
	if (wait_us > 0) {
		after.tv_sec = wait_us / CLOCK_US_PER_S;
		after.tv_usec = wait_us % CLOCK_US_PER_S;
	}
	event_add(&listener->turn, &after);
}

static void join(struct connection *connection)
{
	enter(connection, connection->known ? LINE_REFUSED : LINE_NEW);
	schedule(connection->listener);
}

/* It hung up, and left nothing to read. */
static bool is_gone(evutil_socket_t fd, short what)
{
	char byte;

	return (what & EV_CLOSED) && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;

	if (is_gone(fd, what))
		connection_cut(connection, CUT_PEER);
	else
		join(connection);
	connection_run(connection); /* its time to be idle stands still */
}

static void give_turns(struct listener *listener, enum turnstile_line line, unsigned count)
{
	struct connection *connection;

	while (count-- > 0 && (connection = listener->lines[line]) != NULL) {
		leave(connection);
		connection->turn = true;
		connection_run(connection);
	}
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;
	const struct exchange_events *events = listener->events;

	(void)fd;
	(void)what;
	give_turns(listener, LINE_NEW, NEW_TURNS);
	give_turns(listener, LINE_REFUSED, REFUSED_TURNS);
	/* Newcomers who behave wait for nobody. */
	listener->turn_at_us = clock_mono_us();
	if (listener->turned_away && events->pause_us != NULL)
		listener->turn_at_us += events->pause_us(listener->arg);
	listener->turned_away = false;
	schedule(listener);
}

void turnstile_init(struct listener *listener)
{
	event_assign(&listener->turn, listener->base, -1, 0, on_turn, listener);
}

void turnstile_fini(struct listener *listener)
{
	event_del(&listener->turn);
}

void turnstile_add(struct connection *connection)
{
	event_assign(&connection->ready, connection->listener->base,
	    connection->fd, EV_READ | EV_CLOSED, on_ready, connection);
}

void turnstile_remove(struct connection *connection)
{
	leave(connection);
}

static void arm_head(struct connection *connection)
{
	if (connection->line > LINE_IDLE || event_pending(&connection->ready, EV_READ, NULL))
		return;
	if (has_news(connection)) {
		join(connection);
	} else {
		enter(connection, LINE_IDLE);
		event_add(&connection->ready, NULL);
	}
}

bool turnstile_amid_record(const struct connection *connection)
{
	return connection->ssl != NULL && connection->phase == CONNECTION_HEAD &&
	       connection->turn && connection->credit == 0 && !has_news(connection);
}

void turnstile_arm(struct connection *connection)
{
	if (connection->phase == CONNECTION_HANDSHAKE || turnstile_amid_record(connection)) {
		if (connection->line == LINE_NONE)
			enter(connection, LINE_IDLE); /* only to make room, if need be */
	} else if (connection->phase == CONNECTION_HEAD && !turnstile_passes(connection)) {
		arm_head(connection);
	} else {
		leave(connection);
	}
}

bool turnstile_look(struct connection *connection)
{
	if (!turnstile_passes(connection) || !has_news(connection))
		return false;
	connection->turn = false;
	return true;
}

void turnstile_judge(struct connection *connection, bool refused)
{
	connection->known = true;
	if (!refused && connection->credit < CREDIT_MAX)
		connection->credit++;
	else if (refused && connection->credit > 0)
		connection->credit--;
	else if (refused)
		connection->listener->turned_away = true;
}

/* Something is there to be read, but the loop has not been told yet. */
static bool has_asked(const struct connection *connection)
{
	char byte;

	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool turnstile_evict(struct listener *listener)
{
	struct connection *oldest;

	for (unsigned i = 0; i < EVICT_LOOKS && (oldest = listener->lines[LINE_IDLE]); i++) {
		if (!has_asked(oldest)) {
			connection_close(oldest);
			return true;
		}
		join(oldest);
		connection_run(oldest);
	}
	return false;
}
