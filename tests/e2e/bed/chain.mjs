// A real EVM chain on loopback: anvil, as Base Sepolia, with an EIP-3009 token
// at USDC's own address. The facilitator settles here, and every test asks this
// chain, not tallyward, what was really paid.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import {
	createPublicClient, createTestClient, createWalletClient, encodeFunctionData, http,
	parseAbi, parseSignature, publicActions, walletActions,
} from 'viem';
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { baseSepolia } from 'viem/chains';
import { end, start } from './child.mjs';
import { creationBytecode } from './contracts.mjs';
import { until } from './wait.mjs';

const require = createRequire(import.meta.url);

export const CHAIN_ID = 84532;
export const NETWORK = 'eip155:84532';
export const NETWORK_V1 = 'base-sepolia';
export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
export const MULTICALL3 = '0xcA11bde05977b3631167028862bE2a173976CA11';
export const USDC_DOMAIN_SEPARATOR =
	'0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818';

// The public test phrase every development chain funds with ether. Worth
// nothing anywhere else, so it may stand in the source.
const MNEMONIC = 'test test test test test test test test test test test junk';

/** Ether-funded account number `index` of a development chain. */
export function devAccount(index) {
	return mnemonicToAccount(MNEMONIC, { addressIndex: index });
}

/** The private key of devAccount(index), for programs that want a key. */
export function devKey(index) {
	const bytes = devAccount(index).getHdKey().privateKey;
	return `0x${Buffer.from(bytes).toString('hex')}`;
}

/** A fresh account with nothing in it. */
export function newAccount() {
	const key = generatePrivateKey();
	return Object.assign(privateKeyToAccount(key), { key });
}

/**
 * Longest time for one answer of the chain: viem's own 10 s are reached on a machine with other work,
 * and who gives up on a transaction that was mined all the same has paid without knowing it.
 */
const ANSWER_MS_MAX = 120_000;

const USDC_ABI = parseAbi([
	'function mint(address to, uint256 value)',
	'function balanceOf(address account) view returns (uint256)',
	'function DOMAIN_SEPARATOR() view returns (bytes32)',
	'function authorizationState(address authorizer, bytes32 nonce) view returns (bool)',
	'function transfer(address to, uint256 value) returns (bool)',
	'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
	'function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
	'event Transfer(address indexed from, address indexed to, uint256 value)',
	'event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)',
	'event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)',
]);

const MULTICALL3_ABI = parseAbi([
	'function tryAggregate(bool requireSuccess, (address target, bytes callData)[] calls) payable returns ((bool success, bytes returnData)[])',
]);

/** Talk to a chain that is already running. */
export class Chain {
	constructor(url) {
		this.url = url;
		this.definition = { ...baseSepolia, rpcUrls: { default: { http: [url] } } };
		const settings = {
			chain: this.definition,
			transport: http(url, { retryCount: 0, timeout: ANSWER_MS_MAX }),
			pollingInterval: 20,
			cacheTime: 0,
		};
		this.client = createPublicClient(settings);
		this.admin = createTestClient({ ...settings, mode: 'anvil', account: devAccount(9) })
			.extend(publicActions).extend(walletActions);
		this.settings = settings;
	}

	wallet(account) {
		return createWalletClient({ ...this.settings, account });
	}

	#read(functionName, args = []) {
		return this.client.readContract({ address: USDC, abi: USDC_ABI, functionName, args });
	}

	async #write(functionName, args, account = devAccount(9)) {
		const hash = await this.admin.writeContract({
			address: USDC, abi: USDC_ABI, functionName, args, account, gas: 200_000n,
		});
		return this.client.waitForTransactionReceipt({ hash });
	}

	/** Make USDC out of nothing, in atomic units (1 USDC = 1000000n). */
	mint(address, atomic) {
		return this.#write('mint', [address, BigInt(atomic)]);
	}

	/** Plain ERC-20 transfer, as a refunding payee would send it. */
	transfer(account, to, atomic) {
		return this.#write('transfer', [to, BigInt(atomic)], account);
	}

	/** Cash a payment as any holder of the signature can, from an account of its own. */
	cash({ authorization, signature }) {
		const { from, to, value, validAfter, validBefore, nonce } = authorization;
		const { v, r, s } = parseSignature(signature);
		return this.#write('transferWithAuthorization',
			[from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, Number(v), r, s]);
	}

	/** Cash several payments in one transaction; resolves to its hash. */
	async cashTogether(payloads) {
		const calls = payloads.map(({ authorization, signature }) => {
			const { from, to, value, validAfter, validBefore, nonce } = authorization;
			const { v, r, s } = parseSignature(signature);
			return { target: USDC, callData: encodeFunctionData({
				abi: USDC_ABI, functionName: 'transferWithAuthorization',
				args: [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, Number(v), r, s],
			}) };
		});
		const hash = await this.admin.writeContract({
			address: MULTICALL3, abi: MULTICALL3_ABI, functionName: 'tryAggregate', args: [true, calls],
			account: devAccount(9), gas: 200_000n * BigInt(calls.length),
		});
		const { status } = await this.client.waitForTransactionReceipt({ hash });
		if (status !== 'success')
			throw new Error(`the payments could not be cashed together: ${hash}`);
		return hash;
	}

	/** Make a signature void, as the wallet's owner can who has its key. */
	async cancelAuthorization(account, nonce) {
		const { v, r, s } = parseSignature(await account.signTypedData({
			domain: { name: 'USDC', version: '2', chainId: CHAIN_ID, verifyingContract: USDC },
			types: { CancelAuthorization: [
				{ name: 'authorizer', type: 'address' }, { name: 'nonce', type: 'bytes32' }] },
			primaryType: 'CancelAuthorization',
			message: { authorizer: account.address, nonce },
		}));
		return this.#write('cancelAuthorization', [account.address, nonce, Number(v), r, s]);
	}

	balanceOf(address) {
		return this.#read('balanceOf', [address]);
	}

	domainSeparator() {
		return this.#read('DOMAIN_SEPARATOR');
	}

	/** Has this authorization been used (or cancelled)? */
	authorizationState(authorizer, nonce) {
		return this.#read('authorizationState', [authorizer, nonce]);
	}

	async #events(eventName, args) {
		const logs = await this.client.getContractEvents({
			address: USDC, abi: USDC_ABI, eventName, args, fromBlock: 0n, toBlock: 'latest',
		});
		return logs.map((log) => ({
			...log.args, transaction: log.transactionHash, block: log.blockNumber,
		}));
	}

	/** Transfers, oldest first; filter by { from, to }. */
	transfers(filter = {}) {
		return this.#events('Transfer', filter);
	}

	/** Authorizations cashed, oldest first; filter by { authorizer, nonce }. */
	authorizationsUsed(filter = {}) {
		return this.#events('AuthorizationUsed', filter);
	}

	/** Authorizations made void by their payer, oldest first; filter by { authorizer, nonce }. */
	authorizationsCanceled(filter = {}) {
		return this.#events('AuthorizationCanceled', filter);
	}

	/** Ether for gas, in wei, out of nothing. */
	async giveGas(address, wei = 10n ** 18n) {
		await this.admin.setBalance({ address, value: wei });
	}

	async now() {
		return (await this.client.getBlock()).timestamp;
	}

	mine(blocks = 1) {
		return this.admin.mine({ blocks });
	}

	setNextBlockTimestamp(seconds) {
		return this.admin.setNextBlockTimestamp({ timestamp: BigInt(seconds) });
	}

	/** Move the chain's clock forward and mine, so that it shows. */
	async advance(seconds) {
		await this.admin.increaseTime({ seconds });
		await this.mine();
	}

	/**
	 * Take back all that was mined since `id = await chain.snapshot()`, as a reorganisation
	 * does: other blocks come in the place of those that were there, and one more.
	 */
	snapshot() {
		return this.admin.snapshot();
	}

	async reorganise(id) {
		const before = await this.client.getBlockNumber();
		await this.admin.revert({ id });
		const now = await this.client.getBlockNumber();
		await this.mine(Number(before - now) + 1);
	}

	/** Transactions stay in the pool until resumeMining(). */
	pauseMining() {
		return this.admin.setAutomine(false);
	}

	async resumeMining() {
		await this.admin.setAutomine(true);
		await this.mine();
	}
}

function anvilProgram() {
	const folder = path.dirname(require.resolve('@foundry-rs/anvil/package.json'));
	const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
	const native = path.join(folder, '..', `anvil-${process.platform}-${arch}`, 'bin', 'anvil');
	if (!fs.existsSync(native))
		throw new Error(`no anvil for ${process.platform}-${process.arch}; run tests/e2e/run once`);
	return native;
}

// Code moves to an address that other people's programs know by heart.
async function deployAt(chain, address, bytecode) {
	const hash = await chain.admin.sendTransaction({ data: bytecode, gas: 8_000_000n });
	const receipt = await chain.client.waitForTransactionReceipt({ hash });
	if (receipt.status !== 'success')
		throw new Error(`cannot deploy the contract meant for ${address}`);
	const code = await chain.client.getCode({ address: receipt.contractAddress });
	await chain.admin.setCode({ address, bytecode: code });
}

/** Start a chain with USDC on it. Returns a Chain with stop(). */
export async function startChain({ port = 0 } = {}) {
	const child = start(anvilProgram(), [
		'--host', '127.0.0.1', '--port', String(port), '--chain-id', String(CHAIN_ID),
		'--mnemonic', MNEMONIC, '--hardfork', 'prague',
	]);
	const address = await until('anvil to listen', () => {
		if (child.exitCode !== null || child.signalCode !== null)
			throw new Error(`anvil ended: ${child.log}`);
		return /Listening on (127\.0\.0\.1:\d+)/.exec(child.log)?.[1];
	});
	const chain = new Chain(`http://${address}`);
	chain.stop = () => end(child);
	const { UsdcToken, Multicall3 } = creationBytecode();
	await deployAt(chain, USDC, UsdcToken);
	// The facilitator asks why a payment would fail through this one.
	await deployAt(chain, MULTICALL3, Multicall3);
	const separator = await chain.domainSeparator();
	if (separator !== USDC_DOMAIN_SEPARATOR)
		throw new Error(`USDC's domain separator is ${separator}`);
	return chain;
}
