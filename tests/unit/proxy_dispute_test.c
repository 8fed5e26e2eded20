/* Bundles: made from calls of every kind, and against a forger who has nothing, then against one
 * who has the installation's key and changes one thing at a time. */
#include "proxy/dispute.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "proxy/anchors.h"
#include "proxy/command.h"
#include "proxy/dispute_parts.h"
#include "proxy/dispute_rows.h"
#include "proxy/house.h"
#include "proxy/rooms.h"
#include "tests/unit/unit.h"
#include "wallet/payment.h"
#include "wallet/personal.h"

#define URL       "https://api.example.com/search"
#define PAYEE     "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define ASSET     "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define STRANGE   "0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238" /* in no table of ours */
#define NETWORK   "eip155:84532"
#define HASH_TEXT "0xabababababababababababababababababababababababababababababababab"

/* One data folder for all: each opening costs a scrypt. */
struct bench {
	char *dir;
	struct house *house;
	struct agent *agent;
	char *session;
	int64_t paid, retried, refused, metered, cut_off, strange, changed; /* calls */
	int64_t payment;                                                    /* of the paid call */
	char *text;                                                         /* its bundle */
};

static json_t *done(struct bench *bench, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(bench->house, request, clock_now_us());
	json_t *result = json_incref(json_object_get(reply, "result"));

	if (!result)
		fail_msg("%s: %s", name, json_string_value(json_object_get(reply, "error")));
	json_decref(reply);
	json_decref(request);
	return result;
}

static int64_t new_id(struct bench *bench)
{
	return store_next_id(bench->house->store, clock_now_us());
}

static void write_batch(struct bench *bench, struct batch *batch)
{
	assert_int_equal(store_append_wait(bench->house->store, &batch), STORE_OK);
}

/* --- calls as the proxy writes them -------------------------------------------------- */

static struct journal_row journal_row(
    const struct bench *bench, enum journal_event event, int64_t call, int64_t payment)
{
	bool metered = event == JOURNAL_HOLD || event == JOURNAL_CHARGE;

	return (struct journal_row){.event = event,
	    .call = call,
	    .payment = payment,
	    .agent = bench->agent->id,
	    .agent_name = bench->agent->name,
	    .owner = bench->agent->owner,
	    .tool = "search",
	    .session = event == JOURNAL_HOLD ? bench->session : NULL,
	    .amount = 20000,
	    .network = metered ? "off-chain" : NETWORK,
	    .asset = metered ? "USD" : ASSET,
	    .symbol = metered ? "USD" : "USDC"};
}

static struct audit_row audit_row(const struct bench *bench, int64_t call, int64_t payment)
{
	struct audit_row row = {.id = call,
	    .kind = AUDIT_CALL,
	    .agent = bench->agent->id,
	    .agent_name = bench->agent->name,
	    .owner = bench->agent->owner,
	    .session = bench->session,
	    .tool = "search",
	    .method = "POST",
	    .path = "/v1/\xff", /* whatever an agent asks for */
	    .allowed = true,
	    .rule = "limits[0]",
	    .price = payment ? 20000 : 0,
	    .payee = payment ? PAYEE : NULL,
	    .payment = payment,
	    .status = 200,
	    .upstream_status = 200,
	    .forwarded_us = call + 10,
	    .answered_us = call + 900000,
	    .finished_us = call + 950000,
	    .request_bytes = 3,
	    .response_bytes = 2,
	    .has_request_digest = true,
	    .has_response_digest = true,
	    .request_digest = sha256("abc", 3),
	    .response_digest = sha256("{}", 2)};

	return row;
}

static const char *challenge_text(bool strange)
{
	return strange ? "{\"x402Version\":2,\"resource\":{\"url\":\"" URL
			 "\"},\"accepts\":[{\"scheme\":\"exact\",\"network\":\"" NETWORK
			 "\",\"amount\":\"20000\",\"asset\":\"" STRANGE "\",\"payTo\":\"" PAYEE
			 "\",\"maxTimeoutSeconds\":60,\"extra\":{\"name\":\"Strange\","
			 "\"version\":\"7\"}}]}"
		       : "{\"x402Version\":2,\"resource\":{\"url\":\"" URL
			 "\"},\"accepts\":[{\"scheme\":\"exact\",\"network\":\"" NETWORK
			 "\",\"amount\":\"20000\",\"asset\":\"" ASSET "\",\"payTo\":\"" PAYEE
			 "\",\"maxTimeoutSeconds\":60,\"extra\":{\"name\":\"USDC\",\"version\":"
			 "\"2\"}}]}";
}

static struct payment *sign(struct bench *bench, const struct assets *assets, bool strange)
{
	const char *text = challenge_text(strange);
	struct address payer = registry_address(bench->house->registry, bench->agent);
	struct choice_rules rules = {.payer = payer};
	uint8_t nonce[AUTHORIZATION_NONCE_SIZE];
	struct challenge *challenge;
	struct payment *payment;
	struct choice choice;

	bytes_random(nonce, sizeof nonce);
	assert_int_equal(
	    challenge_parse(&challenge, NULL, NULL, 0, text, strlen(text)), CHALLENGE_OK);
	choice_make(&choice, challenge, assets, &rules);
	assert_true(choice.found);
	assert_int_equal(payment_sign(&payment, bench->house->keystore, bench->agent->name, &payer,
			     challenge, &choice, clock_now_us() / CLOCK_US_PER_S, 60, nonce, NULL),
	    KEYSTORE_OK);
	challenge_free(&challenge);
	return payment;
}

/* The payment and its sign row; returns its id. */
static int64_t write_signed(struct bench *bench, int64_t call, bool strange)
{
	struct assets *assets = assets_new();
	struct journal_row journal = journal_row(bench, JOURNAL_SIGN, call, new_id(bench));
	char nonce[2 * AUTHORIZATION_NONCE_SIZE + 3], payer[ADDRESS_TEXT_SIZE];
	struct batch *batch = batch_new(clock_now_us());
	struct payment *payment;
	struct address contract;

	assert_true(address_parse(&contract, STRANGE));
	assert_true(assets_add(assets, 84532, &contract, "STR", "Strange", "7"));
	payment = sign(bench, assets, strange);
	journal.asset = strange ? STRANGE : ASSET;
	batch_payment(batch, &(struct payment_row){.id = journal.payment,
				 .call = call,
				 .agent = bench->agent->id,
				 .agent_name = bench->agent->name,
				 .tool = "search",
				 .session = bench->session,
				 .amount = 20000,
				 .value = "20000",
				 .network = NETWORK,
				 .asset = journal.asset,
				 .symbol = journal.symbol,
				 .payer = address_format(payer, &payment->authorization.from),
				 .payee = PAYEE,
				 .nonce = hex_encode_0x(
				     nonce, payment->authorization.nonce, AUTHORIZATION_NONCE_SIZE),
				 .valid_before_s = (int64_t)payment->authorization.valid_before_s,
				 .header_name = payment->header_name,
				 .header_value = payment->header_value,
				 .challenge = challenge_text(strange),
				 .method = "POST",
				 .url = URL "?q=1",
				 .request = sha256("abc", 3)});
	batch_journal(batch, &journal);
	write_batch(bench, batch);
	payment_free(&payment);
	assets_free(&assets);
	return journal.payment;
}

static void write_state(struct bench *bench, int64_t call, int64_t payment,
    enum payment_state state, enum journal_event event)
{
	struct batch *batch = batch_new(clock_now_us());
	struct journal_row journal = journal_row(bench, event, call, payment);
	struct payment_state_row row = {.id = new_id(bench),
	    .payment = payment,
	    .state = state,
	    .by = "receipt",
	    .reason = state == PAYMENT_OPEN ? "no answer" : NULL,
	    .transaction = state == PAYMENT_SETTLED ? HASH_TEXT : NULL,
	    .receipt = state == PAYMENT_SETTLED ? "{\"success\":true}" : NULL};

	batch_payment_state(batch, &row);
	if (state == PAYMENT_SETTLED)
		batch_journal(batch, &journal);
	write_batch(bench, batch);
}

/* Paid, settled, proved on the chain, not delivered, and partly paid back. */
static void write_paid(struct bench *bench)
{
	struct audit_row audit;
	struct journal_row refund;
	struct batch *batch;

	bench->paid = new_id(bench);
	bench->payment = write_signed(bench, bench->paid, false);
	/* Between the signature and the end the owner changes the policy. */
	json_decref(done(bench, "policy.set",
	    json_pack("{s:s, s:s}", "agent", bench->agent->name, "policy",
		"{\"budget\":{\"maxPerCall\":\"0.50\"}}")));
	write_state(bench, bench->paid, bench->payment, PAYMENT_OPEN, JOURNAL_SIGN);
	audit = audit_row(bench, bench->paid, bench->payment);
	audit.signed_us = bench->payment + 1;
	audit.status = 502;
	audit.detail = "{\"sent_at\":[\"2026-11-21T12:00:00Z\"],\"options\":[{\"scheme\":\"upto\","
		       "\"reason\":\"unsupported_scheme\"},{\"reason\":\"taken\"}]}";
	batch = batch_new(clock_now_us());
	batch_audit(batch, &audit);
	batch_delivery(batch, &(struct delivery_row){.id = new_id(bench),
				  .call = bench->paid,
				  .payment = bench->payment,
				  .agent = bench->agent->id,
				  .tool = "search",
				  .reason = "status 502"});
	write_batch(bench, batch);
	/* The agent asks again and gets it with the same signature. */
	bench->retried = new_id(bench);
	write_state(bench, bench->paid, bench->payment, PAYMENT_SETTLED, JOURNAL_SETTLE);
	audit = audit_row(bench, bench->retried, bench->payment);
	refund = journal_row(bench, JOURNAL_REFUND, 0, bench->payment);
	refund.amount = 5000;
	refund.from_spent = true;
	refund.note = "\xc3\xa9 \"quoted\"\n";
	batch = batch_new(clock_now_us());
	batch_audit(batch, &audit);
	batch_evidence(batch, &(struct evidence_row){.id = new_id(bench),
				  .payment = bench->payment,
				  .kind = EVIDENCE_USED,
				  .network = NETWORK,
				  .block = 100,
				  .block_hash = HASH_TEXT,
				  .block_s = 1763640000,
				  .transaction = HASH_TEXT,
				  .log_index = 3,
				  .endpoints = 2});
	batch_journal(batch, &refund);
	write_batch(bench, batch);
}

static void write_others(struct bench *bench)
{
	struct batch *batch = batch_new(clock_now_us());
	struct journal_row hold;
	struct audit_row audit;
	int64_t payment;

	bench->refused = new_id(bench);
	audit = audit_row(bench, bench->refused, 0);
	audit.allowed = false;
	audit.code = "over_call_limit";
	audit.status = 403;
	audit.detail = "no JSON";
	batch_audit(batch, &audit);
	bench->metered = new_id(bench);
	hold = journal_row(bench, JOURNAL_HOLD, bench->metered, 0);
	batch_journal(batch, &hold);
	write_batch(bench, batch);
	batch = batch_new(clock_now_us());
	hold = journal_row(bench, JOURNAL_CHARGE, bench->metered, 0);
	batch_journal(batch, &hold);
	audit = audit_row(bench, bench->metered, 0);
	audit.detail = "[{\"reason\":\"taken\"}]"; /* as older rows have it */
	batch_audit(batch, &audit);
	write_batch(bench, batch);
	bench->cut_off = new_id(bench);
	write_signed(bench, bench->cut_off, false);
	bench->strange = new_id(bench);
	write_signed(bench, bench->strange, true);
	/* A policy that changes while a call waits for its price. */
	bench->changed = new_id(bench);
	json_decref(done(bench, "policy.set",
	    json_pack("{s:s, s:s}", "agent", bench->agent->name, "policy",
		"{\"budget\":{\"maxPerCall\":\"0.40\"}}")));
	payment = write_signed(bench, bench->changed, false);
	audit = audit_row(bench, bench->changed, payment);
	audit.signed_us = payment;
	batch = batch_new(clock_now_us());
	batch_audit(batch, &audit);
	write_batch(bench, batch);
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);
	struct house_options options = {.command = "test"};
	char reason[DISPUTE_REASON_SIZE] = "";
	json_t *made;
	void *dir;

	if (!bench || unit_folder_make(&dir) != 0)
		return -1;
	options.dir = bench->dir = dir;
	if (house_init(reason, &options) != HOUSE_OK ||
	    house_open(&bench->house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	json_decref(done(bench, "tool.add",
	    json_pack("{s:s, s:s, s:s}", "name", "search", "url", URL, "price", "0.05")));
	made = done(bench, "agent.add", json_pack("{s:s, s:s}", "name", "coder", "owner", "o@x"));
	bench->session = must_strdup(json_string_value(json_object_get(made, "session")));
	json_decref(made);
	json_decref(done(
	    bench, "wallet.deposit", json_pack("{s:s, s:s}", "agent", "coder", "amount", "10")));
	bench->agent = registry_agent(bench->house->registry, "coder");
	write_paid(bench);
	write_others(bench);
	if (dispute_make(&bench->text, reason, bench->house, bench->paid, clock_now_us()) !=
	    DISPUTE_OK)
		fail_msg("%s", reason);
	*state = bench;
	return 0;
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;

	house_close(&bench->house);
	free(bench->session);
	free(bench->text);
	free(bench);
	return unit_folder_remove(&dir);
}

/* --- shorthands ------------------------------------------------------------------------ */

static char *make(struct bench *bench, int64_t call)
{
	char reason[DISPUTE_REASON_SIZE] = "", *text = NULL;

	if (dispute_make(&text, reason, bench->house, call, clock_now_us()) != DISPUTE_OK)
		fail_msg("%s", reason);
	return text;
}

static json_t *report_of(const char *text, size_t size, const struct dispute_options *options)
{
	static const struct dispute_options none;

	return dispute_check(text, size, options ? options : &none);
}

static bool holds(const char *text, size_t size)
{
	json_t *report = report_of(text, size, NULL);
	bool ok = json_is_true(json_object_get(report, "ok"));

	assert_int_equal(ok, json_array_size(json_object_get(report, "problems")) == 0);
	assert_int_equal(ok, json_array_size(json_object_get(report, "proves")) != 0);
	json_decref(report);
	return ok;
}

static void assert_problem(
    const char *text, size_t size, const struct dispute_options *options, const char *words)
{
	json_t *report = report_of(text, size, options);
	const json_t *problems = json_object_get(report, "problems");
	bool said = false;

	assert_false(json_is_true(json_object_get(report, "ok")));
	for (size_t i = 0; i < json_array_size(problems); i++)
		said =
		    said || strstr(json_string_value(json_array_get(problems, i)), words) != NULL;
	if (!said)
		fail_msg("nothing says \"%s\", but: %s", words,
		    json_string_value(json_array_get(problems, 0)));
	json_decref(report);
}

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, 0, &error);

	assert_non_null(root);
	return root;
}

static json_t *facts_of(struct bench *bench, int64_t call)
{
	char *text = make(bench, call);
	json_t *root = parse(text), *facts = json_incref(json_object_get(root, "facts"));

	assert_true(holds(text, strlen(text)));
	json_decref(root);
	free(text);
	return facts;
}

static const char *fact(const json_t *facts, const char *object, const char *name)
{
	const json_t *member = object ? json_object_get(facts, object) : facts;
	const char *text = json_string_value(json_object_get(member, name));

	return text ? text : "-";
}

static size_t count_of(const json_t *facts, const char *name)
{
	return json_array_size(json_object_get(facts, name));
}

/* --- what a bundle says ------------------------------------------------------------------- */

static void a_paid_call(void **state)
{
	struct bench *bench = *state;
	json_t *facts = facts_of(bench, bench->paid), *payment, *states, *evidence, *other;

	assert_string_equal(fact(facts, "who", "agent"), "coder");
	assert_string_equal(fact(facts, "who", "owner"), "o@x");
	assert_string_equal(fact(facts, "who", "session"), bench->session);
	assert_string_equal(fact(facts, "tool", "url"), URL);
	assert_string_equal(fact(facts, "tool", "declared_price"), "0.05");
	assert_string_equal(fact(facts, "request", "url"), URL "?q=1");
	assert_string_equal(fact(facts, "request", "path"), "-"); /* not UTF-8 */
	assert_string_equal(fact(facts, "request", "sha256"),
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(fact(facts, "decision", "rule"), "limits[0]");
	assert_string_equal(fact(facts, "decision", "price"), "0.02");
	/* The default when it came; nothing else by the time it was signed. */
	assert_string_equal(fact(facts, "policy", "of"), "default");
	assert_true(json_is_null(json_object_get(facts, "policy_at_signing")));
	assert_int_equal(count_of(facts, "options"), 2);
	assert_int_equal(count_of(facts, "sent_at"), 1);
	assert_string_equal(fact(facts, NULL, "refunded"), "0.005");
	assert_int_equal(count_of(facts, "deliveries"), 1);
	assert_int_equal(count_of(facts, "journal"), 3);
	assert_int_equal(count_of(facts, "payments"), 1);
	payment = json_array_get(json_object_get(facts, "payments"), 0);
	assert_string_equal(fact(payment, NULL, "payee"), PAYEE);
	states = json_object_get(payment, "states");
	assert_int_equal(json_array_size(states), 2);
	assert_string_equal(fact(json_array_get(states, 0), NULL, "state"), "open");
	assert_string_equal(fact(json_array_get(states, 1), NULL, "state"), "settled");
	evidence = json_object_get(payment, "chain_evidence");
	assert_string_equal(fact(json_array_get(evidence, 0), NULL, "chain_said"), "used");
	assert_string_equal(fact(payment, "offer_signed_by_seller", "state"), "absent");
	/* The call that asked again. */
	assert_int_equal(count_of(facts, "also"), 1);
	other = json_array_get(json_object_get(facts, "also"), 0);
	assert_int_equal(json_integer_value(json_object_get(other, "status")), 200);
	json_decref(facts);
}

static void the_call_that_asked_again(void **state)
{
	struct bench *bench = *state;
	json_t *facts = facts_of(bench, bench->retried);

	assert_string_equal(fact(facts, "policy", "of"), "agent");
	assert_int_equal(count_of(facts, "payments"), 1);
	assert_int_equal(count_of(facts, "also"), 1);
	assert_int_equal(count_of(facts, "sent_at"), 0);
	json_decref(facts);
}

static void calls_without_a_payment(void **state)
{
	struct bench *bench = *state;
	json_t *facts = facts_of(bench, bench->refused);

	assert_string_equal(fact(facts, "decision", "code"), "over_call_limit");
	assert_string_equal(fact(facts, NULL, "detail"), "no JSON");
	assert_int_equal(count_of(facts, "payments"), 0);
	json_decref(facts);
	facts = facts_of(bench, bench->metered);
	assert_int_equal(count_of(facts, "journal"), 2);
	assert_int_equal(count_of(facts, "options"), 1);
	assert_true(json_is_null(json_object_get(facts, "detail")));
	json_decref(facts);
}

/* A crash leaves a payment and no audit row: what is known is told all the same. */
static void a_call_a_crash_cut_off(void **state)
{
	struct bench *bench = *state;
	json_t *facts = facts_of(bench, bench->cut_off);

	assert_string_equal(fact(facts, "who", "agent"), "coder");
	assert_string_equal(fact(facts, "who", "session"), bench->session);
	assert_string_equal(fact(facts, "tool", "tool"), "search");
	assert_string_equal(fact(facts, "request", "method"), "POST");
	assert_true(json_is_null(json_object_get(json_object_get(facts, "decision"), "allowed")));
	assert_string_equal(fact(facts, "policy", "of"), "agent");
	assert_int_equal(count_of(facts, "payments"), 1);
	json_decref(facts);
}

static void a_token_the_owner_added(void **state)
{
	struct bench *bench = *state;
	char *text = make(bench, bench->strange);
	json_t *report = report_of(text, strlen(text), NULL), *check;
	bool said = false;
	size_t i;

	json_array_foreach (json_object_get(report, "checks"), i, check)
		said =
		    said || strstr(fact(check, NULL, "detail"), "as the seller named it") != NULL;
	assert_true(said);
	json_decref(report);
	free(text);
}

static void a_policy_that_changed_meanwhile(void **state)
{
	struct bench *bench = *state;
	json_t *facts = facts_of(bench, bench->changed);

	assert_non_null(strstr(fact(facts, "policy", "policy"), "0.50"));
	assert_non_null(strstr(fact(facts, "policy_at_signing", "policy"), "0.40"));
	json_decref(facts);
}

static void calls_that_never_were(void **state)
{
	struct bench *bench = *state;
	char reason[DISPUTE_REASON_SIZE] = "", *text = (char *)state;
	int64_t nothing[] = {0, 1, -1, INT64_MAX, bench->payment, bench->agent->id};

	for (size_t i = 0; i < COUNT(nothing); i++)
		assert_int_equal(
		    dispute_make(&text, reason, bench->house, nothing[i], clock_now_us()),
		    DISPUTE_NOT_FOUND);
	assert_ptr_equal(text, state);
}

/* --- a forger without the key ------------------------------------------------------------ */

/* Every step-th byte of text: a case, a digit, a blank, what readers are most lenient about. */
static void bend_bytes(const char *text, size_t step)
{
	size_t size = strlen(text);
	char *bent = must_strdup(text);

	assert_true(holds(bent, size));
	for (size_t i = 0; i < size; i += step) {
		char kept = bent[i];

		bent[i] ^= i % 3 == 0 ? 0x20 : i % 3 == 1 ? 0x01 : 0x02;
		if (holds(bent, size))
			fail_msg("byte %zu: %02x became %02x", i, (unsigned char)kept,
			    (unsigned char)bent[i]);
		bent[i] = kept;
	}
	free(bent);
}

/* All of a small one; of the large one, which has every kind of row, some everywhere. */
static void every_byte_counts(void **state)
{
	struct bench *bench = *state;
	char *small = make(bench, bench->refused);

	bend_bytes(small, 1);
	bend_bytes(bench->text, 13);
	free(small);
}

/* Bytes lost, doubled or slipped in, at every place of the tail and some of the rest. */
static void every_length_counts(void **state)
{
	const struct bench *bench = *state;
	size_t size = strlen(bench->text);
	char *bent = must_alloc(size + 2);

	for (size_t i = 0; i <= size; i += i + 200 < size ? 97 : 1) {
		memcpy(bent, bench->text, i);
		if (i < size)
			memcpy(bent + i, bench->text + i + 1, size - i - 1);
		if (i < size && holds(bent, size - 1))
			fail_msg("byte %zu taken out", i);
		memcpy(bent, bench->text, i);
		bent[i] = i % 2 ? ' ' : '\n';
		memcpy(bent + i + 1, bench->text + i, size - i);
		if (holds(bent, size + 1))
			fail_msg("a blank before byte %zu", i);
		if (i < size && holds(bench->text, i))
			fail_msg("cut at %zu", i);
	}
	free(bent);
}

/* --- one who has the key ------------------------------------------------------------------- */

/* Signs whatever root says, as the installation would. */
static char *forge(struct bench *bench, const json_t *root)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)root);
	char statement[DISPUTE_STATEMENT_SIZE], signature[PERSONAL_SIGNATURE_SIZE];
	char *body, *part, *text;

	json_object_del(copy, "signature");
	body = json_dumps(copy, DISPUTE_DUMP_FLAGS);
	assert_non_null(body);
	part = must_format("%.*s,\n", (int)(strlen(body) - 2), body);
	dispute_statement(statement, part, strlen(part));
	assert_int_equal(personal_sign(signature, bench->house->keystore, KEYSTORE_INSTALLATION,
			     statement, strlen(statement)),
	    KEYSTORE_OK);
	text = must_format("%s" DISPUTE_TAIL_START "%s" DISPUTE_TAIL_END, part, signature);
	json_decref(copy);
	free(part);
	free(body);
	return text;
}

struct forgery {
	struct bench *bench;
	json_t *root;
	size_t tried;
};

static void try_forgery(struct forgery *forgery, const char *path)
{
	char *text = forge(forgery->bench, forgery->root);

	forgery->tried++;
	if (holds(text, strlen(text)))
		fail_msg("%s", path);
	free(text);
}

/* Every other value that a leaf may take. */
static json_t *other_leaf(const json_t *leaf, int which)
{
	const char *text = json_string_value(leaf);
	size_t length = text ? strlen(text) : 0;
	char *bent;
	json_t *out = NULL;

	if (which == 0)
		return json_is_null(leaf) ? json_string("t:") : json_null();
	if (json_is_boolean(leaf))
		return which == 1 ? json_boolean(!json_is_true(leaf)) : NULL;
	if (json_is_integer(leaf))
		return which > 3    ? NULL
		       : which == 1 ? json_integer(json_integer_value(leaf) + 1)
		       : which == 2 ? json_integer(json_integer_value(leaf) - 1)
				    : json_integer(-1);
	if (!text)
		return which == 1 ? json_string("i:1") : which == 2 ? json_string("") : NULL;
	bent = must_alloc(length + 2);
	memcpy(bent, text, length + 1);
	switch (which) {
	case 1: /* another last character */
		if (length > 0) {
			bent[length - 1] = bent[length - 1] == '0' ? '1' : '0';
			out = json_string(bent);
		}
		break;
	case 2: /* one more */
		memcpy(bent + length, "0", 2);
		out = json_string(bent);
		break;
	case 3: /* another spelling of the same hex */
		for (size_t i = 2; i < length; i++) {
			if (bent[i] >= 'a' && bent[i] <= 'f') {
				bent[i] = (char)(bent[i] - 'a' + 'A');
				out = json_string(bent);
				break;
			}
		}
		break;
	case 4:
		if (strncmp(text, "i:", 2) == 0)
			out = json_string("i:-9223372036854775808");
		break;
	case 5:
		if (strncmp(text, "i:", 2) == 0)
			out = json_string("i:9223372036854775807");
		break;
	case 6: /* another spelling of the same number */
		if (strncmp(text, "i:", 2) == 0)
			out = json_sprintf("i:0%s", text + 2);
		break;
	case 7: /* of another type */
		if (strncmp(text, "t:", 2) == 0)
			out = json_sprintf("b:%s", text + 2);
		break;
	case 8: /* the same text by its bytes */
		if (strncmp(text, "t:", 2) == 0) {
			char *hex = must_alloc(2 * length + 1);

			out = json_sprintf("x:%s", hex_encode(hex, text + 2, length - 2));
			free(hex);
		}
		break;
	default:
		break;
	}
	free(bent);
	if (!out && which < 8)
		return json_string("i:x"); /* another wrong one, so that the count goes on */
	return out;
}

static void forge_below(struct forgery *forgery, json_t *at, const char *path);

/* Without it; with another in its place; then what is inside it. */
static void forge_member(
    struct forgery *forgery, json_t *object, const char *name, const char *path)
{
	json_t *value = json_incref(json_object_get(object, name)), *all = json_copy(object);
	char *where = must_format("%s.%s", path, name);

	json_object_del(object, name);
	try_forgery(forgery, where);
	/* Back, in the order that was. */
	json_object_clear(object);
	json_object_update(object, all);
	if (json_is_object(value) || json_is_array(value)) {
		forge_below(forgery, value, where);
	} else {
		for (int which = 0; which <= 8; which++) {
			json_t *other = other_leaf(value, which);

			if (!other)
				continue;
			must(json_object_set_new(object, name, other) == 0);
			try_forgery(forgery, where);
			must(json_object_set(object, name, value) == 0);
		}
	}
	json_decref(all);
	json_decref(value);
	free(where);
}

static void forge_element(struct forgery *forgery, json_t *array, size_t i, const char *path)
{
	json_t *value = json_incref(json_array_get(array, i));
	char *where = must_format("%s[%zu]", path, i);

	json_array_remove(array, i);
	try_forgery(forgery, where);
	must(json_array_insert(array, i, value) == 0);
	must(json_array_insert(array, i, value) == 0);
	try_forgery(forgery, where);
	json_array_remove(array, i);
	if (i > 0 && !json_equal(json_array_get(array, i - 1), value)) {
		json_array_remove(array, i);
		must(json_array_insert(array, i - 1, value) == 0);
		try_forgery(forgery, where);
		json_array_remove(array, i - 1);
		must(json_array_insert(array, i, value) == 0);
	}
	if (json_is_object(value) || json_is_array(value)) {
		forge_below(forgery, value, where);
	} else {
		for (int which = 0; which <= 8; which++) {
			json_t *other = other_leaf(value, which);

			if (!other)
				continue;
			must(json_array_set_new(array, i, other) == 0);
			try_forgery(forgery, where);
			must(json_array_set(array, i, value) == 0);
		}
	}
	json_decref(value);
	free(where);
}

static void forge_below(struct forgery *forgery, json_t *at, const char *path)
{
	if (json_is_object(at)) {
		size_t count = json_object_size(at), i = 0;
		const char **names = must_calloc(count + 1, sizeof *names);
		const char *name;
		json_t *value;

		json_object_foreach (at, name, value)
			names[i++] = must_strdup(name);
		/* One more than there should be. */
		must(json_object_set_new(at, "more", json_null()) == 0);
		try_forgery(forgery, path);
		json_object_del(at, "more");
		for (i = 0; i < count; i++) {
			forge_member(forgery, at, names[i], path);
			free((char *)(uintptr_t)names[i]);
		}
		free(names);
		return;
	}
	for (size_t i = 0; i < json_array_size(at); i++)
		forge_element(forgery, at, i, path);
}

/* Whoever has the key can sign anything; but rows hang on anchors that were signed before, and
 * facts on rows. Each member, element and leaf is changed alone, and signed again. */
static void every_member_counts(void **state)
{
	struct bench *bench = *state;
	struct forgery forgery = {.bench = bench, .root = parse(bench->text)};
	char *text;

	json_object_del(forgery.root, "signature");
	text = forge(bench, forgery.root);
	assert_string_equal(text, bench->text);
	free(text);
	forge_below(&forgery, forgery.root, "");
	/* Nothing was left changed, and all of it was reached. */
	text = forge(bench, forgery.root);
	assert_string_equal(text, bench->text);
	free(text);
	assert_true(forgery.tried > 3000);
	json_decref(forgery.root);
}

/* Rows of another call slipped in, with their own true paths. */
static void rows_of_others_do_not_belong(void **state)
{
	struct bench *bench = *state;
	json_t *root = parse(bench->text), *rows = json_object_get(root, "rows"), *row;
	char *other = make(bench, bench->cut_off), *text;
	json_t *other_root = parse(other);
	size_t i, j, tried = 0;

	json_array_foreach (json_object_get(other_root, "rows"), i, row) {
		bool journal = json_object_get(row, "postings") != NULL;
		json_int_t number = json_integer_value(json_object_get(row, "number"));

		/* Where its number has its place. */
		for (j = 0; j < json_array_size(rows); j++) {
			json_t *here = json_array_get(rows, j);
			bool here_journal = json_object_get(here, "postings") != NULL;
			json_int_t its = json_integer_value(json_object_get(here, "number"));

			if ((journal && !here_journal) ||
			    (journal == here_journal && its >= number))
				break;
		}
		if (json_equal(json_array_get(rows, j), row))
			continue; /* agent, tool and token are the same */
		must(json_array_insert(rows, j, row) == 0);
		text = forge(bench, root);
		assert_problem(text, strlen(text), NULL, "rows: ");
		tried++;
		free(text);
		json_array_remove(rows, j);
	}
	assert_true(tried >= 2);
	json_decref(other_root);
	json_decref(root);
	free(other);
}

/* --- pins and copies ----------------------------------------------------------------------- */

static void pins_and_copies(void **state)
{
	struct bench *bench = *state;
	struct dispute_options options = {.installation = PAYEE};
	char text[ADDRESS_TEXT_SIZE], *kept = file_path(bench->dir, "kept");
	char *anchors = file_path(bench->dir, "anchors"), *lines, *at;
	struct address address;
	json_t *report;
	size_t size;

	assert_problem(bench->text, strlen(bench->text), &options, "installation: ");
	assert_true(anchors_installation(&address, bench->house->anchors));
	options.installation = address_format(text, &address);
	options.anchors = kept;
	assert_problem(bench->text, strlen(bench->text), &options, "is not there");
	lines = file_read(&size, anchors, 1u << 20);
	assert_non_null(lines);
	assert_true(file_replace(kept, lines, size, 0600));
	report = report_of(bench->text, strlen(bench->text), &options);
	assert_true(json_is_true(json_object_get(report, "ok")));
	json_decref(report);
	assert_true(file_replace(kept, "", 0, 0600));
	assert_problem(bench->text, strlen(bench->text), &options, "is not in ");
	/* The same anchors, but of another history: one digit of a root. */
	at = strstr(lines, "\"root\":\"") + 8;
	*at = *at == '1' ? '2' : '1';
	assert_true(file_replace(kept, lines, size, 0600));
	assert_problem(bench->text, strlen(bench->text), &options, "has rewritten its history");
	options.anchors = bench->dir;
	assert_problem(bench->text, strlen(bench->text), &options, "is no file of anchors");
	free(lines);
	free(anchors);
	free(kept);
}

/* --- what is no bundle at all ------------------------------------------------------------------
 */

static char *nested(size_t depth)
{
	char *text = must_alloc(2 * depth + 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return text;
}

static void rubbish_is_refused(void **state)
{
	static const char *const texts[] = {"", " ", "{", "{}", "[]", "null", "1", "\"x\"", "\xff",
	    "{\"format\":\"tallyward-dispute-1\"}", "{\"format\":\"tallyward-dispute-2\"}",
	    "{\"format\":1}", "{\"format\":\"tallyward-dispute-1\",\"format\":1}"};
	const struct bench *bench = *state;
	char *deep = nested(6000), *large;
	json_t *report;

	for (size_t i = 0; i < COUNT(texts); i++)
		row_check(texts[i], !holds(texts[i], strlen(texts[i])));
	assert_false(holds("\0\0", 2));
	assert_problem(deep, strlen(deep), NULL, "form: ");
	large = must_calloc(DISPUTE_SIZE_MAX + 1, 1);
	assert_problem(large, DISPUTE_SIZE_MAX + 1, NULL, "larger than");
	memset(large, '[', DISPUTE_MARKS_MAX + 1);
	assert_problem(large, DISPUTE_MARKS_MAX + 1, NULL, "more values in it");
	free(large);
	free(deep);
	/* Random bytes inside a good one. */
	for (unsigned seed = 1; seed < 200; seed++) {
		char *bent = must_strdup(bench->text);
		size_t size = strlen(bent), at = (size_t)seed * 7919 % (size - 40);

		bytes_random(bent + at, 1 + seed % 32);
		row_check(
		    "random bytes", memcmp(bent, bench->text, size) == 0 || !holds(bent, size));
		free(bent);
	}
	report = report_of("{}", 2, NULL);
	assert_true(json_is_null(json_object_get(report, "call")));
	assert_true(json_is_null(json_object_get(report, "facts")));
	json_decref(report);
}

/* More of anything than a bundle may have, well signed. */
static void counts_are_bounded(void **state)
{
	struct bench *bench = *state;
	json_t *root = parse(bench->text), *rows = json_object_get(root, "rows");
	json_t *row = json_array_get(rows, 0), *path = json_object_get(row, "path"), *postings;
	char *text;

	for (size_t i = json_array_size(path); i <= MERKLE_PATH_MAX; i++)
		must(
		    json_array_append_new(path,
			json_string("00000000000000000000000000000000000000000000000000000000000000"
				    "00")) == 0);
	text = forge(bench, root);
	assert_problem(text, strlen(text), NULL, "rows[0] is not in the form of a row");
	free(text);
	json_array_clear(path);
	postings = json_object_get(row, "postings");
	for (size_t i = 0; i <= DISPUTE_POSTINGS_MAX; i++)
		must(json_array_append(postings, json_array_get(postings, 0)) == 0);
	text = forge(bench, root);
	assert_problem(text, strlen(text), NULL, "rows[0] is not in the form of a row");
	free(text);
	for (size_t i = json_array_size(rows); i <= PROOF_ROWS_MAX; i++)
		must(json_array_append(rows, row) == 0);
	text = forge(bench, root);
	assert_problem(text, strlen(text), NULL, "rows: from 1 to 1024");
	free(text);
	json_array_clear(rows);
	text = forge(bench, root);
	assert_problem(text, strlen(text), NULL, "rows: from 1 to 1024");
	free(text);
	json_decref(root);
}

/* --- a ledger that cannot be shown --------------------------------------------------------------
 */

/* What does not verify is not given out: here the newest anchor says something else. */
static void a_tampered_anchor_file_is_said(void **state)
{
	struct bench *bench = *state;
	char *path = file_path(bench->dir, "anchors"), *text, *at;
	char reason[DISPUTE_REASON_SIZE] = "", *made = NULL;
	size_t size;

	text = file_read(&size, path, 1u << 20);
	assert_non_null(text);
	at = strstr(text, "\"signature\":\"0x");
	at[16] = at[16] == '1' ? '2' : '1';
	assert_true(file_replace(path, text, size, 0600));
	assert_int_equal(
	    dispute_make(&made, reason, bench->house, bench->paid, clock_now_us()), DISPUTE_FAILED);
	assert_non_null(strstr(reason, "does not hold: anchors: "));
	at[16] = at[16] == '1' ? '2' : '1';
	at = strstr(text, "\"root\":\"");
	at[8] = at[8] == '1' ? '2' : '1';
	assert_true(file_replace(path, text, size, 0600));
	assert_int_equal(
	    dispute_make(&made, reason, bench->house, bench->paid, clock_now_us()), DISPUTE_FAILED);
	assert_non_null(strstr(reason, "are not those that were anchored"));
	assert_null(made);
	free(text);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_paid_call),
	    cmocka_unit_test(the_call_that_asked_again),
	    cmocka_unit_test(calls_without_a_payment),
	    cmocka_unit_test(a_call_a_crash_cut_off),
	    cmocka_unit_test(a_token_the_owner_added),
	    cmocka_unit_test(a_policy_that_changed_meanwhile),
	    cmocka_unit_test(calls_that_never_were),
	    cmocka_unit_test(every_byte_counts),
	    cmocka_unit_test(every_length_counts),
	    cmocka_unit_test(every_member_counts),
	    cmocka_unit_test(rows_of_others_do_not_belong),
	    cmocka_unit_test(pins_and_copies),
	    cmocka_unit_test(rubbish_is_refused),
	    cmocka_unit_test(counts_are_bounded),
	    cmocka_unit_test(a_tampered_anchor_file_is_said),
	};

	return cmocka_run_group_tests(tests, bench_make, bench_remove);
}
