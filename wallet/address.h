/* wallet/address.h - 20-byte EVM addresses and their EIP-55 text. */
#ifndef WALLET_ADDRESS_H
#define WALLET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

#define ADDRESS_SIZE      20
#define ADDRESS_TEXT_SIZE 43 /* "0x", 40 digits, NUL */

struct address {
	uint8_t bytes[ADDRESS_SIZE];
};

/** "0x" and 40 hex digits of any case; mixed case must pass the EIP-55 check.
 * False, *out untouched, on anything else. */
bool address_parse(struct address *out, const char *text) MUST_CHECK;
/** The same of a text that we wrote ourselves: its EIP-55 check, a hash, is not repeated. */
bool address_read(struct address *out, const char *text) MUST_CHECK;
/** EIP-55 checksummed text; returns text. */
const char *address_format(char text[ADDRESS_TEXT_SIZE], const struct address *address);
/** Lower-case text, as policies and meters key it. */
const char *address_format_lower(char text[ADDRESS_TEXT_SIZE], const struct address *address);
bool address_equal(const struct address *a, const struct address *b);
bool address_is_zero(const struct address *address);

#endif
