/* proxy/comparison.h - one asset of a wallet: the books held against the chain.
 *
 * What the books say should be at the address, available and open, is held against the
 * balance at a block the endpoints agree on, `reconcile_depth` below their heads. What only
 * one of the two knows is asked for payment by payment, at the same depth, and booked by the
 * rules of proxy/booking.h where they allow it. What is left of the difference is nobody's
 * yet. The wallet may be in use meanwhile: then it is looked at again, a few times. Blocks on
 * the disk and the network. */
#ifndef PROXY_COMPARISON_H
#define PROXY_COMPARISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/chain_wait.h"
#include "proxy/rooms.h"

/* Receipts that the chain is asked about in one run, 16 questions: the newest, which may not
 * be in a block deep enough and then explain a difference, and the oldest, which are proved
 * run by run. */
#define COMPARISON_NEWEST_MAX 64u
#define COMPARISON_OLDEST_MAX 960u

struct comparison_list {
	int64_t *ids;
	size_t count, room;
};

struct comparison {
	/* asked */
	struct house *house;
	struct agent *agent;
	const struct asset *asset;
	struct address payer;
	struct chain_wait *wait;
	/* answered; amounts in micro-dollars */
	struct balance books;
	int64_t chain;
	struct chain_block block;
	int64_t endpoints;
	int64_t difference; /* chain - available - open, less what is in flight */
	bool steady;        /* nothing moved in the books while they were compared */
	/* In flight: open in the books, spent on the chain, not booked yet; and settled in the
	 * books, not yet in a block deep enough. */
	int64_t open_used, settled_ahead;
	size_t open_used_count, settled_ahead_count;
	size_t booked;   /* payments whose state changed */
	size_t proved;   /* ends that the chain confirmed */
	size_t unproved; /* receipts it has not been heard about */
	size_t disputed; /* payments it contradicts; disputed_one is the first */
	int64_t disputed_one;
	/* no answer */
	enum chain_result result;
	char reason[CHAIN_REASON_SIZE];
	/* inside */
	char payer_text[ADDRESS_TEXT_SIZE];
	int64_t depth, prove_until_us;
	struct comparison_list list, old;
	int64_t newest[COMPARISON_NEWEST_MAX]; /* a ring of unproved receipts */
	size_t receipts;
};

/** comparison_run - fill in what is answered. False: no answer, see result and reason. */
bool comparison_run(struct comparison *comparison) MUST_CHECK;
void comparison_fini(struct comparison *comparison);

/** The books of the asset as they are at this moment. */
struct balance comparison_books(const struct comparison *comparison);

#endif
