/* wallet/payment.h - from a chosen option to the exact bytes that are sent.
 *
 * Source: x402 scheme "exact" on EVM; EIP-3009 TransferWithAuthorization; EIP-712. */
#ifndef WALLET_PAYMENT_H
#define WALLET_PAYMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "wallet/choice.h"
#include "wallet/keystore.h"

#define AUTHORIZATION_NONCE_SIZE 32

/* EIP-3009's message. */
struct authorization {
	struct address from;
	struct address to;
	struct uint256 value;
	uint64_t valid_after_s;
	uint64_t valid_before_s;
	uint8_t nonce[AUTHORIZATION_NONCE_SIZE];
};

/** keccak256(0x1901 || domain separator || struct hash). */
struct digest authorization_digest(
    const struct authorization *authorization, const struct digest *domain_separator);

/* A signed payment, ready to persist and to send. */
struct payment {
	int version;
	struct authorization authorization;
	char payer_text[ADDRESS_TEXT_SIZE], payee_text[ADDRESS_TEXT_SIZE]; /* EIP-55, as sent */
	const char *header_name; /* "PAYMENT-SIGNATURE" (v2) or "X-PAYMENT" (v1) */
	char *header_value;      /* base64; the exact bytes of the promise */
	char *identifier;        /* payment-identifier sent, or NULL */
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
};

/** payment_sign - build the authorization, sign it, encode the header.
 *
 * validAfter is 0; validBefore = now_s + min(maxTimeoutSeconds, authorization_s_max).
 * v2: accepted, resource and extensions are echoed as received (maxTimeoutSeconds too,
 * whatever validBefore is), and our id is added to the payment-identifier extension
 * when the seller advertised it without one.
 * v1: scheme and network echoed.
 *
 * What is echoed stays with the challenge, for the next payment that it asks for.
 *
 * In   payer       the address that the ledger knows as the agent's; no other key signs
 *      choice      made from challenge, and found
 *      nonce       32 random bytes (bytes_random)
 *      identifier  16..128 of [A-Za-z0-9_-]: "pay_…", or NULL; not used unless advertised
 * Returns what keystore_sign_as returns; *out (payment_free) only when KEYSTORE_OK. */
enum keystore_result payment_sign(struct payment **out, struct keystore *keystore,
    const char *agent, const struct address *payer, struct challenge *challenge,
    const struct choice *choice, int64_t now_s, int64_t authorization_s_max,
    const uint8_t nonce[AUTHORIZATION_NONCE_SIZE], const char *identifier) MUST_CHECK;
void payment_free(struct payment **payment);

/* A payment header of ours, or of anybody's, read back. */
struct payment_header {
	int version;
	struct authorization authorization;
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
};

/* Challenges of 64 KiB are echoed whole, and base64 makes a third more of it. */
#define PAYMENT_HEADER_SIZE_MAX (128u * 1024u)

/** payment_header_read - what a header value says. False, *out untouched, unless it is base64
 * of JSON with a version, an authorization with every member, and a signature of 65 bytes.
 * What else there is, such as the echo of an option, is not looked at. */
bool payment_header_read(struct payment_header *out, const char *value) MUST_CHECK;

/** Who signed it, under a token's domain; false when nobody can have. */
bool payment_header_signer(struct address *out, const struct payment_header *header,
    const struct digest *domain_separator) MUST_CHECK;

#endif
