#include "proxy/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/file.h"
#include "common/log.h"
#include "ledger/proof.h"
#include "proxy/rooms.h"
#include "wallet/personal.h"

struct line {
	struct line *next;
	char *text;
};

struct anchors {
	struct house *house;
	bool has_key;
	struct address address;
	char installation[ADDRESS_TEXT_SIZE];
	char key_reason[256]; /* why not */

	pthread_mutex_t lock;
	/* under lock: */
	char *path; /* of the file that is open */
	int fd;     /* -1: none */
	bool tail_known;
	struct anchor_tail tail;
	bool begun_anew;                  /* since this process started: the file had gone */
	char reason[ANCHORS_REASON_SIZE]; /* of the last failure; "" when the last one went well */
	bool listening;
	struct line *first, **last;
	size_t waiting;
};

/* --- the key ------------------------------------------------------------- */

char *anchors_path(const struct anchors *anchors)
{
	const char *name = house_config(anchors->house)->anchor_file;

	return name[0] == '/' ? must_strdup(name) : file_path(anchors->house->dir, name);
}

/* A new and empty file, its name on disk too. */
static bool begin_file(const char *path)
{
	return file_create(path, "", 0, 0600);
}

static bool make_key(struct anchors *anchors)
{
	char *path = anchors_path(anchors);
	enum keystore_result result;

	/* First the file: whoever finds a key finds a file, or knows that it has gone. */
	if (!begin_file(path) && errno != EEXIST)
		log_event(LOG_ERROR, "anchor_file_not_made", "path", path, "reason",
		    strerror(errno), NULL);
	free(path);
	result =
	    keystore_generate(&anchors->address, anchors->house->keystore, KEYSTORE_INSTALLATION);
	if (result == KEYSTORE_OK) {
		address_format(anchors->installation, &anchors->address);
		log_event(
		    LOG_INFO, "installation_key_made", "installation", anchors->installation, NULL);
		return true;
	}
	snprintf(anchors->key_reason, sizeof anchors->key_reason,
	    "the installation's key cannot be made: %s",
	    result == KEYSTORE_IO ? strerror(errno) : keystore_result_str(result));
	return false;
}

static bool find_key(struct anchors *anchors)
{
	enum keystore_result result =
	    keystore_address(&anchors->address, anchors->house->keystore, KEYSTORE_INSTALLATION);

	if (result == KEYSTORE_NOT_FOUND)
		return make_key(anchors);
	if (result == KEYSTORE_OK)
		return true;
	snprintf(anchors->key_reason, sizeof anchors->key_reason,
	    "the installation's key in %.100s/keys cannot be used (%s): restore it from a backup",
	    anchors->house->dir, keystore_result_str(result));
	return false;
}

struct anchors *anchors_new(struct house *house)
{
	struct anchors *anchors = must_calloc(1, sizeof *anchors);

	anchors->house = house;
	anchors->fd = -1;
	anchors->last = &anchors->first;
	must(pthread_mutex_init(&anchors->lock, NULL) == 0);
	anchors->has_key = find_key(anchors);
	if (anchors->has_key)
		address_format(anchors->installation, &anchors->address);
	else
		log_event(LOG_ERROR, "installation_key", "reason", anchors->key_reason, NULL);
	return anchors;
}

static void close_file(struct anchors *anchors)
{
	if (anchors->fd >= 0)
		close(anchors->fd);
	anchors->fd = -1;
	anchors->tail_known = false;
}

void anchors_free(struct anchors **anchors_p)
{
	struct anchors *anchors = *anchors_p;
	char *text;

	*anchors_p = NULL;
	if (!anchors)
		return;
	while ((text = anchors_take(anchors)) != NULL)
		free(text);
	close_file(anchors);
	pthread_mutex_destroy(&anchors->lock);
	free(anchors->path);
	free(anchors);
}

bool anchors_installation(struct address *out, const struct anchors *anchors)
{
	if (anchors->has_key)
		*out = anchors->address;
	return anchors->has_key;
}

/* --- the file -------------------------------------------------------------- */

static bool fail(char reason[ANCHORS_REASON_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(char reason[ANCHORS_REASON_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, ANCHORS_REASON_SIZE, format, args);
	va_end(args);
	return false;
}

/* Is what is open still what has the name? It may have been moved, rotated or unmounted. */
static bool still_there(const struct anchors *anchors, const char *path)
{
	struct stat open_one, named;

	return anchors->fd >= 0 && strcmp(anchors->path, path) == 0 && stat(path, &named) == 0 &&
	       fstat(anchors->fd, &open_one) == 0 && named.st_ino == open_one.st_ino &&
	       named.st_dev == open_one.st_dev;
}

static int open_file(const char *path)
{
	/* O_NONBLOCK: a FIFO in its place does not hold us up; it is refused by its tail. */
	return open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static bool begin_anew(struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], const char *path)
{
	if (!begin_file(path))
		return fail(reason, "the anchor file %.200s has gone and cannot be begun anew: %s",
		    path, strerror(errno));
	log_event(LOG_ERROR, "anchor_file_missing", "path", path, "reason",
	    "it has gone; a new one is begun at the first row: compare with copies kept elsewhere",
	    NULL);
	anchors->begun_anew = true;
	return true;
}

static bool ensure_file(struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], const char *path)
{
	if (still_there(anchors, path))
		return true;
	close_file(anchors);
	free(anchors->path);
	anchors->path = must_strdup(path);
	anchors->fd = open_file(path);
	if (anchors->fd < 0 && errno == ENOENT) {
		if (!begin_anew(anchors, reason, path))
			return false;
		anchors->fd = open_file(path);
	}
	if (anchors->fd < 0)
		return fail(
		    reason, "the anchor file %.200s cannot be written: %s", path, strerror(errno));
	return true;
}

/* The tail of fd, and whether this installation may go on there. */
static bool read_tail(struct anchor_tail *out, const struct anchors *anchors,
    char reason[ANCHORS_REASON_SIZE], int fd, const char *path)
{
	switch (anchor_tail_read(out, fd)) {
	case ANCHOR_OK:
		break;
	case ANCHOR_ABSENT:
	case ANCHOR_FOREIGN:
		return fail(reason,
		    "%.200s is no anchor file: put it aside, or name another as anchor_file", path);
	case ANCHOR_IO:
		return fail(
		    reason, "the anchor file %.200s cannot be read: %s", path, strerror(errno));
	}
	if (out->any && strcmp(out->newest.installation, anchors->installation) != 0)
		return fail(reason,
		    "the anchor file %.200s is of installation %s, and this is %s: restore "
		    "that key, or put the file aside",
		    path, out->newest.installation, anchors->installation);
	return true;
}

/* --- one anchor ------------------------------------------------------------- */

static void keep_line(struct anchors *anchors, const char *text, size_t size)
{
	struct line *line, *oldest;

	if (!anchors->listening)
		return;
	line = must_calloc(1, sizeof *line);
	line->text = must_strndup(text, size);
	*anchors->last = line;
	anchors->last = &line->next;
	if (++anchors->waiting <= ANCHORS_WAITING_MAX)
		return;
	oldest = anchors->first;
	anchors->first = oldest->next;
	anchors->waiting--;
	free(oldest->text);
	free(oldest);
}

static bool write_anchor(
    struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], struct anchor *anchor)
{
	char line[ANCHOR_LINE_MAX], statement[ANCHOR_LINE_MAX];
	struct anchor_tail *tail = &anchors->tail;
	enum keystore_result signed_it;
	size_t size;

	anchor->number = tail->any ? tail->newest.number + 1 : 1;
	anchor->before = tail->digest;
	memcpy(anchor->installation, anchors->installation, sizeof anchor->installation);
	size = anchor_statement(statement, anchor);
	signed_it = personal_sign(
	    anchor->signature, anchors->house->keystore, KEYSTORE_INSTALLATION, statement, size);
	if (signed_it != KEYSTORE_OK)
		return fail(reason, "the installation's key does not sign: %s",
		    keystore_result_str(signed_it));
	size = anchor_format(line, anchor);
	if (!anchor_append(tail, anchors->fd, line, size)) {
		fail(reason, "the anchor file %.200s cannot be written: %s", anchors->path,
		    strerror(errno));
		/* What arrived of it the next try has to see. */
		close_file(anchors);
		return false;
	}
	*tail = (struct anchor_tail){.any = true, .newest = *anchor, .digest = sha256(line, size)};
	keep_line(anchors, line, size);
	return true;
}

static bool is_full(const struct anchor_chain *chain)
{
	return chain->head.rows - chain->from == ANCHOR_ROWS_MAX;
}

static enum anchors_result make_one(
    struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], const char *path, int64_t now_us)
{
	const struct anchor *newest;
	struct anchor anchor = {.time_us = now_us};
	char time[CLOCK_TEXT_SIZE], words[256];

	if (!anchors->has_key) {
		fail(reason, "%s", anchors->key_reason);
		return ANCHORS_FAILED;
	}
	if (store_behind(anchors->house->store, words)) {
		fail(reason, "%s", words);
		return ANCHORS_FAILED;
	}
	if (!ensure_file(anchors, reason, path))
		return ANCHORS_FAILED;
	if (!anchors->tail_known && !read_tail(&anchors->tail, anchors, reason, anchors->fd, path))
		return ANCHORS_FAILED;
	anchors->tail_known = true;
	newest = anchors->tail.any ? &anchors->tail.newest : NULL;
	switch (proof_next(&anchor.journal, &anchor.record, anchors->house->store, newest)) {
	case PROOF_OK:
		if (!write_anchor(anchors, reason, &anchor))
			return ANCHORS_FAILED;
		return is_full(&anchor.journal) || is_full(&anchor.record) ? ANCHORS_MORE
									   : ANCHORS_MADE;
	case PROOF_NOTHING:
		return ANCHORS_NOTHING;
	case PROOF_BEHIND:
		must(newest != NULL);
		fail(reason,
		    "the ledger has not the rows of anchor %lld (%s): it is an older copy, such as "
		    "a restored backup, or rows were removed; to go on from it, put %.200s aside",
		    (long long)newest->number, clock_format(time, newest->time_us), path);
		return ANCHORS_FAILED;
	case PROOF_BROKEN:
	case PROOF_TOO_MANY:
		break;
	}
	fail(reason, "the ledger cannot be read");
	return ANCHORS_FAILED;
}

/* Said once, until it is another reason or goes well again. */
static void note(struct anchors *anchors, enum anchors_result result, const char *reason)
{
	if (result == ANCHORS_FAILED && strcmp(anchors->reason, reason) != 0) {
		log_event(LOG_ERROR, "anchor_failed", "reason", reason, NULL);
		snprintf(anchors->reason, sizeof anchors->reason, "%s", reason);
	} else if (result != ANCHORS_FAILED && *anchors->reason) {
		log_event(LOG_WARN, "anchors_restored", NULL);
		*anchors->reason = '\0';
	}
}

enum anchors_result anchors_make(
    struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], int64_t now_us)
{
	char *path = anchors_path(anchors);
	enum anchors_result result;

	must(pthread_mutex_lock(&anchors->lock) == 0);
	result = make_one(anchors, reason, path, now_us);
	note(anchors, result, reason);
	must(pthread_mutex_unlock(&anchors->lock) == 0);
	free(path);
	return result;
}

/* --- looked at ---------------------------------------------------------------- */

/* With what is on disk now, whatever is open. */
static bool check_file(struct anchors *anchors, char detail[ANCHORS_REASON_SIZE], const char *path)
{
	struct anchor_tail tail;
	char time[CLOCK_TEXT_SIZE];
	int fd = open_file(path);
	bool ok;

	if (fd < 0 && errno == ENOENT)
		return fail(detail,
		    "the anchor file %.200s is missing: put it back; the daemon begins a new one",
		    path);
	if (fd < 0)
		return fail(
		    detail, "the anchor file %.200s cannot be written: %s", path, strerror(errno));
	ok = read_tail(&tail, anchors, detail, fd, path);
	close(fd);
	if (!ok)
		return false;
	if (anchors->begun_anew)
		return fail(detail,
		    "the anchor file %.200s had gone and was begun anew: compare the ledger with "
		    "copies kept elsewhere (ledger verify --anchors)",
		    path);
	if (tail.any)
		fail(detail, "%lld in %.200s, the newest of %s", (long long)tail.newest.number,
		    path, clock_format(time, tail.newest.time_us));
	else
		fail(detail, "none yet in %.200s", path);
	return true;
}

bool anchors_check(struct anchors *anchors, char detail[ANCHORS_REASON_SIZE])
{
	char *path = anchors_path(anchors);
	bool ok = false;

	must(pthread_mutex_lock(&anchors->lock) == 0);
	if (!anchors->has_key)
		fail(detail, "%s", anchors->key_reason);
	else if (*anchors->reason)
		fail(detail, "%s", anchors->reason);
	else
		ok = check_file(anchors, detail, path);
	must(pthread_mutex_unlock(&anchors->lock) == 0);
	free(path);
	return ok;
}

bool anchors_signed_by(
    void *arg, const char *installation, const char *text, size_t size, const char *signature)
{
	char signer_text[ADDRESS_TEXT_SIZE];
	struct address signer;

	(void)arg;
	return personal_recover(&signer, signature, text, size) &&
	       strcmp(address_format(signer_text, &signer), installation) == 0;
}

char *anchors_witness(struct witness_options *out, const struct anchors *anchors)
{
	char *path = anchors_path(anchors);

	*out = (struct witness_options){
	    .anchor_file = path,
	    .signed_by = anchors_signed_by,
	    .installation = anchors->has_key ? anchors->installation : NULL,
	};
	return path;
}

/* --- for others ------------------------------------------------------------------ */

void anchors_listen(struct anchors *anchors)
{
	must(pthread_mutex_lock(&anchors->lock) == 0);
	anchors->listening = true;
	must(pthread_mutex_unlock(&anchors->lock) == 0);
}

char *anchors_take(struct anchors *anchors)
{
	char *text = NULL;
	struct line *line;

	must(pthread_mutex_lock(&anchors->lock) == 0);
	line = anchors->first;
	if (line) {
		anchors->first = line->next;
		if (!anchors->first)
			anchors->last = &anchors->first;
		anchors->waiting--;
		text = line->text;
	}
	must(pthread_mutex_unlock(&anchors->lock) == 0);
	free(line);
	return text;
}
