#!/usr/bin/env bats
# transfer-report and pipelines/report.sh, on synthetic matrices.

bats_require_minimum_version 1.5.0

setup() {
	PATH="${BUILD:-$BATS_TEST_DIRNAME/../build}/bin:$PATH"
	cd "$BATS_TEST_TMPDIR" || return 1
	unset NO_COLOR COLORTERM
	export LC_ALL=C.UTF-8
	rows="$BATS_TEST_DIRNAME/synthetic-rows.sh"
	report="$BATS_TEST_DIRNAME/../pipelines/report.sh"
	study similar 6
	study random 6 7
}

# study NAME N [SEED]
study() {
	"$rows" "$2" "in-$1" "${3:-1}"
	transfer-matrix --order "in-$1/order.tsv" --name "$1" -o "$1" "in-$1/rows.tsv" >/dev/null
}

# refused CODE WORD COMMAND...
refused() {
	local code=$1 word=$2
	shift 2
	run --separate-stderr "$@"
	[ "$status" -eq "$code" ] || { echo "exit $status: $stderr"; return 1; }
	[ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == *"$word"* ]] && [ ! -e page.html ] || { echo "$stderr"; return 1; }
}

need_gnuplot() {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
}

@test "a page of two sequences, all inside, every element closed" {
	transfer-report -o page.html similar random
	[ "$(head -n 1 page.html)" = "<!DOCTYPE html>" ]
	[ "$(tail -n 1 page.html)" = "</html>" ]
	run ! grep -qE '(src|href)="[^#d]|url\(|@import|<script|<link' page.html
	for tag in html head body table tr td th div p h1 h2 details summary small a b; do
		[ "$(grep -oE "<$tag[ >]" page.html | wc -l)" -eq "$(grep -oF "</$tag>" page.html | wc -l)" ] || { echo "$tag"; return 1; }
	done
	for id in $(grep -oE 'href="#[a-z0-9]+' page.html | cut -d'#' -f2); do
		grep -q "id=\"$id\"" page.html
	done
	cp page.html before.html
	transfer-report similar random | cmp - before.html
}

@test "the page's data are the directory's files" {
	transfer-report similar >page.html
	grep -oE 'download="similar.matrix.tsv" href="data:text/tab-separated-values;base64,[^"]*' page.html | sed 's/.*base64,//' |
		base64 -d | cmp - similar/matrix.tsv
}

@test "numbers are those of transfer-matrix" {
	value=$(awk -F'\t' '$1 == "LC.ppl" && $2 == "all" { printf "%.2f", $3 }' similar/metrics.tsv)
	change=$(awk -F'\t' '$1 == "FG.cpt" && $2 == "all" { printf "%+.1f %%", 100 * (exp($3) - 1) }' similar/metrics.tsv)
	transfer-report --text similar random >text
	grep -qE "^LC: at the end +$value " text
	grep -qF "$change" text
	# up to the last distance that there is, it is not lost
	reach=$(awk -F'\t' '$1 == "BWD.reach" && $2 == "all" { print $3 }' similar/metrics.tsv)
	[ "$reach" -eq 5 ]
	grep -qE "^steps that it lasts +$reach " text
	transfer-report similar random | grep -qF "<td>$value</td>" || transfer-report similar random | grep -qF "<td><b>$value</b></td>"
}

@test "names with marks of HTML stay text" {
	sed 's/domain_1	/a<b>\&"c	/g' in-similar/order.tsv >order.tsv
	sed 's/domain_1	/a<b>\&"c	/g; s/domain_1$/x/' in-similar/rows.tsv >rows.tsv
	transfer-matrix --order order.tsv --name '<script>' -o odd rows.tsv >/dev/null
	transfer-report --title 'a < b' odd >page.html
	run ! grep -qE '<script|a<b>' page.html
	grep -q 'a&#60;b&#62;&#38;&#34;c' page.html
}

@test "a huge perplexity is short, and what did not change is neither better nor worse" {
	awk -F '\t' -v OFS='\t' '$1 == "M6" { $10 = "1e40" } 1' in-similar/rows.tsv >rows.tsv
	transfer-matrix --order in-similar/order.tsv --name huge -o huge rows.tsv >/dev/null
	transfer-report --text huge >text
	grep -qE '^LC: at the end +1e\+40$' text
	grep -qE '^left over, LC / ZS +\+[0-9.]{5}e\+40 %$' text
	transfer-report huge >page.html
	run ! grep -qE '0{30}|[0-9]{30}\.' page.html
	study one 1
	transfer-report one >page.html
	grep -q '<div class="tile"><b>0.0 %</b><span><strong>forgotten' page.html
}

@test "the page's first words say what was measured" {
	transfer-report similar >page.html
	grep -q 'pretrained on 6 domains one after another. Before the first step and after each of them' page.html
	awk -F '\t' 'NR < 3 || $1 == "M0" || $1 == "M6"' in-random/rows.tsv >some.tsv
	transfer-matrix --order in-random/order.tsv --partial --name ends -o ends some.tsv >/dev/null
	study short 4
	transfer-report ends short >page.html
	grep -q 'pretrained on 4 to 6 domains one after another, in more than one sequence. .* 32 of 62 pairs' page.html
	run ! grep -q 'after each of them' page.html
}

@test "bold for the better one, on a terminal that has it" {
	transfer-report --text similar random >plain
	run ! grep -q "$(printf '\033')" plain
	transfer-report --text --color always similar random | grep -q "$(printf '\033\\[1m')"
	refused 2 'without -o and --figures' transfer-report --text -o page.html similar random
	refused 2 'without -o and --figures' transfer-report --text --figures . similar random
	# of two that are shown alike, such as sums of the same numbers in another sequence, none is
	awk -F '\t' -v OFS='\t' '/^model/ { for (i = 1; i <= NF; i++) if ($i == "ppl") ppl = i } $1 == "M0" { $ppl = sprintf("%.12f", $ppl + 1e-9) } { print }' \
		in-similar/rows.tsv >rows.tsv
	transfer-matrix --order in-similar/order.tsv --name next -o next rows.tsv >/dev/null
	transfer-report similar next >page.html
	run ! grep -q '<td><b>' page.html
}

@test "a mean over a part of the domains says so, is not compared with zero-shot, and is not the better one" {
	# the last model was measured on domains 1 and 2 alone, and FT on domain 6 alone
	awk -F '\t' '!($1 == "M6" && $3 !~ /_[12]$/) && !($1 ~ /^FT/ && $1 != "FT:domain_6")' in-similar/rows.tsv >some.tsv
	transfer-matrix --order in-similar/order.tsv --name some -o some some.tsv >text
	grep -qE '^ +over so many domains +2/3 +0/3 +2/6$' text
	grep -qE '^\| all \| 6 \| [0-9.]+ \| [0-9.]+ \(1 of 6\) \| [0-9.]+ \(5 of 6\) \| [0-9.]+ \(2 of 6\) \| \+[0-9.]+ \(2 of 6\) \|$' some/summary.md
	[ "$(cut -f 1,2,13- some/summary.tsv | tail -n 1)" = "all	6	6	1	5	2	2" ]
	transfer-report some >page.html
	row() { sed -n '/<th>ZS<\/th>/,/<\/table>/p' "$1" | sed -n "0,/<td class=\"l\">$2<.*/s/<td class=\"l\">\($2<.*\)/\1/p" | sed 's/<[^>]*>/ /g' | xargs; }
	[[ $(row page.html all) =~ ^all\ 6\ [0-9.]+\ [0-9.]+\ \(1\ of\ 6\)\ [0-9.]+\ \(5\ of\ 6\)\ [0-9.]+\ \(2\ of\ 6\)$ ]]
	transfer-report similar >page.html
	[[ $(row page.html all) =~ ^all\ 6\ [0-9.]+(\ [0-9.]+\ [+−][0-9.]+\ %){3}$ ]]
	# the change is that of the tiles, of geometric means
	[[ $(row page.html all) == *" $(awk -F '\t' '$1 == "LC-ZS" && $2 == "all" { printf "%+.1f %%", 100 * (exp($3) - 1) }' similar/metrics.tsv | sed 's/-/−/')" ]]
	transfer-report --text --color always some random >text
	grep -qE '^LC: at the end +[0-9.]+ \(2 of 6\) +[0-9.]+$' text
	# other domains: no better one at all
	sed 's/domain_6	/other	/' in-random/order.tsv >order.tsv
	sed 's/domain_6	/other	/g' in-random/rows.tsv >rows.tsv
	transfer-matrix --order order.tsv --name other -o other rows.tsv >/dev/null
	transfer-report --text --color always similar other | tail -n +2 >text
	run ! grep -q "$(printf '\033')" text
	transfer-report similar other >page.html
	run ! grep -q '<td><b>' page.html
}

@test "refuses other protocols, other test data, one name twice" {
	"$rows" 6 in-other
	sed -i 's/	disjoint	/	m2d2	/' in-other/rows.tsv
	transfer-matrix --order in-other/order.tsv --name other -o other in-other/rows.tsv >/dev/null
	refused 3 m2d2 transfer-report -o page.html similar other
	"$rows" 6 in-third
	sed -i 's/	data-domain_3	/	data-new	/' in-third/rows.tsv
	transfer-matrix --order in-third/order.tsv --name third -o third in-third/rows.tsv >/dev/null
	refused 3 domain_3 transfer-report -o page.html similar third
	study none 2 # has no domain_3: the second and the third differ
	refused 3 "third: domain domain_3: test data differ from those of similar" transfer-report -o page.html none similar third
	cp -r similar again
	refused 3 "both are named similar" transfer-report -o page.html similar again
	for name in 'a b' a_b; do
		transfer-matrix --order in-similar/order.tsv --name "$name" -o "$name" in-similar/rows.tsv >/dev/null
	done
	refused 3 "a b and a_b: the figures of both are named a_b" transfer-report -o page.html 'a b' a_b
}

@test "refuses directories that are broken" {
	refused 1 nowhere transfer-report -o page.html nowhere
	cp -r similar broken
	head -c -5 similar/matrix.tsv >broken/matrix.tsv
	refused 3 broken/matrix.tsv transfer-report -o page.html broken
	head -n -1 similar/matrix.tsv >broken/matrix.tsv
	refused 3 broken/matrix.tsv transfer-report -o page.html broken
	sed 's/	domain_2	/	domain_x	/' similar/matrix.tsv >broken/matrix.tsv
	refused 3 domain_x transfer-report -o page.html broken
	awk -F '\t' -v OFS='\t' 'NR == 4 { $3 = 0.5 } { print }' similar/matrix.tsv >broken/matrix.tsv
	refused 3 "domain_1: a perplexity below 1" transfer-report -o page.html broken
	cp similar/matrix.tsv broken
	sed '/^protocol/d' similar/about.tsv >broken/about.tsv
	refused 3 broken/about.tsv transfer-report -o page.html broken
	refused 1 figures transfer-report -o page.html --figures figures similar
	refused 2 directory transfer-report -o page.html
}

@test "report.sh: a page with all its figures" {
	need_gnuplot
	run --separate-stderr "$report" -o page.html -f figures similar random
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	[ "$(cd figures && echo *)" = "course.svg distance.svg random.forgetting.svg random.heat.svg random.l1.svg random.sequence.svg similar.forgetting.svg similar.heat.svg similar.l1.svg similar.sequence.svg" ]
	[ "$(grep -c '<figure><div class="scroll"><img [^>]*src="data:image/svg+xml;base64,' page.html)" -eq 10 ]
	for svg in figures/*.svg; do
		[ "$(grep . "$svg" | tail -n 1)" = "</svg>" ]
		run ! grep -qE "[=', (>]-?nan" "$svg"
	done
	# each name is there, and each curve
	for i in 1 2 3 4 5 6; do grep -q ">domain_$i<" figures/similar.sequence.svg; done
	grep -q 'random: not seen yet' figures/course.svg
}

@test "report.sh: one domain, no FT, missing cells, more sequences than gnuplot has arguments" {
	need_gnuplot
	"$rows" 1 in-one
	grep -v '^FT' in-one/rows.tsv >one.tsv
	transfer-matrix --order in-one/order.tsv --name one -o one one.tsv >/dev/null
	"$report" -o one.html one
	grep -v '^M3	[^	]*	domain_2' in-similar/rows.tsv | grep -v '^M0	[^	]*	domain_4' | grep -v ^FT >some.tsv
	transfer-matrix --order in-similar/order.tsv --name some -o some some.tsv >/dev/null
	"$report" -o some.html some
	for i in 1 2 3 4 5 6; do transfer-matrix --order in-similar/order.tsv --name "n$i" -o "n$i" in-similar/rows.tsv >/dev/null; done
	"$report" -o many.html -f many n1 n2 n3 n4 n5 n6
	[ "$(grep -oE 'n[1-6]<' many/distance.svg | sort -u | wc -l)" -eq 6 ]
}

@test "report.sh: names with per cent and blanks; 160 domains stay small" {
	need_gnuplot
	sed 's/domain_1	/50% (a) x	/g' in-similar/order.tsv >order.tsv
	sed 's/domain_1	/50% (a) x	/g' in-similar/rows.tsv >rows.tsv
	transfer-matrix --order order.tsv --name "it's 5 %" -o 'odd name' rows.tsv >/dev/null
	"$report" -o odd.html -f odd 'odd name'
	grep -q ">50% (a) x<" odd/it_s_5__.sequence.svg
	study big 160
	timeout 60 "$report" -o big.html big
	[ "$(wc -c <big.html)" -lt 3000000 ]
}

@test "report.sh: names with quotation marks, hashes and backslashes" {
	need_gnuplot
	for table in order rows; do
		sed 's/domain_1	/"quo	/g; s/domain_2	/b"c	/g; s/domain_3	/#d	/g; s/domain_4	/e\\nf	/g; s/wiki_field0/"L/; s/	s2orc	/	"s	/' "in-similar/$table.tsv" >$table.tsv
	done
	for name in '#x' '"x'; do
		transfer-matrix --order order.tsv --name "$name" -o quoted rows.tsv >/dev/null
		run --separate-stderr "$report" -o quoted.html -f quoted-figures quoted
		[ "$status" -eq 0 ]
		[ -z "$output$stderr" ]
		grep -q ">${name/\"/“}: seen before<" quoted-figures/course.svg
		grep -q ">${name/\"/“}<" quoted-figures/distance.svg
	done
	for name in “quo b”c '#d' 'e\nf'; do
		for figure in heat sequence forgetting; do grep -qF ">$name<" "quoted-figures/_x.$figure.svg"; done
	done
	grep -q '>“L<' quoted-figures/_x.l1.svg
	grep -q '&#34;quo' quoted.html
}

@test "report.sh: a shorter sequence before a longer one does not cut it" {
	need_gnuplot
	study short 4
	study long 9
	"$report" -o page.html -f figures short long
	grep -q '> *9<' figures/course.svg
	grep -q '> *8<' figures/distance.svg
}

@test "report.sh: what was not measured is seen to be so, and a single step that was" {
	need_gnuplot
	points() { grep -c "<use xlink:href='#gpPt6' transform='translate([^)]*) scale(2.19)'" "$1"; }
	"$rows" 50 in-ends
	awk -F '\t' 'NR < 3 || $1 == "M0" || $1 == "M50" || $1 ~ /^M/ && "M" substr($3, 8) == $1' in-ends/rows.tsv >some.tsv
	transfer-matrix --order in-ends/order.tsv --name ends -o ends some.tsv >/dev/null
	"$report" -o page.html -f figures ends similar
	grep -q '>not measured<' figures/ends.heat.svg
	run ! grep -q '>not measured<' figures/similar.heat.svg
	# the one of ends, and 5 of similar (its first step has none), each line's legend too
	[ "$(points figures/course.svg)" -eq 8 ] || { points figures/course.svg; return 1; }
	grep -q 'perplexities (hatched: not measured)</summary>' page.html
	[ "$(grep -o '<td class="no">-</td>' page.html | wc -l)" -eq 2401 ]
}

@test "report.sh: wrong usage, and what transfer-matrix did not write" {
	run --separate-stderr "$report"
	[ "$status" -eq 2 ]
	need_gnuplot
	mkdir empty
	run --separate-stderr "$report" -o page.html empty
	[ "$status" -ne 0 ] && [ ! -e page.html ]
}
