// Crowds: of agents that are refused, of connections that ask for nothing, of
// newcomers. Whoever behaves is served as if they were not there. No time is
// asserted: calls are numbered as they are looked at, and the numbers tell.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { after, afterEach, before, describe, it } from 'node:test';
import { run } from './bed/child.mjs';
import { calls, policyOf, spend } from './bed/policies.mjs';
import { Tallyward } from './bed/tallyward.mjs';
import { listen, shut, until } from './bed/wait.mjs';

const AGENTS = 100;
const CROWD = 300;
const IDLE = 10_000;

let seller;
let tw;
let good;
const bad = [];

before(async () => {
	const server = http.createServer((_request, response) => response.end('here'));
	seller = { url: await listen(server), stop: () => shut(server) };
	tw = await Tallyward.create({ settings: { workers: 1 } });
	await tw.addTool('free', seller.url, '--price', '0');
	await tw.addTool('billed', seller.url, '--billing', 'metered', '--price', '0.01');
	good = await tw.addAgent('good', { usdc: null, policy: policyOf(spend('agent', 'day', '100.00')) });
	await tw.start();
});

afterEach(() => tw?.hangUp());

after(async () => {
	await tw?.close();
	await seller?.stop();
});

/** An agent that nothing is allowed to. */
const addBad = (name) =>
	tw.addAgentLive(name, { tools: { allowlist: ['billed'] }, limits: [calls('agent', 'day', 0)] });

const connect = () => tw.connect();

const request = (target, token) =>
	`GET ${target} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer ${token}\r\n\r\n`;
const callOf = ({ headers }) => BigInt(headers['tallyward-call']);

/** A call of the one who behaves, in full. */
async function served(wire, tool = 'free') {
	const answer = await wire.say(request(`/t/${tool}/a`, good.token)).answer();
	assert.equal(answer?.status, 200, answer?.text);
	return answer;
}

/** How the crowd has itself refused. */
const REFUSALS = [
	(agent) => [request('/t/free/x', agent.token), 403],
	(agent) => [request('/t/billed/x', agent.token), 429],
	(agent) => [request('/t/billed/x', `${agent.token.slice(0, -4)}AAAA`), 401],
	(agent) => [request('/t/none/x', agent.token), 404],
];

describe('a crowd of agents that are refused', () => {
	before(async () => {
		for (let i = 0; i < AGENTS; i++)
			bad.push(await addBad(`bad-${i}`));
	});

	/** Each has been refused once, and asks again; what they get is counted later. */
	async function gather() {
		const crowd = [];
		for (let i = 0; i < CROWD; i++) {
			const [bytes, status] = REFUSALS[i % REFUSALS.length](bad[i % AGENTS]);
			crowd.push({ wire: await connect(), bytes, status });
		}
		await ask(crowd);
		return crowd;
	}

	const say = (crowd) => crowd.forEach(({ wire, bytes }) => wire.say(bytes));
	const hear = (crowd) => Promise.all(crowd.map(async ({ wire, status }) => {
		const answer = await wire.answer();
		assert.equal(answer?.status, status, answer?.text);
		return callOf(answer);
	}));
	const ask = (crowd) => {
		say(crowd);
		return hear(crowd);
	};

	/** What each of its threads does, by the kernel's letter. */
	const threadStates = () => fs.readdirSync(`/proc/${tw.daemon.pid}/task`).map((id) =>
		/\) (\w)/.exec(fs.readFileSync(`/proc/${tw.daemon.pid}/task/${id}/stat`, 'utf8'))[1]);

	/**
	 * All of them ask while the daemon stands still; `wire`, that of the one who behaves, last:
	 * for something that the daemon answers itself and for a call, in one breath. Says how many
	 * of the crowd were looked at before that call was. No seller has a part in it: as long as
	 * one takes to answer, the crowd may well be served.
	 */
	async function overtaken(crowd, wire) {
		tw.daemon.kill('SIGSTOP');
		await until('it to stand still', async () => threadStates().every((state) => state === 'T'));
		say(crowd);
		wire.say(request('/v1/me', good.token) + request('/t/free/a', good.token));
		await until('all to have been sent', async () =>
			tw.wires.every(({ socket }) => socket.writableLength === 0));
		tw.daemon.kill('SIGCONT');
		const [me, call] = [await wire.answer(), await wire.answer()];
		assert.deepEqual([me.status, call.status], [200, 200]);
		return (await hear(crowd)).filter((number) => number < callOf(call)).length;
	}

	it('does not stand before one who has behaved', async () => {
		const crowd = await gather();
		const wire = await connect();
		await served(wire);
		const before = await overtaken(crowd, wire);
		assert.ok(before < CROWD / 4, `${before} of ${CROWD} came first`);
	});

	it('does not stand before one who is new', async () => {
		const crowd = await gather();
		const before = await overtaken(crowd, await connect());
		assert.ok(before < CROWD / 4, `${before} of ${CROWD} came first`);
	});

	it('is refused to the last of it, in the order it came, and each refusal is in the books', async () => {
		const crowd = await gather();
		const numbers = await ask(crowd);
		assert.equal(new Set(numbers).size, CROWD);
		// The strangers among them have no rows: nobody knows whose they would be.
		for (const i of [0, 1, 3, CROWD - 1]) {
			const bundle = await tw.must('dispute', numbers[i].toString());
			assert.match(JSON.stringify(bundle), new RegExp(`"bad-${i % AGENTS}"`));
		}
	});

	it('takes nothing from a call that waits for the disk', async () => {
		const crowd = await gather();
		const wire = await connect();
		await served(wire);
		let over = false;
		const storm = Promise.all(crowd.map(async (one) => {
			while (!over)
				await ask([one]);
		}));
		for (let i = 0; i < 10; i++)
			await served(wire, 'billed');
		// Another connection each time, as a script has it.
		for (let i = 0; i < 10; i++)
			await served(await connect());
		over = true;
		await storm;
		await tw.verify();
	});
});

describe('a crowd of connections', () => {
	const limits = () => Number(/^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);
	const memory = () => Number(/^VmRSS:\s+(\d+)/m.exec(
		fs.readFileSync(`/proc/${tw.daemon.pid}/status`, 'utf8'))[1]) * 1024;

	/** `count` of them, a hundred at a time. */
	async function idle(count) {
		for (let i = 0; i < count; i += 100)
			await Promise.all(Array.from({ length: Math.min(100, count - i) }, connect));
	}

	it(`of ten thousand, all idle, costs little and holds nobody up`, async () => {
		const wire = await connect();
		await served(wire);
		const count = Math.min(IDLE, Math.floor(limits() * 0.7) - 200);
		const before = memory();
		await idle(count);
		await served(wire);
		await served(wire, 'billed');
		await served(await connect(), 'billed');
		const each = (memory() - before) / count;
		assert.ok(each < 32_768, `${Math.round(each)} bytes a connection`);
		assert.ok(tw.wires.slice(1, -1).every(({ over }) => !over), 'none of them was in the way');
	});

	it('with half a head each does no more', async () => {
		const wire = await connect();
		await served(wire);
		await idle(1000);
		for (const one of tw.wires.slice(1))
			one.say('GET /t/free/x HTTP/1.1\r\nHost: pro');
		for (let i = 0; i < 5; i++)
			await served(wire, 'billed');
		await served(await connect());
	});

	it('over the limit makes room for those who ask for something', async () => {
		tw.configure({ connections_max: 50 });
		await tw.reload();
		const wire = await connect();
		await served(wire);
		await idle(200);
		await served(wire);
		await served(await connect());
		await until('the oldest to be gone', async () => tw.wires.filter(({ over }) => over).length >= 152);
		assert.equal(wire.over, false);
		tw.configure({ connections_max: 20_000 });
		await tw.reload();
	});

	it('when descriptors run out leaves some for the calls, and is forgotten when it goes', async () => {
		// Taken away while it runs, whatever it may have asked for itself at its start.
		const { code, stderr } = await run('prlimit', ['--pid', String(tw.daemon.pid), '--nofile=256:256']);
		assert.equal(code, 0, stderr);
		assert.match(await tw.reload(), /event=reloaded/);
		const wire = await connect();
		await served(wire);
		await idle(500);
		for (let i = 0; i < 3; i++) {
			await served(wire, 'billed');
			await served(await connect());
		}
		for (const one of tw.wires.splice(0).slice(1))
			one.close();
		await served(wire, 'billed');
		wire.close();
		await served(await connect(), 'billed');
		await tw.verify();
	});
});
