/* payment.cancel: authorizations are taken back on the chain before the seller cashes them.
 *
 * Every payment goes through the same steps, and what became of it is its state:
 *
 *   judge ─▶ sort out ─▶ plan ─▶ record ─▶ send ─▶ await
 *     │          │        │        │        │       └─▶ cancelled, settled (the seller was
 *     │          │        │        │        │           faster), sent
 *     └──────────┴────────┴────────┴────────┴─▶ settled, skipped, failed, with a reason
 *
 * Cancelling does not end a payment in the books: that the authorization is void is seen on
 * the chain, here or by the reconciler, and booked as every other finding is. Until then its
 * money stays open. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/log.h"
#include "proxy/answer.h"
#include "proxy/booking.h"
#include "proxy/chain_wait.h"
#include "proxy/outstanding.h"
#include "proxy/reconcile.h"
#include "proxy/view.h"
#include "wallet/cancellation.h"
#include "wallet/fee.h"
#include "wallet/transaction.h"

/* Some hundred bytes each; at three questions a payment this many take minutes. Who has more
 * open runs the command again. */
#define TARGETS_MAX 1024u
/* How long the chain is watched for the outcome; the command line gives up on an answer after
 * ten minutes. */
#define WAIT_S_DEFAULT 60
#define WAIT_S_MAX     300
#define POLL_NS        500000000L
/* Prices of gas are asked for again after this: a block or two of the slower chains, and the
 * fee offered lasts for six. */
#define GAS_US_MAX (15 * CLOCK_US_PER_S)

/* What a cancellation takes of Circle's USDC, for a wallet too empty to have it estimated. */
#define GAS_USUAL 60000u

/* What a chain with ether asks on a bad day; where coins are worth little, as on Polygon, the
 * owner raises them. */
#define GWEI_MAX_DEFAULT "200"
#define FEE_MAX_DEFAULT  "0.01"

enum target_state {
	TARGET_READY = 0, /* can be cancelled; in the reply of a quote alone */
	TARGET_SENT,
	TARGET_CANCELLED,
	TARGET_SETTLED,
	TARGET_SKIPPED,
	TARGET_FAILED,
};

static const char *target_state_str(enum target_state state)
{
	switch (state) {
	case TARGET_READY:
		return "ready";
	case TARGET_SENT:
		return "sent";
	case TARGET_CANCELLED:
		return "cancelled";
	case TARGET_SETTLED:
		return "settled";
	case TARGET_SKIPPED:
		return "skipped";
	case TARGET_FAILED:
		return "failed";
	}
	return "failed";
}

/* One payment to be cancelled. */
struct target {
	int64_t id, call, amount, valid_before_s, since_s;
	enum payment_state booked;
	char *tool, *network;
	const struct asset *asset; /* NULL: no longer in the table */
	struct cancellation cancellation;
	struct address payee;
	struct uint256 value;
	enum target_state state;
	bool in_flight;
	char transaction[CHAIN_TEXT_SIZE];
	char reason[400];
};

/* One network, and the wallet there. */
struct lane {
	const char *network, *chain_name;
	struct chain_wait *chain; /* NULL: it cannot be asked, see reason */
	char reason[400];
	struct address payer;
	size_t planned;
	/* Known once the first payment is planned. */
	bool known;
	struct chain_gas gas; /* as told at gas_us, for this asset */
	const struct asset *gas_asset;
	int64_t gas_us;
	uint64_t count;           /* of the next transaction */
	struct uint256 balance;   /* wei */
	struct uint256 committed; /* wei the transactions sent so far may cost */
	struct uint256 estimate;  /* wei they will likely cost */
	struct uint256 fee_max;   /* wei for a unit of gas, the highest */
};

struct cancelling {
	struct command *command;
	struct house *house;
	struct agent *agent;
	bool quote;
	struct fee_ceiling ceiling;
	int64_t wait_s;
	struct target *targets;
	size_t count, more, expired; /* more: than TARGETS_MAX */
	struct lane *lanes;          /* at most one a target */
	size_t lane_count;
};

static void end(struct target *target, enum target_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void end(struct target *target, enum target_state state, const char *format, ...)
{
	va_list args;

	target->state = state;
	va_start(args, format);
	vsnprintf(target->reason, sizeof target->reason, format, args);
	va_end(args);
}

/* --- which payments ------------------------------------------------------------ */

/* May it be cancelled, as far as the books know? */
static void judge(struct target *target, const struct payment_row *row, int64_t now_s)
{
	switch (row->state) {
	case PAYMENT_SETTLED:
		snprintf(target->transaction, sizeof target->transaction, "%s",
		    row->transaction ? row->transaction : "");
		end(target, TARGET_SETTLED, "the seller has cashed it already");
		return;
	case PAYMENT_CANCELLED:
		snprintf(target->transaction, sizeof target->transaction, "%s",
		    row->transaction ? row->transaction : "");
		end(target, TARGET_CANCELLED, "it was cancelled before");
		return;
	case PAYMENT_RESOLVED_SPENT:
		end(target, TARGET_SKIPPED, "you decided that it was spent");
		return;
	case PAYMENT_EXPIRED_UNUSED:
		end(target, TARGET_SKIPPED, "it has expired unused: there is nothing to cancel");
		return;
	case PAYMENT_SIGNED:
	case PAYMENT_OPEN:
	case PAYMENT_RESOLVED_UNUSED: /* the owner's word does not keep a seller from cashing */
		break;
	}
	if (row->valid_before_s <= now_s)
		end(target, TARGET_SKIPPED,
		    "it has expired, nobody can cash it any more: there is nothing to cancel; it "
		    "ends when the chain has been asked, or by `tallyward payment resolve`");
	else if (!target->asset)
		end(target, TARGET_FAILED,
		    "its token %s is in no asset table: put the row back into the "
		    "configuration's assets",
		    row->asset);
	else if (row->state == PAYMENT_SIGNED)
		target->in_flight = true;
}

static bool gather(const struct payment_row *row, void *arg)
{
	struct cancelling *cancelling = arg;
	int64_t now_s = cancelling->command->now_us / CLOCK_US_PER_S;
	struct target *target;
	struct address contract;
	uint64_t chain_id;

	if (cancelling->count == TARGETS_MAX) {
		cancelling->more++;
		return true;
	}
	target = &cancelling->targets[cancelling->count++];
	memset(target, 0, sizeof *target);
	target->id = row->id;
	target->call = row->call;
	target->amount = row->amount;
	target->valid_before_s = row->valid_before_s;
	target->since_s = row->id / CLOCK_US_PER_S;
	target->booked = row->state;
	target->tool = must_strdup(row->tool);
	target->network = must_strdup(row->network);
	/* What the books hold was written by ourselves; one that cannot be read is not ours to
	 * cancel. */
	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset) ||
	    !address_parse(&target->cancellation.authorizer, row->payer) ||
	    !address_parse(&target->payee, row->payee) ||
	    !hex_decode(target->cancellation.nonce, AUTHORIZATION_NONCE_SIZE, row->nonce) ||
	    !uint256_parse(&target->value, row->value)) {
		end(target, TARGET_FAILED,
		    "its row in the ledger cannot be read: run `tallyward "
		    "ledger verify`");
		return true;
	}
	target->asset = assets_find(cancelling->house->assets, chain_id, &contract);
	judge(target, row, now_s);
	return true;
}

/* For --all: what can no longer be cashed is not asked for. */
static bool gather_cashable(const struct payment_row *row, void *arg)
{
	struct cancelling *cancelling = arg;

	if (row->valid_before_s > cancelling->command->now_us / CLOCK_US_PER_S)
		return gather(row, arg);
	cancelling->expired++;
	return true;
}

static bool gather_one(const struct payment_row *row, void *arg)
{
	struct cancelling *cancelling = arg;

	cancelling->agent = registry_agent_by_id(cancelling->house->registry, row->agent);
	gather(row, arg);
	return false;
}

static json_t *gather_targets(struct cancelling *cancelling)
{
	struct command *command = cancelling->command;
	struct store *store = cancelling->house->store;
	json_t *error = NULL;
	enum store_result result;
	int64_t id;

	if (json_str(command->args, "payment")) {
		if (!command_id(&id, command, &error, "payment"))
			return error;
		result = store_payment(store, id, gather_one, cancelling);
		if (result == STORE_NOT_FOUND)
			return answer_error(COMMAND_NOT_FOUND,
			    "there is no payment %lld: `tallyward payment list` names them",
			    (long long)id);
	} else {
		cancelling->agent = command_agent(command, &error);
		if (!cancelling->agent)
			return error;
		result =
		    store_payments(store, cancelling->agent->id, true, gather_cashable, cancelling);
	}
	if (result != STORE_OK || !cancelling->agent)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	if (cancelling->more > 0)
		command_warn(command, "%zu more payments are open: run the command again for them",
		    cancelling->more);
	if (cancelling->expired > 0)
		command_warn(command,
		    "%zu open payments have expired: there is nothing to cancel about them",
		    cancelling->expired);
	return NULL;
}

/* --- the chain ------------------------------------------------------------------- */

static void open_lane(struct lane *lane, struct house *house, const struct target *target)
{
	const struct config *config = house_config(house);
	char *urls = registry_rpc(house->registry, target->network);

	lane->network = target->network;
	lane->chain_name = target->asset->chain_name;
	lane->payer = target->cancellation.authorizer;
	if (*urls)
		lane->chain = chain_wait_new(target->network, urls, (uint32_t)config->rpc_ms_max,
		    *config->ca_file ? config->ca_file : NULL);
	else
		snprintf(lane->reason, sizeof lane->reason,
		    "cancelling needs a way to the chain: tell one with `tallyward network set %s "
		    "--rpc URL`",
		    target->network);
	free(urls);
}

static bool same_lane(const struct lane *lane, const struct target *target)
{
	/* An imported key makes another wallet of the same agent. */
	return strcmp(lane->network, target->network) == 0 &&
	       address_equal(&lane->payer, &target->cancellation.authorizer);
}

static struct lane *lane_of(struct cancelling *cancelling, const struct target *target)
{
	struct lane *lane;

	for (size_t i = 0; i < cancelling->lane_count; i++) {
		if (same_lane(&cancelling->lanes[i], target))
			return &cancelling->lanes[i];
	}
	lane = &cancelling->lanes[cancelling->lane_count++];
	open_lane(lane, cancelling->house, target);
	return lane;
}

/* Nothing more can be done on this network in this run: the rest fails without asking again,
 * so that an endpoint that hangs costs its time once. */
static void close_lane(struct lane *lane, const char *reason)
{
	snprintf(lane->reason, sizeof lane->reason, "no endpoint of %s answers: %s", lane->network,
	    reason);
	chain_wait_free(&lane->chain);
}

static struct chain_query query_of(const struct target *target)
{
	struct chain_query query = {
	    .asset = target->asset,
	    .payer = target->cancellation.authorizer,
	    .payee = target->payee,
	    .value = target->value,
	    .since_s = target->since_s,
	    .valid_before_s = target->valid_before_s,
	};

	memcpy(query.nonce, target->cancellation.nonce, sizeof query.nonce);
	return query;
}

/* What the chain found, as this payment's state; false while it has found nothing. */
static bool take_finding(struct target *target, const struct chain_finding *finding)
{
	bool ours = strcasecmp(target->transaction, finding->transaction) == 0;

	switch (finding->fate) {
	case CHAIN_FATE_USED:
		end(target, TARGET_SETTLED, "the seller was faster: it was cashed in %s",
		    finding->transaction);
		break;
	case CHAIN_FATE_CANCELLED:
		end(target, TARGET_CANCELLED, "%s",
		    ours ? "nobody can cash it any more" : "it was cancelled before");
		break;
	case CHAIN_FATE_UNKNOWN:
	case CHAIN_FATE_UNUSED:
		return false;
	}
	memcpy(target->transaction, finding->transaction, sizeof target->transaction);
	return true;
}

/* Has it come to an end on the chain, however young the block is? */
static bool has_ended(struct target *target, struct lane *lane)
{
	struct chain_query query = query_of(target);
	struct chain_finding finding;
	char reason[CHAIN_REASON_SIZE] = "";

	return chain_wait_fates(&finding, reason, lane->chain, &query, 1, 0) == CHAIN_OK &&
	       take_finding(target, &finding);
}

/* What was found deep enough goes into the books as the reconciler would put it there; what
 * does not (its call is still in flight) is left to it. */
static void book(
    struct cancelling *cancelling, const struct target *target, const struct chain_finding *finding)
{
	struct booking booking;

	if (booking_load(&booking, cancelling->house, target->id) != STORE_OK)
		return;
	booking_commit(cancelling->house, &booking, finding, 1, clock_now_us());
	booking_fini(&booking);
}

/* Asks about the payments of one lane that are in this state, CHAIN_QUERIES_MAX at a time; how
 * many are still without an answer. deep: what is found is booked. */
static size_t look(struct cancelling *cancelling, struct lane *lane, enum target_state state,
    int64_t depth, bool deep)
{
	size_t at = 0, left = 0;

	while (lane->chain && at < cancelling->count) {
		struct chain_query queries[CHAIN_QUERIES_MAX];
		struct chain_finding findings[CHAIN_QUERIES_MAX];
		struct target *asked[CHAIN_QUERIES_MAX];
		size_t count = 0;
		char reason[CHAIN_REASON_SIZE];

		for (; at < cancelling->count && count < CHAIN_QUERIES_MAX; at++) {
			struct target *target = &cancelling->targets[at];

			if (target->state != state || !same_lane(lane, target))
				continue;
			queries[count] = query_of(target);
			asked[count++] = target;
		}
		if (count == 0)
			break;
		left += count;
		if (chain_wait_fates(findings, reason, lane->chain, queries, count, depth) !=
		    CHAIN_OK)
			continue;
		for (size_t i = 0; i < count; i++) {
			bool found = take_finding(asked[i], &findings[i]);

			left -= found;
			if (found && deep)
				book(cancelling, asked[i], &findings[i]);
		}
	}
	return left;
}

/* --- what it costs ------------------------------------------------------------------- */

struct plan {
	uint8_t call[CANCELLATION_CALL_SIZE];
	struct fee fee;
};

/* A long run outlives some of its payments. */
static bool expired_meanwhile(struct target *target)
{
	if (target->valid_before_s > clock_now_us() / CLOCK_US_PER_S)
		return false;
	end(target, TARGET_SKIPPED, "it has expired meanwhile: there is nothing to cancel");
	return true;
}

static bool sign_cancellation(
    struct plan *plan, struct cancelling *cancelling, struct target *target)
{
	char address[ADDRESS_TEXT_SIZE];

	switch (cancellation_sign(plan->call, cancelling->house->keystore, cancelling->agent->name,
	    target->asset, &target->cancellation)) {
	case KEYSTORE_OK:
		return true;
	case KEYSTORE_BAD_KEY:
		end(target, TARGET_FAILED,
		    "it was signed by %s, and that is no longer the agent's key: only that key can "
		    "cancel it",
		    address_format(address, &target->cancellation.authorizer));
		return false;
	case KEYSTORE_NOT_FOUND:
	case KEYSTORE_EXISTS:
	case KEYSTORE_BAD_PASSPHRASE:
	case KEYSTORE_BAD_FILE:
	case KEYSTORE_UNSAFE_FILE:
	case KEYSTORE_IO:
		break;
	}
	end(target, TARGET_FAILED, "the agent's key cannot be used: run `tallyward doctor`");
	return false;
}

/* What was told for one payment holds for the next: they differ in a nonce. */
static bool gas_is_fresh(const struct lane *lane, const struct target *target)
{
	return lane->known && lane->gas_asset == target->asset &&
	       clock_mono_us() - lane->gas_us < GAS_US_MAX;
}

static bool ask_gas(
    struct chain_gas *gas, const struct plan *plan, struct target *target, struct lane *lane)
{
	char reason[CHAIN_REASON_SIZE] = "";

	switch (chain_wait_gas(gas, reason, lane->chain, &lane->payer, &target->asset->contract,
	    plan->call, sizeof plan->call)) {
	case CHAIN_OK:
		if (gas->limit > 0)
			return true;
		gas->limit = GAS_USUAL;
		return !has_ended(target, lane);
	case CHAIN_REFUSED:
		/* It has been used, most likely. */
		if (!has_ended(target, lane))
			end(target, TARGET_FAILED, "%s refuses the cancellation: %s",
			    lane->chain_name, reason);
		return false;
	case CHAIN_UNREACHABLE:
	case CHAIN_DISAGREE:
		break;
	}
	close_lane(lane, reason);
	end(target, TARGET_FAILED, "%s", lane->reason);
	return false;
}

static bool fee_fits(struct plan *plan, const struct chain_gas *gas,
    const struct cancelling *cancelling, struct target *target)
{
	char asked[FEE_TEXT_SIZE], most[FEE_TEXT_SIZE];

	switch (fee_plan(
	    &plan->fee, gas->limit, &gas->base_fee, &gas->priority_fee, &cancelling->ceiling)) {
	case FEE_OK:
		return true;
	case FEE_BAD_GAS:
		end(target, TARGET_FAILED,
		    "the endpoint asks for gas or fees that no chain has: use another one");
		return false;
	case FEE_OVER_PER_GAS:
		end(target, TARGET_FAILED,
		    "gas costs %s gwei now, above the ceiling of %s: raise it with "
		    "--max-gas-price if "
		    "you will pay that",
		    fee_format(asked, &plan->fee.fee_max, FEE_GWEI_DECIMALS),
		    fee_format(most, &cancelling->ceiling.per_gas, FEE_GWEI_DECIMALS));
		return false;
	case FEE_OVER_TOTAL:
		end(target, TARGET_FAILED,
		    "it may cost %s of the chain's coin, above the ceiling of %s: raise it with "
		    "--max-fee if you will pay that",
		    fee_format(asked, &plan->fee.total, FEE_WEI_DECIMALS),
		    fee_format(most, &cancelling->ceiling.total, FEE_WEI_DECIMALS));
		return false;
	}
	return false;
}

/* The wallet pays for all that was sent before, and for this one. */
static bool wallet_covers(const struct plan *plan, const struct lane *lane, struct target *target)
{
	char has[FEE_TEXT_SIZE], needs[FEE_TEXT_SIZE], address[ADDRESS_TEXT_SIZE];
	struct uint256 needed;

	if (!uint256_add(&needed, &lane->committed, &plan->fee.total))
		memset(needed.be, 0xff, sizeof needed.be);
	if (uint256_cmp(&needed, &lane->balance) <= 0)
		return true;
	end(target, TARGET_FAILED,
	    "the wallet cannot pay for it: cancelling takes up to %s of %s's coin and it holds %s; "
	    "send some to %s and try again",
	    fee_format(needs, &needed, FEE_WEI_DECIMALS), lane->chain_name,
	    fee_format(has, &lane->balance, FEE_WEI_DECIMALS),
	    address_format(address, &lane->payer));
	return false;
}

/* Everything a transaction needs, or the payment's end. */
static bool make_plan(
    struct plan *plan, struct cancelling *cancelling, struct target *target, struct lane *lane)
{
	struct chain_gas gas;

	if (expired_meanwhile(target))
		return false;
	if (!lane->chain) {
		end(target, TARGET_FAILED, "%s", lane->reason);
		return false;
	}
	if (!sign_cancellation(plan, cancelling, target))
		return false;
	if (!gas_is_fresh(lane, target)) {
		if (!ask_gas(&gas, plan, target, lane))
			return false;
		/* The node may not have heard yet of what this run has sent. */
		if (!lane->known || gas.transaction_count > lane->count)
			lane->count = gas.transaction_count;
		if (!lane->known)
			lane->balance = gas.balance;
		lane->known = true;
		lane->gas = gas;
		lane->gas_asset = target->asset;
		lane->gas_us = clock_mono_us();
	}
	return fee_fits(plan, &lane->gas, cancelling, target) && wallet_covers(plan, lane, target);
}

/* What the lane has promised grows by this plan; wallet_covers has added them before. */
static void commit_plan(struct lane *lane, const struct plan *plan)
{
	lane->planned++;
	must(uint256_add(&lane->committed, &lane->committed, &plan->fee.total));
	must(uint256_add(&lane->estimate, &lane->estimate, &plan->fee.estimate));
	if (uint256_cmp(&plan->fee.fee_max, &lane->fee_max) > 0)
		lane->fee_max = plan->fee.fee_max;
}

/* --- written, then sent ------------------------------------------------------------------ */

static void add_state(struct cancelling *cancelling, struct batch *batch,
    const struct target *target, const char *reason)
{
	struct payment_state_row row = {
	    .id = store_next_id(cancelling->house->store, cancelling->command->now_us),
	    .payment = target->id,
	    .state = PAYMENT_OPEN,
	    .reason = reason,
	    .by = "owner",
	};

	/* A call in flight writes its own outcome, and what was resolved stays resolved. */
	if (target->booked == PAYMENT_OPEN)
		batch_payment_state(batch, &row);
}

/* On disk before anything leaves: who cancelled what, in which transaction. */
static bool record(struct cancelling *cancelling, struct target *target, const struct lane *lane,
    const struct plan *plan)
{
	char fee[FEE_TEXT_SIZE], id[24];
	struct batch *batch = batch_new(cancelling->command->now_us);
	char *reason = must_format(OUTSTANDING_CANCELLING "%s", target->transaction);
	json_t *detail, *error;
	char *text;

	snprintf(id, sizeof id, "%lld", (long long)target->id);
	detail = json_pack("{s:s, s:s, s:s, s:I, s:s}", "payment", id, "network", lane->network,
	    "transaction", target->transaction, "count", (json_int_t)lane->count, "fee_max",
	    fee_format(fee, &plan->fee.total, FEE_WEI_DECIMALS));
	must(detail != NULL);
	text = json_dumps(detail, JSON_COMPACT);
	must(text != NULL);
	add_state(cancelling, batch, target, reason);
	error = command_write_payment(cancelling->command, &batch, "payment cancel",
	    cancelling->agent, target->tool, text, target->id);
	if (error)
		end(target, TARGET_FAILED, "nothing was sent: %s",
		    json_string_value(json_object_get(error, "error")));
	json_decref(error);
	json_decref(detail);
	free(text);
	free(reason);
	return error == NULL;
}

/* The node did not take it: a retry of the call may send the payment's bytes again. */
static void take_back(struct cancelling *cancelling, struct target *target, const char *refused)
{
	struct batch *batch = batch_new(cancelling->command->now_us);

	add_state(cancelling, batch, target, refused);
	store_append(cancelling->house->store, &batch, NULL, NULL);
	outstanding_withdraw(cancelling->house->outstanding, target->id, false);
	end(target, TARGET_FAILED, "the node refuses the transaction: %s", refused);
}

static void send(struct cancelling *cancelling, struct target *target, struct lane *lane,
    const struct plan *plan)
{
	const struct transaction transaction = {
	    .chain_id = target->asset->chain_id,
	    .count = lane->count,
	    .priority_fee = plan->fee.priority_fee,
	    .fee_max = plan->fee.fee_max,
	    .gas_limit = plan->fee.gas_limit,
	    .to = target->asset->contract,
	    .data = plan->call,
	    .data_size = sizeof plan->call,
	};
	struct transaction_signed made;
	char answer[CHAIN_TEXT_SIZE] = "", reason[CHAIN_REASON_SIZE] = "";

	if (transaction_sign(&made, cancelling->house->keystore, cancelling->agent->name,
		&lane->payer, &transaction) != KEYSTORE_OK) {
		end(target, TARGET_FAILED,
		    "the agent's key cannot be used: run `tallyward doctor`");
		return;
	}
	hex_encode_0x(target->transaction, made.hash.bytes, DIGEST_SIZE);
	/* From here on no retry of the call sends the payment's bytes again. */
	outstanding_withdraw(cancelling->house->outstanding, target->id, true);
	if (!record(cancelling, target, lane, plan)) {
		outstanding_withdraw(cancelling->house->outstanding, target->id, false);
		return;
	}
	switch (chain_wait_send(answer, reason, lane->chain, made.raw, made.size)) {
	case CHAIN_OK:
		end(target, TARGET_SENT, "%s", "not seen in a block deep enough yet");
		lane->count++;
		commit_plan(lane, plan);
		return;
	case CHAIN_REFUSED:
		take_back(cancelling, target, reason);
		return;
	case CHAIN_UNREACHABLE:
	case CHAIN_DISAGREE:
		break;
	}
	close_lane(lane, reason);
	end(target, TARGET_FAILED,
	    "no endpoint said that it took the transaction, but one may have: %s", reason);
}

/* With many to cancel, those that the sellers have cashed already are found in a few questions,
 * and cost no gas. When nobody answers that, they are sent all the same: there is no time. */
static void sort_out(struct cancelling *cancelling)
{
	size_t ready = 0;

	for (size_t i = 0; i < cancelling->count; i++) {
		if (cancelling->targets[i].state == TARGET_READY) {
			(void)lane_of(cancelling, &cancelling->targets[i]);
			ready++;
		}
	}
	for (size_t i = 0; ready > 1 && i < cancelling->lane_count; i++)
		(void)look(cancelling, &cancelling->lanes[i], TARGET_READY, 0, false);
}

static void cancel_all(struct cancelling *cancelling)
{
	sort_out(cancelling);
	for (size_t i = 0; i < cancelling->count; i++) {
		struct target *target = &cancelling->targets[i];
		struct lane *lane;
		struct plan plan;

		if (target->state != TARGET_READY)
			continue;
		lane = lane_of(cancelling, target);
		if (!make_plan(&plan, cancelling, target, lane))
			continue;
		if (cancelling->quote)
			commit_plan(lane, &plan);
		else
			send(cancelling, target, lane, &plan);
	}
}

/* --- what became of it -------------------------------------------------------------------- */

static void await(struct cancelling *cancelling)
{
	const struct timespec nap = {.tv_nsec = POLL_NS};
	int64_t give_up_us = clock_mono_us() + cancelling->wait_s * CLOCK_US_PER_S;

	for (;;) {
		size_t left = 0;

		for (size_t i = 0; i < cancelling->lane_count; i++) {
			if (cancelling->lanes[i].planned > 0)
				left += look(cancelling, &cancelling->lanes[i], TARGET_SENT,
				    reconcile_depth(
					cancelling->house, cancelling->lanes[i].network),
				    true);
		}
		if (left == 0 || clock_mono_us() >= give_up_us ||
		    atomic_load(&cancelling->house->stopping))
			return;
		nanosleep(&nap, NULL);
	}
}

/* --- in and out --------------------------------------------------------------------------------
 */

static json_t *lane_json(const struct lane *lane)
{
	char address[ADDRESS_TEXT_SIZE], price[FEE_TEXT_SIZE], likely[FEE_TEXT_SIZE];
	char most[FEE_TEXT_SIZE], has[FEE_TEXT_SIZE];

	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "network", lane->network,
	    "name", lane->chain_name, "address", address_format(address, &lane->payer),
	    "transactions", (json_int_t)lane->planned, "gas_price",
	    fee_format(price, &lane->fee_max, FEE_GWEI_DECIMALS), "fee",
	    fee_format(likely, &lane->estimate, FEE_WEI_DECIMALS), "fee_max",
	    fee_format(most, &lane->committed, FEE_WEI_DECIMALS), "balance",
	    fee_format(has, &lane->balance, FEE_WEI_DECIMALS));
}

static json_t *target_json(const struct target *target)
{
	return json_pack("{s:o, s:s, s:s?, s:s?, s:o, s:s, s:s}", "payment", view_id(target->id),
	    "state", target_state_str(target->state), "transaction",
	    *target->transaction ? target->transaction : NULL, "reason",
	    *target->reason ? target->reason : NULL, "amount", view_amount(target->amount),
	    "network", target->network, "tool", target->tool);
}

static json_t *result_json(const struct cancelling *cancelling)
{
	json_t *payments = json_array(), *networks = json_array(), *result;

	for (size_t i = 0; i < cancelling->count; i++)
		json_array_append_new(payments, target_json(&cancelling->targets[i]));
	for (size_t i = 0; i < cancelling->lane_count; i++) {
		if (cancelling->lanes[i].known)
			json_array_append_new(networks, lane_json(&cancelling->lanes[i]));
	}
	result = json_pack("{s:s, s:o, s:o}", "agent", cancelling->agent->name, "payments",
	    payments, "networks", networks);
	must(result != NULL);
	if (cancelling->more > 0)
		json_object_set_new(result, "more", json_integer((json_int_t)cancelling->more));
	return result;
}

/* The owner's ceilings and patience; NULL when they can be read. */
static json_t *read_limits(struct cancelling *cancelling)
{
	struct command *command = cancelling->command;
	const char *price = command_text_or(command, "max_gas_price", GWEI_MAX_DEFAULT);
	const char *whole = command_text_or(command, "max_fee", FEE_MAX_DEFAULT);
	const json_t *wait = json_member(command->args, "wait_s");

	if (!fee_parse(&cancelling->ceiling.per_gas, price, FEE_GWEI_DECIMALS))
		return answer_error(COMMAND_USAGE,
		    "%s is not a price of gas: write gwei such as 200 or 0.5", price);
	if (!fee_parse(&cancelling->ceiling.total, whole, FEE_WEI_DECIMALS))
		return answer_error(
		    COMMAND_USAGE, "%s is not a fee: write the chain's coin such as 0.01", whole);
	cancelling->wait_s = WAIT_S_DEFAULT;
	if (wait && (!json_is_integer(wait) || json_integer_value(wait) < 0 ||
			json_integer_value(wait) > WAIT_S_MAX))
		return answer_error(
		    COMMAND_USAGE, "the chain is waited for at most %d seconds", WAIT_S_MAX);
	if (wait)
		cancelling->wait_s = json_integer_value(wait);
	return NULL;
}

static void warn_in_flight(struct cancelling *cancelling)
{
	size_t count = 0;

	for (size_t i = 0; i < cancelling->count; i++)
		count += cancelling->targets[i].in_flight;
	if (count > 0)
		command_warn(cancelling->command,
		    "%zu of these payments %s in flight: the seller has the signature at this "
		    "moment, "
		    "and whoever reaches the chain first wins",
		    count, count == 1 ? "is" : "are");
}

json_t *payment_cancel(struct command *command)
{
	struct cancelling cancelling = {
	    .command = command,
	    .house = command->house,
	    .quote = json_is_true(json_member(command->args, "quote")),
	};
	json_t *reply = read_limits(&cancelling);

	if (reply)
		return reply;
	cancelling.targets = must_calloc(TARGETS_MAX, sizeof *cancelling.targets);
	cancelling.lanes = must_calloc(TARGETS_MAX, sizeof *cancelling.lanes);
	reply = gather_targets(&cancelling);
	if (!reply) {
		cancel_all(&cancelling);
		if (!cancelling.quote)
			await(&cancelling);
		warn_in_flight(&cancelling);
		reply = answer_ok(result_json(&cancelling));
	}
	for (size_t i = 0; i < cancelling.lane_count; i++)
		chain_wait_free(&cancelling.lanes[i].chain);
	for (size_t i = 0; i < cancelling.count; i++) {
		free(cancelling.targets[i].tool);
		free(cancelling.targets[i].network);
	}
	free(cancelling.lanes);
	free(cancelling.targets);
	return reply;
}
