/* proxy/worker.h - one thread with its own loop, listener and connections to sellers. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/exchange.h"
#include "proxy/hasher.h"
#include "proxy/house.h"
#include "proxy/mailbox.h"
#include "proxy/token_cache.h"
#include "proxy/transfer.h"
#include "wallet/challenges.h"

struct call;

/* Shared by all workers. */
struct workers_state {
	atomic_long calls; /* in flight, over all workers */
	/* When a call was last let through to a seller, on the monotonic clock. */
	_Atomic int64_t admitted_us;
	atomic_bool draining;
};

struct worker {
	struct house *house;
	struct workers_state *shared;
	struct event_base *base;
	struct mailbox *mailbox;
	struct hasher *hasher;
	struct upstream *upstream;
	struct listener *listener;
	struct token_cache *tokens;
	struct challenges *challenges; /* met lately */
	struct call *calls; /* in flight here */
	bool stirred;	    /* something has happened to one that has money out, in this turn */
	int64_t awake_until_us; /* of a lone call's loop, on the monotonic clock */
	pthread_t thread;
	unsigned number;
	struct note drain, refresh;
	atomic_bool refreshing; /* its note is on its way */
	atomic_bool done;
};

/** worker_start - serve the agents' side on fd (taken) in a thread of its own, which has number
 * in its name. */
struct worker *worker_start(
    struct house *house, struct workers_state *shared, int fd, unsigned number);
/** The configuration has changed: follow it (house_config). From the main thread. */
void worker_refresh(struct worker *worker);
/** Stop accepting; the loop ends when the calls in flight have ended. */
void worker_drain(struct worker *worker);
/** Joins the thread and frees the worker. Only after it has drained: a process that will not
 * wait for its calls exits without this, and the next start finds their payments open. */
void worker_join(struct worker **worker);
/** True once the loop has ended. */
bool worker_done(const struct worker *worker);

#endif
