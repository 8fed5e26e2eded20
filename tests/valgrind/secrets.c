/* tests/valgrind/secrets.c - does time, or what is touched, depend on a secret?
 *
 * memcheck follows bytes it was told are undefined through every instruction and reports
 * a branch, and an address, that comes of them: what a clock or a cache could see. So each
 * case marks its secret undefined, works with it, and marks as defined what is public: a
 * signature, an address, the yes or no of a comparison. Reports in between fail the case.
 * The controls do what must not be done, and fail unless it is reported.
 *
 * What is public inside of a library, where nothing can be marked, is named one by one in
 * public.supp. scrypt is not here: its table is looked up by the passphrase on purpose.
 *
 * Source: the method of libsecp256k1's src/ctime_tests.c; valgrind's manual, 4.7.
 * Run by tests/valgrind/constant-time; exit status 77 without valgrind. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "proxy/token.h"
#include "wallet/cancellation.h"
#include "wallet/cipher.h"
#include "wallet/eip712.h"
#include "wallet/payment.h"
#include "wallet/personal.h"
#include "wallet/signer.h"
#include "wallet/transaction.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void is_secret(const void *bytes, size_t size)
{
	VALGRIND_MAKE_MEM_UNDEFINED(bytes, size);
}

static void is_public(const void *bytes, size_t size)
{
	VALGRIND_MAKE_MEM_DEFINED(bytes, size);
}

/* Random, or the machine's branch predictor is not the only one that knows it. */
static void take_secret(uint8_t *out, size_t size)
{
	bytes_random(out, size);
	out[0] &= 0x7f; /* below the order of the curve */
	is_secret(out, size);
}

/* --- signing ------------------------------------------------------------------------- */

static bool signs(const struct digest *digest)
{
	struct signer *signer = signer_new();
	uint8_t key[SIGNER_KEY_SIZE], signature[SIGNER_SIGNATURE_SIZE] = {0};
	struct address ours, recovered;
	bool signed_it, has_address;

	take_secret(key, sizeof key);
	signed_it = signer_sign(signature, signer, key, digest);
	is_public(&signed_it, sizeof signed_it);
	is_public(signature, sizeof signature);
	has_address = signer_address(&ours, signer, key);
	is_public(&has_address, sizeof has_address);
	is_public(&ours, sizeof ours);
	signed_it = signed_it && has_address &&
		    signer_recover(&recovered, signer, signature, digest) &&
		    address_equal(&ours, &recovered);
	bytes_wipe(key, sizeof key);
	signer_free(&signer);
	return signed_it;
}

static const struct address token = {{0x03, 0x6c, 0xbd}};

static bool an_authorization(void)
{
	const struct digest domain = eip712_domain("USDC", "2", 84532, &token);
	const struct authorization authorization = {
	    .from = {{1}}, .to = {{2}}, .valid_before_s = 2000000000, .nonce = {3}};
	const struct digest digest = authorization_digest(&authorization, &domain);

	return signs(&digest);
}

static bool a_cancellation(void)
{
	const struct digest domain = eip712_domain("USDC", "2", 84532, &token);
	const struct cancellation cancellation = {.authorizer = {{1}}, .nonce = {3}};
	const struct digest digest = cancellation_digest(&cancellation, &domain);

	return signs(&digest);
}

static bool a_text(void)
{
	const struct digest digest = personal_digest("head 1", 6);

	return signs(&digest);
}

static bool a_transaction(void)
{
	static const uint8_t data[4] = {1, 2, 3, 4};
	const struct transaction transaction = {.chain_id = 84532,
	    .gas_limit = 100000,
	    .to = token,
	    .data = data,
	    .data_size = sizeof data};
	const struct digest digest = transaction_digest(&transaction);

	return signs(&digest);
}

/* --- comparing ----------------------------------------------------------------------- */

static bool equal_bytes(void)
{
	uint8_t one[DIGEST_SIZE], other[DIGEST_SIZE];
	bool same, different;

	take_secret(one, sizeof one);
	memcpy(other, one, sizeof other);
	same = bytes_equal_ct(one, other, sizeof one);
	other[5] ^= 1;
	different = bytes_equal_ct(one, other, sizeof one);
	is_public(&same, sizeof same);
	is_public(&different, sizeof different);
	return same && !different;
}

static bool a_mac(void)
{
	uint8_t secret[TOKEN_SECRET_SIZE];
	struct digest one, other;
	bool equal;

	take_secret(secret, sizeof secret);
	one = hmac_sha256(secret, sizeof secret, "a", 1);
	other = hmac_sha256(secret, sizeof secret, "b", 1);
	equal = bytes_equal_ct(&one, &other, sizeof one);
	is_public(&equal, sizeof equal);
	return !equal;
}

/* What a version 3 key file's passphrase is known by. */
static bool a_keystore_mac(void)
{
	uint8_t derived[32];
	struct digest mac, other = {{0}};
	bool equal;

	take_secret(derived, sizeof derived);
	mac = keccak256(derived, sizeof derived);
	equal = bytes_equal_ct(&mac, &other, sizeof mac);
	is_public(&equal, sizeof equal);
	return !equal;
}

/* A token that is nobody's: how much of its signature is right must not show. */
static bool a_forged_token(void)
{
	static const uint8_t other[TOKEN_SECRET_SIZE] = {1};
	const struct token_claims claims = {.agent = "a",
	    .owner = "o",
	    .session = "00112233445566778899aabbccddeeff",
	    .issued_s = 1700000000,
	    .expires_s = 1900000000};
	char *forged = token_make(&claims, other);
	uint8_t secret[TOKEN_SECRET_SIZE];
	struct token_claims read;
	enum token_result result;

	take_secret(secret, sizeof secret);
	result = token_check(&read, forged, strlen(forged), secret, 1800000000);
	is_public(&result, sizeof result);
	free(forged);
	return result == TOKEN_BAD_SIGNATURE;
}

/* --- keys at rest -------------------------------------------------------------------- */

static bool a_sealed_key(void)
{
	static const uint8_t nonce[CIPHER_NONCE_SIZE] = {1};
	uint8_t data_key[CIPHER_KEY_SIZE], key[32], sealed[32], opened[32] = {0};
	uint8_t tag[CIPHER_TAG_SIZE];
	bool ok, same;

	take_secret(data_key, sizeof data_key);
	take_secret(key, sizeof key);
	ok = cipher_gcm_seal(sealed, tag, data_key, nonce, "agent", 5, key, sizeof key);
	is_public(&ok, sizeof ok);
	is_public(sealed, sizeof sealed);
	is_public(tag, sizeof tag);
	ok = ok && cipher_gcm_open(opened, tag, data_key, nonce, "agent", 5, sealed, sizeof sealed);
	is_public(&ok, sizeof ok);
	same = bytes_equal_ct(key, opened, sizeof key);
	is_public(&same, sizeof same);
	return ok && same;
}

static bool a_derived_key(void)
{
	static const uint8_t salt[16] = {1};
	uint8_t passphrase[24], key[CIPHER_KEY_SIZE];
	bool ok;

	take_secret(passphrase, sizeof passphrase);
	ok = cipher_pbkdf2(key, (const char *)passphrase, sizeof passphrase, salt, sizeof salt, 2);
	is_public(&ok, sizeof ok);
	return ok;
}

/* --- what must not be done ------------------------------------------------------------ */

static volatile unsigned seen;

static bool a_branch(void)
{
	uint8_t key[SIGNER_KEY_SIZE];

	take_secret(key, sizeof key);
	if (key[7] & 1)
		seen++;
	return true;
}

static bool a_look_up(void)
{
	static const volatile uint8_t table[256] = {1};
	uint8_t key[SIGNER_KEY_SIZE];

	take_secret(key, sizeof key);
	seen = table[key[7]];
	return true;
}

static bool a_comparison_that_stops(void)
{
	uint8_t one[DIGEST_SIZE], other[DIGEST_SIZE] = {0};
	int order;

	take_secret(one, sizeof one);
	order = memcmp(one, other, sizeof one);
	is_public(&order, sizeof order);
	seen = order > 0;
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
	bool leaks;
} cases[] = {
    {"an authorization is signed", an_authorization, false},
    {"a cancellation is signed", a_cancellation, false},
    {"a text is signed", a_text, false},
    {"a transaction is signed", a_transaction, false},
    {"bytes are compared", equal_bytes, false},
    {"a MAC is made and compared", a_mac, false},
    {"a key file's MAC is made and compared", a_keystore_mac, false},
    {"a forged token is refused", a_forged_token, false},
    {"a key is sealed and opened", a_sealed_key, false},
    {"a key is derived from a passphrase", a_derived_key, false},
    {"control: a branch on a key", a_branch, true},
    {"control: a table looked up by a key", a_look_up, true},
    {"control: memcmp of a MAC", a_comparison_that_stops, true},
};

int main(void)
{
	unsigned failed = 0;

	if (!RUNNING_ON_VALGRIND)
		return 77;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const unsigned before = VALGRIND_COUNT_ERRORS;
		const bool ok = cases[i].run();
		const bool reported = VALGRIND_COUNT_ERRORS > before;

		printf("%s %s%s\n", ok && reported == cases[i].leaks ? "ok  " : "FAIL",
		    cases[i].name,
		    !ok                          ? ": it does not work"
		    : reported == cases[i].leaks ? ""
		    : reported                   ? ": reported, see above"
						 : ": not reported");
		fflush(stdout);
		failed += !ok || reported != cases[i].leaks;
	}
	printf("%zu passed, %u failed\n", COUNT(cases) - failed, failed);
	return failed > 0;
}
