#include "proxy/inflate.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

struct inflater {
	z_stream stream;
	bool ended; /* a member has, and nothing has come of the bytes behind it */
	bool over;  /* what comes now belongs to no member */
};

bool inflate_knows(const char *coding)
{
	return strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0 ||
	    strcasecmp(coding, "deflate") == 0;
}

struct inflater *inflater_new(void)
{
	/* 15 bits of window, and 32: find out from its head whether it is gzip or zlib. */
	const int window_bits = 15 + 32;
	struct inflater *inflater = must_calloc(1, sizeof *inflater);

	must(inflateInit2(&inflater->stream, window_bits) == Z_OK);
	return inflater;
}

void inflater_free(struct inflater **inflater)
{
	if (*inflater == NULL)
		return;
	inflateEnd(&(*inflater)->stream);
	free(*inflater);
	*inflater = NULL;
}

bool inflater_feed(struct inflater *inflater, const void *bytes, size_t size,
    inflate_each_fn *each, void *arg)
{
	z_stream *stream = &inflater->stream;
	unsigned char piece[4096];
	int status = Z_OK;

	must(size <= UINT_MAX);
	stream->next_in = (unsigned char *)(uintptr_t)bytes;
	stream->avail_in = (unsigned)size;
	while (!inflater->over) {
		size_t made;

		stream->next_out = piece;
		stream->avail_out = sizeof piece;
		status = inflate(stream, Z_NO_FLUSH);
		made = sizeof piece - stream->avail_out;
		if (made > 0) {
			inflater->ended = false;
			if (!each(piece, made, arg))
				return false;
		}
		if (status == Z_STREAM_END) {
			/* A gzip file may have several members, one behind the other. */
			inflater->ended = true;
			must(inflateReset(stream) == Z_OK);
		} else if (status != Z_OK && status != Z_BUF_ERROR) {
			inflater->over = inflater->ended;
			return inflater->ended;
		}
		/* Full pieces may have more behind them; else all that came is used up. */
		if (stream->avail_in == 0 && stream->avail_out > 0)
			break;
	}
	return true;
}

bool inflater_whole(const struct inflater *inflater)
{
	return inflater->ended;
}

static bool add_piece(const void *bytes, size_t size, void *arg)
{
	buf_add(arg, bytes, size);
	return buf_ok(arg);
}

bool inflate_body(struct buf *out, const void *bytes, size_t size)
{
	struct inflater *inflater = inflater_new();
	bool ok = inflater_feed(inflater, bytes, size, add_piece, out) && inflater_whole(inflater);

	inflater_free(&inflater);
	return ok;
}
