/* proxy/headers.c - a bounded list of HTTP header fields. */
#include "proxy/headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"

/* Of a usual head. */
#define ITEMS_FIRST 16u
#define TEXTS_SIZE  1000u
#define ITEMS_SIZE_FIRST (ITEMS_FIRST * sizeof(struct header))

/* Names and values lie one behind the other, and in front of them the list of the first few, in
 * as few pieces of memory as it takes: a head is made and dropped several times for each call.
 * What is removed stays until headers_fini(). */
struct header_texts {
	struct header_texts *next;
	size_t used, size;
	char text[];
};

/* Connection-specific fields (RFC 9110 7.6.1), the two that are meant for the
 * next proxy only (11.7), and Trailer, because trailers are not passed on. */
#define NAME(text) {(text), sizeof(text) - 1}
static const struct {
	const char *name;
	size_t size;
} hop_by_hop[] = {
    NAME("Connection"),
    NAME("Keep-Alive"),
    NAME("Proxy-Authenticate"),
    NAME("Proxy-Authorization"),
    NAME("Proxy-Connection"),
    NAME("TE"),
    NAME("Trailer"),
    NAME("Transfer-Encoding"),
    NAME("Upgrade"),
};
#undef NAME

void headers_init(struct headers *headers)
{
	*headers = (struct headers){0};
}

void headers_fini(struct headers *headers)
{
	while (headers->texts != NULL) {
		struct header_texts *first = headers->texts;

		headers->texts = first->next;
		free(first);
	}
	if (headers->capacity > ITEMS_FIRST)
		free(headers->items);
	headers_init(headers);
}

/* RFC 9110 5.6.2 */
static const bool token_bytes[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
    ['8'] = 1, ['9'] = 1,
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,
    ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1,
    ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
    ['Y'] = 1, ['Z'] = 1,
    ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1,
    ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1,
    ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1,
    ['y'] = 1, ['z'] = 1,
};

static bool is_token(const char *text, size_t size)
{
	size_t at = 0;

	while (at < size && token_bytes[(unsigned char)text[at]])
		at++;
	return size > 0 && at == size;
}

/* No control character but the tab. */
static bool is_value(const char *text, size_t size)
{
	size_t at = bytes_span_text(text, size);

	while (at < size && text[at] == '\t') {
		at++;
		at += bytes_span_text(text + at, size - at);
	}
	return at == size;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool headers_fit(const struct headers *headers, size_t name_size, size_t value_size)
{
	return headers->count < HEADERS_COUNT_MAX && name_size <= HEADERS_SIZE_MAX &&
	       value_size <= HEADERS_SIZE_MAX &&
	       headers->size + name_size + value_size <= HEADERS_SIZE_MAX;
}

static char *texts_room(struct headers *headers, size_t size)
{
	struct header_texts *first = headers->texts;
	char *room;

	if (first == NULL || first->size - first->used < size) {
		size_t usual = TEXTS_SIZE + (first == NULL ? ITEMS_SIZE_FIRST : 0);
		size_t all = size < usual ? usual : size;

		first = must_alloc(sizeof(*first) + all);
		*first = (struct header_texts){.next = headers->texts, .size = all};
		headers->texts = first;
	}
	room = first->text + first->used;
	first->used += size;
	return room;
}

static void items_grow(struct headers *headers)
{
	size_t capacity = headers->capacity == 0 ? ITEMS_FIRST : headers->capacity * 2;
	struct header *items = headers->items;

	if (headers->capacity > ITEMS_FIRST) {
		items = must_realloc(items, capacity * sizeof(*items));
	} else if (headers->capacity == 0) {
		/* The first of the first piece, so that it lies as it must. */
		items = (struct header *)(void *)texts_room(headers, ITEMS_SIZE_FIRST);
	} else {
		items = must_alloc(capacity * sizeof(*items));
		memcpy(items, headers->items, headers->count * sizeof(*items));
	}
	headers->items = items;
	headers->capacity = capacity;
}

static void append(struct headers *headers, const char *name, size_t name_size, const char *value,
    size_t value_size)
{
	char *text;

	if (headers->count == headers->capacity)
		items_grow(headers);
	text = texts_room(headers, name_size + value_size + 2);
	memcpy(text, name, name_size);
	text[name_size] = '\0';
	if (value_size > 0)
		memcpy(text + name_size + 1, value, value_size);
	text[name_size + 1 + value_size] = '\0';
	headers->items[headers->count] =
	    (struct header){text, text + name_size + 1, name_size, value_size};
	headers->size += name_size + value_size;
	if (header_is(&headers->items[headers->count], "Connection"))
		headers->connection_count++;
	headers->count++;
}

/* A value without the white space around it, if it may be one here. */
static bool value_read(const struct headers *headers, size_t name_size, const char **value,
    size_t *value_size)
{
	while (*value_size > 0 && is_blank((*value)[0])) {
		(*value)++;
		(*value_size)--;
	}
	while (*value_size > 0 && is_blank((*value)[*value_size - 1]))
		(*value_size)--;
	return headers_fit(headers, name_size, *value_size) && is_value(*value, *value_size);
}

bool headers_add(struct headers *headers, const char *name, size_t name_size, const char *value,
    size_t value_size)
{
	if (!value_read(headers, name_size, &value, &value_size) || !is_token(name, name_size))
		return false;
	append(headers, name, name_size, value, value_size);
	return true;
}

bool headers_copy(struct headers *headers, const struct header *field)
{
	if (!headers_fit(headers, field->name_size, field->value_size))
		return false;
	append(headers, field->name, field->name_size, field->value, field->value_size);
	return true;
}

void headers_put_sized(
    struct headers *headers, const char *name, size_t name_size, const char *value)
{
	size_t value_size = strlen(value);

	must(value_read(headers, name_size, &value, &value_size));
	append(headers, name, name_size, value, value_size);
}

size_t headers_remove(struct headers *headers, const char *name)
{
	size_t kept = 0, removed;

	for (size_t i = 0; i < headers->count; i++) {
		struct header item = headers->items[i];

		if (!header_is(&item, name)) {
			headers->items[kept++] = item;
			continue;
		}
		headers->size -= item.name_size + item.value_size;
		if (header_is(&item, "Connection"))
			headers->connection_count--;
	}
	removed = headers->count - kept;
	headers->count = kept;
	return removed;
}

const char *headers_get(const struct headers *headers, const char *name)
{
	const char *first = NULL;

	(void)headers_all(&first, 1, headers, name);
	return first;
}

size_t headers_count(const struct headers *headers, const char *name)
{
	return headers_all(NULL, 0, headers, name);
}

size_t headers_all(
    const char **out, size_t out_max, const struct headers *headers, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < headers->count; i++) {
		if (!header_is(&headers->items[i], name))
			continue;
		if (count < out_max)
			out[count] = headers->items[i].value;
		count++;
	}
	return count;
}

/* Is name one of the comma-separated members of list? */
static bool list_has(const char *list, const char *name, size_t name_size)
{
	while (*list != '\0') {
		size_t size;

		list += strspn(list, ", \t");
		size = strcspn(list, ", \t");
		if (size == name_size && strncasecmp(list, name, size) == 0)
			return true;
		list += size;
	}
	return false;
}

bool headers_hop_by_hop(const struct headers *headers, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++) {
		if (size == hop_by_hop[i].size && strcasecmp(name, hop_by_hop[i].name) == 0)
			return true;
	}
	for (size_t i = 0; i < headers->count && headers->connection_count > 0; i++) {
		if (header_is(&headers->items[i], "Connection") &&
		    list_has(headers->items[i].value, name, size))
			return true;
	}
	return false;
}
