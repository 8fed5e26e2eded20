// What a proxy adds to a call that is due at a fixed time.

import assert from 'node:assert/strict';
import { check, say } from '../check.mjs';
import { median, milli, table } from '../figures.mjs';
import { loadByPace } from '../load.mjs';
import { withSite } from '../site.mjs';

export const name = 'latency';
const RATE = 3000;
const CONNECTIONS = 64;

export const measure = (options) => withSite({}, async (site) => {
	const proxy = await site.addProxy();
	const calls = RATE * options.seconds;
	const direct = (url, pids) => (count) =>
		loadByPace(`${url}/free`, { connections: CONNECTIONS, rate: RATE, calls: count, pids });
	const measured = [
		['the seller itself', direct(site.seller.url, site.seller.pids)],
		['nginx', direct(proxy.url, proxy.pids)],
		['tallyward', (count) => site.callTimes('free', CONNECTIONS, count, RATE)],
	];
	const results = [];
	for (let round = 1; round <= options.rounds; round++)
		for (const [by, load] of round % 2 ? measured : [...measured].reverse()) {
			if (options.warmSeconds)
				await load(RATE * options.warmSeconds);
			const found = await load(calls);
			check(`${by} at a fixed rate: nothing but 200`, () => assert.equal(found.failed, 0));
			results.push({ round, by, ...found });
			say(`latency, round ${round}: ${by}: p50 ${found.p50} µs, p99 ${found.p99} µs`);
		}
	return { results };
});

const of = ({ results }, by) => results.filter((found) => found.by === by);

/** Round by round: percentile through a proxy less that of the seller itself. */
function added(data, by, key) {
	const base = of(data, 'the seller itself');
	return median(of(data, by).map((found, i) => found[key] - base[i][key]));
}

export const targets = (data) => [{
	what: 'latency added to a free call at 3,000 calls/s',
	target: 'p99 under 0.45 ms',
	measured: `p99 ${milli(added(data, 'tallyward', 'p99'))} ms, p50 ${milli(added(data, 'tallyward', 'p50'))} ms ` +
		`(nginx: ${milli(added(data, 'nginx', 'p99'))} and ${milli(added(data, 'nginx', 'p50'))} ms)`,
	met: added(data, 'tallyward', 'p99') < 450,
}];

export function section(data) {
	const rows = ['the seller itself', 'nginx', 'tallyward'].map((by) => {
		const found = of(data, by);
		const middle = (key) => milli(median(found.map((one) => one[key])));
		const p99s = found.map((one) => one.p99);
		const more = (key) => by === 'the seller itself' ? '' : milli(added(data, by, key));
		return [by, middle('p50'), middle('p90'), middle('p99'),
			`${milli(Math.min(...p99s))} to ${milli(Math.max(...p99s))}`, middle('max'), more('p50'), more('p99')];
	});
	return `## Latency added at a fixed rate

${RATE.toLocaleString('en-US')} free calls a second over ${CONNECTIONS} connections, by \`tests/bench/pace\`. Each call is due at
a moment laid down beforehand and its latency counts from then on, so that whoever stalls is
charged for all that came due meanwhile. Added: percentile less that of the seller itself, in
the same round.

${table(['by', 'p50 ms', 'p90 ms', 'p99 ms', 'p99, lowest to highest', 'longest ms', 'added p50 ms', 'added p99 ms'],
		rows)}
`;
}
