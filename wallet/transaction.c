/* wallet/transaction.c - a call of a contract, as the signed bytes a node takes. */
#include "wallet/transaction.h"

#include <string.h>

#include "wallet/rlp.h"

#define TYPE_FEE_MARKET 0x02 /* EIP-2718's first byte of an EIP-1559 transaction */
#define HALF_SIZE       32   /* r and s of a signature */
#define V_BASE          27   /* keystore's v; here the parity alone is written */

static void add_fields(struct buf *out, const struct transaction *transaction)
{
	must(transaction->data_size <= TRANSACTION_DATA_MAX);
	rlp_add_u64(out, transaction->chain_id);
	rlp_add_u64(out, transaction->count);
	rlp_add_uint256(out, &transaction->priority_fee);
	rlp_add_uint256(out, &transaction->fee_max);
	rlp_add_u64(out, transaction->gas_limit);
	rlp_add_bytes(out, transaction->to.bytes, ADDRESS_SIZE);
	rlp_add_u64(out, 0); /* value */
	rlp_add_bytes(out, transaction->data, transaction->data_size);
	rlp_add_list(out, NULL, 0); /* access list */
}

/* The fields as a list, after the byte of the type. */
static void wrap(struct buf *out, const struct buf *fields)
{
	static const uint8_t type = TYPE_FEE_MARKET;

	must(buf_ok(fields));
	buf_add(out, &type, 1);
	rlp_add_list(out, fields->data, fields->size);
	must(buf_ok(out));
}

struct digest transaction_digest(const struct transaction *transaction)
{
	struct buf fields, message;
	struct digest digest;

	buf_init(&fields, TRANSACTION_RAW_MAX);
	buf_init(&message, TRANSACTION_RAW_MAX);
	add_fields(&fields, transaction);
	wrap(&message, &fields);
	digest = keccak256(message.data, message.size);
	buf_fini(&fields);
	buf_fini(&message);
	return digest;
}

enum keystore_result transaction_sign(struct transaction_signed *out, struct keystore *keystore,
    const char *agent, const struct address *signer, const struct transaction *transaction)
{
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
	struct digest digest = transaction_digest(transaction);
	enum keystore_result result =
	    keystore_sign_as(signature, NULL, keystore, agent, signer, &digest);
	struct uint256 half;
	struct buf fields, raw;

	if (result != KEYSTORE_OK)
		return result;
	buf_init(&fields, TRANSACTION_RAW_MAX);
	buf_init(&raw, TRANSACTION_RAW_MAX);
	add_fields(&fields, transaction);
	rlp_add_u64(&fields, (uint64_t)(signature[2 * HALF_SIZE] - V_BASE));
	memcpy(half.be, signature, HALF_SIZE);
	rlp_add_uint256(&fields, &half);
	memcpy(half.be, signature + HALF_SIZE, HALF_SIZE);
	rlp_add_uint256(&fields, &half);
	wrap(&raw, &fields);
	memcpy(out->raw, raw.data, raw.size);
	out->size = raw.size;
	out->hash = keccak256(raw.data, raw.size);
	buf_fini(&fields);
	buf_fini(&raw);
	return KEYSTORE_OK;
}
