/* Recursive length prefix, against viem's. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/rlp.h"

static size_t bytes_of(uint8_t *out, size_t max, const char *text)
{
	size_t size = (strlen(text) - 2) / 2;

	assert_true(size <= max);
	assert_true(hex_decode(out, size, text));
	return size;
}

static void check(const char *row, const struct buf *out, const char *expected)
{
	char text[2 * 400 + 3];

	row_check(row, buf_ok(out) && out->size <= 400);
	hex_encode_0x(text, out->data, out->size);
	assert_string_equal(text, expected);
}

static void strings_and_lists_are_viems(void **state)
{
	json_t *vectors = vectors_load("cancellation.json"), *row;
	struct buf item, list;
	uint8_t bytes[300];
	size_t i;

	(void)state;
	json_array_foreach (json_object_get(vectors, "rlp"), i, row) {
		size_t size = bytes_of(bytes, sizeof(bytes), text_of(row, "bytes"));

		buf_init(&item, 512);
		buf_init(&list, 512);
		rlp_add_bytes(&item, bytes, size);
		check(text_of(row, "bytes"), &item, text_of(row, "encoded"));
		rlp_add_list(&list, item.data, item.size);
		check(text_of(row, "bytes"), &list, text_of(row, "list"));
		buf_fini(&item);
		buf_fini(&list);
	}
	assert_true(i >= 10);
	json_decref(vectors);
}

/* The examples of the Ethereum wiki's page on RLP. */
static void numbers_have_no_leading_zeros(void **state)
{
	static const struct {
		const char *row;
		uint64_t value;
		const char *encoded;
	} rows[] = {
	    {"zero is the empty string", 0, "0x80"},
	    {"fifteen", 15, "0x0f"},
	    {"127 is itself", 127, "0x7f"},
	    {"128 needs a prefix", 128, "0x8180"},
	    {"1024", 1024, "0x820400"},
	    {"all of 64 bits", UINT64_MAX, "0x88ffffffffffffffff"},
	};
	struct uint256 wide;
	struct buf out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		buf_init(&out, 64);
		rlp_add_u64(&out, rows[i].value);
		check(rows[i].row, &out, rows[i].encoded);
		buf_fini(&out);
	}
	buf_init(&out, 64);
	memset(wide.be, 0xff, sizeof(wide.be));
	rlp_add_uint256(&out, &wide);
	assert_int_equal(out.size, 33);
	assert_int_equal((uint8_t)out.data[0], 0xa0);
	buf_fini(&out);
}

static void an_empty_list_is_one_byte(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 8);
	rlp_add_list(&out, NULL, 0);
	check("the empty list", &out, "0xc0");
	buf_fini(&out);
}

static void what_does_not_fit_fails_the_buffer(void **state)
{
	uint8_t bytes[8] = {0};
	struct buf out;

	(void)state;
	buf_init(&out, 8);
	rlp_add_bytes(&out, bytes, sizeof(bytes));
	assert_false(buf_ok(&out));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strings_and_lists_are_viems),
	    cmocka_unit_test(numbers_have_no_leading_zeros),
	    cmocka_unit_test(an_empty_list_is_one_byte),
	    cmocka_unit_test(what_does_not_fit_fails_the_buffer),
	};

	return unit_run(tests);
}
