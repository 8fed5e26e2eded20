#include "proxy/inflate.h"

#include <limits.h>
#include <stdint.h>
#include <strings.h>
#include <zlib.h>

bool inflate_knows(const char *coding)
{
	return strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0 ||
	    strcasecmp(coding, "deflate") == 0;
}

bool inflate_body(struct buf *out, const void *bytes, size_t size)
{
	/* 15 bits of window, and 32: find out from its head whether it is gzip or zlib. */
	const int window_bits = 15 + 32;
	unsigned char piece[4096];
	z_stream stream = {0};
	int status = Z_OK;

	must(size <= UINT_MAX);
	if (inflateInit2(&stream, window_bits) != Z_OK)
		return false;
	stream.next_in = (unsigned char *)(uintptr_t)bytes;
	stream.avail_in = (unsigned)size;
	while (status == Z_OK && buf_ok(out)) {
		stream.next_out = piece;
		stream.avail_out = sizeof piece;
		status = inflate(&stream, Z_NO_FLUSH);
		buf_add(out, piece, sizeof piece - stream.avail_out);
		/* A gzip stream may have several members, one behind the other. */
		if (status == Z_STREAM_END && stream.avail_in >= 2 && stream.next_in[0] == 0x1f &&
		    stream.next_in[1] == 0x8b)
			status = inflateReset(&stream);
	}
	inflateEnd(&stream);
	return status == Z_STREAM_END && buf_ok(out);
}
