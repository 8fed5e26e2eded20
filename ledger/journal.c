/* ledger/journal.c - see journal.h. */
#include "ledger/journal.h"

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

static void add_big_endian(struct sha256 *running, uint64_t number, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
	sha256_add(running, bytes, size);
}

static void add_value(struct sha256 *running, const struct value *value)
{
	add_big_endian(running, (uint64_t)value->type, 1);
	switch (value->type) {
	case VALUE_NULL:
		break;
	case VALUE_INT:
		add_big_endian(running, (uint64_t)value->number, 8);
		break;
	case VALUE_TEXT:
	case VALUE_BLOB:
		add_big_endian(running, value->size, 4);
		if (value->size != 0)
			sha256_add(running, value->bytes, value->size);
		break;
	}
}

static void add_row(struct sha256 *running, enum table table, const struct value *values)
{
	size_t count = schema_table(table)->column_count;

	add_big_endian(running, (uint64_t)table, 2);
	add_big_endian(running, count, 2);
	for (size_t i = 0; i < count; i++)
		add_value(running, &values[i]);
}

struct digest journal_row_digest(enum table table, const struct value *values)
{
	struct sha256 *running = sha256_new();

	add_row(running, table, values);
	return sha256_done(&running);
}

struct digest journal_hash(const struct digest *before, const struct value *values,
    const struct posting *postings, size_t posting_count, const struct digest *payment)
{
	struct sha256 *running = sha256_new();
	struct value value;

	sha256_add(running, before->bytes, DIGEST_SIZE);
	add_row(running, TABLE_JOURNAL, values);
	add_big_endian(running, posting_count, 2);
	for (size_t i = 0; i < posting_count; i++) {
		value = value_text(postings[i].account);
		add_value(running, &value);
		value = value_int(postings[i].amount);
		add_value(running, &value);
	}
	value = payment == NULL ? value_text(NULL) : value_blob(payment->bytes, DIGEST_SIZE);
	add_value(running, &value);
	return sha256_done(&running);
}

struct digest record_hash(const struct digest *before, int64_t seq, enum table table,
    const struct value *values)
{
	struct sha256 *running = sha256_new();
	struct value number = value_int(seq);

	sha256_add(running, before->bytes, DIGEST_SIZE);
	add_value(running, &number);
	add_row(running, table, values);
	return sha256_done(&running);
}
