// What the database file itself says, read by sqlite3 and added up here, so that nothing of
// the program under test takes part in judging it. Rows are only ever added: each reading
// takes the new ones, and counts all of them, so that one that went away is missed.

import { spawn } from 'node:child_process';

export const STATE = {
	signed: 1, open: 2, settled: 3, resolvedSpent: 4, resolvedUnused: 5, expired: 6, cancelled: 7,
};
const UNUSED = new Set([STATE.resolvedUnused, STATE.expired, STATE.cancelled]);
const EVENT = { refund: 5, hold: 6, charge: 7, release: 8 };
const ROLE = { available: 2, open: 3, reserved: 4, spent: 5 };

/** The output of sqlite3 for one statement. */
function ask(file, sql) {
	return new Promise((resolve, reject) => {
		const child = spawn('sqlite3', ['-readonly', '-batch', file], { stdio: 'pipe' });
		let out = '';
		let errors = '';
		child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
		child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
		child.on('error', reject);
		child.on('close', (code) => (code === 0 && !errors ? resolve(out)
			: reject(new Error(`sqlite3: ${errors || `exit ${code}`}`))));
		child.stdin.end(`.timeout 5000\n${sql};\n`);
	});
}

const list = (columns, from) =>
	`(SELECT json_group_array(json_array(${columns.join(', ')})) FROM ${from})`;

const COLUMNS = {
	payment: ['id', 'call', 'agent_name', 'tool', 'session', 'amount', 'nonce', 'header_value',
		'payer', 'payee', 'url', 'valid_before_s'],
	payment_state: ['id', 'payment', 'state', 'by'],
	journal: ['id', 'event', 'call', 'payment', 'agent_name', 'session', 'tool', 'amount',
		'from_spent'],
	audit: ['id', 'agent_name', 'session', 'tool', 'allowed', 'kind', 'payment'],
};

export class Books {
	constructor(file) {
		this.file = file;
		this.payments = new Map();  // id → row, with `states`, newest last
		this.holds = new Map();     // call → row, with `end`
		this.audit = new Map();     // id → row
		this.events = 0;            // journal rows read
		this.states = 0;
		this.latest = { payment: 0, payment_state: 0, journal: 0 };
		this.calls = new Set();
	}

	/** Read what is new. Throws when a row that was read before is not there any more. */
	async read() {
		const where = (table) => `${table} WHERE id > ${this.latest[table]}`;
		const sql = `SELECT json_object(
			'payment', ${list(COLUMNS.payment, `(SELECT * FROM ${where('payment')} ORDER BY id)`)},
			'payment_state', ${list(COLUMNS.payment_state,
		`(SELECT * FROM ${where('payment_state')} ORDER BY id)`)},
			'journal', ${list(COLUMNS.journal, `(SELECT * FROM ${where('journal')} ORDER BY id)`)},
			'audit', ${list(COLUMNS.audit, 'audit')},
			'sums', (SELECT json_group_array(json_array(agent, network, role, total)) FROM
				(SELECT (SELECT name FROM agent g WHERE g.id = a.agent) AS agent, a.network, a.role,
					sum(p.amount) AS total FROM posting p JOIN account a ON a.id = p.account
					GROUP BY a.agent, a.network, a.role)),
			'counts', (SELECT json_array((SELECT count(*) FROM payment),
				(SELECT count(*) FROM payment_state), (SELECT count(*) FROM journal))))`;
		const found = JSON.parse(await ask(this.file, sql));
		const rows = (table) => found[table].map((values) =>
			Object.fromEntries(COLUMNS[table].map((name, i) => [name, values[i]])));
		for (const row of rows('payment')) {
			this.payments.set(row.id, { ...row, states: [], refunded: 0 });
			this.latest.payment = row.id;
		}
		for (const row of rows('payment_state')) {
			this.payments.get(row.payment).states.push(row);
			this.latest.payment_state = row.id;
			this.states++;
		}
		for (const row of rows('journal')) {
			if (row.event === EVENT.hold)
				this.holds.set(row.call, { ...row, end: null });
			else if (row.event === EVENT.charge || row.event === EVENT.release)
				this.holds.get(row.call).end = row.event;
			else if (row.event === EVENT.refund)
				this.payments.get(row.payment).refunded += row.amount;
			this.latest.journal = row.id;
			this.events++;
		}
		// A call's audit row may be younger than later calls': all of them, then.
		for (const row of rows('audit'))
			this.audit.set(row.id, row);
		if (rows('audit').length !== this.audit.size)
			throw new Error('audit rows that were there are gone');
		const [payments, states, journal] = found.counts;
		if (payments !== this.payments.size || states !== this.states || journal !== this.events)
			throw new Error(`rows that were there are gone: payments ${this.payments.size} → ` +
				`${payments}, states ${this.states} → ${states}, journal ${this.events} → ${journal}`);
		this.sums = found.sums.map(([agent, network, role, total]) => ({ agent, network, role, total }));
		this.byNonce = new Map([...this.payments.values()].map((row) => [row.nonce.toLowerCase(), row]));
		return this;
	}

	state(payment) {
		return payment.states.at(-1)?.state ?? STATE.signed;
	}

	/** Micro-dollars that count against limits: each with when, who and what. */
	*charges() {
		for (const payment of this.payments.values())
			if (!UNUSED.has(this.state(payment)))
				yield { ...payment, agent: payment.agent_name, spend: payment.amount - payment.refunded,
					at: payment.call, paid: true };
		for (const hold of this.holds.values())
			if (hold.end !== EVENT.release)
				yield { agent: hold.agent_name, tool: hold.tool, payee: '', spend: hold.amount,
					session: hold.session ?? this.audit.get(hold.call)?.session, at: hold.call, paid: false };
	}

	/** What a limit of /v1/me must say is used. Sliding windows: all since the hour began. */
	used(agent, session, { scope, window, measure }, nowMs) {
		const [kind, ...rest] = scope.split(':');
		const name = rest.join(':').toLowerCase();
		const since = 1000 * {
			total: 0, hour: nowMs - 3_600_000, minute: nowMs - 60_000,
			day: Date.parse(new Date(nowMs).toISOString().slice(0, 10)),
			month: Date.parse(`${new Date(nowMs).toISOString().slice(0, 7)}-01`),
		}[window];
		const fits = (row) => row.agent === agent && row.at >= since &&
			(kind !== 'session' || row.session === session) &&
			(kind !== 'tool' || row.tool === name) &&
			(kind !== 'payee' || row.payee?.toLowerCase() === name) &&
			(kind !== 'wallet' || row.paid);
		let sum = 0;
		if (measure === 'spend' || kind === 'wallet' || kind === 'payee') {
			for (const row of this.charges())
				if (fits(row))
					sum += measure === 'spend' ? row.spend : 1;
			return sum;
		}
		for (const row of this.audit.values())
			if (row.kind === 1 && row.allowed && fits({ ...row, agent: row.agent_name, at: row.id }))
				sum++;
		return sum;
	}

	/** The four columns of a wallet, in micro-dollars. */
	wallet(agent, network) {
		const total = (role) => this.sums.filter((row) =>
			row.agent === agent && row.network === network && row.role === role)
			.reduce((sum, row) => sum + row.total, 0);
		return { available: total(ROLE.available), open: total(ROLE.open),
			reserved: total(ROLE.reserved), spent: total(ROLE.spent) };
	}
}
