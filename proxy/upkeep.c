#include "proxy/upkeep.h"

#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/doubt.h"
#include "proxy/rooms.h"
#include "proxy/tls.h"
#include "proxy/worker.h"

#define PARTS 60u /* seconds that a round over all agents and sessions takes, or a little less */
#define BATCH 64u /* agents taken from the registry at a time */

struct upkeep {
	struct house *house;
	struct workers_state *shared;
	struct event *second, *minute;
	size_t agent; /* index of the next one to trim */
};

static bool session_over(const char *session, void *arg)
{
	return registry_session_over(((struct house *)arg)->registry, session);
}

/* One agent at a time: calls want the lock, too. Returns the index to go on from. */
static size_t trim_agents(struct house *house, int64_t now_us, size_t first, size_t count)
{
	struct agent *agents[BATCH];
	size_t found = BATCH;

	while (count > 0 && found == BATCH) {
		found = registry_agents(
		    agents, house->registry, first, count < BATCH ? count : BATCH);
		for (size_t i = 0; i < found; i++) {
			purses_lock(house->purses);
			purse_trim(agents[i]->purse, now_us, session_over, house);
			purses_unlock(house->purses);
		}
		first += found;
		count -= found;
	}
	return first;
}

static void trim_sessions(struct house *house, int64_t now_us, size_t parts)
{
	registry_trim(house->registry, now_us / CLOCK_US_PER_S - UPKEEP_SESSION_GRACE_S, parts);
}

void upkeep_trim(struct house *house, int64_t now_us)
{
	/* First: whoever is not known there any more places no call, see registry.h. */
	trim_sessions(house, now_us, 1);
	(void)trim_agents(house, now_us, 0, SIZE_MAX);
}

/* A sixtieth of it, so that what all agents take is spread over the minute. */
static void trim_part(struct upkeep *upkeep, int64_t now_us)
{
	size_t count = registry_agent_count(upkeep->house->registry);

	trim_sessions(upkeep->house, now_us, PARTS);
	if (upkeep->agent >= count)
		upkeep->agent = 0;
	upkeep->agent =
	    trim_agents(upkeep->house, now_us, upkeep->agent, count / PARTS + 1);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct upkeep *upkeep = arg;
	struct clock_step step;
	int64_t now_us;

	(void)fd;
	(void)what;
	if (!clock_check(&step))
		log_event(LOG_DEBUG, "clock_not_believed", NULL);
	now_us = clock_now_us();
	tls_watch(upkeep->house->tls, now_us);
	doubt_resolve(upkeep->house, now_us);
	trim_part(upkeep, now_us);
}

/* jemalloc's, in the program; unit tests and sanitizer builds have another heap.
 *
 * A thread keeps what it frees for its own next wish, but of 32 KiB at most unless it is told
 * otherwise: libcurl's 64 KiB for what it reads, which each request takes and gives back, would
 * be cut out of the arena and put back every time. At most twenty of each size are kept so, and
 * fewer when they are not used. */
extern const char *const malloc_conf;
const char *const malloc_conf = "lg_tcache_max:17"; /* 128 KiB */

extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

/* jemalloc gives unused pages back when its threads are busy, not while they sleep. */
static void heap_trim(void)
{
	if (mallctl)
		(void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: of all arenas */
	else
		(void)malloc_trim(0);
}

static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	struct upkeep *upkeep = arg;

	(void)fd;
	(void)what;
	/* After a burst the heap of each thread is mostly holes. */
	if (atomic_load(&upkeep->shared->calls) == 0)
		heap_trim();
}

struct upkeep *upkeep_new(
    struct event_base *base, struct house *house, struct workers_state *shared)
{
	struct upkeep *upkeep = must_calloc(1, sizeof *upkeep);
	const struct timeval second = {1, 0}, minute = {60, 0};

	heap_trim(); /* what the start left behind */
	upkeep->house = house;
	upkeep->shared = shared;
	upkeep->minute = event_new(base, -1, EV_PERSIST, on_minute, upkeep);
	must(upkeep->minute && event_add(upkeep->minute, &minute) == 0);
	upkeep->second = event_new(base, -1, EV_PERSIST, on_second, upkeep);
	must(upkeep->second && event_add(upkeep->second, &second) == 0);
	tls_watch(house->tls, clock_now_us());
	return upkeep;
}

void upkeep_free(struct upkeep **upkeep_p)
{
	struct upkeep *upkeep = *upkeep_p;

	*upkeep_p = NULL;
	if (!upkeep)
		return;
	event_free(upkeep->second);
	event_free(upkeep->minute);
	free(upkeep);
}
