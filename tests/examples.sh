#!/bin/sh
# The examples that are no servers: what they print, and how they end.
#
# Usage: examples.sh sieve|race|supervised|gateway|patterns sanitize=[address|thread] COMMAND...
set -u
what=$1 sanitize=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failures=0

# try STATUS COMMAND...: runs it; its output is in $work/out
try() {
	expected=$1
	shift
	status=0
	timeout 100 "$@" >"$work/out" 2>"$work/err" || status=$?
	[ "$status" -eq "$expected" ] && return
	echo "$*: ended with $status, not $expected"
	cat "$work/out" "$work/err"
	failures=$((failures + 1))
}

# said FILE TEXT: a line of it matches
said() {
	grep -q "$2" "$work/$1" && return
	echo "not in what it printed: $2"
	cat "$work/$1"
	failures=$((failures + 1))
}

case $what in
sieve)
	try 0 "$@"
	[ "$(tr '\n' ' ' <"$work/out")" = "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71 73 79 83 89 97 " ] ||
		said out "the first 25 primes"
	try 0 "$@" 300
	[ "$(tail -n 1 "$work/out")" = 1987 ] || said out "1987, the 300th prime"
	try 2 "$@" 0
	;;
race)
	case $sanitize in
	*thread*)
		# TSan sees it where two threads do it, for which a busy machine may need more than one run.
		export WEFT_MAXPROCS=4 TSAN_OPTIONS="exitcode=66"
		for again in 1 2 3 4 5 6 7 8 9; do
			status=0
			timeout 100 "$@" lost >"$work/out" 2>"$work/err" || status=$?
			[ "$status" -ne 66 ] || break
		done
		[ "$status" -eq 66 ] || said err "a report, in $again runs"
		said err "WARNING: ThreadSanitizer: data race"
		said err "pay_in_two_steps"
		;;
	*)
		try 1 "$@" lost
		said out "^paid 160000, balance [0-9]"
		;;
	esac
	for cure in mutex atomic actor; do
		try 0 "$@" $cure
		said out "^paid 160000, balance 160000$"
	done
	try 2 "$@" luck
	;;
supervised)
	try 0 "$@"
	said out "^18 done, 2 broken, 2 restarts$"
	said out "^worker [123]: job 7 is broken$"
	try 0 "$@" 1000
	said out "^858 done, 142 broken, 142 restarts$"
	try 1 "$@" 1000 3
	said out ", 4 broken, 3 restarts$"
	said err "failed too often"
	try 2 "$@" 0
	;;
gateway)
	# They wait together, or, with one client, never.
	try 0 "$@" --wait 100-150 --work 1 --rate 100 --clients 40 --seconds 1
	said out ", 0 wrong$"
	said out " \([2-9]\|[1-4][0-9]\) waited at a time"
	try 0 "$@" --wait 20 --work 1 --rate 100 --clients 1 --seconds 1
	said out " 1 waited at a time, 0 wrong$"
	try 2 "$@" --wait 20-10
	try 2 "$@" --clients
	;;
patterns)
	try 0 "$@" --ms 250 --heavy-us 2000
	for model in basic multi-reader worker-pool coroutines; do
		for load in alone heavy; do
			least=[1-9]
			[ "$model $load" != "basic heavy" ] || least=[0-9] # it may be the first that is served, and does not end
			said out "^$model  *$load  *$least[0-9]* answers .*p99  *[1-9]"
		done
	done
	try 0 "$@" --ms 100 coroutines
	[ "$(wc -l <"$work/out")" -eq 2 ] || said out "two lines"
	try 2 "$@" coroutine
	;;
esac
exit $((failures != 0))
