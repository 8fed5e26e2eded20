#include "proxy/payback.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "proxy/reserve.h"

/* A refund cannot come before the call it is for, but the chain's clock may be behind ours. */
#define EARLY_S 300

struct claims {
	struct house *house;
	const char *network;
	struct payback_claim *array;
	size_t count, room;
};

static bool take_claim(const struct claim_row *row, void *arg)
{
	struct claims *claims = arg;
	struct payback_claim claim = {
	    .payment = row->payment,
	    .call = row->call,
	    .agent = registry_agent(claims->house->registry, row->agent_name),
	    .left = row->amount - row->refunded,
	};
	struct address contract;
	uint64_t chain_id;

	if ((row->state != PAYMENT_SETTLED && row->state != PAYMENT_RESOLVED_SPENT) ||
	    strcmp(row->network, claims->network) != 0 || !claim.agent || claim.left <= 0 ||
	    !network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset) ||
	    !(claim.asset = assets_find(claims->house->assets, chain_id, &contract)) ||
	    !address_parse(&claim.payer, row->payer) || !address_parse(&claim.payee, row->payee))
		return true;
	/* Two checks may have failed for one payment: it is paid back once. */
	for (size_t i = 0; i < claims->count; i++) {
		if (claims->array[i].payment == claim.payment)
			return true;
	}
	if (claims->count == claims->room) {
		claims->room = claims->room ? 2 * claims->room : 16;
		claims->array = must_realloc(claims->array, claims->room * sizeof *claims->array);
	}
	claim.tool = must_strdup(row->tool);
	claims->array[claims->count++] = claim;
	return claims->count < PAYBACK_CLAIMS_MAX;
}

enum store_result payback_claims(struct payback_claim **out, size_t *count, struct house *house,
    const struct agent *agent, const char *network)
{
	struct claims claims = {.house = house, .network = network};
	enum store_result result =
	    store_claims(house->store, agent ? agent->id : 0, true, take_claim, &claims);

	if (result != STORE_OK) {
		payback_claims_fini(&claims.array, claims.count);
		return result;
	}
	*out = claims.array;
	*count = claims.count;
	return STORE_OK;
}

void payback_claims_fini(struct payback_claim **claims, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((*claims)[i].tool);
	free(*claims);
	*claims = NULL;
}

static struct payback_claim *find_claim(struct payback_claim *claims, size_t count,
    const struct asset *asset, const struct address *payer, const struct chain_transfer *transfer,
    int64_t amount)
{
	for (size_t i = 0; i < count; i++) {
		struct payback_claim *claim = &claims[i];

		if (claim->asset == asset && address_equal(&claim->payer, payer) &&
		    address_equal(&claim->payee, &transfer->from) && amount <= claim->left &&
		    transfer->block.time_s >= claim->call / CLOCK_US_PER_S - EARLY_S)
			return claim;
	}
	return NULL;
}

bool payback_book(struct house *house, struct payback_claim *claims, size_t count,
    const struct asset *asset, const struct address *payer, const struct chain_transfer *transfer,
    int64_t endpoints, int64_t now_us)
{
	static const char words[] = "paid back by the seller";
	struct payback_claim *claim;
	struct amount amount;
	struct batch *batch;
	bool booked;

	/* Rounding up would book more than came; every payable asset has six decimals. */
	if (asset->decimals != 6 ||
	    !uint256_to_amount(&amount, &transfer->value, asset->decimals) || amount.micros <= 0)
		return false;
	claim = find_claim(claims, count, asset, payer, transfer, amount.micros);
	if (!claim ||
	    store_refund_booked(house->store, asset->network, transfer->transaction,
		transfer->log_index, &booked) != STORE_OK ||
	    booked)
		return false;
	batch = batch_new(now_us);
	batch_evidence(batch, &(struct evidence_row){
				  .id = store_next_id(house->store, now_us),
				  .payment = claim->payment,
				  .kind = EVIDENCE_REFUND,
				  .network = asset->network,
				  .block = transfer->block.number,
				  .block_hash = transfer->block.hash,
				  .block_s = transfer->block.time_s,
				  .transaction = transfer->transaction,
				  .log_index = transfer->log_index,
				  .endpoints = endpoints,
				  .detail = words,
			      });
	batch_journal(batch, &(struct journal_row){
				 .event = JOURNAL_REFUND,
				 .call = claim->call,
				 .payment = claim->payment,
				 .agent = claim->agent->id,
				 .agent_name = claim->agent->name,
				 .owner = claim->agent->owner,
				 .tool = claim->tool,
				 .amount = amount.micros,
				 .network = asset->network,
				 .asset = asset->contract_text,
				 .symbol = asset->symbol,
				 .transaction = transfer->transaction,
				 .note = words,
				 .from_spent = true,
			     });
	if (store_append_wait(house->store, &batch) != STORE_OK)
		return false;
	claim->left -= amount.micros;
	purses_lock(house->purses);
	purse_pay_back(claim->agent->purse, house_slot(house, asset), amount.micros);
	purses_unlock(house->purses);
	reserve_retry(house->purses, claim->agent);
	return true;
}
