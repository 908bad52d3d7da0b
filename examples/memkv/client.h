/* A client of memkv: its connection, with what was read and is not done yet, and what is not written yet. */
#ifndef MEMKV_CLIENT_H
#define MEMKV_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUFFER_SIZE = 16384, ITEM_MAX = 1 << 20 };

struct client {
	int fd;
	bool ended;         /* said "quit", or is gone */
	bool is_quiet;      /* the command says "noreply" */
	bool skips_line;    /* an error has been told, and what is left of the line does not matter */
	size_t at, end;     /* of what was read */
	size_t used;        /* of out */
	char in[BUFFER_SIZE], out[BUFFER_SIZE];
};

/* More bytes behind those that are there. False: there are none, or there is no room. */
bool client_fill(struct client *c);

/* Reads, or skips, n bytes from what is there and what comes. */
void client_take(struct client *c, char *to, size_t n);
void client_skip(struct client *c, size_t n);

/* Text for the client. Written when there is enough of it, or nothing else to do. */
void client_put(struct client *c, const char *bytes, size_t n);
void client_flush(struct client *c);

/* A line, unless the client wants none; errors are told in any case. */
void client_say(struct client *c, const char *line);
void client_fail(struct client *c, const char *line);

/* Does what a line says, in commands.c. */
void client_obey(struct client *c, char *line, size_t n);

/* Whether a line that is not complete, and for which there is no more room, is a list of keys; it has been served as far as it
 * goes, and what is left is shorter. */
bool client_obey_part(struct client *c);

struct server_stats {
	_Atomic long connections, total_connections;
};

extern struct server_stats server;

#endif
