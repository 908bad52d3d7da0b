/* Prime numbers, by a sieve that grows: a coroutine counts, and each prime that comes out at the end of the row adds a coroutine
 * there that lets no multiple of that prime through.
 *
 *     sieve [COUNT]        prints the first COUNT primes, 25 unless given */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

struct filter {
	long prime;
	struct weft_chan *in, *out;
};

static int count(void *out)
{
	int result = 0;
	for (long n = 2; result == 0; n++)
		result = weft_chan_send(out, &n);
	return result;
}

static int sift(void *arg)
{
	const struct filter *f = arg;
	int result;
	long n;
	while ((result = weft_chan_recv(f->in, &n)) == 1)
		if (n % f->prime != 0 && (result = weft_chan_send(f->out, &n)) != 0)
			break;
	return result;
}

/* Reads a prime at the end of the row, prints it, and puts its filter there. */
static int grow(struct weft_scope *row, struct filter *f)
{
	int result = weft_chan_recv(f->in, &f->prime);
	if (result < 0 || (result = weft_chan_create(&f->out, sizeof(long), 0)) < 0)
		return result;
	printf("%ld\n", f->prime);
	return weft_scope_go(row, sift, f);
}

static int sieve(void *arg)
{
	long primes = *(long *)arg;
	struct filter *filters = calloc((size_t)primes + 1, sizeof *filters);
	struct weft_chan *end = NULL;
	struct weft_scope row;
	int result = filters ? weft_chan_create(&end, sizeof(long), 0) : 1;
	if (result == 0 && (result = weft_scope_open(&row, NULL)) == 0) {
		result = weft_scope_go(&row, count, end);
		for (long i = 0; i < primes && result == 0; i++) {
			filters[i].in = i == 0 ? end : filters[i - 1].out;
			result = grow(&row, &filters[i]);
		}
		weft_scope_cancel(&row, 0); /* ends them all */
		if (weft_scope_close(&row) == 0)
			fprintf(stderr, "sieve: nobody was at work\n");
	}
	for (long i = 0; i < primes && filters; i++)
		weft_chan_destroy(filters[i].out);
	weft_chan_destroy(end);
	free(filters);
	return result;
}

int main(int argc, char **argv)
{
	long primes = argc > 1 ? strtol(argv[1], NULL, 10) : 25;
	if (argc > 2 || primes < 1 || primes > 1000000) {
		fputs("usage: sieve [COUNT]\n", stderr);
		return 2;
	}
	int result = weft_run(NULL, sieve, &primes);
	if (result != 0)
		fprintf(stderr, "sieve: %s\n", weft_strerror(result));
	return result != 0;
}
