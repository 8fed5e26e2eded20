/* wallet/cancellation.h - taking back an authorization that nobody has cashed yet.
 *
 * Source: EIP-3009, cancelAuthorization. The authorizer signs that the nonce is void; anybody
 * may bring that to the token's contract, and there it races whoever holds the
 * authorization: the first of the two to be mined wins. */
#ifndef WALLET_CANCELLATION_H
#define WALLET_CANCELLATION_H

#include <stdint.h>

#include "wallet/asset.h"
#include "wallet/keystore.h"
#include "wallet/payment.h"

struct cancellation {
	struct address authorizer;
	uint8_t nonce[AUTHORIZATION_NONCE_SIZE];
};

/* Selector and five words: authorizer, nonce, v, r, s. */
#define CANCELLATION_CALL_SIZE (4u + 5u * 32u)

/** EIP-712: keccak256(0x1901 || domain separator || struct hash). */
struct digest cancellation_digest(const struct cancellation *cancellation,
    const struct digest *domain_separator);

/** cancellation_sign - signed for asset's own domain by agent's key, which must be the
 * authorizer's, as the call data of cancelAuthorization(address,bytes32,uint8,bytes32,bytes32).
 * out only when KEYSTORE_OK; what keystore_sign_as returns. */
enum keystore_result cancellation_sign(uint8_t out[CANCELLATION_CALL_SIZE],
    struct keystore *keystore, const char *agent, const struct asset *asset,
    const struct cancellation *cancellation) MUST_CHECK;

#endif
