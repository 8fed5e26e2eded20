/* common/glob.c - matching with one remembered star.
 *
 * When a later part fails, only the last `*` need take one more character: an
 * earlier star that took more could reach nothing that the last one cannot. */
#include "common/glob.h"

#include <stddef.h>
#include <string.h>

/* The character after the one that text stands on (UTF-8). */
static const char *next_character(const char *text)
{
	do {
		text++;
	} while (((unsigned char)*text & 0xc0) == 0x80);
	return text;
}

/* Pattern is the `length` bytes at pattern. */
static bool match(const char *pattern, size_t length, const char *text)
{
	const char *end = pattern + length;
	const char *star = NULL, *star_text = NULL;

	while (*text != '\0') {
		if (pattern < end && *pattern == '*') {
			star = pattern++;
			star_text = text;
		} else if (pattern < end && *pattern == '?') {
			pattern++;
			text = next_character(text);
		} else if (pattern < end && *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++star_text;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

bool glob_match(const char *pattern, const char *text)
{
	size_t length = strlen(pattern);

	if (match(pattern, length, text))
		return true;
	return length > 2 && memcmp(pattern + length - 2, "/*", 2) == 0 &&
	       match(pattern, length - 2, text);
}
