/* What passes between agent and seller: paths, header fields, redirects. */
#include "proxy/relay.h"
#include "tests/unit/unit.h"

static struct tool tool_at(const char *name, const char *url)
{
	return (struct tool){.name = (char *)(uintptr_t)name, .url = (char *)(uintptr_t)url};
}

static void name_put(struct headers *headers, const char *name, const char *value)
{
	assert_true(headers_add(headers, name, strlen(name), value, strlen(value)));
}

/* --- paths ------------------------------------------------------------------ */

static void paths_that_pass(void **state)
{
	static const char *const rows[] = {"", "/", "?", "?q=1", "/a", "/a/b?c=d", "/a//b", "//a",
	    "/...", "/....", "/..a", "/a..", "/.a", "/a.", "/.well-known/x", "/a/b..c/d", "/%41",
	    "/a%20b", "/a%2eb", "/%2e%2e%2e", "/a;b=c", "/;a", "/;..", "/a..;", "/...;", "/100%25",
	    "/a%252Fb", "/%2541", "/~a!$&'()*+,:=@", "/a?..", "/a?/../b", "/a?%2e%2e/", "/a?%00",
	    "/a?x=%5c", "/a?b?c", "/a?x=%0d%0a", "/%E2%82%AC", "/a%3Bb", "/[a]", "/{a}|b^c`\"<>"};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i], relay_path_valid(rows[i]));
}

static void paths_that_climb_or_lie(void **state)
{
	static const char *const rows[] = {/* dot segments, plain */
	    "/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b", "/a/b/../../c",
	    "/../..", "/..?q", "/.?q", "//..", "/a//../b", "/..//",
	    /* escaped, in part or whole, in either case */
	    "/%2e", "/%2E", "/%2e%2e", "/%2E%2E/", "/.%2e", "/%2e.", "/%2e%2E/a", "/a/%2e%2e/b",
	    "/a/%2e/b", "/%2e%2e?q", "/a/.%2E",
	    /* escaped twice and more */
	    "/%252e", "/%252e%252e", "/%252E%252e/a", "/.%252e/", "/a/%25%32%65%25%32%65/b",
	    "/%25252e%25252e", "/..%252f", "/..%252fa", "/a/..%255c..%255cb", "/%252e%252e%252fa",
	    "/..%25252f", "/%2525252525252e",
	    /* with a parameter, which servlet containers strip */
	    "/..;", "/..;/", "/..;a=b/c", "/.;/", "/a/..;x/b", "/%2e%2e;/", "/..%3b/", "/..%3B",
	    "/%2e%2e%3ba/", "/..%253b/a",
	    /* other partings of segments */
	    "/a\\b", "/..\\", "\\", "/%5c", "/a%5Cb", "/..%5c..", "/%2f", "/a%2Fb", "/..%2fa",
	    "/%2f..",
	    /* control bytes, plain and escaped */
	    "/a\x01", "/a\tb", "/a\nb", "/a\rb", "/\x7f", "/a b", "/%00", "/a%0a", "/a%0D%0Ab",
	    "/%1f", "/%7f", "/%09",
	    /* overlong UTF-8 */
	    "/%c0%ae%c0%ae/a", "/a/%C0%AE%C0%AE", "/%e0%80%ae%e0%80%ae/", "/%f0%80%80%ae",
	    "/%c0%af..", "/%c1%9c", "/%25c0%25ae",
	    /* not ASCII, fragments, broken escapes */
	    "/\x80", "/\xff", "/\xe2\x82\xac", "/a#b", "#", "/%", "/%2", "/%zz", "/%2g", "/%g2",
	    "/a%", "/%%41", "/% 41", "/a?b#c", "/a?\\", "/a?%", "/a?%2", "/a?%zz", "/a?b c",
	    "/a?\x01", "/a?\x7f", "/a?\xc3\xa4", "/a?\n"};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i], !relay_path_valid(rows[i]));
}

/* Escapes within escapes cost one look each, not one for each other. */
static void a_path_of_nothing_but_escapes(void **state)
{
	enum { SIZE = 16000 };
	char *path = must_alloc(SIZE + 1);

	(void)state;
	path[0] = '/';
	path[1] = '%';
	for (size_t i = 2; i < SIZE; i++)
		path[i] = i % 2 ? '5' : '2';
	path[SIZE] = '\0';
	assert_false(relay_path_valid(path));
	free(path);
}

static void url_is_base_and_rest(void **state)
{
	struct tool tool = tool_at("t", "https://h:1/base");
	char *url = relay_url(&tool, "/a?b");

	(void)state;
	assert_string_equal(url, "https://h:1/base/a?b");
	free(url);
	url = relay_url(&tool, "");
	assert_string_equal(url, "https://h:1/base");
	free(url);
}

/* --- fields of the request ----------------------------------------------------- */

static void payment_headers_of_the_agent(void **state)
{
	static const struct {
		const char *name, *found;
	} rows[] = {
	    {"PAYMENT-SIGNATURE", "PAYMENT-SIGNATURE"},
	    {"Payment-Signature", "PAYMENT-SIGNATURE"},
	    {"payment-signature", "PAYMENT-SIGNATURE"},
	    {"payment_signature", "PAYMENT-SIGNATURE"},
	    {"Payment_Signature", "PAYMENT-SIGNATURE"},
	    {"X-PAYMENT", "X-PAYMENT"},
	    {"x-payment", "X-PAYMENT"},
	    {"x_payment", "X-PAYMENT"},
	    {"Sign-In-With-X", "SIGN-IN-WITH-X"},
	    {"sign_in-with_x", "SIGN-IN-WITH-X"},
	    {"X.PAYMENT", "X-PAYMENT"},
	    {"x|payment", "X-PAYMENT"},
	    {"payment'signature", "PAYMENT-SIGNATURE"},
	    {"Sign~In*With+X", "SIGN-IN-WITH-X"},
	    {"X--PAYMENT", NULL},
	    {"X-PAYMENT-", NULL},
	    {"PAYMENT-SIGNATURES", NULL},
	    {"PAYMENT-SIGNATUR", NULL},
	    {"X-PAYMENT-RESPONSE", NULL},
	    {"XPAYMENT", NULL},
	    {"X-PAY", NULL},
	    {"Payment", NULL},
	    {"Accept", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct headers headers;
		const char *name = NULL;

		headers_init(&headers);
		headers_put(&headers, "Accept", "X-PAYMENT");
		name_put(&headers, rows[i].name, "");
		row_check(
		    rows[i].name, relay_payment_header(&name, &headers) == (rows[i].found != NULL));
		if (rows[i].found)
			assert_string_equal(name, rows[i].found);
		headers_fini(&headers);
	}
}

static void request_headers(void **state)
{
	static const struct {
		const char *name;
		bool passes;
	} rows[] = {{"Host", false}, {"host", false}, {"Content-Length", false},
	    {"Transfer-Encoding", false}, {"Authorization", false}, {"AUTHORIZATION", false},
	    {"Expect", false}, {"Connection", false}, {"Keep-Alive", false},
	    {"Proxy-Authorization", false}, {"Proxy-Authenticate", false},
	    {"Proxy-Connection", false}, {"TE", false}, {"Trailer", false}, {"Upgrade", false},
	    {"X-Listed", false}, {"x-LISTED", false}, {"X-Second", false},
	    {"Idempotency-Key", true}, {"Accept", true}, {"Content-Type", true}, {"Cookie", true},
	    {"User-Agent", true}, {"X-Authorization", true}, {"X-Listed-Not", true}, {"Via", true}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct headers in, out;

		headers_init(&in);
		headers_init(&out);
		headers_put(&in, "Connection", "close, X-Listed");
		name_put(&in, rows[i].name, "value");
		headers_put(&in, "Connection", "x-second");
		assert_true(relay_request_headers(&out, &in, NULL, NULL));
		row_check(rows[i].name, (out.count == 1) == rows[i].passes);
		if (rows[i].passes) {
			assert_string_equal(out.items[0].name, rows[i].name);
			assert_string_equal(out.items[0].value, "value");
		}
		headers_fini(&in);
		headers_fini(&out);
	}
}

static void request_headers_keep_order_and_repeats(void **state)
{
	struct headers in, out;

	(void)state;
	headers_init(&in);
	headers_init(&out);
	headers_put(&in, "B", "1");
	headers_put(&in, "Host", "h");
	headers_put(&in, "A", "");
	headers_put(&in, "B", "2");
	assert_true(relay_request_headers(&out, &in, "PAYMENT-SIGNATURE", "sig"));
	assert_int_equal(out.count, 4);
	assert_string_equal(out.items[0].name, "B");
	assert_string_equal(out.items[1].value, "");
	assert_string_equal(out.items[2].value, "2");
	assert_string_equal(out.items[3].name, "PAYMENT-SIGNATURE");
	assert_string_equal(out.items[3].value, "sig");
	headers_fini(&in);
	headers_fini(&out);
}

/* The agent cannot list the payment away: what it lists are its own fields. */
static void payment_is_added_last(void **state)
{
	struct headers in, kept, out;

	(void)state;
	headers_init(&in);
	headers_init(&kept);
	headers_init(&out);
	headers_put(&in, "Connection", "PAYMENT-SIGNATURE");
	assert_true(relay_request_headers(&kept, &in, NULL, NULL));
	assert_true(relay_request_headers(&out, &kept, "PAYMENT-SIGNATURE", "sig"));
	assert_string_equal(headers_get(&out, "PAYMENT-SIGNATURE"), "sig");
	headers_fini(&in);
	headers_fini(&kept);
	headers_fini(&out);
}

static void request_headers_have_an_end(void **state)
{
	struct headers in, out;
	char *value = must_alloc(HEADERS_SIZE_MAX);

	(void)state;
	headers_init(&in);
	headers_init(&out);
	for (size_t i = 0; i < HEADERS_COUNT_MAX; i++)
		headers_put(&in, "A", "b");
	assert_true(relay_request_headers(&out, &in, NULL, NULL));
	headers_fini(&out);
	assert_false(relay_request_headers(&out, &in, "PAYMENT-SIGNATURE", "sig"));
	headers_fini(&out);
	headers_fini(&in);
	memset(value, 'v', HEADERS_SIZE_MAX - 1);
	value[HEADERS_SIZE_MAX - 1] = '\0';
	headers_put(&in, "A", value);
	assert_true(relay_request_headers(&out, &in, NULL, NULL));
	headers_fini(&out);
	assert_false(relay_request_headers(&out, &in, "P", "s"));
	headers_fini(&out);
	headers_fini(&in);
	free(value);
}

static void codings_that_cannot_be_read_are_not_asked_for(void **state)
{
	static const struct {
		const char *first, *second; /* NULL: no such field */
		const char *asked;
	} rows[] = {
	    {NULL, NULL, NULL},
	    {"gzip, deflate, br", NULL, "gzip, deflate"},
	    {"br, gzip", NULL, "gzip"},
	    {"deflate", NULL, "deflate"},
	    {"br;q=1.0, GZIP;q=0.8, *;q=0.1", NULL, "gzip"},
	    {"br", "gzip", "gzip"},
	    {"gzip;q=0.001", NULL, "gzip"},
	    {"gzip;q=0", NULL, "identity"},
	    {"gzip ; q=0.000, deflate", NULL, "deflate"},
	    {"gzip;Q=0.0,br", NULL, "identity"},
	    {"br, zstd", NULL, "identity"},
	    {"*", NULL, "identity"},
	    {"", NULL, "identity"},
	    {",,;", NULL, "identity"},
	    {"x-gzip, gzipped, gz ip", NULL, "identity"},
	    {"identity", NULL, "identity"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *row = rows[i].first ? rows[i].first : "none", *asked;
		struct headers headers;

		headers_init(&headers);
		headers_put(&headers, "Accept", "br");
		if (rows[i].first)
			headers_put(&headers, "accept-ENCODING", rows[i].first);
		if (rows[i].second)
			headers_put(&headers, "Accept-Encoding", rows[i].second);
		row_check(row, relay_readable(&headers));
		asked = headers_get(&headers, "accept-encoding");
		row_check(row, (asked == NULL) == (rows[i].asked == NULL));
		row_check(row, asked == NULL || strcmp(asked, rows[i].asked) == 0);
		row_check(row, headers_count(&headers, "accept-encoding") == (asked != NULL));
		row_check(row, strcmp(headers_get(&headers, "accept"), "br") == 0);
		headers_fini(&headers);
	}
}

/* --- fields of the response ------------------------------------------------------ */

static void response_headers(void **state)
{
	static const struct {
		const char *name;
		bool passes;
	} rows[] = {{"Content-Length", false}, {"Transfer-Encoding", false}, {"Connection", false},
	    {"Keep-Alive", false}, {"Trailer", false}, {"Upgrade", false},
	    {"Proxy-Authenticate", false}, {"X-Policy-Allowed", false}, {"x-policy-allowed", false},
	    {"Tallyward-Payment", false}, {"Tallyward-Cost", false}, {"tallyward-call", false},
	    {"TALLYWARD-Anything", false}, {"Tallyward-", false}, {"X-Listed", false},
	    {"Tallyward", true}, {"X-Tallyward-Cost", true}, {"Set-Cookie", true},
	    {"Content-Encoding", true}, {"Date", true}, {"Payment-Response", true},
	    {"X-Payment-Response", true}, {"WWW-Authenticate", true}, {"Retry-After", true},
	    {"Alt-Svc", false}, {"Strict-Transport-Security", false}, {"Clear-Site-Data", false}};
	struct tool tool = tool_at("t", "https://h");

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct headers in, out;

		headers_init(&in);
		headers_init(&out);
		name_put(&in, rows[i].name, "value");
		headers_put(&in, "Connection", "x-listed");
		assert_true(relay_response_headers(&out, &in, &tool, "https://h", NULL));
		row_check(rows[i].name, (out.count == 1) == rows[i].passes);
		headers_fini(&in);
		headers_fini(&out);
	}
}

static void response_headers_have_an_end(void **state)
{
	struct tool tool = tool_at("a-name-longer-than-its-base", "https://h");
	struct headers in, out;
	char *value = must_alloc(HEADERS_SIZE_MAX);

	(void)state;
	headers_init(&in);
	headers_init(&out);
	headers_put(&out, "Ours", "first");
	for (size_t i = 0; i < HEADERS_COUNT_MAX; i++)
		headers_put(&in, "A", "b");
	assert_false(relay_response_headers(&out, &in, &tool, "https://h", NULL));
	headers_fini(&in);
	headers_fini(&out);
	/* A Location grows when it is rewritten. */
	memset(value, 'v', HEADERS_SIZE_MAX - 1);
	value[0] = '/';
	value[HEADERS_SIZE_MAX - 1 - strlen("Location")] = '\0';
	headers_put(&in, "Location", value);
	assert_false(relay_response_headers(&out, &in, &tool, "https://h", NULL));
	headers_fini(&in);
	headers_fini(&out);
	free(value);
}

static void locations(void **state)
{
	static const struct {
		const char *url, *location, *out; /* NULL: not handed on */
	} rows[] = {
	    /* inside */
	    {"https://h", "/x", "/t/a/b/x"},
	    {"https://h", "/", "/t/a/b/"},
	    {"https://h", "/x?y#z", "/t/a/b/x?y#z"},
	    {"https://h", "https://h/x", "/t/a/b/x"},
	    {"https://h", "https://h", "/t/a/b/"},
	    {"https://h", "https://h?q", "/t/a/b/?q"},
	    {"https://h", "HTTPS://H/x", "/t/a/b/x"},
	    {"https://h:8", "https://h:8/x", "/t/a/b/x"},
	    {"https://h/v1", "/v1", "/t/a/b"},
	    {"https://h/v1", "/v1/x", "/t/a/b/x"},
	    {"https://h/v1", "/v1?x", "/t/a/b?x"},
	    {"https://h/v1", "https://h/v1/x", "/t/a/b/x"},
	    {"http://[::1]:8/v1", "http://[::1]:8/v1/x", "/t/a/b/x"},
	    /* relative to what was asked: URL/r/s?t */
	    {"https://h", "//h/x", "/t/a/b/x"},
	    {"https://h", "x", "/t/a/b/r/x"},
	    {"https://h", "./x", "/t/a/b/r/x"},
	    {"https://h", "../x", "/t/a/b/x"},
	    {"https://h", "../../../x", "/t/a/b/x"},
	    {"https://h", "?q", "/t/a/b/r/s?q"},
	    {"https://h/v1", "../x", "/t/a/b/x"},
	    {"https://h", "/a b", "/t/a/b/a%20b"},
	    {"https://h", "/\xe2\x82\xac", "/t/a/b/%e2%82%ac"},
	    /* outside, and said so */
	    {"https://h/v1", "/v2", "https://h/v2"},
	    {"https://h/v1", "/v10", "https://h/v10"},
	    {"https://h/v1", "/V1/x", "https://h/V1/x"},
	    {"https://h/v1", "/", "https://h/"},
	    {"https://h/v1", "/t/other/buy", "https://h/t/other/buy"},
	    {"https://h/v1", "../../t/other/buy", "https://h/t/other/buy"},
	    {"https://h/v1", "https://h/", "https://h/"},
	    {"https://h/v1", "https://h", "https://h"},
	    {"https://h/v1", "HTTPS://Evil/x#Y", "HTTPS://Evil/x#Y"},
	    {"https://h/v1", "https://h/v1x", "https://h/v1x"},
	    {"https://h/v1", "/v1/../v2", "https://h/v2"},
	    {"https://h", "http://h/x", "http://h/x"},
	    {"https://h", "https://h.evil/x", "https://h.evil/x"},
	    {"https://h", "https://ha/x", "https://ha/x"},
	    {"https://h", "https://h:8/x", "https://h:8/x"},
	    {"https://h:8", "https://h:80/x", "https://h:80/x"},
	    {"https://h:8", "https://h/x", "https://h/x"},
	    {"https://h", "//evil/x", "https://evil/x"},
	    {"https://h", "http:///t/other/buy", "http://t/other/buy"},
	    {"https://h", "javascript:alert(1)", "javascript:alert(1)"},
	    {"https://h", "app://h/x", "app://h/x"},
	    /* dots that some clients resolve and we do not */
	    {"https://h", "/%2e%2e/other/buy", "https://h/%2e%2e/other/buy"},
	    {"https://h", "/.%2E/other/buy", "https://h/.%2E/other/buy"},
	    {"https://h", "/a%2fb", "https://h/a%2fb"},
	    /* one reader's here is another's there */
	    {"https://h", "https://h@evil/x", NULL},
	    {"https://h", "https://h:x@evil/x", NULL},
	    {"https://h", "https://h\\@evil/x", NULL},
	    {"https://h", "/\\evil/x", NULL},
	    {"https://h", "/x\\..\\..\\other/buy", NULL},
	    {"https://h", ".\t./.\t./t/other/buy", NULL},
	    {"https://h", "https:/h/x", NULL},
	    {"https://h", "https:h", NULL},
	    {"https://h", "http:t/other/buy", NULL},
	    {"https://h", "HTTP:/t/other/buy", NULL},
	    {"https://h", "", NULL},
	    {"https://h", "https://\xef\xbc\x91.evil/x", NULL},
	    {"https://h", "https://evil./x", NULL},
	    /* back to us, who are 127.0.0.1:8402 here */
	    {"https://h", "http://127.0.0.1:8402/t/other/buy", NULL},
	    {"https://h", "https://127.0.0.1:8402/t/other/buy", NULL},
	    {"https://h", "//127.0.0.1:8402/t/other/buy", NULL},
	    {"https://h", "http://2130706433:8402/t/other/buy", NULL},
	    {"https://h", "http://0x7f.1:8402/t/other/buy", NULL},
	    {"https://h", "http://%31%32%37.0.0.1:8402/t/other/buy", NULL},
	    {"https://h", "http://127.0.0.1.:8402/t/other/buy", NULL},
	    {"https://h", "http://127.0.0.1:8403/", "http://127.0.0.1:8403/"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tool tool = tool_at("a/b", rows[i].url);
		const char *host = "127.0.0.1:8402", *expected = rows[i].out;
		char *url = must_format("%s/r/s?t", rows[i].url);
		char *location = relay_location(&tool, url, host, rows[i].location);
		struct headers in, out;

		if ((location == NULL) != (expected == NULL) ||
		    (location && strcmp(location, expected) != 0))
			fail_msg("%s at %s became %s", rows[i].location, rows[i].url, location);
		headers_init(&in);
		headers_init(&out);
		headers_put(&in, "location", rows[i].location);
		assert_true(relay_response_headers(&out, &in, &tool, url, host));
		row_check(rows[i].location, (headers_get(&out, "Location") == NULL) == !expected);
		headers_fini(&in);
		headers_fini(&out);
		free(location);
		free(url);
	}
}

/* An answer is kept without its agent; who asks again must not be led back to us by it. */
static void leading_back(void **state)
{
	(void)state;
	assert_true(relay_leads_back("http://h:8402/t/x", "h:8402"));
	assert_true(relay_leads_back("http://H:8402", "h:8402"));
	assert_true(relay_leads_back("http://h/", "h:80"));
	assert_false(relay_leads_back("http://h:8402/", "h:8403"));
	assert_false(relay_leads_back("http://h:8402/", NULL));
	assert_false(relay_leads_back("/t/a/b", "h:8402"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_that_pass),
	    cmocka_unit_test(paths_that_climb_or_lie),
	    cmocka_unit_test(a_path_of_nothing_but_escapes),
	    cmocka_unit_test(url_is_base_and_rest),
	    cmocka_unit_test(payment_headers_of_the_agent),
	    cmocka_unit_test(request_headers),
	    cmocka_unit_test(request_headers_keep_order_and_repeats),
	    cmocka_unit_test(payment_is_added_last),
	    cmocka_unit_test(request_headers_have_an_end),
	    cmocka_unit_test(codings_that_cannot_be_read_are_not_asked_for),
	    cmocka_unit_test(response_headers),
	    cmocka_unit_test(response_headers_have_an_end),
	    cmocka_unit_test(locations),
	    cmocka_unit_test(leading_back),
	};

	return unit_run(tests);
}
