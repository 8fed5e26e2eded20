/* tests/unit/proxy_peer.h - the other end of a connection, in the same process: a raw socket
 * that is read and written between turns of the loop under test. Nothing sleeps for a
 * fixed time: peer_until() turns the loop until a condition holds. */
#ifndef TESTS_UNIT_PROXY_PEER_H
#define TESTS_UNIT_PROXY_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/must.h"
#include "tests/unit/unit.h"

#define PEER_WAIT_US INT64_C(20000000)

/* The row of the table that is being tried, for the message of peer_until(). */
static const char *peer_row = "-";

struct peer {
	int fd; /* -1: none */
	char *in;
	size_t in_size;
	size_t in_capacity;
	bool closed; /* the end of the other's sending was read */
	int error;   /* errno that ended reading or writing, else 0 */
};

static inline void loop_turn(struct event_base *base)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* What has been said is there: so many turns read all of it, however slow the machine is. */
static inline void loop_rest(struct event_base *base)
{
	for (int i = 0; i < 10; i++)
		loop_turn(base);
}

/* Turn the loop until the condition holds; the test fails when it never does. */
#define peer_until(base, condition)                                                                \
	do {                                                                                       \
		int64_t until_us_ = clock_mono_us() + PEER_WAIT_US;                                \
		while (!(condition)) {                                                             \
			loop_turn(base);                                                           \
			if (condition)                                                             \
				break;                                                             \
			if (clock_mono_us() > until_us_)                                           \
				fail_msg("row \"%s\": never came true: %s", peer_row, #condition); \
			poll(NULL, 0, 1);                                                          \
		}                                                                                  \
	} while (0)

/* Turn the loop for a while in which something must not happen. */
static inline void loop_for(struct event_base *base, int64_t ms)
{
	int64_t until_us = clock_mono_us() + ms * 1000;

	while (clock_mono_us() < until_us) {
		loop_turn(base);
		poll(NULL, 0, 1);
	}
}

/* One more word for the log of callbacks. */
static inline void log_add(char *log, size_t log_size, const char *word)
{
	size_t size = strlen(log);

	(void)snprintf(log + size, log_size - size, "%s%s", size > 0 ? " " : "", word);
}

/* head, count times piece, tail; the caller frees it. */
static inline char *text_repeat(const char *head, const char *piece, size_t count, const char *tail)
{
	size_t piece_size = strlen(piece);
	char *text = must_alloc(strlen(head) + piece_size * count + strlen(tail) + 1);
	char *at = text;

	at = (char *)memcpy(at, head, strlen(head)) + strlen(head);
	for (size_t i = 0; i < count; i++)
		at = (char *)memcpy(at, piece, piece_size) + piece_size;
	memcpy(at, tail, strlen(tail) + 1);
	return text;
}

static inline struct peer peer_of(int fd)
{
	struct peer peer = {.fd = fd};

	if (fd >= 0)
		must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return peer;
}

static inline int port_of(int fd)
{
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);

	must(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
	return ntohs(bound.sin_port);
}

/* receive_size 0: the kernel's choice. */
static inline struct peer peer_connect(int port, int receive_size)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	if (receive_size > 0)
		must(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof(receive_size)) ==
		     0);
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return peer_of(fd);
}

static inline int peer_listen(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	must(fd >= 0);
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	must(listen(fd, 64) == 0);
	return fd;
}

static inline bool peer_accept(struct peer *peer, int listen_fd)
{
	int fd;

	if (peer->fd >= 0)
		return true;
	fd = accept(listen_fd, NULL, NULL);
	if (fd < 0)
		return false;
	*peer = peer_of(fd);
	return true;
}

static inline void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	free(peer->in);
	*peer = (struct peer){.fd = -1};
}

/* Close in a way that the other side sees as a reset. */
static inline void peer_reset(struct peer *peer)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	must(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	peer_close(peer);
}

/* Write what goes in now; returns how much that was. */
static inline size_t peer_push(struct peer *peer, const char *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t put = send(peer->fd, bytes + done, size - done, MSG_NOSIGNAL);

		if (put < 0) {
			if (errno != EAGAIN)
				peer->error = errno;
			break;
		}
		done += (size_t)put;
	}
	return done;
}

/* Write everything, turning the loop while the socket is full. */
static inline void peer_send(
    struct event_base *base, struct peer *peer, const char *bytes, size_t size)
{
	size_t done = 0;

	peer_until(
	    base, (done += peer_push(peer, bytes + done, size - done)) == size || peer->error != 0);
}

static inline void peer_say(struct event_base *base, struct peer *peer, const char *text)
{
	peer_send(base, peer, text, strlen(text));
}

/* Read up to size_max bytes of what is here now. Always returns true, for conditions. */
static inline bool peer_pull(struct peer *peer, size_t size_max)
{
	while (!peer->closed && peer->error == 0 && size_max > 0) {
		size_t piece = size_max < 65536 ? size_max : 65536;
		ssize_t got;

		if (peer->in_capacity < peer->in_size + piece + 1) {
			peer->in_capacity = (peer->in_size + piece + 1) * 2;
			peer->in = must_realloc(peer->in, peer->in_capacity);
		}
		got = recv(peer->fd, peer->in + peer->in_size, piece, 0);
		if (got < 0) {
			if (errno != EAGAIN)
				peer->error = errno;
			break;
		}
		peer->closed = got == 0;
		peer->in_size += (size_t)got;
		peer->in[peer->in_size] = '\0';
		size_max -= (size_t)got;
	}
	return true;
}

static inline bool peer_over(struct peer *peer)
{
	peer_pull(peer, SIZE_MAX);
	return peer->closed || peer->error != 0;
}

static inline bool peer_has(struct peer *peer, const char *text)
{
	peer_pull(peer, SIZE_MAX);
	return peer->in_size > 0 && memmem(peer->in, peer->in_size, text, strlen(text)) != NULL;
}

static inline const char *peer_text(const struct peer *peer)
{
	return peer->in == NULL || peer->in_size == 0 ? "" : peer->in;
}

static inline void peer_forget(struct peer *peer)
{
	peer->in_size = 0;
	if (peer->in != NULL)
		peer->in[0] = '\0';
}

#endif
