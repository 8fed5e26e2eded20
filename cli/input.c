/* cli/input.c - files read whole, passwords without echo, and "are you sure". */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli/output.h"
#include "common/bytes.h"
#include "common/file.h"
#include "common/json.h"
#include "policy/policy.h"
#include "proxy/delivery.h"

#define CONTROL_C '\003'

static const char *why(void)
{
	return errno == EFBIG ? "it is too large to be one" : strerror(errno);
}

static bool is_policy(struct json_error *error, const char *text, size_t size)
{
	struct policy *policy = policy_parse(error, text, size);
	bool ok = policy != NULL;

	policy_free(&policy);
	return ok;
}

static bool is_delivery(struct json_error *error, const char *text, size_t size)
{
	struct delivery_check *check = delivery_check_parse(error, text, size);
	bool ok = check != NULL;

	delivery_check_free(&check);
	return ok;
}

/* A file's text, once `check` finds it good. */
static json_t *checked(const char *path, const char *what, size_t size_max,
    bool (*check)(struct json_error *error, const char *text, size_t size))
{
	struct json_error error = {.line = 0};
	json_t *value = NULL;
	size_t size = 0;
	char *text = file_read(&size, path, size_max);

	if (text == NULL) {
		output_error("%s: could not read the %s: %s", path, what, why());
		return NULL;
	}
	if (check(&error, text, size))
		value = json_stringn(text, size);
	else
		output_error("%s:%d: %s%s%s", path, error.line, error.path,
		    error.path[0] != '\0' ? ": " : "", error.reason);
	free(text);
	return value;
}

json_t *input_policy(const char *path)
{
	return checked(path, "policy", POLICY_SIZE_MAX, is_policy);
}

json_t *input_delivery(const char *path)
{
	return checked(path, "delivery check", DELIVERY_CHECK_SIZE_MAX, is_delivery);
}

static void warn_if_shared(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
	    (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
		output_warning("%s can be read by other users: chmod 600 it, or remove it", path);
}

/* A secret file's text, NUL-free UTF-8; the caller wipes and frees it. */
static char *read_secret(size_t *out_size, const char *path)
{
	char *text = file_read(out_size, path, INPUT_SECRET_SIZE_MAX);

	if (text == NULL) {
		output_error("could not read %s: %s", path, why());
		return NULL;
	}
	warn_if_shared(path);
	return text;
}

static json_t *secret_value(char *text, size_t size, const char *path)
{
	json_t *value = memchr(text, '\0', size) == NULL ? json_stringn(text, size) : NULL;

	if (value == NULL)
		output_error("%s holds bytes that are not text", path);
	return value;
}

json_t *input_secret(const char *path)
{
	json_t *value;
	size_t size = 0;
	char *text = read_secret(&size, path);

	if (text == NULL)
		return NULL;
	value = secret_value(text, size, path);
	bytes_wipe(text, size);
	free(text);
	return value;
}

/* One line from the terminal, not shown while it is typed. ISIG goes too, so that Ctrl-C
 * cannot end us with the echo off: it ends the line instead, and is then obeyed. */
static bool read_hidden(char line[INPUT_PASSWORD_MAX + 2], const char *prompt)
{
	struct termios before, hidden;
	ssize_t size;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	hidden.c_lflag |= ECHONL | ICANON;
	hidden.c_cc[VEOL] = CONTROL_C;
	fprintf(stderr, "%s: ", prompt);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
		return false;
	do
		size = read(STDIN_FILENO, line, INPUT_PASSWORD_MAX + 1);
	while (size < 0 && errno == EINTR);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	if (size <= 0 || line[size - 1] != '\n') {
		fputc('\n', stderr);
		return false;
	}
	line[size - 1] = '\0';
	return true;
}

static enum command_exit ask_password(json_t **out, bool again)
{
	char first[INPUT_PASSWORD_MAX + 2] = "", second[INPUT_PASSWORD_MAX + 2] = "";
	enum command_exit status = COMMAND_FAILED;
	json_t *value = NULL;

	if (!isatty(STDIN_FILENO)) {
		output_error("there is no terminal to ask for the password on: add "
			     "--password-file FILE");
		return COMMAND_USAGE;
	}
	if (!read_hidden(first, "Password") || first[0] == '\0')
		output_error("no password was given: nothing was done");
	else if (again && (!read_hidden(second, "Once more") || strcmp(first, second) != 0))
		output_error("the two passwords differ: nothing was done");
	else if ((value = json_string(first)) == NULL)
		output_error("the password is not UTF-8 text: nothing was done");
	else
		status = COMMAND_DONE;
	if (status == COMMAND_DONE)
		*out = value;
	bytes_wipe(first, sizeof(first));
	bytes_wipe(second, sizeof(second));
	return status;
}

enum command_exit input_password(json_t **out, const char *path, bool again)
{
	json_t *value = NULL;
	size_t size = 0, length;
	char *text;

	if (path == NULL)
		return ask_password(out, again);
	text = read_secret(&size, path);
	if (text == NULL)
		return COMMAND_FAILED;
	length = strcspn(text, "\r\n");
	if (length == 0 || length > INPUT_PASSWORD_MAX)
		output_error("%s: the password must stand on the first line, 1 to %u bytes", path,
		    INPUT_PASSWORD_MAX);
	else
		value = secret_value(text, length, path);
	bytes_wipe(text, size);
	free(text);
	if (value == NULL)
		return COMMAND_FAILED;
	*out = value;
	return COMMAND_DONE;
}

enum command_exit input_confirm(const struct cli *cli, const char *question)
{
	char answer[16] = "";

	if (options_flag(cli->options, "yes"))
		return COMMAND_DONE;
	if (!isatty(STDIN_FILENO)) {
		output_error("this must be confirmed, and there is no terminal to ask on: add "
			     "--yes");
		return COMMAND_USAGE;
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) != NULL) {
		answer[strcspn(answer, "\r\n")] = '\0';
		if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
			return COMMAND_DONE;
	}
	output_error("not confirmed: nothing was done");
	return COMMAND_FAILED;
}
