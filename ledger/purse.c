/* ledger/purse.c - every agent's money in memory: balances, meters, holds.
 *
 * A hold walks a short road, and each function below is one step of it:
 *
 *   NONE ─ place ─▶ PROVISIONAL ─ sign ─▶ SIGNED ─ settle, leave_open, unsign ─▶ DONE
 *     │                │  └─────────── release ─────────────────────────────────▶ DONE
 *     │                └ resize
 *     └─ place_metered ─▶ METERED ─ charge, give_back ──────────────────────────▶ DONE
 *
 * While it walks it keeps pointers to the meters it was counted in. Of those only a
 * session's can go away (purse_trim), so a session counts the holds that point at it. */
#include "ledger/purse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/table.h"
#include "ledger/meter.h"

/* One subject: its meter and what is provisionally set aside for it. */
struct purse_meter {
	char *name; /* NULL: the agent, the wallet */
	struct meter *meter;
	int64_t provisional;
	size_t holds; /* of a session: those that point here */
	UT_hash_handle hh;
};

enum past {
	PAST_TOLD = 0,	 /* in the meters, or there is none */
	PAST_UNTOLD = 1, /* the purse sleeps */
	PAST_LOST = 2,	 /* it could not be read, and the purse is in use without */
};

struct purse {
	struct purse *next; /* of all */
	struct purses *purses;
	void *owner;	     /* of the past, in the words of who recalls it */
	_Atomic(enum past) past; /* written with the lock held */
	struct purse_meter whole, wallet; /* their meters: NULL until one is asked for */
	struct purse_meter *sessions, *tools, *payees;
	struct balance *slots; /* by slot; those never used are not there */
	unsigned slot_count;
};

struct purses {
	pthread_mutex_t lock;
	struct purse *all;
	purse_recall_fn *recall;
	void *recall_arg;
};

static int64_t capped_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t at_least_zero(int64_t number)
{
	return number < 0 ? 0 : number;
}

/* Moves as much of amount as there is and as will fit, so no damaged ledger can make
 * money here or take a balance below zero. Returns what moved. */
static int64_t move_money(int64_t *from, int64_t *to, int64_t amount)
{
	if (amount > *from)
		amount = *from;
	if (amount > INT64_MAX - *to)
		amount = INT64_MAX - *to;
	*from -= amount;
	*to += amount;
	return amount;
}

/* --- subjects ----------------------------------------------------------- */

static struct purse_meter *subject_find(struct purse_meter *table, const char *name)
{
	struct purse_meter *subject;

	HASH_FIND_STR(table, name, subject);
	return subject;
}

static struct purse_meter *subject_at(struct purse_meter **table, const char *name)
{
	struct purse_meter *subject = subject_find(*table, name);

	if (subject != NULL)
		return subject;
	subject = must_calloc(1, sizeof(*subject));
	subject->name = must_strdup(name);
	subject->meter = meter_new();
	HASH_ADD_KEYPTR(hh, *table, subject->name, strlen(subject->name), subject);
	return subject;
}

static void subject_remove(struct purse_meter **table, struct purse_meter *subject)
{
	HASH_DEL(*table, subject);
	meter_free(&subject->meter);
	free(subject->name);
	free(subject);
}

static void subjects_free(struct purse_meter **table)
{
	struct purse_meter *subject, *next;

	HASH_ITER(hh, *table, subject, next) {
		subject_remove(table, subject);
	}
}

/* Addresses are told apart by their digits, not by the checksum in their case. False:
 * too long for one, so there is no such payee. */
static bool payee_key(char key[PURSE_PAYEE_SIZE], const char *payee)
{
	size_t i, size = strlen(payee);

	if (size >= PURSE_PAYEE_SIZE)
		return false;
	memcpy(key, payee, size + 1);
	for (i = 0; i < size; i++)
		if (key[i] >= 'A' && key[i] <= 'F')
			key[i] = (char)(key[i] - 'A' + 'a');
	return true;
}

static struct purse_meter *payee_find(const struct purse *purse, const char *payee)
{
	char key[PURSE_PAYEE_SIZE];

	return payee_key(key, payee) ? subject_find(purse->payees, key) : NULL;
}

/* NULL for a name that is too long for an address. */
static struct purse_meter *payee_at(struct purse *purse, const char *payee)
{
	char key[PURSE_PAYEE_SIZE];

	return payee_key(key, payee) ? subject_at(&purse->payees, key) : NULL;
}

static void subject_charge(struct purse_meter *subject, int64_t at_us, int64_t spend, int64_t calls)
{
	if (subject != NULL)
		meter_charge(subject->meter, at_us, spend, calls);
}

static void subject_uncharge(
    struct purse_meter *subject, int64_t at_us, int64_t spend, int64_t calls)
{
	if (subject != NULL)
		meter_uncharge(subject->meter, at_us, spend, calls);
}

/* --- the past ------------------------------------------------------------- */

static void meters_make(struct purse *purse)
{
	if (purse->whole.meter != NULL)
		return;
	purse->whole.meter = meter_new();
	purse->wallet.meter = meter_new();
}

static void meters_free(struct purse *purse)
{
	subjects_free(&purse->sessions);
	subjects_free(&purse->tools);
	subjects_free(&purse->payees);
	meter_free(&purse->whole.meter);
	meter_free(&purse->wallet.meter);
}

static void charge_all(struct purse *purse, const char *session, const char *tool,
    const char *payee, bool wallet, int64_t at_us, int64_t spend, int64_t calls)
{
	int64_t admitted = payee == NULL ? calls : 0, paid = payee != NULL ? calls : 0;

	meter_charge(purse->whole.meter, at_us, spend, admitted);
	if (wallet)
		meter_charge(purse->wallet.meter, at_us, spend, paid);
	if (session != NULL)
		subject_charge(subject_at(&purse->sessions, session), at_us, spend, admitted);
	if (tool != NULL)
		subject_charge(subject_at(&purse->tools, tool), at_us, spend, admitted);
	if (payee != NULL)
		subject_charge(payee_at(purse, payee), at_us, spend, paid);
}

static enum purse_past draft_read(struct purse *draft, const struct purse *purse, size_t rows_max)
{
	*draft = (struct purse){.next = NULL};
	meters_make(draft);
	return purse->purses->recall(draft, purse->owner, rows_max, purse->purses->recall_arg);
}

/* The draft's meters become the purse's, which has none: nothing was charged while it slept. */
static void draft_take(struct purse *draft, struct purse *purse)
{
	must(purse->whole.meter == NULL);
	purse->whole.meter = draft->whole.meter;
	purse->wallet.meter = draft->wallet.meter;
	purse->sessions = draft->sessions;
	purse->tools = draft->tools;
	purse->payees = draft->payees;
	*draft = (struct purse){.next = NULL};
	atomic_store_explicit(&purse->past, PAST_TOLD, memory_order_release);
}

/* False: its past cannot be read, and it sleeps on. */
static bool purse_known(struct purse *purse)
{
	struct purse draft;

	if (atomic_load_explicit(&purse->past, memory_order_relaxed) == PAST_UNTOLD) {
		if (draft_read(&draft, purse, SIZE_MAX) == PURSE_AWAKE)
			draft_take(&draft, purse);
		meters_free(&draft);
	}
	if (atomic_load_explicit(&purse->past, memory_order_relaxed) == PAST_UNTOLD)
		return false;
	meters_make(purse);
	return true;
}

/* Every way to charge a meter, or take a charge back, leads through here. */
static void purse_wake(struct purse *purse)
{
	if (purse_known(purse))
		return;
	atomic_store_explicit(&purse->past, PAST_LOST, memory_order_release);
	meters_make(purse);
}

enum purse_past purse_recall_short(struct purse *purse, size_t rows_max)
{
	enum past past = atomic_load_explicit(&purse->past, memory_order_acquire);
	enum purse_past read;
	struct purse draft;

	if (past != PAST_UNTOLD)
		return past == PAST_TOLD ? PURSE_AWAKE : PURSE_UNREADABLE;
	read = draft_read(&draft, purse, rows_max);
	purses_lock(purse->purses);
	past = atomic_load_explicit(&purse->past, memory_order_relaxed);
	if (read == PURSE_AWAKE && past == PAST_UNTOLD)
		draft_take(&draft, purse);
	purses_unlock(purse->purses);
	meters_free(&draft);
	/* Somebody else may have been quicker. */
	if (past != PAST_UNTOLD)
		return past == PAST_TOLD ? PURSE_AWAKE : PURSE_UNREADABLE;
	return read;
}

bool purse_recall(struct purse *purse)
{
	return purse_recall_short(purse, SIZE_MAX) == PURSE_AWAKE;
}

bool purse_asleep(const struct purse *purse)
{
	return atomic_load_explicit(&purse->past, memory_order_acquire) == PAST_UNTOLD;
}

/* --- purses ------------------------------------------------------------- */

struct purses *purses_new(void)
{
	struct purses *purses = must_calloc(1, sizeof(*purses));

	must(pthread_mutex_init(&purses->lock, NULL) == 0);
	return purses;
}

static void purse_destroy(struct purse *purse)
{
	meters_free(purse);
	free(purse->slots);
	free(purse);
}

void purses_free(struct purses **purses)
{
	struct purse *purse, *next;

	if (*purses == NULL)
		return;
	for (purse = (*purses)->all; purse != NULL; purse = next) {
		next = purse->next;
		purse_destroy(purse);
	}
	must(pthread_mutex_destroy(&(*purses)->lock) == 0);
	free(*purses);
	*purses = NULL;
}

void purses_lock(struct purses *purses)
{
	must(pthread_mutex_lock(&purses->lock) == 0);
}

void purses_unlock(struct purses *purses)
{
	must(pthread_mutex_unlock(&purses->lock) == 0);
}

struct purse *purses_add(struct purses *purses)
{
	struct purse *purse = must_calloc(1, sizeof(*purse));

	purse->purses = purses;
	purse->next = purses->all;
	purses->all = purse;
	return purse;
}

void purses_recall_by(struct purses *purses, purse_recall_fn *recall, void *arg)
{
	purses->recall = recall;
	purses->recall_arg = arg;
}

void purse_sleep(struct purse *purse, void *owner)
{
	must(purse->purses->recall != NULL && purse->whole.meter == NULL);
	purse->owner = owner;
	atomic_store_explicit(&purse->past, PAST_UNTOLD, memory_order_release);
}

/* --- balances ----------------------------------------------------------- */

static struct balance *slot_at(struct purse *purse, unsigned slot)
{
	unsigned count = slot + 1;

	must(slot < PURSE_SLOT_MAX);
	if (count <= purse->slot_count)
		return &purse->slots[slot];
	purse->slots = must_realloc(purse->slots, count * sizeof(*purse->slots));
	memset(&purse->slots[purse->slot_count], 0,
	    (count - purse->slot_count) * sizeof(*purse->slots));
	purse->slot_count = count;
	return &purse->slots[slot];
}

static struct balance *chain_slot_at(struct purse *purse, unsigned slot)
{
	must(slot != PURSE_OFF_CHAIN);
	return slot_at(purse, slot);
}

struct balance purse_balance(const struct purse *purse, unsigned slot)
{
	must(slot < PURSE_SLOT_MAX);
	return slot < purse->slot_count ? purse->slots[slot] : (struct balance){0};
}

int64_t purse_provisional(const struct purse *purse)
{
	return purse->whole.provisional;
}

int64_t purse_available(const struct purse *purse)
{
	int64_t sum = 0;
	unsigned slot;

	for (slot = PURSE_OFF_CHAIN + 1; slot < purse->slot_count; slot++)
		sum = capped_add(sum, purse->slots[slot].available);
	return sum;
}

int64_t purse_free(const struct purse *purse)
{
	return purse_available(purse) - purse->whole.provisional;
}

/* --- readings ----------------------------------------------------------- */

static bool is_pattern(const char *name)
{
	return strpbrk(name, "*?") != NULL;
}

static const struct purse_meter *subject_of(
    const struct purse *purse, enum purse_subject subject, const char *name)
{
	switch (subject) {
	case PURSE_SESSION:
		return subject_find(purse->sessions, name);
	case PURSE_AGENT:
		return &purse->whole;
	case PURSE_WALLET:
		return &purse->wallet;
	case PURSE_TOOL:
		return subject_find(purse->tools, name);
	case PURSE_PAYEE:
		return payee_find(purse, name);
	}
	must(!"a subject");
	return NULL;
}

static void reading_add(struct purse_reading *sum, const struct purse_meter *subject,
    enum window window, bool calls, int64_t at_us)
{
	sum->firm = capped_add(sum->firm, meter_sum(subject->meter, window, calls, at_us));
	if (!calls && window != WINDOW_CALL)
		sum->provisional = capped_add(sum->provisional, subject->provisional);
}

/* The first of them to give something back. */
static void reading_add_time(struct purse_reading *sum, const struct purse_meter *subject,
    enum window window, bool calls, int64_t at_us)
{
	struct meter_reading reading = meter_read(subject->meter, window, at_us);
	int64_t resets_us = calls ? reading.calls_resets_us : reading.spend_resets_us;

	if (resets_us != 0 && (sum->resets_us == 0 || resets_us < sum->resets_us))
		sum->resets_us = resets_us;
}

typedef void reading_fn(struct purse_reading *sum, const struct purse_meter *subject,
    enum window window, bool calls, int64_t at_us);

/* Over every meter that the name stands for. */
static void reading_each(struct purse_reading *sum, reading_fn *add, struct purse *purse,
    enum purse_subject subject, const char *name, enum window window, bool calls, int64_t at_us)
{
	const struct purse_meter *found;

	must(subject == PURSE_AGENT || subject == PURSE_WALLET || name != NULL);
	if (!purse_known(purse))
		return;
	if (subject == PURSE_TOOL && is_pattern(name)) {
		for (found = purse->tools; found != NULL; found = found->hh.next)
			if (glob_match(name, found->name))
				add(sum, found, window, calls, at_us);
		return;
	}
	found = subject_of(purse, subject, name);
	if (found != NULL)
		add(sum, found, window, calls, at_us);
}

struct purse_reading purse_sum(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us)
{
	struct purse_reading reading = {0};

	reading_each(&reading, reading_add, purse, subject, name, window, calls, at_us);
	return reading;
}

struct purse_subjects purse_find(
    struct purse *purse, const char *session, const char *tool, const char *payee)
{
	if (!purse_known(purse))
		return (struct purse_subjects){.found = {NULL}};
	return (struct purse_subjects){.found = {
		[PURSE_SESSION] = session == NULL ? NULL : subject_find(purse->sessions, session),
		[PURSE_AGENT] = &purse->whole,
		[PURSE_WALLET] = &purse->wallet,
		[PURSE_TOOL] = tool == NULL ? NULL : subject_find(purse->tools, tool),
		[PURSE_PAYEE] = payee == NULL ? NULL : payee_find(purse, payee),
	}};
}

struct purse_reading purse_subject_sum(const struct purse_subjects *subjects,
    enum purse_subject subject, enum window window, bool calls, int64_t at_us)
{
	struct purse_reading reading = {0};
	const struct purse_meter *found;

	must(subject >= PURSE_SESSION && subject <= PURSE_PAYEE);
	found = subjects->found[subject];
	if (found != NULL)
		reading_add(&reading, found, window, calls, at_us);
	return reading;
}

struct purse_reading purse_read(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us)
{
	struct purse_reading reading = purse_sum(purse, subject, name, window, calls, at_us);

	reading_each(&reading, reading_add_time, purse, subject, name, window, calls, at_us);
	return reading;
}

static int64_t subject_frees_at(const struct purse_meter *subject, enum window window, bool calls,
    int64_t at_us, int64_t amount)
{
	return meter_frees_at(
	    subject->meter, window, at_us, calls ? 0 : amount, calls ? amount : 0);
}

/* A sum of sliding windows has no one row of quanta to look in; but it only falls, so
 * the moment is found by halving the time until all of it has slid out. */
static int64_t pattern_frees_at(struct purse *purse, const char *pattern, enum window window,
    bool calls, int64_t at_us, int64_t amount)
{
	int64_t held = purse_sum(purse, PURSE_TOOL, pattern, window, calls, at_us).firm;
	int64_t target = held > amount ? held - amount : 0;
	int64_t low_us = at_least_zero(at_us), high_us = low_us;
	const struct purse_meter *tool;

	for (tool = purse->tools; tool != NULL; tool = tool->hh.next) {
		int64_t empty_us = subject_frees_at(tool, window, calls, at_us, INT64_MAX);

		if (empty_us > high_us && glob_match(pattern, tool->name))
			high_us = empty_us;
	}
	while (low_us < high_us) {
		int64_t middle_us = low_us + (high_us - low_us) / 2;

		if (purse_sum(purse, PURSE_TOOL, pattern, window, calls, middle_us).firm <= target)
			high_us = middle_us;
		else
			low_us = middle_us + 1;
	}
	return low_us;
}

int64_t purse_frees_at(struct purse *purse, enum purse_subject subject, const char *name,
    enum window window, bool calls, int64_t at_us, int64_t amount)
{
	const struct purse_meter *found;

	must(subject == PURSE_AGENT || subject == PURSE_WALLET || name != NULL);
	must(amount >= 0);
	if (!purse_known(purse))
		return at_us;
	/* The edges of the other windows are the same for everybody. */
	if (window != WINDOW_MINUTE && window != WINDOW_HOUR)
		return subject_frees_at(&purse->whole, window, calls, at_us, amount);
	if (subject == PURSE_TOOL && is_pattern(name))
		return pattern_frees_at(purse, name, window, calls, at_us, amount);
	found = subject_of(purse, subject, name);
	return found != NULL ? subject_frees_at(found, window, calls, at_us, amount) : at_us;
}

/* --- holds -------------------------------------------------------------- */

const char *hold_result_str(enum hold_result result)
{
	switch (result) {
	case HOLD_OK:
		return "ok";
	case HOLD_NO_FUNDS:
		return "no_funds";
	case HOLD_BUSY:
		return "busy";
	}
	return "?";
}

/* Would `amount` fit, with `others` of the purse set aside for other calls? */
static enum hold_result purse_fits(const struct purse *purse, int64_t others, int64_t amount)
{
	int64_t available = purse_available(purse);

	if (available < amount)
		return HOLD_NO_FUNDS;
	return available - others < amount ? HOLD_BUSY : HOLD_OK;
}

/* Both kinds of hold begin here: the call is counted, its session stays. */
static void hold_begin(struct hold *out, struct purse *purse, enum hold_state state,
    const char *session, const char *tool, int64_t at_us, int64_t amount)
{
	purse_wake(purse);
	*out = (struct hold){
	    .state = state,
	    .purse = purse,
	    .at_us = at_us,
	    .amount = amount,
	    .slot = PURSE_OFF_CHAIN,
	    .counted = true,
	    .session = subject_at(&purse->sessions, session),
	    .tool = subject_at(&purse->tools, tool),
	};
	out->session->holds++;
	meter_charge(purse->whole.meter, at_us, 0, 1);
	meter_charge(out->session->meter, at_us, 0, 1);
	meter_charge(out->tool->meter, at_us, 0, 1);
}

/* … and end here. */
static void hold_end(struct hold *hold)
{
	hold->session->holds--;
	hold->session = hold->tool = hold->payee = NULL;
	hold->state = HOLD_DONE;
}

/* The provisional amount becomes `amount` wherever it is counted. */
static void hold_provide(struct hold *hold, int64_t amount)
{
	int64_t change = amount - hold->amount;

	hold->purse->whole.provisional += change;
	hold->purse->wallet.provisional += change;
	hold->session->provisional += change;
	hold->tool->provisional += change;
	hold->amount = amount;
}

/* The payment in every subject that the hold names: charged, or taken back. */
static void hold_charge_payment(const struct hold *hold)
{
	meter_charge(hold->purse->whole.meter, hold->at_us, hold->amount, 0);
	meter_charge(hold->session->meter, hold->at_us, hold->amount, 0);
	meter_charge(hold->tool->meter, hold->at_us, hold->amount, 0);
	if (hold->payee == NULL)
		return;
	meter_charge(hold->purse->wallet.meter, hold->at_us, hold->amount, 1);
	meter_charge(hold->payee->meter, hold->at_us, hold->amount, 1);
}

static void hold_uncharge_payment(const struct hold *hold)
{
	meter_uncharge(hold->purse->whole.meter, hold->at_us, hold->amount, 0);
	meter_uncharge(hold->session->meter, hold->at_us, hold->amount, 0);
	meter_uncharge(hold->tool->meter, hold->at_us, hold->amount, 0);
	if (hold->payee == NULL)
		return;
	meter_uncharge(hold->purse->wallet.meter, hold->at_us, hold->amount, 1);
	meter_uncharge(hold->payee->meter, hold->at_us, hold->amount, 1);
}

static struct balance *hold_slot(const struct hold *hold)
{
	return slot_at(hold->purse, hold->slot);
}

enum hold_result hold_place(struct hold *out, struct purse *purse, const char *session,
    const char *tool, int64_t at_us, int64_t amount)
{
	enum hold_result result;

	must(out->state == HOLD_NONE || out->state == HOLD_DONE);
	must(session != NULL && tool != NULL && amount >= 0);
	result = purse_fits(purse, purse->whole.provisional, amount);
	if (result != HOLD_OK)
		return result;
	hold_begin(out, purse, HOLD_PROVISIONAL, session, tool, at_us, 0);
	hold_provide(out, amount);
	return HOLD_OK;
}

void hold_place_metered(struct hold *out, struct purse *purse, const char *session,
    const char *tool, int64_t at_us, int64_t amount)
{
	struct balance *off_chain = slot_at(purse, PURSE_OFF_CHAIN);

	must(out->state == HOLD_NONE || out->state == HOLD_DONE);
	must(session != NULL && tool != NULL && amount >= 0);
	hold_begin(out, purse, HOLD_METERED, session, tool, at_us, amount);
	hold_charge_payment(out);
	off_chain->reserved = capped_add(off_chain->reserved, amount);
}

enum hold_result hold_resize(struct hold *hold, int64_t amount)
{
	enum hold_result result;

	must(hold->state == HOLD_PROVISIONAL && amount >= 0);
	result = purse_fits(hold->purse, hold->purse->whole.provisional - hold->amount, amount);
	if (result == HOLD_OK)
		hold_provide(hold, amount);
	return result;
}

enum hold_result hold_sign(struct hold *hold, unsigned slot, const char *payee, int64_t price)
{
	struct balance *balance;
	enum hold_result result;

	must(hold->state == HOLD_PROVISIONAL);
	must(payee != NULL && strlen(payee) < PURSE_PAYEE_SIZE && price >= 0);
	balance = chain_slot_at(hold->purse, slot);
	if (balance->available < price || price > INT64_MAX - balance->open)
		return HOLD_NO_FUNDS;
	result = purse_fits(hold->purse, hold->purse->whole.provisional - hold->amount, price);
	if (result != HOLD_OK)
		return result;
	hold_provide(hold, 0);
	move_money(&balance->available, &balance->open, price);
	hold->state = HOLD_SIGNED;
	hold->slot = slot;
	hold->amount = price;
	hold->payee = payee_at(hold->purse, payee);
	hold_charge_payment(hold);
	return HOLD_OK;
}

void hold_unsign(struct hold *hold)
{
	must(hold->state == HOLD_SIGNED);
	move_money(&hold_slot(hold)->open, &hold_slot(hold)->available, hold->amount);
	hold_uncharge_payment(hold);
	hold_end(hold);
}

void hold_release(struct hold *hold)
{
	must(hold->state == HOLD_PROVISIONAL);
	hold_provide(hold, 0);
	hold_end(hold);
}

void hold_settle(struct hold *hold)
{
	must(hold->state == HOLD_SIGNED);
	move_money(&hold_slot(hold)->open, &hold_slot(hold)->spent, hold->amount);
	hold_end(hold);
}

void hold_leave_open(struct hold *hold)
{
	must(hold->state == HOLD_SIGNED);
	hold_end(hold);
}

void hold_charge(struct hold *hold)
{
	must(hold->state == HOLD_METERED);
	move_money(&hold_slot(hold)->reserved, &hold_slot(hold)->spent, hold->amount);
	hold_end(hold);
}

void hold_give_back(struct hold *hold)
{
	struct balance *off_chain = hold_slot(hold);

	must(hold->state == HOLD_METERED);
	off_chain->reserved = at_least_zero(off_chain->reserved - hold->amount);
	hold_uncharge_payment(hold);
	hold_end(hold);
}

/* --- without a hold ------------------------------------------------------ */

void purse_deposit(struct purse *purse, unsigned slot, int64_t amount)
{
	struct balance *balance = chain_slot_at(purse, slot);

	must(amount >= 0);
	balance->available = capped_add(balance->available, amount);
}

bool purse_withdraw(struct purse *purse, unsigned slot, int64_t amount)
{
	struct balance *balance = chain_slot_at(purse, slot);

	must(amount >= 0);
	if (balance->available < amount || purse_free(purse) < amount)
		return false;
	balance->available -= amount;
	return true;
}

void purse_restore(struct purse *purse, unsigned slot, const struct balance *balance)
{
	*slot_at(purse, slot) = (struct balance){
	    .available = at_least_zero(balance->available),
	    .reserved = at_least_zero(balance->reserved),
	    .open = at_least_zero(balance->open),
	    .spent = at_least_zero(balance->spent),
	};
}

void purse_restore_charge(struct purse *purse, const char *session, const char *tool,
    const char *payee, bool wallet, int64_t at_us, int64_t spend, int64_t calls)
{
	purse_wake(purse);
	charge_all(purse, session, tool, payee, wallet, at_us, at_least_zero(spend),
	    at_least_zero(calls));
}

void purse_settle(struct purse *purse, unsigned slot, int64_t amount)
{
	struct balance *balance = chain_slot_at(purse, slot);

	move_money(&balance->open, &balance->spent, at_least_zero(amount));
}

void purse_refund(struct purse *purse, unsigned slot, int64_t amount, const char *session,
    const char *tool, const char *payee, int64_t at_us)
{
	struct balance *balance = chain_slot_at(purse, slot);

	amount = at_least_zero(amount);
	if (move_money(&balance->open, &balance->available, amount) < amount)
		return;
	purse_wake(purse);
	meter_uncharge(purse->whole.meter, at_us, amount, 0);
	meter_uncharge(purse->wallet.meter, at_us, amount, 1);
	if (session != NULL)
		subject_uncharge(subject_find(purse->sessions, session), at_us, amount, 0);
	if (tool != NULL)
		subject_uncharge(subject_find(purse->tools, tool), at_us, amount, 0);
	if (payee != NULL)
		subject_uncharge(payee_find(purse, payee), at_us, amount, 1);
}

bool purse_reopen(struct purse *purse, unsigned slot, int64_t amount, bool from_spent,
    const char *session, const char *tool, const char *payee, int64_t at_us)
{
	struct balance *balance = chain_slot_at(purse, slot);

	must(amount >= 0);
	if (amount > INT64_MAX - balance->open)
		return false;
	if (from_spent) {
		if (balance->spent < amount)
			return false;
		move_money(&balance->spent, &balance->open, amount);
		return true;
	}
	if (balance->available < amount || purse_free(purse) < amount)
		return false;
	move_money(&balance->available, &balance->open, amount);
	purse_wake(purse);
	meter_charge(purse->whole.meter, at_us, amount, 0);
	meter_charge(purse->wallet.meter, at_us, amount, 1);
	if (session != NULL)
		subject_charge(subject_at(&purse->sessions, session), at_us, amount, 0);
	if (tool != NULL)
		subject_charge(subject_at(&purse->tools, tool), at_us, amount, 0);
	if (payee != NULL)
		subject_charge(payee_at(purse, payee), at_us, amount, 1);
	return true;
}

void purse_pay_back(struct purse *purse, unsigned slot, int64_t amount)
{
	struct balance *balance = chain_slot_at(purse, slot);

	must(amount >= 0);
	move_money(&balance->spent, &balance->available, amount);
}

/* --- upkeep -------------------------------------------------------------- */

static void subjects_trim(struct purse_meter *table, int64_t now_us)
{
	for (; table != NULL; table = table->hh.next)
		meter_trim(table->meter, now_us);
}

void purse_trim(struct purse *purse, int64_t now_us, session_expired_fn *expired, void *arg)
{
	struct purse_meter *session, *next;

	/* Asleep: there is nothing yet, and what it wakes with is trimmed the next time. */
	if (purse->whole.meter == NULL)
		return;
	HASH_ITER(hh, purse->sessions, session, next) {
		if (expired != NULL && session->holds == 0 && expired(session->name, arg))
			subject_remove(&purse->sessions, session);
	}
	subjects_trim(purse->sessions, now_us);
	subjects_trim(purse->tools, now_us);
	subjects_trim(purse->payees, now_us);
	meter_trim(purse->whole.meter, now_us);
	meter_trim(purse->wallet.meter, now_us);
}
