// The official version 1 paywall, as an express middleware. It lives here
// because node finds packages by the folder of the file that asks for them.

import { paymentMiddleware } from 'x402-express';

export const PRICES = ['0.001', '0.01', '0.02', '0.05', '0.10', '0.50', '1.00', '5.00'];
const KINDS = ['paid', 'slow', 'stream', 'broken', 'missing'];

/** Version 1 knows only fixed prices, so there is a route for each. */
export function paywallV1(payTo, facilitatorUrl) {
	const routes = {};
	for (const kind of KINDS)
		for (const price of PRICES)
			routes[`/${kind}/${price}`] = {
				price: `$${price}`,
				network: 'base-sepolia',
				config: { description: `${kind} ware`, maxTimeoutSeconds: 60 },
			};
	return paymentMiddleware(payTo, routes, { url: facilitatorUrl });
}
