/* proxy/errand.h - owner's commands that wait for a chain, off the daemon's main loop.
 *
 * One thread carries them out, one at a time, in the order they came; the answer comes back
 * as a note on the loop. Nothing here is for workers. */
#ifndef PROXY_ERRAND_H
#define PROXY_ERRAND_H

#include <jansson.h>
#include <stdbool.h>

#include "common/must.h"

struct event_base;
struct house;
struct errands;
struct errand;

/* An owner has one or two terminals and a script or two; each command is bounded by its
 * chain's time-outs, so a longer line would only hide that something is stuck. */
#define ERRANDS_MAX 8u

/** Takes reply. Called on the loop, once, unless errand_forget() came first. */
typedef void errand_done_fn(json_t *reply, void *arg);

/** Starts the thread. Never NULL. */
struct errands *errands_new(struct event_base *base, struct house *house);
/** Waits for the errand under way; those still in line, and those forgotten, are dropped
 * without a word. */
void errands_free(struct errands **errands);

/** errand_send - put a request (command.h; taken) in line. NULL: ERRANDS_MAX are there
 * already, nothing was done and the request is still the caller's. The errand is gone once
 * done was called. */
struct errand *errand_send(
    struct errands *errands, json_t *request, errand_done_fn *done, void *arg) MUST_CHECK;
/** Nobody waits for its answer any more; what it does is done all the same. Not after done. */
void errand_forget(struct errand **errand);

/** Is one under way or in line? */
bool errands_busy(struct errands *errands);

#endif
