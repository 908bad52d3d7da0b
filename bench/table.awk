# Reads figures (rounds.awk). For each name a row, for each of `everybody` (names in one string) a column: the median, half the range
# in per cent of it, and how many times better the first of everybody is: the median of the ratios by round, and half their range in
# per cent. "?": in half of the rounds or more the load was late. Bigger is better for rates ("1/s", "per_s"), else smaller.
# Columns are as wide as they must be. With rounds.awk.

function number(v) { return sprintf(v >= 1000 ? "%.0f" : "%.4g", v) }

function times(v) { return sprintf(v >= 100 ? "%.0fx" : v >= 10 ? "%.1fx" : "%.2fx", v) }

function range(before) { return count > 1 ? sprintf("%s~%.0f%%", before, spread) : "" }

function cell(who, name,    key, text, all) {
	key = who ":" name
	all = values_of(key)
	if (all == "")
		return ""
	text = number(median_of(all))
	text = text (late_share >= 0.5 ? "?" : "") range(" ")
	if (who == first)
		return text
	all = better_if_more(name) ? ratios(first ":" name, key) : ratios(key, first ":" name)
	return all == "" ? text : text " " times(median_of(all)) range("")
}

function print_row(i,    k, line) {
	line = sprintf("%-*s %-*s", width["name"], order[i], width["unit"], unit[order[i]])
	for (k = 1; k <= columns; k++)
		if (width[k])
			line = line sprintf("  %-*s", width[k], text[i, k])
	sub(/ +$/, "", line)
	print line
}

function widen(what, content) {
	if (length(content) > width[what])
		width[what] = length(content)
}

{
	if (!($3 in unit))
		order[++names] = $3
	take_figure(1)
}

END {
	columns = split(everybody, who, " ")
	first = who[1]
	for (i = 1; i <= names; i++) {
		widen("name", order[i])
		widen("unit", unit[order[i]])
		for (k = 1; k <= columns; k++)
			widen(k, text[i, k] = cell(who[k], order[i]))
	}
	for (k = 1; k <= columns; k++)
		if (width[k])
			widen(k, text[0, k] = who[k])
	for (i = 0; i <= names; i++)
		print_row(i)
}
