#include "proxy/view.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "wallet/offer.h"

json_t *view_amount(int64_t micros)
{
	char text[AMOUNT_TEXT_SIZE];

	return json_string(amount_format(text, amount_of(micros)));
}

json_t *view_id(int64_t id)
{
	return json_sprintf("%lld", (long long)id);
}

json_t *view_time(int64_t us)
{
	char text[CLOCK_TEXT_SIZE];

	return us ? json_string(clock_format(text, us)) : json_null();
}

static json_t *wallet_row(const char *network, const char *asset, const char *symbol,
    const struct balance *balance, int64_t provisional)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "network", network, "asset", asset,
	    "symbol", symbol, "available", view_amount(balance->available - provisional),
	    "reserved", view_amount(balance->reserved + provisional), "open",
	    view_amount(balance->open), "spent", view_amount(balance->spent));
}

static bool is_used(const struct balance *balance)
{
	return balance->available || balance->reserved || balance->open || balance->spent;
}

json_t *view_wallet(struct house *house, struct agent *agent)
{
	size_t count = assets_count(house->assets) + 1;
	struct balance *balances = must_calloc(count, sizeof *balances);
	int64_t provisional;
	json_t *list = json_array();

	purses_lock(house->purses);
	for (size_t slot = 0; slot < count; slot++)
		balances[slot] = purse_balance(agent->purse, (unsigned)slot);
	provisional = purse_provisional(agent->purse);
	purses_unlock(house->purses);
	for (size_t slot = 1; slot < count; slot++) {
		const struct asset *asset = assets_at(house->assets, slot - 1);
		int64_t part =
		    provisional < balances[slot].available ? provisional : balances[slot].available;

		if (!is_used(&balances[slot]))
			continue;
		provisional -= part;
		json_array_append_new(list, wallet_row(asset->network, asset->contract_text,
						asset->symbol, &balances[slot], part));
	}
	if (is_used(&balances[PURSE_OFF_CHAIN]))
		json_array_append_new(
		    list, wallet_row("off-chain", "USD", "USD", &balances[PURSE_OFF_CHAIN], 0));
	free(balances);
	return list;
}

static json_t *scope_of(const struct limit *limit)
{
	static const char *const scopes[] = {[LIMIT_SCOPE_SESSION] = "session",
	    [LIMIT_SCOPE_AGENT] = "agent",
	    [LIMIT_SCOPE_WALLET] = "wallet",
	    [LIMIT_SCOPE_TOOL] = "tool",
	    [LIMIT_SCOPE_PAYEE] = "payee"};

	return limit->target ? json_sprintf("%s:%s", scopes[limit->scope], limit->target)
			     : json_string(scopes[limit->scope]);
}

static json_t *quantity(const struct limit *limit, int64_t value)
{
	return limit->measure == LIMIT_SPEND ? view_amount(value) : json_integer(value);
}

json_t *view_limit(const struct limit_reading *reading)
{
	const struct limit *limit = reading->limit;
	int64_t remaining = limit->max > reading->used ? limit->max - reading->used : 0;

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "scope", scope_of(limit), "window",
	    window_str(limit->window), "measure", limit->measure == LIMIT_SPEND ? "spend" : "calls",
	    "max", quantity(limit, limit->max), "used", quantity(limit, reading->used), "remaining",
	    quantity(limit, remaining), "resets_at", view_time(reading->total.resets_us));
}

json_t *view_limits(struct house *house, const struct agent *agent, const struct policy *policy,
    const char *session, int64_t now_us)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->limit_count; i++) {
		const struct limit *limit = &policy->limits[i];
		bool each = !limit->target &&
			    (limit->scope == LIMIT_SCOPE_TOOL || limit->scope == LIMIT_SCOPE_PAYEE);
		struct limit_reading reading = {.limit = limit, .at_us = now_us};

		if (!each && !(limit->scope == LIMIT_SCOPE_SESSION && !session))
			reading =
			    reserve_read(house->purses, agent, limit, session, NULL, NULL, now_us);
		json_array_append_new(list, view_limit(&reading));
	}
	return list;
}

struct tools {
	const struct policy *policy;
	json_t *names; /* an object, so that they come out sorted */
};

static bool add_tool(const struct tool *tool, void *arg)
{
	struct tools *tools = arg;
	const char *rule;

	if (policy_rule(tools->policy, tool->name, &rule))
		json_object_set_new(tools->names, tool->name, json_true());
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *view_tools(struct house *house, const struct policy *policy)
{
	struct tools tools = {policy, json_object()};
	json_t *list = json_array(), *value;
	const char **names, *name;
	size_t count = 0;

	registry_each_tool(house->registry, add_tool, &tools);
	names = must_calloc(json_object_size(tools.names) + 1, sizeof *names);
	json_object_foreach (tools.names, name, value) {
		names[count++] = name;
	}
	qsort(names, count, sizeof *names, by_name);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(names[i]));
	free(names);
	json_decref(tools.names);
	return list;
}

static json_t *verdict_json(const struct offer_verdict *verdict)
{
	char signer[ADDRESS_TEXT_SIZE];

	return json_pack("{s:s, s:s?, s:s?}", "state", offer_state_str(verdict->state), "signer",
	    verdict->has_signer ? address_format(signer, &verdict->signer) : NULL, "reason",
	    *verdict->reason ? verdict->reason : NULL);
}

/* False: the row is not one of ours to read; then nothing about it can be checked. */
static bool read_paid(struct offer_paid *out, const struct payment_row *row)
{
	*out = (struct offer_paid){
	    .url = row->url,
	    .signed_s = row->id / CLOCK_US_PER_S,
	    .transaction = row->transaction,
	};
	return network_parse(&out->chain_id, row->network) &&
	       address_parse(&out->asset, row->asset) && address_parse(&out->payer, row->payer) &&
	       address_parse(&out->payee, row->payee) && uint256_parse(&out->value, row->value);
}

json_t *view_offer(const struct payment_row *row)
{
	struct offer_verdict verdict = {.state = OFFER_ABSENT};
	struct offer_paid paid;

	if (read_paid(&paid, row))
		offer_check(&verdict, row->challenge ? row->challenge : "", &paid);
	return verdict_json(&verdict);
}

struct receipts {
	struct offer_paid paid;
	struct offer_verdict best;
};

static bool check_receipt(const struct payment_state_row *row, void *arg)
{
	struct receipts *receipts = arg;
	struct offer_verdict verdict;

	receipts->paid.received_s = row->id / CLOCK_US_PER_S;
	offer_check_receipt(&verdict, row->receipt, &receipts->paid);
	if (verdict.state <= receipts->best.state)
		receipts->best = verdict;
	return true;
}

json_t *view_receipt(struct house *house, const struct payment_row *row)
{
	struct receipts receipts = {.best.state = OFFER_ABSENT};

	offer_check_receipt(&receipts.best, NULL, &receipts.paid);
	if (read_paid(&receipts.paid, row) &&
	    store_payment_states(house->store, row->id, check_receipt, &receipts) != STORE_OK)
		receipts.best = (struct offer_verdict){
		    .state = OFFER_ABSENT, .reason = "the ledger cannot be read"};
	return verdict_json(&receipts.best);
}
