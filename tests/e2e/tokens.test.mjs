// Every way a token can be wrong, with and without the house's own secret; and
// that a token is over the moment its owner has been told so.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, sign as signWith } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';

const WORKERS = 4;

let bed;
let tw;
let agent;
let other;
let secret;

before(async () => {
	bed = await startBed();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('seller', bed.seller.url);
	agent = await tw.addAgent('buyer', { policy: GENEROUS });
	other = await tw.addAgent('other', { policy: GENEROUS, usdc: '1.00' });
	secret = fs.readFileSync(path.join(tw.dir, 'token.key'));
	await tw.start('--workers', WORKERS);
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const encode = (value) =>
	Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const claims = () => JSON.parse(Buffer.from(agent.token.split('.')[1], 'base64url'));
const hmac = (signed, key = secret, hash = 'sha256') =>
	createHmac(hash, key).update(signed).digest('base64url');
const HEADER = { alg: 'HS256', typ: 'JWT' };
/** A token with any header and payload, as objects or as text, and a signature that is right. */
const forge = (header, payload, key, hash) => {
	const signed = `${encode(header)}.${encode(payload)}`;
	return `${signed}.${hmac(signed, key, hash)}`;
};
const with_ = (more) => forge(HEADER, { ...claims(), ...more });
const without = (name) => {
	const { [name]: _gone, ...rest } = claims();
	return forge(HEADER, rest);
};
/** Text of the claims, with one of them spelled in a way that JSON.stringify would not. */
const spelled = (name, text) => forge(HEADER,
	JSON.stringify({ ...claims(), [name]: '@' }).replace('"@"', text));

async function refused(headers, target = '/paid/0.01') {
	const seen = bed.seller.record.requests.length;
	const answer = await send(`${tw.url}/t/seller${target}`, { headers });
	assert.equal(answer.status, 401, answer.text);
	assert.equal(answer.problem.code, 'unauthenticated');
	assert.match(answer.headers['www-authenticate'], /^Bearer /);
	assert.equal(bed.seller.record.requests.length, seen);
	return answer;
}
const bearer = (token) => ({ authorization: `Bearer ${token}` });

describe('a token that the house itself might have signed', () => {
	it('is let in when all of it is right', async () => {
		const answer = await tw.call(forge(HEADER, claims()), 'seller', '/free');
		assert.equal(answer.status, 200, answer.text);
	});

	const NOW = Math.floor(Date.now() / 1000);
	const WRONG = {
		...Object.fromEntries(['iss', 'sub', 'owner', 'jti', 'iat', 'nbf', 'exp']
			.map((name) => [`without ${name}`, () => without(name)])),
		...Object.fromEntries(['iss', 'sub', 'owner', 'jti'].flatMap((name) =>
			[null, 7, true, '', ['buyer'], { a: 1 }, 'x'.repeat(300), 'a\0b'].map((value) =>
				[`with ${name} ${JSON.stringify(value).slice(0, 20)}`, () => with_({ [name]: value })]))),
		...Object.fromEntries(['iat', 'nbf', 'exp'].flatMap((name) =>
			[null, true, '', String(NOW), -1, 0, [NOW], { a: NOW }].map((value) =>
				[`with ${name} ${JSON.stringify(value)}`, () => with_({ [name]: value })]))),
		...Object.fromEntries(['iat', 'nbf', 'exp'].flatMap((name) =>
			[`${NOW}.0`, `${NOW}.5`, '1e12', '9007199254740993', '9223372036854775807',
				'9223372036854775808', `-${NOW}`, '1' + '0'.repeat(400), 'NaN', '0x10'].map((text) =>
				[`with ${name} spelled ${text.slice(0, 22)}`, () => spelled(name, text)]))),
		'issued in an hour': () => with_({ iat: NOW + 3600 }),
		'not valid for an hour': () => with_({ nbf: NOW + 3600 }),
		'that expired an hour ago': () => with_({ exp: NOW - 3600 }),
		'of another issuer': () => with_({ iss: 'tallyward.example' }),
		'of an issuer in other case': () => with_({ iss: 'Tallyward' }),
		'of an agent there is not': () => with_({ sub: 'nobody' }),
		'of an agent in other case': () => with_({ sub: 'Buyer' }),
		'of another owner': () => with_({ owner: 'mallory@example.com' }),
		'for an audience': () => with_({ aud: 'elsewhere' }),
		'for an audience of that name': () => with_({ aud: ['tallyward'] }),
		'that says a claim twice': () => forge(HEADER, JSON.stringify(claims()).replace('{', '{"sub":"other",')),
		'that says a claim twice, escaped': () =>
			forge(HEADER, JSON.stringify(claims()).replace('{', '{"s\\u0075b":"other",')),
		'of claims 200 deep': () => with_({ x: JSON.parse('['.repeat(200) + ']'.repeat(200)) }),
		'of claims in an array': () => forge(HEADER, [claims()]),
		'of claims in a text': () => forge(HEADER, JSON.stringify(JSON.stringify(claims()))),
		'of claims with a tail': () => forge(HEADER, `${JSON.stringify(claims())}{}`),
		'of claims with a byte order mark': () => forge(HEADER, `\ufeff${JSON.stringify(claims())}`),
		'of claims that are no UTF-8': () => forge(HEADER,
			Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff]), Buffer.from('"}')]).toString('latin1')),
		'over its size': () => with_({ x: 'y'.repeat(2048) }),
		'with alg none': () => forge({ alg: 'none' }, claims()),
		'with alg HS512, and signed so': () => forge({ alg: 'HS512' }, claims(), secret, 'sha512'),
		'with alg in other case': () => forge({ alg: 'hs256' }, claims()),
		'with alg twice': () => forge('{"alg":"none","alg":"HS256"}', claims()),
		'with alg in a list': () => forge({ alg: ['HS256'] }, claims()),
		'without alg': () => forge({ typ: 'JWT' }, claims()),
		'with crit': () => forge({ ...HEADER, crit: ['exp'] }, claims()),
		'with crit of nothing': () => forge({ ...HEADER, crit: [] }, claims()),
		'with a huge header': () => forge({ ...HEADER, kid: 'k'.repeat(600) }, claims()),
		'of another type': () => forge({ ...HEADER, typ: 'at+jwt' }, claims()),
		'with a header that is no object': () => forge('"HS256"', claims()),
	};
	for (const [name, make] of Object.entries(WRONG))
		it(`is refused ${name}`, () => refused(bearer(make())));

	// The header decides nothing: which key, and where to fetch it, is not the token's to say.
	it('is not read for what its header says of keys', async () => {
		for (const more of [{ kid: '../../../../dev/null' }, { kid: '' }, { kid: 'unknown' },
			{ jku: `${bed.seller.url}/jwks` }, { x5u: `${bed.seller.url}/x5u` }, { jwk: { kty: 'oct', k: '' } }]) {
			assert.equal((await tw.call(forge({ ...HEADER, ...more }, claims()), 'seller', '/free')).status, 200);
			await refused(bearer(forge({ ...HEADER, ...more }, claims(), '')));
			await refused(bearer(forge({ ...HEADER, ...more }, claims(), randomBytes(32))));
		}
		assert.equal(bed.seller.record.at('/jwks').length + bed.seller.record.at('/x5u').length, 0);
	});
});

describe('a token signed with what everybody knows', () => {
	const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
	const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
	const signed = (header) => `${encode(header)}.${encode(claims())}`;
	const asymmetric = (alg, key) => {
		const text = signed({ alg, jwk: key.publicKey.export({ format: 'jwk' }) });
		const mark = signWith('sha256', Buffer.from(text), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
		return `${text}.${mark.toString('base64url')}`;
	};
	const KEYS = {
		'RS256, its key embedded': () => asymmetric('RS256', rsa),
		'ES256, its key embedded': () => asymmetric('ES256', ec),
		'HS256 under an embedded key': () =>
			forge({ ...HEADER, jwk: { kty: 'oct', k: Buffer.alloc(32).toString('base64url') } }, claims(), Buffer.alloc(32)),
		'HS256 under a public key': () => forge(HEADER, claims(), rsa.publicKey.export({ type: 'spki', format: 'pem' })),
		"HS256 under the agent's address": () => forge(HEADER, claims(), agent.address),
		'HS256 under its session': () => forge(HEADER, claims(), agent.session),
		'HS256 under the secret in hexadecimal': () => forge(HEADER, claims(), secret.toString('hex')),
		'HS256 under half of the secret': () => forge(HEADER, claims(), secret.subarray(0, 16)),
	};
	for (const [name, make] of Object.entries(KEYS))
		it(`is refused: ${name}`, () => refused(bearer(make())));
});

describe('a token in another spelling', () => {
	const at = (text, i, change) => text.split('.').map((part, j) => j === i ? change(part) : part).join('.');
	const standard = (part) => Buffer.from(part, 'base64url').toString('base64');
	const flip = (part) => {
		// The last character of a part carries unused bits: another one would decode to the same.
		const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
		return part.slice(0, -1) + letters[letters.indexOf(part.at(-1)) ^ 1];
	};
	/** With "-" or "_" in the part, so that the standard alphabet differs. */
	const odd = (i) => {
		for (let n = 0; ; n++) {
			const token = forge(HEADER, { ...claims(), n: `${n}ÿ>?` });
			if (/[-_]/.test(token.split('.')[i]))
				return token;
		}
	};
	const SPELLINGS = {
		'padded claims': () => at(agent.token, 1, (part) => `${part}${'='.repeat((4 - part.length % 4) % 4) || '===='}`),
		'a padded signature': () => `${agent.token}=`,
		'junk in the signature': () => at(agent.token, 2, (part) => `${part.slice(0, 9)}!${part.slice(9)}`),
		'a blank in the claims': () => at(agent.token, 1, (part) => `${part.slice(0, 9)} ${part.slice(9)}`),
		'the standard alphabet in the claims': () => at(odd(1), 1, standard),
		'the standard alphabet in the signature': () => at(odd(2), 2, standard),
		'other unused bits in the signature': () => at(agent.token, 2, flip),
		'an empty signature': () => at(agent.token, 2, () => ''),
		'a signature cut by a byte': () => at(agent.token, 2, (part) => part.slice(0, -2)),
		'a signature of 16 bytes': () => at(agent.token, 2, (part) => part.slice(0, 22)),
		'a signature with a byte more': () => at(agent.token, 2,
			(part) => Buffer.concat([Buffer.from(part, 'base64url'), Buffer.of(0)]).toString('base64url')),
		'a signature in hexadecimal': () => at(agent.token, 2, (part) => Buffer.from(part, 'base64url').toString('hex')),
		'four segments': () => `${agent.token}.${agent.token.split('.')[2]}`,
		'a last dot': () => `${agent.token}.`,
		'a first dot': () => `.${agent.token}`,
		'five segments, as a JWE has': () => [encode({ alg: 'dir', enc: 'A256GCM' }), '', ...agent.token.split('.')].join('.'),
		'JSON serialization': () => encode(agent.token.split('.')),
		'a list': () => `${agent.token}, ${agent.token}`,
		'quotes': () => `"${agent.token}"`,
	};
	for (const [name, make] of Object.entries(SPELLINGS))
		it(`is refused: ${name}`, () => refused(bearer(make())));

	it('of the scheme is the same token, in whatever case', async () => {
		for (const scheme of ['bearer', 'BEARER', 'Bearer ', 'Bearer    '])
			assert.equal((await tw.call(null, 'seller', '/free', {
				headers: { authorization: `${scheme} ${agent.token}` },
			})).status, 200, scheme);
	});

	it('of the scheme that is none is refused', async () => {
		for (const value of [agent.token, `Bearer${agent.token}`, `Bearer\t${agent.token}`, `Token ${agent.token}`,
			`Bearer Bearer ${agent.token}`, `Basic ${Buffer.from(`x:${agent.token}`).toString('base64')}`, 'Bearer', 'Bearer '])
			await refused({ authorization: value });
	});

	it('is looked for in one header alone', async () => {
		const token = agent.token;
		await refused({ cookie: `token=${token}; access_token=${token}` });
		await refused({ 'proxy-authorization': `Bearer ${token}` });
		await refused({ 'x-api-key': token, 'x-authorization': `Bearer ${token}` });
		await refused({}, `/paid/0.01?access_token=${token}&token=${token}`);
		for (const second of [`Bearer ${token}`, 'Bearer x', ''])
			await refused(['Host', 'x', 'Authorization', `Bearer ${token}`, 'AUTHORIZATION', second]);
	});
});

describe('once the owner has been told', () => {
	const CONNECTIONS = 48;

	/**
	 * Agents call without a pause while `end` is acknowledged. A call that was started after
	 * that is refused, whichever worker has its connection.
	 */
	async function race(token, end, code) {
		let told = false;
		let lateCalls = 0;
		let admitted = 0;
		const failures = [];
		const caller = async () => {
			const keep = new http.Agent({ keepAlive: true, maxSockets: 1 });
			for (let late = 0; late < 20;) {
				const startedLate = told;
				const answer = await ask(keep, token);
				if (startedLate) {
					late++;
					lateCalls++;
					if (answer.code !== code)
						failures.push(`${answer.status} ${answer.text}`);
				} else if (answer.status === 200) {
					admitted++;
				}
			}
			keep.destroy();
		};
		const callers = Array.from({ length: CONNECTIONS }, caller);
		while (admitted < CONNECTIONS * 4)
			await new Promise((resolve) => setImmediate(resolve));
		const answer = await end();
		told = true;
		assert.equal(answer.status, 200, answer.text);
		assert.equal(answer.error, undefined, answer.text);
		await Promise.all(callers);
		assert.deepEqual(failures, []);
		assert.equal(lateCalls, CONNECTIONS * 20);
		assert.ok(admitted > 0);
	}

	function ask(keep, token) {
		return new Promise((resolve, reject) => {
			http.get(`${tw.url}/t/seller/free`, { agent: keep, headers: bearer(token) }, (response) => {
				let text = '';
				response.on('data', (chunk) => { text += chunk; });
				response.on('end', () => resolve({
					status: response.statusCode, text,
					code: response.statusCode === 200 ? null : JSON.parse(text).code,
				}));
			}).on('error', reject);
		});
	}

	it('that a token is revoked, no call with it is admitted', async () => {
		const { token, session } = await tw.must('token', 'issue', 'buyer');
		await race(token, () => tw.command('token.revoke', { session }), 'unauthenticated');
	});

	it('that an agent is suspended, no call of its is admitted', async () => {
		const { token } = await tw.must('token', 'issue', 'other');
		await race(token, () => tw.command('agent.suspend', { agent: 'other' }), 'agent_suspended');
		await tw.must('agent', 'resume', 'other');
	});

	it('calls under way end as they may, and each signature is one that was answered', async () => {
		const { token, session } = await tw.must('token', 'issue', 'buyer');
		// Two first payments to a seller in one block can fail in the token.
		assert.equal((await tw.call(token, 'seller', '/paid/0.01')).status, 200);
		const signatures = bed.seller.record.signatures().length;
		const calls = Array.from({ length: 20 }, () => tw.call(token, 'seller', '/paid/0.01'));
		assert.equal((await tw.command('token.revoke', { session })).status, 200);
		const answers = await Promise.all(calls);
		for (const { status, text } of answers)
			assert.ok([200, 401].includes(status), text);
		assert.equal(bed.seller.record.signatures().length - signatures,
			answers.filter(({ status }) => status === 200).length);
	});
});

describe("another agent's", () => {
	let bought;
	const key = 'the-same-key';

	before(async () => {
		bought = await tw.call(agent, 'seller', '/paid/0.02', { headers: { 'idempotency-key': key } });
		assert.equal(bought.status, 200, bought.text);
		assert.equal((await tw.payments('buyer')).length > 0, true);
	});

	it('session, call, payment and statement are no more there than those that do not exist', async () => {
		const [{ payment, call }] = await tw.payments('buyer');
		const ids = { sessions: agent.session, calls: call, payments: payment, statements: 'buyer', agents: 'buyer' };
		for (const [kind, id] of Object.entries(ids)) {
			const asked = [];
			for (const name of [id, 'nobody-and-nothing'])
				for (const target of [`/v1/${kind}/${name}`, `/v1/${kind}?id=${name}`, `/${kind}/${name}`, `/v1/me/${name}`]) {
					const answer = await send(`${tw.url}${target}`, { headers: bearer(other.token) });
					assert.equal(answer.status, 404, target);
					asked.push(answer.text);
				}
			assert.equal(new Set(asked).size, 1, asked.join('\n'));
		}
	});

	it('session cannot be had by naming it', async () => {
		const plain = await tw.me(other);
		for (const [target, headers] of [
			[`/v1/me?session=${agent.session}&agent=buyer`, {}],
			['/v1/me', { 'tallyward-session': agent.session, 'tallyward-agent': 'buyer', 'x-agent': 'buyer' }],
		]) {
			const answer = await send(`${tw.url}${target}`, { headers: { ...bearer(other.token), ...headers } });
			assert.equal(answer.json.session, plain.session);
			assert.equal(answer.json.agent, 'other');
			assert.doesNotMatch(answer.text, new RegExp(`${agent.session}|buyer`));
		}
	});

	it('session and agent are not told from those that do not exist, by who cannot sign', async () => {
		const forged = (more) => refused(bearer(forge(HEADER, { ...claims(), ...more }, 'a guess')));
		const answers = [];
		for (const more of [{}, { jti: '0'.repeat(32) }, { sub: 'nobody' }, { sub: 'other' }, { exp: 1 }])
			answers.push(await forged(more));
		const said = answers.map(({ problem: { call: _call, ...rest } }) => JSON.stringify(rest));
		assert.equal(new Set(said).size, 1, said.join('\n'));
	});

	it('bought answer is not given out for its Idempotency-Key', async () => {
		const again = await tw.call(agent, 'seller', '/paid/0.02', { headers: { 'idempotency-key': key } });
		assert.equal(again.headers['tallyward-replayed'], 'true');
		const signatures = bed.seller.record.signatures().length;
		const own = await tw.call(other, 'seller', '/paid/0.02', { headers: { 'idempotency-key': key } });
		assert.equal(own.status, 200, own.text);
		assert.equal(own.headers['tallyward-replayed'], undefined);
		assert.notEqual(own.headers['tallyward-call'], bought.headers['tallyward-call']);
		assert.equal(bed.seller.record.signatures().length, signatures + 1, 'it paid for itself');
		assert.equal(micros((await tw.wallet('other')).spent), 20_000n);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
