#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <weft/errno.h>

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static void add(struct http_listeners *l, const char *addr, bool tls)
{
	l->list[l->count++] = (struct http_listener){ addr, -1, tls };
}

static int open_one(struct http_listener *l)
{
	l->fd = weft_listen(l->addr, 0);
	if (l->fd >= 0)
		return 0;
	fprintf(stderr, "http: %s: %s\n", l->addr, weft_strerror(l->fd));
	return l->fd == -EINVAL ? 2 : 1;
}

/* The flag is the file's, so all processes have the same. */
static int take_inherited(struct http_listener *l, int fd)
{
	int flags = fcntl(fd, F_GETFL), r = flags < 0 ? -errno : 0;
	if (r == 0 && (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0))
		r = -errno;
	if (r == 0)
		r = weft_adopt(fd);
	if (r < 0) {
		fprintf(stderr, "http: inherited descriptor %d: %s\n", fd, weft_strerror(r));
		return 1;
	}
	l->fd = fd;
	return 0;
}

int http_listen(struct http_listeners *l, const struct http_config *config)
{
	int fds[HTTP_LISTENS_MAX], status = 0, r = http_inherited(fds);
	size_t inherited = r > 0 ? (size_t)r : 0;
	if (r < 0) {
		fprintf(stderr, "http: sockets from systemd: %s\n", weft_strerror(r));
		return 1;
	}
	for (size_t i = 0; i < config->listens.count && l->count < HTTP_LISTENS_MAX; i++)
		add(l, config->listens.addr[i], false);
	for (size_t i = 0; i < config->tls_listens.count && l->count < HTTP_LISTENS_MAX; i++)
		add(l, config->tls_listens.addr[i], true);
	while (l->count < inherited)
		add(l, NULL, false);
	for (size_t i = 0; i < l->count && status == 0; i++)
		status = i < inherited ? take_inherited(&l->list[i], fds[i]) : open_one(&l->list[i]);
	return status;
}

static void announce(const struct http_listener *l)
{
	char addr[WEFT_ADDR_SIZE] = "?";
	weft_local_addr(l->fd, addr, sizeof(addr));
	printf("listening on %s%s\n", addr, l->tls ? " with TLS" : "");
}

void http_announce(const struct http_listeners *l)
{
	if (http_is_heir())
		return; /* nobody may be reading any more */
	for (size_t i = 0; i < l->count; i++)
		announce(&l->list[i]);
	fflush(stdout);
}

/* ---- serving ------------------------------------------------------------------------------------------------------- */

static int accept_loop(void *arg)
{
	const struct http_listener *l = arg;
	bool was_told = false;
	for (;;) {
		int fd = weft_accept(l->fd, NULL, NULL);
		if (fd >= 0) {
			http_admit(fd, l->tls);
			continue;
		}
		if (fd == -EBADF || fd == -ECANCELED)
			return 0;
		if (!was_told)
			fprintf(stderr, "http: accept: %s; serving on\n", weft_strerror(fd));
		was_told = true;
		weft_sleep(WEFT_MS(1)); /* where descriptors ran out weft_accept has waited; this is for errors nobody thought of */
	}
}

int http_accept(struct http_listeners *l)
{
	int r = 0;
	for (size_t i = 0; i < l->count && r == 0; i++)
		r = weft_go(accept_loop, &l->list[i]);
	return r;
}

/* weft_close would remove the path of a unix socket. */
void http_listen_end(struct http_listeners *l, bool shared)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].fd < 0)
			;
		else if (!shared)
			weft_close(l->list[i].fd);
		else if (weft_release(l->list[i].fd) >= 0)
			close(l->list[i].fd);
}
