/* What the chain says of a payment in each state, what is made of it, and that afterwards
 * memory says what the ledger says; then everything that can come in between. */
#include "proxy/booking.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "proxy/reconcile.h"
#include "tests/unit/proxy_books.h"

#define AMOUNT 30000
#define HOUR_S 3600

static int books_make(void **state)
{
	struct books *books = calloc(1, sizeof *books);
	void *dir = NULL;

	if (unit_folder_make(&dir) != 0)
		return -1;
	books_open(books, dir);
	books->house.dir = dir;
	*state = books;
	return 0;
}

static int books_remove(void **state)
{
	struct books *books = *state;
	void *dir = books->house.dir;

	books_close(books);
	free(books);
	return unit_folder_remove(&dir);
}

/* --- the table ----------------------------------------------------------------------- */

enum setup {
	SIGNED,
	OPEN,
	RECEIPT, /* settled by a receipt */
	OWNER_SPENT,
	OWNER_UNUSED,
	CHAIN_SPENT,  /* settled by the chain, in the place of books_log() */
	PROVED_SPENT, /* by a receipt that the chain has confirmed */
	CHAIN_EXPIRED,
	CHAIN_CANCELLED,
	FLAGGED, /* open, and used by another transfer than ours */
	SETUPS,
};

static const char *const setups[SETUPS] = {"signed", "open", "receipt", "owner: spent",
    "owner: unused", "chain: spent", "receipt, proved", "chain: expired", "chain: cancelled",
    "open, flagged"};

enum said {
	NOTHING_KNOWN,
	NO_LOG_BEFORE, /* no log as of a block before that of books_log() */
	NO_LOG,        /* none as of a later one */
	USED,
	USED_ELSEWHERE,
	USED_OTHERWISE, /* another transfer */
	CANCELLED,
	CANCELLED_ELSEWHERE,
	UNUSED,
	UNUSED_EARLY, /* our own clock has not passed validBefore */
	SAIDS,
};

static const char *const saids[SAIDS] = {"nothing known", "no log before", "no log", "used",
    "used elsewhere", "used otherwise", "cancelled", "cancelled elsewhere", "unused",
    "unused, early"};

/* . nothing  P prove  S settle  B give back  R reopen  T turn  K take  F flag
 * In the order of saids: ? b n (no log), u e o (used), c e (cancelled), u e (unused). */
/* clang-format off */
static const char expected[SETUPS][SAIDS + 1] = {
	/*                    ?bn   ueo   ce   ue */
	[SIGNED]          = "..." "..." ".." "..",
	[OPEN]            = "..." "SSF" "BB" "B.",
	[RECEIPT]         = "..." "PPF" "FF" "F.",
	[OWNER_SPENT]     = "..." "PPF" "FF" "F.",
	[OWNER_UNUSED]    = "..." "KKF" "PP" "P.",
	[CHAIN_SPENT]     = "..R" ".PF" "TT" "T.",
	[PROVED_SPENT]    = "..R" ".PF" "TT" "T.",
	[CHAIN_EXPIRED]   = "..." "KKF" "PP" "..",
	[CHAIN_CANCELLED] = "..R" "KKF" ".P" "P.",
	[FLAGGED]         = "..." "SS." "BB" "B.",
};
/* clang-format on */

static struct chain_finding finding_of(struct books *books, enum said said)
{
	struct chain_finding finding = {.log_index = -1};

	switch (said) {
	case NOTHING_KNOWN:
	case SAIDS:
		break;
	case NO_LOG_BEFORE:
		return books_no_log(books, CHAIN_FATE_UNKNOWN, 99);
	case NO_LOG:
		return books_no_log(books, CHAIN_FATE_UNKNOWN, 102);
	case USED:
		return books_log(books, CHAIN_FATE_USED, false);
	case USED_ELSEWHERE:
		return books_log(books, CHAIN_FATE_USED, true);
	case USED_OTHERWISE:
		finding = books_log(books, CHAIN_FATE_USED, false);
		finding.transfer_matches = false;
		put_text(finding.detail, "its transaction moved 1 to 0xdead instead");
		return finding;
	case CANCELLED:
		return books_log(books, CHAIN_FATE_CANCELLED, false);
	case CANCELLED_ELSEWHERE:
		return books_log(books, CHAIN_FATE_CANCELLED, true);
	case UNUSED:
	case UNUSED_EARLY:
		return books_no_log(books, CHAIN_FATE_UNUSED, 102);
	}
	return finding;
}

/* By way of the chain, so that evidence is what it would be. */
static void book(struct books *books, int64_t payment, enum said said, enum booking_act expect)
{
	struct chain_finding finding = finding_of(books, said);
	enum store_result result;

	assert_int_equal(books_book(books, payment, &finding, &result), expect);
	assert_int_equal(result, STORE_OK);
}

static int64_t set_up(struct books *books, enum setup setup, int64_t valid_before_s)
{
	int64_t payment = books_sign(books, AMOUNT, books->now_us, valid_before_s);

	if (setup == SIGNED)
		return payment;
	books_leave_open(books, payment);
	switch (setup) {
	case SIGNED:
	case OPEN:
	case SETUPS:
		break;
	case RECEIPT:
		books_end(books, payment, PAYMENT_SETTLED, BOOKS_HASH("7"));
		break;
	case OWNER_SPENT:
		books_end(books, payment, PAYMENT_RESOLVED_SPENT, NULL);
		break;
	case OWNER_UNUSED:
		books_end(books, payment, PAYMENT_RESOLVED_UNUSED, NULL);
		break;
	case CHAIN_SPENT:
		book(books, payment, USED, BOOKING_SETTLE);
		break;
	case PROVED_SPENT:
		books_end(books, payment, PAYMENT_SETTLED, BOOKS_HASH("7"));
		book(books, payment, USED, BOOKING_PROVE);
		break;
	case CHAIN_EXPIRED:
		book(books, payment, UNUSED, BOOKING_GIVE_BACK);
		break;
	case CHAIN_CANCELLED:
		book(books, payment, CANCELLED, BOOKING_GIVE_BACK);
		break;
	case FLAGGED:
		book(books, payment, USED_OTHERWISE, BOOKING_FLAG);
		break;
	}
	return payment;
}

static char letter(enum booking_act act)
{
	static const char letters[] = {[BOOKING_NOTHING] = '.',
	    [BOOKING_PROVE] = 'P',
	    [BOOKING_SETTLE] = 'S',
	    [BOOKING_GIVE_BACK] = 'B',
	    [BOOKING_REOPEN] = 'R',
	    [BOOKING_TURN] = 'T',
	    [BOOKING_TAKE] = 'K',
	    [BOOKING_FLAG] = 'F'};

	return letters[act];
}

/* Where the payment's money must be afterwards, by what there was before it. */
static void check_side(
    struct books *books, const char *row, char act, enum setup setup, const struct balance *before)
{
	struct balance balance = purse_balance(books->agent->purse, books->slot);
	bool was_spent = setup == RECEIPT || setup == OWNER_SPENT || setup == CHAIN_SPENT ||
			 setup == PROVED_SPENT;
	bool was_back = setup == OWNER_UNUSED || setup == CHAIN_EXPIRED || setup == CHAIN_CANCELLED;
	bool stays = act == '.' || act == 'P' || act == 'F';
	bool spent = act == 'S' || act == 'K' || (stays && was_spent);
	bool back = act == 'B' || act == 'T' || (stays && was_back);

	row_check(row, balance.spent - before->spent == (spent ? AMOUNT : 0));
	row_check(row, before->available - balance.available == (back ? 0 : AMOUNT));
	row_check(row, balance.open - before->open == (spent || back ? 0 : AMOUNT));
}

/* One cell, with a payment of its own: what is done, where the money is, that memory and
 * ledger agree, and that the same word again changes nothing. */
static void check_cell(struct books *books, enum setup setup, enum said said)
{
	struct balance before = purse_balance(books->agent->purse, books->slot);
	int64_t now_us = books->now_us, valid_before_s = now_us / CLOCK_US_PER_S - 15;
	int64_t payment = set_up(books, setup, valid_before_s);
	struct chain_finding finding = finding_of(books, said);
	enum store_result result;
	enum booking_act act;
	char row[80];

	snprintf(row, sizeof row, "%s / %s", setups[setup], saids[said]);
	if (said == UNUSED_EARLY)
		books->now_us = valid_before_s * CLOCK_US_PER_S;
	act = books_book(books, payment, &finding, &result);
	if (letter(act) != expected[setup][said])
		fail_msg(
		    "row \"%s\": %s, not %c", row, booking_act_str(act), expected[setup][said]);
	row_check(row, result == STORE_OK);
	check_side(books, row, letter(act), setup, &before);
	row_check(row, books_book(books, payment, &finding, NULL) == BOOKING_NOTHING);
	check_side(books, row, letter(act), setup, &before);
	books->now_us = now_us;
	books_check(books, row);
}

static void every_word_about_every_state(void **state)
{
	for (int setup = 0; setup < SETUPS; setup++) {
		for (int said = 0; said < SAIDS; said++)
			check_cell(*state, (enum setup)setup, (enum said)said);
	}
}

/* --- what is written ------------------------------------------------------------------------ */

struct last {
	struct payment_state_row state;
	struct evidence_row evidence;
	char transaction[CHAIN_TEXT_SIZE], by[16], detail[160];
	size_t states, evidences;
};

static bool last_state(const struct payment_state_row *row, void *arg)
{
	struct last *last = arg;

	last->states++;
	last->state = *row;
	snprintf(last->transaction, sizeof last->transaction, "%s",
	    row->transaction ? row->transaction : "");
	snprintf(last->by, sizeof last->by, "%s", row->by);
	return true;
}

static bool last_evidence(const struct evidence_row *row, void *arg)
{
	struct last *last = arg;

	last->evidences++;
	last->evidence = *row;
	snprintf(last->detail, sizeof last->detail, "%s", row->detail ? row->detail : "");
	return true;
}

static struct last last_of(struct books *books, int64_t payment)
{
	struct last last = {0};

	assert_int_equal(
	    store_payment_states(books->house.store, payment, last_state, &last), STORE_OK);
	assert_int_equal(
	    store_evidence(books->house.store, payment, last_evidence, &last), STORE_OK);
	return last;
}

static int64_t past_s(const struct books *books)
{
	return books->now_us / CLOCK_US_PER_S - 15;
}

static void ends_say_who_where_and_what(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, CHAIN_SPENT, past_s(books));
	struct last last = last_of(books, payment);

	assert_int_equal(last.state.state, PAYMENT_SETTLED);
	assert_string_equal(last.by, "chain");
	assert_string_equal(last.transaction, BOOKS_HASH("7"));
	assert_int_equal(last.evidence.kind, EVIDENCE_USED);
	assert_int_equal(last.evidence.block, 100);
	assert_int_equal(last.evidence.log_index, 3);
	assert_int_equal(last.evidence.endpoints, 2);
	assert_int_equal(last.evidences, 1);

	payment = set_up(books, CHAIN_EXPIRED, past_s(books));
	last = last_of(books, payment);
	assert_int_equal(last.state.state, PAYMENT_EXPIRED_UNUSED);
	assert_int_equal(last.evidence.kind, EVIDENCE_UNUSED);
	assert_int_equal(last.evidence.log_index, -1);

	payment = set_up(books, CHAIN_CANCELLED, past_s(books));
	last = last_of(books, payment);
	assert_int_equal(last.state.state, PAYMENT_CANCELLED);
	assert_int_equal(last.evidence.kind, EVIDENCE_CANCELLED);
	assert_string_equal(last.transaction, BOOKS_HASH("7"));
}

/* More evidence adds a state only where it says something new. */
static void proofs_add_what_is_new(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, RECEIPT, past_s(books));
	struct last before = last_of(books, payment), last;

	book(books, payment, USED, BOOKING_PROVE);
	last = last_of(books, payment);
	assert_int_equal(last.states, before.states); /* the receipt named the same transaction */
	assert_int_equal(last.evidence.kind, EVIDENCE_USED);
	book(books, payment, USED_ELSEWHERE, BOOKING_PROVE);
	last = last_of(books, payment);
	assert_int_equal(last.states, before.states + 1);
	assert_string_equal(last.transaction, BOOKS_HASH("8"));

	payment = set_up(books, OWNER_SPENT, past_s(books));
	book(books, payment, USED, BOOKING_PROVE);
	last = last_of(books, payment);
	assert_int_equal(last.state.state, PAYMENT_SETTLED);
	assert_string_equal(last.by, "chain");

	payment = set_up(books, OWNER_UNUSED, past_s(books));
	book(books, payment, UNUSED, BOOKING_PROVE);
	assert_int_equal(last_of(books, payment).state.state, PAYMENT_EXPIRED_UNUSED);

	payment = set_up(books, OWNER_UNUSED, past_s(books));
	book(books, payment, CANCELLED, BOOKING_PROVE);
	assert_int_equal(last_of(books, payment).state.state, PAYMENT_CANCELLED);
	books_check(books, "proofs");
}

static void an_end_that_is_gone_names_what_was_there(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, CHAIN_SPENT, past_s(books));
	struct last last;

	book(books, payment, NO_LOG, BOOKING_REOPEN);
	last = last_of(books, payment);
	assert_int_equal(last.state.state, PAYMENT_OPEN);
	assert_string_equal(last.by, "chain");
	assert_int_equal(last.evidence.kind, EVIDENCE_GONE);
	assert_int_equal(last.evidence.block, 100);
	/* It is open like any other, and ends again. */
	book(books, payment, USED_ELSEWHERE, BOOKING_SETTLE);
	book(books, payment, NO_LOG, BOOKING_REOPEN);
	book(books, payment, UNUSED, BOOKING_GIVE_BACK);
	book(books, payment, USED, BOOKING_TAKE);
	book(books, payment, CANCELLED, BOOKING_TURN);
	book(books, payment, NO_LOG, BOOKING_REOPEN);
	book(books, payment, USED, BOOKING_SETTLE);
	books_check(books, "to and fro");
	assert_int_equal(purse_balance(books->agent->purse, books->slot).spent, AMOUNT);
}

/* --- flags ---------------------------------------------------------------------------------- */

static size_t count_evidence(struct books *books, int64_t payment)
{
	return last_of(books, payment).evidences;
}

static void a_flag_is_written_once_until_something_answers_it(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, RECEIPT, past_s(books));
	struct booking booking;

	book(books, payment, UNUSED, BOOKING_FLAG);
	assert_non_null(strstr(last_of(books, payment).detail, "receipt"));
	for (int i = 0; i < 3; i++)
		book(books, payment, UNUSED, BOOKING_NOTHING);
	assert_int_equal(count_evidence(books, payment), 1);
	/* Another contradiction is another flag. */
	book(books, payment, USED_OTHERWISE, BOOKING_FLAG);
	booking = books_load(books, payment);
	assert_true(booking.dispute.id != 0);
	assert_true(booking_is_watched(&booking, books->now_us, RECONCILE_REORG_US));
	booking_fini(&booking);
	/* The chain agrees at last. */
	book(books, payment, USED, BOOKING_PROVE);
	booking = books_load(books, payment);
	assert_true(booking.dispute.id == 0);
	booking_fini(&booking);
	books_check(books, "flags");
}

/* The words after the colon may change with every look; the flag is the same. */
static void what_follows_the_colon_is_no_news(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, FLAGGED, past_s(books));
	struct chain_finding finding = finding_of(books, USED_OTHERWISE);
	enum store_result result;

	put_text(finding.detail, "its transaction moved 2 to 0xbeef instead");
	assert_int_equal(books_book(books, payment, &finding, &result), BOOKING_NOTHING);
	*finding.detail = '\0';
	assert_int_equal(books_book(books, payment, &finding, &result), BOOKING_NOTHING);
	assert_int_equal(count_evidence(books, payment), 1);
}

static void endpoints_that_contradict_each_other_are_a_flag(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, OPEN, past_s(books));
	struct booking booking;

	for (int i = 0; i < 3; i++) {
		booking_dispute(&books->house, payment,
		    i % 2 ? "a says used, b says unused" : "b says unused, a says used",
		    books->now_us);
		booking_dispute(&books->house, payment + 1, "no such payment", books->now_us);
	}
	assert_int_equal(count_evidence(books, payment), 1);
	booking = books_load(books, payment);
	assert_non_null(strstr(booking.dispute.detail, "endpoints contradict each other: b says"));
	assert_int_equal(booking.state, PAYMENT_OPEN);
	booking_fini(&booking);
	/* Nobody's money moves, and the first word they agree on ends it. */
	books_check(books, "disputed");
	book(books, payment, USED, BOOKING_SETTLE);
	books_check(books, "settled");
	payment = set_up(books, SIGNED, past_s(books));
	booking_dispute(&books->house, payment, "in flight", books->now_us);
	assert_int_equal(count_evidence(books, payment), 0);
}

/* --- money that is not there any more ----------------------------------------------------------
 */

static void check_uncovered(struct books *books, enum setup setup, enum said said, char act)
{
	int64_t payment = set_up(books, setup, past_s(books)), taken = books_empty(books);
	struct balance balance;

	book(books, payment, said, BOOKING_FLAG);
	assert_non_null(strstr(last_of(books, payment).detail, "has less than $0.03"));
	book(books, payment, said, BOOKING_NOTHING);
	books_check(books, "uncovered");
	books_deposit(books, AMOUNT - 1);
	book(books, payment, said, BOOKING_NOTHING);
	/* A deposit heals it. */
	books_deposit(books, 1);
	book(books, payment, said, act == 'K' ? BOOKING_TAKE : BOOKING_REOPEN);
	books_check(books, "healed");
	balance = purse_balance(books->agent->purse, books->slot);
	assert_int_equal(balance.available, 0);
	if (act == 'R')
		book(books, payment, USED, BOOKING_SETTLE);
	books_deposit(books, taken);
}

static void what_was_given_back_and_spent_waits_for_a_deposit(void **state)
{
	struct books *books = *state;

	check_uncovered(books, OWNER_UNUSED, USED, 'K');
	check_uncovered(books, CHAIN_EXPIRED, USED_ELSEWHERE, 'K');
	check_uncovered(books, CHAIN_CANCELLED, USED, 'K');
	check_uncovered(books, CHAIN_CANCELLED, NO_LOG, 'R');
}

/* Money that other calls have set aside provisionally is theirs. */
static void provisional_holds_are_safe(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, OWNER_UNUSED, past_s(books));
	struct hold hold = {0};

	purses_lock(books->house.purses);
	assert_int_equal(hold_place(&hold, books->agent->purse, "session", "search", books->now_us,
			     BOOKS_DEPOSIT - AMOUNT + 1),
	    HOLD_OK);
	purses_unlock(books->house.purses);
	book(books, payment, USED, BOOKING_FLAG);
	purses_lock(books->house.purses);
	hold_release(&hold);
	purses_unlock(books->house.purses);
	book(books, payment, USED, BOOKING_TAKE);
}

static void what_a_seller_paid_back_is_not_reopened(void **state)
{
	static const enum said saids_of_it[] = {NO_LOG, CANCELLED, UNUSED};
	struct books *books = *state;

	for (size_t i = 0; i < COUNT(saids_of_it); i++) {
		int64_t payment = set_up(books, CHAIN_SPENT, past_s(books));

		books_refund(books, payment, 1);
		book(books, payment, saids_of_it[i], BOOKING_FLAG);
		assert_non_null(strstr(last_of(books, payment).detail, "paid back"));
		book(books, payment, saids_of_it[i], BOOKING_NOTHING);
		books_check(books, "paid back");
	}
}

/* --- others who end it meanwhile
 * ------------------------------------------------------------------ */

static void the_first_end_wins(void **state)
{
	static const enum payment_state ends[] = {
	    PAYMENT_SETTLED, PAYMENT_RESOLVED_SPENT, PAYMENT_RESOLVED_UNUSED};
	static const enum said saids_of_it[] = {USED, CANCELLED, UNUSED};
	struct books *books = *state;

	for (size_t i = 0; i < COUNT(ends); i++) {
		for (size_t j = 0; j < COUNT(saids_of_it); j++) {
			int64_t payment = set_up(books, OPEN, past_s(books));
			struct booking booking = books_load(books, payment);
			struct chain_finding finding = finding_of(books, saids_of_it[j]);

			books_end(books, payment, ends[i], NULL);
			booking_commit(&books->house, &booking, &finding, 1, books->now_us);
			assert_int_equal(booking.result, STORE_EXISTS);
			assert_int_equal(count_evidence(books, payment), 0);
			books_check(books, "ended meanwhile");
			booking_fini(&booking);
		}
	}
}

/* Two that were given the same word about what was given back: its money is set aside once. */
static void stale_knowledge_moves_nothing(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, OWNER_UNUSED, past_s(books));
	struct booking stale = books_load(books, payment), again = books_load(books, payment);
	struct chain_finding finding = finding_of(books, USED);

	book(books, payment, USED, BOOKING_TAKE);
	booking_commit(&books->house, &stale, &finding, 1, books->now_us);
	assert_int_equal(stale.result, STORE_EXISTS);
	books_check(books, "taken once");
	book(books, payment, NO_LOG, BOOKING_REOPEN);
	finding = finding_of(books, NO_LOG);
	booking_commit(&books->house, &again, &finding, 1, books->now_us);
	assert_int_equal(again.act, BOOKING_NOTHING);
	books_check(books, "reopened once");
	booking_fini(&stale);
	booking_fini(&again);
}

static void whoever_is_booking_it_is_left_alone(void **state)
{
	struct books *books = *state;
	int64_t payment = set_up(books, OPEN, past_s(books));
	struct chain_finding finding = finding_of(books, USED);
	enum watch_doubt doubt = WATCH_SPENT;
	enum store_result result;

	assert_true(watch_begin(&doubt, books->house.watch, payment, books->asset));
	assert_int_equal(doubt, WATCH_SURE);
	assert_int_equal(books_book(books, payment, &finding, &result), BOOKING_NOTHING);
	assert_int_equal(result, STORE_OK);
	assert_false(watch_begin(&doubt, books->house.watch, payment, books->asset));
	watch_end(books->house.watch, payment, WATCH_SURE, false);
	book(books, payment, USED, BOOKING_SETTLE);
	books_check(books, "left alone");
}

/* --- many at once
 * ------------------------------------------------------------------------------------ */

static void a_whole_question_is_booked_together(void **state)
{
	struct books *books = *state;
	struct booking bookings[CHAIN_QUERIES_MAX];
	struct chain_finding findings[CHAIN_QUERIES_MAX];
	static const enum said turns[] = {USED, CANCELLED, UNUSED, NOTHING_KNOWN};
	struct balance balance;

	for (size_t i = 0; i < CHAIN_QUERIES_MAX; i++) {
		bookings[i] = books_load(books, set_up(books, OPEN, past_s(books)));
		findings[i] = finding_of(books, turns[i % COUNT(turns)]);
	}
	booking_commit(&books->house, bookings, findings, CHAIN_QUERIES_MAX, books->now_us);
	for (size_t i = 0; i < CHAIN_QUERIES_MAX; i++) {
		assert_int_equal(bookings[i].result, STORE_OK);
		booking_fini(&bookings[i]);
	}
	booking_commit(&books->house, bookings, findings, 0, books->now_us);
	balance = purse_balance(books->agent->purse, books->slot);
	assert_int_equal(balance.spent, 16 * AMOUNT);
	assert_int_equal(balance.open, 16 * AMOUNT);
	books_check(books, "many");
	/* What has ended is asked about again. */
	assert_int_equal(watch_count(books->house.watch), 48);
}

/* --- a disk that fails ---------------------------------------------------------------------- */

static void limit_file_size(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void fail_disk(struct books *books)
{
	char *wal = must_format("%s/ledger.db-wal", books->house.dir);
	struct stat status;

	assert_int_equal(stat(wal, &status), 0);
	limit_file_size((rlim_t)status.st_size);
	free(wal);
}

/* What the disk kept although it said no: the same rows, by a memory that is thrown away. */
static void keep_rows(struct books *books, int64_t payment, enum said said)
{
	struct books other = *books;
	struct agent_row row = {.id = books->agent->id,
	    .name = "agent",
	    .owner = "owner@example.com",
	    .address = BOOKS_PAYER};
	struct chain_finding finding = finding_of(books, said);
	enum store_result result;

	other.house.purses = purses_new();
	other.house.registry = registry_new();
	other.house.outstanding = outstanding_new();
	other.house.watch = watch_new();
	purses_lock(other.house.purses);
	other.agent =
	    registry_add_agent(other.house.registry, &row, purses_add(other.house.purses));
	purse_restore(other.agent->purse, books->slot,
	    &(struct balance){BOOKS_DEPOSIT, 0, BOOKS_DEPOSIT, BOOKS_DEPOSIT});
	purses_unlock(other.house.purses);
	assert_int_not_equal(books_book(&other, payment, &finding, &result), BOOKING_NOTHING);
	assert_int_equal(result, STORE_OK);
	registry_free(&other.house.registry);
	purses_free(&other.house.purses);
	outstanding_free(&other.house.outstanding);
	watch_free(&other.house.watch);
}

static const struct {
	enum setup setup;
	enum said said;
	enum booking_act act;
} broken[] = {
    {OPEN, USED, BOOKING_SETTLE},
    {OPEN, CANCELLED, BOOKING_GIVE_BACK},
    {OPEN, UNUSED, BOOKING_GIVE_BACK},
    {OWNER_UNUSED, USED, BOOKING_TAKE},
    {CHAIN_EXPIRED, USED, BOOKING_TAKE},
    {CHAIN_CANCELLED, NO_LOG, BOOKING_REOPEN},
    {CHAIN_SPENT, NO_LOG, BOOKING_REOPEN},
    {CHAIN_SPENT, UNUSED, BOOKING_TURN},
    {RECEIPT, USED, BOOKING_PROVE},
    {RECEIPT, UNUSED, BOOKING_FLAG},
};

/* Never is more available in memory than the ledger may turn out to say. */
static void a_failed_commit_leaves_no_money_loose(void **state)
{
	struct books *books = *state;
	char row[80];

	for (size_t i = 0; i < 2 * COUNT(broken); i++) {
		const size_t at = i / 2;
		bool kept = i % 2 == 1;
		int64_t payment = set_up(books, broken[at].setup, past_s(books)), available;
		struct chain_finding finding = finding_of(books, broken[at].said);
		enum store_result result;

		snprintf(row, sizeof row, "%s / %s%s", setups[broken[at].setup],
		    saids[broken[at].said], kept ? ", kept" : "");
		available = purse_balance(books->agent->purse, books->slot).available;
		fail_disk(books);
		row_check(row, books_book(books, payment, &finding, &result) == broken[at].act);
		row_check(row, result == STORE_BROKEN);
		row_check(row, books_book(books, payment, &finding, &result) == broken[at].act);
		row_check(row, result == STORE_BROKEN);
		limit_file_size(RLIM_INFINITY);
		row_check(
		    row, purse_balance(books->agent->purse, books->slot).available <= available);
		if (kept)
			keep_rows(books, payment, broken[at].said);
		row_check(row, books_book(books, payment, &finding, &result) ==
				   (kept ? BOOKING_NOTHING : broken[at].act));
		row_check(row, result == STORE_OK);
		books_check(books, row);
	}
}

/* --- what is worth watching
 * ---------------------------------------------------------------------------- */

static bool is_watched(struct books *books, int64_t payment, int64_t now_us)
{
	struct booking booking = books_load(books, payment);
	bool watched = booking_is_watched(&booking, now_us, RECONCILE_REORG_US);

	booking_fini(&booking);
	return watched;
}

static void ends_are_watched_until_they_are_old(void **state)
{
	static const bool now[SETUPS] = {[OWNER_UNUSED] = true,
	    [CHAIN_SPENT] = true,
	    [PROVED_SPENT] = true,
	    [CHAIN_EXPIRED] = true,
	    [CHAIN_CANCELLED] = true};
	static const bool later[SETUPS] = {[OWNER_UNUSED] = true};
	struct books *books = *state;
	int64_t later_us = books->now_us + (HOUR_S + 60) * CLOCK_US_PER_S;

	for (int setup = 0; setup < SETUPS; setup++) {
		int64_t payment = set_up(books, (enum setup)setup, past_s(books));

		row_check(setups[setup], is_watched(books, payment, books->now_us) == now[setup]);
		row_check(setups[setup], is_watched(books, payment, later_us) == later[setup]);
	}
}

static void what_is_not_ours_is_not_loaded(void **state)
{
	struct books *books = *state;
	struct booking booking = {.payment = 77};

	assert_int_equal(booking_load(&booking, &books->house, 12345), STORE_NOT_FOUND);
	assert_int_equal(booking.payment, 77);
}

static void acts_have_names(void **state)
{
	static const char *const names[] = {
	    "nothing", "prove", "settle", "give_back", "reopen", "turn", "take", "flag"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_string_equal(booking_act_str((enum booking_act)i), names[i]);
	assert_string_equal(booking_act_str((enum booking_act)COUNT(names)), "?");
}

#define with_books(test) cmocka_unit_test_setup_teardown(test, books_make, books_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    with_books(every_word_about_every_state),
	    with_books(ends_say_who_where_and_what),
	    with_books(proofs_add_what_is_new),
	    with_books(an_end_that_is_gone_names_what_was_there),
	    with_books(a_flag_is_written_once_until_something_answers_it),
	    with_books(what_follows_the_colon_is_no_news),
	    with_books(endpoints_that_contradict_each_other_are_a_flag),
	    with_books(what_was_given_back_and_spent_waits_for_a_deposit),
	    with_books(provisional_holds_are_safe),
	    with_books(what_a_seller_paid_back_is_not_reopened),
	    with_books(the_first_end_wins),
	    with_books(stale_knowledge_moves_nothing),
	    with_books(whoever_is_booking_it_is_left_alone),
	    with_books(a_whole_question_is_booked_together),
	    with_books(a_failed_commit_leaves_no_money_loose),
	    with_books(ends_are_watched_until_they_are_old),
	    with_books(what_is_not_ours_is_not_loaded),
	    cmocka_unit_test(acts_have_names),
	};

	return unit_run(tests);
}
