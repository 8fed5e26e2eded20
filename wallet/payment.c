/* wallet/payment.c - from a chosen option to the exact bytes that are sent. */
#include "wallet/payment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "wallet/eip712.h"
#include "wallet/signer.h"

#define IDENTIFIER_MIN 16
#define IDENTIFIER_MAX 128
#define SECONDS_SIZE   21 /* any uint64 */

/* Numbers leave as the same double they came in as. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(17))

static const char authorization_type[] =
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
    "uint256 validBefore,bytes32 nonce)";

struct digest authorization_digest(const struct authorization *authorization,
    const struct digest *domain_separator)
{
	uint8_t words[7][EIP712_WORD_SIZE];
	struct digest hash;

	eip712_put_hash(words[0], authorization_type);
	eip712_put_address(words[1], &authorization->from);
	eip712_put_address(words[2], &authorization->to);
	memcpy(words[3], authorization->value.be, EIP712_WORD_SIZE);
	eip712_put_u64(words[4], authorization->valid_after_s);
	eip712_put_u64(words[5], authorization->valid_before_s);
	memcpy(words[6], authorization->nonce, EIP712_WORD_SIZE);
	hash = keccak256(words, sizeof(words));
	return eip712_digest(domain_separator, &hash);
}

static void set(json_t *object, const char *key, json_t *value)
{
	must(json_object_set_new(object, key, value) == 0);
}

static json_t *payload_json(const struct payment *payment)
{
	const struct authorization *authorization = &payment->authorization;
	char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE], value[UINT256_TEXT_SIZE];
	char after[SECONDS_SIZE], before[SECONDS_SIZE];
	char nonce[2 * AUTHORIZATION_NONCE_SIZE + 3], signature[2 * KEYSTORE_SIGNATURE_SIZE + 3];
	json_t *payload;

	snprintf(after, sizeof(after), "%" PRIu64, authorization->valid_after_s);
	snprintf(before, sizeof(before), "%" PRIu64, authorization->valid_before_s);
	payload = json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s}", "authorization",
	    "from", address_format(from, &authorization->from),
	    "to", address_format(to, &authorization->to),
	    "value", uint256_format(value, &authorization->value),
	    "validAfter", after,
	    "validBefore", before,
	    "nonce", hex_encode_0x(nonce, authorization->nonce, AUTHORIZATION_NONCE_SIZE),
	    "signature", hex_encode_0x(signature, payment->signature, KEYSTORE_SIGNATURE_SIZE));
	must(payload != NULL);
	return payload;
}

static bool is_identifier(const char *text)
{
	size_t length = text != NULL ? strlen(text) : 0;

	return length >= IDENTIFIER_MIN && length <= IDENTIFIER_MAX &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
	    length;
}

/* A copy of the seller's extensions, all of them; where payment-identifier is among
 * them and leaves its id to us, ours is added. */
static json_t *extensions_json(struct payment *payment, const json_t *received,
    const char *identifier)
{
	json_t *extensions = json_deep_copy(received);
	json_t *extension, *info;

	must(extensions != NULL);
	extension = json_member(extensions, "payment-identifier");
	if (!json_is_object(extension) || !is_identifier(identifier))
		return extensions;
	info = json_member(extension, "info");
	if (info == NULL) {
		info = json_object();
		set(extension, "info", info);
	}
	if (!json_is_object(info) || json_member(info, "id") != NULL)
		return extensions;
	set(info, "id", json_string(identifier));
	payment->identifier = must_strdup(identifier);
	return extensions;
}

/* The order of members is the one of the published client. */
static json_t *v2_json(struct payment *payment, const struct challenge *challenge,
    const struct requirement *option, const char *identifier)
{
	json_t *root = json_object();

	set(root, "x402Version", json_integer(2));
	set(root, "payload", payload_json(payment));
	if (challenge->resource != NULL)
		set(root, "resource", json_deep_copy(challenge->resource));
	set(root, "accepted", json_deep_copy(option->json));
	if (challenge->extensions != NULL)
		set(root, "extensions",
		    extensions_json(payment, challenge->extensions, identifier));
	return root;
}

static json_t *v1_json(const struct payment *payment, const struct requirement *option)
{
	json_t *root = json_object();

	set(root, "x402Version", json_integer(1));
	set(root, "scheme", json_string(option->scheme));
	set(root, "network", json_string(option->network));
	set(root, "payload", payload_json(payment));
	return root;
}

static void encode(struct payment *payment, const struct challenge *challenge,
    const struct requirement *option, const char *identifier)
{
	bool v2 = payment->version == 2;
	json_t *root = v2 ? v2_json(payment, challenge, option, identifier) :
			    v1_json(payment, option);
	char *text = json_dumps(root, DUMP_FLAGS);

	must(text != NULL);
	payment->header_name = v2 ? "PAYMENT-SIGNATURE" : "X-PAYMENT";
	payment->header_value = base64_encode(text, strlen(text));
	free(text);
	json_decref(root);
}

enum keystore_result payment_sign(struct payment **out, struct keystore *keystore,
    const char *agent, const struct address *payer, const struct challenge *challenge,
    const struct choice *choice, int64_t now_s, int64_t authorization_s_max,
    const uint8_t nonce[AUTHORIZATION_NONCE_SIZE], const char *identifier)
{
	const struct requirement *option;
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
	digest = authorization_digest(authorization, &choice->asset->domain_separator);
	result = keystore_sign_as(payment->signature, keystore, agent, payer, &digest);
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
