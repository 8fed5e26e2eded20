// An agent asks again after a call that ended without an answer. While what it
// paid may still be cashed, the same signed bytes go out; there is one purchase
// and one signature, with or without an Idempotency-Key, across restarts too.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { challenge, requirement, send402 } from './bed/rogue.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed({ v1: false, rogue: true });
	tw = await Tallyward.create({ settings: { response_ms_max: 3000 } });
	tw.chain = bed.chain;
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = (policy = GENEROUS) => tw.addAgent(`agent-${++agents}`, { policy });

/** POST: a request that may be repeated is, by libcurl, when a kept connection turns out dead. */
async function buy(agent, path, options = {}) {
	options = { method: 'POST', body: '', ...options };
	try {
		return await tw.call(agent, 'rogue', path, options);
	} catch (error) {
		return { status: 'torn', text: error.message };
	}
}

const headersOf = (agent) => bed.rogue.record.requests
	.filter((r) => r.payment?.payload?.authorization?.from?.toLowerCase() === agent.address.toLowerCase())
	.map((r) => r.header);

/** How many times a payment was sent to the rogue seller, and how many there were. */
const sent = (agent) => [headersOf(agent).length, new Set(headersOf(agent)).size];

const payments = (agent, count) => until('the outcomes to be written down', async () => {
	const all = await tw.payments(agent.name);
	return all.length === count && all.every(({ state }) => state !== 'signed') && all;
});

describe('a call that ended without an answer, asked again without a key', () => {
	for (const how of ['reset', 'rejects', 'asks-again', 'pending', 'plain-402', 'half-a-body', 'header-bomb'])
		it(`${how}: the same signed bytes, every time`, async () => {
			const agent = await newAgent();
			for (let i = 0; i < 3; i++)
				await buy(agent, `/${how}?n=1`, { body: 'one' });
			assert.deepEqual(sent(agent), [3, 1]);
			await payments(agent, 1);
			const { used } = await tw.limit(agent, 'session', 'total');
			assert.equal(micros(used), 10_000n);
		});

	it('a hundred times, each at the moment the last one failed', async () => {
		const agent = await newAgent();
		for (let i = 0; i < 100; i++)
			await buy(agent, '/reset');
		assert.deepEqual(sent(agent), [100, 1]);
	});

	it('a receipt on the retry settles it: one purchase, and the answer', async () => {
		const agent = await newAgent();
		bed.facilitator.misbehave({ how: 'error', times: 1 });
		const first = await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one' });
		bed.facilitator.behave();
		assert.equal(first.status, 502, first.text);
		const second = await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one' });
		assert.equal(second.status, 200, second.text);
		assert.equal(second.payment, 'settled');
		const [payment] = await payments(agent, 1);
		assert.equal(payment.state, 'settled');
		assert.equal(await bed.chain.balanceOf(agent.address), 9_990_000n);
		// What is settled is over: the next one is a purchase of its own.
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'one' })).status, 200);
		assert.equal((await payments(agent, 2)).length, 2);
	});

	const OTHERS = {
		'another body': ['/reset?n=1', { method: 'POST', body: 'two' }],
		'another method': ['/reset?n=1', { method: 'PUT', body: 'one' }],
		'another query': ['/reset?n=2', { method: 'POST', body: 'one' }],
		'a key of its own': ['/reset?n=1', { method: 'POST', body: 'one', headers: { 'idempotency-key': 'k' } }],
	};
	for (const [what, [path, options]] of Object.entries(OTHERS))
		it(`${what} is another purchase`, async () => {
			const agent = await newAgent();
			await buy(agent, '/reset?n=1', { method: 'POST', body: 'one' });
			await buy(agent, path, options);
			assert.deepEqual(sent(agent), [2, 2]);
		});

	it('another agent is another purchase', async () => {
		const [one, two] = [await newAgent(), await newAgent()];
		await buy(one, '/reset');
		await buy(two, '/reset');
		assert.deepEqual(sent(two), [1, 1]);
	});

	it('an answer, whatever it says, ends a call: the next is another purchase', async () => {
		const agent = await newAgent();
		for (const how of ['error', 'silent', 'bad-request']) {
			await buy(agent, `/${how}`);
			await buy(agent, `/${how}`);
		}
		assert.deepEqual(sent(agent), [6, 6]);
	});

	it('calls that are merely parallel stay separate', async () => {
		const agent = await newAgent();
		bed.rogue.gate.close();
		const calls = [1, 2, 3].map(() => buy(agent, '/hang'));
		await until('three signatures', () => sent(agent)[1] === 3);
		bed.rogue.cut();
		bed.rogue.gate.open();
		await Promise.all(calls);
		await payments(agent, 3);
		// Three retries at once take one each; a fourth is a purchase of its own.
		bed.rogue.gate.close();
		const again = [1, 2, 3, 4].map(() => buy(agent, '/hang'));
		await until('four more', () => sent(agent)[0] === 7);
		assert.equal(sent(agent)[1], 4);
		bed.rogue.cut();
		bed.rogue.gate.open();
		await Promise.all(again);
		await payments(agent, 4);
	});

	it('an agent that hung up and comes back', async () => {
		const agent = await newAgent();
		bed.rogue.gate.close();
		const hangUp = new AbortController();
		const call = buy(agent, '/hang', { signal: hangUp.signal });
		await until('the signature to arrive', () => sent(agent)[0] === 1);
		hangUp.abort();
		await call;
		bed.rogue.cut();
		bed.rogue.gate.open();
		await payments(agent, 1);
		bed.rogue.gate.close();
		const retry = buy(agent, '/hang');
		await until('it to arrive again', () => sent(agent)[0] === 2);
		bed.rogue.cut();
		bed.rogue.gate.open();
		await retry;
		assert.deepEqual(sent(agent), [2, 1]);
	});

	it('also after kill -9 in the middle, and after a clean restart', async () => {
		const agent = await newAgent();
		bed.rogue.gate.close();
		const call = buy(agent, '/hang');
		await until('the signature to arrive', () => sent(agent)[0] === 1);
		await tw.stop('SIGKILL');
		await call;
		bed.rogue.cut();
		bed.rogue.gate.open();
		await tw.start();
		await buy(agent, '/reset');
		const [before] = sent(agent);
		bed.rogue.gate.close();
		const again = buy(agent, '/hang');
		await until('it to arrive again', () => sent(agent)[0] === before + 1);
		bed.rogue.cut();
		bed.rogue.gate.open();
		await again;
		assert.equal(sent(agent)[1], 2, 'one for /hang, one for /reset');
		await tw.stop();
		await tw.start();
		await buy(agent, '/reset');
		assert.equal(sent(agent)[1], 2);
		await payments(agent, 2);
	});

	it("is not resent once the owner has decided", async () => {
		const agent = await newAgent();
		await buy(agent, '/reset');
		const [payment] = await payments(agent, 1);
		await tw.giveBack(payment.payment);
		await buy(agent, '/reset');
		assert.deepEqual(sent(agent), [2, 2]);
	});
});

describe('answers kept for their keys', () => {
	it('take no more room than they are given: the oldest go', async () => {
		const small = await Tallyward.create({ settings: { answers_size_max: 10_000 } });
		small.chain = bed.chain;
		await small.addTool('seller', bed.seller.url);
		await small.start();
		const agent = await small.addAgent('keeper', { policy: GENEROUS });
		const order = (n) => small.call(agent, 'seller', '/paid/0.01',
			{ method: 'POST', body: 'x'.repeat(300), headers: { 'idempotency-key': `order-${n}` } });
		for (let n = 1; n <= 24; n++)
			assert.equal((await order(n)).status, 200);
		const last = await order(24);
		assert.equal(last.status, 200);
		assert.equal(last.headers['tallyward-replayed'], 'true');
		const first = await order(1);
		assert.equal(first.status, 409, first.text);
		assert.match(first.problem.detail, /its answer is not kept/);
		assert.equal((await small.payments(agent.name)).length, 24);
		await small.assertBooks();
		await small.close();
	});
});

describe('a key whose kept answer has made room for newer ones', () => {
	const LARGE = 'x'.repeat(60_000);

	before(async () => {
		bed.rogue.cases.large = ({ response }) => response.end(LARGE);
		bed.rogue.cases['large-paid'] = ({ response, entry, ...call }) => entry.payment
			? response.end(LARGE)
			: send402({ response, ...call }, challenge(call, [requirement(call)]));
		await tw.stop();
		tw.configure({ answers_size_max: 100_000 });
		await tw.start();
	});

	const ask = (agent, key, path) =>
		tw.call(agent, 'rogue', path, { headers: { 'idempotency-key': key } });

	/** The first of three answers is gone once the last one is kept. */
	async function pushOut(agent, path) {
		for (const key of ['one', 'two', 'three'])
			assert.equal((await ask(agent, key, path)).status, 200);
		assert.equal((await ask(agent, 'three', path)).headers['tallyward-replayed'], 'true');
	}

	it('makes an ordinary call of it, which is in the audit as well', async () => {
		const agent = await newAgent();
		await pushOut(agent, '/large');
		const again = await ask(agent, 'one', '/large');
		assert.equal(again.status, 200);
		assert.equal(again.headers['tallyward-replayed'], undefined);
		await until('its row', async () =>
			JSON.stringify(await tw.must('ledger', 'audit', '--agent', agent.name))
				.includes(again.headers['tallyward-call']));
		assert.equal((await ask(agent, 'one', '/large')).headers['tallyward-replayed'], 'true');
	});

	it('buys, when the seller wants money for it now', async () => {
		const agent = await newAgent();
		bed.rogue.cases.changing = bed.rogue.cases.large;
		await pushOut(agent, '/changing');
		bed.rogue.cases.changing = bed.rogue.cases['large-paid'];
		const bought = await ask(agent, 'one', '/changing');
		assert.equal(bought.status, 200, bought.text.slice(0, 300));
		assert.equal(bought.payment, 'open');
		await payments(agent, 1);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
