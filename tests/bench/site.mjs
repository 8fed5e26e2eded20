// What a part is measured on: a fresh tallyward, the nginx seller, one agent
// that buys, and the ledger read beside the daemon.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { NETWORK } from '../e2e/bed/chain.mjs';
import { run } from '../e2e/bed/child.mjs';
import { calls, policyOf, spend } from '../e2e/bed/policies.mjs';
import { Tallyward } from '../e2e/bed/tallyward.mjs';
import { freePort, until } from '../e2e/bed/wait.mjs';
import { check, say } from './check.mjs';
import { loadByPace, loadByWrk, runBuilt } from './load.mjs';
import { startProxy, startSeller } from './stub.mjs';

/** A limit in each window, none of which is ever reached. */
const LIMITS = [
	spend('agent', 'call', '0.01'), spend('session', 'total', '90000'),
	spend('agent', 'minute', '90000'), spend('agent', 'hour', '90000'),
	spend('agent', 'day', '90000'), spend('agent', 'month', '90000'),
	spend('tool:seller', 'day', '90000'), spend('wallet', 'month', '90000'),
	calls('agent', 'minute', 1_000_000_000), calls('agent', 'day', 1_000_000_000),
];

/** Ten limits that speak about every call, and the rest about other tools. */
export const policyOfSize = (count) => policyOf(...LIMITS,
	...Array.from({ length: count - LIMITS.length }, (_, i) => spend(`tool:t${i}`, 'day', '1')));

/** Ledgers that took long to fill, by what is in them: made once in a run. */
const filled = new Map();
const KEPT_FROM = 100_000;

/** Give an instance that never served a past: tests/bench/fill, over the last day. */
async function fill(tw, { payments, agents }) {
	const key = `${payments} ${agents}`;
	const settings = fs.readFileSync(path.join(tw.dir, 'tallyward.json'));
	if (filled.has(key)) {
		fs.rmSync(tw.dir, { recursive: true });
		fs.cpSync(filled.get(key), tw.dir, { recursive: true });
		fs.writeFileSync(path.join(tw.dir, 'tallyward.json'), settings);
	} else {
		await runBuilt('fill', [tw.dir, payments, agents, 1]);
		if (payments >= KEPT_FROM) {
			const kept = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-bench-'));
			fs.cpSync(tw.dir, kept, { recursive: true });
			// Before the bed's own listener, which ends the process there and then.
			process.prependOnceListener('exit', () => fs.rmSync(kept, { recursive: true, force: true }));
			filled.set(key, kept);
		}
	}
	// What the kernel still has to write would be in the way of what is measured.
	await run('sync', []);
}

export class Site {
	/** Payments that were not made through tallyward. */
	paidElsewhere = 0;

	/**
	 * settings   of tallyward.json
	 * past       { payments, agents }: the ledger is not empty (tests/bench/fill)
	 * under      a program and its options that the daemon runs under
	 */
	static async open({ settings, past, under = [] } = {}) {
		const site = new Site();
		const tw = site.tw = await Tallyward.create({ settings });
		try {
			if (past)
				await fill(tw, past);
			const port = await freePort();
			tw.under = under;
			await tw.start();
			// Over the socket: a command line of its own would derive the key of the keys each time.
			await tw.mustCommand('tool.add', { name: 'seller', url: `http://127.0.0.1:${port}` });
			site.agent = { name: 'buyer', ...await tw.addAgentLive('buyer', policyOfSize(LIMITS.length)) };
			await tw.mustCommand('wallet.deposit', { agent: 'buyer', amount: '90000', network: NETWORK });
			site.seller = await startSeller(tw.home, site.agent.address, port);
			site.since = await site.#newest();
		} catch (error) {
			// What went wrong first is what is told.
			await site.close().catch(() => {});
			throw error;
		}
		return site;
	}

	get pid() {
		return this.tw.daemon.pid;
	}

	async addProxy() {
		this.proxy = await startProxy(this.tw.home, this.seller);
		return this.proxy;
	}

	async close() {
		try {
			await this.tw.close();
		} finally {
			await this.seller?.stop();
			await this.proxy?.stop();
		}
	}

	// --- load --------------------------------------------------------------

	#url(kind) {
		return `${this.tw.url}/t/seller/${kind}`;
	}

	/** Calls of a kind ("paid", "free") for so long. */
	callFor(kind, connections, seconds, options) {
		return loadByWrk(this.#url(kind),
			{ connections, seconds, pids: [this.pid], token: this.agent.token, ...options });
	}

	/** So many calls of a kind, at a rate or as fast as they are answered. */
	callTimes(kind, connections, count, rate = 0) {
		return loadByPace(this.#url(kind),
			{ connections, rate, calls: count, pids: [this.pid], token: this.agent.token });
	}

	// --- the ledger ----------------------------------------------------------

	async sql(query) {
		const { code, stdout, stderr } = await run('sqlite3',
			['-readonly', path.join(this.tw.dir, 'ledger.db'), query]);
		assert.equal(code, 0, stderr);
		return stdout.trim().split('|').map(Number);
	}

	async #newest() {
		const [id] = await this.sql('SELECT max((SELECT coalesce(max(id), 0) FROM journal), ' +
			'(SELECT coalesce(max(id), 0) FROM payment), (SELECT coalesce(max(id), 0) FROM payment_state))');
		return id;
	}

	/** Rows since the site was opened. A payment has ended when it is settled (3). */
	async counts() {
		const of = (what, table, where) =>
			`(SELECT count(${what}) FROM ${table} WHERE id > ${this.since} AND ${where})`;
		const [payments, settled, signs, settles] = await this.sql(`SELECT ${[
			of('*', 'payment', 'true'), of('DISTINCT payment', 'payment_state', 'state = 3'),
			of('*', 'journal', 'event = 3'), of('*', 'journal', 'event = 4'),
		].join(', ')}`);
		return { payments, settled, signs, settles };
	}

	/** Wait until nothing is in flight any more; says what the ledger then holds. */
	async atRest() {
		let counts;
		await until('calls in flight to end', async () => {
			const { assets: [wallet] } = await this.tw.mustCommand('wallet.show', { agent: this.agent.name });
			counts = await this.counts();
			return Number(wallet.open) === 0 && Number(wallet.reserved) === 0 &&
				counts.settles === counts.payments;
		}, { deadlineMs: 60_000 }).catch((error) => say(`bench: ${error.message}`));
		return counts;
	}

	/** Audit rows since the site was opened: of each call one, written after its answer. */
	async audited() {
		const [rows] = await this.sql(`SELECT count(*) FROM audit WHERE id > ${this.since}`);
		return rows;
	}

	/**
	 * Each answer has its payment; `cut` calls may have been given up by the clock of
	 * the load, and are paid though nobody counted their answer.
	 */
	async checkBooks(what, before, answers, cut) {
		const after = await this.atRest();
		const booked = after.payments - before.payments;
		check(`${what}: each answer has its payment (${booked} payments, ${answers} answers)`, () =>
			assert.ok(booked >= answers && booked <= answers + cut));
		check(`${what}: each payment is signed and settled in the journal, once`, () =>
			assert.deepEqual([after.signs, after.settles, after.settled], Array(3).fill(after.payments)));
		check(`${what}: what the seller has seen is what the ledger holds`, () =>
			assert.equal(this.seller.paid() - this.paidElsewhere, after.payments));
		return after;
	}

	/** Measure calls of a kind, with books and answers checked. */
	async measure(kind, connections, { seconds, warmSeconds = 0, ...options }) {
		const before = kind === 'paid' ? await this.atRest() : null;
		const warm = warmSeconds
			? await this.callFor(kind, connections, warmSeconds, options) : { calls: 0, failed: 0 };
		const found = await this.callFor(kind, connections, seconds, options);
		const what = `${connections} ${kind} in flight`;
		check(`${what}: nothing but 200`, () => assert.equal(warm.failed + found.failed, 0));
		if (before)
			await this.checkBooks(what, before, warm.calls + found.calls, connections * (warmSeconds ? 2 : 1));
		return found;
	}

	async verify() {
		const { json, stdout, stderr } = await this.tw.cli('ledger', 'verify');
		check(`ledger verify: ${stdout}${stderr}`, () => assert.equal(json?.ok, true));
	}
}

/** Open a site, use it, and close it whatever happens. */
export async function withSite(options, use) {
	const site = await Site.open(options);
	try {
		return await use(site);
	} finally {
		await site.close();
	}
}
