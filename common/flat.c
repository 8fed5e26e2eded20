/* common/flat.c - see flat.h. */
#include "common/flat.h"

#include <string.h>

static char *skip_blanks(char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')
		at++;
	return at;
}

/* Behind a string, whose closing quote becomes its end; NULL: not a plain one. */
static char *read_string(const char **out, char *at)
{
	if (*at++ != '"')
		return NULL;
	*out = at;
	while (*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\')
		at++;
	if (*at != '"')
		return NULL;
	*at = '\0';
	return at + 1;
}

static char *read_word(bool *out, char *at)
{
	*out = strncmp(at, "true", 4) == 0;
	if (*out)
		return at + 4;
	return strncmp(at, "false", 5) == 0 ? at + 5 : NULL;
}

/* "key": value, and the blanks behind it. */
static char *read_member(struct flat_member *out, char *at)
{
	*out = (struct flat_member){.text = NULL};
	at = read_string(&out->key, at);
	if (at == NULL)
		return NULL;
	at = skip_blanks(at);
	if (*at != ':')
		return NULL;
	at = skip_blanks(at + 1);
	at = *at == '"' ? read_string(&out->text, at) : read_word(&out->truth, at);
	return at == NULL ? NULL : skip_blanks(at);
}

const struct flat_member *flat_member(const struct flat *flat, const char *key)
{
	for (size_t i = 0; i < flat->count; i++) {
		if (strcmp(flat->members[i].key, key) == 0)
			return &flat->members[i];
	}
	return NULL;
}

bool flat_read(struct flat *out, const char *text, size_t size)
{
	char *at = out->bytes;
	bool more;

	out->count = 0;
	if (size >= sizeof(out->bytes) || memchr(text, '\0', size) != NULL)
		return false;
	memcpy(out->bytes, text, size);
	out->bytes[size] = '\0';
	at = skip_blanks(at);
	if (*at++ != '{')
		return false;
	do {
		struct flat_member member;

		at = out->count < FLAT_MEMBERS_MAX ? read_member(&member, skip_blanks(at)) : NULL;
		if (at == NULL || flat_member(out, member.key) != NULL)
			return false;
		out->members[out->count++] = member;
		more = *at == ',';
		at += more;
	} while (more);
	return *at == '}' && *skip_blanks(at + 1) == '\0';
}
