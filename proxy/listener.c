/* proxy/listener.c - sockets that listen, and the connections they bring. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/connection.h"

/* Out of descriptors, every turn of the loop would fail again: wait a little. */
#define ACCEPT_AGAIN_MS 100

#define LISTEN_BACKLOG 1024

/* --- accepting --- */

static void on_accept(struct evconnlistener *acceptor, evutil_socket_t fd, struct sockaddr *address,
    int address_size, void *arg)
{
	struct listener *listener = arg;
	const struct timeval now = {0, 0};
	size_t served = listener->connection_count - listener->refused_count;
	bool full;

	(void)address;
	(void)address_size;
	if (++listener->accepted_count == ACCEPT_MAX) {
		evconnlistener_disable(acceptor);
		event_add(listener->again, &now);
	}
	full = served >= listener->limits.connections_max ||
	       (listener->limits.descriptor_max > 0 &&
		   (uint32_t)fd >= listener->limits.descriptor_max);
	if (!full || turnstile_evict(listener))
		connection_new(listener, fd, false);
	/* A handshake costs more than the answer is worth. */
	else if (listener->tls == NULL && listener->refused_count < REFUSED_MAX)
		connection_new(listener, fd, true);
	else
		close(fd);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd;
	(void)what;
	listener->accepted_count = 0;
	if (listener->acceptor != NULL)
		evconnlistener_enable(listener->acceptor);
}

static void on_accept_error(struct evconnlistener *acceptor, void *arg)
{
	struct listener *listener = arg;
	const struct timeval after = {0, ACCEPT_AGAIN_MS * 1000};
	bool none_left = errno == EMFILE || errno == ENFILE;

	log_event(LOG_WARN, "accept_failed", "reason", strerror(errno), NULL);
	/* Somebody new has more use for a descriptor than who never asked for anything. */
	for (unsigned i = 0; none_left && i < ACCEPT_MAX; i++)
		(void)turnstile_evict(listener);
	evconnlistener_disable(acceptor);
	event_add(listener->again, &after);
}

void listener_set_limits(struct listener *listener, const struct listener_limits *limits)
{
	must(limits->connections_max > 0 && limits->head_ms_max > 0 && limits->idle_ms_max > 0);
	must(limits->body_idle_ms_max > 0 && limits->write_idle_ms_max > 0);
	must(limits->out_size_low < limits->out_size_high);
	listener->limits = *limits;
}

void listener_set_tls(struct listener *listener, SSL_CTX *context)
{
	SSL_CTX_free(listener->tls);
	listener->tls = context;
}

struct listener *listener_new(struct event_base *base, int fd, const struct listener_limits *limits,
    const struct exchange_events *events, void *arg)
{
	struct listener *listener = must_calloc(1, sizeof(*listener));

	listener_set_limits(listener, limits);
	listener->base = base;
	listener->events = events;
	listener->arg = arg;
	turnstile_init(listener);
	listener->again = event_new(base, -1, 0, on_accept_again, listener);
	listener->acceptor = evconnlistener_new(
	    base, on_accept, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	must(listener->again != NULL && listener->acceptor != NULL);
	evconnlistener_set_error_cb(listener->acceptor, on_accept_error);
	return listener;
}

void listener_drain(struct listener *listener)
{
	struct connection *connection;
	struct connection *next;

	if (listener->acceptor == NULL)
		return;
	evconnlistener_free(listener->acceptor);
	listener->acceptor = NULL;
	DL_FOREACH_SAFE(listener->connections, connection, next)
	{
		if ((connection->wait == WAIT_IDLE || connection->wait == WAIT_HANDSHAKE) &&
		    !connection->running)
			connection_close(connection);
	}
}

size_t listener_connections(const struct listener *listener)
{
	return listener->connection_count;
}

void listener_free(struct listener **listener)
{
	if (*listener == NULL)
		return;
	if ((*listener)->acceptor != NULL)
		evconnlistener_free((*listener)->acceptor);
	(*listener)->acceptor = NULL;
	while ((*listener)->connections != NULL)
		connection_close((*listener)->connections);
	event_free((*listener)->again);
	SSL_CTX_free((*listener)->tls);
	turnstile_fini(*listener);
	free(*listener);
	*listener = NULL;
}

const char *listener_date(struct listener *listener)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now_s = clock_now_us() / CLOCK_US_PER_S;
	struct tm utc;

	if (now_s == listener->date_s)
		return listener->date;
	must(gmtime_r(&now_s, &utc) != NULL);
	listener->date_s = now_s;
	(void)snprintf(listener->date, sizeof(listener->date),
	    "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday], utc.tm_mday,
	    months[utc.tm_mon], (utc.tm_year + 1900) % 10000, utc.tm_hour, utc.tm_min, utc.tm_sec);
	return listener->date;
}

/* --- sockets --- */

static int fail(char reason[256], const char *address, const char *why)
{
	(void)snprintf(reason, 256, "%s: %s", address, why);
	return -1;
}

static int fail_close(char reason[256], const char *address, int fd)
{
	fail(reason, address, strerror(errno));
	close(fd);
	return -1;
}

static bool port_parse(in_port_t *out, const char *text)
{
	unsigned port = 0;

	if (*text == '\0' || strlen(text) > 5)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned)(*text - '0');
	}
	*out = htons((uint16_t)port);
	return port <= UINT16_MAX;
}

/* "127.0.0.1:8402" or "[::1]:8402"; libevent's own parser takes no port 0, which asks the
 * kernel for a free one. */
static bool address_parse(struct sockaddr_storage *out, socklen_t *out_size, const char *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(address, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t size = colon == NULL ? 0 : (size_t)(colon - address);

	if (size == 0 || size >= sizeof(host))
		return false;
	memcpy(host, address, size);
	host[size] = '\0';
	if (host[0] != '[') {
		v4->sin_family = AF_INET;
		*out_size = sizeof(*v4);
		return inet_pton(AF_INET, host, &v4->sin_addr) == 1 &&
		       port_parse(&v4->sin_port, colon + 1);
	}
	if (host[size - 1] != ']')
		return false;
	host[size - 1] = '\0';
	v6->sin6_family = AF_INET6;
	*out_size = sizeof(*v6);
	return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 &&
	       port_parse(&v6->sin6_port, colon + 1);
}

bool listener_address_valid(const char *address)
{
	struct sockaddr_storage parsed = {0};
	socklen_t size;

	return address_parse(&parsed, &size, address);
}

int listener_socket_bind(char reason[256], const char *address, bool shared)
{
	struct sockaddr_storage bound = {0};
	socklen_t bound_size;
	const int on = 1;
	int fd;

	if (!address_parse(&bound, &bound_size, address))
		return fail(reason, address, "not an address and a port, like 127.0.0.1:8402");
	fd = socket(bound.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(reason, address, strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
	    bind(fd, (struct sockaddr *)&bound, bound_size) != 0)
		return fail_close(reason, address, fd);
	return fd;
}

bool listener_socket_listen(char reason[256], int fd)
{
	char name[128];

	if (listen(fd, LISTEN_BACKLOG) == 0)
		return true;
	fail(reason, listener_socket_name(name, sizeof(name), fd) ? name : "?", strerror(errno));
	return false;
}

int listener_socket_tcp(char reason[256], const char *address, bool shared)
{
	int fd = listener_socket_bind(reason, address, shared);

	if (fd >= 0 && listen(fd, LISTEN_BACKLOG) != 0)
		return fail_close(reason, address, fd);
	return fd;
}

/* Take away the socket of a process that is no more. */
static bool stale_remove(char reason[256], const char *path, const struct sockaddr_un *bound)
{
	struct stat info;
	int fd;
	bool answered;

	if (lstat(path, &info) != 0)
		return true; /* bind will say what is wrong, if anything */
	if (!S_ISSOCK(info.st_mode))
		return fail(reason, path, "exists and is not a socket") == 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(reason, path, strerror(errno)) == 0;
	answered = connect(fd, (const struct sockaddr *)bound, sizeof(*bound)) == 0 ||
		   errno != ECONNREFUSED;
	close(fd);
	if (answered)
		return fail(reason, path, "another process listens there") == 0;
	if (unlink(path) != 0)
		return fail(reason, path, strerror(errno)) == 0;
	return true;
}

int listener_socket_unix(char reason[256], const char *path)
{
	struct sockaddr_un bound = {.sun_family = AF_UNIX};
	int fd;

	if (path[0] == '\0' || strlen(path) >= sizeof(bound.sun_path))
		return fail(reason, path, "a socket's path has 1 to 107 bytes");
	memcpy(bound.sun_path, path, strlen(path) + 1);
	if (!stale_remove(reason, path, &bound))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(reason, path, strerror(errno));
	/* Nobody can connect before listen(), so the mode is right in time. */
	if (bind(fd, (struct sockaddr *)&bound, sizeof(bound)) != 0 || chmod(path, 0600) != 0 ||
	    listen(fd, LISTEN_BACKLOG) != 0)
		return fail_close(reason, path, fd);
	return fd;
}

bool listener_socket_name(char *out, size_t out_size, int fd)
{
	struct sockaddr_storage bound = {0};
	socklen_t bound_size = sizeof(bound);
	char host[INET6_ADDRSTRLEN];
	int length = -1;

	if (getsockname(fd, (struct sockaddr *)&bound, &bound_size) != 0)
		return false;
	if (bound.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;

		if (inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)) != NULL)
			length = snprintf(out, out_size, "%s:%u", host, ntohs(v4->sin_port));
	} else if (bound.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;

		if (inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)) != NULL)
			length = snprintf(out, out_size, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else if (bound.ss_family == AF_UNIX) {
		length = snprintf(out, out_size, "%s", ((struct sockaddr_un *)&bound)->sun_path);
	}
	return length >= 0 && (size_t)length < out_size;
}
