#!/bin/sh
# Instructions per operation, by callgrind: a guard against getting slower that no clock disturbs. Compares with
# bench/instructions.txt; --record writes that file anew, for the change that means to move a number.
#
# Usage: sh bench/instructions.sh [--record]
#   MARGIN=3            per cent that a number may grow; what has shrunk by as much is said, so that it gets recorded
#   WEFT_BUILD_DIR=DIR  build/guard unless set
#
# A program runs twice, with few operations and with many; the difference of the instructions over the difference of the operations
# is what one costs, and what a process does once drops out. One processor. Compilers differ by more than the margin: with another
# than the recorded one nothing is compared (exit status 77).
#
# Under valgrind instructions take fifty times longer, and what is done every so many microseconds would count fifty times too
# often, and more on a busy machine. So time stands still (still_clock.c): the scheduler looks around as seldom as it ever
# does, once in 1,024 dispatches, and a sleep ends once nothing else is left to do.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${WEFT_BUILD_DIR:-$root/build/guard}
record=$root/bench/instructions.txt
margin=${MARGIN:-3}

# name, operations that each unit of the size makes, few, many, program with @ for the size
operations='switch           1  20000  220000 switch @
yield            2  10000  410000 yield 2 @
spawn_join       1   5000   55000 spawn @ 1
spawn_batch      1  20000  120000 spawn @ 1000
mutex            1  50000  550000 mutex @
park_unpark      2   5000  205000 sem_pingpong @
channel_trip     1   5000  305000 chan_pingpong @
channel_buffered 1  10000  110000 chan_spsc @
select           1   4000   44000 select @ 0
timer            1   2000   12000 sleep 50 @
echo_request     2   1000   21000 net_pingpong @'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

command -v valgrind >/dev/null 2>&1 || { echo "skipped: no valgrind"; exit 77; }
cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=OFF -DWEFT_EXAMPLES=OFF >/dev/null
cmake --build "$build" -j 2 >/dev/null
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
with="$(uname -m), $("$compiler" --version | sed -n 1p)"

if [ "${1:-}" != --record ] && ! grep -qxF "# $with" "$record"; then
	echo "skipped: not recorded with $with"
	exit 77
fi

still() { LD_PRELOAD=$build/bench/still_clock.so WEFT_MAXPROCS=1 "$@"; }

still "$build/bench/sleep" 50 10 | grep -q 'max.* 50\.000 us$' || { echo "the clock does not stand still"; exit 1; }

# count PROGRAM ARGUMENT...: instructions of all threads but the monitor, which looks every so often whatever the program does.
count() {
	program=$1
	shift
	rm -f "$work"/*
	still valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$work/out" "$build/bench/$program" "$@" \
		>/dev/null 2>&1
	grep -L monitor_main "$work"/out-* | xargs sed -n 's/^totals: //p' | awk '{ sum += $1 } END { print sum }'
}

measured=$(printf '%s\n' "$operations" | while read -r name each few many command; do
	# shellcheck disable=SC2046 -- words
	a=$(count $(echo "$command" | sed "s/@/$few/"))
	# shellcheck disable=SC2046
	b=$(count $(echo "$command" | sed "s/@/$many/"))
	echo "$name ${a:-0} ${b:-0} $(((many - few) * each))" | awk '{ printf "%-16s %10.1f\n", $1, ($3 - $2) / $4 }'
done)

if [ "${1:-}" = --record ]; then
	{
		echo "# Instructions per operation: sh bench/instructions.sh --record"
		echo "# $with"
		printf '%s\n' "$measured"
	} >"$record"
	cat "$record"
	exit 0
fi

printf '%s\n' "$measured" | awk -v margin="$margin" '
	FNR == NR { if (!/^#/) recorded[$1] = $2; next }
	{
		change = recorded[$1] > 0 ? 100 * ($2 / recorded[$1] - 1) : 100
		verdict = change > margin ? "MORE" : change < -margin ? "fewer: record it" : ""
		printf "%-16s %10.1f recorded %10.1f %+6.1f %% %s\n", $1, $2, recorded[$1], change, verdict
		seen[$1] = 1
		if (change > margin || $2 <= 0)
			failed = 1
	}
	END {
		for (name in recorded)
			if (!(name in seen)) {
				print name ": recorded, but not measured"
				failed = 1
			}
		exit failed
	}' "$record" -
