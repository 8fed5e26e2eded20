#!/usr/bin/env node
// Makes cancellation.json: what viem computes for EIP-3009 cancellations and for the EIP-1559
// transactions that carry them, so that wallet/ is held against an implementation that is not
// ours. Signatures are deterministic (RFC 6979), so the file comes out the same each time:
//
//   tests/e2e/run once (installs viem), then: node tests/vectors/cancellation.mjs \
//       > tests/vectors/cancellation.json

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));
const { encodeFunctionData, hashTypedData, keccak256, parseAbi, parseSignature, serializeTransaction,
	stringToBytes, toRlp } = require('viem');
const { privateKeyToAccount } = require('viem/accounts');

// The first key of the development mnemonic: worth nothing anywhere.
const key = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const account = privateKeyToAccount(key);
const abi = parseAbi(['function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)']);
const types = { CancelAuthorization: [
	{ name: 'authorizer', type: 'address' }, { name: 'nonce', type: 'bytes32' }] };

// Domains as wallet/asset.c has them.
const DOMAINS = [
	{ name: 'USDC', version: '2', chainId: 84532, verifyingContract: '0x036CbD53842c5426634e7929541eC2318f3dCF7e' },
	{ name: 'USD Coin', version: '2', chainId: 8453, verifyingContract: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913' },
	{ name: 'USD Coin', version: '2', chainId: 1, verifyingContract: '0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48' },
	{ name: 'USD\u20ae0', version: '1', chainId: 14, verifyingContract: '0xe7cd86e13AC4309349F30B3435a9d337750fC82D' },
];
const NONCES = [
	`0x${'00'.repeat(32)}`,
	`0x${'ff'.repeat(32)}`,
	'0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20',
];

async function cancellation(domain, nonce) {
	const message = { authorizer: account.address, nonce };
	const typed = { domain, types, primaryType: 'CancelAuthorization', message };
	const { r, s, v } = parseSignature(await account.signTypedData(typed));
	return {
		domain, authorizer: account.address, nonce, digest: hashTypedData(typed),
		call: encodeFunctionData({ abi, functionName: 'cancelAuthorization', args: [account.address, nonce, Number(v), r, s] }),
	};
}

async function transaction(name, fields) {
	const unsigned = { type: 'eip1559', chainId: 84532, value: 0n, ...fields };
	const raw = await account.signTransaction(unsigned);
	const text = (value) => (typeof value === 'bigint' || typeof value === 'number') ? String(value) : value;
	return {
		name,
		...Object.fromEntries(Object.entries({ chainId: unsigned.chainId, ...fields }).map(([k, v]) => [k, text(v)])),
		digest: keccak256(serializeTransaction(unsigned)), raw, hash: keccak256(raw),
	};
}

const to = DOMAINS[0].verifyingContract;
const cancellations = [];
for (const domain of DOMAINS)
	for (const nonce of NONCES)
		cancellations.push(await cancellation(domain, nonce));
const gwei = 1_000_000_000n;
const base = { nonce: 0, maxPriorityFeePerGas: gwei, maxFeePerGas: 3n * gwei, gas: 60_000n, to, data: cancellations[2].call };
const transactions = [
	await transaction('a cancellation', base),
	await transaction('no fee at all', { ...base, maxPriorityFeePerGas: 0n, maxFeePerGas: 0n }),
	await transaction('the count at the end of one byte', { ...base, nonce: 127 }),
	await transaction('the count where a prefix begins', { ...base, nonce: 128 }),
	await transaction('the count in two bytes', { ...base, nonce: 256 }),
	await transaction('the count in seven bytes', { ...base, nonce: Number.MAX_SAFE_INTEGER }),
	await transaction('fees above 64 bits', { ...base, maxPriorityFeePerGas: 2n ** 64n, maxFeePerGas: 2n ** 100n }),
	await transaction('no data', { ...base, data: '0x' }),
	await transaction('one small byte of data', { ...base, data: '0x7f' }),
	await transaction('one large byte of data', { ...base, data: '0x80' }),
	await transaction('55 bytes of data', { ...base, data: `0x${'ab'.repeat(55)}` }),
	await transaction('56 bytes of data', { ...base, data: `0x${'ab'.repeat(56)}` }),
	await transaction('1024 bytes of data', { ...base, data: `0x${'cd'.repeat(1024)}` }),
	await transaction('another chain', { ...base, chainId: 1 }),
	await transaction('a chain of eight digits', { ...base, chainId: 11142220 }),
];
// Signatures whose r or s begins with a zero byte are shorter in RLP: search for some.
let shorter = 0;
for (let count = 1000; shorter < 3; count++) {
	const found = await transaction('a signature with a leading zero', { ...base, nonce: count });
	if (found.raw.length < transactions[4].raw.length) {
		transactions.push(found);
		shorter++;
	}
}
const rlp = ['0x', '0x00', '0x01', '0x7f', '0x80', '0x0400', `0x${'11'.repeat(55)}`, `0x${'11'.repeat(56)}`,
	`0x${'22'.repeat(255)}`, `0x${'22'.repeat(256)}`].map((bytes) => ({ bytes, encoded: toRlp(bytes), list: toRlp([bytes]) }));
const typehash = keccak256(stringToBytes('CancelAuthorization(address authorizer,bytes32 nonce)'));
process.stdout.write(`${JSON.stringify({ madeBy: `${fileURLToPath(import.meta.url).split('/').slice(-3).join('/')}, viem ${require('viem/package.json').version}`,
	key, typehash, rlp, cancellations, transactions }, null, '\t')}\n`);
