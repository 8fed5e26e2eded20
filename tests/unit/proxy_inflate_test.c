/* Compressed 402 bodies: what is read, what is refused, and where a bomb stops. */
#include "proxy/inflate.h"

#include <sys/mman.h>
#include <zlib.h>

#include "tests/unit/unit.h"

#define PACKED_MAX (256u * 1024u)

/* Window bits by which zlib chooses the wrapping. */
enum wrapping { WRAP_ZLIB = 15, WRAP_GZIP = 15 + 16, WRAP_NONE = -15 };

static const char plain[] = "{\"x402Version\":1,\"error\":\"payment required\",\"accepts\":"
			    "[{\"scheme\":\"exact\",\"network\":\"base-sepolia\"}]}";

/* Into packed; how many bytes it took. */
static size_t pack(
    unsigned char packed[PACKED_MAX], enum wrapping wrapping, const void *bytes, size_t size)
{
	z_stream stream = {0};
	size_t packed_size;

	assert_int_equal(
	    deflateInit2(&stream, 9, Z_DEFLATED, wrapping, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (unsigned char *)(uintptr_t)bytes;
	stream.avail_in = (unsigned)size;
	stream.next_out = packed;
	stream.avail_out = PACKED_MAX;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	packed_size = PACKED_MAX - stream.avail_out;
	deflateEnd(&stream);
	return packed_size;
}

static bool inflates(const void *bytes, size_t size)
{
	struct buf out;
	bool ok;

	buf_init(&out, 64 * 1024);
	ok = inflate_body(&out, bytes, size);
	buf_fini(&out);
	return ok;
}

static void codings(void **state)
{
	static const struct {
		const char *coding;
		bool known;
	} rows[] = {
	    {"gzip", true},
	    {"x-gzip", true},
	    {"deflate", true},
	    {"GZIP", true},
	    {"X-GZip", true},
	    {"Deflate", true},
	    {"", false},
	    {"identity", false},
	    {"br", false},
	    {"zstd", false},
	    {"compress", false},
	    {"x-compress", false},
	    {"gzi", false},
	    {"gzipp", false},
	    {" gzip", false},
	    {"gzip ", false},
	    {"gzip,br", false},
	    {"gzip, gzip", false},
	    {"x-deflate", false},
	    {"zlib", false},
	    {"*", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i].coding, inflate_knows(rows[i].coding) == rows[i].known);
}

static void both_wrappings_of_every_size(void **state)
{
	static const size_t rows[] = {
	    0, 1, 2, 100, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 100000};
	static const enum wrapping wrappings[] = {WRAP_ZLIB, WRAP_GZIP};
	static unsigned char packed[PACKED_MAX], bytes[100000];

	(void)state;
	/* A generator of no quality, so that it does not shrink away to nothing. */
	for (size_t i = 0, value = 1; i < sizeof bytes; i++) {
		value = (value * 1103515245u + 12345u) & 0x7fffffffu;
		bytes[i] = (unsigned char)(value >> 16);
	}
	for (size_t i = 0; i < COUNT(rows) * COUNT(wrappings); i++) {
		size_t size = rows[i / COUNT(wrappings)];
		size_t packed_size = pack(packed, wrappings[i % COUNT(wrappings)], bytes, size);
		struct buf out;

		buf_init(&out, size + 1);
		assert_true(inflate_body(&out, packed, packed_size));
		assert_int_equal(out.size, size);
		if (size > 0)
			assert_memory_equal(out.data, bytes, size);
		buf_fini(&out);
	}
}

static void output_is_appended(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t packed_size = pack(packed, WRAP_GZIP, plain, strlen(plain));
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	buf_add_str(&out, "before ");
	assert_true(inflate_body(&out, packed, packed_size));
	assert_memory_equal(buf_str(&out), "before {", 8);
	assert_string_equal(buf_str(&out) + 7, plain);
	buf_fini(&out);
}

static void cut_short_at_every_byte(void **state)
{
	static const enum wrapping wrappings[] = {WRAP_ZLIB, WRAP_GZIP};
	static unsigned char packed[PACKED_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(wrappings); i++) {
		size_t packed_size = pack(packed, wrappings[i], plain, strlen(plain));

		assert_true(inflates(packed, packed_size));
		for (size_t size = 0; size < packed_size; size++) {
			/* On the heap, where reading past the end is seen. */
			unsigned char *cut = malloc(size + !size);

			assert_non_null(cut);
			memcpy(cut, packed, size);
			assert_false(inflates(cut, size));
			free(cut);
		}
	}
}

/* Bytes 4 to 9 of a gzip head (time, flags for people, system) mean nothing to a reader. */
static bool is_checked(enum wrapping wrapping, size_t at)
{
	return wrapping == WRAP_ZLIB || at < 4 || at > 9;
}

/* The text may not come out wrong, whichever bit flips on the way: both carry a checksum. */
static void a_flipped_bit_is_seen(void **state)
{
	static const enum wrapping wrappings[] = {WRAP_ZLIB, WRAP_GZIP};
	static unsigned char packed[PACKED_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(wrappings); i++) {
		size_t packed_size = pack(packed, wrappings[i], plain, strlen(plain));

		for (size_t bit = 0; bit < packed_size * 8; bit++) {
			unsigned char mask = (unsigned char)(1u << bit % 8);
			struct buf out;

			packed[bit / 8] ^= mask;
			buf_init(&out, 64 * 1024);
			if (inflate_body(&out, packed, packed_size)) {
				assert_string_equal(buf_str(&out), plain);
			} else {
				assert_true(is_checked(wrappings[i], bit / 8));
			}
			buf_fini(&out);
			packed[bit / 8] ^= mask;
		}
	}
}

/* What comes after the end is not looked at, and never becomes part of the text. */
static void trailing_junk_is_left_alone(void **state)
{
	static const char *const rows[] = {"", "\n", "junk", "\x1f\x8c", "\x1f"};
	static const enum wrapping wrappings[] = {WRAP_ZLIB, WRAP_GZIP};
	static unsigned char packed[PACKED_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows) * COUNT(wrappings); i++) {
		const char *junk = rows[i / COUNT(wrappings)];
		size_t size = pack(packed, wrappings[i % COUNT(wrappings)], plain, strlen(plain));
		struct buf out;

		memcpy(packed + size, junk, strlen(junk));
		buf_init(&out, 1024);
		row_check(junk, inflate_body(&out, packed, size + strlen(junk)));
		assert_string_equal(buf_str(&out), plain);
		buf_fini(&out);
	}
}

/* RFC 1952: a gzip file is a series of members; one that is cut short spoils the whole. */
static void gzip_of_several_members(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t size = pack(packed, WRAP_GZIP, "hello ", 6);
	struct buf out;

	(void)state;
	size += pack(packed + size, WRAP_GZIP, "world", 5);
	buf_init(&out, 1024);
	assert_true(inflate_body(&out, packed, size));
	assert_string_equal(buf_str(&out), "hello world");
	buf_clear(&out);
	assert_false(inflate_body(&out, packed, size - 1));
	buf_fini(&out);
	buf_init(&out, 8);
	assert_false(inflate_body(&out, packed, size));
	buf_fini(&out);
}

static void what_is_not_compressed(void **state)
{
	static const struct {
		const char *name;
		const char *bytes;
		size_t size;
	} rows[] = {
	    {"nothing", "", 0},
	    {"NUL", "\0\0\0\0\0\0\0\0", 8},
	    {"JSON", "{\"x402Version\":1}", 17},
	    {"HTML", "<html>402 Payment Required</html>", 33},
	    {"gzip's mark alone", "\x1f\x8b", 2},
	    {"gzip's head alone", "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10},
	    {"gzip of another method", "\x1f\x8b\x07\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20},
	    {"gzip with reserved flags", "\x1f\x8b\x08\xe0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
		20},
	    {"gzip of the wrong sum", "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\x01\0\0\0\0\0\0\0", 20},
	    {"gzip of the wrong length", "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\x01\0\0\0",
		20},
	    {"gzip whose name has no end", "\x1f\x8b\x08\x08\0\0\0\0\0\x03name", 14},
	    {"zlib's head alone", "\x78\x9c", 2},
	    {"zlib that wants a dictionary", "\x78\xbb\0\0\0\x01\x03\0\0\0\0\x01", 12},
	    {"zlib of the wrong sum", "\x78\x9c\x03\0\0\0\0\x02", 8},
	    {"zlib of a bad block", "\x78\x9c\x07\0\0\0\0\x01", 8},
	    {"zstd", "\x28\xb5\x2f\xfd\x04\0\x01\0\0", 9},
	    {"compress", "\x1f\x9d\x90\x61", 4},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		row_check(rows[i].name, !inflates(rows[i].bytes, rows[i].size));
	/* The rows of the wrong sum with the right one. */
	assert_true(inflates("\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20));
	assert_true(inflates("\x78\x9c\x03\0\0\0\0\x01", 8));
}

static void deflate_without_zlib_around_it(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t packed_size = pack(packed, WRAP_NONE, plain, strlen(plain));

	(void)state;
	assert_false(inflates(packed, packed_size));
}

static void a_bomb_stops_at_the_ceiling(void **state)
{
	static const size_t rows[] = {0, 1, 4095, 4096, 4097, 65536};
	static const enum wrapping wrappings[] = {WRAP_ZLIB, WRAP_GZIP};
	static unsigned char packed[PACKED_MAX];
	const size_t bomb_size = 64u * 1024u * 1024u;
	unsigned char *bomb = calloc(1, bomb_size);

	(void)state;
	assert_non_null(bomb);
	for (size_t i = 0; i < COUNT(wrappings); i++) {
		size_t packed_size = pack(packed, wrappings[i], bomb, bomb_size);

		for (size_t j = 0; j < COUNT(rows); j++) {
			struct buf out;

			buf_init(&out, rows[j]);
			assert_false(inflate_body(&out, packed, packed_size));
			assert_true(out.size <= rows[j]);
			/* Doubling may overshoot, but not to the size of the bomb. */
			assert_true(out.capacity <= 4 * 65536);
			buf_fini(&out);
		}
	}
	free(bomb);
}

/* What lies behind the ceiling is not even read: all but the first page would end us. */
static void a_bomb_costs_no_more_than_its_ceiling(void **state)
{
	static unsigned char packed[PACKED_MAX];
	const size_t bomb_size = 64u * 1024u * 1024u, page_size = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *bomb = calloc(1, bomb_size), *pages;
	size_t packed_size;
	struct buf out;

	(void)state;
	assert_non_null(bomb);
	packed_size = pack(packed, WRAP_GZIP, bomb, bomb_size);
	free(bomb);
	assert_true(packed_size > page_size);
	pages = mmap(NULL, PACKED_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(pages != MAP_FAILED);
	memcpy(pages, packed, packed_size);
	assert_int_equal(mprotect(pages + page_size, PACKED_MAX - page_size, PROT_NONE), 0);
	buf_init(&out, 65536);
	assert_false(inflate_body(&out, pages, packed_size));
	buf_fini(&out);
	assert_int_equal(munmap(pages, PACKED_MAX), 0);
}

/* The ceiling itself fits; one byte less does not. */
static void the_ceiling_is_exact(void **state)
{
	static const size_t rows[] = {1, 4095, 4096, 4097, 8192, 50000};
	static unsigned char packed[PACKED_MAX], bytes[50000];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t packed_size = pack(packed, WRAP_GZIP, bytes, rows[i]);
		struct buf out;

		buf_init(&out, rows[i]);
		assert_true(inflate_body(&out, packed, packed_size));
		assert_int_equal(out.size, rows[i]);
		buf_fini(&out);
		buf_init(&out, rows[i] - 1);
		assert_false(inflate_body(&out, packed, packed_size));
		assert_true(out.size <= rows[i] - 1);
		buf_fini(&out);
	}
}

static void a_failed_buffer_stays_failed(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t packed_size = pack(packed, WRAP_GZIP, plain, strlen(plain));
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	for (int i = 0; i < 1025; i++)
		buf_add_str(&out, "x");
	assert_false(buf_ok(&out));
	assert_false(inflate_body(&out, packed, packed_size));
	buf_fini(&out);
}

static bool add_all(const void *bytes, size_t size, void *arg)
{
	buf_add(arg, bytes, size);
	return buf_ok(arg);
}

static bool refuse_all(const void *bytes, size_t size, void *arg)
{
	(void)bytes;
	(void)arg;
	return size == 0;
}

/* The same bytes in pieces of every size give the same, and it is known when all has come. */
static void piece_by_piece(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t first = pack(packed, WRAP_GZIP, plain, strlen(plain)), size = first;

	(void)state;
	/* A second member behind the first. */
	size += pack(packed + first, WRAP_GZIP, plain, strlen(plain));
	for (size_t piece = 1; piece <= size; piece++) {
		struct inflater *inflater = inflater_new();
		struct buf out;

		buf_init(&out, 4096);
		assert_false(inflater_whole(inflater));
		for (size_t at = 0; at < size; at += piece) {
			size_t more = piece < size - at ? piece : size - at;

			assert_true(inflater_feed(inflater, packed + at, more, add_all, &out));
			assert_int_equal(inflater_whole(inflater),
			    at + more == size || (at + more >= first && out.size == strlen(plain)));
		}
		assert_int_equal(out.size, 2 * strlen(plain));
		assert_memory_equal(out.data, plain, strlen(plain));
		assert_memory_equal(out.data + strlen(plain), plain, strlen(plain));
		/* What comes behind it belongs to nothing. */
		assert_true(inflater_feed(inflater, "junk behind it", 14, add_all, &out));
		assert_true(inflater_feed(inflater, "and more junk", 13, add_all, &out));
		assert_true(inflater_whole(inflater));
		assert_int_equal(out.size, 2 * strlen(plain));
		buf_fini(&out);
		inflater_free(&inflater);
	}
}

static void damage_and_a_full_reader_stop_it(void **state)
{
	static unsigned char packed[PACKED_MAX];
	size_t size = pack(packed, WRAP_GZIP, plain, strlen(plain));
	struct inflater *inflater = inflater_new();
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_false(inflater_feed(inflater, packed, size, refuse_all, NULL));
	inflater_free(&inflater);
	inflater = inflater_new();
	assert_false(inflater_feed(inflater, "not gzip at all", 15, add_all, &out));
	assert_false(inflater_whole(inflater));
	inflater_free(&inflater);
	inflater = inflater_new();
	packed[size / 2] ^= 0x10;
	assert_false(
	    inflater_feed(inflater, packed, size, add_all, &out) && inflater_whole(inflater));
	inflater_free(&inflater);
	assert_null(inflater);
	inflater_free(&inflater);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codings),
	    cmocka_unit_test(both_wrappings_of_every_size),
	    cmocka_unit_test(output_is_appended),
	    cmocka_unit_test(cut_short_at_every_byte),
	    cmocka_unit_test(a_flipped_bit_is_seen),
	    cmocka_unit_test(trailing_junk_is_left_alone),
	    cmocka_unit_test(gzip_of_several_members),
	    cmocka_unit_test(what_is_not_compressed),
	    cmocka_unit_test(deflate_without_zlib_around_it),
	    cmocka_unit_test(a_bomb_stops_at_the_ceiling),
	    cmocka_unit_test(a_bomb_costs_no_more_than_its_ceiling),
	    cmocka_unit_test(the_ceiling_is_exact),
	    cmocka_unit_test(a_failed_buffer_stays_failed),
	    cmocka_unit_test(piece_by_piece),
	    cmocka_unit_test(damage_and_a_full_reader_stop_it),
	};

	return unit_run(tests);
}
