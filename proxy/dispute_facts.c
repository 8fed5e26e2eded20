/* What a call was, told from the rows about it. Nothing here reads anything but the rows: no
 * clock, no configuration, no table that a later program may change. Words and members are
 * frozen with DISPUTE_FORMAT. */
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"
#include "proxy/delivery.h"
#include "proxy/dispute_rows.h"
#include "proxy/view.h"
#include "wallet/offer.h"

/* audit.detail, as calls write it. */
#define DETAIL_SIZE_MAX (1024u * 1024u)

static void set(json_t *object, const char *name, json_t *value)
{
	must(json_object_set_new(object, name, value) == 0);
}

static json_t *text(const struct dispute_row *row, const char *column)
{
	const char *value = row ? dispute_text(row, column) : NULL;

	return value ? json_string(value) : json_null();
}

static json_t *given_text(const char *value)
{
	return value ? json_string(value) : json_null();
}

static json_t *number(const struct dispute_row *row, const char *column)
{
	return row && dispute_value(row, column)->type == VALUE_INT
		   ? json_integer(dispute_number(row, column))
		   : json_null();
}

static json_t *id(int64_t value)
{
	return value ? view_id(value) : json_null();
}

static json_t *id_of(const struct dispute_row *row, const char *column)
{
	return id(row ? dispute_number(row, column) : 0);
}

static json_t *time_of(const struct dispute_row *row, const char *column)
{
	return view_time(row ? dispute_number(row, column) : 0);
}

static json_t *time_of_s(const struct dispute_row *row, const char *column)
{
	int64_t s = dispute_number(row, column);

	/* Beyond any year that can be written: the number itself is in the row. */
	return s > 0 && s < INT64_C(253402300800) ? view_time(s * CLOCK_US_PER_S) : json_null();
}

static json_t *amount(const struct dispute_row *row, const char *column)
{
	return row && dispute_value(row, column)->type == VALUE_INT
		   ? view_amount(dispute_number(row, column))
		   : json_null();
}

static json_t *digest(const struct dispute_row *row, const char *column)
{
	const struct value *value = row ? dispute_value(row, column) : NULL;
	char hex[2 * DIGEST_SIZE + 1];

	if (!value || value->type != VALUE_BLOB || value->size != DIGEST_SIZE)
		return json_null();
	return json_string(hex_encode(hex, value->bytes, DIGEST_SIZE));
}

/* --- who, and what was in force -------------------------------------------------- */

static const struct dispute_row *only(const struct dispute *dispute, enum table table)
{
	return dispute_in_force(dispute, table, NULL, INT64_MAX);
}

static json_t *policy_at(const struct dispute *dispute, int64_t at_us)
{
	const struct dispute_row *row = dispute_policy_at(dispute, at_us);
	json_t *json;

	if (!row)
		return json_null();
	json = json_object();
	set(json, "of", json_string(row->table == TABLE_POLICY ? "agent" : "default"));
	set(json, "since", view_time(row->values[0].number));
	set(json, "policy", text(row, "body"));
	return json;
}

static json_t *agent(const struct dispute *dispute, const struct dispute_subject *subject)
{
	const struct dispute_row *row = only(dispute, TABLE_AGENT);
	const struct dispute_row *address = only(dispute, TABLE_AGENT_ADDRESS);
	const struct dispute_row *token = only(dispute, TABLE_TOKEN);
	const struct dispute_row *revoked = only(dispute, TABLE_TOKEN_REVOKED);
	json_t *json = json_object();

	set(json, "agent", text(row, "name"));
	/* As it was then; the agent's row has the same, for an owner does not change. */
	set(json, "owner", text(subject->audit ? subject->audit : row, "owner"));
	set(json, "address", text(address ? address : row, "address"));
	set(json, "session", given_text(subject->session));
	set(json, "token_issued_at", view_time(token ? token->values[0].number : 0));
	set(json, "token_expires_at", token ? time_of_s(token, "expires_s") : json_null());
	set(json, "token_revoked_at", view_time(revoked ? revoked->values[0].number : 0));
	return json;
}

static json_t *tool(const struct dispute *dispute, const struct dispute_subject *subject)
{
	const struct dispute_row *row = only(dispute, TABLE_TOOL), *check = NULL;
	char *name = subject->tool ? delivery_check_name(subject->tool) : NULL;
	json_t *json = json_object();

	if (name)
		check = dispute_in_force(dispute, TABLE_SETTING, name, INT64_MAX);
	free(name);
	set(json, "tool", given_text(subject->tool));
	set(json, "url", text(row, "url"));
	set(json, "billing",
	    row ? json_string(dispute_number(row, "billing") == TOOL_METERED ? "metered" : "x402")
		: json_null());
	set(json, "declared_price", amount(row, "price"));
	set(json, "delivery_check", text(check, "body"));
	return json;
}

/* --- the call ----------------------------------------------------------------------- */

/* audit.detail is {"sent_at": […], "options": […]}; in older rows it is the options alone. */
static void add_detail(json_t *json, const struct dispute_row *audit)
{
	const char *words = audit ? dispute_text(audit, "detail") : NULL;
	struct json_error error;
	json_t *detail = words ? json_read(&error, words, strlen(words), DETAIL_SIZE_MAX) : NULL;
	json_t *options = json_is_array(detail) ? detail : json_object_get(detail, "options");
	json_t *sent_at = json_object_get(detail, "sent_at");

	set(json, "sent_at", json_is_array(sent_at) ? json_incref(sent_at) : json_array());
	set(json, "options", json_is_array(options) ? json_incref(options) : json_array());
	set(json, "detail", detail ? json_null() : given_text(words));
	json_decref(detail);
}

static json_t *request(const struct dispute *dispute, const struct dispute_row *audit)
{
	const struct dispute_row *payment = only(dispute, TABLE_PAYMENT);
	json_t *json = json_object();

	if (payment && dispute_number(payment, "call") != dispute->call)
		payment = NULL;
	set(json, "method", text(audit ? audit : payment, "method"));
	set(json, "path", text(audit, "path"));
	set(json, "url", text(payment, "url"));
	set(json, "bytes", number(audit, "request_bytes"));
	set(json, "sha256", payment ? digest(payment, "request") : digest(audit, "request_digest"));
	return json;
}

static json_t *decision(const struct dispute_row *audit)
{
	json_t *json = json_object();

	set(json, "allowed",
	    audit ? json_boolean(dispute_number(audit, "allowed") == 1) : json_null());
	set(json, "code", text(audit, "code"));
	set(json, "rule", text(audit, "rule"));
	set(json, "price", amount(audit, "price"));
	set(json, "payee", text(audit, "payee"));
	return json;
}

static json_t *answer(const struct dispute_row *audit)
{
	json_t *json = json_object();

	set(json, "status", number(audit, "status"));
	set(json, "upstream_status", number(audit, "upstream_status"));
	set(json, "bytes", number(audit, "response_bytes"));
	set(json, "sha256", digest(audit, "response_digest"));
	return json;
}

static json_t *times(const struct dispute_row *audit)
{
	json_t *json = json_object();

	set(json, "forwarded_at", time_of(audit, "forwarded_us"));
	set(json, "quoted_at", time_of(audit, "quoted_us"));
	set(json, "signed_at", time_of(audit, "signed_us"));
	set(json, "answered_at", time_of(audit, "answered_us"));
	set(json, "finished_at", time_of(audit, "finished_us"));
	return json;
}

/* --- payments --------------------------------------------------------------------------- */

static const char *state_word(int64_t state)
{
	static const char *const words[] = {
	    [PAYMENT_SIGNED] = "signed",
	    [PAYMENT_OPEN] = "open",
	    [PAYMENT_SETTLED] = "settled",
	    [PAYMENT_RESOLVED_SPENT] = "resolved_spent",
	    [PAYMENT_RESOLVED_UNUSED] = "resolved_unused",
	    [PAYMENT_EXPIRED_UNUSED] = "expired_unused",
	    [PAYMENT_CANCELLED] = "cancelled",
	};

	return state >= PAYMENT_SIGNED && state <= PAYMENT_CANCELLED ? words[state] : NULL;
}

static json_t *state(const struct dispute_row *row)
{
	json_t *json = json_object();

	set(json, "time", view_time(row->values[0].number));
	set(json, "state", given_text(state_word(dispute_number(row, "state"))));
	set(json, "by", text(row, "by"));
	set(json, "transaction", text(row, "tx"));
	set(json, "reason", text(row, "reason"));
	set(json, "receipt", text(row, "receipt"));
	return json;
}

static const char *evidence_word(int64_t kind)
{
	static const char *const words[] = {
	    [EVIDENCE_USED] = "used",
	    [EVIDENCE_CANCELLED] = "cancelled",
	    [EVIDENCE_UNUSED] = "unused",
	    [EVIDENCE_GONE] = "gone",
	    [EVIDENCE_DISAGREES] = "disagrees",
	    [EVIDENCE_REFUND] = "refund",
	};

	return kind >= EVIDENCE_USED && kind <= EVIDENCE_REFUND ? words[kind] : NULL;
}

static json_t *evidence(const struct dispute_row *row)
{
	json_t *json = json_object();

	set(json, "time", view_time(row->values[0].number));
	set(json, "chain_said", given_text(evidence_word(dispute_number(row, "kind"))));
	set(json, "network", text(row, "network"));
	set(json, "block", number(row, "block"));
	set(json, "block_hash", text(row, "block_hash"));
	set(json, "block_time", time_of_s(row, "block_s"));
	set(json, "transaction", text(row, "tx"));
	set(json, "log_index", number(row, "log_index"));
	set(json, "endpoints", number(row, "endpoints"));
	set(json, "detail", text(row, "detail"));
	return json;
}

/* Of a payment, oldest first. */
static json_t *of_payment(const struct dispute *dispute, enum table table, int64_t payment,
    json_t *(*one)(const struct dispute_row *row))
{
	json_t *list = json_array();

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table == table && dispute_number(row, "payment") == payment)
			must(json_array_append_new(list, one(row)) == 0);
	}
	return list;
}

/* The latest row of a payment that has text in a column; NULL: none. */
static const struct dispute_row *latest_with(
    const struct dispute *dispute, int64_t payment, const char *column)
{
	const struct dispute_row *found = NULL;

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table == TABLE_PAYMENT_STATE &&
		    dispute_number(row, "payment") == payment && dispute_text(row, column))
			found = row;
	}
	return found;
}

/* What of it does not change with the program: the verdict, not its words. */
static json_t *verdict(const struct offer_verdict *said)
{
	char signer[ADDRESS_TEXT_SIZE];

	return json_pack("{s:s, s:s?}", "state", offer_state_str(said->state), "signer",
	    said->has_signer ? address_format(signer, &said->signer) : NULL);
}

static bool read_paid(struct offer_paid *out, const struct dispute_row *payment)
{
	const char *network = dispute_text(payment, "network");

	*out = (struct offer_paid){.url = dispute_text(payment, "url"),
	    .signed_s = payment->values[0].number / CLOCK_US_PER_S};
	return out->url && network && network_parse(&out->chain_id, network) &&
	       address_parse(&out->asset, dispute_text(payment, "asset")) &&
	       address_parse(&out->payer, dispute_text(payment, "payer")) &&
	       address_parse(&out->payee, dispute_text(payment, "payee")) &&
	       uint256_parse(&out->value, dispute_text(payment, "value"));
}

static void add_verdicts(
    json_t *json, const struct dispute *dispute, const struct dispute_row *payment)
{
	const struct dispute_row *with_receipt =
	    latest_with(dispute, payment->values[0].number, "receipt");
	const struct dispute_row *with_transaction =
	    latest_with(dispute, payment->values[0].number, "tx");
	const char *challenge = dispute_text(payment, "challenge");
	struct offer_verdict offer = {.state = OFFER_ABSENT}, receipt = {.state = OFFER_ABSENT};
	struct offer_paid paid;

	if (read_paid(&paid, payment)) {
		offer_check(&offer, challenge ? challenge : "", &paid);
		if (with_transaction)
			paid.transaction = dispute_text(with_transaction, "tx");
		if (with_receipt) {
			paid.received_s = with_receipt->values[0].number / CLOCK_US_PER_S;
			offer_check_receipt(&receipt, dispute_text(with_receipt, "receipt"), &paid);
		}
	}
	set(json, "offer_signed_by_seller", verdict(&offer));
	set(json, "receipt_signed_by_seller", verdict(&receipt));
}

static json_t *payment(const struct dispute *dispute, const struct dispute_row *row)
{
	int64_t its = row->values[0].number;
	json_t *json = json_object();

	set(json, "payment", id(its));
	set(json, "call", id_of(row, "call"));
	set(json, "signed_at", view_time(its));
	set(json, "amount", amount(row, "amount"));
	set(json, "value", text(row, "value"));
	set(json, "network", text(row, "network"));
	set(json, "asset", text(row, "asset"));
	set(json, "symbol", text(row, "symbol"));
	set(json, "payer", text(row, "payer"));
	set(json, "payee", text(row, "payee"));
	set(json, "nonce", text(row, "nonce"));
	set(json, "valid_before", time_of_s(row, "valid_before_s"));
	set(json, "method", text(row, "method"));
	set(json, "url", text(row, "url"));
	set(json, "challenge", text(row, "challenge"));
	set(json, "header_name", text(row, "header_name"));
	set(json, "header_value", text(row, "header_value"));
	set(json, "states", of_payment(dispute, TABLE_PAYMENT_STATE, its, state));
	set(json, "chain_evidence", of_payment(dispute, TABLE_EVIDENCE, its, evidence));
	add_verdicts(json, dispute, row);
	return json;
}

static json_t *payments(const struct dispute *dispute)
{
	json_t *list = json_array();

	for (size_t i = 0; i < dispute->row_count; i++) {
		if (dispute->rows[i].table == TABLE_PAYMENT)
			must(json_array_append_new(list, payment(dispute, &dispute->rows[i])) == 0);
	}
	return list;
}

/* --- the books, and what else names the payment -------------------------------------------- */

static const char *event_word(int64_t event)
{
	static const char *const words[] = {
	    [JOURNAL_DEPOSIT] = "deposit",
	    [JOURNAL_WITHDRAW] = "withdraw",
	    [JOURNAL_SIGN] = "sign",
	    [JOURNAL_SETTLE] = "settle",
	    [JOURNAL_REFUND] = "refund",
	    [JOURNAL_HOLD] = "hold",
	    [JOURNAL_CHARGE] = "charge",
	    [JOURNAL_RELEASE] = "release",
	    [JOURNAL_REOPEN] = "reopen",
	};

	return event >= JOURNAL_DEPOSIT && event <= JOURNAL_REOPEN ? words[event] : NULL;
}

/* The account with the lower amount is left, the other entered: that is their order. */
static const char *side(const struct dispute_row *row, size_t index)
{
	return row->posting_count == 2 ? row->postings[index].account : NULL;
}

static json_t *entry(const struct dispute_row *row)
{
	json_t *json = json_object();

	set(json, "time", view_time(row->values[0].number));
	set(json, "event", given_text(event_word(dispute_number(row, "event"))));
	set(json, "amount", amount(row, "amount"));
	set(json, "from", given_text(side(row, 0)));
	set(json, "to", given_text(side(row, 1)));
	set(json, "network", text(row, "network"));
	set(json, "symbol", text(row, "symbol"));
	set(json, "payment", id_of(row, "payment"));
	set(json, "transaction", text(row, "tx"));
	set(json, "note", text(row, "note"));
	return json;
}

static json_t *delivery(const struct dispute_row *row)
{
	const char *reason = dispute_text(row, "reason");
	json_t *json = json_object();

	set(json, "time", view_time(row->values[0].number));
	set(json, "call", id_of(row, "call"));
	set(json, "delivered", json_boolean(reason && !*reason));
	set(json, "reason", text(row, "reason"));
	return json;
}

/* Another call that sent this payment again, or an owner's act upon it. */
static json_t *other_audit(const struct dispute_row *row)
{
	bool owner = dispute_number(row, "kind") == AUDIT_OWNER;
	json_t *json = json_object();

	set(json, "time", view_time(row->values[0].number));
	set(json, "call", owner ? json_null() : id(row->values[0].number));
	set(json, "by", owner ? json_string("owner") : json_string("agent"));
	set(json, "command", owner ? text(row, "path") : json_null());
	set(json, "code", text(row, "code"));
	set(json, "status", owner ? json_null() : number(row, "status"));
	set(json, "upstream_status", owner ? json_null() : number(row, "upstream_status"));
	set(json, "detail", text(row, "detail"));
	return json;
}

static json_t *all_of(const struct dispute *dispute, enum table table, int64_t but,
    json_t *(*one)(const struct dispute_row *row))
{
	json_t *list = json_array();

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table == table && row->values[0].number != but)
			must(json_array_append_new(list, one(row)) == 0);
	}
	return list;
}

/* What the seller has paid back. */
static json_t *refunded(const struct dispute *dispute)
{
	struct amount sum = AMOUNT_ZERO;

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table != TABLE_JOURNAL || dispute_number(row, "event") != JOURNAL_REFUND ||
		    dispute_number(row, "from_spent") != 1)
			continue;
		if (!amount_add(&sum, sum, amount_of(dispute_number(row, "amount"))))
			return json_null();
	}
	return view_amount(sum.micros);
}

json_t *dispute_facts(const struct dispute *dispute)
{
	struct dispute_subject subject;
	json_t *json = json_object(), *at_call, *at_signing;

	dispute_subject(&subject, dispute);
	set(json, "call", id(dispute->call));
	set(json, "called_at", view_time(dispute->call));
	set(json, "who", agent(dispute, &subject));
	set(json, "tool", tool(dispute, &subject));
	set(json, "request", request(dispute, subject.audit));
	set(json, "decision", decision(subject.audit));
	at_call = policy_at(dispute, dispute->call);
	at_signing = subject.signed_us ? policy_at(dispute, subject.signed_us) : json_null();
	set(json, "policy", at_call);
	/* Only when it was another by then. */
	set(json, "policy_at_signing",
	    json_equal(at_call, at_signing) ? json_null() : json_incref(at_signing));
	json_decref(at_signing);
	add_detail(json, subject.audit);
	set(json, "times", times(subject.audit));
	set(json, "answer", answer(subject.audit));
	set(json, "payments", payments(dispute));
	set(json, "deliveries", all_of(dispute, TABLE_DELIVERY, 0, delivery));
	set(json, "refunded", refunded(dispute));
	set(json, "journal", all_of(dispute, TABLE_JOURNAL, 0, entry));
	set(json, "also", all_of(dispute, TABLE_AUDIT, dispute->call, other_audit));
	return json;
}
