/* wallet/challenges.h - challenges read lately, found again by their exact bytes.
 *
 * A seller asks for the same in the same words until its price changes, and what challenge_parse()
 * makes of a header is a function of the header's bytes alone: no clock, no policy, no setting has
 * a part in it. So a header that is byte for byte one that was read before is not read again.
 * Whether anything in it may be paid, now and by this agent, is decided for each call as before
 * (wallet/choice.h).
 *
 * Bounded: the challenge that was asked for longest ago makes room, and headers above
 * CHALLENGES_HEADER_MAX, bodies, and whatever is refused are not kept at all. What a caller could
 * learn from the time that reading takes is that some call through this thread met the same
 * challenge lately.
 *
 * One of these, and all that came out of it, belongs to one thread. */
#ifndef WALLET_CHALLENGES_H
#define WALLET_CHALLENGES_H

#include "wallet/challenge.h"

/* Twice what real ones take. As a tree, text of this size can come to 100 KiB. */
#define CHALLENGES_HEADER_MAX 4096u

struct challenges;

/** count_max: 1 or more. */
struct challenges *challenges_new(size_t count_max);
/** What callers still hold stays theirs. */
void challenges_free(struct challenges **challenges);

/** As challenge_parse(), in every result; *out is the caller's to challenge_free(). It may be
 * another caller's as well, so that nothing but the `echo` of an option is ever changed in it. */
enum challenge_result challenges_read(struct challenge **out, struct challenges *challenges,
    char reason[256], const char *const *headers, size_t header_count, const char *body,
    size_t body_size) MUST_CHECK;

#endif
