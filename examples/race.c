/* A lost update, and three cures. Several coroutines pay into one account.
 *
 *     race lost      each reads the balance, and writes it back increased: what others paid in between is lost. Built with
 *                    -fsanitize=thread, and with more than one processor, the program says where
 *     race mutex     reads and writes under a mutex
 *     race atomic    adds in one step
 *     race actor     sends what it pays to the one coroutine to which the account belongs
 *
 * Prints what was paid and what is there; the exit status is 1 if it is not the same. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

enum { PAYERS = 8, PAYMENTS = 20000 };

static long balance;

/* Now and then the payer is away between the two steps, as it would be in a call that waits. */
static void pay_in_two_steps(int i)
{
	long seen = balance;
	if (i % 64 == 0)
		weft_yield();
	balance = seen + 1;
}

static int pay_unprotected(void *arg)
{
	(void)arg;
	for (int i = 0; i < PAYMENTS; i++)
		pay_in_two_steps(i);
	return 0;
}

static struct weft_mutex mutex;

static int pay_with_mutex(void *arg)
{
	(void)arg;
	for (int i = 0; i < PAYMENTS; i++) {
		weft_mutex_lock(&mutex);
		pay_in_two_steps(i);
		weft_mutex_unlock(&mutex);
	}
	return 0;
}

static _Atomic long atomic_balance;

static int pay_atomically(void *arg)
{
	(void)arg;
	for (int i = 0; i < PAYMENTS; i++) {
		atomic_balance++;
		if (i % 64 == 0)
			weft_yield();
	}
	return 0;
}

static struct weft_chan *payments;

/* Nobody else touches the balance; what it is in the end is seen by whoever waits for this coroutine. */
static int keep_account(void *arg)
{
	int amount, result;
	(void)arg;
	while ((result = weft_chan_recv(payments, &amount)) == 1)
		balance += amount;
	return result;
}

static int pay_to_actor(void *arg)
{
	int result = 0;
	(void)arg;
	for (int i = 0; i < PAYMENTS && result == 0; i++)
		result = weft_chan_send(payments, &(int){ 1 });
	return result;
}

static int pay_all(weft_fn *pay)
{
	struct weft_scope scope;
	int result = weft_scope_open(&scope, NULL);
	if (result < 0)
		return result;
	for (int i = 0; i < PAYERS && result == 0; i++)
		result = weft_scope_go(&scope, pay, NULL);
	int failed = weft_scope_close(&scope);
	return result == 0 ? failed : result;
}

static int pay_all_to_actor(void)
{
	struct weft_co *keeper;
	int kept = 0, result = weft_chan_create(&payments, sizeof(int), 64);
	if (result == 0 && (result = weft_spawn(&keeper, NULL, keep_account, NULL)) == 0) {
		result = pay_all(pay_to_actor);
		weft_chan_close(payments);
		if (weft_join(keeper, &kept) != 0 || kept != 0)
			result = 1;
	}
	weft_chan_destroy(payments);
	return result;
}

static int run(void *arg)
{
	const char *mode = arg;
	int result = strcmp(mode, "actor") == 0 ? pay_all_to_actor() :
		     strcmp(mode, "mutex") == 0 ? pay_all(pay_with_mutex) :
		     strcmp(mode, "atomic") == 0 ? pay_all(pay_atomically) : pay_all(pay_unprotected);
	if (strcmp(mode, "atomic") == 0)
		balance = atomic_balance;
	if (result != 0)
		fprintf(stderr, "race: %s\n", weft_strerror(result));
	printf("paid %d, balance %ld\n", PAYERS * PAYMENTS, balance);
	return result != 0 || balance != PAYERS * PAYMENTS;
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "lost", "mutex", "atomic", "actor" };
	for (int i = 0; argc == 2 && i < 4; i++)
		if (strcmp(argv[1], modes[i]) == 0)
			return weft_run(NULL, run, argv[1]);
	fputs("usage: race lost|mutex|atomic|actor\n", stderr);
	return 2;
}
