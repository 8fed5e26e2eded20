/* policy/patterns.h - many patterns, of which few match: found by name.
 *
 * Ten thousand limits on ten thousand tools must not cost ten thousand
 * comparisons a call. A pattern without a wildcard is found by its hash; only
 * those with one (and those that match everything) are tried in turn. Read-only
 * once filled, so it is shared between threads without a lock. */
#ifndef POLICY_PATTERNS_H
#define POLICY_PATTERNS_H

#include <stddef.h>
#include <stdint.h>

#define PATTERNS_END SIZE_MAX

struct patterns;

/** For positions 0 up to, and without, position_count. */
struct patterns *patterns_new(size_t position_count);
void patterns_free(struct patterns **patterns);

/** patterns_add - file position under pattern.
 *
 * In  position  each at most once, in ascending order
 *     pattern   as glob_match() reads it, kept and not copied; NULL matches all */
void patterns_add(struct patterns *patterns, size_t position, const char *pattern);

/* Where a walk over the positions that match one text stands. */
struct patterns_walk {
	const struct patterns *patterns;
	const char *text;
	size_t exact; /* next of each of the two chains, PATTERNS_END past the last */
	size_t open;
};

/** A walk over the positions whose pattern matches text; text is borrowed. */
struct patterns_walk patterns_match(const struct patterns *patterns, const char *text);
/** The next position in ascending order, PATTERNS_END after the last. */
size_t patterns_next(struct patterns_walk *walk);

#endif
