# Figures by round: lines "ROUND WHO NAME VALUE UNIT [late]", in any order. Who was not there in a round has no figure of it. What
# two figures are to each other is asked round by round, for what disturbs a shared machine is mostly slower than a round and so
# befalls both. A figure that is late (its load was, load.h) is left out of that.

# Takes the line, which begins at field `at`.
function take_figure(at,    key) {
	key = $(at + 1) ":" $(at + 2)
	figure[key, $at] = $(at + 3)
	unit[$(at + 2)] = $(at + 4)
	if ($(at + 5) == "late")
		late[key, $at] = 1
	if ($at > rounds)
		rounds = $at
}

# A side of a comparison in a round: "WHO:NAME", "WHO:NAME+N" or a number. "" if there is none.
function side(text, round,    plus, key) {
	if (text ~ /^[0-9.]+$/)
		return text
	plus = index(text, "+")
	key = plus ? substr(text, 1, plus - 1) : text
	if (!((key, round) in figure) || (key, round) in late)
		return ""
	return figure[key, round] + (plus ? substr(text, plus + 1) : 0)
}

# Left over right in each round that has both, as a text. What is not measurably more than nothing counts as a millionth of the other.
function ratios(left, right,    round, a, b, text) {
	for (round = 1; round <= rounds; round++) {
		a = side(left, round)
		b = side(right, round)
		if (a != "" && b != "" && a > 0)
			text = text " " (b > 0 ? a / b : 1e6)
	}
	return text
}

# All values of "WHO:NAME", as a text. Sets late_share.
function values_of(key,    round, n, text) {
	late_share = n = 0
	for (round = 1; round <= rounds; round++)
		if ((key, round) in figure) {
			text = text " " figure[key, round]
			late_share += ((key, round) in late)
			n++
		}
	late_share /= n ? n : 1
	return text
}

# Below which the share q of n sorted numbers lies; between two of them in proportion.
function quantile(list, n, q,    at, i) {
	at = 1 + (n - 1) * q
	i = int(at)
	return i < n ? list[i] + (at - i) * (list[i + 1] - list[i]) : list[n]
}

# The median of the numbers in a text. Sets spread to half their range in per cent of it, lower and upper to the quartiles, and
# count.
function median_of(text,    i, k, v, list, median) {
	count = split(text, list, " ")
	for (i = 1; i <= count; i++) {
		v = list[i] + 0
		for (k = i - 1; k > 0 && list[k] > v; k--)
			list[k + 1] = list[k]
		list[k + 1] = v
	}
	if (!count)
		return 0
	median = quantile(list, count, 0.5)
	lower = quantile(list, count, 0.25)
	upper = quantile(list, count, 0.75)
	spread = median > 0 ? 50 * (list[count] - list[1]) / median : 0
	return median
}

function better_if_more(name) { return unit[name] ~ /\/s|per_s/ }
