/* proxy/tar.h - a tar archive, written.
 *
 * Source: POSIX.1-2017, pax: "ustar Interchange Format", with a "pax Extended Header" before a
 * member whose name or size is too long for that.
 *
 * Reading archives, which may be anybody's, is libarchive's, in a command that ends
 * (proxy/restore.c). Writing one is done by the daemon, which holds the keys: with libarchive come
 * parsers of XML and of a dozen formats, ICU and four ways of compressing, and more than a
 * megabyte of memory in every daemon, for a header of 512 bytes. */
#ifndef PROXY_TAR_H
#define PROXY_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

/* Bytes of a member's name: a file system's 255, in a folder or two. */
#define TAR_NAME_MAX 512u

/** tar_begin - what stands before the bytes of a regular file of mode 0600, of nobody's.
 * False with errno; ENAMETOOLONG, nothing written: name.
 * In  name     relative, 1..TAR_NAME_MAX bytes
 *     size     bytes that the caller then writes, 0 or more
 *     mtime_s  of the file; 0..8^11 - 1 */
bool tar_begin(int fd, const char *name, int64_t size, int64_t mtime_s) MUST_CHECK;
/** What stands behind them; false with errno. */
bool tar_pad(int fd, int64_t size) MUST_CHECK;
/** The end of the archive; false with errno. */
bool tar_end(int fd) MUST_CHECK;

#endif
