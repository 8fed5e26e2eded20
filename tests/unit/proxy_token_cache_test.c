/* Tokens that were seen before: every answer is the one that the first look would give. */
#include "proxy/token_cache.h"

#include "common/bytes.h"
#include "proxy/identify.h"
#include "tests/unit/unit.h"

#define NOW_S     INT64_C(1763640000)
#define EXPIRES_S (NOW_S + 3600)

static const uint8_t secret[TOKEN_SECRET_SIZE] = "0123456789abcdef0123456789abcde";
static const uint8_t other_secret[TOKEN_SECRET_SIZE] = "0123456789abcdef0123456789abcdf";

static char *token_of(unsigned session)
{
	struct token_claims claims = {
	    .agent = "coder", .owner = "o@example.com", .issued_s = NOW_S, .expires_s = EXPIRES_S};

	(void)snprintf(claims.session, sizeof claims.session, "%032x", session);
	return token_make(&claims, secret);
}

/* What the cache says is what token_check() says, out-parameter and all. */
static enum token_result check(struct token_cache *cache, const char *token, size_t size,
    const uint8_t with[TOKEN_SECRET_SIZE], int64_t now_s)
{
	struct token_claims claims, plain;
	enum token_result result;

	memset(&claims, 0x5a, sizeof claims);
	plain = claims;
	result = token_cache_check(cache, &claims, token, size, with, now_s);
	assert_int_equal(result, token_check(&plain, token, size, with, now_s));
	assert_memory_equal(&claims, &plain, sizeof claims);
	return result;
}

static void time_is_asked_every_time(void **state)
{
	static const struct {
		int64_t now_s;
		enum token_result result;
	} rows[] = {
	    {EXPIRES_S, TOKEN_EXPIRED}, /* and is not kept for that */
	    {NOW_S, TOKEN_OK},
	    {EXPIRES_S - 1, TOKEN_OK},
	    {EXPIRES_S, TOKEN_EXPIRED},
	    {EXPIRES_S + 1000, TOKEN_EXPIRED},
	    {NOW_S - 1, TOKEN_NOT_YET_VALID}, /* the clock was set back */
	    {NOW_S, TOKEN_OK},
	};
	struct token_cache *cache = token_cache_new();
	char *token = token_of(1);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(
		    check(cache, token, strlen(token), secret, rows[i].now_s), rows[i].result);
	free(token);
	token_cache_free(&cache);
	assert_null(cache);
	token_cache_free(&cache);
}

/* Every byte counts, wherever it is; and so does a byte more or less. */
static void one_byte_different(void **state)
{
	struct token_cache *cache = token_cache_new();
	char *token = token_of(1);
	size_t size = strlen(token);
	char *longer = must_format("%sA", token);

	(void)state;
	assert_int_equal(check(cache, token, size, secret, NOW_S), TOKEN_OK);
	for (size_t i = 0; i < size; i++) {
		char kept = token[i];

		token[i] = kept == 'A' ? 'B' : 'A';
		assert_int_not_equal(check(cache, token, size, secret, NOW_S), TOKEN_OK);
		token[i] = kept;
		assert_int_equal(check(cache, token, size, secret, NOW_S), TOKEN_OK);
	}
	for (size_t i = 0; i < size; i++)
		assert_int_not_equal(check(cache, token, i, secret, NOW_S), TOKEN_OK);
	assert_int_not_equal(check(cache, longer, size + 1, secret, NOW_S), TOKEN_OK);
	assert_int_not_equal(check(cache, token + 1, size - 1, secret, NOW_S), TOKEN_OK);
	free(longer);
	free(token);
	token_cache_free(&cache);
}

static void another_secret(void **state)
{
	struct token_cache *cache = token_cache_new();
	char *token = token_of(1);

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(check(cache, token, strlen(token), secret, NOW_S), TOKEN_OK);
		assert_int_equal(
		    check(cache, token, strlen(token), other_secret, NOW_S), TOKEN_BAD_SIGNATURE);
	}
	free(token);
	token_cache_free(&cache);
}

/* More than it holds: the old make room for the new, and are good when they come back. */
static void more_than_it_holds(void **state)
{
	struct token_cache *cache = token_cache_new();

	(void)state;
	for (unsigned i = 0; i < 3 * TOKEN_CACHE_MAX; i++) {
		char *token = token_of(i), *early = token_of(i / 2);

		assert_int_equal(check(cache, token, strlen(token), secret, NOW_S), TOKEN_OK);
		assert_int_equal(check(cache, early, strlen(early), secret, NOW_S), TOKEN_OK);
		free(early);
		free(token);
	}
	token_cache_free(&cache);
}

static enum problem ask(struct house *house, struct token_cache *cache, const char *token)
{
	struct headers headers;
	struct identity who;
	char *value = must_format("Bearer %s", token);
	const char *detail;
	enum problem problem;

	headers_init(&headers);
	headers_put(&headers, "Authorization", value);
	problem = identify(&who, &detail, house, cache, &headers, NOW_S);
	assert_int_equal(problem == PROBLEM_NONE || problem == PROBLEM_AGENT_SUSPENDED,
	    who.agent != NULL && registry_admit(house->registry, who.claims.session, EXPIRES_S));
	headers_fini(&headers);
	free(value);
	return problem;
}

/* What the registry knows is asked with every call: the agent, its suspension, its sessions. */
static void what_the_owner_has_taken_back(void **state)
{
	const struct agent_row row = {.id = 1,
	    .name = "coder",
	    .owner = "o@example.com",
	    .address = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"};
	struct token_cache *cache = token_cache_new();
	struct purses *purses = purses_new();
	struct registry *registry = registry_new(), *without = registry_new();
	struct house house = {.registry = registry};
	char *token = token_of(1), *other = token_of(2);
	struct agent *agent;

	(void)state;
	memcpy(house.token_secret, secret, TOKEN_SECRET_SIZE);
	agent = registry_add_agent(registry, &row, purses_add(purses));
	assert_int_equal(ask(&house, cache, token), PROBLEM_NONE);
	assert_int_equal(ask(&house, cache, other), PROBLEM_NONE);
	atomic_store(&agent->suspended, true);
	assert_int_equal(ask(&house, cache, token), PROBLEM_AGENT_SUSPENDED);
	atomic_store(&agent->suspended, false);
	assert_int_equal(ask(&house, cache, token), PROBLEM_NONE);
	registry_revoke(registry, "00000000000000000000000000000001", EXPIRES_S);
	assert_int_equal(ask(&house, cache, token), PROBLEM_UNAUTHENTICATED);
	assert_int_equal(ask(&house, cache, other), PROBLEM_NONE);
	house.registry = without;
	assert_int_equal(ask(&house, cache, other), PROBLEM_UNAUTHENTICATED);
	free(other);
	free(token);
	registry_free(&without);
	registry_free(&registry);
	purses_free(&purses);
	token_cache_free(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(time_is_asked_every_time),
	    cmocka_unit_test(one_byte_different),
	    cmocka_unit_test(another_secret),
	    cmocka_unit_test(more_than_it_holds),
	    cmocka_unit_test(what_the_owner_has_taken_back),
	};

	return unit_run(tests);
}
