#include "proxy/hasher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/thread.h"
#include "proxy/mailbox.h"

/* Less than this is hashed by the worker, also of a large body, when nothing of it is under way:
 * a body that comes in crumbs is no load, and would take a block for each. */
#define CRUMB_SIZE 4096u
/* The thread is woken for so many blocks at once, or for the end of a body: to wake a processor,
 * and to let it fall asleep again, costs both threads as much as half a block does. */
#define WAKE_COUNT 8u
/* And who waits for room when there is enough of it to be worth the note. */
#define ROOM_COUNT (HASHER_BLOCKS_MAX / 2)

struct block {
	struct block *next;
	struct hashing *of;
	size_t size;
	unsigned char bytes[HASHER_BLOCK_SIZE];
};

struct hashing {
	struct hasher *hasher;
	const struct hashing_events *events;
	void *arg;
	struct hashing *prev, *next; /* of those that wait for room; the worker's */
	bool waiting;
	size_t inline_left; /* before its bytes go to the thread, which knows nothing of it until
			     * then; the worker's */
	struct sha256 *running; /* the thread's while blocks are under way, else the worker's */
	struct digest digest;
	/* Under the lock. */
	struct hashing *next_done;
	unsigned under_way; /* blocks handed over and not hashed */
	bool ended;
	bool done;    /* and in the list of those to be told */
	bool dropped; /* freed by its owner: whoever has it last frees it */
};

struct hasher {
	struct mailbox *mailbox;
	pthread_t thread;
	struct note note;
	/* The worker's. */
	struct hashing *waiting; /* for room */
	struct block *filling;   /* not handed over yet; NULL: none */
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct block *first, **last; /* handed over */
	unsigned count;              /* of those */
	struct block *spare;         /* used last, used again first: it is still in the caches */
	struct hashing *done;
	bool wanted; /* somebody waits for room */
	bool posted; /* the note is on its way */
	bool stop;
};

static void lock(struct hasher *hasher)
{
	must(pthread_mutex_lock(&hasher->lock) == 0);
}

static void unlock(struct hasher *hasher)
{
	must(pthread_mutex_unlock(&hasher->lock) == 0);
}

static void hashing_destroy(struct hashing *hashing)
{
	sha256_free(&hashing->running);
	free(hashing);
}

/* --- the thread --- */

/* With the lock. */
static void tell(struct hasher *hasher)
{
	if (hasher->posted)
		return;
	hasher->posted = true;
	mailbox_post(hasher->mailbox, &hasher->note);
}

static void spare_add(struct hasher *hasher, struct block *block)
{
	block->next = hasher->spare;
	hasher->spare = block;
}

/* With the lock. NULL: there will be no more. */
static struct block *wait_for_block(struct hasher *hasher)
{
	struct block *block;

	while (!hasher->first && !hasher->stop)
		must(pthread_cond_wait(&hasher->work, &hasher->lock) == 0);
	block = hasher->first;
	if (!block)
		return NULL;
	hasher->first = block->next;
	if (!hasher->first)
		hasher->last = &hasher->first;
	hasher->count--;
	return block;
}

/* With the lock, which makes what was hashed the worker's to see. */
static void block_done(struct hasher *hasher, struct block *block)
{
	struct hashing *hashing = block->of;

	spare_add(hasher, block);
	hashing->under_way--;
	if (hashing->under_way == 0 && hashing->dropped) {
		hashing_destroy(hashing);
	} else if (hashing->under_way == 0 && hashing->ended) {
		hashing->digest = sha256_done(&hashing->running);
		hashing->done = true;
		LL_PREPEND2(hasher->done, hashing, next_done);
		tell(hasher);
	}
	if (hasher->wanted && hasher->count <= ROOM_COUNT)
		tell(hasher);
}

static void *run(void *arg)
{
	struct hasher *hasher = arg;
	struct block *block;

	must(pthread_setname_np(pthread_self(), "tw-hasher") == 0);
	lock(hasher);
	while ((block = wait_for_block(hasher))) {
		bool dropped = block->of->dropped;

		unlock(hasher);
		if (!dropped)
			sha256_add(block->of->running, block->bytes, block->size);
		lock(hasher);
		block_done(hasher, block);
	}
	unlock(hasher);
	return NULL;
}

/* --- the worker --- */

static void tell_done(struct hashing *hashing)
{
	while (hashing) {
		struct hashing *next = hashing->next_done;

		/* The thread has nothing to do with it any more. */
		hashing->done = false;
		if (hashing->dropped)
			hashing_destroy(hashing);
		else
			hashing->events->done(hashing->arg);
		hashing = next;
	}
}

static void tell_room(struct hasher *hasher)
{
	struct hashing *waiting;

	while ((waiting = hasher->waiting)) {
		DL_DELETE(hasher->waiting, waiting);
		waiting->waiting = false;
		waiting->events->room(waiting->arg);
	}
}

static void on_note(void *arg)
{
	struct hasher *hasher = arg;
	struct hashing *done;
	bool room;

	lock(hasher);
	hasher->posted = false;
	done = hasher->done;
	hasher->done = NULL;
	room = hasher->wanted && hasher->count <= ROOM_COUNT;
	if (room)
		hasher->wanted = false;
	unlock(hasher);
	tell_done(done);
	if (room)
		tell_room(hasher);
}

/* With the lock: hand over what was filled. True: wake the thread, without the lock, which it
 * would have to wait for. */
static bool hand_over(struct hasher *hasher)
{
	struct block *block = hasher->filling;

	hasher->filling = NULL;
	block->next = NULL;
	*hasher->last = block;
	hasher->last = &block->next;
	return ++hasher->count == WAKE_COUNT;
}

static void wake(struct hasher *hasher)
{
	must(pthread_cond_signal(&hasher->work) == 0);
}

static struct block *block_take(struct hasher *hasher, struct hashing *hashing)
{
	struct block *block;
	bool due;

	lock(hasher);
	due = hasher->filling && hand_over(hasher);
	block = hasher->spare;
	if (block)
		hasher->spare = block->next;
	/* Of this hashing from now on, full or not. */
	hashing->under_way++;
	unlock(hasher);
	if (due)
		wake(hasher);
	if (!block)
		block = must_alloc(sizeof *block);
	block->of = hashing;
	block->size = 0;
	return block;
}

static bool is_under_way(struct hashing *hashing)
{
	bool under_way;

	lock(hashing->hasher);
	under_way = hashing->under_way > 0;
	unlock(hashing->hasher);
	return under_way;
}

bool hashing_room(struct hashing *hashing)
{
	struct hasher *hasher = hashing->hasher;
	bool room;

	if (hashing->inline_left > 0)
		return true;
	lock(hasher);
	room = hasher->count < HASHER_BLOCKS_MAX;
	if (!room)
		hasher->wanted = true;
	unlock(hasher);
	if (!room && !hashing->waiting) {
		hashing->waiting = true;
		DL_APPEND(hasher->waiting, hashing);
	}
	return room;
}

void hashing_add(struct hashing *hashing, const void *bytes, size_t size)
{
	struct hasher *hasher = hashing->hasher;
	const unsigned char *at = bytes;

	if (hashing->inline_left > 0 || (size < CRUMB_SIZE && !is_under_way(hashing))) {
		hashing->inline_left -= size < hashing->inline_left ? size : hashing->inline_left;
		sha256_add(hashing->running, bytes, size);
		return;
	}
	while (size > 0) {
		struct block *block = hasher->filling;
		size_t piece;

		if (!block || block->of != hashing || block->size == HASHER_BLOCK_SIZE)
			block = hasher->filling = block_take(hasher, hashing);
		piece = HASHER_BLOCK_SIZE - block->size;
		if (piece > size)
			piece = size;
		memcpy(block->bytes + block->size, at, piece);
		block->size += piece;
		at += piece;
		size -= piece;
	}
}

bool hashing_end(struct hashing *hashing)
{
	struct hasher *hasher = hashing->hasher;
	bool known = true;

	if (hashing->inline_left == 0) {
		lock(hasher);
		hashing->ended = true;
		if (hasher->filling && hasher->filling->of == hashing)
			(void)hand_over(hasher);
		known = hashing->under_way == 0;
		unlock(hasher);
	}
	if (!known)
		wake(hasher);
	else
		hashing->digest = sha256_done(&hashing->running);
	return known;
}

struct digest hashing_digest(const struct hashing *hashing)
{
	return hashing->digest;
}

struct hashing *hashing_new(struct hasher *hasher, const struct hashing_events *events, void *arg)
{
	struct hashing *hashing = must_calloc(1, sizeof *hashing);

	hashing->hasher = hasher;
	hashing->events = events;
	hashing->arg = arg;
	hashing->running = sha256_new();
	hashing->inline_left = HASHER_INLINE_MAX;
	return hashing;
}

void hashing_free(struct hashing **hashing_p)
{
	struct hashing *hashing = *hashing_p;
	struct hasher *hasher;
	bool last;

	*hashing_p = NULL;
	if (!hashing)
		return;
	if (hashing->inline_left > 0) {
		hashing_destroy(hashing);
		return;
	}
	hasher = hashing->hasher;
	if (hashing->waiting)
		DL_DELETE(hasher->waiting, hashing);
	lock(hasher);
	if (hasher->filling && hasher->filling->of == hashing) {
		spare_add(hasher, hasher->filling);
		hasher->filling = NULL;
		hashing->under_way--;
	}
	last = hashing->under_way == 0 && !hashing->done;
	hashing->dropped = true;
	unlock(hasher);
	if (last)
		hashing_destroy(hashing);
}

struct hasher *hasher_new(struct mailbox *mailbox)
{
	struct hasher *hasher = must_calloc(1, sizeof *hasher);

	hasher->mailbox = mailbox;
	hasher->note.run = on_note;
	hasher->note.arg = hasher;
	hasher->last = &hasher->first;
	must(pthread_mutex_init(&hasher->lock, NULL) == 0);
	must(pthread_cond_init(&hasher->work, NULL) == 0);
	must(thread_start(&hasher->thread, run, hasher));
	return hasher;
}

void hasher_stop(struct hasher *hasher)
{
	lock(hasher);
	hasher->stop = true;
	must(pthread_cond_signal(&hasher->work) == 0);
	unlock(hasher);
	must(pthread_join(hasher->thread, NULL) == 0);
}

void hasher_free(struct hasher **hasher_p)
{
	struct hasher *hasher = *hasher_p;
	struct block *block;

	*hasher_p = NULL;
	if (!hasher)
		return;
	must(!hasher->first && !hasher->filling && !hasher->waiting && !hasher->done);
	while ((block = hasher->spare)) {
		hasher->spare = block->next;
		free(block);
	}
	must(pthread_cond_destroy(&hasher->work) == 0);
	must(pthread_mutex_destroy(&hasher->lock) == 0);
	free(hasher);
}
