/* Agents' pasts: the short ones read at once, the long ones once and for all who wait. */
#include "proxy/historian.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proxy/registry.h"
#include "tests/unit/proxy_peer.h"

#define LONG  (HISTORIAN_ROWS_INLINE + 1)
#define SPENT 7
/* Two bytes for each who is told. */
#define TOLD_SIZE 16

/* An agent's past, and who has read it. */
struct past {
	struct agent agent;
	size_t rows;
	atomic_int readings, glances; /* to the end; given up because it is too long */
	atomic_int failures;          /* readings to come that break off */
	pthread_t reader;
};

struct rig {
	struct event_base *base;
	struct mailbox *mailbox;
	struct purses *purses;
	struct historian *historian;
	/* Readings by the thread wait here. */
	pthread_mutex_t gate;
	atomic_bool at_gate;
};

static enum purse_past read_past(struct purse *draft, void *owner, size_t rows_max, void *arg)
{
	struct past *past = owner;
	struct rig *rig = arg;

	if (past->rows > rows_max) {
		past->glances++;
		return PURSE_LONG;
	}
	past->reader = pthread_self();
	if (past->rows >= LONG) {
		atomic_store(&rig->at_gate, true);
		must(pthread_mutex_lock(&rig->gate) == 0);
		must(pthread_mutex_unlock(&rig->gate) == 0);
	}
	past->readings++;
	purse_restore_charge(draft, NULL, "search", NULL, false, 1, SPENT, 1);
	if (past->failures > 0) {
		past->failures--;
		return PURSE_UNREADABLE;
	}
	return PURSE_AWAKE;
}

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){.base = event_base_new(), .purses = purses_new()};
	rig->mailbox = mailbox_new(rig->base);
	rig->historian = historian_new();
	must(pthread_mutex_init(&rig->gate, NULL) == 0);
	purses_recall_by(rig->purses, read_past, rig);
}

static void rig_close(struct rig *rig)
{
	historian_free(&rig->historian);
	assert_null(rig->historian);
	historian_free(&rig->historian);
	mailbox_free(&rig->mailbox);
	purses_free(&rig->purses);
	event_base_free(rig->base);
	must(pthread_mutex_destroy(&rig->gate) == 0);
}

static void hold_readings(struct rig *rig)
{
	must(pthread_mutex_lock(&rig->gate) == 0);
}

static void let_readings_go(struct rig *rig)
{
	must(pthread_mutex_unlock(&rig->gate) == 0);
}

static void past_add(struct rig *rig, struct past *past, size_t rows)
{
	*past = (struct past){.rows = rows};
	past->agent.purse = purses_add(rig->purses);
	purse_sleep(past->agent.purse, past);
}

static int64_t spent(struct rig *rig, struct past *past)
{
	int64_t sum;

	purses_lock(rig->purses);
	sum = purse_sum(past->agent.purse, PURSE_AGENT, NULL, WINDOW_TOTAL, false, 2).firm;
	purses_unlock(rig->purses);
	return sum;
}

/* Who asks, and the order in which they were told. */
struct asker {
	struct historian_turn turn;
	char name;
	char *told;
};

static void on_told(void *arg)
{
	struct asker *asker = arg;
	char *end = asker->told + strlen(asker->told);

	must(end - asker->told <= TOLD_SIZE - 3);
	end[0] = asker->name;
	end[1] = asker->turn.known ? '+' : '-';
	end[2] = '\0';
}

static enum historian_result ask(struct rig *rig, struct past *past, struct asker *asker)
{
	asker->turn.mailbox = rig->mailbox;
	asker->turn.note.run = on_told;
	asker->turn.note.arg = asker;
	return historian_ask(rig->historian, &past->agent, &asker->turn);
}

static void a_short_past_is_read_where_it_is_asked_for(void **state)
{
	static const size_t rows[] = {0, 1, HISTORIAN_ROWS_INLINE};
	char told[TOLD_SIZE] = "";
	struct asker asker = {.name = 'a', .told = told};
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct past past;

		past_add(&rig, &past, rows[i]);
		assert_int_equal(ask(&rig, &past, &asker), HISTORIAN_KNOWN);
		assert_true(pthread_equal(past.reader, pthread_self()));
		assert_int_equal(spent(&rig, &past), SPENT);
		assert_int_equal(ask(&rig, &past, &asker), HISTORIAN_KNOWN);
		assert_int_equal(past.readings, 1);
		assert_false(historian_give_up(rig.historian, &past.agent, &asker.turn));
	}
	loop_turn(rig.base);
	assert_string_equal(told, "");
	rig_close(&rig);
}

/* Whatever they are, other agents and the lock of the purses are free meanwhile. */
static void a_long_past_is_read_once_for_all(void **state)
{
	char told[TOLD_SIZE] = "";
	struct asker askers[4] = {{.name = 'a', .told = told}, {.name = 'b', .told = told},
	    {.name = 'c', .told = told}, {.name = 'd', .told = told}};
	struct past past, other;
	struct rig rig;

	(void)state;
	rig_open(&rig);
	past_add(&rig, &past, LONG);
	past_add(&rig, &other, 3);
	hold_readings(&rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ask(&rig, &past, &askers[i]), HISTORIAN_WAITING);
	peer_until(rig.base, atomic_load(&rig.at_gate));
	assert_false(pthread_equal(past.reader, pthread_self()));
	assert_int_equal(ask(&rig, &other, &askers[3]), HISTORIAN_KNOWN);
	assert_int_equal(spent(&rig, &other), SPENT);
	assert_int_equal(ask(&rig, &past, &askers[3]), HISTORIAN_WAITING);
	assert_string_equal(told, "");
	let_readings_go(&rig);
	peer_until(rig.base, strlen(told) == 8);
	assert_string_equal(told, "a+b+c+d+");
	assert_int_equal(past.readings, 1);
	assert_int_equal(past.glances, 1);
	assert_int_equal(spent(&rig, &past), SPENT);
	assert_int_equal(ask(&rig, &past, &askers[0]), HISTORIAN_KNOWN);
	rig_close(&rig);
}

static void who_gives_up_is_not_told(void **state)
{
	static const struct {
		const char *name;
		bool leaves[3];
		const char *told;
	} rows[] = {
	    {"the first", {true, false, false}, "b+c+"},
	    {"in the middle", {false, true, false}, "a+c+"},
	    {"the last", {false, false, true}, "a+b+"},
	    {"all but one", {true, false, true}, "b+"},
	    {"all", {true, true, true}, ""},
	};
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char told[TOLD_SIZE] = "";
		struct asker askers[3] = {{.name = 'a', .told = told}, {.name = 'b', .told = told},
		    {.name = 'c', .told = told}};
		struct past past;

		peer_row = rows[i].name;
		past_add(&rig, &past, LONG);
		hold_readings(&rig);
		for (size_t j = 0; j < 3; j++)
			assert_int_equal(ask(&rig, &past, &askers[j]), HISTORIAN_WAITING);
		for (size_t j = 0; j < 3; j++)
			if (rows[i].leaves[j]) {
				struct historian_turn *turn = &askers[j].turn;

				assert_true(historian_give_up(rig.historian, &past.agent, turn));
				assert_false(historian_give_up(rig.historian, &past.agent, turn));
			}
		let_readings_go(&rig);
		/* It is read all the same. */
		peer_until(rig.base,
		    !purse_asleep(past.agent.purse) && strlen(told) == strlen(rows[i].told));
		assert_string_equal(told, rows[i].told);
		for (size_t j = 0; j < 3; j++)
			assert_false(
			    historian_give_up(rig.historian, &past.agent, &askers[j].turn));
		assert_int_equal(past.readings, 1);
	}
	peer_row = "-";
	rig_close(&rig);
}

static void what_cannot_be_read_is_asked_for_again(void **state)
{
	char told[TOLD_SIZE] = "";
	struct asker askers[2] = {{.name = 'a', .told = told}, {.name = 'b', .told = told}};
	struct past shorter, longer;
	struct rig rig;

	(void)state;
	rig_open(&rig);
	past_add(&rig, &shorter, 3);
	past_add(&rig, &longer, LONG);
	shorter.failures = 1;
	longer.failures = 1;
	assert_int_equal(ask(&rig, &shorter, &askers[0]), HISTORIAN_UNREADABLE);
	assert_int_equal(ask(&rig, &shorter, &askers[0]), HISTORIAN_KNOWN);
	assert_int_equal(spent(&rig, &shorter), SPENT);
	hold_readings(&rig);
	assert_int_equal(ask(&rig, &longer, &askers[0]), HISTORIAN_WAITING);
	assert_int_equal(ask(&rig, &longer, &askers[1]), HISTORIAN_WAITING);
	let_readings_go(&rig);
	peer_until(rig.base, strlen(told) == 4);
	assert_string_equal(told, "a-b-");
	assert_true(purse_asleep(longer.agent.purse));
	assert_int_equal(ask(&rig, &longer, &askers[0]), HISTORIAN_WAITING);
	peer_until(rig.base, strlen(told) == 6);
	assert_string_equal(told, "a-b-a+");
	assert_int_equal(spent(&rig, &longer), SPENT);
	rig_close(&rig);
}

/* Nobody waits any more: the one that is being read is read, the others are not. */
static void it_ends_in_the_middle(void **state)
{
	char told[TOLD_SIZE] = "";
	struct asker askers[3] = {
	    {.name = 'a', .told = told}, {.name = 'b', .told = told}, {.name = 'c', .told = told}};
	struct past pasts[3];
	struct rig rig;

	(void)state;
	rig_open(&rig);
	hold_readings(&rig);
	for (size_t i = 0; i < 3; i++) {
		past_add(&rig, &pasts[i], LONG);
		assert_int_equal(ask(&rig, &pasts[i], &askers[i]), HISTORIAN_WAITING);
	}
	peer_until(rig.base, atomic_load(&rig.at_gate));
	for (size_t i = 0; i < 3; i++)
		assert_true(historian_give_up(rig.historian, &pasts[i].agent, &askers[i].turn));
	let_readings_go(&rig);
	rig_close(&rig);
	assert_string_equal(told, "");
	assert_int_equal(pasts[0].readings, 1);
}

/* --- from many threads ------------------------------------------------------------------- */

#define CROWD 200

struct crowd {
	struct rig *rig;
	struct past *pasts;
};

static void *ask_for_all(void *arg)
{
	struct crowd *crowd = arg;
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);

	for (size_t i = 0; i < CROWD; i++) {
		char told[TOLD_SIZE] = "";
		struct asker asker = {.name = 'a', .told = told};
		struct past *past = &crowd->pasts[i];
		enum historian_result result;

		asker.turn.mailbox = mailbox;
		asker.turn.note.run = on_told;
		asker.turn.note.arg = &asker;
		result = historian_ask(crowd->rig->historian, &past->agent, &asker.turn);
		while (result == HISTORIAN_WAITING && !*told)
			event_base_loop(base, EVLOOP_ONCE);
		must(result != HISTORIAN_UNREADABLE);
		must(!*told || strcmp(told, "a+") == 0);
		must(spent(crowd->rig, past) == SPENT);
	}
	mailbox_free(&mailbox);
	event_base_free(base);
	return NULL;
}

static void many_threads_ask_at_once(void **state)
{
	static struct past pasts[CROWD];
	pthread_t threads[4];
	struct rig rig;
	struct crowd crowd = {.rig = &rig, .pasts = pasts};

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < CROWD; i++)
		past_add(&rig, &pasts[i], i % 2 == 0 ? 3 : LONG);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_for_all, &crowd), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < CROWD; i++) {
		assert_int_equal(pasts[i].readings, 1);
		assert_int_equal(pasts[i].glances, i % 2);
	}
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_short_past_is_read_where_it_is_asked_for),
	    cmocka_unit_test(a_long_past_is_read_once_for_all),
	    cmocka_unit_test(who_gives_up_is_not_told),
	    cmocka_unit_test(what_cannot_be_read_is_asked_for_again),
	    cmocka_unit_test(it_ends_in_the_middle),
	    cmocka_unit_test(many_threads_ask_at_once),
	};

	must(evthread_use_pthreads() == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
