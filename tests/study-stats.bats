#!/usr/bin/env bats
# study-stats, on matrices whose effects are known: each step helps its own domain and harms those before and after it.

load common

setup() {
	scratch
}

# matrix NAME "DOMAIN..." OWN FADE AHEAD [TARGETS]: log-perplexity is 5 at first, 5 - OWN after a domain's own step, FADE more
# with each step from there; 5 + AHEAD on domains not trained yet; 4.6 for FT. The first half
# of the domains is of one portion, the others of another.
matrix() {
	mkdir -p in
	awk -v list="$2" -v own="$3" -v fade="$4" -v ahead="$5" -v targets="${6:-1000}" 'function row(model, d, loss) {
		printf "%s\thash-%s\td%d\tdisjoint:8\tdata-%d\t%.17g\t%d\t%.17g\n", model, model, d, d, loss * targets, targets, exp(loss) >"in/rows.tsv"
	}
	BEGIN {
		n = split(list, d, " ")
		print "#palimpsest-order 1\nstep\tdomain\tl1\tportion\tcosine" >"in/order.tsv"
		print "#palimpsest-rows 1\nmodel\tmodel_hash\tdomain\tprotocol\tdata_hash\tnll\ttargets\tppl" >"in/rows.tsv"
		for (j = 1; j <= n; j++) {
			printf "%d\td%d\tl%d\t%s\t0.%d\n", j, d[j], d[j] % 3, d[j] <= n / 2 ? "wiki" : "s2orc", (d[j] * 7) % 10 + 1 >"in/order.tsv"
			row("M0", d[j], 5)
			row("FT:d" d[j], d[j], 4.6)
			for (k = 1; k <= n; k++)
				row("M" k, d[j], k < j ? 5 + ahead : 5 - own + fade * (k - j))
		}
	}'
	transfer-matrix --order in/order.tsv -o "m/$1" in/rows.tsv >/dev/null
}

# runs LINE...: the table of runs; a LINE: name, model, parameters, order, batch, balanced, varied, matrix
runs() {
	printf '#palimpsest-study 1\nrun\tmodel\tparameters\torder\tbatch\tbalanced\tvaried\tmatrix\n' >runs.tsv
	printf '%s\n' "$@" | tr ' ' '\t' >>runs.tsv
}

# value TABLE COLUMN CONDITION: of the first row where awk's CONDITION holds; c: number of a column
value() {
	awk -F '\t' -v want="$2" '/^#/ { next } !n++ { for (i = 1; i <= NF; i++) c[$i] = i; next } '"$3"' { print $c[want]; exit }' "out/$1.tsv"
}
group() { value groups "$3" "\$c[\"group\"] == \"$1\" && \$c[\"measure\"] == \"$2\" && \$c[\"scope\"] == \"${4:-all}\""; }
verdict() { value findings verdict "\$c[\"finding\"] == \"$1\""; }
near() { awk -v x="$1" -v y="$2" 'BEGIN { d = x - y; exit !(x != "-" && d < 1e-9 && d > -1e-9) }' || { echo "$1 is not $2"; return 1; }; }

straight='1 2 3 4 5 6 7 8 9 10'

@test "effects of one run, as computed by hand" {
	matrix a "$straight" 0.5 0.05 0.1
	runs 'small/similar small 100 similar 16 no - m/a'
	study-stats -o out runs.tsv >text
	near "$(group small/similar FT-ZS value)" -0.4
	near "$(group small/similar CPT-ZS value)" -0.5
	near "$(group small/similar CPT-ZS lo)" -0.5
	near "$(group small/similar CPT-FT value)" -0.1
	# 0.05 for each of 9, 8 ... 0 steps
	near "$(group small/similar LC-CPT value)" 0.225
	near "$(group small/similar LC-ZS value)" -0.275
	near "$(group small/similar LC-ZS value portion:wiki)" -0.15
	near "$(group small/similar LC-ZS value portion:s2orc)" -0.4
	near "$(group small/similar FWD value)" -0.1
	# gains at distance 1 to 9: 0.45, 0.40 ... 0.05, in 9, 8 ... 1 cells: 14.25 in 45
	near "$(group small/similar BWD value)" "$(awk 'BEGIN { for (d = 1; d <= 9; d++) s += (10 - d) * (0.5 - 0.05 * d); printf "%.17g", s / 45 }')"
	near "$(group small/similar switch value)" 0.05
	near "$(group small/similar switch-portion value)" 0.05
	near "$(group small/similar regain value)" 0.05
	near "$(value distance transfer '$c["distance"] == 3')" 0.35
	near "$(value distance transfer '$c["distance"] == 0')" 0.5
	near "$(value distance transfer '$c["distance"] == -2')" -0.1
	near "$(value checkpoints backward '$c["step"] == 2')" 0.45
	near "$(value checkpoints forward '$c["step"] == 2')" -0.1
	# half of 0.5 is lost after 5 steps
	near "$(value half-life median 1)" 5
	[ "$(value half-life watched 1)" = 9 ] && [ "$(value half-life lost 1)" = 5 ]
	near "$(value explain value '$c["outcome"] == "forgetting" && $c["predictor"] == "position" && $c["correlation"] == "kendall"')" -1
	near "$(value sequence cpt '$c["step"] == 4')" -0.5
	near "$(value sequence lc '$c["step"] == 10')" -0.5
	[ "$(value summary lc '$c["scope"] == "all"')" = "$(awk -F '\t' '$1 == "LC.ppl" && $2 == "all" { print $3 }' m/a/metrics.tsv)" ]
	# Markdown and LaTeX have the same rows
	[ "$(grep -c '^| small/similar |' out/groups.md)" -eq "$(grep -c '^small/similar' out/groups.tsv)" ]
	[ "$(grep -c '^small/similar &' out/groups.tex)" -eq "$(grep -c '^small/similar' out/groups.tsv)" ]
	grep -q 'similarity-to-base' out/explain.md
	study-stats -o again runs.tsv | cmp - text
	diff -r out again
}

@test "seeds are one group, and its interval goes over them" {
	matrix a "$straight" 0.5 0.05 0
	matrix b '3 1 2 7 5 4 6 10 9 8' 0.6 0.05 0
	matrix c '10 9 8 7 6 5 4 3 2 1' 0.7 0.05 0
	runs 'small/random-1 small 100 random:1 16 no - m/a' 'small/random-2 small 100 random:2 16 no - m/b' \
		'small/random-3 small 100 random:3 16 no - m/c'
	study-stats -o out runs.tsv >/dev/null
	[ "$(group small/random CPT-ZS runs)" = 3 ]
	near "$(group small/random CPT-ZS value)" -0.6
	# one resample in 27 has the first run alone
	near "$(group small/random CPT-ZS lo)" -0.7
	near "$(group small/random CPT-ZS hi)" -0.5
	near "$(value explain value '$c["outcome"] == "forgetting" && $c["predictor"] == "position" && $c["correlation"] == "spearman"')" -1
}

@test "every finding that can be put to such runs is confirmed, or refuted where its sign is turned" {
	twenty=$(seq -s ' ' 20)
	# all SIMILAR RANDOM LARGE BATCH64 BALANCED SWAPPED: each "OWN FADE AHEAD"
	all() {
		local i
		# shellcheck disable=SC2086
		{
			matrix similar "$twenty" $1
			for i in 1 2 3; do
				matrix r$i "$(awk -v i=$i 'BEGIN { for (j = 0; j < 20; j++) printf "%d ", (j * 7 + 3 * i) % 20 + 1 }')" $2
			done
			matrix large "$twenty" $3
			matrix batch "$twenty" $4
			matrix balanced "$twenty" $5
			matrix swapped "$(seq -s ' ' 11 20) $(seq -s ' ' 10)" $6
		}
		runs 'small/similar small 100 similar 16 no - m/similar' 'small/random-1 small 100 random:1 16 no - m/r1' \
			'small/random-2 small 100 random:2 16 no - m/r2' 'small/random-3 small 100 random:3 16 no - m/r3' \
			'large/similar large 200 similar 16 no - m/large' 'small-batch64/similar small 100 similar 64 no batch m/batch' \
			'small-balanced/similar small 100 similar 16 yes balanced m/balanced' \
			'small/similar-s2orc,wiki small 100 similar:s2orc,wiki 16 no - m/swapped'
		study-stats -o out runs.tsv >text
	}
	all '0.5 0.01 0.1' '0.6 0.01 -0.1' '0.4 0.001 0.1' '0.3 -0.1 0.1' '0.3 0.01 0.1' '0.3 0.05 0.1'
	for f in lc-beats-zs random-better-lc cpt-beats-ft first-forgotten-most backward-reach no-forward forward-other-portion small-learns-most \
		small-forgets-most batch-cpt batch-lc balanced-hurts swap-degrades; do
		[ "$(verdict $f)" = confirmed ] || { cut -f 1-7,10,11 out/findings.tsv; echo "$f"; return 1; }
	done
	for f in saturation batch-random roberta-keeps arithmetic llama-loses; do
		[ "$(verdict $f)" = 'cannot say' ]
	done
	[ "$(value findings why '$c["finding"] == "saturation"')" = 'too few domains: 20 of 50' ]
	# what a difference is: small batch less large
	near "$(value differences value '$c["setting"] == "batch" && $c["measure"] == "CPT-ZS"')" 0.2
	grep -q '^confirmed: ' text
	rm -r out m
	all '0.5 0.12 -0.1' '0.1 0.2 0.1' '0.6 0.13 -0.1' '0.7 0.3 -0.1' '0.7 0.12 -0.1' '0.7 0.03 -0.1'
	for f in lc-beats-zs random-better-lc backward-reach no-forward forward-other-portion small-learns-most small-forgets-most batch-cpt \
		batch-lc balanced-hurts swap-degrades; do
		[ "$(verdict $f)" = refuted ] || { cut -f 1-7,10,11 out/findings.tsv; echo "$f"; return 1; }
	done
}

@test "what is too little is not decided" {
	matrix a "$straight" 0.5 0.05 0.1
	matrix b "$straight" 0.4 0.05 0.1 900
	matrix few '1 2 3' 0.5 0.05 0.1
	runs 'small/random-1 small 100 random:1 16 no - m/a' 'small/similar small 100 similar 16 no - m/a' \
		'large/similar large 200 similar 16 no - m/b'
	study-stats -o out runs.tsv >/dev/null
	[ "$(value findings why '$c["finding"] == "random-better-lc"')" = 'too few random orders: 1 of 3' ]
	[ "$(value findings why '$c["finding"] == "small-learns-most"')" = 'their tokenizers differ' ]
	[ "$(value findings evidence '$c["finding"] == "lc-beats-zs" && $c["where"] == "small/random"')" = 'cannot say' ]
	[ "$(value findings evidence '$c["finding"] == "lc-beats-zs" && $c["where"] == "small/similar"')" = confirmed ]
	runs 'small/similar small 100 similar 16 no - m/few'
	study-stats -o out runs.tsv >/dev/null
	[ "$(value findings why '$c["finding"] == "lc-beats-zs"')" = 'too few domains: 3 of 8' ]
}

@test "parameters and family come from the model's own files" {
	matrix a "$straight" 0.5 0.05 0.1
	sh "$root/tests/toy.sh" toy
	model-init -q -c toy/config.json -t toy/tokenizer -o toy/m0
	printf '#palimpsest-study 1\nrun\tmodel\tmodel_dir\torder\tmatrix\nx/similar\tx\ttoy/m0\tsimilar\tm/a\n' >runs.tsv
	study-stats -o out runs.tsv >/dev/null
	# embeddings 257 x 16 and 64 x 16; two norms of 32, 16 x 48 + 48, 16 x 16 + 16, 16 x 64 + 64, 64 x 16 + 16; the last norm 32
	[ "$(group x/similar LC-ZS parameters)" -eq $((257 * 16 + 64 * 16 + 2 * 32 + 17 * 48 + 17 * 16 + 17 * 64 + 65 * 16 + 32)) ]
}

@test "sizes and similarities are taken from domains.tsv and vectors.tsv" {
	matrix a "$straight" 0.5 0.05 0.1
	runs 'small/similar small 100 similar 16 no - m/a'
	{
		printf '#palimpsest-domains 1\ndomain\tl1\tportion\ttrain_bytes\n'
		for i in $straight; do printf 'd%d\tl\tp\t%d\n' "$i" $((1000 - 10 * i)); done
	} >domains.tsv
	{
		printf '#palimpsest-vectors 1\ndomain\tn\tv0\tv1\n@base\t1\t1\t0\n'
		for i in $straight; do printf 'd%d\t1\t%d\t1\n' "$i" "$i"; done
	} >vectors.tsv
	study-stats -o out --domains domains.tsv --vectors vectors.tsv runs.tsv >/dev/null
	# both fall or rise with the position, so the later, the smaller, the more similar
	near "$(value explain value '$c["outcome"] == "forgetting" && $c["predictor"] == "size" && $c["correlation"] == "spearman"')" 1
	near "$(value explain value '$c["outcome"] == "forgetting" && $c["predictor"] == "similarity-to-base" && $c["correlation"] == "spearman"')" -1
	[ "$(value explain value '$c["predictor"] == "size" && $c["correlation"] == "partial"')" = - ]
	near "$(value sequence base_similarity '$c["step"] == 1')" "$(awk 'BEGIN { printf "%.17g", 1 / sqrt(2) }')"
}

@test "what cannot be compared or is malformed is refused, and nothing is written" {
	matrix a "$straight" 0.5 0.05 0.1
	matrix other '1 2 3 4 5 6 7 8 9 11' 0.5 0.05 0.1
	matrix fewer '1 2 3' 0.5 0.05 0.1
	sed -i 's/disjoint:8/m2d2:8/' in/rows.tsv
	transfer-matrix --order in/order.tsv -o m/protocol in/rows.tsv >/dev/null
	refuse() { # CODE WORD LINE...
		local code=$1 word=$2
		shift 2
		runs "$@"
		fails "$code" "$word" -- study-stats -o out runs.tsv
		[ ! -e out ]
	}
	refuse 3 'd11' 'a/similar a 1 similar 16 no - m/a' 'b/similar b 1 similar 16 no - m/other'
	refuse 3 '3 domains, but 10' 'a/similar a 1 similar 16 no - m/a' 'b/similar b 1 similar 16 no - m/fewer'
	refuse 3 'protocol' 'a/similar a 1 similar 16 no - m/fewer' 'b/similar b 1 similar 16 no - m/protocol'
	refuse 3 'stands twice' 'a/similar a 1 similar 16 no - m/a' 'a/similar a 1 similar 16 no - m/a'
	refuse 3 'no matrix in' 'a/similar a 1 similar 16 no - m/a' 'b/similar b 1 similar 16 no - m/missing'
	refuse 3 'parameters' 'a/similar a many similar 16 no - m/a'
	fails 3 'truncated' -- study-stats -o out <(head -c -1 runs.tsv)
	runs 'a/similar a 1 similar 16 no - m/a' 'b/similar b 1 similar 16 no - m/missing'
	study-stats -o out --partial runs.tsv >/dev/null
	[ "$(awk -F '\t' '$1 == "runs left out" { print $2 }' out/about.tsv)" = 1 ]
	runs 'b/similar b 1 similar 16 no - m/missing'
	fails 3 'no run is complete' -- study-stats --partial runs.tsv
	fails 2 'one table' -- study-stats
	fails 2 'draws' -- study-stats --draws 1 runs.tsv
	fails 1 'nowhere.tsv' -- study-stats nowhere.tsv
	mkdir foreign && touch foreign/thing
	runs 'a/similar a 1 similar 16 no - m/a'
	fails 1 'cannot replace foreign' -- study-stats -o foreign runs.tsv
	[ "$(ls foreign)" = thing ]
}
