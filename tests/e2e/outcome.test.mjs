// A seller holds a signature and something goes wrong. Whatever it answers, the
// authorization stays cashable, so the money stays counted until there is proof
// or the owner decides; and nothing is ever signed twice for one call.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;

/** How long the daemon waits for a seller's answer here. */
const RESPONSE_MS = 3000;

before(async () => {
	bed = await startBed({ v1: true, rogue: true });
	// The daemon is not told of the chain: what a seller does in silence must
	// stay unknown to it.
	tw = await Tallyward.create({ settings: { response_ms_max: RESPONSE_MS } });
	tw.chain = bed.chain;
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('seller-v1', bed.sellerV1.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = (policy = GENEROUS) => tw.addAgent(`agent-${++agents}`, { policy });

/** One call to the rogue seller; a torn answer counts as one, too. */
async function buy(agent, path, options) {
	try {
		return await tw.call(agent, 'rogue', path, options);
	} catch (error) {
		return { status: 'torn', text: error.message };
	}
}

/** An agent's one payment, once its call is over: the answer may come first. */
const onlyPayment = (agent) => until('the outcome to be written down', async () => {
	const payments = await tw.payments(agent.name);
	assert.equal(payments.length, 1, JSON.stringify(payments));
	return payments[0].state !== 'signed' && payments[0];
});

const signaturesOf = (agent) => bed.rogue.record.signatures().filter(
	({ from }) => from.toLowerCase() === agent.address.toLowerCase());

/**
 * What the agent gets, and what becomes of the payment. `codes` for answers
 * of tallyward's own; otherwise the seller's status comes through.
 */
const AFTER_PAYMENT = {
	'honest': { status: 200, state: 'settled' },
	'silent': { status: 200 },
	'settles-silently': { status: 200 },
	'error': { status: 500 },
	'settles-then-error': { status: 500 },
	'bad-request': { status: 400 },
	'reset': { status: 502, codes: ['payment_unknown'] },
	'settles-then-reset': { status: 502, codes: ['payment_unknown'] },
	'half-a-body': { status: 'torn' },
	'asks-again': { status: 502, codes: ['payment_rejected'] },
	'asks-in-many-words': { status: 502, codes: ['payment_rejected'] },
	'asks-more': { status: 502, codes: ['payment_rejected'] },
	'asks-for-other-payee': { status: 502, codes: ['payment_rejected'] },
	'rejects': { status: 502, codes: ['payment_rejected'] },
	'pending': { status: 502, codes: ['payment_rejected', 'payment_unknown'] },
	'plain-402': { status: 502, codes: ['payment_rejected'] },
	'receipt-false': { status: 200 },
	'receipt-other-payer': { status: 200 },
	'receipt-other-network': { status: 200 },
	'receipt-no-transaction': { status: 200 },
	'receipt-other-amount': { status: 200 },
	'receipt-junk': { status: 200 },
	'receipt-twice': { status: 200 },
	'redirects-out': { status: 302 },
	'redirects-in': { status: 302 },
	'header-bomb': { status: 502, codes: ['payment_unknown'] },
};
const V2_ONLY = new Set(['receipt-junk']);

for (const version of [2, 1])
	describe(`a version ${version} seller that was paid`, () => {
		for (const [name, expected] of Object.entries(AFTER_PAYMENT)) {
			if (version === 1 && V2_ONLY.has(name))
				continue;
			const state = expected.state ?? 'open';
			it(`and then: ${name} → the payment is ${state}`, async () => {
				const agent = await newAgent();
				const answer = await buy(agent, version === 1 ? `/v1/${name}` : `/${name}`);
				assert.equal(answer.status, expected.status, answer.text);
				if (expected.codes) {
					const { problem } = answer;
					assert.ok(expected.codes.includes(problem.code), problem.code);
					assert.match(String(problem.call), /^\d+$/, 'says where to look');
				} else if (answer.status !== 'torn') {
					assert.equal(answer.payment, state);
				}
				const payment = await onlyPayment(agent);
				assert.equal(payment.state, state);
				assert.equal(payment.amount, '0.01');
				assert.equal(signaturesOf(agent).length, 1, 'one purchase, one signature');
				const { used } = await tw.limit(agent, 'session', 'total');
				assert.equal(micros(used), 10_000n, 'it counts, whatever the answer was');
				const wallet = await tw.wallet(agent.name);
				assert.equal(micros(wallet.open), state === 'open' ? 10_000n : 0n);
				assert.equal(micros(wallet.available), 9_990_000n);
			});
		}
	});

describe('a redirect after payment', () => {
	it('to another host goes to the agent, and nobody follows it', async () => {
		const answer = await buy(await newAgent(), '/redirects-out');
		assert.equal(answer.headers.location, `${bed.rogue.elsewhere.url}/trap`);
		assert.equal(bed.rogue.elsewhere.record.requests.length, 0);
	});

	it("inside the tool's base stays under the tool", async () => {
		const answer = await buy(await newAgent(), '/redirects-in');
		assert.match(answer.headers.location, /^(http:\/\/[^/]+)?\/t\/rogue\/free$/);
	});
});

describe('an owner who changes the rules while a seller thinks', () => {
	const CHANGES = {
		'suspends the agent': ['agent_suspended', (agent) => tw.must('agent', 'suspend', agent.name)],
		'revokes the token': ['unauthenticated', (agent) => tw.must('token', 'revoke', agent.session)],
		'takes the tool away': ['tool_denied',
			(agent) => tw.setPolicy(agent.name, { ...GENEROUS, tools: { allowlist: [] } })],
		'lowers the limit': ['over_day_limit',
			(agent) => tw.setPolicy(agent.name, policyOf(spend('agent', 'day', '0.005')))],
	};
	for (const [what, [code, change]] of Object.entries(CHANGES))
		it(`and ${what}: nothing is signed`, async () => {
			bed.rogue.gate.close();
			const agent = await newAgent();
			const answer = buy(agent, '/asks-late');
			await until('the seller to be asked', () => bed.rogue.gate.waiting === 1);
			await change(agent);
			bed.rogue.gate.open();
			const { status, problem } = await answer;
			assert.ok(status >= 400 && status < 500, String(status));
			assert.equal(problem.code, code);
			assert.equal(signaturesOf(agent).length, 0);
			assert.deepEqual(await tw.payments(agent.name), []);
		});
});

describe('an owner who changes his mind while a call waits', () => {
	const CHANGES = {
		'suspends the agent': ['agent_suspended', (agent) => tw.must('agent', 'suspend', agent.name)],
		'revokes the token': ['unauthenticated', (agent) => tw.must('token', 'revoke', agent.session)],
		'takes the tool away': ['tool_denied',
			(agent) => tw.setPolicy(agent.name, { ...GENEROUS, tools: { allowlist: [] } })],
	};
	/** One call holds all that is left, because nobody knows what its endpoint asks. */
	const NARROW = policyOf(spend('agent', 'call', '0.05'), spend('session', 'total', '0.05'));

	const inFlight = (count) => until(`${count} calls in flight`, async () =>
		(await send(`${tw.adminUrl}/metrics`)).text.includes(`\ntallyward_calls_in_flight ${count}\n`));

	const asked = (path) => bed.rogue.record.requests.filter(({ url }) => url === path).length;

	async function refusedInstead(waiting, code, path, times) {
		const { status, problem, text } = await waiting;
		assert.ok(status >= 400 && status < 500, text);
		assert.equal(problem.code, code);
		assert.equal(asked(path), times, 'the seller has not heard of it');
	}

	for (const [what, [code, change]] of Object.entries(CHANGES)) {
		it(`for money, and ${what}: it is not sent`, async () => {
			const agent = await newAgent(NARROW);
			const path = `/free/${agent.name}`;
			bed.rogue.gate.close();
			const first = buy(agent, `/asks-late/${agent.name}`);
			await until('the seller to be asked', () => bed.rogue.gate.waiting === 1);
			const second = buy(agent, path);
			await inFlight(2);
			await change(agent);
			bed.rogue.gate.open();
			await first;
			await refusedInstead(second, code, path, 0);
		});

		it(`for its key, and ${what}: it is not sent`, async () => {
			const agent = await newAgent();
			const path = `/asks-late/${agent.name}`;
			const headers = { 'idempotency-key': 'one' };
			bed.rogue.gate.close();
			const first = buy(agent, path, { headers });
			await until('the seller to be asked', () => bed.rogue.gate.waiting === 1);
			const second = buy(agent, path, { headers });
			await inFlight(2);
			await change(agent);
			bed.rogue.gate.open();
			await first;
			await refusedInstead(second, code, path, 1);
		});

		it(`for the rest of its body, and ${what}: it is not sent`, async () => {
			const agent = await newAgent();
			const path = `/free/${agent.name}`;
			const body = new PassThrough();
			body.write('one half');
			const call = buy(agent, path,
				{ method: 'POST', body, headers: { 'idempotency-key': 'one' } });
			await inFlight(1);
			await change(agent);
			body.end('the other');
			await refusedInstead(call, code, path, 0);
		});
	}
});

describe('a seller that never answers', () => {
	it('is given up on; the payment stays open', async () => {
		bed.rogue.gate.close();
		const agent = await newAgent();
		const answer = await buy(agent, '/hang');
		bed.rogue.gate.open();
		assert.equal(answer.status, 502, answer.text);
		assert.equal(answer.problem.code, 'payment_unknown');
		assert.equal((await onlyPayment(agent)).state, 'open');
		assert.equal(signaturesOf(agent).length, 1);
	});

	it('nor does it help when the agent hangs up meanwhile', async () => {
		bed.rogue.gate.close();
		const agent = await newAgent();
		const hangUp = new AbortController();
		const call = buy(agent, '/hang', { signal: hangUp.signal });
		await until('the signature to arrive', () => signaturesOf(agent).length === 1);
		hangUp.abort();
		await call;
		bed.rogue.cut();
		bed.rogue.gate.open();
		await until('the payment to be open', async () => (await onlyPayment(agent)).state === 'open');
		const { used } = await tw.limit(agent, 'session', 'total');
		assert.equal(micros(used), 10_000n);
	});
});

describe('the official sellers, when things go wrong behind them', () => {
	/** facilitator's fault → state; the handler's failures need no fault. */
	const CASES = [
		['refuse', '/paid/0.01', 502],
		['error', '/paid/0.01', 502],
		['reset', '/paid/0.01', 502],
		['hide', '/paid/0.01', 502],
		['pending', '/paid/0.01', 502],
		[null, '/broken/0.01', 500],
		[null, '/missing/0.01', 404],
	];
	for (const tool of ['seller', 'seller-v1'])
		for (const [how, path, status] of CASES)
			it(`${tool}${path}${how ? `, facilitator: ${how}` : ''} → open`, async () => {
				const agent = await newAgent();
				if (how)
					bed.facilitator.misbehave({ how });
				const answer = await tw.call(agent, tool, path);
				bed.facilitator.behave();
				assert.equal(answer.status, status, answer.text);
				if (status === 502)
					assert.match(answer.problem.code, /^payment_(rejected|unknown)$/);
				assert.equal((await onlyPayment(agent)).state, 'open');
				const { used } = await tw.limit(agent, 'session', 'total');
				assert.equal(micros(used), 10_000n);
			});

	it('a slow settlement is waited for', async () => {
		const agent = await newAgent();
		bed.facilitator.misbehave({ how: 'slow', delayMs: RESPONSE_MS / 10, times: 1 });
		const answer = await tw.call(agent, 'seller', '/paid/0.01');
		assert.equal(answer.status, 200, answer.text);
		assert.equal((await onlyPayment(agent)).state, 'settled');
	});
});

describe('a budget', () => {
	it('cannot be drained by a seller that fails after every payment', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.03')));
		const answers = [];
		for (let i = 0; i < 6; i++)
			answers.push(await buy(agent, '/error'));
		assert.deepEqual(answers.map((a) => a.status), [500, 500, 500, 403, 403, 403]);
		assert.equal(signaturesOf(agent).length, 3);
	});

	it('holds while everyone fails at once', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.02'), spend('session', 'total', '0.05')));
		await Promise.all(Array.from({ length: 40 }, () => buy(agent, '/reset')));
		assert.equal(signaturesOf(agent).length, 5);
	});
});

describe('the same call again, with its Idempotency-Key', () => {
	it('sends the same signed bytes while the outcome is unknown', async () => {
		const agent = await newAgent();
		const headers = { 'idempotency-key': 'order-1' };
		for (let i = 0; i < 3; i++)
			assert.equal((await buy(agent, '/reset?n=1', { headers })).status, 502);
		const sent = new Set(bed.rogue.record.paid('/reset')
			.filter((r) => r.payment.payload.authorization.from.toLowerCase() === agent.address.toLowerCase())
			.map((r) => r.header));
		assert.equal(sent.size, 1, 'one header, byte for byte');
		assert.equal((await tw.payments(agent.name)).length, 1);
	});

	it('gives the same answer once it is known, and does not pay again', async () => {
		const agent = await newAgent();
		const headers = { 'idempotency-key': 'order-2' };
		const first = await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one', headers });
		const second = await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one', headers });
		assert.equal(first.status, 200, first.text);
		assert.equal(second.status, 200, second.text);
		assert.deepEqual(second.json.body, first.json.body);
		assert.equal((await tw.payments(agent.name)).length, 1);
		assert.equal(await bed.chain.balanceOf(agent.address), 9_990_000n);
	});

	it('ten of them at once pay once', async () => {
		const agent = await newAgent();
		const headers = { 'idempotency-key': 'order-3' };
		const answers = await Promise.all(Array.from({ length: 10 }, () =>
			tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one', headers })));
		assert.ok(answers.some((a) => a.status === 200));
		assert.equal((await tw.payments(agent.name)).length, 1);
		assert.equal(await bed.chain.balanceOf(agent.address), 9_990_000n);
	});

	it('but another request under the same key is a conflict', async () => {
		const agent = await newAgent();
		const headers = { 'idempotency-key': 'order-4' };
		await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one', headers });
		const others = [
			['/paid/0.01', { method: 'POST', body: 'two', headers }],
			['/paid/0.02', { method: 'POST', body: 'one', headers }],
			['/paid/0.01', { method: 'PUT', body: 'one', headers }],
		];
		for (const [path, options] of others) {
			const answer = await tw.call(agent, 'seller', path, options);
			assert.equal(answer.status, 409, answer.text);
			assert.equal(answer.problem.code, 'idempotency_conflict');
		}
		assert.equal((await tw.payments(agent.name)).length, 1);
	});

	it('that is a HEAD gets the size again that the first one was told', async () => {
		bed.rogue.cases.sized = ({ response }) => response.writeHead(200, { 'content-length': 777 }).end();
		const agent = await newAgent();
		const head = () => tw.call(agent, 'rogue', '/sized',
			{ method: 'HEAD', headers: { 'idempotency-key': 'head' } });
		const [first, second] = [await head(), await head()];
		assert.equal(second.headers['tallyward-replayed'], 'true');
		assert.equal(first.headers['content-length'], '777');
		assert.equal(second.headers['content-length'], '777');
	});

	it('while the first is under way is told to come back later than now', async () => {
		tw.configure({ waiting_ms_max: 2000 });
		await tw.reload();
		const agent = await newAgent();
		const headers = { 'idempotency-key': 'slow' };
		bed.rogue.gate.close();
		const first = buy(agent, '/asks-late', { headers });
		await until('the seller to be asked', () => bed.rogue.gate.waiting === 1);
		const asked = Date.now();
		const second = await buy(agent, '/asks-late', { headers });
		const { code, resets_at: resetsAt } = second.problem;
		bed.rogue.gate.open();
		assert.equal((await first).status, 200);
		assert.equal(code, 'idempotency_conflict');
		assert.equal(second.headers['retry-after'], '1');
		// A second after the two that it waited; when the answer leaves is the machine's affair.
		assert.ok(Date.parse(resetsAt) - asked >= 2900,
			`${resetsAt}, asked at ${new Date(asked).toISOString()}`);
		tw.configure({ waiting_ms_max: 15_000 });
		await tw.reload();
	});

	it("and another agent's key is another key", async () => {
		const headers = { 'idempotency-key': 'order-5' };
		for (const agent of [await newAgent(), await newAgent()]) {
			const answer = await tw.call(agent, 'seller', '/paid/0.01', { headers });
			assert.equal(answer.status, 200, answer.text);
			assert.equal((await tw.payments(agent.name)).length, 1);
		}
	});
});

describe('the owner decides about an open payment', () => {
	it('it was used: the money is spent, with the transaction', async () => {
		const agent = await newAgent();
		await buy(agent, '/settles-then-reset');
		const open = await onlyPayment(agent);
		const [{ transaction }] = await bed.chain.authorizationsUsed({
			authorizer: agent.address, nonce: open.nonce,
		});
		await tw.must('payment', 'resolve', open.payment, '--settled', '--transaction', transaction, '--yes');
		const decided = await onlyPayment(agent);
		assert.equal(decided.state, 'resolved');
		assert.equal(decided.transaction, transaction);
		const wallet = await tw.wallet(agent.name);
		assert.deepEqual([wallet.open, wallet.spent].map(micros), [0n, 10_000n]);
		const events = (await tw.statement(agent.name)).map((r) => r.event);
		assert.deepEqual(events, ['deposit', 'sign', 'settle']);
	});

	it('it was not used: the money and the budget are free again', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')));
		await buy(agent, '/reset');
		assert.equal((await buy(agent, '/honest')).problem.code, 'over_session_limit');
		const open = await onlyPayment(agent);
		// The seller can still cash it; without a word that this is understood
		// nothing may change.
		const unsure = await tw.cli('payment', 'resolve', open.payment, '--unused');
		assert.notEqual(unsure.code, 0);
		assert.equal((await onlyPayment(agent)).state, 'open');
		await tw.giveBack(open.payment);
		assert.equal((await onlyPayment(agent)).state, 'resolved');
		const wallet = await tw.wallet(agent.name);
		assert.deepEqual([wallet.available, wallet.open, wallet.spent].map(micros), [10_000_000n, 0n, 0n]);
		assert.equal((await buy(agent, '/honest')).status, 200);
	});

	it('once, and not about a payment that is settled or unknown', async () => {
		const agent = await newAgent();
		await buy(agent, '/honest');
		const settled = await onlyPayment(agent);
		const unused = ['--unused', '--yes', '--force'];
		assert.notEqual((await tw.cli('payment', 'resolve', settled.payment, ...unused)).code, 0);
		assert.equal((await tw.cli('payment', 'resolve', '1', ...unused)).code, 5);
		const other = await newAgent();
		await buy(other, '/reset');
		const open = await onlyPayment(other);
		await tw.giveBack(open.payment);
		assert.notEqual((await tw.cli('payment', 'resolve', open.payment, '--settled', '--yes')).code, 0);
		assert.equal(micros((await tw.wallet(other.name)).available), 10_000_000n);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
