/* proxy/dispute.h - everything known about one call, for somebody who has only that.
 *
 * A bundle is one JSON file. doc/dispute.md describes it for those who check it with other
 * tools; in short:
 *
 *   rows       the ledger's rows about the call, with everything their hashes cover, and for
 *              each the path to the Merkle root of an anchor
 *   anchors    those anchors, line by line as in the anchor file
 *   facts      what the rows say, for people; a pure function of them (dispute_facts.c), which
 *              the checker computes again, so that it cannot say anything else
 *   signature  the installation's, over every byte before it
 *
 * Making needs the house; checking needs the file alone. */
#ifndef PROXY_DISPUTE_H
#define PROXY_DISPUTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

struct house;

/* A policy is at most 1 MiB, a challenge 64 KiB, and both stand in the rows and in the facts, with
 * each quote in them escaped. */
#define DISPUTE_SIZE_MAX (16u * 1024u * 1024u)
/* Brackets and commas in the whole file, those in texts as well: each may be a value, and a
 * value in memory is a hundred bytes for two in the file. */
#define DISPUTE_MARKS_MAX   (1u << 20)
#define DISPUTE_REASON_SIZE 600u

enum dispute_result {
	DISPUTE_OK = 0,
	DISPUTE_NOT_FOUND = 1, /* no row is about such a call */
	DISPUTE_FAILED = 2,    /* reason says what to do */
};

/** dispute_make - the bundle of a call, signed; the caller frees *out. Rows that no anchor
 * covers yet get one first. It has been checked as dispute_check() does when it is given out.
 * Blocks on the disk, and reads all of the record; any thread. */
enum dispute_result dispute_make(char **out, char reason[DISPUTE_REASON_SIZE], struct house *house,
    int64_t call, int64_t now_us) MUST_CHECK;

struct dispute_options {
	const char *installation; /* EIP-55; must have signed it; NULL: whoever did */
	const char *anchors;      /* path of a copy of the anchor file, or lines of it, that
				   * was kept elsewhere: it must hold the bundle's; NULL */
};

/** dispute_check - is a bundle what it says, by itself?
 *
 * Returns an object, never NULL, the caller decrefs it:
 *   {ok, format, call, installation, anchors: [{anchor, time}],
 *    checks: [{check, ok, detail}], problems: […], proves: […], cannot_prove: […], facts}
 * call, installation and facts are null when the file is too bad to tell; proves is empty
 * unless ok. Takes any bytes. */
json_t *dispute_check(const char *text, size_t size, const struct dispute_options *options);

#endif
