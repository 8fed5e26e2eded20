/* One event, one line, and no way for a value to forge another. */
#include <errno.h>
#include <pthread.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "tests/unit/common_captured.h"

#define log_test(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

/* The line after its time, which must be one. */
static const char *after_time(const char *line)
{
	const char *space = strchr(line, ' ');
	char text[CLOCK_TEXT_SIZE] = "";
	int64_t us;

	assert_memory_equal(line, "time=", 5);
	assert_non_null(space);
	assert_true(space - line - 5 < CLOCK_TEXT_SIZE);
	memcpy(text, line + 5, (size_t)(space - line - 5));
	assert_true(clock_parse(&us, text));
	return space + 1;
}

static void a_line_has_level_event_and_pairs(void **state)
{
	char *text;

	capture(*state);
	log_event(LOG_INFO, "listening", "address", "127.0.0.1:8402", "spare", NULL, NULL);
	text = captured(*state);
	assert_string_equal(
	    after_time(text), "level=info event=listening address=\"127.0.0.1:8402\" spare=-\n");
	free(text);

	capture(*state);
	log_event(LOG_ERROR, "bare", NULL);
	text = captured(*state);
	assert_string_equal(after_time(text), "level=error event=bare\n");
	free(text);
}

static void values_cannot_forge_a_line(void **state)
{
	static const struct {
		const char *value, *written;
	} rows[] = {
	    {"", ""},
	    {"plain words", "plain words"},
	    {"a\nlevel=error", "a\\nlevel=error"},
	    {"a\r\t\x1b[31m\x7f", "a\\x0d\\x09\\x1b[31m\\x7f"},
	    {"\" event=\"x", "\\\" event=\\\"x"},
	    {"\\", "\\\\"},
	    {"\\\"", "\\\\\\\""},
	    {"caf\xc3\xa9 \xff", "caf\\xc3\\xa9 \\xff"},
	    {"\xc2\x9b", "\\xc2\\x9b"},
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char wanted[200];
		char *text;

		capture(*state);
		log_event(LOG_WARN, "stranger", "said", rows[i].value, NULL);
		text = captured(*state);
		snprintf(wanted, sizeof(wanted), "level=warn event=stranger said=\"%s\"\n",
		    rows[i].written);
		assert_string_equal(after_time(text), wanted);
		free(text);
	}
}

static void long_values_are_cut_and_the_line_still_ends(void **state)
{
	char value[10000];
	char *text;
	size_t length;

	memset(value, '\n', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	capture(*state);
	log_event(LOG_INFO, "long", "a", value, "b", "more", "c", NULL, NULL);
	text = captured(*state);
	length = strlen(text);
	assert_true(length <= 4096);
	assert_true(length > 4000);
	assert_string_equal(text + length - 4, "\\n\"\n");
	assert_ptr_equal(strchr(text, '\n'), text + length - 1);
	free(text);
}

/* Every length around the cut: no escape in half, no line without its end. */
static void the_cut_falls_well_everywhere(void **state)
{
	size_t length;

	for (length = 4000; length < 4100; length++) {
		char value[5000];
		char *text;
		size_t size;

		memset(value, 'x', length);
		value[length - 1] = '"';
		value[length] = '\0';
		capture(*state);
		log_event(LOG_INFO, "cut", "a", value, "b", "c", NULL);
		text = captured(*state);
		size = strlen(text);
		assert_true(size <= 4096);
		assert_ptr_equal(strchr(text, '\n'), text + size - 1);
		assert_int_equal(text[size - 2], '"');
		free(text);
	}
}

static void the_level_is_honoured(void **state)
{
	static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
	size_t set, at;

	for (set = 0; set < COUNT(levels); set++) {
		log_set_level(levels[set]);
		for (at = 0; at < COUNT(levels); at++) {
			char *text;

			capture(*state);
			log_event(levels[at], "x", NULL);
			text = captured(*state);
			assert_int_equal(*text != '\0', at <= set);
			free(text);
		}
	}
	log_set_level(LOG_INFO);
}

static void levels_have_names(void **state)
{
	static const char *const refused[] = {
	    "", "Error", "INFO", " info", "info ", "information", "warning", "trace", "2", "-1"};
	enum log_level level = LOG_WARN;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		row_check(refused[i], !log_level_parse(&level, refused[i]));
		row_check(refused[i], level == LOG_WARN);
	}
	assert_false(log_level_parse(&level, NULL));
	assert_true(log_level_parse(&level, "error"));
	assert_int_equal(level, LOG_ERROR);
	assert_true(log_level_parse(&level, "warn"));
	assert_int_equal(level, LOG_WARN);
	assert_true(log_level_parse(&level, "info"));
	assert_int_equal(level, LOG_INFO);
	assert_true(log_level_parse(&level, "debug"));
	assert_int_equal(level, LOG_DEBUG);
}

#define LINES_EACH 500

static void *write_lines(void *letter)
{
	char value[301];
	int i;

	memset(value, *(const char *)letter, 300);
	value[300] = '\0';
	for (i = 0; i < LINES_EACH; i++)
		log_event(LOG_INFO, "thread", "value", value, NULL);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static char letters[] = "abcd";
	pthread_t threads[4];
	char *text, *line, *end;
	int count = 0;
	size_t i;

	capture(*state);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &letters[i]), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	text = captured(*state);
	for (line = text; *line != '\0'; line = end + 1, count++) {
		const char *rest = after_time(line);
		const char start[] = "level=info event=thread value=\"";

		end = strchr(line, '\n');
		assert_non_null(end);
		assert_memory_equal(rest, start, sizeof(start) - 1);
		rest += sizeof(start) - 1;
		assert_int_equal(strspn(rest, (char[]){*rest, '\0'}), 300);
		assert_ptr_equal(rest + 301, end);
	}
	assert_int_equal(count, 4 * LINES_EACH);
	free(text);
}

static void errno_is_kept(void **state)
{
	char *text;

	capture(*state);
	close(STDERR_FILENO);
	errno = 42;
	log_event(LOG_INFO, "x", NULL);
	assert_int_equal(errno, 42);
	text = captured(*state);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    log_test(a_line_has_level_event_and_pairs),
	    log_test(values_cannot_forge_a_line),
	    log_test(long_values_are_cut_and_the_line_still_ends),
	    log_test(the_cut_falls_well_everywhere),
	    log_test(the_level_is_honoured),
	    cmocka_unit_test(levels_have_names),
	    log_test(lines_of_threads_do_not_mix),
	    log_test(errno_is_kept),
	};

	return unit_run(tests);
}
