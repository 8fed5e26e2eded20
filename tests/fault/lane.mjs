// One data folder after another, killed again and again; see crash.mjs.

import fs from 'node:fs';
import path from 'node:path';
import { Books } from './books.mjs';
import { check } from './check.mjs';
import { DISK, WHEN } from './control.mjs';
import { House } from './house.mjs';
import { METERED, METERED_PRICE, ROOMY, TIGHT, attempt, newCall, pick, random, wantsRetry }
	from './load.mjs';
import { NETWORK, Seller } from './seller.mjs';

/** After so many kills a new folder: `ledger verify` reads it from its first row each time. */
const KILLS_A_FOLDER = 40;
/** Calls in flight, calls at most before the process is killed by hand, tries of one call. */
const IN_FLIGHT = 16;
const CALLS_MAX = 120;
const TRIES_MAX = 3;
/** A burst that lasts longer is not going to reach the point any more. */
const BURST_MS = 4000;
/** What a disk is given at once. */
const PAGE = 4096;
/** How long the seller that does not answer keeps what it holds. */
const HELD_MS = 150;

/** Points that only an owner's command passes, and those that a start passes. */
const COMMANDS = { 'command': 4, 'command written': 4, 'key': 2, 'key stored': 2, 'old key kept': 1,
	'key adopted': 1, 'file written': 3, 'file named': 3 };
const STARTS = new Set(['open', 'opened']);
/** Passages come often, or seldom: the kill is at one of the first so many. */
const SELDOM = { 'STEP_RECALL': 12, 'STEP_REPLAY': 3, 'STEP_COLLECT': 12, 'STEP_RECORD': 15,
	'round': 2, 'round copied': 2, 'round done': 2, 'checkpoint': 1, 'checkpoint done': 1,
	'anchor': 3, 'anchor written': 3, ...COMMANDS };
const OFTEN = 40;

/** "sync begun", "power: write done": the shim's own points. */
export const DISK_POINTS = ['write', 'sync', 'truncate'].flatMap((op) => ['begun', 'done']
	.flatMap((when) => ['', 'power: ', 'torn: '].map((how) => `${how}${op} ${when}`)))
	.filter((name) => !/: truncate/.test(name));

function diskPlan(point, rng) {
	const [, how, op, when] = /^(?:(\w+): )?(\w+) (\w+)$/.exec(point);
	const moment = how ? `${how}${when[0].toUpperCase()}${when.slice(1)}` : when;
	return { killOps: DISK[op], killWhen: WHEN[moment],
		killCount: 1 + Math.floor(rng() * { write: 100, sync: 60, truncate: 2 }[op]) };
}

export class Lane {
	constructor({ name, seed, say = () => {} }) {
		this.name = name;
		this.rng = random(seed);
		this.say = say;
		this.starts = [];
		this.folders = 0;
	}

	async #open() {
		this.seller = await Seller.open();
		this.house = await House.make({ points: true });
		this.books = new Books(this.house.database);
		this.calls = new Map();
		this.retries = [];
		this.agents = [];
		this.kills = 0;
		this.owed = [];
		this.known = new Set();
		const { house, seller } = this;
		await house.addTool('seller', seller.url);
		await house.addTool('metered', seller.url, '--billing', 'metered', '--price', METERED_PRICE);
		for (const [name, policy] of [['tight', TIGHT], ['roomy', ROOMY], ['meter', METERED]])
			await this.#addAgent(name, policy);
		this.folders++;
	}

	async #close() {
		await this.house?.stop('SIGKILL');
		this.house?.discard();
		await this.seller?.close();
		this.house = null;
	}

	async #addAgent(name, policy) {
		const made = await this.house.addAgent(name, { policy, usdc: '5.00' });
		this.agents.push({
			name, policy, metered: policy === METERED, sessions: [made.session],
			tokens: [{ session: made.session, token: made.token }],
		});
	}

	/** Who buys next: one agent with its newest session. */
	#buyer() {
		const agent = pick(this.rng, this.agents);
		return { ...agent, ...agent.tokens.at(-1) };
	}

	/** A session that has nothing left is followed by a new one, a day by a new agent. */
	async #renew() {
		for (const agent of this.agents) {
			const { limits } = await this.house.me(agent.tokens.at(-1));
			const left = (scope) => Math.min(...limits.filter((limit) =>
				limit.scope === scope && limit.measure === 'spend' && limit.window !== 'call')
				.map((limit) => Number(limit.remaining)));
			if (agent.policy === TIGHT && left('agent') < 0.004 && !agent.ended) {
				agent.ended = true;
				await this.#addAgent(`tight-${this.agents.length}`, TIGHT);
			} else if (left('session') < 0.004) {
				const issued = await this.house.must('token', 'issue', agent.name);
				agent.sessions.push(issued.session);
				agent.tokens = [agent.tokens.at(-1), { session: issued.session, token: issued.token }];
			}
		}
		this.agents = this.agents.filter((agent) => !agent.ended);
	}

	/** Many agents at once until the daemon is dead, or has had enough; then it is killed. */
	async #burst(callsMax) {
		const until = Date.now() + BURST_MS;
		const { daemon } = this.house;
		let begun = 0;
		const again = this.retries.splice(0);
		const work = async () => {
			while (!this.house.dead) {
				if (++begun > callsMax || Date.now() > until)
					daemon.kill('SIGKILL');
				const call = again.pop() ?? newCall(this.rng, this.name, this.#buyer());
				this.calls.set(call.id, call);
				await attempt(call, this.house.url);
				// At once, or when the daemon is there again.
				if (wantsRetry(call) && call.tries.length < TRIES_MAX)
					(this.rng() < 0.5 ? again : this.retries).push(call);
				// An answer that is known already is asked for once more.
				else if (call.key && call.tries.length === 1 && this.rng() < 0.3)
					again.push(call);
			}
		};
		const letGo = setInterval(() => this.seller.release(), HELD_MS);
		await Promise.all(Array.from({ length: IN_FLIGHT }, work));
		clearInterval(letGo);
		await daemon.ended;
	}

	/** An owner at work: each command is kept, or never was, and can be given again. */
	async #command() {
		const { house } = this;
		const name = `new-${this.calls.size}-${this.owed.length}`;
		const file = house.writeFile(`${name}.key`, `0x${[...Array(64)].map(() =>
			'0123456789abcdef'[Math.floor(this.rng() * 15) + 1]).join('')}\n`);
		const commands = [
			['agent', 'add', name, '--owner', 'owner@example.com',
				'--policy', house.writeFile(`${name}.policy.json`, JSON.stringify(ROOMY))],
			['wallet', 'deposit', name, '1.00', '--network', NETWORK],
			['wallet', 'import', name, '--key-file', file],
			['token', 'issue', name],
		];
		this.owed.push({ name, commands, file });
		for (const command of commands) {
			const { code } = await house.cli(...command);
			if (code !== 0)
				return;
		}
	}

	/** What a crash cut off is done again by its owner, and the agent can pay after it. */
	async #settleCommands(problems) {
		const { house } = this;
		for (const { name, commands, file } of this.owed.splice(0)) {
			const shown = await house.cli('agent', 'show', name);
			if (shown.code === 5) {
				const { code, stderr } = await house.cli(...commands[0]);
				if (code !== 0)
					problems.push(`agent add of ${name} again: ${stderr}`);
			}
			const wallet = await house.cli('wallet', 'show', name);
			if (!Number(wallet.json?.assets?.find((a) => a.network === NETWORK)?.available))
				await house.must(...commands[1]);
			const issued = await house.cli('token', 'issue', name);
			if (issued.code !== 0) {
				problems.push(`token issue for ${name}: ${issued.stderr}`);
				continue;
			}
			const agent = { name, policy: ROOMY, sessions: [issued.json.session],
				tokens: [{ session: issued.json.session, token: issued.json.token }] };
			const call = newCall(this.rng, this.name, { ...agent, ...agent.tokens[0] });
			call.target = `/settle/1000?id=${call.id}`;
			this.calls.set(call.id, call);
			const answer = await attempt(call, house.url);
			const { address } = (await house.cli('wallet', 'show', name)).json;
			const [signature] = this.seller.of(call.id);
			if (answer.status !== 200)
				problems.push(`agent ${name} cannot pay after a crash within its owner's commands: ` +
					`${JSON.stringify(answer)}`);
			else if (signature.from.toLowerCase() !== address.toLowerCase())
				problems.push(`agent ${name} pays from ${signature.from}, its wallet is ${address}`);
			fs.rmSync(file, { force: true });
			if (this.agents.length < 6 && answer.status === 200)
				this.agents.push(agent);
		}
	}

	/** Start and check. A start that was told to die is followed by one that is not. */
	async #begin(plan, problems) {
		const { house } = this;
		if (plan.at) {
			const died = await house.begin({ at: plan.at }).then(() => false, () => true);
			if (died)
				this.#noteDeath(plan);
			await house.kill();
		}
		const ms = await house.begin({ preload: Boolean(plan.disk), power: plan.power });
		this.starts.push(ms);
		// What is wrong once stays wrong: said once.
		for (const problem of await check(this, { powerCut: this.powerCut })) {
			if (!this.known.has(problem))
				problems.push(problem);
			this.known.add(problem);
		}
		await this.#settleCommands(problems);
	}

	#noteDeath(plan) {
		const { daemon } = this.house;
		plan.died = daemon.signalCode === 'SIGKILL' && /^fault: /m.test(daemon.log);
		if (daemon.signalCode !== 'SIGKILL')
			plan.crash = `it ended by itself (${daemon.signalCode ?? daemon.exitCode}): ` +
				daemon.log.slice(-500);
	}

	/** Memory that a file stands behind: the power leaves any part of it, or none, on the disk. */
	#spoilRedo() {
		const file = path.join(path.dirname(this.house.database), 'redo');
		const kept = pick(this.rng, [0, 0.5, 0.9, 1]);
		if (!fs.existsSync(file))
			return;
		const bytes = fs.readFileSync(file);
		for (let at = 0; at < bytes.length; at += PAGE)
			if (this.rng() >= kept)
				bytes.fill(0, at, at + PAGE);
		fs.writeFileSync(file, bytes);
	}

	#plan(point, tries) {
		const plan = { point };
		if (DISK_POINTS.includes(point)) {
			plan.disk = diskPlan(point, this.rng);
			plan.power = /:/.test(point);
		} else if (STARTS.has(point)) {
			plan.at = `${point}:1`;
		} else if (point !== 'by hand') {
			// A point that was missed is looked for nearer to the beginning.
			plan.passage = 1 + Math.floor(this.rng() ** (1 + tries) * (SELDOM[point] ?? OFTEN));
		}
		return plan;
	}

	/**
	 * Kill once at `point`. Returns { point, hit, problems, ms }: hit is false when the process
	 * never passed there and was killed by hand in the end.
	 */
	async kill(point, tries = 0) {
		if (this.house && (this.kills >= KILLS_A_FOLDER || this.broken))
			await this.#close();
		if (!this.house)
			await this.#open();
		this.broken = false;
		this.kills++;
		const problems = [];
		const plan = this.#plan(point, tries);
		await this.#begin(plan, problems);
		await this.#renew();
		if (!plan.at) {
			if (plan.disk)
				this.house.control.set(plan.disk);
			else if (plan.passage)
				this.house.control.arm(point, plan.passage);
			const owner = point in COMMANDS || this.rng() < 0.1 ? this.#command() : null;
			await this.#burst(point === 'by hand' ? 1 + Math.floor(this.rng() * CALLS_MAX) : CALLS_MAX);
			await owner;
			this.#noteDeath(plan);
		}
		if (plan.crash)
			problems.push(plan.crash);
		await this.house.kill();
		this.powerCut = Boolean(plan.power);
		if (this.powerCut)
			this.#spoilRedo();
		this.seller.release();
		return { point, hit: Boolean(plan.died) || point === 'by hand', problems,
			ms: this.starts.at(-1), folder: this.house.home };
	}

	/** The last crash of all wants to be looked at, too. */
	async end() {
		const problems = [];
		if (this.house) {
			await this.#begin({}, problems);
			await this.house.stop();
			const verified = await this.house.cli('ledger', 'verify');
			if (verified.code !== 0)
				problems.push(`ledger verify of the folder at rest: ${verified.stdout}${verified.stderr}`);
			await this.#close();
		}
		return problems;
	}
}
