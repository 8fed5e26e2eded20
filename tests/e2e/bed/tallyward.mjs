// Drives the real program: its command line, its daemon, and HTTP as an agent
// speaks it. Nothing here knows how tallyward works inside; it uses what an
// owner, an agent and an auditor have.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseUnits } from 'viem';
import { end, run, start } from './child.mjs';
import { NETWORK } from './chain.mjs';
import { freePort, until } from './wait.mjs';
import { Wire } from './wire.mjs';

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

/** As much as the proxy passes on, and more than node takes by default. */
const HEAD_SIZE_MAX = 256 * 1024;

/** Longest start; a tool that interprets the daemon makes it some fifty times as long. */
const READY_MS_MAX = 20_000;
const READY_MS_MAX_UNDER = 300_000;

/** Decimal dollars as the books write them, to micro-dollars. */
export const micros = (dollars) => parseUnits(dollars, 6);

/** The binary under test. */
export function tallywardProgram() {
	const places = [
		process.env.TALLYWARD,
		path.join(repository, 'build', 'tallyward'),
		path.join(repository, 'tallyward'),
	].filter(Boolean);
	const found = places.find((place) => fs.existsSync(place));
	if (!found)
		throw new Error(`no tallyward to test; looked for ${places.join(', ')} (set TALLYWARD)`);
	return path.resolve(found);
}

/** An answer as the agent got it. */
class Answer {
	constructor(response, body) {
		this.status = response.statusCode;
		this.headers = response.headers;
		this.rawHeaders = response.rawHeaders;
		this.body = body;
	}

	get text() {
		return this.body.toString('utf8');
	}

	get json() {
		return JSON.parse(this.text);
	}

	/** The refusal, after checking that it is a proper problem document. */
	get problem() {
		assert.match(this.headers['content-type'] ?? '', /^application\/problem\+json/,
			`${this.status} is no problem document: ${this.text.slice(0, 300)}`);
		const problem = this.json;
		assert.equal(problem.status ?? this.status, this.status);
		assert.equal(typeof problem.code, 'string', this.text);
		return problem;
	}

	/** "settled" or "open", when something was signed. */
	get payment() {
		return this.headers['tallyward-payment'];
	}

	get cost() {
		return this.headers['tallyward-cost'];
	}
}

/**
 * Send one HTTP request; resolves when the answer is complete.
 *
 * signal    hangs up; the promise then rejects
 * onHead    sees the response as soon as its head is there
 * tls       options of node's tls, for an https URL
 */
export function send(url, { method = 'GET', headers = {}, body, signal, onHead, tls } = {}) {
	return new Promise((resolve, reject) => {
		const client = url.startsWith('https:') ? https : http;
		const request = client.request(url,
			{ method, headers, signal, agent: false, maxHeaderSize: HEAD_SIZE_MAX, ...tls });
		request.on('error', reject);
		request.on('response', (response) => {
			onHead?.(response);
			const chunks = [];
			response.on('data', (chunk) => chunks.push(chunk));
			response.on('error', reject);
			response.on('aborted', () => reject(new Error('the answer was cut short')));
			response.on('end', () => resolve(new Answer(response, Buffer.concat(chunks))));
		});
		if (body !== undefined && typeof body.pipe === 'function')
			body.pipe(request);
		else
			request.end(body);
	});
}

export class Tallyward {
	agents = new Map();
	/** What connect() opened, until hangUp(). */
	wires = [];
	daemon = null;
	/** A program, with its options, that the daemon runs under. */
	under = [];
	/** What the daemon finds in its environment; the command line does not. */
	env = {};
	/** Options of node's tls, once its listeners speak TLS. */
	tls = null;

	/** A new data folder, known to `chain` when one is given. */
	static async create({ chain = null, settings = {} } = {}) {
		const tw = new Tallyward();
		tw.program = tallywardProgram();
		tw.chain = chain;
		tw.home = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-e2e-'));
		tw.dir = path.join(tw.home, 'data');
		await tw.must('init');
		tw.configure(settings);
		if (chain)
			await tw.must('network', 'set', NETWORK, '--rpc', chain.url);
		return tw;
	}

	/** Change keys of the configuration file; takes effect at the next start or reload(). */
	configure(settings) {
		const file = path.join(this.dir, 'tallyward.json');
		const now = JSON.parse(fs.readFileSync(file, 'utf8'));
		fs.writeFileSync(file, JSON.stringify({ ...now, ...settings }, null, 2));
	}

	// --- the command line ------------------------------------------------

	/** Run a command. Returns { code, stdout, stderr, json }; never throws. */
	async cli(...args) {
		const result = await run(this.program, args.map(String), {
			cwd: this.home, env: { TALLYWARD_DIR: this.dir },
		});
		try {
			result.json = JSON.parse(result.stdout);
		} catch {
			result.json = null;
		}
		return result;
	}

	/** Run a command that must succeed; returns its JSON, or its text. */
	async must(...args) {
		const { code, stdout, stderr, json } = await this.cli(...args);
		assert.equal(code, 0, `tallyward ${args.join(' ')}: exit ${code}: ${stderr || stdout}`);
		return json ?? stdout;
	}

	/**
	 * An owner's command to the running daemon, without a process in between: what comes
	 * after its answer comes after nothing else, and a thousand of them take seconds.
	 * Returns { status, text, ok, result, error }.
	 */
	command(name, args) {
		return new Promise((resolve, reject) => {
			const request = http.request({
				socketPath: path.join(this.dir, 'admin.sock'), path: '/command', method: 'POST',
				headers: { 'content-type': 'application/json' },
			});
			request.on('error', reject).on('response', (response) => {
				let text = '';
				response.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
				response.on('error', reject).on('end', () => {
					try {
						resolve({ status: response.statusCode, text, ...JSON.parse(text) });
					} catch (error) {
						reject(error);
					}
				});
			});
			request.end(JSON.stringify({ command: name, args }));
		});
	}

	/** A command that the running daemon must carry out; returns its result. */
	async mustCommand(name, args) {
		const { ok, result, text } = await this.command(name, args);
		assert.ok(ok, `${name}: ${text}`);
		return result;
	}

	addTool(name, url, ...options) {
		return this.must('tool', 'add', name, url, ...options);
	}

	/**
	 * Add an agent: `policy` as an object, `usdc` the money it gets, minted on
	 * the chain and booked as its owner's deposit.
	 */
	async addAgent(name, { owner = 'owner@example.com', policy, usdc = '10.00' } = {}) {
		const args = ['agent', 'add', name, '--owner', owner];
		if (policy)
			args.push('--policy', this.writeFile(`${name}.policy.json`, JSON.stringify(policy, null, 2)));
		const agent = { ...await this.must(...args), name, owner };
		this.agents.set(name, agent);
		if (usdc && micros(usdc) > 0n)
			await this.fund(name, usdc);
		return agent;
	}

	/** Add an agent without money to the running daemon, which is quick. */
	addAgentLive(name, policy, owner = 'owner@example.com') {
		return this.mustCommand('agent.add', {
			name, owner, policy: JSON.stringify(policy), policy_path: `${name}.policy.json`,
		});
	}

	async fund(name, usdc) {
		await this.chain?.mint(this.agents.get(name).address, micros(usdc));
		await this.must('wallet', 'deposit', name, usdc, '--network', NETWORK);
	}

	/** A file in the scratch folder, for commands that read one. */
	writeFile(name, text, mode = 0o600) {
		const file = path.join(this.home, name);
		fs.writeFileSync(file, text, { mode });
		return file;
	}

	setPolicy(agent, policy) {
		return this.must('policy', 'set', agent,
			this.writeFile(`${agent}.policy.json`, JSON.stringify(policy)));
	}

	// --- the daemon ------------------------------------------------------

	/** Start serving and wait until it says that it is ready. */
	async start(...options) {
		const port = this.port ??= await freePort();
		const adminPort = this.adminPort ??= await freePort();
		this.url = `${this.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
		this.adminUrl = `${this.tls ? 'https' : 'http'}://127.0.0.1:${adminPort}`;
		const [program, ...rest] = [...this.under, this.program, 'serve',
			'--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`, ...options];
		this.daemon = start(program, rest,
			{ cwd: this.home, env: { TALLYWARD_DIR: this.dir, ...this.env } });
		await this.ready();
		return this;
	}

	ready() {
		return until('tallyward to be ready', async () => {
			const { exitCode, signalCode, log } = this.daemon;
			if (exitCode !== null || signalCode !== null)
				throw new Error(`it ended (${exitCode ?? signalCode}): ${log.slice(-2000)}`);
			return (await send(`${this.url}/readyz`, { tls: this.tls })).status === 200;
		}, { deadlineMs: this.under.length > 0 ? READY_MS_MAX_UNDER : READY_MS_MAX });
	}

	/** Stop as an init system would; says how it ended. */
	async stop(signal = 'SIGTERM') {
		if (!this.daemon)
			return null;
		const daemon = this.daemon;
		this.daemon = null;
		const ending = await end(daemon, signal);
		this.log = daemon.log;
		return ending;
	}

	/** End it as a power cut would. */
	kill() {
		return this.stop('SIGKILL');
	}

	/** SIGHUP; resolves to the lines that the daemon logged about it, the verdict last. */
	reload() {
		const { stderr } = this.daemon;
		return new Promise((resolve, reject) => {
			let text = '';
			const timer = setTimeout(() => done(reject, new Error(`no reload: ${text}`)), 20_000);
			const done = (settle, value) => {
				clearTimeout(timer);
				stderr.off('data', look);
				settle(value);
			};
			const look = (chunk) => {
				text += chunk;
				const verdict = /^.* event=(reloaded|reload_refused) .*$/m.exec(text);
				if (verdict && text.indexOf('\n', verdict.index) >= 0)
					done(resolve, text.slice(0, verdict.index + verdict[0].length));
			};
			stderr.on('data', look);
			this.daemon.kill('SIGHUP');
		});
	}

	async restart() {
		await this.stop();
		return this.start();
	}

	/** Stop, check that it ended well, and throw the data folder away. */
	async close() {
		const ending = await this.stop();
		if (!process.env.TALLYWARD_KEEP)
			fs.rmSync(this.home, { recursive: true, force: true });
		if (ending)
			assert.deepEqual(ending, { code: 0, signal: null }, `it did not stop well: ${this.log}`);
	}

	// --- the agent's side ------------------------------------------------

	/** Call a tool as an agent does. `who` is an agent (or a bare token, or null). */
	call(who, tool, target, { headers = {}, ...options } = {}) {
		const token = who?.token ?? who;
		const authorization = token ? { authorization: `Bearer ${token}` } : {};
		return send(`${this.url}/t/${tool}${target}`, {
			tls: this.tls, ...options, headers: { ...authorization, ...headers },
		});
	}

	/** A connection on which an agent says what it likes. */
	async connect() {
		const wire = await Wire.connect(this.url);
		this.wires.push(wire);
		return wire;
	}

	/** Every such connection is gone. */
	hangUp() {
		for (const wire of this.wires.splice(0))
			wire.close();
	}

	async me(who) {
		const answer = await send(`${this.url}/v1/me`, {
			tls: this.tls,
			headers: { authorization: `Bearer ${who.token ?? who}` },
		});
		assert.equal(answer.status, 200, answer.text);
		return answer.json;
	}

	/** One limit as /v1/me tells it. */
	async limit(who, scope, window, measure = 'spend') {
		const { limits } = await this.me(who);
		const found = limits.find((l) =>
			l.scope.split(':')[0] === scope && l.window === window && l.measure === measure);
		assert.ok(found, `no ${scope}/${window}/${measure} in ${JSON.stringify(limits)}`);
		return found;
	}

	// --- the books -------------------------------------------------------

	statement(agent) {
		return this.must('ledger', 'statement', agent);
	}

	async payments(agent, state) {
		const all = await this.must('payment', 'list');
		return all.filter((p) => (!agent || p.agent === agent) && (!state || p.state === state));
	}

	/**
	 * The owner says that a signature was never used, although the seller could
	 * still cash it for some seconds: hence the force.
	 */
	giveBack(payment) {
		return this.must('payment', 'resolve', payment, '--unused', '--yes', '--force');
	}

	/** The USDC row of `wallet show`. */
	async wallet(agent) {
		const { assets } = await this.must('wallet', 'show', agent);
		return assets.find((a) => a.network === NETWORK)
			?? { available: '0', reserved: '0', open: '0', spent: '0' };
	}

	async verify() {
		const { code, json, stdout, stderr } = await this.cli('ledger', 'verify');
		assert.ok(json, `ledger verify: ${stdout}${stderr}`);
		assert.deepEqual(json.problems, []);
		assert.equal(json.ok, true);
		assert.equal(code, 0);
		return json;
	}

	/** No call is in flight: an answer may reach the agent before its last row is written. */
	async quiet() {
		// One agent after the other: each look starts the program, and there may be many.
		for (const { name } of this.agents.values())
			await until(`nothing to be set aside for ${name}`, async () =>
				micros((await this.wallet(name)).reserved) === 0n);
		// What was set aside may have been signed since.
		await until('all payments to have their end', async () =>
			(await this.payments(null, 'signed')).length === 0);
	}

	/** Money moves by postings alone: from - amount, to + amount. */
	#sums(statement) {
		const sums = new Map();
		const add = (network, account, amount) => {
			const key = `${network} ${account}`;
			sums.set(key, (sums.get(key) ?? 0n) + amount);
		};
		for (const { network, from, to, amount } of statement) {
			add(network, from, -micros(amount));
			add(network, to, micros(amount));
		}
		return sums;
	}

	/**
	 * Payments without proof or decision whose signature was cashed although no
	 * receipt said so. "expired" may mean that only the time is over.
	 */
	async #cashedUnseen(agent) {
		let cashed = 0n;
		for (const payment of await this.payments(agent.name)) {
			if (!['signed', 'open', 'expired'].includes(payment.state) || payment.network !== NETWORK)
				continue;
			// authorizationState is also true of one that was cancelled.
			const used = await this.chain.authorizationsUsed({ authorizer: agent.address, nonce: payment.nonce });
			if (used.length > 0)
				cashed += micros(payment.amount);
		}
		return cashed;
	}

	/** A seller that lost its buyer may still be settling; wait for the chain to rest. */
	#assertOnChain(agent, booked, drift) {
		return until(`the chain to agree with ${agent.name}'s books`, async () => {
			const unseen = await this.#cashedUnseen(agent);
			const balance = await this.chain.balanceOf(agent.address);
			assert.equal(booked - unseen, balance + drift);
			return true;
		});
	}

	/**
	 * Do the books agree with themselves and with the chain?
	 *
	 * `ledger verify` is clean; for each agent and asset, what `wallet show`
	 * says is the sum of its statement; and available + open is what the chain
	 * says, less the open signatures that were cashed in silence. `drift` says,
	 * by agent, how far an owner's decision moved the books from the chain.
	 */
	async assertBooks({ drift = {} } = {}) {
		await this.quiet();
		await this.verify();
		for (const agent of this.agents.values()) {
			const statement = await this.statement(agent.name);
			const sums = this.#sums(statement);
			const { assets } = await this.must('wallet', 'show', agent.name);
			for (const asset of assets) {
				const sum = (suffix) => [...sums]
					.filter(([key]) => key.startsWith(`${asset.network} ${suffix}`))
					.reduce((total, [, amount]) => total + amount, 0n);
				const says = (name) => micros(asset[name]);
				const where = `${agent.name} ${asset.network}`;
				if (asset.network === NETWORK) {
					assert.equal(says('reserved'), 0n, `${where}: nothing is in flight`);
					assert.equal(says('available'), sum(`wallet/${agent.name}/available`), `${where} available`);
				}
				assert.equal(says('open'), sum(`wallet/${agent.name}/open`), `${where} open`);
				assert.equal(says('spent'), sum(`spent/${agent.name}/`), `${where} spent`);
				if (this.chain && asset.network === NETWORK)
					await this.#assertOnChain(agent, says('available') + says('open'),
						drift[agent.name] ?? 0n);
			}
		}
	}
}
