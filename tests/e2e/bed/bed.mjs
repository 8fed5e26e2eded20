// The whole bed at once: chain, facilitator, sellers.

import { startChain } from './chain.mjs';
import { startFacilitator } from './facilitator.mjs';
import { startRogue } from './rogue.mjs';
import { startSeller, startSellerV1 } from './sellers.mjs';

/**
 * Start a bed. Each test file has its own, so that one may stop the chain or
 * move its clock without troubling the next.
 *
 * { v1: true } adds the version 1 seller, { rogue: true } the rogue one.
 */
export async function startBed({ v1 = false, rogue = false, ports = {} } = {}) {
	const bed = { stops: [] };
	const add = async (name, starting) => {
		bed[name] = await starting;
		bed.stops.unshift(() => bed[name].stop());
	};
	bed.stop = async () => {
		for (const stop of bed.stops.splice(0))
			await stop();
	};
	try {
		await add('chain', startChain({ port: ports.chain }));
		await add('facilitator', startFacilitator(bed.chain, { port: ports.facilitator }));
		await add('seller', startSeller(bed.facilitator.url, { port: ports.seller }));
		if (v1)
			await add('sellerV1', startSellerV1(bed.facilitator.url, { port: ports.sellerV1 }));
		if (rogue)
			await add('rogue', startRogue(bed.facilitator, { port: ports.rogue }));
	} catch (error) {
		await bed.stop();
		throw error;
	}
	return bed;
}
