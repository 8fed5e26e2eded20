/* proxy/anchors.h - the installation's signature under where its books stand.
 *
 * Joins what ledger/anchor.h and ledger/proof.h say about rows with the key that speaks
 * for the installation (KEYSTORE_INSTALLATION), and keeps the anchor file. When an anchor is
 * made is the caller's affair: herald.h on the daemon's main loop, `dispute` when it needs
 * one. Nothing here stops a payment: what goes wrong is an error in the log, in `doctor`
 * and in every dispute, until it is put right.
 *
 * The file is the one named by anchor_file. It is made (0600) with the installation's key;
 * one that is gone later is an error, and a new one is begun at the first row. */
#ifndef PROXY_ANCHORS_H
#define PROXY_ANCHORS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"
#include "ledger/anchor.h"
#include "ledger/witness.h"
#include "wallet/address.h"

struct anchors;
struct house;

#define ANCHORS_REASON_SIZE 512u
/* Lines that wait to be told to others; a day of one a minute is 1,440. */
#define ANCHORS_WAITING_MAX 1024u

/** anchors_new - the key, made when there is none. Never NULL: without a key no anchor is
 * made, and anchors_make() says why. house: opened as far as configuration, store, keystore;
 * outlives the anchors. */
struct anchors *anchors_new(struct house *house);
void anchors_free(struct anchors **anchors);

/** The installation's address; false when its key cannot be used. */
bool anchors_installation(struct address *out, const struct anchors *anchors) MUST_CHECK;

enum anchors_result {
	ANCHORS_MADE = 0,    /* a line is on disk */
	ANCHORS_MORE = 1,    /* the same, and more rows wait for another */
	ANCHORS_NOTHING = 2, /* no row since the newest */
	ANCHORS_FAILED = 3,  /* reason says what to do; logged when it is another than before */
};
/** anchors_make - one anchor for the rows committed so far, at most ANCHOR_ROWS_MAX a chain.
 * Blocks on the disk. Any thread. */
enum anchors_result anchors_make(
    struct anchors *anchors, char reason[ANCHORS_REASON_SIZE], int64_t now_us) MUST_CHECK;

/** Sentences for `doctor`, looking at the file and changing nothing. False: not in order. */
bool anchors_check(struct anchors *anchors, char detail[ANCHORS_REASON_SIZE]);

/** What `ledger verify` holds the rows against. Returns the path that *out names, for the
 * caller to free afterwards. */
char *anchors_witness(struct witness_options *out, const struct anchors *anchors) MUST_CHECK;
/** Is text signed (EIP-191) by that address, written as EIP-55? For witness_options; arg is
 * not looked at. */
bool anchors_signed_by(
    void *arg, const char *installation, const char *text, size_t size, const char *signature);

/** The path of the anchor file that is in force; the caller frees it. */
char *anchors_path(const struct anchors *anchors);

/* Lines for others. Kept from anchors_listen() on; past ANCHORS_WAITING_MAX the oldest go, each
 * line standing for those before it. */
void anchors_listen(struct anchors *anchors);
/** The oldest line not taken yet; NULL when there is none. The caller frees it. */
char *anchors_take(struct anchors *anchors);

#endif
