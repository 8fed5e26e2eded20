/* wallet/challenge.h - what a seller asks for: an HTTP 402 as data.
 *
 * Source: x402 v1 and v2 transport over HTTP. Every field is a claim by a
 * stranger; parsing bounds it, wallet/choice.h decides about it. */
#ifndef WALLET_CHALLENGE_H
#define WALLET_CHALLENGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "common/uint256.h"
#include "wallet/address.h"

/* A decoded header or a body; real ones are under 4 KiB, catalogues reach 30. */
#define CHALLENGE_SIZE_MAX    (64u * 1024u)
#define CHALLENGE_OPTIONS_MAX 32u

enum challenge_result {
	CHALLENGE_OK = 0,
	CHALLENGE_ABSENT = 1,    /* no x402 challenge here: another use of status 402 */
	CHALLENGE_DUPLICATE = 2, /* more than one PAYMENT-REQUIRED header */
	CHALLENGE_TOO_LARGE = 3, /* over CHALLENGE_SIZE_MAX */
	CHALLENGE_BAD_BASE64 = 4,
	CHALLENGE_BAD_JSON = 5,  /* malformed, too deep, duplicate keys */
	CHALLENGE_BAD_FORM = 6,  /* JSON, but not a challenge of version 1 or 2 */
};
const char *challenge_result_str(enum challenge_result result);

/* One entry of accepts[]. Strings are borrowed from the tree; null counts as absent.
 * The ones the scheme requires are NULL when the seller left them out or gave another
 * type: choice.h then refuses the entry. resource_url, payment_flow and transfer_method
 * are NULL only when absent, which is allowed; another type leaves a text there that
 * matches no rule. */
struct requirement {
	const char *scheme;
	const char *network;
	const char *amount;  /* v2 amount, v1 maxAmountRequired; NULL when not a string */
	const char *asset;
	const char *pay_to;
	const char *resource_url; /* v1: per entry; v2: the challenge's resource.url */
	const char *payment_flow; /* extra.paymentFlow */
	const char *transfer_method; /* extra.assetTransferMethod */
	const char *domain_name, *domain_version; /* extra.name, extra.version */
	bool timeout_valid; /* a positive JSON integer below 2^31 */
	int64_t timeout_s;
	/* What asset and pay_to are, where they are addresses. */
	bool has_contract, has_payee;
	struct address contract, payee;
	char payee_text[ADDRESS_TEXT_SIZE]; /* EIP-55 */
	json_t *json;        /* the entry as received, for the echo; borrowed */
	char *echo;          /* payment.h's: what payments repeat; NULL before the first */
};

struct challenge {
	int version; /* 1 or 2 */
	struct requirement options[CHALLENGE_OPTIONS_MAX];
	size_t option_count;
	size_t option_dropped;  /* beyond CHALLENGE_OPTIONS_MAX, not looked at */
	json_t *resource;   /* v2, borrowed from root, or NULL */
	json_t *extensions; /* v2, borrowed from root, or NULL */
	const char *error;  /* the seller's words, or NULL */
	json_t *root;
	char *text;         /* the decoded challenge as received, for the dispute; NUL-terminated */
	size_t text_size;
	unsigned holders;   /* all on one thread; challenge_free() for each */
};

/** challenge_parse - read a 402.
 *
 * Order: PAYMENT-REQUIRED header → v2; else a JSON body with x402Version 1 → v1;
 * else a JSON body with x402Version 2 and accepts → v2; else CHALLENGE_ABSENT.
 * A header that is present but bad is an error, never a fall-back to the body. A body
 * is looked at only when it starts an object and names "x402Version": pages and other
 * JSON are CHALLENGE_ABSENT however large or broken. x402Version may be text ("2").
 *
 * In   headers, header_count  every value of PAYMENT-REQUIRED, as received
 *      body, body_size        the body, possibly empty
 * Out  *out (challenge_free), reason (may be NULL) one sentence, only when not OK */
enum challenge_result challenge_parse(struct challenge **out, char reason[256],
    const char *const *headers, size_t header_count, const char *body, size_t body_size) MUST_CHECK;
/** One holder more; returns challenge. */
struct challenge *challenge_hold(struct challenge *challenge);
/** One holder less; the last one frees it. NULL inside is fine. */
void challenge_free(struct challenge **challenge);

#endif
