// What a seller saw: every request that reached it, paid or not. Tests count
// here how many signatures really left tallyward.

/** The payment a request carries, decoded, or null. Version 1 and 2. */
export function paymentOf(headers) {
	const header = headers['payment-signature'] ?? headers['x-payment'];
	if (header === undefined)
		return null;
	try {
		return JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
	} catch {
		return { undecodable: header };
	}
}

export class Record {
	requests = [];

	/** Note a request. Returns the entry, to which a body may be added later. */
	note(request) {
		const entry = {
			method: request.method,
			url: request.url,
			path: request.url.split('?')[0],
			headers: request.headers,
			rawHeaders: request.rawHeaders,
			header: request.headers['payment-signature'] ?? request.headers['x-payment'] ?? null,
			payment: paymentOf(request.headers),
			body: null,
		};
		this.requests.push(entry);
		return entry;
	}

	#matching(path) {
		if (path === undefined)
			return this.requests;
		return this.requests.filter((r) => r.path === path || r.path.startsWith(`${path}/`));
	}

	/** Requests under a path, in order. */
	at(path) {
		return this.#matching(path);
	}

	/** Requests under a path that carried a payment, in order. */
	paid(path) {
		return this.#matching(path).filter((r) => r.payment);
	}

	/** Different authorizations that reached this seller: each is spendable. */
	signatures(path) {
		const nonces = new Map();
		for (const { payment } of this.paid(path)) {
			const authorization = payment.payload?.authorization;
			nonces.set(authorization?.nonce ?? JSON.stringify(payment), authorization);
		}
		return [...nonces.values()];
	}

	forget() {
		this.requests.length = 0;
	}
}
