/* wallet/fee.h - what a transaction may cost the wallet, in wei of the chain's native coin.
 *
 * A node names the prices, and a lying one could have the wallet give its coins away as a
 * priority fee; so the owner's ceilings bound both the price of a unit of gas and the whole.
 * Source: EIP-1559. Roll-ups that also charge for data (Base, OP stack) take it from the same
 * balance; their nodes refuse a wallet that lacks it, we cannot compute it. */
#ifndef WALLET_FEE_H
#define WALLET_FEE_H

#include <stdint.h>

#include "common/buf.h"
#include "common/uint256.h"

#define FEE_WEI_DECIMALS  18u /* of the native coin */
#define FEE_GWEI_DECIMALS 9u  /* of a price of gas */
/* "0." or 60 digits and a point, 18 decimals, NUL. */
#define FEE_TEXT_SIZE 82u

struct fee_ceiling {
	struct uint256 per_gas; /* wei for a unit of gas */
	struct uint256 total;   /* wei for one transaction */
};

struct fee {
	uint64_t gas_limit;
	struct uint256 priority_fee, fee_max; /* wei for a unit of gas */
	struct uint256 estimate, total;       /* wei: likely, and at most */
};

enum fee_result {
	FEE_OK = 0,
	FEE_BAD_GAS = 1,      /* no gas estimated, or more than any block holds; a number that
			       * no chain's fee reaches */
	FEE_OVER_PER_GAS = 2, /* a unit of gas costs more than the ceiling */
	FEE_OVER_TOTAL = 3,   /* the whole may cost more than the ceiling */
};

/** fee_plan - from what a node says to what is offered.
 *
 * gas_limit: the estimate and a quarter more, because the state may change before the
 * transaction is mined; unused gas is not paid. fee_max: twice the base fee and the priority
 * fee, so that six full blocks may pass (the base fee grows by an eighth a block), but not
 * above the ceiling as long as that still covers base fee and priority fee.
 * In the order of enum fee_result; *out is written also when a ceiling is passed, to say by
 * how much, but untouched when BAD_GAS. */
enum fee_result fee_plan(struct fee *out, uint64_t gas, const struct uint256 *base_fee,
    const struct uint256 *priority_fee, const struct fee_ceiling *ceiling) MUST_CHECK;

/** Decimal text with at most `decimals` places ("0.000021"), digits on both sides of a point;
 * false, *out untouched, on anything else, NULL, and what leaves 256 bits. */
bool fee_parse(struct uint256 *out, const char *text, unsigned decimals) MUST_CHECK;
/** Decimal text without trailing zeros: "0.000021", "3"; returns text. */
const char *fee_format(char text[FEE_TEXT_SIZE], const struct uint256 *value, unsigned decimals);

#endif
