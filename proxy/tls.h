/* proxy/tls.h - the listeners' side of TLS: one certificate for the agents' address and the
 * admin address, read again by SIGHUP.
 *
 * TLS 1.2 with forward secrecy and authenticated encryption, or 1.3; the server's order of
 * ciphers; ALPN http/1.1. No renegotiation, no compression, no early data, and no sessions
 * kept or handed out: connections of agents live long, and a ticket's key would have to be
 * rotated to keep what it opens secret.
 *
 * Sources: RFC 9325 (recommendations for TLS), RFC 7301 (ALPN). */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

struct config;
struct tls;

#define TLS_REASON_SIZE 512
/* A certificate that is renewed by machine is so a month or three weeks before its end. */
#define TLS_LEFT_US_MIN (INT64_C(7) * 86400 * 1000000)

enum tls_result {
	TLS_OK = 0,
	TLS_OFF = 1, /* neither file is configured */
	TLS_BAD = 2,
};

/** tls_read - the certificate and key that a configuration names, relative to dir.
 *
 * The key must be its owner's alone: a file that others can read is refused, as is one with a
 * passphrase, since there is nobody to ask. The certificate may be followed by those that lead
 * to its authority.
 *
 * Returns TLS_OK   *out is a context for connections, the caller's (SSL_CTX_free)
 *         TLS_OFF  nothing else happened
 *         TLS_BAD  reason says what to do */
enum tls_result tls_read(SSL_CTX **out, char reason[TLS_REASON_SIZE], const char *dir,
    const struct config *config) MUST_CHECK;
/** Until when the certificate is valid, in seconds since the epoch; of those in the chain it
 * came with the earliest. */
int64_t tls_valid_until_s(const SSL_CTX *context);

/* --- what is in force, for all threads --- */
struct tls *tls_new(void);
void tls_free(struct tls **tls);
/** From now on; takes context. NULL: plain. */
void tls_set(struct tls *tls, SSL_CTX *context);
/** A reference of the caller's (SSL_CTX_free), or NULL. */
SSL_CTX *tls_context(struct tls *tls);

/** tls_watch - is the certificate in force about to end, or has it ended? Asked again and again,
 * always by the same thread.
 *
 * Says once of each that it ends within TLS_LEFT_US_MIN, as a warning, and once that it has ended,
 * as an error: whoever verifies it stays away from then on, but that is nothing to stop a daemon
 * for, or to keep one from starting. */
void tls_watch(struct tls *tls, int64_t now_us);

#endif
