#include "proxy/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "wallet/asset.h"

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

/* 64 KiB holds a thousand owner's asset rows. */
#define CONFIG_SIZE_MAX (64u * 1024u)

enum key_type { KEY_STRING, KEY_INTEGER, KEY_ARRAY };

struct key {
	const char *name;
	enum key_type type;
	size_t offset;
	int64_t min, max, default_integer;
	const char *default_text;
	const char *unit;
	const char *help;
	bool at_start; /* a change takes effect at the next start only */
	bool secret;   /* its value is not shown in the log */
};

#define ROW(field, kind, text, words)                                                              \
	.name = #field, .type = kind, .offset = offsetof(struct config, field),                    \
	.default_text = text, .unit = "", .help = words
#define STRING(field, value, words)                                                                \
	{                                                                                          \
		ROW(field, KEY_STRING, value, words)                                               \
	}
/* Sockets are bound, threads run and money is counted by what these said at the start. */
#define STRING_AT_START(field, value, words)                                                       \
	{                                                                                          \
		ROW(field, KEY_STRING, value, words), .at_start = true                             \
	}
/* A URL that others are told about may hold a token. */
#define STRING_SECRET(field, value, words)                                                         \
	{                                                                                          \
		ROW(field, KEY_STRING, value, words), .secret = true                               \
	}
#define INTEGER_ROW(field, least, most, value, unit_text, words)                                   \
	.name = #field, .type = KEY_INTEGER, .offset = offsetof(struct config, field),             \
	.min = least, .max = most, .default_integer = value, .unit = unit_text, .help = words
#define INTEGER(field, least, most, value, unit_text, words)                                       \
	{                                                                                          \
		INTEGER_ROW(field, least, most, value, unit_text, words)                           \
	}
#define INTEGER_AT_START(field, least, most, value, unit_text, words)                              \
	{                                                                                          \
		INTEGER_ROW(field, least, most, value, unit_text, words), .at_start = true         \
	}

static const struct key keys[] = {
    STRING_AT_START(listen, "127.0.0.1:8402", "Where agents connect: address and port."),
    STRING_AT_START(admin, "127.0.0.1:8403", "Where health and metrics are served."),
    STRING(log_level, "info", "error, warn, info or debug."),
    STRING_AT_START(passphrase_file, "passphrase",
	"File holding the passphrase of the data key; relative to the data folder. "
	"A systemd credential named passphrase comes before it."),
    STRING(default_network, "eip155:84532",
	"Network of a deposit or withdrawal that names none. A new data folder starts on "
	"Base Sepolia, a test network, so that real money is only ever named on purpose."),
    STRING(ca_file, "", "Certificates trusted for sellers; empty: the system's."),
    STRING(tls_certificate, "",
	"Certificate, in PEM, that agents and whoever reads health and metrics are shown, with its "
	"chain behind it; relative to the data folder. Empty: plain HTTP."),
    STRING(tls_key, "", "Its key, in PEM; nobody else may read it."),
    STRING(temporary_dir, "", "Where large request bodies wait; empty: the data folder."),
    STRING_AT_START(user, "",
	"Whom the proxy becomes when it is started as root; empty: it stays root, with a warning."),
    STRING_AT_START(group, "", "Its group; empty: that of the user."),
    INTEGER_AT_START(sandbox, 0, 1, 1, "0 or 1",
	"Only system calls that are needed are let through once all is open. 0: for debugging."),
    {ROW(assets, KEY_ARRAY, "[]",
	 "Further tokens that may be paid with, each {network, contract, symbol, name, version}: "
	 "six decimals, EIP-3009, name and version as in the token's EIP-712 domain."),
	.max = 128, .at_start = true},
    INTEGER_AT_START(workers, 0, 256, 0, "threads", "Worker threads; 0: one per core."),
    INTEGER(busy_poll_us, 0, 1000, 600, "us",
	"While one call alone is in flight, with money set aside, its worker looks for the next "
	"event for so long before it sleeps, unless somebody else wants the core. 0: it sleeps at "
	"once."),
    INTEGER(token_ttl_s, 60, 315360000, 28800, "s", "Lifetime of a token issued without --ttl."),
    INTEGER(connections_max, 1, 1000000, 20000, "per worker",
	"Agents' connections; further ones are answered 503 and closed."),
    INTEGER(calls_max, 1, 1000000, 20000, "calls", "Calls in flight, over all workers."),
    INTEGER(waiting_max, 0, 100000, 1000, "calls",
	"Calls of one agent that may wait for other calls' provisional holds."),
    INTEGER(waiting_ms_max, 1, 600000, 15000, "ms",
	"How long such a call waits before 429 or 403; and one whose agent's past is read, 503."),
    INTEGER(body_memory_max, 0, 64 * MIB, 256 * KIB, "bytes",
	"A request body is kept in memory up to here, then in an unlinked file."),
    INTEGER(body_size_max, 0, 1024 * 1024 * MIB, 64 * MIB, "bytes",
	"Largest request body; a larger one is refused with 413, never cut."),
    INTEGER(
	challenge_size_max, 1024, 64 * KIB, 64 * KIB, "bytes", "Largest 402 body that is read."),
    INTEGER(head_ms_max, 100, 600000, 10000, "ms", "An agent's time to send a request head."),
    INTEGER(idle_ms_max, 100, 3600000, 75000, "ms", "A kept connection's time between requests."),
    INTEGER(body_idle_ms_max, 100, 3600000, 30000, "ms",
	"An agent's time without a byte sent or taken."),
    INTEGER(connect_ms_max, 100, 600000, 10000, "ms", "Time to connect to a seller."),
    INTEGER(response_ms_max, 100, 3600000, 120000, "ms",
	"Time a seller has to begin its answer once the request is out."),
    INTEGER(upstream_idle_ms_max, 100, 3600000, 60000, "ms",
	"A seller's time without a byte of its answer."),
    INTEGER(drain_ms_max, 0, 3600000, 30000, "ms", "How long a graceful stop waits for calls."),
    INTEGER(idempotency_s, 60, 31536000, 86400, "s", "How long an Idempotency-Key is remembered."),
    INTEGER(answer_size_max, 0, 16 * MIB, 256 * KIB, "bytes",
	"Largest answer kept to be given again for an Idempotency-Key, or checked by a schema."),
    INTEGER(answers_size_max, 0, 1024 * 1024 * MIB, 256 * MIB, "bytes",
	"All answers kept together; the oldest go first."),
    INTEGER(rpc_ms_max, 100, 120000, 10000, "ms", "An RPC endpoint's time for one answer."),
    INTEGER(chain_depth, -1, 10000, -1, "blocks",
	"How many blocks must follow one before it is believed; -1: as usual on that network."),
    INTEGER(chain_poll_ms, 100, 3600000, 3000, "ms",
	"Pause between two looks at a chain while payments are open there."),
    STRING_AT_START(anchor_file, "anchors",
	"Where the ledger's heads are anchored, one line each, only ever appended to; relative to "
	"the data folder. Best on another disk."),
    INTEGER(anchor_s, 1, 86400, 60, "s", "Pause between two anchors while rows are written."),
    STRING_SECRET(anchor_webhook, "", "Each anchor is also POSTed to this URL; empty: none."),
    INTEGER(anchor_syslog, 0, 1, 0, "0 or 1", "Each anchor is also written to syslog."),
};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

static void *field(const struct config *config, const struct key *key)
{
	return (char *)(uintptr_t)config + key->offset;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof *config);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *key = &keys[i];

		switch (key->type) {
		case KEY_STRING:
			*(char **)field(config, key) = must_strdup(key->default_text);
			break;
		case KEY_INTEGER:
			*(int64_t *)field(config, key) = key->default_integer;
			break;
		case KEY_ARRAY:
			*(json_t **)field(config, key) = json_array();
			break;
		}
	}
}

void config_fini(struct config *config)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].type == KEY_STRING)
			free(*(char **)field(config, &keys[i]));
		else if (keys[i].type == KEY_ARRAY)
			json_decref(*(json_t **)field(config, &keys[i]));
	}
	memset(config, 0, sizeof *config);
}

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

static bool fail(struct json_error *error, const char *path, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool fail(struct json_error *error, const char *path, const char *format, ...)
{
	va_list args;

	snprintf(error->path, sizeof error->path, "%s", path);
	va_start(args, format);
	vsnprintf(error->reason, sizeof error->reason, format, args);
	va_end(args);
	return false;
}

static bool set(
    struct config *config, struct json_error *error, const struct key *key, json_t *value)
{
	switch (key->type) {
	case KEY_STRING:
		if (!json_is_string(value))
			return fail(error, key->name, "must be a string");
		free(*(char **)field(config, key));
		*(char **)field(config, key) = must_strdup(json_string_value(value));
		return true;
	case KEY_INTEGER:
		if (!json_is_integer(value) || json_integer_value(value) < key->min ||
		    json_integer_value(value) > key->max)
			return fail(error, key->name,
			    "must be a whole number from %lld to %lld%s%s", (long long)key->min,
			    (long long)key->max, *key->unit ? " " : "", key->unit);
		*(int64_t *)field(config, key) = json_integer_value(value);
		return true;
	case KEY_ARRAY:
		if (!json_is_array(value) || (int64_t)json_array_size(value) > key->max)
			return fail(error, key->name, "must be an array of at most %lld entries",
			    (long long)key->max);
		json_decref(*(json_t **)field(config, key));
		*(json_t **)field(config, key) = json_incref(value);
		return true;
	}
	return false;
}

static bool check_asset(struct json_error *error, size_t position, const json_t *row)
{
	static const char *const members[] = {
	    "network", "contract", "symbol", "name", "version", NULL};
	struct address contract;
	uint64_t chain_id;
	char path[64];
	const char *name;
	json_t *value;

	snprintf(path, sizeof path, "assets[%zu]", position);
	if (!json_is_object(row))
		return fail(error, path, "must be an object");
	for (size_t i = 0; members[i]; i++) {
		if (!json_str(row, members[i]) || !*json_str(row, members[i]))
			return fail(error, path, "needs \"%s\", a string", members[i]);
	}
	json_object_foreach ((json_t *)(uintptr_t)row, name, value) {
		size_t i = 0;

		while (members[i] && strcmp(members[i], name) != 0)
			i++;
		if (!members[i])
			return fail(error, path,
			    "holds a key that is none of network, contract, symbol, name, version");
	}
	if (!network_parse(&chain_id, json_str(row, "network")))
		return fail(error, path, "network must be a CAIP-2 name such as eip155:8453");
	if (!address_parse(&contract, json_str(row, "contract")) || address_is_zero(&contract))
		return fail(error, path, "contract is not an address, or its checksum is wrong");
	return true;
}

static bool check(const struct config *config, struct json_error *error)
{
	enum log_level level;
	uint64_t chain_id;

	if (!log_level_parse(&level, config->log_level))
		return fail(error, "log_level", "must be error, warn, info or debug");
	if (!network_parse(&chain_id, config->default_network))
		return fail(error, "default_network", "must be a CAIP-2 name such as eip155:8453");
	if (*config->anchor_webhook && strncmp(config->anchor_webhook, "https://", 8) != 0 &&
	    strncmp(config->anchor_webhook, "http://", 7) != 0)
		return fail(error, "anchor_webhook", "must be a URL: https://… or http://…");
	if (*config->tls_certificate && !*config->tls_key)
		return fail(error, "tls_certificate", "needs tls_key, its key");
	if (*config->tls_key && !*config->tls_certificate)
		return fail(error, "tls_key", "needs tls_certificate, its certificate");
	if (!*config->anchor_file)
		return fail(error, "anchor_file", "must name a file");
	for (size_t i = 0; i < json_array_size(config->assets); i++) {
		if (!check_asset(error, i, json_array_get(config->assets, i)))
			return false;
	}
	return true;
}

bool config_read(struct config *out, struct json_error *error, const char *text, size_t size)
{
	const char *names[KEY_COUNT + 1];
	struct config config;
	const char *name;
	json_t *value;
	json_t *root = json_read(error, text, size, CONFIG_SIZE_MAX);
	bool ok = false;

	if (!root)
		return false;
	config_init(&config);
	memset(error, 0, sizeof *error);
	for (size_t i = 0; i < KEY_COUNT; i++)
		names[i] = keys[i].name;
	names[KEY_COUNT] = NULL;
	if (!json_is_object(root)) {
		fail(error, "", "the configuration must be a JSON object");
		goto out;
	}
	json_object_foreach (root, name, value) {
		const struct key *key = key_find(name);
		const char *nearest;

		if (!key) {
			nearest = json_nearest(name, names);
			fail(error, name, "unknown key%s%s%s", nearest ? "; did you mean \"" : "",
			    nearest ? nearest : "", nearest ? "\"?" : "");
			goto out;
		}
		if (!set(&config, error, key, value))
			goto out;
	}
	ok = check(&config, error);
out:
	if (!ok && error->line == 0)
		error->line = json_line(text, size, error->path);
	json_decref(root);
	if (ok)
		*out = config;
	else
		config_fini(&config);
	return ok;
}

static json_t *value_of(const struct config *config, const struct key *key)
{
	json_t *value = NULL;

	switch (key->type) {
	case KEY_STRING:
		value = json_string(*(char **)field(config, key));
		break;
	case KEY_INTEGER:
		value = json_integer(*(int64_t *)field(config, key));
		break;
	case KEY_ARRAY:
		value = json_incref(*(json_t **)field(config, key));
		break;
	}
	must(value != NULL);
	return value;
}

static void tell_change(
    const struct key *key, json_t *before, json_t *after, config_change_fn *each, void *arg)
{
	char *old_text = json_dumps(before, JSON_COMPACT | JSON_ENCODE_ANY);
	char *new_text = json_dumps(after, JSON_COMPACT | JSON_ENCODE_ANY);

	must(old_text && new_text);
	each(key->name, key->secret ? NULL : old_text, key->secret ? NULL : new_text, key->at_start,
	    arg);
	free(old_text);
	free(new_text);
}

void config_changes(
    const struct config *before, const struct config *after, config_change_fn *each, void *arg)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		json_t *old_value = value_of(before, &keys[i]);
		json_t *new_value = value_of(after, &keys[i]);

		if (!json_equal(old_value, new_value))
			tell_change(&keys[i], old_value, new_value, each, arg);
		json_decref(old_value);
		json_decref(new_value);
	}
}

void config_keep_started(struct config *config, const struct config *started)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		struct json_error unused;
		json_t *value = value_of(started, &keys[i]);

		/* It was accepted once. */
		if (keys[i].at_start)
			must(set(config, &unused, &keys[i], value));
		json_decref(value);
	}
}

void config_dump(struct buf *out, const struct config *config)
{
	json_t *root = json_object();
	char *text;

	must(root != NULL);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		must(json_object_set_new(root, keys[i].name, value_of(config, &keys[i])) == 0);
	}
	text = json_dumps(root, JSON_INDENT(2));
	must(text != NULL);
	buf_add_str(out, text);
	buf_add_str(out, "\n");
	free(text);
	json_decref(root);
}

void config_each_key(config_key_fn *each, void *arg)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *key = &keys[i];
		char value[32], bounds[64] = "";
		const char *type = key->type == KEY_STRING    ? "string"
				   : key->type == KEY_INTEGER ? "integer"
							      : "array";

		snprintf(value, sizeof value, "%lld", (long long)key->default_integer);
		if (key->type == KEY_INTEGER)
			snprintf(bounds, sizeof bounds, "%lld..%lld", (long long)key->min,
			    (long long)key->max);
		each(key->name, type, key->unit,
		    key->type == KEY_INTEGER ? value : key->default_text, bounds, key->help, arg);
	}
}
