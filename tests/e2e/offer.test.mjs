// What a seller signs about a sale is kept and checked, and an owner may insist
// on it. The signing sellers are the official ones with the official extension;
// those that sign something else are the rogue's.

import assert from 'node:assert/strict';
import { createECDH, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
	createEIP712OfferReceiptIssuer, createJWSOfferReceiptIssuer,
} from '@x402/extensions/offer-receipt';
import { startBed } from './bed/bed.mjs';
import { devAccount, devKey } from './bed/chain.mjs';
import { GENEROUS } from './bed/policies.mjs';
import { startSigningSeller } from './bed/sellers.mjs';
import { Tallyward } from './bed/tallyward.mjs';
import { until } from './bed/wait.mjs';

const PAYEE = 1;
const KID = 'did:web:seller.example#key-1';

/** Compact JWS by a secp256k1 key, as a wallet would sign it. */
function es256k(index) {
	const d = Buffer.from(devKey(index).slice(2), 'hex');
	const ecdh = createECDH('secp256k1');
	ecdh.setPrivateKey(d);
	const point = ecdh.getPublicKey();
	const key = createPrivateKey({ format: 'jwk', key: {
		kty: 'EC', crv: 'secp256k1', d: d.toString('base64url'),
		x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url'),
	} });
	return createJWSOfferReceiptIssuer(KID, {
		kid: KID, format: 'jws', algorithm: 'ES256K',
		sign: async (bytes) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url'),
	});
}

function edDSA() {
	const { privateKey } = generateKeyPairSync('ed25519');
	return createJWSOfferReceiptIssuer(KID, {
		kid: KID, format: 'jws', algorithm: 'EdDSA',
		sign: async (bytes) => sign(null, bytes, privateKey).toString('base64url'),
	});
}

const eip712 = (index) => createEIP712OfferReceiptIssuer(
	devAccount(index).address, (data) => devAccount(index).signTypedData(data));

/** The official seller with the official extension, by who signs how. */
const SELLERS = {
	'eip712': { issuer: eip712(PAYEE), state: 'valid', signer: devAccount(PAYEE).address },
	'eip712-with-hash': {
		issuer: eip712(PAYEE), includeTxHash: true, state: 'valid', signer: devAccount(PAYEE).address,
	},
	'jws': { issuer: es256k(PAYEE), state: 'valid', signer: devAccount(PAYEE).address },
	'jws-with-hash': {
		issuer: es256k(PAYEE), includeTxHash: true, state: 'valid', signer: devAccount(PAYEE).address,
	},
	'eip712-as-another': { issuer: eip712(8), state: 'wrong_signer', signer: devAccount(8).address },
	'jws-as-another': { issuer: es256k(8), state: 'wrong_signer', signer: null },
	'jws-eddsa': { issuer: edDSA(), state: 'unsupported', signer: null },
};

/** The rogue's: what its offer and its receipt turn out to be. */
const ROGUES = {
	'signs': ['valid', 'valid'],
	'signs-as-stranger': ['wrong_signer', 'wrong_signer'],
	'signs-for-less': ['mismatch', 'valid'],
	'signs-for-another-host': ['mismatch', 'mismatch'],
	'signs-too-late': ['expired', 'mismatch'],
	'signs-for-another-payer': ['valid', 'mismatch'],
	'signs-another-transaction': ['valid', 'mismatch'],
	'honest': ['absent', 'absent'],
};

let bed;
let tw;
let agents = 0;
const sellers = new Map();

before(async () => {
	bed = await startBed({ rogue: true });
	tw = await Tallyward.create({ chain: bed.chain });
	for (const [name, { issuer, includeTxHash }] of Object.entries(SELLERS)) {
		const seller = await startSigningSeller(bed.facilitator.url, issuer, { includeTxHash });
		sellers.set(name, seller);
		await tw.addTool(name, seller.url);
	}
	await tw.addTool('plain', bed.seller.url);
	await tw.addTool('rogue', bed.rogue.url);
	await tw.start();
});

after(async () => {
	await tw?.close();
	for (const seller of sellers.values())
		await seller.stop();
	await bed?.stop();
});

const newAgent = (payment) => tw.addAgent(`agent-${++agents}`, {
	policy: payment ? { ...GENEROUS, payment } : GENEROUS,
});

/** `payment show` of an agent's one payment, once its call is over. */
async function shown(agent) {
	const payment = await until('the outcome to be written down', async () => {
		const [only, ...more] = await tw.payments(agent.name);
		assert.equal(more.length, 0);
		return only.state !== 'signed' && only;
	});
	return tw.must('payment', 'show', payment.payment);
}

describe('the official extension', () => {
	for (const [name, { state, signer }] of Object.entries(SELLERS))
		it(`${name}: offer and receipt are ${state}`, async () => {
			const agent = await newAgent();
			const answer = await tw.call(agent, name, '/paid/0.01');
			assert.equal(answer.status, 200, answer.text);
			assert.equal(answer.payment, 'settled');
			const payment = await shown(agent);
			for (const kind of ['offer', 'receipt']) {
				assert.equal(payment[kind].state, state, JSON.stringify(payment[kind]));
				assert.equal(payment[kind].signer, signer);
				assert.equal(payment[kind].reason === null, state === 'valid');
			}
			// What was checked is what is kept.
			const { offers } = JSON.parse(payment.challenge).extensions['offer-receipt'].info;
			assert.equal(offers.length, 1);
			const { receipt } = JSON.parse(payment.states.at(-1).receipt).extensions['offer-receipt'].info;
			assert.equal(receipt.format, offers[0].format);
		});

	it('without it both are absent, and the payment is as good', async () => {
		const agent = await newAgent();
		const answer = await tw.call(agent, 'plain', '/paid/0.01');
		assert.equal(answer.payment, 'settled');
		const payment = await shown(agent);
		assert.deepEqual([payment.offer.state, payment.receipt.state], ['absent', 'absent']);
	});

	it('the option that was taken is the one whose offer counts', async () => {
		const agent = await newAgent();
		const answer = await tw.call(agent, 'eip712', '/choice');
		assert.equal(answer.status, 200, answer.text);
		const payment = await shown(agent);
		assert.equal(payment.amount, '0.03');
		assert.equal(payment.offer.state, 'valid');
		const { offers } = JSON.parse(payment.challenge).extensions['offer-receipt'].info;
		assert.equal(offers.length, 3);
	});
});

for (const version of [2, 1])
	describe(`a version ${version} seller who signs`, () => {
		for (const [name, [offer, receipt]] of Object.entries(ROGUES))
			it(`${name}: the offer is ${offer}, the receipt ${receipt}`, async () => {
				const agent = await newAgent();
				const answer = await tw.call(agent, 'rogue', version === 1 ? `/v1/${name}` : `/${name}`);
				assert.equal(answer.payment, 'settled', answer.text);
				const payment = await shown(agent);
				assert.equal(payment.offer.state, offer, JSON.stringify(payment.offer));
				assert.equal(payment.receipt.state, receipt, JSON.stringify(payment.receipt));
			});
	});

describe('an owner who wants an offer', () => {
	const wanting = () => newAgent({ requireOffer: true });

	for (const [name, { state }] of Object.entries(SELLERS))
		it(`${name}: ${state === 'valid' ? 'pays' : 'does not pay'}`, async () => {
			const agent = await wanting();
			const before = sellers.get(name).record.signatures().length;
			const answer = await tw.call(agent, name, '/paid/0.01');
			if (state === 'valid') {
				assert.equal(answer.payment, 'settled', answer.text);
				return;
			}
			assert.equal(answer.status, 403, answer.text);
			assert.equal(answer.problem.code, 'no_payable_option');
			assert.equal(answer.problem.options[0].reason, 'no_signed_offer');
			assert.equal(sellers.get(name).record.signatures().length, before, 'nothing was signed');
			assert.equal((await tw.payments(agent.name)).length, 0);
		});

	for (const version of [2, 1])
		for (const [name, [offer]] of Object.entries(ROGUES))
			it(`the rogue in version ${version}, ${name}: ${offer === 'valid' ? 'pays' : 'does not pay'}`, async () => {
				const agent = await wanting();
				const path = version === 1 ? `/v1/${name}` : `/${name}`;
				const answer = await tw.call(agent, 'rogue', path);
				if (offer === 'valid') {
					assert.equal(answer.payment, 'settled', answer.text);
				} else {
					assert.equal(answer.problem.options[0].reason, 'no_signed_offer');
					assert.equal((await tw.payments(agent.name)).length, 0);
				}
			});

	it('is told so by the full form of the policy', async () => {
		const agent = await wanting();
		const { payment } = await tw.must('policy', 'show', agent.name);
		assert.equal(payment.requireOffer, true);
	});
});

describe('when all is done', () => {
	it('the books agree', () => tw.assertBooks());
});
