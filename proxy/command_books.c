/* Reading the books: statement, proof, export, audit; and the doctor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "ledger/export.h"
#include "ledger/verify.h"
#include "proxy/anchors.h"
#include "proxy/answer.h"
#include "proxy/backup.h"
#include "proxy/chain_wait.h"
#include "proxy/reach.h"
#include "proxy/sandbox.h"
#include "proxy/tls.h"
#include "proxy/view.h"

/* An export is built in memory: a million postings are some 200 MB. */
#define EXPORT_SIZE_MAX (1024u * 1024u * 1024u)
/* Under this much free space the ledger may soon fail to grow. */
#define DISK_FREE_MIN (64u * 1024u * 1024u)
/* The slowest chain we pay on makes a block every 12 s. */
#define HEAD_AGE_S_MAX 900
/* An owner waits at the terminal: no more than this for one answer of an RPC endpoint. */
#define RPC_MS_MAX 5000

static json_t *cannot_read(void)
{
	return answer_error(COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
}

/* --- statement -------------------------------------------------------------------- */

static bool list_journal(const struct journal_row *row, void *arg)
{
	json_array_append_new(arg,
	    json_pack("{s:o, s:o, s:s, s:o, s:s?, s:s, s:s, s:o, s:s, s:s, s:s, s:s?, s:s?}", "id",
		view_id(row->id), "time", view_time(row->id), "event",
		journal_event_str(row->event), "call", row->call ? view_id(row->call) : json_null(),
		"tool", row->tool, "from", row->from, "to", row->to, "amount",
		view_amount(row->amount), "network", row->network, "asset", row->asset, "symbol",
		row->symbol, "transaction", row->transaction, "note", row->note));
	return true;
}

static bool optional_time(int64_t *out, struct command *command, json_t **error, const char *name)
{
	const char *text = json_str(command->args, name);

	*out = 0;
	if (!text || clock_parse(out, text))
		return true;
	*error =
	    answer_error(COMMAND_USAGE, "%s is not a time: write it as 2026-11-20T00:00:00Z", text);
	return false;
}

static bool optional_agent(int64_t *out, struct command *command, json_t **error)
{
	struct agent *agent;

	*out = 0;
	if (!json_str(command->args, "agent"))
		return true;
	agent = command_agent(command, error);
	if (agent)
		*out = agent->id;
	return agent != NULL;
}

static json_t *statement(struct command *command)
{
	json_t *error = NULL, *rows;
	int64_t agent, since, until;

	if (!optional_agent(&agent, command, &error) ||
	    !optional_time(&since, command, &error, "since") ||
	    !optional_time(&until, command, &error, "until"))
		return error;
	rows = json_array();
	if (store_journal(command->house->store, agent, since, until, 0, list_journal, rows) ==
	    STORE_OK)
		return answer_ok(rows);
	json_decref(rows);
	return cannot_read();
}

/* --- export ----------------------------------------------------------------- */

static bool add_text(const char *text, size_t size, void *arg)
{
	buf_add(arg, text, size);
	return buf_ok(arg);
}

static json_t *export_books(struct command *command)
{
	json_t *error = NULL;
	const char *word = command_text(command, &error, "format");
	enum export_format format;
	int64_t agent;
	struct buf text;

	if (!word || !optional_agent(&agent, command, &error))
		return error;
	if (strcmp(word, "hledger") == 0)
		format = EXPORT_HLEDGER;
	else if (strcmp(word, "csv") == 0)
		format = EXPORT_CSV;
	else if (strcmp(word, "json") == 0)
		format = EXPORT_JSON;
	else
		return answer_error(COMMAND_USAGE, "--format is hledger, csv or json");
	buf_init(&text, EXPORT_SIZE_MAX);
	if (export_run(command->house->store, agent, format, add_text, &text) != STORE_OK)
		error = cannot_read();
	else if (!buf_ok(&text))
		error = answer_error(
		    COMMAND_FAILED, "the export is larger than 1 GiB: export by agent");
	else
		error = answer_ok(json_pack("{s:s%}", "text", buf_str(&text), text.size));
	buf_fini(&text);
	return error;
}

/* --- audit ------------------------------------------------------------------------------- */

static json_t *digest_json(bool has, const struct digest *digest)
{
	char text[2 * DIGEST_SIZE + 1];

	return has ? json_string(hex_encode(text, digest->bytes, DIGEST_SIZE)) : json_null();
}

static bool list_audit(const struct audit_row *row, void *arg)
{
	json_t *json =
	    json_pack("{s:o, s:o, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:b, s:s?, s:s?, s:o, "
		      "s:s?, s:o, s:i, s:i}",
		"call", view_id(row->id), "time", view_time(row->id), "kind",
		row->kind == AUDIT_OWNER ? "owner" : "call", "agent", row->agent_name, "owner",
		row->owner, "session", row->session, "tool", row->tool, "method", row->method,
		"path", row->path, "allowed", row->allowed, "code", row->code, "rule", row->rule,
		"price", view_amount(row->price), "payee", row->payee, "payment",
		row->payment ? view_id(row->payment) : json_null(), "status", row->status,
		"upstream_status", row->upstream_status);

	json_object_set_new(json, "forwarded_at", view_time(row->forwarded_us));
	json_object_set_new(json, "quoted_at", view_time(row->quoted_us));
	json_object_set_new(json, "signed_at", view_time(row->signed_us));
	json_object_set_new(json, "answered_at", view_time(row->answered_us));
	json_object_set_new(json, "finished_at", view_time(row->finished_us));
	json_object_set_new(json, "request_bytes", json_integer(row->request_bytes));
	json_object_set_new(json, "response_bytes", json_integer(row->response_bytes));
	json_object_set_new(
	    json, "request_digest", digest_json(row->has_request_digest, &row->request_digest));
	json_object_set_new(
	    json, "response_digest", digest_json(row->has_response_digest, &row->response_digest));
	json_object_set_new(json, "detail", row->detail ? json_string(row->detail) : json_null());
	json_array_append_new(arg, json);
	return true;
}

static json_t *audit(struct command *command)
{
	json_t *error = NULL, *rows;
	int64_t agent, call = 0;

	if (!optional_agent(&agent, command, &error) ||
	    (json_str(command->args, "call") && !command_id(&call, command, &error, "call")))
		return error;
	rows = json_array();
	if (store_audit(command->house->store, agent, call, 0, list_audit, rows) == STORE_OK)
		return answer_ok(rows);
	json_decref(rows);
	return cannot_read();
}

/* --- claims ------------------------------------------------------------------------------ */

/* Of a payment that was not delivered; whether it has expired is said by `payment show`. */
static const char *claim_state(enum payment_state state)
{
	switch (state) {
	case PAYMENT_SIGNED:
		return "signed";
	case PAYMENT_OPEN:
		return "open";
	case PAYMENT_SETTLED:
		return "settled";
	case PAYMENT_EXPIRED_UNUSED:
		return "expired";
	case PAYMENT_RESOLVED_SPENT:
	case PAYMENT_RESOLVED_UNUSED:
	case PAYMENT_CANCELLED:
		return "resolved";
	}
	return "unknown";
}

/* By payment: the latest row of one counts, and may take back those before it. */
static bool list_claim(const struct claim_row *row, void *arg)
{
	char payment[24];

	snprintf(payment, sizeof payment, "%lld", (long long)row->payment);
	json_object_del(arg, payment);
	if (*row->reason == '\0')
		return true;
	json_object_set_new(arg, payment,
	    json_pack("{s:o, s:s, s:o, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s?}", "call",
		view_id(row->call), "payment", payment, "time", view_time(row->id), "agent",
		row->agent_name, "tool", row->tool, "amount", view_amount(row->amount), "refunded",
		view_amount(row->refunded), "network", row->network, "symbol", row->symbol, "payee",
		row->payee, "state", claim_state(row->state), "reason", row->reason, "transaction",
		row->transaction));
	return true;
}

static json_t *claims(struct command *command)
{
	bool all = json_is_true(json_member(command->args, "all"));
	json_t *error = NULL, *by_payment, *rows;
	int64_t agent;

	if (!optional_agent(&agent, command, &error))
		return error;
	by_payment = json_object();
	rows = json_array();
	if (store_claims(command->house->store, agent, !all, list_claim, by_payment) == STORE_OK) {
		for (void *i = json_object_iter(by_payment); i;
		     i = json_object_iter_next(by_payment, i))
			json_array_append(rows, json_object_iter_value(i));
		error = answer_ok(json_incref(rows));
	}
	json_decref(rows);
	json_decref(by_payment);
	return error ? error : cannot_read();
}

/* --- doctor --------------------------------------------------------------------------------- */

static void check(json_t *rows, const char *name, bool ok, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void check(json_t *rows, const char *name, bool ok, const char *format, ...)
{
	char detail[600];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	json_array_append_new(
	    rows, json_pack("{s:s, s:b, s:s}", "check", name, "ok", ok, "detail", detail));
}

static void check_disk(json_t *rows, const char *dir)
{
	struct statvfs space;
	struct stat status;
	uint64_t free_bytes;

	if (statvfs(dir, &space) != 0 || stat(dir, &status) != 0) {
		check(rows, "disk", false, "cannot look at %s: %s", dir, strerror(errno));
		return;
	}
	free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	check(rows, "disk", free_bytes >= DISK_FREE_MIN, "%llu MiB free",
	    (unsigned long long)(free_bytes >> 20));
	check(rows, "data folder", (status.st_mode & 077) == 0,
	    (status.st_mode & 077) == 0 ? "closed to others" : "open to others: chmod 700 it");
}

/* Of the daemon, when it is the one that answers; else of the next one. */
static void check_sandbox(json_t *rows, const struct house *house)
{
	char state[SANDBOX_REASON_SIZE];
	bool wanted = house_config(house)->sandbox != 0, ok;

	if (strcmp(house->who, "admin socket") != 0) {
		check(rows, "sandbox", wanted, "%s",
		    wanted ? "will be in force in the daemon"
			   : "\"sandbox\" is 0 in tallyward.json: for debugging only");
		return;
	}
	ok = sandbox_state(state);
	if (geteuid() != 0)
		check(rows, "sandbox", ok, "%s", state);
	else
		check(rows, "sandbox", ok, "%s; it is root: name a `user` in tallyward.json",
		    state);
}

struct keys {
	struct house *house;
	json_t *rows;
	size_t count;
	bool ok, unread;
};

static bool check_key(struct agent *agent, void *arg)
{
	struct keys *keys = arg;
	struct address known = registry_address(keys->house->registry, agent);
	enum keystore_result result = keystore_adopt(keys->house->keystore, agent->name, &known);

	keys->count++;
	if (result == KEYSTORE_OK)
		return true;
	keys->ok = false;
	check(keys->rows, "keys", false, "agent %s: %s", agent->name,
	    result == KEYSTORE_BAD_KEY ? "the key is not the ledger's address"
				       : keystore_result_str(result));
	return true;
}

static bool check_policy(struct agent *agent, void *arg)
{
	struct keys *keys = arg;

	if (registry_policy_reads(keys->house->registry, agent))
		return true;
	keys->unread = true;
	check(keys->rows, "policies", false,
	    "agent %s: the stored policy does not parse, and it may call nothing: set another",
	    agent->name);
	return true;
}

static void check_endpoint(
    json_t *rows, const char *network, const struct chain_endpoint *endpoint, int64_t now_s)
{
	int64_t age_s = now_s - endpoint->head.time_s;

	if (!endpoint->ok)
		check(rows, "rpc", false, "%s: %s: %s", network, endpoint->origin,
		    *endpoint->reason ? endpoint->reason : "was not reached");
	else if (age_s > HEAD_AGE_S_MAX)
		check(rows, "rpc", false,
		    "%s: %s: its newest block, %lld, is %lld s old: it lags, or the chain stands "
		    "still",
		    network, endpoint->origin, (long long)endpoint->head.number, (long long)age_s);
	else
		check(rows, "rpc", true, "%s: %s: newest block %lld, %lld s %s", network,
		    endpoint->origin, (long long)endpoint->head.number,
		    (long long)(age_s < 0 ? -age_s : age_s),
		    age_s < 0 ? "ahead of our clock" : "old");
}

/* What is asked here is what ending a payment needs: the right chain, and agreement. */
static void check_chain(json_t *rows, const struct config *config, const char *network,
    const char *urls)
{
	struct chain_endpoint endpoints[CHAIN_ENDPOINTS_MAX];
	int64_t rpc_ms_max = config->rpc_ms_max < RPC_MS_MAX ? config->rpc_ms_max : RPC_MS_MAX;
	struct chain_wait *wait = chain_wait_new(network, urls, (uint32_t)rpc_ms_max,
	    *config->ca_file ? config->ca_file : NULL);
	char reason[CHAIN_REASON_SIZE];
	struct chain_block head;
	int64_t agree = 0;
	enum chain_result result = chain_wait_head(&head, &agree, reason, wait);
	size_t count = chain_wait_endpoints(endpoints, wait);

	for (size_t i = 0; i < count; i++)
		check_endpoint(rows, network, &endpoints[i], clock_now_us() / CLOCK_US_PER_S);
	if (result != CHAIN_OK)
		check(rows, "chain", false, "%s: %s: %s", network, chain_result_str(result),
		    reason);
	else if (count < 2)
		check(rows, "chain", true,
		    "%s: one endpoint answers, and nothing confirms what it says: name a second "
		    "one (network set)",
		    network);
	else
		check(rows, "chain", true, "%s: %lld of %zu endpoints agree", network,
		    (long long)agree, count);
	chain_wait_free(&wait);
}

/* How the daemon's own rounds went, which ask more than the head. */
static void check_outlook(json_t *rows, struct house *house, const char *network)
{
	char since[CLOCK_TEXT_SIZE];
	struct outlook_row row;

	if (!outlook_of(&row, house->outlook, network))
		return;
	if (row.result == CHAIN_OK)
		check(rows, "reconcile", true, "%s: the last look was answered", network);
	else
		check(rows, "reconcile", false, "%s: open payments are not ended since %s: %s: %s",
		    network, clock_format(since, row.since_us), chain_result_str(row.result),
		    row.reason);
}

static bool network_seen(const struct house *house, size_t i)
{
	size_t first = 0;

	while (assets_at(house->assets, first)->chain_id != assets_at(house->assets, i)->chain_id)
		first++;
	return first < i;
}

static void check_anchors(struct house *house, json_t *rows)
{
	char detail[ANCHORS_REASON_SIZE], text[ADDRESS_TEXT_SIZE], behind[256];
	struct address installation;

	if (store_behind(house->store, behind))
		check(rows, "payments", false,
		    "stopped: %s; when it is meant to be this one, remove %s/" HEAD_FILE
		    " and start again",
		    behind, house->dir);
	if (anchors_installation(&installation, house->anchors))
		check(rows, "installation", true, "%s", address_format(text, &installation));
	check(rows, "anchors", anchors_check(house->anchors, detail), "%s", detail);
}

static void check_chains(struct house *house, json_t *rows)
{
	bool any = false;

	for (size_t i = 0; i < assets_count(house->assets); i++) {
		const char *network = assets_at(house->assets, i)->network;
		char *urls;

		if (network_seen(house, i))
			continue;
		urls = registry_rpc(house->registry, network);
		if (*urls) {
			check_chain(rows, house_config(house), network, urls);
			check_outlook(rows, house, network);
		}
		any |= *urls != '\0';
		free(urls);
	}
	if (!any)
		check(rows, "chain", true,
		    "no RPC registered: open payments wait for your decision (payment resolve)");
}

static void check_tls(struct command *command, json_t *rows)
{
	const struct config *config = house_config(command->house);
	char reason[TLS_REASON_SIZE], text[CLOCK_TEXT_SIZE];
	SSL_CTX *context = NULL;
	int64_t until_us;

	switch (tls_read(&context, reason, command->house->dir, config)) {
	case TLS_BAD:
		check(rows, "tls", false, "%s", reason);
		return;
	case TLS_OFF:
		if (reach_is_here(config->listen) && reach_is_here(config->admin)) {
			check(rows, "tls", true, "none, and none needed on this machine");
			return;
		}
		check(rows, "tls", true, "none");
		command_warn(command,
		    "%s is open to other machines in plain HTTP, which shows tokens to whoever "
		    "forwards it: set tls_certificate and tls_key, unless a TLS proxy is before it",
		    reach_is_here(config->listen) ? config->admin : config->listen);
		return;
	case TLS_OK:
		break;
	}
	until_us = tls_valid_until_s(context) * CLOCK_US_PER_S;
	check(rows, "tls", until_us > command->now_us + TLS_LEFT_US_MIN,
	    "the certificate is valid until %s", clock_format(text, until_us));
	SSL_CTX_free(context);
}

static json_t *doctor(struct command *command)
{
	struct house *house = command->house;
	struct keys keys = {.house = house, .rows = json_array(), .ok = true};
	int64_t now_us = command->now_us;
	struct verify_report report;
	char reason[256] = "";

	check(keys.rows, "config", true, "%s/tallyward.json is read", house->dir);
	check(keys.rows, "clock",
	    now_us > INT64_C(1700000000) * CLOCK_US_PER_S && house_clock_ready(house, reason),
	    "%s", *reason ? reason : "ahead of the newest row");
	check_disk(keys.rows, house->dir);
	check_sandbox(keys.rows, house);
	*reason = '\0';
	check(keys.rows, "ledger writes", store_health(house->store, reason) == STORE_OK, "%s",
	    *reason ? reason : "the last commit succeeded");
	if (command_verify(&report, house, NULL) == STORE_OK) {
		check(keys.rows, "ledger", report.ok, "%lld transactions, %zu problems%s%s",
		    (long long)report.transactions, report.problem_count,
		    report.ok ? "" : "; the first: ", report.ok ? "" : report.problems[0]);
		verify_fini(&report);
	} else {
		check(keys.rows, "ledger", false, "cannot be read");
	}
	check_anchors(house, keys.rows);
	registry_each_agent(house->registry, check_key, &keys);
	if (keys.ok)
		check(keys.rows, "keys", true, "%zu agents, every key opens", keys.count);
	registry_each_agent(house->registry, check_policy, &keys);
	if (!keys.unread)
		check(keys.rows, "policies", true, "every stored policy parses");
	check_chains(house, keys.rows);
	check_tls(command, keys.rows);
	check(keys.rows, "listeners", true, "%s",
	    strcmp(house->who, "admin socket") == 0 ? "the daemon runs and answers"
						    : "no daemon runs on this data folder");
	return answer_ok(keys.rows);
}

/* --- backup -------------------------------------------------------------------------------- */

/* Of what was written; takes nothing. */
static json_t *backup_json(const char *file, const struct manifest *manifest)
{
	char head[2 * DIGEST_SIZE + 1], audit_head[2 * DIGEST_SIZE + 1];
	struct stat status = {.st_size = 0};
	json_int_t keys = 0;

	(void)!stat(file, &status);
	for (size_t i = 0; i < manifest->count; i++)
		keys += member_is_key(manifest->members[i].name);
	return json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:s, s:s, s:b}", "file", file, "bytes",
	    (json_int_t)status.st_size, "made_at", view_time(manifest->made_us), "keys", keys,
	    "transactions", (json_int_t)manifest->transactions, "audits",
	    (json_int_t)manifest->audits, "head",
	    hex_encode(head, manifest->head.bytes, DIGEST_SIZE), "audit_head",
	    hex_encode(audit_head, manifest->audit_head.bytes, DIGEST_SIZE), "passphrase",
	    manifest_find(manifest, "passphrase") != NULL);
}

static json_t *backup(struct command *command)
{
	bool with_passphrase = json_is_true(json_object_get(command->args, "with_passphrase"));
	json_t *error = NULL, *result, *detail;
	const char *file = command_text(command, &error, "file");
	struct manifest manifest;
	char reason[512] = "", *text;
	struct batch *batch;

	if (!file)
		return error;
	switch (backup_write(&manifest, reason, command->house, file, with_passphrase)) {
	case BACKUP_OK:
		break;
	case BACKUP_BAD_PATH:
		return answer_error(COMMAND_USAGE, "%s", reason);
	case BACKUP_EXISTS:
	case BACKUP_FAILED:
		return answer_error(COMMAND_FAILED, "%s", reason);
	}
	result = backup_json(file, &manifest);
	manifest_fini(&manifest);
	must(result != NULL);
	detail = json_pack("{s:s, s:b}", "file", file, "with_passphrase", with_passphrase);
	text = json_dumps(detail, JSON_COMPACT);
	batch = batch_new(command->now_us);
	/* It is there, whether the ledger can be written or not. */
	error = command_write(command, &batch, "backup", NULL, NULL, text);
	if (error)
		command_warn(command, "%s", json_str(error, "error"));
	json_decref(error);
	free(text);
	json_decref(detail);
	return answer_ok(result);
}

json_t *command_books(struct command *command, const char *name)
{
	static const struct {
		const char *name;
		json_t *(*run)(struct command *command);
	} verbs[] = {
	    {"ledger.statement", statement},
	    {"ledger.export", export_books},
	    {"ledger.audit", audit},
	    {"ledger.claim", claims},
	    {"doctor", doctor},
	    {"backup", backup},
	};

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].run(command);
	}
	return NULL;
}
