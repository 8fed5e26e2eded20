// From measurements to Markdown.

import os from 'node:os';

const sorted = (values) => [...values].sort((a, b) => a - b);

function median(values) {
	const list = sorted(values);
	const middle = list.length >> 1;
	return list.length % 2 ? list[middle] : (list[middle - 1] + list[middle]) / 2;
}

const whole = (value) => Math.round(value).toLocaleString('en-US');
const milli = (us) => (us / 1000).toFixed(us < 10_000 ? 2 : 1);
const rate = (found) => found.calls / found.us * 1e6;
const cpu = (found) => found.cpu / found.calls;
const table = (head, rows) => [head, head.map((_, i) => i ? '--:' : '---'), ...rows]
	.map((row) => `| ${row.join(' | ')} |`).join('\n');

const HEAD = ['in flight', 'by', 'calls/s', 'lowest to highest', 'p50 ms', 'p90 ms', 'p99 ms',
	'CPU µs a call'];

function row(results, connections, peer) {
	const rates = results.map(rate);
	const of = (key) => milli(median(results.map((found) => found[key])));
	return [connections, peer, whole(median(rates)),
		`${whole(Math.min(...rates))} to ${whole(Math.max(...rates))}`,
		of('p50'), of('p90'), of('p99'), whole(median(results.map(cpu)))];
}

/** Peers compared round by round, because a machine is not as fast at noon as at one. */
function ratios(ours, theirs, figure) {
	const each = ours.map((found, i) => figure(found) / figure(theirs[i]));
	return [median(each), Math.min(...each), Math.max(...each)].map((value) => value.toFixed(2));
}

function compare(results, kind, peer) {
	const rows = [];
	const lines = [];
	for (const connections of [...new Set(results.map((found) => found.connections))]) {
		const of = (name) => results.filter((found) => found.kind === kind &&
			found.peer === name && found.connections === connections);
		const [ours, theirs] = [of('tallyward'), of(peer)];
		rows.push(row(ours, connections, 'tallyward'), row(theirs, connections, peer));
		const [mid, low, high] = ratios(ours, theirs, rate);
		const [cpuMid] = ratios(ours, theirs, cpu);
		lines.push(`- ${connections} in flight: tallyward makes **${mid}** times the calls of ${peer} ` +
			`(${low} to ${high}), with ${cpuMid} times the processor time a call.`);
	}
	return `${table(HEAD, rows)}\n\n${lines.join('\n')}\n`;
}

function byRound(results, disk) {
	const rounds = [...new Set(results.map((found) => found.round))];
	const columns = [...new Set(results.map((f) => `${f.kind} ${f.peer} ${f.connections}`))].sort();
	const cell = (column, round) => {
		const found = results.find((f) => f.round === round && `${f.kind} ${f.peer} ${f.connections}` === column);
		return found ? whole(rate(found)) : '';
	};
	return table(['calls/s in round', ...rounds],
		[...columns.map((column) => [column, ...rounds.map((round) => cell(column, round))]),
			['µs of one fdatasync, at its start', ...disk.map(whole)]]);
}

const syncSection = (rows) => rows.length === 0 ? '' : `
## How payments share the disk

Counted by strace, which slows everything; only the quotient means something.

${table(['in flight', 'payments', 'fdatasync', 'payments each'],
		rows.map((r) => [r.connections, whole(r.payments), whole(r.syncs), (r.payments / r.syncs).toFixed(1)]))}
`;

const reserveSection = (rows) => rows.length === 0 ? '' : `
## One decision, in process

\`reserve_bench\`: read the totals, decide, hold, release; all threads on one agent, so
that all of them want the same lock. The processor time of the whole proxy is above.

${table(['limits in force', 'of which speak about the call', 'threads', 'ns per call of reserve_ask and reserve_release'],
		rows.map((r) => [whole(r.limits), whole(r.applying), r.threads, whole(r.ns)]))}
`;

export function report({ results, disk, syncs, reserve, payments, rounds, seconds, loadBefore, command,
	versions, fileSystem }) {
	return `# Benchmarks

\`${command}\`, ${new Date().toISOString().slice(0, 10)}: ${rounds} round${rounds === 1 ? '' : 's'} of ${seconds} seconds
each, the peers in turn; medians, and the lowest and highest round. Ratios are taken within a round.

- ${os.cpus().length} cores, ${os.cpus()[0].model.trim()}, ${whole(os.totalmem() / 2 ** 30)} GiB; ${os.type()} ${os.release()};
  ledger on ${fileSystem}, an fdatasync there takes ${milli(median(disk))} ms; load average at the start ${loadBefore.map((l) => l.toFixed(2)).join(', ')}
- ${versions.tallyward}; @x402/fetch ${versions.fetch} on node ${process.version}; ${versions.nginx}
- Everything shares those cores: the load generator (wrk; @x402/fetch is its own), the
  program measured, and the seller, which is nginx with one worker giving fixed answers.

## Paid calls

A call is two requests to the seller: the 402, then the paid one. tallyward, with its
defaults: identifies the agent, decides against ten limits, signs, waits until the signed
payment is on disk, pays, and books receipt, journal and audit. @x402/fetch has the key in
its own process, and signs and pays; it keeps no books and no limits. tallyward has a worker
thread for each core; node runs JavaScript on one. One call alone waits
for a commit of its own; calls in flight together share one.

${compare(results, 'paid', '@x402/fetch')}
## Free calls

Through tallyward (token, policy, audit row) and through nginx's proxy_pass with one worker.

${compare(results, 'free', 'nginx')}${syncSection(syncs)}${reserveSection(reserve)}
## Each round

The ledger grew from nothing to ${whole(payments)} payments meanwhile.

${byRound(results, disk)}
`;
}
