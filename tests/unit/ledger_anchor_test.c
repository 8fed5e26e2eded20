/* ledger_anchor_test - lines of the anchor file: one spelling each, torn at every byte. */
#include "tests/unit/ledger_anchors.h"

#include <sys/stat.h>

#include "common/file.h"

static struct anchor some_anchor(void)
{
	struct anchor anchor = {.number = 7,
	    .time_us = WORLD_START + 1,
	    .installation = ANCHORS_INSTALLATION,
	    .journal = {40, {42, WORLD_START, {{1}}}, {{2}}},
	    .record = {90, {97, 97, {{3}}}, {{4}}},
	    .before = {{5}}};

	anchors_sign(&anchor);
	return anchor;
}

static void test_form(void **state)
{
	static const char start[] =
	    "{\"anchor\":7,\"time\":\"2025-11-20T12:00:00.000001Z\",\"installation\":"
	    "\"0x857b06519E91e3A54538791bDbb0E22373e36b66\",\"journal\":{\"from\":40,\"rows\":42,"
	    "\"last\":\"1763640000000000\",\"head\":\"0100";
	struct anchor anchor = some_anchor(), again;
	char statement[ANCHOR_LINE_MAX], line[ANCHOR_LINE_MAX];
	size_t statement_size = anchor_statement(statement, &anchor);
	size_t size = anchor_format(line, &anchor);

	(void)state;
	assert_memory_equal(line, start, sizeof(start) - 1);
	/* The statement is the line without its last member. */
	assert_memory_equal(line, statement, statement_size - 1);
	assert_memory_equal(line + statement_size - 1, ",\"signature\":\"0x", 16);
	assert_int_equal(line[size - 1], '}');
	assert_int_equal(statement[statement_size - 1], '}');
	assert_true(anchor_parse(&again, line, size));
	assert_int_equal(again.number, 7);
	assert_int_equal(again.time_us, anchor.time_us);
	assert_memory_equal(&again.journal, &anchor.journal, sizeof(anchor.journal));
	assert_memory_equal(&again.record, &anchor.record, sizeof(anchor.record));
	assert_memory_equal(&again.before, &anchor.before, sizeof(anchor.before));
	assert_string_equal(again.installation, anchor.installation);
	assert_string_equal(again.signature, anchor.signature);
}

static void test_longest_fits(void **state)
{
	struct anchor anchor = some_anchor(), again;
	char line[ANCHOR_LINE_MAX];

	(void)state;
	anchor.number = ANCHOR_NUMBER_MAX;
	anchor.journal.from = anchor.journal.head.rows = ANCHOR_NUMBER_MAX;
	anchor.record = anchor.journal;
	anchor.journal.head.last = anchor.record.head.last = INT64_C(999999999999999999);
	assert_true(anchor_parse(&again, line, anchor_format(line, &anchor)));
}

/* What a line may not be, by editing a good one. */
static void test_bad_lines(void **state)
{
	static const struct {
		const char *row, *from, *to;
	} rows[] = {
	    {"blank", "\"anchor\":7", "\"anchor\": 7"},
	    {"zero", "\"anchor\":7", "\"anchor\":0"},
	    {"negative", "\"anchor\":7", "\"anchor\":-7"},
	    {"fraction", "\"anchor\":7", "\"anchor\":7.0"},
	    {"number as text", "\"anchor\":7", "\"anchor\":\"7\""},
	    {"leading zero", "\"anchor\":7", "\"anchor\":07"},
	    {"beyond 2^53", "\"anchor\":7", "\"anchor\":9007199254740992"},
	    {"another member", "\"anchor\":7", "\"anchor\":7,\"more\":1"},
	    {"member twice", "\"anchor\":7", "\"anchor\":7,\"anchor\":7"},
	    {"no number", "\"anchor\":7,", ""},
	    {"offset", "00.000001Z", "00.000001+00:00"},
	    {"finer time", "00.000001Z", "00.0000010Z"},
	    {"no time", "2025-11-20T", "2025-13-20T"},
	    {"short address", "0x857b", "0x857"},
	    {"rows before from", "\"from\":40", "\"from\":43"},
	    {"too many rows", "\"from\":40,\"rows\":42", "\"from\":40,\"rows\":16425"},
	    {"negative rows", "\"from\":40", "\"from\":-1"},
	    {"last as number", "\"1763640000000000\"", "1763640000000000"},
	    {"last with sign", "\"1763640000000000\"", "\"+1763640000000000\""},
	    {"last below rows", "\"1763640000000000\"", "\"41\""},
	    {"last too long", "\"1763640000000000\"", "\"99999999999999999999999\""},
	    {"upper-case digest", "\"head\":\"01", "\"head\":\"0A"},
	    {"short digest", "\"head\":\"01", "\"head\":\"1"},
	    {"no digest", "\"root\":\"02", "\"root\":\"0g"},
	    {"order", "\"journal\":", "\"record\":"},
	    {"short signature", "\"signature\":\"0x0", "\"signature\":\"0x"},
	    {"escape", "\"before\":", "\"\\u0062efore\":"},
	    {"tail", "\"}", "\"} "},
	    {"array", "{\"anchor\"", "[{\"anchor\""},
	};
	struct anchor anchor = some_anchor(), again = {.number = 1};
	char line[ANCHOR_LINE_MAX];
	size_t size = anchor_format(line, &anchor);

	(void)state;
	line[size] = '\0';
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *at = strstr(line, rows[i].from);
		char *edited;

		row_check(rows[i].row, at != NULL);
		edited = must_format(
		    "%.*s%s%s", (int)(at - line), line, rows[i].to, at + strlen(rows[i].from));
		row_check(rows[i].row, !anchor_parse(&again, edited, strlen(edited)));
		free(edited);
	}
	assert_int_equal(again.number, 1);
	assert_false(anchor_parse(&again, "", 0));
	assert_false(anchor_parse(&again, "{}", 2));
	assert_false(anchor_parse(&again, line, 4096));
}

/* Whatever still parses after a change of one byte is another anchor, and not signed. */
static void test_every_byte_counts(void **state)
{
	struct anchor anchor = some_anchor(), again;
	char line[ANCHOR_LINE_MAX], statement[ANCHOR_LINE_MAX];
	size_t size = anchor_format(line, &anchor), parsed = 0;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		for (int change = 1; change < 256; change++) {
			line[i] ^= (char)change;
			if (anchor_parse(&again, line, size)) {
				parsed++;
				if (anchors_signed_by(NULL, "", statement,
					anchor_statement(statement, &again), again.signature))
					fail_msg("byte %zu", i);
			}
			line[i] ^= (char)change;
		}
	}
	/* Digits of numbers and digests: the case above was reached. */
	assert_true(parsed > 1000);
}

/* --- files ----------------------------------------------------------------------- */

struct seen {
	size_t good, bad;
	int64_t numbers[16];
	int64_t last_at;
};

static bool see(const struct anchor_line *line, void *arg)
{
	struct seen *seen = arg;

	if (line->good && seen->good < COUNT(seen->numbers))
		seen->numbers[seen->good++] = line->anchor.number;
	else
		seen->bad++;
	seen->last_at = line->at;
	return true;
}

static struct seen look(const char *path, bool loose)
{
	struct seen seen = {.good = 0};

	assert_int_equal(anchor_each(path, loose, see, &seen), ANCHOR_OK);
	return seen;
}

static struct anchor_tail tail_of(const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND);
	struct anchor_tail tail;

	assert_true(fd >= 0);
	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_OK);
	assert_int_equal(close(fd), 0);
	return tail;
}

/* What a cut leaves. A line is whole also without its newline. */
struct cut {
	int64_t whole;
	bool torn, near_end;
};

static struct cut cut_at(const char *bytes, size_t cut, const size_t ends[3])
{
	struct cut at = {.torn = cut > 0 && bytes[cut - 1] != '\n'};

	for (int i = 0; i < 3; i++) {
		at.whole += cut >= ends[i];
		at.torn = at.torn && cut != ends[i];
		at.near_end = at.near_end || (cut + 2 >= ends[i] && cut <= ends[i] + 2);
	}
	return at;
}

/* A file cut anywhere is read, goes on with a line of its own, and verifies. */
static void test_torn_at_every_byte(void **state)
{
	char *path = file_path(*state, "anchors"), *torn = file_path(*state, "torn");
	struct world world = {.now = WORLD_START};
	struct witness_options options = {.anchor_file = torn, .signed_by = anchors_signed_by};
	size_t size, ends[3] = {0};
	char *bytes;

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	for (int i = 0; i < 3; i++) {
		world_deposit(&world, 10 + i);
		assert_true(anchors_add(world.store, path, world.now));
	}
	assert_false(anchors_add(world.store, path, world.now));
	bytes = file_read(&size, path, 1u << 20);
	assert_non_null(bytes);
	for (size_t i = 0, line = 0; i < size; i++) {
		if (bytes[i] == '\n')
			ends[line++] = i;
	}
	for (size_t cut = 0; cut <= size; cut++) {
		struct cut at = cut_at(bytes, cut, ends);
		struct verify_report report;
		struct anchor_tail tail;
		struct seen seen;

		assert_true(file_replace(torn, bytes, cut, 0600));
		tail = tail_of(torn);
		/* A last line without its newline is whole. */
		assert_int_equal(tail.any ? tail.newest.number : 0, at.whole);
		assert_int_equal(tail.open_line, cut > 0 && bytes[cut - 1] != '\n');
		if (cut % 97 == 0 || at.near_end) {
			assert_int_equal(verify_against(&report, world.store, &options), STORE_OK);
			if (!report.ok)
				fail_msg("cut at %zu: %s", cut, report.problems[0]);
			assert_int_equal(report.torn, at.torn);
			verify_fini(&report);
		}
		while (anchors_add(world.store, torn, world.now))
			;
		seen = look(torn, false);
		assert_int_equal(seen.bad, at.torn);
		for (size_t i = 0; i < seen.good; i++)
			assert_int_equal(seen.numbers[i], i + 1);
		if (cut % 97 == 0 || at.near_end) {
			assert_int_equal(verify_against(&report, world.store, &options), STORE_OK);
			if (!report.ok)
				fail_msg("healed at %zu: %s", cut, report.problems[0]);
			assert_int_equal(report.anchors, seen.good);
			verify_fini(&report);
		}
	}
	store_close(&world.store);
	free(bytes);
	free(path);
	free(torn);
}

static void test_files_that_are_none(void **state)
{
	char *path = file_path(*state, "anchors");
	struct seen seen = {.good = 0};
	struct anchor_tail tail;
	char *bytes = calloc(1, ANCHOR_TAIL_SIZE + 1);
	int fd;

	assert_non_null(bytes);
	assert_int_equal(anchor_each(path, false, see, &seen), ANCHOR_ABSENT);
	assert_int_equal(anchor_each(*state, false, see, &seen), ANCHOR_FOREIGN);
	assert_int_equal(anchor_each("/dev/null", false, see, &seen), ANCHOR_FOREIGN);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(anchor_each(path, false, see, &seen), ANCHOR_FOREIGN);
	assert_int_equal(unlink(path), 0);
	fd = open(*state, O_RDONLY);
	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_FOREIGN);
	close(fd);
	/* Rubbish of a size that a crash may leave is healed; more of it is not ours. */
	assert_true(file_replace(path, bytes, ANCHOR_TAIL_SIZE, 0600));
	tail = tail_of(path);
	assert_false(tail.any);
	assert_true(tail.open_line);
	assert_true(file_replace(path, bytes, ANCHOR_TAIL_SIZE + 1, 0600));
	fd = open(path, O_RDWR | O_APPEND);
	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_FOREIGN);
	close(fd);
	seen = look(path, false);
	assert_int_equal(seen.bad, 1);
	/* Another file of the owner's, named by mistake. */
	assert_true(file_replace(path, "{\"tools\": {}}\n", 15, 0600));
	fd = open(path, O_RDWR | O_APPEND);
	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_FOREIGN);
	close(fd);
	free(bytes);
	free(path);
}

static void test_long_and_empty_lines(void **state)
{
	char *path = file_path(*state, "anchors");
	struct anchor anchor = some_anchor();
	char line[ANCHOR_LINE_MAX];
	size_t size = anchor_format(line, &anchor);
	struct buf text;
	struct seen seen;

	buf_init(&text, 1u << 20);
	buf_add_str(&text, "\n\n");
	buf_add(&text, line, size);
	buf_add_str(&text, "\n");
	for (int i = 0; i < 100000; i++)
		buf_add_str(&text, "x");
	buf_add_str(&text, "\r\n");
	buf_add(&text, line, size);
	buf_add_str(&text, "\r\n\n");
	buf_add(&text, line, size);
	assert_true(file_replace(path, text.data, text.size, 0600));
	seen = look(path, false);
	assert_int_equal(seen.good, 2);
	assert_int_equal(seen.bad, 2);
	assert_int_equal(seen.last_at, 7);
	seen = look(path, true);
	assert_int_equal(seen.good, 3);
	assert_int_equal(seen.bad, 1);
	buf_fini(&text);
	free(path);
}

static void test_lines_of_a_system_log(void **state)
{
	char *path = file_path(*state, "syslog");
	struct anchor anchor = some_anchor();
	char line[ANCHOR_LINE_MAX];
	int size = (int)anchor_format(line, &anchor);
	char *text = must_format("Nov 20 12:00:00 host tallyward[12]: %.*s\n"
				 "Nov 20 12:00:01 host other: {\"anchor\":\n",
	    size, line);
	struct seen seen;

	assert_true(file_replace(path, text, strlen(text), 0600));
	seen = look(path, true);
	assert_int_equal(seen.good, 1);
	assert_int_equal(seen.bad, 1);
	seen = look(path, false);
	assert_int_equal(seen.good, 0);
	free(text);
	free(path);
}

static void test_append_that_fails(void **state)
{
	struct anchor_tail tail = {.any = false};
	int fd = open("/dev/full", O_RDWR | O_APPEND);

	(void)state;
	assert_true(fd >= 0);
	assert_false(anchor_append(&tail, fd, "x", 1));
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	assert_false(anchor_append(&tail, fd, "x", 1));
	close(fd);
}

/* --- what an anchor says -------------------------------------------------------- */

static void test_many_rows_make_many_anchors(void **state)
{
	char *path = file_path(*state, "anchors");
	struct witness_options options = {.anchor_file = path, .signed_by = anchors_signed_by};
	struct world world = {.now = WORLD_START};
	struct verify_report report;
	struct batch *batch;
	size_t made = 0;

	world.store = world_store(*state, WORLD_START);
	world_people(&world);
	batch = batch_new(world.now);
	for (int i = 0; i < 2 * ANCHOR_ROWS_MAX; i++)
		batch_token_revoked(batch, world_id(&world), "session-one");
	world_append(&world, batch);
	world_deposit(&world, 1);
	while (anchors_add(world.store, path, world.now))
		made++;
	assert_int_equal(made, 3);
	assert_int_equal(verify_against(&report, world.store, &options), STORE_OK);
	if (!report.ok)
		fail_msg("%s", report.problems[0]);
	assert_int_equal(report.anchors, 3);
	assert_int_equal(report.anchored_us, world.now);
	verify_fini(&report);
	store_close(&world.store);
	free(path);
}

static void test_nothing_and_behind(void **state)
{
	struct anchor_chain journal = {.from = -1}, record = {.from = -1};
	struct world world = {.now = WORLD_START};
	struct anchor newest = some_anchor();

	world.store = world_store(*state, WORLD_START);
	assert_int_equal(proof_next(&journal, &record, world.store, NULL), PROOF_NOTHING);
	world_people(&world);
	assert_int_equal(proof_next(&journal, &record, world.store, &newest), PROOF_BEHIND);
	assert_int_equal(journal.from, -1);
	assert_int_equal(proof_next(&newest.journal, &newest.record, world.store, NULL), PROOF_OK);
	assert_int_equal(newest.journal.head.rows, 0);
	assert_int_equal(newest.record.head.rows, newest.record.head.last);
	assert_int_equal(proof_next(&journal, &record, world.store, &newest), PROOF_NOTHING);
	newest.record.head.hash.bytes[3] ^= 1;
	assert_int_equal(proof_next(&journal, &record, world.store, &newest), PROOF_BEHIND);
	assert_int_equal(record.from, -1);
	store_close(&world.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_longest_fits),
	    cmocka_unit_test(test_bad_lines),
	    cmocka_unit_test(test_every_byte_counts),
	    cmocka_unit_test_setup_teardown(
		test_torn_at_every_byte, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_files_that_are_none, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_long_and_empty_lines, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_lines_of_a_system_log, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(test_append_that_fails),
	    cmocka_unit_test_setup_teardown(
		test_many_rows_make_many_anchors, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_nothing_and_behind, unit_folder_make, unit_folder_remove),
	};

	return unit_run(tests);
}
