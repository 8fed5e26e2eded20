/* proxy/load.c - the end of house_open(): what the store remembers, into memory. Before that,
 * what the last stop left behind is written. What an agent has spent is read when it first calls:
 * of many agents few do, and of their past a start would read all that was ever written. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/thread.h"
#include "proxy/reconcile.h"
#include "proxy/rooms.h"

/* Two hours of single charges cover the sliding windows, of a call in flight too. */
#define SLIDING_US (2 * 3600 * CLOCK_US_PER_S)
_Static_assert(HOUSE_BORDERS == 4, "the month, yesterday, today, what slides");

/* A policy, once for all agents that have the same text. */
struct shared_policy {
	char *text;
	struct policy_ref *policy;
	UT_hash_handle hh;
};

struct load {
	struct house *house;
	int64_t now_us;
	struct batch *batch; /* what a restart has to write */
	bool wrote;
	char *reason;
	bool failed;
	struct shared_policy *policies;
};

struct position {
	int64_t agent;
	unsigned slot;
	struct balance balance;
};

/* What all agents have is read on a thread of its own, beside the agents themselves, and told to
 * their purses when both are there. */
struct positions {
	struct house *house;
	char *network, *asset; /* of the last one; most are in one */
	unsigned slot;
	struct position *rows;
	size_t count, size;
	enum house_result result;
	char reason[512];
};

static void load_fini(struct load *load)
{
	struct shared_policy *shared, *next;

	batch_free(&load->batch);
	HASH_ITER (hh, load->policies, shared, next) {
		HASH_DEL(load->policies, shared);
		policy_unref(&shared->policy);
		free(shared->text);
		free(shared);
	}
}

static void positions_fini(struct positions *positions)
{
	free(positions->network);
	free(positions->asset);
	free(positions->rows);
}

/* NULL: it does not parse. */
static struct policy_ref *policy_of(struct load *load, struct json_error *error, const char *text)
{
	struct shared_policy *shared;
	struct policy *policy = NULL;

	HASH_FIND_STR(load->policies, text, shared);
	if (shared)
		return shared->policy;
	if (strlen(text) > POLICY_LATER_MAX && !(policy = policy_parse(error, text, strlen(text))))
		return NULL;
	shared = must_calloc(1, sizeof *shared);
	shared->text = must_strdup(text);
	shared->policy = policy ? policy_share(policy) : policy_later(text);
	HASH_ADD_KEYPTR(hh, load->policies, shared->text, strlen(shared->text), shared);
	return shared->policy;
}

static bool load_agent(const struct agent_row *row, void *arg)
{
	struct load *load = arg;
	struct house *house = load->house;
	struct json_error error;
	struct policy_ref *policy = NULL;
	struct agent *agent;

	if (row->policy && !(policy = policy_of(load, &error, row->policy))) {
		house_say(load->reason, HOUSE_BROKEN,
		    "the stored policy of agent %s does not parse: %s: %s", row->name, error.path,
		    error.reason);
		load->failed = true;
		return false;
	}
	agent = registry_add_agent(house->registry, row, purses_add(house->purses));
	if (policy)
		registry_share_policy(house->registry, agent, policy);
	purse_sleep(agent->purse, agent);
	return true;
}

struct load_check {
	struct load *load;
	const char *tool;
	struct delivery_check *check;
};

static void load_check(const char *body, int64_t id, void *arg)
{
	struct load_check *to = arg;
	struct json_error error;

	(void)id;
	/* One that was taken away is empty. */
	if (!*body)
		return;
	to->check = delivery_check_parse(&error, body, strlen(body));
	if (to->check)
		return;
	house_say(to->load->reason, HOUSE_BROKEN,
	    "the stored delivery check of tool %s does not parse: %s: %s", to->tool, error.path,
	    error.reason);
	to->load->failed = true;
}

static void load_private(const char *body, int64_t id, void *arg)
{
	(void)id;
	*(bool *)arg = strcmp(body, "yes") == 0;
}

static bool load_tool(const struct tool_row *row, void *arg)
{
	struct load *load = arg;
	struct load_check to = {load, row->name, NULL};
	char *name = delivery_check_name(row->name), *private_name = tool_private_name(row->name);
	bool private = false;

	if (store_setting(load->house->store, name, 0, load_check, &to) == STORE_BROKEN) {
		house_say(load->reason, HOUSE_BROKEN,
		    "the delivery check of tool %s cannot be read", row->name);
		load->failed = true;
	}
	/* Unread, it only reaches less. */
	(void)!store_setting(load->house->store, private_name, 0, load_private, &private);
	free(name);
	free(private_name);
	registry_put_tool(load->house->registry, row, private, &to.check);
	return !load->failed;
}

static bool load_token(const struct token_row *row, void *arg)
{
	struct registry *registry = ((struct load *)arg)->house->registry;

	if (row->revoked)
		registry_revoke(registry, row->session, row->expires_s);
	else
		(void)!registry_admit(registry, row->session, row->expires_s);
	return true;
}

static bool load_network(const struct network_row *row, void *arg)
{
	registry_set_rpc(((struct load *)arg)->house->registry, row->network, row->rpc);
	return true;
}

static enum house_result cannot_read(char reason[512], struct house *house, const char *what)
{
	char words[256] = "";

	store_health(house->store, words);
	return house_say(reason, HOUSE_BROKEN, "cannot read %s from the ledger%s%s", what,
	    *words ? ": " : "", words);
}

static enum house_result broken(char reason[512], struct load *load, const char *what)
{
	return load->failed ? HOUSE_BROKEN : cannot_read(reason, load->house, what);
}

static bool slot_of(struct positions *positions, const char *network, const char *asset)
{
	if (positions->asset && strcmp(positions->asset, asset) == 0 &&
	    strcmp(positions->network, network) == 0)
		return true;
	if (!house_slot_of(&positions->slot, positions->house, network, asset))
		return false;
	free(positions->network);
	free(positions->asset);
	positions->network = must_strdup(network);
	positions->asset = must_strdup(asset);
	return true;
}

static bool note_balance(const struct balance_row *row, void *arg)
{
	struct positions *positions = arg;

	if (!slot_of(positions, row->network, row->asset)) {
		positions->result = house_say(positions->reason, HOUSE_BROKEN,
		    "the ledger holds money in %s on %s, which no asset table names: put the row "
		    "back "
		    "into the configuration's assets",
		    row->asset, row->network);
		return false;
	}
	if (positions->count == positions->size) {
		positions->size = positions->size ? 2 * positions->size : 64;
		positions->rows =
		    must_realloc(positions->rows, positions->size * sizeof *positions->rows);
	}
	positions->rows[positions->count++] = (struct position){row->agent, positions->slot,
	    {row->available, row->reserved, row->open, row->spent}};
	return true;
}

static void read_positions(struct positions *positions)
{
	enum store_result result =
	    store_balances(positions->house->store, note_balance, positions);

	if (positions->result == HOUSE_OK && result != STORE_OK)
		positions->result = cannot_read(positions->reason, positions->house, "balances");
}

static void *positions_main(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "tw-load");
	read_positions(arg);
	return NULL;
}

/* An agent that is not there has nothing that anybody could ask for. */
static void tell_positions(const struct positions *positions)
{
	for (size_t i = 0; i < positions->count; i++) {
		const struct position *position = &positions->rows[i];
		struct agent *agent =
		    registry_agent_by_id(positions->house->registry, position->agent);

		if (agent)
			purse_restore(agent->purse, position->slot, &position->balance);
	}
}

/* A payment whose call was in flight when the process ended: signed means spendable. */
static bool load_signed(const struct payment_row *row, void *arg)
{
	struct load *load = arg;
	struct payment_state_row state = {
	    .id = store_next_id(load->house->store, load->now_us),
	    .payment = row->id,
	    .state = PAYMENT_OPEN,
	    .reason = "the daemon stopped while the call was in flight",
	    .by = "restart",
	};

	if (row->state == PAYMENT_SIGNED) {
		batch_payment_state(load->batch, &state);
		load->wrote = true;
	}
	return true;
}

/* What is open now, and whether its call's agent was given an answer. */
static bool load_outstanding(
    const struct payment_row *row, const struct unanswered *how, void *arg)
{
	struct house *house = ((struct load *)arg)->house;
	struct open_payment payment = {
	    .id = row->id,
	    .call = row->call,
	    .agent = registry_agent_by_id(house->registry, row->agent),
	    .amount = row->amount,
	    .valid_before_s = row->valid_before_s,
	    .tool = (char *)(uintptr_t)row->tool,
	    .session = (char *)(uintptr_t)row->session,
	    .keyed = how->keyed,
	    .answered = how->answered,
	    .withdrawn = row->reason && strncmp(row->reason, OUTSTANDING_CANCELLING,
					    strlen(OUTSTANDING_CANCELLING)) == 0,
	};
	struct address contract;
	uint64_t chain_id;

	/* Money whose asset no table names keeps the house from opening (load_balance). */
	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset) ||
	    !uint256_parse(&payment.value, row->value) ||
	    !address_parse(&payment.payer, row->payer) ||
	    !address_parse(&payment.payee, row->payee) || strncmp(row->nonce, "0x", 2) != 0 ||
	    !hex_decode(payment.nonce, sizeof payment.nonce, row->nonce))
		return true;
	payment.asset = assets_find(house->assets, chain_id, &contract);
	if (!payment.asset || !payment.agent)
		return true;
	payment.target = outstanding_target(row->agent, row->method, row->url);
	payment.request = outstanding_request(&payment.target, &row->request);
	outstanding_add(house->outstanding, &payment);
	return true;
}

/* What has ended and may end otherwise. */
static bool load_watched(const struct payment_row *row, void *arg)
{
	struct house *house = ((struct load *)arg)->house;
	const struct asset *asset;
	struct address contract;
	uint64_t chain_id;

	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset))
		return true;
	asset = assets_find(house->assets, chain_id, &contract);
	if (asset && row->state >= PAYMENT_SETTLED)
		watch_add(house->watch, row->id, asset);
	return true;
}

/* A metered call that a crash cut off may have been served and billed: it counts. */
static bool load_orphan(const struct journal_row *row, void *arg)
{
	struct load *load = arg;
	struct journal_row charge = *row;

	charge.event = JOURNAL_CHARGE;
	charge.note =
	    "the daemon stopped while the call was in flight; charged, the vendor may bill it";
	batch_journal(load->batch, &charge);
	load->wrote = true;
	return true;
}

/* --- what an agent has spent ------------------------------------------------ */

/* Where a meter's windows begin: the month, yesterday, today, what slides. What lies between
 * two of them may come as a sum. */
static void charge_borders(int64_t out[HOUSE_BORDERS], int64_t now_us)
{
	out[3] = now_us - SLIDING_US;
	out[2] = window_day_start_us(now_us);
	out[1] = window_day_start_us(out[2] - 1);
	out[0] = window_month_start_us(now_us);
	for (size_t i = HOUSE_BORDERS - 1; i > 0; i--) {
		if (out[i - 1] > out[i])
			out[i - 1] = out[i];
	}
}

struct recalling {
	struct registry *registry;
	struct agent *agent;
	struct purse *draft;
};

static bool recall_charge(const struct charge_row *row, void *arg)
{
	struct recalling *to = arg;

	purse_restore_charge(to->draft, row->session, row->tool, row->payee, row->wallet,
	    row->at_us, row->spend, row->calls);
	return true;
}

/* Rows show addresses in EIP-55; policies and pins have them in lower case. */
static void recall_first_payee(int64_t id, const char *tool, const char *payee, void *arg)
{
	struct recalling *to = arg;
	char lower[ADDRESS_TEXT_SIZE];
	struct address address;

	(void)id;
	if (address_read(&address, payee))
		registry_pin(
		    to->registry, to->agent, tool, address_format_lower(lower, &address));
}

/* As of the start: what was booked since is in the purse already, or about to be. Pins are there
 * before the purse wakes, so that a call that has been admitted finds them. */
static enum purse_past recall(struct purse *draft, void *owner, size_t rows_max, void *arg)
{
	struct house *house = arg;
	struct recalling to = {house->registry, owner, draft};

	switch (store_charges(house->store, to.agent->id, house->past_end_us, rows_max,
	    house->past_borders_us, HOUSE_BORDERS, recall_charge, recall_first_payee, &to)) {
	case STORE_OK:
		return PURSE_AWAKE;
	case STORE_TOO_LONG:
		return PURSE_LONG;
	case STORE_NOT_FOUND:
	case STORE_LOCKED:
	case STORE_NEWER_SCHEMA:
	case STORE_EXISTS:
	case STORE_BROKEN:
		break;
	}
	return PURSE_UNREADABLE;
}

/* --- all else ---------------------------------------------------------------- */

/* What the last stop left behind is written before what it changes is read. */
static enum house_result write_left_behind(struct load *load, char reason[512])
{
	struct store *store = load->house->store;

	load->batch = batch_new(load->now_us);
	if (store_payments(store, 0, true, load_signed, load) != STORE_OK ||
	    store_orphans(store, load_orphan, load) != STORE_OK)
		return broken(reason, load, "open payments");
	FAULT_POINT("open");
	if (load->wrote && store_append_wait(store, &load->batch) != STORE_OK)
		return broken(reason, load, "or write what the last stop left open");
	FAULT_POINT("opened");
	return HOUSE_OK;
}

/* Who may call, and what. */
static enum house_result load_registry(struct load *load, char reason[512])
{
	struct store *store = load->house->store;

	if (store_agents(store, load_agent, load) != STORE_OK || load->failed)
		return broken(reason, load, "agents");
	if (store_tools(store, load_tool, load) != STORE_OK)
		return broken(reason, load, "tools");
	if (store_networks(store, load_network, load) != STORE_OK)
		return broken(reason, load, "networks");
	if (store_tokens(store, 0, load->now_us / CLOCK_US_PER_S, load_token, load) != STORE_OK)
		return broken(reason, load, "tokens");
	return HOUSE_OK;
}

/* Agents, and beside them what they have: neither is much longer than the other. One after the
 * other where there is no thread to be had. */
static enum house_result load_agents(struct load *load, char reason[512])
{
	struct positions positions = {.house = load->house, .result = HOUSE_OK};
	enum house_result result;
	pthread_t thread;
	bool beside = thread_start(&thread, positions_main, &positions);

	result = load_registry(load, reason);
	if (beside)
		must(pthread_join(thread, NULL) == 0);
	else
		read_positions(&positions);
	if (result == HOUSE_OK && positions.result != HOUSE_OK)
		result = house_say(reason, positions.result, "%s", positions.reason);
	if (result == HOUSE_OK)
		tell_positions(&positions);
	positions_fini(&positions);
	return result;
}

/* What was paid, and is not over. */
static enum house_result load_open(struct load *load, char reason[512])
{
	struct store *store = load->house->store;

	if (store_outstanding(store, load_outstanding, load) != STORE_OK)
		return broken(reason, load, "open payments");
	if (store_chain_ends(store, load->now_us - RECONCILE_REORG_US, load_watched, load) !=
		STORE_OK ||
	    store_on_word(store, 0, load_watched, load) != STORE_OK ||
	    store_disputed(store, 0, load_watched, load) != STORE_OK)
		return broken(reason, load, "what the chain said");
	return HOUSE_OK;
}

enum house_result house_load(struct house *house, char reason[512], int64_t now_us)
{
	struct load load = {.house = house, .now_us = now_us, .reason = reason};
	enum house_result result;

	charge_borders(house->past_borders_us, now_us);
	purses_recall_by(house->purses, recall, house);
	purses_lock(house->purses);
	result = write_left_behind(&load, reason);
	house->past_end_us = store_next_id(house->store, now_us);
	if (result == HOUSE_OK)
		result = load_agents(&load, reason);
	if (result == HOUSE_OK)
		result = load_open(&load, reason);
	purses_unlock(house->purses);
	load_fini(&load);
	return result;
}
