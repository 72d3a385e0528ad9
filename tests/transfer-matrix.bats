#!/usr/bin/env bats
# transfer-matrix: the numbers are checked by unit/metrics; here the files, the refusals and what a person sees.

load common

setup() {
	scratch
	unset NO_COLOR COLORTERM COLUMNS
	printf '%s\t' step domain l1 portion >order.tsv
	sed -i '1i #palimpsest-order 1' order.tsv
	printf 'cosine\n1\tnews\tpress\tinformative\t0.5\n2\tlore\tprose\tinformative\t0.25\n3\tromance\tfiction\timaginative\t-\n' >>order.tsv
	header='model	model_hash	domain	protocol	data_hash	nll	targets	bytes	windows	ppl	bpb	stderr'
	{
		printf '#palimpsest-rows 1\tppl-eval 0.1.0\n%s\n' "$header"
		# model, then the perplexities of news, lore, romance
		while read -r model a b c; do
			set -- "$a" "$b" "$c"
			for d in news lore romance; do
				[ "$1" = - ] || row "$model" "$d" "$1"
				shift
			done
		done
	} >rows.tsv <<-'END'
		M0 200 100 50
		M1 100 90 55
		M2 120 60 52
		M3 150 80 25
		FT:news 110 - -
		FT:lore - 64 -
		FT:romance - - 30
	END
}

# row MODEL DOMAIN PPL [PROTOCOL [DATA_HASH [MODEL_HASH [TARGETS]]]]
row() {
	awk -v m="$1" -v d="$2" -v p="$3" -v proto="${4:-disjoint}" -v data="${5:-data-$2}" -v hash="${6:-hash-$1}" \
		-v t="${7:-1000}" 'BEGIN { printf "%s\t%s\t%s\t%s\t%s\t%.17g\t%d\t4000\t1\t%s\t1\t0\n", m, hash, d, proto, data, t * log(p), t, p }'
}

# refused CODE WORDS...: exit code, one line that has the words, nothing written
refused() {
	local code=$1
	shift
	run --separate-stderr transfer-matrix --order order.tsv -o out "${rows[@]:-rows.tsv}"
	[ "$status" -eq "$code" ] || { echo "exit $status: $stderr"; return 1; }
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	for word in "$@"; do
		[[ $stderr == *"$word"* ]] || { echo "no '$word' in: $stderr"; return 1; }
	done
	[ ! -e out ] && [ ! -e out.partial ]
}

bats_require_minimum_version 1.5.0

@test "matrix.tsv is what the rows say, in the order's sequence" {
	transfer-matrix --order order.tsv --name small -o out rows.tsv
	diff <(tail -n +2 out/matrix.tsv) - <<-'END'
		step	after	news	lore	romance
		0	-	200	100	50
		1	news	100	90	55
		2	lore	120	60	52
		3	romance	150	80	25
	END
	[ "$(head -n 1 out/matrix.tsv)" = "#palimpsest-matrix 1	transfer-matrix 0.1.0 --name small	inputs $(sha_of order.tsv rows.tsv)" ]
	for f in out/*.tsv; do head -n 1 "$f"; done | cut -f 3 | uniq -c | grep -q "^ *$(ls out/*.tsv | wc -l) inputs $(sha_of order.tsv rows.tsv)\$"
	[ ! -e out.partial ]
}

@test "per-domain.tsv and summary.md" {
	transfer-matrix --order order.tsv -o out rows.tsv
	diff <(tail -n +2 out/per-domain.tsv | cut -f 1-12) - <<-'END'
		step	domain	l1	portion	cosine	zs	ft	cpt	lc	best	best_step	targets
		1	news	press	informative	0.5	200	110	100	150	100	1	1000
		2	lore	prose	informative	0.25	100	64	60	80	60	2	1000
		3	romance	fiction	imaginative	-	50	30	25	25	50	0	1000
	END
	diff out/summary.md - <<-'END'
		| domains | n | ZS | FT | CPT | LC | LC - CPT |
		| --- | ---: | ---: | ---: | ---: | ---: | ---: |
		| informative | 2 | 150.00 | 87.00 | 80.00 | 115.00 | +35.00 |
		| imaginative | 1 | 50.00 | 30.00 | 25.00 | 25.00 | +0.00 |
		| all | 3 | 116.67 | 68.00 | 61.67 | 85.00 | +23.33 |
	END
}

@test "summary.md: a portion with a bar, a huge perplexity" {
	sed -i 's/informative/fact|news/' order.tsv
	awk -F '\t' -v OFS='\t' '$1 == "M3" && $3 == "lore" { $10 = "1e40" } 1' rows.tsv >huge.tsv
	transfer-matrix --order order.tsv -o out huge.tsv >text
	grep -qxF '| fact\|news | 2 | 150.00 | 87.00 | 80.00 | 5e+39 | +5e+39 |' out/summary.md
	grep -qE '^  LC  after the whole sequence +5e\+39 +25.00 +3.333e\+39$' text
	grep -qE '^ +\+[0-9.]+e\+14 %  forgotten' text
	[ "$(awk '{ print length }' text | sort -n | tail -n 1)" -le 100 ]
}

@test "metrics.tsv and metrics.json say the same, and every measure has its place in the manual" {
	transfer-matrix --order order.tsv -o out rows.tsv
	command -v jq >/dev/null || skip "jq is not installed"
	diff <(tail -n +3 out/metrics.tsv | awk -F'\t' '{ print $1, $2, $3 == "-" ? "null" : sprintf("%.12g", $3), $6, $7 }') \
		<(jq -r '.metrics[] | "\(.metric) \(.scope) \(.value) \(.n) \(.of)"' out/metrics.json |
			awk '{ print $1, $2, $3 == "null" ? $3 : sprintf("%.12g", $3), $4, $5 }')
	[ "$(jq '.metrics[] | select(.metric == "BWT" and .scope == "all").value * 1e6 | round' out/metrics.json)" -eq \
		"$(awk 'BEGIN { printf "%.0f", 1e6 * (log(100 / 150) + log(60 / 80)) / 2 }')" ]
	for metric in $(tail -n +3 out/metrics.tsv | cut -f 1 | sort -u); do
		grep -qE "^\.It Sy (.* , )?$metric( ,.*)?\$" "$BATS_TEST_DIRNAME/../man/transfer-matrix.1" || { echo "$metric"; return 1; }
	done
}

@test "cells, distance, checkpoints and l1 have a line for each case" {
	transfer-matrix --order order.tsv -o out rows.tsv
	[ "$(tail -n +3 out/cells.tsv | wc -l)" -eq 12 ]
	[ "$(tail -n +3 out/distance.tsv | cut -f 1 | tr '\n' ' ')" = "-2 -1 0 1 2 " ]
	[ "$(tail -n +3 out/checkpoints.tsv | wc -l)" -eq 3 ]
	[ "$(tail -n +3 out/l1.tsv | wc -l)" -eq 9 ]
	# backward and forward, each within the portion and across
	[ "$(awk -F'\t' '$1 == 2 || $1 == 3 { print $10, $12, $16, $18 }' out/checkpoints.tsv | tr '\n' ',')" = "1 0 0 1,0 2 0 0," ]
	[ "$(awk -F'\t' '$2 == "fiction" && $4 == "press" { print $6, $8 }' out/l1.tsv)" = "1 0" ]
	awk -F'\t' '$1 == "all" { e = $12 - (log(150 / 100) + log(80 / 60)) / 3; exit !(e < 1e-12 && e > -1e-12) }' out/summary.tsv
	[ "$(awk -F'\t' '$1 == 2 { print $4, $7 }' out/cells.tsv | tr '\n' ' ')" = "news 1 lore 0 romance -1 " ]
	awk -F'\t' '$1 == 2 && $4 == "news" { e = $9 - log(200 / 120); exit !(e < 1e-12 && e > -1e-12) }' out/cells.tsv
}

@test "about.tsv: the largest standard error, and the change where colours end, which the largest of nine do not move" {
	sed -i '/^M3\t.*\tromance/d; /^M1\t.*\tlore/s/0$/0.02/; /^M2\t.*\tnews/s/0$/0.01/' rows.tsv
	row M3 romance 1 >>rows.tsv
	transfer-matrix --order order.tsv -o out rows.tsv >text
	grep -qx 'max_stderr	0.02' out/about.tsv
	grep -q "standard error of a cell's log-perplexity up to 0.02\$" text
	awk -F '\t' '$1 == "limit" { d = $2 - log(2); exit !(d < 1e-12 && d > -1e-12) }' out/about.tsv
}

@test "rows may come in pieces, in any sequence, twice, and through a pipe" {
	transfer-matrix --order order.tsv --name x -o whole rows.tsv
	{ head -n 2 rows.tsv; tail -n +3 rows.tsv | sort -r | head -n 9; } >a.tsv
	{ head -n 2 rows.tsv; tail -n +3 rows.tsv | sort -r | tail -n +9; } >b.tsv
	transfer-matrix --order order.tsv --name x -o pieces b.tsv a.tsv
	cat a.tsv b.tsv rows.tsv | transfer-matrix --order order.tsv --name x -o pipe -
	for f in matrix.tsv cells.tsv metrics.json per-domain.tsv; do
		cmp <(tail -n +2 whole/$f) <(tail -n +2 pieces/$f)
		cmp <(tail -n +2 whole/$f) <(tail -n +2 pipe/$f)
	done
	head -n 1 pieces/matrix.tsv | grep -q "inputs $(sha_of order.tsv b.tsv a.tsv)\$"
	head -n 1 pipe/matrix.tsv | grep -q "inputs $(sha_of order.tsv a.tsv b.tsv rows.tsv)\$"
	grep -q "^rows	$(sha_of a.tsv b.tsv rows.tsv) stdin\$" pipe/about.tsv
	transfer-matrix --order order.tsv --name x -o once <(cat a.tsv) b.tsv
	grep -q "^rows	$(sha_of a.tsv) [0-9]*\$" once/about.tsv
	grep -q "^rows	$(sha_of a.tsv) a.tsv\$" pieces/about.tsv
}

@test "the same input gives the same bytes, and -o replaces an earlier result" {
	transfer-matrix --order order.tsv -o out rows.tsv
	cp -r out before
	sleep 0.01
	transfer-matrix --order order.tsv -o out rows.tsv
	diff -r before out
}

@test "-o does not replace a folder of other things" {
	mkdir out
	echo precious >out/thesis.txt
	run --separate-stderr transfer-matrix --order order.tsv -o out rows.tsv
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ "$(cat out/thesis.txt)" = precious ]
	[ ! -e out.partial ]
	touch out/matrix.tsv
	fails 1 'such as thesis.txt: left alone' -- transfer-matrix --order order.tsv -o out rows.tsv
}

@test "FT on another domain than its own is read and not used" {
	row FT:news lore 999 >>rows.tsv
	transfer-matrix --order order.tsv -o out rows.tsv
	[ "$(awk -F'\t' '$2 == "lore" { print $7 }' out/per-domain.tsv)" = 64 ]
}

@test "a cell that was not measured is -, and the measures count" {
	grep -v '^M2	hash-M2	news' rows.tsv >some.tsv
	transfer-matrix --order order.tsv -o out some.tsv
	[ "$(sed -n '5p' out/matrix.tsv)" = "2	lore	-	60	52" ]
	[ "$(awk -F'\t' '$1 == "BWD" && $2 == "all" { print $6, $7 }' out/metrics.tsv)" = "2 3" ]
}

@test "no FT at all: its measures are -, the rest is there" {
	grep -v '^FT' rows.tsv >some.tsv
	run transfer-matrix --order order.tsv -o out some.tsv
	[ "$status" -eq 0 ]
	[ "$(awk -F'\t' '$1 == "FT.ppl" && $2 == "all" { print $3, $6, $7 }' out/metrics.tsv)" = "- 0 3" ]
	[[ $output != *"CPT / FT"* ]]
}

@test "refuses rows of two protocols" {
	row M0 news 200 m2d2 >>rows.tsv
	refused 3 rows.tsv:18 "protocol m2d2" disjoint
}

@test "refuses two test sets of one domain" {
	row M0 news 200 disjoint other >>rows.tsv
	refused 3 rows.tsv:18 data_hash other data-news
}

@test "refuses samples of different windows" {
	row M0 news 200 disjoint data-news hash-M0 999 >>rows.tsv
	refused 3 rows.tsv:18 targets 999
}

@test "refuses one model name for two models" {
	row M1 news 100 disjoint data-news other >>rows.tsv
	refused 3 rows.tsv:18 model_hash other
}

@test "refuses two values for a cell" {
	row M1 news 101 >>rows.tsv
	refused 3 rows.tsv:18 "ppl 101" 100
}

@test "refuses a domain that the order does not know" {
	row M1 poetry 101 >>rows.tsv
	refused 3 rows.tsv:18 poetry
}

@test "refuses FT on a domain that the order does not know" {
	row FT:poetry news 101 >>rows.tsv
	refused 3 rows.tsv:18 FT:poetry
}

@test "refuses a step beyond the order, and names that are no step" {
	row M4 news 101 >>rows.tsv
	refused 3 rows.tsv:18 M4 "3 steps"
	sed -i '$d' rows.tsv
	row gpt2 news 101 >>rows.tsv
	refused 3 rows.tsv:18 gpt2
}

@test "refuses numbers that cannot be" {
	for ppl in 0.5 nan inf -3 x 0xc8 ''; do
		cp rows.tsv bad.tsv
		printf 'M0\thash-M0\tnews\tdisjoint\tdata-news\t1\t1000\t4000\t1\t%s\t1\t0\n' "$ppl" >>bad.tsv
		rows=(bad.tsv)
		refused 3 bad.tsv:18
	done
	awk -F'\t' -v OFS='\t' 'NR > 2 { $7 = 0 } { print }' rows.tsv >bad.tsv
	refused 3 bad.tsv:3 "targets must be positive"
	cp rows.tsv bad.tsv
	printf 'M0\thash-M0\tnews\tdisjoint\tdata-news\t-1\t1000\t4000\t1\t200\t1\t0\n' >>bad.tsv
	refused 3 bad.tsv:18
}

@test "refuses a domain or a step without rows, unless --partial" {
	awk -F'\t' '$3 != "lore"' rows.tsv >some.tsv
	rows=(some.tsv)
	refused 3 lore "no row"
	grep -v '^M2' rows.tsv >some.tsv
	refused 3 M2 "after lore" --partial
	transfer-matrix --order order.tsv --partial -o out some.tsv
	[ "$(sed -n '5p' out/matrix.tsv)" = "2	lore	-	-	-" ]
}

@test "refuses an order with a domain twice, a step left out, or none" {
	cp order.tsv good.tsv
	sed 's/lore/news/' good.tsv >order.tsv
	refused 3 order.tsv news twice
	sed 's/^3/4/' good.tsv >order.tsv
	refused 3 order.tsv:5 "step 4"
	head -n 2 good.tsv >order.tsv
	refused 3 order.tsv
	sed 's,lore,../lore,' good.tsv >order.tsv
	refused 3 order.tsv:4
	for column in step after; do # the matrix has these beside its domains
		sed "s,lore,$column," good.tsv >order.tsv
		refused 3 "order.tsv:4: not a name of a domain: $column"
	done
}

@test "refuses files that are cut, empty or of another kind" {
	head -c -3 rows.tsv >cut.tsv
	rows=(cut.tsv)
	refused 3 cut.tsv
	: >cut.tsv
	refused 3 cut.tsv
	cp order.tsv cut.tsv
	refused 3 cut.tsv
	head -n 2 rows.tsv >cut.tsv
	refused 3 cut.tsv
	cut -f 1-9,11- rows.tsv >cut.tsv
	refused 3 cut.tsv ppl
}

@test "a missing file: exit 1; wrong usage: exit 2" {
	rows=(nowhere.tsv)
	refused 1 nowhere.tsv
	for wrong in "rows.tsv" "--order order.tsv" "--order order.tsv --color blue rows.tsv" "--order order.tsv --join rows.tsv"; do
		# shellcheck disable=SC2086
		run --separate-stderr transfer-matrix $wrong
		[ "$status" -eq 2 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
}

@test "warns of a step that changed nothing" {
	sed -i 's/hash-M2/hash-M1/' rows.tsv
	run --separate-stderr transfer-matrix --order order.tsv rows.tsv
	[ "$status" -eq 0 ] && [[ $stderr == *"M1 and M2: the same model_hash"* ]]
}

@test "no colours in a pipe, with NO_COLOR or never; colours with always" {
	transfer-matrix --order order.tsv rows.tsv >plain.txt
	run ! grep -q "$(printf '\033')" plain.txt
	transfer-matrix --order order.tsv --color never rows.tsv | cmp - plain.txt
	NO_COLOR=1 transfer-matrix --order order.tsv rows.tsv | cmp - plain.txt
	transfer-matrix --order order.tsv --color always rows.tsv >colour.txt
	grep -q "$(printf '\033\\[48;5;')" colour.txt
	COLORTERM=truecolor transfer-matrix --order order.tsv --color always rows.tsv | grep -q "$(printf '\033\\[48;2;')"
	# the numbers are the same
	diff <(sed 's/\x1b\[[0-9;]*m//g' colour.txt | grep -E '^[123] ' | sed 's/◂/</') <(grep -E '^[123] ' plain.txt)
}

@test "the map in plain text" {
	transfer-matrix --order order.tsv --name small rows.tsv >text
	diff <(sed -n '/^change in perplexity against/,$p' text) - <<-'END'
		change in perplexity against zero-shot, in %
		row: the model after training on this domain; column: measured on the domain of that step
		            1   2    3
		1 news    -50<-10 │+10 
		2 lore    -40 -40<│ +4 
		          ────────┼────
		3 romance -25 -20 │-50<
		  -: better than zero-shot   +: worse   <: the domain just trained
	END
	LC_ALL=C transfer-matrix --order order.tsv rows.tsv | LC_ALL=C grep -q '[^ -~]' && return 1
	grep -q 'CPT right after the domain.s own step *80.00 *25.00 *61.67$' text
}

@test "the map of a matrix with cells that were not measured: a dot or a blank, and the legend says so" {
	"$BATS_TEST_DIRNAME"/synthetic-rows.sh 20 ends
	awk -F '\t' 'NR < 3 || $1 == "M0" || $1 == "M20" || $1 ~ /^M/ && "M" substr($3, 8) == $1' ends/rows.tsv >some.tsv
	COLUMNS=400 transfer-matrix --order ends/order.tsv some.tsv >text
	[ "$(tail -n 1 text)" = "   .: not measured" ]
	[ "$(grep -cE '^ *[0-9]+ domain_[0-9]+ .* \. ' text)" -eq 19 ]
	COLUMNS=60 transfer-matrix --order ends/order.tsv some.tsv >text
	[ "$(tail -n 1 text)" = "   blank: not measured" ]
	COLUMNS=60 transfer-matrix --color always --order ends/order.tsv some.tsv | sed 's/\x1b\[[0-9;]*m//g' >text
	[ "$(tail -n 1 text)" = "   .: not measured" ]
	grep -qE '^ 1 domain_1 *(o|<>|••)(\. ){11}│(\. ){8}$' text
	transfer-matrix --order order.tsv rows.tsv >text
	run ! grep -q 'not measured' text
}

@test "a matrix of 160 fits any terminal, quickly" {
	"$BATS_TEST_DIRNAME"/synthetic-rows.sh 160 big
	for width in 40 80 132 400; do
		COLUMNS=$width timeout 10 transfer-matrix --order big/order.tsv big/rows.tsv >big.txt
		[ "$(sed -n '/^each cell/,$p' big.txt | grep -E '^ *[0-9]+ ' | awk '{ n = length($0); if (n > m) m = n } END { print m + 0 }')" -le "$width" ]
	done
	timeout 10 transfer-matrix --order big/order.tsv -o out big/rows.tsv >/dev/null
	[ "$(wc -l <out/matrix.tsv)" -eq 163 ]
	[ "$(awk -F'\t' 'NR > 1 { print NF }' out/matrix.tsv | sort -u)" -eq 162 ]
	[ "$(awk -F'\t' '$1 == "BWD" && $2 == "all" { print $6, $7 }' out/metrics.tsv)" = "12720 12720" ]
}

@test "a full disk: exit 1 and one line" {
	[ -w /dev/full ] || skip "no /dev/full"
	run --separate-stderr bash -c 'transfer-matrix --order order.tsv rows.tsv >/dev/full'
	[ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "--follow draws again as rows arrive, and ends when they are all there" {
	"$BATS_TEST_DIRNAME/synthetic-rows.sh" 4 follow
	mkdir arriving
	part() { awk -F '\t' -v want="$1" 'NR < 3 || $1 ~ want' follow/rows.tsv >"$2.new" && mv "$2.new" "$2"; }
	part '^M0$' m0.tsv
	transfer-matrix --order follow/order.tsv --follow arriving --color never m0.tsv >drawn &
	pid=$!
	seen() { # N: drawings
		for ((i = 0; i < 100; i++)); do
			[ "$(grep -c 'change in perplexity against zero-shot' drawn)" -lt "$1" ] || return 0
			sleep 0.1
		done
		cat drawn
		return 1
	}
	seen 1
	part '^M1$' arriving/M1.tsv
	seen 2
	kill -0 $pid
	echo 'no table' >arriving/M2.tsv.tmp.1
	mkdir arriving/folder.tsv
	part '^M[2-4]$' arriving/rest.tsv
	wait $pid
	seen 3
	transfer-matrix --order follow/order.tsv --color never m0.tsv arriving/M1.tsv arriving/rest.tsv >whole
	[ "$(tail -n "$(wc -l <whole)" drawn)" = "$(cat whole)" ]
	run transfer-matrix --order follow/order.tsv --follow arriving -o out
	[ "$status" -eq 2 ]
	run transfer-matrix --order follow/order.tsv --follow arriving -
	[ "$status" -eq 2 ]
}
