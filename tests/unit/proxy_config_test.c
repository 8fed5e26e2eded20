/* The configuration file: every key's bounds, and what is said about a mistake. */
#include "proxy/config.h"

#include "tests/unit/unit.h"

static bool read_text(struct config *config, struct json_error *error, const char *text)
{
	memset(error, 0, sizeof *error);
	return config_read(config, error, text, strlen(text));
}

static bool accepts(const char *text)
{
	struct json_error error;
	struct config config;

	if (!read_text(&config, &error, text))
		return false;
	config_fini(&config);
	return true;
}

static void nothing_said_is_the_default(void **state)
{
	struct json_error error;
	struct config config, defaults;
	struct buf one, two;

	(void)state;
	buf_init(&one, 65536);
	buf_init(&two, 65536);
	config_init(&defaults);
	config_dump(&one, &defaults);
	assert_true(read_text(&config, &error, "{}"));
	config_dump(&two, &config);
	assert_string_equal(buf_str(&one), buf_str(&two));
	assert_string_equal(config.listen, "127.0.0.1:8402");
	assert_string_equal(config.admin, "127.0.0.1:8403");
	config_fini(&config);
	/* What is dumped can be read, and means the same. */
	assert_true(config_read(&config, &error, one.data, one.size));
	buf_clear(&two);
	config_dump(&two, &config);
	assert_string_equal(buf_str(&one), buf_str(&two));
	config_fini(&config);
	config_fini(&defaults);
	buf_fini(&one);
	buf_fini(&two);
}

static void values_land_in_their_fields(void **state)
{
	struct json_error error;
	struct config config;

	(void)state;
	assert_true(read_text(&config, &error,
	    "{\"listen\":\"[::1]:0\",\"workers\":3,\"waiting_ms_max\":1,\"drain_ms_max\":0,"
	    "\"log_level\":\"debug\",\"default_network\":\"eip155:8453\",\"assets\":[{\"network\":"
	    "\"eip155:1\",\"contract\":\"0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238\",\"symbol\":"
	    "\"X\","
	    "\"name\":\"X Coin\",\"version\":\"1\"}]}"));
	assert_string_equal(config.listen, "[::1]:0");
	assert_string_equal(config.default_network, "eip155:8453");
	assert_int_equal(config.workers, 3);
	assert_int_equal(config.waiting_ms_max, 1);
	assert_int_equal(config.drain_ms_max, 0);
	assert_int_equal(json_array_size(config.assets), 1);
	config_fini(&config);
	config_fini(&config); /* twice is fine */
}

/* --- every key, from the table itself ------------------------------------------- */

struct keys {
	size_t count, integers, others;
};

static void try_number(const char *name, const char *value, bool good)
{
	char *text = must_format("{\n\n \"%s\":\n %s}", name, value);
	struct json_error error;
	struct config config;
	bool ok = read_text(&config, &error, text);

	row_check(text, ok == good);
	if (ok) {
		config_fini(&config);
	} else {
		row_check(text, strcmp(error.path, name) == 0);
		row_check(text, error.line == 3 || error.line == 4);
		row_check(text, *error.reason != '\0');
	}
	free(text);
}

static void try_key(const char *name, const char *type, const char *unit, const char *default_text,
    const char *bounds, const char *help, void *arg)
{
	static const char *const not_numbers[] = {
	    "null", "true", "\"1\"", "1.0", "1e3", "[]", "{}", "[1]", "99999999999999999999"};
	static const char *const not_strings[] = {
	    "null", "true", "1", "1.5", "[]", "{}", "[\"x\"]"};
	struct keys *keys = arg;
	long long least, most, preset;
	char *end;
	char value[32];

	keys->count++;
	row_check(name, unit != NULL && default_text != NULL && help != NULL && *help);
	if (strcmp(type, "integer") != 0) {
		keys->others++;
		row_check(name, strcmp(type, "string") == 0 || strcmp(type, "array") == 0);
		for (size_t i = 0; i < COUNT(not_strings); i++) {
			bool array = strcmp(type, "array") == 0;

			if (!(array && not_strings[i][0] == '['))
				try_number(name, not_strings[i], false);
		}
		return;
	}
	keys->integers++;
	row_check(name, sscanf(bounds, "%lld..%lld", &least, &most) == 2 && least < most);
	preset = strtoll(default_text, &end, 10);
	row_check(name, *end == '\0' && preset >= least && preset <= most);
	for (long long off = -1; off <= 1; off++) {
		snprintf(value, sizeof value, "%lld", least + off);
		try_number(name, value, off >= 0);
		snprintf(value, sizeof value, "%lld", most + off);
		try_number(name, value, off <= 0);
	}
	try_number(name, "-1", least <= -1);
	try_number(name, "9223372036854775807", false);
	try_number(name, "-9223372036854775808", false);
	for (size_t i = 0; i < COUNT(not_numbers); i++) {
		/* A number that is too large is refused by the reader, without a path. */
		if (strlen(not_numbers[i]) < 10)
			try_number(name, not_numbers[i], false);
	}
}

static void every_key_has_bounds(void **state)
{
	struct keys keys = {0};

	(void)state;
	config_each_key(try_key, &keys);
	assert_true(keys.integers >= 15 && keys.others >= 7);
}

/* --- mistakes ----------------------------------------------------------------------- */

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		int line; /* 0: any */
		const char *path, *reason;
	} rows[] = {
	    {"", 0, "", ""},
	    {"{", 0, "", ""},
	    {"[]", 0, "", "must be a JSON object"},
	    {"null", 0, "", "must be a JSON object"},
	    {"\"x\"", 0, "", "must be a JSON object"},
	    {"{} {}", 0, "", ""},
	    {"{\"workers\":1,\"workers\":2}", 0, "", ""},
	    {"{\"listen\":\"\xff\"}", 0, "", ""},
	    {"{\"workers\":99999999999999999999}", 0, "", ""},
	    {"{\n\"listn\":\"x\"}", 2, "listn", "did you mean \"listen\"?"},
	    {"{\"Listen\":\"x\"}", 1, "Listen", "did you mean \"listen\"?"},
	    {"{\"workers\":1,\n\n\"worker\":2}", 3, "worker", "did you mean \"workers\"?"},
	    {"{\"token_ttl\":60}", 1, "token_ttl", "did you mean \"token_ttl_s\"?"},
	    {"{\"body_max_size\":1}", 1, "body_max_size", "unknown key"},
	    {"{\"frobnicate\":1}", 1, "frobnicate", "unknown key"},
	    {"{\"\":1}", 0, "", "unknown key"},
	    {"{\"assets.x\":1}", 0, "assets.x", "unknown key"},
	    {"{\"log_level\":\"loud\"}", 1, "log_level", "error, warn, info or debug"},
	    {"{\"log_level\":\"\"}", 1, "log_level", "error, warn, info or debug"},
	    {"{\"default_network\":\"solana\"}", 1, "default_network", "CAIP-2"},
	    {"{\"default_network\":\"eip155:\"}", 1, "default_network", "CAIP-2"},
	    {"{\"anchor_webhook\":\"ftp://x\"}", 1, "anchor_webhook", "must be a URL"},
	    {"{\"anchor_webhook\":\"x\"}", 1, "anchor_webhook", "must be a URL"},
	    {"{\"anchor_file\":\"\"}", 1, "anchor_file", "must name a file"},
	    {"{\"default_network\":\"\"}", 1, "default_network", "CAIP-2"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json_error error;
		struct config config;

		memset(&config, 0x5a, sizeof config);
		row_check(rows[i].text, !read_text(&config, &error, rows[i].text));
		row_check(rows[i].text, ((uint8_t *)&config)[0] == 0x5a); /* untouched */
		row_check(rows[i].text, *error.reason != '\0');
		row_check(rows[i].text, strstr(error.reason, rows[i].reason) != NULL);
		if (*rows[i].path)
			row_check(rows[i].text, strcmp(error.path, rows[i].path) == 0);
		if (rows[i].line)
			row_check(rows[i].text, error.line == rows[i].line);
	}
}

static void long_names_do_no_harm(void **state)
{
	char *text = must_format("{\"%01000d\":1}", 7);
	struct json_error error;
	struct config config;

	(void)state;
	assert_false(read_text(&config, &error, text));
	free(text);
	text = must_format("{\"listen\":\"%065536d\"}", 7);
	assert_false(read_text(&config, &error, text)); /* larger than any configuration is */
	free(text);
}

static void assets_of_the_owner(void **state)
{
#define ROW(network, contract, rest)                                                               \
	"{\"assets\":[{\"network\":" network ",\"contract\":" contract rest "}]}"
#define NET  "\"eip155:1\""
#define ADDR "\"0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238\""
#define REST ",\"symbol\":\"X\",\"name\":\"X\",\"version\":\"1\""
	static const char *const bad[] = {"{\"assets\":{}}", "{\"assets\":[1]}",
	    "{\"assets\":[[]]}", "{\"assets\":[null]}", "{\"assets\":[{}]}", ROW("1", ADDR, REST),
	    ROW("null", ADDR, REST), ROW("\"\"", ADDR, REST), ROW("\"solana:1\"", ADDR, REST),
	    ROW("\"eip155:0x1\"", ADDR, REST), ROW(NET, "\"\"", REST), ROW(NET, "\"0x12\"", REST),
	    ROW(NET, "7", REST), ROW(NET, "\"0x1c7D4B196Cb0C7B01d743Fbc6116a902379C723Z\"", REST),
	    /* the checksum in its case is wrong */
	    ROW(NET, "\"0x1C7D4B196Cb0C7B01d743Fbc6116a902379C7238\"", REST), ROW(NET, ADDR, ""),
	    ROW(NET, ADDR, ",\"symbol\":\"X\",\"name\":\"X\""),
	    ROW(NET, ADDR, ",\"symbol\":\"X\",\"version\":\"1\""),
	    ROW(NET, ADDR, ",\"name\":\"X\",\"version\":\"1\""),
	    ROW(NET, ADDR, ",\"symbol\":1,\"name\":\"X\",\"version\":\"1\""),
	    ROW(NET, ADDR, REST ",\"decimals\":18"), ROW(NET, ADDR, REST ",\"\":1")};
	char *many = must_strdup("{\"assets\":[");

	(void)state;
	assert_true(accepts(ROW(NET, ADDR, REST)));
	for (size_t i = 0; i < COUNT(bad); i++)
		row_check(bad[i], !accepts(bad[i]));
	/* More than the table has room for. */
	for (int i = 0; i < 300; i++) {
		char *longer =
		    must_format("%s%s{\"network\":\"eip155:%d\",\"contract\":" ADDR REST "}", many,
			i ? "," : "", i + 1);

		free(many);
		many = longer;
	}
	{
		char *whole = must_format("%s]}", many);

		assert_false(accepts(whole));
		free(whole);
	}
	free(many);
}

#define REST_ASSET                                                                                 \
	"{\"network\":\"eip155:1\",\"contract\":\"0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238\","   \
	"\"symbol\":\"X\",\"name\":\"X\",\"version\":\"1\"}"

/* --- what a reload asks ---------------------------------------------------------------- */

struct seen {
	size_t count, at_start;
	char names[256];
	bool shown; /* of the last: were its values said */
	char before[64], after[64];
};

static void see(const char *name, const char *before, const char *after, bool at_start, void *arg)
{
	struct seen *seen = arg;

	seen->count++;
	seen->at_start += at_start;
	strncat(seen->names, name, sizeof seen->names - strlen(seen->names) - 1);
	strncat(seen->names, " ", sizeof seen->names - strlen(seen->names) - 1);
	assert_true((before == NULL) == (after == NULL));
	seen->shown = before != NULL;
	snprintf(seen->before, sizeof seen->before, "%s", before ? before : "");
	snprintf(seen->after, sizeof seen->after, "%s", after ? after : "");
}

static void changes_are_told_key_by_key(void **state)
{
	static const struct {
		const char *before, *after, *names;
		size_t at_start;
		bool shown;
		const char *was, *is; /* of the last */
	} rows[] = {
	    {"{}", "{}", "", 0, false, "", ""},
	    {"{}", "{\"calls_max\":20000,\"listen\":\"127.0.0.1:8402\",\"assets\":[]}", "", 0,
		false, "", ""},
	    {"{}", "{\"calls_max\":7}", "calls_max ", 0, true, "20000", "7"},
	    {"{\"calls_max\":7}", "{}", "calls_max ", 0, true, "7", "20000"},
	    {"{}", "{\"log_level\":\"warn\"}", "log_level ", 0, true, "\"info\"", "\"warn\""},
	    {"{}", "{\"workers\":2,\"admin\":\"[::1]:1\"}", "admin workers ", 2, true, "0", "2"},
	    {"{}", "{\"drain_ms_max\":1,\"passphrase_file\":\"p\"}",
		"passphrase_file drain_ms_max ", 1, true, "30000", "1"},
	    {"{\"assets\":[" REST_ASSET "]}", "{\"assets\":[" REST_ASSET "]}", "", 0, false, "",
		""},
	    {"{\"assets\":[" REST_ASSET "]}", "{}", "assets ", 1, true, NULL, "[]"},
	    {"{}", "{\"anchor_file\":\"/x\"}", "anchor_file ", 1, true, "\"anchors\"", "\"/x\""},
	    {"{}", "{\"anchor_webhook\":\"https://h/s3cret\"}", "anchor_webhook ", 0, false, "",
		""},
	    {"{\"anchor_webhook\":\"https://h/s3cret\"}", "{}", "anchor_webhook ", 0, false, "",
		""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config before, after;
		struct json_error error;
		struct seen seen = {0};

		row_check(rows[i].after, read_text(&before, &error, rows[i].before));
		row_check(rows[i].after, read_text(&after, &error, rows[i].after));
		config_changes(&before, &after, see, &seen);
		row_check(rows[i].after, strcmp(seen.names, rows[i].names) == 0);
		row_check(rows[i].after, seen.at_start == rows[i].at_start);
		row_check(rows[i].after, seen.shown == rows[i].shown);
		row_check(rows[i].after, !rows[i].was || strcmp(seen.before, rows[i].was) == 0);
		row_check(rows[i].after, strcmp(seen.after, rows[i].is) == 0);
		config_fini(&before);
		config_fini(&after);
	}
}

static void what_was_bound_at_the_start_is_kept(void **state)
{
	struct config started, config;
	struct json_error error;
	struct seen seen = {0};

	(void)state;
	assert_true(read_text(&started, &error,
	    "{\"listen\":\"[::1]:1\",\"workers\":3,\"calls_max\":5,\"assets\":[" REST_ASSET "]}"));
	assert_true(read_text(&config, &error,
	    "{\"listen\":\"[::1]:2\",\"workers\":4,\"calls_max\":6,\"passphrase_file\":\"p\"}"));
	config_keep_started(&config, &started);
	config_changes(&started, &config, see, &seen);
	assert_string_equal(seen.names, "calls_max ");
	assert_string_equal(seen.after, "6");
	assert_string_equal(config.listen, "[::1]:1");
	assert_string_equal(config.passphrase_file, "passphrase");
	assert_int_equal(config.workers, 3);
	config_fini(&started);
	assert_int_equal(json_array_size(config.assets), 1);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_are_told_key_by_key),
	    cmocka_unit_test(what_was_bound_at_the_start_is_kept),
	    cmocka_unit_test(nothing_said_is_the_default),
	    cmocka_unit_test(values_land_in_their_fields),
	    cmocka_unit_test(every_key_has_bounds),
	    cmocka_unit_test(mistakes_are_named),
	    cmocka_unit_test(long_names_do_no_harm),
	    cmocka_unit_test(assets_of_the_owner),
	};

	return unit_run(tests);
}
