/* cli/output.c - tables and fields for people, JSON for programs. */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of error: a path of 4,096 bytes and what happened to it. */
#define LINE_SIZE_MAX 8192u
#define COLUMNS_MAX   16u
#define LETTER_MAX    0x10ffffu

struct range {
	uint32_t first, last;
};

/* Controls, and what turns the reading order round or cannot be seen. */
static const struct range unsafe[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f}, {0x061c, 0x061c}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
};
/* Combining marks of the scripts people name things in. */
static const struct range narrow[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};
static const struct range surrogates[] = {{0xd800, 0xdfff}};
static const struct range wide[] = {
    {0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe4f},
    {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
};
#define IN(letter, table) in_ranges(letter, table, sizeof(table) / sizeof(table[0]))

static bool in_ranges(uint32_t letter, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (letter >= ranges[i].first && letter <= ranges[i].last)
			return true;
	}
	return false;
}

/* One letter of NUL-terminated text; returns its bytes, 0 when it is not UTF-8. */
static size_t decode(uint32_t *out, const char *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text;
	size_t size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xc2 ? 0 : bytes[0] < 0xe0 ? 2
	    : bytes[0] < 0xf0 ? 3 : bytes[0] < 0xf5 ? 4 : 0;
	uint32_t letter = size < 2 ? bytes[0] : bytes[0] & (0x7fu >> size);

	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		letter = letter << 6 | (bytes[i] & 0x3f);
	}
	if (size > 1 && (letter < least[size] || letter > LETTER_MAX || IN(letter, surrogates)))
		return 0;
	*out = letter;
	return size;
}

void output_clean(struct buf *out, const char *text)
{
	while (*text != '\0') {
		uint32_t letter = 0;
		size_t size = decode(&letter, text);

		if (size == 0)
			buf_add_format(out, "\\x%02x", (unsigned char)*text);
		else if (IN(letter, unsafe))
			buf_add_format(out, "\\u%04x", (unsigned)letter);
		else
			buf_add(out, text, size);
		text += size == 0 ? 1 : size;
	}
}

size_t output_width(const char *text)
{
	size_t width = 0;

	while (*text != '\0') {
		uint32_t letter = 0;
		size_t size = decode(&letter, text);

		width += size == 0 ? 1 : IN(letter, wide) ? 2 : IN(letter, narrow) ? 0 : 1;
		text += size == 0 ? 1 : size;
	}
	return width;
}

/* A JSON value as clean text. */
static void add_value(struct buf *out, const json_t *value)
{
	char *text;

	switch (json_typeof(value)) {
	case JSON_STRING:
		output_clean(out, json_string_length(value) > 0 ? json_string_value(value) : "-");
		return;
	case JSON_TRUE:
		buf_add_str(out, "yes");
		return;
	case JSON_FALSE:
		buf_add_str(out, "no");
		return;
	case JSON_NULL:
		buf_add_str(out, "-");
		return;
	case JSON_ARRAY:
		for (size_t i = 0; i < json_array_size(value); i++) {
			buf_add_str(out, i > 0 ? ", " : "");
			add_value(out, json_array_get(value, i));
		}
		buf_add_str(out, json_array_size(value) == 0 ? "-" : "");
		return;
	case JSON_OBJECT:
	case JSON_INTEGER:
	case JSON_REAL:
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		must(text != NULL);
		output_clean(out, text);
		free(text);
		return;
	}
}

/* "2026-11-20T13:35:00.123456Z" without what a reader skips. */
static bool add_time(struct buf *out, const char *text)
{
	if (strlen(text) < strlen("2026-11-20T13:35:00Z") || text[10] != 'T' ||
	    text[strlen(text) - 1] != 'Z')
		return false;
	buf_add_format(out, "%.10s %.8s", text, text + 11);
	return true;
}

static bool is_amount(const struct column *column, const json_t *row)
{
	const char *measure = json_string_value(json_object_get(row, "measure"));

	return column->kind == CELL_AMOUNT ||
	    (column->kind == CELL_MEASURE && measure != NULL && strcmp(measure, "spend") == 0);
}

static bool to_the_right(const struct column *column)
{
	return column->kind == CELL_AMOUNT || column->kind == CELL_NUMBER ||
	    column->kind == CELL_MEASURE;
}

/* One cell as clean text; the caller frees it. */
static char *cell_text(const struct column *column, const json_t *row)
{
	const json_t *value = json_object_get(row, column->key);
	const char *text = json_string_value(value);
	struct buf cell;

	buf_init(&cell, OUTPUT_SIZE_MAX);
	if (value == NULL)
		buf_add_str(&cell, "-");
	else if (column->kind != CELL_TIME || text == NULL || !add_time(&cell, text)) {
		if (text != NULL && is_amount(column, row))
			buf_add_str(&cell, "$");
		add_value(&cell, value);
	}
	must(buf_ok(&cell));
	return buf_take(&cell);
}

static size_t column_count(const struct column *columns)
{
	size_t count = 0;

	while (columns[count].key != NULL)
		count++;
	return count;
}

static void add_blanks(struct buf *out, size_t count)
{
	for (; count > 0; count--)
		buf_add_str(out, " ");
}

/* text in its column; the last one, when it stands left, gets no blanks after it. */
static void add_cell(struct buf *out, const char *text, size_t width, bool right, bool last)
{
	size_t blanks = width - output_width(text);

	if (right)
		add_blanks(out, blanks);
	buf_add_str(out, text);
	if (!right && !last)
		add_blanks(out, blanks);
	buf_add_str(out, last ? "\n" : "  ");
}

/* One line of a table; frees the cells, or prints the titles when there are none. */
static void add_row(struct buf *out, const struct column *columns, size_t count,
    const size_t *width, char **cells)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = cells != NULL ? cells[i] : columns[i].title;

		add_cell(out, text, width[i], to_the_right(&columns[i]), i + 1 == count);
		if (cells != NULL)
			free(cells[i]);
	}
}

void output_table(struct buf *out, const struct column *columns, const json_t *rows,
    const char *empty)
{
	size_t count = column_count(columns), row_count = json_array_size(rows);
	size_t width[COLUMNS_MAX];
	char **cells;

	must(count <= COLUMNS_MAX);
	if (row_count == 0) {
		buf_add_format(out, "%s\n", empty);
		return;
	}
	cells = must_calloc(row_count * count, sizeof(*cells));
	for (size_t i = 0; i < count; i++)
		width[i] = output_width(columns[i].title);
	for (size_t i = 0; i < row_count * count; i++) {
		cells[i] = cell_text(&columns[i % count], json_array_get(rows, i / count));
		if (output_width(cells[i]) > width[i % count])
			width[i % count] = output_width(cells[i]);
	}
	add_row(out, columns, count, width, NULL);
	for (size_t i = 0; i < row_count; i++)
		add_row(out, columns, count, width, cells + i * count);
	free(cells);
}

void output_fields(struct buf *out, const struct column *columns, const json_t *object)
{
	size_t count = column_count(columns), width = 0;

	for (size_t i = 0; i < count; i++) {
		if (output_width(columns[i].title) > width)
			width = output_width(columns[i].title);
	}
	for (size_t i = 0; i < count; i++) {
		char *text = cell_text(&columns[i], object);

		add_cell(out, columns[i].title, width, false, false);
		buf_add_format(out, "%s\n", text);
		free(text);
	}
}

static bool finish_stdout(bool ok)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		ok = false;
	if (!ok)
		output_error("could not write the result: %s", strerror(errno));
	return ok;
}

bool output_text(const char *text)
{
	return finish_stdout(fputs(text, stdout) >= 0);
}

bool output_result(const struct cli *cli, const json_t *result, output_show_fn *show)
{
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
	struct buf text;
	bool ok;

	if (cli->json || show == NULL) {
		ok = json_dumpf(result, stdout, ascii | JSON_INDENT(2) | JSON_ENCODE_ANY) == 0 &&
		    fputc('\n', stdout) != EOF;
		return finish_stdout(ok);
	}
	buf_init(&text, OUTPUT_SIZE_MAX);
	show(&text, result);
	ok = buf_ok(&text);
	if (!ok)
		output_error("the result is too long for a table: use --json");
	else
		ok = output_text(buf_str(&text));
	buf_fini(&text);
	return ok;
}

static void say(const char *start, const char *format, va_list args) PRINTF_LIKE(2, 0);

static void say(const char *start, const char *format, va_list args)
{
	char line[LINE_SIZE_MAX];
	struct buf clean;

	vsnprintf(line, sizeof(line), format, args);
	buf_init(&clean, sizeof(line) * 8);
	output_clean(&clean, line);
	fprintf(stderr, "%s%s\n", start, buf_str(&clean));
	buf_fini(&clean);
}

void output_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("tallyward: ", format, args);
	va_end(args);
}

void output_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("tallyward: warning: ", format, args);
	va_end(args);
}

void output_problem(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
}
