/* wallet/cancellation.c - taking back an authorization that nobody has cashed yet. */
#include "wallet/cancellation.h"

#include <string.h>

#include "wallet/eip712.h"

#define SELECTOR_SIZE 4u
#define HALF_SIZE     32u /* r and s of a signature */

static const char cancellation_type[] = "CancelAuthorization(address authorizer,bytes32 nonce)";
static const char call_signature[] =
    "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)";

struct digest cancellation_digest(const struct cancellation *cancellation,
    const struct digest *domain_separator)
{
	uint8_t words[3][EIP712_WORD_SIZE];
	struct digest hash;

	eip712_put_hash(words[0], cancellation_type);
	eip712_put_address(words[1], &cancellation->authorizer);
	memcpy(words[2], cancellation->nonce, EIP712_WORD_SIZE);
	hash = keccak256(words, sizeof(words));
	return eip712_digest(domain_separator, &hash);
}

enum keystore_result cancellation_sign(uint8_t out[CANCELLATION_CALL_SIZE],
    struct keystore *keystore, const char *agent, const struct asset *asset,
    const struct cancellation *cancellation)
{
	struct digest digest = cancellation_digest(cancellation, &asset->domain_separator);
	struct digest selector = keccak256(call_signature, strlen(call_signature));
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE], *word = out + SELECTOR_SIZE;
	enum keystore_result result =
	    keystore_sign_as(signature, NULL, keystore, agent, &cancellation->authorizer, &digest);

	if (result != KEYSTORE_OK)
		return result;
	memcpy(out, selector.bytes, SELECTOR_SIZE);
	eip712_put_address(word, &cancellation->authorizer);
	word += EIP712_WORD_SIZE;
	memcpy(word, cancellation->nonce, EIP712_WORD_SIZE);
	word += EIP712_WORD_SIZE;
	eip712_put_u64(word, signature[2 * HALF_SIZE]);
	word += EIP712_WORD_SIZE;
	memcpy(word, signature, 2 * HALF_SIZE);
	return KEYSTORE_OK;
}
