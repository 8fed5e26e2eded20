/* wallet/address.c - EIP-55: the case of each letter is a bit of the hash of the
 * lower-case text, so a mistyped mixed-case address is told apart. */
#include "wallet/address.h"

#include <string.h>

#include "common/bytes.h"
#include "common/digest.h"

#define DIGITS (2 * ADDRESS_SIZE)

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'F';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'f';
}

const char *address_format_lower(char text[ADDRESS_TEXT_SIZE], const struct address *address)
{
	return hex_encode_0x(text, address->bytes, ADDRESS_SIZE);
}

const char *address_format(char text[ADDRESS_TEXT_SIZE], const struct address *address)
{
	struct digest hash;
	int i;

	address_format_lower(text, address);
	hash = keccak256(text + 2, DIGITS);
	for (i = 0; i < DIGITS; i++) {
		unsigned nibble = hash.bytes[i / 2] >> (i % 2 ? 0 : 4) & 15;

		if (nibble >= 8 && is_lower(text[2 + i]))
			text[2 + i] = (char)(text[2 + i] - 'a' + 'A');
	}
	return text;
}

bool address_read(struct address *out, const char *text)
{
	struct address address;

	if (strlen(text) != 2 + DIGITS || strncmp(text, "0x", 2) != 0 ||
	    !hex_decode(address.bytes, ADDRESS_SIZE, text))
		return false;
	*out = address;
	return true;
}

bool address_parse(struct address *out, const char *text)
{
	struct address address;
	char checked[ADDRESS_TEXT_SIZE];
	bool upper = false, lower = false;
	int i;

	if (text == NULL || !address_read(&address, text))
		return false;
	for (i = 2; i < 2 + DIGITS; i++) {
		upper |= is_upper(text[i]);
		lower |= is_lower(text[i]);
	}
	if (upper && lower && strcmp(address_format(checked, &address), text) != 0)
		return false;
	*out = address;
	return true;
}

bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(a->bytes, b->bytes, ADDRESS_SIZE) == 0;
}

bool address_is_zero(const struct address *address)
{
	static const struct address zero;

	return address_equal(address, &zero);
}
