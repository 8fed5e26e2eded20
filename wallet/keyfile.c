/* wallet/keyfile.c - our own files: the wrapped data key, and one sealed key an agent. */
#include "wallet/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "common/json.h"
#include "wallet/cipher.h"

#define VERSION     1
#define SECRET_SIZE ARENA_SLOT_SIZE
#define SALT_SIZE   32
/* The longest agent name that is sealed; the rooms above allow 64 letters. */
#define AGENT_MAX   1024

/* What a passphrase costs, once a start and with every guess of whoever stole the file. One
 * that somebody chose: 128 MiB and about half a second. Of 256 random bits nobody guesses a
 * part worth naming at any price, so a start need not pay one: 1 MiB and 2 ms. */
static const struct cipher_scrypt chosen_cost = {.n = 131072, .r = 8, .p = 1};
static const struct cipher_scrypt random_cost = {.n = 1024, .r = 8, .p = 1};

/* What AES-GCM leaves behind. */
struct sealed {
	uint8_t nonce[CIPHER_NONCE_SIZE];
	uint8_t ciphertext[SECRET_SIZE];
	uint8_t tag[CIPHER_TAG_SIZE];
};

static enum keystore_result read_fd(char **out, size_t *out_size, int fd)
{
	struct stat status;
	size_t size = 0;
	char *text;

	if (fstat(fd, &status) != 0)
		return KEYSTORE_IO;
	if (!S_ISREG(status.st_mode))
		return KEYSTORE_BAD_FILE;
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return KEYSTORE_UNSAFE_FILE;
	if (status.st_size > KEYFILE_SIZE_MAX)
		return KEYSTORE_BAD_FILE;
	text = must_alloc(KEYFILE_SIZE_MAX + 1);
	while (size < KEYFILE_SIZE_MAX) {
		ssize_t got = read(fd, text + size, KEYFILE_SIZE_MAX - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(text);
			return KEYSTORE_IO;
		}
		if (got == 0)
			break;
		size += (size_t)got;
	}
	text[size] = '\0';
	*out = text;
	*out_size = size;
	return KEYSTORE_OK;
}

enum keystore_result keyfile_read(char **out, size_t *out_size, const char *path)
{
	/* O_NONBLOCK: a FIFO in the place of the file does not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	enum keystore_result result;
	int error;

	if (fd < 0)
		return errno == ENOENT ? KEYSTORE_NOT_FOUND : KEYSTORE_IO;
	result = read_fd(out, out_size, fd);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_' || c == '-';
}

const char *keyfile_name(char name[KEYFILE_NAME_MAX + 1], const char *agent)
{
	static const char suffix[] = ".key";
	size_t length = 0, i;

	if (agent[0] == '\0')
		name[length++] = '=';
	for (i = 0; agent[i] != '\0'; i++) {
		if (length + 3 + sizeof(suffix) > KEYFILE_NAME_MAX) {
			struct digest hash = sha256(agent, strlen(agent));
			char hex[2 * DIGEST_SIZE + 1];

			hex_encode(hex, hash.bytes, DIGEST_SIZE);
			snprintf(name, KEYFILE_NAME_MAX + 1, "==%s%s", hex, suffix);
			return name;
		}
		/* A dot in front would hide the file, or name a folder. */
		if (is_plain(agent[i]) || (agent[i] == '.' && i > 0))
			name[length++] = agent[i];
		else
			length += (size_t)snprintf(name + length, sizeof("=XX"), "=%02X",
			    (unsigned)(unsigned char)agent[i]);
	}
	memcpy(name + length, suffix, sizeof(suffix));
	return name;
}

static bool seal(struct sealed *out, const uint8_t key[CIPHER_KEY_SIZE],
    const uint8_t secret[SECRET_SIZE], const void *aad, size_t aad_size)
{
	bytes_random(out->nonce, sizeof(out->nonce));
	return cipher_gcm_seal(out->ciphertext, out->tag, key, out->nonce, aad, aad_size, secret,
	    SECRET_SIZE);
}

static bool unseal(uint8_t secret[SECRET_SIZE], const uint8_t key[CIPHER_KEY_SIZE],
    const struct sealed *sealed, const void *aad, size_t aad_size)
{
	return cipher_gcm_open(secret, sealed->tag, key, sealed->nonce, aad, aad_size,
	    sealed->ciphertext, SECRET_SIZE);
}

/* The three members every sealed file has. */
static void write_sealed(json_t *root, const struct sealed *sealed)
{
	char nonce[2 * CIPHER_NONCE_SIZE + 1], ciphertext[2 * SECRET_SIZE + 1];
	char tag[2 * CIPHER_TAG_SIZE + 1];

	hex_encode(nonce, sealed->nonce, sizeof(sealed->nonce));
	hex_encode(ciphertext, sealed->ciphertext, sizeof(sealed->ciphertext));
	hex_encode(tag, sealed->tag, sizeof(sealed->tag));
	must(json_object_set_new(root, "cipher", json_string("aes-256-gcm")) == 0);
	must(json_object_set_new(root, "nonce", json_string(nonce)) == 0);
	must(json_object_set_new(root, "ciphertext", json_string(ciphertext)) == 0);
	must(json_object_set_new(root, "tag", json_string(tag)) == 0);
}

static bool text_is(const json_t *root, const char *key, const char *wanted)
{
	const char *text = json_str(root, key);

	return text != NULL && strcmp(text, wanted) == 0;
}

static bool read_sealed(struct sealed *out, const json_t *root)
{
	return json_integer_value(json_member(root, "version")) == VERSION &&
	    text_is(root, "cipher", "aes-256-gcm") &&
	    hex_decode(out->nonce, sizeof(out->nonce), json_str(root, "nonce")) &&
	    hex_decode(out->ciphertext, sizeof(out->ciphertext), json_str(root, "ciphertext")) &&
	    hex_decode(out->tag, sizeof(out->tag), json_str(root, "tag"));
}

static char *dump(json_t *root)
{
	char *text = json_dumps(root, JSON_INDENT(2));

	must(text != NULL);
	json_decref(root);
	return text;
}

/* The data key's file, but for the sealed part. */
struct wrapping {
	struct cipher_scrypt cost;
	uint8_t salt[SALT_SIZE];
	struct sealed sealed;
};

/* Bound to the ciphertext, so that parameters cannot be exchanged. */
static char *wrapping_aad(const struct wrapping *wrapping)
{
	char salt[2 * SALT_SIZE + 1];

	hex_encode(salt, wrapping->salt, SALT_SIZE);
	return must_format("tallyward data key %d scrypt %llu %lu %lu %s", VERSION,
	    (unsigned long long)wrapping->cost.n, (unsigned long)wrapping->cost.r,
	    (unsigned long)wrapping->cost.p, salt);
}

static struct digest wrapping_checksum(const struct wrapping *wrapping)
{
	char *aad = wrapping_aad(wrapping);
	struct sha256 *running = sha256_new();

	sha256_add(running, aad, strlen(aad));
	sha256_add(running, wrapping->sealed.nonce, sizeof(wrapping->sealed.nonce));
	sha256_add(running, wrapping->sealed.ciphertext, sizeof(wrapping->sealed.ciphertext));
	sha256_add(running, wrapping->sealed.tag, sizeof(wrapping->sealed.tag));
	free(aad);
	return sha256_done(&running);
}

static char *write_wrapping(const struct wrapping *wrapping)
{
	struct digest checksum = wrapping_checksum(wrapping);
	char salt[2 * SALT_SIZE + 1], checksum_text[2 * DIGEST_SIZE + 1];
	json_t *root;

	root = json_pack("{s:i, s:s, s:{s:I, s:I, s:I, s:s}}", "version", VERSION, "kdf", "scrypt",
	    "kdfparams", "n", (json_int_t)wrapping->cost.n, "r", (json_int_t)wrapping->cost.r, "p",
	    (json_int_t)wrapping->cost.p, "salt", hex_encode(salt, wrapping->salt, SALT_SIZE));
	must(root != NULL);
	write_sealed(root, &wrapping->sealed);
	hex_encode(checksum_text, checksum.bytes, DIGEST_SIZE);
	must(json_object_set_new(root, "checksum", json_string(checksum_text)) == 0);
	return dump(root);
}

static bool read_u32(uint32_t *out, const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_member(object, key));

	if (value < 1 || value > UINT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool read_wrapping(struct wrapping *out, const json_t *root)
{
	const json_t *params = json_member(root, "kdfparams");
	struct digest checksum, computed;
	uint32_t n;

	if (!text_is(root, "kdf", "scrypt") || !read_u32(&n, params, "n") ||
	    !read_u32(&out->cost.r, params, "r") || !read_u32(&out->cost.p, params, "p") ||
	    !hex_decode(out->salt, SALT_SIZE, json_str(params, "salt")) ||
	    !read_sealed(&out->sealed, root) ||
	    !hex_decode(checksum.bytes, DIGEST_SIZE, json_str(root, "checksum")))
		return false;
	out->cost.n = n;
	computed = wrapping_checksum(out);
	return memcmp(checksum.bytes, computed.bytes, DIGEST_SIZE) == 0 &&
	    cipher_scrypt_fits(&out->cost);
}

enum keystore_result keyfile_seal_data(char **out, struct arena *arena,
    const uint8_t data_key[ARENA_SLOT_SIZE], const char *passphrase, size_t passphrase_size,
    enum passphrase_kind kind)
{
	struct wrapping wrapping = {.cost = kind == PASSPHRASE_RANDOM ? random_cost : chosen_cost};
	uint8_t *derived = arena_take(arena);
	enum keystore_result result = KEYSTORE_IO;
	char *aad;

	if (derived == NULL)
		return KEYSTORE_IO;
	bytes_random(wrapping.salt, SALT_SIZE);
	aad = wrapping_aad(&wrapping);
	errno = ENOMEM; /* the only way in which what follows fails */
	if (cipher_scrypt(derived, passphrase, passphrase_size, wrapping.salt, SALT_SIZE,
		&wrapping.cost) &&
	    seal(&wrapping.sealed, derived, data_key, aad, strlen(aad))) {
		*out = write_wrapping(&wrapping);
		result = KEYSTORE_OK;
	}
	free(aad);
	arena_give(arena, &derived);
	return result;
}

static enum keystore_result unwrap(uint8_t data_key[ARENA_SLOT_SIZE], struct arena *arena,
    const struct wrapping *wrapping, const char *passphrase, size_t passphrase_size)
{
	uint8_t *derived = arena_take(arena);
	enum keystore_result result = KEYSTORE_IO;
	char *aad;

	if (derived == NULL)
		return KEYSTORE_IO;
	aad = wrapping_aad(wrapping);
	errno = ENOMEM;
	if (cipher_scrypt(derived, passphrase, passphrase_size, wrapping->salt, SALT_SIZE,
		&wrapping->cost))
		result = unseal(data_key, derived, &wrapping->sealed, aad, strlen(aad)) ?
		    KEYSTORE_OK :
		    KEYSTORE_BAD_PASSPHRASE;
	free(aad);
	arena_give(arena, &derived);
	return result;
}

static void explain(char reason[256], enum keystore_result result, const char *detail)
{
	if (reason == NULL)
		return;
	switch (result) {
	case KEYSTORE_BAD_FILE:
		snprintf(reason, 256, "the data key's file is damaged: %.200s", detail);
		break;
	case KEYSTORE_BAD_PASSPHRASE:
		snprintf(reason, 256, "the passphrase does not open the data key");
		break;
	case KEYSTORE_IO:
		snprintf(reason, 256, "the data key could not be derived: %s", strerror(errno));
		break;
	case KEYSTORE_OK:
	case KEYSTORE_NOT_FOUND:
	case KEYSTORE_EXISTS:
	case KEYSTORE_BAD_KEY:
	case KEYSTORE_UNSAFE_FILE:
		break;
	}
}

enum keystore_result keyfile_open_data(uint8_t data_key[ARENA_SLOT_SIZE], char reason[256],
    struct arena *arena, const char *text, size_t size, const char *passphrase,
    size_t passphrase_size)
{
	enum keystore_result result = KEYSTORE_BAD_FILE;
	struct wrapping wrapping;
	struct json_error bad;
	json_t *root;

	root = json_read(&bad, text, size, KEYFILE_SIZE_MAX);
	if (root == NULL) {
		explain(reason, result, bad.reason);
		return result;
	}
	if (read_wrapping(&wrapping, root))
		result = unwrap(data_key, arena, &wrapping, passphrase, passphrase_size);
	explain(reason, result, "its fields or its checksum are wrong, or its version is unknown");
	json_decref(root);
	return result;
}

/* "tallyward agent key 1", NUL, name, NUL, address. */
struct agent_aad {
	uint8_t bytes[64 + AGENT_MAX + ADDRESS_SIZE];
	size_t size;
};

static bool make_agent_aad(struct agent_aad *out, const char *agent,
    const struct address *address)
{
	static const char prefix[] = "tallyward agent key 1";
	size_t length = strlen(agent) + 1;

	if (length > AGENT_MAX)
		return false;
	memcpy(out->bytes, prefix, sizeof(prefix));
	memcpy(out->bytes + sizeof(prefix), agent, length);
	memcpy(out->bytes + sizeof(prefix) + length, address->bytes, ADDRESS_SIZE);
	out->size = sizeof(prefix) + length + ADDRESS_SIZE;
	return true;
}

enum keystore_result keyfile_seal_agent(char **out, const uint8_t data_key[ARENA_SLOT_SIZE],
    const uint8_t key[ARENA_SLOT_SIZE], const char *agent, const struct address *address)
{
	char address_text[ADDRESS_TEXT_SIZE];
	struct sealed sealed;
	struct agent_aad aad;
	json_t *root;

	if (!make_agent_aad(&aad, agent, address)) {
		errno = ENAMETOOLONG;
		return KEYSTORE_IO;
	}
	errno = ENOMEM;
	if (!seal(&sealed, data_key, key, aad.bytes, aad.size))
		return KEYSTORE_IO;
	root = json_pack("{s:i, s:s}", "version", VERSION, "address",
	    address_format(address_text, address));
	must(root != NULL);
	write_sealed(root, &sealed);
	*out = dump(root);
	return KEYSTORE_OK;
}

enum keystore_result keyfile_open_agent(uint8_t key[ARENA_SLOT_SIZE], struct address *address,
    const uint8_t data_key[ARENA_SLOT_SIZE], const char *text, size_t size, const char *agent)
{
	enum keystore_result result = KEYSTORE_BAD_FILE;
	struct address claimed;
	struct sealed sealed;
	struct json_error bad;
	struct agent_aad aad;
	json_t *root;

	root = json_read(&bad, text, size, KEYFILE_SIZE_MAX);
	if (root == NULL)
		return KEYSTORE_BAD_FILE;
	if (read_sealed(&sealed, root) && address_parse(&claimed, json_str(root, "address")) &&
	    make_agent_aad(&aad, agent, &claimed) &&
	    unseal(key, data_key, &sealed, aad.bytes, aad.size)) {
		*address = claimed;
		result = KEYSTORE_OK;
	}
	json_decref(root);
	return result;
}
