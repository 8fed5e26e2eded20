// Charts as SVG, small enough to be written by hand: one of lines over a
// growing number, one of bars. They follow the reader's choice of light or dark, on a
// ground of their own, so that they can be read on any page.

import { whole } from './figures.mjs';

const WIDTH = 720;
const HEIGHT = 300;
const LEFT = 78;
const RIGHT = 108;
const TOP = 44;
const BOTTOM = 50;
const TICKS = 5;

// Two hues and a shape each, so that they are told apart without colour as well.
const STYLE = `
	.paper { fill: #fff }
	text { font: 12px system-ui, sans-serif; fill: #333 }
	.title { font-weight: 600; font-size: 14px }
	.axis { stroke: #888; fill: none }
	.grid { stroke: #ddd }
	.s0 { stroke: #0b62c4; fill: #0b62c4 }
	.s1 { stroke: #b5520b; fill: #b5520b }
	.line { fill: none; stroke-width: 2 }
	.t0 { fill: #0b62c4 }
	.t1 { fill: #b5520b }
	@media (prefers-color-scheme: dark) {
		.paper { fill: #0d1117 }
		text { fill: #ddd }
		.axis { stroke: #999 }
		.grid { stroke: #444 }
		.s0 { stroke: #6cb0ff; fill: #6cb0ff }
		.s1 { stroke: #ffab66; fill: #ffab66 }
		.line { fill: none }
		.t0 { fill: #6cb0ff }
		.t1 { fill: #ffab66 }
	}
`;

const escape = (text) => String(text).replace(/[&<>"]/g, (c) =>
	({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
const at = (value) => value.toFixed(1);
const text = (x, y, what, { anchor = 'start', kind = '', more = '' } = {}) =>
	`<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}"${kind ? ` class="${kind}"` : ''}${more}>${escape(what)}</text>`;

const svg = (title, height, parts) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" \
width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${height}"/>
${[text(LEFT, 22, title, { kind: 'title' }), ...parts].join('\n')}
</svg>
`;

/** Round steps from `low` to beyond `high`. */
function ticks(low, high) {
	const rough = (high - low) / TICKS || 1;
	const unit = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= rough);
	const found = [];
	for (let i = 0; low + (i - 1) * step < high; i++)
		found.push(low + i * step);
	return found;
}

function short(value) {
	for (const [unit, name] of [[1e6, 'M'], [1e3, 'k']])
		if (value >= unit)
			return `${Number((value / unit).toPrecision(3))}${name}`;
	return String(Number(value.toPrecision(3)));
}

const MARKS = [
	(x, y) => `<circle class="s0" cx="${at(x)}" cy="${at(y)}" r="3.5"/>`,
	(x, y) => `<rect class="s1" x="${at(x - 3.5)}" y="${at(y - 3.5)}" width="7" height="7"/>`,
];

/**
 * Lines over a number. `series` is [{ name, points: [[x, y], ...] }], at most two;
 * the y axis begins at `from`; with `logarithmic` the x axis counts magnitudes.
 */
export function lineChart({ title, x, y, series, from, logarithmic = false }) {
	const all = series.flatMap(({ points }) => points);
	const [right, bottom] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
	const scale = logarithmic ? Math.log10 : (value) => value;
	const xs = all.map(([value]) => scale(value));
	const [xLow, xHigh] = [Math.min(...xs), Math.max(...xs)];
	const yTicks = ticks(from, Math.max(...all.map(([, value]) => value)));
	const yHigh = yTicks.at(-1);
	const px = (value) => LEFT + (scale(value) - xLow) / (xHigh - xLow || 1) * (right - LEFT);
	const py = (value) => bottom - (value - from) / (yHigh - from) * (bottom - TOP);
	const xTicks = logarithmic
		? [...new Set(all.map(([value]) => value))] : ticks(0, Math.max(...all.map(([value]) => value)));
	const parts = [
		...yTicks.map((value) => `<line class="grid" x1="${LEFT}" x2="${right}" y1="${at(py(value))}" y2="${at(py(value))}"/>` +
			text(LEFT - 8, py(value) + 4, short(value), { anchor: 'end' })),
		...xTicks.filter((value) => scale(value) <= xHigh).map((value) =>
			text(px(value), bottom + 18, short(value), { anchor: 'middle' })),
		`<path class="axis" d="M${LEFT} ${TOP}V${bottom}H${right}"/>`,
		text((LEFT + right) / 2, HEIGHT - 10, x, { anchor: 'middle' }),
		text(0, 0, y, { anchor: 'middle', more: ` transform="translate(18 ${(TOP + bottom) / 2}) rotate(-90)"` }),
	];
	// Names beside the last point of each line, never on top of one another.
	const ends = series.map(({ points }) => py(points.at(-1)[1]) + 4);
	if (ends.length === 2 && Math.abs(ends[0] - ends[1]) < 15) {
		const upper = ends[0] <= ends[1] ? 0 : 1;
		ends[1 - upper] = ends[upper] + 15;
	}
	series.forEach(({ name, points }, i) => {
		parts.push(`<polyline class="line s${i}" style="fill:none" points="${points.map(([a, b]) =>
			`${at(px(a))},${at(py(b))}`).join(' ')}"/>`);
		parts.push(...points.map(([a, b]) => MARKS[i](px(a), py(b))));
		parts.push(text(right + 10, ends[i], name, { kind: `t${i}` }));
	});
	return svg(title, HEIGHT, parts);
}

/**
 * Groups of two bars, ours and a peer's, each group with a unit of its own:
 * [{ what, ours, peer, peerName, unit }]. A bar is as long as its part of the longer one.
 */
export function pairChart({ title, groups }) {
	const bar = 18;
	const each = 2 * bar + 34;
	const height = TOP + groups.length * each + 4;
	const right = WIDTH - 2 * RIGHT;
	const parts = groups.flatMap(({ what, ours, peer, peerName, unit }, i) => {
		const top = TOP + i * each;
		const one = (value, name, j) => {
			const width = Math.max(1, value / Math.max(ours, peer) * (right - LEFT));
			const y = top + 6 + j * (bar + 2);
			return `<rect class="s${j}" x="${LEFT}" y="${y}" width="${at(width)}" height="${bar}"/>` +
				text(LEFT + width + 8, y + 13, `${whole(value)} ${unit}, ${name}`);
		};
		return [text(LEFT, top, what), one(ours, 'tallyward', 0), one(peer, peerName, 1)];
	});
	return svg(title, height, parts);
}
