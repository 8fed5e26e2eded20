/* Who and what: agents, tokens, tools, networks. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "proxy/answer.h"
#include "proxy/chain.h"
#include "proxy/rpc.h"
#include "proxy/view.h"

#define OWNER_SIZE_MAX  (TOKEN_OWNER_SIZE - 1)
#define TOKEN_TTL_S_MAX INT64_C(315360000) /* ten years, as common/clock.h reads durations */
#define RPC_SIZE_MAX    (CHAIN_ENDPOINTS_MAX * RPC_URL_SIZE)

/* --- agents -------------------------------------------------------------------- */

static bool agent_name_valid(const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size >= TOKEN_NAME_SIZE || name[0] == '.' || name[0] == '-')
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	}
	return true;
}

static bool owner_valid(const char *owner)
{
	size_t size = strlen(owner);

	if (size == 0 || size > OWNER_SIZE_MAX)
		return false;
	for (; *owner; owner++) {
		if ((unsigned char)*owner < 0x20 || *owner == 0x7f)
			return false;
	}
	return true;
}

static bool ttl(int64_t *out, struct command *command, json_t **error)
{
	json_t *value = json_member(command->args, "ttl_s");

	*out = house_config(command->house)->token_ttl_s;
	if (!value)
		return true;
	*out = json_integer_value(value);
	if (json_is_integer(value) && *out >= 1 && *out <= TOKEN_TTL_S_MAX)
		return true;
	*error =
	    answer_error(COMMAND_USAGE, "a token's life is 1 second to 10 years: write 8h or 30d");
	return false;
}

/* A new session: its row into the batch, its claims ready to sign once that is durable. */
static void session_begin(struct command *command, struct batch *batch, struct token_claims *claims,
    int64_t agent, const char *name, const char *owner, int64_t ttl_s)
{
	struct token_row row;

	memset(claims, 0, sizeof *claims);
	snprintf(claims->agent, sizeof claims->agent, "%s", name);
	snprintf(claims->owner, sizeof claims->owner, "%s", owner);
	token_session(claims->session);
	claims->issued_s = command->now_us / CLOCK_US_PER_S;
	claims->expires_s = claims->issued_s + ttl_s;
	row = (struct token_row){
	    .id = store_next_id(command->house->store, command->now_us),
	    .session = claims->session,
	    .agent = agent,
	    .expires_s = claims->expires_s,
	};
	batch_token(batch, &row);
}

/* Known from the start on; one that expires before its first call needs no place. */
static void admit(struct command *command, const struct token_claims *claims)
{
	(void)!registry_admit(command->house->registry, claims->session, claims->expires_s);
}

static json_t *token_json(
    struct command *command, const struct token_claims *claims, const char *address)
{
	char *token = token_make(claims, command->house->token_secret);
	json_t *result = json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:o}", "agent", claims->agent,
	    "owner", address ? claims->owner : NULL, "address", address, "session", claims->session,
	    "token", token, "expires_at", view_time(claims->expires_s * CLOCK_US_PER_S));

	if (!address) {
		json_object_del(result, "owner");
		json_object_del(result, "address");
	}
	bytes_wipe(token, strlen(token));
	free(token);
	return result;
}

static struct policy *read_policy(
    struct command *command, json_t **error, const char *text, const char *agent, const char *owner)
{
	struct json_error place;
	struct policy *policy = policy_parse(&place, text, strlen(text));

	if (!policy) {
		*error = answer_error(COMMAND_FAILED, "the policy's line %d: %s%s%s", place.line,
		    place.path, *place.path ? ": " : "", place.reason);
		return NULL;
	}
	if (policy->agent && strcmp(policy->agent, agent) != 0)
		command_warn(command, "the policy is written for agent %s and is used for %s",
		    policy->agent, agent);
	if (policy->owner && strcmp(policy->owner, owner) != 0)
		command_warn(command, "the policy names the owner %s, the agent's owner is %s",
		    policy->owner, owner);
	return policy;
}

static json_t *key_error(const char *agent, enum keystore_result result)
{
	return answer_error(
	    COMMAND_FAILED, "the key of agent %s: %s", agent, keystore_result_str(result));
}

static json_t *agent_add(struct command *command)
{
	struct house *house = command->house;
	json_t *error = NULL;
	const char *name = command_text(command, &error, "name");
	const char *owner = name ? command_text(command, &error, "owner") : NULL;
	const char *text = command_text_or(command, "policy", NULL);
	char address_text[ADDRESS_TEXT_SIZE];
	struct agent made_agent = {0}; /* only its names, for the audit */
	struct token_claims claims;
	enum keystore_result made;
	struct address address;
	struct policy *policy = NULL;
	struct agent_row row;
	struct agent *agent;
	struct batch *batch;
	int64_t ttl_s;

	if (!owner || !ttl(&ttl_s, command, &error))
		return error;
	if (!agent_name_valid(name))
		return answer_error(
		    COMMAND_USAGE, "an agent's name is 1 to 64 letters, digits, '.', '_' or '-'");
	if (!owner_valid(owner))
		return answer_error(
		    COMMAND_USAGE, "an owner's name is 1 to 256 bytes of printable text");
	if (registry_agent(house->registry, name))
		return answer_error(
		    COMMAND_FAILED, "there is an agent %s already; nothing was changed", name);
	/* Without one it has the default policy, whatever that comes to be. */
	if (text && !(policy = read_policy(command, &error, text, name, owner)))
		return error;
	made = keystore_generate(&address, house->keystore, name);
	if (made == KEYSTORE_EXISTS)
		/* An earlier attempt got as far as the key; it has never held money. */
		made = keystore_address(&address, house->keystore, name);
	if (made != KEYSTORE_OK) {
		policy_free(&policy);
		return key_error(name, made);
	}
	batch = batch_new(command->now_us);
	row = (struct agent_row){
	    .id = store_next_id(house->store, command->now_us),
	    .name = name,
	    .owner = owner,
	    .address = address_format(address_text, &address),
	};
	batch_agent(batch, &row);
	if (text)
		batch_policy(
		    batch, store_next_id(house->store, command->now_us), row.id, text);
	session_begin(command, batch, &claims, row.id, name, owner, ttl_s);
	made_agent.id = row.id;
	made_agent.name = claims.agent;
	made_agent.owner = claims.owner;
	error = command_write(command, &batch, "agent add", &made_agent, NULL, NULL);
	if (error) {
		policy_free(&policy);
		return error;
	}
	purses_lock(house->purses);
	agent = registry_add_agent(house->registry, &row, purses_add(house->purses));
	purses_unlock(house->purses);
	if (policy)
		registry_set_policy(house->registry, agent, policy);
	admit(command, &claims);
	return answer_ok(token_json(command, &claims, address_text));
}

static json_t *agent_json(struct house *house, struct agent *agent)
{
	struct address address = registry_address(house->registry, agent);
	char text[ADDRESS_TEXT_SIZE];

	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "agent", agent->name, "owner", agent->owner,
	    "address", address_format(text, &address), "state",
	    atomic_load(&agent->suspended) ? "suspended" : "active", "created_at",
	    view_time(agent->created_us));
}

struct list {
	struct command *command;
	json_t *rows;
	int64_t count;
};

static bool list_agent(struct agent *agent, void *arg)
{
	struct list *list = arg;

	json_array_append_new(list->rows, agent_json(list->command->house, agent));
	return true;
}

static json_t *agent_list(struct command *command)
{
	struct list list = {command, json_array(), 0};

	registry_each_agent(command->house->registry, list_agent, &list);
	return answer_ok(list.rows);
}

static bool count_token(const struct token_row *row, void *arg)
{
	struct list *list = arg;

	if (!row->revoked)
		list->count++;
	return true;
}

static json_t *agent_show(struct command *command)
{
	struct list list = {command, NULL, 0};
	json_t *error = NULL, *result, *policy_json;
	struct agent *agent = command_agent(command, &error);
	struct policy_ref *policy;
	char *text;

	if (!agent)
		return error;
	if (store_tokens(command->house->store, agent->id, command->now_us / CLOCK_US_PER_S,
		count_token, &list) != STORE_OK)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	policy = registry_policy(command->house->registry, agent);
	/* The stand-in for one that does not parse is not the owner's word. */
	text = policy->unreadable ? NULL : policy_format(policy->policy);
	policy_json = text ? json_loads(text, 0, NULL) : json_null();
	free(text);
	policy_unref(&policy);
	result = agent_json(command->house, agent);
	json_object_set_new(result, "sessions", json_integer(list.count));
	json_object_set_new(result, "policy", policy_json);
	return answer_ok(result);
}

static json_t *agent_suspend(struct command *command, bool suspended)
{
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	struct batch *batch;

	if (!agent)
		return error;
	/* Stop first, write then: should the disk fail, the agent is stopped all the same. */
	if (suspended)
		atomic_store(&agent->suspended, true);
	batch = batch_new(command->now_us);
	batch_agent_state(
	    batch, store_next_id(command->house->store, command->now_us), agent->id, suspended);
	error = command_write(
	    command, &batch, suspended ? "agent suspend" : "agent resume", agent, NULL, NULL);
	if (error)
		return error;
	atomic_store(&agent->suspended, suspended);
	return answer_ok(json_pack(
	    "{s:s, s:s}", "agent", agent->name, "state", suspended ? "suspended" : "active"));
}

/* --- tokens ------------------------------------------------------------------------- */

static json_t *token_issue(struct command *command)
{
	json_t *error = NULL;
	struct agent *agent = command_agent(command, &error);
	struct token_claims claims;
	struct batch *batch;
	int64_t ttl_s;

	if (!agent || !ttl(&ttl_s, command, &error))
		return error;
	batch = batch_new(command->now_us);
	session_begin(command, batch, &claims, agent->id, agent->name, agent->owner, ttl_s);
	error = command_write(command, &batch, "token issue", agent, NULL, claims.session);
	if (error)
		return error;
	admit(command, &claims);
	return answer_ok(token_json(command, &claims, NULL));
}

static const char *token_state(const struct token_row *row, int64_t now_us)
{
	if (row->revoked)
		return "revoked";
	return row->expires_s <= now_us / CLOCK_US_PER_S ? "expired" : "active";
}

static bool list_token(const struct token_row *row, void *arg)
{
	struct list *list = arg;
	struct agent *agent = registry_agent_by_id(list->command->house->registry, row->agent);

	json_array_append_new(
	    list->rows, json_pack("{s:s, s:s, s:o, s:o, s:s}", "session", row->session, "agent",
			    agent ? agent->name : "", "issued_at", view_time(row->id), "expires_at",
			    view_time(row->expires_s * CLOCK_US_PER_S), "state",
			    token_state(row, list->command->now_us)));
	return true;
}

static json_t *token_list(struct command *command)
{
	struct list list = {command, NULL, 0};
	json_t *error = NULL;
	struct agent *agent = NULL;

	if (json_str(command->args, "agent")) {
		agent = command_agent(command, &error);
		if (!agent)
			return error;
	}
	list.rows = json_array();
	if (store_tokens(command->house->store, agent ? agent->id : 0, 0, list_token, &list) !=
	    STORE_OK) {
		json_decref(list.rows);
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	}
	return answer_ok(list.rows);
}

struct find_token {
	const char *session;
	int64_t agent, expires_s;
	bool revoked;
};

static bool find_token(const struct token_row *row, void *arg)
{
	struct find_token *find = arg;

	if (strcmp(row->session, find->session) == 0) {
		find->agent = row->agent;
		find->expires_s = row->expires_s;
		find->revoked = row->revoked;
	}
	return find->agent == 0;
}

static json_t *token_revoke(struct command *command)
{
	json_t *error = NULL;
	struct find_token find = {.session = command_text(command, &error, "session")};
	struct agent *agent;
	struct batch *batch;

	if (!find.session)
		return error;
	if (store_tokens(command->house->store, 0, 0, find_token, &find) != STORE_OK)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	agent = find.agent ? registry_agent_by_id(command->house->registry, find.agent) : NULL;
	if (!agent)
		return answer_error(COMMAND_NOT_FOUND,
		    "there is no session %s: `tallyward token list` names them", find.session);
	/* As with suspension: refused from now on, whatever the disk says. */
	if (!find.revoked) {
		registry_revoke(command->house->registry, find.session, find.expires_s);
		batch = batch_new(command->now_us);
		batch_token_revoked(
		    batch, store_next_id(command->house->store, command->now_us), find.session);
		error = command_write(command, &batch, "token revoke", agent, NULL, find.session);
		if (error)
			return error;
	}
	return answer_ok(json_pack(
	    "{s:s, s:s, s:s}", "session", find.session, "agent", agent->name, "state", "revoked"));
}

/* --- tools ----------------------------------------------------------------------------- */

static json_t *tool_json(const struct tool *tool)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "tool", tool->name, "url", tool->url,
	    "billing", tool->billing == TOOL_METERED ? "metered" : "x402", "price",
	    tool->has_price ? view_amount(tool->price) : json_null(), "delivery",
	    tool->delivery ? delivery_check_json(tool->delivery) : json_null(), "private",
	    tool->private);
}

static void note_body(const char *body, int64_t id, void *arg)
{
	(void)id;
	*(bool *)arg = *body != '\0';
}

/* What a tool has beyond its row is a setting beside it; an earlier tool of this name may have
 * had one. text NULL: none. Takes name. */
static void write_beside(
    struct command *command, struct batch *batch, char *name, const char *text)
{
	struct store *store = command->house->store;
	bool had = false;

	if (!text && store_setting(store, name, 0, note_body, &had) == STORE_OK && had)
		text = "";
	if (text)
		batch_setting(batch, store_next_id(store, command->now_us), name, text);
	free(name);
}

/* Takes *check; text is what it was read from. */
static json_t *write_tool(struct command *command, const struct tool_row *row, const char *what,
    bool private, struct delivery_check **check, const char *text)
{
	struct batch *batch = batch_new(command->now_us);
	json_t *error;

	batch_tool(batch, row);
	if (!row->removed) {
		write_beside(command, batch, delivery_check_name(row->name), text);
		write_beside(
		    command, batch, tool_private_name(row->name), private ? "yes" : NULL);
	}
	error = command_write(command, &batch, what, NULL, row->name, row->url);
	if (!error)
		registry_put_tool(command->house->registry, row, private, check);
	delivery_check_free(check);
	return error;
}

static json_t *read_check(
    struct command *command, const struct tool_row *row, struct delivery_check **check)
{
	const char *text = json_str(command->args, "delivery");
	struct json_error error;

	*check = NULL;
	if (!text)
		return NULL;
	if (row->billing == TOOL_METERED)
		return answer_error(COMMAND_USAGE,
		    "--delivery is about answers that were paid for: a metered tool's are not, "
		    "here");
	*check = delivery_check_parse(&error, text, strlen(text));
	if (*check)
		return NULL;
	return answer_error(COMMAND_FAILED, "the delivery check's line %d: %s%s%s", error.line,
	    error.path, *error.path ? ": " : "", error.reason);
}

static json_t *tool_add(struct command *command)
{
	json_t *error = NULL;
	const char *name = command_text(command, &error, "name");
	const char *url = name ? command_text(command, &error, "url") : NULL;
	const char *billing = command_text_or(command, "billing", "x402");
	struct tool_row row = {.name = name, .url = url, .billing = TOOL_X402};
	struct delivery_check *check;
	char reason[256];
	struct tool *tool;

	if (!url)
		return error;
	if (!tool_name_valid(name))
		return answer_error(COMMAND_USAGE, "a tool's name is 1 to 64 letters, digits, '.', "
						   "'_' or '-', in parts divided by '/'");
	if (!tool_url_valid(reason, url))
		return answer_error(COMMAND_USAGE, "%s", reason);
	if (strcmp(billing, "metered") == 0)
		row.billing = TOOL_METERED;
	else if (strcmp(billing, "x402") != 0)
		return answer_error(COMMAND_USAGE, "--billing is x402 or metered");
	row.has_price = json_str(command->args, "price") != NULL;
	if (row.has_price && !command_amount(&row.price, command, &error, "price"))
		return error;
	if (row.billing == TOOL_METERED && !row.has_price)
		return answer_error(
		    COMMAND_USAGE, "a metered tool needs --price: what one call is charged");
	tool = registry_tool(command->house->registry, name);
	if (tool) {
		tool_unref(&tool);
		return answer_error(COMMAND_FAILED,
		    "there is a tool %s already: `tallyward tool remove %s` first", name, name);
	}
	error = read_check(command, &row, &check);
	if (error)
		return error;
	row.id = store_next_id(command->house->store, command->now_us);
	error = write_tool(command, &row, "tool add",
	    json_is_true(json_member(command->args, "private")), &check,
	    json_str(command->args, "delivery"));
	if (error)
		return error;
	if (row.billing == TOOL_X402 && strncasecmp(url, "https://", 8) != 0)
		command_warn(
		    command, "%s is plain http: payments are sent there only over loopback", url);
	tool = registry_tool(command->house->registry, name);
	error = answer_ok(tool_json(tool));
	tool_unref(&tool);
	return error;
}

static bool list_tool(const struct tool *tool, void *arg)
{
	json_array_append_new(arg, tool_json(tool));
	return true;
}

static json_t *tool_list(struct command *command)
{
	json_t *rows = json_array();

	registry_each_tool(command->house->registry, list_tool, rows);
	return answer_ok(rows);
}

static struct tool *command_tool(struct command *command, json_t **error)
{
	const char *name = command_text(command, error, "tool");
	struct tool *tool = name ? registry_tool(command->house->registry, name) : NULL;

	if (name && !tool)
		*error = answer_error(COMMAND_NOT_FOUND,
		    "there is no tool %s: `tallyward tool list` names them", name);
	return tool;
}

static json_t *tool_show(struct command *command)
{
	json_t *reply = NULL;
	struct tool *tool = command_tool(command, &reply);

	if (tool)
		reply = answer_ok(tool_json(tool));
	tool_unref(&tool);
	return reply;
}

static json_t *tool_remove(struct command *command)
{
	json_t *reply = NULL;
	struct tool *tool = command_tool(command, &reply);
	struct delivery_check *check = NULL;
	struct tool_row row;

	if (!tool)
		return reply;
	row = (struct tool_row){
	    .id = store_next_id(command->house->store, command->now_us),
	    .name = tool->name,
	    .url = tool->url,
	    .billing = tool->billing,
	    .has_price = tool->has_price,
	    .price = tool->price,
	    .removed = true,
	};
	reply = write_tool(command, &row, "tool remove", false, &check, NULL);
	if (!reply)
		reply = answer_ok(json_pack("{s:s}", "tool", tool->name));
	tool_unref(&tool);
	return reply;
}

/* --- networks ---------------------------------------------------------------------------- */

static json_t *rpc_json(const char *urls)
{
	json_t *list = json_array();

	while (*urls) {
		size_t size = strcspn(urls, " ");

		json_array_append_new(list, json_stringn(urls, size));
		urls += size + (urls[size] == ' ');
	}
	return list;
}

static json_t *network_row(struct house *house, const struct asset *asset)
{
	json_t *symbols = json_array(), *row;
	char *rpc = registry_rpc(house->registry, asset->network);

	for (size_t i = 0; i < assets_count(house->assets); i++) {
		const struct asset *other = assets_at(house->assets, i);

		if (other->chain_id == asset->chain_id && !other->unpayable)
			json_array_append_new(symbols, json_string(other->symbol));
	}
	row = json_pack("{s:s, s:s, s:b, s:o, s:o}", "network", asset->network, "name",
	    asset->chain_name ? asset->chain_name : "", "testnet", asset->testnet, "assets",
	    symbols, "rpc", rpc_json(rpc));
	free(rpc);
	return row;
}

static json_t *network_list(struct command *command)
{
	struct house *house = command->house;
	json_t *rows = json_array();

	for (size_t i = 0; i < assets_count(house->assets); i++) {
		const struct asset *asset = assets_at(house->assets, i);
		size_t first = 0;

		while (assets_at(house->assets, first)->chain_id != asset->chain_id)
			first++;
		if (first == i)
			json_array_append_new(rows, network_row(house, asset));
	}
	return answer_ok(rows);
}

/* URLs that were checked, with one blank between; the caller frees them. */
static char *tidy(const char *urls)
{
	struct buf out;

	buf_init(&out, RPC_SIZE_MAX);
	buf_add_str(&out, "");
	for (urls += strspn(urls, " "); *urls; urls += strspn(urls, " ")) {
		size_t size = strcspn(urls, " ");

		buf_add_format(&out, "%s%.*s", out.size > 0 ? " " : "", (int)size, urls);
		urls += size;
	}
	must(buf_ok(&out));
	return buf_take(&out);
}

static json_t *network_set(struct command *command)
{
	json_t *error = NULL;
	const char *name = command_text(command, &error, "network");
	const char *given = command_text_or(command, "rpc", "");
	struct network_row row;
	const struct asset *asset;
	struct batch *batch;
	char reason[CHAIN_REASON_SIZE], *rpc;

	if (!name)
		return error;
	asset = assets_default(command->house->assets, name);
	if (!asset)
		return answer_error(COMMAND_NOT_FOUND,
		    "there is no network %s: `tallyward network list` names them", name);
	if (!chain_urls_check(reason, given))
		return answer_error(COMMAND_USAGE, "%s", reason);
	rpc = tidy(given);
	row = (struct network_row){
	    .id = store_next_id(command->house->store, command->now_us),
	    .network = asset->network,
	    .rpc = rpc,
	};
	batch = batch_new(command->now_us);
	batch_network(batch, &row);
	error = command_write(command, &batch, "network set", NULL, NULL, asset->network);
	if (!error) {
		registry_set_rpc(command->house->registry, asset->network, rpc);
		error = answer_ok(
		    json_pack("{s:s, s:o}", "network", asset->network, "rpc", rpc_json(rpc)));
	}
	free(rpc);
	return error;
}

json_t *command_setup(struct command *command, const char *name)
{
	static const struct {
		const char *name;
		json_t *(*run)(struct command *command);
	} verbs[] = {
	    {"agent.add", agent_add},
	    {"agent.list", agent_list},
	    {"agent.show", agent_show},
	    {"token.issue", token_issue},
	    {"token.list", token_list},
	    {"token.revoke", token_revoke},
	    {"tool.add", tool_add},
	    {"tool.list", tool_list},
	    {"tool.show", tool_show},
	    {"tool.remove", tool_remove},
	    {"network.list", network_list},
	    {"network.set", network_set},
	};

	if (strcmp(name, "agent.suspend") == 0)
		return agent_suspend(command, true);
	if (strcmp(name, "agent.resume") == 0)
		return agent_suspend(command, false);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run(command);
	}
	return NULL;
}
