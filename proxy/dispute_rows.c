#include "proxy/dispute_rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "proxy/delivery.h"
#include "proxy/rooms.h"

/* Whatever a bundle claims: numbers that JSON in other languages still holds exactly. */
#define NUMBER_MAX ANCHOR_NUMBER_MAX

/* --- writing ---------------------------------------------------------------- */

/* Takes value: NULL is memory, not input. */
static void set(json_t *object, const char *name, json_t *value)
{
	must(json_object_set_new(object, name, value) == 0);
}

static json_t *hex_json(const char *prefix, const void *bytes, size_t size)
{
	char *text = must_alloc(2 * size + 1);
	json_t *json = json_sprintf("%s%s", prefix, hex_encode(text, bytes, size));

	free(text);
	must(json != NULL);
	return json;
}

static json_t *text_json(const char *bytes, size_t size)
{
	char *text = must_format("t:%.*s", (int)size, size ? bytes : "");
	/* NULL for what is not UTF-8; a NUL would end it early. */
	json_t *json = strlen(text) == size + 2 ? json_string(text) : NULL;

	free(text);
	return json ? json : hex_json("x:", bytes, size);
}

static json_t *value_json(const struct value *value)
{
	json_t *json = NULL;

	switch (value->type) {
	case VALUE_NULL:
		return json_null();
	case VALUE_INT:
		json = json_sprintf("i:%lld", (long long)value->number);
		break;
	case VALUE_TEXT:
		return text_json(value->bytes, value->size);
	case VALUE_BLOB:
		return hex_json("b:", value->bytes, value->size);
	}
	must(json != NULL);
	return json;
}

json_t *dispute_row_json(const struct proof_row *row)
{
	const struct table_form *form = schema_table(row->table);
	json_t *json = json_object(), *values = json_object(), *postings;

	set(json, "table", json_string(form->name));
	set(json, "number", json_integer(row->number));
	for (size_t i = 0; i < form->column_count; i++)
		set(values, form->columns[i], value_json(&row->values[i]));
	set(json, "values", values);
	if (row->table == TABLE_JOURNAL) {
		postings = json_array();
		for (size_t i = 0; i < row->posting_count; i++) {
			struct value name = value_text(row->postings[i].account);
			struct value amount = value_int(row->postings[i].amount);
			json_t *pair = json_pack("[o, o]", value_json(&name), value_json(&amount));

			must(json_array_append_new(postings, pair) == 0);
		}
		set(json, "postings", postings);
	}
	set(json, "before", hex_json("", row->before.bytes, DIGEST_SIZE));
	return json;
}

void dispute_row_prove(json_t *row, int64_t anchor, const struct merkle_path *path)
{
	json_t *nodes = json_array();

	set(row, "anchor", json_integer(anchor));
	for (size_t i = 0; i < path->count; i++)
		must(json_array_append_new(
			 nodes, hex_json("", path->nodes[i].bytes, DIGEST_SIZE)) == 0);
	set(row, "path", nodes);
}

/* --- reading ------------------------------------------------------------------ */

static bool fail(char reason[256], const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(char reason[256], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, 256, format, args);
	va_end(args);
	return false;
}

/* Exactly these members, in whatever order; names ends with NULL. */
static bool has_members(const json_t *object, const char *const *names)
{
	size_t count = 0;

	if (!json_is_object(object))
		return false;
	for (; names[count]; count++) {
		if (!json_object_get(object, names[count]))
			return false;
	}
	return json_object_size(object) == count;
}

/* Lower-case hex of exactly size bytes. */
static bool read_hex(void *out, size_t size, const char *text)
{
	char *again;
	bool same;

	if (!text || strlen(text) != 2 * size || !hex_decode(out, size, text))
		return false;
	again = must_alloc(2 * size + 1);
	same = strcmp(hex_encode(again, out, size), text) == 0;
	free(again);
	return same;
}

static bool read_digest(struct digest *out, const json_t *text)
{
	return read_hex(out->bytes, DIGEST_SIZE, json_string_value(text));
}

static bool read_count(int64_t *out, const json_t *number)
{
	if (!json_is_integer(number) || json_integer_value(number) < 1 ||
	    json_integer_value(number) > NUMBER_MAX)
		return false;
	*out = json_integer_value(number);
	return true;
}

/* Decimal digits as we print them. */
static bool read_int(int64_t *out, const char *text)
{
	char again[24];
	long long number;
	char *end;

	errno = 0;
	number = strtoll(text, &end, 10);
	snprintf(again, sizeof again, "%lld", number);
	if (errno || *end || strcmp(again, text) != 0)
		return false;
	*out = number;
	return true;
}

static void *own(struct dispute *dispute, void *memory)
{
	if (dispute->owned_count == dispute->owned_capacity) {
		dispute->owned_capacity =
		    dispute->owned_capacity ? 2 * dispute->owned_capacity : 64;
		dispute->owned =
		    must_realloc(dispute->owned, dispute->owned_capacity * sizeof *dispute->owned);
	}
	dispute->owned[dispute->owned_count++] = memory;
	return memory;
}

static bool is_plain(const void *bytes, size_t size)
{
	json_t *json = memchr(bytes, 0, size) ? NULL : json_stringn(bytes, size);
	bool plain = json != NULL;

	json_decref(json);
	return plain;
}

static bool read_bytes(struct value *out, struct dispute *dispute, const char *hex, bool text)
{
	size_t size = strlen(hex) / 2;
	uint8_t *bytes = own(dispute, must_calloc(size + 1, 1));

	if (!read_hex(bytes, size, hex) || (text && is_plain(bytes, size)))
		return false;
	*out = (struct value){.type = text ? VALUE_TEXT : VALUE_BLOB, .bytes = bytes, .size = size};
	return true;
}

static bool read_value(struct value *out, struct dispute *dispute, const json_t *json)
{
	const char *text = json_string_value(json);
	int64_t number;

	if (json_is_null(json)) {
		*out = (struct value){.type = VALUE_NULL};
		return true;
	}
	if (!text || !text[0] || text[1] != ':')
		return false;
	switch (text[0]) {
	case 'i':
		if (!read_int(&number, text + 2))
			return false;
		*out = value_int(number);
		return true;
	case 't':
		*out = value_text(text + 2);
		return true;
	case 'b':
	case 'x':
		return read_bytes(out, dispute, text + 2, text[0] == 'x');
	default:
		return false;
	}
}

static bool read_values(struct dispute_row *out, struct dispute *dispute, const json_t *values)
{
	const struct table_form *form = schema_table(out->table);
	const char *name;
	json_t *value;
	size_t i = 0;

	if (!json_is_object(values) || json_object_size(values) != form->column_count)
		return false;
	json_object_foreach ((json_t *)(uintptr_t)values, name, value) {
		if (strcmp(name, form->columns[i]) != 0 ||
		    !read_value(&out->values[i], dispute, value))
			return false;
		i++;
	}
	return out->values[0].type == VALUE_INT && out->values[0].number > 0;
}

static bool read_postings(struct dispute_row *out, struct dispute *dispute, const json_t *postings)
{
	if (!json_is_array(postings) || json_array_size(postings) > DISPUTE_POSTINGS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(postings); i++) {
		const json_t *pair = json_array_get(postings, i);
		struct value name, amount;

		if (json_array_size(pair) != 2 ||
		    !read_value(&name, dispute, json_array_get(pair, 0)) ||
		    !read_value(&amount, dispute, json_array_get(pair, 1)) ||
		    name.type != VALUE_TEXT || amount.type != VALUE_INT ||
		    !is_plain(name.bytes, name.size))
			return false;
		out->postings[out->posting_count++] = (struct posting){name.bytes, amount.number};
	}
	return true;
}

static bool read_path(struct merkle_path *out, const json_t *path)
{
	if (!json_is_array(path) || json_array_size(path) > MERKLE_PATH_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(path); i++) {
		if (!read_digest(&out->nodes[out->count++], json_array_get(path, i)))
			return false;
	}
	return true;
}

static bool read_table(enum table *out, const char *name)
{
	for (int table = TABLE_FIRST; name && table <= TABLE_LAST; table++) {
		const struct table_form *form = schema_table((enum table)table);

		if ((form->recorded || table == TABLE_JOURNAL) && strcmp(form->name, name) == 0) {
			*out = (enum table)table;
			return true;
		}
	}
	return false;
}

static bool read_row(struct dispute_row *out, struct dispute *dispute, const json_t *json)
{
	static const char *const members[] = {
	    "table", "number", "values", "before", "anchor", "path", NULL};
	static const char *const journal_members[] = {
	    "table", "number", "values", "postings", "before", "anchor", "path", NULL};

	if (!read_table(&out->table, json_str(json, "table")))
		return false;
	return has_members(json, out->table == TABLE_JOURNAL ? journal_members : members) &&
	       read_count(&out->number, json_object_get(json, "number")) &&
	       read_values(out, dispute, json_object_get(json, "values")) &&
	       (out->table != TABLE_JOURNAL ||
		   read_postings(out, dispute, json_object_get(json, "postings"))) &&
	       read_digest(&out->before, json_object_get(json, "before")) &&
	       read_count(&out->anchor, json_object_get(json, "anchor")) &&
	       read_path(&out->path, json_object_get(json, "path"));
}

/* Journal rows first; each chain in its order. */
static bool in_order(const struct dispute_row *before, const struct dispute_row *row)
{
	bool journal_before = before->table == TABLE_JOURNAL;
	bool journal = row->table == TABLE_JOURNAL;

	if (journal_before != journal)
		return journal_before;
	return before->number < row->number;
}

static bool read_rows(struct dispute *out, char reason[256], const json_t *rows)
{
	size_t count = json_array_size(rows);

	if (count == 0 || count > PROOF_ROWS_MAX)
		return fail(reason, "rows: from 1 to %u of them", PROOF_ROWS_MAX);
	out->rows = must_calloc(count, sizeof *out->rows);
	for (size_t i = 0; i < count; i++) {
		if (!read_row(&out->rows[i], out, json_array_get(rows, i)))
			return fail(reason, "rows[%zu] is not in the form of a row", i);
		if (i > 0 && !in_order(&out->rows[i - 1], &out->rows[i]))
			return fail(reason, "rows[%zu] is not after the one before it", i);
	}
	out->row_count = count;
	return true;
}

static bool read_anchors(struct dispute *out, char reason[256], const json_t *anchors)
{
	size_t count = json_array_size(anchors);

	if (count == 0 || count > PROOF_ROWS_MAX)
		return fail(reason, "anchors: from 1 to %u of them", PROOF_ROWS_MAX);
	out->anchors = must_calloc(count, sizeof *out->anchors);
	out->anchor_lines = must_calloc(count, sizeof *out->anchor_lines);
	for (size_t i = 0; i < count; i++) {
		const char *line = json_string_value(json_array_get(anchors, i));

		if (!line || !anchor_parse(&out->anchors[i], line, strlen(line)))
			return fail(reason, "anchors[%zu] is not the line of an anchor", i);
		if (i > 0 && out->anchors[i].number <= out->anchors[i - 1].number)
			return fail(reason, "anchors[%zu] is not after the one before it", i);
		out->anchor_lines[i] = line;
	}
	out->anchor_count = count;
	return true;
}

static bool read_id(int64_t *out, const char *text)
{
	return text && read_int(out, text) && *out > 0;
}

bool dispute_read(struct dispute *out, char reason[256], const json_t *root, bool unfinished)
{
	static const char *const half[] = {
	    "format", "call", "installation", "rows", "anchors", NULL};
	static const char *const whole[] = {
	    "format", "call", "installation", "facts", "rows", "anchors", "signature", NULL};
	struct dispute dispute = {.installation = json_str(root, "installation"),
	    .facts = json_object_get(root, "facts")};
	const char *format = json_str(root, "format");
	bool ok;

	if (!format || strcmp(format, DISPUTE_FORMAT) != 0)
		return fail(reason, "it is no bundle of the format " DISPUTE_FORMAT);
	if (!has_members(root, unfinished ? half : whole))
		return fail(reason, "a member is missing, or there is one too many");
	ok = dispute.installation && read_id(&dispute.call, json_str(root, "call"));
	if (!ok)
		fail(reason, "call or installation is not in its form");
	ok = ok && read_rows(&dispute, reason, json_object_get(root, "rows")) &&
	     read_anchors(&dispute, reason, json_object_get(root, "anchors"));
	if (ok)
		*out = dispute;
	else
		dispute_fini(&dispute);
	return ok;
}

void dispute_fini(struct dispute *dispute)
{
	for (size_t i = 0; i < dispute->owned_count; i++)
		free(dispute->owned[i]);
	free(dispute->owned);
	free(dispute->rows);
	free(dispute->anchors);
	free(dispute->anchor_lines);
	*dispute = (struct dispute){.call = 0};
}

/* --- columns --------------------------------------------------------------------- */

const struct value *dispute_value(const struct dispute_row *row, const char *column)
{
	const struct table_form *form = schema_table(row->table);
	size_t i = 0;

	while (i < form->column_count && strcmp(form->columns[i], column) != 0)
		i++;
	must(i < form->column_count);
	return &row->values[i];
}

int64_t dispute_number(const struct dispute_row *row, const char *column)
{
	const struct value *value = dispute_value(row, column);

	return value->type == VALUE_INT ? value->number : 0;
}

const char *dispute_text(const struct dispute_row *row, const char *column)
{
	const struct value *value = dispute_value(row, column);

	return value->type == VALUE_TEXT && is_plain(value->bytes, value->size) ? value->bytes
										: NULL;
}

const struct dispute_row *dispute_find(const struct dispute *dispute, enum table table, int64_t id)
{
	for (size_t i = 0; i < dispute->row_count; i++) {
		if (dispute->rows[i].table == table && dispute->rows[i].values[0].number == id)
			return &dispute->rows[i];
	}
	return NULL;
}

const struct dispute_row *dispute_in_force(
    const struct dispute *dispute, enum table table, const char *name, int64_t at_us)
{
	const struct dispute_row *found = NULL;

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];
		const char *its = name && row->table == table ? dispute_text(row, "name") : NULL;

		if (row->table != table || row->values[0].number > at_us ||
		    (name && (!its || strcmp(its, name) != 0)))
			continue;
		if (!found || row->values[0].number > found->values[0].number)
			found = row;
	}
	return found;
}

const struct dispute_row *dispute_policy_at(const struct dispute *dispute, int64_t at_us)
{
	const struct dispute_row *own = dispute_in_force(dispute, TABLE_POLICY, NULL, at_us);

	return own ? own
		   : dispute_in_force(dispute, TABLE_SETTING, HOUSE_SETTING_DEFAULT_POLICY, at_us);
}

/* --- what the rows have to do with the call ------------------------------------------ */

/* Agent, session and tool of one row, where nothing before it said so. */
static void learn(struct dispute_subject *out, const struct dispute_row *row)
{
	if (out->agent == 0)
		out->agent = dispute_number(row, "agent");
	if (!out->session)
		out->session = dispute_text(row, "session");
	if (!out->tool)
		out->tool = dispute_text(row, "tool");
}

void dispute_subject(struct dispute_subject *out, const struct dispute *dispute)
{
	const struct dispute_row *audit = dispute_find(dispute, TABLE_AUDIT, dispute->call);

	*out = (struct dispute_subject){.audit = NULL};
	if (audit && dispute_number(audit, "kind") == AUDIT_CALL) {
		out->audit = audit;
		learn(out, audit);
		out->signed_us = dispute_number(audit, "signed_us");
	}
	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table == TABLE_JOURNAL && dispute_number(row, "call") == dispute->call)
			learn(out, row);
	}
	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table != TABLE_PAYMENT)
			continue;
		learn(out, row);
		if (dispute_number(row, "call") == dispute->call && out->signed_us == 0)
			out->signed_us = row->values[0].number;
	}
}

/* Does the call pay by it: by its audit row, or by a row of the journal? */
static bool is_payment(
    const struct dispute *dispute, const struct dispute_subject *subject, int64_t payment)
{
	if (payment == 0 || !dispute_find(dispute, TABLE_PAYMENT, payment))
		return false;
	if (subject->audit && dispute_number(subject->audit, "payment") == payment)
		return true;
	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (row->table == TABLE_JOURNAL && dispute_number(row, "call") == dispute->call &&
		    dispute_number(row, "payment") == payment)
			return true;
	}
	return false;
}

static bool text_is(const struct dispute_row *row, const char *column, const char *text)
{
	const char *value = dispute_text(row, column);

	return value && text && strcmp(value, text) == 0;
}

/* A row of which the latest up to then counts: is it that one, when the call came or when it
 * was signed? */
static bool was_policy(const struct dispute *dispute, const struct dispute_subject *subject,
    const struct dispute_row *row)
{
	return dispute_policy_at(dispute, dispute->call) == row ||
	       (subject->signed_us && dispute_policy_at(dispute, subject->signed_us) == row);
}

static bool was_check(const struct dispute *dispute, const struct dispute_subject *subject,
    const struct dispute_row *row)
{
	char *name = subject->tool ? delivery_check_name(subject->tool) : NULL;
	bool was = name && dispute_in_force(dispute, TABLE_SETTING, name,
			       subject->signed_us ? subject->signed_us : dispute->call) == row;

	free(name);
	return was;
}

static bool is_related(const struct dispute *dispute, const struct dispute_subject *subject,
    const struct dispute_row *row)
{
	switch (row->table) {
	case TABLE_JOURNAL:
	case TABLE_DELIVERY:
		return dispute_number(row, "call") == dispute->call ||
		       is_payment(dispute, subject, dispute_number(row, "payment"));
	case TABLE_PAYMENT:
		return is_payment(dispute, subject, row->values[0].number);
	case TABLE_PAYMENT_STATE:
	case TABLE_EVIDENCE:
		return is_payment(dispute, subject, dispute_number(row, "payment"));
	case TABLE_AUDIT:
		return row == subject->audit ||
		       is_payment(dispute, subject, dispute_number(row, "payment"));
	case TABLE_AGENT:
		return row->values[0].number == subject->agent;
	case TABLE_AGENT_ADDRESS:
		return dispute_number(row, "agent") == subject->agent &&
		       dispute_in_force(dispute, row->table, NULL, dispute->call) == row;
	case TABLE_POLICY:
		return dispute_number(row, "agent") == subject->agent &&
		       was_policy(dispute, subject, row);
	case TABLE_TOKEN:
	case TABLE_TOKEN_REVOKED:
		return text_is(row, "session", subject->session);
	case TABLE_TOOL:
		return text_is(row, "name", subject->tool) &&
		       dispute_in_force(dispute, row->table, NULL, dispute->call) == row;
	case TABLE_SETTING:
		return was_policy(dispute, subject, row) || was_check(dispute, subject, row);
	case TABLE_AGENT_STATE:
	case TABLE_NETWORK:
	case TABLE_ACCOUNT:
	case TABLE_IDEMPOTENCY:
	case TABLE_ANSWER:
		return false;
	}
	return false;
}

bool dispute_related(char reason[256], const struct dispute *dispute)
{
	struct dispute_subject subject;
	bool of_call;

	dispute_subject(&subject, dispute);
	of_call = subject.audit != NULL;
	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (!is_related(dispute, &subject, row))
			return fail(reason, "%s row %lld has nothing to do with the call",
			    schema_table(row->table)->name, (long long)row->values[0].number);
		of_call = of_call || (row->table == TABLE_JOURNAL &&
					 dispute_number(row, "call") == dispute->call);
	}
	return of_call || fail(reason, "no row is of the call itself");
}
