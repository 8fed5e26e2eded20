/* wallet/personal.h - signatures over text, as every Ethereum wallet and tool makes and
 * checks them.
 *
 * Source: EIP-191 version 0x45 ("personal_sign"): keccak256 of "\x19Ethereum Signed Message:\n",
 * the length of the text in decimal, and the text. */
#ifndef WALLET_PERSONAL_H
#define WALLET_PERSONAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/digest.h"
#include "common/must.h"
#include "wallet/keystore.h"

/* "0x", 130 digits, NUL */
#define PERSONAL_SIGNATURE_SIZE (2 * KEYSTORE_SIGNATURE_SIZE + 3)

struct digest personal_digest(const void *text, size_t size);

/** Signed with agent's key; results as keystore_sign. */
enum keystore_result personal_sign(char out[PERSONAL_SIGNATURE_SIZE], struct keystore *keystore,
    const char *agent, const void *text, size_t size) MUST_CHECK;

/** personal_recover - who signed. A signature has one spelling here: "0x", lower-case digits,
 * low s, v 27 or 28, so that none can be changed into another that is as good.
 * False, *out untouched, on anything else. */
bool personal_recover(
    struct address *out, const char *signature, const void *text, size_t size) MUST_CHECK;

#endif
