/* proxy/outstanding.h - payments that were signed and whose outcome is not known.
 *
 * Shared by the workers (which add what stayed open, and take an unanswered one over for a
 * retry), the reconciler (which asks the chain about them) and owner's commands. One lock,
 * never held across I/O. Filled from the store at start.
 *
 * Two questions are answered without touching the disk: which payments are open on a
 * network, and has an earlier call with this method and URL ended without an answer while
 * its payment is still open. The second is asked by every call, and is one atomic read while
 * no such payment exists. */
#ifndef PROXY_OUTSTANDING_H
#define PROXY_OUTSTANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/uint256.h"
#include "ledger/store.h"
#include "proxy/registry.h"
#include "wallet/asset.h"

struct open_payment {
	int64_t id, call;
	struct agent *agent;
	const struct asset *asset;
	int64_t amount; /* micro-dollars */
	struct uint256 value;
	struct address payer, payee;
	uint8_t nonce[32];
	int64_t valid_before_s;
	char *tool, *session; /* of the call that signed */
	struct digest target, request;
	bool keyed;    /* belongs to an Idempotency-Key: never taken over without it */
	bool answered; /* its call's agent has a whole answer */
	bool taken;    /* a retry has it under way */
	bool withdrawn; /* the owner is cancelling it: no retry takes it */
	/* Its row may or may not be on the disk: the commit failed. The signature never left. */
	bool doubtful;
};

struct outstanding;

struct outstanding *outstanding_new(void);
void outstanding_free(struct outstanding **outstanding);

/** SHA-256 over agent, method and URL; over that and the body's digest. */
struct digest outstanding_target(int64_t agent, const char *method, const char *url);
struct digest outstanding_request(const struct digest *target, const struct digest *body);

/** Copies the payment with its texts. One that is there already keeps its place and takes
 * over what is given. */
void outstanding_add(struct outstanding *outstanding, const struct open_payment *payment);
/** It has ended, in the ledger too. */
void outstanding_remove(struct outstanding *outstanding, int64_t payment);

/** May a call with this method and URL take one over at now_s? One atomic read while there is
 * nothing to take over. Out: *target, to be given to outstanding_take(); only when true. */
bool outstanding_may_take(struct digest *target, struct outstanding *outstanding, int64_t agent,
    const char *method, const char *url, int64_t now_s) MUST_CHECK;
/** Take over the oldest unanswered open payment of this request that can still be cashed after
 * now_s: it is the caller's until outstanding_remove() or outstanding_give_back(). False:
 * none. */
bool outstanding_take(int64_t *payment, struct outstanding *outstanding,
    const struct digest *target, const struct digest *request, int64_t now_s) MUST_CHECK;
/** Take this one (a retry by its Idempotency-Key, a cancellation). False: it is not there, or
 * another has it. */
bool outstanding_hold(struct outstanding *outstanding, int64_t payment) MUST_CHECK;
/** answered: the agent has been given a whole answer since. */
void outstanding_give_back(struct outstanding *outstanding, int64_t payment, bool answered);
/** withdrawn: the owner is cancelling it on the chain, so from now on nobody takes it or holds it;
 * false: the cancellation came to nothing. Whoever has it at the moment keeps it. One that is
 * not there stays so. */
void outstanding_withdraw(struct outstanding *outstanding, int64_t payment, bool withdrawn);
/* How the reason of a payment's open state begins in the books while it is being cancelled; what
 * a restart knows it by. */
#define OUTSTANDING_CANCELLING "cancelling in "
/** The row of a doubtful payment turned out to be on the disk: it is an open one. */
void outstanding_confirm(struct outstanding *outstanding, int64_t payment);

/** Copies out up to max payments on one network (NULL: all) that are not doubtful, by id,
 * beginning after `after`; returns how many. Their texts are copies: open_payment_fini. */
size_t outstanding_list(struct open_payment *out, size_t max, struct outstanding *outstanding,
    const char *network, int64_t after);
/** The same for doubtful ones of every network that nobody has taken. */
size_t outstanding_doubtful(struct open_payment *out, size_t max, struct outstanding *outstanding);
void open_payment_fini(struct open_payment *payment);
size_t outstanding_count(struct outstanding *outstanding);

#endif
