/* SIGHUP: what the two files say is in force, or nothing has changed. */
#include "proxy/reload.h"

#include <sys/stat.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/command.h"
#include "proxy/rooms.h"
#include "tests/unit/unit.h"

#define POLICY_ONE "{\"budget\":{\"dailyLimit\":\"1.00\"}}"
#define POLICY_TWO "{\"budget\":{\"dailyLimit\":\"2.00\",\"maxPerCall\":\"0.50\"}}"

static void write_file(void **state, const char *name, const char *text)
{
	char *path = file_path(*state, name);

	assert_true(file_replace(path, text, strlen(text), 0600));
	free(path);
}

static struct house *open_again(void **state)
{
	struct house_options options = {.dir = *state, .command = "test"};
	struct house *house = NULL;
	char reason[512] = "";

	if (house_open(&house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	return house;
}

static struct house *open_new(void **state)
{
	struct house_options options = {.dir = *state, .command = "test"};
	char reason[512] = "";

	if (house_init(reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	write_file(state, "tallyward.json", "{\"calls_max\":5}");
	write_file(state, "policy.json", POLICY_ONE);
	return open_again(state);
}

static void ask(struct house *house, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(house, request, clock_now_us());

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", name, json_str(reply, "error"));
	json_decref(reply);
	json_decref(request);
}

static size_t limits_of(struct house *house, const char *agent)
{
	struct policy_ref *ref =
	    registry_policy(house->registry, registry_agent(house->registry, agent));
	size_t count = ref->policy->limit_count;

	policy_unref(&ref);
	return count;
}

struct setting {
	char body[512];
	int64_t id;
};

static void take_setting(const char *body, int64_t id, void *arg)
{
	struct setting *setting = arg;

	snprintf(setting->body, sizeof setting->body, "%s", body);
	setting->id = id;
}

/* What the ledger says was in force at that time (0: now), once all that is queued is
 * written. */
static struct setting recorded(struct house *house, int64_t at_us)
{
	struct batch *batch = batch_new(clock_now_us());
	struct setting setting = {"", 0};

	assert_int_equal(store_append_wait(house->store, &batch), STORE_OK);
	assert_int_equal(store_setting(house->store, HOUSE_SETTING_DEFAULT_POLICY, at_us,
			     take_setting, &setting),
	    STORE_OK);
	return setting;
}

struct acts {
	int count;
	char detail[512];
};

static bool take_act(const struct audit_row *row, void *arg)
{
	struct acts *acts = arg;

	if (row->kind == AUDIT_OWNER && strcmp(row->path, "reload") == 0) {
		acts->count++;
		snprintf(acts->detail, sizeof acts->detail, "%s", row->detail);
		assert_string_equal(row->method, "SIGHUP");
	}
	return true;
}

static struct acts acts_of(struct house *house)
{
	struct acts acts = {0, ""};

	(void)recorded(house, 0);
	assert_int_equal(store_audit(house->store, 0, 0, 0, take_act, &acts), STORE_OK);
	return acts;
}

static void both_files_take_effect(void **state)
{
	struct house *house = open_new(state);
	const struct config *before = house_config(house);
	struct setting first = recorded(house, 0), second;

	assert_string_equal(first.body, POLICY_ONE);
	ask(house, "agent.add", json_pack("{s:s, s:s}", "name", "plain", "owner", "o"));
	ask(house, "agent.add",
	    json_pack("{s:s, s:s, s:s}", "name", "own", "owner", "o", "policy", "{}"));
	assert_int_equal(limits_of(house, "plain"), 1);
	assert_int_equal(limits_of(house, "own"), 0);
	write_file(state, "tallyward.json",
	    "{\"calls_max\":6,\"listen\":\"[::1]:7\",\"log_level\":\"error\"}");
	write_file(state, "policy.json", POLICY_TWO);
	assert_true(house_reload(house));
	assert_int_equal(house_config(house)->calls_max, 6);
	assert_string_equal(house_config(house)->listen, "127.0.0.1:8402");
	/* Whoever began with the old one still has it. */
	assert_int_equal(before->calls_max, 5);
	assert_int_equal(limits_of(house, "plain"), 2);
	assert_int_equal(limits_of(house, "own"), 0);
	second = recorded(house, 0);
	assert_string_equal(second.body, POLICY_TWO);
	assert_true(second.id > first.id);
	assert_string_equal(recorded(house, second.id - 1).body, POLICY_ONE);
	assert_int_equal(acts_of(house).count, 1);
	assert_string_equal(acts_of(house).detail,
	    "{\"config\":[\"log_level\",\"calls_max\"],\"at_next_start\":[\"listen\"],"
	    "\"default_policy\":true}");
	house_close(&house);
	/* Nothing of it was only in memory, and an agent without a policy has none still. */
	house = open_again(state);
	assert_string_equal(house_config(house)->listen, "[::1]:7");
	assert_int_equal(limits_of(house, "plain"), 2);
	assert_int_equal(limits_of(house, "own"), 0);
	assert_int_equal(recorded(house, 0).id, second.id);
	house_close(&house);
}

static void a_start_records_the_default_policy_when_it_differs(void **state)
{
	struct house *house = open_new(state);
	int64_t first = recorded(house, 0).id;

	house_close(&house);
	house = open_again(state);
	assert_int_equal(recorded(house, 0).id, first);
	house_close(&house);
	write_file(state, "policy.json", POLICY_TWO);
	house = open_again(state);
	assert_true(recorded(house, 0).id > first);
	assert_string_equal(recorded(house, 0).body, POLICY_TWO);
	house_close(&house);
}

static void one_bad_file_changes_nothing(void **state)
{
	static const struct {
		const char *config, *policy; /* NULL: absent */
	} rows[] = {
	    {"{\"calls_max\":6}", "{"},
	    {"{\"calls_max\":6}", ""},
	    {"{\"calls_max\":6}", "[]"},
	    {"{\"calls_max\":6}", "{\"budget\":{\"dailyLimit\":\"-1\"}}"},
	    {"{\"calls_max\":6}", "{\"budget\":{\"dailyLimi\":\"1\"}}"},
	    {"{\"calls_max\":6}", "{\"tools\":{\"allowlist\":7}}"},
	    {"{\"calls_max\":6}", NULL},
	    {"{", POLICY_TWO},
	    {"", POLICY_TWO},
	    {"[]", POLICY_TWO},
	    {"{\"calls_max\":0}", POLICY_TWO},
	    {"{\"calls_max\":\"6\"}", POLICY_TWO},
	    {"{\"calls_maxx\":6}", POLICY_TWO},
	    {"{\"calls_max\":6,\"calls_max\":6}", POLICY_TWO},
	    {"{\"calls_max\":6,\"log_level\":\"loud\"}", POLICY_TWO},
	    {"{\"calls_max\":6,\"assets\":[{}]}", POLICY_TWO},
	    {NULL, POLICY_TWO},
	    {NULL, NULL},
	};
	struct house *house = open_new(state);
	const struct config *config = house_config(house);
	char *config_path = file_path(*state, "tallyward.json");
	char *policy_path = file_path(*state, "policy.json");
	struct setting before = recorded(house, 0);

	ask(house, "agent.add", json_pack("{s:s, s:s}", "name", "plain", "owner", "o"));
	for (size_t i = 0; i < COUNT(rows); i++) {
		char row[32];

		snprintf(row, sizeof row, "%zu", i);
		write_file(state, "tallyward.json", rows[i].config ? rows[i].config : "");
		write_file(state, "policy.json", rows[i].policy ? rows[i].policy : "");
		if (!rows[i].config)
			assert_int_equal(unlink(config_path), 0);
		if (!rows[i].policy)
			assert_int_equal(unlink(policy_path), 0);
		row_check(row, !house_reload(house));
		row_check(row, house_config(house) == config && config->calls_max == 5);
		row_check(row, limits_of(house, "plain") == 1);
		row_check(row, recorded(house, 0).id == before.id);
		row_check(row, acts_of(house).count == 0);
	}
	/* A folder where a file should be, one that is too long. */
	assert_int_equal(mkdir(config_path, 0700), 0);
	assert_false(house_reload(house));
	assert_int_equal(rmdir(config_path), 0);
	free(config_path);
	config_path = must_format("{\"log_level\":\"%*s\"}", 70000, "info");
	write_file(state, "tallyward.json", config_path);
	write_file(state, "policy.json", POLICY_TWO);
	assert_false(house_reload(house));
	assert_ptr_equal(house_config(house), config);
	/* It recovers by itself. */
	write_file(state, "tallyward.json", "{\"calls_max\":6}");
	assert_true(house_reload(house));
	assert_int_equal(house_config(house)->calls_max, 6);
	assert_int_equal(limits_of(house, "plain"), 2);
	free(config_path);
	free(policy_path);
	house_close(&house);
}

static void nothing_new_leaves_no_trace(void **state)
{
	struct house *house = open_new(state);
	const struct config *config = house_config(house);
	int64_t before = recorded(house, 0).id;

	for (int i = 0; i < 5; i++) {
		/* Written otherwise, saying the same. */
		write_file(state, "tallyward.json",
		    i % 2 ? "{ \"calls_max\" : 5, \"drain_ms_max\": 30000 }" : "{\"calls_max\":5}");
		assert_true(house_reload(house));
		assert_ptr_equal(house_config(house), config);
	}
	assert_int_equal(recorded(house, 0).id, before);
	assert_int_equal(acts_of(house).count, 0);
	house_close(&house);
}

/* To and fro keeps two; too many different ones are refused. */
static void snapshots_are_bounded(void **state)
{
	struct house *house = open_new(state);
	const struct config *five = house_config(house), *six = NULL;
	char text[64];

	for (int i = 0; i < 6; i++) {
		write_file(
		    state, "tallyward.json", i % 2 ? "{\"calls_max\":5}" : "{\"calls_max\":6}");
		assert_true(house_reload(house));
		if (!six)
			six = house_config(house);
		assert_ptr_equal(house_config(house), i % 2 ? five : six);
	}
	for (unsigned i = 2; i < RELOAD_CONFIGS_MAX; i++) {
		snprintf(text, sizeof text, "{\"calls_max\":%u}", 1000 + i);
		write_file(state, "tallyward.json", text);
		assert_true(house_reload(house));
		assert_int_equal(house_config(house)->calls_max, 1000 + i);
	}
	write_file(state, "tallyward.json", "{\"calls_max\":7}");
	assert_false(house_reload(house));
	assert_int_equal(house_config(house)->calls_max, 1000 + RELOAD_CONFIGS_MAX - 1);
	write_file(state, "tallyward.json", "{\"calls_max\":6}");
	assert_true(house_reload(house));
	assert_ptr_equal(house_config(house), six);
	house_close(&house);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    in_folder(both_files_take_effect),
	    in_folder(a_start_records_the_default_policy_when_it_differs),
	    in_folder(one_bad_file_changes_nothing),
	    in_folder(nothing_new_leaves_no_trace),
	    in_folder(snapshots_are_bounded),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
