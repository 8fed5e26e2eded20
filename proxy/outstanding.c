#include "proxy/outstanding.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/table.h"

/* What may be taken over is listed by its target. */
struct entry {
	struct open_payment payment;
	struct entry *prev, *next; /* of the same target, oldest first */
	struct target *target;
	UT_hash_handle hh;
};

struct target {
	struct digest digest;
	struct entry *entries;
	UT_hash_handle hh;
};

struct outstanding {
	pthread_mutex_t lock;
	struct entry *entries; /* by id */
	struct target *targets;
	/* The latest validBefore of all that were ever takeable: once it has passed, nothing is,
	 * and no call needs the lock to know it. */
	_Atomic int64_t cashable_until_s;
};

struct outstanding *outstanding_new(void)
{
	struct outstanding *outstanding = must_calloc(1, sizeof *outstanding);

	must(pthread_mutex_init(&outstanding->lock, NULL) == 0);
	return outstanding;
}

void open_payment_fini(struct open_payment *payment)
{
	free(payment->tool);
	free(payment->session);
	payment->tool = payment->session = NULL;
}

static bool takeable(const struct open_payment *payment)
{
	return !payment->keyed && !payment->answered && !payment->taken && !payment->withdrawn &&
	       !payment->doubtful;
}

static int by_id(const struct entry *a, const struct entry *b)
{
	return a->payment.id < b->payment.id ? -1 : a->payment.id > b->payment.id;
}

static void list(struct outstanding *outstanding, struct entry *entry)
{
	const struct open_payment *payment = &entry->payment;
	struct target *target;

	if (payment->valid_before_s > atomic_load(&outstanding->cashable_until_s))
		atomic_store(&outstanding->cashable_until_s, payment->valid_before_s);
	HASH_FIND(hh, outstanding->targets, &payment->target, sizeof payment->target, target);
	if (!target) {
		target = must_calloc(1, sizeof *target);
		target->digest = payment->target;
		HASH_ADD(hh, outstanding->targets, digest, sizeof target->digest, target);
	}
	entry->target = target;
	DL_INSERT_INORDER(target->entries, entry, by_id);
}

static void unlist(struct outstanding *outstanding, struct entry *entry)
{
	struct target *target = entry->target;

	if (!target)
		return;
	entry->target = NULL;
	DL_DELETE(target->entries, entry);
	if (!target->entries) {
		HASH_DEL(outstanding->targets, target);
		free(target);
	}
}

/* After each change of what decides it. */
static void relist(struct outstanding *outstanding, struct entry *entry)
{
	if (takeable(&entry->payment) == (entry->target != NULL))
		return;
	if (entry->target)
		unlist(outstanding, entry);
	else
		list(outstanding, entry);
}

static struct entry *find(struct outstanding *outstanding, int64_t payment)
{
	struct entry *entry;

	HASH_FIND(hh, outstanding->entries, &payment, sizeof payment, entry);
	return entry;
}

static void entry_free(struct outstanding *outstanding, struct entry *entry)
{
	unlist(outstanding, entry);
	HASH_DEL(outstanding->entries, entry);
	open_payment_fini(&entry->payment);
	free(entry);
}

void outstanding_free(struct outstanding **outstanding_p)
{
	struct outstanding *outstanding = *outstanding_p;
	struct entry *entry, *next;

	*outstanding_p = NULL;
	if (!outstanding)
		return;
	HASH_ITER (hh, outstanding->entries, entry, next)
		entry_free(outstanding, entry);
	pthread_mutex_destroy(&outstanding->lock);
	free(outstanding);
}

struct digest outstanding_target(int64_t agent, const char *method, const char *url)
{
	struct sha256 *running = sha256_new();

	sha256_add(running, &agent, sizeof agent);
	sha256_add(running, method, strlen(method) + 1);
	sha256_add(running, url, strlen(url) + 1);
	return sha256_done(&running);
}

struct digest outstanding_request(const struct digest *target, const struct digest *body)
{
	struct sha256 *running = sha256_new();

	sha256_add(running, target->bytes, DIGEST_SIZE);
	sha256_add(running, body->bytes, DIGEST_SIZE);
	return sha256_done(&running);
}

static struct open_payment copy_of(const struct open_payment *payment)
{
	struct open_payment copy = *payment;

	copy.tool = must_strdup(payment->tool);
	copy.session = must_strdup(payment->session);
	return copy;
}

void outstanding_add(struct outstanding *outstanding, const struct open_payment *payment)
{
	struct entry *entry;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment->id);
	if (entry) {
		bool withdrawn = entry->payment.withdrawn;

		unlist(outstanding, entry);
		open_payment_fini(&entry->payment);
		entry->payment = copy_of(payment);
		/* The owner's word stands, whoever else has something to say. */
		entry->payment.withdrawn |= withdrawn;
	} else {
		entry = must_calloc(1, sizeof *entry);
		entry->payment = copy_of(payment);
		HASH_ADD(hh, outstanding->entries, payment.id, sizeof entry->payment.id, entry);
	}
	relist(outstanding, entry);
	pthread_mutex_unlock(&outstanding->lock);
}

void outstanding_remove(struct outstanding *outstanding, int64_t payment)
{
	struct entry *entry;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment);
	if (entry)
		entry_free(outstanding, entry);
	pthread_mutex_unlock(&outstanding->lock);
}

bool outstanding_may_take(struct digest *target, struct outstanding *outstanding, int64_t agent,
    const char *method, const char *url, int64_t now_s)
{
	struct target *found;

	if (atomic_load(&outstanding->cashable_until_s) <= now_s)
		return false;
	*target = outstanding_target(agent, method, url);
	pthread_mutex_lock(&outstanding->lock);
	HASH_FIND(hh, outstanding->targets, target, sizeof *target, found);
	pthread_mutex_unlock(&outstanding->lock);
	return found != NULL;
}

bool outstanding_take(int64_t *payment, struct outstanding *outstanding,
    const struct digest *target, const struct digest *request, int64_t now_s)
{
	struct target *found;
	struct entry *entry = NULL;

	pthread_mutex_lock(&outstanding->lock);
	HASH_FIND(hh, outstanding->targets, target, sizeof *target, found);
	if (found) {
		DL_FOREACH(found->entries, entry)
		if (entry->payment.valid_before_s > now_s &&
		    digest_equal(&entry->payment.request, request))
			break;
	}
	if (entry) {
		*payment = entry->payment.id;
		entry->payment.taken = true;
		relist(outstanding, entry);
	}
	pthread_mutex_unlock(&outstanding->lock);
	return entry != NULL;
}

bool outstanding_hold(struct outstanding *outstanding, int64_t payment)
{
	struct entry *entry;
	bool held;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment);
	held = entry && !entry->payment.taken && !entry->payment.withdrawn;
	if (held) {
		entry->payment.taken = true;
		relist(outstanding, entry);
	}
	pthread_mutex_unlock(&outstanding->lock);
	return held;
}

void outstanding_give_back(struct outstanding *outstanding, int64_t payment, bool answered)
{
	struct entry *entry;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment);
	if (entry) {
		entry->payment.taken = false;
		entry->payment.answered = entry->payment.answered || answered;
		relist(outstanding, entry);
	}
	pthread_mutex_unlock(&outstanding->lock);
}

void outstanding_withdraw(struct outstanding *outstanding, int64_t payment, bool withdrawn)
{
	struct entry *entry;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment);
	if (entry) {
		entry->payment.withdrawn = withdrawn;
		relist(outstanding, entry);
	}
	pthread_mutex_unlock(&outstanding->lock);
}

void outstanding_confirm(struct outstanding *outstanding, int64_t payment)
{
	struct entry *entry;

	pthread_mutex_lock(&outstanding->lock);
	entry = find(outstanding, payment);
	if (entry) {
		entry->payment.doubtful = false;
		relist(outstanding, entry);
	}
	pthread_mutex_unlock(&outstanding->lock);
}

/* The `max` smallest ids, in order: the table itself has none. */
static size_t keep_smallest(
    const struct entry **kept, size_t count, size_t max, const struct entry *entry)
{
	size_t at = count;

	while (at > 0 && kept[at - 1]->payment.id > entry->payment.id)
		at--;
	if (at == max)
		return count;
	if (count == max)
		count--;
	memmove(&kept[at + 1], &kept[at], (count - at) * sizeof *kept);
	kept[at] = entry;
	return count + 1;
}

static size_t copy_out(struct open_payment *out, size_t max, struct outstanding *outstanding,
    bool (*wanted)(const struct open_payment *payment, const char *network, int64_t after),
    const char *network, int64_t after)
{
	const struct entry **kept = must_calloc(max + 1, sizeof *kept);
	struct entry *entry, *next;
	size_t count = 0;

	pthread_mutex_lock(&outstanding->lock);
	HASH_ITER (hh, outstanding->entries, entry, next) {
		if (wanted(&entry->payment, network, after))
			count = keep_smallest(kept, count, max, entry);
	}
	for (size_t i = 0; i < count; i++)
		out[i] = copy_of(&kept[i]->payment);
	pthread_mutex_unlock(&outstanding->lock);
	free(kept);
	return count;
}

static bool is_open(const struct open_payment *payment, const char *network, int64_t after)
{
	return !payment->doubtful && payment->id > after &&
	       (!network || strcmp(payment->asset->network, network) == 0);
}

static bool is_doubtful(const struct open_payment *payment, const char *network, int64_t after)
{
	(void)network;
	return payment->doubtful && !payment->taken && payment->id > after;
}

size_t outstanding_list(struct open_payment *out, size_t max, struct outstanding *outstanding,
    const char *network, int64_t after)
{
	return copy_out(out, max, outstanding, is_open, network, after);
}

size_t outstanding_doubtful(struct open_payment *out, size_t max, struct outstanding *outstanding)
{
	return copy_out(out, max, outstanding, is_doubtful, NULL, 0);
}

size_t outstanding_count(struct outstanding *outstanding)
{
	size_t count;

	pthread_mutex_lock(&outstanding->lock);
	count = HASH_COUNT(outstanding->entries);
	pthread_mutex_unlock(&outstanding->lock);
	return count;
}
