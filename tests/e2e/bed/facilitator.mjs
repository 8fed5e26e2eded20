// The official x402 facilitator over HTTP: verifies authorizations and settles
// them on the chain, for both protocol versions.
//
// It can be told to misbehave, because the facilitator is where real payments
// get lost: it is the one party that is slow, restarted, or out of gas while
// a valid signature is in its hands.

import express from 'express';
import http from 'node:http';
import { x402Facilitator } from '@x402/core/facilitator';
import { toFacilitatorEvmSigner } from '@x402/evm';
import { registerExactEvmScheme } from '@x402/evm/exact/facilitator';
import { privateKeyToAccount } from 'viem/accounts';
import { createNonceManager, jsonRpc } from 'viem/nonce';
import { NETWORK, devKey } from './chain.mjs';
import { Gate, listen, shut } from './wait.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A settle that fails to estimate would burn a nonce the node never sees and
// hold up every later one; with the gas given, it is mined and reverts instead.
const SETTLE_GAS = 200_000n;

function facilitatorSigner(chain, account) {
	const wallet = chain.wallet(account);
	return toFacilitatorEvmSigner({
		address: account.address,
		readContract: (args) => chain.client.readContract(args),
		verifyTypedData: (args) => chain.client.verifyTypedData(args),
		writeContract: (args) => wallet.writeContract({ gas: SETTLE_GAS, ...args }),
		sendTransaction: (args) => wallet.sendTransaction({ gas: SETTLE_GAS, ...args }),
		waitForTransactionReceipt: (args) => chain.client.waitForTransactionReceipt(args),
		getCode: (args) => chain.client.getCode(args),
	}, { confirmationTimeoutMs: 30_000 });
}

function officialFacilitator(chain) {
	// One sending account, many settles side by side: the nonce manager deals
	// out transaction numbers without asking the node each time.
	const nonceManager = createNonceManager({ source: jsonRpc() });
	const account = privateKeyToAccount(devKey(0), { nonceManager });
	return registerExactEvmScheme(new x402Facilitator(), {
		signer: facilitatorSigner(chain, account), networks: NETWORK,
	});
}

const refusal = (payload, requirements, reason, transaction = '') => ({
	success: false,
	errorReason: reason,
	transaction,
	network: requirements.network,
	payer: payload.payload?.authorization?.from,
});

/** What the facilitator can be told to do instead of its job. */
const FAULTS = {
	// Only the delay of the fault, then the normal answer.
	slow: (call) => call.answer(),
	// Says no; the authorization stays cashable all the same.
	refuse: (call) => refusal(call.payload, call.requirements, call.fault.reason ?? 'insufficient_funds'),
	// Sent to the chain and paid, but reported as not yet known. The official
	// seller asks a second time at once; it is told the same.
	pending: async (call) => {
		const { nonce } = call.payload.payload.authorization;
		call.fault.sent ??= new Map();
		if (!call.fault.sent.has(nonce))
			call.fault.sent.set(nonce, (await call.answer()).transaction);
		return refusal(call.payload, call.requirements, 'settlement_pending',
			call.fault.sent.get(nonce));
	},
	error: (call) => { call.response.status(500).json({ error: 'facilitator out of order' }); },
	// Drops the connection; nothing was settled.
	reset: (call) => { call.request.socket.resetAndDestroy(); },
	// Settles, then drops the connection: the worst of both.
	hide: async (call) => {
		await call.answer();
		call.request.socket.resetAndDestroy();
	},
	// Waits until behave() is called.
	hang: async (call) => {
		await call.gate.pass();
		return call.answer();
	},
};

/**
 * Start a facilitator that settles on `chain`.
 *
 * misbehave({ on, how, times, delayMs, reason }): `on` is 'settle' (default) or
 *   'verify', `how` one of FAULTS (default 'slow'), `times` how many requests
 *   it lasts (default: until behave()).
 * behave(): back to normal; everything that hangs goes on.
 * verified, settled: what went well, in order.
 */
export async function startFacilitator(chain, { port = 0 } = {}) {
	const official = officialFacilitator(chain);
	const gate = new Gate();
	gate.close();
	const facilitator = {
		chain, gate, faults: [], verified: [], settled: [], requests: 0,
		misbehave(fault) {
			if (!((fault.how ?? 'slow') in FAULTS))
				throw new Error(`unknown fault ${fault.how}`);
			this.faults.push({ on: 'settle', how: 'slow', times: Infinity, ...fault });
		},
		behave() {
			this.faults.length = 0;
			gate.open();
			gate.close();
		},
	};

	const takeFault = (on) => {
		const fault = facilitator.faults.find((f) => f.on === on);
		if (fault && --fault.times <= 0)
			facilitator.faults.splice(facilitator.faults.indexOf(fault), 1);
		return fault;
	};

	const note = {
		verify(payload, result) {
			if (result.isValid)
				facilitator.verified.push(payload.payload.authorization);
			return result;
		},
		settle(payload, result) {
			if (result.success)
				facilitator.settled.push({ ...payload.payload.authorization, transaction: result.transaction });
			return result;
		},
	};

	const serve = (on) => async (request, response) => {
		facilitator.requests++;
		const { paymentPayload: payload, paymentRequirements: requirements } = request.body;
		const answer = async () => note[on](payload, await official[on](payload, requirements));
		const fault = takeFault(on);
		try {
			if (fault?.delayMs)
				await pause(fault.delayMs);
			const call = { payload, requirements, request, response, fault, gate, answer };
			const result = fault ? await FAULTS[fault.how](call) : await answer();
			if (result)
				response.json(result);
		} catch (error) {
			if (!response.headersSent && !response.destroyed)
				response.status(500).json({ error: error.message });
		}
	};

	const app = express();
	app.use(express.json({ limit: '1mb' }));
	app.get('/health', (_request, response) => response.json({ ok: true }));
	app.get('/supported', (_request, response) => response.json(official.getSupported()));
	app.post('/verify', serve('verify'));
	app.post('/settle', serve('settle'));
	// The same knobs for whoever is not in this process.
	app.get('/control', (_request, response) => response.json({
		requests: facilitator.requests, faults: facilitator.faults,
		verified: facilitator.verified, settled: facilitator.settled,
	}));
	app.post('/control', (request, response) => {
		facilitator.misbehave(request.body);
		response.json({ ok: true });
	});
	app.delete('/control', (_request, response) => {
		facilitator.behave();
		response.json({ ok: true });
	});

	const server = http.createServer(app);
	facilitator.url = await listen(server, port);
	facilitator.stop = () => {
		facilitator.behave();
		return shut(server);
	};
	/** Settle a payment as any holder of the signature could. */
	facilitator.settle = async (payload, requirements) =>
		note.settle(payload, await official.settle(payload, requirements));
	return facilitator;
}
