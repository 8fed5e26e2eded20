#include "wallet/challenges.h"

#include <stdlib.h>
#include <string.h>

#include "common/table.h"

struct kept_challenge {
	char *header;
	struct challenge *challenge;
	UT_hash_handle hh;
};

struct challenges {
	struct kept_challenge *table; /* in the order used: the first, longest ago */
	struct kept_challenge *youngest;
	size_t count_max;
};

struct challenges *challenges_new(size_t count_max)
{
	struct challenges *challenges = must_calloc(1, sizeof(*challenges));

	must(count_max > 0);
	challenges->count_max = count_max;
	return challenges;
}

static void forget(struct challenges *challenges, struct kept_challenge *kept)
{
	HASH_DEL(challenges->table, kept);
	if (challenges->youngest == kept)
		challenges->youngest = NULL;
	challenge_free(&kept->challenge);
	free(kept->header);
	free(kept);
}

void challenges_free(struct challenges **challenges)
{
	struct kept_challenge *kept, *next;

	if (*challenges == NULL)
		return;
	HASH_ITER (hh, (*challenges)->table, kept, next)
		forget(*challenges, kept);
	free(*challenges);
	*challenges = NULL;
}

/* The one that gave the same bytes, now the youngest; NULL: none. */
static struct challenge *recall(struct challenges *challenges, const char *header, size_t length)
{
	struct kept_challenge *kept = challenges->youngest;
	unsigned hash;

	/* Hashed, a header costs forty times as much as compared. */
	if (kept != NULL && kept->hh.keylen == length && memcmp(kept->header, header, length) == 0)
		return kept->challenge;
	HASH_VALUE(header, length, hash);
	HASH_FIND_BYHASHVALUE(hh, challenges->table, header, length, hash, kept);
	if (kept == NULL)
		return NULL;
	HASH_DEL(challenges->table, kept);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, challenges->table, kept->header, length, hash, kept);
	challenges->youngest = kept;
	return kept->challenge;
}

static void keep(
    struct challenges *challenges, const char *header, size_t length, struct challenge *challenge)
{
	struct kept_challenge *kept;

	if (HASH_COUNT(challenges->table) >= challenges->count_max)
		forget(challenges, challenges->table);
	kept = must_calloc(1, sizeof(*kept));
	kept->header = must_strndup(header, length);
	kept->challenge = challenge_hold(challenge);
	HASH_ADD_KEYPTR(hh, challenges->table, kept->header, length, kept);
	challenges->youngest = kept;
}

enum challenge_result challenges_read(struct challenge **out, struct challenges *challenges,
    char reason[256], const char *const *headers, size_t header_count, const char *body,
    size_t body_size)
{
	size_t length = header_count == 1 ? strlen(headers[0]) : 0;
	bool keepable = header_count == 1 && length <= CHALLENGES_HEADER_MAX;
	struct challenge *known = keepable ? recall(challenges, headers[0], length) : NULL;
	enum challenge_result result;

	if (known != NULL) {
		*out = challenge_hold(known);
		return CHALLENGE_OK;
	}
	result = challenge_parse(out, reason, headers, header_count, body, body_size);
	if (result == CHALLENGE_OK && keepable)
		keep(challenges, headers[0], length, *out);
	return result;
}
