#include "proxy/quote.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/table.h"

/* Agents choose paths, so the key is a digest: entries have one size whatever they send. */
struct quote {
	uint8_t key[16];
	int64_t micros;
	UT_hash_handle hh;
};

struct quotes {
	pthread_mutex_t lock;
	struct quote *table; /* in the order noted: the first is the oldest */
	size_t count_max;
};

struct quotes *quotes_new(size_t count_max)
{
	struct quotes *quotes = must_calloc(1, sizeof *quotes);

	must(count_max > 0);
	quotes->count_max = count_max;
	must(pthread_mutex_init(&quotes->lock, NULL) == 0);
	return quotes;
}

void quotes_free(struct quotes **quotes_p)
{
	struct quotes *quotes = *quotes_p;
	struct quote *quote, *next;

	*quotes_p = NULL;
	if (!quotes)
		return;
	HASH_ITER (hh, quotes->table, quote, next) {
		HASH_DEL(quotes->table, quote);
		free(quote);
	}
	pthread_mutex_destroy(&quotes->lock);
	free(quotes);
}

static void make_key(uint8_t key[16], const char *tool, const char *method, const char *path)
{
	struct sha256 *running = sha256_new();
	struct digest digest;

	sha256_add(running, tool, strlen(tool) + 1);
	sha256_add(running, method, strlen(method) + 1);
	sha256_add(running, path, strcspn(path, "?"));
	digest = sha256_done(&running);
	memcpy(key, digest.bytes, 16);
}

void quotes_note(
    struct quotes *quotes, const char *tool, const char *method, const char *path, int64_t micros)
{
	struct quote *quote;
	uint8_t key[16];

	make_key(key, tool, method, path);
	must(pthread_mutex_lock(&quotes->lock) == 0);
	HASH_FIND(hh, quotes->table, key, sizeof key, quote);
	if (quote) {
		HASH_DEL(quotes->table, quote);
	} else if (HASH_COUNT(quotes->table) >= quotes->count_max) {
		quote = quotes->table;
		HASH_DEL(quotes->table, quote);
	} else {
		quote = must_calloc(1, sizeof *quote);
	}
	/* Behind all others: now the youngest. */
	memcpy(quote->key, key, sizeof key);
	HASH_ADD(hh, quotes->table, key, sizeof quote->key, quote);
	quote->micros = micros;
	must(pthread_mutex_unlock(&quotes->lock) == 0);
}

bool quotes_last(int64_t *out_micros, struct quotes *quotes, const char *tool, const char *method,
    const char *path)
{
	struct quote *quote;
	uint8_t key[16];

	make_key(key, tool, method, path);
	must(pthread_mutex_lock(&quotes->lock) == 0);
	HASH_FIND(hh, quotes->table, key, sizeof key, quote);
	if (quote)
		*out_micros = quote->micros;
	must(pthread_mutex_unlock(&quotes->lock) == 0);
	return quote != NULL;
}
