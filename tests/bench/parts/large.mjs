// A response that is larger than memory is allowed to become.

import assert from 'node:assert/strict';
import { run } from '../../e2e/bed/child.mjs';
import { check, say } from '../check.mjs';
import { median, mega, size, spread, table, whole, within } from '../figures.mjs';
import { cpuUs, peak, resident, resetPeak } from '../process.mjs';
import { withSite } from '../site.mjs';

export const name = 'large';
const NGINX = 'nginx';
const TALLYWARD = 'tallyward';
/** Above what it had before, in bytes: what a connection's buffers may take, and no more. */
const FLAT_MAX = 4e6;

/** curl as a reader; says microseconds, and the memory and processor time of who served it. */
async function read(what, url, bytes, pids, { token, slow } = {}) {
	for (const pid of pids)
		resetPeak(pid);
	const before = { resident: resident(pids.at(-1)), cpu: cpuUs(pids) };
	const { code, stdout, stderr } = await run('curl', ['--silent', '--show-error', '--output', '/dev/null',
		...token ? ['--header', `Authorization: Bearer ${token}`] : [],
		...slow ? ['--limit-rate', String(slow)] : [],
		'--write-out', '%{http_code} %{size_download} %{time_total}', url]);
	const [status, size, seconds] = stdout.split(' ').map(Number);
	check(`${what}: the whole of a large answer arrives ${stderr}`, () =>
		assert.deepEqual([code, status, size], [0, 200, bytes]));
	return {
		us: seconds * 1e6, calls: 1, cpu: cpuUs(pids) - before.cpu,
		before: before.resident, peak: peak(pids.at(-1)),
	};
}

export const measure = (options) => withSite({}, async (site) => {
	const bytes = options.short ? 50e6 : 1e9;
	const proxy = await site.addProxy();
	site.seller.setLarge(bytes);
	await site.measure('free', 32, { seconds: 1 });
	// The kernel reads a file from the disk once, even one without blocks.
	await read('the seller', `${site.seller.url}/large`, bytes, site.seller.pids);
	const ours = (slow) => read(TALLYWARD, `${site.tw.url}/t/seller/large`, bytes, [site.pid],
		{ token: site.agent.token, slow });
	const measured = [
		[TALLYWARD, () => ours()],
		[NGINX, () => read(NGINX, `${proxy.url}/large`, bytes, proxy.pids)],
	];
	const results = [];
	for (let round = 1; round <= options.rounds; round++)
		for (const [by, load] of round % 2 ? measured : [...measured].reverse()) {
			const found = await load();
			results.push({ round, by, ...found });
			say(`large, round ${round}: ${by}: ${whole(bytes / found.us)} MB/s`);
		}
	// Ten seconds of it, however large.
	const slow = await ours(bytes / (options.short ? 1 : 10));
	return { bytes, results, slow };
});

const of = ({ results }, by) => results.filter((found) => found.by === by);
const speed = ({ bytes }) => ({ us }) => bytes / us;
const compare = (data) => within(of(data, TALLYWARD), of(data, NGINX), speed(data));
const grown = ({ slow }) => slow.peak - slow.before;

export function targets(data) {
	const fast = compare(data);
	return [{
		what: `a ${size(data.bytes)} response to a slow reader`,
		target: 'memory flat',
		measured: `at most ${mega(Math.max(0, grown(data)))} MB above before`,
		met: grown(data) <= FLAT_MAX,
	}, {
		what: `a ${size(data.bytes)} response to a fast reader`,
		target: 'throughput at least 0.8 × nginx',
		measured: `${fast.mid.toFixed(2)} × (${whole(median(of(data, TALLYWARD).map(speed(data))))} and ` +
			`${whole(median(of(data, NGINX).map(speed(data))))} MB/s)`,
		met: fast.mid >= 0.8,
	}];
}

export const section = (data) => `## A large response

${size(data.bytes)} from the seller, a file without blocks, to curl. nginx's proxy_buffering is at its default,
which puts what the reader does not take into a file. Read slowly, over
${(data.slow.us / 1e6).toFixed(0)} s, tallyward had ${mega(data.slow.before)} MB before and ${mega(data.slow.peak)} MB at most; "flat" is met
up to ${mega(FLAT_MAX)} MB more.

${table(['fast reader, by', 'MB/s', 'lowest to highest', 'CPU ms', 'memory at most, MB'],
		[TALLYWARD, NGINX].map((by) => {
			const found = of(data, by);
			const speeds = found.map(speed(data));
			return [by, whole(median(speeds)),
				spread({ low: Math.min(...speeds), high: Math.max(...speeds) }, whole),
				whole(median(found.map((one) => one.cpu)) / 1000), mega(Math.max(...found.map((one) => one.peak)))];
		}))}
`;
