// From what was measured to pages: RESULTS.md with its charts, the generated
// part of PROFILE.md, and README.md's table.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { pairChart } from './chart.mjs';
import { milli, table, whole } from './figures.mjs';

const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = path.join(repository, 'doc/bench');
const MEASURED = path.join(folder, 'results.json');

const readMeasured = () => fs.existsSync(MEASURED) ? JSON.parse(fs.readFileSync(MEASURED, 'utf8')) : {};

const oneOf = (values) => [...new Set(values)];

/** Rows of the targets' table, in the order of the parts. */
const targetsOf = (parts, measured) => parts.filter(({ name }) => measured[name])
	.flatMap((part) => part.targets(measured[part.name].data).map((row) => ({ ...row, ...measured[part.name] })));

function targetsTable(rows) {
	return table(['what', 'target', 'measured', 'met'], rows.map(({ what, target, measured, met }) =>
		[what, target, measured, met ? 'yes' : '**no**']));
}

function verdict(rows) {
	const missed = rows.filter(({ met }) => !met);
	return missed.length === 0 ? `All ${rows.length} are met.`
		: `${rows.length - missed.length} of ${rows.length} are met. Not met:\n\n${missed.map(({ what, target, measured }) =>
			`- ${what}: ${target}; it is ${measured}`).join('\n')}`;
}

function machineLines({ machine }) {
	return `- ${machine.cores} cores, ${machine.cpu}, ${(machine.memory / 2 ** 30).toFixed(0)} GiB; ${machine.system};
  ledger on ${machine.fileSystem}, an fdatasync of 64 KiB there takes ${milli(machine.syncUs)} ms; load average at the start \
${machine.load.map((l) => l.toFixed(2)).join(', ')}
- ${machine.tallyward}; @x402/fetch ${machine.fetch} on node ${machine.node}; ${machine.nginx}`;
}

const when = ({ command, date, rounds, seconds }) =>
	`\`${command}\`, ${date}: ${rounds} round${rounds === 1 ? '' : 's'} of ${seconds} second${seconds === 1 ? '' : 's'}`;

/** The page, without charts: what is also printed. */
export function resultsPage(parts, measured) {
	const found = parts.filter(({ name }) => measured[name]);
	const newest = found.map(({ name }) => measured[name]).sort((a, b) => a.date < b.date ? 1 : -1)[0];
	const rows = targetsOf(parts, measured);
	// Parts that were measured at another time say so themselves.
	const sections = found.map((part) => {
		const of = measured[part.name];
		const text = part.section(of.data);
		return when(of) === when(newest) ? text : `${text}\nMeasured by ${when(of)}.\n`;
	});
	const took = found.reduce((sum, { name }) => sum + measured[name].took, 0);
	return `# Benchmarks

${when(newest)}, ${whole(took / 60)} minutes in all;
the peers of a part take turns in the same run. Figures are medians; "lowest to highest" is of
rounds. Ratios are taken within a round.

${machineLines(newest)}
- Everything shares those cores: the load generator (wrk, \`pace\`; @x402/fetch is its own), the
  program measured, and the seller, which is nginx with one worker giving fixed answers.

${rows.length === 0 ? '' : `## Targets

${targetsTable(rows)}

${verdict(rows)}
`}${measured.paid && measured.free ? '\n![Paid and free calls beside their peers](peers.svg)\n' : ''}
${sections.join('\n')}`;
}

const BEGIN = '<!-- from here to the end mark written by tests/bench/run --record -->';
const END = '<!-- end mark -->';

/** Replace what stands between the marks of a page. */
function replacePart(file, text) {
	const page = fs.readFileSync(file, 'utf8');
	const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
	if (begin < 0 || end < begin)
		throw new Error(`${file} has no marks to write between`);
	fs.writeFileSync(file, `${page.slice(0, begin + BEGIN.length)}\n${text.trim()}\n${page.slice(end)}`);
}

function readmePart(parts, measured) {
	const rows = targetsOf(parts, measured);
	if (rows.length === 0)
		return '';
	const { machine } = rows[0];
	const dates = oneOf(rows.map(({ date }) => date)).sort();
	const commands = oneOf(rows.map(({ command }) => `\`${command}\``));
	return `${commands.join(', ')} on ${dates.join(', ')}: ${machine.cores} cores (${machine.cpu}) that the load generator, the
proxy and the seller share; medians, the peers in turn in one run. Every payment was on disk before it was sent.

${targetsTable(rows)}

${measured.paid && measured.free ? '![Paid and free calls beside their peers](doc/bench/peers.svg)\n' : ''}`;
}

/** Write all pages from what doc/bench/results.json holds. */
export function writePages(parts) {
	const measured = readMeasured();
	const found = parts.filter(({ name }) => measured[name]);
	if (found.length === 0)
		return;
	fs.writeFileSync(path.join(folder, 'RESULTS.md'), resultsPage(parts, measured));
	for (const part of found)
		for (const [file, chart] of Object.entries(part.charts?.(measured[part.name].data) ?? {}))
			fs.writeFileSync(path.join(folder, file), chart);
	if (measured.paid && measured.free) {
		const groups = found.flatMap((part) => part.pairs?.(measured[part.name].data) ?? []);
		fs.writeFileSync(path.join(folder, 'peers.svg'),
			pairChart({ title: 'Beside the peers, in one run', groups }));
	}
	for (const part of found)
		if (part.profilePage)
			replacePart(path.join(folder, 'PROFILE.md'), part.profilePage(measured[part.name].data));
	replacePart(path.join(repository, 'README.md'), readmePart(parts, measured));
}

/** Keep what was measured now, beside what other parts measured before. */
export function record(measured) {
	fs.mkdirSync(folder, { recursive: true });
	fs.writeFileSync(MEASURED, `${JSON.stringify({ ...readMeasured(), ...measured }, null, '\t')}\n`);
}
