#include "proxy/front.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/call.h"
#include "proxy/historian.h"
#include "proxy/identify.h"
#include "proxy/rooms.h"
#include "proxy/view.h"
#include "proxy/worker.h"

/* Somebody calls, if a call was let through within so long. */
#define ADMITTED_US 100000
/* A refusal costs a worker some 60 us, and there is one in such a pause (a few, from who calls
 * for the first time): most of its time is left to the others, and of the writer's. */
#define PAUSE_ADMITTED_US 1000u
/* So many batches are a few milliseconds of the writer's time, which is what a signature may
 * have to wait for behind them; the pause is such that any disk keeps up. */
#define QUEUED_MAX      256u
#define PAUSE_QUEUED_US 5000u

static const char unreadable_past[] = "what this agent has spent cannot be read from the ledger";

void front_reply_json(struct exchange *exchange, int status, const char *type, const char *text)
{
	struct headers headers;

	headers_init(&headers);
	headers_put(&headers, "Content-Type", type);
	headers_put(&headers, "Cache-Control", "no-store");
	if (status == 401)
		headers_put(&headers, "WWW-Authenticate", "Bearer realm=\"tallyward\"");
	exchange_reply(exchange, status, &headers, text, strlen(text));
	headers_fini(&headers);
}

static void reply_problem(struct exchange *exchange, enum problem problem, const char *detail)
{
	struct problem_body body = {.problem = problem, .detail = detail};
	char *text = problem_format(&body);

	exchange_refuse(exchange);
	front_reply_json(exchange, problem_status(problem), "application/problem+json", text);
	free(text);
}

static void reply_json(struct exchange *exchange, int status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	must(text != NULL);
	front_reply_json(exchange, status, "application/json", text);
	free(text);
	json_decref(value);
}

/* The target without its query is exactly this path. */
static bool target_is(const struct exchange *exchange, const char *path)
{
	const char *target = exchange_target(exchange);
	size_t size = strcspn(target, "?");

	return strlen(path) == size && memcmp(target, path, size) == 0;
}

/* Its user is a call then, else who waits for GET /v1/me. */
static bool is_call(const struct exchange *exchange)
{
	return strncmp(exchange_target(exchange), "/t/", 3) == 0;
}

static bool is_read(const struct exchange *exchange)
{
	return strcmp(exchange_method(exchange), "GET") == 0 ||
	       strcmp(exchange_method(exchange), "HEAD") == 0;
}

bool front_health(struct house *house, bool draining, struct exchange *exchange)
{
	char reason[256] = "";
	bool ready;

	if (!is_read(exchange))
		return false;
	if (target_is(exchange, "/healthz")) {
		reply_json(exchange, 200, json_pack("{s:s}", "status", "ok"));
		return true;
	}
	if (!target_is(exchange, "/readyz"))
		return false;
	ready = house_ready(house, reason);
	if (ready && draining) {
		ready = false;
		snprintf(reason, sizeof reason, "stopping: calls in flight are being finished");
	}
	if (ready)
		reply_json(exchange, 200, json_pack("{s:s}", "status", "ready"));
	else
		reply_json(exchange, 503,
		    json_pack("{s:s, s:s}", "status", "not_accepting_payments", "reason", reason));
	return true;
}

/* --- GET /v1/me --------------------------------------------------------------------- */

/* It tells what was spent, so it waits for the agent's past as a call does. */
struct me {
	struct worker *worker;
	struct exchange *exchange; /* NULL: the agent has gone */
	struct identity who;
	struct historian_turn past;
	struct event *limit; /* of the waiting */
};

static void reply_me(struct worker *worker, struct exchange *exchange, const struct identity *who)
{
	struct house *house = worker->house;
	struct policy_ref *policy = registry_policy(house->registry, who->agent);

	reply_json(exchange, 200,
	    json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "agent", who->agent->name, "owner",
		who->agent->owner, "session", who->claims.session, "expires_at",
		view_time(who->claims.expires_s * CLOCK_US_PER_S), "tools",
		view_tools(house, policy->policy), "limits",
		view_limits(house, who->agent, policy->policy, who->claims.session,
		    clock_now_us()),
		"wallet", view_wallet(house, who->agent)));
	policy_unref(&policy);
}

static void me_free(struct me *me)
{
	event_free(me->limit);
	free(me);
}

static void on_past(void *arg)
{
	struct me *me = arg;

	if (me->exchange) {
		exchange_set_user(me->exchange, NULL);
		if (me->past.known)
			reply_me(me->worker, me->exchange, &me->who);
		else
			reply_problem(me->exchange, PROBLEM_NOT_ACCEPTING_PAYMENTS,
			    unreadable_past);
	}
	me_free(me);
}

/* False: on_past runs next. */
static bool stop_waiting(struct me *me)
{
	return historian_give_up(me->worker->house->historian, me->who.agent, &me->past);
}

static void on_waited_long(evutil_socket_t fd, short what, void *arg)
{
	struct me *me = arg;

	(void)fd;
	(void)what;
	if (!stop_waiting(me))
		return;
	exchange_set_user(me->exchange, NULL);
	reply_problem(me->exchange, PROBLEM_NOT_ACCEPTING_PAYMENTS,
	    "what this agent has spent is still being read from the ledger: try again");
	me_free(me);
}

static void on_gone(struct me *me)
{
	me->exchange = NULL;
	if (stop_waiting(me))
		me_free(me);
	else
		evtimer_del(me->limit);
}

static enum historian_result ask_past(
    struct worker *worker, struct exchange *exchange, const struct identity *who)
{
	int64_t ms = house_config(worker->house)->waiting_ms_max;
	struct timeval limit = {ms / 1000, (ms % 1000) * 1000};
	struct me *me = must_calloc(1, sizeof *me);
	enum historian_result result;

	me->worker = worker;
	me->exchange = exchange;
	me->who = *who;
	me->past.mailbox = worker->mailbox;
	me->past.note.run = on_past;
	me->past.note.arg = me;
	me->limit = evtimer_new(worker->base, on_waited_long, me);
	must(me->limit != NULL);
	result = historian_ask(worker->house->historian, who->agent, &me->past);
	if (result == HISTORIAN_WAITING) {
		exchange_set_user(exchange, me);
		must(evtimer_add(me->limit, &limit) == 0);
	} else {
		me_free(me);
	}
	return result;
}

static void on_me(struct worker *worker, struct exchange *exchange)
{
	struct identity who;
	const char *detail;
	enum problem problem = identify(&who, &detail, worker->house, worker->tokens,
	    exchange_headers(exchange), clock_now_us() / CLOCK_US_PER_S);

	if (problem != PROBLEM_NONE) {
		reply_problem(exchange, problem, detail);
		return;
	}
	switch (ask_past(worker, exchange, &who)) {
	case HISTORIAN_KNOWN:
		reply_me(worker, exchange, &who);
		break;
	case HISTORIAN_WAITING:
		break;
	case HISTORIAN_UNREADABLE:
		reply_problem(exchange, PROBLEM_NOT_ACCEPTING_PAYMENTS, unreadable_past);
		break;
	}
}

static void on_head(struct exchange *exchange, void *arg)
{
	struct worker *worker = arg;

	if (is_call(exchange))
		call_begin(worker, exchange);
	else if (is_read(exchange) && target_is(exchange, "/v1/me"))
		on_me(worker, exchange);
	else if (!front_health(worker->house, atomic_load(&worker->shared->draining), exchange))
		reply_problem(exchange, PROBLEM_NOT_FOUND,
		    "there are /t/{tool}/{path}, GET /v1/me, GET /healthz and GET /readyz");
}

static void on_body(struct exchange *exchange, const void *bytes, size_t size, void *arg)
{
	(void)arg;
	if (exchange_user(exchange) && is_call(exchange))
		call_on_body(exchange_user(exchange), bytes, size);
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	(void)arg;
	if (exchange_user(exchange) && is_call(exchange))
		call_on_body_end(exchange_user(exchange));
}

static void on_writable(struct exchange *exchange, void *arg)
{
	(void)arg;
	if (exchange_user(exchange) && is_call(exchange))
		call_on_writable(exchange_user(exchange));
}

static void on_finished(struct exchange *exchange, bool completed, void *arg)
{
	(void)arg;
	if (!exchange_user(exchange))
		return;
	if (is_call(exchange))
		call_on_finished(exchange_user(exchange), completed);
	else
		on_gone(exchange_user(exchange));
}

/* Who waits for a turn has nothing but refusals to show. They may take what the machine can
 * give, unless somebody's calls are let through, here or in another worker; and they may never
 * make rows faster than the writer writes them. */
static uint32_t pause_us(void *arg)
{
	const struct worker *worker = arg;
	int64_t since_us = clock_mono_us() - atomic_load_explicit(&worker->shared->admitted_us,
						 memory_order_relaxed);

	if (store_queued(worker->house->store) > QUEUED_MAX)
		return PAUSE_QUEUED_US;
	return since_us < ADMITTED_US ? PAUSE_ADMITTED_US : 0;
}

const struct exchange_events front_events = {
    on_head, on_body, on_body_end, on_writable, on_finished, pause_us};
