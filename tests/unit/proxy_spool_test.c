/* The spool: what is written comes back, from memory and from the file. */
#include "proxy/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "common/bytes.h"
#include "tests/unit/unit.h"

static int entry_count(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static void fill(uint8_t *bytes, size_t size)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < size; i++) {
		x = x * 1103515245u + 12345u;
		bytes[i] = (uint8_t)(x >> 16);
	}
}

/* Sizes around the border between memory and file, written in pieces of many sizes. */
static void comes_back_as_it_went_in(void **state)
{
	static const size_t sizes[] = {0, 1, 999, 1000, 1001, 1024, 4096, 100000};
	static const size_t pieces[] = {1, 7, 1000, 1001, 100000};
	static uint8_t data[100000];
	static uint8_t back[100000];

	fill(data, sizeof(data));
	for (size_t s = 0; s < COUNT(sizes); s++) {
		for (size_t p = 0; p < COUNT(pieces); p++) {
			struct spool *spool = spool_new(*state, 1000, 100000);
			struct digest expected = sha256(data, sizes[s]);
			struct digest digest;

			for (size_t at = 0; at < sizes[s];) {
				size_t size = sizes[s] - at < pieces[p] ? sizes[s] - at : pieces[p];

				assert_int_equal(spool_write(spool, data + at, size), SPOOL_OK);
				at += size;
				assert_int_equal(spool_size(spool), at);
				/* readable while it grows */
				assert_int_equal(
				    spool_read(spool, (int64_t)at - 1, back, sizeof(back)), 1);
				assert_int_equal(back[0], data[at - 1]);
			}
			assert_false(spool_finished(spool));
			spool_finish(spool);
			spool_finish(spool);
			assert_true(spool_finished(spool));
			digest = spool_digest(spool);
			assert_memory_equal(digest.bytes, expected.bytes, DIGEST_SIZE);
			for (int round = 0; round < 2; round++) {
				assert_int_equal(
				    spool_read(spool, 0, back, sizeof(back)), sizes[s]);
				assert_memory_equal(back, data, sizes[s]);
			}
			assert_int_equal(spool_read(spool, spool_size(spool), back, 1), 0);
			assert_int_equal(spool_read(spool, INT64_MAX, back, 1), 0);
			assert_int_equal(entry_count(*state), 0); /* the file has no name */
			spool_free(&spool);
			assert_null(spool);
		}
	}
}

static void reads_a_part(void **state)
{
	for (size_t memory = 0; memory <= 100; memory += 100) {
		struct spool *spool = spool_new(*state, memory, 10);
		char back[8] = "";

		assert_int_equal(spool_write(spool, "0123456789", 10), SPOOL_OK);
		assert_int_equal(spool_read(spool, 3, back, 4), 4);
		assert_memory_equal(back, "3456", 4);
		assert_int_equal(spool_read(spool, 8, back, 4), 2);
		assert_memory_equal(back, "89", 2);
		assert_int_equal(spool_read(spool, 0, back, 0), 0);
		spool_free(&spool);
	}
}

static void too_large_is_never_truncated(void **state)
{
	for (size_t memory = 0; memory <= 100; memory += 100) {
		struct spool *spool = spool_new(*state, memory, 10);
		struct digest expected = sha256("0123456789", 10);
		struct digest digest;

		assert_int_equal(spool_write(spool, "0123456789x", 11), SPOOL_TOO_LARGE);
		assert_int_equal(spool_size(spool), 0);
		assert_int_equal(spool_write(spool, "01234567", 8), SPOOL_OK);
		assert_int_equal(spool_write(spool, "89x", 3), SPOOL_TOO_LARGE);
		assert_int_equal(spool_write(spool, "x", SIZE_MAX), SPOOL_TOO_LARGE);
		assert_int_equal(spool_write(spool, "89", 2), SPOOL_OK);
		assert_int_equal(spool_write(spool, "x", 1), SPOOL_TOO_LARGE);
		assert_int_equal(spool_write(spool, "", 0), SPOOL_OK);
		spool_finish(spool);
		digest = spool_digest(spool);
		assert_memory_equal(digest.bytes, expected.bytes, DIGEST_SIZE);
		spool_free(&spool);
	}
}

static void io_errors_stay(void **state)
{
	char *missing = must_format("%s/none", (const char *)*state);
	struct spool *spool = spool_new(missing, 4, 100);

	assert_int_equal(spool_write(spool, "0123", 4), SPOOL_OK); /* memory */
	errno = 0;
	assert_int_equal(spool_write(spool, "4", 1), SPOOL_IO);
	assert_int_equal(errno, ENOENT);
	errno = 0;
	assert_int_equal(spool_write(spool, "4", 1), SPOOL_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(spool_size(spool), 4);
	spool_free(&spool);
	free(missing);
}

static void a_full_disk_is_io(void **state)
{
	struct rlimit before;
	struct rlimit small;
	struct spool *spool = spool_new(*state, 0, 100000);
	static char block[5000];
	enum spool_result result;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){8000, before.rlim_max};
	assert_int_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(spool_write(spool, block, sizeof(block)), SPOOL_OK);
	result = spool_write(spool, block, sizeof(block));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(result, SPOOL_IO);
	assert_int_equal(spool_size(spool), 5000);
	spool_free(&spool);
}

/* A descriptor that somebody else cut short: an error, not zeros. */
static void a_cut_file_is_an_error(void **state)
{
	struct spool *spool = spool_new(*state, 0, 100);
	char back[16];
	int fd;

	fd = open("/dev/null", O_RDONLY); /* the next descriptor will be the spool's */
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(spool_write(spool, "0123456789", 10), SPOOL_OK);
	assert_int_equal(ftruncate(fd, 4), 0);
	assert_int_equal(spool_read(spool, 0, back, sizeof(back)), -1);
	assert_int_equal(errno, EIO);
	spool_free(&spool);
}

static void our_own_mistakes(void **state)
{
	struct spool *spool = spool_new(*state, 10, 10);

	assert_aborts((void)spool_digest(spool));
	assert_aborts((void)!spool_read(spool, -1, NULL, 0));
	spool_finish(spool);
	assert_aborts((void)!spool_write(spool, "x", 1));
	spool_free(&spool);
	spool_free(&spool);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(comes_back_as_it_went_in),
	    IN_FOLDER(reads_a_part),
	    IN_FOLDER(too_large_is_never_truncated),
	    IN_FOLDER(io_errors_stay),
	    IN_FOLDER(a_full_disk_is_io),
	    IN_FOLDER(a_cut_file_is_an_error),
	    IN_FOLDER(our_own_mistakes),
	};

	return unit_run(tests);
}
