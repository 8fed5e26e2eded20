// What must hold after a crash, checked on a folder whose daemon has just been started again
// and to which nobody speaks yet. Returns the problems, in words.

import { micros, send } from '../e2e/bed/tallyward.mjs';
import { NETWORK } from './seller.mjs';
import { STATE } from './books.mjs';

const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);

/** Every signature that ever left has its row, with exactly its bytes. */
function signaturesAreWritten({ books, seller, problems }) {
	for (const signature of seller.signatures.values()) {
		const row = books.byNonce.get(signature.nonce.toLowerCase());
		if (!row)
			problems.push(`signature ${signature.nonce} left without its row`);
		else if (row.header_value !== signature.header)
			problems.push(`signature ${signature.nonce} is not what its row says`);
		if (signature.changed)
			problems.push(`nonce ${signature.nonce} came with two different headers`);
		if (signature.calls.size !== 1)
			problems.push(`signature ${signature.nonce} came with ${signature.calls.size} calls`);
	}
}

const idOf = (url) => new URL(url).searchParams.get('id');

/**
 * One purchase, one signature. With a key: ever. Without one: as long as the payment is open;
 * who asks again for what has been settled buys again.
 */
function purchasesAreSingle({ books, seller, calls, problems }) {
	const byCall = new Map();
	for (const row of books.payments.values()) {
		const id = idOf(row.url);
		byCall.set(id, [...byCall.get(id) ?? [], row]);
	}
	for (const [id, rows] of byCall) {
		const call = calls.get(id);
		if (!call || rows.length < 2)
			continue;
		for (let i = 1; i < rows.length; i++) {
			const ended = rows[i - 1].states.find(({ state }) => state >= STATE.settled);
			if (call.key || !ended || ended.id > rows[i].id)
				problems.push(`call ${id}${call.key ? ' with a key' : ''} was signed for again ` +
					`by payment ${rows[i].id} while ${rows[i - 1].id} was ` +
					(ended ? 'not open any more' : 'open'));
		}
	}
	for (const call of calls.values())
		if (call.key && seller.of(call.id).length > 1)
			problems.push(`the seller has two signatures for call ${call.id}`);
}

/**
 * Sums by session and agent, of the rows and of what the seller holds, against the limits.
 * `made` is when the folder was: at midnight a day's budget begins anew, and then the
 * signatures, which bear no time, are not added up against it.
 */
function limitsAreKept({ house, books, seller, calls, agents, problems }) {
	const today = new Date().toISOString();
	const begins = { day: 10, month: 7 };
	const charges = [...books.charges()];
	const over = (what, spent, max) => {
		if (spent > max)
			problems.push(`${what}: ${spent} of ${max}`);
	};
	// What the chain has shown to be unused past its end, or cancelled, nobody can cash any
	// more: its money is free again.
	const dead = ({ nonce }) => [STATE.expired, STATE.cancelled].includes(
		books.byNonce.get(nonce.toLowerCase())?.states.at(-1)?.state);
	const held = [...seller.signatures.values()]
		.filter((signature) => !dead(signature))
		.map((signature) => ({ ...signature, call: calls.get([...signature.calls][0]) }));
	for (const agent of agents) {
		const mine = charges.filter((row) => row.agent === agent.name);
		const mineHeld = held.filter(({ call }) => call?.agent === agent.name);
		for (const { scope, window, spend } of agent.policy.limits) {
			if (spend === undefined || window === 'call')
				continue;
			const max = Number(micros(spend));
			const [kind, name] = scope.split(':');
			const groups = kind === 'session' ? agent.sessions : [null];
			const same = (ms) => !begins[window] ||
				new Date(ms).toISOString().slice(0, begins[window]) === today.slice(0, begins[window]);
			for (const session of groups) {
				const fits = (row) => same(row.at / 1000) &&
					(session === null || row.session === session) &&
					(kind !== 'tool' || row.tool === name) && (kind !== 'wallet' || row.paid);
				over(`${agent.name} ${scope} ${window} by the ledger`,
					sum(mine.filter(fits).map((row) => row.spend)), max);
				if (same(house.made))
					over(`${agent.name} ${scope} ${window} by the seller's signatures`, sum(mineHeld
						.filter(({ call }) => session === null || call.session === session)
						.map(({ value }) => value)), max);
			}
		}
		const most = agent.policy.limits.find((limit) => limit.window === 'call');
		for (const row of mine)
			over(`${agent.name} one call`, row.spend, Number(micros(most.spend)));
	}
}

/** /v1/me, limit by limit and column by column, is the sum of the rows. */
async function countersAreRows({ house, books, agents, problems }, { calls, now }) {
	for (const agent of agents) {
		for (const { session, token } of agent.tokens) {
			const answer = await send(`${house.url}/v1/me`, {
				headers: { authorization: `Bearer ${token}` },
			});
			if (answer.status !== 200) {
				problems.push(`/v1/me of ${agent.name}: ${answer.status} ${answer.text}`);
				continue;
			}
			const me = answer.json;
			for (const limit of me.limits) {
				if (limit.window === 'call' || limit.window === 'minute' ||
					(limit.measure === 'calls' && !calls))
					continue;
				const used = limit.measure === 'spend' ? Number(micros(limit.used)) : limit.used;
				const rows = books.used(agent.name, session, limit, now);
				if (used !== rows)
					problems.push(`${agent.name} ${limit.scope} ${limit.window} ${limit.measure}: ` +
						`/v1/me says ${used}, the rows ${rows}`);
			}
			const says = me.wallet.find(({ network }) => network === NETWORK) ??
				{ available: '0', open: '0', reserved: '0', spent: '0' };
			const rows = books.wallet(agent.name, NETWORK);
			for (const column of Object.keys(rows))
				if (Number(micros(says[column])) !== rows[column])
					problems.push(`${agent.name} wallet ${column}: /v1/me says ${says[column]}, ` +
						`the rows ${rows[column]}`);
		}
	}
}

/** Nothing is left between two chairs: no call is in flight, so no row may say so. */
function nothingIsInFlight({ books, problems }) {
	for (const row of books.payments.values())
		if (books.state(row) === STATE.signed)
			problems.push(`payment ${row.id} is still "signed" after a restart`);
	for (const hold of books.holds.values())
		if (hold.end === null)
			problems.push(`the hold of call ${hold.call} has no end after a restart`);
}

/** What an agent was told is what the ledger says; what it was not told, the ledger knows. */
function answersAreBooked({ books, calls, problems }) {
	for (const call of calls.values()) {
		for (const attempt of call.tries) {
			if (attempt.checked || attempt.lost || !attempt.cost)
				continue;
			attempt.checked = true;
			const rows = [...books.payments.values()].filter((row) => idOf(row.url) === call.id);
			const hold = books.holds.get(attempt.id);
			if (call.tool === 'metered' ? !hold : rows.length === 0)
				problems.push(`call ${call.id} was told that it cost ${attempt.cost}: no row says so`);
		}
	}
}

/**
 * What was answered has its audit row, though nobody waited for it to be on the disk. With an open
 * payment it says that the agent has got it, so it is written when the last bytes have gone out.
 */
function answersAreAudited({ books, calls, problems }, powerCut) {
	const missing = [];
	for (const call of calls.values()) {
		for (const attempt of call.tries) {
			if (!attempt.over || attempt.audited || attempt.lost || !attempt.id)
				continue;
			attempt.audited = true;
			if (!books.audit.has(attempt.id) && attempt.payment !== 'open')
				missing.push(attempt.id);
		}
	}
	// The power takes what was not synced.
	if (!powerCut && missing.length > 0)
		problems.push(`${missing.length} answered calls have no audit row: ${missing.slice(0, 5)}`);
}

/**
 * All of it. `agents`: { name, policy, sessions, tokens }; `calls`: id → logical call.
 *
 * calls   false: counts of calls are not compared. Until a restart a call that was admitted
 *         and then refused counts as one, and no row says so
 * now     the daemon's time, when its clock is not the machine's
 * powerCut  what was written and not synced before the start may be gone
 */
export async function check(world, { calls = true, now = Date.now(), powerCut = false } = {}) {
	const problems = [];
	const { house, books, seller, agents } = world;
	const all = { house, books, seller, agents, calls: world.calls, problems };
	await world.books.read();
	signaturesAreWritten(all);
	purchasesAreSingle(all);
	limitsAreKept(all);
	nothingIsInFlight(all);
	answersAreBooked(all);
	answersAreAudited(all, powerCut);
	await countersAreRows(all, { calls, now });
	const { code, json, stdout, stderr } = await world.house.cli('ledger', 'verify');
	if (code !== 0 || !json?.ok)
		problems.push(`ledger verify: ${JSON.stringify(json?.problems ?? `${stdout}${stderr}`)}`);
	return problems;
}
