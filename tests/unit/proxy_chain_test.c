/* What chains are said to say, by endpoints that tell the truth and endpoints that lie. */
#include "proxy/chain.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(truths),
	};

	return unit_run(tests);
}
