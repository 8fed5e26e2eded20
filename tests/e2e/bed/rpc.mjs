// An RPC endpoint before the chain, for owners who ask somebody else's node: it
// passes questions on, and can be told to lag, lie, hang, answer junk or break.

import http from 'node:http';
import { decodeFunctionData, parseAbi, toFunctionSelector } from 'viem';
import { Gate, listen, shut } from './wait.mjs';

const ABI = parseAbi([
	'function authorizationState(address authorizer, bytes32 nonce) view returns (bool)',
	'function balanceOf(address account) view returns (uint256)',
]);
const word = (number) => `0x${BigInt(number).toString(16).padStart(64, '0')}`;
const isCall = (question, name) => question.method === 'eth_call' &&
	question.params[0].data.startsWith(toFunctionSelector(ABI.find((f) => f.name === name)));

/** The question about one nonce, whatever else it is about. */
const asksAbout = (question, nonce) => !nonce ||
	(isCall(question, 'authorizationState')
		? decodeFunctionData({ abi: ABI, data: question.params[0].data }).args[1] === nonce
		: JSON.stringify(question).includes(nonce.slice(2)));

/**
 * What it can be told to do: each takes the question and a way to ask the
 * chain, and returns the answer's result; `null` result and errors included.
 */
const FAULTS = {
	// No log was ever there, and nothing was ever used.
	'hides-use': async ({ question, pass, fault }) => {
		if (question.method === 'eth_getLogs' && asksAbout(question, fault.nonce))
			return { result: [] };
		if (isCall(question, 'authorizationState') && asksAbout(question, fault.nonce))
			return { result: word(0) };
		return pass();
	},
	// The wallet has more, or less, than it has.
	'other-balance': async ({ question, pass, fault }) =>
		isCall(question, 'balanceOf') ? { result: word(fault.balance) } : pass(),
	// It stands still at a block.
	'lags': async ({ question, pass, fault }) => {
		const last = `0x${fault.block.toString(16)}`;
		const seen = (tag) => ['latest', 'pending', 'safe', 'finalized'].includes(tag) ? last : tag;
		if (question.method === 'eth_blockNumber')
			return { result: last };
		if (question.method === 'eth_getLogs') {
			const [filter] = question.params;
			if (BigInt(filter.fromBlock) > fault.block)
				return { result: [] };
			if (BigInt(filter.toBlock) > fault.block)
				filter.toBlock = last;
		} else if (question.method === 'eth_getBlockByNumber') {
			question.params[0] = seen(question.params[0]);
			if (BigInt(question.params[0]) > fault.block)
				return { result: null };
		} else if (question.method === 'eth_call') {
			question.params[1] = seen(question.params[1]);
		}
		return pass();
	},
	'other-chain': async ({ question, pass }) =>
		question.method === 'eth_chainId' ? { result: '0x1' } : pass(),
	'nulls': async () => ({ result: null }),
	'error': async () => ({ error: { code: -32000, message: 'out of order' } }),
	'html': async ({ response }) => { response.end('<html>502 Bad Gateway</html>'); },
	'deep': async ({ response }) => { response.end(`${'['.repeat(5000)}${']'.repeat(5000)}`); },
	'endless': async ({ request, response }) => {
		// Who goes on writing after an error is called back at once, and again, for ever.
		const more = (error) => !error && !request.socket.destroyed &&
			response.write('0'.repeat(1 << 16), more);
		response.write('{"jsonrpc":"2.0","id":1,"result":"0x', more);
	},
	'status-500': async ({ response }) => {
		response.statusCode = 500;
		response.end('{}');
	},
	'reset': async ({ request }) => { request.socket.resetAndDestroy(); },
	'hang': async ({ gate, pass }) => {
		await gate.pass();
		return pass();
	},
};

/** Every way to be broken in which nothing that is said may be believed. */
export const BROKEN = ['other-chain', 'nulls', 'error', 'html', 'deep', 'endless', 'status-500', 'reset'];

/**
 * Start an endpoint before `chain`.
 *
 * misbehave({ how, method, ...details }): one of FAULTS until behave(); `method`: for
 *   questions of that name alone.
 * questions: how many it got; url names it. Each has its own path, as keys of
 * real endpoints do.
 */
export async function startRpc(chain, { port = 0, path = '/v1/a-secret-key' } = {}) {
	const gate = new Gate();
	gate.close();
	const rpc = {
		questions: 0, fault: null, waiting: () => gate.waiting,
		misbehave(fault) {
			if (!(fault.how in FAULTS))
				throw new Error(`unknown fault ${fault.how}`);
			rpc.fault = fault;
		},
		behave() {
			rpc.fault = null;
			gate.open();
			gate.close();
		},
	};

	async function serve(request, response) {
		const chunks = [];
		for await (const chunk of request)
			chunks.push(chunk);
		const question = JSON.parse(Buffer.concat(chunks));
		const { id } = question;
		const pass = async () => {
			const answer = await fetch(chain.url, {
				method: 'POST', headers: { 'content-type': 'application/json' },
				body: JSON.stringify(question),
			});
			const { result, error } = await answer.json();
			return error ? { error } : { result };
		};
		rpc.questions++;
		const fault = rpc.fault && (rpc.fault.method ?? question.method) === question.method
			? rpc.fault : null;
		response.setHeader('content-type', 'application/json');
		const said = fault
			? await FAULTS[fault.how]({ question, request, response, pass, fault, gate })
			: await pass();
		if (said && !response.destroyed)
			response.end(JSON.stringify({ jsonrpc: '2.0', id, ...said }));
	}

	const server = http.createServer((request, response) => {
		serve(request, response).catch((error) => {
			if (!response.headersSent && !response.destroyed) {
				response.statusCode = 500;
				response.end(String(error.stack));
			}
		});
	});
	rpc.url = `${await listen(server, port)}${path}`;
	rpc.stop = () => {
		rpc.behave();
		return shut(server);
	};
	return rpc;
}
