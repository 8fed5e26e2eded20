#include "proxy/historian.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <utlist.h>

#include "common/table.h"
#include "common/thread.h"
#include "proxy/registry.h"

/* About one agent, from the first who asks until its past is known, or cannot be. */
struct inquiry {
	struct agent *agent; /* the key */
	struct historian_turn *line;
	struct inquiry *next; /* of those the thread will read */
	UT_hash_handle hh;
};

struct historian {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	/* Under the lock. */
	struct inquiry *inquiries; /* each is read by whoever made it, or by the thread */
	struct inquiry *first, **last;
	bool stop;
};

static void lock(struct historian *historian)
{
	must(pthread_mutex_lock(&historian->lock) == 0);
}

static void unlock(struct historian *historian)
{
	must(pthread_mutex_unlock(&historian->lock) == 0);
}

/* --- inquiries; all with the lock --- */

static struct inquiry *inquiry_find(struct historian *historian, struct agent *agent)
{
	struct inquiry *inquiry;

	HASH_FIND_PTR(historian->inquiries, &agent, inquiry);
	return inquiry;
}

static void inquiry_open(struct historian *historian, struct agent *agent)
{
	struct inquiry *inquiry = must_calloc(1, sizeof *inquiry);

	inquiry->agent = agent;
	HASH_ADD_PTR(historian->inquiries, agent, inquiry);
}

/* To the thread. Whoever opened it asked first, and looked itself while the others came. */
static void inquiry_hand_over(
    struct historian *historian, struct inquiry *inquiry, struct historian_turn *turn)
{
	DL_PREPEND(inquiry->line, turn);
	turn->waiting = true;
	*historian->last = inquiry;
	historian->last = &inquiry->next;
	must(pthread_cond_signal(&historian->work) == 0);
}

/* Frees it, and tells those in its line. */
static void inquiry_close(struct historian *historian, struct inquiry *inquiry, bool known)
{
	struct historian_turn *turn, *next;

	HASH_DEL(historian->inquiries, inquiry);
	/* The note may run at once, and free its turn. */
	DL_FOREACH_SAFE(inquiry->line, turn, next)
	{
		turn->waiting = false;
		turn->known = known;
		mailbox_post(turn->mailbox, &turn->note);
	}
	free(inquiry);
}

/* --- the thread --- */

/* NULL: there will be no more. */
static struct inquiry *wait_for_inquiry(struct historian *historian)
{
	struct inquiry *inquiry;

	while (!historian->stop && !historian->first)
		must(pthread_cond_wait(&historian->work, &historian->lock) == 0);
	if (historian->stop)
		return NULL;
	inquiry = historian->first;
	historian->first = inquiry->next;
	if (!historian->first)
		historian->last = &historian->first;
	return inquiry;
}

static void *run(void *arg)
{
	struct historian *historian = arg;
	struct inquiry *inquiry;

	(void)pthread_setname_np(pthread_self(), "tw-historian");
	lock(historian);
	while ((inquiry = wait_for_inquiry(historian))) {
		bool known;

		unlock(historian);
		known = purse_recall(inquiry->agent->purse);
		lock(historian);
		inquiry_close(historian, inquiry, known);
	}
	unlock(historian);
	return NULL;
}

struct historian *historian_new(void)
{
	struct historian *historian = must_calloc(1, sizeof *historian);

	historian->last = &historian->first;
	must(pthread_mutex_init(&historian->lock, NULL) == 0);
	must(pthread_cond_init(&historian->work, NULL) == 0);
	must(thread_start(&historian->thread, run, historian));
	return historian;
}

void historian_free(struct historian **historian_p)
{
	struct historian *historian = *historian_p;
	struct inquiry *inquiry, *next;

	*historian_p = NULL;
	if (!historian)
		return;
	lock(historian);
	historian->stop = true;
	must(pthread_cond_signal(&historian->work) == 0);
	unlock(historian);
	must(pthread_join(historian->thread, NULL) == 0);
	HASH_ITER (hh, historian->inquiries, inquiry, next) {
		must(!inquiry->line);
		HASH_DEL(historian->inquiries, inquiry);
		free(inquiry);
	}
	must(pthread_cond_destroy(&historian->work) == 0);
	must(pthread_mutex_destroy(&historian->lock) == 0);
	free(historian);
}

/* --- who asks --- */

/* Joins the line, if there is one. */
static bool stand_in_line(
    struct historian *historian, struct agent *agent, struct historian_turn *turn)
{
	struct inquiry *inquiry;

	lock(historian);
	inquiry = inquiry_find(historian, agent);
	if (inquiry)
		DL_APPEND(inquiry->line, turn);
	else
		inquiry_open(historian, agent);
	turn->waiting = inquiry != NULL;
	unlock(historian);
	return inquiry != NULL;
}

enum historian_result historian_ask(
    struct historian *historian, struct agent *agent, struct historian_turn *turn)
{
	struct inquiry *inquiry;
	enum purse_past past;

	/* A purse that woke never sleeps again. */
	if (!purse_asleep(agent->purse))
		return purse_recall(agent->purse) ? HISTORIAN_KNOWN : HISTORIAN_UNREADABLE;
	if (stand_in_line(historian, agent, turn))
		return HISTORIAN_WAITING;
	past = purse_recall_short(agent->purse, HISTORIAN_ROWS_INLINE);
	lock(historian);
	inquiry = inquiry_find(historian, agent);
	if (past == PURSE_LONG)
		inquiry_hand_over(historian, inquiry, turn);
	else
		inquiry_close(historian, inquiry, past == PURSE_AWAKE);
	unlock(historian);
	switch (past) {
	case PURSE_AWAKE:
		return HISTORIAN_KNOWN;
	case PURSE_LONG:
		return HISTORIAN_WAITING;
	case PURSE_UNREADABLE:
		break;
	}
	return HISTORIAN_UNREADABLE;
}

bool historian_give_up(
    struct historian *historian, struct agent *agent, struct historian_turn *turn)
{
	bool was_waiting;

	lock(historian);
	was_waiting = turn->waiting;
	if (was_waiting)
		DL_DELETE(inquiry_find(historian, agent)->line, turn);
	turn->waiting = false;
	unlock(historian);
	return was_waiting;
}
