// Waiting on a condition, with a deadline. Tests never sleep for a guess of
// how long something takes; they say what must become true.

import crypto from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import './exit.mjs';

const POLL_MS = 10;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A probe that hangs is one that has not come true. */
async function within(ms, probe) {
	let timer;
	const late = new Promise((_resolve, reject) => {
		timer = setTimeout(() => reject(new Error('the last look never ended')), Math.max(ms, POLL_MS));
	});
	try {
		return await Promise.race([probe, late]);
	} finally {
		clearTimeout(timer);
	}
}

/**
 * Call `probe` until it returns something truthy, and return that.
 *
 * A probe that throws counts as "not yet"; its last error is told when the
 * deadline passes, which is usually the whole answer.
 */
export async function until(what, probe, { deadlineMs = 20_000 } = {}) {
	const deadline = Date.now() + deadlineMs;
	let last;
	for (;;) {
		try {
			const found = await within(deadline - Date.now(), probe());
			if (found)
				return found;
			last = undefined;
		} catch (error) {
			last = error;
		}
		if (Date.now() >= deadline)
			throw new Error(`gave up after ${deadlineMs} ms waiting for ${what}` +
				(last ? `: ${last.message}` : ''));
		await pause(POLL_MS);
	}
}

/** A gate that stops whoever waits at it until the test opens it. */
export class Gate {
	#open = true;
	#waiting = [];

	close() {
		this.#open = false;
	}

	/** Let everyone through, those who wait now and those who come later. */
	open() {
		this.#open = true;
		for (const go of this.#waiting.splice(0))
			go();
	}

	/** How many are standing at the gate. */
	get waiting() {
		return this.#waiting.length;
	}

	pass() {
		if (this.#open)
			return Promise.resolve();
		return new Promise((resolve) => this.#waiting.push(resolve));
	}
}

/** Below what the kernel gives to connections and to whoever asks for any port. */
const PORTS = { first: 16_384, count: 16_384 };
const PORT_TRIES_MAX = 256;

/** Is nobody there, and will nobody else who asks here be sent there while this process lives? */
async function claimPort(port) {
	const claim = dgram.createSocket('udp4').unref();
	const probe = net.createServer();
	try {
		claim.bind({ address: '127.0.0.1', port, exclusive: true });
		await once(claim, 'listening');
		probe.listen(port, '127.0.0.1');
		await once(probe, 'listening');
		await new Promise((resolve) => probe.close(resolve));
		return true;
	} catch (error) {
		claim.close();
		if (error.code !== 'EADDRINUSE')
			throw error;
		return false;
	}
}

/**
 * A loopback port where nobody listens, for a program that is started, ended and started again.
 * It stays this process's: several test processes work side by side, so each holds the UDP port
 * of the same number until it ends.
 */
export async function freePort() {
	for (let tries = 0; tries < PORT_TRIES_MAX; tries++) {
		const port = PORTS.first + crypto.randomInt(PORTS.count);
		if (await claimPort(port))
			return port;
	}
	throw new Error(`no free port in ${PORT_TRIES_MAX} tries from ${PORTS.first} on`);
}

/** Listen on a free loopback port; resolves to the base URL. */
export function listen(server, port = 0, host = '127.0.0.1') {
	return new Promise((resolve, reject) => {
		server.once('error', reject);
		server.listen(port, host, () => resolve(`http://${host}:${server.address().port}`));
	});
}

/** Close a server and whatever is still connected to it. */
export function shut(server) {
	return new Promise((resolve) => {
		server.close(() => resolve());
		server.closeAllConnections?.();
	});
}
