// One call as one file: made while the daemon runs and while it does not, checked in an empty
// folder, by another program too, and found out whenever it was touched. And the anchors that
// make it worth something: against a ledger somebody rewrote or cut off.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createEIP712OfferReceiptIssuer } from '@x402/extensions/offer-receipt';
import { startBed } from './bed/bed.mjs';
import { checkBundle } from './bed/bundle.mjs';
import { devAccount } from './bed/chain.mjs';
import { end, run, start } from './bed/child.mjs';
import { GENEROUS, policyOf, spend } from './bed/policies.mjs';
import { startSigningSeller } from './bed/sellers.mjs';
import { Tallyward, send } from './bed/tallyward.mjs';
import { freePort, until } from './bed/wait.mjs';

let bed;
let tw;
let agent;
/** Where nothing of tallyward's is. */
let elsewhere;

/** How the token's own contract names itself to signers. */
const USDC_DOMAIN = { name: 'USDC', version: '2' };

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

const buy = async (target = '/paid/0.05', options) => {
	const answer = await tw.call(agent, 'seller', target, options);
	await tw.quiet();
	return { answer, call: answer.headers['tallyward-call'] };
};

/** The bundle of a call; its rows may be on their way when the answer comes. */
const bundleOf = (call) => until('the call to be over', async () => {
	const { code, stdout } = await tw.cli('dispute', call);
	return code === 0 && JSON.parse(stdout).facts.times.finished_at && stdout;
});

const check = async (file, ...options) => {
	const result = await run(tw.program, ['dispute', '--verify', file, '--json', ...options],
		{ cwd: elsewhere, env: { TALLYWARD_DIR: path.join(elsewhere, 'nothing') } });
	return { ...result, report: result.stdout ? JSON.parse(result.stdout) : null };
};

const save = (name, text) => {
	const file = path.join(elsewhere, name);
	fs.writeFileSync(file, text);
	return file;
};

before(async () => {
	bed = await startBed({ rogue: true });
	elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-elsewhere-'));
	tw = await Tallyward.create({ settings: { anchor_s: 1 } });
	tw.chain = bed.chain;
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('rogue', bed.rogue.url);
	agent = await tw.addAgent('buyer', { policy: GENEROUS, usdc: '20.00' });
	await tw.start();
});

after(async () => {
	await tw?.close();
	await bed?.stop();
	fs.rmSync(elsewhere, { recursive: true, force: true });
});

describe('a bundle', () => {
	it('holds in an empty folder, and says what it proves', async () => {
		const { answer, call } = await buy('/paid/0.05?q=1', {
			method: 'POST', body: 'what I ask for', headers: { 'content-type': 'text/plain' },
		});
		assert.equal(answer.status, 200, answer.text);
		const text = await bundleOf(call);
		const { code, report, stderr } = await check(save('paid.json', text));
		assert.deepEqual(report.problems, []);
		assert.equal(code, 0, stderr);
		assert.equal(report.ok, true);
		assert.equal(report.call, call);
		assert.match(report.installation, /^0x[0-9a-fA-F]{40}$/);
		assert.ok(report.proves.some((words) => words.includes('signed the authorization of $0.05')));
		assert.ok(report.cannot_prove.some((words) => words.includes('another history')));
		assert.deepEqual(fs.readdirSync(elsewhere), ['paid.json'], 'checking leaves nothing behind');
	});

	it('says who, what, how much, by which rule, and what came', async () => {
		const body = 'what I ask for';
		const { answer, call } = await buy('/paid/0.02?q=1', { method: 'POST', body });
		const { facts } = JSON.parse(await bundleOf(call));
		assert.equal(facts.call, call);
		assert.equal(facts.who.agent, 'buyer');
		assert.equal(facts.who.owner, 'owner@example.com');
		assert.equal(facts.who.session, agent.session);
		assert.equal(facts.who.address, agent.address);
		assert.equal(facts.tool.url, bed.seller.url);
		assert.equal(facts.request.method, 'POST');
		assert.equal(facts.request.url, `${bed.seller.url}/paid/0.02?q=1`);
		assert.equal(facts.request.sha256, sha256(body));
		assert.equal(facts.decision.allowed, true);
		assert.equal(facts.decision.price, '0.02');
		assert.equal(facts.policy.of, 'agent');
		assert.deepEqual(JSON.parse(facts.policy.policy), GENEROUS);
		assert.equal(facts.sent_at.length, 1);
		assert.equal(facts.answer.status, 200);
		assert.equal(facts.answer.sha256, sha256(answer.body));
		const [payment] = facts.payments;
		assert.equal(payment.payer, agent.address);
		assert.equal(payment.payee.toLowerCase(), bed.seller.payTo.toLowerCase());
		assert.equal(payment.value, '20000');
		assert.equal(JSON.parse(payment.challenge).x402Version, 2);
		assert.equal(payment.states.at(-1).state, 'settled');
		assert.equal(JSON.parse(payment.states.at(-1).receipt).success, true);
		assert.deepEqual(facts.journal.map(({ event }) => event), ['sign', 'settle']);
	});

	it('says why the other options were not taken', async () => {
		const { call } = await buy('/choice');
		const { facts } = JSON.parse(await bundleOf(call));
		assert.deepEqual(facts.options.map(({ amount, reason }) => [amount, reason]),
			[['90000', 'not_cheapest'], ['50000', 'not_cheapest'], ['30000', 'taken']]);
	});

	it('is checked by another program from its description', async () => {
		const { call } = await buy('/paid/0.03');
		const bundle = await checkBundle(await bundleOf(call), USDC_DOMAIN);
		assert.ok(bundle.rows.length >= 8);
		const { installation } = await tw.must('ledger', 'verify');
		assert.equal(bundle.installation, installation);
	});

	it('says whether the seller has signed what it offered and took', async () => {
		const payee = devAccount(1);
		const issuer = createEIP712OfferReceiptIssuer(payee.address, (data) => payee.signTypedData(data));
		const signing = await startSigningSeller(bed.facilitator.url, issuer);
		await tw.addTool('signing', signing.url);
		const answer = await tw.call(agent, 'signing', '/paid/0.01');
		await signing.stop();
		assert.equal(answer.status, 200, answer.text);
		const text = await bundleOf(answer.headers['tallyward-call']);
		const [payment] = JSON.parse(text).facts.payments;
		assert.deepEqual(payment.offer_signed_by_seller, { state: 'valid', signer: payee.address });
		assert.deepEqual(payment.receipt_signed_by_seller, { state: 'valid', signer: payee.address });
		const { report } = await check(save('signed.json', text));
		assert.equal(report.ok, true);
		assert.equal(report.proves.filter((words) => words.startsWith("the payee's key signed")).length, 2);
	});

	it('of a refused call has no payment, and the rule that refused it', async () => {
		const miser = await tw.addAgent('miser', { policy: policyOf(spend('agent', 'call', '0.01')) });
		const answer = await tw.call(miser, 'seller', '/paid/0.50');
		assert.equal(answer.status, 403);
		const text = await bundleOf(answer.headers['tallyward-call']);
		const { facts } = await checkBundle(text, USDC_DOMAIN);
		assert.equal(facts.decision.code, 'over_call_limit');
		assert.ok(facts.decision.rule);
		assert.deepEqual(facts.payments, []);
		assert.equal((await check(save('refused.json', text))).code, 0);
	});

	it('under the default policy shows that', async () => {
		const plain = await tw.addAgent('plain', { policy: null });
		const answer = await tw.call(plain, 'seller', '/free');
		const { facts } = JSON.parse(await bundleOf(answer.headers['tallyward-call']));
		assert.equal(facts.policy.of, 'default');
		assert.deepEqual(JSON.parse(facts.policy.policy),
			JSON.parse(fs.readFileSync(path.join(tw.dir, 'policy.json'), 'utf8')));
	});

	it('of a seller that took the money and ran shows what was resolved', async () => {
		await tw.call(agent, 'rogue', '/reset').catch(() => null);
		const [payment] = await until('the payment to be open', async () => {
			const open = await tw.payments('buyer', 'open');
			return open.length === 1 && open;
		});
		await tw.giveBack(payment.payment);
		const text = await bundleOf(payment.call);
		const { facts } = await checkBundle(text, USDC_DOMAIN);
		assert.deepEqual(facts.payments[0].states.map(({ state }) => state), ['open', 'resolved_unused']);
		assert.ok(facts.also.some(({ by, command }) => by === 'owner' && command === 'payment resolve'));
		assert.equal((await check(save('resolved.json', text))).code, 0);
	});

	it('is written into a file that was not there, for its owner alone', async () => {
		const { call } = await buy();
		const file = path.join(elsewhere, 'out.json');
		const written = await tw.must('dispute', call, '--output', file);
		assert.deepEqual(written, { call, file });
		assert.equal(fs.statSync(file).mode & 0o777, 0o600);
		assert.equal((await check(file)).code, 0);
		const again = await tw.cli('dispute', call, '--output', file);
		assert.equal(again.code, 1);
		assert.match(again.stderr, /--force/);
		await tw.must('dispute', call, '--output', file, '--force');
	});

	it('is the same when no daemon runs, for a call nobody had anchored', async () => {
		const { call } = await buy();
		const running = await bundleOf(call);
		await tw.kill();
		const stopped = await bundleOf(call);
		assert.equal(stopped, running);
		await tw.start();
		const { call: last } = await buy();
		await bundleOf(last);
		await tw.kill();
		assert.equal((await check(save('last.json', await bundleOf(last)))).code, 0);
		await tw.start();
	});

	it('of a call that never was is not found', async () => {
		const { code, stderr } = await tw.cli('dispute', '1');
		assert.equal(code, 5);
		assert.match(stderr, /there is no call 1/);
		assert.equal((await tw.cli('dispute', 'x')).code, 2);
		assert.equal((await tw.cli('dispute')).code, 2);
		assert.equal((await check(path.join(elsewhere, 'no-such-file'))).code, 5);
	});
});

describe('a bundle somebody touched', () => {
	let text;

	before(async () => {
		text = await bundleOf((await buy('/paid/0.04')).call);
	});

	const changed = [
		['the price', (t) => t.replaceAll('"0.04"', '"0.05"')],
		['the payee in the facts', (t) => t.replace(/("payee": "0x)[0-9a-fA-F]{4}/, '$1abcd')],
		['a blank', (t) => t.replace('"format": ', '"format":  ')],
		['its last newline', (t) => t.slice(0, -1)],
		['more at its end', (t) => `${t}\n`],
		['a row taken out', (t) => {
			const bundle = JSON.parse(t);
			bundle.rows.pop();
			return `${JSON.stringify(bundle, null, 2)}\n`;
		}],
		['nothing at all', () => ''],
		['another JSON', () => '{"format": "tallyward-dispute-1"}\n'],
	];
	for (const [what, change] of changed)
		it(`does not hold: ${what}`, async () => {
			const { code, report, stderr } = await check(save('changed.json', change(text)));
			assert.equal(code, 1, stderr);
			assert.equal(report.ok, false);
			assert.ok(report.problems.length > 0);
			assert.deepEqual(report.proves, []);
		});

	it('is held against the installation and the anchors one knows', async () => {
		const file = save('whole.json', text);
		const { installation } = JSON.parse(text);
		const kept = save('kept.anchors', fs.readFileSync(path.join(tw.dir, 'anchors')));
		const good = await check(file, '--installation', installation, '--anchors', kept);
		assert.equal(good.code, 0, good.stderr);
		assert.ok(!good.report.cannot_prove.some((words) => words.includes('another history')));
		const other = await check(file, '--installation', agent.address);
		assert.equal(other.code, 1);
		assert.match(other.report.problems[0], /^installation: /);
		const lines = fs.readFileSync(kept, 'utf8').trimEnd().split('\n');
		const number = JSON.parse(JSON.parse(text).anchors.at(-1)).anchor;
		const without = save('without.anchors', lines.filter((l) => JSON.parse(l).anchor !== number).join('\n'));
		assert.match((await check(file, '--anchors', without)).report.problems[0], /is not in /);
		const bent = save('bent.anchors',
			lines.map((l) => l.replace(/"root":"./g, '"root":"0')).join('\n'));
		assert.equal((await check(file, '--anchors', bent)).code, 1);
		assert.equal((await check(file, '--anchors', path.join(elsewhere, 'none'))).code, 1);
		assert.equal((await check(file, '--installation', '0x12')).code, 2);
	});
});

describe('anchors', () => {
	const anchorFile = () => path.join(tw.dir, 'anchors');
	const verify = (...options) => tw.cli('ledger', 'verify', ...options);

	it('are made while rows are written, and at a stop', async () => {
		await buy();
		const { anchors } = await tw.verify();
		assert.ok(anchors > 0);
		await tw.stop();
		const { anchors: later, anchored_at: at } = await tw.verify();
		assert.ok(later >= anchors);
		assert.ok(at);
		assert.equal(fs.readFileSync(anchorFile(), 'utf8').trimEnd().split('\n').length, later);
		await tw.start();
	});

	it('a copy kept elsewhere, and a single head, are found again', async () => {
		const { head, audit_head: auditHead } = await tw.verify();
		const kept = save('copy.anchors', fs.readFileSync(anchorFile()));
		await buy();
		const { code, json } = await verify('--head', head, '--audit-head', auditHead, '--anchors', kept);
		assert.deepEqual(json.problems, []);
		assert.equal(code, 0);
		assert.equal((await verify('--head', '12'.repeat(32))).code, 1);
		assert.equal((await verify('--head', 'x')).code, 2);
		assert.equal((await verify('--anchors', path.join(elsewhere, 'none'))).code, 5);
	});

	it('tell of a ledger whose end was cut off, and no payment is signed over it', async () => {
		await tw.stop();
		const file = path.join(tw.dir, 'ledger.db');
		const whole = fs.readFileSync(file);
		await tw.start();
		await buy();
		await tw.stop();
		const later = fs.readFileSync(file);
		fs.writeFileSync(file, whole);
		const { code, json } = await verify();
		assert.equal(code, 1);
		assert.ok(json.problems.some((p) => p.includes('restored backup')), json.problems.join('\n'));
		// Nobody knows what was signed since: so nothing more is.
		const [port, admin] = [await freePort(), await freePort()];
		const daemon = start(tw.program, ['serve', '--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`],
			{ cwd: tw.home, env: { TALLYWARD_DIR: tw.dir } });
		const url = `http://127.0.0.1:${port}`;
		await until('it to say why', async () => /lacks its newest rows/.test((await send(`${url}/readyz`)).text));
		const answer = await send(`${url}/t/seller/paid/0.01`, { headers: { authorization: `Bearer ${agent.token}` } });
		assert.equal(answer.status, 503, answer.text);
		assert.equal(answer.problem.code, 'not_accepting_payments');
		await end(daemon, 'SIGKILL');
		fs.writeFileSync(file, later);
		fs.rmSync(`${file}-wal`, { force: true });
		fs.rmSync(`${file}-shm`, { force: true });
		await tw.start();
		await tw.verify();
	});
});
