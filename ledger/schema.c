/* ledger/schema.c - see schema.h. */
#include "ledger/schema.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "ledger/wal_file.h"

/* An external reader's lock is waited for this long before the disk counts as broken. */
#define BUSY_MS 5000
#define SQL_SIZE_MAX (64u * 1024u)

static const struct table_form forms[] = {
	[TABLE_JOURNAL] = {"journal", false, 16,
	    {"id", "event", "call", "payment", "agent", "agent_name", "owner", "session", "tool",
		"amount", "network", "asset", "symbol", "tx", "note", "from_spent"},
	    ""},
	[TABLE_AGENT] = {"agent", true, 4, {"id", "name", "owner", "address"}, ""},
	[TABLE_AGENT_ADDRESS] = {"agent_address", true, 3, {"id", "agent", "address"}, ""},
	[TABLE_AGENT_STATE] = {"agent_state", true, 3, {"id", "agent", "suspended"}, ""},
	[TABLE_POLICY] = {"policy", true, 3, {"id", "agent", "body"}, ""},
	[TABLE_TOOL] = {"tool", true, 6, {"id", "name", "url", "billing", "price", "removed"}, ""},
	[TABLE_TOKEN] = {"token", true, 4, {"id", "session", "agent", "expires_s"}, ""},
	[TABLE_TOKEN_REVOKED] = {"token_revoked", true, 2, {"id", "session"}, ""},
	[TABLE_NETWORK] = {"network", true, 3, {"id", "network", "rpc"}, ""},
	[TABLE_PAYMENT] = {"payment", true, 21,
	    {"id", "call", "agent", "agent_name", "tool", "session", "amount", "value", "network",
		"asset", "symbol", "payer", "payee", "nonce", "valid_before_s", "header_name",
		"header_value", "challenge", "method", "url", "request"},
	    ""},
	[TABLE_PAYMENT_STATE] = {"payment_state", true, 7,
	    {"id", "payment", "state", "tx", "reason", "by", "receipt"}, ""},
	[TABLE_AUDIT] = {"audit", true, 27,
	    {"id", "kind", "agent", "agent_name", "owner", "session", "tool", "method", "path",
		"allowed", "code", "rule", "price", "payee", "payment", "status",
		"upstream_status", "forwarded_us", "quoted_us", "signed_us", "answered_us",
		"finished_us", "request_bytes", "response_bytes", "request_digest",
		"response_digest", "detail"},
	    ""},
	[TABLE_ACCOUNT] = {"account", true, 8,
	    {"id", "name", "network", "asset", "symbol", "role", "kind", "agent"}, ""},
	[TABLE_EVIDENCE] = {"evidence", true, 11,
	    {"id", "payment", "kind", "network", "block", "block_hash", "block_s", "tx",
		"log_index", "endpoints", "detail"},
	    ""},
	[TABLE_DELIVERY] = {"delivery", true, 6,
	    {"id", "call", "payment", "agent", "tool", "reason"}, ""},
	[TABLE_SETTING] = {"setting", true, 3, {"id", "name", "body"}, ""},
	/* The same call may state its key again (a payment has been signed since); another
	 * call of the same request may have it when nothing was paid, and its answer is gone;
	 * any call once it has expired (?7: now). Otherwise nothing changes. */
	[TABLE_IDEMPOTENCY] = {"idempotency", false, 6,
	    {"agent", "key", "request", "call", "payment", "expires_us"},
	    " ON CONFLICT (agent, key) DO UPDATE SET request = excluded.request,"
	    " call = excluded.call, payment = excluded.payment, expires_us = excluded.expires_us"
	    " WHERE (request = excluded.request AND (call = excluded.call OR payment IS NULL))"
	    " OR expires_us <= ?7"},
	[TABLE_ANSWER] = {"answer", false, 5, {"call", "status", "headers", "body", "expires_us"},
	    " ON CONFLICT (call) DO UPDATE SET status = excluded.status,"
	    " headers = excluded.headers, body = excluded.body, expires_us = excluded.expires_us"},
};

/* What refuses a change. RAISE(ABORT) undoes the statement, whoever runs it. */
#define APPEND_ONLY(table)                                                                         \
	"CREATE TRIGGER " table "_no_update BEFORE UPDATE ON " table                               \
	" BEGIN SELECT RAISE(ABORT, '" table " rows are never changed'); END;\n"                   \
	"CREATE TRIGGER " table "_no_delete BEFORE DELETE ON " table                               \
	" BEGIN SELECT RAISE(ABORT, '" table " rows are never deleted'); END;\n"

/* Columns that start-up queries read come before the long texts of a row, so that
 * reading them does not walk overflow pages. */
static const char migration_1[] =
    "CREATE TABLE agent (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64\n"
    "  AND name NOT GLOB '*[^A-Za-z0-9._-]*'),\n"
    " owner TEXT NOT NULL,\n"
    " address TEXT NOT NULL) STRICT;\n"
    "CREATE TABLE agent_address (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " address TEXT NOT NULL) STRICT;\n"
    "CREATE INDEX agent_address_agent ON agent_address (agent);\n"
    "CREATE TABLE agent_state (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " suspended INTEGER NOT NULL CHECK (suspended IN (0, 1))) STRICT;\n"
    "CREATE INDEX agent_state_agent ON agent_state (agent);\n"
    "CREATE TABLE policy (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " body TEXT NOT NULL) STRICT;\n"
    "CREATE INDEX policy_agent ON policy (agent);\n"
    "CREATE TABLE tool (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " name TEXT NOT NULL CHECK (length(name) > 0),\n"
    " url TEXT NOT NULL,\n"
    " billing INTEGER NOT NULL CHECK (billing IN (1, 2)),\n"
    " price INTEGER CHECK (price >= 0),\n"
    " removed INTEGER NOT NULL CHECK (removed IN (0, 1))) STRICT;\n"
    "CREATE INDEX tool_name ON tool (name);\n"
    "CREATE TABLE token (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " session TEXT NOT NULL UNIQUE CHECK (length(session) > 0),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " expires_s INTEGER NOT NULL) STRICT;\n"
    "CREATE INDEX token_agent ON token (agent);\n"
    "CREATE TABLE token_revoked (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " session TEXT NOT NULL REFERENCES token (session)) STRICT;\n"
    "CREATE INDEX token_revoked_session ON token_revoked (session);\n"
    "CREATE TABLE network (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " network TEXT NOT NULL CHECK (length(network) > 0),\n"
    " rpc TEXT NOT NULL) STRICT;\n"
    "CREATE INDEX network_network ON network (network);\n"
    "CREATE TABLE payment (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " call INTEGER NOT NULL CHECK (call > 0),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " agent_name TEXT NOT NULL,\n"
    " tool TEXT NOT NULL,\n"
    " session TEXT NOT NULL,\n"
    " amount INTEGER NOT NULL CHECK (amount > 0),\n"
    " value TEXT NOT NULL,\n"
    " network TEXT NOT NULL,\n"
    " asset TEXT NOT NULL,\n"
    " symbol TEXT NOT NULL,\n"
    " payer TEXT NOT NULL,\n"
    " payee TEXT NOT NULL,\n"
    " nonce TEXT NOT NULL,\n"
    " valid_before_s INTEGER NOT NULL,\n"
    " header_name TEXT NOT NULL,\n"
    " header_value TEXT NOT NULL,\n"
    " challenge TEXT NOT NULL,\n"
    " method TEXT NOT NULL,\n"
    " url TEXT NOT NULL,\n"
    " request BLOB NOT NULL CHECK (length(request) = 32)) STRICT;\n"
    "CREATE UNIQUE INDEX payment_nonce ON payment (nonce, payer, asset, network);\n"
    "CREATE INDEX payment_charge ON payment (agent, session, tool, payee, call, amount);\n"
    "CREATE TABLE payment_state (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " payment INTEGER NOT NULL REFERENCES payment (id),\n"
    " state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 6),\n"
    " tx TEXT,\n"
    " reason TEXT,\n"
    " by TEXT NOT NULL,\n"
    " receipt TEXT) STRICT;\n"
    "CREATE INDEX payment_state_payment ON payment_state (payment, state);\n"
    /* The one gate: what has ended stays ended. More evidence for the same end may
     * still be written down: settled after spent or settled, expired after unused. */
    "CREATE TRIGGER payment_state_follows BEFORE INSERT ON payment_state\n"
    "WHEN EXISTS (SELECT 1 FROM payment_state s WHERE s.payment = NEW.payment\n"
    " AND (s.state IN (3, 4) AND NEW.state <> 3\n"
    "  OR s.state = 5 AND NEW.state <> 6\n"
    "  OR s.state = 6))\n"
    "BEGIN SELECT RAISE(ABORT, 'the payment has ended otherwise'); END;\n"
    "CREATE TABLE audit (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " kind INTEGER NOT NULL CHECK (kind IN (1, 2)),\n"
    " agent INTEGER,\n"
    " agent_name TEXT,\n"
    " owner TEXT,\n"
    " session TEXT,\n"
    " tool TEXT,\n"
    " method TEXT,\n"
    " path TEXT,\n"
    " allowed INTEGER NOT NULL CHECK (allowed IN (0, 1)),\n"
    " code TEXT,\n"
    " rule TEXT,\n"
    " price INTEGER NOT NULL,\n"
    " payee TEXT,\n"
    " payment INTEGER,\n"
    " status INTEGER NOT NULL,\n"
    " upstream_status INTEGER NOT NULL,\n"
    " forwarded_us INTEGER,\n"
    " quoted_us INTEGER,\n"
    " signed_us INTEGER,\n"
    " answered_us INTEGER,\n"
    " finished_us INTEGER,\n"
    " request_bytes INTEGER NOT NULL,\n"
    " response_bytes INTEGER NOT NULL,\n"
    " request_digest BLOB CHECK (length(request_digest) = 32),\n"
    " response_digest BLOB CHECK (length(response_digest) = 32),\n"
    " detail TEXT) STRICT;\n"
    "CREATE INDEX audit_agent ON audit (agent);\n"
    "CREATE INDEX audit_calls ON audit (agent, session, tool) WHERE kind = 1 AND allowed = 1;\n"
    "CREATE TABLE account (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " name TEXT NOT NULL,\n"
    " network TEXT NOT NULL,\n"
    " asset TEXT NOT NULL,\n"
    " symbol TEXT NOT NULL,\n"
    " role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 6),\n"
    " kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),\n"
    " agent INTEGER REFERENCES agent (id),\n"
    " UNIQUE (name, network, asset)) STRICT;\n"
    "CREATE TABLE journal (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " event INTEGER NOT NULL CHECK (event BETWEEN 1 AND 8),\n"
    " call INTEGER CHECK (call > 0),\n"
    " payment INTEGER REFERENCES payment (id),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " agent_name TEXT NOT NULL,\n"
    " owner TEXT,\n"
    " session TEXT,\n"
    " tool TEXT,\n"
    " amount INTEGER NOT NULL CHECK (amount > 0),\n"
    " network TEXT NOT NULL,\n"
    " asset TEXT NOT NULL,\n"
    " symbol TEXT NOT NULL,\n"
    " tx TEXT,\n"
    " note TEXT,\n"
    " from_spent INTEGER NOT NULL CHECK (from_spent IN (0, 1)),\n"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),\n"
    " CHECK (owner IS NOT NULL OR event NOT IN (1, 2)),\n"
    " CHECK (tool IS NOT NULL OR event IN (1, 2)\n"
    "  OR event = 5 AND from_spent = 0),\n"
    " CHECK (payment IS NOT NULL OR event NOT IN (3, 4, 5) OR from_spent = 1),\n"
    " CHECK (call IS NOT NULL OR event NOT IN (6, 7, 8)),\n"
    " CHECK (from_spent = 0 OR event = 5)) STRICT;\n"
    "CREATE INDEX journal_agent ON journal (agent);\n"
    "CREATE INDEX journal_call ON journal (call) WHERE call IS NOT NULL;\n"
    /* A payment is signed once and ends once; a hold is made once and ends once. */
    "CREATE UNIQUE INDEX journal_sign ON journal (payment) WHERE event = 3;\n"
    "CREATE UNIQUE INDEX journal_sign_end ON journal (payment)\n"
    " WHERE event IN (4, 5) AND from_spent = 0;\n"
    "CREATE INDEX journal_refund ON journal (payment, amount) WHERE event = 5;\n"
    "CREATE UNIQUE INDEX journal_hold ON journal (call) WHERE event = 6;\n"
    "CREATE UNIQUE INDEX journal_hold_end ON journal (call) WHERE event IN (7, 8);\n"
    "CREATE TABLE posting (\n"
    " journal INTEGER NOT NULL REFERENCES journal (id),\n"
    " account INTEGER NOT NULL REFERENCES account (id),\n"
    " amount INTEGER NOT NULL CHECK (amount <> 0),\n"
    " PRIMARY KEY (journal, account)) STRICT, WITHOUT ROWID;\n"
    "CREATE INDEX posting_account ON posting (account, amount);\n"
    "CREATE TABLE record (\n"
    " seq INTEGER PRIMARY KEY CHECK (seq > 0),\n"
    " kind INTEGER NOT NULL,\n"
    " row INTEGER NOT NULL,\n"
    " hash BLOB NOT NULL CHECK (length(hash) = 32)) STRICT;\n"
    "CREATE TABLE idempotency (\n"
    " agent INTEGER NOT NULL,\n"
    " key TEXT NOT NULL,\n"
    " request BLOB NOT NULL CHECK (length(request) = 32),\n"
    " call INTEGER NOT NULL,\n"
    " payment INTEGER,\n"
    " expires_us INTEGER NOT NULL,\n"
    " PRIMARY KEY (agent, key)) STRICT, WITHOUT ROWID;\n"
    "CREATE INDEX idempotency_expires ON idempotency (expires_us);\n"
    "CREATE TABLE answer (\n"
    " call INTEGER PRIMARY KEY CHECK (call > 0),\n"
    " status INTEGER NOT NULL,\n"
    " expires_us INTEGER NOT NULL,\n"
    " headers TEXT NOT NULL,\n"
    " body BLOB NOT NULL) STRICT;\n"
    "CREATE INDEX answer_expires ON answer (expires_us);\n"
    APPEND_ONLY("agent") APPEND_ONLY("agent_address") APPEND_ONLY("agent_state")
    APPEND_ONLY("policy") APPEND_ONLY("tool") APPEND_ONLY("token") APPEND_ONLY("token_revoked")
    APPEND_ONLY("network") APPEND_ONLY("payment") APPEND_ONLY("payment_state")
    APPEND_ONLY("audit") APPEND_ONLY("account") APPEND_ONLY("journal") APPEND_ONLY("posting")
    APPEND_ONLY("record");

/* What refuses a row of three tables, asked by a trigger of the row that it is about ("NEW.") and
 * by the writer of the values that it is to have (":", see schema_rule_sql).
 *
 * STANDING is the latest end or beginning of a payment that the journal has. Not with IN: a list of
 * three or more is a table of its own, made for each row that is written. */
#define STANDING(row)                                                                              \
	"coalesce((SELECT j.event FROM journal j WHERE j.payment = " row "payment"                 \
	" AND (j.event = 3 OR j.event = 4 OR j.event = 9 OR j.event = 5 AND j.from_spent = 0)"     \
	" ORDER BY j.id DESC LIMIT 1), 0)"
#define HOLD_EVENT(row)                                                                            \
	"coalesce((SELECT max(j.event) FROM journal j WHERE j.call = " row "call"                  \
	" AND j.event BETWEEN 6 AND 8), 0)"
#define IS_THERE(row) " EXISTS (SELECT 1 FROM payment p WHERE p.id = " row "payment)"
#define JOURNAL_REFUSED(row)                                                                       \
	"CASE " row "event\n"                                                                      \
	" WHEN 3 THEN EXISTS (SELECT 1 FROM journal j WHERE j.payment = " row "payment)\n"         \
	" WHEN 4 THEN " STANDING(row) " NOT IN (3, 9) AND" IS_THERE(row) "\n"                      \
	" WHEN 5 THEN CASE " row "from_spent WHEN 0 THEN\n"                                        \
	"   " STANDING(row) " NOT IN (3, 9) AND" IS_THERE(row) "\n"                                \
	"  ELSE " row "amount > coalesce((SELECT sum(CASE j.event WHEN 4 THEN j.amount\n"          \
	"    ELSE -j.amount END) FROM journal j WHERE j.payment = " row "payment\n"                \
	"    AND (j.event = 4 OR j.event IN (5, 9) AND j.from_spent = 1)), 0)\n"                   \
	"   AND (" row "payment IS NULL OR" IS_THERE(row) ") END\n"                                \
	" WHEN 6 THEN " HOLD_EVENT(row) " <> 0\n"                                                  \
	" WHEN 7 THEN " HOLD_EVENT(row) " <> 6\n"                                                  \
	" WHEN 8 THEN " HOLD_EVENT(row) " <> 6\n"                                                  \
	" WHEN 9 THEN " STANDING(row) " <> CASE " row "from_spent WHEN 1 THEN 4 ELSE 5 END AND"    \
	IS_THERE(row) "\n"                                                                         \
	" ELSE 0 END"
#define PAYMENT_REFUSED(row)                                                                       \
	"EXISTS (SELECT 1 FROM payment p INDEXED BY payment_nonce\n"                               \
	" WHERE substr(p.nonce, 59) = substr(" row "nonce, 59) AND +p.nonce = " row "nonce\n"      \
	"  AND p.payer = " row "payer AND p.asset = " row "asset AND p.network = " row "network)"
/* Of the payment's latest state, LATEST_STATE. */
#define STATE_REFUSED(row)                                                                         \
	"CASE WHEN " row "state = 2 AND " row "by = 'chain' THEN 0\n"                              \
	"   WHEN s.state IN (3, 4) THEN " row "state <> 3\n"                                       \
	"   WHEN s.state = 5 THEN " row "state NOT IN (6, 7)\n"                                    \
	"   ELSE s.state IN (6, 7) END"
#define LATEST_STATE(row)                                                                          \
	"FROM payment_state s WHERE s.payment = " row "payment ORDER BY s.id DESC LIMIT 1"

/* Payments may be reopened and cancelled; what the chain said, what was not delivered and
 * what was set are written down. journal and payment_state are made anew, because a CHECK
 * cannot be changed in place: https://www.sqlite.org/lang_altertable.html, section 7. The
 * triggers and indexes of a dropped table go with it.
 *
 * journal_payment has all that the journal says about payments, in the order in which it
 * was said: the triggers' questions and what was paid back are answered from it alone.
 *
 * balance and pending are running results, so that a start does not read the whole past:
 * the sum of each account's postings, and the payments that the journal has signed or
 * reopened once more than ended. Triggers keep them in the transaction of the row they follow
 * from; `ledger verify` recomputes both. */
static const char migration_2[] =
    "CREATE TABLE journal_new (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " event INTEGER NOT NULL CHECK (event BETWEEN 1 AND 9),\n"
    " call INTEGER CHECK (call > 0),\n"
    " payment INTEGER REFERENCES payment (id),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " agent_name TEXT NOT NULL,\n"
    " owner TEXT,\n"
    " session TEXT,\n"
    " tool TEXT,\n"
    " amount INTEGER NOT NULL CHECK (amount > 0),\n"
    " network TEXT NOT NULL,\n"
    " asset TEXT NOT NULL,\n"
    " symbol TEXT NOT NULL,\n"
    " tx TEXT,\n"
    " note TEXT,\n"
    " from_spent INTEGER NOT NULL CHECK (from_spent IN (0, 1)),\n"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),\n"
    " CHECK (owner IS NOT NULL OR event NOT IN (1, 2)),\n"
    " CHECK (tool IS NOT NULL OR event IN (1, 2)\n"
    "  OR event = 5 AND from_spent = 0),\n"
    " CHECK (payment IS NOT NULL OR event NOT IN (3, 4, 5, 9)\n"
    "  OR event = 5 AND from_spent = 1),\n"
    " CHECK (call IS NOT NULL OR event NOT IN (6, 7, 8)),\n"
    " CHECK (from_spent = 0 OR event IN (5, 9))) STRICT;\n"
    "INSERT INTO journal_new SELECT * FROM journal ORDER BY id;\n"
    "DROP TABLE journal;\n"
    "ALTER TABLE journal_new RENAME TO journal;\n"
    "CREATE INDEX journal_agent ON journal (agent);\n"
    "CREATE INDEX journal_call ON journal (call) WHERE call IS NOT NULL;\n"
    "CREATE INDEX journal_payment ON journal (payment, id, event, from_spent, amount)\n"
    " WHERE payment IS NOT NULL;\n"
    "CREATE INDEX journal_given ON journal (payment, event, from_spent, amount)\n"
    " WHERE event IN (5, 9);\n"
    "CREATE INDEX journal_hold ON journal (call, event, agent, tool, session, amount)\n"
    " WHERE event IN (6, 7, 8);\n"
    /* A payment is signed once, and then ends and is reopened in turn. What names a payment
     * that is not there is left to the foreign key, which says so. A hold is made once and
     * ends once. */
    "CREATE TRIGGER journal_signs_once BEFORE INSERT ON journal\n"
    "WHEN NEW.event = 3 AND EXISTS (SELECT 1 FROM journal j WHERE j.payment = NEW.payment)\n"
    "BEGIN SELECT RAISE(ABORT, 'the payment was signed before'); END;\n"
    "CREATE TRIGGER journal_holds_once BEFORE INSERT ON journal\n"
    "WHEN NEW.event IN (6, 7, 8)\n"
    " AND coalesce((SELECT max(j.event) FROM journal j WHERE j.call = NEW.call\n"
    "   AND j.event IN (6, 7, 8)), 0) <> CASE NEW.event WHEN 6 THEN 0 ELSE 6 END\n"
    "BEGIN SELECT RAISE(ABORT, 'the hold was made or has ended before'); END;\n"
    "CREATE TRIGGER journal_ends_what_is_open BEFORE INSERT ON journal\n"
    "WHEN NEW.event IN (4, 5) AND (NEW.event = 4 OR NEW.from_spent = 0)\n"
    " AND coalesce((SELECT j.event FROM journal j WHERE j.payment = NEW.payment\n"
    "   AND (j.event IN (3, 4, 9) OR j.event = 5 AND j.from_spent = 0)\n"
    "   ORDER BY j.id DESC LIMIT 1), 0) NOT IN (3, 9)\n"
    " AND EXISTS (SELECT 1 FROM payment p WHERE p.id = NEW.payment)\n"
    "BEGIN SELECT RAISE(ABORT, 'the payment is not open'); END;\n"
    "CREATE TRIGGER journal_reopens_what_ended BEFORE INSERT ON journal\n"
    "WHEN NEW.event = 9\n"
    " AND coalesce((SELECT j.event FROM journal j WHERE j.payment = NEW.payment\n"
    "   AND (j.event IN (3, 4, 9) OR j.event = 5 AND j.from_spent = 0)\n"
    "   ORDER BY j.id DESC LIMIT 1), 0) <> CASE NEW.from_spent WHEN 1 THEN 4 ELSE 5 END\n"
    " AND EXISTS (SELECT 1 FROM payment p WHERE p.id = NEW.payment)\n"
    "BEGIN SELECT RAISE(ABORT, 'the payment has not ended that way'); END;\n"
    "CREATE TRIGGER journal_repays_what_was_paid BEFORE INSERT ON journal\n"
    "WHEN NEW.event = 5 AND NEW.from_spent = 1\n"
    " AND NEW.amount > coalesce((SELECT sum(CASE j.event WHEN 4 THEN j.amount\n"
    "   ELSE -j.amount END) FROM journal j WHERE j.payment = NEW.payment\n"
    "   AND (j.event = 4 OR j.event IN (5, 9) AND j.from_spent = 1)), 0)\n"
    " AND (NEW.payment IS NULL OR EXISTS (SELECT 1 FROM payment p WHERE p.id = NEW.payment))\n"
    "BEGIN SELECT RAISE(ABORT, 'more is paid back than was paid'); END;\n"
    "CREATE TABLE pending (\n"
    " payment INTEGER PRIMARY KEY REFERENCES payment (id)) STRICT;\n"
    "INSERT INTO pending SELECT payment FROM journal WHERE payment IS NOT NULL\n"
    " GROUP BY payment HAVING sum(CASE WHEN event IN (3, 9) THEN 1\n"
    "  WHEN event = 4 OR from_spent = 0 THEN -1 ELSE 0 END) > 0;\n"
    "CREATE TRIGGER journal_opens_payment AFTER INSERT ON journal\n"
    "WHEN NEW.event IN (3, 9)\n"
    "BEGIN INSERT INTO pending (payment) VALUES (NEW.payment); END;\n"
    "CREATE TRIGGER journal_closes_payment AFTER INSERT ON journal\n"
    "WHEN NEW.event = 4 OR NEW.event = 5 AND NEW.from_spent = 0\n"
    "BEGIN DELETE FROM pending WHERE payment = NEW.payment; END;\n"
    "CREATE TABLE balance (\n"
    " account INTEGER PRIMARY KEY REFERENCES account (id),\n"
    " amount INTEGER NOT NULL) STRICT;\n"
    "INSERT INTO balance SELECT account, sum(amount) FROM posting GROUP BY account;\n"
    "INSERT INTO balance SELECT id, 0 FROM account\n"
    " WHERE id NOT IN (SELECT account FROM balance);\n"
    "DROP INDEX posting_account;\n"
    "CREATE TRIGGER account_starts_at_zero AFTER INSERT ON account\n"
    "BEGIN INSERT INTO balance (account, amount) VALUES (NEW.id, 0); END;\n"
    /* A sum that does not fit becomes a float, which the column refuses. */
    "CREATE TRIGGER posting_is_summed AFTER INSERT ON posting\n"
    "BEGIN UPDATE balance SET amount = amount + NEW.amount WHERE account = NEW.account; END;\n"
    "CREATE TABLE payment_state_new (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " payment INTEGER NOT NULL REFERENCES payment (id),\n"
    " state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 7),\n"
    " tx TEXT,\n"
    " reason TEXT,\n"
    " by TEXT NOT NULL,\n"
    " receipt TEXT) STRICT;\n"
    "INSERT INTO payment_state_new SELECT * FROM payment_state ORDER BY id;\n"
    "DROP TABLE payment_state;\n"
    "ALTER TABLE payment_state_new RENAME TO payment_state;\n"
    "CREATE INDEX payment_state_payment ON payment_state (payment, id, state);\n"
    /* The one gate, see enum payment_state_row in ledger/store.h. The latest state decides. */
    "CREATE TRIGGER payment_state_follows BEFORE INSERT ON payment_state\n"
    "WHEN (SELECT " STATE_REFUSED("NEW.") "\n"
    "  " LATEST_STATE("NEW.") ")\n"
    "BEGIN SELECT RAISE(ABORT, 'the payment has ended otherwise'); END;\n"
    "CREATE TABLE evidence (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " payment INTEGER NOT NULL REFERENCES payment (id),\n"
    " kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6),\n"
    " network TEXT NOT NULL CHECK (length(network) > 0),\n"
    " block INTEGER NOT NULL CHECK (block >= 0),\n"
    " block_hash TEXT,\n"
    " block_s INTEGER,\n"
    " tx TEXT,\n"
    " log_index INTEGER NOT NULL CHECK (log_index >= -1),\n"
    " endpoints INTEGER NOT NULL CHECK (endpoints >= 0),\n"
    " detail TEXT) STRICT;\n"
    "CREATE INDEX evidence_payment ON evidence (payment, id, kind);\n"
    /* Hex digits are the same in either case. */
    "CREATE UNIQUE INDEX evidence_refund ON evidence (network, tx COLLATE NOCASE, log_index)\n"
    " WHERE kind = 6;\n"
    "CREATE INDEX evidence_disagrees ON evidence (payment) WHERE kind = 5;\n"
    "CREATE TABLE delivery (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " call INTEGER NOT NULL CHECK (call > 0),\n"
    " payment INTEGER NOT NULL REFERENCES payment (id),\n"
    " agent INTEGER NOT NULL REFERENCES agent (id),\n"
    " tool TEXT NOT NULL,\n"
    " reason TEXT NOT NULL) STRICT;\n"
    "CREATE INDEX delivery_agent ON delivery (agent);\n"
    "CREATE TABLE setting (\n"
    " id INTEGER PRIMARY KEY CHECK (id > 0),\n"
    " name TEXT NOT NULL CHECK (length(name) > 0),\n"
    " body TEXT NOT NULL) STRICT;\n"
    "CREATE INDEX setting_name ON setting (name);\n"
    "DROP INDEX payment_charge;\n"
    "CREATE INDEX payment_charge ON payment (agent, tool, call, session, payee, amount);\n"
    "CREATE INDEX idempotency_payment ON idempotency (payment) WHERE payment IS NOT NULL;\n"
    APPEND_ONLY("journal") APPEND_ONLY("payment_state") APPEND_ONLY("evidence")
    APPEND_ONLY("delivery") APPEND_ONLY("setting");

/* What version 2 did for each row of the journal and each posting was most of the cost of a
 * payment. The same is refused, by one trigger that asks only what its row's event may break;
 * and balance and pending are still running results, written by whoever writes the journal,
 * in the same transaction (ledger/footing.h, ledger/writer.c): once for each account instead of
 * once for each posting. */
static const char migration_3[] =
    "DROP TRIGGER journal_signs_once;\n"
    "DROP TRIGGER journal_holds_once;\n"
    "DROP TRIGGER journal_ends_what_is_open;\n"
    "DROP TRIGGER journal_reopens_what_ended;\n"
    "DROP TRIGGER journal_repays_what_was_paid;\n"
    "DROP TRIGGER journal_opens_payment;\n"
    "DROP TRIGGER journal_closes_payment;\n"
    "DROP TRIGGER account_starts_at_zero;\n"
    "DROP TRIGGER posting_is_summed;\n"
    /* Every index is a page more of each commit, so a row is in no two that answer the same: who
     * has an agent's payments has their journal, and the calls that were let through are
     * in an index by agent already. */
    "DROP INDEX journal_agent;\n"
    "DROP INDEX journal_call;\n"
    "DROP INDEX audit_agent;\n"
    "CREATE INDEX journal_others ON journal (agent) WHERE payment IS NULL;\n"
    "CREATE INDEX audit_others ON audit (agent) WHERE kind <> 1 OR allowed <> 1;\n"
    "DROP INDEX journal_hold;\n"
    "CREATE INDEX journal_hold ON journal (call, event, agent, tool, session, amount)\n"
    " WHERE event BETWEEN 6 AND 8;\n"
    "CREATE TRIGGER journal_follows BEFORE INSERT ON journal\n"
    "WHEN " JOURNAL_REFUSED("NEW.") "\n"
    "BEGIN SELECT CASE NEW.event\n"
    " WHEN 3 THEN RAISE(ABORT, 'the payment was signed before')\n"
    " WHEN 4 THEN RAISE(ABORT, 'the payment is not open')\n"
    " WHEN 5 THEN CASE NEW.from_spent WHEN 0 THEN RAISE(ABORT, 'the payment is not open')\n"
    "  ELSE RAISE(ABORT, 'more is paid back than was paid') END\n"
    " WHEN 9 THEN RAISE(ABORT, 'the payment has not ended that way')\n"
    " ELSE RAISE(ABORT, 'the hold was made or has ended before') END; END;\n";

/* Nonces are random: an entry lands on a page of its own wherever it stands, and of entries of 177
 * bytes a page of 2 KiB holds eleven, so that every few payments one was split and its neighbours
 * were written with it. The last four bytes of a nonce find its payment as well, and now and then
 * another's; who signs the same nonce for the same payer, asset and network is refused by looking
 * at those. The + keeps SQLite from putting NEW.nonce in the place of p.nonce everywhere, and so
 * from going through the whole index:
 * https://www.sqlite.org/optoverview.html, "Constant Propagation" and "unary +". */
static const char migration_4[] =
    "DROP INDEX payment_nonce;\n"
    "CREATE INDEX payment_nonce ON payment (substr(nonce, 59));\n"
    "CREATE TRIGGER payment_signs_once BEFORE INSERT ON payment\n"
    "WHEN " PAYMENT_REFUSED("NEW.") "\n"
    "BEGIN SELECT RAISE(ABORT, 'the nonce was signed before'); END;\n";

/* Frozen, append-only: migrations[n] takes version n to n + 1. */
static const char *const migrations[] = {migration_1, migration_2, migration_3, migration_4};
_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == SCHEMA_VERSION,
    "one migration per version");

const struct table_form *schema_table(enum table table)
{
	must(table >= TABLE_FIRST && table <= TABLE_LAST);
	return &forms[table];
}

static void add_columns(struct buf *sql, const struct table_form *form)
{
	for (size_t i = 0; i < form->column_count; i++) {
		buf_add_str(sql, i == 0 ? "" : ", ");
		buf_add_str(sql, form->columns[i]);
	}
}

const char *schema_rule_sql(enum table table)
{
	if (table == TABLE_JOURNAL)
		return "SELECT " JOURNAL_REFUSED(":");
	if (table == TABLE_PAYMENT)
		return "SELECT " PAYMENT_REFUSED(":");
	if (table == TABLE_PAYMENT_STATE)
		return "SELECT " STATE_REFUSED(":") ", s.id " LATEST_STATE(":");
	return NULL;
}

/* What SQLite is to refuse when it prepares a statement: what the triggers refuse when it runs. */
static int authorize(void *arg, int action, const char *table, const char *column,
    const char *database, const char *trigger)
{
	static const char *const changing[] = {"idempotency", "answer", "pending", "balance"};

	(void)arg;
	(void)column;
	(void)database;
	(void)trigger;
	if (action == SQLITE_CREATE_TRIGGER || action == SQLITE_CREATE_TEMP_TRIGGER)
		return SQLITE_DENY;
	if (action != SQLITE_UPDATE && action != SQLITE_DELETE)
		return SQLITE_OK;
	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
		if (strcmp(table, changing[i]) == 0)
			return SQLITE_OK;
	}
	return SQLITE_DENY;
}

void schema_leave_rules(sqlite3 *db)
{
	int on = 1;

	must(sqlite3_set_authorizer(db, authorize, NULL) == SQLITE_OK &&
	    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &on) == SQLITE_OK && !on);
}

char *schema_insert_sql(enum table table)
{
	const struct table_form *form = schema_table(table);
	/* The journal's hash is no column of its own encoding, but one of its table. */
	bool hashed = table == TABLE_JOURNAL;
	struct buf sql;

	buf_init(&sql, SQL_SIZE_MAX);
	buf_add_format(&sql, "INSERT INTO %s (", form->name);
	add_columns(&sql, form);
	buf_add_str(&sql, hashed ? ", hash) VALUES (" : ") VALUES (");
	for (size_t i = 0; i < form->column_count + hashed; i++)
		buf_add_format(&sql, "%s?%zu", i == 0 ? "" : ", ", i + 1);
	buf_add_format(&sql, ")%s", form->conflict);
	must(buf_ok(&sql));
	return buf_take(&sql);
}

char *schema_select_sql(enum table table, const char *more, const char *tail)
{
	const struct table_form *form = schema_table(table);
	struct buf sql;

	buf_init(&sql, SQL_SIZE_MAX);
	buf_add_str(&sql, "SELECT ");
	add_columns(&sql, form);
	buf_add_format(&sql, "%s FROM %s %s", more, form->name, tail);
	must(buf_ok(&sql));
	return buf_take(&sql);
}

void schema_reason(char reason[256], const char *what, sqlite3 *db)
{
	snprintf(reason, 256, "%s: %s", what, sqlite3_errmsg(db));
}

bool schema_number(int64_t *out, sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = false;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*out = sqlite3_column_int64(stmt, 0);
		ok = true;
	}
	sqlite3_finalize(stmt);
	return ok;
}

static bool has_wal(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW &&
	    strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;

	sqlite3_finalize(stmt);
	return ok;
}

/* For the whole process, before the first connection. Nobody asks SQLite how much memory it
 * has, and counting it takes a lock at each allocation; each connection is used by one thread
 * at a time (SQLITE_OPEN_NOMUTEX), so the caches need no lock in common either. The
 * bench counts what that is worth. Where another part of the process was first, all stays as
 * it was, and as correct. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
}

enum store_result schema_connect(sqlite3 **out, char reason[256], const char *path, bool read_only)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
	/* Durability is synchronous=FULL: the WAL is fsync'd by every commit. When checkpoints
	 * are made the writer says (ledger/checkpointer.h). */
	/* Pages of 2 KiB, in ledgers made since this line: nonces are random, so that each payment
	 * dirties pages of its own, and all that is dirty is written and summed at every commit.
	 * With 4 KiB a lone commit took a tenth longer, with 1 KiB a large one a third. */
	/* A cache of 4 MB holds what a commit of some 400 payments writes to; in a ledger of
	 * 150,000 payments from 1 to 16 MB cost the same. */
	/* A savepoint's undo pages stay in memory: the default is a file in /var/tmp, which
	 * would take the ledger's bytes out of its folder and its fate out of our hands. */
	const char *settings = read_only
	    ? "PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cell_size_check = ON;"
	      "PRAGMA temp_store = MEMORY;"
	    : "PRAGMA trusted_schema = OFF; PRAGMA page_size = 2048; PRAGMA journal_mode = WAL;"
	      "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
	      "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;"
	      "PRAGMA cell_size_check = ON; PRAGMA wal_autocheckpoint = 0;"
	      "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4096;";
	const char *vfs;
	sqlite3 *db = NULL;
	static pthread_once_t configured = PTHREAD_ONCE_INIT;

	must(pthread_once(&configured, configure) == 0);
	flags |= read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	vfs = read_only ? NULL : wal_file_vfs();
	if (sqlite3_open_v2(path, &db, flags, vfs) != SQLITE_OK) {
		schema_reason(reason, "cannot open the ledger", db);
		sqlite3_close(db);
		return STORE_BROKEN;
	}
	sqlite3_busy_timeout(db, BUSY_MS);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	if (sqlite3_exec(db, settings, NULL, NULL, NULL) != SQLITE_OK) {
		schema_reason(reason, "cannot read the ledger", db);
	} else if (!read_only && sqlite3_db_readonly(db, "main") != 0) {
		snprintf(reason, 256, "the ledger is read-only: check its owner and mode");
	} else if (!read_only && !has_wal(db)) {
		snprintf(reason, 256, "the ledger's file system cannot hold a write-ahead log");
	} else {
		*out = db;
		return STORE_OK;
	}
	sqlite3_close(db);
	return STORE_BROKEN;
}

/* Counts what PRAGMA foreign_key_check says; the first row is enough. */
static int note_row(void *arg, int count, char **values, char **names)
{
	(void)count;
	(void)values;
	(void)names;
	*(bool *)arg = true;
	return 1;
}

/* A table made anew has the same rows under the same ids, so that whoever named one before
 * still does: proved, not believed, before the step is committed. */
static bool references_hold(sqlite3 *db, char reason[256])
{
	bool dangling = false;
	int rc = sqlite3_exec(db, "PRAGMA foreign_key_check", note_row, &dangling, NULL);

	if (dangling)
		snprintf(reason, 256, "a row of the ledger names one that is not there");
	return !dangling && rc == SQLITE_OK;
}

/* One step: everything and the new version number, or nothing. */
static bool migrate_step(sqlite3 *db, char reason[256], int64_t version)
{
	char version_sql[64];
	bool ok;

	snprintf(version_sql, sizeof(version_sql), "PRAGMA user_version = %lld",
	    (long long)version + 1);
	ok = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, migrations[version], NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, version_sql, NULL, NULL, NULL) == SQLITE_OK;
	if (ok && version == 0) {
		snprintf(version_sql, sizeof(version_sql), "PRAGMA application_id = %d",
		    SCHEMA_APPLICATION_ID);
		ok = sqlite3_exec(db, version_sql, NULL, NULL, NULL) == SQLITE_OK;
	}
	return ok && references_hold(db, reason) &&
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

/* With foreign keys on, dropping a table deletes its rows first, which its triggers refuse
 * and rows that name them forbid. The setting cannot change inside a transaction. */
static enum store_result migrate_from(sqlite3 *db, char reason[256], int64_t version)
{
	enum store_result result = STORE_BROKEN;
	char words[256] = "";
	bool ok = sqlite3_exec(db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL) == SQLITE_OK;

	while (ok && version < SCHEMA_VERSION) {
		ok = migrate_step(db, words, version);
		version++;
	}
	if (ok && sqlite3_exec(db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL) == SQLITE_OK)
		result = STORE_OK;
	else if (words[0] != '\0')
		snprintf(reason, 256, "cannot bring the ledger to this version: %.180s", words);
	else
		schema_reason(reason, "cannot bring the ledger to this version", db);
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return result;
}

enum store_result schema_migrate(sqlite3 *db, char reason[256])
{
	int64_t application, version, objects;

	if (!schema_number(&application, db, "PRAGMA application_id") ||
	    !schema_number(&version, db, "PRAGMA user_version") ||
	    !schema_number(&objects, db, "SELECT count(*) FROM sqlite_schema")) {
		schema_reason(reason, "cannot read the ledger", db);
		return STORE_BROKEN;
	}
	if (application != SCHEMA_APPLICATION_ID &&
	    (application != 0 || version != 0 || objects != 0)) {
		snprintf(reason, 256, "the file is a database, but not a tallyward ledger");
		return STORE_BROKEN;
	}
	if (version > SCHEMA_VERSION) {
		snprintf(reason, 256,
		    "the ledger has schema version %lld and this program knows %d: use the newer "
		    "program",
		    (long long)version, SCHEMA_VERSION);
		return STORE_NEWER_SCHEMA;
	}
	if (version < 0) {
		snprintf(reason, 256, "the ledger has no valid schema version");
		return STORE_BROKEN;
	}
	return version == SCHEMA_VERSION ? STORE_OK : migrate_from(db, reason, version);
}
