/* wallet/keyfile.h - our own files: the wrapped data key, and one sealed key an agent.
 *
 * Both are JSON with a version, so that a later form can be told apart. The data
 * key's file carries a checksum over its public fields: a damaged file fails it, so
 * that what fails the tag alone is a wrong passphrase. An agent's key is sealed
 * with its agent's name and address as additional data: a file renamed or edited
 * to pass for another agent's does not open. */
#ifndef WALLET_KEYFILE_H
#define WALLET_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

#include "wallet/arena.h"
#include "wallet/keystore.h"

#define KEYFILE_SIZE_MAX (8u * 1024u) /* a name of any length we write fits */
#define KEYFILE_NAME_MAX 240

/** keyfile_read - the bytes of a file that only its owner may touch; the caller frees
 * *out, which is NUL-terminated. KEYSTORE_OK, NOT_FOUND, UNSAFE_FILE (any permission
 * bit of group or others), BAD_FILE (no regular file, or too large), IO. */
enum keystore_result keyfile_read(char **out, size_t *out_size, const char *path) MUST_CHECK;

/** The file's name for an agent of any name: its letters, digits, '_', '-' and inner dots
 * as they are, else "=XX"; past KEYFILE_NAME_MAX a digest of the name. Returns name. */
const char *keyfile_name(char name[KEYFILE_NAME_MAX + 1], const char *agent);

/** Wrap and unwrap the data key; slow on purpose, unless it was wrapped under a random
 * passphrase. The texts are the caller's to free.
 * Results: OK; open also BAD_FILE, BAD_PASSPHRASE; IO when memory is gone. */
enum keystore_result keyfile_seal_data(char **out, struct arena *arena,
    const uint8_t data_key[ARENA_SLOT_SIZE], const char *passphrase,
    size_t passphrase_size, enum passphrase_kind kind) MUST_CHECK;
enum keystore_result keyfile_open_data(uint8_t data_key[ARENA_SLOT_SIZE], char reason[256],
    struct arena *arena, const char *text, size_t size, const char *passphrase,
    size_t passphrase_size) MUST_CHECK;

/** Seal and open an agent's key under the data key. OK; open also BAD_FILE; IO. */
enum keystore_result keyfile_seal_agent(char **out, const uint8_t data_key[ARENA_SLOT_SIZE],
    const uint8_t key[ARENA_SLOT_SIZE], const char *agent,
    const struct address *address) MUST_CHECK;
enum keystore_result keyfile_open_agent(uint8_t key[ARENA_SLOT_SIZE], struct address *address,
    const uint8_t data_key[ARENA_SLOT_SIZE], const char *text, size_t size,
    const char *agent) MUST_CHECK;

#endif
