/* Broken promises end the process; memory is there or the process is not. */
#include "common/must.h"
#include "tests/unit/unit.h"

/* The sanitizers end the process in a way of their own unless they are asked not to. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void a_kept_promise_costs_nothing(void **state)
{
	int count = 0;

	(void)state;
	must(++count == 1);
	assert_int_equal(count, 1);
}

static void a_broken_promise_aborts(void **state)
{
	(void)state;
	assert_aborts(must(1 == 2));
	assert_aborts(must(NULL));
}

static void memory_that_is_not_there_aborts(void **state)
{
	/* More than any address space; the compiler must not know. */
	volatile unsigned long huge = ~0UL >> 2;

	(void)state;
	assert_aborts(must_alloc(huge));
	assert_aborts(must_realloc(NULL, huge));
	assert_aborts(must_calloc(huge, 2));
	assert_aborts(must_calloc(huge, huge));
}

static void allocations_of_nothing_are_something(void **state)
{
	void *a = must_alloc(0), *b = must_calloc(0, 8), *c = must_realloc(NULL, 0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	c = must_realloc(c, 0);
	assert_non_null(c);
	free(a);
	free(b);
	free(c);
}

static void calloc_gives_zeros(void **state)
{
	static const uint8_t zeros[300];
	uint8_t *memory = must_calloc(100, 3);

	(void)state;
	assert_memory_equal(memory, zeros, sizeof(zeros));
	free(memory);
}

static void text_is_copied(void **state)
{
	char *a = must_strdup(""), *b = must_strdup("abc"), *c = must_strndup("abc", 2);
	char *d = must_strndup("abc", 100), *e = must_strndup("abc", 0);
	char *f = must_format("%s-%d", "x", 42);

	(void)state;
	assert_string_equal(a, "");
	assert_string_equal(b, "abc");
	assert_string_equal(c, "ab");
	assert_string_equal(d, "abc");
	assert_string_equal(e, "");
	assert_string_equal(f, "x-42");
	free(a);
	free(b);
	free(c);
	free(d);
	free(e);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_kept_promise_costs_nothing),
	    cmocka_unit_test(a_broken_promise_aborts),
	    cmocka_unit_test(memory_that_is_not_there_aborts),
	    cmocka_unit_test(allocations_of_nothing_are_something),
	    cmocka_unit_test(calloc_gives_zeros),
	    cmocka_unit_test(text_is_copied),
	};

	return unit_run(tests);
}
