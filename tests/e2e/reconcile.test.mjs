// The chain knows what the seller did not say. With a network set, open
// payments find their end: spent when the chain shows the transfer, given back
// when it shows that the authorization expired unused. Not a second earlier.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create({ chain: bed.chain });
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

/** Look at the chain until the agent's only payment is in that state. */
function becomes(agent, state) {
	return until(`the payment to be ${state}`, async () => {
		await tw.cli('wallet', 'reconcile', agent.name);
		const [payment] = await tw.payments(agent.name);
		return payment?.state === state && payment;
	}, { deadlineMs: 30_000 });
}

describe('the chain shows the transfer', () => {
	for (const path of ['/settles-silently', '/settles-then-error', '/settles-then-reset', '/pending'])
		it(`after ${path}: settled, with its transaction`, async () => {
			const agent = await newAgent();
			await attempt(agent, 'rogue', path);
			if (path === '/pending') {
				const entry = bed.rogue.record.paid(path).at(-1);
				await bed.rogue.settle(entry);
			}
			const payment = await becomes(agent, 'settled');
			const [used] = await bed.chain.authorizationsUsed({
				authorizer: agent.address, nonce: payment.nonce,
			});
			assert.equal(payment.transaction, used.transaction);
			const wallet = await tw.wallet(agent.name);
			assert.deepEqual([wallet.available, wallet.open, wallet.spent].map(micros),
				[9_990_000n, 0n, 10_000n]);
		});

	it('although the official seller said that it failed', async () => {
		const agent = await newAgent();
		bed.facilitator.misbehave({ how: 'hide', times: 1 });
		assert.equal((await attempt(agent, 'seller', '/paid/0.01')).status, 502);
		await becomes(agent, 'settled');
	});
});

describe('a forged receipt', () => {
	it('does not stand against the chain for ever', async () => {
		const agent = await newAgent();
		await attempt(agent, 'rogue', '/receipt-other-payer');
		const [payment] = await tw.payments(agent.name);
		assert.equal(payment.state, 'open');
		assert.equal(await bed.chain.balanceOf(agent.address), 10_000_000n);
	});
});

describe('wallet reconcile', () => {
	it('shows no difference when there is none', async () => {
		const agent = await newAgent();
		await attempt(agent, 'seller', '/paid/0.01');
		const { code, stdout, stderr } = await tw.cli('wallet', 'reconcile', agent.name);
		assert.equal(code, 0, stdout + stderr);
	});
});

// Last, because the chain's clock never goes back.
describe('an authorization that was never used', () => {
	it('stays open while it can be cashed, and is given back once it cannot', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')));
		await attempt(agent, 'rogue', '/reset');
		await tw.cli('wallet', 'reconcile', agent.name);
		assert.equal((await tw.payments(agent.name))[0].state, 'open');
		assert.equal((await attempt(agent, 'rogue', '/honest')).problem.code, 'over_session_limit');
		await bed.chain.advance(3600);
		await becomes(agent, 'expired');
		const wallet = await tw.wallet(agent.name);
		assert.deepEqual([wallet.available, wallet.open, wallet.spent].map(micros), [10_000_000n, 0n, 0n]);
		const events = (await tw.statement(agent.name)).map((r) => r.event);
		assert.deepEqual(events, ['deposit', 'sign', 'refund']);
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 0n);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
