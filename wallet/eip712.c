/* wallet/eip712.c - typed data hashing, the part every token shares. */
#include "wallet/eip712.h"

#include <stdbool.h>
#include <string.h>

#include "common/uint256.h"

static const char domain_type[] =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
static const char domain_type_no_version[] =
    "EIP712Domain(string name,uint256 chainId,address verifyingContract)";
static const char domain_type_no_contract[] =
    "EIP712Domain(string name,string version,uint256 chainId)";
static const char domain_type_bare[] = "EIP712Domain(string name,uint256 chainId)";

static const char *domain_type_of(bool version, bool contract)
{
	if (contract)
		return version ? domain_type : domain_type_no_version;
	return version ? domain_type_no_contract : domain_type_bare;
}

void eip712_put_address(uint8_t word[EIP712_WORD_SIZE], const struct address *address)
{
	memset(word, 0, EIP712_WORD_SIZE - ADDRESS_SIZE);
	memcpy(word + EIP712_WORD_SIZE - ADDRESS_SIZE, address->bytes, ADDRESS_SIZE);
}

void eip712_put_u64(uint8_t word[EIP712_WORD_SIZE], uint64_t value)
{
	struct uint256 wide = uint256_of(value);

	memcpy(word, wide.be, EIP712_WORD_SIZE);
}

void eip712_put_hash(uint8_t word[EIP712_WORD_SIZE], const char *text)
{
	struct digest hash = keccak256(text, strlen(text));

	memcpy(word, hash.bytes, EIP712_WORD_SIZE);
}

struct digest eip712_domain(const char *name, const char *version, uint64_t chain_id,
    const struct address *contract)
{
	uint8_t words[5][EIP712_WORD_SIZE];
	size_t count = 0;

	eip712_put_hash(words[count++], domain_type_of(version != NULL, contract != NULL));
	eip712_put_hash(words[count++], name);
	if (version != NULL)
		eip712_put_hash(words[count++], version);
	eip712_put_u64(words[count++], chain_id);
	if (contract != NULL)
		eip712_put_address(words[count++], contract);
	return keccak256(words, count * EIP712_WORD_SIZE);
}

struct digest eip712_digest(const struct digest *domain_separator,
    const struct digest *struct_hash)
{
	uint8_t message[2 + 2 * DIGEST_SIZE] = {0x19, 0x01};

	memcpy(message + 2, domain_separator->bytes, DIGEST_SIZE);
	memcpy(message + 2 + DIGEST_SIZE, struct_hash->bytes, DIGEST_SIZE);
	return keccak256(message, sizeof(message));
}
