#!/bin/sh
# The example memkv beside memcached: the same client (kvload), the same CPUs, in turn.
#
# Usage: sh bench/memkv.sh BUILD-DIRECTORY [ROUNDS [SECONDS]]
#   c64          64 connections, the server on CPU 0 with one thread, the client on CPU 1
#   c64x16       the same, 16 commands at a time
#   c64.p2       two threads, and the client on the same two CPUs
#   c64x16.p2
# Prints one line for each run; then a table (table.awk): how many times better memkv is, by round.
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
		sed "s/^/$round $who /" | tee -a "$raw"
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

cd "$(dirname "$0")"
awk -f rounds.awk -f table.awk -v everybody="memkv memcached" "$raw"
