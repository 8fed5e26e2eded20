// Figures: what becomes of many measurements, and how they are written.

export function median(values) {
	const list = [...values].sort((a, b) => a - b);
	const middle = list.length >> 1;
	return list.length % 2 ? list[middle] : (list[middle - 1] + list[middle]) / 2;
}

export const rate = ({ calls, us }) => calls / us * 1e6;
export const cpu = (found) => found.cpu / found.calls;

export const whole = (value) => Math.round(value).toLocaleString('en-US');
export const milli = (us) => (us / 1000).toFixed(Math.abs(us) < 10_000 ? 2 : 1);
export const mega = (bytes) => (bytes / 1e6).toFixed(1);
export const size = (bytes) => bytes >= 1e9 ? `${bytes / 1e9} GB` : `${bytes / 1e6} MB`;
export const ratio = (value) => value.toFixed(2);

/** Median, lowest and highest of a figure taken within each round: no machine is as fast at noon as at one. */
export function within(ours, theirs, figure) {
	const each = ours.map((found, i) => figure(found) / figure(theirs[i]));
	return { mid: median(each), low: Math.min(...each), high: Math.max(...each) };
}

export const spread = ({ low, high }, write = ratio) => `${write(low)} to ${write(high)}`;

/** A column is flush right when all that is in it begins with a figure. */
export function table(head, rows) {
	const figures = head.map((_, i) => i > 0 && rows.every((row) => /^(-?[\d.,]|$)/.test(String(row[i]))));
	return [head, figures.map((right) => right ? '--:' : '---'), ...rows]
		.map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Of measurements of peers that took turns: those of one, at so many calls in flight. */
export const callsPick = (results, by, inFlight) =>
	results.filter((found) => found.by === by && found.inFlight === inFlight);

const CALLS_HEAD = ['in flight', 'by', 'calls/s', 'lowest to highest', 'p50 ms', 'p90 ms', 'p99 ms', 'CPU µs a call'];

function callsRow(inFlight, by, found) {
	const rates = found.map(rate);
	const of = (key) => milli(median(found.map((one) => one[key])));
	return [inFlight, by, whole(median(rates)), spread({ low: Math.min(...rates), high: Math.max(...rates) }, whole),
		of('p50'), of('p90'), of('p99'), whole(median(found.map(cpu)))];
}

/** All of them, a row for each peer and number in flight. */
export function callsTable(results) {
	const keys = [...new Map(results.map((f) => [`${f.inFlight} ${f.by}`, [f.inFlight, f.by]])).values()]
		.sort(([a], [b]) => a - b);
	return table(CALLS_HEAD, keys.map(([inFlight, by]) => callsRow(inFlight, by, callsPick(results, by, inFlight))));
}
