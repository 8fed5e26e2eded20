/* tests/bench/argument.h - a number on the command line of a benchmark's own program. */
#ifndef TESTS_BENCH_ARGUMENT_H
#define TESTS_BENCH_ARGUMENT_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** The argument at index, from 1 to max; otherwise when there is none. Ends the program with
 * status 2 when it is no such number. */
static inline int64_t argument(int argc, char **argv, int index, int64_t otherwise, int64_t max)
{
	char *end = NULL;
	int64_t number = otherwise;

	if (argc > index) {
		number = strtoll(argv[index], &end, 10);
		if (*argv[index] == '\0' || *end != '\0' || number < 1 || number > max) {
			fprintf(stderr, "%s: %s is not a number from 1 to %" PRId64 "\n", argv[0],
			    argv[index], max);
			exit(2);
		}
	}
	return number;
}

#endif
