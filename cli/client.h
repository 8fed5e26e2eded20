/* cli/client.h - one owner's command, carried out by the daemon or by ourselves.
 *
 * A running daemon holds the data folder's lock, so it is asked first, through its admin
 * socket; when nobody listens there, the house is opened here. Both end in the same
 * command_run() of proxy/command.h. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "common/must.h"
#include "proxy/command.h"

/** client_run - send a command and wait for its result. Warnings go to stderr.
 *
 * Returns  COMMAND_DONE        *out is the result; the caller decrefs it
 *          anything else       the reason has been said, *out untouched;
 *          COMMAND_UNREACHABLE the folder is in use, and whoever uses it does not answer
 * Takes    args  an object, made of UTF-8; "key", "keystore" and "password" are wiped */
enum command_exit client_run(json_t **out, const struct cli *cli, const char *command,
    json_t *args) MUST_CHECK;

/** client_show - client_run, and the result on stdout; returns the exit status. */
int client_show(const struct cli *cli, const char *command, json_t *args, output_show_fn *show);

#endif
