/* One question to one endpoint, which may answer anything, or nothing. */
#include "proxy/rpc.h"

#include <zlib.h>

#include "proxy/transfer.h"
#include "tests/unit/proxy_node.h"

#define WAIT_US    INT64_C(20000000)
#define ANSWER_MAX 4096u

static const char *row = "-"; /* of the table, for messages */

struct bench {
	struct event_base *base;
	struct upstream *upstream;
	struct world world;
	struct node node;
	struct rpc *rpc;
	unsigned done_count;
	enum rpc_result result;
	int64_t code;
	char reason[RPC_REASON_SIZE];
	char value[256];
};

static void bench_open(struct bench *bench, const char *path, uint32_t request_ms_max)
{
	const struct upstream_limits limits = {
	    .connections_max = 4,
	    .connect_ms_max = 20000,
	    .response_ms_max = 20000,
	    .idle_ms_max = 20000,
	    .head_size_max = 65536,
	};
	char *url;

	*bench = (struct bench){.base = event_base_new(), .world = world_new(100, 2)};
	bench->upstream = upstream_new(bench->base, &limits);
	node_open(&bench->node, bench->base, &bench->world);
	url = must_format("http://127.0.0.1:%d%s", bench->node.port, path);
	bench->rpc = rpc_new(bench->base, bench->upstream, url, request_ms_max);
	free(url);
}

static void bench_close(struct bench *bench)
{
	rpc_free(&bench->rpc);
	assert_null(bench->rpc);
	upstream_free(&bench->upstream);
	node_close(&bench->node);
	event_base_free(bench->base);
}

static void on_answer(const struct rpc_answer *answer, void *arg)
{
	struct bench *bench = arg;
	char *text = answer->value == NULL ? NULL : json_dumps(answer->value, JSON_ENCODE_ANY);

	bench->done_count++;
	bench->result = answer->result;
	bench->code = answer->code;
	(void)snprintf(bench->reason, sizeof(bench->reason), "%s", answer->reason);
	(void)snprintf(bench->value, sizeof(bench->value), "%s", text == NULL ? "" : text);
	assert_int_equal(answer->value != NULL, answer->result == RPC_OK);
	free(text);
}

static void wait_done(struct bench *bench)
{
	int64_t until_us = clock_mono_us() + WAIT_US;

	while (bench->done_count == 0) {
		assert_int_equal(event_base_loop(bench->base, EVLOOP_ONCE), 0);
		if (clock_mono_us() > until_us)
			fail_msg("row \"%s\": no answer", row);
	}
	assert_int_equal(bench->done_count, 1);
}

static void ask(struct bench *bench)
{
	bench->done_count = 0;
	assert_non_null(
	    rpc_ask(bench->rpc, "eth_chainId", json_array(), ANSWER_MAX, on_answer, bench));
	assert_int_equal(bench->done_count, 0);
	wait_done(bench);
}

/* --- URLs --- */

static void urls(void **state)
{
	static const struct {
		const char *url, *origin;
		const char *reason; /* in it; NULL: good */
	} rows[] = {
	    {"https://rpc.example/v2/k3y", "https://rpc.example", NULL},
	    {"https://rpc.example", "https://rpc.example", NULL},
	    {"HTTPS://rpc.example:443/", "https://rpc.example", NULL},
	    {"https://rpc.example:8443/a?b=c&d", "https://rpc.example:8443", NULL},
	    {"https://127.0.0.1:8545", "https://127.0.0.1:8545", NULL},
	    {"http://127.0.0.1:8545", "http://127.0.0.1:8545", NULL},
	    {"http://127.9.9.9", "http://127.9.9.9", NULL},
	    {"http://localhost:8545/x", "http://localhost:8545", NULL},
	    {"http://[::1]:8545", "http://[::1]:8545", NULL},
	    {"http://rpc.example", "http://rpc.example", "plain http"},
	    {"http://10.0.0.1:8545", "http://10.0.0.1:8545", "plain http"},
	    {"http://128.0.0.1", "http://128.0.0.1", "plain http"},
	    {"http://0.0.0.0:8545", "http://0.0.0.0:8545", "plain http"},
	    {"http://[::]:8545", "http://[::]:8545", "plain http"},
	    {"http://[::ffff:10.0.0.1]", NULL, "plain http"},
	    {"http://localhost.evil.example", "http://localhost.evil.example", "plain http"},
	    {"http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example", "plain http"},
	    {"http://localhost@evil.example", "http://evil.example", "user name"},
	    {"https://user@rpc.example/", "https://rpc.example", "user name"},
	    {"https://user:secret@rpc.example/", "https://rpc.example", "user name"},
	    {"https://:secret@rpc.example/", "https://rpc.example", "user name"},
	    {"https://rpc.example/#x", "https://rpc.example", "'#'"},
	    {"https://rpc.example/a b", NULL, "blank"},
	    {"https://rpc.example/\xc3\xa4", "https://rpc.example", "ASCII"},
	    {"https://rpc.example/a\tb", NULL, "blank"},
	    {"ftp://rpc.example", "(not a URL)", "https://"},
	    {"file:///etc/passwd", "(not a URL)", "https://"},
	    {"ws://rpc.example", "(not a URL)", "https://"},
	    {"rpc.example", "(not a URL)", "https://"},
	    {"//rpc.example", "(not a URL)", "https://"},
	    {"https://", "(not a URL)", "https://"},
	    {"https:///path", "(not a URL)", "https://"},
	    {"https:rpc.example", "(not a URL)", "https://"},
	    {"https://rpc.example:99999", "(not a URL)", "https://"},
	    {"https://rpc.example:x", "(not a URL)", "https://"},
	    {"https://[::1", "(not a URL)", "https://"},
	    {"", "(not a URL)", "https://"},
	    {" https://rpc.example", "(not a URL)", "blank"},
	};
	char reason[RPC_REASON_SIZE], origin[RPC_ORIGIN_SIZE], *longest;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool ok = rpc_url_check(reason, rows[i].url);

		row_check(rows[i].url, ok == (rows[i].reason == NULL));
		if (!ok && strstr(reason, rows[i].reason) == NULL)
			fail_msg("row \"%s\": %s", rows[i].url, reason);
		row_check(rows[i].url, ok || strstr(reason, "secret") == NULL);
		rpc_url_origin(origin, rows[i].url);
		if (rows[i].origin != NULL)
			assert_string_equal(origin, rows[i].origin);
	}
	longest = must_format("https://rpc.example/%01003d", 0);
	assert_int_equal(strlen(longest), 1023);
	assert_true(rpc_url_check(reason, longest));
	free(longest);
	longest = must_format("https://rpc.example/%01004d", 0);
	assert_false(rpc_url_check(reason, longest));
	assert_non_null(strstr(reason, "1023"));
	free(longest);
}

static void what_may_not_be_asked_is_not(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, "", 20000);
	rpc_free(&bench.rpc);
	bench.rpc = rpc_new(bench.base, bench.upstream, "http://192.0.2.1/secret-key", 20000);
	ask(&bench);
	assert_int_equal(bench.result, RPC_FAILED);
	assert_non_null(strstr(bench.reason, "plain http"));
	assert_null(strstr(bench.reason, "secret"));
	bench_close(&bench);
}

/* --- answers --- */

static const char *lie_head, *lie_body;

/* The body is a format for the id of the question. */
static void lie_text(struct node *node, struct node_answer *answer)
{
	json_int_t id = json_integer_value(json_object_get(answer->root, "id"));
	char *text = NULL;
	const char *place = strstr(lie_body, "ID");

	(void)node;
	if (place != NULL)
		text = must_format(
		    "%.*s%lld%s", (int)(place - lie_body), lie_body, (long long)id, place + 2);
	answer_text(answer, lie_head, text == NULL ? lie_body : text);
	free(text);
}

#define OK        NODE_OK_HEAD
#define HTML      "HTTP/1.1 200 OK\r\nContent-Type: text/html"
#define STATUS(s) "HTTP/1.1 " s "\r\nContent-Type: application/json"
#define V2        "{\"jsonrpc\":\"2.0\",\"id\":ID,"
#define ERROR     "\"error\":{\"code\":-32005,\"message\":\"slow down\"}}"

static void answers(void **state)
{
	static const struct {
		const char *name, *head, *body;
		enum rpc_result result;
		const char *said; /* the value; or in the reason */
	} rows[] = {
	    {"a result", OK, V2 "\"result\":\"0x1\"}", RPC_OK, "\"0x1\""},
	    {"a result that is null", OK, V2 "\"result\":null}", RPC_OK, "null"},
	    {"a result and no error", OK, V2 "\"error\":null,\"result\":{}}", RPC_OK, "{}"},
	    {"more members", OK, V2 "\"x\":1,\"result\":[]}", RPC_OK, "[]"},
	    {"identity", OK "\r\nContent-Encoding: identity", V2 "\"result\":[]}", RPC_OK, "[]"},
	    {"an error", OK, V2 ERROR, RPC_ERROR, "error -32005: slow down"},
	    {"an error, result null", OK, V2 "\"result\":null," ERROR, RPC_ERROR, "slow down"},
	    {"an error with 400", STATUS("400 Bad Request"), V2 ERROR, RPC_ERROR, "slow down"},
	    {"an error with 500", STATUS("500 Oh"), V2 ERROR, RPC_ERROR, "slow down"},
	    {"an error without id", OK, "{\"jsonrpc\":\"2.0\",\"id\":null," ERROR, RPC_ERROR,
		"slow down"},
	    {"an empty error", OK, V2 "\"error\":{}}", RPC_ERROR, "error 0: "},
	    {"an error with odd members", OK, V2 "\"error\":{\"code\":\"1\",\"message\":5}}",
		RPC_ERROR, "error 0: "},
	    {"an error that breaks lines", OK,
		V2 "\"error\":{\"code\":1,\"message\":\"a\\r\\nb\\u0007c\\u00e4\"}}", RPC_ERROR,
		"error 1: a  b c  "},
	    {"an error that is text", OK, V2 "\"error\":\"no\"}", RPC_FAILED, "neither"},
	    {"an error that is text, and a result", OK, V2 "\"error\":\"no\",\"result\":1}",
		RPC_FAILED, "neither"},
	    {"both", OK, V2 "\"result\":1," ERROR, RPC_FAILED, "neither"},
	    {"neither", OK, V2 "\"x\":1}", RPC_FAILED, "neither"},
	    {"an error that is null alone", OK, V2 "\"error\":null}", RPC_FAILED, "neither"},
	    {"a result with 500", STATUS("500 Oh"), V2 "\"result\":1}", RPC_FAILED, "status"},
	    {"a result with 201", STATUS("201 Made"), V2 "\"result\":1}", RPC_FAILED, "status"},
	    {"another id", OK, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":1}", RPC_FAILED,
		"not an answer"},
	    {"another id, error", OK, "{\"jsonrpc\":\"2.0\",\"id\":99," ERROR, RPC_FAILED,
		"not an answer"},
	    {"an id that is text", OK, "{\"jsonrpc\":\"2.0\",\"id\":\"ID\",\"result\":1}",
		RPC_FAILED, "not an answer"},
	    {"an id with a fraction", OK, "{\"jsonrpc\":\"2.0\",\"id\":ID.0,\"result\":1}",
		RPC_FAILED, "not an answer"},
	    {"an id that is null, result", OK, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
		RPC_FAILED, "not an answer"},
	    {"no id", OK, "{\"jsonrpc\":\"2.0\",\"result\":1}", RPC_FAILED, "not an answer"},
	    {"version 1", OK, "{\"jsonrpc\":\"1.0\",\"id\":ID,\"result\":1}", RPC_FAILED,
		"not an answer"},
	    {"version a number", OK, "{\"jsonrpc\":2.0,\"id\":ID,\"result\":1}", RPC_FAILED,
		"not an answer"},
	    {"no version", OK, "{\"id\":ID,\"result\":1}", RPC_FAILED, "not an answer"},
	    {"a batch", OK, "[" V2 "\"result\":1}]", RPC_FAILED, "not an answer"},
	    {"text", OK, "\"result\"", RPC_FAILED, "not an answer"},
	    {"null", OK, "null", RPC_FAILED, "not an answer"},
	    {"two results", OK, V2 "\"result\":1,\"result\":2}", RPC_FAILED, "not JSON"},
	    {"two ids", OK, V2 "\"id\":5,\"result\":2}", RPC_FAILED, "not JSON"},
	    {"two inner keys", OK, V2 "\"result\":{\"a\":1,\"a\":1}}", RPC_FAILED, "not JSON"},
	    {"past int64", OK, V2 "\"result\":9223372036854775808}", RPC_FAILED, "not JSON"},
	    {"past double", OK, V2 "\"result\":1e999}", RPC_FAILED, "not JSON"},
	    {"a NUL in text", OK, V2 "\"result\":\"\\u0000\"}", RPC_FAILED, "not JSON"},
	    {"not UTF-8", OK, V2 "\"result\":\"\xff\"}", RPC_FAILED, "not JSON"},
	    {"deep", OK,
		V2 "\"result\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
		RPC_FAILED, "not JSON"},
	    {"cut short", OK, V2 "\"result\":\"0x1", RPC_FAILED, "not JSON"},
	    {"trailing text", OK, V2 "\"result\":1} x", RPC_FAILED, "not JSON"},
	    {"nothing", OK, "", RPC_FAILED, "not JSON"},
	    {"blanks", OK, " \n", RPC_FAILED, "not JSON"},
	    {"a page", HTML, "<html><body>Just a moment...</body></html>", RPC_FAILED, "not JSON"},
	    {"a page with 403", STATUS("403 No"), "<html>", RPC_FAILED, "HTTP status 403"},
	    {"429", STATUS("429 Too Many"), "slow down", RPC_FAILED, "HTTP status 429"},
	    {"429, nothing", STATUS("429 Too Many"), "", RPC_FAILED, "HTTP status 429"},
	    {"500", STATUS("500 Oh"), "", RPC_FAILED, "HTTP status 500"},
	    {"502", STATUS("502 Oh"), "<html>", RPC_FAILED, "HTTP status 502"},
	    {"404, a number", STATUS("404 None"), "1", RPC_FAILED, "HTTP status 404"},
	    {"a redirect", STATUS("302 There") "\r\nLocation: http://127.0.0.1:1/", "", RPC_FAILED,
		"HTTP status 302"},
	    {"402", STATUS("402 Pay"), V2 "\"result\":1}", RPC_FAILED, "status"},
	    {"gzip, said", OK "\r\nContent-Encoding: gzip", V2 "\"result\":1}", RPC_FAILED,
		"content coding"},
	};
	struct bench bench;

	(void)state;
	bench_open(&bench, "", 20000);
	bench.node.lie = lie_text;
	for (size_t i = 0; i < COUNT(rows); i++) {
		row = rows[i].name;
		lie_head = rows[i].head;
		lie_body = rows[i].body;
		ask(&bench);
		if (bench.result != rows[i].result)
			fail_msg(
			    "row \"%s\": %s %s", row, rpc_result_str(bench.result), bench.reason);
		if (bench.result == RPC_OK)
			assert_string_equal(bench.value, rows[i].said);
		else if (strstr(bench.reason, rows[i].said) == NULL)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, bench.code == (strstr(rows[i].said, "down") ? -32005
						 : strstr(row, "breaks")   ? 1
									   : 0));
	}
	bench_close(&bench);
}

static void lie_gzip(struct node *node, struct node_answer *answer)
{
	char *text = json_dumps(answer->root, JSON_COMPACT);
	uint8_t packed[1024];
	z_stream stream = {.next_in = (Bytef *)text,
	    .avail_in = (uInt)strlen(text),
	    .next_out = packed,
	    .avail_out = sizeof(packed)};

	(void)node;
	must(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	answer_raw(answer, lie_head, packed, stream.total_out);
	must(deflateEnd(&stream) == Z_OK);
	free(text);
}

static void compressed_answers_are_junk(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, "", 20000);
	bench.node.lie = lie_gzip;
	lie_head = NODE_OK_HEAD "\r\nContent-Encoding: gzip";
	ask(&bench);
	assert_string_equal(bench.reason, "junk: a content coding that was not asked for");
	lie_head = NODE_OK_HEAD;
	ask(&bench);
	assert_string_equal(bench.reason, "junk: not JSON within bounds");
	bench_close(&bench);
}

/* --- size and time --- */

static size_t lie_size;
static bool lie_chunked;

static void lie_large(struct node *node, struct node_answer *answer)
{
	static const char first[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}";
	char *text = must_alloc(lie_size + 1);

	(void)node;
	memset(text, ' ', lie_size);
	text[lie_size] = '\0';
	if (lie_chunked) {
		answer->raw = must_format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					  "%zx\r\n%s\r\n0\r\n\r\n",
		    lie_size, text);
		answer->raw_size = strlen(answer->raw);
	} else {
		memcpy(text, first, strlen(first));
		answer_raw(answer, NODE_OK_HEAD, text, lie_size);
	}
	free(text);
}

static void large_answers_are_cut_off(void **state)
{
	static const struct {
		const char *name;
		size_t size;
		bool chunked, ok;
	} rows[] = {
	    {"as large as may be", ANSWER_MAX, false, true},
	    {"one byte more", ANSWER_MAX + 1, false, false},
	    {"10 MB", 10u << 20, false, false},
	    {"10 MB in chunks", 10u << 20, true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;

		row = rows[i].name;
		lie_size = rows[i].size;
		lie_chunked = rows[i].chunked;
		bench_open(&bench, "", 20000);
		bench.node.lie = lie_large;
		ask(&bench);
		row_check(row, bench.result == (rows[i].ok ? RPC_OK : RPC_FAILED));
		row_check(row, rows[i].ok || strstr(bench.reason, "too large") != NULL);
		bench_close(&bench);
	}
}

static size_t lie_drip;

static void lie_hang(struct node *node, struct node_answer *answer)
{
	(void)node;
	answer->hang = lie_drip == 0;
	answer->drip = lie_drip;
}

static void slow_answers_are_given_up(void **state)
{
	struct bench bench;

	(void)state;
	for (lie_drip = 0; lie_drip < 120; lie_drip += 40) { /* nothing, half a head, half a body */
		bench_open(&bench, "", 50);
		bench.node.lie = lie_hang;
		ask(&bench);
		assert_int_equal(bench.result, RPC_FAILED);
		assert_string_equal(bench.reason, "no whole answer in time");
		bench_close(&bench);
	}
}

/* A byte each time the timer of the test comes: never idle, never done. */
static void on_drip(evutil_socket_t fd, short what, void *arg)
{
	struct node *node = arg;

	(void)fd;
	(void)what;
	for (struct node_talk *talk = node->talks; talk != NULL; talk = talk->next) {
		if (talk->stream != NULL)
			bufferevent_write(talk->stream, " ", 1);
	}
}

static void lie_drip_head(struct node *node, struct node_answer *answer)
{
	(void)node;
	answer->raw = must_strdup(NODE_OK_HEAD "\r\nContent-Length: 4000\r\n\r\n");
	answer->raw_size = strlen(answer->raw);
}

static void a_drip_is_no_answer(void **state)
{
	const struct timeval often = {0, 2000};
	struct bench bench;
	struct event *timer;

	(void)state;
	bench_open(&bench, "", 100);
	bench.node.lie = lie_drip_head;
	timer = event_new(bench.base, -1, EV_PERSIST, on_drip, &bench.node);
	event_add(timer, &often);
	ask(&bench);
	assert_string_equal(bench.reason, "no whole answer in time");
	event_free(timer);
	bench_close(&bench);
}

/* --- connections --- */

static void lie_close(struct node *node, struct node_answer *answer)
{
	(void)answer;
	if (node->number-- <= 0)
		return;
	answer->hang = true;
	bufferevent_free(node->talks->stream);
	node->talks->stream = NULL;
}

static void a_lost_connection_is_tried_again_once(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, "", 20000);
	ask(&bench);
	assert_int_equal(bench.result, RPC_OK);
	bench.node.lie = lie_close;
	bench.node.number = 1;
	ask(&bench);
	assert_int_equal(bench.result, RPC_OK);
	assert_int_equal(bench.node.method_count, 3);
	bench.node.number = 2;
	ask(&bench);
	assert_int_equal(bench.result, RPC_FAILED);
	assert_int_equal(bench.node.method_count, 5);
	bench_close(&bench);
}

static void nobody_listens(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, "/secret-key", 20000);
	evconnlistener_free(bench.node.listener);
	ask(&bench);
	assert_int_equal(bench.result, RPC_FAILED);
	assert_ptr_equal(strstr(bench.reason, "unreachable: "), bench.reason);
	assert_null(strstr(bench.reason, "secret"));
	bench.node.listener = NULL;
	rpc_free(&bench.rpc);
	upstream_free(&bench.upstream);
	event_base_free(bench.base);
}

/* --- keys --- */

static void lie_echo(struct node *node, struct node_answer *answer)
{
	(void)node;
	answer_error(answer, -1, lie_body);
}

static void keys_are_masked(void **state)
{
	static const struct {
		const char *path, *message, *reason;
	} rows[] = {
	    {"/v2/abcdef123456", "no such key abcdef123456", "error -1: no such key ************"},
	    {"/v2/abcdef123456", "ABCDEF123456 and abcdef123456",
		"error -1: ************ and ************"},
	    {"/?apikey=abcdef123456&x=123", "abcdef123456 123", "error -1: ************ 123"},
	    {"/v2/k3y", "v2 is no k3y", "error -1: v2 is no k3y"},
	    {"/a/bcdefg", "http://127.0.0.1/a/bcdefg", "error -1: http://127.0.0.1/a/******"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;

		bench_open(&bench, rows[i].path, 20000);
		bench.node.lie = lie_echo;
		lie_body = rows[i].message;
		ask(&bench);
		assert_string_equal(bench.reason, rows[i].reason);
		assert_null(strstr(rpc_origin(bench.rpc), "/v"));
		bench_close(&bench);
	}
}

static void a_key_is_masked_where_the_words_are_cut(void **state)
{
	struct bench bench;
	char *path = must_format("/%0900d", 7), *message = must_format("%90s%s", "", path);

	(void)state;
	bench_open(&bench, path, 20000);
	bench.node.lie = lie_echo;
	lie_body = message;
	ask(&bench);
	assert_non_null(strstr(bench.reason, "/****"));
	assert_null(strchr(strchr(bench.reason, ':'), '0'));
	free(path);
	free(message);
	bench_close(&bench);
}

/* --- several at once, and none --- */

static void on_count(const struct rpc_answer *answer, void *arg)
{
	unsigned *count = arg;

	assert_int_equal(answer->result, RPC_OK);
	(*count)++;
}

static void requests_side_by_side(void **state)
{
	struct bench bench;
	struct rpc_request *requests[3];
	unsigned count = 0;

	(void)state;
	bench_open(&bench, "", 20000);
	for (size_t i = 0; i < COUNT(requests); i++)
		requests[i] =
		    rpc_ask(bench.rpc, "eth_chainId", json_array(), ANSWER_MAX, on_count, &count);
	rpc_cancel(&requests[1]);
	assert_null(requests[1]);
	rpc_cancel(&requests[1]);
	while (count < 2)
		assert_int_equal(event_base_loop(bench.base, EVLOOP_ONCE), 0);
	bench_close(&bench);
	assert_int_equal(count, 2);
}

static void cancelled_at_every_moment(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct bench bench;
		struct rpc_request *request;

		bench_open(&bench, "", 20000);
		bench.node.lie = lie_hang;
		lie_drip = turns % 2 == 0 ? 0 : 75;
		request =
		    rpc_ask(bench.rpc, "eth_chainId", json_array(), ANSWER_MAX, on_answer, &bench);
		for (int i = 0; i < turns; i++)
			assert_true(event_base_loop(bench.base, EVLOOP_NONBLOCK) >= 0);
		rpc_cancel(&request);
		assert_int_equal(bench.done_count, 0);
		bench_close(&bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls),
	    cmocka_unit_test(what_may_not_be_asked_is_not),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(compressed_answers_are_junk),
	    cmocka_unit_test(large_answers_are_cut_off),
	    cmocka_unit_test(slow_answers_are_given_up),
	    cmocka_unit_test(a_drip_is_no_answer),
	    cmocka_unit_test(a_lost_connection_is_tried_again_once),
	    cmocka_unit_test(nobody_listens),
	    cmocka_unit_test(keys_are_masked),
	    cmocka_unit_test(a_key_is_masked_where_the_words_are_cut),
	    cmocka_unit_test(requests_side_by_side),
	    cmocka_unit_test(cancelled_at_every_moment),
	};

	return unit_run(tests);
}
