/* common/fault.h - named places at which a test ends the process.
 *
 * A crash may happen at any instruction; these are the ones that matter: before and after a
 * step, a commit, a file. The product has nothing of this: without FAULT_BUILD the macro is
 * no code, and tests/check/fault-trace looks for what may have been left. The test program
 * tests/fault/tallyward is the same sources with FAULT_BUILD; tests/fault/README.md says how
 * it is told where to die. */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#ifdef FAULT_BUILD

/** The process passes a point: it is killed here by SIGKILL when this passage is the one that
 * the environment names (tests/fault/point.c). Any thread. */
void fault_point(const char *name);

#define FAULT_POINT(name) fault_point("FAULT/" name)

#else

#define FAULT_POINT(name) ((void)0)

#endif

#endif
