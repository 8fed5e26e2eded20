/* Amounts on the wire: decimal strings up to 2^256 - 1. */
#include "common/uint256.h"
#include "tests/unit/unit.h"

#define MAX_TEXT   "115792089237316195423570985008687907853269984665640564039457584007913129639935"
#define MAX_PLUS_1 "115792089237316195423570985008687907853269984665640564039457584007913129639936"
#define NINES_78   "999999999999999999999999999999999999999999999999999999999999999999999999999999"
#define ZEROS_77_ONE                                                                               \
	"000000000000000000000000000000000000000000000000000000000000000000000000000001"
#define ZEROS_78_ONE "0" ZEROS_77_ONE

static struct uint256 parsed(const char *text)
{
	struct uint256 value;

	assert_true(uint256_parse(&value, text));
	return value;
}

static void parse_and_format_agree(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
	    {"0", "0"},
	    {"1", "1"},
	    {"10", "10"},
	    {"255", "255"},
	    {"256", "256"},
	    {"10000", "10000"},
	    {"007", "7"},
	    {"00", "0"},
	    {"18446744073709551615", "18446744073709551615"},
	    {"18446744073709551616", "18446744073709551616"},
	    {MAX_TEXT, MAX_TEXT},
	    {ZEROS_77_ONE, "1"},
	};
	char text[UINT256_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value;

		row_check(rows[i].text, uint256_parse(&value, rows[i].text));
		assert_string_equal(uint256_format(text, &value), rows[i].shown);
	}
}

static void bytes_are_big_endian(void **state)
{
	struct uint256 max = parsed(MAX_TEXT), small = parsed("66051");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(max.be); i++)
		assert_int_equal(max.be[i], 0xff);
	for (i = 0; i < 29; i++)
		assert_int_equal(small.be[i], 0);
	assert_int_equal(small.be[29], 1);
	assert_int_equal(small.be[30], 2);
	assert_int_equal(small.be[31], 3);
}

static void parse_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"", " ", "-1", "+1", "-0", " 1", "1 ", "1\n", "1.0", ".",
	    "1.", "1e3", "1E3", "0x10", "ff", "1_000", "1,000", "1'000", "NaN", "null", "٥", "1٥",
	    MAX_PLUS_1, NINES_78, (MAX_TEXT "0"), ZEROS_78_ONE, ("1" MAX_TEXT)};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value = uint256_of(7), untouched = uint256_of(7);

		row_check(rows[i], !uint256_parse(&value, rows[i]));
		row_check(rows[i], uint256_cmp(&value, &untouched) == 0);
	}
	struct uint256 value = uint256_of(7);
	assert_false(uint256_parse(&value, NULL));
}

static void of_takes_64_bits(void **state)
{
	struct uint256 value = uint256_of(UINT64_MAX), wanted = parsed("18446744073709551615");

	(void)state;
	assert_int_equal(uint256_cmp(&value, &wanted), 0);
	value = uint256_of(0);
	assert_true(uint256_is_zero(&value));
	value = uint256_of(1);
	assert_false(uint256_is_zero(&value));
}

static void comparison_orders(void **state)
{
	static const char *const ascending[] = {
	    "0", "1", "255", "256", "18446744073709551615", "18446744073709551616", MAX_TEXT};
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(ascending); i++) {
		for (j = 0; j < COUNT(ascending); j++) {
			struct uint256 a = parsed(ascending[i]), b = parsed(ascending[j]);

			assert_int_equal(uint256_cmp(&a, &b), (i > j) - (i < j));
		}
	}
}

static void to_amount_rounds_up(void **state)
{
	static const struct {
		const char *text;
		unsigned decimals;
		int64_t micros;
	} rows[] = {
	    {"0", 6, 0},
	    {"10000", 6, 10000},
	    {"1", 6, 1},
	    {"9223372036854775807", 6, INT64_MAX},
	    {"5", 0, 5000000},
	    {"9223372036854", 0, INT64_C(9223372036854000000)},
	    {"1", 2, 10000},
	    {"0", 18, 0},
	    {"1", 18, 1},
	    {"999999999999", 18, 1},
	    {"1000000000000", 18, 1},
	    {"1000000000001", 18, 2},
	    {"10000000000000000", 18, 10000},
	    {"1", 7, 1},
	    {"10", 7, 1},
	    {"11", 7, 2},
	    {"1", 36, 1},
	    {"9223372036854775807000000000000", 18, INT64_MAX},
	    {"9223372036854775806000000000001", 18, INT64_MAX},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value = parsed(rows[i].text);
		struct amount amount;

		row_check(rows[i].text, uint256_to_amount(&amount, &value, rows[i].decimals));
		row_check(rows[i].text, amount.micros == rows[i].micros);
	}
}

static void to_amount_refuses_what_does_not_fit(void **state)
{
	static const struct {
		const char *text;
		unsigned decimals;
	} rows[] = {
	    {"9223372036854775808", 6},
	    {"9223372036854775807000000000001", 18},
	    {"9223372036855", 0},
	    {"922337203685477581", 5},
	    {"18446744073709551616", 6},
	    {"340282366920938463463374607431768211456", 6},
	    {MAX_TEXT, 0},
	    {MAX_TEXT, 5},
	    {MAX_TEXT, 6},
	    {MAX_TEXT, 18},
	    {MAX_TEXT, 36},
	    /* 2^256 / 10 rounded up: the first that leaves 256 bits at 5 decimals. */
	    {"11579208923731619542357098500868790785326998466564056403945758400791312963994", 5},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value = parsed(rows[i].text);
		struct amount amount = amount_of(-7);

		row_check(rows[i].text, !uint256_to_amount(&amount, &value, rows[i].decimals));
		row_check(rows[i].text, amount.micros == -7);
	}
}

static void from_amount_is_exact_or_refused(void **state)
{
	static const struct {
		int64_t micros;
		unsigned decimals;
		const char *text; /* NULL: refused */
	} rows[] = {
	    {0, 6, "0"},
	    {10000, 6, "10000"},
	    {INT64_MAX, 6, "9223372036854775807"},
	    {1, 18, "1000000000000"},
	    {INT64_MAX, 36, "9223372036854775807000000000000000000000000000000"},
	    {5000000, 0, "5"},
	    {10000, 2, "1"},
	    {0, 0, "0"},
	    {10001, 2, NULL},
	    {9999, 2, NULL},
	    {1, 5, NULL},
	    {999999, 0, NULL},
	    {-1, 6, NULL},
	    {-1000000, 0, NULL},
	    {INT64_MIN, 18, NULL},
	};
	char text[UINT256_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 value = uint256_of(7);
		bool fits =
		    uint256_from_amount(&value, amount_of(rows[i].micros), rows[i].decimals);

		assert_int_equal(fits, rows[i].text != NULL);
		assert_string_equal(uint256_format(text, &value), fits ? rows[i].text : "7");
	}
}

static void decimals_are_ours_and_bounded(void **state)
{
	struct uint256 value = uint256_of(1);
	struct amount amount;

	(void)state;
	assert_aborts((void)!uint256_to_amount(&amount, &value, 37));
	assert_aborts((void)!uint256_from_amount(&value, AMOUNT_ZERO, 37));
}

static void sums_differences_and_products_are_checked(void **state)
{
	static const struct {
		char operation;
		const char *a, *b, *result; /* NULL: refused */
	} rows[] = {
	    {'+', "0", "0", "0"},
	    {'+', "255", "1", "256"},
	    {'+', "18446744073709551615", "18446744073709551615", "36893488147419103230"},
	    {'+', MAX_TEXT, "0", MAX_TEXT},
	    {'+', MAX_TEXT, "1", NULL},
	    {'+', MAX_TEXT, MAX_TEXT, NULL},
	    {'-', "256", "1", "255"},
	    {'-', "0", "0", "0"},
	    {'-', MAX_TEXT, MAX_TEXT, "0"},
	    {'-', "0", "1", NULL},
	    {'-', "255", "256", NULL},
	    {'-', "1", MAX_TEXT, NULL},
	    {'*', MAX_TEXT, "0", "0"},
	    {'*', MAX_TEXT, "1", MAX_TEXT},
	    {'*', "0", "18446744073709551615", "0"},
	    {'*', "100000000000", "75000", "7500000000000000"},
	    {'*', "18446744073709551615", "18446744073709551615",
		"340282366920938463426481119284349108225"},
	    {'*', MAX_TEXT, "2", NULL},
	    {'*', MAX_TEXT, "18446744073709551615", NULL},
	    {'*',
		"57896044618658097711785492504343953926634992332820282019728792003956564819968",
		"2", NULL},
	};
	char text[UINT256_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct uint256 a = parsed(rows[i].a), b = parsed(rows[i].b), out = uint256_of(7);
		bool done = rows[i].operation == '+' ? uint256_add(&out, &a, &b)
			: rows[i].operation == '-'   ? uint256_sub(&out, &a, &b)
						     : uint256_multiply(&out, &a,
							   strtoull(rows[i].b, NULL, 10));

		row_check(rows[i].a, done == (rows[i].result != NULL));
		assert_string_equal(
		    uint256_format(text, &out), done ? rows[i].result : "7");
		/* The result may take an operand's place. */
		if (done && rows[i].operation != '*') {
			bool again = rows[i].operation == '+' ? uint256_add(&a, &a, &b)
							      : uint256_sub(&b, &a, &b);

			assert_true(again);
			assert_int_equal(
			    uint256_cmp(rows[i].operation == '+' ? &a : &b, &out), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse_and_format_agree),
	    cmocka_unit_test(bytes_are_big_endian),
	    cmocka_unit_test(parse_refuses_the_rest),
	    cmocka_unit_test(of_takes_64_bits),
	    cmocka_unit_test(comparison_orders),
	    cmocka_unit_test(to_amount_rounds_up),
	    cmocka_unit_test(to_amount_refuses_what_does_not_fit),
	    cmocka_unit_test(from_amount_is_exact_or_refused),
	    cmocka_unit_test(decimals_are_ours_and_bounded),
	    cmocka_unit_test(sums_differences_and_products_are_checked),
	};

	return unit_run(tests);
}
