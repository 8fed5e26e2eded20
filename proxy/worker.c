#include "proxy/worker.h"

#include <event2/event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "proxy/front.h"
#include "proxy/rooms.h"
#include "proxy/tls.h"

/* How much of an answer waits for a slow reader before the seller is made to wait: a few
 * socket buffers, so that a fast reader is never short of bytes. */
#define OUT_SIZE_HIGH (256u * 1024u)
#define OUT_SIZE_LOW  (64u * 1024u)
/* Kept connections to sellers, per worker. */
#define UPSTREAM_CONNECTIONS_MAX 1024u
/* Endpoints that a worker's agents pay again and again; 10 KiB each as sellers are today, and
 * 13 MiB if all of them were made to be large. */
#define CHALLENGES_MAX 128u
/* How often a draining worker looks whether it is done. */
static const struct timeval drain_tick = {0, 20000};

/* A quarter of the descriptors that the process may have is for the other side of the calls, the
 * store and the spools: whoever opens connections must not be able to take those as well. */
static uint32_t descriptor_max(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_cur >= UINT32_MAX)
		return 0;
	return (uint32_t)(limit.rlim_cur - limit.rlim_cur / 4);
}

static struct listener_limits listener_limits_of(const struct config *config)
{
	return (struct listener_limits){
	    .connections_max = (uint32_t)config->connections_max,
	    .descriptor_max = descriptor_max(),
	    .head_ms_max = (uint32_t)config->head_ms_max,
	    .idle_ms_max = (uint32_t)config->idle_ms_max,
	    .body_idle_ms_max = (uint32_t)config->body_idle_ms_max,
	    .write_idle_ms_max = (uint32_t)config->body_idle_ms_max,
	    .out_size_high = OUT_SIZE_HIGH,
	    .out_size_low = OUT_SIZE_LOW,
	};
}

static struct upstream_limits upstream_limits_of(const struct config *config)
{
	return (struct upstream_limits){
	    .connections_max = UPSTREAM_CONNECTIONS_MAX,
	    .connect_ms_max = (uint32_t)config->connect_ms_max,
	    .response_ms_max = (uint32_t)config->response_ms_max,
	    .idle_ms_max = (uint32_t)config->upstream_idle_ms_max,
	    .head_size_max = HEADERS_SIZE_MAX,
	    .ca_file = *config->ca_file ? config->ca_file : NULL,
	};
}

static struct listener *make_listener(struct worker *worker, int fd)
{
	struct listener_limits limits = listener_limits_of(house_config(worker->house));
	struct listener *listener =
	    listener_new(worker->base, fd, &limits, &front_events, worker);

	listener_set_tls(listener, tls_context(worker->house->tls));
	return listener;
}

static struct upstream *make_upstream(struct worker *worker)
{
	struct upstream_limits limits = upstream_limits_of(house_config(worker->house));

	return upstream_new(worker->base, &limits);
}

/* Without locks: nobody but the worker's own thread touches its loop while it runs. The others
 * write to its mailbox. */
static struct event_base *make_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	must(config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
	base = event_base_new_with_config(config);
	must(base != NULL);
	event_config_free(config);
	return base;
}

/* An idle core is put to sleep, and under a hypervisor takes some 50 us to wake: longer than a
 * seller nearby takes to answer, and as long as a third of a commit. A call that is alone may have
 * a core to itself, which is then spent on looking while money is set aside for it; with more calls
 * something always happens, and a free one is not worth a core. A paid call waits three times, so
 * the price is bounded by as many busy_poll_us. Who gives up in the middle of a commit pays both
 * prices: the default is above a slow one (300 us at the median, measured). */
static bool stays_awake(struct worker *worker)
{
	int64_t busy_us = house_config(worker->house)->busy_poll_us, now_us;

	if (busy_us == 0 || worker->calls == NULL || atomic_load(&worker->shared->calls) != 1)
		return false;
	now_us = clock_mono_us();
	if (worker->stirred)
		worker->awake_until_us = now_us + busy_us;
	worker->stirred = false;
	if (now_us >= worker->awake_until_us)
		return false;
	/* Whoever else wants the core has it meanwhile. */
	sched_yield();
	return true;
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	char name[16];

	snprintf(name, sizeof(name), "tw-worker-%u", worker->number % 100000);
	(void)pthread_setname_np(pthread_self(), name);
	do
		event_base_loop(
		    worker->base, (stays_awake(worker) ? EVLOOP_NONBLOCK : EVLOOP_ONCE) |
				      EVLOOP_NO_EXIT_ON_EMPTY);
	while (!event_base_got_break(worker->base));
	/* Now, and not when the slowest of the other workers is done: a connection that came in
	 * at the last moment must not hang meanwhile. */
	listener_free(&worker->listener);
	/* libevent closes a freed connection's socket in the next turn of its loop. */
	event_base_loop(worker->base, EVLOOP_NONBLOCK);
	atomic_store(&worker->done, true);
	return NULL;
}

bool worker_done(const struct worker *worker)
{
	return atomic_load(&worker->done);
}

struct worker *worker_start(
    struct house *house, struct workers_state *shared, int fd, unsigned number)
{
	struct worker *worker = must_calloc(1, sizeof *worker);

	worker->house = house;
	worker->shared = shared;
	worker->number = number;
	worker->base = make_base();
	worker->mailbox = mailbox_new(worker->base);
	worker->hasher = hasher_new(worker->mailbox);
	worker->upstream = make_upstream(worker);
	worker->tokens = token_cache_new();
	worker->challenges = challenges_new(CHALLENGES_MAX);
	worker->listener = make_listener(worker, fd);
	must(thread_start(&worker->thread, run, worker));
	return worker;
}

static void on_refresh(void *arg)
{
	struct worker *worker = arg;
	const struct config *config;
	struct listener_limits listener;
	struct upstream_limits upstream;

	/* First: what is posted from here on has a note of its own. */
	atomic_store(&worker->refreshing, false);
	config = house_config(worker->house);
	listener = listener_limits_of(config);
	upstream = upstream_limits_of(config);
	if (worker->listener) {
		listener_set_limits(worker->listener, &listener);
		listener_set_tls(worker->listener, tls_context(worker->house->tls));
	}
	upstream_set_limits(worker->upstream, &upstream);
}

void worker_refresh(struct worker *worker)
{
	/* The one that is on its way will read the newest. */
	if (atomic_exchange(&worker->refreshing, true))
		return;
	worker->refresh.run = on_refresh;
	worker->refresh.arg = worker;
	mailbox_post(worker->mailbox, &worker->refresh);
}

static void on_drain_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	if (worker->calls == NULL && listener_connections(worker->listener) == 0)
		event_base_loopbreak(worker->base);
	else
		must(event_base_once(
			 worker->base, -1, EV_TIMEOUT, on_drain_tick, worker, &drain_tick) == 0);
}

static void on_drain(void *arg)
{
	struct worker *worker = arg;

	listener_drain(worker->listener);
	on_drain_tick(-1, 0, worker);
}

void worker_drain(struct worker *worker)
{
	worker->drain.run = on_drain;
	worker->drain.arg = worker;
	mailbox_post(worker->mailbox, &worker->drain);
}

void worker_join(struct worker **worker_p)
{
	struct worker *worker = *worker_p;

	*worker_p = NULL;
	must(pthread_join(worker->thread, NULL) == 0);
	listener_free(&worker->listener);
	hasher_stop(worker->hasher);
	mailbox_free(&worker->mailbox);
	hasher_free(&worker->hasher);
	upstream_free(&worker->upstream);
	token_cache_free(&worker->tokens);
	challenges_free(&worker->challenges);
	event_base_free(worker->base);
	free(worker);
}
