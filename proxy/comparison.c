#include "proxy/comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "proxy/booking.h"
#include "proxy/payback.h"
#include "proxy/reconcile.h"

/* No further question about old receipts is begun after that; the owner waits. */
#define PROVE_US_MAX (120 * CLOCK_US_PER_S)
/* A wallet in use is looked at so often before the difference is said as it is. */
#define ATTEMPTS 3
/* One question's payments are of one time, see chain_fates(). */
#define SPAN_S 3600
/* Past this a balance is an endpoint's invention, and sums of four still fit. */
#define DOLLARS_MAX (INT64_MAX / 4)

/* --- which payments ---------------------------------------------------------------- */

static void add_id(struct comparison_list *list, int64_t payment)
{
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->ids = must_realloc(list->ids, list->room * sizeof *list->ids);
	}
	list->ids[list->count++] = payment;
}

/* Of this asset, and signed by the key the wallet has now: another one's are another balance. */
static bool concerns(const struct comparison *comparison, const struct payment_row *row)
{
	return row->agent == comparison->agent->id &&
	       strcmp(row->network, comparison->asset->network) == 0 &&
	       strcasecmp(row->asset, comparison->asset->contract_text) == 0 &&
	       strcasecmp(row->payer, comparison->payer_text) == 0;
}

static bool take_payment(const struct payment_row *row, void *arg)
{
	struct comparison *comparison = arg;

	if (concerns(comparison, row))
		add_id(&comparison->list, row->id);
	return true;
}

/* The newest stay in the ring; of those that fall out of it the oldest are kept. */
static bool take_receipt(const struct payment_row *row, void *arg)
{
	struct comparison *comparison = arg;
	int64_t *place = &comparison->newest[comparison->receipts % COMPARISON_NEWEST_MAX];

	if (!concerns(comparison, row))
		return true;
	if (comparison->receipts >= COMPARISON_NEWEST_MAX &&
	    comparison->old.count < COMPARISON_OLDEST_MAX)
		add_id(&comparison->old, *place);
	*place = row->id;
	comparison->receipts++;
	return true;
}

static bool take_disputed(const struct payment_row *row, void *arg)
{
	struct comparison *comparison = arg;

	if (concerns(comparison, row) && comparison->disputed++ == 0)
		comparison->disputed_one = row->id;
	return true;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static bool collect(struct comparison *comparison)
{
	struct store *store = comparison->house->store;
	struct comparison_list *list = &comparison->list;
	int64_t agent = comparison->agent->id, since_us = clock_now_us() - RECONCILE_REORG_US;
	size_t kept = 0;

	list->count = comparison->old.count = comparison->receipts = 0;
	if (store_payments(store, agent, true, take_payment, comparison) != STORE_OK ||
	    store_on_word(store, agent, take_payment, comparison) != STORE_OK ||
	    store_disputed(store, agent, take_payment, comparison) != STORE_OK ||
	    store_chain_ends(store, since_us, take_payment, comparison) != STORE_OK ||
	    store_unproved(store, agent, comparison->asset->network, INT64_MAX, take_receipt,
		comparison) != STORE_OK)
		return false;
	for (size_t i = 0; i < comparison->receipts && i < COMPARISON_NEWEST_MAX; i++)
		add_id(list, comparison->newest[i]);
	if (list->count > 1)
		qsort(list->ids, list->count, sizeof *list->ids, by_id);
	for (size_t i = 0; i < list->count; i++) {
		if (kept == 0 || list->ids[kept - 1] != list->ids[i])
			list->ids[kept++] = list->ids[i];
	}
	list->count = kept;
	comparison->unproved = comparison->receipts;
	return true;
}

/* --- what became of them ------------------------------------------------------------ */

static bool is_spent(const struct booking *booking)
{
	return booking->state == PAYMENT_SETTLED || booking->state == PAYMENT_RESOLVED_SPENT;
}

/* After the booking: does the chain's block have it, and do the books? */
static void explain(struct comparison *comparison, const struct booking *booking,
    const struct chain_finding *finding)
{
	bool booked = booking->act != BOOKING_NOTHING && booking->act != BOOKING_FLAG &&
		      booking->result == STORE_OK;

	if (booked && booking->act == BOOKING_PROVE) {
		comparison->proved++;
		if (is_spent(booking) && comparison->unproved > 0)
			comparison->unproved--;
	} else if (booked) {
		comparison->booked++;
	} else if ((booking->state == PAYMENT_SIGNED || booking->state == PAYMENT_OPEN) &&
		   finding->fate == CHAIN_FATE_USED && finding->transfer_matches) {
		comparison->open_used_count++;
		comparison->open_used += booking->amount;
	} else if (is_spent(booking) && finding->fate == CHAIN_FATE_UNKNOWN &&
		   (finding->shallow || *finding->block.hash)) {
		comparison->settled_ahead_count++;
		comparison->settled_ahead += booking->amount;
	}
}

/* Payments that two endpoints contradict each other about are flagged and left out. */
static size_t drop_disputed(struct comparison *comparison, struct booking *bookings, size_t count,
    const struct chain_finding *findings)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!*findings[i].detail) {
			bookings[kept++] = bookings[i];
			continue;
		}
		booking_dispute(
		    comparison->house, bookings[i].payment, findings[i].detail, clock_now_us());
		booking_fini(&bookings[i]);
	}
	return kept;
}

/* One question, with what it changes; ends the bookings. False: the chain gave no answer. */
static bool ask(struct comparison *comparison, struct booking *bookings, size_t count)
{
	struct chain_query queries[CHAIN_QUERIES_MAX];
	struct chain_finding findings[CHAIN_QUERIES_MAX];
	size_t before = count + 1;

	comparison->result = CHAIN_DISAGREE;
	while (comparison->result == CHAIN_DISAGREE && count > 0 && count < before) {
		for (size_t i = 0; i < count; i++)
			queries[i] = bookings[i].query;
		before = count;
		comparison->result = chain_wait_fates(findings, comparison->reason,
		    comparison->wait, queries, count, comparison->depth);
		if (comparison->result == CHAIN_DISAGREE)
			count = drop_disputed(comparison, bookings, count, findings);
	}
	if (count == 0)
		comparison->result = CHAIN_OK; /* each is flagged by itself */
	if (comparison->result == CHAIN_OK && count > 0) {
		booking_commit(comparison->house, bookings, findings, count, clock_now_us());
		for (size_t i = 0; i < count; i++)
			explain(comparison, &bookings[i], &findings[i]);
	}
	for (size_t i = 0; i < count; i++)
		booking_fini(&bookings[i]);
	return comparison->result == CHAIN_OK;
}

/* All of a list, in its order, until it is late; until_us 0: however late it gets. */
static bool ask_list(
    struct comparison *comparison, const struct comparison_list *list, int64_t until_us)
{
	struct booking bookings[CHAIN_QUERIES_MAX], booking;
	size_t count = 0;

	for (size_t at = 0; at < list->count; at++) {
		if (until_us && clock_mono_us() > until_us)
			break;
		if (booking_load(&booking, comparison->house, list->ids[at]) != STORE_OK)
			continue;
		if (count == CHAIN_QUERIES_MAX ||
		    (count > 0 && booking.query.since_s - bookings[0].query.since_s > SPAN_S)) {
			if (!ask(comparison, bookings, count)) {
				booking_fini(&booking);
				return false;
			}
			count = 0;
		}
		bookings[count++] = booking;
	}
	return count == 0 || ask(comparison, bookings, count);
}

static bool ask_about_payments(struct comparison *comparison)
{
	comparison->open_used = comparison->settled_ahead = 0;
	comparison->open_used_count = comparison->settled_ahead_count = 0;
	return ask_list(comparison, &comparison->list, 0) &&
	       ask_list(comparison, &comparison->old, comparison->prove_until_us);
}

/* --- what sellers paid back ----------------------------------------------------------- */

static void book_transfers(struct comparison *comparison, struct payback_claim *claims,
    size_t count, const struct address *senders, size_t sender_count, int64_t since_s)
{
	struct chain_transfer *transfers = must_calloc(CHAIN_TRANSFERS_MAX, sizeof *transfers);
	char reason[CHAIN_REASON_SIZE];
	size_t found = 0;
	int64_t endpoints = 0;

	/* No answer is no failure: what is not found stays in the difference. */
	if (chain_wait_transfers(transfers, &found, &endpoints, reason, comparison->wait,
		comparison->asset, senders, sender_count, &comparison->payer, since_s,
		comparison->depth) == CHAIN_OK) {
		for (size_t i = 0; i < found; i++)
			comparison->booked +=
			    payback_book(comparison->house, claims, count, comparison->asset,
				&comparison->payer, &transfers[i], endpoints, clock_now_us());
	}
	free(transfers);
}

static void book_refunds(struct comparison *comparison)
{
	struct address senders[CHAIN_QUERIES_MAX];
	struct payback_claim *claims;
	size_t count, sender_count = 0;
	int64_t since_s = INT64_MAX;

	if (payback_claims(&claims, &count, comparison->house, comparison->agent,
		comparison->asset->network) != STORE_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct payback_claim *claim = &claims[i];
		bool known = false;

		if (claim->asset != comparison->asset ||
		    !address_equal(&claim->payer, &comparison->payer))
			continue;
		for (size_t j = 0; j < sender_count; j++)
			known = known || address_equal(&senders[j], &claim->payee);
		if (!known && sender_count < CHAIN_QUERIES_MAX)
			senders[sender_count++] = claim->payee;
		if (claim->call / CLOCK_US_PER_S < since_s)
			since_s = claim->call / CLOCK_US_PER_S;
	}
	if (sender_count > 0)
		book_transfers(comparison, claims, count, senders, sender_count, since_s);
	payback_claims_fini(&claims, count);
}

/* --- the balance -------------------------------------------------------------------- */

struct balance comparison_books(const struct comparison *comparison)
{
	struct house *house = comparison->house;
	struct balance balance;

	purses_lock(house->purses);
	balance = purse_balance(comparison->agent->purse, house_slot(house, comparison->asset));
	purses_unlock(house->purses);
	return balance;
}

static bool same_books(const struct balance *a, const struct balance *b)
{
	return a->available == b->available && a->open == b->open && a->spent == b->spent;
}

static bool ask_balance(struct comparison *comparison)
{
	struct uint256 balance;
	struct balance after;
	struct amount amount;

	comparison->books = comparison_books(comparison);
	comparison->result = chain_wait_balance(&balance, &comparison->block,
	    &comparison->endpoints, comparison->reason, comparison->wait, comparison->asset,
	    &comparison->payer, comparison->depth);
	if (comparison->result != CHAIN_OK)
		return false;
	after = comparison_books(comparison);
	comparison->steady = same_books(&comparison->books, &after);
	if (!uint256_to_amount(&amount, &balance, comparison->asset->decimals) ||
	    amount.micros > DOLLARS_MAX || comparison->books.available > DOLLARS_MAX ||
	    comparison->books.open > DOLLARS_MAX) {
		comparison->result = CHAIN_REFUSED;
		snprintf(comparison->reason, sizeof comparison->reason,
		    "a balance of so many dollars cannot be compared");
		return false;
	}
	comparison->chain = amount.micros;
	comparison->difference = comparison->chain - comparison->books.available -
				 comparison->books.open + comparison->open_used -
				 comparison->settled_ahead;
	return true;
}

static bool no_ledger(struct comparison *comparison)
{
	comparison->result = CHAIN_REFUSED;
	snprintf(comparison->reason, sizeof comparison->reason,
	    "the ledger cannot be read: run `tallyward doctor`");
	return false;
}

bool comparison_run(struct comparison *comparison)
{
	comparison->depth = reconcile_depth(comparison->house, comparison->asset->network);
	comparison->prove_until_us = clock_mono_us() + PROVE_US_MAX;
	address_format(comparison->payer_text, &comparison->payer);
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (!collect(comparison))
			return no_ledger(comparison);
		if (!ask_about_payments(comparison))
			return false;
		book_refunds(comparison);
		if (!ask_balance(comparison))
			return false;
		if (comparison->steady && comparison->difference == 0)
			break;
	}
	if (store_disputed(comparison->house->store, comparison->agent->id, take_disputed,
		comparison) != STORE_OK)
		return no_ledger(comparison);
	return true;
}

void comparison_fini(struct comparison *comparison)
{
	free(comparison->list.ids);
	free(comparison->old.ids);
	comparison->list = comparison->old = (struct comparison_list){0};
}
