// The same crashes against the real thing: the official seller and facilitator, and a chain on
// which money moves. After each start the chain is asked what was cashed, and the daemon, which
// has an RPC endpoint here, has to find out by itself.

import assert from 'node:assert/strict';
import { startBed } from '../e2e/bed/bed.mjs';
import { NETWORK } from '../e2e/bed/chain.mjs';
import { micros } from '../e2e/bed/tallyward.mjs';
import { until } from '../e2e/bed/wait.mjs';
import { Books, STATE } from './books.mjs';
import { check } from './check.mjs';
import { House } from './house.mjs';
import { ROOMY, TIGHT, attempt, newCall, pick, random, wantsRetry } from './load.mjs';

export const OFFICIAL_POINTS = ['by hand', 'STEP_SIGN done', 'STEP_PAY', 'payment handed over',
	'commit', 'committed', 'paid head', 'payment ended', 'callers told', 'opened'];
const IN_FLIGHT = 8;
const CALLS_MAX = 24;

export class OfficialLane {
	constructor({ name, seed }) {
		this.name = name;
		this.rng = random(seed);
		this.folders = 0;
		this.calls = new Map();
		this.retries = [];
		this.agents = [];
		this.known = new Set();
	}

	async #open() {
		this.bed = await startBed();
		this.house = await House.make({ points: true,
			settings: { chain_depth: 0, chain_poll_ms: 100 } });
		const { house, bed } = this;
		house.chain = bed.chain;
		await house.must('network', 'set', NETWORK, '--rpc', bed.chain.url);
		await house.addTool('seller', bed.seller.url);
		this.books = new Books(house.database);
		for (const [name, policy] of [['tight', TIGHT], ['roomy', ROOMY]])
			await this.#addAgent(name, policy);
		this.folders++;
	}

	async #addAgent(name, policy) {
		const made = await this.house.addAgent(name, { policy, usdc: '2.00' });
		this.agents.push({ name, policy, address: made.address, sessions: [made.session],
			tokens: [{ session: made.session, token: made.token }] });
	}

	/** What reached the seller, in the words of seller.mjs. */
	get seller() {
		const signatures = new Map();
		for (const request of this.bed.seller.record.requests.filter(({ payment }) => payment)) {
			const { nonce, value, from } = request.payment.payload.authorization;
			const call = new URL(request.url, this.bed.seller.url).searchParams.get('id');
			const known = signatures.get(nonce) ?? { nonce, header: request.header,
				value: Number(value), from, calls: new Set(), changed: false };
			known.calls.add(call);
			known.changed ||= known.header !== request.header;
			signatures.set(nonce, known);
		}
		return { signatures, of: (id) => [...signatures.values()].filter(({ calls }) => calls.has(id)) };
	}

	async #burst(callsMax) {
		const { daemon } = this.house;
		const again = this.retries.splice(0);
		let begun = 0;
		const work = async () => {
			while (!this.house.dead) {
				if (++begun > callsMax)
					daemon.kill('SIGKILL');
				const agent = pick(this.rng, this.agents);
				const call = again.pop() ??
					newCall(this.rng, this.name, { ...agent, ...agent.tokens.at(-1) });
				if (call.tries.length === 0)
					call.target = `/${pick(this.rng, ['paid', 'paid', 'upfront', 'broken', 'upfront-broken'])}` +
						`/0.00${pick(this.rng, [1, 2, 4])}?id=${call.id}`;
				this.calls.set(call.id, call);
				await attempt(call, this.house.url);
				if (wantsRetry(call) && call.tries.length < 3)
					this.retries.push(call);
			}
		};
		await Promise.all(Array.from({ length: IN_FLIGHT }, work));
		await daemon.ended;
	}

	/** What the chain shows is in the books, found out without hands; nothing else has moved. */
	async #chainIsBooked() {
		const { house, books, bed } = this;
		await until('the books to say what the chain says', async () => {
			await bed.chain.mine();
			await books.read();
			const used = new Set((await bed.chain.authorizationsUsed()).map(({ nonce }) => nonce));
			for (const nonce of used)
				assert.ok(books.byNonce.has(nonce.toLowerCase()), `cashed without a row: ${nonce}`);
			for (const row of books.payments.values()) {
				const state = books.state(row);
				assert.equal(state === STATE.settled, used.has(row.nonce),
					`payment ${row.id} is in state ${state}, on the chain it is ` +
					`${used.has(row.nonce) ? 'used' : 'unused'}`);
			}
			for (const { name, address } of this.agents) {
				const { available, open } = await house.wallet(name);
				assert.equal(micros(available) + micros(open), await bed.chain.balanceOf(address), name);
			}
			return true;
		}, { deadlineMs: 15_000 });
	}

	async #renew() {
		for (const agent of this.agents.filter(({ policy }) => policy === TIGHT)) {
			const { limits } = await this.house.me(agent.tokens.at(-1));
			const left = (scope) => Math.min(...limits.filter((limit) => limit.scope === scope &&
				limit.measure === 'spend' && limit.window !== 'call').map(({ remaining }) => Number(remaining)));
			if (left('session') < 0.004 && left('agent') >= 0.004) {
				const issued = await this.house.must('token', 'issue', agent.name);
				agent.sessions.push(issued.session);
				agent.tokens = [{ session: issued.session, token: issued.token }];
			}
		}
	}

	async kill(point, tries = 0) {
		if (!this.house)
			await this.#open();
		const { house } = this;
		const problems = [];
		let died = false;
		if (point === 'opened') {
			died = await house.begin({ at: 'opened:1' }).then(() => false, () => true);
			await house.kill();
		}
		const ms = await house.begin();
		await this.#look(problems);
		if (point !== 'opened') {
			if (point !== 'by hand')
				house.control.arm(point, 1 + Math.floor(this.rng() ** (1 + tries) * 12));
			await this.#burst(point === 'by hand' ? 1 + Math.floor(this.rng() * CALLS_MAX) : CALLS_MAX);
			died = point === 'by hand' || /^fault: /m.test(house.daemon.log);
			if (house.daemon.signalCode !== 'SIGKILL')
				problems.push(`it ended by itself: ${house.daemon.log.slice(-500)}`);
		}
		await house.kill();
		return { hit: died, problems, ms, folder: house.home };
	}

	/** The reconciler ends payments meanwhile: what is wrong has to stay wrong. */
	async #lastingProblems() {
		let found = [];
		await until('everything to be in order', async () => {
			found = await check(this, { calls: false });
			return found.length === 0;
		}, { deadlineMs: 5000 }).catch((error) => found.push(error.message));
		return found;
	}

	async #look(problems) {
		await this.#chainIsBooked().catch((error) => problems.push(error.message));
		for (const problem of await this.#lastingProblems()) {
			if (!this.known.has(problem))
				problems.push(problem);
			this.known.add(problem);
		}
		await this.#renew();
	}

	async end() {
		const problems = [];
		if (!this.house)
			return problems;
		await this.house.begin();
		await this.#look(problems);
		await this.house.stop();
		this.house.discard();
		await this.bed.stop();
		return problems;
	}
}
