// The bench: a fresh tallyward, an nginx seller, and the peers in turn. What is
// measured goes into a table; what is checked is said on the last line.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from '../e2e/bed/child.mjs';
import { policyOf, spend, calls } from '../e2e/bed/policies.mjs';
import { Tallyward, tallywardProgram } from '../e2e/bed/tallyward.mjs';
import { freePort, until } from '../e2e/bed/wait.mjs';
import { loadByFetch, loadByWrk } from './load.mjs';
import { report } from './report.mjs';
import { startProxy, startSeller } from './stub.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const RESULTS = path.resolve(here, '../../doc/bench/RESULTS.md');

const { values: options } = parseArgs({
	options: {
		short: { type: 'boolean' }, record: { type: 'boolean' },
		rounds: { type: 'string' }, seconds: { type: 'string' },
	},
});
const rounds = Number(options.rounds ?? (options.short ? 1 : 5));
const seconds = Number(options.seconds ?? (options.short ? 2 : 5));
const warmSeconds = options.short ? 0 : 1;
const CONNECTIONS = [1, 32];
/** Calls at once whose every answer is looked at and whose every payment is counted. */
const BURST = 100;

/** A limit in each window, none of which is ever reached. */
const POLICY = policyOf(
	spend('agent', 'call', '0.01'), spend('session', 'total', '90000'),
	spend('agent', 'minute', '90000'), spend('agent', 'hour', '90000'),
	spend('agent', 'day', '90000'), spend('agent', 'month', '90000'),
	spend('tool:seller', 'day', '90000'), spend('wallet', 'month', '90000'),
	calls('agent', 'minute', 1_000_000_000), calls('agent', 'day', 1_000_000_000));

// --- checks: about money and answers, never about time -----------------------

let passed = 0;
let failed = 0;

function check(what, test) {
	try {
		test();
		passed++;
	} catch (error) {
		failed++;
		process.stderr.write(`bench: not so: ${what}: ${error.message}\n`);
	}
}

// --- the ledger, read beside the daemon --------------------------------------

/** A payment has ended when it is settled (3), spent, expired or unused. */
async function ledgerCounts(tw) {
	const { code, stdout, stderr } = await run('sqlite3', ['-readonly', path.join(tw.dir, 'ledger.db'),
		'SELECT (SELECT count(*) FROM payment), (SELECT count(DISTINCT payment) FROM payment_state ' +
		'WHERE state = 3), (SELECT count(*) FROM journal WHERE event = 3), ' +
		'(SELECT count(*) FROM journal WHERE event = 4)']);
	assert.equal(code, 0, stderr);
	const [payments, settledStates, signs, settles] = stdout.trim().split('|').map(Number);
	return { payments, settledStates, signs, settles };
}

/** Wait until nothing is in flight any more; says what the ledger then holds. */
async function ledgerAtRest(tw, agent) {
	let counts;
	await until('calls in flight to end', async () => {
		const { assets: [wallet] } = await tw.must('wallet', 'show', agent.name);
		counts = await ledgerCounts(tw);
		return Number(wallet.open) === 0 && Number(wallet.reserved) === 0 &&
			counts.settles === counts.payments;
	}).catch((error) => process.stderr.write(`bench: ${error.message}\n`));
	return counts;
}

async function checkBooks(bed, what, before, answers, connections) {
	const after = await ledgerAtRest(bed.tw, bed.agent);
	const booked = after.payments - before.payments;
	check(`${what}: each answer has its payment (${booked} payments, ${answers} answers)`, () =>
		assert.ok(booked >= answers && booked <= answers + connections));
	check(`${what}: each payment is signed and settled in the journal, once`, () =>
		assert.deepEqual([after.signs, after.settles, after.settledStates],
			Array(3).fill(after.payments)));
	check(`${what}: what the seller has seen is what the ledger holds`, () =>
		assert.equal(bed.seller.paid() - bed.fetchCalls, after.payments));
}

async function verify(bed) {
	const { json, stdout, stderr } = await bed.tw.cli('ledger', 'verify');
	check(`ledger verify: ${stdout}${stderr}`, () => assert.equal(json?.ok, true));
}

// --- measurements ------------------------------------------------------------

async function paidByTallyward(bed, connections) {
	const before = await ledgerAtRest(bed.tw, bed.agent);
	const load = (duration) => loadByWrk(`${bed.tw.url}/t/seller/paid`, {
		connections, seconds: duration, pids: [bed.daemonPid], token: bed.agent.token,
	});
	const warm = warmSeconds ? await load(warmSeconds) : { calls: 0, failed: 0 };
	const found = await load(seconds);
	const what = `tallyward, ${connections} paid in flight`;
	check(`${what}: nothing but 200`, () => assert.equal(warm.failed + found.failed, 0));
	await checkBooks(bed, what, before, warm.calls + found.calls,
		connections * (warmSeconds ? 2 : 1));
	return found;
}

async function paidByFetch(bed, connections) {
	const before = bed.seller.paid();
	const found = await loadByFetch(`${bed.seller.url}/paid`, { connections, seconds, warmSeconds });
	bed.fetchCalls += bed.seller.paid() - before;
	check(`@x402/fetch, ${connections} paid in flight: nothing but 200`, () =>
		assert.equal(found.failed, 0));
	return found;
}

async function freeBy(name, url, pids, token, connections) {
	const load = (duration) => loadByWrk(url, { connections, seconds: duration, pids, token });
	if (warmSeconds)
		await load(warmSeconds);
	const found = await load(seconds);
	check(`${name}, ${connections} free in flight: nothing but 200`, () => assert.equal(found.failed, 0));
	return found;
}

const freeByTallyward = (bed, connections) => freeBy('tallyward',
	`${bed.tw.url}/t/seller/free`, [bed.daemonPid], bed.agent.token, connections);
const freeByNginx = (bed, connections) => freeBy('nginx',
	`${bed.proxy.url}/free`, bed.proxy.pids, null, connections);

/** Every single answer and every single payment, without a call cut off by the clock. */
async function exactBurst(bed) {
	const before = await ledgerAtRest(bed.tw, bed.agent);
	const answers = await Promise.all(Array.from({ length: BURST }, () =>
		bed.tw.call(bed.agent, 'seller', '/paid')));
	const after = await ledgerAtRest(bed.tw, bed.agent);
	check('a burst is answered 200 and said to be settled', () => {
		for (const answer of answers)
			assert.deepEqual([answer.status, answer.payment], [200, 'settled'], answer.text);
	});
	check('a burst has as many payments as answers', () =>
		assert.equal(after.payments - before.payments, BURST));
}

/** Pull the plug under load: whatever the seller was given is in the books. */
async function killUnderLoad(bed) {
	const { tw, seller, agent } = bed;
	const before = seller.paid();
	const load = run('wrk', ['--threads', '2', '--connections', '32', '--duration', '2s',
		'--header', `Authorization: Bearer ${agent.token}`, `${tw.url}/t/seller/paid`]);
	await until('payments to flow', () => seller.paid() >= before + 200);
	await tw.kill();
	await load;
	await tw.start();
	bed.daemonPid = tw.daemon.pid;
	const { payments, signs } = await ledgerCounts(tw);
	const seen = seller.paid() - bed.fetchCalls;
	check(`after a kill under load the ledger (${payments}) holds all the seller saw (${seen})`, () =>
		assert.ok(payments >= seen && payments <= seen + 32 && signs === payments));
}

/** How many payments share one fdatasync, when strace is there to count. */
async function paymentsPerSync(bed) {
	if (options.short || (await run('strace', ['-V']).catch(() => ({ code: 1 }))).code !== 0)
		return [];
	const rows = [];
	for (const connections of CONNECTIONS) {
		const before = await ledgerCounts(bed.tw);
		const trace = path.join(bed.tw.home, `strace-${connections}`);
		const tracing = run('strace', ['-f', '-qq', '-e', 'trace=fdatasync', '-o', trace,
			'-p', String(bed.daemonPid)]);
		await until('strace to attach', () => /TracerPid:\t[1-9]/.test(
			fs.readFileSync(`/proc/${bed.daemonPid}/status`, 'utf8')));
		await loadByWrk(`${bed.tw.url}/t/seller/paid`, {
			connections, seconds: 2, pids: [], token: bed.agent.token,
		});
		const after = await ledgerAtRest(bed.tw, bed.agent);
		const [, pid] = /TracerPid:\t(\d+)/.exec(fs.readFileSync(`/proc/${bed.daemonPid}/status`, 'utf8'));
		process.kill(Number(pid), 'SIGINT');
		await tracing;
		const syncs = fs.readFileSync(trace, 'utf8').split('\n')
			.filter((line) => line.includes('fdatasync(') && line.includes('= 0') ||
				line.includes('fdatasync resumed')).length;
		rows.push({ connections, payments: after.payments - before.payments, syncs });
	}
	return rows;
}

/** Nanoseconds of one decision, from a C program that needs no proxy. */
async function reserveInProcess() {
	const build = path.dirname(tallywardProgram());
	const program = path.join(build, 'tests', 'bench', 'reserve_bench');
	if (fs.existsSync(path.join(build, 'Makefile')))
		await run('make', ['-s', '-C', build, 'tests/bench/reserve_bench']);
	if (!fs.existsSync(program)) {
		process.stderr.write('bench: no reserve_bench beside the binary; left out\n');
		return [];
	}
	const { code, stdout, stderr } = await run(program, options.short ? ['10000'] : []);
	check(`reserve_bench: ${stderr}`, () => assert.equal(code, 0));
	return code === 0 ? stdout.trim().split('\n').map((line) => JSON.parse(line)) : [];
}

// --- one run -------------------------------------------------------------------

async function setUp() {
	const tw = await Tallyward.create();
	const port = await freePort();
	await tw.addTool('seller', `http://127.0.0.1:${port}`);
	const agent = await tw.addAgent('buyer', { policy: POLICY, usdc: '90000' });
	const seller = await startSeller(tw.home, agent.address, port);
	const proxy = await startProxy(tw.home, seller);
	await tw.start();
	return { tw, agent, seller, proxy, daemonPid: tw.daemon.pid, fetchCalls: 0 };
}

const MEASURED = [
	['paid', 'tallyward', paidByTallyward],
	['paid', '@x402/fetch', paidByFetch],
	['free', 'tallyward', freeByTallyward],
	['free', 'nginx', freeByNginx],
];

async function measure(bed) {
	const results = [];
	const disk = [];
	for (let round = 1; round <= rounds; round++) {
		disk.push(syncUs(bed.tw.home));
		for (const connections of CONNECTIONS) {
			// The peers take turns at going first.
			for (const [kind, peer, by] of round % 2 ? MEASURED : [...MEASURED].reverse()) {
				const found = await by(bed, connections);
				results.push({ round, connections, kind, peer, ...found });
				process.stderr.write(`round ${round}: ${peer}, ${connections} ${kind} in flight: ` +
					`${Math.round(found.calls / found.us * 1e6)}/s\n`);
			}
		}
		await exactBurst(bed);
		await verify(bed);
	}
	return { results, disk };
}

/** Microseconds of one fdatasync after writing 64 KiB over and over: what the disk can do. */
function syncUs(dir) {
	const file = fs.openSync(path.join(dir, 'sync'), 'w');
	const block = Buffer.alloc(65_536, 1);
	const found = [];
	for (let i = 0; i < 100; i++) {
		fs.writeSync(file, block, 0, block.length, 0);
		const begin = process.hrtime.bigint();
		fs.fdatasyncSync(file);
		found.push(Number(process.hrtime.bigint() - begin) / 1000);
	}
	fs.closeSync(file);
	return found.sort((a, b) => a - b)[found.length >> 1];
}

/** Where the ledger was: an fdatasync means nothing in memory. */
async function fileSystem(dir) {
	const { stdout } = await run('findmnt', ['-n', '-o', 'FSTYPE', '-T', dir]);
	return stdout.trim();
}

let bed;
try {
	bed = await setUp();
	const loadBefore = os.loadavg();
	const { results, disk } = await measure(bed);
	const { payments } = await ledgerCounts(bed.tw);
	const syncs = await paymentsPerSync(bed);
	await killUnderLoad(bed);
	await verify(bed);
	const version = await bed.tw.cli('--version');
	const text = report({
		results, disk, syncs, payments, rounds, seconds, loadBefore,
		reserve: await reserveInProcess(),
		command: ['tests/bench/run', ...process.argv.slice(2)].join(' '),
		versions: {
			tallyward: version.stdout.trim(),
			nginx: (await run('nginx', ['-v'])).stderr.trim().replace(/^.*: /, ''),
			fetch: JSON.parse(fs.readFileSync(path.join(here,
				'../e2e/node_modules/@x402/fetch/package.json'), 'utf8')).version,
		},
		fileSystem: await fileSystem(bed.tw.dir),
	});
	process.stdout.write(text);
	if (options.record) {
		fs.mkdirSync(path.dirname(RESULTS), { recursive: true });
		fs.writeFileSync(RESULTS, text);
	}
} catch (error) {
	failed++;
	process.stderr.write(`bench: ${error.stack}\n`);
} finally {
	await bed?.tw.close().catch((error) => {
		failed++;
		process.stderr.write(`bench: ${error.message}\n`);
	});
	await bed?.seller.stop();
	await bed?.proxy.stop();
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
