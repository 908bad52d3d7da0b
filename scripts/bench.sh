#!/bin/sh
# Measures weft side by side with its peers: in one run, in turn, on the same CPUs; prints medians, spreads and ratios by round.
# What each benchmark is, and how to read the tables: docs/benchmarks.md.
#
# Usage: sh scripts/bench.sh [WHAT]...
#   micro     switch, yield, spawn, fib, skynet, channels, select, ring, locks (bench/micro.txt), with one processor and two
#   waits     a million that wait, a hundred thousand that went deep before, timers
#   memory    memory against coroutines
#   hog       lateness of a tick beside loops, and beside calls that block
#   echo      an echo server, closed loop: 1, 64 and 1,000 connections, pipelined, with two processors, churn
#   http      "Hello, World!": 64 and 1,000 connections, pipelined by 16, with two processors, churn; and under wrk
#   open      echo and http at a fixed rate, latency from when each request was due
#   hogs      an echo server with two loops in its process
#   ladder    echo from 1 to 10,000 connections; the knee
#   idle      memory of idle connections
#   all       all of these, in a good quarter of an hour
# Environment:
#   ROUNDS=5          how often each is run
#   SECONDS_EACH=0.5  how long a server is measured each time
#   RATE=20000        requests a second for open
#   RESULTS=DIR       for raw.txt (every figure, with its round) and plots; build/results unless set
# Peers are built from bench/peers as far as the machine has what they need; the others are named. Nothing is installed for them
# (scripts/setup.sh peers does). Figures of a shared machine are worth their ratios only.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
rounds=${ROUNDS:-5}
third=$(((rounds + 2) / 3)) # of the rounds: for what takes a minute each
seconds=${SECONDS_EACH:-0.5}
rate=${RATE:-20000}
build=${WEFT_BUILD_DIR:-$root/build/bench}
peers=${PEERS:-$root/build/peers}
results=${RESULTS:-$root/build/results}
parts="micro waits memory hog echo http open hogs ladder idle"
servers="weft epoll nginx go uv threads tokio"

work=$(mktemp -d)
out=$work/out
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

. "$root/bench/lib.sh"

build_all() {
	sh "$root/scripts/setup.sh" build
	cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=OFF >/dev/null
	cmake --build "$build" -j 2 >/dev/null
	make -s -C "$root/bench/peers" B="$peers"
	mkdir -p "$results"
}

micro() {
	say_absent micro go threads boost tokio loom
	run_micro_list "$root/bench/micro.txt" "$rounds"
}

waits() {
	say_absent micro go tokio loom
	printf '%s\n' "parked 1000000 -" "parked 100000,1 -" "timers 10000 -" "timers 100000 -" >"$work/list"
	run_micro_list "$work/list" "$third"
}

memory() {
	say_absent micro go tokio loom
	for count in 1000 10000 100000 1000000; do
		echo "parked $count - 1" >"$work/list"
		run_micro_list "$work/list" 1
		awk -v n="$count" '$3 == "parked.rss.p1" { print $1, $2, "parked" n ".MiB", $4 * n / 1048576, "MiB" }' "$out" \
			>>"$work/sums"
		: >"$out"
	done
	cp "$work/sums" "$out"
	cp "$out" "$results/memory.txt"
}

hog() {
	say_absent micro go threads
	for round in $(seq "$third"); do
		for sizes in 0 4 4,0,1 4,0,2 0,64 0,4 0,4,1 0,4,2 0,64,1 0,64,3; do
			run_micro weft 2 hog "$sizes"
			case $sizes in
			4,0,*) continue ;; # ways to compute without a stop that are weft's alone
			esac
			! have go_micro || run_micro go 2 hog "$sizes"
			case $sizes in
			0 | 4) ! have threads_micro || run_micro threads 2 hog "$sizes" ;;
			esac
		done
		for one in weft go threads; do
			[ "$one" = weft ] || have "${one}_micro" || continue
			run_micro "$one" 1 hog 4
		done
	done
}

echo_servers() {
	say_absent echo epoll go uv threads tokio
	for round in $(seq "$rounds"); do
		measure echo1 echo 1 "$servers" -c 1
		measure echo64 echo 1 "$servers" -c 64
		measure echo1000 echo 1 "$servers" -c 1000
		measure echo64x16 echo 1 "$servers" -c 64 -p 16
		loose=yes
		measure echo64.p1 echo 1 weft -c 64
		measure echo64.p2 echo 2 "$servers" -c 64
		loose=
		measure echo_churn echo 1 "$servers" -c 16 --churn
	done
}

http_servers() {
	say_absent http epoll go
	command -v nginx >/dev/null || echo "skipped: nginx: not installed"
	for round in $(seq "$rounds"); do
		measure http64 http 1 "$servers" -c 64
		measure http1000 http 1 "$servers" -c 1000
		measure http64x16 http 1 "$servers" -c 64 -p 16
		loose=yes
		measure http64.p1 http 1 weft -c 64
		measure http64.p2 http 2 "$servers" -c 64
		loose=
		measure http_churn http 1 "$servers" -c 16 --churn
		measure_by_wrk
	done
}

measure_by_wrk() {
	command -v wrk >/dev/null || { echo "skipped: wrk: not installed"; return 0; }
	for one in weft epoll nginx go; do
		start_server "$one" http 1 || continue
		before=$(cpu_ticks)
		taskset -c "$load_cpu" wrk -t 1 -c 64 -d "$(echo "$seconds" | awk '{ print int($1 + 0.999) }')s" --latency \
			"http://127.0.0.1:$port/" >"$work/wrk"
		awk -v ticks="$(($(cpu_ticks) - before))" -v hz="$(getconf CLK_TCK)" '
			function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? t * 1e3 : t * 1e6 }
			$1 == "50%" || $1 == "99%" { print "wrk64.p" $1 + 0, us($2), "us" }
			$2 == "requests" { n = $1 }
			$1 == "Requests/sec:" { print "wrk64.rps", $2, "1/s" }
			END { if (n > 0) print "wrk64.cpu", ticks / hz / n * 1e6, "us" }' "$work/wrk" | as "$one"
		stop_server
	done
}

cpu_ticks() { sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'; }

open_loop() {
	say_absent echo epoll go uv threads tokio
	for round in $(seq "$rounds"); do
		measure "open_echo" echo 1 "$servers" -c 100 -r "$rate"
		measure "open_http" http 1 "$servers" -c 100 -r "$rate"
	done
}

hogs() {
	say_absent echo go
	for round in $(seq "$rounds"); do
		for one in weft go; do
			case $one in
			weft) set -- "$build/bench/echo_hogs" "127.0.0.1:$next_port" 2 ;;
			go) set -- "$peers/go_echo" "$next_port" 1 2 ;;
			esac
			[ -x "$1" ] || continue
			start_command 1 "$@" || continue
			load 1 -c 64 | rows hogs64 | grep -v "\.cpu " | as "$one"
			stop_server
		done
	done
}

ladder() {
	say_absent echo epoll go
	for round in $(seq "$third"); do
		for count in 1 4 16 64 256 1024 4096 10000; do
			measure "ladder$count" echo 1 "weft epoll go" -c "$count"
		done
	done
	cp "$out" "$results/ladder.txt"
}

idle() {
	say_absent echo epoll go uv tokio
	for round in $(seq "$third"); do
		for touch in "" --touch; do
			for one in weft epoll go uv tokio; do
				start_server "$one" echo 1 || continue
				# shellcheck disable=SC2086 -- nothing is no word
				load 1 -c 0 --idle 10000 $touch | idle_rows "idle${touch:+_used}" | as "$one"
				stop_server
			done
		done
		for sizes in 9000 9000,100; do
			run_micro weft 1 idle "$sizes"
		done
	done
}

idle_rows() {
	awk -v name="$1" '
		{ for (i = 1; i <= NF; i++) { split($i, part, "="); v[part[1]] = part[2] } }
		END {
			if (!NR)
				exit
			print name ".rss", v["rss_each"], "bytes"
			print name ".open", v["open_us_each"], "us"
			print name ".cpu", v["srv_cpu_us_each"], "us"
		}'
}

# points WHAT FILE: of figures "NAMENUMBER.WHAT" those with this WHAT, as lines "WHO NUMBER VALUE".
points() {
	sed -n "s/^[0-9]* \([a-z]*\) [a-z]*\([0-9]*\)\.$1 \([^ ]*\) .*/\1 \2 \3/p" "$2"
}

# draw_ladder WHAT NAME OPTION...: against the connections, with the knees.
draw_ladder() {
	points "$1" "$results/ladder.txt" >"$work/points"
	name=$2
	shift 2
	for mark in $(by ladder "$results/ladder.txt" | awk '/knee$/ { print $1 ":" $2 }'); do
		set -- "$@" --mark "$mark"
	done
	python3 "$root/bench/plot.py" --x "connections (ring: the knee)" --log-x "$@" "$results/$name.svg" <"$work/points"
}

# plot WHAT...: of what this run has measured.
plot() {
	command -v python3 >/dev/null || { echo "skipped: plots: no python3"; return 0; }
	for what; do
		case $what in
		ladder)
			draw_ladder rps ladder-throughput --title "echo, one processor: throughput" --y "requests/s"
			draw_ladder p50 ladder-p50 --title "echo, one processor: median latency" --y us --log-y
			draw_ladder p99 ladder-p99 --title "echo, one processor: 99th percentile" --y us --log-y
			;;
		memory)
			points MiB "$results/memory.txt" |
				python3 "$root/bench/plot.py" --title "memory of parked coroutines" --x coroutines \
					--y "resident MiB" --log-x --log-y "$results/memory.svg"
			;;
		esac
	done
}

run() {
	: >"$out"
	: >"$dropped"
	spent "$work/before"
	case $1 in
	micro) title "micro: ns, .p1 with one processor, .p2 with two"; micro ;;
	waits) title "waits: a million parked, a hundred thousand parked after 6 KB of stack, timers"; waits ;;
	memory) title "memory: resident MiB against parked coroutines"; memory ;;
	hog) title "hog: how late a tick of 1 ms is, two processors; beside 4 loops, 64 calls that block"; hog ;;
	echo) title "echo: 64 bytes; cpu is the server's, per request"; echo_servers ;;
	http) title "http: cpu is the server's, per request"; http_servers ;;
	open) title "open loop: $rate requests/s over 100 connections, latency from when each was due"; open_loop ;;
	hogs) title "hogs: echo at 64 connections with two loops in the process"; hogs ;;
	ladder) title "ladder: echo, one processor; medians, and how many times more requests/s weft answers"; ladder ;;
	idle) title "idle: 10,000 connections to an echo server; 9,000 within a process, with 100 messages a second"; idle ;;
	esac
	case $1 in
	ladder) by ladder "$out" ;;
	*) table ;;
	esac
	cat "$dropped"
	disturbed "$work/before" meanwhile
	sed "s/^/$1 /" "$out" >>"$results/raw.txt"
}

case ${1:-all} in
all) set -- $parts ;;
esac
for what; do
	case " $parts " in
	*" $what "*) ;;
	*) sed -n 's/^# \{0,1\}//; /^Usage/,/^Environment/p' "$0" >&2; exit 2 ;;
	esac
done

build_all
: >"$results/raw.txt"
printf '%s; %s rounds, %s s\n' "$(uname -srm)" "$rounds" "$seconds"
echo 'A cell: median, half the range in per cent; how many times better weft is by round ("1.50x"), half the range in per cent.'
echo '"?": the load was late itself. Steal, and what others took, are of the CPU time of the machine.'
spent "$work/start"
sleep 2
disturbed "$work/start" "before, at rest"
spent "$work/start"
for what; do
	run "$what"
done
echo
disturbed "$work/start" "the whole run"
title "aims (bench/aims.txt)"
by aims "$results/raw.txt" "$root/bench/aims.txt"
title "plots and raw.txt are in $results"
plot "$@"
