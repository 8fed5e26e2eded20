/* wallet/receipt.h - what came back after a payment was sent.
 *
 * Source: x402 PAYMENT-RESPONSE (v2) and X-PAYMENT-RESPONSE (v1): unauthenticated
 * data by the seller. Only a complete, consistent success settles; everything
 * else leaves the authorization outstanding, because signed means spendable. */
#ifndef WALLET_RECEIPT_H
#define WALLET_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "wallet/payment.h"

#define RECEIPT_SIZE_MAX        (16u * 1024u)
#define RECEIPT_TRANSACTION_MAX 128u

enum receipt_outcome {
	RECEIPT_SETTLED = 0,      /* success, our network, our payer, a transaction */
	RECEIPT_ABSENT = 1,       /* no receipt header */
	RECEIPT_MALFORMED = 2,    /* duplicate header, bad base64 or JSON, wrong types */
	RECEIPT_INCONSISTENT = 3, /* success with another network, payer, amount; no transaction */
	RECEIPT_PENDING = 4,      /* success false with a transaction, or settlement_pending */
	RECEIPT_FAILED = 5,       /* success false, no transaction: still outstanding */
	RECEIPT_NONCE_USED = 6,   /* success false, reason ends in nonce_already_used */
};
const char *receipt_outcome_str(enum receipt_outcome outcome);

struct receipt {
	enum receipt_outcome outcome;
	char transaction[RECEIPT_TRANSACTION_MAX + 1]; /* "" when none; printable ASCII only */
	char reason[256];                              /* seller's errorReason or ours; printable */
	char *text;                                    /* decoded JSON as received, or NULL */
};

/** receipt_read - classify by structure, never by wording (two reasons apart).
 *
 * A success settles when its network is the asset's (CAIP-2 or v1 name), its payer is
 * ours in any case, its transaction is "0x" and 64 hex digits, and its amount, when it
 * has one, is what was signed.
 *
 * In   v2, v1  all values of PAYMENT-RESPONSE and of X-PAYMENT-RESPONSE; the first
 *              name that is present is read
 *      payer, asset, value  what we signed
 * Out  *out    always filled
 * Owns receipt_fini frees text. */
void receipt_read(struct receipt *out, const char *const *v2, size_t v2_count,
    const char *const *v1, size_t v1_count, const struct address *payer,
    const struct asset *asset, const struct uint256 *value);
void receipt_fini(struct receipt *receipt);

#endif
