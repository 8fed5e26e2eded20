/* What the daemon gives up: each call in a child of its own, which must end as the header says. */
#include "proxy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/unit.h"

#define NOBODY 65534u

struct ending {
	int status; /* of waitpid */
	char said[4096];
};

/* The child's exit status is what act says; it is 100 when there was no filter to be had. */
static struct ending in_child(int (*act)(const void *), const void *arg)
{
	struct ending ending = {0};
	size_t size = 0;
	ssize_t got;
	int out[2];
	pid_t child;

	assert_int_equal(pipe(out), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		_exit(act(arg));
	}
	close(out[1]);
	while (size < sizeof ending.said - 1 &&
	       (got = read(out[0], ending.said + size, sizeof ending.said - 1 - size)) > 0)
		size += (size_t)got;
	close(out[0]);
	assert_int_equal(waitpid(child, &ending.status, 0), child);
	return ending;
}

static bool ended_with(const struct ending *ending, int status)
{
	if (WIFEXITED(ending->status) && WEXITSTATUS(ending->status) == status)
		return true;
	print_error("status %x: %s\n", (unsigned)ending->status, ending->said);
	return false;
}

static bool filtered(void)
{
	char reason[SANDBOX_REASON_SIZE];

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && sandbox_filter(reason);
}

static unsigned count_in(const char *text, const char *what)
{
	unsigned count = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		count++;
	return count;
}

/* --- system calls -------------------------------------------------------------------- */

struct call {
	const char *name;
	long number;
	long arguments[5];
	bool sanitizer; /* left to them in their builds */
};

static int make_call(const void *arg)
{
	const struct call *call = arg;
	const long *of = call->arguments;

	if (!filtered())
		return 100;
	syscall(call->number, of[0], of[1], of[2], of[3], of[4]);
	return 0;
}

/* None does harm where it is let through: that is what this would find. */
static void deadly_calls_kill(void **state)
{
	static const struct call calls[] = {
	    {"execve", SYS_execve, {0}, true},
	    {"execveat", SYS_execveat, {-1}, false},
	    {"ptrace", SYS_ptrace, {0}, true},
	    {"a fork", SYS_clone, {SIGCHLD}, true},
	    {"process_vm_readv", SYS_process_vm_readv, {0}, true},
	    {"process_vm_writev", SYS_process_vm_writev, {0}, false},
	    {"listen", SYS_listen, {-1}, false},
	    {"mount", SYS_mount, {0}, false},
	    {"umount2", SYS_umount2, {0}, false},
	    {"chroot", SYS_chroot, {0}, false},
	    {"pivot_root", SYS_pivot_root, {0}, false},
	    {"unshare", SYS_unshare, {0}, false},
	    {"setns", SYS_setns, {-1}, false},
	    {"open_by_handle_at", SYS_open_by_handle_at, {-1}, false},
	    {"init_module", SYS_init_module, {0}, false},
	    {"finit_module", SYS_finit_module, {-1}, false},
	    {"delete_module", SYS_delete_module, {0}, false},
	    {"reboot", SYS_reboot, {0}, false},
	    {"swapon", SYS_swapon, {0}, false},
	    {"bpf", SYS_bpf, {-1}, false},
	    {"perf_event_open", SYS_perf_event_open, {0}, false},
	    {"userfaultfd", SYS_userfaultfd, {-1}, false},
	    {"io_uring_setup", SYS_io_uring_setup, {0}, false},
	    {"personality", SYS_personality, {-1}, true},
	    {"settimeofday", SYS_settimeofday, {0}, false},
	    {"setresuid", SYS_setresuid, {-1, -1, -1}, false},
	    {"setgroups", SYS_setgroups, {-1}, false},
	    {"capset", SYS_capset, {0}, false},
#ifdef __x86_64__
	    {"x32's numbers", 0x40000000 + SYS_getpid, {0}, false},
#endif
	};

	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		struct ending ending;

		if (calls[i].sanitizer && sandbox_instrumented())
			continue;
		ending = in_child(make_call, &calls[i]);
		row_check(
		    calls[i].name, WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGSYS);
	}
}

static int is_refused(const void *arg)
{
	const struct call *call = arg;
	const long *of = call->arguments;

	if (!filtered())
		return 100;
	for (int i = 0; i < 2; i++) {
		errno = 0;
		if (syscall(call->number, of[0], of[1], of[2], of[3], of[4]) != -1 ||
		    errno != ENOSYS)
			return 1;
	}
	return 0;
}

static void other_calls_fail_and_are_logged_once(void **state)
{
	static const struct call calls[] = {
	    {"a packet socket", SYS_socket, {AF_PACKET, SOCK_RAW}, false},
	    {"a netlink socket of the audit's", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT},
		false},
	    {"a vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM}, false},
	    {"bind as IPv4", SYS_bind, {-1, 0, sizeof(struct sockaddr_in)}, false},
	    {"bind as IPv6", SYS_bind, {-1, 0, sizeof(struct sockaddr_in6)}, false},
	    {"code that can be written", SYS_mmap,
		{0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}, true},
	    {"code made of data", SYS_mprotect, {0, 4096, PROT_EXEC}, true},
	    {"memfd_create", SYS_memfd_create, {0}, false},
	    {"another's limits", SYS_prlimit64, {0, RLIMIT_CORE, 1}, true},
	    {"core files again", SYS_prctl, {PR_SET_DUMPABLE, 1}, true},
	    {"a byte for the terminal", SYS_ioctl, {-1, TIOCSTI}, false},
	    {"a signal to init", SYS_kill, {1, 0}, true},
	    {"the kernel's keys", SYS_keyctl, {-1}, false},
	    {"inotify", SYS_inotify_init1, {-1}, false},
	    {"a thread in a namespace", SYS_clone, {CLONE_THREAD | CLONE_NEWNS}, true},
	    {"one nobody has heard of", 1000, {0}, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		struct ending ending;
		char number[32];

		if (calls[i].sanitizer && sandbox_instrumented())
			continue;
		ending = in_child(is_refused, &calls[i]);
		row_check(calls[i].name, ended_with(&ending, 0));
		snprintf(number, sizeof number, " number=\"%ld\"", calls[i].number);
		row_check(calls[i].name, count_in(ending.said, "event=syscall_refused") == 1);
		row_check(calls[i].name, count_in(ending.said, number) == 1);
	}
}

/* glibc asks for it with every thread, so nothing is said. */
static void clone3_is_not_there(void **state)
{
	static const struct call call = {"clone3", 435, {0}, false};
	struct ending ending = in_child(is_refused, &call);

	(void)state;
	assert_true(ended_with(&ending, 0));
	assert_string_equal(ending.said, "");
}

/* A machine without filters, played by one that refuses to install another. */
static int has_no_filter(const void *arg)
{
	scmp_filter_ctx refusing = seccomp_init(SCMP_ACT_ALLOW);
	char reason[SANDBOX_REASON_SIZE] = "";

	(void)arg;
	if (refusing == NULL ||
	    seccomp_rule_add(refusing, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0) != 0 ||
	    seccomp_rule_add(refusing, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
		SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) != 0 ||
	    seccomp_load(refusing) != 0)
		return 100;
	seccomp_release(refusing);
	if (sandbox_filter(reason))
		return 1;
	fprintf(stderr, "%s", reason);
	/* And nothing has changed: this is none of the allowed. */
	return syscall(SYS_memfd_create, "x", 0) >= 0 ? 0 : 2;
}

static void no_filter_is_no_success(void **state)
{
	struct ending ending = in_child(has_no_filter, NULL);

	(void)state;
	assert_true(ended_with(&ending, 0));
	assert_non_null(strstr(ending.said, "\"sandbox\": 0"));
}

struct meeting {
	int filter_is[2], call_was[2];
};

static void *call_afterwards(void *arg)
{
	struct meeting *meeting = arg;
	char byte;

	if (read(meeting->filter_is[0], &byte, 1) != 1)
		return NULL;
	byte = syscall(SYS_memfd_create, "x", 0) == -1 && errno == ENOSYS ? 'y' : 'n';
	return write(meeting->call_was[1], &byte, 1) == 1 ? arg : NULL;
}

static int older_thread(const void *arg)
{
	struct meeting meeting;
	pthread_t thread;
	char byte = 'n';

	(void)arg;
	if (pipe(meeting.filter_is) != 0 || pipe(meeting.call_was) != 0 ||
	    pthread_create(&thread, NULL, call_afterwards, &meeting) != 0)
		return 2;
	if (!filtered())
		return 100;
	if (write(meeting.filter_is[1], "", 1) != 1 || read(meeting.call_was[0], &byte, 1) != 1 ||
	    pthread_join(thread, NULL) != 0)
		return 3;
	return byte == 'y' ? 0 : 4;
}

static void threads_from_before_have_it_too(void **state)
{
	struct ending ending = in_child(older_thread, NULL);

	(void)state;
	assert_true(ended_with(&ending, 0));
}

/* --- what is left -------------------------------------------------------------------- */

static void *resolve(void *arg)
{
	struct addrinfo *found = NULL;

	if (getaddrinfo("localhost", "80", NULL, &found) != 0)
		return NULL;
	freeaddrinfo(found);
	return arg;
}

static bool a_file_is_written(const char *dir)
{
	char name[256], other[256];
	int fd;
	bool ok;

	snprintf(name, sizeof name, "%s/a", dir);
	snprintf(other, sizeof other, "%s/b", dir);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ok = fd >= 0 && pwrite(fd, "abc", 3, 0) == 3 && fsync(fd) == 0 && ftruncate(fd, 1) == 0 &&
	     fchmod(fd, 0400) == 0 && rename(name, other) == 0 && unlink(other) == 0;
	close(fd);
	return ok;
}

static bool a_connection_is_made(int listener)
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof bound;
	int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), other;
	char byte;

	if (getsockname(listener, (struct sockaddr *)&bound, &size) != 0 ||
	    connect(one, (struct sockaddr *)&bound, size) != 0)
		return false;
	other = accept(listener, NULL, NULL);
	return send(other, "x", 1, MSG_NOSIGNAL) == 1 && recv(one, &byte, 1, 0) == 1 &&
	       shutdown(one, SHUT_RDWR) == 0 && close(one) == 0 && close(other) == 0;
}

static int works(const void *arg)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char state[SANDBOX_REASON_SIZE];
	void *resolved = NULL, *page, *listening = &any;
	pthread_t thread;

	if (bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 1) != 0)
		return 2;
	sandbox_begin();
	if (!filtered())
		return 100;
	if (!a_file_is_written(arg))
		return 3;
	if (!a_connection_is_made(listener))
		return 4;
	if (pthread_create(&thread, NULL, resolve, listening) != 0 ||
	    pthread_join(thread, &resolved) != 0 || resolved == NULL)
		return 5;
	page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || mprotect(page, 4096, PROT_READ) != 0 || munmap(page, 1 << 20))
		return 6;
	if (!sandbox_state(state))
		return 7;
	/* For abort(), which then is what ends it, and not the filter. */
	raise(SIGABRT);
	return 8;
}

static void what_a_daemon_does_goes_on(void **state)
{
	struct ending ending = in_child(works, *state);

	assert_string_equal(ending.said, "");
	if (!(WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGABRT))
		fail_msg("status %x", (unsigned)ending.status);
}

/* --- without a filter ---------------------------------------------------------------- */

static int begins(const void *arg)
{
	char state[SANDBOX_REASON_SIZE];
	struct rlimit core;

	(void)arg;
	sandbox_begin();
	if (umask(0) != 077)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
		return 3;
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	if (sandbox_state(state) || !strstr(state, "NOT FILTERED"))
		return 5;
	return 0;
}

static void begin_closes_what_it_can(void **state)
{
	struct ending ending = in_child(begins, NULL);

	(void)state;
	assert_true(ended_with(&ending, 0));
	assert_string_equal(ending.said, "");
}

static int raises(const void *arg)
{
	const struct rlimit low = {64, 600};
	struct rlimit now;

	(void)arg;
	if (setrlimit(RLIMIT_NOFILE, &low) != 0 || (geteuid() == 0 && setuid(NOBODY) != 0))
		return 2;
	if (sandbox_files(356) != 356 || getrlimit(RLIMIT_NOFILE, &now) != 0 ||
	    now.rlim_cur != 356 || now.rlim_max != 600)
		return 3;
	if (sandbox_files(10) != 356 || getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur != 356)
		return 4;
	if (sandbox_files(100000) != 600 || getrlimit(RLIMIT_NOFILE, &now) != 0 ||
	    now.rlim_cur != 600)
		return 5;
	return 0;
}

static void files_are_raised_as_far_as_they_go(void **state)
{
	struct ending ending = in_child(raises, NULL);

	(void)state;
	assert_true(ended_with(&ending, 0));
}

static void folder_is_ours_and_closed(void **state)
{
	static const struct {
		unsigned mode;
		const char *reason; /* NULL: fine */
	} rows[] = {
	    {0700, NULL},
	    {0500, NULL},
	    {0750, "chmod 700"},
	    {0701, "chmod 700"},
	    {0704, "chmod 700"},
	    {0777, "chmod 700"},
	};
	const char *dir = *state;
	char reason[SANDBOX_REASON_SIZE], name[256];
	FILE *file;

	for (size_t i = 0; i < COUNT(rows); i++) {
		bool ok;

		assert_int_equal(chmod(dir, rows[i].mode), 0);
		ok = sandbox_folder(reason, dir);
		row_check(rows[i].reason ? rows[i].reason : "closed", ok == !rows[i].reason);
		if (!ok)
			assert_non_null(strstr(reason, rows[i].reason));
	}
	assert_int_equal(chmod(dir, 0700), 0);
	snprintf(name, sizeof name, "%s/none", dir);
	assert_false(sandbox_folder(reason, name));
	file = fopen(name, "w");
	assert_non_null(file);
	fclose(file);
	assert_false(sandbox_folder(reason, name));
	assert_non_null(strstr(reason, "not a folder"));
	unlink(name);
	/* Somebody else's: root's, or what root gave away. */
	if (geteuid() != 0) {
		assert_false(sandbox_folder(reason, "/"));
	} else {
		assert_int_equal(chown(dir, NOBODY, NOBODY), 0);
		assert_false(sandbox_folder(reason, dir));
		assert_int_equal(chown(dir, 0, 0), 0);
	}
	assert_non_null(strstr(reason, "belongs to user"));
}

struct wish {
	const char *user, *group;
	const char *reason;
};

static int refuses(const void *arg)
{
	const struct wish *wish = arg;
	char reason[SANDBOX_REASON_SIZE] = "";

	if (sandbox_become(reason, wish->user, wish->group))
		return 1;
	fprintf(stderr, "%s", reason);
	return 0;
}

static void who_cannot_be_is_refused(void **state)
{
	static const struct wish wishes[] = {
	    {"no-such-user-anywhere", "", "no user"},
	    {"nobody", "no-such-group-anywhere", "no group"},
	    {"4294967295", "", "no user"},
	    {"-1", "", "no user"},
	    {"12x", "", "no user"},
	    {"3999999999", "", "`group` is needed"},
	    {"root", "", "root's"},
	    {"0", "", "root's"},
	    {"nobody", "root", "root's"},
	    {"nobody", "0", "root's"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wishes); i++) {
		struct ending ending = in_child(refuses, &wishes[i]);

		row_check(wishes[i].user, ended_with(&ending, 0));
		row_check(wishes[i].user, strstr(ending.said, wishes[i].reason) != NULL);
	}
}

static bool no_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[2];

	return syscall(SYS_capget, &header, sets) == 0 && sets[0].effective == 0 &&
	       sets[0].permitted == 0 && sets[0].inheritable == 0 && sets[1].effective == 0 &&
	       sets[1].permitted == 0 && sets[1].inheritable == 0;
}

static int becomes(const void *arg)
{
	const struct wish *wish = arg;
	char reason[SANDBOX_REASON_SIZE];
	uid_t uid[3];
	gid_t gid[3];

	if (!sandbox_become(reason, wish->user, wish->group)) {
		fprintf(stderr, "%s\n", reason);
		return 1;
	}
	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return 2;
	for (int i = 0; i < 3; i++) {
		if (uid[i] != NOBODY || gid[i] == 0)
			return 3;
	}
	if (getgroups(0, NULL) != 0)
		return 4;
	if (!no_capabilities())
		return 5;
	if (setuid(0) == 0 || setgid(0) == 0 || setreuid(NOBODY, 0) == 0)
		return 6;
	/* Becoming somebody had made it as the machine has it by default. */
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 7;
	return 0;
}

static void root_becomes_somebody_for_good(void **state)
{
	static const struct wish wishes[] = {
	    {"65534", "65533", NULL},
	    {"65534", "", NULL},
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < COUNT(wishes); i++) {
		struct ending ending = in_child(becomes, &wishes[i]);

		row_check(wishes[i].group, ended_with(&ending, 0));
		row_check(wishes[i].group, strcmp(ending.said, "") == 0);
	}
}

static int stays(const void *arg)
{
	char reason[SANDBOX_REASON_SIZE];
	const uid_t before = geteuid();

	(void)arg;
	if (!sandbox_become(reason, "", "") || geteuid() != before)
		return 2;
	return no_capabilities() ? 0 : 3;
}

static void without_a_user_only_rights_go(void **state)
{
	struct ending ending = in_child(stays, NULL);

	(void)state;
	assert_true(ended_with(&ending, 0));
}

static int becomes_another(const void *arg)
{
	const struct wish wish = {arg, "65533", NULL};

	if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
		return 2;
	return refuses(&wish);
}

static void who_is_not_root_stays(void **state)
{
	struct ending ending = in_child(becomes_another, "65532");

	(void)state;
	assert_true(ended_with(&ending, 0));
	assert_non_null(strstr(ending.said, "start as root, or as that user"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(deadly_calls_kill),
	    cmocka_unit_test(other_calls_fail_and_are_logged_once),
	    cmocka_unit_test(clone3_is_not_there),
	    cmocka_unit_test(no_filter_is_no_success),
	    cmocka_unit_test(threads_from_before_have_it_too),
	    cmocka_unit_test_setup_teardown(
		what_a_daemon_does_goes_on, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(begin_closes_what_it_can),
	    cmocka_unit_test(files_are_raised_as_far_as_they_go),
	    cmocka_unit_test_setup_teardown(
		folder_is_ours_and_closed, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(who_cannot_be_is_refused),
	    cmocka_unit_test(root_becomes_somebody_for_good),
	    cmocka_unit_test(without_a_user_only_rights_go),
	    cmocka_unit_test(who_is_not_root_stays),
	};

	return unit_run(tests);
}
