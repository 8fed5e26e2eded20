/* proxy/answer.h - what the command_*.c files share: arguments in, replies out. */
#ifndef PROXY_ANSWER_H
#define PROXY_ANSWER_H

#include <jansson.h>

#include "proxy/command.h"
#include "proxy/rooms.h"

/* One command being carried out. */
struct command {
	struct house *house;
	const json_t *args;
	int64_t now_us;
	json_t *warnings; /* NULL until the first */
};

/** {"ok": true, "result": result}; takes result. */
json_t *answer_ok(json_t *result);
/** {"ok": false, …}; one line that says what to do. */
json_t *answer_error(enum command_exit status, const char *format, ...) PRINTF_LIKE(2, 3);
void command_warn(struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* Arguments: NULL (or false) with *error set to a finished reply when wrong. */
const char *command_text(struct command *command, json_t **error, const char *name);
const char *command_text_or(struct command *command, const char *name, const char *otherwise);
struct agent *command_agent(struct command *command, json_t **error);
bool command_amount(int64_t *out, struct command *command, json_t **error, const char *name);
bool command_id(int64_t *out, struct command *command, json_t **error, const char *name);

/** Append and wait; on failure a finished reply, else NULL. An audit row of the owner's act,
 * naming what was done to whom, goes into the same batch. */
json_t *command_write(struct command *command, struct batch **batch, const char *what,
    const struct agent *agent, const char *tool, const char *detail);
/** The same about one payment, which the audit row then names. */
json_t *command_write_payment(struct command *command, struct batch **batch, const char *what,
    const struct agent *agent, const char *tool, const char *detail, int64_t payment);

/* The commands, by file. */
json_t *command_setup(struct command *command, const char *name); /* agent, token, tool, network */
json_t *command_money(struct command *command, const char *name); /* policy, wallet */
json_t *command_chain(struct command *command, const char *name); /* wallet reconcile */
json_t *command_payment(struct command *command, const char *name);
json_t *payment_cancel(struct command *command); /* waits for the chain */
json_t *command_books(struct command *command, const char *name); /* ledger, doctor */
json_t *command_proof(struct command *command, const char *name); /* ledger verify, dispute */

struct verify_report;
struct witness_options;
/** verify_against() the installation's own anchors, and what more names beside (its
 * other_anchors and heads; NULL: nothing). */
enum store_result command_verify(struct verify_report *out, struct house *house,
    const struct witness_options *more) MUST_CHECK;

#endif
