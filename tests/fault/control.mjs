// The page through which a running process is broken: control.h, from this side.

import fs from 'node:fs';

const SIZE = 4096;
const AT = {
	passage: 0, killCount: 128, killOps: 136, killWhen: 144,
	diskError: 152, diskOps: 160, diskSkip: 168, diskCount: 176, diskShort: 184,
	fdError: 192, fdCalls: 200, allocSkip: 208, allocCount: 216, clockUs: 224,
	steadyUs: 232, diskSeen: 240, diskFailed: 248, fdFailed: 256, allocSeen: 264, allocFailed: 272,
};
const POINT_AT = 8;
const POINT_SIZE = 120;

export const DISK = { write: 1, sync: 2, truncate: 4, open: 8, all: 15 };
export const WHEN = {
	begun: 0, done: 1, powerBegun: 2, powerDone: 3, tornBegun: 4, tornDone: 5,
};
export const FD = { accept: 1, socket: 2, open: 4, event: 8, all: 15 };
export const ERRNO = { EIO: 5, ENOMEM: 12, ENFILE: 23, EMFILE: 24, ENOSPC: 28, EROFS: 30 };

export class Control {
	constructor(file) {
		this.file = file;
		fs.writeFileSync(file, Buffer.alloc(SIZE));
		this.fd = fs.openSync(file, 'r+');
	}

	get(name) {
		const bytes = Buffer.alloc(8);
		fs.readSync(this.fd, bytes, 0, 8, AT[name]);
		return Number(bytes.readBigInt64LE());
	}

	/** The switches of a fault go last, its particulars before them: give them in that order. */
	set(values) {
		for (const [name, value] of Object.entries(values)) {
			const bytes = Buffer.alloc(8);
			bytes.writeBigInt64LE(BigInt(value));
			fs.writeSync(this.fd, bytes, 0, 8, AT[name]);
		}
	}

	/** Neighbours on the page, written in one go, so that no reader sees one without the other. */
	setTogether(names, values) {
		const bytes = Buffer.alloc(8 * names.length);
		values.forEach((value, i) => bytes.writeBigInt64LE(BigInt(Math.round(value)), 8 * i));
		names.forEach((name, i) => {
			if (AT[name] !== AT[names[0]] + 8 * i)
				throw new Error(`${name} is not the neighbour of ${names[0]}`);
		});
		fs.writeSync(this.fd, bytes, 0, bytes.length, AT[names[0]]);
	}

	/** Die at this passage of this point. */
	arm(point, passage) {
		const name = Buffer.alloc(POINT_SIZE);
		name.write(point, 'latin1');
		this.set({ passage });
		fs.writeSync(this.fd, name, 0, POINT_SIZE, POINT_AT);
	}

	/** Nothing fails any more, the clocks are right, and what was counted is forgotten. */
	clear() {
		fs.writeSync(this.fd, Buffer.alloc(SIZE), 0, SIZE, 0);
	}

	close() {
		fs.closeSync(this.fd);
	}
}
