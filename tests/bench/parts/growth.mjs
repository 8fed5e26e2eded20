// What a call costs as work grows: agents, calls in flight, limits, journal rows.

import { lineChart } from '../chart.mjs';
import { say } from '../check.mjs';
import { cpu, median, rate, table, whole } from '../figures.mjs';
import { policyOfSize, withSite } from '../site.mjs';
import { FILL } from './past.mjs';

export const name = 'growth';
const KINDS = ['free', 'paid'];
const IN_FLIGHT = 32;
const ROUNDS_MAX = 3;
/** As many different agents make the free calls of the chart over agents. */
const CALLERS_MAX = 1000;

/** Medians of what was measured in turn, warm only before the first of it. */
async function point(site, at, { rounds, warmSeconds, tokens, ...options }, inFlight = IN_FLIGHT) {
	const measured = { free: [], paid: [] };
	for (let round = 1; round <= rounds; round++)
		for (const kind of KINDS)
			measured[kind].push(await site.measure(kind, inFlight, { ...options,
				warmSeconds: round === 1 ? warmSeconds : 0, tokens: kind === 'free' ? tokens : undefined }));
	const found = { at };
	for (const kind of KINDS) {
		const of = (figure) => median(measured[kind].map(figure));
		found[kind] = { cpu: of(cpu), rate: of(rate), p50: of(({ p50 }) => p50) };
	}
	say(`growth: ${at}: ${KINDS.map((kind) => `${kind} ${whole(found[kind].cpu)} µs of CPU`).join(', ')}`);
	return found;
}

/** Tokens of agents that the ledger was filled with, evenly among them, in a file. */
async function callers(site, agents) {
	const count = Math.min(agents, CALLERS_MAX);
	const tokens = [];
	for (let i = 0; i < count; i++) {
		const agent = `agent-${String(Math.floor(i * agents / count)).padStart(6, '0')}`;
		tokens.push((await site.tw.mustCommand('token.issue', { agent })).token);
	}
	return site.tw.writeFile('tokens', `${tokens.join('\n')}\n`);
}

async function overAgents(counts, options) {
	const points = [];
	for (const agents of counts)
		points.push(await withSite({ past: { payments: 100, agents } }, async (site) =>
			point(site, agents, { ...options, tokens: await callers(site, agents) })));
	return points;
}

const overInFlight = (counts, options) => withSite({}, async (site) => {
	const points = [];
	for (const inFlight of counts)
		points.push(await point(site, inFlight, options, inFlight));
	return points;
});

const overLimits = (counts, options) => withSite({}, async (site) => {
	const points = [];
	for (const count of counts) {
		await site.tw.setPolicy(site.agent.name, policyOfSize(count));
		points.push(await point(site, count, options));
	}
	return points;
});

async function overRows(pasts, options) {
	const points = [];
	for (const past of pasts)
		points.push(await withSite({ past }, async (site) => {
			const [rows] = await site.sql('SELECT count(*) FROM journal');
			return point(site, rows, options);
		}));
	return points;
}

export async function measure({ short, rounds, seconds, warmSeconds }) {
	// Many points: of each the median of a few short rounds, which one disturbance does not move.
	const options = { rounds: Math.min(rounds, ROUNDS_MAX), seconds: Math.min(seconds, 1), warmSeconds };
	const past = (payments) => ({ payments, agents: 1000 });
	return {
		agents: await overAgents(short ? [100] : [10, 1000, 100_000], options),
		'in-flight': await overInFlight(short ? [1, 32] : [1, 2, 4, 8, 16, 32, 64, 128], options),
		limits: await overLimits(short ? [1000] : [10, 100, 1000, 10_000], options),
		rows: await overRows(short ? [past(200)] : [undefined, past(4000), past(40_000), FILL], options),
	};
}

export const targets = () => [];

const X = {
	agents: 'agents in the ledger', 'in-flight': 'calls in flight', limits: 'limits in the agent\'s policy',
	rows: 'journal rows before the run',
};

export const charts = (data) => Object.fromEntries(Object.entries(data).map(([over, points]) =>
	[`growth-${over}.svg`, lineChart({
		title: `Processor time of a call over ${X[over].replace(' before the run', '')}`, x: X[over],
		y: 'µs of CPU a call', from: 0, logarithmic: true,
		series: KINDS.map((kind) => ({ name: kind, points: points.map((one) => [one.at, one[kind].cpu]) })),
	})]));

export const section = (data) => `## Cost as work grows

Processor time of the daemon for one call, all its threads together, and what it answers, ${IN_FLIGHT} in
flight unless that is what grows. Calls are made by one agent; over agents, free calls by up to
${whole(CALLERS_MAX)} of them in turn. Ten of the limits speak about the call. Of the ledgers of
many rows the largest has 100,000 agents, the others 1,000.

${Object.entries(data).map(([over, points]) => `### ${X[over][0].toUpperCase()}${X[over].slice(1)}

![Processor time of a call over ${X[over]}](growth-${over}.svg)

${table([X[over], ...KINDS.flatMap((kind) => [`${kind}: CPU µs a call`, 'calls/s'])],
		points.map((one) => [whole(one.at), ...KINDS.flatMap((kind) => [whole(one[kind].cpu), whole(one[kind].rate)])]))}
`).join('\n')}`;
