/* URLs as this program reads them, against libcurl, which connects: no host that is compared here
 * is another one there, and no call leaves its tool's base.
 *
 * The input is a tool's URL, what an agent appends to it, and a seller's resource URL, each on a
 * line of its own. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/registry.h"
#include "proxy/relay.h"
#include "proxy/rpc.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/place.h"

#define CALLED "api.example.com"
/* As often as a chain of proxies and servers may decode a path. */
#define ROUNDS 4

struct parts {
	char *scheme, *host, *port, *path, *user;
};

/* False, nothing to free, when curl cannot read it: then nobody connects. */
static bool parts_of(struct parts *out, const char *text, unsigned flags)
{
	CURLU *url = curl_url();
	bool ok;

	*out = (struct parts){0};
	must(url != NULL);
	ok = curl_url_set(url, CURLUPART_URL, text, flags) == CURLUE_OK &&
	     curl_url_get(url, CURLUPART_SCHEME, &out->scheme, 0) == CURLUE_OK;
	if (ok) {
		(void)curl_url_get(url, CURLUPART_HOST, &out->host, 0);
		(void)curl_url_get(url, CURLUPART_PORT, &out->port, 0);
		(void)curl_url_get(url, CURLUPART_PATH, &out->path, 0);
		(void)curl_url_get(url, CURLUPART_USER, &out->user, 0);
	}
	curl_url_cleanup(url);
	return ok;
}

static void parts_fini(struct parts *parts)
{
	curl_free(parts->scheme);
	curl_free(parts->host);
	curl_free(parts->port);
	curl_free(parts->path);
	curl_free(parts->user);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Every escape becomes its byte. */
static void decode(char *text)
{
	char *out = text;

	for (; *text != '\0'; text++) {
		if (text[0] == '%' && digit(text[1]) >= 0 && digit(text[2]) >= 0) {
			char byte = (char)(digit(text[1]) * 16 + digit(text[2]));

			*out++ = byte != '\0' ? byte : '?';
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

static bool climbs(const char *path)
{
	while (*path != '\0') {
		size_t size = strcspn(path, "/\\");

		if ((size == 1 && path[0] == '.') || (size == 2 && memcmp(path, "..", 2) == 0))
			return true;
		path += size + (path[size] != '\0');
	}
	return false;
}

/* However often it is decoded on its way. */
static void check_path(const char *path)
{
	char *text = must_strdup(path);
	int round;

	text[strcspn(text, "?#")] = '\0';
	for (round = 0; round <= ROUNDS; round++) {
		must(!climbs(text));
		decode(text);
	}
	free(text);
}

static void check_call(const char *tool, const struct parts *base, const char *rest)
{
	char *url;
	struct parts parts, normal;

	if ((rest[0] != '\0' && rest[0] != '/' && rest[0] != '?') || strpbrk(rest, " #") != NULL)
		return; /* request.c lets none of these through */
	if (!relay_path_valid(rest))
		return;
	check_path(rest);
	url = must_format("%s%s", tool, rest);
	if (parts_of(&parts, url, CURLU_PATH_AS_IS)) {
		must(
		    strcmp(parts.host, base->host) == 0 && strcmp(parts.scheme, base->scheme) == 0);
		must((parts.port == NULL) == (base->port == NULL));
		must(parts.port == NULL || strcmp(parts.port, base->port) == 0);
		must(parts.user == NULL);
		/* Nothing that curl would take away if it were let. */
		if (parts_of(&normal, url, 0)) {
			must(strcmp(normal.path, parts.path) == 0);
			parts_fini(&normal);
		}
		parts_fini(&parts);
	}
	free(url);
}

/* What is shown and compared as the tool's host: between "://" and the path. */
static void check_host(const char *tool, const struct parts *parts)
{
	const char *start = strstr(tool, "://") + 3;
	size_t size = strcspn(start, "/");
	char *shown = must_strndup(start, size);
	struct in_addr address;

	must(strcasecmp(parts->scheme, "http") == 0 || strcasecmp(parts->scheme, "https") == 0);
	must(parts->user == NULL && memchr(start, '@', size) == NULL);
	/* One address has many spellings, of which curl makes one. */
	if (parts->host[0] != '[' && inet_pton(AF_INET, parts->host, &address) != 1) {
		must(strncasecmp(shown, parts->host, strlen(parts->host)) == 0);
		must(shown[strlen(parts->host)] == '\0' || shown[strlen(parts->host)] == ':');
	}
	free(shown);
}

static void try_tool(char *tool, const char *rest)
{
	char reason[256] = "";
	struct parts parts;
	size_t length = strlen(tool);

	if (!tool_url_valid(reason, tool)) {
		must(reason[0]);
		return;
	}
	while (length > 0 && tool[length - 1] == '/')
		tool[--length] = '\0';
	must(parts_of(&parts, tool, CURLU_PATH_AS_IS));
	check_host(tool, &parts);
	check_call(tool, &parts, rest);
	parts_fini(&parts);
}

static void try_resource(const char *url)
{
	struct parts parts;
	char *host;

	if (!place_matches(url, CALLED))
		return;
	host = place_host(url);
	must(host != NULL || url[0] == '\0' || (url[0] == '/' && url[1] != '/'));
	free(host);
	if (strstr(url, "://") == NULL || url[0] == '/' ||
	    !parts_of(&parts, url, CURLU_NON_SUPPORT_SCHEME))
		return;
	must(parts.user == NULL && parts.host != NULL && strcasecmp(parts.host, CALLED) == 0);
	must(parts.port == NULL || strtol(parts.port, NULL, 10) == 80 ||
	     strtol(parts.port, NULL, 10) == 443);
	parts_fini(&parts);
}

static void try_rpc(const char *url)
{
	char reason[RPC_REASON_SIZE] = "", origin[RPC_ORIGIN_SIZE];
	struct parts parts;
	const char *at;

	for (at = rpc_url_origin(origin, url); *at != '\0'; at++)
		must(*at >= ' ' && *at <= '~');
	if (!rpc_url_check(reason, url)) {
		must(reason[0] && strlen(reason) < RPC_REASON_SIZE);
		return;
	}
	must(parts_of(&parts, url, 0) && parts.user == NULL);
	must(strcmp(parts.scheme, "https") == 0 || strcasecmp(parts.host, "localhost") == 0 ||
	     strcmp(parts.host, "[::1]") == 0 || strncmp(parts.host, "127.", 4) == 0);
	parts_fini(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = must_strndup((const char *)data, size);
	char *rest = strchr(text, '\n'), *resource = NULL;

	if (rest != NULL) {
		*rest++ = '\0';
		resource = strchr(rest, '\n');
	}
	if (resource != NULL) {
		*resource++ = '\0';
		try_resource(resource);
		try_rpc(text);
		try_tool(text, rest);
	}
	free(text);
	return 0;
}
