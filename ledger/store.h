/* ledger/store.h - the one door to what is written down: open, append, query.
 *
 * SQLite today (WAL, synchronous=FULL, STRICT tables); nothing in this header
 * says so, because larger owners will put PostgreSQL behind it.
 *
 * One writer thread owns the writing connection and commits in groups: whatever
 * queued while the last commit was in flight goes into the next. Rows are never
 * updated or deleted (triggers refuse it), the answer cache apart; a change of
 * state is a new row. Journal and audit rows are hash-chained.
 *
 * Row ids are strictly increasing microseconds since the epoch over all tables. */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"

enum store_result {
	STORE_OK = 0,
	STORE_NOT_FOUND = 1,    /* no store in that folder; no such row; append: a row names another
				 * (agent, session, payment) that is not there */
	STORE_LOCKED = 2,       /* another process holds it; reason says which */
	STORE_NEWER_SCHEMA = 3, /* written by a newer program */
	STORE_EXISTS = 4,       /* create: there is one already; append: a unique name or key is
				 * taken, or the row contradicts one that is there */
	STORE_BROKEN = 5,       /* disk full, read-only, I/O error, corrupt: sign no payment */
	STORE_TOO_LONG = 6,	/* store_charges: more rows than were to be read */
};
const char *store_result_str(enum store_result result);

struct store;

/** store_create - make the store in dir, which exists. store_open takes the folder's
 * lock (one process at a time; the lock file names the holder's pid), migrates an
 * older schema, starts the writer, drops expired answers. reason: one sentence when
 * not OK; *out is untouched then. */
enum store_result store_create(char reason[256], const char *dir) MUST_CHECK;
enum store_result store_open(
    struct store **out, char reason[256], const char *dir, int64_t now_us) MUST_CHECK;
/** Commits what is queued (callbacks included), checkpoints, releases the lock. No
 * other thread is in a store function. */
void store_close(struct store **store);

/** store_next_id - max(now_us, last id given out + 1). Thread-safe, no lock. */
int64_t store_next_id(struct store *store, int64_t now_us);

/** The writer's health: OK, or STORE_BROKEN with its last reason (reason is untouched
 * when OK). While it is broken the disk is tried again about once a second, and by every
 * append, with a write that really reaches it; the first commit that succeeds clears it. */
enum store_result store_health(struct store *store, char reason[256]);

/** store_behind - is the ledger older than it was before it was opened?
 *
 * True, with reason, when it has not the rows that DIR/head was written with
 * (ledger/head.h): its end was cut off, or it is a restored backup. What was signed since
 * is not known, so no limit can be trusted. DIR/head then stays as it is. Whoever
 * has put the backup there on purpose removes that file. */
bool store_behind(const struct store *store, char reason[256]);

/* --- rows -------------------------------------------------------------- */
/* Strings are borrowed in both directions: copied by batch_*, valid only during the
 * callback in queries. Stored numbers of enums are frozen. */

struct agent_row {
	int64_t id;
	const char *name; /* unique, [A-Za-z0-9._-]{1,64} */
	const char *owner;
	const char *address; /* EIP-55; a later import is a new agent_address row: latest wins */
	bool suspended;      /* query only: from agent_state */
	const char *policy;  /* query only: latest policy text, or NULL */
};

enum tool_billing { TOOL_X402 = 1, TOOL_METERED = 2 };

struct tool_row {
	int64_t id;
	const char *name;
	const char *url;
	enum tool_billing billing;
	bool has_price;
	int64_t price; /* micro-dollars */
	bool removed;  /* a row per change: the latest of a name wins */
};

struct token_row {
	int64_t id;
	const char *session; /* jti */
	int64_t agent;
	int64_t expires_s;
	bool revoked; /* query only */
};

struct network_row {
	int64_t id;
	const char *network; /* CAIP-2 */
	const char *rpc;     /* space-separated URLs; "" when unset */
};

enum journal_event {
	JOURNAL_DEPOSIT = 1,  /* capital → available */
	JOURNAL_WITHDRAW = 2, /* available → capital */
	JOURNAL_SIGN = 3,     /* available → open */
	JOURNAL_SETTLE = 4,   /* open → spent */
	JOURNAL_REFUND = 5,   /* open → available, or spent → available */
	JOURNAL_HOLD = 6,     /* payable → reserved */
	JOURNAL_CHARGE = 7,   /* reserved → spent */
	JOURNAL_RELEASE = 8,  /* reserved → payable */
	JOURNAL_REOPEN = 9,   /* an end that did not last: spent → open, or available → open */
};
const char *journal_event_str(enum journal_event event); /* "deposit", … */

/* One transaction with its two postings: amount leaves `from`, enters `to`. Which
 * accounts these are follows from event, owner, agent and tool (ledger/account.h). */
struct journal_row {
	int64_t id;
	enum journal_event event;
	int64_t call;    /* 0: none */
	int64_t payment; /* 0: none */
	int64_t agent;
	const char *agent_name, *owner, *tool; /* tool NULL for deposit, withdraw */
	int64_t amount;                        /* micro-dollars, above 0 */
	const char *network;                   /* CAIP-2, or "off-chain" */
	const char *asset;                     /* contract address EIP-55, or "USD" */
	const char *symbol;                    /* "USDC", "USD" */
	const char *transaction;               /* hash, or NULL */
	const char *note;                      /* owner's words or NULL */
	const char *session; /* JOURNAL_HOLD: that it is charged to, also when a crash leaves
			      * no audit row to say so; else NULL */
	bool from_spent;     /* JOURNAL_REFUND: the seller paid back a settled payment (spent →
			      * available); JOURNAL_REOPEN: undoes a settle, else a refund */
	/* query only */
	const char *from, *to;
	struct digest hash;
};

enum payment_state {
	PAYMENT_SIGNED = 1,          /* the call is in flight */
	PAYMENT_OPEN = 2,            /* outcome unknown */
	PAYMENT_SETTLED = 3,         /* receipt or chain */
	PAYMENT_RESOLVED_SPENT = 4,  /* the owner's decision */
	PAYMENT_RESOLVED_UNUSED = 5, /* the owner's decision; given back */
	PAYMENT_EXPIRED_UNUSED = 6,  /* proved on the chain; given back */
	PAYMENT_CANCELLED = 7,       /* proved on the chain; given back */
};

struct payment_row {
	int64_t id;
	int64_t call;
	int64_t agent;
	const char *agent_name, *tool, *session;
	int64_t amount;    /* micro-dollars, rounded up */
	const char *value; /* atomic units, decimal */
	const char *network, *asset, *symbol;
	const char *payer, *payee; /* EIP-55 */
	const char *nonce;         /* 0x hex; unique with network, asset, payer */
	int64_t valid_before_s;
	const char *header_name, *header_value; /* the exact signed bytes */
	const char *challenge;                  /* as received, decoded */
	const char *method, *url;               /* of the call */
	struct digest request;                  /* of the request body */
	/* query only */
	enum payment_state state; /* the latest; PAYMENT_SIGNED while there is none */
	const char *transaction;  /* the latest one named, or NULL */
	const char *reason;       /* of the latest state, or NULL */
};

/* What has ended stays ended, unless the chain says otherwise. By the latest state:
 *
 *   SETTLED, RESOLVED_SPENT       SETTLED (more evidence), OPEN by "chain"
 *   RESOLVED_UNUSED               EXPIRED_UNUSED, CANCELLED (more evidence), OPEN by "chain"
 *   EXPIRED_UNUSED, CANCELLED     OPEN by "chain"
 *   none, SIGNED, OPEN            any
 *
 * Else the append is STORE_EXISTS. An end and its journal row (settle or refund) go into one
 * batch, an end undone and its JOURNAL_REOPEN as well; the first such batch wins, and the
 * journal refuses a second end without a reopening between. */
struct payment_state_row {
	int64_t id;
	int64_t payment;
	enum payment_state state;
	const char *transaction; /* or NULL */
	const char *reason;      /* or NULL */
	const char *by;          /* "receipt", "seller", "restart", "owner", "chain" */
	const char *receipt;     /* the decoded receipt as received, or NULL */
};

/* What the chain said about a payment, or where it contradicts what was said before. */
enum evidence_kind {
	EVIDENCE_USED = 1,      /* AuthorizationUsed with its Transfer */
	EVIDENCE_CANCELLED = 2, /* AuthorizationCanceled */
	EVIDENCE_UNUSED = 3,    /* unused at a block later than validBefore */
	EVIDENCE_GONE = 4,      /* a reorganisation took earlier evidence away */
	EVIDENCE_DISAGREES = 5, /* a receipt, an owner's word or another endpoint is contradicted,
				 * or it cannot be booked: detail says which */
	EVIDENCE_REFUND = 6,    /* a Transfer from the payee back to the payer */
};
const char *evidence_kind_str(enum evidence_kind kind); /* "used", "cancelled", … */

struct evidence_row {
	int64_t id;
	int64_t payment;
	enum evidence_kind kind;
	const char *network;
	int64_t block;           /* number; the log's, or that of the state read */
	const char *block_hash;  /* 0x hex, or NULL */
	int64_t block_s;         /* its timestamp; 0 unknown */
	const char *transaction; /* 0x hex, or NULL */
	int64_t log_index;       /* -1: none. (network, transaction, log_index) of a refund is
				  * unique: it is booked once */
	int64_t endpoints;       /* how many gave this answer */
	const char *detail;      /* words, or NULL */
};

/* Paid, but what came was not what the tool's delivery check asks for; or, with an empty
 * reason, that a later call with the same payment got it after all: the latest row of a
 * payment counts. */
struct delivery_row {
	int64_t id;
	int64_t call, payment, agent;
	const char *tool;
	const char *reason;
};

enum audit_kind { AUDIT_CALL = 1, AUDIT_OWNER = 2 };

struct audit_row {
	int64_t id; /* the call's id */
	enum audit_kind kind;
	int64_t agent; /* 0: unknown */
	const char *agent_name, *owner, *session, *tool;
	const char *method, *path; /* path without query; for AUDIT_OWNER the command */
	bool allowed;              /* forwarded at least once */
	const char *code;          /* refusal or failure code, or NULL */
	const char *rule;          /* that decided */
	int64_t price;             /* micro-dollars charged or open; 0 */
	const char *payee;
	int64_t payment;     /* 0: none */
	int status;          /* answered to the agent; 0: it hung up */
	int upstream_status; /* last seen from the seller; 0: none */
	/* 0: did not happen */
	int64_t forwarded_us, quoted_us, signed_us, answered_us, finished_us;
	int64_t request_bytes, response_bytes;
	bool has_request_digest, has_response_digest; /* of the bodies */
	struct digest request_digest, response_digest;
	const char *detail; /* JSON: reasons of options not taken, seller's words; or NULL */
};

/* Idempotency: which call a key belongs to, and the answer it got. A cache with an
 * age, the only rows that are ever deleted. The same call may append its key again
 * (with the payment it has signed since), and so may another call of the same request while
 * no payment stands behind it: the answer kept for it may have made room for newer ones.
 * Another call otherwise, or the same key for another request, is STORE_EXISTS until the
 * row has expired. */
struct idempotency_row {
	int64_t agent;
	const char *key;
	struct digest request; /* of method, URL and body */
	int64_t call;
	int64_t payment; /* 0: nothing was paid; call itself: a metered tool charged it */
	int64_t expires_us;
};

struct answer_row {
	int64_t call;
	int status;
	const char *headers; /* JSON array of [name, value] */
	const void *body;
	size_t body_size;
	int64_t expires_us;
};

/* --- append ------------------------------------------------------------ */

/* Rows that become durable together, or not at all. Ids inside the rows are the
 * caller's (store_next_id), journal rows excepted: the writer gives them theirs, in
 * the order of the chain. (A payment_state row that would stand before a later one of its
 * payment gets a new one too: of two threads the one that came first may have the higher.)
 * Within a batch journal rows are written last. 0 in a
 * reference, a time or a payment stands for none; texts that may be NULL say so above. */
struct batch;
struct batch *batch_new(int64_t now_us);
void batch_free(struct batch **batch);

void batch_agent(struct batch *batch, const struct agent_row *row);
void batch_agent_address(struct batch *batch, int64_t id, int64_t agent, const char *address);
void batch_agent_state(struct batch *batch, int64_t id, int64_t agent, bool suspended);
void batch_policy(struct batch *batch, int64_t id, int64_t agent, const char *text);
void batch_tool(struct batch *batch, const struct tool_row *row);
void batch_token(struct batch *batch, const struct token_row *row);
void batch_token_revoked(struct batch *batch, int64_t id, const char *session);
void batch_network(struct batch *batch, const struct network_row *row);
void batch_journal(struct batch *batch, const struct journal_row *row);
void batch_payment(struct batch *batch, const struct payment_row *row);
void batch_payment_state(struct batch *batch, const struct payment_state_row *row);
void batch_evidence(struct batch *batch, const struct evidence_row *row);
void batch_delivery(struct batch *batch, const struct delivery_row *row);
/** A text that changes seldom and must be provable later, such as the default policy; the
 * latest row of a name is in force. */
void batch_setting(struct batch *batch, int64_t id, const char *name, const char *body);
void batch_audit(struct batch *batch, const struct audit_row *row);
void batch_idempotency(struct batch *batch, const struct idempotency_row *row);
void batch_answer(struct batch *batch, const struct answer_row *row);
/** Somebody waits for it, but what it says has happened, durable or not: it outlives a process
 * that is killed like a batch that nobody waits for. Not for a signature, which has not left. */
void batch_outlive(struct batch *batch);

/** Called on the writer thread once the batch is durable (OK), was refused (EXISTS,
 * NOT_FOUND: none of it is written), or the disk failed (BROKEN: not durable; a crash
 * right after may still turn it up, so nothing may rely on its absence). Must not
 * block and must not call store_append_wait; store_append is fine. */
typedef void store_done_fn(enum store_result result, void *arg);

/** store_append - hand a batch to the writer. Takes *batch. Never waits for a commit (a page of
 * DIR/redo that the kernel has just written back may wait for the file system, as long as that is
 * frozen). done may be NULL (a settlement, an audit row: nobody waits for it); such a batch
 * survives the process from here on, however that ends (ledger/redo.h), if not the machine; it is
 * kept while the disk fails and tried again until it is written, so that the ledger catches
 * up without hands. When more than STORE_KEPT_MAX are kept, those that hold nothing but
 * audit rows are dropped, and their number is logged. Order of appends by one
 * thread is the order of the rows. A batch that is refused does not fail its
 * neighbours in the same group. The queue has no limit of its own: callers bound the
 * calls in flight, and store_queued() says how many batches wait. */
#define STORE_KEPT_MAX 65536u
void store_append(struct store *store, struct batch **batch, store_done_fn *done, void *arg);
/** store_expect - somebody is likely to append a batch and wait for it within some ten
 * microseconds: the writer wakes up beside what the caller still has to do, not behind it, and
 * applies what lies there. Costs a core 100 us when nothing comes, and changes nothing. */
void store_expect(struct store *store);
/** store_append, waiting: for owner's commands and tests. */
enum store_result store_append_wait(struct store *store, struct batch **batch) MUST_CHECK;
/** store_flush - wait until what was appended before is durable, but at most ms milliseconds (1 to
 * an hour): for a process that is about to end without store_close(), because other threads are
 * still in the store; what they append meanwhile may or may not be written.
 *
 * Returns  STORE_OK      all of it is
 *          STORE_BROKEN  the disk fails, or is not done in time */
enum store_result store_flush(struct store *store, int64_t now_us, uint32_t ms) MUST_CHECK;
/** Batches handed over whose outcome is not told yet. */
size_t store_queued(const struct store *store);

/* --- query ------------------------------------------------------------- */
/* On read-only connections of their own; any thread; they see committed rows, each
 * query one moment of them. Every each_fn returns true to go on, holds no lock of the
 * store and may query again. Result: OK, NOT_FOUND (single-row forms), BROKEN. */

typedef bool agent_each_fn(const struct agent_row *row, void *arg);
typedef bool tool_each_fn(const struct tool_row *row, void *arg);
typedef bool token_each_fn(const struct token_row *row, void *arg);
typedef bool network_each_fn(const struct network_row *row, void *arg);
typedef bool journal_each_fn(const struct journal_row *row, void *arg);
typedef bool payment_each_fn(const struct payment_row *row, void *arg);
typedef bool payment_state_each_fn(const struct payment_state_row *row, void *arg);
typedef bool audit_each_fn(const struct audit_row *row, void *arg);

/** Oldest first, with the latest address, state and policy of each. */
enum store_result store_agents(struct store *store, agent_each_fn *each, void *arg) MUST_CHECK;
/** The latest row of each name, by name; removed ones are left out. */
enum store_result store_tools(struct store *store, tool_each_fn *each, void *arg) MUST_CHECK;
/** Oldest first. agent 0: all. Tokens whose expiry is before expires_after_s are left
 * out; revoked ones are not. */
enum store_result store_tokens(struct store *store, int64_t agent, int64_t expires_after_s,
    token_each_fn *each, void *arg) MUST_CHECK;
/** The latest row of each network, by name; rpc "" where it was unset. */
enum store_result store_networks(struct store *store, network_each_fn *each, void *arg) MUST_CHECK;
/** Oldest first: since_us <= id < until_us. agent 0: all; since_us, until_us 0: no
 * bound; limit 0: no bound. */
enum store_result store_journal(struct store *store, int64_t agent, int64_t since_us,
    int64_t until_us, int64_t limit, journal_each_fn *each, void *arg) MUST_CHECK;
/** Everything booked for one payment, oldest first. */
enum store_result store_journal_of_payment(
    struct store *store, int64_t payment, journal_each_fn *each, void *arg) MUST_CHECK;
/** Oldest first. agent 0: all; open_only: signed and open ones. */
enum store_result store_payments(struct store *store, int64_t agent, bool open_only,
    payment_each_fn *each, void *arg) MUST_CHECK;
enum store_result store_payment(
    struct store *store, int64_t id, payment_each_fn *each, void *arg) MUST_CHECK;
/** The states of one payment, oldest first. */
enum store_result store_payment_states(
    struct store *store, int64_t payment, payment_state_each_fn *each, void *arg) MUST_CHECK;
/** Audit rows of both kinds, oldest first, id >= since_us. call: that row alone (the
 * rest is ignored); call 0: all of the agent (0: all). */
enum store_result store_audit(struct store *store, int64_t agent, int64_t call, int64_t since_us,
    audit_each_fn *each, void *arg) MUST_CHECK;

/* What the purses are rebuilt from. */
struct balance_row {
	int64_t agent;
	const char *network, *asset;
	int64_t available, reserved, open, spent;
};
struct charge_row { /* spend that stands (signed, open, spent, held, charged), calls made */
	int64_t agent;
	const char *session, *tool, *payee; /* payee as stored (EIP-55); NULL: metered or calls */
	bool wallet;                        /* a payment; false: metered or calls */
	int64_t at_us; /* of the call: decides the windows; for sums, the latest */
	int64_t spend, calls;
};
typedef bool balance_each_fn(const struct balance_row *row, void *arg);
typedef bool charge_each_fn(const struct charge_row *row, void *arg);
typedef void first_payee_fn(int64_t agent, const char *tool, const char *payee, void *arg);
/** One row for each (agent, network, asset), in that order. Cost grows
 * with the accounts, not with what was booked in them. */
enum store_result store_balances(struct store *store, balance_each_fn *each, void *arg) MUST_CHECK;
/** store_charges - spend and calls of one agent that count against limits.
 *
 * What counts, and when:
 *   a payment       unless it has been given back unused; it has a payee. spend: its
 *                   amount, also when the seller paid some of it back (purse_pay_back).
 *                   calls: 1, one payment signed. At its call id
 *   a metered hold  spend: its amount, unless released. calls: 0. At its call id. Its
 *                   session is the journal row's, else the call's audit row's
 *   a call          calls: 1 for each audit row of kind CALL with allowed set, one call
 *                   admitted. At its id
 *
 * First those before the last border, summed by (session, tool, payee, wallet) and
 * the two borders they lie between, with at_us the latest of the sum; session is NULL
 * there once its token had expired by the last border (or is unknown), so that sums do not
 * grow with the number of sessions ever opened. A sum has lost its windows: borders
 * are where the windows begin that the caller tells apart. Then those at or after the
 * last border, singly. Each part oldest first. Unless STORE_OK is returned none has
 * been told.
 *
 * In  until_us    an id: the answer is as of the moment when it was the next. What was called
 *                 later is left out, and what was given back or reopened later still stands
 *                 as it did; so the answer is the same whenever it is asked
 *     rows_max    of tokens, payments, holds and calls; when there are more of them together the
 *                 answer is STORE_TOO_LONG, and no more than these were read. SIZE_MAX: all
 *     borders_us  border_count of them, 1 or more, none before the one in front of it
 *     first       for each tool, before any charge: the payee of the agent's first
 *                 payment, as stored, whatever became of that. For pinPayee. NULL: not told
 * Cost  grows with everything that was ever written about the agent. */
enum store_result store_charges(struct store *store, int64_t agent, int64_t until_us,
    size_t rows_max, const int64_t *borders_us, size_t border_count, charge_each_fn *each,
    first_payee_fn *first, void *arg) MUST_CHECK;
/** Metered holds without charge or release, oldest first: calls a crash interrupted
 * (or that are in flight). */
enum store_result store_orphans(struct store *store, journal_each_fn *each, void *arg) MUST_CHECK;

typedef bool evidence_each_fn(const struct evidence_row *row, void *arg);
/** Of one payment, oldest first. */
enum store_result store_evidence(
    struct store *store, int64_t payment, evidence_each_fn *each, void *arg) MUST_CHECK;
/** Payments settled or given back at or after since_us by evidence of the chain: what a
 * reorganisation may still undo. state is the latest. Oldest first. */
enum store_result store_chain_ends(
    struct store *store, int64_t since_us, payment_each_fn *each, void *arg) MUST_CHECK;
/** Payments of an agent (0: all) settled by a receipt alone, which the chain has not been
 * asked about: no evidence row. Oldest first, at most limit. */
enum store_result store_unproved(struct store *store, int64_t agent, const char *network,
    int64_t limit, payment_each_fn *each, void *arg) MUST_CHECK;
/** Payments with a contradiction that nothing has answered yet: of what the chain said the
 * newest row is EVIDENCE_DISAGREES, and no state was written after it. agent 0: all. Oldest
 * first. */
enum store_result store_disputed(
    struct store *store, int64_t agent, payment_each_fn *each, void *arg) MUST_CHECK;
/** Payments given back on the owner's word alone (RESOLVED_UNUSED): the chain may still say
 * otherwise. agent 0: all. Oldest first. */
enum store_result store_on_word(
    struct store *store, int64_t agent, payment_each_fn *each, void *arg) MUST_CHECK;

struct unanswered {
	bool keyed;    /* an Idempotency-Key names this payment */
	bool answered; /* the agent was given a whole answer of the seller's: its audit row has
			* no code, a status and a response digest */
};
typedef bool unanswered_each_fn(
    const struct payment_row *row, const struct unanswered *how, void *arg);
/** Signed and open payments with what became of their calls, oldest first; for the start. */
enum store_result store_outstanding(
    struct store *store, unanswered_each_fn *each, void *arg) MUST_CHECK;

/* "Paid, not delivered": one row a delivery row, oldest first. */
struct claim_row {
	int64_t id, call, payment;
	const char *agent_name, *owner, *tool, *reason;
	enum payment_state state; /* of the payment, now */
	int64_t amount, refunded; /* micro-dollars */
	const char *network, *asset, *symbol, *payer, *payee, *transaction;
};
typedef bool claim_each_fn(const struct claim_row *row, void *arg);
/** agent 0: all; open_only: paid (settled or open) and not yet refunded in full. */
enum store_result store_claims(
    struct store *store, int64_t agent, bool open_only, claim_each_fn *each, void *arg) MUST_CHECK;
/** What the seller has paid back for a payment so far, micro-dollars. */
enum store_result store_refunded(struct store *store, int64_t payment, int64_t *out) MUST_CHECK;

/** Has this transfer been booked as a seller's refund: by what the chain showed, or by the
 * owner, who names the transaction alone? Hashes in either case. */
enum store_result store_refund_booked(struct store *store, const char *network,
    const char *transaction, int64_t log_index, bool *out) MUST_CHECK;

typedef void setting_fn(const char *body, int64_t id, void *arg);
/** The setting in force at at_us (0: now). NOT_FOUND: none yet. */
enum store_result store_setting(
    struct store *store, const char *name, int64_t at_us, setting_fn *found, void *arg) MUST_CHECK;
/** An agent's own policy in force at at_us (0: now). NOT_FOUND: none, the default applies. */
enum store_result store_policy_at(
    struct store *store, int64_t agent, int64_t at_us, setting_fn *found, void *arg) MUST_CHECK;

/** store_backup - a consistent copy of the whole store, as of one moment, into a new file of
 * mode 0600, while it is being written to; fsync'd, and opened once to see that it can be.
 * What is written meanwhile stays in the write-ahead log until the copy is made.
 *
 * Returns  STORE_OK
 *          STORE_EXISTS  there is something at path; it is left alone
 *          STORE_BROKEN  it cannot be written or read; nothing of it is left
 * In       path    a relative one is the process's
 *          reason  one sentence when not OK
 * Blocks   for as long as the disk takes to write the store's size. */
enum store_result store_backup(struct store *store, char reason[256], const char *path) MUST_CHECK;

/** The answers kept for Idempotency-Keys take at most this many bytes of headers and bodies, 0
 * or more; the oldest go first. Without this call there is no limit. Any thread. The first
 * answer after a start counts what is there; a lower limit is reached step by step, with
 * the answers that follow. */
void store_set_answers_max(struct store *store, int64_t bytes);

/** store_idempotency - who has this key. OK: found was called, once, with what is
 * stored and has not expired; NOT_FOUND: the key is free. */
typedef void idempotency_fn(const struct idempotency_row *row, const struct answer_row *answer,
    void *arg); /* answer NULL: none stored */
enum store_result store_idempotency(struct store *store, int64_t agent, const char *key,
    int64_t now_us, idempotency_fn *found, void *arg) MUST_CHECK;

#endif
