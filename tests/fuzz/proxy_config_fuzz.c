/* The configuration file: what is read can be written and read again. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proxy/config.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"

static void on_change(
    const char *name, const char *before, const char *after, bool at_start, void *arg)
{
	(void)name;
	(void)before;
	(void)after;
	(void)at_start;
	++*(unsigned *)arg;
}

static void check_bounds(const struct config *config)
{
	enum log_level level;

	must(config->listen && config->admin && config->passphrase_file && config->ca_file);
	must(config->default_network && config->temporary_dir && config->anchor_file);
	must(config->anchor_webhook && log_level_parse(&level, config->log_level));
	must(json_is_array(config->assets));
	must(config->workers >= 0 && config->connections_max > 0 && config->calls_max > 0);
	must(config->waiting_max >= 0 && config->waiting_ms_max >= 0 && config->token_ttl_s > 0);
	must(config->body_memory_max >= 0 && config->body_size_max >= 0);
	must(config->challenge_size_max > 0 && config->head_ms_max > 0 && config->idle_ms_max > 0);
	must(config->connect_ms_max > 0 && config->response_ms_max > 0 && config->rpc_ms_max > 0);
	/* Handed on as 32 bits. */
	must(config->connections_max <= UINT32_MAX && config->head_ms_max <= UINT32_MAX);
	must(config->idle_ms_max <= UINT32_MAX && config->body_idle_ms_max <= UINT32_MAX);
	must(config->connect_ms_max <= UINT32_MAX && config->response_ms_max <= UINT32_MAX);
	must(config->upstream_idle_ms_max <= UINT32_MAX && config->rpc_ms_max <= UINT32_MAX);
	must(config->chain_depth >= -1 && config->chain_poll_ms > 0);
	must(config->anchor_syslog == 0 || config->anchor_syslog == 1);
}

static void check_again(const struct config *config)
{
	struct config again = {0};
	struct json_error error;
	unsigned changes = 0;
	struct buf text;

	buf_init(&text, 1u << 20);
	config_dump(&text, config);
	must(buf_ok(&text) && config_read(&again, &error, buf_str(&text), text.size));
	config_changes(config, &again, on_change, &changes);
	must(changes == 0);
	config_fini(&again);
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct json_error error = {.line = -1};
	struct config config = {0};
	int lines = 1;
	json_t *tree;
	size_t i;

	for (i = 0; i < size; i++)
		lines += text[i] == '\n';
	if (!config_read(&config, &error, text, size)) {
		must(error.line >= 0 && error.line <= lines && error.reason[0]);
		return 0;
	}
	tree = json_read(&error, text, size, size);
	must(tree != NULL && members_all(text, size, tree));
	json_decref(tree);
	check_bounds(&config);
	check_again(&config);
	config_fini(&config);
	return 0;
}
