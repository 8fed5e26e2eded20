// Names that lead where a test says, for a daemon that is started with `env`.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './child.mjs';

const source = path.join(path.dirname(fileURLToPath(import.meta.url)), 'names.c');

export class Names {
	#names = new Map();

	/** Builds names.c in `folder`; it is loaded into what is started with `env`. */
	static async create(folder) {
		const names = new Names();
		const library = path.join(folder, 'names.so');
		const { code, stderr } = await run(process.env.CC || 'cc', ['-std=c11', '-D_GNU_SOURCE',
			'-Wall', '-Wextra', '-Werror', '-O1', '-shared', '-fPIC', '-o', library, source, '-ldl']);
		if (code !== 0)
			throw new Error(`names.c does not build: ${stderr}`);
		names.file = path.join(folder, 'names');
		names.log = path.join(folder, 'names.log');
		fs.writeFileSync(names.file, '');
		fs.writeFileSync(names.log, '');
		names.env = {
			LD_PRELOAD: library, NAMES_FILE: names.file, NAMES_LOG: names.log,
			// A build with sanitizers does not come first any more.
			ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
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
