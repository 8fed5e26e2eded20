/* common/log.h - the process-wide log: one line an event on stderr, logfmt.
 *
 * One of the two mutable globals of the program; common/clock.h is the other.
 * Lines carry the UTC time, a level, a fixed event name and key="value" pairs;
 * in values everything but printable ASCII is escaped, so that nothing a stranger
 * sent can forge a line. A line is cut at 4096 bytes, so that it goes out in one
 * piece. Tokens, keys and payment headers are never passed in. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

enum log_level { LOG_ERROR = 0, LOG_WARN = 1, LOG_INFO = 2, LOG_DEBUG = 3 };

void log_set_level(enum log_level level);
bool log_level_parse(enum log_level *out, const char *text) MUST_CHECK;

/** log_event - write one line.
 *
 * pairs: alternating key and value strings, ended by NULL; a NULL value is
 * written as "-". Example:
 *     log_event(LOG_INFO, "listening", "address", "127.0.0.1:8402", NULL); */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
