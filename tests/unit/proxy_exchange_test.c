/* The listener, its connections and exchanges, against a raw socket. */
#include "proxy/exchange.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/log.h"
#include "proxy/connection.h"
#include "tests/unit/proxy_clock.h"
#include "tests/unit/proxy_peer.h"

/* A server whose handler does what the test says and logs every callback. */
struct server {
	struct event_base *base;
	struct listener *listener;
	int port;
	struct exchange *exchange; /* the one under way */
	char log[512];
	char *body;
	size_t body_size;
	size_t body_capacity;
	unsigned finished_count;
	bool in_callback;
	size_t out_size_seen; /* the most that waited to be written */
	uint64_t left;        /* of a streamed answer */
	void (*on_head)(struct server *server, struct exchange *exchange);
	void (*on_body)(struct server *server, struct exchange *exchange);
	void (*on_body_end)(struct server *server, struct exchange *exchange);
	void (*on_writable)(struct server *server, struct exchange *exchange);
	void (*on_finished)(struct server *server, struct exchange *exchange);
};

static void enter(struct server *server, struct exchange *exchange)
{
	assert_false(server->in_callback); /* callbacks never nest */
	server->in_callback = true;
	assert_ptr_equal(server->exchange, exchange);
}

static void on_head(struct exchange *exchange, void *arg)
{
	struct server *server = arg;

	assert_null(server->exchange); /* the last one is finished */
	server->exchange = exchange;
	enter(server, exchange);
	log_add(server->log, sizeof(server->log), "head");
	assert_null(exchange_user(exchange));
	exchange_set_user(exchange, server);
	server->body_size = 0;
	if (server->on_head != NULL)
		server->on_head(server, exchange);
	server->in_callback = false;
}

static void on_body(struct exchange *exchange, const void *bytes, size_t size, void *arg)
{
	struct server *server = arg;

	enter(server, exchange);
	assert_ptr_equal(exchange_user(exchange), server);
	assert_true(size > 0);
	if (server->body_size == 0)
		log_add(server->log, sizeof(server->log), "body");
	if (server->body_size + size >= server->body_capacity) {
		server->body_capacity = (server->body_size + size + 1) * 2;
		server->body = must_realloc(server->body, server->body_capacity);
	}
	memcpy(server->body + server->body_size, bytes, size);
	server->body_size += size;
	server->body[server->body_size] = '\0';
	if (server->on_body != NULL)
		server->on_body(server, exchange);
	server->in_callback = false;
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	struct server *server = arg;

	enter(server, exchange);
	log_add(server->log, sizeof(server->log), "end");
	if (server->on_body_end != NULL)
		server->on_body_end(server, exchange);
	server->in_callback = false;
}

static void on_writable(struct exchange *exchange, void *arg)
{
	struct server *server = arg;

	enter(server, exchange);
	if (server->on_writable != NULL)
		server->on_writable(server, exchange);
	server->in_callback = false;
}

static void on_finished(struct exchange *exchange, bool completed, void *arg)
{
	struct server *server = arg;

	enter(server, exchange);
	log_add(server->log, sizeof(server->log), completed ? "done" : "lost");
	server->finished_count++;
	if (server->on_finished != NULL)
		server->on_finished(server, exchange);
	server->exchange = NULL;
	server->in_callback = false;
}

static const struct exchange_events events = {
    on_head, on_body, on_body_end, on_writable, on_finished, NULL};

static const struct listener_limits patient = {
    .connections_max = 100,
    .head_ms_max = 20000,
    .idle_ms_max = 20000,
    .body_idle_ms_max = 20000,
    .write_idle_ms_max = 20000,
    .out_size_high = 65536,
    .out_size_low = 16384,
};

static void server_open_with(struct server *server, const struct listener_limits *limits)
{
	char reason[256];
	int fd = listener_socket_tcp(reason, "127.0.0.1:0", false);

	assert_true(fd >= 0);
	*server = (struct server){.base = event_base_new(), .port = port_of(fd)};
	server->listener = listener_new(server->base, fd, limits, &events, server);
}

static void server_close(struct server *server)
{
	listener_free(&server->listener);
	assert_null(server->listener);
	event_base_free(server->base);
	free(server->body);
}

static void read_all(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_read_body(exchange);
}

static void nothing(struct server *server, struct exchange *exchange)
{
	(void)server;
	(void)exchange;
}

static void reply_ok(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_reply(exchange, 200, NULL, "ok", 2);
}

/* Answers "METHOD TARGET BODY". */
static void reply_echo(struct server *server, struct exchange *exchange)
{
	char *text = must_format("%s %s %s", exchange_method(exchange), exchange_target(exchange),
	    server->body_size > 0 ? server->body : "");
	struct headers headers;

	headers_init(&headers);
	headers_put(&headers, "Content-Type", "text/plain");
	exchange_reply(exchange, 200, &headers, text, strlen(text));
	headers_fini(&headers);
	free(text);
}

static void server_open(struct server *server)
{
	server_open_with(server, &patient);
	server->on_head = read_all;
	server->on_body_end = reply_echo;
}

static struct connection *connection_of(struct server *server)
{
	assert_non_null(server->listener->connections);
	return server->listener->connections;
}

static size_t in_size(struct server *server)
{
	return evbuffer_get_length(bufferevent_get_input(connection_of(server)->bev));
}

#define UNTIL(condition) peer_until(server.base, (condition))
#define SAY(text)        peer_say(server.base, &peer, (text))

/* --- requests --- */

static void good_requests(void **state)
{
	static const struct {
		const char *name, *request, *answer, *log;
	} rows[] = {
	    {"get", "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b=c ", "head end done"},
	    {"root", "GET / HTTP/1.1\r\nhost:h:80\r\n\r\n", "GET / ", "head end done"},
	    {"ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / ", "head end done"},
	    {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / ", "head end done"},
	    {"empty field", "GET / HTTP/1.1\r\nHost: h\r\nX:\r\nY: \t \r\n\r\n", "GET / ",
		"head end done"},
	    {"empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / ", "head end done"},
	    {"odd target", "GET //x/..;/%2e%2F?a=\"{|}\"&[] HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //x/..;/%2e%2F?a=\"{|}\"&[] ", "head end done"},
	    {"delete", "DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE /x ", "head end done"},
	    {"m-search", "M-SEARCH /x HTTP/1.1\r\nHost: h\r\n\r\n", "M-SEARCH /x ",
		"head end done"},
	    {"post", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"POST /p hello", "head body end done"},
	    {"zeros", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0005\r\n\r\nhello",
		"POST /p hello", "head body end done"},
	    {"no length", "POST /p HTTP/1.1\r\nHost: h\r\n\r\n", "POST /p ", "head end done"},
	    {"length 0", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST /p ",
		"head end done"},
	    {"get with body", "GET /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
		"GET /p hi", "head body end done"},
	    {"chunked",
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
		"POST /c abc0123456789", "head body end done"},
	    {"chunked, case",
		"POST /c HTTP/1.1\r\nHost: h\r\ntransfer-encoding: CHUNKED\r\n\r\n"
		"1\r\na\r\n0\r\n\r\n",
		"POST /c a", "head body end done"},
	    {"chunked, empty",
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /c ", "head end done"},
	    {"extensions",
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"1;a=\"b c\"\r\na\r\n0;x\r\n\r\n",
		"POST /c a", "head body end done"},
	    {"trailers",
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"1\r\na\r\n0\r\nX: y\r\nZ: a b\r\n\r\n",
		"POST /c a", "head body end done"},
	    {"a trailer says nothing",
		"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"1\r\na\r\n0\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
		"POST /c a", "head body end done"},
	    {"an upgrade is ignored",
		"GET /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"GET /u ", "head end done"},
	    {"with a body too",
		"POST /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
		"Content-Length: 2\r\n\r\nhi",
		"POST /u hi", "head body end done"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		/* Whole, and then a byte at a time; each leaves a connection that goes on. */
		for (int slowly = 0; slowly < 2; slowly++) {
			struct server server;
			struct peer peer;
			char *expected = must_format("\r\n\r\n%s", rows[i].answer);

			server_open(&server);
			peer = peer_connect(server.port, 0);
			if (slowly) {
				for (const char *c = rows[i].request; *c != '\0'; c++) {
					peer_send(server.base, &peer, c, 1);
					loop_turn(server.base);
					loop_turn(server.base);
				}
			} else {
				SAY(rows[i].request);
			}
			UNTIL(server.finished_count == 1);
			UNTIL(peer_has(&peer, expected));
			row_check(
			    rows[i].name, peer.in_size - strlen(rows[i].answer) ==
					      (size_t)(strstr(peer.in, "\r\n\r\n") + 4 - peer.in));
			row_check(rows[i].name, strncmp(peer.in, "HTTP/1.1 200 OK\r\n", 17) == 0);
			row_check(rows[i].name, strcmp(server.log, rows[i].log) == 0);
			row_check(rows[i].name, strstr(peer.in, "\r\nDate: ") != NULL);
			row_check(rows[i].name, strstr(peer.in, "Connection:") == NULL);
			peer_forget(&peer);
			SAY("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
			UNTIL(peer_has(&peer, "GET /next "));
			peer_close(&peer);
			UNTIL(listener_connections(server.listener) == 0);
			server_close(&server);
			free(expected);
		}
	}
}

#define POST    "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* Everything here must be answered so, and never reach the handler's `head`; or, for the
 * bodies, end with `lost`. */
static void bad_requests(void **state)
{
	static const struct {
		const char *name, *request;
		int status;
		const char *log;
	} rows[] = {
	    /* line ends */
	    {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", 400, ""},
	    {"bare LF at a field", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, ""},
	    {"bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400, ""},
	    {"bare CR", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400, ""},
	    {"CR in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400, ""},
	    {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400, ""},
	    {"CR before the line", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"LF before the line", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"obs-fold", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400, ""},
	    {"obs-fold, tab", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", 400, ""},
	    {"obs-fold, first", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, ""},
	    {"NUL", "GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n", 400, ""},
	    {"DEL", "GET / HTTP/1.1\r\nHost: h\r\nX: \x7f\r\n\r\n", 400, ""},
	    {"TLS", "\x16\x03\x01\x02", 400, ""},
	    /* the request line */
	    {"leading space", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"two spaces after", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"trailing space", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, ""},
	    {"tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"no target", "GET HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"no target 2", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"no version", "GET /\r\nHost: h\r\n\r\n", 505, ""},
	    {"junk version", "GET / JUNK\r\nHost: h\r\n\r\n", 400, ""},
	    {"lower version", "GET / http/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"version 0.9", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, ""},
	    {"version 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505, ""},
	    {"version 2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, ""},
	    {"version 11", "GET / HTTP/11.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"version 1", "GET / HTTP/1\r\nHost: h\r\n\r\n", 400, ""},
	    {"http 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
	    {"rtsp", "SETUP / RTSP/1.0\r\nHost: h\r\n\r\n", 400, ""},
	    {"rtsp method", "PLAY / HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"icecast", "SOURCE / ICE/1.0\r\nHost: h\r\n\r\n", 400, ""},
	    {"unknown method", "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501, ""},
	    {"lower method", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501, ""},
	    {"longer method", "GETS / HTTP/1.1\r\nHost: h\r\n\r\n", 501, ""},
	    {"connect", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501, ""},
	    {"absolute", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"absolute https", "GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"authority", "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"relative", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"question", "GET ?a HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"raw UTF-8", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    {"tab in target", "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", 400, ""},
	    /* fields */
	    {"no colon", "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", 400, ""},
	    {"no name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400, ""},
	    {"space before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, ""},
	    {"space in name", "GET / HTTP/1.1\r\nHost: h\r\nX Y: z\r\n\r\n", 400, ""},
	    {"tab before colon", "GET / HTTP/1.1\r\nHost: h\r\nX\t: z\r\n\r\n", 400, ""},
	    {"odd name", "GET / HTTP/1.1\r\nHost: h\r\nX(Y): z\r\n\r\n", 400, ""},
	    {"name beyond ASCII", "GET / HTTP/1.1\r\nHost: h\r\n\xc3\xa4: z\r\n\r\n", 400, ""},
	    {"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
	    {"two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, ""},
	    {"two hosts in 1.0", "GET / HTTP/1.0\r\nHost: h\r\nHOST: i\r\n\r\n", 400, ""},
	    {"host with path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", 400, ""},
	    {"host with user", "GET / HTTP/1.1\r\nHost: a@h\r\n\r\n", 400, ""},
	    {"host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, ""},
	    {"host list", "GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", 400, ""},
	    {"expectation", POST "Content-Length: 1\r\nExpect: tea\r\n\r\n", 417, ""},
	    {"two expectations",
		POST "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
		417, ""},
	    /* framing */
	    {"two lengths", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, ""},
	    {"two lengths that differ", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\naa",
		400, ""},
	    {"a list of lengths", POST "Content-Length: 1, 1\r\n\r\na", 400, ""},
	    {"signed length", POST "Content-Length: +1\r\n\r\na", 400, ""},
	    {"negative length", POST "Content-Length: -1\r\n\r\na", 400, ""},
	    {"hex length", POST "Content-Length: 0x1\r\n\r\na", 400, ""},
	    {"split length", POST "Content-Length: 1 1\r\n\r\na", 400, ""},
	    {"no length", POST "Content-Length: \r\n\r\n", 400, ""},
	    {"word length", POST "Content-Length: one\r\n\r\n", 400, ""},
	    {"length 2^63", POST "Content-Length: 9223372036854775808\r\n\r\n", 400, ""},
	    {"length 2^64", POST "Content-Length: 18446744073709551616\r\n\r\n", 400, ""},
	    {"length and chunked",
		POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
	    {"chunked and length",
		POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400, ""},
	    {"chunked and length 0",
		POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400, ""},
	    {"chunked twice",
		POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""},
	    {"chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, ""},
	    {"gzip", POST "Transfer-Encoding: gzip\r\n\r\n", 501, ""},
	    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, ""},
	    {"chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, ""},
	    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 501, ""},
	    {"no coding", POST "Transfer-Encoding:\r\n\r\n", 501, ""},
	    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", 501, ""},
	    {"chunkedx", POST "Transfer-Encoding: chunkedx\r\n\r\n", 501, ""},
	    {"\"chunked\"", POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 501, ""},
	    {"chunked;q", POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 501, ""},
	    {"VT chunked",
		POST "Transfer-Encoding: \x0b"
		     "chunked\r\n\r\n",
		400, ""},
	    {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		400, ""},
	    /* chunks */
	    {"chunk of junk", CHUNKED "x\r\n", 400, "head lost"},
	    {"chunk without size", CHUNKED "\r\n\r\n", 400, "head lost"},
	    {"chunk hex", CHUNKED "0x1\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk signed", CHUNKED "+1\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk negative", CHUNKED "-1\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk space", CHUNKED "1 \r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk leading space", CHUNKED " 1\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk LF", CHUNKED "1\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk CR", CHUNKED "1\ra\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk data LF", CHUNKED "1\r\na\n0\r\n\r\n", 400, "head body lost"},
	    {"chunk data long", CHUNKED "1\r\nab\r\n0\r\n\r\n", 400, "head body lost"},
	    {"chunk data glued", CHUNKED "1\r\na0\r\n\r\n", 400, "head body lost"},
	    {"chunk overflow", CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk extension LF", CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk extension CR", CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"chunk extension control", CHUNKED "1;a\x01\r\na\r\n0\r\n\r\n", 400, "head lost"},
	    {"last chunk LF", CHUNKED "1\r\na\r\n0\n\r\n", 400, "head body lost"},
	    {"end LF", CHUNKED "1\r\na\r\n0\r\n\n", 400, "head body lost"},
	    {"trailer LF", CHUNKED "1\r\na\r\n0\r\nX: y\n\r\n", 400, "head body lost"},
	    {"trailer fold", CHUNKED "1\r\na\r\n0\r\nX: y\r\n z\r\n\r\n", 400, "head body lost"},
	    {"trailer junk", CHUNKED "1\r\na\r\n0\r\njunk\r\n\r\n", 400, "head body lost"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		for (int slowly = 0; slowly < 2; slowly++) {
			struct server server;
			struct peer peer;
			char *start = must_format("HTTP/1.1 %d ", rows[i].status);
			char *member =
			    must_format("\"status\":%d,\"code\":\"bad_request\"", rows[i].status);

			server_open(&server);
			peer = peer_connect(server.port, 0);
			for (const char *c = rows[i].request; slowly && *c != '\0'; c++) {
				(void)peer_push(&peer, c, 1);
				loop_turn(server.base);
			}
			if (!slowly)
				SAY(rows[i].request);
			/* What follows is never taken for a request. */
			(void)peer_push(&peer, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n", 31);
			UNTIL(peer_over(&peer));
			row_check(rows[i].name, peer.error == 0);
			if (strncmp(peer_text(&peer), start, strlen(start)) != 0)
				fail_msg("row \"%s\": %s", rows[i].name, peer_text(&peer));
			row_check(rows[i].name, strstr(peer.in, member) != NULL);
			row_check(rows[i].name, strstr(peer.in, "Connection: close\r\n") != NULL);
			row_check(rows[i].name, strstr(peer.in + 1, "HTTP/1.1 ") == NULL);
			if (strcmp(server.log, rows[i].log) != 0)
				fail_msg("row \"%s\": log \"%s\"", rows[i].name, server.log);
			peer_close(&peer);
			UNTIL(listener_connections(server.listener) == 0);
			server_close(&server);
			free(start);
			free(member);
		}
	}
}

static void what_the_handler_sees(void **state)
{
	static const struct {
		const char *request;
		int64_t body_size;
	} rows[] = {
	    {"GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n", 0},
	    {POST "x-a:b \t\r\nContent-Length: 9223372036854775799\r\n\r\n", 9223372036854775799},
	    {POST "X-A: b\r\nTransfer-Encoding: chunked\r\n\r\n", -1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = nothing;
		peer = peer_connect(server.port, 0);
		SAY(rows[i].request);
		UNTIL(server.exchange != NULL);
		assert_true(exchange_body_size(server.exchange) == rows[i].body_size);
		assert_string_equal(headers_get(exchange_headers(server.exchange), "X-A"), "b");
		assert_string_equal(headers_get(exchange_headers(server.exchange), "host"), "h");
		peer_close(&peer);
		server_close(&server);
	}
}

static void a_zero_byte_is_refused(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n";
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	peer = peer_connect(server.port, 0);
	peer_send(server.base, &peer, request, sizeof(request) - 1);
	UNTIL(peer_has(&peer, "HTTP/1.1 400 "));
	assert_string_equal(server.log, "");
	peer_close(&peer);
	server_close(&server);
}

/* --- limits of a head --- */

static void heads_are_bounded(void **state)
{
	static const struct {
		const char *name, *head, *piece;
		size_t count;
		const char *tail;
		const char *answer;
	} rows[] = {
	    {"target at the limit", "GET /", "a", TARGET_SIZE_MAX - 1,
		" HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 "},
	    {"target over it", "GET /", "a", TARGET_SIZE_MAX, " HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP/1.1 414 "},
	    {"target without end", "GET /", "a", TARGET_SIZE_MAX + 100, "", "HTTP/1.1 414 "},
	    {"method without end", "", "A", TARGET_SIZE_MAX + 100, "", "HTTP/1.1 414 "},
	    {"fields at the limit", "GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n",
		HEADERS_COUNT_MAX - 1, "\r\n", "HTTP/1.1 200 "},
	    {"fields over it", "GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", HEADERS_COUNT_MAX,
		"\r\n", "HTTP/1.1 431 "},
	    {"size at the limit", "GET / HTTP/1.1\r\nHost: h\r\nX: ", "b", HEADERS_SIZE_MAX - 6,
		"\r\n\r\n", "HTTP/1.1 200 "},
	    {"size over it", "GET / HTTP/1.1\r\nHost: h\r\nX: ", "b", HEADERS_SIZE_MAX - 5,
		"\r\n\r\n", "HTTP/1.1 431 "},
	    {"a value without end", "GET / HTTP/1.1\r\nHost: h\r\nX: ", "b", HEAD_SIZE_MAX, "",
		"HTTP/1.1 431 "},
	    {"a name without end", "GET / HTTP/1.1\r\nHost: h\r\n", "b", HEAD_SIZE_MAX * 2, "",
		"HTTP/1.1 431 "},
	    {"fields without end", "GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", HEAD_SIZE_MAX, "",
		"HTTP/1.1 431 "},
	    {"spaces without end", "GET / HTTP/1.1\r\nHost:", " ", HEAD_SIZE_MAX, "",
		"HTTP/1.1 431 "},
	    {"extensions at the limit", CHUNKED "1;a=", "x", EXTENSION_SIZE_MAX - 1,
		"\r\na\r\n0\r\n\r\n", "HTTP/1.1 200 "},
	    {"extensions over it", CHUNKED "1;a=", "x", EXTENSION_SIZE_MAX, "\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 400 "},
	    {"extensions without end", CHUNKED "1;a=", "x", 1000000, "", "HTTP/1.1 400 "},
	    {"trailer at the limit", CHUNKED "0\r\nX: ", "x", TRAILER_SIZE_MAX - 7, "\r\n\r\n",
		"HTTP/1.1 200 "},
	    {"trailer over it", CHUNKED "0\r\nX: ", "x", TRAILER_SIZE_MAX - 6, "\r\n\r\n",
		"HTTP/1.1 400 "},
	    {"trailer without end", CHUNKED "0\r\nX: ", "x", 1000000, "", "HTTP/1.1 400 "},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		char *request =
		    text_repeat(rows[i].head, rows[i].piece, rows[i].count, rows[i].tail);
		struct server server;
		struct peer peer;

		server_open(&server);
		peer = peer_connect(server.port, 0);
		SAY(request);
		UNTIL(peer_has(&peer, "HTTP/1.1 "));
		if (strncmp(peer.in, rows[i].answer, strlen(rows[i].answer)) != 0)
			fail_msg("row \"%s\": %s", rows[i].name, peer.in);
		peer_close(&peer);
		server_close(&server);
		free(request);
	}
}

/* --- HTTP/1.0, HEAD, statuses --- */

static void http_1_0(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	peer = peer_connect(server.port, 0);
	SAY("GET /old HTTP/1.0\r\n\r\n");
	UNTIL(peer_over(&peer));
	assert_int_equal(peer.error, 0);
	assert_true(peer_has(&peer, "\r\nConnection: close\r\n\r\nGET /old "));
	peer_close(&peer);

	peer = peer_connect(server.port, 0);
	SAY("GET /old HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n");
	UNTIL(peer_has(&peer, "\r\nConnection: keep-alive\r\n\r\nGET /old "));
	SAY("GET /again HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	UNTIL(peer_over(&peer));
	assert_true(peer_has(&peer, "\r\nConnection: close\r\n\r\nGET /again "));
	peer_close(&peer);
	server_close(&server);
}

static int start_status;
static int64_t start_size;
static const char *start_body;

static void reply_started(struct server *server, struct exchange *exchange)
{
	struct headers headers;

	(void)server;
	headers_init(&headers);
	headers_put(&headers, "Content-Length", "99");
	headers_put(&headers, "transfer-encoding", "gzip");
	headers_put(&headers, "Connection", "upgrade");
	headers_put(&headers, "keep-alive", "timeout=1");
	headers_put(&headers, "DATE", "yesterday");
	headers_put(&headers, "X-Kept", "yes");
	headers_put(&headers, "X-Empty", "");
	exchange_start(exchange, start_status, &headers, start_size);
	headers_fini(&headers);
	if (start_body != NULL)
		assert_true(exchange_write(exchange, start_body, strlen(start_body)));
	assert_true(exchange_write(exchange, "", 0));
	exchange_end(exchange);
}

#define KEPT "DATE: yesterday\r\nX-Kept: yes\r\nX-Empty: \r\n"

static void framing_is_ours(void **state)
{
	static const struct {
		const char *name, *request;
		int status;
		int64_t size;
		const char *body, *answer;
		bool closes;
	} rows[] = {
	    {"length", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, 2, "ok",
		"HTTP/1.1 200 OK\r\n" KEPT "Content-Length: 2\r\n\r\nok", false},
	    {"length 0", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 404, 0, NULL,
		"HTTP/1.1 404 Not Found\r\n" KEPT "Content-Length: 0\r\n\r\n", false},
	    {"chunked", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, -1, "ok",
		"HTTP/1.1 200 OK\r\n" KEPT "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		false},
	    {"chunked, empty", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, -1, NULL,
		"HTTP/1.1 200 OK\r\n" KEPT "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
	    {"until close", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, -1, "ok",
		"HTTP/1.1 200 OK\r\n" KEPT "Connection: close\r\n\r\nok", true},
	    {"204", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 204, -1, NULL,
		"HTTP/1.1 204 No Content\r\n" KEPT "\r\n", false},
	    {"204 with a body", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 204, 2, "ok",
		"HTTP/1.1 204 No Content\r\n" KEPT "\r\n", false},
	    {"304", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 304, 2, "ok",
		"HTTP/1.1 304 Not Modified\r\n" KEPT "Connection: keep-alive\r\n\r\n", false},
	    {"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, 2, "ok",
		"HTTP/1.1 200 OK\r\n" KEPT "Content-Length: 2\r\n\r\n", false},
	    {"HEAD, body not given", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, 12345, NULL,
		"HTTP/1.1 200 OK\r\n" KEPT "Content-Length: 12345\r\n\r\n", false},
	    {"HEAD, unknown", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, -1, "ok",
		"HTTP/1.1 200 OK\r\n" KEPT "\r\n", false},
	    {"a status without a name", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 999, 2, "ok",
		"HTTP/1.1 999 \r\n" KEPT "Content-Length: 2\r\n\r\nok", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = reply_started;
		start_status = rows[i].status;
		start_size = rows[i].size;
		start_body = rows[i].body;
		peer = peer_connect(server.port, 0);
		SAY(rows[i].request);
		UNTIL(server.finished_count == 1);
		UNTIL(peer_has(&peer, rows[i].answer));
		if (strcmp(peer.in, rows[i].answer) != 0)
			fail_msg("row \"%s\": %s", rows[i].name, peer.in);
		assert_string_equal(server.log, "head done");
		if (rows[i].closes) {
			UNTIL(peer_over(&peer));
			row_check(rows[i].name, peer.error == 0);
		} else {
			SAY("HEAD /next HTTP/1.1\r\nHost: h\r\n\r\n");
			UNTIL(server.finished_count == 2);
		}
		peer_close(&peer);
		server_close(&server);
	}
}

/* --- keep-alive, pipelining --- */

static void pipelined_requests_wait_their_turn(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_body_end = nothing;
	peer = peer_connect(server.port, 0);
	SAY("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
	    "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
	    "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	for (unsigned i = 1; i <= 3; i++) {
		char target[8];
		unsigned before = server.finished_count;

		(void)snprintf(target, sizeof(target), "/%u", i);
		UNTIL(server.exchange != NULL && strstr(server.log, "end") != NULL);
		loop_for(server.base, 5);
		assert_int_equal(server.finished_count, before);
		assert_string_equal(exchange_target(server.exchange), target);
		server.log[0] = '\0';
		reply_echo(&server, server.exchange);
		UNTIL(server.finished_count == i);
	}
	UNTIL(peer_has(&peer, "POST /1 ab") && peer_has(&peer, "POST /2 c") &&
	      peer_has(&peer, "GET /3 "));
	peer_close(&peer);
	server_close(&server);
}

static void pipelined_input_is_bounded(void **state)
{
	static char junk[1 << 20];
	struct server server;
	struct peer peer;
	size_t sent = 0;

	(void)state;
	server_open(&server);
	server.on_head = nothing;
	peer = peer_connect(server.port, 0);
	SAY("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
	memset(junk, 'x', sizeof(junk));
	UNTIL(server.exchange != NULL);
	for (int i = 0; i < 200; i++) {
		sent += peer_push(&peer, junk, sizeof(junk));
		loop_turn(server.base);
	}
	assert_true(sent < 32 * sizeof(junk)); /* the kernel's buffers, not ours */
	assert_true(in_size(&server) <= AHEAD_SIZE_MAX + 16384);
	peer_close(&peer);
	server_close(&server);
}

/* --- 100-continue --- */

static void continue_when_the_body_is_wanted(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = nothing;
	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
	UNTIL(server.exchange != NULL);
	loop_for(server.base, 5);
	assert_true(peer_pull(&peer, SIZE_MAX) && peer.in_size == 0);
	exchange_read_body(server.exchange);
	exchange_read_body(server.exchange);
	UNTIL(peer_has(&peer, "HTTP/1.1 100 Continue\r\n\r\n"));
	assert_int_equal(peer.in_size, 25);
	SAY("hi");
	UNTIL(peer_has(&peer, "POST / hi"));
	assert_null(strstr(peer.in, "Connection: close"));
	peer_close(&peer);
	server_close(&server);
}

static void no_continue_when_refused(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	UNTIL(peer_over(&peer));
	assert_int_equal(peer.error, 0);
	assert_int_equal(strncmp(peer.in, "HTTP/1.1 200 ", 13), 0);
	assert_true(peer_has(&peer, "Connection: close\r\n\r\nok"));
	assert_string_equal(server.log, "head done");
	peer_close(&peer);
	/* Without a body there is nothing to wait for. */
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n");
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	assert_null(strstr(peer.in, "Connection: close"));
	peer_close(&peer);
	server_close(&server);
}

/* --- answers before the end of the body --- */

static void a_small_rest_is_drained(void **state)
{
	static const char *const rests[][2] = {
	    {"Content-Length: 5\r\n\r\nhe", "llo"},
	    {"Transfer-Encoding: chunked\r\n\r\n5\r\nhe", "llo\r\n0\r\nX: y\r\n\r\n"},
	    {"Content-Length: 5\r\n\r\nhello", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rests); i++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = reply_ok;
		peer = peer_connect(server.port, 0);
		SAY(POST);
		SAY(rests[i][0]);
		UNTIL(peer_has(&peer, "\r\n\r\nok"));
		assert_string_equal(server.log, "head done");
		assert_null(strstr(peer.in, "Connection: close"));
		SAY(rests[i][1]);
		peer_forget(&peer);
		SAY("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
		UNTIL(server.finished_count == 2);
		UNTIL(peer_has(&peer, "\r\n\r\nok"));
		peer_close(&peer);
		server_close(&server);
	}
}

/* Wherever a packet ends: also between the two bytes of a line's end. */
static void a_trailer_is_drained_byte_by_byte(void **state)
{
	static const char rest[] = "0\r\nX: y\r\n\r\n";
	struct server server;
	struct peer peer;
	char byte[2] = "";
	const int on = 1;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	peer = peer_connect(server.port, 0);
	assert_int_equal(setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	SAY(CHUNKED "5\r\nhello\r\n");
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	for (size_t i = 0; rest[i] != '\0'; i++) {
		byte[0] = rest[i];
		SAY(byte);
		loop_turn(server.base);
	}
	peer_forget(&peer);
	SAY("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.finished_count == 2);
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	peer_close(&peer);
	server_close(&server);
}

/* The refusal must reach a client that goes on sending megabytes before it looks. */
static void a_refusal_survives_the_rest_of_the_body(void **state)
{
	static const char *const heads[] = {POST "Content-Length: 8388608\r\n\r\n",
	    CHUNKED "800000\r\n", POST "Content-Length: 9223372036854775000\r\n\r\n",
	    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" /* malformed: no Host */};
	size_t size = 8388608;
	char *bytes = must_calloc(1, size);

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = reply_ok;
		peer = peer_connect(server.port, 0);
		SAY(heads[i]);
		peer_send(server.base, &peer, bytes, size);
		assert_int_equal(peer.error, 0);
		UNTIL(peer_over(&peer));
		assert_int_equal(peer.error, 0);
		assert_int_equal(
		    strncmp(peer.in, i == 3 ? "HTTP/1.1 400 " : "HTTP/1.1 200 ", 13), 0);
		assert_int_equal(peer_has(&peer, "Connection: close\r\n"), i != 1);
		peer_close(&peer);
		UNTIL(listener_connections(server.listener) == 0);
		server_close(&server);
	}
	free(bytes);
}

static void malformed_rest_closes_after_the_answer(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	peer = peer_connect(server.port, 0);
	SAY(CHUNKED "junk\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_over(&peer));
	assert_true(peer_has(&peer, "\r\n\r\nok"));
	assert_string_equal(server.log, "head done");
	peer_close(&peer);
	server_close(&server);
}

static void reply_on_body(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_reply(exchange, 413, NULL, NULL, 0);
}

/* Found out in the middle of the body, as a size limit is: no callback of the body after. */
static void answered_in_the_body_callback(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_body = reply_on_body;
	peer = peer_connect(server.port, 0);
	SAY(CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
	UNTIL(server.finished_count == 1);
	assert_string_equal(server.log, "head body done");
	assert_int_equal(server.body_size, 1);
	SAY("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
	UNTIL(server.finished_count == 2);
	peer_close(&peer);
	server_close(&server);
}

/* --- back-pressure --- */

static void pause_body(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_pause_body(exchange);
}

static void a_paused_body_is_not_read(void **state)
{
	static const char *const heads[] = {
	    POST "Content-Length: 16777216\r\n\r\n", CHUNKED "1000000\r\n"};
	size_t size = 16777216;
	char *bytes = must_alloc(size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 7 % 251);
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct server server;
		struct peer peer;
		size_t sent = 0;
		size_t seen;

		server_open(&server);
		server.on_body = pause_body;
		server.on_body_end = reply_ok;
		peer = peer_connect(server.port, 0);
		SAY(heads[i]);
		for (int turn = 0; turn < 200; turn++) {
			sent += peer_push(&peer, bytes + sent, size - sent);
			loop_turn(server.base);
		}
		assert_true(sent < size);
		assert_true(in_size(&server) <= BODY_SIZE_READ + 16384);
		assert_true(server.body_size > 0 && server.body_size <= 16384);
		while (server.body_size < size) {
			seen = server.body_size;
			exchange_resume_body(server.exchange);
			sent += peer_push(&peer, bytes + sent, size - sent);
			peer_until(server.base, server.body_size > seen);
		}
		if (i == 1)
			SAY("\r\n0\r\n\r\n");
		assert_null(strstr(server.log, "end"));
		server.on_body = NULL;
		exchange_resume_body(server.exchange);
		UNTIL(peer_has(&peer, "\r\n\r\nok"));
		assert_string_equal(server.log, "head body end done");
		assert_memory_equal(server.body, bytes, size);
		peer_close(&peer);
		server_close(&server);
	}
	free(bytes);
}

/* Several chunks in one segment: the pause takes effect between them. */
static void a_pause_holds_the_next_chunk(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_body = pause_body;
	peer = peer_connect(server.port, 0);
	SAY(CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
	UNTIL(server.body_size == 1);
	loop_for(server.base, 5);
	assert_int_equal(server.body_size, 1);
	exchange_resume_body(server.exchange);
	UNTIL(server.body_size == 2);
	loop_for(server.base, 5);
	assert_string_equal(server.log, "head body");
	exchange_resume_body(server.exchange);
	UNTIL(peer_has(&peer, "POST / ab"));
	peer_close(&peer);
	server_close(&server);
}

static char stream_piece[10000];

static void stream(struct server *server, struct exchange *exchange)
{
	struct connection *connection = connection_of(server);
	bool more = true;

	while (more && server->left > 0) {
		size_t size = sizeof(stream_piece) < server->left ? sizeof(stream_piece)
								  : (size_t)server->left;
		size_t waiting;

		more = exchange_write(exchange, stream_piece, size);
		server->left -= size;
		waiting = evbuffer_get_length(bufferevent_get_output(connection->bev));
		if (waiting > server->out_size_seen)
			server->out_size_seen = waiting;
	}
	if (server->left == 0)
		exchange_end(exchange);
}

static void stream_start(struct server *server, struct exchange *exchange)
{
	exchange_start(exchange, 200, NULL, start_size);
	stream(server, exchange);
}

/* 50 MB, framed in each of the three ways, to a reader that takes a little at a time. */
static void a_slow_reader_does_not_grow_memory(void **state)
{
	static const struct {
		const char *request;
		int64_t size;
		size_t overhead_min, overhead_max;
	} rows[] = {
	    {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 50000000, 50, 200},
	    {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", -1, 5000 * 8,
		5000 * 8 + 200},
	    {"GET / HTTP/1.0\r\n\r\n", -1, 50, 200},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct server server;
		struct peer peer;
		size_t total = 0;

		server_open(&server);
		server.on_head = stream_start;
		server.on_writable = stream;
		server.left = 50000000;
		start_size = rows[i].size;
		peer = peer_connect(server.port, 8192);
		SAY(rows[i].request);
		while (!peer.closed && peer.error == 0) {
			loop_turn(server.base);
			peer_pull(&peer, 100000);
			total += peer.in_size;
			peer_forget(&peer);
		}
		assert_int_equal(peer.error, 0);
		assert_true(total >= 50000000 + rows[i].overhead_min);
		assert_true(total <= 50000000 + rows[i].overhead_max);
		assert_true(
		    server.out_size_seen < patient.out_size_high + sizeof(stream_piece) + 300);
		assert_string_equal(server.log, "head done");
		peer_close(&peer);
		server_close(&server);
	}
}

static const size_t odd_sizes[] = {1, 20000, 16384, 4095, 100, 200000, 65536, 3, 70000, 8};
static size_t odd_next;
#define ODD_COUNT 100u

static char *odd_bytes(size_t *size)
{
	char *bytes;

	*size = 0;
	for (size_t i = 0; i < ODD_COUNT; i++)
		*size += odd_sizes[i % COUNT(odd_sizes)];
	bytes = must_alloc(*size);
	for (size_t i = 0; i < *size; i++)
		bytes[i] = (char)(i % 251);
	return bytes;
}

static void odd_stream(struct server *server, struct exchange *exchange)
{
	bool more = true;

	while (more && odd_next < ODD_COUNT) {
		size_t size = odd_sizes[odd_next++ % COUNT(odd_sizes)];
		char *piece = must_alloc(size);

		memcpy(piece, server->body, size);
		server->body += size;
		more = exchange_write(exchange, piece, size);
		memset(piece, 'x', size); /* it is the handler's own again */
		free(piece);
	}
	if (odd_next == ODD_COUNT)
		exchange_end(exchange);
}

static void odd_start(struct server *server, struct exchange *exchange)
{
	odd_next = 0;
	exchange_start(exchange, 200, NULL, start_size);
	odd_stream(server, exchange);
}

/* What came behind the head; each chunk is to be what was written at once. */
static size_t unframe(char *out, const struct peer *peer, bool chunked)
{
	const char *at = strstr(peer->in, "\r\n\r\n") + 4, *end = peer->in + peer->in_size;
	size_t size = 0;

	if (!chunked) {
		memcpy(out, at, (size_t)(end - at));
		return (size_t)(end - at);
	}
	for (size_t i = 0; i < ODD_COUNT; i++) {
		char *rest;

		assert_int_equal(strtoul(at, &rest, 16), odd_sizes[i % COUNT(odd_sizes)]);
		assert_memory_equal(rest, "\r\n", 2);
		memcpy(out + size, rest + 2, odd_sizes[i % COUNT(odd_sizes)]);
		at = rest + 2 + odd_sizes[i % COUNT(odd_sizes)];
		assert_memory_equal(at, "\r\n", 2);
		at += 2;
		size += odd_sizes[i % COUNT(odd_sizes)];
	}
	assert_int_equal(end - at, 5);
	assert_memory_equal(at, "0\r\n\r\n", 5);
	return size;
}

/* Whatever the socket takes at once and whatever has to wait. */
static void pieces_of_all_sizes_arrive_in_their_order(void **state)
{
	static const struct {
		bool sized, chunked;
		int receive_size;
		const char *request;
	} rows[] = {
	    {true, false, 0, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
	    {true, false, 4096, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
	    {false, true, 0, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
	    {false, true, 4096, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
	    {false, false, 4096, "GET / HTTP/1.0\r\n\r\n"},
	};
	size_t size;
	char *bytes = odd_bytes(&size);
	char *got = must_alloc(size + 1);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = odd_start;
		server.on_writable = odd_stream;
		server.body = bytes;
		start_size = rows[i].sized ? (int64_t)size : -1;
		peer = peer_connect(server.port, rows[i].receive_size);
		SAY(rows[i].request);
		while (!peer.closed && peer.error == 0) {
			loop_turn(server.base);
			peer_pull(&peer, rows[i].receive_size > 0 ? 10000 : 1000000);
		}
		server.body = NULL;
		assert_int_equal(peer.error, 0);
		assert_string_equal(server.log, "head done");
		assert_int_equal(unframe(got, &peer, rows[i].chunked), size);
		assert_memory_equal(got, bytes, size);
		peer_close(&peer);
		server_close(&server);
	}
	free(got);
	free(bytes);
}

/* --- time --- */

static const struct listener_limits long_waits = {
    .connections_max = 100,
    .head_ms_max = LONG_MS,
    .idle_ms_max = LONG_MS,
    .body_idle_ms_max = LONG_MS,
    .write_idle_ms_max = LONG_MS,
    .out_size_high = 65536,
    .out_size_low = 16384,
};

static void time_outs(void **state)
{
	static const struct {
		const char *name, *request, *answer, *log;
	} rows[] = {
	    {"idle", "", "", ""},
	    {"idle with empty lines", "\r\n\r\n", "", ""},
	    {"slow head", "GET / HT", "HTTP/1.1 408 Request Timeout\r\n", ""},
	    {"slow body", POST "Content-Length: 5\r\n\r\nhe", "HTTP/1.1 408 Request Timeout\r\n",
		"head body lost"},
	    {"no body", POST "Content-Length: 5\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\n",
		"head lost"},
	    {"slow chunk", CHUNKED "1\r\na\r\n", "HTTP/1.1 408 Request Timeout\r\n",
		"head body lost"},
	    {"slow trailer", CHUNKED "1\r\na\r\n0\r\nX: ", "HTTP/1.1 408 Request Timeout\r\n",
		"head body lost"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		struct server server;
		struct peer peer;

		server_open_with(&server, &long_waits);
		server.on_head = read_all;
		peer = peer_connect(server.port, 0);
		SAY(rows[i].request);
		UNTIL(listener_connections(server.listener) == 1);
		loop_rest(server.base);
		clock_pass(LONG_US);
		UNTIL(peer_over(&peer));
		row_check(rows[i].name, peer.error == 0);
		row_check(rows[i].name,
		    strncmp(peer_text(&peer), rows[i].answer, strlen(rows[i].answer)) == 0);
		row_check(rows[i].name, rows[i].answer[0] != '\0' || peer.in_size == 0);
		row_check(rows[i].name, strcmp(server.log, rows[i].log) == 0);
		peer_close(&peer);
		UNTIL(listener_connections(server.listener) == 0);
		server_close(&server);
	}
}

/* Drip by drip within the idle time: a body may, a head may not. */
static void a_head_has_one_time_a_body_many(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open_with(&server, &long_waits);
	server.on_head = read_all;
	server.on_body_end = reply_ok;
	peer = peer_connect(server.port, 0);
	for (int i = 0; i < 4; i++) {
		(void)peer_push(&peer, "G", 1);
		loop_rest(server.base);
		assert_false(peer_over(&peer));
		clock_pass(LONG_US / 4);
	}
	UNTIL(peer_over(&peer));
	assert_true(peer_has(&peer, "HTTP/1.1 408 "));
	peer_close(&peer);

	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 20\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		loop_rest(server.base);
		clock_pass(LONG_US / 2);
		SAY("x");
	}
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	peer_close(&peer);
	server_close(&server);
}

/* While the handler is at work, or has paused the body, no time runs. */
static void no_time_out_while_the_handler_works(void **state)
{
	struct listener_limits hasty = patient;
	struct server server;
	struct peer peer;

	(void)state;
	hasty.head_ms_max = hasty.idle_ms_max = hasty.body_idle_ms_max = hasty.write_idle_ms_max =
	    20;
	server_open_with(&server, &hasty);
	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 5\r\n\r\nhe");
	UNTIL(server.exchange != NULL);
	loop_for(server.base, 60);
	server.on_body = pause_body;
	exchange_read_body(server.exchange);
	UNTIL(server.body_size == 2);
	loop_for(server.base, 60);
	assert_string_equal(server.log, "head body");
	SAY("llo");
	server.on_body_end = nothing;
	exchange_resume_body(server.exchange);
	UNTIL(server.body_size == 5);
	exchange_resume_body(server.exchange);
	UNTIL(strstr(server.log, "end") != NULL);
	loop_for(server.base, 60);
	reply_ok(&server, server.exchange);
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	peer_close(&peer);
	server_close(&server);
}

static void a_reader_that_stops_is_cut(void **state)
{
	struct listener_limits hasty = patient;
	struct server server;
	struct peer peer;

	(void)state;
	hasty.write_idle_ms_max = 50;
	server_open_with(&server, &hasty);
	server.on_head = stream_start;
	server.on_writable = stream;
	server.left = 50000000;
	start_size = -1;
	peer = peer_connect(server.port, 8192);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.finished_count == 1);
	assert_string_equal(server.log, "head lost");
	assert_true(server.left > 0);
	peer_close(&peer);
	UNTIL(listener_connections(server.listener) == 0);
	server_close(&server);
}

/* --- hang-ups --- */

static void start_only(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_start(exchange, 200, NULL, -1);
	(void)!exchange_write(exchange, "some", 4);
}

static void reply_huge(struct server *server, struct exchange *exchange)
{
	static char huge[16 << 20];

	(void)server;
	exchange_reply(exchange, 200, NULL, huge, sizeof(huge));
}

/* In every phase, by an orderly end and by a reset. */
static void hang_ups(void **state)
{
	static const struct {
		const char *name, *request;
		void (*on_head)(struct server *, struct exchange *);
		void (*on_body)(struct server *, struct exchange *);
		const char *before, *log;
	} rows[] = {
	    {"idle", "", NULL, NULL, "", ""},
	    {"in the head", "GET / HTTP/1.1\r\n", NULL, NULL, "", ""},
	    {"before the body is wanted", POST "Content-Length: 5\r\n\r\nhe", nothing, NULL, "head",
		"head lost"},
	    {"whole body unread", POST "Content-Length: 2\r\n\r\nhe", nothing, NULL, "head",
		"head lost"},
	    {"in the body", POST "Content-Length: 5\r\n\r\nhe", read_all, NULL, "head body",
		"head body lost"},
	    {"in a chunk", CHUNKED "5\r\nhe", read_all, NULL, "head body", "head body lost"},
	    {"in a paused body", POST "Content-Length: 5\r\n\r\nhe", read_all, pause_body,
		"head body", "head body lost"},
	    {"while the handler works", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", read_all, NULL,
		"head end", "head end lost"},
	    {"with another request waiting",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", read_all,
		NULL, "head end", "head end lost"},
	    {"while the answer streams", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", start_only, NULL,
		"head", "head lost"},
	    {"while the answer streams until close", "GET / HTTP/1.0\r\n\r\n", start_only, NULL,
		"head", "head lost"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		for (int reset = 0; reset < 2; reset++) {
			struct server server;
			struct peer peer;

			server_open_with(&server, &patient);
			server.on_head = rows[i].on_head;
			server.on_body = rows[i].on_body;
			peer = peer_connect(server.port, 0);
			SAY(rows[i].request);
			UNTIL(listener_connections(server.listener) == 1);
			UNTIL(strcmp(server.log, rows[i].before) == 0);
			loop_for(server.base, 3);
			if (reset)
				peer_reset(&peer);
			else
				peer_close(&peer);
			UNTIL(listener_connections(server.listener) == 0);
			row_check(rows[i].name, strcmp(server.log, rows[i].log) == 0);
			server_close(&server);
		}
	}
}

/* With its input full a connection is not read; the hang-up is seen all the same. */
static void hang_ups_behind_a_full_input(void **state)
{
	static char junk[60000];

	(void)state;
	for (int reset = 0; reset < 3; reset++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_body = pause_body;
		peer = peer_connect(server.port, 0);
		SAY(POST "Content-Length: 100000000\r\n\r\n");
		peer_send(server.base, &peer, junk, sizeof(junk));
		UNTIL(server.exchange != NULL && in_size(&server) >= AHEAD_SIZE_MAX);
		loop_for(server.base, 1200); /* over a poll that finds nothing */
		assert_string_equal(server.log, "head body");
		if (reset == 0)
			peer_close(&peer);
		else if (reset == 1)
			peer_reset(&peer);
		else
			assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
		UNTIL(listener_connections(server.listener) == 0);
		assert_string_equal(server.log, "head body lost");
		peer_close(&peer);
		server_close(&server);
	}
}

/* The end of sending counts as a hang-up, but not once the answer is complete. */
static void half_close(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = reply_huge;
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
	UNTIL(peer_over(&peer));
	assert_int_equal(peer.error, 0);
	assert_true(peer.in_size > 16 << 20);
	assert_string_equal(server.log, "head done");
	peer_close(&peer);

	server.log[0] = '\0';
	server.on_head = nothing;
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.exchange != NULL);
	assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
	UNTIL(peer_over(&peer));
	assert_int_equal(peer.in_size, 0);
	assert_string_equal(server.log, "head lost");
	peer_close(&peer);
	server_close(&server);
}

/* Gone while a complete answer was still being written. */
static void hang_up_in_the_tail(void **state)
{
	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = reply_huge;
		peer = peer_connect(server.port, 8192);
		SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		UNTIL(server.exchange != NULL);
		loop_for(server.base, 3);
		if (reset)
			peer_reset(&peer);
		else
			peer_close(&peer);
		UNTIL(server.finished_count == 1);
		assert_string_equal(server.log, "head lost");
		UNTIL(listener_connections(server.listener) == 0);
		server_close(&server);
	}
}

/* Gone before the rest of a refused body came. */
static void hang_up_while_draining(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 5\r\n\r\n");
	UNTIL(server.finished_count == 1);
	peer_close(&peer);
	UNTIL(listener_connections(server.listener) == 0);
	assert_string_equal(server.log, "head done");
	server_close(&server);
}

/* --- aborts --- */

static void abort_it(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_abort(exchange);
	exchange_abort(exchange);
}

static void start_then_abort(struct server *server, struct exchange *exchange)
{
	start_only(server, exchange);
	exchange_abort(exchange);
	assert_false(exchange_write(exchange, "x", 1));
	exchange_end(exchange);
}

static void aborts_in_each_callback(void **state)
{
	static const struct {
		const char *name;
		int which;
		const char *log;
	} rows[] = {
	    {"head", 0, "head lost"},
	    {"body", 1, "head body lost"},
	    {"body end", 2, "head body end lost"},
	    {"writable", 3, "head lost"},
	    {"finished", 4, "head body end done"},
	    {"after the answer", 5, "head body end lost"},
	    {"head, started", 6, "head lost"},
	    {"outside", 7, "head body end lost"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		peer_row = rows[i].name;
		struct server server;
		struct peer peer;

		server_open(&server);
		switch (rows[i].which) {
		case 0:
			server.on_head = abort_it;
			break;
		case 1:
			server.on_body = abort_it;
			break;
		case 2:
			server.on_body_end = abort_it;
			break;
		case 3:
			server.on_head = stream_start;
			server.on_writable = abort_it;
			server.left = 50000000;
			start_size = -1;
			break;
		case 4:
			server.on_finished = abort_it;
			break;
		case 6:
			server.on_head = start_then_abort;
			break;
		case 5:
		case 7:
			server.on_body_end = nothing;
			break;
		}
		peer = peer_connect(server.port, 0);
		SAY(CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
		if (rows[i].which == 5 || rows[i].which == 7) {
			UNTIL(strstr(server.log, "end") != NULL);
			if (rows[i].which == 5)
				reply_ok(&server, server.exchange);
			exchange_abort(server.exchange);
			assert_int_equal(server.finished_count, 0); /* never from inside the call */
		}
		UNTIL(server.finished_count == 1);
		row_check(rows[i].name, strcmp(server.log, rows[i].log) == 0);
		if (rows[i].which != 4)
			UNTIL(peer_over(&peer));
		peer_close(&peer);
		UNTIL(listener_connections(server.listener) == 0);
		server_close(&server);
	}
}

static void write_wrong_length(struct server *server, struct exchange *exchange)
{
	(void)server;
	exchange_start(exchange, 200, NULL, 5);
	if (start_status == 1)
		(void)!exchange_write(exchange, "more than said", 14);
	else
		assert_true(exchange_write(exchange, "less", 4));
	if (start_status != 2)
		exchange_end(exchange);
	else
		exchange_abort(exchange);
}

/* Nothing that was cut short can be taken for a whole answer. */
static void a_cut_answer_looks_cut(void **state)
{
	(void)state;
	for (start_status = 0; start_status < 3; start_status++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = write_wrong_length;
		peer = peer_connect(server.port, 0);
		SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		UNTIL(peer_over(&peer));
		assert_string_equal(server.log, "head lost");
		assert_false(peer_has(&peer, "\r\n\r\nless " /* never five bytes */));
		peer_close(&peer);
		server_close(&server);
	}
	/* Framed by the end of the connection, only a reset says so. */
	for (int late = 0; late < 2; late++) {
		struct server server;
		struct peer peer;

		server_open(&server);
		server.on_head = late ? start_only : start_then_abort;
		peer = peer_connect(server.port, 0);
		SAY("GET / HTTP/1.0\r\n\r\n");
		if (late) {
			UNTIL(peer_has(&peer, "\r\n\r\nsome"));
			exchange_abort(server.exchange);
		}
		UNTIL(peer_over(&peer));
		assert_int_equal(peer.error, ECONNRESET);
		peer_close(&peer);
		server_close(&server);
	}
}

static void our_own_mistakes(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = start_only;
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.exchange != NULL);
	assert_aborts(exchange_start(server.exchange, 200, NULL, 0));
	exchange_end(server.exchange);
	assert_aborts(exchange_end(server.exchange));
	assert_aborts((void)!exchange_write(server.exchange, "x", 1));
	UNTIL(server.finished_count == 1);
	server.on_head = nothing;
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.exchange != NULL);
	assert_aborts((void)!exchange_write(server.exchange, "x", 1));
	assert_aborts(exchange_start(server.exchange, 100, NULL, 0));
	assert_aborts(exchange_start(server.exchange, 1000, NULL, 0));
	assert_aborts(exchange_start(server.exchange, 200, NULL, -2));
	peer_close(&peer);
	server_close(&server);
}

/* --- the listener --- */

/* Asks, and waits until the answer is whole. */
static void ask(struct server *server, struct peer *peer, const char *path)
{
	char *text = must_format("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	size_t finished = server->finished_count;

	peer_say(server->base, peer, text);
	peer_until(server->base, server->finished_count > finished);
	free(text);
}

static void connections_are_bounded(void **state)
{
	struct listener_limits few = patient;
	struct server server;
	struct peer peers[2 + REFUSED_MAX + 1];

	(void)state;
	few.connections_max = 2;
	server_open_with(&server, &few);
	server.on_head = reply_ok;
	for (size_t i = 0; i < COUNT(peers); i++) {
		peers[i] = peer_connect(server.port, 0);
		/* These two have earned their places. */
		if (i < 2)
			ask(&server, &peers[i], "/first");
	}
	UNTIL(listener_connections(server.listener) == 2 + REFUSED_MAX);
	UNTIL(peer_over(&peers[2]) && peer_over(&peers[REFUSED_MAX + 1]));
	assert_true(peer_has(&peers[2], "HTTP/1.1 503 Service Unavailable\r\n"));
	assert_true(peer_has(&peers[2], "\"code\":\"too_many_connections\""));
	assert_int_equal(peers[2].error, 0);
	UNTIL(peer_over(&peers[REFUSED_MAX + 2]));
	assert_int_equal(peers[REFUSED_MAX + 2].in_size, 0);
	/* The two that fit are served, and a place that is given back is taken. */
	ask(&server, &peers[0], "/again");
	for (size_t i = 1; i < COUNT(peers); i++)
		peer_close(&peers[i]);
	UNTIL(listener_connections(server.listener) == 1);
	peers[1] = peer_connect(server.port, 0);
	peer_say(server.base, &peers[1], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_has(&peers[1], "\r\n\r\nok"));
	peer_close(&peers[0]);
	peer_close(&peers[1]);
	server_close(&server);
}

/* Whoever has no credit and asks for nothing goes when a place is needed, the oldest first. */
static void the_idle_make_room(void **state)
{
	struct listener_limits few = patient;
	struct server server;
	struct peer good, idle, half, newcomer;

	(void)state;
	few.connections_max = 3;
	server_open_with(&server, &few);
	server.on_head = reply_ok;
	good = peer_connect(server.port, 0);
	ask(&server, &good, "/");
	half = peer_connect(server.port, 0);
	peer_say(server.base, &half, "GET / HT");
	UNTIL(listener_connections(server.listener) == 2);
	UNTIL(server.listener->connections->next->seen_size == 8);
	idle = peer_connect(server.port, 0);
	UNTIL(listener_connections(server.listener) == 3);
	newcomer = peer_connect(server.port, 0);
	ask(&server, &newcomer, "/");
	UNTIL(peer_over(&half));
	assert_int_equal(half.in_size, 0);
	assert_int_equal(listener_connections(server.listener), 3);
	peer_close(&half);
	half = peer_connect(server.port, 0);
	UNTIL(peer_over(&idle));
	ask(&server, &good, "/");
	peer_close(&good);
	peer_close(&half);
	peer_close(&idle);
	peer_close(&newcomer);
	server_close(&server);
}

/* --- the turnstile --- */

/* Many at once, so without the handler above, which takes one after the other. */
static void crowd_head(struct exchange *exchange, void *arg)
{
	(void)arg;
	if (strncmp(exchange_target(exchange), "/good", 5) == 0) {
		exchange_reply(exchange, 200, NULL, "ok", 2);
		return;
	}
	exchange_refuse(exchange);
	exchange_reply(exchange, 403, NULL, "no", 2);
}

static void crowd_finished(struct exchange *exchange, bool completed, void *arg)
{
	struct server *server = arg;

	(void)exchange;
	assert_true(completed);
	server->finished_count++;
}

static uint32_t pause_long(void *arg)
{
	(void)arg;
	return 3600u * 1000000u;
}

static void server_open_for_many(struct server *server, uint32_t (*pause_us)(void *arg))
{
	static struct exchange_events of_crowd;
	char reason[256];
	int fd = listener_socket_tcp(reason, "127.0.0.1:0", false);

	assert_true(fd >= 0);
	of_crowd = (struct exchange_events){
	    .head = crowd_head, .finished = crowd_finished, .pause_us = pause_us};
	*server = (struct server){.base = event_base_new(), .port = port_of(fd)};
	server->listener = listener_new(server->base, fd, &patient, &of_crowd, server);
}

static void push(struct peer *peer, const char *text)
{
	assert_int_equal(peer_push(peer, text, strlen(text)), strlen(text));
}

static size_t answer_count(struct peer *peer)
{
	size_t count = 0;

	peer_pull(peer, SIZE_MAX);
	for (const char *at = peer_text(peer); (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
		count++;
	return count;
}

enum { CROWD = 60 };

/* A crowd that was refused once, and asks for more of it; one that behaves, and asks last. */
static void refusals_hold_nobody_up(void **state)
{
	struct server server;
	struct peer crowd[CROWD], good, newcomer;
	size_t before, turns = 0;

	(void)state;
	server_open_for_many(&server, NULL);
	good = peer_connect(server.port, 0);
	ask(&server, &good, "/good");
	for (size_t i = 0; i < CROWD; i++) {
		crowd[i] = peer_connect(server.port, 0);
		ask(&server, &crowd[i], "/bad");
	}
	before = server.finished_count;
	for (size_t i = 0; i < CROWD; i++)
		push(&crowd[i], "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
				"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
	newcomer = peer_connect(server.port, 0);
	push(&newcomer, "GET /good HTTP/1.1\r\nHost: h\r\n\r\n");
	push(&good, "GET /good HTTP/1.1\r\nHost: h\r\n\r\n");
	while (answer_count(&good) < 2 || answer_count(&newcomer) < 1) {
		/* Once: loop_turn() goes round until there is nothing left to do. */
		event_base_loop(server.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(turns++ < CROWD);
	}
	/* The loop went round a few times, and each time let one of the crowd through. */
	assert_true(server.finished_count - before <= 2 + turns * REFUSED_TURNS);
	assert_true(server.finished_count - before < CROWD);
	for (size_t i = 0; i < CROWD; i++)
		UNTIL(answer_count(&crowd[i]) == 3);
	for (size_t i = 0; i < CROWD; i++)
		peer_close(&crowd[i]);
	peer_close(&good);
	peer_close(&newcomer);
	server_close(&server);
}

/* Newcomers who behave wait for nobody; once one was refused there is a turn more, and then none
 * for an hour: who has credit does not notice. */
static void credit_is_earned_and_spent(void **state)
{
	struct server server;
	struct peer good, bad, others[3], late;

	(void)state;
	server_open_for_many(&server, pause_long);
	good = peer_connect(server.port, 0);
	ask(&server, &good, "/good");
	for (size_t i = 0; i < COUNT(others); i++) {
		others[i] = peer_connect(server.port, 0);
		ask(&server, &others[i], "/good");
	}
	bad = peer_connect(server.port, 0);
	ask(&server, &bad, "/bad");
	ask(&server, &bad, "/bad");
	late = peer_connect(server.port, 0);
	peer_say(server.base, &late, "GET /good HTTP/1.1\r\nHost: h\r\n\r\n");
	/* Twice as much as can be kept. */
	for (size_t i = 0; i < 2 * CREDIT_MAX; i++)
		ask(&server, &good, "/good");
	for (size_t i = 0; i < CREDIT_MAX; i++)
		ask(&server, &good, "/bad");
	peer_say(server.base, &good, "GET /good HTTP/1.1\r\nHost: h\r\n\r\n");
	loop_for(server.base, 20);
	assert_int_equal(answer_count(&good), 1 + 3 * CREDIT_MAX);
	assert_int_equal(answer_count(&late), 0);
	/* All are told when the listener goes; who left is not waited for. */
	assert_int_equal(listener_connections(server.listener), 6);
	peer_close(&late);
	loop_for(server.base, 3);
	server_close(&server);
	peer_close(&good);
	peer_close(&bad);
	for (size_t i = 0; i < COUNT(others); i++)
		peer_close(&others[i]);
}

static void drain_lets_the_busy_finish(void **state)
{
	struct server server;
	struct peer idle;
	struct peer peer;
	struct peer half;

	(void)state;
	server_open(&server);
	server.on_head = nothing;
	idle = peer_connect(server.port, 0);
	half = peer_connect(server.port, 0);
	peer_say(server.base, &half, "GET /half HT");
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(server.exchange != NULL && listener_connections(server.listener) == 3);
	loop_for(server.base, 3);
	listener_drain(server.listener);
	listener_drain(server.listener);
	assert_int_equal(listener_connections(server.listener), 2);
	UNTIL(peer_over(&idle));
	assert_int_equal(idle.in_size, 0);
	reply_ok(&server, server.exchange);
	UNTIL(peer_over(&peer));
	assert_true(peer_has(&peer, "Connection: close\r\n\r\nok"));
	peer_close(&peer);
	/* A head that was arriving is still served. */
	server.on_head = reply_ok;
	peer_say(server.base, &half, "TP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_over(&half));
	assert_true(peer_has(&half, "Connection: close\r\n\r\nok"));
	peer_close(&half);
	UNTIL(listener_connections(server.listener) == 0);
	peer = peer_of(socket(AF_INET, SOCK_STREAM, 0));
	peer_close(&peer);
	peer_close(&idle);
	server_close(&server);
}

/* Drained while the rest of a body was still coming: no further request after it. */
static void drain_ends_a_connection_that_reads_a_rest(void **state)
{
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	peer = peer_connect(server.port, 0);
	SAY(POST "Content-Length: 5\r\n\r\n");
	UNTIL(server.finished_count == 1);
	listener_drain(server.listener);
	SAY("hello");
	UNTIL(peer_over(&peer));
	assert_int_equal(peer.error, 0);
	UNTIL(listener_connections(server.listener) == 0);
	peer_close(&peer);
	server_close(&server);
}

static void free_tells_what_was_under_way(void **state)
{
	struct server server;
	struct peer peer;
	struct peer old;

	(void)state;
	server_open(&server);
	server.on_head = start_only;
	old = peer_connect(server.port, 0);
	peer_say(server.base, &old, "GET / HTTP/1.0\r\n\r\n");
	UNTIL(peer_has(&old, "some"));
	peer = peer_connect(server.port, 0);
	SAY("GET /par");
	UNTIL(listener_connections(server.listener) == 2);
	server_close(&server);
	assert_string_equal(server.log, "head lost");
	assert_true(peer_over(&old) && old.error == ECONNRESET);
	peer_close(&old);
	assert_true(peer_over(&peer));
	peer_close(&peer);
	listener_free(&server.listener); /* twice is fine */
}

/* Out of descriptors the loop does not spin, and accepting goes on later. */
static void accepts_again_after_descriptors_ran_out(void **state)
{
	struct server server;
	struct peer early;
	struct peer peer;
	struct rlimit before;
	struct rlimit low;

	(void)state;
	server_open(&server);
	server.on_head = reply_ok;
	early = peer_connect(server.port, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){(rlim_t)early.fd + 1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(dup(STDERR_FILENO), -1);
	log_set_level(LOG_ERROR); /* it says so in the log, but once only */
	loop_for(server.base, 20);
	assert_int_equal(listener_connections(server.listener), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	peer_close(&early);
	peer_close(&peer);
	server_close(&server);
}

static void the_date_is_right(void **state)
{
	struct server server;
	struct peer peer;
	struct tm utc;
	struct timespec now;
	char text[64];
	time_t now_s;

	(void)state;
	server_open(&server);
	peer = peer_connect(server.port, 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_has(&peer, "GET / "));
	memset(&utc, 0, sizeof(utc));
	assert_non_null(
	    strptime(strstr(peer.in, "Date: ") + 6, "%a, %d %b %Y %H:%M:%S GMT\r\n", &utc));
	now_s = timegm(&utc);
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	assert_true(llabs((long long)now_s - (long long)now.tv_sec) <= 20);
	(void)strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
	assert_non_null(strstr(peer.in, text));
	peer_close(&peer);
	server_close(&server);
}

/* --- sockets --- */

static void tcp_addresses(void **state)
{
	static const char *const bad[] = {"", ":", "127.0.0.1", "127.0.0.1:", ":80", "localhost:80",
	    "127.0.0.1:x", "127.0.0.1:80x", "127.0.0.1:65536", "127.0.0.1:999999", "127.0.0.1:-1",
	    "::1:80", "[::1]", "[::1]:", "[::1", "[::1]80", "256.0.0.1:80", "127.0.0.1:80:80",
	    "203.0.113.1:0", "[zz]:0", " 127.0.0.1:80"};
	static const char *const good[] = {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"};
	char reason[256];
	char name[64];
	char tiny[4];
	int fd;
	int other;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		reason[0] = '\0';
		row_check(bad[i], listener_socket_tcp(reason, bad[i], false) == -1);
		row_check(bad[i], strncmp(reason, bad[i], strlen(bad[i])) == 0);
		row_check(bad[i], strlen(reason) > strlen(bad[i]) + 2);
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		fd = listener_socket_tcp(reason, good[i], false);
		row_check(good[i], fd >= 0);
		row_check(good[i], listener_socket_name(name, sizeof(name), fd));
		row_check(good[i], strncmp(name, good[i], strlen(good[i]) - 1) == 0);
		row_check(good[i], !listener_socket_name(tiny, sizeof(tiny), fd));
		row_check(good[i], (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
		row_check(good[i], (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		row_check(good[i], listener_socket_tcp(reason, name, false) == -1); /* taken */
		close(fd);
	}
	fd = listener_socket_tcp(reason, "127.0.0.1:0", true);
	assert_true(listener_socket_name(name, sizeof(name), fd));
	other = listener_socket_tcp(reason, name, true);
	assert_true(other >= 0);
	close(other);
	close(fd);
	assert_false(listener_socket_name(name, sizeof(name), fd));
	fd = open("/dev/null", O_RDONLY);
	assert_false(listener_socket_name(name, sizeof(name), fd));
	close(fd);
}

static void unix_sockets(void **state)
{
	char *path = must_format("%s/s", (const char *)*state);
	char *missing = must_format("%s/none/s", (const char *)*state);
	char *longest = text_repeat(path, "x", 200, "");
	struct server server = {.base = event_base_new()};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer peer;
	struct stat info;
	char reason[256];
	char name[256];
	int fd;

	assert_int_equal(listener_socket_unix(reason, ""), -1);
	assert_int_equal(listener_socket_unix(reason, longest), -1);
	assert_int_equal(listener_socket_unix(reason, missing), -1);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(listener_socket_unix(reason, path), -1);
	assert_non_null(strstr(reason, "is not a socket"));
	assert_int_equal(unlink(path), 0);

	fd = listener_socket_unix(reason, path);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_true(listener_socket_name(name, sizeof(name), fd));
	assert_string_equal(name, path);
	assert_int_equal(listener_socket_unix(reason, path), -1);
	assert_non_null(strstr(reason, "another process listens there"));
	close(fd); /* the name stays behind, as after a crash */

	fd = listener_socket_unix(reason, path);
	assert_true(fd >= 0);
	server.listener = listener_new(server.base, fd, &patient, &events, &server);
	server.on_head = reply_ok;
	memcpy(address.sun_path, path, strlen(path) + 1);
	peer = peer_of(socket(AF_UNIX, SOCK_STREAM, 0));
	assert_int_equal(connect(peer.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	SAY("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(peer_has(&peer, "\r\n\r\nok"));
	peer_close(&peer);
	server_close(&server);
	unlink(path);
	free(path);
	free(missing);
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_requests),
	    cmocka_unit_test(bad_requests),
	    cmocka_unit_test(what_the_handler_sees),
	    cmocka_unit_test(a_zero_byte_is_refused),
	    cmocka_unit_test(heads_are_bounded),
	    cmocka_unit_test(http_1_0),
	    cmocka_unit_test(framing_is_ours),
	    cmocka_unit_test(pipelined_requests_wait_their_turn),
	    cmocka_unit_test(pipelined_input_is_bounded),
	    cmocka_unit_test(continue_when_the_body_is_wanted),
	    cmocka_unit_test(no_continue_when_refused),
	    cmocka_unit_test(a_small_rest_is_drained),
	    cmocka_unit_test(a_trailer_is_drained_byte_by_byte),
	    cmocka_unit_test(a_refusal_survives_the_rest_of_the_body),
	    cmocka_unit_test(malformed_rest_closes_after_the_answer),
	    cmocka_unit_test(answered_in_the_body_callback),
	    cmocka_unit_test(a_paused_body_is_not_read),
	    cmocka_unit_test(a_pause_holds_the_next_chunk),
	    cmocka_unit_test(a_slow_reader_does_not_grow_memory),
	    cmocka_unit_test(pieces_of_all_sizes_arrive_in_their_order),
	    cmocka_unit_test(time_outs),
	    cmocka_unit_test(a_head_has_one_time_a_body_many),
	    cmocka_unit_test(no_time_out_while_the_handler_works),
	    cmocka_unit_test(a_reader_that_stops_is_cut),
	    cmocka_unit_test(hang_ups),
	    cmocka_unit_test(hang_ups_behind_a_full_input),
	    cmocka_unit_test(half_close),
	    cmocka_unit_test(hang_up_in_the_tail),
	    cmocka_unit_test(hang_up_while_draining),
	    cmocka_unit_test(aborts_in_each_callback),
	    cmocka_unit_test(a_cut_answer_looks_cut),
	    cmocka_unit_test(our_own_mistakes),
	    cmocka_unit_test(connections_are_bounded),
	    cmocka_unit_test(the_idle_make_room),
	    cmocka_unit_test(refusals_hold_nobody_up),
	    cmocka_unit_test(credit_is_earned_and_spent),
	    cmocka_unit_test(drain_lets_the_busy_finish),
	    cmocka_unit_test(drain_ends_a_connection_that_reads_a_rest),
	    cmocka_unit_test(free_tells_what_was_under_way),
	    cmocka_unit_test(accepts_again_after_descriptors_ran_out),
	    cmocka_unit_test(the_date_is_right),
	    cmocka_unit_test(tcp_addresses),
	    cmocka_unit_test_setup_teardown(unix_sockets, unit_folder_make, unit_folder_remove),
	};

	signal(SIGPIPE, SIG_IGN);
	return unit_run(tests);
}
