/* Rank 6. Names. */
#ifndef WF_DNS_H
#define WF_DNS_H

#include <netdb.h>

#include "addr.h"

/* As weft_resolve, for sockets of a type (it decides which services there are), until a deadline: -ETIMEDOUT, and with WEFT_NOW
 * -EAGAIN. */
int wf_resolve(const char *host, const char *service, int type, int64_t deadline, struct addrinfo **found);

/* The same for "name:service", what wf_addr_parse can't read. -EINVAL: malformed. */
int wf_resolve_text(const char *text, int type, int64_t deadline, struct addrinfo **found);

/* One of those found. False: of no family that is known here. */
bool wf_addr_from(struct wf_addr *addr, const struct addrinfo *info);

#endif
