// Agents that buy, all at once, from a daemon that may die at any moment: what each logical
// call was, and what its agent knows of it.

import http from 'node:http';
import { PAYEE } from './seller.mjs';
import { policyOf, spend, calls } from '../e2e/bed/policies.mjs';
import { micros } from '../e2e/bed/tallyward.mjs';

/** A small random generator with a seed (mulberry32): numbers in [0, 1). */
export function random(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
	};
}

export const pick = (rng, items) => items[Math.floor(rng() * items.length)];

/** Prices in micro-dollars, which are also USDC's atomic units. */
const PRICES = [1000, 1500, 2000, 4000];
export const METERED_PRICE = '0.003';

/** Limits that a burst meets at once, and those that a longer run meets. */
export const TIGHT = policyOf(
	spend('agent', 'call', '0.004'), spend('session', 'total', '0.030'),
	spend('agent', 'day', '0.300'), spend('agent', 'month', '0.400'),
	spend('tool:seller', 'day', '0.280'), spend(`payee:${PAYEE.toLowerCase()}`, 'total', '0.290'),
	spend('agent', 'hour', '5.00'), calls('agent', 'day', 100_000), calls('session', 'total', 300));
export const ROOMY = policyOf(
	spend('agent', 'call', '0.10'), spend('session', 'total', '50.00'), spend('agent', 'day', '50.00'),
	spend('wallet', 'day', '50.00'), calls('tool:seller', 'day', 100_000));
export const METERED = policyOf(
	spend('agent', 'call', '0.01'), spend('session', 'total', '0.060'), spend('agent', 'day', '1.00'),
	spend('tool:metered', 'day', '1.00'), calls('agent', 'hour', 100_000));

/** What is bought how often; the weights are counted out of their sum. */
const BEHAVIOURS = Object.entries({
	settle: 10, silent: 2, again: 1, fail: 2, hangup: 2, hold: 1, free: 1,
}).flatMap(([name, weight]) => Array(weight).fill(name));

let made = 0;

/** A logical call: one purchase in the eyes of its agent, however often it has to be tried. */
export function newCall(rng, lane, who) {
	const id = `${lane}-${++made}`;
	const call = { id, agent: who.name, session: who.session, token: who.token, tries: [] };
	if (who.metered) {
		call.target = `/metered?id=${id}`;
		call.tool = 'metered';
		call.method = 'POST';
		call.body = 'x'.repeat(100);
		call.behaviour = 'metered';
		return call;
	}
	call.behaviour = pick(rng, BEHAVIOURS);
	call.price = pick(rng, PRICES);
	call.tool = 'seller';
	// Half of the endpoints are asked again and again, so that their price is known.
	call.target = `/${call.behaviour}/${call.price}${rng() < 0.5 ? '' : `/${id}`}?id=${id}`;
	call.method = rng() < 0.4 ? 'POST' : 'GET';
	if (call.method === 'POST')
		call.body = `${id} `.repeat(1 + Math.floor(rng() * 200));
	if (rng() < 0.4)
		call.key = `key-${id}`;
	return call;
}

/**
 * Try a logical call once; never throws. What came of it is the last of call.tries:
 * { lost } when no whole answer came, else { status, payment, cost, code }.
 */
export function attempt(call, url) {
	return new Promise((resolve) => {
		const attempted = { at: Date.now() };
		call.tries.push(attempted);
		const end = (what) => {
			if (attempted.over)
				return;
			Object.assign(attempted, what, { over: true });
			resolve(attempted);
		};
		const headers = { authorization: `Bearer ${call.token}` };
		if (call.key)
			headers['idempotency-key'] = call.key;
		if (call.body !== undefined)
			headers['content-length'] = Buffer.byteLength(call.body);
		const request = http.request(`${url}/t/${call.tool}${call.target}`,
			{ method: call.method, headers, agent: false }, (response) => {
				let text = '';
				response.setEncoding('utf8').on('data', (piece) => { text += piece; });
				response.on('error', (error) => end({ lost: error.message }));
				response.on('aborted', () => end({ lost: 'cut short' }));
				response.on('end', () => end({
					status: response.statusCode,
					payment: response.headers['tallyward-payment'],
					cost: Number(micros(response.headers['tallyward-cost'] ?? '0')),
					code: /problem\+json/.test(response.headers['content-type'] ?? '')
						? JSON.parse(text).code : undefined,
					id: Number(response.headers['tallyward-call']),
				}));
			});
		request.on('error', (error) => end({ lost: error.message }));
		request.end(call.body);
	});
}

/** An agent that heard nothing, or that the outcome is unknown, tries again. */
export function wantsRetry(call) {
	const last = call.tries.at(-1);
	return Boolean(last.lost) || last.code === 'payment_unknown' || last.code === 'payment_rejected';
}
