// Resident memory: of an idle daemon, of connections that rest, over a million calls.

import assert from 'node:assert/strict';
import { check, say } from '../check.mjs';
import { lineChart } from '../chart.mjs';
import { mega, median, table, whole } from '../figures.mjs';
import { peak, resetPeak, resident } from '../process.mjs';
import { withSite } from '../site.mjs';

export const name = 'memory';
const AT_ONCE = 100;
const IN_FLIGHT = 32;
const CHUNKS = 20;
const CHUNKS_SHORT = 4;
/** Of a hundred calls so many are paid. */
const PAID_PERCENT = 10;
const PAGES_OF_NOISE = 1.05;

/** Bytes for each of `count` connections that rest, after having made a call or not. */
async function connectionBytes(site, count, calling) {
	await site.tw.restart();
	const request = `GET /t/seller/free HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer ${site.agent.token}\r\n\r\n`;
	const open = async () => {
		const wire = await site.tw.connect();
		return calling ? (await wire.say(request).answer())?.status : 200;
	};
	// What the first calls bring along is not the connections'.
	await site.callTimes('free', IN_FLIGHT, 1000);
	const before = resident(site.pid);
	const answers = [];
	for (let i = 0; i < count; i += AT_ONCE)
		answers.push(...await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - i) }, open)));
	check('connections that rest were all answered, and are all still there', () => {
		assert.deepEqual(answers.filter((status) => status !== 200), []);
		assert.ok(site.tw.wires.every(({ over }) => !over));
	});
	const each = (resident(site.pid) - before) / count;
	site.tw.hangUp();
	return each;
}

async function overCalls(site, callCount, chunks) {
	await site.tw.restart();
	// The key of the keys took more, for a moment, than all that follows.
	resetPeak(site.pid);
	const samples = [{ calls: 0, bytes: resident(site.pid) }];
	const paid = callCount / chunks * PAID_PERCENT / 100;
	for (let i = 1; i <= chunks; i++) {
		const before = await site.atRest();
		const free = await site.callTimes('free', IN_FLIGHT, callCount / chunks - paid);
		const bought = await site.callTimes('paid', IN_FLIGHT, paid);
		check('calls of a long run: nothing but 200', () => assert.equal(free.failed + bought.failed, 0));
		await site.checkBooks('a long run', before, paid, 0);
		samples.push({ calls: callCount / chunks * i, bytes: resident(site.pid) });
		say(`memory: ${mega(samples.at(-1).bytes)} MB after ${samples.at(-1).calls} calls`);
	}
	return { samples, peak: peak(site.pid) };
}

export const measure = (options) => withSite({}, async (site) => {
	const connections = options.short ? 200 : 5000;
	const idle = resident(site.pid);
	await site.measure('free', IN_FLIGHT, { seconds: 1 });
	await site.measure('paid', IN_FLIGHT, { seconds: 1 });
	const used = resident(site.pid);
	const found = {
		idle, used, connections,
		silent: await connectionBytes(site, connections, false),
		calling: await connectionBytes(site, connections, true),
		...await overCalls(site, ...(options.short ? [4000, CHUNKS_SHORT] : [1_000_000, CHUNKS])),
	};
	await site.verify();
	return found;
});

/** What it has in the first and the last quarter of the run, medians: one look says more of what
 *  the disk did just then than of growth. */
const quarters = ({ samples }) => {
	const bytes = samples.slice(1).map((sample) => sample.bytes);
	const count = Math.ceil(bytes.length / 4);
	return { first: median(bytes.slice(0, count)), last: median(bytes.slice(-count)) };
};
const growth = (data) => quarters(data).last / quarters(data).first;
const calls = ({ samples }) => samples.at(-1).calls;

export const targets = (data) => [{
	what: 'resident memory, idle',
	target: 'under 20 MB',
	measured: `${(data.idle / 1e6).toFixed(2)} MB`,
	met: data.idle < 20e6,
}, {
	what: 'resident memory, each idle connection that has made a call',
	target: 'under 12 KB',
	measured: `${(data.calling / 1000).toFixed(1)} KB (one that has made none: ${(data.silent / 1000).toFixed(1)} KB)`,
	met: data.calling < 12e3,
}, {
	what: `resident memory over a run of ${whole(calls(data))} calls, one in ten paid`,
	target: 'flat',
	measured: `${mega(quarters(data).last)} MB in its last quarter, ${ratio(growth(data))} times that in its first`,
	met: growth(data) <= PAGES_OF_NOISE,
}];

const ratio = (value) => value.toFixed(2);

export const charts = (data) => ({
	'memory.svg': lineChart({
		title: 'Resident memory over a long run', x: 'calls, one in ten paid', y: 'MB', from: 0,
		series: [{ name: 'tallyward', points: data.samples.map(({ calls: at, bytes }) => [at, bytes / 1e6]) }],
	}),
});

export const section = (data) => `## Memory

Resident, as the kernel counts it, so without its own buffers of sockets. The idle connections
are ${whole(data.connections)}, kept open by an agent, on a daemon that was started afresh and
has answered a thousand calls.

${table(['', ''], [
		['idle, just started', `${mega(data.idle)} MB`],
		['after two seconds of calls, 32 in flight', `${mega(data.used)} MB`],
		['each idle connection, no call made', `${whole(data.silent)} bytes`],
		['each idle connection, one call made', `${whole(data.calling)} bytes`],
		[`in the first quarter of ${whole(calls(data))} calls, median`, `${mega(quarters(data).first)} MB`],
		['in the last quarter, median', `${mega(quarters(data).last)} MB`],
		['at most, during those', `${mega(data.peak)} MB`],
	])}

"Flat" is met when the median of the looks in the last quarter lies at most 5 % above that of the first.

![Resident memory over a long run](memory.svg)
`;
