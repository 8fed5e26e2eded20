#include "proxy/errand.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/thread.h"
#include "proxy/command.h"
#include "proxy/mailbox.h"

struct errand {
	struct errand *next;
	struct errands *errands;
	json_t *request, *reply;
	errand_done_fn *done; /* NULL: forgotten. The loop's alone */
	void *arg;
	struct note note;
};

struct errands {
	struct house *house;
	struct mailbox *mailbox;
	pthread_t thread;
	unsigned count; /* in line, under way, or on the way back; the loop's alone */
	pthread_mutex_t lock;
	pthread_cond_t work;
	/* Under the lock. */
	struct errand *first, **last;
	bool stop;
};

static void errand_free(struct errand *errand)
{
	json_decref(errand->request);
	json_decref(errand->reply);
	free(errand);
}

/* On the loop. */
static void on_back(void *arg)
{
	struct errand *errand = arg;
	json_t *reply = errand->reply;

	errand->errands->count--;
	errand->reply = NULL;
	if (errand->done)
		errand->done(reply, errand->arg);
	else
		json_decref(reply);
	errand_free(errand);
}

static struct errand *wait_for_work(struct errands *errands)
{
	struct errand *errand = NULL;

	must(pthread_mutex_lock(&errands->lock) == 0);
	while (!errands->stop && !errands->first)
		must(pthread_cond_wait(&errands->work, &errands->lock) == 0);
	if (!errands->stop) {
		errand = errands->first;
		errands->first = errand->next;
		if (!errands->first)
			errands->last = &errands->first;
	}
	must(pthread_mutex_unlock(&errands->lock) == 0);
	return errand;
}

static void *run(void *arg)
{
	struct errands *errands = arg;
	struct errand *errand;

	(void)pthread_setname_np(pthread_self(), "tw-errand");
	while ((errand = wait_for_work(errands))) {
		errand->reply = command_run(errands->house, errand->request, clock_now_us());
		errand->note.run = on_back;
		errand->note.arg = errand;
		mailbox_post(errands->mailbox, &errand->note);
	}
	return NULL;
}

struct errands *errands_new(struct event_base *base, struct house *house)
{
	struct errands *errands = must_calloc(1, sizeof *errands);

	errands->house = house;
	errands->mailbox = mailbox_new(base);
	errands->last = &errands->first;
	must(pthread_mutex_init(&errands->lock, NULL) == 0);
	must(pthread_cond_init(&errands->work, NULL) == 0);
	must(thread_start(&errands->thread, run, errands));
	return errands;
}

void errands_free(struct errands **errands_p)
{
	struct errands *errands = *errands_p;
	struct errand *errand;

	*errands_p = NULL;
	if (!errands)
		return;
	must(pthread_mutex_lock(&errands->lock) == 0);
	errands->stop = true;
	must(pthread_cond_signal(&errands->work) == 0);
	must(pthread_mutex_unlock(&errands->lock) == 0);
	must(pthread_join(errands->thread, NULL) == 0);
	while ((errand = errands->first)) {
		errands->first = errand->next;
		errand_free(errand);
	}
	mailbox_free(&errands->mailbox);
	must(pthread_cond_destroy(&errands->work) == 0);
	must(pthread_mutex_destroy(&errands->lock) == 0);
	free(errands);
}

struct errand *errand_send(
    struct errands *errands, json_t *request, errand_done_fn *done, void *arg)
{
	struct errand *errand;

	if (errands->count == ERRANDS_MAX)
		return NULL;
	errands->count++;
	errand = must_calloc(1, sizeof *errand);
	errand->errands = errands;
	errand->request = request;
	errand->done = done;
	errand->arg = arg;
	must(pthread_mutex_lock(&errands->lock) == 0);
	*errands->last = errand;
	errands->last = &errand->next;
	must(pthread_cond_signal(&errands->work) == 0);
	must(pthread_mutex_unlock(&errands->lock) == 0);
	return errand;
}

void errand_forget(struct errand **errand)
{
	if (*errand)
		(*errand)->done = NULL;
	*errand = NULL;
}

bool errands_busy(struct errands *errands)
{
	return errands->count > 0;
}
