/* proxy/upkeep.h - what a daemon does by itself while it runs: small, on the main loop.
 *
 * Every second the time is held against the machine's clock (common/clock.h), so that a step
 * is seen before something is to be signed, and followed while nothing is; and it is looked,
 * at the start too, whether the listeners' certificate ends soon or has ended (proxy/tls.h). In the
 * course of a minute, a part each second, memory that nothing can need any more is given back:
 * sessions whose token expired, what has slid out of minute and hour; and every minute, while no
 * call is under way, the allocator's free pages. */
#ifndef PROXY_UPKEEP_H
#define PROXY_UPKEEP_H

#include <stdint.h>

#include "proxy/house.h"

struct event_base;
struct upkeep;
struct workers_state;

/* A call that began with a valid token may wait, and send its body, for longer than the token
 * lives; it is refused before anything is signed only when it took this long. */
#define UPKEEP_SESSION_GRACE_S 3600

/** Never NULL; house and shared outlive it. */
struct upkeep *upkeep_new(
    struct event_base *base, struct house *house, struct workers_state *shared);
/** What is done in the course of a minute, at once; any thread. */
void upkeep_trim(struct house *house, int64_t now_us);
void upkeep_free(struct upkeep **upkeep);

#endif
