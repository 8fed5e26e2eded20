// A backup is taken while calls are paid for, and what is restored from it is
// the same books; an archive that somebody touched is no backup.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { run } from './bed/child.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward } from './bed/tallyward.mjs';

let bed;
let tw;
let agent;
let files = 0;

before(async () => {
	bed = await startBed();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
	agent = await tw.addAgent('buyer', { policy: GENEROUS });
	// Two first payments to a seller in one block can fail in the token.
	assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
});

// A case that failed half way must not fail the next one, too.
beforeEach(async () => {
	if (!tw.daemon)
		await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newFile = () => path.join(tw.home, `backup-${++files}.tar`);
const inHome = () => fs.readdirSync(tw.home).sort();

async function backup(...options) {
	const file = newFile();
	const result = await tw.must('backup', file, ...options);
	assert.equal(result.file, file);
	return { ...result, file };
}

/** The same owner's program on another data folder. */
function copyAt(name) {
	const copy = Object.assign(new Tallyward(), tw, { daemon: null, port: undefined });
	copy.dir = path.join(tw.home, name);
	return copy;
}

const restore = (copy, file) => copy.must('restore', file);

const givePassphrase = (copy) => fs.copyFileSync(
	path.join(tw.dir, 'passphrase'), path.join(copy.dir, 'passphrase'));

const books = async (one) => ({
	statement: await one.statement(agent.name),
	payments: await one.payments(),
	wallet: await one.must('wallet', 'show', agent.name),
	agents: await one.must('agent', 'list'),
	tools: await one.must('tool', 'list'),
	tokens: await one.must('token', 'list'),
});

describe('a backup', () => {
	it('is written while calls are paid for, and disturbs none', async () => {
		const calls = Array.from({ length: 60 }, () => tw.call(agent, 'seller', '/paid/0.01'));
		const made = [];
		for (let i = 0; i < 3; i++)
			made.push(await backup());
		for (const answer of await Promise.all(calls))
			assert.equal(answer.status, 200, answer.text);
		// Each is whole: it restores, and ends where it says.
		for (const [i, { file, head, audit_head: auditHead }] of made.entries()) {
			const copy = copyAt(`loaded-${i}`);
			const restored = await restore(copy, file);
			assert.equal(restored.head, head);
			assert.equal(restored.audit_head, auditHead);
			fs.rmSync(copy.dir, { recursive: true });
		}
		await tw.assertBooks();
	});

	it('is closed to others and whole when it has its name', async () => {
		const { file, bytes } = await backup();
		const status = fs.statSync(file);
		assert.equal(status.mode & 0o7777, 0o600);
		assert.equal(status.size, bytes);
		assert.deepEqual(inHome().filter((name) => name.includes('partial')), []);
		const { stdout } = await run('tar', ['-tf', file]);
		assert.deepEqual(stdout.trim().split('\n').filter((name) => !name.startsWith('keys/')
			&& !['head', 'anchors'].includes(name)),
			['manifest.json', 'tallyward.json', 'policy.json', 'token.key', 'ledger.db']);
	});

	it('holds no key in clear, and the passphrase only when asked for', async () => {
		const passphrase = fs.readFileSync(path.join(tw.dir, 'passphrase'), 'utf8').trim();
		const without = await backup();
		assert.equal(without.passphrase, false);
		assert.equal(fs.readFileSync(without.file).includes(passphrase), false);
		const withIt = await backup('--with-passphrase');
		assert.equal(withIt.passphrase, true);
		assert.equal(fs.readFileSync(withIt.file).includes(passphrase), true);
	});

	it('is written without the daemon, too, and says the same', async () => {
		const running = await backup();
		await tw.stop();
		const stopped = await backup();
		assert.equal(stopped.transactions, running.transactions);
		assert.equal(stopped.head, running.head);
	});

	it('takes a path as the shell means it', async () => {
		const { file } = await tw.must('backup', 'relative.tar');
		assert.equal(file, path.join(tw.home, 'relative.tar'));
		assert.ok(fs.existsSync(file));
	});

	const REFUSALS = [
		['over a file', (home) => {
			fs.writeFileSync(path.join(home, 'mine'), 'mine');
			return 'mine';
		}, /is there already/],
		['over a dangling link', (home) => {
			fs.symlinkSync('nowhere', path.join(home, 'link'));
			return 'link';
		}, /is there already/],
		['over a folder', (home) => {
			fs.mkdirSync(path.join(home, 'folder'));
			return 'folder';
		}, /is there already/],
		['to a folder that is not there', () => 'no/such/file', /No such file/],
		['to a name that ends in a slash', () => 'new/', /not the absolute path of a file/],
	];
	for (const [what, prepare, words] of REFUSALS)
		it(`is not written ${what}`, async () => {
			const name = prepare(tw.home);
			const before = inHome();
			const { code, stderr } = await tw.cli('backup', name);
			assert.notEqual(code, 0);
			assert.match(stderr, words);
			assert.equal(stderr.trim().split('\n').length, 1);
			assert.deepEqual(inHome(), before);
			if (name === 'mine')
				assert.equal(fs.readFileSync(path.join(tw.home, 'mine'), 'utf8'), 'mine');
		});

	it('needs nothing in the daemon that reads archives', async () => {
		await backup();
		const maps = fs.readFileSync(`/proc/${tw.daemon.pid}/maps`, 'utf8');
		assert.match(maps, /libsqlite3/);
		assert.doesNotMatch(maps, /libarchive|libxml2|libicu|libbz2|liblzma/);
	});

	it('leaves a line in the audit', async () => {
		const { file } = await backup('--with-passphrase');
		const { stdout } = await tw.cli('ledger', 'audit', '--json');
		const row = JSON.parse(stdout).filter((r) => r.path === 'backup').at(-1);
		assert.ok(row, 'no audit row');
		assert.match(JSON.stringify(row), new RegExp(path.basename(file)));
	});
});

describe('a restored folder', () => {
	it('has the same books, limits and tokens, and pays', async () => {
		const limited = await tw.addAgent('limited', {
			policy: policyOf(spend('agent', 'call', '0.01'), spend('agent', 'total', '0.03')),
		});
		assert.equal((await tw.call(limited, 'seller', '/paid/0.01')).status, 200);
		await tw.quiet();
		const { file, head } = await backup();
		const before = await books(tw);
		const used = (await tw.me(limited)).limits;
		await tw.stop();
		const copy = copyAt('restored');
		const restored = await restore(copy, file);
		assert.equal(restored.dir, copy.dir);
		assert.equal(restored.passphrase_restored, false);
		assert.equal(restored.passphrase_file, path.join(copy.dir, 'passphrase'));
		// Without the passphrase it is of no use.
		const closed = await copy.cli('wallet', 'show', agent.name);
		assert.notEqual(closed.code, 0);
		assert.match(closed.stderr, /passphrase/);
		givePassphrase(copy);
		assert.equal((await copy.verify()).head, head);
		assert.deepEqual(await books(copy), before);
		// From here on the old one never runs again: this is the machine after the fire.
		await copy.start();
		assert.deepEqual((await copy.me(limited)).limits, used);
		const answers = await Promise.all([1, 2, 3].map(() => copy.call(limited, 'seller', '/paid/0.01')));
		assert.deepEqual(answers.map((a) => a.status).sort(), [200, 200, 403]);
		await copy.assertBooks();
		tw = copy;
	});

	it('with its passphrase works at once', async () => {
		const { file } = await backup('--with-passphrase');
		const copy = copyAt('with-passphrase');
		const restored = await restore(copy, file);
		assert.equal(restored.passphrase_restored, true);
		assert.equal(fs.statSync(path.join(copy.dir, 'passphrase')).mode & 0o7777, 0o600);
		assert.equal(fs.statSync(copy.dir).mode & 0o7777, 0o700);
		assert.deepEqual(await books(copy), await books(tw));
	});

	it('says what it cannot know', async () => {
		const { file } = await backup();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.02')).status, 200);
		const copy = copyAt('older');
		const { notes } = await restore(copy, file);
		assert.match(notes.join('\n'), /wallet reconcile/);
		assert.match(notes.join('\n'), /Never run two copies/);
		assert.match(notes.join('\n'), /revoked/);
		givePassphrase(copy);
		const payments = (await copy.payments(agent.name)).length;
		assert.equal(payments, (await tw.payments(agent.name)).length - 1);
	});

	it('is made where nothing is, or in an empty folder', async () => {
		const { file } = await backup();
		const copy = copyAt('empty');
		fs.mkdirSync(copy.dir);
		await restore(copy, file);
		const again = await copy.cli('restore', file);
		assert.equal(again.code, 1);
		assert.match(again.stderr, /is there already; nothing was changed/);
		// The folder of the running daemon least of all.
		const running = await tw.cli('restore', file);
		assert.equal(running.code, 1);
		await tw.verify();
	});
});

describe('an archive that was touched', () => {
	/** Member by name: where its bytes are in the archive. */
	function memberAt(bytes, name) {
		for (let at = 0; at + 512 <= bytes.length;) {
			const text = bytes.subarray(at, at + 100).toString('latin1').replace(/\0.*$/s, '');
			const size = parseInt(bytes.subarray(at + 124, at + 136).toString('latin1'), 8) || 0;
			if (text === name)
				return { header: at, start: at + 512, size };
			at += 512 + Math.ceil(size / 512) * 512;
		}
		throw new Error(`no ${name} in the archive`);
	}

	function flip(bytes, at) {
		const spoilt = Buffer.from(bytes);
		spoilt[at] ^= 1;
		return spoilt;
	}

	/** Unpacks with tar, lets `change` loose on the files, packs what `list` says. */
	async function repack(file, change) {
		const folder = fs.mkdtempSync(path.join(tw.home, 'repack-'));
		await run('tar', ['-xf', file, '-C', folder]);
		const names = (await run('tar', ['-tf', file])).stdout.trim().split('\n');
		const list = change(folder, names) ?? names;
		const to = `${file}.changed`;
		const packed = await run('tar', ['--format=ustar', '-cPf', to, '-C', folder, ...list]);
		assert.equal(packed.code, 0, packed.stderr);
		fs.rmSync(folder, { recursive: true });
		return fs.readFileSync(to);
	}

	const CHANGES = [
		['is cut off', (bytes) => bytes.subarray(0, bytes.length >> 1)],
		['is empty', () => Buffer.alloc(0)],
		['is something else', () => Buffer.from('#!/bin/sh\nrm -rf /\n')],
		['is compressed', (bytes) => zlib.gzipSync(bytes)],
		['has a bit of the ledger turned', (bytes) => {
			const { start, size } = memberAt(bytes, 'ledger.db');
			return flip(bytes, start + (size >> 1));
		}],
		['has a bit of the token secret turned', (bytes) => flip(bytes, memberAt(bytes, 'token.key').start)],
		['has a bit of the manifest turned', (bytes) => {
			const { start, size } = memberAt(bytes, 'manifest.json');
			return flip(bytes, start + bytes.subarray(start, start + size).indexOf('"head": "') + 12);
		}],
		['has a bit of a header turned', (bytes) => flip(bytes, memberAt(bytes, 'policy.json').header + 3)],
		['has another policy', (_bytes, file) => repack(file, (folder) =>
			fs.writeFileSync(path.join(folder, 'policy.json'), '{}'))],
		['has one member more', (_bytes, file) => repack(file, (folder, names) => {
			fs.writeFileSync(path.join(folder, 'more'), '');
			return [...names, 'more'];
		})],
		['has one member less', (_bytes, file) => repack(file, (_folder, names) => names.slice(0, -1))],
		['has its members in another order', (_bytes, file) => repack(file, (_folder, names) => names.reverse())],
		['has a link for a key', (_bytes, file) => repack(file, (folder) => {
			const key = path.join(folder, 'keys/datakey.json');
			fs.rmSync(key);
			fs.symlinkSync('/etc/passwd', key);
		})],
		['has a path from the root', (_bytes, file) => repack(file, (folder, names) =>
			names.map((name) => (name === 'policy.json' ? path.join(folder, name) : name)))],
		['has a path that climbs', (_bytes, file) => repack(file, (folder, names) =>
			names.map((name) => (name === 'policy.json' ? `../${path.basename(folder)}/${name}` : name)))],
	];
	for (const [what, change] of CHANGES)
		it(`is refused: it ${what}`, async () => {
			const { file } = await backup();
			const touched = `${file}.touched`;
			fs.writeFileSync(touched, await change(fs.readFileSync(file), file));
			const before = inHome();
			const { code, stdout, stderr } = await copyAt('never').cli('restore', touched);
			assert.equal(code, 1, stdout);
			assert.equal(stderr.trim().split('\n').length, 1, stderr);
			assert.deepEqual(inHome(), before);
		});

	it('is refused where there is none at all', async () => {
		const { code, stderr } = await copyAt('never').cli('restore', path.join(tw.home, 'nothing.tar'));
		assert.equal(code, 5);
		assert.match(stderr, /nothing\.tar/);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
