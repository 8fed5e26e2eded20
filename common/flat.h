/* common/flat.h - a JSON object of plain words, read where it lies.
 *
 * Most of what is said in one header, a receipt for one, is an object of a few short strings
 * and booleans; a tree of it costs ten times as much as its words. What is not that plain is
 * for common/json.h: an escape, a number, null, anything nested, a byte outside printable
 * ASCII, a key twice, more or longer than the bounds below.
 *
 * Invariant: what flat_read() takes json_read() takes as well, and reads the same in it. So
 * nothing gets by through here that would be refused there. */
#ifndef COMMON_FLAT_H
#define COMMON_FLAT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/must.h"

/* A receipt of today has 5 members and 250 bytes. */
#define FLAT_MEMBERS_MAX 12u
#define FLAT_SIZE_MAX	 1024u

struct flat_member {
	const char *key;
	const char *text; /* NULL: a boolean */
	bool truth;
};

struct flat {
	size_t count;
	struct flat_member members[FLAT_MEMBERS_MAX];
	char bytes[FLAT_SIZE_MAX]; /* what the members point into */
};

/** flat_read - false: not plain, which does not mean that it is no JSON.
 *
 * Out  *out  a copy; of no use when false. May not be moved while it is read */
bool flat_read(struct flat *out, const char *text, size_t size) MUST_CHECK;
/** NULL: no such member. */
const struct flat_member *flat_member(const struct flat *flat, const char *key);

#endif
