/* proxy/chain_balance.c - what somebody holds, and what was sent to somebody; see
 * proxy/chain_parts.h first. */
#include "proxy/chain_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SIZE_MAX (4u * 1024u)

/* --- balance --- */

struct balance_question {
	struct question question;
	const struct asset *asset; /* NULL: the native coin */
	struct address holder;
	chain_balance_fn *done;
	void *arg;
};

static void take_balance(struct survey *survey, const struct rpc_answer *answer)
{
	const struct balance_question *balance = (const struct balance_question *)survey->question;
	struct uint256 *value = survey->work;
	bool ok = balance->asset == NULL ? chain_read_quantity256(value, answer->value)
					 : chain_read_uint256(value, answer->value);

	if (ok)
		survey_close(survey);
	else
		survey_fail(survey, "junk: a balance that is no number");
}

static void balance_begin(struct survey *survey)
{
	const struct balance_question *balance = (const struct balance_question *)survey->question;
	json_t *block = chain_quantity(survey->block.number);
	struct digest holder = chain_topic_address(&balance->holder);
	char text[ADDRESS_TEXT_SIZE];

	survey->work = must_calloc(1, sizeof(struct uint256));
	if (balance->asset == NULL) {
		address_format_lower(text, &balance->holder);
		survey_ask(survey, "eth_getBalance", json_pack("[s, o]", text, block),
		    WORD_SIZE_MAX, false, take_balance);
		return;
	}
	address_format_lower(text, &balance->asset->contract);
	survey_ask(survey, "eth_call",
	    json_pack("[{s:s, s:o}, o]", "to", text, "data",
		chain_call_data("balanceOf(address)", &holder, 1), block),
	    WORD_SIZE_MAX, false, take_balance);
}

static void work_forget(struct survey *survey)
{
	free(survey->work);
}

static void disagree(char reason[CHAIN_REASON_SIZE], const struct survey *a, const struct survey *b,
    const char *what)
{
	(void)snprintf(reason, CHAIN_REASON_SIZE, "%s and %s name different %s", survey_origin(a),
	    survey_origin(b), what);
}

static void balance_report(struct question *question, enum chain_result result, const char *reason)
{
	const struct balance_question *balance = (const struct balance_question *)question;
	const struct survey *first = NULL, *survey;
	char words[CHAIN_REASON_SIZE];
	size_t position = 0;
	int64_t count = 0;

	while (result == CHAIN_OK && (survey = question_next(question, &position)) != NULL) {
		count++;
		first = first == NULL ? survey : first;
		if (uint256_cmp(first->work, survey->work) == 0)
			continue;
		disagree(words, first, survey, "balances");
		result = CHAIN_DISAGREE;
		reason = words;
	}
	if (result == CHAIN_OK)
		balance->done(result, "", first->work, &first->block, count, balance->arg);
	else
		balance->done(result, reason, NULL, NULL, 0, balance->arg);
}

void chain_balance(struct chain *chain, const struct asset *asset, const struct address *holder,
    int64_t depth, chain_balance_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .begin = balance_begin, .forget = work_forget, .report = balance_report};
	struct balance_question *balance = must_calloc(1, sizeof(*balance));

	balance->asset = asset;
	balance->holder = *holder;
	balance->done = done;
	balance->arg = arg;
	question_start(&balance->question, chain, &kind, question_quorum(chain), depth);
}

/* --- transfers --- */

/* Our clock and the chain's may differ. */
#define SINCE_MARGIN_S 300
/* Anybody may send nothing in anybody's name, and some do in great number: those are passed
 * over and only bounded by the size of an answer. */
#define LOGS_MAX 65536u

struct transfers_work {
	size_t at; /* whose block is looked at */
	size_t count;
	size_t capacity;
	struct chain_transfer *items;
};

struct transfers_question {
	struct question question;
	const struct asset *asset;
	struct address senders[CHAIN_QUERIES_MAX];
	size_t sender_count;
	struct address to;
	int64_t since_s;
	chain_transfers_fn *done;
	void *arg;
};

static const struct transfers_question *transfers_of(const struct survey *survey)
{
	return (const struct transfers_question *)survey->question;
}

static void ask_blocks(struct survey *survey);

static void take_block(struct survey *survey)
{
	struct transfers_work *work = survey->work;
	int64_t number = work->items[work->at].block.number;

	for (; work->at < work->count && work->items[work->at].block.number == number; work->at++) {
		if (strcmp(work->items[work->at].block.hash, survey->read.hash) != 0) {
			survey_fail(survey, "junk: a log of a block that is not in its chain");
			return;
		}
		work->items[work->at].block = survey->read;
	}
	ask_blocks(survey);
}

/* Their times, and whether they are in the chain. */
static void ask_blocks(struct survey *survey)
{
	struct transfers_work *work = survey->work;

	if (work->at < work->count)
		survey_block(survey, work->items[work->at].block.number, take_block);
	else
		survey_close(survey);
}

static int compare_places(const void *a, const void *b)
{
	const struct chain_transfer *one = a, *two = b;

	if (one->block.number != two->block.number)
		return one->block.number < two->block.number ? -1 : 1;
	return (one->log_index > two->log_index) - (one->log_index < two->log_index);
}

static void transfers_scanned(struct survey *survey)
{
	struct transfers_work *work = survey->work;

	if (!survey->scanned) {
		survey_fail(survey, "too many blocks to look through for transfers");
		return;
	}
	if (work->count > 0)
		qsort(work->items, work->count, sizeof(work->items[0]), compare_places);
	for (size_t i = 1; i < work->count; i++) {
		if (compare_places(&work->items[i - 1], &work->items[i]) == 0) {
			survey_fail(survey, "junk: one log twice");
			return;
		}
	}
	if (work->count > CHAIN_TRANSFERS_MAX)
		work->count = CHAIN_TRANSFERS_MAX;
	ask_blocks(survey);
}

static bool asked_sender(
    struct address *out, const struct transfers_question *question, const struct digest *topic)
{
	for (size_t i = 0; i < question->sender_count; i++) {
		struct digest sender = chain_topic_address(&question->senders[i]);

		if (memcmp(&sender, topic, sizeof(sender)) != 0)
			continue;
		*out = question->senders[i];
		return true;
	}
	return false;
}

static void note_transfer(struct survey *survey, const struct chain_log *log)
{
	const struct transfers_question *question = transfers_of(survey);
	struct digest to = chain_topic_address(&question->to);
	struct transfers_work *work = survey->work;
	struct chain_transfer transfer = {.log_index = log->index};

	memcpy(transfer.value.be, log->word, sizeof(transfer.value.be));
	if (log->topic_count != 3 || log->data_size != 32 ||
	    !address_equal(&log->contract, &question->asset->contract) ||
	    memcmp(&log->topics[0], &survey->question->chain->topics.transfer, sizeof(to)) != 0 ||
	    memcmp(&log->topics[2], &to, sizeof(to)) != 0 ||
	    !asked_sender(&transfer.from, question, &log->topics[1])) {
		survey_fail(survey, "junk: a log that was not asked for");
		return;
	}
	if (uint256_is_zero(&transfer.value))
		return;
	transfer.block.number = log->block_number;
	memcpy(transfer.block.hash, log->block_hash, sizeof(transfer.block.hash));
	memcpy(transfer.transaction, log->transaction, sizeof(transfer.transaction));
	if (work->count == work->capacity) {
		work->capacity = work->capacity == 0 ? 16 : 2 * work->capacity;
		work->items = must_realloc(work->items, work->capacity * sizeof(*work->items));
	}
	work->items[work->count++] = transfer;
	/* Enough: what comes after this piece is newer. */
	if (work->count >= CHAIN_TRANSFERS_MAX)
		survey->scan_end = survey->scan_at + survey->scan_span - 1;
}

static void find_transfers(struct survey *survey)
{
	const struct transfers_question *question = transfers_of(survey);
	struct digest to = chain_topic_address(&question->to);
	json_t *senders = json_array(), *filter;

	for (size_t i = 0; i < question->sender_count; i++) {
		struct digest sender = chain_topic_address(&question->senders[i]);

		json_array_append_new(senders, chain_data(&sender, sizeof(sender)));
	}
	filter = json_pack("{s:o, s:[o, o, o]}", "address",
	    chain_data(question->asset->contract.bytes, ADDRESS_SIZE), "topics",
	    chain_data(&survey->question->chain->topics.transfer, sizeof(to)), senders,
	    chain_data(&to, sizeof(to)));
	survey_scan(survey, filter, survey->low.number, survey->block.number, LOGS_MAX,
	    note_transfer, transfers_scanned);
}

static void transfers_begin(struct survey *survey)
{
	int64_t since_s = transfers_of(survey)->since_s;

	survey->work = must_calloc(1, sizeof(struct transfers_work));
	survey_seek(
	    survey, since_s < SINCE_MARGIN_S ? 0 : since_s - SINCE_MARGIN_S, find_transfers);
}

static void transfers_forget(struct survey *survey)
{
	struct transfers_work *work = survey->work;

	free(work->items);
	free(work);
}

static bool same_transfers(const struct transfers_work *a, const struct transfers_work *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct chain_transfer *one = &a->items[i], *two = &b->items[i];

		if (compare_places(one, two) != 0 || !address_equal(&one->from, &two->from) ||
		    uint256_cmp(&one->value, &two->value) != 0 ||
		    one->block.time_s != two->block.time_s ||
		    strcmp(one->block.hash, two->block.hash) != 0 ||
		    strcmp(one->transaction, two->transaction) != 0)
			return false;
	}
	return true;
}

static void transfers_report(
    struct question *question, enum chain_result result, const char *reason)
{
	const struct transfers_question *transfers = (const struct transfers_question *)question;
	const struct survey *first = NULL, *survey;
	const struct transfers_work *work;
	char words[CHAIN_REASON_SIZE];
	size_t position = 0;
	int64_t count = 0;

	while (result == CHAIN_OK && (survey = question_next(question, &position)) != NULL) {
		count++;
		first = first == NULL ? survey : first;
		if (same_transfers(first->work, survey->work))
			continue;
		disagree(words, first, survey, "transfers");
		result = CHAIN_DISAGREE;
		reason = words;
	}
	if (result != CHAIN_OK) {
		transfers->done(result, reason, NULL, 0, 0, transfers->arg);
		return;
	}
	work = first->work;
	transfers->done(result, "", work->items, work->count, count, transfers->arg);
}

void chain_transfers(struct chain *chain, const struct asset *asset, const struct address *senders,
    size_t sender_count, const struct address *to, int64_t since_s, int64_t depth,
    chain_transfers_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .begin = transfers_begin, .forget = transfers_forget, .report = transfers_report};
	struct transfers_question *transfers = must_calloc(1, sizeof(*transfers));

	must(sender_count > 0 && sender_count <= CHAIN_QUERIES_MAX);
	transfers->asset = asset;
	memcpy(transfers->senders, senders, sender_count * sizeof(*senders));
	transfers->sender_count = sender_count;
	transfers->to = *to;
	transfers->since_s = since_s;
	transfers->done = done;
	transfers->arg = arg;
	question_start(&transfers->question, chain, &kind, question_quorum(chain), depth);
}
