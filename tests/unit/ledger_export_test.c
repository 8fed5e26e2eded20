/* ledger_export_test - the journal in three formats, with names that try to break each.
 *
 * Where hledger is installed it reads what is written for it and has the last word. */
#include "tests/unit/ledger_world.h"

#include <jansson.h>

#include "common/buf.h"
#include "common/file.h"
#include "ledger/export.h"

#define EXPORT_SIZE_MAX (8u << 20)

static bool add_piece(const char *piece, size_t size, void *arg)
{
	buf_add(arg, piece, size);
	return true;
}

/* The caller frees it. */
static char *export(struct store *store, int64_t agent, enum export_format format)
{
	struct buf text;

	buf_init(&text, EXPORT_SIZE_MAX);
	assert_int_equal(export_run(store, agent, format, add_piece, &text), STORE_OK);
	assert_true(buf_ok(&text));
	return buf_take(&text);
}

static void assert_has(const char *text, const char *piece)
{
	if (strstr(text, piece) == NULL)
		fail_msg("\"%s\" is not in:\n%s", piece, text);
}

/* The exit status of hledger on text, its words in out; -1 when there is no hledger. */
static int hledger(const char *dir, const char *text, const char *args, char out[4096])
{
	char *path = file_path(dir, "x.journal");
	char command[512];
	FILE *pipe;
	size_t size;
	int status;

	assert_true(file_replace(path, text, strlen(text), 0600));
	snprintf(command, sizeof(command), "LC_ALL=C.UTF-8 hledger -f %s %s 2>&1", path, args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	size = fread(out, 1, 4095, pipe);
	out[size] = '\0';
	status = pclose(pipe);
	free(path);
	if (!WIFEXITED(status))
		return 99;
	return WEXITSTATUS(status) == 127 ? -1 : WEXITSTATUS(status);
}

/* A deposit and, with a tool, a metered hold, under names of the test's choosing. */
static void add_named(struct world *world, const char *owner, const char *tool, const char *note,
    const char *asset, const char *symbol)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, 1500000);

	row.owner = owner;
	row.note = note;
	row.asset = asset;
	row.symbol = symbol;
	batch_journal(batch, &row);
	if (tool != NULL) {
		row = world_journal_row(world, JOURNAL_HOLD, 3);
		row.call = world_id(world);
		row.tool = tool;
		batch_journal(batch, &row);
		row.event = JOURNAL_CHARGE;
		batch_journal(batch, &row);
	}
	world_append(world, batch);
}

static void csv(void **state)
{
	struct world world = world_open(*state);
	char *text = export(world.store, 0, EXPORT_CSV);
	int lines = 0;

	assert_memory_equal(text,
	    "id,time,event,call,payment,agent,owner,tool,account,amount,symbol,network,asset,"
	    "transaction,note\r\n",
	    strlen("id,time,event,call,payment,agent,owner,tool,account,amount,symbol,network,"
		   "asset,transaction,note\r\n"));
	assert_has(text, ",deposit,,,coding-agent-01,asmit@example.com,,capital/asmit@example.com,"
			 "-1.00,USDC,eip155:84532," WORLD_ASSET
			 ",,\"first; money, \"\"all\"\" of it\"\r\n");
	assert_has(text, "wallet/coding-agent-01/available,1.00,USDC,");
	assert_has(text, ",search/api,payable/search/api,-0.0007,USD,off-chain,USD,,\r\n");
	for (const char *at = text; (at = strstr(at, "\r\n")) != NULL; at += 2)
		lines++;
	assert_int_equal(lines, 1 + 2 * 16);
	free(text);
	store_close(&world.store);
}

static void csv_defuses_formulas(void **state)
{
	static const struct {
		const char *note, *cell;
	} cells[] = {
	    {"=cmd|' /C calc'!A0", ",'=cmd|' /C calc'!A0\r\n"},
	    {"+1", ",'+1\r\n"},
	    {"-1", ",'-1\r\n"},
	    {"@SUM(A1)", ",'@SUM(A1)\r\n"},
	    {"\tx", ",'\tx\r\n"},
	    {"\rx", ",\"'\rx\"\r\n"},
	    {"'=1", ",''=1\r\n"},
	    {"=\"a,b\"", ",\"'=\"\"a,b\"\"\"\r\n"},
	    {"two\nlines", ",\"two\nlines\"\r\n"},
	    {"a=b", ",a=b\r\n"},
	    {"bad \xff\xc0\xaf utf", ",bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd utf\r\n"},
	    {"\xed\xa0\x80", ",\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\r\n"},
	    {"cut \xe2\x82", ",cut \xef\xbf\xbd\xef\xbf\xbd\r\n"},
	    {"\xf0\x9f\x92\xb8\xf8", ",\xf0\x9f\x92\xb8\xef\xbf\xbd\r\n"},
	};
	struct world world = world_open(*state);
	char *text;

	for (size_t i = 0; i < COUNT(cells); i++)
		add_named(&world, "o", NULL, cells[i].note, WORLD_ASSET, "USDC");
	text = export(world.store, 0, EXPORT_CSV);
	for (size_t i = 0; i < COUNT(cells); i++)
		assert_has(text, cells[i].cell);
	free(text);
	store_close(&world.store);
}

static void json(void **state)
{
	struct world world = world_open(*state);
	const char *note = "quote \" slash \\ bell \a del \x7f bad \xff \xe2\x82\xac";
	json_t *all, *row, *posting;
	json_error_t error;
	char *text;

	add_named(&world, "o\"\n", NULL, note, WORLD_ASSET, "USDC");
	text = export(world.store, 0, EXPORT_JSON);
	all = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (all == NULL)
		fail_msg("%s: %s", error.text, text);
	assert_int_equal(json_array_size(all), 17);
	row = json_array_get(all, 0);
	assert_string_equal(json_string_value(json_object_get(row, "event")), "deposit");
	assert_string_equal(json_string_value(json_object_get(row, "amount")), "1.00");
	assert_true(json_is_null(json_object_get(row, "call")));
	assert_true(json_is_null(json_object_get(row, "transaction")));
	assert_int_equal(strlen(json_string_value(json_object_get(row, "hash"))), 64);
	row = json_array_get(all, 2);
	assert_string_equal(json_string_value(json_object_get(row, "transaction")), "0xabc");
	assert_string_equal(json_string_value(json_object_get(row, "tool")), "github/issues");
	posting = json_array_get(json_object_get(row, "postings"), 1);
	assert_string_equal(json_string_value(json_object_get(posting, "account")),
	    "spent/coding-agent-01/github/issues");
	assert_string_equal(json_string_value(json_object_get(posting, "amount")), "0.05");
	row = json_array_get(all, 16);
	assert_string_equal(json_string_value(json_object_get(row, "note")),
	    "quote \" slash \\ bell \a del \x7f bad \xef\xbf\xbd \xe2\x82\xac");
	assert_string_equal(json_string_value(json_object_get(row, "owner")), "o\"\n");
	json_decref(all);
	free(text);
	store_close(&world.store);
}

static void hledger_reads_it(void **state)
{
	struct world world = world_open(*state);
	char *text = export(world.store, 0, EXPORT_HLEDGER);
	char out[4096];
	int status;

	assert_has(text, "commodity 1000.000000 \"USDC-eip155:84532\"\n");
	assert_has(text, "account wallet:coding-agent-01:open  ; type:A\n");
	assert_has(text, "account capital:asmit@example.com  ; type:E\n");
	assert_has(text, "account spent:coding-agent-01:github:issues  ; type:X\n");
	assert_has(text, "account payable:search:api  ; type:L\n");
	assert_has(text, "    wallet:coding-agent-01:open  0.05 \"USDC-eip155:84532\"\n");
	assert_has(text, "    wallet:coding-agent-01:available  0 \"USDC-eip155:84532\" = "
			 "0.813999 \"USDC-eip155:84532\"\n");
	assert_has(text, "transaction:0xabc");
	assert_has(text, "note:first; money%2C %22all%22 of it\n");
	status = hledger(*state, text, "check --strict", out);
	if (status > 0)
		fail_msg("%s\n%s", out, text);
	if (status == 0) {
		assert_int_equal(hledger(*state, text, "balance --flat", out), 0);
		assert_has(out, "0.813999 \"USDC-eip155:84532\"  wallet:coding-agent-01:available");
		assert_has(out, "0.030001 \"USDC-eip155:84532\"  wallet:coding-agent-01:open");
		assert_has(out, "-0.001200 \"USD-off-chain\"  payable:search:api");
		assert_int_equal(hledger(*state, text, "print tag:transaction=0xabc", out), 0);
		assert_has(out, "settle");
	}
	free(text);
	store_close(&world.store);
}

static bool put_reopen(const struct journal_row *row, void *arg)
{
	struct buf *text = arg;

	if (row->event == JOURNAL_REOPEN)
		buf_add_format(text, "%lld %s > %s\n", (long long)row->amount, row->from, row->to);
	return true;
}

/* An end undone in both ways, as the statement and every export tell it. */
static void reopened(void **state)
{
	struct world world = world_open(*state);
	struct buf statement;
	char *text, out[4096];
	int status;

	world_reopen(&world, world.settled, true, 50000);
	world_reopen(&world, world.unused, false, 20000);
	buf_init(&statement, EXPORT_SIZE_MAX);
	assert_int_equal(
	    store_journal(world.store, world.agent, 0, 0, 0, put_reopen, &statement), STORE_OK);
	assert_string_equal(buf_str(&statement),
	    "50000 spent/coding-agent-01/github/issues > wallet/coding-agent-01/open\n"
	    "20000 wallet/coding-agent-01/available > wallet/coding-agent-01/open\n");
	buf_fini(&statement);
	text = export(world.store, 0, EXPORT_CSV);
	assert_has(text, "spent/coding-agent-01/github/issues,-0.05,USDC,");
	assert_has(text, ",reopen,");
	free(text);
	text = export(world.store, 0, EXPORT_JSON);
	assert_has(text, "\"event\":\"reopen\"");
	assert_has(text, "{\"amount\":\"-0.02\",\"account\":"
			 "\"wallet/coding-agent-01/available\"},"
			 "{\"amount\":\"0.02\",\"account\":\"wallet/coding-agent-01/open\"}");
	free(text);
	text = export(world.store, 0, EXPORT_HLEDGER);
	assert_has(text, " reopen\n");
	assert_has(text, "    wallet:coding-agent-01:open  0 \"USDC-eip155:84532\" = "
			 "0.100001 \"USDC-eip155:84532\"\n");
	status = hledger(*state, text, "check --strict", out);
	if (status > 0)
		fail_msg("%s\n%s", out, text);
	free(text);
	store_close(&world.store);
}

static const struct {
	const char *given, *written;
} names[] = {
	{"plain", "plain"},
	{"a/b/c", "a:b:c"},
	{"a:b", "a%3Ab"},
	{"a%3Ab", "a%253Ab"},
	{"a;b", "a%3Bb"},
	{"two words", "two words"},
	{"two  spaces", "two %20spaces"},
	{" lead", "%20lead"},
	{"trail ", "trail%20"},
	{"in /parts", "in%20:parts"},
	{"tab\there", "tab%09here"},
	{"line\nbreak", "line%0Abreak"},
	{"a//b", "a:%:b"},
	{"/a", "%:a"},
	{"a/", "a:%"},
	{"%", "%25"},
	{"nb\xc2\xa0sp", "nb%C2%A0sp"},
	{"em\xe2\x80\x83space", "em%E2%80%83space"},
	{"caf\xc3\xa9 \xf0\x9f\x92\xb8", "caf\xc3\xa9 \xf0\x9f\x92\xb8"},
	{"bad\xff", "bad%FF"},
	{"over\xc0\xaf", "over%C0%AF"},
	{"(x)", "(x)"},
	{"*x! | = @ {1} [2025-01-01]", "*x! | = @ {1} [2025-01-01]"},
	{"quote\"d", "quote%22d"},
};

/* Every name as an owner and as a tool: all different, all readable, one file. */
static void names_survive(void **state)
{
	struct world world = world_open(*state);
	char *text, line[160], out[4096];
	int status;

	for (size_t i = 0; i < COUNT(names); i++)
		add_named(&world, names[i].given, names[i].given, names[i].given, WORLD_ASSET,
		    "USDC");
	text = export(world.store, 0, EXPORT_HLEDGER);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(line, sizeof(line), "    capital:%s  -1.50 \"", names[i].written);
		assert_has(text, line);
		snprintf(line, sizeof(line), "    payable:%s  -0.000003 \"", names[i].written);
		assert_has(text, line);
		snprintf(line, sizeof(line), "\naccount spent:coding-agent-01:%s  ; type:X\n",
		    names[i].written);
		assert_has(text, line);
	}
	status = hledger(*state, text, "check --strict", out);
	if (status > 0)
		fail_msg("%s\n%s", out, text);
	free(text);
	store_close(&world.store);
}

/* A look-alike with the same symbol, and a symbol that changed its mind. */
static void one_commodity_per_asset(void **state)
{
	struct world world = world_open(*state);
	char *text, out[4096];
	int status;

	add_named(&world, "o", NULL, NULL, "0xLOOKALIKE", "USDC");
	add_named(&world, "other", NULL, NULL, WORLD_ASSET, "USD Coin");
	add_named(&world, "o", NULL, NULL, "0xODD", "O\"D;D\n");
	text = export(world.store, 0, EXPORT_HLEDGER);
	assert_has(text, "commodity 1000.000000 \"USDC-eip155:84532-" WORLD_ASSET "\"\n");
	assert_has(text, "commodity 1000.000000 \"USDC-eip155:84532-0xLOOKALIKE\"\n");
	assert_has(text, "commodity 1000.000000 \"O%22D%3BD%0A-eip155:84532\"\n");
	assert_null(strstr(text, "USD Coin"));
	status = hledger(*state, text, "check --strict", out);
	if (status > 0)
		fail_msg("%s\n%s", out, text);
	free(text);
	store_close(&world.store);
}

static void one_agent_only(void **state)
{
	struct world world = world_open(*state);
	struct batch *batch = batch_new(world.now);
	struct journal_row row = world_journal_row(&world, JOURNAL_DEPOSIT, 5000000);
	char *text, out[4096];
	int status;

	row.agent = world.agent_two;
	row.agent_name = "two";
	batch_journal(batch, &row);
	world_append(&world, batch);
	text = export(world.store, world.agent_two, EXPORT_HLEDGER);
	assert_has(text, "wallet:two:available  0 \"USDC-eip155:84532\" = 5.00 ");
	/* the owner's capital as far as this agent goes */
	assert_has(text, "capital:asmit@example.com  0 \"USDC-eip155:84532\" = -5.00 ");
	assert_null(strstr(text, "coding-agent-01"));
	status = hledger(*state, text, "check --strict", out);
	if (status > 0)
		fail_msg("%s\n%s", out, text);
	free(text);
	store_close(&world.store);
}

static void nothing_to_export(void **state)
{
	struct store *store = world_store(*state, WORLD_START);
	char *text = export(store, 0, EXPORT_JSON), out[4096];

	assert_string_equal(text, "[\n]\n");
	free(text);
	text = export(store, 77, EXPORT_CSV);
	assert_non_null(strstr(text, "note\r\n"));
	assert_int_equal(strlen(strstr(text, "note\r\n")), 6);
	free(text);
	text = export(store, 0, EXPORT_HLEDGER);
	assert_true(hledger(*state, text, "check --strict", out) <= 0);
	free(text);
	store_close(&store);
}

static bool stop_after(const char *piece, size_t size, void *arg)
{
	int *left = arg;

	(void)piece;
	assert_true(size > 0);
	assert_true(*left > 0);
	return --*left > 0;
}

static void writer_may_stop(void **state)
{
	static const enum export_format formats[] = {EXPORT_HLEDGER, EXPORT_CSV, EXPORT_JSON};
	struct world world = world_open(*state);

	for (size_t i = 0; i < COUNT(formats); i++) {
		for (int pieces = 1; pieces < 30; pieces++) {
			int left = pieces;

			assert_int_equal(export_run(world.store, 0, formats[i], stop_after, &left),
			    STORE_OK);
		}
	}
	store_close(&world.store);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(csv),
	    folder_test(csv_defuses_formulas),
	    folder_test(json),
	    folder_test(hledger_reads_it),
	    folder_test(reopened),
	    folder_test(names_survive),
	    folder_test(one_commodity_per_asset),
	    folder_test(one_agent_only),
	    folder_test(nothing_to_export),
	    folder_test(writer_may_stop),
	};

	return unit_run(tests);
}
