// From exec to the first call that is answered 200, on an empty ledger.

import http from 'node:http';
import { say } from '../check.mjs';
import { median, table } from '../figures.mjs';
import { withSite } from '../site.mjs';

export const name = 'start';

/** The status of a free call; 0 while nobody listens. */
function ask({ tw, agent }) {
	return new Promise((resolve) => {
		const request = http.get(`${tw.url}/t/seller/free`,
			{ agent: false, headers: { authorization: `Bearer ${agent.token}` } });
		request.on('response', (response) => {
			response.resume().on('end', () => resolve(response.statusCode));
		});
		request.on('error', () => resolve(0));
	});
}

/** Milliseconds until a call is accepted, asked again each millisecond from the moment of exec. */
export async function startMs(site) {
	await site.tw.stop();
	const begin = process.hrtime.bigint();
	const ready = site.tw.start();
	while (await ask(site) !== 200) {
		if (site.tw.daemon && site.tw.daemon.exitCode !== null)
			break;
		// The daemon may need the core that asks.
		await new Promise((resolve) => { setTimeout(resolve, 1); });
	}
	const ms = Number(process.hrtime.bigint() - begin) / 1e6;
	await ready;
	return ms;
}

export const measure = (options) => withSite({}, async (site) => {
	const times = [];
	for (let i = 0; i < (options.short ? 1 : options.rounds * 4); i++)
		times.push(await startMs(site));
	await site.verify();
	say(`start: ${times.map((ms) => ms.toFixed(0)).join(', ')} ms`);
	return { times };
});

export const targets = ({ times }) => [{
	what: 'start to first accepted call, empty ledger',
	target: 'under 50 ms',
	measured: `${median(times).toFixed(0)} ms`,
	met: median(times) < 50,
}];

export const section = ({ times }) => `## Start

From \`exec\` to the first free call that is answered 200, on a ledger that holds one agent; asked
again each millisecond by node, whose own time to ask is in it.

${table(['starts', 'median ms', 'lowest ms', 'highest ms'],
		[[times.length, ...[median(times), Math.min(...times), Math.max(...times)].map((ms) => ms.toFixed(1))]])}
`;
