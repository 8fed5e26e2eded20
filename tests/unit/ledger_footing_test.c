/* ledger_footing_test - balances are added up by the writer and written once a commit: they are
 * right whatever is refused beside them, and never built on what another hand changed. */
#include "tests/unit/ledger_world.h"

#include <sched.h>
#include <sqlite3.h>

#include "common/file.h"
#include "ledger/schema.h"

static sqlite3 *shell(const char *dir)
{
	char *path = file_path(dir, "ledger.db");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
	free(path);
	return db;
}

static void run_sql(const char *dir, const char *sql)
{
	sqlite3 *db = shell(dir);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(const char *dir, const char *sql)
{
	sqlite3 *db = shell(dir);
	int64_t value = -1;

	if (!schema_number(&value, db, sql))
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return value;
}

static struct batch *deposit_of(struct world *world, const char *owner, int64_t amount)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, amount);

	row.owner = owner;
	batch_journal(batch, &row);
	return batch;
}

#define AVAILABLE                                                                                  \
	"SELECT b.amount FROM balance b JOIN account a ON a.id = b.account"                        \
	" WHERE a.name = 'wallet/coding-agent-01/available' AND a.network = '" WORLD_NETWORK "'"

/* What is remembered from the commit before is not what is there: nothing is written over it,
 * and the payment is not made. When it is put right the ledger goes on by itself. */
static void another_hand(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = deposit_of(&world, "a", 5);
	char reason[256] = "";
	int64_t before;

	assert_int_equal(store_append_wait(world.store, &batch), STORE_OK);
	before = number(*state, AVAILABLE);
	run_sql(*state, "UPDATE balance SET amount = amount + 1000000");
	batch = deposit_of(&world, "a", 7);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_BROKEN);
	assert_int_equal(store_health(world.store, reason), STORE_BROKEN);
	assert_non_null(strstr(reason, "changed by another hand"));
	assert_int_equal(number(*state, AVAILABLE), before + 1000000);
	run_sql(*state, "UPDATE balance SET amount = amount - 1000000");
	batch = deposit_of(&world, "a", 7);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_OK);
	assert_int_equal(store_health(world.store, reason), STORE_OK);
	assert_int_equal(number(*state, AVAILABLE), before + 7);
	world_assert_whole(world.store);
	store_close(&world.store);
}

static void no_balance(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch;
	char reason[256] = "";

	store_close(&world.store);
	run_sql(*state, "DELETE FROM balance WHERE account ="
			" (SELECT id FROM account WHERE name = 'wallet/coding-agent-01/available'"
			"  AND network = '" WORLD_NETWORK "')");
	world.store = world_store(*state, world.now);
	batch = deposit_of(&world, "a", 7);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_BROKEN);
	assert_int_equal(store_health(world.store, reason), STORE_BROKEN);
	assert_non_null(strstr(reason, "ledger verify"));
	store_close(&world.store);
}

/* --- a group that was applied before anybody waited for it, and fails ------------------ */

/* What it leaves in the ledger. */
struct traces {
	int64_t audits, states, settles;
};

static struct traces traces_in(const char *dir)
{
	return (struct traces){.audits = number(dir, "SELECT count(*) FROM audit"),
	    .states = number(dir, "SELECT count(*) FROM payment_state"),
	    .settles = number(dir, "SELECT count(*) FROM journal WHERE event = 4")};
}

static void assert_traces(const char *dir, const struct traces *before, int64_t more)
{
	struct traces now = traces_in(dir);

	assert_int_equal(now.audits, before->audits + more);
	assert_int_equal(now.states, before->states + more);
	assert_int_equal(now.settles, before->settles + more);
}

/* On the writer's thread, so that it finds all of it at once: an audit row, which can be
 * written, and an end, whose state can be written and whose money cannot be moved. */
static void append_unheard(enum store_result result, void *arg)
{
	struct world *world = arg;
	struct batch *audit = batch_new(world->now), *end;

	assert_int_equal(result, STORE_OK);
	batch_audit(audit, &(struct audit_row){.id = world_id(world), .kind = AUDIT_CALL});
	end = world_state(world, world->open, PAYMENT_SETTLED, 30000);
	store_append(world->store, &audit, NULL, NULL);
	store_append(world->store, &end, NULL, NULL);
}

static void append_policy(struct world *world, enum store_result expected)
{
	struct batch *batch = batch_new(world->now);

	batch_policy(batch, world_id(world), world->agent, "{}");
	assert_int_equal(store_append_wait(world->store, &batch), expected);
}

/* Its error is none that SQLite ends a transaction for: the writer has to, or what it had applied
 * would be committed with the next group, and once more when it is tried again. */
static void applied_early_and_failed(void **state)
{
	static const char insert[] = "INSERT INTO balance (account, amount) VALUES (%lld, %lld)";
	struct world world = world_open(*state);
	int64_t spent = number(*state, "SELECT id FROM account WHERE name LIKE 'spent/%'"
				       " AND network = '" WORLD_NETWORK "'");
	struct batch *batch = batch_new(world.now);
	char sql[128], reason[256] = "";
	struct traces before;
	int64_t amount;

	store_close(&world.store);
	snprintf(sql, sizeof(sql), "SELECT amount FROM balance WHERE account = %lld",
	    (long long)spent);
	amount = number(*state, sql);
	snprintf(sql, sizeof(sql), "DELETE FROM balance WHERE account = %lld", (long long)spent);
	run_sql(*state, sql);
	world.store = world_store(*state, world.now);
	before = traces_in(*state);

	store_append(world.store, &batch, append_unheard, &world);
	while (store_health(world.store, reason) == STORE_OK)
		sched_yield();
	assert_non_null(strstr(reason, "changed by another hand"));
	assert_traces(*state, &before, 0);
	/* Whoever comes next is told, and takes nothing of it along. */
	append_policy(&world, STORE_BROKEN);
	assert_traces(*state, &before, 0);
	assert_int_equal(store_queued(world.store), 2);

	snprintf(sql, sizeof(sql), insert, (long long)spent, (long long)amount);
	run_sql(*state, sql);
	append_policy(&world, STORE_OK);
	assert_int_equal(store_queued(world.store), 0);
	assert_traces(*state, &before, 1);
	world_assert_whole(world.store);
	store_close(&world.store);
	assert_traces(*state, &before, 1);
}

static void count_result(enum store_result result, void *arg)
{
	((int *)arg)[result]++;
}

/* In one group with what is refused: a second end of one payment, a sum that does not fit. */
static void refused_neighbours(void **state)
{
	struct world world = world_open(*state);
	int results[STORE_BROKEN + 1] = {0};
	int64_t before = number(*state, AVAILABLE);

	for (int i = 0; i < 50; i++) {
		struct batch *good = deposit_of(&world, "a", 3);
		struct batch *twice = world_state(&world, world.settled, PAYMENT_SETTLED, 50000);
		struct batch *large = deposit_of(&world, "a", INT64_MAX);

		store_append(world.store, &good, count_result, results);
		store_append(world.store, &twice, count_result, results);
		store_append(world.store, &large, count_result, results);
	}
	world_deposit(&world, 1);
	assert_int_equal(results[STORE_OK], 50);
	assert_int_equal(results[STORE_EXISTS], 100);
	assert_int_equal(number(*state, AVAILABLE), before + 50 * 3 + 1);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* More accounts in one commit than are remembered after it. */
static void many_accounts(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);
	char owner[32];

	for (int round = 0; round < 2; round++) {
		batch = round == 0 ? batch : batch_new(world.now);
		for (int i = 0; i < 5000; i++) {
			struct journal_row row = world_journal_row(&world, JOURNAL_DEPOSIT, 2);

			snprintf(owner, sizeof(owner), "owner %d", i);
			row.owner = owner;
			batch_journal(batch, &row);
		}
		assert_int_equal(store_append_wait(world.store, &batch), STORE_OK);
	}
	assert_int_equal(number(*state, "SELECT count(*) FROM balance WHERE amount = -4"), 5000);
	world_assert_whole(world.store);
	store_close(&world.store);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(another_hand),
	    folder_test(no_balance),
	    folder_test(applied_early_and_failed),
	    folder_test(refused_neighbours),
	    folder_test(many_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
