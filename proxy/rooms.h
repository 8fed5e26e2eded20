/* proxy/rooms.h - the inside of a house, for proxy/ alone.
 *
 * Owned by the house; made by house_open(), gone with house_close(). Everything here is
 * safe to use from every worker: immutable, or behind its own lock. */
#ifndef PROXY_ROOMS_H
#define PROXY_ROOMS_H

#include <stdatomic.h>

#include "ledger/purse.h"
#include "ledger/store.h"
#include "proxy/config.h"
#include "proxy/house.h"
#include "proxy/idempotency.h"
#include "proxy/outlook.h"
#include "proxy/outstanding.h"
#include "proxy/quote.h"
#include "proxy/registry.h"
#include "proxy/token.h"
#include "proxy/watch.h"
#include "wallet/asset.h"
#include "wallet/keystore.h"

struct anchors;
struct historian;
struct tls;

/* Where the windows of limits begin, as of the start: proxy/load.c. */
#define HOUSE_BORDERS 4

struct house {
	char *dir;
	char *who;                       /* for the audit of owner's acts */
	char *passphrase_file;           /* where the passphrase was read */
	_Atomic(struct config *) config; /* what is in force; read through house_config() */
	struct config *configs;          /* every one read since the start: a call may still read
					  * an older one */
	struct store *store;
	struct keystore *keystore;
	struct assets *assets;
	struct purses *purses;
	int64_t past_end_us; /* an id: what was called before it is an agent's past */
	int64_t past_borders_us[HOUSE_BORDERS];
	struct registry *registry;
	struct quotes *quotes;
	struct idempotency *idempotency;
	struct outstanding *outstanding;
	struct watch *watch;
	struct outlook *outlook;
	struct anchors *anchors;
	struct historian *historian; /* agents' pasts; see past_end_us */
	struct tls *tls; /* what the listeners show */
	atomic_bool stopping; /* the daemon ends: a command that waits for a chain stops waiting */
	uint8_t token_secret[TOKEN_SECRET_SIZE];
};

/* The setting under which the ledger keeps each text that DIR/policy.json has had in force. */
#define HOUSE_SETTING_DEFAULT_POLICY "default_policy"

/** The configuration in force; stays valid until the house is closed. Ask again for each
 * call: SIGHUP may have changed it. */
static inline const struct config *house_config(const struct house *house)
{
	return atomic_load_explicit(&house->config, memory_order_acquire);
}

/** The end of house_open(), in two parts, which tests that restart often call by themselves: to
 * open the keystore is slow on purpose.
 *   house_furnish  the rooms in memory, empty; the configuration is there
 *   house_load     what the open store remembers into them; first what the last stop left
 *                  behind is written. Returns what house_open() does
 * And of house_close() one, which undoes the first:
 *   house_clear    the rooms in memory are gone; nobody is in them. Without them: nothing */
void house_furnish(struct house *house);
void house_clear(struct house *house);
enum house_result house_load(struct house *house, char reason[512], int64_t now_us) MUST_CHECK;

/** Write why into reason, and return result. */
enum house_result house_say(char reason[512], enum house_result result, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** Asset ↔ purse slot: 0 is off-chain, table position + 1 else. */
unsigned house_slot(const struct house *house, const struct asset *asset);
/** By the journal's words ("eip155:84532", "0x…"); NULL slot out of the table: false. */
bool house_slot_of(
    unsigned *out, const struct house *house, const char *network, const char *asset) MUST_CHECK;

/** May a new payment be signed now? False with reason: the store is broken, the clock was
 * stepped and is not believed yet (clock_check), or it is behind the newest row. */
bool house_ready(struct house *house, char reason[256]) MUST_CHECK;
/** The clock's part of it. */
bool house_clock_ready(struct house *house, char reason[256]) MUST_CHECK;

#endif
