#include "proxy/manifest.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"

#define FORMAT  "tallyward backup"
#define VERSION 1

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

/* Of the files that are read whole: the bounds of their readers. A ledger grows by some 2 KiB a
 * payment: a terabyte is years at full speed. An anchor is under 1 KiB: one a second for 30
 * years. */
static const struct {
	const char *name;
	int64_t size_max;
	bool needed;
} known[] = {
    {"tallyward.json", 64 * KIB, true},
    {"policy.json", MIB, true},
    {"token.key", 32, true},
    {"keys/datakey.json", 64 * KIB, true},
    {"ledger.db", MIB *MIB, true},
    {"head", 4 * KIB, false},
    {"anchors", MIB *MIB, false},
    {"passphrase", 4 * KIB, false},
};
#define KNOWN_COUNT (sizeof known / sizeof known[0])

#define KEYS         "keys/"
#define KEY_SIZE_MAX (64 * KIB)
/* A file's name in every file system worth the name. */
#define KEY_NAME_MAX 255u

bool member_is_key(const char *name)
{
	size_t length;

	if (strncmp(name, KEYS, strlen(KEYS)) != 0)
		return false;
	name += strlen(KEYS);
	length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=-");
	return length > 0 && length <= KEY_NAME_MAX && name[length] == '\0' && name[0] != '.';
}

int64_t member_size_max(const char *name)
{
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		if (strcmp(known[i].name, name) == 0)
			return known[i].size_max;
	}
	return member_is_key(name) ? KEY_SIZE_MAX : 0;
}

void manifest_add(
    struct manifest *manifest, const char *name, int64_t size, const struct digest *digest)
{
	/* Doubling. */
	if ((manifest->count & (manifest->count - 1)) == 0)
		manifest->members = must_realloc(manifest->members,
		    (manifest->count ? 2 * manifest->count : 1) * sizeof *manifest->members);
	manifest->members[manifest->count++] = (struct member){must_strdup(name), size, *digest};
}

const struct member *manifest_find(const struct manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->count; i++) {
		if (strcmp(manifest->members[i].name, name) == 0)
			return &manifest->members[i];
	}
	return NULL;
}

void manifest_fini(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->count; i++)
		free(manifest->members[i].name);
	free(manifest->members);
	free(manifest->program);
	*manifest = (struct manifest){0};
}

char *manifest_format(const struct manifest *manifest)
{
	char made_at[CLOCK_TEXT_SIZE], head[2 * DIGEST_SIZE + 1], audit_head[2 * DIGEST_SIZE + 1];
	json_t *members = json_array(), *root;
	char *text;

	for (size_t i = 0; i < manifest->count; i++) {
		char hex[2 * DIGEST_SIZE + 1];

		json_array_append_new(
		    members, json_pack("{s:s, s:I, s:s}", "name", manifest->members[i].name, "size",
				 (json_int_t)manifest->members[i].size, "sha256",
				 hex_encode(hex, manifest->members[i].digest.bytes, DIGEST_SIZE)));
	}
	root = json_pack("{s:s, s:i, s:s, s:s, s:{s:I, s:I, s:s, s:s}, s:o}", "format", FORMAT,
	    "version", VERSION, "program", manifest->program, "made_at",
	    clock_format(made_at, manifest->made_us), "ledger", "transactions",
	    (json_int_t)manifest->transactions, "audits", (json_int_t)manifest->audits, "head",
	    hex_encode(head, manifest->head.bytes, DIGEST_SIZE), "audit_head",
	    hex_encode(audit_head, manifest->audit_head.bytes, DIGEST_SIZE), "members", members);
	must(root != NULL);
	text = json_dumps(root, JSON_INDENT(1));
	must(text != NULL);
	json_decref(root);
	return text;
}

/* --- reading -------------------------------------------------------------------- */

static bool fail(char reason[256], const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(char reason[256], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, 256, format, args);
	va_end(args);
	return false;
}

/* Exactly these members, no other. */
static bool has_only(char reason[256], const json_t *object, const char *const *names)
{
	size_t count = 0;

	for (; names[count]; count++) {
		if (!json_object_get(object, names[count]))
			return fail(reason, "the manifest has no \"%s\"", names[count]);
	}
	if (json_object_size(object) != count)
		return fail(reason, "the manifest holds more than it should");
	return true;
}

static bool read_count(int64_t *out, char reason[256], const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fail(reason, "the manifest's \"%s\" is not a number of rows", name);
	*out = json_integer_value(value);
	return true;
}

static bool read_digest(
    struct digest *out, char reason[256], const json_t *object, const char *name)
{
	const char *text = json_str(object, name);

	/* One spelling: that of manifest_format(). */
	if (!text || strlen(text) != 2 * (size_t)DIGEST_SIZE ||
	    strspn(text, "0123456789abcdef") != 2 * (size_t)DIGEST_SIZE ||
	    !hex_decode(out->bytes, DIGEST_SIZE, text))
		return fail(reason, "the manifest's \"%s\" is not a SHA-256", name);
	return true;
}

static bool read_head(struct manifest *manifest, char reason[256], const json_t *root)
{
	static const char *const names[] = {
	    "format", "version", "program", "made_at", "ledger", "members", NULL};
	static const char *const ledger_names[] = {
	    "transactions", "audits", "head", "audit_head", NULL};
	const json_t *ledger = json_object_get(root, "ledger"), *version;
	const char *format = json_str(root, "format"), *program = json_str(root, "program");

	if (!json_is_object(root) || !format || strcmp(format, FORMAT) != 0)
		return fail(reason, "this is no backup of tallyward");
	version = json_object_get(root, "version");
	if (!json_is_integer(version) || json_integer_value(version) != VERSION)
		return fail(reason, "the backup is of a version that this program does not know");
	if (!has_only(reason, root, names))
		return false;
	if (!json_is_object(ledger))
		return fail(reason, "the manifest's \"ledger\" is not an object");
	if (!has_only(reason, ledger, ledger_names))
		return false;
	if (!program || strlen(program) > 64)
		return fail(reason, "the manifest's \"program\" is not a version");
	if (!clock_parse(&manifest->made_us, json_str(root, "made_at")))
		return fail(reason, "the manifest's \"made_at\" is not a time");
	manifest->program = must_strdup(program);
	return read_count(&manifest->transactions, reason, ledger, "transactions") &&
	       read_count(&manifest->audits, reason, ledger, "audits") &&
	       read_digest(&manifest->head, reason, ledger, "head") &&
	       read_digest(&manifest->audit_head, reason, ledger, "audit_head");
}

static bool read_member(struct manifest *manifest, char reason[256], const json_t *row)
{
	static const char *const names[] = {"name", "size", "sha256", NULL};
	const char *name = json_str(row, "name");
	const json_t *size = json_object_get(row, "size");
	struct digest digest;
	int64_t size_max;

	if (!json_is_object(row))
		return fail(reason, "the manifest's members must be objects");
	if (!has_only(reason, row, names))
		return false;
	size_max = name ? member_size_max(name) : 0;
	if (size_max == 0)
		return fail(reason, "the manifest names a file that is none of a data folder's");
	if (!json_is_integer(size) || json_integer_value(size) < 0 ||
	    json_integer_value(size) > size_max)
		return fail(reason, "%s is larger than any of its kind", name);
	if (!read_digest(&digest, reason, row, "sha256"))
		return false;
	manifest_add(manifest, name, json_integer_value(size), &digest);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool each_once(char reason[256], const struct manifest *manifest)
{
	const char **names = must_calloc(manifest->count + 1, sizeof *names);
	bool ok = true;

	for (size_t i = 0; i < manifest->count; i++)
		names[i] = manifest->members[i].name;
	qsort(names, manifest->count, sizeof *names, by_name);
	for (size_t i = 1; ok && i < manifest->count; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			ok = fail(reason, "the manifest names %s twice", names[i]);
	}
	free(names);
	return ok;
}

static bool read_members(struct manifest *manifest, char reason[256], const json_t *rows)
{
	size_t i;
	json_t *row;

	if (!json_is_array(rows) || json_array_size(rows) > MANIFEST_MEMBERS_MAX)
		return fail(
		    reason, "the manifest's \"members\" are not at most %u", MANIFEST_MEMBERS_MAX);
	json_array_foreach ((json_t *)(uintptr_t)rows, i, row) {
		if (!read_member(manifest, reason, row))
			return false;
	}
	for (i = 0; i < KNOWN_COUNT; i++) {
		if (known[i].needed && !manifest_find(manifest, known[i].name))
			return fail(reason, "the backup has no %s", known[i].name);
	}
	return each_once(reason, manifest);
}

bool manifest_parse(struct manifest *out, char reason[256], const char *text, size_t size)
{
	struct manifest manifest = {0};
	struct json_error error;
	json_t *root = json_read(&error, text, size, MANIFEST_SIZE_MAX);
	bool ok;

	if (!root)
		return fail(reason, "the manifest's line %d: %.200s", error.line, error.reason);
	ok = read_head(&manifest, reason, root) &&
	     read_members(&manifest, reason, json_object_get(root, "members"));
	json_decref(root);
	if (ok)
		*out = manifest;
	else
		manifest_fini(&manifest);
	return ok;
}
