/* The other end of examples/http: starts the program, speaks to it over plain sockets, and takes its responses apart. Every wait is
 * bounded; what goes wrong fails the test. */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server {
	pid_t pid;
	int port;
	int error_fd;       /* its standard error */
	char error[4096];   /* all of it, after server_wait */
};

/* Starts the server on a port of its own, with more options (words as the shell has them); the second runs a command of the shell
 * first, in its process. */
void server_start(struct server *s, const char *options);
void server_start_after(struct server *s, const char *first, const char *options);

void server_signal(const struct server *s);   /* SIGTERM */
int server_wait(struct server *s);            /* its exit status */
void server_stop(struct server *s);           /* both; the status must be 0 */

/* Runs the program to its end: its exit status; error as above. */
int server_run(struct server *s, const char *options);

int dial(const struct server *s);
bool can_dial(const struct server *s);
int dial_unix(const char *path);

bool tell(int fd, const char *bytes, size_t n); /* false: the other side has reset the connection */
#define TELL(fd, literal) tell(fd, "" literal, sizeof(literal) - 1)

struct response {
	int status;
	char *bytes;     /* malloc'ed: the head, a zero, the body with its chunks joined, a zero */
	const char *body;
	size_t body_size;
	bool closes;     /* says "Connection: close" */
	bool chunked;
};

/* Reads one response, to a HEAD if so said. Fails if it is malformed, or if the connection ends before it does. */
struct response hear(int fd, bool to_head);

/* Reads a response and checks its status and, if not NULL, its body. */
void expect(int fd, int status, const char *body);

/* The value of a field, NULL without it. In static memory. */
const char *field(const struct response *r, const char *name);

/* The connection must end here, in order and without another byte. */
void expect_end(int fd);

/* Reads to the end and checks the statuses, written as "200 404"; an H before one: a response to a HEAD. */
void expect_statuses(int fd, const char *statuses, const char *what);

#endif
