/* Listeners, and how they pass from one process to the next.
 *
 * An heir is this program, started again with the same arguments and with the listeners of the process that starts it. Its
 * environment tells their descriptors, and that of one end of a socket pair: there it says that it serves. A listener is one queue
 * of the kernel's, whichever process takes from it, so that no connection is refused or lost while processes change.
 * (SO_REUSEPORT would give each process a queue of its own, and who ends takes his queue with him.) */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "conn.h"

struct http_listener {
	const char *addr; /* NULL: inherited beyond what the options say */
	int fd;
	bool tls;
};

struct http_listeners {
	size_t count;
	struct http_listener list[HTTP_LISTENS_MAX];
};

/* ---- listen.c ---------------------------------------------------------------------------------------------------- */

/* Opens what the options say, or takes what was inherited. An exit status, after a complaint. */
int http_listen(struct http_listeners *listeners, const struct http_config *config);

/* "listening on ADDR", a line for each, with the ports that the system chose. Nothing for an heir. */
void http_announce(const struct http_listeners *listeners);

/* Serves what arrives, each listener in a coroutine. 0 or -E. */
int http_accept(struct http_listeners *listeners);

/* Ends that. shared: other processes go on with them. */
void http_listen_end(struct http_listeners *listeners, bool shared);

/* ---- heir.c ------------------------------------------------------------------------------------------------------ */

struct http_heir {
	struct weft_process *process;
	int control; /* becomes readable when it serves, or has ended */
};

/* supervised: it ends when this process does. 0 or -E. */
int http_heir_start(struct http_heir *heir, const struct http_listeners *listeners, bool supervised);

/* Waits until it serves: 0 or -E. */
int http_heir_await(struct http_heir *heir, weft_time deadline);

/* What this process has inherited, if it is an heir. Once, when TLS is ready. */
void http_inherit(char **argv);
bool http_is_heir(void);
bool http_is_supervised(void);

/* The listeners that come from there, or from systemd: how many, or -E. In the runtime. */
int http_inherited(int fds[static HTTP_LISTENS_MAX]);

/* Tells the process that started this one that it serves. */
void http_heir_serves(void);

/* Waits until the process that started this one has ended. Parks. */
void http_heir_outlives(void);

/* ---- procs.c ----------------------------------------------------------------------------------------------------- */

/* Keeps --procs heirs serving until a signal tells it to end them: an exit status. Parks. */
int http_supervise(const struct http_listeners *listeners, const struct http_config *config, struct weft_chan *signals);

#endif
