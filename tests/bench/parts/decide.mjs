// One decision, in process: a C program that needs no proxy.

import assert from 'node:assert/strict';
import { check, say } from '../check.mjs';
import { median, table, whole } from '../figures.mjs';
import { runBuilt } from '../load.mjs';

export const name = 'decide';

const ROUNDS_MAX = 3;

async function round(options) {
	const text = await runBuilt('reserve_bench', options.short ? ['10000', '10000'] : []);
	const rows = text.trim().split('\n').map((line) => JSON.parse(line));
	check('reserve_bench has a figure for each', () => assert.ok(rows.length > 0));
	return rows;
}

export async function measure(options) {
	const rounds = [];
	while (rounds.length < Math.min(options.rounds, ROUNDS_MAX))
		rounds.push(await round(options));
	// The same rows in the same order each time.
	const rows = rounds[0].map((row, i) => ({ ...row, ns: median(rounds.map((each) => each[i].ns)) }));
	for (const row of rows)
		say(`decide: ${JSON.stringify(row)}`);
	return { rows };
}

const smallest = (values) => Math.min(...values);
const largest = (values) => Math.max(...values);

/** ns by one thread, where all else is smallest but for `key`, which is largest. */
function growth({ rows }, key) {
	const other = key === 'limits' ? 'past' : 'limits';
	const [least, most] = [smallest, largest].map((pick) => pick(rows.map((row) => row[key])));
	const at = (value) => rows.find((row) => row.threads === 1 && row[key] === value &&
		row[other] === smallest(rows.map((r) => r[other])));
	return { least, most, ratio: at(most).ns / at(least).ns };
}

export function targets(data) {
	const limits = growth(data, 'limits');
	const past = growth(data, 'past');
	const ns = (threads) => data.rows.find((row) => row.threads === threads).ns;
	const threads = largest(data.rows.map((row) => row.threads));
	return [{
		what: 'decide + reserve, in process',
		target: 'printed as ns per call',
		measured: `${whole(ns(1))} ns by one thread, ${whole(ns(threads))} ns by ${threads} on one agent`,
		met: true,
	}, {
		what: `decide + reserve, ${whole(limits.most)} limits in force instead of ${whole(limits.least)}`,
		target: 'growth at most logarithmic',
		measured: `${limits.ratio.toFixed(2)} ×`,
		met: limits.ratio <= Math.log(limits.most) / Math.log(limits.least),
	}, {
		what: `decide + reserve, ${whole(past.most)} payments in the windows instead of ${whole(past.least)}`,
		target: 'no growth',
		measured: `${past.ratio.toFixed(2)} ×`,
		met: past.ratio <= 1.1,
	}];
}

export const section = ({ rows }) => `## One decision, in process

\`reserve_bench\`: read the totals, decide, hold, release; all threads on one agent, so
that all of them want the same lock. With a past, so many payments lie spread over the last 31
days, in the windows of its limits. "At most logarithmic" is met when 10,000 limits cost at
most four times what ten do; "no growth" allows a tenth for the machine's own noise.

${table(['limits in force', 'of which speak about the call', 'payments in the windows', 'threads',
		'ns per call of reserve_ask and reserve_release'],
	rows.map((r) => [whole(r.limits), whole(r.applying), whole(r.past), r.threads, whole(r.ns)]))}
`;
