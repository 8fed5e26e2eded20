/* tests/unit/ledger_anchors.h - anchors of a store without a keystore: the signature is a
 * digest of the statement in hex, which only these tests take for one. */
#ifndef TESTS_UNIT_LEDGER_ANCHORS_H
#define TESTS_UNIT_LEDGER_ANCHORS_H

#include "tests/unit/ledger_world.h"

#include <fcntl.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "ledger/proof.h"

#define ANCHORS_INSTALLATION "0x857b06519E91e3A54538791bDbb0E22373e36b66"

static inline void anchors_mark(char out[ANCHOR_SIGNATURE + 1], const char *text, size_t size)
{
	struct digest digest = sha256(text, size);

	memset(out, '0', ANCHOR_SIGNATURE);
	out[1] = 'x';
	hex_encode(out + ANCHOR_SIGNATURE - 2 * DIGEST_SIZE, digest.bytes, DIGEST_SIZE);
}

static inline bool anchors_signed_by(
    void *arg, const char *installation, const char *text, size_t size, const char *signature)
{
	char mark[ANCHOR_SIGNATURE + 1];

	(void)arg;
	(void)installation;
	anchors_mark(mark, text, size);
	return strcmp(mark, signature) == 0;
}

static inline void anchors_sign(struct anchor *anchor)
{
	char statement[ANCHOR_LINE_MAX];
	size_t size = anchor_statement(statement, anchor);

	anchors_mark(anchor->signature, statement, size);
}

/* One more line of the file at path, if there are rows for one. */
static inline bool anchors_add(struct store *store, const char *path, int64_t now_us)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	struct anchor anchor = {.installation = ANCHORS_INSTALLATION, .time_us = now_us};
	char line[ANCHOR_LINE_MAX];
	enum proof_result result;
	struct anchor_tail tail;

	assert_true(fd >= 0);
	assert_int_equal(anchor_tail_read(&tail, fd), ANCHOR_OK);
	result = proof_next(&anchor.journal, &anchor.record, store, tail.any ? &tail.newest : NULL);
	if (result == PROOF_OK) {
		anchor.number = tail.any ? tail.newest.number + 1 : 1;
		anchor.before = tail.digest;
		anchors_sign(&anchor);
		assert_true(anchor_append(&tail, fd, line, anchor_format(line, &anchor)));
	} else {
		assert_int_equal(result, PROOF_NOTHING);
	}
	assert_int_equal(close(fd), 0);
	return result == PROOF_OK;
}

#endif
