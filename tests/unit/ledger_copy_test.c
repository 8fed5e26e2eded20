/* ledger_copy_test - a copy of a ledger that is being written to, and what stands in its way. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_world.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "common/file.h"

struct bench {
	struct world world;
	void *dir;
	char *folder; /* of the copy; the copy is named like a ledger */
	char *copy;
};

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL || unit_folder_make(&bench->dir) != 0)
		return -1;
	disk_install();
	bench->world = world_open(bench->dir);
	bench->folder = file_path(bench->dir, "folder");
	bench->copy = file_path(bench->folder, "ledger.db");
	*state = bench;
	return mkdir(bench->folder, 0700);
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	int result;

	store_close(&bench->world.store);
	result = unit_folder_remove(&bench->dir);
	free(bench->folder);
	free(bench->copy);
	free(bench);
	return result;
}

static void assert_nothing_there(const struct bench *bench)
{
	/* An empty folder can be removed. */
	assert_int_equal(rmdir(bench->folder), 0);
	assert_int_equal(mkdir(bench->folder, 0700), 0);
}

static struct verify_report report_of(struct store *store)
{
	struct verify_report report;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	if (!report.ok)
		fail_msg("%s", report.problems[0]);
	return report;
}

static void one_file_like_the_ledger(void **state)
{
	static const char *const beside[] = {"ledger.db-wal", "ledger.db-shm", "ledger.db-journal"};
	struct bench *bench = *state;
	struct verify_report mine = report_of(bench->world.store), its;
	char reason[256] = "untouched";
	struct stat status;
	struct store *copy;

	umask(0);
	assert_int_equal(store_backup(bench->world.store, reason, bench->copy), STORE_OK);
	umask(022);
	assert_string_equal(reason, "untouched");
	assert_int_equal(stat(bench->copy, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	for (size_t i = 0; i < COUNT(beside); i++) {
		char *path = file_path(bench->folder, beside[i]);

		assert_int_equal(access(path, F_OK), -1);
		free(path);
	}
	/* It is a ledger of its own, and the other goes on. */
	copy = world_store(bench->folder, WORLD_START);
	its = report_of(copy);
	assert_int_equal(its.transactions, mine.transactions);
	assert_int_equal(its.audits, mine.audits);
	assert_memory_equal(&its.head, &mine.head, sizeof(its.head));
	assert_memory_equal(&its.audit_head, &mine.audit_head, sizeof(its.head));
	verify_fini(&its);
	verify_fini(&mine);
	store_close(&copy);
	world_sign(&bench->world, 1);
	world_assert_whole(bench->world.store);
}

static void nothing_is_written_over(void **state)
{
	struct bench *bench = *state;
	char reason[256] = "", *link = file_path(bench->folder, "link");
	char *target = file_path(bench->folder, "target");

	assert_int_equal(store_backup(bench->world.store, reason, bench->copy), STORE_OK);
	assert_int_equal(store_backup(bench->world.store, reason, bench->copy), STORE_EXISTS);
	assert_non_null(strstr(reason, "exists already"));
	assert_int_equal(access(bench->copy, F_OK), 0);
	assert_int_equal(store_backup(bench->world.store, reason, bench->folder), STORE_EXISTS);
	/* A link that leads nowhere is something that is there. */
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(store_backup(bench->world.store, reason, link), STORE_EXISTS);
	assert_int_equal(access(target, F_OK), -1);
	free(link);
	free(target);
}

static void nowhere_to_write(void **state)
{
	struct bench *bench = *state;
	char reason[256] = "", *absent = file_path(bench->dir, "absent/ledger.db");

	assert_int_equal(store_backup(bench->world.store, reason, absent), STORE_BROKEN);
	assert_non_null(strstr(reason, "No such file"));
	/* Without a name it is the folder. */
	assert_int_equal(store_backup(bench->world.store, reason, ""), STORE_EXISTS);
	free(absent);
}

/* A name of the process's folder, also one that SQLite would take for a URI. */
static void relative_names(void **state)
{
	static const char *const names[] = {"copy", "file:copy?mode=memory", ":memory:", "./dot"};
	struct bench *bench = *state;
	char reason[256] = "", before[4096];

	assert_non_null(getcwd(before, sizeof(before)));
	for (size_t i = 0; i < COUNT(names); i++) {
		struct stat status;

		assert_int_equal(chdir(bench->folder), 0);
		if (store_backup(bench->world.store, reason, names[i]) != STORE_OK)
			fail_msg("%s: %s", names[i], reason);
		assert_int_equal(stat(names[i], &status), 0);
		row_check(names[i], status.st_size > 50000);
		assert_int_equal(unlink(names[i]), 0);
		assert_int_equal(chdir(before), 0);
		assert_nothing_there(bench);
	}
}

/* Each act of the copying fails in turn: then nothing is left of it, and the ledger is none
 * the worse. */
static void a_disk_that_fails(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_FULL, DISK_HALF};
	struct bench *bench = *state;

	for (size_t i = 0; i < COUNT(hows); i++) {
		int64_t met = 0;

		for (int64_t after = 0, past = 0; past < 3; after++) {
			char reason[256] = "";
			enum store_result result;

			disk_break(after, 1, hows[i]);
			result = store_backup(bench->world.store, reason, bench->copy);
			if (disk_heal() == 0) {
				past++;
				assert_int_equal(result, STORE_OK);
				assert_int_equal(unlink(bench->copy), 0);
				continue;
			}
			met++;
			if (result == STORE_OK) {
				/* The disk got over it. */
				assert_int_equal(unlink(bench->copy), 0);
				continue;
			}
			assert_int_equal(result, STORE_BROKEN);
			assert_true(strlen(reason) > 0);
			assert_nothing_there(bench);
		}
		assert_true(met > 20);
	}
	world_sign(&bench->world, 1);
	world_assert_whole(bench->world.store);
}

static void a_full_disk(void **state)
{
	struct bench *bench = *state;
	struct rlimit limit, full;
	char reason[256] = "";

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	full = limit;
	full.rlim_cur = 30000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(store_backup(bench->world.store, reason, bench->copy), STORE_BROKEN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(strlen(reason) > 0);
	assert_nothing_there(bench);
	assert_int_equal(store_backup(bench->world.store, reason, bench->copy), STORE_OK);
}

static bool writing_stops;

static void *keep_writing(void *arg)
{
	struct world *world = arg;

	while (!__atomic_load_n(&writing_stops, __ATOMIC_ACQUIRE))
		world_sign(world, 1);
	return NULL;
}

/* Each copy is one moment: whole, and later than the copy before. */
static void copies_while_it_is_written(void **state)
{
	struct bench *bench = *state;
	pthread_t thread;
	int64_t before = 0;

	__atomic_store_n(&writing_stops, false, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &bench->world), 0);
	for (int i = 0; i < 8; i++) {
		char reason[256] = "", *head = file_path(bench->folder, "head");
		struct verify_report report;
		struct store *copy;

		if (store_backup(bench->world.store, reason, bench->copy) != STORE_OK)
			fail_msg("%s", reason);
		copy = world_store(bench->folder, WORLD_START);
		report = report_of(copy);
		assert_true(report.transactions >= before);
		before = report.transactions;
		verify_fini(&report);
		store_close(&copy);
		assert_int_equal(unlink(bench->copy), 0);
		unlink(head);
		free(head);
	}
	__atomic_store_n(&writing_stops, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	world_assert_whole(bench->world.store);
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_make, bench_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bench_test(one_file_like_the_ledger),
	    bench_test(nothing_is_written_over),
	    bench_test(nowhere_to_write),
	    bench_test(relative_names),
	    bench_test(a_disk_that_fails),
	    bench_test(a_full_disk),
	    bench_test(copies_while_it_is_written),
	};

	return unit_run(tests);
}
