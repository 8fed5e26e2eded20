/* common/clock.h - time as data: microseconds since the epoch, UTC.
 *
 * Only proxy/ and cli/ read the clock; the rooms below are handed `now_us`. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

#define CLOCK_US_PER_S INT64_C(1000000)
/* "2026-11-20T13:35:00.123456Z" and its terminator. */
#define CLOCK_TEXT_SIZE 32

/** Wall clock, microseconds since the epoch. */
int64_t clock_now_us(void);
/** Monotonic clock for durations, microseconds from an arbitrary start. */
int64_t clock_mono_us(void);

/** RFC 3339 UTC: whole seconds when us is one, else microseconds. */
const char *clock_format(char text[CLOCK_TEXT_SIZE], int64_t us);
/** RFC 3339 with Z or a numeric offset; 1970..9999. What is finer than a
 * microsecond is cut off; a leap second (":60") is not taken. False, *out_us
 * untouched, on anything else and on NULL; so is the next. */
bool clock_parse(int64_t *out_us, const char *text) MUST_CHECK;

/** "90s", "15m", "8h", "30d", or plain seconds; 1 second to 3650 days. */
bool clock_parse_duration(int64_t *out_s, const char *text) MUST_CHECK;

#endif
