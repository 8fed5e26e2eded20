// Whom the chain is asked through: endpoints are strangers. Two must say the same before a
// payment is ended by what they say, and what they may not be is refused with a reason.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { NETWORK } from './bed/chain.mjs';
import { Endpoint, LIES } from './bed/endpoint.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let one;
let two;

before(async () => {
	bed = await startBed({ rogue: true });
	one = await new Endpoint(bed.chain).start();
	two = await new Endpoint(bed.chain).start();
	tw = await Tallyward.create({ settings: { chain_poll_ms: 100, rpc_ms_max: 1000 } });
	await tw.addTool('rogue', bed.rogue.url);
});

after(async () => {
	await tw?.close();
	await one?.stop();
	await two?.stop();
	await bed?.stop();
});

const ask = (...urls) => tw.cli('network', 'set', NETWORK, ...urls.flatMap((url) => ['--rpc', url]));

describe('network set', () => {
	const REFUSED = {
		'plain http to another host': [['http://rpc.example/k3y0fTh30wn3r'], /http:\/\/rpc\.example must begin with https/],
		'an address that is not this machine': [['http://192.0.2.1:8545'], /plain http/],
		'a user name': [['https://me:k3y0fTh30wn3r@rpc.example/'], /user name/],
		'no URL': [['rpc.example'], /no URL/],
		'another scheme': [['wss://rpc.example'], /no URL/],
		'one of two': [['https://rpc.example', 'ftp://rpc.example'], /no URL/],
		'the same one twice': [['https://rpc.example/k3y0fTh30wn3r', 'https://rpc.example/k3y0fTh30wn3r/'], /there twice/],
		'nine': [[...'abcdefghi'].map((name) => `https://${name}.example/`), /more than 8/],
	};
	for (const [name, [urls, reason]] of Object.entries(REFUSED))
		it(`refuses ${name}`, async () => {
			const { code, stderr } = await ask(...urls);
			assert.equal(code, 2, stderr);
			assert.match(stderr, reason);
			assert.doesNotMatch(stderr, /k3y0fTh30wn3r/);
			const { rpc } = (await tw.must('network', 'list')).find((n) => n.network === NETWORK);
			assert.deepEqual(rpc, []);
		});

	const URLS = ['https://a.example/key', 'https://b.example:8443', 'http://localhost:8545/'];
	it('takes several options, and several URLs in one', async () => {
		assert.deepEqual((await ask(...URLS)).json.rpc, URLS);
		assert.deepEqual((await ask(` ${URLS.join('   ')} `)).json.rpc, URLS);
		assert.deepEqual((await ask('')).json.rpc, []);
	});
});

describe('doctor', () => {
	/** The rows about the chain, by name. */
	async function doctor(...urls) {
		assert.equal((await ask(...urls)).code, 0);
		const { code, stdout, stderr, json } = await tw.cli('doctor');
		assert.doesNotMatch(stdout + stderr, /k3y0fTh30wn3r/);
		const rows = (name) => json.filter((row) => row.check === name);
		return { code, rpc: rows('rpc'), chain: rows('chain') };
	}

	it('says that nobody is asked', async () => {
		const { rpc, chain } = await doctor('');
		assert.deepEqual(rpc, []);
		assert.match(chain[0].detail, /no RPC registered/);
	});

	it('says that one is one', async () => {
		const { rpc: [row], chain } = await doctor(one.url);
		assert.ok(row.ok, row.detail);
		assert.match(row.detail, /^eip155:84532: http:\/\/127\.0\.0\.1:\d+: newest block \d+, /);
		assert.match(chain[0].detail, /nothing confirms/);
	});

	it('says that two agree', async () => {
		const { chain: [row] } = await doctor(one.url, two.url);
		assert.ok(row.ok, row.detail);
		assert.match(row.detail, /2 of 2 endpoints agree/);
	});

	const LIARS = {
		'another chain': /wrong chain: it answers for eip155:1, not eip155:84532/,
		'nothing': /in time/,
		'a page': /junk: not JSON/,
		'too many requests': /HTTP status 429/,
		'the key': /invalid key \*{13}/,
	};
	for (const [name, reason] of Object.entries(LIARS))
		it(`says that one tells ${name}`, async () => {
			two.lie = LIES[name];
			try {
				const { code, rpc, chain: [chain] } = await doctor(one.url, two.url);
				assert.equal(code, 1);
				assert.deepEqual(rpc.map((row) => row.ok), [true, false]);
				assert.match(rpc[1].detail, reason);
				assert.equal(chain.ok, false);
				assert.match(chain.detail, /unreachable/);
			} finally {
				two.lie = null;
			}
		});

	it('says that two are on different forks', async () => {
		two.lie = LIES['another fork'];
		try {
			const { code, rpc, chain: [chain] } = await doctor(one.url, two.url);
			assert.equal(code, 1);
			assert.deepEqual(rpc.map((row) => row.ok), [true, true]);
			assert.match(chain.detail, /disagree: .* different blocks/);
		} finally {
			two.lie = null;
		}
	});
});

describe('a payment that the seller cashed in silence', () => {
	let agent;

	before(async () => {
		await ask(one.url, two.url);
		await tw.start();
		agent = await tw.addAgent('buyer', {
			policy: { ...GENEROUS, payment: { maxAuthorizationSeconds: 15 } },
		});
		await bed.chain.mint(agent.address, 10_000_000n);
		two.lie = LIES.unused;
		await tw.call(agent, 'rogue', '/settles-silently');
		const [payment] = await tw.payments(agent.name);
		const end = Date.parse(payment.valid_before);
		await until('it to be over by our clock', () => Date.now() > end + 1000, { deadlineMs: 30_000 });
		await until('it to be over by the chain\'s', async () => {
			await bed.chain.mine();
			return Number(await bed.chain.now()) * 1000 > end;
		});
		await bed.chain.mine();
		assert.equal((await bed.chain.authorizationsUsed({ nonce: payment.nonce })).length, 1);
	});

	for (const name of ['unused', 'empty', 'another fork', 'another chain', 'nothing', 'a page'])
		it(`stays open while one endpoint says ${name}`, async () => {
			two.lie = LIES[name];
			await tw.stop();
			await tw.start();
			await until('a look at the chain to fail',
				() => /rpc_failed|disagree/.test(tw.daemon.log));
			const [payment] = await tw.payments(agent.name);
			assert.equal(payment.transaction, null);
			assert.doesNotMatch(tw.daemon.log, /k3y0fTh30wn3r/);
			const { available, open } = await tw.wallet(agent.name);
			assert.deepEqual([available, open].map(micros), [9_990_000n, 10_000n]);
		});

	it('is settled when both tell the truth', async () => {
		two.lie = null;
		await tw.restart();
		const payment = await until('it to be settled', async () => {
			const [found] = await tw.payments(agent.name);
			return found.state === 'settled' && found;
		});
		const [used] = await bed.chain.authorizationsUsed({ nonce: payment.nonce });
		assert.equal(payment.transaction, used.transaction);
		assert.equal(micros((await tw.wallet(agent.name)).spent), 10_000n);
		// It was never given back in between.
		const events = (await tw.statement(agent.name)).map((row) => row.event);
		assert.deepEqual(events, ['deposit', 'sign', 'settle']);
	});

});
