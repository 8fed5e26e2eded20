// The network between agents, tallyward and sellers: names that lead where they
// should not, and certificates that are not what they should be.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { Authority, startTlsFront } from './bed/certificates.mjs';
import { Names } from './bed/names.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { listen, shut, until } from './bed/wait.mjs';

const PUBLIC = '93.184.216.34';

let bed;
let tw;
let names;
let agents = 0;
/** The seller, without scheme and host. */
let port;

before(async () => {
	bed = await startBed();
	port = new URL(bed.seller.url).port;
	tw = await Tallyward.create({ chain: bed.chain });
	names = await Names.create(tw.home);
	// A proxy that nobody runs: whoever asked it would get nowhere.
	const proxy = 'http://127.0.0.1:1';
	tw.env = { ...names.env, http_proxy: proxy, https_proxy: proxy, HTTPS_PROXY: proxy, all_proxy: proxy, ALL_PROXY: proxy };
	await tw.start();
	await tw.addTool('seller', bed.seller.url);
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = () => tw.addAgent(`agent-${++agents}`, { policy: GENEROUS });

/** Nothing was signed for this agent, and nothing is held. */
async function nothingSigned(by) {
	assert.deepEqual(await tw.payments(by.name), []);
	assert.equal(micros((await tw.wallet(by.name)).reserved), 0n);
}

/** As well as before: the next call is made and paid for. */
async function nextCallWorks(by) {
	const answer = await tw.call(by, 'seller', '/paid/0.01');
	assert.equal(answer.status, 200, answer.text);
	assert.equal(answer.payment, 'settled');
}

describe('a name that leads', () => {
	const PLACES = {
		'to this machine': ['127.0.0.1'],
		'to this machine by another address': ['127.8.9.10'],
		'to this machine in IPv6': ['::1'],
		'to this machine, mapped into IPv6': ['::ffff:127.0.0.1'],
		'to nowhere, which Linux takes for this machine': ['0.0.0.0'],
		'to a private network': ['10.20.30.40'],
		'to another private network': ['172.31.255.1'],
		'to a third': ['192.168.1.1'],
		'to shared address space': ['100.64.0.1'],
		'to unique local IPv6': ['fd12:3456::1'],
		'link-local': ['169.254.10.20'],
		'to a cloud\'s metadata': ['169.254.169.254'],
		'to a cloud\'s metadata in IPv6': ['fd00:ec2::254'],
		'to metadata through NAT64': ['64:ff9b::a9fe:a9fe'],
		'to this machine through 6to4': ['2002:7f00:1::1'],
		'to a group': ['224.0.0.1'],
		'to several such places': ['127.0.0.1', '::1', '10.0.0.1', '169.254.169.254'],
	};
	let agent;

	before(async () => {
		for (const [index, addresses] of Object.values(PLACES).entries()) {
			names.set(`place-${index}.example`, ...addresses);
			await tw.addTool(`place-${index}`, `http://place-${index}.example:${port}`);
		}
		agent = await newAgent();
	});

	for (const [index, place] of Object.keys(PLACES).entries())
		it(`${place} gets no connection`, async () => {
			names.connected();
			bed.seller.record.forget();
			const { problem } = await tw.call(agent, `place-${index}`, '/paid/0.01');
			assert.equal(problem.status, 502);
			assert.equal(problem.code, 'upstream_unreachable');
			assert.equal(problem.rule, 'forbidden_address');
			assert.deepEqual(names.connected(), []);
			assert.deepEqual(bed.seller.record.requests, []);
			await nothingSigned(agent);
		});

	it('and the next call works', () => nextCallWorks(agent));
});

describe('the owner\'s word', () => {
	let agent;

	before(async () => {
		names.set('inside.example', '127.0.0.1');
		names.set('metadata.example', '169.254.169.254');
		names.set('mixed.example', '127.0.0.1', '10.1.2.3', PUBLIC);
		await tw.addTool('inside', `http://inside.example:${port}`, '--private');
		await tw.addTool('metadata', `http://metadata.example:${port}`, '--private');
		await tw.addTool('mixed', `http://mixed.example:${port}`);
		await tw.addTool('localhost', `http://localhost:${port}`);
		await tw.addTool('lan', `http://10.1.2.3:${port}`);
		agent = await newAgent();
	});

	it('lets a name lead to this machine, and is paid there', async () => {
		const answer = await tw.call(agent, 'inside', '/paid/0.01');
		assert.equal(answer.status, 200, answer.text);
		assert.equal(answer.payment, 'settled');
	});

	it('does not let a name lead to metadata', async () => {
		names.connected();
		const { problem } = await tw.call(agent, 'metadata', '/paid/0.01');
		assert.equal(problem.rule, 'forbidden_address');
		assert.deepEqual(names.connected(), []);
	});

	it('is there for localhost, and for an address that is written out', async () => {
		assert.equal((await tw.call(agent, 'localhost', '/paid/0.01')).payment, 'settled');
		names.connected();
		const { problem } = await tw.call(agent, 'lan', '/paid/0.01');
		assert.equal(problem.code, 'upstream_unreachable');
		assert.notEqual(problem.rule, 'forbidden_address');
		assert.deepEqual([...new Set(names.connected())], ['10.1.2.3']);
	});

	it('takes RPC endpoints and the webhook anywhere but to metadata', async () => {
		names.set('inside-rpc.example', '127.0.0.1');
		names.set('metadata-rpc.example', '169.254.169.254');
		await tw.must('network', 'set', 'eip155:8453', '--rpc', `https://inside-rpc.example:${port}`,
			'--rpc', 'https://metadata-rpc.example');
		tw.configure({ anchor_webhook: 'http://metadata-rpc.example/hook', anchor_s: 1 });
		names.connected();
		await tw.reload();
		const { json } = await tw.cli('doctor', '--json');
		const said = (host) => json.find(({ check, detail }) => check === 'rpc' && detail.includes(host)).detail;
		assert.match(said('metadata-rpc.example'), /forbidden: .*metadata/);
		assert.doesNotMatch(said('inside-rpc.example'), /forbidden/);
		await until('the webhook to fail', () => /event=anchor_webhook_failed .*metadata address/.test(tw.daemon.log));
		assert.deepEqual([...new Set(names.connected())], ['127.0.0.1']);
		await tw.must('network', 'set', 'eip155:8453', '--rpc', '');
		tw.configure({ anchor_webhook: '', anchor_s: 60 });
		await tw.reload();
	});

	it('is not needed for what is public among the addresses', async () => {
		names.connected();
		const { problem } = await tw.call(agent, 'mixed', '/paid/0.01');
		assert.equal(problem.code, 'upstream_unreachable');
		assert.deepEqual([...new Set(names.connected())], [PUBLIC]);
	});

	it('is shown, outlives a restart, and ends with the tool', async () => {
		assert.equal((await tw.must('tool', 'show', 'inside')).private, true);
		assert.equal((await tw.must('tool', 'show', 'seller')).private, false);
		await tw.must('tool', 'remove', 'inside');
		await tw.addTool('inside', `http://inside.example:${port}`);
		assert.equal((await tw.must('tool', 'show', 'inside')).private, false);
		const { problem } = await tw.call(agent, 'inside', '/paid/0.01');
		assert.equal(problem.rule, 'forbidden_address');
		await tw.must('tool', 'remove', 'localhost');
		await tw.addTool('localhost', `http://inside.example:${port}`, '--private');
		await tw.restart();
		assert.equal((await tw.call(agent, 'inside', '/paid/0.01')).problem.rule, 'forbidden_address');
		assert.equal((await tw.call(agent, 'localhost', '/paid/0.01')).payment, 'settled');
		await nextCallWorks(agent);
	});
});

describe('a seller on another machine', () => {
	const PRIVATE = '10.20.30.40';
	let agent;

	before(async () => {
		names.play(PUBLIC, PRIVATE);
		names.set('public.example', PUBLIC);
		names.set('lan.example', PRIVATE);
		await tw.addTool('public', `http://public.example:${port}`);
		await tw.addTool('lan-name', `http://lan.example:${port}`, '--private');
		await tw.addTool('public-address', `http://${PUBLIC}:${port}`);
		await tw.addTool('lan-address', `http://${PRIVATE}:${port}`);
		agent = await newAgent();
	});
	after(() => names.play());

	for (const tool of ['public', 'public-address', 'lan-name', 'lan-address'])
		it(`is called and never paid over plain http: ${tool}`, async () => {
			bed.seller.record.forget();
			assert.equal((await tw.call(agent, tool, '/free')).status, 200);
			const { problem } = await tw.call(agent, tool, '/paid/0.01');
			assert.equal(problem.status, 403);
			assert.equal(problem.code, 'no_payable_option');
			assert.equal(problem.rule, 'plain_http');
			assert.deepEqual(bed.seller.record.paid('/paid/0.01'), []);
			await nothingSigned(agent);
		});

	it('and this one is as well as before', () => nextCallWorks(agent));
});

describe('a name that moves', () => {
	it('from a public address to this machine is not followed', async () => {
		names.set('moves.example', PUBLIC);
		await tw.addTool('moves', `http://moves.example:${port}`);
		const agent = await newAgent();
		names.connected();
		await tw.call(agent, 'moves', '/paid/0.01');
		assert.deepEqual([...new Set(names.connected())], [PUBLIC]);
		names.set('moves.example', '127.0.0.1');
		await tw.restart(); // what was resolved is remembered for a minute
		bed.seller.record.forget();
		names.connected();
		const { problem } = await tw.call(agent, 'moves', '/paid/0.01');
		assert.equal(problem.status, 502);
		assert.equal(problem.rule, 'forbidden_address');
		assert.deepEqual(names.connected(), []);
		assert.deepEqual(bed.seller.record.requests, []);
		await nothingSigned(agent);
		await nextCallWorks(agent);
	});

	it('between the challenge and the payment gets no payment over plain http', async () => {
		// The first address takes the call and is gone when the payment comes; the second is
		// another machine.
		const server = http.createServer(async (request, response) => {
			const answer = await send(`${bed.seller.url}${request.url}`, {
				headers: { ...request.headers, connection: 'close' },
			});
			server.close();
			response.writeHead(answer.status, { ...answer.headers, connection: 'close' });
			response.end(answer.body);
		});
		const url = await listen(server);
		names.set('elsewhere.example', '127.0.0.1', PUBLIC);
		await tw.addTool('elsewhere', url.replace('127.0.0.1', 'elsewhere.example'), '--private');
		const agent = await newAgent();
		names.connected();
		const { problem } = await tw.call(agent, 'elsewhere', '/paid/0.01');
		await shut(server).catch(() => {});
		assert.equal(problem.code, 'payment_unknown');
		assert.equal(problem.rule, 'forbidden_address');
		assert.match(problem.detail, /no connection could be made .* a public address/);
		assert.deepEqual([...new Set(names.connected())], ['127.0.0.1']);
		const [payment] = await tw.payments(agent.name);
		assert.equal(payment.state, 'open');
		await tw.giveBack(payment.payment);
	});
});

/** Certificates, and servers that show them, which must not be talked to; and why not. */
const BAD = {
	'has expired': [/expired/, ({ issue }) => issue([NAME], { from: -60, until: -30 })],
	'is not valid yet': [/not yet valid/, ({ issue }) => issue([NAME], { from: 1, until: 30 })],
	'is signed by itself': [/self.signed/, ({ issue }) => issue([NAME], { selfSigned: true })],
	'is signed by a stranger': [/issuer|self.signed|verify/, ({ stranger }) => stranger.issue([NAME])],
	'is for another name': [/name|match/, ({ issue }) => issue(['other.example'])],
	'is for parts of the name': [/name|match/, ({ issue }) => issue(['example', 'shop', `${NAME}.evil.test`])],
	'is for any name below ours': [/name|match/, ({ issue }) => issue([`*.${NAME}`])],
	'has a key of 1024 bits': [/too (small|weak)/,
		async ({ issue }) => ({ ...await issue([NAME], { weak: true }), ciphers: 'DEFAULT@SECLEVEL=0' })],
	'was revoked, as it says itself': [/revoked/, ({ authority, revoked }) => stapled(authority, revoked)],
	'promises a staple that is not there': [/none was/, ({ promising }) => promising],
	'has the staple of another': [/another certificate/,
		async ({ authority, good, promising }) => ({ ...good, staple: await authority.respond(promising) })],
	'has junk for a staple': [/malformed/, ({ good }) => ({ ...good, staple: Buffer.from('junk') })],
	'is good, but speaks TLS 1.1 at most': [/protocol|version|alert/, ({ good }) => ({ ...good, ...atMost('TLSv1.1') })],
	'is good, but speaks TLS 1.0 at most': [/protocol|version|alert/, ({ good }) => ({ ...good, ...atMost('TLSv1') })],
};
const NAME = 'shop.example';
const stapled = async (authority, one) => ({ ...one, staple: await authority.respond(one) });
const atMost = (version) => ({ minVersion: 'TLSv1', maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' });

describe('a seller whose certificate', () => {
	const fronts = new Map();
	let agent;
	let unpaid;

	before(async () => {
		const authority = await Authority.create(tw.home);
		const issue = authority.issue.bind(authority);
		const made = {
			authority, issue, stranger: await Authority.create(tw.home, 'stranger'), good: await issue([NAME]),
			revoked: await issue([NAME]), promising: await issue([NAME], { mustStaple: true }),
		};
		const add = async (tool, options) => {
			const front = await startTlsFront(bed.seller.url, options);
			fronts.set(tool, front);
			await tw.addTool(tool, `https://${NAME}:${front.port}`);
		};
		await authority.revoke(made.revoked);
		names.play(PUBLIC);
		names.set(NAME, PUBLIC);
		tw.configure({ ca_file: authority.file });
		await tw.reload();
		for (const [index, [, make]] of Object.values(BAD).entries())
			await add(`bad-${index}`, await make(made));
		await add('good', made.good);
		await add('good-stapled', await stapled(authority, made.good));
		await add('good-promised', await stapled(authority, made.promising));
		await add('good-older', { ...made.good, ...atMost('TLSv1.2') });
		agent = await newAgent();
		unpaid = await newAgent();
	});
	after(() => Promise.all([...fronts.values()].map((front) => front.stop())));

	for (const [index, [what, [reason]]] of Object.entries(BAD).entries())
		it(`${what} gets nothing`, async () => {
			bed.seller.record.forget();
			const { problem } = await tw.call(unpaid, `bad-${index}`, '/paid/0.01');
			assert.equal(problem.status, 502);
			assert.equal(problem.code, 'upstream_unreachable');
			assert.match(problem.detail, reason);
			assert.deepEqual(bed.seller.record.requests, []);
			await nothingSigned(unpaid);
			assert.equal((await tw.call(agent, 'good', '/paid/0.01')).payment, 'settled');
		});

	for (const [tool, version] of Object.entries({
		'good': 'TLSv1.3', 'good-stapled': 'TLSv1.3', 'good-promised': 'TLSv1.3', 'good-older': 'TLSv1.2',
	}))
		it(`is in order is paid: ${tool}, ${version}`, async () => {
			const answer = await tw.call(agent, tool, '/paid/0.01');
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.payment, 'settled');
			assert.deepEqual([...new Set(fronts.get(tool).versions)], [version]);
		});
});

describe('who stands between us and a seller', () => {
	let agent;
	let unpaid;

	before(async () => {
		agent = await newAgent();
		unpaid = await newAgent();
	});

	/** A server that answers the first bytes it gets with these; resolves to what came then. */
	async function startForger(answer) {
		const heard = [];
		const server = net.createServer((socket) => {
			let first = true;
			socket.on('error', () => {});
			socket.on('data', (bytes) => {
				heard.push(bytes);
				if (first)
					socket.write(answer);
				first = false;
			});
		});
		const url = await listen(server);
		return { heard, port: new URL(url).port, stop: () => new Promise((resolve) => server.close(resolve)) };
	}

	/** A ServerHello of that version with that end of its random, in TLS 1.2's form. */
	function serverHello(version, sentinel) {
		const random = Buffer.concat([Buffer.alloc(32 - sentinel.length, 7), Buffer.from(sentinel, 'latin1')]);
		const body = Buffer.concat([Buffer.from(version), random, Buffer.from([0, 0xc0, 0x2b, 0, 0, 0])]);
		const message = Buffer.concat([Buffer.from([2, 0, 0, body.length]), body]);
		return Buffer.concat([Buffer.from([0x16, 3, 3, 0, message.length]), message]);
	}

	const FORGED = {
		'takes TLS 1.3 out of the talk': serverHello([3, 3], 'DOWNGRD\x01'),
		'takes TLS 1.2 out of the talk': serverHello([3, 2], 'DOWNGRD\x00'),
		'wants SSL 3': serverHello([3, 0], ''),
		'has no TLS at all': Buffer.from('HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n'),
		'answers junk': Buffer.alloc(4096, 0x41),
	};

	for (const [what, answer] of Object.entries(FORGED))
		it(`and ${what} gets nothing`, async () => {
			const forger = await startForger(answer);
			const tool = `forged-${forger.port}`;
			await tw.addTool(tool, `https://localhost:${forger.port}`);
			const { problem } = await tw.call(unpaid, tool, '/paid/0.01', { headers: { 'x-secret': 'of the agent' } });
			await forger.stop();
			assert.equal(problem.code, 'upstream_unreachable');
			assert.ok(forger.heard.length >= 1);
			assert.ok(!Buffer.concat(forger.heard).includes('of the agent'));
			await nothingSigned(unpaid);
			await nextCallWorks(agent);
		});
});

it('books and chain agree', () => tw.assertBooks());
