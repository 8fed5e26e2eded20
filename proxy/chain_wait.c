/* proxy/chain_wait.c - a question of chain.h on a loop of its own, turned until it is
 * answered. It always is: every question is bounded. */
#include "proxy/chain_wait.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/transfer.h"

/* Two surveys at a time, a connection each, and one kept a little longer. */
#define CONNECTIONS_MAX CHAIN_ENDPOINTS_MAX
#define HEAD_SIZE_MAX   65536u

struct chain_wait {
	struct event_base *base;
	struct upstream *upstream;
	struct chain *chain;
	/* The question under way, and where its answer goes. */
	bool done;
	enum chain_result result;
	char *reason;
	struct chain_finding *findings;
	struct uint256 *balance;
	struct chain_block *block;
	int64_t *endpoints;
	struct chain_transfer *transfers;
	size_t *count;
	struct chain_gas *gas;
	char *transaction;
};

struct chain_wait *chain_wait_new(
    const char *network, const char *urls, uint32_t request_ms_max, const char *ca_file)
{
	const struct upstream_limits limits = {
	    .connections_max = CONNECTIONS_MAX,
	    .connect_ms_max = request_ms_max,
	    .response_ms_max = request_ms_max,
	    .idle_ms_max = request_ms_max,
	    .head_size_max = HEAD_SIZE_MAX,
	    .ca_file = ca_file,
	};
	struct chain_wait *wait = must_calloc(1, sizeof(*wait));

	wait->base = event_base_new();
	must(wait->base != NULL);
	wait->upstream = upstream_new(wait->base, &limits);
	wait->chain = chain_new(wait->base, wait->upstream, network, urls, request_ms_max);
	return wait;
}

void chain_wait_free(struct chain_wait **wait)
{
	struct chain_wait *old = *wait;

	if (old == NULL)
		return;
	chain_free(&old->chain);
	upstream_free(&old->upstream);
	event_base_free(old->base);
	free(old);
	*wait = NULL;
}

static void answered(struct chain_wait *wait, enum chain_result result, const char *reason)
{
	wait->done = true;
	wait->result = result;
	(void)snprintf(wait->reason, CHAIN_REASON_SIZE, "%s", reason);
}

static enum chain_result until_answered(struct chain_wait *wait)
{
	while (!wait->done)
		must(event_base_loop(wait->base, EVLOOP_ONCE) == 0);
	wait->done = false;
	return wait->result;
}

static void on_fates(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct chain_wait *wait = arg;

	memcpy(wait->findings, findings, count * sizeof(*findings));
	answered(wait, result, reason);
}

enum chain_result chain_wait_fates(struct chain_finding *findings, char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const struct chain_query *queries, size_t count, int64_t depth)
{
	wait->reason = reason;
	wait->findings = findings;
	chain_fates(wait->chain, queries, count, depth, on_fates, wait);
	return until_answered(wait);
}

static void on_balance(enum chain_result result, const char *reason, const struct uint256 *balance,
    const struct chain_block *block, int64_t endpoints, void *arg)
{
	struct chain_wait *wait = arg;

	if (result == CHAIN_OK) {
		*wait->balance = *balance;
		*wait->block = *block;
		*wait->endpoints = endpoints;
	}
	answered(wait, result, reason);
}

enum chain_result chain_wait_balance(struct uint256 *balance, struct chain_block *block,
    int64_t *endpoints, char reason[CHAIN_REASON_SIZE], struct chain_wait *wait,
    const struct asset *asset, const struct address *holder, int64_t depth)
{
	wait->reason = reason;
	wait->balance = balance;
	wait->block = block;
	wait->endpoints = endpoints;
	chain_balance(wait->chain, asset, holder, depth, on_balance, wait);
	return until_answered(wait);
}

static void on_transfers(enum chain_result result, const char *reason,
    const struct chain_transfer *transfers, size_t count, int64_t endpoints, void *arg)
{
	struct chain_wait *wait = arg;

	if (result == CHAIN_OK) {
		if (count > 0)
			memcpy(wait->transfers, transfers, count * sizeof(*transfers));
		*wait->count = count;
		*wait->endpoints = endpoints;
	}
	answered(wait, result, reason);
}

enum chain_result chain_wait_transfers(struct chain_transfer *transfers, size_t *count,
    int64_t *endpoints, char reason[CHAIN_REASON_SIZE], struct chain_wait *wait,
    const struct asset *asset, const struct address *senders, size_t sender_count,
    const struct address *to, int64_t since_s, int64_t depth)
{
	wait->reason = reason;
	wait->transfers = transfers;
	wait->count = count;
	wait->endpoints = endpoints;
	chain_transfers(
	    wait->chain, asset, senders, sender_count, to, since_s, depth, on_transfers, wait);
	return until_answered(wait);
}

static void on_gas(
    enum chain_result result, const char *reason, const struct chain_gas *gas, void *arg)
{
	struct chain_wait *wait = arg;

	if (result == CHAIN_OK)
		*wait->gas = *gas;
	answered(wait, result, reason);
}

enum chain_result chain_wait_gas(struct chain_gas *gas, char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const struct address *sender, const struct address *to,
    const uint8_t *data, size_t data_size)
{
	wait->reason = reason;
	wait->gas = gas;
	chain_gas(wait->chain, sender, to, data, data_size, on_gas, wait);
	return until_answered(wait);
}

static void on_sent(
    enum chain_result result, const char *reason, const char *transaction, void *arg)
{
	struct chain_wait *wait = arg;

	if (result == CHAIN_OK)
		(void)snprintf(wait->transaction, CHAIN_TEXT_SIZE, "%s", transaction);
	answered(wait, result, reason);
}

enum chain_result chain_wait_send(char transaction[CHAIN_TEXT_SIZE], char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const uint8_t *raw, size_t size)
{
	wait->reason = reason;
	wait->transaction = transaction;
	chain_send(wait->chain, raw, size, on_sent, wait);
	return until_answered(wait);
}

static void on_head(enum chain_result result, const char *reason, const struct chain_block *head,
    int64_t endpoints, void *arg)
{
	struct chain_wait *wait = arg;

	if (result == CHAIN_OK) {
		*wait->block = *head;
		*wait->endpoints = endpoints;
	}
	answered(wait, result, reason);
}

enum chain_result chain_wait_head(struct chain_block *head, int64_t *endpoints,
    char reason[CHAIN_REASON_SIZE], struct chain_wait *wait)
{
	wait->reason = reason;
	wait->block = head;
	wait->endpoints = endpoints;
	chain_head(wait->chain, on_head, wait);
	return until_answered(wait);
}

size_t chain_wait_endpoints(
    struct chain_endpoint out[CHAIN_ENDPOINTS_MAX], const struct chain_wait *wait)
{
	return chain_endpoints(out, wait->chain);
}
