/* proxy/spool.h - a request body kept for replay: memory first, then an unlinked
 * temporary file. Written once from one end, read any number of times from the start. */
#ifndef PROXY_SPOOL_H
#define PROXY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"

enum spool_result {
	SPOOL_OK = 0,
	SPOOL_TOO_LARGE = 1, /* past size_max: 413, never truncated */
	SPOOL_IO = 2,        /* temporary file failed; errno */
};

struct spool;

/** memory_max: bytes kept in memory before a file in dir is made; size_max: ceiling. */
struct spool *spool_new(const char *dir, size_t memory_max, int64_t size_max);
void spool_free(struct spool **spool);
enum spool_result spool_write(struct spool *spool, const void *bytes, size_t size) MUST_CHECK;
/** No more will come. */
void spool_finish(struct spool *spool);
bool spool_finished(const struct spool *spool);
int64_t spool_size(const struct spool *spool);
/** SHA-256 of everything written; valid once finished. */
struct digest spool_digest(const struct spool *spool);
/** Up to size bytes from offset; 0 at the current end; -1 on I/O error. */
int64_t spool_read(struct spool *spool, int64_t offset, void *out, size_t size) MUST_CHECK;

#endif
