#include "proxy/relay.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wallet/place.h"

/* Nobody escapes an escape's escape in earnest. */
#define DECODE_ROUNDS_MAX 3

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* One decoded character; *at moves behind it. -1: a broken escape or a byte that may not
 * stand in a target. */
static int next_character(const char **at)
{
	unsigned char c = (unsigned char)**at;

	if (c == '%') {
		int high = hex_value((*at)[1]);
		int low = high < 0 ? -1 : hex_value((*at)[2]);

		if (low < 0)
			return -1;
		*at += 3;
		return high * 16 + low;
	}
	if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#')
		return -1;
	(*at)++;
	return c;
}

/* Escapes that are none stay as they are. True when there were any. */
static bool decode(char *text)
{
	char *to = text;
	bool changed = false;

	for (const char *at = text; *at;) {
		int high = *at == '%' ? hex_value(at[1]) : -1;
		int low = high < 0 ? -1 : hex_value(at[2]);

		changed = changed || low >= 0;
		*to++ = low < 0 ? *at : (char)(high * 16 + low);
		at += low < 0 ? 1 : 3;
	}
	*to = '\0';
	return changed;
}

static bool has_dot_segment(const char *path)
{
	while (*path) {
		size_t size = strcspn(path, "/\\");
		size_t name_size = strcspn(path, "/\\;");

		if ((name_size == 1 || name_size == 2) && strncmp(path, "..", name_size) == 0)
			return true;
		path += size + (path[size] != '\0');
	}
	return false;
}

/* UTF-8 that says in more bytes what fits in fewer, as C0 AE for a dot: refused by every reader
 * of UTF-8 that follows RFC 3629, taken for what it means by those before it. */
static bool has_overlong(const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)path[0], next = (unsigned char)path[1];

		if (next < 0x80 || next > 0xbf)
			continue;
		if (c == 0xc0 || c == 0xc1 || (c == 0xe0 && next < 0xa0) ||
		    (c == 0xf0 && next < 0x90))
			return true;
	}
	return false;
}

/* A server behind a gateway may decode what the gateway has decoded already. */
static bool climbs_when_decoded_again(const char *rest)
{
	bool climbs = false;
	int rounds = 0;
	char *path;

	if (strchr(rest, '%') == NULL)
		return false;
	path = must_strndup(rest, strcspn(rest, "?"));
	while (!climbs && decode(path))
		climbs = has_dot_segment(path) || has_overlong(path) ||
			 ++rounds > DECODE_ROUNDS_MAX;
	free(path);
	return climbs;
}

bool relay_path_valid(const char *rest)
{
	const char *at = rest;
	size_t dots = 0, others = 0;

	while (*at && *at != '?') {
		bool escaped = *at == '%';
		int c = next_character(&at);

		/* An escaped slash or backslash parts segments for some servers. */
		if (c < 0x20 || c == 0x7f || c == '\\' || (escaped && c == '/'))
			return false;
		if (c == '/') {
			if (others == 0 && (dots == 1 || dots == 2))
				return false;
			dots = others = 0;
		} else if (c == '.') {
			dots++;
		} else if (c == ';') {
			/* "..;" is "..", with a parameter, for servlet containers. */
			if (others == 0 && (dots == 1 || dots == 2))
				return false;
			others++;
		} else {
			others++;
		}
	}
	if (others == 0 && (dots == 1 || dots == 2))
		return false;
	while (*at) {
		int c = next_character(&at);

		if (c < 0)
			return false;
	}
	return !climbs_when_decoded_again(rest);
}

char *relay_url(const struct tool *tool, const char *rest)
{
	size_t base_size = strlen(tool->url), rest_size = strlen(rest);
	char *url = must_alloc(base_size + rest_size + 1);

	memcpy(url, tool->url, base_size);
	memcpy(url + base_size, rest, rest_size + 1);
	return url;
}

/* Gateways that hand fields on as variables turn '-' into '_', and some of them whatever else
 * a variable's name cannot have: X.PAYMENT becomes HTTP_X_PAYMENT as X-PAYMENT does. */
static bool same_field(const char *field, const char *name)
{
	for (; *field && *name; field++, name++) {
		char c = *field;

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
			c = '-';
		if (toupper((unsigned char)c) != *name)
			return false;
	}
	return *field == *name;
}

bool relay_payment_header(const char **name, const struct headers *headers)
{
	static const char *const names[] = {"PAYMENT-SIGNATURE", "X-PAYMENT", "SIGN-IN-WITH-X"};
	size_t count = sizeof names / sizeof names[0];

	for (size_t i = 0; i < headers->count * count; i++) {
		if (same_field(headers->items[i / count].name, names[i % count])) {
			*name = names[i % count];
			return true;
		}
	}
	return false;
}

static bool is_one_of(const struct header *field, const char *const *names)
{
	for (; *names; names++) {
		if (header_is(field, *names))
			return true;
	}
	return false;
}

bool relay_request_headers(struct headers *out, const struct headers *in, const char *payment_name,
    const char *payment_value)
{
	static const char *const dropped[] = {
	    "host", "content-length", "transfer-encoding", "authorization", "expect", NULL};

	for (size_t i = 0; i < in->count; i++) {
		if (is_one_of(&in->items[i], dropped) ||
		    headers_hop_by_hop(in, in->items[i].name))
			continue;
		if (!headers_copy(out, &in->items[i]))
			return false;
	}
	if (!payment_name)
		return true;
	return headers_add(
	    out, payment_name, strlen(payment_name), payment_value, strlen(payment_value));
}

/* What stands behind a coding in Accept-Encoding: does it say "not this one" (q=0)? */
static bool forbids(const char *at)
{
	at += strspn(at, "; \t");
	if (strncasecmp(at, "q=0", 3) != 0)
		return false;
	at += 3 + strspn(at + 3, ".0");
	return *at < '1' || *at > '9';
}

/* Does Accept-Encoding name this coding? */
static bool accepts(const struct headers *headers, const char *coding)
{
	const char *values[HEADERS_COUNT_MAX];
	size_t count = headers_all(values, HEADERS_COUNT_MAX, headers, "accept-encoding");
	size_t size = strlen(coding);

	for (size_t i = 0; i < count; i++) {
		const char *at = values[i];

		for (at += strspn(at, ", \t"); *at; at += strspn(at, ", \t")) {
			size_t length = strcspn(at, ",; \t");

			if (length == size && strncasecmp(at, coding, size) == 0)
				return !forbids(at + length);
			at += strcspn(at, ",");
		}
	}
	return false;
}

bool relay_readable(struct headers *headers)
{
	bool gzip = accepts(headers, "gzip"), deflate = accepts(headers, "deflate");
	const char *value = "identity";

	if (gzip || deflate)
		value = gzip && deflate ? "gzip, deflate" : gzip ? "gzip" : "deflate";
	return headers_remove(headers, "accept-encoding") == 0 ||
	       headers_add(
		   headers, "Accept-Encoding", strlen("Accept-Encoding"), value, strlen(value));
}

bool relay_response_headers(struct headers *out, const struct headers *in, const struct tool *tool,
    const char *url, const char *host)
{
	/* The last three speak about the seller's whole origin: one tool may not tell the
	 * agent's client how to reach the others, or make it forget what they said. */
	static const char *const dropped[] = {"content-length", "transfer-encoding",
	    "x-policy-allowed", "alt-svc", "clear-site-data", "strict-transport-security", NULL};

	for (size_t i = 0; i < in->count; i++) {
		const struct header *header = &in->items[i];
		bool ok = true;

		if (is_one_of(header, dropped) || headers_hop_by_hop(in, header->name) ||
		    strncasecmp(header->name, "tallyward-", 10) == 0)
			continue;
		if (header_is(header, "location")) {
			char *location = relay_location(tool, url, host, header->value);

			if (location)
				ok = headers_add(out, header->name, strlen(header->name), location,
				    strlen(location));
			free(location);
		} else {
			ok = headers_copy(out, header);
		}
		if (!ok)
			return false;
	}
	return true;
}

/* Where the path begins in "scheme://host/path": at its slash, or at the end. */
static const char *url_path(const char *url)
{
	const char *host = strstr(url, "://") + 3;

	return host + strcspn(host, "/?#");
}

/* What follows `base` in path, when path lies at or below it; NULL when outside. */
static const char *below(const char *path, const char *base)
{
	size_t size = strlen(base);

	if (strncmp(path, base, size) != 0)
		return NULL;
	path += size;
	return *path == '\0' || *path == '/' || *path == '?' || *path == '#' ? path : NULL;
}

/* Of "scheme:rest", the scheme's length; 0: it has none, and is relative. */
static size_t scheme_size(const char *url)
{
	size_t size = 0;

	while (isalnum((unsigned char)url[size]) ||
	       (size > 0 && url[size] && strchr("+-.", url[size])))
		size++;
	return isalpha((unsigned char)url[0]) && url[size] == ':' ? size : 0;
}

/* Letters that are mapped to others, and a last dot that is taken away, make two names of one. */
static bool is_plain_host(const char *host)
{
	size_t size = strlen(host);

	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)host[i] >= 0x80)
			return false;
	}
	return size > 0 && host[size - 1] != '.';
}

/* The place that `location` names, seen from url, as "scheme://host/path"; NULL: none, or one
 * that readers would not agree about. curl_free() it. */
static char *resolve(const char *url, const char *location)
{
	CURLU *place = curl_url();
	char *host = NULL, *out = NULL;

	/* "http:x" is relative for browsers, a tab nothing and a backslash a slash. */
	if (scheme_size(location) > 0 && strncmp(location + scheme_size(location), "://", 3) != 0)
		goto out;
	if (!*location || strpbrk(location, "\t\\") || !place)
		goto out;
	if (curl_url_set(place, CURLUPART_URL, url, CURLU_PATH_AS_IS) != CURLUE_OK ||
	    curl_url_set(place, CURLUPART_URL, location, CURLU_URLENCODE | CURLU_DISALLOW_USER) !=
		CURLUE_OK ||
	    curl_url_get(place, CURLUPART_HOST, &host, 0) != CURLUE_OK || !is_plain_host(host) ||
	    curl_url_get(place, CURLUPART_URL, &out, 0) != CURLUE_OK)
		out = NULL;
out:
	curl_free(host);
	curl_url_cleanup(place);
	return out;
}

bool relay_leads_back(const char *url, const char *host)
{
	return host && scheme_size(url) > 0 && place_matches(url, host);
}

/* What follows the tool's URL in a place that is at or below it; NULL when it is not, or when
 * it would be another place once the agent's client has read it. */
static const char *rest_of(const struct tool *tool, const char *place)
{
	const char *base_path = url_path(tool->url), *rest;
	size_t origin_size = (size_t)(base_path - tool->url);
	char *path;
	bool valid;

	if (strncasecmp(place, tool->url, origin_size) != 0)
		return NULL;
	rest = below(place + origin_size, base_path);
	if (!rest)
		return NULL;
	path = must_strndup(rest, strcspn(rest, "#"));
	valid = relay_path_valid(path);
	free(path);
	return valid ? rest : NULL;
}

char *relay_location(
    const struct tool *tool, const char *url, const char *host, const char *location)
{
	size_t scheme = scheme_size(location);
	const char *rest;
	char *place, *out = NULL;

	/* Another program's business, and none that leads here. */
	if (scheme > 0 && strncasecmp(location, "http:", scheme + 1) != 0 &&
	    strncasecmp(location, "https:", scheme + 1) != 0)
		return must_strdup(location);
	place = resolve(url, location);
	if (!place)
		return NULL;
	rest = rest_of(tool, place);
	if (rest)
		out = must_format("/t/%s%s", tool->name, rest);
	else if (!relay_leads_back(place, host))
		/* Written as a URL is written, it goes on as it is, a missing path and all. */
		out = must_strdup(
		    strncasecmp(place, location, strlen(location)) == 0 ? location : place);
	curl_free(place);
	return out;
}
