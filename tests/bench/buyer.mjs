// The peer: @x402/fetch as its documentation uses it, with a key of its own, in a
// loop. Usage: buyer.mjs URL IN_FLIGHT SECONDS WARM_SECONDS; prints one line of JSON.

import { createRequire } from 'node:module';

const packages = createRequire(new URL('../e2e/package.json', import.meta.url));
const { wrapFetchWithPayment, x402Client } = packages('@x402/fetch');
const { registerExactEvmScheme } = packages('@x402/evm/exact/client');
const { generatePrivateKey, privateKeyToAccount } = packages('viem/accounts');

const [url, inFlight, seconds, warmSeconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];

const client = new x402Client();
registerExactEvmScheme(client, { signer: privateKeyToAccount(generatePrivateKey()) });
const payingFetch = wrapFetchWithPayment(fetch, client);

const nowUs = () => Number(process.hrtime.bigint() / 1000n);

async function call(found) {
	const begin = nowUs();
	try {
		const response = await payingFetch(url);
		await response.text();
		if (response.status !== 200)
			found.failed++;
	} catch {
		found.failed++;
	}
	found.latencies.push(nowUs() - begin);
}

/** Keep `inFlight` calls going for so long, then let the last ones finish. */
async function callFor(duration) {
	const found = { failed: 0, latencies: [] };
	const begin = nowUs();
	const cpuBegin = process.cpuUsage();
	const end = begin + duration * 1e6;
	await Promise.all(Array.from({ length: inFlight }, async () => {
		while (nowUs() < end)
			await call(found);
	}));
	const { user, system } = process.cpuUsage(cpuBegin);
	return { ...found, us: nowUs() - begin, cpu: user + system };
}

await callFor(warmSeconds);
const { failed, latencies, us, cpu } = await callFor(seconds);
latencies.sort((a, b) => a - b);
const percentile = (p) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * p / 100))];
process.stdout.write(`${JSON.stringify({
	calls: latencies.length, us, failed, cpu,
	p50: percentile(50), p90: percentile(90), p99: percentile(99), max: latencies.at(-1),
})}\n`);
process.exit(0);
