/* wallet/transaction.h - a call of a contract, as the signed bytes a node takes.
 *
 * Source: EIP-1559 (type 2), EIP-2718, EIP-155's chain id inside. There is no value and no
 * access list: tallyward sends transactions only to cancel authorizations, and one that
 * cannot move the native coin beyond its fee is one mistake less. */
#ifndef WALLET_TRANSACTION_H
#define WALLET_TRANSACTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/uint256.h"
#include "wallet/keystore.h"

/* A call takes 4 bytes and a few words; the protocol's own bound is far above it. */
#define TRANSACTION_DATA_MAX 1024u
/* The data, nine numbers of at most 33 bytes, the recipient, the signature, the prefixes. */
#define TRANSACTION_RAW_MAX (TRANSACTION_DATA_MAX + 512u)

struct transaction {
	uint64_t chain_id;
	uint64_t count; /* of the sender's transactions before it; the protocol's "nonce" */
	/* Wei for each unit of gas: to the proposer, and in all. */
	struct uint256 priority_fee, fee_max;
	uint64_t gas_limit;
	struct address to;
	const uint8_t *data; /* borrowed */
	size_t data_size;    /* at most TRANSACTION_DATA_MAX */
};

struct transaction_signed {
	uint8_t raw[TRANSACTION_RAW_MAX]; /* for eth_sendRawTransaction */
	size_t size;
	struct digest hash; /* its name on the chain, known before it is sent */
};

/** transaction_digest - what is signed: keccak256(0x02 || rlp of the unsigned fields). */
struct digest transaction_digest(const struct transaction *transaction);

/** transaction_sign - signed by agent's key, which must be the one of signer. *out only when
 * KEYSTORE_OK; what keystore_sign_as returns. */
enum keystore_result transaction_sign(struct transaction_signed *out, struct keystore *keystore,
    const char *agent, const struct address *signer,
    const struct transaction *transaction) MUST_CHECK;

#endif
