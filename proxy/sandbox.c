#include "proxy/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

static bool fail(char reason[SANDBOX_REASON_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(char reason[SANDBOX_REASON_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, SANDBOX_REASON_SIZE, format, args);
	va_end(args);
	return false;
}

/* --- from the start ------------------------------------------------------------------ */

static bool forbid_dumps(void)
{
	static const struct rlimit none = {0, 0};
	struct rlimit now;

	/* A service manager may have set it, and forbidden the call. */
	if (getrlimit(RLIMIT_CORE, &now) != 0 || now.rlim_cur != 0 || now.rlim_max != 0) {
		if (setrlimit(RLIMIT_CORE, &none) != 0)
			return false;
	}
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

void sandbox_begin(void)
{
	umask(077);
	if (!forbid_dumps())
		log_event(LOG_WARN, "core_dumps_not_disabled", "reason", strerror(errno), NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		log_event(LOG_WARN, "new_privileges_not_refused", "reason", strerror(errno), NULL);
}

uint64_t sandbox_files(uint64_t wanted)
{
	struct rlimit now, more;

	if (getrlimit(RLIMIT_NOFILE, &now) != 0)
		return 0;
	if (now.rlim_cur >= wanted)
		return now.rlim_cur;
	more = (struct rlimit){wanted, now.rlim_max < wanted ? wanted : now.rlim_max};
	/* Above the hard limit only with a capability that root may have. */
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	more = (struct rlimit){now.rlim_max, now.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	return now.rlim_cur;
}

/* --- who we are ---------------------------------------------------------------------- */

struct identity {
	uid_t uid;
	gid_t gid;
};

static bool number(unsigned *out, const char *text)
{
	unsigned long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	/* The largest means "leave it" to setresuid. */
	if (errno != 0 || *end != '\0' || value >= UINT_MAX)
		return false;
	*out = (unsigned)value;
	return true;
}

static bool find_group(gid_t *out, char reason[SANDBOX_REASON_SIZE], const char *group)
{
	const struct group *row = getgrnam(group);
	unsigned gid;

	if (row != NULL)
		*out = row->gr_gid;
	else if (number(&gid, group))
		*out = gid;
	else
		return fail(reason, "`group` of tallyward.json: there is no group %.64s", group);
	return true;
}

static bool find_user(
    struct identity *out, char reason[SANDBOX_REASON_SIZE], const char *user, const char *group)
{
	const struct passwd *row = getpwnam(user);
	unsigned uid;

	if (row == NULL && number(&uid, user)) {
		row = getpwuid(uid);
		if (row == NULL && *group == '\0')
			return fail(reason,
			    "`user` of tallyward.json: %.64s has no name, so `group` is needed",
			    user);
		out->uid = uid;
	} else if (row == NULL) {
		return fail(reason, "`user` of tallyward.json: there is no user %.64s", user);
	}
	if (row != NULL)
		*out = (struct identity){row->pw_uid, row->pw_gid};
	if (*group != '\0' && !find_group(&out->gid, reason, group))
		return false;
	if (out->uid == 0 || out->gid == 0)
		return fail(reason, "`user` and `group` of tallyward.json must not be root's");
	return true;
}

/* The three of each are what was wanted, and the way back is closed. */
static bool is_for_good(const struct identity *to)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		if (uid[i] != to->uid || gid[i] != to->gid)
			return false;
	}
	return getgroups(0, NULL) == 0 && setresuid((uid_t)-1, 0, (uid_t)-1) != 0 &&
	       setresgid((gid_t)-1, 0, (gid_t)-1) != 0;
}

static bool change(char reason[SANDBOX_REASON_SIZE], const struct identity *to, const char *user)
{
	if (setgroups(0, NULL) != 0 || setresgid(to->gid, to->gid, to->gid) != 0 ||
	    setresuid(to->uid, to->uid, to->uid) != 0)
		return fail(reason, "cannot become the user %.64s: %s", user, strerror(errno));
	if (!is_for_good(to))
		return fail(reason, "became the user %.64s, but could go back", user);
	return true;
}

static bool capabilities(bool *out, struct __user_cap_data_struct sets[2])
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};

	if (syscall(SYS_capget, &header, sets) != 0)
		return false;
	*out = false;
	for (int i = 0; i < 2; i++)
		*out = *out || sets[i].effective || sets[i].permitted || sets[i].inheritable;
	return true;
}

static bool drop_capabilities(char reason[SANDBOX_REASON_SIZE])
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[2] = {{0}};
	bool any;

	/* The bounding set is for programs we start, and there will be none: as far as we may. */
	for (int i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++)
		;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* A service manager may have dropped them, and forbidden the call. */
	if (!capabilities(&any, sets))
		return fail(reason, "cannot read the capabilities: %s", strerror(errno));
	if (!any)
		return true;
	memset(sets, 0, sizeof sets);
	if (syscall(SYS_capset, &header, sets) != 0 || !capabilities(&any, sets) || any)
		return fail(reason, "cannot drop the capabilities: %s", strerror(errno));
	return true;
}

bool sandbox_become(char reason[SANDBOX_REASON_SIZE], const char *user, const char *group)
{
	struct identity to = {geteuid(), getegid()};

	if (*user != '\0') {
		if (!find_user(&to, reason, user, group))
			return false;
		if (geteuid() != 0 && geteuid() != to.uid)
			return fail(reason,
			    "`user` of tallyward.json is %.64s: start as root, or as that user",
			    user);
		if (geteuid() == 0 && !change(reason, &to, user))
			return false;
	}
	if (!drop_capabilities(reason))
		return false;
	/* To become somebody else made it as the machine has it by default. */
	if (!forbid_dumps())
		log_event(LOG_WARN, "core_dumps_not_disabled", "reason", strerror(errno), NULL);
	return true;
}

bool sandbox_folder(char reason[SANDBOX_REASON_SIZE], const char *dir)
{
	struct stat status;

	if (stat(dir, &status) != 0)
		return fail(
		    reason, "cannot look at the data folder %.128s: %s", dir, strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return fail(reason, "%.128s is not a folder", dir);
	if (status.st_uid != geteuid())
		return fail(reason,
		    "the data folder %.96s belongs to user %lu, this is user %lu: start it "
		    "as "
		    "its owner (`user` of tallyward.json), or chown -R it",
		    dir, (unsigned long)status.st_uid, (unsigned long)geteuid());
	if ((status.st_mode & 077) != 0)
		return fail(reason, "the data folder %.128s is open to others: chmod 700 it", dir);
	return true;
}

bool sandbox_state(char out[SANDBOX_REASON_SIZE])
{
	bool privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	bool dumps = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
	bool filter = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;

	snprintf(out, SANDBOX_REASON_SIZE, "%s, %s, system calls %s",
	    privileges ? "no new privileges" : "NEW PRIVILEGES POSSIBLE",
	    dumps ? "no core files" : "CORE FILES POSSIBLE", filter ? "filtered" : "NOT FILTERED");
	return privileges && dumps && filter;
}
