# Reads lines "WHO NAME VALUE UNIT" in any order. For each name a row, for each of `everybody` (names in one string) a column: the
# median, half the range in per cent of it, and how many times better weft is. Bigger is better for units with "/s", else smaller.

function median_of(who, name,    n, i, k, v, t, list) {
	n = split(values[who, name], list, " ")
	for (i = 1; i <= n; i++) {
		v = list[i] + 0
		for (k = i - 1; k > 0 && list[k] > v; k--)
			list[k + 1] = list[k]
		list[k + 1] = v
	}
	range = list[n] - list[1]
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function cell(who, name,    m, text, w) {
	if (!((who, name) in values))
		return ""
	m = median_of(who, name)
	text = sprintf("%.4g", m)
	if (m > 0)
		text = text sprintf(" ~%.0f%%", 50 * range / m)
	if (who == "weft" || !(("weft", name) in values))
		return text
	w = median_of("weft", name)
	if (w > 0 && m > 0)
		text = text sprintf(" %.2fx", unit[name] ~ /\/s/ ? w / m : m / w)
	return text
}

{
	if (!($2 in unit))
		order[++names] = $2
	unit[$2] = $4
	values[$1, $2] = values[$1, $2] " " $3
	present[$1] = 1
}

END {
	count = split(everybody, who, " ")
	line = sprintf("%-26s %-6s", "", "")
	for (k = 1; k <= count; k++)
		if (who[k] in present)
			line = line sprintf(" %-22s", who[k])
	sub(/ +$/, "", line)
	print line
	for (i = 1; i <= names; i++) {
		line = sprintf("%-26s %-6s", order[i], unit[order[i]])
		for (k = 1; k <= count; k++)
			if (who[k] in present)
				line = line sprintf(" %-22s", cell(who[k], order[i]))
		sub(/ +$/, "", line)
		print line
	}
}
