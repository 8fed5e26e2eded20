#include "proxy/upkeep.h"

#include <event2/event.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/doubt.h"
#include "proxy/rooms.h"

struct upkeep {
	struct house *house;
	struct event *second;
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

struct upkeep *upkeep_new(struct event_base *base, struct house *house)
{
	struct upkeep *upkeep = must_calloc(1, sizeof *upkeep);
	const struct timeval second = {1, 0};

	upkeep->house = house;
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
	free(upkeep);
}
