/* uv_echo PORT [THREADS]: libuv, a loop for each thread. A write is tried at once, what it did not take is queued. */
#include <signal.h>
#include <uv.h>

#include "server.h"

static _Thread_local char buffer[65536];

static void release(uv_handle_t *handle) { free(handle); }

static void hang_up(uv_stream_t *stream)
{
	if (!uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, release);
}

static void finish_write(uv_write_t *write, int status)
{
	if (status < 0)
		hang_up(write->handle);
	free(write);
}

static void lend_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	(void)handle;
	(void)wanted;
	*buf = uv_buf_init(buffer, sizeof buffer);
}

static void queue_rest(uv_stream_t *stream, const char *bytes, size_t n)
{
	uv_write_t *write = malloc(sizeof *write + n);
	if (!write)
		die("malloc");
	memcpy(write + 1, bytes, n);
	uv_buf_t buf = uv_buf_init((char *)(write + 1), (unsigned)n);
	uv_write(write, stream, &buf, 1, finish_write);
}

static void echo(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	if (n < 0)
		hang_up(stream);
	if (n <= 0)
		return;
	uv_buf_t all = uv_buf_init(buf->base, (unsigned)n);
	int sent = uv_try_write(stream, &all, 1);
	if (sent < 0 && sent != UV_EAGAIN)
		hang_up(stream);
	else if (sent != n)
		queue_rest(stream, buf->base + (sent < 0 ? 0 : sent), (size_t)(n - (sent < 0 ? 0 : sent)));
}

static void accept_one(uv_stream_t *listener, int status)
{
	uv_tcp_t *conn = status < 0 ? NULL : malloc(sizeof *conn);
	if (!conn)
		return;
	uv_tcp_init(listener->loop, conn);
	if (uv_accept(listener, (uv_stream_t *)conn) != 0) {
		hang_up((uv_stream_t *)conn);
		return;
	}
	uv_tcp_nodelay(conn, 1);
	uv_read_start((uv_stream_t *)conn, lend_buffer, echo);
}

static void *run_uv(void *arg)
{
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_loop_init(&loop);
	uv_tcp_init(&loop, &listener);
	uv_tcp_open(&listener, (int)(intptr_t)arg);
	if (uv_listen((uv_stream_t *)&listener, 4096, accept_one) != 0)
		die("uv_listen");
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

int main(int argc, char **argv)
{
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	return run_loops(argc, argv, run_uv, SOCK_NONBLOCK);
}
