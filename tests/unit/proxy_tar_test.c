/* proxy_tar_test - archives that are written here, as libarchive reads them. */
#include "tests/unit/unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "proxy/tar.h"

#define MADE_S INT64_C(1763640000)

static int file_new(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct archive *open_archive(int fd)
{
	struct archive *archive = archive_read_new();

	assert_non_null(archive);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
	assert_int_equal(archive_read_open_fd(archive, fd, 4096), ARCHIVE_OK);
	return archive;
}

static void expect_member(struct archive *archive, const char *name, int64_t size)
{
	struct archive_entry *entry = NULL;

	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(entry), name);
	assert_int_equal(archive_entry_size(entry), size);
	assert_int_equal(archive_entry_filetype(entry), AE_IFREG);
	assert_int_equal(archive_entry_perm(entry), 0600);
	assert_int_equal(archive_entry_mtime(entry), MADE_S);
	assert_int_equal(archive_entry_uid(entry), 0);
	assert_null(archive_entry_symlink(entry));
	assert_null(archive_entry_hardlink(entry));
}

static void bytes_come_back(void **state)
{
	static const size_t sizes[] = {0, 1, 511, 512, 513, 70000};
	static char bytes[70000], again[70000];
	struct archive_entry *entry;
	struct archive *archive;
	int fd = file_new();

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7 + 1);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		assert_true(tar_begin(fd, "a/member", (int64_t)sizes[i], MADE_S));
		assert_true(file_write(fd, bytes, sizes[i]));
		assert_true(tar_pad(fd, (int64_t)sizes[i]));
	}
	assert_true(tar_end(fd));
	archive = open_archive(fd);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		expect_member(archive, "a/member", (int64_t)sizes[i]);
		assert_int_equal(archive_read_data(archive, again, sizeof again), sizes[i]);
		assert_memory_equal(again, bytes, sizes[i]);
	}
	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
	archive_read_free(archive);
	close(fd);
}

/* What does not fit into the header of 1988 stands before it. */
static void names_and_sizes_of_any_length(void **state)
{
	static const size_t lengths[] = {1, 88, 89, 90, 91, 99, 100, 101, 102, 255, TAR_NAME_MAX};
	static const int64_t sizes[] = {0, 1, 077777777776, 077777777777, 0100000000000,
	    INT64_C(99999999999), INT64_C(1) << 40};
	char name[TAR_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		for (size_t j = 0; j < COUNT(sizes); j++) {
			struct archive *archive;
			int fd = file_new();

			memset(name, 'n', sizeof name);
			name[lengths[i]] = '\0';
			assert_true(tar_begin(fd, name, sizes[j], MADE_S));
			archive = open_archive(fd);
			expect_member(archive, name, sizes[j]);
			archive_read_free(archive);
			close(fd);
		}
	}
}

static void what_cannot_be_written_is_said(void **state)
{
	char name[TAR_NAME_MAX + 2];
	int fd = file_new();

	(void)state;
	memset(name, 'n', sizeof name);
	name[TAR_NAME_MAX + 1] = '\0';
	errno = 0;
	assert_false(tar_begin(fd, name, 1, MADE_S));
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	name[TAR_NAME_MAX] = '\0';
	assert_false(tar_begin(-1, "short", 1, MADE_S));
	assert_int_equal(errno, EBADF);
	assert_false(tar_begin(-1, name, 1, MADE_S));
	assert_false(tar_pad(-1, 1));
	assert_true(tar_pad(-1, 512));
	assert_false(tar_end(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_come_back),
	    cmocka_unit_test(names_and_sizes_of_any_length),
	    cmocka_unit_test(what_cannot_be_written_is_said),
	};

	return unit_run(tests);
}
