/* ledger/witness.c - see witness.h. */
#include "ledger/witness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "ledger/merkle.h"

/* Eight years of an anchor a minute: 800 MB while they are checked, a tenth in the first. */
#define ANCHORS_MAX (INT64_C(1) << 22)
/* Problems of one kind said one by one; then only their number. */
#define SAID_MAX   3
#define WORDS_SIZE 512u

static const char *const chain_names[] = {"journal", "record"};

/* One file of anchors against one chain. */
struct track {
	size_t next;        /* the anchor whose rows come next */
	struct merkle tree; /* of its rows so far */
	bool counted;       /* its first row has passed */
	int64_t differ;     /* anchors that do not fit */
};

/* What of an anchor is held against rows. */
struct station {
	int64_t number, time_us;
	struct anchor_chain journal, record;
};

struct source {
	const char *name; /* for people */
	struct station *anchors;
	size_t count, capacity;
	int64_t torn;
	int64_t bad; /* lines with a problem of their own */
	bool loose;  /* kept elsewhere: lines may be missing */
	char installation[ANCHOR_INSTALLATION + 1];
	struct digest before; /* of the newest line */
	struct track tracks[2];
};

struct witness {
	const struct witness_options *options;
	witness_problem_fn *problem;
	void *arg;
	struct source own, other;
	bool has_slot;
	struct heads slot;
	bool slot_passed[2];
	int64_t rows[2], last[2];
	bool found[2]; /* the single heads */
};

static void say(struct witness *witness, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct witness *witness, const char *format, ...)
{
	char words[WORDS_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	witness->problem(witness->arg, words);
}

/* --- reading the sources ---------------------------------------------------- */

struct reading {
	struct witness *witness;
	struct source *source;
	int64_t torn_at; /* a line that is none, until the next good one; 0 */
};

/* One that differs from the line before only in what must differ. */
static const char *follows(
    const struct source *source, const struct anchor *anchor, const struct digest *digest)
{
	const struct station *newest = &source->anchors[source->count - 1];

	if (anchor->number <= newest->number)
		return "is not numbered after the one before it";
	if (anchor->journal.from < newest->journal.head.rows ||
	    anchor->record.from < newest->record.head.rows)
		return "covers rows that the one before it covers too";
	if (source->loose && anchor->number != newest->number + 1)
		return NULL;
	if (anchor->number != newest->number + 1)
		return "does not follow the one before it: an anchor between was removed";
	if (memcmp(anchor->before.bytes, digest->bytes, DIGEST_SIZE) != 0)
		return "does not name the one before it: that one was changed or exchanged";
	if (anchor->journal.from != newest->journal.head.rows ||
	    anchor->record.from != newest->record.head.rows)
		return "does not begin where the one before it ends";
	return NULL;
}

/* The first line of a file; a file kept elsewhere may begin anywhere. */
static const char *begins(const struct source *source, const struct anchor *anchor)
{
	static const struct digest none;

	if (source->loose && anchor->number != 1)
		return NULL;
	if (anchor->number != 1 || anchor->journal.from != 0 || anchor->record.from != 0 ||
	    memcmp(anchor->before.bytes, none.bytes, DIGEST_SIZE) != 0)
		return "is not the first: those before it were removed";
	return NULL;
}

static const char *signed_well(
    const struct witness *witness, const struct source *source, const struct anchor *anchor)
{
	const struct witness_options *options = witness->options;
	char statement[ANCHOR_LINE_MAX];
	size_t size;

	if (strcmp(anchor->installation, source->installation) != 0)
		return "is of another installation";
	if (options->signed_by == NULL)
		return NULL;
	size = anchor_statement(statement, anchor);
	if (options->signed_by(
		options->signed_by_arg, anchor->installation, statement, size, anchor->signature))
		return NULL;
	return "is not signed by its installation: it was changed or forged";
}

static void bad_line(struct reading *reading, int64_t at, const char *words)
{
	struct source *source = reading->source;

	if (source->bad++ < SAID_MAX)
		say(reading->witness, "%s, line %" PRId64 ": %s", source->name, at, words);
}

static void keep(struct source *source, const struct anchor *anchor)
{
	if (source->count == source->capacity) {
		source->capacity = source->capacity == 0 ? 256 : source->capacity * 2;
		source->anchors =
		    must_realloc(source->anchors, source->capacity * sizeof(*source->anchors));
	}
	source->anchors[source->count++] =
	    (struct station){anchor->number, anchor->time_us, anchor->journal, anchor->record};
}

static bool read_line(const struct anchor_line *line, void *arg)
{
	struct reading *reading = arg;
	struct source *source = reading->source;
	const struct anchor *anchor = &line->anchor;
	char words[160];
	const char *wrong;

	if (!line->good) {
		/* Lines of a system log that are about other things say nothing. */
		if (!source->loose)
			source->torn++;
		else if (memmem(line->text, line->size, "{\"anchor\"", 9) != NULL)
			bad_line(reading, line->at, "is cut short or was changed");
		return true;
	}
	/* The same line twice, as logs have it. */
	if (source->loose && source->count > 0 &&
	    memcmp(line->digest.bytes, source->before.bytes, DIGEST_SIZE) == 0)
		return true;
	if (source->count == 0)
		memcpy(source->installation,
		    reading->witness->options->installation != NULL
			? reading->witness->options->installation
			: anchor->installation,
		    sizeof(source->installation));
	wrong =
	    source->count == 0 ? begins(source, anchor) : follows(source, anchor, &source->before);
	if (wrong == NULL)
		wrong = signed_well(reading->witness, source, anchor);
	if (wrong != NULL) {
		snprintf(words, sizeof(words), "anchor %" PRId64 " %s", anchor->number, wrong);
		bad_line(reading, line->at, words);
	}
	/* What goes back cannot be held against rows that only go forwards. */
	if (source->count > 0 &&
	    (anchor->journal.from < source->anchors[source->count - 1].journal.head.rows ||
		anchor->record.from < source->anchors[source->count - 1].record.head.rows))
		return true;
	source->before = line->digest;
	keep(source, anchor);
	return source->count < ANCHORS_MAX;
}

static void read_source(
    struct witness *witness, struct source *source, const char *path, bool must_exist)
{
	struct reading reading = {.witness = witness, .source = source};

	switch (anchor_each(path, source->loose, read_line, &reading)) {
	case ANCHOR_OK:
		break;
	case ANCHOR_ABSENT:
		if (must_exist)
			say(witness, "%s is not there", source->name);
		return;
	case ANCHOR_FOREIGN:
		say(witness, "%s is no file of anchors", source->name);
		return;
	case ANCHOR_IO:
		say(witness, "%s cannot be read: %s", source->name, strerror(errno));
		return;
	}
	if (source->bad > SAID_MAX)
		say(witness, "%s: %" PRId64 " more lines are wrong", source->name,
		    source->bad - SAID_MAX);
	if (must_exist && source->count == 0)
		say(witness, "%s holds no anchor", source->name);
	if (source->count == (size_t)ANCHORS_MAX)
		say(witness,
		    "%s has more than %" PRId64
		    " anchors, the rest is not checked: put it aside and begin a new one",
		    source->name, ANCHORS_MAX);
}

static void read_slot(struct witness *witness, const char *dir)
{
	char *path = file_path(dir, HEAD_FILE);

	switch (head_read(&witness->slot, path)) {
	case HEAD_OK:
		witness->has_slot = true;
		break;
	case HEAD_ABSENT:
		break;
	case HEAD_DAMAGED:
		say(witness, "%s is damaged: it was changed by something else", path);
		break;
	case HEAD_IO:
		say(witness, "%s cannot be read: %s", path, strerror(errno));
		break;
	}
	free(path);
}

struct witness *witness_new(
    const char *dir, const struct witness_options *options, witness_problem_fn *problem, void *arg)
{
	struct witness *witness = must_calloc(1, sizeof(*witness));

	witness->options = options;
	witness->problem = problem;
	witness->arg = arg;
	witness->own.name = options->anchor_file;
	witness->other.name = options->other_anchors;
	witness->other.loose = true;
	read_slot(witness, dir);
	if (options->anchor_file != NULL)
		read_source(witness, &witness->own, options->anchor_file, false);
	if (options->other_anchors != NULL)
		read_source(witness, &witness->other, options->other_anchors, true);
	return witness;
}

void witness_free(struct witness **witness)
{
	if (*witness == NULL)
		return;
	free((*witness)->own.anchors);
	free((*witness)->other.anchors);
	free(*witness);
	*witness = NULL;
}

/* --- rows ------------------------------------------------------------------- */

static const struct anchor_chain *chain_of(const struct station *anchor, enum witness_chain chain)
{
	return chain == WITNESS_JOURNAL ? &anchor->journal : &anchor->record;
}

static const struct digest *single_head(const struct witness *witness, enum witness_chain chain)
{
	return chain == WITNESS_JOURNAL ? witness->options->head : witness->options->audit_head;
}

static void differs(struct witness *witness, struct source *source, enum witness_chain chain,
    const struct station *anchor, const char *what)
{
	const struct anchor_chain *anchored = chain_of(anchor, chain);
	char time[CLOCK_TEXT_SIZE];

	if (source->tracks[chain].differ++ < SAID_MAX)
		say(witness,
		    "%s rows %" PRId64 " to %" PRId64 " are not those of anchor %" PRId64
		    " (%s, %s): %s; rows were changed, removed, inserted or moved after they were "
		    "anchored",
		    chain_names[chain], anchored->from + 1, anchored->head.rows, anchor->number,
		    clock_format(time, anchor->time_us), source->name, what);
}

/* The rows of an anchor have passed: rows is where it ends. */
static void compare(struct witness *witness, struct source *source, enum witness_chain chain,
    const struct station *anchor, int64_t id, const struct digest *hash)
{
	const struct anchor_chain *anchored = chain_of(anchor, chain);
	const struct merkle *tree = &source->tracks[chain].tree;
	struct digest root = merkle_root(tree);

	if (id != anchored->head.last)
		differs(witness, source, chain, anchor, "the last of them has another id");
	else if (memcmp(hash->bytes, anchored->head.hash.bytes, DIGEST_SIZE) != 0)
		differs(witness, source, chain, anchor, "the last of them has another hash");
	else if (tree->count != (uint64_t)(anchored->head.rows - anchored->from) ||
		 memcmp(root.bytes, anchored->root.bytes, DIGEST_SIZE) != 0)
		differs(witness, source, chain, anchor, "their Merkle root is another");
}

/* Before the row numbered rows + 1 or at the end: anchors that end at rows are done. */
static void pass_anchors(struct witness *witness, struct source *source, enum witness_chain chain,
    const struct digest *hash)
{
	struct track *track = &source->tracks[chain];
	int64_t rows = witness->rows[chain];

	while (track->next < source->count) {
		const struct station *anchor = &source->anchors[track->next];

		if (chain_of(anchor, chain)->head.rows != rows)
			return;
		compare(witness, source, chain, anchor, witness->last[chain], hash);
		track->tree.count = 0;
		track->next++;
	}
}

static void row_of_source(struct witness *witness, struct source *source, enum witness_chain chain,
    const struct digest *leaf, const struct digest *hash)
{
	struct track *track = &source->tracks[chain];

	if (track->next == source->count)
		return;
	if (witness->rows[chain] > chain_of(&source->anchors[track->next], chain)->from)
		merkle_add(&track->tree, leaf);
	pass_anchors(witness, source, chain, hash);
}

static void pass_slot(struct witness *witness, enum witness_chain chain, const struct digest *hash)
{
	const struct head *head =
	    chain == WITNESS_JOURNAL ? &witness->slot.journal : &witness->slot.record;

	if (!witness->has_slot || head->rows != witness->rows[chain])
		return;
	witness->slot_passed[chain] = true;
	if (head->last != witness->last[chain] ||
	    memcmp(head->hash.bytes, hash->bytes, DIGEST_SIZE) != 0)
		say(witness,
		    "%s row number %" PRId64 " (%" PRId64 ") is not the one that " HEAD_FILE
		    " names (%" PRId64 "): rows were changed, removed, inserted or moved, or the "
		    "database is another copy, such as a restored backup",
		    chain_names[chain], head->rows, witness->last[chain], head->last);
}

static const struct digest no_rows;

void witness_row(
    struct witness *witness, enum witness_chain chain, int64_t id, const struct digest *hash)
{
	const struct digest *single = single_head(witness, chain);
	struct digest leaf;

	if (witness->rows[chain] == 0) {
		/* Anchors made before there was a row. */
		pass_anchors(witness, &witness->own, chain, &no_rows);
		pass_anchors(witness, &witness->other, chain, &no_rows);
		pass_slot(witness, chain, &no_rows);
	}
	witness->rows[chain]++;
	witness->last[chain] = id;
	if (single != NULL && digest_equal(single, hash))
		witness->found[chain] = true;
	pass_slot(witness, chain, hash);
	if (witness->own.tracks[chain].next == witness->own.count &&
	    witness->other.tracks[chain].next == witness->other.count)
		return;
	leaf = merkle_leaf(hash->bytes, DIGEST_SIZE);
	row_of_source(witness, &witness->own, chain, &leaf, hash);
	row_of_source(witness, &witness->other, chain, &leaf, hash);
}

static void end_of_source(struct witness *witness, struct source *source, enum witness_chain chain)
{
	struct track *track = &source->tracks[chain];
	char time[CLOCK_TEXT_SIZE];
	const struct station *newest;

	if (track->differ > SAID_MAX)
		say(witness, "%" PRId64 " more anchors of %s have other %s rows",
		    track->differ - SAID_MAX, source->name, chain_names[chain]);
	if (track->next >= source->count)
		return;
	newest = &source->anchors[source->count - 1];
	say(witness,
	    "the %s has %" PRId64 " rows, but anchor %" PRId64
	    " (%s, %s) was made when it had %" PRId64
	    ": the newest were cut off, or the database is an older copy, such as a "
	    "restored backup",
	    chain_names[chain], witness->rows[chain], newest->number,
	    clock_format(time, newest->time_us), source->name, chain_of(newest, chain)->head.rows);
}

void witness_end(struct witness *witness, enum witness_chain chain)
{
	const struct head *slot =
	    chain == WITNESS_JOURNAL ? &witness->slot.journal : &witness->slot.record;
	const struct digest *single = single_head(witness, chain);
	char hex[2 * DIGEST_SIZE + 1];

	if (witness->rows[chain] == 0) {
		pass_anchors(witness, &witness->own, chain, &no_rows);
		pass_anchors(witness, &witness->other, chain, &no_rows);
		pass_slot(witness, chain, &no_rows);
	}
	end_of_source(witness, &witness->own, chain);
	end_of_source(witness, &witness->other, chain);
	if (witness->has_slot && !witness->slot_passed[chain])
		say(witness,
		    "the %s has %" PRId64 " rows, but " HEAD_FILE
		    " was written when it had %" PRId64
		    ": the newest were cut off, or the database is an older copy, such as a "
		    "restored backup",
		    chain_names[chain], witness->rows[chain], slot->rows);
	/* All zeros is the head of a chain without rows: true of every one. */
	if (single != NULL && !witness->found[chain] && !digest_equal(single, &no_rows))
		say(witness,
		    "no %s row has the hash %s: the row it was noted down from was changed or cut "
		    "off, or the database is an older copy, such as a restored backup",
		    chain_names[chain], hex_encode(hex, single->bytes, DIGEST_SIZE));
}

int64_t witness_anchors(const struct witness *witness)
{
	return (int64_t)witness->own.count;
}

int64_t witness_anchored_us(const struct witness *witness)
{
	const struct source *own = &witness->own;

	return own->count > 0 ? own->anchors[own->count - 1].time_us : 0;
}

int64_t witness_torn(const struct witness *witness)
{
	return witness->own.torn;
}
