#include "proxy/house.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/anchors.h"
#include "proxy/historian.h"
#include "proxy/rooms.h"
#include "proxy/sandbox.h"
#include "proxy/settings.h"
#include "proxy/tls.h"

/* Endpoints whose last price is remembered: 64 bytes each with their table. */
#define QUOTES_MAX          65536u
#define PASSPHRASE_SIZE_MAX 4096u
#define CONFIG_SIZE_MAX     (64u * 1024u)
/* Ids run ahead of the clock only when it was set back, or under bursts of more than one row
 * a microsecond; past this the clock is wrong. */
#define CLOCK_BEHIND_US_MAX (5 * CLOCK_US_PER_S)

static const char default_policy[] = "{\n"
				     "  \"budget\": {\"maxPerCall\": \"0.10\", \"sessionLimit\": "
				     "\"1.00\", \"dailyLimit\": \"5.00\"},\n"
				     "  \"tools\": {\"allowlist\": [\"*\"]}\n"
				     "}\n";

enum house_result house_say(
    char reason[512], enum house_result result, const char *format, ...)
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
		house_say(reason, HOUSE_BAD_KEYS, "cannot read the passphrase file %s: %s", path,
		    strerror(errno));
		return NULL;
	}
	if (checked && stat(path, &status) == 0 && (status.st_mode & 077) != 0) {
		house_say(reason, HOUSE_BAD_KEYS, "%s can be read by others: chmod 600 it", path);
		goto bad;
	}
	while (*size > 0 && (text[*size - 1] == '\n' || text[*size - 1] == '\r'))
		text[--*size] = '\0';
	if (*size == 0) {
		house_say(reason, HOUSE_BAD_KEYS, "the passphrase file %s is empty", path);
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
		result = house_say(reason, errno == EEXIST ? HOUSE_EXISTS : HOUSE_BROKEN,
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
		result = house_say(reason, HOUSE_BROKEN, "cannot make or open the keystore %s: %s",
		    keys, keystore_result_str(made));
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
			return house_say(reason, HOUSE_BAD_KEYS,
			    "cannot read the passphrase file %s: %s", options->passphrase_file,
			    strerror(errno));
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
		result = house_say(reason, HOUSE_EXISTS,
		    "%s is a data folder already; nothing was changed", options->dir);
		goto out;
	}
	if (mkdir(options->dir, 0700) != 0 && errno != EEXIST) {
		result = house_say(reason, HOUSE_BROKEN, "cannot make the folder %s: %s",
		    options->dir, strerror(errno));
		goto out;
	}
	/* One that was there before: serve would refuse it, and by then keys are in it. */
	if (!sandbox_folder(words, options->dir)) {
		result = house_say(reason, HOUSE_BROKEN, "%s", words);
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
			    house_say(reason, HOUSE_BROKEN, "cannot make the ledger: %s",
				store_reason);
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
		return house_say(reason, HOUSE_NOT_FOUND,
		    "no data folder at %s: run `tallyward init`, or name one with -d (%s)",
		    house->dir, error.at.reason);
	case SETTINGS_UNREADABLE:
		return house_say(
		    reason, HOUSE_BAD_CONFIG, "cannot read %s: %s", error.file, error.at.reason);
	case SETTINGS_BAD:
		return house_say(reason, HOUSE_BAD_CONFIG, "%s:%d: %s%s%s", error.file,
		    error.at.line, error.at.path, *error.at.path ? ": " : "", error.at.reason);
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
		house_say(reason, result, "cannot open the keystore %s: %s", keys,
		    *keystore_reason ? keystore_reason : keystore_result_str(opened));
		goto out;
	}
	secret = file_read(&secret_size, secret_path, TOKEN_SECRET_SIZE);
	if (!secret || secret_size != TOKEN_SECRET_SIZE) {
		house_say(reason, result, "%s must hold exactly %d bytes: restore it from a backup",
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

/* --- open: the default policy ------------------------------------------------ */

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
	char words[256] = "";
	struct batch *batch;
	enum store_result found = store_setting(
	    house->store, HOUSE_SETTING_DEFAULT_POLICY, 0, compare_setting, &recorded);

	if (found != STORE_OK && found != STORE_NOT_FOUND) {
		store_health(house->store, words);
		return house_say(reason, HOUSE_BROKEN,
		    "cannot read the default policy from the ledger%s%s",
		    *words ? ": " : "", words);
	}
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
	return house_say(reason, result == STORE_LOCKED ? HOUSE_LOCKED : HOUSE_BROKEN, "%s", words);
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

void house_clear(struct house *house)
{
	registry_free(&house->registry);
	purses_free(&house->purses);
	quotes_free(&house->quotes);
	idempotency_free(&house->idempotency);
	outstanding_free(&house->outstanding);
	watch_free(&house->watch);
	outlook_free(&house->outlook);
	tls_free(&house->tls);
	assets_free(&house->assets);
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
	if (result == HOUSE_OK) {
		house->anchors = anchors_new(house);
		house->historian = historian_new();
		*out = house;
	} else {
		house_close(&house);
	}
	return result;
}

void house_close(struct house **house_p)
{
	struct house *house = *house_p;

	*house_p = NULL;
	if (!house)
		return;
	historian_free(&house->historian);
	anchors_free(&house->anchors);
	store_close(&house->store);
	keystore_close(&house->keystore);
	house_clear(house);
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
