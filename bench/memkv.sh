#!/bin/sh
# The example memkv beside memcached: the same client (kvload), the same CPUs, in turn.
#
# Usage: sh bench/memkv.sh BUILD-DIRECTORY [ROUNDS [SECONDS]]
#   c64          64 connections, the server on CPU 0 with one thread, the client on CPU 1
#   c64x16       the same, 16 commands at a time
#   c64.p2       two threads, and the client on the same two CPUs
#   c64x16.p2
# Prints one line for each run; then medians, and the ratio, above 1 where memkv is better.
set -eu
build=$1 rounds=${2:-5} seconds=${3:-3}
port=22131
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
trap 'exit 1' INT TERM
command -v memcached >/dev/null || { echo "memcached is not installed"; exit 77; }

# run WHO NAME THREADS DEPTH
run() {
	who=$1 name=$2 threads=$3 depth=$4
	server_cpus=0 client_cpus=1
	[ "$threads" -eq 1 ] || server_cpus=0,1 client_cpus=0,1
	case $who in
	memkv) set -- "$build/examples/memkv" --listen 127.0.0.1:$port --memory 512 ;;
	memcached) set -- memcached -u "$(id -un)" -l 127.0.0.1 -p $port -U 0 -m 512 -t "$threads" ;;
	esac
	WEFT_MAXPROCS=$threads taskset -c $server_cpus "$@" >/dev/null &
	server=$!
	sleep 0.5
	taskset -c $client_cpus "$build/bench/kvload" $port -c 64 -p "$depth" -d "$seconds" -P $server -n "$name" |
		sed "s/^/$who /" | tee -a "$raw"
	kill $server
	wait $server || true
}

for round in $(seq "$rounds"); do
	for who in memcached memkv; do
		run $who c64 1 1
		run $who c64x16 1 16
		run $who c64.p2 2 1
		run $who c64x16.p2 2 16
	done
done

sort -k2,2 -k1,1 -k3,3g "$raw" | awk '
	{ key = $2 " " $1; v[key, ++n[key]] = $3; names[$2] = $4 }
	function median(key) { return (v[key, int((n[key] + 1) / 2)] + v[key, int(n[key] / 2) + 1]) / 2 }
	END {
		for (name in names) {
			a = median(name " memcached")
			b = median(name " memkv")
			ratio = names[name] == "1/s" ? b / a : a / b
			printf "%-16s memcached %10.2f  memkv %10.2f %s  %.2fx\n", name, a, b, names[name], ratio
		}
	}' | sort
