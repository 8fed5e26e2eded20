/* proxy/chain_survey.c - one endpoint answers one question, step by step; see
 * proxy/chain_parts.h first.
 *
 * Everything an endpoint says within a survey must hold together: the chain is the one
 * that was asked for, a block has the number that was asked for, time does not run
 * backwards as numbers rise or forwards past our own clock, the common block is the same
 * at the end as at the beginning. What does not hold together does not count. */
#include "proxy/chain_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

/* 256 transfers: a block for each; or 64 authorizations: a block, a receipt or a call for
 * each. With that 96 pieces of logs, 24 blocks of each of two seeks, and a handful. */
#define REQUESTS_MAX 416u
/* The whole survey, in units of one request's time: a good endpoint takes a hundredth of it
 * for each, one that is always just in time must not hold up the others for long. */
#define SURVEY_REQUEST_TIMES 30
/* A block without its transactions still lists their hashes: 69 bytes each, 10,000 of them
 * on the busiest chains. */
#define BLOCK_SIZE_MAX (1024u * 1024u)
#define LOGS_SIZE_MAX  (1024u * 1024u)
#define SMALL_SIZE_MAX (16u * 1024u)
/* Chains refuse blocks of more than some seconds in the future; our own clock may be wrong
 * by minutes. A test chain whose clock was moved is not much further. */
#define FUTURE_S_MAX 900
/* For how long an endpoint that failed is asked last. */
#define LAST_US (60 * CLOCK_US_PER_S)
/* How long a chain id is believed of an endpoint that never fails: what stands behind a name
 * may be replaced. */
#define ID_US (600 * CLOCK_US_PER_S)
/* Blocks in one eth_getLogs, to begin with: public endpoints allow 10 to 50,000. */
#define SPAN_FIRST 4096
/* eth_getLogs in one scan, those that are refused for their size included: 9 from the first
 * size to one that every endpoint allows, and 80 of those, of 8 blocks, are 640. */
#define SCANS_MAX 96u
/* So many pieces are more requests than finding a better place to begin. */
#define PIECES_MANY 12
#define SEEKS_MAX   24u
/* Of these the first are placed by interpolation, and what is left is halved. */
#define SEEKS_INTERPOLATED 12u
/* Two blocks no further apart than a piece of logs are near: but not nearer than the first,
 * which would take longer to find, and not further than half of the largest piece. */
#define SEEK_NEAR_MIN 16
#define SEEK_NEAR_MAX (SPAN_FIRST / 2)

/* --- the end of a survey --- */

static void survey_stop(struct survey *survey)
{
	rpc_cancel(&survey->request);
	json_decref(survey->filter);
	survey->filter = NULL;
	if (survey->work != NULL)
		survey->question->kind->forget(survey);
	survey->work = NULL;
}

void survey_reset(struct survey *survey, enum survey_state state)
{
	survey_stop(survey);
	survey->state = state;
	survey->chosen = false;
}

void survey_done(struct survey *survey)
{
	survey->state = SURVEY_DONE;
	survey->endpoint->failing = false;
	survey->endpoint->reason[0] = '\0';
	question_wake(survey->question);
}

void survey_fail(struct survey *survey, const char *format, ...)
{
	struct endpoint *endpoint = survey->endpoint;
	va_list args;

	must(survey->state != SURVEY_DONE);
	if (survey->state == SURVEY_FAILED)
		return;
	va_start(args, format);
	vsnprintf(survey->reason, sizeof(survey->reason), format, args);
	va_end(args);
	survey->state = SURVEY_FAILED;
	rpc_cancel(&survey->request);
	/* Nothing about it is taken for granted any more. */
	endpoint->id_ok = false;
	endpoint->head_known = false;
	endpoint->last_until_us = clock_mono_us() + LAST_US;
	memcpy(endpoint->reason, survey->reason, sizeof(endpoint->reason));
	if (!endpoint->failing)
		log_event(LOG_WARN, "rpc_failed", "network", survey->question->chain->network,
		    "endpoint", survey_origin(survey), "reason", survey->reason, NULL);
	endpoint->failing = true;
	question_wake(survey->question);
}

/* --- one request --- */

static void on_answer(const struct rpc_answer *answer, void *arg)
{
	struct survey *survey = arg;

	survey->request = NULL;
	if (answer->result == RPC_FAILED || (answer->result == RPC_ERROR && !survey->errors_taken))
		survey_fail(survey, "%s: %.120s", survey->method, answer->reason);
	else
		survey->take(survey, answer);
}

void survey_ask(struct survey *survey, const char *method, json_t *params, size_t answer_size_max,
    bool errors_taken, survey_take *take)
{
	const char *fault = survey->requests_left == 0 ? "too many requests for one question"
			    : clock_mono_us() > survey->until_us ? "too slow for one question"
								 : NULL;

	must(survey->request == NULL && params != NULL);
	if (fault != NULL) {
		json_decref(params);
		survey_fail(survey, "%s", fault);
		return;
	}
	survey->requests_left--;
	survey->method = method;
	survey->errors_taken = errors_taken;
	survey->take = take;
	survey->request =
	    rpc_ask(survey->endpoint->rpc, method, params, answer_size_max, on_answer, survey);
}

/* --- opening --- */

static void opened(struct survey *survey)
{
	survey->state = SURVEY_OPEN;
	question_wake(survey->question);
}

static void take_head(struct survey *survey, const struct rpc_answer *answer)
{
	struct endpoint *endpoint = survey->endpoint;
	int64_t now_s = clock_now_us() / CLOCK_US_PER_S;
	struct chain_block head;

	if (!chain_read_block(&head, answer->value)) {
		survey_fail(survey, "junk: its newest block is none");
	} else if (head.time_s > now_s + FUTURE_S_MAX) {
		survey_fail(survey, "junk: its newest block is %lld s in the future",
		    (long long)(head.time_s - now_s));
	} else if (endpoint->head_known && head.number >= endpoint->head.number &&
		   head.time_s < endpoint->head.time_s) {
		survey_fail(survey, "junk: the time of its newest block went backwards");
	} else {
		survey->head = head;
		endpoint->head = head;
		endpoint->head_known = true;
		opened(survey);
	}
}

static void ask_head(struct survey *survey)
{
	if (survey->question->kind->blockless) {
		survey->state = SURVEY_READING;
		survey->question->kind->begin(survey);
		return;
	}
	survey_ask(survey, "eth_getBlockByNumber", json_pack("[s, b]", "latest", 0), BLOCK_SIZE_MAX,
	    false, take_head);
}

static void take_chain_id(struct survey *survey, const struct rpc_answer *answer)
{
	int64_t chain_id;

	if (!chain_read_quantity(&chain_id, answer->value)) {
		survey_fail(survey, "junk: its chain id is no number");
	} else if ((uint64_t)chain_id != survey->question->chain->chain_id) {
		survey_fail(survey, "wrong chain: it answers for eip155:%lld, not %s",
		    (long long)chain_id, survey->question->chain->network);
	} else {
		survey->endpoint->id_ok = true;
		survey->endpoint->id_until_us = clock_mono_us() + ID_US;
		ask_head(survey);
	}
}

static void allow(struct survey *survey)
{
	int64_t request_us = (int64_t)survey->question->chain->request_ms_max * 1000;

	survey->requests_left = REQUESTS_MAX;
	survey->until_us = clock_mono_us() + request_us * SURVEY_REQUEST_TIMES;
}

void survey_open(struct survey *survey)
{
	survey_reset(survey, SURVEY_OPENING);
	allow(survey);
	if (survey->endpoint->id_ok && clock_mono_us() < survey->endpoint->id_until_us)
		ask_head(survey);
	else
		survey_ask(
		    survey, "eth_chainId", json_array(), SMALL_SIZE_MAX, false, take_chain_id);
}

/* --- blocks --- */

/* Numbers and times of two blocks of one chain rise together. */
static bool in_order(const struct chain_block *a, const struct chain_block *b)
{
	return a->number == b->number  ? a->time_s == b->time_s
	       : a->number < b->number ? a->time_s <= b->time_s
				       : a->time_s >= b->time_s;
}

static void take_block(struct survey *survey, const struct rpc_answer *answer)
{
	struct chain_block block;

	if (!chain_read_block(&block, answer->value)) {
		survey_fail(survey, "junk: block %lld is none", (long long)survey->asked_number);
	} else if (block.number != survey->asked_number) {
		survey_fail(survey, "junk: block %lld in place of %lld", (long long)block.number,
		    (long long)survey->asked_number);
	} else if (!in_order(&block, &survey->block)) {
		survey_fail(survey, "junk: the times of its blocks do not rise");
	} else {
		survey->read = block;
		survey->read_then(survey);
	}
}

void survey_block(struct survey *survey, int64_t number, survey_then *then)
{
	must(number >= 0 && number <= survey->block.number);
	survey->asked_number = number;
	survey->read_then = then;
	survey_ask(survey, "eth_getBlockByNumber", json_pack("[o, b]", chain_quantity(number), 0),
	    BLOCK_SIZE_MAX, false, take_block);
}

static void take_common(struct survey *survey)
{
	survey->block = survey->read;
	survey->question->kind->begin(survey);
}

void survey_begin(struct survey *survey, int64_t target)
{
	must(survey->state == SURVEY_OPEN);
	survey->state = SURVEY_READING;
	survey->chosen = true;
	survey->block = survey->head;
	allow(survey);
	survey_block(survey, target, take_common);
}

static void compare_common(struct survey *survey)
{
	if (strcmp(survey->read.hash, survey->block.hash) != 0)
		survey_fail(survey, "block %lld changed while it was asked about",
		    (long long)survey->block.number);
	else
		survey_done(survey);
}

void survey_close(struct survey *survey)
{
	survey_block(survey, survey->block.number, compare_common);
}

/* --- seeking a moment --- */

/* a * b / c for a, b >= 0, c > 0; near enough where it would leave 64 bits. */
static int64_t scale(int64_t a, int64_t b, int64_t c)
{
	if (b == 0 || a <= INT64_MAX / b)
		return a * b / c;
	return a / c > CHAIN_READ_NUMBER_MAX / b ? CHAIN_READ_NUMBER_MAX : a / c * b;
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
	return value < min ? min : value > max ? max : value;
}

static int64_t near_by(const struct survey *survey)
{
	return clamp(survey->endpoint->span, SEEK_NEAR_MIN, SEEK_NEAR_MAX);
}

/* Where between two blocks around it the moment should be; off it by turns, so that both
 * come near. */
static int64_t place_between(const struct survey *survey)
{
	int64_t gap = survey->high.number - survey->low.number;
	int64_t place = survey->low.number;

	if (survey->seek_count > SEEKS_INTERPOLATED)
		return place + gap / 2;
	place += scale(
	    gap, survey->want_s - survey->low.time_s, survey->high.time_s - survey->low.time_s);
	place += survey->seek_count % 2 == 0 ? near_by(survey) / 4 : -near_by(survey) / 4;
	return clamp(place, survey->low.number + 1, survey->high.number - 1);
}

/* How far back from the common block: as far as blocks have come in that time so far, and
 * at least twice as far as the last time. */
static int64_t place_before(struct survey *survey)
{
	int64_t target_s = survey->block.time_s;
	int64_t passed_s = target_s - survey->high.time_s;
	int64_t wanted_s = target_s - survey->want_s;
	int64_t back;

	if (survey->back == 0) {
		back = wanted_s; /* a block a second */
	} else {
		back = passed_s == 0 ? 0 : scale(survey->back, wanted_s, passed_s);
		back = clamp(back, 2 * survey->back, CHAIN_READ_NUMBER_MAX);
	}
	survey->back = clamp(back, 1, survey->block.number);
	return survey->block.number - survey->back;
}

static void take_place(struct survey *survey);

static void seek_next(struct survey *survey)
{
	bool near =
	    survey->low_known && survey->high.number - survey->low.number <= near_by(survey);

	if (near || (survey->low_known && survey->seek_count == SEEKS_MAX)) {
		survey->seek_then(survey);
		return;
	}
	if (survey->seek_count++ == SEEKS_MAX) {
		survey_fail(survey, "junk: its blocks do not reach back far enough");
		return;
	}
	survey_block(
	    survey, survey->low_known ? place_between(survey) : place_before(survey), take_place);
}

static void take_place(struct survey *survey)
{
	const struct chain_block *read = &survey->read;

	if (!in_order(read, &survey->high) ||
	    (survey->low_known && !in_order(read, &survey->low))) {
		survey_fail(survey, "junk: the times of its blocks do not rise");
		return;
	}
	if (read->time_s > survey->want_s && read->number > 0) {
		survey->high = *read;
	} else {
		survey->low = *read;
		survey->low_known = true;
	}
	/* The chain began after the moment: nothing is between. */
	if (survey->low_known && survey->low.time_s > survey->want_s)
		survey->high = survey->low;
	seek_next(survey);
}

void survey_seek(struct survey *survey, int64_t time_s, survey_then *then)
{
	survey->want_s = time_s;
	survey->seek_then = then;
	survey->seek_count = 0;
	survey->back = 0;
	survey->high = survey->block;
	survey->low_known = survey->block.time_s <= time_s || survey->block.number == 0;
	if (survey->low_known)
		survey->low = survey->block;
	seek_next(survey);
}

/* --- scanning logs --- */

static void scan_next(struct survey *survey);

static void scan_over(struct survey *survey)
{
	survey->scanned = survey->scan_at > survey->scan_end;
	json_decref(survey->filter);
	survey->filter = NULL;
	survey->scan_then(survey);
}

static void scan_again(struct survey *survey)
{
	survey->scan_at = survey->low.number;
	scan_next(survey);
}

/* In whatever words it says no: fewer blocks are asked for until it is one. Behind one name
 * there are often several servers, and the next one may not have the newest blocks yet. */
static void scan_refused(struct survey *survey, const char *reason)
{
	int64_t span = survey->scan_span / 2;

	if (survey->scan_at > survey->block.number) {
		scan_over(survey);
	} else if (span == 0) {
		survey_fail(survey, "eth_getLogs: %.120s", reason);
	} else {
		survey->endpoint->span = span;
		/* Small pieces: begin where it is worth it, unless the scan is under way. */
		survey->seek_then = scan_again;
		if (survey->scan_at == survey->low.number &&
		    (survey->scan_end - survey->scan_at) / span > PIECES_MANY)
			seek_next(survey);
		else
			scan_next(survey);
	}
}

static void take_logs(struct survey *survey, const struct rpc_answer *answer)
{
	int64_t last = survey->scan_at + survey->scan_span - 1;

	if (answer->result == RPC_ERROR) {
		scan_refused(survey, answer->reason);
		return;
	}
	survey->scan_count += json_array_size(answer->value);
	if (!json_is_array(answer->value) || survey->scan_count > survey->scan_count_max) {
		survey_fail(survey, "junk: logs that are none, or more than there can be");
		return;
	}
	for (size_t i = 0; i < json_array_size(answer->value); i++) {
		struct chain_log log;

		if (!chain_read_log(&log, json_array_get(answer->value, i)) ||
		    log.block_number < survey->scan_at || log.block_number > last) {
			survey_fail(survey, "junk: a log that is none, was removed, or is of a "
					    "block that was not asked about");
			return;
		}
		survey->scan_log(survey, &log);
		if (survey->state == SURVEY_FAILED)
			return;
	}
	survey->scan_at += survey->scan_span;
	scan_next(survey);
}

static void scan_next(struct survey *survey)
{
	int64_t last = survey->scan_end;
	json_t *filter;

	if (survey->scan_at > survey->scan_end || survey->scan_left == 0) {
		scan_over(survey);
		return;
	}
	survey->scan_left--;
	/* No piece is of both sides of the common block. */
	if (survey->scan_at <= survey->block.number && last > survey->block.number)
		last = survey->block.number;
	survey->scan_span = clamp(last - survey->scan_at + 1, 1, survey->endpoint->span);
	filter = json_copy(survey->filter);
	json_object_set_new(filter, "fromBlock", chain_quantity(survey->scan_at));
	json_object_set_new(
	    filter, "toBlock", chain_quantity(survey->scan_at + survey->scan_span - 1));
	survey_ask(survey, "eth_getLogs", json_pack("[o]", filter), LOGS_SIZE_MAX, true, take_logs);
}

int64_t survey_pieces(const struct survey *survey, int64_t blocks)
{
	return blocks / clamp(survey->endpoint->span, 1, SPAN_FIRST) + 1;
}

void survey_scan(struct survey *survey, json_t *filter, int64_t from, int64_t to, size_t count_max,
    survey_log *log, survey_then *then)
{
	must(filter != NULL && survey->filter == NULL && to <= survey->head.number);
	survey->filter = filter;
	survey->scan_at = from;
	survey->scan_end = to;
	survey->scan_left = SCANS_MAX;
	survey->scan_count = 0;
	survey->scan_count_max = count_max;
	survey->scan_log = log;
	survey->scan_then = then;
	/* Also grows back, or one refusal on a bad day would stay for ever. */
	survey->endpoint->span = clamp(survey->endpoint->span * 2, 1, SPAN_FIRST);
	scan_next(survey);
}
