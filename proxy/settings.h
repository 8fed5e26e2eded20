/* proxy/settings.h - the two files of a data folder that its owner edits, read together:
 * DIR/tallyward.json and DIR/policy.json. Both are whole and right, or nothing is given out. */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include "policy/policy.h"
#include "proxy/config.h"

enum settings_result {
	SETTINGS_OK = 0,
	SETTINGS_NOT_FOUND = 1, /* no tallyward.json there: not a data folder */
	SETTINGS_UNREADABLE = 2,
	SETTINGS_BAD = 3, /* what it says is wrong */
};

struct settings {
	struct config *config; /* on the heap */
	char *policy_text;     /* of the default policy, as written */
	struct policy *policy;
};

/* Where and what; line 0 and path "" when the file as a whole is meant. */
struct settings_error {
	char file[256]; /* cut when longer */
	struct json_error at;
};

/** settings_read - both files of dir.
 *
 * Returns SETTINGS_OK  *out is filled; settings_fini() gives back what the caller has not
 *                      taken out of it (taken: set to NULL)
 *         else         *error says why, *out is untouched */
enum settings_result settings_read(
    struct settings *out, struct settings_error *error, const char *dir) MUST_CHECK;
void settings_fini(struct settings *settings);

#endif
