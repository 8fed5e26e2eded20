/* Money: what is read, what is refused, and where the numbers end. */
#include "common/amount.h"
#include "tests/unit/unit.h"

static void parse_reads_decimal_dollars(void **state)
{
	static const struct {
		const char *text;
		int64_t micros;
	} rows[] = {
	    {"0", 0},
	    {"0.00", 0},
	    {"5", 5000000},
	    {"0.05", 50000},
	    {"0.5", 500000},
	    {"12.00", 12000000},
	    {"5.000001", 5000001},
	    {"0.000001", 1},
	    {"007", 7000000},
	    {"9223372036854", INT64_C(9223372036854000000)},
	    {"9223372036854.775807", INT64_MAX},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct amount amount = amount_of(-7);

		row_check(rows[i].text, amount_parse(&amount, rows[i].text));
		row_check(rows[i].text, amount.micros == rows[i].micros);
	}
}

static void parse_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"", ".", ".5", "5.", "-1", "+1", "-0", " 1", "1 ", "1\n",
	    "1,000", "1_000", "$1", "1$", "1e3", "1E3", "0x10", "1.2.3", "1..2", "0.0000001",
	    "0.0000000", "1.00000000000000000000", "NaN", "inf", "five", "1.-5", "1.+5", "1. 5",
	    "٥", "9223372036854.775808", "9223372036855", "9223372036855.0", "99999999999999999999",
	    "18446744073709.551616",
	    "115792089237316195423570985008687907853269984665640564039457"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct amount amount = amount_of(-7);

		row_check(rows[i], !amount_parse(&amount, rows[i]));
		row_check(rows[i], amount.micros == -7);
	}
	struct amount amount = amount_of(-7);
	assert_false(amount_parse(&amount, NULL));
	assert_int_equal(amount.micros, -7);
}

static void format_shows_two_to_six_decimals(void **state)
{
	static const struct {
		int64_t micros;
		const char *text;
	} rows[] = {
	    {0, "0.00"},
	    {1, "0.000001"},
	    {10, "0.00001"},
	    {1000, "0.001"},
	    {10000, "0.01"},
	    {50000, "0.05"},
	    {500000, "0.50"},
	    {1000000, "1.00"},
	    {1230000, "1.23"},
	    {1234000, "1.234"},
	    {12000000, "12.00"},
	    {-1, "-0.000001"},
	    {-2500000, "-2.50"},
	    {INT64_MAX, "9223372036854.775807"},
	    {INT64_MIN, "-9223372036854.775808"},
	};
	char text[AMOUNT_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		assert_string_equal(amount_format(text, amount_of(rows[i].micros)), rows[i].text);
}

static void format_and_parse_agree(void **state)
{
	int64_t micros;

	(void)state;
	for (micros = 1; micros > 0 && micros < INT64_MAX / 7; micros = micros * 7 + 3) {
		char text[AMOUNT_TEXT_SIZE];
		struct amount amount;

		assert_true(amount_parse(&amount, amount_format(text, amount_of(micros))));
		assert_int_equal(amount.micros, micros);
	}
}

static void sums_and_differences_are_checked(void **state)
{
	static const struct {
		int64_t a, b;
		bool adds;
		int64_t sum;
		bool subtracts;
		int64_t difference;
	} rows[] = {
	    {0, 0, true, 0, true, 0},
	    {5, 3, true, 8, true, 2},
	    {3, 5, true, 8, true, -2},
	    {INT64_MAX, 0, true, INT64_MAX, true, INT64_MAX},
	    {INT64_MAX, 1, false, 0, true, INT64_MAX - 1},
	    {INT64_MAX, -1, true, INT64_MAX - 1, false, 0},
	    {INT64_MIN, 1, true, INT64_MIN + 1, false, 0},
	    {INT64_MIN, -1, false, 0, true, INT64_MIN + 1},
	    {INT64_MAX, INT64_MAX, false, 0, true, 0},
	    {0, INT64_MIN, true, INT64_MIN, false, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct amount a = amount_of(rows[i].a), b = amount_of(rows[i].b);
		struct amount sum = amount_of(77), difference = amount_of(77);

		assert_int_equal(amount_add(&sum, a, b), rows[i].adds);
		assert_int_equal(sum.micros, rows[i].adds ? rows[i].sum : 77);
		assert_int_equal(amount_sub(&difference, a, b), rows[i].subtracts);
		assert_int_equal(difference.micros, rows[i].subtracts ? rows[i].difference : 77);
	}
}

static void the_output_may_be_an_input(void **state)
{
	struct amount total = amount_of(5);

	(void)state;
	assert_true(amount_add(&total, total, total));
	assert_int_equal(total.micros, 10);
	assert_true(amount_sub(&total, total, amount_of(4)));
	assert_int_equal(total.micros, 6);
}

static void comparison_orders(void **state)
{
	(void)state;
	assert_int_equal(amount_cmp(amount_of(1), amount_of(2)), -1);
	assert_int_equal(amount_cmp(amount_of(2), amount_of(2)), 0);
	assert_int_equal(amount_cmp(amount_of(3), amount_of(2)), 1);
	assert_int_equal(amount_cmp(amount_of(INT64_MIN), AMOUNT_MAX), -1);
	assert_int_equal(amount_cmp(AMOUNT_MAX, amount_of(INT64_MIN)), 1);
	assert_int_equal(amount_min(amount_of(3), amount_of(2)).micros, 2);
	assert_int_equal(amount_min(amount_of(2), amount_of(3)).micros, 2);
	assert_int_equal(amount_min(AMOUNT_ZERO, AMOUNT_MAX).micros, 0);
}

static void cents_are_whole_and_not_negative(void **state)
{
	const int64_t cents_max = INT64_MAX / AMOUNT_MICROS_PER_CENT;
	struct amount amount = amount_of(-7);

	(void)state;
	assert_false(amount_from_cents(&amount, -1));
	assert_false(amount_from_cents(&amount, INT64_MIN));
	assert_false(amount_from_cents(&amount, cents_max + 1));
	assert_false(amount_from_cents(&amount, INT64_MAX));
	assert_int_equal(amount.micros, -7);
	assert_true(amount_from_cents(&amount, 0));
	assert_int_equal(amount.micros, 0);
	assert_true(amount_from_cents(&amount, 5));
	assert_int_equal(amount.micros, 50000);
	assert_true(amount_from_cents(&amount, cents_max));
	assert_int_equal(amount.micros, cents_max * AMOUNT_MICROS_PER_CENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse_reads_decimal_dollars),
	    cmocka_unit_test(parse_refuses_the_rest),
	    cmocka_unit_test(format_shows_two_to_six_decimals),
	    cmocka_unit_test(format_and_parse_agree),
	    cmocka_unit_test(sums_and_differences_are_checked),
	    cmocka_unit_test(the_output_may_be_an_input),
	    cmocka_unit_test(comparison_orders),
	    cmocka_unit_test(cents_are_whole_and_not_negative),
	};

	return unit_run(tests);
}
