/* The manifest of a backup: no name leads out of the folder, nothing is there twice or beyond
 * its size, and what was read is written as it was. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "proxy/manifest.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"

static void check_member(const struct manifest *manifest, size_t position)
{
	const struct member *member = &manifest->members[position];
	const char *slash = strchr(member->name, '/');

	must(member->name[0] != '/' && member->name[0] != '.');
	must(slash == NULL || (strncmp(member->name, "keys/", 5) == 0 && slash[1] != '\0' &&
				  slash[1] != '.' && strchr(slash + 1, '/') == NULL));
	must(member->size >= 0 && member->size <= member_size_max(member->name));
	must(manifest_find(manifest, member->name) == member); /* none before it has the name */
}

static void check_again(const struct manifest *manifest)
{
	char *text = manifest_format(manifest), *text_again, reason[256];
	struct manifest again;

	must(manifest_parse(&again, reason, text, strlen(text)));
	must(again.count == manifest->count && again.made_us == manifest->made_us);
	must(strcmp(again.program, manifest->program) == 0);
	text_again = manifest_format(&again);
	must(strcmp(text, text_again) == 0);
	free(text_again);
	manifest_fini(&again);
	free(text);
}

static void check_names(const char *text, size_t size)
{
	char *name = must_strndup(text, size);

	must((member_size_max(name) > 0) || !member_is_key(name));
	if (member_size_max(name) > 0)
		must(name[0] != '/' && name[0] != '.' && strstr(name, "/.") == NULL);
	free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct manifest manifest = {.made_us = 5};
	struct json_error error;
	char reason[256] = "";
	json_t *tree;
	size_t i;

	check_names(text, size);
	if (!manifest_parse(&manifest, reason, text, size)) {
		must(reason[0] && manifest.made_us == 5 && manifest.members == NULL);
		for (i = 0; reason[i] != '\0'; i++)
			must((unsigned char)reason[i] >= 0x20 && reason[i] != 0x7f);
		return 0;
	}
	tree = json_read(&error, text, size, MANIFEST_SIZE_MAX);
	must(tree != NULL && members_all(text, size, tree));
	json_decref(tree);
	must(manifest.count <= MANIFEST_MEMBERS_MAX && manifest.transactions >= 0);
	must(manifest.audits >= 0 && manifest_find(&manifest, "ledger.db") != NULL);
	must(
	    manifest_find(&manifest, "token.key") && manifest_find(&manifest, "keys/datakey.json"));
	for (i = 0; i < manifest.count; i++)
		check_member(&manifest, i);
	check_again(&manifest);
	manifest_fini(&manifest);
	return 0;
}
