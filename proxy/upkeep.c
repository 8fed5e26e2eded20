#include "proxy/upkeep.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/rooms.h"

struct upkeep {
	struct house *house;
	struct event *clock;
};

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
	struct clock_step step;

	(void)fd;
	(void)what;
	(void)arg;
	if (!clock_check(&step))
		log_event(LOG_DEBUG, "clock_not_believed", NULL);
}

struct upkeep *upkeep_new(struct event_base *base, struct house *house)
{
	struct upkeep *upkeep = must_calloc(1, sizeof *upkeep);
	const struct timeval second = {1, 0};

	upkeep->house = house;
	upkeep->clock = event_new(base, -1, EV_PERSIST, on_clock, upkeep);
	must(upkeep->clock && event_add(upkeep->clock, &second) == 0);
	return upkeep;
}

void upkeep_free(struct upkeep **upkeep_p)
{
	struct upkeep *upkeep = *upkeep_p;

	*upkeep_p = NULL;
	if (!upkeep)
		return;
	event_free(upkeep->clock);
	free(upkeep);
}
