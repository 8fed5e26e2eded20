/* common/uint256.c - schoolbook arithmetic on 32 big-endian bytes.
 *
 * Only what amounts need: times and divided by a small number. A parse is 78
 * rounds of 32 steps, which is nothing beside the signature that follows. */
#include "common/uint256.h"

#include <string.h>

#define DIGITS_MAX     78
#define DECIMALS_MAX   36
#define MICRO_DECIMALS 6

struct uint256 uint256_of(uint64_t value)
{
	struct uint256 out = {{0}};
	int i;

	for (i = 31; value != 0; i--, value >>= 8)
		out.be[i] = (uint8_t)value;
	return out;
}

/* value = value * factor + addend; false when it leaves 256 bits. */
static bool multiply_add(struct uint256 *value, unsigned factor, unsigned addend)
{
	unsigned carry = addend;
	int i;

	for (i = 31; i >= 0; i--) {
		carry += value->be[i] * factor;
		value->be[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

/* value = value / 10; returns the remainder. */
static unsigned divide_by_ten(struct uint256 *value)
{
	unsigned remainder = 0;
	int i;

	for (i = 0; i < 32; i++) {
		remainder = remainder << 8 | value->be[i];
		value->be[i] = (uint8_t)(remainder / 10);
		remainder %= 10;
	}
	return remainder;
}

bool uint256_parse(struct uint256 *out, const char *text)
{
	struct uint256 value = {{0}};
	int digits;

	if (text == NULL)
		return false;
	for (digits = 0; text[digits] >= '0' && text[digits] <= '9'; digits++) {
		if (digits == DIGITS_MAX ||
		    !multiply_add(&value, 10, (unsigned)(text[digits] - '0')))
			return false;
	}
	if (digits == 0 || text[digits] != '\0')
		return false;
	*out = value;
	return true;
}

const char *uint256_format(char text[UINT256_TEXT_SIZE], const struct uint256 *value)
{
	struct uint256 rest = *value;
	char digits[DIGITS_MAX];
	size_t start = DIGITS_MAX;

	do {
		digits[--start] = (char)('0' + divide_by_ten(&rest));
	} while (!uint256_is_zero(&rest));
	memcpy(text, digits + start, DIGITS_MAX - start);
	text[DIGITS_MAX - start] = '\0';
	return text;
}

int uint256_cmp(const struct uint256 *a, const struct uint256 *b)
{
	int order = memcmp(a->be, b->be, sizeof(a->be));

	return (order > 0) - (order < 0);
}

bool uint256_is_zero(const struct uint256 *value)
{
	static const struct uint256 zero;

	return uint256_cmp(value, &zero) == 0;
}

bool uint256_add(struct uint256 *out, const struct uint256 *a, const struct uint256 *b)
{
	struct uint256 sum;
	unsigned carry = 0;
	int i;

	for (i = 31; i >= 0; i--) {
		carry += (unsigned)a->be[i] + b->be[i];
		sum.be[i] = (uint8_t)carry;
		carry >>= 8;
	}
	if (carry != 0)
		return false;
	*out = sum;
	return true;
}

bool uint256_sub(struct uint256 *out, const struct uint256 *a, const struct uint256 *b)
{
	struct uint256 rest;
	unsigned borrow = 0;
	int i;

	for (i = 31; i >= 0; i--) {
		unsigned step = 256u + a->be[i] - b->be[i] - borrow;

		rest.be[i] = (uint8_t)step;
		borrow = step < 256u;
	}
	if (borrow != 0)
		return false;
	*out = rest;
	return true;
}

/* Most significant byte of b first: out = out * 256 + a * byte. */
bool uint256_multiply(struct uint256 *out, const struct uint256 *a, uint64_t b)
{
	struct uint256 product = {{0}}, term;
	int shift;

	for (shift = 56; shift >= 0; shift -= 8) {
		term = *a;
		if (!multiply_add(&product, 256, 0) ||
		    !multiply_add(&term, (unsigned)(b >> shift & 0xff), 0) ||
		    !uint256_add(&product, &product, &term))
			return false;
	}
	*out = product;
	return true;
}

bool uint256_to_amount(struct amount *out, const struct uint256 *value, unsigned decimals)
{
	struct uint256 micros = *value;
	struct uint256 micros_max = uint256_of(INT64_MAX);
	bool inexact = false;
	int64_t whole = 0;
	int i;

	must(decimals <= DECIMALS_MAX);
	for (; decimals < MICRO_DECIMALS; decimals++) {
		if (!multiply_add(&micros, 10, 0))
			return false;
	}
	for (; decimals > MICRO_DECIMALS; decimals--)
		inexact |= divide_by_ten(&micros) != 0;
	if (inexact && !multiply_add(&micros, 1, 1))
		return false;
	if (uint256_cmp(&micros, &micros_max) > 0)
		return false;
	for (i = 24; i < 32; i++)
		whole = whole << 8 | micros.be[i];
	out->micros = whole;
	return true;
}

bool uint256_from_amount(struct uint256 *out, struct amount amount, unsigned decimals)
{
	struct uint256 units;

	must(decimals <= DECIMALS_MAX);
	if (amount.micros < 0)
		return false;
	units = uint256_of((uint64_t)amount.micros);
	for (; decimals < MICRO_DECIMALS; decimals++) {
		if (divide_by_ten(&units) != 0)
			return false;
	}
	for (; decimals > MICRO_DECIMALS; decimals--)
		must(multiply_add(&units, 10, 0)); /* 2^63 * 10^30 < 2^163 */
	*out = units;
	return true;
}
