// An authority of the test's own, its certificates of every kind, and servers
// that show them. Made with the openssl program, into a folder of the test's.

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { run } from './child.mjs';

const DAY_MS = 86_400_000;

async function openssl(folder, ...args) {
	const { code, stderr } = await run('openssl', args, { cwd: folder });
	if (code !== 0)
		throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

/** 20260102030405Z, as certificates say it. */
const asn1Time = (ms) => `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;

const newKey = (file) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file];

export class Authority {
	#made = 0;

	static async create(folder, name = 'authority') {
		const authority = new Authority();
		authority.folder = path.join(folder, name);
		authority.file = path.join(authority.folder, 'ca.pem');
		fs.mkdirSync(authority.folder, { mode: 0o700 });
		fs.writeFileSync(path.join(authority.folder, 'index.txt'), '');
		fs.writeFileSync(path.join(authority.folder, 'serial'), '1000\n');
		await openssl(authority.folder, 'req', '-x509', ...newKey('ca.key'), '-out', 'ca.pem', '-days', '30',
			'-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature');
		return authority;
	}

	/**
	 * A certificate for these names (addresses too), as { cert, key } for tls,
	 * with files.certificate and files.key.
	 *
	 * from, until   days from now
	 * mustStaple    says that a response will be stapled
	 * weak          with a key that anybody can break who wants to
	 * selfSigned    by nobody else
	 */
	async issue(names, { from = -1, until = 30, mustStaple = false, selfSigned = false, weak = false } = {}) {
		const base = `leaf-${++this.#made}`;
		const list = names.map((name) => `${net.isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',');
		const subject = ['-subj', `/CN=${names[0]}`];
		const extensions = `subjectAltName=${list}\n${mustStaple ? 'tlsfeature=status_request\n' : ''}`;
		if (selfSigned) {
			await openssl(this.folder, 'req', '-x509', ...newKey(`${base}.key`), '-out', `${base}.pem`, '-days', '30',
				...subject, '-addext', `subjectAltName=${list}`);
		} else {
			fs.writeFileSync(path.join(this.folder, `${base}.cnf`), `[ca]
default_ca = us
[us]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
${extensions}`);
			const key = weak ? ['-newkey', 'rsa:1024', '-nodes', '-keyout', `${base}.key`] : newKey(`${base}.key`);
			await openssl(this.folder, 'req', ...key, '-new', '-out', `${base}.csr`, ...subject);
			await openssl(this.folder, 'ca', '-config', `${base}.cnf`, '-batch', '-notext', '-cert', 'ca.pem',
				'-keyfile', 'ca.key', '-in', `${base}.csr`, '-out', `${base}.pem`,
				'-startdate', asn1Time(Date.now() + from * DAY_MS), '-enddate', asn1Time(Date.now() + until * DAY_MS));
		}
		const files = { certificate: path.join(this.folder, `${base}.pem`), key: path.join(this.folder, `${base}.key`) };
		return { base, files, cert: fs.readFileSync(files.certificate), key: fs.readFileSync(files.key) };
	}

	async revoke({ base }) {
		await openssl(this.folder, 'ca', '-config', `${base}.cnf`, '-cert', 'ca.pem', '-keyfile', 'ca.key',
			'-revoke', `${base}.pem`);
	}

	/** What the authority says of it now: an OCSP response. */
	async respond({ base }) {
		await openssl(this.folder, 'ocsp', '-issuer', 'ca.pem', '-cert', `${base}.pem`, '-no_nonce',
			'-reqout', `${base}.ask`);
		await openssl(this.folder, 'ocsp', '-index', 'index.txt', '-CA', 'ca.pem', '-rsigner', 'ca.pem',
			'-rkey', 'ca.key', '-ndays', '1', '-reqin', `${base}.ask`, '-respout', `${base}.der`);
		return fs.readFileSync(path.join(this.folder, `${base}.der`));
	}
}

/**
 * TLS before a seller that speaks plain http: what is decrypted goes to `url`
 * byte for byte. `staple` is given to who asks; `options` go to node's tls.
 * Resolves to { port, secured, stop }; secured counts handshakes that succeeded.
 */
export function startTlsFront(url, { staple, ...options }) {
	const { port: behind } = new URL(url);
	const sockets = new Set();
	const front = { secured: 0, versions: [] };
	const keep = (socket) => {
		sockets.add(socket);
		socket.on('error', () => socket.destroy());
		socket.on('close', () => sockets.delete(socket));
	};
	const server = tls.createServer({ ALPNProtocols: ['http/1.1'], ...options }, (socket) => {
		const inner = net.connect(behind, '127.0.0.1');
		front.secured++;
		front.versions.push(socket.getProtocol());
		keep(inner);
		socket.pipe(inner).pipe(socket);
		socket.on('close', () => inner.destroy());
		inner.on('close', () => socket.destroy());
	});
	server.on('connection', keep);
	server.on('secureConnection', keep);
	server.on('tlsClientError', () => {});
	if (staple)
		server.on('OCSPRequest', (_certificate, _issuer, give) => give(null, staple));
	front.stop = () => new Promise((resolve) => {
		server.close(() => resolve());
		for (const socket of sockets)
			socket.destroy();
	});
	return new Promise((resolve, reject) => {
		server.once('error', reject);
		server.listen(0, '127.0.0.1', () => {
			front.port = server.address().port;
			resolve(front);
		});
	});
}
