/* Hex and base64 are strict: one value, one spelling. */
#include "common/bytes.h"
#include "tests/unit/unit.h"

static void hex_encodes_in_lower_case(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xab, 0xff};
	char text[2 * sizeof(bytes) + 3];

	(void)state;
	assert_string_equal(hex_encode(text, bytes, sizeof(bytes)), "00017f80abff");
	assert_string_equal(hex_encode_0x(text, bytes, sizeof(bytes)), "0x00017f80abff");
	assert_string_equal(hex_encode(text, bytes, 0), "");
	assert_string_equal(hex_encode_0x(text, bytes, 0), "0x");
}

static void hex_decodes_either_case(void **state)
{
	static const char *const rows[] = {"00abcdef", "00ABCDEF", "0x00abcdef", "0x00aBcDeF"};
	static const uint8_t wanted[] = {0x00, 0xab, 0xcd, 0xef};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		uint8_t bytes[4] = {7, 7, 7, 7};

		row_check(rows[i], hex_decode(bytes, sizeof(bytes), rows[i]));
		assert_memory_equal(bytes, wanted, sizeof(wanted));
	}
	assert_true(hex_decode(NULL, 0, ""));
	assert_true(hex_decode(NULL, 0, "0x"));
}

static void hex_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"", "0x", "0", "00abcd", "00abcde", "00abcdef0",
	    "00abcdef00", "0x00abcd", "0x00abcdef0", "0X00abcdef", "x00abcdef", "00abcdeg",
	    "g0abcdef", "00abcde ", " 0abcdef", "00abcdef ", " 00abcdef", "00abcdef\n", "00:ab:cd",
	    "0x0x00ab", "0x0xabcd", "-0abcdef", "00abcd\xc3\xa9"};
	static const uint8_t untouched[] = {7, 7, 7, 7};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		uint8_t bytes[4] = {7, 7, 7, 7};

		row_check(rows[i], !hex_decode(bytes, sizeof(bytes), rows[i]));
		assert_memory_equal(bytes, untouched, sizeof(untouched));
	}
	uint8_t bytes[4];
	assert_false(hex_decode(bytes, sizeof(bytes), NULL));
}

/* RFC 4648, section 10, and the letters in which the alphabets differ. */
static const struct {
	const char *bytes, *standard, *url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xef\xbe", "/+++", "_---"},
};

static void base64_encodes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(vectors); i++) {
		size_t size = strlen(vectors[i].bytes);
		char *standard = base64_encode(vectors[i].bytes, size);
		char *url = base64url_encode(vectors[i].bytes, size);

		assert_string_equal(standard, vectors[i].standard);
		assert_string_equal(url, vectors[i].url);
		free(standard);
		free(url);
	}
}

typedef bool decode_fn(
    uint8_t **out, size_t *out_size, const char *text, size_t length, size_t size_max);

static void check_decodes(decode_fn *decode, const char *text, const char *bytes)
{
	uint8_t *out = NULL;
	size_t size = 77;

	row_check(text, decode(&out, &size, text, strlen(text), 100));
	row_check(text, size == strlen(bytes));
	row_check(text, memcmp(out, bytes, size) == 0);
	row_check(text, out[size] == '\0');
	free(out);
}

static void check_refuses(decode_fn *decode, const char *text, size_t length, size_t size_max)
{
	uint8_t *out = NULL;
	size_t size = 77;

	row_check(text, !decode(&out, &size, text, length, size_max));
	row_check(text, out == NULL && size == 77);
}

/* The six bits at a place, and zeros behind the end. */
static unsigned six_bits(const uint8_t *bytes, size_t size, size_t place)
{
	unsigned bits = 0;

	for (size_t at = 6 * place; at < 6 * place + 6; at++)
		bits = bits << 1 | (at / 8 < size ? bytes[at / 8] >> (7 - at % 8) & 1u : 0u);
	return bits;
}

static void base64_encodes_every_size_letter_by_letter(void **state)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[64];
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + 91);
	for (size = 0; size <= sizeof(bytes); size++) {
		char *text = base64_encode(bytes, size), *url = base64url_encode(bytes, size);
		size_t letters = (size * 8 + 5) / 6;

		assert_int_equal(strlen(text), (size + 2) / 3 * 4);
		assert_int_equal(strlen(url), letters);
		for (i = 0; i < letters; i++)
			assert_int_equal(text[i], alphabet[six_bits(bytes, size, i)]);
		for (; text[i] != '\0'; i++)
			assert_int_equal(text[i], '=');
		free(text);
		free(url);
	}
}

static void base64_decodes_with_or_without_padding(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(vectors); i++) {
		check_decodes(base64_decode, vectors[i].standard, vectors[i].bytes);
		check_decodes(base64url_decode, vectors[i].url, vectors[i].bytes);
	}
	check_decodes(base64_decode, "Zg", "f");
	check_decodes(base64_decode, "Zm8", "fo");
	check_decodes(base64_decode, "Zm9vYg", "foob");
}

static void base64_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"Z", "A", "Zm9vY", "Zm9vA", "=",
	    "==", "===", "====", "Z===", "Zg=", "Zm8==", "Zm9v=", "Zm9v==", "Zm9v====", "Zg==Zg==",
	    "Z=g=", "=Zg=", "Zm=8", " Zm9v", "Zm9v ", "Zm 9v", "Zm\n9v", "Zm9v\n", "Zm9v\r\n",
	    "Zm9-", "Zm9_", "Zm9!", "Zm9.", "Zm9*", "Zh==", "Zh", "Zm9=", "Zm9",
	    "Z\xc3\xa9==", "%3D"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		check_refuses(base64_decode, rows[i], strlen(rows[i]), 100);
	check_refuses(base64_decode, "Zm9v\0Zm9", 8, 100);
}

static void base64url_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"Z", "Zg==", "Zm8=", "Zm9v=", "Zm9+", "Zm9/", "Zm 9v",
	    "Zm9v\n", "Zh", "Zm9", "=", "Zm9vY", "Zm9v.Zm9v"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		check_refuses(base64url_decode, rows[i], strlen(rows[i]), 100);
}

/* Each byte, in each place of a group, and in a group that is not whole. */
static void base64_knows_its_letters(void **state)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool both = c != 0 && strchr(letters, c) != NULL;

		for (size_t place = 0; place < 6; place++) {
			char text[] = "AAAAAA\0";
			uint8_t *out;
			size_t size;
			bool standard, url;

			text[place] = (char)c;
			/* The seventh keeps the last one's bits from being left over. */
			text[6] = 'A';
			standard = base64_decode(&out, &size, text, 7, 100);
			if (standard)
				free(out);
			url = base64url_decode(&out, &size, text, 7, 100);
			if (url)
				free(out);
			assert_int_equal(standard, both || c == '+' || c == '/');
			assert_int_equal(url, both || c == '-' || c == '_');
		}
	}
}

static void base64_has_a_ceiling(void **state)
{
	uint8_t *out;
	size_t size;

	(void)state;
	check_refuses(base64_decode, "Zm9vYmFy", 8, 5);
	check_refuses(base64_decode, "Zg==", 4, 0);
	check_refuses(base64url_decode, "Zm9vYmE", 7, 4);
	assert_true(base64_decode(&out, &size, "Zm9vYmFy", 8, 6));
	free(out);
	assert_true(base64_decode(&out, &size, "", 0, 0));
	assert_int_equal(size, 0);
	free(out);
}

static void base64_reads_length_bytes_only(void **state)
{
	uint8_t *out;
	size_t size;

	(void)state;
	assert_true(base64_decode(&out, &size, "Zm9vYmFy", 4, 100));
	assert_int_equal(size, 3);
	assert_memory_equal(out, "foo", 4);
	free(out);
}

static void base64_round_trips_every_byte(void **state)
{
	uint8_t bytes[256 + 2];
	size_t size, i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size = 0; size <= sizeof(bytes); size++) {
		char *text = base64_encode(bytes, size);
		uint8_t *out;
		size_t out_size;

		assert_int_equal(strlen(text), (size + 2) / 3 * 4);
		assert_true(base64_decode(&out, &out_size, text, strlen(text), sizeof(bytes)));
		assert_int_equal(out_size, size);
		assert_memory_equal(out, bytes, size);
		free(out);
		free(text);
	}
}

static void decimals(void **state)
{
	static const struct {
		int64_t number;
		const char *text;
	} rows[] = {
	    {0, "0"},
	    {7, "7"},
	    {-1, "-1"},
	    {10, "10"},
	    {1763769600123456, "1763769600123456"},
	    {INT64_MAX, "9223372036854775807"},
	    {INT64_MIN, "-9223372036854775808"},
	};
	char text[DECIMAL_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(decimal_encode(text, rows[i].number), rows[i].text);
}

/* Whatever stands there, wherever, among whatever neighbours. */
static void text_ends_at_a_control_character(void **state)
{
	static const uint8_t neighbours[] = {0x20, 0x21, 'a', 0x7e, 0x80, 0x9f, 0xa0, 0xff};
	uint8_t bytes[21];

	(void)state;
	for (size_t i = 0; i < sizeof(neighbours); i++) {
		for (size_t size = 0; size < sizeof(bytes); size++) {
			memset(bytes, neighbours[i], sizeof(bytes));
			bytes[size] = '\0'; /* behind it */
			assert_int_equal(bytes_span_text(bytes, size), size);
			for (size_t at = 0; at < size * 256; at++) {
				uint8_t byte = (uint8_t)at;
				bool control = byte < 0x20 || byte == 0x7f;

				bytes[at / 256] = byte;
				assert_int_equal(
				    bytes_span_text(bytes, size), control ? at / 256 : size);
				bytes[at / 256] = neighbours[i];
			}
		}
	}
}

static void equality_looks_at_every_byte(void **state)
{
	uint8_t a[19] = {0}, b[19] = {0};
	size_t i;

	(void)state;
	assert_true(bytes_equal_ct(a, b, sizeof(a)));
	assert_true(bytes_equal_ct(a, b, 0));
	for (i = 0; i < sizeof(a); i++) {
		b[i] = 0x80;
		assert_false(bytes_equal_ct(a, b, sizeof(a)));
		assert_true(bytes_equal_ct(a, b, i));
		b[i] = 0;
	}
}

static void wipe_leaves_zeros(void **state)
{
	uint8_t secret[5] = {1, 2, 3, 4, 5};
	static const uint8_t wanted[5] = {0, 0, 0, 0, 5};

	(void)state;
	bytes_wipe(secret, 4);
	assert_memory_equal(secret, wanted, sizeof(wanted));
}

static void random_fills_and_differs(void **state)
{
	uint8_t a[4096] = {0}, b[4096] = {0};
	uint8_t edge[3] = {7, 7, 7};

	(void)state;
	bytes_random(a, sizeof(a));
	bytes_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + sizeof(a) - 32, b + sizeof(b) - 32, 32);
	bytes_random(edge, 0);
	assert_memory_equal(edge, ((uint8_t[]){7, 7, 7}), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hex_encodes_in_lower_case),
	    cmocka_unit_test(hex_decodes_either_case),
	    cmocka_unit_test(hex_refuses_the_rest),
	    cmocka_unit_test(base64_encodes),
	    cmocka_unit_test(base64_encodes_every_size_letter_by_letter),
	    cmocka_unit_test(base64_decodes_with_or_without_padding),
	    cmocka_unit_test(base64_refuses_the_rest),
	    cmocka_unit_test(base64url_refuses_the_rest),
	    cmocka_unit_test(base64_knows_its_letters),
	    cmocka_unit_test(base64_has_a_ceiling),
	    cmocka_unit_test(base64_reads_length_bytes_only),
	    cmocka_unit_test(base64_round_trips_every_byte),
	    cmocka_unit_test(decimals),
	    cmocka_unit_test(text_ends_at_a_control_character),
	    cmocka_unit_test(equality_looks_at_every_byte),
	    cmocka_unit_test(wipe_leaves_zeros),
	    cmocka_unit_test(random_fills_and_differs),
	};

	return unit_run(tests);
}
