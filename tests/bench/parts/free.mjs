// Free calls beside nginx's proxy_pass.

import assert from 'node:assert/strict';
import { check, say } from '../check.mjs';
import { callsPick, callsTable, cpu, median, rate, ratio, spread, whole, within } from '../figures.mjs';
import { loadByWrk } from '../load.mjs';
import { withSite } from '../site.mjs';

export const name = 'free';
const ONE = 'tallyward, one worker';
const ALL = 'tallyward, a worker for each core';
const PEER = 'nginx, one worker';

async function byNginx(proxy, inFlight, { seconds, warmSeconds }) {
	const load = (duration) => loadByWrk(`${proxy.url}/free`,
		{ connections: inFlight, seconds: duration, pids: proxy.pids });
	if (warmSeconds)
		await load(warmSeconds);
	const found = await load(seconds);
	check(`nginx, ${inFlight} free in flight: nothing but 200`, () => assert.equal(found.failed, 0));
	return found;
}

export const measure = (options) => withSite({ settings: { workers: 1 } }, (one) => withSite({}, async (all) => {
	const proxy = await one.addProxy();
	const byTallyward = (site) => (inFlight) => site.measure('free', inFlight, options);
	const measured = [
		[ONE, [1, 32], byTallyward(one)],
		[PEER, [1, 32], (inFlight) => byNginx(proxy, inFlight, options)],
		[ALL, [32], byTallyward(all)],
	];
	const results = [];
	for (let round = 1; round <= options.rounds; round++)
		for (const [by, inFlights, load] of round % 2 ? measured : [...measured].reverse())
			for (const inFlight of inFlights) {
				const found = await load(inFlight);
				results.push({ round, inFlight, by, ...found });
				say(`free, round ${round}: ${by}, ${inFlight} in flight: ${Math.round(rate(found))}/s`);
			}
	return { results };
}));

const compare = ({ results }, by, inFlight, figure) =>
	within(callsPick(results, by, inFlight), callsPick(results, PEER, inFlight), figure);

export function targets(data) {
	const found = compare(data, ONE, 32, rate);
	const of = (by) => whole(median(callsPick(data.results, by, 32).map(rate)));
	return [{
		what: 'free calls/s through `/t/…`, identity + policy + limits + audit on, one worker',
		target: 'at least 0.5 × nginx proxy_pass, one worker',
		measured: `${ratio(found.mid)} × (${of(ONE)} and ${of(PEER)} a second)`,
		met: found.mid >= 0.5,
	}];
}

export const pairs = (data) => [1, 32].map((inFlight) => {
	const of = (by) => median(callsPick(data.results, by, inFlight).map(rate));
	return {
		what: `Free calls, ${inFlight} in flight, one worker each`,
		ours: of(ONE), peer: of(PEER), peerName: 'nginx', unit: 'calls/s',
	};
});

export function section(data) {
	const lines = [[ONE, 1], [ONE, 32], [ALL, 32]].map(([by, inFlight]) => {
		const calls = compare(data, by, inFlight, rate);
		return `- ${inFlight} in flight: ${by}, makes **${ratio(calls.mid)}** times the calls of nginx ` +
			`(${spread(calls)}), with ${ratio(compare(data, by, inFlight, cpu).mid)} times the processor time a call.`;
	});
	return `## Free calls

Through tallyward: token, policy, ten limits, an audit row in the hash chain. Through nginx's
proxy_pass: none of these. Both keep their connections to the seller. The load generator, the
proxy and the seller share the cores, so that a second worker has little left to work on.

${callsTable(data.results)}

${lines.join('\n')}
`;
}
