// Sellers that lie about price, payee, asset, chain, time and place, and
// agents that try to reach where they may not. Nothing is signed for any of it.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { NETWORK } from './bed/chain.mjs';
import { policyOf, spend } from './bed/policies.mjs';
import { MALFORMED, OFFERS, OFFERS_V1, STRANGER } from './bed/rogue.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { freePort, until } from './bed/wait.mjs';

let bed;
let tw;
let agent;
let agents = 0;

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('deep', `${bed.rogue.url}/free`);
	agent = await newAgent();
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

/** A policy that would allow anything the seller asks, were it honest. */
function newAgent(payment) {
	const policy = policyOf(spend('agent', 'call', '5.00'), spend('session', 'total', '5.00'));
	return tw.addAgent(`agent-${++agents}`, { policy: payment ? { ...policy, payment } : policy });
}

/** Whatever was tried: nothing left the house and nothing was booked. */
async function nothingSigned(path, by) {
	assert.equal(bed.rogue.record.paid(path.split('?')[0]).length, 0, 'no payment left');
	assert.deepEqual(await tw.payments(by.name), []);
	const { used } = await tw.limit(by, 'session', 'total');
	assert.equal(micros(used), 0n, 'nothing is held any more');
}

/** Why each bad offer is dropped. */
const REASONS = {
	'other-asset': /unknown_asset/,
	'lookalike-18-decimals': /unknown_asset/,
	'asset-not-an-address': /unknown_asset/,
	'same-asset-on-other-chain': /unknown_asset/,
	'unknown-chain': /unknown_asset|unsupported_network/,
	'solana': /unsupported_network/,
	'payee-not-an-address': /bad_payee/,
	'payee-too-short': /bad_payee/,
	'payee-zero': /bad_payee/,
	'domain-name': /domain_mismatch/,
	'domain-version': /domain_mismatch/,
	'amount-negative': /bad_amount/,
	'amount-plus': /bad_amount/,
	'amount-fractional': /bad_amount/,
	'amount-exponential': /bad_amount/,
	'amount-hex': /bad_amount/,
	'amount-blank': /bad_amount/,
	'amount-empty': /bad_amount/,
	// Well-formed, but more money than there is in the world.
	'amount-78-digits': /bad_amount|insufficient_funds|over_call_limit/,
	'amount-2-to-256': /bad_amount/,
	'amount-79-digits': /bad_amount/,
	'amount-wraps-64-bits': /bad_amount|insufficient_funds|over_call_limit/,
	'timeout-one-year': /bad_timeout/,
	'timeout-zero': /bad_timeout/,
	'timeout-negative': /bad_timeout/,
	'timeout-fractional': /bad_timeout/,
	'unknown-scheme': /unsupported_scheme/,
	'unknown-payment-flow': /unsupported_flow/,
	'unknown-transfer-method': /unsupported_transfer/,
	'resource-on-other-host': /resource_mismatch/,
};

for (const version of [2, 1])
	describe(`an offer in version ${version} with`, () => {
		for (const name of version === 1 ? OFFERS_V1 : Object.keys(OFFERS))
			it(`${name} is refused, with the reason`, async () => {
				const path = version === 1 ? `/v1/${name}` : `/${name}`;
				const buyer = await newAgent();
				const answer = await tw.call(buyer, 'rogue', path);
				assert.equal(answer.status, 403, answer.text);
				assert.match(answer.problem.code, /^(no_payable_option|over_call_limit|insufficient_funds)$/);
				assert.match(answer.text, REASONS[name]);
				await nothingSigned(path, buyer);
			});
	});

describe('a challenge that cannot be read:', () => {
	for (const name of Object.keys(MALFORMED))
		it(`${name} buys nothing`, async () => {
			const buyer = await newAgent();
			const answer = await tw.call(buyer, 'rogue', `/${name}`).catch((error) => error);
			// Refused, passed on as the plain 402 it is, or not understood at all;
			// which of them depends on where the reading stopped.
			assert.ok([402, 403, 502].includes(answer.status), `${answer.status} ${answer.text ?? answer}`);
			assert.equal(answer.payment, undefined);
			await nothingSigned(`/${name}`, buyer);
		});

	it('and the daemon is as well as before', async () => {
		assert.equal((await send(`${tw.url}/readyz`)).status, 200);
		assert.equal((await tw.call(agent, 'rogue', '/free')).status, 200);
	});
});

describe('a 402 that is no x402', () => {
	for (const name of ['not-x402', 'not-x402-json'])
		it(`reaches the agent as it is: ${name}`, async () => {
			const direct = await send(`${bed.rogue.url}/${name}`);
			const buyer = await newAgent();
			const answer = await tw.call(buyer, 'rogue', `/${name}`);
			assert.equal(answer.status, 402);
			assert.equal(answer.text, direct.text);
			assert.equal(answer.headers['content-type'], direct.headers['content-type']);
			await nothingSigned(`/${name}`, buyer);
		});
});

describe('a redirect before payment', () => {
	it('to another host goes to the agent and is not followed', async () => {
		const answer = await tw.call(agent, 'rogue', '/redirect-out');
		assert.equal(answer.status, 302);
		assert.equal(answer.headers.location, `${bed.rogue.elsewhere.url}/trap`);
		assert.equal(bed.rogue.elsewhere.record.requests.length, 0);
	});

	for (const name of ['redirect-in', 'redirect-in-relative'])
		it(`inside the base can be followed by the agent: ${name}`, async () => {
			const answer = await tw.call(agent, 'rogue', `/${name}`);
			assert.equal(answer.status, 302);
			const target = new URL(answer.headers.location, `${tw.url}/t/rogue/${name}`);
			assert.equal(target.pathname + target.search, '/t/rogue/free?from=redirect');
			assert.equal(target.host, new URL(tw.url).host);
		});
});

describe('of several options', () => {
	const CHOICES = [['/cheapest-last', '0.02'], ['/cheapest-is-trap', '0.03']];
	for (const [path, price] of CHOICES)
		it(`${path}: the cheapest that may be paid is taken, ${price}`, async () => {
			const buyer = await newAgent();
			const answer = await tw.call(buyer, 'rogue', path);
			assert.equal(answer.status, 200, answer.text);
			assert.equal(micros(answer.cost), micros(price));
			assert.equal(answer.payment, 'settled');
		});
});

describe('honest sellers with odd habits are paid:', () => {
	for (const path of ['/resource-other-path', '/dual-stack', '/nulls', '/unknown-fields'])
		it(path, async () => {
			const answer = await tw.call(await newAgent(), 'rogue', path);
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.payment, 'settled');
		});

	it('and fields from the future come back as they were', async () => {
		await tw.call(await newAgent(), 'rogue', '/unknown-fields');
		const { accepted } = bed.rogue.record.paid('/unknown-fields').at(-1).payment;
		assert.equal(accepted.futureField, true);
		assert.deepEqual(accepted.extra.tier, { gold: [1, 2.5, 'é'] });
	});
});

describe("the owner's word on what may be signed:", () => {
	const refusal = async (payment, reason) => {
		const buyer = await newAgent(payment);
		const paid = bed.rogue.record.paid('/honest').length;
		const answer = await tw.call(buyer, 'rogue', '/honest');
		assert.equal(answer.status, 403, answer.text);
		assert.equal(answer.problem.code, 'no_payable_option');
		assert.match(answer.text, reason);
		assert.equal(bed.rogue.record.paid('/honest').length, paid);
	};

	it('a payee off the list', () => refusal({ payees: [STRANGER] }, /payee_not_allowed/));
	it('a network off the list', () => refusal({ networks: ['eip155:8453'] }, /network_not_allowed/));
	it('an asset off the list', () => refusal({ assets: ['EURC'] }, /asset_not_allowed/));

	it('and one that is on all lists is paid', async () => {
		const buyer = await newAgent({
			payees: [bed.rogue.payTo], networks: [NETWORK], assets: ['USDC'], maxAuthorizationSeconds: 30,
		});
		const answer = await tw.call(buyer, 'rogue', '/honest');
		assert.equal(answer.status, 200, answer.text);
		const { validBefore } = bed.rogue.record.paid('/honest').at(-1).payment.payload.authorization;
		assert.ok(Number(validBefore) - Date.now() / 1000 <= 31, 'and lives no longer than allowed');
	});

	it("a payee is pinned: the tool's first is the only one after", async () => {
		const buyer = await newAgent({ pinPayee: true });
		assert.equal((await tw.call(buyer, 'rogue', '/honest')).status, 200);
		const honest = bed.rogue.payTo;
		bed.rogue.payTo = STRANGER;
		const answer = await tw.call(buyer, 'rogue', '/honest');
		bed.rogue.payTo = honest;
		assert.equal(answer.status, 403, answer.text);
		assert.match(answer.text, /payee_changed/);
		assert.equal((await tw.payments(buyer.name)).length, 1);
	});

	it('a payee who could not be sent a payment is not the first', async () => {
		const buyer = await newAgent({ pinPayee: true });
		const honest = bed.rogue.payTo;
		bed.rogue.payTo = STRANGER;
		// As much as may be asked with, but for less than a payment takes.
		const answer = await tw.call(buyer, 'rogue', '/honest', { headers: { filling: 'x'.repeat(130_200) } });
		bed.rogue.payTo = honest;
		assert.equal(answer.status, 400, answer.text);
		assert.match(answer.problem.detail, /no room for the payment/);
		const paid = await tw.call(buyer, 'rogue', '/honest');
		assert.equal(paid.status, 200, paid.text);
		assert.equal((await tw.payments(buyer.name)).length, 1);
	});
});

describe('an agent that reaches too far', () => {
	/** Bytes as they are, past every client library's good manners. */
	const raw = (text) => new Promise((resolve, reject) => {
		const socket = net.connect(new URL(tw.url).port, '127.0.0.1', () => socket.end(text));
		let answer = '';
		socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
		socket.on('data', (chunk) => { answer += chunk; });
		socket.on('error', (error) => answer ? resolve(answer) : reject(error));
		socket.on('close', () => resolve(answer));
	});
	const head = (line, ...more) =>
		[line, 'Host: x', `Authorization: Bearer ${agent.token}`, ...more, '', ''].join('\r\n');

	it("cannot climb out of a tool's base", async () => {
		for (const path of ['/t/deep/../honest', '/t/deep/%2e%2e/honest', '/t/deep/..%2fhonest', '/t/deep/x/../../honest']) {
			const seen = bed.rogue.record.requests.length;
			await raw(head(`GET ${path} HTTP/1.1`, 'Connection: close'));
			for (const { path: asked } of bed.rogue.record.requests.slice(seen))
				assert.match(asked, /^\/free/, `${path} became ${asked}`);
		}
	});

	it('cannot name another host', async () => {
		for (const line of [
			`GET ${bed.rogue.elsewhere.url}/trap HTTP/1.1`,
			`CONNECT ${new URL(bed.rogue.elsewhere.url).host} HTTP/1.1`,
			`GET /t/rogue/@${new URL(bed.rogue.elsewhere.url).host}/trap HTTP/1.1`,
			`GET /t/rogue//${new URL(bed.rogue.elsewhere.url).host}/trap HTTP/1.1`,
		])
			await raw(head(line, 'Connection: close'));
		assert.equal(bed.rogue.elsewhere.record.requests.length, 0);
	});

	const SMUGGLED = {
		'both lengths': ['POST /t/rogue/smuggled HTTP/1.1', 'Content-Length: 4', 'Transfer-Encoding: chunked'],
		'two lengths': ['POST /t/rogue/smuggled HTTP/1.1', 'Content-Length: 4', 'Content-Length: 5'],
		'a length that is none': ['POST /t/rogue/smuggled HTTP/1.1', 'Content-Length: +4'],
		'a folded header': ['GET /t/rogue/smuggled HTTP/1.1', 'X-A: b\r\n c'],
		'a space before the colon': ['GET /t/rogue/smuggled HTTP/1.1', 'X-A : b'],
		'a NUL': ['GET /t/rogue/smuggled HTTP/1.1', 'X-A: \0'],
	};
	for (const [name, [line, ...headers]] of Object.entries(SMUGGLED))
		it(`cannot smuggle a request with ${name}`, async () => {
			const answer = await raw(head(line, ...headers));
			assert.match(answer, /^HTTP\/1\.1 400 /, answer.slice(0, 200));
			assert.equal(bed.rogue.record.at('/smuggled').length, 0);
		});

	it('cannot hide a payment header in odd spelling', async () => {
		for (const name of ['PAYMENT-SIGNATURE', 'pAyMeNt-sIgNaTuRe', 'X-Payment']) {
			const answer = await raw(head('GET /t/rogue/hidden HTTP/1.1', `${name}: x`, 'Connection: close'));
			assert.match(answer, /^HTTP\/1\.1 400 /, answer.slice(0, 200));
			assert.equal(bed.rogue.record.at('/hidden').length, 0);
		}
	});
});

describe('a seller that is not there', () => {
	it('is said to be unreachable, and the hold is given back', async () => {
		await tw.addTool('gone', `http://127.0.0.1:${await freePort()}`);
		const answer = await tw.call(agent, 'gone', '/paid');
		assert.equal(answer.status, 502, answer.text);
		assert.equal(answer.problem.code, 'upstream_unreachable');
		await until('the hold to be gone', async () =>
			micros((await tw.limit(agent, 'session', 'total')).used) === 0n);
	});
});

describe('a challenge that a web server has compressed', () => {
	it('is read and paid', async () => {
		const answer = await tw.call(agent, 'rogue', '/v1/compressed', { headers: { 'accept-encoding': 'gzip' } });
		assert.equal(answer.status, 200, answer.text);
		assert.equal(answer.cost, '0.01');
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
