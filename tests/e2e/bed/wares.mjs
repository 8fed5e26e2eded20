// What the sellers sell. The same handlers stand behind the version 1 and the
// version 2 paywall; a handler runs only once the paywall has let a call in.

import { createHash } from 'node:crypto';

const CHUNK = 64 * 1024;

/** Byte `i` of the stream the seller sends: any cut or repeat shows. */
const streamByte = (i) => (i * 31 + (i >> 8)) & 0xff;

/** What GET /stream/…?bytes=n must have sent. */
export function streamDigest(bytes) {
	const hash = createHash('sha256');
	for (let at = 0; at < bytes; at += CHUNK)
		hash.update(streamChunk(at, Math.min(CHUNK, bytes - at)));
	return hash.digest('hex');
}

function streamChunk(at, length) {
	const chunk = Buffer.allocUnsafe(length);
	for (let i = 0; i < length; i++)
		chunk[i] = streamByte(at + i);
	return chunk;
}

function sendStream(seller, response, bytes) {
	let at = 0;
	seller.streamed = 0;
	response.setHeader('content-type', 'application/octet-stream');
	response.setHeader('content-length', bytes);
	const more = () => {
		while (at < bytes) {
			const chunk = streamChunk(at, Math.min(CHUNK, bytes - at));
			at += chunk.length;
			seller.streamed = at;
			if (!response.write(chunk)) {
				response.once('drain', more);
				return;
			}
		}
		response.end();
	};
	more();
}

async function readBody(request) {
	const hash = createHash('sha256');
	let length = 0;
	for await (const chunk of request) {
		hash.update(chunk);
		length += chunk.length;
	}
	return { length, sha256: hash.digest('hex') };
}

/**
 * Put the wares on an express app.
 *
 * /free, /echo       free; /echo answers with what it got
 * /free-stream?bytes=n  a large body, streamed; seller.streamed says how far it is
 * /paid/<price>      answers with what it got, any method
 * /slow/<price>      waits at seller.gate first
 * /stream/…?bytes=n  a large body
 * /broken/<price>    500 from the handler; /missing/<price> 404
 */
export function layOut(app, seller) {
	const echo = async (request, response) => {
		const body = await readBody(request).catch(() => null);
		if (body === null)
			return; // the buyer is gone
		const entry = {
			seller: seller.name, method: request.method, path: request.path,
			query: request.query, headers: request.headers, body,
		};
		seller.served.push(entry);
		response.set('x-seller', seller.name);
		response.json(entry);
	};
	app.get('/free', (_request, response) => response.json({ seller: seller.name, free: true }));
	app.get('/health', (_request, response) => response.json({ ok: true }));
	app.all('/echo', echo);
	app.get('/free-stream', (request, response) =>
		sendStream(seller, response, Number(request.query.bytes)));
	app.all(['/paid/:price', '/paid/:price/*', '/choice'], echo);
	app.all('/upfront/:price', echo);
	app.all('/slow/:price', async (request, response) => {
		await seller.gate.pass();
		await echo(request, response);
	});
	app.get('/stream/:price', (request, response) => {
		seller.served.push({ method: 'GET', path: request.path });
		sendStream(seller, response, Number(request.query.bytes));
	});
	app.all(['/broken/:price', '/upfront-broken/:price'], (_request, response) =>
		response.status(500).json({ error: 'the seller broke after taking the payment' }));
	app.all('/missing/:price', (_request, response) =>
		response.status(404).json({ error: 'no such thing, although you would have paid for it' }));
}
