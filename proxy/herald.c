#include "proxy/herald.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/anchors.h"
#include "proxy/reach.h"
#include "proxy/rooms.h"
#include "proxy/rpc.h"
#include "proxy/transfer.h"

#define SYSLOG_SOCKET "/dev/log"
/* daemon.notice; <syslog.h> has names that common/log.h has too */
#define SYSLOG_PRIORITY 29

#define BACK_OFF_MS_MIN 1000
#define BACK_OFF_MS_MAX 300000
/* Somebody who takes a line of half a kilobyte says so at once, in a few words. */
#define ANSWER_MS_MAX   10000
#define ANSWER_SIZE_MAX (64u * 1024u)

struct waiting {
	struct waiting *next;
	char *line;
};

struct herald {
	struct house *house;
	struct event_base *base;
	struct upstream *upstream;
	struct event *due;   /* the next anchor */
	struct event *again; /* the next try at the webhook */
	struct waiting *first, **last;
	size_t waiting;
	bool dropped;       /* said in the log */
	bool syslog_failed; /* likewise */
	bool webhook_failed;
	bool finishing;
	/* The POST under way; NULL: none. */
	struct transfer *transfer;
	struct spool *body;
	bool taken; /* answered 2xx */
	int status;
	size_t answer_size;
	int64_t back_off_ms;
};

static void post_next(struct herald *herald);

/* --- syslog --------------------------------------------------------------------- */

/* RFC 3164, as syslog(3) sends it; that would wait for a full socket. */
bool herald_syslog(const char *path, const char *line, int64_t now_us)
{
	static const char *const months[] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	time_t now = (time_t)(now_us / CLOCK_US_PER_S);
	struct tm parts;
	char *text;
	bool sent;
	int fd, error;

	if (strlen(path) >= sizeof address.sun_path || !localtime_r(&now, &parts)) {
		errno = EINVAL;
		return false;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	text = must_format("<%d>%s %2d %02d:%02d:%02d tallyward[%ld]: %s", SYSLOG_PRIORITY,
	    months[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
	    (long)getpid(), line);
	sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   sizeof address) >= 0;
	error = errno;
	free(text);
	close(fd);
	errno = error;
	return sent;
}

static void tell_syslog(struct herald *herald, const char *line)
{
	bool sent = herald_syslog(SYSLOG_SOCKET, line, clock_now_us());

	if (!sent && !herald->syslog_failed)
		log_event(LOG_ERROR, "anchor_syslog_failed", "reason", strerror(errno), NULL);
	herald->syslog_failed = !sent;
}

/* --- the webhook ------------------------------------------------------------------ */

static const char *webhook(const struct herald *herald)
{
	return house_config(herald->house)->anchor_webhook;
}

static void drop_first(struct herald *herald)
{
	struct waiting *first = herald->first;

	herald->first = first->next;
	if (!herald->first)
		herald->last = &herald->first;
	herald->waiting--;
	free(first->line);
	free(first);
}

static void keep(struct herald *herald, char *line)
{
	struct waiting *waiting = must_calloc(1, sizeof *waiting);

	waiting->line = line;
	*herald->last = waiting;
	herald->last = &waiting->next;
	/* The first may be on its way: then it is the second that goes. */
	if (++herald->waiting <= HERALD_WAITING_MAX)
		return;
	if (!herald->dropped)
		log_event(LOG_WARN, "anchor_webhook_dropped", "reason",
		    "too many anchors wait for it; the oldest go", NULL);
	herald->dropped = true;
	if (herald->transfer) {
		struct waiting *second = herald->first->next;

		herald->first->next = second->next;
		herald->waiting--;
		free(second->line);
		free(second);
	} else {
		drop_first(herald);
	}
}

static void post_over(struct herald *herald, const char *reason)
{
	char origin[RPC_ORIGIN_SIZE];
	struct timeval pause;

	spool_free(&herald->body);
	if (herald->taken) {
		drop_first(herald);
		herald->back_off_ms = 0;
		herald->dropped = false;
		if (herald->webhook_failed)
			log_event(LOG_WARN, "anchor_webhook_restored", NULL);
		herald->webhook_failed = false;
		post_next(herald);
		if (herald->finishing && !herald->transfer)
			event_base_loopbreak(herald->base);
		return;
	}
	/* The path of such a URL is often its secret. */
	if (!herald->webhook_failed)
		log_event(LOG_ERROR, "anchor_webhook_failed", "webhook",
		    rpc_url_origin(origin, webhook(herald)), "reason", reason, NULL);
	herald->webhook_failed = true;
	herald->back_off_ms = herald->back_off_ms == 0 ? BACK_OFF_MS_MIN : herald->back_off_ms * 2;
	if (herald->back_off_ms > BACK_OFF_MS_MAX)
		herald->back_off_ms = BACK_OFF_MS_MAX;
	if (herald->finishing) {
		event_base_loopbreak(herald->base);
		return;
	}
	pause = (struct timeval){herald->back_off_ms / 1000, herald->back_off_ms % 1000 * 1000};
	must(event_add(herald->again, &pause) == 0);
}

static void on_head(struct transfer *transfer, int status, const struct headers *headers, void *arg)
{
	struct herald *herald = arg;

	(void)transfer;
	(void)headers;
	herald->status = status;
	herald->taken = status >= 200 && status < 300;
}

static bool on_body(struct transfer *transfer, const void *bytes, size_t size, void *arg)
{
	struct herald *herald = arg;

	(void)transfer;
	(void)bytes;
	herald->answer_size += size;
	if (herald->answer_size > ANSWER_SIZE_MAX) {
		transfer_cancel(&herald->transfer);
		/* Told from the loop: the transfer is on the stack. */
		event_active(herald->again, EV_TIMEOUT, 1);
	}
	return true;
}

static void on_done(
    struct transfer *transfer, enum transfer_result result, const char *reason, void *arg)
{
	struct herald *herald = arg;
	char words[64];

	(void)transfer;
	(void)result;
	herald->transfer = NULL;
	if (herald->status != 0) {
		snprintf(words, sizeof words, "HTTP status %d", herald->status);
		reason = words;
	}
	post_over(herald, reason);
}

static void post_next(struct herald *herald)
{
	static const struct transfer_events events = {
	    .head = on_head, .body = on_body, .done = on_done};
	const struct waiting *first = herald->first;
	struct transfer_request request = {
	    .method = "POST",
	    .url = webhook(herald),
	    .reach = reach_of_url(webhook(herald), true),
	};
	struct headers headers;

	if (!first || herald->transfer || event_pending(herald->again, EV_TIMEOUT, NULL))
		return;
	herald->taken = false;
	herald->status = 0;
	herald->answer_size = 0;
	herald->body = spool_new(herald->house->dir, ANCHOR_LINE_MAX, ANCHOR_LINE_MAX);
	must(spool_write(herald->body, first->line, strlen(first->line)) == SPOOL_OK);
	spool_finish(herald->body);
	headers_init(&headers);
	headers_put(&headers, "Content-Type", "application/json");
	request.headers = &headers;
	request.body = herald->body;
	request.body_size = spool_size(herald->body);
	herald->transfer = transfer_start(herald->upstream, &request, &events, herald);
	headers_fini(&headers);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct herald *herald = arg;

	(void)fd;
	(void)what;
	if (herald->body && !herald->transfer)
		post_over(herald, "it answers without end");
	else
		post_next(herald);
}

/* --- anchors ------------------------------------------------------------------------ */

static void tell(struct herald *herald)
{
	const struct config *config = house_config(herald->house);
	char *line;

	while ((line = anchors_take(herald->house->anchors)) != NULL) {
		if (config->anchor_syslog)
			tell_syslog(herald, line);
		if (*config->anchor_webhook)
			keep(herald, line);
		else
			free(line);
	}
	/* The owner may have taken the webhook out of the configuration. */
	while (!*config->anchor_webhook && herald->first && !herald->transfer)
		drop_first(herald);
	post_next(herald);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct herald *herald = arg;
	struct timeval pause = {house_config(herald->house)->anchor_s, 0};
	char reason[ANCHORS_REASON_SIZE];

	(void)fd;
	(void)what;
	/* After many rows one anchor follows the other, with the loop's other work between. */
	if (anchors_make(herald->house->anchors, reason, clock_now_us()) == ANCHORS_MORE)
		pause.tv_sec = 0;
	tell(herald);
	must(event_add(herald->due, &pause) == 0);
}

static struct upstream_limits limits_of(const struct config *config)
{
	return (struct upstream_limits){
	    .connections_max = 1,
	    .connect_ms_max = ANSWER_MS_MAX,
	    .response_ms_max = ANSWER_MS_MAX,
	    .idle_ms_max = ANSWER_MS_MAX,
	    .head_size_max = ANSWER_SIZE_MAX,
	    .ca_file = *config->ca_file ? config->ca_file : NULL,
	};
}

struct herald *herald_new(struct event_base *base, struct house *house)
{
	const struct upstream_limits limits = limits_of(house_config(house));
	struct herald *herald = must_calloc(1, sizeof *herald);

	herald->house = house;
	herald->base = base;
	herald->last = &herald->first;
	herald->upstream = upstream_new(base, &limits);
	herald->due = evtimer_new(base, on_due, herald);
	herald->again = evtimer_new(base, on_again, herald);
	must(herald->due && herald->again);
	anchors_listen(house->anchors);
	event_active(herald->due, EV_TIMEOUT, 1);
	return herald;
}

void herald_refresh(struct herald *herald)
{
	const struct upstream_limits limits = limits_of(house_config(herald->house));

	upstream_set_limits(herald->upstream, &limits);
	event_active(herald->due, EV_TIMEOUT, 1);
}

void herald_finish(struct herald *herald, int64_t wait_ms)
{
	const struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
	char reason[ANCHORS_REASON_SIZE];

	event_del(herald->due);
	while (anchors_make(herald->house->anchors, reason, clock_now_us()) == ANCHORS_MORE)
		;
	if (wait_ms == 0)
		return;
	herald->finishing = true;
	event_del(herald->again);
	tell(herald);
	if (!herald->transfer)
		return;
	must(event_base_loopexit(herald->base, &wait) == 0);
	event_base_loop(herald->base, 0);
	if (herald->first)
		log_event(LOG_WARN, "anchors_not_told", "reason",
		    "the webhook did not take them before the daemon stopped", NULL);
}

void herald_free(struct herald **herald_p)
{
	struct herald *herald = *herald_p;

	*herald_p = NULL;
	if (!herald)
		return;
	if (herald->transfer)
		transfer_cancel(&herald->transfer);
	spool_free(&herald->body);
	while (herald->first)
		drop_first(herald);
	event_free(herald->due);
	event_free(herald->again);
	upstream_free(&herald->upstream);
	free(herald);
}
