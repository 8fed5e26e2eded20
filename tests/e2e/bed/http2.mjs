// A seller that speaks HTTP/2 over TLS, with node's server where that will do and frame by
// frame where it would be too well-mannered.

import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';
import { devAccount } from './chain.mjs';
import { Record } from './record.mjs';

const listening = async (server) => {
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return `https://127.0.0.1:${server.address().port}`;
};

/** A frame of RFC 9113. */
export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head.writeUInt8(type, 3);
	head.writeUInt8(flags, 4);
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

export const FRAME = { DATA: 0, HEADERS: 1, RESET: 3, SETTINGS: 4, PUSH: 5, PING: 6, GOAWAY: 7, WINDOW: 8, CONTINUATION: 9 };

/**
 * Start it. `cases` by the first part of the path: (call) => …, with call.stream, call.entry and
 * what the challenges of the rogue seller want; `frames` by name: (socket) => …, each on a port of
 * its own, once the buyer has sent its first request there. `seller.urls[name]` is where.
 */
export async function startHttp2(certificate, cases, frames = {}, { payTo = devAccount(3).address } = {}) {
	const seller = { payTo, record: new Record(), cases, sessions: new Set(), urls: {} };
	const server = http2.createSecureServer({ key: certificate.key, cert: certificate.cert, allowHTTP1: false });
	server.on('session', (session) => {
		seller.sessions.add(session);
		session.once('close', () => seller.sessions.delete(session));
		session.on('error', () => {});
	});
	server.on('stream', async (stream, headers) => {
		stream.on('error', () => {});
		const request = { method: headers[':method'], url: headers[':path'], headers, rawHeaders: [] };
		const entry = seller.record.note(request);
		entry.protocol = stream.session.alpnProtocol;
		stream.resume();
		await cases[request.url.split(/[/?]/)[1]]({ rogue: seller, request, entry, stream, version: 2, price: '10000' });
	});
	seller.url = await listening(server);
	const servers = [server];
	const sockets = new Set();
	const connections = new Set();
	const follow = (socket) => {
		connections.add(socket);
		socket.once('close', () => connections.delete(socket));
	};
	server.on('connection', follow);
	for (const [name, play] of Object.entries(frames)) {
		const raw = tls.createServer({ key: certificate.key, cert: certificate.cert, ALPNProtocols: ['h2'] }, (socket) => {
			sockets.add(socket);
			socket.on('error', () => {});
			socket.gone = new Promise((resolve) => socket.once('close', resolve));
			socket.gone.then(() => sockets.delete(socket));
			let got = 0;
			// The preface, settings and a request: more than a hundred bytes.
			socket.on('data', (chunk) => {
				got += chunk.length;
				if (got >= 100 && got - chunk.length < 100)
					play(socket);
			});
		});
		raw.on('connection', follow);
		seller.urls[name] = await listening(raw);
		servers.push(raw);
	}
	seller.stop = async () => {
		for (const session of seller.sessions)
			session.destroy();
		// What lies below as well: a session that was broken off may never let go of it.
		for (const socket of [...sockets, ...connections])
			socket.destroy();
		await Promise.all(servers.map((each) => new Promise((resolve) => each.close(resolve))));
	};
	return seller;
}
