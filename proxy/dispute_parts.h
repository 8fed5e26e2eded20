/* proxy/dispute_parts.h - how a bundle is written and signed; for dispute_*.c alone.
 *
 * The file is JSON over many lines, ASCII, its last two lines
 *
 *     "signature": "0x…"
 *   }
 *
 * What is signed (EIP-191) is one line of text with the SHA-256 of everything before them. So
 * every byte of the file is either hashed or has one spelling, and any tool can check it:
 * head -n -2 FILE | sha256sum. */
#ifndef PROXY_DISPUTE_PARTS_H
#define PROXY_DISPUTE_PARTS_H

#include <stddef.h>

#define DISPUTE_DUMP_FLAGS (JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17))

#define DISPUTE_TAIL_START "  \"signature\": \""
#define DISPUTE_TAIL_END   "\"\n}\n"

#define DISPUTE_STATEMENT_SIZE 128u

/** "tallyward dispute bundle, SHA-256 <hex>" of the bytes before the tail. */
void dispute_statement(char out[DISPUTE_STATEMENT_SIZE], const char *signed_part, size_t size);

#endif
