/* Addresses: EIP-55's own examples, and everything that is not an address. */
#include "tests/unit/wallet_fixture.h"

static const char *const checksummed[] = {
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
    DEV_ADDRESS, BASE_SEPOLIA_USDC, PAYEE, "0x0000000000000000000000000000000000000000"};

static void format_gives_the_checksum_back(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(checksummed); i++) {
		char text[ADDRESS_TEXT_SIZE];
		struct address address;

		row_check(checksummed[i], address_parse(&address, checksummed[i]));
		row_check(
		    checksummed[i], strcmp(address_format(text, &address), checksummed[i]) == 0);
	}
}

static void parse_takes_one_case(void **state)
{
	struct address mixed = address_of(checksummed[0]), other;
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	assert_true(address_parse(&other, "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"));
	assert_true(address_equal(&mixed, &other));
	assert_true(address_parse(&other, "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"));
	assert_true(address_equal(&mixed, &other));
	assert_string_equal(address_format_lower(text, &mixed),
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed");
}

static void parse_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"", "0x", "0", "x", "merchant", "USD",
	    "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
	    "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaedd",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
	    " 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed ",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed\n",
	    /* One letter's case away from the checksum. */
	    "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
	    /* One digit away. */
	    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee",
	    "0x0x5aeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
	    "0x-aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
	    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1bea\xc3\xa9"};
	struct address address = {{7}};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		row_check(rows[i], !address_parse(&address, rows[i]));
		row_check(rows[i], address.bytes[0] == 7 && address.bytes[19] == 0);
	}
	assert_false(address_parse(&address, NULL));
}

static void zero_is_told_apart(void **state)
{
	struct address zero = address_of("0x0000000000000000000000000000000000000000");
	struct address one = address_of("0x0000000000000000000000000000000000000001");

	(void)state;
	assert_true(address_is_zero(&zero));
	assert_false(address_is_zero(&one));
	assert_false(address_equal(&zero, &one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(format_gives_the_checksum_back),
	    cmocka_unit_test(parse_takes_one_case),
	    cmocka_unit_test(parse_refuses_the_rest),
	    cmocka_unit_test(zero_is_told_apart),
	};

	return unit_run(tests);
}
