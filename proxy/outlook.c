#include "proxy/outlook.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row a network that was looked at: as many as the asset table names, at most 255. */
struct outlook {
	pthread_mutex_t lock;
	struct outlook_row *rows;
	size_t count;
};

struct outlook *outlook_new(void)
{
	struct outlook *outlook = must_calloc(1, sizeof *outlook);

	must(pthread_mutex_init(&outlook->lock, NULL) == 0);
	return outlook;
}

void outlook_free(struct outlook **outlook_p)
{
	struct outlook *outlook = *outlook_p;

	*outlook_p = NULL;
	if (!outlook)
		return;
	must(pthread_mutex_destroy(&outlook->lock) == 0);
	free(outlook->rows);
	free(outlook);
}

static struct outlook_row *find(struct outlook *outlook, const char *network)
{
	for (size_t i = 0; i < outlook->count; i++) {
		if (strcmp(outlook->rows[i].network, network) == 0)
			return &outlook->rows[i];
	}
	return NULL;
}

static struct outlook_row *add(struct outlook *outlook, const char *network, int64_t now_us)
{
	struct outlook_row *row;

	outlook->rows = must_realloc(outlook->rows, (outlook->count + 1) * sizeof *outlook->rows);
	row = &outlook->rows[outlook->count++];
	*row = (struct outlook_row){.result = CHAIN_OK, .since_us = now_us};
	snprintf(row->network, sizeof row->network, "%s", network);
	return row;
}

bool outlook_note(struct outlook *outlook, const char *network, enum chain_result result,
    const char *reason, int64_t now_us)
{
	struct outlook_row *row;
	bool changed;

	must(pthread_mutex_lock(&outlook->lock) == 0);
	row = find(outlook, network);
	if (!row)
		row = add(outlook, network, now_us);
	changed = row->result != result;
	if (changed)
		row->since_us = now_us;
	row->result = result;
	row->at_us = now_us;
	snprintf(row->reason, sizeof row->reason, "%s", result == CHAIN_OK ? "" : reason);
	must(pthread_mutex_unlock(&outlook->lock) == 0);
	return changed;
}

void outlook_forget(struct outlook *outlook, const char *network)
{
	struct outlook_row *row;

	must(pthread_mutex_lock(&outlook->lock) == 0);
	row = find(outlook, network);
	if (row)
		*row = outlook->rows[--outlook->count];
	must(pthread_mutex_unlock(&outlook->lock) == 0);
}

bool outlook_of(struct outlook_row *out, struct outlook *outlook, const char *network)
{
	struct outlook_row *row;

	must(pthread_mutex_lock(&outlook->lock) == 0);
	row = find(outlook, network);
	if (row)
		*out = *row;
	must(pthread_mutex_unlock(&outlook->lock) == 0);
	return row != NULL;
}

void outlook_each(struct outlook *outlook, outlook_each_fn *each, void *arg)
{
	must(pthread_mutex_lock(&outlook->lock) == 0);
	for (size_t i = 0; i < outlook->count; i++)
		each(&outlook->rows[i], arg);
	must(pthread_mutex_unlock(&outlook->lock) == 0);
}
