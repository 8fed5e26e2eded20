// A seller pays back, and the owner says so: money returns from spent to available, up to what
// was spent, and the books still agree with the chain.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;
/** Refunds that the owner booked although nobody sent them, by agent. */
const drift = {};

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create();
	tw.chain = bed.chain;
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('rogue', bed.rogue.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const HASH = (digit) => `0x${digit.repeat(64)}`;

/** An agent that has bought one thing for $0.01. */
async function buyer({ policy = GENEROUS, tool = 'seller', path = '/paid/0.01' } = {}) {
	const agent = await tw.addAgent(`refunded-${++agents}`, { policy });
	const answer = await tw.call(agent, tool, path);
	assert.ok(answer.status === 200 || tool === 'rogue', answer.text);
	await tw.quiet();
	const [payment] = await tw.payments(agent.name);
	return { agent, payment };
}

const refund = (payment, amount, ...options) =>
	tw.cli('payment', 'refund', payment.payment, '--amount', amount, '--yes', ...options);

/** The owner's word alone: the books now say more than the chain. */
function booked(agent, dollars) {
	drift[agent.name] = (drift[agent.name] ?? 0n) + micros(dollars);
}

async function mustRefund({ agent, payment }, amount, ...options) {
	const { code, stdout, stderr } = await refund(payment, amount, ...options);
	assert.equal(code, 0, stderr);
	booked(agent, amount);
	return JSON.parse(stdout);
}

describe('a refund', () => {
	it('in full makes the money available again', async () => {
		const { agent, payment } = await buyer();
		const said = await mustRefund({ agent, payment }, '0.01', '--transaction', HASH('a'), '--note', 'broken goods');
		assert.equal(said.state, 'settled');
		assert.equal(said.refunded, '0.01');
		const wallet = await tw.wallet(agent.name);
		assert.equal(micros(wallet.available), 10_000_000n);
		assert.equal(micros(wallet.spent), 0n);
		const row = (await tw.statement(agent.name)).at(-1);
		assert.deepEqual([row.event, row.call, row.from, row.to, row.amount, row.transaction, row.note],
			['refund', payment.call, `spent/${agent.name}/seller`, `wallet/${agent.name}/available`, '0.01', HASH('a'), 'broken goods']);
		assert.equal((await tw.payments(agent.name))[0].refunded, '0.01');
		assert.equal((await tw.must('payment', 'show', payment.payment)).refunded, '0.01');
	});

	it('that was really sent leaves books and chain in agreement', async () => {
		const { agent, payment } = await buyer();
		const { transactionHash } = await bed.chain.mint(agent.address, 10_000n);
		const { code, stderr } = await refund(payment, '0.01', '--transaction', transactionHash);
		assert.equal(code, 0, stderr);
	});

	it('in parts, never more than was spent', async () => {
		const { agent, payment } = await buyer();
		assert.equal((await mustRefund({ agent, payment }, '0.004')).refunded, '0.004');
		assert.equal((await mustRefund({ agent, payment }, '0.005')).refunded, '0.009');
		const { code, stderr } = await refund(payment, '0.001001');
		assert.equal(code, 4);
		assert.match(stderr, /at most \$0\.001 /);
		assert.equal((await mustRefund({ agent, payment }, '0.001')).refunded, '0.01');
		assert.equal((await refund(payment, '0.000001')).code, 4);
		assert.equal(micros((await tw.wallet(agent.name)).spent), 0n);
	});

	it('gives no limit back', async () => {
		const { agent, payment } = await buyer({ policy: policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')) });
		await mustRefund({ agent, payment }, '0.01');
		const again = await tw.call(agent, 'seller', '/paid/0.01');
		assert.equal(again.status, 403, again.text);
		assert.equal(again.problem.code, 'over_session_limit');
	});

	it('survives a restart', async () => {
		const { agent, payment } = await buyer();
		await mustRefund({ agent, payment }, '0.006');
		const before = await tw.wallet(agent.name);
		await tw.restart();
		assert.deepEqual(await tw.wallet(agent.name), before);
		assert.equal((await refund(payment, '0.005')).code, 4);
		await mustRefund({ agent, payment }, '0.004');
	});

	it('in the same transaction is booked once, whatever the case of its digits', async () => {
		const { agent, payment } = await buyer();
		await mustRefund({ agent, payment }, '0.001', '--transaction', HASH('b'));
		for (const hash of [HASH('b'), HASH('B')]) {
			const { code, stderr } = await refund(payment, '0.001', '--transaction', hash);
			assert.equal(code, 4);
			assert.match(stderr, /already/);
		}
		await mustRefund({ agent, payment }, '0.001', '--transaction', HASH('c'));
	});

	it('ten at once book no more than was spent', async () => {
		const { agent, payment } = await buyer();
		const answers = await Promise.all(Array.from({ length: 10 }, () => refund(payment, '0.004')));
		assert.equal(answers.filter(({ code }) => code === 0).length, 2);
		booked(agent, '0.008');
		assert.equal(micros((await tw.wallet(agent.name)).spent), 2_000n);
	});
});

describe('no refund', () => {
	it('of a payment whose outcome is not known, until it is resolved as spent', async () => {
		const { agent, payment } = await buyer({ tool: 'rogue', path: '/settles-silently' });
		const { code, stderr } = await refund(payment, '0.01');
		assert.equal(code, 4);
		assert.match(stderr, /resolve it first/);
		await tw.must('payment', 'resolve', payment.payment, '--settled', '--yes');
		await mustRefund({ agent, payment }, '0.01');
	});

	it('of a payment that was given back', async () => {
		const { agent, payment } = await buyer({ tool: 'rogue', path: '/silent' });
		await tw.must('payment', 'resolve', payment.payment, '--unused', '--force', '--yes');
		const { code } = await refund(payment, '0.01');
		assert.equal(code, 4);
		assert.equal(micros((await tw.wallet(agent.name)).available), 10_000_000n);
	});

	it('without a yes, an amount, a payment, or with words that make no sense', async () => {
		const { payment } = await buyer();
		const attempt = (...args) => tw.cli('payment', 'refund', ...args);
		const id = payment.payment;
		const CASES = [
			[2, id, '--amount', '0.01'],
			[2, id, '--yes'],
			[2, id, '--amount', '-0.01', '--yes'],
			[2, id, '--amount', '0', '--yes'],
			[2, id, '--amount', 'all', '--yes'],
			[2, id, '--amount', '0.01', '--transaction', '0x12', '--yes'],
			[2, id, '--amount', '0.01', '--transaction', `${HASH('a')}0`, '--yes'],
			[2, id, '--amount', '0.01', '--transaction', 'a'.repeat(64), '--yes'],
			[2, 'all', '--amount', '0.01', '--yes'],
			[5, '1', '--amount', '0.01', '--yes'],
		];
		for (const [expected, ...args] of CASES) {
			const { code, stderr } = await attempt(...args);
			assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
			assert.equal(stderr.trim().split('\n').length, 1);
		}
		assert.equal((await tw.must('payment', 'show', id)).refunded, '0.00');
	});
});

describe('afterwards', () => {
	it('the owner can read who booked what', async () => {
		const rows = await tw.must('ledger', 'statement');
		assert.ok(rows.filter((row) => row.event === 'refund' && row.from.startsWith('spent/')).length > 8);
		await until('the books to rest', async () => (await tw.verify()).ok);
	});

	it('books, wallets and chain agree', () => tw.assertBooks({ drift }));
});
