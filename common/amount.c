/* common/amount.c - checked micro-dollars. */
#include "common/amount.h"

#include <string.h>

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
	char digits[AMOUNT_TEXT_SIZE];
	char *first = digits + sizeof digits - 1;
	int decimals = DECIMALS;

	for (; decimals > DECIMALS_MIN && micros % 10 == 0; decimals--)
		micros /= 10;
	/* From the last digit to the first, which is one of whole dollars. */
	*first = '\0';
	for (; decimals >= 0 || micros > 0; decimals--) {
		*--first = (char)('0' + micros % 10);
		micros /= 10;
		if (decimals == 1)
			*--first = '.';
	}
	if (amount.micros < 0)
		*--first = '-';
	memcpy(text, first, (size_t)(digits + sizeof digits - first));
	return text;
}
