/* proxy/rpc.c - one question to one JSON-RPC endpoint; see proxy/rpc.h.
 *
 *   rpc_ask ──▶ transfer ──▶ on_head, on_body ──▶ on_transfer_done ─┐
 *      │           └── too much: cancelled, noted ─▶ on_timer ──────┼──▶ finish ──▶ done
 *      └── time is up, or the URL may not be asked ─▶ on_timer ─────┘ */
#include "proxy/rpc.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/json.h"
#include "proxy/reach.h"
#include "proxy/spool.h"
#include "proxy/transfer.h"

/* Shorter parts of a URL ("v2", "rpc") are no secrets, and would blank out half of what a
 * reason says. */
#define SECRET_SIZE_MIN 6u
/* What an endpoint says in its own words: enough to recognise the error by. */
#define WORDS_SIZE 112u

struct rpc {
	struct event_base *base;
	struct upstream *upstream;
	uint32_t request_ms_max;
	int64_t last_id;
	size_t request_count;
	bool plain; /* http: the peer must be on the loopback interface */
	unsigned reach;
	bool usable;
	char reason[RPC_REASON_SIZE]; /* why it is not usable */
	char origin[RPC_ORIGIN_SIZE];
	char *url;
};

struct rpc_request {
	struct rpc *rpc;
	struct transfer *transfer; /* NULL: it is over */
	struct spool *question;
	struct event timer;
	struct buf body;
	int64_t id;
	int status; /* HTTP */
	bool coded; /* the answer has a content coding */
	bool repeated;
	const char *fault; /* what we stopped it for */
	rpc_fn *done;
	void *arg;
};

const char *rpc_result_str(enum rpc_result result)
{
	switch (result) {
	case RPC_OK:
		return "ok";
	case RPC_ERROR:
		return "error";
	case RPC_FAILED:
		return "failed";
	}
	return "unknown";
}

/* --- the URL --- */

struct url_parts {
	char *scheme, *host, *port; /* port: NULL when it is the scheme's own */
	bool user, fragment;
};

static void parts_fini(struct url_parts *parts)
{
	curl_free(parts->scheme);
	curl_free(parts->host);
	curl_free(parts->port);
}

static bool part_given(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool given = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return given;
}

/* False, nothing to free, when it is no URL. */
static bool parts_of(struct url_parts *out, const char *text)
{
	struct url_parts parts = {0};
	CURLU *url = curl_url();
	bool ok = url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
		  curl_url_get(url, CURLUPART_SCHEME, &parts.scheme, 0) == CURLUE_OK &&
		  curl_url_get(url, CURLUPART_HOST, &parts.host, 0) == CURLUE_OK &&
		  parts.host[0] != '\0';

	if (ok) {
		(void)curl_url_get(url, CURLUPART_PORT, &parts.port, CURLU_NO_DEFAULT_PORT);
		parts.user = part_given(url, CURLUPART_USER) || part_given(url, CURLUPART_PASSWORD);
		parts.fragment = part_given(url, CURLUPART_FRAGMENT);
		*out = parts;
	} else {
		parts_fini(&parts);
	}
	curl_url_cleanup(url);
	return ok;
}

/* curl itself resolves "localhost" to the loopback interface, whatever DNS says. */
static bool host_is_loopback(const char *host)
{
	struct in_addr v4;

	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static const char *text_fault(const char *url)
{
	if (strlen(url) >= RPC_URL_SIZE)
		return "is longer than 1023 bytes";
	for (const char *at = url; *at != '\0'; at++) {
		if (*at <= ' ' || *at > '~')
			return "holds a blank, or what is not printable ASCII";
	}
	return NULL;
}

static const char *parts_fault(const struct url_parts *parts)
{
	if (strcmp(parts->scheme, "https") != 0 && strcmp(parts->scheme, "http") != 0)
		return "must begin with https://";
	if (parts->user)
		return "must not hold a user name: put the key into the path, as the provider "
		       "shows it";
	if (parts->fragment)
		return "must not hold a '#'";
	if (strcmp(parts->scheme, "http") == 0 && !host_is_loopback(parts->host))
		return "must begin with https://: over plain http anybody on the way could "
		       "write the answers that end payments";
	return NULL;
}

/* curl would pass over a third slash. */
static bool has_scheme(const char *url)
{
	return (strncasecmp(url, "https://", 8) == 0 && url[8] != '/') ||
	       (strncasecmp(url, "http://", 7) == 0 && url[7] != '/');
}

bool rpc_url_check(char reason[RPC_REASON_SIZE], const char *url)
{
	struct url_parts parts;
	const char *fault = text_fault(url);
	char origin[RPC_ORIGIN_SIZE];

	if (fault == NULL) {
		fault = "is no URL that begins with https://";
		if (has_scheme(url) && parts_of(&parts, url)) {
			fault = parts_fault(&parts);
			parts_fini(&parts);
		}
	}
	if (fault != NULL)
		(void)snprintf(
		    reason, RPC_REASON_SIZE, "%.60s %s", rpc_url_origin(origin, url), fault);
	return fault == NULL;
}

const char *rpc_url_origin(char origin[RPC_ORIGIN_SIZE], const char *url)
{
	struct url_parts parts;

	if (!has_scheme(url) || !parts_of(&parts, url)) {
		(void)snprintf(origin, RPC_ORIGIN_SIZE, "(not a URL)");
		return origin;
	}
	(void)snprintf(origin, RPC_ORIGIN_SIZE, "%s://%s%s%s", parts.scheme, parts.host,
	    parts.port == NULL ? "" : ":", parts.port == NULL ? "" : parts.port);
	parts_fini(&parts);
	for (char *at = origin; *at != '\0'; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
	return origin;
}

/* Overwrite each occurrence of one part of the URL. */
static void mask_part(char *words, const char *part, size_t size)
{
	size_t length = strlen(words);

	for (size_t i = 0; size >= SECRET_SIZE_MIN && i + size <= length; i++) {
		if (strncasecmp(words + i, part, size) == 0)
			memset(words + i, '*', size);
	}
}

/* A stranger's words, as they may stand in a reason. Cut only after masking, and what is
 * masked reaches a whole URL further, or the piece of a key that is left would not be found. */
static void quote(char out[WORDS_SIZE], const struct rpc *rpc, const char *words)
{
	char text[WORDS_SIZE + RPC_URL_SIZE];
	const char *part = rpc->url + strcspn(rpc->url, "/");
	size_t count = 0;

	for (; *words != '\0' && count < sizeof(text) - 1; words++)
		text[count++] = *words < ' ' || *words > '~' ? ' ' : *words;
	text[count] = '\0';
	part += strspn(part, "/");
	part += strcspn(part, "/?");
	while (*part != '\0') {
		size_t size = strcspn(part, "/?&=");

		mask_part(text, part, size);
		part += size;
		part += strspn(part, "/?&=");
	}
	(void)snprintf(out, WORDS_SIZE, "%.*s", (int)WORDS_SIZE - 1, text);
}

/* --- the end of a request --- */

static void request_free(struct rpc_request *request)
{
	request->rpc->request_count--;
	if (request->transfer != NULL)
		transfer_cancel(&request->transfer);
	event_del(&request->timer);
	spool_free(&request->question);
	buf_fini(&request->body);
	free(request);
}

static void finish(struct rpc_request *request, const struct rpc_answer *answer)
{
	rpc_fn *done = request->done;
	void *arg = request->arg;

	request_free(request);
	done(answer, arg);
}

static void fail(struct rpc_request *request, const char *reason)
{
	const struct rpc_answer answer = {.result = RPC_FAILED, .reason = reason};

	finish(request, &answer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_request *request = arg;

	(void)fd;
	(void)what;
	fail(request, request->fault != NULL ? request->fault : "no whole answer in time");
}

/* Stop it now, tell from the loop. */
static void stop(struct rpc_request *request, const char *fault)
{
	request->fault = fault;
	if (request->transfer != NULL)
		transfer_cancel(&request->transfer);
	event_active(&request->timer, EV_TIMEOUT, 1);
}

/* --- the answer --- */

static bool envelope_ok(const json_t *root, int64_t id)
{
	const json_t *given = json_object_get(root, "id");
	const char *version = json_str(root, "jsonrpc");

	if (!json_is_object(root) || version == NULL || strcmp(version, "2.0") != 0)
		return false;
	/* An endpoint that could not read the question cannot know its id. */
	if (json_is_null(given))
		return json_member(root, "error") != NULL;
	return json_is_integer(given) && json_integer_value(given) == id;
}

static void tell_error(struct rpc_request *request, const json_t *error)
{
	const char *message = json_str(error, "message");
	const json_t *code = json_object_get(error, "code");
	char words[WORDS_SIZE], reason[RPC_REASON_SIZE];
	struct rpc_answer answer = {.result = RPC_ERROR, .reason = reason};

	answer.code = json_is_integer(code) ? json_integer_value(code) : 0;
	quote(words, request->rpc, message == NULL ? "" : message);
	(void)snprintf(reason, sizeof(reason), "error %lld: %s", (long long)answer.code, words);
	finish(request, &answer);
}

/* Nodes send error objects with status 200, and with 4xx and 5xx; a result only with 200. */
static void tell(struct rpc_request *request, const json_t *root)
{
	struct rpc_answer answer = {.result = RPC_OK, .reason = ""};
	const json_t *error = json_member(root, "error");

	answer.value = json_object_get(root, "result");
	if (!envelope_ok(root, request->id))
		fail(request, "junk: not an answer to the question");
	else if (json_is_object(error) && json_member(root, "result") == NULL)
		tell_error(request, error);
	else if (request->status != 200)
		fail(request, "junk: a result under an HTTP status other than 200");
	else if (error != NULL || answer.value == NULL)
		fail(request, "junk: neither a result nor an error, or both");
	else
		finish(request, &answer);
}

static void read_answer(struct rpc_request *request)
{
	struct json_error error;
	char reason[RPC_REASON_SIZE];
	json_t *root = NULL;

	if (!request->coded)
		root = json_read(
		    &error, buf_str(&request->body), request->body.size, request->body.size_max);
	if (root != NULL && (request->status == 200 || json_is_object(root))) {
		tell(request, root);
	} else if (request->status != 200) {
		(void)snprintf(reason, sizeof(reason), "HTTP status %d", request->status);
		fail(request, reason);
	} else if (request->coded) {
		fail(request, "junk: a content coding that was not asked for");
	} else {
		fail(request, "junk: not JSON within bounds");
	}
	json_decref(root);
}

static void on_head(struct transfer *transfer, int status, const struct headers *headers, void *arg)
{
	struct rpc_request *request = arg;
	const char *coding = headers_get(headers, "Content-Encoding");

	request->status = status;
	request->coded = coding != NULL && strcasecmp(coding, "identity") != 0;
	if (request->rpc->plain && !transfer_peer_loopback(transfer))
		stop(request, "plain http, and not to this machine");
	else if (transfer_content_length(transfer) > (int64_t)request->body.size_max)
		stop(request, "junk: the answer is too large");
}

static bool on_body(struct transfer *transfer, const void *bytes, size_t size, void *arg)
{
	struct rpc_request *request = arg;

	(void)transfer;
	buf_add(&request->body, bytes, size);
	if (!buf_ok(&request->body))
		stop(request, "junk: the answer is too large");
	return true;
}

static void send_question(struct rpc_request *request);

static void on_transfer_done(
    struct transfer *transfer, enum transfer_result result, const char *reason, void *arg)
{
	struct rpc_request *request = arg;
	char words[WORDS_SIZE], text[RPC_REASON_SIZE];

	(void)transfer;
	request->transfer = NULL;
	if (result == TRANSFER_OK) {
		read_answer(request);
		return;
	}
	/* A kept connection that turns out to be dead is no fault of the endpoint's, and
	 * nothing we ask does harm when it is asked twice. */
	if (result == TRANSFER_BROKEN && request->status == 0 && !request->repeated) {
		request->repeated = true;
		send_question(request);
		return;
	}
	quote(words, request->rpc, reason);
	(void)snprintf(text, sizeof(text), "%s: %s", transfer_result_str(result), words);
	fail(request, text);
}

/* --- asking --- */

static void send_question(struct rpc_request *request)
{
	static const struct transfer_events events = {on_head, on_body, on_transfer_done};
	struct headers headers;
	const struct transfer_request out = {
	    .method = "POST",
	    .url = request->rpc->url,
	    .headers = &headers,
	    .body = request->question,
	    .body_size = spool_size(request->question),
	    .reach = request->rpc->reach,
	};

	headers_init(&headers);
	headers_put(&headers, "Content-Type", "application/json");
	headers_put(&headers, "Accept", "application/json");
	/* Some providers refuse requests without one. */
	headers_put(&headers, "User-Agent", "tallyward");
	request->transfer = transfer_start(request->rpc->upstream, &out, &events, request);
	headers_fini(&headers);
}

static struct spool *question_new(int64_t id, const char *method, json_t *params)
{
	json_t *root = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)id,
	    "method", method, "params", params);
	char *text = json_dumps(root, JSON_COMPACT);
	/* All of it stays in memory: the folder is never used. */
	struct spool *spool = spool_new("/", RPC_QUESTION_SIZE_MAX, RPC_QUESTION_SIZE_MAX);

	must(text != NULL);
	must(spool_write(spool, text, strlen(text)) == SPOOL_OK);
	spool_finish(spool);
	free(text);
	json_decref(root);
	return spool;
}

struct rpc_request *rpc_ask(struct rpc *rpc, const char *method, json_t *params,
    size_t answer_size_max, rpc_fn *done, void *arg)
{
	struct rpc_request *request = must_calloc(1, sizeof(*request));
	const struct timeval after = {
	    rpc->request_ms_max / 1000, (rpc->request_ms_max % 1000) * 1000};

	must(json_is_array(params));
	*request = (struct rpc_request){.rpc = rpc, .id = ++rpc->last_id, .done = done, .arg = arg};
	rpc->request_count++;
	buf_init(&request->body, answer_size_max);
	event_assign(&request->timer, rpc->base, -1, 0, on_timer, request);
	request->question = question_new(request->id, method, params);
	if (rpc->usable) {
		event_add(&request->timer, &after);
		send_question(request);
	} else {
		stop(request, rpc->reason);
	}
	return request;
}

void rpc_cancel(struct rpc_request **request)
{
	if (*request != NULL)
		request_free(*request);
	*request = NULL;
}

/* --- the endpoint --- */

struct rpc *rpc_new(
    struct event_base *base, struct upstream *upstream, const char *url, uint32_t request_ms_max)
{
	struct rpc *rpc = must_calloc(1, sizeof(*rpc));

	must(request_ms_max > 0);
	rpc->base = base;
	rpc->upstream = upstream;
	rpc->request_ms_max = request_ms_max;
	rpc->url = must_strdup(url);
	rpc->plain = strncasecmp(url, "https:", 6) != 0;
	rpc->reach = rpc->plain ? REACH_LOOPBACK : reach_of_url(url, true);
	rpc->usable = rpc_url_check(rpc->reason, url);
	(void)rpc_url_origin(rpc->origin, url);
	return rpc;
}

void rpc_free(struct rpc **rpc)
{
	struct rpc *old = *rpc;

	if (old == NULL)
		return;
	must(old->request_count == 0);
	free(old->url);
	free(old);
	*rpc = NULL;
}

const char *rpc_origin(const struct rpc *rpc)
{
	return rpc->origin;
}
