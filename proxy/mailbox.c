#include "proxy/mailbox.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct note *first, **last;
	struct event *event;
	int fd;
};

static struct note *take_all(struct mailbox *mailbox)
{
	struct note *notes;

	must(pthread_mutex_lock(&mailbox->lock) == 0);
	notes = mailbox->first;
	mailbox->first = NULL;
	mailbox->last = &mailbox->first;
	must(pthread_mutex_unlock(&mailbox->lock) == 0);
	return notes;
}

static void run_all(struct mailbox *mailbox)
{
	struct note *note = take_all(mailbox), *next;

	for (; note; note = next) {
		next = note->next; /* the note may be posted again, or freed, while it runs */
		note->run(note->arg);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
		;
	run_all(arg);
}

struct mailbox *mailbox_new(struct event_base *base)
{
	struct mailbox *mailbox = must_calloc(1, sizeof *mailbox);

	mailbox->last = &mailbox->first;
	must(pthread_mutex_init(&mailbox->lock, NULL) == 0);
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(mailbox->fd >= 0);
	mailbox->event = event_new(base, mailbox->fd, EV_READ | EV_PERSIST, on_wake, mailbox);
	must(mailbox->event && event_add(mailbox->event, NULL) == 0);
	return mailbox;
}

void mailbox_free(struct mailbox **mailbox_p)
{
	struct mailbox *mailbox = *mailbox_p;

	*mailbox_p = NULL;
	if (!mailbox)
		return;
	run_all(mailbox);
	event_free(mailbox->event);
	close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct note *note)
{
	uint64_t one = 1;
	bool wake;

	note->next = NULL;
	must(pthread_mutex_lock(&mailbox->lock) == 0);
	wake = mailbox->first == NULL;
	*mailbox->last = note;
	mailbox->last = &note->next;
	must(pthread_mutex_unlock(&mailbox->lock) == 0);
	if (wake) {
		/* The counter cannot fill: one write for each time the box was empty. */
		while (write(mailbox->fd, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
}
