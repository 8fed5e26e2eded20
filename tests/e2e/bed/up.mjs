#!/usr/bin/env node
// Brings up a chain, a facilitator and sellers for people and for scripts, and
// keeps them until it is told to stop (SIGTERM, SIGINT, or end of its input).
//
//   node bed/up.mjs [--v1] [--rogue] [--ports-file FILE]
//
// Prints one line of JSON when all is up. FILE gets the same line, written in
// one step, so that a script may wait until it exists.

import fs from 'node:fs';
import { startBed } from './bed.mjs';
import { CHAIN_ID, NETWORK, USDC, devKey } from './chain.mjs';

const USAGE = 'usage: up.mjs [--v1] [--rogue] [--ports-file FILE] [--keep]\n' +
	'  --keep  do not stop at the end of standard input\n';

function readArguments(args) {
	const options = { v1: false, rogue: false, keep: false, portsFile: null };
	while (args.length > 0) {
		const arg = args.shift();
		if (arg === '--v1')
			options.v1 = true;
		else if (arg === '--rogue')
			options.rogue = true;
		else if (arg === '--keep')
			options.keep = true;
		else if (arg === '--ports-file' && args.length > 0)
			options.portsFile = args.shift();
		else if (arg.startsWith('--ports-file='))
			options.portsFile = arg.slice('--ports-file='.length);
		else {
			process.stderr.write(USAGE);
			process.exit(arg === '--help' ? 0 : 2);
		}
	}
	return options;
}

function describe(bed) {
	const port = (url) => Number(new URL(url).port);
	const member = (name) => bed[name] &&
		{ url: bed[name].url, port: port(bed[name].url), pay_to: bed[name].payTo };
	return {
		pid: process.pid,
		chain: { rpc: bed.chain.url, port: port(bed.chain.url), chain_id: CHAIN_ID, network: NETWORK },
		usdc: USDC,
		facilitator: { url: bed.facilitator.url, port: port(bed.facilitator.url) },
		seller: member('seller'),
		seller_v1: member('sellerV1'),
		rogue: member('rogue'),
		// Funded with ether, for whoever wants to send transactions of their own.
		spare_key: devKey(8),
	};
}

function writeInOneStep(file, text) {
	fs.writeFileSync(`${file}.draft`, text);
	fs.renameSync(`${file}.draft`, file);
}

const options = readArguments(process.argv.slice(2));
const bed = await startBed(options);
let stopping = false;

async function stop() {
	if (stopping)
		return;
	stopping = true;
	if (options.portsFile)
		fs.rmSync(options.portsFile, { force: true });
	await bed.stop();
	process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'])
	process.removeAllListeners(signal).on(signal, stop);
if (!options.keep)
	process.stdin.on('end', stop).on('error', stop).resume();

const line = `${JSON.stringify(describe(bed))}\n`;
if (options.portsFile)
	writeInOneStep(options.portsFile, line);
process.stdout.write(line);
