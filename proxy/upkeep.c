#include "proxy/upkeep.h"

#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/doubt.h"
#include "proxy/rooms.h"
#include "proxy/worker.h"

struct upkeep {
	struct house *house;
	struct workers_state *shared;
	struct event *second, *minute;
};

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct upkeep *upkeep = arg;
	struct clock_step step;

	(void)fd;
	(void)what;
	if (!clock_check(&step))
		log_event(LOG_DEBUG, "clock_not_believed", NULL);
	doubt_resolve(upkeep->house, clock_now_us());
}

static bool session_over(const char *session, void *arg)
{
	return registry_session_over(((struct house *)arg)->registry, session);
}

struct trim {
	struct house *house;
	int64_t now_us;
};

/* One agent at a time: calls want the lock, too. */
static bool trim_agent(struct agent *agent, void *arg)
{
	const struct trim *trim = arg;

	purses_lock(trim->house->purses);
	purse_trim(agent->purse, trim->now_us, session_over, trim->house);
	purses_unlock(trim->house->purses);
	return true;
}

void upkeep_trim(struct house *house, int64_t now_us)
{
	struct trim trim = {house, now_us};

	/* First: whoever is not known there any more places no call, see registry.h. */
	registry_trim(house->registry, now_us / CLOCK_US_PER_S - UPKEEP_SESSION_GRACE_S);
	registry_each_agent(house->registry, trim_agent, &trim);
}

static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	struct upkeep *upkeep = arg;

	(void)fd;
	(void)what;
	upkeep_trim(upkeep->house, clock_now_us());
	/* After a burst the heap of each thread is mostly holes. */
	if (atomic_load(&upkeep->shared->calls) == 0)
		(void)malloc_trim(0);
}

struct upkeep *upkeep_new(
    struct event_base *base, struct house *house, struct workers_state *shared)
{
	struct upkeep *upkeep = must_calloc(1, sizeof *upkeep);
	const struct timeval second = {1, 0}, minute = {60, 0};

	upkeep->house = house;
	upkeep->shared = shared;
	upkeep->minute = event_new(base, -1, EV_PERSIST, on_minute, upkeep);
	must(upkeep->minute && event_add(upkeep->minute, &minute) == 0);
	upkeep->second = event_new(base, -1, EV_PERSIST, on_second, upkeep);
	must(upkeep->second && event_add(upkeep->second, &second) == 0);
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
