/* policy/words.h - the strings a policy is made of, checked and made canonical.
 *
 * Internal to policy/. Each check returns NULL when the word will do, else what is
 * wrong with it, as the end of a sentence. */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include "common/must.h"

#define WORDS_ADDRESS_SIZE 43 /* "0x", 40 digits, NUL */

/** A pattern over tool names: no white space (names have none, and the names of
 * rules and limits are split at it). */
const char *words_check_pattern(const char *text) MUST_CHECK;
/** CAIP-2, "eip155:84532". */
const char *words_check_network(const char *text) MUST_CHECK;
/** A token's symbol. */
const char *words_check_symbol(const char *text) MUST_CHECK;
/** "0x" and 40 hex digits; mixed case must pass the EIP-55 check. out gets the
 * lower-case text; untouched when something is wrong. */
const char *words_check_address(char out[WORDS_ADDRESS_SIZE], const char *text) MUST_CHECK;

#endif
