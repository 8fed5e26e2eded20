// Sellers that attack: with bytes that are no HTTP, with answers that never end or never
// begin, with challenges bent in every member, and after the payment with all of it again.
// The refusal has the right code, nothing is signed that should not be, nothing leaks, and
// the daemon is as well as before: the next honest seller is paid.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { head, startCrude } from './bed/crude.mjs';
import { policyOf, spend } from './bed/policies.mjs';
import { GZIP_BOMB, STRANGER, base64, challenge, goods, receipt, requirement, send402 } from './bed/rogue.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const CENT = 10_000n;
/** How long the daemon waits for a seller here: for its answer, and for a byte of one. */
const RESPONSE_MS = 1500;
// Agent and seller are one process here, which may be busy for a while with gigabytes.
const IDLE_MS = 3000;
/** What a daemon may grow by while it is attacked: its buffers, curl's and the allocator's. */
const GROWTH_MAX = 48 << 20;

const CHECK = { contentType: 'application/json', schema: { type: 'object' } };

let bed;
let tw;
let crude;
let agents = 0;
/** Has honest purchases behind it, and nothing else. */
let victim;
let honest = 0n;

before(async () => {
	bed = await startBed({ rogue: true });
	Object.assign(bed.rogue.cases, CHALLENGES);
	crude = await startCrude(wires());
	tw = await Tallyward.create({ chain: bed.chain, settings: {
		connect_ms_max: 1500, response_ms_max: RESPONSE_MS, upstream_idle_ms_max: IDLE_MS, workers: 2,
	} });
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('crude', crude.url);
	await tw.addTool('based', `${bed.rogue.url}/v1`);
	await tw.addTool('capped', bed.rogue.url, '--price', '0.01');
	await tw.addTool('checked', bed.rogue.url, '--delivery', tw.writeFile('check.json', JSON.stringify(CHECK)));
	victim = await newAgent();
	await tw.start();
});

after(async () => {
	await tw?.close();
	await crude?.stop();
	await bed?.stop();
});

/** A call may cost little, so that many can wait for their prices side by side. */
const newAgent = () => tw.addAgent(`agent-${++agents}`, {
	policy: policyOf(spend('agent', 'call', '0.10'), spend('session', 'total', '9.00')),
});

/** Longer than the daemon waits for anybody. */
const GIVE_UP_MS = 20_000;

/** One call; an answer that is cut off is one, too. */
const call = (agent, tool, target, options) =>
	tw.call(agent, tool, target, { signal: AbortSignal.timeout(GIVE_UP_MS), ...options })
		.catch((error) => ({ status: error.name === 'AbortError' ? 'late' : 'lost', text: error.message }));

const memory = (what) => Number(new RegExp(`${what}:\\s+(\\d+)`).exec(
	fs.readFileSync(`/proc/${tw.daemon.pid}/status`, 'utf8'))[1]) * 1024;

/** The requests of one agent that carried a payment. */
const paidBy = (agent, { record } = crude) => record.requests.filter(
	({ payment }) => payment?.payload?.authorization?.from.toLowerCase() === agent.address.toLowerCase());

/** Nothing was signed or is held beyond the honest purchases, and the next one is paid. */
async function unharmed() {
	assert.equal(paidBy(victim).length, 0, 'no payment left');
	await until('nothing to be held', async () =>
		micros((await tw.limit(victim, 'session', 'total')).used) === honest);
	const answer = await tw.call(victim, 'rogue', '/honest?price=100');
	assert.equal(answer.status, 200, answer.text);
	assert.equal(answer.payment, 'settled');
	honest += 100n;
}

/** How an attack on the unpaid call ends, and what the one after the payment ends in. */
const BROKEN = { unpaid: [502, 'upstream_unreachable'], paid: [502, 'payment_unknown'] };
const LATE = { unpaid: [504, 'upstream_timeout'], paid: [502, 'payment_unknown'] };
const CUT = { unpaid: ['lost'], paid: ['lost'] };
const PASSED = { unpaid: [200], paid: [200] };

const chunked = head('200 OK', 'Transfer-Encoding: chunked');
const ok = (...fields) => `${head('200 OK', ...fields)}hello`;
const ends = (bytes) => (wire) => wire.end(bytes);
const BIG = Buffer.alloc(1 << 20, 'x');

/** Broken framing, by name: what goes over the wire, and how that ends. */
const FRAMES = {
	// heads
	'no HTTP at all': [ends('<html>hello</html>\r\n\r\n'), BROKEN],
	'nothing': [ends(''), BROKEN],
	'the preface of HTTP 2': [ends('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), BROKEN],
	'frames of HTTP 2': [ends(Buffer.from('00000004000000000000000807000000000000000000000001', 'hex')), BROKEN],
	'a switch to HTTP 2': [ends(head('101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: h2c')), BROKEN],
	'a status that is none': [ends(head('OK')), BROKEN],
	'a status of 0': [ends(head('000 Zero')), BROKEN],
	'a status of 99': [ends(head('099 Less')), BROKEN],
	'a field without a colon': [ends(ok('Content-Length: 5', 'nonsense')), BROKEN],
	'a field without a name': [ends(ok('Content-Length: 5', ': x')), BROKEN],
	'a blank before the colon': [ends(ok('Content-Length : 5')), BROKEN],
	'a folded field': [ends(ok('Content-Length: 5', 'X-A: b', ' c: d')), BROKEN],
	'a folded field without a colon': [ends(ok('Content-Length: 5', 'X-A: b', '\tc')), BROKEN],
	'a NUL in a value': [ends(ok('Content-Length: 5', 'X-A: b\0c')), BROKEN],
	'a NUL in a name': [ends(ok('Content-Length: 5', 'X-\0A: b')), BROKEN],
	'a bare CR in a value': [ends(ok('Content-Length: 5', 'X-A: b\rX-B: c')), BROKEN],
	'an escape in a value': [ends(ok('Content-Length: 5', 'X-A: \x1b[2J')), BROKEN],
	'2,000 fields': [ends(ok('Content-Length: 5', ...Array.from({ length: 2000 }, (_, i) => `X-${i}: a`))), BROKEN],
	'a field of 1 MB': [ends(ok('Content-Length: 5', `X-A: ${'a'.repeat(1 << 20)}`)), BROKEN],
	'a reason of 1 MB': [ends(head(`200 ${'O'.repeat(1 << 20)}K`, 'Content-Length: 0')), BROKEN],
	'a line without end': [async (wire) => {
		await wire.write('HTTP/1.1 200 OK\r\nX-A: ');
		await wire.flood(BIG);
	}, BROKEN],
	'fields without end': [async (wire) => {
		await wire.write('HTTP/1.1 200 OK\r\n');
		await wire.flood(Buffer.from(`X-A: ${'a'.repeat(1000)}\r\n`));
	}, BROKEN],
	'a head that stops': [async (wire) => {
		await wire.write('HTTP/1.1 200 OK\r\nX-A: a');
		await wire.gone;
	}, LATE],
	'a head that drips': [async (wire) => {
		await wire.write('HTTP/1.1 200 OK\r\nX-A: ');
		await wire.drip('a');
	}, LATE],
	'no answer': [(wire) => wire.gone, LATE],
	// 1xx
	'hints without end': [(wire) => wire.flood(head('103 Early Hints', 'Link: </a>; rel=preload').repeat(50)), BROKEN],
	'continue without end': [(wire) => wire.flood(head('100 Continue').repeat(50)), BROKEN],
	'continue that drips': [(wire) => wire.drip(head('100 Continue')), LATE],
	'3,000 times continue, then an answer': [ends(head('100 Continue').repeat(3000) + ok('Content-Length: 5')), PASSED],
	// lengths
	'two lengths': [ends(ok('Content-Length: 5', 'Content-Length: 6')), BROKEN],
	'a list of lengths': [ends(ok('Content-Length: 5, 5')), BROKEN],
	'a length below zero': [ends(ok('Content-Length: -5')), BROKEN],
	'a length with a sign': [ends(ok('Content-Length: +5')), BROKEN],
	'a length in hexadecimal': [ends(ok('Content-Length: 0x5')), BROKEN],
	'a length that is empty': [ends(ok('Content-Length:')), BROKEN],
	'a length that wraps 64 bits': [ends(ok('Content-Length: 18446744073709551621')), BROKEN],
	'a length that is too long': [ends(ok('Content-Length: 50')), CUT],
	'a length that is too short': [ends(`${ok('Content-Length: 5')}, and more`), PASSED],
	'an answer behind the answer': [ends(ok('Content-Length: 5') + ok('Content-Length: 5', 'X-Second: yes')), PASSED],
	// codings
	'gzip as a transfer coding': [ends(ok('Transfer-Encoding: gzip, chunked')), BROKEN],
	'an unknown transfer coding': [ends(ok('Transfer-Encoding: secret')), BROKEN],
	'chunked twice': [ends(ok('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')), BROKEN],
	'a chunk of no size': [ends(`${chunked}ZZ\r\nhello\r\n0\r\n\r\n`), CUT],
	'a chunk of a negative size': [ends(`${chunked}-5\r\nhello\r\n0\r\n\r\n`), CUT],
	'a chunk whose size wraps': [ends(`${chunked}10000000000000005\r\nhello\r\n0\r\n\r\n`), CUT],
	'a chunk longer than it says': [ends(`${chunked}3\r\nhello\r\n0\r\n\r\n`), CUT],
	'a chunk that is cut': [ends(`${chunked}ff\r\nhello`), CUT],
	'no last chunk': [ends(`${chunked}5\r\nhello\r\n`), CUT],
	'a chunk extension without end': [async (wire) => {
		await wire.write(`${chunked}5\r\nhello\r\n5;`);
		await wire.flood(BIG, 64);
		await wire.gone;
	}, CUT],
	'trailers without end': [async (wire) => {
		await wire.write(`${chunked}5\r\nhello\r\n0\r\n`);
		await wire.flood(Buffer.from(`X-A: ${'a'.repeat(1000)}\r\n`));
	}, CUT],
	'a trailer that drips': [async (wire) => {
		await wire.write(`${chunked}5\r\nhello\r\n0\r\nX-A: `);
		await wire.drip('a');
	}, CUT],
	// bodies
	'a body that stops': [async (wire) => {
		await wire.write(ok('Content-Length: 50'));
		await wire.gone;
	}, CUT],
	'a body and a reset': [async (wire) => {
		await wire.write(ok('Content-Length: 50'));
		wire.reset();
	}, CUT],
};

/** Every frame before a payment under u-…, and after one under p-…. */
function wires() {
	const all = { ...WIRES };
	for (const [name, [play]] of Object.entries(FRAMES)) {
		all[`u-${name}`] = play;
		all[`p-${name}`] = (wire) => wire.entry.payment ? play(wire) : wire.ask();
	}
	return all;
}

const paidFor = (play, unpaid = (wire) => wire.ask()) => (wire) =>
	wire.entry.payment ? play(wire) : unpaid(wire);

const made = (wire, fields) =>
	Object.entries(receipt(wire, fields)).map(([name, value]) => `${name}: ${value}`)[0];

const TRAILING = 'Trailer: PAYMENT-REQUIRED, PAYMENT-RESPONSE';

const ODD = Buffer.from(Array.from({ length: 3_000_017 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
const ODD_SIZES = [1, 20_000, 100, 65_536, 4095, 300_000, 7, 4096];

function* oddPieces() {
	for (let at = 0, i = 0; at < ODD.length; at += ODD_SIZES[i++ % ODD_SIZES.length])
		yield ODD.subarray(at, at + ODD_SIZES[i % ODD_SIZES.length]);
}

async function sendOddChunks(wire, end) {
	await wire.write(chunked);
	for (const piece of oddPieces()) {
		await wire.write(`${piece.length.toString(16)}\r\n`);
		await wire.write(piece);
		await wire.write('\r\n');
	}
	await wire.write(end);
}

/** Other things that only bytes can say. */
const WIRES = {
	'free': (wire) => wire.write(ok('Content-Length: 5')),
	'asks': paidFor((wire) => wire.write(ok('Content-Length: 5'))),
	'hints-challenge': (wire) => wire.end(head('103 Early Hints', wire.challenge()) + ok('Content-Length: 5')),
	'hints-receipt': paidFor((wire) => wire.end(head('103 Early Hints', made(wire)) + ok('Content-Length: 5'))),
	'trailer-challenge': (wire) => wire.end(`${head('402 Payment Required', 'Transfer-Encoding: chunked', TRAILING)}`
		+ `2\r\n{}\r\n0\r\n${wire.challenge()}\r\n\r\n`),
	'trailer-receipt': paidFor((wire) => wire.end(`${head('200 OK', 'Transfer-Encoding: chunked', TRAILING)}`
		+ `2\r\n{}\r\n0\r\n${made(wire)}\r\n\r\n`)),
	'two-challenges': (wire) => wire.end(`${head('402 Payment Required', wire.challenge({ amount: '1' }),
		wire.challenge().replace('PAYMENT-REQUIRED', 'Payment-Required'), 'Content-Length: 2')}{}`),
	'challenges-in-a-list': (wire) => wire.end(`${head('402 Payment Required',
		`${wire.challenge({ amount: '1' })}, ${wire.challenge().split(': ')[1]}`, 'Content-Length: 2')}{}`),
	'challenge-cut': async (wire) => {
		await wire.write(`${head('402 Payment Required', wire.challenge(), 'Content-Length: 100')}{`);
		wire.reset();
	},
	// A challenge whose body never ends: dripping, or as fast as it goes.
	'drips': async (wire) => {
		await wire.write(head('402 Payment Required', wire.challenge(), 'Transfer-Encoding: chunked'));
		await wire.drip('1\r\n \r\n');
	},
	'drips-v1': async (wire) => {
		await wire.write(`${head('402 Payment Required', 'Content-Length: 60000')}{"x402Version":1,`);
		await wire.drip(' ');
	},
	'endless-challenge': paidFor((wire) => wire.end(ok('Content-Length: 5')), async (wire) => {
		await wire.write(head('402 Payment Required', wire.challenge(), `Content-Length: ${10 * 2 ** 30}`));
		await wire.flood(BIG);
	}),
	'endless-402': async (wire) => {
		await wire.write(head('402 Payment Required', `Content-Length: ${10 * 2 ** 30}`));
		await wire.flood(BIG);
	},
	'endless': async (wire) => {
		await wire.write(head('200 OK', `Content-Length: ${10 * 2 ** 30}`));
		await wire.flood(BIG, 10 * 2 ** 10);
	},
	// A large answer, framed in pieces of all sizes, whole or cut off in the middle.
	'odd-sized': async (wire) => {
		await wire.write(head('200 OK', `Content-Length: ${ODD.length}`));
		for (const piece of oddPieces())
			await wire.write(piece);
	},
	'odd-chunked': async (wire) => sendOddChunks(wire, '0\r\n\r\n'),
	'odd-paid': paidFor(async (wire) => sendOddChunks(wire, '0\r\n\r\n')),
	'odd-cut': async (wire) => {
		await sendOddChunks(wire, '5\r\nhel');
		wire.end('');
	},
	'endless-ware': paidFor(async (wire) => {
		await wire.write(head('200 OK', `Content-Length: ${10 * 2 ** 30}`));
		await wire.flood(BIG, 10 * 2 ** 10);
	}),
};

const bends = (bent) => (call) => call.entry.payment ? goods(call)
	: send402(call, challenge(call, [requirement(call, bent)], bent));

/** The text of a good challenge, bent, as version 2 sends it. */
const says = (bend) => (call) => {
	if (call.entry.payment)
		return goods(call);
	const text = bend(JSON.stringify(challenge(call, [requirement(call)])), call);
	call.response.writeHead(402, { 'payment-required': Buffer.from(text).toString('base64') });
	call.response.end('{}');
};

/** The header itself, bent. */
const spells = (bend) => (call) => {
	if (call.entry.payment)
		return goods(call);
	const good = base64(challenge(call, [requirement(call)]));
	call.response.writeHead(402, { 'payment-required': bend(good) });
	call.response.end('{}');
};

const port = () => new URL(bed.rogue.url).port;
const resource = (url) => (call) => bends({ resource: { url: url(call) } })(call);
const deep = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

/** What must not be paid, and the reason that the refusal gives. */
const REFUSALS = {
	// payees
	'a payee of 19 bytes': [bends({ payTo: `0x${'1'.repeat(38)}` }), /bad_payee/],
	'a payee of 21 bytes': [bends({ payTo: `0x${'1'.repeat(42)}` }), /bad_payee/],
	'half a byte more': [bends({ payTo: `0x${'1'.repeat(41)}` }), /bad_payee/],
	'a payee without 0x': [bends({ payTo: '1'.repeat(40) }), /bad_payee/],
	'a payee in 0X': [bends({ payTo: `0X${'1'.repeat(40)}` }), /bad_payee/],
	'a payee with a wrong checksum': [bends({ payTo: STRANGER.replace('dEaD', 'DeAd') }), /bad_payee/],
	'a payee with a blank': [bends({ payTo: ` ${STRANGER}` }), /bad_payee/],
	'a payee with more behind it': [bends({ payTo: `${STRANGER}\0` }), /bad_payee|bad_json|NUL/i],
	'a name for a payee': [bends({ payTo: 'seller.eth' }), /bad_payee/],
	'a number for a payee': [bends({ payTo: 7 }), /bad_payee/],
	'no payee': [bends({ payTo: null }), /bad_payee/],
	'a list of payees': [bends({ payTo: [STRANGER] }), /bad_payee/],
	// schemes, networks, flows
	'a scheme in capitals': [bends({ scheme: 'EXACT' }), /unsupported_scheme/],
	'a scheme that is none': [bends({ scheme: null }), /unsupported_scheme/],
	'a network in words': [bends({ network: 'base-sepolia' }), /unsupported_network/],
	'a network with a sign': [bends({ network: 'eip155:+84532' }), /unsupported_network/],
	'a network with a zero before it': [bends({ network: 'eip155:084532' }), /unsupported_network/],
	'a network that wraps 64 bits': [bends({ network: `eip155:${2n ** 64n + 84532n}` }), /unsupported_network/],
	'a flow that is a number': [bends({ extra: { name: 'USDC', version: '2', paymentFlow: 7 } }), /unsupported_flow/],
	'a flow in capitals': [bends({ extra: { name: 'USDC', version: '2', paymentFlow: 'Authorization' } }), /unsupported_flow/],
	'a transfer that is a list': [bends({ extra: { name: 'USDC', version: '2', assetTransferMethod: ['eip3009'] } }), /unsupported_transfer/],
	'a time-out in text': [bends({ maxTimeoutSeconds: '60' }), /bad_timeout/],
	'a time-out of 1e2': [says((text) => text.replace('"maxTimeoutSeconds":60', '"maxTimeoutSeconds":1e2')), /bad_timeout/],
	'a time-out that wraps': [says((text) => text.replace('"maxTimeoutSeconds":60', '"maxTimeoutSeconds":4294967356')), /bad_timeout/],
	'no time-out': [bends({ maxTimeoutSeconds: null }), /bad_timeout/],
	// resources on hosts that look alike
	'a host behind ours': [resource(() => `${bed.rogue.url}.evil.example/x`), /resource_mismatch/],
	'our host as a user': [resource(() => `${bed.rogue.url}@evil.example/x`), /resource_mismatch/],
	'our host in a query': [resource(() => `http://evil.example/?${bed.rogue.url}`), /resource_mismatch/],
	'our host in a fragment': [resource(() => `http://evil.example#${bed.rogue.url}`), /resource_mismatch/],
	'our host behind a backslash': [resource(() => `http://evil.example\\@127.0.0.1:${port()}/`), /resource_mismatch/],
	'our host with a dot': [resource(() => `http://127.0.0.1.:${port()}/`), /resource_mismatch/],
	'our host as one number': [resource(() => `http://2130706433:${port()}/`), /resource_mismatch/],
	'our host in other digits': [resource(() => `http://\uff11\uff12\uff17.0.0.1:${port()}/`), /resource_mismatch/],
	'our host by another name': [resource(() => `http://localhost:${port()}/`), /resource_mismatch/],
	'our host on another port': [resource(() => 'http://127.0.0.1:1/'), /resource_mismatch/],
	'another host without a scheme': [resource(() => '//evil.example/x'), /resource_mismatch/],
	'a resource that is a script': [resource(() => 'javascript:pay()'), /resource_mismatch/],
	'a resource that is a number': [resource(() => 7), /resource_mismatch/],
	'a resource with a line break': [resource(() => `${bed.rogue.url}/\r\nHost: evil.example`), /resource_mismatch/],
	// JSON
	'a payee said twice': [says((text) => text.replace('"payTo"', `"payTo":"${STRANGER}","payTo"`)), /duplicate/],
	'a payee said twice, once escaped': [says((text) => text.replace('"payTo"', `"pay\\u0054o":"${STRANGER}","payTo"`)), /duplicate/],
	'options said twice': [says((text) => text.replace('"accepts"', '"accepts":[],"accepts"')), /duplicate/],
	'the version said twice': [says((text) => text.replace('"x402Version":2', '"x402Version":1,"x402Version":2')), /duplicate/],
	'something behind the end': [says((text) => `${text} {}`), /end of file|challenge/],
	'a NUL behind the end': [says((text) => `${text}\0`), /NUL/],
	'a NUL in a key': [says((text) => text.replace('"error"', '"err\\u0000or"')), /challenge/],
	'a comment': [says((text) => text.replace('{', '{/* pay more */')), /challenge/],
	'a mark of byte order': [says((text) => `\ufeff${text}`), /challenge/],
	'half a surrogate': [says((text) => text.replace('payment required', '\\ud800')), /challenge/],
	'NaN': [says((text) => text.replace('"maxTimeoutSeconds":60', '"maxTimeoutSeconds":NaN')), /challenge/],
	'1e400': [says((text) => text.replace('"maxTimeoutSeconds":60', '"maxTimeoutSeconds":1e400')), /challenge/],
	'6,000 levels': [says(() => deep(6000)), /nested/],
	'6,000 levels in extra': [says((text) => text.replace('"extra":{', `"extra":{"deep":${deep(6000)},`)), /nested/],
	'6,000 levels in a body': [(call) => {
		call.response.writeHead(402, { 'content-type': 'application/json' });
		call.response.end(`{"x402Version":1,"accepts":[],"deep":${deep(6000)}}`);
	}, /nested/],
	'an option that is null': [says((text) => text.replace('"accepts":[', '"accepts":[null,')), /accepts/],
	'a list for a resource': [says((text) => text.replace(/"resource":\{[^}]*\}/, '"resource":[]')), /resource/],
	'the one that may be paid behind 32 others': [(call) => call.entry.payment ? goods(call) : send402(call, challenge(call,
		[...Array.from({ length: 32 }, () => requirement(call, { scheme: 'approximate' })), requirement(call)])), /unsupported_scheme/],
	// base64
	'a blank within': [spells((good) => `${good.slice(0, 40)} ${good.slice(40)}`), /base64/],
	'junk behind the padding': [spells(() => `${base64('{"x402Version":2} ')}xx==yy`), /base64|challenge/],
	'padding within': [spells((good) => `${good.slice(0, 40)}=${good.slice(41)}`), /base64/],
	'one character': [spells(() => 'e'), /base64/],
	'nothing': [spells(() => ''), /challenge/],
	'a letter that is none': [spells((good) => good.replace(/^e/, '\u00e9')), /base64/],
	'a quoted string': [spells((good) => `"${good}"`), /base64/],
};

/** Answers with a redirect, and says on which tool it is. */
const leads = (location) => (call) => goods(call, { location: location(call) }, 302);

/** Where a seller would like the agent to go next, and what the agent is told. */
const LEADS = {
	'path': [() => '/t/capped/trap', () => `${bed.rogue.url}/t/capped/trap`],
	'relative': [() => '../../../../t/capped/trap', () => `${bed.rogue.url}/t/capped/trap`],
	'escaped': [() => '/%2e%2e/capped/trap', () => `${bed.rogue.url}/%2e%2e/capped/trap`],
	'here': [({ request }) => `http://${request.headers['x-seen-as']}/t/capped/trap`, () => undefined],
	'here-as-a-number': [() => `http://2130706433:${new URL(tw.url).port}/t/capped/trap`, () => undefined],
	'here-without-slashes': [() => 'http:/t/capped/trap', () => undefined],
	'backslash': [() => '/\\capped\\..\\trap', () => undefined],
};

/** Receipts that prove nothing. */
const RECEIPTS = {
	'deep': () => base64(deep(6000)),
	'twice': (good) => base64(good.replace('"success":true', '"success":true,"success":true')),
	'junk': (good) => `${base64(good)}%%`,
	'text': (good) => base64(good.replace('"success":true', '"success":"true"')),
	'large': (good) => base64(good.replace('{', `{"filling":"${'x'.repeat(20_000)}",`)),
	'amount-below': (good) => base64(good.replace('{', '{"amount":"-1",')),
	'amount-huge': (good) => base64(good.replace('{', `{"amount":"${2n ** 64n + 10_000n}",`)),
	'short-hash': (good) => base64(good.replace(/0x(ab){32}/, '0xab')),
};

const statuses = (status) => (call) => {
	call.response.writeHead(status, { 'payment-required': base64(challenge(call, [requirement(call)])) });
	call.response.end(JSON.stringify({ ...challenge(call, [requirement(call)]), x402Version: 1 }));
};

const STATUSES = [200, 201, 202, 400, 401, 403, 404, 407, 409, 412, 429, 500, 503];

const CHALLENGES = {
	...Object.fromEntries(Object.entries(REFUSALS).map(([name, [play]]) => [`no-${name.replaceAll(/\W+/g, '-')}`, play])),
	...Object.fromEntries(STATUSES.map((status) => [`asks-by-${status}`, statuses(status)])),
	...Object.fromEntries(Object.entries(LEADS).map(([name, [location]]) => [`leads-${name}`, leads(location)])),
	...Object.fromEntries(Object.entries(RECEIPTS).map(([name, bend]) => [`bent-${name}`, (call) => {
		if (!call.entry.payment)
			return bends({})(call);
		const [[field, value]] = Object.entries(receipt(call));
		return goods(call, { [field]: bend(Buffer.from(value, 'base64').toString()) });
	}])),
	// Members of 100 MB in 100 KB, and a hundred of them.
	'gives-10-gb': async (call) => {
		if (!call.entry.payment)
			return bends({})(call);
		call.response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
		for (let i = 0; i < 100; i++)
			call.response.write(GZIP_BOMB);
		call.response.end();
	},
	'origin-words': (call) => goods(call, {
		'alt-svc': 'h2="evil.example:443"; ma=31536000', 'strict-transport-security': 'max-age=31536000',
		'clear-site-data': '"*"',
	}),
	'receipt-for-nothing': (call) => {
		call.response.writeHead(200, { 'payment-response': base64({ success: true, transaction: `0x${'ab'.repeat(32)}`,
			network: 'eip155:84532', payer: victim.address }), 'tallyward-payment': 'settled', 'tallyward-cost': '9.00' });
		call.response.end('{}');
	},
	'receipt-with-a-402': (call) => {
		call.response.writeHead(402, { 'payment-response': base64({ success: true, transaction: `0x${'ab'.repeat(32)}`,
			network: 'eip155:84532', payer: victim.address }) });
		call.response.end('{}');
	},
};

describe('bytes instead of an answer:', () => {
	describe('each', { concurrency: 16 }, () => {
		for (const [name, [, { unpaid: [status, code] }]] of Object.entries(FRAMES))
			it(`${name}: ${code ?? status}`, async () => {
				const answer = await call(victim, 'crude', `/u-${encodeURIComponent(name)}`);
				assert.equal(answer.status, status, answer.text);
				if (code)
					assert.equal(answer.problem.code, code);
				assert.equal(answer.payment, undefined);
				const next = await tw.call(victim, 'crude', '/free');
				assert.equal(next.text, 'hello', 'the next call is answered');
			});
	});

	it('nothing was signed, and an honest seller is paid', unharmed);
});

describe('a challenge in the wrong place:', () => {
	const passes = async (tool, target, status) => {
		const answer = await tw.call(victim, tool, target);
		assert.equal(answer.status, status, answer.text);
		assert.equal(answer.payment, undefined);
		assert.equal(micros(answer.cost), 0n);
		return answer;
	};

	it('on another status it is the agent\'s', async () => {
		for (const status of STATUSES)
			await passes('rogue', `/asks-by-${status}`, status);
		await unharmed();
	});

	it('in early hints it is none', async () => {
		const answer = await passes('crude', '/hints-challenge', 200);
		assert.equal(answer.headers['payment-required'], undefined);
		await unharmed();
	});

	it('in a trailer it is none', async () => {
		await passes('crude', '/trailer-challenge', 402);
		await unharmed();
	});

	it('a receipt before any payment books nothing', async () => {
		const before = await tw.statement(victim.name);
		await passes('rogue', '/receipt-for-nothing', 200);
		await passes('rogue', '/receipt-with-a-402', 402);
		assert.deepEqual(await tw.statement(victim.name), before);
		await unharmed();
	});
});

describe('a challenge that must not be paid:', () => {
	for (const [name, [, reason]] of Object.entries(REFUSALS))
		it(name, async () => {
			const answer = await tw.call(victim, 'rogue', `/no-${name.replaceAll(/\W+/g, '-')}`);
			assert.equal(answer.status, 403, answer.text);
			assert.equal(answer.problem.code, 'no_payable_option');
			assert.match(answer.text, reason);
		});

	for (const target of ['/two-challenges', '/challenges-in-a-list'])
		it(target.slice(1), async () => {
			const answer = await tw.call(victim, 'crude', target);
			assert.equal(answer.status, 403, answer.text);
			assert.equal(answer.problem.code, 'no_payable_option');
		});

	it('one that is cut off', async () => {
		const answer = await tw.call(victim, 'crude', '/challenge-cut');
		assert.equal(answer.problem.code, 'upstream_unreachable', answer.text);
	});

	it('nothing was signed, and an honest seller is paid', unharmed);
});

describe('what never ends', () => {
	for (const target of ['/drips', '/drips-v1'])
		it(`a challenge that comes a byte at a time holds no money for ever: ${target}`, async () => {
			const answer = await call(victim, 'crude', target);
			assert.equal(answer.status, 504, answer.text);
			assert.equal(answer.problem.code, 'upstream_timeout');
			await unharmed();
		});

	it('a 402 of 10 GB is not read to its end', async () => {
		const before = memory('VmHWM');
		const answer = await call(victim, 'crude', '/endless-402');
		assert.equal(answer.problem.code, 'no_payable_option', answer.text);
		await crude.last.gone;
		assert.ok(crude.last.sent < 64 << 20, `${crude.last.sent} bytes were taken`);
		assert.ok(memory('VmHWM') - before < GROWTH_MAX, `grew by ${memory('VmHWM') - before} bytes`);
		await unharmed();
	});
});

describe('a redirect', () => {
	// The agent's client follows these by itself, with its token when they lead here.
	for (const [name, [, told]] of Object.entries(LEADS))
		it(`does not lead to another tool: ${name}`, async () => {
			const under = await call(victim, 'based', `/leads-${name}`, { headers: { 'x-seen-as': new URL(tw.url).host } });
			assert.equal(under.status, 302, under.text);
			assert.equal(under.headers.location, told());
		});

	it('nor do words about an origin reach the agent', async () => {
		const { headers } = await tw.call(victim, 'rogue', '/origin-words');
		for (const name of ['alt-svc', 'strict-transport-security', 'clear-site-data'])
			assert.equal(headers[name], undefined, name);
		await unharmed();
	});
});

describe('prices', () => {
	it('a low one first, a higher one when the next call comes: never above the declared price', async () => {
		const agent = await newAgent();
		assert.equal((await call(agent, 'capped', '/silent?price=5000')).status, 200);
		const { problem, text } = await call(agent, 'capped', '/silent?price=10001');
		assert.equal(problem.code, 'no_payable_option');
		assert.match(text, /over_declared_price/);
		assert.equal((await tw.payments(agent.name)).length, 1);
	});

	it('the cheapest last, behind cheaper traps', async () => {
		const agent = await newAgent();
		assert.equal(micros((await call(agent, 'rogue', '/cheapest-last')).cost), 20_000n);
		assert.equal(micros((await call(agent, 'rogue', '/cheapest-is-trap')).cost), 30_000n);
	});
});

describe('a seller who has been paid', () => {
	it('and asks without end, for more or for somebody else, gets one signature', async () => {
		const agent = await newAgent();
		for (const how of ['asks-again', 'asks-more', 'asks-for-other-payee', 'plain-402'])
			for (let i = 0; i < 10; i++)
				assert.equal((await call(agent, 'rogue', `/${how}`)).problem.code, 'payment_rejected', how);
		const sent = paidBy(agent, bed.rogue);
		assert.equal(sent.length, 40);
		assert.equal(new Set(sent.map(({ header }) => header)).size, 4, 'the same bytes each time');
		for (const { payment: { payload: { authorization } } } of sent) {
			assert.equal(authorization.value, '10000');
			assert.equal(authorization.to.toLowerCase(), bed.rogue.payTo.toLowerCase());
		}
		assert.equal(micros((await tw.limit(agent, 'session', 'total')).used), 4n * CENT);
	});

	it('and receipts where none may be: in early hints, in a trailer, bent', async () => {
		const agent = await newAgent();
		const targets = ['/hints-receipt', '/trailer-receipt', ...Object.keys(RECEIPTS).map((name) => `/bent-${name}`)];
		for (const target of targets) {
			const tool = target.startsWith('/bent') ? 'rogue' : 'crude';
			const answer = await call(agent, tool, target);
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.payment, 'open', target);
		}
		await tw.quiet();
		assert.equal((await tw.payments(agent.name, 'open')).length, targets.length);
	});

	it('and gives 10 GB in ten megabytes: a claim, and no memory', async () => {
		const agent = await newAgent();
		const before = memory('VmHWM');
		const answer = await call(agent, 'checked', '/gives-10-gb');
		assert.equal(answer.status, 200, answer.text);
		await tw.quiet();
		const claims = await until('the claim', async () => {
			const all = await tw.must('ledger', 'claim', agent.name);
			return all.length > 0 && all;
		});
		assert.match(claims[0].reason, /larger than/);
		assert.ok(memory('VmHWM') - before < GROWTH_MAX, `grew by ${memory('VmHWM') - before} bytes`);
		await unharmed();
	});

	it('and gives nothing: open, and a claim', async () => {
		const agent = await newAgent();
		assert.equal((await call(agent, 'checked', '/gives-nothing')).payment, 'settled');
		await tw.quiet();
		await until('the claim', async () => (await tw.must('ledger', 'claim', agent.name)).length === 1);
	});
});

/** Read so much of an answer, then hang up. */
async function readSome(agent, target, bytes) {
	const hangUp = new AbortController();
	let read = 0;
	let response;
	const whole = call(agent, 'crude', target, { signal: hangUp.signal, onHead: (head) => {
		response = head;
		head.pause();
	} });
	await until('the answer to begin', () => response);
	return { response, async hangUp() {
		response.removeAllListeners('data');
		response.on('data', (chunk) => {
			read += chunk.length;
			if (read >= bytes)
				hangUp.abort();
		});
		response.resume();
		await whole;
		return read;
	} };
}

describe('the digest of an answer, in its audit row,', () => {
	const sha256 = (data) => createHash('sha256').update(data).digest('hex');

	/** The row of the agent's only call. */
	async function audited(agent) {
		let rows;
		await until('the call to be written down', async () => {
			rows = (await tw.must('ledger', 'audit', '--agent', agent.name)).filter(({ kind }) => kind === 'call');
			return rows.length === 1;
		});
		return rows[0];
	}

	for (const [target, body] of [['/free', Buffer.from('hello')], ['/odd-sized', ODD], ['/odd-chunked', ODD], ['/odd-paid', ODD]])
		it(`is of all that was delivered: ${target}`, async () => {
			const agent = await newAgent();
			const answer = await call(agent, 'crude', target);
			assert.equal(answer.status, 200, answer.text);
			assert.equal(sha256(answer.body), sha256(body));
			const row = await audited(agent);
			assert.equal(row.response_digest, sha256(body));
			assert.equal(row.response_bytes, body.length);
		});

	it('is as right for a reader that stops for a while', async () => {
		const agent = await newAgent();
		let response;
		const whole = call(agent, 'crude', '/odd-chunked', { onHead: (head) => {
			response = head;
			head.pause();
		} });
		await until('much to be on its way', () => response && crude.last.sent > 1 << 20);
		response.resume();
		assert.equal(sha256((await whole).body), sha256(ODD));
		assert.equal((await audited(agent)).response_digest, sha256(ODD));
	});

	it('is none when the seller stops in the middle', async () => {
		const agent = await newAgent();
		assert.equal((await call(agent, 'crude', '/odd-cut')).status, 'lost');
		const row = await audited(agent);
		assert.equal(row.response_digest, null);
		assert.equal(row.response_bytes, ODD.length + 3);
	});

	it('is none when the agent leaves in the middle', async () => {
		const agent = await newAgent();
		const reader = await readSome(agent, '/endless', 3 << 20);
		await reader.hangUp();
		const row = await audited(agent);
		assert.equal(row.response_digest, null);
		assert.ok(row.response_bytes >= 3 << 20, `${row.response_bytes} bytes`);
	});
});

describe('10 GB', () => {
	for (const [target, payment] of [['/endless', undefined], ['/endless-ware', 'open']])
		it(`wait at the seller, pass without being kept, and stop when the agent leaves: ${target}`, async () => {
			const agent = await newAgent();
			const before = memory('VmHWM');
			const reader = await readSome(agent, target, 128 << 20);
			assert.equal(reader.response.headers['tallyward-payment'], payment);
			const wire = crude.last;
			let last = -1;
			let still = 0;
			await until('the seller to be held back', () => {
				still = wire.sent === last ? still + 1 : 0;
				last = wire.sent;
				return still > 20;
			});
			assert.ok(wire.sent < 64 << 20, `${wire.sent} bytes were taken that nobody reads`);
			const read = await reader.hangUp();
			assert.ok(read >= 128 << 20, `only ${read} bytes came: ${tw.daemon.log.slice(-3000)}`);
			await wire.gone;
			assert.ok(memory('VmHWM') - before < GROWTH_MAX, `grew by ${memory('VmHWM') - before} bytes`);
			await tw.quiet();
			assert.equal((await tw.payments(agent.name)).length, payment ? 1 : 0);
			await unharmed();
		});
});

describe('the same after a payment', () => {
	it('leaves each payment open: one purchase, one signature', async () => {
		const payer = await newAgent();
		const before = memory('VmHWM');
		const results = await Promise.all(Object.entries(FRAMES).map(async ([name, [, { paid: [status, code] }]]) => {
			const answer = await call(payer, 'crude', `/p-${encodeURIComponent(name)}`);
			assert.equal(answer.status, status, `${name}: ${answer.text}`);
			if (code)
				assert.equal(answer.problem.code, code, name);
			else if (status === 200)
				assert.equal(answer.payment, 'open', name);
		}));
		const count = BigInt(results.length);
		await tw.quiet();
		const payments = await tw.payments(payer.name);
		assert.equal(payments.length, results.length);
		assert.deepEqual(new Set(payments.map(({ state }) => state)), new Set(['open']));
		const nonces = new Set(paidBy(payer).map(({ payment }) => payment.payload.authorization.nonce));
		assert.equal(nonces.size, results.length);
		assert.equal(micros((await tw.limit(payer, 'session', 'total')).used), count * CENT);
		assert.equal(micros((await tw.wallet(payer.name)).open), count * CENT);
		assert.ok(memory('VmHWM') - before < GROWTH_MAX, `grew by ${memory('VmHWM') - before} bytes`);
		await unharmed();
	});
});

describe('afterwards', () => {
	it('nothing secret is in the log', () => {
		const { log } = tw.daemon;
		assert.ok(log.length > 0);
		for (const { token } of tw.agents.values())
			assert.ok(!log.includes(token.split('.')[2]), 'a token');
		for (const { header } of [...crude.record.paid(), ...bed.rogue.record.paid()])
			assert.ok(!log.includes(header.slice(0, 200)), 'a payment');
		assert.doesNotMatch(log, /Bearer|signature/i);
	});

	it('nobody was led elsewhere', () => {
		assert.equal(bed.rogue.elsewhere.record.requests.length, 0);
	});

	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
