/* tests/bench/reserve_bench - what one decision costs, without the proxy around it.
 *
 * Every thread asks for a provisional hold and releases it, over and over, on one agent: the
 * worst case, because all of them want the same lock and the same totals. Prints one line of
 * JSON for each number of limits, of payments in the past, and of threads: one, and one for
 * each core.
 *
 * Usage: reserve_bench [CALLS] [PAST]
 * CALLS  how many each thread makes (1,000,000)
 * PAST   payments in the windows of the limits, where there are any (1,000,000) */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "proxy/reserve.h"
#include "tests/bench/argument.h"

#define CALLS_DEFAULT 1000000
#define CALLS_MAX     1000000000
#define PAST_DEFAULT  1000000
#define PAST_MAX      100000000
#define PAST_DAYS     31
#define THREADS_MAX   64u
#define PRICE         1 /* micro-dollar */
/* A real moment, so that no window lies before 1970. */
#define BEGIN_US INT64_C(1790000000000000)
#define SESSION  "5e551011"
#define TOOL     "search"
#define PAYEE    "0x209693bc6afc0c5328ba36faf03c514ef312287c"

/* Ten limits that speak about every call, one in each window and then some. */
static const char *const common_limits[] = {
    "{\"scope\":\"agent\",\"window\":\"call\",\"spend\":\"1.00\"}",
    "{\"scope\":\"session\",\"window\":\"total\",\"spend\":\"90000\"}",
    "{\"scope\":\"agent\",\"window\":\"minute\",\"spend\":\"90000\"}",
    "{\"scope\":\"agent\",\"window\":\"hour\",\"spend\":\"90000\"}",
    "{\"scope\":\"agent\",\"window\":\"day\",\"spend\":\"90000\"}",
    "{\"scope\":\"agent\",\"window\":\"month\",\"spend\":\"90000\"}",
    "{\"scope\":\"tool:search\",\"window\":\"day\",\"spend\":\"90000\"}",
    "{\"scope\":\"wallet\",\"window\":\"month\",\"spend\":\"90000\"}",
    "{\"scope\":\"agent\",\"window\":\"minute\",\"calls\":1000000000}",
    "{\"scope\":\"agent\",\"window\":\"day\",\"calls\":1000000000}",
};
#define COMMON_COUNT (sizeof(common_limits) / sizeof(common_limits[0]))

/* The rest are other tools' own. */
static struct policy *make_policy(size_t limit_count)
{
	struct json_error error;
	struct policy *policy;
	struct buf text;

	buf_init(&text, POLICY_SIZE_MAX);
	buf_add_str(&text, "{\"limits\":[");
	buf_add_str(&text, common_limits[0]);
	for (size_t i = 1; i < limit_count; i++) {
		if (i < COMMON_COUNT)
			buf_add_format(&text, ",%s", common_limits[i]);
		else
			buf_add_format(&text,
			    ",{\"scope\":\"tool:t%zu\",\"window\":\"day\",\"spend\":\"1\"}", i);
	}
	buf_add_str(&text, "]}");
	must(buf_ok(&text));
	policy = policy_parse(&error, buf_str(&text), text.size);
	must(policy != NULL);
	buf_fini(&text);
	return policy;
}

struct runner {
	pthread_t thread;
	pthread_barrier_t *start;
	struct purses *purses;
	struct registry *registry;
	struct agent *agent;
	int64_t call_count;
	int64_t begin_us, end_us;
};

static void ask_and_release(struct runner *runner, int64_t at_us)
{
	struct reservation reservation = {
	    .purses = runner->purses,
	    .agent = runner->agent,
	    .registry = runner->registry,
	    .session = SESSION,
	    .tool = TOOL,
	    .at_us = at_us,
	    .spend = PRICE,
	    .waiting_max = 0,
	};

	must(reserve_ask(&reservation, RESERVE_PROVISIONAL) == RESERVE_OK);
	reserve_release(&reservation);
	reserve_fini(&reservation);
}

static void *run(void *arg)
{
	struct runner *runner = arg;

	pthread_barrier_wait(runner->start);
	runner->begin_us = clock_mono_us();
	/* Some thousand calls a second, as windows that slide would see them. */
	for (int64_t i = 0; i < runner->call_count; i++)
		ask_and_release(runner, BEGIN_US + i * 200);
	runner->end_us = clock_mono_us();
	return NULL;
}

/* From the first start to the last end, over all calls of all threads. */
static int64_t ns_per_call(const struct runner *runners, unsigned threads)
{
	int64_t begin_us = runners[0].begin_us, end_us = runners[0].end_us, call_count = 0;

	for (unsigned i = 0; i < threads; i++) {
		if (runners[i].begin_us < begin_us)
			begin_us = runners[i].begin_us;
		if (runners[i].end_us > end_us)
			end_us = runners[i].end_us;
		call_count += runners[i].call_count;
	}
	return (end_us - begin_us) * 1000 / call_count;
}

/* As start-up would restore it: payments spread evenly over the days before now. */
static void charge_past(struct purse *purse, int64_t past_count)
{
	int64_t span_us = INT64_C(86400) * CLOCK_US_PER_S * PAST_DAYS;

	for (int64_t i = 0; i < past_count; i++) {
		int64_t at_us = BEGIN_US - span_us + span_us / past_count * i;

		purse_restore_charge(purse, SESSION, TOOL, NULL, true, at_us, PRICE, 1);
		purse_restore_charge(purse, NULL, NULL, PAYEE, true, at_us, PRICE, 1);
	}
}

static void measure(size_t limit_count, int64_t past_count, unsigned threads, int64_t call_count)
{
	struct policy *policy = make_policy(limit_count);
	struct purses *purses = purses_new();
	struct registry *registry = registry_new();
	struct agent_row row = {.id = 1,
	    .name = "buyer",
	    .owner = "owner@example.com",
	    .address = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"};
	struct agent *agent = registry_add_agent(registry, &row, purses_add(purses));
	size_t applying = policy_limits(NULL, 0, policy, TOOL, NULL, false);
	struct runner runners[THREADS_MAX];
	pthread_barrier_t start;

	registry_set_policy(registry, agent, policy);
	purses_lock(purses);
	purse_deposit(agent->purse, 1, INT64_C(1000000) * 90000);
	charge_past(agent->purse, past_count);
	purses_unlock(purses);
	must(pthread_barrier_init(&start, NULL, threads) == 0);
	for (unsigned i = 0; i < threads; i++) {
		runners[i] = (struct runner){.start = &start,
		    .purses = purses,
		    .registry = registry,
		    .agent = agent,
		    .call_count = call_count};
		must(pthread_create(&runners[i].thread, NULL, run, &runners[i]) == 0);
	}
	for (unsigned i = 0; i < threads; i++)
		must(pthread_join(runners[i].thread, NULL) == 0);
	printf("{\"limits\":%zu,\"applying\":%zu,\"past\":%" PRId64
	       ",\"threads\":%u,\"ns\":%" PRId64 "}\n",
	    limit_count, applying, past_count, threads, ns_per_call(runners, threads));
	must(pthread_barrier_destroy(&start) == 0);
	registry_free(&registry);
	purses_free(&purses);
}

int main(int argc, char **argv)
{
	int64_t call_count = argument(argc, argv, 1, CALLS_DEFAULT, CALLS_MAX);
	int64_t past_count = argument(argc, argv, 2, PAST_DEFAULT, PAST_MAX);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads[] = {1, cores < 2             ? 2
				 : cores > THREADS_MAX ? THREADS_MAX
						       : (unsigned)cores};
	const struct {
		size_t limit_count;
		int64_t past_count;
	} worlds[] = {{COMMON_COUNT, 0}, {10000, 0}, {COMMON_COUNT, past_count}};

	if (argc > 3) {
		fprintf(stderr, "usage: reserve_bench [CALLS] [PAST]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
		for (size_t j = 0; j < sizeof(threads) / sizeof(threads[0]); j++)
			measure(
			    worlds[i].limit_count, worlds[i].past_count, threads[j], call_count);
	}
	return 0;
}
