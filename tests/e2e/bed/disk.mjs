// A disk that can be held up, for a daemon that is started with `env`.

import fs from 'node:fs';
import path from 'node:path';
import { preload } from './preload.mjs';

export class Disk {
	/** Builds disk.c in `folder`; it is loaded into what is started with `env`. */
	static async create(folder) {
		const disk = new Disk();
		disk.file = path.join(folder, 'disk.held');
		disk.env = { ...await preload('disk', folder), DISK_HELD: disk.file };
		return disk;
	}

	/** From now on no row gets as far as the disk. */
	hold() {
		fs.writeFileSync(this.file, '');
	}

	/** What was held up goes on. */
	letGo() {
		fs.rmSync(this.file, { force: true });
	}
}
