/* proxy/delivery.h - was what came what was paid for?
 *
 * A tool may have a check, written by the owner as JSON and stored with the tool:
 *
 *   {"status": "2xx" | [200, …],      default "2xx"
 *    "contentType": "application/json" | "text/" with a star behind it,
 *    "minBytes": N,                    of the body, decompressed
 *    "schema": {…}}                    common/schema.h
 *
 * Without one, an answer is delivered when its status is 2xx and all of it came. Whatever a
 * check says, the agent gets the answer as it is. */
#ifndef PROXY_DELIVERY_H
#define PROXY_DELIVERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"
#include "common/must.h"
#include "proxy/headers.h"

/* A file written by hand; schemas of large APIs are some 20 KiB. */
#define DELIVERY_CHECK_SIZE_MAX (64u * 1024u)
#define DELIVERY_STATUSES_MAX   32u
/* Of a body that is read for a schema, whatever the configuration allows: 1 MiB of numbers
 * takes some 60 ms, in which the worker does nothing else. */
#define DELIVERY_BODY_MAX (1024u * 1024u)
/* So that a check cannot ask for decompressing without an end: 1 TiB. */
#define DELIVERY_BYTES_MAX (INT64_C(1) << 40)

/* --- the check of a tool: immutable ------------------------------------------------- */

struct delivery_check;

/** The setting it is stored under (ledger/store.h), "delivery/" and the tool's name; the caller
 * frees it. A body that is empty stands for none. */
char *delivery_check_name(const char *tool);
/** NULL with *error filled: path, line, the nearest known key. */
struct delivery_check *delivery_check_parse(
    struct json_error *error, const char *text, size_t size) MUST_CHECK;
/** Accepts NULL inside. */
void delivery_check_free(struct delivery_check **check);
/** As it was written, as one JSON object; a new reference. */
json_t *delivery_check_json(const struct delivery_check *check);
/** Does it ask what is in the body? Then codings we cannot undo must not be asked for. */
bool delivery_check_reads(const struct delivery_check *check);

/* --- one answer --------------------------------------------------------------------- */

struct delivery;

/** delivery_new - at the head of an answer.
 *
 * In   check     NULL: the default; must outlive the delivery
 *      head      the request was HEAD: there is no body to ask about
 *      size_max  bytes of the body, decompressed, that are kept for a schema, and
 *                DELIVERY_BODY_MAX at most; a larger one cannot be checked, and counts as
 *                not delivered */
struct delivery *delivery_new(const struct delivery_check *check, bool head, int status,
    const struct headers *headers, size_t size_max);
/** Accepts NULL inside. */
void delivery_free(struct delivery **delivery);

/** A piece of the body. Nothing is kept or decompressed unless the check asks for it. */
void delivery_add(struct delivery *delivery, const void *bytes, size_t size);
/** The body has ended; whole: as it should have. Once. */
void delivery_end(struct delivery *delivery, bool whole);

/** NULL: nothing speaks against it (so far). Else one printable sentence without a final
 * point; borrowed. */
const char *delivery_fault(const struct delivery *delivery);
/** All of it came, and nothing speaks against it. */
bool delivery_done(const struct delivery *delivery);

#endif
