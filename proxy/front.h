/* proxy/front.h - the agents' side: which request goes where. */
#ifndef PROXY_FRONT_H
#define PROXY_FRONT_H

#include "proxy/exchange.h"

/** Events for a worker's listener; arg is the struct worker. */
extern const struct exchange_events front_events;

struct house;
/** /healthz and /readyz, for both sides. False when the target is neither. */
bool front_health(struct house *house, bool draining, struct exchange *exchange);
void front_reply_json(struct exchange *exchange, int status, const char *type, const char *text);

#endif
