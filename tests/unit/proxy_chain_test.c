/* What chains are said to say, by endpoints that tell the truth and endpoints that lie. */
#include "proxy/chain.h"

#include "common/log.h"
#include "proxy/transfer.h"
#include "tests/unit/proxy_node.h"

#define NODES   3u
#define DEPTH   3
#define WAIT_US INT64_C(20000000)

static const char *row = "-"; /* of the table, for messages */

struct bench {
	struct event_base *base;
	struct upstream *upstream;
	struct world world;
	struct node nodes[NODES];
	struct chain *chain;
	struct assets *assets;
	struct chain_query query; /* signed in block 100 seconds ago, expired 40 seconds ago */
	/* What the last question came to. */
	unsigned done_count;
	enum chain_result result;
	char reason[CHAIN_REASON_SIZE];
	struct chain_finding findings[CHAIN_QUERIES_MAX];
	size_t count;
};

static struct address address_of(uint8_t last)
{
	return (struct address){{[0] = 0xab, [19] = last}};
}

/* Blocks come every two seconds; the payment was signed 200 s ago and expired 140 s ago. */
static void bench_open(struct bench *bench, size_t node_count, uint32_t request_ms_max)
{
	const struct upstream_limits limits = {
	    .connections_max = 8,
	    .connect_ms_max = 20000,
	    .response_ms_max = 20000,
	    .idle_ms_max = 20000,
	    .head_size_max = 65536,
	};
	char urls[256] = "";

	*bench = (struct bench){.base = event_base_new(), .assets = assets_new()};
	bench->upstream = upstream_new(bench->base, &limits);
	bench->world = world_new(1000, 2);
	for (size_t i = 0; i < node_count; i++) {
		size_t size = strlen(urls);

		node_open(&bench->nodes[i], bench->base, &bench->world);
		(void)snprintf(urls + size, sizeof(urls) - size, "%shttp://127.0.0.1:%d",
		    i > 0 ? " " : "", bench->nodes[i].port);
	}
	bench->chain = chain_new(bench->base, bench->upstream, WORLD_NETWORK, urls, request_ms_max);
	bench->query = (struct chain_query){
	    .asset = assets_default(bench->assets, WORLD_NETWORK),
	    .payer = address_of(1),
	    .payee = address_of(2),
	    .nonce = {7, 7, 7},
	    .value = uint256_of(50000),
	    .since_s = bench->world.time_s - 200,
	    .valid_before_s = bench->world.time_s - 140,
	};
}

static void bench_close(struct bench *bench)
{
	chain_free(&bench->chain);
	assert_null(bench->chain);
	upstream_free(&bench->upstream);
	for (size_t i = 0; i < NODES; i++) {
		if (bench->nodes[i].listener != NULL)
			node_close(&bench->nodes[i]);
	}
	assets_free(&bench->assets);
	event_base_free(bench->base);
}

static void on_fates(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct bench *bench = arg;

	bench->done_count++;
	bench->result = result;
	(void)snprintf(bench->reason, sizeof(bench->reason), "%s", reason);
	memcpy(bench->findings, findings, count * sizeof(*findings));
	bench->count = count;
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

static void ask_fates(struct bench *bench, const struct chain_query *queries, size_t count)
{
	bench->done_count = 0;
	chain_fates(bench->chain, queries, count, DEPTH, on_fates, bench);
	assert_int_equal(bench->done_count, 0);
	wait_done(bench);
}

static void truths(void **state)
{
	static const struct {
		const char *name;
		int64_t used, cancelled; /* block; 0: not */
		int64_t expired_s;       /* before the newest block; below 0: after it */
		enum chain_fate fate;
	} rows[] = {
	    {"used", 950, 0, 140, CHAIN_FATE_USED},
	    {"used, just deep enough", 997, 0, 2, CHAIN_FATE_USED},
	    {"used, not deep enough", 998, 0, 2, CHAIN_FATE_UNKNOWN},
	    {"used in the newest block", 1000, 0, -1, CHAIN_FATE_UNKNOWN},
	    {"cancelled", 0, 950, 140, CHAIN_FATE_CANCELLED},
	    {"cancelled, not deep enough", 0, 998, -60, CHAIN_FATE_UNKNOWN},
	    {"unused", 0, 0, 140, CHAIN_FATE_UNUSED},
	    {"unused, expired in the last block that counts", 0, 0, 6, CHAIN_FATE_UNUSED},
	    {"unused, expired a second later", 0, 0, 5, CHAIN_FATE_UNKNOWN},
	    {"unused, not expired", 0, 0, -10, CHAIN_FATE_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t nodes = 1; nodes <= NODES; nodes++) {
			struct bench bench;
			const struct chain_finding *finding = &bench.findings[0];

			row = rows[i].name;
			bench_open(&bench, nodes, 20000);
			bench.query.valid_before_s = bench.world.time_s - rows[i].expired_s;
			if (rows[i].used > 0)
				world_use(&bench.world, rows[i].used, &bench.query,
				    &bench.query.payee, bench.query.value);
			if (rows[i].cancelled > 0)
				world_cancel(&bench.world, rows[i].cancelled, &bench.query);
			ask_fates(&bench, &bench.query, 1);
			if (bench.result != CHAIN_OK)
				fail_msg("row \"%s\": %s", row, bench.reason);
			row_check(row, finding->fate == rows[i].fate);
			row_check(row, finding->endpoints == (nodes == 1 ? 1 : 2));
			row_check(
			    row, finding->transfer_matches == (rows[i].fate == CHAIN_FATE_USED));
			row_check(row, bench.world.asked < 40);
			bench_close(&bench);
		}
	}
}

/* --- lies --- */

enum lie_kind {
	LIE_RESULT, /* the text, as JSON, in place of the result */
	LIE_MEMBER, /* the text's members in place of the result's */
	LIE_ERROR,  /* an error object with that message */
	LIE_RAW,    /* HTTP: head, an empty line, body */
	LIE_LARGE,
	LIE_HANG,
	LIE_CLOSE,
	LIE_OTHER,
};

struct lie {
	const char *name;
	const char *method; /* NULL: all */
	enum lie_kind kind;
	const char *text;
	node_lie *other;
	const char *reason; /* in it, when it is alone */
};

static const struct lie *told; /* by the liar */

static void tell_close(struct node *node, struct node_answer *answer)
{
	answer->hang = true;
	for (struct node_talk *talk = node->talks; talk != NULL; talk = talk->next) {
		if (talk->stream == NULL)
			continue;
		bufferevent_free(talk->stream);
		talk->stream = NULL;
		return;
	}
}

static void tell_large(struct node_answer *answer)
{
	char *body = must_alloc((10u << 20) + 1);

	memset(body, ' ', 10u << 20);
	body[10u << 20] = '\0';
	answer_text(answer, NODE_OK_HEAD, body);
	free(body);
}

static void tell_raw(struct node_answer *answer, const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");
	char *top = must_strndup(text, (unsigned long)(body - text));

	answer_text(answer, top, body + 4);
	free(top);
}

static void tell(struct node *node, struct node_answer *answer)
{
	json_t *tree = NULL;

	if (told->method != NULL && strcmp(told->method, answer->method) != 0)
		return;
	if (told->kind == LIE_RESULT || told->kind == LIE_MEMBER) {
		tree = json_loads(told->text, JSON_DECODE_ANY, NULL);
		must(tree != NULL);
	}
	switch (told->kind) {
	case LIE_RESULT:
		answer_set(answer, json_incref(tree));
		break;
	case LIE_MEMBER:
		(void)json_object_update(json_object_get(answer->root, "result"), tree);
		break;
	case LIE_ERROR:
		answer_error(answer, -32000, told->text);
		break;
	case LIE_RAW:
		tell_raw(answer, told->text);
		break;
	case LIE_LARGE:
		tell_large(answer);
		break;
	case LIE_HANG:
		answer->hang = true;
		break;
	case LIE_CLOSE:
		tell_close(node, answer);
		break;
	case LIE_OTHER:
		told->other(node, answer);
		break;
	}
	json_decref(tree);
}

static json_t *result_of(struct node_answer *answer)
{
	return json_object_get(answer->root, "result");
}

static bool is(const struct node_answer *answer, const char *method)
{
	return strcmp(answer->method, method) == 0;
}

static int64_t time_of(const json_t *block)
{
	int64_t time_s = 0;

	must(chain_read_quantity(&time_s, json_object_get(block, "timestamp")));
	return time_s;
}

/* Blocks: their numbers, times, hashes. */

static void next_number(struct node *node, struct node_answer *answer)
{
	(void)node;
	if (json_is_object(result_of(answer)) && json_array_size(answer->params) == 2 &&
	    strcmp(json_string_value(json_array_get(answer->params, 0)), "latest") != 0)
		json_object_set_new(result_of(answer), "number",
		    chain_quantity(number_of(json_object_get(result_of(answer), "number"), 0) + 1));
}

static void shift_time(struct node_answer *answer, int64_t s)
{
	if (json_is_object(result_of(answer)))
		json_object_set_new(
		    result_of(answer), "timestamp", chain_quantity(time_of(result_of(answer)) + s));
}

static void far_future(struct node *node, struct node_answer *answer)
{
	(void)node;
	shift_time(answer, 100000);
}

static void near_future(struct node *node, struct node_answer *answer)
{
	(void)node;
	shift_time(answer, 800);
}

/* Blocks read by number are an hour later than the newest one. */
static void backwards(struct node *node, struct node_answer *answer)
{
	(void)node;
	if (strcmp(json_string_value(json_array_get(answer->params, 0)), "latest") != 0)
		shift_time(answer, 3600);
}

/* Each block asked for is a second later than the last time. */
static void restless(struct node *node, struct node_answer *answer)
{
	if (strcmp(json_string_value(json_array_get(answer->params, 0)), "latest") != 0)
		shift_time(answer, node->number-- % 2);
}

static void other_hash(struct node *node, struct node_answer *answer)
{
	char hash[CHAIN_TEXT_SIZE];

	(void)node;
	json_object_set_new(result_of(answer), "hash",
	    json_string(text_hash(
		hash, "fork", number_of(json_object_get(result_of(answer), "number"), 0))));
}

static void changing_hash(struct node *node, struct node_answer *answer)
{
	char hash[CHAIN_TEXT_SIZE];

	json_object_set_new(
	    result_of(answer), "hash", json_string(text_hash(hash, "fork", node->number++)));
}

/* Logs. */

static void bend_logs(struct node_answer *answer, const char *member, const char *text)
{
	size_t i;
	json_t *log;

	json_array_foreach (result_of(answer), i, log)
		json_object_set_new(log, member, json_loads(text, JSON_DECODE_ANY, NULL));
}

#define BEND(name, member, text)                                                                   \
	static void name(struct node *node, struct node_answer *answer)                            \
	{                                                                                          \
		(void)node;                                                                        \
		bend_logs(answer, member, text);                                                   \
	}
#define HASH "\"0x1212121212121212121212121212121212121212121212121212121212121212\""
BEND(logs_removed, "removed", "true")
BEND(logs_of_other_contract, "address", "\"0x1212121212121212121212121212121212121212\"")
BEND(logs_with_data, "data", HASH)
BEND(logs_of_other_event, "topics", "[" HASH "," HASH "," HASH "]")
BEND(logs_without_topics, "topics", "[]")
BEND(logs_too_early, "blockNumber", "\"0x1\"")
BEND(logs_too_late, "blockNumber", "\"0xfffff\"")
BEND(logs_of_other_block, "blockHash", HASH)
BEND(logs_of_other_transaction, "transactionHash", HASH)
BEND(logs_at_other_index, "logIndex", "\"0x77\"")

static void logs_twice(struct node *node, struct node_answer *answer)
{
	json_t *copy = json_deep_copy(result_of(answer));

	(void)node;
	(void)json_array_extend(result_of(answer), copy);
	json_decref(copy);
}

static void logs_without_end(struct node *node, struct node_answer *answer)
{
	json_t *logs = json_array();
	struct chain_log log = {.topic_count = 0};

	(void)node;
	for (int i = 0; i < 1000; i++)
		json_array_append_new(logs, truth_log(&log));
	answer_set(answer, logs);
}

/* Receipts. */

static void receipt_without_logs(struct node *node, struct node_answer *answer)
{
	(void)node;
	json_object_set_new(result_of(answer), "logs", json_array());
}

static void receipt_of_other_block(struct node *node, struct node_answer *answer)
{
	size_t i;
	json_t *log;

	(void)node;
	json_object_set_new(
	    result_of(answer), "blockHash", json_loads(HASH, JSON_DECODE_ANY, NULL));
	json_array_foreach (json_object_get(result_of(answer), "logs"), i, log)
		json_object_set_new(log, "blockHash", json_loads(HASH, JSON_DECODE_ANY, NULL));
}

static const struct lie junk[] = {
    {"chain 1", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, "wrong chain"},
    {"chain in decimal", "eth_chainId", LIE_RESULT, "\"84532\"", NULL, "chain id"},
    {"chain a number", "eth_chainId", LIE_RESULT, "84532", NULL, "chain id"},
    {"chain null", "eth_chainId", LIE_RESULT, "null", NULL, "chain id"},
    {"chain 2^64 further", "eth_chainId", LIE_RESULT, "\"0x10000000000014a34\"", NULL, "chain id"},
    {"block null", "eth_getBlockByNumber", LIE_RESULT, "null", NULL, "junk"},
    {"block true", "eth_getBlockByNumber", LIE_RESULT, "true", NULL, "junk"},
    {"block empty", "eth_getBlockByNumber", LIE_RESULT, "{}", NULL, "junk"},
    {"block pending", "eth_getBlockByNumber", LIE_MEMBER, "{\"hash\":null}", NULL, "junk"},
    {"block without time", "eth_getBlockByNumber", LIE_MEMBER, "{\"timestamp\":null}", NULL,
	"junk"},
    {"time with leading zero", "eth_getBlockByNumber", LIE_MEMBER, "{\"timestamp\":\"0x01\"}", NULL,
	"junk"},
    {"always block 0", "eth_getBlockByNumber", LIE_MEMBER, "{\"number\":\"0x0\"}", NULL,
	"too few blocks"},
    {"always block 5000", "eth_getBlockByNumber", LIE_MEMBER, "{\"number\":\"0x1388\"}", NULL,
	"junk"},
    {"the next block", "eth_getBlockByNumber", LIE_OTHER, NULL, next_number, "in place of"},
    {"far future", "eth_getBlockByNumber", LIE_OTHER, NULL, far_future, "future"},
    {"time backwards", "eth_getBlockByNumber", LIE_OTHER, NULL, backwards, "do not rise"},
    {"another block each time", "eth_getBlockByNumber", LIE_OTHER, NULL, changing_hash, ""},
    {"logs null", "eth_getLogs", LIE_RESULT, "null", NULL, "logs that are none"},
    {"logs an object", "eth_getLogs", LIE_RESULT, "{}", NULL, "logs that are none"},
    {"logs of numbers", "eth_getLogs", LIE_RESULT, "[1]", NULL, "a log that is none"},
    {"logs without end", "eth_getLogs", LIE_OTHER, NULL, logs_without_end, "more than"},
    {"error on everything", NULL, LIE_ERROR, "no", NULL, "error -32000: no"},
    {"error on chain", "eth_chainId", LIE_ERROR, "no", NULL, "error -32000: no"},
    {"error on blocks", "eth_getBlockByNumber", LIE_ERROR, "no", NULL, "error -32000: no"},
    {"error on logs", "eth_getLogs", LIE_ERROR, "no", NULL, "eth_getLogs: error -32000: no"},
    {"429", NULL, LIE_RAW, "HTTP/1.1 429 Too Many\r\n\r\n", NULL, "HTTP status 429"},
    {"500", NULL, LIE_RAW, "HTTP/1.1 500 Oh\r\n\r\n<html>", NULL, "HTTP status 500"},
    {"429 on logs", "eth_getLogs", LIE_RAW, "HTTP/1.1 429 Too Many\r\n\r\n", NULL, "429"},
    {"a page", NULL, LIE_RAW, "HTTP/1.1 200 OK\r\n\r\n<html>", NULL, "not JSON"},
    {"not HTTP", NULL, LIE_RAW, "SSH-2.0-OpenSSH\r\n\r\n", NULL, "broken"},
    {"gzip", NULL, LIE_RAW, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08", NULL,
	"coding"},
    {"10 MB", NULL, LIE_LARGE, NULL, NULL, "too large"},
    {"10 MB of logs", "eth_getLogs", LIE_LARGE, NULL, NULL, "too large"},
    {"hanging", NULL, LIE_HANG, NULL, NULL, "in time"},
    {"hanging on logs", "eth_getLogs", LIE_HANG, NULL, NULL, "in time"},
    {"hanging up", NULL, LIE_CLOSE, NULL, NULL, "broken"},
    {"hanging up on logs", "eth_getLogs", LIE_CLOSE, NULL, NULL, "broken"},
};

/* These show only where there is a log. */
static const struct lie log_junk[] = {
    {"logs removed", "eth_getLogs", LIE_OTHER, NULL, logs_removed, "was removed"},
    {"logs of another contract", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_contract,
	"not asked for"},
    {"logs with data", "eth_getLogs", LIE_OTHER, NULL, logs_with_data, "not asked for"},
    {"logs of another event", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_event, "not asked for"},
    {"logs without topics", "eth_getLogs", LIE_OTHER, NULL, logs_without_topics, "not asked for"},
    {"logs too early", "eth_getLogs", LIE_OTHER, NULL, logs_too_early, "not asked about"},
    {"logs too late", "eth_getLogs", LIE_OTHER, NULL, logs_too_late, "not asked about"},
    {"logs of another block", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_block,
	"not in its chain"},
    {"logs of another transaction", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_transaction,
	"without a receipt"},
    {"logs at another index", "eth_getLogs", LIE_OTHER, NULL, logs_at_other_index,
	"without a receipt"},
    {"logs twice", "eth_getLogs", LIE_OTHER, NULL, logs_twice, "twice"},
    {"receipt null", "eth_getTransactionReceipt", LIE_RESULT, "null", NULL, "receipt"},
    {"receipt of a failure", "eth_getTransactionReceipt", LIE_MEMBER, "{\"status\":\"0x0\"}", NULL,
	"receipt"},
    {"receipt without status", "eth_getTransactionReceipt", LIE_MEMBER, "{\"status\":null}", NULL,
	"receipt"},
    {"receipt of another transaction", "eth_getTransactionReceipt", LIE_MEMBER,
	"{\"transactionHash\":" HASH "}", NULL, "receipt"},
    {"receipt of another number", "eth_getTransactionReceipt", LIE_MEMBER,
	"{\"blockNumber\":\"0x3b7\"}", NULL, "receipt"},
    {"receipt of another block", "eth_getTransactionReceipt", LIE_OTHER, NULL,
	receipt_of_other_block, "receipt"},
    {"receipt without logs", "eth_getTransactionReceipt", LIE_OTHER, NULL, receipt_without_logs,
	"receipt"},
    {"no receipts", "eth_getTransactionReceipt", LIE_ERROR, "pruned", NULL, "pruned"},
    {"hanging on receipts", "eth_getTransactionReceipt", LIE_HANG, NULL, NULL, "in time"},
};

/* These show only where state is asked for. */
static const struct lie state_junk[] = {
    {"state 0x", "eth_call", LIE_RESULT, "\"0x\"", NULL, "neither true nor false"},
    {"state 0x0", "eth_call", LIE_RESULT, "\"0x0\"", NULL, "neither true nor false"},
    {"state null", "eth_call", LIE_RESULT, "null", NULL, "neither true nor false"},
    {"state false", "eth_call", LIE_RESULT, "false", NULL, "neither true nor false"},
    {"state 2", "eth_call", LIE_RESULT,
	"\"0x0000000000000000000000000000000000000000000000000000000000000002\"", NULL,
	"neither true nor false"},
    {"state of two words", "eth_call", LIE_RESULT,
	"\"0x0000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000\"",
	NULL, "neither true nor false"},
    {"state of 31 bytes", "eth_call", LIE_RESULT,
	"\"0x00000000000000000000000000000000000000000000000000000000000000\"", NULL,
	"neither true nor false"},
    {"no state", "eth_call", LIE_ERROR, "missing trie node", NULL, "missing trie node"},
    {"state reverts", "eth_call", LIE_ERROR, "execution reverted", NULL, "reverted"},
    {"state 500", "eth_call", LIE_RAW, "HTTP/1.1 500 Oh\r\n\r\n", NULL, "HTTP status 500"},
    {"hanging on state", "eth_call", LIE_HANG, NULL, NULL, "in time"},
};

enum scenario { UNUSED, USED, CANCELLED, SCENARIOS };

static enum chain_fate set_scene(struct bench *bench, enum scenario scenario)
{
	switch (scenario) {
	case UNUSED:
		return CHAIN_FATE_UNUSED;
	case USED:
		world_use(
		    &bench->world, 950, &bench->query, &bench->query.payee, bench->query.value);
		return CHAIN_FATE_USED;
	case CANCELLED:
		world_cancel(&bench->world, 950, &bench->query);
		return CHAIN_FATE_CANCELLED;
	case SCENARIOS:
		break;
	}
	return CHAIN_FATE_UNKNOWN;
}

/* Who hangs is waited for, and where it matters the honest must not be taken for hanging on a
 * machine that is busy. */
static uint32_t patience(size_t nodes)
{
	if (told->kind != LIE_HANG)
		return 20000;
	return nodes == NODES ? 800 : 60;
}

/* The first endpoint tells a lie that shows; the others tell the truth. */
static void try_junk(const struct lie *lies, size_t count, enum scenario scenario)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t nodes = 1; nodes <= NODES; nodes++) {
			struct bench bench;
			enum chain_fate fate;

			told = &lies[i];
			row = told->name;
			bench_open(&bench, nodes, patience(nodes));
			fate = set_scene(&bench, scenario);
			bench.nodes[0].lie = tell;
			ask_fates(&bench, &bench.query, 1);
			if (nodes == NODES) { /* the two others are enough */
				if (bench.result != CHAIN_OK)
					fail_msg("row \"%s\": %s", row, bench.reason);
				row_check(row, bench.findings[0].fate == fate);
			} else {
				row_check(row, bench.result == CHAIN_UNREACHABLE);
				row_check(row, bench.findings[0].fate == CHAIN_FATE_UNKNOWN);
				row_check(row, bench.findings[0].endpoints == 0);
				if (strstr(bench.reason, told->reason) == NULL)
					fail_msg("row \"%s\": %s", row, bench.reason);
			}
			bench_close(&bench);
		}
	}
}

static void junk_does_not_count(void **state)
{
	(void)state;
	try_junk(junk, COUNT(junk), UNUSED);
	try_junk(junk, COUNT(junk), USED);
	try_junk(log_junk, COUNT(log_junk), USED);
	try_junk(log_junk, COUNT(log_junk), CANCELLED);
	try_junk(state_junk, COUNT(state_junk), UNUSED);
}

/* --- contradictions --- */

static void says_unused(struct node *node, struct node_answer *answer)
{
	static const uint8_t zeros[32];

	(void)node;
	if (is(answer, "eth_getLogs"))
		answer_set(answer, json_array());
	if (is(answer, "eth_call"))
		answer_set(answer, chain_data(zeros, sizeof(zeros)));
}

static void hides_logs(struct node *node, struct node_answer *answer)
{
	(void)node;
	if (is(answer, "eth_getLogs"))
		answer_set(answer, json_array());
}

static void replace_text(json_t *value, const char *from, const char *to)
{
	size_t i;
	const char *key;
	json_t *item;

	if (json_is_string(value) && strcmp(json_string_value(value), from) == 0)
		json_string_set(value, to);
	json_array_foreach (value, i, item)
		replace_text(item, from, to);
	if (json_is_object(value)) {
		json_object_foreach (value, key, item)
			replace_text(item, from, to);
	}
}

/* The same story with another transaction, told without a contradiction in itself. */
static void other_transaction(struct node *node, struct node_answer *answer)
{
	const char *real = node->world->logs[0].transaction;
	char other[CHAIN_TEXT_SIZE];

	text_hash(other, "other transaction", 0);
	if (is(answer, "eth_getTransactionReceipt"))
		answer_set(answer, truth_receipt(node->world, real));
	replace_text(result_of(answer), real, other);
}

static void other_index(struct node *node, struct node_answer *answer)
{
	json_t *logs = is(answer, "eth_getLogs") ? result_of(answer)
		       : is(answer, "eth_getTransactionReceipt")
			   ? json_object_get(result_of(answer), "logs")
			   : NULL;
	size_t i;
	json_t *log;

	(void)node;
	json_array_foreach (logs, i, log)
		json_object_set_new(log, "logIndex",
		    chain_quantity(40 + number_of(json_object_get(log, "logIndex"), 0)));
}

static void other_amount(struct node *node, struct node_answer *answer)
{
	json_t *log = json_array_get(json_object_get(result_of(answer), "logs"), 1);

	(void)node;
	if (is(answer, "eth_getTransactionReceipt"))
		json_object_set_new(log, "data", json_loads(HASH, JSON_DECODE_ANY, NULL));
}

static struct bench *told_of; /* whose query the next two make a story of */

static void says_story(struct node *node, struct node_answer *answer, bool cancelled)
{
	struct world *story = must_alloc(sizeof(*story)), *real = node->world;

	*story = *real;
	story->log_count = 0;
	if (cancelled)
		world_cancel(story, 951, &told_of->query);
	else
		world_use(story, 951, &told_of->query, &told_of->query.payee, told_of->query.value);
	node->world = story;
	answer_set(answer, truth(node, answer->method, answer->params));
	node->world = real;
	free(story);
}

static void says_used(struct node *node, struct node_answer *answer)
{
	says_story(node, answer, false);
}

static void says_cancelled(struct node *node, struct node_answer *answer)
{
	says_story(node, answer, true);
}

static void contradictions(void **state)
{
	static const struct {
		struct lie lie;
		enum scenario scenario;
		enum chain_fate alone;
		enum chain_result result; /* with one that tells the truth */
	} rows[] = {
	    {{"used, says unused", NULL, LIE_OTHER, NULL, says_unused, NULL}, USED,
		CHAIN_FATE_UNUSED, CHAIN_DISAGREE},
	    {{"cancelled, says unused", NULL, LIE_OTHER, NULL, says_unused, NULL}, CANCELLED,
		CHAIN_FATE_UNUSED, CHAIN_DISAGREE},
	    {{"unused, says used", NULL, LIE_OTHER, NULL, says_used, NULL}, UNUSED, CHAIN_FATE_USED,
		CHAIN_DISAGREE},
	    {{"unused, says cancelled", NULL, LIE_OTHER, NULL, says_cancelled, NULL}, UNUSED,
		CHAIN_FATE_CANCELLED, CHAIN_DISAGREE},
	    {{"used, says cancelled", NULL, LIE_OTHER, NULL, says_cancelled, NULL}, USED,
		CHAIN_FATE_CANCELLED, CHAIN_DISAGREE},
	    {{"cancelled, says used", NULL, LIE_OTHER, NULL, says_used, NULL}, CANCELLED,
		CHAIN_FATE_USED, CHAIN_DISAGREE},
	    {{"used, another block", NULL, LIE_OTHER, NULL, says_used, NULL}, USED, CHAIN_FATE_USED,
		CHAIN_DISAGREE},
	    {{"another transaction", NULL, LIE_OTHER, NULL, other_transaction, NULL}, USED,
		CHAIN_FATE_USED, CHAIN_DISAGREE},
	    {{"another index", NULL, LIE_OTHER, NULL, other_index, NULL}, USED, CHAIN_FATE_USED,
		CHAIN_DISAGREE},
	    {{"another amount", NULL, LIE_OTHER, NULL, other_amount, NULL}, USED, CHAIN_FATE_USED,
		CHAIN_DISAGREE},
	    {{"another fork", "eth_getBlockByNumber", LIE_OTHER, NULL, other_hash, NULL}, UNUSED,
		CHAIN_FATE_UNUSED, CHAIN_DISAGREE},
	    {{"another time", "eth_getBlockByNumber", LIE_OTHER, NULL, near_future, NULL}, UNUSED,
		CHAIN_FATE_UNUSED, CHAIN_DISAGREE},
	    {{"logs pruned", NULL, LIE_OTHER, NULL, hides_logs, NULL}, USED, CHAIN_FATE_UNKNOWN,
		CHAIN_OK},
	    {{"logs pruned, cancelled", NULL, LIE_OTHER, NULL, hides_logs, NULL}, CANCELLED,
		CHAIN_FATE_UNKNOWN, CHAIN_OK},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t nodes = 1; nodes <= NODES; nodes++) {
			struct bench bench;
			const struct chain_finding *finding = &bench.findings[0];

			told = &rows[i].lie;
			row = told->name;
			told_of = &bench;
			bench_open(&bench, nodes, 20000);
			(void)set_scene(&bench, rows[i].scenario);
			bench.nodes[0].lie = tell;
			ask_fates(&bench, &bench.query, 1);
			if (nodes == 1) { /* nothing to tell it by */
				row_check(row, bench.result == CHAIN_OK);
				row_check(row, finding->fate == rows[i].alone);
			} else {
				row_check(row, bench.result == rows[i].result);
				row_check(row, finding->fate == CHAIN_FATE_UNKNOWN);
				row_check(row, *finding->transaction == '\0');
				row_check(row, !finding->transfer_matches);
				row_check(
				    row, (*bench.reason != '\0') == (bench.result != CHAIN_OK));
			}
			bench_close(&bench);
		}
	}
}

/* Whatever one endpoint says beside an honest one, in whatever order they are asked: what is
 * found is the truth or nothing. */
static void no_lie_makes_a_fate(void **state)
{
	static const struct lie stories[] = {
	    {"says unused", NULL, LIE_OTHER, NULL, says_unused, ""},
	    {"says used", NULL, LIE_OTHER, NULL, says_used, ""},
	    {"says cancelled", NULL, LIE_OTHER, NULL, says_cancelled, ""},
	    {"hides logs", NULL, LIE_OTHER, NULL, hides_logs, ""},
	    {"is a little late", "eth_getBlockByNumber", LIE_OTHER, NULL, near_future, ""},
	    {"is restless", "eth_getBlockByNumber", LIE_OTHER, NULL, restless, ""},
	};
	static const struct {
		const struct lie *lies;
		size_t count;
	} lists[] = {{junk, COUNT(junk)}, {log_junk, COUNT(log_junk)},
	    {state_junk, COUNT(state_junk)}, {stories, COUNT(stories)}};

	(void)state;
	for (size_t list = 0; list < COUNT(lists); list++) {
		for (size_t i = 0; i < lists[list].count; i++) {
			for (size_t turn = 0; turn < SCENARIOS * 2 * 2; turn++) {
				struct bench bench;
				enum chain_fate fate;

				told = &lists[list].lies[i];
				row = told->name;
				told_of = &bench;
				bench_open(&bench, 2, told->kind == LIE_HANG ? 60 : 20000);
				fate = set_scene(&bench, (enum scenario)(turn % SCENARIOS));
				if (turn >= SCENARIOS * 2) { /* it is not over yet */
					bench.query.valid_before_s = bench.world.time_s + 60;
					fate =
					    fate == CHAIN_FATE_UNUSED ? CHAIN_FATE_UNKNOWN : fate;
				}
				bench.nodes[turn / SCENARIOS % 2].lie = tell;
				ask_fates(&bench, &bench.query, 1);
				row_check(row, bench.findings[0].fate == CHAIN_FATE_UNKNOWN ||
						   bench.findings[0].fate == fate);
				bench_close(&bench);
			}
		}
	}
}

/* --- who lags --- */

static void those_who_lag(void **state)
{
	static const struct {
		const char *name;
		int64_t behind[NODES];
		size_t nodes;
		enum scenario scenario;
		enum chain_fate fate;
		int64_t block; /* of the log, or the common one */
	} rows[] = {
	    {"two, a block apart", {0, 1}, 2, UNUSED, CHAIN_FATE_UNUSED, 996},
	    {"two, one far behind", {0, 200}, 2, UNUSED, CHAIN_FATE_UNKNOWN, 797},
	    {"two, one far behind, used", {0, 200}, 2, USED, CHAIN_FATE_UNKNOWN, 0},
	    {"two, one behind, used before", {40, 0}, 2, USED, CHAIN_FATE_USED, 950},
	    {"three, one far behind", {200, 0, 0}, 3, UNUSED, CHAIN_FATE_UNUSED, 997},
	    {"three, one far behind, used", {0, 200, 1}, 3, USED, CHAIN_FATE_USED, 950},
	    {"three, two far behind", {200, 200, 0}, 3, UNUSED, CHAIN_FATE_UNKNOWN, 797},
	    {"one, far behind", {200}, 1, UNUSED, CHAIN_FATE_UNKNOWN, 797},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;

		row = rows[i].name;
		bench_open(&bench, rows[i].nodes, 20000);
		(void)set_scene(&bench, rows[i].scenario);
		for (size_t j = 0; j < NODES; j++)
			bench.nodes[j].behind = rows[i].behind[j];
		ask_fates(&bench, &bench.query, 1);
		if (bench.result != CHAIN_OK)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, bench.findings[0].fate == rows[i].fate);
		row_check(row, bench.findings[0].block.number == rows[i].block);
		bench_close(&bench);
	}
}

/* --- evidence --- */

static void what_was_found(void **state)
{
	struct bench bench;
	char hash[CHAIN_TEXT_SIZE];
	const struct chain_finding *finding = &bench.findings[0];

	(void)state;
	bench_open(&bench, 2, 20000);
	world_use(&bench.world, 940, &bench.query, &bench.query.payee, bench.query.value);
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(finding->fate, CHAIN_FATE_USED);
	assert_int_equal(finding->block.number, 940);
	assert_int_equal(finding->block.time_s, bench.world.time_s - 120);
	assert_string_equal(finding->block.hash, text_hash(hash, "block", 940));
	assert_string_equal(finding->transaction, bench.world.logs[0].transaction);
	assert_int_equal(finding->log_index, 0);
	assert_int_equal(finding->endpoints, 2);
	assert_string_equal(finding->detail, "");
	assert_string_equal(bench.reason, "");
	bench_close(&bench);
}

static void transfers_that_do_not_match(void **state)
{
	static const struct {
		const char *name;
		uint8_t payee; /* 0: no transfer */
		uint64_t value;
		const char *detail;
	} rows[] = {
	    {"another payee", 9, 50000, "moved 50000 to 0x"},
	    {"another value", 2, 49999, "moved 49999 to 0x"},
	    {"more", 2, 50001, "moved 50001 to 0x"},
	    {"nothing", 0, 0, "moved nothing of the payer's"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct address payee = address_of(rows[i].payee);

		row = rows[i].name;
		bench_open(&bench, 2, 20000);
		world_use(&bench.world, 940, &bench.query, &payee, uint256_of(rows[i].value));
		if (rows[i].payee == 0)
			bench.world.log_count--;
		ask_fates(&bench, &bench.query, 1);
		row_check(row, bench.result == CHAIN_OK);
		row_check(row, bench.findings[0].fate == CHAIN_FATE_USED);
		row_check(row, !bench.findings[0].transfer_matches);
		if (strstr(bench.findings[0].detail, rows[i].detail) == NULL)
			fail_msg("row \"%s\": %s", row, bench.findings[0].detail);
		bench_close(&bench);
	}
}

static void sixty_four_at_once(void **state)
{
	struct bench bench;
	struct chain_query queries[CHAIN_QUERIES_MAX];

	(void)state;
	bench_open(&bench, 2, 20000);
	for (size_t i = 0; i < COUNT(queries); i++) {
		queries[i] = bench.query;
		queries[i].payer = address_of((uint8_t)(1 + i % 5));
		queries[i].nonce[31] = (uint8_t)i;
		if (i % 4 == 1)
			world_use(&bench.world, 900 + (int64_t)i, &queries[i], &queries[i].payee,
			    queries[i].value);
		if (i % 4 == 2)
			world_cancel(&bench.world, 900 + (int64_t)i, &queries[i]);
		if (i % 4 == 3)
			queries[i].valid_before_s = bench.world.time_s + 60;
	}
	ask_fates(&bench, queries, COUNT(queries));
	assert_int_equal(bench.result, CHAIN_OK);
	assert_int_equal(bench.count, COUNT(queries));
	for (size_t i = 0; i < COUNT(queries); i++) {
		static const enum chain_fate fates[] = {
		    CHAIN_FATE_UNUSED, CHAIN_FATE_USED, CHAIN_FATE_CANCELLED, CHAIN_FATE_UNKNOWN};

		assert_int_equal(bench.findings[i].fate, fates[i % 4]);
	}
	/* A block and a receipt for each log, a call for each that is unused; twice. */
	assert_true(bench.world.asked < 2 * (32 * 2 + 16 + 12));
	bench_close(&bench);
}

static void one_dispute_spoils_the_question(void **state)
{
	static const struct lie lie = {"one", NULL, LIE_OTHER, NULL, says_unused, NULL};
	struct bench bench;
	struct chain_query queries[3];

	(void)state;
	bench_open(&bench, 2, 20000);
	for (size_t i = 0; i < COUNT(queries); i++) {
		queries[i] = bench.query;
		queries[i].nonce[31] = (uint8_t)i;
	}
	world_use(&bench.world, 940, &queries[1], &queries[1].payee, queries[1].value);
	told = &lie;
	bench.nodes[1].lie = tell;
	ask_fates(&bench, queries, COUNT(queries));
	assert_int_equal(bench.result, CHAIN_DISAGREE);
	for (size_t i = 0; i < COUNT(queries); i++) {
		assert_int_equal(bench.findings[i].fate, CHAIN_FATE_UNKNOWN);
		assert_int_equal(*bench.findings[i].detail != '\0', i == 1);
	}
	assert_non_null(strstr(bench.reason, "says used"));
	assert_non_null(strstr(bench.reason, "says unused"));
	bench_close(&bench);
}

/* --- far back --- */

/* What an endpoint allows is only known when it was asked: then the next question does. */
static void small_pieces(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, 1, 20000);
	bench.world.head = 10000000;
	bench.nodes[0].span_max = 10;
	bench.query.since_s = bench.world.time_s - 86400;
	bench.query.valid_before_s = bench.query.since_s + 60;
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.findings[0].fate, CHAIN_FATE_UNKNOWN);
	assert_non_null(strstr(bench.findings[0].detail, "too many blocks"));
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.findings[0].fate, CHAIN_FATE_UNUSED);
	bench_close(&bench);
}

static void far_back(void **state)
{
	static const struct {
		const char *name;
		int64_t head, step_s, bend, bend_step_s;
		int64_t span_max;
		int64_t ago_s; /* signed that long ago, expired a minute later */
		bool used;
		enum chain_fate fate;
		int64_t asked_max;
	} rows[] = {
	    {"an hour, two seconds a block", 10000000, 2, 0, 0, 0, 3600, true, CHAIN_FATE_USED, 30},
	    {"an hour, twelve seconds", 10000000, 12, 0, 0, 0, 3600, true, CHAIN_FATE_USED, 30},
	    {"an hour, a second", 10000000, 1, 0, 0, 0, 3600, false, CHAIN_FATE_UNUSED, 30},
	    {"a month, two seconds", 10000000, 2, 0, 0, 0, 2592000, true, CHAIN_FATE_USED, 60},
	    {"a month, unused", 10000000, 2, 0, 0, 0, 2592000, false, CHAIN_FATE_UNUSED, 60},
	    {"a year, one second, unused", 50000000, 1, 0, 0, 0, 31536000, false, CHAIN_FATE_UNUSED,
		60},
	    {"a week, blocks were slow once", 10000000, 1, 9900000, 60, 0, 604800, true,
		CHAIN_FATE_USED, 60},
	    {"a week, blocks were fast once", 10000000, 60, 9999000, 1, 0, 604800, true,
		CHAIN_FATE_USED, 60},
	    {"before the chain began", 300, 2, 0, 0, 0, 86400, false, CHAIN_FATE_UNUSED, 30},
	    {"ten blocks a piece", 10000000, 12, 0, 0, 10, 600, true, CHAIN_FATE_USED, 40},
	    {"one block a piece", 10000000, 12, 0, 0, 1, 300, true, CHAIN_FATE_USED, 80},
	    {"ten blocks a piece, a day", 10000000, 2, 0, 0, 10, 86400, true, CHAIN_FATE_USED, 130},
	    {"too many pieces", 10000000, 2, 0, 0, 1, 86400, false, CHAIN_FATE_UNKNOWN, 260},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		int64_t block;

		row = rows[i].name;
		bench_open(&bench, 1, 20000);
		bench.world.head = rows[i].head;
		bench.world.step_s = rows[i].step_s;
		bench.world.bend = rows[i].bend;
		bench.world.bend_step_s = rows[i].bend_step_s;
		bench.nodes[0].span_max = rows[i].span_max;
		bench.query.since_s = bench.world.time_s - rows[i].ago_s;
		bench.query.valid_before_s = bench.query.since_s + 60;
		for (block = rows[i].head;
		     block > 0 && world_time(&bench.world, block) > bench.query.since_s;)
			block--;
		if (rows[i].used)
			world_use(&bench.world, block + 1, &bench.query, &bench.query.payee,
			    bench.query.value);
		ask_fates(&bench, &bench.query, 1);
		if (bench.result != CHAIN_OK)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, bench.findings[0].fate == rows[i].fate);
		if (bench.world.asked > rows[i].asked_max)
			fail_msg("row \"%s\": %lld requests", row, (long long)bench.world.asked);
		bench_close(&bench);
	}
}

/* Behind one name there may be a server that has not seen the newest blocks yet. */
static void refuses_newest(struct node *node, struct node_answer *answer)
{
	if (is(answer, "eth_getLogs") &&
	    number_of(json_object_get(json_array_get(answer->params, 0), "toBlock"), 0) >
		node->world->head - DEPTH)
		answer_error(answer, -32000, "block range extends beyond current head block");
}

static void the_newest_blocks_are_refused(void **state)
{
	static const struct lie lie = {"newest", NULL, LIE_OTHER, NULL, refuses_newest, NULL};
	struct bench bench;

	(void)state;
	for (int used = 0; used < 2; used++) {
		told = &lie;
		bench_open(&bench, 1, 20000);
		(void)set_scene(&bench, used ? USED : UNUSED);
		bench.nodes[0].lie = tell;
		ask_fates(&bench, &bench.query, 1);
		assert_int_equal(
		    bench.findings[0].fate, used ? CHAIN_FATE_USED : CHAIN_FATE_UNUSED);
		assert_int_equal(bench.findings[0].block.number, used ? 950 : 997);
		/* What is not over yet may have a log up there. */
		bench.query.valid_before_s = bench.world.time_s + 60;
		bench.query.nonce[5] = 1;
		ask_fates(&bench, &bench.query, 1);
		assert_int_equal(bench.findings[0].fate, CHAIN_FATE_UNKNOWN);
		assert_string_equal(bench.findings[0].block.hash, "");
		bench_close(&bench);
	}
}

/* --- turns --- */

static void turns(void **state)
{
	struct bench bench;
	static const struct lie lie = {
	    "429", NULL, LIE_RAW, "HTTP/1.1 429 Too Many\r\n\r\n", NULL, NULL};

	(void)state;
	told = &lie;
	bench_open(&bench, 3, 20000);
	ask_fates(&bench, &bench.query, 1);
	assert_true(bench.nodes[0].method_count > 0 && bench.nodes[1].method_count > 0);
	assert_int_equal(bench.nodes[2].method_count, 0);
	ask_fates(&bench, &bench.query, 1); /* the second and the third */
	ask_fates(&bench, &bench.query, 1); /* the third and the first */
	for (size_t i = 0; i < NODES; i++) {
		assert_int_equal(node_asked(&bench.nodes[i], "eth_chainId"), 1);
		assert_int_equal(node_asked(&bench.nodes[i], "eth_call"), 2);
	}
	/* One fails once: the others are asked in its place, and for a while before it. */
	bench.nodes[0].lie = tell;
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.result, CHAIN_OK);
	bench.nodes[0].lie = NULL;
	bench.nodes[0].method_count = 0;
	for (int i = 0; i < 3; i++)
		ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.nodes[0].method_count, 0);
	/* When it is asked again, its chain id comes first. */
	bench.nodes[1].lie = tell;
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.result, CHAIN_OK);
	assert_string_equal(bench.nodes[0].methods[0], "eth_chainId");
	bench_close(&bench);
}

static void no_endpoint_and_twice_the_same(void **state)
{
	struct bench bench;
	char urls[128];

	(void)state;
	row = "none";
	bench_open(&bench, 0, 20000);
	ask_fates(&bench, &bench.query, 1);
	assert_int_equal(bench.result, CHAIN_UNREACHABLE);
	assert_string_equal(bench.reason, "no RPC endpoint is known for eip155:84532");
	bench_close(&bench);
	/* The same one twice does not confirm itself, and one that may not be asked counts. */
	bench_open(&bench, 1, 20000);
	for (int i = 0; i < 2; i++) {
		chain_free(&bench.chain);
		(void)snprintf(urls, sizeof(urls), "http://127.0.0.1:%d  HTTP://127.0.0.1:%d/ %s",
		    bench.nodes[0].port, bench.nodes[0].port, i == 0 ? "" : "http://192.0.2.1/key");
		bench.chain = chain_new(bench.base, bench.upstream, WORLD_NETWORK, urls, 20000);
		ask_fates(&bench, &bench.query, 1);
		assert_int_equal(bench.result, i == 0 ? CHAIN_OK : CHAIN_UNREACHABLE);
		assert_int_equal(bench.findings[0].endpoints, i == 0 ? 1 : 0);
	}
	assert_non_null(strstr(bench.reason, "plain http"));
	assert_null(strstr(bench.reason, "key"));
	bench_close(&bench);
}

static void url_lists(void **state)
{
	static const struct {
		const char *urls, *reason; /* NULL: good */
	} rows[] = {
	    {"", NULL},
	    {"  ", NULL},
	    {"https://a.example/key", NULL},
	    {" https://a.example/key   https://b.example ", NULL},
	    {"https://a/ https://b/ https://c/ https://d/ https://e/ https://f/ https://g/ "
	     "https://h/ ",
		NULL},
	    {"https://a/ https://b/ https://c/ https://d/ https://e/ https://f/ https://g/ "
	     "https://h/ https://i/",
		"more than 8"},
	    {"https://a.example/key https://a.example/key", "https://a.example is there twice"},
	    {"https://a.example/key HTTPS://A.EXAMPLE/key/", "twice"},
	    {"https://a.example http://b.example", "http://b.example must begin with https://"},
	    {"https://a.example ftp://b.example", "(not a URL)"},
	    {"https://a.example\thttps://b.example", "holds a blank"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char reason[CHAIN_REASON_SIZE] = "";
		bool ok = chain_urls_check(reason, rows[i].urls);

		row_check(rows[i].urls, ok == (rows[i].reason == NULL));
		if (!ok && strstr(reason, rows[i].reason) == NULL)
			fail_msg("row \"%s\": %s", rows[i].urls, reason);
		row_check(rows[i].urls, strstr(reason, "key") == NULL);
	}
}

/* --- balances --- */

struct told_balance {
	struct bench *bench;
	struct uint256 balance;
	struct chain_block block;
	int64_t endpoints;
};

static void on_balance(enum chain_result result, const char *reason, const struct uint256 *balance,
    const struct chain_block *block, int64_t endpoints, void *arg)
{
	struct told_balance *out = arg;

	out->bench->done_count++;
	out->bench->result = result;
	(void)snprintf(out->bench->reason, CHAIN_REASON_SIZE, "%s", reason);
	assert_int_equal(balance != NULL, result == CHAIN_OK);
	assert_int_equal(block != NULL, result == CHAIN_OK);
	if (result != CHAIN_OK)
		return;
	out->balance = *balance;
	out->block = *block;
	out->endpoints = endpoints;
}

static void balances(void **state)
{
	static const struct {
		struct lie lie;
		size_t nodes;
		bool native;
		enum chain_result result;
		const char *reason;
	} rows[] = {
	    {{"truth", "none", LIE_HANG, NULL, NULL, NULL}, 1, false, CHAIN_OK, ""},
	    {{"truth of two", "none", LIE_HANG, NULL, NULL, NULL}, 2, false, CHAIN_OK, ""},
	    {{"truth, native", "none", LIE_HANG, NULL, NULL, NULL}, 2, true, CHAIN_OK, ""},
	    {{"more", "eth_call", LIE_RESULT, HASH, NULL, NULL}, 2, false, CHAIN_DISAGREE,
		"different balances"},
	    {{"more, native", "eth_getBalance", LIE_RESULT, "\"0x5\"", NULL, NULL}, 2, true,
		CHAIN_DISAGREE, "different balances"},
	    {{"0x", "eth_call", LIE_RESULT, "\"0x\"", NULL, NULL}, 2, false, CHAIN_UNREACHABLE,
		"no number"},
	    {{"a quantity", "eth_call", LIE_RESULT, "\"0x5\"", NULL, NULL}, 2, false,
		CHAIN_UNREACHABLE, "no number"},
	    {{"a word, native", "eth_getBalance", LIE_RESULT, HASH, NULL, NULL}, 2, true,
		CHAIN_DISAGREE, "different"},
	    {{"null, native", "eth_getBalance", LIE_RESULT, "null", NULL, NULL}, 2, true,
		CHAIN_UNREACHABLE, "no number"},
	    {{"0x of one in three", "eth_call", LIE_RESULT, "\"0x\"", NULL, NULL}, 3, false,
		CHAIN_OK, ""},
	    {{"another fork", "eth_getBlockByNumber", LIE_OTHER, NULL, other_hash, NULL}, 2, false,
		CHAIN_DISAGREE, "different blocks 997"},
	    {{"changing", "eth_getBlockByNumber", LIE_OTHER, NULL, changing_hash, NULL}, 1, false,
		CHAIN_UNREACHABLE, "changed"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct told_balance out = {.bench = &bench};
		struct uint256 expected;

		told = &rows[i].lie;
		row = told->name;
		bench_open(&bench, rows[i].nodes, 20000);
		bench.nodes[0].lie = tell;
		chain_balance(bench.chain, rows[i].native ? NULL : bench.query.asset,
		    &bench.query.payer, DEPTH, on_balance, &out);
		wait_done(&bench);
		row_check(row, bench.result == rows[i].result);
		if (strstr(bench.reason, rows[i].reason) == NULL)
			fail_msg("row \"%s\": %s", row, bench.reason);
		if (bench.result == CHAIN_OK) {
			expected = rows[i].native ? uint256_of(77000000) : bench.world.balance;
			row_check(row, uint256_cmp(&out.balance, &expected) == 0);
			row_check(row, out.block.number == 997);
			row_check(row, out.endpoints == (rows[i].nodes == 1 ? 1 : 2));
		}
		bench_close(&bench);
	}
}

static void a_chain_shorter_than_the_depth(void **state)
{
	struct bench bench;
	struct told_balance out = {.bench = &bench};

	(void)state;
	bench_open(&bench, 1, 20000);
	bench.world.head = 2;
	chain_balance(bench.chain, NULL, &bench.query.payer, DEPTH, on_balance, &out);
	wait_done(&bench);
	assert_int_equal(bench.result, CHAIN_UNREACHABLE);
	assert_non_null(strstr(bench.reason, "too few blocks"));
	bench_close(&bench);
}

/* --- transfers --- */

struct told_transfers {
	struct bench *bench;
	struct chain_transfer items[CHAIN_TRANSFERS_MAX];
	size_t count;
	int64_t endpoints;
};

static void on_transfers(enum chain_result result, const char *reason,
    const struct chain_transfer *transfers, size_t count, int64_t endpoints, void *arg)
{
	struct told_transfers *out = arg;

	out->bench->done_count++;
	out->bench->result = result;
	(void)snprintf(out->bench->reason, CHAIN_REASON_SIZE, "%s", reason);
	assert_true(count <= CHAIN_TRANSFERS_MAX);
	for (size_t i = 0; i < count; i++)
		out->items[i] = transfers[i];
	out->count = count;
	out->endpoints = endpoints;
}

static void world_transfer(struct world *world, int64_t block, const struct chain_query *query,
    uint8_t from, uint8_t to, uint64_t value)
{
	struct address sender = address_of(from), receiver = address_of(to);
	struct digest topics[3] = {
	    chain_topics().transfer, chain_topic_address(&sender), chain_topic_address(&receiver)};
	struct chain_log *log = world_log(world, block, &query->asset->contract, topics, false);
	struct uint256 wide = uint256_of(value);

	log->data_size = 32;
	memcpy(log->word, wide.be, 32);
}

static void ask_transfers(struct bench *bench, struct told_transfers *out)
{
	const struct address senders[2] = {address_of(2), address_of(3)};

	*out = (struct told_transfers){.bench = bench};
	bench->done_count = 0;
	chain_transfers(bench->chain, bench->query.asset, senders, 2, &bench->query.payer,
	    bench->query.since_s, DEPTH, on_transfers, out);
	assert_int_equal(bench->done_count, 0);
	wait_done(bench);
}

static void transfers(void **state)
{
	struct bench bench;
	struct told_transfers out;
	struct address sender = address_of(3);
	struct uint256 value = uint256_of(70);

	(void)state;
	row = "transfers";
	bench_open(&bench, 2, 20000);
	world_transfer(&bench.world, 960, &bench.query, 3, 1, 70);
	world_transfer(&bench.world, 955, &bench.query, 2, 1, 50);
	world_transfer(&bench.world, 955, &bench.query, 2, 1, 0);  /* of nothing */
	world_transfer(&bench.world, 956, &bench.query, 4, 1, 60); /* a stranger's */
	world_transfer(&bench.world, 957, &bench.query, 2, 5, 60); /* to a stranger */
	world_transfer(&bench.world, 998, &bench.query, 2, 1, 90); /* not deep enough */
	world_transfer(&bench.world, 100, &bench.query, 2, 1, 10); /* too old */
	ask_transfers(&bench, &out);
	assert_int_equal(bench.result, CHAIN_OK);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.endpoints, 2);
	assert_int_equal(out.items[0].block.number, 955);
	assert_int_equal(out.items[0].block.time_s, bench.world.time_s - 90);
	assert_int_equal(out.items[1].block.number, 960);
	assert_true(address_equal(&out.items[1].from, &sender));
	assert_int_equal(uint256_cmp(&out.items[1].value, &value), 0);
	assert_string_equal(out.items[1].transaction, bench.world.logs[0].transaction);
	assert_int_equal(out.items[1].log_index, 0);
	bench_close(&bench);
}

static void transfers_without_any(void **state)
{
	struct bench bench;
	struct told_transfers out;

	(void)state;
	bench_open(&bench, 2, 20000);
	ask_transfers(&bench, &out);
	assert_int_equal(bench.result, CHAIN_OK);
	assert_int_equal(out.count, 0);
	bench_close(&bench);
}

/* More than are handed out, through endpoints that allow pieces of different size. */
static void the_oldest_transfers(void **state)
{
	struct bench bench;
	struct told_transfers *out = must_alloc(sizeof(*out));

	(void)state;
	bench_open(&bench, 2, 20000);
	bench.nodes[1].span_max = 10;
	for (int64_t i = 0; i < 290; i++)
		world_transfer(&bench.world, 960 - i / 6, &bench.query, 2, 1, (uint64_t)i + 1);
	ask_transfers(&bench, out);
	if (bench.result != CHAIN_OK)
		fail_msg("%s", bench.reason);
	assert_int_equal(out->count, CHAIN_TRANSFERS_MAX);
	for (size_t i = 1; i < out->count; i++)
		assert_true(out->items[i - 1].block.number <= out->items[i].block.number);
	assert_int_equal(out->items[0].block.number, 960 - 289 / 6);
	bench_close(&bench);
	free(out);
}

static void lies_about_transfers(void **state)
{
	static const struct {
		struct lie lie;
		enum chain_result result;
		const char *reason;
	} rows[] = {
	    {{"hidden", NULL, LIE_OTHER, NULL, hides_logs, NULL}, CHAIN_DISAGREE,
		"different transfers"},
	    {{"another amount", "eth_getLogs", LIE_OTHER, NULL, logs_with_data, NULL},
		CHAIN_DISAGREE, "different transfers"},
	    {{"another transaction", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_transaction,
		 NULL},
		CHAIN_DISAGREE, "different transfers"},
	    {{"another index", "eth_getLogs", LIE_OTHER, NULL, logs_at_other_index, NULL},
		CHAIN_DISAGREE, "different transfers"},
	    {{"another block", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_block, NULL},
		CHAIN_UNREACHABLE, "not in its chain"},
	    {{"another contract", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_contract, NULL},
		CHAIN_UNREACHABLE, "not asked for"},
	    {{"another event", "eth_getLogs", LIE_OTHER, NULL, logs_of_other_event, NULL},
		CHAIN_UNREACHABLE, "not asked for"},
	    {{"twice", "eth_getLogs", LIE_OTHER, NULL, logs_twice, NULL}, CHAIN_UNREACHABLE,
		"one log twice"},
	    {{"removed", "eth_getLogs", LIE_OTHER, NULL, logs_removed, NULL}, CHAIN_UNREACHABLE,
		"removed"},
	    {{"too late", "eth_getLogs", LIE_OTHER, NULL, logs_too_late, NULL}, CHAIN_UNREACHABLE,
		"not asked about"},
	    {{"refused", "eth_getLogs", LIE_ERROR, "no", NULL, NULL}, CHAIN_UNREACHABLE, "no"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct told_transfers out;

		told = &rows[i].lie;
		row = told->name;
		bench_open(&bench, 2, 20000);
		world_transfer(&bench.world, 960, &bench.query, 3, 1, 70);
		bench.nodes[0].lie = tell;
		ask_transfers(&bench, &out);
		row_check(row, bench.result == rows[i].result);
		row_check(row, out.count == 0 && out.endpoints == 0);
		if (strstr(bench.reason, rows[i].reason) == NULL)
			fail_msg("row \"%s\": %s", row, bench.reason);
		bench_close(&bench);
	}
}

/* --- gas --- */

struct told_gas {
	struct bench *bench;
	struct chain_gas gas;
};

static void on_gas(
    enum chain_result result, const char *reason, const struct chain_gas *gas, void *arg)
{
	struct told_gas *out = arg;

	out->bench->done_count++;
	out->bench->result = result;
	(void)snprintf(out->bench->reason, CHAIN_REASON_SIZE, "%s", reason);
	assert_int_equal(gas != NULL, result == CHAIN_OK);
	if (gas != NULL)
		out->gas = *gas;
}

static uint64_t low(const struct uint256 *value)
{
	uint64_t number = 0;

	for (size_t i = 24; i < 32; i++)
		number = number << 8 | value->be[i];
	return number;
}

static void gas(void **state)
{
	static const struct {
		struct lie lie;
		size_t nodes;
		enum chain_result result;
		const char *reason;
		uint64_t priority, limit;
	} rows[] = {
	    {{"truth", "none", LIE_HANG, NULL, NULL, NULL}, 1, CHAIN_OK, "", 1000000, 58097},
	    {{"no priority fee", "eth_maxPriorityFeePerGas", LIE_ERROR, "not found", NULL, NULL}, 1,
		CHAIN_OK, "", 100000000, 58097},
	    {{"absurd priority fee", "eth_maxPriorityFeePerGas", LIE_RESULT, "\"0xffffffffffff\"",
		 NULL, NULL},
		1, CHAIN_UNREACHABLE, "1000 gwei", 0, 0},
	    {{"absurd base fee", "eth_getBlockByNumber", LIE_MEMBER,
		 "{\"baseFeePerGas\":\"0xffffffffffff\"}", NULL, NULL},
		1, CHAIN_UNREACHABLE, "10000 gwei", 0, 0},
	    {{"no base fee", "eth_getBlockByNumber", LIE_MEMBER, "{\"baseFeePerGas\":null}", NULL,
		 NULL},
		1, CHAIN_UNREACHABLE, "EIP-1559", 0, 0},
	    {{"would fail", "eth_estimateGas", LIE_ERROR, "execution reverted: used", NULL, NULL},
		1, CHAIN_REFUSED, "execution reverted: used", 0, 0},
	    {{"no ether", "eth_getBalance", LIE_RESULT, "\"0x0\"", NULL, NULL}, 1, CHAIN_OK, "",
		1000000, 0},
	    {{"limit 0", "eth_estimateGas", LIE_RESULT, "\"0x0\"", NULL, NULL}, 1,
		CHAIN_UNREACHABLE, "estimate", 0, 0},
	    {{"limit absurd", "eth_estimateGas", LIE_RESULT, "\"0xffffffffff\"", NULL, NULL}, 1,
		CHAIN_UNREACHABLE, "estimate", 0, 0},
	    {{"count null", "eth_getTransactionCount", LIE_RESULT, "null", NULL, NULL}, 1,
		CHAIN_UNREACHABLE, "count of transactions", 0, 0},
	    {{"balance null", "eth_getBalance", LIE_RESULT, "null", NULL, NULL}, 1,
		CHAIN_UNREACHABLE, "balance", 0, 0},
	    {{"wrong chain", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, 1,
		CHAIN_UNREACHABLE, "wrong chain", 0, 0},
	    {{"wrong chain, another answers", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, 2,
		CHAIN_OK, "", 1000000, 58097},
	    {{"500, another answers", "eth_estimateGas", LIE_RAW, "HTTP/1.1 500 Oh\r\n\r\n", NULL,
		 NULL},
		2, CHAIN_OK, "", 1000000, 58097},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct told_gas out = {.bench = &bench};

		told = &rows[i].lie;
		row = told->name;
		bench_open(&bench, rows[i].nodes, 20000);
		bench.nodes[0].lie = tell;
		chain_gas(bench.chain, &bench.query.payer, &bench.query.asset->contract,
		    (const uint8_t *)"data", 4, on_gas, &out);
		wait_done(&bench);
		if (bench.result != rows[i].result)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, strstr(bench.reason, rows[i].reason) != NULL);
		if (bench.result == CHAIN_OK) {
			row_check(row, low(&out.gas.priority_fee) == rows[i].priority);
			row_check(row, low(&out.gas.base_fee) == 1000000000);
			row_check(row, out.gas.limit == rows[i].limit);
			row_check(row, out.gas.transaction_count == 7);
			row_check(
			    row, low(&out.gas.balance) == (rows[i].limit == 0 ? 0 : 77000000));
		}
		/* One endpoint is enough, and the others are left alone. */
		row_check(row, rows[i].nodes == 1 || bench.nodes[1].method_count > 0);
		bench_close(&bench);
	}
}

/* --- sending --- */

static char sent[CHAIN_TEXT_SIZE];

static void on_sent(
    enum chain_result result, const char *reason, const char *transaction, void *arg)
{
	struct bench *bench = arg;

	bench->done_count++;
	bench->result = result;
	(void)snprintf(bench->reason, sizeof(bench->reason), "%s", reason);
	(void)snprintf(sent, sizeof(sent), "%s", transaction == NULL ? "" : transaction);
}

static void sending(void **state)
{
	static const struct {
		struct lie lie;
		bool both; /* the second endpoint says the same */
		enum chain_result result;
		const char *reason;
	} rows[] = {
	    {{"taken", "none", LIE_HANG, NULL, NULL, NULL}, true, CHAIN_OK, ""},
	    {{"one refuses", "eth_sendRawTransaction", LIE_ERROR, "nonce too low", NULL, NULL},
		false, CHAIN_OK, ""},
	    {{"both refuse", "eth_sendRawTransaction", LIE_ERROR, "nonce too low", NULL, NULL},
		true, CHAIN_REFUSED, "nonce too low"},
	    {{"both know it", "eth_sendRawTransaction", LIE_ERROR, "already known", NULL, NULL},
		true, CHAIN_OK, ""},
	    {{"one is gone", NULL, LIE_CLOSE, NULL, NULL, NULL}, false, CHAIN_OK, ""},
	    {{"both are gone", NULL, LIE_CLOSE, NULL, NULL, NULL}, true, CHAIN_UNREACHABLE,
		"broken"},
	    {{"both name another", "eth_sendRawTransaction", LIE_RESULT, HASH, NULL, NULL}, true,
		CHAIN_UNREACHABLE, "another transaction"},
	    {{"both say null", "eth_sendRawTransaction", LIE_RESULT, "null", NULL, NULL}, true,
		CHAIN_UNREACHABLE, "another transaction"},
	    {{"both are of another chain", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, true,
		CHAIN_UNREACHABLE, "wrong chain"},
	    {{"one is of another chain", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, false,
		CHAIN_OK, ""},
	};
	static const uint8_t raw[] = {2, 0xf8, 1, 2, 3};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct digest digest = keccak256(raw, sizeof(raw));
		char hash[CHAIN_TEXT_SIZE];

		told = &rows[i].lie;
		row = told->name;
		bench_open(&bench, 2, 20000);
		bench.nodes[0].lie = tell;
		bench.nodes[1].lie = rows[i].both ? tell : NULL;
		chain_send(bench.chain, raw, sizeof(raw), on_sent, &bench);
		assert_int_equal(bench.done_count, 0);
		wait_done(&bench);
		if (bench.result != rows[i].result)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, strstr(bench.reason, rows[i].reason) != NULL);
		hex_encode_0x(hash, digest.bytes, sizeof(digest.bytes));
		row_check(row, strcmp(sent, bench.result == CHAIN_OK ? hash : "") == 0);
		bench_close(&bench);
	}
}

/* --- the head --- */

struct told_head {
	struct bench *bench;
	struct chain_block head;
	int64_t endpoints;
};

static void on_head(enum chain_result result, const char *reason, const struct chain_block *head,
    int64_t endpoints, void *arg)
{
	struct told_head *out = arg;

	out->bench->done_count++;
	out->bench->result = result;
	(void)snprintf(out->bench->reason, CHAIN_REASON_SIZE, "%s", reason);
	assert_int_equal(head != NULL, result == CHAIN_OK);
	if (head != NULL)
		out->head = *head;
	out->endpoints = endpoints;
}

static void heads(void **state)
{
	static const struct {
		struct lie lie;
		size_t nodes;
		int64_t behind; /* the liar */
		enum chain_result result;
		int64_t head, endpoints;
		const char *reason; /* of the liar */
	} rows[] = {
	    {{"one", "none", LIE_HANG, NULL, NULL, NULL}, 1, 0, CHAIN_OK, 1000, 1, ""},
	    {{"three", "none", LIE_HANG, NULL, NULL, NULL}, 3, 0, CHAIN_OK, 1000, 3, ""},
	    {{"one behind", "none", LIE_HANG, NULL, NULL, NULL}, 3, 300, CHAIN_OK, 700, 3, ""},
	    {{"a young chain", "none", LIE_HANG, NULL, NULL, NULL}, 2, 997, CHAIN_OK, 3, 2, ""},
	    {{"wrong chain", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, 3, 0, CHAIN_OK,
		1000, 2, "eip155:1, not eip155:84532"},
	    {{"wrong chain of two", "eth_chainId", LIE_RESULT, "\"0x1\"", NULL, NULL}, 2, 0,
		CHAIN_UNREACHABLE, 0, 0, "eip155:1, not eip155:84532"},
	    {{"another fork", "eth_getBlockByNumber", LIE_OTHER, NULL, other_hash, NULL}, 3, 0,
		CHAIN_DISAGREE, 0, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bench bench;
		struct told_head out = {.bench = &bench};
		struct chain_endpoint endpoints[CHAIN_ENDPOINTS_MAX];

		told = &rows[i].lie;
		row = told->name;
		bench_open(&bench, rows[i].nodes, 20000);
		assert_int_equal(chain_endpoints(endpoints, bench.chain), rows[i].nodes);
		row_check(row, !endpoints[0].ok && *endpoints[0].reason == '\0');
		bench.nodes[0].lie = tell;
		bench.nodes[0].behind = rows[i].behind;
		chain_head(bench.chain, on_head, &out);
		wait_done(&bench);
		if (bench.result != rows[i].result)
			fail_msg("row \"%s\": %s", row, bench.reason);
		row_check(row, out.head.number == rows[i].head);
		row_check(row, out.endpoints == rows[i].endpoints);
		assert_int_equal(chain_endpoints(endpoints, bench.chain), rows[i].nodes);
		row_check(row, endpoints[0].ok == (*rows[i].reason == '\0'));
		row_check(row, strstr(endpoints[0].reason, rows[i].reason) != NULL);
		row_check(
		    row, !endpoints[0].ok || endpoints[0].head.number == 1000 - rows[i].behind);
		row_check(row, strncmp(endpoints[0].origin, "http://127.0.0.1:", 17) == 0);
		bench_close(&bench);
	}
}

/* --- the end --- */

static void freed_at_every_moment(void **state)
{
	(void)state;
	for (int turns = 0; turns < 60; turns++) {
		struct bench bench;

		bench_open(&bench, 2, 20000);
		world_use(&bench.world, 950, &bench.query, &bench.query.payee, bench.query.value);
		chain_fates(bench.chain, &bench.query, 1, DEPTH, on_fates, &bench);
		chain_fates(bench.chain, &bench.query, 1, DEPTH, on_fates, &bench);
		for (int i = 0; i < turns && bench.done_count == 0; i++)
			assert_true(event_base_loop(bench.base, EVLOOP_NONBLOCK) >= 0);
		bench_close(&bench);
	}
}

static void on_fates_free(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct bench *bench = arg;

	on_fates(result, reason, findings, count, arg);
	chain_free(&bench->chain);
}

static void on_fates_again(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct bench *bench = arg;

	assert_int_equal(result, CHAIN_OK);
	chain_fates(bench->chain, &bench->query, 1, DEPTH, on_fates_free, bench);
	(void)reason;
	(void)findings;
	(void)count;
}

static void asked_and_freed_in_the_callback(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, 2, 20000);
	chain_fates(bench.chain, &bench.query, 1, DEPTH, on_fates_again, &bench);
	wait_done(&bench);
	assert_int_equal(bench.result, CHAIN_OK);
	assert_null(bench.chain);
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(truths),
	    cmocka_unit_test(junk_does_not_count),
	    cmocka_unit_test(contradictions),
	    cmocka_unit_test(no_lie_makes_a_fate),
	    cmocka_unit_test(those_who_lag),
	    cmocka_unit_test(what_was_found),
	    cmocka_unit_test(transfers_that_do_not_match),
	    cmocka_unit_test(sixty_four_at_once),
	    cmocka_unit_test(one_dispute_spoils_the_question),
	    cmocka_unit_test(far_back),
	    cmocka_unit_test(small_pieces),
	    cmocka_unit_test(the_newest_blocks_are_refused),
	    cmocka_unit_test(turns),
	    cmocka_unit_test(no_endpoint_and_twice_the_same),
	    cmocka_unit_test(url_lists),
	    cmocka_unit_test(balances),
	    cmocka_unit_test(a_chain_shorter_than_the_depth),
	    cmocka_unit_test(transfers),
	    cmocka_unit_test(transfers_without_any),
	    cmocka_unit_test(the_oldest_transfers),
	    cmocka_unit_test(lies_about_transfers),
	    cmocka_unit_test(gas),
	    cmocka_unit_test(sending),
	    cmocka_unit_test(heads),
	    cmocka_unit_test(freed_at_every_moment),
	    cmocka_unit_test(asked_and_freed_in_the_callback),
	};

	/* What endpoints do wrong is logged, and they do much wrong here. */
	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
