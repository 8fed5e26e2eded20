/* ledger/merkle.h - Merkle trees over row hashes, so that one row can be shown to stand
 * under an anchor without showing the others.
 *
 * Source: RFC 6962 section 2.1, byte for byte: a leaf is SHA-256(0x00 | data), a node
 * SHA-256(0x01 | left | right), the tree of nothing SHA-256 of nothing. */
#ifndef LEDGER_MERKLE_H
#define LEDGER_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"

/* Trees of up to 2^63 leaves: more than ids there are. */
#define MERKLE_PATH_MAX 63u

struct digest merkle_leaf(const void *data, size_t size);

/* A tree that grows leaf by leaf; holds one node a level. Zero-initialise. */
struct merkle {
	struct digest nodes[MERKLE_PATH_MAX + 1];
	uint64_t count;
};

void merkle_add(struct merkle *tree, const struct digest *leaf);
/** Of the leaves so far; more may follow. */
struct digest merkle_root(const struct merkle *tree);

/* From a leaf's neighbour upwards (RFC 6962 "audit path"). */
struct merkle_path {
	struct digest nodes[MERKLE_PATH_MAX];
	size_t count;
};

/** index below count. Takes some 2 * count hashes. */
void merkle_path(
    struct merkle_path *out, const struct digest *leaves, uint64_t count, uint64_t index);

/** True when leaf is the one at index, from 0, of the tree of count leaves with that root.
 * A path of another length than that place has is false, whatever its hashes. */
bool merkle_path_holds(const struct merkle_path *path, const struct digest *leaf, uint64_t index,
    uint64_t count, const struct digest *root) MUST_CHECK;

#endif
