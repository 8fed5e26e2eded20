// The adversary: sells in every way there is, and remembers every signature it ever gets. A
// signature is money to whoever holds it, whatever was answered to it.
//
//   /BEHAVIOUR/PRICE/…?id=CALL     price in atomic units of USDC
//
//   settle   200 with a receipt            silent  200 without one
//   again    402 once more, unpaid         fail    500
//   hangup   the connection breaks         hold    nothing until release(), then hangup (a GET
//                                                  may then come once more, by libcurl)
//   later    nothing until release(), then 200 with a receipt
//   free     200, asks for nothing         metered 200, or 500 for every third

import crypto from 'node:crypto';
import http from 'node:http';
import { listen, shut } from '../e2e/bed/wait.mjs';
import { paymentOf } from '../e2e/bed/record.mjs';

export const NETWORK = 'eip155:84532';
export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
export const PAYEE = '0x209693Bc6afc0C5328bA36FaF03C514EF312287C';

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64');

export class Seller {
	/** nonce → { nonce, header, value, from, calls: Set of call ids, times } */
	signatures = new Map();
	/** Every connection ends with its answer. */
	closing = false;
	/** Called before the price is told. */
	onAsk = () => {};
	#held = new Set();
	#metered = 0;

	static async open() {
		const seller = new Seller();
		seller.server = http.createServer((request, response) => {
			// A call that the daemon did not live to send in full is no call.
			seller.#serve(request, response).catch(() => response.destroy());
		});
		seller.server.keepAliveTimeout = 60_000;
		seller.url = await listen(seller.server);
		return seller;
	}

	close() {
		this.release();
		return shut(this.server);
	}

	/** What a restart of the daemon broke off needs no answer any more. */
	release() {
		for (const letGo of this.#held)
			letGo();
		this.#held.clear();
	}

	get held() {
		return this.#held.size;
	}

	/** Signatures that came with a call, each once. */
	of(call) {
		return [...this.signatures.values()].filter(({ calls }) => calls.has(call));
	}

	#note(header, payment, call) {
		const { nonce, value, from } = payment.payload.authorization;
		const known = this.signatures.get(nonce);
		if (known) {
			known.calls.add(call);
			known.times++;
			if (known.header !== header)
				known.changed = true;
			return;
		}
		this.signatures.set(nonce, {
			nonce, header, value: Number(value), from, payment, calls: new Set([call]), times: 1,
		});
	}

	async #serve(request, response) {
		const url = new URL(request.url, this.url);
		const [, behaviour, price] = url.pathname.split('/');
		const call = url.searchParams.get('id');
		const payment = paymentOf(request.headers);
		if (payment)
			this.#note(request.headers['payment-signature'], payment, call);
		response.shouldKeepAlive &&= !this.closing;
		request.on('error', () => {});
		response.on('error', () => {});
		for await (const _ of request)
			; // the whole body, so that the connection can be kept
		this.#answer(behaviour, price, payment, request, response);
	}

	#ask(price, request, response) {
		this.onAsk();
		response.writeHead(402, {
			'content-type': 'application/json',
			'payment-required': base64({
				x402Version: 2, error: 'payment required',
				resource: { url: `http://${request.headers.host}${request.url}` },
				accepts: [{
					scheme: 'exact', network: NETWORK, amount: price, asset: USDC, payTo: PAYEE,
					maxTimeoutSeconds: 60, extra: { name: 'USDC', version: '2' },
				}],
			}),
		});
		response.end('{}');
	}

	#settle(payment, response) {
		response.setHeader('payment-response', base64({
			success: true, transaction: `0x${crypto.randomBytes(32).toString('hex')}`,
			network: NETWORK, payer: payment.payload.authorization.from,
		}));
		response.write('{"answer":');
		setImmediate(() => response.end('42}'));
	}

	#answer(behaviour, price, payment, request, response) {
		if (behaviour === 'free')
			return response.end('{"free":true}');
		if (behaviour === 'metered') {
			response.statusCode = ++this.#metered % 3 === 0 ? 500 : 200;
			return response.end('{"metered":true}');
		}
		if (!payment || behaviour === 'again')
			return this.#ask(price, request, response);
		switch (behaviour) {
		case 'settle':
			return this.#settle(payment, response);
		case 'later':
			return this.#held.add(() => this.#settle(payment, response));
		case 'silent':
			return response.end('{"answer":42}');
		case 'fail':
			response.statusCode = 500;
			return response.end('{}');
		case 'hold':
			return this.#held.add(() => response.destroy());
		default:
			return request.socket.destroy();
		}
	}
}
