/* ledger/batch.c - see batch.h and the append part of store.h. */
#include "ledger/batch.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* A settlement or an audit row fits the first chunk, a sign batch (payment with header and
 * challenge, journal row, idempotency) the second as well; more come as needed. Small,
 * because many are kept while the disk fails. */
#define FIRST_CHUNK_SIZE 2048u
#define CHUNK_SIZE       6144u

struct batch_chunk {
	struct batch_chunk *next;
	size_t used, size;
	alignas(16) unsigned char bytes[];
};

static void *arena_alloc(struct batch *batch, size_t size)
{
	struct batch_chunk *chunk = batch->chunks;
	size_t aligned = (size + 15u) & ~(size_t)15u;
	void *out;

	must(aligned >= size);
	if (chunk == NULL || chunk->size - chunk->used < aligned) {
		size_t chunk_size = chunk == NULL ? FIRST_CHUNK_SIZE : CHUNK_SIZE;

		if (chunk_size < aligned)
			chunk_size = aligned;
		chunk = must_alloc(sizeof(*chunk) + chunk_size);
		chunk->next = batch->chunks;
		chunk->used = 0;
		chunk->size = chunk_size;
		batch->chunks = chunk;
		batch->size += sizeof(*chunk) + chunk_size;
	}
	out = chunk->bytes + chunk->used;
	chunk->used += aligned;
	return out;
}

static const void *arena_copy(struct batch *batch, const void *bytes, size_t size)
{
	void *copy = arena_alloc(batch, size + 1);

	if (size != 0)
		memcpy(copy, bytes, size);
	((char *)copy)[size] = '\0';
	return copy;
}

static const char *arena_text(struct batch *batch, const char *text)
{
	return text == NULL ? NULL : arena_copy(batch, text, strlen(text));
}

struct batch *batch_new(int64_t now_us)
{
	struct batch *batch = must_calloc(1, sizeof(*batch));

	batch->now_us = now_us;
	batch->last = &batch->first;
	return batch;
}

void batch_free(struct batch **batch)
{
	if (*batch == NULL)
		return;
	for (struct batch_chunk *chunk = (*batch)->chunks; chunk != NULL;) {
		struct batch_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	free(*batch);
	*batch = NULL;
}

bool batch_is_expendable(const struct batch *batch)
{
	for (const struct record *record = batch->first; record != NULL; record = record->next) {
		if (record->table != TABLE_AUDIT && record->table != TABLE_IDEMPOTENCY &&
		    record->table != TABLE_ANSWER)
			return false;
	}
	return true;
}

static struct record *record_add(struct batch *batch, enum table table)
{
	struct record *record = arena_alloc(batch, sizeof(*record));
	size_t count = schema_table(table)->column_count;

	*record = (struct record){.table = table};
	record->values = arena_alloc(batch, count * sizeof(record->values[0]));
	*batch->last = record;
	batch->last = &record->next;
	return record;
}

static void put(struct record *record, struct value value)
{
	must(record->value_count < schema_table(record->table)->column_count);
	record->values[record->value_count++] = value;
}

static void put_int(struct record *record, int64_t number)
{
	put(record, value_int(number));
}

/* Ids and times: 0 stands for none. */
static void put_int_or_null(struct record *record, int64_t number)
{
	put(record, number == 0 ? value_text(NULL) : value_int(number));
}

static void put_text(struct batch *batch, struct record *record, const char *text)
{
	put(record, value_text(arena_text(batch, text)));
}

static void put_blob(struct batch *batch, struct record *record, const void *bytes, size_t size)
{
	put(record, value_blob(arena_copy(batch, bytes, size), size));
}

static void put_digest_or_null(struct batch *batch, struct record *record, bool has,
    const struct digest *digest)
{
	if (has)
		put_blob(batch, record, digest->bytes, DIGEST_SIZE);
	else
		put(record, value_text(NULL));
}

void batch_agent(struct batch *batch, const struct agent_row *row)
{
	struct record *record = record_add(batch, TABLE_AGENT);

	put_int(record, row->id);
	put_text(batch, record, row->name);
	put_text(batch, record, row->owner);
	put_text(batch, record, row->address);
}

void batch_agent_address(struct batch *batch, int64_t id, int64_t agent, const char *address)
{
	struct record *record = record_add(batch, TABLE_AGENT_ADDRESS);

	put_int(record, id);
	put_int(record, agent);
	put_text(batch, record, address);
}

void batch_agent_state(struct batch *batch, int64_t id, int64_t agent, bool suspended)
{
	struct record *record = record_add(batch, TABLE_AGENT_STATE);

	put_int(record, id);
	put_int(record, agent);
	put_int(record, suspended);
}

void batch_policy(struct batch *batch, int64_t id, int64_t agent, const char *text)
{
	struct record *record = record_add(batch, TABLE_POLICY);

	put_int(record, id);
	put_int(record, agent);
	put_text(batch, record, text);
}

void batch_tool(struct batch *batch, const struct tool_row *row)
{
	struct record *record = record_add(batch, TABLE_TOOL);

	put_int(record, row->id);
	put_text(batch, record, row->name);
	put_text(batch, record, row->url);
	put_int(record, row->billing);
	put(record, row->has_price ? value_int(row->price) : value_text(NULL));
	put_int(record, row->removed);
}

void batch_token(struct batch *batch, const struct token_row *row)
{
	struct record *record = record_add(batch, TABLE_TOKEN);

	put_int(record, row->id);
	put_text(batch, record, row->session);
	put_int(record, row->agent);
	put_int(record, row->expires_s);
}

void batch_token_revoked(struct batch *batch, int64_t id, const char *session)
{
	struct record *record = record_add(batch, TABLE_TOKEN_REVOKED);

	put_int(record, id);
	put_text(batch, record, session);
}

void batch_network(struct batch *batch, const struct network_row *row)
{
	struct record *record = record_add(batch, TABLE_NETWORK);

	put_int(record, row->id);
	put_text(batch, record, row->network);
	put_text(batch, record, row->rpc);
}

/* The id is put by the writer, in the order of the chain. */
void batch_journal(struct batch *batch, const struct journal_row *row)
{
	struct record *record = record_add(batch, TABLE_JOURNAL);
	struct journal_row *copy = arena_alloc(batch, sizeof(*copy));

	*copy = *row;
	copy->agent_name = arena_text(batch, row->agent_name);
	copy->owner = arena_text(batch, row->owner);
	copy->session = arena_text(batch, row->session);
	copy->tool = arena_text(batch, row->tool);
	copy->network = arena_text(batch, row->network);
	copy->asset = arena_text(batch, row->asset);
	copy->symbol = arena_text(batch, row->symbol);
	copy->transaction = arena_text(batch, row->transaction);
	copy->note = arena_text(batch, row->note);
	record->journal = copy;

	put_int(record, 0);
	put_int(record, copy->event);
	put_int_or_null(record, copy->call);
	put_int_or_null(record, copy->payment);
	put_int(record, copy->agent);
	put(record, value_text(copy->agent_name));
	put(record, value_text(copy->owner));
	put(record, value_text(copy->session));
	put(record, value_text(copy->tool));
	put_int(record, copy->amount);
	put(record, value_text(copy->network));
	put(record, value_text(copy->asset));
	put(record, value_text(copy->symbol));
	put(record, value_text(copy->transaction));
	put(record, value_text(copy->note));
	put_int(record, copy->from_spent);
}

void batch_payment(struct batch *batch, const struct payment_row *row)
{
	struct record *record = record_add(batch, TABLE_PAYMENT);

	put_int(record, row->id);
	put_int(record, row->call);
	put_int(record, row->agent);
	put_text(batch, record, row->agent_name);
	put_text(batch, record, row->tool);
	put_text(batch, record, row->session);
	put_int(record, row->amount);
	put_text(batch, record, row->value);
	put_text(batch, record, row->network);
	put_text(batch, record, row->asset);
	put_text(batch, record, row->symbol);
	put_text(batch, record, row->payer);
	put_text(batch, record, row->payee);
	put_text(batch, record, row->nonce);
	put_int(record, row->valid_before_s);
	put_text(batch, record, row->header_name);
	put_text(batch, record, row->header_value);
	put_text(batch, record, row->challenge);
	put_text(batch, record, row->method);
	put_text(batch, record, row->url);
	put_blob(batch, record, row->request.bytes, DIGEST_SIZE);
}

void batch_payment_state(struct batch *batch, const struct payment_state_row *row)
{
	struct record *record = record_add(batch, TABLE_PAYMENT_STATE);

	put_int(record, row->id);
	put_int(record, row->payment);
	put_int(record, row->state);
	put_text(batch, record, row->transaction);
	put_text(batch, record, row->reason);
	put_text(batch, record, row->by);
	put_text(batch, record, row->receipt);
}

void batch_evidence(struct batch *batch, const struct evidence_row *row)
{
	struct record *record = record_add(batch, TABLE_EVIDENCE);

	put_int(record, row->id);
	put_int(record, row->payment);
	put_int(record, row->kind);
	put_text(batch, record, row->network);
	put_int(record, row->block);
	put_text(batch, record, row->block_hash);
	put_int_or_null(record, row->block_s);
	put_text(batch, record, row->transaction);
	put_int(record, row->log_index);
	put_int(record, row->endpoints);
	put_text(batch, record, row->detail);
}

void batch_delivery(struct batch *batch, const struct delivery_row *row)
{
	struct record *record = record_add(batch, TABLE_DELIVERY);

	put_int(record, row->id);
	put_int(record, row->call);
	put_int(record, row->payment);
	put_int(record, row->agent);
	put_text(batch, record, row->tool);
	put_text(batch, record, row->reason);
}

void batch_setting(struct batch *batch, int64_t id, const char *name, const char *body)
{
	struct record *record = record_add(batch, TABLE_SETTING);

	put_int(record, id);
	put_text(batch, record, name);
	put_text(batch, record, body);
}

void batch_audit(struct batch *batch, const struct audit_row *row)
{
	struct record *record = record_add(batch, TABLE_AUDIT);

	put_int(record, row->id);
	put_int(record, row->kind);
	put_int_or_null(record, row->agent);
	put_text(batch, record, row->agent_name);
	put_text(batch, record, row->owner);
	put_text(batch, record, row->session);
	put_text(batch, record, row->tool);
	put_text(batch, record, row->method);
	put_text(batch, record, row->path);
	put_int(record, row->allowed);
	put_text(batch, record, row->code);
	put_text(batch, record, row->rule);
	put_int(record, row->price);
	put_text(batch, record, row->payee);
	put_int_or_null(record, row->payment);
	put_int(record, row->status);
	put_int(record, row->upstream_status);
	put_int_or_null(record, row->forwarded_us);
	put_int_or_null(record, row->quoted_us);
	put_int_or_null(record, row->signed_us);
	put_int_or_null(record, row->answered_us);
	put_int_or_null(record, row->finished_us);
	put_int(record, row->request_bytes);
	put_int(record, row->response_bytes);
	put_digest_or_null(batch, record, row->has_request_digest, &row->request_digest);
	put_digest_or_null(batch, record, row->has_response_digest, &row->response_digest);
	put_text(batch, record, row->detail);
}

void batch_idempotency(struct batch *batch, const struct idempotency_row *row)
{
	struct record *record = record_add(batch, TABLE_IDEMPOTENCY);

	put_int(record, row->agent);
	put_text(batch, record, row->key);
	put_blob(batch, record, row->request.bytes, DIGEST_SIZE);
	put_int(record, row->call);
	put_int_or_null(record, row->payment);
	put_int(record, row->expires_us);
}

void batch_answer(struct batch *batch, const struct answer_row *row)
{
	struct record *record = record_add(batch, TABLE_ANSWER);

	put_int(record, row->call);
	put_int(record, row->status);
	put_text(batch, record, row->headers);
	put_blob(batch, record, row->body, row->body_size);
	put_int(record, row->expires_us);
}

void batch_outlive(struct batch *batch)
{
	batch->outlives = true;
}

/* --- as bytes ---------------------------------------------------------- */

static size_t encoded_value_size(const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		return 1;
	case VALUE_INT:
		return 1 + sizeof(value->number);
	case VALUE_TEXT:
	case VALUE_BLOB:
		return 1 + sizeof(uint32_t) + value->size + 1;
	}
	must(!"a type we know");
	return 0;
}

static bool is_encoded(const struct record *record)
{
	size_t size = 0;

	for (size_t i = 0; record->table == TABLE_ANSWER && i < record->value_count; i++)
		size += record->values[i].size;
	return size <= BATCH_ANSWER_MAX;
}

size_t batch_encoded_size(const struct batch *batch)
{
	size_t size = sizeof(batch->now_us) + sizeof(uint32_t);

	for (const struct record *record = batch->first; record != NULL; record = record->next) {
		if (!is_encoded(record))
			continue;
		size++;
		for (size_t i = 0; i < record->value_count; i++)
			size += encoded_value_size(&record->values[i]);
	}
	return size;
}

static unsigned char *write_bytes(unsigned char *out, const void *bytes, size_t size)
{
	if (size != 0)
		memcpy(out, bytes, size);
	return out + size;
}

static unsigned char *write_value(unsigned char *out, const struct value *value)
{
	uint32_t size = (uint32_t)value->size;

	*out++ = (unsigned char)value->type;
	if (value->type == VALUE_NULL)
		return out;
	if (value->type == VALUE_INT)
		return write_bytes(out, &value->number, sizeof(value->number));
	must(size == value->size);
	out = write_bytes(out, &size, sizeof(size));
	out = write_bytes(out, value->bytes, size);
	*out = '\0';
	return out + 1;
}

void batch_encode(void *bytes, const struct batch *batch)
{
	unsigned char *out = bytes, *count_at;
	uint32_t count = 0;

	out = write_bytes(out, &batch->now_us, sizeof(batch->now_us));
	count_at = out;
	out += sizeof(count);
	for (const struct record *record = batch->first; record != NULL; record = record->next) {
		if (!is_encoded(record))
			continue;
		must(record->value_count == schema_table(record->table)->column_count);
		*out++ = (unsigned char)record->table;
		for (size_t i = 0; i < record->value_count; i++)
			out = write_value(out, &record->values[i]);
		count++;
	}
	write_bytes(count_at, &count, sizeof(count));
}

struct encoded {
	const unsigned char *bytes;
	size_t left;
};

static bool read_bytes(void *out, struct encoded *from, size_t size)
{
	if (from->left < size)
		return false;
	memcpy(out, from->bytes, size);
	from->bytes += size;
	from->left -= size;
	return true;
}

/* Borrows from what it reads. */
static bool read_value(struct value *out, struct encoded *from)
{
	unsigned char type;
	uint32_t size;

	*out = (struct value){.type = VALUE_NULL};
	if (!read_bytes(&type, from, 1) || type > VALUE_BLOB)
		return false;
	out->type = (enum value_type)type;
	if (out->type == VALUE_NULL)
		return true;
	if (out->type == VALUE_INT)
		return read_bytes(&out->number, from, sizeof(out->number));
	if (!read_bytes(&size, from, sizeof(size)) || from->left <= size ||
	    from->bytes[size] != '\0')
		return false;
	out->bytes = from->bytes;
	out->size = size;
	from->bytes += size + 1;
	from->left -= size + 1;
	return true;
}

/* What batch_journal made the values of; a number is 0 where there is none, a text NULL. */
static bool decode_journal(struct batch *batch, const struct value *values)
{
	struct journal_row row = {
	    .event = (enum journal_event)values[1].number,
	    .call = values[2].number,
	    .payment = values[3].number,
	    .agent = values[4].number,
	    .agent_name = values[5].bytes,
	    .owner = values[6].bytes,
	    .session = values[7].bytes,
	    .tool = values[8].bytes,
	    .amount = values[9].number,
	    .network = values[10].bytes,
	    .asset = values[11].bytes,
	    .symbol = values[12].bytes,
	    .transaction = values[13].bytes,
	    .note = values[14].bytes,
	    .from_spent = values[15].number != 0,
	};

	if (row.event < JOURNAL_DEPOSIT || row.event > JOURNAL_REOPEN || row.agent_name == NULL ||
	    row.network == NULL || row.asset == NULL || row.symbol == NULL)
		return false;
	batch_journal(batch, &row);
	return true;
}

static void decode_plain(struct batch *batch, enum table table, const struct value *values)
{
	struct record *record = record_add(batch, table);

	for (size_t i = 0; i < schema_table(table)->column_count; i++) {
		struct value value = values[i];

		if (value.bytes != NULL)
			value.bytes = arena_copy(batch, value.bytes, value.size);
		put(record, value);
	}
}

static bool decode_record(struct batch *batch, struct encoded *from)
{
	struct value values[SCHEMA_COLUMNS_MAX];
	unsigned char table;

	if (!read_bytes(&table, from, 1) || table < TABLE_FIRST || table > TABLE_LAST)
		return false;
	for (size_t i = 0; i < schema_table((enum table)table)->column_count; i++) {
		if (!read_value(&values[i], from))
			return false;
	}
	/* The id, or the first half of a key. */
	if (values[0].type != VALUE_INT)
		return false;
	if (table == TABLE_JOURNAL)
		return decode_journal(batch, values);
	decode_plain(batch, (enum table)table, values);
	return true;
}

struct batch *batch_decode(const void *bytes, size_t size)
{
	struct encoded from = {bytes, size};
	struct batch *batch;
	int64_t now_us;
	uint32_t count;
	bool ok = true;

	if (!read_bytes(&now_us, &from, sizeof(now_us)) ||
	    !read_bytes(&count, &from, sizeof(count)))
		return NULL;
	batch = batch_new(now_us);
	for (; ok && count > 0; count--)
		ok = decode_record(batch, &from);
	if (!ok || from.left != 0)
		batch_free(&batch);
	return batch;
}
