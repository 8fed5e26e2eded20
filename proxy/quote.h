/* proxy/quote.h - what an endpoint asked for last: a hint for the size of a hold.
 *
 * An endpoint is (tool, method, path without query). Only a hint: the exact price replaces it
 * before anything is signed, so a forgotten or a wrong entry costs a wait, never money.
 * Bounded: when full, the entry that was noted longest ago goes. */
#ifndef PROXY_QUOTE_H
#define PROXY_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

struct quotes;

struct quotes *quotes_new(size_t count_max);
void quotes_free(struct quotes **quotes);

/* Agents choose paths, so an endpoint is known by a digest: one size whatever they send. */
struct quote_key {
	uint8_t bytes[16];
};
/** A call makes it once, for both of what follows. */
struct quote_key quote_key(const char *tool, const char *method, const char *path);

/** micros 0: the last answer was free. */
void quotes_note(struct quotes *quotes, const struct quote_key *key, int64_t micros);
/** False when this endpoint has not been seen. */
bool quotes_last(
    int64_t *out_micros, struct quotes *quotes, const struct quote_key *key) MUST_CHECK;

#endif
