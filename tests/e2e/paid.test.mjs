// An agent buys things: no key, no payment code, a token and a URL. Both
// versions of the protocol, from the official sellers.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { NETWORK, NETWORK_V1 } from './bed/chain.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros, send } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';
import { streamDigest } from './bed/wares.mjs';

let bed;
let tw;
let agent;

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

const decode = (header) => JSON.parse(Buffer.from(header, 'base64').toString());

/** Requests a seller got while `action` ran. */
async function seenBy(seller, action) {
	const start = seller.record.requests.length;
	const result = await action();
	return [seller.record.requests.slice(start), result];
}

/** Statement rows of one call, once it is over: the answer may come first. */
function rowsOf(answer) {
	const call = answer.headers['tallyward-call'];
	return until('the purchase to be settled in the books', async () => {
		const rows = (await tw.statement('buyer')).filter((row) => row.call === call);
		return rows.length >= 2 && rows;
	});
}

before(async () => {
	bed = await startBed({ v1: true });
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('v2', bed.seller.url);
	await tw.addTool('v1', bed.sellerV1.url);
	await tw.addTool('capped', bed.seller.url, '--price', '0.02');
	agent = await tw.addAgent('buyer', { policy: GENEROUS, usdc: '20.00' });
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

for (const version of [1, 2]) {
	const tool = `v${version}`;
	const seller = () => version === 1 ? bed.sellerV1 : bed.seller;
	const paymentHeader = version === 1 ? 'x-payment' : 'payment-signature';
	const receiptHeader = version === 1 ? 'x-payment-response' : 'payment-response';

	describe(`from a version ${version} seller`, () => {
		it('a GET is paid, and says what it cost', async () => {
			const payee = await bed.chain.balanceOf(seller().payTo);
			const answer = await tw.call(agent, tool, '/paid/0.05');
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.json.seller, tool);
			assert.equal(answer.headers['x-seller'], tool, "the seller's headers come through");
			assert.match(answer.headers['tallyward-call'], /^\d+$/);
			assert.equal(micros(answer.cost), 50_000n);
			assert.equal(answer.payment, 'settled');
			assert.equal(answer.headers['x-policy-allowed'], 'true');
			assert.ok(answer.headers['tallyward-remaining'], 'it says what is left');
			assert.equal(await bed.chain.balanceOf(seller().payTo), payee + 50_000n);
		});

		it('the books hold the purchase: signed, then settled by the receipt', async () => {
			const answer = await tw.call(agent, tool, '/paid/0.01');
			const receipt = decode(answer.headers[receiptHeader]);
			assert.equal(receipt.network, version === 1 ? NETWORK_V1 : NETWORK);
			const rows = await rowsOf(answer);
			assert.deepEqual(rows.map((r) => r.event), ['sign', 'settle']);
			const [sign, settle] = rows;
			for (const row of rows) {
				assert.equal(row.amount, '0.01');
				assert.equal(row.tool, tool);
				assert.equal(row.network, NETWORK);
				assert.ok(Math.abs(Date.parse(row.time) - Date.now()) < 60_000, row.time);
			}
			assert.equal(sign.from, 'wallet/buyer/available');
			assert.equal(sign.to, 'wallet/buyer/open');
			assert.equal(settle.from, 'wallet/buyer/open');
			assert.equal(settle.to, `spent/buyer/${tool}`);
			assert.equal(settle.transaction, receipt.transaction);
			const payment = (await tw.payments('buyer')).find((p) => p.call === sign.call);
			assert.equal(payment.state, 'settled');
			assert.equal(payment.amount, '0.01');
			assert.equal(payment.payee.toLowerCase(), seller().payTo.toLowerCase());
			const [used] = await bed.chain.authorizationsUsed({
				authorizer: agent.address, nonce: payment.nonce,
			});
			assert.equal(used.transaction, receipt.transaction);
		});

		it('the seller is asked once, then paid once, and learns nothing about the agent', async () => {
			const [seen] = await seenBy(seller(), () => tw.call(agent, tool, '/paid/0.01', {
				headers: { 'x-custom': 'kept', te: 'trailers', connection: 'x-hop', 'x-hop': '1' },
			}));
			assert.equal(seen.length, 2);
			const [unpaid, paid] = seen;
			assert.equal(unpaid.header, null);
			assert.ok(paid.headers[paymentHeader]);
			const other = version === 1 ? 'payment-signature' : 'x-payment';
			assert.equal(paid.headers[other], undefined, 'paid in the version of the challenge');
			for (const { headers } of seen) {
				assert.equal(headers.authorization, undefined);
				assert.equal(headers['x-custom'], 'kept');
				assert.equal(headers['x-hop'], undefined);
				assert.equal(headers.host, new URL(seller().url).host);
			}
			assert.equal(paid.payment.payload.authorization.from.toLowerCase(),
				agent.address.toLowerCase());
		});

		it('the signature is short-lived', async () => {
			await tw.call(agent, tool, '/paid/0.01');
			const { validBefore } = seller().record.paid('/paid/0.01').at(-1).payment.payload.authorization;
			const life = Number(validBefore) - Date.now() / 1000;
			assert.ok(life > 10 && life <= 61, `lives ${life} s`);
		});

		it('a POST is replayed with its whole body', async () => {
			const body = JSON.stringify({ prompt: 'a question '.repeat(500) });
			const answer = await tw.call(agent, tool, '/paid/0.01', {
				method: 'POST', body, headers: { 'content-type': 'application/json' },
			});
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.json.method, 'POST');
			assert.deepEqual(answer.json.body, { length: body.length, sha256: sha256(body) });
			assert.equal(answer.json.headers['content-type'], 'application/json');
		});

		it('so is a body too large for memory, of unknown length', async () => {
			const body = randomBytes(6 << 20);
			const answer = await tw.call(agent, tool, '/paid/0.01', {
				method: 'POST', body: Readable.from(function* () {
					for (let at = 0; at < body.length; at += 100_000)
						yield body.subarray(at, at + 100_000);
				}()),
			});
			assert.equal(answer.status, 200, answer.text);
			assert.deepEqual(answer.json.body, { length: body.length, sha256: sha256(body) });
		});

		it('an empty POST and a DELETE work too', async () => {
			for (const method of ['POST', 'PUT', 'DELETE']) {
				const answer = await tw.call(agent, tool, '/paid/0.001', { method });
				assert.equal(answer.status, 200, `${method}: ${answer.text}`);
				assert.equal(answer.json.method, method);
				assert.equal(answer.json.body.length, 0);
			}
		});

		it('what is free stays free: nothing held, nothing booked', async () => {
			const before = await tw.statement('buyer');
			const [seen, answer] = await seenBy(seller(), () => tw.call(agent, tool, '/free'));
			assert.equal(answer.status, 200);
			assert.equal(seen.length, 1);
			assert.equal(answer.payment, undefined);
			assert.equal(micros(answer.cost ?? '0'), 0n);
			assert.equal((await tw.statement('buyer')).length, before.length);
		});

		it('a large answer comes whole', async () => {
			const bytes = 5_000_000;
			const answer = await tw.call(agent, tool, `/stream/0.01?bytes=${bytes}`);
			assert.equal(answer.status, 200);
			assert.equal(answer.body.length, bytes);
			assert.equal(sha256(answer.body), streamDigest(bytes));
		});
	});
}

describe('what the seller asked comes back unchanged', () => {
	it('path and query as they were sent', async () => {
		const target = '/paid/0.01/a%20b/%E2%82%AC;v=1?x=1&x=2&empty=&y=%2F%3F';
		const [seen, answer] = await seenBy(bed.seller, () => tw.call(agent, 'v2', target));
		assert.equal(answer.status, 200, answer.text);
		for (const request of seen)
			assert.equal(request.url, target);
	});

	it('the option it offered, word for word', async () => {
		const [seen] = await seenBy(bed.seller, () => tw.call(agent, 'v2', '/paid/0.01'));
		const unpaid = await send(`${bed.seller.url}/paid/0.01`);
		const { accepts, resource } = decode(unpaid.headers['payment-required']);
		assert.deepEqual(seen[1].payment.accepted, accepts[0]);
		assert.deepEqual(seen[1].payment.resource, resource);
	});
});

describe('the price', () => {
	it('is the cheapest of several options, not the first', async () => {
		const answer = await tw.call(agent, 'v2', '/choice');
		assert.equal(answer.status, 200, answer.text);
		assert.equal(micros(answer.cost), 30_000n);
	});

	it('may not be above what the tool was registered with', async () => {
		const cheap = await tw.call(agent, 'capped', '/paid/0.02');
		assert.equal(cheap.status, 200, cheap.text);
		const signatures = bed.seller.record.signatures('/paid/0.05').length;
		const dear = await tw.call(agent, 'capped', '/paid/0.05');
		assert.equal(dear.status, 403);
		assert.equal(dear.problem.code, 'no_payable_option');
		assert.match(dear.text, /over_declared_price/);
		assert.equal(bed.seller.record.signatures('/paid/0.05').length, signatures);
	});

	it('may be taken before the goods are made, and is then spent if they fail', async () => {
		const good = await tw.call(agent, 'v2', '/upfront/0.02');
		assert.equal(good.status, 200, good.text);
		assert.equal(good.payment, 'settled');
		const bad = await tw.call(agent, 'v2', '/upfront-broken/0.02');
		assert.equal(bad.status, 500, 'the answer comes as it is');
		assert.equal(bad.payment, 'settled');
		assert.deepEqual((await rowsOf(bad)).map((r) => r.event), ['sign', 'settle']);
	});
});

describe('an answer that is read slowly', () => {
	it('waits at the seller, not in the memory of the proxy', async () => {
		const bytes = 96 << 20;
		const resident = () => Number(/VmRSS:\s+(\d+)/.exec(
			fs.readFileSync(`/proc/${tw.daemon.pid}/status`, 'utf8'))[1]) * 1024;
		const before = resident();
		let response;
		const whole = tw.call(agent, 'v2', `/free-stream?bytes=${bytes}`, {
			onHead: (head) => { head.pause(); response = head; },
		});
		await until('the answer to begin', () => response);
		// The seller is stuck when it makes no way over many looks.
		let last = -1;
		let still = 0;
		await until('the seller to be held back', () => {
			still = bed.seller.streamed === last ? still + 1 : 0;
			last = bed.seller.streamed;
			response.pause();
			return still > 20;
		});
		assert.ok(bed.seller.streamed < bytes, 'the seller is still waiting to send the rest');
		assert.ok(resident() - before < 32 << 20, `grew by ${resident() - before} bytes`);
		response.resume();
		assert.equal((await whole).body.length, bytes);
	});
});

describe('afterwards', () => {
	it('the agent can ask who it is and what is left', async () => {
		const me = await tw.me(agent);
		assert.equal(me.agent, 'buyer');
		assert.equal(me.owner, 'owner@example.com');
		assert.equal(me.session, agent.session);
		const session = await tw.limit(agent, 'session', 'total');
		const spent = (await tw.payments('buyer')).reduce((sum, p) => sum + micros(p.amount), 0n);
		assert.equal(micros(session.used), spent);
		assert.equal(micros(session.remaining), micros(session.max) - spent);
	});

	it('the books agree with themselves and with the chain', async () => {
		assert.deepEqual(await tw.payments('buyer', 'open'), []);
		await tw.assertBooks();
	});

	it('and so they do once the daemon is stopped', async () => {
		await tw.stop();
		await tw.assertBooks();
		await tw.start();
	});
});
