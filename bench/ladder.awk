# Reads figures named "ladderCONNECTIONS.WHAT" (rounds.awk) and prints for each who the steps: medians, and of the throughput by how
# many times the first one's is greater, by round, with half the range in per cent. The knee is marked: the first step that gives 95 %
# of the best throughput; beyond it connections add waiting and nothing else. With rounds.awk.

function median(w, connections, what) { return median_of(values_of(w ":ladder" connections "." what)) }

function against_first(w, connections,    name, all) {
	name = ":ladder" connections ".rps"
	all = w == who[1] ? "" : ratios(who[1] name, w name)
	return all == "" ? "" : sprintf("%.2fx", median_of(all)) (count > 1 ? sprintf("~%.0f%%", spread) : "")
}

{
	take_figure(1)
	connections = substr($3, 7) + 0
	if (!($2 in steps))
		who[++whos] = $2
	if (!(($2, connections) in seen))
		step[$2, ++steps[$2]] = connections
	seen[$2, connections] = 1
}

END {
	printf "%-8s %11s %10s %10s %10s %10s %10s %10s\n", "", "connections", "requests/s", who[1], "cpu us", "p50 us", "p99 us", "p99.9 us"
	for (k = 1; k <= whos; k++) {
		w = who[k]
		best = 0
		for (s = 1; s <= steps[w]; s++) {
			rps[s] = median(w, step[w, s], "rps")
			best = rps[s] > best ? rps[s] : best
		}
		knee = ""
		for (s = 1; s <= steps[w]; s++) {
			c = step[w, s]
			mark = knee == "" && rps[s] >= 0.95 * best ? "  <- knee" : ""
			knee = knee mark
			printf "%-8s %11d %10.0f %10s %10.2f %10.1f %10.1f %10.1f%s\n", w, c, rps[s], against_first(w, c),
				median(w, c, "cpu"), median(w, c, "p50"), median(w, c, "p99"), median(w, c, "p999"), mark
		}
	}
}
