#!/bin/sh
# Measures weft side by side with its peers: in one run, in turn, on the same CPUs; prints medians, spreads and ratios.
#
# Usage: sh scripts/bench.sh [micro|hog|echo|hogs|http|all]
#   ROUNDS=5        how often each is run
#   SECONDS_EACH=3  how long a server is under load each time
#   PEERS=DIR       folder with the peers' programs (gomicro, cmicro, goecho, goecho_hogs, gohttp, epoll_echo, epoll_http) and the
#                   load generator echoload; what is not there is skipped, and named
#   hog: lateness of a 1 ms tick beside four loops, on two processors; hogs: an echo server with two loops in its process
# Servers run on CPU 0 with one processor, the load on CPU 1. Figures of a shared machine are worth their ratios only.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
what=${1:-all}
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-3}
peers=${PEERS:-$root/build/peers}
build=${WEFT_BUILD_DIR:-$root/build/bench}
out=$(mktemp)
trap 'rm -f "$out"' EXIT INT TERM

sh "$root/scripts/setup.sh" build
cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DWEFT_TESTS=OFF >/dev/null
cmake --build "$build" -j 2 >/dev/null

have() {
	[ -x "$peers/$1" ] && return 0
	echo "skipped: $1 is not in $peers" >&2
	return 1
}

# Reads lines "WHO NAME VALUE UNIT"; for each name, everybody's median and spread, and the others' ratio to weft (bigger: weft is
# better, for costs).
table() {
	sort -k2,2 -k1,1 -k3,3g "$1" | awk '
	function finish(  m) {
		if (!n) return
		m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
		text[who] = sprintf("%s %.4g (%.4g..%.4g)", who, m, v[1], v[n])
		median[who] = m
		order[++k] = who
		n = 0
	}
	function line(  i, s) {
		if (!k) return
		s = sprintf("%-28s %-6s", name, unit)
		for (i = 1; i <= k; i++) {
			s = s "  " text[order[i]]
			if (order[i] != "weft" && ("weft" in median) && median["weft"] > 0)
				s = s sprintf(" = %.2fx", median[order[i]] / median["weft"])
		}
		print s
		k = 0
		delete median
	}
	{
		if ($2 != name || $1 != who) finish()
		if ($2 != name) line()
		who = $1; name = $2; unit = $4; v[++n] = $3
	}
	END { finish(); line() }'
}

as() {
	sed "s/^/$1 /" >>"$out"
}

micro() {
	: >"$out"
	for round in $(seq "$rounds"); do
		for procs in 1 2; do
			WEFT_MAXPROCS=$procs
			export WEFT_MAXPROCS
			for bench in "yield 2" "yield 1000 20000" "spawn 3000000 1000" "spawn 3000000 1" "fib 25" \
				"skynet" "chain" "powser" "mutex" "mutex_contended" "cond_pingpong" "chan_pingpong" \
				"chan_spsc" "chan_mpmc" "ring" "select" \
				"select 6000000 128" "handlers 200 4000 8" "sleep 50"; do
				# shellcheck disable=SC2086 -- the words are name and arguments
				"$build"/bench/$bench 2>/dev/null | sed 's/^spawn1000\./spawn./' | as weft
			done
			have gomicro 2>/dev/null || continue
			for bench in yield2 yield1000 spawn fib_wg skynet mutex mutex_cont pingpong \
				chan_spsc chan_mpmc ring select select_buf; do
				"$peers/gomicro" -procs $procs $bench 2>/dev/null | as go
			done
		done
	done
	unset WEFT_MAXPROCS
	have gomicro || true
	echo "== micro: $rounds rounds, one and two processors (.p1 .p2)"
	table "$out"
}

# Lateness of a tick beside four hogs; peers know one kind of hog, and do not tell the first gap.
hog() {
	: >"$out"
	for round in $(seq "$rounds"); do
		for kind in 0 1 2; do
			WEFT_MAXPROCS=2 "$build/bench/hog" 4 0 $kind | sed 's/^tick_hogs4_blocked0/hog/' | as weft
		done
		! have gomicro 2>/dev/null || "$peers/gomicro" -procs 2 hog 2>/dev/null | sed -n 's/^hog\.late\./hog_/p' | as go
		! have cmicro 2>/dev/null || taskset -c 0,1 "$peers/cmicro" hog 2>/dev/null |
			sed -n 's/^hog\.late\.\(.*\)\.c2/hog_\1.p2/p' | as pthreads
	done
	have gomicro || true
	have cmicro || true
	echo "== hog: $rounds rounds; a tick every ms beside four loops (empty, _calls, _weft), two processors"
	table "$out"
}

# serve WHO CONNECTIONS LOAD-OPTION COMMAND...: one server under load, on CPU 0.
serve() {
	who=$1 connections=$2 option=$3
	shift 3
	WEFT_MAXPROCS=1 taskset -c 0 "$@" >/dev/null 2>&1 &
	pid=$!
	sleep 0.3
	# shellcheck disable=SC2086 -- no option is no word
	result=$(taskset -c 1 "$peers/echoload" -q -c "$connections" $option -d "$seconds" --pid "$pid" "$port") ||
		echo "load on $who failed" >&2
	kill "$pid" && wait "$pid" 2>/dev/null || true
	for key in rps srv_cpu_per_1M p50_us p99_us; do
		value=$(printf '%s\n' "$result" | tr ' ' '\n' | sed -n "s/^$key=//p")
		[ -z "$value" ] || echo "${key}_c$connections $value -" | as "$who"
	done
	port=$((port + 1))
}

hogs() {
	have echoload || return 0
	[ -x "$peers/goecho_hogs" ] || ! command -v go >/dev/null ||
		go build -o "$peers/goecho_hogs" "$root/bench/peers/echo_hogs.go"
	: >"$out"
	port=$((20000 + $$ % 10000))
	for round in $(seq "$rounds"); do
		serve weft 64 "" "$build/bench/echo_hogs" "127.0.0.1:$port" 2
		! have goecho_hogs 2>/dev/null || serve go 64 "" "$peers/goecho_hogs" "$port" 1 2
	done
	have goecho_hogs || true
	echo "== hogs: $rounds rounds of ${seconds} s; echo at 64 connections with two loops in the process; latency in us"
	table "$out"
}

servers() {
	kind=$1 option=$2
	have echoload || return 0
	: >"$out"
	port=$((20000 + $$ % 10000))
	for round in $(seq "$rounds"); do
		for connections in 64 1000; do
			serve weft $connections "$option" "$build/examples/$kind" --listen "127.0.0.1:$port"
			! have "epoll_$kind" 2>/dev/null || serve epoll $connections "$option" "$peers/epoll_$kind" "$port"
			! have "go$kind" 2>/dev/null || serve go $connections "$option" "$peers/go$kind" "$port" 1
		done
	done
	echo "== $kind: $rounds rounds of ${seconds} s; CPU seconds of the server per million requests, latency in us"
	table "$out"
}

case $what in
micro) micro ;;
hog) hog ;;
hogs) hogs ;;
echo) servers echo "" ;;
http) servers http --http ;;
all) micro; hog; servers echo ""; hogs; servers http --http ;;
*) echo "usage: bench.sh [micro|hog|echo|hogs|http|all]" >&2; exit 2 ;;
esac
