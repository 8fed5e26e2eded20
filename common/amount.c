/* common/amount.c - checked micro-dollars. */
#include "common/amount.h"

#include <stdio.h>

#define DECIMALS     6 /* micro-dollars have six decimals */
#define DECIMALS_MIN 2 /* shown at least: whole cents */

bool amount_add(struct amount *out, struct amount a, struct amount b)
{
	int64_t sum;

	if (__builtin_add_overflow(a.micros, b.micros, &sum))
		return false;
	out->micros = sum;
	return true;
}

bool amount_sub(struct amount *out, struct amount a, struct amount b)
{
	int64_t difference;

	if (__builtin_sub_overflow(a.micros, b.micros, &difference))
		return false;
	out->micros = difference;
	return true;
}

int amount_cmp(struct amount a, struct amount b)
{
	return (a.micros > b.micros) - (a.micros < b.micros);
}

struct amount amount_min(struct amount a, struct amount b)
{
	return a.micros < b.micros ? a : b;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool append_digit(int64_t *value, int digit)
{
	return !__builtin_mul_overflow(*value, 10, value) &&
	       !__builtin_add_overflow(*value, digit, value);
}

bool amount_parse(struct amount *out, const char *text)
{
	int64_t micros = 0;
	int decimals = 0;

	if (text == NULL || !is_digit(*text))
		return false;
	for (; is_digit(*text); text++) {
		if (!append_digit(&micros, *text - '0'))
			return false;
	}
	if (*text == '.') {
		text++;
		for (; is_digit(*text) && decimals < DECIMALS; text++, decimals++) {
			if (!append_digit(&micros, *text - '0'))
				return false;
		}
		if (decimals == 0)
			return false;
	}
	if (*text != '\0')
		return false;
	for (; decimals < DECIMALS; decimals++) {
		if (!append_digit(&micros, 0))
			return false;
	}
	out->micros = micros;
	return true;
}

bool amount_from_cents(struct amount *out, int64_t cents)
{
	int64_t micros;

	if (cents < 0 || __builtin_mul_overflow(cents, AMOUNT_MICROS_PER_CENT, &micros))
		return false;
	out->micros = micros;
	return true;
}

const char *amount_format(char text[AMOUNT_TEXT_SIZE], struct amount amount)
{
	/* The negation is done unsigned: INT64_MIN has no positive twin. */
	uint64_t micros = amount.micros < 0 ? -(uint64_t)amount.micros : (uint64_t)amount.micros;
	unsigned long long dollars = micros / AMOUNT_MICROS_PER_DOLLAR;
	unsigned fraction = (unsigned)(micros % AMOUNT_MICROS_PER_DOLLAR);
	int decimals = DECIMALS;
	int length;

	while (decimals > DECIMALS_MIN && fraction % 10 == 0) {
		fraction /= 10;
		decimals--;
	}
	length = snprintf(text, AMOUNT_TEXT_SIZE, "%s%llu.%0*u", amount.micros < 0 ? "-" : "",
	    dollars, decimals, fraction);
	must(length > 0 && length < AMOUNT_TEXT_SIZE);
	return text;
}
