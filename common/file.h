/* common/file.h - small files read whole and replaced atomically. */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/must.h"

/** file_read - the whole file, NUL-terminated; the caller frees it.
 * Returns NULL with errno set (EFBIG when longer than size_max). */
char *file_read(size_t *out_size, const char *path, size_t size_max);

/** file_replace - write to a temporary file beside path, fsync, rename, fsync
 * the folder. After it returns true the content survives a power cut; on
 * failure errno says why and the old file stands (only when fsync of the folder
 * fails is the new one there, not yet surely durable). mode is taken as it is,
 * without the umask. */
bool file_replace(const char *path, const void *bytes, size_t size, mode_t mode) MUST_CHECK;

/** Like file_replace but fails with EEXIST when path exists. */
bool file_create(const char *path, const void *bytes, size_t size, mode_t mode) MUST_CHECK;

/** All of size bytes, whatever write(2) takes at once. False with errno. */
bool file_write(int fd, const void *bytes, size_t size) MUST_CHECK;
/** What was made, renamed or removed in a folder survives a power cut. False with errno. */
bool file_sync_folder(const char *folder) MUST_CHECK;
/** The folder a path is in, "." without a slash; the caller frees it. */
char *file_folder_of(const char *path);

/** Removes a folder with all that is in it, links themselves and not what they name; what
 * cannot be removed stays. For folders made a moment ago, a few levels deep. */
void file_drop_folder(const char *folder);

/** dir + "/" + name; the caller frees it. */
char *file_path(const char *dir, const char *name);

#endif
