/* ledger_disk_test - a disk that fails at every write and every sync in turn, that is full and
 * is emptied again, and a process that ends there.
 *
 * What nobody waits for must be written once, and once only, when the disk is well again;
 * what somebody waited for and was told OK must be there; and the ledger is whole each time. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_world.h"

#include <sched.h>
#include <sys/stat.h>

#include "common/file.h"

#define PAYMENTS 2
/* So many tries of a row until the disk has failed as often as it was told to: far more than
 * any story has acts. */
#define TRIES_MAX 1000
/* So many acts past the end of a story are tried as well, because groups differ. */
#define PAST_THE_END 4

/* --- a folder with payments that are open --------------------------------------- */

struct bench {
	char *dir, *copy;
	struct world world; /* closed */
	int64_t payments[PAYMENTS];
};

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	void *dir;

	if (bench == NULL || unit_folder_make(&dir) != 0)
		return -1;
	disk_install();
	bench->dir = dir;
	bench->copy = file_path(dir, "copy");
	bench->world = world_open(dir);
	for (int i = 0; i < PAYMENTS; i++)
		bench->payments[i] = world_sign(&bench->world, 10 + i);
	store_close(&bench->world.store);
	*state = bench;
	return mkdir(bench->copy, 0700);
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;
	int result = unit_folder_remove(&dir);

	free(bench->copy);
	free(bench);
	return result;
}

static void copy_ledger(const struct bench *bench)
{
	static const char *const others[] = {"ledger.db-wal", "ledger.db-shm", "head", "redo"};
	char *from = file_path(bench->dir, "ledger.db"), *to = file_path(bench->copy, "ledger.db");
	size_t size;
	char *bytes = file_read(&size, from, 64u << 20);

	assert_non_null(bytes);
	assert_true(file_replace(to, bytes, size, 0600));
	for (size_t i = 0; i < COUNT(others); i++) {
		char *path = file_path(bench->copy, others[i]);

		unlink(path);
		free(path);
	}
	free(bytes);
	free(from);
	free(to);
}

static struct world open_copy(const struct bench *bench)
{
	struct world world = bench->world;

	world.store = world_store(bench->copy, WORLD_START);
	return world;
}

/* --- one story ----------------------------------------------------------------------- */

/* Ends that nobody waits for, signatures that somebody does, audit rows. */
struct story {
	struct world world;
	int64_t signed_ids[PAYMENTS], audits[PAYMENTS];
	enum store_result told[PAYMENTS];
};

static void note(enum store_result result, void *arg)
{
	__atomic_store_n((enum store_result *)arg, result, __ATOMIC_RELEASE);
}

static void append_end(struct story *story, int64_t payment, int64_t amount)
{
	struct batch *batch = world_state(&story->world, payment, PAYMENT_SETTLED, amount);

	store_append(story->world.store, &batch, NULL, NULL);
}

static void append_sign(struct story *story, int i)
{
	struct batch *batch = batch_new(story->world.now);
	int64_t call = world_id(&story->world);

	story->signed_ids[i] = world_id(&story->world);
	world_add_sign(&story->world, batch, call, story->signed_ids[i], 100);
	store_append(story->world.store, &batch, note, &story->told[i]);
}

static void append_audit(struct story *story, int i)
{
	struct batch *batch = batch_new(story->world.now);

	story->audits[i] = world_id(&story->world);
	batch_audit(batch, &(struct audit_row){.id = story->audits[i], .kind = AUDIT_CALL});
	store_append(story->world.store, &batch, NULL, NULL);
}

static void append_story(struct story *story, const struct bench *bench)
{
	for (int i = 0; i < PAYMENTS; i++) {
		append_end(story, bench->payments[i], 10 + i);
		append_sign(story, i);
		append_audit(story, i);
	}
}

static enum store_result append_policy(struct world *world)
{
	struct batch *batch = batch_new(world->now);

	batch_policy(batch, world_id(world), world->agent, "{}");
	return store_append_wait(world->store, &batch);
}

static bool count_payment(const struct payment_row *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return true;
}

static bool count_state(const struct payment_state_row *row, void *arg)
{
	*(int *)arg += row->state == PAYMENT_SETTLED;
	return true;
}

static bool count_audit(const struct audit_row *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return true;
}

struct settles {
	const struct bench *bench;
	int counts[PAYMENTS];
};

static bool count_settle(const struct journal_row *row, void *arg)
{
	struct settles *settles = arg;

	for (int i = 0; i < PAYMENTS; i++)
		settles->counts[i] +=
		    row->event == JOURNAL_SETTLE && row->payment == settles->bench->payments[i];
	return true;
}

/* What was handed over is there, whether or not somebody waited for it. killed: in the middle of
 * the story, which is known as far as it had come. */
static void check_story(
    const struct story *story, const struct bench *bench, struct store *store, bool killed)
{
	struct settles settles = {.bench = bench};

	assert_int_equal(store_journal(store, 0, 0, 0, 0, count_settle, &settles), STORE_OK);
	for (int i = 0; i < PAYMENTS; i++) {
		int states = 0, payments = 0, audits = 0;
		/* 0: the process ended before it had one. */
		int least = killed && story->audits[i] == 0 ? 0 : 1;

		assert_int_equal(
		    store_payment_states(store, bench->payments[i], count_state, &states),
		    STORE_OK);
		assert_true(states >= least && states <= 1);
		assert_int_equal(states, settles.counts[i]);
		if (story->audits[i] != 0)
			assert_int_equal(
			    store_audit(store, 0, story->audits[i], 0, count_audit, &audits),
			    STORE_OK);
		assert_true(audits >= least && audits <= 1);
		if (story->told[i] == STORE_OK) {
			assert_int_equal(
			    store_payment(store, story->signed_ids[i], count_payment, &payments),
			    STORE_OK);
			assert_int_equal(payments, 1);
		}
	}
	world_assert_whole(store);
}

/* --- errors ---------------------------------------------------------------------------- */

/* Returns how many acts failed. */
static int64_t fail_once(
    const struct bench *bench, int64_t after, int64_t count, enum disk_failure how)
{
	struct story story = {.world = open_copy(bench)};
	enum store_result result = STORE_BROKEN;
	char reason[256] = "untouched";
	int64_t failed;

	for (int i = 0; i < PAYMENTS; i++)
		story.told[i] = STORE_NOT_FOUND;
	disk_break(after, count, how);
	/* A commit of its own, which begins the log. */
	result = append_policy(&story.world);
	assert_true(result == STORE_OK || result == STORE_BROKEN);
	result = STORE_BROKEN;
	append_story(&story, bench);
	for (int i = 0; i < TRIES_MAX && result != STORE_OK; i++)
		result = append_policy(&story.world);
	failed = disk_heal();
	assert_int_equal(result, STORE_OK);
	assert_int_equal(store_queued(story.world.store), 0);
	assert_int_equal(store_health(story.world.store, reason), STORE_OK);
	assert_string_equal(reason, "untouched");
	for (int i = 0; i < PAYMENTS; i++)
		assert_true(story.told[i] == STORE_OK || story.told[i] == STORE_BROKEN);
	store_close(&story.world.store);
	story.world = open_copy(bench);
	check_story(&story, bench, story.world.store, false);
	store_close(&story.world.store);
	return failed;
}

static void each_act_fails(
    void **state, int64_t count, const enum disk_failure *hows, size_t how_count)
{
	for (size_t i = 0; i < how_count; i++) {
		int64_t met = 0;

		for (int64_t after = 0, past = 0; past < PAST_THE_END; after++) {
			copy_ledger(*state);
			if (fail_once(*state, after, count, hows[i]) > 0)
				met++;
			else
				past++;
		}
		assert_true(met >= 5);
	}
}

static void each_act_fails_once(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_FULL, DISK_HALF, DISK_DONE};

	each_act_fails(state, 1, hows, COUNT(hows));
}

static void each_act_fails_and_some_more(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_DONE};

	each_act_fails(state, 7, hows, COUNT(hows));
}

/* --- without traffic ---------------------------------------------------------------------- */

static void wait_for_health(struct store *store)
{
	char reason[256];

	disk_wait_synced();
	while (store_health(store, reason) != STORE_OK)
		sched_yield();
}

/* Nothing is queued and nobody calls: the writer asks the disk by itself. */
static void health_comes_back_by_itself(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_FULL};
	struct bench *bench = *state;

	for (size_t i = 0; i < COUNT(hows); i++) {
		struct world world;
		char reason[256] = "";

		copy_ledger(bench);
		world = open_copy(bench);
		disk_break(0, INT64_MAX, hows[i]);
		assert_int_equal(append_policy(&world), STORE_BROKEN);
		assert_int_equal(store_health(world.store, reason), STORE_BROKEN);
		assert_true(strlen(reason) > 0);
		/* Asked once more at least while it still fails, and an empty batch is no health.
		 */
		disk_wait_failed(2);
		struct batch *batch = batch_new(world.now);
		assert_int_equal(store_append_wait(world.store, &batch), STORE_BROKEN);
		assert_int_equal(store_health(world.store, reason), STORE_BROKEN);
		disk_heal();
		wait_for_health(world.store);
		assert_int_equal(append_policy(&world), STORE_OK);
		world_assert_whole(world.store);
		store_close(&world.store);
	}
}

static void kept_rows_are_written_by_themselves(void **state)
{
	struct bench *bench = *state;
	struct story story;

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	disk_break(0, INT64_MAX, DISK_FULL);
	append_story(&story, bench);
	disk_wait_failed(1);
	assert_true(store_queued(story.world.store) >= 2 * PAYMENTS - 2);
	disk_heal();
	wait_for_health(story.world.store);
	while (store_queued(story.world.store) > 0)
		sched_yield();
	check_story(&story, bench, story.world.store, false);
	store_close(&story.world.store);
}

/* --- flushing ------------------------------------------------------------------------------ */

/* The caller is held up no longer than it says, and told nothing that is not so; and what comes
 * of it later is nobody's memory. */
static void a_flush_ends(void **state)
{
	struct bench *bench = *state;
	struct story story;

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	append_story(&story, bench);
	assert_int_equal(store_flush(story.world.store, story.world.now, 60000), STORE_OK);
	assert_int_equal(store_queued(story.world.store), 0);
	check_story(&story, bench, story.world.store, false);

	disk_break(0, INT64_MAX, DISK_STALL);
	append_audit(&story, 0);
	assert_int_equal(store_flush(story.world.store, story.world.now, 1), STORE_BROKEN);
	disk_wait_failed(1);
	assert_true(store_queued(story.world.store) >= 2);
	disk_heal();
	assert_int_equal(store_flush(story.world.store, story.world.now, 60000), STORE_OK);
	check_story(&story, bench, story.world.store, false);

	disk_break(0, INT64_MAX, DISK_ERROR);
	append_audit(&story, 1);
	assert_int_equal(store_flush(story.world.store, story.world.now, 60000), STORE_BROKEN);
	disk_heal();
	assert_int_equal(store_flush(story.world.store, story.world.now, 60000), STORE_OK);
	check_story(&story, bench, story.world.store, false);
	store_close(&story.world.store);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void closing_tries_once_more(void **state)
{
	struct bench *bench = *state;
	struct story story;

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	disk_break(0, INT64_MAX, DISK_ERROR);
	append_story(&story, bench);
	disk_wait_failed(1);
	disk_heal();
	store_close(&story.world.store);
	story.world = open_copy(bench);
	check_story(&story, bench, story.world.store, false);
	store_close(&story.world.store);
}

static void closing_a_broken_ledger(void **state)
{
	struct bench *bench = *state;
	struct story story;

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	disk_break(0, INT64_MAX, DISK_ERROR);
	append_story(&story, bench);
	store_close(&story.world.store);
	assert_null(story.world.store);
	disk_heal();
	for (int i = 0; i < PAYMENTS; i++)
		assert_int_equal(story.told[i], STORE_BROKEN);
	story.world = open_copy(bench);
	check_story(&story, bench, story.world.store, true);
	store_close(&story.world.store);
}

/* --- too much to keep ----------------------------------------------------------------------------
 */

static void audit_rows_are_given_up_first(void **state)
{
	struct bench *bench = *state;
	struct story story;
	int audits = 0, before = 0;

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	assert_int_equal(store_audit(story.world.store, 0, 0, 0, count_audit, &before), STORE_OK);
	disk_break(0, INT64_MAX, DISK_ERROR);
	append_story(&story, bench);
	for (unsigned i = 0; i < STORE_KEPT_MAX + 2000; i++) {
		struct batch *batch = batch_new(story.world.now);

		batch_audit(
		    batch, &(struct audit_row){.id = world_id(&story.world), .kind = AUDIT_CALL});
		store_append(story.world.store, &batch, NULL, NULL);
	}
	/* Whoever waits is told first; the second is after what came of the first. */
	assert_int_equal(append_policy(&story.world), STORE_BROKEN);
	assert_int_equal(append_policy(&story.world), STORE_BROKEN);
	assert_true(store_queued(story.world.store) <= STORE_KEPT_MAX);
	/* The oldest audit rows went, which the story's are; its ends stay. */
	for (int i = 0; i < PAYMENTS; i++)
		append_audit(&story, i);
	disk_heal();
	assert_int_equal(append_policy(&story.world), STORE_OK);
	check_story(&story, bench, story.world.store, false);
	assert_int_equal(store_audit(story.world.store, 0, 0, 0, count_audit, &audits), STORE_OK);
	assert_true(audits - before <= (int)STORE_KEPT_MAX + PAYMENTS);
	assert_true(audits - before > (int)STORE_KEPT_MAX / 2);
	store_close(&story.world.store);
}

/* Few batches, but long ones: an answer of 256 KB goes with its audit row. */
static void long_answers_are_given_up(void **state)
{
	struct bench *bench = *state;
	struct story story;
	size_t size = 256u * 1024;
	char *body = calloc(1, size);

	copy_ledger(bench);
	story = (struct story){.world = open_copy(bench)};
	disk_break(0, INT64_MAX, DISK_ERROR);
	append_story(&story, bench);
	for (int i = 0; i < 900; i++) {
		struct batch *batch = batch_new(story.world.now);
		int64_t call = world_id(&story.world);

		batch_audit(batch, &(struct audit_row){.id = call, .kind = AUDIT_CALL});
		batch_answer(batch, &(struct answer_row){.call = call,
					.status = 200,
					.headers = "[]",
					.body = body,
					.body_size = size,
					.expires_us = INT64_MAX});
		store_append(story.world.store, &batch, NULL, NULL);
	}
	assert_int_equal(append_policy(&story.world), STORE_BROKEN);
	assert_int_equal(append_policy(&story.world), STORE_BROKEN);
	assert_true(store_queued(story.world.store) < 700);
	for (int i = 0; i < PAYMENTS; i++)
		append_audit(&story, i);
	disk_heal();
	assert_int_equal(append_policy(&story.world), STORE_OK);
	check_story(&story, bench, story.world.store, false);
	store_close(&story.world.store);
	free(body);
}

/* --- the process ends
 * ------------------------------------------------------------------------------ */

/* Runs in a child; what was told goes through the pipe, and the whole story when it ends. */
static void live_until_killed(
    const struct bench *bench, int fd, int64_t after, enum disk_failure how)
{
	struct story story = {.world = open_copy(bench)};

	for (int i = 0; i < PAYMENTS; i++)
		story.told[i] = STORE_NOT_FOUND;
	disk_break(after, 1, how);
	for (int i = 0; i < PAYMENTS; i++) {
		append_end(&story, bench->payments[i], 10 + i);
		append_audit(&story, i);
		append_sign(&story, i);
		if (write(fd, &story, sizeof(story)) != (ssize_t)sizeof(story))
			_exit(1);
		if (append_policy(&story.world) != STORE_OK)
			_exit(1);
		if (write(fd, &story, sizeof(story)) != (ssize_t)sizeof(story))
			_exit(1);
	}
	store_close(&story.world.store);
	if (write(fd, "", 1) != 1)
		_exit(1);
	_exit(0);
}

/* True: it was killed before the end of the story. */
static bool kill_once(const struct bench *bench, int64_t after, enum disk_failure how)
{
	struct story story = {.audits = {0}}, last;
	struct store *store;
	int pipes[2], status;
	ssize_t size;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		live_until_killed(bench, pipes[1], after, how);
	close(pipes[1]);
	while ((size = read(pipes[0], &last, sizeof(last))) == (ssize_t)sizeof(last))
		story = last;
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	store = world_store(bench->copy, WORLD_START);
	for (int i = 0; i < PAYMENTS; i++)
		story.told[i] = story.signed_ids[i] == 0 ? STORE_NOT_FOUND : story.told[i];
	check_story(&story, bench, store, true);
	store_close(&store);
	return size != 1;
}

static void killed_at_each_act(void **state)
{
	static const enum disk_failure hows[] = {DISK_KILL, DISK_KILL_AFTER};

	for (size_t i = 0; i < COUNT(hows); i++) {
		int64_t met = 0;

		for (int64_t after = 0, past = 0; past < PAST_THE_END; after++) {
			copy_ledger(*state);
			if (kill_once(*state, after, hows[i]))
				met++;
			else
				past++;
		}
		assert_true(met >= 5);
	}
}

/* Runs in a child, which ends when what it writes is in the log and not synced. */
static void sign_until_killed(const struct bench *bench)
{
	struct world world = open_copy(bench);
	struct batch *batch = batch_new(world.now);

	world_add_sign(&world, batch, world_id(&world), world_id(&world), 100);
	/* The first sync is that of the log's header. */
	disk_break_sync(1, 1, DISK_KILL);
	(void)!store_append_wait(world.store, &batch);
	_exit(1);
}

/* What is read after a start is durable, though nobody was told of it: whoever repeats the call
 * has the payment sent once more. */
static void a_start_syncs_what_was_not(void **state)
{
	struct bench *bench = *state;
	struct store *store = NULL;
	struct world world = bench->world;
	int before = 0, after = 0, status;
	char reason[256] = "";
	int64_t acts;
	pid_t child;

	copy_ledger(bench);
	world.store = world_store(bench->copy, WORLD_START);
	assert_int_equal(store_payments(world.store, 0, false, count_payment, &before), STORE_OK);
	store_close(&world.store);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		sign_until_killed(bench);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

	disk_break_sync(0, 1, DISK_ERROR);
	assert_int_equal(store_open(&store, reason, bench->copy, WORLD_START), STORE_BROKEN);
	assert_non_null(strstr(reason, "cannot sync"));
	assert_int_equal(disk_heal(), 1);
	/* From now on syncs are counted, and none fails. */
	disk_break_sync(0, 0, DISK_ERROR);
	acts = disk_acts();
	world.store = world_store(bench->copy, WORLD_START);
	assert_true(disk_acts() > acts);
	disk_heal();
	assert_int_equal(store_payments(world.store, 0, false, count_payment, &after), STORE_OK);
	assert_int_equal(after, before + 1);
	world_assert_whole(world.store);
	store_close(&world.store);
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_make, bench_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bench_test(each_act_fails_once),
	    bench_test(each_act_fails_and_some_more),
	    bench_test(health_comes_back_by_itself),
	    bench_test(kept_rows_are_written_by_themselves),
	    bench_test(a_flush_ends),
	    bench_test(closing_tries_once_more),
	    bench_test(closing_a_broken_ledger),
	    bench_test(audit_rows_are_given_up_first),
	    bench_test(long_answers_are_given_up),
	    bench_test(killed_at_each_act),
	    bench_test(a_start_syncs_what_was_not),
	};

	return unit_run(tests);
}
