# Reads lines "WHO CONNECTIONS RPS CPU P50 P99 P999" (several for a step: their medians count) and prints for each who its steps. The
# knee is marked: the first step that gives 95 % of the best throughput; beyond it connections add waiting and nothing else. With median.awk.

{
	if (!($1 in seen))
		who[++count] = $1
	if (!(($1, $2) in steps))
		step[$1, ++seen[$1]] = $2
	steps[$1, $2] = 1
	for (i = 3; i <= 7; i++)
		all[$1, $2, i] = all[$1, $2, i] " " $i
}

END {
	printf "%-8s %11s %10s %10s %10s %10s %10s\n", "", "connections", "requests/s", "cpu us", "p50 us", "p99 us", "p99.9 us"
	for (k = 1; k <= count; k++) {
		w = who[k]
		best = 0
		for (s = 1; s <= seen[w]; s++) {
			rps[s] = median_of(all[w, step[w, s], 3])
			best = rps[s] > best ? rps[s] : best
		}
		knee = ""
		for (s = 1; s <= seen[w]; s++) {
			c = step[w, s]
			mark = knee == "" && rps[s] >= 0.95 * best ? "  <- knee" : ""
			knee = knee mark
			printf "%-8s %11d %10.0f %10.2f %10.1f %10.1f %10.1f%s\n", w, c, rps[s], median_of(all[w, c, 4]),
				median_of(all[w, c, 5]), median_of(all[w, c, 6]), median_of(all[w, c, 7]), mark
		}
	}
}
