/* Locked memory and the cache of unlocked keys on top of it. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/unit/wallet_fixture.h"
#include "wallet/arena.h"
#include "wallet/keycache.h"

static bool is_zero(const uint8_t *slot)
{
	static const uint8_t zero[ARENA_SLOT_SIZE];

	return memcmp(slot, zero, sizeof(zero)) == 0;
}

static void slots_are_zeroed_distinct_and_bounded(void **state)
{
	enum { SLOTS = 2 * ARENA_STEP_SLOTS };
	struct arena *arena = arena_new(SLOTS - 1);
	static uint8_t *slots[SLOTS];
	uint8_t *none = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < SLOTS; i++) {
		slots[i] = arena_take(arena);
		assert_non_null(slots[i]);
		assert_true(is_zero(slots[i]));
		memset(slots[i], (int)(i % 251) + 1, ARENA_SLOT_SIZE);
	}
	for (i = 0; i < SLOTS; i++) {
		assert_int_equal(slots[i][0], i % 251 + 1);
		assert_int_equal(slots[i][ARENA_SLOT_SIZE - 1], i % 251 + 1);
	}
	errno = 0;
	assert_null(arena_take(arena));
	assert_int_equal(errno, ENOMEM);
	arena_give(arena, &none);
	arena_give(arena, &slots[5]);
	assert_null(slots[5]);
	slots[5] = arena_take(arena);
	assert_non_null(slots[5]);
	assert_true(is_zero(slots[5]));
	for (i = 0; i < SLOTS; i++)
		arena_give(arena, &slots[i]);
	arena_free(&arena);
	assert_null(arena);
	arena_free(&arena);
}

static void given_slot_is_wiped(void **state)
{
	struct arena *arena = arena_new(1);
	uint8_t *slot = arena_take(arena), *again = slot;
	size_t i;

	(void)state;
	memset(slot, 0xaa, ARENA_SLOT_SIZE);
	arena_give(arena, &slot);
	/* The first bytes hold the list of free slots. */
	for (i = 0; i < ARENA_SLOT_SIZE; i++)
		assert_int_not_equal(again[i], 0xaa);
	arena_free(&arena);
}

static void foreign_pointer_aborts(void **state)
{
	struct arena *arena = arena_new(1);
	uint8_t *slot = arena_take(arena), *odd = slot + 1;
	static uint8_t stranger[ARENA_SLOT_SIZE];
	uint8_t *foreign = stranger;

	(void)state;
	assert_aborts(arena_give(arena, &odd));
	assert_aborts(arena_give(arena, &foreign));
	arena_give(arena, &slot);
	arena_free(&arena);
}

/* A fork must not inherit the bytes. Kernels without the call are let off. */
static void child_sees_zeroes(void **state)
{
	struct arena *arena = arena_new(1);
	uint8_t *slot = arena_take(arena);
	void *probe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	(void)state;
	if (madvise(probe, 4096, MADV_WIPEONFORK) != 0)
		skip();
	munmap(probe, 4096);
	memset(slot, 0xaa, ARENA_SLOT_SIZE);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(is_zero(slot) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(slot[0], 0xaa);
	arena_give(arena, &slot);
	arena_free(&arena);
}

/* proc_pid_smaps(5): the flags of the mapping that an address is in, " rd wr …". */
static void flags_of(char *out, size_t out_size, const void *address)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	bool inside = false;
	char line[512];

	out[0] = '\0';
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long long start, end;

		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			inside = (uintptr_t)address >= start && (uintptr_t)address < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, out_size, "%.*s", (int)out_size - 1, line + 8);
	}
	fclose(maps);
}

/* What the kernel itself says of the memory that keys are in. */
static void slots_are_locked_and_undumped(void **state)
{
	struct arena *arena = arena_new(2 * ARENA_STEP_SLOTS);
	uint8_t *slots[ARENA_STEP_SLOTS + 1];
	char flags[256], page[4096];

	(void)state;
	for (size_t i = 0; i < COUNT(slots); i++)
		slots[i] = arena_take(arena);
	/* The first of the first step, the first of the second. */
	for (size_t i = 0; i < COUNT(slots); i += ARENA_STEP_SLOTS) {
		flags_of(flags, sizeof(flags), slots[i]);
		if (flags[0] == '\0')
			skip();
		assert_non_null(strstr(flags, " dd"));
		assert_non_null(strstr(flags, " wf"));
		/* The sanitizers make mlock a call that does nothing; a machine may forbid it. */
		if (mlock(page, sizeof(page)) == 0) {
			char ours[256];

			flags_of(ours, sizeof(ours), page);
			assert_true(strstr(ours, " lo") == NULL || strstr(flags, " lo") != NULL);
		}
	}
	for (size_t i = 0; i < COUNT(slots); i++)
		arena_give(arena, &slots[i]);
	arena_free(&arena);
}

/* Without the right to lock memory the arena works, and says so once. */
static void refused_lock_is_told(void **state)
{
	static const struct rlimit none = {0, 0};
	int status, out[2];
	char text[4096];
	ssize_t length;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(out), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct arena *arena;
		size_t i;

		dup2(out[1], STDERR_FILENO);
		/* Root may lock without a limit, so root steps down first. */
		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
			_exit(2);
		/* The sanitizers make mlock a call that does nothing. */
		if (mlock(text, sizeof(text)) == 0)
			_exit(3);
		arena = arena_new(2 * ARENA_STEP_SLOTS);
		for (i = 0; i < 2 * ARENA_STEP_SLOTS; i++)
			memset(arena_take(arena), 1, ARENA_SLOT_SIZE);
		arena_free(&arena);
		_exit(0);
	}
	close(out[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		skip();
	assert_int_equal(status, 0);
	length = read(out[0], text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = '\0';
	close(out[0]);
	assert_non_null(strstr(text, "secrets_not_protected"));
	assert_non_null(strstr(text, "mlock"));
	assert_ptr_equal(strchr(text, '\n'), text + length - 1);
}

static void cache_forgets_the_oldest(void **state)
{
	static const char *const agents[] = {"a", "b", "c", "d"};
	struct arena *arena = arena_new(ARENA_STEP_SLOTS);
	struct keycache *cache = keycache_new(arena, 3);
	struct cached_key *cached;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(agents); i++) {
		struct address address = {{(uint8_t)(i + 1)}};
		uint8_t *key = arena_take(arena);

		key[0] = (uint8_t)(i + 1);
		cached = keycache_put(cache, agents[i], &address, &key);
		assert_null(key);
		assert_string_equal(cached->agent, agents[i]);
		assert_false(atomic_load(&cached->proved));
	}
	assert_int_equal(keycache_count(cache), 3);
	assert_null(keycache_find(cache, "a"));
	for (i = 1; i < COUNT(agents); i++) {
		cached = keycache_find(cache, agents[i]);
		assert_non_null(cached);
		assert_int_equal(cached->key[0], i + 1);
		assert_int_equal(cached->address.bytes[0], i + 1);
	}
	keycache_free(&cache);
	assert_null(cache);
	keycache_free(&cache);
	arena_free(&arena);
}

static void cache_replaces_and_drops(void **state)
{
	struct arena *arena = arena_new(ARENA_STEP_SLOTS);
	struct keycache *cache = keycache_new(arena, 3);
	struct address address = {{1}};
	size_t i;

	(void)state;
	for (i = 0; i < 2 * ARENA_STEP_SLOTS; i++) {
		uint8_t *key = arena_take(arena);

		/* More often than there are slots: what is replaced is given back. */
		assert_non_null(key);
		key[0] = (uint8_t)i;
		assert_int_equal(keycache_put(cache, "a", &address, &key)->key[0], (uint8_t)i);
	}
	assert_int_equal(keycache_count(cache), 1);
	keycache_drop(cache, "nobody");
	keycache_drop(cache, "a");
	assert_int_equal(keycache_count(cache), 0);
	assert_null(keycache_find(cache, "a"));
	keycache_free(&cache);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slots_are_zeroed_distinct_and_bounded),
	    cmocka_unit_test(given_slot_is_wiped),
	    cmocka_unit_test(foreign_pointer_aborts),
	    cmocka_unit_test(child_sees_zeroes),
	    cmocka_unit_test(slots_are_locked_and_undumped),
	    cmocka_unit_test(refused_lock_is_told),
	    cmocka_unit_test(cache_forgets_the_oldest),
	    cmocka_unit_test(cache_replaces_and_drops),
	};

	return unit_run(tests);
}
