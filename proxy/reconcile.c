/* proxy/reconcile.c - rounds of questions to each chain, and what comes of them.
 *
 * Each network has a lane, which asks one question at a time:
 *
 *   IDLE ──due──▶ OPEN ──▶ (every tenth time) WATCHED ──▶ REFUNDS ──▶ IDLE
 *     ▲            │ open payments   │ ends that may not last │ claims
 *     └────────────┴── no answer, or a contradiction: later ──┘
 *
 * Answers come on the loop; what they mean is written by proxy/booking.h, which waits for
 * the disk as owner's commands do on this loop. */
#include "proxy/reconcile.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/booking.h"
#include "proxy/headers.h"
#include "proxy/outlook.h"
#include "proxy/payback.h"
#include "proxy/transfer.h"

#define US_PER_MS (CLOCK_US_PER_S / 1000)
/* Between two rounds when endpoints fail, and between two slow rounds: a payment that was
 * used is found a minute after they are back, and a dead one is knocked at 1,440 times a
 * day. */
#define PAUSE_MS_MAX 60000
/* Every so manieth round is a slow one. */
#define SLOW_ROUNDS 10
/* A payment that expired so long ago and is still open waits for something that will take
 * longer: blocks that do not come, an owner's decision. */
#define OLD_S 600
/* Payments of one question are of one time: it looks through all blocks in between. */
#define SPAN_S 3600
/* Wallets whose claims are looked at in one round; the others have their turn in the next. */
#define WALLETS_MAX 16u
/* Refunds are looked for from so long before the start; what was paid back while no daemon
 * ran for longer is for the owner to book. Later only what may have come since the
 * last look, or have moved in a reorganisation. */
#define REFUNDS_S_MAX (7 * 24 * 3600)
#define REFUNDS_S_MIN (2 * 3600)
/* Kept connections to endpoints, over all networks. */
#define CONNECTIONS_MAX 16u

enum phase { LANE_IDLE, LANE_OPEN, LANE_WATCHED, LANE_REFUNDS };

struct lane {
	struct reconciler *reconciler;
	const char *network; /* the asset table's */
	char *urls;          /* those that chain has */
	int64_t rpc_ms_max;  /* likewise */
	struct chain *chain; /* NULL until there is something to ask */
	enum phase phase;
	bool slow, asked, failed;
	enum chain_result result; /* of this round so far */
	char reason[CHAIN_REASON_SIZE];
	int64_t began_us, due_us, slow_due_us; /* monotonic */
	int64_t pause_ms, slow_pause_ms;
	int64_t after; /* open payments up to this one have had their turn */
	/* A question that no endpoint can answer may be one payment's fault: its seller settled it
	 * in a transaction whose receipt is too large to read. So the next round begins after
	 * those it was about, and asks about fewer at once until that one is alone. */
	int64_t resume_after;
	size_t group_max;
	int64_t *watched; /* of this round */
	size_t watched_count, watched_at;
	/* the question under way */
	int64_t ids[CHAIN_QUERIES_MAX];
	struct chain_query queries[CHAIN_QUERIES_MAX];
	size_t count;
	/* refunds */
	struct payback_claim *claims;
	size_t claim_count, claim_at, wallets_left;
	int64_t refunds_s;      /* how far back */
	int64_t refunds_from_s; /* 0: refunds_s before now */
	size_t claim_turn;      /* where the next round begins */
	int64_t turn_began_s;   /* of all wallets */
	bool turn_answered;     /* some wallet's question was, in this turn */
	unsigned refused;       /* questions in a row that were not, in this round */
};

struct reconciler {
	struct house *house;
	struct event_base *base;
	struct upstream *upstream;
	struct event *tick;
	struct lane *lanes;
	size_t count;
};

static void step(struct lane *lane);

/* --- how deep --------------------------------------------------------------------------- */

int64_t reconcile_depth(const struct house *house, const char *network)
{
	/* Evidence, not finality: what a reorganisation takes away later is undone by new
	 * rows, so the question is how often that may happen, and how long a budget waits.
	 * Sources: Circle's table of confirmations for USDC deposits
	 * (developers.circle.com, "Blockchain confirmations"); the chains' own documents. */
	static const struct {
		uint64_t chain_id;
		int64_t depth;
	} usual[] = {
	    {1, 12},     /* Ethereum: Circle's figure; final after 64 */
	    {137, 128},  /* Polygon: reorganisations of up to 128 were seen before its milestones */
	    {8453, 10},  /* Base: one sequencer, which has taken back blocks after a failure only */
	    {42161, 20}, /* Arbitrum One: the same, at four blocks a second */
	    {42220, 10}, /* Celo: an L2 of the same make as Base */
	    {43114, 1},  /* Avalanche: final when accepted */
	    {1329, 1},   /* Sei: final when made */
	    {988, 1},    /* Stable: final when made */
	    {143, 3},    /* Monad: final after two blocks */
	};
	int64_t depth = house_config(house)->chain_depth;
	const struct asset *asset = assets_default(house->assets, network);
	uint64_t chain_id;

	if (depth >= 0)
		return depth;
	/* Worth nothing, and a tester waits. */
	if (asset && asset->testnet)
		return 0;
	if (network_parse(&chain_id, network)) {
		for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
			if (usual[i].chain_id == chain_id)
				return usual[i].depth;
		}
	}
	return 12;
}

/* --- rounds --------------------------------------------------------------------------------- */

static struct house *house_of(const struct lane *lane)
{
	return lane->reconciler->house;
}

/* pause_ms within what is sensible: at least one poll, at most a minute unless polls are
 * further apart. */
static int64_t bounded_ms(int64_t pause_ms, int64_t poll_ms)
{
	int64_t max_ms = poll_ms > PAUSE_MS_MAX ? poll_ms : PAUSE_MS_MAX;

	return pause_ms < poll_ms ? poll_ms : pause_ms < max_ms ? pause_ms : max_ms;
}

static void note_outlook(struct lane *lane)
{
	struct house *house = house_of(lane);

	if (outlook_note(house->outlook, lane->network, lane->result, lane->reason, clock_now_us()))
		log_event(lane->result == CHAIN_OK ? LOG_INFO : LOG_WARN,
		    lane->result == CHAIN_OK ? "chain_answers" : "chain_without_answer", "network",
		    lane->network, "result", chain_result_str(lane->result), "reason", lane->reason,
		    NULL);
}

/* Who fails is asked again after twice as long each time; a slow part that fails does not
 * hold up the open payments. */
static void set_pauses(struct lane *lane)
{
	int64_t poll_ms = house_config(house_of(lane))->chain_poll_ms;
	bool failed = lane->failed && lane->phase == LANE_OPEN;
	bool slow_failed = lane->failed && lane->phase != LANE_OPEN;

	lane->pause_ms = bounded_ms(failed ? 2 * lane->pause_ms : 0, poll_ms);
	lane->due_us = lane->began_us + lane->pause_ms * US_PER_MS;
	if (!lane->slow || failed)
		return;
	lane->slow_pause_ms =
	    bounded_ms(slow_failed ? 2 * lane->slow_pause_ms : poll_ms * SLOW_ROUNDS, poll_ms);
	lane->slow_due_us = lane->began_us + lane->slow_pause_ms * US_PER_MS;
}

static void end_round(struct lane *lane)
{
	if (lane->asked)
		note_outlook(lane);
	set_pauses(lane);
	lane->phase = LANE_IDLE;
	free(lane->watched);
	lane->watched = NULL;
	lane->watched_count = 0;
	payback_claims_fini(&lane->claims, lane->claim_count);
	lane->claim_count = 0;
}

/* A round that cannot go on. */
static void fail(struct lane *lane, enum chain_result result, const char *reason)
{
	lane->failed = true;
	lane->result = result;
	snprintf(lane->reason, sizeof lane->reason, "%s", reason);
	end_round(lane);
}

/* --- what became of payments --------------------------------------------------------------- */

static void on_fates(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg);

static void ask_fates(struct lane *lane)
{
	lane->asked = true;
	chain_fates(lane->chain, lane->queries, lane->count,
	    reconcile_depth(house_of(lane), lane->network), on_fates, lane);
}

/* The ledger's side is read only for what there is news about; what is watched has been
 * read already, and is read again because the answer took a while. */
static void book(struct lane *lane, const struct chain_finding *findings)
{
	struct house *house = house_of(lane);
	struct booking bookings[CHAIN_QUERIES_MAX];
	struct chain_finding news[CHAIN_QUERIES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < lane->count; i++) {
		if (lane->phase == LANE_OPEN && findings[i].fate == CHAIN_FATE_UNKNOWN)
			continue;
		if (booking_load(&bookings[count], house, lane->ids[i]) != STORE_OK)
			continue;
		news[count++] = findings[i];
	}
	booking_commit(house, bookings, news, count, clock_now_us());
	for (size_t i = 0; i < count; i++)
		booking_fini(&bookings[i]);
}

/* The payments that two endpoints contradict each other about are marked, and the others
 * asked about again. False: it is not about single payments. */
static bool ask_undisputed(struct lane *lane, const struct chain_finding *findings)
{
	size_t kept = 0;

	for (size_t i = 0; i < lane->count; i++) {
		if (*findings[i].detail) {
			booking_dispute(
			    house_of(lane), lane->ids[i], findings[i].detail, clock_now_us());
			continue;
		}
		lane->ids[kept] = lane->ids[i];
		lane->queries[kept++] = lane->queries[i];
	}
	if (kept == lane->count)
		return false;
	lane->count = kept;
	return true;
}

static void on_fates(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg)
{
	struct lane *lane = arg;

	must(count == lane->count);
	switch (result) {
	case CHAIN_OK:
		book(lane, findings);
		break;
	case CHAIN_DISAGREE:
		if (!ask_undisputed(lane, findings)) {
			fail(lane, result, reason);
			return;
		}
		lane->result = result;
		snprintf(lane->reason, sizeof lane->reason, "%s", reason);
		if (lane->count > 0) {
			ask_fates(lane);
			return;
		}
		break;
	case CHAIN_UNREACHABLE:
	case CHAIN_REFUSED:
		if (lane->phase == LANE_OPEN) {
			lane->resume_after = lane->after;
			lane->group_max = (lane->count + 1) / 2;
		}
		fail(lane, result, reason);
		return;
	}
	lane->group_max =
	    2 * lane->group_max < CHAIN_QUERIES_MAX ? 2 * lane->group_max : CHAIN_QUERIES_MAX;
	step(lane);
}

/* Is it of the same time as those of this question, and young enough for this round? */
static bool fits(const struct lane *lane, const struct chain_query *query, int64_t now_s)
{
	if (!lane->slow && query->valid_before_s + OLD_S < now_s)
		return false;
	return lane->count == 0 || query->since_s - lane->queries[0].since_s <= SPAN_S;
}

static void add(struct lane *lane, int64_t payment, const struct chain_query *query)
{
	lane->ids[lane->count] = payment;
	lane->queries[lane->count++] = *query;
}

/* The next open payments; false when all have had their turn. */
static bool ask_open(struct lane *lane)
{
	struct open_payment payments[CHAIN_QUERIES_MAX];
	int64_t now_s = clock_now_us() / CLOCK_US_PER_S;
	size_t count;

	lane->count = 0;
	do {
		bool full = false;

		count = outstanding_list(payments, CHAIN_QUERIES_MAX, house_of(lane)->outstanding,
		    lane->network, lane->after);
		for (size_t i = 0; i < count; i++) {
			struct chain_query query = booking_query(&payments[i]);
			bool old = !lane->slow && query.valid_before_s + OLD_S < now_s;

			full = full || lane->count >= lane->group_max ||
			       (!old && !fits(lane, &query, now_s));
			if (!full) {
				lane->after = payments[i].id;
				if (!old)
					add(lane, payments[i].id, &query);
			}
			open_payment_fini(&payments[i]);
		}
	} while (count == CHAIN_QUERIES_MAX && lane->count == 0);
	if (lane->count == 0)
		return false;
	ask_fates(lane);
	return true;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The next watched ones; those that need not be watched any longer drop out here. */
static bool ask_watched(struct lane *lane)
{
	struct house *house = house_of(lane);
	int64_t now_us = clock_now_us();

	lane->count = 0;
	for (; lane->watched_at < lane->watched_count && lane->count < CHAIN_QUERIES_MAX;
	     lane->watched_at++) {
		int64_t payment = lane->watched[lane->watched_at];
		struct booking booking;
		bool watched, fitting = true;

		switch (booking_load(&booking, house, payment)) {
		case STORE_OK:
			break;
		case STORE_NOT_FOUND:
			watch_remove(house->watch, payment);
			continue;
		case STORE_LOCKED:
		case STORE_NEWER_SCHEMA:
		case STORE_EXISTS:
		case STORE_BROKEN:
		case STORE_TOO_LONG:
			continue;
		}
		watched = booking_is_watched(&booking, now_us, RECONCILE_REORG_US);
		if (!watched)
			watch_remove(house->watch, payment);
		else if ((fitting = fits(lane, &booking.query, 0)))
			add(lane, payment, &booking.query);
		booking_fini(&booking);
		if (!fitting)
			break;
	}
	if (lane->count == 0)
		return false;
	ask_fates(lane);
	return true;
}

/* --- what sellers paid back ------------------------------------------------------------------ */

static bool same_wallet(const struct payback_claim *a, const struct payback_claim *b)
{
	return a->asset == b->asset && address_equal(&a->payer, &b->payer);
}

static void on_transfers(enum chain_result result, const char *reason,
    const struct chain_transfer *transfers, size_t count, int64_t endpoints, void *arg)
{
	struct lane *lane = arg;
	const struct payback_claim *claim = &lane->claims[lane->claim_at];
	struct address payer = claim->payer;
	const struct asset *asset = claim->asset;

	/* Who fails has had its turn, too, or one wallet could hold up all others. */
	lane->claim_at++;
	if (result != CHAIN_OK) {
		lane->claim_turn = lane->claim_at;
		if (lane->refused++) {
			fail(lane, result, reason);
			return;
		}
		lane->result = result;
		snprintf(lane->reason, sizeof lane->reason, "%s", reason);
		step(lane);
		return;
	}
	lane->refused = 0;
	lane->turn_answered = true;
	for (size_t i = 0; i < count; i++) {
		if (payback_book(house_of(lane), lane->claims, lane->claim_count, asset, &payer,
			&transfers[i], endpoints, clock_now_us()))
			log_event(LOG_INFO, "refund_booked", "network", lane->network,
			    "transaction", transfers[i].transaction, NULL);
	}
	step(lane);
}

/* The sellers of one wallet's claims. */
static void ask_transfers(struct lane *lane, const struct payback_claim *first, int64_t now_s)
{
	struct address senders[CHAIN_QUERIES_MAX];
	int64_t since_s = INT64_MAX, from_s = lane->refunds_from_s;
	size_t count = 0;

	if (from_s == 0)
		from_s = now_s - lane->refunds_s;
	for (size_t i = 0; i < lane->claim_count; i++) {
		const struct payback_claim *claim = &lane->claims[i];
		bool known = false;

		if (!same_wallet(claim, first))
			continue;
		for (size_t j = 0; j < count; j++)
			known = known || address_equal(&senders[j], &claim->payee);
		if (!known && count < CHAIN_QUERIES_MAX)
			senders[count++] = claim->payee;
		if (claim->call / CLOCK_US_PER_S < since_s)
			since_s = claim->call / CLOCK_US_PER_S;
	}
	lane->asked = true;
	chain_transfers(lane->chain, first->asset, senders, count, &first->payer,
	    since_s > from_s ? since_s : from_s, reconcile_depth(house_of(lane), lane->network),
	    on_transfers, lane);
}

/* Claims are in the order of time; the first of a wallet speaks for all of its. */
static bool speaks_for_wallet(const struct lane *lane, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (same_wallet(&lane->claims[i], &lane->claims[at]))
			return false;
	}
	return true;
}

static bool ask_refunds(struct lane *lane)
{
	int64_t now_s = clock_now_us() / CLOCK_US_PER_S;

	for (; lane->claim_at < lane->claim_count; lane->claim_at++) {
		if (!speaks_for_wallet(lane, lane->claim_at))
			continue;
		if (lane->wallets_left == 0) {
			lane->claim_turn = lane->claim_at;
			return false;
		}
		lane->wallets_left--;
		ask_transfers(lane, &lane->claims[lane->claim_at], now_s);
		return true;
	}
	/* Every wallet has had its turn since turn_began_s. When none was answered it was too
	 * far back for what the endpoints allow, perhaps. */
	if (lane->turn_answered)
		lane->refunds_from_s = lane->turn_began_s - REFUNDS_S_MIN;
	else if (lane->claim_count > 0 && lane->refunds_s / 2 >= REFUNDS_S_MIN)
		lane->refunds_s /= 2;
	lane->claim_turn = 0;
	return false;
}

static void begin_refunds(struct lane *lane)
{
	if (payback_claims(
		&lane->claims, &lane->claim_count, house_of(lane), NULL, lane->network) != STORE_OK)
		lane->claim_count = 0;
	lane->wallets_left = WALLETS_MAX;
	lane->refused = 0;
	lane->claim_at = lane->claim_turn;
	if (lane->claim_turn == 0) {
		lane->turn_began_s = clock_now_us() / CLOCK_US_PER_S;
		lane->turn_answered = false;
	}
}

/* --- the lane's next question ------------------------------------------------------------------
 */

static void step(struct lane *lane)
{
	struct house *house = house_of(lane);

	if (lane->phase == LANE_OPEN) {
		if (ask_open(lane))
			return;
		lane->phase = LANE_WATCHED;
		lane->watched_at = 0;
		if (lane->slow)
			lane->watched =
			    watch_list(&lane->watched_count, house->watch, lane->network);
		if (lane->watched)
			qsort(lane->watched, lane->watched_count, sizeof *lane->watched, by_id);
	}
	if (lane->phase == LANE_WATCHED) {
		while (lane->watched_at < lane->watched_count) {
			if (ask_watched(lane))
				return;
		}
		lane->phase = LANE_REFUNDS;
		if (lane->slow)
			begin_refunds(lane);
	}
	if (lane->slow && ask_refunds(lane))
		return;
	end_round(lane);
}

/* Is there anything to ask about, by a look that costs nothing? */
static bool is_needed(struct lane *lane)
{
	struct house *house = house_of(lane);
	struct open_payment one;
	size_t count = 0;
	int64_t *watched;

	if (outstanding_list(&one, 1, house->outstanding, lane->network, 0) == 1) {
		open_payment_fini(&one);
		return true;
	}
	if (!lane->slow)
		return false;
	watched = watch_list(&count, house->watch, lane->network);
	free(watched);
	if (count > 0)
		return true;
	if (payback_claims(&lane->claims, &lane->claim_count, house, NULL, lane->network) !=
	    STORE_OK)
		return false;
	count = lane->claim_count;
	payback_claims_fini(&lane->claims, lane->claim_count);
	lane->claim_count = 0;
	return count > 0;
}

/* The chain as the owner registered it now; false when he has not. */
static bool open_chain(struct lane *lane)
{
	struct house *house = house_of(lane);
	int64_t rpc_ms_max = house_config(house)->rpc_ms_max;
	char *urls = registry_rpc(house->registry, lane->network);

	if (lane->chain && (strcmp(urls, lane->urls) != 0 || lane->rpc_ms_max != rpc_ms_max))
		chain_free(&lane->chain);
	if (!*urls) {
		free(urls);
		outlook_forget(house->outlook, lane->network);
		return false;
	}
	if (lane->chain) {
		free(urls);
		return true;
	}
	free(lane->urls);
	lane->urls = urls;
	lane->rpc_ms_max = rpc_ms_max;
	lane->chain = chain_new(lane->reconciler->base, lane->reconciler->upstream, lane->network,
	    urls, (uint32_t)rpc_ms_max);
	return true;
}

static void begin_round(struct lane *lane, int64_t now_us)
{
	lane->began_us = now_us;
	lane->slow = now_us >= lane->slow_due_us;
	lane->asked = lane->failed = false;
	lane->result = CHAIN_OK;
	*lane->reason = '\0';
	lane->after = lane->resume_after;
	lane->resume_after = 0;
	if (!open_chain(lane) || !is_needed(lane)) {
		end_round(lane);
		return;
	}
	lane->phase = LANE_OPEN;
	step(lane);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct reconciler *reconciler = arg;
	int64_t now_us = clock_mono_us(), poll_ms = house_config(reconciler->house)->chain_poll_ms;
	struct timeval pause = {poll_ms / 1000, poll_ms % 1000 * 1000};

	(void)fd;
	(void)what;
	for (size_t i = 0; i < reconciler->count; i++) {
		struct lane *lane = &reconciler->lanes[i];

		if (lane->phase == LANE_IDLE && now_us >= lane->due_us)
			begin_round(lane, now_us);
	}
	must(event_add(reconciler->tick, &pause) == 0);
}

/* --- starting and stopping
 * ------------------------------------------------------------------------ */

static struct upstream_limits limits_of(const struct config *config)
{
	return (struct upstream_limits){
	    .connections_max = CONNECTIONS_MAX,
	    .connect_ms_max = (uint32_t)config->connect_ms_max,
	    .response_ms_max = (uint32_t)config->rpc_ms_max,
	    .idle_ms_max = (uint32_t)config->rpc_ms_max,
	    .head_size_max = HEADERS_SIZE_MAX,
	    .ca_file = *config->ca_file ? config->ca_file : NULL,
	};
}

static void add_lane(struct reconciler *reconciler, const struct asset *asset)
{
	struct lane *lane;

	for (size_t i = 0; i < reconciler->count; i++) {
		if (strcmp(reconciler->lanes[i].network, asset->network) == 0)
			return;
	}
	lane = &reconciler->lanes[reconciler->count++];
	lane->reconciler = reconciler;
	lane->network = asset->network;
	lane->refunds_s = REFUNDS_S_MAX;
	lane->group_max = CHAIN_QUERIES_MAX;
}

struct reconciler *reconciler_start(struct event_base *base, struct house *house)
{
	struct reconciler *reconciler = must_calloc(1, sizeof *reconciler);
	const struct upstream_limits limits = limits_of(house_config(house));
	const struct timeval now = {0, 0};

	reconciler->house = house;
	reconciler->base = base;
	reconciler->upstream = upstream_new(base, &limits);
	reconciler->lanes = must_calloc(assets_count(house->assets) + 1, sizeof *reconciler->lanes);
	for (size_t i = 0; i < assets_count(house->assets); i++)
		add_lane(reconciler, assets_at(house->assets, i));
	reconciler->tick = event_new(base, -1, 0, on_tick, reconciler);
	must(reconciler->tick && event_add(reconciler->tick, &now) == 0);
	return reconciler;
}

void reconciler_refresh(struct reconciler *reconciler)
{
	const struct upstream_limits limits = limits_of(house_config(reconciler->house));
	const struct timeval now = {0, 0};

	upstream_set_limits(reconciler->upstream, &limits);
	for (size_t i = 0; i < reconciler->count; i++)
		reconciler->lanes[i].due_us = 0;
	must(event_add(reconciler->tick, &now) == 0);
}

void reconciler_stop(struct reconciler **reconciler_p)
{
	struct reconciler *reconciler = *reconciler_p;

	*reconciler_p = NULL;
	if (!reconciler)
		return;
	event_free(reconciler->tick);
	for (size_t i = 0; i < reconciler->count; i++) {
		struct lane *lane = &reconciler->lanes[i];

		chain_free(&lane->chain);
		free(lane->urls);
		free(lane->watched);
		payback_claims_fini(&lane->claims, lane->claim_count);
	}
	upstream_free(&reconciler->upstream);
	free(reconciler->lanes);
	free(reconciler);
}
