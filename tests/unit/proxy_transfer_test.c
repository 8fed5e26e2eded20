/* Outgoing HTTP, against a raw socket that says what a seller might. */
#include "proxy/transfer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "proxy/reach.h"
#include "tests/unit/proxy_clock.h"
#include "tests/unit/proxy_peer.h"

struct client {
	struct event_base *base;
	struct upstream *upstream;
	int listen_fd;
	int port;
	unsigned reach;
	struct transfer *transfer; /* the latest; NULL after `done` */
	char log[256];
	int status;
	char *body;
	size_t body_size;
	size_t body_capacity;
	unsigned done_count;
	enum transfer_result result;
	char reason[256];
	bool sent;
	int64_t content_length;
	bool in_callback;
	unsigned body_calls; /* for the test's own count */
	void (*on_head)(struct client *client);
	bool (*on_body)(struct client *client, size_t size);
	void (*on_done)(struct client *client);
};

static void on_head(struct transfer *transfer, int status, const struct headers *headers, void *arg)
{
	struct client *client = arg;

	assert_false(client->in_callback);
	client->in_callback = true;
	assert_ptr_equal(transfer, client->transfer);
	assert_ptr_equal(headers, transfer_headers(transfer));
	assert_true(transfer_request_sent(transfer));
	log_add(client->log, sizeof(client->log), "head");
	client->status = status;
	client->content_length = transfer_content_length(transfer);
	if (client->on_head != NULL)
		client->on_head(client);
	client->in_callback = false;
}

static bool on_body(struct transfer *transfer, const void *bytes, size_t size, void *arg)
{
	struct client *client = arg;
	bool taken = true;

	assert_false(client->in_callback);
	client->in_callback = true;
	assert_ptr_equal(transfer, client->transfer);
	assert_true(size > 0);
	if (client->body_size == 0)
		log_add(client->log, sizeof(client->log), "body");
	if (client->on_body != NULL)
		taken = client->on_body(client, size);
	if (taken) {
		if (client->body_size + size >= client->body_capacity) {
			client->body_capacity = (client->body_size + size + 1) * 2;
			client->body = must_realloc(client->body, client->body_capacity);
		}
		memcpy(client->body + client->body_size, bytes, size);
		client->body_size += size;
		client->body[client->body_size] = '\0';
	}
	client->in_callback = false;
	return taken;
}

static void on_done(
    struct transfer *transfer, enum transfer_result result, const char *reason, void *arg)
{
	struct client *client = arg;

	assert_false(client->in_callback);
	client->in_callback = true;
	assert_ptr_equal(transfer, client->transfer);
	log_add(client->log, sizeof(client->log), transfer_result_str(result));
	client->done_count++;
	client->result = result;
	client->sent = transfer_request_sent(transfer);
	(void)snprintf(client->reason, sizeof(client->reason), "%s", reason);
	client->transfer = NULL;
	if (client->on_done != NULL)
		client->on_done(client);
	client->in_callback = false;
}

static const struct transfer_events events = {on_head, on_body, on_done};

static const struct upstream_limits patient = {
    .connections_max = 8,
    .connect_ms_max = 20000,
    .response_ms_max = 20000,
    .idle_ms_max = 20000,
    .head_size_max = 65536,
};

static void client_open_with(struct client *client, const struct upstream_limits *limits)
{
	*client = (struct client){
	    .base = event_base_new(), .listen_fd = peer_listen(), .reach = REACH_ANY};
	client->port = port_of(client->listen_fd);
	client->upstream = upstream_new(client->base, limits);
}

static void client_open(struct client *client)
{
	client_open_with(client, &patient);
}

static void client_close(struct client *client)
{
	if (client->transfer != NULL)
		transfer_cancel(&client->transfer);
	upstream_free(&client->upstream);
	assert_null(client->upstream);
	event_base_free(client->base);
	close(client->listen_fd);
	free(client->body);
}

static void forget(struct client *client)
{
	client->log[0] = '\0';
	client->body_size = 0;
}

static void start_url(struct client *client, const char *method, const char *url,
    const struct headers *headers, struct spool *body, int64_t body_size)
{
	const struct transfer_request request = {
	    method, url, headers, body, body_size, client->reach};
	unsigned before = client->done_count;

	client->transfer = transfer_start(client->upstream, &request, &events, client);
	assert_non_null(client->transfer);
	assert_int_equal(client->done_count, before); /* never calls back before it returned */
}

static void start(struct client *client, const char *method, struct spool *body, int64_t body_size)
{
	char *url = must_format("http://127.0.0.1:%d/x", client->port);

	start_url(client, method, url, NULL, body, body_size);
	free(url);
}

#define UNTIL(condition) peer_until(client.base, (condition))
#define SAY(text)        peer_say(client.base, &peer, (text))
#define ACCEPT()         UNTIL(peer_accept(&peer, client.listen_fd))

static struct spool *spool_of(const char *text)
{
	struct spool *spool = spool_new("/tmp", 1 << 20, 1 << 20);

	assert_int_equal(spool_write(spool, text, strlen(text)), SPOOL_OK);
	spool_finish(spool);
	return spool;
}

/* --- what goes out --- */

static void requests_as_they_go_out(void **state)
{
	static const struct {
		const char *name, *method, *path;
		const char *fields[6];
		const char *body; /* NULL: none */
		int64_t body_size;
		const char *wire; /* behind the Host line */
	} rows[] = {
	    {"get", "GET", "/", {NULL}, NULL, 0, "\r\n"},
	    {"get, body_size ignored", "GET", "/", {NULL}, NULL, -1, "\r\n"},
	    {"path as it is", "GET", "/a/../b/./c//%2e%2E/?x=y&z=%20", {NULL}, NULL, 0, "\r\n"},
	    {"fields", "GET", "/", {"Accept", "a/b", "accept", "c", "X-Empty", ""}, NULL, 0,
		"Accept: a/b\r\naccept: c\r\nX-Empty:\r\n\r\n"},
	    {"user agent", "GET", "/", {"User-Agent", "mine", "Authorization", "Bearer x"}, NULL, 0,
		"User-Agent: mine\r\nAuthorization: Bearer x\r\n\r\n"},
	    {"not ours to give", "GET", "/",
		{"Host", "evil", "Content-Length", "9", "Expect", "100-continue"}, NULL, 0, "\r\n"},
	    {"nor this", "GET", "/", {"transfer-encoding", "chunked"}, NULL, 0, "\r\n"},
	    {"post", "POST", "/", {"Content-Type", "text/plain"}, "hello", 5,
		"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"},
	    {"post, no type", "POST", "/", {NULL}, "hello", 5, "Content-Length: 5\r\n\r\nhello"},
	    {"post, empty", "POST", "/", {NULL}, "", 0, "Content-Length: 0\r\n\r\n"},
	    {"post, none", "POST", "/", {NULL}, NULL, 0, "Content-Length: 0\r\n\r\n"},
	    {"put, none", "PUT", "/", {NULL}, NULL, -1, "Content-Length: 0\r\n\r\n"},
	    {"delete, none", "DELETE", "/", {NULL}, NULL, 0, "\r\n"},
	    {"post, chunked", "POST", "/", {NULL}, "hello", -1,
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	    {"post, chunked, empty", "POST", "/", {NULL}, "", -1,
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	    {"get with body", "GET", "/", {NULL}, "hello", 5, "Content-Length: 5\r\n\r\nhello"},
	    {"delete with body", "DELETE", "/", {NULL}, "hello", 5,
		"Content-Length: 5\r\n\r\nhello"},
	    {"patch", "PATCH", "/", {NULL}, "hello", 5, "Content-Length: 5\r\n\r\nhello"},
	    {"head", "HEAD", "/", {NULL}, NULL, 0, "\r\n"},
	    {"head with body", "HEAD", "/", {NULL}, "hello", 5, "\r\n"},
	    {"options", "OPTIONS", "/", {NULL}, NULL, 0, "\r\n"},
	    {"custom", "BREW", "/", {NULL}, NULL, 0, "\r\n"},
	    {"custom with body", "M-SEARCH", "/", {NULL}, "hello", -1,
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	};

	struct client client;
	struct peer peer = peer_of(-1);

	/* All of them twice with one client: nothing of one is seen in the next. */
	(void)state;
	client_open(&client);
	for (size_t n = 0; n < 2 * COUNT(rows); n++) {
		size_t i = n < COUNT(rows) ? n : 2 * COUNT(rows) - 1 - n;
		struct headers headers;
		struct spool *body = rows[i].body == NULL ? NULL : spool_of(rows[i].body);
		char *url;
		char *wire;

		peer_row = rows[i].name;
		forget(&client);
		headers_init(&headers);
		for (size_t f = 0; f < COUNT(rows[i].fields) && rows[i].fields[f] != NULL; f += 2)
			assert_true(headers_add(&headers, rows[i].fields[f],
			    strlen(rows[i].fields[f]), rows[i].fields[f + 1],
			    strlen(rows[i].fields[f + 1])));
		url = must_format("http://127.0.0.1:%d%s", client.port, rows[i].path);
		wire = must_format("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", rows[i].method,
		    rows[i].path, client.port, rows[i].wire);
		start_url(&client, rows[i].method, url, &headers, body, rows[i].body_size);
		headers_fini(&headers); /* all of it was copied */
		free(url);
		if (n == 0)
			ACCEPT();
		UNTIL((peer_pull(&peer, SIZE_MAX), peer.in_size >= strlen(wire)));
		loop_for(client.base, 2);
		peer_pull(&peer, SIZE_MAX);
		if (strcmp(peer.in, wire) != 0)
			fail_msg("row \"%s\":\n%s", rows[i].name, peer.in);
		SAY("HTTP/1.1 204 No\r\n\r\n");
		UNTIL(client.done_count == n + 1);
		row_check(rows[i].name, client.result == TRANSFER_OK);
		row_check(rows[i].name, client.status == 204);
		row_check(rows[i].name, client.sent);
		peer_forget(&peer);
		spool_free(&body);
		free(wire);
	}
	peer_close(&peer);
	client_close(&client);
}

/* What stands behind host and port, and what is asked for: byte for byte where it can be. The
 * same handle asks for all of them. */
static void targets_as_they_go_out(void **state)
{
	static const struct {
		const char *said, *target;
	} rows[] = {
	    {"/", "/"},
	    {"", "/"},
	    {"/a", "/a"},
	    {"?x=1", "/?x=1"},
	    {"/?", "/?"},
	    {"/a?", "/a?"},
	    {"/a??b?c", "/a??b?c"},
	    {"//a//", "//a//"},
	    {"/./../%2E%2e/", "/./../%2E%2e/"},
	    {"/%4A%4a%zz%", "/%4A%4a%zz%"},
	    {"/:@!$&'()*+,;=-._~?/:@[]", "/:@!$&'()*+,;=-._~?/:@[]"},
	    {"/\"<>\\^`{|}[]", "/\"<>\\^`{|}[]"},
	    {"/a#b", "/a"},
	    {"/a?b#c", "/a?b"},
	    {"#", "/"},
	    {"/\xc3\xa9", "/%c3%a9"},
	    {"/http://other/", "/http://other/"},
	};
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *url = must_format("http://127.0.0.1:%d%s", client.port, rows[i].said);
		char *wire = must_format("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
		    rows[i].target, client.port);

		start_url(&client, "GET", url, NULL, NULL, 0);
		free(url);
		if (i == 0)
			ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		if (strcmp(peer.in, wire) != 0)
			fail_msg("row \"%s\":\n%s", rows[i].said, peer.in);
		SAY("HTTP/1.1 204 No\r\n\r\n");
		UNTIL(client.done_count == i + 1);
		row_check(rows[i].said, client.result == TRANSFER_OK);
		peer_forget(&peer);
		free(wire);
	}
	peer_close(&peer);
	client_close(&client);
}

/* One handle goes from one seller to the other, and each hears what was meant for it. */
static void sellers_in_turn(void **state)
{
	static const unsigned turns[] = {0, 1, 1, 0, 2, 0, 2, 1};
	static const char *const targets[] = {"/a", "/b?c", "/d#e"};
	static const char *const sent[] = {"/a", "/b?c", "/d"};
	struct client client;
	struct peer peers[2] = {peer_of(-1), peer_of(-1)};
	bool open[2] = {false, false};
	int fds[2], other_fd;

	(void)state;
	client_open(&client);
	other_fd = peer_listen();
	fds[0] = client.listen_fd;
	fds[1] = other_fd;
	for (size_t i = 0; i < COUNT(turns); i++) {
		unsigned to = turns[i] == 1;
		char *url = must_format(
		    "http://127.0.0.1:%d%s", port_of(fds[to]), targets[turns[i]]);
		char *wire = must_format("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
		    sent[turns[i]], port_of(fds[to]));

		start_url(&client, "GET", url, NULL, NULL, 0);
		free(url);
		if (!open[to])
			UNTIL(peer_accept(&peers[to], fds[to]));
		open[to] = true;
		UNTIL(peer_has(&peers[to], "\r\n\r\n"));
		assert_string_equal(peers[to].in, wire);
		peer_say(client.base, &peers[to], "HTTP/1.1 204 No\r\n\r\n");
		UNTIL(client.done_count == i + 1);
		assert_int_equal(client.result, TRANSFER_OK);
		peer_forget(&peers[to]);
		free(wire);
	}
	peer_close(&peers[0]);
	peer_close(&peers[1]);
	client_close(&client);
	close(other_fd);
}

static void redirects_and_cookies_stay_where_they_are(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	SAY("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: a=b\r\n"
	    "Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip");
	UNTIL(client.done_count == 1);
	assert_int_equal(client.result, TRANSFER_OK);
	assert_int_equal(client.status, 302);
	assert_string_equal(client.body, "not gzip");
	peer_forget(&peer);
	start(&client, "GET", NULL, 0);
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	assert_null(strstr(peer.in, "Cookie"));
	peer_close(&peer);
	client_close(&client);
}

/* --- what comes back --- */

static void good_answers(void **state)
{
	static const struct {
		const char *name, *method, *answer;
		bool close;
		int status;
		int64_t length;
		const char *body;
	} rows[] = {
	    {"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5,
		"hello"},
	    {"length 0", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, 0, ""},
	    {"same length twice", "GET",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", false, 200,
		2, "hi"},
	    {"chunked", "GET",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		"chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		false, 200, -1, "hello"},
	    {"chunked wins", "GET",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\n\r\n",
		false, 200, -1, "hello"},
	    {"trailers", "GET",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: "
		"y\r\n\r\n",
		false, 200, -1, "hello"},
	    {"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, -1, "hello"},
	    {"1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", true, 200, -1, "hello"},
	    {"1.0 with length", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, 200,
		2, "hi"},
	    {"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, -1, ""},
	    {"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, 5,
		""},
	    {"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, 5, ""},
	    {"no reason", "GET", "HTTP/1.1 402\r\nContent-Length: 2\r\n\r\nhi", false, 402, 2,
		"hi"},
	    {"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", false, 200, 2, "hi"},
	    {"100", "GET",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		false, 200, 2, "hi"},
	    {"102 and 103", "GET",
		"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: "
		"99\r\nX: 1\r\n\r\n"
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		false, 200, 2, "hi"},
	    {"post", "POST", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi", false, 201, 2,
		"hi"},
	    {"odd status", "GET", "HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nhi", false, 599, 2,
		"hi"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int slowly = 0; slowly < 2; slowly++) {
			struct client client;
			struct peer peer = peer_of(-1);

			peer_row = rows[i].name;
			client_open(&client);
			start(&client, rows[i].method, NULL, 0);
			ACCEPT();
			UNTIL(peer_has(&peer, "\r\n\r\n"));
			for (const char *c = rows[i].answer; slowly && *c != '\0'; c++) {
				(void)peer_push(&peer, c, 1);
				loop_turn(client.base);
				loop_turn(client.base);
			}
			if (!slowly)
				SAY(rows[i].answer);
			if (rows[i].close)
				assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
			UNTIL(client.done_count == 1);
			if (client.result != TRANSFER_OK)
				fail_msg("row \"%s\": %s", rows[i].name, client.reason);
			row_check(rows[i].name, client.status == rows[i].status);
			row_check(rows[i].name, client.content_length == rows[i].length);
			row_check(rows[i].name, client.body_size == strlen(rows[i].body));
			row_check(rows[i].name,
			    client.body_size == 0 || strcmp(client.body, rows[i].body) == 0);
			row_check(rows[i].name,
			    strcmp(client.log,
				client.body_size == 0 ? "head ok" : "head body ok") == 0);
			peer_close(&peer);
			client_close(&client);
		}
	}
}

static void fields_of_the_answer(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);
	const struct headers *headers;
	char *many = text_repeat(
	    "HTTP/1.1 200 OK\r\n", "A: b\r\n", HEADERS_COUNT_MAX - 1, "Content-Length: 0\r\n\r\n");

	(void)state;
	client_open(&client);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	SAY("HTTP/1.1 103 Early\r\nA: not this\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nA:1\r\na: \t 2 \t\r\nEmpty:\r\nUtf: \xc3\xa4\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n"
	    "1\r\nx\r\n");
	UNTIL(client.body_size == 1);
	headers = transfer_headers(client.transfer);
	assert_int_equal(headers->count, 5);
	assert_string_equal(headers->items[0].name, "A");
	assert_string_equal(headers->items[0].value, "1");
	assert_string_equal(headers->items[1].value, "2");
	assert_string_equal(headers_get(headers, "empty"), "");
	assert_string_equal(headers_get(headers, "utf"), "\xc3\xa4");
	assert_true(transfer_peer_loopback(client.transfer));
	assert_false(transfer_peer_secure(client.transfer));
	SAY("0\r\nTrailer: no\r\n");
	loop_for(client.base, 5);
	assert_int_equal(headers->count, 5);
	SAY("\r\n");
	UNTIL(client.done_count == 1);
	assert_int_equal(client.result, TRANSFER_OK);

	peer_forget(&peer);
	start(&client, "GET", NULL, 0);
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	SAY(many);
	free(many);
	UNTIL(client.done_count == 2);
	assert_int_equal(client.result, TRANSFER_OK);
	peer_close(&peer);
	client_close(&client);
}

#define OK "HTTP/1.1 200 OK\r\n"

/* Each ends as BROKEN; the request had been sent. */
static void bad_answers(void **state)
{
	static const struct {
		const char *name, *head, *piece;
		size_t count;
		const char *tail, *log;
	} rows[] = {
	    {"nothing", "", "", 0, "", "broken"},
	    {"half a status line", "HTTP/1.1 20", "", 0, "", "broken"},
	    {"half a head", OK "Content-Le", "", 0, "", "broken"},
	    {"no empty line", OK "Content-Length: 0\r\n", "", 0, "", "broken"},
	    {"only a 100", "HTTP/1.1 100 Continue\r\n\r\n", "", 0, "", "broken"},
	    {"short body", OK "Content-Length: 5\r\n\r\nhell", "", 0, "", "head body broken"},
	    {"no body", OK "Content-Length: 5\r\n\r\n", "", 0, "", "head broken"},
	    {"cut between chunks", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", "", 0, "",
		"head body broken"},
	    {"cut in a chunk", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", "", 0, "",
		"head body broken"},
	    {"cut before the trailer", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n", "",
		0, "", "head body broken"},
	    {"bad chunk", OK "Transfer-Encoding: chunked\r\n\r\nzz\r\nhe", "", 0, "",
		"head broken"},
	    {"bad chunk end", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhexx0\r\n\r\n", "", 0, "",
		"head body broken"},
	    {"HTTP/0.9", "hello\n", "", 0, "", "broken"},
	    {"binary", "\x16\x03\x01\x02\x03\x04\x05\x06\x07\x08\n", "", 0, "", "broken"},
	    {"another protocol", "SSH-2.0-OpenSSH\r\n\r\n", "", 0, "", "broken"},
	    {"no status", "HTTP/1.1\r\n\r\n", "", 0, "", "broken"},
	    {"status of letters", "HTTP/1.1 abc OK\r\n\r\n", "", 0, "", "broken"},
	    {"status 000", "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"status 101", "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", "", 0, "", "broken"},
	    {"field without colon", OK "Junk\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"field without name", OK ": x\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"space in the name", OK "X : x\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"folded", OK "X: x\r\n y\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"control byte", OK "X: \x01\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"CR in a value", OK "X: a\rb\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"escape", OK "X: \x1b[2J\r\nContent-Length: 0\r\n\r\n", "", 0, "", "broken"},
	    {"two lengths", OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "", 0, "",
		"broken"},
	    {"negative length", OK "Content-Length: -1\r\n\r\nab", "", 0, "", "broken"},
	    {"signed length", OK "Content-Length: +1\r\n\r\nab", "", 0, "", "broken"},
	    {"junk length", OK "Content-Length: 1x\r\n\r\nab", "", 0, "", "broken"},
	    {"list of lengths", OK "Content-Length: 2, 2\r\n\r\nab", "", 0, "", "broken"},
	    {"empty length", OK "Content-Length:\r\n\r\nab", "", 0, "", "broken"},
	    {"huge length", OK "Content-Length: 99999999999999999999\r\n\r\nab", "", 0, "",
		"broken"},
	    {"gzip coding", OK "Transfer-Encoding: gzip\r\n\r\nab", "", 0, "", "broken"},
	    {"gzip, chunked", OK "Transfer-Encoding: gzip, chunked\r\n\r\nab", "", 0, "", "broken"},
	    {"two codings", OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"", 0, "", "broken"},
	    {"many fields", OK, "A: b\r\n", HEADERS_COUNT_MAX + 1, "Content-Length: 0\r\n\r\n",
		"broken"},
	    {"fields without end", OK, "A: b\r\n", 20000, "", "broken"},
	    {"a long head", OK "A: ", "b", 70000, "\r\nContent-Length: 0\r\n\r\n", "broken"},
	    {"a line without end", OK "A: ", "b", 300000, "", "broken"},
	    {"a status line without end", "HTTP/1.1 200 ", "b", 300000, "", "broken"},
	    {"1xx without end", "", "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n", 5000, "", "broken"},
	    {"trailers without end", OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n",
		20000, "", "head broken"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *answer =
		    text_repeat(rows[i].head, rows[i].piece, rows[i].count, rows[i].tail);

		for (int slowly = 0; slowly < 2; slowly++) {
			struct client client;
			struct peer peer = peer_of(-1);

			peer_row = rows[i].name;
			client_open(&client);
			start(&client, "GET", NULL, 0);
			ACCEPT();
			UNTIL(peer_has(&peer, "\r\n\r\n"));
			for (const char *c = answer; slowly && rows[i].count == 0 && *c != '\0';
			     c++) {
				(void)peer_push(&peer, c, 1);
				loop_turn(client.base);
				loop_turn(client.base);
			}
			if (!slowly || rows[i].count > 0)
				peer_send(client.base, &peer, answer, strlen(answer));
			(void)shutdown(peer.fd, SHUT_WR);
			UNTIL(client.done_count == 1);
			if (strcmp(client.log, rows[i].log) != 0)
				fail_msg("row \"%s\": log \"%s\" (%s)", rows[i].name, client.log,
				    client.reason);
			row_check(rows[i].name, client.sent);
			row_check(rows[i].name, client.reason[0] != '\0');
			peer_close(&peer);
			/* Nothing is left over for the next. */
			forget(&client);
			start(&client, "GET", NULL, 0);
			ACCEPT();
			SAY("HTTP/1.1 204 No\r\n\r\n");
			UNTIL(client.done_count == 2);
			row_check(rows[i].name, client.result == TRANSFER_OK);
			peer_close(&peer);
			client_close(&client);
		}
		free(answer);
	}
}

static void a_zero_byte_in_the_head_is_broken(void **state)
{
	static const char answer[] = OK "X: a\0b\r\nContent-Length: 0\r\n\r\n";
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	peer_send(client.base, &peer, answer, sizeof(answer) - 1);
	UNTIL(client.done_count == 1);
	assert_int_equal(client.result, TRANSFER_BROKEN);
	peer_close(&peer);
	client_close(&client);
}

static void resets_are_broken(void **state)
{
	static const char *const said[] = {"", OK, OK "Content-Length: 5\r\n\r\nhe", OK "\r\nhe"};
	static const char *const logs[] = {
	    "broken", "broken", "head body broken", "head body broken"};

	(void)state;
	for (size_t i = 0; i < COUNT(said); i++) {
		struct client client;
		struct peer peer = peer_of(-1);

		client_open(&client);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(said[i]);
		loop_for(client.base, 5);
		peer_reset(&peer);
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, logs[i]);
		assert_true(client.sent);
		client_close(&client);
	}
}

/* --- unreachable --- */

static void unreachable(void **state)
{
	static const char *const rows[] = {"", "/", "nonsense", "http://", "ftp://127.0.0.1/",
	    "file:///etc/passwd", "gopher://127.0.0.1/", "http://user:secret@127.0.0.1/",
	    "http://127.0.0.1:1/", "http://[::1]:1/", "http://127.0.0.1:99999/",
	    "http://127.0.0.1/a b", "http://a b/", "http://name.invalid/", "https://127.0.0.1:1/"};
	struct client client;

	(void)state;
	client_open(&client);
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned before = client.done_count;

		peer_row = rows[i];
		forget(&client);
		start_url(&client, "GET", rows[i], NULL, NULL, 0);
		UNTIL(client.done_count == before + 1);
		row_check(rows[i], strcmp(client.log, "unreachable") == 0);
		row_check(rows[i], !client.sent);
		row_check(rows[i], client.reason[0] != '\0');
	}
	client_close(&client);
}

/* --- time --- */

static const struct upstream_limits long_waits = {
    .connections_max = 8,
    .connect_ms_max = LONG_MS,
    .response_ms_max = LONG_MS,
    .idle_ms_max = LONG_MS,
    .head_size_max = 65536,
};

static void time_outs(void **state)
{
	static const struct {
		const char *name, *said, *log;
	} rows[] = {
	    {"no answer", "", ""},
	    {"half a head", OK "X: y\r\n", ""},
	    {"only 100", "HTTP/1.1 100 Continue\r\n\r\n", ""},
	    {"no body", OK "Content-Length: 5\r\n\r\n", "head"},
	    {"half a body", OK "Content-Length: 5\r\n\r\nhe", "head body"},
	    {"half a chunk", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", "head body"},
	    {"no end", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", "head body"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct client client;
		struct peer peer = peer_of(-1);
		char log[64];

		peer_row = rows[i].name;
		client_open_with(&client, &long_waits);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(rows[i].said);
		UNTIL(strcmp(client.log, rows[i].log) == 0);
		loop_rest(client.base);
		clock_pass(LONG_US);
		UNTIL(client.done_count == 1);
		(void)snprintf(log, sizeof(log), "%s%stimeout", rows[i].log,
		    rows[i].log[0] != '\0' ? " " : "");
		row_check(rows[i].name, strcmp(client.log, log) == 0);
		row_check(rows[i].name, client.sent);
		UNTIL(peer_over(&peer)); /* and the connection is not kept */
		peer_close(&peer);
		client_close(&client);
	}
}

/* Refuses every other piece, and wants it again at once. */
static bool stutter(struct client *client, size_t size)
{
	(void)size;
	if (++client->body_calls % 2 == 0)
		return true;
	transfer_resume(client->transfer);
	return false;
}

/* However fast a seller and an agent are: between two pauses the loop looks at its sockets, where
 * others may wait. */
static void what_is_resumed_lets_others_by(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);
	char *answer = text_repeat(OK "Content-Length: 2000000\r\n\r\n", "0123456789", 200000, "");
	size_t sent = 0;
	unsigned refused = 0;

	(void)state;
	client_open(&client);
	client.on_body = stutter;
	start(&client, "GET", NULL, 0);
	ACCEPT();
	while (client.done_count == 0) {
		unsigned before = client.body_calls;

		sent += peer_push(&peer, answer + sent, strlen(answer + sent));
		/* Once round, not until nothing is left. */
		event_base_loop(client.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* One that was refused, taken then, and the next one refused. */
		assert_true(client.body_calls - before <= 3);
		refused += (client.body_calls - before) / 2;
	}
	assert_true(refused > 10);
	assert_int_equal(client.result, TRANSFER_OK);
	assert_int_equal(client.body_size, 2000000);
	peer_close(&peer);
	client_close(&client);
	free(answer);
}

struct turns {
	struct client *streams;
	size_t count;
};

/* A piece of each answer is refused, and all that comes later taken. */
static bool refuse_first(struct client *client, size_t size)
{
	(void)size;
	return ++client->body_calls > 1;
}

static void resume_next(evutil_socket_t fd, short what, void *arg)
{
	struct turns *turns = arg;

	(void)fd;
	(void)what;
	transfer_resume(turns->streams[turns->count++].transfer);
}

/* However many agents have room again, one in each turn of the loop: what was resumed in front of
 * them is not put off. */
static void what_is_resumed_is_not_put_off(void **state)
{
	enum { STREAMS = 4 };
	struct client client, streams[STREAMS];
	struct peer peers[STREAMS];
	struct turns turns = {streams, 0};
	struct event *agent;

	(void)state;
	client_open(&client);
	for (size_t i = 0; i < STREAMS; i++) {
		struct peer peer = peer_of(-1);

		streams[i] = (struct client){.base = client.base,
		    .upstream = client.upstream,
		    .listen_fd = client.listen_fd,
		    .port = client.port,
		    .reach = client.reach,
		    .on_body = refuse_first};
		start(&streams[i], "GET", NULL, 0);
		ACCEPT();
		SAY(OK "Content-Length: 10\r\n\r\nhello");
		UNTIL(streams[i].body_calls == 1);
		peers[i] = peer;
	}
	agent = event_new(client.base, -1, 0, resume_next, &turns);
	while (turns.count < STREAMS) {
		event_active(agent, EV_WRITE, 1);
		event_base_loop(client.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		/* In the turn behind its own, at the latest. */
		for (size_t i = 0; i + 1 < turns.count; i++)
			assert_true(streams[i].body_calls > 1);
	}
	event_free(agent);
	for (size_t i = 0; i < STREAMS; i++) {
		transfer_cancel(&streams[i].transfer);
		peer_close(&peers[i]);
		free(streams[i].body);
	}
	client_close(&client);
}

/* 1xx and head fields that drip do not extend the one wait there is for a head. */
static void a_dripping_head_times_out(void **state)
{
	struct upstream_limits hasty = patient;
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	hasty.response_ms_max = 60;
	client_open_with(&client, &hasty);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	for (int i = 0; client.done_count == 0 && i < 2000; i++) {
		(void)peer_push(&peer, "HTTP/1.1 102 P\r\n\r\n", 18);
		loop_for(client.base, 5);
	}
	assert_string_equal(client.log, "timeout");
	peer_close(&peer);
	client_close(&client);
}

static void a_dripping_body_does_not(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open_with(&client, &long_waits);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	SAY(OK "Content-Length: 20\r\n\r\n");
	UNTIL(strcmp(client.log, "head") == 0);
	for (size_t i = 0; i < 20; i++) {
		clock_pass(LONG_US / 2);
		SAY("x");
		UNTIL(client.body_size == i + 1 || client.done_count == 1);
	}
	UNTIL(client.done_count == 1);
	assert_string_equal(client.log, "head body ok");
	peer_close(&peer);
	client_close(&client);
}

/* ... unless something waits for its end. */
static void a_hurried_body_times_out(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open_with(&client, &long_waits);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	SAY(OK "Content-Length: 2000\r\n\r\n");
	UNTIL(strcmp(client.log, "head") == 0);
	transfer_hurry(client.transfer);
	for (int i = 0; client.done_count == 0 && i < 20; i++) {
		size_t before = client.body_size;

		(void)peer_push(&peer, "x", 1);
		UNTIL(client.body_size > before || client.done_count == 1);
		clock_pass(LONG_US / 4);
	}
	assert_string_equal(client.log, "head body timeout");
	peer_close(&peer);
	client_close(&client);
}

/* A server that accepts and says nothing: TLS never comes about, nothing was sent. */
static void no_connection_in_time(void **state)
{
	struct upstream_limits hasty = patient;
	struct client client;
	char *url;

	(void)state;
	hasty.connect_ms_max = 50;
	client_open_with(&client, &hasty);
	url = must_format("https://127.0.0.1:%d/", client.port);
	start_url(&client, "GET", url, NULL, NULL, 0);
	UNTIL(client.done_count == 1);
	assert_string_equal(client.log, "unreachable");
	assert_false(client.sent);
	free(url);
	client_close(&client);
}

/* A server that takes no more of the request. */
static void an_upload_that_stalls_times_out(void **state)
{
	struct upstream_limits hasty = patient;
	struct client client;
	struct peer peer = peer_of(-1);
	struct spool *spool = spool_new("/tmp", 0, 64 << 20);
	static char block[1 << 20];

	(void)state;
	hasty.idle_ms_max = 50;
	client_open_with(&client, &hasty);
	for (int i = 0; i < 32; i++)
		assert_int_equal(spool_write(spool, block, sizeof(block)), SPOOL_OK);
	spool_finish(spool);
	start(&client, "POST", spool, spool_size(spool));
	ACCEPT();
	UNTIL(client.done_count == 1);
	assert_string_equal(client.log, "timeout");
	assert_true(client.sent);
	peer_close(&peer);
	client_close(&client);
	spool_free(&spool);
}

static bool refuse_piece(struct client *client, size_t size)
{
	(void)client;
	(void)size;
	return false;
}

static bool pause_and_take(struct client *client, size_t size)
{
	(void)size;
	transfer_pause(client->transfer);
	return true;
}

/* Neither a handler that has paused nor an agent that is slow to upload is timed. */
static void a_pause_is_not_timed(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = way < 2 ? NULL : spool_new("/tmp", 100, 100);

		client_open_with(&client, &long_waits);
		client.on_body = way == 0 ? refuse_piece : way == 1 ? pause_and_take : NULL;
		start(&client, "POST", spool, -1);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		if (way < 2) {
			SAY(OK "Content-Length: 5\r\n\r\nhe");
			UNTIL(strcmp(client.log, "head body") == 0);
		}
		loop_rest(client.base);
		clock_pass(2 * LONG_US);
		loop_for(client.base, 5);
		assert_int_equal(client.done_count, 0);
		client.on_body = NULL;
		if (way < 2) {
			transfer_resume(client.transfer);
			SAY("llo");
		} else {
			spool_finish(spool);
			transfer_body_ready(client.transfer);
			SAY(OK "Content-Length: 5\r\n\r\nhello");
		}
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, way == 0 ? "head body body ok" : "head body ok");
		assert_string_equal(client.body, "hello");
		peer_close(&peer);
		client_close(&client);
		spool_free(&spool);
	}
}

/* --- the request body --- */

static void a_growing_spool(void **state)
{
	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = spool_new("/tmp", 4, 100); /* goes on into the file */

		client_open(&client);
		start(&client, "POST", spool, chunked ? -1 : 6);
		transfer_body_ready(client.transfer); /* too early is harmless */
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		loop_for(client.base, 5);
		assert_int_equal(spool_write(spool, "ab", 2), SPOOL_OK);
		transfer_body_ready(client.transfer);
		UNTIL(peer_has(&peer, chunked ? "\r\n\r\n2\r\nab\r\n" : "\r\n\r\nab"));
		transfer_body_ready(client.transfer); /* nothing new is harmless */
		loop_for(client.base, 5);
		assert_int_equal(spool_write(spool, "cdef", 4), SPOOL_OK);
		transfer_body_ready(client.transfer);
		UNTIL(peer_has(&peer, chunked ? "ab\r\n4\r\ncdef\r\n" : "abcdef"));
		loop_for(client.base, 5);
		spool_finish(spool);
		transfer_body_ready(client.transfer);
		if (chunked)
			UNTIL(peer_has(&peer, "cdef\r\n0\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, "head body ok");
		peer_close(&peer);
		client_close(&client);
		spool_free(&spool);
	}
}

static size_t wire_body_offset(const struct peer *peer)
{
	return (size_t)((char *)memmem(peer->in, peer->in_size, "\r\n\r\n", 4) + 4 - peer->in);
}

/* The same spool goes out twice, whole, as a retry with a payment does; in the second
 * round both at once. */
static void a_spool_is_replayed(void **state)
{
	size_t size = 3000000;
	char *bytes = must_alloc(size);
	struct client client;
	struct peer peers[2] = {peer_of(-1), peer_of(-1)};
	struct spool *spool = spool_new("/tmp", 1000, (int64_t)size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 % 253);
	assert_int_equal(spool_write(spool, bytes, size), SPOOL_OK);
	spool_finish(spool);
	client_open(&client);
	for (unsigned i = 0; i < 2; i++) {
		struct peer peer = peer_of(-1);

		forget(&client);
		start(&client, "POST", spool, (int64_t)size);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		UNTIL((peer_pull(&peer, SIZE_MAX), peer.in_size == wire_body_offset(&peer) + size));
		assert_memory_equal(peer.in + wire_body_offset(&peer), bytes, size);
		SAY("HTTP/1.1 402 Pay\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		UNTIL(client.done_count == i + 1);
		assert_string_equal(client.log, "head ok");
		peer_close(&peer);
	}
	{
		struct transfer *first;

		start(&client, "POST", spool, (int64_t)size);
		first = client.transfer;
		start(&client, "POST", spool, (int64_t)size);
		UNTIL(peer_accept(&peers[0], client.listen_fd));
		UNTIL(peer_accept(&peers[1], client.listen_fd));
		for (int i = 0; i < 2; i++) {
			struct peer peer = peers[i];

			UNTIL(peer_has(&peer, "\r\n\r\n"));
			UNTIL((peer_pull(&peer, SIZE_MAX),
			    peer.in_size == wire_body_offset(&peer) + size));
			assert_memory_equal(peer.in + wire_body_offset(&peer), bytes, size);
			peers[i] = peer;
		}
		transfer_cancel(&first);
		peer_close(&peers[0]);
		peer_close(&peers[1]);
	}
	client_close(&client);
	spool_free(&spool);
	free(bytes);
}

static void a_short_spool_is_broken(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = spool_new("/tmp", 100, 100);

		client_open(&client);
		assert_int_equal(spool_write(spool, "abc", 3), SPOOL_OK);
		if (!late)
			spool_finish(spool);
		start(&client, "POST", spool, 5);
		ACCEPT();
		if (late) {
			UNTIL(peer_has(&peer, "abc"));
			spool_finish(spool);
			transfer_body_ready(client.transfer);
		}
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, "broken");
		assert_true(client.sent);
		peer_close(&peer);
		client_close(&client);
		spool_free(&spool);
	}
}

/* More in the spool than was announced does not leave. */
static void a_long_spool_is_cut_to_its_size(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);
	struct spool *spool = spool_of("hello and more");

	(void)state;
	client_open(&client);
	start(&client, "POST", spool, 5);
	ACCEPT();
	UNTIL(peer_has(&peer, "\r\n\r\nhello"));
	loop_for(client.base, 5);
	assert_false(peer_has(&peer, "hello "));
	SAY("HTTP/1.1 204 No\r\n\r\n");
	UNTIL(client.done_count == 1);
	assert_string_equal(client.log, "head ok");
	peer_close(&peer);
	client_close(&client);
	spool_free(&spool);
}

/* A 402 while the agent is still uploading: the answer comes through to its end. */
static void an_early_refusal_ends_a_paused_upload(void **state)
{
	(void)state;
	for (int chunked = 0; chunked < 2; chunked++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = spool_new("/tmp", 100, 100);

		peer_row = chunked ? "chunked" : "length";
		client_open(&client);
		assert_int_equal(spool_write(spool, "abc", 3), SPOOL_OK);
		start(&client, "POST", spool, chunked ? -1 : 10);
		ACCEPT();
		UNTIL(peer_has(&peer, "abc"));
		loop_for(client.base, 5);
		SAY("HTTP/1.1 402 Pay\r\nContent-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, "head body ok");
		UNTIL(peer_over(&peer)); /* that connection cannot be used again */
		peer_close(&peer);
		client_close(&client);
		spool_free(&spool);
	}
}

/* The server hangs up in the middle of the upload. */
static void a_hang_up_during_the_upload(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = spool_new("/tmp", 0, 64 << 20);
		static char block[1 << 20];

		client_open(&client);
		for (int i = 0; i < (way < 2 ? 32 : 1); i++)
			assert_int_equal(spool_write(spool, block, sizeof(block)), SPOOL_OK);
		if (way < 2)
			spool_finish(spool); /* else curl waits for more of it */
		start(&client, "POST", spool, -1);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		loop_for(client.base, 20);
		if (way % 2)
			peer_reset(&peer);
		else
			peer_close(&peer);
		loop_for(client.base, 20);
		if (client.done_count == 0) {
			/* A paused upload does not watch its socket; going on, it finds out. */
			assert_true(way >= 2);
			assert_int_equal(spool_write(spool, block, sizeof(block)), SPOOL_OK);
			transfer_body_ready(client.transfer);
		}
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, "broken");
		assert_true(client.sent);
		client_close(&client);
		spool_free(&spool);
	}
}

/* --- back-pressure --- */

#define STREAM_SIZE 50000000

static size_t stream_pushed;

/* Keep the server's side of a 50 MB body going. */
static bool stream_push(struct peer *peer)
{
	static char block[100000];
	size_t size = STREAM_SIZE - stream_pushed;

	if (size > sizeof(block))
		size = sizeof(block);
	stream_pushed += peer_push(peer, block, size);
	return true;
}

static unsigned piece_count;

static bool every_third_is_refused(struct client *client, size_t size)
{
	(void)client;
	(void)size;
	return ++piece_count % 3 != 0;
}

static bool each_is_paused(struct client *client, size_t size)
{
	(void)size;
	transfer_pause(client->transfer);
	piece_count++;
	return true;
}

static bool each_is_paused_and_resumed(struct client *client, size_t size)
{
	(void)size;
	transfer_pause(client->transfer);
	transfer_resume(client->transfer);
	return ++piece_count % 2 != 0;
}

static void a_slow_reader_holds_the_server_back(void **state)
{
	static bool (*const ways[])(struct client *, size_t) = {
	    every_third_is_refused, each_is_paused, each_is_paused_and_resumed};

	(void)state;
	for (size_t way = 0; way < COUNT(ways); way++) {
		struct client client;
		struct peer peer = peer_of(-1);
		size_t held;

		client_open(&client);
		client.on_body = refuse_piece;
		client.body = must_alloc(STREAM_SIZE + 1);
		client.body_capacity = STREAM_SIZE + 1;
		start(&client, "GET", NULL, 0);
		ACCEPT();
		SAY(OK "Content-Length: 50000000\r\n\r\n");
		stream_pushed = 0;
		for (int i = 0; i < 300; i++) {
			stream_push(&peer);
			loop_turn(client.base);
		}
		held = stream_pushed;
		assert_true(held < STREAM_SIZE / 2); /* the kernel's buffers */
		assert_int_equal(client.body_size, 0);
		client.on_body = ways[way];
		while (client.done_count == 0) {
			transfer_resume(client.transfer);
			stream_push(&peer);
			loop_turn(client.base);
		}
		assert_int_equal(client.result, TRANSFER_OK);
		assert_int_equal(client.body_size, STREAM_SIZE);
		peer_close(&peer);
		client_close(&client);
	}
}

/* While paused not even one callback comes, and a resume brings the same piece. */
static void a_refused_piece_comes_again(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	client.on_body = refuse_piece;
	start(&client, "GET", NULL, 0);
	ACCEPT();
	SAY(OK "Content-Length: 5\r\n\r\nhe");
	UNTIL(strcmp(client.log, "head body") == 0);
	SAY("llo");
	loop_for(client.base, 10);
	assert_string_equal(client.log, "head body");
	transfer_resume(client.transfer);
	UNTIL(strcmp(client.log, "head body body") == 0);
	loop_for(client.base, 10);
	assert_string_equal(client.log, "head body body");
	client.on_body = NULL;
	transfer_resume(client.transfer);
	transfer_resume(client.transfer);
	UNTIL(client.done_count == 1);
	assert_string_equal(client.body, "hello");
	assert_int_equal(client.result, TRANSFER_OK);
	peer_close(&peer);
	client_close(&client);
}

/* --- cancelling --- */

static void cancel(struct client *client)
{
	transfer_cancel(&client->transfer);
	assert_null(client->transfer);
}

static bool cancel_in_body(struct client *client, size_t size)
{
	cancel(client);
	return size % 2 == 0; /* either answer is fine */
}

static void cancel_and_start(struct client *client)
{
	client->on_head = NULL;
	client->on_body = NULL;
	client->on_done = NULL;
	if (client->transfer != NULL)
		cancel(client);
	start(client, "GET", NULL, 0);
}

static bool cancel_and_start_in_body(struct client *client, size_t size)
{
	(void)size;
	cancel_and_start(client);
	return true;
}

static void cancels_in_each_phase(void **state)
{
	static const struct {
		const char *name, *said;
		void (*head)(struct client *);
		bool (*body)(struct client *, size_t);
		const char *log;
	} rows[] = {
	    {"no answer", "", NULL, NULL, ""},
	    {"half a head", OK, NULL, NULL, ""},
	    {"in head", OK "Content-Length: 2\r\n\r\nhi", cancel, NULL, "head"},
	    {"in head, no body", "HTTP/1.1 204 No\r\n\r\n", cancel, NULL, "head"},
	    {"in body", OK "Content-Length: 2\r\n\r\nhi", NULL, cancel_in_body, "head body"},
	    {"in a part of it", OK "Content-Length: 5\r\n\r\nhel", NULL, cancel_in_body,
		"head body"},
	    {"between", OK "Content-Length: 5\r\n\r\nhe", NULL, NULL, "head body"},
	    {"while paused", OK "Content-Length: 5\r\n\r\nhe", NULL, refuse_piece, "head body"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct client client;
		struct peer peer = peer_of(-1);

		peer_row = rows[i].name;
		client_open(&client);
		client.on_head = rows[i].head;
		client.on_body = rows[i].body;
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(rows[i].said);
		UNTIL(strcmp(client.log, rows[i].log) == 0);
		loop_for(client.base, 3);
		if (client.transfer != NULL)
			cancel(&client);
		UNTIL(peer_over(&peer)); /* the connection goes with it */
		loop_for(client.base, 3);
		row_check(rows[i].name, strcmp(client.log, rows[i].log) == 0);
		peer_close(&peer);
		client_close(&client);
	}
}

/* A refused piece that comes again out of curl_easy_pause(), where curl tells errors to
 * its caller only. */
static void cancel_in_the_piece_that_comes_again(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	client.on_body = refuse_piece;
	start(&client, "GET", NULL, 0);
	ACCEPT();
	SAY(OK "Content-Length: 2\r\n\r\nhi");
	UNTIL(strcmp(client.log, "head body") == 0);
	client.on_body = cancel_in_body;
	transfer_resume(client.transfer);
	UNTIL(peer_over(&peer));
	assert_null(client.transfer);
	assert_string_equal(client.log, "head body body");
	peer_close(&peer);
	client_close(&client);
}

static void cancel_before_anything(void **state)
{
	struct client client;
	struct transfer *none = NULL;

	(void)state;
	client_open(&client);
	transfer_cancel(&none);
	start(&client, "GET", NULL, 0);
	cancel(&client);
	loop_for(client.base, 5);
	start(&client, "GET", NULL, 0);
	loop_turn(client.base);
	cancel(&client);
	loop_for(client.base, 5);
	start(&client, "GET", NULL, 0);
	cancel(&client); /* not even a turn of the loop before the end of all */
	assert_string_equal(client.log, "");
	client_close(&client);
}

/* Whatever else the loop does meanwhile. */
static void prepared_is_not_sent(void **state)
{
	char address[48];
	struct transfer_request request = {"GET", address, NULL, NULL, -1, REACH_ANY};
	struct transfer *prepared, *dropped;
	struct client client;
	struct peer peer = peer_of(-1), none = peer_of(-1);

	(void)state;
	client_open(&client);
	snprintf(address, sizeof(address), "http://127.0.0.1:%d/prepared", client.port);
	prepared = transfer_prepare(client.upstream, &request, &events, &client);
	dropped = transfer_prepare(client.upstream, &request, &events, &client);
	memset(address, 'x', sizeof(address) - 1); /* it has a copy */
	start(&client, "GET", NULL, 0);
	ACCEPT();
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	SAY(OK "Content-Length: 2\r\n\r\nhi");
	UNTIL(client.done_count == 1);
	transfer_cancel(&dropped);
	loop_for(client.base, 3);
	/* There is a connection now that it could go on. */
	assert_false(peer_has(&peer, "/prepared"));
	assert_false(peer_accept(&none, client.listen_fd));
	client.transfer = prepared;
	transfer_send(prepared);
	UNTIL(peer_has(&peer, "GET /prepared HTTP/1.1\r\n"));
	SAY(OK "Content-Length: 2\r\n\r\nho");
	UNTIL(client.done_count == 2);
	/* One that is cancelled before the end of all, without a turn of the loop. */
	memcpy(address, "http://127.0.0.1:1/", sizeof("http://127.0.0.1:1/"));
	client.transfer = transfer_prepare(client.upstream, &request, &events, &client);
	peer_close(&peer);
	client_close(&client);
}

/* The retry after a 402 is started from inside `head`, and so on. */
static void a_new_one_starts_in_each_callback(void **state)
{
	(void)state;
	for (int which = 0; which < 3; which++) {
		struct client client;
		struct peer first = peer_of(-1);
		struct peer peer = peer_of(-1);

		client_open(&client);
		client.on_head = which == 0 ? cancel_and_start : NULL;
		client.on_body = which == 1 ? cancel_and_start_in_body : NULL;
		client.on_done = which == 2 ? cancel_and_start : NULL;
		start(&client, "GET", NULL, 0);
		UNTIL(peer_accept(&first, client.listen_fd));
		peer_say(client.base, &first,
		    "HTTP/1.1 402 Pay\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		forget(&client);
		SAY(OK "Content-Length: 2\r\n\r\nok");
		UNTIL(client.status == 200 && client.transfer == NULL);
		assert_string_equal(client.log, "head body ok");
		assert_string_equal(client.body, "ok");
		peer_close(&first);
		peer_close(&peer);
		client_close(&client);
	}
}

/* --- where it may go --- */

static bool nobody_came(struct client *client)
{
	struct peer peer = peer_of(-1);

	if (!peer_accept(&peer, client->listen_fd))
		return true;
	peer_close(&peer);
	return false;
}

static void no_byte_leaves_the_reach(void **state)
{
	static const struct {
		const char *url;
		unsigned reach;
		const char *reason;
	} rows[] = {
	    {"http://localhost", REACH_PUBLIC, "this machine"},
	    {"https://localhost", REACH_PUBLIC | REACH_PRIVATE | REACH_LINK, "this machine"},
	    {"http://127.0.0.1", REACH_PUBLIC, "this machine"},
	    {"http://127.0.0.1", 0, "this machine"},
	    {"http://[::ffff:127.0.0.1]", REACH_PUBLIC, "this machine"},
	    {"http://0.0.0.0", REACH_VOUCHED, "no one's"},
	    {"http://169.254.169.254", REACH_VOUCHED, "metadata"},
	    {"http://[fd00:ec2::254]", REACH_VOUCHED, "metadata"},
	    {"http://10.1.2.3", REACH_PUBLIC | REACH_LOOPBACK, "a private network"},
	    {"http://8.8.8.8", REACH_LOOPBACK, "a public address"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct client client;
		char *url;

		peer_row = rows[i].url;
		client_open(&client);
		url = must_format("%s:%d/x", rows[i].url, client.port);
		client.reach = rows[i].reach;
		start_url(&client, "GET", url, NULL, NULL, 0);
		UNTIL(client.done_count == 1);
		row_check(rows[i].url, client.result == TRANSFER_FORBIDDEN);
		row_check(rows[i].url, strstr(client.reason, rows[i].reason) != NULL);
		row_check(rows[i].url, !client.sent);
		row_check(rows[i].url, nobody_came(&client));
		free(url);
		client_close(&client);
	}
}

/* A connection is kept for a name; the next request to that name may not go so far. */
static void a_kept_connection_is_asked_again(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	start(&client, "GET", NULL, 0);
	ACCEPT();
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	SAY("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	UNTIL(client.done_count == 1);
	peer_forget(&peer);
	client.reach = REACH_PUBLIC;
	start(&client, "GET", NULL, 0);
	UNTIL(client.done_count == 2);
	assert_int_equal(client.result, TRANSFER_FORBIDDEN);
	assert_false(client.sent);
	peer_pull(&peer, SIZE_MAX);
	assert_int_equal(peer.in_size, 0);
	assert_true(nobody_came(&client));
	peer_close(&peer);
	client_close(&client);
}

/* --- kept connections --- */

static void connections_are_kept(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);
	struct peer none = peer_of(-1);

	(void)state;
	client_open(&client);
	for (unsigned i = 1; i <= 3; i++) {
		struct spool *spool = spool_of("hello");

		start(&client, i == 2 ? "POST" : "GET", i == 2 ? spool : NULL, 5);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		peer_forget(&peer);
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == i);
		assert_int_equal(client.result, TRANSFER_OK);
		spool_free(&spool);
	}
	assert_false(peer_accept(&none, client.listen_fd));
	peer_close(&peer);
	client_close(&client);
}

/* An answer that nobody asked for would be the next request's, and that one's answer the one's
 * after it: the connection is given up instead, for a request that may not be repeated too. */
static void an_answer_before_its_request_is_nobodys(void **state)
{
	static const char *const methods[] = {"GET", "POST"};
	static const char *const unasked[] = {OK "Content-Length: 4\r\n\r\nevil",
	    "HTTP/1.1 100 Continue\r\n\r\n", "x"};

	(void)state;
	for (size_t i = 0; i < COUNT(methods) * COUNT(unasked); i++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct peer old;

		peer_row = unasked[i / COUNT(methods)];
		client_open(&client);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		SAY(unasked[i / COUNT(methods)]);
		UNTIL(peer_pull(&peer, SIZE_MAX) && (peer.closed || peer.error != 0));
		old = peer;
		peer = peer_of(-1);
		forget(&client);
		start(&client, methods[i % COUNT(methods)], NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 4\r\n\r\ngood");
		UNTIL(client.done_count == 2);
		assert_int_equal(client.result, TRANSFER_OK);
		assert_string_equal(client.body, "good");
		peer_close(&peer);
		peer_close(&old);
		client_close(&client);
	}
}

/* Where the seller hangs up between two requests the second goes out once, elsewhere. */
static void a_peer_that_closes_at_rest(void **state)
{
	static const char *const methods[] = {"GET", "POST"};

	(void)state;
	for (size_t i = 0; i < COUNT(methods); i++) {
		struct client client;
		struct peer peer = peer_of(-1);

		peer_row = methods[i];
		client_open(&client);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		peer_close(&peer);
		peer = peer_of(-1);
		loop_for(client.base, 2);
		start(&client, methods[i], NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 2);
		assert_int_equal(client.result, TRANSFER_OK);
		peer_close(&peer);
		client_close(&client);
	}
}

/* The same where the loop has not looked yet, when the next request is ready to go out. */
static void an_answer_at_the_last_moment_is_nobodys(void **state)
{
	static const char *const methods[] = {"GET", "POST"};
	static const char unasked[] = OK "Content-Length: 4\r\n\r\nevil";

	(void)state;
	for (size_t i = 0; i < COUNT(methods); i++) {
		struct client client;
		struct peer peer = peer_of(-1), old;
		struct spool *spool = i == 0 ? NULL : spool_of("hello");

		peer_row = methods[i];
		client_open(&client);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		old = peer;
		peer = peer_of(-1);
		forget(&client);
		start(&client, methods[i], spool, 5);
		assert_int_equal(peer_push(&old, unasked, strlen(unasked)), strlen(unasked));
		ACCEPT();
		UNTIL(peer_has(&peer, i == 0 ? "\r\n\r\n" : "\r\n\r\nhello"));
		SAY(OK "Content-Length: 4\r\n\r\ngood");
		UNTIL(client.done_count == 2);
		assert_int_equal(client.result, TRANSFER_OK);
		assert_string_equal(client.body, "good");
		peer_close(&peer);
		peer_close(&old);
		client_close(&client);
		spool_free(&spool);
	}
}

/* A connection of which nothing is wanted because its agent does not read is not at rest. */
static void a_pause_is_no_rest(void **state)
{
	struct client client;
	struct peer peer = peer_of(-1);

	(void)state;
	client_open(&client);
	for (unsigned i = 1; i <= 3; i++) {
		forget(&client);
		client.on_body = refuse_piece;
		start(&client, "GET", NULL, 0);
		if (i == 1)
			ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		peer_forget(&peer);
		SAY(OK "Content-Length: 6\r\n\r\nab");
		UNTIL(strcmp(client.log, "head body") == 0);
		SAY("cd");
		loop_for(client.base, 2);
		SAY("ef");
		loop_for(client.base, 2);
		client.on_body = NULL;
		transfer_resume(client.transfer);
		UNTIL(client.done_count == i);
		if (client.result != TRANSFER_OK)
			fail_msg("request %u: %s", i, client.reason);
		assert_string_equal(client.body, "abcdef");
	}
	peer_close(&peer);
	client_close(&client);
}

/* A kept connection dies just as it is used again. What is safe is sent again; what acts
 * is not, with a body or without. */
static void a_request_that_acts_is_sent_once(void **state)
{
	static const struct {
		const char *method;
		const char *body;
		bool again;
	} rows[] = {
	    {"GET", NULL, true},
	    {"HEAD", NULL, true},
	    {"OPTIONS", "hello", true},
	    {"POST", NULL, false},
	    {"POST", "hello", false},
	    {"DELETE", NULL, false},
	    {"BREW", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct client client;
		struct peer peer = peer_of(-1);
		struct spool *spool = rows[i].body == NULL ? NULL : spool_of(rows[i].body);

		peer_row = rows[i].method;
		client_open(&client);
		start(&client, "GET", NULL, 0);
		ACCEPT();
		UNTIL(peer_has(&peer, "\r\n\r\n"));
		SAY(OK "Content-Length: 2\r\n\r\nhi");
		UNTIL(client.done_count == 1);
		peer_forget(&peer);
		forget(&client);
		start(&client, rows[i].method, spool, 5);
		UNTIL(peer_has(&peer, rows[i].body == NULL ? "\r\n\r\n" : rows[i].body));
		peer_close(&peer); /* after it was read, without an answer */
		if (rows[i].again) {
			ACCEPT();
			UNTIL(peer_has(&peer, rows[i].body == NULL ? "\r\n\r\n" : rows[i].body));
			SAY("HTTP/1.1 204 No\r\n\r\n");
		}
		UNTIL(client.done_count == 2);
		if (strcmp(client.log, rows[i].again ? "head ok" : "broken") != 0)
			fail_msg("row \"%s\": log \"%s\" (%s)", rows[i].method, client.log,
			    client.reason);
		row_check(rows[i].method, client.sent);
		if (!rows[i].again) {
			loop_for(client.base, 10);
			/* at most a connection, never the request */
			if (peer_accept(&peer, client.listen_fd))
				row_check(rows[i].method, !peer_has(&peer, "HTTP"));
		}
		peer_close(&peer);
		client_close(&client);
		spool_free(&spool);
	}
}

static void loopback_in_ipv6(void **state)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t size = sizeof(address);
	struct client client;
	struct peer peer = peer_of(-1);
	char *url;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0)
		skip(); /* a machine without IPv6 */
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	client_open(&client);
	url = must_format("http://[::1]:%d/", ntohs(address.sin6_port));
	start_url(&client, "GET", url, NULL, NULL, 0);
	UNTIL(peer_accept(&peer, fd));
	UNTIL(peer_has(&peer, "\r\n\r\n"));
	SAY(OK "Content-Length: 5\r\n\r\nhe");
	UNTIL(client.body_size == 2);
	assert_true(transfer_peer_loopback(client.transfer));
	peer_close(&peer);
	client_close(&client);
	close(fd);
	free(url);
}

/* --- https --- */

struct tls_server {
	pthread_t thread;
	SSL_CTX *context;
	int listen_fd;
	char request[1024];
};

static X509 *certificate_make(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *name;
	X509_EXTENSION *extension;

	must(certificate != NULL && X509_set_version(certificate, 2) == 1);
	must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1);
	must(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL);
	must(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
	must(X509_set_pubkey(certificate, key) == 1);
	name = X509_get_subject_name(certificate);
	must(X509_NAME_add_entry_by_txt(
		 name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0) == 1);
	must(X509_set_issuer_name(certificate, name) == 1);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
	must(X509_sign(certificate, key, EVP_sha256()) != 0);
	return certificate;
}

/* Serves one connection, with one answer, on a thread of its own. */
static void *tls_serve(void *arg)
{
	struct tls_server *server = arg;
	static const char answer[] = OK "Content-Length: 2\r\n\r\nhi";
	int fd = accept(server->listen_fd, NULL, NULL);
	SSL *ssl = SSL_new(server->context);
	size_t size = 0;

	must(fd >= 0 && ssl != NULL && SSL_set_fd(ssl, fd) == 1);
	if (SSL_accept(ssl) == 1) {
		while (strstr(server->request, "\r\n\r\n") == NULL) {
			int got = SSL_read(
			    ssl, server->request + size, (int)(sizeof(server->request) - 1 - size));

			if (got <= 0)
				break;
			size += (size_t)got;
		}
		if (size > 0)
			(void)SSL_write(ssl, answer, (int)strlen(answer));
		(void)SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static void https(void **state)
{
	char *ca_file = must_format("%s/ca.pem", (const char *)*state);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = certificate_make(key);
	FILE *file = fopen(ca_file, "w");

	must(file != NULL && PEM_write_X509(file, certificate) == 1);
	fclose(file);
	for (int trusted = 0; trusted < 2; trusted++) {
		struct upstream_limits limits = patient;
		struct tls_server server = {.listen_fd = -1};
		struct client client;
		char *url;

		server.context = SSL_CTX_new(TLS_server_method());
		must(SSL_CTX_use_certificate(server.context, certificate) == 1);
		must(SSL_CTX_use_PrivateKey(server.context, key) == 1);
		server.listen_fd = peer_listen();
		must(fcntl(server.listen_fd, F_SETFL, 0) == 0);
		limits.ca_file = trusted ? ca_file : NULL;
		client_open_with(&client, &limits);
		must(pthread_create(&server.thread, NULL, tls_serve, &server) == 0);
		url = must_format("https://127.0.0.1:%d/secret", port_of(server.listen_fd));
		start_url(&client, "GET", url, NULL, NULL, 0);
		assert_true(transfer_peer_secure(client.transfer));
		UNTIL(client.done_count == 1);
		assert_string_equal(client.log, trusted ? "head body ok" : "unreachable");
		assert_int_equal(client.sent, trusted);
		client_close(&client);
		must(pthread_join(server.thread, NULL) == 0);
		/* Nothing of a request reaches a server that is not who it says. */
		assert_int_equal(
		    strncmp(server.request, "GET /secret HTTP/1.1\r\n", 22) == 0, trusted);
		close(server.listen_fd);
		SSL_CTX_free(server.context);
		free(url);
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	free(ca_file);
}

/* --- the rest --- */

static void names_of_results(void **state)
{
	(void)state;
	assert_string_equal(transfer_result_str(TRANSFER_OK), "ok");
	assert_string_equal(transfer_result_str(TRANSFER_UNREACHABLE), "unreachable");
	assert_string_equal(transfer_result_str(TRANSFER_TIMEOUT), "timeout");
	assert_string_equal(transfer_result_str(TRANSFER_BROKEN), "broken");
	assert_string_equal(transfer_result_str(TRANSFER_FORBIDDEN), "forbidden");
	assert_string_equal(transfer_result_str((enum transfer_result)99), "unknown");
}

static void freeing_under_way_is_our_mistake(void **state)
{
	struct client client;

	(void)state;
	client_open(&client);
	start(&client, "GET", NULL, 0);
	loop_turn(client.base);
	assert_aborts(upstream_free(&client.upstream));
	client_close(&client);
	upstream_free(&client.upstream); /* twice is fine */
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_as_they_go_out),
	    cmocka_unit_test(targets_as_they_go_out),
	    cmocka_unit_test(sellers_in_turn),
	    cmocka_unit_test(redirects_and_cookies_stay_where_they_are),
	    cmocka_unit_test(good_answers),
	    cmocka_unit_test(fields_of_the_answer),
	    cmocka_unit_test(bad_answers),
	    cmocka_unit_test(a_zero_byte_in_the_head_is_broken),
	    cmocka_unit_test(resets_are_broken),
	    cmocka_unit_test(unreachable),
	    cmocka_unit_test(time_outs),
	    cmocka_unit_test(a_dripping_head_times_out),
	    cmocka_unit_test(a_dripping_body_does_not),
	    cmocka_unit_test(what_is_resumed_lets_others_by),
	    cmocka_unit_test(what_is_resumed_is_not_put_off),
	    cmocka_unit_test(a_hurried_body_times_out),
	    cmocka_unit_test(no_connection_in_time),
	    cmocka_unit_test(an_upload_that_stalls_times_out),
	    cmocka_unit_test(a_pause_is_not_timed),
	    cmocka_unit_test(a_growing_spool),
	    cmocka_unit_test(a_spool_is_replayed),
	    cmocka_unit_test(a_short_spool_is_broken),
	    cmocka_unit_test(a_long_spool_is_cut_to_its_size),
	    cmocka_unit_test(an_early_refusal_ends_a_paused_upload),
	    cmocka_unit_test(a_hang_up_during_the_upload),
	    cmocka_unit_test(a_slow_reader_holds_the_server_back),
	    cmocka_unit_test(a_refused_piece_comes_again),
	    cmocka_unit_test(cancels_in_each_phase),
	    cmocka_unit_test(cancel_in_the_piece_that_comes_again),
	    cmocka_unit_test(cancel_before_anything),
	    cmocka_unit_test(prepared_is_not_sent),
	    cmocka_unit_test(a_new_one_starts_in_each_callback),
	    cmocka_unit_test(no_byte_leaves_the_reach),
	    cmocka_unit_test(a_kept_connection_is_asked_again),
	    cmocka_unit_test(connections_are_kept),
	    cmocka_unit_test(an_answer_before_its_request_is_nobodys),
	    cmocka_unit_test(an_answer_at_the_last_moment_is_nobodys),
	    cmocka_unit_test(a_peer_that_closes_at_rest),
	    cmocka_unit_test(a_pause_is_no_rest),
	    cmocka_unit_test(a_request_that_acts_is_sent_once),
	    cmocka_unit_test(loopback_in_ipv6),
	    IN_FOLDER(https),
	    cmocka_unit_test(names_of_results),
	    cmocka_unit_test(freeing_under_way_is_our_mistake),
	};

	signal(SIGPIPE, SIG_IGN);
	return unit_run(tests);
}
