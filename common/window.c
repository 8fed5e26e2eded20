/* common/window.c - names and edges of the windows. */
#include "common/window.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

const char *window_str(enum window window)
{
	switch (window) {
	case WINDOW_CALL:
		return "call";
	case WINDOW_MINUTE:
		return "minute";
	case WINDOW_HOUR:
		return "hour";
	case WINDOW_DAY:
		return "day";
	case WINDOW_MONTH:
		return "month";
	case WINDOW_TOTAL:
		return "total";
	}
	return "?";
}

bool window_parse(enum window *out, const char *text)
{
	int window;

	if (text == NULL)
		return false;
	for (window = WINDOW_CALL; window <= WINDOW_TOTAL; window++) {
		if (strcmp(text, window_str((enum window)window)) == 0) {
			*out = (enum window)window;
			return true;
		}
	}
	return false;
}

static struct tm utc_day(int64_t us)
{
	time_t seconds = us / CLOCK_US_PER_S - (us % CLOCK_US_PER_S < 0);
	struct tm tm;

	must(gmtime_r(&seconds, &tm) != NULL);
	tm.tm_hour = 0;
	tm.tm_min = 0;
	tm.tm_sec = 0;
	return tm;
}

/* At the two ends of int64 an edge would lie outside; it then is the end. */
static int64_t utc_us(struct tm tm)
{
	int64_t seconds = timegm(&tm);
	int64_t us;

	if (__builtin_mul_overflow(seconds, CLOCK_US_PER_S, &us))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return us;
}

int64_t window_day_start_us(int64_t us)
{
	return utc_us(utc_day(us));
}

int64_t window_day_end_us(int64_t us)
{
	struct tm tm = utc_day(us);

	tm.tm_mday++;
	return utc_us(tm);
}

int64_t window_month_start_us(int64_t us)
{
	struct tm tm = utc_day(us);

	tm.tm_mday = 1;
	return utc_us(tm);
}

int64_t window_month_end_us(int64_t us)
{
	struct tm tm = utc_day(us);

	tm.tm_mday = 1;
	tm.tm_mon++;
	return utc_us(tm);
}
