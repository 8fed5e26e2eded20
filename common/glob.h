/* common/glob.h - the one pattern language: `*` any run of characters, `?` one
 * character (UTF-8), everything else itself. At most pattern length times text
 * length steps, no recursion. */
#ifndef COMMON_GLOB_H
#define COMMON_GLOB_H

#include <stdbool.h>

/** Whole-string match, case-sensitive. `*` also crosses '/'. A pattern that ends
 * in "/" followed by "*" also names the part before it: "github/" "*" matches
 * "github/issues" and "github". */
bool glob_match(const char *pattern, const char *text);

#endif
