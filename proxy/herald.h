/* proxy/herald.h - anchors are made while rows are written, and told to others.
 *
 * On the daemon's main loop: at the start for what a crash left, every anchor_s while rows
 * are written, at a graceful stop. Each line is then POSTed to anchor_webhook and written to
 * syslog, where they are configured: what stands there this machine cannot take back.
 *
 * The webhook gets one line at a time, in order, as application/json. A 2xx is taken for its
 * word; anything else is tried again after a second, then two, up to five minutes. At most
 * HERALD_WAITING_MAX lines wait; past it the oldest are dropped, each line standing for
 * all before it. Lines that wait when the process ends are not told; the file has them. */
#ifndef PROXY_HERALD_H
#define PROXY_HERALD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

struct event_base;
struct herald;
struct house;

#define HERALD_WAITING_MAX 1024u
/* How long a graceful stop waits for the webhook: a POST takes a second at most when there
 * is somebody. */
#define HERALD_STOP_MS 3000

/** Begins at once. Never NULL. */
struct herald *herald_new(struct event_base *base, struct house *house);
/** The configuration has changed: follow it, beginning with an anchor at once. On the loop. */
void herald_refresh(struct herald *herald);
/** No callback comes after this. */
void herald_free(struct herald **herald);

/** herald_finish - the last anchors, for the rows committed so far; and their POSTs, as far as
 * they come through within wait_ms, running the loop meanwhile. */
void herald_finish(struct herald *herald, int64_t wait_ms);

/** One datagram in syslog's form to the socket at path ("/dev/log"); never waits. False with
 * errno. now_us is for its time stamp. */
bool herald_syslog(const char *path, const char *line, int64_t now_us) MUST_CHECK;

#endif
