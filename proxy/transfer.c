/* proxy/transfer.c - one outgoing request and its answer; see proxy/upstream.h first.
 *
 * A request leaves at most once: curl would repeat one on a fresh connection when a kept
 * one turns out dead, which is right for GET and wrong for anything that acts. */
#include "proxy/upstream.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "proxy/staple.h"

/* A kept connection older than this is not used again: most servers close theirs after
 * 5 to 75 s, and a request that crosses the closing is lost. */
#define IDLE_CONNECTION_S_MAX 30L

/* Handles of curl's that are kept for the next requests: each has these for what it reads, of
 * which only what was ever read takes memory, and for a body once it has sent one. Read by the
 * 16 KiB that curl has by itself, a gigabyte takes a tenth more processor time. */
#define SPARES_MAX	    64u
#define RECEIVE_BUFFER_SIZE 65536L
#define SEND_BUFFER_SIZE    16384L

/* A change of the trusted certificates takes effect within this. */
#define TRUST_S_MAX 60L

const char *transfer_result_str(enum transfer_result result)
{
	switch (result) {
	case TRANSFER_OK:
		return "ok";
	case TRANSFER_UNREACHABLE:
		return "unreachable";
	case TRANSFER_TIMEOUT:
		return "timeout";
	case TRANSFER_BROKEN:
		return "broken";
	case TRANSFER_FORBIDDEN:
		return "forbidden";
	}
	return "unknown";
}

/* --- time --- */

/* The wait that fits where the transfer is; none while a pause of ours holds it. */
static void timer_set(struct transfer *transfer)
{
	const struct upstream_limits *limits = &transfer->upstream->limits;

	switch (transfer->phase) {
	case TRANSFER_CONNECT:
		upstream_timer_set(&transfer->timer, limits->connect_ms_max);
		return;
	case TRANSFER_WAIT:
		upstream_timer_set(&transfer->timer, limits->response_ms_max);
		return;
	case TRANSFER_SEND:
	case TRANSFER_BODY:
		if (transfer->hurried)
			return;
		if (transfer->receive_paused || transfer->pause_wished || transfer->send_paused)
			event_del(&transfer->timer);
		else
			upstream_timer_set(&transfer->timer, limits->idle_ms_max);
		return;
	case TRANSFER_PREPARED:
	case TRANSFER_NEW:
	case TRANSFER_OVER:
		event_del(&transfer->timer);
		return;
	}
}

/* The transfer waits for something else than before. */
static void timer_arm(struct transfer *transfer)
{
	struct upstream *upstream = transfer->upstream;

	if (!upstream->acting) {
		timer_set(transfer);
	} else if (!transfer->untimed) {
		transfer->untimed = true;
		DL_APPEND2(upstream->untimed, transfer, prev_untimed, next_untimed);
	}
}

static void timed(struct transfer *transfer)
{
	if (!transfer->untimed)
		return;
	transfer->untimed = false;
	DL_DELETE2(transfer->upstream->untimed, transfer, prev_untimed, next_untimed);
}

void transfer_timers_set(struct upstream *upstream)
{
	struct transfer *transfer;

	while ((transfer = upstream->untimed) != NULL) {
		timed(transfer);
		if (!transfer->cancelled)
			timer_set(transfer);
	}
}

static const char *timeout_reason(const struct transfer *transfer)
{
	switch (transfer->phase) {
	case TRANSFER_CONNECT:
		return "no connection in time";
	case TRANSFER_SEND:
		return "the request was not taken in time";
	case TRANSFER_WAIT:
		return "no answer in time";
	case TRANSFER_BODY:
		return transfer->hurried ? "the answer did not end in time"
					 : "the answer stopped coming";
	case TRANSFER_PREPARED:
	case TRANSFER_NEW:
	case TRANSFER_OVER:
		break;
	}
	return "time-out";
}

/* --- the end --- */

static void easy_free(struct transfer *transfer)
{
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	curl_url_cleanup(transfer->place);
	free(transfer->origin);
	free(transfer->method);
	free(transfer);
}

void transfer_free(struct transfer *transfer)
{
	struct upstream *upstream = transfer->upstream;

	if (transfer->easy != NULL) {
		(void)curl_multi_remove_handle(upstream->multi, transfer->easy);
		upstream_rest(transfer);
		(void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
	}
	if (transfer->queued)
		DL_DELETE(upstream->queue, transfer);
	event_del(&transfer->timer);
	timed(transfer);
	free(transfer->fields);
	headers_fini(&transfer->headers);
	upstream->transfer_count--;
	if (transfer->ended_well && transfer->limits_count == upstream->limits_count &&
	    upstream->spare_count < SPARES_MAX) {
		LL_PREPEND(upstream->spares, transfer);
		upstream->spare_count++;
	} else {
		easy_free(transfer);
	}
}

void transfer_spares_free(struct upstream *upstream)
{
	while (upstream->spares != NULL) {
		struct transfer *spare = upstream->spares;

		LL_DELETE(upstream->spares, spare);
		upstream->spare_count--;
		easy_free(spare);
	}
}

/* Never from inside curl. */
void transfer_finish(struct transfer *transfer, enum transfer_result result, const char *reason)
{
	if (!transfer->cancelled) {
		transfer->phase = TRANSFER_OVER;
		transfer->ended_well = result == TRANSFER_OK;
		transfer->events->done(transfer, result, reason, transfer->arg);
	}
	transfer_free(transfer);
}

static bool fresh_set(struct transfer *transfer, bool fresh)
{
	if (transfer->told_fresh == fresh)
		return true;
	transfer->told_fresh = fresh;
	return curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L) ==
	       CURLE_OK;
}

/* On a connection of its own: at most once, as that is not a kept one. */
static void start_again(struct transfer *transfer)
{
	transfer->spoiled = false;
	(void)curl_multi_remove_handle(transfer->upstream->multi, transfer->easy);
	upstream_rest(transfer);
	(void)fresh_set(transfer, true);
	transfer->error[0] = '\0';
	transfer->phase = TRANSFER_NEW;
	upstream_queue(transfer);
}

void transfer_fail(struct transfer *transfer, CURLcode code)
{
	const char *reason =
	    transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);

	if (transfer->spoiled && !transfer->cancelled) {
		start_again(transfer);
		return;
	}
	if (transfer->fault != NULL)
		reason = transfer->fault;
	/* When another address was tried as well, it is that one's failure that is told. */
	if (transfer->refused != 0 && transfer->sent_count == 0 &&
	    (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK)) {
		char words[128];

		(void)snprintf(words, sizeof(words),
		    "its host leads to %s, which this request may not reach",
		    reach_str(transfer->refused));
		transfer_finish(transfer, TRANSFER_FORBIDDEN, words);
		return;
	}
	transfer_finish(
	    transfer, transfer->sent_count == 0 ? TRANSFER_UNREACHABLE : TRANSFER_BROKEN, reason);
}

static void on_transfer_timer(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *transfer = arg;

	(void)fd;
	(void)what;
	transfer_finish(transfer,
	    transfer->sent_count == 0 ? TRANSFER_UNREACHABLE : TRANSFER_TIMEOUT,
	    timeout_reason(transfer));
}

/* --- what curl calls back --- */

/* curl is about to make a socket for an address; every address it ever connects to comes by
 * here, since neither proxies nor sockets of the file system are used. */
static curl_socket_t on_open_socket(
    void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = arg;
	enum reach reach = reach_of(&address->addr);

	(void)purpose;
	if (!(transfer->reach & reach)) {
		transfer->refused = reach;
		return CURL_SOCKET_BAD;
	}
	return upstream_open(transfer->upstream, address);
}

/* The connection stands and the request goes out next. */
static int on_ready(void *arg, char *peer_address, char *own_address, int peer_port, int own_port)
{
	struct transfer *transfer = arg;
	struct upstream_socket *socket;

	if (transfer->cancelled)
		return CURL_PREREQFUNC_ABORT;
	if (transfer->sent_count > 0 && !transfer->safe) {
		transfer->fault = "the connection was lost while the request was being sent";
		return CURL_PREREQFUNC_ABORT;
	}
	socket = upstream_connection(
	    transfer->upstream, own_address, own_port, peer_address, peer_port);
	if (socket == NULL) {
		transfer->fault = "the connection was lost before the request was sent";
		return CURL_PREREQFUNC_ABORT;
	}
	/* A kept connection may have been made for another request, which may go further. */
	if (!(transfer->reach & socket->reach)) {
		transfer->refused = socket->reach;
		return CURL_PREREQFUNC_ABORT;
	}
	if (!upstream_use(transfer, socket)) {
		transfer->spoiled = true;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->sent_count++;
	transfer->loopback = socket->reach == REACH_LOOPBACK;
	transfer->phase =
	    transfer->body != NULL && transfer->body_size != 0 ? TRANSFER_SEND : TRANSFER_WAIT;
	timer_arm(transfer);
	return CURL_PREREQFUNC_OK;
}

static CURLcode on_tls_context(CURL *easy, void *context, void *arg)
{
	struct transfer *transfer = arg;

	(void)easy;
	/* 112 bits: no RSA keys under 2048, no SHA-1; whatever the system's default is. */
	SSL_CTX_set_security_level(context, 2);
	staple_ask(context, &transfer->fault);
	return CURLE_OK;
}

static size_t read_failed(struct transfer *transfer, const char *why)
{
	transfer->fault = why;
	return CURL_READFUNC_ABORT;
}

static void sent_whole(struct transfer *transfer)
{
	if (transfer->phase == TRANSFER_SEND)
		transfer->phase = TRANSFER_WAIT;
}

static size_t on_read(char *out, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count;
	int64_t got;

	if (transfer->cancelled)
		return CURL_READFUNC_ABORT;
	if (transfer->body == NULL)
		return 0;
	if (transfer->body_size >= 0 &&
	    size > (uint64_t)(transfer->body_size - transfer->body_offset))
		size = (size_t)(transfer->body_size - transfer->body_offset);
	got = size == 0 ? 0 : spool_read(transfer->body, transfer->body_offset, out, size);
	if (got < 0)
		return read_failed(transfer, "the kept request body could not be read");
	if (got == 0 && size > 0 && !spool_finished(transfer->body)) {
		transfer->send_paused = true;
		transfer->body_wished = false;
		timer_arm(transfer);
		return CURL_READFUNC_PAUSE;
	}
	transfer->body_offset += got;
	if (got == 0 && transfer->body_offset < transfer->body_size)
		return read_failed(transfer, "the request body is shorter than it was said to be");
	if (got == 0 || transfer->body_offset == transfer->body_size)
		sent_whole(transfer);
	timer_arm(transfer);
	return (size_t)got;
}

/* curl wants to send the body again, which on_ready allows only where it does no harm. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *transfer = arg;

	if (!transfer->safe || origin != SEEK_SET || offset != 0)
		return CURL_SEEKFUNC_FAIL;
	transfer->body_offset = 0;
	return CURL_SEEKFUNC_OK;
}

/* Content-Length as sent, checked more strictly than curl does: two that differ are how
 * answers are smuggled. -1: none, or Transfer-Encoding overrides it. */
static bool content_length(int64_t *out, const struct headers *headers)
{
	const char *values[HEADERS_COUNT_MAX];
	size_t count = headers_all(values, HEADERS_COUNT_MAX, headers, "Content-Length");
	int64_t value = 0;

	for (size_t i = 1; i < count; i++) {
		if (strcmp(values[0], values[i]) != 0)
			return false;
	}
	if (count == 0 || headers_get(headers, "Transfer-Encoding") != NULL) {
		*out = -1;
		return true;
	}
	if (values[0][0] == '\0')
		return false;
	for (const char *digit = values[0]; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9' || value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (*digit - '0');
	}
	*out = value;
	return true;
}

static bool transfer_coding_ok(const struct headers *headers)
{
	const char *coding = headers_get(headers, "Transfer-Encoding");

	/* curl would undo gzip here, unasked and without a bound. */
	return coding == NULL || (headers_count(headers, "Transfer-Encoding") == 1 &&
				     strcasecmp(coding, "chunked") == 0);
}

static size_t broken(struct transfer *transfer, const char *why)
{
	transfer->fault = why;
	return 0; /* less than was given: curl stops */
}

static size_t head_end(struct transfer *transfer, size_t size)
{
	long status = 0;

	transfer->in_head = false;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 100 && status < 200 && status != 101)
		return size;
	if (status < 200 || status > 999)
		return broken(transfer, "the answer's status is none");
	if (!transfer_coding_ok(&transfer->headers))
		return broken(transfer, "the answer has an unknown transfer coding");
	if (!content_length(&transfer->content_length, &transfer->headers))
		return broken(transfer, "the answer's Content-Length is malformed");
	transfer->phase = TRANSFER_BODY;
	timer_arm(transfer);
	/* curl gives up the rest of an upload that was refused, but a paused one it would
	 * hold until it is unpaused. */
	if (status >= 400 && transfer->send_paused) {
		transfer->body_wished = true;
		upstream_queue(transfer);
	}
	transfer->events->head(transfer, (int)status, &transfer->headers, transfer->arg);
	return transfer->cancelled ? 0 : size;
}

/* One line of a head, or of a trailer, with its end. */
static size_t on_header(char *line, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t given = unit * count;
	size_t size = given;
	const char *colon;

	if (transfer->cancelled)
		return 0;
	transfer->head_size += size;
	if (transfer->head_size > transfer->upstream->limits.head_size_max)
		return broken(transfer, "the answer's head is too large");
	if (transfer->phase == TRANSFER_BODY)
		return given; /* a trailer */
	while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
		size--;
	if (!transfer->in_head) { /* "HTTP/1.1 200 OK" */
		headers_fini(&transfer->headers);
		transfer->in_head = true;
		return given;
	}
	if (size == 0)
		return head_end(transfer, given);
	colon = memchr(line, ':', size);
	if (colon == NULL)
		return broken(transfer, "a header field of the answer is malformed");
	if (!headers_add(&transfer->headers, line, (size_t)(colon - line), colon + 1,
		size - (size_t)(colon - line) - 1))
		return broken(
		    transfer, "a header field of the answer is malformed, or there are too many");
	return given;
}

static size_t on_body(char *bytes, size_t unit, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t size = unit * count;
	bool taken;

	if (transfer->cancelled)
		return CURL_WRITEFUNC_ERROR;
	if (transfer->phase != TRANSFER_BODY)
		return broken(transfer, "the answer has no head");
	if (size == 0)
		return 0;
	transfer->resume_wished = false;
	taken =
	    !transfer->pause_wished && transfer->events->body(transfer, bytes, size, transfer->arg);
	if (transfer->cancelled)
		return CURL_WRITEFUNC_ERROR;
	transfer->receive_paused = !taken;
	timer_arm(transfer);
	return taken ? size : CURL_WRITEFUNC_PAUSE;
}

/* --- wishes --- */

static void transfer_unpause(struct transfer *transfer)
{
	bool receive = transfer->receive_paused && transfer->resume_wished;
	bool send = transfer->send_paused && transfer->body_wished;
	CURLcode code;
	int mask;

	transfer->resume_wished = false;
	transfer->body_wished = false;
	if (!receive && !send)
		return;
	if (receive)
		transfer->receive_paused = false;
	if (send)
		transfer->send_paused = false;
	timer_arm(transfer);
	mask = (transfer->receive_paused ? CURLPAUSE_RECV : 0) |
	       (transfer->send_paused ? CURLPAUSE_SEND : 0);
	/* This hands out the piece that was kept back. What goes wrong then is told here
	 * and nowhere else. */
	code = curl_easy_pause(transfer->easy, mask);
	if (code != CURLE_OK)
		transfer_fail(transfer, code);
}

void transfer_work(struct transfer *transfer)
{
	CURLMcode code;

	if (transfer->cancelled) {
		transfer_free(transfer);
		return;
	}
	must(transfer->phase != TRANSFER_PREPARED);
	if (transfer->phase != TRANSFER_NEW) {
		transfer_unpause(transfer);
		return;
	}
	transfer->phase = TRANSFER_CONNECT;
	timer_arm(transfer);
	code = transfer->easy == NULL
		   ? CURLM_OUT_OF_MEMORY
		   : curl_multi_add_handle(transfer->upstream->multi, transfer->easy);
	if (code != CURLM_OK)
		transfer_finish(transfer, TRANSFER_UNREACHABLE, curl_multi_strerror(code));
}

/* --- the request --- */

/* What curl makes itself, from the URL and the body. */
static bool is_framing(const struct header *field)
{
	return header_is(field, "Host") || header_is(field, "Content-Length") ||
	       header_is(field, "Transfer-Encoding") || header_is(field, "Expect");
}

/* "Name: value", or, for an empty value, curl's "Name;". Behind it. */
static char *line_write(char *out, const struct header *field)
{
	memcpy(out, field->name, field->name_size);
	out += field->name_size;
	if (field->value_size == 0) {
		*out++ = ';';
	} else {
		*out++ = ':';
		*out++ = ' ';
		memcpy(out, field->value, field->value_size);
		out += field->value_size;
	}
	*out++ = '\0';
	return out;
}

/* One more entry, which curl only reads. Behind it. */
static struct curl_slist *entry_add(struct curl_slist *list, const char *line)
{
	*list = (struct curl_slist){.data = (char *)line, .next = list + 1};
	return list + 1;
}

/* Beside the given ones: two that take away what nobody asked for. */
#define UNASKED_COUNT 2u

/* The list that curl wants, all of it in one piece of memory. Each entry is looked at a dozen times
 * while curl writes the request. A User-Agent and a Content-Type are curl's own only where it is
 * told of them. */
static bool fields_set(struct transfer *transfer, const struct headers *headers)
{
	size_t given = headers == NULL ? 0 : headers->count;
	size_t size = headers == NULL ? 0 : headers->size + given * sizeof(": ");
	struct curl_slist *list;
	char *text;

	transfer->fields = must_alloc((given + UNASKED_COUNT) * sizeof(*list) + size);
	list = transfer->fields;
	text = (char *)(list + given + UNASKED_COUNT);
	for (size_t i = 0; i < given; i++) {
		if (is_framing(&headers->items[i]))
			continue;
		list = entry_add(list, text);
		text = line_write(text, &headers->items[i]);
	}
	if (headers == NULL || headers_get(headers, "Accept") == NULL)
		list = entry_add(list, "Accept:");
	if (transfer->uploads)
		list = entry_add(list, "Expect:");
	list[-1].next = NULL; /* Accept is there, or its absence */
	return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->fields) == CURLE_OK;
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (strcmp(word, *words) == 0)
			return true;
	}
	return false;
}

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

/* Tells the handle, unless it was told so for its last request. Asking for GET takes back all
 * that may have been set for another method. */
static bool method_tell(struct transfer *transfer, const char *method)
{
	CURL *easy = transfer->easy;

	if (transfer->method != NULL && transfer->told_upload == transfer->uploads &&
	    strcmp(transfer->method, method) == 0)
		return true;
	free(transfer->method);
	transfer->method = must_strdup(method);
	transfer->told_upload = transfer->uploads;
	if (!SET(CURLOPT_HTTPGET, 1L))
		return false;
	if (strcmp(method, "HEAD") == 0)
		return SET(CURLOPT_CUSTOMREQUEST, NULL) && SET(CURLOPT_NOBODY, 1L);
	return (!transfer->uploads || SET(CURLOPT_UPLOAD, 1L)) &&
	       SET(CURLOPT_CUSTOMREQUEST, method);
}

/* A body goes with any method but HEAD; POST, PUT and PATCH say so when they have none. */
static bool method_set(struct transfer *transfer, const char *method)
{
	static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "TRACE", NULL};
	static const char *const enclosing[] = {"POST", "PUT", "PATCH", NULL};
	CURL *easy = transfer->easy;

	transfer->safe = is_one_of(method, safe);
	if (strcmp(method, "HEAD") == 0)
		transfer->body = NULL;
	if (transfer->body == NULL)
		transfer->body_size = 0;
	transfer->uploads = transfer->body != NULL || is_one_of(method, enclosing);
	return method_tell(transfer, method) &&
	       (!transfer->uploads ||
		   SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->body_size));
}

/* Debian's curl trusts a file and a folder by default, which hold the same. The folder would be
 * trusted beside the owner's own file too; and while there is one, curl reads the file again
 * for every connection, 30 ms of a core each, instead of keeping what it read. */
static bool trust_set(CURL *easy, const struct upstream *upstream)
{
	if (upstream->ca_file != NULL && !SET(CURLOPT_CAINFO, upstream->ca_file))
		return false;
	return (upstream->ca_file == NULL && !upstream->has_bundle) ||
	       (SET(CURLOPT_CAPATH, NULL) && SET(CURLOPT_CA_CACHE_TIMEOUT, TRUST_S_MAX));
}

/* Ours is the one that counts; curl's own, 300 s, must not be the shorter. One that it is told is
 * one more timer in each request, kept connection or not. */
static bool connect_time_set(CURL *easy, const struct upstream_limits *limits)
{
	const uint32_t enough_ms = limits->connect_ms_max + 60000u;

	return enough_ms <= 300000u || SET(CURLOPT_CONNECTTIMEOUT_MS, (long)enough_ms);
}

/* What is the same for every request of this handle. TLS sessions are not taken up again: a
 * certificate, and the staple that speaks for it, is shown for every connection. */
static bool options_set(struct transfer *transfer)
{
	const struct upstream *upstream = transfer->upstream;
	CURL *easy = transfer->easy;

	return SET(CURLOPT_PRIVATE, transfer) && SET(CURLOPT_ERRORBUFFER, transfer->error) &&
	       SET(CURLOPT_PATH_AS_IS, 1L) &&
	       SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	       SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
	       SET(CURLOPT_NETRC, CURL_NETRC_IGNORED) && SET(CURLOPT_PROXY, "") &&
	       SET(CURLOPT_NOPROXY, "*") && /* nor is the environment asked */
	       SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS) &&
	       SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) && SET(CURLOPT_HTTP09_ALLOWED, 0L) &&
	       SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
	       SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
	       SET(CURLOPT_SSL_CTX_FUNCTION, on_tls_context) &&
	       SET(CURLOPT_SSL_CTX_DATA, transfer) &&
	       trust_set(easy, upstream) &&
	       SET(CURLOPT_TCP_NODELAY, 1L) && SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
	       SET(CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S_MAX) &&
	       connect_time_set(easy, &upstream->limits) &&
	       SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket) &&
	       SET(CURLOPT_OPENSOCKETDATA, transfer) &&
	       SET(CURLOPT_CLOSESOCKETFUNCTION, upstream_close) &&
	       SET(CURLOPT_CLOSESOCKETDATA, transfer->upstream) &&
	       SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_SIZE) &&
	       SET(CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_SIZE) &&
	       SET(CURLOPT_READFUNCTION, on_read) && SET(CURLOPT_READDATA, transfer) &&
	       SET(CURLOPT_SEEKFUNCTION, on_seek) && SET(CURLOPT_SEEKDATA, transfer) &&
	       SET(CURLOPT_PREREQFUNCTION, on_ready) && SET(CURLOPT_PREREQDATA, transfer) &&
	       SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, transfer) &&
	       SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, transfer);
}

/* Of "https://host:1/path?query" what is before the path. 0: there is anything in it that needs
 * to be understood before it is sent, a user, a zone, a name that is not ASCII, no path. */
static size_t origin_size(const char *url)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-:[]";
	size_t scheme_size = 0, size;

	if (strncmp(url, "http://", 7) == 0)
		scheme_size = 7;
	else if (strncmp(url, "https://", 8) == 0)
		scheme_size = 8;
	size = scheme_size + strspn(url + scheme_size, plain);
	return scheme_size > 0 && size > scheme_size && url[size] == '/' ? size : 0;
}

/* Is it sent as it is? A fragment is not, nor is what curl would escape. */
static bool is_target(const char *target)
{
	for (; *target != '\0'; target++) {
		if (*target <= 0x20 || *target >= 0x7f || *target == '#')
			return false;
	}
	return true;
}

/* Does the handle have the URL's place in hand? How much of the URL it is, else 0. Most requests
 * go where the last one went. */
static size_t place_size(const struct transfer *transfer, const char *url)
{
	size_t size = transfer->origin == NULL ? 0 : strlen(transfer->origin);

	return size > 0 && strncmp(transfer->origin, url, size) == 0 && url[size] == '/' ? size : 0;
}

static bool place_set(struct transfer *transfer, const char *url, size_t size)
{
	char *origin;

	if (transfer->place == NULL)
		transfer->place = curl_url();
	free(transfer->origin);
	transfer->origin = NULL;
	origin = must_strndup(url, size);
	if (curl_url_set(transfer->place, CURLUPART_URL, origin, CURLU_DISALLOW_USER) !=
	    CURLUE_OK) {
		free(origin);
		return false;
	}
	transfer->origin = origin;
	return true;
}

/* curl parses a URL, and writes it again, for each request. Where host and port are the last
 * request's and the rest goes out as it is, both are spared; everything else is curl's to read,
 * and to find fault with. */
static bool url_set(struct transfer *transfer, const char *url)
{
	size_t known = place_size(transfer, url), size = known > 0 ? known : origin_size(url);
	CURL *easy = transfer->easy;

	if (size > 0 && is_target(url + size) && (known > 0 || place_set(transfer, url, size)))
		return SET(CURLOPT_CURLU, transfer->place) &&
		       SET(CURLOPT_REQUEST_TARGET, url + size);
	return SET(CURLOPT_CURLU, NULL) && SET(CURLOPT_REQUEST_TARGET, NULL) &&
	       SET(CURLOPT_URL, url);
}

static bool request_set(struct transfer *transfer, const struct transfer_request *request)
{
	return url_set(transfer, request->url) && fresh_set(transfer, false) &&
	       method_set(transfer, request->method) && fields_set(transfer, request->headers);
}

/* With a handle of curl's that knows what is the same for all; without when memory is gone. One
 * that was used before only ever had requests that ended well: it was asked for everything and
 * has been told everything, so that request_set() is all that the next one differs in. */
static struct transfer *transfer_new(struct upstream *upstream)
{
	struct transfer *transfer = upstream->spares;

	if (transfer != NULL) {
		LL_DELETE(upstream->spares, transfer);
		upstream->spare_count--;
		*transfer = (struct transfer){
		    .upstream = upstream,
		    .easy = transfer->easy,
		    .place = transfer->place,
		    .origin = transfer->origin,
		    .method = transfer->method,
		    .told_upload = transfer->told_upload,
		    .told_fresh = transfer->told_fresh,
		};
	} else {
		transfer = must_calloc(1, sizeof(*transfer));
		transfer->upstream = upstream;
		transfer->easy = curl_easy_init();
		if (transfer->easy != NULL && !options_set(transfer)) {
			curl_easy_cleanup(transfer->easy);
			transfer->easy = NULL;
		}
	}
	transfer->limits_count = upstream->limits_count;
	return transfer;
}

struct transfer *transfer_prepare(struct upstream *upstream,
    const struct transfer_request *request, const struct transfer_events *events, void *arg)
{
	struct transfer *transfer = transfer_new(upstream);

	transfer->phase = TRANSFER_PREPARED;
	transfer->events = events;
	transfer->arg = arg;
	transfer->body = request->body;
	transfer->body_size = request->body_size;
	transfer->reach = request->reach;
	transfer->content_length = -1;
	transfer->secure = strncasecmp(request->url, "https:", 6) == 0;
	headers_init(&transfer->headers);
	event_assign(&transfer->timer, upstream->base, -1, 0, on_transfer_timer, transfer);
	upstream->transfer_count++;
	if (transfer->easy != NULL && !request_set(transfer, request)) {
		curl_easy_cleanup(transfer->easy);
		transfer->easy = NULL; /* out of memory: told by `done` */
	}
	return transfer;
}

void transfer_send(struct transfer *transfer)
{
	must(transfer->phase == TRANSFER_PREPARED);
	transfer->phase = TRANSFER_NEW;
	upstream_queue(transfer);
}

struct transfer *transfer_start(struct upstream *upstream, const struct transfer_request *request,
    const struct transfer_events *events, void *arg)
{
	struct transfer *transfer = transfer_prepare(upstream, request, events, arg);

	transfer_send(transfer);
	return transfer;
}

void transfer_body_ready(struct transfer *transfer)
{
	transfer->body_wished = true;
	if (transfer->send_paused)
		upstream_queue(transfer);
}

void transfer_pause(struct transfer *transfer)
{
	transfer->pause_wished = true;
	if (transfer->phase == TRANSFER_BODY)
		timer_arm(transfer);
}

void transfer_resume(struct transfer *transfer)
{
	transfer->pause_wished = false;
	transfer->resume_wished = true;
	if (transfer->phase == TRANSFER_BODY)
		timer_arm(transfer);
	/* A seller and an agent who are both fast have a piece ready whenever there is room. */
	upstream_queue_later(transfer);
}

void transfer_hurry(struct transfer *transfer)
{
	transfer->hurried = true;
	upstream_timer_set(&transfer->timer, transfer->upstream->limits.response_ms_max);
}

void transfer_cancel(struct transfer **transfer)
{
	struct transfer *cancelled = *transfer;

	*transfer = NULL;
	if (cancelled == NULL || cancelled->phase == TRANSFER_OVER)
		return; /* `done` is being called; it goes after that */
	cancelled->cancelled = true;
	event_del(&cancelled->timer);
	upstream_queue(cancelled);
}

const struct headers *transfer_headers(const struct transfer *transfer)
{
	return &transfer->headers;
}

int64_t transfer_content_length(const struct transfer *transfer)
{
	return transfer->content_length;
}

bool transfer_peer_loopback(const struct transfer *transfer)
{
	return transfer->loopback;
}

bool transfer_peer_secure(const struct transfer *transfer)
{
	return transfer->secure;
}

bool transfer_request_sent(const struct transfer *transfer)
{
	return transfer->sent_count > 0;
}
