/* ledger/redo.c - see redo.h. */
#include "ledger/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "common/file.h"

#define HEAD_AT   512u
#define RING_AT   4096u
#define FILE_SIZE (RING_AT + REDO_RING_SIZE)
#define STEP      32u /* places are multiples of it, so that an entry's start is in one piece */

struct page {
	char magic[HEAD_AT];
	char heads[HEAD_SIZE];
	_Atomic uint64_t first;
	uint64_t key[2];
};

enum state {
	LEFT = 0,
	DROPPED = 1,
	FILLER = 2, /* to the end of the ring, where the next did not fit; its bytes are nothing */
};

struct entry {
	_Atomic uint64_t place; /* written last */
	uint64_t sum;           /* of its bytes: a power cut may have left some of them only */
	uint32_t size;          /* of its bytes */
	_Atomic uint32_t state; /* enum state */
	uint64_t unused;
	unsigned char bytes[];
};

_Static_assert(sizeof(struct entry) == STEP, "a step is the start of an entry");
_Static_assert(offsetof(struct page, heads) == HEAD_AT && offsetof(struct page, first) == 1024,
    "as the header says");

struct redo {
	char *path, *new_path; /* new_path: NULL once it is in the place of path */
	struct page *page;
	unsigned char *ring;
	_Atomic uint64_t next; /* place of the entry after the last; written by who puts */
};

static void write_magic(char out[HEAD_AT])
{
	memset(out, 0, HEAD_AT);
	snprintf(out, HEAD_AT, "tallyward redo 1 schema %d\n", SCHEMA_VERSION);
}

/* What an entry of size bytes takes. */
static uint64_t step_over(uint64_t size)
{
	return (sizeof(struct entry) + size + STEP - 1) & ~(uint64_t)(STEP - 1);
}

static struct entry *entry_at(unsigned char *ring, uint64_t place)
{
	return (struct entry *)(void *)(ring + place % REDO_RING_SIZE);
}

/* Against half a write, and against what strangers sent: their words lie in the ring as they came
 * and stay when they are out again, so whoever knew the sums could write an entry of his own into
 * an answer. For any bytes, one first word of the key in 2^64 gives the sum that stands there. */
static uint64_t sum_of(
    const struct page *page, const unsigned char *bytes, size_t size, uint64_t place)
{
	uint64_t sum = place ^ page->key[0], word;

	for (; size >= sizeof(word); bytes += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum = (sum ^ word) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 32;
	}
	word = size;
	memcpy((unsigned char *)&word + 1, bytes, size);
	sum = (sum ^ word) * 0xc4ceb9fe1a85ec53u;
	return (sum ^ sum >> 32) + page->key[1];
}

/* Its blocks are taken now: a write to memory has nobody to tell that the disk is full. */
static unsigned char *map_new(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), error;
	unsigned char *map = MAP_FAILED;

	if (fd < 0)
		return NULL;
	error = posix_fallocate(fd, 0, (off_t)FILE_SIZE);
	if (error == 0) {
		map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = errno;
	}
	close(fd);
	if (map != MAP_FAILED)
		return map;
	unlink(path);
	errno = error;
	return NULL;
}

struct redo *redo_open(const char *path, const struct heads *heads)
{
	struct redo *redo = must_calloc(1, sizeof(*redo));
	unsigned char *map;
	char text[HEAD_SIZE + 1];
	int error;

	redo->path = must_strdup(path);
	redo->new_path = must_format("%s.new", path);
	map = map_new(redo->new_path);
	if (map == NULL) {
		error = errno;
		free(redo->path);
		free(redo->new_path);
		free(redo);
		errno = error;
		return NULL;
	}
	redo->page = (struct page *)(void *)map;
	redo->ring = map + RING_AT;
	head_format(text, heads);
	memcpy(redo->page->heads, text, HEAD_SIZE);
	bytes_random(redo->page->key, sizeof(redo->page->key));
	write_magic(redo->page->magic);
	/* Not zero, which is the place of none, and of nothing in a file that is all zeros. */
	atomic_store(&redo->page->first, REDO_RING_SIZE);
	atomic_store(&redo->next, REDO_RING_SIZE);
	return redo;
}

bool redo_publish(struct redo *redo)
{
	if (rename(redo->new_path, redo->path) != 0)
		return false;
	free(redo->new_path);
	redo->new_path = NULL;
	return true;
}

void redo_close(struct redo **redo)
{
	bool empty;

	if (*redo == NULL)
		return;
	empty = atomic_load(&(*redo)->page->first) == atomic_load(&(*redo)->next);
	munmap((*redo)->page, FILE_SIZE);
	if ((*redo)->new_path != NULL)
		unlink((*redo)->new_path);
	else if (empty)
		unlink((*redo)->path);
	free((*redo)->path);
	free((*redo)->new_path);
	free(*redo);
	*redo = NULL;
}

static uint64_t sum_of_entry(
    const struct page *page, const struct entry *entry, uint64_t place, enum state state)
{
	return sum_of(page, entry->bytes, state == FILLER ? 0 : entry->size, place);
}

static void publish_entry(struct redo *redo, uint64_t place, uint64_t size, enum state state)
{
	struct entry *entry = entry_at(redo->ring, place);

	entry->size = (uint32_t)size;
	entry->sum = sum_of_entry(redo->page, entry, place, state);
	atomic_store_explicit(&entry->state, state, memory_order_relaxed);
	atomic_store_explicit(&entry->place, place, memory_order_release);
	atomic_store_explicit(&redo->next, place + step_over(size), memory_order_release);
}

uint64_t redo_put(struct redo *redo, const struct batch *batch)
{
	size_t size = batch_encoded_size(batch);
	uint64_t whole = step_over(size);
	uint64_t first = atomic_load_explicit(&redo->page->first, memory_order_acquire);
	uint64_t next = atomic_load_explicit(&redo->next, memory_order_relaxed);
	uint64_t rest = REDO_RING_SIZE - next % REDO_RING_SIZE;

	/* Empty: from the start of the ring again, so that little traffic touches few pages. Nobody
	 * has anything to drop, so nobody else writes to first. */
	if (first == next && rest < REDO_RING_SIZE) {
		first = next += rest;
		rest = REDO_RING_SIZE;
		atomic_store_explicit(&redo->page->first, first, memory_order_release);
		atomic_store_explicit(&redo->next, next, memory_order_release);
	}
	if (whole > REDO_RING_SIZE ||
	    next + whole + (whole > rest ? rest : 0) - first > REDO_RING_SIZE)
		return 0;
	if (whole > rest) {
		publish_entry(redo, next, rest - sizeof(struct entry), FILLER);
		next += rest;
	}
	batch_encode(entry_at(redo->ring, next)->bytes, batch);
	FAULT_POINT("redo half put");
	publish_entry(redo, next, size, LEFT);
	FAULT_POINT("redo put");
	return next;
}

void redo_drop(struct redo *redo, uint64_t place)
{
	uint64_t first = atomic_load_explicit(&redo->page->first, memory_order_relaxed);
	const struct entry *entry;

	atomic_store_explicit(&entry_at(redo->ring, place)->state, DROPPED, memory_order_relaxed);
	while (first != atomic_load_explicit(&redo->next, memory_order_acquire)) {
		entry = entry_at(redo->ring, first);
		if (atomic_load_explicit(&entry->state, memory_order_relaxed) == LEFT)
			break;
		first += step_over(entry->size);
	}
	atomic_store_explicit(&redo->page->first, first, memory_order_release);
}

/* --- what a process has left ------------------------------------------- */

/* Is there a whole entry? rest: from its place to the end of the ring. */
static bool is_entry(
    const struct page *page, const struct entry *entry, uint64_t place, uint64_t rest)
{
	uint32_t state = atomic_load(&entry->state);

	return atomic_load(&entry->place) == place && state <= FILLER &&
	       step_over(entry->size) <= rest &&
	       entry->sum == sum_of_entry(page, entry, place, state);
}

static bool read_ring(const struct page *page, unsigned char *ring, redo_each_fn *each, void *arg)
{
	uint64_t first = atomic_load(&page->first), place = first;

	if (first < REDO_RING_SIZE || first % STEP != 0 || first > UINT64_MAX - FILE_SIZE)
		return false;
	while (place - first < REDO_RING_SIZE) {
		const struct entry *entry = entry_at(ring, place);
		struct batch *batch;

		if (!is_entry(page, entry, place, REDO_RING_SIZE - place % REDO_RING_SIZE))
			break;
		if (atomic_load(&entry->state) == LEFT) {
			batch = batch_decode(entry->bytes, entry->size);
			if (batch == NULL)
				return false;
			each(batch, arg);
		}
		place += step_over(entry->size);
	}
	return true;
}

enum redo_result redo_read(struct heads *heads, const char *path, redo_each_fn *each, void *arg)
{
	size_t size;
	char *file = file_read(&size, path, FILE_SIZE), magic[HEAD_AT];
	enum redo_result result = REDO_DAMAGED;
	struct page *page = (struct page *)(void *)file;

	if (file == NULL)
		return errno == ENOENT ? REDO_ABSENT : errno == EFBIG ? REDO_DAMAGED : REDO_IO;
	write_magic(magic);
	if (size == FILE_SIZE && memcmp(page->magic, magic, HEAD_AT) == 0 &&
	    head_parse(heads, page->heads, HEAD_SIZE) &&
	    read_ring(page, (unsigned char *)file + RING_AT, each, arg))
		result = REDO_OK;
	free(file);
	return result;
}
