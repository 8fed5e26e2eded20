// Who is calling? The token says, and only the token; whoever has none, or a
// bad one, gets 401, costs nothing and reaches nobody.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

let bed;
let tw;
let agent;

before(async () => {
	bed = await startBed();
	tw = await Tallyward.create({ chain: bed.chain, settings: { log_level: 'debug' } });
	await tw.addTool('seller', bed.seller.url);
	agent = await tw.addAgent('buyer', { policy: GENEROUS });
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const parts = () => agent.token.split('.');
const claims = () => JSON.parse(Buffer.from(parts()[1], 'base64url'));
const sign = (signed, secret, hash = 'sha256') =>
	`${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
const forge = (header, payload, secret, hash) =>
	sign(`${encode(header)}.${encode(payload)}`, secret, hash);

/** Expect 401 and that the seller never heard of it. */
async function refused(who, headers) {
	const seen = bed.seller.record.requests.length;
	const answer = await tw.call(who, 'seller', '/paid/0.01', { headers });
	assert.equal(answer.status, 401, answer.text);
	assert.equal(answer.problem.code, 'unauthenticated');
	assert.match(answer.headers['www-authenticate'] ?? 'Bearer', /Bearer/);
	assert.equal(bed.seller.record.requests.length, seen);
	return answer;
}

describe('a token', () => {
	it('that is good is let in', async () => {
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		assert.equal((await tw.me(agent)).agent, 'buyer');
	});

	const BAD = {
		'that is missing': () => null,
		'that is empty': () => ' ',
		'that is not one': () => 'letmein',
		'of dots': () => '..',
		'of many dots': () => '.'.repeat(2000),
		'cut short': () => agent.token.slice(0, -5),
		'without its signature': () => `${parts()[0]}.${parts()[1]}.`,
		'with a byte changed in its claims': () => {
			const text = Buffer.from(parts()[1], 'base64url').toString()
				.replace(/\d(?=\D*$)/, (digit) => (Number(digit) + 1) % 10);
			return `${parts()[0]}.${Buffer.from(text).toString('base64url')}.${parts()[2]}`;
		},
		'with a byte changed in its signature': () =>
			agent.token.slice(0, -3) + (agent.token.at(-3) === 'A' ? 'B' : 'A') + agent.token.slice(-2),
		'with alg none': () => `${encode({ alg: 'none', typ: 'JWT' })}.${parts()[1]}.`,
		'with alg None and the old signature': () => `${encode({ alg: 'None' })}.${parts()[1]}.${parts()[2]}`,
		'without an alg': () => `${encode({ typ: 'JWT' })}.${parts()[1]}.${parts()[2]}`,
		'signed with another secret': () => forge({ alg: 'HS256', typ: 'JWT' }, claims(), randomBytes(32)),
		'signed with an empty secret': () => forge({ alg: 'HS256', typ: 'JWT' }, claims(), ''),
		'signed with HS512': () => forge({ alg: 'HS512', typ: 'JWT' }, claims(), 'secret', 'sha512'),
		'that says RS256': () => `${encode({ alg: 'RS256' })}.${parts()[1]}.${parts()[2]}`,
		'with a claim on a key elsewhere': () =>
			forge({ alg: 'HS256', jku: 'http://127.0.0.1:1/', kid: '../../token.key' }, claims(), 'x'),
		'whose claims are no object': () => forge({ alg: 'HS256' }, [1], 'x'),
		'of 64 KB of junk': () => randomBytes(48 * 1024).toString('base64url'),
		'of 60 KB that nearly is one': () => `${parts()[0]}.${'A'.repeat(60_000)}.${parts()[2]}`,
		'of bytes above ASCII': () => 't\xf6k\xffn',
	};
	for (const [name, make] of Object.entries(BAD))
		it(`${name} is refused`, () => refused(make()));

	it('in another scheme is refused', () =>
		refused(null, { authorization: `Basic ${Buffer.from(agent.token).toString('base64')}` }));

	it('in the query is not looked for', async () => {
		const answer = await send(`${tw.url}/t/seller/paid/0.01?access_token=${agent.token}`);
		assert.equal(answer.status, 401);
	});

	it('sent twice is refused', async () => {
		const answer = await send(`${tw.url}/t/seller/free`, {
			headers: ['Host', 'x', 'Authorization', `Bearer ${agent.token}`, 'Authorization', 'Bearer x'],
		});
		assert.ok([400, 401].includes(answer.status), answer.text);
	});

	it('that has expired is refused', async () => {
		const brief = await tw.must('token', 'issue', 'buyer', '--ttl', '1s');
		assert.ok(Date.parse(brief.expires_at) - Date.now() < 2000);
		await until('the token to expire', async () =>
			(await tw.call(brief, 'seller', '/free')).status === 401);
		await refused(brief);
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200, 'others go on');
	});

	it('that was revoked is refused at once, and after a restart too', async () => {
		const second = await tw.must('token', 'issue', 'buyer');
		assert.equal((await tw.call(second, 'seller', '/free')).status, 200);
		await tw.must('token', 'revoke', second.session);
		await refused(second);
		const listed = (await tw.must('token', 'list', 'buyer')).find((t) => t.session === second.session);
		assert.equal(listed.state, 'revoked');
		await tw.restart();
		await refused(second);
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200);
	});

	it('of another house is refused', async () => {
		const other = await Tallyward.create();
		try {
			const stranger = await other.addAgent('buyer', { usdc: null });
			await refused(stranger);
		} finally {
			await other.close();
		}
	});
});

describe('an agent', () => {
	it('that is suspended may do nothing until it is resumed', async () => {
		await tw.must('agent', 'suspend', 'buyer');
		const seen = bed.seller.record.requests.length;
		const answer = await tw.call(agent, 'seller', '/paid/0.01');
		assert.equal(answer.status, 403);
		assert.equal(answer.problem.code, 'agent_suspended');
		assert.equal(bed.seller.record.requests.length, seen);
		await tw.restart();
		assert.equal((await tw.call(agent, 'seller', '/free')).problem.code, 'agent_suspended');
		await tw.must('agent', 'resume', 'buyer');
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200);
	});

	it('cannot choose its session, its name or its wallet by a header', async () => {
		const before = await tw.limit(agent, 'session', 'total');
		const answer = await tw.call(agent, 'seller', '/paid/0.01', {
			headers: {
				'x-session-id': 'fresh', 'tallyward-session': 'fresh', 'x-agent-id': 'rich',
				'tallyward-agent': 'rich', 'x-forwarded-user': 'owner@example.com',
			},
		});
		assert.equal(answer.status, 200, answer.text);
		const after = await tw.limit(agent, 'session', 'total');
		assert.equal(micros(after.used), micros(before.used) + 10_000n);
	});

	it('may not bring a payment of its own', async () => {
		for (const name of ['PAYMENT-SIGNATURE', 'x-payment', 'Payment-Signature']) {
			const seen = bed.seller.record.requests.length;
			const answer = await tw.call(agent, 'seller', '/paid/0.01', { headers: { [name]: 'eyJ4Ijox' } });
			assert.equal(answer.status, 400, answer.text);
			assert.equal(answer.problem.code, 'agent_payment_header');
			assert.equal(bed.seller.record.requests.length, seen);
		}
	});

	it('sees nothing of another agent', async () => {
		const other = await tw.addAgent('other', { policy: GENEROUS, usdc: '1.00' });
		const me = await tw.me(other);
		assert.equal(me.agent, 'other');
		assert.equal(micros((await tw.limit(other, 'session', 'total')).used), 0n);
		assert.doesNotMatch(JSON.stringify(me), /buyer/);
	});
});

describe('the doors', () => {
	it('health needs no token and gives none away', async () => {
		for (const path of ['/healthz', '/readyz'])
			assert.equal((await send(`${tw.url}${path}`)).status, 200);
	});

	it('who am I needs one', async () => {
		assert.equal((await send(`${tw.url}/v1/me`)).status, 401);
	});

	it("the owner's commands are not on the agents' side", async () => {
		for (const path of ['/command', '/admin', '/metrics', '/v1/agents']) {
			const answer = await send(`${tw.url}${path}`, {
				method: 'POST', body: '{"command":"agent.list"}',
				headers: { authorization: `Bearer ${agent.token}` },
			});
			assert.ok([401, 403, 404, 405].includes(answer.status), `${path}: ${answer.status}`);
		}
	});
});

describe('the log', () => {
	it('has a line for a stranger, and nothing of any token', async () => {
		const stranger = forge({ alg: 'HS256', typ: 'JWT' }, claims(), randomBytes(32));
		const { call } = (await refused(stranger)).problem;
		assert.equal((await tw.call(agent, 'seller', '/free')).status, 200);
		await until('the line', () =>
			tw.daemon.log.includes(`event=unauthenticated call=${call}`) ||
			tw.daemon.log.includes(`event=unauthenticated call="${call}"`));
		for (const token of [stranger, agent.token])
			for (const part of token.split('.').slice(1))
				assert.ok(!tw.daemon.log.includes(part.slice(0, 16)), tw.daemon.log);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
