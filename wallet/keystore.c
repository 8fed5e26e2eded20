/* wallet/keystore.c - the agents' keys: files below, locked memory above.
 *
 * One read-write lock guards the cache of unlocked keys. Signing holds it for
 * reading, so signatures run in parallel on keys that stay in their arena slots and
 * are never copied; unlocking, replacing and forgetting hold it for writing. Slow
 * derivations run outside it. */
#include "wallet/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fault.h"
#include "common/file.h"
#include "common/log.h"
#include "wallet/arena.h"
#include "wallet/keycache.h"
#include "wallet/keyfile.h"
#include "wallet/signer.h"
#include "wallet/storage.h"

#define DATA_KEY_FILE "datakey.json"
/* Slots for keys and derivations in passing, beside the unlocked keys. */
#define SLOTS_PASSING 512
#define KEY_DIGITS    (2 * SIGNER_KEY_SIZE)

struct keystore {
	char *dir;
	struct arena *arena;
	struct signer *signer;
	uint8_t *data_key; /* in the arena */
	pthread_rwlock_t lock;
	struct keycache *cache; /* under lock */
};

const char *keystore_result_str(enum keystore_result result)
{
	switch (result) {
	case KEYSTORE_OK:
		return "ok";
	case KEYSTORE_NOT_FOUND:
		return "not_found";
	case KEYSTORE_EXISTS:
		return "exists";
	case KEYSTORE_BAD_PASSPHRASE:
		return "bad_passphrase";
	case KEYSTORE_BAD_FILE:
		return "bad_file";
	case KEYSTORE_BAD_KEY:
		return "bad_key";
	case KEYSTORE_UNSAFE_FILE:
		return "unsafe_file";
	case KEYSTORE_IO:
		return "io";
	}
	return "unknown";
}

static void explain(char reason[256], const char *format, ...) PRINTF_LIKE(2, 3);

static void explain(char reason[256], const char *format, ...)
{
	va_list args;

	if (reason == NULL)
		return;
	va_start(args, format);
	vsnprintf(reason, 256, format, args);
	va_end(args);
}

/* The folder, and its own entry on disk. */
static bool make_dir(const char *dir)
{
	char *parent;
	bool synced;
	int fd;

	if (mkdir(dir, S_IRWXU) != 0)
		return errno == EEXIST;
	parent = file_path(dir, "..");
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(parent);
	if (fd < 0)
		return false;
	synced = fsync(fd) == 0;
	close(fd);
	return synced;
}

static void make_key(uint8_t *key, struct address *address, const struct signer *signer)
{
	/* Once in 2^128 the bytes are no key. */
	do
		bytes_random(key, ARENA_SLOT_SIZE);
	while (!signer_address(address, signer, key));
}

static enum keystore_result write_new(const char *path, const char *text)
{
	if (file_create(path, text, strlen(text), S_IRUSR | S_IWUSR))
		return KEYSTORE_OK;
	return errno == EEXIST ? KEYSTORE_EXISTS : KEYSTORE_IO;
}

/* The first key of a new keystore, under the data key that was just made. */
static enum keystore_result make_installation_key(const char *dir, struct arena *arena,
    const uint8_t *data_key)
{
	char name[KEYFILE_NAME_MAX + 1];
	char *path = file_path(dir, keyfile_name(name, KEYSTORE_INSTALLATION)), *text = NULL;
	enum keystore_result result = KEYSTORE_IO;
	struct signer *signer = signer_new();
	uint8_t *key = arena_take(arena);
	struct address address;
	int error;

	if (key != NULL) {
		make_key(key, &address, signer);
		result = keyfile_seal_agent(&text, data_key, key, KEYSTORE_INSTALLATION, &address);
		arena_give(arena, &key);
	}
	if (result == KEYSTORE_OK)
		result = write_new(path, text);
	error = errno;
	signer_free(&signer);
	free(text);
	free(path);
	errno = error;
	return result;
}

enum keystore_result keystore_create(const char *dir, const char *passphrase,
    size_t passphrase_size, enum passphrase_kind kind)
{
	enum keystore_result result = KEYSTORE_IO;
	struct arena *arena = NULL;
	uint8_t *data_key = NULL;
	char *text = NULL;
	char *path = file_path(dir, DATA_KEY_FILE);
	int error;

	if (!make_dir(dir))
		goto out;
	if (access(path, F_OK) == 0) {
		result = KEYSTORE_EXISTS;
		goto out;
	}
	arena = arena_new(SLOTS_PASSING);
	if (arena == NULL || (data_key = arena_take(arena)) == NULL)
		goto out;
	bytes_random(data_key, ARENA_SLOT_SIZE);
	result = keyfile_seal_data(&text, arena, data_key, passphrase, passphrase_size, kind);
	if (result == KEYSTORE_OK)
		result = write_new(path, text);
	if (result == KEYSTORE_OK)
		result = make_installation_key(dir, arena, data_key);
out:
	error = errno;
	free(text);
	free(path);
	arena_free(&arena);
	errno = error;
	return result;
}

static enum keystore_result unlock_data_key(struct keystore *keystore, char reason[256],
    const char *passphrase, size_t passphrase_size)
{
	char *path = file_path(keystore->dir, DATA_KEY_FILE);
	enum keystore_result result;
	char *text = NULL;
	size_t size;

	result = keyfile_read(&text, &size, path);
	if (result == KEYSTORE_NOT_FOUND)
		explain(reason, "there is no %.200s", path);
	else if (result == KEYSTORE_UNSAFE_FILE)
		explain(reason, "others may touch %.180s: chmod 600 it", path);
	else if (result == KEYSTORE_BAD_FILE)
		explain(reason, "%.180s is no regular file of a fitting size", path);
	else if (result == KEYSTORE_IO)
		explain(reason, "%.180s: %s", path, strerror(errno));
	else
		result = keyfile_open_data(keystore->data_key, reason, keystore->arena, text, size,
		    passphrase, passphrase_size);
	free(text);
	free(path);
	return result;
}

enum keystore_result keystore_open(struct keystore **out, char reason[256], const char *dir,
    const char *passphrase, size_t passphrase_size)
{
	struct keystore *keystore = must_calloc(1, sizeof(*keystore));
	enum keystore_result result;
	int error;

	must(pthread_rwlock_init(&keystore->lock, NULL) == 0);
	keystore->dir = must_strdup(dir);
	keystore->arena = arena_new(KEYSTORE_UNLOCKED_MAX + SLOTS_PASSING);
	if (keystore->arena != NULL)
		keystore->data_key = arena_take(keystore->arena);
	if (keystore->data_key == NULL) {
		explain(reason, "no memory for keys: %s", strerror(errno));
		result = KEYSTORE_IO;
	} else {
		keystore->signer = signer_new();
		keystore->cache = keycache_new(keystore->arena, KEYSTORE_UNLOCKED_MAX);
		result = unlock_data_key(keystore, reason, passphrase, passphrase_size);
	}
	if (result == KEYSTORE_OK) {
		*out = keystore;
		return KEYSTORE_OK;
	}
	error = errno;
	keystore_close(&keystore);
	errno = error;
	return result;
}

void keystore_close(struct keystore **keystore)
{
	struct keystore *gone = *keystore;

	if (gone == NULL)
		return;
	*keystore = NULL;
	keycache_free(&gone->cache);
	if (gone->arena != NULL)
		arena_give(gone->arena, &gone->data_key);
	arena_free(&gone->arena);
	signer_free(&gone->signer);
	pthread_rwlock_destroy(&gone->lock);
	free(gone->dir);
	free(gone);
}

static char *agent_path(const struct keystore *keystore, const char *agent)
{
	char name[KEYFILE_NAME_MAX + 1];

	return file_path(keystore->dir, keyfile_name(name, agent));
}

/* Where a key that is to replace another waits until it is adopted. */
static char *next_path(const struct keystore *keystore, const char *agent)
{
	char *path = agent_path(keystore, agent);
	char *next = must_format("%s.next", path);

	free(path);
	return next;
}

/* An agent's key from a file into an arena slot; found to be what it claims. */
static enum keystore_result read_key_at(uint8_t *key, struct address *address,
    struct keystore *keystore, const char *agent, const char *path)
{
	struct address derived, claimed;
	enum keystore_result result;
	char *text = NULL;
	size_t size;
	int error;

	result = keyfile_read(&text, &size, path);
	if (result == KEYSTORE_OK)
		result = keyfile_open_agent(key, &claimed, keystore->data_key, text, size, agent);
	if (result == KEYSTORE_OK && (!signer_address(&derived, keystore->signer, key) ||
					 !address_equal(&derived, &claimed)))
		result = KEYSTORE_BAD_FILE;
	if (result == KEYSTORE_OK)
		*address = derived;
	error = errno;
	free(text);
	errno = error;
	return result;
}

static enum keystore_result read_key(uint8_t *key, struct address *address,
    struct keystore *keystore, const char *agent)
{
	char *path = agent_path(keystore, agent);
	enum keystore_result result = read_key_at(key, address, keystore, agent, path);
	int error = errno;

	free(path);
	errno = error;
	return result;
}

/* Keeps the file that is about to be replaced under a second name. */
static bool keep_old(const char *path)
{
	struct stat status;
	bool kept = false;
	int64_t written_us;
	int tries;

	if (stat(path, &status) != 0)
		return errno == ENOENT;
	written_us = (int64_t)status.st_mtim.tv_sec * 1000000 + status.st_mtim.tv_nsec / 1000;
	for (tries = 0; tries < 1000 && !kept; tries++) {
		char *name = must_format("%s.replaced-%lld", path, (long long)written_us + tries);

		kept = link(path, name) == 0;
		free(name);
		if (!kept && errno != EEXIST)
			return false;
	}
	FAULT_POINT("old key kept");
	return kept;
}

/* Seals key into the agent's file, or beside it when there is one already that is to be
 * replaced: it is then not yet the agent's. */
static enum keystore_result store_key(struct keystore *keystore, const char *agent,
    const uint8_t *key, const struct address *address, bool replace)
{
	char *path = agent_path(keystore, agent), *next = next_path(keystore, agent);
	enum keystore_result result;
	char *text = NULL;
	int error;

	result = keyfile_seal_agent(&text, keystore->data_key, key, agent, address);
	if (result != KEYSTORE_OK)
		goto out;
	must(pthread_rwlock_wrlock(&keystore->lock) == 0);
	FAULT_POINT("key");
	result = write_new(path, text);
	if (result == KEYSTORE_EXISTS && replace)
		result = file_replace(next, text, strlen(text), S_IRUSR | S_IWUSR) ? KEYSTORE_OK :
										     KEYSTORE_IO;
	error = errno;
	FAULT_POINT("key stored");
	must(pthread_rwlock_unlock(&keystore->lock) == 0);
	errno = error;
out:
	error = errno;
	free(text);
	free(next);
	free(path);
	errno = error;
	return result;
}

enum keystore_result keystore_generate(struct address *out, struct keystore *keystore,
    const char *agent)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result;
	struct address address;

	if (key == NULL)
		return KEYSTORE_IO;
	make_key(key, &address, keystore->signer);
	result = store_key(keystore, agent, key, &address, false);
	arena_give(keystore->arena, &key);
	if (result == KEYSTORE_OK)
		*out = address;
	return result;
}

/* What a failed store says, for the imports. */
static void explain_store(char reason[256], enum keystore_result result, const char *agent)
{
	if (result == KEYSTORE_EXISTS)
		explain(reason, "%.100s has a key already", agent);
	else if (result == KEYSTORE_IO)
		explain(reason, "the key could not be written: %s", strerror(errno));
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The key's hex digits, found between blanks and after "0x"; false for any other text. */
static bool decode_key(uint8_t *key, const char *text, size_t size)
{
	char digits[KEY_DIGITS + 1];
	bool decoded;

	for (; size > 0 && is_blank(text[0]); size--)
		text++;
	while (size > 0 && is_blank(text[size - 1]))
		size--;
	if (size == KEY_DIGITS + 2 && text[0] == '0' && text[1] == 'x') {
		text += 2;
		size -= 2;
	}
	if (size != KEY_DIGITS)
		return false;
	memcpy(digits, text, KEY_DIGITS);
	digits[KEY_DIGITS] = '\0';
	decoded = hex_decode(key, SIGNER_KEY_SIZE, digits);
	bytes_wipe(digits, sizeof(digits));
	return decoded;
}

/* What an import was given: one of the two forms. */
struct source {
	const char *text;
	size_t size;
	bool v3;
	const char *password;
	size_t password_size;
};

static enum keystore_result read_hex(uint8_t *key, char reason[256], const struct source *source)
{
	if (decode_key(key, source->text, source->size))
		return KEYSTORE_OK;
	explain(reason, "a key is 64 hex digits");
	return KEYSTORE_BAD_KEY;
}

static enum keystore_result read_source(uint8_t *key, struct address *address, char reason[256],
    struct keystore *keystore, const struct source *source)
{
	struct storage_claims claims = {0};
	enum keystore_result result = source->v3
	    ? storage_open(key, &claims, reason, keystore->arena, source->text, source->size,
		  source->password, source->password_size)
	    : read_hex(key, reason, source);

	if (result != KEYSTORE_OK)
		return result;
	if (!signer_address(address, keystore->signer, key)) {
		explain(reason, "the key is zero or not below the order of the curve");
		return KEYSTORE_BAD_KEY;
	}
	if (claims.has_address && !address_equal(&claims.address, address)) {
		explain(reason, "the key file: its address is not its key's");
		return KEYSTORE_BAD_FILE;
	}
	return KEYSTORE_OK;
}

/* agent NULL: only say whose key it is. */
static enum keystore_result import(struct address *out, char reason[256],
    struct keystore *keystore, const char *agent, const struct source *source, bool replace)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result;
	struct address address;

	if (key == NULL) {
		explain(reason, "no memory for keys: %s", strerror(errno));
		return KEYSTORE_IO;
	}
	result = read_source(key, &address, reason, keystore, source);
	if (result == KEYSTORE_OK && agent != NULL) {
		result = store_key(keystore, agent, key, &address, replace);
		explain_store(reason, result, agent);
	}
	arena_give(keystore->arena, &key);
	if (result == KEYSTORE_OK)
		*out = address;
	return result;
}

enum keystore_result keystore_import_hex(struct address *out, char reason[256],
    struct keystore *keystore, const char *agent, const char *text, size_t size, bool replace)
{
	struct source source = {.text = text, .size = size};

	return import(out, reason, keystore, agent, &source, replace);
}

enum keystore_result keystore_import_v3(struct address *out, char reason[256],
    struct keystore *keystore, const char *agent, const char *json, size_t size,
    const char *password, size_t password_size, bool replace)
{
	struct source source = {json, size, true, password, password_size};

	return import(out, reason, keystore, agent, &source, replace);
}

/* A copy for work too slow to hold the lock. */
static enum keystore_result copy_key(uint8_t *key, struct address *address,
    struct keystore *keystore, const char *agent)
{
	const struct cached_key *cached;
	bool found;

	must(pthread_rwlock_rdlock(&keystore->lock) == 0);
	cached = keycache_find(keystore->cache, agent);
	found = cached != NULL;
	if (found) {
		memcpy(key, cached->key, SIGNER_KEY_SIZE);
		*address = cached->address;
	}
	must(pthread_rwlock_unlock(&keystore->lock) == 0);
	return found ? KEYSTORE_OK : read_key(key, address, keystore, agent);
}

enum keystore_result keystore_export_v3(char **out, struct keystore *keystore, const char *agent,
    const char *password, size_t password_size)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result;
	struct address address;

	if (key == NULL)
		return KEYSTORE_IO;
	result = copy_key(key, &address, keystore, agent);
	if (result == KEYSTORE_OK)
		result = storage_seal(out, keystore->arena, key, &address, password, password_size);
	arena_give(keystore->arena, &key);
	return result;
}

enum keystore_result keystore_address(struct address *out, struct keystore *keystore,
    const char *agent)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result;
	struct address address;

	if (key == NULL)
		return KEYSTORE_IO;
	result = copy_key(key, &address, keystore, agent);
	arena_give(keystore->arena, &key);
	if (result == KEYSTORE_OK)
		*out = address;
	return result;
}

/* signer NULL: whoever's it is. */
static bool is_of(const struct cached_key *cached, const struct address *signer)
{
	return signer == NULL || address_equal(signer, &cached->address);
}

/* Under the lock, for reading or writing. */
static enum keystore_result sign_cached(uint8_t out[KEYSTORE_SIGNATURE_SIZE], char *signer_text,
    const struct keystore *keystore, struct cached_key *cached, const struct digest *digest)
{
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
	struct address recovered;

	if (!signer_sign(signature, keystore->signer, cached->key, digest))
		return KEYSTORE_BAD_KEY;
	if (!atomic_load(&cached->proved)) {
		if (!signer_recover(&recovered, keystore->signer, signature, digest) ||
		    !address_equal(&recovered, &cached->address)) {
			log_event(LOG_ERROR, "signature_wrong", "agent", cached->agent, NULL);
			return KEYSTORE_BAD_KEY;
		}
		atomic_store(&cached->proved, true);
	}
	memcpy(out, signature, KEYSTORE_SIGNATURE_SIZE);
	if (signer_text != NULL)
		memcpy(signer_text, cached->address_text, ADDRESS_TEXT_SIZE);
	return KEYSTORE_OK;
}

/* Under the lock for writing: the key that waits becomes the agent's, if it is the one of
 * address. Whatever a crash leaves of this is done again when it is next asked for. */
static enum keystore_result adopt(struct keystore *keystore, const char *agent,
    const struct address *address)
{
	char *path = agent_path(keystore, agent), *next = next_path(keystore, agent);
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result = KEYSTORE_IO;
	struct address waiting;
	char *text = NULL;
	size_t size;
	int error;

	if (key == NULL)
		goto out;
	result = read_key_at(key, &waiting, keystore, agent, next);
	if (result == KEYSTORE_NOT_FOUND ||
	    (result == KEYSTORE_OK && !address_equal(&waiting, address)))
		result = KEYSTORE_BAD_KEY;
	if (result == KEYSTORE_OK)
		result = keyfile_read(&text, &size, next);
	if (result != KEYSTORE_OK)
		goto out;
	if (keep_old(path) && file_replace(path, text, size, S_IRUSR | S_IWUSR)) {
		FAULT_POINT("key adopted");
		unlink(next);
		keycache_drop(keystore->cache, agent);
	} else {
		result = KEYSTORE_IO;
	}
out:
	error = errno;
	arena_give(keystore->arena, &key);
	free(text);
	free(next);
	free(path);
	errno = error;
	return result;
}

/* Under the lock for writing: the key of an agent whose key is not unlocked yet. */
static enum keystore_result unlock_key(struct cached_key **out, struct keystore *keystore,
    const char *agent)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result;
	struct address address;

	if (key == NULL)
		return KEYSTORE_IO;
	result = read_key(key, &address, keystore, agent);
	if (result == KEYSTORE_OK)
		*out = keycache_put(keystore->cache, agent, &address, &key);
	arena_give(keystore->arena, &key);
	return result;
}

static enum keystore_result sign(uint8_t out[KEYSTORE_SIGNATURE_SIZE], char *signer_text,
    struct keystore *keystore, const char *agent, const struct address *signer,
    const struct digest *digest)
{
	enum keystore_result result = KEYSTORE_OK;
	struct cached_key *cached;
	bool usable;
	int error;

	must(pthread_rwlock_rdlock(&keystore->lock) == 0);
	cached = keycache_find(keystore->cache, agent);
	usable = cached != NULL && is_of(cached, signer);
	if (usable)
		result = sign_cached(out, signer_text, keystore, cached, digest);
	must(pthread_rwlock_unlock(&keystore->lock) == 0);
	if (usable)
		return result;

	/* First use. Another thread may have come first; then its work is found here. */
	must(pthread_rwlock_wrlock(&keystore->lock) == 0);
	cached = keycache_find(keystore->cache, agent);
	if (cached == NULL)
		result = unlock_key(&cached, keystore, agent);
	if (result == KEYSTORE_OK && !is_of(cached, signer)) {
		result = adopt(keystore, agent, signer);
		if (result == KEYSTORE_OK)
			result = unlock_key(&cached, keystore, agent);
	}
	if (result == KEYSTORE_OK)
		result = sign_cached(out, signer_text, keystore, cached, digest);
	error = errno;
	must(pthread_rwlock_unlock(&keystore->lock) == 0);
	errno = error;
	return result;
}

enum keystore_result keystore_adopt(struct keystore *keystore, const char *agent,
    const struct address *address)
{
	uint8_t *key = arena_take(keystore->arena);
	enum keystore_result result = KEYSTORE_OK;
	const struct cached_key *cached;
	struct address present;
	int error;

	if (key == NULL)
		return KEYSTORE_IO;
	must(pthread_rwlock_wrlock(&keystore->lock) == 0);
	cached = keycache_find(keystore->cache, agent);
	if (cached != NULL)
		present = cached->address;
	else
		result = read_key(key, &present, keystore, agent);
	if (result == KEYSTORE_OK && !address_equal(&present, address))
		result = adopt(keystore, agent, address);
	error = errno;
	must(pthread_rwlock_unlock(&keystore->lock) == 0);
	arena_give(keystore->arena, &key);
	errno = error;
	return result;
}

enum keystore_result keystore_sign(uint8_t out[KEYSTORE_SIGNATURE_SIZE], struct keystore *keystore,
    const char *agent, const struct digest *digest)
{
	return sign(out, NULL, keystore, agent, NULL, digest);
}

enum keystore_result keystore_sign_as(uint8_t out[KEYSTORE_SIGNATURE_SIZE], char *signer_text,
    struct keystore *keystore, const char *agent, const struct address *signer,
    const struct digest *digest)
{
	return sign(out, signer_text, keystore, agent, signer, digest);
}
