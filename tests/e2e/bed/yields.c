/* tests/e2e/bed/yields.c - counts how often a worker looks again without having slept, by
 * LD_PRELOAD: between two looks it yields its core.
 *
 * YIELDS_FILE=FILE  a byte is appended for each sched_yield() that the program itself, not a
 *                   library of its, makes on a thread named tw-worker-N */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int fd = -1;

__attribute__((constructor)) static void open_file(void)
{
	const char *path = getenv("YIELDS_FILE");

	if (path)
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static bool is_program(const void *caller)
{
	const void *entry = (const void *)getauxval(AT_ENTRY);
	Dl_info here, program;

	return dladdr(caller, &here) && dladdr(entry, &program) &&
	       here.dli_fbase == program.dli_fbase;
}

int sched_yield(void)
{
	static int (*real)(void);
	char name[16];

	if (!real)
		real = (int (*)(void))dlsym(RTLD_NEXT, "sched_yield");
	if (fd >= 0 && pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
	    strncmp(name, "tw-worker-", 10) == 0 && is_program(__builtin_return_address(0)))
		(void)!write(fd, ".", 1);
	return real();
}
