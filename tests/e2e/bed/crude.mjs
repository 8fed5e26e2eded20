// A seller that speaks HTTP by hand, byte for byte, where no server library would: broken
// framing, heads without end, answers nobody asked for. Each connection serves requests one
// after the other until its case ends it.

import net from 'node:net';
import { once } from 'node:events';
import { devAccount } from './chain.mjs';
import { Record } from './record.mjs';
import { challenge, base64, requirement } from './rogue.mjs';
import { listen } from './wait.mjs';

export const head = (status, ...fields) =>
	`HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

/** Bytes from a socket, a line or a count at a time. */
class Inlet {
	#kept = Buffer.alloc(0);

	constructor(socket) {
		this.chunks = socket.iterator({ destroyOnReturn: false });
	}

	async #more() {
		const { value, done } = await this.chunks.next();
		if (done)
			throw new Error('the buyer is gone');
		this.#kept = Buffer.concat([this.#kept, value]);
	}

	async until(mark) {
		while (this.#kept.indexOf(mark) < 0)
			await this.#more();
		const at = this.#kept.indexOf(mark);
		const text = this.#kept.subarray(0, at).toString('latin1');
		this.#kept = this.#kept.subarray(at + mark.length);
		return text;
	}

	async take(count) {
		while (this.#kept.length < count)
			await this.#more();
		const bytes = this.#kept.subarray(0, count);
		this.#kept = this.#kept.subarray(count);
		return bytes;
	}
}

async function readRequest(inlet) {
	const [line, ...fields] = (await inlet.until('\r\n\r\n')).split('\r\n');
	const [method, url] = line.split(' ');
	const rawHeaders = fields.flatMap((field) =>
		[field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1).trim()]);
	const headers = {};
	for (let i = 0; i < rawHeaders.length; i += 2)
		headers[rawHeaders[i].toLowerCase()] = rawHeaders[i + 1];
	const length = Number(headers['content-length'] ?? 0);
	return { method, url, headers, rawHeaders, body: await inlet.take(length) };
}

/** What a case has in its hands: one request, and the socket to answer it on. */
class Wire {
	version = 2;
	price = '10000';
	/** Bytes that the buyer's side has taken. */
	sent = 0;

	constructor(seller, socket, request, entry) {
		Object.assign(this, { rogue: seller, socket, request, entry, gone: socket.gone });
	}

	get open() {
		return !this.socket.destroyed;
	}

	/** Resolves when the bytes are on their way, or when there is nobody left to take them. */
	async write(bytes) {
		if (this.open && !this.socket.write(bytes))
			await Promise.race([once(this.socket, 'drain').catch(() => {}), this.gone]);
		this.sent += bytes.length;
	}

	/** The same again and again, until the buyer has had enough. */
	async flood(bytes, count = Infinity) {
		for (let i = 0; i < count && this.open; i++)
			await this.write(bytes);
	}

	/** A little at a time, for as long as anybody listens. */
	async drip(bytes, ms = 50) {
		while (this.open) {
			await this.write(bytes);
			await Promise.race([this.gone, new Promise((resolve) => setTimeout(resolve, ms))]);
		}
	}

	/** The field of an honest challenge, of version 2. */
	challenge(bent) {
		return `PAYMENT-REQUIRED: ${base64(challenge(this, [requirement(this, bent)], bent))}`;
	}

	ask(bent) {
		return this.write(`${head('402 Payment Required', this.challenge(bent), 'Content-Length: 2')}{}`);
	}

	end(bytes) {
		this.socket.end(bytes);
		return this.gone;
	}

	reset() {
		this.socket.resetAndDestroy();
	}
}

/**
 * Start a crude seller.
 *
 * cases    by the first part of the path: async (wire) => …; a case that leaves the
 *          connection open gets the next request of it
 * record   every request it got
 * last     the wire of the last request
 */
export async function startCrude(cases, { payTo = devAccount(3).address } = {}) {
	const sockets = new Set();
	const seller = { payTo, cases, record: new Record(), last: null };
	const serve = async (socket) => {
		const inlet = new Inlet(socket);
		while (!socket.destroyed && !socket.writableEnded) {
			const request = await readRequest(inlet);
			const entry = seller.record.note(request);
			entry.body = request.body;
			seller.last = new Wire(seller, socket, request, entry);
			const play = cases[decodeURIComponent(request.url.split(/[/?]/)[1])];
			await (play ? play(seller.last) : seller.last.end(head('404 Not Found', 'Content-Length: 0')));
		}
	};
	const server = net.createServer((socket) => {
		sockets.add(socket);
		socket.on('error', () => {});
		socket.gone = new Promise((resolve) => socket.once('close', resolve));
		socket.gone.then(() => sockets.delete(socket));
		serve(socket).catch(() => socket.destroy());
	});
	seller.url = await listen(server);
	/** How many connections are open. */
	Object.defineProperty(seller, 'connections', { get: () => sockets.size });
	seller.stop = () => new Promise((resolve) => {
		server.close(() => resolve());
		for (const socket of sockets)
			socket.destroy();
	});
	return seller;
}
