#!/bin/sh
# synthetic-tables.sh DIR [K]: beside DIR/order.tsv of synthetic-rows.sh, DIR/classes.tsv, ranks.tsv and bigbench.tsv as the models of
# such a run could give them; ranks of all domains after each K-th step (default 2), BIG-bench too. Nothing was trained.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 DIR [K]" >&2; exit 2; }
awk -F '\t' -v dir="$1" -v at="${2:-2}" '
function rnd() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 - 0.5 }
# what model k has gained on domain j, from 0 to 1
function gain(k, j,   g, s) {
	for (s = 1; s <= k; s++)
		g += (s == j ? 0.6 : portion[s] == portion[j] ? 0.06 : -0.03) * exp(-(k - s) / 8)
	return g
}
function on_all(k) { return k == 0 || k == n || k % at == 0 }
function classes(k, j,   c) {
	for (c = 1; c <= 10; c++)
		printf "M%d\thash-of-M%d\t%s\tdisjoint\tdata-%s\t%s\t%.17g\t%d\n", k, k, name[j], name[j], class[c], \
			targets[c] * (base[c] - lost[c] * gain(k, j)), targets[c] >(dir "/classes.tsv")
}
function rank(k, j, scope, ngram, count, n_targets, easy,   mrr) {
	mrr = 0.25 * easy + 0.2 * gain(k, j) + 0.01 * rnd()
	printf "M%d\thash-of-M%d\t%s\tdisjoint\tdata-%s\t%s\t%s\t%s\t%.17g\t%d\t%.17g\t%.17g\t%.17g\t%.17g\t%.17g\n", k, k, name[j], name[j], \
		scope, ngram, count, n_targets * 4, n_targets, 60 / mrr, 1 + 4 / mrr, mrr, mrr * 0.7, mrr * 1.6 >(dir "/ranks.tsv")
}
function score(k, task, tasks, shots, metric, preferred, p, low, high, error, examples) {
	printf "M%d\thash-of-M%d\t%s\thash-%s\t%d\t%d\t%s\t%s\t%.17g\t%.17g\t%.17g\t%.17g\t%s\t%d\t%d\t0\tbigbench:seed=42,length=256\n", k, k, task, \
		task, tasks, shots, metric, preferred, p, low, high, (p - low) / (high - low) * 100, error, examples, examples >(dir "/bigbench.tsv")
}
function bigbench(k,   t, p) {
	p = 0.3 - 0.1 * (k < first ? k / first : 1) + (k > first ? 0.08 * (k - first) / (n - first) : 0)
	for (t = 1; t <= 2; t++)
		score(k, "arithmetic:" t "_digit", 0, 0, "exact_str_match", "yes", p / t, 0, 1, 0, 400)
	score(k, "arithmetic", 2, 0, "normalized_aggregate_score", "yes", 75 * p, 0, 100, 0, 800)
	for (t = 1; t <= 3; t++) {
		p = 0.25 + 0.05 * t + 0.04 * rnd()
		score(k, task[t], 0, 0, "multiple_choice_grade", "yes", p, 0.25, 1, 0, 200)
		score(k, task[t], 0, 0, "normalized_aggregate_score", "no", (p - 0.25) / 0.75 * 100, 0, 100, 0, 200)
	}
	score(k, "few_shot_nlg", 0, 0, "bleu", "no", 8 - 0.2 * k + rnd(), 0, 100, "-", 150)
}
BEGIN {
	seed = 11
	split("special newline space latex word-100 word-1000 word-10000 word-rare digits punctuation", class, " ")
	split("0 100 20 60 900 500 300 150 70 200", targets, " ")
	split("0 1 3 2.5 2 4 6 8 5 2", base, " ")
	split("0 0.1 0.2 1.2 0.1 0.4 0.8 1.5 0.6 -0.1", lost, " ")
	split("cs_algorithms physics general_knowledge", task, " ")
}
/^#/ { next }
!c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
{ name[++n] = $col["domain"]; portion[n] = $col["portion"]; first += portion[n] == portion[1] }
END {
	token = "model\tmodel_hash\tdomain\tprotocol\tdata_hash\t"
	print "#palimpsest-classes 1\n" token "class\tnll\ttargets" >(dir "/classes.tsv")
	print "#palimpsest-ranks 1\n" token "scope\tngram\toccurrences\tnll\ttargets\tmean\tmedian\tmrr\ttop1\ttop10" >(dir "/ranks.tsv")
	print "#palimpsest-bigbench 1\nmodel\tmodel_hash\ttask\ttask_hash\ttasks\tshots\tmetric\tpreferred\tscore\tlow\thigh\tnormalized\tstderr\t" \
		"examples\ttotal\tcut\tprotocol" >(dir "/bigbench.tsv")
	for (k = 0; k <= n; k++) {
		for (j = 1; j <= n; j++) {
			if (!on_all(k) && j != k)
				continue
			classes(k, j)
			rank(k, j, "all", "-", "-", 2300, 1)
			rank(k, j, "ngrams", "-", 40, 90, 0.5)
			rank(k, j, "ngram", "some thing", 40, 90, 0.5)
		}
		if (on_all(k))
			bigbench(k)
	}
}' "$1/order.tsv"
