// A daemon with the shim around it, its agents and their seller, for faults that come and go.

import assert from 'node:assert/strict';
import { Books, STATE } from './books.mjs';
import { check } from './check.mjs';
import { House } from './house.mjs';
import { METERED, METERED_PRICE, ROOMY, attempt, random } from './load.mjs';
import { Seller } from './seller.mjs';
import { send } from '../e2e/bed/tallyward.mjs';
import { until } from '../e2e/bed/wait.mjs';

let made = 0;

export class World {
	calls = new Map();
	agents = [];
	rng = random(7);

	static async make({ settings, points = false, power = false } = {}) {
		const world = new World();
		world.seller = await Seller.open();
		world.house = await House.make({ settings, points });
		world.books = new Books(world.house.database);
		world.power = power;
		await world.house.addTool('seller', world.seller.url);
		await world.house.addTool('metered', world.seller.url, '--billing', 'metered',
			'--price', METERED_PRICE);
		world.buyer = await world.addAgent('buyer', ROOMY);
		world.meter = await world.addAgent('meter', METERED);
		return world;
	}

	async addAgent(name, policy) {
		const agent = await this.house.addAgent(name, { policy, usdc: '20.00' });
		const known = { name, policy, address: agent.address, token: agent.token,
			session: agent.session, sessions: [agent.session],
			tokens: [{ session: agent.session, token: agent.token }] };
		this.agents.push(known);
		return known;
	}

	get control() {
		return this.house.control;
	}

	begin(faults = {}) {
		return this.house.begin({ preload: true, power: this.power, faults });
	}

	/** Start where it cannot be ready, and wait for an answer of any kind. */
	async beginAt(faults) {
		const { house } = this;
		house.ready = () => until('an answer', async () =>
			house.dead || (await send(`${house.url}/readyz`)).status > 0);
		try {
			await this.begin(faults);
		} finally {
			delete house.ready;
		}
	}

	/** End it as a crash does, and start it without faults. */
	async crash() {
		await this.house.kill();
		await this.begin();
	}

	/** Buy once. Resolves to the logical call, tried once. */
	async buy(behaviour = 'settle', { who = this.buyer, price = 1000, key, body, again } = {}) {
		const id = again?.id ?? `f-${++made}`;
		const metered = who === this.meter;
		const call = again ?? {
			id, key, body, agent: who.name, session: who.session, token: who.token, tries: [],
			tool: metered ? 'metered' : 'seller', method: body === undefined ? 'GET' : 'POST',
			target: metered ? `/metered?id=${id}` : `/${behaviour}/${price}?id=${id}`,
		};
		this.calls.set(id, call);
		await attempt(call, this.house.url);
		return call;
	}

	/** A mixed lot, all at once: what is paid, what is metered and what is free. */
	async lot(count = 12) {
		const kinds = ['settle', 'silent', 'settle', 'fail', 'settle', 'hangup'];
		const calls = await Promise.all(Array.from({ length: count }, (_, i) => {
			if (i % 4 === 3)
				return this.buy('metered', { who: this.meter });
			return this.buy(kinds[i % kinds.length], {
				key: i % 3 === 0 ? `key-${made}-${i}` : undefined,
				body: i % 2 ? 'x'.repeat(2000) : undefined,
			});
		}));
		return calls;
	}

	async readiness() {
		const { status, json } = await send(`${this.house.url}/readyz`);
		return { status, reason: json.reason };
	}

	/** Told by itself, with nobody calling: that is what "without hands" means. */
	recovers() {
		return until('payments to be accepted again', async () =>
			(await this.readiness()).status === 200);
	}

	/** Every call has ended in the rows, too: those that nobody waits for come last. */
	async quiet() {
		await until('every outcome to be written', async () => {
			await this.books.read();
			return [...this.books.payments.values()].every((row) =>
				this.books.state(row) !== STATE.signed) &&
				[...this.books.holds.values()].every((hold) => hold.end !== null);
		});
	}

	/**
	 * The whole check while it runs. Money whose row a failing disk may or may not have kept is
	 * decided within a second or so, hence the patience.
	 */
	async whole(options) {
		await this.quiet();
		await until('everything to be in order', async () => {
			const problems = await check(this, { calls: false, ...options });
			if (problems.length > 0)
				throw new Error(problems.join('; '));
			return true;
		}, { deadlineMs: 10_000 });
	}

	async wholeAfterCrash(options) {
		await this.crash();
		await this.quiet();
		assert.deepEqual(await check(this, options), []);
	}

	get signatures() {
		return this.seller.signatures.size;
	}

	/** Stop well, and throw the folder away. */
	async close() {
		const ending = await this.house.stop();
		const { log } = this.house;
		this.house.discard();
		await this.seller.close();
		if (ending)
			assert.deepEqual(ending, { code: 0, signal: null }, `it did not stop well: ${log}`);
	}
}

/** Each of them refused as the contract says: the agent knows that nothing was paid. */
export function assertRefused(calls) {
	for (const call of calls) {
		const last = call.tries.at(-1);
		assert.equal(last.code ?? last.lost ?? last.status, 'not_accepting_payments',
			`${call.target}: ${JSON.stringify(last)}`);
		assert.equal(last.status, 503);
		assert.equal(last.cost, 0);
	}
}

export const ok = (call) => assert.equal(call.tries.at(-1).status, 200,
	`${call.target}: ${JSON.stringify(call.tries.at(-1))}`);
