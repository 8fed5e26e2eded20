/* ledger/export.c - see export.h. */
#include "ledger/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amount.h"
#include "common/buf.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/table.h"
#include "ledger/account.h"
#include "ledger/query.h"
#include "ledger/store_parts.h"

/* One transaction; its longest part is an owner's note, which a request of the admin
 * API, a megabyte at most, carried in. */
#define PIECE_SIZE_MAX (16u * 1024u * 1024u)

/* What an asset is called in hledger. */
struct commodity {
	struct commodity *next;
	char *network, *asset, *name;
};

/* An account in a commodity, as exported so far. */
struct closing {
	char *key; /* "account\nnetwork\nasset" */
	char *account;
	enum account_kind kind;
	const struct commodity *commodity;
	struct amount balance;
	UT_hash_handle hh;
};

struct exporter {
	enum export_format format;
	export_write_fn *write;
	void *arg;
	struct buf piece;
	int64_t count;
	struct commodity *commodities;
	struct closing *closings;
	int64_t last_id;
	bool stopped, failed;
};

static bool flush(struct exporter *to)
{
	if (!buf_ok(&to->piece))
		to->failed = true;
	else if (to->piece.size != 0 && !to->write(to->piece.data, to->piece.size, to->arg))
		to->stopped = true;
	buf_clear(&to->piece);
	return !to->failed && !to->stopped;
}

/* --- text of strangers ------------------------------------------------------ */

/* By the first byte; 0 when no character starts with it. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf8 ? 4 : 0;
}

/* Length of the UTF-8 character at text and its number; 0 when it is none. */
static size_t utf8_next(uint32_t *out, const char *text)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text;
	size_t length = utf8_length(bytes[0]);
	uint32_t number = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);

	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		number = number << 6 | (bytes[i] & 0x3fu);
	}
	if (number < lowest[length] || number > 0x10ffff ||
	    (number >= 0xd800 && number <= 0xdfff))
		return 0;
	*out = number;
	return length;
}

/* Spaces and line ends other than ' ', as Unicode has them. */
static bool is_odd_space(uint32_t number)
{
	return number < 0x20 || (number >= 0x7f && number <= 0xa0) || number == 0x1680 ||
	    (number >= 0x2000 && number <= 0x200f) || (number >= 0x2028 && number <= 0x202f) ||
	    number == 0x205f || number == 0x3000 || number == 0xfeff;
}

static void add_percent(struct buf *out, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buf_add_format(out, "%%%02X", (unsigned char)bytes[i]);
}

/* size bytes of text; those in unsafe, and all that could be misread, as %XX. */
static void add_escaped(struct buf *out, const char *text, size_t size, const char *unsafe)
{
	const char *end = text + size;
	const char *from = text;

	while (text < end) {
		uint32_t number = 0;
		size_t length = utf8_next(&number, text);
		bool safe = length != 0 && !is_odd_space(number) && number != '%' &&
		    (number >= 0x80 || strchr(unsafe, (int)number) == NULL);

		if (number == ' ')
			safe = text > from && text[-1] != ' ' && text + 1 < end;
		if (length == 0)
			length = 1;
		if (safe)
			buf_add(out, text, length);
		else
			add_percent(out, text, length);
		text += length;
	}
}

/* The next piece of UTF-8, with U+FFFD for a byte that is none. */
static size_t add_utf8(struct buf *out, const char *text)
{
	uint32_t number;
	size_t length = utf8_next(&number, text);

	if (length == 0) {
		buf_add_str(out, "\xef\xbf\xbd");
		return 1;
	}
	buf_add(out, text, length);
	return length;
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* --- hledger ------------------------------------------------------------------ */

static void add_hledger_account(struct buf *out, const char *name)
{
	for (;;) {
		size_t size = strcspn(name, "/");

		if (size == 0)
			buf_add_str(out, "%");
		add_escaped(out, name, size, ":;\"");
		if (name[size] == '\0')
			return;
		buf_add_str(out, ":");
		name += size + 1;
	}
}

static bool load_commodities(struct exporter *to, sqlite3 *db)
{
	/* The oldest account's symbol is the asset's name, whatever it was called later. */
	static const char sql[] =
	    "SELECT network, asset, symbol, min(id),"
	    " (SELECT count(DISTINCT b.asset) FROM account b"
	    "  WHERE b.network = a.network AND b.symbol = a.symbol)"
	    " FROM account a GROUP BY network, asset ORDER BY min(id) DESC";
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct commodity *commodity = must_calloc(1, sizeof(*commodity));
		const char *symbol = (const char *)sqlite3_column_text(stmt, 2);
		struct buf name;

		commodity->network =
		    must_strdup(or_empty((const char *)sqlite3_column_text(stmt, 0)));
		commodity->asset =
		    must_strdup(or_empty((const char *)sqlite3_column_text(stmt, 1)));
		buf_init(&name, PIECE_SIZE_MAX);
		add_escaped(&name, or_empty(symbol), strlen(or_empty(symbol)), "\";");
		buf_add_str(&name, "-");
		add_escaped(&name, commodity->network, strlen(commodity->network), "\";");
		if (sqlite3_column_int64(stmt, 4) > 1) {
			buf_add_str(&name, "-");
			add_escaped(&name, commodity->asset, strlen(commodity->asset), "\";");
		}
		commodity->name = buf_take(&name);
		commodity->next = to->commodities;
		to->commodities = commodity;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE;
}

static const struct commodity *find_commodity(const struct exporter *to,
    const struct journal_row *row)
{
	for (const struct commodity *commodity = to->commodities; commodity != NULL;
	    commodity = commodity->next) {
		if (strcmp(commodity->network, row->network) == 0 &&
		    strcmp(commodity->asset, row->asset) == 0)
			return commodity;
	}
	return NULL;
}

static struct closing *find_closing(struct exporter *to, const char *account,
    enum account_kind kind, const struct commodity *commodity)
{
	char *key = must_format("%s\n%s\n%s", account, commodity->network, commodity->asset);
	struct closing *closing;

	HASH_FIND_STR(to->closings, key, closing);
	if (closing != NULL) {
		free(key);
		return closing;
	}
	closing = must_calloc(1, sizeof(*closing));
	closing->key = key;
	closing->account = must_strdup(account);
	closing->kind = kind;
	closing->commodity = commodity;
	HASH_ADD_KEYPTR(hh, to->closings, closing->key, strlen(closing->key), closing);
	return closing;
}

static void add_tag(struct buf *out, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	buf_add_format(out, ", %s:", name);
	add_escaped(out, value, strlen(value), ",\"");
}

static void add_id_tag(struct buf *out, const char *name, int64_t id)
{
	if (id != 0)
		buf_add_format(out, ", %s:%lld", name, (long long)id);
}

static void add_hledger_posting(struct exporter *to, const char *account, enum account_kind kind,
    const struct commodity *commodity, int64_t amount)
{
	struct closing *closing = find_closing(to, account, kind, commodity);
	char text[AMOUNT_TEXT_SIZE];

	if (!amount_add(&closing->balance, closing->balance, amount_of(amount)))
		to->failed = true;
	buf_add_str(&to->piece, "    ");
	add_hledger_account(&to->piece, account);
	buf_add_format(&to->piece, "  %s \"%s\"\n", amount_format(text, amount_of(amount)),
	    commodity->name);
}

static void hledger_row(struct exporter *to, const struct journal_row *row,
    enum account_kind from_kind, enum account_kind to_kind)
{
	const struct commodity *commodity = find_commodity(to, row);
	char time[CLOCK_TEXT_SIZE];

	if (commodity == NULL) {
		to->failed = true;
		return;
	}
	clock_format(time, row->id);
	buf_add_format(&to->piece, "%.10s %s\n    ; id:%lld, time:%s", time,
	    journal_event_str(row->event), (long long)row->id, time);
	add_id_tag(&to->piece, "call", row->call);
	add_id_tag(&to->piece, "payment", row->payment);
	add_tag(&to->piece, "agent", row->agent_name);
	add_tag(&to->piece, "owner", row->owner);
	add_tag(&to->piece, "tool", row->tool);
	add_tag(&to->piece, "asset", row->asset);
	add_tag(&to->piece, "transaction", row->transaction);
	add_tag(&to->piece, "note", row->note);
	buf_add_str(&to->piece, "\n");
	add_hledger_posting(to, row->from, from_kind, commodity, -row->amount);
	add_hledger_posting(to, row->to, to_kind, commodity, row->amount);
	buf_add_str(&to->piece, "\n");
}

static void hledger_begin(struct exporter *to)
{
	buf_add_str(&to->piece, "; tallyward journal\n\n");
	for (const struct commodity *commodity = to->commodities; commodity != NULL;
	    commodity = commodity->next)
		buf_add_format(&to->piece, "commodity 1000.000000 \"%s\"\n", commodity->name);
	buf_add_str(&to->piece, "\n");
}

static char kind_letter(enum account_kind kind)
{
	switch (kind) {
	case ACCOUNT_ASSET:
		return 'A';
	case ACCOUNT_LIABILITY:
		return 'L';
	case ACCOUNT_EQUITY:
		return 'E';
	case ACCOUNT_EXPENSE:
		return 'X';
	}
	return 'A';
}

/* Accounts are declared at the end, where hledger takes them as well: only then is it
 * known which ones this export names. An account in two commodities is declared once. */
static void hledger_declare(struct exporter *to)
{
	struct closing *names = NULL, *closing, *next, *name, *name_next;

	HASH_ITER(hh, to->closings, closing, next)
	{
		HASH_FIND_STR(names, closing->account, name);
		if (name != NULL)
			continue;
		name = must_calloc(1, sizeof(*name));
		HASH_ADD_KEYPTR(hh, names, closing->account, strlen(closing->account), name);
		buf_add_str(&to->piece, "account ");
		add_hledger_account(&to->piece, closing->account);
		buf_add_format(&to->piece, "  ; type:%c\n", kind_letter(closing->kind));
		if (!flush(to))
			break;
	}
	HASH_ITER(hh, names, name, name_next)
	{
		HASH_DELETE(hh, names, name);
		free(name);
	}
}

static void hledger_end(struct exporter *to)
{
	struct closing *closing, *next;
	char time[CLOCK_TEXT_SIZE], text[AMOUNT_TEXT_SIZE];

	if (to->count == 0)
		return;
	clock_format(time, to->last_id);
	buf_add_format(&to->piece, "%.10s closing balances\n", time);
	HASH_ITER(hh, to->closings, closing, next)
	{
		const char *name = closing->commodity->name;

		buf_add_str(&to->piece, "    ");
		add_hledger_account(&to->piece, closing->account);
		buf_add_format(&to->piece, "  0 \"%s\" = %s \"%s\"\n", name,
		    amount_format(text, closing->balance), name);
		if (!flush(to))
			return;
	}
	buf_add_str(&to->piece, "\n");
	hledger_declare(to);
}

/* --- CSV ------------------------------------------------------------------------ */

static void add_cell(struct buf *out, const char *text, bool last)
{
	bool defuse = text != NULL && text[0] != '\0' && strchr("=+-@\t\r'", text[0]) != NULL;
	bool quote = text != NULL && strpbrk(text, ",\"\r\n") != NULL;

	buf_add_str(out, quote ? "\"" : "");
	buf_add_str(out, defuse ? "'" : "");
	for (const char *at = or_empty(text); *at != '\0';) {
		if (*at == '"')
			buf_add_str(out, "\"");
		at += add_utf8(out, at);
	}
	buf_add_str(out, quote ? "\"" : "");
	buf_add_str(out, last ? "\r\n" : ",");
}

static void add_id_cell(struct buf *out, int64_t id)
{
	if (id == 0)
		buf_add_str(out, ",");
	else
		buf_add_format(out, "%lld,", (long long)id);
}

static void csv_posting(struct exporter *to, const struct journal_row *row, const char *account,
    int64_t amount)
{
	struct buf *out = &to->piece;
	char time[CLOCK_TEXT_SIZE], text[AMOUNT_TEXT_SIZE];

	add_id_cell(out, row->id);
	add_cell(out, clock_format(time, row->id), false);
	add_cell(out, journal_event_str(row->event), false);
	add_id_cell(out, row->call);
	add_id_cell(out, row->payment);
	add_cell(out, row->agent_name, false);
	add_cell(out, row->owner, false);
	add_cell(out, row->tool, false);
	add_cell(out, account, false);
	/* A number of ours: its '-' is no formula. */
	buf_add_format(out, "%s,", amount_format(text, amount_of(amount)));
	add_cell(out, row->symbol, false);
	add_cell(out, row->network, false);
	add_cell(out, row->asset, false);
	add_cell(out, row->transaction, false);
	add_cell(out, row->note, true);
}

static void csv_begin(struct exporter *to)
{
	buf_add_str(&to->piece,
	    "id,time,event,call,payment,agent,owner,tool,account,amount,symbol,network,asset,"
	    "transaction,note\r\n");
}

/* --- JSON ------------------------------------------------------------------------- */

static void add_json(struct buf *out, const char *key, const char *text)
{
	buf_add_format(out, ",\"%s\":", key);
	if (text == NULL) {
		buf_add_str(out, "null");
		return;
	}
	buf_add_str(out, "\"");
	while (*text != '\0') {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\') {
			buf_add_format(out, "\\%c", byte);
			text++;
		} else if (byte < 0x20 || byte == 0x7f) {
			buf_add_format(out, "\\u%04x", byte);
			text++;
		} else {
			text += add_utf8(out, text);
		}
	}
	buf_add_str(out, "\"");
}

static void add_json_id(struct buf *out, const char *key, int64_t id)
{
	if (id == 0)
		buf_add_format(out, ",\"%s\":null", key);
	else
		buf_add_format(out, ",\"%s\":\"%lld\"", key, (long long)id);
}

static void json_posting(struct exporter *to, const char *account, int64_t amount)
{
	char text[AMOUNT_TEXT_SIZE];

	buf_add_format(&to->piece, "{\"amount\":\"%s\"", amount_format(text, amount_of(amount)));
	add_json(&to->piece, "account", account);
	buf_add_str(&to->piece, "}");
}

static void json_row(struct exporter *to, const struct journal_row *row)
{
	struct buf *out = &to->piece;
	char time[CLOCK_TEXT_SIZE], text[AMOUNT_TEXT_SIZE], hash[2 * DIGEST_SIZE + 1];

	buf_add_format(out, "%s\n{\"id\":\"%lld\"", to->count == 0 ? "" : ",", (long long)row->id);
	add_json(out, "time", clock_format(time, row->id));
	add_json(out, "event", journal_event_str(row->event));
	add_json_id(out, "call", row->call);
	add_json_id(out, "payment", row->payment);
	add_json(out, "agent", row->agent_name);
	add_json(out, "owner", row->owner);
	add_json(out, "tool", row->tool);
	add_json(out, "amount", amount_format(text, amount_of(row->amount)));
	add_json(out, "symbol", row->symbol);
	add_json(out, "network", row->network);
	add_json(out, "asset", row->asset);
	add_json(out, "transaction", row->transaction);
	add_json(out, "note", row->note);
	add_json(out, "hash", hex_encode(hash, row->hash.bytes, DIGEST_SIZE));
	buf_add_str(out, ",\"postings\":[");
	json_posting(to, row->from, -row->amount);
	buf_add_str(out, ",");
	json_posting(to, row->to, row->amount);
	buf_add_str(out, "]}");
}

/* --- all three ---------------------------------------------------------------------- */

static bool export_row(const struct journal_row *row, void *arg)
{
	struct exporter *to = arg;
	enum account_role from, into;

	switch (to->format) {
	case EXPORT_HLEDGER:
		account_roles(&from, &into, row);
		hledger_row(to, row, account_kind_of(from), account_kind_of(into));
		break;
	case EXPORT_CSV:
		csv_posting(to, row, row->from, -row->amount);
		csv_posting(to, row, row->to, row->amount);
		break;
	case EXPORT_JSON:
		json_row(to, row);
		break;
	}
	to->count++;
	to->last_id = row->id;
	return flush(to);
}

static bool export_begin(struct exporter *to)
{
	switch (to->format) {
	case EXPORT_HLEDGER:
		hledger_begin(to);
		break;
	case EXPORT_CSV:
		csv_begin(to);
		break;
	case EXPORT_JSON:
		buf_add_str(&to->piece, "[");
		break;
	}
	return flush(to);
}

static void export_end(struct exporter *to)
{
	switch (to->format) {
	case EXPORT_HLEDGER:
		hledger_end(to);
		break;
	case EXPORT_CSV:
		break;
	case EXPORT_JSON:
		buf_add_str(&to->piece, "\n]\n");
		break;
	}
	(void)flush(to);
}

static void exporter_fini(struct exporter *to)
{
	struct closing *closing, *next;

	HASH_ITER(hh, to->closings, closing, next)
	{
		HASH_DELETE(hh, to->closings, closing);
		free(closing->key);
		free(closing->account);
		free(closing);
	}
	while (to->commodities != NULL) {
		struct commodity *commodity = to->commodities;

		to->commodities = commodity->next;
		free(commodity->network);
		free(commodity->asset);
		free(commodity->name);
		free(commodity);
	}
	buf_fini(&to->piece);
}

enum store_result export_run(struct store *store, int64_t agent, enum export_format format,
    export_write_fn *write, void *arg)
{
	struct exporter to = {.format = format, .write = write, .arg = arg};
	struct reader *reader = reader_take(store->readers);
	enum store_result result = STORE_BROKEN;

	if (reader == NULL)
		return STORE_BROKEN;
	buf_init(&to.piece, PIECE_SIZE_MAX);
	/* One snapshot, so that every row's asset is among the commodities. */
	if (sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		if (load_commodities(&to, reader->db) && export_begin(&to))
			result = query_journal(reader, agent, export_row, &to);
		else if (to.stopped)
			result = STORE_OK;
		if (result == STORE_OK && !to.stopped && !to.failed)
			export_end(&to);
		sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
	}
	if (to.failed)
		result = STORE_BROKEN;
	exporter_fini(&to);
	reader_give(store->readers, &reader);
	return result;
}
