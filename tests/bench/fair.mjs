// Fairness: one agent that behaves, alone and beside a thousand whose every call
// is refused. Reported as a ratio of the agent to itself; nothing is asserted
// about time, but that every call of its was answered 200.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { end, start } from '../e2e/bed/child.mjs';
import { policyOf, spend } from '../e2e/bed/policies.mjs';
import { Tallyward } from '../e2e/bed/tallyward.mjs';
import { freePort } from '../e2e/bed/wait.mjs';
import { check, counts, failed } from './check.mjs';
import { rate } from './figures.mjs';
import { loadByWrk } from './load.mjs';
import { startSeller } from './stub.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({ options: {
	fair: { type: 'boolean' }, short: { type: 'boolean' }, rounds: { type: 'string' }, seconds: { type: 'string' },
} });
const seconds = Number(options.seconds ?? (options.short ? 1 : 3));
const rounds = Number(options.rounds ?? (options.short ? 1 : 5));
const AGENTS = options.short ? 50 : 1000;
const CONNECTIONS = options.short ? 50 : 1000;

/** What the thousand do: each call is refused, for one of these reasons. */
const REFUSED = {
	'denied by the policy': (token) => ['/t/denied/x', token],
	'over a limit': (token) => ['/t/seller/paid', token],
	'with a bad token': (token) => ['/t/seller/free', `${token.slice(0, -4)}AAAA`],
	'of no tool': (token) => ['/t/none/x', token],
};

function startHammer(tw, tokens, reason) {
	const lines = tokens.map((token) => REFUSED[reason](token).join(' '));
	const file = path.join(tw.home, 'hammer.txt');
	fs.writeFileSync(file, lines.join('\n') + '\n');
	return start('wrk', ['--threads', '1', '--connections', String(CONNECTIONS), '--duration', '3600s',
		'--timeout', '60s', '--script', path.join(here, 'hammer.lua'), tw.url], {
		env: { HAMMER: file },
	});
}

async function hammered(hammer) {
	const ending = await end(hammer, 'SIGINT');
	assert.equal(ending.error, undefined);
	return JSON.parse(hammer.log.trim().split('\n').at(-1));
}

async function measure(tw, agent, kind) {
	return loadByWrk(`${tw.url}/t/seller/${kind}`, {
		connections: 1, seconds, pids: [tw.daemon.pid], token: agent.token,
	});
}

/** Lowest, middle and highest. */
function spread(values) {
	const list = [...values].sort((a, b) => a - b).map((value) => value.toFixed(2));
	return `${list[list.length >> 1]} (${list[0]} to ${list.at(-1)})`;
}

function report(found) {
	const lines = [
		`One agent, one call after the other, beside ${AGENTS} whose every call is refused, over ${CONNECTIONS} ` +
			`connections; ${rounds} rounds of ${seconds} s; each figure is the agent beside them over the agent alone.`, '',
		'| calls | beside those | rate | p50 | p99 | refusals/s |', '|---|---|--:|--:|--:|--:|',
	];
	for (const kind of ['free', 'paid'])
		for (const reason of Object.keys(REFUSED)) {
			const of = found.filter((one) => one.kind === kind && one.reason === reason);
			lines.push(`| ${kind} | ${reason} | ${spread(of.map(({ alone, beside }) => rate(beside) / rate(alone)))} | ` +
				['p50', 'p99'].map((key) => spread(of.map(({ alone, beside }) => beside[key] / alone[key]))).join(' | ') +
				` | ${Math.round(Math.max(...of.map(({ storm }) => rate(storm))))} |`);
		}
	return `${lines.join('\n')}\n`;
}

let seller;
const tw = await Tallyward.create();
try {
	const port = await freePort();
	await tw.addTool('seller', `http://127.0.0.1:${port}`);
	await tw.addTool('denied', `http://127.0.0.1:${port}`);
	const good = await tw.addAgent('good', { policy: policyOf(spend('agent', 'day', '90000')), usdc: '90000' });
	seller = await startSeller(tw.home, good.address, port);
	await tw.start();
	const tokens = [];
	const policy = { tools: { allowlist: ['seller'] }, limits: [spend('agent', 'day', '0.00')] };
	for (let i = 0; i < AGENTS; i++)
		tokens.push((await tw.addAgentLive(`bad-${i}`, policy)).token);
	const found = [];
	for (let round = 1; round <= rounds; round++)
		for (const kind of ['free', 'paid'])
			for (const reason of Object.keys(REFUSED)) {
				// Alone each time: a machine is not as fast at noon as at one.
				const alone = await measure(tw, good, kind);
				const hammer = startHammer(tw, tokens, reason);
				const beside = await measure(tw, good, kind);
				const storm = await hammered(hammer);
				check(`${kind}, alone: nothing but 200`, () => assert.equal(alone.failed, 0));
				check(`${kind}, beside ${reason}: nothing but 200`, () => assert.equal(beside.failed, 0));
				check(`${reason}: all refused, and not none`, () =>
					assert.ok(storm.admitted === 0 && storm.calls > 0));
				found.push({ kind, reason, alone, beside, storm });
				process.stderr.write(`round ${round}: ${kind}, beside those ${reason}: ` +
					`${(rate(beside) / rate(alone)).toFixed(2)} of ${Math.round(rate(alone))}/s\n`);
			}
	process.stdout.write(report(found));
	const { json } = await tw.cli('ledger', 'verify');
	check('ledger verify', () => assert.equal(json?.ok, true));
} catch (error) {
	failed(error);
} finally {
	await tw.close().catch(failed);
	await seller?.stop();
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
