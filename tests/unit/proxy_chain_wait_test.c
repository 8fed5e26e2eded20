/* The questions of proxy/chain.h from a thread that waits; the endpoint is on another. */
#include "proxy/chain_wait.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/log.h"
#include "tests/unit/proxy_node.h"

struct bench {
	struct event_base *base;
	struct world world;
	struct node node;
	pthread_t thread;
	atomic_bool over;
	struct assets *assets;
	struct chain_query query;
	struct chain_wait *wait;
};

static void *serve(void *arg)
{
	struct bench *bench = arg;

	while (!atomic_load(&bench->over)) {
		event_base_loop(bench->base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	}
	return NULL;
}

static void bench_open(struct bench *bench, node_lie *lie)
{
	char *urls;

	*bench = (struct bench){.base = event_base_new(), .assets = assets_new()};
	bench->world = world_new(1000, 2);
	bench->query = (struct chain_query){
	    .asset = assets_default(bench->assets, WORLD_NETWORK),
	    .payer = {{1}},
	    .payee = {{2}},
	    .nonce = {7},
	    .value = uint256_of(50000),
	    .since_s = bench->world.time_s - 200,
	    .valid_before_s = bench->world.time_s - 140,
	};
	world_use(&bench->world, 950, &bench->query, &bench->query.payee, bench->query.value);
	node_open(&bench->node, bench->base, &bench->world);
	bench->node.lie = lie;
	must(pthread_create(&bench->thread, NULL, serve, bench) == 0);
	urls = must_format("http://127.0.0.1:%d/secret-key", bench->node.port);
	bench->wait = chain_wait_new(WORLD_NETWORK, urls, 20000, NULL);
	free(urls);
}

static void bench_close(struct bench *bench)
{
	chain_wait_free(&bench->wait);
	assert_null(bench->wait);
	chain_wait_free(&bench->wait);
	atomic_store(&bench->over, true);
	must(pthread_join(bench->thread, NULL) == 0);
	node_close(&bench->node);
	assets_free(&bench->assets);
	event_base_free(bench->base);
}

static const uint8_t raw[] = {2, 0xf8, 1};

static void questions_in_turn(void **state)
{
	struct bench bench;
	char reason[CHAIN_REASON_SIZE], transaction[CHAIN_TEXT_SIZE], hash[CHAIN_TEXT_SIZE];
	struct chain_finding finding;
	struct uint256 balance;
	struct chain_block block;
	struct chain_transfer transfers[CHAIN_TRANSFERS_MAX];
	struct chain_endpoint endpoints[CHAIN_ENDPOINTS_MAX];
	struct chain_gas gas;
	struct digest digest = keccak256(raw, sizeof(raw));
	int64_t agreed = 0;
	size_t count = 0;

	(void)state;
	bench_open(&bench, NULL);
	assert_int_equal(
	    chain_wait_fates(&finding, reason, bench.wait, &bench.query, 1, 3), CHAIN_OK);
	assert_int_equal(finding.fate, CHAIN_FATE_USED);
	assert_int_equal(chain_wait_balance(&balance, &block, &agreed, reason, bench.wait,
			     bench.query.asset, &bench.query.payer, 3),
	    CHAIN_OK);
	assert_int_equal(uint256_cmp(&balance, &bench.world.balance), 0);
	assert_int_equal(block.number, 997);
	assert_int_equal(agreed, 1);
	assert_int_equal(
	    chain_wait_transfers(transfers, &count, &agreed, reason, bench.wait, bench.query.asset,
		&bench.query.payer, 1, &bench.query.payee, bench.query.since_s, 3),
	    CHAIN_OK);
	assert_int_equal(count, 1);
	assert_string_equal(transfers[0].transaction, finding.transaction);
	assert_int_equal(chain_wait_gas(&gas, reason, bench.wait, &bench.query.payer,
			     &bench.query.asset->contract, raw, sizeof(raw)),
	    CHAIN_OK);
	assert_int_equal(gas.transaction_count, 7);
	assert_int_equal(
	    chain_wait_send(transaction, reason, bench.wait, raw, sizeof(raw)), CHAIN_OK);
	assert_string_equal(transaction, hex_encode_0x(hash, digest.bytes, 32));
	assert_int_equal(chain_wait_head(&block, &agreed, reason, bench.wait), CHAIN_OK);
	assert_int_equal(block.number, 1000);
	assert_int_equal(chain_wait_endpoints(endpoints, bench.wait), 1);
	assert_true(endpoints[0].ok);
	assert_null(strstr(endpoints[0].origin, "secret"));
	bench_close(&bench);
}

static void is_broken(struct node *node, struct node_answer *answer)
{
	(void)node;
	answer_text(answer, "HTTP/1.1 503 Gone", "");
}

static void nothing_is_touched_without_an_answer(void **state)
{
	struct bench bench;
	char reason[CHAIN_REASON_SIZE], transaction[CHAIN_TEXT_SIZE] = "untouched";
	struct chain_finding finding = {.fate = CHAIN_FATE_UNUSED};
	struct uint256 balance = uint256_of(5);
	struct chain_block block = {.number = -7};
	struct chain_transfer transfers[CHAIN_TRANSFERS_MAX];
	struct chain_endpoint endpoints[CHAIN_ENDPOINTS_MAX];
	struct chain_gas gas = {.limit = 5};
	int64_t agreed = -7;
	size_t count = 77;

	(void)state;
	bench_open(&bench, is_broken);
	assert_int_equal(
	    chain_wait_fates(&finding, reason, bench.wait, &bench.query, 1, 3), CHAIN_UNREACHABLE);
	assert_int_equal(finding.fate, CHAIN_FATE_UNKNOWN);
	assert_non_null(strstr(reason, "HTTP status 503"));
	assert_null(strstr(reason, "secret"));
	assert_int_equal(chain_wait_balance(&balance, &block, &agreed, reason, bench.wait, NULL,
			     &bench.query.payer, 3),
	    CHAIN_UNREACHABLE);
	assert_int_equal(
	    chain_wait_transfers(transfers, &count, &agreed, reason, bench.wait, bench.query.asset,
		&bench.query.payer, 1, &bench.query.payee, bench.query.since_s, 3),
	    CHAIN_UNREACHABLE);
	assert_int_equal(chain_wait_gas(&gas, reason, bench.wait, &bench.query.payer,
			     &bench.query.asset->contract, raw, sizeof(raw)),
	    CHAIN_UNREACHABLE);
	assert_int_equal(
	    chain_wait_send(transaction, reason, bench.wait, raw, sizeof(raw)), CHAIN_UNREACHABLE);
	assert_int_equal(chain_wait_head(&block, &agreed, reason, bench.wait), CHAIN_UNREACHABLE);
	assert_int_equal(balance.be[31], 5);
	assert_int_equal(block.number, -7);
	assert_int_equal(agreed, -7);
	assert_int_equal(count, 77);
	assert_int_equal(gas.limit, 5);
	assert_string_equal(transaction, "untouched");
	assert_int_equal(chain_wait_endpoints(endpoints, bench.wait), 1);
	assert_false(endpoints[0].ok);
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(questions_in_turn),
	    cmocka_unit_test(nothing_is_touched_without_an_answer),
	};

	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
