/* wallet/choice.h - which of the seller's options may be paid, and which is best.
 *
 * Drops what our own tables and the owner's policy do not allow, keeps the reason
 * for each, and takes the cheapest of the rest in dollars; ties go to the
 * seller's order. */
#ifndef WALLET_CHOICE_H
#define WALLET_CHOICE_H

#include "common/amount.h"
#include "wallet/asset.h"
#include "wallet/challenge.h"

/* Why an option was not taken; the words are stable ("unknown_asset", …). */
enum choice_reason {
	CHOICE_PAYABLE = 0,
	CHOICE_UNSUPPORTED_SCHEME = 1,   /* not "exact" */
	CHOICE_UNSUPPORTED_NETWORK = 2,  /* not eip155, or a name we do not know */
	CHOICE_UNKNOWN_ASSET = 3,        /* not an address, or not in our table */
	CHOICE_UNPAYABLE_ASSET = 4,      /* in the table with a reason (18 decimals, Permit2) */
	CHOICE_UNSUPPORTED_TRANSFER = 5, /* extra.assetTransferMethod other than eip3009 */
	CHOICE_UNSUPPORTED_FLOW = 6,     /* extra.paymentFlow not authorization or upfront */
	CHOICE_BAD_AMOUNT = 7,           /* not a decimal string, zero, or beyond any amount */
	CHOICE_BAD_PAYEE = 8,            /* not an address, or zero, or the payer itself */
	CHOICE_BAD_TIMEOUT = 9,          /* maxTimeoutSeconds missing or out of range */
	CHOICE_DOMAIN_MISMATCH = 10,     /* extra.name or version is not our table's, or missing */
	CHOICE_RESOURCE_MISMATCH = 11,   /* resource URL on another host than was called */
	CHOICE_NETWORK_NOT_ALLOWED = 12, /* the owner's policy … */
	CHOICE_ASSET_NOT_ALLOWED = 13,
	CHOICE_PAYEE_NOT_ALLOWED = 14,
	CHOICE_PAYEE_CHANGED = 15,       /* pinPayee: another payee than this tool's first */
	CHOICE_OVER_DECLARED_PRICE = 16, /* above the price the tool was registered with */
	CHOICE_NO_SIGNED_OFFER = 17,     /* require_offer: payTo signed none, or it had ended */
	CHOICE_INSUFFICIENT_FUNDS = 18,  /* payable, but that wallet cannot cover it */
};
const char *choice_reason_str(enum choice_reason reason);

/* A facilitator settles only what stays valid for six more seconds, so an option
 * with a shorter time-out could never be settled (CHOICE_BAD_TIMEOUT). */
#define CHOICE_TIMEOUT_S_MIN 6
/* What we sign is clamped to far less, so the seller's figure only has to be sane: sellers
 * ask for minutes, and one that asks for more than a day is after something else. */
#define CHOICE_TIMEOUT_S_MAX 86400

/* What the caller knows; all borrowed. A NULL list allows everything, an empty one
 * nothing. */
struct choice_rules {
	const char *const *networks; /* CAIP-2 */
	size_t network_count;
	const char *const *assets;   /* symbols (any case) or lower-case addresses */
	size_t asset_count;
	const char *const *payees;   /* lower-case addresses */
	size_t payee_count;
	const char *pinned_payee;    /* lower-case address, or NULL */
	bool require_offer;          /* wallet/offer.h */
	int64_t now_s;               /* with require_offer */
	const char *host;            /* host[:port] the call went to; NULL: not compared */
	bool has_declared_price;
	struct amount declared_price;
	struct address payer;
	/* What the payer has free in one asset, in micro-dollars; NULL: not asked. */
	struct amount (*funds)(void *arg, const struct asset *asset);
	void *funds_arg;
};

struct choice {
	/* By option, as many as the challenge has; PAYABLE for every survivor. */
	enum choice_reason reasons[CHALLENGE_OPTIONS_MAX];
	bool found;
	size_t position;           /* of the option taken */
	const struct asset *asset;
	struct address payee;
	char payee_text[ADDRESS_TEXT_SIZE]; /* EIP-55 */
	struct uint256 value;      /* atomic units to sign, exactly as asked */
	struct amount price;       /* the same in micro-dollars, rounded up */
	bool upfront;              /* extra.paymentFlow "upfront" */
};

/** choice_make - fill *out; out->found says whether anything may be paid. The other
 * fields are meaningful only then. An option's reason is the first that applies, in
 * the order of the enum.
 *
 * Networks: CAIP-2 in a version 2 challenge, v1 names in a version 1 challenge.
 * Resource URL: one that differs only in scheme or path is accepted, and so is none
 * or one without a host ("/path"); the host must be the one called, in any case, where
 * the default ports 80 and 443 equal their absence. One with user information, with a
 * control character, blank or backslash, or that is no URL, is CHOICE_RESOURCE_MISMATCH.
 * Calls rules->funds at most once an option, and only when all else fits. */
void choice_make(struct choice *out, const struct challenge *challenge, const struct assets *assets,
    const struct choice_rules *rules);

#endif
