/* common/clock.c - reading, writing and parsing time. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#define DURATION_S_MAX (INT64_C(3650) * 86400)

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	must(clock_gettime(id, &now) == 0);
	return (int64_t)now.tv_sec * CLOCK_US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

const char *clock_format(char text[CLOCK_TEXT_SIZE], int64_t us)
{
	int64_t fraction = us % CLOCK_US_PER_S;
	time_t seconds = us / CLOCK_US_PER_S;
	struct tm tm;
	size_t length;

	if (fraction < 0) {
		fraction += CLOCK_US_PER_S;
		seconds--;
	}
	must(gmtime_r(&seconds, &tm) != NULL);
	length = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	must(length > 0);
	if (fraction != 0)
		snprintf(text + length, CLOCK_TEXT_SIZE - length, ".%06dZ", (int)fraction);
	else
		snprintf(text + length, CLOCK_TEXT_SIZE - length, "Z");
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
