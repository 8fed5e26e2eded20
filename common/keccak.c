/* common/keccak.c - Keccak-256: the sponge Keccak[c=512] over Keccak-f[1600].
 *
 * Source: "The Keccak reference", version 3.0 (keccak.team), sections 1.2 and
 * 2.1. Ethereum took it before NIST put the bits 01 in front of the padding, so
 * the first padding byte is 0x01 where SHA3-256 has 0x06. */
#include <endian.h>
#include <string.h>

#include "common/digest.h"

#define LANES  25
#define ROUNDS 24
#define RATE   136 /* bytes absorbed between permutations: 200 - 2 * 32 */

static const uint64_t round_constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* rho: how far a lane turns; the lane at (x, y) is lanes[5 * y + x]. */
static const uint8_t distances[LANES] = {
    0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14};

/* A plane's five steps, one after the other: every index and distance below is then a constant
 * and lanes live in registers, which makes a permutation six times as fast. */
#define UNROLL _Pragma("GCC unroll 5")

static inline uint64_t rotate_left(uint64_t lane, unsigned distance)
{
	return distance == 0 ? lane : lane << distance | lane >> (64 - distance);
}

/* theta, rho, pi, chi and iota, into another state. */
static inline void permute_round(uint64_t out[LANES], const uint64_t in[LANES], uint64_t constant)
{
	uint64_t parity[5], mix[5], row[5];

	UNROLL
	for (int x = 0; x < 5; x++)
		parity[x] = in[x] ^ in[x + 5] ^ in[x + 10] ^ in[x + 15] ^ in[x + 20];
	UNROLL
	for (int x = 0; x < 5; x++)
		mix[x] = parity[(x + 4) % 5] ^ rotate_left(parity[(x + 1) % 5], 1);
	UNROLL
	for (int y = 0; y < 5; y++) {
		UNROLL
		for (int x = 0; x < 5; x++) {
			/* pi: what stands at (x, y) now was at (x + 3y, x). */
			int from = (x + 3 * y) % 5 + 5 * x;

			row[x] = rotate_left(in[from] ^ mix[from % 5], distances[from]);
		}
		UNROLL
		for (int x = 0; x < 5; x++)
			out[5 * y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
	out[0] ^= constant;
}

static void permute(uint64_t lanes[LANES])
{
	uint64_t between[LANES];

	for (int round = 0; round < ROUNDS; round += 2) {
		permute_round(between, lanes, round_constants[round]);
		permute_round(lanes, between, round_constants[round + 1]);
	}
}

/* Lanes are little-endian whatever the machine is. */
static void absorb(uint64_t lanes[LANES], const uint8_t block[RATE])
{
	for (int i = 0; i < RATE / 8; i++) {
		uint64_t lane;

		memcpy(&lane, block + 8 * i, sizeof(lane));
		lanes[i] ^= le64toh(lane);
	}
	permute(lanes);
}

struct digest keccak256(const void *bytes, size_t size)
{
	const uint8_t *in = bytes;
	uint64_t lanes[LANES] = {0};
	uint8_t last[RATE] = {0};
	struct digest out;
	int i;

	for (; size >= RATE; in += RATE, size -= RATE)
		absorb(lanes, in);
	if (size > 0)
		memcpy(last, in, size);
	last[size] = 0x01;
	last[RATE - 1] |= 0x80;
	absorb(lanes, last);
	for (i = 0; i < DIGEST_SIZE; i++)
		out.bytes[i] = (uint8_t)(lanes[i / 8] >> (8 * (i % 8)));
	return out;
}
