#!/usr/bin/env node
// From exec to the first /readyz that says 200, on a ledger with a past. Prints a line of JSON
// for each start and one with the median; asserts nothing about time.
//
// usage: tests/bench/start.mjs [--rounds N] [--payments N] [--agents N] [--days N] [--keep DIR]
//
// The binary is $TALLYWARD, else build/tallyward; the generator is tests/bench/fill beside it
// (make tests/bench/fill). With --keep the data folder stays, and one that is there is used.

import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { end, run, start } from '../e2e/bed/child.mjs';
import { freePort } from '../e2e/bed/wait.mjs';
import { resident } from './process.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const tallyward = path.resolve(process.env.TALLYWARD ?? path.join(here, '../../build/tallyward'));
const fill = path.join(path.dirname(tallyward), 'tests/bench/fill');

const { values: options } = parseArgs({
	options: {
		rounds: { type: 'string', default: '5' },
		payments: { type: 'string', default: '333000' },
		agents: { type: 'string', default: '1000' },
		days: { type: 'string', default: '45' },
		keep: { type: 'string' },
	},
});

async function must(command, args) {
	const { code, stderr } = await run(command, args);
	if (code !== 0)
		throw new Error(`${path.basename(command)} ended with ${code}: ${stderr}`);
}

/** 200, another status, or 0 while nobody listens. */
function ask(port) {
	return new Promise((resolve) => {
		const request = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false });
		request.on('response', (response) => {
			response.resume().on('end', () => resolve(response.statusCode));
		});
		request.on('error', () => resolve(0));
	});
}

async function measure(dir) {
	const [listen, admin] = [await freePort(), await freePort()];
	const begin = process.hrtime.bigint();
	const daemon = start(tallyward, ['-d', dir, 'serve', '--listen', `127.0.0.1:${listen}`,
		'--admin', `127.0.0.1:${admin}`]);
	let ended = null;
	daemon.ended.then((how) => { ended = how; });
	while (await ask(admin) !== 200) {
		if (ended)
			throw new Error(`the daemon ended: ${daemon.log}`);
		await new Promise((resolve) => { setTimeout(resolve, 1); });
	}
	const ms = Number(process.hrtime.bigint() - begin) / 1e6;
	const residentKb = Math.round(resident(daemon.pid) / 1024);
	await end(daemon);
	return { ready_ms: Math.round(ms), resident_kb: residentKb };
}

const dir = options.keep ?? fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-start-'));
try {
	if (!fs.existsSync(path.join(dir, 'ledger.db'))) {
		await must(tallyward, ['-d', dir, 'init']);
		await must(fill, [dir, options.payments, options.agents, options.days]);
	}
	const times = [];
	for (let round = 0; round < Number(options.rounds); round++) {
		const found = await measure(dir);
		times.push(found.ready_ms);
		console.log(JSON.stringify(found));
	}
	times.sort((a, b) => a - b);
	console.log(JSON.stringify({
		ledger_bytes: fs.statSync(path.join(dir, 'ledger.db')).size,
		load: os.loadavg()[0],
		median_ready_ms: times[times.length >> 1],
	}));
} finally {
	if (!options.keep)
		fs.rmSync(dir, { recursive: true });
}
