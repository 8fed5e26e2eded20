// The official sellers: express behind the x402 paywall, version 2 here and
// version 1 in ../v1 (its packages are kept apart).

import express from 'express';
import http from 'node:http';
import { HTTPFacilitatorClient } from '@x402/core/server';
import { ExactEvmScheme } from '@x402/evm/exact/server';
import { paymentMiddleware, x402ResourceServer } from '@x402/express';
import { createOfferReceiptExtension, declareOfferReceiptExtension } from '@x402/extensions/offer-receipt';
import { NETWORK, devAccount } from './chain.mjs';
import { Record } from './record.mjs';
import { Gate, listen, shut } from './wait.mjs';
import { layOut } from './wares.mjs';

/** The second part of the path is the price: /paid/0.05 costs $0.05. */
const priceInPath = ({ path }) => `$${path.split('/')[2]}`;

function wares(payTo) {
	const offer = (extra = {}) => ({
		scheme: 'exact', network: NETWORK, payTo, price: priceInPath, maxTimeoutSeconds: 60, ...extra,
	});
	const routes = {};
	for (const kind of ['paid', 'slow', 'stream', 'broken', 'missing'])
		routes[`/${kind}/*`] = { accepts: offer(), description: `${kind} ware`, mimeType: 'application/json' };
	// Settles before the handler runs, so that money has moved when it fails.
	for (const kind of ['upfront', 'upfront-broken'])
		routes[`/${kind}/*`] = { accepts: offer({ extra: { paymentFlow: 'upfront' } }) };
	// The dearest first, as a seller who hopes for careless buyers would list them.
	routes['/choice'] = {
		accepts: ['$0.09', '$0.05', '$0.03'].map((price) => offer({ price })),
	};
	return routes;
}

function emptySeller(name, payTo) {
	return { name, payTo, gate: new Gate(), record: new Record(), served: [] };
}

async function open(seller, app, port) {
	const server = http.createServer((request, response) => {
		seller.record.note(request);
		app(request, response);
	});
	seller.url = await listen(server, port);
	seller.stop = () => {
		seller.gate.open();
		return shut(server);
	};
	return seller;
}

/** The official version 2 seller. */
export async function startSeller(facilitatorUrl, { port = 0, payTo = devAccount(1).address } = {}) {
	const seller = emptySeller('v2', payTo);
	const app = express();
	const paywall = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitatorUrl }))
		.register(NETWORK, new ExactEvmScheme());
	app.use(paymentMiddleware(wares(payTo), paywall));
	layOut(app, seller);
	return open(seller, app, port);
}

/**
 * The official version 2 seller with the official offer-receipt extension. `issuer` signs
 * offers and receipts; `includeTxHash` puts the transaction into the receipt.
 */
export async function startSigningSeller(facilitatorUrl, issuer,
	{ port = 0, payTo = devAccount(1).address, includeTxHash = false } = {}) {
	const seller = emptySeller('v2', payTo);
	const app = express();
	const paywall = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitatorUrl }))
		.register(NETWORK, new ExactEvmScheme())
		.registerExtension(createOfferReceiptExtension(issuer));
	const routes = wares(payTo);
	for (const route of Object.values(routes))
		route.extensions = declareOfferReceiptExtension({ includeTxHash });
	app.use(paymentMiddleware(routes, paywall));
	layOut(app, seller);
	return open(seller, app, port);
}

/** The official version 1 seller. Its packages take a while to load. */
export async function startSellerV1(facilitatorUrl, { port = 0, payTo = devAccount(2).address } = {}) {
	const seller = emptySeller('v1', payTo);
	const { paywallV1 } = await import('../v1/paywall.mjs');
	const app = express();
	app.use(paywallV1(payTo, facilitatorUrl));
	layOut(app, seller);
	return open(seller, app, port);
}
