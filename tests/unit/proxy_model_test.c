/* The money of a house against a model too simple to be wrong.
 *
 * Random calls, quotes, signatures, receipts, retries, expiries, findings of the chain, owner's
 * commands, edits of policies, steps of the clock and restarts, over the real purses,
 * reservations, registry, table of open payments and store (SQLite in a file, closed and opened
 * again). The model keeps lists and adds them up each time. After each step:
 *
 *   limits    what was granted in it crosses none, by the model's own sums
 *   balances  available, open, reserved and spent are the model's, none below zero
 *   meters    a window of a subject reads what the model counts
 *   retries   a call that was asked before and never answered gets its old signature, no new
 *
 * and after each restart, too, all meters, the journal's sums, and `ledger verify`.
 *
 * `make check` runs the same seeds each time. TEST_SEED=n runs another one, TEST_STEPS=n makes it
 * longer; seed and step are printed when something differs. */
#include <event2/event.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/glob.h"
#include "ledger/verify.h"
#include "proxy/booking.h"
#include "proxy/command.h"
#include "proxy/outstanding.h"
#include "proxy/reserve.h"
#include "proxy/rooms.h"
#include "tests/unit/unit.h"

#define STEPS_DEFAULT 1500
#define EPISODE_STEPS 1500 /* then a new ledger: the model's sums take as long as its lists */
#define RESTART_EVERY 150
#define AGENTS        3
#define SESSIONS      2
#define TOOLS         3
#define METERED_TOOL  2
#define PAYEES        3
#define SLOTS         2
#define ITEMS         6
#define SEATS_MAX     24
#define WAITING_MAX   6
#define LIMITS_MAX    32
#define CENT          INT64_C(10000)
#define HOUR_US       (3600 * CLOCK_US_PER_S)
#define DAY_US        (24 * HOUR_US)
#define START_US      INT64_C(1763769540000000) /* 2025-11-21T23:59:00Z: a day soon ends */

static const char *const agent_names[AGENTS] = {"anna", "bert", "cleo"};
static const char *const tool_names[TOOLS] = {"search", "github/issues", "github/meter"};
static const char *const networks[SLOTS] = {"eip155:84532", "eip155:8453"};
static const char *const payees[PAYEES] = {
    "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
};
static const char *const payee_keys[PAYEES] = {
    "0x209693bc6afc0c5328ba36faf03c514ef312287c",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
};
static const char *const payers[AGENTS] = {
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
};

/* --- the model's lists ---------------------------------------------------------- */

enum purchase_state { FLYING = 1, OPEN, SPENT, BACK };

/* One signature. */
struct purchase {
	int agent, session, tool, payee, slot, item;
	int64_t call, id, amount, valid_before_s, refunded;
	enum purchase_state state;
	bool answered, taken;
	bool audited_answered; /* as its audit row says: what a restart knows of `answered` */
	bool flagged;          /* the chain contradicts the books, and nobody has answered that */
	bool undone;           /* never written: nobody can name it */
};

enum metered_state { RESERVED = 1, CHARGED, RELEASED };

struct metered {
	int agent, session;
	int64_t call, amount;
	enum metered_state state;
};

/* One call let in. A restart forgets those that left no audit row. */
struct admitted {
	int agent, session, tool;
	int64_t call;
	bool written, forgotten;
};

/* A call in flight; its indexes are into the lists, plus one. */
struct seat {
	struct seat *next;
	struct reservation r;
	bool resolved; /* r.result is new */
	bool fresh;    /* its signature is not written yet */
	int agent, session, tool, payee, slot, item;
	int64_t call, held;
	size_t admitted, purchase, metered;
};

static struct {
	uint64_t seed, random_state;
	long step;
	void *dir;
	int64_t now_us;
	struct house *house;
	struct config *config;
	struct event_base *base;
	struct mailbox *mailbox;
	struct purchase *purchases;
	struct metered *metered;
	struct admitted *admitted;
	size_t purchase_count, metered_count, admitted_count;
	struct seat *seats;
	size_t seat_count;
	int64_t paid_in[AGENTS][SLOTS];
	char *sessions[AGENTS][SESSIONS];
	const struct asset *assets[SLOTS];
	/* Granted and not checked yet. */
	struct seat *granted[SEATS_MAX + 1];
	size_t granted_count;
	atomic_long unwritten;
	/* How often each happened: a run that never gets somewhere tests nothing there. */
	long grants, refusals, waits, signatures, undone, retries, refunds, findings, reopenings;
	long restarts;
} w;

#define check(expr)                                                                                \
	do {                                                                                       \
		if (!(expr))                                                                       \
			fail_msg("%s: step %ld of TEST_SEED=%llu (line %d)", #expr, w.step,        \
			    (unsigned long long)w.seed, __LINE__);                                 \
	} while (0)

/* xorshift64*, of which the better, higher half is used. */
static uint64_t random_next(void)
{
	w.random_state ^= w.random_state >> 12;
	w.random_state ^= w.random_state << 25;
	w.random_state ^= w.random_state >> 27;
	return w.random_state * UINT64_C(2685821657736338717);
}

static int below(int bound)
{
	return (int)((random_next() >> 32) % (uint64_t)bound);
}

static bool once_in(int times)
{
	return below(times) == 0;
}

static struct agent *agent_of(int agent)
{
	struct agent *found = registry_agent(w.house->registry, agent_names[agent]);

	check(found != NULL);
	return found;
}

static unsigned slot_of(int slot)
{
	return house_slot(w.house, w.assets[slot]);
}

static int64_t next_id(void)
{
	return store_next_id(w.house->store, w.now_us);
}

/* --- the model's sums ------------------------------------------------------------- */

/* Which charges are summed: a subject in a window. */
struct sum {
	int agent;
	enum purse_subject subject;
	const char *name; /* as purse_read() takes it */
	enum window window;
	int64_t at_us;
	/* To the microsecond, and nothing later than at_us: the window as the owner means it. Else
	 * as a meter reads it. */
	bool precise;
};

static bool stands(const struct purchase *purchase)
{
	return purchase->state != BACK;
}

/* Minute and hour count whole quanta: a charge counts until its quantum has slid out. */
static bool slides_in(int64_t call, int64_t at_us, int64_t window_us, int64_t quantum_us)
{
	return (call / quantum_us + 1) * quantum_us > at_us - window_us;
}

static bool in_window(const struct sum *sum, int64_t call)
{
	if (sum->precise && (sum->window == WINDOW_MINUTE || sum->window == WINDOW_HOUR))
		return call <= sum->at_us &&
		       call > sum->at_us -
				  (sum->window == WINDOW_HOUR ? HOUR_US : 60 * CLOCK_US_PER_S);
	switch (sum->window) {
	case WINDOW_CALL:
		return false;
	case WINDOW_MINUTE:
		return slides_in(call, sum->at_us, 60 * CLOCK_US_PER_S, CLOCK_US_PER_S / 10);
	case WINDOW_HOUR:
		return slides_in(call, sum->at_us, HOUR_US, CLOCK_US_PER_S);
	case WINDOW_DAY:
		return window_day_start_us(call) == window_day_start_us(sum->at_us);
	case WINDOW_MONTH:
		return window_month_start_us(call) == window_month_start_us(sum->at_us);
	case WINDOW_TOTAL:
		return true;
	}
	return false;
}

/* payee -1: not paid to anybody. */
static bool is_subject(const struct sum *sum, int session, int tool, int payee)
{
	switch (sum->subject) {
	case PURSE_SESSION:
		return strcmp(sum->name, w.sessions[sum->agent][session]) == 0;
	case PURSE_AGENT:
		return true;
	case PURSE_WALLET:
		return tool != METERED_TOOL;
	case PURSE_TOOL:
		return glob_match(sum->name, tool_names[tool]);
	case PURSE_PAYEE:
		return payee >= 0 && strcmp(sum->name, payee_keys[payee]) == 0;
	}
	return false;
}

static int64_t spend_sum(const struct sum *sum)
{
	int64_t total = 0;

	for (size_t i = 0; i < w.purchase_count; i++) {
		const struct purchase *p = &w.purchases[i];

		if (p->agent == sum->agent && stands(p) && in_window(sum, p->call) &&
		    is_subject(sum, p->session, p->tool, p->payee))
			total += p->amount;
	}
	for (size_t i = 0; i < w.metered_count; i++) {
		const struct metered *m = &w.metered[i];

		if (m->agent == sum->agent && m->state != RELEASED && in_window(sum, m->call) &&
		    is_subject(sum, m->session, METERED_TOOL, -1))
			total += m->amount;
	}
	return total;
}

static int64_t call_sum(const struct sum *sum)
{
	bool signatures = sum->subject == PURSE_WALLET || sum->subject == PURSE_PAYEE;
	int64_t total = 0;

	for (size_t i = 0; signatures && i < w.purchase_count; i++) {
		const struct purchase *p = &w.purchases[i];

		total += p->agent == sum->agent && stands(p) && in_window(sum, p->call) &&
			 is_subject(sum, p->session, p->tool, p->payee);
	}
	for (size_t i = 0; !signatures && i < w.admitted_count; i++) {
		const struct admitted *a = &w.admitted[i];

		total += a->agent == sum->agent && !a->forgotten && in_window(sum, a->call) &&
			 is_subject(sum, a->session, a->tool, -1);
	}
	return total;
}

static int64_t held_sum(const struct sum *sum)
{
	int64_t total = 0;

	for (const struct seat *seat = w.seats; seat; seat = seat->next) {
		if (seat->agent == sum->agent && sum->subject != PURSE_PAYEE &&
		    (!sum->precise || in_window(sum, seat->call)) &&
		    is_subject(sum, seat->session, seat->tool, -1))
			total += seat->held;
	}
	return total;
}

static struct balance balance_sum(int agent, int slot)
{
	struct balance sum = {.available = w.paid_in[agent][slot]};

	for (size_t i = 0; i < w.purchase_count; i++) {
		const struct purchase *p = &w.purchases[i];

		if (p->agent != agent || p->slot != slot)
			continue;
		sum.available += p->refunded - (stands(p) ? p->amount : 0);
		sum.spent += (p->state == SPENT ? p->amount : 0) - p->refunded;
		sum.open += p->state == OPEN || p->state == FLYING ? p->amount : 0;
	}
	return sum;
}

static struct balance metered_sum(int agent)
{
	struct balance sum = {0};

	for (size_t i = 0; i < w.metered_count; i++) {
		const struct metered *m = &w.metered[i];

		if (m->agent != agent)
			continue;
		sum.reserved += m->state == RESERVED ? m->amount : 0;
		sum.spent += m->state == CHARGED ? m->amount : 0;
	}
	return sum;
}

static int64_t free_sum(int agent)
{
	struct sum all = {.agent = agent, .subject = PURSE_AGENT};
	int64_t total = -held_sum(&all);

	for (int slot = 0; slot < SLOTS; slot++)
		total += balance_sum(agent, slot).available;
	return total;
}

/* --- invariants ----------------------------------------------------------------------- */

static void check_balance(const struct balance *is, const struct balance *model)
{
	check(is->available >= 0 && is->open >= 0 && is->reserved >= 0);
	check(is->available == model->available);
	check(is->open == model->open);
	check(is->reserved == model->reserved);
	check(is->spent == model->spent);
}

static void check_balances(int agent)
{
	struct purse *purse = agent_of(agent)->purse;
	struct balance is = purse_balance(purse, PURSE_OFF_CHAIN), model = metered_sum(agent);
	struct sum all = {.agent = agent, .subject = PURSE_AGENT};

	check_balance(&is, &model);
	for (int slot = 0; slot < SLOTS; slot++) {
		is = purse_balance(purse, slot_of(slot));
		model = balance_sum(agent, slot);
		check_balance(&is, &model);
	}
	check(purse_provisional(purse) == held_sum(&all));
	check(purse_free(purse) == free_sum(agent));
	check(free_sum(agent) >= 0);
}

static void check_meter(const struct sum *sum)
{
	struct purse *purse = agent_of(sum->agent)->purse;
	struct purse_reading spend, calls;

	spend = purse_read(purse, sum->subject, sum->name, sum->window, false, sum->at_us);
	calls = purse_read(purse, sum->subject, sum->name, sum->window, true, sum->at_us);
	check(spend.firm == spend_sum(sum));
	check(calls.firm == call_sum(sum));
	check(spend.provisional == held_sum(sum));
}

static const char *const globs[] = {"search", "github/*", "*", "github/meter", "nothing"};

/* Subject number n of an agent: every one that there is, and globs over tools. */
#define SUBJECTS ((int)(2 + SESSIONS + COUNT(globs) + PAYEES))
static struct sum subject_at(int agent, int n)
{
	struct sum sum = {.agent = agent, .at_us = w.now_us};

	if (n < 2) {
		sum.subject = n == 0 ? PURSE_AGENT : PURSE_WALLET;
	} else if ((n -= 2) < SESSIONS) {
		sum.subject = PURSE_SESSION;
		sum.name = w.sessions[agent][n];
	} else if ((n -= SESSIONS) < (int)COUNT(globs)) {
		sum.subject = PURSE_TOOL;
		sum.name = globs[n];
	} else {
		sum.subject = PURSE_PAYEE;
		sum.name = payee_keys[n - (int)COUNT(globs)];
	}
	return sum;
}

static void check_some_meters(void)
{
	for (int i = 0; i < 3; i++) {
		struct sum sum = subject_at(below(AGENTS), below(SUBJECTS));

		sum.window = (enum window)(WINDOW_MINUTE + below(5));
		check_meter(&sum);
	}
}

static void check_all_meters(void)
{
	for (int agent = 0; agent < AGENTS; agent++) {
		for (int n = 0; n < SUBJECTS; n++) {
			struct sum sum = subject_at(agent, n);

			for (sum.window = WINDOW_MINUTE; sum.window <= WINDOW_TOTAL; sum.window++)
				check_meter(&sum);
		}
	}
}

/* The limits that speak about a seat's call, as sums at its own time. */
static struct sum sum_of_limit(const struct limit *limit, const struct seat *seat)
{
	struct sum sum = {.agent = seat->agent,
	    .subject = (enum purse_subject)limit->scope,
	    .name = limit->target,
	    .window = limit->window,
	    .at_us = seat->call};

	if (limit->scope == LIMIT_SCOPE_SESSION)
		sum.name = w.sessions[seat->agent][seat->session];
	if (limit->scope == LIMIT_SCOPE_TOOL && !limit->target)
		sum.name = tool_names[seat->tool];
	if (limit->scope == LIMIT_SCOPE_PAYEE && !limit->target)
		sum.name = payee_keys[seat->payee];
	return sum;
}

static bool slides(enum window window)
{
	return window == WINDOW_MINUTE || window == WINDOW_HOUR;
}

static int64_t used(const struct sum *sum, bool calls)
{
	return calls ? call_sum(sum) : spend_sum(sum) + held_sum(sum);
}

/* No window that holds asked->at_us has more in it than max: a sliding one may begin and end
 * anywhere, so each that ends with a call after it is looked at. */
static bool within(const struct sum *asked, bool calls, int64_t max)
{
	int64_t length_us = asked->window == WINDOW_HOUR ? HOUR_US : 60 * CLOCK_US_PER_S;
	struct sum sum = *asked;

	sum.precise = true;
	if (used(&sum, calls) > max)
		return false;
	for (size_t i = 0; slides(sum.window) && i < w.admitted_count; i++) {
		sum.at_us = w.admitted[i].call;
		if (w.admitted[i].agent == sum.agent && sum.at_us > asked->at_us &&
		    sum.at_us < asked->at_us + length_us && used(&sum, calls) > max)
			return false;
	}
	return true;
}

/* Invariant 1: what was granted just now stands, with everything else, within every limit. */
static void check_granted(const struct seat *seat)
{
	const struct limit *limits[LIMITS_MAX];
	struct policy_ref *policy = registry_policy(w.house->registry, agent_of(seat->agent));
	bool is_signed = seat->purchase > 0, is_metered = seat->metered > 0;
	int64_t price = is_signed    ? w.purchases[seat->purchase - 1].amount
			: is_metered ? w.metered[seat->metered - 1].amount
				     : seat->held;
	size_t count = policy_limits(limits, LIMITS_MAX, policy->policy, tool_names[seat->tool],
	    is_signed ? payee_keys[seat->payee] : NULL, is_metered);

	check(count <= LIMITS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct sum sum = sum_of_limit(limits[i], seat);
		bool of_signature =
		    limits[i]->scope == LIMIT_SCOPE_WALLET || limits[i]->scope == LIMIT_SCOPE_PAYEE;

		bool calls = limits[i]->measure == LIMIT_CALLS;

		/* A limit of calls speaks when the call is counted. */
		if (calls && of_signature != is_signed)
			continue;
		if (!calls && limits[i]->window == WINDOW_CALL)
			check(price <= limits[i]->max);
		else if (calls || price > 0)
			check(within(&sum, calls, limits[i]->max));
	}
	policy_unref(&policy);
}

/* A refusal by a limit is one that the model's sums bear out. */
static void check_refused(const struct seat *seat)
{
	const struct limit *limit = seat->r.decision.limit;
	struct sum sum = sum_of_limit(limit, seat);

	w.refusals++;
	/* A meter that is asked about the past may read more than was charged: meter.h. */
	if (w.now_us - seat->call > 60 * CLOCK_US_PER_S)
		return;
	if (limit->measure == LIMIT_CALLS)
		check(call_sum(&sum) + 1 > limit->max);
	else if (limit->window == WINDOW_CALL)
		check(seat->r.spend > limit->max || limit->max == 0);
	else if (seat->r.stage == RESERVE_PROVISIONAL)
		check(spend_sum(&sum) >= limit->max);
	else
		check(spend_sum(&sum) + seat->r.spend > limit->max);
}

/* --- rows ------------------------------------------------------------------------------- */

static void on_written(enum store_result result, void *arg)
{
	(void)arg;
	if (result != STORE_OK)
		atomic_fetch_add(&w.unwritten, 1);
}

static void append(struct batch *batch)
{
	store_append(w.house->store, &batch, on_written, NULL);
}

static struct journal_row journal_of(int agent, int tool, enum journal_event event, int64_t call,
    int64_t payment, int64_t amount, const struct asset *asset)
{
	return (struct journal_row){.event = event,
	    .call = call,
	    .payment = payment,
	    .agent = agent_of(agent)->id,
	    .agent_name = agent_names[agent],
	    .owner = "owner@example.com",
	    .tool = tool_names[tool],
	    .amount = amount,
	    .network = asset ? asset->network : "off-chain",
	    .asset = asset ? asset->contract_text : "USD",
	    .symbol = asset ? asset->symbol : "USD"};
}

static void write_purchase_event(
    struct batch *batch, const struct purchase *p, enum journal_event event)
{
	struct journal_row row =
	    journal_of(p->agent, p->tool, event, p->call, p->id, p->amount, w.assets[p->slot]);

	batch_journal(batch, &row);
}

static char *item_url(int item)
{
	return must_format("https://seller.example/items/%d", item);
}

static void write_signed(const struct purchase *p)
{
	struct batch *batch = batch_new(w.now_us);
	char nonce[67], value[24], *url = item_url(p->item);
	struct payment_row row = {.id = p->id,
	    .call = p->call,
	    .agent = agent_of(p->agent)->id,
	    .agent_name = agent_names[p->agent],
	    .tool = tool_names[p->tool],
	    .session = w.sessions[p->agent][p->session],
	    .amount = p->amount,
	    .value = value,
	    .network = w.assets[p->slot]->network,
	    .asset = w.assets[p->slot]->contract_text,
	    .symbol = w.assets[p->slot]->symbol,
	    .payer = payers[p->agent],
	    .payee = payees[p->payee],
	    .nonce = nonce,
	    .valid_before_s = p->valid_before_s,
	    .header_name = "PAYMENT-SIGNATURE",
	    .header_value = "eyJ4NDAyVmVyc2lvbiI6Mn0=",
	    .challenge = "{}",
	    .method = "GET",
	    .url = url,
	    .request = sha256("", 0)};

	snprintf(nonce, sizeof nonce, "0x%064llx", (unsigned long long)p->id);
	snprintf(value, sizeof value, "%lld", (long long)p->amount);
	batch_payment(batch, &row);
	write_purchase_event(batch, p, JOURNAL_SIGN);
	append(batch);
	free(url);
}

static void write_state(const struct purchase *p, enum payment_state state, const char *by)
{
	struct batch *batch = batch_new(w.now_us);
	struct payment_state_row row = {
	    .id = next_id(), .payment = p->id, .state = state, .by = by};

	batch_payment_state(batch, &row);
	if (state == PAYMENT_SETTLED)
		write_purchase_event(batch, p, JOURNAL_SETTLE);
	append(batch);
}

static void write_metered(const struct metered *m, enum journal_event event)
{
	struct batch *batch = batch_new(w.now_us);
	struct journal_row row =
	    journal_of(m->agent, METERED_TOOL, event, m->call, 0, m->amount, NULL);

	if (event == JOURNAL_HOLD)
		row.session = w.sessions[m->agent][m->session];
	batch_journal(batch, &row);
	append(batch);
}

static void write_audit(struct seat *seat, bool answered)
{
	struct batch *batch = batch_new(w.now_us);
	struct audit_row row = {.id = seat->call,
	    .kind = AUDIT_CALL,
	    .agent = agent_of(seat->agent)->id,
	    .agent_name = agent_names[seat->agent],
	    .owner = "owner@example.com",
	    .session = w.sessions[seat->agent][seat->session],
	    .tool = tool_names[seat->tool],
	    .method = "GET",
	    .path = "/",
	    .allowed = true,
	    .code = answered ? NULL : "payment_unknown",
	    .payment = seat->purchase > 0 ? w.purchases[seat->purchase - 1].id : 0,
	    .status = answered ? 200 : 502,
	    .has_response_digest = answered,
	    .finished_us = w.now_us};

	if (seat->purchase > 0)
		w.purchases[seat->purchase - 1].audited_answered = answered;
	batch_audit(batch, &row);
	append(batch);
	w.admitted[seat->admitted - 1].written = true;
}

/* --- seats: calls in flight ------------------------------------------------------------- */

static void on_resolved(void *arg)
{
	((struct seat *)arg)->resolved = true;
}

static struct seat *seat_new(int agent, int tool)
{
	struct seat *seat = must_calloc(1, sizeof *seat);

	seat->agent = agent;
	seat->tool = tool;
	seat->session = below(SESSIONS);
	seat->item = below(ITEMS);
	seat->call = next_id();
	seat->r = (struct reservation){.purses = w.house->purses,
	    .agent = agent_of(agent),
	    .registry = w.house->registry,
	    .session = w.sessions[agent][seat->session],
	    .tool = tool_names[tool],
	    .at_us = seat->call,
	    .waiting_max = WAITING_MAX,
	    .mailbox = w.mailbox,
	    .resolved = on_resolved,
	    .arg = seat};
	seat->next = w.seats;
	w.seats = seat;
	w.seat_count++;
	return seat;
}

static void seat_leave(struct seat *seat)
{
	struct seat **at = &w.seats;

	while (*at != seat)
		at = &(*at)->next;
	*at = seat->next;
	w.seat_count--;
	reserve_fini(&seat->r);
	free(seat);
}

static struct seat *some_seat(enum hold_state state, bool waiting)
{
	struct seat *found = NULL;
	int seen = 0;

	for (struct seat *seat = w.seats; seat; seat = seat->next) {
		if (seat->r.waiting == waiting && (waiting || seat->r.hold.state == state) &&
		    once_in(++seen))
			found = seat;
	}
	return found;
}

#define ADD(list, count)                                                                           \
	((list) = must_realloc((list), ((count) + 1) * sizeof *(list)),                            \
	    memset(&(list)[count], 0, sizeof *(list)), &(list)[(count)++])

static void admit(struct seat *seat)
{
	struct admitted *admitted = ADD(w.admitted, w.admitted_count);

	*admitted = (struct admitted){
	    .agent = seat->agent, .session = seat->session, .tool = seat->tool, .call = seat->call};
	seat->admitted = w.admitted_count;
}

static void sign(struct seat *seat)
{
	struct purchase *p = ADD(w.purchases, w.purchase_count);

	seat->purchase = w.purchase_count;
	seat->fresh = true;
	*p = (struct purchase){.agent = seat->agent,
	    .session = seat->session,
	    .tool = seat->tool,
	    .payee = seat->payee,
	    .slot = seat->slot,
	    .item = seat->item,
	    .call = seat->call,
	    .id = next_id(),
	    .amount = seat->r.spend,
	    .valid_before_s = w.now_us / CLOCK_US_PER_S + 15 + below(45),
	    .state = FLYING,
	    .taken = true};
	w.granted[w.granted_count++] = seat;
}

/* The key may not open: nothing was signed then, and no row is written. */
static void write_or_unsign(struct seat *seat)
{
	struct purchase *p = &w.purchases[seat->purchase - 1];

	seat->fresh = false;
	if (!once_in(12)) {
		w.signatures++;
		write_signed(p);
		return;
	}
	p->state = BACK;
	p->undone = true;
	w.undone++;
	reserve_unsign(&seat->r);
	seat->purchase = 0;
	write_audit(seat, false);
	seat_leave(seat);
}

static void admit_metered(struct seat *seat)
{
	struct metered *m = ADD(w.metered, w.metered_count);

	admit(seat);
	seat->metered = w.metered_count;
	*m = (struct metered){.agent = seat->agent,
	    .session = seat->session,
	    .call = seat->call,
	    .amount = seat->r.spend,
	    .state = RESERVED};
	write_metered(m, JOURNAL_HOLD);
	w.granted[w.granted_count++] = seat;
}

static void end_unpaid(struct seat *seat)
{
	reserve_release(&seat->r);
	write_audit(seat, once_in(2));
	seat_leave(seat);
}

/* What reserve_ask() said, at once or after a wait, is taken in at the end of the step, in this
 * order: what was granted, what was refused (which had all the granted in its way), what
 * comes of it. Each part may let others go on. */
static void take_grant(struct seat *seat)
{
	seat->resolved = false;
	w.grants++;
	if (seat->r.stage == RESERVE_EXACT) {
		sign(seat);
	} else if (seat->r.stage == RESERVE_METERED) {
		admit_metered(seat);
	} else {
		admit(seat);
		w.granted[w.granted_count++] = seat;
	}
}

static void take_refusal(struct seat *seat)
{
	seat->resolved = false;
	if (seat->r.stage == RESERVE_EXACT)
		end_unpaid(seat);
	else
		seat_leave(seat);
}

static struct seat *next_resolved(bool granted)
{
	for (struct seat *seat = w.seats; seat; seat = seat->next) {
		if (seat->resolved && (seat->r.result == RESERVE_OK) == granted)
			return seat;
	}
	return NULL;
}

static struct seat *next_fresh(void)
{
	for (struct seat *seat = w.seats; seat; seat = seat->next) {
		if (seat->fresh)
			return seat;
	}
	return NULL;
}

static void run_resolved(void)
{
	struct seat *seat;

	do {
		event_base_loop(w.base, EVLOOP_NONBLOCK);
		for (seat = w.seats; seat; seat = seat->next)
			seat->held = seat->r.held;
		while ((seat = next_resolved(true)) != NULL)
			take_grant(seat);
		for (seat = w.seats; seat; seat = seat->next) {
			if (seat->resolved && seat->r.result == RESERVE_OVER_LIMIT)
				check_refused(seat);
		}
		while (w.granted_count > 0)
			check_granted(w.granted[--w.granted_count]);
		if ((seat = next_resolved(false)) != NULL)
			take_refusal(seat);
		else if ((seat = next_fresh()) != NULL)
			write_or_unsign(seat);
	} while (seat);
}

static void ask(struct seat *seat, enum reserve_stage stage)
{
	if (reserve_ask(&seat->r, stage) == RESERVE_WAITING)
		w.waits++;
	else
		seat->resolved = true;
}

/* --- steps: calls ------------------------------------------------------------------------- */

static struct open_payment open_of(const struct purchase *p)
{
	char *url = item_url(p->item);
	struct digest body = sha256("", 0);
	struct open_payment payment = {.id = p->id,
	    .call = p->call,
	    .agent = agent_of(p->agent),
	    .asset = w.assets[p->slot],
	    .amount = p->amount,
	    .value = uint256_of((uint64_t)p->amount),
	    .valid_before_s = p->valid_before_s,
	    .tool = (char *)(uintptr_t)tool_names[p->tool],
	    .session = w.sessions[p->agent][p->session],
	    .target = outstanding_target(agent_of(p->agent)->id, "GET", url),
	    .answered = p->answered};

	payment.request = outstanding_request(&payment.target, &body);
	free(url);
	return payment;
}

/* The oldest signature that a retry of this call must send again; NULL: none. */
static struct purchase *to_be_sent_again(int agent, int item)
{
	struct purchase *oldest = NULL;

	for (size_t i = 0; i < w.purchase_count; i++) {
		struct purchase *p = &w.purchases[i];

		if (p->agent == agent && p->item == item && p->state == OPEN && !p->answered &&
		    !p->taken && p->valid_before_s > w.now_us / CLOCK_US_PER_S &&
		    (!oldest || p->id < oldest->id))
			oldest = p;
	}
	return oldest;
}

/* As call.c does before it reserves anything. True: an old signature goes out again. */
static bool takes_over(int agent, int item)
{
	struct purchase *expected = to_be_sent_again(agent, item);
	struct digest target, body = sha256("", 0), request;
	char *url = item_url(item);
	int64_t payment = 0, now_s = w.now_us / CLOCK_US_PER_S;
	bool taken = false;

	if (outstanding_may_take(
		&target, w.house->outstanding, agent_of(agent)->id, "GET", url, now_s)) {
		request = outstanding_request(&target, &body);
		taken = outstanding_take(&payment, w.house->outstanding, &target, &request, now_s);
	}
	free(url);
	check(taken == (expected != NULL));
	if (taken) {
		check(payment == expected->id);
		expected->taken = true;
		w.retries++;
	}
	return taken;
}

static void step_begin(void)
{
	int agent = below(AGENTS), tool = below(TOOLS), item;
	struct seat *seat;

	if (w.seat_count == SEATS_MAX)
		return;
	item = below(ITEMS);
	if (tool != METERED_TOOL && takes_over(agent, item))
		return;
	seat = seat_new(agent, tool);
	seat->item = item;
	seat->r.spend = tool != METERED_TOOL && once_in(4) ? INT64_MAX : below(40) * CENT;
	if (tool == METERED_TOOL) {
		seat->r.spend += CENT;
		ask(seat, RESERVE_METERED);
	} else {
		ask(seat, RESERVE_PROVISIONAL);
	}
}

static void step_quote(void)
{
	struct seat *seat = some_seat(HOLD_PROVISIONAL, false);

	if (!seat)
		return;
	seat->payee = below(PAYEES);
	seat->slot = below(SLOTS);
	seat->r.payee = payee_keys[seat->payee];
	seat->r.slot = slot_of(seat->slot);
	seat->r.spend = 1 + below(30) * CENT + (once_in(5) ? below(9999) : 0);
	ask(seat, RESERVE_EXACT);
}

static void step_free(void)
{
	struct seat *seat = some_seat(HOLD_PROVISIONAL, false);

	if (seat)
		end_unpaid(seat);
}

static void step_give_up(void)
{
	struct seat *seat = some_seat(HOLD_NONE, true);

	if (!seat || !reserve_stop_waiting(&seat->r))
		return;
	if (seat->r.stage == RESERVE_EXACT)
		end_unpaid(seat);
	else
		seat_leave(seat);
}

static void step_outcome(void)
{
	struct seat *seat = some_seat(HOLD_SIGNED, false);
	struct purchase *p = seat ? &w.purchases[seat->purchase - 1] : NULL;
	struct open_payment payment;

	if (!p)
		return;
	p->taken = false;
	if (once_in(2)) {
		p->state = SPENT;
		write_state(p, PAYMENT_SETTLED, "receipt");
		reserve_settle(&seat->r);
		p->answered = true;
	} else {
		p->state = OPEN;
		p->answered = once_in(3);
		write_state(p, PAYMENT_OPEN, "seller");
		reserve_leave_open(&seat->r);
		payment = open_of(p);
		outstanding_add(w.house->outstanding, &payment);
	}
	write_audit(seat, p->answered);
	seat_leave(seat);
}

static void step_metered_outcome(void)
{
	struct seat *seat = some_seat(HOLD_METERED, false);
	struct metered *m = seat ? &w.metered[seat->metered - 1] : NULL;

	if (!m)
		return;
	if (once_in(2)) {
		m->state = CHARGED;
		write_metered(m, JOURNAL_CHARGE);
		reserve_charge(&seat->r);
	} else {
		m->state = RELEASED;
		write_metered(m, JOURNAL_RELEASE);
		reserve_give_back(&seat->r);
	}
	write_audit(seat, m->state == CHARGED);
	seat_leave(seat);
}

static struct purchase *some_purchase(enum purchase_state state, bool taken)
{
	struct purchase *found = NULL;
	int seen = 0;

	for (size_t i = 0; i < w.purchase_count; i++) {
		if (w.purchases[i].state == state && !w.purchases[i].undone &&
		    w.purchases[i].taken == taken && once_in(++seen))
			found = &w.purchases[i];
	}
	return found;
}

/* A retry that had taken an old signature over comes to its end. */
static void step_retried(void)
{
	struct purchase *p = some_purchase(OPEN, true);

	if (!p)
		return;
	p->taken = false;
	if (once_in(2)) {
		outstanding_give_back(w.house->outstanding, p->id, false);
		return;
	}
	p->state = SPENT;
	p->flagged = false;
	write_state(p, PAYMENT_SETTLED, "receipt");
	purses_lock(w.house->purses);
	purse_settle(agent_of(p->agent)->purse, slot_of(p->slot), p->amount);
	purses_unlock(w.house->purses);
	outstanding_remove(w.house->outstanding, p->id);
}

/* --- steps: the owner ------------------------------------------------------------------------ */

/* Takes args. True when it was done. */
static bool command(const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args), *reply;
	bool done;

	check(request != NULL);
	reply = command_run(w.house, request, w.now_us);
	done = json_is_true(json_object_get(reply, "ok"));
	json_decref(reply);
	json_decref(request);
	return done;
}

static json_t *dollars(int64_t amount)
{
	char text[AMOUNT_TEXT_SIZE];

	return json_string(amount_format(text, amount_of(amount)));
}

static void step_deposit(void)
{
	int agent = below(AGENTS), slot = below(SLOTS);
	int64_t amount = 1 + below(300) * CENT;
	bool withdraw = once_in(3), fits;

	fits = !withdraw ||
	       (amount <= balance_sum(agent, slot).available && amount <= free_sum(agent));
	check(command(withdraw ? "wallet.withdraw" : "wallet.deposit",
		  json_pack("{s:s, s:o, s:s}", "agent", agent_names[agent], "amount",
		      dollars(amount), "network", networks[slot])) == fits);
	if (fits)
		w.paid_in[agent][slot] += withdraw ? -amount : amount;
}

/* Mostly a little more than what is used already: a limit that nobody comes near tests nothing. */
static int64_t random_max(int agent, enum window window, bool calls)
{
	struct sum sum = {
	    .agent = agent, .subject = PURSE_AGENT, .window = window, .at_us = w.now_us};
	int64_t room = calls ? below(8) : below(100) * CENT;

	if (once_in(4))
		return room;
	return room + (calls ? call_sum(&sum) : spend_sum(&sum));
}

static char *random_policy(int agent)
{
	static const char *const scopes[] = {"session", "agent", "wallet", "tool", "payee",
	    "tool:github/*", "tool:search", "payee:0x70997970c51812dc3a010c7d01b50e0d17dc79c8"};
	char amount[AMOUNT_TEXT_SIZE];
	struct buf text;
	int count = 1 + below(6);

	buf_init(&text, 4096);
	buf_add_str(&text, "{\"limits\":[");
	for (int i = 0; i < count; i++) {
		const char *scope = scopes[below(COUNT(scopes))];
		bool calls = once_in(3);
		enum window window =
		    (enum window)(calls ? WINDOW_MINUTE + below(5) : WINDOW_CALL + below(6));
		int64_t max = random_max(agent, window, calls);

		buf_add_format(&text, "%s{\"scope\":\"%s\",\"window\":\"%s\",", i ? "," : "", scope,
		    window_str(window));
		if (calls)
			buf_add_format(&text, "\"calls\":%lld}", (long long)max);
		else
			buf_add_format(
			    &text, "\"spend\":\"%s\"}", amount_format(amount, amount_of(max)));
	}
	buf_add_str(&text, "]}");
	check(buf_ok(&text));
	return buf_take(&text);
}

static void step_policy(void)
{
	int agent = below(AGENTS);
	char *text = random_policy(agent);

	check(command(
	    "policy.set", json_pack("{s:s, s:s}", "agent", agent_names[agent], "policy", text)));
	free(text);
}

static json_t *id_text(int64_t id)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)id);
	return json_string(text);
}

static void step_resolve(void)
{
	enum purchase_state state = (enum purchase_state)(FLYING + below(4));
	struct purchase *p = some_purchase(state, state == FLYING);
	bool unused = once_in(2), force = once_in(2), may;

	if (!p)
		return;
	/* What is open is the owner's to decide; what was spent only where the chain contradicts
	 * it. */
	may = (state == OPEN || (state == SPENT && unused && p->flagged && p->refunded == 0)) &&
	      (!unused || force || w.now_us / CLOCK_US_PER_S >= p->valid_before_s + 60);
	check(command("payment.resolve",
		  json_pack("{s:o, s:s, s:b}", "payment", id_text(p->id), "decision",
		      unused ? "unused" : "settled", "force", force)) == may);
	if (may) {
		p->state = unused ? BACK : SPENT;
		p->flagged = false;
	}
}

static void step_refund(void)
{
	struct purchase *p = some_purchase((enum purchase_state)(OPEN + below(3)), false);
	int64_t amount = 1 + below(30) * CENT;
	bool may;

	if (!p)
		return;
	may = p->state == SPENT && amount <= p->amount - p->refunded;
	check(command("payment.refund", json_pack("{s:o, s:o}", "payment", id_text(p->id), "amount",
					    dollars(amount))) == may);
	if (may) {
		p->refunded += amount;
		w.refunds++;
	}
}

/* --- steps: the chain ------------------------------------------------------------------------- */

static struct chain_finding random_finding(void)
{
	struct chain_finding finding = {.fate = (enum chain_fate)below(4),
	    .block = {.number = 1000 + below(3), .time_s = w.now_us / CLOCK_US_PER_S},
	    .transfer_matches = !once_in(8),
	    .endpoints = 2};

	snprintf(finding.block.hash, sizeof finding.block.hash, "0x%064x", 1 + below(3));
	if (finding.fate == CHAIN_FATE_USED || finding.fate == CHAIN_FATE_CANCELLED)
		snprintf(finding.transaction, sizeof finding.transaction, "0x%064x", 1 + below(3));
	else
		finding.log_index = -1;
	return finding;
}

/* Where the booking says it moved a payment; what it may do is booking.h's table and has tests of
 * its own, that it does what it says is this one's. */
static void follow_booking(struct purchase *p, const struct booking *booking)
{
	switch (booking->act) {
	case BOOKING_NOTHING:
		return;
	case BOOKING_PROVE:
		p->flagged = false;
		return;
	case BOOKING_FLAG:
		p->flagged = true;
		return;
	case BOOKING_SETTLE:
		check(p->state == OPEN);
		p->state = SPENT;
		break;
	case BOOKING_GIVE_BACK:
		check(p->state == OPEN);
		p->state = BACK;
		break;
	case BOOKING_REOPEN:
		check(p->state == SPENT || p->state == BACK);
		p->state = OPEN;
		p->answered = true;
		w.reopenings++;
		break;
	case BOOKING_TURN:
		check(p->state == SPENT);
		p->state = BACK;
		w.reopenings++;
		break;
	case BOOKING_TAKE:
		check(p->state == BACK);
		p->state = SPENT;
		w.reopenings++;
		break;
	}
	p->flagged = false;
	w.findings++;
}

/* Everything queued is written; nothing was refused. */
static void catch_up(void)
{
	struct batch *batch = batch_new(w.now_us);

	check(store_append_wait(w.house->store, &batch) == STORE_OK);
	check(atomic_load(&w.unwritten) == 0);
}

static void step_chain(void)
{
	enum purchase_state state = (enum purchase_state)(FLYING + below(4));
	struct purchase *p = some_purchase(state, state == FLYING);
	struct chain_finding finding = random_finding();
	struct booking booking;

	if (!p)
		return;
	/* Bookings read what is on the disk. */
	catch_up();
	check(booking_load(&booking, w.house, p->id) == STORE_OK);
	booking_commit(w.house, &booking, &finding, 1, w.now_us);
	check(booking.result == STORE_OK);
	follow_booking(p, &booking);
	booking_fini(&booking);
}

/* --- steps: time, and the end of a process ------------------------------------------------------
 */

static void step_time(void)
{
	static const int64_t steps[] = {
	    1, 1, 1, CLOCK_US_PER_S / 20, CLOCK_US_PER_S, 10 * CLOCK_US_PER_S, 61 * CLOCK_US_PER_S};

	if (once_in(60))
		w.now_us += once_in(8) ? 12 * DAY_US : once_in(3) ? DAY_US : HOUR_US;
	else
		w.now_us += steps[below(COUNT(steps))];
}

static void house_make(void)
{
	char reason[512] = "";

	w.house = must_calloc(1, sizeof *w.house);
	w.house->who = must_strdup("test");
	w.house->dir = must_strdup(w.dir);
	atomic_store(&w.house->config, w.config);
	house_furnish(w.house);
	for (int slot = 0; slot < SLOTS; slot++)
		w.assets[slot] = assets_default(w.house->assets, networks[slot]);
	if (store_open(&w.house->store, reason, w.dir, w.now_us) != STORE_OK ||
	    house_load(w.house, reason, w.now_us) != HOUSE_OK)
		fail_msg(
		    "%s: step %ld of TEST_SEED=%llu", reason, w.step, (unsigned long long)w.seed);
}

/* Every signature stands in the ledger once, one a call, in the model's state. */
static bool compare_payment(const struct payment_row *row, void *arg)
{
	static const enum purchase_state states[] = {
	    [PAYMENT_SIGNED] = FLYING,
	    [PAYMENT_OPEN] = OPEN,
	    [PAYMENT_SETTLED] = SPENT,
	    [PAYMENT_RESOLVED_SPENT] = SPENT,
	    [PAYMENT_RESOLVED_UNUSED] = BACK,
	    [PAYMENT_EXPIRED_UNUSED] = BACK,
	    [PAYMENT_CANCELLED] = BACK,
	};
	size_t found = 0, *seen = arg;

	for (size_t i = 0; i < w.purchase_count; i++) {
		const struct purchase *p = &w.purchases[i];

		if (p->undone || p->call != row->call)
			continue;
		check(p->id == row->id && p->state == states[row->state]);
		found++;
	}
	check(found == 1);
	++*seen;
	return true;
}

static size_t written_count(void)
{
	size_t count = 0;

	for (size_t i = 0; i < w.purchase_count; i++)
		count += !w.purchases[i].undone;
	return count;
}

static bool compare_balance(const struct balance_row *row, void *arg)
{
	(void)arg;
	for (int agent = 0; agent < AGENTS; agent++) {
		if (agent_of(agent)->id != row->agent)
			continue;
		for (int slot = -1; slot < SLOTS; slot++) {
			struct balance model =
			    slot < 0 ? metered_sum(agent) : balance_sum(agent, slot);
			struct balance is = {row->available, row->reserved, row->open, row->spent};
			const char *network = slot < 0 ? "off-chain" : networks[slot];

			if (strcmp(network, row->network) == 0)
				check_balance(&is, &model);
		}
	}
	return true;
}

static void check_ledger(void)
{
	struct verify_report report;
	size_t payments = 0;

	check(store_payments(w.house->store, 0, false, compare_payment, &payments) == STORE_OK);
	check(payments == written_count());
	check(store_balances(w.house->store, compare_balance, NULL) == STORE_OK);
	check(verify_run(&report, w.house->store) == STORE_OK);
	if (!report.ok)
		fail_msg("%s: step %ld of TEST_SEED=%llu",
		    report.problem_count ? report.problems[0] : "not ok", w.step,
		    (unsigned long long)w.seed);
	verify_fini(&report);
}

/* What a stop does to calls in flight, in the model. When one leaves the line, others may be let
 * in at the last moment: they have written nothing, and nobody will remember them. */
static void forget_seats(void)
{
	for (struct seat *seat = w.seats; seat; seat = seat->next) {
		if (seat->r.waiting)
			check(reserve_stop_waiting(&seat->r));
	}
	event_base_loop(w.base, EVLOOP_NONBLOCK);
	while (w.seats) {
		struct seat *seat = w.seats;

		if (seat->purchase > 0)
			w.purchases[seat->purchase - 1].state = OPEN;
		if (seat->metered > 0)
			w.metered[seat->metered - 1].state = CHARGED;
		if (seat->admitted > 0)
			w.admitted[seat->admitted - 1].forgotten = true;
		/* The purse wants no hold in force when it goes. */
		if (seat->r.hold.state == HOLD_PROVISIONAL)
			hold_release(&seat->r.hold);
		else if (seat->r.hold.state == HOLD_SIGNED)
			hold_leave_open(&seat->r.hold);
		else if (seat->r.hold.state == HOLD_METERED)
			hold_charge(&seat->r.hold);
		seat_leave(seat);
	}
	for (size_t i = 0; i < w.purchase_count; i++) {
		w.purchases[i].taken = false;
		w.purchases[i].answered = w.purchases[i].audited_answered;
	}
}

static void step_restart(void)
{
	run_resolved();
	catch_up();
	forget_seats();
	house_close(&w.house);
	w.now_us += 1 + below(5) * CLOCK_US_PER_S;
	house_make();
	w.restarts++;
	check_all_meters();
	check_ledger();
}

/* --- a run -------------------------------------------------------------------------------------
 */

static void make_agents(void)
{
	struct batch *batch = batch_new(w.now_us);

	for (int agent = 0; agent < AGENTS; agent++) {
		struct agent_row row = {.id = next_id(),
		    .name = agent_names[agent],
		    .owner = "owner@example.com",
		    .address = payers[agent]};

		batch_agent(batch, &row);
		batch_policy(batch, next_id(), row.id, "{}");
		for (int session = 0; session < SESSIONS; session++) {
			struct token_row token = {.id = next_id(),
			    .session = w.sessions[agent][session],
			    .agent = row.id,
			    .expires_s = w.now_us / CLOCK_US_PER_S + INT64_C(315360000)};

			batch_token(batch, &token);
		}
	}
	append(batch);
	catch_up();
}

static void episode_begin(void)
{
	char reason[256] = "";

	assert_int_equal(unit_folder_make(&w.dir), 0);
	if (store_create(reason, w.dir) != STORE_OK)
		fail_msg("%s", reason);
	w.now_us = START_US;
	for (int agent = 0; agent < AGENTS; agent++) {
		for (int session = 0; session < SESSIONS; session++)
			w.sessions[agent][session] = must_format("s-%d-%d", agent, session);
	}
	house_make();
	make_agents();
	house_close(&w.house);
	house_make();
}

static void episode_end(void)
{
	step_restart();
	house_close(&w.house);
	for (int agent = 0; agent < AGENTS; agent++) {
		for (int session = 0; session < SESSIONS; session++)
			free(w.sessions[agent][session]);
	}
	free(w.purchases);
	free(w.metered);
	free(w.admitted);
	w.purchases = NULL;
	w.metered = NULL;
	w.admitted = NULL;
	w.purchase_count = w.metered_count = w.admitted_count = 0;
	memset(w.paid_in, 0, sizeof w.paid_in);
	assert_int_equal(unit_folder_remove(&w.dir), 0);
}

static void step(void)
{
	static const struct {
		void (*run)(void);
		int weight;
	} steps[] = {
	    {step_begin, 30},
	    {step_quote, 22},
	    {step_free, 4},
	    {step_give_up, 2},
	    {step_outcome, 16},
	    {step_metered_outcome, 6},
	    {step_retried, 3},
	    {step_deposit, 4},
	    {step_policy, 4},
	    {step_resolve, 3},
	    {step_refund, 3},
	    {step_chain, 8},
	    {step_time, 14},
	};
	int pick, total = 0;

	for (size_t i = 0; i < COUNT(steps); i++)
		total += steps[i].weight;
	pick = below(total);
	for (size_t i = 0; i < COUNT(steps); i++) {
		pick -= steps[i].weight;
		if (pick < 0) {
			steps[i].run();
			break;
		}
	}
}

static void run(uint64_t seed, long steps)
{
	w.seed = seed;
	w.random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (w.step = 0; w.step < steps; w.step++) {
		if (w.step % EPISODE_STEPS == 0) {
			if (w.step > 0)
				episode_end();
			episode_begin();
		}
		if (once_in(RESTART_EVERY))
			step_restart();
		else
			step();
		run_resolved();
		for (int agent = 0; agent < AGENTS; agent++)
			check_balances(agent);
		check_some_meters();
	}
	episode_end();
}

static void the_house_and_the_model_agree(void **state)
{
	static const uint64_t seeds[] = {1, 2, 3, 14};
	const char *seed = getenv("TEST_SEED"), *steps = getenv("TEST_STEPS");
	long count = steps ? strtol(steps, NULL, 10) : STEPS_DEFAULT;

	(void)state;
	if (seed) {
		run(strtoull(seed, NULL, 10), count);
	} else {
		for (size_t i = 0; i < COUNT(seeds); i++)
			run(seeds[i], count);
	}
	print_message(
	    "%ld grants, %ld refusals, %ld waits, %ld signatures, %ld retries, %ld refunds, "
	    "%ld ends by the chain, %ld undone by it, %ld restarts\n",
	    w.grants, w.refusals, w.waits, w.signatures, w.retries, w.refunds, w.findings,
	    w.reopenings, w.restarts);
	/* Whoever changes the odds sees to it that every part is still reached. */
	if (!seed && count >= STEPS_DEFAULT) {
		check(w.grants > 100 && w.refusals > 50 && w.waits > 10 && w.signatures > 50);
		check(w.retries > 5 && w.refunds > 2 && w.undone > 2 && w.restarts > 3);
		check(w.findings > 10 && w.reopenings > 5);
	}
}

static int model_make(void **state)
{
	(void)state;
	w.base = event_base_new();
	w.mailbox = mailbox_new(w.base);
	w.config = must_calloc(1, sizeof *w.config);
	config_init(w.config);
	return 0;
}

static int model_remove(void **state)
{
	(void)state;
	config_fini(w.config);
	free(w.config);
	mailbox_free(&w.mailbox);
	event_base_free(w.base);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_house_and_the_model_agree),
	};

	return cmocka_run_group_tests(tests, model_make, model_remove);
}
