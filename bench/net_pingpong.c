/* net_pingpong [ROUNDS [BYTES]]: two coroutines, one TCP connection over loopback; a message goes there and back. us per round
 * trip. Both ends do the same, a read that waits and a write, so half of it is what one request costs an echo server. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "bench.h"

static long rounds;
static size_t size;

static void move_all(ssize_t (*move)(int fd, char *bytes, size_t n), int fd, char *bytes)
{
	ssize_t n;
	for (size_t at = 0; at < size; at += (size_t)n) {
		n = move(fd, bytes + at, size - at);
		must(n > 0 ? 0 : n < 0 ? (int)n : -EIO);
	}
}

static ssize_t read_some(int fd, char *bytes, size_t n) { return weft_read(fd, bytes, n); }

static ssize_t write_some(int fd, char *bytes, size_t n) { return weft_write(fd, bytes, n); }

static int echo(void *arg)
{
	int listener = (int)(intptr_t)arg, fd = must(weft_accept(listener, NULL, NULL));
	char *bytes = malloc(size);
	for (long i = 0; i < rounds; i++) {
		move_all(read_some, fd, bytes);
		move_all(write_some, fd, bytes);
	}
	free(bytes);
	return weft_close(fd);
}

/* A listener at a port that the system chooses, as an address to dial. */
static int listen_somewhere(char *address, size_t space)
{
	struct sockaddr_in in;
	socklen_t length = sizeof in;
	int fd = must(weft_listen("127.0.0.1:0", 0));
	must(getsockname(fd, (struct sockaddr *)&in, &length) == 0 ? 0 : -errno);
	snprintf(address, space, "127.0.0.1:%d", ntohs(in.sin_port));
	return fd;
}

static int body(void *arg)
{
	char address[32], *bytes = calloc(size, 1);
	struct weft_co *co;
	(void)arg;
	must(bytes ? 0 : -ENOMEM);
	int listener = listen_somewhere(address, sizeof address);
	must(weft_spawn(&co, NULL, echo, (void *)(intptr_t)listener));
	int fd = must(weft_dial(address, WEFT_NEVER));
	weft_time start = weft_now();
	for (long i = 0; i < rounds; i++) {
		bytes[0] = (char)i;
		move_all(write_some, fd, bytes);
		move_all(read_some, fd, bytes);
		must(bytes[0] == (char)i ? 0 : -EIO);
	}
	bench_out("net_pingpong", (double)(weft_now() - start) / 1e3 / (double)rounds, "us");
	must(weft_close(fd));
	must(weft_join(co, NULL));
	free(bytes);
	return weft_close(listener);
}

int main(int argc, char **argv)
{
	(void)argc;
	rounds = bench_arg(argv, 1, 50000);
	size = (size_t)bench_arg(argv, 2, 64);
	return weft_run(NULL, body, NULL);
}
