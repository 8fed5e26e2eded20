/* proxy/chain_gas.c - what a transaction costs, and sending it; see proxy/chain_parts.h
 * first. No agreement is needed: a wrong answer here makes a transaction fail, and how much
 * it can waste is bounded below. */
#include "proxy/chain_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define ANSWER_SIZE_MAX (16u * 1024u)
#define BLOCK_SIZE_MAX  (1024u * 1024u) /* as in chain_survey.c */
/* Our transactions are calls of a few words. */
#define DATA_SIZE_MAX 4096u

#define GWEI UINT64_C(1000000000)
/* Where the endpoint does not say: what gets a transaction in on a quiet day. */
#define PRIORITY_FEE_DEFAULT (GWEI / 10)
/* Past these an endpoint is lying, or it is no day for sending transactions: 60,000 units of
 * gas would cost 0.6 and 0.06 of the native coin. */
#define BASE_FEE_MAX     (10000 * GWEI)
#define PRIORITY_FEE_MAX (1000 * GWEI)
/* A block's worth, on the chains with the largest. */
#define GAS_MAX INT64_C(1000000000)

/* --- gas --- */

struct gas_work {
	struct chain_gas gas;
	bool refused;
	char reason[RPC_REASON_SIZE];
};

struct gas_question {
	struct question question;
	struct address sender, to;
	uint8_t *data;
	size_t data_size;
	chain_gas_fn *done;
	void *arg;
};

static const struct gas_question *gas_of(const struct survey *survey)
{
	return (const struct gas_question *)survey->question;
}

static void take_limit(struct survey *survey, const struct rpc_answer *answer)
{
	struct gas_work *work = survey->work;
	int64_t limit = 0;

	if (answer->result == RPC_ERROR) {
		work->refused = true;
		memcpy(work->reason, answer->reason, strlen(answer->reason) + 1);
		survey_done(survey);
	} else if (!chain_read_quantity(&limit, answer->value) || limit < 1 || limit > GAS_MAX) {
		survey_fail(survey, "junk: an estimate of gas that is none");
	} else {
		work->gas.limit = (uint64_t)limit;
		survey_done(survey);
	}
}

static void take_balance(struct survey *survey, const struct rpc_answer *answer)
{
	const struct gas_question *gas = gas_of(survey);
	struct gas_work *work = survey->work;
	char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];

	if (!chain_read_quantity256(&work->gas.balance, answer->value)) {
		survey_fail(survey, "junk: a balance that is no number");
		return;
	}
	/* Some endpoints refuse the estimate for a sender without a balance. */
	if (uint256_is_zero(&work->gas.balance)) {
		survey_done(survey);
		return;
	}
	address_format_lower(from, &gas->sender);
	address_format_lower(to, &gas->to);
	survey_ask(survey, "eth_estimateGas",
	    json_pack("[{s:s, s:s, s:o}]", "from", from, "to", to, "data",
		chain_data(gas->data, gas->data_size)),
	    ANSWER_SIZE_MAX, true, take_limit);
}

static void take_count(struct survey *survey, const struct rpc_answer *answer)
{
	struct gas_work *work = survey->work;
	char sender[ADDRESS_TEXT_SIZE];
	int64_t count;

	if (!chain_read_quantity(&count, answer->value)) {
		survey_fail(survey, "junk: a count of transactions that is no number");
		return;
	}
	work->gas.transaction_count = (uint64_t)count;
	address_format_lower(sender, &gas_of(survey)->sender);
	survey_ask(survey, "eth_getBalance", json_pack("[s, s]", sender, "latest"), ANSWER_SIZE_MAX,
	    false, take_balance);
}

static bool at_most(const struct uint256 *fee, uint64_t max)
{
	struct uint256 limit = uint256_of(max);

	return uint256_cmp(fee, &limit) <= 0;
}

static void take_priority(struct survey *survey, const struct rpc_answer *answer)
{
	struct gas_work *work = survey->work;
	char sender[ADDRESS_TEXT_SIZE];

	if (answer->result == RPC_ERROR) {
		work->gas.priority_fee = uint256_of(PRIORITY_FEE_DEFAULT);
	} else if (!chain_read_quantity256(&work->gas.priority_fee, answer->value) ||
		   !at_most(&work->gas.priority_fee, PRIORITY_FEE_MAX)) {
		survey_fail(survey, "junk: a priority fee that is none, or above 1000 gwei");
		return;
	}
	address_format_lower(sender, &gas_of(survey)->sender);
	survey_ask(survey, "eth_getTransactionCount", json_pack("[s, s]", sender, "pending"),
	    ANSWER_SIZE_MAX, false, take_count);
}

static void take_fees(struct survey *survey, const struct rpc_answer *answer)
{
	struct gas_work *work = survey->work;
	struct chain_block block;

	if (!chain_read_block(&block, answer->value) ||
	    !chain_read_base_fee(&work->gas.base_fee, answer->value) ||
	    !at_most(&work->gas.base_fee, BASE_FEE_MAX)) {
		survey_fail(survey, "junk: a newest block without a base fee (EIP-1559), or one "
				    "above 10000 gwei");
		return;
	}
	survey_ask(
	    survey, "eth_maxPriorityFeePerGas", json_array(), ANSWER_SIZE_MAX, true, take_priority);
}

static void gas_begin(struct survey *survey)
{
	survey->work = must_calloc(1, sizeof(struct gas_work));
	survey_ask(survey, "eth_getBlockByNumber", json_pack("[s, b]", "latest", 0), BLOCK_SIZE_MAX,
	    false, take_fees);
}

static void work_forget(struct survey *survey)
{
	free(survey->work);
}

static void gas_report(struct question *question, enum chain_result result, const char *reason)
{
	const struct gas_question *gas = (const struct gas_question *)question;
	const struct gas_work *work;
	size_t position = 0;

	if (result != CHAIN_OK) {
		gas->done(result, reason, NULL, gas->arg);
		return;
	}
	work = question_next(question, &position)->work;
	if (work->refused)
		gas->done(CHAIN_REFUSED, work->reason, NULL, gas->arg);
	else
		gas->done(CHAIN_OK, "", &work->gas, gas->arg);
}

static void gas_fini(struct question *question)
{
	free(((struct gas_question *)question)->data);
}

void chain_gas(struct chain *chain, const struct address *sender, const struct address *to,
    const uint8_t *data, size_t data_size, chain_gas_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .blockless = true,
	    .begin = gas_begin,
	    .forget = work_forget,
	    .report = gas_report,
	    .fini = gas_fini,
	};
	struct gas_question *gas = must_calloc(1, sizeof(*gas));

	must(data_size <= DATA_SIZE_MAX);
	gas->sender = *sender;
	gas->to = *to;
	gas->data = must_alloc(data_size + 1);
	memcpy(gas->data, data, data_size);
	gas->data_size = data_size;
	gas->done = done;
	gas->arg = arg;
	question_start(&gas->question, chain, &kind, 1, 0);
}

/* --- sending --- */

struct send_work {
	bool refused;
	char reason[RPC_REASON_SIZE];
};

struct send_question {
	struct question question;
	uint8_t *raw;
	size_t size;
	char transaction[CHAIN_TEXT_SIZE]; /* its hash, which we know without being told */
	chain_send_fn *done;
	void *arg;
};

/* It has the transaction already: another endpoint was quicker, or we ourselves. geth and
 * erigon, Nethermind, Besu say so in these words. */
static bool is_known(const char *reason)
{
	static const char *const words[] = {
	    "already known", "AlreadyKnown", "already imported", "nown transaction"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(reason, words[i]) != NULL)
			return true;
	}
	return false;
}

static void take_sent(struct survey *survey, const struct rpc_answer *answer)
{
	const struct send_question *send = (const struct send_question *)survey->question;
	struct send_work *work = survey->work;
	char transaction[CHAIN_TEXT_SIZE];

	if (answer->result == RPC_ERROR) {
		work->refused = !is_known(answer->reason);
		memcpy(work->reason, answer->reason, strlen(answer->reason) + 1);
		survey_done(survey);
	} else if (!chain_read_hash(transaction, answer->value) ||
		   strcmp(transaction, send->transaction) != 0) {
		survey_fail(survey, "junk: it names another transaction than was sent");
	} else {
		survey_done(survey);
	}
}

static void send_begin(struct survey *survey)
{
	const struct send_question *send = (const struct send_question *)survey->question;

	survey->work = must_calloc(1, sizeof(struct send_work));
	survey_ask(survey, "eth_sendRawTransaction",
	    json_pack("[o]", chain_data(send->raw, send->size)), ANSWER_SIZE_MAX, true, take_sent);
}

static void send_report(struct question *question, enum chain_result result, const char *reason)
{
	const struct send_question *send = (const struct send_question *)question;
	const struct survey *survey;
	char words[CHAIN_REASON_SIZE] = "";
	bool taken = false;
	size_t position = 0;

	while (result == CHAIN_OK && (survey = question_next(question, &position)) != NULL) {
		const struct send_work *work = survey->work;

		taken |= !work->refused;
		if (work->refused)
			(void)snprintf(
			    words, sizeof(words), "%.60s: %s", survey_origin(survey), work->reason);
	}
	if (result == CHAIN_OK && taken)
		send->done(CHAIN_OK, "", send->transaction, send->arg);
	else if (result == CHAIN_OK)
		send->done(CHAIN_REFUSED, words, NULL, send->arg);
	else
		send->done(result, reason, NULL, send->arg);
}

static void send_fini(struct question *question)
{
	free(((struct send_question *)question)->raw);
}

void chain_send(
    struct chain *chain, const uint8_t *raw, size_t size, chain_send_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .all = true,
	    .blockless = true,
	    .begin = send_begin,
	    .forget = work_forget,
	    .report = send_report,
	    .fini = send_fini,
	};
	struct send_question *send = must_calloc(1, sizeof(*send));
	struct digest hash = keccak256(raw, size);

	must(size > 0 && size <= DATA_SIZE_MAX);
	send->raw = must_alloc(size);
	memcpy(send->raw, raw, size);
	send->size = size;
	hex_encode_0x(send->transaction, hash.bytes, sizeof(hash.bytes));
	send->done = done;
	send->arg = arg;
	question_start(&send->question, chain, &kind, 1, 0);
}
