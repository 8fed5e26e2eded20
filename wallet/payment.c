/* wallet/payment.c - from a chosen option to the exact bytes that are sent. */
#include "wallet/payment.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/json.h"
#include "wallet/eip712.h"
#include "wallet/signer.h"

#define IDENTIFIER_MIN 16
#define IDENTIFIER_MAX 128

/* Numbers leave as the same double they came in as. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17))
/* And some of them longer: "0.1" as 0.10000000000000001, so that a challenge of nothing else is
 * five times as long. */
#define ECHO_SIZE_MAX (8u * CHALLENGE_SIZE_MAX)
/* Two addresses, a nonce, a signature, three numbers, and their names. */
#define PAYLOAD_SIZE_MAX 1024u

/* EIP-3009's TRANSFER_WITH_AUTHORIZATION_TYPEHASH, the Keccak-256 of "TransferWithAuthorization("
 * "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)". */
static const uint8_t authorization_typehash[EIP712_WORD_SIZE] = {
	0x7c, 0x7c, 0x6c, 0xdb, 0x67, 0xa1, 0x87, 0x43, 0xf4, 0x9e, 0xc6, 0xfa, 0x9b, 0x35, 0xf5,
	0x0d, 0x52, 0xed, 0x05, 0xcb, 0xed, 0x4c, 0xc5, 0x92, 0xe1, 0x3b, 0x44, 0x50, 0x1c, 0x1a,
	0x22, 0x67};

struct digest authorization_digest(const struct authorization *authorization,
    const struct digest *domain_separator)
{
	uint8_t words[7][EIP712_WORD_SIZE];
	struct digest hash;

	memcpy(words[0], authorization_typehash, EIP712_WORD_SIZE);
	eip712_put_address(words[1], &authorization->from);
	eip712_put_address(words[2], &authorization->to);
	memcpy(words[3], authorization->value.be, EIP712_WORD_SIZE);
	eip712_put_u64(words[4], authorization->valid_after_s);
	eip712_put_u64(words[5], authorization->valid_before_s);
	memcpy(words[6], authorization->nonce, EIP712_WORD_SIZE);
	hash = keccak256(words, sizeof(words));
	return eip712_digest(domain_separator, &hash);
}

/* "key":"value", with what stands in front; digits and "0x" all of it, so nothing to escape. */
static void add_plain(struct buf *text, const char *key, const char *value)
{
	buf_add_str(text, key);
	buf_add_str(text, "\":\"");
	buf_add_str(text, value);
}

static void add_payload(struct buf *text, const struct payment *payment)
{
	const struct authorization *authorization = &payment->authorization;
	char number[UINT256_TEXT_SIZE], hex[2 * KEYSTORE_SIGNATURE_SIZE + 3];

	add_plain(text, "\"payload\":{\"authorization\":{\"from", payment->payer_text);
	add_plain(text, "\",\"to", payment->payee_text);
	add_plain(text, "\",\"value", uint256_format(number, &authorization->value));
	add_plain(text, "\",\"validAfter",
	    decimal_encode(number, (int64_t)authorization->valid_after_s));
	add_plain(text, "\",\"validBefore",
	    decimal_encode(number, (int64_t)authorization->valid_before_s));
	add_plain(text, "\",\"nonce",
	    hex_encode_0x(hex, authorization->nonce, AUTHORIZATION_NONCE_SIZE));
	add_plain(text, "\"},\"signature",
	    hex_encode_0x(hex, payment->signature, KEYSTORE_SIGNATURE_SIZE));
	buf_add_str(text, "\"}");
}

static int dump_to_buf(const char *bytes, size_t size, void *buf)
{
	buf_add(buf, bytes, size);
	return 0;
}

static void add_member(struct buf *text, const char *key, const json_t *value)
{
	buf_add_format(text, "\"%s\":", key);
	must(json_dump_callback(value, dump_to_buf, text, DUMP_FLAGS) == 0);
}

static bool is_identifier(const char *text)
{
	size_t length = text != NULL ? strlen(text) : 0;

	return length >= IDENTIFIER_MIN && length <= IDENTIFIER_MAX &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
	    length;
}

/* Is payment-identifier among the seller's extensions, and its id left to us? */
static bool wants_identifier(const json_t *extensions)
{
	const json_t *extension = json_member(extensions, "payment-identifier");
	const json_t *info = json_member(extension, "info");

	return json_is_object(extension) &&
	    (info == NULL || (json_is_object(info) && json_member(info, "id") == NULL));
}

/* A copy of the seller's extensions, all of them, with our id. */
static json_t *extensions_with(const json_t *received, const char *identifier)
{
	json_t *extensions = json_deep_copy(received);
	json_t *extension = json_member(extensions, "payment-identifier");
	json_t *info = json_member(extension, "info");

	if (info == NULL) {
		info = json_object();
		must(json_object_set_new(extension, "info", info) == 0);
	}
	must(json_object_set_new(info, "id", json_string(identifier)) == 0);
	return extensions;
}

/* What a payment repeats of its challenge. */
static char *echo_of(const struct challenge *challenge, const struct requirement *option,
    const json_t *extensions)
{
	struct buf text;

	buf_init(&text, ECHO_SIZE_MAX);
	if (challenge->resource != NULL) {
		add_member(&text, "resource", challenge->resource);
		buf_add_str(&text, ",");
	}
	add_member(&text, "accepted", option->json);
	if (extensions != NULL) {
		buf_add_str(&text, ",");
		add_member(&text, "extensions", extensions);
	}
	must(buf_ok(&text));
	return buf_take(&text);
}

static void add_echo(struct buf *text, struct payment *payment, const struct challenge *challenge,
    struct requirement *option, const char *identifier)
{
	if (wants_identifier(challenge->extensions) && is_identifier(identifier)) {
		json_t *extensions = extensions_with(challenge->extensions, identifier);
		char *echo = echo_of(challenge, option, extensions);

		payment->identifier = must_strdup(identifier);
		buf_add_str(text, echo);
		free(echo);
		json_decref(extensions);
		return;
	}
	if (option->echo == NULL)
		option->echo = echo_of(challenge, option, challenge->extensions);
	buf_add_str(text, option->echo);
}

/* The order of members is the one of the published clients. */
static void encode(struct payment *payment, struct challenge *challenge,
    struct requirement *option, const char *identifier)
{
	struct buf text;

	buf_init(&text, PAYLOAD_SIZE_MAX + ECHO_SIZE_MAX);
	if (payment->version == 2) {
		payment->header_name = "PAYMENT-SIGNATURE";
		buf_add_str(&text, "{\"x402Version\":2,");
		add_payload(&text, payment);
		buf_add_str(&text, ",");
		add_echo(&text, payment, challenge, option, identifier);
	} else {
		payment->header_name = "X-PAYMENT";
		buf_add_str(&text, "{\"x402Version\":1,");
		add_member(&text, "scheme", json_member(option->json, "scheme"));
		buf_add_str(&text, ",");
		add_member(&text, "network", json_member(option->json, "network"));
		buf_add_str(&text, ",");
		add_payload(&text, payment);
	}
	buf_add_str(&text, "}");
	must(buf_ok(&text));
	payment->header_value = base64_encode(text.data, text.size);
	buf_fini(&text);
}

enum keystore_result payment_sign(struct payment **out, struct keystore *keystore,
    const char *agent, const struct address *payer, struct challenge *challenge,
    const struct choice *choice, int64_t now_s, int64_t authorization_s_max,
    const uint8_t nonce[AUTHORIZATION_NONCE_SIZE], const char *identifier)
{
	struct requirement *option;
	struct authorization *authorization;
	enum keystore_result result;
	struct payment *payment;
	struct digest digest;
	int64_t valid_s;

	must(choice->found && choice->position < challenge->option_count);
	must(now_s > 0 && authorization_s_max > 0);
	option = &challenge->options[choice->position];
	valid_s = option->timeout_s;
	if (valid_s > authorization_s_max)
		valid_s = authorization_s_max;
	payment = must_calloc(1, sizeof(*payment));
	payment->version = challenge->version;
	authorization = &payment->authorization;
	authorization->to = choice->payee;
	authorization->value = choice->value;
	authorization->valid_before_s = (uint64_t)(now_s + valid_s);
	memcpy(authorization->nonce, nonce, AUTHORIZATION_NONCE_SIZE);
	authorization->from = *payer;
	memcpy(payment->payee_text, choice->payee_text, sizeof(payment->payee_text));
	digest = authorization_digest(authorization, &choice->asset->domain_separator);
	result = keystore_sign_as(
	    payment->signature, payment->payer_text, keystore, agent, payer, &digest);
	if (result != KEYSTORE_OK) {
		payment_free(&payment);
		return result;
	}
	encode(payment, challenge, option, identifier);
	*out = payment;
	return KEYSTORE_OK;
}

void payment_free(struct payment **payment)
{
	if (*payment == NULL)
		return;
	free((*payment)->header_value);
	free((*payment)->identifier);
	free(*payment);
	*payment = NULL;
}

/* Seconds as they stand in an authorization: decimal text below 2^64. */
static bool read_seconds(uint64_t *out, const json_t *object, const char *key)
{
	struct uint256 value, again;
	uint64_t seconds = 0;

	if (!uint256_parse(&value, json_str(object, key)))
		return false;
	for (size_t i = 24; i < sizeof(value.be); i++)
		seconds = seconds << 8 | value.be[i];
	again = uint256_of(seconds);
	if (uint256_cmp(&again, &value) != 0)
		return false;
	*out = seconds;
	return true;
}

static bool read_header(struct payment_header *out, const json_t *root)
{
	const json_t *version = json_member(root, "x402Version");
	const json_t *payload = json_member(root, "payload");
	const json_t *claims = json_member(payload, "authorization");
	struct authorization *authorization = &out->authorization;

	if (!json_is_integer(version) || json_integer_value(version) < 1 ||
	    json_integer_value(version) > 2)
		return false;
	out->version = (int)json_integer_value(version);
	return address_parse(&authorization->from, json_str(claims, "from")) &&
	    address_parse(&authorization->to, json_str(claims, "to")) &&
	    uint256_parse(&authorization->value, json_str(claims, "value")) &&
	    read_seconds(&authorization->valid_after_s, claims, "validAfter") &&
	    read_seconds(&authorization->valid_before_s, claims, "validBefore") &&
	    hex_decode(authorization->nonce, sizeof(authorization->nonce),
		json_str(claims, "nonce")) &&
	    hex_decode(out->signature, sizeof(out->signature), json_str(payload, "signature"));
}

bool payment_header_read(struct payment_header *out, const char *value)
{
	struct payment_header header = {.version = 0};
	struct json_error error;
	uint8_t *text = NULL;
	json_t *root = NULL;
	size_t size;
	bool ok;

	if (value == NULL ||
	    !base64_decode(&text, &size, value, strlen(value), PAYMENT_HEADER_SIZE_MAX))
		return false;
	root = json_read(&error, (const char *)text, size, PAYMENT_HEADER_SIZE_MAX);
	ok = root != NULL && read_header(&header, root);
	json_decref(root);
	free(text);
	if (ok)
		*out = header;
	return ok;
}

bool payment_header_signer(struct address *out, const struct payment_header *header,
    const struct digest *domain_separator)
{
	struct digest digest = authorization_digest(&header->authorization, domain_separator);

	return signer_recover(out, NULL, header->signature, &digest);
}
