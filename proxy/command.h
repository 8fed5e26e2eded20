/* proxy/command.h - every owner's command, once.
 *
 * The command line sends a request to the running daemon's admin socket (POST /command,
 * DIR/admin.sock), or, when no daemon runs, opens the house itself and calls command_run():
 * the same function either way.
 *
 * Request  {"command": "agent.add", "args": {...}}
 * Reply    {"ok": true, "result": ..., "warnings": ["…"]}            (warnings optional)
 *          {"ok": false, "exit": 1..5, "error": "one line that says what to do"}
 *
 * Each command with its arguments ([] optional), and its result below it:
 *
 * agent.add         name, owner, [policy: text], [ttl_s]
 *     {agent, owner, address, session, token, expires_at}
 * agent.list
 *     [{agent, owner, address, state, created_at}]
 * agent.show        agent
 *     the same with sessions (how many live) and policy (full form)
 * agent.suspend     agent
 * agent.resume      agent
 *     {agent, state}
 * token.issue       agent, [ttl_s]
 *     {agent, session, token, expires_at}
 * token.list        [agent]
 *     [{session, agent, issued_at, expires_at, state}]    active | expired | revoked
 * token.revoke      session
 *     {session, agent, state}
 * tool.add          name, url, [price], [billing], [delivery: text], [private: bool]
 * tool.show         tool
 *     {tool, url, billing, price, delivery, private}      price, delivery null when none
 * tool.list
 *     [the same]
 * tool.remove       tool
 *     {tool}
 * network.list
 *     [{network, name, testnet, assets: [symbol…], rpc: [url…]}]
 * network.set       network, rpc: URLs with blanks between, as chain_urls_check() wants them
 *     {network, rpc: [url…]}
 * policy.set        agent, policy: text
 *     {agent, rules, limits}                              how many
 * policy.show       agent
 *     the policy in its full form
 * policy.explain    agent, tool, [price]
 *     {agent, tool, price, allowed, code, rule, remaining, resets_at, limits, reason}
 *     limits: [{rule, scope, window, measure, max, used, remaining, resets_at, fits}]
 * wallet.show       agent
 *     {agent, address, assets: [{network, asset, symbol, available, reserved, open, spent}]}
 * wallet.deposit    agent, amount, [network], [note]
 * wallet.withdraw   agent, amount, [network], [note]
 *     {agent, event, amount, network, asset, symbol, available}
 * wallet.reconcile  agent, [network], [deposits: [{network, asset, amount}]: inflow to book]
 *     {agent, address, ok, assets: [{network, asset, symbol, ledger, chain, in_flight,
 *       difference, block, endpoints, ok, booked, proved, note}]}
 *     difference: chain - ledger - in_flight; null, with chain, where there was no answer
 * wallet.import     agent, key | keystore + password, [replace]
 *     {agent, address}
 * wallet.export     agent, password
 *     {agent, address, keystore: object}
 * payment.list      [agent], [open: bool]
 *     [{payment, call, agent, tool, state, amount, payee, network, nonce, valid_before,
 *       transaction, refunded, [flag]}]
 *     flag: what the chain contradicts, while nothing has answered it
 * payment.show      payment
 *     the same with asset, symbol, value, payer, session, method, url, request_digest,
 *     header_name, reason, challenge, offer, receipt, states, evidence: [{time, kind, block,
 *     block_hash, block_time, transaction, log_index, endpoints, detail}]
 *     offer, receipt: {state, signer, reason}: what the seller signed, checked
 * payment.resolve   payment, decision: "settled" | "unused", [transaction], [note], [force]
 *     the same with decision
 * payment.refund    payment, amount, [transaction], [note]
 *     the same as payment.show
 * payment.cancel    payment | agent, [max_gas_price: gwei], [max_fee: coins], [wait_s],
 *                   [quote: bool]
 *     {agent, payments: [{payment, state, transaction, reason, amount, network, tool}],
 *       networks: [{network, name, address, transactions, gas_price, fee, fee_max, balance}],
 *       [more]}
 *     state: sent | cancelled | settled | skipped | failed; ready in a quote, which sends
 *     nothing and says in fee and fee_max what it would cost. more: were left out
 * ledger.statement  [agent], [since], [until]
 *     [{id, time, event, call, tool, from, to, amount, network, asset, symbol, transaction,
 *       note}]
 * ledger.verify     [head], [audit_head], [anchors: path]
 *     {ok, transactions, postings, audits, head, audit_head, anchors, anchored_at,
 *       installation, problems: […]}
 * ledger.export     [agent], format: hledger | csv | json
 *     {text}
 * ledger.claim      [agent], [all: bool]
 *     [{call, payment, time, agent, tool, amount, refunded, network, symbol, payee, state, reason,
 *       transaction}]                                     paid and not delivered, oldest first
 * ledger.audit      [agent], [call]
 *     [{call, time, kind, agent, owner, session, tool, method, path, allowed, code, rule,
 *       price, …}]
 * dispute           call
 *     {call, text}                                        the bundle, proxy/dispute.h
 * backup            file: absolute path, [with_passphrase: bool]
 *     {file, bytes, made_at, keys, transactions, audits, head, audit_head, passphrase: bool}
 * doctor            asks the endpoints of every network
 *     [{check, ok, detail}]
 *
 * Amounts are decimal dollars in strings, ids strings, times RFC 3339 UTC. */
#ifndef PROXY_COMMAND_H
#define PROXY_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct house;

/** Exit statuses of the program and of replies. */
enum command_exit {
	COMMAND_DONE = 0,
	COMMAND_FAILED = 1,
	COMMAND_USAGE = 2,
	COMMAND_UNREACHABLE = 3,
	COMMAND_NOT_ALLOWED = 4,
	COMMAND_NOT_FOUND = 5,
};

/** command_run - carry out one request; blocks on the disk. Never NULL; the caller
 * decrefs. request is borrowed. */
json_t *command_run(struct house *house, const json_t *request, int64_t now_us);
/** Does this request wait for a chain's endpoints, or read all of the ledger? Then it is not
 * for a loop's thread:
 * proxy/errand.h. At most one such command runs at a time, beside one that does not wait. */
bool command_waits(const json_t *request);

#endif
