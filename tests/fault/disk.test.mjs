// A disk that is full, read-only or broken, for ever or for one operation. It fails closed:
// nothing is signed, /readyz says why; and recovers by itself as soon as the disk does.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { DISK, ERRNO } from './control.mjs';
import { STATE } from './books.mjs';
import { World, assertRefused, ok } from './world.mjs';
import { send } from '../e2e/bed/tallyward.mjs';
import { until } from '../e2e/bed/wait.mjs';

let world;

before(async () => {
	world = await World.make({ settings: { body_memory_max: 4096 } });
	await world.begin();
});

after(() => world?.close());

const failing = (error, ops, more = {}) => world.control.set({
	diskOps: ops, diskCount: -1, diskSkip: 0, ...more, diskError: ERRNO[error],
});
const mend = () => world.control.set({ diskError: 0 });

const WAYS = [
	['ENOSPC', 'writes', DISK.write | DISK.truncate | DISK.open],
	['EIO', 'writes', DISK.write | DISK.truncate],
	['EIO', 'syncs', DISK.sync],
	['ENOSPC', 'syncs', DISK.sync],
	['EROFS', 'writes', DISK.all],
];

describe('as long as the disk fails', () => {
	for (const [error, what, ops] of WAYS)
		it(`with ${error} on all ${what}: nothing is signed, and it recovers by itself`, async () => {
			(await world.lot()).forEach((call) => assert.ok(!call.tries[0].lost));
			const before = world.signatures;
			failing(error, ops);
			assertRefused([await world.buy()]);
			const { status, reason } = await world.readiness();
			assert.equal(status, 503);
			assert.match(reason, /ledger/);
			assertRefused(await Promise.all(Array.from({ length: 30 }, (_, i) =>
				world.buy('settle', { key: i % 2 ? `${error}-${what}-${i}` : undefined }))));
			assertRefused([await world.buy('metered', { who: world.meter })]);
			ok(await world.buy('free'));
			assert.equal(world.signatures, before, 'a signature left while the disk failed');
			assert.equal((await send(`${world.house.url}/healthz`)).status, 200);
			mend();
			await world.recovers();
			ok(await world.buy());
			ok(await world.buy('settle', { key: `${error}-${what}-1` }));
			await world.whole();
		});

	it('payments that were out are booked when it works again', async () => {
		const buys = [world.buy('later'), world.buy('hold', { body: 'once' }), world.buy('later', { key: 'out' })];
		await until('the signatures to be out', () =>
			[...world.calls.values()].slice(-3).every(({ id }) => world.seller.of(id).length === 1));
		await until('the seller to hold them', () => world.seller.held === 3);
		failing('ENOSPC', DISK.write);
		world.seller.release();
		const [later, hold, keyed] = await Promise.all(buys);
		ok(later);
		ok(keyed);
		assert.equal(hold.tries[0].code, 'payment_unknown');
		assertRefused([await world.buy()]);
		mend();
		await world.recovers();
		await world.whole();
		const state = (call) => world.books.state(
			world.books.byNonce.get(world.seller.of(call.id)[0].nonce.toLowerCase()));
		assert.equal(state(later), STATE.settled);
		assert.equal(state(keyed), STATE.settled);
		assert.equal(state(hold), STATE.open);
		// The answer that was paid for is kept for its key, too.
		ok(await world.buy('later', { again: keyed }));
		assert.equal(world.seller.of(keyed.id).length, 1);
	});

	it('an open payment that is sent again and again leaves no row for each time', async () => {
		const call = await world.buy('hangup', { body: 'again and again' });
		failing('ENOSPC', DISK.write);
		assertRefused([await world.buy()]);
		for (let i = 0; i < 20; i++)
			await world.buy('hangup', { again: call });
		// Sent, and not answered: no refusal, and no second signature.
		assert.deepEqual([...new Set(call.tries.map(({ code }) => code))], ['payment_unknown']);
		assert.equal(world.seller.of(call.id).length, 1);
		mend();
		await world.recovers();
		await world.whole();
		const payment = world.books.byNonce.get(world.seller.of(call.id)[0].nonce.toLowerCase());
		assert.equal(world.books.state(payment), STATE.open);
		assert.ok(payment.states.length <= 2, `${payment.states.length} states`);
	});

	it('a crash on top of it loses nothing that left', async () => {
		const buys = [world.buy('hold', { body: 'once' }), world.buy('hold', { body: 'once' }), world.buy('later')];
		await until('the seller to hold them', () => world.seller.held === 3);
		failing('EIO', DISK.write | DISK.sync);
		const more = world.lot(8);
		assertRefused((await more).filter((call) => call.tool === 'metered'));
		await world.house.kill();
		world.seller.release();
		await Promise.all(buys);
		await world.begin();
		await world.whole({ calls: true });
	});

	it('an owner is told that nothing was changed, and can do it again', async () => {
		const key = world.house.writeFile('imported.key', `0x${'5a'.repeat(32)}\n`);
		const commands = [
			['agent', 'add', 'broke', '--owner', 'o@example.com'],
			['token', 'issue', 'buyer'],
			['wallet', 'deposit', 'buyer', '1.00'],
			['wallet', 'import', 'other', '--key-file', key],
			['policy', 'set', 'other', world.house.writeFile('p.json', '{"tools":{"allowlist":[]}}')],
		];
		const other = await world.addAgent('other', world.buyer.policy);
		failing('ENOSPC', DISK.write | DISK.open | DISK.truncate);
		for (const command of commands) {
			const { code, stderr } = await world.house.cli(...command);
			assert.equal(code, 1, `${command.join(' ')}: ${stderr}`);
			assert.match(stderr, /^(tallyward: warning: [^\n]+\n)?tallyward: [^\n]+\n$/);
		}
		mend();
		await world.recovers();
		ok(await world.buy('settle', { who: other }));
		await world.whole();
		for (const command of commands) {
			// The agent has paid meanwhile: replacing its key has to be asked for.
			const replace = command[1] === 'import' ? ['--replace', '--yes'] : [];
			const { code, stderr } = await world.house.cli(...command, ...replace);
			assert.equal(code, 0, `${command.join(' ')}: ${stderr}`);
		}
		fs.rmSync(key);
		await world.whole();
	});

	it('a body that has no room is refused, and the next one is not', async () => {
		failing('ENOSPC', DISK.write | DISK.open);
		const big = await world.buy('settle', { body: 'x'.repeat(100_000) });
		assert.equal(big.tries[0].status, 503, JSON.stringify(big.tries[0]));
		mend();
		await world.recovers();
		ok(await world.buy('settle', { body: 'x'.repeat(100_000) }));
		await world.whole();
	});

	it('it does not start, and says why; then it does', async () => {
		await world.house.stop();
		for (const [error, ops] of [['ENOSPC', DISK.write | DISK.truncate], ['EROFS', DISK.all],
			['EIO', DISK.sync | DISK.write | DISK.truncate]]) {
			const { code, stderr } = await world.house.startBroken({ diskOps: ops, diskCount: -1,
				diskError: ERRNO[error] });
			assert.equal(code, 1, `${error}: ${stderr}`);
			assert.match(stderr, /^tallyward: .*(cannot|ledger|disk|read-only).*$/m);
		}
		await world.begin();
		ok(await world.buy());
		await world.whole();
	});
});

describe('when one operation fails, whichever it is', () => {
	for (const [name, more] of [['fails', { diskError: ERRNO.EIO }],
		['writes half', { diskShort: 1, diskError: 0 }],
		// A commit goes to the log in one piece: half of it, and then there is no room.
		['writes half and is full', { diskShort: 1, diskError: ERRNO.ENOSPC }]])
		it(`and ${name}: all goes on, and nothing is lost`, async () => {
			for (let skip = 0; skip < 40; skip++) {
				world.control.set({ diskOps: DISK.all, diskSkip: skip, diskCount: 1, ...more });
				const calls = await world.lot(8);
				for (const call of calls)
					assert.ok(!call.tries.at(-1).lost, `${call.target}: ${call.tries.at(-1).lost}`);
				world.control.set({ diskError: 0, diskShort: 0 });
				await world.recovers();
				if (skip % 8 === 7)
					await world.whole();
			}
			await world.wholeAfterCrash();
		});
});
