#include "proxy/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/config.h"

/* A key of 16,384 bits is 13 KB; a chain of ten certificates less than 64. */
#define FILE_SIZE_MAX (64u * 1024u)

struct tls {
	pthread_mutex_t lock;
	SSL_CTX *context;
	/* tls_watch()'s: ends of the certificates of which it was said last that they end soon, and
	 * that they have ended; -1 of none. */
	int64_t soon_us, ended_us;
};

static bool fail(char reason[TLS_REASON_SIZE], const char *path, const char *why)
{
	/* What OpenSSL would add is about its own parser. */
	ERR_clear_error();
	(void)snprintf(reason, TLS_REASON_SIZE, "%s: %s", path, why);
	return false;
}

/* --- files --- */

/* Whole, and looked at before: what is read is what was looked at. */
static BIO *read_file(char reason[TLS_REASON_SIZE], const char *path, bool secret, uint8_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	ssize_t size = -1;

	if (fd < 0 || fstat(fd, &status) != 0)
		fail(reason, path, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		fail(reason, path, "is not a file");
	else if (secret && (status.st_mode & 077) != 0)
		fail(reason, path, "can be read by others: chmod 600 it");
	else if (status.st_size > (off_t)FILE_SIZE_MAX)
		fail(reason, path, "is larger than 64 KiB");
	else if ((size = read(fd, bytes, FILE_SIZE_MAX)) < 0)
		fail(reason, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return size < 0 ? NULL : BIO_new_mem_buf(bytes, (int)size);
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool use_key(SSL_CTX *context, char reason[TLS_REASON_SIZE], const char *path)
{
	uint8_t *bytes = must_alloc(FILE_SIZE_MAX);
	BIO *text = read_file(reason, path, true, bytes);
	EVP_PKEY *key =
	    text == NULL ? NULL : PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL);
	bool ok = false;

	if (text != NULL && key == NULL)
		fail(reason, path, "holds no private key in PEM without a passphrase");
	else if (key != NULL && SSL_CTX_use_PrivateKey(context, key) != 1)
		fail(reason, path, "is not the key of the certificate, or too weak");
	else
		ok = key != NULL;
	EVP_PKEY_free(key);
	BIO_free(text);
	bytes_wipe(bytes, FILE_SIZE_MAX);
	free(bytes);
	return ok;
}

static bool use_chain(SSL_CTX *context, BIO *text)
{
	X509 *certificate;

	while ((certificate = PEM_read_bio_X509(text, NULL, no_passphrase, NULL)) != NULL) {
		if (SSL_CTX_add0_chain_cert(context, certificate) != 1) {
			X509_free(certificate);
			return false;
		}
	}
	/* The end is the only good reason to stop. */
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static bool use_certificate(SSL_CTX *context, char reason[TLS_REASON_SIZE], const char *path)
{
	uint8_t *bytes = must_alloc(FILE_SIZE_MAX);
	BIO *text = read_file(reason, path, false, bytes);
	X509 *certificate =
	    text == NULL ? NULL : PEM_read_bio_X509_AUX(text, NULL, no_passphrase, NULL);
	bool ok = false;

	if (text != NULL && certificate == NULL)
		fail(reason, path, "holds no certificate in PEM");
	else if (certificate != NULL && SSL_CTX_use_certificate(context, certificate) != 1)
		fail(reason, path, "its key is too weak, or of a kind that is not known");
	else if (certificate != NULL && !use_chain(context, text))
		fail(reason, path, "what follows the certificate is not its chain");
	else
		ok = certificate != NULL;
	ERR_clear_error();
	X509_free(certificate);
	BIO_free(text);
	free(bytes);
	return ok;
}

/* --- the context --- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
    const unsigned char *offered, unsigned offered_size, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_size, ours,
		sizeof(ours) - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_new(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	must(context != NULL);
	must(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
	/* 112 bits: no RSA keys under 2048, no SHA-1; whatever the system's default is. */
	SSL_CTX_set_security_level(context, 2);
	/* Those of TLS 1.3 are all good. */
	must(SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
	SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_TICKET |
					 /* HTTP says itself where its messages end. */
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* The latter: 34 KB of buffers less for each idle connection. */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	must(SSL_CTX_set_num_tickets(context, 0) == 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	return context;
}

static char *path_of(const char *dir, const char *name)
{
	return name[0] == '/' ? must_strdup(name) : file_path(dir, name);
}

enum tls_result tls_read(
    SSL_CTX **out, char reason[TLS_REASON_SIZE], const char *dir, const struct config *config)
{
	char *certificate, *key;
	SSL_CTX *context;
	bool ok;

	if (!*config->tls_certificate && !*config->tls_key)
		return TLS_OFF;
	certificate = path_of(dir, config->tls_certificate);
	key = path_of(dir, config->tls_key);
	context = context_new();
	ok = use_certificate(context, reason, certificate) && use_key(context, reason, key);
	if (ok && SSL_CTX_check_private_key(context) != 1)
		ok = fail(reason, key, "is not the key of the certificate");
	free(certificate);
	free(key);
	if (!ok) {
		SSL_CTX_free(context);
		return TLS_BAD;
	}
	*out = context;
	return TLS_OK;
}

static int64_t until_s(const X509 *certificate)
{
	struct tm utc;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) != 1)
		return 0;
	return timegm(&utc);
}

int64_t tls_valid_until_s(const SSL_CTX *context)
{
	int64_t earliest_s = until_s(SSL_CTX_get0_certificate(context));
	STACK_OF(X509) *chain = NULL;

	(void)SSL_CTX_get0_chain_certs((SSL_CTX *)(uintptr_t)context, &chain);
	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t link_s = until_s(sk_X509_value(chain, i));

		if (link_s < earliest_s)
			earliest_s = link_s;
	}
	return earliest_s;
}

/* --- what is in force --- */

struct tls *tls_new(void)
{
	struct tls *tls = must_calloc(1, sizeof(*tls));

	tls->soon_us = tls->ended_us = -1;
	must(pthread_mutex_init(&tls->lock, NULL) == 0);
	return tls;
}

void tls_free(struct tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_CTX_free((*tls)->context);
	must(pthread_mutex_destroy(&(*tls)->lock) == 0);
	free(*tls);
	*tls = NULL;
}

void tls_set(struct tls *tls, SSL_CTX *context)
{
	SSL_CTX *old;

	must(pthread_mutex_lock(&tls->lock) == 0);
	old = tls->context;
	tls->context = context;
	must(pthread_mutex_unlock(&tls->lock) == 0);
	SSL_CTX_free(old);
}

SSL_CTX *tls_context(struct tls *tls)
{
	SSL_CTX *context;

	must(pthread_mutex_lock(&tls->lock) == 0);
	context = tls->context;
	must(context == NULL || SSL_CTX_up_ref(context) == 1);
	must(pthread_mutex_unlock(&tls->lock) == 0);
	return context;
}

void tls_watch(struct tls *tls, int64_t now_us)
{
	SSL_CTX *context = tls_context(tls);
	char until[CLOCK_TEXT_SIZE];
	int64_t until_us;

	if (context == NULL)
		return;
	until_us = tls_valid_until_s(context) * CLOCK_US_PER_S;
	SSL_CTX_free(context);
	clock_format(until, until_us);
	if (until_us <= now_us && until_us != tls->ended_us) {
		tls->ended_us = until_us;
		log_event(LOG_ERROR, "certificate_expired", "until", until, "hint",
		    "agents that verify it cannot connect: put a new one in its place and send "
		    "SIGHUP",
		    NULL);
	} else if (until_us > now_us && until_us <= now_us + TLS_LEFT_US_MIN &&
		   until_us != tls->soon_us) {
		tls->soon_us = until_us;
		log_event(LOG_WARN, "certificate_ends_soon", "until", until, NULL);
	}
}
