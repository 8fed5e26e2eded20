/* Fees: ceilings, overflow, and their text. */
#include "tests/unit/unit.h"
#include "wallet/fee.h"

#define MAX_TEXT "115792089237316195423570985008687907853269984665640564039457584007913129639935"
#define GWEI     "000000000"

static struct uint256 wei(const char *text)
{
	struct uint256 value;

	assert_true(uint256_parse(&value, text));
	return value;
}

static void check(const char *row, const struct uint256 *value, const char *expected)
{
	char text[UINT256_TEXT_SIZE];

	uint256_format(text, value);
	if (strcmp(text, expected) != 0)
		fail_msg("row \"%s\": %s is not %s", row, text, expected);
}

/* Ceilings: 100 gwei for a unit of gas, 0.01 of the coin in all. */
static enum fee_result plan(struct fee *fee, uint64_t gas, const char *base, const char *priority)
{
	struct fee_ceiling ceiling = {wei("100" GWEI), wei("10000000" GWEI)};
	struct uint256 base_fee = wei(base), priority_fee = wei(priority);

	return fee_plan(fee, gas, &base_fee, &priority_fee, &ceiling);
}

static void fees_leave_room_within_the_ceiling(void **state)
{
	static const struct {
		const char *row;
		uint64_t gas;
		const char *base, *priority;
		uint64_t limit;
		const char *fee_max, *estimate, *total;
	} rows[] = {
	    {"a quiet chain", 60000, "1" GWEI, "2" GWEI, 75000, "4" GWEI, "180000" GWEI,
		"300000" GWEI},
	    {"a chain that asks nothing", 60000, "0", "0", 75000, "0", "0", "0"},
	    {"the smallest gas", 1, "3", "2", 1, "8", "5", "8"},
	    {"room is cut at the ceiling", 60000, "60" GWEI, "10" GWEI, 75000, "100" GWEI,
		"4200000" GWEI, "7500000" GWEI},
	    {"exactly at the ceiling", 60000, "45" GWEI, "10" GWEI, 75000, "100" GWEI,
		"3300000" GWEI, "7500000" GWEI},
	    {"no room left at all", 60000, "99" GWEI, "1" GWEI, 75000, "100" GWEI, "6000000" GWEI,
		"7500000" GWEI},
	    {"the whole exactly at its ceiling", 80000, "49" GWEI, "2" GWEI, 100000, "100" GWEI,
		"4080000" GWEI, "10000000" GWEI},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct fee fee;

		row_check(rows[i].row,
		    plan(&fee, rows[i].gas, rows[i].base, rows[i].priority) == FEE_OK);
		row_check(rows[i].row, fee.gas_limit == rows[i].limit);
		check(rows[i].row, &fee.priority_fee, rows[i].priority);
		check(rows[i].row, &fee.fee_max, rows[i].fee_max);
		check(rows[i].row, &fee.estimate, rows[i].estimate);
		check(rows[i].row, &fee.total, rows[i].total);
	}
}

static void what_a_liar_asks_is_refused(void **state)
{
	static const struct {
		const char *row;
		uint64_t gas;
		const char *base, *priority;
		enum fee_result result;
	} rows[] = {
	    {"no gas", 0, "1", "1", FEE_BAD_GAS},
	    {"more gas than a block holds", 30000001, "1", "1", FEE_BAD_GAS},
	    {"gas that wraps", UINT64_MAX, "1", "1", FEE_BAD_GAS},
	    {"a base fee that wraps when doubled", 60000, MAX_TEXT, "0", FEE_BAD_GAS},
	    {"base and priority fee that wrap", 60000, MAX_TEXT, "1", FEE_BAD_GAS},
	    {"a priority fee that wraps in the product", 60000, "0", MAX_TEXT, FEE_BAD_GAS},
	    {"a priority fee just above", 60000, "0", "100000000001", FEE_OVER_PER_GAS},
	    {"the two together just above", 60000, "50" GWEI, "50000000001", FEE_OVER_PER_GAS},
	    {"a base fee just above", 60000, "100000000001", "0", FEE_OVER_PER_GAS},
	    {"price before whole", 30000000, "101" GWEI, "0", FEE_OVER_PER_GAS},
	    {"the whole just above", 80001, "49" GWEI, "2" GWEI, FEE_OVER_TOTAL},
	    {"a cheap price, absurd gas", 30000000, "1" GWEI, "0", FEE_OVER_TOTAL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct fee fee = {.gas_limit = 7};

		row_check(rows[i].row,
		    plan(&fee, rows[i].gas, rows[i].base, rows[i].priority) == rows[i].result);
		row_check(rows[i].row, (fee.gas_limit == 7) == (rows[i].result == FEE_BAD_GAS));
	}
}

static void decimal_text_both_ways(void **state)
{
	static const struct {
		const char *text;
		unsigned decimals;
		const char *wei, *shown;
	} rows[] = {
	    {"0", 18, "0", "0"},
	    {"0.0", 18, "0", "0"},
	    {"1", 18, "1000000000000000000", "1"},
	    {"007", 18, "7000000000000000000", "7"},
	    {"10", 18, "10000000000000000000", "10"},
	    {"0.01", 18, "10000000000000000", "0.01"},
	    {"0.000000000000000001", 18, "1", "0.000000000000000001"},
	    {"1.500000000000000000", 18, "1500000000000000000", "1.5"},
	    {"120.25", 9, "120250000000", "120.25"},
	    {"0.000000001", 9, "1", "0.000000001"},
	    {"1.000000001", 9, "1000000001", "1.000000001"},
	    {"115792089237316195423570985008687907853269984665640564039457."
	     "584007913129639935",
		18, MAX_TEXT,
		"115792089237316195423570985008687907853269984665640564039457."
		"584007913129639935"},
	    {"100", 0, "100", "100"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char text[FEE_TEXT_SIZE];
		struct uint256 value;

		row_check(rows[i].text, fee_parse(&value, rows[i].text, rows[i].decimals));
		check(rows[i].text, &value, rows[i].wei);
		assert_string_equal(fee_format(text, &value, rows[i].decimals), rows[i].shown);
	}
}

static void other_text_is_no_fee(void **state)
{
	static const char *const rows[] = {NULL, "", ".", ".5", "5.", "-1", "+1", " 1", "1 ", "1e9",
	    "0x1", "1,5", "1.2.3", "1.0000000001", "1..0", "a", "1a",
	    "115792089237316195423570985008687907853269984665640564039457584007913129639.936",
	    "1000000000000000000000000000000000000000000000000000000000000000000000000000000"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value = uint256_of(7);

		row_check(rows[i] != NULL ? rows[i] : "NULL",
		    !fee_parse(&value, rows[i], FEE_GWEI_DECIMALS));
		check("untouched", &value, "7");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fees_leave_room_within_the_ceiling),
	    cmocka_unit_test(what_a_liar_asks_is_refused),
	    cmocka_unit_test(decimal_text_both_ways),
	    cmocka_unit_test(other_text_is_no_fee),
	};

	return unit_run(tests);
}
