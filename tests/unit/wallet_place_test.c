/* Where a resource URL lives: spellings of one place, and disguises of another. */
#include "tests/unit/unit.h"
#include "wallet/place.h"

struct row {
	const char *url;
	const char *host;
};

static void same_place_matches(void **state)
{
	static const struct row rows[] = {
	    {"https://api.example.com/premium", "api.example.com"},
	    {"http://api.example.com/premium", "api.example.com"},
	    {"HTTPS://API.Example.COM", "api.example.com"},
	    {"https://api.example.com", "API.EXAMPLE.COM"},
	    {"https://api.example.com:443/x", "api.example.com"},
	    {"http://api.example.com:80/x", "api.example.com"},
	    {"https://api.example.com/x", "api.example.com:443"},
	    {"https://api.example.com/x", "api.example.com:80"},
	    {"https://api.example.com:/x", "api.example.com"},
	    {"https://api.example.com:0443/x", "api.example.com"},
	    {"http://127.0.0.1:4021/x", "127.0.0.1:4021"},
	    {"http://[::1]:4021/x", "[::1]:4021"},
	    {"http://[0:0:0:0:0:0:0:1]:4021/x", "[::1]:4021"},
	    {"https://[2001:DB8::1]/", "[2001:db8::1]"},
	    {"https://api.example.com?q=@evil.example", "api.example.com"},
	    {"https://api.example.com#@evil.example", "api.example.com"},
	    {"https://api.example.com/@evil.example/", "api.example.com"},
	    {"https://api.example.com/caf\xc3\xa9", "api.example.com"},
	    {"/premium", "api.example.com"},
	    {"", "api.example.com"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		row_check(rows[i].url, place_matches(rows[i].url, rows[i].host));
}

static void another_place_does_not(void **state)
{
	static const struct row rows[] = {
	    {"https://evil.example/premium", "api.example.com"},
	    {"https://example.com", "api.example.com"},
	    {"https://api.example.com.evil.example", "api.example.com"},
	    {"https://xapi.example.com", "api.example.com"},
	    {"https://api.example.co", "api.example.com"},
	    {"https://api.example.com:8443/x", "api.example.com"},
	    {"https://api.example.com/x", "api.example.com:8443"},
	    {"https://api.example.com:4021/", "api.example.com:4022"},
	    {"https://api.example.com@evil.example/", "api.example.com"},
	    {"https://evil.example@api.example.com/", "api.example.com"},
	    {"https://user:pass@api.example.com/", "api.example.com"},
	    {"https://@api.example.com/", "api.example.com"},
	    {"https://evil.example\\@api.example.com/", "api.example.com"},
	    {"https://api.example.com\\.evil.example/", "api.example.com"},
	    {"https:\\\\api.example.com/", "api.example.com"},
	    {"https://api.example.com\t/", "api.example.com"},
	    {"https://api.example.com /", "api.example.com"},
	    {" https://api.example.com/", "api.example.com"},
	    {"https://api.example.com/\n", "api.example.com"},
	    {"https://api.example.com/\x7f", "api.example.com"},
	    {"//evil.example/x", "api.example.com"},
	    {"//api.example.com/x", "api.example.com"},
	    {"https:/api.example.com/x", "api.example.com"},
	    {"https:///x", "api.example.com"},
	    {"https://:443/x", "api.example.com"},
	    {"https://", "api.example.com"},
	    {"://api.example.com", "api.example.com"},
	    {"api.example.com/x", "api.example.com"},
	    {"not a url", "api.example.com"},
	    {"https://api.example.com:x/", "api.example.com"},
	    {"https://api.example.com:443x/", "api.example.com"},
	    {"https://api.example.com:-443/", "api.example.com"},
	    {"https://api.example.com:0/", "api.example.com"},
	    {"https://api.example.com:00", "api.example.com:0"},
	    {"https://api.example.com:65536/", "api.example.com:65536"},
	    {"https://api.example.com:65979/", "api.example.com"},
	    {"https://api.example.com:4294967739/", "api.example.com"},
	    {"https://api.example.com:443:443/", "api.example.com"},
	    {"https://api%2eexample.com/", "api.example.com"},
	    {"http://[::2]:4021/x", "[::1]:4021"},
	    {"http://[::1]:4022/x", "[::1]:4021"},
	    {"http://[::1/x", "[::1]"},
	    {"http://[]/x", "[]"},
	    {"http://[/x", "["},
	    {"http://[::1]x/", "[::1]"},
	    {"http://[::1%25eth0]/", "[::1]"},
	    {"http://[api.example.com]/", "api.example.com"},
	    {"http://[api.example.com]/", "[api.example.com]"},
	    {"http://::1/", "[::1]"},
	    {"http://[::ffff:127.0.0.1]/", "127.0.0.1"},
	};
	char url[400] = "https://";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		row_check(rows[i].url, !place_matches(rows[i].url, rows[i].host));
	memset(url + 8, 'a', 300);
	assert_false(place_matches(url, url + 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_place_matches),
	    cmocka_unit_test(another_place_does_not),
	};

	return unit_run(tests);
}
