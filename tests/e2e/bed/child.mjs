// Child processes that never outlive the test that started them.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

const running = new Set();

// On Linux the kernel itself ends the child when this process dies, even by
// SIGKILL; setpriv execs the command, so the child's pid is the command's pid.
const LEASH = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0
	? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];

process.on('exit', () => {
	for (const child of running)
		child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.once(signal, () => process.exit(128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]));

/** Start a program; its output is gathered in child.log for error messages. */
export function start(command, args, { env, cwd, leash = true } = {}) {
	const [program, ...rest] = [...(leash ? LEASH : []), command, ...args];
	const child = spawn(program, rest, {
		cwd,
		env: { ...process.env, ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	running.add(child);
	child.log = '';
	for (const stream of [child.stdout, child.stderr])
		stream.on('data', (text) => { child.log = (child.log + text).slice(-65536); });
	child.ended = new Promise((resolve) => {
		child.once('error', (error) => resolve({ error }));
		child.once('exit', (code, signal) => resolve({ code, signal }));
	});
	child.ended.then(() => running.delete(child));
	return child;
}

/** End a child by its pid and wait until it is gone. */
export async function end(child, signal = 'SIGTERM') {
	if (child.exitCode === null && child.signalCode === null)
		child.kill(signal);
	return child.ended;
}

/** Run a program to its end; never throws for its exit status. */
export async function run(command, args, { env, cwd, input } = {}) {
	const child = spawn(command, args, {
		cwd,
		env: { ...process.env, ...env },
		stdio: ['pipe', 'pipe', 'pipe'],
	});
	running.add(child);
	let stdout = '';
	let stderr = '';
	child.stdout.setEncoding('utf8').on('data', (text) => { stdout += text; });
	child.stderr.setEncoding('utf8').on('data', (text) => { stderr += text; });
	child.stdin.on('error', () => {});
	child.stdin.end(input ?? '');
	try {
		const [code, signal] = await once(child, 'close');
		return { code: code ?? 128, signal, stdout, stderr };
	} finally {
		running.delete(child);
	}
}
