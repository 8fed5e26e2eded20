/* ledger_journal_test - the canonical encoding against bytes written out by hand, and
 * against a ledger read with nothing but SQL. */
#include "tests/unit/ledger_world.h"

#include <sqlite3.h>

#include "common/bytes.h"
#include "common/file.h"
#include "ledger/journal.h"

static struct digest of_hex(const char *hex)
{
	uint8_t bytes[1024];
	size_t size = strlen(hex) / 2;

	assert_true(size <= sizeof(bytes));
	assert_true(hex_decode(bytes, size, hex));
	return sha256(bytes, size);
}

static void assert_digest(struct digest actual, struct digest expected)
{
	assert_memory_equal(actual.bytes, expected.bytes, DIGEST_SIZE);
}

#define ZERO32                                                                                     \
	"0000000000000000000000000000000000000000000000000000000000000000"
/* network row 258: "n", "" */
#define ROW_NETWORK "00090003" "010000000000000102" "02000000016e" "0200000000"
/* token row -1 (as no ledger has it): NULL, 3, 4 */
#define ROW_TOKEN "00070004" "01ffffffffffffffff" "00" "010000000000000003" "010000000000000004"

static void rows_by_hand(void **state)
{
	struct value network[] = {value_int(258), value_text("n"), value_text("")};
	struct value token[] = {value_int(-1), value_text(NULL), value_int(3), value_int(4)};
	struct digest before = {{0}}, after;

	(void)state;
	assert_digest(journal_row_digest(TABLE_NETWORK, network), of_hex(ROW_NETWORK));
	assert_digest(journal_row_digest(TABLE_TOKEN, token), of_hex(ROW_TOKEN));
	after = record_hash(&before, 1, TABLE_NETWORK, network);
	assert_digest(after, of_hex(ZERO32 "010000000000000001" ROW_NETWORK));
	before.bytes[0] = 0xff;
	assert_digest(record_hash(&before, 2, TABLE_TOKEN, token),
	    of_hex("ff00000000000000000000000000000000000000000000000000000000000000"
		   "010000000000000002" ROW_TOKEN));
}

#define ROW_JOURNAL                                                                                \
	"00010010" "010000000000000005" "010000000000000003" "010000000000000001"                  \
	"010000000000000002" "010000000000000009" "020000000161" "00" "00" "020000000174"          \
	"010000000000000007" "02000000016e" "020000000178" "020000000153" "00" "00"                \
	"010000000000000000"
#define POSTINGS                                                                                   \
	"0002" "020000000466726f6d" "01fffffffffffffff9" "0200000002746f" "010000000000000007"

static void journal_by_hand(void **state)
{
	struct value values[] = {value_int(5), value_int(3), value_int(1), value_int(2),
	    value_int(9), value_text("a"), value_text(NULL), value_text(NULL), value_text("t"),
	    value_int(7), value_text("n"), value_text("x"), value_text("S"), value_text(NULL),
	    value_text(NULL), value_int(0)};
	struct posting postings[] = {{"from", -7}, {"to", 7}};
	struct digest before = {{0}}, payment = {{0}};

	(void)state;
	assert_int_equal(COUNT(values), schema_table(TABLE_JOURNAL)->column_count);
	assert_digest(journal_hash(&before, values, postings, 2, NULL),
	    of_hex(ZERO32 ROW_JOURNAL POSTINGS "00"));
	assert_digest(journal_hash(&before, values, postings, 2, &payment),
	    of_hex(ZERO32 ROW_JOURNAL POSTINGS "0300000020" ZERO32));
}

static size_t put(uint8_t *out, size_t at, const void *bytes, size_t size)
{
	memcpy(out + at, bytes, size);
	return at + size;
}

/* Rows are gathered in pieces before they are hashed: a value may end at any byte of one. */
static void values_of_any_size(void **state)
{
	static const uint8_t before[] = {0, 7, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 0},
			     after[] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 0};
	char text[2200];
	uint8_t bytes[sizeof(before) + 2 + sizeof(text) + sizeof(after)];
	struct value token[] = {
	    value_int(5), {.type = VALUE_TEXT}, value_int(0x0102030405060708), value_text(NULL)};

	(void)state;
	memset(text, 't', sizeof(text));
	for (size_t size = 0; size <= sizeof(text); size++) {
		uint8_t low[] = {(uint8_t)(size >> 8), (uint8_t)size};
		size_t end = put(bytes, 0, before, sizeof(before));

		end = put(bytes, end, low, sizeof(low));
		end = put(bytes, end, text, size);
		end = put(bytes, end, after, sizeof(after));
		token[1].bytes = text;
		token[1].size = size;
		assert_digest(journal_row_digest(TABLE_TOKEN, token), sha256(bytes, end));
	}
}

/* Where one value ends and the next begins is part of what is hashed. */
static void borders_count(void **state)
{
	struct value one[] = {value_int(1), value_text("ab"), value_text("c")};
	struct value two[] = {value_int(1), value_text("a"), value_text("bc")};
	struct value three[] = {value_int(1), value_blob("ab", 2), value_text("c")};
	struct value four[] = {value_int(1), value_text("ab"), value_text(NULL)};
	struct digest digests[] = {journal_row_digest(TABLE_NETWORK, one),
	    journal_row_digest(TABLE_NETWORK, two), journal_row_digest(TABLE_NETWORK, three),
	    journal_row_digest(TABLE_NETWORK, four), journal_row_digest(TABLE_POLICY, one)};

	(void)state;
	for (size_t i = 0; i < COUNT(digests); i++) {
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(&digests[i], &digests[j], DIGEST_SIZE);
	}
}

/* A row of every type of value, from a statement. */
static void values_of_a_statement(void **state)
{
	struct value values[5];
	sqlite3_stmt *stmt;
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT 7, NULL, 'text', x'0102', ''", -1, &stmt,
			     NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	journal_values(values, stmt, 5);
	assert_true(values[0].type == VALUE_INT && values[0].number == 7);
	assert_int_equal(values[1].type, VALUE_NULL);
	assert_true(values[2].type == VALUE_TEXT && values[2].size == 4);
	assert_memory_equal(values[2].bytes, "text", 4);
	assert_true(values[3].type == VALUE_BLOB && values[3].size == 2);
	assert_memory_equal(values[3].bytes, "\1\2", 2);
	assert_true(values[4].type == VALUE_TEXT && values[4].size == 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* The first link of a real ledger, recomputed from what is in the file. */
static void first_record_of_a_ledger(void **state)
{
	struct world world = world_open(*state);
	char *path = file_path(*state, "ledger.db");
	struct value values[4];
	struct digest before = {{0}}, hash;
	sqlite3_stmt *stmt;
	sqlite3 *db;

	store_close(&world.store);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
			     "SELECT a.id, a.name, a.owner, a.address, r.hash FROM record r"
			     " JOIN agent a ON a.id = r.row WHERE r.seq = 1 AND r.kind = 2",
			     -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	journal_values(values, stmt, 4);
	hash = record_hash(&before, 1, TABLE_AGENT, values);
	assert_int_equal(sqlite3_column_bytes(stmt, 4), DIGEST_SIZE);
	assert_memory_equal(sqlite3_column_blob(stmt, 4), hash.bytes, DIGEST_SIZE);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(path);
}

static void our_own_bugs_abort(void **state)
{
	(void)state;
	assert_aborts((void)schema_table((enum table)0));
	assert_aborts((void)schema_table((enum table)19));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_by_hand),
	    cmocka_unit_test(journal_by_hand),
	    cmocka_unit_test(values_of_any_size),
	    cmocka_unit_test(borders_count),
	    cmocka_unit_test(values_of_a_statement),
	    cmocka_unit_test_setup_teardown(first_record_of_a_ledger, unit_folder_make,
		unit_folder_remove),
	    cmocka_unit_test(our_own_bugs_abort),
	};

	return unit_run(tests);
}
