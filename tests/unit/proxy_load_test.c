/* proxy_load_test - what a start reads: each agent's own, however many there are. */
#include "tests/unit/proxy_books.h"
#include "tests/unit/common_threads.h"

#include <string.h>

#include "common/log.h"

#define AGENTS 2600

static void add_agent(
    struct books *books, struct batch *batch, const char *name, const char *policy)
{
	struct agent_row row = {.id = books_id(books),
	    .name = name,
	    .owner = "owner@example.com",
	    .address = BOOKS_PAYER};

	batch_agent(batch, &row);
	if (policy != NULL)
		batch_policy(batch, books_id(books), row.id, policy);
}

/* Another house over the same store, as after a restart. */
static void furnish(struct house *house, struct books *books)
{
	*house = (struct house){.store = books->house.store};
	atomic_init(&house->config, &books->config);
	house_furnish(house);
}

static int64_t calls_of(const struct house *house, struct agent *agent, int64_t at_us)
{
	int64_t calls;

	purses_lock(house->purses);
	calls = purse_read(agent->purse, PURSE_AGENT, NULL, WINDOW_TOTAL, true, at_us).firm;
	purses_unlock(house->purses);
	return calls;
}

/* Read when somebody first asks, one agent's by itself. */
static void each_of_many_has_its_own(void **state)
{
	char reason[512] = "", name[32];
	struct books books;
	struct house house;
	struct batch *batch;
	int64_t *ids = calloc(AGENTS, sizeof *ids);

	books_open(&books, *state);
	batch = batch_new(books.now_us);
	for (int i = 0; i < AGENTS; i++) {
		struct agent_row row = {.id = ids[i] = books_id(&books),
		    .name = name,
		    .owner = "owner@example.com",
		    .address = BOOKS_PAYER};

		snprintf(name, sizeof name, "many-%d", i);
		batch_agent(batch, &row);
	}
	for (int i = 0; i < AGENTS; i++) {
		for (int call = 0; call < i % 4; call++)
			batch_audit(batch, &(struct audit_row){.id = books_id(&books),
					       .kind = AUDIT_CALL,
					       .agent = ids[i],
					       .tool = "search",
					       .allowed = true,
					       .status = 200});
	}
	books_append(&books, batch);
	furnish(&house, &books);
	if (house_load(&house, reason, books.now_us) != HOUSE_OK)
		fail_msg("%s", reason);
	assert_int_equal(registry_agent_count(house.registry), AGENTS + 1);
	for (int i = 0; i < AGENTS; i++) {
		struct agent *agent;

		snprintf(name, sizeof name, "many-%d", i);
		agent = registry_agent(house.registry, name);
		assert_non_null(agent);
		assert_ptr_equal(registry_agent_by_id(house.registry, ids[i]), agent);
		assert_int_equal(calls_of(&house, agent, books.now_us), i % 4);
	}
	house_clear(&house);
	books_close(&books);
	free(ids);
}

/* One that is short is found out when it is asked for, and then allows nothing. */
static void policies_that_do_not_parse(void **state)
{
	/* Blanks before it make it long. */
	const int size = POLICY_LATER_MAX + 64;
	char reason[512] = "", *text;
	struct policy_ref *policy;
	struct books books;
	struct house house;
	struct batch *batch;
	const char *rule;

	books_open(&books, *state);
	batch = batch_new(books.now_us);
	add_agent(&books, batch, "good", "{\"tools\":{\"allowlist\":[\"search\"]}}");
	add_agent(&books, batch, "bad", "{\"tools\":{\"allowlist\":[\"search\"");
	text = must_format("%*s", size, "{\"tools\":{\"allowlist\":[\"search\"]}}");
	add_agent(&books, batch, "long", text);
	books_append(&books, batch);
	furnish(&house, &books);
	if (house_load(&house, reason, books.now_us) != HOUSE_OK)
		fail_msg("%s", reason);
	policy = registry_policy(house.registry, registry_agent(house.registry, "good"));
	assert_true(policy_rule(policy->policy, "search", &rule));
	policy_unref(&policy);
	policy = registry_policy(house.registry, registry_agent(house.registry, "long"));
	assert_true(policy_rule(policy->policy, "search", &rule));
	policy_unref(&policy);
	policy = registry_policy(house.registry, registry_agent(house.registry, "bad"));
	assert_false(policy_rule(policy->policy, "search", &rule));
	policy_unref(&policy);
	house_clear(&house);

	/* A long one keeps the daemon from starting. */
	batch = batch_new(books.now_us);
	free(text);
	text = must_format("%*s", size, "{\"tools\":{\"allowlist\":[\"search\"]}");
	add_agent(&books, batch, "too-bad", text);
	books_append(&books, batch);
	furnish(&house, &books);
	assert_int_equal(house_load(&house, reason, books.now_us), HOUSE_BROKEN);
	assert_non_null(strstr(reason, "the stored policy of agent too-bad does not parse"));
	house_clear(&house);
	books_close(&books);
	free(text);
}

/* What agents have is there all the same. */
static void without_a_thread_to_spare(void **state)
{
	char reason[512] = "";
	struct books books;
	struct house house;
	struct agent *agent;

	books_open(&books, *state);
	furnish(&house, &books);
	threads_left = 0;
	if (house_load(&house, reason, books.now_us) != HOUSE_OK)
		fail_msg("%s", reason);
	threads_left = -1;
	agent = registry_agent(house.registry, "agent");
	assert_non_null(agent);
	assert_int_equal(purse_balance(agent->purse, books.slot).available, BOOKS_DEPOSIT);
	house_clear(&house);
	books_close(&books);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		each_of_many_has_its_own, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		policies_that_do_not_parse, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test_setup_teardown(
		without_a_thread_to_spare, unit_folder_make, unit_folder_remove),
	};

	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
