/* proxy/outlook.h - how the last look at each chain went, for `doctor` and the metrics.
 *
 * Written by the reconciler, read by whoever asks; one lock. */
#ifndef PROXY_OUTLOOK_H
#define PROXY_OUTLOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/chain.h"

struct outlook;

#define OUTLOOK_REASON_SIZE 256u

struct outlook_row {
	char network[ASSET_NETWORK_SIZE];
	enum chain_result result;
	char reason[OUTLOOK_REASON_SIZE]; /* "" when OK */
	int64_t since_us;                 /* it has been so since then */
	int64_t at_us;                    /* of the last look */
};

struct outlook *outlook_new(void);
void outlook_free(struct outlook **outlook);

/** True: the result is another than before (the first one, unless it is OK, too): worth a
 * line in the log. */
bool outlook_note(struct outlook *outlook, const char *network, enum chain_result result,
    const char *reason, int64_t now_us);
/** No look is taken there any more. */
void outlook_forget(struct outlook *outlook, const char *network);

/** False: no look has been taken. */
bool outlook_of(struct outlook_row *out, struct outlook *outlook, const char *network) MUST_CHECK;
/** Each is called with the lock held and must not ask the outlook. */
typedef void outlook_each_fn(const struct outlook_row *row, void *arg);
void outlook_each(struct outlook *outlook, outlook_each_fn *each, void *arg);

#endif
