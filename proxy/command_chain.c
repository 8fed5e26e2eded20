/* Commands that ask a chain: wallet reconcile. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "proxy/answer.h"
#include "proxy/comparison.h"
#include "proxy/view.h"

#define NOTE_SIZE_MAX 4096u

/* One run of the command over the assets of an agent. */
struct reconciling {
	struct command *command;
	struct agent *agent;
	const char *network; /* NULL: all */
	json_t *rows;
	bool ok;
	size_t compared;
	/* the last that could not be */
	const char *without_rpc;
	enum chain_result result;
	char reason[ASSET_NETWORK_SIZE + CHAIN_REASON_SIZE + 2];
};

/* --- unexplained inflow ------------------------------------------------------------- */

/* What the owner has seen and said may be booked for this asset; 0: nothing. */
static int64_t wished_deposit(const struct command *command, const struct asset *asset)
{
	json_t *deposits = json_member(command->args, "deposits"), *deposit;
	struct amount amount;
	size_t i;

	json_array_foreach (deposits, i, deposit) {
		const char *network = json_str(deposit, "network");
		const char *contract = json_str(deposit, "asset");

		if (network && contract && strcmp(network, asset->network) == 0 &&
		    strcasecmp(contract, asset->contract_text) == 0 &&
		    amount_parse(&amount, json_str(deposit, "amount")))
			return amount.micros;
	}
	return 0;
}

static json_t *write_deposit(
    struct command *command, const struct comparison *comparison, int64_t amount)
{
	char *note =
	    must_format("found on the chain as of block %lld", (long long)comparison->block.number);
	struct journal_row row = {
	    .event = JOURNAL_DEPOSIT,
	    .agent = comparison->agent->id,
	    .agent_name = comparison->agent->name,
	    .owner = comparison->agent->owner,
	    .amount = amount,
	    .network = comparison->asset->network,
	    .asset = comparison->asset->contract_text,
	    .symbol = comparison->asset->symbol,
	    .note = note,
	};
	struct batch *batch = batch_new(command->now_us);
	json_t *error;

	batch_journal(batch, &row);
	error = command_write(command, &batch, "wallet reconcile", comparison->agent, NULL, note);
	free(note);
	return error;
}

/* Only what the owner has seen, and only while it is there. *booked: how much. */
static json_t *book_deposit(int64_t *booked, struct command *command, struct comparison *comparison)
{
	int64_t wished = wished_deposit(command, comparison->asset);
	struct house *house = command->house;
	char now[AMOUNT_TEXT_SIZE], then[AMOUNT_TEXT_SIZE];
	json_t *error;

	if (wished <= 0)
		return NULL;
	if (!comparison->steady || comparison->difference != wished)
		return answer_error(COMMAND_FAILED,
		    "the unexplained inflow on %s is not $%s but $%s%s: nothing was booked, look "
		    "again",
		    comparison->asset->network, amount_format(then, amount_of(wished)),
		    amount_format(now, amount_of(comparison->difference)),
		    comparison->steady ? "" : ", and the wallet is in use");
	error = write_deposit(command, comparison, wished);
	if (error)
		return error;
	purses_lock(house->purses);
	purse_deposit(comparison->agent->purse, house_slot(house, comparison->asset), wished);
	purses_unlock(house->purses);
	reserve_retry(house->purses, comparison->agent);
	comparison->books.available += wished;
	comparison->difference = 0;
	*booked = wished;
	return NULL;
}

/* --- what is said --------------------------------------------------------------------- */

static void add_words(struct buf *note, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_words(struct buf *note, const char *format, ...)
{
	char words[400];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	buf_add_format(note, "%s%s", note->size ? "; " : "", words);
}

static void note_payments(struct buf *note, const struct comparison *comparison)
{
	char amount[AMOUNT_TEXT_SIZE];

	if (comparison->open_used_count)
		add_words(note, "%zu open, $%s, used on the chain and not booked yet",
		    comparison->open_used_count,
		    amount_format(amount, amount_of(comparison->open_used)));
	if (comparison->settled_ahead_count)
		add_words(note, "%zu settled, $%s, not in a block deep enough yet",
		    comparison->settled_ahead_count,
		    amount_format(amount, amount_of(comparison->settled_ahead)));
	if (comparison->disputed)
		add_words(note, "the chain contradicts %zu payment%s: tallyward payment show %lld",
		    comparison->disputed, comparison->disputed == 1 ? "" : "s",
		    (long long)comparison->disputed_one);
}

static json_t *note_of(const struct comparison *comparison, int64_t booked)
{
	char amount[AMOUNT_TEXT_SIZE];
	struct buf note;
	json_t *text;

	buf_init(&note, NOTE_SIZE_MAX);
	if (booked)
		add_words(
		    &note, "$%s booked as a deposit", amount_format(amount, amount_of(booked)));
	note_payments(&note, comparison);
	if (comparison->difference > 0)
		add_words(&note,
		    "more is there than the ledger knows: --book-deposit books it as a deposit");
	if (comparison->difference < 0)
		add_words(&note,
		    "less is there than the ledger says: what you took is for wallet withdraw");
	if (!comparison->steady)
		add_words(&note, "the wallet was in use meanwhile");
	if (comparison->unproved > comparison->settled_ahead_count)
		add_words(
		    &note, "%zu receipts are not proved yet: run it again", comparison->unproved);
	must(buf_ok(&note));
	text = json_string(buf_str(&note));
	buf_fini(&note);
	return text;
}

static json_t *row_of(const struct comparison *comparison, int64_t booked)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:b, s:I, s:I, s:o}",
	    "network", comparison->asset->network, "asset", comparison->asset->contract_text,
	    "symbol", comparison->asset->symbol, "ledger",
	    view_amount(comparison->books.available + comparison->books.open), "chain",
	    view_amount(comparison->chain), "in_flight",
	    view_amount(comparison->settled_ahead - comparison->open_used), "difference",
	    view_amount(comparison->difference), "block", (json_int_t)comparison->block.number,
	    "endpoints", (json_int_t)comparison->endpoints, "ok", comparison->difference == 0,
	    "booked", (json_int_t)comparison->booked, "proved", (json_int_t)comparison->proved,
	    "note", note_of(comparison, booked));

	must(row != NULL);
	return row;
}

/* What could not be compared. */
static json_t *row_without(const struct comparison *comparison, const char *words)
{
	struct balance books = comparison_books(comparison);
	json_t *row = json_pack("{s:s, s:s, s:s, s:o, s:n, s:n, s:n, s:n, s:i, s:b, s:s}",
	    "network", comparison->asset->network, "asset", comparison->asset->contract_text,
	    "symbol", comparison->asset->symbol, "ledger",
	    view_amount(books.available + books.open), "chain", "in_flight", "difference", "block",
	    "endpoints", 0, "ok", 0, "note", words);

	must(row != NULL);
	return row;
}

/* --- asset by asset --------------------------------------------------------------------- */

static void add_failed(struct reconciling *reconciling, const struct comparison *comparison)
{
	reconciling->ok = false;
	reconciling->result = comparison->result;
	snprintf(reconciling->reason, sizeof reconciling->reason, "%s: %s",
	    comparison->asset->network, comparison->reason);
	json_array_append_new(reconciling->rows, row_without(comparison, comparison->reason));
}

/* NULL, or a finished reply that ends the command. */
static json_t *reconcile_with(
    struct reconciling *reconciling, struct comparison *comparison, const char *urls)
{
	const struct config *config = house_config(reconciling->command->house);
	json_t *error = NULL;
	int64_t booked = 0;

	comparison->wait = chain_wait_new(comparison->asset->network, urls,
	    (uint32_t)config->rpc_ms_max, *config->ca_file ? config->ca_file : NULL);
	if (!comparison_run(comparison)) {
		add_failed(reconciling, comparison);
	} else if (!(error = book_deposit(&booked, reconciling->command, comparison))) {
		reconciling->compared++;
		reconciling->ok = reconciling->ok && comparison->difference == 0;
		json_array_append_new(reconciling->rows, row_of(comparison, booked));
	}
	comparison_fini(comparison);
	chain_wait_free(&comparison->wait);
	return error;
}

static bool has_history(const struct balance *balance)
{
	return balance->available || balance->open || balance->spent;
}

static json_t *reconcile_asset(struct reconciling *reconciling, const struct asset *asset)
{
	struct house *house = reconciling->command->house;
	struct comparison comparison = {
	    .house = house,
	    .agent = reconciling->agent,
	    .asset = asset,
	    .payer = registry_address(house->registry, reconciling->agent),
	};
	struct balance books = comparison_books(&comparison);
	char *urls = registry_rpc(house->registry, asset->network);
	json_t *error = NULL;

	if (*urls) {
		error = reconcile_with(reconciling, &comparison, urls);
	} else if (has_history(&books) || reconciling->network) {
		reconciling->ok = false;
		reconciling->without_rpc = asset->network;
		json_array_append_new(reconciling->rows,
		    row_without(&comparison, "no RPC endpoint: tallyward network set"));
	}
	free(urls);
	return error;
}

/* --- the command ----------------------------------------------------------------------- */

/* Nothing could be compared: why? */
static json_t *refuse(const struct reconciling *reconciling)
{
	const char *network = reconciling->without_rpc;

	switch (reconciling->result) {
	case CHAIN_OK:
		break;
	case CHAIN_UNREACHABLE:
		return answer_error(COMMAND_UNREACHABLE,
		    "%s: name other endpoints with `tallyward network set`", reconciling->reason);
	case CHAIN_DISAGREE:
		return answer_error(COMMAND_FAILED,
		    "%s: name endpoints you trust with `tallyward network set`",
		    reconciling->reason);
	case CHAIN_REFUSED:
		return answer_error(COMMAND_FAILED, "%s", reconciling->reason);
	}
	if (!network)
		network = house_config(reconciling->command->house)->default_network;
	return answer_error(COMMAND_FAILED,
	    "no RPC endpoint is known for %s, so there is nothing to compare with: `tallyward "
	    "network set %s --rpc URL`",
	    network, network);
}

static json_t *reconcile_all(struct reconciling *reconciling)
{
	const struct assets *assets = reconciling->command->house->assets;
	json_t *error = NULL;

	for (size_t i = 0; i < assets_count(assets) && !error; i++) {
		const struct asset *asset = assets_at(assets, i);

		if (!asset->unpayable &&
		    (!reconciling->network || strcmp(asset->network, reconciling->network) == 0))
			error = reconcile_asset(reconciling, asset);
	}
	if (!error && reconciling->compared == 0)
		error = refuse(reconciling);
	return error;
}

static json_t *wallet_reconcile(struct command *command)
{
	struct reconciling reconciling = {.command = command, .ok = true};
	const char *network = command_text_or(command, "network", NULL);
	char text[ADDRESS_TEXT_SIZE];
	const struct asset *asset;
	struct address address;
	json_t *error = NULL;

	reconciling.agent = command_agent(command, &error);
	if (!reconciling.agent)
		return error;
	if (network) {
		asset = assets_default(command->house->assets, network);
		if (!asset)
			return answer_error(COMMAND_NOT_FOUND,
			    "there is no payable asset on %s: `tallyward network list` names the "
			    "networks",
			    network);
		reconciling.network = asset->network;
	}
	reconciling.rows = json_array();
	error = reconcile_all(&reconciling);
	if (error) {
		json_decref(reconciling.rows);
		return error;
	}
	address = registry_address(command->house->registry, reconciling.agent);
	return answer_ok(
	    json_pack("{s:s, s:s, s:b, s:o}", "agent", reconciling.agent->name, "address",
		address_format(text, &address), "ok", reconciling.ok, "assets", reconciling.rows));
}

json_t *command_chain(struct command *command, const char *name)
{
	return strcmp(name, "wallet.reconcile") == 0 ? wallet_reconcile(command) : NULL;
}
