#!/bin/sh
# What bench/*.awk make of figures: ratios are taken within a round, also if somebody is missing from one; what was late is left
# out; an aim between the quartiles is neither held nor missed. And the machine's time is exact, however long it has been up;
# who fails is named, but for a peer that does not know a program.
#
# Usage: bench_rounds.sh ROOT
set -eu
cd "$1/bench"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The machine is three times slower in round 3; weft did not run in round 2; in round 1 the load of o was late.
cat >"$work/figures" <<'END'
1 weft a.p1 10 ns
1 go a.p1 40 ns
2 go a.p1 900 ns
3 weft a.p1 30 ns
3 go a.p1 120 ns
4 weft a.p1 20 ns
4 go a.p1 60 ns
1 weft r.rps 100 1/s
1 go r.rps 50 1/s
1 weft o.p99 100 us late
1 go o.p99 50 us
2 weft o.p99 10 us
2 go o.p99 30 us
1 weft z 5 bytes
1 epoll z 0 bytes
END
cat >"$work/aims" <<'END'
go:a.p1 weft:a.p1 3.5
go:a.p1 weft:a.p1 3.75
go:a.p1 weft:a.p1 4.1
go:a.p1+10 weft:a.p1 4.34
20 weft:a.p1 0.8
go:o.p99 weft:o.p99 1
uv:o.p99 weft:o.p99 1
END
cat >"$work/ladder" <<'END'
1 weft ladder1.rps 100 1/s
1 weft ladder4.rps 960 1/s
1 weft ladder16.rps 1000 1/s
1 go ladder1.rps 80 1/s
1 go ladder4.rps 480 1/s
END

# same WHAT: standard input is what was expected, but for blanks.
same() {
	sed 's/  */ /g; s/^ //' "$work/got" >"$work/squeezed"
	diff - "$work/squeezed" || { echo "$1 differs"; exit 1; }
}

awk -f rounds.awk -f table.awk -v everybody="weft epoll go" "$work/figures" >"$work/got"
same table <<'END'
weft epoll go
a.p1 ns 20 ~50% 90 ~478% 4.00x~12%
r.rps 1/s 100 50 2.00x
o.p99 us 55? ~82% 40 ~25% 3.00x
z bytes 5 0
END

sed 's/^/part /' "$work/figures" >"$work/raw"
awk -f rounds.awk -f aims.awk "$work/raw" "$work/aims" >"$work/got"
same aims <<'END'
held go:a.p1 weft:a.p1 4.00 [3.50-4.00] of 3.50 in 3
unsure go:a.p1 weft:a.p1 4.00 [3.50-4.00] of 3.75 in 3
MISSED go:a.p1 weft:a.p1 4.00 [3.50-4.00] of 4.10 in 3
unsure go:a.p1+10 weft:a.p1 4.33 [3.92-4.67] of 4.34 in 3
held 20 weft:a.p1 1.00 [0.83-1.50] of 0.80 in 3
unsure go:o.p99 weft:o.p99 3.00 [3.00-3.00] of 1.00 in 1
of 7 aims 2 held, 1 missed, 3 unsure, 1 not measured; [quartiles] of the ratios by round, aim, rounds
END

awk -f rounds.awk -f ladder.awk "$work/ladder" >"$work/got"
same ladder <<'END'
connections requests/s weft cpu us p50 us p99 us p99.9 us
weft 1 100 0.00 0.0 0.0 0.0
weft 4 960 0.00 0.0 0.0 0.0 <- knee
weft 16 1000 0.00 0.0 0.0 0.0
go 1 80 1.25x 0.00 0.0 0.0 0.0
go 4 480 2.00x 0.00 0.0 0.0 0.0 <- knee
END
out=$work/out results=$work peers=$work
. ./lib.sh
printf 'cpu 1000000013 2 300000000 4000000000 5 0 700 1000000009 0 0\n1m30.25s 0m0.5s\n' | in_seconds 100 >"$work/got"
same "the machine's time" <<'END'
13000007.15 10000000.09 63000007.29
90.75
END

printf '#!/bin/sh\necho "$1 5 ns"\nexit "$2"\n' >"$work/go_micro"
chmod +x "$work/go_micro"
round=4
for status in 0 2 3; do
	run_micro go 1 a "$status"
done
cat "$out" "$dropped" | sed "s,$work/,," >"$work/got"
same "what was dropped" <<'END'
4 go a 5 ns
4 go a 5 ns
4 go a 5 ns
dropped: go with 1: go_micro a 3: ends with 3, round 4
END
echo "ratios are by round"
