/* The reconciler's rounds: who is asked about what, when, and what comes of each kind of
 * answer. The chain is this file's: it notes the questions and answers by a script, from the
 * loop. What is booked for which word is proxy_booking_test's. */
#include "proxy/reconcile.h"

#include <event2/event.h>

#include "proxy/chain.h"
#include "proxy/payback.h"
#include "tests/unit/proxy_books.h"

#define AMOUNT  30000
#define HOUR_US (3600 * CLOCK_US_PER_S)

/* --- the chain ----------------------------------------------------------------------- */

struct chain {
	struct event *answer;
	chain_fates_fn *fates_done;
	chain_transfers_fn *transfers_done;
	void *arg;
	struct chain_query queries[CHAIN_QUERIES_MAX];
	size_t count;
	struct address sender, to;
	int64_t since_s;
};

static struct {
	/* the script */
	enum chain_result result;
	struct chain_finding (*find)(const struct chain_query *query);
	bool disputes_all;
	struct chain_transfer transfers[2];
	size_t transfer_count;
	/* what was asked */
	struct chain *chain; /* one network is used here */
	size_t chains, freed, questions, transfer_questions, most;
	int64_t depth;
	char urls[128];
	struct chain_query last[CHAIN_QUERIES_MAX];
	size_t last_count;
	bool saw_apart, saw_together, saw_wide;
} fake;

/* Set by tests that tell payments apart. */
static struct books *books;
static int64_t first, second;

const char *chain_result_str(enum chain_result result)
{
	return result == CHAIN_OK ? "ok" : "not ok";
}

static bool is(const struct chain_query *query, int64_t payment)
{
	char nonce[67];
	uint8_t bytes[32];

	snprintf(nonce, sizeof nonce, "0x%064llx", (unsigned long long)payment);
	assert_true(hex_decode(bytes, sizeof bytes, nonce));
	return memcmp(bytes, query->nonce, sizeof bytes) == 0;
}

static void answer_fates(struct chain *chain)
{
	struct chain_finding findings[CHAIN_QUERIES_MAX];
	chain_fates_fn *done = chain->fates_done;
	enum chain_result result = fake.result;
	size_t disputed = 0;

	for (size_t i = 0; i < chain->count; i++) {
		findings[i] = (struct chain_finding){.log_index = -1};
		if (result == CHAIN_OK && fake.find)
			findings[i] = fake.find(&chain->queries[i]);
		disputed += *findings[i].detail != '\0' && findings[i].fate == CHAIN_FATE_UNKNOWN;
	}
	if (disputed > 0) {
		/* Who lied about one may have lied about all. */
		result = CHAIN_DISAGREE;
		for (size_t i = 0; i < chain->count; i++) {
			if (!*findings[i].detail)
				findings[i] = (struct chain_finding){.log_index = -1};
		}
	}
	chain->fates_done = NULL;
	done(result, result == CHAIN_OK ? "" : "said by the test", findings, chain->count,
	    chain->arg);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct chain *chain = arg;
	chain_transfers_fn *done = chain->transfers_done;

	(void)fd;
	(void)what;
	if (chain->fates_done) {
		answer_fates(chain);
		return;
	}
	chain->transfers_done = NULL;
	done(fake.result, "said by the test", fake.transfers,
	    fake.result == CHAIN_OK ? fake.transfer_count : 0, 2, chain->arg);
}

struct chain *chain_new(struct event_base *base, struct upstream *upstream, const char *network,
    const char *urls, uint32_t request_ms_max)
{
	struct chain *chain = calloc(1, sizeof *chain);

	assert_non_null(upstream);
	assert_string_equal(network, BOOKS_NETWORK);
	assert_true(request_ms_max > 0);
	snprintf(fake.urls, sizeof fake.urls, "%s", urls);
	chain->answer = event_new(base, -1, 0, on_answer, chain);
	fake.chains++;
	fake.chain = chain;
	return chain;
}

void chain_free(struct chain **chain)
{
	if (*chain == NULL)
		return;
	event_free((*chain)->answer);
	free(*chain);
	*chain = fake.chain = NULL;
	fake.freed++;
}

static void note_question(struct chain *chain, int64_t depth)
{
	const struct timeval soon = {0, 100};

	/* One question at a time. */
	assert_null(chain->fates_done);
	assert_null(chain->transfers_done);
	fake.depth = depth;
	event_add(chain->answer, &soon);
}

void chain_fates(struct chain *chain, const struct chain_query *queries, size_t count,
    int64_t depth, chain_fates_fn *done, void *arg)
{
	bool has_first = false, has_second = false;

	assert_in_range(count, 1, CHAIN_QUERIES_MAX);
	note_question(chain, depth);
	memcpy(chain->queries, queries, count * sizeof *queries);
	memcpy(fake.last, queries, count * sizeof *queries);
	fake.last_count = chain->count = count;
	fake.questions++;
	if (count > fake.most)
		fake.most = count;
	chain->fates_done = done;
	chain->arg = arg;
	for (size_t i = 0; i < count; i++) {
		has_first = has_first || is(&queries[i], first);
		has_second = has_second || is(&queries[i], second);
		fake.saw_wide = fake.saw_wide || queries[i].since_s - queries[0].since_s > 3600 ||
				queries[0].since_s - queries[i].since_s > 3600;
	}
	fake.saw_together = fake.saw_together || (has_first && has_second);
	fake.saw_apart = fake.saw_apart || (has_first != has_second && has_second);
}

void chain_transfers(struct chain *chain, const struct asset *asset, const struct address *senders,
    size_t sender_count, const struct address *to, int64_t since_s, int64_t depth,
    chain_transfers_fn *done, void *arg)
{
	assert_ptr_equal(asset, books->asset);
	assert_int_equal(sender_count, 1);
	note_question(chain, depth);
	chain->sender = senders[0];
	chain->to = *to;
	chain->since_s = since_s;
	chain->transfers_done = done;
	chain->arg = arg;
	fake.transfer_questions++;
}

/* --- a world with a loop ------------------------------------------------------------------ */

struct world {
	struct books books;
	void *dir;
	struct event_base *base;
	struct reconciler *reconciler;
};

static int world_make(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	memset(&fake, 0, sizeof fake);
	first = second = -1;
	if (unit_folder_make(&world->dir) != 0)
		return -1;
	books_open_ago(&world->books, world->dir, 3 * HOUR_US);
	books = &world->books;
	registry_set_rpc(books->house.registry, BOOKS_NETWORK, "http://127.0.0.1:1");
	world->base = event_base_new();
	*state = world;
	return 0;
}

static int world_remove(void **state)
{
	struct world *world = *state;
	int result;

	reconciler_stop(&world->reconciler);
	event_base_free(world->base);
	books_close(&world->books);
	result = unit_folder_remove(&world->dir);
	free(world);
	return result;
}

static void start(struct world *world)
{
	books->now_us = clock_now_us();
	world->reconciler = reconciler_start(world->base, &books->house);
	assert_non_null(world->reconciler);
}

/* The loop turns until it is so; a test that would wait for ever fails instead. */
#define run_until(world, condition)                                                                \
	do {                                                                                       \
		int64_t give_up_us_ = clock_mono_us() + 60 * CLOCK_US_PER_S;                       \
		while (!(condition)) {                                                             \
			if (clock_mono_us() > give_up_us_)                                         \
				fail_msg("never came true: %s", #condition);                       \
			event_base_loop((world)->base, EVLOOP_ONCE);                               \
		}                                                                                  \
	} while (0)

static int64_t sign(int64_t valid_in_s)
{
	int64_t payment =
	    books_sign(books, AMOUNT, books->now_us, clock_now_us() / CLOCK_US_PER_S + valid_in_s);

	books_leave_open(books, payment);
	return payment;
}

static enum payment_state state_of(int64_t payment)
{
	struct booking booking = books_load(books, payment);
	enum payment_state state = booking.state;

	booking_fini(&booking);
	return state;
}

static bool is_disputed(int64_t payment)
{
	struct booking booking = books_load(books, payment);
	bool disputed = booking.dispute.id != 0;

	booking_fini(&booking);
	return disputed;
}

static struct chain_finding find_used(const struct chain_query *query)
{
	(void)query;
	return books_log(books, CHAIN_FATE_USED, false);
}

static struct chain_finding find_nothing(const struct chain_query *query)
{
	(void)query;
	return (struct chain_finding){.log_index = -1};
}

static struct chain_finding find_first_used(const struct chain_query *query)
{
	return is(query, first) ? find_used(query) : find_nothing(query);
}

/* --- rounds ---------------------------------------------------------------------------------- */

static void open_payments_find_their_end(void **state)
{
	struct world *world = *state;

	first = sign(60);
	second = sign(60);
	fake.find = find_first_used;
	start(world);
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	assert_int_equal(state_of(second), PAYMENT_OPEN);
	assert_int_equal(fake.depth, 0);
	fake.find = find_used;
	books->config.chain_depth = 7;
	run_until(world, state_of(second) == PAYMENT_SETTLED);
	assert_int_equal(fake.depth, 7);
	books_check(books, "ends");
}

static void many_are_asked_about_in_portions(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 150; i++)
		first = sign(60);
	fake.find = find_used;
	start(world);
	run_until(world, outstanding_count(books->house.outstanding) == 0);
	assert_int_equal(fake.most, CHAIN_QUERIES_MAX);
	assert_int_equal(purse_balance(books->agent->purse, books->slot).spent, 150 * AMOUNT);
	books_check(books, "portions");
}

/* A question looks through all blocks between its payments. */
static void old_and_new_are_asked_about_apart(void **state)
{
	struct world *world = *state;

	first = sign(60);
	books->now_us += 2 * HOUR_US;
	second = sign(60);
	fake.find = find_nothing;
	start(world);
	run_until(world, fake.questions > 6);
	assert_true(fake.saw_apart);
	assert_false(fake.saw_together);
	assert_false(fake.saw_wide);
}

/* What has long expired and does not end is asked about now and then. */
static void dead_payments_have_their_turn_seldom(void **state)
{
	struct world *world = *state;

	first = sign(-3600);
	second = sign(60);
	fake.find = find_nothing;
	start(world);
	run_until(world, fake.saw_together);
	run_until(world, fake.saw_apart);
	fake.find = find_first_used;
	run_until(world, state_of(first) == PAYMENT_SETTLED);
}

/* --- no answer, and contradictions
 * ---------------------------------------------------------------- */

static void nothing_is_booked_without_an_answer(void **state)
{
	static const enum chain_result results[] = {
	    CHAIN_UNREACHABLE, CHAIN_DISAGREE, CHAIN_REFUSED};
	struct world *world = *state;
	struct outlook_row row;

	first = sign(60);
	fake.find = find_used;
	fake.result = results[0];
	start(world);
	for (size_t i = 0; i < COUNT(results); i++) {
		size_t before = fake.questions;

		fake.result = results[i];
		run_until(world, fake.questions > before + 1);
		assert_int_equal(state_of(first), PAYMENT_OPEN);
		assert_true(outlook_of(&row, books->house.outlook, BOOKS_NETWORK));
		assert_int_equal(row.result, results[i]);
		assert_string_equal(row.reason, "said by the test");
		assert_false(is_disputed(first));
	}
	fake.result = CHAIN_OK;
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	run_until(
	    world, outlook_of(&row, books->house.outlook, BOOKS_NETWORK) && row.result == CHAIN_OK);
	assert_string_equal(row.reason, "");
	books_check(books, "no answer");
}

static struct chain_finding find_first_disputed(const struct chain_query *query)
{
	struct chain_finding finding = find_used(query);

	if (is(query, first)) {
		finding = find_nothing(query);
		put_text(finding.detail, "a says used, b says unused");
	}
	return finding;
}

static void a_contradiction_about_one_does_not_stop_the_others(void **state)
{
	struct world *world = *state;
	struct outlook_row row;

	first = sign(60);
	second = sign(60);
	fake.find = find_first_disputed;
	start(world);
	run_until(world, state_of(second) == PAYMENT_SETTLED);
	assert_int_equal(state_of(first), PAYMENT_OPEN);
	assert_true(is_disputed(first));
	run_until(world, outlook_of(&row, books->house.outlook, BOOKS_NETWORK));
	assert_int_equal(row.result, CHAIN_DISAGREE);
	/* Alone it is no other; and the word they agree on ends it. */
	run_until(world, fake.last_count == 1 && fake.questions > 4);
	books_check(books, "disputed");
	fake.find = find_used;
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	assert_false(is_disputed(first));
	books_check(books, "agreed");
}

/* --- what has ended
 * --------------------------------------------------------------------------------- */

static struct chain_finding find_gone(const struct chain_query *query)
{
	(void)query;
	return books_no_log(books, CHAIN_FATE_UNKNOWN, 200);
}

static struct chain_finding find_elsewhere(const struct chain_query *query)
{
	(void)query;
	return books_log(books, CHAIN_FATE_USED, true);
}

static void a_reorganisation_undoes_an_end(void **state)
{
	struct world *world = *state;

	first = sign(60);
	fake.find = find_used;
	start(world);
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	fake.find = find_gone;
	run_until(world, state_of(first) == PAYMENT_OPEN);
	books_check(books, "gone");
	fake.find = find_elsewhere;
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	books_check(books, "elsewhere");
}

static struct chain_finding find_unused(const struct chain_query *query)
{
	(void)query;
	return books_no_log(books, CHAIN_FATE_UNUSED, 200);
}

/* The owner's word is held against the chain; a deposit heals what cannot be booked. */
static void an_owners_word_is_asked_about(void **state)
{
	struct world *world = *state;
	size_t flags;

	first = sign(60);
	books_end(books, first, PAYMENT_RESOLVED_UNUSED, NULL);
	second = sign(-60);
	books_end(books, second, PAYMENT_RESOLVED_UNUSED, NULL);
	watch_add(books->house.watch, first, books->asset);
	books_empty(books);
	fake.find = find_used;
	start(world);
	run_until(world, is_disputed(first));
	assert_int_equal(state_of(first), PAYMENT_RESOLVED_UNUSED);
	flags = fake.questions;
	run_until(world, fake.questions > flags + 2);
	books_check(books, "cannot be booked");
	books_deposit(books, AMOUNT);
	run_until(world, state_of(first) == PAYMENT_SETTLED);
	books_check(books, "healed");
	assert_false(is_disputed(first));
	fake.find = find_unused;
	watch_remove(books->house.watch, first);
	watch_add(books->house.watch, second, books->asset);
	run_until(world, state_of(second) == PAYMENT_EXPIRED_UNUSED);
	books_check(books, "unused indeed");
}

static void what_need_not_be_watched_drops_out(void **state)
{
	struct world *world = *state;

	first = sign(60); /* open: asked about as such */
	second = sign(60);
	books_end(books, second, PAYMENT_SETTLED, BOOKS_HASH("7")); /* a receipt's */
	watch_add(books->house.watch, first, books->asset);
	watch_add(books->house.watch, second, books->asset);
	watch_add(books->house.watch, 12345, books->asset); /* no such payment */
	fake.find = find_nothing;
	start(world);
	run_until(world, watch_count(books->house.watch) == 0);
	assert_false(fake.saw_apart);
	assert_false(fake.saw_together);
}

/* --- the owner's endpoints
 * ------------------------------------------------------------------------------ */

static void endpoints_come_and_go(void **state)
{
	struct world *world = *state;
	struct registry *registry = books->house.registry;
	struct outlook_row row;
	int turns = 0;

	registry_set_rpc(registry, BOOKS_NETWORK, "");
	first = sign(60);
	fake.find = find_nothing;
	start(world);
	while (turns++ < 20)
		event_base_loop(world->base, EVLOOP_ONCE);
	assert_int_equal(fake.chains, 0);
	registry_set_rpc(registry, BOOKS_NETWORK, "http://127.0.0.1:2");
	run_until(world, fake.questions > 1);
	assert_int_equal(fake.chains, 1);
	registry_set_rpc(registry, BOOKS_NETWORK, "http://127.0.0.1:3 http://127.0.0.1:4");
	run_until(world, fake.chains == 2);
	assert_string_equal(fake.urls, "http://127.0.0.1:3 http://127.0.0.1:4");
	assert_int_equal(fake.freed, 1);
	registry_set_rpc(registry, BOOKS_NETWORK, "");
	run_until(world, fake.freed == 2);
	assert_false(outlook_of(&row, books->house.outlook, BOOKS_NETWORK));
}

static void without_payments_no_chain_is_asked(void **state)
{
	struct world *world = *state;

	start(world);
	for (int turns = 0; turns < 30; turns++)
		event_base_loop(world->base, EVLOOP_ONCE);
	assert_int_equal(fake.questions + fake.transfer_questions, 0);
}

static void it_stops_with_a_question_under_way(void **state)
{
	struct world *world = *state;
	struct reconciler *none = NULL;

	first = sign(60);
	start(world);
	run_until(world, fake.chain && fake.chain->fates_done);
	reconciler_stop(&world->reconciler);
	assert_null(world->reconciler);
	assert_int_equal(fake.freed, fake.chains);
	reconciler_stop(&none);
}

/* --- refunds
 * ------------------------------------------------------------------------------------------------
 */

static int64_t claim_of(int64_t payment)
{
	struct booking booking = books_load(books, payment);
	struct batch *batch = batch_new(books->now_us);

	batch_delivery(batch, &(struct delivery_row){.id = books_id(books),
				  .call = booking.call,
				  .payment = payment,
				  .agent = books->agent->id,
				  .tool = "search",
				  .reason = "empty"});
	books_append(books, batch);
	booking_fini(&booking);
	return payment;
}

static void add_transfer(int64_t micros, const char *transaction, int64_t log_index)
{
	struct chain_transfer *transfer = &fake.transfers[fake.transfer_count++];

	*transfer =
	    (struct chain_transfer){.value = uint256_of((uint64_t)micros), .log_index = log_index};
	assert_true(address_parse(&transfer->from, BOOKS_PAYEE));
	transfer->block.number = 105;
	transfer->block.time_s = clock_now_us() / CLOCK_US_PER_S;
	put_text(transfer->block.hash, BOOKS_HASH("e"));
	put_text(transfer->transaction, transaction);
}

static int64_t refunded(int64_t payment)
{
	int64_t amount;

	assert_int_equal(store_refunded(books->house.store, payment, &amount), STORE_OK);
	return amount;
}

static void what_a_seller_pays_back_is_booked_once(void **state)
{
	struct world *world = *state;
	size_t looks;

	first = sign(60);
	books_end(books, first, PAYMENT_SETTLED, BOOKS_HASH("7"));
	claim_of(first);
	claim_of(first); /* two checks failed */
	second = claim_of(sign(60));
	books_end(books, second, PAYMENT_SETTLED, BOOKS_HASH("8"));
	start(world);
	run_until(world, fake.transfer_questions > 1);
	assert_int_equal(refunded(first), 0);
	add_transfer(AMOUNT - 1, BOOKS_HASH("1"), 4);
	run_until(world, refunded(first) == AMOUNT - 1);
	looks = fake.transfer_questions;
	run_until(world, fake.transfer_questions > looks + 2);
	assert_int_equal(refunded(first), AMOUNT - 1);
	assert_int_equal(refunded(second), 0);
	/* More than is left of the first: it is for the second. */
	add_transfer(2, BOOKS_HASH("1"), 5);
	run_until(world, refunded(second) == 2);
	books_check(books, "paid back");
	assert_int_equal(
	    purse_balance(books->agent->purse, books->slot).spent, 2 * AMOUNT - AMOUNT - 1);
}

static void no_claim_is_paid_back_by_what_is_none(void **state)
{
	static const struct {
		const char *row;
		int64_t micros, early_s;
		const char *from;
	} rows[] = {
	    {"too much", AMOUNT + 1, 0, BOOKS_PAYEE},
	    {"nothing", 0, 0, BOOKS_PAYEE},
	    {"somebody else's", AMOUNT, 0, BOOKS_PAYER},
	    {"before the call", AMOUNT, 4 * 3600, BOOKS_PAYEE},
	};
	struct payback_claim *claims;
	struct chain_transfer *transfer = &fake.transfers[0];
	struct address payer;
	size_t count;

	(void)state;
	assert_true(address_parse(&payer, BOOKS_PAYER));
	first = claim_of(sign(60));
	assert_int_equal(
	    payback_claims(&claims, &count, &books->house, NULL, BOOKS_NETWORK), STORE_OK);
	assert_int_equal(count, 0); /* open: nothing was paid yet */
	payback_claims_fini(&claims, count);
	books_end(books, first, PAYMENT_SETTLED, BOOKS_HASH("7"));
	assert_int_equal(
	    payback_claims(&claims, &count, &books->house, books->agent, "eip155:8453"), STORE_OK);
	assert_int_equal(count, 0);
	payback_claims_fini(&claims, count);
	assert_int_equal(
	    payback_claims(&claims, &count, &books->house, books->agent, BOOKS_NETWORK), STORE_OK);
	assert_int_equal(count, 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		fake.transfer_count = 0;
		add_transfer(rows[i].micros, BOOKS_HASH("1"), 4);
		transfer->block.time_s -= rows[i].early_s;
		assert_true(address_parse(&transfer->from, rows[i].from));
		row_check(rows[i].row, !payback_book(&books->house, claims, count, books->asset,
					   &payer, transfer, 2, books->now_us));
	}
	memset(transfer->value.be, 0xff, sizeof transfer->value.be);
	assert_false(payback_book(
	    &books->house, claims, count, books->asset, &payer, transfer, 2, books->now_us));
	assert_int_equal(refunded(first), 0);
	payback_claims_fini(&claims, count);
	books_check(books, "nothing");
}

/* The owner named the transaction himself (payment refund), in other letters. */
static void what_the_owner_booked_is_not_booked_again(void **state)
{
	struct world *world = *state;
	struct journal_row row = books_row(books, JOURNAL_REFUND, 5);
	struct batch *batch;
	size_t looks;

	first = claim_of(sign(60));
	books_end(books, first, PAYMENT_SETTLED, BOOKS_HASH("7"));
	batch = batch_new(books->now_us);
	row.payment = first;
	row.from_spent = true;
	row.transaction = BOOKS_HASH("A");
	batch_journal(batch, &row);
	books_append(books, batch);
	purses_lock(books->house.purses);
	purse_pay_back(books->agent->purse, books->slot, 5);
	purses_unlock(books->house.purses);
	add_transfer(5, BOOKS_HASH("a"), 4);
	start(world);
	looks = fake.transfer_questions;
	run_until(world, fake.transfer_questions > looks + 2);
	assert_int_equal(refunded(first), 5);
	books_check(books, "by the owner");
}

/* --- how deep
 * -----------------------------------------------------------------------------------------------
 */

static void depths_are_those_of_the_network_or_the_owner(void **state)
{
	static const struct {
		const char *network;
		int64_t depth;
	} rows[] = {
	    {"eip155:84532", 0},
	    {"eip155:1", 12},
	    {"eip155:137", 128},
	    {"eip155:8453", 10},
	    {"eip155:43114", 1},
	    {"eip155:50", 12},
	    {"eip155:424242", 12},
	    {"nonsense", 12},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i].network,
		    reconcile_depth(&books->house, rows[i].network) == rows[i].depth);
	books->config.chain_depth = 0;
	assert_int_equal(reconcile_depth(&books->house, "eip155:1"), 0);
	books->config.chain_depth = 10000;
	assert_int_equal(reconcile_depth(&books->house, "eip155:84532"), 10000);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, world_make, world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    with_world(open_payments_find_their_end),
	    with_world(many_are_asked_about_in_portions),
	    with_world(old_and_new_are_asked_about_apart),
	    with_world(dead_payments_have_their_turn_seldom),
	    with_world(nothing_is_booked_without_an_answer),
	    with_world(a_contradiction_about_one_does_not_stop_the_others),
	    with_world(a_reorganisation_undoes_an_end),
	    with_world(an_owners_word_is_asked_about),
	    with_world(what_need_not_be_watched_drops_out),
	    with_world(endpoints_come_and_go),
	    with_world(without_payments_no_chain_is_asked),
	    with_world(it_stops_with_a_question_under_way),
	    with_world(what_a_seller_pays_back_is_booked_once),
	    with_world(no_claim_is_paid_back_by_what_is_none),
	    with_world(what_the_owner_booked_is_not_booked_again),
	    with_world(depths_are_those_of_the_network_or_the_owner),
	};

	return unit_run(tests);
}
