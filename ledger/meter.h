/* ledger/meter.h - running totals of one subject in every window at once.
 *
 * A subject is an agent, its wallet, one session, one of its tools, or one of its
 * payees. A meter counts money and calls whether or not a limit exists today, so
 * a limit written tomorrow is right from its first call. Pure: no I/O, no clock.
 *
 * Day and month are UTC calendar windows; the newest two that were charged are
 * kept, because a call reserved before midnight is charged to the day it was
 * reserved on. Minute and hour slide, counted in quanta of 100 ms and 1 s; a
 * quantum counts whole, so a window is never shorter than it says, and the last
 * two windows before the newest charge are kept.
 *
 * Invariant: a reading is never below what was charged and not taken back in that
 * window, in whatever order the times come. It is exact as long as at_us is in or
 * after the older of the two calendar windows kept, and within one sliding window
 * of the newest charge or trim. Behind that, which takes a call in flight for longer than
 * the window or a clock stepped back, it may be above, never below:
 *   minute        the same span in the coarser quanta of the hour
 *   hour          all that was ever charged
 *   day, month    the most that any window no longer kept can have held
 *
 * Times before 1970 count as 1970, times after 9999 as the end of 9999. */
#ifndef LEDGER_METER_H
#define LEDGER_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/window.h"

struct meter;

struct meter_reading {
	int64_t spend;           /* charged, micro-dollars, in the window that holds at_us */
	int64_t calls;           /* charged, in the same window */
	int64_t spend_resets_us; /* when the window next gives back some spend; 0: never, or none */
	int64_t calls_resets_us; /* … or some calls */
};

/** Never NULL. About 400 bytes; once charged, at most 1,201 quanta of a minute and
 * 7,201 of an hour, 40 bytes each, in arrays that grow by doubling. */
struct meter *meter_new(void);
/** Accepts NULL inside. */
void meter_free(struct meter **meter);

/** Add to the windows that hold at_us; spend and calls are 0 or more. Totals
 * saturate at INT64_MAX, which no limit can then admit. */
void meter_charge(struct meter *meter, int64_t at_us, int64_t spend, int64_t calls);
/** Take back what was charged at the same at_us; 0 or more. Windows that have
 * passed since are left as they are, so are totals that have saturated, and none
 * goes below zero. */
void meter_uncharge(struct meter *meter, int64_t at_us, int64_t spend, int64_t calls);

/** Read one window as it stands for a call reserved at at_us. For minute and hour
 * everything newer than at_us minus the window counts, later charges included. A
 * day or month not yet charged reads zero, and so does WINDOW_CALL. */
struct meter_reading meter_read(const struct meter *meter, enum window window, int64_t at_us);

/** meter_read's spend, or its calls, alone: the times take longer to find than the sums. */
int64_t meter_sum(const struct meter *meter, enum window window, bool calls, int64_t at_us);

/** For `remaining`-style answers: the time at which, with no further charges, at
 * least `spend` and `calls` of the minute or hour window will have slid out, or all
 * of it when it holds less; at_us when there is nothing to wait for. For day and
 * month the end of the window; 0 for total and call. */
int64_t meter_frees_at(const struct meter *meter, enum window window, int64_t at_us,
    int64_t spend, int64_t calls);

/** Drop entries no window can reach from now_us (nor from one window before it,
 * for calls still in flight); called now and then. No reading at now_us changes. */
void meter_trim(struct meter *meter, int64_t now_us);

#endif
