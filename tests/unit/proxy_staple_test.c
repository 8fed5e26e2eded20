/* What servers staple to their certificates: handshakes in memory, with each kind of response
 * that an authority, or somebody who plays one, may have given. */
#include "proxy/staple.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#include "common/must.h"
#include "tests/unit/unit.h"

#define HOUR_S 3600L

struct party {
	EVP_PKEY *key;
	X509 *certificate;
};

/* Who there is: an authority, a server of its, one that promises a staple, a delegate for
 * responses, somebody with a certificate that is none for that, and another authority. */
static struct party authority, server, promising, delegate, bystander, stranger;

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static struct party party_new(
    const char *name, const struct party *issuer, int nid, const char *value)
{
	static long serial = 1;
	struct party party = {EVP_EC_gen("P-256"), X509_new()};
	X509_NAME *subject;

	must(party.key != NULL && party.certificate != NULL);
	if (issuer == NULL)
		issuer = &party;
	X509_set_version(party.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(party.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(party.certificate), -HOUR_S);
	X509_gmtime_adj(X509_getm_notAfter(party.certificate), HOUR_S);
	subject = X509_get_subject_name(party.certificate);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(party.certificate, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(party.certificate, party.key);
	if (nid != NID_undef)
		extend(party.certificate, issuer->certificate, nid, value);
	must(X509_sign(party.certificate, issuer->key, EVP_sha256()) > 0);
	return party;
}

static void party_free(struct party *party)
{
	X509_free(party->certificate);
	EVP_PKEY_free(party->key);
}

static int parties_make(void **state)
{
	(void)state;
	authority = party_new("authority", NULL, NID_basic_constraints, "critical,CA:TRUE");
	stranger = party_new("authority", NULL, NID_basic_constraints, "critical,CA:TRUE");
	server = party_new("server", &authority, NID_undef, NULL);
	promising = party_new("promising", &authority, NID_tlsfeature, "status_request");
	delegate = party_new("delegate", &authority, NID_ext_key_usage, "OCSPSigning");
	bystander = party_new("bystander", &authority, NID_undef, NULL);
	return 0;
}

static int parties_free(void **state)
{
	(void)state;
	party_free(&authority);
	party_free(&stranger);
	party_free(&server);
	party_free(&promising);
	party_free(&delegate);
	party_free(&bystander);
	return 0;
}

enum staple {
	STAPLE_NONE,
	STAPLE_RESPONSE,
	STAPLE_TRY_LATER,
	STAPLE_JUNK,
	STAPLE_CUT, /* a good one, without its end */
};

struct row {
	const char *name;
	const struct party *of; /* whose handshake it is */
	enum staple staple;
	const struct party *signer; /* NULL: the authority */
	const struct party *about;  /* NULL: of */
	int status;
	long from_s, until_s; /* from now */
	bool sha256;
	const char *fault; /* part of it; NULL: the connection stands */
};

#define GOOD    V_OCSP_CERTSTATUS_GOOD
#define REVOKED V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN V_OCSP_CERTSTATUS_UNKNOWN
#define IN_TIME -HOUR_S, HOUR_S

static const struct row rows[] = {
    {"none", &server, STAPLE_NONE, NULL, NULL, 0, 0, 0, false, NULL},
    {"none, promised", &promising, STAPLE_NONE, NULL, NULL, 0, 0, 0, false, "none was"},
    {"good", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, IN_TIME, false, NULL},
    {"good, promised", &promising, STAPLE_RESPONSE, NULL, NULL, GOOD, IN_TIME, false, NULL},
    {"good, SHA-256", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, IN_TIME, true, NULL},
    {"good, no end", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, -HOUR_S, 0, false, NULL},
    {"good, just over", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, -HOUR_S, -60, false, NULL},
    {"good, a fast clock", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, 60, HOUR_S, false, NULL},
    {"good, delegated", &server, STAPLE_RESPONSE, &delegate, NULL, GOOD, IN_TIME, false, NULL},
    {"revoked", &server, STAPLE_RESPONSE, NULL, NULL, REVOKED, IN_TIME, false, "revoked"},
    {"revoked, promised", &promising, STAPLE_RESPONSE, NULL, NULL, REVOKED, IN_TIME, false,
	"revoked"},
    {"revoked, SHA-256", &server, STAPLE_RESPONSE, NULL, NULL, REVOKED, IN_TIME, true, "revoked"},
    {"revoked, delegated", &server, STAPLE_RESPONSE, &delegate, NULL, REVOKED, IN_TIME, false,
	"revoked"},
    /* What was taken back stays so, however old the word on it. */
    {"revoked, old", &server, STAPLE_RESPONSE, NULL, NULL, REVOKED, -3 * HOUR_S, -HOUR_S, false,
	"revoked"},
    {"unknown", &server, STAPLE_RESPONSE, NULL, NULL, UNKNOWN, IN_TIME, false, "unknown"},
    {"old", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, -3 * HOUR_S, -HOUR_S, false, "too old"},
    {"not yet", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, HOUR_S, 2 * HOUR_S, false, "future"},
    {"ends before it begins", &server, STAPLE_RESPONSE, NULL, NULL, GOOD, -60, -120, false,
	"too old"},
    {"of the server itself", &server, STAPLE_RESPONSE, &server, NULL, GOOD, IN_TIME, false,
	"not its authority's"},
    {"of a bystander", &server, STAPLE_RESPONSE, &bystander, NULL, GOOD, IN_TIME, false,
	"not its authority's"},
    {"of another authority", &server, STAPLE_RESPONSE, &stranger, NULL, GOOD, IN_TIME, false,
	"not its authority's"},
    {"about another", &server, STAPLE_RESPONSE, NULL, &bystander, GOOD, IN_TIME, false,
	"another certificate"},
    {"about another, revoked", &server, STAPLE_RESPONSE, NULL, &bystander, REVOKED, IN_TIME, false,
	"another certificate"},
    {"try later", &server, STAPLE_TRY_LATER, NULL, NULL, 0, 0, 0, false, NULL},
    {"try later, promised", &promising, STAPLE_TRY_LATER, NULL, NULL, 0, 0, 0, false, "none was"},
    {"junk", &server, STAPLE_JUNK, NULL, NULL, 0, 0, 0, false, "malformed"},
    {"cut", &server, STAPLE_CUT, NULL, NULL, GOOD, IN_TIME, false, "malformed"},
};

static OCSP_RESPONSE *response_of(const struct row *row)
{
	const struct party *signer = row->signer != NULL ? row->signer : &authority;
	const struct party *about = row->about != NULL ? row->about : row->of;
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(
	    row->sha256 ? EVP_sha256() : EVP_sha1(), about->certificate, authority.certificate);
	ASN1_TIME *from = X509_gmtime_adj(NULL, row->from_s);
	ASN1_TIME *until = row->until_s == 0 ? NULL : X509_gmtime_adj(NULL, row->until_s);
	ASN1_TIME *revoked = row->status == REVOKED ? X509_gmtime_adj(NULL, -HOUR_S) : NULL;
	OCSP_RESPONSE *response;

	must(basic != NULL && id != NULL && from != NULL);
	must(OCSP_basic_add1_status(basic, id, row->status, OCSP_REVOKED_STATUS_NOSTATUS, revoked,
		 from, until) != NULL);
	must(OCSP_basic_sign(basic, signer->certificate, signer->key, EVP_sha256(), NULL, 0) == 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	ASN1_TIME_free(revoked);
	OCSP_BASICRESP_free(basic);
	return response;
}

/* The server's side: OpenSSL frees the bytes. */
static int give_staple(SSL *ssl, void *arg)
{
	const struct row *row = arg;
	OCSP_RESPONSE *response = NULL;
	unsigned char *bytes = NULL;
	int size = 0;

	switch (row->staple) {
	case STAPLE_NONE:
		return SSL_TLSEXT_ERR_NOACK;
	case STAPLE_JUNK:
		bytes = OPENSSL_memdup("junk", 4);
		size = 4;
		break;
	case STAPLE_TRY_LATER:
		response = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
		break;
	case STAPLE_RESPONSE:
	case STAPLE_CUT:
		response = response_of(row);
		break;
	}
	if (response != NULL)
		size = i2d_OCSP_RESPONSE(response, &bytes);
	OCSP_RESPONSE_free(response);
	must(bytes != NULL && size > 0);
	SSL_set_tlsext_status_ocsp_resp(ssl, bytes, row->staple == STAPLE_CUT ? size - 1 : size);
	return SSL_TLSEXT_ERR_OK;
}

/* One handshake; the client's fault in *fault. */
static bool handshake(const char **fault, const struct row *row, int version)
{
	SSL_CTX *there = SSL_CTX_new(TLS_server_method()), *here = SSL_CTX_new(TLS_client_method());
	SSL *accepting, *connecting;
	BIO *one, *other;
	int accepted = 0, connected = 0;

	must(there != NULL && here != NULL && BIO_new_bio_pair(&one, 65536, &other, 65536) == 1);
	must(SSL_CTX_use_certificate(there, row->of->certificate) == 1);
	must(SSL_CTX_use_PrivateKey(there, row->of->key) == 1);
	SSL_CTX_set_tlsext_status_cb(there, give_staple);
	SSL_CTX_set_tlsext_status_arg(there, (void *)(uintptr_t)row);
	SSL_CTX_set_max_proto_version(there, version);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(here), authority.certificate);
	SSL_CTX_set_verify(here, SSL_VERIFY_PEER, NULL);
	staple_ask(here, fault);
	accepting = SSL_new(there);
	connecting = SSL_new(here);
	SSL_set_bio(accepting, one, one);
	SSL_set_bio(connecting, other, other);
	/* Five flights at most. */
	for (int i = 0; i < 5 && !(accepted == 1 && connected == 1); i++) {
		connected = SSL_connect(connecting);
		accepted = SSL_accept(accepting);
	}
	SSL_free(accepting);
	SSL_free(connecting);
	SSL_CTX_free(there);
	SSL_CTX_free(here);
	return connected == 1;
}

static void every_staple(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		for (size_t i = 0; i < COUNT(rows); i++) {
			const char *fault = NULL;
			bool stands = handshake(&fault, &rows[i], versions[v]);

			row_check(rows[i].name, stands == (rows[i].fault == NULL));
			row_check(rows[i].name, (fault == NULL) == stands);
			row_check(rows[i].name, stands || strstr(fault, rows[i].fault) != NULL);
		}
	}
}

/* A certificate that is not trusted is no matter of staples. */
static void an_untrusted_certificate_has_no_fault_of_ours(void **state)
{
	struct party other = party_new("other", &stranger, NID_undef, NULL);
	struct row row = {"untrusted", &other, STAPLE_NONE, NULL, NULL, 0, 0, 0, false, NULL};
	const char *fault = NULL;

	(void)state;
	assert_false(handshake(&fault, &row, TLS1_3_VERSION));
	assert_null(fault);
	party_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_staple),
	    cmocka_unit_test(an_untrusted_certificate_has_no_fault_of_ours),
	};

	return cmocka_run_group_tests(tests, parties_make, parties_free);
}
