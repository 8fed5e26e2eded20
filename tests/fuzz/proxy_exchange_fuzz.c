/* What an agent's connection sends: heads, bodies, trailers, and whatever follows them.
 *
 * The input is given to the real parser twice, over a socket pair: whole, and in pieces whose
 * sizes its first bytes say. Both times the handler must see the same requests: a parser that
 * can be made to cut differently is one that requests can be smuggled past. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "proxy/connection.h"
#include "tests/fuzz/fuzz.h"

#define PIECE_COUNT  4
#define LOG_SIZE_MAX (1u << 20)
/* A Unix socket holds some 200 KiB. */
#define INPUT_SIZE_MAX (64u * 1024u)

static struct event_base *base;
static struct listener *listener;

/* What the handler saw of one run. */
static struct buf seen;
static int64_t body_size; /* of the request under way */
static unsigned under_way;

static void check_text(const char *text, const char *not_in_it)
{
	for (; *text != '\0'; text++) {
		must((unsigned char)*text >= 0x20 || *text == '\t');
		must(*text != 0x7f && strchr(not_in_it, *text) == NULL);
	}
}

static void check_head(struct exchange *exchange)
{
	const struct headers *headers = exchange_headers(exchange);
	size_t lengths = headers_count(headers, "Content-Length"), i;
	size_t codings = headers_count(headers, "Transfer-Encoding");
	const char *host = headers_get(headers, "Host");
	int64_t size = exchange_body_size(exchange);

	must(exchange_target(exchange)[0] == '/');
	must(strlen(exchange_target(exchange)) <= TARGET_SIZE_MAX);
	check_text(exchange_target(exchange), " \t#");
	check_text(exchange_method(exchange), " \t");
	must(headers->count <= HEADERS_COUNT_MAX && headers->size <= HEADERS_SIZE_MAX);
	for (i = 0; i < headers->count; i++) {
		must(headers->items[i].name[0]);
		check_text(headers->items[i].name, " \t:");
		check_text(headers->items[i].value, "");
	}
	must(headers_count(headers, "Host") <= 1);
	must(host != NULL || exchange->http_1_0);
	if (host != NULL)
		check_text(host, " \t/@?#\\");
	must(lengths + codings <= 1);
	must(size == -1 ? codings == 1 : size >= 0);
	must(size <= 0 || lengths == 1);
	if (codings == 1)
		must(strcasecmp(headers_get(headers, "Transfer-Encoding"), "chunked") == 0);
}

static void on_head(struct exchange *exchange, void *arg)
{
	const struct headers *headers = exchange_headers(exchange);
	size_t i;

	(void)arg;
	must(under_way++ == 0);
	check_head(exchange);
	buf_add_format(&seen, "%s %s\n", exchange_method(exchange), exchange_target(exchange));
	for (i = 0; i < headers->count; i++)
		buf_add_format(&seen, "%s: %s\n", headers->items[i].name, headers->items[i].value);
	body_size = 0;
	/* Some are answered before their body was read. */
	if (strncmp(exchange_target(exchange), "/now", 4) == 0)
		exchange_reply(exchange, 403, NULL, "no", 2);
	else
		exchange_read_body(exchange);
}

static void on_body(struct exchange *exchange, const void *bytes, size_t size, void *arg)
{
	(void)exchange;
	(void)arg;
	must(size > 0);
	body_size += (int64_t)size;
	buf_add(&seen, bytes, size);
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	(void)arg;
	must(exchange_body_size(exchange) < 0 || exchange_body_size(exchange) == body_size);
	buf_add_format(&seen, "\nend %lld\n", (long long)body_size);
	exchange_reply(exchange, 200, NULL, "yes", 3);
}

static void on_writable(struct exchange *exchange, void *arg)
{
	(void)exchange;
	(void)arg;
}

static void on_finished(struct exchange *exchange, bool completed, void *arg)
{
	(void)exchange;
	(void)arg;
	must(under_way-- == 1);
	buf_add_format(&seen, "finished %d\n", completed);
}

static void open_listener(void)
{
	static const struct exchange_events events = {
	    on_head, on_body, on_body_end, on_writable, on_finished, NULL};
	static const struct listener_limits limits = {
	    .connections_max = 4,
	    .head_ms_max = 60000,
	    .idle_ms_max = 60000,
	    .body_idle_ms_max = 60000,
	    .write_idle_ms_max = 60000,
	    .out_size_high = 65536,
	    .out_size_low = 16384,
	};
	char reason[256];
	int fd = listener_socket_tcp(reason, "127.0.0.1:0", false);

	must(fd >= 0);
	base = event_base_new();
	listener = listener_new(base, fd, &limits, &events, NULL);
}

static void turn(void)
{
	must(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

/* What was answered, as the status of each answer; 100 and the rest alike. */
static void read_answers(int fd)
{
	static const char mark[] = "HTTP/1.1 ";
	char answers[65536];
	ssize_t size = recv(fd, answers, sizeof(answers) - 1, MSG_DONTWAIT);
	const char *at;

	answers[size > 0 ? size : 0] = '\0';
	must(size <= 0 || strncmp(answers, mark, strlen(mark)) == 0);
	for (at = answers; (at = strstr(at, mark)) != NULL; at += strlen(mark))
		buf_add_format(&seen, "answered %.3s\n", at + strlen(mark));
}

static bool alive(void)
{
	return listener_connections(listener) > 0;
}

/* The handler's notes, to be freed; pieces: NULL, or sizes. */
static char *run(const uint8_t *pieces, const char *bytes, size_t size)
{
	size_t at = 0, i = 0;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	buf_init(&seen, LOG_SIZE_MAX);
	under_way = 0;
	connection_new(listener, pair[0], false);
	while (at < size && alive()) {
		size_t piece = pieces == NULL ? size : pieces[i++ % PIECE_COUNT] + 1u;

		if (piece > size - at)
			piece = size - at;
		if (send(pair[1], bytes + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			break; /* cut off already */
		at += piece;
		turn();
		turn();
	}
	turn();
	turn();
	read_answers(pair[1]);
	close(pair[1]);
	for (i = 0; alive() && i < 100; i++)
		turn();
	must(!alive() && under_way == 0);
	return buf_take(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *whole, *pieces;

	if (size < PIECE_COUNT || size > INPUT_SIZE_MAX)
		return 0;
	if (listener == NULL)
		open_listener();
	whole = run(NULL, (const char *)data + PIECE_COUNT, size - PIECE_COUNT);
	pieces = run(data, (const char *)data + PIECE_COUNT, size - PIECE_COUNT);
	must(whole == NULL || pieces == NULL ? whole == pieces : strcmp(whole, pieces) == 0);
	free(pieces);
	free(whole);
	return 0;
}
