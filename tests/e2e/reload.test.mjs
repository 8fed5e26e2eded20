// SIGHUP: configuration and default policy are read again, both or neither,
// while calls go on.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { Gate, listen, shut, until } from './bed/wait.mjs';

let bed;
let tw;
let plain;
let agents = 0;

/** An API that costs nothing and answers when its gate is open. */
async function startPlain() {
	const found = { gate: new Gate(), requests: 0 };
	const server = http.createServer(async (_request, response) => {
		found.requests++;
		await found.gate.pass();
		response.end('here it is');
	});
	found.url = await listen(server);
	found.stop = () => {
		found.gate.open();
		return shut(server);
	};
	return found;
}

const setDefault = (policy) => fs.writeFileSync(path.join(tw.dir, 'policy.json'),
	typeof policy === 'string' ? policy : JSON.stringify(policy, null, 2));

/** Limits of a call that these tests never reach, and one of the day. */
const daily = (dollars) => policyOf(spend('agent', 'call', '0.01'), spend('agent', 'day', dollars));

before(async () => {
	bed = await startBed();
	plain = await startPlain();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('plain', plain.url);
	setDefault(daily('1.00'));
	await tw.start();
	// Two first payments to a seller in one block can fail in the token: its cost is
	// estimated before the seller's balance exists.
	assert.equal((await tw.call(await newAgent(), 'seller', '/paid/0.01')).status, 200);
});

// A case that failed half way must not fail the next one, too.
beforeEach(async () => {
	bed.seller.gate.open();
	plain.gate.open();
	fs.rmSync(path.join(tw.dir, 'tallyward.json'));
	fs.writeFileSync(path.join(tw.dir, 'tallyward.json'), '{}');
	setDefault(daily('1.00'));
	assert.match(await tw.reload(), /event=reloaded/);
});

after(async () => {
	await tw?.close();
	await plain?.stop();
	await bed?.stop();
});

const newAgent = (policy) => tw.addAgent(`agent-${++agents}`, policy ? { policy } : {});
const usedToday = async (agent) => micros((await tw.limit(agent, 'agent', 'day')).used);
const maxToday = async (agent) => micros((await tw.limit(agent, 'agent', 'day')).max);
const burst = (agent, count) => Promise.all(Array.from({ length: count }, () =>
	tw.call(agent, 'seller', '/paid/0.01')));

describe('the default policy', () => {
	it('changes for every agent without a policy of its own', async () => {
		const [one, two, own] = [await newAgent(), await newAgent(), await newAgent(GENEROUS)];
		setDefault(daily('0.02'));
		assert.match(await tw.reload(), /event=reloaded .*default_policy="changed"/);
		assert.equal(await maxToday(one), 20_000n);
		assert.equal(await maxToday(two), 20_000n);
		assert.equal(await maxToday(own), 50_000_000n);
		const answers = await burst(one, 3);
		assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 429]);
	});

	it('counts what was spent under the one before', async () => {
		const agent = await newAgent();
		for (const answer of await burst(agent, 3))
			assert.equal(answer.status, 200, answer.text);
		setDefault(daily('0.03'));
		await tw.reload();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).problem.code, 'over_day_limit');
		setDefault(daily('0.04'));
		await tw.reload();
		const answers = await burst(agent, 3);
		assert.deepEqual(answers.map((a) => a.status).sort(), [200, 429, 429]);
	});

	it('changes under load and is never crossed', async () => {
		const agent = await newAgent();
		const first = burst(agent, 60);
		await until('some to be paid', async () => await usedToday(agent) >= 50_000n);
		setDefault(daily('0.20'));
		await tw.reload();
		const atReload = await usedToday(agent);
		for (const answer of await first)
			assert.ok([200, 429].includes(answer.status), answer.text);
		const spent = await usedToday(agent);
		assert.ok(spent <= (atReload > 200_000n ? atReload : 200_000n), `${spent} after ${atReload}`);
		setDefault(daily('0.70'));
		await tw.reload();
		await burst(agent, 80);
		assert.equal(await usedToday(agent), 700_000n);
		const signed = bed.seller.record.signatures().filter(
			({ from }) => from.toLowerCase() === agent.address.toLowerCase());
		assert.equal(signed.length, 70);
	});

	it('stays the one of an agent that came under an older one, after a restart too', async () => {
		const agent = await newAgent();
		setDefault(daily('0.07'));
		await tw.reload();
		await tw.restart();
		assert.equal(await maxToday(agent), 70_000n);
	});
});

describe('the configuration', () => {
	it('takes a limit of calls up at once', async () => {
		const agent = await newAgent();
		plain.gate.close();
		const held = tw.call(agent, 'plain', '/x');
		await until('the call to be under way', () => plain.gate.waiting === 1);
		tw.configure({ calls_max: 1 });
		assert.match(await tw.reload(), /event=config_changed key="calls_max" before="20000" after="1"/);
		const refused = await tw.call(agent, 'plain', '/x');
		assert.equal(refused.status, 503, refused.text);
		tw.configure({ calls_max: 2 });
		await tw.reload();
		const second = tw.call(agent, 'plain', '/x');
		await until('the second to be under way', () => plain.gate.waiting === 2);
		plain.gate.open();
		assert.equal((await held).status, 200);
		assert.equal((await second).status, 200);
	});

	it('takes a time-out up in the workers, and leaves a call under way its own', async () => {
		const agent = await newAgent();
		plain.gate.close();
		const held = tw.call(agent, 'plain', '/x');
		await until('the call to be under way', () => plain.gate.waiting === 1);
		tw.configure({ response_ms_max: 100 });
		await tw.reload();
		// A worker may begin one more before the news reaches it, but not on and on.
		await until('a call to time out', async () => {
			const hung = new AbortController();
			setTimeout(() => hung.abort(), 2000).unref();
			const answer = await tw.call(agent, 'plain', '/x', { signal: hung.signal })
				.catch(() => null);
			return answer?.status === 504;
		});
		plain.gate.open();
		const answer = await held;
		assert.equal(answer.status, 200, answer.text);
	});

	it('takes a size up at once', async () => {
		const agent = await newAgent();
		const post = () => tw.call(agent, 'plain', '/x', { method: 'POST', body: 'x'.repeat(2000) });
		assert.equal((await post()).status, 200);
		tw.configure({ body_size_max: 1999 });
		await tw.reload();
		assert.equal((await post()).problem.code, 'body_too_large');
	});

	it('names the keys that need a restart, and keeps them', async () => {
		const agent = await newAgent();
		tw.configure({ listen: '127.0.0.1:1', workers: 3, waiting_max: 7 });
		const log = await tw.reload();
		assert.match(log, /event=config_needs_restart key="listen" in_force="\S+127.0.0.1:8402\S+" file=/);
		assert.match(log, /event=config_needs_restart key="workers"/);
		assert.match(log, /event=config_changed key="waiting_max"/);
		assert.doesNotMatch(log, /needs_restart key="waiting_max"/);
		assert.equal((await tw.call(agent, 'plain', '/x')).status, 200);
	});

	it('logs no URL that may hold a token', async () => {
		tw.configure({ anchor_webhook: 'http://127.0.0.1:1/s3cret-of-the-owner' });
		const log = await tw.reload();
		assert.match(log, /event=config_changed key="anchor_webhook" before=- after=-/);
		assert.doesNotMatch(log, /s3cret/);
	});

	it('follows the level of the log', async () => {
		tw.configure({ log_level: 'debug' });
		await tw.reload();
		tw.configure({ log_level: 'info' });
		assert.match(await tw.reload(), /before="\\"debug\\"|before=\S*debug/);
	});
});

describe('a bad file', () => {
	const CONFIG_MISTAKES = [
		['not JSON', '{"calls_max": 1,', /tallyward\.json" line="1"/],
		['an unknown key', '{\n"calls_max": 1,\n"calls_mox": 2}', /line="3" key="calls_mox" reason=".*did you mean.*calls_max/],
		['a value out of bounds', '{"calls_max": 1,\n"waiting_ms_max": 0}', /line="2" key="waiting_ms_max" reason="must be a whole number/],
		['a key twice', '{"calls_max": 1, "calls_max": 1}', /tallyward\.json"/],
		['nothing at all', '', /tallyward\.json"/],
	];
	for (const [what, text, log] of CONFIG_MISTAKES)
		it(`with ${what} changes nothing: configuration`, async () => {
			const agent = await newAgent();
			setDefault(daily('0.01'));
			fs.writeFileSync(path.join(tw.dir, 'tallyward.json'), text);
			const said = await tw.reload();
			assert.match(said, /level=error event=reload_refused/);
			assert.match(said, log);
			assert.equal(await maxToday(agent), 1_000_000n);
			assert.equal((await tw.call(agent, 'plain', '/x')).status, 200);
		});

	const POLICY_MISTAKES = [
		['not JSON', '{', /policy\.json" line="1"/],
		['an unknown key', '{\n"bugdet": {}}', /line="2" key="bugdet" reason=".*budget/],
		['a negative limit', '{"budget": {"dailyLimit": "-1"}}', /line="1" key="budget\.dailyLimit"/],
	];
	for (const [what, text, log] of POLICY_MISTAKES)
		it(`with ${what} changes nothing: policy`, async () => {
			const agent = await newAgent();
			tw.configure({ body_size_max: 1 });
			setDefault(text);
			const said = await tw.reload();
			assert.match(said, /level=error event=reload_refused/);
			assert.match(said, log);
			assert.equal(await maxToday(agent), 1_000_000n);
			const answer = await tw.call(agent, 'plain', '/x', { method: 'POST', body: 'more than one byte' });
			assert.equal(answer.status, 200, answer.text);
		});

	it('that is gone changes nothing', async () => {
		const agent = await newAgent();
		for (const name of ['policy.json', 'tallyward.json']) {
			fs.renameSync(path.join(tw.dir, name), path.join(tw.dir, `${name}.away`));
			assert.match(await tw.reload(), new RegExp(`reload_refused file="\\S*${name}" line=- key=- reason="No such file`));
			fs.renameSync(path.join(tw.dir, `${name}.away`), path.join(tw.dir, name));
		}
		assert.equal(await maxToday(agent), 1_000_000n);
	});

	it('does not keep the next good one away, nor the daemon from paying', async () => {
		const agent = await newAgent();
		setDefault('{');
		await tw.reload();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		setDefault(daily('0.05'));
		assert.match(await tw.reload(), /event=reloaded/);
		assert.equal(await maxToday(agent), 50_000n);
		assert.equal((await send(`${tw.url}/readyz`)).status, 200);
	});
});

describe('many reloads', () => {
	it('under load lose no call', async () => {
		const agent = await newAgent(GENEROUS);
		let over = false;
		const reloading = (async () => {
			for (let i = 0; !over; i++) {
				tw.configure({ waiting_max: 1000 + i % 5 });
				setDefault(daily(i % 2 ? '0.90' : '0.80'));
				await tw.reload();
			}
		})();
		for (let i = 0; i < 5; i++)
			for (const answer of await burst(agent, 20))
				assert.equal(answer.status, 200, answer.text);
		over = true;
		await reloading;
	});

	it('leave books that agree with themselves and with the chain', () => tw.assertBooks());
});
