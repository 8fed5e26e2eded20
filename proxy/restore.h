/* proxy/restore.h - a data folder from a backup (proxy/backup.h).
 *
 * The archive is hostile until proved: only regular files, only names of proxy/manifest.h, in
 * the manifest's order, each exactly as long as said there and with that digest; written into
 * a new folder beside the wanted one. Then configuration and default policy must parse, and
 * every row of the ledger is verified and must end at the manifest's heads. Only then does
 * the folder get its name. What is there already is never touched.
 *
 * An archive that somebody made anew, digests and all, is not found out by this: compare the
 * heads with ones kept elsewhere. */
#ifndef PROXY_RESTORE_H
#define PROXY_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"
#include "proxy/manifest.h"

enum restore_result {
	RESTORE_OK = 0,
	RESTORE_NOT_FOUND = 1, /* no such archive */
	RESTORE_EXISTS = 2,    /* the folder holds something already */
	RESTORE_BAD = 3,       /* not a backup, damaged, or tampered with */
	RESTORE_FAILED = 4,    /* disk */
};

struct restored {
	struct manifest manifest;
	char *passphrase_file; /* where the restored configuration looks for it */
	bool passphrase_there; /* it has been restored to that place */
	char *anchor_file;     /* where the anchors were put, or NULL: none in the backup */
	bool anchors_apart;    /* the configuration names another file for them */
};

/** restore_run - make the folder dir, which is not there or empty, from the archive file.
 *
 * Returns  RESTORE_OK  *out is filled; restored_fini() frees it
 *          else        reason, one sentence; nothing is left behind, *out is untouched
 * Blocks for as long as writing and verifying the ledger take. */
enum restore_result restore_run(
    struct restored *out, char reason[512], const char *file, const char *dir) MUST_CHECK;
void restored_fini(struct restored *restored);

#endif
