// Load, and what came of it: calls, microseconds, failures, latencies and the
// processor time of the program under test.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../e2e/bed/child.mjs';
import { tallywardProgram } from '../e2e/bed/tallyward.mjs';
import { cpuUs } from './process.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

async function mustRun(command, args, options) {
	const { code, stdout, stderr } = await run(command, args, options);
	if (code !== 0)
		throw new Error(`${path.basename(command)} ended with ${code}: ${stderr || stdout}`);
	return stdout;
}

const lastLine = (text) => JSON.parse(text.trim().split('\n').at(-1));

/** What one of our C programs prints; it is built first, where there is a Makefile. */
export async function runBuilt(name, args) {
	const build = path.dirname(tallywardProgram());
	const program = path.join(build, 'tests', 'bench', name);
	if (fs.existsSync(path.join(build, 'Makefile')))
		await mustRun('make', ['-s', '-C', build, `tests/bench/${name}`]);
	return mustRun(program, args.map(String));
}

/**
 * Calls of `url` from an agent that costs next to nothing itself; `pids` is what they load.
 * `tokens` of several agents take turns.
 */
export async function loadByWrk(url, { connections, seconds, pids, token, tokens }) {
	const before = cpuUs(pids);
	const headers = token ? ['--header', `Authorization: Bearer ${token}`] : [];
	const told = lastLine(await mustRun('wrk', ['--threads', String(Math.min(2, connections)),
		'--connections', String(connections), '--duration', `${seconds}s`, '--timeout', '30s',
		'--script', path.join(here, tokens ? 'turns.lua' : 'wrk.lua'), ...headers, url],
	{ env: { TOKENS: tokens } }));
	return { ...told, cpu: cpuUs(pids) - before };
}

/** Paid calls of `url` by @x402/fetch in a process of its own, which pays and calls at once. */
export async function loadByFetch(url, { connections, seconds, warmSeconds }) {
	return lastLine(await mustRun(process.execPath, [...process.execArgv, path.join(here, 'buyer.mjs'),
		url, String(connections), String(seconds), String(warmSeconds)]));
}

/** So many calls, at a fixed rate or (0) as fast as they are answered: see pace.c. */
export async function loadByPace(url, { connections, rate = 0, calls, pids, token }) {
	const { port, pathname } = new URL(url);
	const before = cpuUs(pids);
	const told = lastLine(await runBuilt('pace',
		[port, pathname, rate, calls, connections, ...token ? [token] : []]));
	return { ...told, cpu: cpuUs(pids) - before };
}
