#!/bin/sh
# Shows weft at work: builds it, starts the example servers on free ports of the loopback interface, talks to them, puts load on
# them for a few seconds, and ends them. Installs what is missing. Builds into build/demo (or $WEFT_BUILD_DIR). Needs no
# input, ends by itself, and ends with 0 only if everything worked.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${WEFT_BUILD_DIR:-$root/build/demo}
work=$(mktemp -d)
servers=

clean_up() {
	status=$?
	for pid in $servers; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	[ "$status" -eq 0 ] || show_logs
	rm -rf "$work"
	[ "$status" -eq 0 ] || echo "demo: FAILED" >&2
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

show_logs() {
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		echo "--- $(basename "$log"):" >&2
		tail -n 40 "$log" >&2
	done
}

say() { printf '\n== %s\n' "$*"; }

fail() {
	echo "demo: $*" >&2
	exit 1
}

# quietly NAME COMMAND...: its output goes to a log, which is shown if it fails.
quietly() {
	log=$work/$1.log
	shift
	"$@" >"$log" 2>&1 || fail "failed: $*"
	rm "$log"
}

# show TEXT COMMAND...: prints TEXT as the command, and what the command says; keeps that in $work/said.
show() {
	printf '$ %s\n' "$1"
	shift
	"$@" >"$work/said" 2>&1 || { cat "$work/said"; fail "failed: $*"; }
	cat "$work/said"
	[ -z "$(tail -c 1 "$work/said")" ] || echo
}

# said TEXT [COUNT]: what was shown last has that many lines with TEXT (1 unless given).
said() {
	found=$(grep -c "$1" "$work/said" || true)
	[ "$found" -eq "${2:-1}" ] || fail "expected ${2:-1} lines with \"$1\", found $found"
}

# start NAME ARGUMENT...: starts that example; its process id goes to $pid, the address it listens on to $address.
start() {
	name=$1
	shift
	printf '$ %s %s &\n' "$name" "$*"
	# timeout hands SIGTERM on, and sees to it that nothing outlives the demo by more than 10 s.
	timeout -k 10 300 "$build/examples/$name" "$@" >"$work/$name.out" 2>"$work/$name.log" &
	pid=$!
	servers="$servers $pid"
	tries=0
	until address=$(sed -n 's/^listening on //p' "$work/$name.out") && [ -n "$address" ]; do
		kill -0 "$pid" 2>/dev/null || fail "$name ended at once"
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || fail "$name does not listen after 10 s"
		sleep 0.1
	done
	cat "$work/$name.out"
}

# stop NAME PID: SIGTERM, then it must end by itself with status 0.
stop() {
	printf '$ kill -TERM %s\n' "$1"
	kill -TERM "$2"
	status=0
	wait "$2" || status=$?
	servers=$(echo "$servers" | sed "s/ $2//")
	[ "$status" -eq 0 ] || fail "$1 ended with status $status"
	echo "$1 ended with status 0"
}

get() { show "curl -i $*" curl -sS -m 20 -i "$@"; }

pipeline() {
	printf 'GET / HTTP/1.1\r\nHost: demo\r\n\r\nGET /bytes/26 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n' |
		timeout 20 nc "$host" "$port"
}

echo_lines() { printf 'warp\nweft\n' | timeout 20 nc -N "${echo_address%:*}" "${echo_address##*:}"; }

# A few seconds of requests, with whichever program is here.
load() {
	if command -v wrk >/dev/null 2>&1; then
		show "wrk -t 2 -c 64 -d 3s --latency $1" timeout 60 wrk -t 2 -c 64 -d 3s --latency "$1"
		said 'Requests/sec: *[1-9]'
		said 'Non-2xx\|Socket errors' 0
	else
		show "ab -k -n 50000 -c 64 $1" timeout 60 ab -q -k -n 50000 -c 64 "$1"
		said 'Requests per second: *[1-9]'
		said 'Failed requests: *0$'
	fi
}

say "Tools and build"
sh "$root/scripts/setup.sh" demo
quietly configure cmake -S "$root" -B "$build" -DWEFT_TESTS=OFF -DWEFT_BENCH=OFF
quietly build cmake --build "$build" -j "$(nproc)"
echo "built in $build"

say "Two servers, each a few lines of blocking code in a coroutine per connection"
start echo --listen 127.0.0.1:0
echo_pid=$pid echo_address=$address
start http --listen 127.0.0.1:0
http_pid=$pid http_address=$address
host=${http_address%:*} port=${http_address##*:}
url=http://$http_address

say "HTTP: a page"
get "$url/"
said '^HTTP/1.1 200'

say "HTTP: the head of a large answer, without the answer"
get -I "$url/bytes/1000000"
said '^HTTP/1.1 200'
said '^Content-Length: 1000000'

say "HTTP: what is not there"
get "$url/nothing/here"
said '^HTTP/1.1 404'

say "HTTP: a body in chunks comes back in chunks"
get -H Transfer-Encoding:chunked -d warp+weft "$url/echo"
said '^HTTP/1.1 200'
said '^warp+weft'

say "HTTP: two requests on one connection, the second sent before the first answer"
show "printf 'GET / ...GET /bytes/26 ...Connection: close...' | nc $host $port" pipeline
said 'HTTP/1.1 200' 2
said '^abcdefghijklmnopqrstuvwxyz'

say "Echo: two lines there, two lines back"
show "printf 'warp\\nweft\\n' | nc -N ${echo_address%:*} ${echo_address##*:}" echo_lines
said '^warp$'
said '^weft$'

say "Load: 64 connections for a few seconds"
load "$url/"

say "The end: both finish what they do and go"
stop echo "$echo_pid"
stop http "$http_pid"

printf '\ndemo: everything worked\n'
