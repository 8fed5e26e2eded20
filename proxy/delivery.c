#include "proxy/delivery.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/schema.h"
#include "common/spot.h"
#include "proxy/inflate.h"

#define CONTENT_TYPE_MAX 255u
#define SHOWN_MAX        80 /* bytes of a seller's word that a reason repeats */

struct delivery_check {
	json_t *json;                        /* as written */
	int statuses[DELIVERY_STATUSES_MAX]; /* none: any 2xx */
	size_t status_count;
	char *content_type; /* lower case; ending in a star: what stands before it */
	int64_t bytes_min;
	struct schema *schema;
};

struct delivery {
	const struct delivery_check *check;
	bool head;
	bool reads; /* the body has something to tell yet */
	int64_t bytes;
	struct inflater *inflater; /* NULL: it comes as it is */
	struct buf body;           /* for the schema */
	size_t size_max;
	bool ended;
	char fault[256];
};

/* --- reading a check ------------------------------------------------------------------ */

struct reader {
	struct json_error *error;
	const char *text;
	size_t size;
	struct delivery_check *check;
};

static bool fail(struct reader *reader, const struct spot *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool fail(struct reader *reader, const struct spot *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spot_vfail(reader->error, reader->text, reader->size, at, format, args);
	va_end(args);
	return false;
}

static bool read_status(struct reader *reader, const struct spot *at, json_t *value)
{
	struct delivery_check *check = reader->check;
	const char *word = json_string_value(value);

	if (word && strcmp(word, "2xx") == 0)
		return true;
	if (!json_is_array(value))
		return fail(reader, at, "must be \"2xx\" or an array of statuses");
	if (json_array_size(value) < 1 || json_array_size(value) > DELIVERY_STATUSES_MAX)
		return fail(reader, at, "must name 1 to %u statuses", DELIVERY_STATUSES_MAX);
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};
		json_int_t status = json_integer_value(json_array_get(value, i));

		if (status < 200 || status > 599)
			return fail(reader, &here, "must be a status, 200 to 599");
		if (status == 402)
			return fail(reader, &here, "asks for a payment and delivers nothing");
		check->statuses[check->status_count++] = (int)status;
	}
	return true;
}

static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("!#$&^_.+-", text[i]))
			return false;
	}
	return size > 0;
}

static bool read_content_type(struct reader *reader, const struct spot *at, json_t *value)
{
	const char *text = json_string_value(value), *slash = text ? strchr(text, '/') : NULL;
	char *copy;

	if (!text)
		return fail(reader, at, "must be a string such as \"application/json\", not %s",
		    spot_type_name(value));
	if (!slash || strlen(text) > CONTENT_TYPE_MAX || !is_token(text, (size_t)(slash - text)) ||
	    (strcmp(slash + 1, "*") != 0 && !is_token(slash + 1, strlen(slash + 1))))
		return fail(reader, at,
		    "must be a type without parameters, such as \"application/json\" or "
		    "\"text/*\"");
	copy = must_strdup(text);
	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	reader->check->content_type = copy;
	return true;
}

static bool read_bytes_min(struct reader *reader, const struct spot *at, json_t *value)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > DELIVERY_BYTES_MAX)
		return fail(reader, at, "must be a whole number of bytes, 0 to %lld",
		    (long long)DELIVERY_BYTES_MAX);
	reader->check->bytes_min = json_integer_value(value);
	return true;
}

static bool read_schema(struct reader *reader, const struct spot *at, json_t *value)
{
	reader->check->schema = schema_new(reader->error, value, reader->text, reader->size, at);
	return reader->check->schema != NULL;
}

static const struct {
	const char *name;
	bool (*read)(struct reader *reader, const struct spot *at, json_t *value);
} keys[] = {
    {"status", read_status},
    {"contentType", read_content_type},
    {"minBytes", read_bytes_min},
    {"schema", read_schema},
};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

static bool read_key(struct reader *reader, const struct spot *at, json_t *value)
{
	const char *names[KEY_COUNT + 1] = {NULL};

	for (size_t i = 0; i < KEY_COUNT; i++) {
		names[i] = keys[i].name;
		if (strcmp(keys[i].name, at->key) == 0)
			return keys[i].read(reader, at, value);
	}
	return spot_fail_unknown(
	    reader->error, reader->text, reader->size, at, "key", at->key, names);
}

static bool read_keys(struct reader *reader)
{
	json_t *json = reader->check->json;

	if (!json_is_object(json))
		return fail(reader, NULL, "must be an object, not %s", spot_type_name(json));
	for (void *i = json_object_iter(json); i; i = json_object_iter_next(json, i)) {
		const struct spot here = {.key = json_object_iter_key(i)};

		if (!read_key(reader, &here, json_object_iter_value(i)))
			return false;
	}
	return true;
}

struct delivery_check *delivery_check_parse(struct json_error *error, const char *text, size_t size)
{
	struct reader reader = {error, text, size, NULL};
	json_t *json = json_read(error, text, size, DELIVERY_CHECK_SIZE_MAX);

	if (!json)
		return NULL;
	reader.check = must_calloc(1, sizeof *reader.check);
	reader.check->json = json;
	if (!read_keys(&reader))
		delivery_check_free(&reader.check);
	return reader.check;
}

void delivery_check_free(struct delivery_check **check_p)
{
	struct delivery_check *check = *check_p;

	*check_p = NULL;
	if (!check)
		return;
	schema_free(&check->schema);
	free(check->content_type);
	json_decref(check->json);
	free(check);
}

json_t *delivery_check_json(const struct delivery_check *check)
{
	json_t *copy = json_deep_copy(check->json);

	must(copy != NULL);
	return copy;
}

char *delivery_check_name(const char *tool)
{
	return must_format("delivery/%s", tool);
}

bool delivery_check_reads(const struct delivery_check *check)
{
	return check && (check->schema || check->bytes_min > 0);
}

/* --- one answer ------------------------------------------------------------------------- */

static void find_fault(struct delivery *delivery, const char *format, ...) PRINTF_LIKE(2, 3);
static void find_fault(struct delivery *delivery, const char *format, ...)
{
	va_list args;

	delivery->reads = false;
	if (*delivery->fault)
		return;
	va_start(args, format);
	vsnprintf(delivery->fault, sizeof delivery->fault, format, args);
	va_end(args);
	/* Sellers' words come into it; and no character may be cut in the middle. */
	for (char *at = delivery->fault; *at; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
}

static bool status_fits(const struct delivery_check *check, int status)
{
	if (!check || check->status_count == 0)
		return status >= 200 && status < 300;
	for (size_t i = 0; i < check->status_count; i++) {
		if (check->statuses[i] == status)
			return true;
	}
	return false;
}

/* "Text/HTML; charset=utf-8" is text/html, and a kind of text. */
static bool type_fits(const char *wanted, const char *type)
{
	size_t size = strcspn(type, "; \t"), wanted_size = strlen(wanted);

	if (wanted[wanted_size - 1] == '*')
		return size >= wanted_size && strncasecmp(type, wanted, wanted_size - 1) == 0;
	return size == wanted_size && strncasecmp(type, wanted, size) == 0;
}

static void check_type(struct delivery *delivery, const char *wanted, const struct headers *headers)
{
	const char *type = headers_get(headers, "content-type");

	if (!type)
		find_fault(delivery, "it has no content type, and %s is wanted", wanted);
	else if (!type_fits(wanted, type))
		find_fault(delivery, "its content type is %.*s, not %s", SHOWN_MAX, type, wanted);
}

/* What stands before us and the body. */
static void check_coding(struct delivery *delivery, const struct headers *headers)
{
	const char *coding = headers_get(headers, "content-encoding");

	if (!coding || strcasecmp(coding, "identity") == 0)
		return;
	if (headers_count(headers, "content-encoding") == 1 && inflate_knows(coding))
		delivery->inflater = inflater_new();
	else
		find_fault(delivery, "its body is in the coding %.*s, which cannot be checked",
		    SHOWN_MAX, coding);
}

struct delivery *delivery_new(const struct delivery_check *check, bool head, int status,
    const struct headers *headers, size_t size_max)
{
	struct delivery *delivery = must_calloc(1, sizeof *delivery);

	delivery->check = check;
	delivery->head = head;
	delivery->size_max = size_max < DELIVERY_BODY_MAX ? size_max : DELIVERY_BODY_MAX;
	buf_init(&delivery->body, delivery->size_max);
	delivery->reads = delivery_check_reads(check) && !head;
	if (!status_fits(check, status))
		find_fault(delivery, "its status is %d", status);
	if (check && check->content_type)
		check_type(delivery, check->content_type, headers);
	if (delivery->reads)
		check_coding(delivery, headers);
	return delivery;
}

void delivery_free(struct delivery **delivery_p)
{
	struct delivery *delivery = *delivery_p;

	*delivery_p = NULL;
	if (!delivery)
		return;
	inflater_free(&delivery->inflater);
	buf_fini(&delivery->body);
	free(delivery);
}

static bool take(const void *bytes, size_t size, void *arg)
{
	struct delivery *delivery = arg;
	const struct delivery_check *check = delivery->check;

	delivery->bytes += (int64_t)size;
	if (check->schema) {
		buf_add(&delivery->body, bytes, size);
		if (!buf_ok(&delivery->body))
			find_fault(delivery,
			    "its body is larger than the %zu bytes in which a schema is checked",
			    delivery->size_max);
	} else if (delivery->bytes >= check->bytes_min) {
		delivery->reads = false;
	}
	return delivery->reads;
}

void delivery_add(struct delivery *delivery, const void *bytes, size_t size)
{
	if (!delivery->reads)
		return;
	if (!delivery->inflater)
		(void)take(bytes, size, delivery);
	else if (!inflater_feed(delivery->inflater, bytes, size, take, delivery) && delivery->reads)
		find_fault(delivery, "its compressed body is damaged");
}

static void check_schema(struct delivery *delivery)
{
	static const char mark[] = "\xef\xbb\xbf"; /* of byte order: some put it before UTF-8 */
	const char *text = buf_str(&delivery->body);
	size_t skip = strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
	struct json_error bad;
	char reason[256];
	json_t *value =
	    json_read_wide(&bad, text + skip, delivery->body.size - skip, delivery->size_max);

	if (!value)
		find_fault(delivery, "its body is not JSON: %.*s", SHOWN_MAX, bad.reason);
	else if (!schema_check(reason, delivery->check->schema, value))
		find_fault(delivery, "its body: %s", reason);
	json_decref(value);
}

void delivery_end(struct delivery *delivery, bool whole)
{
	const struct delivery_check *check = delivery->check;

	must(!delivery->ended);
	delivery->ended = true;
	if (!whole)
		find_fault(delivery, "it was cut short");
	if (!delivery->reads)
		return;
	if (delivery->inflater && !inflater_whole(delivery->inflater))
		find_fault(delivery, "its compressed body is cut short");
	else if (delivery->bytes < check->bytes_min)
		find_fault(delivery, "its body has %lld bytes, fewer than %lld",
		    (long long)delivery->bytes, (long long)check->bytes_min);
	else if (check->schema)
		check_schema(delivery);
	delivery->reads = false;
}

const char *delivery_fault(const struct delivery *delivery)
{
	return *delivery->fault ? delivery->fault : NULL;
}

bool delivery_done(const struct delivery *delivery)
{
	return delivery->ended && !*delivery->fault;
}
