#include "proxy/reserve.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

_Static_assert(
    (int)LIMIT_SCOPE_SESSION == (int)PURSE_SESSION && (int)LIMIT_SCOPE_AGENT == (int)PURSE_AGENT &&
	(int)LIMIT_SCOPE_WALLET == (int)PURSE_WALLET && (int)LIMIT_SCOPE_TOOL == (int)PURSE_TOOL &&
	(int)LIMIT_SCOPE_PAYEE == (int)PURSE_PAYEE,
    "a limit's scope is a purse's subject");

/* Most policies have a handful of limits; beyond these the heap is asked. */
#define LIMITS_INLINE 32u

/* The limits that speak about a call, with room for their totals: one snapshot under the lock. */
struct view {
	size_t count;
	const struct limit **limits;
	struct limit_total *totals;
	const struct limit *limits_inline[LIMITS_INLINE];
	struct limit_total totals_inline[LIMITS_INLINE];
};

/* Who is asked about: a session, a tool and, once it is known, a payee. */
struct asked {
	const char *session, *tool, *payee;
};

static const char *subject_name(const struct limit *limit, const struct asked *asked)
{
	switch (limit->scope) {
	case LIMIT_SCOPE_SESSION:
		return asked->session;
	case LIMIT_SCOPE_AGENT:
	case LIMIT_SCOPE_WALLET:
		return NULL;
	case LIMIT_SCOPE_TOOL:
		return limit->target ? limit->target : asked->tool;
	case LIMIT_SCOPE_PAYEE:
		return limit->target ? limit->target : asked->payee;
	}
	must(!"a scope we know");
	return NULL;
}

/* own: this call's own provisional hold, which must not stand in its own way. */
static struct limit_total total_of(
    const struct limit *limit, struct purse_reading reading, int64_t own)
{
	struct limit_total total = {reading.firm, 0, reading.resets_us};

	if (limit->measure == LIMIT_SPEND && limit->scope != LIMIT_SCOPE_PAYEE)
		total.provisional = reading.provisional - own;
	return total;
}

/* With the time at which it gives something back. */
static struct limit_total total_read(struct purse *purse, const struct limit *limit,
    const struct asked *asked, int64_t at_us, int64_t own)
{
	if (limit->window == WINDOW_CALL)
		return (struct limit_total){0, 0, 0};
	return total_of(limit,
	    purse_read(purse, (enum purse_subject)limit->scope, subject_name(limit, asked),
		limit->window, limit->measure == LIMIT_CALLS, at_us),
	    own);
}

/* Is the limit about others than the call's own subjects as well? */
static bool is_of_others(const struct limit *limit, const struct asked *asked)
{
	if (limit->target == NULL)
		return false;
	if (limit->scope == LIMIT_SCOPE_TOOL)
		return strcmp(limit->target, asked->tool) != 0;
	return limit->scope == LIMIT_SCOPE_PAYEE && strcmp(limit->target, asked->payee) != 0;
}

/* The same without that time, which takes longer to find. subjects: of those asked about. */
static struct limit_total total_sum(struct purse *purse, const struct purse_subjects *subjects,
    const struct limit *limit, const struct asked *asked, int64_t at_us, int64_t own)
{
	enum purse_subject subject = (enum purse_subject)limit->scope;
	bool calls = limit->measure == LIMIT_CALLS;

	if (limit->window == WINDOW_CALL)
		return (struct limit_total){0, 0, 0};
	if (is_of_others(limit, asked))
		return total_of(limit,
		    purse_sum(purse, subject, limit->target, limit->window, calls, at_us), own);
	return total_of(
	    limit, purse_subject_sum(subjects, subject, limit->window, calls, at_us), own);
}

static void view_init(
    struct view *view, const struct policy *policy, const struct asked *asked, bool metered)
{
	view->limits = view->limits_inline;
	view->totals = view->totals_inline;
	view->count = policy_limits(
	    view->limits, LIMITS_INLINE, policy, asked->tool, asked->payee, metered);
	if (view->count > LIMITS_INLINE) {
		view->limits = must_calloc(view->count, sizeof *view->limits);
		view->totals = must_calloc(view->count, sizeof *view->totals);
		policy_limits(
		    view->limits, view->count, policy, asked->tool, asked->payee, metered);
	}
}

static void view_fini(struct view *view)
{
	if (view->limits != view->limits_inline) {
		free(view->limits);
		free(view->totals);
	}
}

/* A call is counted once in each subject: for agent, session and tool when it is admitted, for
 * wallet and payee when it is signed. A limit of calls speaks at that moment only. */
static void view_keep_stage(struct view *view, enum reserve_stage stage)
{
	size_t kept = 0;

	for (size_t i = 0; i < view->count; i++) {
		const struct limit *limit = view->limits[i];
		bool at_sign =
		    limit->scope == LIMIT_SCOPE_WALLET || limit->scope == LIMIT_SCOPE_PAYEE;

		if (limit->measure == LIMIT_CALLS && at_sign != (stage == RESERVE_EXACT))
			continue;
		view->limits[kept++] = limit;
	}
	view->count = kept;
}

static struct asked asked_of(const struct reservation *r)
{
	return (struct asked){r->session, r->tool, r->payee};
}

static struct decision ask_limits(
    const struct reservation *r, int64_t spend, bool may_shrink, int64_t own)
{
	struct decide_request request = {
	    .spend = spend, .may_shrink = may_shrink, .count_call = true};
	struct purse *purse = r->agent->purse;
	struct asked asked = asked_of(r);
	struct purse_subjects subjects;
	struct decision decision;
	struct view view;

	view_init(&view, r->policy->policy, &asked, r->stage == RESERVE_METERED);
	view_keep_stage(&view, r->stage);
	subjects = purse_find(purse, asked.session, asked.tool, asked.payee);
	for (size_t i = 0; i < view.count; i++)
		view.totals[i] =
		    total_sum(purse, &subjects, view.limits[i], &asked, r->at_us, own);
	decision = decide(&request, view.limits, view.totals, view.count);
	view_fini(&view);
	/* A refusal says when to come again. */
	if (decision.verdict != DECIDE_ALLOW)
		decision.resets_us =
		    total_read(purse, decision.limit, &asked, r->at_us, own).resets_us;
	return decision;
}

static enum reserve_result from_verdict(enum decide_verdict verdict)
{
	switch (verdict) {
	case DECIDE_ALLOW:
		return RESERVE_OK;
	case DECIDE_WAIT:
		return RESERVE_WAITING;
	case DECIDE_DENY:
		return RESERVE_OVER_LIMIT;
	}
	must(!"a verdict we know");
	return RESERVE_OVER_LIMIT;
}

static enum reserve_result from_hold(enum hold_result result)
{
	switch (result) {
	case HOLD_OK:
		return RESERVE_OK;
	case HOLD_BUSY:
		return RESERVE_WAITING;
	case HOLD_NO_FUNDS:
		return RESERVE_NO_FUNDS;
	}
	must(!"a result we know");
	return RESERVE_NO_FUNDS;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Before the quote: the most this call may cost, never more than what is left in the
 * limits and in the wallet. */
static enum reserve_result try_provisional(struct reservation *r)
{
	int64_t available = purse_available(r->agent->purse), amount;
	enum reserve_result result;

	r->decision = ask_limits(r, r->spend, true, 0);
	result = from_verdict(r->decision.verdict);
	if (result != RESERVE_OK)
		return result;
	if (r->spend > 0 && available == 0)
		return RESERVE_NO_FUNDS;
	amount = least(r->decision.granted, available);
	result =
	    from_hold(hold_place(&r->hold, r->agent->purse, r->session, r->tool, r->at_us, amount));
	if (result == RESERVE_OK)
		r->held = amount;
	return result;
}

/* The quote has arrived: all of it, or nothing. A call that must wait gives its provisional
 * money back meanwhile, or two calls could wait for each other for ever. */
static enum reserve_result try_exact(struct reservation *r)
{
	enum reserve_result result;

	r->decision = ask_limits(r, r->spend, false, r->held);
	result = from_verdict(r->decision.verdict);
	if (result == RESERVE_OK)
		result = from_hold(hold_sign(&r->hold, r->slot, r->payee, r->spend));
	if (result == RESERVE_OK)
		r->held = 0;
	if (result == RESERVE_WAITING && r->held > 0) {
		must(hold_resize(&r->hold, 0) == HOLD_OK);
		r->held = 0;
	}
	return result;
}

static enum reserve_result try_metered(struct reservation *r)
{
	enum reserve_result result;

	r->decision = ask_limits(r, r->spend, false, 0);
	result = from_verdict(r->decision.verdict);
	if (result == RESERVE_OK)
		hold_place_metered(
		    &r->hold, r->agent->purse, r->session, r->tool, r->at_us, r->spend);
	return result;
}

/* The owner may have changed the policy since the call began, or while it waited. */
static void take_policy(struct reservation *r)
{
	struct policy_ref *now = registry_policy(r->registry, r->agent);

	policy_unref(&r->policy);
	r->policy = now;
}

static enum reserve_result try_stage(struct reservation *r)
{
	take_policy(r);
	switch (r->stage) {
	case RESERVE_PROVISIONAL:
		return try_provisional(r);
	case RESERVE_EXACT:
		return try_exact(r);
	case RESERVE_METERED:
		return try_metered(r);
	}
	must(!"a stage we know");
	return RESERVE_OVER_LIMIT;
}

/* --- the waiting line --------------------------------------------------- */

/* Calls with a quote in hand stand before those without: they end sooner, and free what
 * the others wait for. Among equals, first come first served. */
static void line_join(struct reservation *r)
{
	struct agent *agent = r->agent;
	struct reservation *before = agent->waiting_first;

	while (before && (r->stage != RESERVE_EXACT || before->stage == RESERVE_EXACT))
		before = before->next;
	r->next = before;
	r->previous = before ? before->previous : agent->waiting_last;
	if (r->previous)
		r->previous->next = r;
	else
		agent->waiting_first = r;
	if (before)
		before->previous = r;
	else
		agent->waiting_last = r;
	agent->waiting_count++;
	r->waiting = true;
}

static void line_leave(struct reservation *r)
{
	struct agent *agent = r->agent;

	if (r->previous)
		r->previous->next = r->next;
	else
		agent->waiting_first = r->next;
	if (r->next)
		r->next->previous = r->previous;
	else
		agent->waiting_last = r->previous;
	r->next = r->previous = NULL;
	agent->waiting_count--;
	r->waiting = false;
}

/* In turn, until one has to go on waiting. */
static void line_move(struct agent *agent)
{
	struct reservation *r;

	while ((r = agent->waiting_first) != NULL) {
		enum reserve_result result = try_stage(r);

		if (result == RESERVE_WAITING)
			return;
		line_leave(r);
		r->result = result;
		r->note.run = r->resolved;
		r->note.arg = r->arg;
		mailbox_post(r->mailbox, &r->note);
	}
}

/* A call that asks for money does not overtake those that wait for it. */
static bool must_queue(const struct reservation *r)
{
	return r->agent->waiting_first != NULL && r->spend > 0 && r->stage != RESERVE_EXACT;
}

enum reserve_result reserve_ask(struct reservation *r, enum reserve_stage stage)
{
	enum reserve_result result;
	bool gave_back;

	r->stage = stage;
	purses_lock(r->purses);
	gave_back = r->held > 0;
	result = must_queue(r) ? RESERVE_WAITING : try_stage(r);
	gave_back = gave_back && r->held == 0;
	if (result == RESERVE_WAITING) {
		if (r->agent->waiting_count >= r->waiting_max)
			result = RESERVE_CROWDED;
		else
			line_join(r);
	}
	r->result = result;
	/* A smaller price than was held, or a hold given back, may let others in; the head of
	 * the line may now even be this call. */
	if (gave_back)
		line_move(r->agent);
	purses_unlock(r->purses);
	return result;
}

void reserve_fini(struct reservation *r)
{
	policy_unref(&r->policy);
}

bool reserve_stop_waiting(struct reservation *r)
{
	bool was_waiting;

	purses_lock(r->purses);
	was_waiting = r->waiting;
	if (was_waiting) {
		line_leave(r);
		line_move(r->agent);
	}
	purses_unlock(r->purses);
	return was_waiting;
}

static void end_with(struct reservation *r, void (*end)(struct hold *hold))
{
	purses_lock(r->purses);
	end(&r->hold);
	r->held = 0;
	line_move(r->agent);
	purses_unlock(r->purses);
}

void reserve_release(struct reservation *r)
{
	end_with(r, hold_release);
}

void reserve_unsign(struct reservation *r)
{
	end_with(r, hold_unsign);
}

void reserve_settle(struct reservation *r)
{
	end_with(r, hold_settle);
}

void reserve_leave_open(struct reservation *r)
{
	end_with(r, hold_leave_open);
}

void reserve_charge(struct reservation *r)
{
	end_with(r, hold_charge);
}

void reserve_give_back(struct reservation *r)
{
	end_with(r, hold_give_back);
}

void reserve_retry(struct purses *purses, struct agent *agent)
{
	purses_lock(purses);
	line_move(agent);
	purses_unlock(purses);
}

/* --- reading ------------------------------------------------------------- */

int64_t reserve_remaining(struct reservation *r)
{
	struct purse *purse = r->agent->purse;
	struct asked asked = asked_of(r);
	struct purse_subjects subjects;
	struct view view;
	int64_t remaining;

	purses_lock(r->purses);
	remaining = r->stage == RESERVE_METERED ? INT64_MAX : purse_free(purse);
	view_init(&view, r->policy->policy, &asked, r->stage == RESERVE_METERED);
	subjects = purse_find(purse, asked.session, asked.tool, asked.payee);
	for (size_t i = 0; i < view.count; i++) {
		const struct limit *limit = view.limits[i];
		struct limit_total total;
		int64_t left;

		if (limit->measure != LIMIT_SPEND || limit->window == WINDOW_CALL)
			continue;
		total = total_sum(purse, &subjects, limit, &asked, r->at_us, 0);
		left = limit->max - total.firm - total.provisional;
		remaining = least(remaining, left > 0 ? left : 0);
	}
	purses_unlock(r->purses);
	view_fini(&view);
	return remaining;
}

static struct limit_reading reading_of(
    const struct limit *limit, struct limit_total total, int64_t at_us)
{
	struct limit_reading reading = {limit, 0, total, at_us};

	if (__builtin_add_overflow(total.firm, total.provisional, &reading.used))
		reading.used = INT64_MAX;
	return reading;
}

size_t reserve_explain(struct decision *out, struct limit_reading *readings, size_t readings_max,
    struct purses *purses, const struct agent *agent, const struct policy *policy,
    const char *session, const char *tool, const char *payee, bool metered, int64_t spend,
    int64_t now_us)
{
	struct decide_request request = {.spend = spend, .may_shrink = false, .count_call = true};
	struct asked asked = {session, tool, payee};
	struct view view;
	size_t count;

	view_init(&view, policy, &asked, metered);
	/* Unreadable it is told as unused: nothing is decided by it. */
	(void)!purse_recall(agent->purse);
	purses_lock(purses);
	for (size_t i = 0; i < view.count; i++)
		view.totals[i] = total_read(agent->purse, view.limits[i], &asked, now_us, 0);
	purses_unlock(purses);
	*out = decide(&request, view.limits, view.totals, view.count);
	count = view.count;
	for (size_t i = 0; i < view.count && i < readings_max; i++)
		readings[i] = reading_of(view.limits[i], view.totals[i], now_us);
	view_fini(&view);
	return count;
}

struct limit_reading reserve_read(struct purses *purses, const struct agent *agent,
    const struct limit *limit, const char *session, const char *tool, const char *payee,
    int64_t now_us)
{
	struct asked asked = {session, tool, payee};
	struct limit_total total;

	(void)!purse_recall(agent->purse);
	purses_lock(purses);
	total = total_read(agent->purse, limit, &asked, now_us, 0);
	purses_unlock(purses);
	return reading_of(limit, total, now_us);
}
