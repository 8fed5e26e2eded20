/* tests/fuzz/fuzz.h - what every fuzz target sees.
 *
 * A target is one function over bytes that nobody vouches for. It runs the parsers of one
 * noun on them and states with must() what has to hold whatever the bytes are: not only that
 * nothing crashes, but that what is accepted is in range, has one spelling, and reads the
 * same when it is written and read again. README.md says how targets are built and run. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

/** One run. Leaves nothing behind: no memory, descriptor, file or state that the next run
 * could see. Returns 0 always. The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
