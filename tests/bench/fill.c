/* tests/bench/fill - a ledger with a past, written through the store's own API.
 *
 * Every payment leaves what a paid call leaves: the payment with its signed bytes and its
 * challenge, sign and settle in the journal, a state, an audit row. One in a hundred is
 * given back, one in a thousand paid back, the last ten stay open, and one call in ten is
 * metered. Sizes are those of real sellers. Calls are spread evenly over the days before now.
 *
 * Usage: fill DIR [PAYMENTS] [AGENTS] [DAYS]   (333,000 payments, 1,000 agents, 45 days)
 * DIR    a data folder as `tallyward init` makes it */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "ledger/store.h"
#include "tests/bench/argument.h"

#define PAYMENTS_DEFAULT 333000
#define PAYMENTS_MAX     100000000
#define AGENTS_DEFAULT   1000
#define AGENTS_MAX       1000000
#define DAYS_DEFAULT     45
#define DAYS_MAX         3650
#define QUEUE_MAX        4096u /* batches; bounds memory */
#define OPEN_COUNT       10
#define TOOLS            3
#define PRICE            1000
#define NAME_SIZE        80u
#define DEPOSIT          INT64_C(1000000000)
#define NETWORK          "eip155:84532"
#define ASSET            "0x036CbD53842c5426634e7929541eC2318f3dCF7e"

struct fill {
	struct store *store;
	int64_t payment_count, agent_count;
	int64_t begin_us, end_us;
	int64_t *agents; /* ids */
	char header[801], challenge[701];
};

static void append(struct fill *fill, struct batch *batch)
{
	struct timespec pause = {0, 1000000};

	while (store_queued(fill->store) > QUEUE_MAX)
		nanosleep(&pause, NULL);
	store_append(fill->store, &batch, NULL, NULL);
}

static void settle(struct fill *fill)
{
	struct batch *batch = batch_new(fill->begin_us);
	char reason[256] = "";

	if (store_append_wait(fill->store, &batch) != STORE_OK ||
	    store_health(fill->store, reason) != STORE_OK) {
		fprintf(stderr, "fill: the ledger does not take it: %s\n", reason);
		exit(1);
	}
}

static void agent_name(char out[NAME_SIZE], int64_t index)
{
	snprintf(out, NAME_SIZE, "agent-%06" PRId64, index);
}

static void session_name(char out[NAME_SIZE], int64_t agent, int64_t day)
{
	snprintf(out, NAME_SIZE, "5e5510%06" PRId64 "%020" PRId64, agent, day);
}

static int64_t next_id(struct fill *fill, int64_t at_us)
{
	return store_next_id(fill->store, at_us);
}

static struct journal_row money_row(const struct fill *fill, enum journal_event event,
    int64_t agent, const char *name, const char *tool)
{
	bool metered = event >= JOURNAL_HOLD && event <= JOURNAL_RELEASE;

	return (struct journal_row){.event = event,
	    .agent = fill->agents[agent],
	    .agent_name = name,
	    .owner = "asmit@example.com",
	    .tool = tool,
	    .amount = PRICE,
	    .network = metered ? "off-chain" : NETWORK,
	    .asset = metered ? "USD" : ASSET,
	    .symbol = metered ? "USD" : "USDC"};
}

static void add_agent(struct fill *fill, int64_t index)
{
	struct batch *batch = batch_new(fill->begin_us);
	char name[NAME_SIZE], address[NAME_SIZE], session[NAME_SIZE];
	struct agent_row row = {.id = next_id(fill, fill->begin_us),
	    .name = name,
	    .owner = "asmit@example.com",
	    .address = address};
	struct journal_row deposit;

	agent_name(name, index);
	snprintf(address, sizeof(address), "0x%040" PRIx64, index + 1);
	fill->agents[index] = row.id;
	batch_agent(batch, &row);
	batch_policy(batch, next_id(fill, fill->begin_us), row.id,
	    "{\"budget\":{\"maxPerCall\":\"0.10\",\"sessionLimit\":\"1.00\","
	    "\"dailyLimit\":\"5.00\"},\"tools\":{\"allowlist\":[\"*\"]}}");
	for (int64_t day = 0; day <= (fill->end_us - fill->begin_us) / (24 * 3600 * CLOCK_US_PER_S);
	     day++) {
		session_name(session, index, day);
		batch_token(batch,
		    &(struct token_row){.id = next_id(fill, fill->begin_us),
			.session = session,
			.agent = row.id,
			.expires_s = fill->begin_us / CLOCK_US_PER_S + (day + 1) * 24 * 3600});
	}
	deposit = money_row(fill, JOURNAL_DEPOSIT, index, name, NULL);
	deposit.amount = DEPOSIT;
	batch_journal(batch, &deposit);
	append(fill, batch);
}

static void add_tool(struct fill *fill, const char *name, enum tool_billing billing)
{
	struct batch *batch = batch_new(fill->begin_us);

	batch_tool(batch, &(struct tool_row){.id = next_id(fill, fill->begin_us),
			      .name = name,
			      .url = "https://api.example.com",
			      .billing = billing,
			      .has_price = true,
			      .price = PRICE});
	append(fill, batch);
}

static void add_audit(struct fill *fill, struct batch *batch, int64_t agent, const char *name,
    const char *session, const char *tool, int64_t call, int64_t payment)
{
	struct audit_row row = {.id = call,
	    .kind = AUDIT_CALL,
	    .agent = fill->agents[agent],
	    .agent_name = name,
	    .owner = "asmit@example.com",
	    .session = session,
	    .tool = tool,
	    .method = "POST",
	    .path = "/v1/search",
	    .allowed = true,
	    .rule = "allowlist",
	    .price = PRICE,
	    .payee = payment == 0 ? NULL : "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
	    .payment = payment,
	    .status = 200,
	    .upstream_status = 200,
	    .forwarded_us = call + 1,
	    .quoted_us = call + 2,
	    .signed_us = call + 3,
	    .answered_us = call + 4,
	    .finished_us = call + 5,
	    .request_bytes = 100,
	    .response_bytes = 1000,
	    .has_request_digest = true,
	    .has_response_digest = true};

	batch_audit(batch, &row);
}

static void add_metered(
    struct fill *fill, int64_t agent, const char *name, const char *session, int64_t at_us)
{
	struct journal_row row = money_row(fill, JOURNAL_HOLD, agent, name, "metered");
	struct batch *batch = batch_new(at_us);

	row.call = next_id(fill, at_us);
	row.session = session;
	batch_journal(batch, &row);
	append(fill, batch);
	batch = batch_new(at_us);
	row.event = JOURNAL_CHARGE;
	row.session = NULL;
	batch_journal(batch, &row);
	add_audit(fill, batch, agent, name, session, "metered", row.call, 0);
	append(fill, batch);
}

static void add_payment(struct fill *fill, int64_t index, int64_t agent, const char *name,
    const char *session, int64_t at_us)
{
	static const char *const tools[TOOLS] = {"search", "github/issues", "translate"};
	const char *tool = tools[index % TOOLS];
	bool given_back = index % 100 == 7, open = index >= fill->payment_count - OPEN_COUNT;
	char nonce[NAME_SIZE], payer[NAME_SIZE];
	struct payment_row payment = {.call = next_id(fill, at_us),
	    .agent = fill->agents[agent],
	    .agent_name = name,
	    .tool = tool,
	    .session = session,
	    .amount = PRICE,
	    .value = "1000",
	    .network = NETWORK,
	    .asset = ASSET,
	    .symbol = "USDC",
	    .payer = payer,
	    .payee = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
	    .nonce = nonce,
	    .valid_before_s = at_us / CLOCK_US_PER_S + 60,
	    .header_name = "PAYMENT-SIGNATURE",
	    .header_value = fill->header,
	    .challenge = fill->challenge,
	    .method = "POST",
	    .url = "https://api.example.com/v1/search"};
	struct payment_state_row state = {
	    .state = given_back ? PAYMENT_EXPIRED_UNUSED : PAYMENT_SETTLED,
	    .transaction = given_back ? NULL : nonce,
	    .by = given_back ? "chain" : "receipt",
	    .receipt = given_back ? NULL : "{\"success\":true,\"network\":\"eip155:84532\"}"};
	struct journal_row row = money_row(fill, JOURNAL_SIGN, agent, name, tool);
	struct batch *batch = batch_new(at_us);

	snprintf(payer, sizeof(payer), "0x%040" PRIx64, agent + 1);
	snprintf(nonce, sizeof(nonce), "0x%064" PRIx64, index + 1);
	payment.id = next_id(fill, at_us);
	row.call = payment.call;
	row.payment = state.payment = payment.id;
	batch_payment(batch, &payment);
	batch_journal(batch, &row);
	append(fill, batch);
	batch = batch_new(at_us);
	if (!open) {
		state.id = next_id(fill, at_us);
		row.event = given_back ? JOURNAL_REFUND : JOURNAL_SETTLE;
		batch_payment_state(batch, &state);
		batch_journal(batch, &row);
	}
	add_audit(fill, batch, agent, name, session, tool, payment.call, payment.id);
	append(fill, batch);
	if (index % 1000 == 8 && !open) {
		batch = batch_new(at_us);
		row.event = JOURNAL_REFUND;
		row.from_spent = true;
		row.amount = PRICE / 2;
		batch_journal(batch, &row);
		append(fill, batch);
	}
}

static void add_calls(struct fill *fill)
{
	int64_t span = (fill->end_us - fill->begin_us) / fill->payment_count;
	char name[NAME_SIZE], session[NAME_SIZE];

	for (int64_t i = 0; i < fill->payment_count; i++) {
		int64_t at_us = fill->begin_us + i * span;
		/* Not in turn: neighbours in time are strangers, as in life. */
		int64_t agent = (i * 7919) % fill->agent_count;

		agent_name(name, agent);
		session_name(
		    session, agent, (at_us - fill->begin_us) / (24 * 3600 * CLOCK_US_PER_S));
		if (i % 10 == 9)
			add_metered(fill, agent, name, session, at_us);
		add_payment(fill, i, agent, name, session, at_us);
	}
}

int main(int argc, char **argv)
{
	int64_t days = argument(argc, argv, 4, DAYS_DEFAULT, DAYS_MAX);
	struct fill fill = {
	    .payment_count = argument(argc, argv, 2, PAYMENTS_DEFAULT, PAYMENTS_MAX),
	    .agent_count = argument(argc, argv, 3, AGENTS_DEFAULT, AGENTS_MAX)};
	char reason[256] = "";

	if (argc < 2 || argc > 5) {
		fprintf(stderr, "usage: fill DIR [PAYMENTS] [AGENTS] [DAYS]\n");
		return 2;
	}
	fill.end_us = clock_now_us();
	fill.begin_us = fill.end_us - days * 24 * 3600 * CLOCK_US_PER_S;
	memset(fill.header, 'e', sizeof(fill.header) - 1);
	memset(fill.challenge, 'c', sizeof(fill.challenge) - 1);
	fill.agents = must_calloc((size_t)fill.agent_count, sizeof(*fill.agents));
	if (store_open(&fill.store, reason, argv[1], fill.begin_us) != STORE_OK) {
		fprintf(stderr, "fill: %s\n", reason);
		return 1;
	}
	add_tool(&fill, "search", TOOL_X402);
	add_tool(&fill, "github/issues", TOOL_X402);
	add_tool(&fill, "translate", TOOL_X402);
	add_tool(&fill, "metered", TOOL_METERED);
	for (int64_t i = 0; i < fill.agent_count; i++)
		add_agent(&fill, i);
	add_calls(&fill);
	settle(&fill);
	store_close(&fill.store);
	free(fill.agents);
	return 0;
}
