/* How much, and whose: policies and wallets. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "proxy/answer.h"
#include "proxy/view.h"

#define READINGS_MAX 256u

/* --- policies -------------------------------------------------------------------- */

static json_t *policy_set(struct command *command)
{
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	const char *text = agent ? command_text(command, &error, "policy") : NULL;
	struct json_error place;
	struct policy *policy;
	struct batch *batch;
	json_t *result;

	if (!text)
		return error;
	policy = policy_parse(&place, text, strlen(text));
	if (!policy)
		return answer_error(COMMAND_FAILED, "the policy's line %d: %s%s%s", place.line,
		    place.path, *place.path ? ": " : "", place.reason);
	if (policy->agent && strcmp(policy->agent, agent->name) != 0)
		command_warn(command, "the policy is written for agent %s and is used for %s",
		    policy->agent, agent->name);
	batch = batch_new(command->now_us);
	batch_policy(batch, store_next_id(command->house->store, command->now_us), agent->id, text);
	error = command_write(command, &batch, "policy set", agent, NULL, NULL);
	if (error) {
		policy_free(&policy);
		return error;
	}
	result = json_pack("{s:s, s:I, s:I}", "agent", agent->name, "rules",
	    (json_int_t)policy->rule_count, "limits", (json_int_t)policy->limit_count);
	registry_set_policy(command->house->registry, agent, policy);
	reserve_retry(command->house->purses, agent);
	return answer_ok(result);
}

static json_t *policy_show(struct command *command)
{
	json_t *error = NULL, *result;
	struct agent *agent = command_agent(command, &error);
	struct policy_ref *policy;
	char *text;

	if (!agent)
		return error;
	policy = registry_policy(command->house->registry, agent);
	if (policy->unreadable) {
		policy_unref(&policy);
		return answer_error(COMMAND_FAILED,
		    "the stored policy of %s does not parse, and it may call nothing: set another",
		    agent->name);
	}
	text = policy_format(policy->policy);
	result = json_loads(text, 0, NULL);
	free(text);
	policy_unref(&policy);
	return answer_ok(result);
}

static json_t *explain_limits(
    const struct limit_reading *readings, size_t count, int64_t spend, bool priced)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct limit *limit = readings[i].limit;
		int64_t want = limit->measure == LIMIT_CALLS ? 1 : spend, sum;
		bool fits =
		    !__builtin_add_overflow(readings[i].used, want, &sum) && sum <= limit->max;
		json_t *row = view_limit(&readings[i]);

		if (limit->measure == LIMIT_SPEND && !priced)
			fits = readings[i].used < limit->max;
		json_object_set_new(row, "rule", json_string(limit->name));
		json_object_set_new(row, "fits", json_boolean(fits));
		json_array_append_new(list, row);
	}
	return list;
}

/* What the limits leave after the call, as the owner would read it. */
static char *explain_reason(const struct decision *decision, bool allowed, const char *rule,
    int64_t spend, bool priced, int64_t funds)
{
	char left[AMOUNT_TEXT_SIZE], want[AMOUNT_TEXT_SIZE], wallet[AMOUNT_TEXT_SIZE];
	const struct limit *limit = decision->limit;

	if (!allowed)
		return must_format("refused by the rule \"%s\"", rule);
	amount_format(want, amount_of(spend));
	amount_format(wallet, amount_of(funds));
	if (limit && decision->verdict != DECIDE_ALLOW) {
		if (limit->measure == LIMIT_CALLS)
			return must_format("refused by the limit \"%s\": %lld calls remain",
			    limit->name, (long long)decision->remaining);
		return must_format("refused by the limit \"%s\": $%s remains, $%s is asked",
		    limit->name, amount_format(left, amount_of(decision->remaining)), want);
	}
	if (priced && funds < spend)
		return must_format("refused: the wallet has $%s free, $%s is asked", wallet, want);
	if (!limit)
		return must_format(
		    "allowed by \"%s\"; no limit counts this spend; the wallet has $%s free", rule,
		    wallet);
	return must_format("allowed by \"%s\"; after it \"%s\" would leave $%s, the wallet $%s",
	    rule, limit->name, amount_format(left, amount_of(decision->remaining - spend)),
	    amount_format(want, amount_of(funds - spend)));
}

static json_t *explain(struct command *command, struct agent *agent, const struct policy *policy,
    const struct tool *tool, int64_t spend, bool priced)
{
	static struct limit_reading readings[READINGS_MAX]; /* commands run one at a time */
	bool metered = tool->billing == TOOL_METERED;
	struct decision decision = {.verdict = DECIDE_ALLOW};
	const char *rule, *code = NULL;
	int64_t funds = INT64_MAX;
	size_t count = 0;
	json_t *result;
	char *reason;
	bool allowed = policy_rule(policy, tool->name, &rule), named = allowed;

	if (allowed)
		count = reserve_explain(&decision, readings, READINGS_MAX, command->house->purses,
		    agent, policy, "", tool->name, NULL, metered, spend, command->now_us);
	else
		code = "tool_denied";
	if (!metered) {
		purses_lock(command->house->purses);
		funds = purse_free(agent->purse);
		purses_unlock(command->house->purses);
	}
	if (allowed && decision.verdict != DECIDE_ALLOW) {
		allowed = false;
		code = decide_code_str(decision.code);
	} else if (allowed && priced && funds < spend) {
		allowed = false;
		code = "insufficient_funds";
	}
	reason = explain_reason(&decision, named, rule, spend, priced, funds);
	result = json_pack("{s:s, s:s, s:o, s:b, s:s?, s:s, s:o, s:o, s:o, s:s}", "agent",
	    agent->name, "tool", tool->name, "price", priced ? view_amount(spend) : json_null(),
	    "allowed", allowed, "code", code, "rule",
	    allowed || !named                  ? rule
	    : decision.verdict != DECIDE_ALLOW ? decision.limit->name
					       : "wallet",
	    "remaining",
	    decision.limit && decision.limit->measure == LIMIT_SPEND
		? view_amount(decision.remaining)
	    : decision.limit ? json_integer(decision.remaining)
			     : json_null(),
	    "resets_at", view_time(decision.limit ? decision.resets_us : 0), "limits",
	    explain_limits(readings, count < READINGS_MAX ? count : READINGS_MAX, spend, priced),
	    "reason", reason);
	free(reason);
	must(result != NULL);
	return answer_ok(result);
}

static json_t *policy_explain(struct command *command)
{
	json_t *error = NULL, *reply;
	struct agent *agent = command_agent(command, &error);
	const char *name = agent ? command_text(command, &error, "tool") : NULL;
	struct policy_ref *policy;
	struct tool *tool;
	int64_t spend = 0;
	bool priced;

	if (!name)
		return error;
	tool = registry_tool(command->house->registry, name);
	if (!tool)
		return answer_error(COMMAND_NOT_FOUND,
		    "there is no tool %s: `tallyward tool list` names them", name);
	priced = json_str(command->args, "price") != NULL;
	if (priced && !command_amount(&spend, command, &error, "price")) {
		tool_unref(&tool);
		return error;
	}
	if (!priced && tool->has_price) {
		spend = tool->price;
		priced = true;
	}
	policy = registry_policy(command->house->registry, agent);
	reply = explain(command, agent, policy->policy, tool, spend, priced);
	policy_unref(&policy);
	tool_unref(&tool);
	return reply;
}

/* --- wallets -------------------------------------------------------------------------- */

static json_t *wallet_show(struct command *command)
{
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	char text[ADDRESS_TEXT_SIZE];
	struct address address;

	if (!agent)
		return error;
	address = registry_address(command->house->registry, agent);
	return answer_ok(json_pack("{s:s, s:s, s:o}", "agent", agent->name, "address",
	    address_format(text, &address), "assets", view_wallet(command->house, agent)));
}

static const struct asset *command_asset(struct command *command, json_t **error)
{
	const char *network =
	    command_text_or(command, "network", house_config(command->house)->default_network);
	const struct asset *asset = assets_default(command->house->assets, network);

	if (!asset)
		*error = answer_error(COMMAND_NOT_FOUND,
		    "there is no payable asset on %s: `tallyward network list` names the networks",
		    network);
	return asset;
}

/* A row of the journal and the purse, in the order that cannot show money that is not
 * there: a withdrawal leaves the purse first, a deposit enters it last. */
static json_t *move(struct command *command, enum journal_event event)
{
	struct house *house = command->house;
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	const struct asset *asset;
	struct journal_row row;
	struct batch *batch;
	unsigned slot;
	int64_t amount, available;
	bool taken = true;

	if (!agent || !command_amount(&amount, command, &error, "amount"))
		return error;
	if (amount <= 0)
		return answer_error(COMMAND_USAGE, "the amount must be above zero");
	asset = command_asset(command, &error);
	if (!asset)
		return error;
	slot = house_slot(house, asset);
	if (event == JOURNAL_WITHDRAW) {
		purses_lock(house->purses);
		taken = purse_withdraw(agent->purse, slot, amount);
		purses_unlock(house->purses);
	}
	if (!taken)
		return answer_error(COMMAND_FAILED,
		    "the wallet has less than that free on %s: `tallyward wallet show %s`",
		    asset->network, agent->name);
	row = (struct journal_row){
	    .event = event,
	    .agent = agent->id,
	    .agent_name = agent->name,
	    .owner = agent->owner,
	    .amount = amount,
	    .network = asset->network,
	    .asset = asset->contract_text,
	    .symbol = asset->symbol,
	    .note = command_text_or(command, "note", NULL),
	};
	batch = batch_new(command->now_us);
	batch_journal(batch, &row);
	error = command_write(command, &batch,
	    event == JOURNAL_DEPOSIT ? "wallet deposit" : "wallet withdraw", agent, NULL, row.note);
	purses_lock(house->purses);
	if (event == JOURNAL_DEPOSIT ? error == NULL : error != NULL)
		purse_deposit(agent->purse, slot, amount);
	available = purse_balance(agent->purse, slot).available;
	purses_unlock(house->purses);
	if (error)
		return error;
	reserve_retry(house->purses, agent);
	return answer_ok(json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:o}", "agent", agent->name,
	    "event", journal_event_str(event), "amount", view_amount(amount), "network",
	    asset->network, "asset", asset->contract_text, "symbol", asset->symbol, "available",
	    view_amount(available)));
}

static json_t *key_reply(const char *agent, enum keystore_result result, const char *reason)
{
	enum command_exit status = COMMAND_FAILED;

	if (result == KEYSTORE_NOT_FOUND)
		status = COMMAND_NOT_FOUND;
	if (result == KEYSTORE_EXISTS)
		return answer_error(COMMAND_NOT_ALLOWED,
		    "agent %s has a key already: move its money first, then add --replace", agent);
	return answer_error(status, "the key of agent %s: %s", agent,
	    reason && *reason ? reason : keystore_result_str(result));
}

/* Nothing may be outstanding under the old key, and no money left behind unnoticed. */
static json_t *refuse_replacing(struct command *command, struct agent *agent)
{
	bool open = false, funded = false;

	purses_lock(command->house->purses);
	for (size_t slot = 1; slot <= assets_count(command->house->assets); slot++) {
		struct balance balance = purse_balance(agent->purse, (unsigned)slot);

		open = open || balance.open > 0;
		funded = funded || balance.available > 0;
	}
	purses_unlock(command->house->purses);
	if (open)
		return answer_error(COMMAND_NOT_ALLOWED,
		    "agent %s has open payments signed by its present key: settle them first "
		    "(`tallyward payment list --open`)",
		    agent->name);
	if (funded)
		command_warn(command,
		    "the ledger still shows money for %s; it belongs to the old address until you "
		    "move it",
		    agent->name);
	return NULL;
}

/* The key has signed nothing: it was made by `agent add` and stands for nothing yet. */
static bool never_signed(struct house *house, const struct agent *agent)
{
	bool used = false;

	purses_lock(house->purses);
	for (size_t slot = 1; slot <= assets_count(house->assets); slot++) {
		struct balance balance = purse_balance(agent->purse, (unsigned)slot);

		used = used || balance.open || balance.spent;
	}
	purses_unlock(house->purses);
	return !used;
}

static enum keystore_result import_key(struct address *out, char reason[256],
    struct command *command, const char *agent, bool replace)
{
	struct keystore *keystore = command->house->keystore;
	const char *key = json_str(command->args, "key");
	const char *v3 = json_str(command->args, "keystore");
	const char *password = command_text_or(command, "password", "");

	if (key)
		return keystore_import_hex(out, reason, keystore, agent, key, strlen(key), replace);
	return keystore_import_v3(out, reason, keystore, agent, v3, strlen(v3), password,
	    strlen(password), replace);
}

struct holder {
	struct house *house;
	const struct address *address;
	const struct agent *agent, *other;
};

static bool find_holder(struct agent *agent, void *arg)
{
	struct holder *holder = arg;
	struct address address = registry_address(holder->house->registry, agent);

	if (agent != holder->agent && address_equal(&address, holder->address))
		holder->other = agent;
	return holder->other == NULL;
}

static json_t *refuse_shared(
    struct command *command, const struct agent *agent, const struct address *address)
{
	struct holder holder = {command->house, address, agent, NULL};

	registry_each_agent(command->house->registry, find_holder, &holder);
	if (!holder.other)
		return NULL;
	return answer_error(COMMAND_NOT_ALLOWED,
	    "agent %s has that key: two agents cannot share a wallet, give each its own",
	    holder.other->name);
}

static json_t *wallet_import(struct command *command)
{
	struct house *house = command->house;
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	const char *key = json_str(command->args, "key");
	const char *keystore = json_str(command->args, "keystore");
	bool replace = json_is_true(json_member(command->args, "replace"));
	char reason[256] = "", text[ADDRESS_TEXT_SIZE];
	enum keystore_result result;
	struct address address;
	struct batch *batch;

	if (!agent)
		return error;
	if (!key == !keystore)
		return answer_error(COMMAND_USAGE, "give one of --key-file and --keystore");
	if (!replace)
		replace = never_signed(house, agent);
	if (replace && (error = refuse_replacing(command, agent)))
		return error;
	/* Two agents on one wallet would be two sums over one balance. */
	result = import_key(&address, reason, command, NULL, replace);
	if (result == KEYSTORE_OK && (error = refuse_shared(command, agent, &address)))
		return error;
	if (result == KEYSTORE_OK)
		result = import_key(&address, reason, command, agent->name, replace);
	if (result != KEYSTORE_OK)
		return key_reply(agent->name, result, reason);
	batch = batch_new(command->now_us);
	batch_agent_address(batch, store_next_id(house->store, command->now_us), agent->id,
	    address_format(text, &address));
	error = command_write(command, &batch, "wallet import", agent, NULL, text);
	if (error)
		return error;
	registry_set_address(house->registry, agent, &address);
	/* If this fails, or the process ends here, the first signature does it. */
	result = keystore_adopt(house->keystore, agent->name, &address);
	if (result != KEYSTORE_OK)
		command_warn(command, "the key is stored but not in its place yet: %s",
		    keystore_result_str(result));
	return answer_ok(json_pack("{s:s, s:s}", "agent", agent->name, "address", text));
}

static json_t *wallet_export(struct command *command)
{
	json_t *error = NULL, *keystore;
	struct agent *agent = command_agent(command, &error);
	const char *password = agent ? command_text(command, &error, "password") : NULL;
	char *text = NULL, address_text[ADDRESS_TEXT_SIZE];
	struct address address;
	enum keystore_result result;
	struct batch *batch;

	if (!password)
		return error;
	address = registry_address(command->house->registry, agent);
	result = keystore_adopt(command->house->keystore, agent->name, &address);
	if (result == KEYSTORE_OK)
		result = keystore_export_v3(
		    &text, command->house->keystore, agent->name, password, strlen(password));
	if (result != KEYSTORE_OK)
		return key_reply(agent->name, result, NULL);
	batch = batch_new(command->now_us);
	error = command_write(command, &batch, "wallet export", agent, NULL, NULL);
	if (error) {
		free(text);
		return error;
	}
	keystore = json_loads(text, 0, NULL);
	must(keystore != NULL);
	free(text);
	return answer_ok(json_pack("{s:s, s:s, s:o}", "agent", agent->name, "address",
	    address_format(address_text, &address), "keystore", keystore));
}

json_t *command_money(struct command *command, const char *name)
{
	static const struct {
		const char *name;
		json_t *(*run)(struct command *command);
	} verbs[] = {
	    {"policy.set", policy_set},
	    {"policy.show", policy_show},
	    {"policy.explain", policy_explain},
	    {"wallet.show", wallet_show},
	    {"wallet.import", wallet_import},
	    {"wallet.export", wallet_export},
	};

	if (strcmp(name, "wallet.deposit") == 0)
		return move(command, JOURNAL_DEPOSIT);
	if (strcmp(name, "wallet.withdraw") == 0)
		return move(command, JOURNAL_WITHDRAW);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run(command);
	}
	return NULL;
}
