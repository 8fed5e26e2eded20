/* tests/unit/proxy_node.h - a small chain, and JSON-RPC endpoints that tell the truth about it
 * until they are told to lie. On the loop under test, over loopback; nothing sleeps.
 *
 * A lie is a function that is given each truthful answer before it leaves and may change it,
 * replace the whole HTTP response, or hold it back. */
#ifndef TESTS_UNIT_PROXY_NODE_H
#define TESTS_UNIT_PROXY_NODE_H

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <jansson.h>
#include <netinet/in.h>

#include "tests/unit/proxy_world.h"
#include "tests/unit/unit.h"

#define NODE_METHODS_MAX 400u

struct node;

/* What leaves for one request. */
struct node_answer {
	const char *method;
	json_t *params; /* borrowed */
	json_t *root;   /* the whole JSON-RPC object; may be changed or replaced */
	char *raw;      /* the whole HTTP response in place of it; freed */
	size_t raw_size;
	bool hang;   /* nothing leaves */
	size_t drip; /* bytes that leave; the rest never does */
};
typedef void node_lie(struct node *node, struct node_answer *answer);

struct node {
	struct world *world;
	struct evconnlistener *listener;
	struct node_talk *talks;
	int port;
	node_lie *lie;    /* NULL: the truth */
	int64_t behind;   /* blocks it has not seen yet */
	int64_t span_max; /* eth_getLogs of more blocks is refused; 0: never */
	int64_t number;   /* for lies to count with */
	char methods[NODE_METHODS_MAX][32];
	size_t method_count;
};

struct node_talk {
	struct node *node;
	struct node_talk *next;
	struct bufferevent *stream; /* NULL: over */
};

static inline json_t *truth(struct node *node, const char *method, const json_t *params)
{
	json_t *answer =
	    world_answer(node->world, node->world->head - node->behind, method, params);

	if (answer == NULL)
		fail_msg("a method that the node does not know: %s", method);
	return answer;
}

static inline json_t *node_error(int64_t code, const char *message)
{
	return json_pack("{s:I, s:s}", "code", (json_int_t)code, "message", message);
}

static inline bool span_refused(const struct node *node, const json_t *params)
{
	const json_t *filter = json_array_get(params, 0);

	return node->span_max > 0 && number_of(json_object_get(filter, "toBlock"), 0) -
					     number_of(json_object_get(filter, "fromBlock"), 0) >=
					 node->span_max;
}

/* --- HTTP ---------------------------------------------------------------------------------- */

static inline void answer_raw(
    struct node_answer *answer, const char *head, const void *body, size_t size)
{
	char *text = must_format("%s\r\nContent-Length: %zu\r\n\r\n", head, size);

	answer->raw_size = strlen(text) + size;
	answer->raw = must_alloc(answer->raw_size + 1);
	memcpy(answer->raw, text, strlen(text));
	memcpy(answer->raw + strlen(text), body, size);
	free(text);
}

static inline void answer_text(struct node_answer *answer, const char *head, const char *body)
{
	answer_raw(answer, head, body, strlen(body));
}

#define NODE_OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json"

/* Replace the result. */
static inline void answer_set(struct node_answer *answer, json_t *result)
{
	json_object_set_new(answer->root, "result", result);
}

static inline void answer_error(struct node_answer *answer, int64_t code, const char *message)
{
	json_object_del(answer->root, "result");
	json_object_set_new(answer->root, "error", node_error(code, message));
}

static inline void node_reply(struct node_talk *talk, const char *body, size_t size)
{
	struct node *node = talk->node;
	json_t *question = json_loadb(body, size, 0, NULL);
	struct node_answer answer = {.drip = SIZE_MAX};

	must(question != NULL);
	answer.method = json_string_value(json_object_get(question, "method"));
	answer.params = json_object_get(question, "params");
	answer.root = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id",
	    json_object_get(question, "id"), "result", truth(node, answer.method, answer.params));
	must(node->method_count < NODE_METHODS_MAX);
	(void)snprintf(
	    node->methods[node->method_count++], sizeof(node->methods[0]), "%s", answer.method);
	node->world->asked++;
	if (strcmp(answer.method, "eth_getLogs") == 0 && span_refused(node, answer.params))
		answer_error(&answer, -32602, "eth_getLogs: block range too large");
	if (node->lie != NULL)
		node->lie(node, &answer);
	if (answer.raw == NULL) {
		char *text = json_dumps(answer.root, JSON_COMPACT);

		answer_text(&answer, NODE_OK_HEAD, text);
		free(text);
	}
	if (!answer.hang)
		bufferevent_write(talk->stream, answer.raw,
		    answer.drip < answer.raw_size ? answer.drip : answer.raw_size);
	free(answer.raw);
	json_decref(answer.root);
	json_decref(question);
}

static inline void on_node_read(struct bufferevent *stream, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(stream);

	for (;;) {
		struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
		struct evbuffer_ptr field;
		char digits[16] = "";
		size_t head, size;

		if (end.pos < 0)
			return;
		head = (size_t)end.pos + 4;
		field = evbuffer_search(in, "Content-Length: ", 16, NULL);
		must(field.pos >= 0);
		must(evbuffer_ptr_set(in, &field, 16, EVBUFFER_PTR_ADD) == 0);
		(void)evbuffer_copyout_from(in, &field, digits, sizeof(digits) - 1);
		size = strtoul(digits, NULL, 10);
		if (evbuffer_get_length(in) < head + size)
			return;
		evbuffer_drain(in, head);
		node_reply(arg, (const char *)evbuffer_pullup(in, (ev_ssize_t)size), size);
		evbuffer_drain(in, size);
	}
}

static inline void on_node_event(struct bufferevent *stream, short what, void *arg)
{
	struct node_talk *talk = arg;

	(void)what;
	bufferevent_free(stream);
	talk->stream = NULL;
}

static inline void on_node_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int size, void *arg)
{
	struct node *node = arg;
	struct node_talk *talk = must_calloc(1, sizeof(*talk));

	(void)address;
	(void)size;
	talk->node = node;
	talk->next = node->talks;
	node->talks = talk;
	talk->stream =
	    bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
	must(talk->stream != NULL);
	bufferevent_setcb(talk->stream, on_node_read, NULL, on_node_event, talk);
	bufferevent_enable(talk->stream, EV_READ | EV_WRITE);
}

static inline void node_open(struct node *node, struct event_base *base, struct world *world)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	*node = (struct node){.world = world};
	node->listener = evconnlistener_new_bind(base, on_node_accept, node,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16, (struct sockaddr *)&address,
	    sizeof(address));
	must(node->listener != NULL);
	must(getsockname(
		 evconnlistener_get_fd(node->listener), (struct sockaddr *)&address, &size) == 0);
	node->port = ntohs(address.sin_port);
}

static inline void node_close(struct node *node)
{
	evconnlistener_free(node->listener);
	while (node->talks != NULL) {
		struct node_talk *talk = node->talks;

		node->talks = talk->next;
		if (talk->stream != NULL)
			bufferevent_free(talk->stream);
		free(talk);
	}
}

/* How often it was asked this. */
static inline size_t node_asked(const struct node *node, const char *method)
{
	size_t count = 0;

	for (size_t i = 0; i < node->method_count; i++)
		count += strcmp(node->methods[i], method) == 0;
	return count;
}

#endif
