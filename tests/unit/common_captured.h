/* tests/unit/common_captured.h - what is said on stderr, read back. */
#ifndef TESTS_UNIT_COMMON_CAPTURED_H
#define TESTS_UNIT_COMMON_CAPTURED_H

#include <fcntl.h>

#include "common/file.h"
#include "tests/unit/unit.h"

static int stderr_before;

/* stderr goes to a file until captured() brings it back. */
static inline void capture(const char *folder)
{
	char *path = file_path(folder, "log");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	stderr_before = dup(STDERR_FILENO);
	assert_true(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	close(fd);
	free(path);
}

static inline char *captured(const char *folder)
{
	char *path = file_path(folder, "log"), *text;
	size_t size;

	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	text = file_read(&size, path, 1 << 20);
	assert_non_null(text);
	free(path);
	return text;
}

#endif
