/* Ciphers and derivations: published answers, bounds, and what does not open. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/cipher.h"
#include "wallet/romix.h"

static void gcm_opens_only_what_was_sealed(void **state)
{
	uint8_t key[CIPHER_KEY_SIZE], nonce[CIPHER_NONCE_SIZE], tag[CIPHER_TAG_SIZE];
	uint8_t plain[32] = "thirty-two bytes of a secret key", sealed[32], opened[32];
	static const uint8_t zero[32];
	size_t i;

	(void)state;
	memset(key, 1, sizeof(key));
	memset(nonce, 2, sizeof(nonce));
	assert_true(cipher_gcm_seal(sealed, tag, key, nonce, "aad", 3, plain, sizeof(plain)));
	assert_memory_not_equal(sealed, plain, sizeof(plain));
	assert_true(cipher_gcm_open(opened, tag, key, nonce, "aad", 3, sealed, sizeof(sealed)));
	assert_memory_equal(opened, plain, sizeof(plain));
	assert_false(cipher_gcm_open(opened, tag, key, nonce, "aae", 3, sealed, sizeof(sealed)));
	assert_memory_equal(opened, zero, sizeof(zero));
	assert_false(cipher_gcm_open(opened, tag, key, nonce, "aad", 2, sealed, sizeof(sealed)));
	for (i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_false(cipher_gcm_open(opened, tag, key, nonce, "aad", 3, sealed, 32));
		sealed[i] ^= 1;
	}
	for (i = 0; i < sizeof(tag); i++) {
		tag[i] ^= 0x80;
		assert_false(cipher_gcm_open(opened, tag, key, nonce, "aad", 3, sealed, 32));
		tag[i] ^= 0x80;
	}
	key[0] ^= 1;
	assert_false(cipher_gcm_open(opened, tag, key, nonce, "aad", 3, sealed, 32));
	key[0] ^= 1;
	nonce[0] ^= 1;
	assert_false(cipher_gcm_open(opened, tag, key, nonce, "aad", 3, sealed, 32));
}

/* NIST SP 800-38D, test case 14: a zero key over one zero block. */
static void gcm_gives_the_known_answer(void **state)
{
	static const uint8_t zero[32];
	uint8_t sealed[16], tag[CIPHER_TAG_SIZE], wanted[16];

	(void)state;
	assert_true(cipher_gcm_seal(sealed, tag, zero, zero, "", 0, zero, 16));
	assert_true(hex_decode(wanted, 16, "cea7403d4d606b6e074ec5d3baf39d18"));
	assert_memory_equal(sealed, wanted, 16);
	assert_true(hex_decode(wanted, 16, "d0d1c8a799996bf0265b98b5d48ab919"));
	assert_memory_equal(tag, wanted, 16);
}

/* NIST SP 800-38A, F.5.1. */
static void ctr_gives_the_known_answer(void **state)
{
	uint8_t key[16], iv[16], plain[32], out[32], wanted[32];

	(void)state;
	assert_true(hex_decode(key, 16, "2b7e151628aed2a6abf7158809cf4f3c"));
	assert_true(hex_decode(iv, 16, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
	assert_true(hex_decode(plain, 32,
	    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"));
	assert_true(hex_decode(wanted, 32,
	    "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"));
	assert_true(cipher_ctr(out, key, iv, plain, 32));
	assert_memory_equal(out, wanted, 32);
	assert_true(cipher_ctr(out, key, iv, wanted, 32));
	assert_memory_equal(out, plain, 32);
}

static const struct {
	const char *password, *salt;
	uint64_t n;
	uint32_t r, p;
	const char *wanted; /* RFC 7914, section 12 */
} known[] = {
    {"", "", 16, 1, 1,
	"77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
	"fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
    {"password", "NaCl", 1024, 8, 16,
	"fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
	"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
    {"pleaseletmein", "SodiumChloride", 16384, 8, 1,
	"7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
	"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
};

static void scrypt_gives_the_known_answers_both_ways(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(known); i++) {
		struct cipher_scrypt cost = {known[i].n, known[i].r, known[i].p};
		const char *password = known[i].password, *salt = known[i].salt;
		uint8_t wanted[64], out[64];

		assert_true(hex_decode(wanted, sizeof(wanted), known[i].wanted));
		assert_true(cipher_scrypt_fits(&cost));
		assert_true(cipher_scrypt(out, password, strlen(password), (const uint8_t *)salt,
		    strlen(salt), &cost));
		row_check(password, memcmp(out, wanted, CIPHER_KEY_SIZE) == 0);
		assert_true(romix_scrypt(out, sizeof(out), password, strlen(password),
		    (const uint8_t *)salt, strlen(salt), cost.n, cost.r, cost.p));
		row_check(password, memcmp(out, wanted, sizeof(wanted)) == 0);
	}
}

static void scrypt_costs_are_bounded(void **state)
{
	static const struct {
		struct cipher_scrypt cost;
		bool fits;
	} rows[] = {
	    {{2, 1, 1}, true},
	    {{4096, 8, 6}, true},
	    {{131072, 8, 1}, true},
	    {{262144, 8, 1}, true},
	    {{262144, 1, 8}, true},
	    {{1048576, 8, 1}, true},
	    {{1048576, 8, 2}, true},
	    {{0, 8, 1}, false},
	    {{1, 8, 1}, false},
	    {{3, 8, 1}, false},
	    {{262143, 8, 1}, false},
	    {{262144, 0, 1}, false},
	    {{262144, 8, 0}, false},
	    {{2097152, 8, 1}, false},
	    {{1048576, 9, 1}, false},
	    {{1048576, 8, 3}, false},
	    {{262144, 8, 9}, false},
	    {{UINT64_C(1) << 63, 8, 1}, false},
	    {{UINT64_C(1) << 23, 1, 1}, true},
	    {{UINT64_C(1) << 24, 1, 1}, false},
	    {{2, UINT32_MAX, 1}, false},
	    {{2, 1, UINT32_MAX}, false},
	    {{2, 1, 1 << 23}, true},
	    {{2, 1, 1 << 24}, false},
	    {{2, 1 << 22, 1}, false},
	    {{UINT64_MAX, UINT32_MAX, UINT32_MAX}, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		if (cipher_scrypt_fits(&rows[i].cost) != rows[i].fits)
			fail_msg("n %llu r %u p %u", (unsigned long long)rows[i].cost.n,
			    rows[i].cost.r, rows[i].cost.p);
	}
}

/* RFC 7914, section 11, first 32 of 64 bytes. */
static void pbkdf2_gives_the_known_answers(void **state)
{
	uint8_t out[CIPHER_KEY_SIZE], wanted[CIPHER_KEY_SIZE];

	(void)state;
	assert_true(cipher_pbkdf2(out, "passwd", 6, (const uint8_t *)"salt", 4, 1));
	assert_true(hex_decode(wanted, sizeof(wanted),
	    "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"));
	assert_memory_equal(out, wanted, sizeof(wanted));
	assert_true(cipher_pbkdf2(out, "Password", 8, (const uint8_t *)"NaCl", 4, 80000));
	assert_true(hex_decode(wanted, sizeof(wanted),
	    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"));
	assert_memory_equal(out, wanted, sizeof(wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gcm_opens_only_what_was_sealed),
	    cmocka_unit_test(gcm_gives_the_known_answer),
	    cmocka_unit_test(ctr_gives_the_known_answer),
	    cmocka_unit_test(scrypt_gives_the_known_answers_both_ways),
	    cmocka_unit_test(scrypt_costs_are_bounded),
	    cmocka_unit_test(pbkdf2_gives_the_known_answers),
	};

	return unit_run(tests);
}
