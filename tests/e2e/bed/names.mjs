// Names that lead where a test says, for a daemon that is started with `env`.

import fs from 'node:fs';
import path from 'node:path';
import { preload } from './preload.mjs';

export class Names {
	#names = new Map();

	/** Builds names.c in `folder`; it is loaded into what is started with `env`. */
	static async create(folder) {
		const names = new Names();
		names.file = path.join(folder, 'names');
		names.log = path.join(folder, 'names.log');
		fs.writeFileSync(names.file, '');
		fs.writeFileSync(names.log, '');
		names.env = {
			...await preload('names', folder), NAMES_FILE: names.file, NAMES_LOG: names.log,
		};
		return names;
	}

	/** From now on `name` resolves to these, in this order. */
	set(name, ...addresses) {
		this.#names.set(name, addresses);
		fs.writeFileSync(this.file,
			[...this.#names].map(([key, values]) => `${key} ${values.join(' ')}\n`).join(''));
	}

	/** From now on this machine plays these: connections to them are made to 127.0.0.1. */
	play(...addresses) {
		this.set('played', ...addresses);
	}

	/** The addresses that connections were tried to since the last look. */
	connected() {
		const lines = fs.readFileSync(this.log, 'utf8').split('\n').filter(Boolean);
		fs.writeFileSync(this.log, '');
		return lines;
	}
}
