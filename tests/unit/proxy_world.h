/* tests/unit/proxy_world.h - a small chain, and what an endpoint that tells the truth answers
 * about it. Nothing here knows of sockets: the endpoints of proxy_node.h and a fuzz target give
 * these answers, or lies in their place. */
#ifndef TESTS_UNIT_PROXY_WORLD_H
#define TESTS_UNIT_PROXY_WORLD_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/must.h"
#include "proxy/chain_read.h"

#define WORLD_LOGS_MAX   600u
#define WORLD_CHAIN_ID   INT64_C(84532)
#define WORLD_NETWORK    "eip155:84532"

/* What is true. */
struct world {
	int64_t head;   /* number of the newest block */
	int64_t time_s; /* of that block */
	int64_t step_s; /* between blocks */
	int64_t bend;   /* between those up to this one it is... */
	int64_t bend_step_s;
	struct chain_log logs[WORLD_LOGS_MAX];
	size_t log_count;
	struct uint256 balance; /* of everybody, in everything */
	int64_t asked;          /* requests to all nodes */
};

static inline struct world world_new(int64_t head, int64_t step_s)
{
	return (struct world){.head = head,
	    .time_s = clock_now_us() / CLOCK_US_PER_S,
	    .step_s = step_s,
	    .balance = uint256_of(1234567)};
}

static inline int64_t world_time(const struct world *world, int64_t number)
{
	int64_t early = number < world->bend ? world->bend - number : 0;

	return world->time_s - (world->head - number - early) * world->step_s -
	       early * world->bend_step_s;
}

static inline const char *text_hash(char out[CHAIN_TEXT_SIZE], const char *what, int64_t number)
{
	char *text = must_format("%s %lld", what, (long long)number);
	struct digest digest = keccak256(text, strlen(text));

	free(text);
	return hex_encode_0x(out, digest.bytes, sizeof(digest.bytes));
}

/* One more log in that block, in a transaction of its own unless `together`. */
static inline struct chain_log *world_log(struct world *world, int64_t block,
    const struct address *contract, const struct digest *topics, bool together)
{
	struct chain_log *log = &world->logs[world->log_count];
	int64_t transaction = (int64_t)world->log_count;

	must(world->log_count < WORLD_LOGS_MAX);
	*log = (struct chain_log){.contract = *contract,
	    .topic_count = 3,
	    .block_number = block,
	    .index = (int64_t)world->log_count};
	memcpy(log->topics, topics, 3 * sizeof(*topics));
	text_hash(log->block_hash, "block", block);
	text_hash(log->transaction, "transaction", transaction);
	if (together)
		memcpy(log->transaction, world->logs[world->log_count - 1].transaction,
		    sizeof(log->transaction));
	world->log_count++;
	return log;
}

static inline void world_use(struct world *world, int64_t block, const struct chain_query *query,
    const struct address *payee, struct uint256 value)
{
	struct chain_topics all = chain_topics();
	struct digest topics[3] = {all.used, chain_topic_address(&query->payer)};
	struct chain_log *log;

	memcpy(topics[2].bytes, query->nonce, 32);
	(void)world_log(world, block, &query->asset->contract, topics, false);
	topics[0] = all.transfer;
	topics[2] = chain_topic_address(payee);
	log = world_log(world, block, &query->asset->contract, topics, true);
	log->data_size = 32;
	memcpy(log->word, value.be, 32);
}

static inline void world_cancel(struct world *world, int64_t block, const struct chain_query *query)
{
	struct digest topics[3] = {chain_topics().cancelled, chain_topic_address(&query->payer)};

	memcpy(topics[2].bytes, query->nonce, 32);
	(void)world_log(world, block, &query->asset->contract, topics, false);
}

/* --- the truth ------------------------------------------------------------------------- */

static inline json_t *truth_block(const struct world *world, int64_t number)
{
	char hash[CHAIN_TEXT_SIZE];

	return json_pack("{s:o, s:o, s:s, s:s, s:[]}", "number", chain_quantity(number),
	    "timestamp", chain_quantity(world_time(world, number)), "hash",
	    text_hash(hash, "block", number), "baseFeePerGas", "0x3b9aca00", "transactions");
}

static inline json_t *truth_log(const struct chain_log *log)
{
	json_t *topics = json_array();

	for (size_t i = 0; i < log->topic_count; i++)
		json_array_append_new(topics, chain_data(&log->topics[i], 32));
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:b}", "address",
	    chain_data(&log->contract, ADDRESS_SIZE), "topics", topics, "data",
	    chain_data(log->word, log->data_size), "blockNumber", chain_quantity(log->block_number),
	    "blockHash", log->block_hash, "transactionHash", log->transaction, "logIndex",
	    chain_quantity(log->index), "removed", 0);
}

static inline int64_t number_of(const json_t *value, int64_t latest)
{
	int64_t number;

	return chain_read_quantity(&number, value) ? number : latest;
}

/* Does a filter's entry (absent, null, one or a list) allow these bytes? */
static inline bool filter_allows(const json_t *entry, const void *bytes, size_t size)
{
	json_t *own = chain_data(bytes, size);
	bool allowed = entry == NULL || json_is_null(entry) || json_equal(entry, own);

	for (size_t i = 0; i < json_array_size(entry); i++)
		allowed |= json_equal(json_array_get(entry, i), own) != 0;
	json_decref(own);
	return allowed;
}

static inline json_t *truth_logs(const struct world *world, const json_t *filter, int64_t head)
{
	int64_t from = number_of(json_object_get(filter, "fromBlock"), head);
	int64_t to = number_of(json_object_get(filter, "toBlock"), head);
	const json_t *topics = json_object_get(filter, "topics");
	json_t *logs = json_array();

	for (size_t i = 0; i < world->log_count; i++) {
		const struct chain_log *log = &world->logs[i];
		bool wanted =
		    log->block_number >= from && log->block_number <= to &&
		    log->block_number <= head &&
		    filter_allows(json_object_get(filter, "address"), &log->contract, ADDRESS_SIZE);

		for (size_t j = 0; j < log->topic_count; j++)
			wanted &= filter_allows(json_array_get(topics, j), &log->topics[j], 32);
		if (wanted)
			json_array_append_new(logs, truth_log(log));
	}
	return logs;
}

static inline json_t *truth_receipt(const struct world *world, const char *transaction)
{
	json_t *logs = json_array();
	const struct chain_log *first = NULL;

	for (size_t i = 0; i < world->log_count; i++) {
		if (strcmp(world->logs[i].transaction, transaction) != 0)
			continue;
		first = first == NULL ? &world->logs[i] : first;
		json_array_append_new(logs, truth_log(&world->logs[i]));
	}
	if (first == NULL) {
		json_decref(logs);
		return json_null();
	}
	return json_pack("{s:s, s:s, s:o, s:s, s:o}", "transactionHash", transaction, "blockHash",
	    first->block_hash, "blockNumber", chain_quantity(first->block_number), "status", "0x1",
	    "logs", logs);
}

/* authorizationState(payer, nonce), or a balance when the data is shorter. */
static inline json_t *truth_call(const struct world *world, const json_t *call, int64_t block)
{
	const char *data = json_string_value(json_object_get(call, "data"));
	struct chain_topics all = chain_topics();
	struct digest words[2];
	bool spent = false;

	if (strlen(data) != 2 + 8 + 128)
		return chain_data(world->balance.be, 32);
	must(hex_decode(words, sizeof(words), data + 10));
	for (size_t i = 0; i < world->log_count; i++) {
		const struct chain_log *log = &world->logs[i];

		spent |= log->block_number <= block &&
			 memcmp(&log->topics[0], &all.transfer, 32) != 0 &&
			 memcmp(&log->topics[1], words, 64) == 0;
	}
	memset(words, 0, 32);
	words[0].bytes[31] = spent;
	return chain_data(words, 32);
}

/* What an endpoint that has seen the chain up to head answers; NULL: no method it knows. */
static inline json_t *world_answer(
    const struct world *world, int64_t head, const char *method, const json_t *params)
{
	const json_t *first = json_array_get(params, 0), *second = json_array_get(params, 1);

	if (strcmp(method, "eth_chainId") == 0)
		return chain_quantity(WORLD_CHAIN_ID);
	if (strcmp(method, "eth_getBlockByNumber") == 0)
		return number_of(first, head) > head ? json_null()
						     : truth_block(world, number_of(first, head));
	if (strcmp(method, "eth_getLogs") == 0)
		return truth_logs(world, first, head);
	if (strcmp(method, "eth_getTransactionReceipt") == 0)
		return truth_receipt(world, json_string_value(first));
	if (strcmp(method, "eth_call") == 0)
		return truth_call(world, first, number_of(second, head));
	if (strcmp(method, "eth_getBalance") == 0)
		return chain_quantity(77000000);
	if (strcmp(method, "eth_getTransactionCount") == 0)
		return chain_quantity(7);
	if (strcmp(method, "eth_maxPriorityFeePerGas") == 0)
		return json_string("0xf4240");
	if (strcmp(method, "eth_estimateGas") == 0)
		return json_string("0xe2f1");
	if (strcmp(method, "eth_sendRawTransaction") == 0) {
		const char *text = json_string_value(first);
		size_t size = (strlen(text) - 2) / 2;
		uint8_t *raw = must_alloc(size + 1);
		struct digest hash;

		must(hex_decode(raw, size, text));
		hash = keccak256(raw, size);
		free(raw);
		return chain_data(&hash, sizeof(hash));
	}
	return NULL;
}

#endif
