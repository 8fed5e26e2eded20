/* proxy/registry.h - who may call and what may be called, in memory.
 *
 * Filled from the store at start and changed by owner's commands; read on every call. One
 * reader-writer lock, held for a few look-ups and never across I/O. Agents live as long as
 * the process; tools and policies are counted references, so that a call keeps what it
 * began with while the owner changes it. */
#ifndef PROXY_REGISTRY_H
#define PROXY_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/table.h"
#include "ledger/purse.h"
#include "ledger/store.h"
#include "policy/policy.h"
#include "proxy/delivery.h"
#include "wallet/address.h"

/* A stored policy is parsed when it is first asked for: an agent's own names that agent, most
 * often, so that a start with 100,000 agents would parse as many. It was parsed before it was
 * stored. A longer one is parsed at start, because a worker's other calls would wait for it. */
#define POLICY_LATER_MAX 4096u

/* A policy in use; immutable. */
struct policy_ref {
	atomic_int refs;
	struct policy *policy; /* never NULL in what registry_policy() returns */
	/* The stored text does not parse, of a damaged ledger say: policy allows nothing. */
	bool unreadable;
	char *text; /* not parsed yet; the registry's own affair */
};

struct pin;
struct reservation;

struct agent {
	int64_t id;
	char *name;
	char *owner;
	int64_t created_us;
	atomic_bool suspended;
	/* Under the registry's lock. */
	struct address address;
	struct policy_ref *policy; /* its own, or NULL: the default one */
	struct pin *pins;          /* first payees, by tool */
	size_t pin_count;
	/* Under the purses' lock. */
	struct purse *purse;
	struct reservation *waiting_first, *waiting_last;
	size_t waiting_count;
	UT_hash_handle by_name;
};

struct tool {
	atomic_int refs;
	char *name;
	char *url;   /* without a final slash */
	char *host;  /* host[:port], lower case */
	bool secure; /* https */
	bool private; /* its host's name may lead to this machine or a private network */
	unsigned reach; /* set of enum reach, from host and private */
	enum tool_billing billing;
	bool has_price;
	int64_t price;
	struct delivery_check *delivery; /* NULL: the default */
	UT_hash_handle hh;
};

struct registry;

struct registry *registry_new(void);
void registry_free(struct registry **registry);

/* --- agents ------------------------------------------------------------ */
/** Stable pointer, or NULL. */
struct agent *registry_agent(struct registry *registry, const char *name);
struct agent *registry_agent_by_id(struct registry *registry, int64_t id);
struct agent *registry_add_agent(
    struct registry *registry, const struct agent_row *row, struct purse *purse);
void registry_set_address(
    struct registry *registry, struct agent *agent, const struct address *address);
struct address registry_address(struct registry *registry, const struct agent *agent);
/** A policy of the agent's own, from now on; takes it. */
void registry_set_policy(struct registry *registry, struct agent *agent, struct policy *policy);
/** The same with one that several agents have: policy_share() makes it countable, with a
 * reference that is the caller's; registry_share_policy() takes one of its own. */
struct policy_ref *policy_share(struct policy *policy);
/** The same of a stored text, copied, that is parsed when registry_policy() is first asked for
 * it. */
struct policy_ref *policy_later(const char *text);
void registry_share_policy(
    struct registry *registry, struct agent *agent, struct policy_ref *policy);
/** The policy of agents without one of their own; takes it and copies text. */
void registry_set_default_policy(
    struct registry *registry, struct policy *policy, const char *text);
/** Its text; the caller frees it. NULL while there is none. */
char *registry_default_policy_text(struct registry *registry);
/** The policy in force for an agent, a reference of the caller's own; policy_unref ends it.
 * NULL only while there is no default either. */
struct policy_ref *registry_policy(struct registry *registry, struct agent *agent);
/** Does the policy in force parse? Asked of all agents, it keeps none of what it parsed. */
bool registry_policy_reads(struct registry *registry, struct agent *agent) MUST_CHECK;
void policy_unref(struct policy_ref **ref);
/** How many there are, and up to count of them, in order of creation, from index first. Returns
 * how many that were. */
size_t registry_agent_count(struct registry *registry);
size_t registry_agents(
    struct agent **out, struct registry *registry, size_t first, size_t count);
/** Every agent, in order of creation; each returns false to stop. */
void registry_each_agent(
    struct registry *registry, bool (*each)(struct agent *agent, void *arg), void *arg);

/* --- tools ------------------------------------------------------------- */
/** [A-Za-z0-9._-] in segments parted by '/', at most 64 bytes, no "." or "..". */
bool tool_name_valid(const char *name);
/** http(s) URL with a host, no query, fragment, user or password, no dot segments. On false
 * reason is filled. */
bool tool_url_valid(char reason[256], const char *url) MUST_CHECK;
/** The latest row of a name wins; removed takes it away. Takes *check, the tool's delivery
 * check, which may be NULL. private: see struct tool. */
void registry_put_tool(struct registry *registry, const struct tool_row *row, bool private,
    struct delivery_check **check);
/** Name of the setting that holds "yes" for a tool that is private; the caller frees it. */
char *tool_private_name(const char *tool);
/** A reference of the caller's own (tool_unref), or NULL. */
struct tool *registry_tool(struct registry *registry, const char *name);
/** The tool with the longest name that begins `path` ("github/issues/7?x") and ends at '/',
 * '?' or its end; *rest points at what follows the name. */
struct tool *registry_tool_match(const char **rest, struct registry *registry, const char *path);
void tool_unref(struct tool **tool);
void registry_each_tool(
    struct registry *registry, bool (*each)(const struct tool *tool, void *arg), void *arg);

/* --- sessions ---------------------------------------------------------- */
/* Every session whose token may still be used is known here, so that what is counted for the
 * others (ledger/purse.h) can be given back: from the start (the ledger's tokens), when a token
 * is issued, and at the latest when it is first used. */

/** registry_admit - a token that is authentic and has not expired is used, or was issued.
 * False: its session was revoked, or is over: also when the clock was set back since. */
bool registry_admit(
    struct registry *registry, const char *session, int64_t expires_s) MUST_CHECK;
void registry_revoke(struct registry *registry, const char *session, int64_t expires_s);
bool registry_revoked(struct registry *registry, const char *session);
/** Can it place no further call? True once revoked, and once forgotten by registry_trim(). */
bool registry_session_over(struct registry *registry, const char *session);
/** Forgets sessions whose token expired at or before over_s, for ever. Their memory is given
 * back where it is come across: one of so many parts of all is looked at, each time the next,
 * because nobody is let in meanwhile. */
void registry_trim(struct registry *registry, int64_t over_s, size_t parts);

/* --- pinned payees ----------------------------------------------------- */
/** Remember the first payee (lower-case address) an agent paid for a tool. */
void registry_pin(
    struct registry *registry, struct agent *agent, const char *tool, const char *payee);
/** False when none yet. */
bool registry_pinned(char out[ADDRESS_TEXT_SIZE], struct registry *registry,
    const struct agent *agent, const char *tool) MUST_CHECK;

/* --- networks ---------------------------------------------------------- */
void registry_set_rpc(struct registry *registry, const char *network, const char *rpc);
/** The caller frees it; "" when unset. */
char *registry_rpc(struct registry *registry, const char *network);

#endif
