/* A cache that speaks the text protocol of memcached: one coroutine for each connection, on as many processors as there are.
 *
 *     memkv [--listen ADDR] [--memory MIB] [--item-max BYTES]        default: :11211, 64, 1048576
 *
 * client.c    reads and writes
 * commands.c  what clients say
 * store.c     what is kept, in shards with a lock each
 *
 * On SIGTERM or SIGINT it stops. What it keeps is a cache: nobody waits for anything, and the exit status is 0. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../listen.h"
#include "client.h"
#include "store.h"

struct server_stats server;

static const char *addr = ":11211";
static long memory_mib = 64, item_max = ITEM_MAX;

/* What is there is answered as a whole, before more is waited for. */
static void obey_all(struct client *c)
{
	while (!c->ended) {
		char *line = c->in + c->at, *end = memchr(line, '\n', c->end - c->at);
		if (end) {
			c->at = (size_t)(end + 1 - c->in);
			client_obey(c, line, (size_t)(end - line) - (end > line && end[-1] == '\r'));
			continue;
		}
		client_flush(c);
		if (!client_fill(c) && !c->ended && !client_obey_part(c)) {
			client_fail(c, "CLIENT_ERROR line too long");
			return;
		}
	}
}

static int serve(void *arg)
{
	struct client c;
	c.fd = (int)(intptr_t)arg;
	c.ended = c.skips_line = false;
	c.at = c.end = c.used = 0;
	server.connections++;
	server.total_connections++;
	obey_all(&c);
	c.ended = false;
	client_flush(&c);
	server.connections--;
	return weft_close(c.fd);
}

static int accept_all(void *arg)
{
	int listener = (int)(intptr_t)arg, fd;
	while ((fd = weft_accept(listener, NULL, NULL)) != -EBADF && fd != -ECANCELED)
		if (fd >= 0 && weft_go(serve, (void *)(intptr_t)fd) != 0)
			weft_close(fd);
	return 0;
}

static int run(void *arg)
{
	struct weft_chan *signals;
	int number, listener = -1, r = weft_chan_create(&signals, sizeof number, 1);
	(void)arg;
	if (r == 0)
		r = weft_signal_notify(signals, SIGTERM);
	if (r == 0)
		r = weft_signal_notify(signals, SIGINT);
	if (r == 0)
		r = listener = listen_and_say(addr);
	if (r >= 0)
		r = weft_go(accept_all, (void *)(intptr_t)listener);
	if (r == 0 && weft_chan_recv(signals, &number) == 1)
		r = weft_shutdown(weft_after(WEFT_SEC(5)));
	if (listener >= 0)
		weft_close(listener);
	weft_signal_stop(signals);
	weft_chan_destroy(signals);
	return r;
}

/* Each connection is a descriptor: as many as the system lets us have. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool read_options(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--listen") == 0)
			addr = argv[i + 1];
		else if (strcmp(argv[i], "--memory") == 0)
			memory_mib = strtol(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--item-max") == 0)
			item_max = strtol(argv[i + 1], NULL, 10);
		else
			return false;
	}
	return argc % 2 == 1 && memory_mib > 0 && memory_mib < 1 << 20 && item_max >= 1024 && item_max <= 1 << 30;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fputs("usage: memkv [--listen ADDR] [--memory MIB] [--item-max BYTES]\n", stderr);
		return 2;
	}
	raise_descriptors();
	if (!store_open((size_t)memory_mib << 20, (size_t)item_max)) {
		fputs("memkv: out of memory\n", stderr);
		return 1;
	}
	int r = weft_run(NULL, run, NULL);
	store_close();
	if (r < 0)
		fprintf(stderr, "memkv: %s\n", weft_strerror(r));
	return r != 0;
}
