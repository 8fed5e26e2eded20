/* ledger/head.c - see head.h. */
#include "ledger/head.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/log.h"

/* A read that meets a write in the middle is repeated; a write takes a microsecond and
 * they are a commit apart. */
#define READ_TRIES 16

struct head_slot {
	int fd;
	bool failed; /* said in the log */
};

/* Where the next goes. */
static char *add_text(char *end, const char *text)
{
	size_t size = strlen(text);

	memcpy(end, text, size);
	return end + size;
}

static char *add_number(char *end, int64_t number)
{
	char text[DECIMAL_TEXT_SIZE];

	return add_text(add_text(end, decimal_encode(text, number)), " ");
}

static char *add_hash(char *end, const struct digest *hash)
{
	hex_encode(end, hash->bytes, DIGEST_SIZE);
	return add_text(end + 2 * DIGEST_SIZE, "\n");
}

static char *add_head(char *end, const char *name, const struct head *head)
{
	end = add_number(add_text(end, name), head->rows);
	return add_hash(add_number(end, head->last), &head->hash);
}

/* With each commit, and so without printf. */
void head_format(char out[HEAD_SIZE + 1], const struct heads *heads)
{
	char *end = add_text(out, "tallyward head 1\n");
	struct digest digest;

	end = add_head(end, "journal ", &heads->journal);
	end = add_head(end, "record ", &heads->record);
	digest = sha256(out, (size_t)(end - out));
	end = add_hash(add_text(end, "sum "), &digest);
	memset(end, ' ', HEAD_SIZE - (size_t)(end - out));
	out[HEAD_SIZE - 1] = '\n';
	out[HEAD_SIZE] = '\0';
}

/* Whatever sscanf takes, only what head_format makes of it counts. */
bool head_parse(struct heads *out, const char *text, size_t size)
{
	char copy[HEAD_SIZE + 1], journal[2 * DIGEST_SIZE + 1], record[2 * DIGEST_SIZE + 1];
	struct heads heads;

	if (size != HEAD_SIZE)
		return false;
	memcpy(copy, text, HEAD_SIZE);
	copy[HEAD_SIZE] = '\0';
	if (sscanf(copy,
		"tallyward head 1 journal %18" SCNd64 " %18" SCNd64 " %64s record %18" SCNd64
		" %18" SCNd64 " %64s",
		&heads.journal.rows, &heads.journal.last, journal, &heads.record.rows,
		&heads.record.last, record) != 6 ||
	    !hex_decode(heads.journal.hash.bytes, DIGEST_SIZE, journal) ||
	    !hex_decode(heads.record.hash.bytes, DIGEST_SIZE, record) || heads.journal.rows < 0 ||
	    heads.journal.last < 0 || heads.record.rows < 0 || heads.record.last < 0)
		return false;
	head_format(copy, &heads);
	if (memcmp(copy, text, HEAD_SIZE) != 0)
		return false;
	*out = heads;
	return true;
}

static enum head_result read_once(struct heads *out, int fd)
{
	char text[HEAD_SIZE + 1];
	ssize_t size = pread(fd, text, sizeof(text), 0);

	if (size < 0)
		return HEAD_IO;
	if (size == 0)
		return HEAD_ABSENT;
	return head_parse(out, text, (size_t)size) ? HEAD_OK : HEAD_DAMAGED;
}

enum head_result head_read(struct heads *out, const char *path)
{
	/* O_NONBLOCK: a FIFO in the place of the file does not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error;
	enum head_result result;

	if (fd < 0)
		return errno == ENOENT ? HEAD_ABSENT : HEAD_IO;
	for (int tries = 0; tries < READ_TRIES; tries++) {
		result = read_once(out, fd);
		if (result != HEAD_DAMAGED)
			break;
	}
	error = errno;
	close(fd);
	errno = error;
	return result;
}

/* The row that a chain is said to end with, by its hash. */
static bool end_in(
    char reason[256], sqlite3 *db, const char *sql, const char *chain, const struct head *head)
{
	sqlite3_stmt *stmt = NULL;
	bool found = false;
	int rc;

	if (head->rows == 0)
		return true;
	rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, head->last);
		rc = sqlite3_step(stmt);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		snprintf(reason, 256, "the ledger cannot be read: %.160s", sqlite3_errmsg(db));
	else if (rc == SQLITE_DONE)
		snprintf(reason, 256,
		    "the ledger lacks its newest rows: %s row %" PRId64
		    " was written and is not there; the database is an older copy, such as a "
		    "restored backup, or its end was cut off",
		    chain, head->last);
	else if (sqlite3_column_bytes(stmt, 0) != DIGEST_SIZE ||
		 memcmp(sqlite3_column_blob(stmt, 0), head->hash.bytes, DIGEST_SIZE) != 0)
		snprintf(reason, 256,
		    "the ledger has another history: %s row %" PRId64
		    " has not the hash it was written with; the database is another copy, or rows "
		    "were changed",
		    chain, head->last);
	else
		found = true;
	sqlite3_finalize(stmt);
	return found;
}

bool head_in(char reason[256], sqlite3 *db, const struct heads *heads)
{
	return end_in(reason, db, "SELECT hash FROM journal WHERE id = ?1", "journal",
		   &heads->journal) &&
	       end_in(
		   reason, db, "SELECT hash FROM record WHERE seq = ?1", "record", &heads->record);
}

struct head_slot *head_slot_open(const char *path)
{
	struct head_slot *slot;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600), error;
	struct stat status;

	if (fd < 0)
		return NULL;
	/* What is longer is not ours, and would stay damaged. */
	if (fstat(fd, &status) != 0 ||
	    (status.st_size > (off_t)HEAD_SIZE && ftruncate(fd, HEAD_SIZE) != 0)) {
		error = errno;
		close(fd);
		errno = error;
		return NULL;
	}
	slot = must_calloc(1, sizeof(*slot));
	slot->fd = fd;
	return slot;
}

void head_slot_close(struct head_slot **slot)
{
	if (*slot == NULL)
		return;
	close((*slot)->fd);
	free(*slot);
	*slot = NULL;
}

bool head_slot_put(struct head_slot *slot, const struct heads *heads)
{
	char text[HEAD_SIZE + 1];
	ssize_t size;
	int error;

	head_format(text, heads);
	size = pwrite(slot->fd, text, HEAD_SIZE, 0);
	if (size == HEAD_SIZE) {
		slot->failed = false;
		return true;
	}
	error = size < 0 ? errno : ENOSPC;
	if (!slot->failed)
		log_event(LOG_ERROR, "head_not_written", "reason", strerror(error), NULL);
	slot->failed = true;
	errno = error;
	return false;
}
