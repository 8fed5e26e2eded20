// Paid calls beside @x402/fetch.

import assert from 'node:assert/strict';
import { callsPick, callsTable, median, rate, ratio, spread, within } from '../figures.mjs';
import { check, say } from '../check.mjs';
import { loadByFetch } from '../load.mjs';
import { withSite } from '../site.mjs';

export const name = 'paid';
const PEER = '@x402/fetch';
const IN_FLIGHT = [1, 32];
/** Calls at once whose every answer is looked at and whose every payment is counted. */
const BURST = 100;

/** Every single answer and every single payment, without a call cut off by the clock. */
async function exactBurst(site) {
	const before = await site.atRest();
	const answers = await Promise.all(Array.from({ length: BURST }, () =>
		site.tw.call(site.agent, 'seller', '/paid')));
	const after = await site.atRest();
	check('a burst is answered 200 and said to be settled', () => {
		for (const answer of answers)
			assert.deepEqual([answer.status, answer.payment], [200, 'settled'], answer.text);
	});
	check('a burst has as many payments as answers', () =>
		assert.equal(after.payments - before.payments, BURST));
}

async function byFetch(site, inFlight, { seconds, warmSeconds }) {
	const before = site.seller.paid();
	const found = await loadByFetch(`${site.seller.url}/paid`, { connections: inFlight, seconds, warmSeconds });
	site.paidElsewhere += site.seller.paid() - before;
	check(`${PEER}, ${inFlight} paid in flight: nothing but 200`, () => assert.equal(found.failed, 0));
	return found;
}

const MEASURED = [
	['tallyward', (site, inFlight, options) => site.measure('paid', inFlight, options)],
	[PEER, byFetch],
];

export const measure = (options) => withSite({}, async (site) => {
	const results = [];
	for (let round = 1; round <= options.rounds; round++) {
		for (const inFlight of IN_FLIGHT) {
			// The peers take turns at going first.
			for (const [by, load] of round % 2 ? MEASURED : [...MEASURED].reverse()) {
				const found = await load(site, inFlight, options);
				results.push({ round, inFlight, by, ...found });
				say(`paid, round ${round}: ${by}, ${inFlight} in flight: ${Math.round(rate(found))}/s`);
			}
		}
		await exactBurst(site);
		await site.verify();
	}
	return { results, payments: (await site.counts()).payments };
});

const compare = ({ results }, inFlight, figure) =>
	within(callsPick(results, 'tallyward', inFlight), callsPick(results, PEER, inFlight), figure);

export function targets(data) {
	const throughput = compare(data, 32, rate);
	const latency = compare(data, 1, (found) => found.p50);
	const of = (by) => Math.round(median(callsPick(data.results, by, 32).map(rate))).toLocaleString('en-US');
	return [{
		what: 'paid calls/s, 32 in flight, every payment fsync\'d before it is sent, hash chain on',
		target: `at least 10 × \`${PEER}\`; aim for 15 ×`,
		measured: `${ratio(throughput.mid)} × (${of('tallyward')} and ${of(PEER)} a second)`,
		met: throughput.mid >= 10,
	}, {
		what: 'paid call latency, one in flight',
		target: `at most 0.35 × \`${PEER}\``,
		measured: `${ratio(latency.mid)} × at the median`,
		met: latency.mid <= 0.35,
	}];
}

export const pairs = (data) => IN_FLIGHT.map((inFlight) => {
	const of = (by) => median(callsPick(data.results, by, inFlight).map(rate));
	return {
		what: `Paid calls, ${inFlight} in flight`, ours: of('tallyward'), peer: of(PEER), peerName: PEER, unit: 'calls/s',
	};
});

export function section(data) {
	const lines = IN_FLIGHT.map((inFlight) => {
		const of = (figure) => compare(data, inFlight, figure);
		const calls = of(rate);
		return `- ${inFlight} in flight: tallyward makes **${ratio(calls.mid)}** times the calls of ${PEER} ` +
			`(${spread(calls)}), at ${ratio(of((f) => f.p50).mid)} times its median latency and ` +
			`${ratio(of((f) => f.cpu / f.calls).mid)} times its processor time a call.`;
	});
	return `## Paid calls

A call is two requests to the seller: the 402, then the paid one. tallyward, with its
defaults: identifies the agent, decides against ten limits, signs, waits until the signed
payment is on disk, pays, and books receipt, journal and audit. ${PEER} has the key in
its own process, and signs and pays; it keeps no books and no limits. tallyward has a worker
thread for each core; node runs JavaScript on one. One call alone waits for a commit of its
own; calls in flight together share one. The ledger grew from nothing to
${data.payments.toLocaleString('en-US')} payments meanwhile.

${callsTable(data.results)}

${lines.join('\n')}
`;
}
