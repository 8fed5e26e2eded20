/* proxy/relay.h - what passes between agent and seller, and what does not. Pure. */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/headers.h"
#include "proxy/registry.h"

/** relay_path_valid - may `rest` (what follows the tool's name: "", "/…" or "?…") be put
 * behind the tool's URL? Refuses dot segments, plain or percent-encoded once or more often,
 * backslashes, escaped slashes, control and non-ASCII bytes and broken escapes, because a
 * seller's server may resolve them to a place outside the base that the owner registered. */
bool relay_path_valid(const char *rest) MUST_CHECK;

/** The upstream URL; the caller frees it. */
char *relay_url(const struct tool *tool, const char *rest);

/** True when the agent sends a header that only a wallet may send. *name is it. */
bool relay_payment_header(const char **name, const struct headers *headers);

/** Request headers for the seller: the agent's without hop-by-hop fields, framing, Host,
 * Authorization and Expect, with the payment header added when payment_name is not NULL.
 * False past the limits of proxy/headers.h. */
bool relay_request_headers(struct headers *out, const struct headers *in, const char *payment_name,
    const char *payment_value) MUST_CHECK;

/** relay_readable - only codings that proxy/inflate.h can undo stay in Accept-Encoding, for
 * answers that are looked into: gzip and deflate if the agent takes them, else identity.
 * Without the field nothing changes. False past the limits of proxy/headers.h. */
bool relay_readable(struct headers *headers) MUST_CHECK;

/** Response headers for the agent: the seller's without hop-by-hop fields, framing and names
 * that are ours to say; Location rewritten when it lies inside the tool's base. */
bool relay_response_headers(
    struct headers *out, const struct headers *in, const struct tool *tool) MUST_CHECK;

/** The Location to hand on; the caller frees it. */
char *relay_location(const struct tool *tool, const char *location);

#endif
