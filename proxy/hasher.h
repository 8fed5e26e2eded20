/* proxy/hasher.h - the digests of answers' bodies, the large ones on a thread of their own.
 *
 * What is small a worker hashes where it stands: to hand it over would cost more. Of a large body
 * that would be nearly half of its time, and nobody who waits for the answer needs the digest. So
 * behind the first HASHER_INLINE_MAX bytes of a body the worker copies what comes into blocks and
 * sends it on, and a thread beside it hashes the blocks, each body's in their order. A hashing is
 * at any time either the worker's or, while blocks of it are under way, the thread's.
 *
 * The blocks are the bound: while HASHER_BLOCKS_MAX are under way there is no room, and whoever
 * has more waits, as it does for an agent that reads slowly. So the memory for it stays at one and
 * a half mebibytes a worker, however many bodies there are and however late the thread gets a
 * processor.
 *
 * One hasher a worker. All functions are the worker's thread's, on which the callbacks come too,
 * as a note. */
#ifndef PROXY_HASHER_H
#define PROXY_HASHER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/digest.h"
#include "common/must.h"

struct mailbox;
struct hasher;
struct hashing;

/* A body's first bytes, hashed by the worker in an eighth of a millisecond, which is what one and
 * hand-over costs the two threads at most. */
#define HASHER_INLINE_MAX (256u * 1024u)
/* What a block holds; with its head 64 KiB, which is what is read from a seller at once. */
#define HASHER_BLOCK_SIZE (64u * 1024u - 64u)
#define HASHER_BLOCKS_MAX 24u

struct hashing_events {
	/* There is room again, which hashing_room() had denied. */
	void (*room)(void *arg);
	/* hashing_end() had returned false: the digest is known now. */
	void (*done)(void *arg);
};

/** Starts the thread. Never NULL. */
struct hasher *hasher_new(struct mailbox *mailbox);
/** Ends the thread; after this it posts no note, so the mailbox may go. Once. */
void hasher_stop(struct hasher *hasher);
/** Stopped, without a hashing, and after its mailbox. */
void hasher_free(struct hasher **hasher);

/** hashing_new - the digest of one body, nothing added yet. arg goes to the callbacks. */
struct hashing *hashing_new(struct hasher *hasher, const struct hashing_events *events, void *arg);
/** May more be added now? False: `room` comes when it may. */
bool hashing_room(struct hashing *hashing) MUST_CHECK;
/** The next piece, which is copied or hashed before this returns. Always taken; that memory is
 * bounded is hashing_room()'s, asked before each. */
void hashing_add(struct hashing *hashing, const void *bytes, size_t size);
/** No more comes. True: the digest is known; false: `done` comes. Once. */
bool hashing_end(struct hashing *hashing) MUST_CHECK;
/** Once it is known. */
struct digest hashing_digest(const struct hashing *hashing);
/** At any time; no callback comes after it. Accepts NULL inside. */
void hashing_free(struct hashing **hashing);

#endif
