#!/usr/bin/env node
// Small hand tools for a chain that bed/up.mjs started.
//
//   chainctl.mjs RPC mint ADDRESS USDC     make USDC, e.g. 10.00
//   chainctl.mjs RPC balance ADDRESS       print the balance, e.g. 10.000000
//   chainctl.mjs RPC advance SECONDS       move the chain's clock forward
//   chainctl.mjs RPC used ADDRESS NONCE    was this authorization used: true, false

import { formatUnits, parseUnits } from 'viem';
import { Chain } from './chain.mjs';

const USAGE = 'usage: chainctl.mjs RPC mint ADDRESS USDC | balance ADDRESS |' +
	' advance SECONDS | used ADDRESS NONCE\n';

async function balance(chain, address) {
	const atomic = await chain.balanceOf(address);
	const [dollars, rest = ''] = formatUnits(atomic, 6).split('.');
	return `${dollars}.${rest.padEnd(6, '0')}`;
}

const commands = {
	mint: async (chain, address, usdc) => {
		await chain.mint(address, parseUnits(usdc, 6));
		return balance(chain, address);
	},
	balance,
	advance: async (chain, seconds) => {
		await chain.advance(Number(seconds));
		return String(await chain.now());
	},
	used: async (chain, address, nonce) => String(await chain.authorizationState(address, nonce)),
};
const ARGUMENTS = { mint: 2, balance: 1, advance: 1, used: 2 };

const [rpc, command, ...rest] = process.argv.slice(2);
if (!(command in commands) || rest.length !== ARGUMENTS[command]) {
	process.stderr.write(USAGE);
	process.exit(2);
}
try {
	process.stdout.write(`${await commands[command](new Chain(rpc), ...rest)}\n`);
} catch (error) {
	process.stderr.write(`chainctl: ${error.shortMessage ?? error.message}\n`);
	process.exit(1);
}
