// Instructions a call, counted by callgrind: the same on any machine, loaded or
// not. And which functions they are in.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../e2e/bed/child.mjs';
import { until } from '../../e2e/bed/wait.mjs';
import { check, say } from '../check.mjs';
import { table, whole } from '../figures.mjs';
import { withSite } from '../site.mjs';

export const name = 'instructions';
const CALLS = { free: 600, paid: 300 };
const CALLS_SHORT = { free: 20, paid: 10 };
/** Under callgrind, on a machine with other work. */
const WRITTEN_MS_MAX = 120_000;
const IN_FLIGHT = 1;
const TOP = 10;

async function must(command, ...args) {
	const { code, stdout, stderr } = await run(command, args.map(String));
	assert.equal(code, 0, `${command}: ${stderr || stdout}`);
	return stdout;
}

/** What callgrind has counted since it was last asked, as the file it writes. */
async function dump(site) {
	const files = () => fs.readdirSync(site.tw.home).filter((file) => file.startsWith('callgrind.'));
	const before = new Set(files());
	await must('callgrind_control', '--dump', site.pid);
	const [name] = files().filter((one) => !before.has(one));
	const file = path.join(site.tw.home, name);
	// A call still under way was begun before and counts 0; callgrind_annotate then takes what
	// it calls for its own.
	fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^calls=0 /gm, 'calls=1 '));
	return file;
}

const total = (file) => Number(/^(?:summary|totals): (\d+)/m.exec(fs.readFileSync(file, 'utf8'))[1]);

/** So many calls, and nothing else but what the daemon does of itself meanwhile. */
async function count(site, kind, calls) {
	await site.atRest();
	const audited = await site.audited();
	await dump(site);
	const found = await site.callTimes(kind, IN_FLIGHT, calls);
	check(`under callgrind, ${kind}: nothing but 200`, () => assert.equal(found.failed, 0));
	// Their last rows are the calls' as well; the ledger is asked, not the daemon.
	await until('the calls to be written down', async () => await site.audited() === audited + calls,
		{ deadlineMs: WRITTEN_MS_MAX });
	return dump(site);
}

/** Functions as callgrind_annotate lists them, with instructions a call. */
async function functions(file, calls, inclusive) {
	const text = await must('callgrind_annotate', `--inclusive=${inclusive ? 'yes' : 'no'}`,
		'--threshold=100', '--show-percs=no', '--auto=no', file);
	const found = new Map();
	for (const [, number, place, symbol, object = ''] of text.matchAll(/^ *([\d,]+) +(\S*?):(\S+?)(?: \[(.*)\])?$/gm)) {
		// A copy that the compiler made and the depth of a recursion are nothing to a reader.
		const name = symbol.replace(/'\d+$/, '').replace(/\.(constprop|part|isra|cold)(\.\d+)?/g, '');
		const source = place.replace(/^.*\.\.\//, '');
		const key = `${source}:${name}`;
		const each = Number(number.replaceAll(',', '')) / calls;
		const before = found.get(key)?.count ?? 0;
		found.set(key, {
			count: inclusive ? Math.max(before, each) : before + each, name,
			place: path.basename(object) === 'tallyward' ? source : path.basename(object).replace(/\.so.*$/, ''),
			ours: path.basename(object) === 'tallyward',
		});
	}
	return [...found.values()].sort((a, b) => b.count - a.count);
}

async function profile(file, calls) {
	const self = await functions(file, calls, false);
	const objects = new Map();
	for (const { ours, place, count: of } of self) {
		const object = ours ? 'tallyward' : place.replace(/^(\?\?\?)?$/, 'not known');
		objects.set(object, (objects.get(object) ?? 0) + of);
	}
	return {
		objects: [...objects].sort(([, a], [, b]) => b - a).filter(([, of]) => of >= 1),
		self: self.slice(0, TOP),
		inclusive: (await functions(file, calls, true)).filter(({ ours }) => ours).slice(0, TOP * 2),
	};
}

async function measureKind(site, kind, calls) {
	// What is made once is not a call's.
	await count(site, kind, calls);
	const files = [await count(site, kind, calls), await count(site, kind, calls)];
	const each = files.map((file) => total(file) / calls);
	say(`instructions: ${kind}: ${each.map(whole).join(' and ')} a call`);
	return { kind, calls, each, profile: await profile(files[each[1] < each[0] ? 1 : 0], calls) };
}

export const measure = async (options) => {
	const counts = options.short ? CALLS_SHORT : CALLS;
	// The sandbox knows no valgrind, which runs one thread at a time anyway; and how often a worker
	// looks before it sleeps is a matter of time.
	const found = await withSite({
		settings: { sandbox: 0, workers: 1, busy_poll_us: 0 },
		under: ['valgrind', '--tool=callgrind', '--quiet', '--callgrind-out-file=callgrind.%p'],
	}, async (site) => {
		const kinds = [];
		for (const [kind, calls] of Object.entries(counts))
			kinds.push(await measureKind(site, kind, calls));
		await site.verify();
		return kinds;
	});
	return { found };
};

export const targets = () => [];

/** What is done besides, such as a checkpoint, only ever adds. */
const least = ({ each }) => Math.min(...each);
const apart = ({ each }) => 100 * (Math.max(...each) / least({ each }) - 1);

export const section = ({ found }) => `## Instructions

Counted by callgrind, in user space, for the whole daemon with one worker and one call in
flight: ${found.map((one) => `${whole(one.calls)} ${one.kind}`).join(', then ')} calls, after as many that warm it up, and then as
many again; the lower count is told. callgrind
shows a processor without the instructions that make SHA-256 cheap. They repeat on any machine.
[PROFILE.md](PROFILE.md) says where they are.

${table(['calls', 'instructions a call', 'counted twice, apart'],
		found.map((one) => [one.kind, whole(least(one)), `${apart(one).toFixed(1)} %`]))}
`;

const share = (of, one) => `${(100 * of / least(one)).toFixed(1)} %`;

const functionTable = (rows, one) => table(['function', 'in', 'instructions a call', 'share'],
	rows.map(({ count: of, name: symbol, place }) => [`\`${symbol}\``, place, whole(of), share(of, one)]));

/** The generated part of doc/bench/PROFILE.md. */
export const profilePage = ({ found }) => found.map((one) => `## A ${one.kind} call

${whole(least(one))} instructions. Where they are:

${table(['program or library', 'instructions a call', 'share'],
		one.profile.objects.map(([object, of]) => [object, whole(of), share(of, one)]))}

The ${TOP} functions with most instructions of their own; what a library does not name is an address:

${functionTable(one.profile.self, one)}

The ${one.profile.inclusive.length} of ours with most, counting all that they call:

${functionTable(one.profile.inclusive, one)}
`).join('\n');
