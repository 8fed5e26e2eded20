/* tests/unit/wallet_fixture.h - vectors, addresses and challenges for wallet's tests. */
#ifndef TESTS_UNIT_WALLET_FIXTURE_H
#define TESTS_UNIT_WALLET_FIXTURE_H

#include <jansson.h>

#include "common/bytes.h"
#include "tests/unit/unit.h"
#include "wallet/address.h"

/* The first key of the well-known development mnemonic, and its address. */
#define DEV_KEY     "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
#define DEV_ADDRESS "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

#define BASE_SEPOLIA_USDC "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define PAYEE             "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"

/* A file of tests/vectors; the caller drops the reference. */
static inline json_t *vectors_load(const char *name)
{
	char path[1024];
	json_error_t error;
	json_t *root;

	snprintf(path, sizeof(path), "%s/tests/vectors/%s", TEST_SRCDIR, name);
	root = json_load_file(path, 0, &error);
	if (root == NULL)
		fail_msg("%s: %s", path, error.text);
	return root;
}

static inline const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL)
		fail_msg("the vectors lack %s", key);
	return text;
}

static inline struct address address_of(const char *text)
{
	struct address address;

	assert_true(address_parse(&address, text));
	return address;
}

#endif
