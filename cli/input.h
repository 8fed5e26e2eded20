/* cli/input.h - what a verb reads: files, passwords, a yes.
 *
 * Passwords and keys come from files or from a terminal without echo, never from the
 * command line, which other users of the machine can read. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "common/must.h"
#include "proxy/command.h"

/* A keystore is half a kilobyte, a key 66 bytes. */
#define INPUT_SECRET_SIZE_MAX (64u * 1024u)
#define INPUT_PASSWORD_MAX    1024u

/** input_policy - a policy file as a JSON string, checked; the caller decrefs it.
 * Returns NULL, the error said, when it cannot be read or is not a policy. */
json_t *input_policy(const char *path);

/** input_delivery - the same for a delivery check (proxy/delivery.h). */
json_t *input_delivery(const char *path);

/** input_secret - a file's text as a JSON string; a warning when others may read the file.
 * Returns NULL, the error said. */
json_t *input_secret(const char *path);

/** input_password - from the file when path is not NULL (its first line), else asked for
 * on the terminal, twice when `again`. The caller wipes and decrefs it.
 *
 * Returns COMMAND_DONE; COMMAND_USAGE when there is neither file nor terminal; else
 *         COMMAND_FAILED; the error has been said then and *out is untouched. */
enum command_exit input_password(json_t **out, const char *path, bool again) MUST_CHECK;

/** input_confirm - may it be done? True with --yes, or when somebody at the terminal
 * answered yes to question.
 *
 * Returns COMMAND_DONE, or with the error said: COMMAND_USAGE without --yes and
 *         without a terminal, COMMAND_FAILED when the answer was another. */
enum command_exit input_confirm(const struct cli *cli, const char *question) MUST_CHECK;

#endif
