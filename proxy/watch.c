#include "proxy/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/table.h"

struct watched {
	int64_t payment;
	const struct asset *asset;
	bool listed; /* false: only being booked */
	bool begun;
	enum watch_doubt doubt;
	UT_hash_handle hh;
};

struct watch {
	pthread_mutex_t lock;
	struct watched *table;
	size_t listed;
	bool overflowed; /* said once in the log */
};

struct watch *watch_new(void)
{
	struct watch *watch = must_calloc(1, sizeof *watch);

	must(pthread_mutex_init(&watch->lock, NULL) == 0);
	return watch;
}

void watch_free(struct watch **watch_p)
{
	struct watch *watch = *watch_p;
	struct watched *watched, *next;

	*watch_p = NULL;
	if (!watch)
		return;
	HASH_ITER (hh, watch->table, watched, next) {
		HASH_DEL(watch->table, watched);
		free(watched);
	}
	must(pthread_mutex_destroy(&watch->lock) == 0);
	free(watch);
}

static struct watched *find(struct watch *watch, int64_t payment)
{
	struct watched *watched;

	HASH_FIND(hh, watch->table, &payment, sizeof payment, watched);
	return watched;
}

static struct watched *find_or_make(struct watch *watch, int64_t payment, const struct asset *asset)
{
	struct watched *watched = find(watch, payment);

	if (watched)
		return watched;
	watched = must_calloc(1, sizeof *watched);
	watched->payment = payment;
	watched->asset = asset;
	HASH_ADD(hh, watch->table, payment, sizeof watched->payment, watched);
	return watched;
}

/* What is neither listed, begun nor in doubt is not there. */
static void drop_if_idle(struct watch *watch, struct watched *watched)
{
	if (watched->listed || watched->begun || watched->doubt != WATCH_SURE)
		return;
	HASH_DEL(watch->table, watched);
	free(watched);
}

/* True when it was refused for want of room, for the first time. */
static bool enlist(struct watch *watch, struct watched *watched)
{
	bool first;

	if (watched->listed)
		return false;
	if (watch->listed < WATCH_MAX) {
		watched->listed = true;
		watch->listed++;
		return false;
	}
	first = !watch->overflowed;
	watch->overflowed = true;
	return first;
}

static void unlist(struct watch *watch, struct watched *watched)
{
	if (watched->listed)
		watch->listed--;
	watched->listed = false;
}

static void say_full(bool full)
{
	if (full)
		log_event(LOG_WARN, "too_many_payments_watched", "reason",
		    "further ends are not asked about again before the next start", NULL);
}

void watch_add(struct watch *watch, int64_t payment, const struct asset *asset)
{
	struct watched *watched;
	bool full;

	must(pthread_mutex_lock(&watch->lock) == 0);
	watched = find_or_make(watch, payment, asset);
	full = enlist(watch, watched);
	drop_if_idle(watch, watched);
	must(pthread_mutex_unlock(&watch->lock) == 0);
	say_full(full);
}

void watch_remove(struct watch *watch, int64_t payment)
{
	struct watched *watched;

	must(pthread_mutex_lock(&watch->lock) == 0);
	watched = find(watch, payment);
	if (watched) {
		unlist(watch, watched);
		drop_if_idle(watch, watched);
	}
	must(pthread_mutex_unlock(&watch->lock) == 0);
}

size_t watch_count(struct watch *watch)
{
	size_t count;

	must(pthread_mutex_lock(&watch->lock) == 0);
	count = watch->listed;
	must(pthread_mutex_unlock(&watch->lock) == 0);
	return count;
}

int64_t *watch_list(size_t *count, struct watch *watch, const char *network)
{
	struct watched *watched, *next;
	int64_t *ids = NULL;

	*count = 0;
	must(pthread_mutex_lock(&watch->lock) == 0);
	if (watch->listed > 0)
		ids = must_calloc(watch->listed, sizeof *ids);
	HASH_ITER (hh, watch->table, watched, next) {
		if (watched->listed && strcmp(watched->asset->network, network) == 0)
			ids[(*count)++] = watched->payment;
	}
	must(pthread_mutex_unlock(&watch->lock) == 0);
	if (*count == 0) {
		free(ids);
		ids = NULL;
	}
	return ids;
}

bool watch_begin(
    enum watch_doubt *doubt, struct watch *watch, int64_t payment, const struct asset *asset)
{
	struct watched *watched;
	bool begun;

	must(pthread_mutex_lock(&watch->lock) == 0);
	watched = find_or_make(watch, payment, asset);
	begun = !watched->begun;
	if (begun) {
		watched->begun = true;
		*doubt = watched->doubt;
	}
	must(pthread_mutex_unlock(&watch->lock) == 0);
	return begun;
}

void watch_end(struct watch *watch, int64_t payment, enum watch_doubt doubt, bool keep)
{
	struct watched *watched;
	bool full = false;

	must(pthread_mutex_lock(&watch->lock) == 0);
	watched = find(watch, payment);
	must(watched && watched->begun);
	watched->begun = false;
	watched->doubt = doubt;
	if (keep)
		full = enlist(watch, watched);
	drop_if_idle(watch, watched);
	must(pthread_mutex_unlock(&watch->lock) == 0);
	say_full(full);
}
