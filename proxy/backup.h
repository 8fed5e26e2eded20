/* proxy/backup.h - everything a data folder needs in one file, while it is being used.
 *
 * The archive (proxy/manifest.h) is written under another name beside FILE, synced, and then
 * given its name, so that a FILE that is there is whole. It is 0600: token.key is in it, and
 * whoever has that can be any agent of a daemon he can reach; the agents' keys are in it under
 * the passphrase, and the passphrase only when asked for.
 *
 * What belongs together is of one moment: the anchors and the head first, then the ledger,
 * which is a consistent copy, then its agents' keys; when a key was changed meanwhile it is
 * done again. The copy is verified from its first row before the archive is written. */
#ifndef PROXY_BACKUP_H
#define PROXY_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"
#include "proxy/manifest.h"

struct house;

enum backup_result {
	BACKUP_OK = 0,
	BACKUP_BAD_PATH = 1, /* not absolute, or ends in a slash */
	BACKUP_EXISTS = 2,   /* there is something of that name */
	BACKUP_FAILED = 3,   /* disk, or what was read is not whole */
};

/** backup_write - blocks on the disk, for as long as copying and verifying the ledger take;
 * any thread; calls go on.
 *
 * Returns  BACKUP_OK  FILE is there, durable; *out says what is in it (manifest_fini)
 *          else       reason, one sentence; nothing is left behind, *out is untouched
 * In       file             absolute path
 *          with_passphrase  the archive alone is then enough to spend */
enum backup_result backup_write(struct manifest *out, char reason[512], struct house *house,
    const char *file, bool with_passphrase) MUST_CHECK;

#endif
