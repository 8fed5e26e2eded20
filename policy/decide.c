/* policy/decide.c - compare one request with every limit that applies.
 *
 * Two questions are put to each limit: is there room beside what is firm (if not,
 * waiting cannot help: deny), and is there room beside the provisional holds of
 * other calls too (if not: wait for them to become firm or go away). */
#include "policy/decide.h"

#include "common/must.h"

const char *decide_code_str(enum decide_code code)
{
	switch (code) {
	case DECIDE_CODE_NONE:
		return "none";
	case DECIDE_CODE_OVER_CALL_LIMIT:
		return "over_call_limit";
	case DECIDE_CODE_OVER_SESSION_LIMIT:
		return "over_session_limit";
	case DECIDE_CODE_OVER_TOTAL_LIMIT:
		return "over_total_limit";
	case DECIDE_CODE_OVER_MONTH_LIMIT:
		return "over_month_limit";
	case DECIDE_CODE_OVER_DAY_LIMIT:
		return "over_day_limit";
	case DECIDE_CODE_OVER_HOUR_LIMIT:
		return "over_hour_limit";
	case DECIDE_CODE_OVER_MINUTE_LIMIT:
		return "over_minute_limit";
	case DECIDE_CODE_RATE_LIMITED:
		return "rate_limited";
	}
	must_fail("a known code", __FILE__, __LINE__, __func__);
}

static enum decide_code windowed(const struct limit *limit, enum decide_code spend_code)
{
	return limit->measure == LIMIT_CALLS ? DECIDE_CODE_RATE_LIMITED : spend_code;
}

enum decide_code decide_code_of(const struct limit *limit)
{
	switch (limit->window) {
	case WINDOW_CALL:
		return DECIDE_CODE_OVER_CALL_LIMIT;
	case WINDOW_TOTAL:
		return limit->scope == LIMIT_SCOPE_SESSION ? DECIDE_CODE_OVER_SESSION_LIMIT
							   : DECIDE_CODE_OVER_TOTAL_LIMIT;
	case WINDOW_MONTH:
		return windowed(limit, DECIDE_CODE_OVER_MONTH_LIMIT);
	case WINDOW_DAY:
		return windowed(limit, DECIDE_CODE_OVER_DAY_LIMIT);
	case WINDOW_HOUR:
		return windowed(limit, DECIDE_CODE_OVER_HOUR_LIMIT);
	case WINDOW_MINUTE:
		return windowed(limit, DECIDE_CODE_OVER_MINUTE_LIMIT);
	}
	must_fail("a known window", __FILE__, __LINE__, __func__);
}

unsigned decide_rank(const struct limit *limit)
{
	const unsigned code = (unsigned)decide_code_of(limit);
	const unsigned measure = (unsigned)limit->measure;
	const unsigned shortness = (unsigned)WINDOW_TOTAL - (unsigned)limit->window;

	/* Two measures and six windows: four bits below the code. */
	return code << 4 | (measure - 1) << 3 | shortness;
}

/* Room beside what is firm; then beside other calls' provisional holds as well.
 * Nothing here is negative, so none of the differences can overflow. */
static int64_t room_firm(const struct limit *limit, const struct limit_total *total)
{
	if (limit->window == WINDOW_CALL || total->firm <= 0)
		return limit->max;
	return total->firm < limit->max ? limit->max - total->firm : 0;
}

static int64_t room_now(const struct limit *limit, const struct limit_total *total)
{
	const int64_t room = room_firm(limit, total);

	if (limit->window == WINDOW_CALL || limit->measure == LIMIT_CALLS ||
	    total->provisional <= 0)
		return room;
	return total->provisional < room ? room - total->provisional : 0;
}

static int64_t wanted(const struct decide_request *request, const struct limit *const *limits,
    const struct limit_total *totals, size_t count)
{
	int64_t want = request->spend;

	for (size_t i = 0; i < count && request->may_shrink; i++) {
		const int64_t room = room_firm(limits[i], &totals[i]);

		if (limits[i]->measure == LIMIT_SPEND && room < want)
			want = room;
	}
	return want;
}

static bool fits(
    const struct decide_request *request, int64_t want, const struct limit *limit, int64_t room)
{
	if (limit->measure == LIMIT_CALLS)
		return !request->count_call || room >= 1;
	/* want may have shrunk to 0 elsewhere; the limit to name is one that is empty. */
	return request->spend == 0 || (room > 0 && want <= room);
}

typedef int64_t room_fn(const struct limit *limit, const struct limit_total *total);

/* Position of the limit that comes first in precedence among those that cannot
 * hold the request; count when all can. */
static size_t first_refusing(const struct decide_request *request, int64_t want,
    const struct limit *const *limits, const struct limit_total *totals, size_t count,
    room_fn *room)
{
	size_t first = count;

	for (size_t i = 0; i < count; i++) {
		if (fits(request, want, limits[i], room(limits[i], &totals[i])))
			continue;
		if (first == count || decide_rank(limits[i]) < decide_rank(limits[first]))
			first = i;
	}
	return first;
}

/* The spend limit with the least room left; per-call limits never run out. */
static size_t tightest(
    const struct limit *const *limits, const struct limit_total *totals, size_t count)
{
	size_t least = count;
	int64_t least_room = INT64_MAX;

	for (size_t i = 0; i < count; i++) {
		const int64_t room = room_now(limits[i], &totals[i]);

		if (limits[i]->measure != LIMIT_SPEND || limits[i]->window == WINDOW_CALL)
			continue;
		if (least == count || room < least_room ||
		    (room == least_room && decide_rank(limits[i]) < decide_rank(limits[least]))) {
			least = i;
			least_room = room;
		}
	}
	return least;
}

struct decision decide(const struct decide_request *request, const struct limit *const *limits,
    const struct limit_total *totals, size_t count)
{
	const int64_t want = wanted(request, limits, totals, count);
	struct decision decision = {.code = DECIDE_CODE_NONE};
	size_t at;

	must(request->spend >= 0);
	/* What fits beside other calls' holds fits without them, too. */
	at = first_refusing(request, want, limits, totals, count, room_now);
	if (at == count) {
		decision.verdict = DECIDE_ALLOW;
		decision.granted = want;
		at = tightest(limits, totals, count);
	} else {
		const size_t firm = first_refusing(request, want, limits, totals, count, room_firm);

		decision.verdict = firm < count ? DECIDE_DENY : DECIDE_WAIT;
		at = firm < count ? firm : at;
		decision.code = decide_code_of(limits[at]);
	}
	if (at < count) {
		decision.limit = limits[at];
		decision.remaining = room_now(limits[at], &totals[at]);
		if (limits[at]->window != WINDOW_CALL)
			decision.resets_us = totals[at].resets_us;
	}
	return decision;
}
