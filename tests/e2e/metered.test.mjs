// Tools the owner pays elsewhere, by invoice: same policy, same limits, same
// books; the declared price is charged on success and given back on failure.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { Gate, listen, shut, until } from './bed/wait.mjs';

let bed;
let tw;
let api;
let agents = 0;

/** An API with keys and monthly invoices: it has never heard of x402. */
async function startApi() {
	const found = { requests: 0, gate: new Gate() };
	const server = http.createServer(async (request, response) => {
		found.requests++;
		const [, kind, detail] = request.url.split('/');
		if (kind === 'slow')
			await found.gate.pass();
		if (kind === 'reset')
			return request.socket.resetAndDestroy();
		response.statusCode = kind === 'status' ? Number(detail) : 200;
		response.end(JSON.stringify({ answer: 42, filling: kind === 'large' ? 'x'.repeat(300_000) : '' }));
	});
	found.url = await listen(server);
	found.stop = () => {
		found.gate.open();
		return shut(server);
	};
	return found;
}

before(async () => {
	bed = await startBed({ rogue: true });
	api = await startApi();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('invoice', api.url, '--billing', 'metered', '--price', '0.25');
	await tw.addTool('asking', bed.rogue.url, '--billing', 'metered', '--price', '0.25');
	await tw.start();
});

after(async () => {
	await tw?.close();
	await api?.stop();
	await bed?.stop();
});

const newAgent = (policy, options = { usdc: '0' }) =>
	tw.addAgent(`agent-${++agents}`, { policy, ...options });

const ROOMY = policyOf(spend('agent', 'call', '1.00'), spend('session', 'total', '1.00'));

const events = async (agent) => (await tw.statement(agent.name)).map((r) => r.event);
const used = async (agent) => micros((await tw.limit(agent, 'session', 'total')).used);

describe('a metered tool', () => {
	it('is charged when it answers', async () => {
		const agent = await newAgent(ROOMY);
		const answer = await tw.call(agent, 'invoice', '/ask');
		assert.equal(answer.status, 200, answer.text);
		assert.equal(micros(answer.cost), 250_000n);
		await until('the charge to be booked', async () => (await events(agent)).length === 2);
		assert.deepEqual(await events(agent), ['hold', 'charge']);
		const [hold, charge] = await tw.statement(agent.name);
		assert.equal(hold.from, 'payable/invoice');
		assert.equal(hold.to, `wallet/${agent.name}/reserved`);
		assert.equal(charge.to, `spent/${agent.name}/invoice`);
		assert.equal(charge.amount, '0.25');
		assert.equal(await used(agent), 250_000n);
	});

	for (const [path, status] of [['/status/500', 500], ['/status/503', 503], ['/reset', 502]])
		it(`is not charged when it fails: ${path}`, async () => {
			const agent = await newAgent(ROOMY);
			const answer = await tw.call(agent, 'invoice', path);
			assert.equal(answer.status, status, answer.text);
			await until('the hold to be released', async () =>
				(await events(agent)).at(-1) === 'release');
			assert.deepEqual(await events(agent), ['hold', 'release']);
			assert.equal(await used(agent), 0n);
		});

	it('needs no money in the wallet, and takes none', async () => {
		const agent = await newAgent(ROOMY, { usdc: '1.00' });
		assert.equal((await tw.call(agent, 'invoice', '/ask')).status, 200);
		const wallet = await tw.wallet(agent.name);
		assert.equal(micros(wallet.available), 1_000_000n);
		assert.equal(micros(wallet.spent), 0n);
	});

	it('counts in every limit but the wallet', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '1.00'), spend('agent', 'day', '0.60'), spend('wallet', 'day', '0.01')));
		for (let i = 0; i < 2; i++)
			assert.equal((await tw.call(agent, 'invoice', '/ask')).status, 200);
		const seen = api.requests;
		const refused = await tw.call(agent, 'invoice', '/ask');
		assert.equal(refused.status, 429);
		assert.equal(refused.problem.code, 'over_day_limit');
		assert.equal(api.requests, seen, 'refused before it was sent');
	});

	it('is charged once for a key, though its answer is too large to keep', async () => {
		const agent = await newAgent(ROOMY);
		const buy = (path) => tw.call(agent, 'invoice', path, { headers: { 'idempotency-key': path } });
		assert.equal((await buy('/large')).status, 200);
		const again = await buy('/large');
		assert.equal(again.status, 409, again.text.slice(0, 300));
		assert.equal(again.problem.code, 'idempotency_conflict');
		const [first, second] = [await buy('/small'), await buy('/small')];
		assert.equal(first.status, 200);
		assert.equal(second.headers['tallyward-replayed'], 'true');
		// What was not charged is no purchase: its answer is given again all the same.
		assert.equal((await buy('/status/500')).status, 500);
		assert.equal((await buy('/status/500')).headers['tallyward-replayed'], 'true');
		assert.equal(await used(agent), 500_000n);
	});

	it('dearer than a call may be is never sent', async () => {
		const agent = await newAgent(policyOf(spend('agent', 'call', '0.24')));
		const seen = api.requests;
		const refused = await tw.call(agent, 'invoice', '/ask');
		assert.equal(refused.status, 403);
		assert.equal(refused.problem.code, 'over_call_limit');
		assert.equal(api.requests, seen);
	});

	it('fifty at once against a budget for four: four are sent', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '1.00'), spend('session', 'total', '1.00')));
		const seen = api.requests;
		const answers = await Promise.all(Array.from({ length: 50 }, () => tw.call(agent, 'invoice', '/ask')));
		assert.equal(answers.filter((a) => a.status === 200).length, 4);
		assert.equal(api.requests - seen, 4);
		assert.equal(await used(agent), 1_000_000n);
	});

	it('never signs, whatever its seller asks', async () => {
		const agent = await newAgent(ROOMY, { usdc: '1.00' });
		const answer = await tw.call(agent, 'asking', '/honest');
		assert.equal(answer.status, 402, answer.text);
		assert.deepEqual(await tw.payments(agent.name), []);
		assert.equal(bed.rogue.record.signatures().length, 0);
	});
});

describe('a crash in a metered call', () => {
	it('leaves the money accounted for', async () => {
		const agent = await newAgent(ROOMY);
		api.gate.close();
		const call = tw.call(agent, 'invoice', '/slow').catch((error) => error);
		await until('the hold to be on disk', async () => (await events(agent)).includes('hold'));
		assert.equal(await used(agent), 250_000n);
		await tw.kill();
		await call;
		api.gate.open();
		await tw.start();
		await tw.verify();
		// Whether the vendor will bill it is unknown: either the hold stands, or it
		// was booked; it is not forgotten and not counted twice.
		const [first, ...rest] = await events(agent);
		assert.equal(first, 'hold');
		assert.ok(rest.length <= 1, rest.join());
		assert.ok([0n, 250_000n].includes(await used(agent)));
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
