// The bench: parts, each of which starts what it measures, one after the other.
// What is measured goes onto pages; what is checked is said on the last line.

import { parseArgs } from 'node:util';
import { counts, failed, say } from './check.mjs';
import { describeMachine } from './machine.mjs';
import * as decide from './parts/decide.mjs';
import * as durability from './parts/durability.mjs';
import * as free from './parts/free.mjs';
import * as growth from './parts/growth.mjs';
import * as instructions from './parts/instructions.mjs';
import * as large from './parts/large.mjs';
import * as latency from './parts/latency.mjs';
import * as memory from './parts/memory.mjs';
import * as paid from './parts/paid.mjs';
import * as past from './parts/past.mjs';
import * as start from './parts/start.mjs';
import { record, resultsPage, writePages } from './report.mjs';

/**
 * In the order of the report. A part has: name; measure(options), resolving to what JSON can
 * hold; targets(data), rows of the table; section(data), its Markdown. It may have: charts(data),
 * SVG by file name; pairs(data), bars of the chart of peers; profilePage(data).
 */
const PARTS = [paid, durability, free, latency, memory, large, past, decide, start, instructions, growth];

const { values: options } = parseArgs({
	options: {
		short: { type: 'boolean' }, record: { type: 'boolean' }, render: { type: 'boolean' },
		rounds: { type: 'string' }, seconds: { type: 'string' }, only: { type: 'string' },
	},
});
const rounds = Number(options.rounds ?? (options.short ? 1 : 5));
const seconds = Number(options.seconds ?? (options.short ? 1 : 4));

function chosen() {
	if (options.only === undefined)
		return PARTS;
	const names = options.only.split(',');
	const unknown = names.find((name) => !PARTS.some((part) => part.name === name));
	if (unknown !== undefined)
		throw new Error(`no part ${unknown}; there are ${PARTS.map(({ name }) => name).join(', ')}`);
	return PARTS.filter(({ name }) => names.includes(name));
}

async function measure(part, common) {
	const begin = Date.now();
	const data = await part.measure({ rounds, seconds, warmSeconds: options.short ? 0 : 1, short: options.short ?? false });
	const took = Math.round((Date.now() - begin) / 1000);
	say(`--- ${part.name}: ${took} s`);
	return { ...common, took, data };
}

try {
	const measured = {};
	if (!options.render) {
		const parts = chosen();
		const common = {
			date: new Date().toISOString().slice(0, 10), machine: await describeMachine(), rounds, seconds,
			command: ['tests/bench/run', ...process.argv.slice(2)].join(' '),
		};
		for (const part of parts)
			// One that cannot be measured does not cost the others.
			await measure(part, common).then((found) => { measured[part.name] = found; }, failed);
		process.stdout.write(Object.keys(measured).length > 0 ? resultsPage(PARTS, measured) : '');
	}
	if (options.record)
		record(measured);
	if (options.record || options.render)
		writePages(PARTS);
} catch (error) {
	failed(error);
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exit(counts.failed === 0 && (counts.passed > 0 || options.render) ? 0 : 1);
