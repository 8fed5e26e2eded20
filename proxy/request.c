/* proxy/request.c - reading a request off a connection.
 *
 * llhttp does the parsing, in its strict mode. Two things are done around it. Line ends
 * are checked first, byte by byte, because a head that two parsers cut differently is how
 * requests are smuggled and llhttp 8.1 still takes some that it should not. And what
 * llhttp took is checked once more where it matters: framing, Host, target. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "proxy/connection.h"

/* One call of llhttp gets at most this; between two calls a pause takes effect. */
#define PIECE_SIZE_MAX (16u * 1024u)

enum lines_result { LINES_MORE, LINES_END, LINES_BAD };

static void lines_init(struct lines *lines, bool with_first)
{
	*lines = (struct lines){.in_first = with_first, .line_empty = true};
}

/* Every line ends in CRLF and nothing else does; no other control byte but the tab; no
 * line after the first is a continuation (obs-fold). Stops behind the empty line. */
static enum lines_result lines_byte(struct lines *lines, unsigned char byte)
{
	unsigned char last = lines->last;

	lines->last = byte;
	lines->size++;
	if ((byte == '\n') != (last == '\r'))
		return LINES_BAD;
	if (byte == '\n') {
		if (lines->line_empty)
			return LINES_END;
		lines->line_empty = true;
		lines->in_first = false;
		return LINES_MORE;
	}
	if (byte == '\r')
		return LINES_MORE;
	if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
		return LINES_BAD;
	if (lines->line_empty && (byte == ' ' || byte == '\t'))
		return LINES_BAD;
	lines->line_empty = false;
	return LINES_MORE;
}

/* How many of these are plain bytes inside a line: as lines_byte() takes them, more slowly. */
static size_t plain_count(const struct lines *lines, const unsigned char *bytes, size_t size)
{
	return lines->line_empty || lines->last == '\r' ? 0 : bytes_span_text(bytes, size);
}

static enum lines_result lines_piece(struct lines *lines, const unsigned char *bytes, size_t size)
{
	enum lines_result result = LINES_MORE;
	size_t done = 0;

	while (done < size && result == LINES_MORE) {
		size_t count = plain_count(lines, bytes + done, size - done);

		if (count > 0) {
			done += count;
			lines->size += count;
			lines->last = bytes[done - 1];
		} else {
			result = lines_byte(lines, bytes[done++]);
		}
	}
	return result;
}

/* Goes on in input where the last call stopped, up to size_max bytes in all. */
static enum lines_result lines_scan(struct lines *lines, struct evbuffer *input, size_t size_max)
{
	enum lines_result result = LINES_MORE;

	while (result == LINES_MORE && lines->size < size_max) {
		struct evbuffer_ptr at;
		struct evbuffer_iovec piece;
		size_t size;

		if (lines->size >= evbuffer_get_length(input))
			break;
		must(evbuffer_ptr_set(input, &at, lines->size, EVBUFFER_PTR_SET) == 0);
		must(evbuffer_peek(input, -1, &at, &piece, 1) >= 1);
		size = piece.iov_len;
		if (size > size_max - lines->size)
			size = size_max - lines->size;
		result = lines_piece(lines, piece.iov_base, size);
	}
	return result;
}

static int refuse(struct connection *connection, int status, const char *detail)
{
	if (connection->refusal == 0) {
		connection->refusal = status;
		connection->refusal_detail = detail;
	}
	return -1;
}

/* --- what llhttp calls back --- */

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
	struct connection *connection = parser->data;
	struct exchange *exchange = connection->parsed;

	if (exchange->target != NULL)
		return refuse(connection, 400, "The request target is malformed.");
	if (size > TARGET_SIZE_MAX)
		return refuse(connection, 414, "The request target is longer than 16 KiB.");
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)at[i] <= 0x20 || (unsigned char)at[i] >= 0x7f || at[i] == '#')
			return refuse(connection, 400, "The request target is malformed.");
	}
	exchange->target = must_strndup(at, size);
	return 0;
}

static int field_end(struct connection *connection)
{
	const char *field = connection->field;
	struct headers *headers = &connection->parsed->headers;

	if (field == NULL)
		return 0;
	connection->field = NULL;
	if (!headers_fit(headers, connection->field_size, connection->value_size))
		return refuse(connection, 431, "The header fields are too many or too long.");
	if (!headers_add(headers, field, connection->field_size,
		connection->value_size > 0 ? connection->value : "", connection->value_size))
		return refuse(connection, 400, "A header field is malformed.");
	return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t size)
{
	struct connection *connection = parser->data;

	if (connection->parsed == NULL)
		return 0; /* a trailer */
	if (field_end(connection) != 0)
		return -1;
	connection->field = at;
	connection->field_size = size;
	connection->value = NULL;
	connection->value_size = 0;
	return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t size)
{
	struct connection *connection = parser->data;

	if (connection->parsed == NULL)
		return 0;
	/* The head lies in one piece, so a value does too. */
	if (connection->field == NULL || connection->value != NULL)
		return refuse(connection, 400, "A header field is malformed.");
	connection->value = at;
	connection->value_size = size;
	return 0;
}

static bool host_ok(const char *host)
{
	static const char marks[] = "-._~!$&'()*+,;=%[]:";

	for (; *host != '\0'; host++) {
		char c = *host;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
			continue;
		if (strchr(marks, c) == NULL)
			return false;
	}
	return true;
}

static int check_host(struct connection *connection)
{
	const char *host;
	size_t count = headers_all(&host, 1, &connection->parsed->headers, "Host");

	if (count == 0 && !connection->parsed->http_1_0)
		return refuse(connection, 400, "The Host header field is missing.");
	if (count > 1)
		return refuse(connection, 400, "There is more than one Host header field.");
	if (count == 1 && !host_ok(host))
		return refuse(connection, 400, "The Host header field is malformed.");
	return 0;
}

/* Digits only, one field only; llhttp knows the number already but not its spelling. */
static bool length_parse(int64_t *out, const char *text)
{
	int64_t value = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (*text - '0');
	}
	*out = value;
	return true;
}

static int check_framing(struct connection *connection)
{
	struct exchange *exchange = connection->parsed;
	const struct headers *headers = &exchange->headers;
	const char *length, *coding;
	size_t lengths = headers_all(&length, 1, headers, "Content-Length");
	size_t codings = headers_all(&coding, 1, headers, "Transfer-Encoding");

	if (lengths > 0 && codings > 0)
		return refuse(
		    connection, 400, "Content-Length and Transfer-Encoding exclude each other.");
	if (lengths > 1)
		return refuse(connection, 400, "There is more than one Content-Length.");
	if (lengths == 1 && !length_parse(&exchange->body_size, length))
		return refuse(connection, 400, "The Content-Length is malformed.");
	if (codings == 0)
		return 0;
	if (exchange->http_1_0 || codings > 1)
		return refuse(connection, 400, "The Transfer-Encoding is malformed.");
	if (strcasecmp(coding, "chunked") != 0)
		return refuse(connection, 501, "The only transfer coding known is chunked.");
	exchange->body_size = -1;
	return 0;
}

static int check_expect(struct connection *connection)
{
	struct exchange *exchange = connection->parsed;
	const char *expect;
	size_t count = headers_all(&expect, 1, &exchange->headers, "Expect");

	if (count == 0 || exchange->http_1_0)
		return 0; /* RFC 9110 10.1.1: ignored in an HTTP/1.0 request */
	if (count > 1 || strcasecmp(expect, "100-continue") != 0)
		return refuse(connection, 417, "The only expectation known is 100-continue.");
	exchange->wants_continue = exchange->body_size != 0;
	return 0;
}

static int check_line(struct connection *connection)
{
	const llhttp_t *parser = &connection->parser;
	struct exchange *exchange = connection->parsed;

	if (parser->http_major != 1 || parser->http_minor > 1)
		return refuse(connection, 505, "The versions spoken are HTTP/1.0 and 1.1.");
	if (parser->method == HTTP_CONNECT)
		return refuse(connection, 501, "CONNECT is not offered.");
	if (exchange->target == NULL || exchange->target[0] != '/')
		return refuse(
		    connection, 400, "The request target must be a path, as to an origin server.");
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct connection *connection = parser->data;
	struct exchange *exchange = connection->parsed;

	if (field_end(connection) != 0)
		return -1;
	exchange->method = llhttp_method_name(parser->method);
	exchange->http_1_0 = parser->http_minor == 0;
	exchange->head_only = parser->method == HTTP_HEAD;
	exchange->keep_alive = llhttp_should_keep_alive(parser) != 0;
	if (check_line(connection) != 0 || check_host(connection) != 0 ||
	    check_framing(connection) != 0 || check_expect(connection) != 0)
		return -1;
	/* An offer to upgrade may be ignored (RFC 9110 7.8), and must be: some clients
	 * make one with every request. */
	parser->upgrade = 0;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
	struct connection *connection = parser->data;
	struct exchange *exchange = connection->exchange;
	const struct listener *listener = connection->listener;

	connection->progress = true;
	if (connection->body_left > 0)
		connection->body_left -= (int64_t)size;
	if (connection->dropping || exchange->ended)
		connection->dropped_size += (int64_t)size;
	else if (connection->cut == CUT_NONE)
		listener->events->body(exchange, at, size, listener->arg);
	return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
	struct connection *connection = parser->data;

	if (parser->content_length > 0)
		return 0;
	connection->in_trailer = true;
	lines_init(&connection->lines, false);
	return HPE_PAUSED;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t size)
{
	struct connection *connection = parser->data;

	(void)at;
	connection->extension_size += size;
	return connection->extension_size > EXTENSION_SIZE_MAX ? -1 : 0;
}

static int on_chunk_complete(llhttp_t *parser)
{
	struct connection *connection = parser->data;
	const struct exchange *exchange = connection->exchange;

	if (connection->dropping || exchange == NULL)
		return 0;
	return exchange->body_paused || exchange->ended || connection->cut != CUT_NONE ? HPE_PAUSED
										       : 0;
}

static int on_message_complete(llhttp_t *parser)
{
	struct connection *connection = parser->data;

	connection->body_complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_chunk_complete = on_chunk_complete,
    .on_message_complete = on_message_complete,
};

/* --- the head --- */

/* The two digits behind " HTTP/" at the end of the request line, as in 11 for HTTP/1.1;
 * -1 when it ends otherwise. head holds a whole head. */
static int version_of(const char *head, size_t size)
{
	static const char shape[] = " HTTP/d.d";
	const char *line_end = memchr(head, '\r', size);
	const char *at = line_end - strlen(shape);

	if ((size_t)(line_end - head) < strlen(shape))
		return -1;
	for (size_t i = 0; i < strlen(shape); i++) {
		if (shape[i] == 'd' ? at[i] < '0' || at[i] > '9' : at[i] != shape[i])
			return -1;
	}
	return (line_end[-3] - '0') * 10 + (line_end[-1] - '0');
}

/* What llhttp did not take, as a status. */
static void refuse_parse(
    struct connection *connection, llhttp_errno_t error, const char *head, size_t size)
{
	size_t method_size = strcspn(head, " \t\r");
	int version = version_of(head, size);

	if (error == HPE_INVALID_METHOD && method_size > 0 && head[method_size] == ' ')
		refuse(connection, 501, "The request method is not known.");
	else if (version >= 0 && version != 10 && version != 11)
		refuse(connection, 505, "The versions spoken are HTTP/1.0 and 1.1.");
	else
		refuse(connection, 400, "The request head is malformed.");
}

/* "GET /path HTTP/1.1" and not a space more: llhttp skips some, and takes RTSP too. */
static bool line_exact(const struct exchange *exchange, const char *head, size_t size)
{
	size_t method_size = strlen(exchange->method);
	size_t target_size = strlen(exchange->target);
	const char *line_end = memchr(head, '\r', size);

	return version_of(head, size) >= 0 &&
	       (size_t)(line_end - head) == method_size + target_size + strlen("  HTTP/1.1") &&
	       memcmp(head, exchange->method, method_size) == 0 && head[method_size] == ' ' &&
	       memcmp(head + method_size + 1, exchange->target, target_size) == 0;
}

static enum request_read head_parse(struct connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	size_t size = connection->lines.size;
	const char *head = (const char *)evbuffer_pullup(input, (ssize_t)size);
	struct exchange *exchange = must_calloc(1, sizeof(*exchange));
	llhttp_errno_t error;

	must(head != NULL);
	exchange->connection = connection;
	headers_init(&exchange->headers);
	connection->parsed = exchange;
	connection->field = NULL;
	llhttp_init(&connection->parser, HTTP_REQUEST, &settings);
	connection->parser.data = connection;
	error = llhttp_execute(&connection->parser, head, size);
	connection->parsed = NULL;
	/* It must have stopped where the empty line was found, or it read another head. */
	if (error != HPE_PAUSED || llhttp_get_error_pos(&connection->parser) != head + size ||
	    !line_exact(exchange, head, size)) {
		refuse_parse(connection, error, head, size);
		exchange_free(&exchange);
		return REQUEST_REFUSED;
	}
	llhttp_resume(&connection->parser);
	evbuffer_drain(input, size);
	connection->exchange = exchange;
	connection->body_left = exchange->body_size;
	connection->body_complete = exchange->body_size == 0;
	connection->in_trailer = false;
	connection->dropping = false;
	connection->dropped_size = 0;
	connection->extension_size = 0;
	return REQUEST_READY;
}

/* Empty lines before a request line are skipped (RFC 9112 2.2). */
static void skip_empty_lines(struct evbuffer *input)
{
	const unsigned char *start;

	while ((start = evbuffer_pullup(input, 2)) != NULL && start[0] == '\r' && start[1] == '\n')
		evbuffer_drain(input, 2);
}

static bool is_half_empty_line(struct evbuffer *input)
{
	char start;

	return evbuffer_get_length(input) == 1 && evbuffer_copyout(input, &start, 1) == 1 &&
	       start == '\r';
}

enum request_read request_head(struct connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	struct lines *lines = &connection->lines;

	if (lines->size == 0) {
		skip_empty_lines(input);
		if (is_half_empty_line(input))
			return REQUEST_MORE;
		lines_init(lines, true);
	}
	switch (lines_scan(lines, input, HEAD_SIZE_MAX)) {
	case LINES_END:
		return head_parse(connection);
	case LINES_BAD:
		refuse(connection, 400, "The request head is malformed.");
		return REQUEST_REFUSED;
	case LINES_MORE:
		break;
	}
	if (lines->in_first && lines->size > TARGET_SIZE_MAX + 64) {
		refuse(connection, 414, "The request target is longer than 16 KiB.");
		return REQUEST_REFUSED;
	}
	if (lines->size >= HEAD_SIZE_MAX) {
		refuse(connection, 431, "The header fields are too many or too long.");
		return REQUEST_REFUSED;
	}
	return REQUEST_MORE;
}

/* --- the body --- */

static void body_bad(struct connection *connection)
{
	if (connection->dropping)
		connection->closing = true; /* the answer is out; just nothing after it */
	else
		connection_cut(connection, CUT_BODY_BAD);
}

static bool body_feed(struct connection *connection, size_t size)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	const char *bytes = (const char *)evbuffer_pullup(input, (ssize_t)size);
	llhttp_errno_t error;

	must(bytes != NULL);
	error = llhttp_execute(&connection->parser, bytes, size);
	if (error == HPE_PAUSED) {
		size = (size_t)(llhttp_get_error_pos(&connection->parser) - bytes);
		llhttp_resume(&connection->parser);
	} else if (error != HPE_OK) {
		body_bad(connection);
		return false;
	}
	evbuffer_drain(input, size);
	return true;
}

/* Trailers are checked for their line ends, handed to llhttp whole, and dropped. */
static bool trailer_feed(struct connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	struct lines *lines = &connection->lines;
	enum lines_result result = lines_scan(lines, input, TRAILER_SIZE_MAX);

	if (result == LINES_MORE && lines->size < TRAILER_SIZE_MAX)
		return false;
	if (result != LINES_END || !body_feed(connection, lines->size) ||
	    !connection->body_complete) {
		body_bad(connection);
		return false;
	}
	return true;
}

bool request_body(struct connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	size_t size = evbuffer_get_contiguous_space(input);

	if (connection->body_complete || size == 0)
		return false;
	if (connection->in_trailer)
		return trailer_feed(connection);
	return body_feed(connection, size < PIECE_SIZE_MAX ? size : PIECE_SIZE_MAX);
}

void exchange_free(struct exchange **exchange)
{
	headers_fini(&(*exchange)->headers);
	free((*exchange)->target);
	free(*exchange);
	*exchange = NULL;
}
