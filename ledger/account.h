/* ledger/account.h - the chart of accounts, one set per agent and asset. */
#ifndef LEDGER_ACCOUNT_H
#define LEDGER_ACCOUNT_H

#include "common/buf.h"
#include "ledger/store.h"

/* Frozen: stored. */
enum account_kind {
	ACCOUNT_ASSET = 1,
	ACCOUNT_LIABILITY = 2,
	ACCOUNT_EQUITY = 3,
	ACCOUNT_EXPENSE = 4,
};

/* Frozen: stored. What an account is for; its kind and its name follow. */
enum account_role {
	ACCOUNT_CAPITAL = 1,   /* capital/<owner>, equity */
	ACCOUNT_AVAILABLE = 2, /* wallet/<agent>/available, asset */
	ACCOUNT_OPEN = 3,      /* wallet/<agent>/open, asset */
	ACCOUNT_RESERVED = 4,  /* wallet/<agent>/reserved, asset */
	ACCOUNT_SPENT = 5,     /* spent/<agent>/<tool>, expense */
	ACCOUNT_PAYABLE = 6,   /* payable/<tool>, liability */
};

/* Longest account name, and then some: an owner or tool of 4 KB is refused long before. */
#define ACCOUNT_NAME_SIZE_MAX 8192u

enum account_kind account_kind_of(enum account_role role);

/** From which account to which a journal row moves its amount. */
void account_roles(enum account_role *from, enum account_role *to, const struct journal_row *row);

/** The name of the row's account of that role, added to name. Unambiguous: an agent's name
 * has no '/', and owner and tool, which may, stand last. A name that the row lacks (owner
 * of a payment, tool of a deposit) is written as "". */
void account_name(struct buf *name, enum account_role role, const struct journal_row *row);

/** True when the account belongs to one agent (wallet, spent), not to an owner or a tool. */
bool account_is_of_agent(enum account_role role);

/** The two accounts of a journal row, by its event:
 *   capital/<owner>, wallet/<agent>/available|open|reserved, spent/<agent>/<tool>,
 *   payable/<tool>. Buffers are the caller's; kinds may be NULL. */
void account_names(struct buf *from, struct buf *to, enum account_kind *from_kind,
    enum account_kind *to_kind, const struct journal_row *row);

#endif
