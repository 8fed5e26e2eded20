/* Who may call and what may be called, in memory. */
#include "proxy/registry.h"

#include <pthread.h>

#include "tests/unit/unit.h"

static struct agent *add(
    struct registry *registry, struct purses *purses, int64_t id, const char *name)
{
	struct agent_row row = {.id = id,
	    .name = name,
	    .owner = "o@example.com",
	    .address = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
	    .suspended = id == 2};

	return registry_add_agent(registry, &row, purses_add(purses));
}

static void put(struct registry *registry, const char *name, const char *url)
{
	struct tool_row row = {.id = 1,
	    .name = name,
	    .url = url ? url : "https://h",
	    .billing = TOOL_X402,
	    .removed = url == NULL};
	struct delivery_check *check = NULL;

	registry_put_tool(registry, &row, false, &check);
	assert_null(check);
}

static struct policy *policy(const char *text)
{
	struct json_error error;
	struct policy *parsed = policy_parse(&error, text, strlen(text));

	assert_non_null(parsed);
	return parsed;
}

/* --- agents -------------------------------------------------------------------- */

static bool collect(struct agent *agent, void *arg)
{
	char *names = arg;

	memcpy(names + strlen(names), agent->name, strlen(agent->name) + 1);
	return agent->id != 3;
}

static void agents(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	char names[64] = "";
	struct agent *one = add(registry, purses, 1, "one");
	struct address address;

	(void)state;
	add(registry, purses, 4, "four");
	/* Two that are made at once may come in either order. */
	add(registry, purses, 3, "three");
	add(registry, purses, 2, "two");
	assert_ptr_equal(registry_agent(registry, "one"), one);
	assert_ptr_equal(registry_agent_by_id(registry, 1), one);
	assert_string_equal(registry_agent_by_id(registry, 2)->name, "two");
	assert_true(atomic_load(&registry_agent(registry, "two")->suspended));
	assert_false(atomic_load(&one->suspended));
	assert_null(registry_agent(registry, "One"));
	assert_null(registry_agent(registry, "on"));
	assert_null(registry_agent(registry, "one "));
	assert_null(registry_agent(registry, ""));
	assert_null(registry_agent_by_id(registry, 0));
	assert_null(registry_agent_by_id(registry, 5));
	registry_each_agent(registry, collect, names);
	assert_string_equal(names, "onetwothree");
	memset(&address, 7, sizeof address);
	registry_set_address(registry, one, &address);
	address = registry_address(registry, one);
	assert_int_equal(((uint8_t *)&address)[0], 7);
	registry_free(&registry);
	assert_null(registry);
	registry_free(&registry);
	purses_free(&purses);
}

/* A call keeps the policy it began with. */
static void policies_are_counted(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	struct agent *agent = add(registry, purses, 1, "one");
	struct policy_ref *none = registry_policy(registry, agent), *first, *second;

	(void)state;
	assert_null(none);
	policy_unref(&none);
	registry_set_policy(registry, agent, policy("{\"budget\":{\"dailyLimit\":\"1\"}}"));
	first = registry_policy(registry, agent);
	registry_set_policy(registry, agent, policy("{}"));
	second = registry_policy(registry, agent);
	assert_ptr_not_equal(first, second);
	assert_int_equal(first->policy->limit_count, 1);
	assert_int_equal(second->policy->limit_count, 0);
	policy_unref(&first);
	assert_null(first);
	registry_free(&registry);
	assert_int_equal(second->policy->limit_count, 0);
	policy_unref(&second);
	purses_free(&purses);
}

/* --- tools ------------------------------------------------------------------------ */

static void tool_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} rows[] = {
	    {"a", true},
	    {"search", true},
	    {"github/issues", true},
	    {"a.b-c_D9/x", true},
	    {"...", true},
	    {"..a", true},
	    {"a/.b", true},
	    {"0123456789012345678901234567890123456789012345678901234567890123", true},
	    {"01234567890123456789012345678901234567890123456789012345678901234", false},
	    {"", false},
	    {"/", false},
	    {"/a", false},
	    {"a/", false},
	    {"a//b", false},
	    {".", false},
	    {"..", false},
	    {"a/.", false},
	    {"a/..", false},
	    {"./a", false},
	    {"../a", false},
	    {"a/../b", false},
	    {"a b", false},
	    {"a?b", false},
	    {"a#b", false},
	    {"a%20", false},
	    {"a\\b", false},
	    {"a*", false},
	    {"a:b", false},
	    {"a\n", false},
	    {"\xc3\xa4", false},
	    {"a\x7f", false},
	    {"a;b", false},
	    {"a,b", false},
	    {"a@b", false},
	    {" a", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i].name, tool_name_valid(rows[i].name) == rows[i].valid);
}

static void tool_urls(void **state)
{
	static const char *const good[] = {"https://h", "http://h", "https://h/",
	    "https://h:8443/a/b", "HTTPS://Host.example/Path", "http://127.0.0.1:1",
	    "http://[::1]:8080/x", "https://h/a%20b", "https://h/...", "https://h/.well-known",
	    "https://h/a//b"};
	static const char *const bad[] = {"", "h", "/path", "//h/a", "ftp://h",
	    "file:///etc/passwd", "javascript:x", "https:", "https:/", "https://", "https:///a",
	    "http:/h/a", "https://?x", "https://user@h/", "https://user:pass@h/", "https://@h/",
	    "http://@h:1",
	    "https://:pass@h/", "https://h/?", "https://h?q=1", "https://h/a?b=c", "https://h/#",
	    "https://h#f", "https://h/a b", " https://h", "https://h ", "https://h\n",
	    "https://h/\r\nX: y", "https://h\\@evil", "https://h/\\a", "https://h/\xc3\xa4",
	    "https://h/.", "https://h/..", "https://h/./a", "https://h/../a", "https://h/a/../b",
	    "https://h/a/..", "https://h/%2e%2e/a", "https://h/a/%2E", "https://h/%",
	    "https://h/%zz", "https://h/a%2fb", "https://h:99999/", "https://h:port/",
	    "https://h:-1/", "https://[::1/", "https://[zz]/", "https://ex%61mple/", "https://%2f/",
	    "http:////h", "gopher://h", "https ://h"};
	char *large = must_format("https://h/%02048d", 0), reason[256];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		row_check(good[i], tool_url_valid(reason, good[i]));
	for (size_t i = 0; i < COUNT(bad); i++) {
		*reason = '\0';
		row_check(bad[i], !tool_url_valid(reason, bad[i]));
		row_check(bad[i], *reason != '\0');
	}
	assert_false(tool_url_valid(reason, large));
	free(large);
}

static void tools_are_matched_by_their_longest_name(void **state)
{
	static const struct {
		const char *path, *name, *rest; /* NULL: none */
	} rows[] = {
	    {"github", "github", ""},
	    {"github/", "github", "/"},
	    {"github?q", "github", "?q"},
	    {"github?q=/issues", "github", "?q=/issues"},
	    {"github/x", "github", "/x"},
	    {"github/issues", "github/issues", ""},
	    {"github/issues/7?x", "github/issues", "/7?x"},
	    {"github/issues2", "github", "/issues2"},
	    {"github/issues/deep", "github/issues/deep", ""},
	    {"github/issues/deeper", "github/issues", "/deeper"},
	    {"github//issues", "github", "//issues"},
	    {"github/../github", "github", "/../github"},
	    {"only/deep", "only/deep", ""},
	    {"only", NULL, NULL},
	    {"only/", NULL, NULL},
	    {"", NULL, NULL},
	    {"/", NULL, NULL},
	    {"/github", NULL, NULL},
	    {"?github", NULL, NULL},
	    {"githu", NULL, NULL},
	    {"githubx", NULL, NULL},
	    {"github#x", NULL, NULL},
	    {"github%2f", NULL, NULL},
	    {"GitHub", NULL, NULL},
	    {"gone", NULL, NULL},
	};
	struct registry *registry = registry_new();
	char *large = must_alloc(20001);

	(void)state;
	put(registry, "github", "https://h/one/");
	put(registry, "github/issues", "https://h/two");
	put(registry, "github/issues/deep", "https://h/three");
	put(registry, "only/deep", "https://h");
	put(registry, "gone", "https://h");
	put(registry, "gone", NULL);
	put(registry, "never", NULL);
	put(registry, "0123456789012345678901234567890123456789012345678901234567890123",
	    "https://h");
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *rest = "untouched";
		struct tool *tool = registry_tool_match(&rest, registry, rows[i].path);

		row_check(rows[i].path, (tool != NULL) == (rows[i].name != NULL));
		if (tool) {
			row_check(rows[i].path, strcmp(tool->name, rows[i].name) == 0);
			row_check(rows[i].path, strcmp(rest, rows[i].rest) == 0);
		} else {
			row_check(rows[i].path, strcmp(rest, "untouched") == 0);
		}
		tool_unref(&tool);
	}
	memset(large, '/', 20000);
	large[20000] = '\0';
	{
		const char *rest;

		assert_null(registry_tool_match(&rest, registry, large));
		memcpy(
		    large, "0123456789012345678901234567890123456789012345678901234567890123", 64);
		struct tool *tool = registry_tool_match(&rest, registry, large);

		assert_non_null(tool);
		assert_int_equal(strlen(rest), 20000 - 64);
		tool_unref(&tool);
	}
	free(large);
	registry_free(&registry);
}

static bool count_tools(const struct tool *tool, void *arg)
{
	(void)tool;
	return ++*(int *)arg < 2;
}

static void tools_are_counted(void **state)
{
	struct registry *registry = registry_new();
	struct tool *first, *second;
	int count = 0;

	(void)state;
	put(registry, "a", "HTTPS://Host.Example:8443/Base//");
	first = registry_tool(registry, "a");
	assert_string_equal(first->url, "HTTPS://Host.Example:8443/Base");
	assert_string_equal(first->host, "host.example:8443");
	assert_true(first->secure);
	put(registry, "a", "http://other");
	second = registry_tool(registry, "a");
	assert_string_equal(first->host, "host.example:8443");
	assert_string_equal(second->host, "other");
	assert_false(second->secure);
	put(registry, "a", NULL);
	assert_null(registry_tool(registry, "a"));
	assert_string_equal(second->url, "http://other");
	tool_unref(&first);
	put(registry, "b", "https://h");
	put(registry, "c", "https://h");
	put(registry, "d", "https://h");
	registry_each_tool(registry, count_tools, &count);
	assert_int_equal(count, 2);
	registry_free(&registry);
	assert_string_equal(second->name, "a");
	tool_unref(&second);
	tool_unref(&second); /* NULL by now */
}

/* --- sessions, pins, networks ------------------------------------------------------------ */

static void sessions(void **state)
{
	struct registry *registry = registry_new();

	(void)state;
	assert_false(registry_revoked(registry, "s"));
	assert_true(registry_session_over(registry, "s")); /* nobody has heard of it */
	assert_true(registry_admit(registry, "s", 100));
	assert_false(registry_session_over(registry, "s"));
	registry_revoke(registry, "s", 100);
	registry_revoke(registry, "s", 100);
	assert_true(registry_revoked(registry, "s"));
	assert_true(registry_session_over(registry, "s"));
	assert_false(registry_admit(registry, "s", 100));
	assert_false(registry_revoked(registry, "S"));
	assert_false(registry_revoked(registry, "ss"));
	assert_false(registry_revoked(registry, ""));
	/* One that was never used. */
	registry_revoke(registry, "t", 200);
	assert_false(registry_admit(registry, "t", 200));
	registry_free(&registry);
}

/* What was forgotten is over for ever, whatever the clock says later. */
static void sessions_are_forgotten(void **state)
{
	struct registry *registry = registry_new();

	(void)state;
	assert_true(registry_admit(registry, "early", 100));
	assert_true(registry_admit(registry, "late", 200));
	registry_revoke(registry, "revoked", 100);
	registry_trim(registry, 99, 1);
	assert_false(registry_session_over(registry, "early"));
	assert_true(registry_revoked(registry, "revoked"));
	registry_trim(registry, 100, 1);
	assert_true(registry_session_over(registry, "early"));
	assert_false(registry_revoked(registry, "revoked"));
	assert_false(registry_admit(registry, "early", 100));
	assert_false(registry_admit(registry, "revoked", 100));
	assert_false(registry_admit(registry, "new", 99));
	assert_true(registry_session_over(registry, "new"));
	registry_revoke(registry, "new", 99);
	assert_false(registry_revoked(registry, "new")); /* nor does it take a place */
	assert_true(registry_admit(registry, "new", 101));
	assert_false(registry_session_over(registry, "late"));
	/* The clock was set back: nothing comes back. */
	registry_trim(registry, 50, 1);
	assert_false(registry_admit(registry, "early", 100));
	assert_false(registry_session_over(registry, "late"));
	registry_free(&registry);
}

/* Whoever asks finds them forgotten at once, wherever their memory is. */
static void sessions_are_forgotten_in_parts(void **state)
{
	struct registry *registry = registry_new();
	char name[16];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "s%d", i);
		assert_true(registry_admit(registry, name, i % 2 ? 1000 : 10));
	}
	for (int round = 0; round < 40; round++) {
		registry_trim(registry, 10, 30);
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof name, "s%d", i);
			assert_true(registry_session_over(registry, name) == (i % 2 == 0));
			assert_true(registry_admit(registry, name, i % 2 ? 1000 : 10) == (i % 2));
		}
	}
	registry_revoke(registry, "s7", 1000);
	assert_true(registry_revoked(registry, "s7"));
	assert_false(registry_admit(registry, "s7", 1000));
	registry_free(&registry);
}

static void pins(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	struct agent *one = add(registry, purses, 1, "one"),
		     *two = add(registry, purses, 11, "two");
	char out[ADDRESS_TEXT_SIZE] = "untouched";

	(void)state;
	assert_false(registry_pinned(out, registry, one, "a"));
	assert_string_equal(out, "untouched");
	registry_pin(registry, one, "a", "0x1");
	registry_pin(registry, one, "a", "0x2"); /* the first stays */
	registry_pin(registry, two, "a", "0x3");
	registry_pin(registry, one, "a/b", "0x4");
	assert_true(registry_pinned(out, registry, one, "a"));
	assert_string_equal(out, "0x1");
	assert_true(registry_pinned(out, registry, two, "a"));
	assert_string_equal(out, "0x3");
	assert_true(registry_pinned(out, registry, one, "a/b"));
	assert_string_equal(out, "0x4");
	assert_false(registry_pinned(out, registry, one, "b"));
	assert_false(registry_pinned(out, registry, two, "a/b"));
	assert_false(registry_pinned(out, registry, one, "1/a"));
	registry_free(&registry);
	purses_free(&purses);
}

static void networks(void **state)
{
	struct registry *registry = registry_new();
	char *rpc = registry_rpc(registry, "eip155:1");

	(void)state;
	assert_string_equal(rpc, "");
	free(rpc);
	registry_set_rpc(registry, "eip155:1", "http://a");
	registry_set_rpc(registry, "eip155:1", "http://b http://c");
	rpc = registry_rpc(registry, "eip155:1");
	assert_string_equal(rpc, "http://b http://c");
	free(rpc);
	registry_set_rpc(registry, "eip155:1", "");
	rpc = registry_rpc(registry, "eip155:1");
	assert_string_equal(rpc, "");
	free(rpc);
	registry_free(&registry);
}

/* --- the owner changes what calls are reading ------------------------------------------------- */

struct readers {
	struct registry *registry;
	struct agent *agent;
	atomic_bool stop;
};

static void *read_on(void *arg)
{
	struct readers *readers = arg;

	while (!atomic_load(&readers->stop)) {
		struct policy_ref *ref = registry_policy(readers->registry, readers->agent);
		const char *rest;
		struct tool *tool = registry_tool_match(&rest, readers->registry, "a/x");
		struct address address = registry_address(readers->registry, readers->agent);
		char pinned[ADDRESS_TEXT_SIZE];

		must(ref->policy->limit_count <= 1);
		must(!tool || strcmp(tool->name, "a") == 0);
		(void)address;
		(void)registry_revoked(readers->registry, "s7");
		must(!registry_pinned(pinned, readers->registry, readers->agent, "a"));
		policy_unref(&ref);
		tool_unref(&tool);
	}
	return NULL;
}

/* One policy of two agents: what one is given instead is not the other's. */
static void a_policy_is_shared(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	struct agent *one = add(registry, purses, 1, "one"), *two = add(registry, purses, 2, "two");
	struct policy_ref *shared = policy_share(policy("{\"budget\":{\"dailyLimit\":\"1\"}}"));
	struct policy_ref *ones, *twos;

	(void)state;
	registry_share_policy(registry, one, shared);
	registry_share_policy(registry, two, shared);
	policy_unref(&shared);
	registry_set_policy(registry, one, policy("{}"));
	ones = registry_policy(registry, one);
	twos = registry_policy(registry, two);
	assert_int_equal(ones->policy->limit_count, 0);
	assert_int_equal(twos->policy->limit_count, 1);
	policy_unref(&ones);
	registry_free(&registry);
	assert_int_equal(twos->policy->limit_count, 1);
	policy_unref(&twos);
	purses_free(&purses);
}

/* A stored one is read when it is asked for, and is one of all that share it from then on. */
static void a_stored_policy_is_read_later(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	struct agent *one = add(registry, purses, 1, "one"), *two = add(registry, purses, 2, "two");
	struct policy_ref *stored = policy_later("{\"budget\":{\"dailyLimit\":\"1\"}}");
	struct policy_ref *first, *second;

	(void)state;
	registry_share_policy(registry, one, stored);
	registry_share_policy(registry, two, stored);
	assert_true(registry_policy_reads(registry, one));
	/* To ask whether it reads is not to keep it. */
	assert_null(stored->policy);
	policy_unref(&stored);
	first = registry_policy(registry, one);
	second = registry_policy(registry, two);
	assert_ptr_equal(first, second);
	assert_false(first->unreadable);
	assert_int_equal(first->policy->limit_count, 1);
	assert_true(registry_policy_reads(registry, two));
	policy_unref(&first);
	registry_free(&registry);
	assert_int_equal(second->policy->limit_count, 1);
	policy_unref(&second);
	purses_free(&purses);
}

/* What nobody can read allows nothing; another policy puts it right. */
static void an_unreadable_policy_allows_nothing(void **state)
{
	static const char *const texts[] = {"", "{", "null", "[]",
	    "{\"budget\":{\"dailyLimit\":\"-1\"}}", "{\"surprise\":1}",
	    "{\"tools\":{\"allowlist\":[\"*\"]}} x"};
	const char *rule;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct registry *registry = registry_new();
		struct purses *purses = purses_new();
		struct agent *one = add(registry, purses, 1, "one");
		struct policy_ref *stored = policy_later(texts[i]), *read;

		registry_share_policy(registry, one, stored);
		policy_unref(&stored);
		assert_false(registry_policy_reads(registry, one));
		for (int again = 0; again < 2; again++) {
			read = registry_policy(registry, one);
			assert_true(read->unreadable);
			assert_false(policy_rule(read->policy, "search", &rule));
			policy_unref(&read);
			assert_false(registry_policy_reads(registry, one));
		}
		registry_set_policy(registry, one, policy("{}"));
		read = registry_policy(registry, one);
		assert_false(read->unreadable);
		assert_true(policy_rule(read->policy, "search", &rule));
		policy_unref(&read);
		registry_free(&registry);
		purses_free(&purses);
	}
}

struct askers {
	struct registry *registry;
	struct agent *agent;
};

static void *ask_for_policy(void *arg)
{
	struct askers *askers = arg;
	struct policy_ref *ref = registry_policy(askers->registry, askers->agent);
	void *policy = ref->policy;

	policy_unref(&ref);
	return policy;
}

/* Two who ask at once get one and the same. */
static void a_stored_policy_is_read_once(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct registry *registry = registry_new();
		struct purses *purses = purses_new();
		struct askers askers = {registry, add(registry, purses, 1, "one")};
		struct policy_ref *stored = policy_later("{\"budget\":{\"dailyLimit\":\"1\"}}");
		pthread_t threads[4];
		void *found[COUNT(threads)];

		registry_share_policy(registry, askers.agent, stored);
		for (size_t i = 0; i < COUNT(threads); i++)
			assert_int_equal(
			    pthread_create(&threads[i], NULL, ask_for_policy, &askers), 0);
		for (size_t i = 0; i < COUNT(threads); i++)
			assert_int_equal(pthread_join(threads[i], &found[i]), 0);
		for (size_t i = 0; i < COUNT(threads); i++)
			assert_ptr_equal(found[i], stored->policy);
		policy_unref(&stored);
		registry_free(&registry);
		purses_free(&purses);
	}
}

static void the_default_is_for_agents_without_their_own(void **state)
{
	struct registry *registry = registry_new();
	struct purses *purses = purses_new();
	struct agent *one = add(registry, purses, 1, "one"), *two = add(registry, purses, 2, "two");
	struct policy_ref *of_one, *of_two, *kept;
	char *text = registry_default_policy_text(registry);

	(void)state;
	assert_null(text);
	registry_set_policy(registry, one, policy("{}"));
	registry_set_default_policy(
	    registry, policy("{\"budget\":{\"dailyLimit\":\"1\"}}"), "first");
	of_one = registry_policy(registry, one);
	kept = registry_policy(registry, two);
	assert_int_equal(of_one->policy->limit_count, 0);
	assert_int_equal(kept->policy->limit_count, 1);
	text = registry_default_policy_text(registry);
	assert_string_equal(text, "first");
	free(text);
	registry_set_default_policy(registry,
	    policy("{\"budget\":{\"dailyLimit\":\"1\",\"maxPerCall\":\"1\"}}"), "second");
	of_two = registry_policy(registry, two);
	assert_int_equal(of_two->policy->limit_count, 2);
	assert_int_equal(kept->policy->limit_count, 1);
	policy_unref(&of_two);
	/* Its own from now on, whatever becomes of the default. */
	registry_set_policy(registry, two, policy("{}"));
	registry_set_default_policy(
	    registry, policy("{\"budget\":{\"dailyLimit\":\"1\"}}"), "third");
	of_two = registry_policy(registry, two);
	assert_int_equal(of_two->policy->limit_count, 0);
	registry_free(&registry);
	assert_int_equal(kept->policy->limit_count, 1);
	policy_unref(&kept);
	policy_unref(&of_one);
	policy_unref(&of_two);
	purses_free(&purses);
}

static void readers_and_a_writer(void **state)
{
	struct purses *purses = purses_new();
	struct readers readers = {.registry = registry_new()};
	pthread_t threads[3];
	char session[16];

	(void)state;
	readers.agent = add(readers.registry, purses, 1, "one");
	registry_set_policy(readers.registry, readers.agent, policy("{}"));
	for (size_t i = 0; i < COUNT(threads); i++)
		must(pthread_create(&threads[i], NULL, read_on, &readers) == 0);
	for (int i = 0; i < 500; i++) {
		struct address address;

		registry_set_policy(readers.registry, readers.agent,
		    policy(i % 2 ? "{}" : "{\"budget\":{\"dailyLimit\":\"1\"}}"));
		registry_set_default_policy(readers.registry, policy("{}"), i % 2 ? "a" : "b");
		put(readers.registry, "a", i % 3 ? "https://h" : NULL);
		memset(&address, i, sizeof address);
		registry_set_address(readers.registry, readers.agent, &address);
		snprintf(session, sizeof session, "s%d", i);
		registry_revoke(readers.registry, session, i + 1);
		registry_trim(readers.registry, i / 2, 3);
		registry_pin(readers.registry, readers.agent, session, "0x1");
	}
	atomic_store(&readers.stop, true);
	for (size_t i = 0; i < COUNT(threads); i++)
		must(pthread_join(threads[i], NULL) == 0);
	registry_free(&readers.registry);
	purses_free(&purses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agents),
	    cmocka_unit_test(policies_are_counted),
	    cmocka_unit_test(a_policy_is_shared),
	    cmocka_unit_test(a_stored_policy_is_read_later),
	    cmocka_unit_test(an_unreadable_policy_allows_nothing),
	    cmocka_unit_test(a_stored_policy_is_read_once),
	    cmocka_unit_test(the_default_is_for_agents_without_their_own),
	    cmocka_unit_test(tool_names),
	    cmocka_unit_test(tool_urls),
	    cmocka_unit_test(tools_are_matched_by_their_longest_name),
	    cmocka_unit_test(tools_are_counted),
	    cmocka_unit_test(sessions),
	    cmocka_unit_test(sessions_are_forgotten),
	    cmocka_unit_test(sessions_are_forgotten_in_parts),
	    cmocka_unit_test(pins),
	    cmocka_unit_test(networks),
	    cmocka_unit_test(readers_and_a_writer),
	};

	return unit_run(tests);
}
