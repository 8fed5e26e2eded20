/* Reading a 402: both versions, where they are found, and what is refused. */
#include "common/buf.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/challenge.h"

#define OPTION                                                                                     \
	"{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"10000\","                 \
	"\"asset\":\"" BASE_SEPOLIA_USDC "\",\"payTo\":\"" PAYEE "\",\"maxTimeoutSeconds\":60,"    \
	"\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}"
#define V2      "{\"x402Version\":2,\"accepts\":[" OPTION "]}"
#define V1                                                                                         \
	"{\"x402Version\":1,\"accepts\":[{\"scheme\":\"exact\",\"network\":\"base-sepolia\","      \
	"\"maxAmountRequired\":\"10000\",\"amount\":\"1\",\"resource\":\"https://h/x\"}]}"

/* One header of this text, or a body. */
static enum challenge_result parse_header(struct challenge **out, char reason[256],
    const char *text)
{
	char *header = base64_encode(text, strlen(text));
	const char *headers[] = {header};
	enum challenge_result result = challenge_parse(out, reason, headers, 1, "", 0);

	free(header);
	return result;
}

static enum challenge_result parse_body(struct challenge **out, char reason[256], const char *text)
{
	return challenge_parse(out, reason, NULL, 0, text, strlen(text));
}

static void v2_header_gives_every_field(void **state)
{
	static const char text[] =
	    "{\"x402Version\":2,\"error\":\"pay first\",\"resource\":{\"url\":\"https://h/x\","
	    "\"description\":\"d\"},\"accepts\":[{\"scheme\":\"exact\",\"network\":\"eip155:1\","
	    "\"amount\":\"10\",\"asset\":\"0xa\",\"payTo\":\"0xb\",\"maxTimeoutSeconds\":60,"
	    "\"extra\":{\"name\":\"N\",\"version\":\"V\",\"assetTransferMethod\":\"eip3009\","
	    "\"paymentFlow\":\"upfront\"},\"unknown\":1}],\"extensions\":{\"bazaar\":{}}}";
	struct challenge *challenge = NULL;
	const struct requirement *option;

	(void)state;
	assert_int_equal(parse_header(&challenge, NULL, text), CHALLENGE_OK);
	assert_int_equal(challenge->version, 2);
	assert_int_equal(challenge->option_count, 1);
	assert_int_equal(challenge->option_dropped, 0);
	assert_string_equal(challenge->error, "pay first");
	assert_string_equal(challenge->text, text);
	assert_int_equal(challenge->text_size, strlen(text));
	assert_true(json_is_object(challenge->resource));
	assert_true(json_is_object(challenge->extensions));
	option = &challenge->options[0];
	assert_string_equal(option->scheme, "exact");
	assert_string_equal(option->network, "eip155:1");
	assert_string_equal(option->amount, "10");
	assert_string_equal(option->asset, "0xa");
	assert_string_equal(option->pay_to, "0xb");
	assert_string_equal(option->resource_url, "https://h/x");
	assert_string_equal(option->payment_flow, "upfront");
	assert_string_equal(option->transfer_method, "eip3009");
	assert_string_equal(option->domain_name, "N");
	assert_string_equal(option->domain_version, "V");
	assert_true(option->timeout_valid);
	assert_int_equal(option->timeout_s, 60);
	assert_int_equal(json_integer_value(json_object_get(option->json, "unknown")), 1);
	challenge_free(&challenge);
	assert_null(challenge);
}

static void v1_body_gives_every_field(void **state)
{
	struct challenge *challenge = NULL;

	(void)state;
	assert_int_equal(parse_body(&challenge, NULL, V1), CHALLENGE_OK);
	assert_int_equal(challenge->version, 1);
	assert_string_equal(challenge->options[0].amount, "10000");
	assert_string_equal(challenge->options[0].network, "base-sepolia");
	assert_string_equal(challenge->options[0].resource_url, "https://h/x");
	assert_null(challenge->options[0].asset);
	assert_null(challenge->options[0].domain_name);
	assert_false(challenge->options[0].timeout_valid);
	assert_null(challenge->resource);
	assert_null(challenge->extensions);
	assert_string_equal(challenge->text, V1);
	challenge_free(&challenge);
}

static void nulls_count_as_absent(void **state)
{
	static const char text[] =
	    "{\"x402Version\":2,\"error\":null,\"resource\":null,\"extensions\":null,\"accepts\":[{"
	    "\"scheme\":null,\"network\":null,\"amount\":null,\"asset\":null,\"payTo\":null,"
	    "\"maxTimeoutSeconds\":null,\"extra\":null},{\"extra\":{\"name\":null,\"version\":null,"
	    "\"assetTransferMethod\":null,\"paymentFlow\":null}}]}";
	struct challenge *challenge = NULL;
	size_t i;

	(void)state;
	assert_int_equal(parse_header(&challenge, NULL, text), CHALLENGE_OK);
	assert_null(challenge->error);
	assert_null(challenge->resource);
	assert_null(challenge->extensions);
	assert_int_equal(challenge->option_count, 2);
	for (i = 0; i < 2; i++) {
		const struct requirement *option = &challenge->options[i];

		assert_null(option->scheme);
		assert_null(option->network);
		assert_null(option->amount);
		assert_null(option->asset);
		assert_null(option->pay_to);
		assert_null(option->resource_url);
		assert_null(option->payment_flow);
		assert_null(option->transfer_method);
		assert_null(option->domain_name);
		assert_null(option->domain_version);
		assert_false(option->timeout_valid);
	}
	challenge_free(&challenge);
}

/* An absent transfer method has a meaning; a number in its place must not get it. */
static void other_types_are_not_absent(void **state)
{
	static const char text[] =
	    "{\"x402Version\":2,\"resource\":{\"url\":5},\"accepts\":[{\"scheme\":1,\"network\":{},"
	    "\"amount\":10000,\"asset\":[],\"payTo\":true,\"extra\":{\"name\":1,\"version\":2,"
	    "\"assetTransferMethod\":3,\"paymentFlow\":[]}},{\"extra\":\"USDC\"}]}";
	struct challenge *challenge = NULL;
	const struct requirement *option;

	(void)state;
	assert_int_equal(parse_header(&challenge, NULL, text), CHALLENGE_OK);
	option = &challenge->options[0];
	assert_null(option->scheme);
	assert_null(option->network);
	assert_null(option->amount);
	assert_null(option->asset);
	assert_null(option->pay_to);
	assert_null(option->domain_name);
	assert_null(option->domain_version);
	assert_non_null(option->resource_url);
	assert_non_null(option->payment_flow);
	assert_non_null(option->transfer_method);
	assert_null(challenge->options[1].domain_name);
	challenge_free(&challenge);
}

static void timeouts_are_positive_integers_below_2_31(void **state)
{
	static const struct {
		const char *json;
		int64_t seconds; /* 0: not valid */
	} rows[] = {{"1", 1}, {"60", 60}, {"31536000", 31536000}, {"2147483647", INT32_MAX},
	    {"2147483648", 0}, {"9223372036854775807", 0}, {"0", 0}, {"-1", 0}, {"60.0", 0},
	    {"60.5", 0}, {"6e1", 0}, {"\"60\"", 0}, {"true", 0}, {"[60]", 0}, {"{}", 0}};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct challenge *challenge = NULL;
		char text[256];

		snprintf(text, sizeof(text),
		    "{\"x402Version\":2,\"accepts\":[{\"maxTimeoutSeconds\":%s}]}", rows[i].json);
		row_check(rows[i].json, parse_header(&challenge, NULL, text) == CHALLENGE_OK);
		row_check(rows[i].json,
		    challenge->options[0].timeout_valid == (rows[i].seconds != 0));
		row_check(rows[i].json, challenge->options[0].timeout_s == rows[i].seconds);
		challenge_free(&challenge);
	}
}

static void header_comes_first(void **state)
{
	struct challenge *challenge = NULL;
	char *header = base64_encode(V2, strlen(V2));
	const char *headers[] = {header, header};
	const char *broken[] = {"%%%"};
	char spaced[1024];

	(void)state;
	assert_int_equal(
	    challenge_parse(&challenge, NULL, headers, 1, V1, strlen(V1)), CHALLENGE_OK);
	assert_int_equal(challenge->version, 2);
	challenge_free(&challenge);
	/* A bad header is not rescued by a good body. */
	assert_int_equal(challenge_parse(&challenge, NULL, broken, 1, V1, strlen(V1)),
	    CHALLENGE_BAD_BASE64);
	assert_int_equal(challenge_parse(&challenge, NULL, headers, 2, V1, strlen(V1)),
	    CHALLENGE_DUPLICATE);
	/* Blanks around the value are the transport's; padding may be missing. */
	snprintf(spaced, sizeof(spaced), " \t%s\t ", header);
	headers[0] = spaced;
	assert_int_equal(challenge_parse(&challenge, NULL, headers, 1, NULL, 0), CHALLENGE_OK);
	challenge_free(&challenge);
	header[strcspn(header, "=")] = '\0';
	headers[0] = header;
	assert_int_equal(challenge_parse(&challenge, NULL, headers, 1, NULL, 0), CHALLENGE_OK);
	challenge_free(&challenge);
	assert_null(challenge);
	free(header);
}

static void version_may_be_text(void **state)
{
	struct challenge *challenge = NULL;

	(void)state;
	assert_int_equal(parse_header(&challenge, NULL,
			     "{\"x402Version\":\"2\",\"accepts\":[" OPTION "]}"),
	    CHALLENGE_OK);
	assert_int_equal(challenge->version, 2);
	challenge_free(&challenge);
	assert_int_equal(parse_body(&challenge, NULL,
			     " \r\n\t{\"x402Version\":\"1\",\"accepts\":[" OPTION "]}"),
	    CHALLENGE_OK);
	assert_int_equal(challenge->version, 1);
	challenge_free(&challenge);
	assert_int_equal(parse_body(&challenge, NULL, V2), CHALLENGE_OK);
	assert_int_equal(challenge->version, 2);
	challenge_free(&challenge);
}

static void headers_that_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum challenge_result result;
	} rows[] = {
	    {"", CHALLENGE_BAD_JSON}, {" ", CHALLENGE_BAD_JSON}, {"{", CHALLENGE_BAD_JSON},
	    {"{}x", CHALLENGE_BAD_JSON}, {"{\"x402Version\":2,}", CHALLENGE_BAD_JSON},
	    {"{'x402Version':2}", CHALLENGE_BAD_JSON}, {"\xff\xfe", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":2,\"accepts\":[" OPTION "],\"accepts\":[]}", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":2,\"accepts\":[{\"payTo\":\"a\",\"payTo\":\"b\"}]}",
		CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":2,\"accepts\":[{\"payTo\":\"a\\u0000b\"}]}", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":2,\"accepts\":[{\"payTo\":\"\\ud800\"}]}", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":2,\"accepts\":[{\"amount\":1e999}]}", CHALLENGE_BAD_JSON},
	    {"null", CHALLENGE_BAD_FORM}, {"2", CHALLENGE_BAD_FORM}, {"[]", CHALLENGE_BAD_FORM},
	    {"\"x402Version\"", CHALLENGE_BAD_FORM}, {"{}", CHALLENGE_BAD_FORM},
	    {"{\"x402version\":2,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":1,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":3,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2.0,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":\"02\",\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":\"2 \",\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":true,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":null,\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"accepts\":[" OPTION "]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":null}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":{}}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[null]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[" OPTION ",7]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[[" OPTION "]]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[" OPTION "],\"resource\":\"https://h/x\"}",
		CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[" OPTION "],\"extensions\":[]}", CHALLENGE_BAD_FORM},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct challenge *challenge = NULL;
		char reason[256] = "";

		row_check(
		    rows[i].text, parse_header(&challenge, reason, rows[i].text) == rows[i].result);
		row_check(rows[i].text, challenge == NULL && reason[0] != '\0');
	}
}

static void base64_is_strict(void **state)
{
	static const char *const rows[] = {"%", "e30", "e30 =", "e3\n0=", "e30==", "e", "e30=,e30=",
	    "e30=e30=", "e3-_", "=", "====", "\xc3\xa9"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct challenge *challenge = NULL;
		enum challenge_result result =
		    challenge_parse(&challenge, NULL, &rows[i], 1, "", 0);

		/* "e30" is "{}": fine base64 without padding, but no challenge. */
		row_check(rows[i], result == (i == 1 ? CHALLENGE_BAD_FORM : CHALLENGE_BAD_BASE64));
		row_check(rows[i], challenge == NULL);
	}
}

static void other_402_bodies_are_absent(void **state)
{
	static const char *const rows[] = {"", " ", "{}", "[]", "null", "Payment Required",
	    "<html><script>\"x402Version\":1</script></html>", "{\"error\":\"card declined\"}",
	    "{\"x402version\":1,\"accepts\":[]}", "{\"nested\":{\"x402Version\":1}}",
	    "{\"error\":\"unfinished", "[{\"x402Version\":1}]", "\"x402Version\"",
	    "{\"x402Version\":2,\"error\":\"see the header\"}",
	    "{\"x402Version\":2,\"accepts\":null}", "{\"x402Version\":null}"};
	char *page = malloc(3 * CHALLENGE_SIZE_MAX);
	struct challenge *challenge = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char reason[256] = "";

		row_check(rows[i], parse_body(&challenge, reason, rows[i]) == CHALLENGE_ABSENT);
		row_check(rows[i], challenge == NULL && reason[0] != '\0');
	}
	assert_int_equal(challenge_parse(&challenge, NULL, NULL, 0, NULL, 0), CHALLENGE_ABSENT);
	memset(page, 'x', 3 * CHALLENGE_SIZE_MAX);
	assert_int_equal(challenge_parse(&challenge, NULL, NULL, 0, page, 3 * CHALLENGE_SIZE_MAX),
	    CHALLENGE_ABSENT);
	free(page);
}

static void bodies_that_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum challenge_result result;
	} rows[] = {
	    {"{\"x402Version\":1", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":1,\"x402Version\":2}", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":1,\"accepts\":[]} trailing", CHALLENGE_BAD_JSON},
	    {"{\"x402Version\":1}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":1,\"accepts\":[]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":1,\"accepts\":[1]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":2,\"accepts\":[]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":0,\"accepts\":[]}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":3}", CHALLENGE_BAD_FORM},
	    {"{\"x402Version\":{}}", CHALLENGE_BAD_FORM},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct challenge *challenge = NULL;

		row_check(
		    rows[i].text, parse_body(&challenge, NULL, rows[i].text) == rows[i].result);
		row_check(rows[i].text, challenge == NULL);
	}
}

/* A valid v2 challenge of exactly this many bytes. */
static char *challenge_of_size(size_t size)
{
	static const char head[] = "{\"x402Version\":2,\"accepts\":[" OPTION "],\"error\":\"";
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + size - 2, "\"}", 3);
	return text;
}

static void size_has_a_limit(void **state)
{
	size_t over;

	(void)state;
	for (over = 0; over < 6; over++) {
		char *text = challenge_of_size(CHALLENGE_SIZE_MAX + over);
		enum challenge_result wanted = over == 0 ? CHALLENGE_OK : CHALLENGE_TOO_LARGE;
		struct challenge *challenge = NULL;

		assert_int_equal(parse_header(&challenge, NULL, text), wanted);
		challenge_free(&challenge);
		assert_int_equal(parse_body(&challenge, NULL, text), wanted);
		challenge_free(&challenge);
		free(text);
	}
}

static void depth_has_a_limit(void **state)
{
	enum { BOMB = 60000 };
	static const char start[] = "{\"x402Version\":1,\"accepts\":";
	char *text = malloc(sizeof(start) + BOMB);
	struct challenge *challenge = NULL;
	size_t length = sizeof(start) - 1;

	(void)state;
	memcpy(text, start, length);
	memset(text + length, '[', BOMB);
	text[length + BOMB] = '\0';
	assert_int_equal(parse_header(&challenge, NULL, text), CHALLENGE_BAD_JSON);
	assert_int_equal(parse_body(&challenge, NULL, text), CHALLENGE_BAD_JSON);
	free(text);
}

static void options_beyond_the_limit_are_counted(void **state)
{
	struct challenge *challenge = NULL;
	struct buf text;
	size_t i;

	(void)state;
	buf_init(&text, 4096);
	buf_add_str(&text, "{\"x402Version\":2,\"accepts\":[{\"scheme\":\"first\"}");
	for (i = 1; i < CHALLENGE_OPTIONS_MAX + 3; i++)
		buf_add_str(&text, ",{\"scheme\":\"x\"}");
	buf_add_str(&text, "]}");
	assert_int_equal(parse_header(&challenge, NULL, buf_str(&text)), CHALLENGE_OK);
	buf_fini(&text);
	assert_int_equal(challenge->option_count, CHALLENGE_OPTIONS_MAX);
	assert_int_equal(challenge->option_dropped, 3);
	assert_string_equal(challenge->options[0].scheme, "first");
	challenge_free(&challenge);
}

/* Every prefix and every single-byte change of a challenge is survived. */
static void mutilated_challenges_are_survived(void **state)
{
	static const char text[] = "{\"x402Version\":2,\"resource\":{\"url\":\"https://h\"},"
				   "\"accepts\":[" OPTION "],\"extensions\":{}}";
	static const char bytes[] = {'\0', '"', '{', '}', '[', ']', '\\', '9', (char)0xff};
	char copy[sizeof(text)];
	size_t at, i;

	(void)state;
	for (at = 0; at < sizeof(text) - 1; at++) {
		struct challenge *challenge = NULL;

		assert_int_not_equal(challenge_parse(&challenge, NULL, NULL, 0, text, at),
		    CHALLENGE_OK);
		for (i = 0; i < sizeof(bytes); i++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = bytes[i];
			(void)!challenge_parse(&challenge, NULL, NULL, 0, copy, sizeof(text) - 1);
			challenge_free(&challenge);
		}
	}
}

static void results_have_names(void **state)
{
	(void)state;
	assert_string_equal(challenge_result_str(CHALLENGE_OK), "ok");
	assert_string_equal(challenge_result_str(CHALLENGE_ABSENT), "absent");
	assert_string_equal(challenge_result_str(CHALLENGE_DUPLICATE), "duplicate");
	assert_string_equal(challenge_result_str(CHALLENGE_TOO_LARGE), "too_large");
	assert_string_equal(challenge_result_str(CHALLENGE_BAD_BASE64), "bad_base64");
	assert_string_equal(challenge_result_str(CHALLENGE_BAD_JSON), "bad_json");
	assert_string_equal(challenge_result_str(CHALLENGE_BAD_FORM), "bad_form");
	assert_string_equal(challenge_result_str((enum challenge_result)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(v2_header_gives_every_field),
	    cmocka_unit_test(v1_body_gives_every_field),
	    cmocka_unit_test(nulls_count_as_absent),
	    cmocka_unit_test(other_types_are_not_absent),
	    cmocka_unit_test(timeouts_are_positive_integers_below_2_31),
	    cmocka_unit_test(header_comes_first),
	    cmocka_unit_test(version_may_be_text),
	    cmocka_unit_test(headers_that_are_refused),
	    cmocka_unit_test(base64_is_strict),
	    cmocka_unit_test(other_402_bodies_are_absent),
	    cmocka_unit_test(bodies_that_are_refused),
	    cmocka_unit_test(size_has_a_limit),
	    cmocka_unit_test(depth_has_a_limit),
	    cmocka_unit_test(options_beyond_the_limit_are_counted),
	    cmocka_unit_test(mutilated_challenges_are_survived),
	    cmocka_unit_test(results_have_names),
	};

	return unit_run(tests);
}
