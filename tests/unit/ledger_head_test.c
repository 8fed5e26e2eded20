/* ledger_head_test - DIR/head: its form, its damage, and a ledger that has not what it says. */
#include "tests/unit/ledger_world.h"

#include <pthread.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/head.h"

static struct heads some_heads(void)
{
	struct heads heads = {{12, WORLD_START, {{1, 2, 3}}}, {34, 34, {{9, 8, 7}}}};

	return heads;
}

static void test_form(void **state)
{
	struct heads heads = some_heads(), again = {.journal = {.rows = 1}};
	char text[HEAD_SIZE + 1];

	(void)state;
	head_format(text, &heads);
	assert_int_equal(strlen(text), HEAD_SIZE);
	assert_int_equal(text[HEAD_SIZE - 1], '\n');
	assert_true(strncmp(text, "tallyward head 1\njournal 12 1763640000000000 010203", 49) == 0);
	assert_true(head_parse(&again, text, HEAD_SIZE));
	assert_memory_equal(&again, &heads, sizeof(heads));
	heads = (struct heads){.journal = {.rows = 0}};
	head_format(text, &heads);
	assert_true(head_parse(&again, text, HEAD_SIZE));
	assert_memory_equal(&again, &heads, sizeof(heads));
	/* The longest numbers there are fit. */
	heads.journal.rows = heads.record.rows = INT64_MAX;
	heads.journal.last = heads.record.last = INT64_MAX;
	head_format(text, &heads);
	assert_int_equal(strlen(text), HEAD_SIZE);
	assert_non_null(strstr(text, "\nsum "));
}

/* Any bit of any byte. */
static void test_every_change_is_seen(void **state)
{
	struct heads heads = some_heads(), again;
	char text[HEAD_SIZE + 1];

	(void)state;
	head_format(text, &heads);
	for (size_t i = 0; i < HEAD_SIZE; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] ^= (char)(1 << bit);
			if (head_parse(&again, text, HEAD_SIZE))
				fail_msg("byte %zu, bit %d", i, bit);
			text[i] ^= (char)(1 << bit);
		}
	}
	for (size_t size = 0; size < HEAD_SIZE; size++)
		assert_false(head_parse(&again, text, size));
}

static void test_reading(void **state)
{
	char *path = file_path(*state, HEAD_FILE);
	struct heads heads = some_heads(), again;
	char text[HEAD_SIZE + 1];

	assert_int_equal(head_read(&again, path), HEAD_ABSENT);
	assert_true(file_replace(path, "", 0, 0600));
	assert_int_equal(head_read(&again, path), HEAD_ABSENT);
	assert_true(file_replace(path, "tallyward head 1\n", 17, 0600));
	assert_int_equal(head_read(&again, path), HEAD_DAMAGED);
	head_format(text, &heads);
	assert_true(file_replace(path, text, HEAD_SIZE, 0600));
	assert_int_equal(head_read(&again, path), HEAD_OK);
	text[HEAD_SIZE] = '\n'; /* one byte more than there should be */
	assert_true(file_replace(path, text, HEAD_SIZE + 1, 0600));
	assert_int_equal(head_read(&again, path), HEAD_DAMAGED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(head_read(&again, path), HEAD_IO);
	assert_int_equal(rmdir(path), 0);
	free(path);
}

static void test_slot_is_rewritten_in_place(void **state)
{
	char *path = file_path(*state, HEAD_FILE);
	struct heads heads = some_heads(), again;
	struct stat before, after;
	struct head_slot *slot;

	/* What is longer is cut to size, or it would stay damaged. */
	assert_true(file_replace(path, (char[900]){'x'}, 900, 0600));
	slot = head_slot_open(path);
	assert_non_null(slot);
	assert_true(head_slot_put(slot, &heads));
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_size, HEAD_SIZE);
	heads.journal.rows = 9;
	assert_true(head_slot_put(slot, &heads));
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino && after.st_size == HEAD_SIZE);
	assert_int_equal(head_read(&again, path), HEAD_OK);
	assert_int_equal(again.journal.rows, 9);
	head_slot_close(&slot);
	assert_null(slot);
	assert_int_equal(unlink(path), 0);
	slot = head_slot_open(path);
	assert_non_null(slot);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mode & 0777, 0600);
	head_slot_close(&slot);
	assert_null(head_slot_open("/nowhere/at/all"));
	free(path);
}

static void test_full_disk_is_said(void **state)
{
	struct heads heads = some_heads();
	struct head_slot *slot = head_slot_open("/dev/full");

	(void)state;
	assert_non_null(slot);
	assert_false(head_slot_put(slot, &heads));
	assert_false(head_slot_put(slot, &heads));
	head_slot_close(&slot);
}

/* --- the writer's part ------------------------------------------------------------ */

static void assert_slot_is(struct store *store, const char *dir)
{
	char *path = file_path(dir, HEAD_FILE);
	struct verify_report report;
	struct heads heads;

	assert_int_equal(head_read(&heads, path), HEAD_OK);
	assert_int_equal(verify_run(&report, store), STORE_OK);
	assert_true(report.ok);
	assert_int_equal(heads.journal.rows, report.transactions);
	assert_int_equal(heads.record.rows, report.audits);
	assert_int_equal(heads.record.last, report.audits);
	assert_memory_equal(&heads.journal.hash, &report.head, DIGEST_SIZE);
	assert_memory_equal(&heads.record.hash, &report.audit_head, DIGEST_SIZE);
	verify_fini(&report);
	free(path);
}

static void test_writer_keeps_it(void **state)
{
	struct world world = {.now = WORLD_START};
	struct batch *batch;

	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	world_people(&world);
	assert_slot_is(world.store, *state);
	world_things(&world);
	world_history(&world);
	assert_slot_is(world.store, *state);
	/* A batch that is refused leaves no trace in it. */
	batch = batch_new(world.now);
	batch_agent(
	    batch, &(struct agent_row){
		       .id = world_id(&world), .name = "new", .owner = "o", .address = "0x"});
	batch_agent(
	    batch, &(struct agent_row){
		       .id = world_id(&world), .name = "two", .owner = "o", .address = "0x"});
	assert_int_equal(store_append_wait(world.store, &batch), STORE_EXISTS);
	world_deposit(&world, 5);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
}

/* --- a ledger that is older ------------------------------------------------------------ */

static void copy_file(const char *dir, const char *from, const char *to)
{
	char *from_path = file_path(dir, from), *to_path = file_path(dir, to);
	size_t size;
	char *bytes = file_read(&size, from_path, 64u << 20);

	assert_non_null(bytes);
	assert_true(file_replace(to_path, bytes, size, 0600));
	free(bytes);
	free(from_path);
	free(to_path);
}

static void assert_behind(struct store *store, const char *words)
{
	struct verify_report report;
	char reason[256] = "";

	assert_true(store_behind(store, reason));
	if (strstr(reason, words) == NULL)
		fail_msg("%s", reason);
	assert_int_equal(verify_run(&report, store), STORE_OK);
	assert_false(report.ok);
	assert_non_null(strstr(report.problems[0], "restored backup"));
	verify_fini(&report);
}

static void test_restored_backup_is_behind(void **state)
{
	char *path = file_path(*state, HEAD_FILE), *before, *after, reason[256];
	struct world world = {.now = WORLD_START};
	size_t size;

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	world_deposit(&world, 10);
	store_close(&world.store);
	copy_file(*state, "ledger.db", "backup.db");
	world.store = world_store(*state, WORLD_START);
	world_deposit(&world, 20);
	store_close(&world.store);
	before = file_read(&size, path, HEAD_SIZE);

	copy_file(*state, "backup.db", "ledger.db");
	world.store = world_store(*state, WORLD_START);
	assert_behind(world.store, "lacks its newest rows");
	/* What is written now does not wipe out the trace, nor does another start. */
	world_deposit(&world, 30);
	assert_behind(world.store, "lacks its newest rows");
	store_close(&world.store);
	after = file_read(&size, path, HEAD_SIZE);
	assert_memory_equal(before, after, HEAD_SIZE);
	world.store = world_store(*state, WORLD_START);
	assert_behind(world.store, "journal row");
	store_close(&world.store);

	/* The owner says that it was done on purpose. */
	assert_int_equal(unlink(path), 0);
	world.store = world_store(*state, WORLD_START);
	assert_false(store_behind(world.store, reason));
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	free(before);
	free(after);
	free(path);
}

/* A row by that id, but of another history: the same time, another amount. */
static void test_other_history_is_behind(void **state)
{
	char *path = file_path(*state, HEAD_FILE);
	struct world world = {.now = WORLD_START}, fork;

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	store_close(&world.store);
	copy_file(*state, "ledger.db", "backup.db");
	fork = world;
	world.store = world_store(*state, WORLD_START);
	world_deposit(&world, 20);
	store_close(&world.store);
	copy_file(*state, HEAD_FILE, "head.kept");
	copy_file(*state, "backup.db", "ledger.db");
	assert_int_equal(unlink(path), 0);
	fork.store = world_store(*state, WORLD_START);
	world_deposit(&fork, 21);
	store_close(&fork.store);
	copy_file(*state, "head.kept", HEAD_FILE);
	fork.store = world_store(*state, WORLD_START);
	assert_behind(fork.store, "another history");
	store_close(&fork.store);
	free(path);
}

/* Rows up to where the file ends are not counted again: one that is a commit or more behind, as
 * after a crash, none at all, and one that says nothing lead to the same heads. */
static void test_rows_are_counted_from_it(void **state)
{
	char *path = file_path(*state, HEAD_FILE), nothing[HEAD_SIZE + 1];
	struct world world = {.now = WORLD_START};
	struct heads zero = {.journal = {.rows = 0}};

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	world_things(&world);
	world_history(&world);
	copy_file(*state, HEAD_FILE, "head.older");
	world_deposit(&world, 20);
	world_deposit(&world, 21);
	store_close(&world.store);
	copy_file(*state, "head.older", HEAD_FILE);
	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	assert_int_equal(unlink(path), 0);
	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	head_format(nothing, &zero);
	assert_true(file_replace(path, nothing, HEAD_SIZE, 0600));
	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	free(path);
}

/* A file that is not true is not made true, but found by verify. */
static void test_wrong_count_is_found(void **state)
{
	char *path = file_path(*state, HEAD_FILE), text[HEAD_SIZE + 1];
	struct world world = {.now = WORLD_START};
	struct verify_report report;
	struct heads heads;

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	world_deposit(&world, 20);
	store_close(&world.store);
	assert_int_equal(head_read(&heads, path), HEAD_OK);
	heads.journal.rows++;
	heads.record.rows++;
	head_format(text, &heads);
	assert_true(file_replace(path, text, HEAD_SIZE, 0600));
	world.store = world_store(*state, WORLD_START);
	/* The record's rows are numbered, so that its next row has its place. */
	world_deposit(&world, 21);
	assert_int_equal(verify_run(&report, world.store), STORE_OK);
	assert_false(report.ok);
	verify_fini(&report);
	store_close(&world.store);
	free(path);
}

static void test_damage_is_said_once(void **state)
{
	char *path = file_path(*state, HEAD_FILE);
	struct world world = {.now = WORLD_START};
	struct verify_report report;
	char reason[256];

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	store_close(&world.store);
	assert_true(file_replace(path, "rubbish", 7, 0600));
	world.store = world_store(*state, WORLD_START);
	assert_false(store_behind(world.store, reason));
	assert_int_equal(verify_run(&report, world.store), STORE_OK);
	assert_false(report.ok);
	assert_int_equal(report.problem_count, 1);
	assert_non_null(strstr(report.problems[0], "damaged"));
	verify_fini(&report);
	store_close(&world.store);
	world.store = world_store(*state, WORLD_START);
	assert_slot_is(world.store, *state);
	store_close(&world.store);
	free(path);
}

/* --- verify beside the writer ------------------------------------------------------------ */

struct pump {
	struct world world;
	int rows;
};

static void *pump_rows(void *arg)
{
	struct pump *pump = arg;

	for (int i = 0; i < pump->rows; i++)
		world_deposit(&pump->world, 1 + i);
	return NULL;
}

static void test_no_false_alarm_while_rows_come(void **state)
{
	struct pump pump = {.world = {.now = WORLD_START}, .rows = 400};
	struct store *store;
	pthread_t thread;
	int64_t seen = 0;

	pump.world.store = store = world_store(*state, WORLD_START);
	world_people(&pump.world);
	assert_int_equal(pthread_create(&thread, NULL, pump_rows, &pump), 0);
	while (seen < pump.rows) {
		struct verify_report report;

		assert_int_equal(verify_run(&report, store), STORE_OK);
		if (!report.ok)
			fail_msg("%s", report.problems[0]);
		assert_true(report.transactions >= seen);
		seen = report.transactions;
		verify_fini(&report);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	store_close(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_every_change_is_seen),
	    cmocka_unit_test_setup_teardown(test_reading, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_slot_is_rewritten_in_place, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(test_full_disk_is_said),
	    cmocka_unit_test_setup_teardown(
		test_writer_keeps_it, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_restored_backup_is_behind, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_other_history_is_behind, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_rows_are_counted_from_it, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_wrong_count_is_found, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_damage_is_said_once, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_no_false_alarm_while_rows_come, unit_folder_make, unit_folder_remove),
	};

	return unit_run(tests);
}
