/* Notes from other threads, run on the loop, in order, each once. */
#include "proxy/mailbox.h"

#include <event2/event.h>
#include <pthread.h>

#include "tests/unit/unit.h"

struct sent {
	struct note note;
	struct mailbox *mailbox;
	int *order, *count;
	int number, again;
	bool freed; /* it is on the heap, and goes when it has run */
};

static void on_note(void *arg)
{
	struct sent *sent = arg;

	if (sent->order)
		sent->order[*sent->count] = sent->number;
	++*sent->count;
	if (sent->again-- > 0)
		mailbox_post(sent->mailbox, &sent->note);
	else if (sent->freed)
		free(sent);
}

static struct sent sent_at(struct mailbox *mailbox, int *order, int *count, int number)
{
	return (struct sent){.note = {.run = on_note},
	    .mailbox = mailbox,
	    .order = order,
	    .count = count,
	    .number = number};
}

static void post(struct sent *sent)
{
	sent->note.arg = sent;
	mailbox_post(sent->mailbox, &sent->note);
}

static void notes_run_on_the_loop_in_order(void **state)
{
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);
	int order[8] = {0}, count = 0;
	struct sent notes[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		notes[i] = sent_at(mailbox, order, &count, i + 1);
		post(&notes[i]);
	}
	assert_int_equal(count, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(order[i], i + 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count, 4);
	post(&notes[2]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count, 5);
	mailbox_free(&mailbox);
	assert_null(mailbox);
	mailbox_free(&mailbox);
	event_base_free(base);
}

/* A note that posts itself has its next turn later, after those that wait already. */
static void a_note_may_post_itself(void **state)
{
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);
	int order[8] = {0}, count = 0;
	struct sent first = sent_at(mailbox, order, &count, 1);
	struct sent second = sent_at(mailbox, order, &count, 2);

	(void)state;
	first.again = 2;
	post(&first);
	post(&second);
	for (int i = 0; i < 5; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count, 4);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 1);
	assert_int_equal(order[3], 1);
	mailbox_free(&mailbox);
	event_base_free(base);
}

static void a_note_may_be_freed_by_its_run(void **state)
{
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);
	int count = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sent *sent = must_alloc(sizeof *sent);

		*sent = sent_at(mailbox, NULL, &count, i);
		sent->freed = true;
		post(sent);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count, 3);
	mailbox_free(&mailbox);
	event_base_free(base);
}

static void what_is_left_runs_at_the_end(void **state)
{
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);
	int count = 0;
	struct sent sent = sent_at(mailbox, NULL, &count, 1);

	(void)state;
	post(&sent);
	mailbox_free(&mailbox);
	assert_int_equal(count, 1);
	event_base_free(base);
}

/* --- from several threads -------------------------------------------------------------- */

#define THREADS 3
#define NOTES   20000

struct post_thread {
	pthread_t thread;
	struct mailbox *mailbox;
	struct sent *notes;
	int last, count, misplaced;
};

static void on_counted(void *arg)
{
	struct sent *sent = arg;
	struct post_thread *from = (void *)sent->order;

	from->misplaced += sent->number != from->last + 1;
	from->last = sent->number;
	from->count++;
}

static void *post_all(void *arg)
{
	struct post_thread *thread = arg;

	for (int i = 0; i < NOTES; i++) {
		thread->notes[i] = (struct sent){.note = {.run = on_counted},
		    .number = i + 1,
		    .mailbox = thread->mailbox,
		    .order = (int *)(void *)thread};
		post(&thread->notes[i]);
	}
	return NULL;
}

static void none_is_lost_and_none_overtakes(void **state)
{
	struct event_base *base = event_base_new();
	struct mailbox *mailbox = mailbox_new(base);
	struct post_thread threads[THREADS] = {0};
	bool all = false;

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		threads[i].mailbox = mailbox;
		threads[i].notes = must_calloc(NOTES, sizeof(struct sent));
		must(pthread_create(&threads[i].thread, NULL, post_all, &threads[i]) == 0);
	}
	/* A wake-up that was lost would leave this waiting for ever. */
	while (!all) {
		event_base_loop(base, EVLOOP_ONCE);
		all = true;
		for (size_t i = 0; i < THREADS; i++)
			all = all && threads[i].count == NOTES;
	}
	for (size_t i = 0; i < THREADS; i++) {
		must(pthread_join(threads[i].thread, NULL) == 0);
		assert_int_equal(threads[i].misplaced, 0);
		free(threads[i].notes);
	}
	mailbox_free(&mailbox);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(notes_run_on_the_loop_in_order),
	    cmocka_unit_test(a_note_may_post_itself),
	    cmocka_unit_test(a_note_may_be_freed_by_its_run),
	    cmocka_unit_test(what_is_left_runs_at_the_end),
	    cmocka_unit_test(none_is_lost_and_none_overtakes),
	};

	return unit_run(tests);
}
