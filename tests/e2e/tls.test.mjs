// TLS on the agents' address and the admin address: what is spoken, what is
// refused, and what happens to those who do not speak it.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { Authority } from './bed/certificates.mjs';
import { run } from './bed/child.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, send } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const SETTINGS = { head_ms_max: 1500, body_idle_ms_max: 1000, connections_max: 100 };

let bed;
let tw;
let authority;
let first;
let second;
let agent;

before(async () => {
	bed = await startBed();
	tw = await Tallyward.create({ chain: bed.chain, settings: SETTINGS });
	authority = await Authority.create(tw.home);
	first = await authority.issue(['127.0.0.1', 'localhost']);
	second = await authority.issue(['127.0.0.1', 'localhost']);
	install(first);
	tw.configure({ tls_certificate: 'tls.pem', tls_key: 'tls.key' });
	tw.tls = { ca: fs.readFileSync(authority.file) };
	await tw.start('--workers', '1');
	await tw.addTool('seller', bed.seller.url);
	agent = await tw.addAgent('agent', { policy: GENEROUS });
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

/** Puts a certificate where the configuration says, as a renewal would. */
function install({ cert, key }) {
	fs.writeFileSync(path.join(tw.dir, 'tls.pem'), cert);
	fs.writeFileSync(path.join(tw.dir, 'tls.key'), key, { mode: 0o600 });
	fs.chmodSync(path.join(tw.dir, 'tls.key'), 0o600);
}

/** A TLS connection; resolves to the socket, once secured. */
function connect(url, options = {}) {
	const { port } = new URL(url);
	return new Promise((resolve, reject) => {
		const socket = tls.connect({ host: '127.0.0.1', port, ...tw.tls, ...options });
		socket.once('error', reject);
		socket.once('secureConnect', () => {
			socket.off('error', reject);
			socket.on('error', () => {});
			resolve(socket);
		});
	});
}

/** Bytes until the other side has ended, and how it ended. */
function drained(socket) {
	return new Promise((resolve) => {
		const chunks = [];
		let error = null;
		socket.on('data', (chunk) => chunks.push(chunk));
		socket.on('error', (reason) => { error = reason; });
		socket.on('close', () => resolve({ text: Buffer.concat(chunks).toString('latin1'), error }));
	});
}

/** A plain TCP connection to the agents' address. */
function connectPlain() {
	return new Promise((resolve, reject) => {
		const socket = net.connect(new URL(tw.url).port, '127.0.0.1', () => resolve(socket));
		socket.once('error', reject);
	});
}

const weak = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' };

describe('both listeners', () => {
	for (const side of ['url', 'adminUrl'])
		for (const version of ['TLSv1.2', 'TLSv1.3'])
			it(`speak ${version} (${side})`, async () => {
				const answer = await send(`${tw[side]}/readyz`,
					{ tls: { ...tw.tls, minVersion: version, maxVersion: version } });
				assert.equal(answer.status, 200);
			});

	for (const side of ['url', 'adminUrl'])
		for (const version of ['TLSv1', 'TLSv1.1'])
			it(`refuse ${version} (${side})`, async () => {
				await assert.rejects(connect(tw[side], { ...weak, maxVersion: version }), /protocol|version|alert/i);
			});

	for (const ciphers of ['ECDHE-ECDSA-AES256-SHA', 'ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-NULL-SHA'])
		it(`refuse ${ciphers}`, async () => {
			await assert.rejects(
				connect(tw.url, { ...weak, maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }),
				/handshake.failure/i);
		});

	it('take TLS 1.3, http/1.1, and a cipher of their own choice', async () => {
		const socket = await connect(tw.url, { ALPNProtocols: ['h2', 'http/1.1'] });
		assert.equal(socket.getProtocol(), 'TLSv1.3');
		assert.equal(socket.alpnProtocol, 'http/1.1');
		socket.destroy();
		// Ours first, whatever the client would like better.
		const older = await connect(tw.url, {
			maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384',
		});
		assert.equal(older.getCipher().standardName, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384');
		older.destroy();
	});

	it('refuse a protocol that is not HTTP/1.1', async () => {
		await assert.rejects(connect(tw.url, { ALPNProtocols: ['h2'] }), /protocol|alert/i);
	});

	it('hand out no session that could be resumed', async () => {
		for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
			const socket = await connect(tw.url, { maxVersion });
			let session = null;
			socket.on('session', (given) => { session = given; });
			socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
			assert.match((await drained(socket)).text, /^HTTP\/1.1 200 /);
			if (maxVersion === 'TLSv1.3') {
				assert.equal(session, null);
			} else if (session) {
				const again = await connect(tw.url, { maxVersion, session });
				assert.equal(again.isSessionReused(), false);
				again.destroy();
			}
		}
	});

	it('end with TLS\'s own word, so that an answer cannot be cut in silence', async () => {
		const socket = await connect(tw.url);
		socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		const { text, error } = await drained(socket);
		assert.match(text, /^HTTP\/1.1 200 /);
		assert.equal(error, null);
	});

	it('do not renegotiate', async () => {
		const socket = await connect(tw.url, { maxVersion: 'TLSv1.2' });
		const failed = new Promise((resolve) => {
			socket.on('error', () => resolve(true));
			if (!socket.renegotiate({}, (error) => resolve(Boolean(error))))
				resolve(true);
		});
		assert.equal(await failed, true);
		socket.destroy();
		assert.equal((await send(`${tw.url}/readyz`, { tls: tw.tls })).status, 200);
	});
});

describe('a call over TLS', () => {
	for (const version of ['TLSv1.2', 'TLSv1.3'])
		it(`is paid (${version})`, async () => {
			const answer = await tw.call(agent, 'seller', '/paid/0.01',
				{ tls: { ...tw.tls, minVersion: version, maxVersion: version } });
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.payment, 'settled');
		});

	it('streams a large answer whole', async () => {
		const bytes = 4 * 1024 * 1024;
		const answer = await tw.call(agent, 'seller', `/stream/0.01?bytes=${bytes}`);
		assert.equal(answer.status, 200);
		assert.equal(answer.body.length, bytes);
	});

	it('carries a large body up', async () => {
		const body = crypto.randomBytes(2 * 1024 * 1024);
		const answer = await tw.call(agent, 'seller', '/paid/0.01', { method: 'POST', body });
		assert.equal(answer.payment, 'settled', answer.text);
	});

	it('is cut when the agent takes nothing of the answer', async () => {
		const socket = await connect(tw.url);
		const cut = new Promise((resolve) => socket.on('close', resolve));
		socket.pause();
		socket.write(`GET /t/seller/stream/0.01?bytes=${64 * 1024 * 1024} HTTP/1.1\r\nHost: x\r\n` +
			`Authorization: Bearer ${agent.token}\r\n\r\n`);
		await until('the call to be over', async () => {
			const { text } = await send(`${tw.adminUrl}/metrics`, { tls: tw.tls });
			return bed.seller.streamed > 0 && /^tallyward_calls_in_flight 0$/m.test(text);
		});
		socket.resume();
		await cut;
		assert.ok(socket.bytesRead < 64 * 1024 * 1024);
	});

	it('is one of many on a connection, pipelined and byte by byte', async () => {
		const socket = await connect(tw.url);
		const get = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n';
		socket.write(get + get);
		for (const byte of get)
			socket.write(byte);
		socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		const { text } = await drained(socket);
		assert.equal(text.match(/HTTP\/1.1 200 /g).length, 4);
	});
});

describe('who speaks no TLS', () => {
	const SPOKEN = {
		'plain HTTP': 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n',
		'a plain HTTP body': `POST /t/seller/ HTTP/1.1\r\nContent-Length: 5000\r\n\r\n${'x'.repeat(5000)}`,
		'junk': Buffer.alloc(600, 0xa5),
		'a record that is too long': Buffer.concat([Buffer.from([0x16, 3, 1, 0xff, 0xff]), Buffer.alloc(5000)]),
		'SSL 2': Buffer.from('802e0100020015000000100100800200800300800400800500800600400700c0', 'hex'),
	};

	for (const [what, bytes] of Object.entries(SPOKEN))
		it(`is closed in order: ${what}`, async () => {
			const socket = await connectPlain();
			const end = drained(socket);
			socket.write(bytes);
			const { text, error } = await end;
			assert.equal(error, null);
			assert.doesNotMatch(text, /HTTP/);
		});

	it('has the time of a request head, and no more', async () => {
		const sockets = await Promise.all(Array.from({ length: 20 }, connectPlain));
		const ends = sockets.map(drained);
		for (const [index, socket] of sockets.entries())
			socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc].slice(0, index % 9)));
		assert.equal((await send(`${tw.url}/readyz`, { tls: tw.tls })).status, 200, 'others are served meanwhile');
		for (const end of ends)
			assert.equal((await end).error, null);
	});

	it('keeps nobody out by being many', async () => {
		const silent = await Promise.all(Array.from({ length: 150 }, connectPlain));
		const secured = [];
		for (let i = 0; i < 120; i++)
			secured.push(await connect(tw.url));
		assert.equal((await send(`${tw.url}/readyz`, { tls: tw.tls })).status, 200);
		for (const socket of [...silent, ...secured])
			socket.destroy();
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).payment, 'settled');
	});
});

describe('a certificate', () => {
	const shown = async (url) => {
		const socket = await connect(url);
		const { fingerprint256 } = socket.getPeerCertificate();
		socket.destroy();
		return fingerprint256;
	};
	const fingerprint = ({ cert }) => new crypto.X509Certificate(cert).fingerprint256;

	const doctor = async () => {
		const { json, stderr } = await tw.cli('doctor', '--json');
		return { ...json.find(({ check }) => check === 'tls'), stderr };
	};

	it('is taken anew by SIGHUP, for new connections', async () => {
		const old = await connect(tw.url);
		install(second);
		assert.match(await tw.reload(), /event=reloaded .*certificate_until=/);
		await until('the new one to be shown', async () => await shown(tw.url) === fingerprint(second));
		assert.equal(await shown(tw.adminUrl), fingerprint(second));
		old.write('GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		assert.match((await drained(old)).text, /^HTTP\/1.1 200 /);
	});

	const BAD = {
		'with the key of another': [/not the key/, () => install({ cert: first.cert, key: second.key })],
		'that is none': [/no certificate/, () => install({ cert: 'none', key: second.key })],
		'that is cut': [/no certificate/, () => install({ cert: second.cert.subarray(0, 200), key: second.key })],
		'followed by junk': [/chain/, () => install({
			cert: `${second.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, key: second.key })],
		'without a key': [/No such file/, () => {
			install(second);
			fs.rmSync(path.join(tw.dir, 'tls.key'));
		}],
		'whose key is none': [/no private key/, () => install({ cert: second.cert, key: 'none' })],
		'whose key is too large': [/larger/, () => install({ cert: second.cert, key: 'x'.repeat(100_000) })],
		'whose key is a folder': [/not a file/, () => {
			fs.rmSync(path.join(tw.dir, 'tls.key'));
			fs.mkdirSync(path.join(tw.dir, 'tls.key'), { mode: 0o700 });
		}],
		'whose key others can read': [/chmod 600/, () => {
			fs.rmSync(path.join(tw.dir, 'tls.key'), { recursive: true, force: true });
			install(first);
			fs.chmodSync(path.join(tw.dir, 'tls.key'), 0o640);
		}],
		'that has expired': [/expired/, async () => install(await authority.issue(['127.0.0.1'], { from: -9, until: -2 }))],
		'whose key has a passphrase': [/passphrase/, async () => {
			const key = crypto.createPrivateKey(first.key).export(
				{ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' });
			install({ cert: first.cert, key });
		}],
	};
	for (const [what, [reason, spoil]] of Object.entries(BAD))
		it(`${what} is refused, and the old one stays`, async () => {
			await spoil();
			const lines = await tw.reload();
			assert.match(lines, /event=reload_refused/);
			assert.match(lines, reason);
			assert.equal(await shown(tw.url), fingerprint(second));
			assert.equal(await shown(tw.adminUrl), fingerprint(second));
		});

	it('that is bad keeps a daemon from starting, and --check-config says so', async () => {
		install(second);
		fs.chmodSync(path.join(tw.dir, 'tls.key'), 0o644);
		const checked = await tw.cli('serve', '--check-config');
		assert.equal(checked.code, 1);
		assert.match(checked.stderr, /chmod 600/);
		await tw.stop();
		tw.configure({ tls_certificate: '', tls_key: '', listen: '0.0.0.0:0' });
		const { ok, stderr } = await doctor();
		assert.equal(ok, true);
		assert.match(stderr, /warning: 0\.0\.0\.0:0 is open to other machines in plain HTTP/);
		tw.configure({ tls_certificate: 'tls.pem', tls_key: 'tls.key', listen: '127.0.0.1:0' });
		const started = await tw.cli('serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0');
		assert.equal(started.code, 1);
		assert.match(started.stderr, /chmod 600/);
		install(second);
		assert.equal((await tw.cli('serve', '--check-config')).code, 0);
		await tw.start();
		assert.equal(await shown(tw.url), fingerprint(second));
	});

	it('that has expired keeps none from starting, and is told of wherever an owner looks', async () => {
		const expires = async () => Number(/^tallyward_certificate_expiry_timestamp_seconds (\d+)$/m
			.exec((await send(`${tw.adminUrl}/metrics`, { tls: tw.tls })).text)[1]);
		const endOf = ({ cert }) => Date.parse(new crypto.X509Certificate(cert).validTo) / 1000;
		const verifying = tw.tls;
		const expired = await authority.issue(['127.0.0.1'], { from: -9, until: -2 });
		await tw.stop();
		install(expired);
		try {
			tw.tls = { rejectUnauthorized: false };
			await tw.start();
			assert.match(tw.daemon.log, /level=error event=certificate_expired until=/);
			assert.equal(await shown(tw.url), fingerprint(expired));
			assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).payment, 'settled');
			assert.equal((await doctor()).ok, false);
			assert.equal(await expires(), endOf(expired));
			const soon = await authority.issue(['127.0.0.1'], { until: 3 });
			await tw.stop();
			install(soon);
			await tw.start();
			assert.match(tw.daemon.log, /level=warn event=certificate_ends_soon until=/);
			assert.equal(await expires(), endOf(soon));
		} finally {
			tw.tls = verifying;
		}
		install(second);
		assert.match(await tw.reload(), /event=reloaded/);
		assert.equal(await expires(), endOf(second));
	});

	it('is what doctor looks at', async () => {
		assert.equal((await doctor()).ok, true);
		install(await authority.issue(['127.0.0.1'], { until: 3 }));
		assert.equal((await doctor()).ok, false);
	});

	it('can be given up, and the next connection is plain', async () => {
		tw.configure({ tls_certificate: '', tls_key: '' });
		await tw.reload();
		const plain = await until('plain HTTP', () => send(`${tw.url.replace('https', 'http')}/readyz`));
		assert.equal(plain.status, 200);
		tw.configure({ tls_certificate: 'tls.pem', tls_key: 'tls.key' });
		install(first);
		await tw.reload();
		await until('TLS again', async () => await shown(tw.url) === fingerprint(first));
	});

	it('of one kind alone is no configuration', async () => {
		tw.configure({ tls_key: '' });
		const { code, stderr } = await tw.cli('serve', '--check-config');
		assert.equal(code, 1);
		assert.match(stderr, /tls_certificate: needs tls_key/);
		tw.configure({ tls_key: 'tls.key' });
	});

	it('needs nothing of the commands, which do not go by the network', async () => {
		assert.equal((await tw.must('agent', 'list')).length, 1);
		const { code } = await run(tw.program, ['ledger', 'verify'], { env: { TALLYWARD_DIR: tw.dir } });
		assert.equal(code, 0);
	});
});

it('books and chain agree', () => tw.assertBooks());
