/* Header fields: what is kept, what is refused, and which stay behind. */
#include "proxy/headers.h"
#include "tests/unit/unit.h"

static bool add(struct headers *headers, const char *name, const char *value)
{
	return headers_add(headers, name, strlen(name), value, strlen(value));
}

static void add_keeps_order_and_trims(void **state)
{
	struct headers headers;

	(void)state;
	headers_init(&headers);
	assert_true(add(&headers, "Accept", "a"));
	assert_true(add(&headers, "X-Empty", ""));
	assert_true(add(&headers, "accept", " \t b c\t "));
	assert_true(add(&headers, "X-Blank", " \t "));
	assert_true(headers_add(&headers, "X-Cutoff", 3, "value", 2));
	assert_int_equal(headers.count, 5);
	assert_string_equal(headers.items[0].name, "Accept");
	assert_string_equal(headers.items[2].name, "accept");
	assert_string_equal(headers.items[2].value, "b c");
	assert_string_equal(headers_get(&headers, "x-empty"), "");
	assert_string_equal(headers_get(&headers, "X-BLANK"), "");
	assert_string_equal(headers_get(&headers, "X-C"), "va");
	assert_string_equal(headers_get(&headers, "ACCEPT"), "a");
	assert_null(headers_get(&headers, "Accept-Encoding"));
	assert_null(headers_get(&headers, "Acc"));
	assert_int_equal(headers.size, 7 + 7 + 9 + 7 + 5);
	headers_fini(&headers);
	assert_int_equal(headers.count, 0);
	headers_fini(&headers); /* twice is fine */
}

static void all_and_count(void **state)
{
	struct headers headers;
	const char *values[2] = {"untouched", "untouched"};

	(void)state;
	headers_init(&headers);
	assert_int_equal(headers_count(&headers, "Via"), 0);
	assert_int_equal(headers_all(values, 2, &headers, "Via"), 0);
	assert_string_equal(values[0], "untouched");
	headers_put(&headers, "Via", "1");
	headers_put(&headers, "Other", "x");
	headers_put(&headers, "VIA", "2");
	headers_put(&headers, "via", "3");
	assert_int_equal(headers_count(&headers, "Via"), 3);
	assert_int_equal(headers_all(values, 2, &headers, "Via"), 3);
	assert_string_equal(values[0], "1");
	assert_string_equal(values[1], "2");
	headers_fini(&headers);
}

static void add_refuses_bad_names(void **state)
{
	static const char *const rows[] = {"", " ", "A B", "A ", " A", "A:", "A\t", "A\r", "A\n",
	    "Ä", "A(", "A)", "A,", "A/", "A;", "A<", "A=", "A>", "A?", "A@", "A[", "A\\", "A]",
	    "A{", "A}", "A\"", "A\x7f", "A\x01"};
	struct headers headers;

	(void)state;
	headers_init(&headers);
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i], !add(&headers, rows[i], "v"));
	assert_false(headers_add(&headers, "A\0B", 3, "v", 1));
	assert_true(add(&headers, "!#$%&'*+-.^_`|~09azAZ", "v"));
	assert_int_equal(headers.count, 1);
	headers_fini(&headers);
}

static void add_refuses_bad_values(void **state)
{
	static const char *const rows[] = {"a\r", "\n", "a\nb", "a\r\nSet-Cookie: x", "\x01",
	    "a\x1f", "\x7f", "\x08", "\x0b", "\x1b[31m"};
	struct headers headers;

	(void)state;
	headers_init(&headers);
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i], !add(&headers, "A", rows[i]));
	assert_false(headers_add(&headers, "A", 1, "a\0b", 3));
	assert_false(headers_add(&headers, "A", 1, "\0", 1));
	assert_true(add(&headers, "A", "tab\tinside and \xc3\xa4 beyond ASCII"));
	assert_int_equal(headers.count, 1);
	headers_fini(&headers);
}

static void add_stops_at_the_count(void **state)
{
	struct headers headers;

	(void)state;
	headers_init(&headers);
	for (size_t i = 0; i < HEADERS_COUNT_MAX; i++)
		assert_true(add(&headers, "A", "b"));
	assert_false(headers_fit(&headers, 1, 0));
	assert_false(add(&headers, "A", "b"));
	assert_int_equal(headers.count, HEADERS_COUNT_MAX);
	assert_aborts(headers_put(&headers, "A", "b"));
	headers_fini(&headers);
}

static void add_stops_at_the_size(void **state)
{
	struct headers headers;
	char *value = must_alloc(HEADERS_SIZE_MAX + 1);

	(void)state;
	memset(value, 'v', HEADERS_SIZE_MAX + 1);
	headers_init(&headers);
	assert_false(headers_add(&headers, "A", 1, value, HEADERS_SIZE_MAX));
	assert_int_equal(headers.count, 0);
	assert_true(headers_add(&headers, "A", 1, value, HEADERS_SIZE_MAX - 2));
	assert_true(headers_fit(&headers, 1, 0));
	assert_false(headers_fit(&headers, 1, 1));
	assert_false(headers_fit(&headers, SIZE_MAX, 2)); /* no wrapping around */
	assert_false(headers_fit(&headers, 2, SIZE_MAX));
	assert_false(add(&headers, "A", "b"));
	assert_true(add(&headers, "A", ""));
	assert_int_equal(headers.size, HEADERS_SIZE_MAX);
	headers_fini(&headers);
	free(value);
}

/* As it is, and within the same two limits. */
static void copy_keeps_the_limits(void **state)
{
	const struct header field = {"Name", "a value", 4, 7};
	struct headers from, to;
	char *value = must_alloc(HEADERS_SIZE_MAX);

	(void)state;
	headers_init(&from);
	headers_init(&to);
	assert_true(headers_copy(&to, &field));
	assert_ptr_not_equal(to.items[0].name, field.name);
	assert_string_equal(to.items[0].name, "Name");
	assert_string_equal(to.items[0].value, "a value");
	assert_int_equal(to.size, 11);
	memset(value, 'v', HEADERS_SIZE_MAX);
	assert_true(headers_add(&from, "A", 1, value, HEADERS_SIZE_MAX - 11));
	assert_false(headers_copy(&to, &from.items[0]));
	assert_int_equal(to.count, 1);
	while (to.count < HEADERS_COUNT_MAX)
		assert_true(headers_copy(&to, &field));
	assert_false(headers_copy(&to, &field));
	assert_int_equal(to.count, HEADERS_COUNT_MAX);
	headers_fini(&from);
	headers_fini(&to);
	free(value);
}

/* Whatever does not fit where the others lie. */
static void texts_stay_where_they_are(void **state)
{
	static const size_t sizes[] = {0, 1, 900, 200, 3000, 0, 80, 1100, 40};
	const char *names[COUNT(sizes)], *values[COUNT(sizes)];
	char value[3000];
	struct headers headers;

	(void)state;
	headers_init(&headers);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		memset(value, 'a' + (int)i, sizes[i]);
		assert_true(headers_add(&headers, "Name", i % 4 + 1, value, sizes[i]));
		names[i] = headers.items[i].name;
		values[i] = headers.items[i].value;
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		memset(value, 'a' + (int)i, sizes[i]);
		assert_ptr_equal(headers.items[i].name, names[i]);
		assert_ptr_equal(headers.items[i].value, values[i]);
		assert_int_equal(headers.items[i].name_size, strlen(names[i]));
		assert_memory_equal(names[i], "Name", i % 4 + 1);
		assert_int_equal(headers.items[i].value_size, sizes[i]);
		assert_memory_equal(values[i], value, sizes[i]);
		assert_int_equal(values[i][sizes[i]], '\0');
	}
	headers_fini(&headers);
}

static void remove_takes_every_one(void **state)
{
	struct headers headers;
	size_t size;

	(void)state;
	headers_init(&headers);
	assert_int_equal(headers_remove(&headers, "Accept"), 0);
	headers_put(&headers, "Host", "h");
	size = headers.size;
	headers_put(&headers, "Accept", "a");
	headers_put(&headers, "ACCEPT", "b");
	headers_put(&headers, "Accept-Encoding", "gzip");
	headers_put(&headers, "accept", "");
	assert_int_equal(headers_remove(&headers, "Accept"), 3);
	assert_int_equal(headers.count, 2);
	assert_string_equal(headers.items[1].name, "Accept-Encoding");
	assert_int_equal(headers_remove(&headers, "accept-encoding"), 1);
	assert_int_equal(headers.size, size);
	assert_string_equal(headers_get(&headers, "host"), "h");
	headers_fini(&headers);
}

static void hop_by_hop(void **state)
{
	static const struct {
		const char *connection;
		const char *name;
		bool hop;
	} rows[] = {
	    {"", "Connection", true},
	    {"", "connection", true},
	    {"", "KEEP-ALIVE", true},
	    {"", "TE", true},
	    {"", "Trailer", true},
	    {"", "Transfer-Encoding", true},
	    {"", "Upgrade", true},
	    {"", "Proxy-Connection", true},
	    {"", "Proxy-Authorization", true},
	    {"", "Proxy-Authenticate", true},
	    {"", "Content-Length", false},
	    {"", "Host", false},
	    {"", "Authorization", false},
	    {"", "", false},
	    {"close", "Close", true},
	    {"close", "Clos", false},
	    {"close", "Closed", false},
	    {"X-Secret", "x-secret", true},
	    {"keep-alive, X-Secret , Foo", "X-SECRET", true},
	    {"keep-alive,X-Secret,Foo", "foo", true},
	    {",, ,X-Secret", "X-Secret", true},
	    {"X-Secretive", "X-Secret", false},
	    {"not, even , close", "X-Secret", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct headers headers;

		headers_init(&headers);
		headers_put(&headers, "Accept", "X-Secret");
		headers_put(&headers, "Connection", "upgrade");
		headers_put(&headers, "connection", rows[i].connection);
		row_check(rows[i].name, headers_hop_by_hop(&headers, rows[i].name) == rows[i].hop);
		headers_fini(&headers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(add_keeps_order_and_trims),
	    cmocka_unit_test(all_and_count),
	    cmocka_unit_test(add_refuses_bad_names),
	    cmocka_unit_test(add_refuses_bad_values),
	    cmocka_unit_test(add_stops_at_the_count),
	    cmocka_unit_test(add_stops_at_the_size),
	    cmocka_unit_test(copy_keeps_the_limits),
	    cmocka_unit_test(texts_stay_where_they_are),
	    cmocka_unit_test(remove_takes_every_one),
	    cmocka_unit_test(hop_by_hop),
	};

	return unit_run(tests);
}
