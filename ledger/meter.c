/* ledger/meter.c - running totals of one subject in every window at once.
 *
 * Three shapes: a pair of numbers (total), the newest two of a row of calendar
 * windows (day, month), and a run of quanta with cumulative sums (minute, hour), in
 * which a window is the difference of two sums, found by binary search. What a
 * shape no longer keeps it remembers as having existed, so that a reading which
 * reaches back that far can err upwards instead of missing it. */
#include "ledger/meter.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/must.h"

enum measure { SPEND, CALLS, MEASURES };

#define MINUTE_US	  (60 * CLOCK_US_PER_S)
#define MINUTE_QUANTUM_US (CLOCK_US_PER_S / 10)
#define HOUR_US		  (3600 * CLOCK_US_PER_S)
#define HOUR_QUANTUM_US	  CLOCK_US_PER_S
/* 9999-12-31T23:59:59.999999Z, the last moment common/clock.h can write: far enough
 * from the ends of int64 that a window either side needs no check. */
#define LAST_US	     INT64_C(253402300799999999)
#define NEVER_US     INT64_MIN
#define QUANTA_FIRST 2u /* most subjects are charged once or twice in an hour */

/* A sum that cannot overflow: it only grows by int64, so 2^65 charges fit. */
struct wide {
	uint64_t high, low;
};

struct quantum {
	int64_t end_us;		   /* first microsecond after it */
	struct wide sum[MEASURES]; /* of everything up to and with this quantum */
};

struct slide {
	int64_t window_us, quantum_us;
	struct quantum *quanta; /* by end_us; those kept are [first, first + count) */
	size_t first, count, size;
	struct wide base[MEASURES]; /* the sums before the first kept */
	int64_t gone_us;	    /* end of the newest quantum dropped, or NEVER_US */
};

struct span {
	int64_t start_us, end_us; /* both NEVER_US: not in use */
	int64_t sum[MEASURES];
};

struct calendar {
	int64_t (*start_us)(int64_t us), (*end_us)(int64_t us);
	struct span spans[2];	/* the newer of the two first */
	int64_t gone[MEASURES]; /* no window older than both has held more than this */
};

struct meter {
	struct slide minute, hour;
	struct calendar day, month;
	int64_t total[MEASURES];
};

static int64_t clamp_us(int64_t us)
{
	return us < 0 ? 0 : us > LAST_US ? LAST_US : us;
}

static int64_t max_us(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t capped_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* What a capped sum has lost cannot be subtracted from it again: it stays full. */
static int64_t capped_less(int64_t sum, int64_t less)
{
	if (sum == INT64_MAX)
		return sum;
	return sum > less ? sum - less : 0;
}

static void wide_add(struct wide *sum, int64_t more)
{
	sum->low += (uint64_t)more;
	sum->high += sum->low < (uint64_t)more;
}

static void wide_less(struct wide *sum, int64_t less)
{
	sum->high -= sum->low < (uint64_t)less;
	sum->low -= (uint64_t)less;
}

static int64_t wide_between(struct wide later, struct wide earlier)
{
	uint64_t high = later.high - earlier.high - (later.low < earlier.low);
	uint64_t low = later.low - earlier.low;

	return high != 0 || low > INT64_MAX ? INT64_MAX : (int64_t)low;
}

/* --- minute and hour ---------------------------------------------------- */

static void slide_init(struct slide *slide, int64_t window_us, int64_t quantum_us)
{
	slide->window_us = window_us;
	slide->quantum_us = quantum_us;
	slide->gone_us = NEVER_US;
}

static int64_t slide_quantum_end(const struct slide *slide, int64_t at_us)
{
	return (at_us / slide->quantum_us + 1) * slide->quantum_us;
}

static struct quantum *slide_quantum(const struct slide *slide, size_t index)
{
	return &slide->quanta[slide->first + index];
}

/* Index of the first quantum that ends after edge_us; count when none does. */
static size_t slide_after(const struct slide *slide, int64_t edge_us)
{
	size_t low = 0, high = slide->count;

	if (high == 0 || slide_quantum(slide, high - 1)->end_us <= edge_us)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slide_quantum(slide, middle)->end_us > edge_us)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct wide slide_sum_before(const struct slide *slide, size_t index, enum measure measure)
{
	return index == 0 ? slide->base[measure] : slide_quantum(slide, index - 1)->sum[measure];
}

/* What the quanta from index on hold together. */
static int64_t slide_rest(const struct slide *slide, size_t index, enum measure measure)
{
	return wide_between(slide_sum_before(slide, slide->count, measure),
	    slide_sum_before(slide, index, measure));
}

/* Room for one more at the end. Moving down is worth it once a sixteenth of the
 * array is free in front; that keeps a full hour (7,200) inside 8,192. */
static void slide_make_room(struct slide *slide)
{
	if (slide->first + slide->count < slide->size)
		return;
	if (slide->first > slide->size / 16) {
		memmove(
		    slide->quanta, slide_quantum(slide, 0), slide->count * sizeof(*slide->quanta));
		slide->first = 0;
		return;
	}
	slide->size = slide->size ? slide->size * 2 : QUANTA_FIRST;
	slide->quanta = must_realloc(slide->quanta, slide->size * sizeof(*slide->quanta));
}

static void slide_insert(struct slide *slide, size_t index, int64_t end_us)
{
	struct quantum *quantum;

	slide_make_room(slide);
	quantum = slide_quantum(slide, index);
	memmove(quantum + 1, quantum, (slide->count - index) * sizeof(*quantum));
	quantum->end_us = end_us;
	quantum->sum[SPEND] = slide_sum_before(slide, index, SPEND);
	quantum->sum[CALLS] = slide_sum_before(slide, index, CALLS);
	slide->count++;
}

/* Forget the quanta that end at or before edge_us. */
static void slide_drop(struct slide *slide, int64_t edge_us)
{
	size_t count;

	if (slide->count == 0 || slide_quantum(slide, 0)->end_us > edge_us)
		return;
	count = slide_after(slide, edge_us);
	slide->gone_us = max_us(slide->gone_us, slide_quantum(slide, count - 1)->end_us);
	memcpy(slide->base, slide_quantum(slide, count - 1)->sum, sizeof(slide->base));
	slide->first += count;
	slide->count -= count;
}

static void slide_charge(struct slide *slide, int64_t at_us, const int64_t more[MEASURES])
{
	int64_t end_us = slide_quantum_end(slide, at_us);
	size_t index = slide_after(slide, end_us - 1);

	if (slide->count != 0 &&
	    end_us <= slide_quantum(slide, slide->count - 1)->end_us - 2 * slide->window_us) {
		slide->gone_us = max_us(slide->gone_us, end_us);
		return;
	}
	if (index == slide->count || slide_quantum(slide, index)->end_us != end_us)
		slide_insert(slide, index, end_us);
	for (; index < slide->count; index++) {
		wide_add(&slide_quantum(slide, index)->sum[SPEND], more[SPEND]);
		wide_add(&slide_quantum(slide, index)->sum[CALLS], more[CALLS]);
	}
	slide_drop(slide, slide_quantum(slide, slide->count - 1)->end_us - 2 * slide->window_us);
}

static void slide_uncharge(struct slide *slide, int64_t at_us, const int64_t asked[MEASURES])
{
	int64_t end_us = slide_quantum_end(slide, at_us);
	size_t index = slide_after(slide, end_us - 1);
	int64_t less[MEASURES];

	if (index == slide->count || slide_quantum(slide, index)->end_us != end_us)
		return;
	for (enum measure measure = SPEND; measure < MEASURES; measure++) {
		int64_t held = wide_between(slide_quantum(slide, index)->sum[measure],
		    slide_sum_before(slide, index, measure));

		less[measure] = asked[measure] < held ? asked[measure] : held;
	}
	for (; index < slide->count; index++) {
		wide_less(&slide_quantum(slide, index)->sum[SPEND], less[SPEND]);
		wide_less(&slide_quantum(slide, index)->sum[CALLS], less[CALLS]);
	}
}

/* When a window of window_us over these quanta will count target or less. */
static int64_t slide_falls_to(const struct slide *slide, int64_t window_us, int64_t at_us,
    enum measure measure, int64_t target)
{
	size_t low = 0, high = slide->count;
	int64_t when_us = max_us(at_us, slide->gone_us + window_us);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slide_rest(slide, middle, measure) <= target)
			high = middle;
		else
			low = middle + 1;
	}
	return low == 0 ? when_us
			: max_us(when_us, slide_quantum(slide, low - 1)->end_us + window_us);
}

static void slide_trim(struct slide *slide, int64_t now_us)
{
	slide_drop(slide, now_us - 2 * slide->window_us);
	if (slide->count != 0)
		return;
	free(slide->quanta);
	slide->quanta = NULL;
	slide->first = slide->size = 0;
}

/* --- day and month ------------------------------------------------------ */

static void calendar_init(
    struct calendar *calendar, int64_t (*start_us)(int64_t), int64_t (*end_us)(int64_t))
{
	calendar->start_us = start_us;
	calendar->end_us = end_us;
	calendar->spans[0].start_us = calendar->spans[0].end_us = NEVER_US;
	calendar->spans[1] = calendar->spans[0];
}

static bool span_holds(const struct span *span, int64_t at_us)
{
	return span->start_us <= at_us && at_us < span->end_us;
}

/* Index of the span that holds at_us; 2 when neither does. */
static size_t calendar_find(const struct calendar *calendar, int64_t at_us)
{
	if (span_holds(&calendar->spans[0], at_us))
		return 0;
	return span_holds(&calendar->spans[1], at_us) ? 1 : 2;
}

/* The sums to charge at at_us. A window not charged before takes the place of the
 * older span; one older than both may have been kept once, so it has no place. */
static int64_t *calendar_place(struct calendar *calendar, int64_t at_us)
{
	struct span *newer = &calendar->spans[0], *older = &calendar->spans[1];
	size_t index = calendar_find(calendar, at_us);

	if (index < 2)
		return calendar->spans[index].sum;
	if (at_us < older->start_us)
		return calendar->gone;
	calendar->gone[SPEND] = max_us(calendar->gone[SPEND], older->sum[SPEND]);
	calendar->gone[CALLS] = max_us(calendar->gone[CALLS], older->sum[CALLS]);
	if (at_us >= newer->end_us) {
		*older = *newer;
		older = newer;
	}
	*older = (struct span){calendar->start_us(at_us), calendar->end_us(at_us), {0}};
	return older->sum;
}

static void calendar_charge(struct calendar *calendar, int64_t at_us, const int64_t more[MEASURES])
{
	int64_t *sum = calendar_place(calendar, at_us);

	sum[SPEND] = capped_add(sum[SPEND], more[SPEND]);
	sum[CALLS] = capped_add(sum[CALLS], more[CALLS]);
}

static void calendar_uncharge(
    struct calendar *calendar, int64_t at_us, const int64_t less[MEASURES])
{
	size_t index = calendar_find(calendar, at_us);
	int64_t *sum;

	if (index == 2)
		return;
	sum = calendar->spans[index].sum;
	sum[SPEND] = capped_less(sum[SPEND], less[SPEND]);
	sum[CALLS] = capped_less(sum[CALLS], less[CALLS]);
}

static int64_t calendar_sum(const struct calendar *calendar, int64_t at_us, enum measure measure)
{
	size_t index = calendar_find(calendar, at_us);

	if (index < 2)
		return calendar->spans[index].sum[measure];
	return at_us < calendar->spans[1].start_us ? calendar->gone[measure] : 0;
}

static int64_t calendar_resets_us(const struct calendar *calendar, int64_t at_us)
{
	size_t index = calendar_find(calendar, at_us);

	return index < 2 ? calendar->spans[index].end_us : calendar->end_us(at_us);
}

/* --- the meter ---------------------------------------------------------- */

struct meter *meter_new(void)
{
	struct meter *meter = must_calloc(1, sizeof(*meter));

	slide_init(&meter->minute, MINUTE_US, MINUTE_QUANTUM_US);
	slide_init(&meter->hour, HOUR_US, HOUR_QUANTUM_US);
	calendar_init(&meter->day, window_day_start_us, window_day_end_us);
	calendar_init(&meter->month, window_month_start_us, window_month_end_us);
	return meter;
}

void meter_free(struct meter **meter)
{
	if (*meter == NULL)
		return;
	free((*meter)->minute.quanta);
	free((*meter)->hour.quanta);
	free(*meter);
	*meter = NULL;
}

void meter_charge(struct meter *meter, int64_t at_us, int64_t spend, int64_t calls)
{
	const int64_t more[MEASURES] = {spend, calls};

	must(spend >= 0 && calls >= 0);
	if (spend == 0 && calls == 0)
		return;
	at_us = clamp_us(at_us);
	slide_charge(&meter->minute, at_us, more);
	slide_charge(&meter->hour, at_us, more);
	calendar_charge(&meter->day, at_us, more);
	calendar_charge(&meter->month, at_us, more);
	meter->total[SPEND] = capped_add(meter->total[SPEND], spend);
	meter->total[CALLS] = capped_add(meter->total[CALLS], calls);
}

void meter_uncharge(struct meter *meter, int64_t at_us, int64_t spend, int64_t calls)
{
	const int64_t less[MEASURES] = {spend, calls};

	must(spend >= 0 && calls >= 0);
	at_us = clamp_us(at_us);
	slide_uncharge(&meter->minute, at_us, less);
	slide_uncharge(&meter->hour, at_us, less);
	calendar_uncharge(&meter->day, at_us, less);
	calendar_uncharge(&meter->month, at_us, less);
	meter->total[SPEND] = capped_less(meter->total[SPEND], spend);
	meter->total[CALLS] = capped_less(meter->total[CALLS], calls);
}

/* One measure of the minute or the hour. A dropped quantum counts when it ends after
 * the window's edge; then the next coarser shape answers. */
static int64_t meter_count(
    const struct meter *meter, bool minute, int64_t at_us, enum measure measure)
{
	int64_t edge_us = at_us - (minute ? MINUTE_US : HOUR_US);
	const struct slide *slide = minute ? &meter->minute : &meter->hour;

	if (edge_us < slide->gone_us)
		slide = &meter->hour;
	if (edge_us < slide->gone_us)
		return meter->total[measure];
	return slide_rest(slide, slide_after(slide, edge_us), measure);
}

/* When meter_count() will be target or less: as soon as one of the shapes it reads
 * says so. While the minute's own quanta answer, the hour's cannot say so sooner. */
static int64_t meter_falls_to(
    const struct meter *meter, bool minute, int64_t at_us, enum measure measure, int64_t target)
{
	int64_t window_us = minute ? MINUTE_US : HOUR_US;
	int64_t fine_us, coarse_us;

	if (!minute)
		return slide_falls_to(&meter->hour, window_us, at_us, measure, target);
	fine_us = slide_falls_to(&meter->minute, window_us, at_us, measure, target);
	if (at_us - window_us >= meter->minute.gone_us)
		return fine_us;
	coarse_us = slide_falls_to(&meter->hour, window_us, at_us, measure, target);
	return fine_us < coarse_us ? fine_us : coarse_us;
}

static int64_t sum_of(
    const struct meter *meter, enum window window, int64_t at_us, enum measure measure)
{
	switch (window) {
	case WINDOW_CALL:
		break;
	case WINDOW_MINUTE:
	case WINDOW_HOUR:
		return meter_count(meter, window == WINDOW_MINUTE, at_us, measure);
	case WINDOW_DAY:
		return calendar_sum(&meter->day, at_us, measure);
	case WINDOW_MONTH:
		return calendar_sum(&meter->month, at_us, measure);
	case WINDOW_TOTAL:
		return meter->total[measure];
	}
	return 0;
}

/* When some of sum, which is what the window holds, is given back. */
static int64_t resets_of(const struct meter *meter, enum window window, int64_t at_us,
    enum measure measure, int64_t sum)
{
	if (sum == 0)
		return 0;
	switch (window) {
	case WINDOW_CALL:
	case WINDOW_TOTAL:
		break;
	case WINDOW_MINUTE:
	case WINDOW_HOUR:
		return meter_falls_to(meter, window == WINDOW_MINUTE, at_us, measure, sum - 1);
	case WINDOW_DAY:
		return calendar_resets_us(&meter->day, at_us);
	case WINDOW_MONTH:
		return calendar_resets_us(&meter->month, at_us);
	}
	return 0;
}

int64_t meter_sum(const struct meter *meter, enum window window, bool calls, int64_t at_us)
{
	return sum_of(meter, window, clamp_us(at_us), calls ? CALLS : SPEND);
}

struct meter_reading meter_read(const struct meter *meter, enum window window, int64_t at_us)
{
	struct meter_reading reading;

	at_us = clamp_us(at_us);
	reading.spend = sum_of(meter, window, at_us, SPEND);
	reading.calls = sum_of(meter, window, at_us, CALLS);
	reading.spend_resets_us = resets_of(meter, window, at_us, SPEND, reading.spend);
	reading.calls_resets_us = resets_of(meter, window, at_us, CALLS, reading.calls);
	return reading;
}

/* The time at which `asked` less is counted than at at_us. */
static int64_t meter_gives_back(
    const struct meter *meter, bool minute, int64_t at_us, enum measure measure, int64_t asked)
{
	int64_t counted = meter_count(meter, minute, at_us, measure);

	if (asked == 0 || counted == 0)
		return at_us;
	return meter_falls_to(meter, minute, at_us, measure, counted > asked ? counted - asked : 0);
}

int64_t meter_frees_at(
    const struct meter *meter, enum window window, int64_t at_us, int64_t spend, int64_t calls)
{
	bool minute = window == WINDOW_MINUTE;

	must(spend >= 0 && calls >= 0);
	at_us = clamp_us(at_us);
	switch (window) {
	case WINDOW_CALL:
	case WINDOW_TOTAL:
		break;
	case WINDOW_MINUTE:
	case WINDOW_HOUR:
		return max_us(meter_gives_back(meter, minute, at_us, SPEND, spend),
		    meter_gives_back(meter, minute, at_us, CALLS, calls));
	case WINDOW_DAY:
		return window_day_end_us(at_us);
	case WINDOW_MONTH:
		return window_month_end_us(at_us);
	}
	return 0;
}

void meter_trim(struct meter *meter, int64_t now_us)
{
	now_us = clamp_us(now_us);
	slide_trim(&meter->minute, now_us);
	slide_trim(&meter->hour, now_us);
}
