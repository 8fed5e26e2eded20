#include "proxy/quote.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/table.h"

struct quote {
	struct quote_key key;
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

struct quote_key quote_key(const char *tool, const char *method, const char *path)
{
	struct sha256 *running = sha256_new();
	struct quote_key key;
	struct digest digest;

	sha256_add(running, tool, strlen(tool) + 1);
	sha256_add(running, method, strlen(method) + 1);
	sha256_add(running, path, strcspn(path, "?"));
	digest = sha256_done(&running);
	memcpy(key.bytes, digest.bytes, sizeof key.bytes);
	return key;
}

/* Behind all others; in a full table the oldest makes room. */
static struct quote *make_youngest(
    struct quotes *quotes, struct quote *quote, const struct quote_key *key)
{
	if (quote) {
		HASH_DEL(quotes->table, quote);
	} else if (HASH_COUNT(quotes->table) >= quotes->count_max) {
		quote = quotes->table;
		HASH_DEL(quotes->table, quote);
	} else {
		quote = must_calloc(1, sizeof *quote);
	}
	quote->key = *key;
	HASH_ADD(hh, quotes->table, key, sizeof quote->key, quote);
	return quote;
}

void quotes_note(struct quotes *quotes, const struct quote_key *key, int64_t micros)
{
	struct quote *quote;

	must(pthread_mutex_lock(&quotes->lock) == 0);
	HASH_FIND(hh, quotes->table, key, sizeof *key, quote);
	if (!quote || quote->hh.next)
		quote = make_youngest(quotes, quote, key);
	quote->micros = micros;
	must(pthread_mutex_unlock(&quotes->lock) == 0);
}

bool quotes_last(int64_t *out_micros, struct quotes *quotes, const struct quote_key *key)
{
	struct quote *quote;

	must(pthread_mutex_lock(&quotes->lock) == 0);
	HASH_FIND(hh, quotes->table, key, sizeof *key, quote);
	if (quote)
		*out_micros = quote->micros;
	must(pthread_mutex_unlock(&quotes->lock) == 0);
	return quote != NULL;
}
