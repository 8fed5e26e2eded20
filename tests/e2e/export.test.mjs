// The books in other people's tools: hledger reads the export, its assertions
// hold, and it comes to the same balances by its own arithmetic.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startBed } from './bed/bed.mjs';
import { run } from './bed/child.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { Tallyward, micros } from './bed/tallyward.mjs';

let bed;
let tw;
let agent;

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create();
	tw.chain = bed.chain;
	await tw.addTool('seller', bed.seller.url);
	await tw.addTool('rogue', bed.rogue.url);
	await tw.addTool('invoice', bed.seller.url, '--billing', 'metered', '--price', '0.25');
	// A spreadsheet would run an owner's name like this one as a formula.
	agent = await tw.addAgent('buyer', { policy: GENEROUS, owner: '=cmd@example.com', usdc: '5.00' });
	await tw.addAgent('idle', { policy: GENEROUS, usdc: '1.50' });
	await tw.start();
	for (const [tool, path] of [['invoice', '/free'], ['seller', '/paid/0.01'],
		['seller', '/paid/0.001'], ['seller', '/choice'], ['rogue', '/error'], ['rogue', '/silent']])
		await tw.call(agent, tool, path);
	await tw.must('wallet', 'withdraw', 'buyer', '0.50', '--network', 'eip155:84532');
	await tw.quiet();
	const [open] = await tw.payments('buyer', 'open');
	await tw.giveBack(open.payment);
});

after(async () => {
	await tw?.close();
	await bed?.stop();
});

const exported = async (format, ...args) => {
	const { code, stdout, stderr } = await tw.cli('ledger', 'export', ...args, '--format', format);
	assert.equal(code, 0, stderr);
	return stdout;
};

/** A small RFC 4180 reader. */
function parseCsv(text) {
	const rows = [[]];
	for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
		rows.at(-1).push(quoted !== undefined ? quoted.replaceAll('""', '"') : plain);
		if (end !== ',')
			rows.push([]);
	}
	return rows.filter((row) => row.length > 1);
}

const hledger = (journal, ...args) => run('hledger', ['-f', '-', ...args], { input: journal });
const hasHledger = async () => (await run('hledger', ['--version']).catch(() => ({ code: 1 }))).code === 0;

describe('the hledger export', () => {
	it('is accepted, assertions and all', async (t) => {
		if (!await hasHledger())
			return t.skip('hledger is not installed');
		const { code, stderr } = await hledger(await exported('hledger'), 'check');
		assert.equal(code, 0, stderr);
	});

	it('comes to the same balances', async (t) => {
		if (!await hasHledger())
			return t.skip('hledger is not installed');
		const journal = await exported('hledger');
		for (const { name } of tw.agents.values()) {
			const wallet = await tw.wallet(name);
			for (const [part, account] of [
				['available', `^wallet:${name}:available$`], ['open', `^wallet:${name}:open$`],
			]) {
				const { stdout, stderr } = await hledger(journal, 'balance', account,
					'--flat', '--no-total', '--empty', '--output-format', 'csv');
				const [, row] = parseCsv(stdout);
				const amount = /-?\d+(\.\d+)?/.exec((row?.[1] ?? '0').replace(/"[^"]*"/g, ''));
				assert.equal(micros(amount[0]), micros(wallet[part]), `${name} ${part}: ${stdout}${stderr}`);
			}
		}
		const { stdout } = await hledger(journal, 'balance', '--output-format', 'csv');
		assert.match(stdout.trim().split('\n').at(-1), /,"?0"?$/, 'all accounts together come to zero');
	});

	it('of one agent has nothing of another', async () => {
		const journal = await exported('hledger', 'idle');
		assert.match(journal, /idle/);
		assert.doesNotMatch(journal, /buyer/);
	});
});

describe('the CSV export', () => {
	it('has a line for each posting, and each transaction comes to zero', async () => {
		const [head, ...lines] = parseCsv(await exported('csv', 'buyer'));
		const column = (name) => head.indexOf(name);
		assert.ok(column('id') >= 0 && column('account') >= 0 && column('amount') >= 0, head.join());
		assert.equal(lines.length, 2 * (await tw.statement('buyer')).length);
		const sums = new Map();
		for (const line of lines) {
			const amount = line[column('amount')].replace(/^'/, '');
			const value = amount.startsWith('-') ? -micros(amount.slice(1)) : micros(amount);
			sums.set(line[column('id')], (sums.get(line[column('id')]) ?? 0n) + value);
		}
		assert.ok([...sums.values()].every((sum) => sum === 0n));
	});

	it('has no cell that a spreadsheet would run', async () => {
		for (const row of parseCsv(await exported('csv')))
			for (const cell of row)
				assert.doesNotMatch(cell, /^[=+@\t\r]|^-(?!\d)/, cell);
	});
});

describe('the JSON export', () => {
	it('holds every transaction of the statement', async () => {
		const text = await exported('json', 'buyer');
		for (const { id } of await tw.statement('buyer'))
			assert.ok(text.includes(id), id);
		assert.doesNotThrow(() => JSON.parse(text));
	});
});

describe('afterwards', () => {
	it('the books agree with themselves, and differ from the chain by the withdrawal alone', () =>
		// The owner booked a withdrawal; no transfer was made on this chain.
		tw.assertBooks({ drift: { buyer: -500_000n } }));
});
