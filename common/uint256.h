/* common/uint256.h - token amounts as they stand on the wire.
 *
 * EVM amounts are unsigned 256-bit integers in the asset's smallest unit,
 * written as decimal strings. Parsed strictly (digits only, at most 78, below
 * 2^256) and kept big-endian, the way EIP-712 hashes them. */
#ifndef COMMON_UINT256_H
#define COMMON_UINT256_H

#include <stdbool.h>
#include <stdint.h>

#include "common/amount.h"

#define UINT256_TEXT_SIZE 79

struct uint256 {
	uint8_t be[32];
};

struct uint256 uint256_of(uint64_t value);

/** Digits only; no sign, exponent, hex, spaces; leading zeros are allowed up
 * to 78 digits in all. Returns false, *out untouched, on anything else and on
 * NULL. */
bool uint256_parse(struct uint256 *out, const char *text) MUST_CHECK;

/** Decimal digits without leading zeros; returns text. */
const char *uint256_format(char text[UINT256_TEXT_SIZE], const struct uint256 *value);

int uint256_cmp(const struct uint256 *a, const struct uint256 *b);
bool uint256_is_zero(const struct uint256 *value);

/** Sum, difference, product; false, *out untouched, when it leaves 0..2^256-1. *out may be
 * an operand. */
bool uint256_add(struct uint256 *out, const struct uint256 *a, const struct uint256 *b) MUST_CHECK;
bool uint256_sub(struct uint256 *out, const struct uint256 *a, const struct uint256 *b) MUST_CHECK;
bool uint256_multiply(struct uint256 *out, const struct uint256 *a, uint64_t b) MUST_CHECK;

/** To micro-dollars by the given decimals (0..36, ours, never the seller's),
 * rounded up so that a limit never counts less than was signed.
 * Returns false, *out untouched, when it does not fit an amount. */
bool uint256_to_amount(struct amount *out, const struct uint256 *value, unsigned decimals)
    MUST_CHECK;

/** From micro-dollars; false when amount is negative or is not a whole number
 * of the asset's units (decimals below 6). */
bool uint256_from_amount(struct uint256 *out, struct amount amount, unsigned decimals) MUST_CHECK;

#endif
