/* proxy/chain.c - who is asked, and whether they agree; see proxy/chain_parts.h first. */
#include "proxy/chain_parts.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "common/clock.h"

/* Endpoints whose newest blocks are further apart than this are not asked together while
 * there are others: one of them lags. Five blocks of the slowest chain we pay on, and as
 * many of the fastest, four a second, as come in that time. */
#define LAG_S_MAX      60
#define LAG_BLOCKS_MAX 240
/* chain_head compares a block that is not at the tip, where honest endpoints may differ for
 * some seconds. */
#define HEAD_DEPTH 8

const char *chain_result_str(enum chain_result result)
{
	switch (result) {
	case CHAIN_OK:
		return "ok";
	case CHAIN_UNREACHABLE:
		return "unreachable";
	case CHAIN_DISAGREE:
		return "disagree";
	case CHAIN_REFUSED:
		return "refused";
	}
	return "unknown";
}

/* --- the chain --- */

static bool same_url(const char *a, const char *b)
{
	size_t a_size = strlen(a), b_size = strlen(b);

	while (a_size > 0 && a[a_size - 1] == '/')
		a_size--;
	while (b_size > 0 && b[b_size - 1] == '/')
		b_size--;
	return a_size == b_size && strncasecmp(a, b, a_size) == 0;
}

/* The next URL of text, which is advanced past it; false at the end. One that is too long is
 * cut to a size that rpc_url_check refuses. */
static bool next_url(char url[RPC_URL_SIZE + 1], const char **text)
{
	size_t size;

	*text += strspn(*text, " ");
	size = strcspn(*text, " ");
	(void)snprintf(url, RPC_URL_SIZE + 1, "%.*s",
	    size > RPC_URL_SIZE ? (int)RPC_URL_SIZE : (int)size, *text);
	*text += size;
	return size > 0;
}

bool chain_urls_check(char reason[CHAIN_REASON_SIZE], const char *urls)
{
	char seen[CHAIN_ENDPOINTS_MAX][RPC_URL_SIZE + 1];
	char origin[RPC_ORIGIN_SIZE];
	size_t count = 0;

	for (; next_url(seen[count], &urls); count++) {
		if (!rpc_url_check(reason, seen[count]))
			return false;
		for (size_t i = 0; i < count; i++) {
			if (!same_url(seen[i], seen[count]))
				continue;
			(void)snprintf(reason, CHAIN_REASON_SIZE,
			    "%.60s is there twice: an endpoint cannot confirm itself",
			    rpc_url_origin(origin, seen[count]));
			return false;
		}
		if (count + 1 == CHAIN_ENDPOINTS_MAX) {
			urls += strspn(urls, " ");
			if (*urls == '\0')
				return true;
			(void)snprintf(reason, CHAIN_REASON_SIZE, "more than %u RPC URLs",
			    CHAIN_ENDPOINTS_MAX);
			return false;
		}
	}
	return true;
}

static void add_endpoints(struct chain *chain, struct upstream *upstream, const char *urls)
{
	char seen[CHAIN_ENDPOINTS_MAX][RPC_URL_SIZE + 1];
	size_t count = 0;

	while (count < CHAIN_ENDPOINTS_MAX && next_url(seen[count], &urls)) {
		struct endpoint *endpoint = &chain->endpoints[count];
		bool known = false;

		for (size_t i = 0; i < count; i++)
			known |= same_url(seen[i], seen[count]);
		if (known)
			continue; /* it would confirm itself */
		endpoint->rpc = rpc_new(chain->base, upstream, seen[count], chain->request_ms_max);
		endpoint->span = INT32_MAX; /* its first survey clamps it */
		count++;
	}
	chain->endpoint_count = count;
}

struct chain *chain_new(struct event_base *base, struct upstream *upstream, const char *network,
    const char *urls, uint32_t request_ms_max)
{
	struct chain *chain = must_calloc(1, sizeof(*chain));

	chain->base = base;
	chain->request_ms_max = request_ms_max;
	chain->topics = chain_topics();
	(void)snprintf(chain->network, sizeof(chain->network), "%s", network);
	must(network_parse(&chain->chain_id, network));
	add_endpoints(chain, upstream, urls);
	return chain;
}

static void question_free(struct question *question)
{
	for (size_t i = 0; i < question->survey_count; i++)
		survey_reset(&question->surveys[i], SURVEY_IDLE);
	event_del(&question->step);
	if (question->kind->fini != NULL)
		question->kind->fini(question);
	free(question);
}

void chain_free(struct chain **chain)
{
	struct chain *old = *chain;

	if (old == NULL)
		return;
	*chain = NULL;
	while (old->questions != NULL) {
		struct question *question = old->questions;

		DL_DELETE(old->questions, question);
		question_free(question);
	}
	for (size_t i = 0; i < old->endpoint_count; i++)
		rpc_free(&old->endpoints[i].rpc);
	free(old);
}

size_t chain_endpoints(struct chain_endpoint out[CHAIN_ENDPOINTS_MAX], const struct chain *chain)
{
	for (size_t i = 0; i < chain->endpoint_count; i++) {
		const struct endpoint *endpoint = &chain->endpoints[i];

		out[i] = (struct chain_endpoint){.ok = endpoint->id_ok, .head = endpoint->head};
		(void)snprintf(
		    out[i].origin, sizeof(out[i].origin), "%s", rpc_origin(endpoint->rpc));
		(void)snprintf(out[i].reason, sizeof(out[i].reason), "%s", endpoint->reason);
	}
	return chain->endpoint_count;
}

/* --- the end of a question --- */

static void finish(struct question *question, enum chain_result result, const char *reason)
{
	DL_DELETE(question->chain->questions, question);
	event_del(&question->step);
	/* The caller may ask again, or free the chain: the question is no longer its. */
	question->kind->report(question, result, reason);
	question_free(question);
}

const char *survey_origin(const struct survey *survey)
{
	return rpc_origin(survey->endpoint->rpc);
}

static void finish_unreachable(struct question *question)
{
	char reason[CHAIN_REASON_SIZE];
	int size = 0;

	(void)snprintf(
	    reason, sizeof(reason), "no RPC endpoint is known for %s", question->chain->network);
	for (size_t i = 0; i < question->survey_count; i++) {
		const struct survey *survey = &question->surveys[i];

		if (survey->state != SURVEY_FAILED || size >= (int)sizeof(reason))
			continue;
		size += snprintf(reason + size, sizeof(reason) - (size_t)size, "%s%s: %s",
		    size > 0 ? "; " : "", survey_origin(survey), survey->reason);
	}
	finish(question, CHAIN_UNREACHABLE, reason);
}

struct survey *question_next(struct question *question, size_t *position)
{
	while (*position < question->survey_count) {
		struct survey *survey = &question->surveys[(*position)++];

		if (survey->chosen)
			return survey;
	}
	return NULL;
}

/* All who were chosen are done; they must have read the same block. */
static void verdict(struct question *question)
{
	size_t position = 0;
	struct survey *first = question_next(question, &position), *other;
	char reason[CHAIN_REASON_SIZE];

	while (!question->kind->blockless && (other = question_next(question, &position)) != NULL) {
		if (strcmp(first->block.hash, other->block.hash) == 0 &&
		    first->block.time_s == other->block.time_s)
			continue;
		(void)snprintf(reason, sizeof(reason), "%s and %s have different blocks %lld",
		    survey_origin(first), survey_origin(other), (long long)question->target);
		finish(question, CHAIN_DISAGREE, reason);
		return;
	}
	finish(question, CHAIN_OK, "");
}

/* --- steps --- */

static size_t count_state(const struct question *question, enum survey_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < question->survey_count; i++)
		count += question->surveys[i].state == state;
	return count;
}

static void widen(int64_t *low, int64_t *high, int64_t value)
{
	*low = value < *low ? value : *low;
	*high = value > *high ? value : *high;
}

/* The newest blocks of those that are open are too far apart. */
static bool lagging(const struct question *question)
{
	int64_t oldest_s = INT64_MAX, newest_s = 0, lowest = INT64_MAX, highest = 0;

	for (size_t i = 0; i < question->survey_count; i++) {
		const struct survey *survey = &question->surveys[i];

		if (survey->state != SURVEY_OPEN)
			continue;
		widen(&oldest_s, &newest_s, survey->head.time_s);
		widen(&lowest, &highest, survey->head.number);
	}
	return newest_s - oldest_s > LAG_S_MAX || highest - lowest > LAG_BLOCKS_MAX;
}

/* Ask the next endpoints in turn; false when none is left. */
static bool open_more(struct question *question, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < question->survey_count && count > 0; i++) {
		if (question->surveys[i].state != SURVEY_IDLE)
			continue;
		survey_open(&question->surveys[i]);
		any = true;
		count--;
	}
	return any;
}

/* Of those that are open and not chosen yet, the one that is furthest. */
static struct survey *furthest(struct question *question)
{
	struct survey *best = NULL;

	for (size_t i = 0; i < question->survey_count; i++) {
		struct survey *survey = &question->surveys[i];

		if (survey->state == SURVEY_OPEN && !survey->chosen &&
		    (best == NULL || survey->head.number > best->head.number))
			best = survey;
	}
	return best;
}

static void begin(struct question *question)
{
	struct survey *survey;
	int64_t lowest = INT64_MAX;

	for (size_t left = question->kind->all ? SIZE_MAX : question->need;
	     left > 0 && (survey = furthest(question)) != NULL; left--) {
		survey->chosen = true;
		lowest = survey->head.number;
	}
	question->target = lowest - question->depth;
	if (question->target < 0 && question->kind->all)
		question->target = 0;
	question->reading = true;
	for (size_t i = 0; i < question->survey_count; i++) {
		struct survey *chosen = &question->surveys[i];

		if (!chosen->chosen)
			continue;
		if (question->target >= 0)
			survey_begin(chosen, question->target);
		else if (chosen->head.number < question->depth)
			survey_fail(chosen, "its chain has too few blocks for the depth");
	}
}

/* Nobody is at work. */
static void step_blockless(struct question *question)
{
	size_t done = count_state(question, SURVEY_DONE);

	if (done >= question->need && (!question->kind->all || !open_more(question, SIZE_MAX))) {
		for (size_t i = 0; i < question->survey_count; i++)
			question->surveys[i].chosen = question->surveys[i].state == SURVEY_DONE;
		verdict(question);
	} else if (done < question->need &&
		   !open_more(question, question->kind->all ? SIZE_MAX : question->need - done)) {
		finish_unreachable(question);
	}
}

static void step_blocks(struct question *question)
{
	size_t chosen = 0, done = count_state(question, SURVEY_DONE), open;

	for (size_t i = 0; i < question->survey_count; i++)
		chosen += question->surveys[i].chosen;
	if (question->reading && done == chosen) {
		verdict(question);
		return;
	}
	/* One has failed: another takes its place, and all read again at the block that
	 * these have in common. */
	question->reading = false;
	for (size_t i = 0; i < question->survey_count; i++) {
		struct survey *survey = &question->surveys[i];

		survey->chosen = false;
		if (survey->state == SURVEY_DONE)
			survey_reset(survey, SURVEY_OPEN);
	}
	open = count_state(question, SURVEY_OPEN);
	if (question->kind->all && open_more(question, SIZE_MAX))
		return;
	if (open < question->need && open_more(question, question->need - open))
		return;
	if (open < question->need)
		finish_unreachable(question);
	else if (!lagging(question) || !open_more(question, 1))
		begin(question);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	struct question *question = arg;

	(void)fd;
	(void)what;
	if (count_state(question, SURVEY_OPENING) > 0 || count_state(question, SURVEY_READING) > 0)
		return;
	if (question->kind->blockless)
		step_blockless(question);
	else
		step_blocks(question);
}

void question_wake(struct question *question)
{
	event_active(&question->step, EV_TIMEOUT, 1);
}

/* In turn, those that failed lately last. */
static void line_up(struct question *question)
{
	struct chain *chain = question->chain;
	int64_t now_us = clock_mono_us();

	for (int late = 0; late < 2; late++) {
		for (size_t i = 0; i < chain->endpoint_count; i++) {
			struct endpoint *endpoint =
			    &chain->endpoints[(chain->turn + i) % chain->endpoint_count];

			if ((endpoint->last_until_us > now_us) != (late == 1))
				continue;
			question->surveys[question->survey_count++] =
			    (struct survey){.question = question, .endpoint = endpoint};
		}
	}
	chain->turn++;
}

size_t question_quorum(const struct chain *chain)
{
	return chain->endpoint_count < 2 ? 1 : 2;
}

void question_start(struct question *question, struct chain *chain,
    const struct question_kind *kind, size_t need, int64_t depth)
{
	must(depth >= 0 && depth < CHAIN_READ_NUMBER_MAX);
	question->chain = chain;
	question->kind = kind;
	question->need = need;
	question->depth = depth;
	event_assign(&question->step, chain->base, -1, 0, on_step, question);
	DL_APPEND(chain->questions, question);
	line_up(question);
	question_wake(question);
}

/* --- the head --- */

struct head_question {
	struct question question;
	chain_head_fn *done;
	void *arg;
};

static void head_report(struct question *question, enum chain_result result, const char *reason)
{
	const struct head_question *head = (const struct head_question *)question;
	const struct chain_block *lowest = NULL;
	struct survey *survey;
	size_t position = 0;
	int64_t count = 0;

	while (result == CHAIN_OK && (survey = question_next(question, &position)) != NULL) {
		count++;
		if (lowest == NULL || survey->head.number < lowest->number)
			lowest = &survey->head;
	}
	head->done(result, reason, lowest, count, head->arg);
}

void chain_head(struct chain *chain, chain_head_fn *done, void *arg)
{
	static const struct question_kind kind = {
	    .all = true, .begin = survey_close, .report = head_report};
	struct head_question *head = must_calloc(1, sizeof(*head));

	head->done = done;
	head->arg = arg;
	question_start(&head->question, chain, &kind, question_quorum(chain), HEAD_DEPTH);
}
