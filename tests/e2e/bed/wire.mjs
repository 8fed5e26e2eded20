// HTTP by hand: bytes over a socket as they are, past every client library's
// good manners, and answers taken apart strictly, so that a second answer, or
// a byte too many behind one, shows.

import net from 'node:net';
import { once } from 'node:events';

/** One answer. `next` is where the following one begins; null: not all here yet. */
function parse(bytes, at, ended, bodyless) {
	const headEnd = bytes.indexOf('\r\n\r\n', at);
	if (headEnd < 0)
		return null;
	const [line, ...fields] = bytes.toString('latin1', at, headEnd).split('\r\n');
	const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
	if (!status)
		throw new Error(`no status line: ${JSON.stringify(line.slice(0, 200))}`);
	const headers = {};
	for (const field of fields) {
		const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+): ?(.*)$/.exec(field);
		headers[name.toLowerCase()] = value;
	}
	const answer = { status, headers };
	const start = headEnd + 4;
	const end = (next, body) => ({ answer: Object.assign(answer, { text: body.toString() }), next });
	if (status < 200 || status === 204 || status === 304 || bodyless)
		return end(start, Buffer.alloc(0));
	if (headers['content-length'] !== undefined) {
		const size = Number(headers['content-length']);
		return bytes.length < start + size ? null
			: end(start + size, bytes.subarray(start, start + size));
	}
	if (headers['transfer-encoding'] === 'chunked')
		return parseChunks(bytes, start, end);
	return ended ? end(bytes.length, bytes.subarray(start)) : null;
}

function parseChunks(bytes, from, end) {
	const pieces = [];
	for (let at = from; ;) {
		const lineEnd = bytes.indexOf('\r\n', at);
		if (lineEnd < 0)
			return null;
		const size = parseInt(bytes.toString('latin1', at, lineEnd), 16);
		at = lineEnd + 2;
		if (bytes.length < at + size + 2)
			return null;
		if (size === 0)
			return end(at + 2, Buffer.concat(pieces));
		pieces.push(bytes.subarray(at, at + size));
		at += size + 2;
	}
}

export class Wire {
	#bytes = Buffer.alloc(0);
	#at = 0;
	/** 1xx answers so far. */
	interim = [];
	/** The peer has ended its side, or the connection broke. */
	over = false;
	error = null;

	static async connect(url) {
		const { hostname, port } = new URL(url);
		const wire = new Wire();
		wire.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
		wire.socket.on('data', (chunk) => { wire.#bytes = Buffer.concat([wire.#bytes, chunk]); });
		wire.socket.on('end', () => { wire.over = true; });
		wire.socket.on('error', (error) => { wire.error = error; });
		wire.socket.on('close', () => { wire.over = true; });
		await once(wire.socket, 'connect');
		return wire;
	}

	/** Send bytes; a string's characters are bytes. */
	say(bytes) {
		this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
		return this;
	}

	async #news() {
		await new Promise((resolve, reject) => {
			const timer = setTimeout(() => done(reject, new Error(
				`silence after ${JSON.stringify(this.unread.slice(0, 300))}`)), 20_000);
			const heard = () => done(resolve);
			const done = (settle, value) => {
				clearTimeout(timer);
				for (const event of ['data', 'end', 'close'])
					this.socket.off(event, heard);
				settle(value);
			};
			for (const event of ['data', 'end', 'close'])
				this.socket.on(event, heard);
		});
	}

	/** The next final answer, or null when the peer ends the connection without one. */
	async answer({ bodyless = false } = {}) {
		for (;;) {
			const found = parse(this.#bytes, this.#at, this.over, bodyless);
			if (found) {
				this.#at = found.next;
				if (found.answer.status >= 200)
					return found.answer;
				this.interim.push(found.answer.status);
			} else if (this.over) {
				return null;
			} else {
				await this.#news();
			}
		}
	}

	/** What came behind the last answer that was read. */
	get unread() {
		return this.#bytes.toString('latin1', this.#at);
	}

	/** The peer ends the connection. */
	async ended() {
		while (!this.over)
			await this.#news();
	}

	/** End our side in good order. */
	end() {
		this.socket.end();
	}

	close() {
		this.socket.destroy();
	}

	/** As a machine that lost its power after it was asked. */
	reset() {
		this.socket.resetAndDestroy();
	}
}
