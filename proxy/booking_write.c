/* proxy/booking_write.c - what was decided becomes rows, and then money in memory. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/booking_parts.h"
#include "proxy/reserve.h"

/* --- rows --------------------------------------------------------------------------------------
 */

static void add_state(struct batch *batch, struct house *house, const struct booking *booking,
    enum payment_state state, const char *transaction, const char *reason, int64_t now_us)
{
	struct payment_state_row row = {
	    .id = store_next_id(house->store, now_us),
	    .payment = booking->payment,
	    .state = state,
	    .transaction = transaction && *transaction ? transaction : NULL,
	    .reason = reason,
	    .by = "chain",
	};

	batch_payment_state(batch, &row);
}

static void add_journal(struct batch *batch, const struct booking *booking,
    enum journal_event event, bool from_spent, const char *transaction, const char *note)
{
	struct journal_row row = {
	    .event = event,
	    .call = booking->call,
	    .payment = booking->payment,
	    .agent = booking->agent->id,
	    .agent_name = booking->agent->name,
	    .owner = booking->agent->owner,
	    .tool = booking->tool,
	    .amount = booking->amount,
	    .network = booking->asset->network,
	    .asset = booking->asset->contract_text,
	    .symbol = booking->asset->symbol,
	    .transaction = transaction && *transaction ? transaction : NULL,
	    .note = note,
	    .from_spent = from_spent,
	};

	batch_journal(batch, &row);
}

static void add_evidence(struct batch *batch, struct house *house, const struct booking *booking,
    enum evidence_kind kind, const struct chain_finding *finding, const char *detail,
    int64_t now_us)
{
	struct evidence_row row = {
	    .id = store_next_id(house->store, now_us),
	    .payment = booking->payment,
	    .kind = kind,
	    .network = booking->asset->network,
	    .block = finding->block.number,
	    .block_hash = *finding->block.hash ? finding->block.hash : NULL,
	    .block_s = finding->block.time_s,
	    .transaction = *finding->transaction ? finding->transaction : NULL,
	    .log_index = finding->log_index,
	    .endpoints = finding->endpoints,
	    .detail = detail && *detail ? detail : NULL,
	};

	batch_evidence(batch, &row);
}

/* What was shown before and is no longer there. */
static void add_gone(struct batch *batch, struct house *house, const struct booking *booking,
    const struct chain_finding *finding, int64_t now_us)
{
	const struct booking_proof *proof = &booking->proof;
	struct evidence_row row = {
	    .id = store_next_id(house->store, now_us),
	    .payment = booking->payment,
	    .kind = EVIDENCE_GONE,
	    .network = booking->asset->network,
	    .block = proof->block,
	    .block_hash = *proof->block_hash ? proof->block_hash : NULL,
	    .block_s = proof->block_s,
	    .transaction = *proof->transaction ? proof->transaction : NULL,
	    .log_index = proof->log_index,
	    .endpoints = finding->endpoints,
	    .detail = "a reorganisation took it away",
	};

	if (proof->id)
		batch_evidence(batch, &row);
}

static void add_used(struct batch *batch, struct house *house, const struct booking *booking,
    const struct chain_finding *finding, int64_t now_us)
{
	add_state(batch, house, booking, PAYMENT_SETTLED, finding->transaction,
	    "the chain shows the transfer", now_us);
	add_journal(batch, booking, JOURNAL_SETTLE, false, finding->transaction, NULL);
	add_evidence(batch, house, booking, EVIDENCE_USED, finding, NULL, now_us);
}

/* An end that gives the money back, by what the chain says. */
struct way_back {
	enum payment_state state;
	enum evidence_kind kind;
	const char *reason;
};

static struct way_back way_back(const struct chain_finding *finding)
{
	if (finding->fate == CHAIN_FATE_CANCELLED)
		return (struct way_back){
		    PAYMENT_CANCELLED, EVIDENCE_CANCELLED, "the chain shows that it was cancelled"};
	return (struct way_back){
	    PAYMENT_EXPIRED_UNUSED, EVIDENCE_UNUSED, "the chain shows that it expired unused"};
}

static void add_back(struct batch *batch, struct house *house, const struct booking *booking,
    const struct chain_finding *finding, int64_t now_us)
{
	struct way_back way = way_back(finding);

	add_state(batch, house, booking, way.state, finding->transaction, way.reason, now_us);
	add_journal(batch, booking, JOURNAL_REFUND, false, finding->transaction, way.reason);
	add_evidence(batch, house, booking, way.kind, finding, NULL, now_us);
}

static void add_reopen(struct batch *batch, struct house *house, const struct booking *booking,
    const char *reason, int64_t now_us)
{
	add_state(batch, house, booking, PAYMENT_OPEN, NULL, reason, now_us);
	add_journal(
	    batch, booking, JOURNAL_REOPEN, side_of(booking->state) == SIDE_SPENT, NULL, reason);
}

/* More evidence: a state row only where it says something new. */
static void add_proof(struct batch *batch, struct house *house, const struct booking *booking,
    const struct chain_finding *finding, int64_t now_us)
{
	struct way_back way;

	if (finding->fate == CHAIN_FATE_USED) {
		if (booking->state == PAYMENT_RESOLVED_SPENT ||
		    strcasecmp(booking->transaction, finding->transaction) != 0)
			add_state(batch, house, booking, PAYMENT_SETTLED, finding->transaction,
			    "the chain shows the transfer", now_us);
		add_evidence(batch, house, booking, EVIDENCE_USED, finding, NULL, now_us);
		return;
	}
	way = way_back(finding);
	if (booking->state == PAYMENT_RESOLVED_UNUSED)
		add_state(
		    batch, house, booking, way.state, finding->transaction, way.reason, now_us);
	add_evidence(batch, house, booking, way.kind, finding, NULL, now_us);
}

static struct batch *write_rows(struct house *house, const struct booking *booking,
    const struct chain_finding *finding, int64_t now_us)
{
	struct batch *batch = batch_new(now_us);

	switch (booking->act) {
	case BOOKING_NOTHING:
		break;
	case BOOKING_PROVE:
		add_proof(batch, house, booking, finding, now_us);
		break;
	case BOOKING_SETTLE:
		add_used(batch, house, booking, finding, now_us);
		break;
	case BOOKING_GIVE_BACK:
		add_back(batch, house, booking, finding, now_us);
		break;
	case BOOKING_REOPEN:
		add_gone(batch, house, booking, finding, now_us);
		add_reopen(batch, house, booking, "a reorganisation of the chain took its end away",
		    now_us);
		break;
	case BOOKING_TURN:
		add_gone(batch, house, booking, finding, now_us);
		add_reopen(batch, house, booking, "a reorganisation of the chain took its end away",
		    now_us);
		add_back(batch, house, booking, finding, now_us);
		break;
	case BOOKING_TAKE:
		add_gone(batch, house, booking, finding, now_us);
		add_reopen(batch, house, booking,
		    "it was given back, but the chain shows that it was used", now_us);
		add_used(batch, house, booking, finding, now_us);
		break;
	case BOOKING_FLAG:
		add_evidence(
		    batch, house, booking, EVIDENCE_DISAGREES, finding, booking->flag, now_us);
		break;
	}
	return batch;
}

/* --- money in memory ------------------------------------------------------------------------ */

/* available → open, and back. An agent that has not called yet is asleep, and its past is not to
 * be read with the lock held; if it cannot be read what is booked is booked (ledger/purse.h). */
static bool set_aside(struct house *house, const struct booking *booking)
{
	char payee[ADDRESS_TEXT_SIZE];
	bool covered;

	address_format_lower(payee, &booking->query.payee);
	(void)!purse_recall(booking->agent->purse);
	purses_lock(house->purses);
	covered = purse_reopen(booking->agent->purse, booking->slot, booking->amount, false,
	    booking->session, booking->tool, payee, booking->call);
	purses_unlock(house->purses);
	return covered;
}

static void give_back(struct house *house, const struct booking *booking)
{
	char payee[ADDRESS_TEXT_SIZE];

	address_format_lower(payee, &booking->query.payee);
	(void)!purse_recall(booking->agent->purse);
	purses_lock(house->purses);
	purse_refund(booking->agent->purse, booking->slot, booking->amount, booking->session,
	    booking->tool, payee, booking->call);
	purses_unlock(house->purses);
	reserve_retry(house->purses, booking->agent);
}

static void spend(struct house *house, const struct booking *booking)
{
	purses_lock(house->purses);
	purse_settle(booking->agent->purse, booking->slot, booking->amount);
	purses_unlock(house->purses);
}

static void unspend(struct house *house, const struct booking *booking)
{
	bool moved;

	purses_lock(house->purses);
	moved = purse_reopen(booking->agent->purse, booking->slot, booking->amount, true, NULL,
	    NULL, NULL, booking->call);
	purses_unlock(house->purses);
	/* Only a damaged ledger spends less than it has settled. */
	if (!moved)
		log_event(LOG_ERROR, "nothing_to_reopen", "agent", booking->agent->name, NULL);
}

/* It is asked about with the others again, and nobody takes it over: what its call was
 * answered is long known. */
static void note_open(struct house *house, const struct booking *booking)
{
	struct open_payment payment = {
	    .id = booking->payment,
	    .call = booking->call,
	    .agent = booking->agent,
	    .asset = booking->asset,
	    .amount = booking->amount,
	    .value = booking->query.value,
	    .payer = booking->query.payer,
	    .payee = booking->query.payee,
	    .valid_before_s = booking->query.valid_before_s,
	    .tool = booking->tool,
	    .session = booking->session,
	    .target = booking->target,
	    .request = booking->request,
	    .answered = true,
	};

	memcpy(payment.nonce, booking->query.nonce, sizeof payment.nonce);
	outstanding_add(house->outstanding, &payment);
}

/* The rows are durable. */
static void move_money(struct house *house, const struct booking *booking)
{
	switch (booking->act) {
	case BOOKING_NOTHING:
	case BOOKING_PROVE:
	case BOOKING_FLAG:
		break;
	case BOOKING_SETTLE:
		spend(house, booking);
		outstanding_remove(house->outstanding, booking->payment);
		break;
	case BOOKING_GIVE_BACK:
		give_back(house, booking);
		outstanding_remove(house->outstanding, booking->payment);
		break;
	case BOOKING_REOPEN:
		if (!booking->set_aside)
			unspend(house, booking);
		note_open(house, booking);
		break;
	case BOOKING_TURN:
		unspend(house, booking);
		give_back(house, booking);
		break;
	case BOOKING_TAKE:
		spend(house, booking);
		break;
	}
}

/* --- deciding and writing ---------------------------------------------------------------- */

/* An earlier commit failed, and memory was left where it was: it follows what the ledger
 * turned out to say. */
static void settle_doubt(struct house *house, struct booking *booking)
{
	enum side side = side_of(booking->state);

	switch (booking->doubt) {
	case WATCH_SURE:
		return;
	case WATCH_OPEN:
		if (side == SIDE_IN_FLIGHT || side == SIDE_OPEN)
			break;
		/* Whoever holds it, or has removed it, takes care of its money. */
		if (!outstanding_hold(house->outstanding, booking->payment))
			break;
		if (side == SIDE_SPENT)
			spend(house, booking);
		else
			give_back(house, booking);
		outstanding_remove(house->outstanding, booking->payment);
		break;
	case WATCH_ASIDE:
		if (side == SIDE_SPENT)
			spend(house, booking);
		else if (side == SIDE_OPEN)
			note_open(house, booking);
		booking->set_aside = side == SIDE_BACK;
		break;
	case WATCH_SPENT:
		if (side == SIDE_SPENT)
			break;
		unspend(house, booking);
		if (side == SIDE_BACK)
			give_back(house, booking);
		else
			note_open(house, booking);
		break;
	}
	booking->doubt = WATCH_SURE;
}

static bool needs_cover(const struct booking *booking)
{
	return booking->act == BOOKING_TAKE ||
	       (booking->act == BOOKING_REOPEN && side_of(booking->state) == SIDE_BACK);
}

/* What a seller has paid back of a settled payment went out of spent; reopening all of it
 * would take that below zero. */
static bool is_paid_back(struct house *house, const struct booking *booking)
{
	int64_t refunded;

	return store_refunded(house->store, booking->payment, &refunded) != STORE_OK ||
	       refunded > 0;
}

static void decide_on(struct house *house, struct booking *booking,
    const struct chain_finding *finding, int64_t now_s)
{
	char amount[AMOUNT_TEXT_SIZE];

	booking->act = booking_rule(booking->flag, booking, finding, now_s);
	if ((booking->act == BOOKING_TURN ||
		(booking->act == BOOKING_REOPEN && side_of(booking->state) == SIDE_SPENT)) &&
	    is_paid_back(house, booking))
		booking->act = booking_flag(booking->flag, booking,
		    "its end is gone from the chain, but the seller has paid back some of it");
	if (needs_cover(booking) && !booking->set_aside) {
		booking->set_aside = set_aside(house, booking);
		if (!booking->set_aside)
			booking->act = booking_flag(booking->flag, booking,
			    "%s, but the wallet has less than $%s free to book it",
			    finding->fate == CHAIN_FATE_USED
				? "given back, yet the chain shows that it was used"
				: "its cancellation is gone from the chain",
			    amount_format(amount, amount_of(booking->amount)));
	} else if (booking->set_aside && !needs_cover(booking)) {
		give_back(house, booking);
		booking->set_aside = false;
	}
}

/* Who waits for the writer. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t told;
	size_t left;
};

struct wait_for {
	struct waiter *waiter;
	enum store_result *result;
};

static void on_written(enum store_result result, void *arg)
{
	struct wait_for *wait_for = arg;
	struct waiter *waiter = wait_for->waiter;

	must(pthread_mutex_lock(&waiter->lock) == 0);
	*wait_for->result = result;
	waiter->left--;
	must(pthread_cond_signal(&waiter->told) == 0);
	must(pthread_mutex_unlock(&waiter->lock) == 0);
}

static void say(const struct booking *booking)
{
	char id[24];
	bool flagged = booking->act == BOOKING_FLAG;

	snprintf(id, sizeof id, "%lld", (long long)booking->payment);
	log_event(flagged ? LOG_WARN : LOG_INFO, flagged ? "chain_contradicts" : "chain_booked",
	    "payment", id, "agent", booking->agent->name, "network", booking->asset->network, "act",
	    booking_act_str(booking->act), "reason", flagged ? booking->flag : "", NULL);
}

/* The disk failed: where is the money in memory? */
static enum watch_doubt doubt_about(const struct booking *booking)
{
	switch (booking->act) {
	case BOOKING_NOTHING:
	case BOOKING_PROVE:
	case BOOKING_FLAG:
		return WATCH_SURE;
	case BOOKING_SETTLE:
	case BOOKING_GIVE_BACK:
		return WATCH_OPEN;
	case BOOKING_REOPEN:
	case BOOKING_TURN:
	case BOOKING_TAKE:
		return booking->set_aside ? WATCH_ASIDE : WATCH_SPENT;
	}
	return WATCH_SURE;
}

/* The rows are written, or not; memory follows. */
static void finish(struct house *house, struct booking *booking)
{
	if (booking->result == STORE_OK) {
		move_money(house, booking);
		if (booking->act != BOOKING_NOTHING)
			say(booking);
	} else if (booking->result == STORE_BROKEN) {
		booking->doubt = doubt_about(booking);
	} else if (booking->set_aside) {
		give_back(house, booking);
	}
	/* Whether it is worth watching for longer is seen when it is looked at. */
	watch_end(house->watch, booking->payment, booking->doubt,
	    booking->act != BOOKING_NOTHING || booking->doubt != WATCH_SURE);
	booking->begun = false;
}

void booking_commit(struct house *house, struct booking *bookings,
    const struct chain_finding *findings, size_t count, int64_t now_us)
{
	struct waiter waiter = {.left = 0};
	struct wait_for *waits = must_calloc(count ? count : 1, sizeof *waits);

	must(pthread_mutex_init(&waiter.lock, NULL) == 0);
	must(pthread_cond_init(&waiter.told, NULL) == 0);
	for (size_t i = 0; i < count; i++) {
		struct booking *booking = &bookings[i];
		struct batch *batch;

		booking->act = BOOKING_NOTHING;
		booking->result = STORE_OK;
		booking->begun =
		    watch_begin(&booking->doubt, house->watch, booking->payment, booking->asset);
		if (!booking->begun)
			continue;
		settle_doubt(house, booking);
		decide_on(house, booking, &findings[i], now_us / CLOCK_US_PER_S);
		if (booking->act == BOOKING_NOTHING)
			continue;
		batch = write_rows(house, booking, &findings[i], now_us);
		waits[i] = (struct wait_for){&waiter, &booking->result};
		must(pthread_mutex_lock(&waiter.lock) == 0);
		waiter.left++;
		must(pthread_mutex_unlock(&waiter.lock) == 0);
		store_append(house->store, &batch, on_written, &waits[i]);
	}
	must(pthread_mutex_lock(&waiter.lock) == 0);
	while (waiter.left > 0)
		must(pthread_cond_wait(&waiter.told, &waiter.lock) == 0);
	must(pthread_mutex_unlock(&waiter.lock) == 0);
	for (size_t i = 0; i < count; i++) {
		if (bookings[i].begun)
			finish(house, &bookings[i]);
	}
	must(pthread_cond_destroy(&waiter.told) == 0);
	must(pthread_mutex_destroy(&waiter.lock) == 0);
	free(waits);
}

void booking_dispute(struct house *house, int64_t payment, const char *detail, int64_t now_us)
{
	static const struct chain_finding nothing = {.log_index = -1};
	struct booking booking;
	struct batch *batch;

	if (booking_load(&booking, house, payment) != STORE_OK)
		return;
	booking.act =
	    booking_flag(booking.flag, &booking, "endpoints contradict each other: %s", detail);
	if (booking.act == BOOKING_FLAG && side_of(booking.state) != SIDE_IN_FLIGHT) {
		batch = write_rows(house, &booking, &nothing, now_us);
		if (store_append_wait(house->store, &batch) == STORE_OK) {
			watch_add(house->watch, payment, booking.asset);
			say(&booking);
		}
	}
	booking_fini(&booking);
}
