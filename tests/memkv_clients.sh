#!/bin/sh
# examples/memkv with the clients that people have: those of libmemcached, nc, and python over a plain socket. Each is left out, by
# name, where it is not installed. And with bench/kvload, if it was built.
#
# Usage: memkv_clients.sh KVLOAD COMMAND...: the load generator (left out if there is no such program); how to run the server
set -u
kvload=$1
shift
export WEFT_STRESS_SEED="${WEFT_STRESS_SEED:-1}"

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

# same WHAT WANTED GOT
same() {
	if [ "$2" = "$3" ]; then
		echo "ok    $1"
	else
		echo "FAIL  $1: $3, not $2"
		failures=$((failures + 1))
	fi
}

# client NAME...: sets $client to the first that is there; Debian calls those of libmemcached memccp for memcp, and so on
client() {
	for client; do
		command -v "$client" >/dev/null && {
			ran=$((ran + 1))
			return 0
		}
	done
	echo "skip  $1 is not installed"
	return 1
}

"$@" --listen 127.0.0.1:0 >"$dir/out" 2>"$dir/err" &
pid=$!
tries=0
until grep -q '^listening on ' "$dir/out"; do
	tries=$((tries + 1))
	kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 300 ] || {
		echo "the server did not start: $(cat "$dir/err")"
		exit 1
	}
	sleep 0.1
done
port=$(sed -n '1s/^listening on 127\.0\.0\.1://p' "$dir/out")
servers=--servers=127.0.0.1:$port

dd if=/dev/urandom of="$dir/some.bin" bs=1000 count=300 2>/dev/null
printf 'hello' >"$dir/hello"

if client memccp memcp; then
	same "memcp" 0 "$(timeout 60 "$client" "$servers" "$dir/some.bin" "$dir/hello" >"$dir/said" 2>&1; echo $?)"
	if client memccat memcat; then
		same "memcat" hello "$(timeout 60 "$client" "$servers" hello 2>&1)"
		timeout 60 "$client" "$servers" --file="$dir/back" some.bin >"$dir/said" 2>&1
		same "memcat, a large value" 0 "$(cmp "$dir/some.bin" "$dir/back" >/dev/null 2>&1; echo $?)"
	fi
	client memctouch && same "memctouch" 0 "$(timeout 60 "$client" "$servers" --expire=100 hello >/dev/null 2>&1; echo $?)"
	client memcexist && same "memcexist" 0 "$(timeout 60 "$client" "$servers" hello >/dev/null 2>&1; echo $?)"
	client memcrm memrm && same "memcrm" 0 "$(timeout 60 "$client" "$servers" hello >/dev/null 2>&1; echo $?)"
	client memcexist && same "memcexist, of what is gone" 1 "$(timeout 60 "$client" "$servers" hello >/dev/null 2>&1; echo $?)"
	client memcstat memstat && same "memcstat" 1 "$(timeout 60 "$client" "$servers" 2>&1 | grep -c 'curr_items: *[1-9]')"
	client memcflush memflush && same "memcflush" 0 "$(timeout 60 "$client" "$servers" >/dev/null 2>&1; echo $?)"
	client memcping memping && same "memcping" 0 "$(timeout 60 "$client" "$servers" >/dev/null 2>&1; echo $?)"
fi

# The conformance test of libmemcached, the part about the text protocol.
if client memccapable memcapable; then
	timeout 120 "$client" -h 127.0.0.1 -p "$port" -a >"$dir/capable" 2>&1
	same "memcapable" "All tests passed" "$(tail -n 1 "$dir/capable")"
	grep -v 'pass' "$dir/capable"
fi

if client memcslap; then
	timeout 100 "$client" "$servers" --concurrency=4 --execute-number=500 --test=set >"$dir/slap" 2>&1
	same "memcslap" 0 $?
fi

if client nc; then
	same "nc" "STORED VALUE a 0 5 hello END " \
		"$(printf 'set a 0 0 5\r\nhello\r\nget a\r\nquit\r\n' | nc -w 10 127.0.0.1 "$port" | tr -d '\r' | tr '\n' ' ')"
fi

if client python3; then
	cat >"$dir/client.py" <<'END'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rwb")
n = 2000
for i in range(n):
	f.write(b"set k%d %d 0 %d\r\n%s\r\n" % (i, i, len(b"%d" % i), b"%d" % i))
f.flush()
for i in range(n):
	assert f.readline() == b"STORED\r\n"
f.write(b"get " + b" ".join(b"k%d" % i for i in range(n)) + b"\r\n")
f.flush()
for i in range(n):
	assert f.readline() == b"VALUE k%d %d %d\r\n" % (i, i, len(b"%d" % i))
	assert f.readline() == b"%d\r\n" % i
assert f.readline() == b"END\r\n"
print("all there")
END
	same "python" "all there" "$(timeout 60 python3 "$dir/client.py" "$port" 2>&1)"
fi

if [ -x "$kvload" ]; then
	ran=$((ran + 1))
	timeout 60 "$kvload" "$port" -c 20 -d 1 -k 500 -s 3000 -p 7 >"$dir/load" 2>&1
	same "kvload" "0 3" "$? $(grep -c '^kv\.[rp].* [1-9][0-9.]* ' "$dir/load")"
fi

kill -TERM "$pid"
wait "$pid"
same "the server ends" "0 " "$? $(cat "$dir/err")"
pid=
[ "$ran" -gt 0 ] || exit 77
[ "$failures" -eq 0 ]
