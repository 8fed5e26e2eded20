// That the paid figure is one of payments on disk: how many fdatasyncs they
// take, and what is in the ledger after the plug was pulled under load.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../e2e/bed/child.mjs';
import { until } from '../../e2e/bed/wait.mjs';
import { check, say } from '../check.mjs';
import { table, whole } from '../figures.mjs';
import { withSite } from '../site.mjs';

export const name = 'durability';
const IN_FLIGHT = [1, 32];

/** Pull the plug under load: whatever the seller was given is in the books. */
async function killUnderLoad(site) {
	const { tw, seller, agent } = site;
	const before = seller.paid();
	const load = run('wrk', ['--threads', '2', '--connections', '32', '--duration', '2s',
		'--header', `Authorization: Bearer ${agent.token}`, `${tw.url}/t/seller/paid`]);
	await until('payments to flow', () => seller.paid() >= before + 200);
	await tw.kill();
	await load;
	await tw.start();
	const { payments, signs } = await site.counts();
	const seen = seller.paid();
	check(`after a kill under load the ledger (${payments}) holds all the seller saw (${seen})`, () =>
		assert.ok(payments >= seen && payments <= seen + 32 && signs === payments));
	return { payments, seen };
}

const tracer = (pid) => Number(/TracerPid:\t(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** How many payments share one fdatasync, as strace counts them. */
async function countSyncs(site, inFlight, seconds) {
	const before = await site.atRest();
	const trace = path.join(site.tw.home, `strace-${inFlight}`);
	const tracing = run('strace', ['-f', '-qq', '-e', 'trace=fdatasync', '-o', trace, '-p', String(site.pid)]);
	await until('strace to attach', () => tracer(site.pid) !== 0);
	await site.callFor('paid', inFlight, seconds);
	const after = await site.atRest();
	process.kill(tracer(site.pid), 'SIGINT');
	await tracing;
	const syncs = fs.readFileSync(trace, 'utf8').split('\n')
		.filter((line) => /fdatasync\(.*= 0|fdatasync resumed.*= 0/.test(line)).length;
	const payments = after.payments - before.payments;
	check(`${inFlight} paid in flight: no payment without an fdatasync before it`, () => {
		assert.ok(syncs > 0 && payments > 0);
		// Those in flight together are at most what one commit can hold back.
		assert.ok(payments <= syncs * inFlight, `${payments} payments, ${syncs} times`);
	});
	return { inFlight, payments, syncs };
}

export const measure = (options) => withSite({}, async (site) => {
	const syncs = [];
	for (const inFlight of options.short ? IN_FLIGHT.slice(-1) : IN_FLIGHT) {
		syncs.push(await countSyncs(site, inFlight, options.short ? 1 : 3));
		say(`durability: ${JSON.stringify(syncs.at(-1))}`);
	}
	const kill = await killUnderLoad(site);
	await site.verify();
	return { syncs, kill };
});

export const targets = () => [];

export const section = ({ syncs, kill }) => `## Durability of what was paid

How payments share the disk, counted by strace, which slows everything: only the quotient means
something. Each payment waits for an fdatasync that began after its row was written.

${table(['in flight', 'payments', 'fdatasync', 'payments each'],
		syncs.map((r) => [r.inFlight, whole(r.payments), whole(r.syncs), (r.payments / r.syncs).toFixed(1)]))}

Then the daemon was killed (SIGKILL) with 32 paid calls in flight, and started again: the seller
had seen ${whole(kill.seen)} payments, the ledger held ${whole(kill.payments)}, all that the seller saw among them,
and \`ledger verify\` found nothing wrong.
`;
