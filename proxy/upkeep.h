/* proxy/upkeep.h - what a daemon does by itself while it runs: small, on the main loop.
 *
 * Every second the time is held against the machine's clock (common/clock.h), so that a step
 * is seen before something is to be signed, and followed while nothing is. */
#ifndef PROXY_UPKEEP_H
#define PROXY_UPKEEP_H

#include "proxy/house.h"

struct event_base;
struct upkeep;

/** Never NULL; the house outlives it. */
struct upkeep *upkeep_new(struct event_base *base, struct house *house);
void upkeep_free(struct upkeep **upkeep);

#endif
