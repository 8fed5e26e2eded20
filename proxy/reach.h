/* proxy/reach.h - which addresses a transfer may connect to.
 *
 * A name says nothing about where it leads: whoever holds its zone may point it at this
 * machine, at the owner's network or at a cloud's metadata service, today or between two
 * requests. So every address is asked about here when a socket is about to be opened for it,
 * and again before a request goes over a connection that was kept. An address that the owner
 * wrote out is his word; of a name, only what he said it may resolve to.
 *
 * Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) and
 * IPv6 Address Space; RFC 4291, 6052, 3056 (IPv4 inside IPv6), 6761 and 6762 (localhost); the
 * metadata addresses of AWS, Azure, Google, Oracle and Alibaba. */
#ifndef PROXY_REACH_H
#define PROXY_REACH_H

#include <stdbool.h>

struct sockaddr;

/* Every address belongs to exactly one; a set of them is an unsigned. */
enum reach {
	REACH_PUBLIC = 1,
	REACH_LOOPBACK = 2, /* this machine: 127.0.0.0/8, ::1 */
	REACH_PRIVATE = 4,  /* RFC 1918, carrier-grade NAT, unique local, site-local */
	REACH_LINK = 8,     /* link-local, and where clouds serve credentials */
	REACH_NONE = 16,    /* unspecified, multicast, broadcast, reserved, documentation … */
};
#define REACH_ANY (REACH_PUBLIC | REACH_LOOPBACK | REACH_PRIVATE | REACH_LINK | REACH_NONE)
/* Names that the owner vouches for: all but those that no service has by right. */
#define REACH_VOUCHED (REACH_PUBLIC | REACH_LOOPBACK | REACH_PRIVATE)

/** The class of an address; of a mapped IPv4 address, that one's. NAT64 and 6to4 addresses are
 * public when what they carry is, else REACH_NONE. So is a family other than the two. */
enum reach reach_of(const struct sockaddr *address);
/** The same for "192.0.2.1" or "2001:db8::1"; what does not parse: REACH_NONE. */
enum reach reach_of_text(const char *address);
/** reach_of_url - the set that an http(s) URL with a host gives: anything for a literal
 * address; this machine for localhost and what ends in .localhost; REACH_VOUCHED for other
 * names when private, else public addresses alone. */
unsigned reach_of_url(const char *url, bool private);
/** Does "127.0.0.1:8402" or "[::1]:8402" stay on this machine? */
bool reach_is_here(const char *address_and_port);
/** "this machine", "a private network" …, for messages. */
const char *reach_str(enum reach reach);

#endif
