// Agents under someone else's control: whatever bytes they send, they get the
// right refusal, the seller gets nothing that it should not, nothing is signed,
// and the next call works. What the parser alone decides is in the unit tests
// of the listener; here is what becomes of it on the other side.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, afterEach, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';
import { Gate, listen, shut, until } from './bed/wait.mjs';

let bed;
let tw;
let agent;
let seller;

/** A seller that keeps what reached it, whole or in part, and answers nothing but "here". */
async function startListener() {
	const listener = { requests: [], gate: new Gate(), open: 0 };
	const server = http.createServer({ insecureHTTPParser: false }, async (request, response) => {
		const entry = {
			method: request.method, url: request.url, rawHeaders: request.rawHeaders,
			headers: request.headers, body: '', whole: false, cut: false,
		};
		listener.requests.push(entry);
		listener.open++;
		response.on('close', () => {
			listener.open--;
			entry.cut = !response.writableFinished;
		});
		request.on('data', (chunk) => { entry.body += chunk.toString('latin1'); });
		request.on('end', async () => {
			entry.whole = true;
			entry.trailers = request.rawTrailers;
			await listener.gate.pass();
			response.setHeader('content-type', 'text/plain');
			response.end('here');
		});
		request.on('error', () => {});
	});
	listener.url = await listen(server);
	listener.host = new URL(listener.url).host;
	listener.stop = () => {
		listener.gate.open();
		return shut(server);
	};
	return listener;
}

before(async () => {
	bed = await startBed();
	seller = await startListener();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('echo', `${seller.url}/base`);
	await tw.addTool('shop', bed.seller.url);
	await tw.addTool('forbidden', `${seller.url}/forbidden`);
	agent = await tw.addAgent('buyer', { policy: {
		...GENEROUS, tools: { allowlist: ['echo', 'shop'] },
	} });
	await tw.start();
});

afterEach(() => tw?.hangUp());

after(async () => {
	await tw?.close();
	await seller?.stop();
	await bed?.stop();
});

const connect = () => tw.connect();

/** A request head with a good token. */
const head = (line, ...fields) =>
	[line, 'Host: proxy', `Authorization: Bearer ${agent.token}`, ...fields, '', ''].join('\r\n');
const NEXT = (n = '') => head(`GET /t/echo/next${n} HTTP/1.1`);

/** What the seller has heard since `seen`. */
const heard = (seen) => seller.requests.slice(seen);

/** Refused, once, as `code`; and the connection is over, so that what follows is no request. */
async function refusedAndClosed(bytes, status, code = 'bad_request') {
	const seen = seller.requests.length;
	const wire = (await connect()).say(bytes);
	const answer = await wire.answer();
	assert.equal(answer?.status, status, answer?.text);
	assert.equal(JSON.parse(answer.text).code, code);
	assert.equal(answer.headers.connection, 'close');
	wire.say(NEXT());
	await wire.ended();
	assert.equal(wire.unread, '', 'one answer and no more');
	for (const entry of heard(seen))
		assert.ok(!entry.whole, `${entry.method} ${entry.url} reached the seller whole`);
	return answer;
}

/** Refused by the proxy's rules; the connection goes on. */
async function refusedAndKept(bytes, status, code) {
	const seen = seller.requests.length;
	const wire = (await connect()).say(bytes);
	const answer = await wire.answer();
	assert.equal(answer?.status, status, answer?.text);
	assert.equal(JSON.parse(answer.text).code, code);
	assert.equal(heard(seen).length, 0);
	assert.equal((await wire.say(NEXT()).answer()).status, 200);
	assert.deepEqual(heard(seen).map(({ url }) => url), ['/base/next']);
}

describe('a payment header from an agent', () => {
	const NAMES = [
		'PAYMENT-SIGNATURE', 'payment-signature', 'pAyMeNt-SiGnAtUrE', 'Payment_Signature',
		'X-PAYMENT', 'x-payment', 'X_Payment', 'X.PAYMENT', "x'payment", 'PAYMENT~SIGNATURE',
		'SIGN-IN-WITH-X', 'sign-in-with-x', 'Sign_In-With.X',
	];
	for (const name of NAMES)
		it(`is refused: ${name}`, () =>
			refusedAndKept(head('GET /t/echo/a HTTP/1.1', `${name}: eyJ4IjoxfQ==`), 400, 'agent_payment_header'));

	it('is refused when it is empty, doubled, or named as one of this hop', async () => {
		for (const fields of [
			['X-PAYMENT:'], ['X-PAYMENT: a', 'X-PAYMENT: b'],
			['PAYMENT-SIGNATURE: a', 'Connection: PAYMENT-SIGNATURE'],
		])
			await refusedAndKept(head('GET /t/echo/a HTTP/1.1', ...fields), 400, 'agent_payment_header');
	});

	it('does not get past as a trailer', async () => {
		const seen = seller.requests.length;
		const wire = (await connect()).say(head('POST /t/echo/a HTTP/1.1', 'Transfer-Encoding: chunked',
			'Trailer: X-PAYMENT') + '1\r\na\r\n0\r\nX-PAYMENT: x\r\nAuthorization: Bearer y\r\n\r\n');
		assert.equal((await wire.answer()).status, 200);
		const [entry] = heard(seen);
		assert.equal(entry.body, 'a');
		assert.deepEqual(entry.trailers, []);
		assert.doesNotMatch(JSON.stringify(entry.rawHeaders), /x-payment|trailer|Bearer/i);
		assert.equal((await wire.say(NEXT()).answer()).status, 200);
	});

	it('of ours gets through, though the agent says it is of its own hop', async () => {
		const before = bed.seller.record.paid('/paid').length;
		const wire = (await connect()).say(head('GET /t/shop/paid/0.01 HTTP/1.1',
			'Connection: keep-alive, PAYMENT-SIGNATURE, X-PAYMENT, Host'));
		const answer = await wire.answer();
		assert.equal(answer.status, 200, answer.text);
		assert.equal(answer.headers['tallyward-payment'], 'settled');
		assert.equal(bed.seller.record.paid('/paid').length, before + 1);
	});
});

describe('what reaches the seller', () => {
	it('is its own host, no token, nothing of this hop, and the rest unchanged', async () => {
		const seen = seller.requests.length;
		const wire = (await connect()).say(head('POST /t/echo/a?b=c%0d%0aX-PAYMENT:%20d HTTP/1.1',
			'Proxy-Authorization: Basic eA==', 'Keep-Alive: timeout=5', 'TE: trailers', 'Upgrade: websocket',
			'Connection: Upgrade, HTTP2-Settings, x-hop', 'HTTP2-Settings: AAMAAABk', 'X-Hop: 1',
			'Expect: 100-continue', 'Content-Length: 2', 'X-Forwarded-Host: y', 'Cookie: a=b', 'X-Two: 1',
			'X-Two: 2'));
		await until('the word to go on', async () => wire.unread.startsWith('HTTP/1.1 100 '));
		assert.equal((await wire.say('ok').answer()).status, 200);
		assert.deepEqual(wire.interim, [100]);
		const [{ url, rawHeaders, body }] = heard(seen);
		assert.equal(url, '/base/a?b=c%0d%0aX-PAYMENT:%20d');
		assert.equal(body, 'ok');
		const fields = [];
		for (let i = 0; i < rawHeaders.length; i += 2)
			fields.push(`${rawHeaders[i].toLowerCase()}: ${rawHeaders[i + 1]}`);
		const passed = ['x-forwarded-host: y', 'cookie: a=b', 'x-two: 1', 'x-two: 2'];
		assert.deepEqual(fields.filter((field) => passed.includes(field)), passed);
		assert.deepEqual(fields.filter((field) => !passed.includes(field)).sort(),
			[`host: ${seller.host}`, 'content-length: 2'].sort());
	});
});

describe("a path that leaves the tool's base", () => {
	const CLIMBS = [
		'/t/echo/../x', '/t/echo/..', '/t/echo/./x', '/t/echo/a/../../x', '/t/echo//../x',
		'/t/echo/%2e%2e/x', '/t/echo/.%2E/x', '/t/echo/%2e/x', '/t/echo/%252e%252e/x',
		'/t/echo/%25%32%65%25%32%65/x', '/t/echo/..%2fx', '/t/echo/..%252fx', '/t/echo/%2fetc',
		'/t/echo/..\\x', '/t/echo/..%5cx', '/t/echo/..%255cx', '/t/echo/..;/x', '/t/echo/..;a=b/x',
		'/t/echo/%2e%2e%3b/x', '/t/echo/a%00', '/t/echo/a%0d%0aX-PAYMENT:%20x', '/t/echo/%', '/t/echo/%u002e',
		'/t/echo/%c0%ae%c0%ae/x', '/t/echo/%e0%80%ae%e0%80%ae/x', '/t/echo/../../v1/me',
	];
	for (const path of CLIMBS)
		it(`is refused: ${path}`, () =>
			refusedAndKept(head(`GET ${path} HTTP/1.1`), 400, 'bad_request'));

	const NO_TOOL = [
		'/t/', '/t//echo', '/t/../t/echo/x', '/t/.', '/t/ECHO/x', '/t/%65cho/x', '/t/echo@evil.example/x',
		'/t/echo.evil.example/x', '/t/echo:80/x', '/t/echo;x/y', '/t/echo%2fx', '/t/echo%3fx', '/t/echo&x',
		`/t/${'a'.repeat(15_000)}`,
	];
	for (const path of NO_TOOL)
		it(`names no tool: ${path.slice(0, 40)}`, () =>
			refusedAndKept(head(`GET ${path} HTTP/1.1`), 404, 'unknown_tool'));

	for (const path of ['/T/echo/x', '//t/echo/x', '/./t/echo/x', '/x/../t/echo/x', '/%74/echo/x', '/t'])
		it(`is no path of ours: ${path}`, () =>
			refusedAndKept(head(`GET ${path} HTTP/1.1`), 404, 'not_found'));

	// Odd, but below the base whoever reads them.
	const BELOW = [
		'//evil.example/x', '/@evil.example/x', '/:80/x', '/http://evil.example/', '/...', '/..a/..b/.c',
		'/a;b=../c', '?x=../../..&y=%2e%2e', '/a?http://evil.example/@', '',
	];
	for (const rest of BELOW)
		it(`stays below it: ${rest || '(none)'}`, async () => {
			const seen = seller.requests.length;
			const answer = await (await connect()).say(head(`GET /t/echo${rest} HTTP/1.1`)).answer();
			// A parameter with dots in it is refused by some other rule, or passes as it is.
			assert.ok([200, 400].includes(answer.status), answer.text);
			assert.deepEqual(heard(seen).map(({ url, headers }) => [url, headers.host]),
				answer.status === 200 ? [[`/base${rest}`, seller.host]] : []);
		});
});

describe('a target or a host that names another place', () => {
	const LINES = [
		() => `GET ${seller.url}/trap HTTP/1.1`,
		() => `GET http://proxy/t/echo/a HTTP/1.1`,
		() => `GET http://x@${seller.host}/t/echo/a HTTP/1.1`,
		() => `GET ${seller.host} HTTP/1.1`,
		() => 'GET t/echo/a HTTP/1.1',
		() => 'OPTIONS * HTTP/1.1',
		() => 'GET /t/echo/a#b HTTP/1.1',
	];
	for (const line of LINES)
		it(`is refused: ${line}`, () => refusedAndClosed(head(line()), 400));

	const HOSTS = {
		'none': [], 'two': ['Host: a', 'Host: b'], 'the same twice': ['Host: a', 'host: a'],
		'one with a user': ['Host: user@a'], 'one with a path': ['Host: a/b'], 'one with a space': ['Host: a b'],
		'a list': ['Host: a, b c'],
	};
	for (const [name, fields] of Object.entries(HOSTS))
		it(`is refused with the Host field: ${name}`, () => refusedAndClosed(
			['GET /t/echo/a HTTP/1.1', ...fields, `Authorization: Bearer ${agent.token}`, '', ''].join('\r\n'), 400));

	for (const host of ['evil.example', `${'127.0.0.1'}:1`, '[::1]:65536', '', 'proxy:0', 'a.'])
		it(`changes nothing as the Host: ${host || '(empty)'}`, async () => {
			const seen = seller.requests.length;
			const answer = await (await connect()).say(['GET /t/echo/a HTTP/1.1', `Host: ${host}`,
				`Authorization: Bearer ${agent.token}`, '', ''].join('\r\n')).answer();
			assert.equal(answer.status, 200, answer.text);
			assert.equal(heard(seen)[0].headers.host, seller.host);
		});
});

describe('a method', () => {
	const BAD = {
		'CONNECT 127.0.0.1:1 HTTP/1.1': 501, 'CONNECT /t/echo/a HTTP/1.1': 501, 'get /t/echo/a HTTP/1.1': 501,
		'BREW /t/echo/a HTTP/1.1': 501, 'PRI * HTTP/2.0': 505, 'GET /t/echo/a HTTP/2.0': 505,
		'GET /t/echo/a HTTP/0.9': 505, 'G\tET /t/echo/a HTTP/1.1': 400, 'PLAY /t/echo/a HTTP/1.1': 400,
		' GET /t/echo/a HTTP/1.1': 400, 'GET  /t/echo/a HTTP/1.1': 400, 'GET /t/echo/a  HTTP/1.1': 400,
	};
	for (const [line, status] of Object.entries(BAD))
		it(`is refused: ${JSON.stringify(line)}`, async () => {
			const seen = seller.requests.length;
			const wire = (await connect()).say(head(line));
			const answer = await wire.answer();
			assert.equal(answer.status, status, answer.text);
			await wire.ended();
			assert.equal(heard(seen).length, 0);
		});

	it('that overrides another by a header stays what it is', async () => {
		const seen = seller.requests.length;
		const wire = (await connect()).say(head('GET /t/echo/a HTTP/1.1', 'X-HTTP-Method-Override: DELETE'));
		assert.equal((await wire.answer()).status, 200);
		assert.equal(heard(seen)[0].method, 'GET');
	});
});

describe('a head that two readers would cut differently', () => {
	const CUTS = {
		'a bare LF': 'X-A: b\nX-PAYMENT: c', 'a bare CR': 'X-A: b\rX-PAYMENT: c', 'a NUL': 'X-A: b\0',
		'a folded line': 'X-A: b\r\n X-PAYMENT: c', 'a line folded by a tab': 'X-A: b\r\n\tc',
		'a vertical tab': 'X-A: b\x0bc', 'CR CR LF': 'X-A: b\r', 'a field without a name': ': b',
		'a field without a colon': 'X-A', 'a space before the colon': 'X-PAYMENT : b',
		'a name beyond ASCII': 'X-\xe4: b', 'an empty line in an odd place': 'X-A: b\n\r\nX-B: c',
		'DEL': 'X-A: b\x7f',
	};
	for (const [name, field] of Object.entries(CUTS))
		it(`is refused: ${name}`, () => refusedAndClosed(head('GET /t/echo/a HTTP/1.1', field), 400));
});

describe('a request within a request', () => {
	const INNER = 'GET /t/echo/inner HTTP/1.1\r\nHost: x\r\n\r\n';
	const FRAMINGS = {
		'both lengths': [400, 'Content-Length: 6', 'Transfer-Encoding: chunked'],
		'both lengths, the other way round': [400, 'Transfer-Encoding: chunked', 'Content-Length: 6'],
		'both lengths in odd case': [400, 'tRANSFER-eNCODING: Chunked', 'cONTENT-lENGTH: 6'],
		'xchunked': [501, 'Transfer-Encoding: xchunked'],
		'chunked and identity': [[400, 501], 'Transfer-Encoding: chunked, identity'],
		'identity and chunked': [[400, 501], 'Transfer-Encoding: identity, chunked'],
		'chunked in two fields': [400, 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
		'a quoted coding': [501, 'Transfer-Encoding: "chunked"'],
		'a coding behind a control': [400, 'Transfer-Encoding: \x0bchunked'],
		'a coding on a folded line': [400, 'Transfer-Encoding:\r\n chunked'],
		'a coding with a space before the colon': [400, 'Transfer-Encoding : chunked'],
		'equal lengths twice': [400, 'Content-Length: 6', 'Content-Length: 6'],
		'different lengths': [400, 'Content-Length: 6', 'Content-Length: 0'],
		'a list of lengths': [400, 'Content-Length: 6, 6'],
		'a plus': [400, 'Content-Length: +6'],
		'a minus': [400, 'Content-Length: -6'],
		'a space within': [400, 'Content-Length: 1 0'],
		'hexadecimal': [400, 'Content-Length: 0x6'],
		'a length of 2 to the 64 and 6': [400, 'Content-Length: 18446744073709551622'],
		'a length of 2 to the 63': [400, 'Content-Length: 9223372036854775808'],
		'an underscore': [null, 'Content_Length: 999'],
	};
	for (const [name, [status, ...fields]] of Object.entries(FRAMINGS))
		it(`is never found: ${name}`, async () => {
			const seen = seller.requests.length;
			const wire = (await connect()).say(head('POST /t/echo/outer HTTP/1.1', ...fields) + '0\r\n\r\n' + INNER);
			const answer = await wire.answer();
			if (status === null) {
				// A field of no meaning: the body is none, and what follows is a request.
				assert.equal(answer.status, 200, answer.text);
				assert.equal((await wire.answer()).status, 400);
			} else {
				assert.ok([status].flat().includes(answer.status), answer.text);
			}
			await wire.ended();
			assert.equal(wire.unread, '');
			assert.deepEqual(heard(seen).map(({ url }) => url), status === null ? ['/base/outer'] : []);
		});

	const CHUNKS = {
		'a size that is none': 'ZZ\r\n', 'a hexadecimal prefix': '0x1\r\na\r\n', 'a sign': '+1\r\na\r\n',
		'a size over 64 bits': '10000000000000001\r\na\r\n', 'a space behind the size': '1 \r\na\r\n',
		'a bare LF behind the size': '1\na\r\n', 'no CRLF behind the data': '1\r\nab\r\n',
		'a bare CR in an extension': '1;a\rb\r\na\r\n', 'a bare LF in an extension': '1;a\nb\r\na\r\n',
		'a bare LF behind the last': '0\n\n', 'a folded trailer': '0\r\nX: y\r\n z\r\n\r\n',
	};
	for (const [name, bytes] of Object.entries(CHUNKS))
		it(`is never found behind ${name}`, () => refusedAndClosed(
			head('POST /t/echo/outer HTTP/1.1', 'Transfer-Encoding: chunked') + bytes + '0\r\n\r\n' + INNER, 400));

	it('is a request of its own behind a whole one, and refused as such', async () => {
		const seen = seller.requests.length;
		const wire = (await connect()).say(
			head('POST /t/echo/outer HTTP/1.1', 'Transfer-Encoding: chunked') + '1;a="b"\r\na\r\n0\r\n\r\n' + INNER);
		assert.equal((await wire.answer()).status, 200);
		const inner = await wire.answer();
		assert.equal(inner.status, 401, 'the token of the first is not the second one’s');
		assert.deepEqual(heard(seen).map(({ url, body }) => [url, body]), [['/base/outer', 'a']]);
	});

	it('does not come out of HTTP/1.0', async () => {
		await refusedAndClosed(head('POST /t/echo/a HTTP/1.0', 'Connection: keep-alive',
			'Transfer-Encoding: chunked') + '0\r\n\r\n', 400);
		const seen = seller.requests.length;
		// Without a length there is no body; and it ends with its answer.
		const wire = (await connect()).say(head('POST /t/echo/a HTTP/1.0') + INNER);
		assert.equal((await wire.answer()).status, 200);
		await wire.ended();
		assert.equal(wire.unread, '');
		// Kept when that was asked for; then the next is the next.
		const kept = (await connect()).say(head('GET /t/echo/b HTTP/1.0', 'Connection: keep-alive') + NEXT());
		assert.deepEqual([(await kept.answer()).status, (await kept.answer()).status], [200, 200]);
		assert.deepEqual(heard(seen).map(({ url }) => url), ['/base/a', '/base/b', '/base/next']);
	});

	it('is answered in its turn when it is honest, however the bytes arrive', async () => {
		const seen = seller.requests.length;
		const wire = await connect();
		const bytes = NEXT(1) + head('POST /t/echo/p HTTP/1.1', 'Content-Length: 3') + 'abc' + NEXT(2);
		for (let at = 0; at < bytes.length; at += 97)
			wire.say(bytes.slice(at, at + 97));
		for (let i = 0; i < 3; i++)
			assert.equal((await wire.answer()).status, 200);
		assert.deepEqual(heard(seen).map(({ url, body }) => [url, body]),
			[['/base/next1', ''], ['/base/p', 'abc'], ['/base/next2', '']]);
	});
});

describe('an expectation or an offer to upgrade', () => {
	it('is not met when the call is refused, and nothing of the body is waited for', async () => {
		const wire = (await connect()).say(head('POST /t/forbidden/a HTTP/1.1', 'Content-Length: 1000000',
			'Expect: 100-continue'));
		const answer = await wire.answer();
		assert.equal(JSON.parse(answer.text).code, 'tool_denied');
		await wire.ended();
		assert.deepEqual(wire.interim, []);
	});

	it('of another kind is refused', () => refusedAndClosed(
		head('POST /t/echo/a HTTP/1.1', 'Content-Length: 1', 'Expect: 402-payment'), 417));

	for (const fields of [['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: eA=='],
		['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AA'], ['Upgrade: TLS/1.0', 'Connection: Upgrade']])
		it(`is left alone: ${fields[0]}`, async () => {
			const seen = seller.requests.length;
			const wire = (await connect()).say(head('GET /t/echo/a HTTP/1.1', ...fields));
			assert.equal((await wire.answer()).status, 200);
			assert.equal(heard(seen)[0].headers.upgrade, undefined);
			assert.equal((await wire.say(NEXT()).answer()).status, 200, 'and HTTP goes on');
		});
});

describe('an agent that hangs up', () => {
	const nothingHeld = () => until('nothing to be held', async () =>
		micros((await tw.limit(agent, 'session', 'total')).used) ===
		micros((await tw.wallet(agent.name)).spent) + micros((await tw.wallet(agent.name)).open));

	for (const way of ['end', 'reset'])
		it(`in its head leaves nothing behind (${way})`, async () => {
			const seen = seller.requests.length;
			const whole = NEXT();
			for (const size of [1, 20, whole.length - 2, whole.length - 1]) {
				const wire = (await connect()).say(whole.slice(0, size));
				wire[way]();
			}
			assert.equal((await tw.call(agent, 'echo', '/after')).status, 200);
			assert.deepEqual(heard(seen).map(({ url }) => url), ['/base/after']);
		});

	for (const framing of ['Content-Length: 10', 'Transfer-Encoding: chunked'])
		for (const way of ['end', 'reset'])
			it(`in its body is not taken for one that is done (${framing}, ${way})`, async () => {
				const seen = seller.requests.length;
				const wire = (await connect()).say(head('POST /t/echo/cut HTTP/1.1', framing));
				wire.say(framing.startsWith('C') ? 'abc' : '3\r\nabc\r\n');
				await until('the seller to have what came', async () => heard(seen)[0]?.body === 'abc');
				wire[way]();
				await until('the seller to be told', async () => heard(seen)[0].cut);
				assert.equal(heard(seen)[0].whole, false);
				await nothingHeld();
			});

	it('in a body that is paid for signs nothing', async () => {
		const before = (await tw.payments(agent.name)).length;
		const wire = (await connect()).say(head('POST /t/shop/paid/0.01 HTTP/1.1', 'Content-Length: 10') + 'abc');
		await until('the seller to ask for money', async () =>
			bed.seller.record.at('/paid').some(({ method }) => method === 'POST'));
		wire.end();
		await nothingHeld();
		assert.equal((await tw.payments(agent.name)).length, before);
	});

	it('while the seller thinks cuts the call, and the hold is gone', async () => {
		const seen = seller.requests.length;
		seller.gate.close();
		const wire = (await connect()).say(head('GET /t/echo/slow HTTP/1.1'));
		await until('the seller to have it', async () => heard(seen)[0]?.whole);
		wire.reset();
		await until('the seller to be told', async () => heard(seen)[0].cut);
		seller.gate.open();
		await nothingHeld();
	});

	it('after the signature leaves a payment whose outcome is written', async () => {
		bed.seller.gate.close();
		const before = (await tw.payments(agent.name)).length;
		const wire = (await connect()).say(head('GET /t/shop/slow/0.01 HTTP/1.1'));
		await until('the payment to be with the seller', async () => bed.seller.gate.waiting > 0);
		wire.reset();
		bed.seller.gate.open();
		await until('its outcome', async () => {
			const payments = await tw.payments(agent.name);
			return payments.length === before + 1 && payments.every(({ state }) => state === 'settled');
		});
		assert.equal(bed.seller.record.paid('/slow').length, 1);
	});
});

describe('an agent that is slow', () => {
	before(async () => {
		tw.configure({ head_ms_max: 300, body_idle_ms_max: 300 });
		await tw.reload();
	});
	after(async () => {
		tw.configure({ head_ms_max: 10_000, body_idle_ms_max: 30_000 });
		await tw.reload();
	});

	it('with its head is given up, however steadily it drips', async () => {
		const seen = seller.requests.length;
		const wire = await connect();
		const drip = setInterval(() => wire.socket.writable && wire.say('X-A: b\r\n'), 20);
		try {
			wire.say('GET /t/echo/drip HTTP/1.1\r\nHost: x\r\n');
			assert.equal((await wire.answer()).status, 408);
			await wire.ended();
		} finally {
			clearInterval(drip);
		}
		assert.equal(heard(seen).length, 0);
	});

	it('with its body is given up, and so is what went upstream', async () => {
		const seen = seller.requests.length;
		const wire = (await connect()).say(head('POST /t/echo/drip HTTP/1.1', 'Content-Length: 10') + 'abc');
		assert.equal((await wire.answer()).status, 408);
		await wire.ended();
		await until('the seller to be told', async () => heard(seen)[0].cut);
		assert.equal(heard(seen)[0].whole, false);
	});

	it('by the hundred keeps nobody else waiting', async () => {
		const slow = await Promise.all(Array.from({ length: 100 }, connect));
		for (const wire of slow)
			wire.say('GET /t/echo/drip HTTP/1.1\r\nHost: x\r\n');
		assert.equal((await tw.call(agent, 'shop', '/paid/0.01')).status, 200);
		for (const wire of slow)
			assert.equal((await wire.answer()).status, 408);
	});
});

describe('afterwards', () => {
	it('a paid call works, and every signature is in the books', async () => {
		const answer = await tw.call(agent, 'shop', '/paid/0.01');
		assert.equal(answer.status, 200, answer.text);
		assert.equal(seller.open, 0);
		assert.ok(seller.requests.every(({ url }) => url.startsWith('/base')));
		const left = bed.seller.record.signatures().length;
		await tw.quiet();
		assert.equal((await tw.payments(agent.name)).length, left);
	});

	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
