#!/bin/sh
# synthetic-rows.sh N DIR [SEED]: an order of N made-up domains (DIR/order.tsv) and the rows of M0..MN and FT
# (DIR/rows.tsv) as a continual run could give them: every step helps its own domain and a little the
# kindred ones, and what was learned fades. For tests and for looking at figures; nothing was trained.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 N DIR [SEED]" >&2; exit 2; }
mkdir -p "$2"
awk -v n="$1" -v dir="$2" -v seed="${3:-1}" '
function rnd() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 - 0.5 }
function row(model, j, loss) {
	printf "%s\thash-of-%s\t%s\tdisjoint\tdata-%s\t%.17g\t%d\t%d\t%d\t%.17g\t%.17g\t0\n", model, model, name[j], name[j],
		loss * 20480, 20480, 90000, 20, exp(loss), loss * 20480 / log(2) / 90000 >rows
}
BEGIN {
	OFS = "\t"; order = dir "/order.tsv"; rows = dir "/rows.tsv"
	print "#palimpsest-order 1\n" "step", "domain", "l1", "portion", "cosine" >order
	print "#palimpsest-rows 1\n" "model", "model_hash", "domain", "protocol", "data_hash", "nll", "targets", "bytes", \
		"windows", "ppl", "bpb", "stderr" >rows
	for (i = 0; i < 7; i++) rnd()
	for (j = 1; j <= n; j++) {
		portion[j] = j <= n * 0.6 ? "wiki" : "s2orc"
		l1[j] = portion[j] "_field" int((j - 1) / (n < 12 ? 2 : n / 6))
		name[j] = "domain_" j
		print j, name[j], l1[j], portion[j], sprintf("%.3f", 0.7 + 0.5 * rnd()) >order
		zs[j] = 4.2 + 1.2 * rnd()
		for (i = 0; i < j; i++) rnd()
		gain[j] = 0.25 + 0.3 * rnd()
	}
	for (j = 1; j <= n; j++) row("M0", j, zs[j])
	for (k = 1; k <= n; k++)
		for (j = 1; j <= n; j++) {
			x = 0
			for (s = 1; s <= k; s++) {
				kin = s == j ? 1 : l1[s] == l1[j] ? 0.45 : portion[s] == portion[j] ? 0.12 : -0.18
				x += kin * gain[s] * exp(-(k - s) / (s == j ? 9 : 3))
			}
			row("M" k, j, zs[j] - 0.55 * x + 0.02 * rnd())
		}
	for (j = 1; j <= n; j++) row("FT:" name[j], j, zs[j] - 0.55 * gain[j] + 0.02 * rnd())
}'
