/* ledger/journal.c - see journal.h. */
#include "ledger/journal.h"

#include <endian.h>
#include <string.h>

struct value value_text(const char *text)
{
	if (text == NULL)
		return (struct value){.type = VALUE_NULL};
	return (struct value){.type = VALUE_TEXT, .bytes = text, .size = strlen(text)};
}

struct value value_blob(const void *bytes, size_t size)
{
	return (struct value){.type = VALUE_BLOB, .bytes = bytes, .size = size};
}

void journal_values(struct value *out, sqlite3_stmt *stmt, size_t column_count)
{
	for (size_t i = 0; i < column_count; i++) {
		int column = (int)i;

		switch (sqlite3_column_type(stmt, column)) {
		case SQLITE_INTEGER:
			out[i] = value_int(sqlite3_column_int64(stmt, column));
			break;
		case SQLITE_NULL:
			out[i] = (struct value){.type = VALUE_NULL};
			break;
		case SQLITE_TEXT:
			out[i] = (struct value){.type = VALUE_TEXT,
			    .bytes = sqlite3_column_text(stmt, column),
			    .size = (size_t)sqlite3_column_bytes(stmt, column)};
			break;
		default:
			out[i] = value_blob(sqlite3_column_blob(stmt, column),
			    (size_t)sqlite3_column_bytes(stmt, column));
			break;
		}
	}
}

/* What a row's hash covers, on its way there. A row is many short values, and a call of the
 * digest costs as much as a hundred bytes: short ones are gathered first. */
struct encoder {
	struct sha256 *running;
	size_t used;
	uint8_t bytes[1024];
};

static void encoder_init(struct encoder *encoder)
{
	encoder->running = sha256_new();
	encoder->used = 0;
}

static void flush(struct encoder *encoder)
{
	if (encoder->used != 0)
		sha256_add(encoder->running, encoder->bytes, encoder->used);
	encoder->used = 0;
}

static struct digest encoder_done(struct encoder *encoder)
{
	flush(encoder);
	return sha256_done(&encoder->running);
}

static void add_bytes(struct encoder *encoder, const void *bytes, size_t size)
{
	if (size > sizeof(encoder->bytes) - encoder->used)
		flush(encoder);
	if (size > sizeof(encoder->bytes)) {
		sha256_add(encoder->running, bytes, size);
		return;
	}
	if (size != 0)
		memcpy(encoder->bytes + encoder->used, bytes, size);
	encoder->used += size;
}

/* What stands before the bytes of a value, or is all of it, is written in its place: numbers are
 * most of what a row has. */
#define NUMBER_SIZE 8u

/* Where the next size bytes go, 1 + NUMBER_SIZE at most; the caller writes them all. */
static uint8_t *room(struct encoder *encoder, size_t size)
{
	uint8_t *out;

	if (size > sizeof(encoder->bytes) - encoder->used)
		flush(encoder);
	out = encoder->bytes + encoder->used;
	encoder->used += size;
	return out;
}

/* size: 1 to 8 */
static void put_big_endian(uint8_t *out, uint64_t number, size_t size)
{
	uint64_t swapped = htobe64(number << (64 - 8 * size));

	memcpy(out, &swapped, size);
}

static void add_count(struct encoder *encoder, uint64_t count)
{
	put_big_endian(room(encoder, 2), count, 2);
}

static void add_value(struct encoder *encoder, const struct value *value)
{
	uint8_t *out;

	switch (value->type) {
	case VALUE_NULL:
		out = room(encoder, 1);
		out[0] = VALUE_NULL;
		break;
	case VALUE_INT:
		out = room(encoder, 1 + NUMBER_SIZE);
		out[0] = VALUE_INT;
		put_big_endian(out + 1, (uint64_t)value->number, NUMBER_SIZE);
		break;
	case VALUE_TEXT:
	case VALUE_BLOB:
		out = room(encoder, 1 + 4);
		out[0] = (uint8_t)value->type;
		put_big_endian(out + 1, value->size, 4);
		add_bytes(encoder, value->bytes, value->size);
		break;
	}
}

static void add_row(struct encoder *encoder, enum table table, const struct value *values)
{
	size_t count = schema_table(table)->column_count;

	add_count(encoder, (uint64_t)table);
	add_count(encoder, count);
	for (size_t i = 0; i < count; i++)
		add_value(encoder, &values[i]);
}

struct digest journal_row_digest(enum table table, const struct value *values)
{
	struct encoder encoder;

	encoder_init(&encoder);
	add_row(&encoder, table, values);
	return encoder_done(&encoder);
}

struct digest journal_hash(const struct digest *before, const struct value *values,
    const struct posting *postings, size_t posting_count, const struct digest *payment)
{
	struct encoder encoder;
	struct value value;

	encoder_init(&encoder);
	add_bytes(&encoder, before->bytes, DIGEST_SIZE);
	add_row(&encoder, TABLE_JOURNAL, values);
	add_count(&encoder, posting_count);
	for (size_t i = 0; i < posting_count; i++) {
		value = value_text(postings[i].account);
		add_value(&encoder, &value);
		value = value_int(postings[i].amount);
		add_value(&encoder, &value);
	}
	value = payment == NULL ? value_text(NULL) : value_blob(payment->bytes, DIGEST_SIZE);
	add_value(&encoder, &value);
	return encoder_done(&encoder);
}

struct digest record_hash(const struct digest *before, int64_t seq, enum table table,
    const struct value *values)
{
	struct encoder encoder;
	struct value number = value_int(seq);

	encoder_init(&encoder);
	add_bytes(&encoder, before->bytes, DIGEST_SIZE);
	add_value(&encoder, &number);
	add_row(&encoder, table, values);
	return encoder_done(&encoder);
}
