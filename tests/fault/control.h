/* tests/fault/control.h - the page through which a driver breaks a running process.
 *
 * FAULT_CONTROL names a file of CONTROL_SIZE bytes that the process maps and the driver
 * (tests/fault/control.mjs, same offsets) writes to, so that a fault begins and ends without a
 * restart. All numbers are 64 bits, in the machine's order. */
#ifndef FAULT_CONTROL_H
#define FAULT_CONTROL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_SIZE 4096

/* What a process does to files of the data folder. */
enum disk_op {
	DISK_WRITE = 1,
	DISK_SYNC = 2,
	DISK_TRUNCATE = 4,
	DISK_OPEN = 8, /* for writing */
};

/* The moment of a kill, and what of the unsynced bytes it leaves. */
enum kill_when {
	KILL_BEFORE = 0,       /* the operation is not done; all that was written stays */
	KILL_AFTER = 1,        /* it is done */
	KILL_POWER_BEFORE = 2, /* nothing that was not synced stays */
	KILL_POWER_AFTER = 3,
	KILL_TORN_BEFORE = 4, /* sectors of what was not synced stay at random */
	KILL_TORN_AFTER = 5,
};

enum fd_call {
	FD_ACCEPT = 1,
	FD_SOCKET = 2,
	FD_OPEN = 4,
	FD_EVENT = 8, /* eventfd, epoll, pipe */
};

struct control {
	int64_t passage; /* of the point: SIGKILL at it */
	char point[120]; /* "" none */

	_Atomic int64_t kill_count; /* SIGKILL at this many operations from now; 0 never */
	int64_t kill_ops;           /* enum disk_op that count */
	int64_t kill_when;

	int64_t disk_error; /* errno of operations that fail; 0 none do */
	int64_t disk_ops;
	_Atomic int64_t disk_skip;  /* operations that still go well */
	_Atomic int64_t disk_count; /* then so many fail; -1 all */
	int64_t disk_short;         /* 1: writes write half of what is asked */

	int64_t fd_error; /* errno of calls that make descriptors; 0 none fail */
	int64_t fd_calls;

	_Atomic int64_t alloc_skip;  /* 1: the next allocation fails; 0 none does */
	_Atomic int64_t alloc_count; /* how many in a row */

	int64_t clock_us;  /* added to the wall clock */
	int64_t steady_us; /* added to CLOCK_BOOTTIME, which the program takes time from */

	/* told back */
	_Atomic int64_t disk_seen, disk_failed, fd_failed, alloc_seen, alloc_failed;
};

_Static_assert(offsetof(struct control, point) == 8, "control.mjs");
_Static_assert(offsetof(struct control, kill_count) == 128, "control.mjs");
_Static_assert(offsetof(struct control, disk_error) == 152, "control.mjs");
_Static_assert(offsetof(struct control, fd_error) == 192, "control.mjs");
_Static_assert(offsetof(struct control, alloc_skip) == 208, "control.mjs");
_Static_assert(offsetof(struct control, clock_us) == 224, "control.mjs");
_Static_assert(offsetof(struct control, disk_seen) == 240, "control.mjs");
_Static_assert(sizeof(struct control) <= CONTROL_SIZE, "one page");

#endif
