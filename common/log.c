/* common/log.c - one event, one line, one write(2). */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

/* A pipe takes this much in one piece, so lines of several threads or
 * processes never mix. What does not fit is cut off. */
#define LINE_MAX_SIZE 4096

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static atomic_int level_max = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&level_max, (int)level);
}

bool log_level_parse(enum log_level *out, const char *text)
{
	int level;

	if (text == NULL)
		return false;
	for (level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		if (strcmp(text, level_names[level]) == 0) {
			*out = (enum log_level)level;
			return true;
		}
	}
	return false;
}

struct line {
	char text[LINE_MAX_SIZE];
	size_t length;
};

/* Whole pieces only, and always with room left for `"` and the newline. */
static bool add(struct line *line, const char *piece, size_t length)
{
	if (line->length + length > sizeof(line->text) - 2)
		return false;
	memcpy(line->text + line->length, piece, length);
	line->length += length;
	return true;
}

static bool add_str(struct line *line, const char *text)
{
	return add(line, text, strlen(text));
}

/* Everything outside printable ASCII is written as \xNN: a terminal obeys
 * some of it, and some is not UTF-8. */
static bool add_escaped(struct line *line, char c)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char byte = (unsigned char)c;

	if (byte == '"' || byte == '\\')
		return add(line, (char[]){'\\', c}, 2);
	if (byte == '\n')
		return add(line, "\\n", 2);
	if (byte < 0x20 || byte > 0x7e)
		return add(line, (char[]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, 4);
	return add(line, &c, 1);
}

static void add_pair(struct line *line, const char *key, const char *value)
{
	size_t length_before = line->length;

	if (!add_str(line, " ") || !add_str(line, key) || !add_str(line, value ? "=\"" : "=-")) {
		line->length = length_before;
		return;
	}
	if (value == NULL)
		return;
	for (; *value != '\0'; value++) {
		if (!add_escaped(line, *value))
			break;
	}
	line->text[line->length++] = '"';
}

void log_event(enum log_level level, const char *event, ...)
{
	int errno_before = errno;
	char now[CLOCK_TEXT_SIZE];
	struct line line;
	const char *key;
	va_list pairs;

	if ((int)level > atomic_load(&level_max))
		return;
	line.length = 0;
	if (!add_str(&line, "time=") || !add_str(&line, clock_format(now, clock_now_us())) ||
	    !add_str(&line, " level=") || !add_str(&line, level_names[level]) ||
	    !add_str(&line, " event=") || !add_str(&line, event))
		return;
	va_start(pairs, event);
	while ((key = va_arg(pairs, const char *)) != NULL)
		add_pair(&line, key, va_arg(pairs, const char *));
	va_end(pairs);
	line.text[line.length++] = '\n';
	while (write(STDERR_FILENO, line.text, line.length) < 0 && errno == EINTR)
		;
	errno = errno_before;
}
