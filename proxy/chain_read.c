/* proxy/chain_read.c - answers of JSON-RPC endpoints as data; see proxy/chain_read.h. */
#include "proxy/chain_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"

#define WORD_SIZE 32u

/* --- quantities and data --- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The digits of a quantity, at most count_max; NULL when it is none. */
static const char *quantity_digits(size_t *out_count, const json_t *value, size_t count_max)
{
	const char *text = json_string_value(value);
	size_t count = 0;

	if (text == NULL || text[0] != '0' || text[1] != 'x')
		return NULL;
	text += 2;
	while (digit_value(text[count]) >= 0) {
		if (++count > count_max)
			return NULL;
	}
	if (count == 0 || text[count] != '\0' || (text[0] == '0' && count > 1))
		return NULL;
	*out_count = count;
	return text;
}

bool chain_read_quantity(int64_t *out, const json_t *value)
{
	size_t count;
	const char *digits = quantity_digits(&count, value, 16);
	uint64_t number = 0;

	if (digits == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		number = number << 4 | (uint64_t)digit_value(digits[i]);
	if (number > INT64_MAX)
		return false;
	*out = (int64_t)number;
	return true;
}

bool chain_read_quantity256(struct uint256 *out, const json_t *value)
{
	size_t count;
	const char *digits = quantity_digits(&count, value, 64);
	struct uint256 number = {{0}};

	if (digits == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t place = count - 1 - i; /* from the right */

		number.be[31 - place / 2] |=
		    (uint8_t)(digit_value(digits[i]) << (place % 2 == 1 ? 4 : 0));
	}
	*out = number;
	return true;
}

/* The bytes of data that is exactly as long. */
static bool read_bytes(void *out, size_t size, const json_t *value)
{
	const char *text = json_string_value(value);

	/* hex_decode takes digits without "0x" too. */
	return text != NULL && text[0] == '0' && text[1] == 'x' && hex_decode(out, size, text);
}

bool chain_read_word(uint8_t out[32], const json_t *value)
{
	return read_bytes(out, WORD_SIZE, value);
}

bool chain_read_flag(bool *out, const json_t *value)
{
	uint8_t word[WORD_SIZE], rest = 0;

	if (!chain_read_word(word, value))
		return false;
	for (size_t i = 0; i < WORD_SIZE - 1; i++)
		rest |= word[i];
	if (rest != 0 || word[WORD_SIZE - 1] > 1)
		return false;
	*out = word[WORD_SIZE - 1] == 1;
	return true;
}

bool chain_read_uint256(struct uint256 *out, const json_t *value)
{
	return chain_read_word(out->be, value);
}

bool chain_read_hash(char out[CHAIN_TEXT_SIZE], const json_t *value)
{
	uint8_t word[WORD_SIZE], any = 0;

	if (!chain_read_word(word, value))
		return false;
	for (size_t i = 0; i < WORD_SIZE; i++)
		any |= word[i];
	if (any == 0)
		return false;
	hex_encode_0x(out, word, WORD_SIZE);
	return true;
}

static bool read_bounded(int64_t *out, const json_t *value, int64_t max)
{
	int64_t number;

	if (!chain_read_quantity(&number, value) || number > max)
		return false;
	*out = number;
	return true;
}

static bool read_number(int64_t *out, const json_t *value)
{
	return read_bounded(out, value, CHAIN_READ_NUMBER_MAX);
}

/* --- blocks --- */

bool chain_read_block(struct chain_block *out, const json_t *value)
{
	struct chain_block block;

	if (!read_number(&block.number, json_object_get(value, "number")) ||
	    !read_bounded(
		&block.time_s, json_object_get(value, "timestamp"), CHAIN_READ_TIME_MAX) ||
	    !chain_read_hash(block.hash, json_object_get(value, "hash")))
		return false;
	*out = block;
	return true;
}

bool chain_read_base_fee(struct uint256 *out, const json_t *block)
{
	return chain_read_quantity256(out, json_object_get(block, "baseFeePerGas"));
}

/* --- logs --- */

static bool read_topics(struct chain_log *log, const json_t *value)
{
	if (!json_is_array(value) || json_array_size(value) > CHAIN_TOPICS_MAX)
		return false;
	log->topic_count = json_array_size(value);
	for (size_t i = 0; i < log->topic_count; i++) {
		if (!chain_read_word(log->topics[i].bytes, json_array_get(value, i)))
			return false;
	}
	return true;
}

static bool read_data(struct chain_log *log, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t length;
	char first[2 * WORD_SIZE + 1];

	if (text == NULL || text[0] != '0' || text[1] != 'x')
		return false;
	text += 2;
	length = strlen(text);
	if (length % 2 != 0 || strspn(text, "0123456789abcdefABCDEF") != length)
		return false;
	log->data_size = length / 2;
	if (log->data_size < WORD_SIZE)
		return true;
	memcpy(first, text, sizeof(first) - 1);
	first[sizeof(first) - 1] = '\0';
	return hex_decode(log->word, WORD_SIZE, first);
}

bool chain_read_log(struct chain_log *out, const json_t *value)
{
	const json_t *removed = json_object_get(value, "removed");
	struct chain_log log = {.topic_count = 0};

	if (removed != NULL && !json_is_false(removed))
		return false;
	if (!read_bytes(log.contract.bytes, ADDRESS_SIZE, json_object_get(value, "address")) ||
	    !read_topics(&log, json_object_get(value, "topics")) ||
	    !read_data(&log, json_object_get(value, "data")) ||
	    !read_number(&log.block_number, json_object_get(value, "blockNumber")) ||
	    !chain_read_hash(log.block_hash, json_object_get(value, "blockHash")) ||
	    !chain_read_hash(log.transaction, json_object_get(value, "transactionHash")) ||
	    !read_number(&log.index, json_object_get(value, "logIndex")))
		return false;
	*out = log;
	return true;
}

/* --- receipts --- */

static bool logs_belong(const struct chain_receipt *receipt)
{
	int64_t last_index = -1;

	for (size_t i = 0; i < json_array_size(receipt->logs); i++) {
		struct chain_log log;

		if (!chain_read_log(&log, json_array_get(receipt->logs, i)) ||
		    log.block_number != receipt->block_number || log.index <= last_index ||
		    strcmp(log.block_hash, receipt->block_hash) != 0 ||
		    strcmp(log.transaction, receipt->transaction) != 0)
			return false;
		last_index = log.index;
	}
	return true;
}

bool chain_read_receipt(struct chain_receipt *out, const json_t *value)
{
	struct chain_receipt receipt = {.logs = json_object_get(value, "logs")};
	int64_t status;

	if (!chain_read_hash(receipt.transaction, json_object_get(value, "transactionHash")) ||
	    !chain_read_hash(receipt.block_hash, json_object_get(value, "blockHash")) ||
	    !read_number(&receipt.block_number, json_object_get(value, "blockNumber")) ||
	    !read_bounded(&status, json_object_get(value, "status"), 1) ||
	    !json_is_array(receipt.logs) || !logs_belong(&receipt))
		return false;
	receipt.success = status == 1;
	*out = receipt;
	return true;
}

/* --- questions --- */

json_t *chain_quantity(int64_t number)
{
	char text[24];

	must(number >= 0);
	(void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)number);
	return json_string(text);
}

json_t *chain_data(const void *bytes, size_t size)
{
	char *text = must_alloc(2 * size + 3);
	json_t *data = json_string(hex_encode_0x(text, bytes, size));

	free(text);
	return data;
}

static struct digest keccak_text(const char *text)
{
	return keccak256(text, strlen(text));
}

struct chain_topics chain_topics(void)
{
	return (struct chain_topics){
	    .used = keccak_text("AuthorizationUsed(address,bytes32)"),
	    .cancelled = keccak_text("AuthorizationCanceled(address,bytes32)"),
	    .transfer = keccak_text("Transfer(address,address,uint256)"),
	};
}

struct digest chain_topic_address(const struct address *address)
{
	struct digest topic = {{0}};

	memcpy(topic.bytes + WORD_SIZE - ADDRESS_SIZE, address->bytes, ADDRESS_SIZE);
	return topic;
}

bool chain_topic_to_address(struct address *out, const struct digest *topic)
{
	static const uint8_t zeros[WORD_SIZE - ADDRESS_SIZE];

	if (memcmp(topic->bytes, zeros, sizeof(zeros)) != 0)
		return false;
	memcpy(out->bytes, topic->bytes + sizeof(zeros), ADDRESS_SIZE);
	return true;
}

json_t *chain_call_data(const char *signature, const struct digest *words, size_t word_count)
{
	struct digest selector = keccak_text(signature);
	size_t size = 4 + word_count * WORD_SIZE;
	uint8_t *bytes = must_alloc(size);
	json_t *data;

	memcpy(bytes, selector.bytes, 4);
	for (size_t i = 0; i < word_count; i++)
		memcpy(bytes + 4 + i * WORD_SIZE, words[i].bytes, WORD_SIZE);
	data = chain_data(bytes, size);
	free(bytes);
	return data;
}
