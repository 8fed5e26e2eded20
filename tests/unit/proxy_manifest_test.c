/* What a backup says is in it, from whoever wrote it. */
#include "proxy/manifest.h"

#include "common/clock.h"
#include "tests/unit/unit.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void names_that_may_come(void **state)
{
	static const struct {
		const char *name;
		int64_t size_max;
	} rows[] = {
	    {"tallyward.json", 64 * 1024},
	    {"policy.json", 1024 * 1024},
	    {"token.key", 32},
	    {"keys/datakey.json", 64 * 1024},
	    {"keys/coder.key", 64 * 1024},
	    {"keys/a=20b.key.replaced-1763000000000000", 64 * 1024},
	    {"keys/=2Ehidden.key", 64 * 1024},
	    {"ledger.db", INT64_C(1) << 40},
	    {"head", 4096},
	    {"anchors", INT64_C(1) << 40},
	    {"passphrase", 4096},
	    {"", 0},
	    {"keys", 0},
	    {"keys/", 0},
	    {"keys//x", 0},
	    {"keys/.x", 0},
	    {"keys/..", 0},
	    {"keys/../token.key", 0},
	    {"keys/a/b", 0},
	    {"keys/a b", 0},
	    {"keys/a\nb", 0},
	    {"keys/\xc3\xa4", 0},
	    {"/keys/x", 0},
	    {"./tallyward.json", 0},
	    {"../tallyward.json", 0},
	    {"/etc/passwd", 0},
	    {"tallyward.json/", 0},
	    {"Tallyward.json", 0},
	    {"ledger.db-wal", 0},
	    {"ledger.db-journal", 0},
	    {"lock", 0},
	    {"admin.sock", 0},
	    {"manifest.json", 0},
	};
	char longest[5 + 256 + 1] = "keys/";

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i].name, member_size_max(rows[i].name) == rows[i].size_max);
	memset(longest + 5, 'x', 255);
	assert_true(member_is_key(longest));
	memset(longest + 5, 'x', 256);
	assert_false(member_is_key(longest));
}

/* Takes what it was given apart again. */
static void read_as_written(void **state)
{
	struct manifest manifest = {0}, again;
	char reason[256] = "";
	struct digest digest;
	char *text, *second;

	(void)state;
	memset(&digest, 0xa5, sizeof digest);
	manifest.program = must_strdup("0.1.0");
	manifest.made_us = INT64_C(1795181700123456);
	manifest.transactions = 7;
	manifest.audits = 9;
	manifest.head = digest;
	manifest_add(&manifest, "tallyward.json", 2, &digest);
	manifest_add(&manifest, "policy.json", 3, &digest);
	manifest_add(&manifest, "token.key", 32, &digest);
	for (int i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof name, "keys/agent-%d.key", i);
		manifest_add(&manifest, name, i, &digest);
	}
	manifest_add(&manifest, "keys/datakey.json", 500, &digest);
	manifest_add(&manifest, "ledger.db", 4096, &digest);
	text = manifest_format(&manifest);
	if (!manifest_parse(&again, reason, text, strlen(text)))
		fail_msg("%s", reason);
	assert_int_equal(again.count, manifest.count);
	assert_int_equal(manifest_find(&again, "keys/agent-999.key")->size, 999);
	assert_null(manifest_find(&again, "head"));
	assert_true(digest_equal(&again.head, &digest));
	second = manifest_format(&again);
	assert_string_equal(text, second);
	free(text);
	free(second);
	manifest_fini(&manifest);
	manifest_fini(&again);
}

#define MEMBER(name, size) "{\"name\":\"" name "\",\"size\":" size ",\"sha256\":\"" HEX "\"}"
#define NEEDED                                                                                     \
	MEMBER("tallyward.json", "2")                                                              \
	"," MEMBER("policy.json", "2") "," MEMBER("token.key", "32") "," MEMBER(                   \
	    "keys/datakey.json", "2") "," MEMBER("ledger.db", "4096")
#define HEAD    "\"format\":\"tallyward backup\",\"version\":1,\"program\":\"1\","
#define MADE_AT "\"made_at\":\"2026-11-21T12:00:00Z\","
#define LEDGER                                                                                     \
	"\"ledger\":{\"transactions\":1,\"audits\":2,\"head\":\"" HEX "\",\"audit_head\":\"" HEX   \
	"\"},"
#define WITH(members) "{" HEAD MADE_AT LEDGER "\"members\":[" members "]}"

static void what_is_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
	    {"", ""},
	    {"{", "line"},
	    {"[]", "no backup of tallyward"},
	    {"{}", "no backup of tallyward"},
	    {"null", "no backup of tallyward"},
	    {"{\"format\":\"other\"}", "no backup of tallyward"},
	    {"{\"format\":7}", "no backup of tallyward"},
	    {"{\"format\":\"tallyward backup\"}", "version"},
	    {"{\"format\":\"tallyward backup\",\"version\":2}", "version"},
	    {"{\"format\":\"tallyward backup\",\"version\":\"1\"}", "version"},
	    {"{" HEAD LEDGER "\"members\":[" NEEDED "]}", "has no \"made_at\""},
	    {"{" HEAD MADE_AT "\"members\":[" NEEDED "]}", "has no \"ledger\""},
	    {"{" HEAD MADE_AT LEDGER "\"x\":1}", "has no \"members\""},
	    {"{" HEAD MADE_AT LEDGER "\"x\":1,\"members\":[" NEEDED "]}", "more than it should"},
	    {"{" HEAD "\"made_at\":\"yesterday\"," LEDGER "\"members\":[" NEEDED "]}",
		"\"made_at\" is not a time"},
	    {"{" HEAD "\"made_at\":7," LEDGER "\"members\":[" NEEDED "]}",
		"\"made_at\" is not a time"},
	    {"{" HEAD MADE_AT "\"ledger\":[],\"members\":[" NEEDED "]}", "not an object"},
	    {"{" HEAD MADE_AT "\"ledger\":{},\"members\":[" NEEDED "]}", "transactions"},
	    {"{" HEAD MADE_AT "\"ledger\":{\"transactions\":-1,\"audits\":2,\"head\":\"" HEX
	     "\",\"audit_head\":\"" HEX "\"},\"members\":[" NEEDED "]}",
		"number of rows"},
	    {"{" HEAD MADE_AT "\"ledger\":{\"transactions\":1,\"audits\":2.0,\"head\":\"" HEX
	     "\",\"audit_head\":\"" HEX "\"},\"members\":[" NEEDED "]}",
		"number of rows"},
	    {"{" HEAD MADE_AT "\"ledger\":{\"transactions\":1,\"audits\":2,\"head\":\"00\","
	     "\"audit_head\":\"" HEX "\"},\"members\":[" NEEDED "]}",
		"\"head\" is not a SHA-256"},
	    {"{" HEAD MADE_AT LEDGER "\"members\":{}}", "\"members\""},
	    {WITH(""), "has no tallyward.json"},
	    {WITH("1"), "must be objects"},
	    {WITH("{}"), "has no \"name\""},
	    {WITH(NEEDED "," MEMBER("keys/a", "1") ",{\"name\":\"head\",\"size\":1}"), "sha256"},
	    {WITH(NEEDED ",{\"name\":\"head\",\"size\":1,\"sha256\":\"" HEX "\",\"mode\":511}"),
		"more than it should"},
	    {WITH(NEEDED "," MEMBER("../x", "1")), "none of a data folder's"},
	    {WITH(NEEDED "," MEMBER("/etc/cron.d/x", "1")), "none of a data folder's"},
	    {WITH(NEEDED "," MEMBER("keys/../../x", "1")), "none of a data folder's"},
	    {WITH(NEEDED "," MEMBER("lock", "1")), "none of a data folder's"},
	    {WITH(NEEDED "," MEMBER("ledger.db-wal", "1")), "none of a data folder's"},
	    {WITH(NEEDED "," MEMBER("a\\u0000", "1")), ""},
	    {WITH(NEEDED "," MEMBER("head", "-1")), "larger than any"},
	    {WITH(NEEDED "," MEMBER("head", "4097")), "larger than any"},
	    {WITH(NEEDED "," MEMBER("head", "\"1\"")), "larger than any"},
	    {WITH(NEEDED "," MEMBER("head", "1.5")), "larger than any"},
	    {WITH(NEEDED "," MEMBER("head", "99999999999999999999")), ""},
	    {WITH(NEEDED "," MEMBER("anchors", "1099511627777")), "larger than any"},
	    {WITH(NEEDED "," MEMBER("token.key", "32")), "names token.key twice"},
	    {WITH(NEEDED "," MEMBER("keys/a", "1") "," MEMBER("keys/a", "1")),
		"names keys/a twice"},
	    {WITH(NEEDED ",{\"name\":\"head\",\"size\":1,\"sha256\":\"00112233445566778899AABBCCDD"
			 "EEFF00112233445566778899aabbccddeeff\"}"),
		"not a SHA-256"},
	    {WITH(MEMBER("tallyward.json", "2") "," MEMBER("policy.json", "2") "," MEMBER(
		 "token.key", "32") "," MEMBER("keys/datakey.json", "2")),
		"has no ledger.db"},
	    {WITH(MEMBER("tallyward.json", "2") "," MEMBER("policy.json", "2") "," MEMBER(
		 "token.key", "32") "," MEMBER("ledger.db", "2")),
		"has no keys/datakey.json"},
	};
	struct manifest manifest;
	char reason[256];

	(void)state;
	if (!manifest_parse(&manifest, reason, WITH(NEEDED), strlen(WITH(NEEDED))))
		fail_msg("%s", reason);
	manifest_fini(&manifest);
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(&manifest, 0x5a, sizeof manifest);
		*reason = '\0';
		row_check(rows[i].text,
		    !manifest_parse(&manifest, reason, rows[i].text, strlen(rows[i].text)));
		row_check(rows[i].text, *reason != '\0');
		row_check(reason, strstr(reason, rows[i].reason) != NULL);
		row_check(rows[i].text, ((uint8_t *)&manifest)[0] == 0x5a); /* untouched */
	}
}

static void too_many_members(void **state)
{
	struct manifest manifest = {.program = must_strdup("1")};
	struct digest digest = {{0}};
	char reason[256] = "";
	char *text;

	(void)state;
	for (unsigned i = 0; i <= MANIFEST_MEMBERS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof name, "keys/%u", i);
		manifest_add(&manifest, name, 1, &digest);
	}
	text = manifest_format(&manifest);
	manifest_fini(&manifest);
	assert_false(manifest_parse(&manifest, reason, text, strlen(text)));
	assert_non_null(strstr(reason, "at most 65536"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_may_come),
	    cmocka_unit_test(read_as_written),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(too_many_members),
	};

	return unit_run(tests);
}
