/* proxy/house.h - one data folder, opened: the four rooms together.
 *
 * DIR/tallyward.json  configuration          DIR/passphrase   random, 0600
 * DIR/token.key       HS256 secret, 0600     DIR/keys/        the keystore
 * DIR/policy.json     default policy         DIR/ledger.db    the store (DIR/lock beside it)
 * DIR/admin.sock      the running daemon */
#ifndef PROXY_HOUSE_H
#define PROXY_HOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

enum house_result {
	HOUSE_OK = 0,
	HOUSE_NOT_FOUND = 1, /* no data folder there: run init */
	HOUSE_EXISTS = 2,    /* init: there is one already */
	HOUSE_LOCKED = 3,    /* another process holds the store */
	HOUSE_BAD_CONFIG = 4,
	HOUSE_BAD_KEYS = 5, /* passphrase, keystore or token secret unreadable or unsafe */
	HOUSE_BROKEN = 6,   /* disk, store */
};

struct config;
struct house;

struct house_options {
	const char *dir;
	const char *passphrase_file; /* NULL: as configured; a systemd credential named
				      * "passphrase" ($CREDENTIALS_DIRECTORY) wins over both */
	const char *command;         /* for the audit of owner's acts: "cli", "admin socket" */
	/* Called when the configuration is known and nothing else has been opened; false with
	 * reason keeps the house closed (HOUSE_BROKEN). NULL: nothing to do. */
	bool (*configured)(const struct config *config, char reason[512], void *arg);
	void *configured_arg;
};

/** house_init - make a data folder. Never touches one that exists, which is one that has a
 * tallyward.json; goes on with one that an init before it could not complete. */
enum house_result house_init(char reason[512], const struct house_options *options) MUST_CHECK;
/** house_open - lock, migrate, unwrap the data key, rebuild the purses. Slow on purpose
 * by the passphrase's scrypt (about 0.3 s). */
enum house_result house_open(
    struct house **out, char reason[512], const struct house_options *options) MUST_CHECK;
void house_close(struct house **house);

/** Where the daemon of a data folder listens for commands; the caller frees it. */
char *house_socket_path(const char *dir);

#endif
