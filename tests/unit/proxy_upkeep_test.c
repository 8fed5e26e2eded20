/* Memory does not grow with the sessions there ever were; what time brings is seen. */
#include "proxy/upkeep.h"

#include <event2/event.h>
#include <malloc.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/command.h"
#include "proxy/rooms.h"
#include "proxy/tls.h"
#include "proxy/worker.h"
#include "tests/unit/common_captured.h"
#include "tests/unit/proxy_certificate.h"
#include "tests/unit/unit.h"

#define TTL_S 60

struct bench {
	struct house *house;
	struct agent *agent;
	int64_t now_us;
};

static struct bench begin(void **state)
{
	struct house_options options = {.dir = *state, .command = "test"};
	struct bench bench = {.now_us = clock_now_us()};
	char reason[512] = "";
	json_t *request, *reply;

	if (house_init(reason, &options) != HOUSE_OK ||
	    house_open(&bench.house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	request = json_pack(
	    "{s:s, s:{s:s, s:s}}", "command", "agent.add", "args", "name", "coder", "owner", "o");
	reply = command_run(bench.house, request, bench.now_us);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	json_decref(request);
	bench.agent = registry_agent(bench.house->registry, "coder");
	return bench;
}

static int64_t calls_of(
    struct bench *bench, enum purse_subject subject, const char *name, int64_t now_us)
{
	int64_t calls;

	purses_lock(bench->house->purses);
	calls = purse_read(bench->agent->purse, subject, name, WINDOW_TOTAL, true, now_us).firm;
	purses_unlock(bench->house->purses);
	return calls;
}

static bool admit(struct bench *bench, const char *session)
{
	return registry_admit(
	    bench->house->registry, session, bench->now_us / CLOCK_US_PER_S + TTL_S);
}

/* As a call does: admitted, held, over. */
static void place(struct bench *bench, struct hold *hold, const char *session)
{
	purses_lock(bench->house->purses);
	assert_int_equal(
	    hold_place(hold, bench->agent->purse, session, "tool", bench->now_us, 0), HOLD_OK);
	purses_unlock(bench->house->purses);
}

static void release(struct bench *bench, struct hold *hold)
{
	purses_lock(bench->house->purses);
	hold_release(hold);
	purses_unlock(bench->house->purses);
}

static void a_call(struct bench *bench, const char *session)
{
	struct hold hold = {0};

	assert_true(admit(bench, session));
	place(bench, &hold, session);
	release(bench, &hold);
}

static void pass(struct bench *bench, int64_t seconds)
{
	bench->now_us += seconds * CLOCK_US_PER_S;
	upkeep_trim(bench->house, bench->now_us);
}

static void short_sessions_leave_nothing(void **state)
{
	struct bench bench = begin(state);
	size_t early = 0, late = 0;
	const int rounds = 20, sessions = 2000;

	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < sessions; i++) {
			char session[32];

			snprintf(session, sizeof session, "%d-%d", round, i);
			a_call(&bench, session);
		}
		pass(&bench, TTL_S + UPKEEP_SESSION_GRACE_S);
		if (round == 1)
			early = mallinfo2().uordblks;
	}
	late = mallinfo2().uordblks;
	/* A session takes some 2 KiB: 36,000 of them would be 70 MiB. */
	if (late > early + 256 * 1024)
		fail_msg("%zu bytes after 2 rounds, %zu after %d", early, late, rounds);
	/* What they spent counts all the same. */
	assert_int_equal(calls_of(&bench, PURSE_AGENT, NULL, bench.now_us), rounds * sessions);
	house_close(&bench.house);
}

static void what_can_still_call_is_kept(void **state)
{
	struct bench bench = begin(state);
	struct hold hold = {0};

	a_call(&bench, "s");
	pass(&bench, TTL_S - 1);
	assert_int_equal(calls_of(&bench, PURSE_SESSION, "s", bench.now_us), 1);
	/* Expired a while ago: a call that began in time may still be waiting. */
	pass(&bench, UPKEEP_SESSION_GRACE_S);
	assert_false(registry_session_over(bench.house->registry, "s"));
	assert_int_equal(calls_of(&bench, PURSE_SESSION, "s", bench.now_us), 1);
	place(&bench, &hold, "s");
	pass(&bench, 1);
	/* Over, yet in flight: counted as long as it lasts, and nothing new is let in. */
	assert_true(registry_session_over(bench.house->registry, "s"));
	assert_int_equal(calls_of(&bench, PURSE_SESSION, "s", bench.now_us), 2);
	release(&bench, &hold);
	pass(&bench, 1);
	assert_int_equal(calls_of(&bench, PURSE_SESSION, "s", bench.now_us), 0);
	assert_int_equal(calls_of(&bench, PURSE_AGENT, NULL, bench.now_us), 2);
	house_close(&bench.house);
}

/* The clock is set back by a day, and the new time is believed: what was forgotten would count
 * from nothing, so it does not come back. */
static void a_clock_set_back_brings_no_session_back(void **state)
{
	struct bench bench = begin(state);
	int64_t expires_s = bench.now_us / CLOCK_US_PER_S + TTL_S;

	a_call(&bench, "s");
	pass(&bench, TTL_S + UPKEEP_SESSION_GRACE_S);
	bench.now_us -= 86400 * CLOCK_US_PER_S;
	assert_false(registry_admit(bench.house->registry, "s", expires_s));
	upkeep_trim(bench.house, bench.now_us);
	assert_false(registry_admit(bench.house->registry, "s", expires_s));
	house_close(&bench.house);
}

/* The certificate that was in force at the start gives way to one that has ended: nothing but
 * the loop's own timers, of which a second's is the first, come upon it. */
static void the_end_of_a_certificate_is_seen_while_it_runs(void **state)
{
	struct bench bench = begin(state);
	struct event_base *base = event_base_new();
	struct workers_state shared = {0};
	struct upkeep *upkeep;
	char *path = file_path(*state, "log"), *first, *said;
	size_t size;

	log_set_level(LOG_WARN);
	tls_set(bench.house->tls, certificate_context(bench.now_us / CLOCK_US_PER_S + 86400));
	capture(*state);
	upkeep = upkeep_new(base, bench.house, &shared);
	tls_set(bench.house->tls, certificate_context(bench.now_us / CLOCK_US_PER_S - 1));
	first = file_read(&size, path, 1 << 20);
	must(event_base_loop(base, EVLOOP_ONCE) == 0);
	said = captured(*state);
	log_set_level(LOG_ERROR);
	assert_non_null(strstr(first, "event=certificate_ends_soon"));
	assert_null(strstr(first, "event=certificate_expired"));
	assert_non_null(strstr(said, "event=certificate_expired"));
	free(first);
	free(said);
	free(path);
	upkeep_free(&upkeep);
	event_base_free(base);
	house_close(&bench.house);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    in_folder(short_sessions_leave_nothing),
	    in_folder(what_can_still_call_is_kept),
	    in_folder(a_clock_set_back_brings_no_session_back),
	    in_folder(the_end_of_a_certificate_is_seen_while_it_runs),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
