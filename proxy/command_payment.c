/* Payments: what was signed, what became of it, and the owner's word on it. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "proxy/answer.h"
#include "proxy/booking.h"
#include "proxy/view.h"

/* A payment may still be mined a little after validBefore has passed on our clock. */
#define EXPIRY_MARGIN_S 60

static const char *payment_state_word(const struct payment_row *row, int64_t now_us)
{
	switch (row->state) {
	case PAYMENT_SIGNED:
		return "signed";
	case PAYMENT_OPEN:
		return row->valid_before_s < now_us / CLOCK_US_PER_S ? "expired" : "open";
	case PAYMENT_SETTLED:
		return "settled";
	case PAYMENT_EXPIRED_UNUSED:
		return "expired";
	case PAYMENT_RESOLVED_SPENT:
	case PAYMENT_RESOLVED_UNUSED:
		return "resolved";
	case PAYMENT_CANCELLED:
		return "cancelled";
	}
	return "open";
}

static bool was_spent(enum payment_state state)
{
	return state == PAYMENT_SETTLED || state == PAYMENT_RESOLVED_SPENT;
}

static json_t *payment_json(struct house *house, const struct payment_row *row, int64_t now_us)
{
	json_t *json = json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:s?}",
	    "payment", view_id(row->id), "call", view_id(row->call), "agent", row->agent_name,
	    "tool", row->tool, "state", payment_state_word(row, now_us), "amount",
	    view_amount(row->amount), "payee", row->payee, "network", row->network, "nonce",
	    row->nonce, "valid_before", view_time(row->valid_before_s * CLOCK_US_PER_S),
	    "transaction", row->transaction);
	int64_t refunded = 0;

	/* Only what was spent can come back, so only that is asked for. */
	if (was_spent(row->state) && store_refunded(house->store, row->id, &refunded) != STORE_OK)
		json_object_set_new(json, "refunded", json_null());
	else
		json_object_set_new(json, "refunded", view_amount(refunded));
	return json;
}

struct payments {
	struct command *command;
	json_t *rows;
	json_t *flags; /* what the chain contradicts: words by payment */
};

static bool take_dispute(const struct evidence_row *row, void *arg)
{
	if (row->kind == EVIDENCE_DISAGREES)
		json_object_set_new(arg, "flag", json_string(row->detail ? row->detail : ""));
	return true;
}

static bool take_flagged(const struct payment_row *row, void *arg)
{
	struct payments *payments = arg;
	json_t *last = json_object();
	char id[24];

	snprintf(id, sizeof id, "%lld", (long long)row->id);
	if (store_evidence(payments->command->house->store, row->id, take_dispute, last) ==
	    STORE_OK)
		json_object_set(payments->flags, id, json_object_get(last, "flag"));
	json_decref(last);
	return true;
}

static bool list_payment(const struct payment_row *row, void *arg)
{
	struct payments *payments = arg;
	json_t *json = payment_json(payments->command->house, row, payments->command->now_us);
	char id[24];

	snprintf(id, sizeof id, "%lld", (long long)row->id);
	if (json_object_get(payments->flags, id))
		json_object_set(json, "flag", json_object_get(payments->flags, id));
	json_array_append_new(payments->rows, json);
	return true;
}

static json_t *payment_list(struct command *command)
{
	struct payments payments = {command, json_array(), json_object()};
	struct store *store = command->house->store;
	struct agent *agent = NULL;
	json_t *reply = NULL;

	if (json_str(command->args, "agent"))
		agent = command_agent(command, &reply);
	if (!reply &&
	    store_disputed(store, agent ? agent->id : 0, take_flagged, &payments) == STORE_OK &&
	    store_payments(store, agent ? agent->id : 0,
		json_is_true(json_member(command->args, "open")), list_payment,
		&payments) == STORE_OK)
		reply = answer_ok(json_incref(payments.rows));
	if (!reply)
		reply = answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	json_decref(payments.rows);
	json_decref(payments.flags);
	return reply;
}

/* What outlives the query's callback. */
struct payment_found {
	struct house *house;
	int64_t now_us;
	json_t *json;
	struct payment_row row;
	char *tool, *session, *network, *asset, *symbol, *payee;
};

static bool find_payment(const struct payment_row *row, void *arg)
{
	struct payment_found *found = arg;
	struct address payee;
	char digest[2 * DIGEST_SIZE + 1], lower[ADDRESS_TEXT_SIZE];

	found->row = *row;
	found->tool = must_strdup(row->tool);
	found->session = must_strdup(row->session);
	found->network = must_strdup(row->network);
	found->asset = must_strdup(row->asset);
	found->symbol = must_strdup(row->symbol);
	found->payee = address_parse(&payee, row->payee)
			   ? must_strdup(address_format_lower(lower, &payee))
			   : must_strdup(row->payee);
	found->json = payment_json(found->house, row, found->now_us);
	json_object_set_new(found->json, "asset", json_string(row->asset));
	json_object_set_new(found->json, "symbol", json_string(row->symbol));
	json_object_set_new(found->json, "value", json_string(row->value));
	json_object_set_new(found->json, "payer", json_string(row->payer));
	json_object_set_new(found->json, "session", json_string(row->session));
	json_object_set_new(found->json, "method", json_string(row->method));
	json_object_set_new(found->json, "url", json_string(row->url));
	json_object_set_new(found->json, "request_digest",
	    json_string(hex_encode(digest, row->request.bytes, DIGEST_SIZE)));
	json_object_set_new(found->json, "header_name", json_string(row->header_name));
	json_object_set_new(
	    found->json, "reason", row->reason ? json_string(row->reason) : json_null());
	json_object_set_new(
	    found->json, "challenge", row->challenge ? json_string(row->challenge) : json_null());
	json_object_set_new(found->json, "offer", view_offer(row));
	json_object_set_new(found->json, "receipt", view_receipt(found->house, row));
	return false;
}

static void payment_found_fini(struct payment_found *found)
{
	free(found->tool);
	free(found->session);
	free(found->network);
	free(found->asset);
	free(found->symbol);
	free(found->payee);
	json_decref(found->json);
}

static bool load_payment(struct payment_found *found, struct command *command, json_t **error)
{
	int64_t id;

	memset(found, 0, sizeof *found);
	found->house = command->house;
	found->now_us = command->now_us;
	if (!command_id(&id, command, error, "payment"))
		return false;
	switch (store_payment(command->house->store, id, find_payment, found)) {
	case STORE_OK:
		return true;
	case STORE_NOT_FOUND:
		*error = answer_error(COMMAND_NOT_FOUND,
		    "there is no payment %lld: `tallyward payment list` names them", (long long)id);
		return false;
	case STORE_LOCKED:
	case STORE_NEWER_SCHEMA:
	case STORE_EXISTS:
	case STORE_BROKEN:
	case STORE_TOO_LONG:
		break;
	}
	*error = answer_error(COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	return false;
}

static const char *stored_state(enum payment_state state)
{
	switch (state) {
	case PAYMENT_SIGNED:
		return "signed";
	case PAYMENT_OPEN:
		return "open";
	case PAYMENT_SETTLED:
		return "settled";
	case PAYMENT_RESOLVED_SPENT:
		return "resolved as spent";
	case PAYMENT_RESOLVED_UNUSED:
		return "resolved as unused";
	case PAYMENT_EXPIRED_UNUSED:
		return "expired unused";
	case PAYMENT_CANCELLED:
		return "cancelled";
	}
	return "unknown";
}

static bool list_state(const struct payment_state_row *row, void *arg)
{
	json_array_append_new(
	    arg, json_pack("{s:o, s:s, s:s, s:s?, s:s?, s:s?}", "time", view_time(row->id), "state",
		     stored_state(row->state), "by", row->by, "reason", row->reason, "transaction",
		     row->transaction, "receipt", row->receipt));
	return true;
}

static bool list_evidence(const struct evidence_row *row, void *arg)
{
	json_array_append_new(
	    arg, json_pack("{s:o, s:s, s:I, s:s?, s:o, s:s?, s:I, s:I, s:s?}", "time",
		     view_time(row->id), "kind", evidence_kind_str(row->kind), "block",
		     (json_int_t)row->block, "block_hash", row->block_hash, "block_time",
		     view_time(row->block_s * CLOCK_US_PER_S), "transaction", row->transaction,
		     "log_index", (json_int_t)row->log_index, "endpoints",
		     (json_int_t)row->endpoints, "detail", row->detail));
	return true;
}

static void add_evidence(struct house *house, json_t *json, int64_t payment)
{
	json_t *evidence = json_array();
	struct booking booking;

	if (store_evidence(house->store, payment, list_evidence, evidence) == STORE_OK)
		json_object_set(json, "evidence", evidence);
	json_decref(evidence);
	if (booking_load(&booking, house, payment) != STORE_OK)
		return;
	if (booking.dispute.id)
		json_object_set_new(json, "flag", json_string(booking.dispute.detail));
	booking_fini(&booking);
}

static json_t *payment_show(struct command *command)
{
	struct payment_found found;
	json_t *reply = NULL, *states = json_array();

	if (load_payment(&found, command, &reply)) {
		if (store_payment_states(command->house->store, found.row.id, list_state, states) ==
		    STORE_OK)
			json_object_set(found.json, "states", states);
		add_evidence(command->house, found.json, found.row.id);
		reply = answer_ok(json_incref(found.json));
	}
	json_decref(states);
	payment_found_fini(&found);
	return reply;
}

/* A settled payment is decided again only when the chain contradicts it, and nothing of it
 * has come back. */
static json_t *refuse_undoing(struct command *command, const struct payment_row *row, bool unused)
{
	struct booking booking;
	int64_t refunded = 0;
	bool flagged;

	if (booking_load(&booking, command->house, row->id) != STORE_OK ||
	    store_refunded(command->house->store, row->id, &refunded) != STORE_OK)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	flagged = booking.dispute.id != 0;
	booking_fini(&booking);
	if (!flagged || !unused)
		return answer_error(COMMAND_NOT_ALLOWED, "this payment has ended already: it is %s",
		    payment_state_word(row, command->now_us));
	if (refunded > 0)
		return answer_error(COMMAND_NOT_ALLOWED,
		    "the seller has paid back some of this payment, so he had it");
	return NULL;
}

/* May the owner decide this, and decide it this way, now? */
static json_t *refuse_resolving(
    struct command *command, const struct payment_row *row, bool unused, bool force)
{
	int64_t now_s = command->now_us / CLOCK_US_PER_S;
	json_t *refused = NULL;

	switch (row->state) {
	case PAYMENT_OPEN:
		break;
	case PAYMENT_SIGNED:
		return answer_error(COMMAND_NOT_ALLOWED,
		    "the call of this payment is still in flight: try again when it has ended");
	case PAYMENT_SETTLED:
	case PAYMENT_RESOLVED_SPENT:
		refused = refuse_undoing(command, row, unused);
		break;
	case PAYMENT_RESOLVED_UNUSED:
	case PAYMENT_EXPIRED_UNUSED:
	case PAYMENT_CANCELLED:
		return answer_error(COMMAND_NOT_ALLOWED, "this payment has ended already: it is %s",
		    payment_state_word(row, command->now_us));
	}
	if (!refused && unused && !force && now_s < row->valid_before_s + EXPIRY_MARGIN_S)
		return answer_error(COMMAND_NOT_ALLOWED,
		    "the seller can still cash this payment for %lld seconds: wait, or add --force "
		    "if "
		    "you know that it will not",
		    (long long)(row->valid_before_s + EXPIRY_MARGIN_S - now_s));
	return refused;
}

static bool transaction_valid(const char *text)
{
	uint8_t bytes[32];

	return !text || (strncmp(text, "0x", 2) == 0 && hex_decode(bytes, sizeof bytes, text));
}

/* spent → open first, when the chain has contradicted the receipt. */
static void write_undoing(struct house *house, struct batch *batch,
    const struct journal_row *decision, int64_t payment, int64_t now_us)
{
	static const char words[] = "the chain contradicts its end";
	struct journal_row journal = *decision;

	journal.event = JOURNAL_REOPEN;
	journal.from_spent = true;
	journal.transaction = NULL;
	journal.note = words;
	batch_payment_state(batch, &(struct payment_state_row){
				       .id = store_next_id(house->store, now_us),
				       .payment = payment,
				       .state = PAYMENT_OPEN,
				       .reason = words,
				       .by = "chain",
				   });
	batch_journal(batch, &journal);
}

/* The rows of the owner's word, durable or not. */
static json_t *write_decision(
    struct command *command, const struct payment_found *found, struct agent *agent, bool unused)
{
	const struct payment_row *row = &found->row;
	const char *note = command_text_or(command, "note", "the owner's decision");
	struct journal_row journal = {
	    .event = unused ? JOURNAL_REFUND : JOURNAL_SETTLE,
	    .call = row->call,
	    .payment = row->id,
	    .agent = row->agent,
	    .agent_name = agent->name,
	    .owner = agent->owner,
	    .tool = found->tool,
	    .amount = row->amount,
	    .network = found->network,
	    .asset = found->asset,
	    .symbol = found->symbol,
	    .transaction = command_text_or(command, "transaction", NULL),
	    .note = note,
	};
	struct batch *batch = batch_new(command->now_us);

	if (was_spent(row->state))
		write_undoing(command->house, batch, &journal, row->id, command->now_us);
	batch_payment_state(
	    batch, &(struct payment_state_row){
		       .id = store_next_id(command->house->store, command->now_us),
		       .payment = row->id,
		       .state = unused ? PAYMENT_RESOLVED_UNUSED : PAYMENT_RESOLVED_SPENT,
		       .transaction = journal.transaction,
		       .reason = note,
		       .by = "owner",
		   });
	batch_journal(batch, &journal);
	return command_write_payment(
	    command, &batch, "payment resolve", agent, found->tool, note, row->id);
}

static void move_decided(
    struct house *house, const struct payment_found *found, struct agent *agent, bool unused)
{
	const struct payment_row *row = &found->row;
	bool moved = true;
	unsigned slot;

	must(house_slot_of(&slot, house, found->network, found->asset));
	/* Without the lock; if it cannot be read what is booked is booked (ledger/purse.h). */
	(void)!purse_recall(agent->purse);
	purses_lock(house->purses);
	if (was_spent(row->state))
		moved = purse_reopen(
		    agent->purse, slot, row->amount, true, NULL, NULL, NULL, row->call);
	if (moved && unused)
		purse_refund(agent->purse, slot, row->amount, found->session, found->tool,
		    found->payee, row->call);
	else if (moved)
		purse_settle(agent->purse, slot, row->amount);
	purses_unlock(house->purses);
	outstanding_remove(house->outstanding, row->id);
	reserve_retry(house->purses, agent);
}

static json_t *resolve(struct command *command, struct payment_found *found, bool unused)
{
	struct house *house = command->house;
	const struct payment_row *row = &found->row;
	struct agent *agent = registry_agent_by_id(house->registry, row->agent);
	const char *transaction = command_text_or(command, "transaction", NULL);
	enum watch_doubt doubt;
	unsigned slot;
	json_t *error;

	must(house_slot_of(&slot, house, found->network, found->asset));
	if (!watch_begin(&doubt, house->watch, row->id, assets_at(house->assets, slot - 1)))
		return answer_error(
		    COMMAND_FAILED, "what the chain says of it is being booked: look again");
	error = write_decision(command, found, agent, unused);
	if (!error)
		move_decided(house, found, agent, unused);
	/* What is given back on a word is asked about until the chain has said so too. */
	watch_end(house->watch, row->id, error ? doubt : WATCH_SURE, !error && unused);
	if (error)
		return error;
	json_object_set_new(found->json, "state", json_string("resolved"));
	json_object_set_new(found->json, "decision", json_string(unused ? "unused" : "settled"));
	json_object_set_new(found->json, "reason",
	    json_string(command_text_or(command, "note", "the owner's decision")));
	if (transaction)
		json_object_set_new(found->json, "transaction", json_string(transaction));
	return answer_ok(json_incref(found->json));
}

static json_t *payment_resolve(struct command *command)
{
	json_t *reply = NULL;
	const char *decision = command_text(command, &reply, "decision");
	bool force = json_is_true(json_member(command->args, "force")), unused;
	struct payment_found found;

	if (!decision)
		return reply;
	unused = strcmp(decision, "unused") == 0;
	if (!unused && strcmp(decision, "settled") != 0)
		return answer_error(COMMAND_USAGE, "say --settled or --unused");
	if (!transaction_valid(json_str(command->args, "transaction")))
		return answer_error(COMMAND_USAGE, "a transaction is 0x and 64 hex digits");
	if (load_payment(&found, command, &reply)) {
		reply = refuse_resolving(command, &found.row, unused, force);
		if (!reply)
			reply = resolve(command, &found, unused);
	}
	payment_found_fini(&found);
	return reply;
}

/* --- the seller paid back ------------------------------------------------------- */

struct refund_search {
	const char *transaction;
	bool found;
};

static bool compare_refund(const struct journal_row *row, void *arg)
{
	struct refund_search *search = arg;

	search->found = row->event == JOURNAL_REFUND && row->from_spent && row->transaction &&
			strcasecmp(row->transaction, search->transaction) == 0;
	return !search->found;
}

static bool compare_evidence(const struct evidence_row *row, void *arg)
{
	struct refund_search *search = arg;

	search->found = row->kind == EVIDENCE_REFUND && row->transaction &&
			strcasecmp(row->transaction, search->transaction) == 0;
	return !search->found;
}

/* Has this transaction been booked for this payment already, by the owner or by the chain? */
static bool booked_already(
    struct command *command, json_t **error, const struct payment_row *row, const char *transaction)
{
	struct store *store = command->house->store;
	struct refund_search search = {.transaction = transaction};

	if (!transaction)
		return false;
	if (store_journal_of_payment(store, row->id, compare_refund, &search) != STORE_OK ||
	    (!search.found &&
		store_evidence(store, row->id, compare_evidence, &search) != STORE_OK)) {
		*error = answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
		return true;
	}
	if (search.found)
		*error = answer_error(COMMAND_NOT_ALLOWED,
		    "the refund in %s has been booked for this payment already", transaction);
	return search.found;
}

/* May this much be booked as paid back now? *refunded: what was before. */
static json_t *refuse_refund(int64_t *refunded, struct command *command,
    const struct payment_row *row, int64_t amount, const char *transaction)
{
	char left[AMOUNT_TEXT_SIZE];
	json_t *error = NULL;

	if (!was_spent(row->state))
		return answer_error(COMMAND_NOT_ALLOWED,
		    "only what was spent can be paid back, and this payment is %s%s",
		    payment_state_word(row, command->now_us),
		    row->state == PAYMENT_OPEN || row->state == PAYMENT_SIGNED
			? ": resolve it first"
			: "");
	if (amount <= 0)
		return answer_error(COMMAND_USAGE, "a refund is more than nothing");
	if (booked_already(command, &error, row, transaction))
		return error;
	if (store_refunded(command->house->store, row->id, refunded) != STORE_OK)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	if (amount > row->amount - *refunded)
		return answer_error(COMMAND_NOT_ALLOWED,
		    "at most $%s of this payment can still be paid back",
		    amount_format(left, amount_of(row->amount - *refunded)));
	return NULL;
}

static json_t *book_refund(
    struct command *command, struct payment_found *found, int64_t refunded, int64_t amount)
{
	struct house *house = command->house;
	const struct payment_row *row = &found->row;
	struct agent *agent = registry_agent_by_id(house->registry, row->agent);
	struct journal_row journal = {
	    .event = JOURNAL_REFUND,
	    .call = row->call,
	    .payment = row->id,
	    .agent = row->agent,
	    .agent_name = agent->name,
	    .owner = agent->owner,
	    .tool = found->tool,
	    .amount = amount,
	    .network = found->network,
	    .asset = found->asset,
	    .symbol = found->symbol,
	    .transaction = command_text_or(command, "transaction", NULL),
	    .note = command_text_or(command, "note", "the seller paid back"),
	    .from_spent = true,
	};
	struct batch *batch = batch_new(command->now_us);
	unsigned slot;
	json_t *error;

	must(house_slot_of(&slot, house, found->network, found->asset));
	batch_journal(batch, &journal);
	error = command_write_payment(
	    command, &batch, "payment refund", agent, found->tool, journal.note, row->id);
	if (error)
		return error;
	purses_lock(house->purses);
	purse_pay_back(agent->purse, slot, amount);
	purses_unlock(house->purses);
	reserve_retry(house->purses, agent);
	json_object_set_new(found->json, "refunded", view_amount(refunded + amount));
	return answer_ok(json_incref(found->json));
}

static json_t *payment_refund(struct command *command)
{
	const char *transaction = json_str(command->args, "transaction");
	int64_t amount, refunded = 0;
	struct payment_found found;
	json_t *reply = NULL;

	if (!command_amount(&amount, command, &reply, "amount"))
		return reply;
	if (!transaction_valid(transaction))
		return answer_error(COMMAND_USAGE, "a transaction is 0x and 64 hex digits");
	if (load_payment(&found, command, &reply)) {
		reply = refuse_refund(&refunded, command, &found.row, amount, transaction);
		if (!reply)
			reply = book_refund(command, &found, refunded, amount);
	}
	payment_found_fini(&found);
	return reply;
}

json_t *command_payment(struct command *command, const char *name)
{
	static const struct {
		const char *name;
		json_t *(*run)(struct command *command);
	} verbs[] = {
	    {"payment.list", payment_list},
	    {"payment.show", payment_show},
	    {"payment.resolve", payment_resolve},
	    {"payment.refund", payment_refund},
	    {"payment.cancel", payment_cancel},
	};

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run(command);
	}
	return NULL;
}
