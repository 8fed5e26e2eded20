// The owner takes signatures back on the chain before the seller cashes them. Whoever is mined
// first wins, and the answer says who did; the books follow the chain, nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeFunctionData, parseAbi, parseSignature } from 'viem';
import { startBed } from './bed/bed.mjs';
import { run } from './bed/child.mjs';
import { NETWORK, USDC, devAccount } from './bed/chain.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;
/** Signed at the start, for 15 seconds; it is looked at at the end. */
let shortLived;

before(async () => {
	bed = await startBed({ rogue: true });
	// A block is believed as soon as it is there; the books look again at once.
	tw = await Tallyward.create({ settings: { chain_depth: 0, chain_poll_ms: 100, response_ms_max: 60_000 } });
	tw.chain = bed.chain;
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
	const policy = { ...GENEROUS, payment: { maxAuthorizationSeconds: 15 } };
	shortLived = await buyOpen(await tw.addAgent('short-lived', { policy }));
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

/** An agent, with gas unless told otherwise. */
async function newAgent({ gas = 10n ** 18n } = {}) {
	const agent = await tw.addAgent(`cancels-${++agents}`, { policy: GENEROUS });
	if (gas)
		await bed.chain.giveGas(agent.address, gas);
	return agent;
}

/** The seller keeps the signature and says nothing: one open payment more. */
async function buyOpen(agent, path = '/silent') {
	const before = await tw.payments(agent.name);
	await tw.call(agent, 'rogue', path);
	return until('the payment to be open', async () => {
		const payments = await tw.payments(agent.name);
		const last = payments.at(-1);
		return payments.length > before.length && last.state === 'open' && last;
	});
}

const entryOf = (payment) => bed.rogue.record.requests.find(
	(r) => r.payment?.payload?.authorization?.nonce === payment.nonce);

const cancel = (...args) => tw.cli('payment', 'cancel', ...args, '--yes');

/** One payment's row of the answer. */
async function cancelOne(payment, ...options) {
	const { code, json, stderr } = await cancel(payment.payment, ...options);
	assert.ok(json, stderr);
	assert.equal(json.payments.length, 1);
	assert.equal(json.payments[0].payment, payment.payment);
	return { code, stderr, agent: json.agent, ...json.payments[0] };
}

const isVoid = async (agent, payment) => (await bed.chain.authorizationsCanceled(
	{ authorizer: agent.address, nonce: payment.nonce })).length === 1;

const bookedAs = (payment, state) => until(`the books to say ${state}`, async () =>
	(await tw.must('payment', 'show', payment.payment)).state === state);

describe('without a way to the chain', () => {
	it('it says how to name one, and sends nothing', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'failed');
		assert.match(answer.reason, new RegExp(`tallyward network set ${NETWORK} --rpc`));
		assert.equal(answer.transaction, null);
		assert.equal((await tw.must('payment', 'show', payment.payment)).states.length, 1);
	});

	it('nor with one that nobody listens on', async () => {
		await tw.must('network', 'set', NETWORK, '--rpc', 'http://127.0.0.1:1');
		const agent = await newAgent();
		await buyOpen(agent);
		await buyOpen(agent);
		const { code, json } = await cancel('--agent', agent.name, '--all');
		assert.equal(code, 1);
		assert.deepEqual(json.payments.map((p) => p.state), ['failed', 'failed']);
		for (const { reason } of json.payments)
			assert.match(reason, /no endpoint of/);
		await tw.must('network', 'set', NETWORK, '--rpc', bed.chain.url);
	});
});

describe('one payment', () => {
	it('is cancelled: the seller cannot cash it, and the money comes back', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 0, answer.stderr);
		assert.equal(answer.agent, agent.name);
		assert.equal(answer.state, 'cancelled');
		assert.equal(await isVoid(agent, payment), true);
		const receipt = await bed.chain.client.getTransactionReceipt({ hash: answer.transaction });
		assert.equal(receipt.status, 'success');
		assert.equal(receipt.from.toLowerCase(), agent.address.toLowerCase());
		const sold = await bed.rogue.settle(entryOf(payment)).catch(() => ({ success: false }));
		assert.equal(sold.success, false);
		assert.equal(await bed.chain.balanceOf(agent.address), 10_000_000n);
		await bookedAs(payment, 'cancelled');
		const wallet = await tw.wallet(agent.name);
		assert.equal(micros(wallet.available), 10_000_000n);
		assert.equal(micros(wallet.open), 0n);
		const { states } = await tw.must('payment', 'show', payment.payment);
		assert.ok(states.some((s) => s.by === 'owner' && s.reason === `cancelling in ${answer.transaction}`),
			'written down with its transaction');
	});

	it('again says so, and costs nothing', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		const first = await cancelOne(payment);
		const gas = await bed.chain.client.getBalance({ address: agent.address });
		const again = await cancelOne(payment);
		assert.equal(again.code, 0);
		assert.equal(again.state, 'cancelled');
		assert.equal(again.transaction, first.transaction);
		assert.equal(await bed.chain.client.getBalance({ address: agent.address }), gas);
	});

	it('that the seller cashed in silence is told as such', async () => {
		const agent = await newAgent();
		await tw.call(agent, 'rogue', '/settles-silently');
		await tw.quiet();
		const [payment] = await tw.payments(agent.name);
		const gas = await bed.chain.client.getBalance({ address: agent.address });
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'settled');
		assert.match(answer.reason, /cashed/);
		assert.match(answer.stderr, /^tallyward: not cancelled: .*cashed.*\n$/);
		assert.equal(await bed.chain.client.getBalance({ address: agent.address }), gas);
	});

	it('that a receipt settled is told as such', async () => {
		const agent = await newAgent();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		await tw.quiet();
		const [payment] = await tw.payments(agent.name);
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'settled');
		assert.equal(answer.transaction, payment.transaction);
	});

	it('in flight may be cancelled, with a warning', async () => {
		const agent = await newAgent();
		bed.rogue.gate.close();
		const call = tw.call(agent, 'rogue', '/hang');
		const payment = await until('the signature to be with the seller', async () =>
			bed.rogue.gate.waiting === 1 && (await tw.payments(agent.name)).at(0));
		assert.equal(payment.state, 'signed');
		const answer = await cancelOne(payment);
		bed.rogue.gate.open();
		assert.equal(answer.code, 0, answer.stderr);
		assert.match(answer.stderr, /in flight/);
		assert.equal(await isVoid(agent, payment), true);
		await call;
		await bookedAs(payment, 'cancelled');
	});
});

describe('a wallet without gas', () => {
	it('is told what it needs and where to send it', async () => {
		const agent = await newAgent({ gas: null });
		const payment = await buyOpen(agent);
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'failed');
		assert.match(answer.reason, /up to 0\.\d+ of Base Sepolia's coin and it holds 0;/);
		assert.ok(answer.reason.includes(agent.address));
		assert.equal(answer.transaction, null);
		// Exactly that is enough.
		const [, coins] = /up to (0\.\d+) of/.exec(answer.reason);
		await bed.chain.giveGas(agent.address, BigInt(coins.slice(2).padEnd(18, '0')) * 2n);
		assert.equal((await cancelOne(payment)).state, 'cancelled');
	});

	it('or with gas for one of two cancels one', async () => {
		const agent = await newAgent({ gas: null });
		const first = await buyOpen(agent);
		const second = await buyOpen(agent);
		const { reason } = await cancelOne(first);
		const [, coins] = /up to (0\.\d+) of/.exec(reason);
		await bed.chain.giveGas(agent.address, BigInt(coins.slice(2).padEnd(18, '0')) * 3n / 2n);
		const { code, json } = await cancel('--agent', agent.name, '--all');
		assert.equal(code, 1);
		assert.deepEqual(json.payments.map((p) => p.state), ['cancelled', 'failed']);
		assert.equal(await isVoid(agent, second), false);
	});
});

describe('the ceilings', () => {
	it('stop a transaction that costs more', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		for (const [option, value, word] of [
			['--max-gas-price', '0.000000001', /gas costs [\d.]+ gwei now, above the ceiling of 0\.000000001/],
			['--max-fee', '0.000000000000000001', /may cost [\d.]+ .* above the ceiling of 0\.000000000000000001/],
		]) {
			const answer = await cancelOne(payment, option, value);
			assert.equal(answer.code, 1);
			assert.equal(answer.state, 'failed');
			assert.match(answer.reason, word);
		}
		assert.equal(await isVoid(agent, payment), false);
	});
});

describe('all payments of an agent', () => {
	it('are cancelled together, one transaction after the other', async () => {
		const agent = await newAgent();
		const payments = [];
		for (let i = 0; i < 4; i++)
			payments.push(await buyOpen(agent));
		const other = await newAgent();
		const untouched = await buyOpen(other);
		await bed.chain.pauseMining();
		const waiting = cancel('--agent', agent.name, '--all');
		// All four are in the pool before the first is mined.
		await until('four transactions to wait', async () =>
			await bed.chain.client.getTransactionCount({ address: agent.address, blockTag: 'pending' }) === 4);
		await bed.chain.resumeMining();
		const { code, json, stderr } = await waiting;
		assert.equal(code, 0, stderr);
		assert.deepEqual(json.payments.map((p) => p.payment), payments.map((p) => p.payment));
		assert.deepEqual(json.payments.map((p) => p.state), Array(4).fill('cancelled'));
		assert.equal(json.networks[0].transactions, 4);
		const counts = await Promise.all(json.payments.map(async ({ transaction }) =>
			(await bed.chain.client.getTransaction({ hash: transaction })).nonce));
		assert.deepEqual(counts, [0, 1, 2, 3]);
		for (const payment of payments) {
			assert.equal(await isVoid(agent, payment), true);
			await bookedAs(payment, 'cancelled');
		}
		assert.equal(await isVoid(other, untouched), false);
		assert.equal(micros((await tw.wallet(agent.name)).available), 10_000_000n);
	});

	it('and those that were cashed in silence cost nothing', async () => {
		const agent = await newAgent();
		await tw.call(agent, 'rogue', '/settles-silently');
		const rest = [await buyOpen(agent), await buyOpen(agent)];
		const { code, json } = await cancel('--agent', agent.name, '--all');
		for (const payment of rest)
			assert.equal(json.payments.find((p) => p.payment === payment.payment).state, 'cancelled');
		// Cashed: seen by the books before, or by this run.
		const others = json.payments.filter((p) => !rest.some((r) => r.payment === p.payment));
		assert.deepEqual(others.map((p) => p.state), others.length === 0 ? [] : ['settled']);
		assert.equal(code, others.length === 0 ? 0 : 1);
		assert.equal(await bed.chain.client.getTransactionCount({ address: agent.address }), 2);
	});

	it('and none is fine', async () => {
		const agent = await newAgent();
		const { code, json } = await cancel('--agent', agent.name, '--all');
		assert.equal(code, 0);
		assert.deepEqual(json.payments, []);
	});
});

const TOKEN = parseAbi(['function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)']);

/** The seller cashes with a fee nobody outbids; mined when mining goes on. */
function cashDearly(payment) {
	const { authorization: a, signature } = entryOf(payment).payment.payload;
	const { r, s, v } = parseSignature(signature);
	const args = [a.from, a.to, BigInt(a.value), BigInt(a.validAfter), BigInt(a.validBefore), a.nonce, Number(v), r, s];
	return bed.chain.admin.sendTransaction({
		account: devAccount(8), to: USDC, gas: 200_000n,
		data: encodeFunctionData({ abi: TOKEN, functionName: 'transferWithAuthorization', args }),
		maxPriorityFeePerGas: 10n ** 11n, maxFeePerGas: 10n ** 12n,
	});
}

describe('a race', () => {
	it('lost after the transaction was sent is told as such, and booked as spent', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		await bed.chain.pauseMining();
		const waiting = cancelOne(payment);
		await until('the cancellation to wait', async () =>
			await bed.chain.client.getTransactionCount({ address: agent.address, blockTag: 'pending' }) === 1);
		await cashDearly(payment);
		await bed.chain.resumeMining();
		const answer = await waiting;
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'settled');
		assert.match(answer.reason, /the seller was faster/);
		assert.equal(await bed.chain.balanceOf(agent.address), 9_990_000n);
		await bookedAs(payment, 'settled');
	});

	it('not decided in time is told as sent, and decided later', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		await bed.chain.pauseMining();
		const answer = await cancelOne(payment, '--wait', '1s');
		assert.equal(answer.code, 0);
		assert.equal(answer.state, 'sent');
		assert.match(answer.transaction, /^0x[0-9a-f]{64}$/);
		assert.equal(micros((await tw.wallet(agent.name)).open), 10_000n, 'the books wait for the chain');
		await bed.chain.resumeMining();
		await bookedAs(payment, 'cancelled');
	});
});

describe('the same call again, while its payment is being cancelled', () => {
	for (const restart of [false, true])
		it(`does not give the seller its signature again${restart ? ', nor after a restart' : ''}`, async () => {
			const agent = await newAgent();
			const headers = { 'idempotency-key': `cancelled-${restart}` };
			const path = `/reset?restart=${restart}`;
			assert.equal((await tw.call(agent, 'rogue', path, { headers })).status, 502);
			await tw.quiet();
			const [payment] = await tw.payments(agent.name);
			await bed.chain.pauseMining();
			assert.equal((await cancelOne(payment, '--wait', '1s')).state, 'sent');
			const seen = () => bed.rogue.record.requests.filter((r) => r.url === path && r.payment).length;
			const before = seen();
			if (restart)
				await tw.restart();
			const again = await tw.call(agent, 'rogue', path, { headers });
			assert.equal(again.status, 409, again.text);
			assert.equal(seen(), before);
			await bed.chain.resumeMining();
			await bookedAs(payment, 'cancelled');
		});
});

describe('an owner', () => {
	it('at a terminal is told what it costs and asked first', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		// script(1) makes the terminal.
		const answered = (word) => run('script', ['-qec',
			`'${tw.program}' payment cancel ${payment.payment}`, '/dev/null'],
		{ input: word, env: { TALLYWARD_DIR: tw.dir } });
		const no = await answered('no\n');
		assert.equal(no.code, 1, no.stdout);
		assert.match(no.stdout, new RegExp('1 of 1 payments can be cancelled\\. On Base Sepolia that costs ' +
			`about 0\\.\\d+ of the chain's coin, at most 0\\.\\d+, and the wallet ${agent.address} holds 1\\. Send it\\?`));
		assert.equal(await isVoid(agent, payment), false);
		assert.equal(await bed.chain.client.getTransactionCount({ address: agent.address }), 0);
		const yes = await answered('yes\n');
		assert.equal(yes.code, 0, yes.stdout);
		assert.match(yes.stdout, /STATE.*\r?\n.*cancelled/);
		assert.equal(await isVoid(agent, payment), true);
		// Nothing to ask about any more.
		const again = await answered('');
		assert.equal(again.code, 0, again.stdout);
		assert.match(again.stdout, /cancelled/);
	});

	it('without the daemon cancels all the same', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		await tw.stop();
		const answer = await cancelOne(payment);
		assert.equal(answer.code, 0, answer.stderr);
		assert.equal(answer.state, 'cancelled');
		assert.equal(await isVoid(agent, payment), true);
		assert.equal((await tw.must('payment', 'show', payment.payment)).state, 'cancelled');
		assert.equal(micros((await tw.wallet(agent.name)).available), 10_000_000n);
		await tw.start();
	});

	it('who says what makes no sense is told how it goes', async () => {
		const agent = await newAgent();
		const payment = await buyOpen(agent);
		const id = payment.payment;
		const CASES = [
			[2, '--yes'],
			[2, id, '--all', '--yes'],
			[2, id, '--agent', agent.name, '--yes'],
			[2, '--agent', agent.name, '--yes'],
			[2, '--all', '--yes'],
			[2, id, '--max-fee', '1e3', '--yes'],
			[2, id, '--max-fee', '-1', '--yes'],
			[2, id, '--max-gas-price', 'cheap', '--yes'],
			[2, id, '--max-gas-price', '0.0000000001', '--yes'],
			[2, id, '--wait', '1h', '--yes'],
			[2, 'everything', '--yes'],
			[5, '1', '--yes'],
			[5, '--agent', 'nobody', '--all', '--yes'],
			// Nobody can be asked here.
			[2, id],
		];
		for (const [expected, ...args] of CASES) {
			const { code, stderr } = await tw.cli('payment', 'cancel', ...args);
			assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
			assert.equal(stderr.trim().split('\n').length, 1, stderr);
		}
		assert.equal(await isVoid(agent, payment), false);
	});
});

describe('a payment that has expired', () => {
	it('has nothing to cancel', async () => {
		await until('the payment to expire', async () =>
			(await tw.must('payment', 'show', shortLived.payment)).state === 'expired');
		const answer = await cancelOne(shortLived);
		assert.equal(answer.code, 1);
		assert.equal(answer.state, 'skipped');
		assert.match(answer.reason, /nothing to cancel/);
		const { code, json } = await cancel('--agent', 'short-lived', '--all');
		assert.equal(code, 0);
		assert.deepEqual(json.payments, []);
	});
});

describe('afterwards', () => {
	it('books, wallets and chain agree', () => tw.assertBooks());
});
