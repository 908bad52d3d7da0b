/* Rank 6. Sockets, for those who make them by address. */
#ifndef WF_SOCK_H
#define WF_SOCK_H

#include "addr.h"
#include "turn.h"

/* connect(2) for whoever has the turn to write, with waiting for its end. */
int wf_sock_connect(struct wf_turn *turn, const struct sockaddr *addr, socklen_t len);

#endif
