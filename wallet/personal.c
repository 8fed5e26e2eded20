/* wallet/personal.c - signatures over text. */
#include "wallet/personal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "wallet/signer.h"

/* Half the order of the curve: s up to here is low. */
static const uint8_t half_order[32] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9,
    0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

struct digest personal_digest(const void *text, size_t size)
{
	static const char prefix[] = "\x19"
				     "Ethereum Signed Message:\n";
	char length[24];
	size_t prefix_size = sizeof(prefix) - 1, length_size;
	struct digest digest;
	uint8_t *message;

	length_size = (size_t)snprintf(length, sizeof(length), "%zu", size);
	message = must_alloc(prefix_size + length_size + size);
	memcpy(message, prefix, prefix_size);
	memcpy(message + prefix_size, length, length_size);
	if (size > 0)
		memcpy(message + prefix_size + length_size, text, size);
	digest = keccak256(message, prefix_size + length_size + size);
	free(message);
	return digest;
}

enum keystore_result personal_sign(char out[PERSONAL_SIGNATURE_SIZE], struct keystore *keystore,
    const char *agent, const void *text, size_t size)
{
	struct digest digest = personal_digest(text, size);
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
	enum keystore_result result = keystore_sign(signature, keystore, agent, &digest);

	if (result == KEYSTORE_OK)
		hex_encode_0x(out, signature, sizeof(signature));
	return result;
}

bool personal_recover(struct address *out, const char *signature, const void *text, size_t size)
{
	char again[PERSONAL_SIGNATURE_SIZE];
	uint8_t bytes[KEYSTORE_SIGNATURE_SIZE];
	struct digest digest;

	if (!hex_decode(bytes, sizeof(bytes), signature))
		return false;
	hex_encode_0x(again, bytes, sizeof(bytes));
	if (strcmp(again, signature) != 0)
		return false;
	if (memcmp(bytes + 32, half_order, sizeof(half_order)) > 0)
		return false;
	digest = personal_digest(text, size);
	return signer_recover(out, NULL, bytes, &digest);
}
