// The n-th allocation fails, for many n. The process may end itself, on purpose and with a
// word (common/must.h), or refuse a call; it never dies of a stray pointer, never signs
// without a row, and what it leaves is whole.

import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { World } from './world.mjs';
import { random } from './load.mjs';
import { send } from '../e2e/bed/tallyward.mjs';
import { until } from '../e2e/bed/wait.mjs';

let world;

before(async () => {
	world = await World.make();
	await world.begin();
	await world.lot(8);
	await world.whole();
});

after(() => world?.close());

/** One of everything. What comes of it is nobody's promise; only that somebody answers or dies. */
async function everything(turn) {
	const { house } = world;
	const me = send(`${house.url}/v1/me`, { headers: { authorization: `Bearer ${world.buyer.token}` } })
		.catch(() => null);
	await world.buy('settle');
	await world.buy('settle', { key: `memory-${turn}`, body: 'x'.repeat(3000) });
	await world.buy('fail');
	await world.buy('metered', { who: world.meter });
	await world.buy('free');
	await me;
}

/** How many allocations one round of everything makes, so that all of them can be reached. */
async function countAllocations() {
	const before = world.control.get('allocSeen');
	await everything('counted');
	return world.control.get('allocSeen') - before;
}

async function failAt(turn, n, count) {
	world.control.set({ allocCount: count, allocSkip: n });
	await everything(turn);
	world.control.set({ allocCount: 0, allocSkip: 0 });
	if (await send(`${world.house.url}/healthz`).then(() => true, () => false))
		return 'went on';
	await until(`the end of what does not answer after allocation ${n}`, () => world.house.dead);
	const { signal } = await world.house.daemon.ended;
	const { log } = world.house.daemon;
	assert.equal(signal, 'SIGABRT', `allocation ${n}: it ended by ${signal}: ${log.slice(-500)}`);
	assert.match(log, /^tallyward: (out of memory|.*broken promise)/m);
	await world.house.kill();
	await world.begin();
	return 'ended itself';
}

for (const [name, count] of [['one allocation', 1], ['a hundred allocations in a row', 100]])
	it(`${name}: every n of a call, or a sample of them`, async () => {
		const most = await countAllocations();
		assert.ok(most > 500, `${most} allocations are too few to be all`);
		const rng = random(count);
		const turns = process.env.FAULT_LONG
			? Array.from({ length: most }, (_, i) => i + 1)
			: Array.from({ length: 60 }, () => 1 + Math.floor(rng() * most));
		const ends = {};
		for (const [i, n] of turns.entries()) {
			const end = await failAt(`${count}-${i}`, n, count);
			ends[end] = (ends[end] ?? 0) + 1;
			if (i % 20 === 19)
				await world.whole();
		}
		await world.wholeAfterCrash();
		console.log(`${name} of ${most}: ${JSON.stringify(ends)}`);
	});
