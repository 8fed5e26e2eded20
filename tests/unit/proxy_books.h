/* tests/unit/proxy_books.h - a house with books but without keys or sockets: one agent, one
 * asset, payments in every state, and a check that memory says what the ledger says. */
#ifndef TESTS_UNIT_PROXY_BOOKS_H
#define TESTS_UNIT_PROXY_BOOKS_H

#include "tests/unit/unit.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "ledger/verify.h"
#include "proxy/booking.h"
#include "proxy/rooms.h"

#define BOOKS_NETWORK "eip155:84532"
#define BOOKS_PAYER   "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define BOOKS_PAYEE   "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define BOOKS_LOWER   "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define BOOKS_DEPOSIT INT64_C(10000000)
#define BOOKS_HASH(digit)                                                                          \
	"0x" digit digit digit digit digit digit digit digit digit digit digit digit digit digit   \
	    digit digit digit digit digit digit digit digit digit digit digit digit digit digit    \
		digit digit digit digit digit digit digit digit digit digit digit digit digit      \
		    digit digit digit digit digit digit digit digit digit digit digit digit digit  \
			digit digit digit digit digit digit digit digit digit digit

struct books {
	struct house house;
	struct config config;
	struct agent *agent;
	const struct asset *asset;
	unsigned slot;
	int64_t now_us;
};

static inline int64_t books_id(struct books *books)
{
	return store_next_id(books->house.store, books->now_us);
}

static inline void books_append(struct books *books, struct batch *batch)
{
	assert_int_equal(store_append_wait(books->house.store, &batch), STORE_OK);
}

static inline struct journal_row books_row(
    struct books *books, enum journal_event event, int64_t amount)
{
	return (struct journal_row){
	    .event = event,
	    .agent = books->agent->id,
	    .agent_name = books->agent->name,
	    .owner = books->agent->owner,
	    .tool = event == JOURNAL_DEPOSIT || event == JOURNAL_WITHDRAW ? NULL : "search",
	    .amount = amount,
	    .network = books->asset->network,
	    .asset = books->asset->contract_text,
	    .symbol = books->asset->symbol,
	};
}

static inline void books_deposit(struct books *books, int64_t amount)
{
	struct batch *batch = batch_new(books->now_us);
	struct journal_row row = books_row(books, JOURNAL_DEPOSIT, amount);

	batch_journal(batch, &row);
	books_append(books, batch);
	purses_lock(books->house.purses);
	purse_deposit(books->agent->purse, books->slot, amount);
	purses_unlock(books->house.purses);
}

/* All that is available leaves. */
static inline int64_t books_empty(struct books *books)
{
	struct batch *batch = batch_new(books->now_us);
	struct journal_row row;
	int64_t amount;

	purses_lock(books->house.purses);
	amount = purse_balance(books->agent->purse, books->slot).available;
	assert_true(purse_withdraw(books->agent->purse, books->slot, amount));
	purses_unlock(books->house.purses);
	row = books_row(books, JOURNAL_WITHDRAW, amount);
	batch_journal(batch, &row);
	books_append(books, batch);
	return amount;
}

/* Everything in it happened so long ago, until now_us is moved. */
static inline void books_open_ago(struct books *books, const char *dir, int64_t ago_us)
{
	char reason[256] = "";
	struct batch *batch;
	struct agent_row row = {
	    .name = "agent", .owner = "owner@example.com", .address = BOOKS_PAYER};

	*books = (struct books){.now_us = clock_now_us() - ago_us};
	config_init(&books->config);
	books->config.chain_poll_ms = 1;
	books->house.config = &books->config;
	if (store_create(reason, dir) != STORE_OK ||
	    store_open(&books->house.store, reason, dir, books->now_us) != STORE_OK)
		fail_msg("%s", reason);
	house_furnish(&books->house);
	books->asset = assets_default(books->house.assets, BOOKS_NETWORK);
	books->slot = house_slot(&books->house, books->asset);
	row.id = books_id(books);
	batch = batch_new(books->now_us);
	batch_agent(batch, &row);
	books_append(books, batch);
	purses_lock(books->house.purses);
	books->agent =
	    registry_add_agent(books->house.registry, &row, purses_add(books->house.purses));
	purses_unlock(books->house.purses);
	books_deposit(books, BOOKS_DEPOSIT);
}

static inline void books_open(struct books *books, const char *dir)
{
	books_open_ago(books, dir, 0);
}

static inline void books_close(struct books *books)
{
	store_close(&books->house.store);
	house_clear(&books->house);
	config_fini(&books->config);
}

/* Signed at that time, in memory as well; its nonce is its id. */
static inline int64_t books_sign(
    struct books *books, int64_t amount, int64_t signed_us, int64_t valid_before_s)
{
	int64_t call = store_next_id(books->house.store, signed_us), id = books_id(books);
	struct journal_row journal = books_row(books, JOURNAL_SIGN, amount);
	struct batch *batch = batch_new(books->now_us);
	struct hold hold = {0};
	char nonce[67], value[24];
	struct payment_row payment = {.id = id,
	    .call = call,
	    .agent = books->agent->id,
	    .agent_name = "agent",
	    .tool = "search",
	    .session = "session",
	    .amount = amount,
	    .value = value,
	    .network = journal.network,
	    .asset = journal.asset,
	    .symbol = journal.symbol,
	    .payer = BOOKS_PAYER,
	    .payee = BOOKS_PAYEE,
	    .nonce = nonce,
	    .valid_before_s = valid_before_s,
	    .header_name = "PAYMENT-SIGNATURE",
	    .header_value = "e30=",
	    .challenge = "{}",
	    .method = "GET",
	    .url = "https://api.example.com/search"};

	snprintf(nonce, sizeof(nonce), "0x%064llx", (unsigned long long)id);
	snprintf(value, sizeof(value), "%lld", (long long)amount);
	journal.call = call;
	journal.payment = id;
	batch_payment(batch, &payment);
	batch_journal(batch, &journal);
	books_append(books, batch);
	purses_lock(books->house.purses);
	assert_int_equal(
	    hold_place(&hold, books->agent->purse, "session", "search", call, 0), HOLD_OK);
	assert_int_equal(hold_sign(&hold, books->slot, BOOKS_LOWER, amount), HOLD_OK);
	hold_leave_open(&hold);
	purses_unlock(books->house.purses);
	return id;
}

static inline struct booking books_load(struct books *books, int64_t payment)
{
	struct booking booking;

	assert_int_equal(booking_load(&booking, &books->house, payment), STORE_OK);
	return booking;
}

/* As the call's end does. */
static inline void books_leave_open(struct books *books, int64_t payment)
{
	struct booking booking = books_load(books, payment);
	struct open_payment open = {.id = payment,
	    .call = booking.call,
	    .agent = booking.agent,
	    .asset = booking.asset,
	    .amount = booking.amount,
	    .value = booking.query.value,
	    .payer = booking.query.payer,
	    .payee = booking.query.payee,
	    .valid_before_s = booking.query.valid_before_s,
	    .tool = booking.tool,
	    .session = booking.session,
	    .target = booking.target,
	    .request = booking.request};
	struct batch *batch = batch_new(books->now_us);

	memcpy(open.nonce, booking.query.nonce, sizeof open.nonce);
	batch_payment_state(batch, &(struct payment_state_row){.id = books_id(books),
				       .payment = payment,
				       .state = PAYMENT_OPEN,
				       .by = "seller",
				       .reason = "no answer"});
	books_append(books, batch);
	outstanding_add(books->house.outstanding, &open);
	booking_fini(&booking);
}

/* An end that is not the chain's, from open. */
static inline void books_end(
    struct books *books, int64_t payment, enum payment_state state, const char *transaction)
{
	struct booking booking = books_load(books, payment);
	bool spent = state == PAYMENT_SETTLED || state == PAYMENT_RESOLVED_SPENT;
	struct journal_row row =
	    books_row(books, spent ? JOURNAL_SETTLE : JOURNAL_REFUND, booking.amount);
	struct batch *batch = batch_new(books->now_us);

	row.call = booking.call;
	row.payment = payment;
	row.transaction = transaction;
	batch_payment_state(batch, &(struct payment_state_row){.id = books_id(books),
				       .payment = payment,
				       .state = state,
				       .transaction = transaction,
				       .by = state == PAYMENT_SETTLED ? "receipt" : "owner"});
	batch_journal(batch, &row);
	books_append(books, batch);
	outstanding_remove(books->house.outstanding, payment);
	purses_lock(books->house.purses);
	if (spent)
		purse_settle(books->agent->purse, books->slot, booking.amount);
	else
		purse_refund(books->agent->purse, books->slot, booking.amount, "session", "search",
		    BOOKS_LOWER, booking.call);
	purses_unlock(books->house.purses);
	booking_fini(&booking);
}

/* The seller pays back. */
static inline void books_refund(struct books *books, int64_t payment, int64_t amount)
{
	struct batch *batch = batch_new(books->now_us);
	struct journal_row row = books_row(books, JOURNAL_REFUND, amount);

	row.payment = payment;
	row.from_spent = true;
	batch_journal(batch, &row);
	books_append(books, batch);
	purses_lock(books->house.purses);
	purse_pay_back(books->agent->purse, books->slot, amount);
	purses_unlock(books->house.purses);
}

static inline void books_says(
    struct books *books, int64_t payment, enum evidence_kind kind, const char *detail)
{
	struct batch *batch = batch_new(books->now_us);

	batch_evidence(batch, &(struct evidence_row){.id = books_id(books),
				  .payment = payment,
				  .kind = kind,
				  .network = BOOKS_NETWORK,
				  .log_index = -1,
				  .endpoints = 2,
				  .detail = detail});
	books_append(books, batch);
}

#define put_text(array, text) ((void)snprintf(array, sizeof(array), "%s", text))

/* --- findings ------------------------------------------------------------------------- */

/* A log at block 100, its number 3; or, in another place, at 101. */
static inline struct chain_finding books_log(
    struct books *books, enum chain_fate fate, bool elsewhere)
{
	struct chain_finding finding = {.fate = fate,
	    .log_index = elsewhere ? 5 : 3,
	    .transfer_matches = fate == CHAIN_FATE_USED,
	    .endpoints = 2};

	finding.block.number = elsewhere ? 101 : 100;
	finding.block.time_s = books->now_us / CLOCK_US_PER_S - 20;
	put_text(finding.block.hash, elsewhere ? BOOKS_HASH("c") : BOOKS_HASH("b"));
	put_text(finding.transaction, elsewhere ? BOOKS_HASH("8") : BOOKS_HASH("7"));
	return finding;
}

/* No log as of that block. */
static inline struct chain_finding books_no_log(
    struct books *books, enum chain_fate fate, int64_t block)
{
	struct chain_finding finding = {.fate = fate, .log_index = -1, .endpoints = 2};

	finding.block.number = block;
	finding.block.time_s = books->now_us / CLOCK_US_PER_S - 10;
	put_text(finding.block.hash, BOOKS_HASH("d"));
	return finding;
}

/* Book one finding about one payment; returns what was done, `result` what came of it. */
static inline enum booking_act books_book(struct books *books, int64_t payment,
    const struct chain_finding *finding, enum store_result *result)
{
	struct booking booking = books_load(books, payment);
	enum booking_act act;

	booking_commit(&books->house, &booking, finding, 1, books->now_us);
	act = booking.act;
	if (result)
		*result = booking.result;
	booking_fini(&booking);
	return act;
}

/* --- does memory say what the ledger says? ----------------------------------------------- */

struct books_sums {
	struct books *books;
	struct purse *purse; /* rebuilt */
	size_t open;
	const char *row;
};

static inline bool books_put_balance(const struct balance_row *row, void *arg)
{
	struct books_sums *sums = arg;
	struct balance balance = {row->available, row->reserved, row->open, row->spent};

	purse_restore(sums->purse, sums->books->slot, &balance);
	return true;
}

static inline bool books_put_charge(const struct charge_row *row, void *arg)
{
	struct books_sums *sums = arg;

	purse_restore_charge(sums->purse, row->session, row->tool, row->payee ? BOOKS_LOWER : NULL,
	    row->wallet, row->at_us, row->spend, row->calls);
	return true;
}

static inline bool books_count_open(const struct payment_row *row, void *arg)
{
	((struct books_sums *)arg)->open += row->state == PAYMENT_OPEN;
	return true;
}

static inline void books_same_meter(struct books_sums *sums, enum purse_subject subject,
    const char *name, enum window window, bool calls)
{
	int64_t memory =
	    purse_read(sums->books->agent->purse, subject, name, window, calls, sums->books->now_us)
		.firm;
	int64_t ledger =
	    purse_read(sums->purse, subject, name, window, calls, sums->books->now_us).firm;

	if (memory != ledger)
		fail_msg("row \"%s\": subject %d, %s of %s: memory says %lld, the ledger %lld",
		    sums->row, subject, calls ? "calls" : "spend", window_str(window),
		    (long long)memory, (long long)ledger);
}

/* verify is clean; balances and meters are those of a restart; every open payment is in the
 * table of open payments and no other. One thread, so no locks that a failure would hold. */
static inline void books_check(struct books *books, const char *row)
{
	static const enum window windows[] = {WINDOW_HOUR, WINDOW_DAY, WINDOW_TOTAL};
	struct books_sums sums = {.books = books, .row = row};
	struct store *store = books->house.store;
	struct purses *purses = purses_new();
	const int64_t border_us = 1;
	struct verify_report report;
	struct balance memory, ledger;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	if (!report.ok)
		fail_msg("row \"%s\": %s", row, report.problems[0]);
	verify_fini(&report);
	sums.purse = purses_add(purses);
	assert_int_equal(store_balances(store, books_put_balance, &sums), STORE_OK);
	/* Calls are counted by audit rows, which are not written here: only money is. */
	assert_int_equal(store_charges(store, books->agent->id, INT64_MAX, SIZE_MAX, &border_us, 1,
			     books_put_charge, NULL, &sums),
	    STORE_OK);
	memory = purse_balance(books->agent->purse, books->slot);
	ledger = purse_balance(sums.purse, books->slot);
	row_check(row, memory.available == ledger.available);
	row_check(row, memory.open == ledger.open);
	row_check(row, memory.spent == ledger.spent);
	for (size_t i = 0; i < COUNT(windows); i++) {
		books_same_meter(&sums, PURSE_AGENT, NULL, windows[i], false);
		books_same_meter(&sums, PURSE_SESSION, "session", windows[i], false);
		books_same_meter(&sums, PURSE_TOOL, "search", windows[i], false);
		books_same_meter(&sums, PURSE_PAYEE, BOOKS_LOWER, windows[i], false);
		books_same_meter(&sums, PURSE_PAYEE, BOOKS_LOWER, windows[i], true);
		books_same_meter(&sums, PURSE_WALLET, NULL, windows[i], false);
		books_same_meter(&sums, PURSE_WALLET, NULL, windows[i], true);
	}
	purses_free(&purses);
	assert_int_equal(store_payments(store, 0, true, books_count_open, &sums), STORE_OK);
	row_check(row, outstanding_count(books->house.outstanding) == sums.open);
}

#endif
