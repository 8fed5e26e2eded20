// The bed itself: the official client pays the official sellers through the
// official facilitator, and the money moves on the chain.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { registerExactEvmScheme } from '@x402/evm/exact/client';
import { startBed } from './bed/bed.mjs';
import { NETWORK, NETWORK_V1, USDC_DOMAIN_SEPARATOR, newAccount } from './bed/chain.mjs';
import { end, start } from './bed/child.mjs';
import { GOODS, OFFERS, SIGNERS, TAKERS } from './bed/rogue.mjs';
import { freePort, until } from './bed/wait.mjs';
import { streamDigest } from './bed/wares.mjs';

let bed;
let buyer;
let payingFetch;

const receiptOf = (response) => JSON.parse(Buffer.from(
	response.headers.get('payment-response') ?? response.headers.get('x-payment-response'),
	'base64').toString());

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

/** How much the buyer's balance went down by, in atomic units. */
async function spentBy(action) {
	const before = await bed.chain.balanceOf(buyer.address);
	const result = await action();
	return [before - await bed.chain.balanceOf(buyer.address), result];
}

before(async () => {
	bed = await startBed({ v1: true, rogue: true });
	buyer = newAccount();
	await bed.chain.mint(buyer.address, 100_000_000n);
	const client = new x402Client();
	registerExactEvmScheme(client, { signer: buyer });
	payingFetch = wrapFetchWithPayment(fetch, client);
});

after(() => bed.stop());

describe('a free port', () => {
	it('is given once, however many processes ask at the same time', async () => {
		const ask = `import { freePort } from ${JSON.stringify(new URL('bed/wait.mjs', import.meta.url))};
			for (let i = 0; i < 300; i++)
				console.log(await freePort());
			setInterval(() => {}, 1000);`;
		const asking = [1, 2].map(() => start(process.execPath, ['--input-type=module', '-e', ask]));
		const ports = () => asking.flatMap(({ log }) => log.split('\n').slice(0, -1));
		await until('all ports', async () => ports().length >= 600);
		// What is given stays given as long as who asked for it lives.
		const mine = [];
		while (mine.length < 300)
			mine.push(String(await freePort()));
		await Promise.all(asking.map((child) => end(child)));
		assert.equal(new Set([...ports(), ...mine]).size, 900, asking[0].log.slice(-500));
	});
});

describe('the chain', () => {
	it('has USDC at its real address, with its real domain separator', async () => {
		assert.equal(await bed.chain.domainSeparator(), USDC_DOMAIN_SEPARATOR);
	});

	it('moves its clock when told to, and mints', async () => {
		const someone = newAccount().address;
		await bed.chain.mint(someone, 7n);
		assert.equal(await bed.chain.balanceOf(someone), 7n);
	});
});

describe('the version 2 seller', () => {
	it('gives away what is free', async () => {
		const response = await fetch(`${bed.seller.url}/free`);
		assert.equal(response.status, 200);
	});

	it('asks by header, is paid, and sends a receipt of a real transfer', async () => {
		const payee = await bed.chain.balanceOf(bed.seller.payTo);
		const [spent, response] = await spentBy(() => payingFetch(`${bed.seller.url}/paid/0.01`));
		assert.equal(response.status, 200);
		assert.equal(spent, 10_000n);
		assert.equal(await bed.chain.balanceOf(bed.seller.payTo), payee + 10_000n);
		const receipt = receiptOf(response);
		assert.equal(receipt.success, true);
		assert.equal(receipt.network, NETWORK);
		assert.equal(receipt.payer, buyer.address);
		const [{ nonce }] = bed.seller.record.signatures('/paid/0.01');
		const [used] = await bed.chain.authorizationsUsed({ authorizer: buyer.address, nonce });
		assert.equal(used.transaction, receipt.transaction);
	});

	it('tells what body came with the paid attempt', async () => {
		const body = 'a request body '.repeat(1000);
		const response = await payingFetch(`${bed.seller.url}/paid/0.001`, { method: 'POST', body });
		const told = await response.json();
		assert.deepEqual(told.body, { length: body.length, sha256: sha256(body) });
	});

	it('streams', async () => {
		const response = await payingFetch(`${bed.seller.url}/stream/0.01?bytes=3000000`);
		const body = Buffer.from(await response.arrayBuffer());
		assert.equal(sha256(body), streamDigest(3_000_000));
	});

	it('does not settle when its handler fails', async () => {
		const [spent, response] = await spentBy(() => payingFetch(`${bed.seller.url}/broken/0.02`));
		assert.equal(response.status, 500);
		assert.equal(spent, 0n);
		assert.equal(bed.seller.record.signatures('/broken/0.02').length, 1, 'but it holds a signature');
	});

	it('has settled already when an upfront handler fails', async () => {
		const [spent, response] = await spentBy(() => payingFetch(`${bed.seller.url}/upfront-broken/0.02`));
		assert.equal(response.status, 500);
		assert.equal(spent, 20_000n);
		assert.equal(receiptOf(response).success, true);
	});

	it('settles thirty payments side by side', async () => {
		const [spent, responses] = await spentBy(() => Promise.all(
			Array.from({ length: 30 }, () => payingFetch(`${bed.seller.url}/paid/0.01`))));
		assert.ok(responses.every((r) => r.status === 200));
		assert.equal(spent, 300_000n);
	});
});

describe('the version 1 seller', () => {
	it('asks by body and is paid', async () => {
		const unpaid = await fetch(`${bed.sellerV1.url}/paid/0.05`);
		assert.equal(unpaid.status, 402);
		assert.equal(unpaid.headers.get('payment-required'), null);
		assert.equal((await unpaid.json()).x402Version, 1);
		const [spent, response] = await spentBy(() => payingFetch(`${bed.sellerV1.url}/paid/0.05`));
		assert.equal(response.status, 200);
		assert.equal(spent, 50_000n);
		assert.equal(receiptOf(response).network, NETWORK_V1);
	});
});

describe('the facilitator', () => {
	it('refuses when told to, and the money stays', async () => {
		bed.facilitator.misbehave({ how: 'refuse', times: 1 });
		const [spent, response] = await spentBy(() => payingFetch(`${bed.seller.url}/paid/0.01`));
		assert.equal(response.status, 402);
		assert.equal(receiptOf(response).success, false);
		assert.equal(spent, 0n);
	});

	it('can pay and lose the answer: the seller says no, the money is gone', async () => {
		bed.facilitator.misbehave({ how: 'hide', times: 1 });
		const [spent, response] = await spentBy(() => payingFetch(`${bed.seller.url}/paid/0.01`));
		assert.equal(response.status, 402);
		assert.equal(receiptOf(response).success, false);
		assert.equal(receiptOf(response).transaction, '');
		assert.equal(spent, 10_000n);
	});

	it('can say that a settlement is pending', async () => {
		bed.facilitator.misbehave({ how: 'pending' });
		const response = await payingFetch(`${bed.seller.url}/paid/0.01`);
		bed.facilitator.behave();
		assert.equal(response.status, 402);
		assert.equal(receiptOf(response).errorReason, 'settlement_pending');
		assert.match(receiptOf(response).transaction, /^0x[0-9a-f]{64}$/);
	});

	it('says that an authorization was used when it comes a second time', async () => {
		await payingFetch(`${bed.seller.url}/paid/0.01`);
		const { headers } = bed.seller.record.paid('/paid/0.01').at(-1);
		const response = await fetch(`${bed.seller.url}/paid/0.01`, {
			headers: { 'payment-signature': headers['payment-signature'] },
		});
		assert.equal(response.status, 402);
		const again = JSON.parse(Buffer.from(response.headers.get('payment-required'), 'base64'));
		assert.match(again.error, /nonce_already_used/);
	});
});

describe('the rogue seller', () => {
	it('has an honest corner', async () => {
		for (const path of ['/honest', '/v1/honest', '/cheapest-last', '/dual-stack', '/unknown-fields']) {
			const response = await payingFetch(`${bed.rogue.url}${path}`);
			assert.equal(response.status, 200, path);
			assert.equal(receiptOf(response).success, true, path);
			const { transaction } = receiptOf(response);
			const receipt = await bed.chain.client.getTransactionReceipt({ hash: transaction });
			assert.equal(receipt.status, 'success', path);
		}
	});

	it('cashes a signature it gave nothing for, when it likes to', async () => {
		await assert.rejects(payingFetch(`${bed.rogue.url}/reset`));
		const [entry] = bed.rogue.record.paid('/reset');
		const [spent] = await spentBy(() => bed.rogue.settle(entry));
		assert.equal(spent, 10_000n);
	});

	it('answers 402 to every unpaid call for a bad offer', async () => {
		for (const name of [OFFERS, TAKERS, GOODS, SIGNERS].flatMap(Object.keys)) {
			const response = await fetch(`${bed.rogue.url}/${name}`);
			assert.equal(response.status, 402, name);
		}
	});
});
