// The chain knows what the seller did not say. With RPC endpoints set, open
// payments find their end by themselves: spent when the chain shows the
// transfer, given back when it shows that the authorization was cancelled or
// expired unused; not a second earlier, and never on the word of an endpoint
// that another contradicts.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { NETWORK, devAccount, newAccount } from './bed/chain.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { BROKEN, startRpc } from './bed/rpc.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const POLL_MS = 100;
const CENT = 10_000n;
const SHORT = { payment: { maxAuthorizationSeconds: 15 } };

let bed;
let tw;
let agents = 0;

/** Signed at the start for 15 seconds each, and looked at when these are over. */
const short = {};

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await newTallyward({ chain: bed.chain });
	short.unused = await newAgent(tw, { ...SHORT, ...policyOf(
		spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')) });
	await buy(tw, short.unused, '/reset');
	short.forged = await newAgent(tw, { ...GENEROUS, ...SHORT });
	await buy(tw, short.forged, '/forges-receipt');
});

after(async () => {
	for (const stop of stops.splice(0))
		await stop();
	await bed?.stop();
});

const stops = [];

/** A data folder and a daemon of its own; `rpc` names its endpoints in place of the chain. */
async function newTallyward({ chain = null, rpc = [], settings = {} } = {}) {
	const one = await Tallyward.create({ chain, settings: { chain_poll_ms: POLL_MS, ...settings } });
	stops.unshift(() => one.close());
	one.chain = bed.chain;
	if (rpc.length > 0)
		await setRpc(one, ...rpc);
	await one.addTool('rogue', bed.rogue.url);
	await one.addTool('seller', bed.seller.url);
	return one.start();
}

const setRpc = (one, ...urls) =>
	one.must('network', 'set', NETWORK, ...urls.flatMap((url) => ['--rpc', url]));

const newAgent = (one, policy = GENEROUS, usdc = '10.00') =>
	one.addAgent(`agent-${++agents}`, { policy, usdc });

/** One call; an answer that is cut off is one, too. */
const buy = (one, agent, path, tool = 'rogue') =>
	one.call(agent, tool, path).catch((error) => ({ status: 'lost', text: error.message }));

/** The payload of the agent's last payment, as the seller has it. */
const signedBy = (agent) => bed.rogue.record.requests.findLast((r) =>
	r.payment?.payload?.authorization?.from.toLowerCase() === agent.address.toLowerCase());

async function lastPayment(one, agent) {
	const payment = (await one.payments(agent.name)).at(-1);
	assert.ok(payment, 'something was signed');
	return payment;
}

const show = (one, payment) => one.must('payment', 'show', payment.payment);

/** The agent's last payment, once it is in that state; blocks come meanwhile if they are needed. */
const becomes = (one, agent, state, { mining = false } = {}) =>
	until(`the payment to be ${state}`, async () => {
		if (mining)
			await bed.chain.mine();
		const payment = await lastPayment(one, agent);
		return payment.state === state && payment;
	}, { deadlineMs: 40_000 });

const flagged = (one, agent, what) => until(`the payment to be flagged: ${what}`, async () => {
	const { flag } = await lastPayment(one, agent);
	return flag && (assert.match(flag, what), flag);
}, { deadlineMs: 40_000 });

/** What is available, open and spent, in micro-dollars. */
async function balances(one, agent) {
	const { available, open, spent } = await one.wallet(agent.name);
	return [available, open, spent].map(micros);
}

const events = async (one, agent) => (await one.statement(agent.name)).map((r) => r.event);

/** `wallet reconcile`: its exit status, and the row of the asset. */
async function reconcile(one, agent, ...options) {
	const answer = await one.cli('wallet', 'reconcile', agent.name, ...options);
	return { ...answer, row: answer.json?.assets.find((a) => a.network === NETWORK) };
}

async function assertZero(one, agent) {
	const { code, row, stdout, stderr } = await reconcile(one, agent);
	assert.equal(code, 0, stdout + stderr);
	assert.equal(micros(row.difference), 0n);
	assert.equal(row.ok, true);
	return row;
}

describe('the chain shows the transfer', () => {
	for (const path of ['/settles-silently', '/settles-then-error', '/settles-then-reset', '/pending'])
		it(`after ${path}: settled, with its transaction`, async () => {
			const agent = await newAgent(tw);
			await buy(tw, agent, path);
			if (path === '/pending')
				await bed.rogue.settle(signedBy(agent));
			const payment = await becomes(tw, agent, 'settled');
			const [used] = await bed.chain.authorizationsUsed({
				authorizer: agent.address, nonce: payment.nonce,
			});
			assert.equal(payment.transaction, used.transaction);
			assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, 0n, CENT]);
			assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'settle']);
			const { states, evidence } = await show(tw, payment);
			assert.equal(states.at(-1).by, 'chain');
			assert.equal(evidence.length, 1);
			assert.equal(evidence[0].kind, 'used');
			assert.equal(evidence[0].transaction, used.transaction);
			assert.equal(evidence[0].block, Number(used.block));
			assert.equal(evidence[0].endpoints, 1);
		});

	for (const how of ['hide', 'pending'])
		it(`although the official seller said that it failed (facilitator: ${how})`, async () => {
			const agent = await newAgent(tw);
			bed.facilitator.misbehave({ how });
			const { status } = await buy(tw, agent, '/paid/0.01', 'seller');
			bed.facilitator.behave();
			assert.equal(status, 502);
			await becomes(tw, agent, 'settled');
			assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, 0n, CENT]);
		});

	it('for fifty at once, and for those of a daemon that was killed meanwhile', async () => {
		const agent = await newAgent(tw);
		const calls = Array.from({ length: 50 }, (_, i) => buy(tw, agent, `/settles-then-reset?n=${i}`));
		await until('some to be settled', async () =>
			(await tw.payments(agent.name, 'settled')).length > 5);
		await tw.kill();
		await Promise.all(calls);
		await tw.start();
		await until('all to have ended', async () => {
			const payments = await tw.payments(agent.name);
			return payments.every((p) => p.state === 'settled') ||
				payments.filter((p) => p.state === 'open').length;
		});
		// What reached the seller is settled; what the kill cut off before is open.
		await until('the books to know what the chain does', async () => {
			const [, , spent] = await balances(tw, agent);
			const used = await bed.chain.authorizationsUsed({ authorizer: agent.address });
			return spent === CENT * BigInt(used.length);
		});
		await assertZero(tw, agent);
	});
});

describe('what the chain does not show', () => {
	it('is not believed: a made-up receipt of another payer leaves the payment open', async () => {
		const agent = await newAgent(tw);
		await buy(tw, agent, '/receipt-other-payer');
		await assertZero(tw, agent);
		assert.equal((await lastPayment(tw, agent)).state, 'open');
		assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, CENT, 0n]);
	});
});

describe('the owner makes a signature void on the chain', () => {
	it('and the money comes back', async () => {
		const owner = newAccount();
		const agent = await newAgent(tw, GENEROUS, '0');
		await tw.must('wallet', 'import', agent.name, '--key-file',
			tw.writeFile(`${agent.name}.key`, owner.key));
		tw.agents.get(agent.name).address = owner.address;
		await tw.fund(agent.name, '1.00');
		await buy(tw, agent, '/reset');
		const { nonce } = await lastPayment(tw, agent);
		await bed.chain.cancelAuthorization(owner, nonce);
		const payment = await becomes(tw, agent, 'cancelled');
		assert.deepEqual(await balances(tw, agent), [1_000_000n, 0n, 0n]);
		assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'refund']);
		const { states, evidence } = await show(tw, payment);
		assert.equal(states.at(-1).by, 'chain');
		assert.deepEqual(evidence.map((e) => e.kind), ['cancelled']);
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 0n);
		await assertZero(tw, agent);
	});
});

describe("the owner's word", () => {
	it('that a payment was not used is undone when the seller cashes it after all', async () => {
		const agent = await newAgent(tw);
		await buy(tw, agent, '/reset');
		const { payment } = await lastPayment(tw, agent);
		await tw.giveBack(payment);
		assert.deepEqual(await balances(tw, agent), [10_000_000n, 0n, 0n]);
		await bed.rogue.settle(signedBy(agent));
		await becomes(tw, agent, 'settled');
		assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, 0n, CENT]);
		assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'refund', 'reopen', 'settle']);
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), CENT);
		await assertZero(tw, agent);
	});

	it('cannot be undone with money that is gone: it is flagged, until a deposit heals it', async () => {
		// A cent that the books do not know, so that the chain can pay what they cannot.
		const agent = await newAgent(tw, GENEROUS, '0.01');
		await bed.chain.mint(agent.address, CENT);
		await buy(tw, agent, '/reset');
		const first = signedBy(agent);
		await tw.giveBack((await lastPayment(tw, agent)).payment);
		assert.equal((await buy(tw, agent, '/honest')).status, 200);
		await bed.rogue.settle(first);
		const flag = await until('the flag', async () => (await tw.payments(agent.name))[0].flag);
		assert.match(flag, /given back, yet the chain shows that it was used/);
		assert.deepEqual(await balances(tw, agent), [0n, 0n, CENT]);
		const { row } = await reconcile(tw, agent);
		assert.match(row.note, /contradicts 1 payment/);
		await tw.restart();
		assert.equal((await tw.payments(agent.name))[0].flag, flag, 'a restart knows it');
		await tw.must('wallet', 'deposit', agent.name, '0.01');
		await until('it to heal', async () => (await tw.payments(agent.name))[0].state === 'settled');
		assert.equal((await tw.payments(agent.name))[0].flag, undefined);
		assert.deepEqual(await balances(tw, agent), [0n, 0n, 2n * CENT]);
		const { evidence } = await show(tw, (await tw.payments(agent.name))[0]);
		assert.deepEqual(evidence.map((e) => e.kind), ['disagrees', 'used'], 'flagged once');
		await assertZero(tw, agent);
	});
});

describe('a reorganisation', () => {
	/** Nobody else may use the chain meanwhile: what they did would be gone, too. */
	const isolated = async (run) => {
		const agent = await newAgent(tw);
		await buy(tw, agent, '/reset');
		const { payload } = signedBy(agent).payment;
		const snapshot = await bed.chain.snapshot();
		await bed.chain.cash(payload);
		const settled = await becomes(tw, agent, 'settled');
		await bed.chain.reorganise(snapshot);
		await run({ agent, payload, settled });
		await assertZero(tw, agent);
	};

	it('takes an end away: the payment is open again, and ends where the chain has it next', () =>
		isolated(async ({ agent, payload, settled }) => {
			await becomes(tw, agent, 'open');
			assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, CENT, 0n]);
			assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'settle', 'reopen']);
			await bed.chain.cash(payload);
			const again = await becomes(tw, agent, 'settled');
			const { states, evidence } = await show(tw, again);
			assert.deepEqual(evidence.map((e) => e.kind), ['used', 'gone', 'used']);
			assert.notEqual(evidence[0].block_hash, evidence[2].block_hash);
			assert.deepEqual(states.map((s) => s.state).slice(-3), ['settled', 'open', 'settled']);
			assert.deepEqual(await events(tw, agent),
				['deposit', 'sign', 'settle', 'reopen', 'settle']);
			assert.equal(again.payment, settled.payment);
		}));

	it('moves an end: that is one more piece of evidence, and no money', () =>
		isolated(async ({ agent, payload }) => {
			await tw.stop();
			await bed.chain.cash(payload);
			await tw.start();
			const evidence = await until('the new evidence', async () => {
				const shown = await show(tw, await lastPayment(tw, agent));
				return shown.evidence.length > 1 && shown.evidence;
			});
			// It may have been looked at before the daemon was stopped.
			assert.equal(evidence.at(-1).kind, 'used');
			assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, 0n, CENT]);
		}));
});

describe('an endpoint that is broken', () => {
	let good;
	let bad;
	let one;

	before(async () => {
		good = await startRpc(bed.chain);
		bad = await startRpc(bed.chain);
		one = await newTallyward({ rpc: [good.url, bad.url], settings: { rpc_ms_max: 1000 } });
	});

	after(async () => {
		await good?.stop();
		await bad?.stop();
	});

	/** Both have been asked often enough that an answer would have been acted on. */
	async function askedAgain() {
		const [a, b] = [good.questions, bad.questions];
		await until('the endpoints to be asked again', () =>
			good.questions > a + 3 && bad.questions > b + 1, { deadlineMs: 40_000 });
	}

	const faults = [
		...BROKEN.map((how) => [how, () => ({ how })]),
		['hang', () => ({ how: 'hang' })],
		['lags', async () => ({ how: 'lags', block: await bed.chain.client.getBlockNumber() })],
	];
	for (const [how, fault] of faults)
		it(`${how}: nothing is booked on the word of the other alone, and all is well afterwards`, async () => {
			const agent = await newAgent(one);
			bad.misbehave(await fault());
			await buy(one, agent, '/settles-then-reset');
			await askedAgain();
			assert.equal((await lastPayment(one, agent)).state, 'open');
			assert.deepEqual(await balances(one, agent), [10_000_000n - CENT, CENT, 0n]);
			bad.behave();
			const { evidence } = await show(one, await becomes(one, agent, 'settled'));
			assert.equal(evidence.at(-1).endpoints, 2);
			await assertZero(one, agent);
		});

	afterEach(() => bad.behave());

	it('does not name its key in the log, in the doctor, or in an error', async () => {
		const agent = await newAgent(one);
		bad.misbehave({ how: 'error' });
		await buy(one, agent, '/reset');
		await askedAgain();
		const doctor = await one.cli('doctor');
		assert.ok(doctor.json.some((c) => c.check === 'chain' && !c.ok), doctor.stdout);
		assert.ok(doctor.json.some((c) => c.check === 'reconcile' && !c.ok), doctor.stdout);
		const { code, stdout, stderr } = await reconcile(one, agent);
		assert.equal(code, 3, stdout);
		assert.match(stderr, /network set/);
		for (const text of [doctor.stdout, stderr, one.daemon.log])
			assert.doesNotMatch(text, /secret-key/);
		assert.equal(one.daemon.log.match(/chain_without_answer/g).length <=
			one.daemon.log.match(/chain_answers/g).length + 1, true, 'said once for each change');
		bad.behave();
		await until('the doctor to be content', async () =>
			(await one.cli('doctor')).json.every((c) => c.ok), { deadlineMs: 40_000 });
	});

	it('lies about the balance: that is a contradiction, not a difference', async () => {
		const agent = await newAgent(one);
		bad.misbehave({ how: 'other-balance', balance: 99_000_000n });
		const { code, stdout, stderr } = await reconcile(one, agent, '--book-deposit', '--yes');
		bad.behave();
		assert.equal(code, 1, stdout);
		assert.match(stderr, /network set/);
		assert.deepEqual(await balances(one, agent), [10_000_000n, 0n, 0n]);
		await assertZero(one, agent);
	});

	it('says that a used authorization expired: flagged, not given back, and settled by the truth', async () => {
		const agent = await newAgent(one, { ...GENEROUS, ...SHORT });
		const other = await newAgent(one, { ...GENEROUS, ...SHORT });
		bad.misbehave({ how: 'hides-use' });
		await buy(one, agent, '/settles-silently');
		bad.misbehave({ how: 'hides-use', nonce: (await lastPayment(one, agent)).nonce });
		await buy(one, other, '/settles-silently');
		await becomes(one, other, 'settled', { mining: true });
		const mining = setInterval(() => bed.chain.mine().catch(() => {}), 200);
		try {
			await flagged(one, agent, /endpoints contradict each other/);
		} finally {
			clearInterval(mining);
		}
		await askedAgain();
		assert.deepEqual(await balances(one, agent), [10_000_000n - CENT, CENT, 0n]);
		const { evidence } = await show(one, await lastPayment(one, agent));
		assert.deepEqual(evidence.map((e) => e.kind), ['disagrees'], 'once');
		bad.behave();
		await becomes(one, agent, 'settled');
		assert.equal((await lastPayment(one, agent)).flag, undefined);
		assert.deepEqual(await balances(one, agent), [10_000_000n - CENT, 0n, CENT]);
	});

	it('books agree with the chain after all that', () => one.assertBooks());
});

describe('while a command waits for the chain', () => {
	it('others are carried out, and the line is bounded', async () => {
		const rpc = await startRpc(bed.chain);
		stops.unshift(() => rpc.stop());
		const one = await newTallyward({ rpc: [rpc.url] });
		const agent = await newAgent(one);
		rpc.misbehave({ how: 'hang' });
		const first = reconcile(one, agent);
		await until('it to wait', () => rpc.waiting() > 0);
		const others = Array.from({ length: 8 }, () => reconcile(one, agent));
		assert.equal((await one.cli('agent', 'list')).code, 0);
		assert.equal((await one.call(agent, 'rogue', '/free')).status, 200);
		const turned = await Promise.race(others);
		assert.equal(turned.code, 1);
		assert.match(turned.stderr, /under way already/);
		rpc.behave();
		const answers = await Promise.all([first, ...others]);
		assert.equal(answers.filter((a) => a.code === 0).length, 8);
		assert.equal(answers.filter((a) => a.code === 1).length, 1);
	});
});

describe('wallet reconcile', () => {
	it('without a way to the chain says how to name one', async () => {
		const one = await newTallyward();
		const agent = await newAgent(one);
		const { code, stderr } = await reconcile(one, agent);
		assert.equal(code, 1);
		assert.match(stderr, new RegExp(`tallyward network set ${NETWORK} --rpc`));
		await setRpc(one, 'http://127.0.0.1:1/');
		const away = await reconcile(one, agent);
		assert.equal(away.code, 3);
		assert.match(away.stderr, /network set/);
		assert.equal((await one.cli('wallet', 'reconcile', 'nobody')).code, 5);
		assert.equal((await reconcile(one, agent, '--network', 'eip155:99')).code, 5);
	});

	it('proves receipts, and counts what it proved', async () => {
		const agent = await newAgent(tw);
		for (let i = 0; i < 3; i++)
			assert.equal((await buy(tw, agent, `/honest?n=${i}`)).status, 200);
		assert.equal((await assertZero(tw, agent)).proved, 3);
		assert.equal((await assertZero(tw, agent)).proved, 0);
		for (const payment of await tw.payments(agent.name)) {
			const { states, evidence } = await show(tw, payment);
			assert.deepEqual(evidence.map((e) => e.kind), ['used']);
			assert.equal(states.length, 1, 'the receipt was right: nothing new to say');
		}
	});

	it('books what somebody sent when the owner says so, and no more than he was shown', async () => {
		const agent = await newAgent(tw);
		await bed.chain.mint(agent.address, 500_000n);
		const seen = await reconcile(tw, agent);
		assert.equal(seen.code, 1);
		assert.equal(seen.row.difference, '0.50');
		assert.match(seen.row.note, /--book-deposit/);
		const unsure = await reconcile(tw, agent, '--book-deposit');
		assert.equal(unsure.code, 2, 'nobody to ask');
		assert.match(unsure.stderr, /--yes/);
		assert.deepEqual(await balances(tw, agent), [10_000_000n, 0n, 0n]);
		const booked = await reconcile(tw, agent, '--book-deposit', '--yes');
		assert.equal(booked.code, 0, booked.stderr);
		assert.deepEqual(await balances(tw, agent), [10_500_000n, 0n, 0n]);
		const [deposit] = (await tw.statement(agent.name)).slice(-1);
		assert.equal(deposit.event, 'deposit');
		assert.match(deposit.note, /block \d+/);
		await assertZero(tw, agent);
		assert.equal((await reconcile(tw, agent, '--book-deposit', '--yes')).code, 0);
		assert.deepEqual(await balances(tw, agent), [10_500_000n, 0n, 0n]);
	});

	it('never books what was taken: that is for withdraw', async () => {
		const owner = newAccount();
		const agent = await newAgent(tw, GENEROUS, '0');
		await tw.must('wallet', 'import', agent.name, '--key-file',
			tw.writeFile(`${agent.name}.key`, owner.key));
		tw.agents.get(agent.name).address = owner.address;
		await tw.fund(agent.name, '1.00');
		await bed.chain.giveGas(owner.address);
		await bed.chain.transfer(owner, devAccount(5).address, 400_000n);
		const { code, row } = await reconcile(tw, agent, '--book-deposit', '--yes');
		assert.equal(code, 1);
		assert.equal(row.difference, '-0.40');
		assert.match(row.note, /withdraw/);
		assert.deepEqual(await balances(tw, agent), [1_000_000n, 0n, 0n]);
		await tw.must('wallet', 'withdraw', agent.name, '0.40');
		await assertZero(tw, agent);
	});

	it('does the same without a daemon, and ends what is open', async () => {
		const one = await newTallyward();
		const agent = await newAgent(one);
		await buy(one, agent, '/settles-silently');
		await buy(one, agent, '/settles-then-reset');
		await one.quiet();
		await one.stop();
		await setRpc(one, bed.chain.url);
		const row = await assertZero(one, agent);
		assert.equal(row.booked, 2);
		assert.deepEqual(await balances(one, agent), [10_000_000n - 2n * CENT, 0n, 2n * CENT]);
		await one.start();
		assert.deepEqual(await balances(one, agent), [10_000_000n - 2n * CENT, 0n, 2n * CENT]);
		await one.assertBooks();
	});
});

describe('a seller who pays back what was not delivered', () => {
	it('is seen on the chain, booked against the claim, and frees no limit', async () => {
		await tw.addTool('checked', bed.rogue.url, '--delivery',
			tw.writeFile('check.json', JSON.stringify({ status: '2xx' })));
		const agent = await newAgent(tw);
		for (let i = 0; i < 2; i++)
			await buy(tw, agent, `/gives-500?n=${i}`, 'checked');
		await tw.quiet();
		const claims = async () => (await tw.must('ledger', 'claim', agent.name)).length;
		assert.equal(await claims(), 2);
		const [available, , spent] = await balances(tw, agent);
		assert.equal(spent, 2n * CENT);
		const seller = devAccount(3);
		assert.equal(seller.address, bed.rogue.payTo);
		await bed.chain.transfer(seller, agent.address, CENT);
		await until('the refund to be booked', async () => (await balances(tw, agent))[2] === CENT);
		assert.deepEqual(await balances(tw, agent), [available + CENT, 0n, CENT]);
		assert.equal(await claims(), 1);
		const refunds = (await tw.statement(agent.name)).filter((r) => r.event === 'refund');
		assert.equal(refunds.length, 1);
		assert.match(refunds[0].transaction, /^0x[0-9a-f]{64}$/);
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 2n * CENT);
		await assertZero(tw, agent);
		// More than is left of any claim is nobody's refund.
		await bed.chain.transfer(seller, agent.address, 3n * CENT);
		assert.equal((await reconcile(tw, agent)).row.difference, '0.03');
		assert.equal(await claims(), 1);
		assert.equal((await reconcile(tw, agent, '--book-deposit', '--yes')).code, 0);
	});
});

describe('when fifteen seconds are over', () => {
	it('what was never used is given back, with its limits, and not before', async () => {
		const agent = short.unused;
		const payment = await until('it to be given back', async () => {
			await bed.chain.mine();
			const found = await lastPayment(tw, agent);
			const [, open] = await balances(tw, agent);
			if (Date.now() <= Date.parse(found.valid_before))
				assert.equal(open, CENT, 'it could still be cashed');
			return open === 0n && found;
		}, { deadlineMs: 40_000 });
		assert.equal(payment.state, 'expired');
		assert.deepEqual(await balances(tw, agent), [10_000_000n, 0n, 0n]);
		assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'refund']);
		const { evidence } = await show(tw, payment);
		assert.deepEqual(evidence.map((e) => e.kind), ['unused']);
		assert.ok(Date.parse(evidence[0].block_time) >= Date.parse(payment.valid_before));
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 0n);
		assert.equal((await buy(tw, agent, '/honest')).status, 200);
		await assertZero(tw, agent);
	});

	it('a forged receipt is found out, and the owner may take the money back', async () => {
		const agent = short.forged;
		const payment = await lastPayment(tw, agent);
		assert.equal(payment.state, 'settled', 'the receipt was believed');
		const { code, row } = await until('it to be found out', async () => {
			await bed.chain.mine();
			const answer = await reconcile(tw, agent);
			return answer.row.note.includes('contradicts') && answer;
		}, { deadlineMs: 40_000 });
		assert.equal(code, 1);
		assert.equal(row.difference, '0.01');
		assert.match((await lastPayment(tw, agent)).flag, /receipt .* expired unused/);
		assert.deepEqual(await balances(tw, agent), [10_000_000n - CENT, 0n, CENT], 'nothing moves by itself');
		const spent = await tw.cli('payment', 'resolve', payment.payment, '--settled', '--yes');
		assert.equal(spent.code, 4, spent.stderr);
		await tw.giveBack(payment.payment);
		assert.deepEqual(await balances(tw, agent), [10_000_000n, 0n, 0n]);
		assert.deepEqual(await events(tw, agent), ['deposit', 'sign', 'settle', 'reopen', 'refund']);
		await assertZero(tw, agent);
		assert.equal((await lastPayment(tw, agent)).flag, undefined);
	});

	it('without a way to the chain an expired payment counts as spent until the owner decides', async () => {
		const one = await newTallyward();
		const agent = await newAgent(one, { ...SHORT, ...policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')) });
		await buy(one, agent, '/reset');
		const { payment } = await becomes(one, agent, 'expired');
		assert.deepEqual(await balances(one, agent), [10_000_000n - CENT, CENT, 0n]);
		assert.equal((await buy(one, agent, '/honest')).problem.code, 'over_session_limit');
		await one.restart();
		assert.deepEqual(await balances(one, agent), [10_000_000n - CENT, CENT, 0n]);
		await one.giveBack(payment);
		assert.deepEqual(await balances(one, agent), [10_000_000n, 0n, 0n]);
		assert.equal((await buy(one, agent, '/honest')).status, 200);
		await one.assertBooks();
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', async () => {
		for (const { name } of tw.agents.values())
			await assertZero(tw, { name });
		await tw.assertBooks();
		await tw.restart();
		await tw.assertBooks();
	});
});
