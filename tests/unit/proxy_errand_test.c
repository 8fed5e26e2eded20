/* proxy/errand: commands carried out on a thread of their own, in order, answered on the
 * loop. command_run() is this file's: it waits until it is let go, and says what it was
 * asked. */
#include "proxy/errand.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>

#include "proxy/command.h"
#include "tests/unit/unit.h"

/* What stands for the daemon's commands. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned begun, let_go;
	pthread_t thread;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

json_t *command_run(struct house *house, const json_t *request, int64_t now_us)
{
	assert_ptr_equal(house, (struct house *)&fake);
	assert_true(now_us > 0);
	pthread_mutex_lock(&fake.lock);
	fake.begun++;
	fake.thread = pthread_self();
	pthread_cond_broadcast(&fake.changed);
	while (fake.let_go < fake.begun)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	return json_pack("{s:O}", "asked", json_object_get(request, "number"));
}

static void let_go(unsigned count)
{
	pthread_mutex_lock(&fake.lock);
	fake.let_go = count;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static void wait_begun(unsigned count)
{
	pthread_mutex_lock(&fake.lock);
	while (fake.begun < count)
		pthread_cond_wait(&fake.changed, &fake.lock);
	assert_int_equal(fake.begun, count);
	pthread_mutex_unlock(&fake.lock);
}

/* A loop, its errands, and the answers as they came. */
struct world {
	struct event_base *base;
	struct errands *errands;
	int answers[2 * ERRANDS_MAX];
	unsigned count, wanted;
	pthread_t thread;
};

static void on_done(json_t *reply, void *arg)
{
	struct world *world = arg;

	assert_true(pthread_equal(pthread_self(), world->thread));
	world->answers[world->count++] =
	    (int)json_integer_value(json_object_get(reply, "asked"));
	json_decref(reply);
	if (world->count == world->wanted)
		event_base_loopbreak(world->base);
}

static struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof *world);

	fake.begun = fake.let_go = 0;
	world->base = event_base_new();
	world->errands = errands_new(world->base, (struct house *)&fake);
	world->thread = pthread_self();
	return world;
}

static void world_free(struct world *world)
{
	errands_free(&world->errands);
	assert_null(world->errands);
	event_base_free(world->base);
	free(world);
}

static struct errand *ask(struct world *world, int number)
{
	return errand_send(world->errands, json_pack("{s:i}", "number", number), on_done, world);
}

static void run_until(struct world *world, unsigned wanted)
{
	world->wanted = wanted;
	if (world->count < wanted)
		event_base_loop(world->base, EVLOOP_NO_EXIT_ON_EMPTY);
	assert_int_equal(world->count, wanted);
}

static void answers_come_in_order_on_the_loop(void **state)
{
	struct world *world = world_new();

	(void)state;
	assert_false(errands_busy(world->errands));
	for (int i = 1; i <= 3; i++)
		assert_non_null(ask(world, i));
	assert_true(errands_busy(world->errands));
	wait_begun(1);
	assert_false(pthread_equal(fake.thread, world->thread));
	let_go(3);
	run_until(world, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world->answers[i], i + 1);
	assert_false(errands_busy(world->errands));
	world_free(world);
}

/* One at a time: the second has not begun while the first waits. */
static void the_second_waits_for_the_first(void **state)
{
	struct world *world = world_new();

	(void)state;
	assert_non_null(ask(world, 1));
	assert_non_null(ask(world, 2));
	wait_begun(1);
	let_go(1);
	run_until(world, 1);
	wait_begun(2);
	assert_true(errands_busy(world->errands));
	let_go(2);
	run_until(world, 2);
	world_free(world);
}

static void the_line_is_bounded(void **state)
{
	struct world *world = world_new();
	json_t *request = json_pack("{s:i}", "number", 99);

	(void)state;
	for (unsigned i = 0; i < ERRANDS_MAX; i++)
		assert_non_null(ask(world, (int)i));
	assert_null(errand_send(world->errands, request, on_done, world));
	/* It is still ours, and a place becomes free with an answer, not before. */
	let_go(1);
	run_until(world, 1);
	assert_non_null(errand_send(world->errands, request, on_done, world));
	assert_null(errand_send(world->errands, request, on_done, world));
	let_go(ERRANDS_MAX + 1);
	run_until(world, ERRANDS_MAX + 1);
	assert_int_equal(world->answers[ERRANDS_MAX], 99);
	world_free(world);
}

/* Whoever hangs up gets no answer; the others do, and the place is free again. */
static void whoever_hung_up_gets_no_answer(void **state)
{
	struct world *world = world_new();
	struct errand *first = ask(world, 1), *second = ask(world, 2), *none = NULL;

	(void)state;
	assert_non_null(ask(world, 3));
	wait_begun(1);
	errand_forget(&first);
	assert_null(first);
	errand_forget(&second);
	errand_forget(&none);
	let_go(3);
	run_until(world, 1);
	assert_int_equal(world->answers[0], 3);
	assert_int_equal(fake.begun, 3);
	assert_false(errands_busy(world->errands));
	world_free(world);
}

/* The end of the daemon: what is under way ends, what waits never begins. */
static void the_end_waits_for_what_is_under_way(void **state)
{
	struct world *world = world_new();
	struct errand *first = ask(world, 1), *second = ask(world, 2);
	struct errands *nothing = NULL;

	(void)state;
	wait_begun(1);
	errand_forget(&first);
	errand_forget(&second);
	let_go(1);
	/* The thread may take the second one before it is told to stop. */
	let_go(2);
	world_free(world);
	assert_in_range(fake.begun, 1, 2);
	errands_free(&nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_come_in_order_on_the_loop),
	    cmocka_unit_test(the_second_waits_for_the_first),
	    cmocka_unit_test(the_line_is_bounded),
	    cmocka_unit_test(whoever_hung_up_gets_no_answer),
	    cmocka_unit_test(the_end_waits_for_what_is_under_way),
	};

	if (evthread_use_pthreads() != 0)
		return 1;
	return unit_run(tests);
}
