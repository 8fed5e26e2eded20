#include "proxy/serve.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/admin.h"
#include "proxy/command.h"
#include "proxy/herald.h"
#include "proxy/reach.h"
#include "proxy/reconcile.h"
#include "proxy/reload.h"
#include "proxy/rooms.h"
#include "proxy/sandbox.h"
#include "proxy/tls.h"
#include "proxy/upkeep.h"
#include "proxy/worker.h"

#define WORKERS_MAX 256
#define NAME_SIZE   128
/* How long a stop waits for the last rows before it goes on without them: a commit takes some
 * milliseconds where the disk is well. */
#define FLUSH_MS 3000u

struct daemon {
	const struct serve_options *options;
	struct house *house;
	struct workers_state shared;
	struct worker *workers[WORKERS_MAX];
	int fds[WORKERS_MAX];
	long count;
	int admin_fd;
	uint64_t files_wanted, files_limit;
	struct event_base *base;
	struct admin *admin;
	struct upkeep *upkeep;
	struct reconciler *reconciler;
	struct herald *herald;
	char *socket_path;
	char listen[NAME_SIZE], admin_name[NAME_SIZE];
	struct event *term, *interrupt, *hangup, *tick;
	int64_t drain_until_us;
};

static int complain(int status, const char *words)
{
	fprintf(stderr, "tallyward: %s\n", words);
	return status;
}

/* systemd's readiness protocol is one datagram to a socket it names. */
static void tell_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size;
	int fd;

	if (!path || strlen(path) >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
		log_event(LOG_WARN, "notify_failed", "reason", strerror(errno), NULL);
	close(fd);
}

/* --- listening -------------------------------------------------------------------- */

static long worker_count(const struct serve_options *options, const struct config *config)
{
	long count = options->workers ? options->workers : (long)config->workers;

	if (count == 0)
		count = sysconf(_SC_NPROCESSORS_ONLN);
	return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : count;
}

/* The workers' sockets share an address, and would share it with those of another daemon of the
 * same user, each of which then got some of the other's agents: so nobody may listen there yet. */
static bool address_is_free(char reason[256], const char *address)
{
	int fd = listener_socket_bind(reason, address, false);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* The first socket may choose its port (":0"); the others share it. */
static bool bind_agents(struct daemon *daemon, char reason[256], const char *address)
{
	if (!address_is_free(reason, address))
		return false;
	for (long i = 0; i < daemon->count; i++) {
		daemon->fds[i] =
		    listener_socket_bind(reason, i == 0 ? address : daemon->listen, true);
		if (daemon->fds[i] < 0)
			return false;
		if (i == 0)
			must(listener_socket_name(
			    daemon->listen, sizeof daemon->listen, daemon->fds[0]));
	}
	return true;
}

static bool bind_admin(struct daemon *daemon, char reason[256], const char *address)
{
	daemon->admin_fd = listener_socket_bind(reason, address, false);
	if (daemon->admin_fd < 0)
		return false;
	must(
	    listener_socket_name(daemon->admin_name, sizeof daemon->admin_name, daemon->admin_fd));
	return true;
}

/* What is open beside connections: the ledger's files and readers, the resolver's, listeners,
 * eventfds, epolls, the log. */
#define FILES_OWN 256u

/* An agent's connection, one to its seller and a spool: each call may have all three. */
static uint64_t files_wanted(const struct daemon *daemon, const struct config *config)
{
	return (uint64_t)daemon->count * (uint64_t)config->connections_max +
	       2 * (uint64_t)config->calls_max + FILES_OWN;
}

/* Root's part, if root it is: ports are taken, and the rights that it took go, before a file is
 * opened or a thread runs. */
static bool on_configured(const struct config *config, char reason[512], void *arg)
{
	struct daemon *daemon = arg;
	const struct serve_options *options = daemon->options;
	char words[SANDBOX_REASON_SIZE] = "";
	bool ok;

	daemon->count = worker_count(options, config);
	daemon->files_wanted = files_wanted(daemon, config);
	daemon->files_limit = sandbox_files(daemon->files_wanted);
	ok = bind_agents(daemon, words, options->listen ? options->listen : config->listen) &&
	     bind_admin(daemon, words, options->admin ? options->admin : config->admin) &&
	     sandbox_become(words, config->user, config->group) &&
	     sandbox_folder(words, options->house.dir);
	if (!ok)
		snprintf(reason, 512, "%s", words);
	return ok;
}

static bool listen_agents(struct daemon *daemon, char reason[256])
{
	for (long i = 0; i < daemon->count; i++) {
		if (!listener_socket_listen(reason, daemon->fds[i]))
			return false;
	}
	return true;
}

static bool listen_admin(struct daemon *daemon, char reason[256])
{
	int local;

	if (!listener_socket_listen(reason, daemon->admin_fd))
		return false;
	daemon->socket_path = house_socket_path(daemon->house->dir);
	local = listener_socket_unix(reason, daemon->socket_path);
	if (local < 0) {
		/* What is there is another's: not to be removed. */
		free(daemon->socket_path);
		daemon->socket_path = NULL;
		return false;
	}
	daemon->admin =
	    admin_new(daemon->base, daemon->house, &daemon->shared, daemon->admin_fd, local);
	daemon->admin_fd = -1;
	return true;
}

/* One that has expired is shown all the same, and upkeep says so: a restart must not take away
 * what a daemon that went on running would have served. */
static bool read_certificate(const struct daemon *daemon, char reason[TLS_REASON_SIZE])
{
	struct house *house = daemon->house;
	SSL_CTX *context = NULL;

	switch (tls_read(&context, reason, house->dir, house_config(house))) {
	case TLS_BAD:
		return false;
	case TLS_OFF:
		return true;
	case TLS_OK:
		break;
	}
	tls_set(house->tls, context);
	return true;
}

static void warn_of_clear_text(const struct daemon *daemon)
{
	SSL_CTX *context = tls_context(daemon->house->tls);

	if (!context && !reach_is_here(daemon->listen))
		log_event(LOG_WARN, "listening_in_clear", "agents", daemon->listen, "reason",
		    "tokens cross the network readable: set tls_certificate and tls_key, or put a "
		    "TLS proxy before it",
		    NULL);
	if (!context && !reach_is_here(daemon->admin_name))
		log_event(LOG_WARN, "listening_in_clear", "admin", daemon->admin_name, NULL);
	SSL_CTX_free(context);
}

/* What nobody took over: the start failed. */
static void close_sockets(struct daemon *daemon)
{
	for (long i = 0; i < daemon->count && daemon->fds[i] >= 0; i++)
		close(daemon->fds[i]);
	if (daemon->admin_fd >= 0)
		close(daemon->admin_fd);
}

static bool write_ports(const struct daemon *daemon, const char *path)
{
	char *text;
	bool ok;

	if (!path)
		return true;
	text = must_format("{\"listen\": \"%s\", \"admin\": \"%s\", \"pid\": %ld}\n",
	    daemon->listen, daemon->admin_name, (long)getpid());
	ok = file_replace(path, text, strlen(text), 0644);
	free(text);
	return ok;
}

/* --- stopping ---------------------------------------------------------------------- */

static bool all_done(const struct daemon *daemon)
{
	for (long i = 0; i < daemon->count; i++) {
		if (!worker_done(daemon->workers[i]))
			return false;
	}
	return !admin_busy(daemon->admin);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)fd;
	(void)what;
	if (all_done(daemon) || clock_mono_us() >= daemon->drain_until_us)
		event_base_loopbreak(daemon->base);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;
	struct timeval tick = {0, 10000};

	(void)fd;
	(void)what;
	if (atomic_exchange(&daemon->shared.draining, true)) {
		log_event(LOG_WARN, "stopping_now", NULL);
		daemon->drain_until_us = 0;
		return;
	}
	log_event(LOG_INFO, "stopping", NULL);
	atomic_store(&daemon->house->stopping, true);
	tell_systemd("STOPPING=1");
	daemon->drain_until_us =
	    clock_mono_us() + house_config(daemon->house)->drain_ms_max * (CLOCK_US_PER_S / 1000);
	for (long i = 0; i < daemon->count; i++)
		worker_drain(daemon->workers[i]);
	must(event_add(daemon->tick, &tick) == 0);
}

static void follow_log_level(const struct daemon *daemon)
{
	enum log_level level;

	must(log_level_parse(&level, house_config(daemon->house)->log_level));
	log_set_level(level);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;
	bool ok;

	(void)fd;
	(void)what;
	if (atomic_load(&daemon->shared.draining)) {
		log_event(LOG_WARN, "reload_refused", "reason", "the daemon is stopping", NULL);
		return;
	}
	tell_systemd("RELOADING=1");
	ok = house_reload(daemon->house);
	if (ok) {
		follow_log_level(daemon);
		for (long i = 0; i < daemon->count; i++)
			worker_refresh(daemon->workers[i]);
		admin_refresh(daemon->admin);
		reconciler_refresh(daemon->reconciler);
		herald_refresh(daemon->herald);
	}
	tell_systemd(ok ? "READY=1\nSTATUS=Reloaded."
			: "READY=1\nSTATUS=Reload refused, the log says why: as before.");
}

static void add_signals(struct daemon *daemon)
{
	daemon->term = evsignal_new(daemon->base, SIGTERM, on_stop, daemon);
	daemon->interrupt = evsignal_new(daemon->base, SIGINT, on_stop, daemon);
	daemon->hangup = evsignal_new(daemon->base, SIGHUP, on_hangup, daemon);
	daemon->tick = event_new(daemon->base, -1, EV_PERSIST, on_tick, daemon);
	must(daemon->term && daemon->interrupt && daemon->hangup && daemon->tick);
	must(event_add(daemon->term, NULL) == 0 && event_add(daemon->interrupt, NULL) == 0 &&
	     event_add(daemon->hangup, NULL) == 0);
}

static void free_loop(struct daemon *daemon)
{
	reconciler_stop(&daemon->reconciler);
	herald_free(&daemon->herald);
	upkeep_free(&daemon->upkeep);
	admin_free(&daemon->admin);
	if (daemon->term)
		event_free(daemon->term);
	if (daemon->interrupt)
		event_free(daemon->interrupt);
	if (daemon->hangup)
		event_free(daemon->hangup);
	if (daemon->tick)
		event_free(daemon->tick);
	event_base_free(daemon->base);
	if (daemon->socket_path)
		unlink(daemon->socket_path);
	free(daemon->socket_path);
}

/* --- running ------------------------------------------------------------------------- */

/* Said once the start is sure: one that fails says in one line why. */
static void tell_sandbox(const struct daemon *daemon)
{
	char state[SANDBOX_REASON_SIZE], user[24], limit[24], wanted[24];

	snprintf(user, sizeof user, "%lu", (unsigned long)geteuid());
	if (sandbox_state(state))
		log_event(LOG_INFO, "sandbox", "user", user, "state", state, NULL);
	else
		log_event(LOG_WARN, "sandbox_incomplete", "user", user, "state", state, "hint",
		    house_config(daemon->house)->sandbox
			? "the kernel refused a part of it"
			: "\"sandbox\" is 0 in tallyward.json: for debugging only",
		    NULL);
	if (geteuid() == 0)
		log_event(LOG_WARN, "running_as_root", "hint",
		    "name a `user` in tallyward.json that the data folder belongs to", NULL);
	if (daemon->files_limit >= daemon->files_wanted)
		return;
	snprintf(limit, sizeof limit, "%llu", (unsigned long long)daemon->files_limit);
	snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)daemon->files_wanted);
	log_event(LOG_WARN, "descriptors_limited", "limit", limit, "configured", wanted, "hint",
	    "raise the hard limit on open files (ulimit -Hn, LimitNOFILE), or lower "
	    "connections_max and calls_max",
	    NULL);
}

/* The last step before agents are served. What was asked for and cannot be had is no reason to
 * go on without. */
static bool seal(const struct daemon *daemon, char reason[SANDBOX_REASON_SIZE])
{
	if (house_config(daemon->house)->sandbox && !sandbox_filter(reason))
		return false;
	tell_sandbox(daemon);
	return true;
}

static int exit_status(enum house_result result)
{
	switch (result) {
	case HOUSE_OK:
		return COMMAND_DONE;
	case HOUSE_NOT_FOUND:
		return COMMAND_NOT_FOUND;
	case HOUSE_EXISTS:
	case HOUSE_LOCKED:
	case HOUSE_BAD_CONFIG:
	case HOUSE_BAD_KEYS:
	case HOUSE_BROKEN:
		return COMMAND_FAILED;
	}
	return COMMAND_FAILED;
}

/* Everything handed to the store before this is written now. */
static bool flush(const struct daemon *daemon)
{
	if (store_flush(daemon->house->store, clock_now_us(), FLUSH_MS) == STORE_OK)
		return true;
	log_event(LOG_ERROR, "last_rows_not_written", NULL);
	return false;
}

static void run(struct daemon *daemon)
{
	for (long i = 0; i < daemon->count; i++)
		daemon->workers[i] = worker_start(
		    daemon->house, &daemon->shared, daemon->fds[i], (unsigned)i);
	log_event(
	    LOG_INFO, "listening", "agents", daemon->listen, "admin", daemon->admin_name, NULL);
	warn_of_clear_text(daemon);
	tell_systemd("READY=1");
	event_base_loop(daemon->base, 0);
	/* The loop turns once more for the last anchor; by then the workers are gone. */
	event_del(daemon->tick);
	if (all_done(daemon)) {
		for (long i = 0; i < daemon->count; i++)
			worker_join(&daemon->workers[i]);
		(void)flush(daemon);
		herald_finish(daemon->herald, HERALD_STOP_MS);
		return;
	}
	/* Calls cut off here are found open by the next start, as after a crash. The workers still
	 * run, so nothing is freed and the store is not closed: what they have handed to it by now
	 * is written, a disk that fails or takes too long apart. */
	log_event(LOG_WARN, "stopped_with_calls_in_flight", NULL);
	if (flush(daemon)) {
		herald_finish(daemon->herald, 0);
		(void)flush(daemon);
	}
	unlink(daemon->socket_path);
	_exit(COMMAND_DONE);
}

static int serve_house(struct daemon *daemon)
{
	char words[SANDBOX_REASON_SIZE] = "", certificate_words[TLS_REASON_SIZE] = "";
	int status = COMMAND_FAILED;

	follow_log_level(daemon);
	daemon->base = event_base_new();
	must(daemon->base != NULL);
	if (!read_certificate(daemon, certificate_words)) {
		complain(status, certificate_words);
		close_sockets(daemon);
	} else if (!listen_agents(daemon, words) || !listen_admin(daemon, words)) {
		complain(status, words);
		close_sockets(daemon);
	} else if (!write_ports(daemon, daemon->options->ports_file)) {
		complain(status, "cannot write the ports file");
	} else {
		add_signals(daemon);
		daemon->upkeep = upkeep_new(daemon->base, daemon->house, &daemon->shared);
		daemon->reconciler = reconciler_start(daemon->base, daemon->house);
		daemon->herald = herald_new(daemon->base, daemon->house);
		if (seal(daemon, words)) {
			run(daemon);
			status = COMMAND_DONE;
		} else {
			complain(status, words);
		}
	}
	free_loop(daemon);
	return status;
}

/* Of what libcurl frees for a request, eighty are nothing at all, and jemalloc would look each of
 * them up before it finds that out. */
static void free_if_any(void *memory)
{
	if (memory != NULL)
		free(memory);
}

int serve_run(const struct serve_options *options)
{
	struct daemon *daemon = must_calloc(1, sizeof *daemon);
	struct house_options house_options = options->house;
	char reason[512] = "";
	int status;

	signal(SIGPIPE, SIG_IGN);
	sandbox_begin();
	/* An event that could not be added would never come: a listener that is deaf, a call that
	 * hangs. Without memory the process ends instead, and its next start reads the truth. */
	event_set_mem_functions(must_alloc, must_realloc, free);
	must(curl_global_init_mem(CURL_GLOBAL_DEFAULT, must_alloc, free_if_any, must_realloc,
		 must_strdup, must_calloc) == CURLE_OK);
	must(evthread_use_pthreads() == 0);
	daemon->options = options;
	daemon->admin_fd = -1;
	for (long i = 0; i < WORKERS_MAX; i++)
		daemon->fds[i] = -1;
	house_options.command = "admin socket";
	house_options.configured = on_configured;
	house_options.configured_arg = daemon;
	status = exit_status(house_open(&daemon->house, reason, &house_options));
	if (status == COMMAND_DONE) {
		status = serve_house(daemon);
	} else {
		complain(status, reason);
		close_sockets(daemon);
	}
	house_close(&daemon->house);
	free(daemon);
	curl_global_cleanup();
	return status;
}
