/* proxy/upstream.c - curl's multi handle on the event loop. */
#include "proxy/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

void upstream_timer_set(struct event *timer, uint32_t ms)
{
	const struct timeval after = {ms / 1000, (ms % 1000) * 1000};

	event_add(timer, &after);
}

static bool join(struct transfer *transfer)
{
	if (transfer->queued)
		return false;
	transfer->queued = true;
	DL_APPEND(transfer->upstream->queue, transfer);
	return true;
}

void upstream_queue(struct transfer *transfer)
{
	if (join(transfer))
		event_active(&transfer->upstream->work, EV_TIMEOUT, 1);
}

void upstream_queue_later(struct transfer *transfer)
{
	static const struct timeval now = {0, 0};

	/* A timer that is due runs when the loop has asked for sockets, an event that is active
	 * before that, and the next one too. Work that is due stays so: adding it once more would
	 * put it off, turn after turn while others are resumed. */
	if (join(transfer) && !event_pending(&transfer->upstream->work, EV_TIMEOUT, NULL))
		event_add(&transfer->upstream->work, &now);
}

/* curl has said of some transfers that they are over. */
static void collect(struct upstream *upstream)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
		struct transfer *transfer = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		if (code == CURLE_OK && transfer->phase == TRANSFER_BODY)
			transfer_finish(transfer, TRANSFER_OK, "");
		else
			transfer_fail(transfer, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
	}
}

/* --- curl and the loop --- */

static void acted(struct upstream *upstream)
{
	upstream->acting = false;
	transfer_timers_set(upstream);
}

/* Something has happened on a socket, or it is time for something. */
static void act(struct upstream *upstream, curl_socket_t fd, int action)
{
	int running;

	upstream->acting = true;
	(void)curl_multi_socket_action(upstream->multi, fd, action, &running);
	collect(upstream);
	acted(upstream);
}

static void on_curl_timer(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *upstream = arg;

	(void)fd;
	(void)what;
	upstream->due = false;
	act(upstream, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct upstream *upstream = arg;

	(void)multi;
	upstream->due = upstream->working && timeout_ms == 0;
	if (timeout_ms < 0 || upstream->due)
		event_del(&upstream->timer);
	else
		upstream_timer_set(&upstream->timer, (uint32_t)timeout_ms);
	return 0;
}

/* --- sockets --- */

static void on_socket_event(evutil_socket_t fd, short what, void *arg);

static void socket_watch(struct upstream_socket *socket, short events)
{
	if (events == socket->watched)
		return;
	if (socket->watched != 0)
		event_del(&socket->event);
	socket->watched = events;
	if (events == 0)
		return;
	event_assign(&socket->event, socket->upstream->base, socket->fd, events | EV_PERSIST,
	    on_socket_event, socket);
	event_add(&socket->event, NULL);
}

static struct upstream_socket *socket_find(struct upstream *upstream, int fd)
{
	struct upstream_socket *found;

	HASH_FIND_INT(upstream->sockets, &fd, found);
	return found;
}

static struct upstream_socket *socket_add(struct upstream *upstream, int fd, bool connection)
{
	struct upstream_socket *added = must_calloc(1, sizeof(*added));

	added->upstream = upstream;
	added->fd = fd;
	added->connection = connection;
	HASH_ADD_INT(upstream->sockets, fd, added);
	return added;
}

static void socket_forget(struct upstream_socket *socket)
{
	if (socket->user != NULL)
		socket->user->socket = NULL;
	if (socket->connected)
		HASH_DELETE(ends_hh, socket->upstream->connections, socket);
	socket_watch(socket, 0);
	HASH_DEL(socket->upstream->sockets, socket);
	free(socket);
}

curl_socket_t upstream_open(struct upstream *upstream, const struct curl_sockaddr *address)
{
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	struct upstream_socket *stale = fd < 0 ? NULL : socket_find(upstream, fd);

	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (stale != NULL) /* one of curl's own, closed without a word */
		socket_forget(stale);
	(void)socket_add(upstream, fd, true);
	return fd;
}

int upstream_close(void *arg, curl_socket_t fd)
{
	struct upstream_socket *old = socket_find(arg, fd);

	if (old != NULL)
		socket_forget(old);
	return close(fd);
}

static struct in6_addr mapped(struct in_addr v4)
{
	struct in6_addr out = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(out.s6_addr + 12, &v4, sizeof(v4));
	return out;
}

/* Of an address as curl writes it. */
static bool address_parse(struct in6_addr *out, const char *text)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) != 1)
		return inet_pton(AF_INET6, text, out) == 1;
	*out = mapped(v4);
	return true;
}

/* One end as the kernel tells it. */
static bool end_read(struct in6_addr *address, int *port, enum reach *reach,
    int (*name)(int, struct sockaddr *, socklen_t *), int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} end;
	socklen_t size = sizeof(end);
	bool six;

	memset(&end, 0, sizeof(end));
	if (name(fd, &end.any, &size) != 0)
		return false;
	six = end.any.sa_family == AF_INET6;
	*port = ntohs(six ? end.v6.sin6_port : end.v4.sin_port);
	*address = six ? end.v6.sin6_addr : mapped(end.v4.sin_addr);
	*reach = reach_of(&end.any);
	return six || end.any.sa_family == AF_INET;
}

/* The ports alone nearly always tell connections apart; where they do not, the whole key does. */
static unsigned ends_hash(const struct ends *ends)
{
	return ((unsigned)ends->own_port * 0x9e3779b1u >> 16) ^ (unsigned)ends->peer_port;
}

static void connection_note(struct upstream_socket *socket)
{
	struct upstream *upstream = socket->upstream;
	struct ends *ends = &socket->ends;
	enum reach own;

	if (!end_read(&ends->own, &ends->own_port, &own, getsockname, socket->fd) ||
	    !end_read(&ends->peer, &ends->peer_port, &socket->reach, getpeername, socket->fd))
		return;
	socket->connected = true;
	HASH_ADD_BYHASHVALUE(ends_hh, upstream->connections, ends, sizeof(socket->ends),
	    ends_hash(ends), socket);
}

/* curl tells its ends, not its socket. Those of a new one are read when it is looked for. */
static struct upstream_socket *connection_find(struct upstream *upstream, const struct ends *ends)
{
	const unsigned hash = ends_hash(ends);
	struct upstream_socket *found, *each, *next;

	HASH_FIND_BYHASHVALUE(
	    ends_hh, upstream->connections, ends, sizeof(*ends), hash, found);
	if (found != NULL)
		return found;
	HASH_ITER (hh, upstream->sockets, each, next) {
		if (each->connection && !each->connected)
			connection_note(each);
	}
	HASH_FIND_BYHASHVALUE(
	    ends_hh, upstream->connections, ends, sizeof(*ends), hash, found);
	return found;
}

struct upstream_socket *upstream_connection(struct upstream *upstream, const char *own_address,
    int own_port, const char *peer_address, int peer_port)
{
	struct ends ends = {.own_port = own_port, .peer_port = peer_port};

	if (!address_parse(&ends.own, own_address) || !address_parse(&ends.peer, peer_address))
		return NULL;
	return connection_find(upstream, &ends);
}

bool upstream_use(struct transfer *transfer, struct upstream_socket *socket)
{
	char first;

	if (transfer->socket != NULL)
		transfer->socket->user = NULL;
	if (socket->user != NULL)
		socket->user->socket = NULL;
	socket->user = transfer;
	transfer->socket = socket;
	if (socket->used && !socket->multiplexed &&
	    (recv(socket->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
		return false;
	socket->used = true;
	return true;
}

void upstream_rest(struct transfer *transfer)
{
	struct upstream_socket *socket = transfer->socket;
	long version = 0;

	if (socket == NULL)
		return;
	transfer->socket = NULL;
	socket->user = NULL;
	if (transfer->secure) /* HTTP/2 is agreed upon in TLS, and nowhere else */
		(void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	if (version > CURL_HTTP_VERSION_1_1)
		socket->multiplexed = true;
	if (socket->wanted == 0 && !socket->multiplexed)
		socket_watch(socket, EV_READ);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct upstream *upstream = arg;
	struct upstream_socket *socket = socket_find(upstream, fd);

	(void)easy;
	(void)socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (socket == NULL)
			return 0;
		socket->wanted = 0;
		if (socket->connection)
			socket_watch(socket, EV_READ);
		else
			socket_forget(socket);
		return 0;
	}
	if (socket == NULL)
		socket = socket_add(upstream, fd, false);
	socket->wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		socket->wanted |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		socket->wanted |= EV_WRITE;
	socket_watch(socket, socket->wanted);
	return 0;
}

/* curl takes a connection for dead when there is nothing to read but its end. What comes after
 * the shutdown the kernel answers with a reset, so there is no more than a receive buffer. */
static void give_up(int fd)
{
	char thrown_away[4096];

	(void)shutdown(fd, SHUT_RDWR);
	while (recv(fd, thrown_away, sizeof(thrown_away), MSG_DONTWAIT) > 0)
		;
}

/* Something has come on a connection of which curl wants nothing. */
static void unwanted(struct upstream_socket *socket)
{
	socket_watch(socket, 0);
	if (socket->user == NULL && !socket->multiplexed)
		give_up(socket->fd);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct upstream_socket *socket = arg;
	struct upstream *upstream = socket->upstream;
	int action =
	    (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	if (socket->wanted == 0)
		unwanted(socket);
	else
		act(upstream, fd, action);
}

/* --- the multi handle --- */

static void upstream_work(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *upstream = arg;
	struct transfer *last = upstream->queue == NULL ? NULL : upstream->queue->prev;
	bool more = last != NULL;

	(void)fd;
	(void)what;
	/* Those that join meanwhile are for the next time. */
	upstream->working = upstream->acting = true;
	while (more) {
		struct transfer *transfer = upstream->queue;

		more = transfer != last;
		DL_DELETE(upstream->queue, transfer);
		transfer->queued = false;
		transfer_work(transfer);
	}
	upstream->working = false;
	/* A turn of the loop sooner than the timer would. */
	if (upstream->due)
		on_curl_timer(-1, EV_TIMEOUT, upstream);
	else
		acted(upstream);
}

void upstream_set_limits(struct upstream *upstream, const struct upstream_limits *limits)
{
	char *ca_file = limits->ca_file == NULL ? NULL : must_strdup(limits->ca_file);

	must(limits->connect_ms_max > 0 && limits->response_ms_max > 0 && limits->idle_ms_max > 0);
	free(upstream->ca_file);
	upstream->ca_file = ca_file;
	upstream->limits = *limits;
	upstream->limits_count++;
	transfer_spares_free(upstream);
	upstream->limits.ca_file = ca_file;
	must(curl_multi_setopt(
		 upstream->multi, CURLMOPT_MAXCONNECTS, (long)limits->connections_max) == CURLM_OK);
}

struct upstream *upstream_new(struct event_base *base, const struct upstream_limits *limits)
{
	struct upstream *upstream = must_calloc(1, sizeof(*upstream));
	CURLM *multi;

	must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	upstream->base = base;
	upstream->has_bundle = curl_version_info(CURLVERSION_NOW)->cainfo != NULL;
	event_assign(&upstream->timer, base, -1, 0, on_curl_timer, upstream);
	event_assign(&upstream->work, base, -1, 0, upstream_work, upstream);
	multi = curl_multi_init();
	must(multi != NULL);
	upstream->multi = multi;
	must(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, upstream) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_TIMERDATA, upstream) == CURLM_OK);
	upstream_set_limits(upstream, limits);
	/* One transfer a connection at a time, in HTTP/2 too: curl holds back all streams
	 * of a connection when one is paused, and an agent that reads slowly must not
	 * stop the others. */
	must(curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK);
	return upstream;
}

void upstream_free(struct upstream **upstream)
{
	struct upstream *old = *upstream;

	if (old == NULL)
		return;
	while (old->queue != NULL) { /* the cancelled */
		must(old->queue->cancelled);
		transfer_free(old->queue);
	}
	must(old->transfer_count == 0);
	transfer_spares_free(old);
	curl_multi_cleanup(old->multi);
	while (old->sockets != NULL)
		socket_forget(old->sockets);
	event_del(&old->timer);
	event_del(&old->work);
	curl_global_cleanup();
	free(old->ca_file);
	free(old);
	*upstream = NULL;
}
