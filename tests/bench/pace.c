/* tests/bench/pace - calls at a fixed rate, or a fixed number of calls.
 *
 * At a rate the loop is open: when a call is due is laid down beforehand, one every 1/RATE
 * seconds, and its latency counts from then on, whether or not a connection was free to send
 * it. A server that stalls is therefore charged for every call that came due meanwhile, which a
 * generator that waits for answers before it asks again leaves out ("coordinated omission").
 * Of Debian 12's generators wrk and hey wait, and h2load --rps gives each connection a timer of
 * its own, all of which fire together.
 *
 * With a rate of 0 each connection asks again as soon as it is answered: so many calls and no
 * more, for counting what they cost.
 *
 * Usage: pace PORT PATH RATE CALLS CONNECTIONS [TOKEN]
 * Prints one line of JSON; times in microseconds. Anything but 200 counts as failed. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <llhttp.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"

#define NS_PER_S        INT64_C(1000000000)
#define RATE_MAX        1000000
#define CALLS_MAX       100000000
#define CONNECTIONS_MAX 10000
#define READ_SIZE       65536u

struct line {
	struct pace *pace;
	int fd;
	struct event *readable;
	llhttp_t parser;
	int64_t due_ns;    /* of the call that is under way */
	struct line *next; /* of those that are free */
	bool answered;
};

struct pace {
	struct event_base *base;
	struct event *timer;
	llhttp_settings_t settings;
	char *request;
	size_t request_size;
	struct line *lines;
	/* First in, first out: all of them are kept warm. */
	struct line *free_first, *free_last;
	int64_t rate, call_count, line_count;
	int64_t begin_ns, last_ns;
	int64_t started_count, ended_count, failed_count;
	uint32_t *latencies; /* in tenths of a microsecond */
};

static int64_t now_ns(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void give_up(const char *what)
{
	fprintf(stderr, "pace: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void free_add(struct pace *pace, struct line *line)
{
	line->next = NULL;
	if (pace->free_first == NULL)
		pace->free_first = line;
	else
		pace->free_last->next = line;
	pace->free_last = line;
}

static int64_t due_ns(const struct pace *pace, int64_t index)
{
	return pace->begin_ns + index * NS_PER_S / pace->rate;
}

/* One write takes a request: the socket's buffer is empty whenever one is sent. */
static void send_call(struct line *line, int64_t at_ns)
{
	struct pace *pace = line->pace;

	line->due_ns = at_ns;
	line->answered = false;
	pace->started_count++;
	if (send(line->fd, pace->request, pace->request_size, MSG_NOSIGNAL) !=
	    (ssize_t)pace->request_size)
		give_up("cannot send");
}

/* Send what is due as far as lines are free; wake up when the next one is due. */
static void send_due(struct pace *pace)
{
	while (pace->free_first != NULL && pace->started_count < pace->call_count) {
		int64_t now = now_ns(), at = now;
		struct line *line = pace->free_first;

		if (pace->rate > 0) {
			at = due_ns(pace, pace->started_count);
			if (at > now) {
				struct timeval wait = {
				    (at - now) / NS_PER_S, ((at - now) % NS_PER_S + 999) / 1000};

				must(evtimer_add(pace->timer, &wait) == 0);
				return;
			}
		}
		pace->free_first = line->next;
		send_call(line, at);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_due(arg);
}

static int on_message_complete(llhttp_t *parser)
{
	struct line *line = parser->data;
	struct pace *pace = line->pace;
	int64_t tenths;

	pace->last_ns = now_ns();
	tenths = (pace->last_ns - line->due_ns) / 100;
	pace->latencies[pace->ended_count++] = tenths > UINT32_MAX ? UINT32_MAX : (uint32_t)tenths;
	if (parser->status_code != 200)
		pace->failed_count++;
	line->answered = true;
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char bytes[READ_SIZE];
	struct line *line = arg;
	struct pace *pace = line->pace;
	ssize_t size = recv(fd, bytes, sizeof(bytes), 0);

	(void)what;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		give_up("the connection ended");
	if (llhttp_execute(&line->parser, bytes, (size_t)size) != HPE_OK) {
		fprintf(
		    stderr, "pace: no HTTP answer: %s\n", llhttp_get_error_reason(&line->parser));
		exit(1);
	}
	if (!line->answered)
		return;
	line->answered = false;
	free_add(pace, line);
	if (pace->ended_count == pace->call_count)
		must(event_base_loopbreak(pace->base) == 0);
	else
		send_due(pace);
}

static void line_open(struct pace *pace, struct line *line, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	line->pace = pace;
	line->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		give_up("cannot connect");
	must(setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	must(evutil_make_socket_nonblocking(line->fd) == 0);
	llhttp_init(&line->parser, HTTP_RESPONSE, &pace->settings);
	line->parser.data = line;
	line->readable = event_new(pace->base, line->fd, EV_READ | EV_PERSIST, on_readable, line);
	must(line->readable != NULL && event_add(line->readable, NULL) == 0);
	free_add(pace, line);
}

static void line_close(struct line *line)
{
	event_free(line->readable);
	(void)close(line->fd);
}

/* A timer good to the microsecond; libevent's own default is a millisecond. */
static struct event_base *precise_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	must(config != NULL);
	must(event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0);
	base = event_base_new_with_config(config);
	must(base != NULL);
	event_config_free(config);
	return base;
}

static int compare(const void *one, const void *other)
{
	uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

	return (a > b) - (a < b);
}

static double percentile(const struct pace *pace, int64_t percent)
{
	int64_t at = pace->call_count * percent / 100;

	return pace->latencies[at < pace->call_count ? at : pace->call_count - 1] / 10.0;
}

static void print(struct pace *pace)
{
	qsort(pace->latencies, (size_t)pace->call_count, sizeof(*pace->latencies), compare);
	printf("{\"calls\":%" PRId64 ",\"us\":%" PRId64 ",\"failed\":%" PRId64
	       ",\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n",
	    pace->call_count, (pace->last_ns - pace->begin_ns) / 1000, pace->failed_count,
	    percentile(pace, 50), percentile(pace, 90), percentile(pace, 99),
	    percentile(pace, 100));
}

static int64_t argument(const char *text, int64_t min, int64_t max)
{
	char *end = NULL;
	int64_t number = strtoll(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number < min || number > max) {
		fprintf(stderr, "pace: %s is not a number from %" PRId64 " to %" PRId64 "\n", text,
		    min, max);
		exit(2);
	}
	return number;
}

int main(int argc, char **argv)
{
	struct pace pace = {.base = NULL};
	uint16_t port;

	if (argc < 6 || argc > 7) {
		fprintf(stderr, "usage: pace PORT PATH RATE CALLS CONNECTIONS [TOKEN]\n");
		return 2;
	}
	port = (uint16_t)argument(argv[1], 1, UINT16_MAX);
	pace.rate = argument(argv[3], 0, RATE_MAX);
	pace.call_count = argument(argv[4], 1, CALLS_MAX);
	pace.line_count = argument(argv[5], 1, CONNECTIONS_MAX);
	pace.request = must_format("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s%s\r\n", argv[2],
	    (unsigned)port, argc > 6 ? "Authorization: Bearer " : "", argc > 6 ? argv[6] : "",
	    argc > 6 ? "\r\n" : "");
	pace.request_size = strlen(pace.request);
	pace.latencies = must_calloc((size_t)pace.call_count, sizeof(*pace.latencies));
	pace.lines = must_calloc((size_t)pace.line_count, sizeof(*pace.lines));
	pace.base = precise_base();
	llhttp_settings_init(&pace.settings);
	pace.settings.on_message_complete = on_message_complete;
	pace.timer = evtimer_new(pace.base, on_timer, &pace);
	must(pace.timer != NULL);
	for (int64_t i = 0; i < pace.line_count; i++)
		line_open(&pace, &pace.lines[i], port);
	pace.begin_ns = now_ns();
	send_due(&pace);
	must(event_base_dispatch(pace.base) >= 0);
	print(&pace);
	for (int64_t i = 0; i < pace.line_count; i++)
		line_close(&pace.lines[i]);
	event_free(pace.timer);
	event_base_free(pace.base);
	free(pace.lines);
	free(pace.latencies);
	free(pace.request);
	return 0;
}
