/* proxy/historian.h - what agents did before the start, read for the calls that need it first.
 *
 * An agent's past (ledger/purse.h) is read when somebody first calls for it. A short one is read
 * where it is asked for, on the worker: to hand it over would take longer. A long one would hold
 * up every other call of that worker, so a thread reads it, one agent's after another's, and who
 * has asked waits without holding anybody up.
 *
 * One agent's past is read by one reader at a time, however many calls and workers ask: the others
 * stand in its line, and are told with a note each, in the order in which they asked. When it could
 * not be read all of them are told so, and the next call tries again.
 *
 * Memory: an inquiry for each agent whose past is being read or waits for that, which are no more
 * than have called; the turns are their callers'. Of pasts the thread has one at a time. */
#ifndef PROXY_HISTORIAN_H
#define PROXY_HISTORIAN_H

#include <stdbool.h>

#include "common/must.h"
#include "proxy/mailbox.h"

struct agent;
struct historian;

/* Rows of tokens, payments, holds and calls up to which a past is short. A row takes half a
 * microsecond, or two while its page is not in memory: a worker's fraction of a millisecond,
 * wasted when there are more. */
#define HISTORIAN_ROWS_INLINE 512u

enum historian_result {
	HISTORIAN_KNOWN = 0,
	HISTORIAN_WAITING = 1,    /* the turn's note will be posted */
	HISTORIAN_UNREADABLE = 2, /* no limit of this agent can be trusted */
};

/* In the caller's storage while it waits. */
struct historian_turn {
	struct historian_turn *prev, *next;
	bool waiting; /* in line; the historian's */
	struct mailbox *mailbox;
	struct note note; /* run and arg are the caller's */
	bool known;       /* when the note runs; false: it could not be read */
};

/** Starts the thread. Never NULL. */
struct historian *historian_new(void);
/** Nobody waits any more. Waits for the reading under way, which nobody may have waited for;
 * those behind it are dropped. Before the store and the purses go. Accepts NULL inside. */
void historian_free(struct historian **historian);

/** historian_ask - is the agent's past in its purse? From any thread, with no lock held.
 *
 * Returns  as above; turn is used, and stays in use until its note has run or was given up, when
 *          HISTORIAN_WAITING
 * Blocks   for HISTORIAN_ROWS_INLINE rows of the ledger at most; not at all once it is known. */
enum historian_result historian_ask(
    struct historian *historian, struct agent *agent, struct historian_turn *turn) MUST_CHECK;
/** Stop waiting; the reading goes on, for the next call. True: no note will come. False: the note
 * is on its way. */
bool historian_give_up(
    struct historian *historian, struct agent *agent, struct historian_turn *turn) MUST_CHECK;

#endif
