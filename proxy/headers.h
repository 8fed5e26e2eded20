/* proxy/headers.h - a bounded list of HTTP header fields, in order, as received. */
#ifndef PROXY_HEADERS_H
#define PROXY_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/must.h"

/* A head that carries a base64 challenge is 2 to 30 KiB; a 64 KiB token must still
 * be read far enough to be refused as a token. */
#define HEADERS_SIZE_MAX  (128u * 1024u)
#define HEADERS_COUNT_MAX 128u

struct header {
	const char *name;  /* NUL-terminated, as received */
	const char *value; /* NUL-terminated, outer white space removed */
	size_t name_size, value_size;
};

struct headers {
	struct header *items;
	size_t count;
	size_t capacity;
	size_t size; /* bytes of all names and values */
	size_t connection_count; /* of them are named Connection */
	struct header_texts *texts; /* where they lie */
};

/** Is this a field of that name? Most are not, which the first letter and the length tell already,
 * and of a literal the compiler knows both. */
static inline bool header_is(const struct header *field, const char *name)
{
	return ((field->name[0] ^ name[0]) & ~0x20) == 0 && field->name_size == strlen(name) &&
	       strcasecmp(field->name, name) == 0;
}

void headers_init(struct headers *headers);
void headers_fini(struct headers *headers);
/** Copies both. False, nothing added, past either limit above, or when a value holds a
 * control byte other than a tab (CR, LF and NUL among them) or a name is not an RFC 9110
 * token. */
bool headers_add(struct headers *headers, const char *name, size_t name_size, const char *value,
    size_t value_size) MUST_CHECK;
/** The same for a field of another list, which was looked at when it came there. */
bool headers_copy(struct headers *headers, const struct header *field) MUST_CHECK;
/** Would a field of these sizes stay within both limits? Tells 431 from 400. */
bool headers_fit(const struct headers *headers, size_t name_size, size_t value_size) MUST_CHECK;
/** headers_add for fields of our own making: must succeed. The name is a literal, an RFC 9110 token
 * and not looked at. */
#define headers_put(headers, name, value)                                                          \
	headers_put_sized((headers), "" name, sizeof(name) - 1, (value))
void headers_put_sized(
    struct headers *headers, const char *name, size_t name_size, const char *value);
/** Every field of a name is gone; how many there were. */
size_t headers_remove(struct headers *headers, const char *name);
/** First value of a name (case-insensitive), or NULL; how many there are; and all of
 * them into out (at most out_max), returning the full count. */
const char *headers_get(const struct headers *headers, const char *name);
size_t headers_count(const struct headers *headers, const char *name);
size_t headers_all(const char **out, size_t out_max, const struct headers *headers,
    const char *name);

/** True for hop-by-hop fields (RFC 9110 7.6.1), including every name that this
 * message's own Connection field lists. */
bool headers_hop_by_hop(const struct headers *headers, const char *name);

#endif
