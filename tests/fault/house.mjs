// A data folder whose daemon is made to be broken: the test program or the shim around the
// real one, a cheap passphrase derivation, and the seller that remembers.

import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from '../e2e/bed/child.mjs';
import { Tallyward, tallywardProgram } from '../e2e/bed/tallyward.mjs';
import { Control } from './control.mjs';

/** What `make check` builds beside the program under test. */
const beside = (name) => {
	const file = path.join(path.dirname(tallywardProgram()), 'tests/fault', name);
	if (!fs.existsSync(file))
		throw new Error(`there is no ${file}: make -C ${path.dirname(tallywardProgram())} ` +
			'tests/fault/tallyward tests/fault/shim.so');
	return file;
};

export const faultProgram = () => beside('tallyward');
export const shim = () => beside('shim.so');

/** The names of the points that the test program can be killed at. */
export function pointNames() {
	const text = fs.readFileSync(faultProgram(), 'latin1');
	return [...new Set([...text.matchAll(/FAULT\/([\x20-\x7e]+)\0/g)].map((m) => m[1]))].sort();
}

/**
 * Seal the data key again under a derivation that costs nothing (wallet/keyfile.h says how it
 * is sealed): a start takes the third of a second otherwise, and there are thousands of them.
 */
function cheapen(dir) {
	const file = path.join(dir, 'keys', 'datakey.json');
	const data = JSON.parse(fs.readFileSync(file, 'utf8'));
	const passphrase = fs.readFileSync(path.join(dir, 'passphrase'), 'utf8').replace(/[\r\n]+$/, '');
	const salt = Buffer.from(data.kdfparams.salt, 'hex');
	const derive = (n) => crypto.scryptSync(passphrase, salt, 32, {
		N: n, r: data.kdfparams.r, p: data.kdfparams.p, maxmem: 512 * 1024 * 1024,
	});
	const aad = (n) => Buffer.from(`tallyward data key 1 scrypt ${n} ${data.kdfparams.r} ` +
		`${data.kdfparams.p} ${data.kdfparams.salt}`);
	const opener = crypto.createDecipheriv('aes-256-gcm', derive(data.kdfparams.n),
		Buffer.from(data.nonce, 'hex'));
	opener.setAAD(aad(data.kdfparams.n));
	opener.setAuthTag(Buffer.from(data.tag, 'hex'));
	const key = Buffer.concat([opener.update(Buffer.from(data.ciphertext, 'hex')), opener.final()]);
	const n = 16;
	const nonce = crypto.randomBytes(12);
	const sealer = crypto.createCipheriv('aes-256-gcm', derive(n), nonce);
	sealer.setAAD(aad(n));
	const ciphertext = Buffer.concat([sealer.update(key), sealer.final()]);
	const tag = sealer.getAuthTag();
	data.kdfparams.n = n;
	data.nonce = nonce.toString('hex');
	data.ciphertext = ciphertext.toString('hex');
	data.tag = tag.toString('hex');
	data.checksum = crypto.createHash('sha256')
		.update(Buffer.concat([aad(n), nonce, ciphertext, tag])).digest('hex');
	fs.writeFileSync(file, JSON.stringify(data, null, 2), { mode: 0o600 });
}

/** Bounds of a folder whose calls are cut off all the time: nobody waits long. */
const QUICK = {
	workers: 2, waiting_ms_max: 2000, response_ms_max: 5000, upstream_idle_ms_max: 5000,
	connect_ms_max: 5000, drain_ms_max: 5000, anchor_s: 1, log_level: 'warn',
};

export class House extends Tallyward {
	/** points: the program that can be killed at them; otherwise the real one. */
	static async make({ points = false, settings = {} } = {}) {
		const house = new House();
		house.program = points ? faultProgram() : tallywardProgram();
		house.home = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-fault-'));
		house.dir = path.join(house.home, 'data');
		house.made = Date.now();
		house.control = new Control(path.join(house.home, 'control'));
		await house.must('init');
		cheapen(house.dir);
		house.configure({ ...QUICK, ...settings });
		return house;
	}

	get database() {
		return path.join(this.dir, 'ledger.db');
	}

	/**
	 * Start with the control page mapped; resolves to the milliseconds that it took.
	 *
	 * preload  with the shim           power   it remembers what was not synced
	 * at       dies at this point      faults  there from the beginning, by their names
	 */
	async begin({ preload = false, power = false, at = null, faults = {} } = {}) {
		this.control.clear();
		this.control.set(faults);
		this.env = at ? { FAULT_AT: at } : { FAULT_CONTROL: this.control.file };
		if (preload)
			Object.assign(this.env, { LD_PRELOAD: shim(), FAULT_FOLDER: this.dir });
		if (power)
			this.env.FAULT_POWER = '1';
		const began = performance.now();
		await this.start();
		return performance.now() - began;
	}

	/** A daemon that has died will not be ready in a while either. */
	ready() {
		const { daemon } = this;
		return Promise.race([super.ready(), daemon.ended.then(({ code, signal }) => {
			throw new Error(`it ended (${code ?? signal}): ${daemon.log.slice(-2000)}`);
		})]);
	}

	/** Start into a world that is broken from the first moment; how that ended. */
	async startBroken(values) {
		this.control.clear();
		this.control.set(values);
		const { code, stderr } = await run(this.program, ['serve', '--listen', '127.0.0.1:0',
			'--admin', '127.0.0.1:0'], { cwd: this.home, env: {
			TALLYWARD_DIR: this.dir, FAULT_CONTROL: this.control.file, FAULT_FOLDER: this.dir,
			LD_PRELOAD: shim() } });
		return { code, stderr };
	}

	/** It has ended by itself. */
	get dead() {
		return this.daemon === null || this.daemon.exitCode !== null || this.daemon.signalCode !== null;
	}

	discard() {
		this.control.close();
		if (!process.env.TALLYWARD_KEEP)
			fs.rmSync(this.home, { recursive: true, force: true });
	}
}
