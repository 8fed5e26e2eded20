/* tests/e2e/bed/names.c - names that resolve to what a test wants, by LD_PRELOAD.
 *
 * NAMES_FILE=FILE  a line for each name: the name, then its addresses in the order in which
 *                  they are given out; read at every look-up, so that a name can be moved
 * NAMES_LOG=FILE   each address that a connection is made to is appended to it, a line each
 *
 * No other name is known, DNS is not asked, and no connection leaves the machine: one to an
 * address that is not 127.0.0.0/8 or ::1 fails as if there were no route. But the IPv4 addresses
 * in the line of the name "played" are played by this machine: a connection to one is made to
 * 127.0.0.1, and whoever asks for its peer hears what it wanted to connect to. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 8
#define FDS_MAX       65536

static struct in_addr played[FDS_MAX]; /* by fd: whom its peer plays; 0: nobody */

/* The addresses of a name; how many. */
static int look_up(char addresses[ADDRESSES_MAX][64], const char *name)
{
	const char *path = getenv("NAMES_FILE");
	FILE *file = path ? fopen(path, "re") : NULL;
	char line[1024], *rest, *word;
	int count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		word = strtok_r(line, " \n", &rest);
		if (!word || strcasecmp(word, name) != 0)
			continue;
		while (count < ADDRESSES_MAX && (word = strtok_r(NULL, " \n", &rest)))
			snprintf(addresses[count++], 64, "%s", word);
		break;
	}
	if (file)
		fclose(file);
	return count;
}

int getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo numeric = hints ? *hints : (struct addrinfo){0}, **last = out;
	struct in6_addr parsed;
	char addresses[ADDRESSES_MAX][64];
	int count, result = EAI_NONAME;

	if (!real)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
		    struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
	if (!node || inet_pton(AF_INET, node, &parsed) == 1 ||
	    inet_pton(AF_INET6, node, &parsed) == 1)
		return real(node, service, hints, out);
	numeric.ai_flags |= AI_NUMERICHOST;
	*out = NULL;
	count = look_up(addresses, node);
	for (int i = 0; i < count; i++) {
		if (real(addresses[i], service, &numeric, last) != 0)
			continue;
		result = 0;
		while (*last)
			last = &(*last)->ai_next;
	}
	return result;
}

static bool is_here(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family != AF_INET6 ||
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static void note(const struct sockaddr *address, socklen_t size)
{
	const char *path = getenv("NAMES_LOG");
	char host[64], line[66];
	int fd;

	if (!path || (address->sa_family != AF_INET && address->sa_family != AF_INET6) ||
	    getnameinfo(address, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	snprintf(line, sizeof(line), "%s\n", host);
	(void)!write(fd, line, strlen(line));
	close(fd);
}

static bool is_played(const struct sockaddr *address, int fd)
{
	char addresses[ADDRESSES_MAX][64], host[INET_ADDRSTRLEN];
	const struct in_addr *v4 = &((const struct sockaddr_in *)address)->sin_addr;
	int count = look_up(addresses, "played");

	if (address->sa_family != AF_INET || fd < 0 || fd >= FDS_MAX ||
	    !inet_ntop(AF_INET, v4, host, sizeof(host)))
		return false;
	while (count > 0 && strcmp(addresses[count - 1], host) != 0)
		count--;
	if (count > 0)
		played[fd] = *v4;
	return count > 0;
}

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict size)
{
	static int (*real)(int, struct sockaddr *, socklen_t *);
	int result;

	if (!real)
		real =
		    (int (*)(int, struct sockaddr *, socklen_t *))dlsym(RTLD_NEXT, "getpeername");
	result = real(fd, address, size);
	if (result == 0 && fd >= 0 && fd < FDS_MAX && played[fd].s_addr != 0)
		((struct sockaddr_in *)address)->sin_addr = played[fd];
	return result;
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	struct sockaddr_in here;
	static int (*real)(int, const struct sockaddr *, socklen_t);

	if (!real)
		real =
		    (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
	note(address, size);
	if (fd >= 0 && fd < FDS_MAX)
		played[fd].s_addr = 0;
	if (is_played(address, fd)) {
		here = *(const struct sockaddr_in *)address;
		here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return real(fd, (const struct sockaddr *)&here, sizeof(here));
	}
	if (!is_here(address)) {
		errno = ENETUNREACH;
		return -1;
	}
	return real(fd, address, size);
}
