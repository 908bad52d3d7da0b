#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "load.h"

enum {
	PER_SOURCE = 8000,   /* connections from one address: it has some 28,000 ports, and free ones get hard to find before */
	CHURN_SOURCES = 200, /* addresses that churn uses in turn: ports rest for a minute after a close */
};

void conn_raise_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* All of 127.0.0.0/8 is this machine, so connections to it may come from anywhere in it. */
static int bind_source(int fd, uint32_t number)
{
	bool loopback = ntohl(opt.server.sin_addr.s_addr) >> 24 == 127;
	uint32_t address = opt.churn ? number % CHURN_SOURCES : number / PER_SOURCE;
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + address) };
	if (!loopback || (!opt.churn && opt.conns + opt.idle <= PER_SOURCE))
		return 0;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
	return bind(fd, (struct sockaddr *)&in, sizeof in);
}

static int make_socket(uint32_t number, int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (bind_source(fd, number) == 0)
		return fd;
	close(fd);
	return -1;
}

int conn_dial(uint32_t number)
{
	struct timeval limit = { 10, 0 };
	int fd = make_socket(number, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&opt.server, sizeof opt.server) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int conn_begin(uint32_t number)
{
	int fd = make_socket(number, SOCK_NONBLOCK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&opt.server, sizeof opt.server) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

void conn_reset(int fd)
{
	struct linger at_once = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}
