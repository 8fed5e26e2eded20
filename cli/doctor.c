/* cli/doctor.c - tallyward doctor: is everything as it should be? */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"

static void show_checks(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"check", "CHECK", CELL_TEXT},
	    {"ok", "OK", CELL_TEXT},
	    {"detail", "DETAIL", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "No checks.");
}

static int run_doctor(const struct cli *cli)
{
	json_t *result = NULL;
	enum command_exit status = client_run(&result, cli, "doctor", json_object());
	size_t failed = 0;

	if (status != COMMAND_DONE)
		return status;
	for (size_t i = 0; i < json_array_size(result); i++)
		failed += !json_is_true(json_object_get(json_array_get(result, i), "ok"));
	if (!output_result(cli, result, show_checks))
		status = COMMAND_FAILED;
	else if (failed > 0) {
		output_error("checks that failed: %zu; each says above what to do", failed);
		status = COMMAND_FAILED;
	}
	json_decref(result);
	return status;
}

static const struct verb doctor_verbs[] = {
    {.help = "check configuration, clock, disk, keys, chains and listeners", .run = run_doctor},
    {.run = NULL},
};

const struct subcommand doctor_subcommand = {
    .name = "doctor",
    .help = "check configuration, clock, disk, keys, chains and listeners",
    .verbs = doctor_verbs,
};
