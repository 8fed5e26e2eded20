/* wallet/asset.c - the tokens we know how to pay with. */
#include "wallet/asset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wallet/eip712.h"

#define DECIMALS_PAYABLE 6
#define PERMIT2_ONLY     "the token has no EIP-3009; it can be paid through Permit2 only"
#define PERMIT2_18       "18 decimals and no EIP-3009; it can be paid through Permit2 only"

/* x402 v1 names networks; v2 has CAIP-2. A name without an asset below is known
 * so that the refusal can say "no such asset" instead of "no such network". */
static const struct {
	const char *name;
	uint64_t chain_id;
} v1_networks[] = {
	{"ethereum", 1},
	{"sepolia", 11155111},
	{"abstract", 2741},
	{"abstract-testnet", 11124},
	{"base-sepolia", 84532},
	{"base", 8453},
	{"avalanche-fuji", 43113},
	{"avalanche", 43114},
	{"iotex", 4689},
	{"sei", 1329},
	{"sei-testnet", 1328},
	{"polygon", 137},
	{"polygon-amoy", 80002},
	{"peaq", 3338},
	{"story", 1514},
	{"educhain", 41923},
	{"skale-base-sepolia", 324705682},
	{"megaeth", 4326},
	{"monad", 143},
	{"stable", 988},
	{"stable-testnet", 2201},
	{"celo", 42220},
	{"flare", 14},
};

/* A chain's first payable row is its default. */
struct row {
	uint64_t chain_id;
	const char *chain_name;
	bool testnet;
	const char *symbol;
	const char *contract;
	unsigned decimals;
	const char *domain_name;
	const char *domain_version;
	const char *unpayable;
};

static const struct row rows[] = {
	{8453, "Base", false, "USDC", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", 6, "USD Coin",
	    "2", NULL},
	{84532, "Base Sepolia", true, "USDC", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", 6,
	    "USDC", "2", NULL},
	{1, "Ethereum", false, "USDC", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", 6, "USD Coin",
	    "2", NULL},
	{43114, "Avalanche", false, "USDC", "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", 6,
	    "USD Coin", "2", NULL},
	{137, "Polygon", false, "USDC", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", 6,
	    "USD Coin", "2", NULL},
	{42161, "Arbitrum One", false, "USDC", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", 6,
	    "USD Coin", "2", NULL},
	{421614, "Arbitrum Sepolia", true, "USDC", "0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d", 6,
	    "USD Coin", "2", NULL},
	{143, "Monad", false, "USDC", "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", 6, "USDC", "2",
	    NULL},
	{42220, "Celo", false, "USDC", "0xcebA9300f2b948710d2653dD7B07f33A8B32118C", 6, "USDC",
	    "2", NULL},
	{42220, "Celo", false, "USDT", "0x48065fbBE25f71C9282ddf5e1cD6D6A887483D5e", 6,
	    "Tether USD", "1", NULL},
	{42220, "Celo", false, "USAT", "0xD2ab3C9A02DBBAB236BfEC45D1d755DF4267F771", 6,
	    "Tether America USD", "1", NULL},
	{11142220, "Celo Sepolia", true, "USDC", "0x01C5C0122039549AD1493B8220cABEdD739BC44E", 6,
	    "USDC", "2", NULL},
	{1329, "Sei", false, "USDC", "0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392", 6, "USDC", "2",
	    NULL},
	{1328, "Sei Testnet", true, "USDC", "0x4fCF1784B31630811181f670Aea7A7bEF803eaED", 6,
	    "USDC", "2", NULL},
	{50, "XDC", false, "USDC", "0xfA2958CB79b0491CC627c1557F441eF849Ca8eb1", 6, "USDC", "2",
	    NULL},
	{51, "XDC Apothem", true, "USDC", "0xb5AB69F7bBada22B28e79C8FFAECe55eF1c771D4", 6, "USDC",
	    "2", NULL},
	{988, "Stable", false, "USDT0", "0x779Ded0c9e1022225f8E0630b35a9b54bE713736", 6, "USDT0",
	    "1", NULL},
	{2201, "Stable Testnet", true, "USDT0", "0x78Cf24370174180738C5B8E352B6D14c83a6c9A9", 6,
	    "USDT0", "1", NULL},
	{14, "Flare", false, "USDT0", "0xe7cd86e13AC4309349F30B3435a9d337750fC82D", 6,
	    "USD\xe2\x82\xae" "0", "1", NULL},
	{36900, "ADI Chain", false, "USDC.e", "0x9cb8142aEBBcdc60AF7c97Af897A67A8f3CA71C2", 6,
	    "USDC.e", "2", NULL},
	{190415, "HPP", false, "USDC.e", "0x401eCb1D350407f13ba348573E5630B83638E30D", 6,
	    "Bridged USDC", "2", NULL},
	{181228, "HPP Sepolia", true, "USDC.e", "0x401eCb1D350407f13ba348573E5630B83638E30D", 6,
	    "Bridged USDC", "2", NULL},
	{4326, "MegaETH", false, "MegaUSD", "0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7", 18,
	    "MegaUSD", "1", PERMIT2_18},
	{31612, "Mezo", false, "mUSD", "0xdD468A1DDc392dcdbEf6db6e34E89AA338F9F186", 18,
	    "Mezo USD", "1", PERMIT2_18},
	{31611, "Mezo Testnet", true, "mUSD", "0x118917a40FAF1CD7a13dB0Ef56C86De7973Ac503", 18,
	    "Mezo USD", "1", PERMIT2_18},
	{723487, "Radius", false, "SBC", "0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb", 6,
	    "Stable Coin", "1", PERMIT2_ONLY},
	{72344, "Radius Testnet", true, "SBC", "0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb", 6,
	    "Stable Coin", "1", PERMIT2_ONLY},
	{38833, "Igra", false, "USDC", "0xA5b8BF902b2844dA17d4506cc827F7F1681735E7", 6, "USDC",
	    "1", PERMIT2_ONLY},
};

/* Rows are allocated one by one, so that a borrowed row stays where it is. */
struct asset_row {
	struct asset asset;
	char *owned; /* symbol, domain name, domain version; NULL in built-in rows */
	char *chain_name_owned;
};

struct assets {
	struct asset_row **rows;
	size_t count;
};

static const char *v1_name(uint64_t chain_id)
{
	size_t i;

	for (i = 0; i < sizeof(v1_networks) / sizeof(v1_networks[0]); i++) {
		if (v1_networks[i].chain_id == chain_id)
			return v1_networks[i].name;
	}
	return NULL;
}

static struct asset_row *append(struct assets *assets)
{
	struct asset_row *added = must_calloc(1, sizeof(*added));

	assets->rows = must_realloc(assets->rows, (assets->count + 1) * sizeof(*assets->rows));
	assets->rows[assets->count++] = added;
	return added;
}

/* What follows from the fields the row was given. */
static void complete(struct asset *asset)
{
	snprintf(asset->network, sizeof(asset->network), "eip155:%" PRIu64, asset->chain_id);
	asset->v1_network = v1_name(asset->chain_id);
	address_format(asset->contract_text, &asset->contract);
	asset->domain_separator = eip712_domain(asset->domain_name, asset->domain_version,
	    asset->chain_id, &asset->contract);
}

struct assets *assets_new(void)
{
	struct assets *assets = must_calloc(1, sizeof(*assets));
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct asset *asset = &append(assets)->asset;

		asset->chain_id = row->chain_id;
		asset->chain_name = row->chain_name;
		asset->testnet = row->testnet;
		asset->symbol = row->symbol;
		asset->decimals = row->decimals;
		asset->domain_name = row->domain_name;
		asset->domain_version = row->domain_version;
		asset->unpayable = row->unpayable;
		must(address_parse(&asset->contract, row->contract));
		complete(asset);
	}
	return assets;
}

void assets_free(struct assets **assets)
{
	size_t i;

	if (*assets == NULL)
		return;
	for (i = 0; i < (*assets)->count; i++) {
		free((*assets)->rows[i]->owned);
		free((*assets)->rows[i]->chain_name_owned);
		free((*assets)->rows[i]);
	}
	free((*assets)->rows);
	free(*assets);
	*assets = NULL;
}

/* Any row of this chain, for what the rows of a chain share. */
static const struct asset *any_on_chain(const struct assets *assets, uint64_t chain_id)
{
	size_t i;

	for (i = 0; i < assets->count; i++) {
		if (assets->rows[i]->asset.chain_id == chain_id)
			return &assets->rows[i]->asset;
	}
	return NULL;
}

/* The three strings in one allocation. */
static void own_strings(struct asset_row *row, const char *symbol, const char *domain_name,
    const char *domain_version)
{
	size_t symbol_size = strlen(symbol) + 1, name_size = strlen(domain_name) + 1;
	size_t version_size = strlen(domain_version) + 1;

	row->owned = must_alloc(symbol_size + name_size + version_size);
	memcpy(row->owned, symbol, symbol_size);
	memcpy(row->owned + symbol_size, domain_name, name_size);
	memcpy(row->owned + symbol_size + name_size, domain_version, version_size);
	row->asset.symbol = row->owned;
	row->asset.domain_name = row->owned + symbol_size;
	row->asset.domain_version = row->owned + symbol_size + name_size;
}

bool assets_add(struct assets *assets, uint64_t chain_id, const struct address *contract,
    const char *symbol, const char *domain_name, const char *domain_version)
{
	const struct asset *neighbour = any_on_chain(assets, chain_id);
	struct asset_row *row;

	if (chain_id == 0 || address_is_zero(contract))
		return false;
	if (symbol[0] == '\0' || domain_name[0] == '\0' || domain_version[0] == '\0')
		return false;
	if (assets_find(assets, chain_id, contract) != NULL)
		return false;
	row = append(assets);
	row->asset.chain_id = chain_id;
	row->asset.contract = *contract;
	row->asset.decimals = DECIMALS_PAYABLE;
	own_strings(row, symbol, domain_name, domain_version);
	if (neighbour == NULL)
		row->chain_name_owned = must_format("chain %" PRIu64, chain_id);
	else
		row->chain_name_owned = must_strdup(neighbour->chain_name);
	row->asset.chain_name = row->chain_name_owned;
	row->asset.testnet = neighbour != NULL && neighbour->testnet;
	complete(&row->asset);
	return true;
}

const struct asset *assets_find(const struct assets *assets, uint64_t chain_id,
    const struct address *contract)
{
	size_t i;

	for (i = 0; i < assets->count; i++) {
		const struct asset *asset = &assets->rows[i]->asset;

		if (asset->chain_id == chain_id && address_equal(&asset->contract, contract))
			return asset;
	}
	return NULL;
}

const struct asset *assets_default(const struct assets *assets, const char *network)
{
	const struct asset *first = NULL;
	uint64_t chain_id;
	size_t i;

	if (!network_parse(&chain_id, network))
		return NULL;
	for (i = 0; i < assets->count; i++) {
		const struct asset *asset = &assets->rows[i]->asset;

		if (asset->chain_id != chain_id || asset->unpayable != NULL)
			continue;
		if (strcmp(asset->symbol, "USDC") == 0)
			return asset;
		if (first == NULL)
			first = asset;
	}
	return first;
}

size_t assets_count(const struct assets *assets)
{
	return assets->count;
}

const struct asset *assets_at(const struct assets *assets, size_t position)
{
	must(position < assets->count);
	return &assets->rows[position]->asset;
}

static bool parse_caip2(uint64_t *out_chain_id, const char *network)
{
	static const char prefix[] = "eip155:";
	const char *at = network + sizeof(prefix) - 1;
	uint64_t chain_id = 0;

	if (strncmp(network, prefix, sizeof(prefix) - 1) != 0)
		return false;
	/* One spelling for each chain: no leading zero, no sign, and no chain 0. */
	if (*at < '1' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		unsigned digit = (unsigned)(*at - '0');

		if (chain_id > (UINT64_MAX - digit) / 10)
			return false;
		chain_id = chain_id * 10 + digit;
	}
	if (*at != '\0')
		return false;
	*out_chain_id = chain_id;
	return true;
}

bool network_parse(uint64_t *out_chain_id, const char *network)
{
	if (network == NULL)
		return false;
	return parse_caip2(out_chain_id, network) || network_parse_v1(out_chain_id, network);
}

bool network_parse_v1(uint64_t *out_chain_id, const char *name)
{
	size_t i;

	if (name == NULL)
		return false;
	for (i = 0; i < sizeof(v1_networks) / sizeof(v1_networks[0]); i++) {
		if (strcmp(v1_networks[i].name, name) == 0) {
			*out_chain_id = v1_networks[i].chain_id;
			return true;
		}
	}
	return false;
}
