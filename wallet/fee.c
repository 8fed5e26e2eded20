/* wallet/fee.c - what a transaction may cost the wallet, in wei of the chain's native coin. */
#include "wallet/fee.h"

#include <string.h>

#define GAS_MAX UINT64_C(30000000) /* a block of Ethereum held as much for years */

enum fee_result fee_plan(struct fee *out, uint64_t gas, const struct uint256 *base_fee,
    const struct uint256 *priority_fee, const struct fee_ceiling *ceiling)
{
	struct fee fee = {.priority_fee = *priority_fee};
	struct uint256 now;

	if (gas == 0 || gas > GAS_MAX)
		return FEE_BAD_GAS;
	fee.gas_limit = gas + gas / 4;
	if (!uint256_add(&now, base_fee, priority_fee) ||
	    !uint256_add(&fee.fee_max, &now, base_fee) ||
	    !uint256_multiply(&fee.estimate, &now, gas) ||
	    !uint256_multiply(&fee.total, &fee.fee_max, fee.gas_limit))
		return FEE_BAD_GAS;
	if (uint256_cmp(&fee.fee_max, &ceiling->per_gas) > 0 &&
	    uint256_cmp(&now, &ceiling->per_gas) <= 0) {
		fee.fee_max = ceiling->per_gas;
		must(uint256_multiply(&fee.total, &fee.fee_max, fee.gas_limit));
	}
	*out = fee;
	if (uint256_cmp(&fee.fee_max, &ceiling->per_gas) > 0)
		return FEE_OVER_PER_GAS;
	if (uint256_cmp(&fee.total, &ceiling->total) > 0)
		return FEE_OVER_TOTAL;
	return FEE_OK;
}

bool fee_parse(struct uint256 *out, const char *text, unsigned decimals)
{
	char digits[UINT256_TEXT_SIZE];
	size_t whole, places = 0;

	must(decimals <= FEE_WEI_DECIMALS);
	if (text == NULL)
		return false;
	whole = strspn(text, "0123456789");
	if (text[whole] == '.')
		places = strspn(text + whole + 1, "0123456789");
	if (whole == 0 || (text[whole] == '.' && places == 0) || places > decimals ||
	    text[whole + (places > 0) + places] != '\0' ||
	    whole + decimals >= sizeof(digits))
		return false;
	memcpy(digits, text, whole);
	memset(digits + whole, '0', decimals);
	if (places > 0)
		memcpy(digits + whole, text + whole + 1, places);
	digits[whole + decimals] = '\0';
	return uint256_parse(out, digits);
}

const char *fee_format(char text[FEE_TEXT_SIZE], const struct uint256 *value, unsigned decimals)
{
	char digits[UINT256_TEXT_SIZE], *at = text;
	size_t count = strlen(uint256_format(digits, value));
	size_t whole = count > decimals ? count - decimals : 0;
	size_t zeros = count > decimals ? 0 : decimals - count;

	must(decimals <= FEE_WEI_DECIMALS);
	while (count > whole && digits[count - 1] == '0')
		count--;
	memcpy(at, whole > 0 ? digits : "0", whole > 0 ? whole : 1);
	at += whole > 0 ? whole : 1;
	if (count > whole) {
		*at++ = '.';
		memset(at, '0', zeros);
		memcpy(at + zeros, digits + whole, count - whole);
		at += zeros + count - whole;
	}
	*at = '\0';
	return text;
}
