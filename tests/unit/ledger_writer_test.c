/* ledger_writer_test - groups, refusals, callbacks, and a process that is killed. */
#include "tests/unit/ledger_world.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

/* --- what is refused, and that it takes nothing else with it ---------------- */

typedef void fill_fn(struct world *world, struct batch *batch);

static void fill_agent_name(struct world *world, struct batch *batch)
{
	batch_agent(batch, &(struct agent_row){.id = world_id(world), .name = "two", .owner = "o",
	    .address = "0x"});
}

static void fill_agent_bad_name(struct world *world, struct batch *batch)
{
	batch_agent(batch, &(struct agent_row){.id = world_id(world), .name = "a/b", .owner = "o",
	    .address = "0x"});
}

static void fill_agent_no_owner(struct world *world, struct batch *batch)
{
	batch_agent(batch, &(struct agent_row){.id = world_id(world), .name = "ab",
	    .address = "0x"});
}

static void fill_agent_id(struct world *world, struct batch *batch)
{
	batch_agent(batch, &(struct agent_row){.id = world->agent, .name = "fresh", .owner = "o",
	    .address = "0x"});
}

static void fill_zero_id(struct world *world, struct batch *batch)
{
	batch_policy(batch, 0, world->agent, "{}");
}

static void fill_session(struct world *world, struct batch *batch)
{
	batch_token(batch, &(struct token_row){.id = world_id(world), .session = "session-one",
	    .agent = world->agent});
}

static void fill_token_stranger(struct world *world, struct batch *batch)
{
	batch_token(batch, &(struct token_row){.id = world_id(world), .session = "s", .agent = 12});
}

static void fill_revoke_stranger(struct world *world, struct batch *batch)
{
	batch_token_revoked(batch, world_id(world), "nobody's");
}

static void fill_policy_stranger(struct world *world, struct batch *batch)
{
	batch_policy(batch, world_id(world), 12, "{}");
}

static void fill_payment_again(struct world *world, struct batch *batch)
{
	world_add_sign(world, batch, world_id(world), world->settled, 5);
}

static void fill_same_nonce(struct world *world, struct batch *batch)
{
	world_add_sign_of(world, batch, world_id(world), world_id(world), 5, world->settled,
	    WORLD_PAYER);
}

static void fill_sign_without_payment(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SIGN, 5);

	row.payment = world_id(world);
	batch_journal(batch, &row);
}

static void fill_sign_no_payment_id(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SIGN, 5);

	batch_journal(batch, &row);
}

static void fill_second_sign(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SIGN, 5);

	row.payment = world->open;
	batch_journal(batch, &row);
}

static void fill_second_settle(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SETTLE, 50000);

	row.payment = world->settled;
	batch_journal(batch, &row);
}

static void fill_refund_after_settle(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_REFUND, 50000);

	row.payment = world->settled;
	batch_journal(batch, &row);
}

static void fill_second_hold(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_HOLD, 5);

	row.call = world->call;
	batch_journal(batch, &row);
	batch_journal(batch, &row);
}

static void fill_charge_and_release(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_CHARGE, 5);

	row.call = world_id(world);
	batch_journal(batch, &row);
	row.event = JOURNAL_RELEASE;
	batch_journal(batch, &row);
}

static void fill_charge_without_call(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_CHARGE, 5);

	batch_journal(batch, &row);
}

static void fill_zero_amount(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, 0);

	batch_journal(batch, &row);
}

static void fill_negative_amount(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, -7);

	batch_journal(batch, &row);
}

static void fill_deposit_no_owner(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, 7);

	row.owner = NULL;
	batch_journal(batch, &row);
}

static void fill_settle_no_tool(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SETTLE, 7);

	row.payment = world->open;
	row.tool = NULL;
	batch_journal(batch, &row);
}

static void fill_stranger_deposit(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, 7);

	row.agent = 12;
	batch_journal(batch, &row);
}

static void fill_endless_owner(struct world *world, struct batch *batch)
{
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, 7);
	char *owner = malloc(9001);

	memset(owner, 'o', 9000);
	owner[9000] = '\0';
	row.owner = owner;
	batch_journal(batch, &row);
	free(owner);
}

static void fill_state_stranger(struct world *world, struct batch *batch)
{
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = 12, .state = PAYMENT_OPEN, .by = "seller"});
}

static void add_state(struct world *world, struct batch *batch, int64_t payment,
    enum payment_state state)
{
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = payment, .state = state, .by = "owner"});
}

static void fill_settled_then_open(struct world *world, struct batch *batch)
{
	add_state(world, batch, world->settled, PAYMENT_OPEN);
}

static void fill_settled_then_unused(struct world *world, struct batch *batch)
{
	add_state(world, batch, world->settled, PAYMENT_RESOLVED_UNUSED);
}

static void fill_expired_then_settled(struct world *world, struct batch *batch)
{
	add_state(world, batch, world->unused, PAYMENT_SETTLED);
}

static void fill_expired_twice(struct world *world, struct batch *batch)
{
	add_state(world, batch, world->unused, PAYMENT_EXPIRED_UNUSED);
}

static void fill_no_such_state(struct world *world, struct batch *batch)
{
	add_state(world, batch, world->open, (enum payment_state)8);
}

static void fill_audit_twice(struct world *world, struct batch *batch)
{
	struct audit_row row = {.id = world_id(world), .kind = AUDIT_OWNER};

	batch_audit(batch, &row);
	batch_audit(batch, &row);
}

static void fill_negative_price(struct world *world, struct batch *batch)
{
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "t", .url = "u",
	    .billing = TOOL_X402, .has_price = true, .price = -1});
}

static const struct {
	const char *name;
	fill_fn *fill;
	enum store_result result;
} refusals[] = {
	{"agent name taken", fill_agent_name, STORE_EXISTS},
	{"agent name with a slash", fill_agent_bad_name, STORE_EXISTS},
	{"agent without an owner", fill_agent_no_owner, STORE_EXISTS},
	{"agent id taken", fill_agent_id, STORE_EXISTS},
	{"id 0", fill_zero_id, STORE_EXISTS},
	{"session taken", fill_session, STORE_EXISTS},
	{"token of nobody", fill_token_stranger, STORE_NOT_FOUND},
	{"revoked but never issued", fill_revoke_stranger, STORE_NOT_FOUND},
	{"policy of nobody", fill_policy_stranger, STORE_NOT_FOUND},
	{"payment written twice", fill_payment_again, STORE_EXISTS},
	{"nonce signed twice", fill_same_nonce, STORE_EXISTS},
	{"sign row, payment missing", fill_sign_without_payment, STORE_NOT_FOUND},
	{"sign row names no payment", fill_sign_no_payment_id, STORE_NOT_FOUND},
	{"payment signed twice", fill_second_sign, STORE_EXISTS},
	{"payment settled twice", fill_second_settle, STORE_EXISTS},
	{"settled and given back", fill_refund_after_settle, STORE_EXISTS},
	{"held twice", fill_second_hold, STORE_EXISTS},
	{"charged and released", fill_charge_and_release, STORE_EXISTS},
	{"charge without a call", fill_charge_without_call, STORE_EXISTS},
	{"amount 0", fill_zero_amount, STORE_EXISTS},
	{"amount below 0", fill_negative_amount, STORE_EXISTS},
	{"deposit without owner", fill_deposit_no_owner, STORE_EXISTS},
	{"settle without tool", fill_settle_no_tool, STORE_EXISTS},
	{"deposit to nobody", fill_stranger_deposit, STORE_NOT_FOUND},
	{"owner of 9000 letters", fill_endless_owner, STORE_EXISTS},
	{"state of no payment", fill_state_stranger, STORE_NOT_FOUND},
	{"settled, then open", fill_settled_then_open, STORE_EXISTS},
	{"settled, then unused", fill_settled_then_unused, STORE_EXISTS},
	{"expired, then settled", fill_expired_then_settled, STORE_EXISTS},
	{"expired twice", fill_expired_twice, STORE_EXISTS},
	{"state 8", fill_no_such_state, STORE_EXISTS},
	{"audited twice", fill_audit_twice, STORE_EXISTS},
	{"price below 0", fill_negative_price, STORE_EXISTS},
};

struct told {
	enum store_result result;
	int order, *clock;
	pthread_t thread;
};

static void note_told(enum store_result result, void *arg)
{
	struct told *told = arg;

	told->result = result;
	told->thread = pthread_self();
	told->order = ++*told->clock;
}

static int64_t transactions(struct store *store)
{
	struct verify_report report;
	int64_t count;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	if (!report.ok)
		fail_msg("%s", report.problems[0]);
	count = report.transactions * 1000000 + report.audits;
	verify_fini(&report);
	return count;
}

/* Each bad batch also holds a good row, before and after which good batches stand: the
 * bad one leaves nothing, the good ones are all there, and the chains hold. */
static void refusals_are_alone(void **state)
{
	struct world world = world_open(*state);

	for (size_t i = 0; i < COUNT(refusals); i++) {
		int64_t before = transactions(world.store);
		struct told told[3] = {{.order = 0}};
		int clock = 0;

		for (int j = 0; j < 3; j++) {
			struct batch *batch = batch_new(world.now);

			told[j].clock = &clock;
			batch_policy(batch, world_id(&world), world.agent, "{}");
			if (j == 1)
				refusals[i].fill(&world, batch);
			store_append(world.store, &batch, note_told, &told[j]);
		}
		struct batch *last = batch_new(world.now);
		assert_int_equal(store_append_wait(world.store, &last), STORE_OK);
		row_check(refusals[i].name, told[0].result == STORE_OK && told[0].order == 1);
		row_check(refusals[i].name, told[1].result == refusals[i].result);
		row_check(refusals[i].name, told[1].order == 2);
		row_check(refusals[i].name, told[2].result == STORE_OK && told[2].order == 3);
		row_check(refusals[i].name, transactions(world.store) == before + 2);
		row_check(refusals[i].name, !pthread_equal(told[1].thread, pthread_self()));
	}
	store_close(&world.store);
}

/* On the chain a nonce is one of its payer's. */
static void another_payer(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);

	world_add_sign_of(&world, batch, world_id(&world), world_id(&world), 5, world.settled,
	    "0x857b06519E91e3A54538791bDbb0E22373e36b67");
	world_append(&world, batch);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* More evidence for an end that is there already. */
static void more_evidence(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);

	add_state(&world, batch, world.settled, PAYMENT_SETTLED);
	add_state(&world, batch, world.repaid, PAYMENT_SETTLED);
	add_state(&world, batch, world.open, PAYMENT_OPEN);
	add_state(&world, batch, world.open, PAYMENT_SIGNED);
	world_append(&world, batch);
	world_append(&world, world_state(&world, world.open, PAYMENT_RESOLVED_UNUSED, 30000));
	batch = batch_new(world.now);
	add_state(&world, batch, world.open, PAYMENT_EXPIRED_UNUSED);
	world_append(&world, batch);
	world_assert_whole(world.store);
	store_close(&world.store);
}

static void empty_and_unheard_batches(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);

	world_append(&world, batch);
	batch = batch_new(world.now);
	batch_free(&batch);
	assert_null(batch);
	batch_free(&batch);
	batch = batch_new(world.now);
	batch_policy(batch, world_id(&world), world.agent, "{\"unheard\":1}");
	batch_free(&batch);
	batch = batch_new(world.now);
	batch_policy(batch, world_id(&world), world.agent, "{\"unheard\":2}");
	store_append(world.store, &batch, NULL, NULL);
	world_append(&world, batch_new(world.now));
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* Strings longer than a chunk of the arena, and many of them. */
static void large_batch(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);
	char *text = malloc(300001);

	memset(text, 'p', 300000);
	text[300000] = '\0';
	for (int i = 0; i < 20; i++)
		batch_policy(batch, world_id(&world), world.agent, text);
	for (int i = 0; i < 3000; i++)
		batch_policy(batch, world_id(&world), world.agent, "{}");
	memset(text, 'q', 300000);
	world_append(&world, batch);
	world_assert_whole(world.store);
	free(text);
	store_close(&world.store);
}

/* --- many threads ------------------------------------------------------------- */

#define THREADS 8
#define EACH    100

struct appender {
	struct world world;
	enum store_result worst;
};

/* Whether it comes or not, and whenever; a hint changes nothing but who is awake. */
static void expected_batches(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch;

	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < i % 4; j++)
			store_expect(world.store);
		batch = batch_new(world.now);
		batch_policy(batch, world_id(&world), world.agent, "{}");
		if (i % 3 == 0)
			store_append(world.store, &batch, NULL, NULL);
		else
			assert_int_equal(store_append_wait(world.store, &batch), STORE_OK);
		if (i % 2 == 0)
			store_expect(world.store);
	}
	world_append(&world, batch_new(world.now));
	assert_int_equal(store_queued(world.store), 0);
	world_assert_whole(world.store);
	store_expect(world.store);
	store_close(&world.store);
}

static void *append_signs(void *arg)
{
	struct appender *appender = arg;

	for (int i = 0; i < EACH; i++) {
		struct world *world = &appender->world;
		int64_t call = world_id(world), id = world_id(world);
		struct batch *batch = batch_new(world->now);
		enum store_result result;

		world_add_sign(world, batch, call, id, 3);
		if (i % 2 == 0)
			store_expect(world->store);
		result = store_append_wait(world->store, &batch);
		if (result != STORE_OK)
			appender->worst = result;
	}
	return NULL;
}

static void eight_threads(void **state)
{
	struct world world = world_open(*state);
	int64_t before = transactions(world.store);
	struct appender appenders[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		appenders[i] = (struct appender){.world = world, .worst = STORE_OK};
		assert_int_equal(
		    pthread_create(&threads[i], NULL, append_signs, &appenders[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(appenders[i].worst, STORE_OK);
	}
	assert_int_equal(transactions(world.store),
	    before + INT64_C(1000001) * THREADS * EACH);
	assert_int_equal(store_queued(world.store), 0);
	store_close(&world.store);
}

/* A callback may append; it is in a later group. */
struct chained {
	struct world *world;
	int left;
	pthread_mutex_t lock;
	pthread_cond_t done;
};

static void append_again(enum store_result result, void *arg)
{
	struct chained *chained = arg;
	struct batch *batch;

	if (result == STORE_OK && --chained->left > 0) {
		batch = batch_new(chained->world->now);
		batch_policy(batch, world_id(chained->world), chained->world->agent, "{}");
		store_append(chained->world->store, &batch, append_again, chained);
		return;
	}
	pthread_mutex_lock(&chained->lock);
	pthread_cond_signal(&chained->done);
	pthread_mutex_unlock(&chained->lock);
}

static void callbacks_may_append(void **state)
{
	struct world world = world_open(*state);
	struct chained chained = {.world = &world, .left = 20, .lock = PTHREAD_MUTEX_INITIALIZER,
	    .done = PTHREAD_COND_INITIALIZER};

	pthread_mutex_lock(&chained.lock);
	struct batch *batch = batch_new(world.now);
	store_append(world.store, &batch, append_again, &chained);
	pthread_cond_wait(&chained.done, &chained.lock);
	pthread_mutex_unlock(&chained.lock);
	assert_int_equal(chained.left, 0);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* --- kill -9 --------------------------------------------------------------------- */

struct reporter {
	struct world world;
	int fd;
};

static void *append_and_report(void *arg)
{
	struct reporter *reporter = arg;

	for (;;) {
		int64_t id = world_sign(&reporter->world, 1);

		if (write(reporter->fd, &id, sizeof(id)) != sizeof(id))
			_exit(1);
	}
	return NULL;
}

static void report_until_killed(const char *dir, int fd)
{
	struct world world = {.now = WORLD_START};
	struct reporter reporters[4];
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	world.store = world_store(dir, WORLD_START);
	world_people(&world);
	world_deposit(&world, 1000000000);
	for (int i = 0; i < 4; i++) {
		reporters[i] = (struct reporter){world, fd};
		pthread_create(&thread, NULL, append_and_report, &reporters[i]);
	}
	pause();
	_exit(1);
}

static bool payment_seen(const struct payment_row *row, void *arg)
{
	*(int64_t *)arg = row->id;
	return true;
}

static void killed_once(const char *dir, int reports)
{
	int64_t *ids = calloc((size_t)reports + 100000, sizeof(*ids)), seen;
	struct store *store;
	int pipes[2], count = 0;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0)
		report_until_killed(dir, pipes[1]);
	close(pipes[1]);
	while (count < reports && read(pipes[0], &ids[count], sizeof(*ids)) == sizeof(*ids))
		count++;
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (read(pipes[0], &ids[count], sizeof(*ids)) == sizeof(*ids))
		count++;
	close(pipes[0]);
	assert_true(count >= reports);

	store = world_store(dir, 0);
	for (int i = 0; i < count; i++) {
		seen = 0;
		assert_int_equal(store_payment(store, ids[i], payment_seen, &seen), STORE_OK);
		assert_int_equal(seen, ids[i]);
	}
	world_assert_whole(store);
	store_close(&store);
	free(ids);
}

static void killed_while_appending(void **state)
{
	static const int reports[] = {1, 2, 17, 150, 400};

	for (size_t i = 0; i < COUNT(reports); i++) {
		void *dir = NULL;

		(void)state;
		assert_int_equal(unit_folder_make(&dir), 0);
		killed_once(dir, reports[i]);
		assert_int_equal(unit_folder_remove(&dir), 0);
	}
}

/* --- journal ids --------------------------------------------------------------------- */

static bool ids_rise(const struct journal_row *row, void *arg)
{
	int64_t *last = arg;

	assert_true(row->id > *last);
	*last = row->id;
	return true;
}

/* Batches stamped in the past, out of order: the chain's ids still rise. */
static void journal_ids_rise(void **state)
{
	const int64_t clocks[] = {WORLD_START + 500, WORLD_START, 3, WORLD_START + 400,
	    WORLD_START * 2, WORLD_START};
	struct world world = world_open(*state);
	int64_t last = 0;

	for (size_t i = 0; i < COUNT(clocks); i++) {
		struct batch *batch = batch_new(clocks[i]);
		struct journal_row row = world_journal_row(&world, JOURNAL_DEPOSIT, 5);

		row.id = 4;
		batch_journal(batch, &row);
		batch_journal(batch, &row);
		world_append(&world, batch);
	}
	assert_int_equal(store_journal(world.store, 0, 0, 0, 0, ids_rise, &last), STORE_OK);
	assert_true(last > WORLD_START * 2);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* --- what nobody waits for ------------------------------------------------------------- */

#define ENDS 60

static bool count_settle(const struct journal_row *row, void *arg)
{
	*(int *)arg += row->event == JOURNAL_SETTLE;
	return true;
}

static int settles_in(struct store *store)
{
	int count = 0;

	assert_int_equal(store_journal(store, 0, 0, 0, 0, count_settle, &count), STORE_OK);
	return count;
}

static bool count_audit(const struct audit_row *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return true;
}

static void append_audit(struct world *world, int64_t id)
{
	struct batch *batch = batch_new(world->now);

	batch_audit(batch, &(struct audit_row){.id = id, .kind = AUDIT_CALL});
	store_append(world->store, &batch, NULL, NULL);
}

/* Ends that are applied before the next signature comes, some of them refused then: each refusal
 * is alone, what stands beside it is there, and a signature that is told has all before it. */
static void ends_that_nobody_waits_for(void **state)
{
	struct world world = world_open(*state);
	int before = settles_in(world.store), audits = 0;

	for (int i = 0; i < ENDS; i++) {
		int64_t payment = world_sign(&world, 10 + i), audit = world_id(&world);
		bool again = i % 3 == 1;

		assert_int_equal(settles_in(world.store), before + i);
		for (int times = 0; times <= again; times++) {
			struct batch *batch = world_state(&world, payment, PAYMENT_SETTLED, 10 + i);

			store_append(world.store, &batch, NULL, NULL);
			append_audit(&world, audit);
			for (int turns = 0; turns < i * 7 % 50; turns++)
				sched_yield();
		}
		assert_in_range(settles_in(world.store), before + i, before + i + 1);
	}
	world_append(&world, batch_new(world.now));
	assert_int_equal(store_queued(world.store), 0);
	assert_int_equal(settles_in(world.store), before + ENDS);
	world_assert_whole(world.store);
	store_close(&world.store);

	world.store = world_store(*state, WORLD_START);
	assert_int_equal(settles_in(world.store), before + ENDS);
	assert_int_equal(store_audit(world.store, 0, 0, 0, count_audit, &audits), STORE_OK);
	assert_true(audits >= ENDS);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* Nobody comes who waits, and it is committed all the same, as the rest is at the end. */
static void committed_by_itself(void **state)
{
	struct world world = world_open(*state);
	int before = settles_in(world.store), audits = 0, audits_before = 0;
	int64_t payments[4];

	for (size_t i = 0; i < COUNT(payments); i++)
		payments[i] = world_sign(&world, 7);
	for (int i = 0; i < (int)COUNT(payments); i++) {
		struct batch *batch = world_state(&world, payments[i], PAYMENT_SETTLED, 7);

		store_append(world.store, &batch, NULL, NULL);
		/* All but the last. */
		while (i < 3 && settles_in(world.store) < before + i + 1)
			sched_yield();
	}
	assert_int_equal(
	    store_audit(world.store, 0, 0, 0, count_audit, &audits_before), STORE_OK);
	for (int i = 0; i < 5000; i++)
		append_audit(&world, world_id(&world));
	store_close(&world.store);
	world.store = world_store(*state, WORLD_START);
	assert_int_equal(settles_in(world.store), before + (int)COUNT(payments));
	assert_int_equal(store_audit(world.store, 0, 0, 0, count_audit, &audits), STORE_OK);
	assert_int_equal(audits - audits_before, 5000);
	world_assert_whole(world.store);
	store_close(&world.store);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

/* --- a stop ----------------------------------------------------------------------------- */

/* Whoever says stop as the thread's wait is over must not say it in vain: it would go to sleep
 * for good. The wait begins somewhere in store_open and lasts 5 ms (LINGER_MS); where it ends is
 * found by coming a little later each time. */
static void a_stop_as_a_wait_ends(void **state)
{
	struct store *first = world_store(*state, WORLD_START);

	store_close(&first);
	for (int64_t late_us = 5000; late_us < 6200; late_us += 6) {
		char reason[256] = "";
		int64_t begin_us = clock_mono_us();
		struct store *store;

		assert_int_equal(store_open(&store, reason, *state, WORLD_START), STORE_OK);
		while (clock_mono_us() - begin_us < late_us)
			continue;
		store_close(&store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(refusals_are_alone),
	    folder_test(another_payer),
	    folder_test(more_evidence),
	    folder_test(empty_and_unheard_batches),
	    folder_test(large_batch),
	    folder_test(expected_batches),
	    folder_test(eight_threads),
	    folder_test(callbacks_may_append),
	    cmocka_unit_test_setup_teardown(
		a_stop_as_a_wait_ends, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(killed_while_appending),
	    folder_test(journal_ids_rise),
	    folder_test(ends_that_nobody_waits_for),
	    folder_test(committed_by_itself),
	};

	return unit_run(tests);
}
