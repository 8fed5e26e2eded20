/* proxy/idempotency.h - keys whose call is in flight at this moment.
 *
 * What a key led to is in the store; this table only keeps two requests with one key from
 * running side by side. */
#ifndef PROXY_IDEMPOTENCY_H
#define PROXY_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

/* RFC draft-ietf-httpapi-idempotency-key-header leaves the length open; 255 is what the
 * large payment APIs allow. */
#define IDEMPOTENCY_KEY_MAX 255u

struct idempotency;

struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency **table);
/** 1..255 printable ASCII characters. */
bool idempotency_key_valid(const char *key);
/** False when a call with this agent and key is in flight. */
bool idempotency_enter(struct idempotency *table, int64_t agent, const char *key) MUST_CHECK;
void idempotency_leave(struct idempotency *table, int64_t agent, const char *key);

#endif
