/* proxy/sandbox_filter.c - the system calls of a daemon that is open for business.
 *
 * The lists are names, looked up when the filter is made: what a machine or its libseccomp
 * does not know by name is left out, and so refused. They hold what was seen under strace in
 * the end-to-end tests, what glibc does in its place on other kernels and machines, and what a
 * resolver's plug-ins (nss) and OpenSSL are known to do. */
#include <asm/termbits.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/log.h"
#include "proxy/sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED 0
#endif

/* Where a refused call's result goes, see on_refused(). A machine that is not here is told
 * ENOSYS by the kernel, and only the kernel's log has the call. */
#if defined(__x86_64__)
#define RESULT_OF(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define RESULT_OF(context) ((context)->uc_mcontext.regs[0])
#endif

#ifdef RESULT_OF
#define REFUSE SCMP_ACT_TRAP
#else
#define REFUSE SCMP_ACT_ERRNO(ENOSYS)
#endif

/* clang-format off */
/* Whatever their arguments are. */
static const char *const allowed[] = {
    /* Files of the data folder and what configuration names; SQLite, anchors, the spool. */
    "open", "openat", "openat2", "close", "close_range", "read", "readv", "pread64", "preadv",
    "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek", "_llseek", "stat",
    "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "statfs",
    "statfs64", "fstatfs", "fstatfs64", "access", "faccessat", "faccessat2", "fsync", "fdatasync",
    "ftruncate", "ftruncate64", "fallocate", "fadvise64", "fadvise64_64", "rename", "renameat",
    "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod",
    "fchmod", "fchmodat", "fchmodat2", "getdents", "getdents64", "readlink", "readlinkat", "getcwd",
    "fcntl", "fcntl64", "flock", "dup", "dup2", "dup3", "pipe", "pipe2", "umask",
    /* SQLite as root gives the -wal and -shm files the ledger's owner. */
    "fchown", "fchown32",
    /* Agents, sellers, resolver, syslog, systemd. No new listener: bind is narrowed below, and
     * listen is among the deadly. */
    "accept", "accept4", "connect", "send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom",
    "recvmsg", "recvmmsg", "recvmmsg_time64", "shutdown", "getsockopt", "setsockopt", "getsockname",
    "getpeername",
    /* The loops. */
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_wait", "epoll_pwait",
    "epoll_pwait2", "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
    "pselect6_time64", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime",
    "timerfd_settime64", "timerfd_gettime", "timerfd_gettime64",
    /* Memory; what may be executed is narrowed below. */
    "brk", "munmap", "mremap", "madvise", "mincore", "msync", "mlock", "mlock2", "munlock", "mseal",
    "map_shadow_stack", "membarrier", "riscv_flush_icache", "riscv_hwprobe",
    /* Threads, their locks, signals. */
    "futex", "futex_time64", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv",
    "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "set_thread_area", "set_tls",
    "arch_prctl", "gettid", "getcpu", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn",
    "rt_sigpending", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend", "sigaltstack",
    "restart_syscall", "pause", "exit", "exit_group",
    /* Time, randomness, who and where we are. */
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "clock_nanosleep",
    "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "times", "getrandom", "getpid",
    "getppid", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid",
    "getegid32", "getresuid", "getresuid32", "getresgid", "getresgid32", "getgroups", "getgroups32",
    "getrusage", "getrlimit", "ugetrlimit", "uname", "sysinfo", "capget",
};

/* Only somebody who has taken over asks for these. */
static const char *const deadly[] = {
    /* another program, another process */
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "pidfd_getfd", "pidfd_send_signal", "kcmp", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    /* a new door */
    "listen",
    /* another view of the machine */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsmount", "fsconfig", "fspick", "mount_setattr", "unshare", "setns", "open_by_handle_at",
    "mknod", "mknodat", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "fanotify_init",
    /* the kernel itself */
    "init_module", "finit_module", "delete_module", "create_module", "kexec_load",
    "kexec_file_load", "reboot", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old",
    "personality", "syslog", "nfsservctl", "vhangup", "settimeofday", "clock_settime",
    "clock_settime64", "stime", "sethostname", "setdomainname",
    /* somebody else's rights */
    "setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32",
    "setresuid", "setresuid32", "setresgid", "setresgid32", "setfsuid", "setfsuid32", "setfsgid",
    "setfsgid32", "setgroups", "setgroups32", "capset",
};

/* LeakSanitizer stops all threads from a process of its own at the end; reports are made
 * readable by a program; maps are of their own making. */
static const char *const sanitizers[] = {
    "execve", "fork", "vfork", "clone", "ptrace", "tkill", "kill", "personality", "prctl", "wait4",
    "waitid", "mmap", "mmap2", "mprotect", "prlimit64", "process_vm_readv", "sched_setaffinity",
};
/* clang-format on */

/* An int: the upper half of its register is anybody's. */
#define IS(at, value)                                                                              \
	{                                                                                          \
		.arg = (at), .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffffu, .datum_b = (value)  \
	}
#define NO_BITS(at, bits)                                                                          \
	{                                                                                          \
		.arg = (at), .op = SCMP_CMP_MASKED_EQ, .datum_a = (bits), .datum_b = 0             \
	}
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	    CLONE_NEWPID | CLONE_NEWNET)

struct rule {
	const char *name;
	unsigned count;
	struct scmp_arg_cmp arguments[2];
};

/* Allowed when all arguments of one of a name's rows are so. */
static const struct rule narrowed[] = {
    {"socket", 1, {IS(0, AF_INET)}},
    {"socket", 1, {IS(0, AF_INET6)}},
    {"socket", 1, {IS(0, AF_UNIX)}},
    /* getaddrinfo asks which addresses this machine has. */
    {"socket", 2, {IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)}},
    {"socketpair", 1, {IS(0, AF_UNIX)}},
    /* A netlink socket's address is the only one so short: no port can be taken. */
    {"bind", 1, {IS(2, sizeof(struct sockaddr_nl))}},
    /* Code comes from files, as it is: plug-ins of the resolver do. */
    {"mmap", 1, {NO_BITS(2, PROT_EXEC)}},
    {"mmap", 1, {NO_BITS(2, PROT_WRITE)}},
    {"mmap2", 1, {NO_BITS(2, PROT_EXEC)}},
    {"mmap2", 1, {NO_BITS(2, PROT_WRITE)}},
    {"mprotect", 1, {NO_BITS(2, PROT_EXEC)}},
    {"clone", 1,
	{{.arg = 0,
	    .op = SCMP_CMP_MASKED_EQ,
	    .datum_a = CLONE_THREAD | NAMESPACES,
	    .datum_b = CLONE_THREAD}}},
    /* To look at a limit, not to change it. */
    {"prlimit64", 1, {{.arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0}}},
    {"prctl", 1, {IS(0, PR_SET_NAME)}},
    {"prctl", 1, {IS(0, PR_GET_NAME)}},
    {"prctl", 1, {IS(0, PR_GET_DUMPABLE)}},
    {"prctl", 1, {IS(0, PR_GET_SECCOMP)}},
    {"prctl", 1, {IS(0, PR_GET_NO_NEW_PRIVS)}},
    {"prctl", 1, {IS(0, PR_CAPBSET_READ)}},
    /* glibc names its arenas for /proc/PID/maps: PR_SET_VMA. */
    {"prctl", 1, {IS(0, 0x53564d41)}},
    {"ioctl", 1, {IS(1, TCGETS)}},
    {"ioctl", 1, {IS(1, FIONBIO)}},
    {"ioctl", 1, {IS(1, FIONREAD)}},
};

bool sandbox_instrumented(void)
{
	return INSTRUMENTED != 0;
}

static bool for_sanitizers(const char *name)
{
	for (size_t i = 0; INSTRUMENTED && i < sizeof sanitizers / sizeof sanitizers[0]; i++) {
		if (strcmp(sanitizers[i], name) == 0)
			return true;
	}
	return false;
}

/* --- refused ------------------------------------------------------------------------- */

#ifdef RESULT_OF

/* The call was not made; the thread goes on behind it with what is left here. One line for
 * each number, or who makes such calls could fill the owner's disk. */
static void on_refused(int number, siginfo_t *info, void *context)
{
	enum { WORD = 64 };
	static _Atomic uint64_t told[1024 / WORD];
	unsigned call = (unsigned)info->si_syscall;
	uint64_t bit = UINT64_C(1) << call % WORD;
	char text[16];

	(void)number;
	RESULT_OF((ucontext_t *)context) = -ENOSYS;
	if (call < sizeof told * 8 && (atomic_fetch_or(&told[call / WORD], bit) & bit) != 0)
		return;
	snprintf(text, sizeof text, "%u", call);
	log_event(LOG_ERROR, "syscall_refused", "number", text, "hint",
	    "nothing we know of makes this call: look what is wrong, or report it", NULL);
}

static bool catch_refused(void)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

	action.sa_sigaction = on_refused;
	return sigemptyset(&action.sa_mask) == 0 && sigaction(SIGSYS, &action, NULL) == 0;
}

#else

static bool catch_refused(void)
{
	return true;
}

#endif

/* --- made ---------------------------------------------------------------------------- */

/* 0, or a negative errno. */
static int add(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
	int call = seccomp_syscall_resolve_name(rule->name);

	if (call == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(filter, action, call, rule->count, rule->arguments);
}

static int add_names(
    scmp_filter_ctx filter, uint32_t action, const char *const names[], size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++) {
		const struct rule rule = {.name = names[i]};

		if (action == SCMP_ACT_ALLOW || !for_sanitizers(names[i]))
			error = add(filter, action, &rule);
	}
	return error;
}

/* A process may signal itself alone: abort(), and pthreads do. */
static int add_signals(scmp_filter_ctx filter)
{
	const struct rule rules[] = {
	    {"kill", 1, {IS(0, (unsigned)getpid())}},
	    {"tgkill", 1, {IS(0, (unsigned)getpid())}},
	};
	int error = 0;

	for (size_t i = 0; i < sizeof rules / sizeof rules[0] && error == 0; i++) {
		if (!for_sanitizers(rules[i].name))
			error = add(filter, SCMP_ACT_ALLOW, &rules[i]);
	}
	return error;
}

/* clone3's flags are behind a pointer, where no filter sees them. glibc takes clone when there
 * is no clone3. A clone that is no thread is a fork. */
static int add_clone(scmp_filter_ctx filter)
{
	const struct rule clone3 = {.name = "clone3"};
	const struct rule fork = {"clone", 1, {NO_BITS(0, CLONE_THREAD)}};
	int error = add(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3);

	if (error == 0 && !for_sanitizers("clone"))
		error = add(filter, SCMP_ACT_KILL_PROCESS, &fork);
	return error;
}

static int fill(scmp_filter_ctx filter)
{
	int error = add_names(filter, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]);

	if (error == 0 && INSTRUMENTED)
		error = add_names(
		    filter, SCMP_ACT_ALLOW, sanitizers, sizeof sanitizers / sizeof sanitizers[0]);
	for (size_t i = 0; i < sizeof narrowed / sizeof narrowed[0] && error == 0; i++) {
		if (!for_sanitizers(narrowed[i].name))
			error = add(filter, SCMP_ACT_ALLOW, &narrowed[i]);
	}
	if (error == 0)
		error = add_signals(filter);
	if (error == 0)
		error = add_clone(filter);
	if (error == 0)
		error = add_names(
		    filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof deadly[0]);
	return error;
}

/* All threads at once; another machine's calls (32 bit) are nobody's here. The list is
 * looked up as a tree: sends and receives do not wait for what comes before them. */
static int make(scmp_filter_ctx filter)
{
	static const struct {
		enum scmp_filter_attr name;
		uint32_t value;
	} attributes[] = {
	    {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
	    {SCMP_FLTATR_CTL_NNP, 1},
	    {SCMP_FLTATR_CTL_TSYNC, 1},
	    {SCMP_FLTATR_CTL_OPTIMIZE, 2},
	};
	int error = 0;

	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0] && error == 0; i++)
		error = seccomp_attr_set(filter, attributes[i].name, attributes[i].value);
	return error != 0 ? error : fill(filter);
}

bool sandbox_filter(char reason[SANDBOX_REASON_SIZE])
{
	scmp_filter_ctx filter = seccomp_init(REFUSE);
	int error = -ENOMEM;

	if (filter != NULL)
		error = make(filter);
	if (error == 0)
		error = catch_refused() ? seccomp_load(filter) : -errno;
	if (filter != NULL)
		seccomp_release(filter);
	if (error == 0)
		return true;
	snprintf(reason, SANDBOX_REASON_SIZE,
	    "cannot filter system calls: %s; \"sandbox\": 0 in tallyward.json does without",
	    strerror(-error));
	return false;
}
