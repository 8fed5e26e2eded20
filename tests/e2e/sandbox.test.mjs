// The daemon has given up what it does not need, and still does everything it
// is for: whatever is asked of it here happens behind the filter of system
// calls, and nothing of it is refused by the kernel.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { NETWORK } from './bed/chain.mjs';
import { run } from './bed/child.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, send, tallywardProgram } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const NOBODY = 65534;
const isRoot = process.getuid() === 0;

let bed;
let tw;
let agent;
let webhook;

/** Takes anchors; `lines` are what it was told. */
async function startWebhook() {
	const lines = [];
	const server = http.createServer((request, response) => {
		let text = '';
		request.on('data', (chunk) => { text += chunk; });
		request.on('end', () => {
			lines.push(text);
			response.end();
		});
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const stop = () => new Promise((resolve) => {
		server.close(resolve);
		server.closeAllConnections();
	});
	return { url: `http://127.0.0.1:${server.address().port}/`, lines, stop };
}

before(async () => {
	bed = await startBed();
	webhook = await startWebhook();
	tw = await Tallyward.create({
		chain: bed.chain,
		settings: { anchor_webhook: webhook.url, anchor_syslog: 1, anchor_s: 1, body_memory_max: 1024 },
	});
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
	agent = await tw.addAgent('buyer', { policy: GENEROUS });
});

after(async () => {
	await tw?.close();
	await webhook?.stop();
	await bed?.stop();
});

const unrefused = (log) => assert.doesNotMatch(log, /syscall_refused/);

afterEach(() => {
	if (!tw.daemon)
		return;
	assert.equal(tw.daemon.signalCode, null, tw.daemon.log);
	assert.equal(tw.daemon.exitCode, null, tw.daemon.log);
	unrefused(tw.daemon.log);
});

/** A port below 1024 that nobody has, tried from above. */
async function lowPort() {
	for (let port = 1023; port > 512; port--) {
		const server = net.createServer();
		const taken = await new Promise((resolve) => {
			server.once('error', () => resolve(true));
			server.listen(port, '127.0.0.1', () => resolve(false));
		});
		await new Promise((resolve) => server.close(resolve));
		if (!taken)
			return port;
	}
	throw new Error('no port below 1024 is free');
}

/** proc(5)'s status of every thread, as objects; the resolver's come and go. */
function statuses(pid) {
	return fs.readdirSync(`/proc/${pid}/task`).flatMap((task) => {
		let text;
		try {
			text = fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
		} catch (error) {
			assert.ok(['ENOENT', 'ESRCH'].includes(error.code), error);
			return [];
		}
		return [Object.fromEntries(text.trim().split('\n').map((line) => line.split(/:\s*/, 2)))];
	});
}

function assertSealed(pid, { uid = process.getuid(), seccomp = '2' } = {}) {
	const threads = statuses(pid);
	// At least this one, a worker and the writer.
	assert.ok(threads.length >= 3, `${threads.length} threads`);
	for (const status of threads) {
		assert.equal(status.NoNewPrivs, '1');
		assert.equal(status.Seccomp, seccomp);
		for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
			assert.match(status[set], /^0+$/, set);
		assert.deepEqual(status.Uid.split('\t'), Array(4).fill(`${uid}`));
		assert.equal(status.Umask, '0077');
		assert.equal(status.CoreDumping, '0');
	}
	assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
	return threads;
}

const doctorRow = async () => {
	const { json } = await tw.cli('doctor');
	return json.find((row) => row.check === 'sandbox');
};

const isPaid = (answer) => {
	assert.equal(answer.status, 200, answer.text);
	assert.equal(answer.payment, 'settled');
};

describe('behind the filter', () => {
	it('every thread has given up the same', () => {
		assertSealed(tw.daemon.pid);
		assert.match(tw.daemon.log,
			/event=sandbox .*no new privileges, no core files, system calls filtered/);
		assert.equal(/event=running_as_root/.test(tw.daemon.log), isRoot);
	});

	it('the doctor sees it', async () => {
		const row = await doctorRow();
		assert.equal(row.ok, true, row.detail);
		assert.match(row.detail, /system calls filtered/);
	});

	it('free and paid calls', async () => {
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200);
		isPaid(await tw.call(agent, 'seller', '/paid/0.01'));
	});

	it('a body that waits in a file', async () => {
		isPaid(await tw.call(agent, 'seller', '/paid/0.01', {
			method: 'POST', body: Buffer.alloc(300_000, 'x'),
			headers: { 'content-type': 'application/octet-stream' },
		}));
	});

	it('a tool that is added now, whose host is a name', async () => {
		await tw.addTool('named', bed.seller.url.replace('127.0.0.1', 'localhost'));
		isPaid(await tw.call(agent, 'named', '/paid/0.01'));
		await tw.addTool('nameless', 'http://no-such-host.invalid');
		assert.equal((await tw.call(agent, 'nameless', '/x')).problem.code, 'upstream_unreachable');
	});

	it('a seller behind TLS, whom nobody vouches for', async () => {
		const { port } = new URL(bed.seller.url);
		await tw.addTool('tls', `https://127.0.0.1:${port}`);
		assert.equal((await tw.call(agent, 'tls', '/free')).problem.code, 'upstream_unreachable');
	});

	it('a name for each thread, by which an owner finds it', () => {
		const tasks = `/proc/${tw.daemon.pid}/task`;
		const names = fs.readdirSync(tasks)
			.map((task) => fs.readFileSync(`${tasks}/${task}/comm`, 'utf8').trim());
		for (const name of ['tallyward', 'tw-writer', 'tw-worker-0', 'tw-errand'])
			assert.ok(names.includes(name), `${name}: ${names}`);
		assert.deepEqual(names.filter((name) => !/^(tallyward|tw-[a-z]+(-\d+)?)$/.test(name)), []);
	});

	it('SIGHUP', async () => {
		tw.configure({ token_ttl_s: 3600 });
		assert.match(await tw.reload(), /event=reloaded/);
		isPaid(await tw.call(agent, 'seller', '/paid/0.01'));
	});

	it('every kind of owner\'s command', async () => {
		const other = await tw.addAgent('other', { policy: GENEROUS });
		isPaid(await tw.call(other, 'seller', '/paid/0.01'));
		await tw.must('agent', 'suspend', 'other');
		await tw.must('token', 'revoke', other.session);
		const password = tw.writeFile('password', 'correct horse battery staple');
		await tw.must('wallet', 'export', 'other', '--out', path.join(tw.home, 'other.json'),
			'--password-file', password);
		await tw.quiet();
		const { ok } = await tw.must('wallet', 'reconcile', 'buyer', '--network', NETWORK);
		assert.equal(ok, true);
	});

	it('a backup, and proofs, while it runs', async () => {
		const file = path.join(tw.home, 'backup.tar');
		await tw.must('backup', file);
		assert.ok(fs.statSync(file).size > 0);
		await tw.verify();
		const [{ call }] = await tw.payments('buyer');
		await tw.must('dispute', call, '--out', path.join(tw.home, 'bundle'));
		await tw.must('ledger', 'export', '--format', 'csv');
	});

	it('anchors, in the file and told to others', async () => {
		await until('an anchor to be told', () => webhook.lines.length > 0);
		assert.ok(fs.statSync(path.join(tw.dir, 'anchors')).size > 0);
	});

	it('the checkpoint of a full log', async () => {
		const size = () => fs.statSync(path.join(tw.dir, 'ledger.db')).size;
		const before = size();
		// It comes after 4,000 pages; a call whose path is long takes two and more of them.
		const far = `/nowhere/${'a'.repeat(6000)}`;
		await until('a checkpoint', async () => {
			const calls = Array.from({ length: 8 }, () => tw.call(agent, 'seller', far));
			for (const answer of await Promise.all(calls))
				assert.equal(answer.status, 404, answer.text);
			return size() > before;
		}, { deadlineMs: 50_000 });
	});

	it('the books are right, and the stop is graceful', async () => {
		await tw.assertBooks();
		assert.deepEqual(await tw.stop(), { code: 0, signal: null });
		unrefused(tw.log);
	});
});

describe('what is not as it should be', () => {
	const assertNoStart = async (reason) => {
		const { code, stderr } = await tw.cli('serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0');
		assert.equal(code, 1, stderr);
		assert.match(stderr, reason);
	};

	it('a data folder that others may enter', async () => {
		fs.chmodSync(tw.dir, 0o750);
		await assertNoStart(/chmod 700/);
		fs.chmodSync(tw.dir, 0o700);
	});

	it('a data folder of another user', { skip: !isRoot }, async () => {
		fs.chownSync(tw.dir, NOBODY, NOBODY);
		await assertNoStart(/belongs to user 65534, this is user 0/);
		fs.chownSync(tw.dir, 0, 0);
	});

	it('a user there is not', async () => {
		tw.configure({ user: 'no-such-user-anywhere' });
		await assertNoStart(/there is no user no-such-user-anywhere/);
		tw.configure({ user: '' });
	});

	it('init in a folder that others may enter', async () => {
		const open = path.join(tw.home, 'open');
		fs.mkdirSync(open);
		fs.chmodSync(open, 0o755);
		const { code, stderr } = await run(tallywardProgram(), ['-d', open, 'init']);
		assert.equal(code, 1);
		assert.match(stderr, /chmod 700/);
		assert.deepEqual(fs.readdirSync(open), []);
	});

	it('a filter that is switched off is told everywhere', async () => {
		tw.configure({ sandbox: 0 });
		await tw.start();
		assertSealed(tw.daemon.pid, { seccomp: '0' });
		assert.match(tw.daemon.log, /level=warn event=sandbox_incomplete .*NOT FILTERED/);
		assert.equal((await doctorRow()).ok, false);
		await tw.stop();
		assert.equal((await doctorRow()).ok, false);
		tw.configure({ sandbox: 1 });
		assert.equal((await doctorRow()).ok, true);
	});
});

describe('started as root, with a user configured', { skip: !isRoot }, () => {
	before(async () => {
		// The folder is his, and he may pass through where it is.
		fs.chmodSync(tw.home, 0o711);
		execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, tw.dir]);
		tw.configure({ user: `${NOBODY}` });
		await tw.start();
	});

	it('it is that user, for good', () => {
		const threads = assertSealed(tw.daemon.pid, { uid: NOBODY });
		for (const { Gid, Groups } of threads) {
			assert.ok(!Gid.split('\t').includes('0'), Gid);
			assert.equal(Groups.trim(), '');
		}
		assert.doesNotMatch(tw.daemon.log, /running_as_root/);
	});

	it('calls are paid, reloads and restarts work', async () => {
		isPaid(await tw.call(agent, 'seller', '/paid/0.01'));
		tw.configure({ token_ttl_s: 7200 });
		assert.match(await tw.reload(), /event=reloaded/);
		isPaid(await tw.call(agent, 'named', '/paid/0.01'));
		await tw.restart();
		isPaid(await tw.call(agent, 'seller', '/paid/0.01'));
		assert.equal((await send(`${tw.adminUrl}/readyz`)).status, 200);
	});

	it('takes a port that is root\'s, and then is root no more', async () => {
		await tw.stop();
		const { port } = tw;
		tw.port = await lowPort();
		await tw.start();
		assertSealed(tw.daemon.pid, { uid: NOBODY });
		isPaid(await tw.call(agent, 'seller', '/paid/0.01'));
		await tw.stop();
		tw.port = port;
		await tw.start();
	});

	it('everything it made is its own', () => {
		for (const name of fs.readdirSync(tw.dir))
			assert.equal(fs.statSync(path.join(tw.dir, name)).uid, NOBODY, name);
	});

	it('the books are right', () => tw.assertBooks());
});
