// Sellers over HTTP/2: honest ones are paid; resets, floods and frames that may not be there
// end one call and nothing else, before the payment and after it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { Authority } from './bed/certificates.mjs';
import { FRAME, frame, startHttp2 } from './bed/http2.mjs';
import { policyOf, spend } from './bed/policies.mjs';
import { base64, challenge, receipt, requirement } from './bed/rogue.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const CENT = 10_000n;
const GROWTH_MAX = 48 << 20;

let bed;
let tw;
let seller;
let folder;
let agents = 0;
/** Has honest purchases behind it, and nothing else. */
let victim;
let honest = 0n;

before(async () => {
	folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-tls-'));
	const authority = await Authority.create(folder);
	bed = await startBed({ rogue: true });
	seller = await startHttp2(await authority.issue(['127.0.0.1']), CASES, FRAMES);
	tw = await Tallyward.create({ chain: bed.chain, settings: {
		ca_file: authority.file, connect_ms_max: 1500, response_ms_max: 1500, upstream_idle_ms_max: 1000, workers: 1,
	} });
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('h2', seller.url);
	for (const [name, url] of Object.entries(seller.urls))
		await tw.addTool(name, url);
	victim = await newAgent();
	await tw.start();
});

after(async () => {
	await tw?.close();
	await seller?.stop();
	await bed?.stop();
	if (folder)
		fs.rmSync(folder, { recursive: true, force: true });
});

const newAgent = () => tw.addAgent(`agent-${++agents}`, {
	policy: policyOf(spend('agent', 'call', '0.10'), spend('session', 'total', '9.00')),
});

const call = (agent, tool, target, options) =>
	tw.call(agent, tool, target, { signal: AbortSignal.timeout(20_000), ...options })
		.catch((error) => ({ status: error.name === 'AbortError' ? 'late' : 'lost', text: error.message }));

const memory = (what) => Number(new RegExp(`${what}:\\s+(\\d+)`).exec(
	fs.readFileSync(`/proc/${tw.daemon.pid}/status`, 'utf8'))[1]) * 1024;

const paidBy = (agent) => seller.record.requests.filter(
	({ payment }) => payment?.payload?.authorization?.from.toLowerCase() === agent.address.toLowerCase());

async function honestIsPaid(agent) {
	const answer = await call(agent, 'h2', '/honest');
	assert.equal(answer.status, 200, answer.text);
	assert.equal(answer.payment, 'settled');
}

/** Nothing is held or signed beyond the honest purchases, and the next one is paid. */
async function unharmed() {
	await until('nothing to be held', async () =>
		micros((await tw.limit(victim, 'session', 'total')).used) === honest);
	await honestIsPaid(victim);
	honest += CENT;
}

const ask = (call, fields = {}) => {
	call.stream.respond({ ':status': 402, 'payment-required': base64(challenge(call, [requirement(call)])), ...fields });
	call.stream.end('{}');
};

const give = (call, fields = {}) => {
	call.stream.respond({ ':status': 200, ...fields });
	call.stream.end('hello');
};

const paidFor = (play) => (call) => call.entry.payment ? play(call) : ask(call);

const CHUNK = Buffer.alloc(1 << 16, 'x');

/** As much as anybody takes; `call.rogue.streamed` says how much was. */
function endless(call) {
	let sent = 0;
	call.rogue.streamed = 0;
	call.stream.respond({ ':status': 200, 'content-length': String(10 * 2 ** 30) });
	const more = () => {
		while (!call.stream.destroyed && sent < 10 * 2 ** 30) {
			sent += CHUNK.length;
			call.rogue.streamed = sent;
			if (!call.stream.write(CHUNK)) {
				call.stream.once('drain', more);
				return;
			}
		}
	};
	more();
}

const resets = (code) => (call) => call.stream.close(code);
const goesAway = (call) => call.stream.session.goaway(2, 0);
const manyFields = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'a'.repeat(100)]));

const CASES = {
	'free': (call) => give(call),
	'kept': (call) => {
		call.rogue.kept = call.stream.session;
		give(call);
	},
	'honest': paidFor(async (call) => {
		const { transaction } = await bed.facilitator.settle(call.entry.payment, call.entry.payment.accepted);
		give(call, receipt(call, { transaction }));
	}),
	'silent': paidFor((call) => give(call)),
	'endless': endless,
	'asks-and-hangs': ask,
	...Object.fromEntries(Object.entries({
		'resets': resets(8), 'refuses': resets(7), 'calms': resets(11), 'wants-http-1': resets(13),
		'goes-away': goesAway,
		'cuts': (call) => call.stream.session.destroy(),
		'many-fields': (call) => give(call, manyFields),
	}).flatMap(([name, play]) => [[name, play], [`paid-${name}`, paidFor(play)]])),
};

const SETTINGS = frame(FRAME.SETTINGS, 0, 0);
const ACK = frame(FRAME.SETTINGS, 1, 0);
/** ":status: 200", from HPACK's own table. */
const STATUS_200 = Buffer.from([0x88]);

/** Writes as long as anybody reads. */
const floods = (first, bytes) => async (socket) => {
	socket.write(Buffer.concat([SETTINGS, ACK, ...first]));
	const many = Buffer.concat(Array.from({ length: Math.ceil(65536 / bytes.length) }, () => bytes));
	while (!socket.destroyed) {
		if (!socket.write(many))
			await Promise.race([socket.gone, new Promise((resolve) => socket.once('drain', resolve))]);
	}
};

const says = (...frames) => (socket) => socket.write(Buffer.concat([SETTINGS, ACK, ...frames]));

/** A literal field without indexing: x: aaaa… */
const field = Buffer.concat([Buffer.from([0x00, 0x01, 0x78, 0x64]), Buffer.alloc(100, 'a')]);

const FRAMES = {
	'continuation-flood': floods([frame(FRAME.HEADERS, 0, 1, STATUS_200)], frame(FRAME.CONTINUATION, 0, 1, field)),
	'empty-continuations': floods([frame(FRAME.HEADERS, 0, 1, STATUS_200)], frame(FRAME.CONTINUATION, 0, 1)),
	'ping-flood': floods([], frame(FRAME.PING, 0, 0, Buffer.alloc(8))),
	'settings-flood': floods([], frame(FRAME.SETTINGS, 0, 0, Buffer.from([0, 3, 0, 0, 0, 9]))),
	'window-flood': floods([], frame(FRAME.WINDOW, 0, 0, Buffer.from([0, 0, 0, 1]))),
	'empty-data-flood': floods([frame(FRAME.HEADERS, 4, 1, STATUS_200)], frame(FRAME.DATA, 0, 1)),
	'push': says(frame(FRAME.PUSH, 4, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from([0x82, 0x86, 0x84])]))),
	'no-status': says(frame(FRAME.HEADERS, 5, 1, field)),
	'field-with-line-break': says(frame(FRAME.HEADERS, 5, 1, Buffer.concat([STATUS_200,
		Buffer.from([0x00, 0x01, 0x78, 0x05]), Buffer.from('a\r\nb:')]))),
	'frame-too-long': says(frame(FRAME.DATA, 0, 1, Buffer.alloc(1 << 20))),
	'silent-after-settings': says(),
};

describe('an honest seller', () => {
	it('is spoken to in HTTP/2, and paid', async () => {
		await unharmed();
		assert.deepEqual(seller.record.requests.map(({ protocol }) => protocol), ['h2', 'h2']);
	});

	it('may say something between two requests, and keeps its connection', async () => {
		assert.equal((await call(victim, 'h2', '/kept')).status, 200);
		const session = seller.kept;
		const answered = new Promise((resolve, reject) => {
			session.ping((error) => error ? reject(error) : resolve());
		});
		session.settings({ maxConcurrentStreams: 50 });
		assert.equal((await call(victim, 'rogue', '/free')).status, 200);
		assert.equal((await call(victim, 'h2', '/kept')).status, 200);
		assert.equal(seller.kept, session);
		await answered;
		await unharmed();
	});
});

describe('before a payment', () => {
	for (const name of ['resets', 'refuses', 'calms', 'wants-http-1', 'goes-away', 'cuts', 'many-fields'])
		for (const method of ['GET', 'POST'])
			it(`${name}, ${method}: nothing is signed`, async () => {
				const seen = seller.record.at(`/${name}`).length;
				const answer = await call(victim, 'h2', `/${name}`, { method, body: method === 'POST' ? 'x' : undefined });
				assert.ok([502, 504].includes(answer.status), `${answer.status}: ${answer.text}`);
				assert.match(answer.problem.code, /^upstream_(unreachable|timeout)$/);
				if (method === 'POST')
					assert.equal(seller.record.at(`/${name}`).length - seen, 1, 'what acts is sent once');
				await unharmed();
			});
});

describe('after a payment', () => {
	for (const name of ['resets', 'refuses', 'calms', 'wants-http-1', 'goes-away', 'cuts', 'many-fields'])
		it(`${name}: open, one signature`, async () => {
			const agent = await newAgent();
			const answer = await call(agent, 'h2', `/paid-${name}`, { method: 'POST', body: 'x' });
			assert.equal(answer.status, 502, answer.text);
			assert.equal(answer.problem.code, 'payment_unknown');
			assert.equal(paidBy(agent).length, 1, 'sent once');
			await tw.quiet();
			const [payment, ...more] = await tw.payments(agent.name);
			assert.equal(payment.state, 'open');
			assert.equal(more.length, 0);
			assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), CENT);
			await unharmed();
		});
});

describe('frames that no server sends', () => {
	let peak;

	before(() => {
		peak = memory('VmHWM');
	});

	describe('each', { concurrency: 4 }, () => {
		for (const name of Object.keys(FRAMES))
			it(`${name}: the call ends in time`, async () => {
				const answer = await call(victim, name, '/x');
				assert.ok([502, 504, 'lost'].includes(answer.status), `${answer.status}: ${answer.text}`);
				assert.equal(answer.payment, undefined);
			});
	});

	it('nothing grew, nothing was signed', async () => {
		assert.ok(memory('VmHWM') - peak < GROWTH_MAX, `grew by ${memory('VmHWM') - peak} bytes`);
		await unharmed();
	});
});

describe('an agent that reads slowly', () => {
	it('holds up its seller, not the memory of the proxy, and not another agent', async () => {
		const [slow, other] = [await newAgent(), await newAgent()];
		const before = memory('VmRSS');
		const hangUp = new AbortController();
		let response;
		const whole = call(slow, 'h2', '/endless', { signal: hangUp.signal, onHead: (head) => {
			response = head;
			head.pause();
		} });
		await until('the answer to begin', () => response);
		let last = -1;
		let still = 0;
		await until('the seller to be held back', () => {
			still = seller.streamed === last ? still + 1 : 0;
			last = seller.streamed;
			return still > 20;
		});
		assert.ok(seller.streamed < 32 << 20, `${seller.streamed} bytes were taken that nobody reads`);
		assert.ok(memory('VmRSS') - before < 32 << 20, `grew by ${memory('VmRSS') - before} bytes`);
		await honestIsPaid(other);
		hangUp.abort();
		await whole;
		await honestIsPaid(slow);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
