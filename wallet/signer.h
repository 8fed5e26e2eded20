/* wallet/signer.h - secp256k1 as Ethereum uses it. Keys are borrowed for a call.
 *
 * Signing and recovery may run in any number of threads at once. */
#ifndef WALLET_SIGNER_H
#define WALLET_SIGNER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"
#include "wallet/address.h"

#define SIGNER_KEY_SIZE       32
#define SIGNER_SIGNATURE_SIZE 65 /* r, s (low), v = 27 or 28 */

struct signer;

/** A context blinded with fresh randomness. */
struct signer *signer_new(void);
void signer_free(struct signer **signer);

/** The key's address; false, *out untouched, when the key is zero or not below the
 * order of the curve. */
bool signer_address(struct address *out, const struct signer *signer,
    const uint8_t key[SIGNER_KEY_SIZE]) MUST_CHECK;

/** Recoverable ECDSA, RFC 6979 nonce, low s. False, out untouched, for a bad key. */
bool signer_sign(uint8_t out[SIGNER_SIGNATURE_SIZE], const struct signer *signer,
    const uint8_t key[SIGNER_KEY_SIZE], const struct digest *digest) MUST_CHECK;

/** Who signed; false when the signature is malformed or recovers to nothing. A high s is
 * taken as well: it is for others to refuse. No secret is touched, so signer may be NULL. */
bool signer_recover(struct address *out, const struct signer *signer,
    const uint8_t signature[SIGNER_SIGNATURE_SIZE], const struct digest *digest) MUST_CHECK;

#endif
