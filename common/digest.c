/* common/digest.c - SHA-256 and HMAC by OpenSSL.
 *
 * OpenSSL fails here only when memory is gone, and a digest that is not one
 * would break the ledger's chain, so failure ends the process. */
#include "common/digest.h"

/* SHA256_Init and its kin are what EVP calls in the end, without the search for an engine and the
 * five allocations that a digest takes with EVP: as much as hashing 300 bytes, and most of what is
 * hashed here is shorter. OpenSSL 3 discourages them because they know of no providers; nothing
 * here asks for one. These are the names of 1.1.1: openssl_user_macros(7). */
#define OPENSSL_API_COMPAT 10101

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/must.h"

struct sha256 {
	SHA256_CTX state;
};

/* What EVP_sha256() names is looked up among the providers, under their lock, each time it is
 * used: OpenSSL's manual says to fetch once instead (crypto(7), "Performance"). A constant
 * from then on, and as long-lived as the process. */
static EVP_MD *fetched;
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(fetched != NULL);
}

static const EVP_MD *method(void)
{
	must(pthread_once(&fetched_once, fetch) == 0);
	return fetched;
}

const struct digest sha256_of_nothing = {
    {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8,
	0x55}};

static struct digest finish(struct sha256 *running)
{
	struct digest out;

	must(SHA256_Final(out.bytes, &running->state) == 1);
	return out;
}

struct digest sha256(const void *bytes, size_t size)
{
	struct sha256 running;

	must(SHA256_Init(&running.state) == 1);
	sha256_add(&running, bytes, size);
	return finish(&running);
}

struct sha256 *sha256_new(void)
{
	struct sha256 *running = must_alloc(sizeof(*running));

	must(SHA256_Init(&running->state) == 1);
	return running;
}

void sha256_add(struct sha256 *running, const void *bytes, size_t size)
{
	must(SHA256_Update(&running->state, bytes, size) == 1);
}

struct digest sha256_done(struct sha256 **running)
{
	struct digest out = finish(*running);

	sha256_free(running);
	return out;
}

void sha256_free(struct sha256 **running)
{
	free(*running);
	*running = NULL;
}

struct digest hmac_sha256(const void *key, size_t key_size, const void *bytes, size_t size)
{
	struct digest out;

	must(key_size <= INT_MAX);
	/* OpenSSL reads a NULL key as "the one from last time". */
	must(HMAC(method(), key_size ? key : "", (int)key_size, bytes, size, out.bytes, NULL) !=
	     NULL);
	return out;
}
