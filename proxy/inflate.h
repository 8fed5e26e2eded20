/* proxy/inflate.h - compressed bodies made readable, within a bound.
 *
 * An agent that says Accept-Encoding gets compressed answers, and a version 1 challenge
 * stands in the body; a delivery check may ask for what is in one, too. Everything passes
 * on compressed as it came. */
#ifndef PROXY_INFLATE_H
#define PROXY_INFLATE_H

#include <stdbool.h>

#include "common/buf.h"

/** True for the codings that are read here: gzip, x-gzip, deflate. */
bool inflate_knows(const char *coding);

/** Append what bytes decompress to. False, out in any state, when they are damaged, cut
 * short, or more than out's ceiling: a bomb stops there. */
bool inflate_body(struct buf *out, const void *bytes, size_t size) MUST_CHECK;

/* --- piece by piece ---------------------------------------------------------------- */

/* Takes some 45 KB. */
struct inflater;
struct inflater *inflater_new(void);
/** Accepts NULL inside. */
void inflater_free(struct inflater **inflater);

/** What a piece decompresses to, in pieces of 4 KiB at most; false stops. */
typedef bool inflate_each_fn(const void *bytes, size_t size, void *arg);
/** Every byte of each goes to `each`. False when they are damaged, or each said so; nothing may
 * be fed after that. What stands behind the last member of a gzip file is passed over. */
bool inflater_feed(struct inflater *inflater, const void *bytes, size_t size,
    inflate_each_fn *each, void *arg) MUST_CHECK;
/** Has the whole of it come? */
bool inflater_whole(const struct inflater *inflater) MUST_CHECK;

#endif
