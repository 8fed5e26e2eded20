/* Keys whose call is in flight: one at a time, first come first served. */
#include "proxy/idempotency.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/unit.h"

struct waiter {
	struct idempotency_turn turn;
	struct waiter **order; /* filled as keys are handed over */
	size_t *order_count;
};

struct line {
	struct idempotency *table;
	struct event_base *base;
	struct mailbox *mailbox;
	struct waiter waiters[5], *order[5];
	size_t order_count;
};

static void on_turn(void *arg)
{
	struct waiter *waiter = arg;

	waiter->order[(*waiter->order_count)++] = waiter;
}

static void line_open(struct line *line)
{
	*line = (struct line){.table = idempotency_new(), .base = event_base_new()};
	line->mailbox = mailbox_new(line->base);
	for (size_t i = 0; i < COUNT(line->waiters); i++) {
		struct waiter *waiter = &line->waiters[i];

		waiter->order = line->order;
		waiter->order_count = &line->order_count;
		waiter->turn = (struct idempotency_turn){
		    .mailbox = line->mailbox, .note = {.run = on_turn, .arg = waiter}};
	}
}

static void line_close(struct line *line)
{
	mailbox_free(&line->mailbox);
	event_base_free(line->base);
	idempotency_free(&line->table);
	assert_null(line->table);
	idempotency_free(&line->table);
}

static bool enter(struct line *line, int64_t agent, const char *key, size_t waiter)
{
	return idempotency_enter(line->table, agent, key, &line->waiters[waiter].turn);
}

static bool give_up(struct line *line, const char *key, size_t waiter)
{
	return idempotency_give_up(line->table, 1, key, &line->waiters[waiter].turn);
}

static void leave(struct line *line, const char *key)
{
	idempotency_leave(line->table, 1, key);
	event_base_loop(line->base, EVLOOP_NONBLOCK);
}

static void keys_that_are_none(void **state)
{
	char key[IDEMPOTENCY_KEY_MAX + 2];
	static const char *const good[] = {"a", " ", "~", "a b", "\"quoted\"", "1/2"};
	static const char *const bad[] = {
	    "", "\t", "a\n", "\x1f", "\x7f", "\x80", "caf\xc3\xa9", "a\rb", "\xff"};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		row_check(good[i], idempotency_key_valid(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		row_check(bad[i], !idempotency_key_valid(bad[i]));
	memset(key, 'k', sizeof key);
	key[IDEMPOTENCY_KEY_MAX + 1] = '\0';
	assert_false(idempotency_key_valid(key));
	key[IDEMPOTENCY_KEY_MAX] = '\0';
	assert_true(idempotency_key_valid(key));
}

static void one_at_a_time_in_turn(void **state)
{
	struct line line;

	(void)state;
	line_open(&line);
	assert_true(enter(&line, 1, "k", 0));
	assert_false(enter(&line, 1, "k", 1));
	assert_false(enter(&line, 1, "k", 2));
	assert_true(enter(&line, 2, "k", 3)); /* another agent's is another key */
	assert_true(enter(&line, 1, "K", 4));
	event_base_loop(line.base, EVLOOP_NONBLOCK);
	assert_int_equal(line.order_count, 0);
	leave(&line, "k");
	assert_int_equal(line.order_count, 1);
	assert_ptr_equal(line.order[0], &line.waiters[1]);
	assert_false(enter(&line, 1, "k", 0)); /* it has been handed over, not set free */
	leave(&line, "k");
	leave(&line, "k");
	assert_int_equal(line.order_count, 3);
	assert_ptr_equal(line.order[1], &line.waiters[2]);
	assert_ptr_equal(line.order[2], &line.waiters[0]);
	leave(&line, "k");
	assert_int_equal(line.order_count, 3);
	assert_true(enter(&line, 1, "k", 1));
	leave(&line, "k");
	leave(&line, "K");
	idempotency_leave(line.table, 2, "k");
	line_close(&line);
}

/* In every place of the line: the links behind it must hold. */
static void giving_up(void **state)
{
	(void)state;
	for (size_t who = 1; who <= 4; who++) {
		struct line line;
		size_t expected = 1;

		line_open(&line);
		assert_true(enter(&line, 1, "k", 0));
		for (size_t i = 1; i <= 3; i++)
			assert_false(enter(&line, 1, "k", i));
		if (who <= 3)
			assert_true(give_up(&line, "k", who));
		assert_false(give_up(&line, "k", who)); /* not, or no longer, in line */
		assert_false(enter(&line, 1, "k", 4));
		for (size_t i = 0; i < 5; i++)
			if (line.order_count == i)
				leave(&line, "k");
		for (size_t i = 0; i < line.order_count; i++, expected++) {
			if (expected == who && who <= 3)
				expected++;
			assert_ptr_equal(line.order[i], &line.waiters[expected]);
		}
		assert_int_equal(line.order_count, who <= 3 ? 3 : 4);
		line_close(&line);
	}
}

/* Too late: the note is on its way, and the key is the waiter's. */
static void giving_up_too_late(void **state)
{
	struct line line;

	(void)state;
	line_open(&line);
	assert_true(enter(&line, 1, "k", 0));
	assert_false(enter(&line, 1, "k", 1));
	idempotency_leave(line.table, 1, "k");
	assert_false(give_up(&line, "k", 1));
	assert_false(give_up(&line, "other", 1));
	event_base_loop(line.base, EVLOOP_NONBLOCK);
	assert_int_equal(line.order_count, 1);
	leave(&line, "k");
	assert_false(give_up(&line, "k", 1));
	assert_aborts(idempotency_leave(line.table, 1, "k"));
	line_close(&line);
}

/* --- from several threads ---------------------------------------------------------- */

#define THREADS 3
#define ROUNDS  2000

struct racer {
	struct idempotency *table;
	atomic_int *inside;
	pthread_t thread;
	struct event_base *base;
	struct mailbox *mailbox;
	bool mine;
	unsigned seed;
};

static void on_mine(void *arg)
{
	((struct racer *)arg)->mine = true;
}

static void *race(void *arg)
{
	struct racer *racer = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct idempotency_turn turn = {
		    .mailbox = racer->mailbox, .note = {.run = on_mine, .arg = racer}};
		bool gave_up = false;

		racer->mine = idempotency_enter(racer->table, 1, "k", &turn);
		while (!racer->mine && !gave_up) {
			event_base_loop(racer->base, EVLOOP_NONBLOCK);
			if (!racer->mine && rand_r(&racer->seed) % 8 == 0)
				gave_up = idempotency_give_up(racer->table, 1, "k", &turn);
		}
		if (gave_up)
			continue;
		must(atomic_fetch_add(racer->inside, 1) == 0);
		must(atomic_fetch_sub(racer->inside, 1) == 1);
		idempotency_leave(racer->table, 1, "k");
	}
	return NULL;
}

static void never_two_at_once(void **state)
{
	struct idempotency *table = idempotency_new();
	struct racer racers[THREADS];
	atomic_int inside = 0;

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){.table = table,
		    .inside = &inside,
		    .seed = (unsigned)i + 1,
		    .base = event_base_new()};
		racers[i].mailbox = mailbox_new(racers[i].base);
	}
	for (size_t i = 0; i < THREADS; i++)
		must(pthread_create(&racers[i].thread, NULL, race, &racers[i]) == 0);
	for (size_t i = 0; i < THREADS; i++)
		must(pthread_join(racers[i].thread, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++) {
		mailbox_free(&racers[i].mailbox);
		event_base_free(racers[i].base);
	}
	idempotency_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_that_are_none),
	    cmocka_unit_test(one_at_a_time_in_turn),
	    cmocka_unit_test(giving_up),
	    cmocka_unit_test(giving_up_too_late),
	    cmocka_unit_test(never_two_at_once),
	};

	return unit_run(tests);
}
