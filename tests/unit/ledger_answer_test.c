/* ledger_answer_test - the answers kept for Idempotency-Keys take no more bytes than they may:
 * the oldest go, whatever else happens to them. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_world.h"

#include <sqlite3.h>

#include "common/file.h"

struct bench {
	struct world world;
	void *dir;
	int64_t next_call;
};

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL || unit_folder_make(&bench->dir) != 0)
		return -1;
	disk_install();
	bench->world = world_open(bench->dir);
	bench->next_call = 100;
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

static void add_answer(struct batch *batch, int64_t call, size_t size, int64_t expires_us)
{
	char *body = calloc(1, size + 1);

	/* Two bytes of headers. */
	batch_answer(batch, &(struct answer_row){.call = call,
				.status = 200,
				.headers = "[]",
				.body = body,
				.body_size = size - 2,
				.expires_us = expires_us});
	free(body);
}

static int64_t answer(struct bench *bench, size_t size)
{
	struct batch *batch = batch_new(bench->world.now);
	int64_t call = bench->next_call++;

	add_answer(batch, call, size, INT64_MAX);
	world_append(&bench->world, batch);
	return call;
}

static void touch(struct bench *bench)
{
	world_append(&bench->world, batch_new(bench->world.now));
}

/* With a shell, so that the count is not the program's own. */
static int64_t asked(struct bench *bench, const char *sql)
{
	char *path = file_path(bench->dir, "ledger.db");
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t value;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(path);
	return value;
}

#define BYTES     "SELECT coalesce(sum(length(headers) + length(body)), 0) FROM answer"
#define COUNT_ALL "SELECT count(*) FROM answer"
#define OLDEST    "SELECT min(call) FROM answer"

static void without_a_limit_all_stay(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 200; i++)
		answer(bench, 1000);
	assert_int_equal(asked(bench, COUNT_ALL), 200);
}

static void the_oldest_go(void **state)
{
	struct bench *bench = *state;

	store_set_answers_max(bench->world.store, 10000);
	for (int i = 0; i < 10; i++)
		answer(bench, 1000);
	assert_int_equal(asked(bench, BYTES), 10000);
	assert_int_equal(asked(bench, OLDEST), 100);
	answer(bench, 2);
	assert_int_equal(asked(bench, BYTES), 9002);
	assert_int_equal(asked(bench, OLDEST), 101);
	/* Fits beside the rest. */
	answer(bench, 998);
	assert_int_equal(asked(bench, BYTES), 10000);
	/* A large one takes the place of many, and one that is too large of all. */
	answer(bench, 9000);
	assert_int_equal(asked(bench, BYTES), 9000 + 998 + 2);
	answer(bench, 10001);
	assert_int_equal(asked(bench, COUNT_ALL), 0);
	answer(bench, 10000);
	assert_int_equal(asked(bench, COUNT_ALL), 1);
}

static void many_in_one_batch(void **state)
{
	struct bench *bench = *state;
	struct batch *batch = batch_new(bench->world.now);

	store_set_answers_max(bench->world.store, 5000);
	for (int i = 0; i < 500; i++)
		add_answer(batch, bench->next_call++, 100, INT64_MAX);
	world_append(&bench->world, batch);
	assert_int_equal(asked(bench, BYTES), 5000);
	assert_int_equal(asked(bench, OLDEST), 100 + 450);
}

/* The same call's answer again takes the place of the first. */
static void replaced(void **state)
{
	struct bench *bench = *state;
	struct batch *batch;

	store_set_answers_max(bench->world.store, 3000);
	answer(bench, 1000);
	answer(bench, 1000);
	for (int i = 0; i < 50; i++) {
		batch = batch_new(bench->world.now);
		add_answer(batch, 100, i % 2 == 0 ? 2000 : 500, INT64_MAX);
		world_append(&bench->world, batch);
	}
	assert_int_equal(asked(bench, COUNT_ALL), 2);
	assert_int_equal(asked(bench, BYTES), 1500);
	batch = batch_new(bench->world.now);
	add_answer(batch, 100, 2001, INT64_MAX);
	world_append(&bench->world, batch);
	assert_int_equal(asked(bench, OLDEST), 101);
	assert_int_equal(asked(bench, BYTES), 1000);
}

/* What expires is no longer counted; what a refused batch brought never was. */
static void expired_and_refused(void **state)
{
	struct bench *bench = *state;
	struct batch *batch;

	store_set_answers_max(bench->world.store, 3000);
	batch = batch_new(bench->world.now);
	add_answer(batch, 10, 2000, bench->world.now + 5);
	world_append(&bench->world, batch);
	/* They are looked for once a second. */
	bench->world.now += CLOCK_US_PER_S;
	touch(bench);
	assert_int_equal(asked(bench, COUNT_ALL), 0);
	for (int i = 0; i < 5; i++) {
		batch = batch_new(bench->world.now);
		add_answer(batch, 20 + i, 2000, INT64_MAX);
		batch_policy(batch, world_id(&bench->world), 12, "{}");
		assert_int_equal(store_append_wait(bench->world.store, &batch), STORE_NOT_FOUND);
	}
	answer(bench, 1500);
	answer(bench, 1500);
	assert_int_equal(asked(bench, BYTES), 3000);
}

/* A limit that is lowered is reached in portions, and one that is lifted holds nobody. */
static void the_limit_changes(void **state)
{
	struct bench *bench = *state;
	int64_t before;

	for (int i = 0; i < 300; i++)
		answer(bench, 100);
	store_set_answers_max(bench->world.store, 1000);
	before = asked(bench, COUNT_ALL);
	touch(bench);
	assert_int_equal(asked(bench, COUNT_ALL), before);
	for (int i = 0; i < 10 && asked(bench, COUNT_ALL) > 10; i++) {
		int64_t now;

		answer(bench, 100);
		now = asked(bench, COUNT_ALL);
		assert_true(now < before && before - now <= 64);
		before = now;
	}
	assert_int_equal(asked(bench, BYTES), 1000);
	store_set_answers_max(bench->world.store, INT64_MAX);
	for (int i = 0; i < 30; i++)
		answer(bench, 100);
	assert_int_equal(asked(bench, COUNT_ALL), 40);
	store_set_answers_max(bench->world.store, 2000);
	answer(bench, 100);
	assert_int_equal(asked(bench, BYTES), 2000);
	store_set_answers_max(bench->world.store, 0);
	touch(bench);
	assert_int_equal(asked(bench, COUNT_ALL), 0);
	assert_aborts(store_set_answers_max(bench->world.store, -1));
}

/* After a commit that failed the sum is made again from what is there. */
static void a_disk_that_fails(void **state)
{
	struct bench *bench = *state;

	store_set_answers_max(bench->world.store, 5000);
	for (int i = 0; i < 5; i++)
		answer(bench, 1000);
	for (int after = 0; after < 12; after++) {
		struct batch *batch = batch_new(bench->world.now);

		disk_break(after, 1, DISK_ERROR);
		add_answer(batch, bench->next_call++, 900, INT64_MAX);
		(void)!store_append_wait(bench->world.store, &batch);
		disk_heal();
		assert_true(asked(bench, BYTES) <= 5000);
	}
	for (int i = 0; i < 6; i++)
		answer(bench, 1000);
	assert_int_equal(asked(bench, BYTES), 5000);
}

/* A ledger that is opened again has its answers. */
static void after_a_restart(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 10; i++)
		answer(bench, 1000);
	store_close(&bench->world.store);
	bench->world.store = world_store(bench->dir, WORLD_START);
	store_set_answers_max(bench->world.store, 4000);
	answer(bench, 1000);
	assert_int_equal(asked(bench, BYTES), 4000);
	assert_int_equal(asked(bench, OLDEST), 107);
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_make, bench_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bench_test(without_a_limit_all_stay),
	    bench_test(the_oldest_go),
	    bench_test(many_in_one_batch),
	    bench_test(replaced),
	    bench_test(expired_and_refused),
	    bench_test(the_limit_changes),
	    bench_test(a_disk_that_fails),
	    bench_test(after_a_restart),
	};

	return unit_run(tests);
}
