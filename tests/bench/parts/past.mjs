// A ledger with a long past, beside one without.

import { say } from '../check.mjs';
import { callsPick, callsTable, median, mega, rate, ratio, spread, whole, within } from '../figures.mjs';
import { resident } from '../process.mjs';
import { withSite } from '../site.mjs';
import { startMs } from './start.mjs';

export const name = 'past';
const EMPTY = 'empty';
const FULL = 'with a past';
const KINDS = ['paid', 'free'];
const IN_FLIGHT = 32;
const STARTS = 3;
/** The fill takes long enough. */
const ROUNDS_MAX = 3;
/** A payment leaves 2.2 rows in the journal on average, an agent one: see tests/bench/fill. */
export const FILL = { payments: 410_000, agents: 100_000 };
const FILL_SHORT = { payments: 2000, agents: 1000 };

async function describe(site) {
	const [rows, agents] = await site.sql('SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM agent)');
	return { rows, agents };
}

export const measure = (options) => withSite({ past: options.short ? FILL_SHORT : FILL }, (full) =>
	withSite({}, async (empty) => {
		const ledger = await describe(full);
		const starts = [];
		for (let i = 0; i < (options.short ? 1 : STARTS); i++)
			starts.push(await startMs(full));
		const memory = resident(full.pid);
		const sites = [[EMPTY, empty], [FULL, full]];
		const results = [];
		for (let round = 1; round <= Math.min(options.rounds, ROUNDS_MAX); round++)
			for (const kind of KINDS)
				for (const [by, site] of round % 2 ? sites : [...sites].reverse()) {
					const found = await site.measure(kind, IN_FLIGHT, options);
					results.push({ round, inFlight: IN_FLIGHT, kind, by, ...found });
					say(`past, round ${round}: ${kind}, ledger ${by}: ${Math.round(rate(found))}/s`);
				}
		if (options.short)
			await full.verify();
		return { ...ledger, starts, memory, results };
	}));

const ofKind = ({ results }, kind) => results.filter((found) => found.kind === kind);
const compare = (data, kind, figure) => within(callsPick(ofKind(data, kind), FULL, IN_FLIGHT),
	callsPick(ofKind(data, kind), EMPTY, IN_FLIGHT), figure);

export function targets(data) {
	const ledger = `${whole(data.agents)} agents with ${whole(data.rows)} journal rows`;
	return [...KINDS.map((kind) => {
		const { mid } = compare(data, kind, rate);
		return {
			what: `${ledger}: ${kind} calls/s, 32 in flight`,
			target: 'as on an empty ledger, within 10 %',
			measured: `${ratio(mid)} ×`,
			met: mid >= 0.9,
		};
	}), {
		what: `${ledger}: start to first accepted call`,
		target: 'under 1 s',
		measured: `${(median(data.starts) / 1000).toFixed(2)} s`,
		met: median(data.starts) < 1000,
	}];
}

export const section = (data) => `## A long past

${whole(data.agents)} agents and ${whole(data.rows)} journal rows, with payments, states and audit rows to match, all of
the last day (\`tests/bench/fill\`), beside a ledger that was empty at the start of the run. It
starts in ${spread({ low: Math.min(...data.starts), high: Math.max(...data.starts) }, (ms) => (ms / 1000).toFixed(2))} s \
and then takes ${mega(data.memory)} MB.

${KINDS.map((kind) => `${kind[0].toUpperCase()}${kind.slice(1)} calls:\n\n${callsTable(ofKind(data, kind))}`).join('\n\n')}

${KINDS.map((kind) => {
		const of = (figure) => compare(data, kind, figure);
		return `- ${kind}: **${ratio(of(rate).mid)}** times the calls (${spread(of(rate))}), with ` +
			`${ratio(of((found) => found.cpu / found.calls).mid)} times the processor time a call`;
	}).join('\n')}
`;
