/* common/schema.h - does a JSON value have the form that somebody wrote down?
 *
 * A subset of JSON Schema, with the meaning of draft 2020-12:
 *
 *   any value  type, enum, const, allOf, anyOf, oneOf, not, $ref; true and false as schemas
 *   objects    properties, required, additionalProperties, minProperties, maxProperties
 *   arrays     items (one schema for all), minItems, maxItems
 *   strings    minLength, maxLength (characters)
 *   numbers    minimum, maximum, exclusiveMinimum, exclusiveMaximum
 *
 * $ref takes "#/$defs/NAME" and "#/definitions/NAME", both at the top of the schema alone, and
 * may not lead back to itself. Words that say nothing about a value (title, description, default,
 * examples, $schema, $comment, …) are taken and have no effect. Every other keyword is
 * refused: one that was passed over would promise a check that is not made. `pattern`
 * among them, because JSON Schema's expressions are ECMAScript's and the C library's mean
 * other things by the same text; and `format`, which validators read differently.
 *
 * A schema is immutable and may be used by any number of threads. */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include <jansson.h>
#include <stddef.h>

#include "common/json.h"
#include "common/must.h"
#include "common/spot.h"

/* Schemas within one, $refs followed: how deep the stack gets. Answers nest a dozen deep,
 * and a level takes two of these at most in practice. */
#define SCHEMA_DEPTH_MAX 64
/* Schemas in one file: a form written by hand has a few hundred. */
#define SCHEMA_COUNT_MAX 4096u
/* Comparisons in one check. A value of 256 KiB has at most some 130,000 members, so that a
 * plain schema takes a tenth of it; what takes more (an anyOf of anyOfs over thousands of
 * items) would hold up everybody else's calls for longer than some 50 ms. */
#define SCHEMA_STEPS_MAX (1u << 20)

struct schema;

/** schema_new - read a schema.
 *
 * In       tree        kept by the schema (a reference); nobody may change it any more
 *          text, size  that tree was read from, for the line of an error; NULL, 0: none
 *          at          where in text the schema stands
 * Returns  the schema (schema_free), or NULL with *error filled */
struct schema *schema_new(struct json_error *error, json_t *tree, const char *text, size_t size,
    const struct spot *at) MUST_CHECK;
/** Accepts NULL inside. */
void schema_free(struct schema **schema);

/** schema_check - true when value has the form. Else reason says where it has not, and how:
 * "items[3].price: is a string, not a number"; printable, no final point. */
bool schema_check(char reason[256], const struct schema *schema, const json_t *value) MUST_CHECK;

#endif
