// Checks a dispute bundle from doc/dispute.md alone, with what Node and viem have: so the
// description is enough for somebody who does not trust tallyward to check itself.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { recoverMessageAddress, recoverTypedDataAddress } from 'viem';

const sha256 = (...parts) => parts.reduce((h, part) => h.update(part), createHash('sha256')).digest();
const hex = (bytes) => bytes.toString('hex');
const bytes = (text) => Buffer.from(text, 'hex');

function bigEndian(number, size) {
	const out = Buffer.alloc(size);
	for (let i = size - 1, rest = BigInt.asUintN(size * 8, BigInt(number)); i >= 0; i--, rest >>= 8n)
		out[i] = Number(rest & 0xffn);
	return out;
}

const sized = (type, data) => Buffer.concat([Buffer.from([type]), bigEndian(data.length, 4), data]);

/** VALUE of the canonical encoding. */
function encode(value) {
	if (value === null)
		return Buffer.from([0]);
	const [, kind, rest] = /^([itxb]):(.*)$/s.exec(value);
	switch (kind) {
	case 'i': return Buffer.concat([Buffer.from([1]), bigEndian(rest, 8)]);
	case 't': return sized(2, Buffer.from(rest));
	case 'x': return sized(2, bytes(rest));
	default: return sized(3, bytes(rest));
	}
}

const TABLES = {
	journal: 1, agent: 2, agent_address: 3, agent_state: 4, policy: 5, tool: 6, token: 7,
	token_revoked: 8, network: 9, payment: 10, payment_state: 11, audit: 12, account: 13,
	evidence: 16, delivery: 17, setting: 18,
};

function encodeRow({ table, values }) {
	const columns = Object.values(values);
	return Buffer.concat([bigEndian(TABLES[table], 2), bigEndian(columns.length, 2), ...columns.map(encode)]);
}

function rowHash(row, rows) {
	const before = bytes(row.before);
	if (row.table !== 'journal')
		return sha256(before, encode(`i:${row.number}`), encodeRow(row));
	const sign = row.values.event === 'i:3';
	const payment = sign && rows.find(({ table, values }) =>
		table === 'payment' && values.id === row.values.payment);
	return sha256(before, encodeRow(row), bigEndian(row.postings.length, 2),
		...row.postings.flat().map(encode), encode(sign ? `b:${hex(sha256(encodeRow(payment)))}` : null));
}

/** RFC 9162, 2.1.3.2: the root that a path leads to. */
function pathRoot(leafHash, index, size, path) {
	let fn = index;
	let sn = size - 1;
	let r = leafHash;
	for (const p of path) {
		assert.notEqual(sn, 0, 'the path is too long');
		if (fn % 2 === 1 || fn === sn) {
			r = sha256(Buffer.from([1]), p, r);
			while (fn % 2 === 0 && fn !== 0) {
				fn = Math.floor(fn / 2);
				sn = Math.floor(sn / 2);
			}
		} else {
			r = sha256(Buffer.from([1]), r, p);
		}
		fn = Math.floor(fn / 2);
		sn = Math.floor(sn / 2);
	}
	assert.equal(sn, 0, 'the path is too short');
	return r;
}

async function checkAnchor(line, installation) {
	const { signature, ...rest } = JSON.parse(line);
	assert.equal(rest.installation, installation);
	assert.equal(await recoverMessageAddress({ message: JSON.stringify(rest), signature }), installation);
	return rest;
}

/** EIP-3009, as the token's contract checks it. */
async function checkPayment({ values }, domain) {
	const v = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value?.slice(2)]));
	const { payload } = JSON.parse(Buffer.from(v.header_value, 'base64').toString());
	const a = payload.authorization;
	assert.deepEqual([a.from, a.to, a.value, a.validBefore, a.nonce],
		[v.payer, v.payee, v.value, v.valid_before_s, v.nonce]);
	const signer = await recoverTypedDataAddress({
		domain: { ...domain, verifyingContract: v.asset, chainId: Number(v.network.split(':')[1]) },
		types: {
			TransferWithAuthorization: [
				{ name: 'from', type: 'address' }, { name: 'to', type: 'address' },
				{ name: 'value', type: 'uint256' }, { name: 'validAfter', type: 'uint256' },
				{ name: 'validBefore', type: 'uint256' }, { name: 'nonce', type: 'bytes32' },
			],
		},
		primaryType: 'TransferWithAuthorization',
		message: a,
		signature: payload.signature,
	});
	assert.equal(signer, v.payer);
}

/** Throws unless the bundle holds; returns it. domain: {name, version} of the token. */
export async function checkBundle(text, domain) {
	const lines = text.split('\n');
	const signed = lines.slice(0, -3).join('\n') + '\n';
	const bundle = JSON.parse(text);
	assert.equal(bundle.format, 'tallyward-dispute-1');
	assert.equal(await recoverMessageAddress({
		message: `tallyward dispute bundle, SHA-256 ${hex(sha256(signed))}`,
		signature: bundle.signature,
	}), bundle.installation);
	const anchors = new Map();
	for (const line of bundle.anchors) {
		const anchor = await checkAnchor(line, bundle.installation);
		anchors.set(anchor.anchor, anchor);
	}
	for (const row of bundle.rows) {
		const { from, rows, root } = anchors.get(row.anchor)[row.table === 'journal' ? 'journal' : 'record'];
		const leaf = sha256(Buffer.from([0]), rowHash(row, bundle.rows));
		assert.equal(hex(pathRoot(leaf, row.number - from - 1, rows - from, row.path.map(bytes))), root,
			`${row.table} ${row.values.id}`);
		if (row.table === 'payment')
			await checkPayment(row, domain);
	}
	return bundle;
}
