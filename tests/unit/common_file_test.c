/* Small files: read whole, replaced or created atomically, nothing left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/file.h"
#include "tests/unit/unit.h"

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

static void assert_content(const char *path, const char *wanted)
{
	size_t size;
	char *content = file_read(&size, path, 1000);

	assert_non_null(content);
	assert_int_equal(size, strlen(wanted));
	assert_string_equal(content, wanted);
	free(content);
}

/* How many names the folder holds, "." and ".." apart. */
static int names_in(const char *folder)
{
	DIR *dir = opendir(folder);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static int open_files(void)
{
	return names_in("/proc/self/fd");
}

static void replace_then_read(void **state)
{
	char *path = file_path(*state, "a");
	int files = open_files();

	assert_true(file_replace(path, "one", 3, 0600));
	assert_content(path, "one");
	assert_true(file_replace(path, "two and more", 12, 0600));
	assert_content(path, "two and more");
	assert_true(file_replace(path, "", 0, 0600));
	assert_content(path, "");
	assert_int_equal(names_in(*state), 1);
	assert_int_equal(open_files(), files);
	free(path);
}

static void bytes_may_be_any(void **state)
{
	char *path = file_path(*state, "a");
	char bytes[70000];
	size_t i, size = 0;
	char *content;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31);
	assert_true(file_replace(path, bytes, sizeof(bytes), 0644));
	content = file_read(&size, path, sizeof(bytes));
	assert_non_null(content);
	assert_int_equal(size, sizeof(bytes));
	assert_memory_equal(content, bytes, sizeof(bytes));
	assert_int_equal(content[size], '\0');
	free(content);
	free(path);
}

static void the_mode_is_the_one_asked_for(void **state)
{
	char *path = file_path(*state, "a"), *other = file_path(*state, "b");
	mode_t mask = umask(0077);
	struct stat status;

	assert_true(file_replace(path, "x", 1, 0644));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	assert_true(file_replace(path, "x", 1, 0600));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	umask(0);
	assert_true(file_create(other, "x", 1, 0600));
	assert_int_equal(stat(other, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	umask(mask);
	free(path);
	free(other);
}

static void create_refuses_what_exists(void **state)
{
	char *path = file_path(*state, "a"), *link = file_path(*state, "link");
	char *nowhere = file_path(*state, "nowhere");
	int files = open_files();

	assert_true(file_create(path, "one", 3, 0600));
	errno = 0;
	assert_false(file_create(path, "two", 3, 0600));
	assert_int_equal(errno, EEXIST);
	assert_content(path, "one");
	/* A name is a name, even when it points nowhere. */
	assert_int_equal(symlink(nowhere, link), 0);
	assert_false(file_create(link, "two", 3, 0600));
	assert_int_equal(errno, EEXIST);
	assert_int_equal(names_in(*state), 2);
	assert_int_equal(open_files(), files);
	free(path);
	free(link);
	free(nowhere);
}

static void replace_failure_leaves_the_old_file(void **state)
{
	char *taken = file_path(*state, "taken"), *inside = file_path(taken, "x");
	char *missing = file_path(*state, "missing/a");

	assert_int_equal(mkdir(taken, 0700), 0);
	assert_true(file_replace(inside, "old", 3, 0600));
	/* The name of a folder cannot be taken by a file. */
	errno = 0;
	assert_false(file_replace(taken, "new", 3, 0600));
	assert_int_not_equal(errno, 0);
	assert_content(inside, "old");
	assert_int_equal(names_in(*state), 1);
	assert_false(file_replace(missing, "new", 3, 0600));
	assert_int_equal(errno, ENOENT);
	assert_false(file_create(missing, "new", 3, 0600));
	assert_int_equal(errno, ENOENT);
	free(taken);
	free(inside);
	free(missing);
}

/* In a child, because the limit on file size that plays the full disk stays. */
static bool full_disk_goes_well(const char *folder)
{
	const struct rlimit five_bytes = {5, 5};
	char *path = file_path(folder, "a");
	char *content = NULL;
	size_t size;
	bool well;

	well = file_replace(path, "old", 3, 0600) && setrlimit(RLIMIT_FSIZE, &five_bytes) == 0;
	signal(SIGXFSZ, SIG_IGN);
	errno = 0;
	well = well && !file_replace(path, "123456789", 9, 0600) && errno == EFBIG &&
	       names_in(folder) == 1;
	if (well)
		content = file_read(&size, path, 100);
	well = content != NULL && strcmp(content, "old") == 0;
	free(content);
	free(path);
	return well;
}

static void a_full_disk_leaves_the_old_file(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(full_disk_goes_well(*state) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void read_says_what_is_wrong(void **state)
{
	char *path = file_path(*state, "a"), *missing = file_path(*state, "missing");
	size_t size = 77;
	int files = open_files();

	assert_true(file_replace(path, "12345", 5, 0600));
	errno = 0;
	assert_null(file_read(&size, missing, 100));
	assert_int_equal(errno, ENOENT);
	assert_null(file_read(&size, path, 4));
	assert_int_equal(errno, EFBIG);
	assert_null(file_read(&size, path, 0));
	assert_int_equal(errno, EFBIG);
	assert_null(file_read(&size, *state, 100));
	assert_int_equal(errno, EISDIR);
	assert_null(file_read(&size, "/dev/zero", 100000));
	assert_int_equal(errno, EFBIG);
	assert_int_equal(size, 77);
	assert_content("/dev/null", "");
	assert_int_equal(open_files(), files);
	free(path);
	free(missing);
}

static void read_takes_exactly_the_maximum(void **state)
{
	char *path = file_path(*state, "a"), *content;
	size_t size;

	assert_true(file_replace(path, "12345", 5, 0600));
	content = file_read(&size, path, 5);
	assert_non_null(content);
	assert_int_equal(size, 5);
	assert_string_equal(content, "12345");
	free(content);
	assert_true(file_replace(path, "", 0, 0600));
	content = file_read(&size, path, 0);
	assert_non_null(content);
	assert_int_equal(size, 0);
	free(content);
	free(path);
}

static void *feed_pipe(void *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char bytes[1000];
	int i;

	memset(bytes, 'x', sizeof(bytes));
	for (i = 0; i < 20; i++)
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	return NULL;
}

/* What does not know its size, as in `policy check <(generate)`. */
static void read_takes_a_pipe_to_its_end(void **state)
{
	char *path = file_path(*state, "pipe"), *content;
	pthread_t feeder;
	size_t size;

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pthread_create(&feeder, NULL, feed_pipe, path), 0);
	content = file_read(&size, path, 20000);
	assert_int_equal(pthread_join(feeder, NULL), 0);
	assert_non_null(content);
	assert_int_equal(size, 20000);
	assert_int_equal(content[19999], 'x');
	assert_int_equal(content[20000], '\0');
	free(content);
	free(path);
}

static void works_in_the_current_folder(void **state)
{
	char *before = getcwd(NULL, 0);

	assert_non_null(before);
	assert_int_equal(chdir(*state), 0);
	assert_true(file_create("plain", "one", 3, 0600));
	assert_true(file_replace("plain", "two", 3, 0600));
	assert_content("plain", "two");
	assert_int_equal(chdir(before), 0);
	free(before);
}

static void path_joins_with_one_slash(void **state)
{
	static const struct {
		const char *dir, *name, *path;
	} rows[] = {
	    {"a", "b", "a/b"},
	    {"a/", "b", "a/b"},
	    {"/", "b", "/b"},
	    {".", "b", "./b"},
	    {"a/b", "c/d", "a/b/c/d"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char *path = file_path(rows[i].dir, rows[i].name);

		assert_string_equal(path, rows[i].path);
		free(path);
	}
}

static void folders_of_paths(void **state)
{
	static const struct {
		const char *path, *folder;
	} rows[] = {
	    {"/a/b", "/a"}, {"/a", "/"}, {"a", "."}, {"a/b/c", "a/b"}, {"./a", "."}, {"a/", "a"}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *folder = file_folder_of(rows[i].path);

		row_check(rows[i].path, strcmp(folder, rows[i].folder) == 0);
		free(folder);
	}
}

static void a_folder_is_synced(void **state)
{
	char *missing = file_path(*state, "none"), *file = file_path(*state, "file");

	assert_true(file_sync_folder(*state));
	assert_false(file_sync_folder(missing));
	assert_int_equal(errno, ENOENT);
	assert_true(file_create(file, "x", 1, 0600));
	assert_false(file_sync_folder(file));
	assert_int_equal(errno, ENOTDIR);
	free(file);
	free(missing);
}

static void write_says_when_it_could_not(void **state)
{
	char *path = file_path(*state, "file");
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(file_write(fd, "abc", 3));
	assert_true(file_write(fd, "", 0));
	assert_true(file_write(fd, "def", 3));
	close(fd);
	assert_content(path, "abcdef");
	fd = open(path, O_RDONLY);
	assert_false(file_write(fd, "x", 1));
	assert_int_equal(errno, EBADF);
	close(fd);
	free(path);
}

/* A link goes, what it names stays. */
static void a_folder_is_dropped_with_all_in_it(void **state)
{
	char *top = file_path(*state, "top"), *inner = file_path(top, "inner");
	char *file = file_path(inner, "file"), *link = file_path(inner, "link");
	char *outside = file_path(*state, "outside");

	assert_int_equal(mkdir(top, 0700), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_true(file_create(file, "x", 1, 0400));
	assert_true(file_create(outside, "x", 1, 0600));
	assert_int_equal(symlink(*state, link), 0);
	file_drop_folder(top);
	assert_int_equal(names_in(*state), 1);
	assert_content(outside, "x");
	file_drop_folder(top);
	free(outside);
	free(link);
	free(file);
	free(inner);
	free(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(replace_then_read),
	    folder_test(bytes_may_be_any),
	    folder_test(the_mode_is_the_one_asked_for),
	    folder_test(create_refuses_what_exists),
	    folder_test(replace_failure_leaves_the_old_file),
	    folder_test(a_full_disk_leaves_the_old_file),
	    folder_test(read_says_what_is_wrong),
	    folder_test(read_takes_exactly_the_maximum),
	    folder_test(read_takes_a_pipe_to_its_end),
	    folder_test(works_in_the_current_folder),
	    cmocka_unit_test(path_joins_with_one_slash),
	    cmocka_unit_test(folders_of_paths),
	    folder_test(a_folder_is_synced),
	    folder_test(write_says_when_it_could_not),
	    folder_test(a_folder_is_dropped_with_all_in_it),
	};

	return unit_run(tests);
}
