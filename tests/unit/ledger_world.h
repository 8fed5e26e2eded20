/* tests/unit/ledger_world.h - a small ledger with a row of every kind, and shorthands to
 * write more of them. Times are made up: a second apart, from WORLD_START. */
#ifndef TESTS_UNIT_LEDGER_WORLD_H
#define TESTS_UNIT_LEDGER_WORLD_H

#include "tests/unit/unit.h"

#include "common/clock.h"
#include "ledger/store.h"
#include "ledger/verify.h"

#define WORLD_START   INT64_C(1763640000000000) /* 2025-11-20T12:00:00Z */
#define WORLD_NETWORK "eip155:84532"
#define WORLD_ASSET   "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define WORLD_PAYER   "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define WORLD_PAYEE   "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"

struct world {
	struct store *store;
	int64_t now;
	int64_t agent, agent_two;
	/* payments: settled, open, expired unused, settled and paid back, in flight */
	int64_t settled, open, unused, repaid, signed_only;
	int64_t call; /* of the last world_sign or world_hold */
};

static inline int64_t world_id(struct world *world)
{
	return store_next_id(world->store, world->now += CLOCK_US_PER_S);
}

static inline struct store *world_store(const char *dir, int64_t now_us)
{
	char reason[256] = "";
	struct store *store = NULL;
	enum store_result result = store_create(reason, dir);

	if (result != STORE_OK && result != STORE_EXISTS)
		fail_msg("store_create: %s", reason);
	if (store_open(&store, reason, dir, now_us) != STORE_OK)
		fail_msg("store_open: %s", reason);
	return store;
}

static inline void world_append(struct world *world, struct batch *batch)
{
	assert_int_equal(store_append_wait(world->store, &batch), STORE_OK);
	assert_null(batch);
}

static inline struct journal_row world_journal_row(const struct world *world,
    enum journal_event event, int64_t amount)
{
	bool metered = event >= JOURNAL_HOLD && event <= JOURNAL_RELEASE;

	return (struct journal_row){.event = event, .agent = world->agent,
	    .agent_name = "coding-agent-01", .owner = "asmit@example.com",
	    .tool = event <= JOURNAL_WITHDRAW ? NULL
		: metered                     ? "search/api"
					      : "github/issues",
	    .amount = amount, .network = metered ? "off-chain" : WORLD_NETWORK,
	    .asset = metered ? "USD" : WORLD_ASSET, .symbol = metered ? "USD" : "USDC"};
}

static inline void world_deposit(struct world *world, int64_t amount)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_DEPOSIT, amount);

	row.note = "first; money, \"all\" of it";
	batch_journal(batch, &row);
	world_append(world, batch);
}

/* A payment and its sign row, as the proxy writes them: the nonce is that number. */
static inline void world_add_sign_of(struct world *world, struct batch *batch, int64_t call,
    int64_t id, int64_t amount, int64_t number, const char *payer)
{
	struct journal_row row = world_journal_row(world, JOURNAL_SIGN, amount);
	char nonce[67], value[24];
	struct payment_row payment = {.id = id, .call = call, .agent = world->agent,
	    .agent_name = row.agent_name, .tool = row.tool, .session = "session-one",
	    .amount = amount, .value = value, .network = row.network, .asset = row.asset,
	    .symbol = row.symbol, .payer = payer,
	    .payee = WORLD_PAYEE, .nonce = nonce, .valid_before_s = id / 1000000 + 60,
	    .header_name = "PAYMENT-SIGNATURE", .header_value = "eyJ4NDAyVmVyc2lvbiI6Mn0=",
	    .challenge = "{\"x402Version\":2}", .method = "POST",
	    .url = "https://api.example.com/issues"};

	snprintf(nonce, sizeof(nonce), "0x%064llx", (unsigned long long)number);
	snprintf(value, sizeof(value), "%lld", (long long)amount);
	payment.request.bytes[0] = 7;
	row.call = call;
	row.payment = id;
	/* On purpose before its payment: the writer sorts that out. */
	batch_journal(batch, &row);
	batch_payment(batch, &payment);
}

static inline void world_add_sign(struct world *world, struct batch *batch, int64_t call,
    int64_t id, int64_t amount)
{
	world_add_sign_of(world, batch, call, id, amount, id, WORLD_PAYER);
}

static inline int64_t world_sign(struct world *world, int64_t amount)
{
	int64_t call = world_id(world), id = world_id(world);
	struct batch *batch = batch_new(world->now);

	world_add_sign(world, batch, call, id, amount);
	world_append(world, batch);
	world->call = call;
	return id;
}

/* A new state with the journal row that goes with it, if any. */
static inline struct batch *world_state(struct world *world, int64_t payment,
    enum payment_state state, int64_t amount)
{
	struct batch *batch = batch_new(world->now);
	struct payment_state_row row = {.id = world_id(world), .payment = payment, .state = state,
	    .by = "receipt", .transaction = state == PAYMENT_SETTLED ? "0xabc" : NULL,
	    .reason = "because", .receipt = state == PAYMENT_SETTLED ? "{}" : NULL};
	struct journal_row journal;

	batch_payment_state(batch, &row);
	if (state >= PAYMENT_SETTLED) {
		journal = world_journal_row(world,
		    state <= PAYMENT_RESOLVED_SPENT ? JOURNAL_SETTLE : JOURNAL_REFUND, amount);
		journal.payment = payment;
		journal.transaction = row.transaction;
		batch_journal(batch, &journal);
	}
	return batch;
}

/* An end that did not last, as the chain's reorganisation is written down. */
static inline void world_reopen(struct world *world, int64_t payment, bool from_spent,
    int64_t amount)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_REOPEN, amount);

	row.payment = payment;
	row.from_spent = from_spent;
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = payment, .state = PAYMENT_OPEN, .by = "chain", .reason = "reorganised"});
	batch_journal(batch, &row);
	world_append(world, batch);
}

static inline int64_t world_hold(struct world *world, int64_t amount, enum journal_event end)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_HOLD, amount);

	world->call = row.call = world_id(world);
	row.session = "session-two";
	batch_journal(batch, &row);
	world_append(world, batch);
	if (end != JOURNAL_HOLD) {
		batch = batch_new(world->now);
		row.event = end;
		row.session = NULL;
		batch_journal(batch, &row);
		world_append(world, batch);
	}
	return row.call;
}

static inline void world_audit(struct world *world, int64_t call, bool allowed, const char *tool)
{
	struct batch *batch = batch_new(world->now);
	struct audit_row row = {.id = call, .kind = AUDIT_CALL, .agent = world->agent,
	    .agent_name = "coding-agent-01", .owner = "asmit@example.com",
	    .session = "session-one", .tool = tool, .method = "POST", .path = "/issues",
	    .allowed = allowed, .code = allowed ? NULL : "tool_denied", .rule = "rules[0]",
	    .status = allowed ? 200 : 403, .upstream_status = allowed ? 200 : 0,
	    .forwarded_us = allowed ? call + 5 : 0, .finished_us = call + 9, .request_bytes = 10,
	    .response_bytes = 20, .has_request_digest = true};

	row.request_digest.bytes[31] = 9;
	batch_audit(batch, &row);
	world_append(world, batch);
}

static inline void world_people(struct world *world)
{
	struct batch *batch = batch_new(world->now);
	struct agent_row one = {.id = world_id(world), .name = "coding-agent-01",
	    .owner = "asmit@example.com", .address = "0x01"};
	struct agent_row two = {.id = world_id(world), .name = "two", .owner = "B\xc3\xa9 b",
	    .address = "0x02"};

	world->agent = one.id;
	world->agent_two = two.id;
	batch_agent(batch, &one);
	batch_agent(batch, &two);
	batch_agent_address(batch, world_id(world), one.id, "0x11");
	batch_agent_address(batch, world_id(world), one.id, "0x12");
	batch_agent_state(batch, world_id(world), one.id, true);
	batch_agent_state(batch, world_id(world), one.id, false);
	batch_agent_state(batch, world_id(world), two.id, true);
	batch_policy(batch, world_id(world), one.id, "{}");
	batch_policy(batch, world_id(world), one.id, "{\"agentId\":\"coding-agent-01\"}");
	batch_token(batch, &(struct token_row){.id = world_id(world), .session = "session-one",
	    .agent = one.id, .expires_s = WORLD_START / 1000000 + 3600});
	batch_token(batch, &(struct token_row){.id = world_id(world), .session = "session-two",
	    .agent = one.id, .expires_s = WORLD_START / 1000000 + 30});
	batch_token(batch, &(struct token_row){.id = world_id(world), .session = "session-three",
	    .agent = two.id, .expires_s = WORLD_START / 1000000 + 7200});
	batch_token_revoked(batch, world_id(world), "session-two");
	batch_token_revoked(batch, world_id(world), "session-three");
	world_append(world, batch);
}

static inline void world_things(struct world *world)
{
	struct batch *batch = batch_new(world->now);

	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "github/issues",
	    .url = "https://old.example.com", .billing = TOOL_X402});
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "github/issues",
	    .url = "https://api.example.com", .billing = TOOL_X402, .has_price = true,
	    .price = 50000});
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "search/api",
	    .url = "https://s.example.com", .billing = TOOL_METERED, .has_price = true,
	    .price = 0});
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "gone",
	    .url = "https://g.example.com", .billing = TOOL_X402});
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "gone",
	    .url = "https://g.example.com", .billing = TOOL_X402, .removed = true});
	batch_network(batch, &(struct network_row){.id = world_id(world),
	    .network = WORLD_NETWORK, .rpc = "http://127.0.0.1:8545"});
	batch_network(batch, &(struct network_row){.id = world_id(world),
	    .network = WORLD_NETWORK, .rpc = ""});
	world_append(world, batch);
}

static inline void world_history(struct world *world)
{
	struct batch *batch;
	struct journal_row row;

	world_deposit(world, 1000000);
	world->settled = world_sign(world, 50000);
	world_append(world, world_state(world, world->settled, PAYMENT_OPEN, 0));
	world_append(world, world_state(world, world->settled, PAYMENT_SETTLED, 50000));
	world_audit(world, world->call, true, "github/issues");
	world->open = world_sign(world, 30000);
	world_append(world, world_state(world, world->open, PAYMENT_OPEN, 0));
	world_audit(world, world->call, true, "github/issues");
	world->unused = world_sign(world, 20000);
	world_append(world, world_state(world, world->unused, PAYMENT_EXPIRED_UNUSED, 20000));
	world->repaid = world_sign(world, 10000);
	world_append(world, world_state(world, world->repaid, PAYMENT_RESOLVED_SPENT, 10000));
	batch = batch_new(world->now);
	row = world_journal_row(world, JOURNAL_REFUND, 4000);
	row.payment = world->repaid;
	row.from_spent = true;
	batch_journal(batch, &row);
	world_append(world, batch);
	world->signed_only = world_sign(world, 1);
	world_hold(world, 700, JOURNAL_CHARGE);
	world_audit(world, world->call, true, "search/api");
	world_hold(world, 600, JOURNAL_RELEASE);
	world_audit(world, world->call, true, "search/api");
	world_hold(world, 500, JOURNAL_HOLD);
	world_audit(world, world_id(world), false, "crypto_trading");
	batch = batch_new(world->now);
	row = world_journal_row(world, JOURNAL_WITHDRAW, 100000);
	batch_journal(batch, &row);
	world_append(world, batch);
}

/* What the chain said, what was not delivered, what was set: two rows of each. */
static inline void world_words(struct world *world)
{
	struct batch *batch = batch_new(world->now);
	struct evidence_row evidence = {.id = world_id(world), .payment = world->unused,
	    .kind = EVIDENCE_UNUSED, .network = WORLD_NETWORK, .block = 7, .block_hash = "0x07",
	    .block_s = WORLD_START / 1000000, .log_index = -1, .endpoints = 2};
	struct delivery_row delivery = {.id = world_id(world), .call = 1,
	    .payment = world->settled, .agent = world->agent, .tool = "github/issues",
	    .reason = "status 500"};

	batch_evidence(batch, &evidence);
	evidence = (struct evidence_row){.id = world_id(world), .payment = world->repaid,
	    .kind = EVIDENCE_REFUND, .network = WORLD_NETWORK, .block = 8,
	    .transaction = "0xAB", .log_index = 3, .endpoints = 1, .detail = "4000 came back"};
	batch_evidence(batch, &evidence);
	batch_delivery(batch, &delivery);
	delivery.id = world_id(world);
	delivery.call = 2;
	delivery.payment = world->repaid;
	delivery.reason = "empty body";
	batch_delivery(batch, &delivery);
	batch_setting(batch, world_id(world), "default_policy", "{}");
	batch_setting(batch, world_id(world), "default_policy", "{\"limits\":[]}");
	world_append(world, batch);
}

static inline struct world world_open(const char *dir)
{
	struct world world = {.now = WORLD_START};

	world.store = world_store(dir, WORLD_START);
	world_people(&world);
	world_things(&world);
	world_history(&world);
	world_words(&world);
	return world;
}

/* Fails with the first problem's words when the ledger is not whole. */
static inline void world_assert_whole(struct store *store)
{
	struct verify_report report;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	if (!report.ok)
		fail_msg("%zu problems, the first: %s", report.problem_count, report.problems[0]);
	assert_int_equal(report.problem_count, 0);
	verify_fini(&report);
}

#endif
