// No limit is ever crossed, whatever its scope and window, and a refused call
// costs nothing and reaches nobody's cash desk.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { calls, policyOf, spend } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';

let bed;
let tw;
let agents = 0;

before(async () => {
	bed = await startBed();
	tw = await Tallyward.create({ chain: bed.chain });
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('other', bed.seller.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

/** An agent of its own for each case, so that no case sees another's totals. */
const agentWith = (policy, options = {}) => tw.addAgent(`agent-${++agents}`, { policy, ...options });

/** Distinct authorizations of one agent that reached the seller. */
const signaturesOf = (agent) => bed.seller.record.signatures().filter(
	({ from }) => from.toLowerCase() === agent.address.toLowerCase());

/** Each limit allows two calls at 0.01; the third is refused. */
const SPEND_LIMITS = [
	['session', 'total', 403, 'over_session_limit'],
	['agent', 'total', 403, 'over_total_limit'],
	['agent', 'minute', 429, 'over_minute_limit'],
	['agent', 'hour', 429, 'over_hour_limit'],
	['agent', 'day', 429, 'over_day_limit'],
	['agent', 'month', 429, 'over_month_limit'],
	['wallet', 'day', 429, 'over_day_limit'],
	['tool:seller', 'day', 429, 'over_day_limit'],
	['tool:sell*', 'hour', 429, 'over_hour_limit'],
];

describe('a spend limit', () => {
	for (const [scope, window, status, code] of SPEND_LIMITS)
		it(`of ${scope} per ${window} lets two of three through`, async () => {
			const agent = await agentWith(policyOf(
				spend('agent', 'call', '0.01'), spend(scope, window, '0.025')));
			for (let i = 0; i < 2; i++) {
				const answer = await tw.call(agent, 'seller', '/paid/0.01');
				assert.equal(answer.status, 200, answer.text);
			}
			const refused = await tw.call(agent, 'seller', '/paid/0.01');
			assert.equal(refused.status, status, refused.text);
			const { problem } = refused;
			assert.equal(problem.code, code);
			assert.match(problem.rule, new RegExp(`${scope.split(':')[0]}.*${window}`));
			assert.equal(problem.remaining, '0.005');
			assert.match(String(problem.call), /^\d+$/);
			if (status === 429) {
				assert.ok(Number(refused.headers['retry-after']) > 0, 'says when to come back');
				assert.ok(Date.parse(problem.resets_at) > Date.now(), problem.resets_at);
			}
			assert.equal(signaturesOf(agent).length, 2);
		});

	it('per call refuses the dear and lets the cheap pass', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.05')));
		const dear = await tw.call(agent, 'seller', '/paid/0.06');
		assert.equal(dear.status, 403);
		assert.equal(dear.problem.code, 'over_call_limit');
		assert.equal(micros(dear.problem.requested), 60_000n);
		assert.equal(signaturesOf(agent).length, 0);
		const fair = await tw.call(agent, 'seller', '/paid/0.05');
		assert.equal(fair.status, 200, fair.text);
	});

	it('per payee counts what one payee gets', async () => {
		const agent = await agentWith(policyOf(
			spend('agent', 'call', '0.01'), spend(`payee:${bed.seller.payTo}`, 'day', '0.02')));
		for (const tool of ['seller', 'other'])
			assert.equal((await tw.call(agent, tool, '/paid/0.01')).status, 200);
		const refused = await tw.call(agent, 'other', '/paid/0.01');
		assert.equal(refused.status, 429);
		assert.equal(refused.problem.code, 'over_day_limit');
		assert.equal(signaturesOf(agent).length, 2);
	});

	it('of one tool leaves the other alone', async () => {
		const agent = await agentWith(policyOf(
			spend('agent', 'call', '0.01'), spend('tool:seller', 'day', '0.01')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 429);
		assert.equal((await tw.call(agent, 'other', '/paid/0.01')).status, 200);
	});

	it('of a session begins anew with a new session; that of the agent does not', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.01'),
			spend('session', 'total', '0.01'), spend('agent', 'day', '0.02')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).problem.code, 'over_session_limit');
		const second = await tw.must('token', 'issue', agent.name);
		assert.notEqual(second.session, agent.session);
		assert.equal((await tw.call(second, 'seller', '/paid/0.01')).status, 200);
		const third = await tw.must('token', 'issue', agent.name);
		assert.equal((await tw.call(third, 'seller', '/paid/0.01')).problem.code, 'over_day_limit');
	});

	it('holds when the owner lowers it under way', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.01'), spend('agent', 'day', '1.00')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).status, 200);
		await tw.setPolicy(agent.name, policyOf(spend('agent', 'day', '0.01')));
		assert.equal((await tw.call(agent, 'seller', '/paid/0.01')).problem.code, 'over_day_limit');
	});
});

describe('the wallet', () => {
	it('is a limit of its own', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '1.00')), { usdc: '0.03' });
		assert.equal((await tw.call(agent, 'seller', '/paid/0.02')).status, 200);
		const refused = await tw.call(agent, 'seller', '/paid/0.02');
		assert.equal(refused.status, 403, refused.text);
		assert.match(refused.text, /insufficient_funds/);
		assert.equal(signaturesOf(agent).length, 1);
	});

	it('that is empty pays nothing', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '1.00')), { usdc: '0' });
		assert.equal((await tw.call(agent, 'seller', '/paid/0.001')).status, 403);
		assert.equal(signaturesOf(agent).length, 0);
	});
});

describe('two hundred calls at once against a budget for ten', () => {
	for (const perCall of ['0.01', '0.05'])
		it(`ten are paid when a call may cost up to ${perCall}`, async () => {
			const agent = await agentWith(policyOf(
				spend('agent', 'call', perCall), spend('session', 'total', '0.10')));
			const answers = await Promise.all(Array.from({ length: 200 },
				() => tw.call(agent, 'seller', '/paid/0.01')));
			const paid = answers.filter((a) => a.status === 200);
			assert.equal(paid.length, 10);
			for (const answer of answers)
				if (answer.status !== 200)
					assert.match(String(answer.status), /^(403|429|503)$/, answer.text);
			assert.equal(signaturesOf(agent).length, 10, 'ten signatures left the house');
			assert.equal(await bed.chain.balanceOf(agent.address), 9_900_000n);
			const { used, remaining } = await tw.limit(agent, 'session', 'total');
			assert.equal(micros(used), 100_000n);
			assert.equal(micros(remaining), 0n);
		});

	it('ten are paid when the wallet is the limit', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.05')), { usdc: '0.10' });
		const answers = await Promise.all(Array.from({ length: 200 },
			() => tw.call(agent, 'seller', '/paid/0.01')));
		assert.equal(answers.filter((a) => a.status === 200).length, 10);
		assert.equal(signaturesOf(agent).length, 10);
		assert.equal(await bed.chain.balanceOf(agent.address), 0n);
	});

	it('a burst of free calls is not refused for money that nobody will spend', async () => {
		const agent = await agentWith(policyOf(
			spend('agent', 'call', '0.05'), spend('session', 'total', '0.05')));
		const answers = await Promise.all(Array.from({ length: 30 },
			() => tw.call(agent, 'seller', '/free')));
		assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
	});
});

describe('a rate limit', () => {
	it('counts calls by the minute, paid or free', async () => {
		const agent = await agentWith(policyOf(
			spend('agent', 'call', '0.01'), calls('agent', 'minute', 3)));
		for (const path of ['/free', '/paid/0.01', '/free'])
			assert.equal((await tw.call(agent, 'seller', path)).status, 200);
		const refused = await tw.call(agent, 'seller', '/free');
		assert.equal(refused.status, 429);
		assert.equal(refused.problem.code, 'rate_limited');
		const wait = Number(refused.headers['retry-after']);
		// Rounded up, so that who waits so long is not refused again.
		assert.ok(wait > 0 && wait <= 61, `retry after ${wait} s`);
	});

	it('is not outrun by a burst', async () => {
		const agent = await agentWith(policyOf(
			spend('agent', 'call', '0.01'), calls('agent', 'hour', 7)));
		const answers = await Promise.all(Array.from({ length: 40 },
			() => tw.call(agent, 'seller', '/free')));
		assert.equal(answers.filter((a) => a.status === 200).length, 7);
		assert.equal(answers.filter((a) => a.status === 429).length, 33);
	});

	it('works as people write it: budget, tools, rateLimit', async () => {
		const agent = await agentWith({
			agentId: `agent-${agents + 1}`,
			owner: 'owner@example.com',
			budget: { sessionLimitCents: 500, maxPerCallCents: 2, dailyLimitCents: 3 },
			tools: { allowlist: ['sell*'], blocklist: ['other'] },
			rateLimit: { callsPerMinute: 5, callsPerHour: 200 },
		});
		assert.equal((await tw.call(agent, 'seller', '/paid/0.05')).problem.code, 'over_call_limit');
		assert.equal((await tw.call(agent, 'other', '/free')).problem.code, 'tool_denied');
		assert.equal((await tw.call(agent, 'seller', '/paid/0.02')).status, 200);
		assert.equal((await tw.call(agent, 'seller', '/paid/0.02')).problem.code, 'over_day_limit');
	});
});

describe('a rule', () => {
	it('that blocks wins over one that allows, and nothing is sent', async () => {
		const agent = await agentWith({
			tools: { allowlist: ['*'], blocklist: ['other'] }, limits: [spend('agent', 'call', '0.01')],
		});
		const seen = bed.seller.record.requests.length;
		const refused = await tw.call(agent, 'other', '/free');
		assert.equal(refused.status, 403);
		assert.equal(refused.problem.code, 'tool_denied');
		assert.equal(bed.seller.record.requests.length, seen);
	});

	it('an empty allowlist allows nothing', async () => {
		const agent = await agentWith({ tools: { allowlist: [] } });
		assert.equal((await tw.call(agent, 'seller', '/free')).problem.code, 'tool_denied');
		assert.deepEqual((await tw.me(agent)).tools, []);
	});

	it('a tool nobody registered is not found', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.01')));
		const answer = await tw.call(agent, 'nothing', '/free');
		assert.equal(answer.status, 404);
		assert.equal(answer.problem.code, 'unknown_tool');
	});
});

describe('the policy file', () => {
	it('is refused with the place and the nearest word when a key is unknown', async () => {
		const file = tw.writeFile('bad.json', '{\n  "tools": {\n    "alowlist": ["*"]\n  }\n}\n');
		const { code, stderr } = await tw.cli('policy', 'check', file);
		assert.equal(code, 1);
		assert.match(stderr, /line 3|:3:/);
		assert.match(stderr, /allowlist/);
	});

	it('that is bad leaves the good one in force', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.01')));
		const { code } = await tw.cli('policy', 'set', agent.name, tw.writeFile('bad.json', '{"x":1}'));
		assert.notEqual(code, 0);
		assert.equal((await tw.call(agent, 'seller', '/paid/0.02')).problem.code, 'over_call_limit');
	});

	it('explains a call before it is made', async () => {
		const agent = await agentWith(policyOf(spend('agent', 'call', '0.01')));
		const no = await tw.cli('policy', 'explain', agent.name, 'seller', '--price', '0.02');
		assert.equal(no.code, 0, 'a refusal is an answer');
		assert.equal(no.json.allowed, false);
		assert.equal(no.json.code, 'over_call_limit');
		const yes = await tw.must('policy', 'explain', agent.name, 'seller', '--price', '0.01');
		assert.equal(yes.allowed, true);
	});
});

describe('afterwards', () => {
	it('the books agree with themselves and with the chain', () => tw.assertBooks());
});
