/* A listener that speaks TLS, and the files it takes its certificate from. */
#include "proxy/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "common/file.h"
#include "proxy/config.h"
#include "proxy/exchange.h"
#include "tests/unit/common_captured.h"
#include "tests/unit/proxy_certificate.h"
#include "tests/unit/proxy_peer.h"

/* --- certificates --- */

static void write_text(const char *dir, const char *name, const char *text, mode_t mode)
{
	char *path = file_path(dir, name);

	must(file_replace(path, text, strlen(text), mode) && chmod(path, mode) == 0);
	free(path);
}

static char *text_of(BIO *bio)
{
	char *bytes;
	long size = BIO_get_mem_data(bio, &bytes);
	char *text = must_strndup(bytes, (size_t)size);

	BIO_free(bio);
	return text;
}

static char *certificate_text(EVP_PKEY *key, long until_s)
{
	X509 *certificate = certificate_make(key, until_s);
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio_X509(bio, certificate) == 1);
	X509_free(certificate);
	return text_of(bio);
}

static char *key_text(EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase == NULL ? NULL : EVP_aes_128_cbc(),
		 passphrase, passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL) == 1);
	return text_of(bio);
}

static struct config config_of(const char *certificate, const char *key)
{
	struct config config;

	config_init(&config);
	free(config.tls_certificate);
	free(config.tls_key);
	config.tls_certificate = must_strdup(certificate);
	config.tls_key = must_strdup(key);
	return config;
}

/* Writes both files and reads them. */
static enum tls_result read_these(SSL_CTX **out, char reason[TLS_REASON_SIZE], const char *dir,
    const char *certificate, const char *key, mode_t key_mode)
{
	struct config config = config_of("c.pem", "k.pem");
	enum tls_result result;

	write_text(dir, "c.pem", certificate, 0644);
	write_text(dir, "k.pem", key, key_mode);
	result = tls_read(out, reason, dir, &config);
	config_fini(&config);
	return result;
}

/* --- the files --- */

static void what_is_read(void **state)
{
	EVP_PKEY *key = key_make(), *other = key_make(), *weak = EVP_RSA_gen(1024);
	char *good = certificate_text(key, 2000000000),
	     *sooner = certificate_text(other, 1900000000);
	char *chain = must_format("%s\n%s", good, sooner);
	char *junk_chain = must_format("%s\n-----BEGIN CERTIFICATE-----\nAAAA\n"
				       "-----END CERTIFICATE-----\n",
	    good);
	char *weak_one = certificate_text(weak, 2000000000);
	char *key_good = key_text(key, NULL), *key_other = key_text(other, NULL);
	char *key_sealed = key_text(key, "secret"), *key_weak = key_text(weak, NULL);
	char *large = text_repeat("", "x", 70000, "");
	const struct {
		const char *name, *certificate, *key;
		mode_t mode;
		const char *reason; /* NULL: it is taken */
		long until_s;
	} rows[] = {
	    {"good", good, key_good, 0600, NULL, 2000000000},
	    {"read only", good, key_good, 0400, NULL, 2000000000},
	    {"with a chain, which ends first", chain, key_good, 0600, NULL, 1900000000},
	    {"the key of another", good, key_other, 0600, "not the key", 0},
	    {"no certificate", "", key_good, 0600, "no certificate", 0},
	    {"a key for a certificate", key_good, key_good, 0600, "no certificate", 0},
	    {"junk behind it", junk_chain, key_good, 0600, "chain", 0},
	    {"a weak certificate", weak_one, key_weak, 0600, "weak", 0},
	    {"no key", good, "", 0600, "no private key", 0},
	    {"a certificate for a key", good, good, 0600, "no private key", 0},
	    {"a key with a passphrase", good, key_sealed, 0600, "passphrase", 0},
	    {"a key the group can read", good, key_good, 0640, "chmod 600", 0},
	    {"a key all can read", good, key_good, 0604, "chmod 600", 0},
	    {"a key all can write", good, key_good, 0602, "chmod 600", 0},
	    {"too large a certificate", large, key_good, 0600, "64 KiB", 0},
	    {"too large a key", good, large, 0600, "64 KiB", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char reason[TLS_REASON_SIZE] = "";
		SSL_CTX *context = NULL;
		enum tls_result result = read_these(
		    &context, reason, *state, rows[i].certificate, rows[i].key, rows[i].mode);

		row_check(rows[i].name, result == (rows[i].reason == NULL ? TLS_OK : TLS_BAD));
		row_check(rows[i].name, (context != NULL) == (result == TLS_OK));
		if (result == TLS_OK)
			row_check(rows[i].name, tls_valid_until_s(context) == rows[i].until_s);
		else
			row_check(rows[i].name, strstr(reason, rows[i].reason) != NULL);
		row_check(rows[i].name, strstr(reason, "PRIVATE") == NULL);
		row_check(rows[i].name, ERR_peek_error() == 0);
		SSL_CTX_free(context);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	EVP_PKEY_free(weak);
	free(good);
	free(sooner);
	free(chain);
	free(junk_chain);
	free(weak_one);
	free(key_good);
	free(key_other);
	free(key_sealed);
	free(key_weak);
	free(large);
}

static void what_is_not_there(void **state)
{
	struct config none = config_of("", ""), missing = config_of("c.pem", "k.pem"),
		      folder = config_of(*state, "/dev/null");
	char reason[TLS_REASON_SIZE];
	SSL_CTX *context = NULL;

	assert_int_equal(tls_read(&context, reason, *state, &none), TLS_OFF);
	assert_int_equal(tls_read(&context, reason, *state, &missing), TLS_BAD);
	assert_non_null(strstr(reason, "c.pem: No such file"));
	assert_int_equal(tls_read(&context, reason, *state, &folder), TLS_BAD);
	assert_non_null(strstr(reason, "is not a file"));
	assert_null(context);
	config_fini(&none);
	config_fini(&missing);
	config_fini(&folder);
}

/* --- the listener --- */

struct server {
	struct event_base *base;
	struct listener *listener;
	int port;
	char log[256];
	struct exchange *open; /* head came, no answer yet */
	bool wait;             /* answer nothing */
};

static void on_head(struct exchange *exchange, void *arg)
{
	struct server *server = arg;

	log_add(server->log, sizeof(server->log), exchange_target(exchange));
	server->open = exchange;
	exchange_read_body(exchange);
}

static void on_body(struct exchange *exchange, const void *bytes, size_t size, void *arg)
{
	(void)exchange;
	(void)bytes;
	(void)size;
	(void)arg;
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	struct server *server = arg;

	if (!server->wait)
		exchange_reply(exchange, 200, NULL, "hello", 5);
}

static void on_writable(struct exchange *exchange, void *arg)
{
	(void)exchange;
	(void)arg;
}

static void on_finished(struct exchange *exchange, bool completed, void *arg)
{
	struct server *server = arg;

	(void)exchange;
	server->open = NULL;
	log_add(server->log, sizeof(server->log), completed ? "done" : "lost");
}

static const struct exchange_events events = {
    on_head, on_body, on_body_end, on_writable, on_finished, NULL};

static const struct listener_limits patient = {
    .connections_max = 3,
    .head_ms_max = 20000,
    .idle_ms_max = 20000,
    .body_idle_ms_max = 20000,
    .write_idle_ms_max = 20000,
    .out_size_high = 65536,
    .out_size_low = 16384,
};

static SSL_CTX *context_make(const char *dir)
{
	EVP_PKEY *key = key_make();
	char *certificate = certificate_text(key, 2000000000), *text = key_text(key, NULL);
	char reason[TLS_REASON_SIZE];
	SSL_CTX *context = NULL;

	assert_int_equal(read_these(&context, reason, dir, certificate, text, 0600), TLS_OK);
	free(certificate);
	free(text);
	EVP_PKEY_free(key);
	return context;
}

static void server_open(
    struct server *server, const char *dir, const struct listener_limits *limits)
{
	char reason[256];
	int fd = listener_socket_tcp(reason, "127.0.0.1:0", false);

	assert_true(fd >= 0);
	*server = (struct server){.base = event_base_new(), .port = port_of(fd)};
	server->listener = listener_new(server->base, fd, limits, &events, server);
	listener_set_tls(server->listener, context_make(dir));
}

static void server_close(struct server *server)
{
	listener_free(&server->listener);
	event_base_free(server->base);
}

struct client {
	SSL_CTX *context;
	SSL *ssl;
	struct peer peer;
};

static void client_open(struct client *client, const struct server *server)
{
	client->context = SSL_CTX_new(TLS_client_method());
	client->peer = peer_connect(server->port, 0);
	client->ssl = SSL_new(client->context);
	must(SSL_set_fd(client->ssl, client->peer.fd) == 1);
	SSL_set_connect_state(client->ssl);
}

static void client_close(struct client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	peer_close(&client->peer);
}

static bool client_reads(struct client *client, const char *text)
{
	char bytes[4096];
	int size = SSL_read(client->ssl, bytes, sizeof(bytes) - 1);

	if (size <= 0)
		return false;
	bytes[size] = '\0';
	return strstr(bytes, text) != NULL;
}

#define UNTIL(condition) peer_until(server.base, (condition))
#define GET(path)        "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void client_shake(struct client *client, struct server *server)
{
	client_open(client, server);
	peer_until(server->base, SSL_do_handshake(client->ssl) == 1);
}

static void client_say(struct client *client, const char *text)
{
	must(SSL_write(client->ssl, text, (int)strlen(text)) == (int)strlen(text));
}

static void requests_and_answers(void **state)
{
	struct server server;
	struct client client;

	server_open(&server, *state, &patient);
	client_shake(&client, &server);
	assert_int_equal(SSL_version(client.ssl), TLS1_3_VERSION);
	for (int i = 0; i < 3; i++) {
		client_say(&client, GET("/a"));
		UNTIL(client_reads(&client, "hello"));
	}
	/* Both in one record. */
	client_say(&client, GET("/b") "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	UNTIL(SSL_read(client.ssl, (char[4096]){0}, 4096) <= 0 &&
	      SSL_get_shutdown(client.ssl) & SSL_RECEIVED_SHUTDOWN);
	client_close(&client);
	UNTIL(listener_connections(server.listener) == 0);
	assert_string_equal(server.log, "/a done /a done /a done /b done /c done");
	server_close(&server);
}

static void a_hang_up_is_seen(void **state)
{
	for (int orderly = 0; orderly < 2; orderly++) {
		struct server server;
		struct client client;

		server_open(&server, *state, &patient);
		server.wait = true;
		client_shake(&client, &server);
		client_say(&client, GET("/a"));
		UNTIL(server.open != NULL);
		if (orderly)
			(void)SSL_shutdown(client.ssl); /* and the socket stays open */
		else
			must(shutdown(client.peer.fd, SHUT_RDWR) == 0);
		UNTIL(listener_connections(server.listener) == 0);
		assert_string_equal(server.log, "/a lost");
		client_close(&client);
		server_close(&server);
	}
}

static void a_slow_handshake_ends(void **state)
{
	static const char *const begun[] = {"", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"};
	static const size_t sizes[] = {0, 1, 9};
	struct listener_limits limits = patient;

	limits.head_ms_max = 50;
	for (size_t i = 0; i < COUNT(begun); i++) {
		struct server server;
		struct peer peer;

		server_open(&server, *state, &limits);
		peer = peer_connect(server.port, 0);
		assert_int_equal(peer_push(&peer, begun[i], sizes[i]), sizes[i]);
		UNTIL(listener_connections(server.listener) == 1);
		UNTIL((peer_pull(&peer, SIZE_MAX), peer.closed));
		assert_int_equal(peer.error, 0);
		UNTIL(listener_connections(server.listener) == 0);
		assert_string_equal(server.log, "");
		peer_close(&peer);
		server_close(&server);
	}
}

static void plain_http_is_closed_in_order(void **state)
{
	struct server server;
	struct peer peer;

	server_open(&server, *state, &patient);
	peer = peer_connect(server.port, 0);
	assert_int_equal(peer_push(&peer, GET("/a"), strlen(GET("/a"))), strlen(GET("/a")));
	UNTIL((peer_pull(&peer, SIZE_MAX), peer.closed || peer.error != 0));
	assert_int_equal(peer.error, 0); /* no reset */
	assert_string_equal(server.log, "");
	UNTIL(listener_connections(server.listener) == 0);
	peer_close(&peer);
	server_close(&server);
}

static void too_many_are_closed_unanswered(void **state)
{
	struct server server;
	struct client clients[3];
	struct peer late;

	server_open(&server, *state, &patient);
	/* Each has been answered, so that none of them makes room. */
	for (size_t i = 0; i < COUNT(clients); i++) {
		client_shake(&clients[i], &server);
		client_say(&clients[i], GET("/a"));
		UNTIL(client_reads(&clients[i], "hello"));
	}
	assert_int_equal(listener_connections(server.listener), COUNT(clients));
	late = peer_connect(server.port, 0);
	UNTIL((peer_pull(&late, SIZE_MAX), late.closed || late.error != 0));
	assert_int_equal(late.in_size, 0);
	assert_int_equal(listener_connections(server.listener), COUNT(clients));
	peer_close(&late);
	for (size_t i = 0; i < COUNT(clients); i++)
		client_close(&clients[i]);
	server_close(&server);
}

static void who_never_shakes_hands_makes_room(void **state)
{
	struct server server;
	struct peer silent[3];
	struct client client;

	server_open(&server, *state, &patient);
	for (size_t i = 0; i < COUNT(silent); i++) {
		silent[i] = peer_connect(server.port, 0);
		UNTIL(listener_connections(server.listener) == i + 1);
	}
	client_shake(&client, &server);
	client_say(&client, GET("/a"));
	UNTIL(client_reads(&client, "hello"));
	UNTIL(peer_over(&silent[0]));
	assert_int_equal(listener_connections(server.listener), COUNT(silent));
	assert_false(peer_over(&silent[1]));
	for (size_t i = 0; i < COUNT(silent); i++)
		peer_close(&silent[i]);
	client_close(&client);
	server_close(&server);
}

/* Of which there is nothing to look at yet. */
static void a_part_of_a_record_earns_no_time(void **state)
{
	struct listener_limits limits = patient;
	struct server server;
	struct client client;

	limits.head_ms_max = 50;
	server_open(&server, *state, &limits);
	client_shake(&client, &server);
	assert_int_equal(peer_push(&client.peer, "\x17\x03\x03\x01", 4), 4);
	UNTIL(client_reads(&client, "408 "));
	client_close(&client);
	UNTIL(listener_connections(server.listener) == 0);
	assert_string_equal(server.log, "");
	server_close(&server);
}

static void a_part_of_a_record_makes_room(void **state)
{
	struct server server;
	struct client clients[3], late;

	server_open(&server, *state, &patient);
	for (size_t i = 0; i < COUNT(clients); i++) {
		client_shake(&clients[i], &server);
		assert_int_equal(peer_push(&clients[i].peer, "\x17\x03\x03\x01", 4), 4);
		loop_for(server.base, 50);
	}
	client_shake(&late, &server);
	client_say(&late, GET("/a"));
	UNTIL(client_reads(&late, "hello"));
	assert_int_equal(listener_connections(server.listener), COUNT(clients));
	for (size_t i = 0; i < COUNT(clients); i++)
		client_close(&clients[i]);
	client_close(&late);
	server_close(&server);
}

static bool shows(struct client *client, SSL_CTX *context)
{
	X509 *shown = SSL_get1_peer_certificate(client->ssl);
	bool same = shown != NULL && X509_cmp(shown, SSL_CTX_get0_certificate(context)) == 0;

	X509_free(shown);
	return same;
}

static void another_certificate_for_new_connections(void **state)
{
	struct tls *tls = tls_new();
	struct server server;
	struct client before, after;
	SSL_CTX *second, *held;

	assert_null(tls_context(tls));
	server_open(&server, *state, &patient);
	client_shake(&before, &server);
	second = context_make(*state);
	tls_set(tls, second);
	held = tls_context(tls);
	assert_ptr_equal(held, second);
	listener_set_tls(server.listener, held);
	tls_set(tls, NULL);
	assert_null(tls_context(tls));
	client_shake(&after, &server);
	assert_true(shows(&after, second));
	assert_false(shows(&before, second));
	client_say(&before, GET("/before"));
	UNTIL(client_reads(&before, "hello"));
	/* And none at all: the next one is plain, these two go on. */
	listener_set_tls(server.listener, NULL);
	client_say(&after, GET("/after"));
	UNTIL(client_reads(&after, "hello"));
	assert_string_equal(server.log, "/before done /after done");
	client_close(&before);
	client_close(&after);
	server_close(&server);
	tls_free(&tls);
	assert_null(tls);
}

static void draining_and_freeing_in_each_phase(void **state)
{
	for (int drain = 0; drain < 2; drain++) {
		struct server server;
		struct client shaking, idle, open;

		server_open(&server, *state, &patient);
		server.wait = true;
		client_open(&shaking, &server);
		client_shake(&idle, &server);
		client_shake(&open, &server);
		client_say(&open, GET("/a"));
		UNTIL(server.open != NULL);
		assert_int_equal(listener_connections(server.listener), 3);
		if (drain) {
			listener_drain(server.listener);
			assert_int_equal(listener_connections(server.listener), 1);
		}
		server_close(&server);
		assert_string_equal(server.log, "/a lost");
		client_close(&shaking);
		client_close(&idle);
		client_close(&open);
	}
}

/* --- how long it is valid --- */

#define DAY_S INT64_C(86400)

static void its_end_is_said_once_as_it_comes_and_when_it_is_there(void **state)
{
	const int64_t end_s = 2000000000, next_s = end_s + 30 * DAY_S;
	struct tls *tls = tls_new();
	const struct {
		int64_t certificate_s; /* put into force first; 0: as it was, -1: none */
		int64_t now_s;
		const char *level, *event, *until; /* of the one line; NULL: none */
	} rows[] = {
	    {0, end_s + 1, NULL, NULL, NULL},
	    {end_s, end_s - 365 * DAY_S, NULL, NULL, NULL},
	    {0, end_s - 7 * DAY_S - 1, NULL, NULL, NULL},
	    {0, end_s - 7 * DAY_S, "warn", "certificate_ends_soon", "2033-05-18T03:33:20"},
	    {0, end_s - 7 * DAY_S + 1, NULL, NULL, NULL},
	    {0, end_s - 1, NULL, NULL, NULL},
	    {0, end_s, "error", "certificate_expired", "2033-05-18T03:33:20"},
	    {0, end_s + 1, NULL, NULL, NULL},
	    {0, end_s + DAY_S, NULL, NULL, NULL},
	    /* The next one is another matter, from the first look on. */
	    {next_s, end_s + DAY_S, NULL, NULL, NULL},
	    {0, next_s - DAY_S, "warn", "certificate_ends_soon", "2033-06-17T03:33:20"},
	    {0, next_s + 1, "error", "certificate_expired", "2033-06-17T03:33:20"},
	    {0, next_s + 2, NULL, NULL, NULL},
	    {-1, next_s + 3, NULL, NULL, NULL},
	    /* Nobody looked in time, or the clock was set. */
	    {end_s + 1, next_s, "error", "certificate_expired", "2033-05-18T03:33:21"},
	    {0, end_s, "warn", "certificate_ends_soon", "2033-05-18T03:33:21"},
	    {0, next_s, NULL, NULL, NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char row[16], *said;

		snprintf(row, sizeof(row), "%zu", i);
		if (rows[i].certificate_s != 0)
			tls_set(tls, rows[i].certificate_s > 0
					 ? certificate_context(rows[i].certificate_s)
					 : NULL);
		capture(*state);
		tls_watch(tls, rows[i].now_s * 1000000);
		said = captured(*state);
		if (rows[i].event == NULL) {
			row_check(row, said[0] == '\0');
		} else {
			char *start = must_format(
			    "level=%s event=%s until=", rows[i].level, rows[i].event);

			row_check(row, strstr(said, start) != NULL);
			row_check(row, strstr(said, rows[i].until) != NULL);
			row_check(row, strchr(said, '\n') == said + strlen(said) - 1);
			free(start);
		}
		free(said);
	}
	tls_free(&tls);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(what_is_read),
	    IN_FOLDER(what_is_not_there),
	    IN_FOLDER(requests_and_answers),
	    IN_FOLDER(a_hang_up_is_seen),
	    IN_FOLDER(a_slow_handshake_ends),
	    IN_FOLDER(plain_http_is_closed_in_order),
	    IN_FOLDER(too_many_are_closed_unanswered),
	    IN_FOLDER(who_never_shakes_hands_makes_room),
	    IN_FOLDER(a_part_of_a_record_earns_no_time),
	    IN_FOLDER(a_part_of_a_record_makes_room),
	    IN_FOLDER(another_certificate_for_new_connections),
	    IN_FOLDER(draining_and_freeing_in_each_phase),
	    IN_FOLDER(its_end_is_said_once_as_it_comes_and_when_it_is_there),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
