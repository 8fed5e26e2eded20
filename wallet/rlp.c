/* wallet/rlp.c - recursive length prefix, the encoding of Ethereum's transactions. */
#include "wallet/rlp.h"

/* Up to this length the prefix is one byte, base + length; beyond, base + 55 + the number of
 * bytes of the length, and the length itself. */
#define SHORT_MAX   55u
#define STRING_BASE 0x80u
#define LIST_BASE   0xc0u

static void add_prefix(struct buf *out, unsigned base, size_t size)
{
	uint8_t prefix[1 + sizeof(size)];
	size_t count = 0, rest, at;

	if (size <= SHORT_MAX) {
		prefix[0] = (uint8_t)(base + size);
		buf_add(out, prefix, 1);
		return;
	}
	for (rest = size; rest != 0; rest >>= 8)
		count++;
	prefix[0] = (uint8_t)(base + SHORT_MAX + count);
	for (at = count, rest = size; at > 0; at--, rest >>= 8)
		prefix[at] = (uint8_t)rest;
	buf_add(out, prefix, 1 + count);
}

void rlp_add_bytes(struct buf *out, const void *bytes, size_t size)
{
	const uint8_t *first = bytes;

	/* A byte below 0x80 is its own encoding. */
	if (size != 1 || *first >= STRING_BASE)
		add_prefix(out, STRING_BASE, size);
	if (size > 0)
		buf_add(out, bytes, size);
}

void rlp_add_uint256(struct buf *out, const struct uint256 *value)
{
	size_t zeros = 0;

	while (zeros < sizeof(value->be) && value->be[zeros] == 0)
		zeros++;
	rlp_add_bytes(out, value->be + zeros, sizeof(value->be) - zeros);
}

void rlp_add_u64(struct buf *out, uint64_t value)
{
	struct uint256 wide = uint256_of(value);

	rlp_add_uint256(out, &wide);
}

void rlp_add_list(struct buf *out, const void *items, size_t size)
{
	add_prefix(out, LIST_BASE, size);
	if (size > 0)
		buf_add(out, items, size);
}
