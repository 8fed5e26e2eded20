/* proxy/booking.c - what is to be booked: the ledger's side, and the rule. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "proxy/booking_parts.h"

const char *booking_act_str(enum booking_act act)
{
	switch (act) {
	case BOOKING_NOTHING:
		return "nothing";
	case BOOKING_PROVE:
		return "prove";
	case BOOKING_SETTLE:
		return "settle";
	case BOOKING_GIVE_BACK:
		return "give_back";
	case BOOKING_REOPEN:
		return "reopen";
	case BOOKING_TURN:
		return "turn";
	case BOOKING_TAKE:
		return "take";
	case BOOKING_FLAG:
		return "flag";
	}
	return "?";
}

enum side side_of(enum payment_state state)
{
	switch (state) {
	case PAYMENT_SIGNED:
		return SIDE_IN_FLIGHT;
	case PAYMENT_OPEN:
		return SIDE_OPEN;
	case PAYMENT_SETTLED:
	case PAYMENT_RESOLVED_SPENT:
		return SIDE_SPENT;
	case PAYMENT_RESOLVED_UNUSED:
	case PAYMENT_EXPIRED_UNUSED:
	case PAYMENT_CANCELLED:
		return SIDE_BACK;
	}
	return SIDE_OPEN;
}

/* --- the ledger's side -------------------------------------------------------------------- */

struct loading {
	struct booking *booking;
	struct house *house;
	bool known;
	int64_t state_id; /* of the latest state row */
};

static bool take_payment(const struct payment_row *row, void *arg)
{
	struct loading *loading = arg;
	struct booking *booking = loading->booking;
	struct chain_query *query = &booking->query;
	struct house *house = loading->house;
	struct address contract;
	uint64_t chain_id;

	booking->payment = row->id;
	booking->call = row->call;
	booking->agent = registry_agent_by_id(house->registry, row->agent);
	booking->amount = row->amount;
	booking->state = row->state;
	if (!booking->agent || !network_parse(&chain_id, row->network) ||
	    !address_parse(&contract, row->asset) ||
	    !(booking->asset = assets_find(house->assets, chain_id, &contract)) ||
	    !address_parse(&query->payer, row->payer) ||
	    !address_parse(&query->payee, row->payee) ||
	    !uint256_parse(&query->value, row->value) || strncmp(row->nonce, "0x", 2) != 0 ||
	    !hex_decode(query->nonce, sizeof query->nonce, row->nonce))
		return false;
	loading->known = true;
	booking->slot = house_slot(house, booking->asset);
	query->asset = booking->asset;
	query->since_s = row->call / CLOCK_US_PER_S;
	query->valid_before_s = row->valid_before_s;
	booking->tool = must_strdup(row->tool);
	booking->session = must_strdup(row->session);
	booking->target = outstanding_target(row->agent, row->method, row->url);
	booking->request = outstanding_request(&booking->target, &row->request);
	snprintf(booking->transaction, sizeof booking->transaction, "%s",
	    row->transaction ? row->transaction : "");
	return false;
}

static void take_proof(struct booking_proof *proof, const struct evidence_row *row)
{
	*proof = (struct booking_proof){
	    .id = row->id,
	    .kind = row->kind,
	    .block = row->block,
	    .block_s = row->block_s,
	    .log_index = row->log_index,
	};
	snprintf(proof->block_hash, sizeof proof->block_hash, "%s",
	    row->block_hash ? row->block_hash : "");
	snprintf(proof->transaction, sizeof proof->transaction, "%s",
	    row->transaction ? row->transaction : "");
	snprintf(proof->detail, sizeof proof->detail, "%s", row->detail ? row->detail : "");
}

static bool take_evidence(const struct evidence_row *row, void *arg)
{
	struct booking *booking = arg;

	switch (row->kind) {
	case EVIDENCE_USED:
	case EVIDENCE_CANCELLED:
	case EVIDENCE_UNUSED:
		take_proof(&booking->proof, row);
		booking->dispute.id = 0;
		break;
	case EVIDENCE_GONE:
		booking->proof.id = booking->dispute.id = 0;
		break;
	case EVIDENCE_DISAGREES:
		take_proof(&booking->dispute, row);
		break;
	case EVIDENCE_REFUND:
		break;
	}
	return true;
}

static bool take_state(const struct payment_state_row *row, void *arg)
{
	((struct loading *)arg)->state_id = row->id;
	return true;
}

enum store_result booking_load(struct booking *out, struct house *house, int64_t payment)
{
	struct booking booking = {0};
	struct loading loading = {.booking = &booking, .house = house};
	enum store_result result = store_payment(house->store, payment, take_payment, &loading);

	if (result == STORE_OK && !loading.known)
		result = STORE_NOT_FOUND;
	if (result == STORE_OK)
		result = store_evidence(house->store, payment, take_evidence, &booking);
	if (result == STORE_OK && booking.dispute.id)
		result = store_payment_states(house->store, payment, take_state, &loading);
	if (result != STORE_OK) {
		booking_fini(&booking);
		return result;
	}
	/* What was written after it has answered it. */
	if (loading.state_id > booking.dispute.id)
		booking.dispute.id = 0;
	*out = booking;
	return STORE_OK;
}

void booking_fini(struct booking *booking)
{
	free(booking->tool);
	free(booking->session);
	booking->tool = booking->session = NULL;
}

struct chain_query booking_query(const struct open_payment *payment)
{
	struct chain_query query = {
	    .asset = payment->asset,
	    .payer = payment->payer,
	    .payee = payment->payee,
	    .value = payment->value,
	    .since_s = payment->call / CLOCK_US_PER_S,
	    .valid_before_s = payment->valid_before_s,
	};

	memcpy(query.nonce, payment->nonce, sizeof query.nonce);
	return query;
}

/* --- the rule ------------------------------------------------------------------------------- */

/* Is the end in the ledger the one that the chain has shown? */
static bool witnessed(const struct booking *booking, enum side side)
{
	if (booking->proof.id == 0)
		return false;
	return side == SIDE_SPENT ? booking->proof.kind == EVIDENCE_USED
				  : booking->proof.kind != EVIDENCE_USED;
}

static bool same_place(const struct booking_proof *proof, const struct chain_finding *finding)
{
	return strcasecmp(proof->block_hash, finding->block.hash) == 0 &&
	       strcasecmp(proof->transaction, finding->transaction) == 0 &&
	       proof->log_index == finding->log_index;
}

enum booking_act booking_flag(
    char flag[160], const struct booking *booking, const char *format, ...)
{
	size_t size;
	va_list args;

	va_start(args, format);
	vsnprintf(flag, 160, format, args);
	va_end(args);
	size = strcspn(flag, ":");
	if (booking->dispute.id && strncmp(booking->dispute.detail, flag, size) == 0 &&
	    (booking->dispute.detail[size] == ':' || booking->dispute.detail[size] == '\0'))
		return BOOKING_NOTHING;
	return BOOKING_FLAG;
}

/* The ledger has it so already, and evidence for it or not. */
static enum booking_act confirm(
    const struct booking *booking, enum side side, const struct chain_finding *finding)
{
	static const enum evidence_kind kinds[] = {
	    [CHAIN_FATE_USED] = EVIDENCE_USED,
	    [CHAIN_FATE_CANCELLED] = EVIDENCE_CANCELLED,
	    [CHAIN_FATE_UNUSED] = EVIDENCE_UNUSED,
	};

	if (!witnessed(booking, side) || booking->dispute.id ||
	    booking->proof.kind != kinds[finding->fate])
		return BOOKING_PROVE;
	/* The state was read at another block each time; a log stands in one. */
	if (finding->fate == CHAIN_FATE_UNUSED || same_place(&booking->proof, finding))
		return BOOKING_NOTHING;
	return BOOKING_PROVE;
}

static enum booking_act rule_used(char flag[160], const struct booking *booking, enum side side,
    const struct chain_finding *finding)
{
	if (!finding->transfer_matches)
		return booking_flag(flag, booking, "used on the chain, but not as signed: %s",
		    *finding->detail ? finding->detail : "another transfer");
	switch (side) {
	case SIDE_IN_FLIGHT:
		break;
	case SIDE_OPEN:
		return BOOKING_SETTLE;
	case SIDE_SPENT:
		return confirm(booking, side, finding);
	case SIDE_BACK:
		return BOOKING_TAKE;
	}
	return BOOKING_NOTHING;
}

static enum booking_act rule_unused(char flag[160], const struct booking *booking, enum side side,
    const struct chain_finding *finding)
{
	switch (side) {
	case SIDE_IN_FLIGHT:
		break;
	case SIDE_OPEN:
		return BOOKING_GIVE_BACK;
	case SIDE_SPENT:
		if (witnessed(booking, side))
			return BOOKING_TURN;
		return booking_flag(flag, booking, "%s says that it was paid, the chain that it %s",
		    booking->state == PAYMENT_SETTLED ? "the seller's receipt" : "the owner",
		    finding->fate == CHAIN_FATE_CANCELLED ? "was cancelled" : "expired unused");
	case SIDE_BACK:
		return confirm(booking, side, finding);
	}
	return BOOKING_NOTHING;
}

/* There is no log, as of a block after the one it stood in. */
static enum booking_act rule_unknown(
    const struct booking *booking, enum side side, const struct chain_finding *finding)
{
	bool stood =
	    side == SIDE_SPENT || (side == SIDE_BACK && booking->proof.kind == EVIDENCE_CANCELLED);

	if (stood && witnessed(booking, side) && *finding->block.hash &&
	    finding->block.number >= booking->proof.block)
		return BOOKING_REOPEN;
	return BOOKING_NOTHING;
}

enum booking_act booking_rule(char flag[160], const struct booking *booking,
    const struct chain_finding *finding, int64_t now_s)
{
	enum side side = side_of(booking->state);

	/* Its call ends it. */
	if (side == SIDE_IN_FLIGHT)
		return BOOKING_NOTHING;
	switch (finding->fate) {
	case CHAIN_FATE_UNKNOWN:
		return rule_unknown(booking, side, finding);
	case CHAIN_FATE_USED:
		return rule_used(flag, booking, side, finding);
	case CHAIN_FATE_CANCELLED:
		return rule_unused(flag, booking, side, finding);
	case CHAIN_FATE_UNUSED:
		if (now_s <= booking->query.valid_before_s)
			return BOOKING_NOTHING;
		return rule_unused(flag, booking, side, finding);
	}
	return BOOKING_NOTHING;
}

bool booking_is_watched(const struct booking *booking, int64_t now_us, int64_t reorg_us)
{
	enum side side = side_of(booking->state);
	int64_t since_us =
	    booking->proof.block_s ? booking->proof.block_s * CLOCK_US_PER_S : booking->proof.id;

	if (side == SIDE_IN_FLIGHT || side == SIDE_OPEN)
		return false;
	return booking->dispute.id || booking->state == PAYMENT_RESOLVED_UNUSED ||
	       (witnessed(booking, side) && since_us > now_us - reorg_us);
}
