/* wallet/keystore.h - the agents' secp256k1 keys. Key bytes never leave this room.
 *
 * One file an agent, DIR/<name>.key (0600; odd characters of the name as "=XX"):
 * AES-256-GCM under a data key, bound to the agent's name and address as additional
 * data. The data key is itself wrapped in DIR/datakey.json under scrypt(passphrase) and
 * is unwrapped once, when the keystore is opened, into locked memory (mlock,
 * MADV_DONTDUMP, MADV_WIPEONFORK; a kernel that refuses is logged once). A wallet key
 * is decrypted on first use and kept there, KEYSTORE_UNLOCKED_MAX of them at most, then
 * the one unlocked first makes room; all are wiped on close. Files that group or others
 * may touch are refused.
 * Thread-safe: every function but open and close may be called from any thread. */
#ifndef WALLET_KEYSTORE_H
#define WALLET_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"
#include "wallet/address.h"

enum keystore_result {
	KEYSTORE_OK = 0,
	KEYSTORE_NOT_FOUND = 1,      /* no such agent key */
	KEYSTORE_EXISTS = 2,         /* would overwrite a key */
	KEYSTORE_BAD_PASSPHRASE = 3, /* of the data key, or of an imported file */
	KEYSTORE_BAD_FILE = 4,       /* malformed, tampered with, or of unknown version */
	/* Zero or not below the curve's order; not 32 bytes of hex; or, when signing, not the
	 * key that was expected. */
	KEYSTORE_BAD_KEY = 5,
	KEYSTORE_UNSAFE_FILE = 6,    /* readable by group or others */
	KEYSTORE_IO = 7,             /* errno says why */
};
const char *keystore_result_str(enum keystore_result result);

#define KEYSTORE_SIGNATURE_SIZE 65 /* r, s (low), v = 27 or 28 */

/* 128 KiB of locked memory, a small part of the usual limit of 8 MiB. */
#define KEYSTORE_UNLOCKED_MAX 4096

/* The key of the installation itself: what it says about its own books is signed with it.
 * No agent can have this name. */
#define KEYSTORE_INSTALLATION "@installation"

struct keystore;

/* What is known of a passphrase. */
enum passphrase_kind {
	PASSPHRASE_CHOSEN = 0, /* by somebody: each guess is made dear, 128 MiB and about 0.4 s */
	PASSPHRASE_RANDOM = 1, /* 256 bits of bytes_random(), made just now by the caller: nobody
				* gets through a part of them, however cheap a guess is */
};

/** keystore_create - make DIR (0700), a fresh wrapped data key and the installation's key;
 *                    durable when OK. How dear a guess is stays as it was made.
 *                    OK, EXISTS (there is one already), IO.
 *  keystore_open   - unwrap it; slow on purpose (scrypt) where the passphrase was chosen.
 *                    reason: one sentence when not OK.
 *                    OK, NOT_FOUND, BAD_PASSPHRASE, BAD_FILE, UNSAFE_FILE, IO. */
enum keystore_result keystore_create(const char *dir, const char *passphrase,
    size_t passphrase_size, enum passphrase_kind kind) MUST_CHECK;
enum keystore_result keystore_open(struct keystore **out, char reason[256], const char *dir,
    const char *passphrase, size_t passphrase_size) MUST_CHECK;
void keystore_close(struct keystore **keystore);

/** A fresh random key for agent; durable when it returns OK. EXISTS, IO. */
enum keystore_result keystore_generate(struct address *out, struct keystore *keystore,
    const char *agent) MUST_CHECK;
/** keystore_import_* - a key made elsewhere. When the agent has one: KEYSTORE_EXISTS, or, with
 * replace, it waits durably beside it until it is adopted, so that whatever says whose key the
 * agent's is (the ledger) can change in between and a crash leaves one of the two in force.
 * reason: one sentence when not OK; may be NULL.
 *   hex:  64 hex digits with or without 0x, surrounding white space ignored
 *   v3:   Web3 Secret Storage v3 JSON (scrypt or pbkdf2), as geth, foundry, MetaMask and
 *         web3.py write it; an address in it must be the key's (else BAD_FILE). Its
 *         derivation may take 1 GiB at most.
 * agent NULL: nothing is stored, *out says whose key it is. */
enum keystore_result keystore_import_hex(struct address *out, char reason[256],
    struct keystore *keystore, const char *agent, const char *text, size_t size,
    bool replace) MUST_CHECK;
enum keystore_result keystore_import_v3(struct address *out, char reason[256],
    struct keystore *keystore, const char *agent, const char *json, size_t size,
    const char *password, size_t password_size, bool replace) MUST_CHECK;
/** keystore_adopt - from now on the agent's key is that of address: either it is already, or it
 * is the one that waits. The key before it is kept beside it as <file>.replaced-<microseconds>,
 * the time it was written. BAD_KEY when neither is of that address; NOT_FOUND, BAD_FILE,
 * UNSAFE_FILE, IO. Durable when OK. */
enum keystore_result keystore_adopt(struct keystore *keystore, const char *agent,
    const struct address *address) MUST_CHECK;
/** Web3 Secret Storage v3 JSON (scrypt n=262144 r=8 p=1) under password; caller frees *out. */
enum keystore_result keystore_export_v3(char **out, struct keystore *keystore, const char *agent,
    const char *password, size_t password_size) MUST_CHECK;

/** The address of an agent's key, without keeping the key. */
enum keystore_result keystore_address(struct address *out, struct keystore *keystore,
    const char *agent) MUST_CHECK;
/** keystore_sign - recoverable ECDSA over a 32-byte digest, RFC 6979 nonce, low s.
 *
 * The first signature by each unlocked key is recovered and compared with the key's
 * address before it is handed out (BAD_KEY when it differs); later ones are not, the
 * key and the code having been proved by then.
 *  keystore_sign_as - the same, but BAD_KEY unless the key is the one of signer, or that one
 * waits, which is then adopted: what a message names and what signs it are the same key.
 * signer_text: signer's EIP-55 text, when OK; NULL: not wanted.
 * OK, NOT_FOUND, BAD_FILE, BAD_KEY, UNSAFE_FILE, IO. */
enum keystore_result keystore_sign(uint8_t out[KEYSTORE_SIGNATURE_SIZE], struct keystore *keystore,
    const char *agent, const struct digest *digest) MUST_CHECK;
enum keystore_result keystore_sign_as(uint8_t out[KEYSTORE_SIGNATURE_SIZE], char *signer_text,
    struct keystore *keystore, const char *agent, const struct address *signer,
    const struct digest *digest) MUST_CHECK;

#endif
