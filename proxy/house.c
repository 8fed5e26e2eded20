#include "proxy/house.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/anchors.h"
#include "proxy/reconcile.h"
#include "proxy/rooms.h"
#include "proxy/sandbox.h"
#include "proxy/settings.h"
#include "proxy/tls.h"

/* Endpoints whose last price is remembered: 64 bytes each with their table. */
#define QUOTES_MAX          65536u
#define PASSPHRASE_SIZE_MAX 4096u
#define CONFIG_SIZE_MAX     (64u * 1024u)
/* Two hours of single charges cover the sliding windows, of a call in flight too. */
#define SLIDING_US (2 * 3600 * CLOCK_US_PER_S)
#define BORDERS    4u
/* Ids run ahead of the clock only when it was set back, or under bursts of more than one row
 * a microsecond; past this the clock is wrong. */
#define CLOCK_BEHIND_US_MAX (5 * CLOCK_US_PER_S)

static const char default_policy[] = "{\n"
				     "  \"budget\": {\"maxPerCall\": \"0.10\", \"sessionLimit\": "
				     "\"1.00\", \"dailyLimit\": \"5.00\"},\n"
				     "  \"tools\": {\"allowlist\": [\"*\"]}\n"
				     "}\n";

static enum house_result say(char reason[512], enum house_result result, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum house_result say(char reason[512], enum house_result result, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, 512, format, args);
	va_end(args);
	return result;
}

char *house_socket_path(const char *dir)
{
	return file_path(dir, "admin.sock");
}

unsigned house_slot(const struct house *house, const struct asset *asset)
{
	for (size_t i = 0; i < assets_count(house->assets); i++) {
		if (assets_at(house->assets, i) == asset)
			return (unsigned)i + 1;
	}
	must(!"an asset of this table");
	return 0;
}

bool house_slot_of(unsigned *out, const struct house *house, const char *network, const char *text)
{
	const struct asset *asset;
	struct address contract;
	uint64_t chain_id;

	if (strcmp(network, "off-chain") == 0) {
		*out = PURSE_OFF_CHAIN;
		return true;
	}
	if (!network_parse(&chain_id, network) || !address_parse(&contract, text))
		return false;
	asset = assets_find(house->assets, chain_id, &contract);
	if (!asset)
		return false;
	*out = house_slot(house, asset);
	return true;
}

bool house_clock_ready(struct house *house, char reason[256])
{
	struct clock_step step;
	int64_t now_us;

	if (!clock_check(&step)) {
		snprintf(reason, 256,
		    "the clock was stepped by %+lld s: payments resume when it has been steady for "
		    "%lld s, or is set back",
		    (long long)clock_round_s(step.by_us),
		    (long long)((step.left_us + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S));
		return false;
	}
	now_us = clock_now_us();
	if (store_next_id(house->store, now_us) - now_us > CLOCK_BEHIND_US_MAX) {
		snprintf(reason, 256,
		    "the clock is behind the newest row of the ledger: it was set back");
		return false;
	}
	return true;
}

bool house_ready(struct house *house, char reason[256])
{
	return store_health(house->store, reason) == STORE_OK &&
	       !store_behind(house->store, reason) && house_clock_ready(house, reason);
}

/* --- the passphrase ------------------------------------------------------ */

/* systemd hands secrets over in files of its own; NULL when it has none for us. */
static char *credential_path(void)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char *path = folder ? file_path(folder, "passphrase") : NULL;
	struct stat status;

	if (path && stat(path, &status) == 0)
		return path;
	free(path);
	return NULL;
}

static char *passphrase_path(const struct house_options *options, const struct config *config)
{
	const char *path =
	    options->passphrase_file ? options->passphrase_file : config->passphrase_file;
	char *credential = credential_path();

	if (credential)
		return credential;
	if (path[0] == '/' || options->passphrase_file)
		return must_strdup(path);
	return file_path(options->dir, path);
}

static char *passphrase_read(size_t *size, char reason[512], const char *path)
{
	char *credential = credential_path();
	/* A credential's mode is systemd's affair: its folder is closed to others. */
	bool checked = !credential || strcmp(credential, path) != 0;
	struct stat status;
	char *text = file_read(size, path, PASSPHRASE_SIZE_MAX);

	free(credential);

	if (!text) {
		say(reason, HOUSE_BAD_KEYS, "cannot read the passphrase file %s: %s", path,
		    strerror(errno));
		return NULL;
	}
	if (checked && stat(path, &status) == 0 && (status.st_mode & 077) != 0) {
		say(reason, HOUSE_BAD_KEYS, "%s can be read by others: chmod 600 it", path);
		goto bad;
	}
	while (*size > 0 && (text[*size - 1] == '\n' || text[*size - 1] == '\r'))
		text[--*size] = '\0';
	if (*size == 0) {
		say(reason, HOUSE_BAD_KEYS, "the passphrase file %s is empty", path);
		goto bad;
	}
	return text;
bad:
	free(text);
	return NULL;
}

static void passphrase_drop(char *text, size_t size)
{
	if (text)
		bytes_wipe(text, size);
	free(text);
}

/* --- init ---------------------------------------------------------------- */

static enum house_result make_file(
    char reason[512], const char *dir, const char *name, const void *bytes, size_t size)
{
	char *path = file_path(dir, name);
	enum house_result result = HOUSE_OK;

	if (!file_create(path, bytes, size, 0600))
		result = say(reason, errno == EEXIST ? HOUSE_EXISTS : HOUSE_BROKEN,
		    "cannot make %s: %s", path, strerror(errno));
	free(path);
	return result;
}

/* A part of the folder. What is there is kept: an init that was cut off got as far. */
static enum house_result make_part(
    char reason[512], const char *dir, const char *name, const void *bytes, size_t size)
{
	enum house_result result = make_file(reason, dir, name, bytes, size);

	return result == HOUSE_EXISTS ? HOUSE_OK : result;
}

/* *kind only when it was made here and now: what was there before may be anybody's choice. */
static enum house_result make_passphrase(
    enum passphrase_kind *kind, char reason[512], const struct house_options *options)
{
	uint8_t random[32];
	char text[2 * sizeof random + 2], *credential = credential_path();
	enum house_result result;

	if (options->passphrase_file || credential) {
		free(credential);
		return HOUSE_OK;
	}
	bytes_random(random, sizeof random);
	hex_encode(text, random, sizeof random);
	text[2 * sizeof random] = '\n';
	result = make_file(reason, options->dir, "passphrase", text, sizeof text - 1);
	if (result == HOUSE_OK)
		*kind = PASSPHRASE_RANDOM;
	else if (result == HOUSE_EXISTS)
		result = HOUSE_OK;
	bytes_wipe(random, sizeof random);
	bytes_wipe(text, sizeof text);
	return result;
}

static enum house_result make_keys(char reason[512], const struct house_options *options,
    const struct config *config, enum passphrase_kind kind)
{
	char *keys = file_path(options->dir, "keys");
	char *path = passphrase_path(options, config);
	size_t size = 0;
	char *passphrase = passphrase_read(&size, reason, path);
	uint8_t secret[TOKEN_SECRET_SIZE];
	enum house_result result = HOUSE_BAD_KEYS;
	enum keystore_result made;

	if (!passphrase)
		goto out;
	made = keystore_create(keys, passphrase, size, kind);
	if (made == KEYSTORE_EXISTS) {
		struct keystore *keystore = NULL;

		made = keystore_open(&keystore, NULL, keys, passphrase, size);
		keystore_close(&keystore);
	}
	if (made != KEYSTORE_OK) {
		result = say(reason, HOUSE_BROKEN, "cannot make or open the keystore %s: %s", keys,
		    keystore_result_str(made));
		goto out;
	}
	/* Empty: whoever finds the installation's key finds it, or knows that it has gone. */
	result = make_part(reason, options->dir, config->anchor_file, "", 0);
	if (result != HOUSE_OK)
		goto out;
	bytes_random(secret, sizeof secret);
	result = make_part(reason, options->dir, "token.key", secret, sizeof secret);
	bytes_wipe(secret, sizeof secret);
out:
	passphrase_drop(passphrase, size);
	free(path);
	free(keys);
	return result;
}

static enum house_result make_config(
    char reason[512], const struct house_options *options, struct config *config)
{
	struct buf text;
	enum house_result result;

	if (options->passphrase_file) {
		char *absolute = realpath(options->passphrase_file, NULL);

		if (!absolute)
			return say(reason, HOUSE_BAD_KEYS, "cannot read the passphrase file %s: %s",
			    options->passphrase_file, strerror(errno));
		free(config->passphrase_file);
		config->passphrase_file = must_strdup(absolute);
		free(absolute);
	}
	buf_init(&text, CONFIG_SIZE_MAX);
	config_dump(&text, config);
	must(buf_ok(&text));
	result = make_file(reason, options->dir, "tallyward.json", text.data, text.size);
	buf_fini(&text);
	return result;
}

enum house_result house_init(char reason[512], const struct house_options *options)
{
	char *config_path = file_path(options->dir, "tallyward.json");
	char words[SANDBOX_REASON_SIZE];
	enum passphrase_kind kind = PASSPHRASE_CHOSEN;
	struct config config;
	struct stat status;
	enum house_result result;

	config_init(&config);
	if (stat(config_path, &status) == 0) {
		result = say(reason, HOUSE_EXISTS,
		    "%s is a data folder already; nothing was changed", options->dir);
		goto out;
	}
	if (mkdir(options->dir, 0700) != 0 && errno != EEXIST) {
		result = say(reason, HOUSE_BROKEN, "cannot make the folder %s: %s", options->dir,
		    strerror(errno));
		goto out;
	}
	/* One that was there before: serve would refuse it, and by then keys are in it. */
	if (!sandbox_folder(words, options->dir)) {
		result = say(reason, HOUSE_BROKEN, "%s", words);
		goto out;
	}
	result = make_passphrase(&kind, reason, options);
	if (result == HOUSE_OK)
		result = make_keys(reason, options, &config, kind);
	if (result == HOUSE_OK) {
		char store_reason[256];
		enum store_result made = store_create(store_reason, options->dir);

		/* One that is there is completed when it is opened. */
		if (made != STORE_OK && made != STORE_EXISTS)
			result =
			    say(reason, HOUSE_BROKEN, "cannot make the ledger: %s", store_reason);
	}
	if (result == HOUSE_OK)
		result = make_part(
		    reason, options->dir, "policy.json", default_policy, sizeof default_policy - 1);
	/* Last: its presence is what makes the folder a data folder. */
	if (result == HOUSE_OK)
		result = make_config(reason, options, &config);
out:
	config_fini(&config);
	free(config_path);
	return result;
}

/* --- open: files ----------------------------------------------------------- */

static enum house_result read_settings(struct settings *out, struct house *house, char reason[512])
{
	struct settings_error error;

	switch (settings_read(out, &error, house->dir)) {
	case SETTINGS_OK:
		break;
	case SETTINGS_NOT_FOUND:
		return say(reason, HOUSE_NOT_FOUND,
		    "no data folder at %s: run `tallyward init`, or name one with -d (%s)",
		    house->dir, error.at.reason);
	case SETTINGS_UNREADABLE:
		return say(
		    reason, HOUSE_BAD_CONFIG, "cannot read %s: %s", error.file, error.at.reason);
	case SETTINGS_BAD:
		return say(reason, HOUSE_BAD_CONFIG, "%s:%d: %s%s%s", error.file, error.at.line,
		    error.at.path, *error.at.path ? ": " : "", error.at.reason);
	}
	house->configs = out->config;
	atomic_store_explicit(&house->config, out->config, memory_order_release);
	out->config = NULL;
	return HOUSE_OK;
}

static enum house_result read_keys(
    struct house *house, char reason[512], const struct house_options *options)
{
	char *path = passphrase_path(options, house_config(house));
	char *keys = file_path(house->dir, "keys");
	char *secret_path = file_path(house->dir, "token.key");
	char keystore_reason[256] = "";
	size_t size = 0, secret_size = 0;
	char *secret = NULL;
	enum house_result result = HOUSE_BAD_KEYS;
	enum keystore_result opened;
	char *passphrase = passphrase_read(&size, reason, path);

	if (!passphrase)
		goto out;
	opened = keystore_open(&house->keystore, keystore_reason, keys, passphrase, size);
	if (opened != KEYSTORE_OK) {
		say(reason, result, "cannot open the keystore %s: %s", keys,
		    *keystore_reason ? keystore_reason : keystore_result_str(opened));
		goto out;
	}
	secret = file_read(&secret_size, secret_path, TOKEN_SECRET_SIZE);
	if (!secret || secret_size != TOKEN_SECRET_SIZE) {
		say(reason, result, "%s must hold exactly %d bytes: restore it from a backup",
		    secret_path, TOKEN_SECRET_SIZE);
		goto out;
	}
	memcpy(house->token_secret, secret, TOKEN_SECRET_SIZE);
	result = HOUSE_OK;
out:
	passphrase_drop(passphrase, size);
	passphrase_drop(secret, secret_size);
	house->passphrase_file = path;
	free(secret_path);
	free(keys);
	return result;
}

static void add_assets(struct house *house)
{
	size_t i;
	json_t *row;

	json_array_foreach (house_config(house)->assets, i, row) {
		struct address contract;
		uint64_t chain_id;

		/* config_read has checked every row. */
		must(network_parse(&chain_id, json_str(row, "network")));
		must(address_parse(&contract, json_str(row, "contract")));
		if (!assets_add(house->assets, chain_id, &contract, json_str(row, "symbol"),
			json_str(row, "name"), json_str(row, "version")))
			log_event(LOG_WARN, "asset_known_already", "contract",
			    json_str(row, "contract"), NULL);
	}
	must(assets_count(house->assets) < PURSE_SLOT_MAX);
}

/* --- open: what the store remembers ----------------------------------------- */

struct load {
	struct house *house;
	int64_t now_us;
	struct batch *batch; /* what a restart has to write */
	bool wrote;
	char *reason;
	bool failed;
};

static bool load_agent(const struct agent_row *row, void *arg)
{
	struct load *load = arg;
	struct house *house = load->house;
	struct json_error error;
	struct policy *policy = NULL;
	struct agent *agent;

	if (row->policy && !(policy = policy_parse(&error, row->policy, strlen(row->policy)))) {
		say(load->reason, HOUSE_BROKEN,
		    "the stored policy of agent %s does not parse: %s: %s", row->name, error.path,
		    error.reason);
		load->failed = true;
		return false;
	}
	agent = registry_add_agent(house->registry, row, purses_at(house->purses, row->id));
	if (policy)
		registry_set_policy(house->registry, agent, policy);
	return true;
}

struct load_check {
	struct load *load;
	const char *tool;
	struct delivery_check *check;
};

static void load_check(const char *body, int64_t id, void *arg)
{
	struct load_check *to = arg;
	struct json_error error;

	(void)id;
	/* One that was taken away is empty. */
	if (!*body)
		return;
	to->check = delivery_check_parse(&error, body, strlen(body));
	if (to->check)
		return;
	say(to->load->reason, HOUSE_BROKEN,
	    "the stored delivery check of tool %s does not parse: %s: %s", to->tool, error.path,
	    error.reason);
	to->load->failed = true;
}

static void load_private(const char *body, int64_t id, void *arg)
{
	(void)id;
	*(bool *)arg = strcmp(body, "yes") == 0;
}

static bool load_tool(const struct tool_row *row, void *arg)
{
	struct load *load = arg;
	struct load_check to = {load, row->name, NULL};
	char *name = delivery_check_name(row->name), *private_name = tool_private_name(row->name);
	bool private = false;

	if (store_setting(load->house->store, name, 0, load_check, &to) == STORE_BROKEN) {
		say(load->reason, HOUSE_BROKEN, "the delivery check of tool %s cannot be read",
		    row->name);
		load->failed = true;
	}
	/* Unread, it only reaches less. */
	(void)!store_setting(load->house->store, private_name, 0, load_private, &private);
	free(name);
	free(private_name);
	registry_put_tool(load->house->registry, row, private, &to.check);
	return !load->failed;
}

static bool load_token(const struct token_row *row, void *arg)
{
	struct registry *registry = ((struct load *)arg)->house->registry;

	if (row->revoked)
		registry_revoke(registry, row->session, row->expires_s);
	else
		(void)!registry_admit(registry, row->session, row->expires_s);
	return true;
}

static bool load_network(const struct network_row *row, void *arg)
{
	registry_set_rpc(((struct load *)arg)->house->registry, row->network, row->rpc);
	return true;
}

static bool load_balance(const struct balance_row *row, void *arg)
{
	struct load *load = arg;
	struct balance balance = {row->available, row->reserved, row->open, row->spent};
	unsigned slot;

	if (!house_slot_of(&slot, load->house, row->network, row->asset)) {
		say(load->reason, HOUSE_BROKEN,
		    "the ledger holds money in %s on %s, which no asset table names: put the row "
		    "back "
		    "into the configuration's assets",
		    row->asset, row->network);
		load->failed = true;
		return false;
	}
	purse_restore(purses_at(load->house->purses, row->agent), slot, &balance);
	return true;
}

/* Rows show addresses in EIP-55; meters, policies and pins key them in lower case. */
static const char *payee_key(char out[ADDRESS_TEXT_SIZE], const char *payee)
{
	struct address address;

	if (!payee || !address_parse(&address, payee))
		return NULL;
	return address_format_lower(out, &address);
}

static bool load_charge(const struct charge_row *row, void *arg)
{
	struct load *load = arg;
	char payee[ADDRESS_TEXT_SIZE];

	purse_restore_charge(purses_at(load->house->purses, row->agent), row->session, row->tool,
	    payee_key(payee, row->payee), row->wallet, row->at_us, row->spend, row->calls);
	return true;
}

/* A payment whose call was in flight when the process ended: signed means spendable. */
static bool load_signed(const struct payment_row *row, void *arg)
{
	struct load *load = arg;
	struct payment_state_row state = {
	    .id = store_next_id(load->house->store, load->now_us),
	    .payment = row->id,
	    .state = PAYMENT_OPEN,
	    .reason = "the daemon stopped while the call was in flight",
	    .by = "restart",
	};

	if (row->state == PAYMENT_SIGNED) {
		batch_payment_state(load->batch, &state);
		load->wrote = true;
	}
	return true;
}

/* What is open now, and whether its call's agent was given an answer. */
static bool load_outstanding(
    const struct payment_row *row, const struct unanswered *how, void *arg)
{
	struct house *house = ((struct load *)arg)->house;
	struct open_payment payment = {
	    .id = row->id,
	    .call = row->call,
	    .agent = registry_agent_by_id(house->registry, row->agent),
	    .amount = row->amount,
	    .valid_before_s = row->valid_before_s,
	    .tool = (char *)(uintptr_t)row->tool,
	    .session = (char *)(uintptr_t)row->session,
	    .keyed = how->keyed,
	    .answered = how->answered,
	    .withdrawn = row->reason && strncmp(row->reason, OUTSTANDING_CANCELLING,
					    strlen(OUTSTANDING_CANCELLING)) == 0,
	};
	struct address contract;
	uint64_t chain_id;

	/* Money whose asset no table names keeps the house from opening (load_balance). */
	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset) ||
	    !uint256_parse(&payment.value, row->value) ||
	    !address_parse(&payment.payer, row->payer) ||
	    !address_parse(&payment.payee, row->payee) || strncmp(row->nonce, "0x", 2) != 0 ||
	    !hex_decode(payment.nonce, sizeof payment.nonce, row->nonce))
		return true;
	payment.asset = assets_find(house->assets, chain_id, &contract);
	if (!payment.asset || !payment.agent)
		return true;
	payment.target = outstanding_target(row->agent, row->method, row->url);
	payment.request = outstanding_request(&payment.target, &row->request);
	outstanding_add(house->outstanding, &payment);
	return true;
}

/* What has ended and may end otherwise. */
static bool load_watched(const struct payment_row *row, void *arg)
{
	struct house *house = ((struct load *)arg)->house;
	const struct asset *asset;
	struct address contract;
	uint64_t chain_id;

	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset))
		return true;
	asset = assets_find(house->assets, chain_id, &contract);
	if (asset && row->state >= PAYMENT_SETTLED)
		watch_add(house->watch, row->id, asset);
	return true;
}

/* A metered call that a crash cut off may have been served and billed: it counts. */
static bool load_orphan(const struct journal_row *row, void *arg)
{
	struct load *load = arg;
	struct journal_row charge = *row;

	charge.event = JOURNAL_CHARGE;
	charge.note =
	    "the daemon stopped while the call was in flight; charged, the vendor may bill it";
	batch_journal(load->batch, &charge);
	load->wrote = true;
	return true;
}

static enum house_result broken(char reason[512], struct load *load, const char *what)
{
	char words[256] = "";

	if (load->failed)
		return HOUSE_BROKEN;
	store_health(load->house->store, words);
	return say(reason, HOUSE_BROKEN, "cannot read %s from the ledger%s%s", what,
	    *words ? ": " : "", words);
}

static bool load_first_payee(const struct charge_row *row, void *arg)
{
	struct house *house = ((struct load *)arg)->house;
	struct agent *agent = registry_agent_by_id(house->registry, row->agent);
	char payee[ADDRESS_TEXT_SIZE];

	if (agent && row->tool && payee_key(payee, row->payee))
		registry_pin(house->registry, agent, row->tool, payee);
	return true;
}

/* Where a meter's windows begin: the month, yesterday, today, what slides. What lies between
 * two of them may come as a sum. */
static void charge_borders(int64_t out[BORDERS], int64_t now_us)
{
	out[3] = now_us - SLIDING_US;
	out[2] = window_day_start_us(now_us);
	out[1] = window_day_start_us(out[2] - 1);
	out[0] = window_month_start_us(now_us);
	for (size_t i = BORDERS - 1; i > 0; i--) {
		if (out[i - 1] > out[i])
			out[i - 1] = out[i];
	}
}

enum house_result house_load(struct house *house, char reason[512], int64_t now_us)
{
	struct load load = {.house = house, .now_us = now_us, .reason = reason};
	int64_t borders_us[BORDERS];

	if (store_agents(house->store, load_agent, &load) != STORE_OK || load.failed)
		return broken(reason, &load, "agents");
	if (store_tools(house->store, load_tool, &load) != STORE_OK)
		return broken(reason, &load, "tools");
	if (store_tokens(house->store, 0, now_us / CLOCK_US_PER_S, load_token, &load) != STORE_OK)
		return broken(reason, &load, "tokens");
	if (store_networks(house->store, load_network, &load) != STORE_OK)
		return broken(reason, &load, "networks");
	load.batch = batch_new(now_us);
	if (store_payments(house->store, 0, true, load_signed, &load) != STORE_OK ||
	    store_orphans(house->store, load_orphan, &load) != STORE_OK) {
		batch_free(&load.batch);
		return broken(reason, &load, "open payments");
	}
	FAULT_POINT("open");
	if (!load.wrote)
		batch_free(&load.batch);
	else if (store_append_wait(house->store, &load.batch) != STORE_OK)
		return broken(reason, &load, "or write what the last stop left open");
	FAULT_POINT("opened");
	charge_borders(borders_us, now_us);
	purses_lock(house->purses);
	if (store_balances(house->store, load_balance, &load) != STORE_OK || load.failed ||
	    store_charges(house->store, borders_us, BORDERS, load_charge, &load) != STORE_OK)
		load.failed = true;
	purses_unlock(house->purses);
	if (load.failed || store_first_payees(house->store, load_first_payee, &load) != STORE_OK)
		return broken(reason, &load, "balances");
	if (store_outstanding(house->store, load_outstanding, &load) != STORE_OK)
		return broken(reason, &load, "open payments");
	if (store_chain_ends(house->store, now_us - RECONCILE_REORG_US, load_watched, &load) !=
		STORE_OK ||
	    store_on_word(house->store, 0, load_watched, &load) != STORE_OK ||
	    store_disputed(house->store, 0, load_watched, &load) != STORE_OK)
		return broken(reason, &load, "what the chain said");
	return HOUSE_OK;
}

struct recorded {
	const char *text;
	bool same;
};

static void compare_setting(const char *body, int64_t id, void *arg)
{
	struct recorded *recorded = arg;

	(void)id;
	recorded->same = strcmp(body, recorded->text) == 0;
}

/* The default policy is in force from now on, and the ledger says so. Nobody waits for the
 * row: it comes before all that is decided by it, and is tried again while the disk fails. */
static enum house_result take_default_policy(
    struct house *house, char reason[512], struct settings *settings, int64_t now_us)
{
	struct recorded recorded = {.text = settings->policy_text};
	struct load load = {.house = house};
	struct batch *batch;
	enum store_result found = store_setting(
	    house->store, HOUSE_SETTING_DEFAULT_POLICY, 0, compare_setting, &recorded);

	if (found != STORE_OK && found != STORE_NOT_FOUND)
		return broken(reason, &load, "the default policy");
	if (!recorded.same) {
		batch = batch_new(now_us);
		batch_setting(batch, store_next_id(house->store, now_us),
		    HOUSE_SETTING_DEFAULT_POLICY, settings->policy_text);
		store_append(house->store, &batch, NULL, NULL);
	}
	registry_set_default_policy(house->registry, settings->policy, settings->policy_text);
	settings->policy = NULL;
	return HOUSE_OK;
}

static enum house_result open_store(struct house *house, char reason[512], int64_t now_us)
{
	char words[256] = "";
	enum store_result result = store_open(&house->store, words, house->dir, now_us);

	if (result == STORE_OK) {
		store_set_answers_max(house->store, house_config(house)->answers_size_max);
		return HOUSE_OK;
	}
	return say(reason, result == STORE_LOCKED ? HOUSE_LOCKED : HOUSE_BROKEN, "%s", words);
}

void house_furnish(struct house *house)
{
	house->assets = assets_new();
	add_assets(house);
	house->purses = purses_new();
	house->registry = registry_new();
	house->quotes = quotes_new(QUOTES_MAX);
	house->idempotency = idempotency_new();
	house->outstanding = outstanding_new();
	house->watch = watch_new();
	house->outlook = outlook_new();
	house->tls = tls_new();
}

enum house_result house_open(
    struct house **out, char reason[512], const struct house_options *options)
{
	struct house *house = must_calloc(1, sizeof *house);
	struct settings settings = {0};
	int64_t now_us = clock_now_us();
	enum house_result result;

	house->dir = must_strdup(options->dir);
	house->who = must_strdup(options->command ? options->command : "cli");
	result = read_settings(&settings, house, reason);
	if (result == HOUSE_OK && options->configured &&
	    !options->configured(house_config(house), reason, options->configured_arg))
		result = HOUSE_BROKEN;
	if (result == HOUSE_OK)
		result = open_store(house, reason, now_us);
	if (result == HOUSE_OK)
		result = read_keys(house, reason, options);
	if (result == HOUSE_OK) {
		house_furnish(house);
		result = take_default_policy(house, reason, &settings, now_us);
	}
	if (result == HOUSE_OK)
		result = house_load(house, reason, now_us);
	settings_fini(&settings);
	if (result == HOUSE_OK)
		house->anchors = anchors_new(house);
	if (result == HOUSE_OK)
		*out = house;
	else
		house_close(&house);
	return result;
}

void house_close(struct house **house_p)
{
	struct house *house = *house_p;

	*house_p = NULL;
	if (!house)
		return;
	anchors_free(&house->anchors);
	store_close(&house->store);
	keystore_close(&house->keystore);
	registry_free(&house->registry);
	purses_free(&house->purses);
	quotes_free(&house->quotes);
	idempotency_free(&house->idempotency);
	outstanding_free(&house->outstanding);
	watch_free(&house->watch);
	outlook_free(&house->outlook);
	tls_free(&house->tls);
	assets_free(&house->assets);
	while (house->configs) {
		struct config *config = house->configs;

		house->configs = config->next;
		config_fini(config);
		free(config);
	}
	bytes_wipe(house->token_secret, sizeof house->token_secret);
	free(house->passphrase_file);
	free(house->who);
	free(house->dir);
	free(house);
}
