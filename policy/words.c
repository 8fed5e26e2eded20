/* policy/words.c - patterns, networks, symbols, addresses. */
#include "policy/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/digest.h"

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool has_space(const char *text)
{
	return strpbrk(text, " \t\r\n\v\f") != NULL;
}

const char *words_check_pattern(const char *text)
{
	if (*text == '\0')
		return "the tool pattern is empty";
	return has_space(text) ? "a tool pattern has no spaces" : NULL;
}

const char *words_check_network(const char *text)
{
	const size_t space = strspn(text, LOWER DIGITS "-");
	size_t reference;

	if (space < 3 || space > 8 || text[space] != ':')
		return "not a network id such as \"eip155:84532\"";
	reference = strspn(text + space + 1, LOWER UPPER DIGITS "-_");
	if (reference < 1 || reference > 32 || text[space + 1 + reference] != '\0')
		return "not a network id such as \"eip155:84532\"";
	return NULL;
}

const char *words_check_symbol(const char *text)
{
	return has_space(text) ? "not a token symbol such as \"USDC\"" : NULL;
}

/* EIP-55: a letter is upper case where the Keccak of the lower-case digits has a
 * high nibble. lower and text are the 40 digits. */
static bool checksum_ok(const char *lower, const char *text)
{
	const struct digest digest = keccak256(lower, 40);

	for (size_t i = 0; i < 40; i++) {
		const unsigned nibble = digest.bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xf;
		const bool is_letter = lower[i] >= 'a';
		const bool is_upper = text[i] != lower[i];

		if (is_letter && is_upper != (nibble >= 8))
			return false;
	}
	return true;
}

const char *words_check_address(char out[WORDS_ADDRESS_SIZE], const char *text)
{
	uint8_t bytes[20];
	char lower[WORDS_ADDRESS_SIZE];
	bool is_mixed;

	if (strlen(text) != WORDS_ADDRESS_SIZE - 1 || !hex_decode(bytes, sizeof(bytes), text))
		return "not an address: 0x and 40 hex digits";
	hex_encode_0x(lower, bytes, sizeof(bytes));
	is_mixed = strpbrk(text + 2, LOWER) != NULL && strpbrk(text + 2, UPPER) != NULL;
	if (is_mixed && !checksum_ok(lower + 2, text + 2))
		return "the address fails its EIP-55 check; look for a typing error";
	memcpy(out, lower, sizeof(lower));
	return NULL;
}
