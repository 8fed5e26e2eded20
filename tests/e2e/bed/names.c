/* tests/e2e/bed/names.c - names that resolve to what a test wants, by LD_PRELOAD.
 *
 * NAMES_FILE=FILE  a line for each name: the name, then its addresses in the order in which
 *                  they are given out; read at every look-up, so that a name can be moved
 * NAMES_LOG=FILE   each address that a connection is made to is appended to it, a line each
 *
 * No other name is known, DNS is not asked, and no connection leaves the machine: one to an
 * address that is not 127.0.0.0/8 or ::1 fails as if there were no route. */
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

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	static int (*real)(int, const struct sockaddr *, socklen_t);

	if (!real)
		real =
		    (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
	note(address, size);
	if (!is_here(address)) {
		errno = ENETUNREACH;
		return -1;
	}
	return real(fd, address, size);
}
