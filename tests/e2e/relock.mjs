#!/usr/bin/env node
// Write package-lock.json anew after a change to package.json, here and in v1.
//
// npm alone would leave two things in the lock that break `npm ci` elsewhere:
// anvil's packages for other platforms are missing when the registry at hand
// has not all of them, and anvil's asks for node 20 although the program is
// native and runs without node, so that npm on node 18 would leave it out.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const PLATFORMS = [
	['darwin', 'amd64', 'x64'], ['darwin', 'arm64', 'arm64'],
	['linux', 'amd64', 'x64'], ['linux', 'arm64', 'arm64'], ['win32', 'amd64', 'x64'],
];

function completeAnvil(packages) {
	const { version } = packages['node_modules/@foundry-rs/anvil'];
	for (const [os, arch, cpu] of PLATFORMS) {
		const name = `node_modules/@foundry-rs/anvil-${os}-${arch}`;
		packages[name] ??= { version, cpu: [cpu], license: 'MIT OR Apache-2.0', optional: true, os: [os] };
		delete packages[name].engines;
	}
}

for (const folder of [here, path.join(here, 'v1')]) {
	execFileSync('npm', ['install', '--package-lock-only', '--no-progress'], { cwd: folder, stdio: 'inherit' });
	const file = path.join(folder, 'package-lock.json');
	const lock = JSON.parse(fs.readFileSync(file, 'utf8'));
	if ('node_modules/@foundry-rs/anvil' in lock.packages)
		completeAnvil(lock.packages);
	lock.packages = Object.fromEntries(Object.entries(lock.packages)
		.sort(([a], [b]) => a.localeCompare(b, 'en')));
	const text = `${JSON.stringify(lock, null, 2)}\n`;
	if (text.includes('"resolved"'))
		throw new Error(`${file} names a registry; is .npmrc there?`);
	fs.writeFileSync(file, text);
}
