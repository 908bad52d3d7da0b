#!/bin/sh
# The figures of docs/examples.md: requests per second of the gateway against requests under way, and what light connections notice
# of a heavy one under four models.
#
# Usage: sh bench/examples.sh BUILD-DIRECTORY RESULTS-DIRECTORY [ROUNDS]
# Writes what the programs print (gateway.txt, patterns.txt) and an SVG of each into RESULTS-DIRECTORY.
set -eu
build=$1 results=$2 rounds=${3:-3}
plot="python3 $(dirname "$0")/plot.py"

: >"$results/gateway.txt"
for round in $(seq "$rounds"); do
	for processors in 1 2; do
		for clients in 1 2 4 8 16 32 64 128; do
			printf '%s %s ' $processors $clients >>"$results/gateway.txt"
			WEFT_MAXPROCS=$processors "$build/examples/gateway" --clients $clients --seconds 2 >>"$results/gateway.txt"
		done
	done
done
# The best of all rounds: what others take from the machine only makes it less.
sed 's/\([0-9]*\) \([0-9]*\) .*answered \([0-9.]*\).*/\1 \2 \3/' "$results/gateway.txt" | awk '
	$3 > best[$1, $2] { best[$1, $2] = $3 }
	!seen[$1, $2]++ { order[++n] = $1 SUBSEP $2 }
	END {
		for (i = 1; i <= n; i++) {
			split(order[i], key, SUBSEP)
			print key[1] == 1 ? "1_processor" : key[1] "_processors", key[2], best[order[i]]
		}
	}' |
	$plot --log-x --title "250 ms of waiting, 10 ms of a CPU" --x "requests under way, at most" --y "requests per second" \
		"$results/gateway.svg"

: >"$results/patterns.txt"
for round in $(seq "$rounds"); do
	"$build/examples/patterns" >>"$results/patterns.txt"
done
awk '{ print $2 == "heavy" ? "with" : "without", $1, $8 / 1000 }' "$results/patterns.txt" |
	$plot --bars --log-y --title "Light requests, with and without a heavy connection" --y "p99, ms" "$results/patterns.svg"
awk '{ print $1, $2, $8 }' "$results/patterns.txt" | sort -k1,2 -k3,3n | awk '
	{ key = $1 " " $2; p99[key, ++n[key]] = $3 }
	END {
		for (model in n)
			if (sub(" alone", "", model)) {
				a = p99[model " alone", int((n[model " alone"] + 1) / 2)]
				h = p99[model " heavy", int((n[model " heavy"] + 1) / 2)]
				printf "%-14s p99 alone %8d us, with the heavy one %8d us: %.2fx\n", model, a, h, h / a
			}
	}'
