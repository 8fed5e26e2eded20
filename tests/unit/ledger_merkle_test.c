/* ledger_merkle_test - RFC 6962's trees: the known answers of certificate transparency, every
 * place of every small tree, and paths that were tampered with. */
#include "tests/unit/unit.h"

#include "common/bytes.h"
#include "ledger/merkle.h"

/* The leaves and roots that certificate transparency's own tests use. */
static const struct {
	const char *data, *root; /* of this leaf and all before it */
} known[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static struct digest known_leaf(size_t index)
{
	size_t size = strlen(known[index].data) / 2;
	uint8_t data[16];

	assert_true(hex_decode(data, size, known[index].data));
	return merkle_leaf(data, size);
}

static bool is_hex(const struct digest *digest, const char *hex)
{
	char text[2 * DIGEST_SIZE + 1];

	return strcmp(hex_encode(text, digest->bytes, DIGEST_SIZE), hex) == 0;
}

static void test_known_roots(void **state)
{
	struct merkle tree = {.count = 0};
	struct digest root = merkle_root(&tree);

	(void)state;
	row_check("nothing",
	    is_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	for (size_t i = 0; i < COUNT(known); i++) {
		struct digest leaf = known_leaf(i);

		merkle_add(&tree, &leaf);
		root = merkle_root(&tree);
		row_check(known[i].data, is_hex(&root, known[i].root));
	}
}

/* RFC 6962 section 2.1.3: the paths it spells out, by names of its figure. */
static void test_known_paths(void **state)
{
	struct digest leaves[7];
	struct merkle_path path;

	(void)state;
	for (size_t i = 0; i < COUNT(leaves); i++)
		leaves[i] = known_leaf(i);
	merkle_path(&path, leaves, 7, 0); /* [b, h, l] */
	assert_int_equal(path.count, 3);
	assert_memory_equal(path.nodes[0].bytes, leaves[1].bytes, DIGEST_SIZE);
	merkle_path(&path, leaves, 7, 3); /* [c, g, l] */
	assert_int_equal(path.count, 3);
	assert_memory_equal(path.nodes[0].bytes, leaves[2].bytes, DIGEST_SIZE);
	row_check("g", is_hex(&path.nodes[1], known[1].root));
	merkle_path(&path, leaves, 7, 6); /* [i, k] */
	assert_int_equal(path.count, 2);
	row_check("k", is_hex(&path.nodes[1], known[3].root));
}

struct grove {
	struct digest leaves[70], root;
	uint64_t count;
};

static void grow(struct grove *out, uint64_t count)
{
	struct merkle tree = {.count = 0};

	out->count = count;
	for (uint64_t i = 0; i < count; i++) {
		out->leaves[i] = merkle_leaf(&i, sizeof(i));
		merkle_add(&tree, &out->leaves[i]);
	}
	out->root = merkle_root(&tree);
}

static void test_every_place(void **state)
{
	struct merkle_path path;
	struct grove grove;

	(void)state;
	for (uint64_t count = 1; count <= COUNT(grove.leaves); count++) {
		grow(&grove, count);
		for (uint64_t i = 0; i < count; i++) {
			merkle_path(&path, grove.leaves, count, i);
			assert_true(
			    merkle_path_holds(&path, &grove.leaves[i], i, count, &grove.root));
			/* Nowhere else, and no other leaf there. */
			for (uint64_t other = 0; other <= count; other++) {
				if (other == i)
					continue;
				assert_false(merkle_path_holds(
				    &path, &grove.leaves[i], other, count, &grove.root));
				if (other < count)
					assert_false(merkle_path_holds(
					    &path, &grove.leaves[other], i, count, &grove.root));
			}
		}
	}
}

static void test_tampered_paths(void **state)
{
	struct merkle_path path, bent;
	struct grove grove;

	(void)state;
	grow(&grove, 21);
	for (uint64_t i = 0; i < grove.count; i++) {
		merkle_path(&path, grove.leaves, grove.count, i);
		for (size_t node = 0; node < path.count; node++) {
			bent = path;
			bent.nodes[node].bytes[node % DIGEST_SIZE] ^= 1;
			assert_false(merkle_path_holds(
			    &bent, &grove.leaves[i], i, grove.count, &grove.root));
		}
		bent = path;
		bent.count--;
		assert_false(
		    merkle_path_holds(&bent, &grove.leaves[i], i, grove.count, &grove.root));
		bent = path;
		bent.nodes[bent.count++] = grove.root;
		assert_false(
		    merkle_path_holds(&bent, &grove.leaves[i], i, grove.count, &grove.root));
		bent = path;
		grove.root.bytes[0] ^= 1;
		assert_false(
		    merkle_path_holds(&bent, &grove.leaves[i], i, grove.count, &grove.root));
		grove.root.bytes[0] ^= 1;
	}
}

/* A node passed off as a leaf: what the prefixes are for. */
static void test_node_is_no_leaf(void **state)
{
	struct merkle_path path, shorter;
	struct digest inner;
	struct grove grove;
	struct merkle half = {.count = 0};

	(void)state;
	grow(&grove, 4);
	merkle_path(&path, grove.leaves, 4, 0);
	merkle_add(&half, &grove.leaves[0]);
	merkle_add(&half, &grove.leaves[1]);
	inner = merkle_root(&half);
	shorter.nodes[0] = path.nodes[1];
	shorter.count = 1;
	assert_false(merkle_path_holds(&shorter, &inner, 0, 4, &grove.root));
	/* Of a tree of two it would be: so the count must come from where the root does. */
	assert_true(merkle_path_holds(&shorter, &inner, 0, 2, &grove.root));
}

static void test_empty_has_no_places(void **state)
{
	struct merkle tree = {.count = 0};
	struct merkle_path path = {.count = 0};
	struct digest root = merkle_root(&tree), leaf = merkle_leaf("", 0);

	(void)state;
	assert_false(merkle_path_holds(&path, &leaf, 0, 0, &root));
	assert_false(merkle_path_holds(&path, &root, 0, 0, &root));
	assert_aborts(merkle_path(&path, &leaf, 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_roots),
	    cmocka_unit_test(test_known_paths),
	    cmocka_unit_test(test_every_place),
	    cmocka_unit_test(test_tampered_paths),
	    cmocka_unit_test(test_node_is_no_leaf),
	    cmocka_unit_test(test_empty_has_no_places),
	};

	return unit_run(tests);
}
