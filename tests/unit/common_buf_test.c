/* The buffer with a ceiling: what does not fit is refused whole, once and for all. */
#include "common/buf.h"
#include "tests/unit/unit.h"

static void grows_and_stays_terminated(void **state)
{
	struct buf buf;
	size_t i;

	(void)state;
	buf_init(&buf, 100000);
	assert_string_equal(buf_str(&buf), "");
	assert_true(buf_ok(&buf));
	for (i = 0; i < 10000; i++) {
		buf_add(&buf, "abcdefg", 7);
		assert_int_equal(strlen(buf_str(&buf)), 7 * (i + 1));
	}
	assert_true(buf_ok(&buf));
	assert_int_equal(buf.size, 70000);
	assert_memory_equal(buf.data + 69993, "abcdefg", 8);
	buf_fini(&buf);
}

static void takes_text_bytes_and_formats(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 100);
	buf_add_str(&buf, "a");
	buf_add_str(&buf, "");
	buf_add(&buf, NULL, 0);
	buf_add_format(&buf, "%d-%s", 42, "b");
	buf_add_format(&buf, "%s", "");
	assert_string_equal(buf_str(&buf), "a42-b");
	buf_add(&buf, "\0x", 2);
	assert_true(buf_ok(&buf));
	assert_int_equal(buf.size, 7);
	assert_memory_equal(buf.data, "a42-b\0x", 8);
	buf_fini(&buf);
}

static void the_ceiling_is_exact(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	buf_add(&buf, "12345", 5);
	assert_true(buf_ok(&buf));
	buf_add(&buf, "", 0);
	assert_true(buf_ok(&buf));
	buf_add(&buf, "6", 1);
	assert_false(buf_ok(&buf));
	assert_string_equal(buf_str(&buf), "12345");
	buf_fini(&buf);

	buf_init(&buf, 5);
	buf_add_format(&buf, "%05d", 1);
	assert_true(buf_ok(&buf));
	buf_fini(&buf);

	buf_init(&buf, 5);
	buf_add_format(&buf, "%06d", 1);
	assert_false(buf_ok(&buf));
	assert_string_equal(buf_str(&buf), "");
	buf_fini(&buf);

	buf_init(&buf, 0);
	buf_add(&buf, "", 0);
	assert_true(buf_ok(&buf));
	buf_add(&buf, "1", 1);
	assert_false(buf_ok(&buf));
	buf_fini(&buf);
}

static void after_a_failure_nothing_is_added(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	buf_add_str(&buf, "123");
	buf_add_str(&buf, "456");
	assert_false(buf_ok(&buf));
	buf_add_str(&buf, "4");
	buf_add_format(&buf, "%d", 4);
	assert_false(buf_ok(&buf));
	assert_string_equal(buf_str(&buf), "123");
	buf_fini(&buf);
}

static void sizes_beyond_memory_fail(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, SIZE_MAX);
	buf_add_str(&buf, "1");
	assert_false(buf_ok(&buf));
	buf_fini(&buf);

	buf_init(&buf, 10);
	buf_add_str(&buf, "123");
	buf_add(&buf, "x", SIZE_MAX);
	assert_false(buf_ok(&buf));
	assert_string_equal(buf_str(&buf), "123");
	buf_fini(&buf);
}

static void clear_makes_it_usable_again(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	buf_clear(&buf);
	buf_add_str(&buf, "123456");
	assert_false(buf_ok(&buf));
	buf_clear(&buf);
	assert_true(buf_ok(&buf));
	assert_string_equal(buf_str(&buf), "");
	buf_add_str(&buf, "12345");
	assert_true(buf_ok(&buf));
	buf_clear(&buf);
	assert_string_equal(buf_str(&buf), "");
	assert_int_equal(buf.size, 0);
	buf_fini(&buf);
}

static void take_hands_the_text_over(void **state)
{
	struct buf buf;
	char *text;

	(void)state;
	buf_init(&buf, 5);
	buf_add_str(&buf, "123");
	text = buf_take(&buf);
	assert_string_equal(text, "123");
	free(text);
	assert_string_equal(buf_str(&buf), "");
	buf_add_str(&buf, "12345");
	assert_true(buf_ok(&buf));
	buf_add_str(&buf, "6");
	assert_false(buf_ok(&buf));
	buf_fini(&buf);

	text = buf_take(&buf);
	assert_string_equal(text, "");
	free(text);
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_and_stays_terminated),
	    cmocka_unit_test(takes_text_bytes_and_formats),
	    cmocka_unit_test(the_ceiling_is_exact),
	    cmocka_unit_test(after_a_failure_nothing_is_added),
	    cmocka_unit_test(sizes_beyond_memory_fail),
	    cmocka_unit_test(clear_makes_it_usable_again),
	    cmocka_unit_test(take_hands_the_text_over),
	};

	return unit_run(tests);
}
