// Is anything paid over plain http to another machine? Run in a network namespace of its
// own, `unshare -rn node plain.mjs`, whose loopback device gets an address that looks like
// another machine's; nobody outside can hear it. Prints what happened as JSON.

import { spawnSync } from 'node:child_process';
import { startRogue } from './rogue.mjs';
import { GENEROUS } from './policies.mjs';
import { Tallyward } from './tallyward.mjs';

const ELSEWHERE = '9.9.9.9';

function must(command, ...args) {
	const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
	if (status !== 0)
		throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

must('ip', 'link', 'set', 'lo', 'up');
must('ip', 'address', 'add', `${ELSEWHERE}/32`, 'dev', 'lo');
const seller = await startRogue(null, { host: ELSEWHERE });
const neighbour = await startRogue(null);
const tw = await Tallyward.create();
await tw.addTool('elsewhere', seller.url);
await tw.addTool('here', neighbour.url);
const agent = await tw.addAgent('agent', { policy: GENEROUS });
await tw.start();
const far = await tw.call(agent, 'elsewhere', '/silent');
const free = await tw.call(agent, 'elsewhere', '/free');
const near = await tw.call(agent, 'here', '/silent');
await tw.quiet();
process.stdout.write(JSON.stringify({
	status: far.status, ...far.problem, free: free.status, requests: seller.record.requests.length,
	paid: seller.record.paid().length, near: near.status, nearPaid: neighbour.record.paid().length,
	payments: (await tw.payments(agent.name)).map(({ tool }) => tool),
}));
await tw.close();
await neighbour.stop();
await seller.stop();
