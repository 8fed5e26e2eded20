/* common/table.h - uthash, told what to do when memory is gone.
 *
 * By itself it calls exit(-1), from whichever thread it is in, without a word. Everything here
 * ends the process by must.h instead. Included in the place of <uthash.h>. */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include "common/must.h"

#define uthash_malloc(size)   must_alloc(size)
#define uthash_fatal(message) must(!message)

#include <uthash.h>

#endif
