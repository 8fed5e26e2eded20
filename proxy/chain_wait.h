/* proxy/chain_wait.h - the questions of chain.h, asked by a thread that may wait.
 *
 * For owner's commands. A private loop and connections of its own; nothing of the daemon's
 * loops is touched. Each function returns what `done` would be told; what it hands out is
 * untouched unless CHAIN_OK, but for the reason and the findings, which are always set. */
#ifndef PROXY_CHAIN_WAIT_H
#define PROXY_CHAIN_WAIT_H

#include "proxy/chain.h"

struct chain_wait;

/** ca_file NULL: the system's. Never NULL. */
struct chain_wait *chain_wait_new(
    const char *network, const char *urls, uint32_t request_ms_max, const char *ca_file);
void chain_wait_free(struct chain_wait **wait);

enum chain_result chain_wait_fates(struct chain_finding *findings, char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const struct chain_query *queries, size_t count,
    int64_t depth) MUST_CHECK;
enum chain_result chain_wait_balance(struct uint256 *balance, struct chain_block *block,
    int64_t *endpoints, char reason[CHAIN_REASON_SIZE], struct chain_wait *wait,
    const struct asset *asset, const struct address *holder, int64_t depth) MUST_CHECK;
/** transfers: CHAIN_TRANSFERS_MAX of them. */
enum chain_result chain_wait_transfers(struct chain_transfer *transfers, size_t *count,
    int64_t *endpoints, char reason[CHAIN_REASON_SIZE], struct chain_wait *wait,
    const struct asset *asset, const struct address *senders, size_t sender_count,
    const struct address *to, int64_t since_s, int64_t depth) MUST_CHECK;
enum chain_result chain_wait_gas(struct chain_gas *gas, char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const struct address *sender, const struct address *to,
    const uint8_t *data, size_t data_size) MUST_CHECK;
enum chain_result chain_wait_send(char transaction[CHAIN_TEXT_SIZE], char reason[CHAIN_REASON_SIZE],
    struct chain_wait *wait, const uint8_t *raw, size_t size) MUST_CHECK;
enum chain_result chain_wait_head(struct chain_block *head, int64_t *endpoints,
    char reason[CHAIN_REASON_SIZE], struct chain_wait *wait) MUST_CHECK;
/** As chain_endpoints(). */
size_t chain_wait_endpoints(
    struct chain_endpoint out[CHAIN_ENDPOINTS_MAX], const struct chain_wait *wait);

#endif
