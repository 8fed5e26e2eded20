/* proxy/exchange.c - what a handler sees of a request, and how it answers. */
#include "proxy/exchange.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "proxy/connection.h"

const char *exchange_status_str(int status)
{
	static const struct {
		int status;
		const char *text;
	} names[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {203, "Non-Authoritative Information"},
	    {204, "No Content"},
	    {205, "Reset Content"},
	    {206, "Partial Content"},
	    {207, "Multi-Status"},
	    {300, "Multiple Choices"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {402, "Payment Required"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {406, "Not Acceptable"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {412, "Precondition Failed"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {421, "Misdirected Request"},
	    {422, "Unprocessable Content"},
	    {425, "Too Early"},
	    {426, "Upgrade Required"},
	    {428, "Precondition Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {451, "Unavailable For Legal Reasons"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	    {507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].status == status)
			return names[i].text;
	}
	return "";
}

/* --- the request --- */

const char *exchange_method(const struct exchange *exchange)
{
	return exchange->method;
}

const char *exchange_target(const struct exchange *exchange)
{
	return exchange->target;
}

const struct headers *exchange_headers(const struct exchange *exchange)
{
	return &exchange->headers;
}

int64_t exchange_body_size(const struct exchange *exchange)
{
	return exchange->body_size;
}

void exchange_set_user(struct exchange *exchange, void *user)
{
	exchange->user = user;
}

void *exchange_user(const struct exchange *exchange)
{
	return exchange->user;
}

static struct evbuffer *output_of(const struct exchange *exchange)
{
	return bufferevent_get_output(exchange->connection->bev);
}

void exchange_read_body(struct exchange *exchange)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (exchange->body_wanted)
		return;
	exchange->body_wanted = true;
	if (exchange->wants_continue && !exchange->started) {
		exchange->wants_continue = false;
		if (evbuffer_add(output_of(exchange), go_on, sizeof(go_on) - 1) != 0)
			connection_cut(exchange->connection, CUT_ABORT);
	}
	connection_poke(exchange->connection);
}

void exchange_pause_body(struct exchange *exchange)
{
	exchange->body_paused = true;
	connection_poke(exchange->connection);
}

void exchange_resume_body(struct exchange *exchange)
{
	exchange->body_paused = false;
	connection_poke(exchange->connection);
}

/* --- the response --- */

/* Fields of the framing, which only this file may write. */
static bool is_framing(const struct header *field)
{
	return header_is(field, "Content-Length") || header_is(field, "Transfer-Encoding") ||
	       header_is(field, "Connection") || header_is(field, "Keep-Alive");
}

static bool out_str(struct evbuffer *output, const char *text)
{
	return evbuffer_add(output, text, strlen(text)) == 0;
}

/* "HTTP/1.1 503 Service Unavailable", Date, and what is written of the framing. */
#define HEAD_OWN_MAX 256u

static char *put_bytes(char *at, const char *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static char *put(char *at, const char *text)
{
	return put_bytes(at, text, strlen(text));
}

static char *put_number(char *at, int64_t number)
{
	char text[DECIMAL_TEXT_SIZE];

	return put(at, decimal_encode(text, number));
}

static char *put_status(char *at, int status)
{
	at = put(at, "HTTP/1.1 ");
	at = put_number(at, status);
	at = put(at, " ");
	at = put(at, exchange_status_str(status));
	return put(at, "\r\n");
}

static char *put_fields(char *at, const struct exchange *exchange, const struct headers *headers)
{
	bool dated = false;

	for (size_t i = 0; headers != NULL && i < headers->count; i++) {
		const struct header *field = &headers->items[i];

		if (is_framing(field))
			continue;
		dated = dated || header_is(field, "Date");
		at = put_bytes(at, field->name, field->name_size);
		at = put(at, ": ");
		at = put_bytes(at, field->value, field->value_size);
		at = put(at, "\r\n");
	}
	if (dated)
		return at;
	at = put(at, "Date: ");
	at = put(at, listener_date(exchange->connection->listener));
	return put(at, "\r\n");
}

static char *put_framing(char *at, const struct exchange *exchange, int64_t body_size)
{
	if (exchange->chunked)
		at = put(at, "Transfer-Encoding: chunked\r\n");
	if (body_size >= 0) {
		at = put(at, "Content-Length: ");
		at = put_number(at, body_size);
		at = put(at, "\r\n");
	}
	if (!exchange->keep_alive)
		return put(at, "Connection: close\r\n\r\n");
	return put(at, exchange->http_1_0 ? "Connection: keep-alive\r\n\r\n" : "\r\n");
}

/* The head, in one piece. */
static bool out_head(
    struct exchange *exchange, int status, const struct headers *headers, int64_t body_size)
{
	struct evbuffer *output = output_of(exchange);
	size_t size_max = HEAD_OWN_MAX;
	struct evbuffer_iovec room;
	char *at;

	if (headers != NULL)
		size_max += headers->size + headers->count * strlen(": \r\n");
	if (evbuffer_reserve_space(output, (ssize_t)size_max, &room, 1) != 1)
		return false;
	at = put_status(room.iov_base, status);
	at = put_fields(at, exchange, headers);
	at = put_framing(at, exchange, body_size);
	room.iov_len = (size_t)(at - (char *)room.iov_base);
	must(room.iov_len <= size_max);
	return evbuffer_commit_space(output, &room, 1) == 0;
}

/* Must the connection end after this answer? last: nothing more of the body will be
 * asked for. */
static bool must_close(const struct exchange *exchange, bool last)
{
	const struct connection *connection = exchange->connection;

	if (connection->listener->acceptor == NULL || exchange->until_close)
		return true;
	if (connection->body_complete)
		return false;
	/* The client was never told to go on, so it may send the body or leave it out:
	 * what follows could be either. */
	if (exchange->wants_continue)
		return true;
	return last && connection->body_left > DRAIN_SIZE_MAX;
}

static void start(struct exchange *exchange, int status, const struct headers *headers,
    int64_t body_size, bool last)
{
	struct connection *connection = exchange->connection;

	must(!exchange->started && status >= 200 && status <= 999 && body_size >= -1);
	exchange->started = true;
	exchange->bodyless = exchange->head_only || status == 204 || status == 304;
	exchange->chunked = body_size < 0 && !exchange->bodyless && !exchange->http_1_0;
	exchange->until_close = body_size < 0 && !exchange->bodyless && exchange->http_1_0;
	exchange->out_left = exchange->bodyless ? -1 : body_size;
	if (must_close(exchange, last))
		exchange->keep_alive = false;
	if (status == 204 || status == 304)
		body_size = -1;
	if (!out_head(exchange, status, headers, body_size))
		connection_cut(connection, CUT_ABORT);
	connection_poke(connection);
}

void exchange_start(
    struct exchange *exchange, int status, const struct headers *headers, int64_t body_size)
{
	start(exchange, status, headers, body_size, false);
}

static bool out_piece(struct exchange *exchange, const void *bytes, size_t size)
{
	struct evbuffer *output = output_of(exchange);

	if (exchange->chunked && evbuffer_add_printf(output, "%zx\r\n", size) < 0)
		return false;
	if (evbuffer_add(output, bytes, size) != 0)
		return false;
	return !exchange->chunked || out_str(output, "\r\n");
}

bool exchange_write(struct exchange *exchange, const void *bytes, size_t size)
{
	struct connection *connection = exchange->connection;

	must(exchange->started && !exchange->ended);
	if (connection->cut != CUT_NONE)
		return false; /* `finished` is on its way */
	if (exchange->bodyless || size == 0)
		return true;
	if (exchange->out_left >= 0) {
		if (size > (uint64_t)exchange->out_left) {
			exchange_abort(exchange);
			return false;
		}
		exchange->out_left -= (int64_t)size;
	}
	if (!out_piece(exchange, bytes, size)) {
		exchange_abort(exchange);
		return false;
	}
	connection_poke(connection);
	exchange->blocked =
	    evbuffer_get_length(output_of(exchange)) >= connection->listener->limits.out_size_high;
	return !exchange->blocked;
}

void exchange_end(struct exchange *exchange)
{
	must(exchange->started && !exchange->ended);
	if (exchange->out_left > 0) { /* less than Content-Length said */
		exchange_abort(exchange);
		return;
	}
	if (exchange->chunked && !out_str(output_of(exchange), "0\r\n\r\n")) {
		exchange_abort(exchange);
		return;
	}
	exchange->ended = true;
	exchange->blocked = false;
	connection_poke(exchange->connection);
}

void exchange_reply(struct exchange *exchange, int status, const struct headers *headers,
    const void *body, size_t size)
{
	start(exchange, status, headers, (int64_t)size, true);
	(void)!exchange_write(exchange, body, size); /* it all fits: it is copied */
	if (exchange->connection->cut == CUT_NONE)
		exchange_end(exchange);
}

void exchange_refuse(struct exchange *exchange)
{
	exchange->refused = true;
}

void exchange_abort(struct exchange *exchange)
{
	if (exchange->over)
		return;
	connection_cut(exchange->connection, CUT_ABORT);
	connection_poke(exchange->connection);
}

void exchange_problem(
    struct connection *connection, int status, const char *code, const char *detail)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);
	const char *title = exchange_status_str(status);
	char body[512];
	int size = snprintf(body, sizeof(body),
	    "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\","
	    "\"detail\":\"%s\"}\n",
	    title, status, code, detail);

	must(size > 0 && (size_t)size < sizeof(body));
	if (evbuffer_add_printf(output,
		"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: %d\r\nDate: %s\r\nConnection: close\r\n\r\n%s",
		status, title, size, listener_date(connection->listener), body) < 0)
		connection_cut(connection, CUT_PEER);
}
