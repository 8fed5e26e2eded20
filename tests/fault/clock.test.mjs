// The machine's clock jumps, both ways, for a moment and for good. As long as the time is not
// to be believed nothing is signed; afterwards payments go on, without a restart.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { World, assertRefused, ok } from './world.mjs';
import { until } from '../e2e/bed/wait.mjs';

const S = 1_000_000;
/** common/clock.h: how long a step has to last to be accepted. */
const SETTLE_US = 60 * S;

let world;
let wall = 0;
let steady = 0;

/** The wall clock jumps; `passes`: so much time goes by at once, on every clock. */
function clock({ jumps = 0, passes = 0 }) {
	wall += jumps * S + passes * S;
	steady += passes * S;
	world.control.setTogether(['clockUs', 'steadyUs'], [wall, steady]);
}

const settled = () => clock({ passes: SETTLE_US / S + 1 });

before(async () => {
	world = await World.make();
});

after(() => world?.close());

// The clocks go on where the case before left them: time that rows have seen stays past.
beforeEach(async () => {
	await world.house.kill();
	await world.begin({ clockUs: wall, steadyUs: steady });
	await world.recovers();
});

/** As far as the daemon's time is from the machine's, so are the rows. */
const whole = () => world.whole({ now: Date.now() + wall / 1000 });

async function notBelieved(word) {
	await until('the step to be seen', async () => (await world.readiness()).status === 503);
	assert.match((await world.readiness()).reason, word);
	const signed = world.signatures;
	assertRefused(await Promise.all([world.buy(), world.buy('settle', { key: `k${wall}` }),
		world.buy('metered', { who: world.meter })]));
	ok(await world.buy('free'));
	assert.equal(world.signatures, signed);
}

for (const [way, seconds] of [['forward', 600], ['back', -600], ['a day forward', 86_400],
	['a day back', -86_400], ['ten years forward', 315_360_000]])
	it(`jumps ${way} and is put right: payments go on at once`, async () => {
		ok(await world.buy());
		clock({ jumps: seconds });
		await notBelieved(/clock/);
		clock({ jumps: -seconds });
		await world.recovers();
		ok(await world.buy());
		await whole();
	});

describe('a step that is meant', () => {
	it('forward: it is believed when it has lasted', async () => {
		ok(await world.buy());
		clock({ jumps: 600 });
		await notBelieved(/clock/);
		settled();
		await world.recovers();
		ok(await world.buy());
		await whole();
	});

	it('back: nothing is signed until the clock has passed the newest row', async () => {
		ok(await world.buy());
		clock({ jumps: -600 });
		await notBelieved(/clock/);
		settled();
		await notBelieved(/clock/);
		clock({ passes: 540 });
		await world.recovers();
		ok(await world.buy());
		await whole();
	});

	it('back, and a restart meanwhile: the same', async () => {
		ok(await world.buy());
		await world.house.kill();
		wall -= 600 * S;
		await world.beginAt({ clockUs: wall, steadyUs: steady });
		await notBelieved(/clock/);
		clock({ passes: 700 });
		await world.recovers();
		ok(await world.buy());
		await whole();
	});
});

it('a clock that is set every few seconds: nothing is signed while it is', async () => {
	ok(await world.buy());
	for (const jumps of [100, -300, 500, -50]) {
		clock({ jumps });
		await notBelieved(/clock/);
		clock({ passes: 20 });
	}
	clock({ jumps: -250 });
	await world.recovers();
	ok(await world.buy());
	await whole();
});

it('small steps, as an NTP client makes them, are not noticed', async () => {
	const ids = [];
	for (const jumps of [1, -2, 3, -2, 0.5, -2, 3.5]) {
		clock({ jumps });
		const call = await world.buy();
		ok(call);
		ids.push(call.tries[0].id);
	}
	assert.deepEqual(ids, [...ids].sort((a, b) => a - b), 'ids go up whatever the clock does');
	await whole();
});

it('a jump while a payment is out: it is booked all the same', async () => {
	const buying = world.buy('later');
	await until('the signature to be out', () => world.seller.held === 1);
	clock({ jumps: -3600 });
	await notBelieved(/clock/);
	world.seller.release();
	ok(await buying);
	clock({ jumps: 3600 });
	await world.recovers();
	await whole();
});
