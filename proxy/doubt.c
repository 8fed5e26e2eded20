#include "proxy/doubt.h"

#include <stdio.h>

#include "common/log.h"
#include "proxy/reserve.h"
#include "proxy/rooms.h"

/* Looked at in one go: a failing disk leaves one for each call that was being signed. */
#define DOUBTS_AT_ONCE 64u

static bool found_row(const struct payment_row *row, void *arg)
{
	(void)row;
	(void)arg;
	return false;
}

static void give_back(struct house *house, const struct open_payment *payment)
{
	char payee[ADDRESS_TEXT_SIZE];

	address_format_lower(payee, &payment->payee);
	purses_lock(house->purses);
	purse_refund(payment->agent->purse, house_slot(house, payment->asset), payment->amount,
	    payment->session, payment->tool, payee, payment->call);
	purses_unlock(house->purses);
	outstanding_remove(house->outstanding, payment->id);
	reserve_retry(house->purses, payment->agent);
}

static void keep_open(struct house *house, const struct open_payment *payment, int64_t now_us)
{
	struct payment_state_row state = {
	    .id = store_next_id(house->store, now_us),
	    .payment = payment->id,
	    .state = PAYMENT_OPEN,
	    .reason = "the disk failed as it was written; the signature did not leave",
	    .by = "restart",
	};
	struct batch *batch = batch_new(now_us);

	batch_payment_state(batch, &state);
	store_append(house->store, &batch, NULL, NULL);
	outstanding_confirm(house->outstanding, payment->id);
}

static void resolve(struct house *house, const struct open_payment *payment, int64_t now_us)
{
	char id[24];
	bool kept = false;

	switch (store_payment(house->store, payment->id, found_row, NULL)) {
	case STORE_OK:
		kept = true;
		keep_open(house, payment, now_us);
		break;
	case STORE_NOT_FOUND:
		give_back(house, payment);
		break;
	case STORE_LOCKED:
	case STORE_NEWER_SCHEMA:
	case STORE_EXISTS:
	case STORE_BROKEN:
	case STORE_TOO_LONG:
		return; /* asked again */
	}
	snprintf(id, sizeof id, "%lld", (long long)payment->id);
	log_event(LOG_WARN, kept ? "doubtful_payment_is_open" : "doubtful_payment_given_back",
	    "payment", id, "agent", payment->agent->name, NULL);
}

void doubt_resolve(struct house *house, int64_t now_us)
{
	struct open_payment payments[DOUBTS_AT_ONCE];
	char reason[256];
	size_t count;

	if (store_health(house->store, reason) != STORE_OK)
		return;
	count = outstanding_doubtful(payments, DOUBTS_AT_ONCE, house->outstanding);
	for (size_t i = 0; i < count; i++) {
		resolve(house, &payments[i], now_us);
		open_payment_fini(&payments[i]);
	}
}
