/* proxy/chain.h - what a chain says about our payments: read, agreed upon, typed.
 *
 * One struct chain a network, over the JSON-RPC endpoints the owner registered (`network set`).
 * Nothing an endpoint says is believed alone when there is another: an answer counts when
 * min(2, number of endpoints) of them gave the same one and none that was asked gave a
 * different one. Endpoints are asked in turn until so many have answered; one that fails,
 * hangs or answers junk is passed over (and asked last for a while), and so is one that lags
 * while there are others. Fewer answers than needed is CHAIN_UNREACHABLE, two different ones
 * CHAIN_DISAGREE: neither ever ends a payment.
 *
 * Asynchronous on the loop given; every question is bounded in time, bytes and number of
 * requests. chain_wait.h has the same for owner's commands, which may block.
 *
 * Sources: EIP-3009 (authorizationState, AuthorizationUsed, AuthorizationCanceled), ERC-20
 * (Transfer, balanceOf), EIP-1474 and the execution API (eth_*). */
#ifndef PROXY_CHAIN_H
#define PROXY_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "common/uint256.h"
#include "wallet/asset.h"

struct event_base;
struct upstream;
struct chain;

enum chain_result {
	CHAIN_OK = 0,
	CHAIN_UNREACHABLE = 1, /* too few endpoints answered: the reason says what they did */
	CHAIN_DISAGREE = 2,    /* two endpoints contradict each other */
	CHAIN_REFUSED = 3,     /* the node refuses the request (a transaction it does not take) */
};
const char *chain_result_str(enum chain_result result);

#define CHAIN_REASON_SIZE   256u
#define CHAIN_ENDPOINTS_MAX 8u
#define CHAIN_QUERIES_MAX   64u /* payments in one question */
#define CHAIN_TEXT_SIZE     67u /* "0x" and 64 digits */

/** May these URLs (with blanks between) be a network's endpoints? At most
 * CHAIN_ENDPOINTS_MAX, each once, each as rpc_url_check() wants it. False with a reason that
 * holds no key. No URL at all is fine: the network is then not asked. */
bool chain_urls_check(char reason[CHAIN_REASON_SIZE], const char *urls) MUST_CHECK;

/** network  CAIP-2; urls  with blanks between, at most CHAIN_ENDPOINTS_MAX are used, the same
 * one once; one that may not be asked counts as an endpoint that fails.
 *  upstream  transfers go through it; it must outlive the chain. Never NULL. */
struct chain *chain_new(struct event_base *base, struct upstream *upstream, const char *network,
    const char *urls, uint32_t request_ms_max);
/** Questions under way are dropped without a callback. May be called from one. */
void chain_free(struct chain **chain);

/* A block as agreed: number, hash, timestamp. */
struct chain_block {
	int64_t number;
	int64_t time_s;
	char hash[CHAIN_TEXT_SIZE];
};

/* --- what became of authorizations ---------------------------------------- */

struct chain_query {
	const struct asset *asset;
	struct address payer, payee;
	uint8_t nonce[32];
	struct uint256 value;
	int64_t since_s; /* signed then, by our clock: no log is looked for in blocks that are
			  * more than 300 s older */
	int64_t valid_before_s;
};

enum chain_fate {
	CHAIN_FATE_UNKNOWN = 0,   /* not used in any block deep enough, and may yet be */
	CHAIN_FATE_USED = 1,      /* used in a block deep enough */
	CHAIN_FATE_CANCELLED = 2, /* cancelled in a block deep enough */
	CHAIN_FATE_UNUSED = 3,    /* neither, as of a block deep enough whose timestamp is at or
				   * after validBefore */
};

struct chain_finding {
	enum chain_fate fate;
	/* Of the log; UNUSED: whose state was read; UNKNOWN: as of which there is no log of it,
	 * nor in any block after it up to the heads (hash "" when that is not known) */
	struct chain_block block;
	char transaction[CHAIN_TEXT_SIZE];
	int64_t log_index; /* of AuthorizationUsed or Canceled; -1 */
	/* USED: the Transfer of that transaction moves exactly value from payer to payee */
	bool transfer_matches;
	/* UNKNOWN: somebody has its log in a block that is not deep enough yet */
	bool shallow;
	int64_t endpoints; /* how many agreed */
	char detail[160];  /* words for the books, such as what the transfer did instead; also
			    * with UNKNOWN, and under CHAIN_DISAGREE who says what */
};

typedef void chain_fates_fn(enum chain_result result, const char *reason,
    const struct chain_finding *findings, size_t count, void *arg);
/** chain_fates - ask about 1 to CHAIN_QUERIES_MAX authorizations at once; copies queries.
 * depth: how many blocks must follow a block before it is believed. done is called once,
 * from the loop, never before this returned. findings are in the order of queries, all
 * CHAIN_FATE_UNKNOWN unless OK.
 *
 * All endpoints that count read at one block, `depth` below the lowest of their heads, and
 * must name the same hash for it. One that says UNUSED showed: that block's time is at or
 * after validBefore; authorizationState is false there; no log of it exists up to its
 * head. One that says USED or CANCELLED showed the log at or below that block, and a
 * receipt that has it. Another that says the opposite, or names another transaction, block
 * or Transfer, is CHAIN_DISAGREE; another that has not seen it yet leaves UNKNOWN.
 *
 * Under CHAIN_DISAGREE the findings in dispute have a detail, and no other has: ask again
 * without them. One question looks through all blocks between its earliest since_s and its
 * latest valid_before_s, at most 64 pieces of what an endpoint allows in one eth_getLogs:
 * ask about old and new payments apart. */
void chain_fates(struct chain *chain, const struct chain_query *queries, size_t count,
    int64_t depth, chain_fates_fn *done, void *arg);

/* --- balances and transfers -------------------------------------------------- */

typedef void chain_balance_fn(enum chain_result result, const char *reason,
    const struct uint256 *balance, const struct chain_block *block, int64_t endpoints, void *arg);
/** ERC-20 balanceOf(holder) at the newest block all asked endpoints share that has `depth`
 * blocks after it; asset NULL: the native coin, in wei. */
void chain_balance(struct chain *chain, const struct asset *asset, const struct address *holder,
    int64_t depth, chain_balance_fn *done, void *arg);

struct chain_transfer {
	struct address from;
	struct uint256 value;
	struct chain_block block;
	char transaction[CHAIN_TEXT_SIZE];
	int64_t log_index;
};
#define CHAIN_TRANSFERS_MAX 256u
typedef void chain_transfers_fn(enum chain_result result, const char *reason,
    const struct chain_transfer *transfers, size_t count, int64_t endpoints, void *arg);
/** Transfers of asset from any of `senders` (1 to CHAIN_QUERIES_MAX) to `to`, in blocks deep
 * enough, of since_s (less 300 s) or newer; the oldest CHAIN_TRANSFERS_MAX, oldest first.
 * Those of nothing are left out. They may begin before since_s: know them by transaction and
 * log index. */
void chain_transfers(struct chain *chain, const struct asset *asset, const struct address *senders,
    size_t sender_count, const struct address *to, int64_t since_s, int64_t depth,
    chain_transfers_fn *done, void *arg);

/* --- sending a transaction (payment cancel) ------------------------------------ */

struct chain_gas {
	uint64_t transaction_count;            /* the sender's next nonce, pending included */
	struct uint256 balance;                /* wei */
	struct uint256 base_fee, priority_fee; /* wei per unit of gas */
	uint64_t limit; /* eth_estimateGas of the call; 0: not asked, the balance is zero */
};
typedef void chain_gas_fn(
    enum chain_result result, const char *reason, const struct chain_gas *gas, void *arg);
/** From the first endpoint that answers: it costs no USDC, and a wrong answer only makes the
 * transaction fail, or cost up to fees of 10000 gwei (base) and 1000 gwei (priority): past
 * these an answer is junk. data_size: up to 4096. CHAIN_REFUSED: the call would fail now. */
void chain_gas(struct chain *chain, const struct address *sender, const struct address *to,
    const uint8_t *data, size_t data_size, chain_gas_fn *done, void *arg);
typedef void chain_send_fn(
    enum chain_result result, const char *reason, const char *transaction, void *arg);
/** eth_sendRawTransaction to every endpoint; OK when one took it, or has it already. size: up
 * to 4096. transaction: its hash. */
void chain_send(
    struct chain *chain, const uint8_t *raw, size_t size, chain_send_fn *done, void *arg);

/* --- for `doctor` ---------------------------------------------------------------- */
typedef void chain_head_fn(enum chain_result result, const char *reason,
    const struct chain_block *head, int64_t endpoints, void *arg);
/** Every endpoint is asked, its chain id checked; head: the lowest of the heads of those that
 * answered, which agree on the block eight below it. */
void chain_head(struct chain *chain, chain_head_fn *done, void *arg);

struct chain_endpoint {
	char origin[128];        /* scheme://host[:port] */
	bool ok;                 /* answered when asked last, for this chain */
	struct chain_block head; /* its newest block then; number 0: never asked */
	char reason[192];        /* why not ok; "" when it was never asked */
};
/** What each endpoint did when it was asked last, in the owner's order; returns how many. */
size_t chain_endpoints(struct chain_endpoint out[CHAIN_ENDPOINTS_MAX], const struct chain *chain);

#endif
