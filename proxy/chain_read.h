/* proxy/chain_read.h - what JSON-RPC endpoints answer, as data.
 *
 * Pure functions over parsed JSON: no sockets, no clock, no memory of earlier answers. Each
 * returns true with the outputs set, or false with them untouched, which means junk: a
 * missing member, another type, another length. Nothing is guessed and nothing is false by
 * default: "0x" is no word, null is no block.
 *
 * Quantities are strict as in EIP-1474: "0x", no leading zeros, "0x0" for zero. Data may be
 * of either case and is kept in lower case, so that answers of two endpoints compare.
 *
 * Sources: EIP-1474; https://github.com/ethereum/execution-apis; the contract ABI. */
#ifndef PROXY_CHAIN_READ_H
#define PROXY_CHAIN_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"
#include "proxy/chain.h"

/* Block numbers and timestamps past these are junk; sums of two stay far inside int64.
 * 2^53: no chain gets there in a million years at a block a millisecond. */
#define CHAIN_READ_NUMBER_MAX (INT64_C(1) << 53)
#define CHAIN_READ_TIME_MAX   INT64_C(253402300799) /* the year 9999 */

/** 0..INT64_MAX. */
bool chain_read_quantity(int64_t *out, const json_t *value) MUST_CHECK;
/** 0..2^256-1. */
bool chain_read_quantity256(struct uint256 *out, const json_t *value) MUST_CHECK;
/** Exactly 32 bytes of data, what a call of a one-word function returns. */
bool chain_read_word(uint8_t out[32], const json_t *value) MUST_CHECK;
/** Such a word that is 0 or 1. */
bool chain_read_flag(bool *out, const json_t *value) MUST_CHECK;
/** Such a word as a number. */
bool chain_read_uint256(struct uint256 *out, const json_t *value) MUST_CHECK;
/** 32 bytes as lower-case text, not all zero: the hash of a block or a transaction. */
bool chain_read_hash(char out[CHAIN_TEXT_SIZE], const json_t *value) MUST_CHECK;

/** A block that is in the chain (a pending one has no hash). */
bool chain_read_block(struct chain_block *out, const json_t *value) MUST_CHECK;
/** The baseFeePerGas of a block; false on a chain without EIP-1559, too. */
bool chain_read_base_fee(struct uint256 *out, const json_t *block) MUST_CHECK;

#define CHAIN_TOPICS_MAX 4u

struct chain_log {
	struct address contract;
	struct digest topics[CHAIN_TOPICS_MAX]; /* [0]: the event's, unless it is anonymous */
	size_t topic_count;
	size_t data_size;
	uint8_t word[32]; /* the first 32 bytes of the data, when there are as many */
	int64_t block_number;
	char block_hash[CHAIN_TEXT_SIZE];
	char transaction[CHAIN_TEXT_SIZE];
	int64_t index; /* in its block */
};
/** A log of a block that is in the chain: one that was removed, or is pending, is junk. */
bool chain_read_log(struct chain_log *out, const json_t *value) MUST_CHECK;

struct chain_receipt {
	char transaction[CHAIN_TEXT_SIZE];
	int64_t block_number;
	char block_hash[CHAIN_TEXT_SIZE];
	bool success;
	const json_t *logs; /* an array; each passes chain_read_log and is of this transaction
			     * and block, their indices ascend. Borrowed from value. */
};
bool chain_read_receipt(struct chain_receipt *out, const json_t *value) MUST_CHECK;

/* --- questions --- */

/** "0x1f"; number >= 0. */
json_t *chain_quantity(int64_t number);
/** "0x" and two digits a byte. */
json_t *chain_data(const void *bytes, size_t size);

/* The topics of the events we look for. */
struct chain_topics {
	struct digest used;      /* AuthorizationUsed(address,bytes32) */
	struct digest cancelled; /* AuthorizationCanceled(address,bytes32) */
	struct digest transfer;  /* Transfer(address,address,uint256) */
};
struct chain_topics chain_topics(void);
/** An address as an indexed argument: twelve zero bytes before it. */
struct digest chain_topic_address(const struct address *address);
/** The reverse; false when the twelve are not zero. */
bool chain_topic_to_address(struct address *out, const struct digest *topic) MUST_CHECK;

/** The data of a call: the first four bytes of the signature's Keccak-256, then the words. */
json_t *chain_call_data(const char *signature, const struct digest *words, size_t word_count);

#endif
