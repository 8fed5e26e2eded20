/* The anchor file in the hands of a daemon: made, continued, lost, foreign, full, told. */
#include "proxy/anchors.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "ledger/verify.h"
#include "proxy/answer.h"
#include "proxy/herald.h"
#include "proxy/house.h"
#include "proxy/rooms.h"
#include "tests/unit/proxy_peer.h"
#include "wallet/personal.h"

#define NOW INT64_C(1763640000000000)

/* One data folder for all: each opening costs a scrypt. */
struct bench {
	char *dir;
	struct house *house;
	char *path; /* of the anchor file */
	int64_t rows;
};

static void open_bench(struct bench *bench)
{
	const struct house_options options = {.dir = bench->dir, .command = "test"};
	char reason[512] = "";

	if (house_open(&bench->house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
}

/* An unlocked key stays in memory: only a new process sees what became of its file. */
static void reopen(struct bench *bench)
{
	house_close(&bench->house);
	open_bench(bench);
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);
	struct house_options options = {.command = "test"};
	char reason[512];
	void *dir;

	if (!bench || unit_folder_make(&dir) != 0)
		return -1;
	options.dir = bench->dir = dir;
	if (house_init(reason, &options) != HOUSE_OK)
		return -1;
	bench->path = file_path(dir, "anchors");
	open_bench(bench);
	*state = bench;
	return 0;
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;

	house_close(&bench->house);
	free(bench->path);
	free(bench);
	return unit_folder_remove(&dir);
}

static void write_rows(struct bench *bench, int count)
{
	struct batch *batch = batch_new(NOW);

	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof name, "setting-%lld", (long long)bench->rows++);
		batch_setting(batch, store_next_id(bench->house->store, NOW), name, "{}");
	}
	assert_int_equal(store_append_wait(bench->house->store, &batch), STORE_OK);
}

static enum anchors_result make(struct bench *bench, const char *words)
{
	char reason[ANCHORS_REASON_SIZE] = "";
	enum anchors_result result = anchors_make(bench->house->anchors, reason, NOW);

	if (result == ANCHORS_FAILED && (!words || !strstr(reason, words)))
		fail_msg("%s", reason);
	return result;
}

static char *text_of(const struct bench *bench)
{
	size_t size;
	char *text = file_read(&size, bench->path, 1u << 20);

	assert_non_null(text);
	return text;
}

static size_t line_count(const struct bench *bench)
{
	char *text = text_of(bench);
	size_t count = 0;

	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		count++;
	free(text);
	return count;
}

static void assert_verifies(struct bench *bench, int64_t anchors)
{
	struct verify_report report;

	assert_int_equal(command_verify(&report, bench->house, NULL), STORE_OK);
	if (!report.ok)
		fail_msg("%s", report.problems[0]);
	assert_int_equal(report.anchors, anchors);
	verify_fini(&report);
}

static bool in_order(struct bench *bench, const char *words)
{
	char detail[ANCHORS_REASON_SIZE] = "";
	bool ok = anchors_check(bench->house->anchors, detail);

	if (!strstr(detail, words))
		fail_msg("%s", detail);
	return ok;
}

/* --- lines ------------------------------------------------------------------------- */

static void a_new_folder_has_key_and_file(void **state)
{
	struct bench *bench = *state;
	struct address address;
	struct stat status;

	assert_true(anchors_installation(&address, bench->house->anchors));
	assert_false(address_is_zero(&address));
	assert_int_equal(stat(bench->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(status.st_size, 0);
	assert_true(in_order(bench, "none yet in "));
}

static void lines_follow_rows(void **state)
{
	struct bench *bench = *state;
	struct address signer, address;
	struct anchor anchor;
	char statement[ANCHOR_LINE_MAX], *text;

	write_rows(bench, 3);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_int_equal(make(bench, NULL), ANCHORS_NOTHING);
	write_rows(bench, 1);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_int_equal(line_count(bench), 2);
	assert_verifies(bench, 2);
	assert_true(in_order(bench, "2 in "));
	text = text_of(bench);
	assert_true(anchor_parse(&anchor, text, strcspn(text, "\n")));
	/* The default policy was the first row. */
	assert_int_equal(anchor.record.head.rows, 4);
	assert_true(personal_recover(
	    &signer, anchor.signature, statement, anchor_statement(statement, &anchor)));
	assert_true(anchors_installation(&address, bench->house->anchors));
	assert_true(address_equal(&signer, &address));
	free(text);
}

static void many_rows_make_more(void **state)
{
	struct bench *bench = *state;

	write_rows(bench, ANCHOR_ROWS_MAX + 5);
	assert_int_equal(make(bench, NULL), ANCHORS_MORE);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_int_equal(make(bench, NULL), ANCHORS_NOTHING);
	assert_verifies(bench, 4);
}

static void a_restart_goes_on(void **state)
{
	struct bench *bench = *state;
	struct address before, after;

	assert_true(anchors_installation(&before, bench->house->anchors));
	reopen(bench);
	assert_true(anchors_installation(&after, bench->house->anchors));
	assert_true(address_equal(&before, &after));
	write_rows(bench, 1);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_verifies(bench, 5);
}

/* --- what may befall the file --------------------------------------------------------- */

static void a_torn_line_is_left_behind(void **state)
{
	struct bench *bench = *state;
	int fd = open(bench->path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, "{\"anchor\":6,\"ti", 15), 15);
	close(fd);
	/* The daemon that tore it is gone: the next one reads the tail again. */
	anchors_free(&bench->house->anchors);
	bench->house->anchors = anchors_new(bench->house);
	write_rows(bench, 1);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_int_equal(line_count(bench), 7);
	assert_verifies(bench, 6);
}

static void a_moved_file_is_begun_anew(void **state)
{
	struct bench *bench = *state;
	char *aside = file_path(bench->dir, "aside");
	size_t count;

	assert_int_equal(rename(bench->path, aside), 0);
	assert_false(in_order(bench, "is missing"));
	assert_int_equal(make(bench, NULL), ANCHORS_MORE);
	while (make(bench, NULL) != ANCHORS_NOTHING)
		;
	assert_false(in_order(bench, "was begun anew"));
	count = line_count(bench);
	assert_int_equal(count, 2);
	assert_verifies(bench, (int64_t)count);
	/* Back in its place, it goes on. */
	assert_int_equal(rename(aside, bench->path), 0);
	write_rows(bench, 1);
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_verifies(bench, 7);
	anchors_free(&bench->house->anchors);
	bench->house->anchors = anchors_new(bench->house);
	assert_true(in_order(bench, "7 in "));
	free(aside);
}

static void an_unwritable_file_is_an_error(void **state)
{
	struct bench *bench = *state;
	char *aside = file_path(bench->dir, "aside"), reason[256];

	write_rows(bench, 1);
	assert_int_equal(rename(bench->path, aside), 0);
	assert_int_equal(mkdir(bench->path, 0700), 0);
	assert_int_equal(make(bench, "cannot be written: Is a directory"), ANCHORS_FAILED);
	assert_false(in_order(bench, "Is a directory"));
	assert_int_equal(rmdir(bench->path), 0);
	assert_int_equal(symlink("/dev/full", bench->path), 0);
	assert_int_equal(make(bench, "is no anchor file"), ANCHORS_FAILED);
	assert_int_equal(unlink(bench->path), 0);
	assert_int_equal(symlink("/nowhere/at/all", bench->path), 0);
	assert_int_equal(make(bench, "cannot be begun anew"), ANCHORS_FAILED);
	assert_int_equal(unlink(bench->path), 0);
	assert_int_equal(rename(aside, bench->path), 0);
	/* Nothing of it stops a payment. */
	assert_true(house_ready(bench->house, reason));
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	assert_verifies(bench, 8);
	free(aside);
}

static void foreign_files_are_not_continued(void **state)
{
	struct bench *bench = *state;
	char *kept = text_of(bench), *foreign = must_strdup(kept), *at;
	struct verify_report report;

	/* Every line another installation's. */
	for (at = foreign; (at = strstr(at, "\"installation\":\"0x")) != NULL; at += 20)
		memcpy(at + 18, "0000000000", 10);
	assert_true(file_replace(bench->path, foreign, strlen(foreign), 0600));
	write_rows(bench, 1);
	assert_int_equal(make(bench, "is of installation 0x0000000000"), ANCHORS_FAILED);
	assert_false(in_order(bench, "restore that key"));
	assert_int_equal(command_verify(&report, bench->house, NULL), STORE_OK);
	assert_false(report.ok);
	assert_non_null(strstr(report.problems[0], "is of another installation"));
	verify_fini(&report);
	assert_true(file_replace(bench->path, kept, strlen(kept), 0600));
	assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	free(foreign);
	free(kept);
}

/* Anchors of rows that are not there: a restored backup beside its anchor file. */
static void a_ledger_behind_is_not_anchored(void **state)
{
	struct bench *bench = *state;
	char *kept = text_of(bench), *longer, line[ANCHOR_LINE_MAX], statement[ANCHOR_LINE_MAX];
	struct verify_report report;
	struct anchor_tail tail;
	struct anchor anchor;
	int fd = open(bench->path, O_RDONLY);

	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_OK);
	close(fd);
	anchor = tail.newest;
	anchor.number++;
	anchor.before = tail.digest;
	anchor.record.from = anchor.record.head.rows;
	anchor.record.head.last = anchor.record.head.rows += 2;
	anchor.journal.from = anchor.journal.head.rows;
	assert_int_equal(
	    personal_sign(anchor.signature, bench->house->keystore, KEYSTORE_INSTALLATION,
		statement, anchor_statement(statement, &anchor)),
	    KEYSTORE_OK);
	longer = must_format("%s%.*s\n", kept, (int)anchor_format(line, &anchor), line);
	assert_true(file_replace(bench->path, longer, strlen(longer), 0600));
	assert_int_equal(make(bench, "restored backup"), ANCHORS_FAILED);
	assert_int_equal(command_verify(&report, bench->house, NULL), STORE_OK);
	assert_false(report.ok);
	assert_non_null(strstr(report.problems[report.problem_count - 1], "restored backup"));
	verify_fini(&report);
	assert_true(file_replace(bench->path, kept, strlen(kept), 0600));
	assert_int_equal(make(bench, NULL), ANCHORS_NOTHING);
	free(longer);
	free(kept);
}

static void without_a_key_there_are_none(void **state)
{
	struct bench *bench = *state;
	char *key = must_format("%s/keys/=40installation.key", bench->dir);
	char *aside = file_path(bench->dir, "key.aside"), reason[256];
	struct address before, address;

	assert_true(anchors_installation(&before, bench->house->anchors));
	assert_int_equal(rename(key, aside), 0);
	assert_true(file_replace(key, "{}", 2, 0600));
	reopen(bench);
	assert_false(anchors_installation(&address, bench->house->anchors));
	assert_int_equal(make(bench, "restore it from a backup"), ANCHORS_FAILED);
	assert_false(in_order(bench, "cannot be used"));
	assert_true(house_ready(bench->house, reason));
	/* An older folder has none: it is made, and is another. */
	assert_int_equal(unlink(key), 0);
	reopen(bench);
	assert_true(anchors_installation(&address, bench->house->anchors));
	assert_false(address_equal(&address, &before));
	assert_int_equal(rename(aside, key), 0);
	reopen(bench);
	assert_true(anchors_installation(&address, bench->house->anchors));
	assert_true(address_equal(&address, &before));
	free(key);
	free(aside);
}

static void lines_for_others_are_bounded(void **state)
{
	struct bench *bench = *state;
	size_t count = 0;
	char *line, *first;
	int64_t newest = (int64_t)line_count(bench);

	assert_null(anchors_take(bench->house->anchors));
	anchors_listen(bench->house->anchors);
	for (size_t i = 0; i < ANCHORS_WAITING_MAX + 2; i++) {
		write_rows(bench, 1);
		assert_int_equal(make(bench, NULL), ANCHORS_MADE);
	}
	/* The two oldest went. One torn line is in the count. */
	first = must_format("{\"anchor\":%lld,", (long long)newest - 1 + 3);
	while ((line = anchors_take(bench->house->anchors)) != NULL) {
		if (count++ == 0)
			assert_memory_equal(line, first, strlen(first));
		free(line);
	}
	assert_int_equal(count, ANCHORS_WAITING_MAX);
	free(first);
}

/* --- the herald ------------------------------------------------------------------------ */

static void set_webhook(struct bench *bench, int port, const char *more)
{
	char *path = file_path(bench->dir, "tallyward.json");
	char *text = must_format(
	    "{\"anchor_webhook\": \"http://127.0.0.1:%d/hook\", \"anchor_s\": 1%s}", port, more);

	assert_true(file_replace(path, text, strlen(text), 0600));
	reopen(bench);
	free(text);
	free(path);
}

/* The line of one POST, answered with a status line. */
static int64_t serve_one(struct event_base *base, int listen_fd, const char *answer)
{
	struct peer peer = {.fd = -1};
	struct anchor anchor;
	const char *body;

	peer_until(base, peer_accept(&peer, listen_fd));
	peer_until(base, peer_has(&peer, "\"}"));
	assert_non_null(strstr(peer_text(&peer), "POST /hook HTTP/1.1\r\n"));
	assert_non_null(strstr(peer_text(&peer), "Content-Type: application/json\r\n"));
	body = strstr(peer_text(&peer), "\r\n\r\n") + 4;
	assert_true(anchor_parse(&anchor, body, strlen(body)));
	peer_say(base, &peer, answer);
	peer_close(&peer);
	return anchor.number;
}

#define TAKEN   "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
#define REFUSED "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define MOVED   "HTTP/1.1 302 No\r\nConnection: close\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"

static void the_webhook_gets_lines_in_order(void **state)
{
	struct bench *bench = *state;
	struct event_base *base = event_base_new();
	struct herald *herald;
	int fd = peer_listen();
	int64_t first;

	set_webhook(bench, port_of(fd), "");
	write_rows(bench, 1);
	herald = herald_new(base, bench->house);
	first = serve_one(base, fd, REFUSED);
	write_rows(bench, 1);
	/* Again after a second, then two; by then the next line waits behind it. */
	assert_int_equal(serve_one(base, fd, MOVED), first);
	assert_int_equal(serve_one(base, fd, TAKEN), first);
	assert_int_equal(serve_one(base, fd, TAKEN), first + 1);
	herald_free(&herald);
	assert_null(herald);
	close(fd);
	event_base_free(base);
}

struct taker {
	struct event_base *base;
	int fd;
	size_t taken;
	struct peer peer;
};

static void on_taker(evutil_socket_t fd, short what, void *arg)
{
	struct taker *taker = arg;

	(void)fd;
	(void)what;
	if (!peer_accept(&taker->peer, taker->fd) || !peer_has(&taker->peer, "\"}"))
		return;
	peer_push(&taker->peer, TAKEN, strlen(TAKEN));
	peer_close(&taker->peer);
	taker->taken++;
}

static void a_stop_makes_and_tells_the_last(void **state)
{
	struct bench *bench = *state;
	struct event_base *base = event_base_new();
	struct taker taker = {.base = base, .fd = peer_listen(), .peer = {.fd = -1}};
	struct timeval often = {0, 1000};
	struct event *event = event_new(base, -1, EV_PERSIST, on_taker, &taker);
	size_t before;
	struct herald *herald;

	set_webhook(bench, port_of(taker.fd), "");
	while (make(bench, NULL) != ANCHORS_NOTHING)
		;
	before = line_count(bench);
	assert_int_equal(event_add(event, &often), 0);
	herald = herald_new(base, bench->house);
	write_rows(bench, ANCHOR_ROWS_MAX + 1);
	herald_finish(herald, 60000);
	assert_int_equal(line_count(bench), before + 2);
	assert_int_equal(taker.taken, 2);
	assert_int_equal(make(bench, NULL), ANCHORS_NOTHING);
	herald_free(&herald);
	/* Nobody takes it: the stop does not wait for a second try. */
	close(taker.fd);
	write_rows(bench, 1);
	herald = herald_new(base, bench->house);
	herald_finish(herald, 600000);
	herald_free(&herald);
	write_rows(bench, 1);
	herald = herald_new(base, bench->house);
	herald_finish(herald, 0);
	assert_int_equal(line_count(bench), before + 4);
	herald_free(&herald);
	event_free(event);
	event_base_free(base);
}

/* An answer that does not end is cut off; its status had been said. */
static void an_endless_answer_counts_by_its_status(void **state)
{
	struct bench *bench = *state;
	struct event_base *base = event_base_new();
	char *endless = text_repeat("HTTP/1.1 200 OK\r\n\r\n", "0123456789", 30000, "");
	struct peer peer = {.fd = -1};
	struct herald *herald;
	int fd = peer_listen();
	int64_t next;

	set_webhook(bench, port_of(fd), "");
	write_rows(bench, 1);
	herald = herald_new(base, bench->house);
	peer_until(base, peer_accept(&peer, fd));
	peer_until(base, peer_has(&peer, "\"}"));
	peer_send(base, &peer, endless, strlen(endless));
	peer_until(base, peer_over(&peer));
	peer_close(&peer);
	write_rows(bench, 1);
	next = serve_one(base, fd, TAKEN);
	assert_int_equal(next, line_count(bench) - 1);
	herald_free(&herald);
	close(fd);
	free(endless);
	event_base_free(base);
}

static void syslog_gets_one_datagram(void **state)
{
	char *path = file_path(((struct bench *)*state)->dir, "log");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), sent = 0;
	char text[2048], wanted[64];
	ssize_t size;

	assert_false(herald_syslog(path, "x", NOW));
	assert_true(strlen(path) < sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_true(herald_syslog(path, "{\"anchor\":1}", NOW));
	size = recv(fd, text, sizeof text - 1, 0);
	assert_true(size > 0);
	text[size] = '\0';
	snprintf(wanted, sizeof wanted, "<29>Nov 20 12:00:00 tallyward[%ld]: {\"anchor\":1}",
	    (long)getpid());
	assert_string_equal(text, wanted);
	/* A reader that does not read holds nobody up. */
	while (sent < 100000 && herald_syslog(path, "x", NOW))
		sent++;
	assert_true(sent < 100000);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	assert_false(herald_syslog(path, "x", NOW));
	unlink(path);
	free(path);
	path = text_repeat("/", "long", 60, "");
	assert_false(herald_syslog(path, "x", NOW));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_folder_has_key_and_file),
	    cmocka_unit_test(lines_follow_rows),
	    cmocka_unit_test(many_rows_make_more),
	    cmocka_unit_test(a_restart_goes_on),
	    cmocka_unit_test(a_torn_line_is_left_behind),
	    cmocka_unit_test(a_moved_file_is_begun_anew),
	    cmocka_unit_test(an_unwritable_file_is_an_error),
	    cmocka_unit_test(foreign_files_are_not_continued),
	    cmocka_unit_test(a_ledger_behind_is_not_anchored),
	    cmocka_unit_test(without_a_key_there_are_none),
	    cmocka_unit_test(lines_for_others_are_bounded),
	    cmocka_unit_test(the_webhook_gets_lines_in_order),
	    cmocka_unit_test(a_stop_makes_and_tells_the_last),
	    cmocka_unit_test(an_endless_answer_counts_by_its_status),
	    cmocka_unit_test(syslog_gets_one_datagram),
	};

	return cmocka_run_group_tests(tests, bench_make, bench_remove);
}
