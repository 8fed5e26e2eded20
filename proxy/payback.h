/* proxy/payback.h - what sellers pay back, seen on the chain, is booked against claims.
 *
 * A claim is a payment whose answer failed the tool's delivery check (`ledger claim`). A
 * transfer from its payee to its payer, after its call and of at most what is left of it, is
 * booked as its refund: the oldest that fits. Blocks on the disk. */
#ifndef PROXY_PAYBACK_H
#define PROXY_PAYBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/store.h"
#include "proxy/chain.h"
#include "proxy/rooms.h"

/* So many claims are looked at in one go, the oldest; 120 bytes each. */
#define PAYBACK_CLAIMS_MAX 4096u

/* A claim that is paid for and not refunded in full. */
struct payback_claim {
	int64_t payment, call;
	struct agent *agent;
	const struct asset *asset;
	struct address payer, payee;
	int64_t left; /* micro-dollars not refunded yet */
	char *tool;
};

/** payback_claims - of one agent (NULL: all) on one network, oldest first; settled ones only,
 * because what is not settled cannot be paid back. *out is an array of *count, to be ended
 * with payback_claims_fini. */
enum store_result payback_claims(struct payback_claim **out, size_t *count, struct house *house,
    const struct agent *agent, const char *network) MUST_CHECK;
void payback_claims_fini(struct payback_claim **claims, size_t count);

/** payback_book - book a transfer to payer against a claim. True: booked now, and the claim's
 * `left` is less. A transfer is booked once, also when the owner did (`payment refund` with
 * its transaction). */
bool payback_book(struct house *house, struct payback_claim *claims, size_t count,
    const struct asset *asset, const struct address *payer, const struct chain_transfer *transfer,
    int64_t endpoints, int64_t now_us) MUST_CHECK;

#endif
