/* wallet/place.h - is a resource URL on the host that was called, and which host is that? */
#ifndef WALLET_PLACE_H
#define WALLET_PLACE_H

#include <stdbool.h>

#include "common/must.h"

/** place_matches - url's host and port against host[:port].
 *
 * Letters of any case are equal, and so are port 80, port 443 and no port: a seller
 * behind a load balancer often names another scheme than the one called. IPv6
 * literals ("[::1]") are compared as addresses. A URL without a host ("/path", "")
 * names no other place and matches; user information, a backslash, blanks and
 * control characters never match. */
bool place_matches(const char *url, const char *host) MUST_CHECK;

/** host[:port] of a URL as written, which the caller frees; NULL when it names none, or user
 * information with it. */
char *place_host(const char *url) MUST_CHECK;

#endif
