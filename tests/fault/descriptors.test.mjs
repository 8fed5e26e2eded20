// No descriptors are left: none for agents, none for sellers, none for files. Nobody is
// answered wrongly, no money is lost in between, and the next call after it works.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ERRNO, FD } from './control.mjs';
import { STATE } from './books.mjs';
import { ROOMY } from './load.mjs';
import { World, assertRefused, ok } from './world.mjs';
import { until } from '../e2e/bed/wait.mjs';

let world;

before(async () => {
	world = await World.make();
	await world.begin();
});

after(() => world?.close());

const none = (calls, error = 'EMFILE') =>
	world.control.set({ fdCalls: calls, fdError: ERRNO[error] });
const some = () => world.control.set({ fdError: 0 });

beforeEach(() => {
	world.seller.closing = false;
	world.seller.onAsk = () => {};
});

describe('none for agents', () => {
	for (const error of ['EMFILE', 'ENFILE'])
		it(`${error}: who connects is served when there are some again`, async () => {
			none(FD.accept, error);
			const seen = world.control.get('fdFailed');
			const calls = Array.from({ length: 5 }, () => world.buy());
			await until('accept to fail', () => world.control.get('fdFailed') > seen);
			some();
			(await Promise.all(calls)).forEach(ok);
			await world.whole();
		});

	it('a real limit and a crowd of idle connections', async () => {
		const { program } = world.house;
		await world.house.stop();
		world.house.program = world.house.writeFile('limited',
			`#!/bin/sh\nulimit -n 128 && exec ${program} "$@"\n`, 0o700);
		await world.begin();
		world.house.program = program;
		const crowd = Array.from({ length: 400 }, () => {
			const socket = net.connect(world.house.port, '127.0.0.1');
			socket.on('error', () => {});
			return socket;
		});
		await until('the limit to be felt', () =>
			/accept_failed.*Too many open files/.test(world.house.daemon.log));
		const call = world.buy();
		crowd.forEach((socket) => socket.destroy());
		ok(await call);
		(await world.lot(8)).forEach((each) => assert.ok(!each.tries[0].lost));
		await world.whole();
		await world.house.stop();
		await world.begin();
	});
});

describe('none for sellers', () => {
	it('before anything was signed: unreachable, and nothing is held back', async () => {
		world.seller.closing = true;
		world.seller.server.closeAllConnections();
		ok(await world.buy());
		none(FD.socket);
		const calls = await Promise.all(Array.from({ length: 8 }, (_, i) =>
			world.buy('settle', { key: i % 2 ? `no-socket-${i}` : undefined, body: 'x' })));
		some();
		for (const call of calls) {
			assert.equal(call.tries[0].code, 'upstream_unreachable', JSON.stringify(call.tries[0]));
			assert.equal(call.tries[0].cost, 0);
		}
		ok(await world.buy());
		await world.whole();
	});

	it('after it was signed: open, and the same bytes go out later', async () => {
		world.seller.closing = true;
		world.seller.server.closeAllConnections();
		world.seller.onAsk = () => none(FD.socket);
		const plain = await world.buy('settle');
		some();
		const keyed = await world.buy('settle', { key: 'signed-no-socket', body: 'x'.repeat(500) });
		for (const call of [plain, keyed])
			assert.equal(call.tries[0].code, 'payment_unknown', JSON.stringify(call.tries[0]));
		world.seller.onAsk = () => {};
		some();
		for (const call of [plain, keyed]) {
			assert.equal(world.seller.of(call.id).length, 0, 'nothing can have left');
			ok(await world.buy('settle', { again: call }));
			assert.equal(world.seller.of(call.id).length, 1);
		}
		await world.whole();
		for (const call of [plain, keyed]) {
			const rows = [...world.books.payments.values()].filter(({ url }) =>
				url.endsWith(`id=${call.id}`));
			assert.deepEqual(rows.map((row) => world.books.state(row)), [STATE.settled]);
		}
	});
});

describe('none for files', () => {
	it('a key that cannot be read signs nothing, and does later', async () => {
		const agent = await world.addAgent('unread', ROOMY);
		none(FD.open);
		assertRefused([await world.buy('settle', { who: agent })]);
		some();
		ok(await world.buy('settle', { who: agent }));
		await world.whole();
	});

	it('everybody is answered, one way or the other', async () => {
		none(FD.open | FD.event | FD.socket);
		const calls = await world.lot(40);
		some();
		for (const call of calls)
			assert.ok(!call.tries[0].lost, `${call.target}: ${call.tries[0].lost}`);
		assert.equal((await world.readiness()).status, 200);
		ok(await world.buy('settle', { key: 'afterwards' }));
		await world.wholeAfterCrash();
	});
});
