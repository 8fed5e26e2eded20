/* proxy/inflate.h - a compressed 402 body made readable, within a bound.
 *
 * An agent that says Accept-Encoding gets compressed answers, and a version 1 challenge
 * stands in the body. Everything else passes through compressed as it came. */
#ifndef PROXY_INFLATE_H
#define PROXY_INFLATE_H

#include <stdbool.h>

#include "common/buf.h"

/** True for the codings inflate_body() reads: gzip, x-gzip, deflate. */
bool inflate_knows(const char *coding);

/** Append what bytes decompress to. False, out in any state, when they are damaged, cut
 * short, or more than out's ceiling: a bomb stops there. */
bool inflate_body(struct buf *out, const void *bytes, size_t size) MUST_CHECK;

#endif
