/* proxy/manifest.h - what is in a backup: the first member of the archive, and the list of
 * names that an archive may bring.
 *
 * A backup is a plain tar archive. Its first member is manifest.json, then come the others,
 * in the manifest's order, each with the size and SHA-256 said there:
 *
 *   tallyward.json  policy.json  token.key  keys/NAME…  ledger.db
 *   head       ledger/head.h                     when there is one
 *   anchors    the anchor file, wherever it was   when there is one
 *   passphrase                                   only when asked for
 *
 * {"format": "tallyward backup", "version": 1, "program": "0.1.0", "made_at": RFC 3339,
 *  "ledger": {"transactions": N, "audits": N, "head": hex, "audit_head": hex},
 *  "members": [{"name", "size", "sha256"}]} */
#ifndef PROXY_MANIFEST_H
#define PROXY_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"

#define MANIFEST_FILE "manifest.json"
/* One key file an agent; ten times the agents one machine has been tried with. */
#define MANIFEST_MEMBERS_MAX 65536u
/* A member with the longest name there may be takes 380 bytes. */
#define MANIFEST_SIZE_MAX (32u * 1024u * 1024u)

struct member {
	char *name;
	int64_t size;
	struct digest digest;
};

struct manifest {
	char *program; /* version that wrote it */
	int64_t made_us;
	int64_t transactions, audits;
	struct digest head, audit_head; /* of the ledger in it */
	struct member *members;
	size_t count;
};

/** The most bytes a member of this name may have; 0: no archive of ours holds such a name. */
int64_t member_size_max(const char *name);
/** Is it one of the agents' keys (keys/…)? */
bool member_is_key(const char *name);

void manifest_add(
    struct manifest *manifest, const char *name, int64_t size, const struct digest *digest);
/** Borrowed, or NULL. */
const struct member *manifest_find(const struct manifest *manifest, const char *name);
void manifest_fini(struct manifest *manifest);

/** The caller frees it. */
char *manifest_format(const struct manifest *manifest);
/** manifest_parse - from an archive nobody vouches for.
 *
 * False, with reason one sentence and *out untouched, unless everything is there, nothing
 * else is, every name is known and comes once, sizes are within member_size_max(), and what
 * a data folder cannot do without is among them. */
bool manifest_parse(
    struct manifest *out, char reason[256], const char *text, size_t size) MUST_CHECK;

#endif
