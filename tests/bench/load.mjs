// Load, and what came of it: calls, microseconds, failures, latencies and the
// processor time of the program under test.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../e2e/bed/child.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/** The kernel counts processor time in these, on every Linux that node runs on. */
const TICK_US = 10_000;

/** Microseconds of processor time that a process and its children have used. */
function cpuUs(pids) {
	let ticks = 0;
	for (const pid of pids) {
		const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		ticks += Number(fields[11]) + Number(fields[12]);
	}
	return ticks * TICK_US;
}

async function mustRun(command, args) {
	const { code, stdout, stderr } = await run(command, args);
	if (code !== 0)
		throw new Error(`${command} ended with ${code}: ${stderr || stdout}`);
	return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** Calls of `url` from an agent that costs next to nothing itself; `pids` is what they load. */
export async function loadByWrk(url, { connections, seconds, pids, token }) {
	const before = cpuUs(pids);
	const headers = token ? ['--header', `Authorization: Bearer ${token}`] : [];
	const told = await mustRun('wrk', ['--threads', String(Math.min(2, connections)),
		'--connections', String(connections), '--duration', `${seconds}s`, '--timeout', '30s',
		'--script', path.join(here, 'wrk.lua'), ...headers, url]);
	return { ...told, cpu: cpuUs(pids) - before };
}

/** Paid calls of `url` by @x402/fetch in a process of its own, which pays and calls at once. */
export function loadByFetch(url, { connections, seconds, warmSeconds }) {
	return mustRun(process.execPath, [...process.execArgv, path.join(here, 'buyer.mjs'),
		url, String(connections), String(seconds), String(warmSeconds)]);
}
