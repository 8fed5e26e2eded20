/* wallet/offer.h - what a seller signed: offers in its challenge, the receipt after a payment.
 *
 * Source: x402 extension "offer-receipt": extensions["offer-receipt"].info.offers[] of a
 * challenge and .info.receipt of a settlement response, in versions 1 and 2 alike. Formats
 * eip712 (domains "x402 offer" and "x402 receipt", chain 1) and jws (compact, ES256K).
 *
 * Both are evidence about a payment and never move money. A signature is good when it is
 * payTo's. Keys that a DID, DNS or a registry may vouch for are not looked up: such an
 * artifact is kept with the rest of the challenge or receipt, and called what it is here.
 *
 * Signed are the strings as they stand in the payload, case included, so those are hashed;
 * what they mean (addresses, amounts, networks) is compared by meaning. */
#ifndef WALLET_OFFER_H
#define WALLET_OFFER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/uint256.h"
#include "wallet/address.h"
#include "wallet/challenge.h"

/* A seller signs one offer for each option, and no more options are looked at. */
#define OFFER_COUNT_MAX CHALLENGE_OPTIONS_MAX
/* A field of a payload: the longest is a URL. */
#define OFFER_TEXT_MAX 2048u
/* A compact JWS: a header with a key in it, and a payload of such fields. */
#define OFFER_JWS_MAX (16u * 1024u)
/* How far the clocks of a seller and of this house may be apart. */
#define OFFER_CLOCK_S_MAX 300

/* The lower, the better: of several offers for one option the best counts. */
enum offer_state {
	OFFER_VALID = 0,
	OFFER_EXPIRED = 1,      /* good, but had ended when the payment was signed */
	OFFER_WRONG_SIGNER = 2, /* well-formed, and not signed by payTo */
	OFFER_UNSUPPORTED = 3,  /* not checked: another format, algorithm or version */
	OFFER_MISMATCH = 4,     /* about something else than what was asked or paid */
	OFFER_MALFORMED = 5,
	OFFER_ABSENT = 6,
};
const char *offer_state_str(enum offer_state state); /* "valid", "wrong_signer", … */

struct offer_verdict {
	enum offer_state state;
	bool has_signer; /* a JWS that is not payTo's does not say whose it is */
	struct address signer;
	char reason[256]; /* one printable sentence without a final point; "" when valid */
};

/* --- offers of a challenge, while one is chosen ---------------------------------- */

/* What an option asks for, by our own reading of it. Borrowed. */
struct offer_terms {
	const char *scheme;
	uint64_t chain_id;
	struct address asset, payee;
	struct uint256 value;
	const char *resource_url; /* as the challenge names it; NULL when it does not */
	const char *host;         /* host[:port] called; NULL: not compared */
	int64_t at_s;             /* when the payment is, or was, signed */
};

struct offers;

/** The offers of a challenge, the first OFFER_COUNT_MAX of them; never NULL. Reads the tree
 * of the challenge, which must stay. */
struct offers *offers_new(const struct challenge *challenge);
void offers_free(struct offers **offers);
/** How the best of them stands to one option. Each signature is recovered once at most,
 * however many options are asked about (some 80 µs each). */
void offers_judge(
    struct offer_verdict *out, struct offers *offers, const struct offer_terms *terms);

/* --- the same for a payment, from what is stored about it -------------------------- */

/* A payment as it was signed. Borrowed. */
struct offer_paid {
	uint64_t chain_id;
	struct address asset, payer, payee;
	struct uint256 value;
	const char *url; /* called */
	int64_t signed_s;
	const char *transaction; /* that settled it; NULL: not known */
	int64_t received_s;      /* the receipt came then */
};

/** The offer of the option that was taken; challenge is the text as it was received. */
void offer_check(struct offer_verdict *out, const char *challenge, const struct offer_paid *paid);
/** The receipt: its network, host, payer, transaction (when both name one) and time against
 * the payment, its signer against the payee. receipt: the settlement response as received,
 * or NULL. */
void offer_check_receipt(
    struct offer_verdict *out, const char *receipt, const struct offer_paid *paid);

#endif
