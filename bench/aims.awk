# Holds figures (rounds.awk), with a word in front of each line, against aims, lines "LEFT RIGHT FACTOR" (aims.txt). The ratio is the
# median of those by round, and in brackets are the quartiles. held: the lower quartile is at least the factor; MISSED: the upper one
# is less; unsure: the factor lies between them, or there is one round only. Of aims one side of which was not measured it is only said
# how many there are.
# With rounds.awk.

/^#/ || NF == 0 { next }
NF >= 6 { take_figure(2); next }
{
	total++
	all = ratios($1, $2)
	if (all == "") {
		verdicts["not measured"]++
		next
	}
	ratio = median_of(all)
	verdict = count < 2 ? "unsure" : lower >= $3 ? "held" : upper < $3 ? "MISSED" : "unsure"
	verdicts[verdict]++
	printf "%-6s %-26s %-28s %8.2f [%.2f-%.2f] of %.2f in %d\n", verdict, $1, $2, ratio, lower, upper, $3, count
}
END {
	printf "of %d aims %d held, %d missed, %d unsure, %d not measured; [quartiles] of the ratios by round, aim, rounds\n",
		total, verdicts["held"], verdicts["MISSED"], verdicts["unsure"], verdicts["not measured"]
}
