#include "proxy/admin.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "proxy/command.h"
#include "proxy/errand.h"
#include "proxy/front.h"
#include "proxy/rooms.h"
#include "proxy/tls.h"

/* The largest argument is a policy of a megabyte, escaped. */
#define COMMAND_SIZE_MAX (4u * 1024u * 1024u)

/* A line of 90 bytes for each of at most 255 networks, and 2 KB. */
#define METRICS_SIZE_MAX (32u * 1024u)

struct admin {
	struct house *house;
	struct workers_state *shared;
	struct listener *tcp, *local;
	struct errands *errands;
};

/* One command on its way in, or with its answer on its way out. */
struct asking {
	struct buf body;
	struct exchange *exchange;
	struct errand *errand; /* while one is under way for it */
};

static const struct listener_limits limits = {
    .connections_max = 64,
    .head_ms_max = 5000,
    .idle_ms_max = 30000,
    .body_idle_ms_max = 10000,
    .write_idle_ms_max = 30000,
    .out_size_high = 1024 * 1024,
    .out_size_low = 256 * 1024,
};

static void reply_error(struct exchange *exchange, int status, const char *words)
{
	json_t *body =
	    json_pack("{s:b, s:i, s:s}", "ok", 0, "exit", COMMAND_FAILED, "error", words);
	char *text = json_dumps(body, JSON_COMPACT);

	front_reply_json(exchange, status, "application/json", text);
	free(text);
	json_decref(body);
}

/* --- the local socket --------------------------------------------------------- */

static void local_head(struct exchange *exchange, void *arg)
{
	struct admin *admin = arg;

	if (front_health(admin->house, atomic_load(&admin->shared->draining), exchange))
		return;
	if (strcmp(exchange_method(exchange), "POST") != 0 ||
	    strcmp(exchange_target(exchange), "/command") != 0) {
		reply_error(exchange, 404, "only POST /command is served here");
		return;
	}
	if (exchange_body_size(exchange) > (int64_t)COMMAND_SIZE_MAX) {
		reply_error(exchange, 413, "the command is too large");
		return;
	}
	struct asking *asking = must_calloc(1, sizeof *asking);

	buf_init(&asking->body, COMMAND_SIZE_MAX);
	asking->exchange = exchange;
	exchange_set_user(exchange, asking);
	exchange_read_body(exchange);
}

static void local_body(struct exchange *exchange, const void *bytes, size_t size, void *arg)
{
	struct asking *asking = exchange_user(exchange);

	(void)arg;
	if (asking)
		buf_add(&asking->body, bytes, size);
}

/* Takes reply. */
static void reply_command(struct exchange *exchange, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);

	must(text != NULL);
	front_reply_json(exchange, 200, "application/json", text);
	free(text);
	json_decref(reply);
}

static void on_errand_done(json_t *reply, void *arg)
{
	struct asking *asking = arg;

	asking->errand = NULL;
	reply_command(asking->exchange, reply);
}

static void local_body_end(struct exchange *exchange, void *arg)
{
	struct admin *admin = arg;
	struct asking *asking = exchange_user(exchange);
	struct json_error error;
	json_t *request;

	if (!asking)
		return;
	if (!buf_ok(&asking->body)) {
		reply_error(exchange, 413, "the command is too large");
		return;
	}
	request = json_read(&error, buf_str(&asking->body), asking->body.size, COMMAND_SIZE_MAX);
	if (!request) {
		reply_error(exchange, 400, error.reason);
		return;
	}
	if (!command_waits(request)) {
		reply_command(exchange, command_run(admin->house, request, clock_now_us()));
		json_decref(request);
		return;
	}
	asking->errand = errand_send(admin->errands, request, on_errand_done, asking);
	if (!asking->errand) {
		json_decref(request);
		reply_error(exchange, 503,
		    "other long commands are under way already: try again when they are done");
	}
}

static void no_writable(struct exchange *exchange, void *arg)
{
	(void)exchange;
	(void)arg;
}

static void local_finished(struct exchange *exchange, bool completed, void *arg)
{
	struct asking *asking = exchange_user(exchange);

	(void)completed;
	(void)arg;
	if (asking) {
		errand_forget(&asking->errand);
		buf_fini(&asking->body);
		free(asking);
	}
}

static const struct exchange_events local_events = {
    local_head, local_body, local_body_end, no_writable, local_finished, NULL};

/* --- the admin address ---------------------------------------------------------- */

static void add_chain(const struct outlook_row *row, void *arg)
{
	buf_add_format(arg, "tallyward_chain_answers{network=\"%s\"} %d\n", row->network,
	    row->result == CHAIN_OK);
}

static void add_certificate(struct buf *text, struct tls *tls)
{
	SSL_CTX *context = tls_context(tls);

	if (!context)
		return;
	buf_add_format(text,
	    "# HELP tallyward_certificate_expiry_timestamp_seconds Until when the listeners' "
	    "certificate is valid.\n"
	    "# TYPE tallyward_certificate_expiry_timestamp_seconds gauge\n"
	    "tallyward_certificate_expiry_timestamp_seconds %lld\n",
	    (long long)tls_valid_until_s(context));
	SSL_CTX_free(context);
}

static void reply_metrics(struct admin *admin, struct exchange *exchange)
{
	struct house *house = admin->house;
	struct buf text;
	char reason[256];

	buf_init(&text, METRICS_SIZE_MAX);
	buf_add_format(&text,
	    "# HELP tallyward_calls_in_flight Calls between their head and their last audit row.\n"
	    "# TYPE tallyward_calls_in_flight gauge\n"
	    "tallyward_calls_in_flight %ld\n"
	    "# HELP tallyward_ready Whether new payments are being signed.\n"
	    "# TYPE tallyward_ready gauge\n"
	    "tallyward_ready %d\n"
	    "# HELP tallyward_open_payments Payments whose outcome is not known.\n"
	    "# TYPE tallyward_open_payments gauge\n"
	    "tallyward_open_payments %zu\n"
	    "# HELP tallyward_chain_answers Whether the last look at a chain was answered, and "
	    "without a contradiction.\n"
	    "# TYPE tallyward_chain_answers gauge\n",
	    atomic_load(&admin->shared->calls), house_ready(house, reason),
	    outstanding_count(house->outstanding));
	outlook_each(house->outlook, add_chain, &text);
	add_certificate(&text, house->tls);
	must(buf_ok(&text));
	front_reply_json(exchange, 200, "text/plain; version=0.0.4", buf_str(&text));
	buf_fini(&text);
}

static void tcp_head(struct exchange *exchange, void *arg)
{
	struct admin *admin = arg;

	if (front_health(admin->house, atomic_load(&admin->shared->draining), exchange))
		return;
	if (strcmp(exchange_method(exchange), "GET") == 0 &&
	    strcmp(exchange_target(exchange), "/metrics") == 0)
		reply_metrics(admin, exchange);
	else
		reply_error(exchange, 404, "there are GET /healthz, /readyz and /metrics here");
}

static const struct exchange_events tcp_events = {
    tcp_head, local_body, local_body_end, no_writable, local_finished, NULL};

void admin_refresh(struct admin *admin)
{
	listener_set_tls(admin->tcp, tls_context(admin->house->tls));
}

struct admin *admin_new(struct event_base *base, struct house *house, struct workers_state *shared,
    int tcp_fd, int unix_fd)
{
	struct admin *admin = must_calloc(1, sizeof *admin);

	admin->house = house;
	admin->shared = shared;
	admin->tcp = listener_new(base, tcp_fd, &limits, &tcp_events, admin);
	admin_refresh(admin);
	admin->local = listener_new(base, unix_fd, &limits, &local_events, admin);
	admin->errands = errands_new(base, house);
	return admin;
}

bool admin_busy(const struct admin *admin)
{
	return errands_busy(admin->errands);
}

void admin_free(struct admin **admin_p)
{
	struct admin *admin = *admin_p;

	*admin_p = NULL;
	if (!admin)
		return;
	listener_free(&admin->tcp);
	listener_free(&admin->local);
	errands_free(&admin->errands);
	free(admin);
}
