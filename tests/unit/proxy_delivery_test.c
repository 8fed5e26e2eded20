/* Delivery checks: what may be written in one, and what answers fit. */
#include "proxy/delivery.h"

#include <zlib.h>

#include "common/bytes.h"
#include "tests/unit/unit.h"

#define SIZE_MAX_ 1000u /* of a body that is kept for a schema */

/* --- what may be written ---------------------------------------------------------- */

static struct delivery_check *check_of(const char *text)
{
	struct json_error error;
	struct delivery_check *check = delivery_check_parse(&error, text, strlen(text));

	if (check == NULL)
		fail_msg("%s: line %d, %s: %s", text, error.line, error.path, error.reason);
	return check;
}

static void good_checks_are_read(void **state)
{
	static const struct {
		const char *text;
		bool reads;
	} rows[] = {
	    {"{}", false},
	    {"{\"status\":\"2xx\"}", false},
	    {"{\"status\":[200]}", false},
	    {"{\"status\":[200,206,404,599]}", false},
	    {"{\"contentType\":\"application/json\"}", false},
	    {"{\"contentType\":\"Text/*\"}", false},
	    {"{\"contentType\":\"application/vnd.api+json\"}", false},
	    {"{\"minBytes\":0}", false},
	    {"{\"minBytes\":1}", true},
	    {"{\"minBytes\":1099511627776}", true},
	    {"{\"schema\":true}", true},
	    {"{\"schema\":{\"type\":\"object\"},\"minBytes\":2,\"status\":[200]}", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct delivery_check *check = check_of(rows[i].text);
		json_t *json = delivery_check_json(check);
		json_t *written = json_loads(rows[i].text, 0, NULL);

		row_check(rows[i].text, delivery_check_reads(check) == rows[i].reads);
		row_check(rows[i].text, json_equal(json, written));
		json_decref(written);
		json_decref(json);
		delivery_check_free(&check);
		assert_null(check);
	}
	assert_false(delivery_check_reads(NULL));
}

static void bad_checks_are_refused_where_they_are_bad(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *path, *reason;
	} rows[] = {
	    {"", 1, "", "unexpected token near end of file"},
	    {"{", 1, "", NULL},
	    {"{} {}", 1, "", NULL},
	    {"{\"status\":[200],\n\"status\":[200]}", 2, "", NULL},
	    {"null", 1, "", "must be an object, not null"},
	    {"[]", 1, "", "must be an object, not an array"},
	    {"\"2xx\"", 1, "", "must be an object, not a string"},
	    {"{\n \"statsu\": [200]}", 2, "statsu",
		"unknown key \"statsu\"; did you mean \"status\"?"},
	    {"{\"content-type\":\"a/b\"}", 1, "content-type",
		"unknown key \"content-type\"; did you mean \"contentType\"?"},
	    {"{\"minbytes\":1}", 1, "minbytes",
		"unknown key \"minbytes\"; did you mean \"minBytes\"?"},
	    {"{\"maxBytes\":1}", 1, "maxBytes",
		"unknown key \"maxBytes\"; did you mean \"minBytes\"?"},
	    {"{\"headers\":{}}", 1, "headers", "unknown key \"headers\""},
	    {"{\"\":1}", 1, "", NULL},

	    {"{\"status\":200}", 1, "status", "must be \"2xx\" or an array of statuses"},
	    {"{\"status\":\"200\"}", 1, "status", "must be \"2xx\" or an array of statuses"},
	    {"{\"status\":\"3xx\"}", 1, "status", "must be \"2xx\" or an array of statuses"},
	    {"{\"status\":null}", 1, "status", "must be \"2xx\" or an array of statuses"},
	    {"{\"status\":{}}", 1, "status", "must be \"2xx\" or an array of statuses"},
	    {"{\"status\":[]}", 1, "status", "must name 1 to 32 statuses"},
	    {"{\"status\":[200,\n199]}", 2, "status[1]", "must be a status, 200 to 599"},
	    {"{\"status\":[600]}", 1, "status[0]", "must be a status, 200 to 599"},
	    {"{\"status\":[-200]}", 1, "status[0]", "must be a status, 200 to 599"},
	    {"{\"status\":[4294967496]}", 1, "status[0]", "must be a status, 200 to 599"},
	    {"{\"status\":[\"2xx\"]}", 1, "status[0]", "must be a status, 200 to 599"},
	    {"{\"status\":[200.0]}", 1, "status[0]", "must be a status, 200 to 599"},
	    {"{\"status\":[402]}", 1, "status[0]", "asks for a payment and delivers nothing"},

	    {"{\"contentType\":7}", 1, "contentType",
		"must be a string such as \"application/json\", not a number"},
	    {"{\"contentType\":[\"a/b\"]}", 1, "contentType",
		"must be a string such as \"application/json\", not an array"},
	    {"{\"contentType\":\"\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"json\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"/json\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"application/\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"*/*\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"*/json\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"text/p*\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"text/**\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"a/b/c\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"text/html; charset=utf-8\"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"text/html \"}", 1, "contentType", NULL},
	    {"{\"contentType\":\"text/h\\u00e9\"}", 1, "contentType", NULL},

	    {"{\"minBytes\":-1}", 1, "minBytes",
		"must be a whole number of bytes, 0 to 1099511627776"},
	    {"{\"minBytes\":1099511627777}", 1, "minBytes",
		"must be a whole number of bytes, 0 to 1099511627776"},
	    {"{\"minBytes\":1.5}", 1, "minBytes", NULL},
	    {"{\"minBytes\":\"10\"}", 1, "minBytes", NULL},
	    {"{\"minBytes\":null}", 1, "minBytes", NULL},

	    {"{\"schema\":null}", 1, "schema",
		"must be a schema (an object, true or false), not null"},
	    {"{\"schema\":{\n\"type\":\"objct\"}}", 2, "schema.type",
		"unknown type \"objct\"; did you mean \"object\"?"},
	    {"{\"schema\":{\"properties\":{\"a\":{\n\n\"pattern\":\"x\"}}}}", 3,
		"schema.properties.a.pattern",
		"\"pattern\" is not supported: it would not be checked, so leave it out"},
	    {"{\"schema\":{\"$ref\":\"#/$defs/a\"}}", 1, "schema.$ref", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json_error error;

		row_check(rows[i].text,
		    delivery_check_parse(&error, rows[i].text, strlen(rows[i].text)) == NULL);
		if (error.line != rows[i].line || strcmp(error.path, rows[i].path) != 0 ||
		    (rows[i].reason != NULL && strcmp(error.reason, rows[i].reason) != 0))
			fail_msg("%s: line %d, \"%s\": %s", rows[i].text, error.line, error.path,
			    error.reason);
	}
}

static void sizes_of_checks_are_bounded(void **state)
{
	struct json_error error;
	struct delivery_check *check;
	char *text = must_alloc(DELIVERY_CHECK_SIZE_MAX + 2);

	(void)state;
	memset(text, ' ', DELIVERY_CHECK_SIZE_MAX + 1);
	memcpy(text, "{}", 2);
	check = delivery_check_parse(&error, text, DELIVERY_CHECK_SIZE_MAX);
	assert_non_null(check);
	delivery_check_free(&check);
	assert_null(delivery_check_parse(&error, text, DELIVERY_CHECK_SIZE_MAX + 1));
	assert_string_equal(error.reason, "longer than 65536 bytes");
	free(text);
	for (size_t count = 32; count <= 33; count++) {
		json_t *list = json_array(), *root = json_pack("{s:o}", "status", list);

		while (json_array_size(list) < count)
			json_array_append_new(list, json_integer(200));
		text = json_dumps(root, 0);
		check = delivery_check_parse(&error, text, strlen(text));
		assert_int_equal(check != NULL, count == 32);
		delivery_check_free(&check);
		json_decref(root);
		free(text);
	}
}

static void the_setting_is_named_after_the_tool(void **state)
{
	char *name = delivery_check_name("github/issues");

	(void)state;
	assert_string_equal(name, "delivery/github/issues");
	free(name);
}

/* --- what fits ------------------------------------------------------------------------ */

/* An answer: its head, what came of its body, in pieces of `piece` bytes. */
struct answer {
	int status;
	const char *type, *coding; /* NULL: no such field */
	const char *body;
	size_t size;
	bool head, cut;
};

/* The fault, or "" when it was delivered; the caller frees it. */
static char *fault_of(const char *check_text, const struct answer *answer, size_t piece)
{
	struct delivery_check *check = check_text != NULL ? check_of(check_text) : NULL;
	struct headers headers;
	struct delivery *delivery;
	char *fault;

	headers_init(&headers);
	headers_put(&headers, "Server", "nginx");
	if (answer->type != NULL)
		headers_put(&headers, "Content-Type", answer->type);
	if (answer->coding != NULL)
		headers_put(&headers, "content-encoding", answer->coding);
	delivery = delivery_new(check, answer->head, answer->status, &headers, SIZE_MAX_);
	headers_fini(&headers);
	assert_false(delivery_done(delivery));
	for (size_t at = 0; at < answer->size; at += piece)
		delivery_add(delivery, answer->body + at,
		    piece < answer->size - at ? piece : answer->size - at);
	delivery_end(delivery, !answer->cut);
	assert_int_equal(delivery_done(delivery), delivery_fault(delivery) == NULL);
	fault = must_strdup(delivery_done(delivery) ? "" : delivery_fault(delivery));
	delivery_free(&delivery);
	delivery_check_free(&check);
	return fault;
}

static void row_faults(const char *check, const struct answer *answer, const char *fault)
{
	const size_t pieces[] = {1, 7, 100000};

	for (size_t i = 0; i < COUNT(pieces); i++) {
		char *got = fault_of(check, answer, pieces[i]);

		if (strcmp(got, fault) != 0)
			fail_msg("%s, status %d, %s, %s: \"%s\", not \"%s\"",
			    check != NULL ? check : "no check", answer->status,
			    answer->type != NULL ? answer->type : "-",
			    answer->body != NULL ? answer->body : "-", got, fault);
		free(got);
	}
}

#define JSON_TYPE "application/json"

static void answers_fit_or_not(void **state)
{
	static const struct {
		const char *check;
		struct answer answer;
		const char *fault; /* NULL: none */
	} rows[] = {
	    /* The default: a status of 2xx, and all of it. */
	    {NULL, {.status = 200}, NULL},
	    {NULL, {.status = 204}, NULL},
	    {NULL, {.status = 299, .body = "x"}, NULL},
	    {NULL, {.status = 200, .coding = "br", .body = "?"}, NULL},
	    {NULL, {.status = 199}, "its status is 199"},
	    {NULL, {.status = 300}, "its status is 300"},
	    {NULL, {.status = 304}, "its status is 304"},
	    {NULL, {.status = 402}, "its status is 402"},
	    {NULL, {.status = 404, .body = "x"}, "its status is 404"},
	    {NULL, {.status = 500, .cut = true}, "its status is 500"},
	    {NULL, {.status = 200, .body = "x", .cut = true}, "it was cut short"},
	    {"{}", {.status = 200}, NULL},
	    {"{}", {.status = 500}, "its status is 500"},

	    {"{\"status\":[200,404]}", {.status = 404}, NULL},
	    {"{\"status\":[200,404]}", {.status = 204}, "its status is 204"},
	    {"{\"status\":[206]}", {.status = 200}, "its status is 200"},

	    {"{\"contentType\":\"application/json\"}", {.status = 200, .type = JSON_TYPE}, NULL},
	    {"{\"contentType\":\"application/json\"}",
		{.status = 200, .type = "Application/JSON; charset=utf-8"}, NULL},
	    {"{\"contentType\":\"application/json\"}",
		{.status = 200, .type = "application/json ;charset=utf-8"}, NULL},
	    {"{\"contentType\":\"text/*\"}", {.status = 200, .type = "text/csv"}, NULL},
	    {"{\"contentType\":\"application/json\"}", {.status = 200},
		"it has no content type, and application/json is wanted"},
	    {"{\"contentType\":\"application/json\"}", {.status = 200, .type = ""},
		"its content type is , not application/json"},
	    {"{\"contentType\":\"application/json\"}", {.status = 200, .type = "text/html"},
		"its content type is text/html, not application/json"},
	    {"{\"contentType\":\"application/json\"}", {.status = 200, .type = "application/jsonp"},
		"its content type is application/jsonp, not application/json"},
	    {"{\"contentType\":\"application/json\"}", {.status = 200, .type = "application/jso"},
		"its content type is application/jso, not application/json"},
	    {"{\"contentType\":\"text/*\"}", {.status = 200, .type = "text/"},
		"its content type is text/, not text/*"},
	    {"{\"contentType\":\"text/*\"}", {.status = 200, .type = "textual/csv"},
		"its content type is textual/csv, not text/*"},
	    /* The status comes first. */
	    {"{\"contentType\":\"text/*\"}", {.status = 500, .type = "image/png"},
		"its status is 500"},

	    {"{\"minBytes\":3}", {.status = 200, .body = "abc"}, NULL},
	    {"{\"minBytes\":3}", {.status = 200, .body = "abcdefghij"}, NULL},
	    {"{\"minBytes\":3}", {.status = 200, .head = true}, NULL},
	    {"{\"minBytes\":3}", {.status = 200, .coding = "identity", .body = "abc"}, NULL},
	    {"{\"minBytes\":3}", {.status = 200, .body = "ab"},
		"its body has 2 bytes, fewer than 3"},
	    {"{\"minBytes\":3}", {.status = 200}, "its body has 0 bytes, fewer than 3"},
	    {"{\"minBytes\":3}", {.status = 204}, "its body has 0 bytes, fewer than 3"},
	    {"{\"minBytes\":3}", {.status = 200, .body = "abcd", .cut = true}, "it was cut short"},
	    {"{\"minBytes\":3}", {.status = 200, .coding = "br", .body = "abcd"},
		"its body is in the coding br, which cannot be checked"},
	    {"{\"minBytes\":3}", {.status = 200, .coding = "gzip, gzip", .body = "abcd"},
		"its body is in the coding gzip, gzip, which cannot be checked"},
	    {"{\"minBytes\":3}", {.status = 200, .coding = "gzip", .body = "not gzip"},
		"its compressed body is damaged"},
	    {"{\"minBytes\":3}", {.status = 200, .coding = "gzip"},
		"its compressed body is cut short"},

	    {"{\"schema\":{\"type\":\"object\"}}", {.status = 200, .body = "{}"}, NULL},
	    {"{\"schema\":{\"type\":\"object\"}}", {.status = 200, .body = " {\"a\":1}\n"}, NULL},
	    {"{\"schema\":{\"type\":\"object\"}}", {.status = 200, .body = "\xef\xbb\xbf{}"}, NULL},
	    {"{\"schema\":{\"type\":\"object\"}}", {.status = 200, .head = true}, NULL},
	    {"{\"schema\":{\"type\":\"array\",\"items\":{\"minimum\":1}}}",
		{.status = 200, .body = "[18446744073709551616, 2]"}, NULL},
	    {"{\"schema\":{\"type\":\"object\"}}", {.status = 200, .body = "[]"},
		"its body: is an array, not an object"},
	    {"{\"schema\":{\"required\":[\"a\"]}}", {.status = 200, .body = "{\"b\":1}"},
		"its body: \"a\" is missing"},
	    {"{\"schema\":{\"items\":{\"type\":\"integer\"}}}",
		{.status = 200, .body = "[1,\"2\"]"},
		"its body: [1]: is a string, not a whole number"},
	    {"{\"schema\":{\"additionalProperties\":false}}",
		{.status = 200, .body = "{\"\xc3\xa9\":1}"}, "its body: ??: may not be there"},
	    {"{\"schema\":{}}", {.status = 200},
		"its body is not JSON: unexpected token near end of file"},
	    {"{\"schema\":{}}", {.status = 200, .body = "<html>"},
		"its body is not JSON: invalid token near '<'"},
	    {"{\"schema\":{}}", {.status = 200, .body = "{\"a\":1"},
		"its body is not JSON: '}' expected near end of file"},
	    {"{\"schema\":{}}", {.status = 200, .body = "{\"a\":1,\"a\":1}"},
		"its body is not JSON: duplicate object key near '\"a\"'"},
	    {"{\"schema\":{}}", {.status = 200, .body = "\xff\xfe"},
		"its body is not JSON: unable to decode byte 0xff"},
	    {"{\"schema\":{},\"minBytes\":3}", {.status = 200, .body = "{}"},
		"its body has 2 bytes, fewer than 3"},
	    {"{\"schema\":{},\"status\":[200]}", {.status = 201, .body = "?"}, "its status is 201"},
	    {"{\"schema\":{}}", {.status = 200, .body = "{}", .cut = true}, "it was cut short"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct answer answer = rows[i].answer;

		answer.size = answer.body != NULL ? strlen(answer.body) : 0;
		row_faults(rows[i].check, &answer, rows[i].fault != NULL ? rows[i].fault : "");
	}
}

/* Compressed as a web server would; the caller frees it. */
static char *packed(size_t *size, const void *bytes, size_t bytes_size)
{
	uLong room = compressBound((uLong)bytes_size) + 64;
	char *out = must_alloc(room);
	z_stream stream = {0};

	assert_int_equal(
	    deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (unsigned char *)(uintptr_t)bytes;
	stream.avail_in = (unsigned)bytes_size;
	stream.next_out = (unsigned char *)out;
	stream.avail_out = (unsigned)room;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	*size = room - stream.avail_out;
	deflateEnd(&stream);
	return out;
}

static void compressed_bodies_are_looked_into(void **state)
{
	static const char text[] = "{\"results\":[1,2,3],\"filling\":\"aaaaaaaaaaaaaaaaaaaaaaaa\"}";
	struct answer answer = {.status = 200, .type = JSON_TYPE, .coding = "gzip"};
	char *body = packed(&answer.size, text, strlen(text));

	(void)state;
	answer.body = body;
	row_faults("{\"schema\":{\"required\":[\"results\"]}}", &answer, "");
	row_faults(
	    "{\"schema\":{\"required\":[\"other\"]}}", &answer, "its body: \"other\" is missing");
	row_faults("{\"minBytes\":56}", &answer, "");
	row_faults("{\"minBytes\":57}", &answer, "its body has 56 bytes, fewer than 57");
	answer.coding = "X-GZip";
	row_faults("{\"schema\":{\"required\":[\"results\"]}}", &answer, "");
	answer.coding = "deflate"; /* what it is is seen */
	row_faults("{\"schema\":{\"required\":[\"results\"]}}", &answer, "");
	answer.coding = NULL;
	row_faults("{\"minBytes\":1}", &answer, "");
	/* The HTTP message is whole, and what is in it is not. */
	answer.coding = "gzip";
	answer.size -= 9;
	row_faults("{\"schema\":{}}", &answer, "its compressed body is cut short");
	row_faults("{\"minBytes\":1000}", &answer, "its compressed body is cut short");
	row_faults("{\"minBytes\":10}", &answer, "");
	answer.size = 1;
	row_faults("{\"schema\":{}}", &answer, "its compressed body is cut short");
	free(body);
}

static void bodies_too_large_for_a_schema_do_not_fit(void **state)
{
	char text[SIZE_MAX_ + 2];
	struct answer answer = {.status = 200, .body = text, .size = SIZE_MAX_};

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	row_faults("{\"schema\":{\"type\":\"object\"}}", &answer, "");
	answer.size++;
	row_faults("{\"schema\":{\"type\":\"object\"}}", &answer,
	    "its body is larger than the 1000 bytes in which a schema is checked");
	/* Nothing is kept for other checks. */
	row_faults("{\"minBytes\":1001}", &answer, "");
	row_faults(NULL, &answer, "");
}

/* However much of an answer is kept for other purposes. */
static void no_schema_is_checked_on_more_than_a_mebibyte(void **state)
{
	struct delivery_check *check = check_of("{\"schema\":{\"type\":\"object\"}}");
	char *text = must_alloc(DELIVERY_BODY_MAX + 1);
	struct headers headers;

	(void)state;
	memset(text, ' ', DELIVERY_BODY_MAX + 1);
	memcpy(text, "{}", 2);
	headers_init(&headers);
	for (size_t size = DELIVERY_BODY_MAX; size <= DELIVERY_BODY_MAX + 1; size++) {
		struct delivery *delivery = delivery_new(check, false, 200, &headers, SIZE_MAX);

		delivery_add(delivery, text, size);
		delivery_end(delivery, true);
		assert_int_equal(delivery_done(delivery), size == DELIVERY_BODY_MAX);
		delivery_free(&delivery);
	}
	headers_fini(&headers);
	delivery_check_free(&check);
	free(text);
}

/* 64 MiB of blanks in 64 KiB: no more of it is decompressed than is kept. */
static void a_bomb_stops_where_the_check_does(void **state)
{
	const size_t plain = 64u << 20;
	char *blanks = must_alloc(plain), *bomb;
	struct answer answer = {.status = 200, .coding = "gzip"};

	(void)state;
	memset(blanks, ' ', plain);
	bomb = packed(&answer.size, blanks, plain);
	answer.body = bomb;
	row_faults("{\"schema\":{}}", &answer,
	    "its body is larger than the 1000 bytes in which a schema is checked");
	row_faults("{\"minBytes\":5000}", &answer, "");
	row_faults("{\"minBytes\":67108864}", &answer, "");
	row_faults(
	    "{\"minBytes\":67108865}", &answer, "its body has 67108864 bytes, fewer than 67108865");
	free(bomb);
	free(blanks);
}

/* A type that was made to fill the reason, and to break it. */
static void reasons_are_fit_to_print(void **state)
{
	char type[1000];
	struct answer answer = {.status = 200, .type = type};
	char *fault;

	(void)state;
	memset(type, 't', sizeof(type) - 1);
	type[sizeof(type) - 1] = '\0';
	memcpy(type, "\xe2\x82\xac\xff", 4);
	fault = fault_of("{\"contentType\":\"application/json\"}", &answer, 1);
	assert_true(strlen(fault) < 160);
	for (const char *at = fault; *at != '\0'; at++)
		assert_true(*at >= ' ' && *at <= '~');
	free(fault);
}

/* Seen from a head alone, for an agent that has left. */
static void a_head_may_be_wrong_already(void **state)
{
	struct delivery *delivery;
	struct headers headers;

	(void)state;
	headers_init(&headers);
	delivery = delivery_new(NULL, false, 503, &headers, SIZE_MAX_);
	assert_string_equal(delivery_fault(delivery), "its status is 503");
	assert_false(delivery_done(delivery));
	delivery_free(&delivery);
	assert_null(delivery);
	delivery = delivery_new(NULL, false, 200, &headers, SIZE_MAX_);
	assert_null(delivery_fault(delivery));
	assert_false(delivery_done(delivery));
	delivery_end(delivery, true);
	assert_true(delivery_done(delivery));
	assert_aborts(delivery_end(delivery, true));
	delivery_free(&delivery);
	delivery_free(&delivery);
	headers_fini(&headers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_checks_are_read),
	    cmocka_unit_test(bad_checks_are_refused_where_they_are_bad),
	    cmocka_unit_test(sizes_of_checks_are_bounded),
	    cmocka_unit_test(the_setting_is_named_after_the_tool),
	    cmocka_unit_test(answers_fit_or_not),
	    cmocka_unit_test(compressed_bodies_are_looked_into),
	    cmocka_unit_test(bodies_too_large_for_a_schema_do_not_fit),
	    cmocka_unit_test(no_schema_is_checked_on_more_than_a_mebibyte),
	    cmocka_unit_test(a_bomb_stops_where_the_check_does),
	    cmocka_unit_test(reasons_are_fit_to_print),
	    cmocka_unit_test(a_head_may_be_wrong_already),
	};

	return unit_run(tests);
}
