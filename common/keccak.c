/* common/keccak.c - Keccak-256: the sponge Keccak[c=512] over Keccak-f[1600].
 *
 * Source: "The Keccak reference", version 3.0 (keccak.team), sections 1.2 and
 * 2.1. Ethereum took it before NIST put the bits 01 in front of the padding, so
 * the first padding byte is 0x01 where SHA3-256 has 0x06. */
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

/* rho's distances and pi's walk over the lanes, both in the order in which the
 * walk that starts at lane (1,0) meets them. Lane (0,0) stays where it is. */
static const uint8_t rotations[LANES - 1] = {
    1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
static const uint8_t walk[LANES - 1] = {
    10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};

static uint64_t rotate_left(uint64_t lane, unsigned distance)
{
	return lane << distance | lane >> (64 - distance);
}

static void theta(uint64_t lanes[LANES])
{
	uint64_t parity[5];
	int x, y;

	for (x = 0; x < 5; x++)
		parity[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
	for (x = 0; x < 5; x++) {
		uint64_t mix = parity[(x + 4) % 5] ^ rotate_left(parity[(x + 1) % 5], 1);

		for (y = 0; y < LANES; y += 5)
			lanes[y + x] ^= mix;
	}
}

static void rho_and_pi(uint64_t lanes[LANES])
{
	uint64_t carried = lanes[1];
	int step;

	for (step = 0; step < LANES - 1; step++) {
		uint64_t next = lanes[walk[step]];

		lanes[walk[step]] = rotate_left(carried, rotations[step]);
		carried = next;
	}
}

static void chi(uint64_t lanes[LANES])
{
	int x, y;

	for (y = 0; y < LANES; y += 5) {
		uint64_t row[5];

		memcpy(row, lanes + y, sizeof(row));
		for (x = 0; x < 5; x++)
			lanes[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
}

static void permute(uint64_t lanes[LANES])
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		theta(lanes);
		rho_and_pi(lanes);
		chi(lanes);
		lanes[0] ^= round_constants[round];
	}
}

/* Lanes are little-endian whatever the machine is. */
static void absorb(uint64_t lanes[LANES], const uint8_t block[RATE])
{
	int i;

	for (i = 0; i < RATE; i++)
		lanes[i / 8] ^= (uint64_t)block[i] << (8 * (i % 8));
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
