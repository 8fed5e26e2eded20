/* Agents' tokens: the ways in which one can be wrong. */
#include "proxy/token.h"

#include <jansson.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "tests/unit/unit.h"

#define NOW_S INT64_C(1763640000)

static const uint8_t secret[TOKEN_SECRET_SIZE] = "0123456789abcdef0123456789abcde";
static const uint8_t other_secret[TOKEN_SECRET_SIZE] = "0123456789abcdef0123456789abcdf";

static const char good_header[] = "{\"typ\":\"JWT\",\"alg\":\"HS256\"}";
static const char good_payload[] =
    "{\"iss\":\"tallyward\",\"sub\":\"coder\",\"owner\":\"o@example.com\",\"jti\":"
    "\"00112233445566778899aabbccddeeff\",\"iat\":1763640000,\"nbf\":1763640000,"
    "\"exp\":1763643600}";

static struct token_claims good_claims(void)
{
	return (struct token_claims){.agent = "coder",
	    .owner = "o@example.com",
	    .session = "00112233445566778899aabbccddeeff",
	    .issued_s = NOW_S,
	    .expires_s = NOW_S + 3600};
}

/* A token of any header and payload, signed with our own secret. */
static char *sign(const char *header, size_t header_size, const char *payload, size_t payload_size)
{
	char *head = base64url_encode(header, header_size);
	char *body = base64url_encode(payload, payload_size);
	char *text = must_format("%s.%s", head, body);
	struct digest digest = hmac_sha256(secret, sizeof secret, text, strlen(text));
	char *signature = base64url_encode(digest.bytes, DIGEST_SIZE);
	char *token = must_format("%s.%s", text, signature);

	free(head);
	free(body);
	free(text);
	free(signature);
	return token;
}

static char *sign_str(const char *header, const char *payload)
{
	return sign(header, strlen(header), payload, strlen(payload));
}

/* Out-parameters are untouched by a refusal. */
static enum token_result check_at(
    const char *token, size_t size, const uint8_t *with, int64_t now_s)
{
	struct token_claims claims, before;
	enum token_result result;

	memset(&claims, 0x5a, sizeof claims);
	before = claims;
	result = token_check(&claims, token, size, with, now_s);
	if (result != TOKEN_OK)
		assert_memory_equal(&claims, &before, sizeof claims);
	return result;
}

static enum token_result check(const char *token)
{
	return check_at(token, strlen(token), secret, NOW_S);
}

static void made_token_says_what_it_was_told(void **state)
{
	struct token_claims claims = good_claims(), read;
	char *token = token_make(&claims, secret);

	(void)state;
	assert_int_equal(token_check(&read, token, strlen(token), secret, NOW_S), TOKEN_OK);
	assert_string_equal(read.agent, claims.agent);
	assert_string_equal(read.owner, claims.owner);
	assert_string_equal(read.session, claims.session);
	assert_int_equal(read.issued_s, claims.issued_s);
	assert_int_equal(read.expires_s, claims.expires_s);
	assert_int_equal(check_at(token, strlen(token), secret, NOW_S + 3599), TOKEN_OK);
	free(token);
}

/* The longest names, all of characters that JSON must escape, still fit. */
static void longest_names_fit(void **state)
{
	struct token_claims claims = good_claims(), read;
	char *token;

	(void)state;
	memset(claims.agent, 'a', sizeof claims.agent - 1);
	memset(claims.owner, '"', sizeof claims.owner - 1);
	token = token_make(&claims, secret);
	assert_int_equal(token_check(&read, token, strlen(token), secret, NOW_S), TOKEN_OK);
	assert_string_equal(read.owner, claims.owner);
	assert_string_equal(read.agent, claims.agent);
	free(token);
}

static void sessions_differ(void **state)
{
	char one[TOKEN_SESSION_SIZE], two[TOKEN_SESSION_SIZE];

	(void)state;
	token_session(one);
	token_session(two);
	assert_int_equal(strlen(one), TOKEN_SESSION_SIZE - 1);
	assert_int_equal(strspn(one, "0123456789abcdef"), TOKEN_SESSION_SIZE - 1);
	assert_string_not_equal(one, two);
}

static void headers_that_say_otherwise(void **state)
{
	static const struct {
		const char *header;
		enum token_result result;
	} rows[] = {
	    {"{\"alg\":\"HS256\"}", TOKEN_OK},
	    {"{\"alg\":\"none\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"None\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"NONE\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"nOnE\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"RS256\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"ES256\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS384\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS512\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"hs256\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS256 \"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"\"}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":null}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":256}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":[\"HS256\"]}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":{\"HS256\":true}}", TOKEN_BAD_ALGORITHM},
	    {"{\"ALG\":\"HS256\"}", TOKEN_BAD_ALGORITHM},
	    {"{}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS256\",\"crit\":null}", TOKEN_BAD_ALGORITHM},
	    {"{\"alg\":\"HS256\",\"alg\":\"none\"}", TOKEN_MALFORMED},
	    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
	    {"[\"HS256\"]", TOKEN_MALFORMED},
	    {"\"HS256\"", TOKEN_MALFORMED},
	    {"HS256", TOKEN_MALFORMED},
	    {"null", TOKEN_MALFORMED},
	    {"", TOKEN_MALFORMED},
	    {"{", TOKEN_MALFORMED},
	    {"{\"alg\":\"HS256\"", TOKEN_MALFORMED},
	    {"{\"alg\":\"HS256\"}x", TOKEN_MALFORMED},
	    {"{\"alg\":\"HS256\",}", TOKEN_MALFORMED},
	    {"{\"alg\":\"HS256\\u0000\"}", TOKEN_MALFORMED},
	    {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", TOKEN_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *token = sign_str(rows[i].header, good_payload);

		row_check(rows[i].header, check(token) == rows[i].result);
		free(token);
	}
}

static void claims_that_are_wrong(void **state)
{
#define ISS                   "\"iss\":\"tallyward\""
#define SUB                   "\"sub\":\"coder\""
#define OWN                   "\"owner\":\"o@example.com\""
#define JTI                   "\"jti\":\"00112233445566778899aabbccddeeff\""
#define IAT                   "\"iat\":1763640000"
#define NBF                   "\"nbf\":1763640000"
#define EXP                   "\"exp\":1763643600"
#define BUT(a, b, c, d, e, f) AT(IAT, a, b, c, d, e, f)
/* As BUT, with another iat. */
#define AT(iat, a, b, c, d, e, f) "{" iat "," a "," b "," c "," d "," e "," f "}"
	static const struct {
		const char *payload;
		enum token_result result;
	} rows[] = {
	    {BUT(ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_OK},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1763640001"), TOKEN_OK},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1763640000"), TOKEN_EXPIRED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1"), TOKEN_EXPIRED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":1763640001", EXP), TOKEN_NOT_YET_VALID},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":1763640001", "\"exp\":1"), TOKEN_NOT_YET_VALID},
	    /* missing */
	    {"{" IAT "," SUB "," OWN "," JTI "," NBF "," EXP "}", TOKEN_MALFORMED},
	    {"{" IAT "," ISS "," OWN "," JTI "," NBF "," EXP "}", TOKEN_MALFORMED},
	    {"{" IAT "," ISS "," SUB "," JTI "," NBF "," EXP "}", TOKEN_MALFORMED},
	    {"{" IAT "," ISS "," SUB "," OWN "," NBF "," EXP "}", TOKEN_MALFORMED},
	    {"{" IAT "," ISS "," SUB "," OWN "," JTI "," EXP "}", TOKEN_MALFORMED},
	    {"{" IAT "," ISS "," SUB "," OWN "," JTI "," NBF "}", TOKEN_MALFORMED},
	    {"{" ISS "," SUB "," OWN "," JTI "," NBF "," EXP "}", TOKEN_MALFORMED},
	    {"{}", TOKEN_MALFORMED},
	    /* issued at a time that is none, or not yet */
	    {AT("\"iat\":1763640001", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_NOT_YET_VALID},
	    {AT("\"iat\":1763639000", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_OK},
	    {AT("\"iat\":-1", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT("\"iat\":0", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT("\"iat\":1763640000.0", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT("\"iat\":\"1763640000\"", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT("\"iat\":9007199254740993", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT("\"iat\":null", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    /* for somebody else */
	    {AT(IAT ",\"aud\":\"elsewhere\"", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT(IAT ",\"aud\":[\"tallyward\"]", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT(IAT ",\"aud\":[]", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {AT(IAT ",\"aud\":null", ISS, SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    /* further away than years have four digits */
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":253402300799"), TOKEN_OK},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":253402300800"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":9007199254740993"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":9223372036854775807"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":9223372036854775807", EXP), TOKEN_MALFORMED},
	    /* of another type */
	    {BUT("\"iss\":1", SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT("\"iss\":[\"tallyward\"]", SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, "\"sub\":7", OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, "\"sub\":null", OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, "\"sub\":{\"a\":1}", OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, "\"owner\":true", JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, "\"jti\":[]", NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":\"1763640000\"", EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":null", EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":1.5", EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":\"1763643600\""), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1763643600.5"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1e12"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":true"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":null"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":[1763643600]"), TOKEN_MALFORMED},
	    /* of another value */
	    {BUT("\"iss\":\"Tallyward\"", SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT("\"iss\":\"tallyward2\"", SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT("\"iss\":\"\"", SUB, OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, "\"sub\":\"\"", OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, "\"owner\":\"\"", JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, "\"jti\":\"\"", NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, "\"jti\":\"00112233445566778899aabbccddeeff0\"", NBF, EXP),
		TOKEN_MALFORMED},
	    {BUT(ISS,
		 "\"sub\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
		 OWN, JTI, NBF, EXP),
		TOKEN_MALFORMED},
	    {BUT(ISS, "\"sub\":\"coder\\u0000x\"", OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":-1", EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, "\"nbf\":0", EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":0"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":-1763643600"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":9223372036854775808"), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":99999999999999999999999"), TOKEN_MALFORMED},
	    /* said twice */
	    {BUT(ISS, SUB, SUB ",\"sub\":\"root\"," OWN, JTI, NBF, EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, "\"exp\":1," EXP), TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, EXP "," EXP), TOKEN_MALFORMED},
	    /* no object */
	    {"", TOKEN_MALFORMED},
	    {"null", TOKEN_MALFORMED},
	    {"[" ISS "]", TOKEN_MALFORMED},
	    {"[]", TOKEN_MALFORMED},
	    {"\""
	     "coder"
	     "\"",
		TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, EXP) "}", TOKEN_MALFORMED},
	    {BUT(ISS, SUB, OWN, JTI, NBF, EXP) " x", TOKEN_MALFORMED},
	    {"{" ISS "," SUB "," OWN "," JTI "," NBF "," EXP, TOKEN_MALFORMED},
	    {BUT(ISS, SUB, "\"owner\":\"\xff\xfe\"", JTI, NBF, EXP), TOKEN_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *token = sign_str(good_header, rows[i].payload);
		enum token_result result = check(token);

		if (result != rows[i].result)
			fail_msg("%s: %s", rows[i].payload, token_result_str(result));
		free(token);
	}
}

static void embedded_nul(void **state)
{
	static const char payload[] = "{\"iss\":\"tallyward\",\"sub\":\"coder\",\"owner\":\"o\","
				      "\"jti\":\"s\",\"nbf\":1763640000,"
				      "\"exp\":1763643600}\0 and more";
	static const char header[] = "{\"alg\":\"HS256\"}\0{\"alg\":\"none\"}";
	char *token = sign(header, sizeof header - 1, good_payload, strlen(good_payload));

	(void)state;
	assert_int_equal(check(token), TOKEN_MALFORMED);
	free(token);
	token = sign(good_header, strlen(good_header), payload, sizeof payload - 1);
	assert_int_equal(check(token), TOKEN_MALFORMED);
	free(token);
	token = sign_str(good_header, good_payload);
	assert_int_equal(check_at(token, strlen(token) + 1, secret, NOW_S), TOKEN_MALFORMED);
	free(token);
}

static void wrong_key(void **state)
{
	struct token_claims claims = good_claims();
	char *token = token_make(&claims, other_secret);

	(void)state;
	assert_int_equal(check(token), TOKEN_BAD_SIGNATURE);
	assert_int_equal(check_at(token, strlen(token), other_secret, NOW_S), TOKEN_OK);
	/* Neither the key nor its time is told to who cannot sign. */
	assert_int_equal(
	    check_at(token, strlen(token), secret, NOW_S + 99999), TOKEN_BAD_SIGNATURE);
	free(token);
}

static void cut_at_every_byte(void **state)
{
	char *token = sign_str(good_header, good_payload);
	size_t size = strlen(token);

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		/* In a piece of memory that ends there: the sanitizer sees a byte too far. */
		char *piece = must_alloc(cut ? cut : 1);

		memcpy(piece, token, cut);
		if (check_at(piece, cut, secret, NOW_S) == TOKEN_OK)
			fail_msg("cut at %zu", cut);
		free(piece);
	}
	free(token);
}

/* Every other character in any place: no token has two spellings. */
static void changed_at_every_byte(void **state)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234567"
				      "89-_.=+/ %\r\n\x01\x80\xff";
	char *token = sign_str(good_header, good_payload);
	size_t size = strlen(token);

	(void)state;
	for (size_t at = 0; at < size; at++) {
		char before = token[at];

		for (size_t i = 0; i < sizeof letters - 1; i++) {
			token[at] = letters[i];
			if (letters[i] != before && check(token) == TOKEN_OK)
				fail_msg("byte %zu as %02x", at, (unsigned char)letters[i]);
		}
		token[at] = before;
	}
	assert_int_equal(check(token), TOKEN_OK);
	free(token);
}

static void forms_that_are_none(void **state)
{
	char *token = sign_str(good_header, good_payload), *rows[16];
	char *payload = strchr(token, '.') + 1, *signature = strrchr(token, '.') + 1;
	size_t count = 0;

	(void)state;
	rows[count++] = must_format("%s.", token);
	rows[count++] = must_format(".%s", token);
	rows[count++] = must_format("%s.%s", token, signature);
	rows[count++] = must_format("..%s", token);
	rows[count++] = must_format("%s=", token);
	rows[count++] = must_format("%s==", token);
	rows[count++] = must_format(" %s", token);
	rows[count++] = must_format("%s ", token);
	rows[count++] = must_format("%s\n", token);
	rows[count++] = must_format("%.*s", (int)(signature - token), token);
	rows[count++] = must_format("%.*s", (int)(signature - 1 - token), token);
	rows[count++] = must_format("%.*s=.%s", (int)(payload - 1 - token), token, payload);
	rows[count++] = must_format("%.*s=.%s", (int)(signature - 1 - token), token, signature);
	rows[count++] = must_format("%.*s.", (int)(payload - 1 - token), token);
	rows[count++] = must_strdup("..");
	rows[count++] = must_strdup(".");
	for (size_t i = 0; i < count; i++) {
		row_check(rows[i], check(rows[i]) != TOKEN_OK);
		free(rows[i]);
	}
	assert_int_equal(check(""), TOKEN_MALFORMED);
	free(token);
}

static void size_has_an_end(void **state)
{
	enum { JUNK = 65536 };
	char *junk = must_alloc(JUNK), *token = sign_str(good_header, good_payload);

	(void)state;
	memset(junk, 'A', JUNK);
	assert_int_equal(check_at(junk, JUNK, secret, NOW_S), TOKEN_MALFORMED);
	memset(junk, '.', JUNK);
	assert_int_equal(check_at(junk, JUNK, secret, NOW_S), TOKEN_MALFORMED);
	assert_int_equal(check_at(junk, TOKEN_SIZE_MAX, secret, NOW_S), TOKEN_MALFORMED);
	/* Valid, but for its size. */
	{
		char *padded = must_format("{\"alg\":\"HS256\",\"x\":\"%0*d\"}", TOKEN_SIZE_MAX, 0);
		char *large = sign_str(padded, good_payload);

		assert_int_equal(check(large), TOKEN_MALFORMED);
		free(padded);
		free(large);
	}
	memset(junk, 'A', JUNK);
	memcpy(junk, token, strlen(token));
	assert_int_equal(check_at(junk, JUNK, secret, NOW_S), TOKEN_MALFORMED);
	free(token);
	free(junk);
}

/* Random bytes in the three parts: never accepted, never a crash. */
static void junk_in_three_parts(void **state)
{
	unsigned seed = 20251120;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[128];
		size_t size = (size_t)(rand_r(&seed) % (int)sizeof text);

		for (size_t i = 0; i < size; i++) {
			int r = rand_r(&seed);

			text[i] = r % 9 == 0 ? '.' : (char)(r >> 8);
		}
		assert_int_not_equal(check_at(text, size, secret, NOW_S), TOKEN_OK);
	}
}

static void results_have_words(void **state)
{
	static const char *const words[] = {
	    "ok", "malformed", "bad_algorithm", "bad_signature", "not_yet_valid", "expired"};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++)
		assert_string_equal(token_result_str((enum token_result)i), words[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(made_token_says_what_it_was_told),
	    cmocka_unit_test(longest_names_fit),
	    cmocka_unit_test(sessions_differ),
	    cmocka_unit_test(headers_that_say_otherwise),
	    cmocka_unit_test(claims_that_are_wrong),
	    cmocka_unit_test(embedded_nul),
	    cmocka_unit_test(wrong_key),
	    cmocka_unit_test(cut_at_every_byte),
	    cmocka_unit_test(changed_at_every_byte),
	    cmocka_unit_test(forms_that_are_none),
	    cmocka_unit_test(size_has_an_end),
	    cmocka_unit_test(junk_in_three_parts),
	    cmocka_unit_test(results_have_words),
	};

	return unit_run(tests);
}
