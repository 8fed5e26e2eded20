// Compiles the contracts with the real compiler and keeps the result, because
// the compiler takes seconds to start and its answer never changes.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const cacheFolder = path.join(here, '..', '.cache');

const CONTRACTS = ['UsdcToken', 'Multicall3'];
const SETTINGS = {
	optimizer: { enabled: true, runs: 200 },
	evmVersion: 'cancun',
	outputSelection: { '*': { '*': ['evm.bytecode.object'] } },
};

const sources = Object.fromEntries(CONTRACTS.map((name) => [
	`${name}.sol`, { content: fs.readFileSync(path.join(here, `${name}.sol`), 'utf8') },
]));

function cacheKey() {
	const hash = createHash('sha256').update(JSON.stringify([sources, SETTINGS]));
	for (const name of ['solc', '@openzeppelin/contracts'])
		hash.update(require(`${name}/package.json`).version);
	return hash.digest('hex').slice(0, 16);
}

function findImport(name) {
	try {
		return { contents: fs.readFileSync(require.resolve(name), 'utf8') };
	} catch (error) {
		return { error: error.message };
	}
}

function compile() {
	const solc = require('solc');
	const input = { language: 'Solidity', sources, settings: SETTINGS };
	const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
	const errors = (output.errors ?? []).filter((e) => e.severity === 'error');
	if (errors.length > 0)
		throw new Error(errors.map((e) => e.formattedMessage).join('\n'));
	return Object.fromEntries(CONTRACTS.map((name) =>
		[name, `0x${output.contracts[`${name}.sol`][name].evm.bytecode.object}`]));
}

/** Creation bytecode of each contract, by name. */
export function creationBytecode() {
	const file = path.join(cacheFolder, `contracts-${cacheKey()}.json`);
	try {
		return JSON.parse(fs.readFileSync(file, 'utf8'));
	} catch {
		const compiled = compile();
		fs.mkdirSync(cacheFolder, { recursive: true });
		// Test files may start side by side; a rename is never seen half written.
		const draft = `${file}.${process.pid}`;
		fs.writeFileSync(draft, JSON.stringify(compiled));
		fs.renameSync(draft, file);
		return compiled;
	}
}
