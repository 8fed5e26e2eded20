/* wallet/arena.c - memory for secrets. */
#include "wallet/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/bytes.h"
#include "common/log.h"

#define STEP_SIZE ((size_t)ARENA_STEP_SLOTS * ARENA_SLOT_SIZE)
/* End of the list of free slots. */
#define NO_SLOT   UINT32_MAX

struct arena {
	pthread_mutex_t lock;
	uint8_t *base;
	size_t steps_max;
	size_t steps_open;
	uint32_t free_first; /* a free slot's first bytes hold the next one's number */
	bool warned;
};

struct arena *arena_new(size_t slots_max)
{
	struct arena *arena = must_calloc(1, sizeof(*arena));

	arena->steps_max = (slots_max + ARENA_STEP_SLOTS - 1) / ARENA_STEP_SLOTS;
	arena->free_first = NO_SLOT;
	arena->base = mmap(NULL, arena->steps_max * STEP_SIZE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->base == MAP_FAILED) {
		free(arena);
		return NULL;
	}
	must(pthread_mutex_init(&arena->lock, NULL) == 0);
	return arena;
}

void arena_free(struct arena **arena)
{
	struct arena *gone = *arena;

	if (gone == NULL)
		return;
	*arena = NULL;
	bytes_wipe(gone->base, gone->steps_open * STEP_SIZE);
	munmap(gone->base, gone->steps_max * STEP_SIZE);
	pthread_mutex_destroy(&gone->lock);
	free(gone);
}

static void warn(struct arena *arena, const char *call)
{
	if (!arena->warned)
		log_event(LOG_WARN, "secrets_not_protected", "call", call, "error", strerror(errno),
		    "hint", "raise the limit on locked memory (ulimit -l, LimitMEMLOCK)", NULL);
	arena->warned = true;
}

static uint8_t *slot_at(const struct arena *arena, uint32_t number)
{
	return arena->base + (size_t)number * ARENA_SLOT_SIZE;
}

static void put_free(struct arena *arena, uint32_t number)
{
	memcpy(slot_at(arena, number), &arena->free_first, sizeof(arena->free_first));
	arena->free_first = number;
}

static bool open_step(struct arena *arena)
{
	uint8_t *step = arena->base + arena->steps_open * STEP_SIZE;
	uint32_t first = (uint32_t)(arena->steps_open * ARENA_STEP_SLOTS);
	uint32_t number;

	if (arena->steps_open == arena->steps_max ||
	    mprotect(step, STEP_SIZE, PROT_READ | PROT_WRITE) != 0)
		return false;
	if (mlock(step, STEP_SIZE) != 0)
		warn(arena, "mlock");
	if (madvise(step, STEP_SIZE, MADV_DONTDUMP) != 0)
		warn(arena, "MADV_DONTDUMP");
	if (madvise(step, STEP_SIZE, MADV_WIPEONFORK) != 0)
		warn(arena, "MADV_WIPEONFORK");
	arena->steps_open++;
	for (number = first + ARENA_STEP_SLOTS; number > first; number--)
		put_free(arena, number - 1);
	return true;
}

uint8_t *arena_take(struct arena *arena)
{
	uint8_t *slot = NULL;

	must(pthread_mutex_lock(&arena->lock) == 0);
	if (arena->free_first != NO_SLOT || open_step(arena)) {
		slot = slot_at(arena, arena->free_first);
		memcpy(&arena->free_first, slot, sizeof(arena->free_first));
		memset(slot, 0, ARENA_SLOT_SIZE);
	}
	must(pthread_mutex_unlock(&arena->lock) == 0);
	if (slot == NULL)
		errno = ENOMEM;
	return slot;
}

void arena_give(struct arena *arena, uint8_t **slot)
{
	size_t offset;

	if (*slot == NULL)
		return;
	offset = (size_t)(*slot - arena->base);
	bytes_wipe(*slot, ARENA_SLOT_SIZE);
	must(pthread_mutex_lock(&arena->lock) == 0);
	must(offset < arena->steps_open * STEP_SIZE && offset % ARENA_SLOT_SIZE == 0);
	put_free(arena, (uint32_t)(offset / ARENA_SLOT_SIZE));
	must(pthread_mutex_unlock(&arena->lock) == 0);
	*slot = NULL;
}
