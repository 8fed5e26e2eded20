/* wallet/rlp.h - recursive length prefix, the encoding of Ethereum's transactions.
 *
 * Source: Ethereum Yellow Paper, appendix B. Writing only: what tallyward reads from a chain
 * is JSON. An encoding that does not fit the buffer's ceiling leaves it failed (buf_ok). */
#ifndef WALLET_RLP_H
#define WALLET_RLP_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/uint256.h"

/** A string of bytes; bytes may be NULL when size is 0. */
void rlp_add_bytes(struct buf *out, const void *bytes, size_t size);
/** A number: its big-endian bytes without leading zeros, 0 as the empty string. */
void rlp_add_uint256(struct buf *out, const struct uint256 *value);
void rlp_add_u64(struct buf *out, uint64_t value);
/** A list whose items, each encoded already, are the bytes given. */
void rlp_add_list(struct buf *out, const void *items, size_t size);

#endif
