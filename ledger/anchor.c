/* ledger/anchor.c - see anchor.h. */
#include "ledger/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"

#define LINE_START "{\"anchor\":"

/* --- one line ------------------------------------------------------------- */

static int format_chain(char *out, size_t size, const char *name, const struct anchor_chain *chain)
{
	char head[2 * DIGEST_SIZE + 1], root[2 * DIGEST_SIZE + 1];

	return snprintf(out, size,
	    "\"%s\":{\"from\":%" PRId64 ",\"rows\":%" PRId64 ",\"last\":\"%" PRId64
	    "\",\"head\":\"%s\",\"root\":\"%s\"}",
	    name, chain->from, chain->head.rows, chain->head.last,
	    hex_encode(head, chain->head.hash.bytes, DIGEST_SIZE),
	    hex_encode(root, chain->root.bytes, DIGEST_SIZE));
}

size_t anchor_statement(char out[ANCHOR_LINE_MAX], const struct anchor *anchor)
{
	char journal[ANCHOR_LINE_MAX / 2], record[ANCHOR_LINE_MAX / 2];
	char before[2 * DIGEST_SIZE + 1], time[CLOCK_TEXT_SIZE];
	int size;

	format_chain(journal, sizeof(journal), "journal", &anchor->journal);
	format_chain(record, sizeof(record), "record", &anchor->record);
	size = snprintf(out, ANCHOR_LINE_MAX,
	    LINE_START "%" PRId64
		       ",\"time\":\"%s\",\"installation\":\"%s\",%s,%s,\"before\":\"%s\"}",
	    anchor->number, clock_format(time, anchor->time_us), anchor->installation, journal,
	    record, hex_encode(before, anchor->before.bytes, DIGEST_SIZE));
	must(size > 0 && (size_t)size < ANCHOR_LINE_MAX);
	return (size_t)size;
}

size_t anchor_format(char out[ANCHOR_LINE_MAX], const struct anchor *anchor)
{
	size_t size = anchor_statement(out, anchor) - 1; /* the closing bracket goes */
	int more = snprintf(
	    out + size, ANCHOR_LINE_MAX - size, ",\"signature\":\"%s\"}", anchor->signature);

	must(more > 0 && (size_t)more < ANCHOR_LINE_MAX - size);
	return size + (size_t)more;
}

static bool read_number(int64_t *out, const json_t *object, const char *key)
{
	const json_t *number = json_member(object, key);

	if (!json_is_integer(number) || json_integer_value(number) < 0 ||
	    json_integer_value(number) > ANCHOR_NUMBER_MAX)
		return false;
	*out = json_integer_value(number);
	return true;
}

static bool read_digest(struct digest *out, const json_t *object, const char *key)
{
	return hex_decode(out->bytes, DIGEST_SIZE, json_str(object, key));
}

static bool read_word(char *out, size_t length, const json_t *object, const char *key)
{
	const char *text = json_str(object, key);

	if (text == NULL || strlen(text) != length)
		return false;
	memcpy(out, text, length + 1);
	return true;
}

static bool read_chain(struct anchor_chain *out, const json_t *root, const char *key)
{
	const json_t *chain = json_member(root, key);
	const char *last = json_str(chain, "last");

	return read_number(&out->from, chain, "from") &&
	       read_number(&out->head.rows, chain, "rows") && last != NULL &&
	       sscanf(last, "%18" SCNd64, &out->head.last) == 1 &&
	       read_digest(&out->head.hash, chain, "head") &&
	       read_digest(&out->root, chain, "root") && out->from <= out->head.rows &&
	       out->head.rows - out->from <= ANCHOR_ROWS_MAX && out->head.last >= out->head.rows;
}

/* Members are read leniently: writing them again must give the same line. */
bool anchor_parse(struct anchor *out, const char *line, size_t size)
{
	char again[ANCHOR_LINE_MAX];
	struct json_error error;
	struct anchor anchor = {.number = 0};
	json_t *root;
	bool ok;

	if (size >= ANCHOR_LINE_MAX)
		return false;
	root = json_read(&error, line, size, ANCHOR_LINE_MAX);
	if (root == NULL)
		return false;
	ok = read_number(&anchor.number, root, "anchor") && anchor.number > 0 &&
	     clock_parse(&anchor.time_us, json_str(root, "time")) &&
	     read_word(anchor.installation, ANCHOR_INSTALLATION, root, "installation") &&
	     read_chain(&anchor.journal, root, "journal") &&
	     read_chain(&anchor.record, root, "record") &&
	     read_digest(&anchor.before, root, "before") &&
	     read_word(anchor.signature, ANCHOR_SIGNATURE, root, "signature");
	json_decref(root);
	if (!ok || anchor_format(again, &anchor) != size || memcmp(again, line, size) != 0)
		return false;
	*out = anchor;
	return true;
}

/* --- reading a file --------------------------------------------------------- */

/* Lines longer than an anchor's are not kept whole: they are none. */
struct reading {
	struct anchor_line line;
	char text[ANCHOR_LINE_MAX];
	size_t size; /* of the line, also beyond text */
	bool loose, go_on;
	anchor_each_fn *each;
	void *arg;
};

static void take_line(struct reading *reading, bool last)
{
	struct anchor_line *line = &reading->line;
	const char *start = reading->text;
	size_t size = reading->size;

	reading->size = 0;
	line->at++;
	if (size == 0)
		return;
	if (size > sizeof(reading->text))
		size = sizeof(reading->text);
	if (reading->loose) {
		start = memmem(reading->text, size, LINE_START, strlen(LINE_START));
		if (start == NULL)
			start = reading->text;
		size -= (size_t)(start - reading->text);
		while (size > 0 && (start[size - 1] == '\r' || start[size - 1] == ' '))
			size--;
	}
	line->text = start;
	line->size = size;
	line->last = last;
	line->good = anchor_parse(&line->anchor, start, size);
	if (line->good)
		line->digest = sha256(start, size);
	reading->go_on = reading->each(line, reading->arg);
}

static void take_bytes(struct reading *reading, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size && reading->go_on; i++) {
		if (bytes[i] == '\n') {
			take_line(reading, false);
			continue;
		}
		if (reading->size < sizeof(reading->text))
			reading->text[reading->size] = bytes[i];
		reading->size++;
	}
}

/* A regular file, open for reading. */
static enum anchor_result open_file(int *out, const char *path)
{
	/* O_NONBLOCK: a FIFO in the place of the file does not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error;
	struct stat status;

	if (fd < 0)
		return errno == ENOENT ? ANCHOR_ABSENT : ANCHOR_IO;
	if (fstat(fd, &status) != 0) {
		error = errno;
		close(fd);
		errno = error;
		return ANCHOR_IO;
	}
	if (!S_ISREG(status.st_mode)) {
		close(fd);
		return ANCHOR_FOREIGN;
	}
	*out = fd;
	return ANCHOR_OK;
}

enum anchor_result anchor_each(const char *path, bool loose, anchor_each_fn *each, void *arg)
{
	struct reading *reading;
	char bytes[16384];
	int fd, error;
	enum anchor_result result = open_file(&fd, path);
	ssize_t size;

	if (result != ANCHOR_OK)
		return result;
	reading = must_calloc(1, sizeof(*reading));
	*reading = (struct reading){.loose = loose, .go_on = true, .each = each, .arg = arg};
	do {
		size = read(fd, bytes, sizeof(bytes));
		if (size > 0)
			take_bytes(reading, bytes, (size_t)size);
	} while (reading->go_on && (size > 0 || (size < 0 && errno == EINTR)));
	error = errno;
	if (size == 0 && reading->size > 0)
		take_line(reading, true);
	else if (size < 0)
		result = ANCHOR_IO;
	free(reading);
	close(fd);
	errno = error;
	return result;
}

/* --- its end ------------------------------------------------------------------ */

/* The last whole anchor in a piece of the file that ends where the file ends. */
static void find_newest(struct anchor_tail *tail, const char *bytes, size_t size)
{
	size_t end = size, start;

	while (!tail->any && end > 0) {
		for (start = end; start > 0 && bytes[start - 1] != '\n'; start--)
			;
		if (anchor_parse(&tail->newest, bytes + start, end - start)) {
			tail->any = true;
			tail->digest = sha256(bytes + start, end - start);
		}
		end = start > 0 ? start - 1 : 0;
	}
}

/* Without an anchor in it a file may be one whose first line was torn: it begins like one, or with
 * what a file system leaves where nothing was written. Another file's end is not ours. */
static bool may_be_torn(const char *bytes, size_t size)
{
	size_t start = strlen(LINE_START);

	return bytes[0] == '\0' || memcmp(bytes, LINE_START, size < start ? size : start) == 0;
}

enum anchor_result anchor_tail_read(struct anchor_tail *out, int fd)
{
	struct anchor_tail tail = {.any = false};
	bool foreign = false;
	struct stat status;
	off_t start;
	char *bytes;
	size_t size = 0;
	ssize_t got = 1;

	if (fstat(fd, &status) != 0)
		return ANCHOR_IO;
	if (!S_ISREG(status.st_mode))
		return ANCHOR_FOREIGN;
	start =
	    status.st_size > (off_t)ANCHOR_TAIL_SIZE ? status.st_size - (off_t)ANCHOR_TAIL_SIZE : 0;
	bytes = must_alloc(ANCHOR_TAIL_SIZE);
	while (size < ANCHOR_TAIL_SIZE && got > 0) {
		got = pread(fd, bytes + size, ANCHOR_TAIL_SIZE - size, start + (off_t)size);
		if (got > 0)
			size += (size_t)got;
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	if (got >= 0) {
		tail.open_line = size > 0 && bytes[size - 1] != '\n';
		find_newest(&tail, bytes, size);
		foreign = !tail.any && size > 0 && (start > 0 || !may_be_torn(bytes, size));
	}
	free(bytes);
	if (got < 0)
		return ANCHOR_IO;
	if (foreign)
		return ANCHOR_FOREIGN;
	*out = tail;
	return ANCHOR_OK;
}

bool anchor_append(const struct anchor_tail *tail, int fd, const char *line, size_t size)
{
	char bytes[ANCHOR_LINE_MAX + 2];
	struct stat status;
	size_t length = 0;
	ssize_t written;

	must(size < ANCHOR_LINE_MAX);
	if (fstat(fd, &status) != 0)
		return false;
	if (tail->open_line)
		bytes[length++] = '\n';
	memcpy(bytes + length, line, size);
	length += size;
	bytes[length++] = '\n';
	/* In one piece: what a crash leaves of it is one line that is none. */
	written = write(fd, bytes, length);
	if (written >= 0 && (size_t)written < length) {
		/* The disk is full: fragments must not pile up. A file that cannot be cut, being
		 * append-only to its file system too, keeps the fragment. */
		if (ftruncate(fd, status.st_size) != 0)
			length = 0;
		errno = ENOSPC;
		return false;
	}
	return written >= 0 && fsync(fd) == 0;
}
