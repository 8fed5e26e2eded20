/* proxy/sandbox.h - the daemon gives up what it does not need.
 *
 * Whoever takes the process over, by a byte a stranger sent, gets a process that starts no
 * program, opens no port, reads no other process, and is nobody on this machine: what is left
 * to him is what the daemon itself can do. In this order:
 *
 *   sandbox_begin     first of all, before there are threads: umask 077; no core file and no
 *                     debugger of the same user, because keys are in memory; no new
 *                     privileges, so that no set-user-id program helps
 *   sandbox_files     file descriptors, as many as the configuration may come to need
 *   sandbox_become    root's rights go: the configured user and group, no others, no
 *                     capabilities. Sockets are bound before it, files are opened after it
 *   sandbox_folder    the data folder is this user's and nobody else's, or nothing starts
 *   sandbox_filter    last, everything being open: only the system calls of the list in
 *                     sandbox_filter.c are left, on every thread there is and will be
 *
 * Limits that are not set, and why. RLIMIT_FSIZE: a ledger that may not grow stops payments.
 * RLIMIT_AS: thread stacks, SQLite's shared memory and the arena reserve addresses, not memory,
 * so no figure would mean anything; what a stranger can make us hold has limits of its own.
 * RLIMIT_NPROC: counts all processes of the user, and a thread is one, which the resolver
 * starts for a name; the filter refuses processes instead.
 *
 * A system call that is not on the list:
 *   - that only somebody who has taken over makes (execve, ptrace, mount, listen, ...): the
 *     process is killed by SIGSYS, at once and visibly, before it can say or sign anything.
 *     A kill loses nothing that was sent, see doc/ARCHITECTURE.md section 10
 *   - any other: it fails with ENOSYS and is logged, event=syscall_refused, once for each
 *     number. Libraries ask for calls that came after this list was written and do without
 *     when told that there are none, so killing would end a healthy daemon on the day its
 *     libc is updated; EPERM they take for an answer and give up
 * Where signals are blocked on a thread the second becomes the first: it is never silent.
 *
 * A build with sanitizers keeps for them what they need (sandbox_instrumented). valgrind has
 * its own idea of system calls: run with "sandbox": 0 under it.
 *
 * Sources: seccomp(2), seccomp_rule_add(3), prctl(2), PR_SET_NO_NEW_PRIVS(2const),
 * capabilities(7), credentials(7), setresuid(2), getrlimit(2), core(5). */
#ifndef PROXY_SANDBOX_H
#define PROXY_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

#define SANDBOX_REASON_SIZE 256

/** Logs a warning for what the kernel refuses. */
void sandbox_begin(void);

/** sandbox_files - raise the limit on open files to wanted, or as far as it goes. Returns the
 * limit in force. Below what was wanted the daemon works, and at it neither accepts nor connects
 * until something is closed. */
uint64_t sandbox_files(uint64_t wanted);

/** sandbox_become - be user and group, with no capability left; one thread only. As root this
 * cannot be taken back, which is tried. Supplementary groups go.
 *
 * In      user   a name or a number; "": stay who we are
 *         group  "": the user's own; ignored without a user
 * Returns false with *reason: no such user or group, root is named, we are neither root nor
 *         that user, or the kernel refused */
bool sandbox_become(
    char reason[SANDBOX_REASON_SIZE], const char *user, const char *group) MUST_CHECK;

/** Is dir ours (the effective user's) and closed to all others? False with *reason. */
bool sandbox_folder(char reason[SANDBOX_REASON_SIZE], const char *dir) MUST_CHECK;

/** sandbox_filter - only listed system calls from here on, on all threads, for good. False
 * with *reason when the kernel has no such filters; nothing has changed then. */
bool sandbox_filter(char reason[SANDBOX_REASON_SIZE]) MUST_CHECK;

/** Was this compiled with a sanitizer, for whose sake some forbidden calls are not? */
bool sandbox_instrumented(void);

/** sandbox_state - what is in force for the calling thread, as the kernel tells it: "no new
 * privileges, no core files, system calls filtered". Returns whether all of it is. */
bool sandbox_state(char out[SANDBOX_REASON_SIZE]);

#endif
