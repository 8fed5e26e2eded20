/* Compressed bodies of strangers: bounded, and the same however they arrive.
 *
 * The first byte chooses the ceiling, the second the size of the pieces; the rest is the body,
 * which is also compressed and must come out as it went in. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proxy/inflate.h"
#include "tests/fuzz/fuzz.h"

#define CEILING_MAX (64u * 1024u)

static bool add(const void *bytes, size_t size, void *arg)
{
	struct buf *out = arg;

	must(size > 0 && size <= 4096);
	buf_add(out, bytes, size);
	return buf_ok(out);
}

/* False, and nothing fed after it, when a piece is refused. */
static bool in_pieces(struct buf *out, size_t piece, const uint8_t *bytes, size_t size)
{
	struct inflater *inflater = inflater_new();
	bool good = true;
	size_t at;

	for (at = 0; good && at < size; at += piece)
		good = inflater_feed(
		    inflater, bytes + at, size - at < piece ? size - at : piece, add, out);
	good = good && inflater_whole(inflater);
	inflater_free(&inflater);
	must(inflater == NULL);
	return good;
}

static void check_same(size_t ceiling, size_t piece, const uint8_t *bytes, size_t size)
{
	struct buf whole, pieces;
	bool good;

	buf_init(&whole, ceiling);
	buf_init(&pieces, ceiling);
	good = inflate_body(&whole, bytes, size);
	must(whole.size <= ceiling && (!good || buf_ok(&whole)));
	must(in_pieces(&pieces, piece, bytes, size) == good);
	must(!good || (whole.size == pieces.size &&
			  memcmp(buf_str(&whole), buf_str(&pieces), whole.size) == 0));
	buf_fini(&pieces);
	buf_fini(&whole);
}

/* window: zlib's, with 16 more for gzip. */
static void check_back(int window, size_t piece, const uint8_t *bytes, size_t size)
{
	uLong bound = compressBound((uLong)size) + 64;
	uint8_t *packed = must_alloc(bound);
	z_stream stream = {.next_in = (uint8_t *)(uintptr_t)bytes,
	    .avail_in = (unsigned)size,
	    .next_out = packed,
	    .avail_out = (unsigned)bound};
	struct buf out;

	must(deflateInit2(&stream, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	must(deflateEnd(&stream) == Z_OK);
	buf_init(&out, size + 1);
	must(in_pieces(&out, piece, packed, stream.total_out));
	must(out.size == size && memcmp(buf_str(&out), bytes, size) == 0);
	buf_fini(&out);
	/* One byte less is too little room. */
	if (size > 0) {
		buf_init(&out, size - 1);
		must(!inflate_body(&out, packed, stream.total_out));
		buf_fini(&out);
	}
	/* What is cut short is not whole. */
	buf_init(&out, size + 1);
	must(!inflate_body(&out, packed, stream.total_out - 1));
	buf_fini(&out);
	free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	check_same(CEILING_MAX * (data[0] + 1u) / 256, data[1] + 1u, data + 2, size - 2);
	check_back(15, data[1] + 1u, data + 2, size - 2);
	check_back(15 + 16, data[1] + 1u, data + 2, size - 2);
	return 0;
}
