/* proxy/mailbox.h - how other threads reach a worker: a note put on its own loop. */
#ifndef PROXY_MAILBOX_H
#define PROXY_MAILBOX_H

#include "common/must.h"

struct event_base;

/* Lives inside what it is about; may be posted again once it has run. */
struct note {
	struct note *next;
	void (*run)(void *arg);
	void *arg;
};

struct mailbox;

struct mailbox *mailbox_new(struct event_base *base);
/** Runs what is still in it, then frees it. */
void mailbox_free(struct mailbox **mailbox);
/** From any thread; note->run(note->arg) happens on the mailbox's loop, in order. */
void mailbox_post(struct mailbox *mailbox, struct note *note);

#endif
