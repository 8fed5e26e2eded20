/* common/amount.h - money in millionths of a US dollar.
 *
 * Units: int64 micro-dollars, so at most 9.2 trillion dollars; no floating
 * point anywhere. Every operation is checked: on overflow it returns false and
 * leaves its output untouched. Text is decimal dollars: "0.05", "12.00",
 * "0.000001", with two to six decimals on output. */
#ifndef COMMON_AMOUNT_H
#define COMMON_AMOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

#define AMOUNT_MICROS_PER_DOLLAR INT64_C(1000000)
#define AMOUNT_MICROS_PER_CENT   INT64_C(10000)
/* "-9223372036854.775808" and its terminator. */
#define AMOUNT_TEXT_SIZE 24

struct amount {
	int64_t micros;
};

#define AMOUNT_ZERO ((struct amount){0})
#define AMOUNT_MAX  ((struct amount){INT64_MAX})

static inline struct amount amount_of(int64_t micros)
{
	return (struct amount){micros};
}

/** Sum and difference. Returns false on overflow; *out is then untouched. */
bool amount_add(struct amount *out, struct amount a, struct amount b) MUST_CHECK;
bool amount_sub(struct amount *out, struct amount a, struct amount b) MUST_CHECK;

/** -1, 0 or 1 as a is below, equal to or above b. */
int amount_cmp(struct amount a, struct amount b);
struct amount amount_min(struct amount a, struct amount b);

/** amount_parse - read decimal dollars, never negative.
 *
 * Accepts digits with at most one point and at most six decimals ("5", "0.05",
 * "5.000001"), a digit on each side of the point; no sign, no exponent, no
 * spaces, no thousands separator.
 * Returns false, *out untouched, when text is NULL, anything else or too large. */
bool amount_parse(struct amount *out, const char *text) MUST_CHECK;

/** Whole US cents, 0 or more. Returns false when negative or too large. */
bool amount_from_cents(struct amount *out, int64_t cents) MUST_CHECK;

/** Decimal dollars into text; returns text. */
const char *amount_format(char text[AMOUNT_TEXT_SIZE], struct amount amount);

#endif
