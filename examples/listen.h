/* For servers that scripts start: port 0 lets the system choose, so a listener says where it is. */
#ifndef EXAMPLES_LISTEN_H
#define EXAMPLES_LISTEN_H

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

/* The address as it was given, with the port that it got. */
static inline void print_listener(const char *addr, int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	socklen_t len = sizeof name;
	getsockname(fd, &name.any, &len);
	if (name.any.sa_family == AF_UNIX)
		printf("listening on %s\n", addr);
	else
		printf("listening on %.*s:%d\n", (int)(strrchr(addr, ':') - addr), addr,
		       ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port));
	fflush(stdout);
}

/* weft_listen, and a line about it on standard output, or on standard error. */
static inline int listen_and_say(const char *addr)
{
	int fd = weft_listen(addr, 0);
	if (fd < 0)
		fprintf(stderr, "%s: %s\n", addr, weft_strerror(fd));
	else
		print_listener(addr, fd);
	return fd;
}

#endif
