/* tests/fuzz/replay.c - runs a fuzz target over files, in the place of a fuzzing engine.
 *
 * Without arguments: over the target's corpus and what was found with it before, which
 * are part of the tree. With arguments: over these files and folders. The name of each
 * file goes to stderr before it is run, so that the last one is the one that failed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

/* No engine is asked to make longer inputs than this. */
#define INPUT_SIZE_MAX (1u << 20)

static unsigned runs;

_Noreturn static void give_up(const char *what, const char *path)
{
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

/* A block of exactly that size, so that a sanitizer sees the byte after it. */
static void run(const void *bytes, size_t size)
{
	uint8_t *input = must_alloc(size);

	if (size > 0)
		memcpy(input, bytes, size);
	LLVMFuzzerTestOneInput(input, size);
	free(input);
	runs++;
}

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *bytes = must_alloc(INPUT_SIZE_MAX);
	size_t size;

	if (file == NULL)
		give_up("cannot open", path);
	size = fread(bytes, 1, INPUT_SIZE_MAX, file);
	if (ferror(file) || fgetc(file) != EOF)
		give_up("cannot read all of", path);
	fclose(file);
	fprintf(stderr, "%s\n", path);
	run(bytes, size);
	free(bytes);
}

static int plain(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, plain, alphasort), i;

	if (count < 0)
		give_up("cannot list", path);
	for (i = 0; i < count; i++) {
		char *file = must_format("%s/%s", path, entries[i]->d_name);

		run_file(file);
		free(file);
		free(entries[i]);
	}
	free(entries);
}

static void run_path(const char *path)
{
	struct stat found;

	if (stat(path, &found) != 0)
		give_up("there is no", path);
	if (S_ISDIR(found.st_mode))
		run_folder(path);
	else
		run_file(path);
}

/* The target's own folders: tests/fuzz/common_json_fuzz has corpus/common_json. */
static void run_own(const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
	size_t length = strlen(name);
	struct stat found;
	char *corpus, *findings;

	if (length > 5 && strcmp(name + length - 5, "_fuzz") == 0)
		length -= 5;
	corpus = must_format("%s/tests/fuzz/corpus/%.*s", TEST_SRCDIR, (int)length, name);
	findings = must_format("%s/tests/fuzz/findings/%.*s", TEST_SRCDIR, (int)length, name);
	run_folder(corpus);
	if (stat(findings, &found) == 0) /* many a target has found nothing */
		run_folder(findings);
	free(findings);
	free(corpus);
}

int main(int argc, char **argv)
{
	int i;

	run("", 0);
	if (argc < 2)
		run_own(argv[0]);
	for (i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", runs);
	return runs > 1 ? 0 : 1; /* nothing but the empty one: the corpus is gone */
}
