/* epoll_echo PORT [THREADS]: the limit for echo servers. A loop for each thread; a request is its share of one epoll_wait, one recv
 * and one send. */
#include "epoll.h"

static void forget(int fd) { (void)fd; }

static void receive(int epoll, int fd)
{
	static _Thread_local char buffer[65536];
	ssize_t n = recv(fd, buffer, sizeof buffer, 0);
	if (n > 0)
		send_or_keep(epoll, fd, buffer, (size_t)n);
	else if (n == 0 || !is_passing())
		hang_up(fd);
}

int main(int argc, char **argv) { return serve_by_epoll(argc, argv); }
