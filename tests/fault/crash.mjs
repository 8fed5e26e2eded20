// The crash matrix: tests/fault/crash says how it is called and README.md what it does.
//
// This process deals kills to lanes, which are processes of their own with a data folder each,
// and adds up what they tell.

import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faultProgram, pointNames } from './house.mjs';
import { DISK_POINTS, Lane } from './lane.mjs';
import { pick, random } from './load.mjs';
import { OFFICIAL_POINTS, OfficialLane } from './official.mjs';

/** How often a point that was missed is tried again before that is a failure. */
const TRIES_MAX = 6;
const LANES = 2;
/** Of the long and of the short form, how many kills are against the official seller. */
const OFFICIAL = { long: 100, short: 4 };

const say = (text) => process.stdout.write(`${text}\n`);

// --- a lane, in its own process ------------------------------------------------

async function beLane(name, seed) {
	const lane = name === 'official' ? new OfficialLane({ name, seed }) : new Lane({ name, seed });
	process.on('message', async (order) => {
		try {
			if (order.end) {
				process.send({ ended: true, problems: await lane.end(), folders: lane.folders });
				process.disconnect();
			} else {
				process.send({ ...order, ...await lane.kill(order.point, order.tries) });
			}
		} catch (error) {
			const problems = [`the test itself failed: ${error.stack}`];
			lane.broken = true;
			process.send(order.end ? { ended: true, problems, folders: lane.folders }
				: { ...order, hit: false, problems });
			if (order.end)
				process.exit(0);
		}
	});
}

// --- the driver -------------------------------------------------------------------

/** Every point as often as the others; what is left over is dealt at random. */
function plan(points, kills, rng) {
	const list = [];
	while (list.length + points.length <= kills)
		list.push(...points);
	while (list.length < kills)
		list.push(pick(rng, points));
	for (let i = list.length - 1; i > 0; i--) {
		const j = Math.floor(rng() * (i + 1));
		[list[i], list[j]] = [list[j], list[i]];
	}
	return list.map((point) => ({ point, tries: 0 }));
}

const OFFICIAL_ROW = 'official seller and chain';

class Tally {
	points = new Map();
	starts = [];
	problems = [];
	folders = 0;

	constructor(points) {
		for (const point of points)
			this.points.set(point, { kills: 0, restarts: 0, problems: 0, missed: 0 });
	}

	note({ point, hit, problems, ms, folder, tries = 0 }) {
		const row = this.points.get(point);
		row.restarts++;
		if (ms)
			this.starts.push(ms);
		if (hit)
			row.kills++;
		else if (tries + 1 >= TRIES_MAX)
			row.missed++;
		row.problems += problems.length;
		for (const problem of problems) {
			this.problems.push({ point, problem });
			say(`PROBLEM at "${point}": ${problem}${folder ? ` (${folder})` : ''}`);
		}
	}

	get kills() {
		return [...this.points.values()].reduce((sum, row) => sum + row.kills, 0);
	}

	/** Points that the process was never killed at, though it was asked to. */
	get unreached() {
		return [...this.points].filter(([, row]) => row.kills === 0 && row.missed > 0)
			.map(([point]) => point);
	}

	table() {
		const rows = [...this.points].map(([point, row]) =>
			`| ${point} | ${row.kills} | ${row.restarts} | ${row.problems} |`);
		return ['| point | kills | restarts | problems |', '|---|--:|--:|--:|', ...rows].join('\n');
	}

	startMs(share) {
		const sorted = [...this.starts].sort((a, b) => a - b);
		return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
	}
}

/** Deal orders to a lane until there are none left. */
function runLane(name, seed, orders, tally, onKill) {
	return new Promise((resolve) => {
		const child = fork(fileURLToPath(import.meta.url), ['--lane', name, '--seed', String(seed)]);
		const row = (point) => (name === 'official' ? OFFICIAL_ROW : point);
		const fault = (problem) => tally.note({ point: row('by hand'), hit: false, problems: [problem] });
		const next = () => child.send(orders.shift() ?? { end: true });
		child.on('message', (told) => {
			if (told.ended) {
				tally.folders += told.folders;
				told.problems.forEach(fault);
				return;
			}
			tally.note({ ...told, point: row(told.point) });
			onKill();
			// Killed by hand instead: that was a kill as well, and the point is looked for again.
			if (!told.hit && told.tries + 1 < TRIES_MAX)
				orders.push({ point: told.point, tries: told.tries + 1 });
			next();
		});
		child.on('exit', (code) => {
			if (code !== 0)
				fault(`lane ${name} ended with ${code}`);
			resolve();
		});
		next();
	});
}

const CHECKED = `After each restart, on the database file itself (sqlite3) and over the daemon's own doors:

- every signature that ever reached the seller has its payment row, with exactly those bytes;
- one purchase has one signature: with an Idempotency-Key always, without one as long as its
  payment is open;
- no limit is crossed (call, session, day, month, total; agent, session, tool, payee), by the
  ledger's rows and by the seller's own count of signatures;
- /v1/me's counters and wallet are the sums of the rows;
- no payment is still "signed" and no hold without an end; no row that was seen is gone;
- whatever an agent was told that it cost has its row;
- every call that was answered has its audit row, but for those with an open payment, whose row is
  written when the last bytes have gone out, and after a power cut;
- an owner's command that was cut off is kept or never was, can be given again, and its agent
  can pay with the key that its wallet shows;
- \`ledger verify\` is ok.`;

function record(file, tally, { seed, seconds, lanes }) {
	const cpu = os.cpus()[0]?.model ?? 'unknown processor';
	fs.writeFileSync(file, `# Crash matrix

${new Date().toISOString().slice(0, 10)}, ${os.cpus().length} × ${cpu}, Linux ${os.release()},
by \`tests/fault/crash --seed ${seed}\`; ${Math.round(seconds / 60)} minutes on ${lanes} lanes.

${tally.kills} kills at their point in ${tally.folders} data folders; ${tally.problems.length} problems.
A start to the first 200 of /readyz took ${tally.startMs(0.5)} ms (median), ${tally.startMs(0.99)} ms
(99 %), with a passphrase derivation that costs nothing; the real one adds 0.3 s.

Each kill is a SIGKILL in the middle of 16 calls at once (paid, free and metered, GET and POST,
with and without an Idempotency-Key, and retries of calls whose outcome is not known) against a
seller that settles, stays silent, asks again, fails, hangs up or does not answer. "power" kills
also take back everything that was not synced, "torn" ones sectors of it at random.

${CHECKED}

${tally.table()}

${tally.problems.length === 0 ? 'No problem was found in this run.'
		: tally.problems.map(({ point, problem }) => `- "${point}": ${problem}`).join('\n')}
`);
}

async function main() {
	const { values } = parseArgs({
		options: {
			kills: { type: 'string' }, official: { type: 'string' }, seed: { type: 'string' }, points: { type: 'string' },
			lanes: { type: 'string' }, short: { type: 'boolean' }, record: { type: 'string' },
			list: { type: 'boolean' }, lane: { type: 'string' },
		},
	});
	const seed = Number(values.seed ?? Date.now() % 1_000_000);
	if (values.lane)
		return beLane(values.lane, seed);
	const all = ['by hand', ...pointNames(), ...DISK_POINTS];
	if (values.list)
		return say(all.join('\n'));
	const wanted = values.points?.split(',').map((word) => word.trim());
	const points = all.filter((point) => !wanted || wanted.some((word) => point.includes(word)));
	if (points.length === 0)
		throw new Error(`no point is named ${values.points}: see --list`);
	const kills = values.short ? points.length : Number(values.kills ?? 2000);
	const lanes = Number(values.lanes ?? LANES);
	const official = Number(values.official ?? (wanted ? 0 : OFFICIAL[values.short ? 'short' : 'long']));
	const tally = new Tally(['by hand', ...points.filter((point) => point !== 'by hand'), OFFICIAL_ROW]);
	const orders = plan(points, kills, random(seed));
	const began = performance.now();
	say(`crash: ${kills} kills at ${points.length} points of ${faultProgram()}, seed ${seed}`);
	let done = 0;
	const progress = () => {
		if (++done % 100 === 0)
			say(`crash: ${done} restarts, ${tally.kills} kills, ${tally.problems.length} problems, ` +
				`${Math.round((performance.now() - began) / 1000)} s`);
	};
	await Promise.all(Array.from({ length: lanes }, (_, i) =>
		runLane(String.fromCharCode(97 + i), seed * 100 + i, orders, tally, progress)));
	if (official > 0)
		await runLane('official', seed, plan(OFFICIAL_POINTS, official, random(seed)), tally, progress);
	const seconds = (performance.now() - began) / 1000;
	say(tally.table());
	say(`starts: median ${tally.startMs(0.5)} ms, 99 % ${tally.startMs(0.99)} ms; ` +
		`${Math.round(seconds)} s; seed ${seed}`);
	for (const point of tally.unreached)
		say(`NOT REACHED: "${point}"`);
	if (values.record)
		record(values.record, tally, { seed, seconds, lanes });
	const bad = [...tally.points.values()].filter((row) => row.problems > 0).length +
		tally.unreached.length;
	say(`${tally.points.size - bad} passed, ${bad} failed`);
	process.exitCode = bad === 0 ? 0 : 1;
}

await main().catch((error) => {
	say(error.stack);
	say('0 passed, 1 failed');
	process.exitCode = 1;
});
