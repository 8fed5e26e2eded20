// The write-ahead log as a power cut, a bad sector or a careless hand may leave it. What was
// durable before the tear is there; or the daemon does not accept payments and says why. It
// never dies of it, and it never goes on as if nothing had left.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Books } from './books.mjs';
import { check } from './check.mjs';
import { World } from './world.mjs';
import { until } from '../e2e/bed/wait.mjs';

const HEADER = 32;
const FRAME = 24;

let world;
let intact;
let frames;

before(async () => {
	world = await World.make();
	await world.begin();
	for (let i = 0; i < 4; i++)
		await world.lot(16);
	const out = [world.buy('hold', { body: 'once' }), world.buy('hold', { body: 'once' })];
	await until('signatures that nobody answers', () => world.seller.held === 2);
	await world.house.kill();
	world.seller.release();
	await Promise.all(out);
	intact = path.join(world.house.home, 'intact');
	copyFolder(world.house.dir, intact);
	const wal = fs.readFileSync(path.join(intact, 'ledger.db-wal'));
	const page = wal.readUInt32BE(8);
	frames = [];
	for (let at = HEADER; at + FRAME + page <= wal.length; at += FRAME + page)
		frames.push({ at, size: FRAME + page, commits: wal.readUInt32BE(at + 4) !== 0 });
	assert.ok(frames.length > 40, `a log of ${frames.length} frames`);
	assert.equal(frames.at(-1).commits, true);
});

after(() => world?.close());

afterEach(() => world.house.kill());

/** All but the socket that a dead daemon left. */
function copyFolder(from, to) {
	fs.cpSync(from, to, { recursive: true, filter: (file) => !file.endsWith('.sock') });
}

/** Put the folder back as the crash left it, with its log changed. */
function tear(change) {
	fs.rmSync(world.house.dir, { recursive: true });
	copyFolder(intact, world.house.dir);
	fs.rmSync(path.join(world.house.dir, 'ledger.db-shm'), { force: true });
	const file = path.join(world.house.dir, 'ledger.db-wal');
	const changed = change(fs.readFileSync(file));
	if (changed === null)
		fs.rmSync(file);
	else
		fs.writeFileSync(file, changed);
	world.books = new Books(world.house.database);
}

/** Rows that were durable when the process died. */
async function rowsBefore() {
	const copy = path.join(world.house.home, 'copy');
	copyFolder(intact, copy);
	const books = await new Books(path.join(copy, 'ledger.db')).read();
	fs.rmSync(copy, { recursive: true });
	return books;
}

/** Up, but perhaps not ready; or ended by itself with words. */
async function start() {
	await world.beginAt();
	return world.house.dead ? null : world.readiness();
}

/** One of the three ends that are allowed; says which. */
async function judge(rows) {
	const readiness = await start();
	if (!readiness) {
		const { exitCode, signalCode, log } = world.house.daemon;
		assert.equal(signalCode, null, `it died of ${signalCode}: ${log}`);
		assert.equal(exitCode, 1, log);
		assert.match(log, /^tallyward: .*ledger.*$/m);
		await world.house.kill();
		return 'refuses to start';
	}
	if (readiness.status !== 200) {
		assert.match(readiness.reason, /ledger|head|rows/);
		const signed = world.signatures;
		const [refused] = (await world.buy('settle')).tries;
		// A ledger that lost everything knows no agents either.
		assert.match(refused.code, /^(not_accepting_payments|unauthenticated)$/);
		assert.equal(world.signatures, signed);
		await world.house.kill();
		return 'accepts no payments';
	}
	await world.books.read();
	assert.ok(world.books.payments.size >= rows.payments.size, 'payments are gone, silently');
	assert.ok(world.books.events >= rows.events, 'journal rows are gone, silently');
	assert.deepEqual(await check(world), []);
	await world.house.kill();
	return 'all there';
}

const at = (share) => frames[Math.floor((frames.length - 1) * share)];
const flipped = (wal, offset) => {
	const copy = Buffer.from(wal);
	copy[offset] ^= 0x40;
	return copy;
};

describe('a log that lost nothing', () => {
	// A power cut tears only what was never synced, which comes after the last commit.
	const CASES = {
		'as the crash left it': (wal) => wal,
		'with half a frame after its end': (wal) => Buffer.concat([wal, wal.subarray(32, 1000)]),
		'with a whole frame of zeros after its end': (wal) =>
			Buffer.concat([wal, Buffer.alloc(frames[0].size)]),
		'with an old frame after its end': (wal) =>
			Buffer.concat([wal, wal.subarray(frames[0].at, frames[0].at + frames[0].size)]),
		'with noise after its end': (wal) => Buffer.concat([wal, Buffer.alloc(10_000, 0xa5)]),
	};
	for (const [name, change] of Object.entries(CASES))
		it(`${name}: everything is there`, async () => {
			tear(change);
			assert.equal(await judge(await rowsBefore()), 'all there');
		});
});

describe('a log that lost what was durable', () => {
	const cut = (size) => (wal) => wal.subarray(0, size);
	const CASES = {
		'gone': () => null,
		'empty': cut(0),
		'cut inside its header': cut(17),
		'cut after its header': cut(HEADER),
		'with another magic number': (wal) => flipped(wal, 0),
		'with another salt': (wal) => flipped(wal, 17),
		'with a bit of its header flipped': (wal) => flipped(wal, 13),
		'of zeros': (wal) => Buffer.alloc(wal.length),
		...Object.fromEntries([0.1, 0.5, 0.9, 1].flatMap((share) => [
			[`cut before frame ${share * 100} %`, (wal) => wal.subarray(0, at(share).at)],
			[`cut inside frame ${share * 100} %`, (wal) => wal.subarray(0, at(share).at + 500)],
			[`cut inside the head of frame ${share * 100} %`,
				(wal) => wal.subarray(0, at(share).at + 9)],
			[`with a bit of frame ${share * 100} % flipped`, (wal) => flipped(wal, at(share).at + 700)],
			[`with a bit of the head of frame ${share * 100} % flipped`,
				(wal) => flipped(wal, at(share).at + 6)],
		])),
	};
	for (const [name, change] of Object.entries(CASES))
		it(`${name}: it says so`, async () => {
			tear(change);
			const end = await judge(await rowsBefore());
			assert.notEqual(end, 'all there');
			const { code, json } = await world.house.cli('ledger', 'verify');
			assert.notEqual(code, 0, JSON.stringify(json));
		});
});

describe('a database that is no database', () => {
	const CASES = {
		'empty': () => Buffer.alloc(0),
		'noise': () => Buffer.alloc(8192, 0x5a),
		'cut to half': (bytes) => bytes.subarray(0, bytes.length / 2),
		'with its schema overwritten': (bytes) => {
			const copy = Buffer.from(bytes);
			copy.fill(0xff, 100, 4096);
			return copy;
		},
	};
	for (const [name, change] of Object.entries(CASES))
		it(`${name}: it does not accept payments`, async () => {
			tear((wal) => wal);
			// The log goes, or it would heal the file.
			fs.rmSync(path.join(world.house.dir, 'ledger.db-wal'), { force: true });
			fs.writeFileSync(world.house.database, change(fs.readFileSync(world.house.database)));
			assert.notEqual(await judge(await rowsBefore()), 'all there');
		});
});
