/* policy/patterns.c - chains of positions, one a name and one for all wildcards. */
#include "policy/patterns.h"

#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/table.h"

/* A chain goes through patterns->next, so adding never moves what is there. */
struct chain {
	size_t first;
	size_t last;
};

struct named_chain {
	const char *name;
	struct chain chain;
	UT_hash_handle hh;
};

struct patterns {
	struct named_chain *exact;
	struct chain open; /* wildcards, and NULL for everything */
	size_t position_count;
	size_t *next;	    /* by position */
	const char **texts; /* by position */
};

static const struct chain CHAIN_EMPTY = {PATTERNS_END, PATTERNS_END};

struct patterns *patterns_new(size_t position_count)
{
	struct patterns *patterns = must_calloc(1, sizeof(*patterns));

	patterns->open = CHAIN_EMPTY;
	patterns->position_count = position_count;
	patterns->next = must_calloc(position_count + 1, sizeof(*patterns->next));
	patterns->texts = must_calloc(position_count + 1, sizeof(*patterns->texts));
	return patterns;
}

void patterns_free(struct patterns **patterns)
{
	struct named_chain *each, *following;

	if (*patterns == NULL)
		return;
	each = (*patterns)->exact;
	HASH_CLEAR(hh, (*patterns)->exact);
	for (; each != NULL; each = following) {
		following = each->hh.next;
		free(each);
	}
	free((*patterns)->texts);
	free((*patterns)->next);
	free(*patterns);
	*patterns = NULL;
}

static void chain_append(struct patterns *patterns, struct chain *chain, size_t position)
{
	must(chain->last == PATTERNS_END || chain->last < position);
	patterns->next[position] = PATTERNS_END;
	if (chain->last == PATTERNS_END)
		chain->first = position;
	else
		patterns->next[chain->last] = position;
	chain->last = position;
}

static struct chain *chain_named(struct patterns *patterns, const char *name)
{
	struct named_chain *found;

	HASH_FIND_STR(patterns->exact, name, found);
	if (found == NULL) {
		found = must_calloc(1, sizeof(*found));
		found->name = name;
		found->chain = CHAIN_EMPTY;
		HASH_ADD_KEYPTR(hh, patterns->exact, found->name, strlen(name), found);
	}
	return &found->chain;
}

void patterns_add(struct patterns *patterns, size_t position, const char *pattern)
{
	const bool is_open = pattern == NULL || strpbrk(pattern, "*?") != NULL;

	must(position < patterns->position_count);
	patterns->texts[position] = pattern;
	chain_append(
	    patterns, is_open ? &patterns->open : chain_named(patterns, pattern), position);
}

/* The first position of the open chain, from `position` on, that matches. */
static size_t open_from(const struct patterns *patterns, size_t position, const char *text)
{
	while (position != PATTERNS_END) {
		const char *pattern = patterns->texts[position];

		if (pattern == NULL || glob_match(pattern, text))
			break;
		position = patterns->next[position];
	}
	return position;
}

struct patterns_walk patterns_match(const struct patterns *patterns, const char *text)
{
	const struct named_chain *found;

	HASH_FIND_STR(patterns->exact, text, found);
	return (struct patterns_walk){
	    .patterns = patterns,
	    .text = text,
	    .exact = found == NULL ? PATTERNS_END : found->chain.first,
	    .open = open_from(patterns, patterns->open.first, text),
	};
}

size_t patterns_next(struct patterns_walk *walk)
{
	const size_t *next = walk->patterns->next;
	size_t position;

	if (walk->exact < walk->open) {
		position = walk->exact;
		walk->exact = next[position];
	} else if (walk->open != PATTERNS_END) {
		position = walk->open;
		walk->open = open_from(walk->patterns, next[position], walk->text);
	} else {
		position = PATTERNS_END;
	}
	return position;
}
