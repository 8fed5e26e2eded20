/* The table of tokens: separators by a second implementation, names, look-ups. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/asset.h"
#include "wallet/eip712.h"

#define UNKNOWN "0x1111111111111111111111111111111111111111"

static void separators_match_the_vectors(void **state)
{
	struct assets *assets = assets_new();
	json_t *vectors = vectors_load("domains.json"), *vector;
	size_t i;

	(void)state;
	json_array_foreach (vectors, i, vector) {
		struct address contract = address_of(text_of(vector, "contract"));
		const char *name = text_of(vector, "name");
		struct digest wanted, separator;
		uint64_t chain_id;

		assert_true(hex_decode(wanted.bytes, DIGEST_SIZE, text_of(vector, "separator")));
		row_check(name, network_parse(&chain_id, text_of(vector, "network")));
		if (strncmp(name, "Permit2", 7) == 0) {
			separator = eip712_domain("Permit2", NULL, chain_id, &contract);
		} else {
			const struct asset *asset = assets_find(assets, chain_id, &contract);

			row_check(name, asset != NULL && asset->unpayable == NULL);
			separator = asset->domain_separator;
		}
		row_check(name, memcmp(&separator, &wanted, sizeof(wanted)) == 0);
	}
	assert_true(i >= 8);
	json_decref(vectors);
	assets_free(&assets);
	assert_null(assets);
}

static void every_row_holds_together(void **state)
{
	struct assets *assets = assets_new();
	size_t i, payable = 0;

	(void)state;
	assert_int_equal(assets_count(assets), 28);
	for (i = 0; i < assets_count(assets); i++) {
		const struct asset *asset = assets_at(assets, i);
		struct digest separator;
		uint64_t chain_id;

		row_check(asset->network, network_parse(&chain_id, asset->network));
		row_check(asset->network, chain_id == asset->chain_id);
		row_check(asset->network, assets_find(assets, chain_id, &asset->contract) == asset);
		row_check(asset->network, asset->unpayable != NULL || asset->decimals == 6);
		if (asset->v1_network != NULL) {
			row_check(asset->network, network_parse_v1(&chain_id, asset->v1_network));
			row_check(asset->network, chain_id == asset->chain_id);
		}
		separator = eip712_domain(asset->domain_name, asset->domain_version,
		    asset->chain_id, &asset->contract);
		row_check(asset->network,
		    memcmp(&separator, &asset->domain_separator, sizeof(separator)) == 0);
		payable += asset->unpayable == NULL;
	}
	assert_int_equal(payable, 22);
	assets_free(&assets);
}

static void known_facts_of_some_rows(void **state)
{
	static const struct {
		const char *network, *contract, *symbol, *name, *version;
		unsigned decimals;
		bool testnet, payable;
	} rows[] = {
	    {"eip155:84532", BASE_SEPOLIA_USDC, "USDC", "USDC", "2", 6, true, true},
	    {"eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USDC", "USD Coin", "2",
		6, false, true},
	    {"eip155:14", "0xe7cd86e13AC4309349F30B3435a9d337750fC82D", "USDT0", "USD₮0", "1", 6,
		false, true},
	    {"eip155:42220", "0xD2ab3C9A02DBBAB236BfEC45D1d755DF4267F771", "USAT",
		"Tether America USD", "1", 6, false, true},
	    {"eip155:4326", "0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7", "MegaUSD", "MegaUSD", "1",
		18, false, false},
	    {"eip155:38833", "0xA5b8BF902b2844dA17d4506cc827F7F1681735E7", "USDC", "USDC", "1", 6,
		false, false},
	};
	struct assets *assets = assets_new();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct address contract = address_of(rows[i].contract);
		const struct asset *asset;
		uint64_t chain_id;

		assert_true(network_parse(&chain_id, rows[i].network));
		asset = assets_find(assets, chain_id, &contract);
		row_check(rows[i].network, asset != NULL);
		row_check(rows[i].network, strcmp(asset->contract_text, rows[i].contract) == 0);
		row_check(rows[i].network, strcmp(asset->symbol, rows[i].symbol) == 0);
		row_check(rows[i].network, strcmp(asset->domain_name, rows[i].name) == 0);
		row_check(rows[i].network, strcmp(asset->domain_version, rows[i].version) == 0);
		row_check(rows[i].network, asset->decimals == rows[i].decimals);
		row_check(rows[i].network, asset->testnet == rows[i].testnet);
		row_check(rows[i].network, (asset->unpayable == NULL) == rows[i].payable);
	}
	assets_free(&assets);
}

static void find_knows_chain_and_contract_only_together(void **state)
{
	struct assets *assets = assets_new();
	struct address usdc = address_of(BASE_SEPOLIA_USDC), unknown = address_of(UNKNOWN);

	(void)state;
	assert_non_null(assets_find(assets, 84532, &usdc));
	assert_null(assets_find(assets, 8453, &usdc));
	assert_null(assets_find(assets, 0, &usdc));
	assert_null(assets_find(assets, 84532, &unknown));
	assets_free(&assets);
}

static void default_is_payable_and_usdc_first(void **state)
{
	static const struct {
		const char *network;
		const char *symbol; /* NULL: none */
	} rows[] = {
	    {"eip155:84532", "USDC"},
	    {"base-sepolia", "USDC"},
	    {"base", "USDC"},
	    {"eip155:42220", "USDC"},
	    {"celo", "USDC"},
	    {"flare", "USDT0"},
	    {"eip155:988", "USDT0"},
	    {"eip155:4326", NULL},
	    {"megaeth", NULL},
	    {"eip155:38833", NULL},
	    {"eip155:43113", NULL},
	    {"avalanche-fuji", NULL},
	    {"eip155:999999", NULL},
	    {"solana", NULL},
	    {"", NULL},
	    {NULL, NULL},
	    {"eip155:084532", NULL},
	};
	struct assets *assets = assets_new();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		const struct asset *asset = assets_default(assets, rows[i].network);
		const char *name = rows[i].network != NULL ? rows[i].network : "NULL";

		row_check(name, (asset == NULL) == (rows[i].symbol == NULL));
		if (asset != NULL)
			row_check(name, strcmp(asset->symbol, rows[i].symbol) == 0);
	}
	assets_free(&assets);
}

static void owners_row_is_added_once(void **state)
{
	struct assets *assets = assets_new();
	struct address contract = address_of(UNKNOWN), usdc = address_of(BASE_SEPOLIA_USDC);
	struct address permit2 = address_of("0xA5b8BF902b2844dA17d4506cc827F7F1681735E7");
	struct address zero = {{0}};
	const struct asset *before = assets_at(assets, 0), *asset;
	char symbol[] = "TEST";

	(void)state;
	assert_true(assets_add(assets, 31337, &contract, symbol, "Test Dollar", "7"));
	symbol[0] = 'X';
	asset = assets_find(assets, 31337, &contract);
	assert_non_null(asset);
	assert_string_equal(asset->symbol, "TEST");
	assert_string_equal(asset->domain_name, "Test Dollar");
	assert_string_equal(asset->domain_version, "7");
	assert_string_equal(asset->network, "eip155:31337");
	assert_string_equal(asset->contract_text, UNKNOWN);
	assert_string_equal(asset->chain_name, "chain 31337");
	assert_null(asset->v1_network);
	assert_null(asset->unpayable);
	assert_int_equal(asset->decimals, 6);
	assert_ptr_equal(assets_default(assets, "eip155:31337"), asset);
	assert_int_equal(assets_count(assets), 29);
	assert_ptr_equal(assets_at(assets, 28), asset);
	/* Borrowed rows stay where they are. */
	assert_ptr_equal(assets_at(assets, 0), before);

	assert_true(assets_add(assets, 84532, &contract, "EURC", "EURC", "2"));
	asset = assets_find(assets, 84532, &contract);
	assert_string_equal(asset->chain_name, "Base Sepolia");
	assert_string_equal(asset->v1_network, "base-sepolia");
	assert_true(asset->testnet);

	assert_false(assets_add(assets, 31337, &contract, "TEST", "Test Dollar", "7"));
	assert_false(assets_add(assets, 84532, &usdc, "USDC", "Evil", "2"));
	assert_false(assets_add(assets, 38833, &permit2, "USDC", "USDC", "1"));
	assert_false(assets_add(assets, 0, &contract, "TEST", "Test Dollar", "7"));
	assert_false(assets_add(assets, 1, &zero, "TEST", "Test Dollar", "7"));
	assert_false(assets_add(assets, 1, &contract, "", "Test Dollar", "7"));
	assert_false(assets_add(assets, 1, &contract, "TEST", "", "7"));
	assert_false(assets_add(assets, 1, &contract, "TEST", "Test Dollar", ""));
	assert_int_equal(assets_count(assets), 30);
	assets_free(&assets);
}

static void networks_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		uint64_t chain_id; /* 0: refused */
		bool v1;
	} rows[] = {
	    {"eip155:1", 1, false},
	    {"eip155:84532", 84532, false},
	    {"eip155:18446744073709551615", UINT64_MAX, false},
	    {"base", 8453, true},
	    {"base-sepolia", 84532, true},
	    {"ethereum", 1, true},
	    {"sepolia", 11155111, true},
	    {"abstract", 2741, true},
	    {"abstract-testnet", 11124, true},
	    {"avalanche-fuji", 43113, true},
	    {"avalanche", 43114, true},
	    {"iotex", 4689, true},
	    {"sei", 1329, true},
	    {"sei-testnet", 1328, true},
	    {"polygon", 137, true},
	    {"polygon-amoy", 80002, true},
	    {"peaq", 3338, true},
	    {"story", 1514, true},
	    {"educhain", 41923, true},
	    {"skale-base-sepolia", 324705682, true},
	    {"megaeth", 4326, true},
	    {"monad", 143, true},
	    {"stable", 988, true},
	    {"stable-testnet", 2201, true},
	    {"celo", 42220, true},
	    {"flare", 14, true},
	    {"", 0, false},
	    {"eip155", 0, false},
	    {"eip155:", 0, false},
	    {"eip155:0", 0, false},
	    {"eip155:01", 0, false},
	    {"eip155:+1", 0, false},
	    {"eip155:-1", 0, false},
	    {"eip155: 1", 0, false},
	    {"eip155:1 ", 0, false},
	    {"eip155:0x1", 0, false},
	    {"eip155:1e3", 0, false},
	    {"EIP155:1", 0, false},
	    {"eip155:18446744073709551616", 0, false},
	    {"eip155:99999999999999999999", 0, false},
	    {"eip155:*", 0, false},
	    {"Base", 0, false},
	    {"ethereum-mainnet", 0, false},
	    {"solana", 0, false},
	    {" base", 0, false},
	    {"84532", 0, false},
	    {"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", 0, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		uint64_t chain_id = 7;
		bool known = rows[i].chain_id != 0;

		row_check(rows[i].text, network_parse(&chain_id, rows[i].text) == known);
		row_check(rows[i].text, chain_id == (known ? rows[i].chain_id : 7));
		chain_id = 7;
		row_check(rows[i].text, network_parse_v1(&chain_id, rows[i].text) == rows[i].v1);
		row_check(rows[i].text, chain_id == (rows[i].v1 ? rows[i].chain_id : 7));
	}
	assert_false(network_parse(&(uint64_t){0}, NULL));
	assert_false(network_parse_v1(&(uint64_t){0}, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(separators_match_the_vectors),
	    cmocka_unit_test(every_row_holds_together),
	    cmocka_unit_test(known_facts_of_some_rows),
	    cmocka_unit_test(find_knows_chain_and_contract_only_together),
	    cmocka_unit_test(default_is_payable_and_usdc_first),
	    cmocka_unit_test(owners_row_is_added_once),
	    cmocka_unit_test(networks_are_read_strictly),
	};

	return unit_run(tests);
}
