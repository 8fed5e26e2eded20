/* Payments whose outcome is not known: who may take one over, and who may not. */
#include "proxy/outstanding.h"

#include <pthread.h>

#include "tests/unit/unit.h"

#define NOW 1000

static const struct asset base = {.network = "eip155:84532"};
static const struct asset other = {.network = "eip155:8453"};

static struct digest body_of(const char *text)
{
	return sha256(text, strlen(text));
}

/* Agent 7's GET of URL with that body. */
static struct open_payment payment_of(int64_t id, const char *url, const char *body)
{
	struct digest digest = body_of(body);
	struct open_payment payment = {
	    .id = id,
	    .asset = &base,
	    .amount = 10000,
	    .valid_before_s = NOW + 60,
	    .tool = (char *)(uintptr_t) "search",
	    .session = (char *)(uintptr_t) "s-1",
	};

	payment.target = outstanding_target(7, "GET", url);
	payment.request = outstanding_request(&payment.target, &digest);
	return payment;
}

static bool take(int64_t *out, struct outstanding *table, int64_t agent, const char *method,
    const char *url, const char *body, int64_t now_s)
{
	struct digest target, digest = body_of(body), request;

	if (!outstanding_may_take(&target, table, agent, method, url, now_s))
		return false;
	request = outstanding_request(&target, &digest);
	return outstanding_take(out, table, &target, &request, now_s);
}

static void only_the_same_request_takes_over(void **state)
{
	static const struct {
		const char *row, *method, *url, *body;
		int64_t agent, now_s;
		bool taken;
	} rows[] = {
	    {"the same", "GET", "http://a/x?q=1", "{}", 7, NOW, true},
	    {"another agent", "GET", "http://a/x?q=1", "{}", 8, NOW, false},
	    {"another method", "POST", "http://a/x?q=1", "{}", 7, NOW, false},
	    {"another query", "GET", "http://a/x?q=2", "{}", 7, NOW, false},
	    {"no query", "GET", "http://a/x", "{}", 7, NOW, false},
	    {"another body", "GET", "http://a/x?q=1", "{ }", 7, NOW, false},
	    {"no body", "GET", "http://a/x?q=1", "", 7, NOW, false},
	    {"method and URL run together", "GE", "Thttp://a/x?q=1", "{}", 7, NOW, false},
	    {"the last second", "GET", "http://a/x?q=1", "{}", 7, NOW + 59, true},
	    {"expired", "GET", "http://a/x?q=1", "{}", 7, NOW + 60, false},
	    {"long expired", "GET", "http://a/x?q=1", "{}", 7, NOW + 600, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct outstanding *table = outstanding_new();
		struct open_payment payment = payment_of(1, "http://a/x?q=1", "{}");
		int64_t id = 0;

		outstanding_add(table, &payment);
		row_check(rows[i].row, take(&id, table, rows[i].agent, rows[i].method, rows[i].url,
					   rows[i].body, rows[i].now_s) == rows[i].taken);
		row_check(rows[i].row, id == (rows[i].taken ? 1 : 0));
		outstanding_free(&table);
		assert_null(table);
	}
}

static void some_are_never_taken_without_their_key(void **state)
{
	static const struct {
		const char *row;
		bool keyed, answered, taken, doubtful;
	} rows[] = {
	    {"belongs to a key", .keyed = true},
	    {"was answered", .answered = true},
	    {"is under way", .taken = true},
	    {"is not known to be on the disk", .doubtful = true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct outstanding *table = outstanding_new();
		struct open_payment payment = payment_of(1, "http://a/", "");
		int64_t id;

		payment.keyed = rows[i].keyed;
		payment.answered = rows[i].answered;
		payment.taken = rows[i].taken;
		payment.doubtful = rows[i].doubtful;
		outstanding_add(table, &payment);
		row_check(rows[i].row, !take(&id, table, 7, "GET", "http://a/", "", NOW));
		outstanding_free(&table);
	}
}

static void one_retry_at_a_time(void **state)
{
	struct outstanding *table = outstanding_new();
	struct open_payment first = payment_of(1, "http://a/", "");
	struct open_payment second = payment_of(2, "http://a/", "");
	int64_t id = 0;

	(void)state;
	outstanding_add(table, &second);
	outstanding_add(table, &first);
	assert_true(take(&id, table, 7, "GET", "http://a/", "", NOW));
	assert_int_equal(id, 1);
	assert_true(take(&id, table, 7, "GET", "http://a/", "", NOW));
	assert_int_equal(id, 2);
	assert_false(take(&id, table, 7, "GET", "http://a/", "", NOW));
	/* Back without an answer: the next one may have it. With one: nobody. */
	outstanding_give_back(table, 1, false);
	assert_true(take(&id, table, 7, "GET", "http://a/", "", NOW));
	assert_int_equal(id, 1);
	outstanding_give_back(table, 1, true);
	assert_false(take(&id, table, 7, "GET", "http://a/", "", NOW));
	/* An answer is not forgotten by a later return. */
	assert_true(outstanding_hold(table, 1));
	outstanding_give_back(table, 1, false);
	assert_false(take(&id, table, 7, "GET", "http://a/", "", NOW));
	outstanding_remove(table, 2);
	outstanding_give_back(table, 2, false);
	assert_int_equal(outstanding_count(table), 1);
	outstanding_free(&table);
}

static void the_oldest_that_is_still_good(void **state)
{
	struct outstanding *table = outstanding_new();
	struct open_payment expired = payment_of(1, "http://a/", "");
	struct open_payment good = payment_of(2, "http://a/", "");
	int64_t id = 0;

	(void)state;
	expired.valid_before_s = NOW;
	outstanding_add(table, &expired);
	assert_false(take(&id, table, 7, "GET", "http://a/", "", NOW));
	outstanding_add(table, &good);
	assert_true(take(&id, table, 7, "GET", "http://a/", "", NOW));
	assert_int_equal(id, 2);
	outstanding_free(&table);
}

static void a_hold_is_exclusive(void **state)
{
	struct outstanding *table = outstanding_new();
	struct open_payment payment = payment_of(1, "http://a/", "");

	(void)state;
	payment.keyed = true;
	assert_false(outstanding_hold(table, 1));
	outstanding_add(table, &payment);
	assert_true(outstanding_hold(table, 1));
	assert_false(outstanding_hold(table, 1));
	outstanding_give_back(table, 1, false);
	assert_true(outstanding_hold(table, 1));
	outstanding_remove(table, 1);
	assert_false(outstanding_hold(table, 1));
	outstanding_free(&table);
}

static void what_the_owner_cancels_nobody_takes(void **state)
{
	struct outstanding *table = outstanding_new();
	struct open_payment payment = payment_of(1, "http://a/x", "");
	int64_t id = 0;

	(void)state;
	outstanding_withdraw(table, 1, true);
	outstanding_add(table, &payment);
	outstanding_withdraw(table, 1, true);
	assert_false(take(&id, table, 7, "GET", "http://a/x", "", NOW));
	assert_false(outstanding_hold(table, 1));
	/* Written down again by somebody who does not know, and still not. */
	outstanding_add(table, &payment);
	outstanding_give_back(table, 1, false);
	assert_false(take(&id, table, 7, "GET", "http://a/x", "", NOW));
	assert_int_equal(outstanding_count(table), 1);
	outstanding_withdraw(table, 1, false);
	assert_true(take(&id, table, 7, "GET", "http://a/x", "", NOW));
	/* A call has it under way while the owner cancels: it ends, and nobody follows. */
	outstanding_withdraw(table, 1, true);
	outstanding_give_back(table, 1, false);
	assert_false(outstanding_hold(table, 1));
	outstanding_withdraw(table, 1, false);
	assert_true(outstanding_hold(table, 1));
	outstanding_free(&table);
}

static void lists_are_in_order_and_by_page(void **state)
{
	struct outstanding *table = outstanding_new();
	struct open_payment page[3];
	int64_t after = 0, seen = 0;
	size_t count;

	(void)state;
	for (int64_t id = 10; id >= 1; id--) {
		struct open_payment payment = payment_of(id, "http://a/", "");

		payment.asset = id % 5 == 0 ? &other : &base;
		payment.doubtful = id == 4;
		payment.taken = id == 3;
		outstanding_add(table, &payment);
	}
	while ((count = outstanding_list(page, COUNT(page), table, "eip155:84532", after)) > 0) {
		for (size_t i = 0; i < count; i++) {
			assert_true(page[i].id > after);
			assert_string_equal(page[i].tool, "search");
			after = page[i].id;
			seen++;
			open_payment_fini(&page[i]);
		}
	}
	assert_int_equal(seen, 7);
	count = outstanding_list(page, COUNT(page), table, NULL, 9);
	assert_int_equal(count, 1);
	assert_int_equal(page[0].id, 10);
	open_payment_fini(&page[0]);
	assert_int_equal(outstanding_list(page, COUNT(page), table, "eip155:1", 0), 0);
	assert_int_equal(outstanding_doubtful(page, COUNT(page), table), 1);
	assert_int_equal(page[0].id, 4);
	open_payment_fini(&page[0]);
	outstanding_confirm(table, 4);
	assert_int_equal(outstanding_doubtful(page, COUNT(page), table), 0);
	outstanding_free(&table);
}

#define RACERS 4
#define PRIZES 200

struct race {
	struct outstanding *table;
	int64_t won;
};

static void *racer(void *arg)
{
	struct race *race = arg;
	int64_t id;

	while (take(&id, race->table, 7, "GET", "http://a/", "", NOW)) {
		race->won++;
		outstanding_remove(race->table, id);
	}
	return NULL;
}

static void each_is_taken_once_whoever_asks(void **state)
{
	struct outstanding *table = outstanding_new();
	struct race races[RACERS];
	pthread_t threads[RACERS];
	int64_t won = 0;

	(void)state;
	for (int64_t id = 1; id <= PRIZES; id++) {
		struct open_payment payment = payment_of(id, "http://a/", "");

		outstanding_add(table, &payment);
	}
	for (size_t i = 0; i < RACERS; i++) {
		races[i] = (struct race){table, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, racer, &races[i]), 0);
	}
	for (size_t i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		won += races[i].won;
	}
	assert_int_equal(won, PRIZES);
	assert_int_equal(outstanding_count(table), 0);
	outstanding_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_the_same_request_takes_over),
	    cmocka_unit_test(some_are_never_taken_without_their_key),
	    cmocka_unit_test(one_retry_at_a_time),
	    cmocka_unit_test(the_oldest_that_is_still_good),
	    cmocka_unit_test(a_hold_is_exclusive),
	    cmocka_unit_test(what_the_owner_cancels_nobody_takes),
	    cmocka_unit_test(lists_are_in_order_and_by_page),
	    cmocka_unit_test(each_is_taken_once_whoever_asks),
	};

	return unit_run(tests);
}
