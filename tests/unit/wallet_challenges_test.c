/* Challenges read lately: the same bytes are not read again, other bytes are, and nothing is kept
 * that has no end. */
#include "common/buf.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/challenges.h"

#define KEPT_MAX 3u

static int challenges_make(void **state)
{
	*state = challenges_new(KEPT_MAX);
	return 0;
}

static int challenges_remove(void **state)
{
	struct challenges *challenges = *state;

	challenges_free(&challenges);
	assert_null(challenges);
	return 0;
}

/* As PAYMENT-REQUIRED has it; the caller frees it. */
static char *header_of(const char *amount, size_t padding)
{
	struct buf text;
	char *header;

	buf_init(&text, 1 << 20);
	buf_add_format(&text,
	    "{\"x402Version\":2,\"accepts\":[{\"scheme\":\"exact\",\"amount\":\"%s\"}],\"x\":\"",
	    amount);
	while (padding-- > 0)
		buf_add_str(&text, "x");
	buf_add_str(&text, "\"}");
	assert_true(buf_ok(&text));
	header = base64_encode(text.data, text.size);
	buf_fini(&text);
	return header;
}

static struct challenge *read_one(struct challenges *challenges, const char *header)
{
	struct challenge *challenge = NULL;
	char reason[256] = "";

	assert_int_equal(
	    challenges_read(&challenge, challenges, reason, &header, 1, "", 0), CHALLENGE_OK);
	return challenge;
}

static struct challenge *read_amount(struct challenges *challenges, const char *amount)
{
	char *header = header_of(amount, 0);
	struct challenge *challenge = read_one(challenges, header);

	free(header);
	assert_string_equal(challenge->options[0].amount, amount);
	return challenge;
}

/* Is it one that was read before? Then it bears the mark of that time. */
static bool is_kept(struct challenges *challenges, const char *amount)
{
	static const char mark[] = "mark";
	struct challenge *challenge = read_amount(challenges, amount);
	bool kept = challenge->error == mark;

	challenge->error = mark;
	challenge_free(&challenge);
	return kept;
}

static void same_bytes_are_the_same_challenge(void **state)
{
	struct challenge *first = read_amount(*state, "10"), *other = read_amount(*state, "11");
	struct challenge *again = read_amount(*state, "10");

	assert_ptr_equal(again, first);
	assert_ptr_not_equal(other, first);
	challenge_free(&first);
	challenge_free(&other);
	assert_null(first);
	/* Still this one's. */
	assert_string_equal(again->options[0].amount, "10");
	challenge_free(&again);
}

/* The same challenge to a reader of JSON, the same text in other base64: other bytes. */
static void one_byte_makes_another(void **state)
{
	char *header = header_of("10", 1), *spelled;
	struct challenge *first, *other;

	assert_non_null(strchr(header, '='));
	spelled = strndup(header, strcspn(header, "="));
	first = read_one(*state, header);
	other = read_one(*state, spelled);
	assert_ptr_not_equal(first, other);
	assert_string_equal(first->text, other->text);
	challenge_free(&first);
	challenge_free(&other);
	free(header);
	free(spelled);
}

static void longest_unused_makes_room(void **state)
{
	struct challenges *challenges = *state;

	assert_false(is_kept(challenges, "1"));
	assert_false(is_kept(challenges, "2"));
	assert_false(is_kept(challenges, "3"));
	assert_true(is_kept(challenges, "1"));
	assert_false(is_kept(challenges, "4"));
	assert_true(is_kept(challenges, "1"));
	assert_true(is_kept(challenges, "3"));
	assert_true(is_kept(challenges, "4"));
	assert_false(is_kept(challenges, "2"));
	assert_false(is_kept(challenges, "1"));
}

/* Who holds one has it, whatever room it made since. */
static void held_ones_outlive_their_place(void **state)
{
	struct challenges *challenges = challenges_new(1);
	struct challenge *held = read_amount(challenges, "5");

	(void)state;
	assert_false(is_kept(challenges, "6"));
	assert_false(is_kept(challenges, "7"));
	assert_string_equal(held->options[0].amount, "5");
	challenges_free(&challenges);
	assert_string_equal(held->options[0].amount, "5");
	challenge_free(&held);
}

static void large_ones_are_read_each_time(void **state)
{
	char *header = header_of("10", CHALLENGES_HEADER_MAX);
	struct challenge *first = read_one(*state, header), *again = read_one(*state, header);

	assert_ptr_not_equal(first, again);
	assert_string_equal(first->text, again->text);
	challenge_free(&first);
	challenge_free(&again);
	free(header);
}

static void bodies_are_read_each_time(void **state)
{
	static const char body[] =
	    "{\"x402Version\":1,\"accepts\":[{\"scheme\":\"exact\",\"maxAmountRequired\":\"1\"}]}";
	struct challenge *first = NULL, *again = NULL;

	assert_int_equal(
	    challenges_read(&first, *state, NULL, NULL, 0, body, strlen(body)), CHALLENGE_OK);
	assert_int_equal(
	    challenges_read(&again, *state, NULL, NULL, 0, body, strlen(body)), CHALLENGE_OK);
	assert_ptr_not_equal(first, again);
	challenge_free(&first);
	challenge_free(&again);
}

/* Every refusal is challenge_parse()'s, the second time too. */
static void refusals_stay_refusals(void **state)
{
	static const struct {
		const char *header;
		enum challenge_result result;
	} rows[] = {
	    {"%", CHALLENGE_BAD_BASE64}, {"", CHALLENGE_BAD_JSON},
	    {"eyJ4", CHALLENGE_BAD_JSON},                     /* {"x */
	    {"e30=", CHALLENGE_BAD_FORM},                     /* {} */
	    {"eyJ4NDAyVmVyc2lvbiI6Mn0=", CHALLENGE_BAD_FORM}, /* {"x402Version":2} */
	};
	char *good = header_of("10", 0);
	const char *twice[] = {good, good};
	struct challenge *challenge = NULL;

	for (size_t i = 0; i < 2 * COUNT(rows); i++) {
		const char *header = rows[i / 2].header;
		char reason[256] = "";

		row_check(header, challenges_read(&challenge, *state, reason, &header, 1, "", 0) ==
				      rows[i / 2].result);
		row_check(header, challenge == NULL && reason[0] != '\0');
	}
	assert_int_equal(
	    challenges_read(&challenge, *state, NULL, twice, 2, "", 0), CHALLENGE_DUPLICATE);
	assert_int_equal(
	    challenges_read(&challenge, *state, NULL, NULL, 0, "", 0), CHALLENGE_ABSENT);
	assert_null(challenge);
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		same_bytes_are_the_same_challenge, challenges_make, challenges_remove),
	    cmocka_unit_test_setup_teardown(
		one_byte_makes_another, challenges_make, challenges_remove),
	    cmocka_unit_test_setup_teardown(
		longest_unused_makes_room, challenges_make, challenges_remove),
	    cmocka_unit_test(held_ones_outlive_their_place),
	    cmocka_unit_test_setup_teardown(
		large_ones_are_read_each_time, challenges_make, challenges_remove),
	    cmocka_unit_test_setup_teardown(
		bodies_are_read_each_time, challenges_make, challenges_remove),
	    cmocka_unit_test_setup_teardown(
		refusals_stay_refusals, challenges_make, challenges_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
