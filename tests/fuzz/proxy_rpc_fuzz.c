/* What a JSON-RPC endpoint answers: the envelope, and every reading of the result.
 *
 * Nothing is sent: this file stands in for proxy/transfer.c and hands the input to proxy/rpc.c
 * as an HTTP answer. The first byte chooses the status and what is odd about the transfer, the
 * second the size of the pieces the body comes in, the rest is the body. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "proxy/chain_read.h"
#include "proxy/rpc.h"
#include "proxy/transfer.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"

#define KEY             "s3cretkey"
#define URL             "http://127.0.0.1:8545/v2/" KEY
#define ANSWER_SIZE_MAX 16384u

/* --- an endpoint made of the input --- */

struct transfer {
	const struct transfer_events *events;
	void *arg;
	bool cancelled;
};

static struct transfer transfer; /* one at a time */
static bool declared_large, elsewhere;

struct transfer *transfer_start(struct upstream *upstream, const struct transfer_request *request,
    const struct transfer_events *events, void *arg)
{
	(void)upstream;
	must(strcmp(request->url, URL) == 0 && strcmp(request->method, "POST") == 0);
	transfer = (struct transfer){.events = events, .arg = arg};
	return &transfer;
}

void transfer_cancel(struct transfer **cancelled)
{
	(*cancelled)->cancelled = true;
	*cancelled = NULL;
}

int64_t transfer_content_length(const struct transfer *asked)
{
	(void)asked;
	return declared_large ? INT64_C(1) << 40 : -1;
}

bool transfer_peer_loopback(const struct transfer *asked)
{
	(void)asked;
	return !elsewhere;
}

const char *transfer_result_str(enum transfer_result result)
{
	return result == TRANSFER_BROKEN ? "broken" : "timeout";
}

static void deliver(uint8_t how, size_t piece, const char *body, size_t size)
{
	static const int statuses[] = {200, 200, 200, 200, 400, 429, 500, 201};
	struct headers headers;
	size_t at;

	headers_init(&headers);
	if (how & 0x08)
		headers_put(&headers, "Content-Encoding", how & 0x80 ? "gzip" : "identity");
	declared_large = (how & 0xf0) == 0x10;
	elsewhere = (how & 0xf0) == 0x20;
	if ((how & 0xf0) == 0x30) { /* before any head: asked twice */
		transfer.events->done(&transfer, TRANSFER_BROKEN, "reset " KEY, transfer.arg);
		must(!transfer.cancelled);
	}
	transfer.events->head(&transfer, statuses[how & 0x07], &headers, transfer.arg);
	for (at = 0; at < size && !transfer.cancelled; at += piece) {
		size_t left = size - at < piece ? size - at : piece;

		must(transfer.events->body(&transfer, body + at, left, transfer.arg));
	}
	if (!transfer.cancelled && (how & 0xf0) == 0x40)
		transfer.events->done(&transfer, TRANSFER_TIMEOUT, body, transfer.arg);
	else if (!transfer.cancelled)
		transfer.events->done(&transfer, TRANSFER_OK, "", transfer.arg);
	headers_fini(&headers);
}

/* --- what is read from a result --- */

static void check_hash(const char hash[CHAIN_TEXT_SIZE])
{
	must(strlen(hash) == CHAIN_TEXT_SIZE - 1 && strncmp(hash, "0x", 2) == 0);
	must(strspn(hash + 2, "0123456789abcdef") == CHAIN_TEXT_SIZE - 3);
	must(strspn(hash + 2, "0") < CHAIN_TEXT_SIZE - 3);
}

static void check_number(int64_t number)
{
	must(number >= 0 && number <= CHAIN_READ_NUMBER_MAX);
}

static void check_numbers(const json_t *value)
{
	const char *text = json_string_value(value);
	struct uint256 wide, low;
	int64_t number;
	uint8_t word[32];
	bool flag;

	if (chain_read_quantity(&number, value)) {
		json_t *again = chain_quantity(number);

		must(number >= 0 && strcasecmp(json_string_value(again), text) == 0);
		must(chain_read_quantity256(&wide, value));
		low = uint256_of((uint64_t)number);
		must(uint256_cmp(&wide, &low) == 0);
		json_decref(again);
	}
	if (chain_read_word(word, value)) {
		json_t *again = chain_data(word, sizeof(word));

		must(strcasecmp(json_string_value(again), text) == 0);
		must(chain_read_uint256(&wide, value) && memcmp(wide.be, word, sizeof(word)) == 0);
		if (chain_read_flag(&flag, value)) {
			low = uint256_of(flag);
			must(uint256_cmp(&wide, &low) == 0);
		}
		json_decref(again);
	} else {
		must(!chain_read_flag(&flag, value) && !chain_read_uint256(&wide, value));
	}
}

static void check_log(const json_t *value)
{
	struct address address;
	struct chain_log log;

	if (!chain_read_log(&log, value))
		return;
	must(log.topic_count <= CHAIN_TOPICS_MAX);
	check_number(log.block_number);
	check_number(log.index);
	check_hash(log.block_hash);
	check_hash(log.transaction);
	must(2 * log.data_size + 2 == strlen(json_string_value(json_object_get(value, "data"))));
	if (log.topic_count > 1 && chain_topic_to_address(&address, &log.topics[1])) {
		struct digest topic = chain_topic_address(&address);

		must(digest_equal(&topic, &log.topics[1]));
	}
}

static void check_receipt(const json_t *value)
{
	struct chain_receipt receipt;
	int64_t last = -1;
	size_t i;

	if (!chain_read_receipt(&receipt, value))
		return;
	check_number(receipt.block_number);
	check_hash(receipt.block_hash);
	check_hash(receipt.transaction);
	must(json_is_array(receipt.logs));
	for (i = 0; i < json_array_size(receipt.logs); i++) {
		struct chain_log log;

		must(chain_read_log(&log, json_array_get(receipt.logs, i)));
		must(log.index > last && log.block_number == receipt.block_number);
		must(strcmp(log.transaction, receipt.transaction) == 0);
		last = log.index;
	}
}

static void check_value(const json_t *value)
{
	struct chain_block block;
	struct uint256 fee;
	size_t i;

	check_numbers(value);
	if (chain_read_block(&block, value)) {
		check_number(block.number);
		must(block.time_s >= 0 && block.time_s <= CHAIN_READ_TIME_MAX);
		check_hash(block.hash);
	}
	(void)!chain_read_base_fee(&fee, value);
	check_log(value);
	check_receipt(value);
	for (i = 0; i < json_array_size(value) && i < 16; i++)
		check_log(json_array_get(value, i));
}

/* --- the answer as rpc.h promises it --- */

struct heard {
	unsigned count;
	uint8_t how;
	const char *body;
	size_t size;
};

static void on_answer(const struct rpc_answer *answer, void *arg)
{
	struct heard *heard = arg;
	const char *at;

	heard->count++;
	must((answer->value != NULL) == (answer->result == RPC_OK));
	must((answer->reason[0] == '\0') == (answer->result == RPC_OK));
	must(answer->result == RPC_ERROR || answer->code == 0);
	must(strlen(answer->reason) < RPC_REASON_SIZE);
	must(strcasestr(answer->reason, KEY) == NULL);
	for (at = answer->reason; *at != '\0'; at++)
		must(*at >= ' ' && *at <= '~');
	if (answer->result == RPC_FAILED)
		return;
	/* Only a whole answer from the right place says anything. */
	must(heard->size <= ANSWER_SIZE_MAX && !declared_large && !elsewhere);
	must((heard->how & 0xf0) != 0x40);
	if (answer->result == RPC_OK) {
		must((heard->how & 0x07) < 4);
		check_value(answer->value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	struct heard heard = {.how = size > 0 ? data[0] : 0};
	struct rpc_request *request;
	struct rpc *rpc;
	char *body;

	if (size < 2)
		return 0;
	if (base == NULL)
		must((base = event_base_new()) != NULL);
	body = must_strndup((const char *)data + 2, size - 2);
	heard.body = (const char *)data + 2;
	heard.size = size - 2;
	rpc = rpc_new(base, NULL, URL, 1000000);
	request = rpc_ask(rpc, "eth_chainId", json_array(), ANSWER_SIZE_MAX, on_answer, &heard);
	must(request != NULL && heard.count == 0);
	if ((data[0] & 0xf0) == 0x40) /* its words stand in for the reason */
		deliver(data[0], data[1] + 1u, body, strlen(body));
	else
		deliver(data[0], data[1] + 1u, heard.body, heard.size);
	if (heard.count == 0) { /* stopped: told from the loop */
		must(transfer.cancelled);
		must(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
	}
	must(heard.count == 1);
	rpc_free(&rpc);
	free(body);
	return 0;
}
