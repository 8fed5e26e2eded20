/* ledger/merkle.c - see merkle.h. */
#include "ledger/merkle.h"

#include <stdlib.h>
#include <string.h>

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

struct digest merkle_leaf(const void *data, size_t size)
{
	static const uint8_t prefix = LEAF_PREFIX;
	struct sha256 *running = sha256_new();

	sha256_add(running, &prefix, 1);
	if (size != 0)
		sha256_add(running, data, size);
	return sha256_done(&running);
}

static struct digest node_of(const struct digest *left, const struct digest *right)
{
	uint8_t bytes[1 + 2 * DIGEST_SIZE] = {NODE_PREFIX};

	memcpy(bytes + 1, left->bytes, DIGEST_SIZE);
	memcpy(bytes + 1 + DIGEST_SIZE, right->bytes, DIGEST_SIZE);
	return sha256(bytes, sizeof(bytes));
}

/* As in a binary counter: bit n of count set means that nodes[n] is the root of a full
 * tree of 2^n leaves, the larger ones to the left. */
void merkle_add(struct merkle *tree, const struct digest *leaf)
{
	struct digest carried = *leaf;
	unsigned level = 0;

	for (; (tree->count >> level & 1) != 0; level++)
		carried = node_of(&tree->nodes[level], &carried);
	tree->nodes[level] = carried;
	tree->count++;
}

struct digest merkle_root(const struct merkle *tree)
{
	struct digest root;
	bool any = false;

	if (tree->count == 0)
		return sha256("", 0);
	for (unsigned level = 0; level <= MERKLE_PATH_MAX && tree->count >> level != 0; level++) {
		if ((tree->count >> level & 1) == 0)
			continue;
		root = any ? node_of(&tree->nodes[level], &root) : tree->nodes[level];
		any = true;
	}
	return root;
}

/* The neighbours of index, level by level. A node without a neighbour moves up as it is. */
void merkle_path(
    struct merkle_path *out, const struct digest *leaves, uint64_t count, uint64_t index)
{
	struct digest *level = must_alloc(count * sizeof(*level));

	must(index < count);
	memcpy(level, leaves, count * sizeof(*level));
	out->count = 0;
	for (; count > 1; count = (count + 1) / 2, index /= 2) {
		if ((index ^ 1) < count)
			out->nodes[out->count++] = level[index ^ 1];
		for (uint64_t i = 0; i < count / 2; i++)
			level[i] = node_of(&level[2 * i], &level[2 * i + 1]);
		if (count % 2 == 1)
			level[count / 2] = level[count - 1];
	}
	free(level);
}

bool merkle_path_holds(const struct merkle_path *path, const struct digest *leaf, uint64_t index,
    uint64_t count, const struct digest *root)
{
	struct digest hash = *leaf;
	size_t used = 0;

	if (index >= count)
		return false;
	for (; count > 1; count = (count + 1) / 2, index /= 2) {
		if ((index ^ 1) >= count)
			continue;
		if (used == path->count)
			return false;
		hash = index % 2 == 1 ? node_of(&path->nodes[used], &hash)
				      : node_of(&hash, &path->nodes[used]);
		used++;
	}
	return used == path->count && memcmp(hash.bytes, root->bytes, DIGEST_SIZE) == 0;
}
