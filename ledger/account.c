/* ledger/account.c - see account.h. */
#include "ledger/account.h"

enum account_kind account_kind_of(enum account_role role)
{
	switch (role) {
	case ACCOUNT_CAPITAL:
		return ACCOUNT_EQUITY;
	case ACCOUNT_AVAILABLE:
	case ACCOUNT_OPEN:
	case ACCOUNT_RESERVED:
		return ACCOUNT_ASSET;
	case ACCOUNT_SPENT:
		return ACCOUNT_EXPENSE;
	case ACCOUNT_PAYABLE:
		return ACCOUNT_LIABILITY;
	}
	must(!"account role");
	return ACCOUNT_ASSET;
}

bool account_is_of_agent(enum account_role role)
{
	return role != ACCOUNT_CAPITAL && role != ACCOUNT_PAYABLE;
}

static void set_roles(enum account_role *from, enum account_role *to, enum account_role from_role,
    enum account_role to_role)
{
	*from = from_role;
	*to = to_role;
}

void account_roles(enum account_role *from, enum account_role *to, const struct journal_row *row)
{
	switch (row->event) {
	case JOURNAL_DEPOSIT:
		set_roles(from, to, ACCOUNT_CAPITAL, ACCOUNT_AVAILABLE);
		return;
	case JOURNAL_WITHDRAW:
		set_roles(from, to, ACCOUNT_AVAILABLE, ACCOUNT_CAPITAL);
		return;
	case JOURNAL_SIGN:
		set_roles(from, to, ACCOUNT_AVAILABLE, ACCOUNT_OPEN);
		return;
	case JOURNAL_SETTLE:
		set_roles(from, to, ACCOUNT_OPEN, ACCOUNT_SPENT);
		return;
	case JOURNAL_REFUND:
		set_roles(from, to, row->from_spent ? ACCOUNT_SPENT : ACCOUNT_OPEN,
		    ACCOUNT_AVAILABLE);
		return;
	case JOURNAL_HOLD:
		set_roles(from, to, ACCOUNT_PAYABLE, ACCOUNT_RESERVED);
		return;
	case JOURNAL_CHARGE:
		set_roles(from, to, ACCOUNT_RESERVED, ACCOUNT_SPENT);
		return;
	case JOURNAL_RELEASE:
		set_roles(from, to, ACCOUNT_RESERVED, ACCOUNT_PAYABLE);
		return;
	case JOURNAL_REOPEN:
		set_roles(from, to, row->from_spent ? ACCOUNT_SPENT : ACCOUNT_AVAILABLE,
		    ACCOUNT_OPEN);
		return;
	}
	must(!"journal event");
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static void add_parts(struct buf *name, const char *first, const char *second, const char *third)
{
	buf_add_str(name, first);
	buf_add_str(name, second);
	buf_add_str(name, third);
}

void account_name(struct buf *name, enum account_role role, const struct journal_row *row)
{
	switch (role) {
	case ACCOUNT_CAPITAL:
		add_parts(name, "capital/", or_empty(row->owner), "");
		return;
	case ACCOUNT_AVAILABLE:
		add_parts(name, "wallet/", row->agent_name, "/available");
		return;
	case ACCOUNT_OPEN:
		add_parts(name, "wallet/", row->agent_name, "/open");
		return;
	case ACCOUNT_RESERVED:
		add_parts(name, "wallet/", row->agent_name, "/reserved");
		return;
	case ACCOUNT_SPENT:
		add_parts(name, "spent/", row->agent_name, "/");
		buf_add_str(name, or_empty(row->tool));
		return;
	case ACCOUNT_PAYABLE:
		add_parts(name, "payable/", or_empty(row->tool), "");
		return;
	}
	must(!"account role");
}

void account_names(struct buf *from, struct buf *to, enum account_kind *from_kind,
    enum account_kind *to_kind, const struct journal_row *row)
{
	enum account_role from_role, to_role;

	account_roles(&from_role, &to_role, row);
	account_name(from, from_role, row);
	account_name(to, to_role, row);
	if (from_kind != NULL)
		*from_kind = account_kind_of(from_role);
	if (to_kind != NULL)
		*to_kind = account_kind_of(to_role);
}
