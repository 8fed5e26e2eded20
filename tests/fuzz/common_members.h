/* tests/fuzz/common_members.h - was a key there twice? Counted in the text and in the tree. */
#ifndef TESTS_FUZZ_COMMON_MEMBERS_H
#define TESTS_FUZZ_COMMON_MEMBERS_H

#include <jansson.h>
#include <stddef.h>

struct members {
	size_t count;
	size_t depth;
};

/** What accepted text says by itself: a colon a member, when it is no part of a string. */
static inline struct members members_of_text(const char *text, size_t size)
{
	struct members members = {0};
	size_t depth = 0, i;
	bool string = false;

	for (i = 0; i < size; i++) {
		if (string && text[i] == '\\') {
			i++;
			continue;
		}
		if (text[i] == '"')
			string = !string;
		if (string)
			continue;
		members.count += text[i] == ':';
		depth += text[i] == '{' || text[i] == '[';
		members.depth = depth > members.depth ? depth : members.depth;
		depth -= text[i] == '}' || text[i] == ']';
	}
	return members;
}

static inline void members_add(struct members *members, json_t *tree, size_t depth)
{
	const char *key;
	json_t *item;
	size_t index;

	depth += json_is_object(tree) || json_is_array(tree);
	members->depth = depth > members->depth ? depth : members->depth;
	json_array_foreach (tree, index, item)
		members_add(members, item, depth);
	json_object_foreach (tree, key, item) {
		members->count++;
		members_add(members, item, depth);
	}
}

static inline struct members members_of_tree(json_t *tree)
{
	struct members members = {0};

	members_add(&members, tree, 0);
	return members;
}

/** True when the tree has every member of the text, and is as deep. */
static inline bool members_all(const char *text, size_t size, json_t *tree)
{
	struct members written = members_of_text(text, size), read = members_of_tree(tree);

	return written.count == read.count && written.depth == read.depth;
}

#endif
