/* proxy/config.h - DIR/tallyward.json as data.
 *
 * One table (name, type, bounds, unit, default, help) in config.c gives the parser, the
 * file that `init` writes, `serve --dump-config` and the table in tallyward.json(5). */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"

struct config {
	struct config *next; /* the one read before it, see house_config() */
	char *listen;        /* agents' side, "127.0.0.1:8402" */
	char *admin;         /* health and metrics, "127.0.0.1:8403" */
	char *log_level;
	char *passphrase_file; /* relative to the data folder unless absolute */
	char *default_network; /* CAIP-2, for wallet deposit without --network */
	char *ca_file;         /* "" : the system's */
	char *tls_certificate; /* of the listeners, relative to the data folder unless absolute */
	char *tls_key;         /* likewise; both or neither, "": plain HTTP */
	char *temporary_dir;   /* request bodies too large for memory; "" : the data folder */
	char *user;           /* whom a daemon started as root becomes; "": it stays root */
	char *group;          /* "": the user's own */
	int64_t sandbox;      /* 0 or 1: filter system calls */
	json_t *assets;  /* owner's own rows: array of {network, contract, symbol, name, version} */
	int64_t workers; /* 0: one per core */
	int64_t busy_poll_us; /* a lone call's loop does not sleep for this long */
	int64_t token_ttl_s;
	int64_t connections_max; /* per worker */
	int64_t calls_max;       /* in flight, in all */
	int64_t waiting_max;     /* calls of one agent waiting for provisional holds */
	int64_t waiting_ms_max;
	int64_t body_memory_max; /* bytes of a request body kept in memory */
	int64_t body_size_max;
	int64_t challenge_size_max; /* body of a 402 */
	int64_t head_ms_max;
	int64_t idle_ms_max;
	int64_t body_idle_ms_max;
	int64_t connect_ms_max;
	int64_t response_ms_max;
	int64_t upstream_idle_ms_max;
	int64_t drain_ms_max;     /* graceful stop */
	int64_t idempotency_s;    /* how long a key is remembered */
	int64_t answer_size_max;  /* largest answer kept for an Idempotency-Key */
	int64_t answers_size_max; /* all of them together */
	int64_t rpc_ms_max;       /* one JSON-RPC request */
	int64_t chain_depth;      /* blocks on top before one is believed; -1: by network */
	int64_t chain_poll_ms;
	char *anchor_file; /* relative to the data folder unless absolute */
	int64_t anchor_s;
	char *anchor_webhook;  /* "": none */
	int64_t anchor_syslog; /* 0 or 1 */
};

/** Every value at its default. */
void config_init(struct config *config);
void config_fini(struct config *config);

/** config_read - defaults, then what the file says. False with *error (path, line, reason,
 * nearest known key) on an unknown key, a wrong type or a value out of bounds. */
bool config_read(
    struct config *out, struct json_error *error, const char *text, size_t size) MUST_CHECK;

/** The whole configuration as JSON, pretty-printed, all keys. */
void config_dump(struct buf *out, const struct config *config);

/** What a new configuration changes, key by key, in the order of the table; values as JSON,
 * NULL for one that may hold a secret. at_start: it takes effect at the next start only. */
typedef void config_change_fn(
    const char *name, const char *before, const char *after, bool at_start, void *arg);
void config_changes(
    const struct config *before, const struct config *after, config_change_fn *each, void *arg);
/** Gives the keys that take effect at a start only the values they had at the start. */
void config_keep_started(struct config *config, const struct config *started);

/** The table itself, for --help and the man page: calls each with name, type ("string",
 * "integer", "array"), unit, default and help. */
typedef void config_key_fn(const char *name, const char *type, const char *unit,
    const char *default_text, const char *bounds, const char *help, void *arg);
void config_each_key(config_key_fn *each, void *arg);

#endif
