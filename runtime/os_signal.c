/* os.h, signals: who gets them, and what was there before. */
#include "os.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "os_call.h"

struct taken {
	bool is;
	struct sigaction former;
	void (*fn)(int);
};

static struct taken taken[WF_OS_SIGNALS + 1];

static bool can_be_taken(int number)
{
	static const int others[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	bool can = number > 0 && number <= WF_OS_SIGNALS;
	for (size_t i = 0; i < wf_countof(others); i++)
		can = can && number != others[i];
	return can;
}

static void on_signal(int number)
{
	int saved = errno;
	taken[number].fn(number);
	errno = saved;
}

int wf_os_signal_take(int number, void (*fn)(int number), bool polite)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, now;
	if (!can_be_taken(number) || sigaction(number, NULL, &now) != 0)
		return -EINVAL;
	if (taken[number].is)
		return 1;
	if (polite && now.sa_handler != SIG_DFL)
		return 0;
	sigfillset(&action.sa_mask);
	taken[number] = (struct taken){true, now, fn};
	if (sigaction(number, &action, NULL) == 0)
		return 1;
	taken[number].is = false;
	return -EINVAL;
}

void wf_os_signal_give(int number)
{
	struct sigaction now;
	struct taken *t = &taken[number];
	if (t->is && sigaction(number, NULL, &now) == 0 && (now.sa_handler == on_signal || now.sa_handler == SIG_IGN))
		sigaction(number, &t->former, NULL);
	t->is = false;
}

void wf_os_signal_give_all(void)
{
	for (int number = 1; number <= WF_OS_SIGNALS; number++)
		if (taken[number].is)
			wf_os_signal_give(number);
}

int wf_os_probe_number;
static struct sigaction former_probe;
static void (*probe_fn)(int number);

static void on_probe(int number)
{
	int saved = errno;
	probe_fn(number);
	errno = saved;
}

void wf_os_probe_open(void (*fn)(int number))
{
	struct sigaction action = {.sa_handler = on_probe, .sa_flags = SA_RESTART | SA_ONSTACK};
	int number = wf_os_probe_signal();
	sigfillset(&action.sa_mask);
	probe_fn = fn;
	if (sigaction(number, NULL, &former_probe) == 0 && former_probe.sa_handler == SIG_DFL &&
	    sigaction(number, &action, NULL) == 0)
		wf_os_probe_number = number;
}

void wf_os_probe_close(void)
{
	if (wf_os_probe_number)
		sigaction(wf_os_probe_number, &former_probe, NULL);
	wf_os_probe_number = 0;
}

WF_OPAQUE bool wf_os_signal_thread(int id)
{
	return wf_os_probe_number && id && wf_os_probe_send(id, wf_os_probe_number);
}

void wf_os_signal_ignore(int number)
{
	sigaction(number, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

void wf_os_signal_die(int number)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}

int wf_os_signal_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {
		{"off", 0},        {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},
		{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM},
	};
	for (size_t i = 0; i < wf_countof(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].number;
	char *end;
	long number = strtol(name, &end, 10);
	bool good = isdigit((unsigned char)*name) && !*end && (number == 0 || can_be_taken((int)(number < 1000 ? number : 1000)));
	return good ? (int)number : -1;
}

void wf_os_at_fork(void (*fn)(void))
{
	pthread_atfork(NULL, NULL, fn);
}
