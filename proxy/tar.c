#include "proxy/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/file.h"

#define BLOCK_SIZE 512u
/* Eleven octal digits. */
#define NUMBER_MAX        INT64_C(077777777777)
#define HEADER_NAME_MAX   100u
#define EXTENDED_SIZE_MAX (TAR_NAME_MAX + 256u)

enum type {
	TYPE_FILE = '0',
	TYPE_EXTENDED = 'x', /* about the member after it */
};

struct header {
	char name[HEADER_NAME_MAX]; /* no NUL when it is full */
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char sum[8];
	char type;
	char linked[100];
	char magic[6], version[2];
	char user[32], group[32];
	char device_major[8], device_minor[8];
	char prefix[155];
	char nothing[12];
};
_Static_assert(sizeof(struct header) == BLOCK_SIZE, "a header is a block");

static bool put_header(int fd, const char *name, enum type type, int64_t size, int64_t mtime_s)
{
	struct header header = {.magic = "ustar", .version = {'0', '0'}, .type = (char)type};
	char text[16];
	unsigned sum = 0;

	memcpy(header.name, name, strnlen(name, sizeof header.name));
	memcpy(header.mode, "0000600", 8);
	memcpy(header.uid, "0000000", 8);
	memcpy(header.gid, "0000000", 8);
	memcpy(header.device_major, "0000000", 8);
	memcpy(header.device_minor, "0000000", 8);
	snprintf(text, sizeof text, "%011" PRIo64, (uint64_t)size);
	memcpy(header.size, text, sizeof header.size);
	snprintf(text, sizeof text, "%011" PRIo64, (uint64_t)mtime_s);
	memcpy(header.mtime, text, sizeof header.mtime);
	/* The sum is taken with blanks in its own place. */
	memset(header.sum, ' ', sizeof header.sum);
	for (size_t i = 0; i < sizeof header; i++)
		sum += ((const unsigned char *)&header)[i];
	snprintf(text, sizeof text, "%06o", sum);
	memcpy(header.sum, text, 7);
	return file_write(fd, &header, sizeof header);
}

/* One record: its own length in decimal, with all of itself, then " keyword=value\n". */
static void add_record(struct buf *out, const char *keyword, const char *value)
{
	size_t rest = strlen(keyword) + strlen(value) + 3, length = rest + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof digits, "%zu", length) + rest != length)
		length++;
	buf_add_format(out, "%zu %s=%s\n", length, keyword, value);
}

static bool put_extended(int fd, const char *name, int64_t size, int64_t mtime_s)
{
	char number[24];
	struct buf records;
	bool ok;

	buf_init(&records, EXTENDED_SIZE_MAX);
	if (strlen(name) > HEADER_NAME_MAX)
		add_record(&records, "path", name);
	if (size > NUMBER_MAX) {
		snprintf(number, sizeof number, "%" PRId64, size);
		add_record(&records, "size", number);
	}
	must(buf_ok(&records));
	ok = records.size == 0 ||
	     (put_header(fd, "PaxHeader", TYPE_EXTENDED, (int64_t)records.size, mtime_s) &&
		 file_write(fd, records.data, records.size) && tar_pad(fd, (int64_t)records.size));
	buf_fini(&records);
	return ok;
}

bool tar_begin(int fd, const char *name, int64_t size, int64_t mtime_s)
{
	must(size >= 0 && mtime_s >= 0 && mtime_s <= NUMBER_MAX);
	if (strlen(name) > TAR_NAME_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	/* What the extended header says stands over what does not fit here. */
	return put_extended(fd, name, size, mtime_s) &&
	       put_header(fd, name, TYPE_FILE, size > NUMBER_MAX ? 0 : size, mtime_s);
}

bool tar_pad(int fd, int64_t size)
{
	static const char zeros[BLOCK_SIZE];
	size_t over = (size_t)(size % BLOCK_SIZE);

	return over == 0 || file_write(fd, zeros, BLOCK_SIZE - over);
}

bool tar_end(int fd)
{
	static const char zeros[2 * BLOCK_SIZE];

	return file_write(fd, zeros, sizeof zeros);
}
