/* wallet/place.c - is a resource URL on the host that was called, and which host is that? */
#include "wallet/place.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define AUTHORITY_MAX 264 /* a DNS name of 255, a colon, and room for a port */
#define PORT_MAX      65535

struct place {
	char text[AUTHORITY_MAX + 1]; /* cut into its parts */
	const char *host;
	bool ipv6;
	struct in6_addr address; /* when ipv6 */
	long port;               /* 0: a default port or none */
};

/* ":8402", ":" or nothing. */
static bool read_port(long *out, const char *at)
{
	const char *digits = at + 1;
	long port = 0;

	if (*at == '\0') {
		*out = 0;
		return true;
	}
	if (*at++ != ':')
		return false;
	for (; *at >= '0' && *at <= '9' && port <= PORT_MAX; at++)
		port = port * 10 + (*at - '0');
	/* ":" names none, ":0" one that there is not. */
	if (*at != '\0' || port > PORT_MAX || (port == 0 && at != digits))
		return false;
	*out = port == 80 || port == 443 ? 0 : port;
	return true;
}

/* host[:port] or [v6][:port], of that length. */
static bool read_authority(struct place *out, const char *text, size_t length)
{
	char *end;

	if (length > AUTHORITY_MAX)
		return false;
	memcpy(out->text, text, length);
	out->text[length] = '\0';
	out->ipv6 = out->text[0] == '[';
	out->host = out->text + out->ipv6;
	end = out->text + strcspn(out->text, out->ipv6 ? "]" : ":");
	if (end == out->host || (out->ipv6 && *end == '\0'))
		return false;
	if (!read_port(&out->port, end + out->ipv6))
		return false;
	*end = '\0';
	return !out->ipv6 || inet_pton(AF_INET6, out->host, &out->address) == 1;
}

/* Readers disagree about these (a backslash is a slash to some), so a URL that holds
 * one is no one's. Bytes above ASCII are allowed in a path. */
static bool is_plain(const char *url)
{
	for (; *url != '\0'; url++) {
		unsigned char c = (unsigned char)*url;

		if (c <= ' ' || c == 0x7f || c == '\\')
			return false;
	}
	return true;
}

/* The authority of scheme://authority/…; 0 when there is none. */
static size_t find_authority(const char **out, const char *url)
{
	size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789+-.");

	if (scheme == 0 || strncmp(url + scheme, "://", 3) != 0)
		return 0;
	*out = url + scheme + 3;
	return strcspn(*out, "/?#");
}

bool place_matches(const char *url, const char *host)
{
	struct place named, called;
	const char *authority = NULL;
	size_t length;

	if (!is_plain(url))
		return false;
	if (url[0] == '\0' || (url[0] == '/' && url[1] != '/'))
		return true;
	length = find_authority(&authority, url);
	if (length == 0 || memchr(authority, '@', length) != NULL)
		return false;
	if (!read_authority(&named, authority, length) ||
	    !read_authority(&called, host, strlen(host)))
		return false;
	if (named.port != called.port || named.ipv6 != called.ipv6)
		return false;
	if (named.ipv6)
		return memcmp(&named.address, &called.address, sizeof(named.address)) == 0;
	return strcasecmp(named.host, called.host) == 0;
}

char *place_host(const char *url)
{
	const char *authority = NULL;
	size_t length = find_authority(&authority, url);

	if (length == 0 || memchr(authority, '@', length) != NULL)
		return NULL;
	return must_strndup(authority, length);
}
