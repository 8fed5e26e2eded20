// A JSON-RPC endpoint before the real chain, which passes everything on until it is told to
// lie. `lie` sees each question and its true answer; what it returns leaves instead:
//
//   undefined        the truth
//   { result }       another result
//   { error }        an error object with that message
//   { status, body } another HTTP response
//   { hang: true }   nothing, ever

import http from 'node:http';
import { listen, shut } from './wait.mjs';

export class Endpoint {
	lie = null;
	/** Methods asked for, in order. */
	asked = [];

	constructor(chain) {
		this.chain = chain;
	}

	async start() {
		this.server = http.createServer((request, response) => this.#serve(request, response)
			.catch(() => response.destroy()));
		// Looks like a provider's, key and all.
		this.key = 'k3y0fTh30wn3r';
		this.url = `${await listen(this.server)}/v2/${this.key}`;
		return this;
	}

	stop() {
		return shut(this.server);
	}

	/** How often it was asked so far. */
	get count() {
		return this.asked.length;
	}

	async #serve(request, response) {
		const chunks = [];
		for await (const chunk of request)
			chunks.push(chunk);
		const question = JSON.parse(Buffer.concat(chunks));
		const truth = await (await fetch(this.chain.url, {
			method: 'POST', headers: { 'content-type': 'application/json' },
			body: JSON.stringify(question),
		})).json();
		const lie = this.lie?.(question, truth);
		this.asked.push(question.method);
		if (lie?.hang)
			return;
		response.statusCode = lie?.status ?? 200;
		if (lie?.body !== undefined) {
			response.end(lie.body);
			return;
		}
		const { id, jsonrpc } = question;
		const answer = !lie ? truth
			: lie.error ? { jsonrpc, id, error: { code: -32000, message: lie.error } }
				: { jsonrpc, id, result: lie.result };
		response.setHeader('content-type', 'application/json');
		response.end(JSON.stringify(answer));
	}
}

const ZEROS = `0x${'0'.repeat(64)}`;

/** Lies worth telling. */
export const LIES = {
	'another chain': ({ method }) => method === 'eth_chainId' ? { result: '0x1' } : undefined,
	'another fork': ({ method }, { result }) => method === 'eth_getBlockByNumber'
		? { result: { ...result, hash: `0x${'42'.repeat(32)}` } } : undefined,
	'nothing': () => ({ hang: true }),
	'a page': () => ({ status: 200, body: '<html>Just a moment...</html>' }),
	'too many requests': () => ({ status: 429, body: '' }),
	'the key': () => ({ error: 'invalid key k3y0fTh30wn3r' }),
	/** For whoever would like to have the money twice. */
	'unused': ({ method }) => method === 'eth_getLogs' ? { result: [] }
		: method === 'eth_call' ? { result: ZEROS } : undefined,
	/** What a server that lost its index says, and one that does not know the contract. */
	'empty': ({ method }) => method === 'eth_getLogs' ? { result: [] }
		: method === 'eth_call' ? { result: '0x' } : undefined,
};
