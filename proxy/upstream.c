/* proxy/upstream.c - curl's multi handle on the event loop. */
#include "proxy/upstream.h"

#include <event2/event.h>
#include <stdlib.h>
#include <utlist.h>

void upstream_timer_set(struct event *timer, uint32_t ms)
{
	const struct timeval after = {ms / 1000, (ms % 1000) * 1000};

	event_add(timer, &after);
}

void upstream_queue(struct transfer *transfer)
{
	struct upstream *upstream = transfer->upstream;

	if (transfer->queued)
		return;
	transfer->queued = true;
	DL_APPEND(upstream->queue, transfer);
	event_active(&upstream->work, EV_TIMEOUT, 1);
}

/* curl has said of some transfers that they are over. */
static void collect(struct upstream *upstream)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
		struct transfer *transfer = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		if (code == CURLE_OK && transfer->phase == TRANSFER_BODY)
			transfer_finish(transfer, TRANSFER_OK, "");
		else
			transfer_fail(transfer, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
	}
}

/* --- curl and the loop --- */

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *upstream = arg;
	int action =
	    (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)curl_multi_socket_action(upstream->multi, fd, action, &running);
	collect(upstream);
}

static void on_curl_timer(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *upstream = arg;
	int running;

	(void)fd;
	(void)what;
	(void)curl_multi_socket_action(upstream->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(upstream);
}

static void socket_forget(struct upstream *upstream, struct upstream_socket *watched)
{
	event_del(&watched->event);
	DL_DELETE(upstream->sockets, watched);
	free(watched);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct upstream *upstream = arg;
	struct upstream_socket *watched = socket_arg;
	short events = EV_PERSIST;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL) {
			(void)curl_multi_assign(upstream->multi, fd, NULL);
			socket_forget(upstream, watched);
		}
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EV_WRITE;
	if (watched == NULL) {
		watched = must_calloc(1, sizeof(*watched));
		DL_APPEND(upstream->sockets, watched);
		(void)curl_multi_assign(upstream->multi, fd, watched);
	} else {
		event_del(&watched->event);
	}
	event_assign(&watched->event, upstream->base, fd, events, on_socket_event, upstream);
	event_add(&watched->event, NULL);
	return 0;
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct upstream *upstream = arg;

	(void)multi;
	if (timeout_ms < 0)
		event_del(&upstream->timer);
	else
		upstream_timer_set(&upstream->timer, (uint32_t)timeout_ms);
	return 0;
}

/* --- the multi handle --- */

static void upstream_work(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *upstream = arg;
	struct transfer *last = upstream->queue == NULL ? NULL : upstream->queue->prev;
	bool more = last != NULL;

	(void)fd;
	(void)what;
	/* Those that join meanwhile have their turn after the loop looked at its sockets. */
	while (more) {
		struct transfer *transfer = upstream->queue;

		more = transfer != last;
		DL_DELETE(upstream->queue, transfer);
		transfer->queued = false;
		transfer_work(transfer);
	}
	if (upstream->queue != NULL)
		event_active(&upstream->work, EV_TIMEOUT, 1);
}

void upstream_set_limits(struct upstream *upstream, const struct upstream_limits *limits)
{
	char *ca_file = limits->ca_file == NULL ? NULL : must_strdup(limits->ca_file);

	must(limits->connect_ms_max > 0 && limits->response_ms_max > 0 && limits->idle_ms_max > 0);
	free(upstream->ca_file);
	upstream->ca_file = ca_file;
	upstream->limits = *limits;
	upstream->limits.ca_file = ca_file;
	must(curl_multi_setopt(
		 upstream->multi, CURLMOPT_MAXCONNECTS, (long)limits->connections_max) == CURLM_OK);
}

struct upstream *upstream_new(struct event_base *base, const struct upstream_limits *limits)
{
	struct upstream *upstream = must_calloc(1, sizeof(*upstream));
	CURLM *multi;

	must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	upstream->base = base;
	upstream->has_bundle = curl_version_info(CURLVERSION_NOW)->cainfo != NULL;
	event_assign(&upstream->timer, base, -1, 0, on_curl_timer, upstream);
	event_assign(&upstream->work, base, -1, 0, upstream_work, upstream);
	multi = curl_multi_init();
	must(multi != NULL);
	upstream->multi = multi;
	must(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, upstream) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK);
	must(curl_multi_setopt(multi, CURLMOPT_TIMERDATA, upstream) == CURLM_OK);
	upstream_set_limits(upstream, limits);
	/* One transfer a connection at a time, in HTTP/2 too: curl holds back all streams
	 * of a connection when one is paused, and an agent that reads slowly must not
	 * stop the others. */
	must(curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK);
	return upstream;
}

void upstream_free(struct upstream **upstream)
{
	struct upstream *old = *upstream;

	if (old == NULL)
		return;
	while (old->queue != NULL) { /* the cancelled */
		must(old->queue->cancelled);
		transfer_free(old->queue);
	}
	must(old->transfer_count == 0);
	curl_multi_cleanup(old->multi);
	while (old->sockets != NULL)
		socket_forget(old, old->sockets);
	event_del(&old->timer);
	event_del(&old->work);
	curl_global_cleanup();
	free(old->ca_file);
	free(old);
	*upstream = NULL;
}
