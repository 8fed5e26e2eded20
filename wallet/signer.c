/* wallet/signer.c - secp256k1 as Ethereum uses it. */
#include "wallet/signer.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define V_BASE         27
#define COMPACT_SIZE   64
#define PUBLIC_SIZE    65 /* 0x04, x, y */

struct signer {
	secp256k1_context *context;
};

struct signer *signer_new(void)
{
	struct signer *signer = must_alloc(sizeof(*signer));
	uint8_t seed[32];

	signer->context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
	must(signer->context != NULL);
	bytes_random(seed, sizeof(seed));
	must(secp256k1_context_randomize(signer->context, seed) == 1);
	bytes_wipe(seed, sizeof(seed));
	return signer;
}

void signer_free(struct signer **signer)
{
	if (*signer == NULL)
		return;
	secp256k1_context_destroy((*signer)->context);
	free(*signer);
	*signer = NULL;
}

static struct address address_of(const secp256k1_context *context, const secp256k1_pubkey *public)
{
	uint8_t point[PUBLIC_SIZE];
	size_t size = sizeof(point);
	struct address address;
	struct digest hash;

	must(secp256k1_ec_pubkey_serialize(
		 context, point, &size, public, SECP256K1_EC_UNCOMPRESSED) == 1);
	hash = keccak256(point + 1, size - 1);
	memcpy(address.bytes, hash.bytes + DIGEST_SIZE - ADDRESS_SIZE, ADDRESS_SIZE);
	return address;
}

bool signer_address(struct address *out, const struct signer *signer,
    const uint8_t key[SIGNER_KEY_SIZE])
{
	secp256k1_pubkey public;

	if (secp256k1_ec_pubkey_create(signer->context, &public, key) != 1)
		return false;
	*out = address_of(signer->context, &public);
	return true;
}

bool signer_sign(uint8_t out[SIGNER_SIGNATURE_SIZE], const struct signer *signer,
    const uint8_t key[SIGNER_KEY_SIZE], const struct digest *digest)
{
	secp256k1_ecdsa_recoverable_signature signature;
	uint8_t compact[COMPACT_SIZE];
	int recovery;

	if (secp256k1_ecdsa_sign_recoverable(signer->context, &signature, digest->bytes, key, NULL,
		NULL) != 1)
		return false;
	must(secp256k1_ecdsa_recoverable_signature_serialize_compact(signer->context, compact,
		 &recovery, &signature) == 1);
	/* 2 and 3 mean that r overflowed, once in 2^127; no contract takes them. */
	if (recovery > 1)
		return false;
	memcpy(out, compact, COMPACT_SIZE);
	out[COMPACT_SIZE] = (uint8_t)(V_BASE + recovery);
	return true;
}

bool signer_recover(struct address *out, const struct signer *signer,
    const uint8_t signature[SIGNER_SIGNATURE_SIZE], const struct digest *digest)
{
	const secp256k1_context *context =
	    signer != NULL ? signer->context : secp256k1_context_static;
	secp256k1_ecdsa_recoverable_signature parsed;
	secp256k1_pubkey public;
	int recovery = signature[COMPACT_SIZE] - V_BASE;

	if (recovery < 0 || recovery > 1)
		return false;
	if (secp256k1_ecdsa_recoverable_signature_parse_compact(
		context, &parsed, signature, recovery) != 1)
		return false;
	if (secp256k1_ecdsa_recover(context, &public, &parsed, digest->bytes) != 1)
		return false;
	*out = address_of(context, &public);
	return true;
}
