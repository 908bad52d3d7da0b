#!/bin/sh
# examples/http with the clients that people have: curl, nc, wrk, ab, h2load, Chromium, and strace to count its system calls. Each
# is left out, by name, where it is not installed or can't work.
#
# Usage: http_clients.sh COMMAND...: how to run the server
set -u
export WEFT_STRESS_SEED="${WEFT_STRESS_SEED:-1}" # else a stress build tells its seed where we look for complaints

dir=$(mktemp -d) || exit 1
pid=
failures=0
ran=0

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

# start OPTION...: with the command in $command; sets pid, port, url
start() {
	: >"$dir/out"
	# shellcheck disable=SC2086
	$command --listen 127.0.0.1:0 "$@" >"$dir/out" 2>"$dir/err" &
	pid=$!
	tries=0
	until grep -q '^listening on ' "$dir/out"; do
		tries=$((tries + 1))
		kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 300 ] || {
			fail "the server did not start: $(cat "$dir/err")"
			exit 1
		}
		sleep 0.1
	done
	port=$(sed -n '1s/^listening on 127\.0\.0\.1://p' "$dir/out")
	url=http://127.0.0.1:$port
}

# stop NAME: it must end in order, and quietly
stop() {
	kill -TERM "$pid"
	wait "$pid"
	same "$1: the server ends" "0 " "$? $(cat "$dir/err")"
	pid=
}

# has PROGRAM: whether it is there
has() {
	command -v "$1" >/dev/null && {
		ran=$((ran + 1))
		return 0
	}
	echo "skip  $1 is not installed"
	return 1
}

# ---- curl ---------------------------------------------------------------------------------------------------------------

try_curl() {
	get() { curl -s --max-time 20 "$@"; }

	mkdir "$dir/root" "$dir/root/sub"
	printf 'hello\n' >"$dir/root/index.html"
	dd if=/dev/zero bs=1000 count=3001 2>/dev/null | tr '\0' 'x' >"$dir/big"
	cp "$dir/big" "$dir/root/big.bin"
	ln -s "$dir/big" "$dir/root/out"

	start
	same "curl: GET" "Hello, World!" "$(get "$url/")"
	same "curl: a hundred on one connection" 99 \
		"$(get -v "$url/bytes/[1-100]" 2>&1 >/dev/null | grep -c 'Re-using existing connection')"
	same "curl: HEAD" 200 "$(get -I "$url/" | sed -n '1s/.* \(200\) .*/\1/p')"
	same "curl: HTTP/1.0" "Hello, World!" "$(get -0 "$url/")"
	same "curl: 404" 404 "$(get -o /dev/null -w '%{http_code}' "$url/x")"
	get --data-binary @"$dir/big" "$url/echo" | cmp -s - "$dir/big" || fail "curl: a body by length"
	get -H 'Transfer-Encoding: chunked' --data-binary @"$dir/big" "$url/echo" | cmp -s - "$dir/big" ||
		fail "curl: a body in chunks"
	get -T - "$url/echo" -X POST <"$dir/big" | cmp -s - "$dir/big" || fail "curl: a body from a pipe"
	same "curl: 100-continue" 1 \
		"$(get -v -H 'Expect: 100-continue' -d hello "$url/echo" 2>&1 | grep -c '< HTTP/1.1 100 Continue')"
	stop curl

	start --root "$dir/root"
	same "curl: index" hello "$(get "$url/")"
	same "curl: redirect to a directory" "301 $url/sub/" \
		"$(get -o /dev/null -w '%{http_code} %{redirect_url}' "$url/sub")"
	get "$url/big.bin" | cmp -s - "$dir/big" || fail "curl: a big file"
	same "curl: path as it is, upwards" 404 "$(get --path-as-is -o /dev/null -w '%{http_code}' "$url/../big")"
	same "curl: a link that leads out" 404 "$(get -o /dev/null -w '%{http_code}' "$url/out")"
	same "curl: a range" "xxxxx 206" "$(get -r 5-9 -w ' %{http_code}' "$url/big.bin")"
	get -r 0-99999 -o "$dir/resumed" "$url/big.bin"
	get -C - -o "$dir/resumed" "$url/big.bin"
	cmp -s "$dir/resumed" "$dir/big" || fail "curl: a download that was broken off and taken up again"
	get -o /dev/null --etag-save "$dir/tag" "$url/big.bin"
	same "curl: not modified, by tag" 304 \
		"$(get -o /dev/null --etag-compare "$dir/tag" -w '%{http_code}' "$url/big.bin")"
	same "curl: not modified, by date" 304 "$(get -o /dev/null -z "$dir/root/big.bin" -w '%{http_code}' "$url/big.bin")"
	same "curl: metrics" 1 "$(get "$url/metrics" | grep -c '^http_requests_total{class="3xx"} [1-9]')"
	stop "curl, files"

	start --max-body 10
	same "curl: 413" 413 "$(get -o /dev/null -w '%{http_code}' -d 'hello world' "$url/echo")"
	get "$url/sleep/1500" >"$dir/slept" &
	client=$!
	sleep 0.7
	stop "curl, a request in progress"
	wait "$client"
	same "curl: the request in progress" slept "$(cat "$dir/slept")"
}

# ---- nc -----------------------------------------------------------------------------------------------------------------

# The statuses of the responses that come in.
statuses() {
	sed 's/HTTP\/1\.1 \([0-9]*\)/\
status \1\
/g' | sed -n 's/^status //p' | tr '\n' ' '
}

# raw TEXT: what the server says to it
raw() {
	# shellcheck disable=SC2059
	printf "$1" | nc -w 10 127.0.0.1 "$port" | statuses
}

try_nc() {
	start --header-timeout 0.5
	get='GET / HTTP/1.1\r\nHost: a\r\n'
	same "nc: two requests" "200 200 " "$(raw "$get\r\n${get}Connection: close\r\n\r\n")"
	same "nc: bare line feeds" "400 " "$(raw 'GET / HTTP/1.1\nHost: a\n\n')"
	same "nc: HTTP/0.9" "400 " "$(raw 'GET /\r\n')"
	same "nc: HTTP/2.0" "505 " "$(raw 'GET / HTTP/2.0\r\n\r\n')"
	same "nc: length and chunks" "400 " \
		"$(raw "${get}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$get\r\n")"
	same "nc: half a head" "408 " "$(raw 'GET / HTTP/1.1\r\n')"
	stop nc
}

# ---- wrk, ab ------------------------------------------------------------------------------------------------------------

try_wrk() {
	start
	wrk -t 1 -c 64 -d 2 "$url/" >"$dir/wrk" 2>&1 || fail "wrk: $(cat "$dir/wrk")"
	grep -q 'Socket errors\|Non-2xx' "$dir/wrk" && fail "wrk: $(cat "$dir/wrk")"
	same "wrk: requests" 1 "$(grep -c '^ *[1-9][0-9]* requests in ' "$dir/wrk")"
	printf '%s\n' 'init = function(args)' ' local r = {}' ' for i = 1, 16 do r[i] = wrk.format() end' \
		' all = table.concat(r)' 'end' 'request = function() return all end' >"$dir/pipeline.lua"
	wrk -t 1 -c 16 -d 1 -s "$dir/pipeline.lua" "$url/" >"$dir/wrk" 2>&1 || fail "wrk, pipelined: $(cat "$dir/wrk")"
	grep -q 'Socket errors\|Non-2xx' "$dir/wrk" && fail "wrk, pipelined: $(cat "$dir/wrk")"
	stop wrk
}

# ab_clean NAME: no request failed
ab_clean() {
	same "$1: requests" "2000 0 " "$(sed -n 's/^\(Complete\|Failed\) requests: *//p' "$dir/ab" | tr '\n' ' ')"
	grep -q '^Non-2xx' "$dir/ab" && fail "$1: $(grep '^Non-2xx' "$dir/ab")"
}

try_ab() {
	start
	ab -q -n 2000 -c 50 "$url/" >"$dir/ab" 2>&1 || fail "ab: $(cat "$dir/ab")"
	ab_clean "ab"
	ab -q -k -n 2000 -c 50 "$url/bytes/5000" >"$dir/ab" 2>&1 || fail "ab -k: $(cat "$dir/ab")"
	ab_clean "ab -k"
	printf hello >"$dir/body"
	ab -q -k -n 2000 -c 50 -p "$dir/body" "$url/echo" >"$dir/ab" 2>&1 || fail "ab -p: $(cat "$dir/ab")"
	ab_clean "ab -p"
	stop ab
}

# ---- h2load -------------------------------------------------------------------------------------------------------------

try_h2load() {
	start
	h2load --h1 -n 2000 -c 50 -m 4 "$url/" >"$dir/h2load" 2>&1 || fail "h2load: $(cat "$dir/h2load")"
	same "h2load: requests" 1 "$(grep -c 'requests: .* 2000 succeeded, 0 failed, 0 errored' "$dir/h2load")"
	same "h2load: statuses" 1 "$(grep -c 'status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx' "$dir/h2load")"
	stop h2load
}

# ---- a browser ----------------------------------------------------------------------------------------------------------

# A page with a style sheet, a script, a picture and a fetch of a part: the script writes down what it has seen.
try_chromium() {
	mkdir -p "$dir/site/a b" "$dir/profile"
	cat >"$dir/site/index.html" <<-'END'
		<!doctype html><title>weft</title><link rel=stylesheet href=style.css>
		<img id=picture src="a%20b/dot.svg"><p id=said>nothing</p><script src=script.js></script>
	END
	echo '#said { color: rgb(1, 2, 3) }' >"$dir/site/style.css"
	echo '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"/>' >"$dir/site/a b/dot.svg"
	cat >"$dir/site/script.js" <<-'END'
		addEventListener("load", async () => {
			const said = document.getElementById("said");
			const part = await fetch("style.css", { headers: { Range: "bytes=0-4" } });
			const echo = await fetch("echo", { method: "POST", body: "hello" });
			said.textContent = [getComputedStyle(said).color, document.getElementById("picture").naturalWidth,
				part.status, await part.text(), echo.status, await echo.text()].join(" | ");
			document.title = "done";
		});
	END
	start --root "$dir/site"
	timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --disable-dev-shm-usage --user-data-dir="$dir/profile" \
		--virtual-time-budget=10000 --dump-dom "$url/" >"$dir/dom" 2>"$dir/chromium"
	if ! grep -q '<html' "$dir/dom"; then
		echo "skip  chromium does not run here: $(tail -n 1 "$dir/chromium")"
		stop chromium
		return
	fi
	same "chromium: what the page saw" "rgb(1, 2, 3) | 7 | 206 | #said | 200 | hello" \
		"$(sed -n 's/.*<p id="said">\(.*\)<\/p>.*/\1/p' "$dir/dom")"
	stop chromium
}

# ---- system calls -------------------------------------------------------------------------------------------------------

# A small request is to cost one read and one write, and so are sixteen that come together.
try_strace() {
	has nc || return
	start
	strace -f -o "$dir/trace" -p "$pid" -e trace=read,write,readv,writev,recvfrom,recvmsg,sendto,sendmsg,sendfile \
		2>"$dir/strace" &
	tracer=$!
	tries=0
	until grep -q attached "$dir/strace"; do
		tries=$((tries + 1))
		kill -0 "$tracer" 2>/dev/null && [ "$tries" -lt 100 ] || {
			echo "skip  strace can't attach here"
			stop strace
			return
		}
		sleep 0.1
	done
	get='GET / HTTP/1.1\r\nHost: a\r\n\r\n'
	four="$get$get$get$get"
	# The pauses keep the end of input, and the first request, apart from the sixteen.
	# shellcheck disable=SC2059
	(printf "$get"; sleep 0.3; printf "$four$four$four$four"; sleep 0.3) | nc -N -w 10 127.0.0.1 "$port" >"$dir/answers"
	same "strace: answers" 17 "$(statuses <"$dir/answers" | wc -w | tr -d ' ')"
	kill "$tracer"
	wait "$tracer" 2>/dev/null
	same "strace: one read and one write for sixteen requests" "1 1" \
		"$(grep -c 'recvfrom.* = 432' "$dir/trace") $(grep -c 'sendto.* = 1840' "$dir/trace")"
	stop strace
}

command=$*
[ -n "$command" ] || {
	echo "usage: http_clients.sh COMMAND..."
	exit 2
}
has curl && try_curl
has nc && try_nc
has wrk && try_wrk
has ab && try_ab
has h2load && try_h2load
has chromium && try_chromium
has strace && try_strace
[ "$ran" -gt 0 ] || exit 77
[ "$failures" -eq 0 ]
