#include "proxy/idempotency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/table.h"

struct key {
	char *text;                             /* agent id, '/', key */
	struct idempotency_turn *first, **last; /* who waits for it */
	UT_hash_handle hh;
};

struct idempotency {
	pthread_mutex_t lock;
	struct key *keys;
};

struct idempotency *idempotency_new(void)
{
	struct idempotency *table = must_calloc(1, sizeof *table);

	must(pthread_mutex_init(&table->lock, NULL) == 0);
	return table;
}

void idempotency_free(struct idempotency **table_p)
{
	struct idempotency *table = *table_p;
	struct key *key, *next;

	*table_p = NULL;
	if (!table)
		return;
	HASH_ITER (hh, table->keys, key, next) {
		HASH_DEL(table->keys, key);
		free(key->text);
		free(key);
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
}

bool idempotency_key_valid(const char *key)
{
	size_t size = strlen(key);

	if (size == 0 || size > IDEMPOTENCY_KEY_MAX)
		return false;
	for (const char *at = key; *at; at++) {
		if (*at < 0x20 || *at > 0x7e)
			return false;
	}
	return true;
}

bool idempotency_enter(
    struct idempotency *table, int64_t agent, const char *text, struct idempotency_turn *turn)
{
	char *name = must_format("%lld/%s", (long long)agent, text);
	struct key *key;
	bool entered;

	must(pthread_mutex_lock(&table->lock) == 0);
	HASH_FIND_STR(table->keys, name, key);
	entered = key == NULL;
	if (entered) {
		key = must_calloc(1, sizeof *key);
		key->text = name;
		key->last = &key->first;
		name = NULL;
		HASH_ADD_KEYPTR(hh, table->keys, key->text, strlen(key->text), key);
	} else {
		turn->next = NULL;
		*key->last = turn;
		key->last = &turn->next;
	}
	must(pthread_mutex_unlock(&table->lock) == 0);
	free(name);
	return entered;
}

bool idempotency_give_up(
    struct idempotency *table, int64_t agent, const char *text, struct idempotency_turn *turn)
{
	char *name = must_format("%lld/%s", (long long)agent, text);
	struct idempotency_turn **at;
	struct key *key;
	bool found = false;

	must(pthread_mutex_lock(&table->lock) == 0);
	HASH_FIND_STR(table->keys, name, key);
	for (at = key ? &key->first : NULL; at && *at && !found; at = found ? at : &(*at)->next) {
		found = *at == turn;
		if (found) {
			*at = turn->next;
			if (key->last == &turn->next)
				key->last = at;
		}
	}
	must(pthread_mutex_unlock(&table->lock) == 0);
	free(name);
	return found;
}

void idempotency_leave(struct idempotency *table, int64_t agent, const char *text)
{
	char *name = must_format("%lld/%s", (long long)agent, text);
	struct idempotency_turn *turn;
	struct key *key;

	must(pthread_mutex_lock(&table->lock) == 0);
	HASH_FIND_STR(table->keys, name, key);
	must(key != NULL);
	turn = key->first;
	if (turn) {
		key->first = turn->next;
		if (key->last == &turn->next)
			key->last = &key->first;
		mailbox_post(turn->mailbox, &turn->note);
	} else {
		HASH_DEL(table->keys, key);
		free(key->text);
		free(key);
	}
	must(pthread_mutex_unlock(&table->lock) == 0);
	free(name);
}
