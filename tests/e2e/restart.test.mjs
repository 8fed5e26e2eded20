// The daemon dies, politely or not, at the worst moment. No limit is crossed
// after it, no money is unaccounted for, and no call is signed for twice.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { run } from './bed/child.mjs';
import { Disk } from './bed/disk.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { Gate, listen, shut, until } from './bed/wait.mjs';

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed({ rogue: true });
	// No chain is named to the daemon: an open payment stays open here.
	tw = await Tallyward.create();
	tw.chain = bed.chain;
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('rogue', bed.rogue.url);
	await tw.start();
});

// A case that failed half way must not fail the next one, too.
beforeEach(async () => {
	bed.seller.gate.open();
	bed.rogue.gate.open();
	if (!tw.daemon)
		await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = (policy = GENEROUS, options = {}) =>
	tw.addAgent(`agent-${++agents}`, { policy, ...options });

/** A call whose answer may never come. */
const attempt = (agent, tool, path, options) =>
	tw.call(agent, tool, path, options).catch((error) => ({ status: 'lost', text: error.message }));

const signaturesOf = (agent) => [bed.seller, bed.rogue]
	.flatMap(({ record }) => record.signatures())
	.filter(({ from }) => from.toLowerCase() === agent.address.toLowerCase());

/** All that an agent can read about its limits; sliding reset times aside. */
const counters = async (agent) => (await tw.me(agent)).limits.map(
	({ scope, window, measure, max, used, remaining }) => ({ scope, window, measure, max, used, remaining }));

/** Every signature a seller holds is in the books, and was there first. */
async function assertAllWritten(agent) {
	const payments = await tw.payments(agent.name);
	const known = new Set(payments.map((p) => p.nonce.toLowerCase()));
	for (const { nonce } of signaturesOf(agent))
		assert.ok(known.has(nonce.toLowerCase()), `${nonce} left without being written down`);
	const { used } = await tw.limit(agent, 'session', 'total');
	assert.equal(micros(used), payments.reduce((sum, p) => sum + micros(p.amount), 0n));
	return payments;
}

describe('a restart', () => {
	for (const [how, end] of [['SIGTERM', () => tw.stop()], ['SIGKILL', () => tw.kill()]])
		it(`by ${how} leaves every counter as it was`, async () => {
			const agent = await newAgent(policyOf(
				spend('agent', 'call', '0.05'), spend('session', 'total', '1.00'),
				spend('agent', 'hour', '1.00'), spend('agent', 'day', '1.00'),
				spend('agent', 'month', '1.00'), spend('tool:seller', 'day', '1.00'),
				spend(`payee:${bed.rogue.payTo}`, 'day', '1.00'),
				{ scope: 'agent', window: 'hour', calls: 100 }));
			for (const path of ['/paid/0.01', '/free', '/paid/0.02', '/broken/0.03'])
				await tw.call(agent, 'seller', path);
			await attempt(agent, 'rogue', '/reset');
			const before = await counters(agent);
			const wallet = await tw.wallet(agent.name);
			await end();
			await tw.start();
			assert.deepEqual(await counters(agent), before);
			assert.deepEqual(await tw.wallet(agent.name), wallet);
			await assertAllWritten(agent);
			await tw.verify();
		});

	it('keeps a spent budget spent', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')));
		// Killed at once: that it is settled is known all the same, or the same call again would
		// send the same bytes again.
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		await tw.kill();
		await tw.start();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).problem.code, 'over_session_limit');
		assert.equal(signaturesOf(agent).length, 1);
	});

	it('lets a burst spend what is left, and no more', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.05')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		await tw.kill();
		await tw.start();
		const answers = await Promise.all(Array.from({ length: 20 }, (_, i) =>
			tw.call(agent, 'seller', `/paid/0.01?${i}`)));
		assert.equal(answers.filter(({ status }) => status === 200).length, 3);
		assert.equal(signaturesOf(agent).length, 5);
		await assertAllWritten(agent);
	});

	// What an agent spent before the start is read when it first calls.
	it('lets nobody in whose past cannot be read, until it can', async () => {
		const sql = async (text) => {
			// The daemon may be writing.
			const { code, stdout, stderr } = await run('sqlite3',
				['-cmd', '.timeout 20000', path.join(tw.dir, 'ledger.db'), text]);
			assert.equal(code, 0, stderr);
			return stdout.trim();
		};
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		await until('it to be written', async () =>
			(await tw.payments(agent.name, 'settled')).length === 1);
		await tw.restart();
		const index = await sql("SELECT sql FROM sqlite_schema WHERE name = 'audit_calls'");
		await sql('DROP INDEX audit_calls');
		try {
			for (const path of ['/free', '/paid/0.01', '/free']) {
				const { status, problem } = await tw.call(agent, 'seller', path);
				assert.equal(status, 503);
				assert.equal(problem.code, 'not_accepting_payments');
			}
		} finally {
			await sql(index);
		}
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01?again')).problem.code, 'over_session_limit');
		assert.equal(signaturesOf(agent).length, 1);
		await tw.verify();
	});

	it('lets the same token in', async () => {
		const agent = await newAgent();
		await tw.restart();
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200);
	});
});

describe('SIGTERM', () => {
	it('lets a call under way end well, and takes no new one', async () => {
		const agent = await newAgent();
		bed.seller.gate.close();
		const call = attempt(agent, 'seller', '/slow/0.01');
		await until('the handler to be reached', () => bed.seller.gate.waiting === 1);
		const stopped = tw.stop();
		await until('new connections to be refused', () =>
			send(`${tw.url}/t/seller/free`, { headers: { authorization: `Bearer ${agent.token}` } })
				.then((a) => a.status === 503, () => true));
		bed.seller.gate.open();
		const answer = await call;
		assert.equal(answer.status, 200, answer.text);
		assert.deepEqual(await stopped, { code: 0, signal: null });
		await tw.start();
		const [payment] = await tw.payments(agent.name);
		assert.equal(payment.state, 'settled');
		await tw.assertBooks();
	});
});

describe('a stop that will not wait', () => {
	/** A paid call whose seller keeps the signature and says nothing. */
	async function hangingCall() {
		const agent = await newAgent();
		bed.rogue.gate.close();
		const call = attempt(agent, 'rogue', '/hang');
		await until('the signature to arrive', () => signaturesOf(agent).length === 1);
		return { agent, call };
	}

	async function assertFoundOpen({ agent, call }) {
		assert.equal((await call).status, 'lost');
		assert.match(tw.log, /event=stopped_with_calls_in_flight/);
		await tw.start();
		const [payment, ...others] = await assertAllWritten(agent);
		assert.deepEqual(others, []);
		assert.equal(payment.state, 'open');
		assert.equal((await tw.wallet(agent.name)).open, payment.amount);
		await tw.verify();
	}

	it('cuts a call off at drain_ms_max; the next start finds its payment open', async () => {
		tw.configure({ drain_ms_max: 100 });
		await tw.restart();
		const hanging = await hangingCall();
		assert.deepEqual(await tw.stop(), { code: 0, signal: null });
		tw.configure({ drain_ms_max: 30000 });
		await assertFoundOpen(hanging);
	});

	it('cuts it off at the second signal', async () => {
		const hanging = await hangingCall();
		const { daemon } = tw;
		const stopped = tw.stop();
		await until('it to be stopping', () => /event=stopping$/m.test(daemon.log));
		daemon.kill('SIGTERM');
		assert.deepEqual(await stopped, { code: 0, signal: null });
		await assertFoundOpen(hanging);
	});

	/**
	 * Calls that end while the disk is held up, behind one that does not; then the second signal.
	 * What nobody waits for, their receipts and audit rows, has been handed over by then.
	 */
	async function stopOnHeldDisk(disk) {
		tw.env = disk.env;
		await tw.restart();
		const hanging = await hangingCall();
		const agent = await newAgent();
		bed.seller.gate.close();
		const wires = [];
		for (let i = 0; i < 5; i++)
			wires.push((await tw.connect()).say('GET /t/seller/slow/0.01 HTTP/1.1\r\nHost: proxy\r\n' +
				`Authorization: Bearer ${agent.token}\r\n\r\n`));
		await until('the handlers to be reached', () => bed.seller.gate.waiting === wires.length);
		disk.hold();
		const { daemon } = tw;
		const stopped = tw.stop();
		await until('it to be stopping', () => /event=stopping$/m.test(daemon.log));
		bed.seller.gate.open();
		const answers = await Promise.all(wires.map((wire) => wire.answer()));
		for (const { status, text } of answers)
			assert.equal(status, 200, text);
		// It ends the connection once the call is over.
		await Promise.all(wires.map((wire) => wire.ended()));
		tw.hangUp();
		daemon.kill('SIGTERM');
		await until('it to give up', () => /event=stopped_with_calls_in_flight/.test(daemon.log));
		return { hanging, agent, answers, stopped };
	}

	const states = async (agent) => (await tw.payments(agent.name)).map(({ state }) => state);

	it('first writes what ended calls have left behind', async () => {
		const disk = await Disk.create(tw.home);
		try {
			const { hanging, agent, answers, stopped } = await stopOnHeldDisk(disk);
			disk.letGo();
			assert.deepEqual(await stopped, { code: 0, signal: null });
			assert.doesNotMatch(tw.log, /event=last_rows_not_written/);
			await assertFoundOpen(hanging);
			assert.deepEqual(await states(agent), answers.map(() => 'settled'));
			for (const { headers } of answers)
				await tw.must('dispute', headers['tallyward-call']);
		} finally {
			disk.letGo();
			tw.env = {};
		}
	});

	it('is not held up by a disk that hangs', async () => {
		const disk = await Disk.create(tw.home);
		try {
			const { hanging, agent, answers, stopped } = await stopOnHeldDisk(disk);
			assert.deepEqual(await stopped, { code: 0, signal: null });
			assert.match(tw.log, /event=last_rows_not_written/);
			disk.letGo();
			await assertFoundOpen(hanging);
			// As after a crash: what was handed over is found by the next start.
			assert.deepEqual(await states(agent), answers.map(() => 'settled'));
			for (const { headers } of answers)
				await tw.must('dispute', headers['tallyward-call']);
		} finally {
			disk.letGo();
			tw.env = {};
		}
	});

	it('still tells the last anchor, whatever signals come meanwhile', async () => {
		const gate = new Gate();
		const told = [];
		const server = http.createServer(async (request, response) => {
			request.resume();
			told.push(request.url);
			await gate.pass();
			response.end();
		});
		const url = await listen(server);
		try {
			tw.configure({ anchor_webhook: `${url}/anchors`, anchor_s: 3600 });
			await tw.restart();
			const agent = await newAgent();
			assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
			gate.close();
			const before = told.length;
			const { daemon } = tw;
			const stopped = tw.stop();
			await until('the last anchor', () => told.length > before);
			daemon.kill('SIGHUP');
			await until('it to say no', () =>
				/event=reload_refused reason="the daemon is stopping"/.test(daemon.log));
			daemon.kill('SIGTERM');
			await until('it to have heard', () => /event=stopping_now/.test(daemon.log));
			gate.open();
			assert.deepEqual(await stopped, { code: 0, signal: null });
		} finally {
			tw.configure({ anchor_webhook: '', anchor_s: 60 });
			gate.open();
			await shut(server);
		}
	});

	it('has nothing to wait for when no call is under way', async () => {
		const idle = await newAgent();
		assert.equal((await tw.call(idle, 'seller', '/free')).status, 200);
		assert.deepEqual(await tw.stop(), { code: 0, signal: null });
		assert.doesNotMatch(tw.log, /event=stopped_with_calls_in_flight/);
	});
});

describe('SIGKILL', () => {
	it('with signatures out: they are open, counted, and sent again byte for byte', async () => {
		const agent = await newAgent(policyOf(
			spend('agent', 'call', '0.01'), spend('session', 'total', '0.01')));
		const headers = { 'idempotency-key': 'the-one-order' };
		bed.rogue.gate.close();
		const call = attempt(agent, 'rogue', '/hang', { headers });
		await until('the signature to arrive', () => signaturesOf(agent).length === 1);
		await tw.kill();
		assert.equal((await call).status, 'lost');
		await tw.start();
		assert.equal((await tw.payments(agent.name))[0].state, 'open');
		assert.equal((await attempt(agent, 'rogue', '/honest')).problem.code, 'over_session_limit');
		bed.rogue.gate.open();
		await attempt(agent, 'rogue', '/hang', { headers });
		const sent = bed.rogue.record.paid('/hang').filter((r) =>
			r.payment.payload.authorization.from.toLowerCase() === agent.address.toLowerCase());
		assert.equal(new Set(sent.map((r) => r.header)).size, 1);
		assert.equal(signaturesOf(agent).length, 1);
		assert.equal((await tw.payments(agent.name)).length, 1);
	});

	it('right after an answer: its call counts, its payment is settled, its row is there', async () => {
		const agent = await newAgent(policyOf(spend('agent', 'call', '0.01'),
			spend('session', 'total', '1.00'), { scope: 'agent', window: 'day', calls: 1000 }));
		const answered = [];
		for (let round = 1; round <= 5; round++) {
			for (const path of ['/free', '/paid/0.01', '/free', '/paid/0.01'])
				answered.push((await tw.call(agent, 'seller', `${path}?${round}`)).headers['tallyward-call']);
			await tw.kill();
			await tw.start();
			assert.equal(Number((await tw.limit(agent, 'agent', 'day', 'calls')).used), 4 * round);
			assert.equal((await tw.payments(agent.name, 'settled')).length, 2 * round);
		}
		for (const call of answered)
			await tw.must('dispute', call);
		await tw.verify();
	});

	// After how many signatures at the seller the power goes: the moment differs
	// each time, and what must hold is the same.
	for (const after of [1, 2, 5, 9, 14])
		it(`in a burst, after ${after} signatures: every one of them is in the books`, async () => {
			const agent = await newAgent(policyOf(
				spend('agent', 'call', '0.02'), spend('session', 'total', '0.20')));
			const burst = Array.from({ length: 40 }, () => attempt(agent, 'seller', '/paid/0.01'));
			await until('signatures at the seller', () => signaturesOf(agent).length >= after);
			await tw.kill();
			await Promise.all(burst);
			await tw.start();
			await assertAllWritten(agent);
			await tw.verify();
			// And what is left of the budget, no more, can still be spent.
			await Promise.all(Array.from({ length: 40 }, () => attempt(agent, 'seller', '/paid/0.01')));
			const payments = await assertAllWritten(agent);
			const total = payments.reduce((sum, p) => sum + micros(p.amount), 0n);
			assert.equal(total, 200_000n, 'the whole budget and not a cent more');
			assert.ok(signaturesOf(agent).length <= 20);
			await tw.assertBooks();
		});

	it('right after an owner changed something: it is kept or it never was', async () => {
		const agent = await newAgent();
		await tw.must('token', 'revoke', agent.session);
		await tw.kill();
		await tw.start();
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 401);
		await tw.verify();
	});
});

describe('the data folder', () => {
	it('belongs to one daemon at a time, and the second says who has it', async () => {
		const second = await tw.cli('serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0');
		assert.equal(second.code, 1);
		assert.match(second.stderr, new RegExp(`is in use by process ${tw.daemon.pid}\\b`));
		assert.equal(second.stderr.trim().split('\n').length, 1);
		assert.equal((await send(`${tw.url}/readyz`)).status, 200);
		// It took nothing away from the first: commands still reach it.
		assert.ok((await tw.must('agent', 'list')).length > 0);
	});

	it('has an address of its own, too', async () => {
		const other = await Tallyward.create();
		// Ended by force if it serves.
		const second = await run('timeout', ['20', other.program, 'serve',
			'--listen', `127.0.0.1:${tw.port}`, '--admin', '127.0.0.1:0'],
		{ cwd: other.home, env: { TALLYWARD_DIR: other.dir } });
		assert.equal(second.code, 1, second.stderr);
		assert.match(second.stderr, new RegExp(`127\\.0\\.0\\.1:${tw.port}: Address already in use`));
		assert.equal(second.stderr.trim().split('\n').length, 1);
		await other.close();
	});

	it('is not told to listen where nobody can: that is wrong usage', async () => {
		for (const [option, address] of [['--listen', 'bogus'], ['--admin', '127.0.0.1'], ['--listen', '[::1]:x']]) {
			const { code, stderr } = await tw.cli('serve', option, address);
			assert.equal(code, 2, stderr);
			assert.equal(stderr, `tallyward: ${option} takes an address and a port, like 127.0.0.1:8402, not '${address}'\n`);
		}
	});

	it('is free after a kill -9, whatever its lock file says', async () => {
		const { pid } = tw.daemon;
		const lock = path.join(tw.dir, 'lock');
		assert.equal(fs.readFileSync(lock, 'utf8').trim(), String(pid));
		await tw.kill();
		assert.equal(fs.readFileSync(lock, 'utf8').trim(), String(pid), 'nobody cleaned up');
		assert.ok(fs.existsSync(path.join(tw.dir, 'admin.sock')));
		// A command takes the folder for itself, and a daemon after it.
		assert.ok((await tw.must('agent', 'list')).length > 0);
		// As if that number had been given to another process since.
		fs.writeFileSync(lock, `${process.pid}\n`);
		await tw.start();
		assert.equal(fs.readFileSync(lock, 'utf8').trim(), String(tw.daemon.pid));
		// Of junk, too, nothing is believed.
		await tw.kill();
		fs.writeFileSync(lock, 'x'.repeat(100_000));
		await tw.start();
		assert.equal((await send(`${tw.url}/readyz`)).status, 200);
	});

	it('answers the same whether the daemon runs or not', async () => {
		const name = [...tw.agents.keys()][0];
		// A stop makes one more anchor: what it says about the rows is the same.
		const books = async () => {
			const { anchors, anchored_at: at, ...rest } = await tw.verify();
			assert.ok(anchors > 0 && at);
			return rest;
		};
		// The clock goes on: an open payment whose time is over meanwhile is shown as expired.
		const payments = async () => (await tw.payments(name)).map(({ state, ...rest }) =>
			({ ...rest, state: state === 'expired' ? 'open' : state }));
		const ask = async () => [
			await tw.statement(name), await payments(), await tw.must('wallet', 'show', name),
			await tw.must('tool', 'list'), await tw.must('agent', 'list'), await books(),
		];
		const running = await ask();
		await tw.stop();
		assert.deepEqual(await ask(), running);
		await tw.start();
	});

	it('shows no key and no secret in clear', async () => {
		const secret = `0x${'5eed'.repeat(16)}`;
		const file = tw.writeFile('imported.key', `${secret}\n`);
		const agent = await newAgent(GENEROUS, { usdc: '0' });
		await tw.must('wallet', 'import', agent.name, '--key-file', file);
		fs.rmSync(file);
		const look = (folder) => fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
			const place = path.join(folder, entry.name);
			if (entry.isDirectory())
				return look(place);
			return entry.isFile() ? [place] : [];
		});
		const needles = [secret.slice(2), Buffer.from(secret.slice(2), 'hex')];
		for (const place of look(tw.dir))
			for (const needle of needles)
				assert.equal(fs.readFileSync(place).includes(needle), false, `a key lies open in ${place}`);
		assert.equal(tw.daemon.log.includes(secret.slice(2)), false);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
