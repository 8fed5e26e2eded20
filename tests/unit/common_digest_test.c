/* Known answers. Keccak's come from viem (an independent implementation) and from
 * the Ethereum standards whose type hashes they are. */
#include "common/bytes.h"
#include "common/digest.h"
#include "tests/unit/unit.h"

static void assert_digest(const struct digest *got, const char *wanted)
{
	char text[2 * DIGEST_SIZE + 1];

	assert_string_equal(hex_encode(text, got->bytes, DIGEST_SIZE), wanted);
}

static struct digest keccak_str(const char *text)
{
	return keccak256(text, strlen(text));
}

static void keccak_of_text(void **state)
{
	static const struct {
		const char *text, *digest;
	} rows[] = {
	    {"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"},
	    {"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"},
	    {"The quick brown fox jumps over the lazy dog",
		"4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15"},
	    {"USD₮0", "20a6c0471b690c993a568d5e9cd849fe8f392e96f3d2578f2c17ee77acfd50a9"},
	    {"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
		"8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f"},
	    {"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
	     "uint256 validBefore,bytes32 nonce)",
		"7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"},
	    {"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
	     "uint256 validBefore,bytes32 nonce)",
		"d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8"},
	    {"PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,"
	     "uint256 deadline,Witness witness)TokenPermissions(address token,uint256 amount)"
	     "Witness(address to,uint256 validAfter)",
		"ebc156cd23678a74c94df13d772ef5478420637f0c94bd10d509e1dc98f521c7"},
	    {"Witness(address to,uint256 validAfter)",
		"d97b3239a7f32295517bd14cb074edfdd188dfe5eb42f802bb26d4fd1eb12c37"},
	    {"Witness(address to,address facilitator,uint256 validAfter)",
		"d4171c445a74218b01d4fd8af34ff1106580ea1e36ff837e64484bfaa2253b75"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct digest digest = keccak_str(rows[i].text);

		assert_digest(&digest, rows[i].digest);
	}
}

/* The rate is 136 bytes: one short of it both padding bits share a byte, at it the
 * padding has a block of its own. The bytes are 0, 1, 2, … */
static void keccak_at_the_edges_of_a_block(void **state)
{
	static const struct {
		size_t size;
		const char *digest;
	} rows[] = {
	    {1, "bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a"},
	    {134, "861e165162f806cd361c4421a48f205820ddf4deb02db9f041f48e179ddada97"},
	    {135, "cbdfd9dee5faad3818d6b06f95a219fd290b0e1706f6a82e5a595b9ce9faca62"},
	    {136, "7ce759f1ab7f9ce437719970c26b0a66ff11fe3e38e17df89cf5d29c7d7f807e"},
	    {137, "ac73d4fae68b8453f764007c1a20ce95994187861f0c3227a3a8e99a73a3b1db"},
	    {200, "bfb0aa97863e797943cf7c33bb7e880bb4543f3d2703c0923c6901c2af57b890"},
	    {271, "7c974895b2a88303ff2dc6b58f438ceb0b298cac91099ac0539cc0f477506191"},
	    {272, "fdf2ec49e749960d3c8521a0219af8d03e30e2b3bf19bd16150ee0eaf133d66e"},
	    {273, "4f707289a9c3ccd0c4a51f2f17339f5dd171d371c04ff7783b735b5b22682eaf"},
	    {1000, "aca79e4146e30eb1c733f6d6060d72471c36ea4e01ebf45d7f4916249c2bbd82"},
	};
	uint8_t bytes[1000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (i = 0; i < COUNT(rows); i++) {
		struct digest digest = keccak256(bytes, rows[i].size);

		assert_digest(&digest, rows[i].digest);
	}
}

static void put_uint64(uint8_t word[32], uint64_t value)
{
	int i;

	memset(word, 0, 32);
	for (i = 31; value != 0; i--, value >>= 8)
		word[i] = (uint8_t)value;
}

/* EIP-712 domain separators, put together by hand. */
static void keccak_of_domains(void **state)
{
	static const struct {
		const char *name, *version;
		uint64_t chain;
		const char *contract, *separator;
	} rows[] = {
	    {"USD Coin", "2", 8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
		"02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"},
	    {"USDC", "2", 84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
		"71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"},
	    {"USD Coin", "2", 1, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
		"06c37168a7db5138defc7866392bb87a741f9b3d104deb5094588ce041cae335"},
	    {"USD Coin", "2", 137, "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359",
		"caa2ce1a5703ccbe253a34eb3166df60a705c561b44b192061e28f2a985be2ca"},
	    {"USD Coin", "2", 42161, "0xaf88d065e77c8cC2239327C5EDb3A432268e5831",
		"08d11903f8419e68b1b8721bcbe2e9fc68569122a77ef18c216f10b3b5112c78"},
	    {"USD Coin", "2", 43114, "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E",
		"bbea200329a938bc3438984a49cb0732e66d66d7bd59c127abacc1710e77f7b3"},
	    {"USDC", "2", 143, "0x754704Bc059F8C67012fEd69BC8A327a5aafb603",
		"fe22123edc0dd4aeb912eb7948c5f0e531592c2053b3067612f427db342c93c6"},
	};
	const struct digest type = keccak_str(
	    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct digest name = keccak_str(rows[i].name),
			      version = keccak_str(rows[i].version);
		struct digest separator;
		uint8_t words[5][32] = {{0}};

		memcpy(words[0], type.bytes, 32);
		memcpy(words[1], name.bytes, 32);
		memcpy(words[2], version.bytes, 32);
		put_uint64(words[3], rows[i].chain);
		assert_true(hex_decode(words[4] + 12, 20, rows[i].contract));
		separator = keccak256(words, sizeof(words));
		assert_digest(&separator, rows[i].separator);
	}
}

/* Permit2's domain has no version. */
static void keccak_of_the_permit2_domain(void **state)
{
	struct digest type =
	    keccak_str("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
	struct digest name = keccak_str("Permit2"), separator;
	uint8_t words[4][32] = {{0}};

	(void)state;
	memcpy(words[0], type.bytes, 32);
	memcpy(words[1], name.bytes, 32);
	put_uint64(words[2], 84532);
	assert_true(hex_decode(words[3] + 12, 20, "0x000000000022D473030F116dDEE9F6B43aC78BA3"));
	separator = keccak256(words, sizeof(words));
	assert_digest(
	    &separator, "010f27a92fb9a32622f44f001dc4d15706a85b33499cfc2ce9033113ab26592c");
}

/* FIPS 180-4's examples. */
static void sha256_known_answers(void **state)
{
	static const struct {
		const char *text, *digest;
	} rows[] = {
	    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct digest digest = sha256(rows[i].text, strlen(rows[i].text));

		assert_digest(&digest, rows[i].digest);
	}
}

static void sha256_of_nothing_is_a_constant(void **state)
{
	struct digest nothing = sha256("", 0);

	(void)state;
	assert_true(digest_equal(&nothing, &sha256_of_nothing));
}

static void sha256_in_pieces_is_the_same(void **state)
{
	uint8_t bytes[1000];
	size_t i, piece;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (piece = 1; piece <= sizeof(bytes); piece = piece * 3 + 1) {
		struct sha256 *running = sha256_new();
		struct digest digest;

		for (i = 0; i < sizeof(bytes); i += piece)
			sha256_add(running, bytes + i,
			    sizeof(bytes) - i < piece ? sizeof(bytes) - i : piece);
		sha256_add(running, bytes, 0);
		digest = sha256_done(&running);
		assert_null(running);
		assert_digest(
		    &digest, "a8af099bf2e878609558dbf69d8f88f4a31040a8cf84b549a0cfa912f12ffc3f");
	}
}

static void sha256_may_be_given_up(void **state)
{
	struct sha256 *running = sha256_new(), *none = NULL;

	(void)state;
	sha256_add(running, "abc", 3);
	sha256_free(&running);
	assert_null(running);
	sha256_free(&running);
	sha256_free(&none);
}

/* RFC 4231, test cases 1, 2, 3 and 6. */
static void hmac_known_answers(void **state)
{
	uint8_t key[131], data[50];
	struct digest digest;

	(void)state;
	memset(key, 0x0b, 20);
	digest = hmac_sha256(key, 20, "Hi There", 8);
	assert_digest(&digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	digest = hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28);
	assert_digest(&digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	digest = hmac_sha256(key, 20, data, sizeof(data));
	assert_digest(&digest, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	digest =
	    hmac_sha256(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54);
	assert_digest(&digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hmac_with_an_empty_key(void **state)
{
	struct digest digest = hmac_sha256(NULL, 0, "", 0);

	(void)state;
	assert_digest(&digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keccak_of_text),
	    cmocka_unit_test(keccak_at_the_edges_of_a_block),
	    cmocka_unit_test(keccak_of_domains),
	    cmocka_unit_test(keccak_of_the_permit2_domain),
	    cmocka_unit_test(sha256_known_answers),
	    cmocka_unit_test(sha256_of_nothing_is_a_constant),
	    cmocka_unit_test(sha256_in_pieces_is_the_same),
	    cmocka_unit_test(sha256_may_be_given_up),
	    cmocka_unit_test(hmac_known_answers),
	    cmocka_unit_test(hmac_with_an_empty_key),
	};

	return unit_run(tests);
}
