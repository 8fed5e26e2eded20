/* ledger/query.c - see query.h and the query part of store.h. */
#include "ledger/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ledger/account.h"
#include "ledger/journal.h"
#include "ledger/store_parts.h"

enum query {
	QUERY_AGENTS = 0,
	QUERY_TOOLS,
	QUERY_TOKENS,
	QUERY_TOKENS_OF_AGENT,
	QUERY_NETWORKS,
	QUERY_JOURNAL,
	QUERY_JOURNAL_OF_AGENT,
	QUERY_JOURNAL_OF_PAYMENT,
	QUERY_PAYMENTS,
	QUERY_PAYMENTS_OF_AGENT,
	QUERY_PAYMENTS_OPEN,
	QUERY_PAYMENTS_OPEN_OF_AGENT,
	QUERY_PAYMENT,
	QUERY_PAYMENT_STATES,
	QUERY_AUDIT,
	QUERY_AUDIT_OF_AGENT,
	QUERY_AUDIT_OF_CALL,
	QUERY_ORPHANS,
	QUERY_IDEMPOTENCY,
	QUERY_EVIDENCE,
	QUERY_CHAIN_ENDS,
	QUERY_UNPROVED,
	QUERY_UNPROVED_OF_AGENT,
	QUERY_DISPUTED,
	QUERY_ON_WORD,
	QUERY_OUTSTANDING,
	QUERY_CLAIMS,
	QUERY_CLAIMS_OF_AGENT,
	QUERY_REFUNDED,
	QUERY_REFUND_BOOKED,
	QUERY_SETTING,
	QUERY_POLICY_AT,
	QUERY_COUNT,
};
_Static_assert(QUERY_COUNT <= READER_PAST_FIRST, "a slot per query");

#define JOURNAL_SELECT                                                                             \
	"SELECT j.id, j.event, j.call, j.payment, j.agent, j.agent_name,"                          \
	" coalesce(j.owner, a.owner), j.tool, j.amount, j.network, j.asset, j.symbol, j.tx,"       \
	" j.note, j.session, j.from_spent, j.hash"                                                 \
	" FROM journal j LEFT JOIN agent a ON a.id = j.agent"

#define PAYMENT_STATE                                                                              \
	"coalesce((SELECT s.state FROM payment_state s WHERE s.payment = p.id"                     \
	" ORDER BY s.id DESC LIMIT 1), 1)"

#define PAYMENT_COLUMNS                                                                            \
	"p.id, p.call, p.agent, p.agent_name, p.tool, p.session, p.amount, p.value,"               \
	" p.network, p.asset, p.symbol, p.payer, p.payee, p.nonce, p.valid_before_s,"              \
	" p.header_name, p.header_value, p.challenge, p.method, p.url, p.request, " PAYMENT_STATE  \
	", (SELECT s.tx FROM payment_state s WHERE s.payment = p.id AND s.tx IS NOT NULL"          \
	"  ORDER BY s.id DESC LIMIT 1),"                                                           \
	" (SELECT s.reason FROM payment_state s WHERE s.payment = p.id"                            \
	"  ORDER BY s.id DESC LIMIT 1)"
#define PAYMENT_SELECT "SELECT " PAYMENT_COLUMNS " FROM payment p"

/* By the journal: signed or reopened once more than ended. */
#define PAYMENTS_NOT_ENDED " p.id IN (SELECT payment FROM pending)"

/* Settled, and nobody asked the chain: no evidence of any kind. */
#define PAYMENT_UNPROVED                                                                           \
	PAYMENT_STATE " = 3 AND (?3 IS NULL OR p.network = ?3)"                                    \
		      " AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.payment = p.id)"          \
		      " ORDER BY p.id LIMIT ?2"

#define PAYMENT_REFUNDED                                                                           \
	"coalesce((SELECT sum(r.amount) FROM journal r INDEXED BY journal_given"                   \
	" WHERE r.event IN (5, 9) AND r.event = 5 AND r.payment = p.id AND r.from_spent = 1), 0)"

#define CLAIM_SELECT                                                                               \
	"SELECT d.id, d.call, d.payment, p.agent_name, a.owner, d.tool, d.reason, " PAYMENT_STATE  \
	" AS state, p.amount AS amount, " PAYMENT_REFUNDED " AS refunded, p.network, p.asset,"     \
	" p.symbol, p.payer, p.payee, (SELECT s.tx FROM payment_state s WHERE s.payment = p.id"    \
	"  AND s.tx IS NOT NULL ORDER BY s.id DESC LIMIT 1)"                                       \
	" FROM delivery d JOIN payment p ON p.id = d.payment JOIN agent a ON a.id = d.agent"
#define CLAIM_OPEN " (?2 = 0 OR state <= 4 AND refunded < amount) ORDER BY d.id"

#define AUDIT_SELECT                                                                               \
	"SELECT id, kind, agent, agent_name, owner, session, tool, method, path, allowed, code,"   \
	" rule, price, payee, payment, status, upstream_status, forwarded_us, quoted_us,"          \
	" signed_us, answered_us, finished_us, request_bytes, response_bytes, request_digest,"     \
	" response_digest, detail FROM audit"

static const char *const query_sql[QUERY_COUNT] = {
	[QUERY_AGENTS] =
	    "SELECT a.id, a.name, a.owner,"
	    " coalesce((SELECT address FROM agent_address WHERE agent = a.id"
	    "  ORDER BY id DESC LIMIT 1), a.address),"
	    " coalesce((SELECT suspended FROM agent_state WHERE agent = a.id"
	    "  ORDER BY id DESC LIMIT 1), 0),"
	    " (SELECT body FROM policy WHERE agent = a.id ORDER BY id DESC LIMIT 1)"
	    " FROM agent a ORDER BY a.id",
	[QUERY_TOOLS] =
	    "SELECT id, name, url, billing, price FROM tool"
	    " WHERE id IN (SELECT max(id) FROM tool GROUP BY name) AND removed = 0 ORDER BY name",
	[QUERY_TOKENS] =
	    "SELECT id, session, agent, expires_s, EXISTS (SELECT 1 FROM token_revoked r"
	    " WHERE r.session = t.session) FROM token t WHERE expires_s >= ?2 ORDER BY id",
	[QUERY_TOKENS_OF_AGENT] =
	    "SELECT id, session, agent, expires_s, EXISTS (SELECT 1 FROM token_revoked r"
	    " WHERE r.session = t.session) FROM token t"
	    " WHERE agent = ?1 AND expires_s >= ?2 ORDER BY id",
	[QUERY_NETWORKS] =
	    "SELECT id, network, rpc FROM network"
	    " WHERE id IN (SELECT max(id) FROM network GROUP BY network) ORDER BY network",
	[QUERY_JOURNAL] = JOURNAL_SELECT " WHERE j.id >= ?2 AND j.id < ?3 ORDER BY j.id LIMIT ?4",
	[QUERY_JOURNAL_OF_AGENT] =
	    JOURNAL_SELECT " WHERE j.id IN (SELECT o.id FROM journal o INDEXED BY journal_others"
			   "   WHERE o.agent = ?1 AND o.payment IS NULL"
			   "  UNION ALL SELECT r.id FROM payment p INDEXED BY payment_charge"
			   "   JOIN journal r INDEXED BY journal_payment ON r.payment = p.id"
			   "   WHERE p.agent = ?1)"
			   " AND j.agent = ?1 AND j.id >= ?2 AND j.id < ?3 ORDER BY j.id LIMIT ?4",
	[QUERY_JOURNAL_OF_PAYMENT] = JOURNAL_SELECT " WHERE j.payment = ?1 ORDER BY j.id",
	[QUERY_PAYMENTS] = PAYMENT_SELECT " ORDER BY p.id",
	[QUERY_PAYMENTS_OF_AGENT] = PAYMENT_SELECT " WHERE p.agent = ?1 ORDER BY p.id",
	[QUERY_PAYMENTS_OPEN] = PAYMENT_SELECT " WHERE" PAYMENTS_NOT_ENDED " ORDER BY p.id",
	[QUERY_PAYMENTS_OPEN_OF_AGENT] =
	    PAYMENT_SELECT " WHERE +p.agent = ?1 AND" PAYMENTS_NOT_ENDED " ORDER BY p.id",
	[QUERY_PAYMENT] = PAYMENT_SELECT " WHERE p.id = ?1",
	[QUERY_PAYMENT_STATES] = "SELECT id, payment, state, tx, reason, by, receipt"
				 " FROM payment_state WHERE payment = ?1 ORDER BY id",
	[QUERY_AUDIT] = AUDIT_SELECT " WHERE id >= ?2 ORDER BY id",
	[QUERY_AUDIT_OF_AGENT] =
	    AUDIT_SELECT " WHERE id IN (SELECT c.id FROM audit c INDEXED BY audit_calls"
			 "   WHERE c.agent = ?1 AND c.kind = 1 AND c.allowed = 1"
			 "  UNION ALL SELECT o.id FROM audit o INDEXED BY audit_others"
			 "   WHERE o.agent = ?1 AND (o.kind <> 1 OR o.allowed <> 1))"
			 " AND id >= ?2 ORDER BY id",
	[QUERY_AUDIT_OF_CALL] = AUDIT_SELECT " WHERE id = ?1",
	[QUERY_ORPHANS] = JOURNAL_SELECT
	    " WHERE j.id IN (SELECT min(h.id) FROM journal h INDEXED BY journal_hold"
	    "  WHERE h.event BETWEEN 6 AND 8 GROUP BY h.call HAVING max(h.event) = 6) ORDER BY j.id",
	[QUERY_IDEMPOTENCY] =
	    "SELECT i.agent, i.key, i.request, i.call, i.payment, i.expires_us,"
	    " w.call, w.status, w.headers, w.body, w.expires_us"
	    " FROM idempotency i LEFT JOIN answer w ON w.call = i.call AND w.expires_us > ?2"
	    " WHERE i.agent = ?1 AND i.key = ?3 AND i.expires_us > ?2",
	[QUERY_EVIDENCE] = "SELECT id, payment, kind, network, block, block_hash, block_s, tx,"
			   " log_index, endpoints, detail FROM evidence WHERE payment = ?1"
			   " ORDER BY id",
	[QUERY_CHAIN_ENDS] =
	    PAYMENT_SELECT " WHERE p.id IN (SELECT s.payment FROM payment_state s"
			   "  WHERE s.id >= ?1 AND s.by = 'chain' AND s.state >= 3"
			   "  UNION SELECT e.payment FROM evidence e"
			   "  WHERE e.id >= ?1 AND e.kind IN (1, 2, 3)) AND " PAYMENT_STATE " >= 3"
			   " ORDER BY p.id",
	[QUERY_UNPROVED] = PAYMENT_SELECT " NOT INDEXED WHERE " PAYMENT_UNPROVED,
	[QUERY_UNPROVED_OF_AGENT] = PAYMENT_SELECT " WHERE p.agent = ?1 AND " PAYMENT_UNPROVED,
	[QUERY_DISPUTED] = PAYMENT_SELECT
	    " WHERE p.id IN (SELECT e.payment FROM evidence e WHERE e.kind = 5)"
	    " AND (?1 = 0 OR p.agent = ?1)"
	    " AND (SELECT e.kind FROM evidence e WHERE e.payment = p.id AND e.kind <> 6"
	    "  ORDER BY e.id DESC LIMIT 1) = 5"
	    " AND coalesce((SELECT max(s.id) FROM payment_state s WHERE s.payment = p.id), 0)"
	    "  < (SELECT max(e.id) FROM evidence e WHERE e.payment = p.id AND e.kind = 5)"
	    " ORDER BY p.id",
	[QUERY_ON_WORD] = PAYMENT_SELECT
	    " WHERE p.id IN (SELECT j.payment FROM journal j INDEXED BY journal_given"
	    "  WHERE j.event IN (5, 9) AND j.event = 5 AND j.from_spent = 0)"
	    " AND (?1 = 0 OR p.agent = ?1) AND " PAYMENT_STATE " = 5 ORDER BY p.id",
	[QUERY_OUTSTANDING] =
	    "SELECT " PAYMENT_COLUMNS
	    ", EXISTS (SELECT 1 FROM idempotency i WHERE i.payment = p.id),"
	    " EXISTS (SELECT 1 FROM audit a WHERE a.id = p.call AND a.code IS NULL"
	    "  AND a.status > 0 AND a.response_digest IS NOT NULL)"
	    " FROM payment p WHERE" PAYMENTS_NOT_ENDED " ORDER BY p.id",
	[QUERY_CLAIMS] = CLAIM_SELECT " WHERE" CLAIM_OPEN,
	[QUERY_CLAIMS_OF_AGENT] = CLAIM_SELECT " WHERE d.agent = ?1 AND" CLAIM_OPEN,
	[QUERY_REFUNDED] = "SELECT " PAYMENT_REFUNDED " FROM (SELECT ?1 AS id) p",
	[QUERY_REFUND_BOOKED] =
	    "SELECT EXISTS (SELECT 1 FROM evidence e WHERE e.kind = 6 AND e.network = ?1"
	    "   AND e.tx = ?2 COLLATE NOCASE AND e.log_index = ?3)"
	    "  OR EXISTS (SELECT 1 FROM journal j INDEXED BY journal_given"
	    "   WHERE j.event IN (5, 9) AND j.event = 5 AND j.from_spent = 1 AND j.network = ?1"
	    "   AND j.tx = ?2 COLLATE NOCASE AND NOT EXISTS (SELECT 1 FROM evidence e"
	    "    WHERE e.kind = 6 AND e.payment = j.payment AND e.tx = ?2 COLLATE NOCASE))",
	[QUERY_SETTING] = "SELECT body, id FROM setting WHERE name = ?1 AND id <= ?2"
			  " ORDER BY id DESC LIMIT 1",
	[QUERY_POLICY_AT] = "SELECT body, id FROM policy WHERE agent = ?1 AND id <= ?2"
			    " ORDER BY id DESC LIMIT 1",
};

/* --- one row after the other ------------------------------------------- */

enum row_step { ROW_MORE = 0, ROW_STOP = 1, ROW_DAMAGED = 2 };

/* The columns of a row, from the left. */
struct cursor {
	sqlite3_stmt *stmt;
	int column;
};

static int64_t take_int(struct cursor *cursor)
{
	return sqlite3_column_int64(cursor->stmt, cursor->column++);
}

static const char *take_text(struct cursor *cursor)
{
	return (const char *)sqlite3_column_text(cursor->stmt, cursor->column++);
}

static bool take_digest(struct digest *out, struct cursor *cursor)
{
	int column = cursor->column++;

	if (sqlite3_column_bytes(cursor->stmt, column) != DIGEST_SIZE)
		return false;
	memcpy(out->bytes, sqlite3_column_blob(cursor->stmt, column), DIGEST_SIZE);
	return true;
}

typedef enum row_step row_fn(sqlite3_stmt *stmt, void *context);

static enum store_result run_on(struct reader *reader, enum query query,
    const struct value *params, size_t param_count, row_fn *row, void *context)
{
	sqlite3_stmt *stmt = reader_statement(reader, query, query_sql[query]);
	enum row_step step = ROW_MORE;
	int rc = SQLITE_ROW;

	if (stmt == NULL)
		return STORE_BROKEN;
	for (size_t i = 0; i < param_count; i++) {
		if (params[i].type == VALUE_NULL)
			sqlite3_bind_null(stmt, (int)i + 1);
		else if (params[i].type == VALUE_TEXT)
			sqlite3_bind_text64(stmt, (int)i + 1, params[i].bytes, params[i].size,
			    SQLITE_STATIC, SQLITE_UTF8);
		else
			sqlite3_bind_int64(stmt, (int)i + 1, params[i].number);
	}
	while (step == ROW_MORE && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		step = row(stmt, context);
	if (step == ROW_DAMAGED || (rc != SQLITE_ROW && rc != SQLITE_DONE))
		log_event(LOG_ERROR, "ledger_unreadable", "reason",
		    step == ROW_DAMAGED ? "a row is damaged: run ledger verify"
					: sqlite3_errmsg(reader->db),
		    NULL);
	sqlite3_reset(stmt);
	return step == ROW_DAMAGED || (rc != SQLITE_ROW && rc != SQLITE_DONE) ? STORE_BROKEN
									      : STORE_OK;
}

static enum store_result run(struct store *store, enum query query, const struct value *params,
    size_t param_count, row_fn *row, void *context)
{
	struct reader *reader = reader_take(store->readers);
	enum store_result result;

	if (reader == NULL)
		return STORE_BROKEN;
	result = run_on(reader, query, params, param_count, row, context);
	reader_give(store->readers, &reader);
	return result;
}

/* --- agents, tools, tokens, networks ------------------------------------ */

struct agent_context {
	agent_each_fn *each;
	void *arg;
};

static enum row_step agent_step(sqlite3_stmt *stmt, void *context)
{
	struct agent_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct agent_row row = {0};

	row.id = take_int(&cursor);
	row.name = take_text(&cursor);
	row.owner = take_text(&cursor);
	row.address = take_text(&cursor);
	row.suspended = take_int(&cursor) != 0;
	row.policy = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_agents(struct store *store, agent_each_fn *each, void *arg)
{
	struct agent_context context = {each, arg};

	return run(store, QUERY_AGENTS, NULL, 0, agent_step, &context);
}

struct tool_context {
	tool_each_fn *each;
	void *arg;
};

static enum row_step tool_step(sqlite3_stmt *stmt, void *context)
{
	struct tool_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct tool_row row = {0};

	row.id = take_int(&cursor);
	row.name = take_text(&cursor);
	row.url = take_text(&cursor);
	row.billing = (enum tool_billing)take_int(&cursor);
	row.has_price = sqlite3_column_type(stmt, cursor.column) != SQLITE_NULL;
	row.price = take_int(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_tools(struct store *store, tool_each_fn *each, void *arg)
{
	struct tool_context context = {each, arg};

	return run(store, QUERY_TOOLS, NULL, 0, tool_step, &context);
}

struct token_context {
	token_each_fn *each;
	void *arg;
};

static enum row_step token_step(sqlite3_stmt *stmt, void *context)
{
	struct token_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct token_row row = {0};

	row.id = take_int(&cursor);
	row.session = take_text(&cursor);
	row.agent = take_int(&cursor);
	row.expires_s = take_int(&cursor);
	row.revoked = take_int(&cursor) != 0;
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_tokens(struct store *store, int64_t agent, int64_t expires_after_s,
    token_each_fn *each, void *arg)
{
	struct token_context context = {each, arg};
	struct value params[] = {value_int(agent), value_int(expires_after_s)};

	return run(store, agent == 0 ? QUERY_TOKENS : QUERY_TOKENS_OF_AGENT, params, 2, token_step,
	    &context);
}

struct network_context {
	network_each_fn *each;
	void *arg;
};

static enum row_step network_step(sqlite3_stmt *stmt, void *context)
{
	struct network_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct network_row row = {0};

	row.id = take_int(&cursor);
	row.network = take_text(&cursor);
	row.rpc = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_networks(struct store *store, network_each_fn *each, void *arg)
{
	struct network_context context = {each, arg};

	return run(store, QUERY_NETWORKS, NULL, 0, network_step, &context);
}

/* --- journal ------------------------------------------------------------- */

struct journal_context {
	journal_each_fn *each;
	void *arg;
	struct buf from, to;
};

static enum row_step journal_step(sqlite3_stmt *stmt, void *context)
{
	struct journal_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct journal_row row = {0};
	int64_t event;

	row.id = take_int(&cursor);
	event = take_int(&cursor);
	row.call = take_int(&cursor);
	row.payment = take_int(&cursor);
	row.agent = take_int(&cursor);
	row.agent_name = take_text(&cursor);
	row.owner = take_text(&cursor);
	row.tool = take_text(&cursor);
	row.amount = take_int(&cursor);
	row.network = take_text(&cursor);
	row.asset = take_text(&cursor);
	row.symbol = take_text(&cursor);
	row.transaction = take_text(&cursor);
	row.note = take_text(&cursor);
	row.session = take_text(&cursor);
	row.from_spent = take_int(&cursor) != 0;
	if (event < JOURNAL_DEPOSIT || event > JOURNAL_REOPEN || row.agent_name == NULL ||
	    !take_digest(&row.hash, &cursor))
		return ROW_DAMAGED;
	row.event = (enum journal_event)event;
	buf_clear(&to->from);
	buf_clear(&to->to);
	account_names(&to->from, &to->to, NULL, NULL, &row);
	row.from = buf_str(&to->from);
	row.to = buf_str(&to->to);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

static enum store_result run_journal_on(struct reader *reader, enum query query,
    const struct value *params, size_t param_count, journal_each_fn *each, void *arg)
{
	struct journal_context context = {.each = each, .arg = arg};
	enum store_result result;

	buf_init(&context.from, ACCOUNT_NAME_SIZE_MAX);
	buf_init(&context.to, ACCOUNT_NAME_SIZE_MAX);
	result = run_on(reader, query, params, param_count, journal_step, &context);
	buf_fini(&context.from);
	buf_fini(&context.to);
	return result;
}

static enum store_result run_journal(struct store *store, enum query query,
    const struct value *params, size_t param_count, journal_each_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	enum store_result result;

	if (reader == NULL)
		return STORE_BROKEN;
	result = run_journal_on(reader, query, params, param_count, each, arg);
	reader_give(store->readers, &reader);
	return result;
}

enum store_result query_journal(struct reader *reader, int64_t agent, journal_each_fn *each,
    void *arg)
{
	struct value params[] = {value_int(agent), value_int(0), value_int(INT64_MAX),
	    value_int(-1)};

	return run_journal_on(reader, agent == 0 ? QUERY_JOURNAL : QUERY_JOURNAL_OF_AGENT, params,
	    4, each, arg);
}

enum store_result store_journal(struct store *store, int64_t agent, int64_t since_us,
    int64_t until_us, int64_t limit, journal_each_fn *each, void *arg)
{
	struct value params[] = {value_int(agent), value_int(since_us),
	    value_int(until_us == 0 ? INT64_MAX : until_us), value_int(limit == 0 ? -1 : limit)};

	return run_journal(store, agent == 0 ? QUERY_JOURNAL : QUERY_JOURNAL_OF_AGENT, params, 4,
	    each, arg);
}

enum store_result store_journal_of_payment(struct store *store, int64_t payment,
    journal_each_fn *each, void *arg)
{
	struct value params[] = {value_int(payment)};

	return run_journal(store, QUERY_JOURNAL_OF_PAYMENT, params, 1, each, arg);
}

enum store_result store_orphans(struct store *store, journal_each_fn *each, void *arg)
{
	return run_journal(store, QUERY_ORPHANS, NULL, 0, each, arg);
}

/* --- payments -------------------------------------------------------------- */

struct payment_context {
	payment_each_fn *each;
	void *arg;
	bool found;
};

static bool take_payment(struct payment_row *row, struct cursor *cursor)
{
	row->id = take_int(cursor);
	row->call = take_int(cursor);
	row->agent = take_int(cursor);
	row->agent_name = take_text(cursor);
	row->tool = take_text(cursor);
	row->session = take_text(cursor);
	row->amount = take_int(cursor);
	row->value = take_text(cursor);
	row->network = take_text(cursor);
	row->asset = take_text(cursor);
	row->symbol = take_text(cursor);
	row->payer = take_text(cursor);
	row->payee = take_text(cursor);
	row->nonce = take_text(cursor);
	row->valid_before_s = take_int(cursor);
	row->header_name = take_text(cursor);
	row->header_value = take_text(cursor);
	row->challenge = take_text(cursor);
	row->method = take_text(cursor);
	row->url = take_text(cursor);
	if (!take_digest(&row->request, cursor))
		return false;
	row->state = (enum payment_state)take_int(cursor);
	row->transaction = take_text(cursor);
	row->reason = take_text(cursor);
	return row->state >= PAYMENT_SIGNED && row->state <= PAYMENT_CANCELLED;
}

static enum row_step payment_step(sqlite3_stmt *stmt, void *context)
{
	struct payment_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct payment_row row = {0};

	if (!take_payment(&row, &cursor))
		return ROW_DAMAGED;
	to->found = true;
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_payments(struct store *store, int64_t agent, bool open_only,
    payment_each_fn *each, void *arg)
{
	struct payment_context context = {.each = each, .arg = arg};
	struct value params[] = {value_int(agent)};
	enum query query;

	if (agent == 0)
		query = open_only ? QUERY_PAYMENTS_OPEN : QUERY_PAYMENTS;
	else
		query = open_only ? QUERY_PAYMENTS_OPEN_OF_AGENT : QUERY_PAYMENTS_OF_AGENT;
	return run(store, query, params, agent == 0 ? 0 : 1, payment_step, &context);
}

enum store_result store_payment(struct store *store, int64_t id, payment_each_fn *each, void *arg)
{
	struct payment_context context = {.each = each, .arg = arg};
	struct value params[] = {value_int(id)};
	enum store_result result = run(store, QUERY_PAYMENT, params, 1, payment_step, &context);

	return result == STORE_OK && !context.found ? STORE_NOT_FOUND : result;
}

struct payment_state_context {
	payment_state_each_fn *each;
	void *arg;
};

static enum row_step payment_state_step(sqlite3_stmt *stmt, void *context)
{
	struct payment_state_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct payment_state_row row = {0};

	row.id = take_int(&cursor);
	row.payment = take_int(&cursor);
	row.state = (enum payment_state)take_int(&cursor);
	row.transaction = take_text(&cursor);
	row.reason = take_text(&cursor);
	row.by = take_text(&cursor);
	row.receipt = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_payment_states(struct store *store, int64_t payment,
    payment_state_each_fn *each, void *arg)
{
	struct payment_state_context context = {each, arg};
	struct value params[] = {value_int(payment)};

	return run(store, QUERY_PAYMENT_STATES, params, 1, payment_state_step, &context);
}

enum store_result store_chain_ends(struct store *store, int64_t since_us, payment_each_fn *each,
    void *arg)
{
	struct payment_context context = {.each = each, .arg = arg};
	struct value params[] = {value_int(since_us)};

	return run(store, QUERY_CHAIN_ENDS, params, 1, payment_step, &context);
}

enum store_result store_unproved(struct store *store, int64_t agent, const char *network,
    int64_t limit, payment_each_fn *each, void *arg)
{
	struct payment_context context = {.each = each, .arg = arg};
	struct value params[] = {value_int(agent), value_int(limit), value_text(network)};

	return run(store, agent == 0 ? QUERY_UNPROVED : QUERY_UNPROVED_OF_AGENT, params, 3,
	    payment_step, &context);
}

static enum store_result payments_of(struct store *store, enum query query, int64_t agent,
    payment_each_fn *each, void *arg)
{
	struct payment_context context = {.each = each, .arg = arg};
	struct value params[] = {value_int(agent)};

	return run(store, query, params, 1, payment_step, &context);
}

enum store_result store_disputed(
    struct store *store, int64_t agent, payment_each_fn *each, void *arg)
{
	return payments_of(store, QUERY_DISPUTED, agent, each, arg);
}

enum store_result store_on_word(
    struct store *store, int64_t agent, payment_each_fn *each, void *arg)
{
	return payments_of(store, QUERY_ON_WORD, agent, each, arg);
}

struct outstanding_context {
	unanswered_each_fn *each;
	void *arg;
};

static enum row_step outstanding_step(sqlite3_stmt *stmt, void *context)
{
	struct outstanding_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct payment_row row = {0};
	struct unanswered how;

	if (!take_payment(&row, &cursor))
		return ROW_DAMAGED;
	how.keyed = take_int(&cursor) != 0;
	how.answered = take_int(&cursor) != 0;
	return to->each(&row, &how, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_outstanding(struct store *store, unanswered_each_fn *each, void *arg)
{
	struct outstanding_context context = {each, arg};

	return run(store, QUERY_OUTSTANDING, NULL, 0, outstanding_step, &context);
}

/* --- evidence and claims ------------------------------------------------------- */

struct evidence_context {
	evidence_each_fn *each;
	void *arg;
};

static enum row_step evidence_step(sqlite3_stmt *stmt, void *context)
{
	struct evidence_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct evidence_row row = {0};

	row.id = take_int(&cursor);
	row.payment = take_int(&cursor);
	row.kind = (enum evidence_kind)take_int(&cursor);
	row.network = take_text(&cursor);
	row.block = take_int(&cursor);
	row.block_hash = take_text(&cursor);
	row.block_s = take_int(&cursor);
	row.transaction = take_text(&cursor);
	row.log_index = take_int(&cursor);
	row.endpoints = take_int(&cursor);
	row.detail = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_evidence(struct store *store, int64_t payment, evidence_each_fn *each,
    void *arg)
{
	struct evidence_context context = {each, arg};
	struct value params[] = {value_int(payment)};

	return run(store, QUERY_EVIDENCE, params, 1, evidence_step, &context);
}

struct claim_context {
	claim_each_fn *each;
	void *arg;
};

static enum row_step claim_step(sqlite3_stmt *stmt, void *context)
{
	struct claim_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct claim_row row = {0};

	row.id = take_int(&cursor);
	row.call = take_int(&cursor);
	row.payment = take_int(&cursor);
	row.agent_name = take_text(&cursor);
	row.owner = take_text(&cursor);
	row.tool = take_text(&cursor);
	row.reason = take_text(&cursor);
	row.state = (enum payment_state)take_int(&cursor);
	row.amount = take_int(&cursor);
	row.refunded = take_int(&cursor);
	row.network = take_text(&cursor);
	row.asset = take_text(&cursor);
	row.symbol = take_text(&cursor);
	row.payer = take_text(&cursor);
	row.payee = take_text(&cursor);
	row.transaction = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_claims(struct store *store, int64_t agent, bool open_only,
    claim_each_fn *each, void *arg)
{
	struct claim_context context = {each, arg};
	struct value params[] = {value_int(agent), value_int(open_only)};

	return run(store, agent == 0 ? QUERY_CLAIMS : QUERY_CLAIMS_OF_AGENT, params, 2, claim_step,
	    &context);
}

static enum row_step number_step(sqlite3_stmt *stmt, void *context)
{
	*(int64_t *)context = sqlite3_column_int64(stmt, 0);
	return ROW_STOP;
}

enum store_result store_refunded(struct store *store, int64_t payment, int64_t *out)
{
	struct value params[] = {value_int(payment)};
	int64_t amount = 0;
	enum store_result result = run(store, QUERY_REFUNDED, params, 1, number_step, &amount);

	if (result == STORE_OK)
		*out = amount;
	return result;
}

enum store_result store_refund_booked(struct store *store, const char *network,
    const char *transaction, int64_t log_index, bool *out)
{
	struct value params[] = {
	    value_text(network), value_text(transaction), value_int(log_index)};
	int64_t booked = 0;
	enum store_result result =
	    run(store, QUERY_REFUND_BOOKED, params, 3, number_step, &booked);

	if (result == STORE_OK)
		*out = booked != 0;
	return result;
}

/* --- what was in force when ------------------------------------------------------ */

struct setting_context {
	setting_fn *found;
	void *arg;
	bool called;
};

static enum row_step setting_step(sqlite3_stmt *stmt, void *context)
{
	struct setting_context *to = context;
	struct cursor cursor = {stmt, 0};
	const char *body = take_text(&cursor);

	to->called = true;
	to->found(body, take_int(&cursor), to->arg);
	return ROW_STOP;
}

static enum store_result run_setting(struct store *store, enum query query, struct value whose,
    int64_t at_us, setting_fn *found, void *arg)
{
	struct setting_context context = {.found = found, .arg = arg};
	struct value params[] = {whose, value_int(at_us == 0 ? INT64_MAX : at_us)};
	enum store_result result = run(store, query, params, 2, setting_step, &context);

	return result == STORE_OK && !context.called ? STORE_NOT_FOUND : result;
}

enum store_result store_setting(struct store *store, const char *name, int64_t at_us,
    setting_fn *found, void *arg)
{
	return run_setting(store, QUERY_SETTING, value_text(name), at_us, found, arg);
}

enum store_result store_policy_at(struct store *store, int64_t agent, int64_t at_us,
    setting_fn *found, void *arg)
{
	return run_setting(store, QUERY_POLICY_AT, value_int(agent), at_us, found, arg);
}

/* --- audit ------------------------------------------------------------------- */

struct audit_context {
	audit_each_fn *each;
	void *arg;
};

static enum row_step audit_step(sqlite3_stmt *stmt, void *context)
{
	struct audit_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct audit_row row = {0};

	row.id = take_int(&cursor);
	row.kind = (enum audit_kind)take_int(&cursor);
	row.agent = take_int(&cursor);
	row.agent_name = take_text(&cursor);
	row.owner = take_text(&cursor);
	row.session = take_text(&cursor);
	row.tool = take_text(&cursor);
	row.method = take_text(&cursor);
	row.path = take_text(&cursor);
	row.allowed = take_int(&cursor) != 0;
	row.code = take_text(&cursor);
	row.rule = take_text(&cursor);
	row.price = take_int(&cursor);
	row.payee = take_text(&cursor);
	row.payment = take_int(&cursor);
	row.status = (int)take_int(&cursor);
	row.upstream_status = (int)take_int(&cursor);
	row.forwarded_us = take_int(&cursor);
	row.quoted_us = take_int(&cursor);
	row.signed_us = take_int(&cursor);
	row.answered_us = take_int(&cursor);
	row.finished_us = take_int(&cursor);
	row.request_bytes = take_int(&cursor);
	row.response_bytes = take_int(&cursor);
	row.has_request_digest = take_digest(&row.request_digest, &cursor);
	row.has_response_digest = take_digest(&row.response_digest, &cursor);
	row.detail = take_text(&cursor);
	return to->each(&row, to->arg) ? ROW_MORE : ROW_STOP;
}

enum store_result store_audit(struct store *store, int64_t agent, int64_t call, int64_t since_us,
    audit_each_fn *each, void *arg)
{
	struct audit_context context = {each, arg};
	struct value params[] = {value_int(call != 0 ? call : agent), value_int(since_us)};

	if (call != 0)
		return run(store, QUERY_AUDIT_OF_CALL, params, 1, audit_step, &context);
	return run(store, agent == 0 ? QUERY_AUDIT : QUERY_AUDIT_OF_AGENT, params, 2, audit_step,
	    &context);
}

/* --- idempotency ------------------------------------------------------------- */

struct idempotency_context {
	idempotency_fn *found;
	void *arg;
	bool called;
};

static enum row_step idempotency_step(sqlite3_stmt *stmt, void *context)
{
	struct idempotency_context *to = context;
	struct cursor cursor = {stmt, 0};
	struct idempotency_row row = {0};
	struct answer_row answer = {0};

	row.agent = take_int(&cursor);
	row.key = take_text(&cursor);
	if (!take_digest(&row.request, &cursor))
		return ROW_DAMAGED;
	row.call = take_int(&cursor);
	row.payment = take_int(&cursor);
	row.expires_us = take_int(&cursor);
	answer.call = take_int(&cursor);
	answer.status = (int)take_int(&cursor);
	answer.headers = take_text(&cursor);
	answer.body = sqlite3_column_blob(stmt, cursor.column);
	answer.body_size = (size_t)sqlite3_column_bytes(stmt, cursor.column++);
	answer.expires_us = take_int(&cursor);
	to->called = true;
	to->found(&row, answer.call == 0 ? NULL : &answer, to->arg);
	return ROW_STOP;
}

enum store_result store_idempotency(struct store *store, int64_t agent, const char *key,
    int64_t now_us, idempotency_fn *found, void *arg)
{
	struct idempotency_context context = {.found = found, .arg = arg};
	struct value params[] = {value_int(agent), value_int(now_us), value_text(key)};
	enum store_result result =
	    run(store, QUERY_IDEMPOTENCY, params, 3, idempotency_step, &context);

	return result == STORE_OK && !context.called ? STORE_NOT_FOUND : result;
}
