/* ledger_payment_test - what may follow what: states of payments, their journal rows, and what
 * is written beside them; each permitted step and each forbidden one. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_world.h"

#include "common/buf.h"

#define AMOUNT 1000

struct bench {
	struct world world; /* first: *state is it */
	void *dir;
};

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL || unit_folder_make(&bench->dir) != 0)
		return -1;
	disk_install();
	bench->world = world_open(bench->dir);
	world_deposit(&bench->world, INT64_C(1000000000));
	*state = bench;
	return 0;
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	int result;

	world_assert_whole(bench->world.store);
	store_close(&bench->world.store);
	result = unit_folder_remove(&bench->dir);
	free(bench);
	return result;
}

static void add_state(struct world *world, struct batch *batch, int64_t payment,
    enum payment_state state, const char *by)
{
	batch_payment_state(
	    batch, &(struct payment_state_row){
		       .id = world_id(world), .payment = payment, .state = state, .by = by});
}

static void add_journal(struct world *world, struct batch *batch, int64_t payment,
    enum journal_event event, bool from_spent, int64_t amount)
{
	struct journal_row row = world_journal_row(world, event, amount);

	row.payment = payment;
	row.from_spent = from_spent;
	batch_journal(batch, &row);
}

static enum store_result append_state(
    struct world *world, int64_t payment, enum payment_state state, const char *by)
{
	struct batch *batch = batch_new(world->now);

	add_state(world, batch, payment, state, by);
	return store_append_wait(world->store, &batch);
}

static enum store_result append_journal(
    struct world *world, int64_t payment, enum journal_event event, bool from_spent, int64_t amount)
{
	struct batch *batch = batch_new(world->now);

	add_journal(world, batch, payment, event, from_spent, amount);
	return store_append_wait(world->store, &batch);
}

static bool is_spent(int state)
{
	return state == PAYMENT_SETTLED || state == PAYMENT_RESOLVED_SPENT;
}

static bool is_unused(int state)
{
	return state == PAYMENT_RESOLVED_UNUSED || state == PAYMENT_EXPIRED_UNUSED ||
	       state == PAYMENT_CANCELLED;
}

/* A payment whose latest state is that; 0: it has none. */
static int64_t payment_in(struct world *world, int state)
{
	int64_t payment = world_sign(world, AMOUNT);
	struct batch *batch;

	if (state == 0)
		return payment;
	batch = batch_new(world->now);
	add_state(world, batch, payment, (enum payment_state)state, "owner");
	if (is_spent(state))
		add_journal(world, batch, payment, JOURNAL_SETTLE, false, AMOUNT);
	if (is_unused(state))
		add_journal(world, batch, payment, JOURNAL_REFUND, false, AMOUNT);
	world_append(world, batch);
	return payment;
}

/* --- states ------------------------------------------------------------------------- */

/* What may follow, by the latest state; "OPEN by chain" may follow all. */
static const struct {
	const char *name;
	int before;
	bool may[8]; /* index: the new state, by the owner */
} states[] = {
    {"no state", 0, {false, true, true, true, true, true, true, true}},
    {"signed", PAYMENT_SIGNED, {false, true, true, true, true, true, true, true}},
    {"open", PAYMENT_OPEN, {false, true, true, true, true, true, true, true}},
    {"settled", PAYMENT_SETTLED, {false, false, false, true, false, false, false, false}},
    {"resolved spent", PAYMENT_RESOLVED_SPENT,
	{false, false, false, true, false, false, false, false}},
    {"resolved unused", PAYMENT_RESOLVED_UNUSED,
	{false, false, false, false, false, false, true, true}},
    {"expired", PAYMENT_EXPIRED_UNUSED, {false, false, false, false, false, false, false, false}},
    {"cancelled", PAYMENT_CANCELLED, {false, false, false, false, false, false, false, false}},
};

/* One new state, with the journal row that it needs. */
static enum store_result follow(
    struct world *world, int64_t payment, int before, int state, const char *by)
{
	struct batch *batch = batch_new(world->now);
	bool ended = is_spent(before) || is_unused(before);

	add_state(world, batch, payment, (enum payment_state)state, by);
	if (is_spent(state) && !ended)
		add_journal(world, batch, payment, JOURNAL_SETTLE, false, AMOUNT);
	if (is_unused(state) && !ended)
		add_journal(world, batch, payment, JOURNAL_REFUND, false, AMOUNT);
	if (state == PAYMENT_OPEN && ended)
		add_journal(world, batch, payment, JOURNAL_REOPEN, is_spent(before), AMOUNT);
	return store_append_wait(world->store, &batch);
}

static void each_state_after_each(void **state)
{
	static const char *const others[] = {"owner", "receipt", "seller", "restart", "CHAIN", ""};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(states); i++) {
		int before = states[i].before;

		for (int new = 0; new <= 9; new ++) {
			bool may = new < 8 && states[i].may[new];
			enum store_result expected = may ? STORE_OK : STORE_EXISTS;
			int64_t payment = payment_in(world, before);

			if (follow(world, payment, before, new, "owner") != expected)
				fail_msg("%s, then %d by the owner", states[i].name, new);
			payment = payment_in(world, before);
			if (new == PAYMENT_OPEN)
				expected = STORE_OK;
			if (follow(world, payment, before, new, "chain") != expected)
				fail_msg("%s, then %d by the chain", states[i].name, new);
		}
		for (size_t j = 0; j < COUNT(others) && before >= PAYMENT_SETTLED; j++)
			row_check(states[i].name, follow(world, payment_in(world, before), before,
						      PAYMENT_OPEN, others[j]) == STORE_EXISTS);
	}
}

/* The latest decides, not any: an end that was undone forbids nothing. */
static void the_latest_state_decides(void **state)
{
	struct world *world = *state;

	for (int first = PAYMENT_SETTLED; first <= PAYMENT_CANCELLED; first++) {
		for (int second = PAYMENT_SETTLED; second <= PAYMENT_CANCELLED; second++) {
			int64_t payment = payment_in(world, first);

			assert_int_equal(
			    follow(world, payment, first, PAYMENT_OPEN, "chain"), STORE_OK);
			assert_int_equal(
			    follow(world, payment, PAYMENT_OPEN, second, "receipt"), STORE_OK);
			assert_int_equal(
			    follow(world, payment, second, PAYMENT_OPEN, "owner"), STORE_EXISTS);
			assert_int_equal(
			    follow(world, payment, second, PAYMENT_OPEN, "chain"), STORE_OK);
		}
	}
}

/* An end, its undoing and the other end, all in one batch. */
static void one_batch_may_tell_a_long_story(void **state)
{
	struct world *world = *state;
	int64_t payment = payment_in(world, PAYMENT_RESOLVED_UNUSED);
	struct batch *batch = batch_new(world->now);

	add_state(world, batch, payment, PAYMENT_OPEN, "chain");
	add_state(world, batch, payment, PAYMENT_SETTLED, "chain");
	add_journal(world, batch, payment, JOURNAL_REOPEN, false, AMOUNT);
	add_journal(world, batch, payment, JOURNAL_SETTLE, false, AMOUNT);
	world_append(world, batch);
	/* In the other order it is none. */
	batch = batch_new(world->now);
	add_state(world, batch, payment, PAYMENT_OPEN, "chain");
	add_state(world, batch, payment, PAYMENT_CANCELLED, "chain");
	add_journal(world, batch, payment, JOURNAL_REFUND, false, AMOUNT);
	add_journal(world, batch, payment, JOURNAL_REOPEN, true, AMOUNT);
	assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
}

static bool note_state(const struct payment_row *row, void *arg)
{
	*(enum payment_state *)arg = row->state;
	return true;
}

/* Two threads took their ids in one order and came in the other. */
static void the_one_that_came_last_is_the_latest(void **state)
{
	struct world *world = *state;
	int64_t payment = world_sign(world, AMOUNT), early = world_id(world);
	struct batch *batch;
	enum payment_state latest = PAYMENT_SIGNED;

	assert_int_equal(append_state(world, payment, PAYMENT_OPEN, "seller"), STORE_OK);
	batch = batch_new(world->now);
	batch_payment_state(
	    batch, &(struct payment_state_row){
		       .id = early, .payment = payment, .state = PAYMENT_SETTLED, .by = "receipt"});
	add_journal(world, batch, payment, JOURNAL_SETTLE, false, AMOUNT);
	world_append(world, batch);
	assert_int_equal(store_payment(world->store, payment, note_state, &latest), STORE_OK);
	assert_int_equal(latest, PAYMENT_SETTLED);
	/* The very same row twice is a mistake, not an order. */
	batch = batch_new(world->now);
	early = world_id(world);
	for (int i = 0; i < 2; i++)
		batch_payment_state(batch, &(struct payment_state_row){.id = early,
					       .payment = payment,
					       .state = PAYMENT_SETTLED,
					       .by = "receipt"});
	assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
}

/* --- the journal ------------------------------------------------------------------------ */

enum journal_state { SIGNED, SETTLED, GIVEN_BACK, REOPENED_SPENT, REOPENED_UNUSED, REPAID };

static int64_t journal_in(struct world *world, enum journal_state state)
{
	switch (state) {
	case SIGNED:
		return payment_in(world, PAYMENT_OPEN);
	case SETTLED:
		return payment_in(world, PAYMENT_SETTLED);
	case GIVEN_BACK:
		return payment_in(world, PAYMENT_CANCELLED);
	case REOPENED_SPENT:
	case REOPENED_UNUSED: {
		int before = state == REOPENED_SPENT ? PAYMENT_SETTLED : PAYMENT_CANCELLED;
		int64_t payment = payment_in(world, before);

		assert_int_equal(follow(world, payment, before, PAYMENT_OPEN, "chain"), STORE_OK);
		return payment;
	}
	case REPAID: {
		int64_t payment = payment_in(world, PAYMENT_SETTLED);

		assert_int_equal(
		    append_journal(world, payment, JOURNAL_REFUND, true, AMOUNT / 2), STORE_OK);
		return payment;
	}
	}
	return 0;
}

static const struct {
	const char *name;
	enum journal_state before;
	/* the rows that may follow: settle, give back, reopen spent, reopen unused, pay back */
	bool may[5];
} journals[] = {
    {"signed", SIGNED, {true, true, false, false, false}},
    {"settled", SETTLED, {false, false, true, false, true}},
    {"given back", GIVEN_BACK, {false, false, false, true, false}},
    {"reopened after settling", REOPENED_SPENT, {true, true, false, false, false}},
    {"reopened after giving back", REOPENED_UNUSED, {true, true, false, false, false}},
    {"half paid back", REPAID, {false, false, true, false, true}},
};

/* With the state that belongs to it, when it is one that may follow. */
static enum store_result append_step(struct world *world, int64_t payment, size_t step, bool may)
{
	static const struct {
		enum journal_event event;
		bool from_spent;
		int64_t amount;
		enum payment_state state;
	} steps[] = {
	    {JOURNAL_SETTLE, false, AMOUNT, PAYMENT_SETTLED},
	    {JOURNAL_REFUND, false, AMOUNT, PAYMENT_EXPIRED_UNUSED},
	    {JOURNAL_REOPEN, true, AMOUNT, PAYMENT_OPEN},
	    {JOURNAL_REOPEN, false, AMOUNT, PAYMENT_OPEN},
	    {JOURNAL_REFUND, true, AMOUNT / 2, PAYMENT_SETTLED},
	};
	struct batch *batch = batch_new(world->now);

	if (may)
		add_state(world, batch, payment, steps[step].state, "chain");
	add_journal(
	    world, batch, payment, steps[step].event, steps[step].from_spent, steps[step].amount);
	return store_append_wait(world->store, &batch);
}

static void each_row_after_each(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(journals); i++) {
		for (size_t step = 0; step < COUNT(journals[i].may); step++) {
			int64_t payment = journal_in(world, journals[i].before);
			bool may = journals[i].may[step];

			if (append_step(world, payment, step, may) !=
			    (may ? STORE_OK : STORE_EXISTS))
				fail_msg("%s, then step %zu", journals[i].name, step);
		}
		/* Nothing is signed twice, whatever became of it. */
		row_check(
		    journals[i].name, append_journal(world, journal_in(world, journals[i].before),
					  JOURNAL_SIGN, false, AMOUNT) == STORE_EXISTS);
	}
}

/* What a seller pays back, in millionths; the sum is what was paid and no more. */
static void refunds_stop_at_what_was_paid(void **state)
{
	static const struct {
		const char *name;
		int64_t amounts[4];
		enum store_result last; /* of the last amount; those before are taken */
	} rows[] = {
	    {"all at once", {AMOUNT}, STORE_OK},
	    {"one too much", {AMOUNT + 1}, STORE_EXISTS},
	    {"in halves", {AMOUNT / 2, AMOUNT / 2}, STORE_OK},
	    {"in halves and one", {AMOUNT / 2, AMOUNT / 2, 1}, STORE_EXISTS},
	    {"one less, then two", {AMOUNT - 1, 2}, STORE_EXISTS},
	    {"one less, then one", {AMOUNT - 1, 1}, STORE_OK},
	    {"the largest number", {INT64_MAX}, STORE_EXISTS},
	    {"one, then the largest number", {1, INT64_MAX}, STORE_EXISTS},
	    {"nothing", {-1}, STORE_EXISTS},
	};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t payment = payment_in(world, PAYMENT_SETTLED), sum = 0, refunded = -7;

		for (size_t j = 0; j < COUNT(rows[i].amounts) && rows[i].amounts[j] != 0; j++) {
			bool last = j + 1 == COUNT(rows[i].amounts) || rows[i].amounts[j + 1] == 0;
			enum store_result expected = last ? rows[i].last : STORE_OK;

			row_check(rows[i].name, append_journal(world, payment, JOURNAL_REFUND, true,
						    rows[i].amounts[j]) == expected);
			sum += expected == STORE_OK ? rows[i].amounts[j] : 0;
		}
		assert_int_equal(store_refunded(world->store, payment, &refunded), STORE_OK);
		row_check(rows[i].name, refunded == sum);
	}
}

/* What was paid back stays so when the payment is reopened, and counts against it. */
static void refunds_of_a_reopened_payment(void **state)
{
	struct world *world = *state;
	int64_t payment = journal_in(world, REPAID);

	assert_int_equal(follow(world, payment, PAYMENT_SETTLED, PAYMENT_OPEN, "chain"), STORE_OK);
	assert_int_equal(append_journal(world, payment, JOURNAL_REFUND, true, 1), STORE_EXISTS);
	assert_int_equal(follow(world, payment, PAYMENT_OPEN, PAYMENT_SETTLED, "chain"), STORE_OK);
	assert_int_equal(
	    append_journal(world, payment, JOURNAL_REFUND, true, AMOUNT / 2 + 1), STORE_EXISTS);
	assert_int_equal(
	    append_journal(world, payment, JOURNAL_REFUND, true, AMOUNT / 2), STORE_OK);
	assert_int_equal(append_journal(world, payment, JOURNAL_REFUND, true, 1), STORE_EXISTS);
}

static void rows_of_no_payment(void **state)
{
	static const struct {
		enum journal_event event;
		bool from_spent;
	} rows[] = {{JOURNAL_SETTLE, false}, {JOURNAL_REFUND, false}, {JOURNAL_REFUND, true},
	    {JOURNAL_REOPEN, false}, {JOURNAL_REOPEN, true}};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(
		    append_journal(world, 12, rows[i].event, rows[i].from_spent, AMOUNT),
		    STORE_NOT_FOUND);
		assert_int_equal(
		    append_journal(world, 0, rows[i].event, rows[i].from_spent, AMOUNT),
		    STORE_EXISTS);
	}
}

static void reopenings_that_say_too_little(void **state)
{
	struct world *world = *state;
	struct journal_row row = world_journal_row(world, JOURNAL_REOPEN, AMOUNT);
	struct batch *batch = batch_new(world->now);

	row.payment = payment_in(world, PAYMENT_SETTLED);
	row.from_spent = true;
	row.tool = NULL;
	batch_journal(batch, &row);
	assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
	/* from_spent says nothing about other events. */
	for (int event = JOURNAL_DEPOSIT; event <= JOURNAL_RELEASE; event++) {
		if (event == JOURNAL_REFUND)
			continue;
		row = world_journal_row(world, (enum journal_event)event, AMOUNT);
		row.from_spent = true;
		row.payment = payment_in(world, PAYMENT_OPEN);
		row.call = world_id(world);
		batch = batch_new(world->now);
		batch_journal(batch, &row);
		assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
	}
}

static void holds_end_once(void **state)
{
	static const struct {
		const char *name;
		enum journal_event events[4];
		enum store_result last;
	} rows[] = {
	    {"held twice", {JOURNAL_HOLD, JOURNAL_HOLD}, STORE_EXISTS},
	    {"charged", {JOURNAL_HOLD, JOURNAL_CHARGE}, STORE_OK},
	    {"released", {JOURNAL_HOLD, JOURNAL_RELEASE}, STORE_OK},
	    {"charged twice", {JOURNAL_HOLD, JOURNAL_CHARGE, JOURNAL_CHARGE}, STORE_EXISTS},
	    {"released after a charge", {JOURNAL_HOLD, JOURNAL_CHARGE, JOURNAL_RELEASE},
		STORE_EXISTS},
	    {"charged after a release", {JOURNAL_HOLD, JOURNAL_RELEASE, JOURNAL_CHARGE},
		STORE_EXISTS},
	    {"held after a release", {JOURNAL_HOLD, JOURNAL_RELEASE, JOURNAL_HOLD}, STORE_EXISTS},
	    {"charged, never held", {JOURNAL_CHARGE}, STORE_EXISTS},
	    {"released, never held", {JOURNAL_RELEASE}, STORE_EXISTS},
	};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t call = world_id(world);

		for (size_t j = 0; j < COUNT(rows[i].events) && rows[i].events[j] != 0; j++) {
			bool last = j + 1 == COUNT(rows[i].events) || rows[i].events[j + 1] == 0;
			struct journal_row row =
			    world_journal_row(world, rows[i].events[j], AMOUNT);
			struct batch *batch = batch_new(world->now);

			row.call = call;
			batch_journal(batch, &row);
			row_check(rows[i].name, store_append_wait(world->store, &batch) ==
						    (last ? rows[i].last : STORE_OK));
		}
	}
}

/* A sum that no int64 holds is refused, and nothing of it is left. */
static void balances_that_do_not_fit(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, INT64_MAX);

	batch_journal(batch, &row);
	assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
	row.owner = "someone else";
	row.agent = world->agent_two;
	row.agent_name = "two";
	batch = batch_new(world->now);
	batch_journal(batch, &row);
	world_append(world, batch);
	row.amount = 1;
	batch = batch_new(world->now);
	batch_journal(batch, &row);
	assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
}

/* --- evidence, deliveries, settings ------------------------------------------------------ */

static struct evidence_row good_evidence(struct world *world)
{
	return (struct evidence_row){.id = world_id(world),
	    .payment = world->settled,
	    .kind = EVIDENCE_REFUND,
	    .network = WORLD_NETWORK,
	    .block = 1,
	    .transaction = "0xabcdef",
	    .log_index = 5,
	    .endpoints = 1};
}

static enum store_result append_evidence(struct world *world, const struct evidence_row *row)
{
	struct batch *batch = batch_new(world->now);

	batch_evidence(batch, row);
	return store_append_wait(world->store, &batch);
}

static void a_refund_is_booked_once(void **state)
{
	struct world *world = *state;
	struct evidence_row row = good_evidence(world);

	assert_int_equal(append_evidence(world, &row), STORE_OK);
	assert_int_equal(append_evidence(world, &row), STORE_EXISTS);
	row.id = world_id(world);
	assert_int_equal(append_evidence(world, &row), STORE_EXISTS);
	row.transaction = "0xABCdef";
	assert_int_equal(append_evidence(world, &row), STORE_EXISTS);
	row.payment = world->repaid;
	row.block = 2;
	assert_int_equal(append_evidence(world, &row), STORE_EXISTS);
	/* Another log, another chain, another kind of evidence of the same log. */
	row.log_index = 6;
	assert_int_equal(append_evidence(world, &row), STORE_OK);
	row.id = world_id(world);
	row.network = "eip155:8453";
	assert_int_equal(append_evidence(world, &row), STORE_OK);
	row.id = world_id(world);
	row.kind = EVIDENCE_USED;
	assert_int_equal(append_evidence(world, &row), STORE_OK);
	row.id = world_id(world);
	assert_int_equal(append_evidence(world, &row), STORE_OK);
}

static void evidence_without_sense(void **state)
{
	struct world *world = *state;
	struct evidence_row rows[9];
	enum store_result expected[COUNT(rows)];

	for (size_t i = 0; i < COUNT(rows); i++) {
		rows[i] = good_evidence(world);
		expected[i] = STORE_EXISTS;
	}
	rows[0].payment = 12;
	expected[0] = STORE_NOT_FOUND;
	rows[1].payment = 0;
	expected[1] = STORE_NOT_FOUND;
	rows[2].kind = (enum evidence_kind)0;
	rows[3].kind = (enum evidence_kind)7;
	rows[4].network = "";
	rows[5].network = NULL;
	rows[6].block = -1;
	rows[7].log_index = -2;
	rows[8].endpoints = -1;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (append_evidence(world, &rows[i]) != expected[i])
			fail_msg("row %zu", i);
	}
}

static void deliveries_and_settings_without_sense(void **state)
{
	struct world *world = *state;
	const struct delivery_row good = {.id = world_id(world),
	    .call = 1,
	    .payment = world->settled,
	    .agent = world->agent,
	    .tool = "t",
	    .reason = "r"};
	struct {
		struct delivery_row row;
		enum store_result expected;
	} rows[6];
	static const char *const settings[][2] = {{"", "x"}, {NULL, "x"}, {"name", NULL}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		rows[i].row = good;
		rows[i].expected = STORE_EXISTS;
	}
	rows[0].row.payment = 0;
	rows[0].expected = STORE_NOT_FOUND;
	rows[1].row.agent = 12;
	rows[1].expected = STORE_NOT_FOUND;
	rows[2].row.call = 0;
	rows[3].row.tool = NULL;
	rows[4].row.reason = NULL;
	rows[5].row.id = 0;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct batch *batch = batch_new(world->now);

		batch_delivery(batch, &rows[i].row);
		if (store_append_wait(world->store, &batch) != rows[i].expected)
			fail_msg("row %zu", i);
	}
	for (size_t i = 0; i < COUNT(settings); i++) {
		struct batch *batch = batch_new(world->now);

		batch_setting(batch, world_id(world), settings[i][0], settings[i][1]);
		assert_int_equal(store_append_wait(world->store, &batch), STORE_EXISTS);
	}
}

static void words_of_kinds(void **state)
{
	static const char *const words[] = {
	    "?", "used", "cancelled", "unused", "gone", "disagrees", "refund", "?"};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++)
		assert_string_equal(evidence_kind_str((enum evidence_kind)i), words[i]);
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_make, bench_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bench_test(each_state_after_each),
	    bench_test(the_latest_state_decides),
	    bench_test(one_batch_may_tell_a_long_story),
	    bench_test(the_one_that_came_last_is_the_latest),
	    bench_test(each_row_after_each),
	    bench_test(refunds_stop_at_what_was_paid),
	    bench_test(refunds_of_a_reopened_payment),
	    bench_test(rows_of_no_payment),
	    bench_test(reopenings_that_say_too_little),
	    bench_test(holds_end_once),
	    bench_test(balances_that_do_not_fit),
	    bench_test(a_refund_is_booked_once),
	    bench_test(evidence_without_sense),
	    bench_test(deliveries_and_settings_without_sense),
	    cmocka_unit_test(words_of_kinds),
	};

	return unit_run(tests);
}
