/* policy/draft.h - a policy while it is read, and where exactly its text is wrong.
 *
 * Internal to policy/. What an object may hold is a table of keys; an unknown key
 * is refused with the nearest known one. */
#ifndef POLICY_DRAFT_H
#define POLICY_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/spot.h"
#include "policy/limit.h"
#include "policy/policy.h"

/* What has been read so far, and the text it is read from. */
struct draft {
	struct json_error *error;
	const char *text; /* the file, to find lines in */
	size_t size;
	struct policy *policy;
	size_t rule_capacity;
	size_t limit_capacity;
	struct limit limit; /* the limit being read in the full form */
};

/* One key an object may hold; a table of them ends with a NULL name. */
struct draft_key {
	const char *name;
	bool (*read)(struct draft *draft, const struct spot *at, json_t *value,
	    const struct draft_key *key);
	enum limit_scope scope; /* the limit a short-form key stands for */
	enum window window;
};

#define DRAFT_KEYS_MAX 32

/* Each of these returns false after filling draft->error; out is then untouched. */

/** Always false, so that a caller can return it. */
bool draft_fail(struct draft *draft, const struct spot *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
/** "WHAT \"WORD\"; did you mean …": word is not one of candidates (NULL-terminated). */
bool draft_fail_unknown(struct draft *draft, const struct spot *at, const char *what,
    const char *word, const char *const *candidates);

/** Every member of an object, in the order written, by its key's read(). */
bool draft_object(struct draft *draft, const struct spot *at, json_t *value,
    const struct draft_key *keys) MUST_CHECK;
bool draft_is_array(struct draft *draft, const struct spot *at, const json_t *value)
    MUST_CHECK;
/** A string of 1 to POLICY_WORD_SIZE_MAX bytes without control characters. Borrowed. */
bool draft_text(struct draft *draft, const struct spot *at, const char **out,
    const json_t *value) MUST_CHECK;
/** An integer of 0 or more; what is counted is named in errors ("cents"). */
bool draft_count(struct draft *draft, const struct spot *at, int64_t *out,
    const json_t *value, const char *what) MUST_CHECK;
/** Micro-dollars from decimal dollars in a string, and from whole cents. */
bool draft_dollars(struct draft *draft, const struct spot *at, int64_t *out,
    const json_t *value) MUST_CHECK;
bool draft_cents(struct draft *draft, const struct spot *at, int64_t *out,
    const json_t *value) MUST_CHECK;
bool draft_flag(struct draft *draft, const struct spot *at, bool *out, const json_t *value)
    MUST_CHECK;

#endif
