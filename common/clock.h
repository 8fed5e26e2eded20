/* common/clock.h - time as data: microseconds since the epoch, UTC.
 *
 * The time is the steady clock (CLOCK_BOOTTIME: counts on while the machine sleeps, is set by
 * nobody; CLOCK_MONOTONIC where there is none) plus an offset that was accepted, so that a
 * step of the machine's clock reaches no row, no window and no signature unnoticed:
 *
 *   within 5 s of the machine's clock   its time is taken over at once (it is being slewed)
 *   further, either way                 STEPPED: our time goes on as before, and clock_check()
 *                                       says no. Back within 5 s: as if nothing had been.
 *                                       After 60 s at the new time: that is accepted
 *
 * The offset and the step are one of the two mutable globals of the program; common/log.h is
 * the other. Only proxy/ and cli/ read the clock; the rooms below are handed `now_us`. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

#define CLOCK_US_PER_S INT64_C(1000000)
/* "2026-11-20T13:35:00.123456Z" and its terminator. */
#define CLOCK_TEXT_SIZE 32

/* A step smaller than this is what NTP clients do to a clock that runs (chrony and
 * systemd-timesyncd step by less than a second, or slew); rows may be this far ahead of the
 * clock after one, see house_ready(). */
#define CLOCK_DRIFT_US_MAX (5 * CLOCK_US_PER_S)
/* Whoever set a clock wrongly, a person or an NTP client that believed one bad answer, has
 * looked again by then (systemd-timesyncd asks every 32 s at first); and a machine that woke
 * with a wrong clock is of use again in a minute. */
#define CLOCK_SETTLE_US (60 * CLOCK_US_PER_S)

/** The time as accepted. Thread-safe, no lock. The machine's own until the first
 * clock_check(); can go back by no more than CLOCK_DRIFT_US_MAX unless a step is accepted. */
int64_t clock_now_us(void);

/** To the nearest second, for words. */
int64_t clock_round_s(int64_t us);

struct clock_step {
	int64_t by_us;   /* the machine's clock less ours; above 0: it was set forward */
	int64_t left_us; /* until it is accepted, if it stays so; 0..CLOCK_SETTLE_US */
};
/** clock_check - hold our time against the machine's clock, and follow it as said above.
 * Thread-safe; two readings of clocks while all is well. Nothing is accepted unless this is
 * called: once a second, and before money depends on the time. Changes are logged.
 *
 * Returns  true   steady: the time may be relied on; *out is untouched
 *          false  stepped, *out says how */
bool clock_check(struct clock_step *out) MUST_CHECK;

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
