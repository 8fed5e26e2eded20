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
 * command           args                                          result
 * agent.add         name, owner, [policy: text], [ttl_s]          {agent, owner, address, session,
 * token, expires_at} agent.list                                                      [{agent,
 * owner, address, state, created_at}] agent.show        agent {agent, owner, address, state,
 * created_at, sessions, policy} agent.suspend     agent {agent, state} agent.resume      agent
 * {agent, state} token.issue       agent, [ttl_s]                                {agent, session,
 * token, expires_at} token.list        [agent]                                       [{session,
 * agent, issued_at, expires_at, state}]   active|expired|revoked token.revoke      session
 * {session, agent, state} tool.add          name, url, [price], [billing]                 {tool,
 * url, billing, price}     price null when none tool.list [{tool, url, billing, price}] tool.show
 * tool                                          {tool, url, billing, price} tool.remove       tool
 * {tool} network.list                                                    [{network, name, testnet,
 * assets: [symbol…], rpc: [url…]}] network.set       network, rpc {network, rpc: [url…]} policy.set
 * agent, policy: text                           {agent, rules, limits}          (counts)
 * policy.show       agent                                         the policy in its full form
 * (object) policy.explain    agent, tool, [price]                          {agent, tool, price,
 * allowed, code, rule, verdict, limits: [{rule, scope, window, measure, max, used, remaining,
 * resets_at, fits}], reason} wallet.show       agent {agent, address, assets: [{network, asset,
 * symbol, available, reserved, open, spent}]} wallet.deposit    agent, amount, [network], [note]
 * {agent, event, amount, network, asset, available} wallet.withdraw   agent, amount, [network],
 * [note]              the same wallet.import     agent, key | keystore + password, [replace]
 * {agent, address} wallet.export     agent, password                               {agent, address,
 * keystore: object} payment.list      [agent], [open: bool]                         [{payment,
 * call, agent, tool, state, amount, payee, network, nonce, valid_before, transaction}] payment.show
 * payment                                       the same with asset, payer, session, method, url,
 * reason, challenge, header_name, states payment.resolve   payment, decision: "settled"|"unused",
 * {payment, state, amount, ...} [transaction], [note], [force] ledger.statement  [agent], [since],
 * [until]                     [{id, time, event, call, tool, from, to, amount, network, asset,
 * transaction}] ledger.verify                                                   {ok, transactions,
 * postings, audits, head, audit_head, problems: […]} ledger.export     [agent], format:
 * hledger|csv|json             {text} ledger.audit      [agent], [call] [{call, time, agent, owner,
 * session, tool, method, path, allowed, code, rule, price, …}] doctor [{check, ok, detail}]
 *
 * Amounts are decimal dollars in strings, ids strings, times RFC 3339 UTC. */
#ifndef PROXY_COMMAND_H
#define PROXY_COMMAND_H

#include <jansson.h>
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

#endif
