#include "proxy/staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

/* How far the authority's clock and ours may be apart; as browsers allow. */
#define CLOCKS_APART_S_MAX 300L
/* TLS features by number: status_request of RFC 6066, the one that RFC 7633 is about. */
#define FEATURE_STATUS_REQUEST 5

/* Does the certificate promise a staple? */
static bool must_staple(const X509 *certificate)
{
	TLS_FEATURE *features = X509_get_ext_d2i(certificate, NID_tlsfeature, NULL, NULL);
	bool promised = false;

	for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
		promised = promised || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) ==
					   FEATURE_STATUS_REQUEST;
	TLS_FEATURE_free(features);
	return promised;
}

/* Is that what this entry is about? Each names its digest. */
static bool is_about(const OCSP_SINGLERESP *entry, const X509 *certificate, const X509 *issuer)
{
	OCSP_CERTID *named = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(entry), *ours;
	ASN1_OBJECT *algorithm = NULL;
	const EVP_MD *digest = NULL;
	bool same;

	if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, named) == 1)
		digest = EVP_get_digestbyobj(algorithm);
	ours = digest == NULL ? NULL : OCSP_cert_to_id(digest, certificate, issuer);
	same = ours != NULL && OCSP_id_cmp(ours, named) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

static const char *entry_fault(OCSP_SINGLERESP *entry)
{
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	int status = OCSP_single_get0_status(entry, NULL, NULL, &from, &until);

	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return "the server's certificate was revoked, says the response it stapled";
	if (OCSP_check_validity(from, until, CLOCKS_APART_S_MAX, -1) != 1)
		return "the OCSP response that the server stapled is too old, or from the future";
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return "the server's certificate is unknown to its authority, says the response it "
		       "stapled";
	return NULL;
}

static const char *response_fault(OCSP_BASICRESP *basic, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	const X509 *certificate = SSL_get0_peer_certificate(ssl), *issuer;
	X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));

	if (certificate == NULL || sk_X509_num(chain) < 1 ||
	    OCSP_basic_verify(basic, chain, store, 0) != 1)
		return "the OCSP response that the server stapled is not its authority's";
	/* One that is trusted itself has no other issuer. */
	issuer = sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0);
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *entry = OCSP_resp_get0(basic, i);

		if (is_about(entry, certificate, issuer))
			return entry_fault(entry);
	}
	return "the OCSP response that the server stapled is about another certificate";
}

/* NULL: nothing speaks against the connection. */
static const char *staple_fault(SSL *ssl)
{
	const unsigned char *bytes = NULL;
	long size = SSL_get_tlsext_status_ocsp_resp(ssl, &bytes);
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	OCSP_RESPONSE *response = NULL;
	OCSP_BASICRESP *basic = NULL;
	const char *fault;

	if (bytes != NULL && size > 0) {
		response = d2i_OCSP_RESPONSE(NULL, &bytes, size);
		if (response == NULL)
			return "the OCSP response that the server stapled is malformed";
	}
	if (response == NULL || OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		fault = certificate != NULL && must_staple(certificate)
			    ? "the server's certificate says that a response of its authority is "
			      "stapled to it, and none was"
			    : NULL;
	} else {
		basic = OCSP_response_get1_basic(response);
		fault = basic == NULL ? "the OCSP response that the server stapled is malformed"
				      : response_fault(basic, ssl);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return fault;
}

/* Called once in each handshake, staple or not, when the certificate has been verified. */
static int on_status(SSL *ssl, void *arg)
{
	const char **fault = arg;
	const char *found;

	/* Whose certificate was looked at when the session began. */
	if (SSL_session_reused(ssl))
		return 1;
	found = staple_fault(ssl);
	ERR_clear_error();
	if (found == NULL)
		return 1;
	*fault = found;
	return 0;
}

void staple_ask(SSL_CTX *context, const char **fault)
{
	/* What fault points into may be gone by the time a server would like another one. */
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp);
	SSL_CTX_set_tlsext_status_cb(context, on_status);
	SSL_CTX_set_tlsext_status_arg(context, fault);
}
