/* common/window.h - the spans of time over which something is counted.
 *
 * Day and month are UTC calendar windows; minute and hour slide; call and total
 * have no edge. The numbers are stored in files and rows and are frozen. */
#ifndef COMMON_WINDOW_H
#define COMMON_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

enum window {
	WINDOW_CALL = 1,   /* one call by itself */
	WINDOW_MINUTE = 2, /* the last 60 seconds */
	WINDOW_HOUR = 3,   /* the last 3600 seconds */
	WINDOW_DAY = 4,    /* the UTC day */
	WINDOW_MONTH = 5,  /* the UTC month */
	WINDOW_TOTAL = 6,  /* from the first call on */
};

/** "call", "minute", … */
const char *window_str(enum window window);
bool window_parse(enum window *out, const char *text) MUST_CHECK;

/** First microsecond of the UTC day or month that holds us. */
int64_t window_day_start_us(int64_t us);
int64_t window_month_start_us(int64_t us);
/** First microsecond after the calendar window that holds us; INT64_MAX when
 * that lies beyond. */
int64_t window_day_end_us(int64_t us);
int64_t window_month_end_us(int64_t us);

#endif
