// Paid, and what came? A tool's delivery check decides; the agent gets the
// answer as it is, and the owner a list of what to claim.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { startBed } from './bed/bed.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { GOODS } from './bed/rogue.mjs';
import { Tallyward } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const SCHEMA_CHECK = {
	status: '2xx',
	contentType: 'application/json',
	schema: {
		type: 'object', required: ['results'],
		properties: {
			results: { type: 'array', items: { type: 'object', properties: { price: { type: 'number' } } } },
		},
	},
};

/** By the check of the tool: what becomes a claim, and why. The others are delivered. */
const CLAIMS = {
	plain: {
		'gives-500': /^its status is 500$/,
		'gives-404': /^its status is 404$/,
		'gives-a-redirect': /^its status is 302$/,
		'gives-half': /^it was cut short$/,
		'gives-half-first': /^it was cut short$/,
	},
	typed: {
		'gives-500': /^its status is 500$/,
		'gives-404': /^its status is 404$/,
		'gives-a-redirect': /^its status is 302$/,
		'gives-half': /^it was cut short$/,
		'gives-half-first': /^it was cut short$/,
		'gives-html': /^its content type is text\/html, not application\/json$/,
		'gives-no-content': /^it has no content type/,
	},
	sized: {
		'gives-500': /^its status is 500$/,
		'gives-404': /^its status is 404$/,
		'gives-a-redirect': /^its status is 302$/,
		'gives-half': /^it was cut short$/,
		'gives-half-first': /^it was cut short$/,
		'gives-nothing': /^its body has 0 bytes, fewer than 16$/,
		'gives-no-content': /^its body has 0 bytes, fewer than 16$/,
		'gives-brotli': /^its body is in the coding br, which cannot be checked$/,
	},
	strict: {
		'gives-500': /^its status is 500$/,
		'gives-404': /^its status is 404$/,
		'gives-a-redirect': /^its status is 302$/,
		'gives-half': /^it was cut short$/,
		'gives-half-first': /^it was cut short$/,
		'gives-html': /^its content type is text\/html/,
		'gives-no-content': /^it has no content type/,
		'gives-nothing': /^its body is not JSON/,
		'gives-half-json': /^its body is not JSON/,
		'gives-other-json': /^its body: results\[0\]\.price: is a string, not a number$/,
		'gives-much': /^its body is larger than the 262144 bytes in which a schema is checked$/,
		'gives-a-bomb': /^its body is larger than the 262144 bytes in which a schema is checked$/,
		'gives-half-gzip': /^its compressed body is cut short$/,
		'gives-brotli': /^its body is in the coding br, which cannot be checked$/,
	},
};

const CHECKS = {
	plain: null,
	typed: { contentType: 'application/json' },
	sized: { minBytes: 16 },
	strict: SCHEMA_CHECK,
};

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create({ chain: bed.chain });
	for (const [name, check] of Object.entries(CHECKS))
		await tw.addTool(name, bed.rogue.url, ...(check
			? ['--delivery', tw.writeFile(`${name}.check.json`, JSON.stringify(check, null, 2))] : []));
	await tw.addTool('seller', bed.seller.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const newAgent = () => tw.addAgent(`agent-${++agents}`, { policy: GENEROUS });

async function buy(agent, tool, path, options) {
	try {
		return await tw.call(agent, tool, path, options);
	} catch (error) {
		return { status: 'torn', text: error.message };
	}
}

const claimsOf = (agent, ...options) => tw.must('ledger', 'claim', agent.name, ...options);

/** The claims once every call of the agent has left its audit row. */
async function claimsAfter(agent, calls) {
	await until('the calls to be written down', async () =>
		(await tw.must('ledger', 'audit', '--agent', agent.name))
			.filter(({ kind }) => kind === 'call').length === calls);
	return claimsOf(agent);
}

for (const [tool, wrong] of Object.entries(CLAIMS))
	describe(`a tool with ${CHECKS[tool] ? `the check ${tool}` : 'no check of its own'}`, () => {
		for (const name of Object.keys(GOODS)) {
			const reason = wrong[name];
			it(`${name}: ${reason ? 'a claim' : 'delivered'}`, async () => {
				const agent = await newAgent();
				const answer = await buy(agent, tool, `/${name}`);
				// The agent sees what the seller sent, no more and no less.
				if (name.startsWith('gives-half') && !name.includes('json') && !name.includes('gzip'))
					assert.equal(answer.status, 'torn');
				else
					assert.equal(answer.status, { 'gives-500': 500, 'gives-404': 404,
						'gives-a-redirect': 302, 'gives-no-content': 204 }[name] ?? 200, answer.text);
				const claims = await claimsAfter(agent, 1);
				assert.equal(claims.length, reason ? 1 : 0, JSON.stringify(claims));
				if (!reason)
					return;
				const [claim] = claims;
				const [payment] = await tw.payments(agent.name);
				assert.match(claim.reason, reason);
				assert.deepEqual(Object.keys(claim), ['call', 'payment', 'time', 'agent', 'tool', 'amount',
					'refunded', 'network', 'symbol', 'payee', 'state', 'reason', 'transaction']);
				for (const key of ['call', 'payment', 'agent', 'tool', 'amount', 'payee', 'state', 'transaction'])
					assert.equal(claim[key], payment[key], key);
				assert.equal(claim.refunded, '0.00');
				assert.equal(claim.symbol, 'USDC');
			});
		}
	});

describe('answers as they pass', () => {
	it('a compressed one reaches the agent compressed', async () => {
		const answer = await buy(await newAgent(), 'strict', '/gives-gzip', {
			headers: { 'accept-encoding': 'gzip, br' },
		});
		assert.equal(answer.headers['content-encoding'], 'gzip');
		assert.equal(JSON.parse(zlib.gunzipSync(answer.body)).results.length, 2);
	});

	it('a large one reaches the agent whole', async () => {
		const answer = await buy(await newAgent(), 'strict', '/gives-much');
		assert.equal(answer.json.filling.length, 300_000);
	});

	it('codings that cannot be read are asked for only where nobody reads', async () => {
		const headers = { 'accept-encoding': 'gzip, br, zstd' };
		const asked = () => bed.rogue.record.at('/gives-json').at(-1).headers['accept-encoding'];
		await buy(await newAgent(), 'strict', '/gives-json', { headers });
		assert.equal(asked(), 'gzip');
		await buy(await newAgent(), 'sized', '/gives-json', { headers });
		assert.equal(asked(), 'gzip');
		await buy(await newAgent(), 'typed', '/gives-json', { headers });
		assert.equal(asked(), 'gzip, br, zstd');
		await buy(await newAgent(), 'plain', '/gives-json', { headers });
		assert.equal(asked(), 'gzip, br, zstd');
	});
});

describe('answers that never came, or that nobody paid for', () => {
	it('a connection that breaks after the payment is a claim, open', async () => {
		const agent = await newAgent();
		await buy(agent, 'plain', '/reset');
		const [claim] = await claimsAfter(agent, 1);
		assert.equal(claim.reason, 'no answer came');
		assert.equal(claim.state, 'open');
		assert.equal(claim.transaction, null);
	});

	it('so is a payment that the seller says it did not take', async () => {
		const agent = await newAgent();
		await buy(agent, 'plain', '/rejects');
		const [claim] = await claimsAfter(agent, 1);
		assert.equal(claim.reason, 'its status is 402');
	});

	it('what was refused, free or never signed is none', async () => {
		const agent = await newAgent();
		await buy(agent, 'plain', '/free');
		await buy(agent, 'strict', '/not-x402');
		await buy(agent, 'plain', '/domain-name');
		await buy(agent, 'seller', '/no-such-ware');
		assert.deepEqual(await claimsAfter(agent, 4), []);
	});

	it('an agent that hangs up has nothing to claim', async () => {
		const agent = await newAgent();
		const stop = new AbortController();
		bed.rogue.gate.close();
		const call = buy(agent, 'plain', '/hang', { signal: stop.signal });
		await until('the payment to arrive', async () => bed.rogue.record.paid('/hang').length === 1);
		stop.abort();
		await call;
		bed.rogue.gate.open();
		assert.deepEqual(await claimsAfter(agent, 1), []);
	});

	it('the official seller delivers', async () => {
		const agent = await newAgent();
		const answer = await buy(agent, 'seller', '/paid/0.01', { method: 'POST', body: 'x' });
		assert.equal(answer.payment, 'settled');
		assert.deepEqual(await claimsAfter(agent, 1), []);
	});
});

describe('a claim', () => {
	for (const [how, headers] of [['with a key', { 'idempotency-key': 'one-purchase' }], ['without one', {}]])
		it(`ends when the same call ${how} gets what was paid for`, async () => {
			const agent = await newAgent();
			const options = { headers };
			assert.equal((await buy(agent, 'strict', '/gives-half-first?later', options)).status, 'torn');
			const [claim] = await claimsAfter(agent, 1);
			assert.equal(claim.reason, 'it was cut short');
			const again = await buy(agent, 'strict', '/gives-half-first?later', options);
			assert.equal(again.status, 200, again.text);
			assert.equal(again.json.results.length, 2);
			assert.deepEqual(await claimsAfter(agent, 2), []);
			assert.deepEqual(await claimsOf(agent, '--all'), []);
			assert.equal((await tw.payments(agent.name)).length, 1, 'one purchase');
		});

	it('ends when the seller has paid it back in full', async () => {
		const agent = await newAgent();
		await buy(agent, 'plain', '/gives-500');
		const [{ payment }] = await claimsAfter(agent, 1);
		await tw.must('payment', 'refund', payment, '--amount', '0.004', '--yes');
		assert.equal((await claimsOf(agent))[0].refunded, '0.004');
		await tw.must('payment', 'refund', payment, '--amount', '0.006', '--yes');
		assert.deepEqual(await claimsOf(agent), []);
		assert.equal((await claimsOf(agent, '--all'))[0].refunded, '0.01');
		// The money is on paper only; the chain's books are made to agree.
		await bed.chain.mint(agent.address, 10_000n);
	});

	it('ends when the payment turns out to be unused', async () => {
		const agent = await newAgent();
		await buy(agent, 'plain', '/rejects');
		const [{ payment }] = await claimsAfter(agent, 1);
		await tw.giveBack(payment);
		assert.deepEqual(await claimsOf(agent), []);
		assert.equal((await claimsOf(agent, '--all'))[0].state, 'resolved');
	});

	it('is listed for all agents together, oldest first', async () => {
		const all = await tw.must('ledger', 'claim');
		assert.ok(all.length > 20);
		assert.deepEqual(all.map(({ time }) => time), all.map(({ time }) => time).sort());
		assert.ok(new Set(all.map(({ agent }) => agent)).size > 10);
		assert.equal(new Set(all.map(({ payment }) => payment)).size, all.length);
	});

	it('of an agent that is not there is an error', async () => {
		const { code, stderr } = await tw.cli('ledger', 'claim', 'nobody');
		assert.equal(code, 5);
		assert.match(stderr, /there is no agent nobody/);
	});
});

describe('the check of a tool', () => {
	const add = (...args) => tw.cli('tool', 'add', ...args);
	const file = (text) => tw.writeFile('bad.check.json', text);

	it('is shown with the tool', async () => {
		assert.deepEqual((await tw.must('tool', 'show', 'strict')).delivery, SCHEMA_CHECK);
		const tools = await tw.must('tool', 'list');
		assert.deepEqual(tools.find(({ tool }) => tool === 'sized').delivery, { minBytes: 16 });
		assert.equal(tools.find(({ tool }) => tool === 'plain').delivery, null);
	});

	for (const [text, words] of [
		['{\n  "statsu": [200]\n}', /:2: statsu: unknown key "statsu"; did you mean "status"\?/],
		['{"schema": {\n"properties": {"a": {\n"pattern": "x"}}}}', /:3: schema\.properties\.a\.pattern: "pattern" is not supported/],
		['{"contentType": "*/*"}', /:1: contentType: must be a type/],
		['[]', /:1: must be an object/],
		['', /:1: /],
		['{"status": [200]', /:1: /],
	])
		it(`that says ${JSON.stringify(text)} is refused`, async () => {
			const { code, stderr } = await add('bad', 'https://bad.example', '--delivery', file(text));
			assert.equal(code, 1, stderr);
			assert.match(stderr, words);
			assert.equal((await tw.cli('tool', 'show', 'bad')).code, 5, 'nothing was added');
		});

	it('that cannot be read is refused', async () => {
		const { code, stderr } = await add('bad', 'https://bad.example', '--delivery', '/nonexistent');
		assert.equal(code, 1);
		assert.match(stderr, /could not read the delivery check/);
	});

	it('of a metered tool is refused: it is not paid here', async () => {
		const { code, stderr } = await add('bad', 'https://bad.example', '--billing', 'metered',
			'--price', '0.01', '--delivery', file('{}'));
		assert.equal(code, 2, stderr);
		assert.match(stderr, /metered/);
	});

	it('does not outlive its tool', async () => {
		await tw.addTool('short', bed.rogue.url, '--delivery', file('{"minBytes": 1000000}'));
		await tw.must('tool', 'remove', 'short');
		await tw.addTool('short', bed.rogue.url);
		assert.equal((await tw.must('tool', 'show', 'short')).delivery, null);
		const agent = await newAgent();
		await buy(agent, 'short', '/gives-json');
		assert.deepEqual(await claimsAfter(agent, 1), []);
	});

	it('and the claims are there after a restart', async () => {
		// The chain may settle an open one meanwhile.
		const claims = async () => (await tw.must('ledger', 'claim')).map(
			({ state: _state, transaction: _transaction, ...claim }) => claim);
		const before = await claims();
		assert.ok(before.length > 10);
		await tw.restart();
		assert.deepEqual(await claims(), before);
		assert.deepEqual((await tw.must('tool', 'show', 'strict')).delivery, SCHEMA_CHECK);
		assert.equal((await tw.must('tool', 'show', 'short')).delivery, null);
		const agent = await newAgent();
		await buy(agent, 'strict', '/gives-other-json');
		assert.equal((await claimsAfter(agent, 1)).length, 1);
	});
});

describe('when all is done', () => {
	it('the books agree', () => tw.assertBooks());
});
