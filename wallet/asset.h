/* wallet/asset.h - the tokens we know how to pay with.
 *
 * Source: x402 default assets (npm @x402/evm 2.27 defaultAssets), the rows with
 * six decimals and EIP-3009. A contract that is not in the table is never paid;
 * decimals, domain name and version are ours, never the seller's. Rows we know
 * but do not pay (18 decimals, Permit2 only) carry the reason. */
#ifndef WALLET_ASSET_H
#define WALLET_ASSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"
#include "wallet/address.h"

#define ASSET_NETWORK_SIZE 40 /* "eip155:" and up to 20 digits */

struct asset {
	uint64_t chain_id;
	char network[ASSET_NETWORK_SIZE]; /* CAIP-2: "eip155:84532" */
	const char *v1_network;           /* x402 v1 name ("base-sepolia"), or NULL */
	const char *chain_name;           /* "Base Sepolia" */
	struct address contract;
	char contract_text[ADDRESS_TEXT_SIZE]; /* EIP-55 */
	const char *symbol;               /* "USDC" */
	unsigned decimals;
	const char *domain_name;          /* EIP-712 */
	const char *domain_version;
	struct digest domain_separator;   /* computed when the table is made */
	bool testnet;
	const char *unpayable;            /* NULL when payable, else why not */
};

struct assets; /* the table: built-in rows and the owner's */

/** The built-in table. */
struct assets *assets_new(void);
void assets_free(struct assets **assets);

/** assets_add - the owner's own row (configuration), a six-decimals EIP-3009 token;
 * strings are copied. A known chain lends its name and its testnet mark.
 * Returns false when that contract is already there (a built-in row, payable or
 * not, cannot be redefined), for chain 0, the zero address, and empty strings. */
bool assets_add(struct assets *assets, uint64_t chain_id, const struct address *contract,
    const char *symbol, const char *domain_name, const char *domain_version) MUST_CHECK;

/** Exact contract on a chain; NULL when unknown. Borrowed. */
const struct asset *assets_find(const struct assets *assets, uint64_t chain_id,
    const struct address *contract);
/** The default payable asset of a network (its USDC first). network is CAIP-2,
 * or a v1 name. NULL when there is none. */
const struct asset *assets_default(const struct assets *assets, const char *network);
/** Position in the table, stable for the life of the process; count of rows. */
size_t assets_count(const struct assets *assets);
const struct asset *assets_at(const struct assets *assets, size_t position);

/** network_parse takes "eip155:84532", strictly, or a v1 name; network_parse_v1 the v1
 * name alone. False, *out untouched, when it is neither. */
bool network_parse(uint64_t *out_chain_id, const char *network) MUST_CHECK;
bool network_parse_v1(uint64_t *out_chain_id, const char *name) MUST_CHECK;

#endif
