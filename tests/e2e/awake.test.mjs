// A worker stays awake while it waits for somebody, and takes a core for it:
// only for a call that is alone and has money set aside, and only when told to.
// Each look that follows another without sleep is counted; no time is asserted.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { preload } from './bed/preload.mjs';
import { Tallyward, send } from './bed/tallyward.mjs';
import { listen, shut, until } from './bed/wait.mjs';

let bed;
let tw;
let agent;
let free;
let file;

before(async () => {
	bed = await startBed();
	const server = http.createServer((_request, response) => response.end('here'));
	free = { url: await listen(server), stop: () => shut(server) };
	tw = await Tallyward.create({ chain: bed.chain, settings: { busy_poll_us: 1000 } });
	file = path.join(tw.home, 'yields');
	tw.env = { ...await preload('yields', tw.home), YIELDS_FILE: file };
	await tw.addTool('free', free.url, '--price', '0');
	await tw.addTool('seller', bed.seller.url);
	agent = await tw.addAgent('agent', { policy: GENEROUS });
	await tw.start();
});

after(async () => {
	await tw?.close();
	await free?.stop();
	await bed?.stop();
});

const looks = () => fs.statSync(file).size;
const noCalls = () => until('no call to be in flight', async () =>
	/^tallyward_calls_in_flight 0$/m.test((await send(`${tw.adminUrl}/metrics`)).text));

/** A paid call that is alone; `looks` at a moment when its seller has the payment. */
async function paidCall() {
	bed.seller.gate.close();
	const call = tw.call(agent, 'seller', '/slow/0.01');
	await until('the payment to be at the seller', () => bed.seller.gate.waiting === 1);
	const count = looks();
	bed.seller.gate.open();
	assert.equal((await call).payment, 'settled');
	await noCalls();
	return count;
}

it('a free call is not worth a core', async () => {
	for (let i = 0; i < 5; i++)
		assert.equal((await tw.call(agent, 'free', '/')).status, 200);
	await noCalls();
	assert.equal(looks(), 0);
});

it('one that money is set aside for is, while it is alone', async () => {
	assert.ok(await paidCall() > 0);
});

it('unless busy_poll_us is 0', async () => {
	tw.configure({ busy_poll_us: 0 });
	assert.match(await tw.reload(), /event=reloaded/);
	await noCalls();
	const before = looks();
	assert.equal(await paidCall(), before);
	assert.equal(looks(), before);
});

it('the books agree with themselves and with the chain', () => tw.assertBooks());
