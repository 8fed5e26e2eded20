/* proxy/staple.h - has the certificate that a seller shows been taken back?
 *
 * A server may send its authority's word on that with its certificate (OCSP stapling, RFC
 * 6066). We ask for it on every connection and nobody else: asking authorities ourselves
 * would tell them who buys where, and keep payments from sellers whose authority is down.
 *
 *   staple                                                        connection
 *   none, or the authority had no answer                          goes on
 *   none, and the certificate says there must be (RFC 7633)       refused
 *   good, signed for this certificate, in its time                goes on
 *   revoked                                                       refused
 *   anything else: unknown, forged, old, of another, malformed    refused
 *
 * The last is fail closed: who staples at all can staple what is right.
 * Sources: RFC 6066 8, RFC 6960, RFC 7633; OCSP_basic_verify(3). */
#ifndef PROXY_STAPLE_H
#define PROXY_STAPLE_H

#include <openssl/ssl.h>

/** staple_ask - have the connections that are made with a client's context ask for a staple
 * and judge what comes.
 *
 * Out  fault  set to constant words when a connection is refused for it; must live until its
 *             handshake is over. There is no other afterwards: renegotiation is refused. */
void staple_ask(SSL_CTX *context, const char **fault);

#endif
