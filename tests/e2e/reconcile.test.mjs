// The chain knows what the seller did not say. With a network set, open
// payments find their end by themselves: spent when the chain shows the
// transfer, given back when it shows that the authorization expired unused or
// was cancelled. Not a second earlier.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const POLL_MS = 100;

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create({ chain: bed.chain, settings: { chain_poll_ms: POLL_MS } });
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = (policy = GENEROUS) => tw.addAgent(`agent-${++agents}`, { policy });

const attempt = (agent, tool, path) =>
	tw.call(agent, tool, path).catch((error) => ({ status: 'lost', text: error.message }));

/** The agent's only payment, once it is in that state. */
function becomes(agent, state) {
	return until(`the payment to be ${state}`, async () => {
		const [payment] = await tw.payments(agent.name);
		return payment?.state === state && payment;
	});
}

async function balances(agent) {
	const { available, open, spent } = await tw.wallet(agent.name);
	return [available, open, spent].map(micros);
}

describe('the chain shows the transfer', () => {
	for (const path of ['/settles-silently', '/settles-then-error', '/settles-then-reset', '/pending'])
		it(`after ${path}: settled, with its transaction`, async () => {
			const agent = await newAgent();
			await attempt(agent, 'rogue', path);
			if (path === '/pending')
				await bed.rogue.settle(bed.rogue.record.paid(path).at(-1));
			const payment = await becomes(agent, 'settled');
			const [used] = await bed.chain.authorizationsUsed({
				authorizer: agent.address, nonce: payment.nonce,
			});
			assert.equal(payment.transaction, used.transaction);
			assert.deepEqual(await balances(agent), [9_990_000n, 0n, 10_000n]);
		});
});

describe('an authorization that was never used', () => {
	it('stays open while it can be cashed, and is given back once it cannot', async () => {
		const agent = await newAgent({ ...policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')),
			payment: { maxAuthorizationSeconds: 15 } });
		await attempt(agent, 'rogue', '/reset');
		assert.equal((await attempt(agent, 'rogue', '/honest')).problem.code, 'over_session_limit');
		await until('a block after its end', async () => {
			await bed.chain.mine();
			const [payment] = await tw.payments(agent.name);
			return payment.transaction === null && micros((await tw.wallet(agent.name)).open) === 0n;
		}, { deadlineMs: 30_000 });
		assert.deepEqual(await balances(agent), [10_000_000n, 0n, 0n]);
		const events = (await tw.statement(agent.name)).map((r) => r.event);
		assert.deepEqual(events, ['deposit', 'sign', 'refund']);
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 0n);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
