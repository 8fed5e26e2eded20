/* The life of a call where it can go wrong: agents that leave, bodies that come late, sellers
 * that say too much, owners who change their minds in between.
 *
 * A real data folder and a real worker in its own thread; agent and seller are raw sockets
 * that the test holds in its hands, so that each step happens exactly when it says. */
#include <event2/thread.h>
#include <pthread.h>

#include "common/bytes.h"
#include "common/file.h"
#include "proxy/command.h"
#include "proxy/rooms.h"
#include "proxy/worker.h"
#include "tests/unit/ledger_disk.h"
#include "tests/unit/proxy_peer.h"

#define USDC  "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define PAYEE "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define OTHER "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

static const char plain_policy[] = "{\"budget\":{\"maxPerCall\":\"1.00\",\"dailyLimit\":\"5.00\"}}";

/* One for the whole program: opening a house costs a scrypt. */
struct stage {
	char dir[64];
	struct house *house;
	struct workers_state shared;
	struct worker *worker;
	int port;                /* the agents' side */
	int seller_fd;           /* where every seller of these tests listens */
	struct event_base *base; /* nothing is in it: the worker turns its own */
	unsigned serial;
	/* What fell_asleep() made agents forget. It is read while the gate is open. */
	pthread_mutex_t gate;
	atomic_int readings;
	atomic_bool unreadable;
};

/* One test's agent and its tools. */
struct play {
	struct stage *stage;
	char agent[32], tool[32];
	char *token;
};

/* --- owner ------------------------------------------------------------------- */

static json_t *command(struct stage *stage, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(stage->house, request, clock_now_us());

	json_decref(request);
	return reply;
}

/* Of a command that must succeed. */
static json_t *result(struct stage *stage, const char *name, json_t *args)
{
	json_t *reply = command(stage, name, args), *value;

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", name, json_string_value(json_object_get(reply, "error")));
	value = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return value;
}

static void done(struct stage *stage, const char *name, json_t *args)
{
	json_decref(result(stage, name, args));
}

static void add_tool(struct play *play, const char *name, const char *billing, const char *price)
{
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d/base", port_of(play->stage->seller_fd));
	done(play->stage, "tool.add",
	    json_pack("{s:s, s:s, s:s, s:s*}", "name", name, "url", url, "billing", billing,
		"price", price));
}

static struct play play_begin(struct stage *stage, const char *billing, const char *price,
    const char *policy, const char *deposit)
{
	struct play play = {.stage = stage};
	json_t *agent;

	stage->serial++;
	snprintf(play.agent, sizeof play.agent, "agent-%u", stage->serial);
	snprintf(play.tool, sizeof play.tool, "tool-%u", stage->serial);
	add_tool(&play, play.tool, billing, price);
	agent = result(stage, "agent.add",
	    json_pack(
		"{s:s, s:s, s:s}", "name", play.agent, "owner", "o@example.com", "policy", policy));
	play.token = must_strdup(json_string_value(json_object_get(agent, "token")));
	json_decref(agent);
	if (deposit)
		done(stage, "wallet.deposit",
		    json_pack("{s:s, s:s}", "agent", play.agent, "amount", deposit));
	return play;
}

/* Nothing may be left over: no call, no hold. */
static void play_end(struct play *play)
{
	struct agent *agent = registry_agent(play->stage->house->registry, play->agent);
	struct purses *purses = play->stage->house->purses;

	peer_until(play->stage->base, atomic_load(&play->stage->shared.calls) == 0);
	purses_lock(purses);
	assert_int_equal(purse_provisional(agent->purse), 0);
	assert_int_equal(purse_balance(agent->purse, PURSE_OFF_CHAIN).reserved, 0);
	assert_int_equal(agent->waiting_count, 0);
	purses_unlock(purses);
	free(play->token);
}

static struct balance balance_of(const struct play *play)
{
	struct house *house = play->stage->house;
	struct agent *agent = registry_agent(house->registry, play->agent);
	const struct asset *asset = assets_default(house->assets, "eip155:84532");
	struct balance balance;

	purses_lock(house->purses);
	balance = purse_balance(agent->purse, house_slot(house, asset));
	purses_unlock(house->purses);
	return balance;
}

static int64_t calls_of(const struct play *play)
{
	struct house *house = play->stage->house;
	struct agent *agent = registry_agent(house->registry, play->agent);
	int64_t calls;

	purses_lock(house->purses);
	calls =
	    purse_read(agent->purse, PURSE_AGENT, NULL, WINDOW_TOTAL, true, clock_now_us()).firm;
	purses_unlock(house->purses);
	return calls;
}

/* The only payment of the agent, as `payment list` shows it; the caller decrefs. */
static json_t *payment_of(const struct play *play)
{
	json_t *list =
	    result(play->stage, "payment.list", json_pack("{s:s}", "agent", play->agent));
	json_t *payment;

	assert_int_equal(json_array_size(list), 1);
	payment = json_incref(json_array_get(list, 0));
	json_decref(list);
	return payment;
}

static void assert_ledger_matches(const struct play *play)
{
	json_t *reply = result(play->stage, "ledger.verify", json_object());

	if (!json_is_true(json_object_get(reply, "ok"))) {
		char *text = json_dumps(reply, 0);

		fail_msg("%s", text);
	}
	json_decref(reply);
}

/* --- agent and seller ---------------------------------------------------------- */

/* fields: whole lines with their ends; body may be only the beginning of one. */
static struct peer ask_at(int port, struct play *play, const char *method, const char *path,
    const char *fields, const char *body)
{
	struct peer agent = peer_connect(port, 0);
	char *text = must_format("%s /t/%s%s HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n"
				 "Authorization: Bearer %s\r\n%s\r\n%s",
	    method, play->tool, path, play->token, fields, body);

	peer_say(play->stage->base, &agent, text);
	free(text);
	return agent;
}

static struct peer ask(
    struct play *play, const char *method, const char *path, const char *fields, const char *body)
{
	return ask_at(play->stage->port, play, method, path, fields, body);
}

/* The next request that reaches a seller, with its head. */
static struct peer served(struct play *play)
{
	struct peer seller = {.fd = -1};

	peer_until(play->stage->base, peer_accept(&seller, play->stage->seller_fd));
	peer_until(play->stage->base, peer_has(&seller, "\r\n\r\n"));
	return seller;
}

static void say(struct play *play, struct peer *peer, const char *text)
{
	peer_say(play->stage->base, peer, text);
}

static void hear(struct play *play, struct peer *peer, const char *text)
{
	peer_until(play->stage->base, peer_has(peer, text) || peer_over(peer));
	if (!peer_has(peer, text))
		fail_msg("no \"%s\" in: %s", text, peer_text(peer));
}

static void hang_up(struct peer *peer)
{
	peer_close(peer);
}

static char *challenge_json(const char *payee, const char *amount, const char *error)
{
	return must_format(
	    "{\"x402Version\":2,\"error\":\"%s\","
	    "\"accepts\":[{\"scheme\":\"exact\",\"network\":"
	    "\"eip155:84532\",\"amount\":\"%s\",\"asset\":\"" USDC "\",\"payTo\":\"%s\","
	    "\"maxTimeoutSeconds\":300,\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}]}",
	    error, amount, payee);
}

/* The head of a 402 with its challenge, and of the body the first body_size bytes' promise. */
static char *challenge_head(
    const char *payee, const char *amount, const char *error, size_t body_size)
{
	char *json = challenge_json(payee, amount, error);
	char *encoded = base64_encode(json, strlen(json));
	char *text = must_format("HTTP/1.1 402 Payment Required\r\nContent-Length: %zu\r\n"
				 "Payment-Required: %s\r\n\r\n",
	    body_size, encoded);

	free(json);
	free(encoded);
	return text;
}

static void demand(struct play *play, struct peer *seller, const char *amount)
{
	char *text = challenge_head(PAYEE, amount, "pay", 0);

	say(play, seller, text);
	free(text);
}

/* A v2 receipt that the seller took the payment of `amount` atomic units. */
static char *receipt_head(struct play *play)
{
	json_t *shown =
	    result(play->stage, "wallet.show", json_pack("{s:s}", "agent", play->agent));
	char *json = must_format("{\"success\":true,\"transaction\":\"0x%064d\",\"network\":"
				 "\"eip155:84532\",\"payer\":\"%s\"}",
	    7, json_string_value(json_object_get(shown, "address")));
	char *encoded = base64_encode(json, strlen(json));
	char *text =
	    must_format("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nPayment-Response: %s\r\n\r\n"
			"thing",
		encoded);

	json_decref(shown);
	free(json);
	free(encoded);
	return text;
}

static void sell(struct play *play, struct peer *seller)
{
	char *text = receipt_head(play);

	say(play, seller, text);
	free(text);
}

/* Ask, get the 402, and wait until the payment is at the seller's. */
static struct peer paid(struct play *play, struct peer *agent, const char *fields)
{
	struct peer seller;

	*agent = ask(play, "GET", "/x", fields, "");
	seller = served(play);
	demand(play, &seller, "10000");
	while (!peer_has(&seller, "Payment-Signature") && !peer_has(&seller, "PAYMENT-SIGNATURE")) {
		struct peer next = {.fd = -1};

		peer_until(play->stage->base, peer_has(&seller, "PAYMENT-SIGNATURE") ||
						  peer_accept(&next, play->stage->seller_fd));
		if (next.fd >= 0) {
			peer_close(&seller);
			seller = next;
			hear(play, &seller, "\r\n\r\n");
		}
	}
	return seller;
}

static struct play x402(void **state, const char *policy)
{
	return play_begin(*state, "x402", NULL, policy, "10.00");
}

/* --- the plain ways -------------------------------------------------------------- */

static void free_answer_passes(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = ask(&play, "GET", "/x?q=1", "", ""), seller = served(&play);

	hear(&play, &seller, "GET /base/x?q=1 HTTP/1.1\r\n");
	assert_false(peer_has(&seller, "Authorization"));
	say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	hear(&play, &agent, "\r\n\r\nhi");
	assert_true(peer_has(&agent, "HTTP/1.1 200 OK"));
	hang_up(&agent);
	hang_up(&seller);
	play_end(&play);
}

static void paid_answer_is_settled(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent, seller = paid(&play, &agent, "");

	assert_int_equal(balance_of(&play).open, 10000);
	sell(&play, &seller);
	hear(&play, &agent, "\r\n\r\nthing");
	assert_true(peer_has(&agent, "Tallyward-Payment: settled"));
	assert_true(peer_has(&agent, "Tallyward-Cost: 0.01"));
	hang_up(&agent);
	hang_up(&seller);
	play_end(&play);
	assert_int_equal(balance_of(&play).spent, 10000);
	assert_ledger_matches(&play);
}

/* --- the agent leaves -------------------------------------------------------------- */

static void agent_leaves_before_the_402(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = ask(&play, "GET", "/x", "", ""), seller = served(&play);

	hang_up(&agent);
	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 0);
	demand(&play, &seller, "10000");
	hang_up(&seller);
	play_end(&play);
	assert_int_equal(balance_of(&play).open, 0);
}

static void agent_leaves_after_the_signature(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent, seller = paid(&play, &agent, "");

	hang_up(&agent);
	sell(&play, &seller);
	play_end(&play);
	hang_up(&seller);
	assert_int_equal(balance_of(&play).spent, 10000);
	assert_int_equal(balance_of(&play).open, 0);
}

static void agent_leaves_while_the_signature_is_written(void **state)
{
	for (int i = 0; i < 10; i++) {
		struct play play = x402(state, plain_policy);
		struct peer agent = ask(&play, "GET", "/x", "", ""), seller = served(&play);
		int64_t until_us = clock_mono_us() + PEER_WAIT_US;

		demand(&play, &seller, "10000");
		hang_up(&agent);
		/* Either nothing was signed, or the payment goes out and is heard of. */
		while (atomic_load(&play.stage->shared.calls) > 0 && clock_mono_us() < until_us) {
			struct peer next = {.fd = -1};

			if (peer_has(&seller, "PAYMENT-SIGNATURE"))
				sell(&play, &seller);
			if (!peer_accept(&next, play.stage->seller_fd))
				continue;
			hang_up(&seller);
			seller = next;
		}
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(
		    balance_of(&play).open + balance_of(&play).spent + balance_of(&play).available,
		    10000000);
	}
}

/* --- signed, and not yet on the disk ------------------------------------------------ */

/* Ask and get the 402, on a disk that stands still, until the signed row waits for it. */
static void signed_only(struct play *play, struct peer *agent, struct peer *seller)
{
	struct store *store = play->stage->house->store;

	peer_until(play->stage->base, store_queued(store) == 0);
	*agent = ask(play, "GET", "/x", "", "");
	*seller = served(play);
	pthread_mutex_lock(&disk.lock);
	demand(play, seller, "10000");
	peer_until(play->stage->base, store_queued(store) == 1);
}

/* What the worker had to do it has done: it has answered others since. */
static void let_the_worker_work(struct play *play)
{
	for (int i = 0; i < 3; i++) {
		struct peer other = peer_connect(play->stage->port, 0);

		say(play, &other,
		    "GET /v1/me HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
		hear(play, &other, "HTTP/1.1 401 ");
		hang_up(&other);
	}
}

/* Not a byte, and no connection to send it on. */
static void assert_nothing_sent(struct play *play, struct peer *seller)
{
	struct peer next = {.fd = -1};

	let_the_worker_work(play);
	assert_false(peer_has(seller, "PAYMENT-SIGNATURE"));
	assert_false(peer_accept(&next, play->stage->seller_fd));
}

/* The payment on whichever connection it comes. */
static void hear_payment(struct play *play, struct peer *seller)
{
	struct peer next = {.fd = -1};

	peer_until(play->stage->base,
	    peer_has(seller, "PAYMENT-SIGNATURE") || peer_accept(&next, play->stage->seller_fd));
	if (next.fd < 0)
		return;
	hang_up(seller);
	*seller = next;
	hear(play, seller, "PAYMENT-SIGNATURE");
}

static void a_payment_that_is_ready_waits_for_the_disk(void **state)
{
	for (int leaves = 0; leaves <= 1; leaves++) {
		struct play play = x402(state, plain_policy);
		struct peer agent, seller;

		signed_only(&play, &agent, &seller);
		assert_nothing_sent(&play, &seller);
		if (leaves)
			hang_up(&agent);
		assert_nothing_sent(&play, &seller);
		pthread_mutex_unlock(&disk.lock);
		hear_payment(&play, &seller);
		sell(&play, &seller);
		if (!leaves)
			hear(&play, &agent, "\r\n\r\nthing");
		hang_up(&agent);
		play_end(&play);
		hang_up(&seller);
		assert_int_equal(balance_of(&play).spent, 10000);
		assert_int_equal(balance_of(&play).open, 0);
		assert_ledger_matches(&play);
	}
}

static void a_payment_that_is_ready_goes_with_its_commit(void **state)
{
	char reason[256];

	for (int leaves = 0; leaves <= 1; leaves++) {
		struct play play = x402(state, plain_policy);
		struct store *store = play.stage->house->store;
		struct peer agent, seller;

		signed_only(&play, &agent, &seller);
		if (leaves) {
			hang_up(&agent);
			let_the_worker_work(&play);
		}
		disk.from = disk.acts;
		disk.until = INT64_MAX;
		disk.how = DISK_ERROR;
		pthread_mutex_unlock(&disk.lock);
		if (leaves)
			disk_wait_failed(1);
		else
			hear(&play, &agent, "\"code\":\"not_accepting_payments\"");
		play_end(&play);
		assert_nothing_sent(&play, &seller);
		/* The row may be on the disk, for all that is known. */
		assert_int_equal(balance_of(&play).open, 10000);
		hang_up(&agent);
		hang_up(&seller);
		disk_heal();
		peer_until(play.stage->base, store_health(store, reason) == STORE_OK);
	}
}

/* The row of its hold is on its way to the disk when the agent goes. */
static void agent_leaves_while_a_metered_hold_is_written(void **state)
{
	for (int i = 0; i < 10; i++) {
		struct play play = play_begin(*state, "metered", "0.05", plain_policy, NULL);
		struct peer agent = ask(&play, "POST", "/x", "Content-Length: 5\r\n", "");
		struct peer seller = {.fd = -1};

		if (i % 2)
			peer_reset(&agent);
		else
			hang_up(&agent);
		play_end(&play);
		/* The row may have been faster: what was forwarded is not the next test's. */
		while (peer_accept(&seller, play.stage->seller_fd))
			hang_up(&seller);
	}
}

/* The request will never be whole, so the seller will never answer. */
static void agent_leaves_in_the_middle_of_a_metered_body(void **state)
{
	static const char *const framings[] = {
	    "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"};

	for (size_t i = 0; i < COUNT(framings); i++) {
		struct play play = play_begin(*state, "metered", "0.05", plain_policy, NULL);
		struct peer agent =
		    ask(&play, "POST", "/x", framings[i], i ? "5\r\nhello\r\n" : "hello");
		struct peer seller = served(&play);

		hear(&play, &seller, "hello");
		hang_up(&agent);
		play_end(&play);
		hang_up(&seller);
	}
}

static void agent_leaves_after_a_metered_body(void **state)
{
	struct play play = play_begin(*state, "metered", "0.05", plain_policy, NULL);
	struct peer agent = ask(&play, "POST", "/x", "Content-Length: 5\r\n", "hello");
	struct peer seller = served(&play);
	struct agent *who = registry_agent(play.stage->house->registry, play.agent);

	hear(&play, &seller, "hello");
	hang_up(&agent);
	/* A socket that is read sees the end at once; give the worker that moment. */
	peer_until(play.stage->base, poll(NULL, 0, 20) == 0);
	say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	play_end(&play);
	hang_up(&seller);
	purses_lock(play.stage->house->purses);
	assert_int_equal(purse_balance(who->purse, PURSE_OFF_CHAIN).spent, 50000);
	purses_unlock(play.stage->house->purses);
}

/* --- bodies ---------------------------------------------------------------------------- */

static void body_too_large_while_it_is_forwarded(void **state)
{
	static const char *const billings[] = {"x402", "metered"};
	for (size_t i = 0; i < COUNT(billings); i++) {
		struct play play =
		    play_begin(*state, billings[i], i ? "0.05" : NULL, plain_policy, "10.00");
		struct peer agent =
		    ask(&play, "POST", "/x", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n");
		struct peer seller = served(&play);

		hear(&play, &seller, "hello");
		say(&play, &agent, "c\r\nout of world\r\n");
		hear(&play, &agent, "HTTP/1.1 413 ");
		hear(&play, &agent, "body_too_large");
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
	}
}

/* An answer may begin, and even be whole, before the request is. */
static void early_answer_does_not_cut_the_body(void **state)
{
	static const struct {
		const char *framing, *first, *second, *whole;
	} rows[] = {
	    {"Content-Length: 10\r\n", "hello", "world", "helloworld"},
	    {"Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n",
		"5\r\nworld\r\n0\r\n\r\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct play play = x402(state, plain_policy);
		struct peer agent = ask(&play, "POST", "/x", rows[i].framing, rows[i].first);
		struct peer seller = served(&play);

		hear(&play, &seller, "hello");
		say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nech");
		hear(&play, &agent, "ech");
		say(&play, &agent, rows[i].second);
		hear(&play, &seller, rows[i].whole);
		say(&play, &seller, "oed!!");
		hear(&play, &agent, "echoed!!");
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
	}
}

static void the_402_comes_before_the_body_is_whole(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = ask(&play, "POST", "/x", "Content-Length: 10\r\n", "hello");
	struct peer seller = served(&play), next = {.fd = -1};

	hear(&play, &seller, "hello");
	demand(&play, &seller, "10000");
	hang_up(&seller);
	assert_int_equal(balance_of(&play).open, 0);
	say(&play, &agent, "world");
	peer_until(play.stage->base, peer_accept(&next, play.stage->seller_fd));
	hear(&play, &next, "\r\n\r\nhelloworld");
	assert_true(peer_has(&next, "PAYMENT-SIGNATURE"));
	sell(&play, &next);
	hear(&play, &agent, "\r\n\r\nthing");
	hang_up(&agent);
	hang_up(&next);
	play_end(&play);
}

/* Larger than is read: what the head says is enough, and it is asked once. */
static void a_large_402_before_the_body_is_whole(void **state)
{
	struct stage *stage = *state;
	struct play play = x402(state, plain_policy);
	struct peer agent, seller, next = {.fd = -1};
	char *head, junk[2001];

	memset(junk, 'j', sizeof junk - 1);
	junk[sizeof junk - 1] = '\0';
	agent = ask(&play, "POST", "/x", "Content-Length: 10\r\n", "hello");
	seller = served(&play);
	hear(&play, &seller, "hello");
	head = challenge_head(PAYEE, "10000", "pay", 2 * (sizeof junk - 1));
	say(&play, &seller, head);
	say(&play, &seller, junk);
	peer_until(stage->base, poll(NULL, 0, 20) == 0);
	say(&play, &seller, junk);
	hang_up(&seller);
	peer_until(stage->base, poll(NULL, 0, 20) == 0);
	say(&play, &agent, "world");
	peer_until(stage->base, peer_accept(&next, stage->seller_fd) || peer_over(&agent));
	if (next.fd < 0)
		fail_msg("%s", peer_text(&agent));
	hear(&play, &next, "helloworld");
	sell(&play, &next);
	hear(&play, &agent, "\r\n\r\nthing");
	free(head);
	hang_up(&agent);
	hang_up(&next);
	play_end(&play);
}

/* --- too much said ------------------------------------------------------------------------ */

static void as_many_answer_headers_as_fit(void **state)
{
	for (unsigned count = HEADERS_COUNT_MAX - 8; count <= HEADERS_COUNT_MAX; count++) {
		struct play play = x402(state, plain_policy);
		struct peer agent = ask(&play, "GET", "/x", "", ""), seller = served(&play);

		say(&play, &seller, "HTTP/1.1 200 OK\r\n");
		for (unsigned i = 1; i < count; i++)
			say(&play, &seller, "X-Much: more\r\n");
		say(&play, &seller, "Content-Type: text/plain\r\nConnection: close\r\n\r\nhi");
		hang_up(&seller);
		peer_until(play.stage->base, peer_over(&agent));
		if (!peer_has(&agent, "HTTP/1.1 200 OK") && !peer_has(&agent, "HTTP/1.1 502 "))
			fail_msg("%u: %s", count, peer_text(&agent));
		assert_true(peer_has(&agent, "Tallyward-Call: "));
		hang_up(&agent);
		play_end(&play);
	}
}

/* What the agent sends leaves no room for the payment: nothing is signed. */
static void request_headers_leave_no_room_for_the_payment(void **state)
{
	struct play play = x402(state, plain_policy);
	char *fields = must_alloc(HEADERS_SIZE_MAX), *big = must_alloc(HEADERS_SIZE_MAX);
	size_t size = HEADERS_SIZE_MAX - strlen(play.token) - 100;
	struct peer agent, seller;

	memset(big, 'b', size);
	big[size] = '\0';
	snprintf(fields, HEADERS_SIZE_MAX, "X-Big: %s\r\n", big);
	agent = ask(&play, "GET", "/x", fields, "");
	seller = served(&play);
	demand(&play, &seller, "10000");
	hear(&play, &agent, "HTTP/1.1 400 ");
	peer_until(play.stage->base, peer_over(&agent));
	hang_up(&agent);
	hang_up(&seller);
	play_end(&play);
	assert_int_equal(balance_of(&play).open, 0);
	assert_int_equal(balance_of(&play).available, 10000000);
	free(fields);
	free(big);
}

/* The seller's words are cut to fit, which may be in the middle of a character. */
static void long_words_of_a_seller(void **state)
{
	for (size_t shift = 0; shift < 3; shift++) {
		struct play play = x402(state, plain_policy);
		struct peer agent, seller = paid(&play, &agent, "");
		char words[1024] = "", *head;

		memset(words, 'x', shift);
		for (size_t i = shift; i + 3 < 900; i += 3)
			memcpy(words + i, "\xe2\x82\xac", 4);
		head = challenge_head(PAYEE, "10000", words, 0);
		say(&play, &seller, head);
		free(head);
		hear(&play, &agent, "HTTP/1.1 502 ");
		hear(&play, &agent, "payment_rejected");
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(balance_of(&play).open, 10000);
	}
}

/* --- waiting for each other ------------------------------------------------------------------ */

/* Two calls, one wallet, and the first one's price is not known: the second waits for it in
 * vain. The money is the reason, not a limit. */
static void waiting_in_vain_for_the_wallet(void **state)
{
	struct play play = play_begin(*state, "x402", NULL, plain_policy, "0.50");
	struct peer first = ask(&play, "GET", "/x", "", ""), seller = served(&play);
	struct peer second = ask(&play, "GET", "/x", "", "");

	hear(&play, &second, "HTTP/1.1 403 ");
	hear(&play, &second, "insufficient_funds");
	say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	hear(&play, &first, "\r\n\r\nhi");
	hang_up(&first);
	hang_up(&second);
	hang_up(&seller);
	play_end(&play);
}

static void waiting_agent_leaves(void **state)
{
	struct play play = play_begin(*state, "x402", NULL, plain_policy, "0.50");
	struct peer first = ask(&play, "GET", "/x", "", ""), seller = served(&play);
	struct peer second = ask(&play, "GET", "/x", "", "");
	struct agent *who = registry_agent(play.stage->house->registry, play.agent);
	size_t waiting = 0;

	peer_until(
	    play.stage->base, (purses_lock(play.stage->house->purses), waiting = who->waiting_count,
				  purses_unlock(play.stage->house->purses), waiting == 1));
	hang_up(&second);
	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 1);
	say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	hear(&play, &first, "\r\n\r\nhi");
	hang_up(&first);
	hang_up(&seller);
	play_end(&play);
}

/* --- the owner changes things in between -------------------------------------------------------
 */

static void set_policy(struct play *play, const char *policy)
{
	done(play->stage, "policy.set",
	    json_pack("{s:s, s:s}", "agent", play->agent, "policy", policy));
}

static void owner_changes_the_policy_before_the_quote(void **state)
{
	static const struct {
		const char *policy, *status, *code;
	} rows[] = {
	    {"{\"budget\":{\"maxPerCall\":\"0.001\"}}", "HTTP/1.1 403 ", "over_call_limit"},
	    {"{\"budget\":{\"dailyLimit\":\"0.001\"}}", "HTTP/1.1 429 ", "over_day_limit"},
	    {"{\"tools\":{\"allowlist\":[]}}", "HTTP/1.1 403 ", "tool_denied"},
	    {"{\"payment\":{\"networks\":[\"eip155:8453\"]}}", "HTTP/1.1 403 ",
		"no_payable_option"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct play play = x402(state, plain_policy);
		struct peer agent = ask(&play, "GET", "/x", "", ""), seller = served(&play);

		set_policy(&play, rows[i].policy);
		demand(&play, &seller, "10000");
		hear(&play, &agent, "\r\n\r\n");
		row_check(rows[i].code, peer_has(&agent, rows[i].status));
		hear(&play, &agent, rows[i].code);
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(balance_of(&play).open, 0);
	}
}

static void owner_stops_the_agent_before_the_quote(void **state)
{
	for (int revoke = 0; revoke < 2; revoke++) {
		struct play play = x402(state, plain_policy);
		struct peer agent = ask(&play, "GET", "/x", "", ""), seller = served(&play);

		if (revoke) {
			json_t *tokens = result(
			    play.stage, "token.list", json_pack("{s:s}", "agent", play.agent));

			done(play.stage, "token.revoke",
			    json_pack("{s:O}", "session",
				json_object_get(json_array_get(tokens, 0), "session")));
			json_decref(tokens);
		} else {
			done(play.stage, "agent.suspend", json_pack("{s:s}", "agent", play.agent));
		}
		demand(&play, &seller, "10000");
		hear(&play, &agent, revoke ? "HTTP/1.1 401 " : "HTTP/1.1 403 ");
		hear(&play, &agent, revoke ? "unauthenticated" : "agent_suspended");
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(balance_of(&play).open, 0);
	}
}

/* Two first calls at once, two payees: only one can be the first. */
static void two_payees_race_to_be_pinned(void **state)
{
	struct play play =
	    x402(state, "{\"budget\":{\"maxPerCall\":\"0.10\"},\"payment\":{\"pinPayee\":true}}");
	struct peer one = ask(&play, "GET", "/x", "", ""), first = served(&play), paying;
	struct peer two = ask(&play, "GET", "/x", "", ""), second = served(&play);
	char *other = challenge_head(OTHER, "10000", "pay", 0);

	demand(&play, &first, "10000");
	hang_up(&first);
	paying = served(&play);
	hear(&play, &paying, "PAYMENT-SIGNATURE");
	say(&play, &second, other);
	hear(&play, &two, "HTTP/1.1 403 ");
	hear(&play, &two, "payee_changed");
	sell(&play, &paying);
	hear(&play, &one, "\r\n\r\nthing");
	free(other);
	hang_up(&one);
	hang_up(&two);
	hang_up(&second);
	hang_up(&paying);
	play_end(&play);
}

/* --- keys ------------------------------------------------------------------------------------ */

static const char key_field[] = "Idempotency-Key: k\r\n";

/* The seller says nothing, however often it is asked (a GET is repeated when a kept
 * connection ends), until the agent is told so. */
static void keep_silent(struct play *play, struct peer *seller, struct peer *agent)
{
	struct peer next = {.fd = -1};

	hang_up(seller);
	while (!peer_has(agent, "HTTP/1.1 502 ")) {
		peer_until(play->stage->base,
		    peer_has(agent, "HTTP/1.1 502 ") || peer_accept(&next, play->stage->seller_fd));
		hang_up(&next);
	}
	peer_until(play->stage->base, peer_over(agent));
	hang_up(agent);
}

/* The seller takes the payment and says nothing; the key's next call sends it again. */
static struct peer unheard(struct play *play)
{
	struct peer agent, seller = paid(play, &agent, key_field);

	keep_silent(play, &seller, &agent);
	peer_until(play->stage->base, atomic_load(&play->stage->shared.calls) == 0);
	assert_int_equal(balance_of(play).open, 10000);
	agent = ask(play, "GET", "/x", key_field, "");
	return agent;
}

static void a_key_sends_the_same_bytes_again(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = unheard(&play), seller = served(&play);

	hear(&play, &seller, "PAYMENT-SIGNATURE");
	sell(&play, &seller);
	hear(&play, &agent, "\r\n\r\nthing");
	hang_up(&agent);
	hang_up(&seller);
	agent = ask(&play, "GET", "/x", key_field, "");
	hear(&play, &agent, "\r\n\r\nthing");
	assert_true(peer_has(&agent, "Tallyward-Replayed: true"));
	hang_up(&agent);
	play_end(&play);
	assert_int_equal(balance_of(&play).spent, 10000);
	json_decref(payment_of(&play));
	assert_ledger_matches(&play);
}

/* The owner gives the money back while the same bytes are on their way once more: the
 * owner's word was first, and memory says what the ledger says. */
static void owner_resolves_what_is_sent_again(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = unheard(&play), seller = served(&play);
	json_t *payment = payment_of(&play);

	hear(&play, &seller, "PAYMENT-SIGNATURE");
	done(play.stage, "payment.resolve",
	    json_pack("{s:O, s:s, s:b}", "payment", json_object_get(payment, "payment"), "decision",
		"unused", "force", 1));
	/* Another payment is open, which is not to be touched. */
	{
		struct peer more, other;

		json_t *token =
		    result(play.stage, "token.issue", json_pack("{s:s}", "agent", play.agent));

		free(play.token);
		play.token = must_strdup(json_string_value(json_object_get(token, "token")));
		json_decref(token);
		other = paid(&play, &more, "");
		keep_silent(&play, &other, &more);
	}
	assert_int_equal(balance_of(&play).open, 10000);
	sell(&play, &seller);
	hear(&play, &agent, "\r\n\r\nthing");
	hang_up(&agent);
	hang_up(&seller);
	json_decref(payment);
	play_end(&play);
	assert_int_equal(balance_of(&play).open, 10000);
	assert_int_equal(balance_of(&play).spent, 0);
	assert_ledger_matches(&play);
}

/* Sending again is a call too. */
static void sending_again_counts_as_a_call(void **state)
{
	struct play play = x402(
	    state, "{\"budget\":{\"maxPerCall\":\"0.10\"},\"rateLimit\":{\"callsPerHour\":2}}");
	struct peer agent = unheard(&play), seller = served(&play);

	hear(&play, &seller, "PAYMENT-SIGNATURE");
	keep_silent(&play, &seller, &agent);
	assert_int_equal(calls_of(&play), 2);
	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 0);
	agent = ask(&play, "GET", "/x", key_field, "");
	hear(&play, &agent, "HTTP/1.1 429 ");
	hear(&play, &agent, "rate_limited");
	hang_up(&agent);
	play_end(&play);
	assert_int_equal(balance_of(&play).open, 10000);
}

/* The agent loses its connection after paying, before the answer or in the middle of it: its
 * key brings the answer, and no second payment. */
static void a_key_keeps_the_answer_for_an_agent_that_left(void **state)
{
	for (int middle = 0; middle < 2; middle++) {
		struct play play = x402(state, plain_policy);
		struct peer agent, seller = paid(&play, &agent, key_field);
		char *answer = receipt_head(&play);
		size_t first = middle ? strlen(answer) - 2 : 0;

		peer_send(play.stage->base, &seller, answer, first);
		if (middle)
			hear(&play, &agent, "thi");
		hang_up(&agent);
		peer_until(play.stage->base, poll(NULL, 0, 20) == 0);
		say(&play, &seller, answer + first);
		agent = ask(&play, "GET", "/x", key_field, "");
		hear(&play, &agent, "\r\n\r\nthing");
		assert_true(peer_has(&agent, "Tallyward-Replayed: true"));
		assert_true(peer_has(&agent, "Tallyward-Payment: settled"));
		free(answer);
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(balance_of(&play).spent, 10000);
	}
}

/* … unless it is larger than is kept, or never whole: then it is not read for nobody. */
static void an_answer_that_is_not_kept(void **state)
{
	for (int cut = 0; cut < 2; cut++) {
		struct play play = x402(state, plain_policy);
		struct peer agent, seller = paid(&play, &agent, key_field);
		char large[2049];

		memset(large, 'l', sizeof large - 1);
		large[sizeof large - 1] = '\0';
		say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
		hear(&play, &agent, "\r\n\r\n");
		hang_up(&agent);
		peer_until(play.stage->base, poll(NULL, 0, 20) == 0);
		say(&play, &seller, cut ? "a little" : large);
		if (cut)
			hang_up(&seller);
		peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 0);
		hang_up(&seller);
		/* Open still, so the same bytes may go again. */
		agent = ask(&play, "GET", "/x", key_field, "");
		seller = served(&play);
		hear(&play, &seller, "PAYMENT-SIGNATURE");
		sell(&play, &seller);
		hear(&play, &agent, "\r\n\r\nthing");
		hang_up(&agent);
		hang_up(&seller);
		play_end(&play);
		assert_int_equal(balance_of(&play).spent, 10000);
	}
}

static void a_key_is_handed_to_an_agent_that_left(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer first = ask(&play, "GET", "/x", key_field, ""), seller = served(&play);
	struct peer second = ask(&play, "GET", "/x", key_field, "");
	struct peer third;

	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 2);
	third = ask(&play, "GET", "/x", key_field, "");
	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 3);
	say(&play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	hang_up(&second);
	hear(&play, &first, "\r\n\r\nhi");
	hear(&play, &third, "\r\n\r\nhi");
	hang_up(&first);
	hang_up(&third);
	hang_up(&seller);
	play_end(&play);
}

/* --- HEAD ---------------------------------------------------------------------------------------
 */

static void head_is_paid_for_too(void **state)
{
	struct play play = x402(state, plain_policy);
	struct peer agent = ask(&play, "HEAD", "/x", "", ""), seller = served(&play),
		    next = {.fd = -1};
	char *head = challenge_head(PAYEE, "10000", "pay", 500), *sold;

	say(&play, &seller, head);
	peer_until(play.stage->base,
	    peer_has(&seller, "PAYMENT-SIGNATURE") || peer_accept(&next, play.stage->seller_fd));
	if (next.fd < 0)
		next = seller;
	else
		hang_up(&seller);
	hear(&play, &next, "PAYMENT-SIGNATURE");
	sold = receipt_head(&play);
	sold[strlen(sold) - strlen("thing")] = '\0';
	say(&play, &next, sold);
	hear(&play, &agent, "Content-Length: 5\r\n");
	peer_until(play.stage->base, peer_over(&agent));
	assert_true(peer_has(&agent, "HTTP/1.1 200 OK"));
	free(sold);
	free(head);
	hang_up(&agent);
	hang_up(&next);
	play_end(&play);
}

/* --- a past that takes its time ------------------------------------------------------ */

#define PAST_SPENT INT64_C(4000000)
#define PAST_CALLS 3

/* Long, whatever it is: who reads only a little is told so. */
static enum purse_past recall(struct purse *draft, void *owner, size_t rows_max, void *arg)
{
	struct stage *stage = arg;

	(void)owner;
	if (rows_max != SIZE_MAX)
		return PURSE_LONG;
	must(pthread_mutex_lock(&stage->gate) == 0);
	must(pthread_mutex_unlock(&stage->gate) == 0);
	stage->readings++;
	if (stage->unreadable)
		return PURSE_UNREADABLE;
	purse_restore_charge(
	    draft, NULL, "long ago", NULL, false, clock_now_us(), PAST_SPENT, PAST_CALLS);
	return PURSE_AWAKE;
}

static void hold_readings(struct stage *stage)
{
	must(pthread_mutex_lock(&stage->gate) == 0);
}

static void let_readings_go(struct stage *stage)
{
	must(pthread_mutex_unlock(&stage->gate) == 0);
}

/* An agent as a start finds it, who has spent 4.00 of 5.00 today. Readings are held. */
static struct play fell_asleep(void **state)
{
	struct play play = play_begin(*state, "metered", "1.00", plain_policy, NULL);
	struct agent *agent = registry_agent(play.stage->house->registry, play.agent);

	play.stage->readings = 0;
	hold_readings(play.stage);
	purse_sleep(agent->purse, agent);
	return play;
}

/* That worker has gone round: what was asked before is answered, or waits. */
static void goes_on(struct play *play, int port)
{
	struct peer anybody = peer_connect(port, 0);

	say(play, &anybody, "GET /healthz HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
	hear(play, &anybody, "200 OK");
	hang_up(&anybody);
}

static struct peer ask_who_i_am(struct play *play)
{
	struct peer agent = peer_connect(play->stage->port, 0);
	char *text = must_format("GET /v1/me HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n"
				 "Authorization: Bearer %s\r\n\r\n",
	    play->token);

	say(play, &agent, text);
	free(text);
	goes_on(play, play->stage->port);
	return agent;
}

static struct peer ask_first(struct play *play, int port, int calls)
{
	struct peer agent = ask_at(port, play, "GET", "/x", "", "");

	peer_until(play->stage->base, atomic_load(&play->stage->shared.calls) == calls);
	goes_on(play, port);
	assert_string_equal(peer_text(&agent), "");
	return agent;
}

static void deliver(struct play *play, struct peer *agent)
{
	struct peer seller = served(play);

	say(play, &seller, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	hear(play, agent, "\r\n\r\nhi");
	hang_up(agent);
	hang_up(&seller);
}

static struct worker *another_worker(struct stage *stage, int *port)
{
	char reason[256] = "";
	int fd = listener_socket_tcp(reason, "127.0.0.1:0", true);

	must(fd >= 0);
	*port = port_of(fd);
	return worker_start(stage->house, &stage->shared, fd, 1);
}

static void others_go_on_while_a_past_is_read(void **state)
{
	struct play play = fell_asleep(state), other = x402(state, plain_policy);
	struct peer agent = ask_first(&play, play.stage->port, 1), second;

	second = ask(&other, "GET", "/x", "", "");
	deliver(&other, &second);
	let_readings_go(play.stage);
	deliver(&play, &agent);
	play_end(&play);
	play_end(&other);
	assert_int_equal(play.stage->readings, 1);
	assert_int_equal(calls_of(&play), PAST_CALLS + 1);
}

/* What is left is enough for one of them; had the second decided on an empty past, or the first
 * one's been lost to it, it would be let through. */
static void two_first_calls_decide_on_one_past(void **state)
{
	struct play play = fell_asleep(state);
	int port;
	struct worker *worker = another_worker(play.stage, &port);
	struct peer agents[2] = {
	    ask_first(&play, play.stage->port, 1), ask_first(&play, port, 2)};
	size_t refused;

	let_readings_go(play.stage);
	peer_until(play.stage->base, (refused = 0, peer_has(&agents[0], "over_day_limit")) ||
					 (refused = 1, peer_has(&agents[1], "over_day_limit")));
	deliver(&play, &agents[1 - refused]);
	hang_up(&agents[refused]);
	worker_drain(worker);
	peer_until(play.stage->base, worker_done(worker));
	worker_join(&worker);
	play_end(&play);
	assert_int_equal(play.stage->readings, 1);
	assert_int_equal(calls_of(&play), PAST_CALLS + 1);
}

static void agent_leaves_while_its_past_is_read(void **state)
{
	struct play play = fell_asleep(state);
	struct agent *who = registry_agent(play.stage->house->registry, play.agent);
	struct peer agent = ask_first(&play, play.stage->port, 1);

	hang_up(&agent);
	peer_until(play.stage->base, atomic_load(&play.stage->shared.calls) == 0);
	let_readings_go(play.stage);
	peer_until(play.stage->base, !purse_asleep(who->purse));
	agent = ask(&play, "GET", "/x", "", "");
	deliver(&play, &agent);
	play_end(&play);
	assert_int_equal(play.stage->readings, 1);
	assert_int_equal(calls_of(&play), PAST_CALLS + 1);
}

/* And the next who asks has it read again. */
static void a_past_that_cannot_be_read(void **state)
{
	struct play play = fell_asleep(state);
	struct stage *stage = play.stage;
	struct peer agents[3] = {ask_first(&play, stage->port, 1),
	    ask_first(&play, stage->port, 2), ask_who_i_am(&play)};

	stage->unreadable = true;
	let_readings_go(stage);
	for (size_t i = 0; i < COUNT(agents); i++) {
		hear(&play, &agents[i], "not_accepting_payments");
		assert_true(peer_has(&agents[i], "HTTP/1.1 503 "));
		assert_true(peer_has(&agents[i], "cannot be read from the ledger"));
		hang_up(&agents[i]);
	}
	assert_int_equal(stage->readings, 1);
	stage->unreadable = false;
	agents[0] = ask(&play, "GET", "/x", "", "");
	deliver(&play, &agents[0]);
	play_end(&play);
	assert_int_equal(stage->readings, 2);
	assert_int_equal(calls_of(&play), PAST_CALLS + 1);
}

static void a_stop_waits_for_a_past(void **state)
{
	struct play play = fell_asleep(state);
	int port;
	struct worker *worker = another_worker(play.stage, &port);
	struct peer agent = ask_first(&play, port, 1);

	worker_drain(worker);
	let_readings_go(play.stage);
	deliver(&play, &agent);
	peer_until(play.stage->base, worker_done(worker));
	worker_join(&worker);
	play_end(&play);
}

static void who_i_am_waits_for_a_past(void **state)
{
	struct play play = fell_asleep(state);
	struct peer agent = ask_who_i_am(&play), gone = ask_who_i_am(&play);

	assert_string_equal(peer_text(&agent), "");
	hang_up(&gone);
	let_readings_go(play.stage);
	hear(&play, &agent, "\"used\":\"4.00\"");
	assert_true(peer_has(&agent, "HTTP/1.1 200 OK"));
	hang_up(&agent);
	play_end(&play);
	assert_int_equal(play.stage->readings, 1);
	assert_int_equal(calls_of(&play), PAST_CALLS);
}

/* The time that every other waiting has. */
static void a_past_that_takes_too_long(void **state)
{
	struct play play = fell_asleep(state);
	struct agent *who = registry_agent(play.stage->house->registry, play.agent);
	struct peer agents[2] = {ask(&play, "GET", "/x", "", ""), ask_who_i_am(&play)};

	for (size_t i = 0; i < COUNT(agents); i++) {
		hear(&play, &agents[i], "still being read");
		assert_true(peer_has(&agents[i], "HTTP/1.1 503 "));
		assert_true(peer_has(&agents[i], "not_accepting_payments"));
		hang_up(&agents[i]);
	}
	let_readings_go(play.stage);
	peer_until(play.stage->base, !purse_asleep(who->purse));
	agents[0] = ask(&play, "GET", "/x", "", "");
	deliver(&play, &agents[0]);
	play_end(&play);
	assert_int_equal(play.stage->readings, 1);
	assert_int_equal(calls_of(&play), PAST_CALLS + 1);
}

/* --- the stage
 * -------------------------------------------------------------------------------------- */

static int stage_open_with(void **state, int64_t waiting_ms_max)
{
	struct stage *stage = must_calloc(1, sizeof *stage);
	struct house_options options = {.dir = stage->dir, .command = "test"};
	char reason[512] = "";
	int fd;

	must(evthread_use_pthreads() == 0);
	disk_install();
	snprintf(stage->dir, sizeof stage->dir, "/tmp/tallyward-unit-XXXXXX");
	must(mkdtemp(stage->dir) != NULL);
	if (house_init(reason, &options) != HOUSE_OK ||
	    house_open(&stage->house, reason, &options) != HOUSE_OK) {
		fprintf(stderr, "%s\n", reason);
		return -1;
	}
	/* Small, so that a test reaches them; set before a worker reads them. */
	stage->house->configs->body_size_max = 16;
	stage->house->configs->challenge_size_max = 1024;
	stage->house->configs->answer_size_max = 1024;
	stage->house->configs->waiting_ms_max = waiting_ms_max;
	must(pthread_mutex_init(&stage->gate, NULL) == 0);
	purses_recall_by(stage->house->purses, recall, stage);
	stage->base = event_base_new();
	stage->seller_fd = peer_listen();
	fd = listener_socket_tcp(reason, "127.0.0.1:0", true);
	must(fd >= 0);
	stage->port = port_of(fd);
	stage->worker = worker_start(stage->house, &stage->shared, fd, 0);
	*state = stage;
	return 0;
}

static int stage_open(void **state)
{
	return stage_open_with(state, 300);
}

/* For tests in which nobody waits in vain, however slow the machine is. */
static int stage_open_patiently(void **state)
{
	return stage_open_with(state, 600000);
}

static int stage_close(void **state)
{
	struct stage *stage = *state;
	char *dir = must_strdup(stage->dir);
	void *folder = dir;

	worker_drain(stage->worker);
	peer_until(stage->base, worker_done(stage->worker));
	worker_join(&stage->worker);
	house_close(&stage->house);
	must(pthread_mutex_destroy(&stage->gate) == 0);
	event_base_free(stage->base);
	close(stage->seller_fd);
	free(stage);
	libevent_global_shutdown();
	return unit_folder_remove(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(free_answer_passes),
	    cmocka_unit_test(paid_answer_is_settled),
	    cmocka_unit_test(agent_leaves_before_the_402),
	    cmocka_unit_test(agent_leaves_after_the_signature),
	    cmocka_unit_test(agent_leaves_while_the_signature_is_written),
	    cmocka_unit_test(a_payment_that_is_ready_waits_for_the_disk),
	    cmocka_unit_test(a_payment_that_is_ready_goes_with_its_commit),
	    cmocka_unit_test(agent_leaves_while_a_metered_hold_is_written),
	    cmocka_unit_test(agent_leaves_in_the_middle_of_a_metered_body),
	    cmocka_unit_test(agent_leaves_after_a_metered_body),
	    cmocka_unit_test(body_too_large_while_it_is_forwarded),
	    cmocka_unit_test(early_answer_does_not_cut_the_body),
	    cmocka_unit_test(the_402_comes_before_the_body_is_whole),
	    cmocka_unit_test(a_large_402_before_the_body_is_whole),
	    cmocka_unit_test(as_many_answer_headers_as_fit),
	    cmocka_unit_test(request_headers_leave_no_room_for_the_payment),
	    cmocka_unit_test(long_words_of_a_seller),
	    cmocka_unit_test(waiting_in_vain_for_the_wallet),
	    cmocka_unit_test(waiting_agent_leaves),
	    cmocka_unit_test(owner_changes_the_policy_before_the_quote),
	    cmocka_unit_test(owner_stops_the_agent_before_the_quote),
	    cmocka_unit_test(two_payees_race_to_be_pinned),
	    cmocka_unit_test(a_key_sends_the_same_bytes_again),
	    cmocka_unit_test(owner_resolves_what_is_sent_again),
	    cmocka_unit_test(sending_again_counts_as_a_call),
	    cmocka_unit_test(a_key_keeps_the_answer_for_an_agent_that_left),
	    cmocka_unit_test(an_answer_that_is_not_kept),
	    cmocka_unit_test(a_key_is_handed_to_an_agent_that_left),
	    cmocka_unit_test(head_is_paid_for_too),
	    cmocka_unit_test(a_past_that_takes_too_long),
	};
	const struct CMUnitTest patient_tests[] = {
	    cmocka_unit_test(others_go_on_while_a_past_is_read),
	    cmocka_unit_test(two_first_calls_decide_on_one_past),
	    cmocka_unit_test(agent_leaves_while_its_past_is_read),
	    cmocka_unit_test(a_past_that_cannot_be_read),
	    cmocka_unit_test(a_stop_waits_for_a_past),
	    cmocka_unit_test(who_i_am_waits_for_a_past),
	};
	int failed = cmocka_run_group_tests(tests, stage_open, stage_close);

	return failed + cmocka_run_group_tests(patient_tests, stage_open_patiently, stage_close);
}
