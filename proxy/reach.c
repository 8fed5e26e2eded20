#include "proxy/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/must.h"

#define V4(a, b, c, d) (((uint32_t)(a) << 24) | ((uint32_t)(b) << 16) | ((c) << 8) | (d))

struct block_v4 {
	uint32_t base;
	unsigned bits;
	enum reach reach;
};

/* The first that holds the address speaks, so exceptions come before what they are part of. */
static const struct block_v4 blocks_v4[] = {
    {V4(100, 100, 100, 200), 32, REACH_LINK}, /* Alibaba's metadata */
    {V4(168, 63, 129, 16), 32, REACH_LINK},   /* Azure's wire server */
    {V4(192, 0, 0, 192), 32, REACH_LINK},     /* Oracle's first metadata address */
    {V4(169, 254, 0, 0), 16, REACH_LINK}, {V4(127, 0, 0, 0), 8, REACH_LOOPBACK},
    {V4(10, 0, 0, 0), 8, REACH_PRIVATE}, {V4(172, 16, 0, 0), 12, REACH_PRIVATE},
    {V4(192, 168, 0, 0), 16, REACH_PRIVATE}, {V4(100, 64, 0, 0), 10, REACH_PRIVATE},
    {V4(0, 0, 0, 0), 8, REACH_NONE}, /* Linux takes 0.0.0.0 for this machine */
    {V4(192, 0, 0, 0), 24, REACH_NONE}, {V4(192, 0, 2, 0), 24, REACH_NONE},
    {V4(192, 88, 99, 0), 24, REACH_NONE}, {V4(198, 18, 0, 0), 15, REACH_NONE},
    {V4(198, 51, 100, 0), 24, REACH_NONE}, {V4(203, 0, 113, 0), 24, REACH_NONE},
    {V4(224, 0, 0, 0), 3, REACH_NONE}, /* multicast, reserved, broadcast */
};

enum carried {
	CARRIES_NOTHING = 0,
	CARRIES_V4,    /* is that address, in the other notation */
	TRANSLATES_V4, /* somebody on the way makes it that address */
};

struct block_v6 {
	uint8_t base[16];
	unsigned bits;
	enum reach reach;
	enum carried carried;
	unsigned at; /* where the IPv4 address is */
};

#define PREFIX(...)                                                                                \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct block_v6 blocks_v6[] = {
    /* AWS: instance metadata, pods' credentials; Google; Oracle. */
    {PREFIX(0xfd, 0x00, 0x0e, 0xc2), 32, REACH_LINK, CARRIES_NOTHING, 0},
    {PREFIX(0xfd, 0x20, 0x00, 0xce), 32, REACH_LINK, CARRIES_NOTHING, 0},
    {PREFIX(0xfd, 0x00, 0x00, 0xc1), 32, REACH_LINK, CARRIES_NOTHING, 0},
    {PREFIX(0), 128, REACH_NONE, CARRIES_NOTHING, 0}, /* :: */
    {PREFIX(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 128, REACH_LOOPBACK, CARRIES_NOTHING,
	0},
    {PREFIX(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 96, REACH_NONE, CARRIES_V4, 12},
    {PREFIX(0), 96, REACH_NONE, CARRIES_NOTHING, 0}, /* "compatible", deprecated */
    {PREFIX(0x00, 0x64, 0xff, 0x9b), 96, REACH_NONE, TRANSLATES_V4, 12},
    {PREFIX(0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), 48, REACH_NONE, CARRIES_NOTHING, 0},
    {PREFIX(0x20, 0x02), 16, REACH_NONE, TRANSLATES_V4, 2},
    {PREFIX(0x20, 0x01, 0x00), 23, REACH_NONE, CARRIES_NOTHING, 0}, /* Teredo, ORCHID … */
    {PREFIX(0x20, 0x01, 0x0d, 0xb8), 32, REACH_NONE, CARRIES_NOTHING, 0},
    {PREFIX(0x3f, 0xff, 0x00), 20, REACH_NONE, CARRIES_NOTHING, 0},
    {PREFIX(0x20), 3, REACH_PUBLIC, CARRIES_NOTHING, 0}, /* global unicast */
    {PREFIX(0xfc), 7, REACH_PRIVATE, CARRIES_NOTHING, 0},
    {PREFIX(0xfe, 0xc0), 10, REACH_PRIVATE, CARRIES_NOTHING, 0},
    {PREFIX(0xfe, 0x80), 10, REACH_LINK, CARRIES_NOTHING, 0},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum reach reach_of_v4(uint32_t address)
{
	for (size_t i = 0; i < COUNT(blocks_v4); i++) {
		if ((address ^ blocks_v4[i].base) >> (32 - blocks_v4[i].bits) == 0)
			return blocks_v4[i].reach;
	}
	return REACH_PUBLIC;
}

static bool in_block(const struct block_v6 *block, const uint8_t address[16])
{
	unsigned whole = block->bits / 8, rest = block->bits % 8;

	return memcmp(address, block->base, whole) == 0 &&
	       (rest == 0 || (address[whole] ^ block->base[whole]) >> (8 - rest) == 0);
}

/* What is in no block is not given out. */
static enum reach reach_of_v6(const uint8_t address[16])
{
	for (size_t i = 0; i < COUNT(blocks_v6); i++) {
		const struct block_v6 *block = &blocks_v6[i];
		const uint8_t *inner = address + block->at;
		enum reach reach;

		if (!in_block(block, address))
			continue;
		if (block->carried == CARRIES_NOTHING)
			return block->reach;
		reach = reach_of_v4(V4(inner[0], inner[1], inner[2], inner[3]));
		/* A translator stands in some network, and another loopback than ours. */
		return block->carried == CARRIES_V4 || reach == REACH_PUBLIC ? reach : REACH_NONE;
	}
	return REACH_NONE;
}

enum reach reach_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return reach_of_v4(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
	if (address->sa_family == AF_INET6)
		return reach_of_v6(((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr);
	return REACH_NONE;
}

enum reach reach_of_text(const char *address)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return reach_of_v4(ntohl(v4.s_addr));
	if (inet_pton(AF_INET6, address, &v6) == 1)
		return reach_of_v6(v6.s6_addr);
	return REACH_NONE;
}

/* curl resolves these itself, whatever DNS says. */
static bool is_localhost(const char *host)
{
	static const char suffix[] = ".localhost";
	size_t size = strlen(host), suffix_size = sizeof(suffix) - 1;

	return strcasecmp(host, suffix + 1) == 0 ||
	       (size > suffix_size && strcasecmp(host + size - suffix_size, suffix) == 0);
}

static bool is_literal(const char *host)
{
	struct in_addr v4;

	return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

unsigned reach_of_url(const char *url, bool private)
{
	unsigned reach = private ? REACH_VOUCHED : REACH_PUBLIC;
	CURLU *parts = curl_url();
	char *host = NULL;

	must(parts != NULL);
	/* curl's own parser, because it is curl that will connect: it also knows the old ways
	 * to write an IPv4 address ("127.1", "0x7f000001"). */
	if (curl_url_set(parts, CURLUPART_URL, url, CURLU_PATH_AS_IS) != CURLUE_OK ||
	    curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		reach = 0;
	else if (is_literal(host))
		reach = REACH_ANY;
	else if (is_localhost(host))
		reach = REACH_LOOPBACK;
	curl_free(host);
	curl_url_cleanup(parts);
	return reach;
}

bool reach_is_here(const char *address_and_port)
{
	bool bracketed = address_and_port[0] == '[';
	const char *end = strrchr(address_and_port, ':');
	char *host;
	bool here;

	if (end == NULL ||
	    (bracketed ? end - address_and_port < 2 : strchr(address_and_port, ':') != end))
		return false;
	host = must_strndup(
	    address_and_port + bracketed, (size_t)(end - address_and_port) - 2 * bracketed);
	here = reach_of_text(host) == REACH_LOOPBACK;
	free(host);
	return here;
}

const char *reach_str(enum reach reach)
{
	switch (reach) {
	case REACH_PUBLIC:
		return "a public address";
	case REACH_LOOPBACK:
		return "this machine";
	case REACH_PRIVATE:
		return "a private network";
	case REACH_LINK:
		return "a link-local or metadata address";
	case REACH_NONE:
		break;
	}
	return "an address that is no one's";
}
