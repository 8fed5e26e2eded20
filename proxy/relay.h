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

/** Response headers for the agent: the seller's without hop-by-hop fields, framing, names
 * that are ours to say and words about an origin, which would be taken for ours; Location as
 * relay_location() has it. False past the limits of proxy/headers.h. */
bool relay_response_headers(struct headers *out, const struct headers *in, const struct tool *tool,
    const char *url, const char *host) MUST_CHECK;

/** relay_location - the Location to hand on, or NULL for none; the caller frees it.
 *
 * To the agent's client every relative one is a place here, where the other tools are and
 * where its token is good. So it is resolved as the seller meant it: at or below the tool's
 * base it is a path under /t/NAME; elsewhere an absolute one stays as it is, and a relative
 * one becomes absolute. None is handed on that leads back to us or that readers disagree
 * about.
 *
 * In   url   what was asked for, under tool->url
 *      host  the authority at which the agent found us; NULL: not known */
char *relay_location(
    const struct tool *tool, const char *url, const char *host, const char *location);

/** Does an absolute URL lead to this authority? False when host is NULL. */
bool relay_leads_back(const char *url, const char *host) MUST_CHECK;

#endif
