/* What can be told to a socket, and asked from it, without waiting. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <weft/socket.h>

#include "../runtime/os_net.h"
#include "../runtime/os_sock.h"
#include "../runtime/sched.h"
#include "turn.h"

/* ---- options -------------------------------------------------------------------------------------------------------- */

/* Accepted sockets inherit it from their listener; but weft has to be told to leave them at that. */
int weft_set_nodelay(int fd, bool on)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
	wf_lock(&turn.desc->lock);
	if (r == 0 && turn.desc->seq == turn.seq)
		turn.desc->kind |= WF_DESC_NODELAY;
	wf_unlock(&turn.desc->lock);
	wf_desc_leave(&turn);
	return r;
}

int weft_set_keepalive(int fd, int idle_s, int interval_s, int probes)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_set_keepalive(fd, idle_s, interval_s, probes);
	wf_desc_leave(&turn);
	return r;
}

int weft_set_linger(int fd, int seconds)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_set_linger(fd, seconds >= 0, seconds >= 0 ? seconds : 0);
	wf_desc_leave(&turn);
	return r;
}

int weft_set_buffers(int fd, int receive, int send)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	if (receive > 0)
		r = wf_os_set_option(fd, SOL_SOCKET, SO_RCVBUF, receive);
	if (r == 0 && send > 0)
		r = wf_os_set_option(fd, SOL_SOCKET, SO_SNDBUF, send);
	wf_desc_leave(&turn);
	return r;
}

/* ---- who is there --------------------------------------------------------------------------------------------------- */

int weft_peer_ids(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
	struct wf_turn turn;
	pid_t its_pid;
	uid_t its_uid;
	gid_t its_gid;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_peer_ids(fd, &its_pid, &its_uid, &its_gid);
	wf_desc_leave(&turn);
	if (r == 0 && pid)
		*pid = its_pid;
	if (r == 0 && uid)
		*uid = its_uid;
	if (r == 0 && gid)
		*gid = its_gid;
	return r;
}

static int tell_addr(int fd, bool peer, char *text, size_t size)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = peer ? wf_os_getpeername(fd, (struct sockaddr *)&addr, &len) : wf_os_getsockname(fd, (struct sockaddr *)&addr, &len);
	wf_desc_leave(&turn);
	return r < 0 ? r : weft_addr_text((struct sockaddr *)&addr, len, text, size);
}

int weft_local_addr(int fd, char *text, size_t size)
{
	return tell_addr(fd, false, text, size);
}

int weft_peer_addr(int fd, char *text, size_t size)
{
	return tell_addr(fd, true, text, size);
}
