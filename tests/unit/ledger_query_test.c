/* ledger_query_test - every question the store answers, asked of a small ledger. */
#include "tests/unit/ledger_world.h"

#include <pthread.h>

#include "common/buf.h"

/* Rows are written out as text, one a line, and compared whole: what is not expected
 * is seen as well. Ids are written as the second they stand for, from WORLD_START. */
static struct buf text;

static long at(int64_t id)
{
	return id == 0 ? 0 : (long)((id - WORLD_START) / CLOCK_US_PER_S);
}

static const char *or_dash(const char *value)
{
	return value == NULL ? "-" : value;
}

static void begin(void)
{
	buf_fini(&text);
	buf_init(&text, 1u << 20);
}

static void expect(const char *expected)
{
	assert_true(buf_ok(&text));
	assert_string_equal(buf_str(&text), expected);
	begin();
}

struct bench {
	struct world world; /* first: *state is it */
	void *dir;
};

static int query_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (bench == NULL || unit_folder_make(&bench->dir) != 0)
		return -1;
	bench->world = world_open(bench->dir);
	*state = bench;
	begin();
	return 0;
}

static int query_remove(void **state)
{
	struct bench *bench = *state;
	int result;

	store_close(&bench->world.store);
	result = unit_folder_remove(&bench->dir);
	free(bench);
	buf_fini(&text);
	return result;
}

/* --- agents, tools, tokens, networks -------------------------------------- */

static bool put_agent(const struct agent_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%s|%s|%d|%s\n", row->name, row->owner, row->address,
	    row->suspended, or_dash(row->policy));
	return true;
}

static void agents(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_agents(world->store, put_agent, NULL), STORE_OK);
	expect("coding-agent-01|asmit@example.com|0x12|0|{\"agentId\":\"coding-agent-01\"}\n"
	       "two|B\xc3\xa9 b|0x02|1|-\n");
}

static bool put_tool(const struct tool_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%s|%d|%d|%lld|%d\n", row->name, row->url, row->billing,
	    row->has_price, (long long)row->price, row->removed);
	return true;
}

static void tools(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);

	assert_int_equal(store_tools(world->store, put_tool, NULL), STORE_OK);
	expect("github/issues|https://api.example.com|1|1|50000|0\n"
	       "search/api|https://s.example.com|2|1|0|0\n");
	batch_tool(batch, &(struct tool_row){.id = world_id(world), .name = "gone",
	    .url = "https://back.example.com", .billing = TOOL_X402});
	world_append(world, batch);
	assert_int_equal(store_tools(world->store, put_tool, NULL), STORE_OK);
	expect("github/issues|https://api.example.com|1|1|50000|0\n"
	       "gone|https://back.example.com|1|0|0|0\n"
	       "search/api|https://s.example.com|2|1|0|0\n");
}

static bool put_token(const struct token_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%ld|%d\n", row->session,
	    (long)(row->expires_s - WORLD_START / CLOCK_US_PER_S), row->revoked);
	return true;
}

static void tokens(void **state)
{
	struct world *world = *state;
	int64_t start_s = WORLD_START / CLOCK_US_PER_S;

	assert_int_equal(store_tokens(world->store, 0, 0, put_token, NULL), STORE_OK);
	expect("session-one|3600|0\nsession-two|30|1\nsession-three|7200|1\n");
	assert_int_equal(store_tokens(world->store, 0, start_s + 30, put_token, NULL), STORE_OK);
	expect("session-one|3600|0\nsession-two|30|1\nsession-three|7200|1\n");
	assert_int_equal(store_tokens(world->store, 0, start_s + 31, put_token, NULL), STORE_OK);
	expect("session-one|3600|0\nsession-three|7200|1\n");
	assert_int_equal(store_tokens(world->store, world->agent_two, 0, put_token, NULL),
	    STORE_OK);
	expect("session-three|7200|1\n");
	assert_int_equal(store_tokens(world->store, 99, 0, put_token, NULL), STORE_OK);
	expect("");
}

static bool put_network(const struct network_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%s\n", row->network, row->rpc);
	return true;
}

static void networks(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);

	assert_int_equal(store_networks(world->store, put_network, NULL), STORE_OK);
	expect("eip155:84532|\n");
	batch_network(batch, &(struct network_row){.id = world_id(world),
	    .network = "eip155:8453", .rpc = "http://a http://b"});
	world_append(world, batch);
	assert_int_equal(store_networks(world->store, put_network, NULL), STORE_OK);
	expect("eip155:8453|http://a http://b\neip155:84532|\n");
}

/* --- journal ------------------------------------------------------------------ */

static bool put_journal(const struct journal_row *row, void *arg)
{
	int *left = arg;

	buf_add_format(&text, "%s %lld %s > %s\n", journal_event_str(row->event),
	    (long long)row->amount, row->from, row->to);
	return left == NULL || --*left > 0;
}

#define AVAILABLE "wallet/coding-agent-01/available"
#define OPEN      "wallet/coding-agent-01/open"
#define RESERVED  "wallet/coding-agent-01/reserved"
#define SPENT     "spent/coding-agent-01/github/issues"

static const char whole_journal[] =
    "deposit 1000000 capital/asmit@example.com > " AVAILABLE "\n"
    "sign 50000 " AVAILABLE " > " OPEN "\n"
    "settle 50000 " OPEN " > " SPENT "\n"
    "sign 30000 " AVAILABLE " > " OPEN "\n"
    "sign 20000 " AVAILABLE " > " OPEN "\n"
    "refund 20000 " OPEN " > " AVAILABLE "\n"
    "sign 10000 " AVAILABLE " > " OPEN "\n"
    "settle 10000 " OPEN " > " SPENT "\n"
    "refund 4000 " SPENT " > " AVAILABLE "\n"
    "sign 1 " AVAILABLE " > " OPEN "\n"
    "hold 700 payable/search/api > " RESERVED "\n"
    "charge 700 " RESERVED " > spent/coding-agent-01/search/api\n"
    "hold 600 payable/search/api > " RESERVED "\n"
    "release 600 " RESERVED " > payable/search/api\n"
    "hold 500 payable/search/api > " RESERVED "\n"
    "withdraw 100000 " AVAILABLE " > capital/asmit@example.com\n";

static bool keep_ids(const struct journal_row *row, void *arg)
{
	int64_t **next = arg;

	*(*next)++ = row->id;
	return true;
}

static void journal(void **state)
{
	struct world *world = *state;
	struct store *store = world->store;
	int64_t ids[16], *next = ids;
	int left = 2;

	assert_int_equal(store_journal(store, 0, 0, 0, 0, put_journal, NULL), STORE_OK);
	expect(whole_journal);
	assert_int_equal(store_journal(store, world->agent, 0, 0, 0, put_journal, NULL), STORE_OK);
	expect(whole_journal);
	assert_int_equal(store_journal(store, world->agent_two, 0, 0, 0, put_journal, NULL),
	    STORE_OK);
	expect("");
	assert_int_equal(store_journal(store, 0, 0, 0, 1, put_journal, NULL), STORE_OK);
	expect("deposit 1000000 capital/asmit@example.com > " AVAILABLE "\n");
	assert_int_equal(store_journal(store, 0, 0, 0, 0, put_journal, &left), STORE_OK);
	expect("deposit 1000000 capital/asmit@example.com > " AVAILABLE "\n"
	       "sign 50000 " AVAILABLE " > " OPEN "\n");
	assert_int_equal(store_journal(store, 0, 0, 0, 0, keep_ids, &next), STORE_OK);
	assert_int_equal(store_journal(store, world->agent, ids[3], ids[5], 0, put_journal, NULL),
	    STORE_OK);
	expect("sign 30000 " AVAILABLE " > " OPEN "\nsign 20000 " AVAILABLE " > " OPEN "\n");
	assert_int_equal(store_journal(store, 0, ids[15], 0, 0, put_journal, NULL), STORE_OK);
	expect("withdraw 100000 " AVAILABLE " > capital/asmit@example.com\n");
	assert_int_equal(store_journal(store, 0, ids[15] + 1, 0, 0, put_journal, NULL), STORE_OK);
	expect("");
	assert_int_equal(store_journal(store, 0, 0, ids[0], 0, put_journal, NULL), STORE_OK);
	expect("");
	assert_int_equal(
	    store_journal_of_payment(store, world->open, put_journal, NULL), STORE_OK);
	expect("sign 30000 " AVAILABLE " > " OPEN "\n");
	assert_int_equal(store_journal_of_payment(store, 5, put_journal, NULL), STORE_OK);
	expect("");
}

static bool check_sign_fields(const struct journal_row *row, void *arg)
{
	struct world *world = arg;

	if (row->event == JOURNAL_DEPOSIT) {
		assert_string_equal(row->note, "first; money, \"all\" of it");
		assert_null(row->tool);
		assert_int_equal(row->call + row->payment, 0);
		assert_string_equal(row->owner, "asmit@example.com");
	}
	if (row->event == JOURNAL_SIGN && row->payment == world->settled) {
		assert_int_equal(row->agent, world->agent);
		assert_string_equal(row->agent_name, "coding-agent-01");
		assert_string_equal(row->tool, "github/issues");
		assert_string_equal(row->network, WORLD_NETWORK);
		assert_string_equal(row->asset, WORLD_ASSET);
		assert_string_equal(row->symbol, "USDC");
		assert_null(row->transaction);
		assert_null(row->note);
		assert_null(row->session);
		assert_true(row->call > 0 && row->call < row->payment);
	}
	if (row->event == JOURNAL_SETTLE && row->payment == world->settled)
		assert_string_equal(row->transaction, "0xabc");
	if (row->event == JOURNAL_HOLD)
		assert_string_equal(row->session, "session-two");
	assert_int_equal(row->from_spent, row->event == JOURNAL_REFUND && row->amount == 4000);
	return true;
}

static void journal_fields(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_SETTLE, 30000);

	assert_int_equal(store_journal(world->store, 0, 0, 0, 0, check_sign_fields, world),
	    STORE_OK);
	/* An owner that the row does not name is the agent's. */
	row.owner = NULL;
	row.payment = world->open;
	batch_journal(batch, &row);
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = world->open, .state = PAYMENT_SETTLED, .by = "chain"});
	world_append(world, batch);
	assert_int_equal(store_journal(world->store, 0, world->now, 0, 0, check_sign_fields, world),
	    STORE_OK);
	world_assert_whole(world->store);
}

static void orphans(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_orphans(world->store, put_journal, NULL), STORE_OK);
	expect("hold 500 payable/search/api > " RESERVED "\n");
}

/* --- payments ------------------------------------------------------------------- */

static bool put_payment(const struct payment_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%lld|%d|%s|%s\n", (long long)row->amount, row->state,
	    or_dash(row->transaction), or_dash(row->reason));
	return true;
}

static void payments(void **state)
{
	struct world *world = *state;
	struct store *store = world->store;
	static const char all[] = "50000|3|0xabc|because\n30000|2|-|because\n"
				  "20000|6|-|because\n10000|4|-|because\n1|1|-|-\n";
	static const char open[] = "30000|2|-|because\n1|1|-|-\n";

	assert_int_equal(store_payments(store, 0, false, put_payment, NULL), STORE_OK);
	expect(all);
	assert_int_equal(store_payments(store, world->agent, false, put_payment, NULL), STORE_OK);
	expect(all);
	assert_int_equal(store_payments(store, world->agent_two, false, put_payment, NULL),
	    STORE_OK);
	expect("");
	assert_int_equal(store_payments(store, 0, true, put_payment, NULL), STORE_OK);
	expect(open);
	assert_int_equal(store_payments(store, world->agent, true, put_payment, NULL), STORE_OK);
	expect(open);
	assert_int_equal(store_payments(store, world->agent_two, true, put_payment, NULL),
	    STORE_OK);
	expect("");
	assert_int_equal(store_payment(store, world->unused, put_payment, NULL), STORE_OK);
	expect("20000|6|-|because\n");
	assert_int_equal(store_payment(store, world->unused + 1, put_payment, NULL),
	    STORE_NOT_FOUND);
	assert_int_equal(store_payment(store, 0, put_payment, NULL), STORE_NOT_FOUND);
	expect("");
}

static bool check_payment_fields(const struct payment_row *row, void *arg)
{
	struct world *world = arg;
	char nonce[67];

	snprintf(nonce, sizeof(nonce), "0x%064llx", (unsigned long long)world->open);
	assert_int_equal(row->id, world->open);
	assert_int_equal(row->agent, world->agent);
	assert_true(row->call > 0 && row->call < row->id);
	assert_string_equal(row->agent_name, "coding-agent-01");
	assert_string_equal(row->tool, "github/issues");
	assert_string_equal(row->session, "session-one");
	assert_string_equal(row->value, "30000");
	assert_string_equal(row->network, WORLD_NETWORK);
	assert_string_equal(row->asset, WORLD_ASSET);
	assert_string_equal(row->symbol, "USDC");
	assert_string_equal(row->payer, "0x857b06519E91e3A54538791bDbb0E22373e36b66");
	assert_string_equal(row->payee, WORLD_PAYEE);
	assert_string_equal(row->nonce, nonce);
	assert_int_equal(row->valid_before_s, row->id / 1000000 + 60);
	assert_string_equal(row->header_name, "PAYMENT-SIGNATURE");
	assert_string_equal(row->header_value, "eyJ4NDAyVmVyc2lvbiI6Mn0=");
	assert_string_equal(row->challenge, "{\"x402Version\":2}");
	assert_string_equal(row->method, "POST");
	assert_string_equal(row->url, "https://api.example.com/issues");
	assert_int_equal(row->request.bytes[0], 7);
	assert_int_equal(row->request.bytes[31], 0);
	return true;
}

static void payment_fields(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_payment(world->store, world->open, check_payment_fields, world),
	    STORE_OK);
}

static bool put_state(const struct payment_state_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%d|%s|%s|%s|%s\n", row->state, or_dash(row->transaction),
	    or_dash(row->reason), row->by, or_dash(row->receipt));
	return true;
}

static void payment_states(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_payment_states(world->store, world->settled, put_state, NULL),
	    STORE_OK);
	expect("2|-|because|receipt|-\n3|0xabc|because|receipt|{}\n");
	assert_int_equal(store_payment_states(world->store, world->signed_only, put_state, NULL),
	    STORE_OK);
	expect("");
}

/* --- audit ------------------------------------------------------------------------- */

static bool put_audit(const struct audit_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%d|%s|%s|%d|%s|%d|%d\n", row->kind, or_dash(row->agent_name),
	    or_dash(row->tool), row->allowed, or_dash(row->code), row->status,
	    row->upstream_status);
	return true;
}

#define AUDIT_CALLS                                                                                \
	"1|coding-agent-01|github/issues|1|-|200|200\n"                                            \
	"1|coding-agent-01|github/issues|1|-|200|200\n"                                            \
	"1|coding-agent-01|search/api|1|-|200|200\n"                                               \
	"1|coding-agent-01|search/api|1|-|200|200\n"                                               \
	"1|coding-agent-01|crypto_trading|0|tool_denied|403|0\n"

static void audit(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);
	struct audit_row row = {.id = world_id(world), .kind = AUDIT_OWNER, .path = "agent add"};

	batch_audit(batch, &row);
	world_append(world, batch);
	assert_int_equal(store_audit(world->store, 0, 0, 0, put_audit, NULL), STORE_OK);
	expect(AUDIT_CALLS "2|-|-|0|-|0|0\n");
	assert_int_equal(store_audit(world->store, world->agent, 0, 0, put_audit, NULL), STORE_OK);
	expect(AUDIT_CALLS);
	assert_int_equal(store_audit(world->store, world->agent_two, 0, 0, put_audit, NULL),
	    STORE_OK);
	expect("");
	assert_int_equal(store_audit(world->store, 0, row.id, 0, put_audit, NULL), STORE_OK);
	expect("2|-|-|0|-|0|0\n");
	assert_int_equal(store_audit(world->store, 0, 0, row.id, put_audit, NULL), STORE_OK);
	expect("2|-|-|0|-|0|0\n");
	assert_int_equal(store_audit(world->store, 0, row.id + 1, 0, put_audit, NULL), STORE_OK);
	expect("");
}

static struct audit_row full_audit_row(const struct world *world, int64_t id)
{
	struct audit_row row = {.id = id, .kind = AUDIT_CALL, .agent = world->agent,
	    .agent_name = "n", .owner = "o", .session = "s", .tool = "t", .method = "GET",
	    .path = "/p", .allowed = true, .code = "payment_unknown", .rule = "r", .price = 11,
	    .payee = "0xp", .payment = 12, .status = 502, .upstream_status = 500,
	    .forwarded_us = 13, .quoted_us = 14, .signed_us = 15, .answered_us = 16,
	    .finished_us = 17, .request_bytes = 18, .response_bytes = 19,
	    .has_request_digest = true, .has_response_digest = true, .detail = "{}"};

	memset(row.request_digest.bytes, 20, DIGEST_SIZE);
	memset(row.response_digest.bytes, 21, DIGEST_SIZE);
	return row;
}

static bool check_audit_fields(const struct audit_row *row, void *arg)
{
	const struct audit_row *want = arg;

	assert_int_equal(row->id, want->id);
	assert_int_equal(row->agent, want->agent);
	assert_string_equal(row->agent_name, want->agent_name);
	assert_string_equal(row->owner, want->owner);
	assert_string_equal(row->session, want->session);
	assert_string_equal(row->method, want->method);
	assert_string_equal(row->path, want->path);
	assert_string_equal(row->code, want->code);
	assert_string_equal(row->rule, want->rule);
	assert_int_equal(row->price, 11);
	assert_string_equal(row->payee, want->payee);
	assert_int_equal(row->payment, 12);
	assert_int_equal(row->forwarded_us, 13);
	assert_int_equal(row->quoted_us, 14);
	assert_int_equal(row->signed_us, 15);
	assert_int_equal(row->answered_us, 16);
	assert_int_equal(row->finished_us, 17);
	assert_int_equal(row->request_bytes, 18);
	assert_int_equal(row->response_bytes, 19);
	assert_true(row->has_request_digest && row->has_response_digest);
	assert_memory_equal(&row->request_digest, &want->request_digest, DIGEST_SIZE);
	assert_memory_equal(&row->response_digest, &want->response_digest, DIGEST_SIZE);
	assert_string_equal(row->detail, want->detail);
	return true;
}

static bool check_empty_audit(const struct audit_row *row, void *arg)
{
	(void)arg;
	assert_null(row->agent_name);
	assert_null(row->detail);
	assert_int_equal(row->agent + row->payment + row->signed_us, 0);
	assert_false(row->has_request_digest || row->has_response_digest);
	return true;
}

static void audit_fields(void **state)
{
	struct world *world = *state;
	struct audit_row row = full_audit_row(world, world_id(world));
	struct audit_row empty = {.id = world_id(world), .kind = AUDIT_OWNER};
	struct batch *batch = batch_new(world->now);

	batch_audit(batch, &row);
	batch_audit(batch, &empty);
	world_append(world, batch);
	assert_int_equal(store_audit(world->store, 0, row.id, 0, check_audit_fields, &row),
	    STORE_OK);
	assert_int_equal(store_audit(world->store, 0, empty.id, 0, check_empty_audit, NULL),
	    STORE_OK);
}

/* --- what the purses are rebuilt from -------------------------------------------------- */

static bool put_balance(const struct balance_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%s|%lld|%lld|%lld|%lld\n", row->network, row->asset,
	    (long long)row->available, (long long)row->reserved, (long long)row->open,
	    (long long)row->spent);
	return true;
}

static void balances(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_balances(world->store, put_balance, NULL), STORE_OK);
	/* 1000000 - 50000 - 30000 - 10000 + 4000 - 1 - 100000 */
	expect("eip155:84532|" WORLD_ASSET "|813999|0|30001|56000\n"
	       "off-chain|USD|0|500|0|700\n");
}

/* Of both agents, whatever was called when. */
static enum store_result charges(struct world *world, const int64_t *borders, size_t count,
    charge_each_fn *each, first_payee_fn *first, void *arg)
{
	enum store_result result = store_charges(
	    world->store, world->agent, INT64_MAX, SIZE_MAX, borders, count, each, first, arg);

	if (result != STORE_OK)
		return result;
	return store_charges(world->store, world->agent_two, INT64_MAX, SIZE_MAX, borders, count,
	    each, first, arg);
}

static bool no_charge(const struct charge_row *row, void *arg)
{
	(void)row;
	(void)arg;
	return true;
}

static void put_first_payee(int64_t agent, const char *tool, const char *payee, void *arg)
{
	const struct world *world = arg;

	buf_add_format(&text, "%d|%s|%s\n", agent == world->agent ? 1 : 2, tool, payee);
}

static void expect_first_payees(struct world *world, const char *wanted)
{
	const int64_t border = WORLD_START;

	assert_int_equal(
	    charges(world, &border, 1, no_charge, put_first_payee, world), STORE_OK);
	expect(wanted);
}

static void first_payees(void **state)
{
	struct world *world = *state;

	expect_first_payees(world, "1|github/issues|" WORLD_PAYEE "\n");
}

static bool put_charge(const struct charge_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%ld|%s|%s|%s|%d|%lld|%lld\n", at(row->at_us), or_dash(row->session),
	    row->tool, row->payee == NULL ? "-" : "payee", row->wallet, (long long)row->spend,
	    (long long)row->calls);
	return true;
}

static void charges_singly(void **state)
{
	struct world *world = *state;
	const int64_t zero = 0;

	assert_int_equal(charges(world, &zero, 1, put_charge, NULL, NULL), STORE_OK);
	expect("22|session-one|github/issues|payee|1|50000|1\n"
	       "22|session-one|github/issues|-|0|0|1\n"
	       "26|session-one|github/issues|payee|1|30000|1\n"
	       "26|session-one|github/issues|-|0|0|1\n"
	       "32|session-one|github/issues|payee|1|10000|1\n"
	       "35|session-one|github/issues|payee|1|1|1\n"
	       "37|session-two|search/api|-|0|700|0\n"
	       "37|session-one|search/api|-|0|0|1\n"
	       "38|session-one|search/api|-|0|0|1\n"
	       "39|session-two|search/api|-|0|500|0\n");
}

/* Everything is past, and session-two's token has expired by then. */
static void charges_summed(void **state)
{
	struct world *world = *state;
	int64_t since = WORLD_START + 100 * CLOCK_US_PER_S;

	assert_int_equal(charges(world, &since, 1, put_charge, NULL, NULL), STORE_OK);
	expect("26|session-one|github/issues|-|0|0|2\n"
	       "35|session-one|github/issues|payee|1|90001|4\n"
	       "38|session-one|search/api|-|0|0|2\n"
	       "39|-|search/api|-|0|1200|0\n");
	since = WORLD_START + 3601 * CLOCK_US_PER_S;
	assert_int_equal(charges(world, &since, 1, put_charge, NULL, NULL), STORE_OK);
	expect("26|-|github/issues|-|0|0|2\n"
	       "35|-|github/issues|payee|1|90001|4\n"
	       "39|-|search/api|-|0|1200|2\n");
}

/* The border belongs to the singles; a call reserved before and paid after it to the sums. */
static void charges_on_both_sides(void **state)
{
	struct world *world = *state;
	int64_t since = WORLD_START + 26 * CLOCK_US_PER_S;

	assert_int_equal(charges(world, &since, 1, put_charge, NULL, NULL), STORE_OK);
	expect("22|session-one|github/issues|payee|1|50000|1\n"
	       "22|session-one|github/issues|-|0|0|1\n"
	       "26|session-one|github/issues|payee|1|30000|1\n"
	       "26|session-one|github/issues|-|0|0|1\n"
	       "32|session-one|github/issues|payee|1|10000|1\n"
	       "35|session-one|github/issues|payee|1|1|1\n"
	       "37|session-two|search/api|-|0|700|0\n"
	       "37|session-one|search/api|-|0|0|1\n"
	       "38|session-one|search/api|-|0|0|1\n"
	       "39|session-two|search/api|-|0|500|0\n");
	since = WORLD_START + 22 * CLOCK_US_PER_S + 1;
	begin();
	assert_int_equal(charges(world, &since, 1, put_charge, NULL, NULL), STORE_OK);
	assert_int_equal(strncmp(buf_str(&text), "22|session-one|github/issues|", 29), 0);
}

struct total {
	int64_t spend, calls;
	int stop_after;
};

static bool add_charge(const struct charge_row *row, void *arg)
{
	struct total *total = arg;

	total->spend += row->spend;
	total->calls += row->calls;
	return --total->stop_after != 0;
}

/* Wherever the border lies, nothing is lost or counted twice. */
static void charges_add_up(void **state)
{
	struct world *world = *state;
	const int64_t border = WORLD_START + 26 * CLOCK_US_PER_S;

	for (int64_t since = WORLD_START; since <= world->now + CLOCK_US_PER_S;
	    since += CLOCK_US_PER_S / 2) {
		struct total total = {0};

		assert_int_equal(
		    charges(world, &since, 1, add_charge, NULL, &total), STORE_OK);
		assert_int_equal(total.spend, 50000 + 30000 + 10000 + 1 + 700 + 500);
		/* four calls admitted, four payments signed that were not given back */
		assert_int_equal(total.calls, 4 + 4);
	}
	for (int stop = 1; stop < 5; stop++) {
		struct total total = {.stop_after = stop};

		assert_int_equal(
		    store_charges(world->store, world->agent, INT64_MAX, SIZE_MAX, &border, 1,
				     add_charge, NULL, &total),
		    STORE_OK);
		assert_int_equal(total.stop_after, 0);
	}
}

/* Sums of each span by themselves, then single ones; a border belongs to what follows it. */
static void charges_between_borders(void **state)
{
	struct world *world = *state;
	const int64_t borders[] = {WORLD_START + 26 * CLOCK_US_PER_S,
	    WORLD_START + 26 * CLOCK_US_PER_S, WORLD_START + 36 * CLOCK_US_PER_S,
	    WORLD_START + 38 * CLOCK_US_PER_S};

	assert_int_equal(
	    charges(world, borders, COUNT(borders), put_charge, NULL, NULL), STORE_OK);
	expect("22|session-one|github/issues|payee|1|50000|1\n"
	       "22|session-one|github/issues|-|0|0|1\n"
	       "26|session-one|github/issues|-|0|0|1\n"
	       "35|session-one|github/issues|payee|1|40001|3\n"
	       "37|-|search/api|-|0|700|0\n"
	       "37|session-one|search/api|-|0|0|1\n"
	       "38|session-one|search/api|-|0|0|1\n"
	       "39|session-two|search/api|-|0|500|0\n");
	/* An end that is undone counts again, one that is given back no more. */
	world_reopen(world, world->unused, false, 20000);
	world_append(world, world_state(world, world->open, PAYMENT_CANCELLED, 30000));
	assert_int_equal(
	    charges(world, borders, COUNT(borders), put_charge, NULL, NULL), STORE_OK);
	assert_non_null(
	    strstr(buf_str(&text), "35|session-one|github/issues|payee|1|30001|3\n"));
	begin();
	assert_aborts((void)!charges(world, borders, 0, put_charge, NULL, NULL));
	assert_aborts(
	    (void)!charges(world, (const int64_t[]){2, 1}, 2, put_charge, NULL, NULL));
}

/* As of a moment: what was called, given back or reopened since changes nothing. */
static void charges_as_of(void **state)
{
	static const char *const then =
	    "26|session-one|github/issues|-|0|0|2\n"
	    "35|session-one|github/issues|payee|1|90001|4\n"
	    "38|session-one|search/api|-|0|0|2\n"
	    "39|-|search/api|-|0|1200|0\n";
	struct world *world = *state;
	const int64_t border = WORLD_START + 100 * CLOCK_US_PER_S, until = world_id(world);
	const int64_t middle = WORLD_START + 27 * CLOCK_US_PER_S;

	world_reopen(world, world->unused, false, 20000);
	world_append(world, world_state(world, world->open, PAYMENT_CANCELLED, 30000));
	world_sign(world, 1);
	assert_int_equal(store_charges(world->store, world->agent, until, SIZE_MAX, &border, 1,
			     put_charge, NULL, NULL),
	    STORE_OK);
	expect(then);
	assert_int_equal(store_charges(world->store, world->agent, INT64_MAX, SIZE_MAX, &border, 1,
			     put_charge, NULL, NULL),
	    STORE_OK);
	assert_null(strstr(buf_str(&text), "payee|1|90001|4\n"));
	begin();
	/* Payments, holds and calls alike. */
	assert_int_equal(store_charges(world->store, world->agent, middle, SIZE_MAX, &border, 1,
			     put_charge, NULL, NULL),
	    STORE_OK);
	expect("26|session-one|github/issues|payee|1|80000|2\n"
	       "26|session-one|github/issues|-|0|0|2\n");
	/* Nobody's. */
	assert_int_equal(
	    store_charges(world->store, 99, until, SIZE_MAX, &border, 1, put_charge, NULL, NULL),
	    STORE_OK);
	expect("");
}

static bool count_token(const struct token_row *row, void *arg)
{
	(void)row;
	++*(size_t *)arg;
	return true;
}

static bool count_payment(const struct payment_row *row, void *arg)
{
	(void)row;
	++*(size_t *)arg;
	return true;
}

static bool count_hold(const struct journal_row *row, void *arg)
{
	*(size_t *)arg += row->event >= JOURNAL_HOLD && row->event <= JOURNAL_RELEASE;
	return true;
}

static bool count_call(const struct audit_row *row, void *arg)
{
	*(size_t *)arg += row->kind == AUDIT_CALL && row->allowed;
	return true;
}

static size_t rows_of_the_past(const struct world *world)
{
	size_t count = 0;

	assert_int_equal(
	    store_tokens(world->store, world->agent, 0, count_token, &count), STORE_OK);
	assert_int_equal(
	    store_payments(world->store, world->agent, false, count_payment, &count), STORE_OK);
	assert_int_equal(
	    store_journal(world->store, world->agent, 0, 0, 0, count_hold, &count), STORE_OK);
	assert_int_equal(
	    store_audit(world->store, world->agent, 0, 0, count_call, &count), STORE_OK);
	return count;
}

/* No more rows are read than may be, and of a past that has more nothing is told. */
static void charges_of_few_rows(void **state)
{
	struct world *world = *state;
	const int64_t border = WORLD_START + 100 * CLOCK_US_PER_S;
	enum store_result result = STORE_TOO_LONG;
	size_t rows_max = 0;
	char *whole;

	assert_int_equal(store_charges(world->store, world->agent, INT64_MAX, SIZE_MAX, &border, 1,
			     put_charge, NULL, NULL),
	    STORE_OK);
	whole = must_strdup(buf_str(&text));
	assert_int_not_equal(strlen(whole), 0);
	for (; result == STORE_TOO_LONG && rows_max < 1000; rows_max++) {
		begin();
		result = store_charges(world->store, world->agent, INT64_MAX, rows_max, &border, 1,
		    put_charge, NULL, NULL);
		if (result == STORE_TOO_LONG)
			expect("");
	}
	assert_int_equal(result, STORE_OK);
	expect(whole);
	assert_int_equal(rows_max - 1, rows_of_the_past(world));
	free(whole);
}

static void sign_as(struct world *world, int64_t agent, const char *tool, const char *payee)
{
	int64_t call = world_id(world), id = world_id(world);
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_SIGN, 1);
	char nonce[67];

	snprintf(nonce, sizeof(nonce), "0x%064llx", (unsigned long long)id);
	row.agent = agent;
	row.tool = tool;
	row.call = call;
	row.payment = id;
	batch_payment(batch, &(struct payment_row){.id = id, .call = call, .agent = agent,
	    .agent_name = row.agent_name, .tool = tool, .session = "s", .amount = 1,
	    .value = "1", .network = row.network, .asset = row.asset, .symbol = row.symbol,
	    .payer = "p", .payee = payee, .nonce = nonce, .header_name = "h",
	    .header_value = "v", .challenge = "c", .method = "GET", .url = "u"});
	batch_journal(batch, &row);
	world_append(world, batch);
}

/* Many payments of a pair, and pairs with one. */
static void first_payees_of_many(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 40; i++) {
		sign_as(world, world->agent, "github/issues", "later");
		sign_as(world, world->agent_two, "zoo", i == 0 ? "zoo first" : "zoo later");
		if (i % 13 == 0)
			sign_as(world, world->agent_two, i == 0 ? "ant" : "bee", "few");
	}
	sign_as(world, world->agent_two, "", "nameless");
	expect_first_payees(world, "1|github/issues|" WORLD_PAYEE "\n2||nameless\n2|ant|few\n"
				   "2|bee|few\n2|zoo|zoo first\n");
}

struct payees {
	const struct world *world;
	int agents, rows;
	int64_t agent, calls;
};

static bool count_payee(const struct charge_row *row, void *arg)
{
	struct payees *payees = arg;

	if (row->agent != payees->agent)
		payees->agents++;
	payees->agent = row->agent;
	if (row->agent != payees->world->agent_two)
		return true;
	payees->rows++;
	payees->calls += row->calls;
	assert_int_equal(row->calls, row->tool[0] == 'b' ? 1 : 2);
	return true;
}

/* More sums than are kept unmerged, of rows that do not stand together; one agent after the
 * other. */
static void charges_of_many_payees(void **state)
{
	struct world *world = *state;
	struct payees payees = {.world = world};
	char payee[16];
	int64_t border;

	for (int i = 0; i < 600; i++) {
		snprintf(payee, sizeof(payee), "payee %d", i % 300);
		sign_as(world, world->agent_two, "a", payee);
		if (i % 100 == 0)
			sign_as(world, world->agent, "a", payee);
		if (i % 200 == 0)
			sign_as(world, world->agent_two, "b", payee);
	}
	border = world_id(world);
	assert_int_equal(charges(world, &border, 1, count_payee, NULL, &payees),
	    STORE_OK);
	assert_int_equal(payees.agents, 2);
	assert_int_equal(payees.rows, 300 + 3);
	assert_int_equal(payees.calls, 600 + 3);
}

/* --- what the chain has still to be asked about ------------------------------------------- */

static void says(struct world *world, int64_t payment, enum evidence_kind kind)
{
	struct batch *batch = batch_new(world->now);
	struct evidence_row row = {.id = world_id(world), .payment = payment, .kind = kind,
	    .network = WORLD_NETWORK, .block = 7, .log_index = kind == EVIDENCE_REFUND ? 1 : -1,
	    .transaction = kind == EVIDENCE_REFUND ? "0xfeed" : NULL, .endpoints = 1};

	batch_evidence(batch, &row);
	world_append(world, batch);
}

static void disputed(void **state)
{
	struct world *world = *state;

	assert_int_equal(store_disputed(world->store, 0, put_payment, NULL), STORE_OK);
	expect("");
	says(world, world->settled, EVIDENCE_USED);
	says(world, world->unused, EVIDENCE_USED);
	says(world, world->unused, EVIDENCE_DISAGREES);
	says(world, world->open, EVIDENCE_DISAGREES);
	says(world, world->repaid, EVIDENCE_DISAGREES);
	/* A refund is no answer to it. */
	says(world, world->repaid, EVIDENCE_REFUND);
	assert_int_equal(store_disputed(world->store, 0, put_payment, NULL), STORE_OK);
	expect("30000|2|-|because\n20000|6|-|because\n10000|4|-|because\n");
	assert_int_equal(
	    store_disputed(world->store, world->agent, put_payment, NULL), STORE_OK);
	expect("30000|2|-|because\n20000|6|-|because\n10000|4|-|because\n");
	assert_int_equal(
	    store_disputed(world->store, world->agent_two, put_payment, NULL), STORE_OK);
	expect("");
	/* What the chain says later is, and so is a state. */
	says(world, world->repaid, EVIDENCE_USED);
	world_append(world, world_state(world, world->open, PAYMENT_SETTLED, 30000));
	assert_int_equal(store_disputed(world->store, 0, put_payment, NULL), STORE_OK);
	expect("20000|6|-|because\n");
	says(world, world->settled, EVIDENCE_DISAGREES);
	assert_int_equal(store_disputed(world->store, 0, put_payment, NULL), STORE_OK);
	expect("50000|3|0xabc|because\n20000|6|-|because\n");
}

static void on_the_owners_word(void **state)
{
	struct world *world = *state;
	struct batch *batch;

	assert_int_equal(store_on_word(world->store, 0, put_payment, NULL), STORE_OK);
	expect("");
	world_append(world, world_state(world, world->open, PAYMENT_RESOLVED_UNUSED, 30000));
	assert_int_equal(store_on_word(world->store, 0, put_payment, NULL), STORE_OK);
	expect("30000|5|-|because\n");
	assert_int_equal(store_on_word(world->store, world->agent, put_payment, NULL), STORE_OK);
	expect("30000|5|-|because\n");
	assert_int_equal(
	    store_on_word(world->store, world->agent_two, put_payment, NULL), STORE_OK);
	expect("");
	/* The chain has said so too. */
	batch = batch_new(world->now);
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = world->open, .state = PAYMENT_EXPIRED_UNUSED, .by = "chain"});
	world_append(world, batch);
	assert_int_equal(store_on_word(world->store, 0, put_payment, NULL), STORE_OK);
	expect("");
}

static bool put_evidence(const struct evidence_row *row, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%s|%lld|%s|%lld|%s|%lld|%lld|%s\n", evidence_kind_str(row->kind),
	    row->network, (long long)row->block, or_dash(row->block_hash),
	    (long long)row->block_s, or_dash(row->transaction), (long long)row->log_index,
	    (long long)row->endpoints, or_dash(row->detail));
	return true;
}

static void evidence(void **state)
{
	struct world *world = *state;

	assert_int_equal(
	    store_evidence(world->store, world->unused, put_evidence, NULL), STORE_OK);
	expect("unused|eip155:84532|7|0x07|1763640000|-|-1|2|-\n");
	says(world, world->unused, EVIDENCE_GONE);
	says(world, world->unused, EVIDENCE_CANCELLED);
	assert_int_equal(
	    store_evidence(world->store, world->unused, put_evidence, NULL), STORE_OK);
	expect("unused|eip155:84532|7|0x07|1763640000|-|-1|2|-\n"
	       "gone|eip155:84532|7|-|0|-|-1|1|-\ncancelled|eip155:84532|7|-|0|-|-1|1|-\n");
	assert_int_equal(
	    store_evidence(world->store, world->repaid, put_evidence, NULL), STORE_OK);
	expect("refund|eip155:84532|8|-|0|0xAB|3|1|4000 came back\n");
	assert_int_equal(store_evidence(world->store, world->open, put_evidence, NULL), STORE_OK);
	assert_int_equal(store_evidence(world->store, 12, put_evidence, NULL), STORE_OK);
	expect("");
}

static bool stop_at_once(const struct payment_row *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return false;
}

/* By a state of the chain or by its evidence, since then, and still so. */
static void chain_ends(void **state)
{
	struct world *world = *state;
	int64_t before = world->now;
	int count = 0;
	struct batch *batch;

	/* The world's evidence says that one is unused; its state came by a receipt. */
	assert_int_equal(store_chain_ends(world->store, 0, put_payment, NULL), STORE_OK);
	expect("20000|6|-|because\n");
	assert_int_equal(store_chain_ends(world->store, before, put_payment, NULL), STORE_OK);
	expect("");
	batch = batch_new(world->now);
	batch_payment_state(batch, &(struct payment_state_row){.id = world_id(world),
	    .payment = world->repaid, .state = PAYMENT_SETTLED, .by = "chain"});
	world_append(world, batch);
	says(world, world->settled, EVIDENCE_USED);
	says(world, world->open, EVIDENCE_USED);
	says(world, world->signed_only, EVIDENCE_DISAGREES);
	assert_int_equal(store_chain_ends(world->store, before, put_payment, NULL), STORE_OK);
	expect("50000|3|0xabc|because\n10000|3|-|-\n");
	assert_int_equal(store_chain_ends(world->store, before, stop_at_once, &count), STORE_OK);
	assert_int_equal(count, 1);
	/* Undone: nothing is left to undo. */
	world_reopen(world, world->settled, true, 50000);
	assert_int_equal(store_chain_ends(world->store, before, put_payment, NULL), STORE_OK);
	expect("10000|3|-|-\n");
}

static void unproved(void **state)
{
	struct world *world = *state;
	struct store *store = world->store;

	assert_int_equal(store_unproved(store, 0, NULL, 10, put_payment, NULL), STORE_OK);
	expect("50000|3|0xabc|because\n");
	world_append(world, world_state(world, world->open, PAYMENT_SETTLED, 30000));
	assert_int_equal(store_unproved(store, world->agent, WORLD_NETWORK, INT64_MAX,
			     put_payment, NULL),
	    STORE_OK);
	expect("50000|3|0xabc|because\n30000|3|0xabc|because\n");
	assert_int_equal(store_unproved(store, 0, WORLD_NETWORK, 1, put_payment, NULL), STORE_OK);
	expect("50000|3|0xabc|because\n");
	assert_int_equal(store_unproved(store, 0, "eip155:1", 10, put_payment, NULL), STORE_OK);
	assert_int_equal(store_unproved(store, world->agent_two, NULL, 10, put_payment, NULL),
	    STORE_OK);
	expect("");
	/* Any evidence is an answer, a contradiction too. */
	says(world, world->settled, EVIDENCE_DISAGREES);
	assert_int_equal(store_unproved(store, 0, NULL, 10, put_payment, NULL), STORE_OK);
	expect("30000|3|0xabc|because\n");
}

static bool put_outstanding(
    const struct payment_row *row, const struct unanswered *how, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%lld|%d|%d|%d|%s\n", (long long)row->amount, row->state,
	    how->keyed, how->answered, row->url);
	return true;
}

static void add_audit(struct world *world, const struct audit_row *row)
{
	struct batch *batch = batch_new(world->now);

	batch_audit(batch, row);
	world_append(world, batch);
}

static void outstanding(void **state)
{
	struct world *world = *state;
	int64_t payments[4];
	struct batch *batch;

	assert_int_equal(store_outstanding(world->store, put_outstanding, NULL), STORE_OK);
	expect("30000|2|0|0|https://api.example.com/issues\n"
	       "1|1|0|0|https://api.example.com/issues\n");
	world_append(world, world_state(world, world->open, PAYMENT_SETTLED, 30000));
	world_append(world, world_state(world, world->signed_only, PAYMENT_CANCELLED, 1));
	/* Answered whole; refused with a code; cut off; hung up. */
	for (int i = 0; i < 4; i++) {
		payments[i] = world_sign(world, 10 + i);
		add_audit(world,
		    &(struct audit_row){.id = world->call, .kind = AUDIT_CALL,
			.code = i == 1 ? "payment_unknown" : NULL, .status = i == 3 ? 0 : 500,
			.has_response_digest = i != 2});
	}
	batch = batch_new(world->now);
	batch_idempotency(batch, &(struct idempotency_row){.agent = world->agent, .key = "k",
	    .call = 7, .payment = payments[2], .expires_us = INT64_MAX});
	world_append(world, batch);
	assert_int_equal(store_outstanding(world->store, put_outstanding, NULL), STORE_OK);
	expect("10|1|0|1|https://api.example.com/issues\n"
	       "11|1|0|0|https://api.example.com/issues\n"
	       "12|1|1|0|https://api.example.com/issues\n"
	       "13|1|0|0|https://api.example.com/issues\n");
	/* What is reopened is open. */
	world_reopen(world, world->open, true, 30000);
	assert_int_equal(store_payments(world->store, 0, true, put_payment, NULL), STORE_OK);
	assert_int_equal(strncmp(buf_str(&text), "30000|2|0xabc|reorganised\n", 26), 0);
	begin();
	assert_int_equal(
	    store_payments(world->store, world->agent, true, put_payment, NULL), STORE_OK);
	assert_int_equal(strncmp(buf_str(&text), "30000|2|0xabc|reorganised\n", 26), 0);
	begin();
	assert_int_equal(
	    store_payments(world->store, world->agent_two, true, put_payment, NULL), STORE_OK);
	expect("");
}

static bool put_claim(const struct claim_row *row, void *arg)
{
	(void)arg;
	assert_true(row->id > row->call && row->payment > 0);
	assert_string_equal(row->network, WORLD_NETWORK);
	assert_string_equal(row->asset, WORLD_ASSET);
	assert_string_equal(row->payee, WORLD_PAYEE);
	assert_string_equal(row->payer, "0x857b06519E91e3A54538791bDbb0E22373e36b66");
	buf_add_format(&text, "%s|%s|%s|%s|%d|%lld|%lld|%s|%s\n", row->agent_name, row->owner,
	    row->tool, row->reason, row->state, (long long)row->amount,
	    (long long)row->refunded, row->symbol, or_dash(row->transaction));
	return true;
}

static void refund(struct world *world, int64_t payment, int64_t amount)
{
	struct batch *batch = batch_new(world->now);
	struct journal_row row = world_journal_row(world, JOURNAL_REFUND, amount);

	row.payment = payment;
	row.from_spent = true;
	batch_journal(batch, &row);
	world_append(world, batch);
}

static void deliver_nothing(struct world *world, int64_t payment)
{
	struct batch *batch = batch_new(world->now);

	batch_delivery(batch, &(struct delivery_row){.id = world_id(world), .call = world->call,
	    .payment = payment, .agent = world->agent, .tool = "github/issues",
	    .reason = "too short"});
	world_append(world, batch);
}

#define CLAIM "coding-agent-01|asmit@example.com|github/issues|"

static void claims(void **state)
{
	struct world *world = *state;
	struct store *store = world->store;
	int64_t refunded = -1;

	assert_int_equal(store_claims(store, 0, true, put_claim, NULL), STORE_OK);
	expect(CLAIM "status 500|3|50000|0|USDC|0xabc\n" CLAIM "empty body|4|10000|4000|USDC|-\n");
	refund(world, world->repaid, 5999);
	assert_int_equal(store_claims(store, world->agent, true, put_claim, NULL), STORE_OK);
	expect(CLAIM "status 500|3|50000|0|USDC|0xabc\n" CLAIM "empty body|4|10000|9999|USDC|-\n");
	refund(world, world->repaid, 1);
	assert_int_equal(store_claims(store, 0, true, put_claim, NULL), STORE_OK);
	expect(CLAIM "status 500|3|50000|0|USDC|0xabc\n");
	assert_int_equal(store_claims(store, 0, false, put_claim, NULL), STORE_OK);
	expect(CLAIM "status 500|3|50000|0|USDC|0xabc\n" CLAIM "empty body|4|10000|10000|USDC|-\n");
	assert_int_equal(store_claims(store, world->agent_two, false, put_claim, NULL), STORE_OK);
	expect("");
	/* Open is paid as well; what was given back is no claim. */
	deliver_nothing(world, world->open);
	deliver_nothing(world, world->unused);
	assert_int_equal(store_claims(store, 0, true, put_claim, NULL), STORE_OK);
	expect(CLAIM "status 500|3|50000|0|USDC|0xabc\n" CLAIM "too short|2|30000|0|USDC|-\n");
	assert_int_equal(store_refunded(store, world->repaid, &refunded), STORE_OK);
	assert_int_equal(refunded, 10000);
	/* Given back unused is not paid back by the seller. */
	assert_int_equal(store_refunded(store, world->unused, &refunded), STORE_OK);
	assert_int_equal(refunded, 0);
	assert_int_equal(store_refunded(store, 12, &refunded), STORE_OK);
	assert_int_equal(refunded, 0);
}

static void put_setting(const char *body, int64_t id, void *arg)
{
	*(int64_t *)arg = id;
	buf_add_format(&text, "%s", body);
}

static void settings_and_policies(void **state)
{
	struct world *world = *state;
	struct store *store = world->store;
	int64_t first = 0, second = 0, none = -5;

	assert_int_equal(store_setting(store, "default_policy", 0, put_setting, &second), STORE_OK);
	expect("{\"limits\":[]}");
	assert_int_equal(
	    store_setting(store, "default_policy", second - 1, put_setting, &first), STORE_OK);
	expect("{}");
	assert_true(first > 0 && first < second);
	assert_int_equal(
	    store_setting(store, "default_policy", second, put_setting, &none), STORE_OK);
	expect("{\"limits\":[]}");
	assert_int_equal(none, second);
	assert_int_equal(store_setting(store, "default_policy", first - 1, put_setting, &none),
	    STORE_NOT_FOUND);
	assert_int_equal(store_setting(store, "Default_policy", 0, put_setting, &none),
	    STORE_NOT_FOUND);
	assert_int_equal(
	    store_policy_at(store, world->agent, 0, put_setting, &second), STORE_OK);
	expect("{\"agentId\":\"coding-agent-01\"}");
	assert_int_equal(
	    store_policy_at(store, world->agent, second - 1, put_setting, &first), STORE_OK);
	expect("{}");
	assert_int_equal(store_policy_at(store, world->agent, first - 1, put_setting, &none),
	    STORE_NOT_FOUND);
	assert_int_equal(store_policy_at(store, world->agent_two, 0, put_setting, &none),
	    STORE_NOT_FOUND);
	expect("");
}

/* --- idempotency ----------------------------------------------------------------------- */

static void put_key(const struct idempotency_row *row, const struct answer_row *answer, void *arg)
{
	(void)arg;
	buf_add_format(&text, "%s|%d|%lld|%lld|", row->key, row->request.bytes[0],
	    (long long)row->call, (long long)row->payment);
	if (answer == NULL)
		buf_add_str(&text, "-");
	else
		buf_add_format(&text, "%d|%s|%.*s", answer->status, answer->headers,
		    (int)answer->body_size, (const char *)answer->body);
}

static enum store_result add_key(struct world *world, int64_t call, uint8_t request,
    int64_t payment, int64_t expires_us)
{
	struct batch *batch = batch_new(world->now);
	struct idempotency_row row = {.agent = world->agent, .key = "key", .call = call,
	    .payment = payment, .expires_us = expires_us};

	row.request.bytes[0] = request;
	batch_idempotency(batch, &row);
	return store_append_wait(world->store, &batch);
}

static enum store_result look_up(struct world *world, int64_t agent, const char *key,
    int64_t now_us)
{
	return store_idempotency(world->store, agent, key, now_us, put_key, NULL);
}

static void idempotency(void **state)
{
	struct world *world = *state;
	int64_t now = world->now, later = now + 100;
	struct batch *batch;

	assert_int_equal(look_up(world, world->agent, "key", now), STORE_NOT_FOUND);
	assert_int_equal(add_key(world, 7, 1, 0, later), STORE_OK);
	assert_int_equal(look_up(world, world->agent, "key", now), STORE_OK);
	expect("key|1|7|0|-");
	assert_int_equal(look_up(world, world->agent_two, "key", now), STORE_NOT_FOUND);
	assert_int_equal(look_up(world, world->agent, "KEY", now), STORE_NOT_FOUND);
	assert_int_equal(look_up(world, world->agent, "key", later), STORE_NOT_FOUND);
	expect("");
	/* another request; another call before and after something was paid */
	assert_int_equal(add_key(world, 7, 2, 0, later), STORE_EXISTS);
	assert_int_equal(add_key(world, 8, 2, 0, later), STORE_EXISTS);
	assert_int_equal(add_key(world, 8, 1, 0, later), STORE_OK);
	assert_int_equal(add_key(world, 7, 1, 0, later), STORE_OK);
	assert_int_equal(add_key(world, 7, 1, 99, later), STORE_OK);
	assert_int_equal(add_key(world, 8, 1, 0, later), STORE_EXISTS);
	batch = batch_new(now);
	batch_answer(batch, &(struct answer_row){.call = 7, .status = 200, .headers = "[]",
	    .body = "", .body_size = 0, .expires_us = later});
	world_append(world, batch);
	assert_int_equal(look_up(world, world->agent, "key", now), STORE_OK);
	expect("key|1|7|99|200|[]|");
	batch = batch_new(now);
	batch_answer(batch, &(struct answer_row){.call = 7, .status = 201, .headers = "[1]",
	    .body = "body and more", .body_size = 4, .expires_us = later - 50});
	world_append(world, batch);
	assert_int_equal(look_up(world, world->agent, "key", now), STORE_OK);
	expect("key|1|7|99|201|[1]|body");
	assert_int_equal(look_up(world, world->agent, "key", later - 50), STORE_OK);
	expect("key|1|7|99|-");
	/* expired: free for another call, and gone in passing */
	world->now = later;
	assert_int_equal(add_key(world, 8, 2, 0, later + 100), STORE_OK);
	assert_int_equal(look_up(world, world->agent, "key", later), STORE_OK);
	expect("key|2|8|0|-");
	world->now = later + 100 + CLOCK_US_PER_S;
	world_append(world, batch_new(world->now));
	assert_int_equal(look_up(world, world->agent, "key", now), STORE_NOT_FOUND);
	world_assert_whole(world->store);
}

static void expired_keys_go_in_portions(void **state)
{
	struct world *world = *state;
	struct batch *batch = batch_new(world->now);
	char key[16];

	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "%03d", i);
		batch_idempotency(batch, &(struct idempotency_row){.agent = world->agent,
		    .key = key, .call = i + 1, .expires_us = world->now + 10});
	}
	world_append(world, batch);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(look_up(world, world->agent, "199", world->now), STORE_OK);
		world_append(world, batch_new(world->now + CLOCK_US_PER_S));
	}
	assert_int_equal(look_up(world, world->agent, "199", world->now), STORE_NOT_FOUND);
}

/* --- threads, nesting -------------------------------------------------------------------- */

struct nest {
	struct store *store;
	int depth;
};

static bool ask_again(const struct journal_row *row, void *arg)
{
	struct nest *nest = arg;

	(void)row;
	if (nest->depth++ < 7)
		assert_int_equal(
		    store_journal(nest->store, 0, 0, 0, 1, ask_again, nest), STORE_OK);
	return true;
}

/* More queries at once than connections are kept. */
static void queries_inside_queries(void **state)
{
	struct world *world = *state;
	struct nest nest = {world->store, 0};

	assert_int_equal(store_journal(world->store, 0, 0, 0, 1, ask_again, &nest), STORE_OK);
	assert_int_equal(nest.depth, 8);
}

static void *ask_often(void *arg)
{
	struct world *world = arg;

	for (int i = 0; i < 50; i++) {
		struct total total = {0};

		if (charges(world, &(int64_t){WORLD_START}, 1, add_charge, NULL,
			&total) !=
			STORE_OK ||
		    total.calls < 4 + 4)
			return world;
	}
	return NULL;
}

static void many_readers_one_writer(void **state)
{
	struct world *world = *state;
	pthread_t threads[8];
	void *failed;

	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, world), 0);
	for (int i = 0; i < 50; i++)
		world_sign(world, 1);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

#define query_test(test) cmocka_unit_test_setup_teardown(test, query_make, query_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    query_test(agents),
	    query_test(tools),
	    query_test(tokens),
	    query_test(networks),
	    query_test(journal),
	    query_test(journal_fields),
	    query_test(orphans),
	    query_test(payments),
	    query_test(payment_fields),
	    query_test(payment_states),
	    query_test(audit),
	    query_test(audit_fields),
	    query_test(balances),
	    query_test(first_payees),
	    query_test(charges_singly),
	    query_test(charges_summed),
	    query_test(charges_on_both_sides),
	    query_test(charges_add_up),
	    query_test(disputed),
	    query_test(evidence),
	    query_test(chain_ends),
	    query_test(unproved),
	    query_test(outstanding),
	    query_test(claims),
	    query_test(settings_and_policies),
	    query_test(charges_between_borders),
	    query_test(charges_as_of),
	    query_test(charges_of_few_rows),
	    query_test(first_payees_of_many),
	    query_test(charges_of_many_payees),
	    query_test(on_the_owners_word),
	    query_test(idempotency),
	    query_test(expired_keys_go_in_portions),
	    query_test(queries_inside_queries),
	    query_test(many_readers_one_writer),
	};

	return unit_run(tests);
}
