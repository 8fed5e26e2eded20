/* The life of a call. Read from top to bottom: each step is a function that returns the next
 * step, or STEP_WAIT when something outside has to happen first; call_run() drives them.
 *
 *   identify ─▶ decide ─▶ (collect ─▶ recall) ─▶ wake ─▶ reserve ─▶ (record) ─▶ forward ─▶ answer
 *                                                                                  │ 402
 *        ┌─────────────────────────────────────────────────────────────────────────┘
 *        ▼
 *      quote ─▶ fit ─▶ sign ─▶ pay ─▶ payment_ends ─▶ answer             (any of them) ─▶ refuse
 *
 * What must hold, and where it is seen to:
 *   - nothing goes upstream before step_reserve has set money aside;
 *   - no payment header goes upstream before on_signed has seen its row durable (step_pay is
 *     reached from there and from reserve_resend, for bytes that are durable already). The
 *     request that carries it is made ready while the disk is written, in `prepared`; step_pay
 *     alone sends it;
 *   - one call signs at most once: step_sign is reached from step_fit alone, step_fit from
 *     step_quote alone, and a 402 after paying is an outcome (refuse_second_402), never a
 *     challenge;
 *   - what was signed is ended by payment_ends alone, as settled or open, and by step_sign and
 *     on_signed when nothing can have left.
 *
 * The agent may hang up at any moment: `exchange` is then NULL. Unpaid, the call ends at once;
 * with money at stake it goes on until the outcome is written, and with an Idempotency-Key
 * until what was paid for is kept for the key's next call. A call is freed when it has no
 * exchange, no transfer and no note under way (call_leave). */
#include "proxy/call.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "proxy/delivery.h"
#include "proxy/historian.h"
#include "proxy/identify.h"
#include "proxy/inflate.h"
#include "proxy/outstanding.h"
#include "proxy/problem.h"
#include "proxy/reach.h"
#include "proxy/relay.h"
#include "proxy/reserve.h"
#include "proxy/rooms.h"
#include "proxy/spool.h"
#include "proxy/worker.h"
#include "wallet/payment.h"
#include "wallet/receipt.h"

/* A header may be sent twice at most before it is one too many; we look at the first few. */
#define HEADER_VALUES_MAX 4u
/* Of a refusal's words; longer ones end there. */
#define DETAIL_SIZE 320u

enum step {
	STEP_WAIT,
	STEP_IDENTIFY,
	STEP_DECIDE,
	STEP_COLLECT,
	STEP_RECALL,
	STEP_REPLAY,
	STEP_TAKE_OVER,
	STEP_WAKE,
	STEP_RESERVE,
	STEP_RECORD,
	STEP_FORWARD,
	STEP_QUOTE,
	STEP_FIT,
	STEP_SIGN,
	STEP_PAY,
	STEP_ANSWER,
	STEP_REFUSE,
};

/* What the money of a call is doing. One variable, changed by money_is() alone. */
enum money {
	MONEY_NONE,    /* nothing set aside */
	MONEY_HELD,    /* provisional hold */
	MONEY_METERED, /* journaled hold of a metered call */
	MONEY_SIGNED,  /* signed, its row queued or durable */
	MONEY_SETTLED,
	MONEY_OPEN,
	MONEY_CHARGED, /* metered, succeeded */
	MONEY_OVER,    /* released or given back */
};

struct call {
	struct worker *worker;
	struct house *house;
	struct exchange *exchange; /* NULL once the agent is gone or has been answered */
	struct call *next, *previous;
	int64_t id;
	unsigned depth;   /* entries on the stack: no reaping inside */
	unsigned pending; /* notes other threads will post */
	bool cut;         /* the answer ended too early for the agent */

	/* identify, decide */
	struct identity who;
	struct tool *tool;
	struct policy_ref *policy;
	const char *rule; /* that allowed it; borrowed from policy or literal */
	const char *method;
	char *url;
	const char *rest; /* of the URL: what the agent asked for behind the tool's */
	char *key;        /* Idempotency-Key */
	bool key_entered; /* it is this call's in the house's table */
	bool key_waiting;
	struct idempotency_turn turn;
	struct historian_turn past; /* of the agent, while it is read */
	bool past_waiting;
	struct digest key_request;
	struct spool *body; /* NULL: the request has none */
	bool body_started, body_done;

	/* reserve … fit */
	enum money money;
	struct quote_key endpoint;
	struct reservation reservation;
	enum step resume; /* where to go on when the reservation resolves */
	struct event *waiting_timer;
	struct note durable;
	enum store_result durable_result;
	bool settling; /* what was sent again has settled; its rows are on their way */
	struct note settle;
	enum store_result settle_result;

	/* forward, pay */
	struct headers request_headers;
	struct transfer *transfer;
	bool paying; /* the transfer under way carries the payment */
	int upstream_status;
	const struct headers *answer_headers; /* the transfer's, from its head until it is done */
	int64_t answer_size;                  /* -1: unknown */
	bool peer_secure, peer_loopback;
	struct buf challenge_body;
	struct buf challenge_plain; /* decompressed, where that was needed */
	bool challenge_large;
	json_t *options; /* reasons of options not taken */
	struct challenge *challenge;
	struct choice choice;
	struct payment *payment;
	int64_t payment_id;
	int64_t price;                 /* micro-dollars signed, open, settled or charged */
	char payee[ADDRESS_TEXT_SIZE]; /* EIP-55 */
	char payee_lower[ADDRESS_TEXT_SIZE];
	const struct asset *asset;
	struct uint256 value;
	struct address payer;
	char *header_name, *header_value; /* the exact signed bytes */
	struct transfer *prepared; /* will carry them; nothing of it leaves before step_pay */
	bool resending;
	int64_t outstanding;  /* the payment this call has taken in the house's table; 0: none */
	struct digest target; /* agent, method and URL, once they matter */
	char resend_session[TOKEN_SESSION_SIZE]; /* of the call that signed */
	int64_t resend_at_us;
	char *replay_headers, *replay_body;
	size_t replay_size;
	int replay_status;

	/* answer */
	bool answering; /* the answer's head is out */
	bool slow;      /* the agent has enough to read for now */
	bool body_ended;
	int status;
	enum problem problem;
	struct problem_body refusal;
	enum window window; /* of the limit that refused */
	char *detail; /* of the refusal; NULL: there is none */
	struct hashing *hashing; /* of the answer; NULL before it */
	bool hashed;             /* to its end, or that is under way */
	int64_t response_bytes;
	struct delivery *delivery; /* what is paid for, from its head on */
	struct buf kept;           /* the answer, for its Idempotency-Key */
	char *kept_headers;

	/* audit */
	int64_t forwarded_us, quoted_us, signed_us, sent_us, answered_us;
	bool audited;
};

static void call_run(struct call *call, enum step next);
static void call_go_on(struct call *call, enum step next);
static void call_enter(struct call *call);
static void on_waited_long(evutil_socket_t fd, short what, void *arg);
static void end_metered(struct call *call, bool success);
static void call_leave(struct call *call);

/* --- refusing -------------------------------------------------------------- */

static enum step refuse(struct call *call, enum problem problem, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum step refuse(struct call *call, enum problem problem, const char *format, ...)
{
	va_list args;

	call->problem = problem;
	if (!call->detail)
		call->detail = must_alloc(DETAIL_SIZE);
	va_start(args, format);
	vsnprintf(call->detail, DETAIL_SIZE, format, args);
	va_end(args);
	return STEP_REFUSE;
}

static enum problem problem_of(enum decide_code code)
{
	switch (code) {
	case DECIDE_CODE_NONE:
		return PROBLEM_NONE;
	case DECIDE_CODE_OVER_CALL_LIMIT:
		return PROBLEM_OVER_CALL_LIMIT;
	case DECIDE_CODE_OVER_SESSION_LIMIT:
		return PROBLEM_OVER_SESSION_LIMIT;
	case DECIDE_CODE_OVER_TOTAL_LIMIT:
		return PROBLEM_OVER_TOTAL_LIMIT;
	case DECIDE_CODE_OVER_MONTH_LIMIT:
		return PROBLEM_OVER_MONTH_LIMIT;
	case DECIDE_CODE_OVER_DAY_LIMIT:
		return PROBLEM_OVER_DAY_LIMIT;
	case DECIDE_CODE_OVER_HOUR_LIMIT:
		return PROBLEM_OVER_HOUR_LIMIT;
	case DECIDE_CODE_OVER_MINUTE_LIMIT:
		return PROBLEM_OVER_MINUTE_LIMIT;
	case DECIDE_CODE_RATE_LIMITED:
		return PROBLEM_RATE_LIMITED;
	}
	must(!"a code we know");
	return PROBLEM_NONE;
}

/* The limit that decided, in the refusal's own fields. */
static enum step refuse_over_limit(struct call *call)
{
	const struct reservation *r = &call->reservation;
	const struct decision *d = &r->decision;
	bool money = d->limit->measure == LIMIT_SPEND;

	call->rule = d->limit->name;
	call->window = d->limit->window;
	call->refusal.has_amounts = true;
	call->refusal.money = money;
	call->refusal.requested = money ? r->spend : 1;
	if (money && r->stage == RESERVE_PROVISIONAL && r->spend == INT64_MAX)
		call->refusal.has_amounts = false; /* no price is known yet */
	call->refusal.remaining = d->remaining;
	call->refusal.resets_us = d->resets_us;
	return refuse(call, problem_of(d->code), "the owner's limit \"%s\" does not leave enough",
	    d->limit->name);
}

static enum step refuse_no_funds(struct call *call)
{
	const struct reservation *r = &call->reservation;

	call->refusal.has_amounts = r->spend != INT64_MAX;
	call->refusal.money = true;
	call->refusal.requested = r->spend;
	purses_lock(call->house->purses);
	call->refusal.remaining = purse_free(call->who.agent->purse);
	purses_unlock(call->house->purses);
	return refuse(call, PROBLEM_INSUFFICIENT_FUNDS,
	    "the agent's wallet does not hold enough: ask the owner for a deposit");
}

/* It waited in vain: for room in a limit, for money in the wallet, or behind others. */
static enum step refuse_waiting(struct call *call)
{
	const struct decision *decision = &call->reservation.decision;

	if (decision->code != DECIDE_CODE_NONE)
		return refuse_over_limit(call);
	if (decision->verdict == DECIDE_ALLOW)
		return refuse_no_funds(call);
	call->rule = "waiting_ms_max";
	return refuse(call, PROBLEM_RATE_LIMITED,
	    "other calls of this agent wait for their prices: its turn did not come in time");
}

static enum step refuse_reservation(struct call *call)
{
	switch (call->reservation.result) {
	case RESERVE_NO_FUNDS:
		return refuse_no_funds(call);
	case RESERVE_CROWDED:
		call->rule = "waiting_max";
		return refuse(call, PROBLEM_RATE_LIMITED,
		    "too many calls of this agent wait for each other's prices already");
	case RESERVE_OVER_LIMIT:
		return refuse_over_limit(call);
	case RESERVE_WAITING: /* and the time to wait is over */
		return refuse_waiting(call);
	case RESERVE_OK:
		break;
	}
	must(!"a refusal");
	return STEP_REFUSE;
}

static void add_our_headers(struct call *call, struct headers *headers)
{
	char text[AMOUNT_TEXT_SIZE], id[DECIMAL_TEXT_SIZE];

	headers_put(headers, "Tallyward-Call", decimal_encode(id, call->id));
	headers_put(headers, "Tallyward-Cost", amount_format(text, amount_of(call->price)));
	if (call->reservation.policy && call->reservation.hold.state != HOLD_NONE)
		headers_put(headers, "Tallyward-Remaining",
		    amount_format(text, amount_of(reserve_remaining(&call->reservation))));
	if (call->money == MONEY_SETTLED)
		headers_put(headers, "Tallyward-Payment", "settled");
	if (call->money == MONEY_OPEN || call->money == MONEY_SIGNED)
		headers_put(headers, "Tallyward-Payment", "open");
}

static void answer_problem(struct call *call)
{
	struct problem_body *body = &call->refusal;
	struct headers headers;
	char seconds[24];
	char *text;

	headers_init(&headers);
	body->problem = call->problem;
	body->detail = call->detail;
	body->rule = call->rule;
	body->call = call->id;
	body->options = call->problem == PROBLEM_NO_PAYABLE_OPTION ||
				call->problem == PROBLEM_INSUFFICIENT_FUNDS
			    ? call->options
			    : NULL;
	text = problem_format(body);
	call->status = problem_status(call->problem);
	headers_put(&headers, "Content-Type", "application/problem+json");
	headers_put(&headers, "Cache-Control", "no-store");
	/* A 5xx is the seller's or the disk's fault; anything else is a refusal of ours. */
	headers_put(&headers, "X-Policy-Allowed",
	    call->forwarded_us && call->status >= 500 ? "true" : "false");
	if (call->problem == PROBLEM_UNAUTHENTICATED)
		headers_put(&headers, "WWW-Authenticate", "Bearer realm=\"tallyward\"");
	if (call->status == 429 || call->status == 503 ||
	    (call->status == 409 && body->resets_us)) {
		int64_t now_us = clock_now_us(), wait_s = 1;

		if (body->resets_us > now_us)
			wait_s = (body->resets_us - now_us + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S;
		/* Windows slide in quanta; a second more than the window would look wrong. */
		if (call->window == WINDOW_MINUTE && wait_s > 60)
			wait_s = 60;
		if (call->window == WINDOW_HOUR && wait_s > 3600)
			wait_s = 3600;
		snprintf(seconds, sizeof seconds, "%lld", (long long)wait_s);
		headers_put(&headers, "Retry-After", seconds);
	}
	add_our_headers(call, &headers);
	call->answered_us = clock_now_us();
	if (!call->forwarded_us || call->status < 500)
		exchange_refuse(call->exchange);
	exchange_reply(call->exchange, call->status, &headers, text, strlen(text));
	headers_fini(&headers);
	free(text);
}

/* Money that was only set aside goes back; what was signed stays as it is. */
static void let_go(struct call *call)
{
	if (call->money == MONEY_HELD) {
		reserve_release(&call->reservation);
		call->money = MONEY_OVER;
	}
}

/* Its payment may be taken over. Before the agent hears that this call has failed: it may ask
 * again the moment it does. */
static void give_payment_back(struct call *call, bool whole_answer)
{
	if (call->outstanding)
		outstanding_give_back(call->house->outstanding, call->outstanding, whole_answer);
	call->outstanding = 0;
}

static enum step step_refuse(struct call *call)
{
	let_go(call);
	if (call->money != MONEY_SETTLED)
		give_payment_back(call, false);
	if (call->money == MONEY_METERED)
		end_metered(call, false);
	if (call->transfer)
		transfer_cancel(&call->transfer);
	if (call->exchange && call->answering) {
		call->cut = true;
		exchange_abort(call->exchange);
	} else if (call->exchange) {
		answer_problem(call);
	}
	call->answering = true;
	call->body_ended = true;
	return STEP_WAIT;
}

/* --- identify and decide ------------------------------------------------------ */

static enum step step_identify(struct call *call)
{
	const char *detail;
	enum problem problem = identify(&call->who, &detail, call->house,
	    call->worker->tokens, exchange_headers(call->exchange), call->id / CLOCK_US_PER_S);

	if (problem != PROBLEM_NONE)
		return refuse(call, problem, "%s", detail);
	return STEP_DECIDE;
}

/* Nobody waits with a body half read: it is asked for when the call goes on its way, or kept
 * whole before. So no byte of it can end a call that waits. */
static void start_waiting(struct call *call)
{
	int64_t ms = house_config(call->house)->waiting_ms_max;
	struct timeval limit = {ms / 1000, (ms % 1000) * 1000};

	must(call->body_done || !call->body_started);
	call->pending++;
	if (!call->waiting_timer)
		call->waiting_timer = evtimer_new(call->worker->base, on_waited_long, call);
	must(call->waiting_timer && evtimer_add(call->waiting_timer, &limit) == 0);
}

static void on_key(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	evtimer_del(call->waiting_timer);
	call->key_waiting = false;
	call->key_entered = true;
	if (call->exchange)
		call_go_on(call, STEP_COLLECT);
	call_leave(call);
}

/* One call at a time with one key: whoever comes second gets the first one's outcome. */
static enum step enter_key(struct call *call)
{
	call->turn.mailbox = call->worker->mailbox;
	call->turn.note.run = on_key;
	call->turn.note.arg = call;
	if (idempotency_enter(
		call->house->idempotency, call->who.agent->id, call->key, &call->turn)) {
		call->key_entered = true;
		return STEP_COLLECT;
	}
	call->key_waiting = true;
	start_waiting(call);
	return STEP_WAIT;
}

/* True: it was waiting for its key and is not any more. */
static bool stop_waiting_for_key(struct call *call)
{
	if (!call->key_waiting || !idempotency_give_up(call->house->idempotency,
				      call->who.agent->id, call->key, &call->turn))
		return false;
	call->key_waiting = false;
	call->pending--;
	evtimer_del(call->waiting_timer);
	return true;
}

static enum step step_decide(struct call *call)
{
	const struct headers *headers = exchange_headers(call->exchange);
	const char *rest, *name, *key = headers_get(headers, "idempotency-key");
	int64_t body_size = exchange_body_size(call->exchange);
	const struct config *config = house_config(call->house);

	call->tool = registry_tool_match(
	    &rest, call->house->registry, exchange_target(call->exchange) + strlen("/t/"));
	if (!call->tool)
		return refuse(call, PROBLEM_UNKNOWN_TOOL,
		    "no tool of this name is registered: GET /v1/me lists what may be called");
	if (relay_payment_header(&name, headers))
		return refuse(call, PROBLEM_AGENT_PAYMENT_HEADER,
		    "the header %s is not yours to send: payments are made for you", name);
	if (!relay_path_valid(rest))
		return refuse(call, PROBLEM_BAD_REQUEST,
		    "the path holds a dot segment, a backslash, an escaped slash or a broken "
		    "escape");
	if (key && (headers_count(headers, "idempotency-key") != 1 || !idempotency_key_valid(key)))
		return refuse(call, PROBLEM_BAD_REQUEST,
		    "Idempotency-Key must be given once, 1 to 255 printable ASCII characters");
	call->policy = registry_policy(call->house->registry, call->who.agent);
	if (!policy_rule(call->policy->policy, call->tool->name, &call->rule))
		return refuse(call, PROBLEM_TOOL_DENIED,
		    "the owner's policy does not allow the tool %s", call->tool->name);
	if (body_size > config->body_size_max)
		return refuse(call, PROBLEM_BODY_TOO_LARGE, "the body may have at most %lld bytes",
		    (long long)config->body_size_max);
	call->url = relay_url(call->tool, rest);
	call->rest = call->url + strlen(call->tool->url);
	if (body_size != 0)
		call->body =
		    spool_new(*config->temporary_dir ? config->temporary_dir : call->house->dir,
			(size_t)config->body_memory_max, config->body_size_max);
	else
		call->body_done = true;
	if (key) {
		call->key = must_strdup(key);
		return enter_key(call);
	}
	if (outstanding_may_take(&call->target, call->house->outstanding, call->who.agent->id,
		call->method, call->url, call->id / CLOCK_US_PER_S))
		return STEP_COLLECT;
	return STEP_WAKE;
}

/* --- has this been asked, and paid, before? ----------------------------------------------- */

static void read_body(struct call *call)
{
	if (!call->body_started && !call->body_done) {
		call->body_started = true;
		exchange_read_body(call->exchange);
	}
}

/* A key, or an open payment, stands for the whole request, so all of it must be here. */
static enum step step_collect(struct call *call)
{
	enum step next = call->key ? STEP_RECALL : STEP_TAKE_OVER;

	if (call->body_done)
		return next;
	call->resume = next;
	read_body(call);
	return STEP_WAIT;
}

static struct digest body_digest(const struct call *call)
{
	return call->body ? spool_digest(call->body) : sha256_of_nothing;
}

static struct digest request_digest(const struct call *call)
{
	struct digest body = body_digest(call);
	struct sha256 *running = sha256_new();

	sha256_add(running, call->method, strlen(call->method) + 1);
	sha256_add(running, call->url, strlen(call->url) + 1);
	sha256_add(running, body.bytes, DIGEST_SIZE);
	return sha256_done(&running);
}

struct recall {
	struct call *call;
	bool same, charged;
	int64_t payment;
};

static void on_recalled(
    const struct idempotency_row *row, const struct answer_row *answer, void *arg)
{
	struct recall *recall = arg;
	struct call *call = recall->call;

	recall->same = memcmp(row->request.bytes, call->key_request.bytes, DIGEST_SIZE) == 0;
	recall->charged = row->payment == row->call;
	recall->payment = row->payment;
	if (recall->same && answer) {
		call->replay_status = answer->status;
		call->replay_headers = must_strdup(answer->headers);
		call->replay_body = must_alloc(answer->body_size + 1);
		if (answer->body_size > 0)
			memcpy(call->replay_body, answer->body, answer->body_size);
		call->replay_size = answer->body_size;
	}
}

/* An earlier call signed and never heard the end: its bytes will do, and nothing else. */
static bool on_payment(const struct payment_row *row, void *arg)
{
	struct call *call = arg;
	struct address contract;
	uint64_t chain_id;

	if ((row->state != PAYMENT_OPEN && row->state != PAYMENT_SIGNED) ||
	    row->valid_before_s <= call->id / CLOCK_US_PER_S)
		return false;
	if (!network_parse(&chain_id, row->network) || !address_parse(&contract, row->asset) ||
	    !uint256_parse(&call->value, row->value) || !address_parse(&call->payer, row->payer))
		return false;
	call->asset = assets_find(call->house->assets, chain_id, &contract);
	if (!call->asset)
		return false;
	call->price = row->amount;
	call->payment_id = row->id;
	call->header_name = must_strdup(row->header_name);
	call->header_value = must_strdup(row->header_value);
	snprintf(call->payee, sizeof call->payee, "%s", row->payee);
	snprintf(call->resend_session, sizeof call->resend_session, "%s", row->session);
	call->resend_at_us = row->call;
	call->resending = true;
	return false;
}

static enum step refuse_spent_key(struct call *call, int64_t payment)
{
	return refuse(call, PROBLEM_IDEMPOTENCY_CONFLICT,
	    "this Idempotency-Key made payment %lld; its answer is not kept and its payment cannot "
	    "be sent again: use a new key to buy again",
	    (long long)payment);
}

/* The payment is held; its row says what to send. */
static enum step resend(struct call *call, int64_t payment)
{
	call->outstanding = payment;
	if (store_payment(call->house->store, payment, on_payment, call) != STORE_OK)
		return refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS, "the ledger cannot be read");
	if (!call->resending && call->key)
		return refuse_spent_key(call, payment);
	if (!call->resending) {
		/* It has expired, or ended, this very moment: an ordinary call. */
		outstanding_give_back(call->house->outstanding, payment, false);
		call->outstanding = 0;
		return STEP_WAKE;
	}
	if (!headers_fit(exchange_headers(call->exchange), strlen(call->header_name),
		strlen(call->header_value)))
		return refuse(call, PROBLEM_BAD_REQUEST,
		    "the request's headers leave no room for the payment's");
	return STEP_WAKE;
}

static enum step step_recall(struct call *call)
{
	struct recall recall = {.call = call};
	enum store_result found;

	call->key_request = request_digest(call);
	found = store_idempotency(
	    call->house->store, call->who.agent->id, call->key, call->id, on_recalled, &recall);
	if (found == STORE_NOT_FOUND)
		return STEP_WAKE;
	if (found != STORE_OK)
		return refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS, "the ledger cannot be read");
	if (!recall.same)
		return refuse(call, PROBLEM_IDEMPOTENCY_CONFLICT,
		    "this Idempotency-Key was used for another request");
	if (call->replay_headers)
		return STEP_REPLAY;
	if (recall.payment == 0)
		return STEP_WAKE;
	if (recall.charged)
		return refuse(call, PROBLEM_IDEMPOTENCY_CONFLICT,
		    "call %lld with this Idempotency-Key was charged and its answer is not kept: "
		    "use a new key to buy again",
		    (long long)recall.payment);
	if (!outstanding_hold(call->house->outstanding, recall.payment))
		return refuse_spent_key(call, recall.payment);
	return resend(call, recall.payment);
}

/* Without a key: an earlier call like this one ended without an answer, and what it signed can
 * still be cashed. Buying again would be a second signature for one purchase. */
static enum step step_take_over(struct call *call)
{
	struct digest body = body_digest(call);
	struct digest request = outstanding_request(&call->target, &body);
	int64_t payment;

	if (!outstanding_take(&payment, call->house->outstanding, &call->target, &request,
		call->id / CLOCK_US_PER_S))
		return STEP_WAKE;
	return resend(call, payment);
}

/* Its answer names the size of a body that does not come. */
static bool is_head(const struct call *call)
{
	return strcmp(call->method, "HEAD") == 0;
}

static enum step step_replay(struct call *call)
{
	json_t *list = json_loads(call->replay_headers, 0, NULL), *pair;
	const char *host = headers_get(exchange_headers(call->exchange), "host");
	struct headers headers;
	int64_t size = -1;
	size_t i;

	headers_init(&headers);
	headers_put(&headers, "Tallyward-Replayed", "true");
	json_array_foreach (list, i, pair) {
		const char *name = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		if (json_is_integer(json_array_get(pair, 1)))
			size = json_integer_value(json_array_get(pair, 1));
		/* The agent may have come another way when the answer was kept. */
		if (name && value && strcasecmp(name, "location") == 0 &&
		    relay_leads_back(value, host))
			continue;
		if (name && value &&
		    !headers_add(&headers, name, strlen(name), value, strlen(value)))
			break;
	}
	call->status = call->replay_status;
	call->answering = call->body_ended = true;
	call->answered_us = clock_now_us();
	if (is_head(call)) {
		exchange_start(call->exchange, call->status, &headers, size);
		exchange_end(call->exchange);
	} else {
		exchange_reply(call->exchange, call->status, &headers, call->replay_body,
		    call->replay_size);
	}
	headers_fini(&headers);
	json_decref(list);
	return STEP_WAIT;
}

/* --- wake: what the agent did before the start is known, from its first call on ------------ */

static enum step refuse_unreadable_past(struct call *call)
{
	return refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
	    "what this agent has spent cannot be read from the ledger");
}

static void on_past(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	evtimer_del(call->waiting_timer);
	call->past_waiting = false;
	if (call->exchange && call->past.known)
		call_go_on(call, STEP_RESERVE);
	else if (call->exchange)
		call_run(call, refuse_unreadable_past(call));
	call_leave(call);
}

/* True: it was waiting for its agent's past and is not any more. */
static bool stop_waiting_for_past(struct call *call)
{
	if (!call->past_waiting ||
	    !historian_give_up(call->house->historian, call->who.agent, &call->past))
		return false;
	call->past_waiting = false;
	call->pending--;
	evtimer_del(call->waiting_timer);
	return true;
}

static enum step step_wake(struct call *call)
{
	call->past.mailbox = call->worker->mailbox;
	call->past.note.run = on_past;
	call->past.note.arg = call;
	switch (historian_ask(call->house->historian, call->who.agent, &call->past)) {
	case HISTORIAN_KNOWN:
		return STEP_RESERVE;
	case HISTORIAN_WAITING:
		call->past_waiting = true;
		start_waiting(call);
		return STEP_WAIT;
	case HISTORIAN_UNREADABLE:
		break;
	}
	return refuse_unreadable_past(call);
}

/* --- reserve ------------------------------------------------------------------------ */

static void on_reserved(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	evtimer_del(call->waiting_timer);
	if (call->reservation.result == RESERVE_OK && call->resume != STEP_FIT)
		call->money = call->resume == STEP_RECORD ? MONEY_METERED : MONEY_HELD;
	if (call->reservation.result == RESERVE_OK && call->resume == STEP_FIT)
		call->money = MONEY_SIGNED;
	if (call->exchange == NULL) {
		/* The agent left while this was on its way. */
		if (call->money == MONEY_SIGNED) {
			reserve_unsign(&call->reservation);
			call->money = MONEY_OVER;
		} else if (call->money == MONEY_METERED) {
			reserve_give_back(&call->reservation);
			call->money = MONEY_OVER;
		}
		let_go(call);
	} else if (call->reservation.result != RESERVE_OK) {
		call_run(call, refuse_reservation(call));
	} else if (call->resume == STEP_FORWARD) {
		call_go_on(call, STEP_FORWARD);
	} else {
		call_run(call, call->resume == STEP_FIT ? STEP_SIGN : call->resume);
	}
	call_leave(call);
}

static void on_waited_long(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;

	(void)fd;
	(void)what;
	call_enter(call);
	/* When it was resolved at this very moment, on_key, on_past or on_reserved runs next. */
	if (call->key_waiting) {
		if (stop_waiting_for_key(call)) {
			call->refusal.resets_us = clock_now_us() + CLOCK_US_PER_S;
			call_run(call, refuse(call, PROBLEM_IDEMPOTENCY_CONFLICT,
					   "a call with this Idempotency-Key is still in flight"));
		}
	} else if (call->past_waiting) {
		if (stop_waiting_for_past(call))
			call_run(call, refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
					   "what this agent has spent is still being read from "
					   "the ledger: try again"));
	} else if (reserve_stop_waiting(&call->reservation)) {
		call->pending--;
		call_run(call, refuse_reservation(call));
	}
	call_leave(call);
}

static enum step wait_for_reservation(struct call *call, enum step resume)
{
	call->resume = resume;
	start_waiting(call);
	return STEP_WAIT;
}

/* The most this call may cost: the declared price, else what the endpoint asked last, else
 * all that the limits (the per-call limit among them) and the wallet leave. */
static int64_t most_it_may_cost(const struct call *call)
{
	int64_t last;

	if (call->tool->has_price)
		return call->tool->price;
	if (quotes_last(&last, call->house->quotes, &call->endpoint))
		return last;
	return INT64_MAX;
}

/* Sending a payment again costs nothing more, so it never waits; but it is a call like any
 * other, and counted as one. */
static enum step reserve_resend(struct call *call)
{
	struct reservation *r = &call->reservation;

	r->spend = 0;
	if (reserve_ask(r, RESERVE_PROVISIONAL) != RESERVE_OK) {
		call->price = 0;
		return refuse_reservation(call);
	}
	reserve_release(r);
	call->money = MONEY_SIGNED;
	return STEP_PAY;
}

static enum step step_reserve(struct call *call)
{
	struct reservation *r = &call->reservation;
	bool metered = call->tool->billing == TOOL_METERED;
	enum step then = metered ? STEP_RECORD : STEP_FORWARD;

	r->purses = call->house->purses;
	r->agent = call->who.agent;
	r->registry = call->house->registry;
	r->session = call->who.claims.session;
	r->tool = call->tool->name;
	r->at_us = call->id;
	r->waiting_max = (size_t)house_config(call->house)->waiting_max;
	r->mailbox = call->worker->mailbox;
	r->resolved = on_reserved;
	r->arg = call;
	if (call->resending)
		return reserve_resend(call);
	call->endpoint = quote_key(call->tool->name, call->method, call->rest);
	r->spend = most_it_may_cost(call);
	switch (reserve_ask(r, metered ? RESERVE_METERED : RESERVE_PROVISIONAL)) {
	case RESERVE_OK:
		call->money = metered ? MONEY_METERED : MONEY_HELD;
		return then;
	case RESERVE_WAITING:
		return wait_for_reservation(call, then);
	case RESERVE_OVER_LIMIT:
	case RESERVE_NO_FUNDS:
	case RESERVE_CROWDED:
		return refuse_reservation(call);
	}
	must(!"a result we know");
	return STEP_REFUSE;
}

/* --- record: a metered call's hold is on disk before it is forwarded ------------------- */

static void describe(const struct call *call, struct journal_row *row, enum journal_event event)
{
	memset(row, 0, sizeof *row);
	row->event = event;
	row->call = call->resending ? call->resend_at_us : call->id;
	row->payment = call->payment_id;
	row->agent = call->who.agent->id;
	row->agent_name = call->who.agent->name;
	row->owner = call->who.agent->owner;
	row->tool = call->tool->name;
	row->amount = call->price;
	row->network = call->asset ? call->asset->network : "off-chain";
	row->asset = call->asset ? call->asset->contract_text : "USD";
	row->symbol = call->asset ? call->asset->symbol : "USD";
}

/* On the writer's thread: only pass it on. */
static void on_written(enum store_result result, void *arg)
{
	struct call *call = arg;

	call->durable_result = result;
	mailbox_post(call->worker->mailbox, &call->durable);
}

static enum step write_then_wait(struct call *call, struct batch **batch, void (*then)(void *arg))
{
	call->durable.run = then;
	call->durable.arg = call;
	call->pending++;
	store_append(call->house->store, batch, on_written, call);
	return STEP_WAIT;
}

static void on_recorded(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	if (call->durable_result != STORE_OK) {
		/* Nothing was forwarded, so nothing can be owed, whatever the disk kept. */
		reserve_give_back(&call->reservation);
		call->money = MONEY_OVER;
		call->price = 0;
		call_run(call, refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
				   "the ledger cannot be written: nothing was sent"));
	} else if (!call->exchange) {
		end_metered(call, false);
	} else {
		call_run(call, STEP_FORWARD);
	}
	call_leave(call);
}

static enum step ask_owner_again(struct call *call);

static enum step step_record(struct call *call)
{
	struct journal_row row;
	struct batch *batch;
	char reason[256];
	enum step refused;

	if (call->tool->price == 0)
		return STEP_FORWARD;
	/* It may have waited for its turn. */
	refused = ask_owner_again(call);
	if (refused == STEP_WAIT && !house_ready(call->house, reason))
		refused = refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS, "%s", reason);
	if (refused != STEP_WAIT) {
		reserve_give_back(&call->reservation);
		call->money = MONEY_OVER;
		return refused;
	}
	call->price = call->tool->price;
	describe(call, &row, JOURNAL_HOLD);
	row.session = call->who.claims.session;
	batch = batch_new(call->id);
	batch_journal(batch, &row);
	return write_then_wait(call, &batch, on_recorded);
}

/* payment: what the key stands for from now on, a payment or, of a metered tool, the call that
 * was charged; 0: nothing that money was spent on. */
static void write_key(struct call *call, struct batch *batch, int64_t payment)
{
	struct idempotency_row key = {
	    .agent = call->who.agent->id,
	    .key = call->key,
	    .request = call->key_request,
	    .call = call->id,
	    .payment = payment,
	    .expires_us = call->id + house_config(call->house)->idempotency_s * CLOCK_US_PER_S,
	};

	batch_idempotency(batch, &key);
}

static void end_metered(struct call *call, bool success)
{
	struct journal_row row;
	struct batch *batch;

	if (call->price > 0) {
		describe(call, &row, success ? JOURNAL_CHARGE : JOURNAL_RELEASE);
		batch = batch_new(clock_now_us());
		batch_journal(batch, &row);
		/* What it bought may be too large to keep, or never come to its end. */
		if (success && call->key)
			write_key(call, batch, call->id);
		store_append(call->house->store, &batch, NULL, NULL);
	}
	if (success) {
		reserve_charge(&call->reservation);
		call->money = MONEY_CHARGED;
	} else {
		reserve_give_back(&call->reservation);
		call->money = MONEY_OVER;
		call->price = 0;
	}
}

/* --- forward -------------------------------------------------------------------------- */

static const struct transfer_events forward_events;
static const struct transfer_events pay_events;

/* The request to the seller, not sent yet. STEP_WAIT: *out is it. */
static enum step prepare(struct transfer **out, struct call *call,
    const struct transfer_events *events, const char *payment_name, const char *payment_value)
{
	struct transfer_request request = {
	    .method = call->method,
	    .url = call->url,
	    .headers = &call->request_headers,
	    .body = call->body,
	    .body_size = -1,
	    .reach = call->tool->reach,
	};
	struct headers headers;

	/* The name may lead elsewhere than it did when the seller asked for money. */
	if (payment_name && !call->tool->secure)
		request.reach &= REACH_LOOPBACK;
	/* The agent's headers are kept: it may be gone when the payment is sent. */
	if (call->exchange && call->request_headers.count == 0 &&
	    !relay_request_headers(
		&call->request_headers, exchange_headers(call->exchange), NULL, NULL))
		return refuse(call, PROBLEM_BAD_REQUEST, "too many or too large headers");
	if (delivery_check_reads(call->tool->delivery) && !relay_readable(&call->request_headers))
		return refuse(call, PROBLEM_BAD_REQUEST, "too large headers");
	headers_init(&headers);
	if (payment_name) {
		must(relay_request_headers(
		    &headers, &call->request_headers, payment_name, payment_value));
		request.headers = &headers;
	}
	if (call->body)
		request.body_size =
		    call->body_done ? spool_size(call->body) : exchange_body_size(call->exchange);
	*out = transfer_prepare(call->worker->upstream, &request, events, call);
	headers_fini(&headers);
	return STEP_WAIT;
}

static enum step step_forward(struct call *call)
{
	enum step next;

	call->forwarded_us = clock_now_us();
	atomic_store_explicit(
	    &call->worker->shared->admitted_us, clock_mono_us(), memory_order_relaxed);
	next = prepare(&call->transfer, call, &forward_events, NULL, NULL);
	if (next != STEP_WAIT)
		return next;
	transfer_send(call->transfer);
	read_body(call);
	return STEP_WAIT;
}

static void note_head(
    struct call *call, struct transfer *transfer, int status, const struct headers *headers)
{
	call->upstream_status = status;
	call->answer_headers = headers;
	call->answer_size = transfer_content_length(transfer);
	call->peer_secure = transfer_peer_secure(transfer);
	call->peer_loopback = transfer_peer_loopback(transfer);
}

static void on_forward_head(
    struct transfer *transfer, int status, const struct headers *headers, void *arg)
{
	struct call *call = arg;

	FAULT_POINT("head");
	call_enter(call);
	note_head(call, transfer, status, headers);
	if (call->money == MONEY_METERED)
		end_metered(call, status >= 200 && status < 300);
	if (status == 402 && call->tool->billing == TOOL_X402) {
		/* Money is set aside until all of it is here. */
		transfer_hurry(transfer);
		buf_init(
		    &call->challenge_body, (size_t)house_config(call->house)->challenge_size_max);
	} else {
		if (status >= 200 && status < 400 && call->tool->billing == TOOL_X402)
			quotes_note(call->house->quotes, &call->endpoint, 0);
		let_go(call);
		if (call->exchange)
			call_run(call, STEP_ANSWER);
		else
			transfer_cancel(&call->transfer);
	}
	call_leave(call);
}

static bool is_challenge(const struct call *call)
{
	return call->upstream_status == 402 && !call->answering && !call->paying;
}

static bool keeps_answer(const struct call *call);
static bool pass_body(struct call *call, const void *bytes, size_t size);
static void end_answer(struct call *call, bool whole);

static bool on_forward_body(struct transfer *transfer, const void *bytes, size_t size, void *arg)
{
	struct call *call = arg;
	bool more = true;

	(void)transfer;
	FAULT_POINT("body");
	call_enter(call);
	if (is_challenge(call)) {
		buf_add(&call->challenge_body, bytes, size);
		if (!buf_ok(&call->challenge_body) && !call->challenge_large) {
			/* Its headers may still hold a challenge; the rest of it is of no use. */
			call->challenge_large = true;
			call_run(call, STEP_QUOTE);
		}
	} else {
		more = pass_body(call, bytes, size);
	}
	call_leave(call);
	return more;
}

static void on_forward_done(
    struct transfer *transfer, enum transfer_result result, const char *reason, void *arg)
{
	struct call *call = arg;
	bool challenged = is_challenge(call);

	(void)transfer;
	call_enter(call);
	call->transfer = NULL;
	if (call->money == MONEY_METERED)
		end_metered(call, false);
	if (call->answering) {
		end_answer(call, result == TRANSFER_OK);
	} else if (result == TRANSFER_OK && challenged) {
		call_run(call, STEP_QUOTE);
	} else if (result == TRANSFER_FORBIDDEN) {
		call->rule = "forbidden_address";
		call_run(call, refuse(call, PROBLEM_UPSTREAM_UNREACHABLE,
				   "nothing was sent to the seller: %s; its owner can add the tool "
				   "with --private, or with the address itself",
				   reason));
	} else {
		call_run(call, refuse(call,
				   result == TRANSFER_TIMEOUT ? PROBLEM_UPSTREAM_TIMEOUT
							      : PROBLEM_UPSTREAM_UNREACHABLE,
				   "the seller did not answer: %s", reason));
	}
	call->answer_headers = NULL;
	call_leave(call);
}

static const struct transfer_events forward_events = {
    on_forward_head, on_forward_body, on_forward_done};

/* --- quote ------------------------------------------------------------------------------ */

static struct amount funds_of(void *arg, const struct asset *asset)
{
	struct call *call = arg;
	struct balance balance;

	purses_lock(call->house->purses);
	balance = purse_balance(call->who.agent->purse, house_slot(call->house, asset));
	purses_unlock(call->house->purses);
	return amount_of(balance.available);
}

/* Every option with its reason, for the refusal and the audit. */
static json_t *options_json(const struct challenge *challenge, const struct choice *choice)
{
	json_t *list = json_array();

	for (size_t i = 0; i < challenge->option_count; i++) {
		const struct requirement *option = &challenge->options[i];
		const char *reason = choice_reason_str(choice->reasons[i]);

		if (choice->found && choice->reasons[i] == CHOICE_PAYABLE)
			reason = i == choice->position ? "taken" : "not_cheapest";
		must(json_array_append_new(list,
			 json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?, s:s}", "scheme", option->scheme,
			     "network", option->network, "asset", option->asset, "amount",
			     option->amount, "payee", option->pay_to, "reason", reason)) == 0);
	}
	return list;
}

static const char *const *items(const struct policy_list *list)
{
	return (const char *const *)list->items;
}

/* The owner's word may have changed while the seller was making up its mind: what is signed
 * is what the owner allows now. STEP_WAIT: still allowed. */
static enum step ask_owner_again(struct call *call)
{
	struct registry *registry = call->house->registry;

	if (atomic_load(&call->who.agent->suspended))
		return refuse(call, PROBLEM_AGENT_SUSPENDED, "the owner has suspended this agent");
	/* Revoked; or it has expired for so long that what the session spent is forgotten. */
	if (registry_session_over(registry, call->who.claims.session))
		return refuse(call, PROBLEM_UNAUTHENTICATED, "the token is not valid any more");
	policy_unref(&call->policy);
	call->policy = registry_policy(registry, call->who.agent);
	if (!policy_rule(call->policy->policy, call->tool->name, &call->rule))
		return refuse(call, PROBLEM_TOOL_DENIED,
		    "the owner's policy does not allow the tool %s any more", call->tool->name);
	return STEP_WAIT;
}

static void choose(struct call *call)
{
	const struct policy_payment *allowed = &call->policy->policy->payment;
	char pinned[ADDRESS_TEXT_SIZE];
	struct choice_rules rules = {
	    .networks = items(&allowed->networks),
	    .network_count = allowed->networks.count,
	    .assets = items(&allowed->assets),
	    .asset_count = allowed->assets.count,
	    .payees = items(&allowed->payees),
	    .payee_count = allowed->payees.count,
	    .host = call->tool->host,
	    .has_declared_price = call->tool->has_price,
	    .declared_price = amount_of(call->tool->price),
	    .payer = registry_address(call->house->registry, call->who.agent),
	    .require_offer = allowed->require_offer,
	    .now_s = call->quoted_us / CLOCK_US_PER_S,
	    .funds = funds_of,
	    .funds_arg = call,
	};

	if (allowed->pin_payee &&
	    registry_pinned(pinned, call->house->registry, call->who.agent, call->tool->name))
		rules.pinned_payee = pinned;
	call->payer = rules.payer;
	choice_make(&call->choice, call->challenge, call->house->assets, &rules);
}

static enum step refuse_options(struct call *call)
{
	bool all_funds = call->challenge->option_count > 0, all_same = all_funds;
	const struct choice *choice = &call->choice;
	bool any_funds = false;

	call->options = options_json(call->challenge, choice);
	for (size_t i = 0; i < call->challenge->option_count; i++) {
		any_funds = any_funds || choice->reasons[i] == CHOICE_INSUFFICIENT_FUNDS;
		all_same = all_same && choice->reasons[i] == choice->reasons[0];
	}
	/* Something would be paid if there were money for it: that is what to tell. */
	if (any_funds) {
		call->reservation.spend = INT64_MAX;
		return refuse_no_funds(call);
	}
	if (all_same)
		call->rule = choice_reason_str(choice->reasons[0]);
	return refuse(call, PROBLEM_NO_PAYABLE_OPTION,
	    "none of the seller's %zu options may be paid: see options",
	    call->challenge->option_count);
}

/* 402 is used for other things too: such an answer is the agent's. */
static enum step pass_402(struct call *call)
{
	let_go(call);
	return STEP_ANSWER;
}

/* The body of the 402 as text, whatever the agent's Accept-Encoding made of it; NULL when it
 * cannot be read. Borrowed from the call. */
static const struct buf *challenge_text(struct call *call)
{
	const char *coding = headers_get(call->answer_headers, "content-encoding");

	if (!coding || call->challenge_body.size == 0 || !inflate_knows(coding))
		return &call->challenge_body;
	buf_init(&call->challenge_plain, (size_t)house_config(call->house)->challenge_size_max);
	if (!inflate_body(
		&call->challenge_plain, call->challenge_body.data, call->challenge_body.size))
		return NULL;
	return &call->challenge_plain;
}

static enum step step_quote(struct call *call)
{
	const char *values[HEADER_VALUES_MAX];
	size_t count =
	    headers_all(values, HEADER_VALUES_MAX, call->answer_headers, "payment-required");
	enum challenge_result result;
	const struct buf *text;
	char reason[256] = "";
	enum step refused;

	if (count > HEADER_VALUES_MAX)
		count = HEADER_VALUES_MAX;
	call->quoted_us = clock_now_us();
	/* Alone, it would find the writer asleep. */
	if (atomic_load(&call->worker->shared->calls) == 1)
		store_expect(call->house->store);
	if (call->challenge_large) {
		if (count == 0)
			return refuse(call, PROBLEM_NO_PAYABLE_OPTION,
			    "the seller's 402 is larger than the %lld bytes that are read",
			    (long long)house_config(call->house)->challenge_size_max);
		buf_clear(&call->challenge_body);
	}
	text = challenge_text(call);
	if (!text)
		return refuse(call, PROBLEM_NO_PAYABLE_OPTION,
		    "the seller's compressed 402 is damaged or larger than %lld bytes",
		    (long long)house_config(call->house)->challenge_size_max);
	result = challenges_read(&call->challenge, call->worker->challenges, reason, values, count,
	    buf_str(text), call->challenge_large ? 0 : text->size);
	if (result == CHALLENGE_ABSENT)
		return pass_402(call);
	if (result != CHALLENGE_OK) {
		call->rule = challenge_result_str(result);
		return refuse(
		    call, PROBLEM_NO_PAYABLE_OPTION, "the seller's challenge: %s", reason);
	}
	if (!call->peer_secure && !call->peer_loopback) {
		call->rule = "plain_http";
		return refuse(call, PROBLEM_NO_PAYABLE_OPTION,
		    "payments are never sent over plain http to another machine: register the tool "
		    "with https");
	}
	refused = ask_owner_again(call);
	if (refused != STEP_WAIT)
		return refused;
	choose(call);
	if (!call->choice.found)
		return refuse_options(call);
	/* What was passed over is part of what was decided. */
	if (call->challenge->option_count > 1)
		call->options = options_json(call->challenge, &call->choice);
	quotes_note(call->house->quotes, &call->endpoint, call->choice.price.micros);
	/* The retry replays the body, so all of it must have come. */
	if (!call->body_done) {
		if (call->transfer)
			transfer_cancel(&call->transfer);
		call->resume = STEP_FIT;
		return STEP_WAIT;
	}
	return STEP_FIT;
}

/* --- fit the hold to the price, and sign ---------------------------------------------------- */

static enum step step_fit(struct call *call)
{
	struct reservation *r = &call->reservation;

	if (call->transfer)
		transfer_cancel(&call->transfer);
	call->asset = call->choice.asset;
	call->value = call->choice.value;
	memcpy(call->payee, call->choice.payee_text, sizeof call->payee);
	address_format_lower(call->payee_lower, &call->choice.payee);
	r->payee = call->payee_lower;
	r->spend = call->choice.price.micros;
	r->slot = house_slot(call->house, call->asset);
	switch (reserve_ask(r, RESERVE_EXACT)) {
	case RESERVE_OK:
		call->money = MONEY_SIGNED;
		return STEP_SIGN;
	case RESERVE_WAITING:
		return wait_for_reservation(call, STEP_FIT);
	case RESERVE_OVER_LIMIT:
	case RESERVE_NO_FUNDS:
	case RESERVE_CROWDED:
		return refuse_reservation(call);
	}
	must(!"a result we know");
	return STEP_REFUSE;
}

/* Before anything was written: the money is taken back as if nothing had been. */
static enum step unsign(struct call *call, const char *why)
{
	reserve_unsign(&call->reservation);
	call->money = MONEY_OVER;
	return refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS, "%s", why);
}

static void write_signed(struct call *call, struct batch *batch)
{
	const struct authorization *authorization = &call->payment->authorization;
	char value[UINT256_TEXT_SIZE];
	char nonce[2 * AUTHORIZATION_NONCE_SIZE + 3];
	struct journal_row journal;
	struct payment_row row = {
	    .id = call->payment_id,
	    .call = call->id,
	    .agent = call->who.agent->id,
	    .agent_name = call->who.agent->name,
	    .tool = call->tool->name,
	    .session = call->who.claims.session,
	    .amount = call->price,
	    .value = uint256_format(value, &authorization->value),
	    .network = call->asset->network,
	    .asset = call->asset->contract_text,
	    .symbol = call->asset->symbol,
	    .payer = call->payment->payer_text,
	    .payee = call->payee,
	    .nonce = hex_encode_0x(nonce, authorization->nonce, AUTHORIZATION_NONCE_SIZE),
	    .valid_before_s = (int64_t)authorization->valid_before_s,
	    .header_name = call->header_name,
	    .header_value = call->header_value,
	    .challenge = call->challenge->text,
	    .method = call->method,
	    .url = call->url,
	    .request = body_digest(call),
	};

	describe(call, &journal, JOURNAL_SIGN);
	batch_payment(batch, &row);
	batch_journal(batch, &journal);
	if (call->key)
		write_key(call, batch, call->payment_id);
}

/* What stays open is known to the whole house, until its call has ended as this call's. */
static void note_outstanding(struct call *call, bool doubtful)
{
	const struct authorization *authorization = &call->payment->authorization;
	struct digest body = body_digest(call);
	struct open_payment payment = {
	    .id = call->payment_id,
	    .call = call->id,
	    .agent = call->who.agent,
	    .asset = call->asset,
	    .amount = call->price,
	    .value = authorization->value,
	    .payer = authorization->from,
	    .payee = authorization->to,
	    .valid_before_s = (int64_t)authorization->valid_before_s,
	    .tool = call->tool->name,
	    .session = call->who.claims.session,
	    .target = outstanding_target(call->who.agent->id, call->method, call->url),
	    .keyed = call->key != NULL,
	    .taken = !doubtful,
	    .doubtful = doubtful,
	};

	memcpy(payment.nonce, authorization->nonce, sizeof payment.nonce);
	payment.request = outstanding_request(&payment.target, &body);
	outstanding_add(call->house->outstanding, &payment);
	call->outstanding = doubtful ? 0 : payment.id;
}

static void on_signed(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	if (call->durable_result == STORE_OK) {
		call_run(call, STEP_PAY);
	} else {
		/* A disk that failed may have kept the row although it said no. The signature
		 * has not left, and what would have carried it goes; but the money stays set
		 * aside until the ledger can be read and says whether the row is there
		 * (doubt.h). A row that was refused is not. */
		transfer_cancel(&call->prepared);
		if (call->durable_result == STORE_BROKEN) {
			note_outstanding(call, true);
			reserve_leave_open(&call->reservation);
		} else {
			reserve_unsign(&call->reservation);
		}
		call->money = MONEY_OVER;
		call->price = 0;
		call->payment_id = 0; /* an audit row may not name what may not be there */
		call_run(call, refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
				   "the ledger cannot be written: no payment was sent"));
	}
	call_leave(call);
}

/* The first payee an agent pays for a tool is remembered. False: another call was first
 * while this one waited, and the policy wants no other. */
static bool pin_payee(struct call *call)
{
	struct registry *registry = call->house->registry;
	char pinned[ADDRESS_TEXT_SIZE];

	registry_pin(registry, call->who.agent, call->tool->name, call->payee_lower);
	return !call->policy->policy->payment.pin_payee ||
	       !registry_pinned(pinned, registry, call->who.agent, call->tool->name) ||
	       strcmp(pinned, call->payee_lower) == 0;
}

static enum step prepare_payment(struct call *call)
{
	return prepare(
	    &call->prepared, call, &pay_events, call->header_name, call->header_value);
}

static enum step step_sign(struct call *call)
{
	struct {
		uint8_t nonce[AUTHORIZATION_NONCE_SIZE], identifier[16];
	} random;
	char identifier[5 + 2 * sizeof random.identifier], reason[256];
	int64_t now_us;
	enum keystore_result result;
	struct batch *batch;
	enum step refused, next;

	if (!house_ready(call->house, reason))
		return unsign(call, reason);
	/* Not before: house_ready() may have accepted a new time. */
	now_us = clock_now_us();
	/* It may have waited for its turn since the quote. */
	refused = ask_owner_again(call);
	if (refused != STEP_WAIT) {
		reserve_unsign(&call->reservation);
		call->money = MONEY_OVER;
		return refused;
	}
	bytes_random(&random, sizeof random);
	memcpy(identifier, "pay_", 4);
	hex_encode(identifier + 4, random.identifier, sizeof random.identifier);
	call->payer = registry_address(call->house->registry, call->who.agent);
	result = payment_sign(&call->payment, call->house->keystore, call->who.agent->name,
	    &call->payer, call->challenge, &call->choice, now_us / CLOCK_US_PER_S,
	    call->policy->policy->payment.authorization_s_max, random.nonce, identifier);
	if (result != KEYSTORE_OK) {
		log_event(LOG_ERROR, "cannot_sign", "agent", call->who.agent->name, "reason",
		    keystore_result_str(result), NULL);
		return unsign(call, "the agent's key cannot be used: the owner's log says why");
	}
	if (!headers_fit(&call->request_headers, strlen(call->payment->header_name),
		strlen(call->payment->header_value))) {
		(void)unsign(call, "");
		return refuse(call, PROBLEM_BAD_REQUEST,
		    "the request's headers leave no room for the payment's");
	}
	/* Last: nothing but the disk keeps this payee from being paid now. */
	if (!pin_payee(call)) {
		(void)unsign(call, "");
		call->rule = choice_reason_str(CHOICE_PAYEE_CHANGED);
		return refuse(call, PROBLEM_NO_PAYABLE_OPTION,
		    "the tool has just been paid at another address: see the policy's pinPayee");
	}
	call->price = call->choice.price.micros;
	call->payment_id = store_next_id(call->house->store, now_us);
	call->signed_us = now_us;
	call->header_name = must_strdup(call->payment->header_name);
	call->header_value = must_strdup(call->payment->header_value);
	batch = batch_new(now_us);
	write_signed(call, batch);
	next = write_then_wait(call, &batch, on_signed);
	/* The disk is waited for anyway. Should it not fit after all, step_pay says so. */
	(void)prepare_payment(call);
	return next;
}

/* --- pay ---------------------------------------------------------------------------------------
 */

/* The owner, or the chain, may have decided about the payment while it was on its way once
 * more: then the ledger has refused the row, and memory must say what the ledger says. */
static void on_resent_settled(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call->settling = false;
	call_enter(call);
	if (call->settle_result == STORE_OK) {
		purses_lock(call->house->purses);
		purse_settle(
		    call->who.agent->purse, house_slot(call->house, call->asset), call->price);
		purses_unlock(call->house->purses);
	}
	call_leave(call);
}

/* The writer's thread. */
static void on_settle_written(enum store_result result, void *arg)
{
	struct call *call = arg;

	call->settle_result = result;
	mailbox_post(call->worker->mailbox, &call->settle);
}

/* Somebody else may have settled it first: the purse is told once it is known who was. The agent
 * has its answer meanwhile, and what the seller said stands whether or not this process does. */
static void settle_resent(struct call *call, struct batch **batch)
{
	call->settle.run = on_resent_settled;
	call->settle.arg = call;
	call->settling = true;
	call->pending++;
	batch_outlive(*batch);
	store_append(call->house->store, batch, on_settle_written, call);
}

/* One gate ends a signed payment, and records why. */
static void payment_ends(
    struct call *call, enum payment_state state, const struct receipt *receipt, const char *reason)
{
	bool settled = state == PAYMENT_SETTLED;
	struct payment_state_row row = {
	    .id = store_next_id(call->house->store, clock_now_us()),
	    .payment = call->payment_id,
	    .state = state,
	    .transaction = receipt && *receipt->transaction ? receipt->transaction : NULL,
	    .reason = reason,
	    .by = settled ? "receipt" : "seller",
	    .receipt = receipt ? receipt->text : NULL,
	};
	struct batch *batch = batch_new(row.id);
	char failure[256];

	must(call->money == MONEY_SIGNED);
	batch_payment_state(batch, &row);
	if (settled) {
		struct journal_row journal;

		describe(call, &journal, JOURNAL_SETTLE);
		journal.transaction = row.transaction;
		batch_journal(batch, &journal);
	}
	if (call->resending && settled)
		settle_resent(call, &batch);
	else if (call->resending && store_health(call->house->store, failure) != STORE_OK)
		/* Nothing new: it was open. What is kept while the disk fails has no bound but
		 * the calls in flight, and who asks again and again would go beyond it. */
		batch_free(&batch);
	else
		store_append(call->house->store, &batch, NULL, NULL);
	if (call->resending) {
		; /* its hold ended with the call that signed */
	} else if (settled) {
		reserve_settle(&call->reservation);
	} else {
		note_outstanding(call, false);
		reserve_leave_open(&call->reservation);
	}
	call->money = settled ? MONEY_SETTLED : MONEY_OPEN;
	FAULT_POINT("payment ended");
}

static enum step step_pay(struct call *call)
{
	enum step next = STEP_WAIT;

	if (call->transfer)
		transfer_cancel(&call->transfer);
	call->paying = true;
	call->sent_us = clock_now_us();
	if (call->forwarded_us == 0)
		call->forwarded_us = call->sent_us;
	if (!call->prepared) /* a resend, of what an earlier call signed */
		next = prepare_payment(call);
	/* Its headers were found to fit before; should they not, what is signed stays open. */
	if (next == STEP_WAIT) {
		call->transfer = call->prepared;
		call->prepared = NULL;
		transfer_send(call->transfer);
	} else {
		payment_ends(call, PAYMENT_OPEN, NULL, call->detail);
	}
	FAULT_POINT("payment handed over");
	return next;
}

/* After a payment a 402 is an outcome, never a new challenge. */
static enum step refuse_second_402(struct call *call, const struct receipt *receipt)
{
	const char *values[HEADER_VALUES_MAX], *words = receipt->reason;
	size_t count =
	    headers_all(values, HEADER_VALUES_MAX, call->answer_headers, "payment-required");

	challenge_free(&call->challenge);
	if (!*words && count == 1 &&
	    challenge_parse(&call->challenge, NULL, values, 1, "", 0) == CHALLENGE_OK)
		words = call->challenge->error;
	if (!words || !*words)
		words = "no reason given";

	switch (receipt->outcome) {
	case RECEIPT_PENDING:
	case RECEIPT_NONCE_USED:
	case RECEIPT_INCONSISTENT:
	case RECEIPT_SETTLED:
		return refuse(call, PROBLEM_PAYMENT_UNKNOWN,
		    "the seller answered 402 after payment %lld: %s; the money may have moved",
		    (long long)call->payment_id, words);
	case RECEIPT_ABSENT:
	case RECEIPT_MALFORMED:
	case RECEIPT_FAILED:
		break;
	}
	return refuse(call, PROBLEM_PAYMENT_REJECTED,
	    "the seller did not take payment %lld: %s; it stays set aside until it has expired",
	    (long long)call->payment_id, words);
}

static void on_pay_head(
    struct transfer *transfer, int status, const struct headers *headers, void *arg)
{
	struct call *call = arg;
	const char *v2[HEADER_VALUES_MAX], *v1[HEADER_VALUES_MAX];
	size_t v2_count = headers_all(v2, HEADER_VALUES_MAX, headers, "payment-response");
	size_t v1_count = headers_all(v1, HEADER_VALUES_MAX, headers, "x-payment-response");
	struct receipt receipt;
	char reason[320];

	FAULT_POINT("paid head");
	call_enter(call);
	note_head(call, transfer, status, headers);
	call->delivery = delivery_new(call->tool->delivery, is_head(call), status, headers,
	    (size_t)house_config(call->house)->answer_size_max);
	receipt_read(&receipt, v2, v2_count < HEADER_VALUES_MAX ? v2_count : HEADER_VALUES_MAX, v1,
	    v1_count < HEADER_VALUES_MAX ? v1_count : HEADER_VALUES_MAX, &call->payer, call->asset,
	    &call->value);
	snprintf(reason, sizeof reason, "status %d, receipt %s%s%s", status,
	    receipt_outcome_str(receipt.outcome), *receipt.reason ? ": " : "", receipt.reason);
	payment_ends(call, receipt.outcome == RECEIPT_SETTLED ? PAYMENT_SETTLED : PAYMENT_OPEN,
	    &receipt, reason);
	if (status == 402)
		call_run(call, refuse_second_402(call, &receipt));
	else if (call->exchange || keeps_answer(call))
		call_run(call, STEP_ANSWER);
	else
		transfer_cancel(&call->transfer);
	receipt_fini(&receipt);
	call_leave(call);
}

static bool on_pay_body(struct transfer *transfer, const void *bytes, size_t size, void *arg)
{
	struct call *call = arg;
	bool more;

	(void)transfer;
	FAULT_POINT("paid body");
	call_enter(call);
	more = pass_body(call, bytes, size);
	call_leave(call);
	return more;
}

static void on_pay_done(
    struct transfer *transfer, enum transfer_result result, const char *reason, void *arg)
{
	struct call *call = arg;
	bool sent = transfer_request_sent(transfer);

	FAULT_POINT("paid done");
	call_enter(call);
	call->transfer = NULL;
	if (call->money == MONEY_SIGNED) {
		payment_ends(call, PAYMENT_OPEN, NULL, reason);
		if (result == TRANSFER_FORBIDDEN)
			call->rule = "forbidden_address";
		/* An earlier call may have sent the same bytes, so nothing is certain here. */
		call_run(
		    call, refuse(call, PROBLEM_PAYMENT_UNKNOWN,
			      "%s payment %lld %s (%s); the money may have moved: `tallyward "
			      "payment show %lld` says where it stands",
			      sent ? "no answer came after" : "no connection could be made for",
			      (long long)call->payment_id,
			      sent ? "was sent" : "that is signed", reason,
			      (long long)call->payment_id));
	} else if (call->answering) {
		end_answer(call, result == TRANSFER_OK);
	}
	call_leave(call);
}

static const struct transfer_events pay_events = {on_pay_head, on_pay_body, on_pay_done};

/* --- answer --------------------------------------------------------------------------------------
 */

/* What is kept of an answer's head. body_size: said of a body that did not come, and the only
 * number among the fields; -1: there is none to say. */
static char *headers_json(const struct headers *headers, int64_t body_size)
{
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < headers->count; i++)
		json_array_append_new(
		    list, json_pack("[s, s]", headers->items[i].name, headers->items[i].value));
	if (body_size >= 0)
		json_array_append_new(
		    list, json_pack("[s, I]", "Content-Length", (json_int_t)body_size));
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

static void on_hashing_room(void *arg)
{
	struct call *call = arg;

	call_enter(call);
	if (call->transfer && !call->slow)
		transfer_resume(call->transfer);
	call_leave(call);
}

static void on_hashing_done(void *arg)
{
	struct call *call = arg;

	call_enter(call);
	call->pending--;
	call_leave(call);
}

static const struct hashing_events hashing_events = {on_hashing_room, on_hashing_done};

/* Is the answer's digest known, as far as one will be booked? on_hashing_done() comes if not. */
static bool hashed(struct call *call)
{
	if (!call->hashing || call->cut || call->hashed)
		return true;
	call->hashed = true;
	if (hashing_end(call->hashing))
		return true;
	call->pending++;
	return false;
}

static enum step step_answer(struct call *call)
{
	const char *host =
	    call->exchange ? headers_get(exchange_headers(call->exchange), "host") : NULL;
	struct headers headers;

	headers_init(&headers);
	call->status = call->upstream_status;
	/* Ours first: the seller's may fill what is left, and no more. */
	headers_put(&headers, "X-Policy-Allowed", "true");
	add_our_headers(call, &headers);
	if (!relay_response_headers(&headers, call->answer_headers, call->tool, call->url, host)) {
		headers_fini(&headers);
		return refuse(
		    call, PROBLEM_UPSTREAM_UNREACHABLE, "the seller's headers are too large");
	}
	call->answering = true;
	call->hashing = hashing_new(call->worker->hasher, &hashing_events, call);
	if (call->key) {
		buf_init(&call->kept, (size_t)house_config(call->house)->answer_size_max);
		call->kept_headers = headers_json(&headers, is_head(call) ? call->answer_size : -1);
	}
	if (call->exchange) {
		call->answered_us = clock_now_us();
		exchange_start(call->exchange, call->status, &headers, call->answer_size);
	}
	headers_fini(&headers);
	/* A 402 that turned out not to be a challenge has been read already. */
	if (!call->paying && call->challenge_body.size > 0)
		pass_body(call, call->challenge_body.data, call->challenge_body.size);
	if (!call->transfer)
		end_answer(call, true);
	return STEP_WAIT;
}

/* What was paid for is read for the key's next call, though the agent has gone, unless it is
 * larger than is kept. */
static bool keeps_answer(const struct call *call)
{
	return call->key && (call->money == MONEY_SIGNED || call->paying) &&
	       (!call->answering || buf_ok(&call->kept));
}

/* False: not now, the agent has not read what it was given, or the hasher has not hashed it; the
 * piece comes again. */
static bool pass_body(struct call *call, const void *bytes, size_t size)
{
	if (!call->answering || call->problem != PROBLEM_NONE)
		return true;
	if (call->slow || !hashing_room(call->hashing))
		return false;
	hashing_add(call->hashing, bytes, size);
	call->response_bytes += (int64_t)size;
	if (call->delivery)
		delivery_add(call->delivery, bytes, size);
	if (call->key)
		buf_add(&call->kept, bytes, size);
	if (call->exchange) {
		call->slow = !exchange_write(call->exchange, bytes, size);
	} else if (!keeps_answer(call)) {
		call->cut = true;
		transfer_cancel(&call->transfer);
	}
	return true;
}

static void end_answer(struct call *call, bool whole)
{
	call->transfer = NULL;
	call->body_ended = true;
	call->cut = call->cut || !whole;
	if (call->delivery)
		delivery_end(call->delivery, whole);
	if (!whole && call->money == MONEY_OPEN)
		give_payment_back(call, false);
	if (!call->exchange)
		return;
	if (whole)
		exchange_end(call->exchange);
	else
		exchange_abort(call->exchange);
}

void call_on_writable(struct call *call)
{
	call_enter(call);
	call->slow = false;
	if (call->transfer)
		transfer_resume(call->transfer);
	call_leave(call);
}

/* --- the agent's side
 * ------------------------------------------------------------------------------ */

void call_on_body(struct call *call, const void *bytes, size_t size)
{
	call_enter(call);
	/* An answer may begin before the request is whole: the seller gets the rest as well. */
	if (call->body && (!call->answering || call->transfer)) {
		switch (spool_write(call->body, bytes, size)) {
		case SPOOL_OK:
			if (call->transfer)
				transfer_body_ready(call->transfer);
			break;
		case SPOOL_TOO_LARGE:
			call_run(call, refuse(call, PROBLEM_BODY_TOO_LARGE,
					   "the body may have at most %lld bytes",
					   (long long)house_config(call->house)->body_size_max));
			break;
		case SPOOL_IO:
			call_run(call, refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
					   "there is no room to keep the request body"));
			break;
		}
	}
	call_leave(call);
}

void call_on_body_end(struct call *call)
{
	call_enter(call);
	if (call->body && !call->body_done) {
		spool_finish(call->body);
		call->body_done = true;
		if (call->transfer)
			transfer_body_ready(call->transfer);
		if (!call->answering &&
		    (call->resume == STEP_RECALL || call->resume == STEP_TAKE_OVER ||
			call->resume == STEP_FIT)) {
			enum step next = call->resume;

			call->resume = STEP_WAIT;
			if (next == STEP_FIT) /* the seller has been asked; STEP_SIGN looks again */
				call_run(call, next);
			else
				call_go_on(call, next);
		}
	}
	call_leave(call);
}

/* Is there a payment, or a journaled hold, whose outcome must still be written? */
static bool must_go_on(const struct call *call)
{
	return call->money == MONEY_SIGNED || call->money == MONEY_METERED;
}

void call_on_finished(struct call *call, bool completed)
{
	call_enter(call);
	call->exchange = NULL;
	if (!completed && !call->body_ended) {
		bool keeps = keeps_answer(call);

		call->cut = call->cut || !keeps;
		stop_waiting_for_key(call);
		stop_waiting_for_past(call);
		if (call->reservation.purses && reserve_stop_waiting(&call->reservation)) {
			call->pending--;
			evtimer_del(call->waiting_timer);
		}
		/* A request that will never be whole will never be answered. */
		if (call->money == MONEY_METERED && call->transfer && !call->body_done)
			end_metered(call, false);
		if (!must_go_on(call) && !keeps) {
			if (call->transfer)
				transfer_cancel(&call->transfer);
			if (call->pending == 0)
				let_go(call);
		} else if (call->transfer) {
			transfer_resume(call->transfer);
		}
		call->slow = false;
	} else if (!completed && call->money == MONEY_OPEN && !call->audited) {
		/* All of the answer was ready, and some of it did not go out. */
		call->cut = call->cut || !keeps_answer(call);
	}
	call_leave(call);
}

/* --- the loop, the beginning and the end
 * --------------------------------------------------------------- */

/* A step, and a place to die on either side of it. */
#define RUN(STEP, function)                                                                        \
	case STEP:                                                                                 \
		FAULT_POINT(#STEP);                                                                \
		step = function(call);                                                             \
		FAULT_POINT(#STEP " done");                                                        \
		return step

static enum step run_one(struct call *call, enum step step)
{
	switch (step) {
	case STEP_WAIT:
		break;
		RUN(STEP_IDENTIFY, step_identify);
		RUN(STEP_DECIDE, step_decide);
		RUN(STEP_COLLECT, step_collect);
		RUN(STEP_RECALL, step_recall);
		RUN(STEP_REPLAY, step_replay);
		RUN(STEP_TAKE_OVER, step_take_over);
		RUN(STEP_WAKE, step_wake);
		RUN(STEP_RESERVE, step_reserve);
		RUN(STEP_RECORD, step_record);
		RUN(STEP_FORWARD, step_forward);
		RUN(STEP_QUOTE, step_quote);
		RUN(STEP_FIT, step_fit);
		RUN(STEP_SIGN, step_sign);
		RUN(STEP_PAY, step_pay);
		RUN(STEP_ANSWER, step_answer);
		RUN(STEP_REFUSE, step_refuse);
	}
	must(!"a step we know");
	return STEP_WAIT;
}

#undef RUN

static void call_run(struct call *call, enum step next)
{
	while (next != STEP_WAIT)
		next = run_one(call, next);
}

/* After a wait, with nothing sent yet: the owner may meanwhile have taken back what let the call
 * in. STEP_RECORD and STEP_SIGN ask for themselves. */
static void call_go_on(struct call *call, enum step next)
{
	enum step refused = ask_owner_again(call);

	call_run(call, refused == STEP_WAIT ? next : refused);
}

void call_begin(struct worker *worker, struct exchange *exchange)
{
	struct call *call = must_calloc(1, sizeof *call);

	call->worker = worker;
	call->house = worker->house;
	call->exchange = exchange;
	call->id = store_next_id(worker->house->store, clock_now_us());
	call->method = exchange_method(exchange);
	headers_init(&call->request_headers);
	call->next = worker->calls;
	if (call->next)
		call->next->previous = call;
	worker->calls = call;
	exchange_set_user(exchange, call);
	call_enter(call);
	if (atomic_fetch_add(&worker->shared->calls, 1) >= house_config(call->house)->calls_max)
		call_run(call, refuse(call, PROBLEM_NOT_ACCEPTING_PAYMENTS,
				   "too many calls are in flight: try again"));
	else
		call_run(call, STEP_IDENTIFY);
	call_leave(call);
}

static void on_audited(void *arg)
{
	struct call *call = arg;

	call->pending--;
	call_enter(call);
	call_leave(call);
}

/* What the columns have no place for: when the payment left, and the options not taken. */
static char *audit_detail(const struct call *call)
{
	char sent[CLOCK_TEXT_SIZE], *options, *text;

	if (!call->options && !call->sent_us)
		return NULL;
	if (!call->options)
		return must_format("{\"sent_at\":[\"%s\"]}", clock_format(sent, call->sent_us));
	options = json_dumps(call->options, JSON_COMPACT);
	if (call->sent_us)
		text = must_format("{\"sent_at\":[\"%s\"],\"options\":%s}",
		    clock_format(sent, call->sent_us), options);
	else
		text = must_format("{\"options\":%s}", options);
	free(options);
	return text;
}

/* "Paid, not delivered", and why; NULL: delivered, or the agent left before all of it came, or
 * nothing was paid. A head that is wrong counts whoever is still there. */
static const char *undelivered(const struct call *call)
{
	const char *fault;

	if (!call->sent_us)
		return NULL;
	if (!call->delivery)
		return "no answer came";
	fault = delivery_fault(call->delivery);
	return fault || call->problem == PROBLEM_NONE ? fault : call->detail;
}

static void write_delivery(const struct call *call, struct batch *batch)
{
	const char *reason = undelivered(call);
	struct delivery_row row = {
	    .call = call->id,
	    .payment = call->payment_id,
	    .agent = call->who.agent->id,
	    .tool = call->tool ? call->tool->name : NULL,
	    .reason = reason,
	};

	/* What an earlier call with this payment did not get, this one did. */
	if (!reason && call->resending && call->delivery && delivery_done(call->delivery))
		row.reason = "";
	if (!row.reason)
		return;
	row.id = store_next_id(call->house->store, clock_now_us());
	batch_delivery(batch, &row);
}

static void audit(struct call *call)
{
	struct audit_row row = {
	    .id = call->id,
	    .kind = AUDIT_CALL,
	    .session = call->who.claims.session,
	    .method = call->method,
	    .allowed = call->forwarded_us != 0,
	    .code = call->problem != PROBLEM_NONE ? problem_code(call->problem) : NULL,
	    .rule = call->rule,
	    .price = call->price,
	    .payee = *call->payee ? call->payee : NULL,
	    .payment = call->payment_id,
	    .status = call->answered_us ? call->status : 0,
	    .upstream_status = call->upstream_status,
	    .forwarded_us = call->forwarded_us,
	    .quoted_us = call->quoted_us,
	    .signed_us = call->signed_us,
	    .answered_us = call->answered_us,
	    .finished_us = clock_now_us(),
	    .request_bytes = call->body ? spool_size(call->body) : 0,
	    .response_bytes = call->response_bytes,
	};
	const char *query = call->rest ? strchr(call->rest, '?') : NULL;
	char *path = query ? must_strndup(call->rest, (size_t)(query - call->rest)) : NULL;
	char *detail = audit_detail(call);
	struct batch *batch = batch_new(row.finished_us);

	FAULT_POINT("audit");
	row.agent = call->who.agent->id;
	row.agent_name = call->who.agent->name;
	row.owner = call->who.agent->owner;
	row.tool = call->tool ? call->tool->name : NULL;
	row.path = path ? path : call->rest;
	row.detail = detail;
	row.has_request_digest = call->body_done;
	if (call->body_done)
		row.request_digest = body_digest(call);
	row.has_response_digest = call->hashing && !call->cut;
	if (row.has_response_digest)
		row.response_digest = hashing_digest(call->hashing);
	batch_audit(batch, &row);
	if (call->payment_id)
		write_delivery(call, batch);
	if (call->key && call->kept_headers && !call->cut && buf_ok(&call->kept)) {
		struct answer_row answer = {
		    .call = call->resending ? call->resend_at_us : call->id,
		    .status = call->status,
		    .headers = call->kept_headers,
		    .body = buf_str(&call->kept),
		    .body_size = call->kept.size,
		    .expires_us =
			call->id + house_config(call->house)->idempotency_s * CLOCK_US_PER_S,
		};

		/* One that cost something was written with what it cost. */
		if (call->payment_id == 0 && call->price == 0)
			write_key(call, batch, 0);
		batch_answer(batch, &answer);
	}
	/* Nobody waits for these rows, so that a failing disk keeps them for later. */
	store_append(call->house->store, &batch, NULL, NULL);
	/* But a key is let go when its answer can be given again, not before: the batch after
	 * them, with nothing in it, says when. */
	if (call->key_entered) {
		batch = batch_new(row.finished_us);
		write_then_wait(call, &batch, on_audited);
	}
	free(detail);
	free(path);
}

/* Without an authentic token nobody knows whose audit a row would belong to, and anybody could
 * fill the owner's disk with them. The line says why, in our words; never what was sent. */
static void log_stranger(const struct call *call)
{
	char id[DECIMAL_TEXT_SIZE];

	log_event(LOG_INFO, problem_code(call->problem), "call", decimal_encode(id, call->id),
	    "reason", call->detail, NULL);
}

static void call_free(struct call *call)
{
	struct worker *worker = call->worker;

	if (call->next)
		call->next->previous = call->previous;
	if (call->previous)
		call->previous->next = call->next;
	else
		worker->calls = call->next;
	if (call->key_entered)
		idempotency_leave(call->house->idempotency, call->who.agent->id, call->key);
	if (call->waiting_timer)
		event_free(call->waiting_timer);
	headers_fini(&call->request_headers);
	buf_fini(&call->challenge_body);
	buf_fini(&call->challenge_plain);
	buf_fini(&call->kept);
	delivery_free(&call->delivery);
	challenge_free(&call->challenge);
	payment_free(&call->payment);
	spool_free(&call->body);
	tool_unref(&call->tool);
	reserve_fini(&call->reservation);
	policy_unref(&call->policy);
	hashing_free(&call->hashing);
	json_decref(call->options);
	free(call->detail);
	free(call->kept_headers);
	free(call->replay_headers);
	free(call->replay_body);
	free(call->header_name);
	free(call->header_value);
	free(call->key);
	free(call->url);
	free(call);
	atomic_fetch_sub(&worker->shared->calls, 1);
}

static void call_enter(struct call *call)
{
	call->depth++;
}

/* Set aside, or signed and not ended. An endpoint that was free the last time holds nothing. */
static bool has_money_out(const struct call *call)
{
	return (call->money == MONEY_HELD && call->reservation.held > 0) ||
	       call->money == MONEY_METERED || call->money == MONEY_SIGNED;
}

/* Has the agent been given an answer, all of it, whatever its status? As store_outstanding()
 * reads the audit row, so that a restart knows the same. */
static bool answered(const struct call *call)
{
	return call->hashing && call->answered_us && !call->cut &&
	       call->problem == PROBLEM_NONE;
}

/* May its row be handed over, as far as the agent is concerned? As soon as the answer is complete,
 * before its last bytes go out, so that nobody has an answer whose row goes with the process. But
 * what is said to be answered frees an open payment from being sent again, so that one waits until
 * the bytes have gone out. */
static bool is_over(const struct call *call)
{
	return !call->exchange ||
	       (call->body_ended && (call->money != MONEY_OPEN || !answered(call)));
}

static void call_leave(struct call *call)
{
	call->worker->stirred = has_money_out(call);
	/* That its payment has ended need not be on the disk before its row is on its way. */
	if (--call->depth > 0 || !is_over(call) || call->transfer ||
	    call->pending > (call->settling ? 1 : 0) || !hashed(call))
		return;
	let_go(call);
	must(!must_go_on(call));
	if (!call->settling)
		give_payment_back(call, answered(call));
	if (!call->audited) {
		call->audited = true;
		if (call->who.authentic)
			audit(call);
		else
			log_stranger(call);
	}
	if (call->pending == 0 && !call->exchange)
		call_free(call);
}
