// nginx twice: a seller that says the same two things always, and the plain
// reverse proxy that free calls are compared with. One worker process each.

import fs from 'node:fs';
import path from 'node:path';
import { end, start } from '../e2e/bed/child.mjs';
import { freePort, until } from '../e2e/bed/wait.mjs';

const NETWORK = 'eip155:84532';
const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
const PAYEE = '0x209693Bc6afc0C5328bA36FaF03C514EF312287C';
const ANSWER = '{\\"answer\\":42}';

const header = (value) => Buffer.from(JSON.stringify(value)).toString('base64');

/** One millionth of a dollar, and a resource on the host that asks for it. */
const challenge = (url) => header({
	x402Version: 2,
	error: 'PAYMENT-SIGNATURE header is required',
	resource: { url: `${url}/paid`, description: 'an answer', mimeType: 'application/json' },
	accepts: [{
		scheme: 'exact', network: NETWORK, amount: '1', asset: USDC, payTo: PAYEE,
		maxTimeoutSeconds: 60, extra: { name: 'USDC', version: '2' },
	}],
});

/** True for one payer only, so the seller is started once that one is known. */
const receipt = (payer) => header({
	success: true, transaction: `0x${'ab'.repeat(32)}`, network: NETWORK, payer,
});

// As root nginx would become nobody, who may not read what is in a private folder.
const USER = process.getuid() === 0 ? 'user root;' : '';

const frame = (port, http, server) => `
daemon off;
${USER}
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {
	worker_connections 4096;
}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 1000000000;
	default_type application/json;
	${http}
	server {
		listen 127.0.0.1:${port};
		${server}
	}
}
`;

// Each paid request leaves one short line in a file, written at once: how many
// signatures this seller has seen, by its own count.
const sellerConf = (port, payer) => frame(port, `
	map $http_payment_signature $paid {
		default 1;
		"" 0;
	}
	log_format line "$status";`, `
		location = /paid {
			access_log paid.log line if=$paid;
			if ($paid = 0) {
				add_header PAYMENT-REQUIRED "${challenge(`http://127.0.0.1:${port}`)}" always;
				return 402 "{}";
			}
			add_header PAYMENT-RESPONSE "${receipt(payer)}" always;
			return 200 "${ANSWER}";
		}
		location = /free {
			return 200 "${ANSWER}";
		}
		location = /large {
			root .;
			sendfile on;
			default_type application/octet-stream;
		}`);

const proxyConf = (port, upstream) => frame(port, `
	upstream seller {
		server 127.0.0.1:${upstream};
		keepalive 64;
		keepalive_requests 1000000000;
	}`, `
		location / {
			proxy_pass http://seller;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host 127.0.0.1:${upstream};
		}`);

class Nginx {
	constructor(home, name, port, conf) {
		this.dir = path.join(home, name);
		this.port = port;
		this.url = `http://127.0.0.1:${port}`;
		fs.mkdirSync(this.dir);
		const file = path.join(this.dir, 'nginx.conf');
		fs.writeFileSync(file, conf);
		this.child = start('nginx', ['-p', this.dir, '-e', 'stderr', '-c', file]);
	}

	async ready() {
		await until(`nginx on port ${this.port}`, async () => {
			if (this.child.exitCode !== null)
				throw new Error(this.child.log.slice(-2000));
			return (await fetch(`${this.url}/free`)).status === 200;
		});
		const { pid } = this.child;
		this.pids = [pid, ...fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
			.trim().split(' ').filter(Boolean).map(Number)];
		return this;
	}

	/** Requests that carried a payment: one line of four bytes each. */
	paid() {
		return fs.statSync(path.join(this.dir, 'paid.log')).size / 4;
	}

	/** Answer /large with so many bytes, which take no room on the disk. */
	setLarge(bytes) {
		fs.writeFileSync(path.join(this.dir, 'large'), '');
		fs.truncateSync(path.join(this.dir, 'large'), bytes);
	}

	stop() {
		return end(this.child, 'SIGTERM');
	}
}

export async function startSeller(home, payer, port = null) {
	const at = port ?? await freePort();
	return new Nginx(home, 'seller', at, sellerConf(at, payer)).ready();
}

export async function startProxy(home, seller) {
	const at = await freePort();
	return new Nginx(home, 'proxy', at, proxyConf(at, seller.port)).ready();
}
