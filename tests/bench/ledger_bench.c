/* tests/bench/ledger_bench - what one paid call costs the ledger, without the proxy around it.
 *
 * Writes what a paid call writes, in the batches that a call writes it in: the payment and its
 * sign row, which somebody waits for; then, at once, the settlement; then the audit row.
 * Sizes are those of real sellers. A given number of calls is in flight: the next begins when
 * one of them is durable. Prints one line of JSON for each number in flight: the time of a call,
 * the median time until a payment is durable, and the CPU of the thread that writes. Under
 * callgrind it is the instructions of that thread that count, because they repeat.
 *
 * Usage: ledger_bench DIR [CALLS] [IN_FLIGHT]   (20,000 calls; 1 and 32 in flight)
 * DIR    an existing folder without a ledger in it */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "ledger/store.h"

#define CALLS_DEFAULT 20000
#define CALLS_MAX     100000000
#define IN_FLIGHT_MAX 4096
#define PRICE         1000
#define NETWORK       "eip155:84532"
#define ASSET         "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define PAYER         "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define PAYEE         "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define OWNER         "asmit@example.com"
#define SESSION       "5e551011000000000000000000000001"

struct bench;

struct flight {
	struct bench *bench;
	struct flight *next;
	int64_t call, payment, begin_us, durable_us;
	char nonce[67];
};

struct bench {
	struct store *store;
	int64_t agent, call_count, begun, failed;
	int64_t *waits_us; /* one of each call */
	char header[801], challenge[701];
	pthread_mutex_t lock;
	pthread_cond_t told;
	struct flight *durable; /* under lock */
};

static struct journal_row money_row(const struct bench *bench, enum journal_event event)
{
	return (struct journal_row){.event = event,
	    .agent = bench->agent,
	    .agent_name = "buyer",
	    .owner = OWNER,
	    .tool = "search",
	    .amount = PRICE,
	    .network = NETWORK,
	    .asset = ASSET,
	    .symbol = "USDC"};
}

/* On the writer's thread. */
static void on_durable(enum store_result result, void *arg)
{
	struct flight *flight = arg;
	struct bench *bench = flight->bench;

	flight->durable_us = clock_now_us();
	pthread_mutex_lock(&bench->lock);
	bench->failed += result != STORE_OK;
	flight->next = bench->durable;
	if (bench->durable == NULL)
		pthread_cond_signal(&bench->told);
	bench->durable = flight;
	pthread_mutex_unlock(&bench->lock);
}

static void sign(struct bench *bench, struct flight *flight)
{
	struct journal_row row = money_row(bench, JOURNAL_SIGN);
	int64_t now_us = clock_now_us();
	struct batch *batch = batch_new(now_us);
	struct payment_row payment = {.agent = bench->agent,
	    .agent_name = "buyer",
	    .tool = "search",
	    .session = SESSION,
	    .amount = PRICE,
	    .value = "1000",
	    .network = NETWORK,
	    .asset = ASSET,
	    .symbol = "USDC",
	    .payer = PAYER,
	    .payee = PAYEE,
	    .nonce = flight->nonce,
	    .valid_before_s = now_us / CLOCK_US_PER_S + 60,
	    .header_name = "PAYMENT-SIGNATURE",
	    .header_value = bench->header,
	    .challenge = bench->challenge,
	    .method = "POST",
	    .url = "https://api.example.com/v1/search"};
	uint64_t scattered = (uint64_t)++bench->begun * UINT64_C(0x9e3779b97f4a7c15);

	flight->call = payment.call = row.call = store_next_id(bench->store, now_us);
	flight->payment = payment.id = row.payment = store_next_id(bench->store, now_us);
	/* As random as a nonce is to an index, whichever part of it the index has. */
	snprintf(flight->nonce, sizeof(flight->nonce),
	    "0x%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, scattered,
	    scattered * scattered, scattered * UINT64_C(0xbf58476d1ce4e5b9), scattered);
	batch_payment(batch, &payment);
	batch_journal(batch, &row);
	flight->begin_us = clock_now_us();
	store_append(bench->store, &batch, on_durable, flight);
}

static void settle(struct bench *bench, const struct flight *flight)
{
	struct journal_row row = money_row(bench, JOURNAL_SETTLE);
	struct payment_state_row state = {.id = store_next_id(bench->store, clock_now_us()),
	    .payment = flight->payment,
	    .state = PAYMENT_SETTLED,
	    .transaction = flight->nonce,
	    .by = "receipt",
	    .receipt = "{\"success\":true,\"network\":\"" NETWORK "\",\"payer\":\"" PAYER "\"}"};
	struct batch *batch = batch_new(state.id);

	row.call = flight->call;
	row.payment = flight->payment;
	row.transaction = flight->nonce;
	batch_payment_state(batch, &state);
	batch_journal(batch, &row);
	store_append(bench->store, &batch, NULL, NULL);
}

static void audit(struct bench *bench, const struct flight *flight)
{
	struct audit_row row = {.id = flight->call,
	    .kind = AUDIT_CALL,
	    .agent = bench->agent,
	    .agent_name = "buyer",
	    .owner = OWNER,
	    .session = SESSION,
	    .tool = "search",
	    .method = "POST",
	    .path = "/v1/search",
	    .allowed = true,
	    .rule = "allowlist",
	    .price = PRICE,
	    .payee = PAYEE,
	    .payment = flight->payment,
	    .status = 200,
	    .upstream_status = 200,
	    .forwarded_us = flight->call + 1,
	    .quoted_us = flight->call + 2,
	    .signed_us = flight->call + 3,
	    .answered_us = flight->call + 4,
	    .finished_us = clock_now_us(),
	    .request_bytes = 100,
	    .response_bytes = 1000,
	    .has_request_digest = true,
	    .has_response_digest = true};
	struct batch *batch = batch_new(row.finished_us);

	batch_audit(batch, &row);
	store_append(bench->store, &batch, NULL, NULL);
}

static struct flight *wait_for_durable(struct bench *bench)
{
	struct flight *flights;

	pthread_mutex_lock(&bench->lock);
	while (bench->durable == NULL)
		pthread_cond_wait(&bench->told, &bench->lock);
	flights = bench->durable;
	bench->durable = NULL;
	pthread_mutex_unlock(&bench->lock);
	return flights;
}

static int64_t cpu_us(int who)
{
	struct rusage usage;

	must(getrusage(who, &usage) == 0);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * CLOCK_US_PER_S +
	    usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* Of all threads but this one. */
static int64_t others_cpu_us(void)
{
	return cpu_us(RUSAGE_SELF) - cpu_us(RUSAGE_THREAD);
}

static void drain(struct bench *bench)
{
	struct batch *batch = batch_new(clock_now_us());

	if (store_append_wait(bench->store, &batch) != STORE_OK) {
		fprintf(stderr, "ledger_bench: the ledger does not take it\n");
		exit(1);
	}
}

static int compare_waits(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static void run(struct bench *bench, int64_t in_flight)
{
	struct flight *flights = must_calloc((size_t)in_flight, sizeof(*flights)), *flight, *next;
	int64_t begin_us = clock_now_us(), cpu = others_cpu_us(), begun = 0, done = 0;

	for (; begun < in_flight && begun < bench->call_count; begun++) {
		flights[begun].bench = bench;
		sign(bench, &flights[begun]);
	}
	while (done < bench->call_count) {
		for (flight = wait_for_durable(bench); flight != NULL; flight = next, done++) {
			next = flight->next;
			bench->waits_us[done] = flight->durable_us - flight->begin_us;
			settle(bench, flight);
			audit(bench, flight);
			if (begun++ < bench->call_count)
				sign(bench, flight);
		}
	}
	drain(bench);
	begin_us = clock_now_us() - begin_us;
	cpu = others_cpu_us() - cpu;
	qsort(bench->waits_us, (size_t)done, sizeof(*bench->waits_us), compare_waits);
	printf("{\"in_flight\":%" PRId64 ",\"calls\":%" PRId64
	       ",\"us_per_call\":%.1f,\"durable_us_p50\":%" PRId64
	       ",\"writer_cpu_us_per_call\":%.1f,\"failed\":%" PRId64 "}\n",
	    in_flight, done, (double)begin_us / (double)done, bench->waits_us[done / 2],
	    (double)cpu / (double)done, bench->failed);
	fflush(stdout);
	free(flights);
}

static void set_up(struct bench *bench)
{
	struct agent_row row = {.name = "buyer", .owner = OWNER, .address = PAYER};
	struct journal_row deposit;
	struct batch *batch = batch_new(clock_now_us());

	row.id = bench->agent = store_next_id(bench->store, clock_now_us());
	batch_agent(batch, &row);
	deposit = money_row(bench, JOURNAL_DEPOSIT);
	deposit.tool = NULL;
	deposit.amount = INT64_C(1000000000000);
	batch_journal(batch, &deposit);
	store_append(bench->store, &batch, NULL, NULL);
	drain(bench);
}

/* 0 where it is left out, -1 where it is no number from 1 to max. */
static int64_t argument(int argc, char **argv, int index, int64_t max)
{
	char *end = NULL;
	int64_t number;

	if (argc <= index)
		return 0;
	number = strtoll(argv[index], &end, 10);
	return *argv[index] == '\0' || *end != '\0' || number < 1 || number > max ? -1 : number;
}

int main(int argc, char **argv)
{
	int64_t call_count = argument(argc, argv, 2, CALLS_MAX);
	int64_t in_flight = argument(argc, argv, 3, IN_FLIGHT_MAX);
	struct bench bench = {.call_count = call_count == 0 ? CALLS_DEFAULT : call_count};
	char reason[256] = "";

	if (argc < 2 || argc > 4 || call_count < 0 || in_flight < 0) {
		fprintf(stderr, "usage: ledger_bench DIR [CALLS] [IN_FLIGHT]\n");
		return 2;
	}
	memset(bench.header, 'e', sizeof(bench.header) - 1);
	memset(bench.challenge, 'c', sizeof(bench.challenge) - 1);
	must(pthread_mutex_init(&bench.lock, NULL) == 0);
	must(pthread_cond_init(&bench.told, NULL) == 0);
	if (store_create(reason, argv[1]) != STORE_OK ||
	    store_open(&bench.store, reason, argv[1], clock_now_us()) != STORE_OK) {
		fprintf(stderr, "ledger_bench: %s\n", reason);
		return 1;
	}
	bench.waits_us = must_calloc((size_t)bench.call_count, sizeof(*bench.waits_us));
	set_up(&bench);
	if (in_flight == 0)
		run(&bench, 1);
	run(&bench, in_flight == 0 ? 32 : in_flight);
	store_close(&bench.store);
	free(bench.waits_us);
	return bench.failed == 0 ? 0 : 1;
}
