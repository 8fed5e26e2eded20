#include "proxy/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "proxy/answer.h"

json_t *answer_ok(json_t *result)
{
	json_t *reply;

	must(result != NULL);
	reply = json_pack("{s:b, s:o}", "ok", 1, "result", result);
	must(reply != NULL);
	return reply;
}

json_t *answer_error(enum command_exit status, const char *format, ...)
{
	char words[600];
	va_list args;
	json_t *reply;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	/* A name that was cut in the middle of a character must not spoil the reply. */
	reply = json_pack("{s:b, s:i, s:s}", "ok", 0, "exit", (int)status, "error", words);
	if (!reply)
		reply = json_pack("{s:b, s:i, s:s}", "ok", 0, "exit", (int)status, "error",
		    "the arguments are not UTF-8 text");
	must(reply != NULL);
	return reply;
}

void command_warn(struct command *command, const char *format, ...)
{
	char words[600];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	if (!command->warnings)
		command->warnings = json_array();
	json_array_append_new(command->warnings, json_string(words));
}

const char *command_text(struct command *command, json_t **error, const char *name)
{
	const char *text = json_str(command->args, name);

	if (!text || !*text) {
		*error = answer_error(COMMAND_USAGE, "%s needs \"%s\"", "the command", name);
		return NULL;
	}
	return text;
}

const char *command_text_or(struct command *command, const char *name, const char *otherwise)
{
	const char *text = json_str(command->args, name);

	return text && *text ? text : otherwise;
}

struct agent *command_agent(struct command *command, json_t **error)
{
	const char *name = command_text(command, error, "agent");
	struct agent *agent;

	if (!name)
		return NULL;
	agent = registry_agent(command->house->registry, name);
	if (!agent)
		*error = answer_error(COMMAND_NOT_FOUND,
		    "there is no agent %s: `tallyward agent list` names them", name);
	return agent;
}

bool command_amount(int64_t *out, struct command *command, json_t **error, const char *name)
{
	const char *text = command_text(command, error, name);
	struct amount amount;

	if (!text)
		return false;
	if (!amount_parse(&amount, text)) {
		*error = answer_error(COMMAND_USAGE,
		    "%s is not an amount: write decimal dollars such as 10.00", text);
		return false;
	}
	*out = amount.micros;
	return true;
}

bool command_id(int64_t *out, struct command *command, json_t **error, const char *name)
{
	const char *text = command_text(command, error, name);
	char *end;
	long long value;

	if (!text)
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || value <= 0) {
		*error = answer_error(COMMAND_USAGE, "%s is not an id: ids are numbers", text);
		return false;
	}
	*out = value;
	return true;
}

json_t *command_write(struct command *command, struct batch **batch, const char *what,
    const struct agent *agent, const char *tool, const char *detail)
{
	return command_write_payment(command, batch, what, agent, tool, detail, 0);
}

json_t *command_write_payment(struct command *command, struct batch **batch, const char *what,
    const struct agent *agent, const char *tool, const char *detail, int64_t payment)
{
	struct audit_row row = {
	    .id = store_next_id(command->house->store, command->now_us),
	    .kind = AUDIT_OWNER,
	    .agent = agent ? agent->id : 0,
	    .agent_name = agent ? agent->name : NULL,
	    .owner = agent ? agent->owner : NULL,
	    .tool = tool,
	    .method = command->house->who,
	    .path = what,
	    .allowed = true,
	    .payment = payment,
	    .detail = detail,
	    .finished_us = command->now_us,
	};
	char reason[256] = "";

	batch_audit(*batch, &row);
	FAULT_POINT("command");
	switch (store_append_wait(command->house->store, batch)) {
	case STORE_OK:
		FAULT_POINT("command written");
		return NULL;
	case STORE_EXISTS:
		return answer_error(
		    COMMAND_FAILED, "there is one of that name already, or what was to be "
				    "changed has changed meanwhile; nothing was written");
	case STORE_NOT_FOUND:
	case STORE_LOCKED:
	case STORE_NEWER_SCHEMA:
	case STORE_BROKEN:
	case STORE_TOO_LONG:
		break;
	}
	store_health(command->house->store, reason);
	return answer_error(
	    COMMAND_FAILED, "the ledger cannot be written, nothing was changed: %s", reason);
}

/* Readers see what was committed; whoever has had an answer and asks for the books at once
 * must find it there. A store that cannot write has nothing newer to show. */
static void catch_up(struct house *house, int64_t now_us)
{
	struct batch *batch = batch_new(now_us);

	if (store_append_wait(house->store, &batch) != STORE_OK)
		log_event(LOG_WARN, "books_may_lag", NULL);
}

bool command_waits(const json_t *request)
{
	static const char *const waiting[] = {
	    /* ask a chain's endpoints */
	    "wallet.reconcile", "payment.cancel", "doctor",
	    /* read the whole ledger */
	    "ledger.verify", "ledger.export", "dispute", "backup"};
	const char *name = json_str(request, "command");

	for (size_t i = 0; name && i < sizeof waiting / sizeof waiting[0]; i++) {
		if (strcmp(waiting[i], name) == 0)
			return true;
	}
	return false;
}

json_t *command_run(struct house *house, const json_t *request, int64_t now_us)
{
	static const struct {
		const char *prefix;
		json_t *(*run)(struct command *command, const char *name);
	} groups[] = {
	    {"agent.", command_setup},
	    {"token.", command_setup},
	    {"tool.", command_setup},
	    {"network.", command_setup},
	    {"policy.", command_money},
	    {"wallet.reconcile", command_chain},
	    {"wallet.", command_money},
	    {"payment.", command_payment},
	    {"ledger.", command_books},
	    {"ledger.", command_proof},
	    {"dispute", command_proof},
	    {"doctor", command_books},
	    {"backup", command_books},
	};
	const char *name = json_str(request, "command");
	json_t *none = json_object(), *args = json_member(request, "args"), *reply = NULL;
	struct command command = {.house = house, .args = args ? args : none, .now_us = now_us};

	catch_up(house, now_us);
	for (size_t i = 0; name && !reply && i < sizeof groups / sizeof groups[0]; i++) {
		if (strncmp(name, groups[i].prefix, strlen(groups[i].prefix)) == 0)
			reply = groups[i].run(&command, name);
	}
	if (!reply)
		reply = answer_error(
		    COMMAND_USAGE, "there is no command %s", name ? name : "without a name");
	if (command.warnings)
		json_object_set_new(reply, "warnings", command.warnings);
	json_decref(none);
	return reply;
}
