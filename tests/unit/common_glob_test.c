/* The one pattern language. */
#include "common/glob.h"
#include "tests/unit/unit.h"

static void matches(void **state)
{
	static const struct {
		const char *pattern, *text;
	} rows[] = {
	    {"", ""},
	    {"*", ""},
	    {"*", "anything/at all"},
	    {"**", "x"},
	    {"web_search", "web_search"},
	    {"web_*", "web_"},
	    {"web_*", "web_search"},
	    {"*_search", "web_search"},
	    {"w*h", "web_search"},
	    {"w*h", "wh"},
	    {"*e*e*", "web_search"},
	    {"?", "x"},
	    {"???", "abc"},
	    {"w?b*", "web_search"},
	    {"*?", "x"},
	    {"?*", "x"},
	    {"*ab", "aab"},
	    {"*aab", "aaaaab"},
	    {"a*b*c", "abcbc"},
	    {"a*b*c", "aXbYbc"},
	    {"github/*", "github/issues"},
	    {"github/*", "github/issues/1"},
	    {"github/*", "github/"},
	    {"github/*", "github"},
	    {"git*/*", "github"},
	    {"git???"
	     "/*",
		"github"},
	    {"*/*", "github"},
	    {"github*", "github/issues"},
	    {"[a-z]", "[a-z]"},
	    {"a.c", "a.c"},
	    {"{a,b}", "{a,b}"},
	    {"\\*", "\\x"},
	    {"caf?", "café"},
	    {"c*é", "café"},
	    {"?", "₮"},
	    {"*₮0", "USD₮0"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		if (!glob_match(rows[i].pattern, rows[i].text))
			fail_msg("\"%s\" should match \"%s\"", rows[i].pattern, rows[i].text);
	}
}

static void does_not_match(void **state)
{
	static const struct {
		const char *pattern, *text;
	} rows[] = {
	    {"", "x"},
	    {"x", ""},
	    {"?", ""},
	    {"??", "x"},
	    {"?", "xy"},
	    {"web_search", "web_searc"},
	    {"web_search", "web_search2"},
	    {"web_search", "xweb_search"},
	    {"web_search", "Web_search"},
	    {"web_*", "web"},
	    {"web_*", "xweb_search"},
	    {"*_search", "web_search_"},
	    {"w*x", "web_search"},
	    {"*a*b", "ba"},
	    {"*aab", "aaaaa"},
	    {"a*b*c", "acb"},
	    {"a*a", "a"},
	    {"github/*", "githubx"},
	    {"github/*", "githu"},
	    {"github/*", "xgithub"},
	    {"github/*", ""},
	    {"/*", ""},
	    {"github/*/x", "github"},
	    {"github/?", "github"},
	    {"github/?", "github/"},
	    {"github/", "github"},
	    {"github*x", "github"},
	    {"a.c", "abc"},
	    {"[a-z]", "a"},
	    {"\\*", "*"},
	    {"??", "é"},
	    {"?", "ab"},
	    {"*?é", "é"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		if (glob_match(rows[i].pattern, rows[i].text))
			fail_msg("\"%s\" should not match \"%s\"", rows[i].pattern, rows[i].text);
	}
}

/* Twenty stars over 4,000 letters: a matcher that tried every split would not
 * come back before the end of the world. */
static void many_stars_do_not_explode(void **state)
{
	char text[4001], pattern[43] = "";
	size_t i;

	(void)state;
	memset(text, 'a', 4000);
	text[4000] = '\0';
	for (i = 0; i < 20; i++)
		memcpy(pattern + 2 * i, "*a", 2);
	memcpy(pattern + 40, "*b", 3);
	assert_false(glob_match(pattern, text));
	text[3999] = 'b';
	assert_true(glob_match(pattern, text));
}

/* A pattern or a text cut inside a UTF-8 character stays inside its bytes. */
static void broken_utf8_is_read_as_bytes(void **state)
{
	(void)state;
	assert_true(glob_match("?", "\xe2"));
	assert_true(glob_match("*", "\xe2\x82"));
	assert_true(glob_match("\xe2*", "\xe2\x82"));
	assert_false(glob_match("??", "\xe2"));
	assert_true(glob_match("?", "\x82\x82"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(matches),
	    cmocka_unit_test(does_not_match),
	    cmocka_unit_test(many_stars_do_not_explode),
	    cmocka_unit_test(broken_utf8_is_read_as_bytes),
	};

	return unit_run(tests);
}
