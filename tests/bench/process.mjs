// What the kernel says about a process: processor time and memory.

import fs from 'node:fs';

/** The kernel counts processor time in these, on every Linux that node runs on. */
const TICK_US = 10_000;

/** Microseconds of processor time that processes and their ended children have used. */
export function cpuUs(pids) {
	let ticks = 0;
	for (const pid of pids) {
		const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		ticks += Number(fields[11]) + Number(fields[12]);
	}
	return ticks * TICK_US;
}

const status = (pid, name) =>
	Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

/** Bytes that are resident now. */
export const resident = (pid) => status(pid, 'VmRSS');

/** Bytes that were resident at most, since the start or resetPeak(). */
export const peak = (pid) => status(pid, 'VmHWM');

/** Count the peak from now on. Who may not do that gets one that is too high, never too low. */
export function resetPeak(pid) {
	try {
		fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
	} catch (error) {
		if (error.code !== 'EACCES' && error.code !== 'EPERM')
			throw error;
	}
}
