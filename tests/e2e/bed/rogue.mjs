// A seller no official package would make: it asks for what must never be
// signed, and takes signatures without giving anything for them.
//
// The first part of the path names the case; /v1/<case> is the same in version
// 1 of the protocol. Every request is recorded, so that a test can count the
// signatures that left the buyer's house.

import http from 'node:http';
import zlib from 'node:zlib';
import { signOfferEIP712, signReceiptEIP712 } from '@x402/extensions/offer-receipt';
import { NETWORK, NETWORK_V1, USDC, devAccount } from './chain.mjs';
import { Record } from './record.mjs';
import { Gate, listen, shut } from './wait.mjs';

export const base64 = (value) => Buffer.from(
	typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');

/** A payee nobody ever allowed. */
export const STRANGER = '0x000000000000000000000000000000000000dEaD';
const LOOKALIKE = '0x4200000000000000000000000000000000000042';

/**
 * Offers that must be refused. Each takes an honest requirement and bends it;
 * `resource` bends what is being sold.
 */
export const OFFERS = {
	'other-asset': { asset: LOOKALIKE },
	'lookalike-18-decimals': { asset: LOOKALIKE, extra: { name: 'USDC', version: '2', decimals: 18 } },
	'asset-not-an-address': { asset: 'USDC' },
	'same-asset-on-other-chain': { network: 'eip155:8453' },
	'unknown-chain': { network: 'eip155:999999' },
	'solana': { network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1', asset: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU' },
	'payee-not-an-address': { payTo: 'merchant' },
	'payee-too-short': { payTo: '0x1234' },
	'payee-zero': { payTo: '0x0000000000000000000000000000000000000000' },
	'domain-name': { extra: { name: 'Evil', version: '2' } },
	'domain-version': { extra: { name: 'USDC', version: '1' } },
	'amount-negative': { amount: '-10000' },
	'amount-plus': { amount: '+10000' },
	'amount-fractional': { amount: '100.5' },
	'amount-exponential': { amount: '1e4' },
	'amount-hex': { amount: '0x2710' },
	'amount-blank': { amount: ' 10000' },
	'amount-empty': { amount: '' },
	'amount-78-digits': { amount: '1'.repeat(78) },
	'amount-2-to-256': { amount: (2n ** 256n).toString() },
	'amount-79-digits': { amount: '1'.repeat(79) },
	'amount-wraps-64-bits': { amount: (2n ** 64n + 10000n).toString() },
	'timeout-one-year': { maxTimeoutSeconds: 31_536_000 },
	'timeout-zero': { maxTimeoutSeconds: 0 },
	'timeout-negative': { maxTimeoutSeconds: -60 },
	'timeout-fractional': { maxTimeoutSeconds: 1.5 },
	'unknown-scheme': { scheme: 'approximate' },
	'unknown-payment-flow': { extra: { name: 'USDC', version: '2', paymentFlow: 'later' } },
	'unknown-transfer-method': { extra: { name: 'USDC', version: '2', assetTransferMethod: 'teleport' } },
	'resource-on-other-host': { resource: { url: 'https://evil.example/premium' } },
};

/** Version 1 has no word for these. */
const V2_ONLY = new Set(['unknown-payment-flow', 'unknown-transfer-method']);
export const OFFERS_V1 = Object.keys(OFFERS).filter((name) => !V2_ONLY.has(name));

// --- the honest parts ------------------------------------------------------

export function requirement(call, bent = {}) {
	const { resource, ...fields } = bent;
	return {
		scheme: 'exact', network: NETWORK, amount: call.price, asset: USDC,
		payTo: call.rogue.payTo, maxTimeoutSeconds: 60,
		extra: { name: 'USDC', version: '2' }, ...fields,
	};
}

export function challenge(call, accepts, { error = 'payment required', resource = {} } = {}) {
	const url = `${call.rogue.url}${call.request.url}`;
	return {
		x402Version: 2, error,
		resource: { url, description: 'rogue ware', mimeType: 'application/json', ...resource },
		accepts,
	};
}

const NETWORK_NAMES = { [NETWORK]: NETWORK_V1, 'eip155:8453': 'base' };

/** The same challenge in version 1 words. */
function challengeV1({ error, resource, accepts, extensions }) {
	return {
		x402Version: 1, error, ...(extensions && { extensions }),
		accepts: accepts.map(({ amount, network, ...rest }) => ({
			...rest,
			network: NETWORK_NAMES[network] ?? network,
			maxAmountRequired: amount,
			resource: resource.url,
			description: resource.description ?? '',
			mimeType: resource.mimeType ?? '',
		})),
	};
}

export function send402(call, paymentRequired, headers = {}) {
	const { response } = call;
	if (call.version === 1) {
		call.offered = challengeV1(paymentRequired).accepts;
		response.writeHead(402, { 'content-type': 'application/json', ...headers });
		response.end(JSON.stringify(challengeV1(paymentRequired)));
		return;
	}
	response.writeHead(402, {
		'content-type': 'application/json',
		'payment-required': base64(paymentRequired), ...headers,
	});
	response.end('{}');
}

const ask = (call, bent) => send402(call, challenge(call, [requirement(call, bent)], bent));

export function goods(call, headers = {}, status = 200) {
	call.response.writeHead(status, { 'content-type': 'application/json', ...headers });
	call.response.end(JSON.stringify({ case: call.name, taken: call.entry.payment !== null }));
}

/** A receipt as the buyer reads it; by default a good-looking, made-up one. */
export function receipt(call, fields = {}) {
	const settlement = {
		success: true,
		transaction: `0x${'ab'.repeat(32)}`,
		network: call.version === 1 ? NETWORK_V1 : NETWORK,
		payer: call.entry.payment.payload?.authorization?.from,
		...fields,
	};
	const name = call.version === 1 ? 'x-payment-response' : 'payment-response';
	return { [name]: base64(settlement) };
}

/** What was signed, in the words the facilitator wants. */
function acceptedBy(rogue, entry) {
	const { payment } = entry;
	if (payment.x402Version !== 1)
		return payment.accepted;
	const { to, value } = payment.payload.authorization;
	return {
		scheme: payment.scheme, network: payment.network, maxAmountRequired: value, asset: USDC,
		payTo: to, resource: `${rogue.url}${entry.url}`, description: '', mimeType: '',
		maxTimeoutSeconds: 60, extra: { name: 'USDC', version: '2' },
	};
}

// --- what happens after a payment ------------------------------------------

const reset = (call) => call.response.socket.resetAndDestroy();

/**
 * An honest challenge first; then, once paid, this. The signature is in the
 * seller's hands in every one of them.
 */
export const TAKERS = {
	// Settles and gives a true receipt: the one honest case.
	'honest': async (call) => {
		const { transaction } = await call.rogue.settle(call.entry);
		goods(call, receipt(call, { transaction }));
	},
	// Says that it settled, with a transaction that never was.
	'forges-receipt': (call) => goods(call, receipt(call)),
	'silent': (call) => goods(call),
	'settles-silently': async (call) => {
		await call.rogue.settle(call.entry);
		goods(call);
	},
	'error': (call) => goods(call, {}, 500),
	'settles-then-error': async (call) => {
		await call.rogue.settle(call.entry);
		goods(call, {}, 500);
	},
	'bad-request': (call) => goods(call, {}, 400),
	'reset': reset,
	'settles-then-reset': async (call) => {
		await call.rogue.settle(call.entry);
		reset(call);
	},
	'half-a-body': (call) => {
		call.response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 100_000 });
		call.response.write('x'.repeat(50_000), () => reset(call));
	},
	'hang': async (call) => {
		await call.rogue.gate.pass();
		goods(call);
	},
	'asks-again': (call) => ask(call),
	// Long enough to be cut somewhere, and no byte of it is a character by itself.
	'asks-in-many-words': (call) => send402(call, challenge(call, [requirement(call)],
		{ error: `x${'\u20ac'.repeat(500)}` })),
	'asks-more': (call) => ask(call, { amount: String(BigInt(call.price) * 2n) }),
	'asks-for-other-payee': (call) => ask(call, { payTo: STRANGER }),
	'rejects': (call) => send402(call, challenge(call, [requirement(call)]),
		receipt(call, { success: false, transaction: '', errorReason: 'insufficient_funds' })),
	'pending': (call) => send402(call, challenge(call, [requirement(call)]),
		receipt(call, { success: false, errorReason: 'settlement_pending' })),
	'plain-402': (call) => {
		call.response.writeHead(402, { 'content-type': 'text/plain' });
		call.response.end('more money');
	},
	'receipt-false': (call) => goods(call, receipt(call, { success: false, transaction: '', errorReason: 'no' })),
	'receipt-other-payer': (call) => goods(call, receipt(call, { payer: STRANGER })),
	'receipt-other-network': (call) => goods(call, receipt(call, { network: call.version === 1 ? 'base' : 'eip155:8453' })),
	'receipt-no-transaction': (call) => goods(call, receipt(call, { transaction: '' })),
	'receipt-other-amount': (call) => goods(call, receipt(call, { amount: '1' })),
	'receipt-junk': (call) => goods(call, { 'payment-response': '!!!not base64!!!' }),
	'receipt-twice': (call) => {
		const [[name, value]] = Object.entries(receipt(call));
		const other = Object.values(receipt(call, { success: false, transaction: '' }))[0];
		call.response.writeHead(200, ['content-type', 'application/json', name, value, name, other]);
		call.response.end('{}');
	},
	'redirects-out': (call) => goods(call, { location: `${call.rogue.elsewhere.url}/trap` }, 302),
	'redirects-in': (call) => goods(call, { location: `${call.rogue.url}/free` }, 302),
	'header-bomb': (call) => goods(call, bomb()),
};

/** Cases that a version 1 seller can play as well. */
export const TAKERS_V1 = Object.keys(TAKERS).filter((name) => name !== 'receipt-junk');

// --- what was paid for, and what comes instead -------------------------------

const json = { 'content-type': 'application/json' };
const WARE = JSON.stringify({ results: [{ price: 1.5 }, { price: 2 }] });

/** Settles, gives a true receipt, and then this. */
const settled = (status, headers, body) => async (call) => {
	const { transaction } = await call.rogue.settle(call.entry);
	call.response.writeHead(status, { ...headers, ...receipt(call, { transaction }) });
	call.response.end(body);
};

export const GOODS = {
	'gives-json': settled(200, json, WARE),
	'gives-gzip': settled(200, { ...json, 'content-encoding': 'gzip' }, zlib.gzipSync(WARE)),
	'gives-html': settled(200, { 'content-type': 'text/html' }, '<p>thank you</p>'),
	'gives-nothing': settled(200, json, ''),
	'gives-no-content': settled(204, {}, undefined),
	'gives-other-json': settled(200, json, '{"results":[{"price":"1.5"}]}'),
	'gives-half-json': settled(200, json, WARE.slice(0, 20)),
	'gives-much': settled(200, json, JSON.stringify({ results: [], filling: 'x'.repeat(300_000) })),
	'gives-a-bomb': settled(200, { ...json, 'content-encoding': 'gzip' },
		zlib.gzipSync(Buffer.alloc(10 << 20, ' '))),
	'gives-half-gzip': settled(200, { ...json, 'content-encoding': 'gzip' },
		zlib.gzipSync(WARE).subarray(0, 30)),
	'gives-brotli': settled(200, { ...json, 'content-encoding': 'br' }, zlib.brotliCompressSync(WARE)),
	'gives-500': settled(500, json, WARE),
	'gives-404': settled(404, json, WARE),
	'gives-a-redirect': settled(302, { location: '/elsewhere' }, ''),
	'gives-half': async (call) => {
		const { transaction } = await call.rogue.settle(call.entry);
		call.response.writeHead(200, { ...json, 'content-length': 2 * WARE.length, ...receipt(call, { transaction }) });
		call.response.write(WARE, () => reset(call));
	},
	// Cut off the first time; whoever asks again with the same payment gets all of it. With "?later"
	// it is cashed then, so that until then the chain says nothing.
	'gives-half-first': async (call) => {
		const { nonce } = call.entry.payment.payload.authorization;
		const again = call.rogue.cashed.has(nonce);
		if (!call.rogue.cashed.get(nonce) && (again || !call.request.url.endsWith('?later')))
			call.rogue.cashed.set(nonce, (await call.rogue.settle(call.entry)).transaction);
		if (again) {
			call.response.writeHead(200, { ...json, ...receipt(call, { transaction: call.rogue.cashed.get(nonce) }) });
			call.response.end(WARE);
			return;
		}
		if (!call.rogue.cashed.has(nonce))
			call.rogue.cashed.set(nonce, null);
		call.response.writeHead(200, { ...json, 'content-length': WARE.length });
		call.response.write(WARE.slice(0, 10), () => reset(call));
	},
};

// --- what a seller puts its name to -------------------------------------------

const nowS = () => Math.floor(Date.now() / 1000);

/** Signed offers for what is asked, and a signed receipt for it; `bend` each of them. */
function signs({ signer, offer: bendOffer = {}, receipt: bendReceipt = {} } = {}) {
	const sign = (data) => (signer ?? devAccount(3)).signTypedData(data);
	const wrap = (info) => ({ extensions: { 'offer-receipt': { info, schema: {} } } });
	return async (call) => {
		const resourceUrl = `${call.rogue.url}${call.request.url}`;
		if (!call.entry.payment) {
			const asked = requirement(call);
			const payload = {
				version: 1, resourceUrl, scheme: 'exact', network: NETWORK, asset: asked.asset,
				payTo: asked.payTo, amount: asked.amount, validUntil: nowS() + 60, ...bendOffer,
			};
			const offer = { format: 'eip712', acceptIndex: 0, payload, signature: await signOfferEIP712(payload, sign) };
			send402(call, { ...challenge(call, [asked]), ...wrap({ offers: [offer] }) });
			return;
		}
		const { transaction } = await call.rogue.settle(call.entry);
		const payload = {
			version: 1, network: NETWORK, resourceUrl, issuedAt: nowS(), transaction,
			payer: call.entry.payment.payload.authorization.from, ...bendReceipt,
		};
		const signed = { format: 'eip712', payload, signature: await signReceiptEIP712(payload, sign) };
		goods(call, receipt(call, { transaction, ...wrap({ receipt: signed }) }));
	};
}

/** A seller who signs, and what is wrong with it. */
export const SIGNERS = {
	'signs': signs(),
	'signs-as-stranger': signs({ signer: devAccount(8) }),
	'signs-for-less': signs({ offer: { amount: '1' } }),
	'signs-for-another-host': signs({
		offer: { resourceUrl: 'https://evil.example/' }, receipt: { resourceUrl: 'https://evil.example/' },
	}),
	'signs-too-late': signs({ offer: { validUntil: 1_700_000_000 }, receipt: { issuedAt: 1_700_000_000 } }),
	'signs-for-another-payer': signs({ receipt: { payer: STRANGER } }),
	'signs-another-transaction': signs({ receipt: { transaction: `0x${'ef'.repeat(32)}` } }),
};

// --- challenges that cannot be read ----------------------------------------

const bomb = () => Object.fromEntries(
	Array.from({ length: 4000 }, (_, i) => [`x-bomb-${i}`, 'b'.repeat(500)]));

function raw402(call, headers, body = '{}') {
	call.response.writeHead(402, headers);
	call.response.end(body);
}

const deep = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

/** A good challenge with one key said twice, the second time worse. */
function twice(call) {
	const good = JSON.stringify(challenge(call, [requirement(call)]));
	return good.replace('"amount":', `"amount":"1","amount":`);
}

/** Challenges that are broken as a whole, whatever they offer. */
export const MALFORMED = {
	'junk-base64': (call) => raw402(call, { 'payment-required': '%%%not base64%%%' }),
	'base64-of-junk': (call) => raw402(call, { 'payment-required': base64('not json at all') }),
	'base64-of-a-list': (call) => raw402(call, { 'payment-required': base64([1, 2, 3]) }),
	'deep-json': (call) => raw402(call, { 'payment-required': base64(deep(5000)) }),
	'deep-json-body': (call) => raw402(call, { 'content-type': 'application/json' },
		deep(200_000)),
	'duplicate-key': (call) => raw402(call, { 'payment-required': base64(twice(call)) }),
	'duplicate-header': (call) => {
		const cheap = base64(challenge(call, [requirement(call, { amount: '1' })]));
		const dear = base64(challenge(call, [requirement(call)]));
		raw402(call, ['payment-required', cheap, 'payment-required', dear]);
	},
	'no-options': (call) => send402(call, challenge(call, [])),
	'version-3': (call) => raw402(call, {
		'payment-required': base64({ ...challenge(call, [requirement(call)]), x402Version: 3 }),
	}),
	'wrong-types': (call) => raw402(call, {
		'payment-required': base64({ x402Version: 2, resource: 7, accepts: { 0: 'exact' } }),
	}),
	'many-options': (call) => send402(call, challenge(call,
		Array.from({ length: 2000 }, () => requirement(call, OFFERS['other-asset'])))),
	'giant-header': (call) => raw402(call, { 'payment-required': 'A'.repeat(4 << 20) }),
	'giant-body': (call) => raw402(call, { 'content-type': 'application/json' },
		`{"x402Version":1,"accepts":[],"error":"${'x'.repeat(32 << 20)}"}`),
	'header-bomb-402': (call) => raw402(call, bomb()),
	// 100 MB of blanks in 100 KB.
	'gzip-bomb': (call) => raw402(call, { 'content-encoding': 'gzip' }, GZIP_BOMB),
	'gzip-cut-short': (call) => raw402(call, { 'content-encoding': 'gzip' },
		zlib.gzipSync('{"x402Version":1,"accepts":[]}').subarray(0, 20)),
};

export const GZIP_BOMB = zlib.gzipSync(Buffer.alloc(100 << 20, ' '));

/** A version 1 challenge as a compressing web server sends it. */
function askCompressed(call) {
	const asked = challengeV1(challenge(call, [requirement(call)]));
	call.response.writeHead(402, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
	call.response.end(zlib.gzipSync(JSON.stringify(asked)));
}

// --- the rest ---------------------------------------------------------------

const honestAfterwards = (offer) => async (call) => {
	if (!call.entry.payment)
		return offer(call);
	return TAKERS.honest(call);
};

const OTHERS = {
	'free': (call) => goods(call),
	'compressed': honestAfterwards(askCompressed),
	'asks-late': honestAfterwards(async (call) => {
		await call.rogue.gate.pass();
		ask(call);
	}),
	// A 402 as it was used before x402 came: not a challenge at all.
	'not-x402': (call) => raw402(call, { 'content-type': 'text/plain' }, 'pay by bank transfer, please'),
	'not-x402-json': (call) => raw402(call, { 'content-type': 'application/json' },
		'{"error":"quota exhausted","upgrade":"https://example.com/plans"}'),
	'redirect-out': (call) => goods(call, { location: `${call.rogue.elsewhere.url}/trap` }, 302),
	'redirect-in': (call) => goods(call, { location: `${call.rogue.url}/free?from=redirect` }, 302),
	'redirect-in-relative': (call) => goods(call, { location: '/free?from=redirect' }, 302),
	// The dearest first; the one worth taking is last.
	'cheapest-last': honestAfterwards((call) => send402(call, challenge(call, [
		requirement(call, { amount: '90000' }),
		requirement(call, { amount: '50000' }),
		requirement(call, { amount: '20000' }),
	]))),
	// The cheapest is a trap; the cheapest that may be paid is in the middle.
	'cheapest-is-trap': honestAfterwards((call) => send402(call, challenge(call, [
		requirement(call, { amount: '90000' }),
		requirement(call, { amount: '100', ...OFFERS['lookalike-18-decimals'] }),
		requirement(call, { amount: '30000' }),
		requirement(call, { amount: '200', ...OFFERS['domain-name'] }),
	]))),
	// A load balancer in front: same host, other scheme and path. Common, honest.
	'resource-other-path': honestAfterwards((call) => send402(call,
		challenge(call, [requirement(call)], {
			resource: { url: `${call.rogue.url.replace('http:', 'https:')}/internal/path` },
		}))),
	// Version 1 body and version 2 header together, as dual-stack sellers send.
	'dual-stack': honestAfterwards((call) => {
		const paymentRequired = challenge(call, [requirement(call)]);
		raw402(call, {
			'content-type': 'application/json', 'payment-required': base64(paymentRequired),
		}, JSON.stringify(challengeV1(paymentRequired)));
	}),
	// Absent fields said as null, as the Python and Go sellers do.
	'nulls': honestAfterwards((call) => {
		const paymentRequired = challenge(call, [requirement(call)]);
		send402(call, { ...paymentRequired, error: null, extensions: null,
			resource: { ...paymentRequired.resource, mimeType: null, tags: null } });
	}),
	// Fields from the future must come back in the echo as they were.
	'unknown-fields': honestAfterwards((call) => send402(call,
		challenge(call, [requirement(call, {
			extra: { name: 'USDC', version: '2', tier: { gold: [1, 2.5, 'é'] } }, futureField: true,
		})]))),
};

function find(name) {
	if (name in OFFERS)
		return (call) => call.entry.payment ? goods(call) : ask(call, OFFERS[name]);
	if (name in GOODS)
		return (call) => call.entry.payment ? GOODS[name](call) : ask(call);
	if (name in SIGNERS)
		return SIGNERS[name];
	if (name in TAKERS)
		return (call) => call.entry.payment ? TAKERS[name](call) : ask(call);
	return MALFORMED[name] ?? OTHERS[name];
}

async function handle(rogue, request, response) {
	const entry = rogue.record.note(request);
	const chunks = [];
	for await (const chunk of request)
		chunks.push(chunk);
	entry.body = Buffer.concat(chunks);
	const url = new URL(request.url, rogue.url);
	const parts = url.pathname.split('/').filter(Boolean);
	const version = parts[0] === 'v1' ? 1 : 2;
	const name = version === 1 ? parts[1] : parts[0];
	const serve = rogue.cases[name] ?? find(name);
	if (!serve) {
		response.writeHead(404);
		response.end(`no case ${name}`);
		return;
	}
	const price = url.searchParams.get('price') ?? '10000';
	await serve({ rogue, request, response, entry, name, version, price });
}

/** The host nobody should be led to. */
async function startElsewhere() {
	const record = new Record();
	const server = http.createServer((request, response) => {
		record.note(request);
		response.end('caught');
	});
	return { record, url: await listen(server), stop: () => shut(server) };
}

/**
 * Start the rogue seller.
 *
 * record        every request it got; record.signatures('/reset') what it holds
 * settle(entry) cash the payment of a recorded request, now
 * gate          holds calls to /hang after payment, once closed
 * cashed        transactions by nonce, of payments it settled and may be sent again
 * cases         further cases of one test file, by name
 * elsewhere     another host that records whoever is led to it
 */
export async function startRogue(facilitator,
	{ port = 0, host, payTo = devAccount(3).address, cases = {} } = {}) {
	const rogue = {
		payTo, cases, record: new Record(), gate: new Gate(), cashed: new Map(), elsewhere: await startElsewhere(),
		settle: (entry) => facilitator.settle(entry.payment, acceptedBy(rogue, entry)),
	};
	const server = http.createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
		handle(rogue, request, response).catch((error) => {
			if (!response.headersSent && !response.destroyed) {
				response.writeHead(500);
				response.end(String(error.stack));
			}
		});
	});
	rogue.url = await listen(server, port, host);
	/** Cut every connection, as a seller that crashes would. */
	rogue.cut = () => server.closeAllConnections();
	rogue.stop = async () => {
		rogue.gate.open();
		await rogue.elsewhere.stop();
		await shut(server);
	};
	return rogue;
}
