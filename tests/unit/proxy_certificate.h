/* tests/unit/proxy_certificate.h - certificates made for a test, signed by themselves. */
#ifndef TESTS_UNIT_PROXY_CERTIFICATE_H
#define TESTS_UNIT_PROXY_CERTIFICATE_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/must.h"

static inline EVP_PKEY *key_make(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	must(key != NULL);
	return key;
}

static inline X509 *certificate_make(EVP_PKEY *key, long until_s)
{
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);

	must(X509_set_version(certificate, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	must(ASN1_TIME_set(X509_getm_notBefore(certificate), until_s - 1000) != NULL);
	must(ASN1_TIME_set(X509_getm_notAfter(certificate), until_s) != NULL);
	must(X509_NAME_add_entry_by_txt(
		 name, "CN", MBSTRING_ASC, (const unsigned char *)"here", -1, -1, 0) == 1);
	must(X509_set_issuer_name(certificate, name) == 1);
	must(X509_set_pubkey(certificate, key) == 1);
	must(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

/* Shown to who connects, valid until a moment in seconds since the epoch. */
static inline SSL_CTX *certificate_context(int64_t until_s)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = key_make();
	X509 *certificate = certificate_make(key, until_s);

	must(context != NULL && SSL_CTX_use_certificate(context, certificate) == 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

#endif
