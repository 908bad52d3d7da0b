#!/bin/sh
# examples/http with TLS: openssl s_client, curl, wrk. Each is left out, by name, where it is not installed.
#
# Usage: http_tls.sh YES-OR-NO COMMAND...: whether TLS was built in; how to run the server
set -u
export WEFT_STRESS_SEED="${WEFT_STRESS_SEED:-1}" # else a stress build tells its seed where we look for complaints
built_in=$1
shift
command=$*

dir=$(mktemp -d) || exit 1
pid=
failures=0

finish() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
	echo "FAIL  $*"
	failures=$((failures + 1))
}

# same WHAT WANTED GOT
same() {
	if [ "$2" = "$3" ]; then
		echo "ok    $1"
	else
		fail "$1: $3, not $2"
	fi
}

has() {
	command -v "$1" >/dev/null && return 0
	echo "skip  $1 is not installed"
	return 1
}

# start OPTION...: sets pid, port
start() {
	: >"$dir/out"
	# shellcheck disable=SC2086
	$command --tls 127.0.0.1:0 --cert "$dir/cert" --key "$dir/key" "$@" >"$dir/out" 2>"$dir/err" &
	pid=$!
	tries=0
	until grep -q '^listening on .* with TLS' "$dir/out"; do
		tries=$((tries + 1))
		kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 300 ] || {
			fail "the server did not start: $(cat "$dir/err")"
			exit 1
		}
		sleep 0.1
	done
	port=$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9]*\) with TLS$/\1/p' "$dir/out")
}

# stop NAME: it must end in order, and quietly
stop() {
	kill -TERM "$pid"
	wait "$pid"
	same "$1: the server ends" "0 " "$? $(cat "$dir/err")"
	pid=
}

# client OPTION...: s_client, what it says about the session
client() {
	timeout 20 openssl s_client -connect "127.0.0.1:$port" "$@" 2>&1
}

# ask TEXT OPTION...: says it, and waits for the server to end the connection
ask() {
	text=$1
	shift
	# shellcheck disable=SC2059
	printf "$text" | client -quiet "$@"
}

try_openssl() {
	start
	same "TLS 1.2, resumed" "New Reused " "$(for way in sess_out sess_in; do
		client -tls1_2 -$way "$dir/session" </dev/null | sed -n 's/^\(New\|Reused\), TLSv1.2.*/\1/p' | tr '\n' ' '
	done)"
	get='GET /bytes/5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
	ask "$get" -tls1_3 -sess_out "$dir/session" >/dev/null # its tickets come behind the handshake
	same "TLS 1.3, resumed" Reused \
		"$(client -tls1_3 -sess_in "$dir/session" </dev/null | sed -n 's/^\(New\|Reused\), TLSv1.3.*/\1/p')"
	same "TLS 1.1 is refused" 1 "$(client -tls1_1 -cipher ALL@SECLEVEL=0 </dev/null | grep -c 'alert protocol version')"
	same "ALPN" 1 "$(client -alpn http/1.1 </dev/null | grep -c '^ALPN protocol: http/1.1')"
	same "ALPN: another protocol is refused" 1 "$(client -alpn h2 </dev/null | grep -c 'alert no application protocol')"
	ask "$get" >"$dir/said"
	same "closed in order" "0 abcde" "$(grep -c 'unexpected eof' "$dir/said") $(tail -n 1 "$dir/said")"
	same "no renegotiation" 1 "$({ printf 'R\n'; sleep 1; } | client -tls1_2 | grep -c ':no renegotiation')"
	stop openssl
	start --header-timeout 0.3
	has nc && same "half a handshake" 0 "$(printf '\026\003\001' | timeout 20 nc 127.0.0.1 "$port" >/dev/null; echo $?)"
	stop "half a handshake"
}

try_curl() {
	get() { curl -sk --max-time 20 "$@"; }
	dd if=/dev/zero bs=1000 count=3001 2>/dev/null | tr '\0' 'x' >"$dir/root/big"
	start --root "$dir/root" --listen 127.0.0.1:0
	url=https://127.0.0.1:$port
	get "$url/big" | cmp -s - "$dir/root/big" || fail "curl: a file"
	get --data-binary @"$dir/root/big" "$url/echo" | cmp -s - "$dir/root/big" || fail "curl: there and back"
	same "curl: a hundred on one connection" 99 \
		"$(get -v "$url/bytes/[1-100]" 2>&1 >/dev/null | grep -c 'Re-using existing connection')"
	same "curl: no TLS" 000 "$(get -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/bytes/1")"
	plain=$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9]*\)$/\1/p' "$dir/out")
	same "curl: beside it, without TLS" abc "$(get "http://127.0.0.1:$plain/bytes/3")"
	stop curl
}

# Both ways at once: one coroutine reads from the session while another writes to it.
try_proxy() {
	start --listen 127.0.0.1:0
	above=$pid
	start --proxy "/=http://127.0.0.1:$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9]*\)$/\1/p' "$dir/out")"
	get -H 'Transfer-Encoding: chunked' --data-binary @"$dir/root/big" "https://127.0.0.1:$port/echo" |
		cmp -s - "$dir/root/big" || fail "proxy: there and back"
	same "proxy: small ones" 5050 "$(get "https://127.0.0.1:$port/bytes/[1-100]" | wc -c | tr -d ' ')"
	stop proxy
	pid=$above
	stop "the server above"
}

# The keys of tickets pass from one process to the next.
try_reload() {
	start --procs 1
	client -tls1_2 -sess_out "$dir/session" </dev/null >/dev/null
	kill -HUP "$pid"
	same "reload: sessions live on" 10 "$(for i in 1 2 3 4 5 6 7 8 9 10; do
		client -tls1_2 -sess_in "$dir/session" </dev/null
	done | grep -c '^Reused, TLSv1.2')"
	stop reload
}

try_wrk() {
	start
	wrk -t 1 -c 32 -d 1 "https://127.0.0.1:$port/" >"$dir/wrk" 2>&1 || fail "wrk: $(cat "$dir/wrk")"
	grep -q 'Socket errors\|Non-2xx' "$dir/wrk" && fail "wrk: $(cat "$dir/wrk")"
	same "wrk: requests" 1 "$(grep -c '^ *[1-9][0-9]* requests in ' "$dir/wrk")"
	stop wrk
}

# refused WANTED OPTION...: it says so, and ends with 2
refused() {
	wanted=$1
	shift
	# shellcheck disable=SC2086
	$command "$@" >/dev/null 2>"$dir/err"
	same "refused: $wanted" "2 1" "$? $(grep -c -e "$wanted" "$dir/err")"
}

mkdir "$dir/root"
refused '--cert and --key are missing' --tls 127.0.0.1:0
if [ "$built_in" = no ]; then
	refused 'TLS was not built in' --tls 127.0.0.1:0 --cert x --key y
	[ "$failures" -eq 0 ]
	exit
fi
refused 'No such file' --tls 127.0.0.1:0 --cert "$dir/none" --key "$dir/none"
has openssl || exit 77
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-keyout "$dir/key" -out "$dir/cert" 2>/dev/null || exit 1
try_openssl
try_reload
has curl && try_curl && try_proxy
has wrk && try_wrk
[ "$failures" -eq 0 ]
