/* Two endpoints, one of which lies as the input says: whatever it answers, what is found out about
 * a payment is true, or nothing.
 *
 * Nothing is sent: this file stands in for proxy/transfer.c. The first byte chooses what became
 * of the payment, the second which endpoint lies and how far it is behind; then four bytes a lie:
 * which of its answers, what is done to it, where, and with which byte. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proxy/chain.h"
#include "proxy/transfer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proxy_world.h"
#include "wallet/asset.h"

#define URLS        "https://a.example/ https://b.example/"
#define PENDING_MAX 64
#define TURNS_MAX   20000
#define LIE_SIZE    4
#define DEPTH       3
#define HEAD        400
#define TIME_S      1700000000
#define STEP_S      2
#define DEEP        300
#define SHALLOW     (HEAD - 1)

enum scene {
	SCENE_OPEN, /* not used, and may yet be */
	SCENE_OVER, /* not used, and cannot be any more */
	SCENE_USED,
	SCENE_USED_JUST_NOW,
	SCENE_CANCELLED,
	SCENE_MISUSED, /* its transfer went elsewhere */
	SCENE_COUNT,
};

/* --- endpoints ------------------------------------------------------------------------- */

struct transfer {
	const struct transfer_events *events;
	void *arg;
	int endpoint;
	json_t *question;
};

static struct transfer *pending[PENDING_MAX];
static size_t pending_count;

static struct world world;
static int liar;
static int64_t behind;    /* the liar is */
static unsigned answered; /* by the liar */
static const uint8_t *lies;
static size_t lie_count;

struct transfer *transfer_start(struct upstream *upstream, const struct transfer_request *request,
    const struct transfer_events *events, void *arg)
{
	struct transfer *transfer = must_calloc(1, sizeof(*transfer));
	size_t size = (size_t)request->body_size;
	char *text = must_alloc(size + 1);

	(void)upstream;
	must(spool_read(request->body, 0, text, size) == (int64_t)size);
	transfer->events = events;
	transfer->arg = arg;
	transfer->endpoint = strncmp(request->url, "https://b.", 10) == 0;
	transfer->question = json_loadb(text, size, 0, NULL);
	must(transfer->question != NULL && pending_count < PENDING_MAX);
	pending[pending_count++] = transfer;
	free(text);
	return transfer;
}

static void transfer_free(struct transfer *transfer)
{
	json_decref(transfer->question);
	free(transfer);
}

void transfer_cancel(struct transfer **cancelled)
{
	size_t i = 0;

	while (i < pending_count && pending[i] != *cancelled)
		i++;
	if (i < pending_count) { /* else it is being answered, and is freed there */
		memmove(pending + i, pending + i + 1, (--pending_count - i) * sizeof(*pending));
		transfer_free(*cancelled);
	} else {
		(*cancelled)->events = NULL;
	}
	*cancelled = NULL;
}

int64_t transfer_content_length(const struct transfer *transfer)
{
	(void)transfer;
	return -1;
}

bool transfer_peer_loopback(const struct transfer *transfer)
{
	(void)transfer;
	return false;
}

const char *transfer_result_str(enum transfer_result result)
{
	return result == TRANSFER_BROKEN ? "broken" : "timeout";
}

/* What is answered in the place of the truth, which is taken; status may change. */
static char *lie(char *truth, int *status, const uint8_t *how, const json_t *question)
{
	static const char *const results[] = {"null", "[]", "{}", "\"0x\"", "\"0x0\"", "\"0x1\"",
	    "false", "\"0x0000000000000000000000000000000000000000000000000000000000000000\"",
	    "\"0x0000000000000000000000000000000000000000000000000000000000000001\""};
	long long id = json_integer_value(json_object_get(question, "id"));
	size_t length = strlen(truth), at = how[2] * length / 256;
	char *text;

	switch (how[1] % 5) {
	case 0:
		truth[at] = how[3] != '\0' ? (char)how[3] : '0';
		return truth;
	case 1: /* one more, one less */
		truth[at] = (char)(truth[at] + (how[3] & 1 ? 1 : -1));
		truth[at] = truth[at] != '\0' ? truth[at] : '0';
		return truth;
	case 2:
		text = must_format("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}", id,
		    results[how[3] % (sizeof(results) / sizeof(results[0]))]);
		break;
	case 3:
		text = must_format(
		    "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"error\":{\"code\":%d,\"message\":\"no\"}}",
		    id, -32000 - how[2]);
		break;
	default:
		*status = 200 + how[3] * 2;
		return truth;
	}
	free(truth);
	return text;
}

/* The lies do not go away for being asked again: they are counted. */
static char *answer_of(int *status, const struct transfer *transfer)
{
	const json_t *question = transfer->question;
	int64_t head = world.head - (transfer->endpoint == liar ? behind : 0);
	json_t *result =
	    world_answer(&world, head, json_string_value(json_object_get(question, "method")),
		json_object_get(question, "params"));
	json_t *root = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id",
	    json_object_get(question, "id"), "result", result);
	char *text = json_dumps(root, JSON_COMPACT);
	size_t i;

	must(text != NULL);
	json_decref(root);
	if (transfer->endpoint != liar)
		return text;
	for (i = 0; i < lie_count; i++) {
		const uint8_t *how = lies + i * LIE_SIZE;

		if (how[0] == answered % 256)
			text = lie(text, status, how, question);
	}
	answered++;
	return text;
}

static void answer_first(void)
{
	struct transfer *transfer = pending[0];
	struct headers headers;
	int status = 200;
	char *text = answer_of(&status, transfer);

	memmove(pending, pending + 1, --pending_count * sizeof(*pending));
	headers_init(&headers);
	transfer->events->head(transfer, status, &headers, transfer->arg);
	if (transfer->events != NULL)
		must(transfer->events->body(transfer, text, strlen(text), transfer->arg));
	if (transfer->events != NULL)
		transfer->events->done(transfer, TRANSFER_OK, "", transfer->arg);
	headers_fini(&headers);
	free(text);
	transfer_free(transfer);
}

/* --- the payment, and what may be said of it --------------------------------------------- */

struct told {
	unsigned count;
	enum scene scene;
	bool truthful; /* there are no lies */
};

static void check_used(const struct chain_finding *finding, const struct chain_log *log)
{
	must(finding->endpoints >= 2 && finding->block.number == log->block_number);
	must(strcmp(finding->block.hash, log->block_hash) == 0);
	must(strcmp(finding->transaction, log->transaction) == 0);
	must(finding->log_index == log->index);
}

static void check_finding(const struct chain_finding *finding, enum scene scene)
{
	switch (finding->fate) {
	case CHAIN_FATE_UNKNOWN:
		return;
	case CHAIN_FATE_USED:
		must(scene == SCENE_USED || scene == SCENE_MISUSED);
		must(finding->transfer_matches == (scene == SCENE_USED));
		check_used(finding, &world.logs[0]);
		return;
	case CHAIN_FATE_CANCELLED:
		must(scene == SCENE_CANCELLED);
		check_used(finding, &world.logs[0]);
		return;
	case CHAIN_FATE_UNUSED:
		must(scene == SCENE_OVER && finding->endpoints >= 2);
		must(finding->block.number <= HEAD - DEPTH);
		return;
	}
	must(!"a fate");
}

static enum chain_fate fate_of(enum scene scene)
{
	switch (scene) {
	case SCENE_USED:
	case SCENE_MISUSED:
		return CHAIN_FATE_USED;
	case SCENE_CANCELLED:
		return CHAIN_FATE_CANCELLED;
	case SCENE_OVER:
		return CHAIN_FATE_UNUSED;
	case SCENE_OPEN:
	case SCENE_USED_JUST_NOW:
	case SCENE_COUNT:
		break;
	}
	return CHAIN_FATE_UNKNOWN;
}

static void on_fates(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct told *told = arg;

	told->count++;
	must(count == 1 && (result == CHAIN_OK) == (reason[0] == '\0'));
	must(result == CHAIN_OK || findings[0].fate == CHAIN_FATE_UNKNOWN);
	check_finding(&findings[0], told->scene);
	if (told->truthful) {
		must(result == CHAIN_OK && findings[0].fate == fate_of(told->scene));
		must(findings[0].shallow == (told->scene == SCENE_USED_JUST_NOW));
	}
}

static struct chain_query make_world(const struct asset *asset, enum scene scene)
{
	struct chain_query query = {.asset = asset,
	    .value = uint256_of(10000),
	    .since_s = TIME_S - 200 * STEP_S,
	    .valid_before_s = scene == SCENE_OPEN ? TIME_S + 60 : TIME_S - 60};

	memset(query.payer.bytes, 0x11, ADDRESS_SIZE);
	memset(query.payee.bytes, 0x22, ADDRESS_SIZE);
	memset(query.nonce, 0x33, sizeof(query.nonce));
	world = (struct world){.head = HEAD, .time_s = TIME_S, .step_s = STEP_S};
	if (scene == SCENE_USED)
		world_use(&world, DEEP, &query, &query.payee, query.value);
	else if (scene == SCENE_USED_JUST_NOW)
		world_use(&world, SHALLOW, &query, &query.payee, query.value);
	else if (scene == SCENE_MISUSED)
		world_use(&world, DEEP, &query, &query.payer, query.value);
	else if (scene == SCENE_CANCELLED)
		world_cancel(&world, DEEP, &query);
	return query;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	static struct assets *assets;
	struct chain_query query;
	struct told told = {.count = 0};
	struct chain *chain;
	unsigned turns;

	if (size < 2)
		return 0;
	if (base == NULL) {
		must((base = event_base_new()) != NULL);
		assets = assets_new();
		log_set_level(LOG_ERROR);
	}
	told.scene = data[0] % SCENE_COUNT;
	liar = data[1] & 1;
	behind = data[1] >> 5;
	lies = data + 2;
	lie_count = (size - 2) / LIE_SIZE;
	answered = 0;
	told.truthful = lie_count == 0 && behind == 0;
	query = make_world(assets_default(assets, WORLD_NETWORK), told.scene);
	chain = chain_new(base, NULL, WORLD_NETWORK, URLS, 1000000);
	chain_fates(chain, &query, 1, DEPTH, on_fates, &told);
	for (turns = 0; told.count == 0; turns++) {
		must(turns < TURNS_MAX && event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
		if (pending_count > 0)
			answer_first();
	}
	chain_free(&chain);
	must(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
	must(told.count == 1 && pending_count == 0);
	return 0;
}
