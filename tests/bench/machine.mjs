// The machine, the programs, and the disk under the ledger.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from '../e2e/bed/child.mjs';
import { tallywardProgram } from '../e2e/bed/tallyward.mjs';
import { median } from './figures.mjs';

/** Microseconds of one fdatasync after writing 64 KiB over and over: what the disk can do. */
function syncUs(dir) {
	const file = fs.openSync(path.join(dir, 'sync'), 'w');
	const block = Buffer.alloc(65_536, 1);
	const found = [];
	for (let i = 0; i < 100; i++) {
		fs.writeSync(file, block, 0, block.length, 0);
		const begin = process.hrtime.bigint();
		fs.fdatasyncSync(file);
		found.push(Number(process.hrtime.bigint() - begin) / 1000);
	}
	fs.closeSync(file);
	return median(found);
}

export async function describeMachine() {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-bench-'));
	try {
		return {
			cores: os.cpus().length, cpu: os.cpus()[0].model.trim(), memory: os.totalmem(),
			system: `${os.type()} ${os.release()}`, load: os.loadavg(), syncUs: syncUs(dir),
			// An fdatasync means nothing in memory.
			fileSystem: (await run('findmnt', ['-n', '-o', 'FSTYPE', '-T', dir])).stdout.trim(),
			tallyward: (await run(tallywardProgram(), ['--version'])).stdout.trim(),
			nginx: (await run('nginx', ['-v'])).stderr.trim().replace(/^.*: /, ''),
			fetch: JSON.parse(fs.readFileSync(new URL('../e2e/node_modules/@x402/fetch/package.json',
				import.meta.url), 'utf8')).version,
			node: process.version,
		};
	} finally {
		fs.rmSync(dir, { recursive: true });
	}
}
