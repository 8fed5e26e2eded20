/* wallet/eip712.h - typed data hashing, the part every token shares.
 *
 * Source: EIP-712. Strings are hashed as their UTF-8 bytes ("USD₮0"). */
#ifndef WALLET_EIP712_H
#define WALLET_EIP712_H

#include <stdint.h>

#include "common/digest.h"
#include "wallet/address.h"

/** The domain separator of (name, version, chain id, contract); a NULL version
 * leaves that member out of the type, as Permit2 does, a NULL contract likewise, as
 * messages do that no contract reads. */
struct digest eip712_domain(const char *name, const char *version, uint64_t chain_id,
    const struct address *contract);

/** keccak256(0x1901 || domain separator || struct hash). */
struct digest eip712_digest(const struct digest *domain_separator,
    const struct digest *struct_hash);

/* One 32-byte word of an encoding: numbers and addresses are right-aligned. */
#define EIP712_WORD_SIZE 32
void eip712_put_address(uint8_t word[EIP712_WORD_SIZE], const struct address *address);
void eip712_put_u64(uint8_t word[EIP712_WORD_SIZE], uint64_t value);
void eip712_put_hash(uint8_t word[EIP712_WORD_SIZE], const char *text);

#endif
