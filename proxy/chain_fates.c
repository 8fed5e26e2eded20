/* proxy/chain_fates.c - what became of authorizations; see proxy/chain_parts.h first.
 *
 *   seek the block before the first signature (and the one after the last expiry)
 *     └▶ scan the logs AuthorizationUsed, AuthorizationCanceled in between, to the head
 *          ├▶ each log deep enough: its block is in the chain, its receipt has it
 *          └▶ each authorization without a log, expired as of the common block:
 *               authorizationState at that block must say false
 *                 └▶ the common block is still the same
 *
 * An endpoint that says UNUSED has shown three things that agree: time, logs and state. The
 * last is the one that counts, the logs are there to contradict it. */
#include "proxy/chain_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

/* Our clock and the chain's may differ: a signature's log is looked for from this long
 * before it was made by ours... */
#define SINCE_MARGIN_S 300
/* ...and until so long after the last expiry, by the chain's time: nothing is used after it,
 * and a cancellation that came later still is not seen, and leaves UNKNOWN. */
#define EXPIRY_MARGIN_S 300
/* Looking for the end of the range pays when it saves more requests than it costs. */
#define PIECES_MANY 16

/* A receipt has all logs of one transaction: one that settles hundreds of payments at once,
 * at 700 bytes a log. */
#define RECEIPT_SIZE_MAX (1024u * 1024u)
#define WORD_SIZE_MAX    (4u * 1024u)

/* What one endpoint says about one authorization. */
struct sighting {
	bool seen; /* its log was found, somewhere up to the head */
	bool cancelled;
	struct chain_log log;
	bool spent; /* by the contract's state it was used or cancelled, but there is no log */
	struct chain_finding finding;
};

struct fates_work {
	size_t at;                    /* which authorization is looked at */
	struct chain_block low, high; /* around the earliest signature */
	bool scanned;                 /* as far as the common block, or as any could be used */
	struct sighting sightings[CHAIN_QUERIES_MAX];
};

struct fates_question {
	struct question question;
	struct chain_query queries[CHAIN_QUERIES_MAX];
	size_t count;
	int64_t since_s, end_s; /* logs are looked for between these */
	chain_fates_fn *done;
	void *arg;
};

static const struct fates_question *fates_of(const struct survey *survey)
{
	return (const struct fates_question *)survey->question;
}

/* --- the contract's state --- */

static void take_state(struct survey *survey, const struct rpc_answer *answer);

static void ask_states(struct survey *survey)
{
	const struct fates_question *fates = fates_of(survey);
	struct fates_work *work = survey->work;

	for (; work->at < fates->count; work->at++) {
		const struct chain_query *query = &fates->queries[work->at];
		struct sighting *sighting = &work->sightings[work->at];
		struct digest words[2];
		char contract[ADDRESS_TEXT_SIZE];

		if (sighting->seen)
			continue;
		if (survey->scanned)
			sighting->finding.block = survey->block;
		if (survey->block.time_s < query->valid_before_s)
			continue;
		if (!work->scanned) {
			(void)snprintf(sighting->finding.detail, sizeof(sighting->finding.detail),
			    "too many blocks to look through for its log");
			continue;
		}
		words[0] = chain_topic_address(&query->payer);
		memcpy(words[1].bytes, query->nonce, sizeof(query->nonce));
		address_format_lower(contract, &query->asset->contract);
		survey_ask(survey, "eth_call",
		    json_pack("[{s:s, s:o}, o]", "to", contract, "data",
			chain_call_data("authorizationState(address,bytes32)", words, 2),
			chain_quantity(survey->block.number)),
		    WORD_SIZE_MAX, false, take_state);
		return;
	}
	survey_close(survey);
}

static void take_state(struct survey *survey, const struct rpc_answer *answer)
{
	struct fates_work *work = survey->work;
	struct sighting *sighting = &work->sightings[work->at];
	bool spent;

	if (!chain_read_flag(&spent, answer->value)) {
		survey_fail(survey, "junk: authorizationState is neither true nor false");
		return;
	}
	sighting->spent = spent;
	if (spent) {
		sighting->finding.block = (struct chain_block){0};
		(void)snprintf(sighting->finding.detail, sizeof(sighting->finding.detail),
		    "the contract says it was used or cancelled, but no log of it was found");
	} else {
		sighting->finding.fate = CHAIN_FATE_UNUSED;
		sighting->finding.block = survey->block;
	}
	work->at++;
	ask_states(survey);
}

/* --- logs, looked at closely --- */

static bool same_log(const struct chain_log *a, const struct chain_log *b)
{
	return a->index == b->index && a->block_number == b->block_number &&
	       address_equal(&a->contract, &b->contract) && a->topic_count == b->topic_count &&
	       memcmp(a->topics, b->topics, a->topic_count * sizeof(a->topics[0])) == 0 &&
	       a->data_size == b->data_size && strcmp(a->transaction, b->transaction) == 0 &&
	       strcmp(a->block_hash, b->block_hash) == 0;
}

/* A Transfer of the asset out of the payer's hands. */
static bool is_payers_transfer(
    const struct survey *survey, const struct chain_query *query, const struct chain_log *log)
{
	struct digest payer = chain_topic_address(&query->payer);

	return address_equal(&log->contract, &query->asset->contract) && log->topic_count == 3 &&
	       log->data_size == 32 &&
	       memcmp(&log->topics[0], &survey->question->chain->topics.transfer,
		   sizeof(struct digest)) == 0 &&
	       memcmp(&log->topics[1], &payer, sizeof(payer)) == 0;
}

static void describe_transfer(char detail[160], const struct chain_log *transfer)
{
	char amount[UINT256_TEXT_SIZE], payee[ADDRESS_TEXT_SIZE] = "no address";
	struct uint256 value;
	struct address to;

	memcpy(value.be, transfer->word, sizeof(value.be));
	if (chain_topic_to_address(&to, &transfer->topics[2]))
		address_format(payee, &to);
	(void)snprintf(detail, 160, "its transaction moved %s to %s instead",
	    uint256_format(amount, &value), payee);
}

/* Does the receipt have the log, and what did the payer pay in it? False: not the log. */
static bool look_into(struct chain_finding *finding, const struct survey *survey,
    const struct chain_query *query, const struct chain_log *log, const json_t *logs)
{
	struct digest payee = chain_topic_address(&query->payee);
	bool found = false;

	(void)snprintf(finding->detail, sizeof(finding->detail),
	    "its transaction moved nothing of the payer's");
	for (size_t i = 0; i < json_array_size(logs); i++) {
		struct chain_log other;

		if (!chain_read_log(&other, json_array_get(logs, i)))
			return false;
		found |= same_log(log, &other);
		if (finding->transfer_matches || !is_payers_transfer(survey, query, &other))
			continue;
		finding->transfer_matches =
		    memcmp(&other.topics[2], &payee, sizeof(payee)) == 0 &&
		    memcmp(other.word, query->value.be, sizeof(other.word)) == 0;
		describe_transfer(finding->detail, &other);
	}
	if (finding->transfer_matches)
		finding->detail[0] = '\0';
	return found;
}

static void ask_logs(struct survey *survey);

static void take_receipt(struct survey *survey, const struct rpc_answer *answer)
{
	struct fates_work *work = survey->work;
	const struct chain_query *query = &fates_of(survey)->queries[work->at];
	struct sighting *sighting = &work->sightings[work->at];
	struct chain_finding finding = sighting->finding;
	const struct chain_log *log = &sighting->log;
	struct chain_receipt receipt;

	if (!chain_read_receipt(&receipt, answer->value) || !receipt.success ||
	    receipt.block_number != log->block_number ||
	    strcmp(receipt.block_hash, log->block_hash) != 0 ||
	    strcmp(receipt.transaction, log->transaction) != 0 ||
	    !look_into(&finding, survey, query, log, receipt.logs)) {
		survey_fail(survey, "junk: a log without a receipt that has it");
		return;
	}
	if (sighting->cancelled) {
		finding.transfer_matches = false;
		finding.detail[0] = '\0';
	}
	finding.fate = sighting->cancelled ? CHAIN_FATE_CANCELLED : CHAIN_FATE_USED;
	finding.log_index = log->index;
	memcpy(finding.transaction, log->transaction, sizeof(finding.transaction));
	sighting->finding = finding;
	work->at++;
	ask_logs(survey);
}

static void take_log_block(struct survey *survey)
{
	struct fates_work *work = survey->work;
	struct sighting *sighting = &work->sightings[work->at];

	if (strcmp(survey->read.hash, sighting->log.block_hash) != 0) {
		survey_fail(survey, "junk: a log of a block that is not in its chain");
		return;
	}
	sighting->finding.block = survey->read;
	survey_ask(survey, "eth_getTransactionReceipt", json_pack("[s]", sighting->log.transaction),
	    RECEIPT_SIZE_MAX, false, take_receipt);
}

static void ask_logs(struct survey *survey)
{
	const struct fates_question *fates = fates_of(survey);
	struct fates_work *work = survey->work;

	for (; work->at < fates->count; work->at++) {
		struct sighting *sighting = &work->sightings[work->at];

		if (!sighting->seen)
			continue;
		if (sighting->log.block_number <= survey->block.number) {
			survey_block(survey, sighting->log.block_number, take_log_block);
			return;
		}
		sighting->finding.shallow = true;
		(void)snprintf(sighting->finding.detail, sizeof(sighting->finding.detail),
		    "%s in block %lld, which is not deep enough yet",
		    sighting->cancelled ? "cancelled" : "used",
		    (long long)sighting->log.block_number);
	}
	work->at = 0;
	ask_states(survey);
}

static void logs_scanned(struct survey *survey)
{
	struct fates_work *work = survey->work;

	work->scanned = survey->scanned || survey->scan_at > survey->block.number;
	work->at = 0;
	ask_logs(survey);
}

/* --- finding logs --- */

/* A log is asked for by lists of contracts, payers and nonces, so one that belongs to no
 * authorization may be an answer all the same, but not one outside the lists. */
static void note_log(struct survey *survey, const struct chain_log *log)
{
	const struct fates_question *fates = fates_of(survey);
	const struct chain_topics *topics = &survey->question->chain->topics;
	struct fates_work *work = survey->work;
	bool used = memcmp(&log->topics[0], &topics->used, sizeof(topics->used)) == 0;
	bool cancelled =
	    memcmp(&log->topics[0], &topics->cancelled, sizeof(topics->cancelled)) == 0;
	bool contract = false, payer = false, nonce = false, twice = false;

	for (size_t i = 0; i < fates->count; i++) {
		const struct chain_query *query = &fates->queries[i];
		struct sighting *sighting = &work->sightings[i];
		struct digest from = chain_topic_address(&query->payer);
		bool by = memcmp(&log->topics[1], &from, sizeof(from)) == 0;
		bool with = memcmp(&log->topics[2], query->nonce, sizeof(query->nonce)) == 0;
		bool of = address_equal(&log->contract, &query->asset->contract);

		contract |= of;
		payer |= by;
		nonce |= with;
		if (!of || !by || !with)
			continue;
		twice |= sighting->seen;
		sighting->seen = true;
		sighting->cancelled = cancelled;
		sighting->log = *log;
	}
	if (log->topic_count != 3 || log->data_size != 0 || !(used || cancelled) || !contract ||
	    !payer || !nonce)
		survey_fail(survey, "junk: a log that was not asked for");
	else if (twice)
		survey_fail(survey, "junk: an authorization used or cancelled twice");
}

static json_t *filter_of(const struct survey *survey)
{
	const struct fates_question *fates = fates_of(survey);
	const struct chain_topics *topics = &survey->question->chain->topics;
	json_t *contracts = json_array(), *payers = json_array(), *nonces = json_array();

	for (size_t i = 0; i < fates->count; i++) {
		const struct chain_query *query = &fates->queries[i];
		struct digest payer = chain_topic_address(&query->payer);
		bool contract_known = false, payer_known = false;

		for (size_t j = 0; j < i; j++) {
			contract_known |= address_equal(
			    &fates->queries[j].asset->contract, &query->asset->contract);
			payer_known |= address_equal(&fates->queries[j].payer, &query->payer);
		}
		if (!contract_known)
			json_array_append_new(
			    contracts, chain_data(query->asset->contract.bytes, ADDRESS_SIZE));
		if (!payer_known)
			json_array_append_new(payers, chain_data(&payer, sizeof(payer)));
		json_array_append_new(nonces, chain_data(query->nonce, sizeof(query->nonce)));
	}
	return json_pack("{s:o, s:[[o, o], o, o]}", "address", contracts, "topics",
	    chain_data(&topics->used, sizeof(topics->used)),
	    chain_data(&topics->cancelled, sizeof(topics->cancelled)), payers, nonces);
}

static void scan_until(struct survey *survey, int64_t last)
{
	/* One log an authorization, and for each payer the nonces of the others at most. */
	survey_scan(survey, filter_of(survey), survey->low.number, last, 2 * CHAIN_QUERIES_MAX,
	    note_log, logs_scanned);
}

static void scan_until_high(struct survey *survey)
{
	const struct fates_work *work = survey->work;
	int64_t last = survey->high.number;

	/* What a scan of small pieces looks for again is its beginning. */
	survey->low = work->low;
	survey->high = work->high;
	survey->want_s = fates_of(survey)->since_s;
	scan_until(survey, last);
}

static void find_end(struct survey *survey)
{
	const struct fates_question *fates = fates_of(survey);
	struct fates_work *work = survey->work;

	work->low = survey->low;
	work->high = survey->high;
	if (survey_pieces(survey, survey->block.number - survey->low.number) > PIECES_MANY &&
	    fates->end_s < survey->block.time_s)
		survey_seek(survey, fates->end_s, scan_until_high);
	else
		scan_until(survey, survey->head.number);
}

static void fates_begin(struct survey *survey)
{
	const struct fates_question *fates = fates_of(survey);
	struct fates_work *work = must_calloc(1, sizeof(*work));

	for (size_t i = 0; i < fates->count; i++)
		work->sightings[i].finding.log_index = -1;
	survey->work = work;
	survey_seek(survey, fates->since_s, find_end);
}

static void fates_forget(struct survey *survey)
{
	free(survey->work);
}

/* --- what they add up to --- */

enum claim {
	CLAIM_NOTHING,
	CLAIM_UNUSED,
	CLAIM_SPENT, /* one of the next two */
	CLAIM_USED,
	CLAIM_CANCELLED,
};

static enum claim claim_of(const struct sighting *sighting)
{
	switch (sighting->finding.fate) {
	case CHAIN_FATE_UNKNOWN:
		return sighting->spent ? CLAIM_SPENT : CLAIM_NOTHING;
	case CHAIN_FATE_USED:
		return CLAIM_USED;
	case CHAIN_FATE_CANCELLED:
		return CLAIM_CANCELLED;
	case CHAIN_FATE_UNUSED:
		return CLAIM_UNUSED;
	}
	return CLAIM_NOTHING;
}

static const char *claim_words(enum claim claim)
{
	switch (claim) {
	case CLAIM_NOTHING:
		return "unknown";
	case CLAIM_UNUSED:
		return "unused";
	case CLAIM_SPENT:
		return "used or cancelled";
	case CLAIM_USED:
		return "used";
	case CLAIM_CANCELLED:
		return "cancelled";
	}
	return "unknown";
}

static bool same_evidence(const struct chain_finding *a, const struct chain_finding *b)
{
	return a->log_index == b->log_index && a->block.number == b->block.number &&
	       a->block.time_s == b->block.time_s && a->transfer_matches == b->transfer_matches &&
	       strcmp(a->block.hash, b->block.hash) == 0 &&
	       strcmp(a->transaction, b->transaction) == 0;
}

static bool contradict(const struct sighting *a, const struct sighting *b)
{
	enum claim low = claim_of(a), high = claim_of(b);

	if (low > high) {
		low = claim_of(b);
		high = claim_of(a);
	}
	if (low == CLAIM_NOTHING || low == CLAIM_SPENT)
		return false;
	return low != high || !same_evidence(&a->finding, &b->finding);
}

static const struct sighting *sighting_of(const struct survey *survey, size_t i)
{
	return &((const struct fates_work *)survey->work)->sightings[i];
}

/* Two say different things that may both be honest: one of them does not know yet. */
static void make_unknown(struct chain_finding *out, const struct chain_finding *other)
{
	struct chain_finding unknown = {
	    .log_index = -1, .shallow = out->shallow || other->shallow};
	const char *detail = out->fate == CHAIN_FATE_UNKNOWN ? out->detail : other->detail;

	(void)snprintf(unknown.detail, sizeof(unknown.detail), "%s",
	    *detail != '\0' ? detail : "not all endpoints know of it yet");
	*out = unknown;
}

/* One authorization: its fate is what all chosen surveys say. False when two of them
 * contradict each other; the finding's detail then says who. */
static bool settle(struct chain_finding *out, struct question *question, size_t i)
{
	size_t position = 0;
	struct survey *first = question_next(question, &position), *survey;
	const struct sighting *before = sighting_of(first, i);

	*out = before->finding;
	out->endpoints = 1;
	while ((survey = question_next(question, &position)) != NULL) {
		const struct sighting *sighting = sighting_of(survey, i);

		if (contradict(before, sighting)) {
			*out = (struct chain_finding){.log_index = -1};
			(void)snprintf(out->detail, sizeof(out->detail),
			    "%.55s says %s, %.55s says %s", survey_origin(first),
			    claim_words(claim_of(before)), survey_origin(survey),
			    claim_words(claim_of(sighting)));
			return false;
		}
		if (out->fate != sighting->finding.fate) {
			make_unknown(out, &sighting->finding);
			continue;
		}
		out->endpoints++;
		out->shallow |= sighting->finding.shallow;
		/* There is no log of it only when nobody has one. */
		if (*sighting->finding.block.hash == '\0')
			out->block = (struct chain_block){0};
	}
	return true;
}

/* Who lied about one authorization may have lied about all: a contradiction leaves nothing
 * but the words about it. */
static enum chain_result settle_all(
    struct chain_finding *findings, char words[CHAIN_REASON_SIZE], struct question *question)
{
	const struct fates_question *fates = (const struct fates_question *)question;
	bool agreed[CHAIN_QUERIES_MAX];
	enum chain_result result = CHAIN_OK;

	words[0] = '\0';
	for (size_t i = 0; i < fates->count; i++) {
		agreed[i] = settle(&findings[i], question, i);
		if (!agreed[i] && result == CHAIN_OK) {
			result = CHAIN_DISAGREE;
			(void)snprintf(words, CHAIN_REASON_SIZE, "%s", findings[i].detail);
		}
	}
	for (size_t i = 0; i < fates->count && result != CHAIN_OK; i++) {
		if (agreed[i])
			findings[i] = (struct chain_finding){.log_index = -1};
	}
	return result;
}

static void fates_report(struct question *question, enum chain_result result, const char *reason)
{
	const struct fates_question *fates = (const struct fates_question *)question;
	struct chain_finding findings[CHAIN_QUERIES_MAX];
	char words[CHAIN_REASON_SIZE];

	for (size_t i = 0; i < fates->count; i++)
		findings[i] = (struct chain_finding){.log_index = -1};
	if (result == CHAIN_OK) {
		result = settle_all(findings, words, question);
		reason = words;
	}
	fates->done(result, reason, findings, fates->count, fates->arg);
}

static int64_t within(int64_t time_s)
{
	return time_s < 0 ? 0 : time_s > CHAIN_READ_TIME_MAX ? CHAIN_READ_TIME_MAX : time_s;
}

void chain_fates(struct chain *chain, const struct chain_query *queries, size_t count,
    int64_t depth, chain_fates_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .begin = fates_begin, .forget = fates_forget, .report = fates_report};
	struct fates_question *fates = must_calloc(1, sizeof(*fates));

	must(count > 0 && count <= CHAIN_QUERIES_MAX);
	fates->count = count;
	fates->since_s = CHAIN_READ_TIME_MAX;
	fates->done = done;
	fates->arg = arg;
	for (size_t i = 0; i < count; i++) {
		int64_t since_s = within(queries[i].since_s) - SINCE_MARGIN_S;
		int64_t end_s = within(queries[i].valid_before_s) + EXPIRY_MARGIN_S;

		fates->queries[i] = queries[i];
		fates->since_s = since_s < fates->since_s ? since_s : fates->since_s;
		fates->end_s = end_s > fates->end_s ? end_s : fates->end_s;
	}
	question_start(&fates->question, chain, &kind, question_quorum(chain), depth);
}
