/* The one atomic step: what fits, who waits, who goes first; and, with several threads at it
 * for a while, that no limit is ever crossed. */
#include "proxy/reserve.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/amount.h"
#include "common/clock.h"
#include "tests/unit/unit.h"

#define NOW_US INT64_C(1763640000000000) /* 2025-11-20T12:00:00Z */
#define DOLLAR INT64_C(1000000)
#define CENT   INT64_C(10000)
#define PAYEE  "0x209693bc6afc0c5328ba36faf03c514ef312287c"

struct world {
	struct purses *purses;
	struct registry *registry;
	struct agent *agent;
	struct event_base *base;
	struct mailbox *mailbox;
	int64_t now_us;
	size_t resolved_count; /* in which order: seat->resolved */
};

/* A call, as far as money goes. */
struct seat {
	struct world *world;
	struct reservation r;
	size_t resolved; /* 0: not; else its place in the order */
};

static void set_policy(struct world *world, const char *text)
{
	struct json_error error;
	struct policy *policy = policy_parse(&error, text, strlen(text));

	if (!policy)
		fail_msg("%s: %s: %s", text, error.path, error.reason);
	registry_set_policy(world->registry, world->agent, policy);
}

static struct world world_open(const char *policy, int64_t deposit)
{
	struct agent_row row = {.id = 1, .name = "coder", .owner = "o", .address = ""};
	struct world world = {.now_us = NOW_US};

	world.purses = purses_new();
	world.registry = registry_new();
	world.agent = registry_add_agent(world.registry, &row, purses_add(world.purses));
	set_policy(&world, policy);
	world.base = event_base_new();
	world.mailbox = mailbox_new(world.base);
	if (deposit > 0)
		purse_deposit(world.agent->purse, 1, deposit);
	return world;
}

static void world_close(struct world *world)
{
	assert_int_equal(world->agent->waiting_count, 0);
	assert_int_equal(purse_provisional(world->agent->purse), 0);
	mailbox_free(&world->mailbox);
	event_base_free(world->base);
	registry_free(&world->registry);
	purses_free(&world->purses);
}

static void on_resolved(void *arg)
{
	struct seat *seat = arg;

	seat->resolved = ++seat->world->resolved_count;
}

static struct seat seat_at(struct world *world, int64_t spend)
{
	return (struct seat){.world = world,
	    .r = {.purses = world->purses,
		.agent = world->agent,
		.registry = world->registry,
		.session = "s1",
		.tool = "search",
		.payee = PAYEE,
		.at_us = world->now_us++,
		.spend = spend,
		.slot = 1,
		.waiting_max = 100,
		.mailbox = world->mailbox,
		.resolved = on_resolved}};
}

static enum reserve_result ask(struct seat *seat, enum reserve_stage stage)
{
	seat->r.arg = seat;
	return reserve_ask(&seat->r, stage);
}

static enum reserve_result quote(struct seat *seat, int64_t price)
{
	seat->r.spend = price;
	return ask(seat, RESERVE_EXACT);
}

static void turn(struct world *world)
{
	event_base_loop(world->base, EVLOOP_NONBLOCK);
}

static void leave(struct seat *seat)
{
	if (seat->r.hold.state == HOLD_PROVISIONAL)
		reserve_release(&seat->r);
	if (seat->r.hold.state == HOLD_SIGNED)
		reserve_settle(&seat->r);
	if (seat->r.hold.state == HOLD_METERED)
		reserve_charge(&seat->r);
	reserve_fini(&seat->r);
}

static const char dollar_a_day[] = "{\"budget\":{\"dailyLimit\":\"1.00\"}}";

/* --- results --------------------------------------------------------------------- */

static void provisional_takes_what_is_left(void **state)
{
	static const struct {
		const char *policy;
		int64_t deposit, spend, held;
		enum reserve_result result;
	} rows[] = {
	    {"{}", 5 * DOLLAR, CENT, CENT, RESERVE_OK},
	    {"{}", 5 * DOLLAR, 9 * DOLLAR, 5 * DOLLAR, RESERVE_OK},
	    {"{}", 5 * DOLLAR, INT64_MAX, 5 * DOLLAR, RESERVE_OK},
	    {"{}", 5 * DOLLAR, 0, 0, RESERVE_OK},
	    {"{}", 0, 0, 0, RESERVE_OK},
	    {dollar_a_day, 5 * DOLLAR, INT64_MAX, DOLLAR, RESERVE_OK},
	    {"{\"budget\":{\"maxPerCall\":\"0.10\"}}", 5 * DOLLAR, INT64_MAX, 10 * CENT,
		RESERVE_OK},
	    {"{\"budget\":{\"maxPerCall\":\"0.10\"}}", 5 * CENT, INT64_MAX, 5 * CENT, RESERVE_OK},
	    {"{\"budget\":{\"maxPerCall\":\"0.10\",\"sessionLimit\":\"0.03\"}}", DOLLAR, DOLLAR,
		3 * CENT, RESERVE_OK},
	    {"{}", 0, CENT, 0, RESERVE_NO_FUNDS},
	    {"{}", 0, 1, 0, RESERVE_NO_FUNDS},
	    {"{}", 0, INT64_MAX, 0, RESERVE_NO_FUNDS},
	    {"{\"budget\":{\"dailyLimit\":\"0\"}}", DOLLAR, 1, 0, RESERVE_OVER_LIMIT},
	    {"{\"budget\":{\"maxPerCall\":\"0\"}}", DOLLAR, INT64_MAX, 0, RESERVE_OVER_LIMIT},
	    {"{\"budget\":{\"dailyLimit\":\"0\"}}", 0, 1, 0, RESERVE_OVER_LIMIT}, /* named first */
	    {"{\"budget\":{\"dailyLimit\":\"0\"}}", DOLLAR, 0, 0, RESERVE_OK},
	    {"{\"rateLimit\":{\"callsPerMinute\":0}}", DOLLAR, 0, 0, RESERVE_OVER_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct world world = world_open(rows[i].policy, rows[i].deposit);
		struct seat seat = seat_at(&world, rows[i].spend);
		enum reserve_result result = ask(&seat, RESERVE_PROVISIONAL);

		if (result != rows[i].result || seat.r.held != rows[i].held)
			fail_msg("row %zu: %d, held %lld", i, (int)result, (long long)seat.r.held);
		assert_int_equal(purse_provisional(world.agent->purse), rows[i].held);
		leave(&seat);
		world_close(&world);
	}
}

static void exact_is_all_or_nothing(void **state)
{
	static const struct {
		const char *policy;
		int64_t deposit, price;
		unsigned slot;
		enum reserve_result result;
		enum decide_code code;
	} rows[] = {
	    {"{}", DOLLAR, DOLLAR, 1, RESERVE_OK, DECIDE_CODE_NONE},
	    {"{}", DOLLAR, 0, 1, RESERVE_OK, DECIDE_CODE_NONE},
	    {dollar_a_day, 5 * DOLLAR, DOLLAR, 1, RESERVE_OK, DECIDE_CODE_NONE},
	    {"{}", DOLLAR, DOLLAR + 1, 1, RESERVE_NO_FUNDS, DECIDE_CODE_NONE},
	    {"{}", DOLLAR, CENT, 2, RESERVE_NO_FUNDS, DECIDE_CODE_NONE},
	    {"{}", DOLLAR, INT64_MAX, 1, RESERVE_NO_FUNDS, DECIDE_CODE_NONE},
	    {dollar_a_day, 5 * DOLLAR, DOLLAR + 1, 1, RESERVE_OVER_LIMIT,
		DECIDE_CODE_OVER_DAY_LIMIT},
	    {dollar_a_day, 5 * DOLLAR, INT64_MAX, 1, RESERVE_OVER_LIMIT,
		DECIDE_CODE_OVER_DAY_LIMIT},
	    {"{\"budget\":{\"maxPerCall\":\"0.10\",\"dailyLimit\":\"0.05\"}}", DOLLAR, 11 * CENT, 1,
		RESERVE_OVER_LIMIT, DECIDE_CODE_OVER_CALL_LIMIT},
	    {"{\"limits\":[{\"scope\":\"payee:" PAYEE "\",\"window\":\"day\",\"spend\":\"0.01\"}]}",
		DOLLAR, 2 * CENT, 1, RESERVE_OVER_LIMIT, DECIDE_CODE_OVER_DAY_LIMIT},
	    {"{\"limits\":[{\"scope\":\"wallet\",\"window\":\"hour\",\"calls\":0}]}", DOLLAR, CENT,
		1, RESERVE_OVER_LIMIT, DECIDE_CODE_RATE_LIMITED},
	    {"{\"limits\":[{\"scope\":\"payee\",\"window\":\"total\",\"calls\":0}]}", DOLLAR, CENT,
		1, RESERVE_OVER_LIMIT, DECIDE_CODE_OVER_TOTAL_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct world world = world_open(rows[i].policy, rows[i].deposit);
		struct seat seat = seat_at(&world, INT64_MAX);
		enum reserve_result result;
		int64_t held;

		assert_int_equal(ask(&seat, RESERVE_PROVISIONAL), RESERVE_OK);
		held = seat.r.held;
		seat.r.slot = rows[i].slot;
		result = quote(&seat, rows[i].price);
		if (result != rows[i].result || seat.r.result != result ||
		    (result == RESERVE_OVER_LIMIT && seat.r.decision.code != rows[i].code))
			fail_msg("row %zu: %d", i, (int)result);
		/* On a refusal the hold is as it was. */
		assert_int_equal(seat.r.held, result == RESERVE_OK ? 0 : held);
		assert_int_equal(purse_balance(world.agent->purse, 1).open,
		    result == RESERVE_OK ? rows[i].price : 0);
		leave(&seat);
		world_close(&world);
	}
}

static void metered_ignores_the_wallet(void **state)
{
	static const struct {
		const char *policy;
		int64_t price;
		enum reserve_result result;
	} rows[] = {
	    {"{}", DOLLAR, RESERVE_OK},
	    {"{}", 0, RESERVE_OK},
	    {dollar_a_day, DOLLAR, RESERVE_OK},
	    {"{\"limits\":[{\"scope\":\"wallet\",\"window\":\"day\",\"spend\":\"0\"}]}", DOLLAR,
		RESERVE_OK},
	    {dollar_a_day, DOLLAR + 1, RESERVE_OVER_LIMIT},
	    {"{\"budget\":{\"maxPerCall\":\"0.10\"}}", 11 * CENT, RESERVE_OVER_LIMIT},
	    {"{\"rateLimit\":{\"callsPerHour\":0}}", CENT, RESERVE_OVER_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct world world = world_open(rows[i].policy, 0);
		struct seat seat = seat_at(&world, rows[i].price);

		row_check(rows[i].policy, ask(&seat, RESERVE_METERED) == rows[i].result);
		assert_int_equal(purse_balance(world.agent->purse, PURSE_OFF_CHAIN).reserved,
		    rows[i].result == RESERVE_OK ? rows[i].price : 0);
		leave(&seat);
		world_close(&world);
	}
}

/* Calls are counted once when admitted, and stay counted whatever follows. */
static void calls_are_counted_when_admitted(void **state)
{
	struct world world = world_open("{\"rateLimit\":{\"callsPerHour\":3}}", DOLLAR);
	struct seat seats[5];

	(void)state;
	for (size_t i = 0; i < COUNT(seats); i++) {
		seats[i] = seat_at(&world, CENT);
		assert_int_equal(
		    ask(&seats[i], RESERVE_PROVISIONAL), i < 3 ? RESERVE_OK : RESERVE_OVER_LIMIT);
		if (i == 0)
			reserve_release(&seats[i].r);
		if (i == 1)
			assert_int_equal(quote(&seats[i], CENT), RESERVE_OK);
		if (i == 1)
			reserve_unsign(&seats[i].r);
		if (i >= 3)
			assert_int_equal(seats[i].r.decision.code, DECIDE_CODE_RATE_LIMITED);
		leave(&seats[i]);
	}
	world_close(&world);
}

/* --- the waiting line --------------------------------------------------------------- */

static void first_come_first_served(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat holder = seat_at(&world, INT64_MAX), seats[4];

	(void)state;
	assert_int_equal(ask(&holder, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(holder.r.held, DOLLAR);
	for (size_t i = 0; i < COUNT(seats); i++) {
		seats[i] = seat_at(&world, 40 * CENT);
		assert_int_equal(ask(&seats[i], RESERVE_PROVISIONAL), RESERVE_WAITING);
		assert_int_equal(world.agent->waiting_count, i + 1);
	}
	turn(&world);
	assert_int_equal(world.resolved_count, 0);
	/* A quote of 0.10 leaves room for two; the third goes on waiting, and so does the fourth.
	 */
	assert_int_equal(quote(&holder, 10 * CENT), RESERVE_OK);
	assert_int_equal(world.agent->waiting_count, 2);
	assert_int_equal(world.resolved_count, 0); /* told by the loop, not from within */
	turn(&world);
	assert_int_equal(seats[0].resolved, 1);
	assert_int_equal(seats[1].resolved, 2);
	assert_int_equal(seats[2].resolved, 0);
	assert_int_equal(seats[1].r.result, RESERVE_OK);
	reserve_release(&seats[0].r);
	turn(&world);
	assert_int_equal(seats[2].resolved, 3);
	assert_int_equal(quote(&seats[1], 40 * CENT), RESERVE_OK);
	assert_int_equal(quote(&seats[2], 40 * CENT), RESERVE_OK);
	/* 0.90 is firm: what is left is what the fourth gets. */
	turn(&world);
	assert_int_equal(seats[3].resolved, 4);
	assert_int_equal(seats[3].r.result, RESERVE_OK);
	assert_int_equal(seats[3].r.held, 10 * CENT);
	for (size_t i = 0; i < COUNT(seats); i++)
		leave(&seats[i]);
	leave(&holder);
	world_close(&world);
}

/* One that would fit does not overtake one that waits; one that asks for nothing does. */
static void small_ones_do_not_overtake(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat holder = seat_at(&world, 90 * CENT), big = seat_at(&world, 50 * CENT);
	struct seat small = seat_at(&world, CENT), none = seat_at(&world, 0);
	struct seat metered = seat_at(&world, CENT);

	(void)state;
	assert_int_equal(ask(&holder, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&big, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&small, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&metered, RESERVE_METERED), RESERVE_WAITING);
	assert_int_equal(ask(&none, RESERVE_PROVISIONAL), RESERVE_OK);
	/* Behind others it has not been looked at: nothing is to blame. */
	assert_int_equal(small.r.decision.verdict, 0);
	reserve_release(&holder.r);
	turn(&world);
	assert_int_equal(big.resolved, 1);
	assert_int_equal(small.resolved, 2);
	assert_int_equal(metered.resolved, 3);
	assert_int_equal(metered.r.result, RESERVE_OK);
	leave(&big);
	leave(&small);
	leave(&none);
	leave(&metered);
	leave(&holder);
	world_close(&world);
}

static void those_with_a_price_go_first(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat a = seat_at(&world, 30 * CENT), b = seat_at(&world, 70 * CENT);
	struct seat c = seat_at(&world, 50 * CENT), d = seat_at(&world, 5 * CENT);

	(void)state;
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&b, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&c, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&d, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(quote(&a, 60 * CENT), RESERVE_WAITING);
	/* It gave its money back, which nobody behind it may take. */
	assert_int_equal(a.r.held, 0);
	assert_int_equal(purse_provisional(world.agent->purse), 70 * CENT);
	turn(&world);
	assert_int_equal(world.resolved_count, 0);
	assert_ptr_equal(world.agent->waiting_first, &a.r);
	assert_int_equal(quote(&b, 5 * CENT), RESERVE_OK);
	turn(&world);
	assert_int_equal(a.resolved, 1);
	assert_int_equal(a.r.result, RESERVE_OK);
	assert_int_equal(c.resolved, 2);
	assert_int_equal(c.r.held, 35 * CENT);
	/* Nothing firm is left but what c holds. */
	assert_int_equal(d.resolved, 0);
	reserve_release(&c.r);
	turn(&world);
	assert_int_equal(d.resolved, 3);
	leave(&a);
	leave(&b);
	leave(&c);
	leave(&d);
	world_close(&world);
}

/* Two calls that hold half each and need more than half: one of them gets it at once. */
static void two_halves_do_not_wait_for_each_other(void **state)
{
	static const struct {
		const char *policy;
		int64_t deposit;
		enum reserve_result refused;
	} rows[] = {
	    {dollar_a_day, 5 * DOLLAR, RESERVE_OVER_LIMIT},
	    {"{}", DOLLAR, RESERVE_NO_FUNDS},
	    {"{\"budget\":{\"sessionLimit\":\"1.00\"}}", DOLLAR, RESERVE_OVER_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct world world = world_open(rows[i].policy, rows[i].deposit);
		struct seat a = seat_at(&world, 50 * CENT), b = seat_at(&world, 50 * CENT);

		assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
		assert_int_equal(ask(&b, RESERVE_PROVISIONAL), RESERVE_OK);
		assert_int_equal(quote(&a, DOLLAR), RESERVE_WAITING);
		assert_int_equal(quote(&b, DOLLAR), RESERVE_OK);
		turn(&world);
		row_check(rows[i].policy, a.resolved == 1 && a.r.result == rows[i].refused);
		leave(&a);
		leave(&b);
		world_close(&world);
	}
}

static void the_line_has_an_end(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat holder = seat_at(&world, INT64_MAX), one = seat_at(&world, CENT);
	struct seat two = seat_at(&world, CENT), quoted = seat_at(&world, 0);

	(void)state;
	holder.r.waiting_max = one.r.waiting_max = two.r.waiting_max = quoted.r.waiting_max = 1;
	assert_int_equal(ask(&holder, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&quoted, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&one, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&two, RESERVE_PROVISIONAL), RESERVE_CROWDED);
	assert_int_equal(quote(&quoted, CENT), RESERVE_CROWDED);
	assert_false(reserve_stop_waiting(&two.r));
	assert_true(reserve_stop_waiting(&one.r));
	one.r.waiting_max = 0;
	assert_int_equal(ask(&one, RESERVE_PROVISIONAL), RESERVE_CROWDED);
	leave(&holder);
	leave(&one);
	leave(&two);
	leave(&quoted);
	world_close(&world);
}

static void who_stops_waiting_lets_the_next_try(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat holder = seat_at(&world, 80 * CENT), big = seat_at(&world, 50 * CENT);
	struct seat small = seat_at(&world, 10 * CENT), last = seat_at(&world, 30 * CENT);

	(void)state;
	assert_int_equal(ask(&holder, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_false(reserve_stop_waiting(&holder.r));
	assert_int_equal(ask(&big, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&small, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_int_equal(ask(&last, RESERVE_PROVISIONAL), RESERVE_WAITING);
	assert_true(reserve_stop_waiting(&big.r));
	assert_false(reserve_stop_waiting(&big.r));
	assert_int_equal(big.r.hold.state, HOLD_NONE);
	/* Resolved already, though the loop has not told it yet. */
	assert_false(reserve_stop_waiting(&small.r));
	turn(&world);
	assert_int_equal(small.resolved, 1);
	assert_int_equal(big.resolved, 0);
	assert_true(reserve_stop_waiting(&last.r)); /* the end of the line */
	assert_null(world.agent->waiting_last);
	leave(&holder);
	leave(&big);
	leave(&small);
	leave(&last);
	world_close(&world);
}

/* A quoted call that gives up has nothing but its place to give back. */
static void quoted_call_stops_waiting(void **state)
{
	struct world world = world_open(dollar_a_day, 5 * DOLLAR);
	struct seat a = seat_at(&world, 40 * CENT), b = seat_at(&world, 60 * CENT);

	(void)state;
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&b, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(quote(&a, 90 * CENT), RESERVE_WAITING);
	assert_true(reserve_stop_waiting(&a.r));
	assert_int_equal(a.r.hold.state, HOLD_PROVISIONAL);
	assert_int_equal(purse_provisional(world.agent->purse), 60 * CENT);
	leave(&a);
	leave(&b);
	world_close(&world);
}

/* Each end of a reservation moves the money where it says, and the line. */
static void ends(void **state)
{
	static const struct {
		const char *name;
		enum reserve_stage stage;
		void (*end)(struct reservation *r);
		int64_t available, open, spent, left; /* cents of 100; left: for who waits */
	} rows[] = {
	    {"release", RESERVE_PROVISIONAL, reserve_release, 100, 0, 0, 100},
	    {"unsign", RESERVE_EXACT, reserve_unsign, 100, 0, 0, 100},
	    {"settle", RESERVE_EXACT, reserve_settle, 40, 0, 60, 40},
	    {"leave open", RESERVE_EXACT, reserve_leave_open, 40, 60, 0, 40},
	    {"charge", RESERVE_METERED, reserve_charge, 100, 0, 0, 40},
	    {"give back", RESERVE_METERED, reserve_give_back, 100, 0, 0, 100},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct world world = world_open(dollar_a_day, DOLLAR);
		struct seat a = seat_at(&world, 60 * CENT), next = seat_at(&world, INT64_MAX);
		struct balance balance;

		if (rows[i].stage == RESERVE_EXACT) {
			assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
			assert_int_equal(quote(&a, 60 * CENT), RESERVE_OK);
		} else {
			assert_int_equal(ask(&a, rows[i].stage), RESERVE_OK);
		}
		rows[i].end(&a.r);
		balance = purse_balance(world.agent->purse, 1);
		row_check(rows[i].name, balance.available == rows[i].available * CENT);
		row_check(rows[i].name, balance.open == rows[i].open * CENT);
		row_check(rows[i].name, balance.spent == rows[i].spent * CENT);
		assert_int_equal(ask(&next, RESERVE_PROVISIONAL), RESERVE_OK);
		row_check(rows[i].name, next.r.held == rows[i].left * CENT);
		assert_int_equal(a.r.hold.state, HOLD_DONE);
		leave(&a);
		leave(&next);
		world_close(&world);
	}
}

/* The owner's deposit, or another policy, is what they waited for. */
static void owner_moves_the_line(void **state)
{
	struct world world = world_open("{}", DOLLAR);
	struct seat holder = seat_at(&world, INT64_MAX), a = seat_at(&world, 50 * CENT);

	(void)state;
	assert_int_equal(ask(&holder, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_WAITING);
	purse_deposit(world.agent->purse, 1, 20 * CENT);
	reserve_retry(world.purses, world.agent);
	turn(&world);
	assert_int_equal(a.resolved, 0);
	purse_deposit(world.agent->purse, 1, 30 * CENT);
	reserve_retry(world.purses, world.agent);
	turn(&world);
	assert_int_equal(a.resolved, 1);
	assert_int_equal(a.r.result, RESERVE_OK);
	leave(&a);
	/* Waiting under one policy, decided under the next. */
	a = seat_at(&world, 80 * CENT);
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_WAITING);
	set_policy(&world, "{\"budget\":{\"maxPerCall\":\"0\"}}");
	reserve_retry(world.purses, world.agent);
	turn(&world);
	assert_int_equal(a.r.result, RESERVE_OVER_LIMIT);
	assert_int_equal(a.r.decision.code, DECIDE_CODE_OVER_CALL_LIMIT);
	leave(&a);
	/* A hold is one policy's, its price is the next one's affair. */
	assert_int_equal(quote(&holder, CENT), RESERVE_OVER_LIMIT);
	leave(&holder);
	world_close(&world);
}

/* --- reading ------------------------------------------------------------------------------ */

static void remaining(void **state)
{
	struct world world =
	    world_open("{\"budget\":{\"sessionLimit\":\"0.80\",\"dailyLimit\":\"2.00\"},"
		       "\"rateLimit\":{\"callsPerHour\":9}}",
		DOLLAR);
	struct seat a = seat_at(&world, 30 * CENT), metered = seat_at(&world, 10 * CENT);

	(void)state;
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(reserve_remaining(&a.r), 50 * CENT);
	a.r.session = "s2"; /* its own hold is in another session: the wallet is the tightest */
	assert_int_equal(reserve_remaining(&a.r), 70 * CENT);
	a.r.session = "s1";
	assert_int_equal(ask(&metered, RESERVE_METERED), RESERVE_OK);
	assert_int_equal(reserve_remaining(&metered.r), 40 * CENT);
	leave(&a);
	leave(&metered);
	world_close(&world);
}

static void explain_changes_nothing(void **state)
{
	struct world world =
	    world_open("{\"budget\":{\"maxPerCall\":\"0.50\",\"dailyLimit\":\"0.60\"},"
		       "\"rateLimit\":{\"callsPerHour\":1}}",
		DOLLAR);
	struct seat a = seat_at(&world, 30 * CENT);
	struct policy_ref *policy = registry_policy(world.registry, world.agent);
	struct limit_reading readings[2], one;
	struct decision decision;
	size_t count;

	(void)state;
	assert_int_equal(ask(&a, RESERVE_PROVISIONAL), RESERVE_OK);
	count = reserve_explain(&decision, readings, COUNT(readings), world.purses, world.agent,
	    policy->policy, "s1", "search", NULL, false, 40 * CENT, world.now_us);
	assert_int_equal(count, 3); /* though only two were stored */
	assert_int_equal(decision.verdict, DECIDE_DENY);
	assert_int_equal(decision.code, DECIDE_CODE_RATE_LIMITED);
	assert_int_equal(readings[1].used, 30 * CENT);
	assert_int_equal(readings[1].limit->max, 60 * CENT);
	one = reserve_read(
	    world.purses, world.agent, readings[1].limit, NULL, NULL, NULL, world.now_us);
	assert_int_equal(one.used, 30 * CENT);
	assert_int_equal(one.total.provisional, 30 * CENT);
	assert_int_equal(purse_provisional(world.agent->purse), 30 * CENT);
	policy_unref(&policy);
	leave(&a);
	world_close(&world);
}

/* More limits than the inline array of a decision holds. */
static void many_limits(void **state)
{
	char *text = must_strdup("{\"limits\":["), *longer;
	struct world world;
	struct seat seat;

	(void)state;
	for (int i = 0; i < 100; i++) {
		longer =
		    must_format("%s%s{\"scope\":\"agent\",\"window\":\"day\",\"spend\":\"%d.00\"}",
			text, i ? "," : "", 100 - i);
		free(text);
		text = longer;
	}
	longer = must_format("%s]}", text);
	world = world_open(longer, 500 * DOLLAR);
	seat = seat_at(&world, INT64_MAX);
	assert_int_equal(ask(&seat, RESERVE_PROVISIONAL), RESERVE_OK);
	assert_int_equal(seat.r.held, DOLLAR);
	leave(&seat);
	world_close(&world);
	free(longer);
	free(text);
}

/* --- all at once --------------------------------------------------------------------------- */

#define THREADS 4
#define SEATS   12
#define ROUNDS  6000
#define AGENTS  2

static const char storm_policy[] =
    "{\"limits\":["
    "{\"scope\":\"session\",\"window\":\"total\",\"spend\":\"9.00\"},"
    "{\"scope\":\"session\",\"window\":\"minute\",\"calls\":150},"
    "{\"scope\":\"agent\",\"window\":\"minute\",\"spend\":\"2.00\"},"
    "{\"scope\":\"agent\",\"window\":\"hour\",\"spend\":\"11.00\"},"
    "{\"scope\":\"agent\",\"window\":\"day\",\"spend\":\"16.00\"},"
    "{\"scope\":\"agent\",\"window\":\"minute\",\"calls\":400},"
    "{\"scope\":\"wallet\",\"window\":\"month\",\"spend\":\"12.00\"},"
    "{\"scope\":\"wallet\",\"window\":\"hour\",\"calls\":900},"
    "{\"scope\":\"tool:a/one\",\"window\":\"minute\",\"spend\":\"0.90\"},"
    "{\"scope\":\"tool:a/*\",\"window\":\"minute\",\"spend\":\"1.30\"},"
    "{\"scope\":\"tool\",\"window\":\"hour\",\"spend\":\"7.00\"},"
    "{\"scope\":\"payee:" PAYEE "\",\"window\":\"minute\",\"spend\":\"1.10\"},"
    "{\"scope\":\"payee\",\"window\":\"hour\",\"calls\":700},"
    "{\"scope\":\"agent\",\"window\":\"call\",\"spend\":\"0.70\"}]}";

static const char *const sessions[] = {"s1", "s2", "s3"};
static const char *const tools[] = {"a/one", "a/two", "b"};
static const char *const payees[] = {PAYEE, "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"};

struct storm {
	struct purses *purses;
	struct registry *registry;
	struct agent *agents[AGENTS];
	int64_t deposited[AGENTS]; /* under the purses' lock */
	atomic_llong now_us;
	atomic_long granted, waited, refused;
	unsigned seed;
};

enum storm_state { IDLE, WAITING, HELD, SIGNED, METERED };

struct storm_seat {
	struct storm_thread *thread;
	struct reservation r;
	enum storm_state state;
	enum reserve_stage stage;
};

struct storm_thread {
	struct storm *storm;
	pthread_t thread;
	unsigned seed;
	struct event_base *base;
	struct mailbox *mailbox;
	struct storm_seat seats[SEATS];
};

static int chance(struct storm_thread *thread, int of)
{
	return rand_r(&thread->seed) % of;
}

/* With the lock held. cmocka's asserts belong to the main thread: here it is abort(). */
static void check_one(
    struct storm *storm, struct agent *agent, const struct limit *limit, const char *name)
{
	bool calls = limit->measure == LIMIT_CALLS;
	struct purse_reading reading = purse_read(agent->purse, (enum purse_subject)limit->scope,
	    name, limit->window, calls, atomic_load(&storm->now_us));
	int64_t provisional = calls ? 0 : reading.provisional;

	if (limit->scope == LIMIT_SCOPE_PAYEE)
		provisional = 0;
	if (reading.firm + provisional <= limit->max)
		return;
	fprintf(stderr, "seed %u: limit \"%s\" (%s): %lld firm, %lld provisional, %lld at most\n",
	    storm->seed, limit->name, name ? name : "-", (long long)reading.firm,
	    (long long)provisional, (long long)limit->max);
	abort();
}

static void check_limit(struct storm *storm, struct agent *agent, const struct limit *limit)
{
	if (limit->window == WINDOW_CALL)
		return;
	if (limit->target || limit->scope == LIMIT_SCOPE_AGENT ||
	    limit->scope == LIMIT_SCOPE_WALLET) {
		check_one(storm, agent, limit, limit->target);
		return;
	}
	for (size_t i = 0; i < COUNT(sessions) && limit->scope == LIMIT_SCOPE_SESSION; i++)
		check_one(storm, agent, limit, sessions[i]);
	for (size_t i = 0; i < COUNT(tools) && limit->scope == LIMIT_SCOPE_TOOL; i++)
		check_one(storm, agent, limit, tools[i]);
	for (size_t i = 0; i < COUNT(payees) && limit->scope == LIMIT_SCOPE_PAYEE; i++)
		check_one(storm, agent, limit, payees[i]);
}

static void check_agent(struct storm *storm, size_t which)
{
	struct agent *agent = storm->agents[which];
	struct policy_ref *policy = registry_policy(storm->registry, agent);
	int64_t total = 0;

	purses_lock(storm->purses);
	for (size_t i = 0; i < policy->policy->limit_count; i++)
		check_limit(storm, agent, &policy->policy->limits[i]);
	for (unsigned slot = 1; slot <= 2; slot++) {
		struct balance balance = purse_balance(agent->purse, slot);

		must(balance.available >= 0 && balance.open >= 0);
		total += balance.available + balance.open + balance.spent;
	}
	must(total == storm->deposited[which]);
	must(purse_provisional(agent->purse) >= 0 && purse_free(agent->purse) >= 0);
	purses_unlock(storm->purses);
	policy_unref(&policy);
}

static void storm_result(struct storm_seat *seat, enum reserve_result result)
{
	struct storm *storm = seat->thread->storm;

	switch (result) {
	case RESERVE_OK:
		atomic_fetch_add(&storm->granted, 1);
		must(seat->stage != RESERVE_EXACT || seat->r.spend <= 70 * CENT);
		seat->state = seat->stage == RESERVE_PROVISIONAL ? HELD
			      : seat->stage == RESERVE_EXACT     ? SIGNED
								 : METERED;
		return;
	case RESERVE_WAITING:
		atomic_fetch_add(&storm->waited, 1);
		seat->state = WAITING;
		return;
	case RESERVE_OVER_LIMIT:
	case RESERVE_NO_FUNDS:
	case RESERVE_CROWDED:
		atomic_fetch_add(&storm->refused, 1);
		if (seat->r.hold.state == HOLD_PROVISIONAL)
			reserve_release(&seat->r);
		reserve_fini(&seat->r);
		seat->state = IDLE;
		return;
	}
}

static void storm_resolved(void *arg)
{
	struct storm_seat *seat = arg;

	must(seat->state == WAITING && seat->r.result != RESERVE_WAITING);
	storm_result(seat, seat->r.result);
}

static void storm_ask(struct storm_seat *seat, enum reserve_stage stage)
{
	seat->stage = stage;
	storm_result(seat, reserve_ask(&seat->r, stage));
}

static void storm_begin(struct storm_seat *seat)
{
	struct storm_thread *thread = seat->thread;
	struct storm *storm = thread->storm;

	memset(&seat->r, 0, sizeof seat->r);
	seat->r.purses = storm->purses;
	seat->r.registry = storm->registry;
	seat->r.agent = storm->agents[chance(thread, AGENTS)];
	seat->r.session = sessions[chance(thread, (int)COUNT(sessions))];
	seat->r.tool = tools[chance(thread, (int)COUNT(tools))];
	seat->r.at_us = atomic_fetch_add(&storm->now_us, 1 + chance(thread, 40000));
	seat->r.waiting_max = 8;
	seat->r.mailbox = thread->mailbox;
	seat->r.resolved = storm_resolved;
	seat->r.arg = seat;
	seat->r.spend = chance(thread, 4) == 0   ? 0
			: chance(thread, 3) == 0 ? INT64_MAX
						 : chance(thread, 900000);
	if (chance(thread, 5) == 0) {
		seat->r.spend = chance(thread, 200000);
		storm_ask(seat, RESERVE_METERED);
	} else {
		storm_ask(seat, RESERVE_PROVISIONAL);
	}
}

static void storm_end(struct storm_seat *seat, void (*end)(struct reservation *r))
{
	end(&seat->r);
	reserve_fini(&seat->r);
	seat->state = IDLE;
}

static void storm_signed(struct storm_seat *seat)
{
	struct storm *storm = seat->thread->storm;
	int64_t price = seat->r.spend;
	struct agent *agent = seat->r.agent;

	switch (chance(seat->thread, 4)) {
	case 0:
		storm_end(seat, reserve_settle);
		return;
	case 1:
		storm_end(seat, reserve_unsign);
		return;
	case 2:
	case 3:
		storm_end(seat, reserve_leave_open);
		break;
	}
	/* Open, until the owner decides: settled, or given back. */
	purses_lock(storm->purses);
	if (chance(seat->thread, 5) == 0)
		purse_settle(agent->purse, seat->r.slot, price);
	else
		purse_refund(agent->purse, seat->r.slot, price, seat->r.session, seat->r.tool,
		    seat->r.payee, seat->r.at_us);
	purses_unlock(storm->purses);
	reserve_retry(storm->purses, agent);
}

static void storm_step(struct storm_seat *seat)
{
	switch (seat->state) {
	case IDLE:
		storm_begin(seat);
		return;
	case WAITING:
		if (chance(seat->thread, 6) == 0 && reserve_stop_waiting(&seat->r))
			storm_result(seat, RESERVE_CROWDED);
		return;
	case HELD:
		if (chance(seat->thread, 4) == 0) {
			storm_end(seat, reserve_release);
			return;
		}
		seat->r.slot = 1 + (unsigned)chance(seat->thread, 2);
		seat->r.payee = payees[chance(seat->thread, 2)];
		seat->r.spend = chance(seat->thread, 800000);
		storm_ask(seat, RESERVE_EXACT);
		return;
	case SIGNED:
		storm_signed(seat);
		return;
	case METERED:
		storm_end(seat, chance(seat->thread, 3) ? reserve_give_back : reserve_charge);
		return;
	}
}

static void storm_deposit(struct storm_thread *thread)
{
	struct storm *storm = thread->storm;
	int which = chance(thread, AGENTS);
	int64_t amount = chance(thread, 3 * (int)DOLLAR);

	purses_lock(storm->purses);
	purse_deposit(storm->agents[which]->purse, 1 + (unsigned)chance(thread, 2), amount);
	storm->deposited[which] += amount;
	purses_unlock(storm->purses);
	reserve_retry(storm->purses, storm->agents[which]);
}

/* Everybody ends what it holds; those that wait get their turn: nobody waits for ever. */
static void storm_calm(struct storm_thread *thread)
{
	int64_t until_us = clock_mono_us() + 60 * CLOCK_US_PER_S;
	bool busy = true;

	while (busy) {
		busy = false;
		event_base_loop(thread->base, EVLOOP_NONBLOCK);
		for (size_t i = 0; i < SEATS; i++) {
			struct storm_seat *seat = &thread->seats[i];

			if (seat->state == HELD)
				storm_end(seat, reserve_release);
			else if (seat->state == SIGNED)
				storm_end(seat, reserve_settle);
			else if (seat->state == METERED)
				storm_end(seat, reserve_give_back);
			busy = busy || seat->state == WAITING;
		}
		must(clock_mono_us() < until_us);
	}
}

static void *storm_run(void *arg)
{
	struct storm_thread *thread = arg;

	for (int round = 0; round < ROUNDS; round++) {
		storm_step(&thread->seats[chance(thread, SEATS)]);
		if (chance(thread, 400) == 0)
			storm_deposit(thread);
		if (chance(thread, 4) == 0)
			event_base_loop(thread->base, EVLOOP_NONBLOCK);
		check_agent(thread->storm, (size_t)chance(thread, AGENTS));
	}
	storm_calm(thread);
	return NULL;
}

static void storm_open(struct storm *storm, struct storm_thread *threads, unsigned seed)
{
	struct json_error error;

	memset(storm, 0, sizeof *storm);
	storm->seed = seed;
	storm->purses = purses_new();
	storm->registry = registry_new();
	atomic_init(&storm->now_us, NOW_US);
	for (size_t i = 0; i < AGENTS; i++) {
		struct agent_row row = {
		    .id = (int64_t)i + 1, .name = i ? "two" : "one", .owner = "o", .address = ""};
		struct policy *policy = policy_parse(&error, storm_policy, strlen(storm_policy));

		if (!policy)
			fail_msg("%s: %s", error.path, error.reason);
		storm->agents[i] =
		    registry_add_agent(storm->registry, &row, purses_add(storm->purses));
		registry_set_policy(storm->registry, storm->agents[i], policy);
		purse_deposit(storm->agents[i]->purse, 1, DOLLAR);
		purse_deposit(storm->agents[i]->purse, 2, DOLLAR);
		storm->deposited[i] = 2 * DOLLAR;
	}
	for (size_t i = 0; i < THREADS; i++) {
		threads[i].storm = storm;
		threads[i].seed = seed + (unsigned)i * 7919;
		threads[i].base = event_base_new();
		threads[i].mailbox = mailbox_new(threads[i].base);
		for (size_t j = 0; j < SEATS; j++)
			threads[i].seats[j].thread = &threads[i];
	}
}

/* TALLYWARD_SEED=number repeats a run's choices (not its timing). */
static void no_limit_is_ever_crossed(void **state)
{
	static struct storm_thread threads[THREADS];
	static struct storm storm;
	const char *given = getenv("TALLYWARD_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_now_us();

	(void)state;
	print_message("seed %u\n", seed);
	storm_open(&storm, threads, seed);
	for (size_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i].thread, NULL, storm_run, &threads[i]) == 0);
	for (size_t i = 0; i < THREADS; i++)
		must(pthread_join(threads[i].thread, NULL) == 0);
	for (size_t i = 0; i < AGENTS; i++) {
		check_agent(&storm, i);
		assert_int_equal(purse_provisional(storm.agents[i]->purse), 0);
		assert_int_equal(
		    purse_balance(storm.agents[i]->purse, PURSE_OFF_CHAIN).reserved, 0);
		assert_int_equal(storm.agents[i]->waiting_count, 0);
	}
	/* A storm in which nothing happened would prove nothing. */
	print_message("%ld granted, %ld waited, %ld refused\n", atomic_load(&storm.granted),
	    atomic_load(&storm.waited), atomic_load(&storm.refused));
	assert_true(atomic_load(&storm.granted) > 500);
	assert_true(atomic_load(&storm.waited) > 50);
	assert_true(atomic_load(&storm.refused) > 50);
	for (size_t i = 0; i < THREADS; i++) {
		mailbox_free(&threads[i].mailbox);
		event_base_free(threads[i].base);
	}
	registry_free(&storm.registry);
	purses_free(&storm.purses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(provisional_takes_what_is_left),
	    cmocka_unit_test(exact_is_all_or_nothing),
	    cmocka_unit_test(metered_ignores_the_wallet),
	    cmocka_unit_test(calls_are_counted_when_admitted),
	    cmocka_unit_test(first_come_first_served),
	    cmocka_unit_test(small_ones_do_not_overtake),
	    cmocka_unit_test(those_with_a_price_go_first),
	    cmocka_unit_test(two_halves_do_not_wait_for_each_other),
	    cmocka_unit_test(the_line_has_an_end),
	    cmocka_unit_test(who_stops_waiting_lets_the_next_try),
	    cmocka_unit_test(quoted_call_stops_waiting),
	    cmocka_unit_test(ends),
	    cmocka_unit_test(owner_moves_the_line),
	    cmocka_unit_test(remaining),
	    cmocka_unit_test(explain_changes_nothing),
	    cmocka_unit_test(many_limits),
	    cmocka_unit_test(no_limit_is_ever_crossed),
	};

	return unit_run(tests);
}
