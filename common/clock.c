/* common/clock.c - reading, writing and parsing time. */
#include "common/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bytes.h"
#include "common/log.h"

#define DURATION_S_MAX (INT64_C(3650) * 86400)

/* Differences below this change nothing: reading two clocks takes some microseconds, and so
 * the offset is written a few times an hour instead of at every check. */
#define SLACK_US 1000
/* The thread may be put aside between the readings of two clocks; then they are read again. */
#define READ_US_MAX 10000
#define READS_MAX   5

#define UNSET INT64_MIN

/* The accepted time less the steady clock's; UNSET until the first look at it. */
static _Atomic int64_t offset = UNSET;

/* A step that is not accepted yet. */
static struct {
	pthread_mutex_t lock; /* guards writing to `offset` too, its first value apart */
	atomic_bool seen;
	int64_t offset;   /* what would be accepted */
	int64_t since_us; /* by the steady clock */
} step = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool try_clock(int64_t *out_us, clockid_t id)
{
	struct timespec now;

	if (clock_gettime(id, &now) != 0)
		return false;
	*out_us = (int64_t)now.tv_sec * CLOCK_US_PER_S + now.tv_nsec / 1000;
	return true;
}

static int64_t read_clock(clockid_t id)
{
	int64_t now_us = 0;

	must(try_clock(&now_us, id));
	return now_us;
}

static int64_t steady_us(void)
{
	int64_t now_us;

	return try_clock(&now_us, CLOCK_BOOTTIME) ? now_us : read_clock(CLOCK_MONOTONIC);
}

/* The machine's clock less the steady one, as of the moment that goes to *at_us. */
static int64_t machine_offset(int64_t *at_us)
{
	int64_t real_us, took_us;

	for (int i = 0; i < READS_MAX; i++) {
		*at_us = steady_us();
		real_us = read_clock(CLOCK_REALTIME);
		took_us = steady_us() - *at_us;
		if (took_us < READ_US_MAX)
			break;
	}
	return real_us - *at_us;
}

static int64_t accepted_offset(void)
{
	int64_t value = atomic_load(&offset), at_us;

	if (value == UNSET) {
		int64_t first = machine_offset(&at_us);

		/* Another thread may have been first; then its value counts. */
		if (atomic_compare_exchange_strong(&offset, &value, first))
			value = first;
	}
	return value;
}

int64_t clock_now_us(void)
{
	return accepted_offset() + steady_us();
}

int64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_round_s(int64_t us)
{
	const int64_t half = CLOCK_US_PER_S / 2;

	return (us + (us < 0 ? -half : half)) / CLOCK_US_PER_S;
}

enum clock_change { CHANGE_NONE, CHANGE_STEPPED, CHANGE_AGAIN, CHANGE_UNDONE, CHANGE_ACCEPTED };

static bool near(int64_t a_us, int64_t b_us)
{
	return llabs(a_us - b_us) <= CLOCK_DRIFT_US_MAX;
}

/* With the lock held. `machine` is the machine's offset, read at at_us. */
static enum clock_change follow(int64_t machine, int64_t at_us)
{
	bool seen = atomic_load(&step.seen);

	if (near(machine, accepted_offset())) {
		atomic_store(&offset, machine);
		atomic_store(&step.seen, false);
		return seen ? CHANGE_UNDONE : CHANGE_NONE;
	}
	if (!seen || !near(machine, step.offset)) {
		step.offset = machine;
		step.since_us = at_us;
		atomic_store(&step.seen, true);
		return seen ? CHANGE_AGAIN : CHANGE_STEPPED;
	}
	if (at_us - step.since_us < CLOCK_SETTLE_US)
		return CHANGE_NONE;
	atomic_store(&offset, machine);
	atomic_store(&step.seen, false);
	return CHANGE_ACCEPTED;
}

static void tell(enum clock_change change, int64_t by_us)
{
	char seconds[32];

	(void)snprintf(seconds, sizeof seconds, "%+" PRId64, clock_round_s(by_us));
	switch (change) {
	case CHANGE_NONE:
		break;
	case CHANGE_STEPPED:
	case CHANGE_AGAIN:
		log_event(LOG_WARN, "clock_stepped", "seconds", seconds, NULL);
		break;
	case CHANGE_UNDONE:
		log_event(LOG_INFO, "clock_step_undone", NULL);
		break;
	case CHANGE_ACCEPTED:
		log_event(LOG_WARN, "clock_step_accepted", "seconds", seconds, NULL);
		break;
	}
}

bool clock_check(struct clock_step *out)
{
	int64_t at_us, before = accepted_offset(), machine = machine_offset(&at_us), since_us;
	enum clock_change change;
	bool seen;

	if (llabs(machine - before) < SLACK_US && !atomic_load(&step.seen))
		return true;
	pthread_mutex_lock(&step.lock);
	before = accepted_offset();
	change = follow(machine, at_us);
	seen = atomic_load(&step.seen);
	since_us = step.since_us;
	pthread_mutex_unlock(&step.lock);
	tell(change, machine - before);
	if (!seen)
		return true;
	out->by_us = machine - before;
	/* Another thread may have begun to count a moment after our reading. */
	out->left_us = CLOCK_SETTLE_US - (at_us > since_us ? at_us - since_us : 0);
	return false;
}

/* A mark and so many digits. Behind them. */
static char *put_digits(char *at, char mark, int number, size_t count)
{
	at[0] = mark;
	for (size_t i = count; i > 0; i--, number /= 10)
		at[i] = (char)('0' + number % 10);
	return at + 1 + count;
}

/* Of any year that microseconds reach, -290308 to 294247. */
_Static_assert(sizeof "-290308-12-21T19:59:05.224192Z" <= CLOCK_TEXT_SIZE, "room for every time");

const char *clock_format(char text[CLOCK_TEXT_SIZE], int64_t us)
{
	int64_t fraction = us % CLOCK_US_PER_S;
	time_t seconds = us / CLOCK_US_PER_S;
	struct tm tm;
	char *at;

	if (fraction < 0) {
		fraction += CLOCK_US_PER_S;
		seconds--;
	}
	must(gmtime_r(&seconds, &tm) != NULL);
	at = text + strlen(decimal_encode(text, tm.tm_year + INT64_C(1900)));
	at = put_digits(at, '-', tm.tm_mon + 1, 2);
	at = put_digits(at, '-', tm.tm_mday, 2);
	at = put_digits(at, 'T', tm.tm_hour, 2);
	at = put_digits(at, ':', tm.tm_min, 2);
	at = put_digits(at, ':', tm.tm_sec, 2);
	if (fraction != 0)
		at = put_digits(at, '.', (int)fraction, 6);
	at[0] = 'Z';
	at[1] = '\0';
	return text;
}

/* Exactly `count` digits at *text, which moves on. */
static bool take_digits(int *out, const char **text, int count)
{
	int value = 0;

	for (; count > 0; count--, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		value = value * 10 + (**text - '0');
	}
	*out = value;
	return true;
}

static bool take(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	(*text)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct tm *tm, const char **text)
{
	int year, month, day;

	if (!take_digits(&year, text, 4) || !take(text, '-') || !take_digits(&month, text, 2) ||
	    !take(text, '-') || !take_digits(&day, text, 2))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return true;
}

static bool take_time(struct tm *tm, const char **text)
{
	return take_digits(&tm->tm_hour, text, 2) && take(text, ':') &&
	       take_digits(&tm->tm_min, text, 2) && take(text, ':') &&
	       take_digits(&tm->tm_sec, text, 2) && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
	       tm->tm_sec <= 59;
}

/* ".123456789": anything finer than a microsecond is cut off. */
static bool take_fraction(int *out_us, const char **text)
{
	int us = 0, unit = 100000;

	if (!take(text, '.'))
		return true;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		us += (**text - '0') * unit;
	*out_us = us;
	return true;
}

static bool take_offset(int *out_s, const char **text)
{
	int hours, minutes, sign;

	if (take(text, 'Z') || take(text, 'z')) {
		*out_s = 0;
		return true;
	}
	sign = **text == '-' ? -1 : 1;
	if (!take(text, '+') && !take(text, '-'))
		return false;
	if (!take_digits(&hours, text, 2) || !take(text, ':') || !take_digits(&minutes, text, 2))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*out_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool clock_parse(int64_t *out_us, const char *text)
{
	const int64_t year_10000_s = INT64_C(253402300800);
	struct tm tm = {0};
	int fraction_us = 0, offset_s;
	int64_t seconds;

	if (text == NULL || !take_date(&tm, &text))
		return false;
	if (!take(&text, 'T') && !take(&text, 't'))
		return false;
	if (!take_time(&tm, &text) || !take_fraction(&fraction_us, &text) ||
	    !take_offset(&offset_s, &text) || *text != '\0')
		return false;
	seconds = (int64_t)timegm(&tm) - offset_s;
	if (seconds < 0 || seconds >= year_10000_s)
		return false;
	*out_us = seconds * CLOCK_US_PER_S + fraction_us;
	return true;
}

static int64_t unit_seconds(char unit)
{
	switch (unit) {
	case '\0':
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	}
	return 0;
}

bool clock_parse_duration(int64_t *out_s, const char *text)
{
	int64_t count = 0, unit;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		count = count * 10 + (*text - '0');
		if (count > DURATION_S_MAX)
			return false;
	}
	unit = unit_seconds(*text);
	if (unit == 0 || (*text != '\0' && text[1] != '\0'))
		return false;
	if (count < 1 || count > DURATION_S_MAX / unit)
		return false;
	*out_s = count * unit;
	return true;
}
