/* proxy/call.h - the life of a call, from the agent's head to the last audit row. */
#ifndef PROXY_CALL_H
#define PROXY_CALL_H

#include "proxy/exchange.h"

struct worker;
struct call;

/** An exchange whose target begins with "/t/" becomes a call. The call is the exchange's
 * user pointer from then on, and the four callbacks below belong to it. */
void call_begin(struct worker *worker, struct exchange *exchange);

void call_on_body(struct call *call, const void *bytes, size_t size);
void call_on_body_end(struct call *call);
void call_on_writable(struct call *call);
void call_on_finished(struct call *call, bool completed);

#endif
