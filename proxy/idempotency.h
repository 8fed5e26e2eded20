/* proxy/idempotency.h - keys whose call is in flight at this moment.
 *
 * What a key led to is in the store; this table only keeps two requests with one key from
 * running side by side: the second waits until the first has written its answer down. */
#ifndef PROXY_IDEMPOTENCY_H
#define PROXY_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"
#include "proxy/mailbox.h"

/* RFC draft-ietf-httpapi-idempotency-key-header leaves the length open; 255 is what the
 * large payment APIs allow. */
#define IDEMPOTENCY_KEY_MAX 255u

struct idempotency;

struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency **table);
/** 1..255 printable ASCII characters. */
bool idempotency_key_valid(const char *key);

/* In the caller's storage, while it waits for a key. */
struct idempotency_turn {
	struct idempotency_turn *next;
	struct mailbox *mailbox;
	struct note note; /* run and arg are the caller's: posted when the key is handed over */
};

/** idempotency_enter - true: the key is the caller's, until idempotency_leave(). False: a call
 * with this agent and key is in flight; `turn` waits in line, and its note will be posted
 * when the key has become the caller's. */
bool idempotency_enter(struct idempotency *table, int64_t agent, const char *key,
    struct idempotency_turn *turn) MUST_CHECK;
/** Stop waiting. True: no note will come. False: the key is the caller's already, and the
 * note is on its way. */
bool idempotency_give_up(struct idempotency *table, int64_t agent, const char *key,
    struct idempotency_turn *turn) MUST_CHECK;
/** The key goes to whoever waits longest. */
void idempotency_leave(struct idempotency *table, int64_t agent, const char *key);

#endif
