#!/usr/bin/env bats
# study-report and pipelines/study.sh, on synthetic matrices.

load common

setup() {
	scratch
	for i in 1 2; do
		"$root/tests/synthetic-rows.sh" 9 in $i
		transfer-matrix --order in/order.tsv --name "run $i" -o m$i in/rows.tsv >/dev/null
		sh "$root/tests/synthetic-tables.sh" in
		mv in/classes.tsv in/ranks.tsv in/bigbench.tsv m$i
	done
	# the second has other portions at other places, and the same domains
	printf '#palimpsest-study 1\nrun\tmodel\tparameters\torder\tbatch\tvaried\tmatrix\ttables\n%s\n%s\n' \
		$'small/similar\tsmall\t100\tsimilar\t16\t-\tm1\tm1' $'a<b>&"\'/similar\tlarge\t200\tsimilar\t16\t-\tm2\tm2' >runs.tsv
	study-stats -o study --draws 100 runs.tsv >/dev/null
}

@test "a page, all inside, every element closed, names escaped, the data those of the tables" {
	study-report -o page.html --title 'A <title>' runs.tsv study
	[ "$(head -n 1 page.html)" = "<!DOCTYPE html>" ]
	[ "$(tail -n 1 page.html)" = "</html>" ]
	run ! grep -qE '(src|href)="[^#d]|url\(|@import|<script|<link' page.html
	for tag in html head body table tr td th div p h1 h2 h3 details summary small a b span dl dd dt code; do
		[ "$(grep -oE "<$tag[ >]" page.html | wc -l)" -eq "$(grep -oF "</$tag>" page.html | wc -l)" ] || { echo "$tag"; return 1; }
	done
	for id in $(grep -oE 'href="#[a-z0-9]+' page.html | cut -d'#' -f2); do
		grep -q "id=\"$id\"" page.html
	done
	grep -qF '<h1>A &#60;title&#62;</h1>' page.html
	run ! grep -qF 'a<b>' page.html
	grep -oE 'download="findings.tsv" href="data:text/tab-separated-values;base64,[^"]*' page.html | head -n 1 | sed 's/.*base64,//' |
		base64 -d | cmp - study/findings.tsv
	study-report --title 'A <title>' runs.tsv study | cmp - page.html
}

@test "every verdict and number of findings.tsv is on the page" {
	study-report -o page.html runs.tsv study
	[ "$(grep -oE 'class="chip [a-z]+">' page.html | wc -l)" -eq "$(awk -F '\t' '/^#/ || $1 == "finding" { next } !s[$1]++' study/findings.tsv | wc -l)" ]
	value=$(awk -F '\t' '$1 == "lc-beats-zs" && $3 == "small/similar" { printf "%+.1f", 100 * (exp($4) - 1) }' study/findings.tsv)
	grep -qF "small/similar: ${value/-/−} %" page.html
	# nothing that does not hold where only some domains were measured
	run ! grep -q 'After every step perplexity' page.html
}

@test "tokens, ranks and BIG-bench are on the page where they were measured, with their data" {
	study-report -o page.html runs.tsv study
	for table in classes ranks bigbench; do
		grep -oE "download=\"$table.tsv\" href=\"data:text/tab-separated-values;base64,[^\"]*" page.html | sed 's/.*base64,//' | base64 -d |
			cmp - study/$table.tsv
		cell() { awk -F '\t' -v want="$1" '!/^#/ && !n++ { for (i = 1; i <= NF; i++) c[$i] = i; next } /^#/ { next } '"$2"' { print $c[want]; exit }' study/$table.tsv; }
		case $table in
		classes)
			value=$(awk -v x="$(cell value '$c["class"] == "latex" && $c["measure"] == "LC-ZS"')" 'BEGIN { printf "%+.1f", 100 * (exp(x) - 1) }')
			grep 'small/similar</td><td class="l">latex' page.html | grep -qF ">${value/-/−} % <small>"
			;;
		ranks)
			value=$(printf '%+.3f' "$(cell change '$c["step"] == "all" && $c["where"] == "own" && $c["measure"] == "mrr" && $c["tokens"] == "ngrams"')")
			grep 'small/similar</td><td class="l">key n-grams' page.html | grep -qF ">$value <small>"
			;;
		bigbench)
			# after the sixth of nine steps the second portion has begun
			value=$(printf '%+.1f' "$(cell change '$c["task"] == "arithmetic" && $c["step"] == 4')")
			grep 'small/similar</td><td class="l">arithmetic' page.html | grep -qF ">${value/-/−} <small>"
			;;
		esac
	done
	value=$(awk -F '\t' '$1 == "arithmetic" { printf "%+.1f", $4; exit }' study/findings.tsv)
	grep -qF ": ${value/-/−} <small>[" page.html
	rm m1/classes.tsv m1/ranks.tsv m1/bigbench.tsv m2/classes.tsv m2/ranks.tsv m2/bigbench.tsv
	study-stats -o study --draws 100 runs.tsv >/dev/null
	study-report -o page.html runs.tsv study
	run ! grep -E 'id="(tokens|ranks|bigbench)"|#tokens' page.html
}

@test "figures as SVG and PDF, and in the page" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	sh "$root/pipelines/study.sh" -o page.html -t Title runs.tsv study figures
	for f in groups distance checkpoints forward explain sizes classes ranks ranks-course bigbench small_similar.heat small_similar.sequence small_similar.l1; do
		grep -q '</svg>' "figures/$f.svg"
		[ "$(head -c 5 "figures/$f.pdf")" = %PDF- ]
	done
	[ "$(grep -o '<img' page.html | wc -l)" -eq 16 ]
	grep -q 'download="groups.pdf"' page.html
	[ "$(ls)" = "$(printf '%s\n' figures in m1 m2 page.html runs.tsv study)" ]
	# nothing else, and none without what it shows
	[ "$(find figures -type f ! -name '*.svg' ! -name '*.pdf')" = "" ]
	rm m1/ranks.tsv m2/ranks.tsv m1/bigbench.tsv m2/bigbench.tsv
	study-stats -o study --draws 100 runs.tsv >/dev/null
	sh "$root/pipelines/study.sh" -o page.html runs.tsv study figures
	[ "$(grep -o '<img' page.html | wc -l)" -eq 13 ]
	GNUPLOT=false run sh "$root/pipelines/study.sh" -o other.html runs.tsv study other
	[ "$status" -eq 1 ]
	[ ! -e other.html ] && [ ! -e other ]
}

@test "figures of names with quotation marks, hashes and backslashes" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	sed -i 's/domain_1	/"quo	/g; s/domain_2	/b"c	/g; s/domain_3	/#d	/g; s/domain_4	/e\\nf	/g; s/wiki_field0/"L/' in/order.tsv in/rows.tsv
	transfer-matrix --order in/order.tsv --name quoted -o quoted in/rows.tsv >/dev/null
	printf '#palimpsest-study 1\nrun\tmodel\tparameters\torder\tbatch\tvaried\tmatrix\n%s\n' '"a/similar	"a	100	similar	16	-	quoted' >runs.tsv
	study-stats -o study --draws 100 runs.tsv >/dev/null
	run --separate-stderr sh "$root/pipelines/study.sh" -o page.html runs.tsv study figures
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	for name in “quo b”c '#d' 'e\nf'; do
		for figure in heat sequence; do grep -qF ">$name<" "figures/_a_similar.$figure.svg"; done
	done
	grep -q '>“L<' figures/_a_similar.l1.svg
	for figure in groups distance; do grep -q '>“a/similar<' figures/$figure.svg; done
	[ "$(find figures ! -name '*.svg' ! -name '*.pdf')" = figures ]
}

@test "two runs whose figures would have one name are refused" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	sed -i 's/^small.similar/a_b_____similar/' runs.tsv
	fails 3 "another one's figures are named a_b_____similar" -- sh "$root/pipelines/study.sh" -o page.html runs.tsv study figures
	[ ! -e page.html ]
	[ ! -e figures ]
}

@test "panels show every curve, name and interval" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	export GNUPLOT_LIB=$root/pipelines
	local i g
	# 20 panels of 4 groups, after one step alone
	for i in $(seq 20); do
		for g in 1 2 3 4; do
			printf 'panel-%d\ta rather long name of group %d\t%d\t1\t0\tcurve.%d\n' "$i" $g $g $g
			printf '24\t%d\t%d\t%d\n' $g $((g - 1)) $((g + 1)) >curve.$g
		done
	done >list
	gnuplot -c "$GNUPLOT_LIB/study-panels.gp" out.svg list 'A title' 'of the axis'
	for i in $(seq 20); do grep -q ">panel-$i<" out.svg; done
	for g in 1 2 3 4; do [ "$(grep -c ">a rather long name of group $g<" out.svg)" = 1 ]; done
	grep -q '>of the axis<' out.svg
	[ "$(grep -c "xlink:href='#gpPt6'" out.svg)" = 80 ]
	# side by side, and no other step on the axis
	[ "$(grep -o "xlink:href='#gpPt6' transform='translate([0-9.]*" out.svg | sort -u | wc -l)" = 8 ]
	[ "$(grep -cE '> ?24<' out.svg)" = 20 ]
	run ! grep -E '> ?2[35]<' out.svg
	# the names are below what stands below the axes
	grep -oE 'translate\([0-9.]+,[0-9.]+\)|>step<|>a rather [^<]*<' out.svg | awk -F '[,)]' '/^translate/ { y = $2; next } />step/ && y > low { low = y }
		/>a/ && (!top || y < top) { top = y } END { exit !(low > 0 && top > low + 12) }'
}

@test "a value without an interval is a dot" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	export GNUPLOT_LIB=$root/pipelines
	echo g >list
	printf 'group\toutcome\tpredictor\tcorrelation\tvalue\tlo\thi\ng\tforward\tsize\tpartial\t0.5\t-\t-\ng\tforward\tposition\tpartial\t0.5\t0.4\t0.6\n' >explain.tsv
	awk -v figure=explain -v files=explain -f "$GNUPLOT_LIB/study-figures.awk" list explain.tsv
	gnuplot -c "$GNUPLOT_LIB/study-dots.gp" out.svg explain.dots list Title ''
	# two, and that in the key
	[ "$(grep -c "xlink:href='#gpPt6'" out.svg)" = 3 ]
}

@test "a folder of figures is replaced only if it is one" {
	command -v gnuplot >/dev/null || skip "gnuplot is not installed"
	page() { sh "$root/pipelines/study.sh" -o page.html runs.tsv study "$@"; }
	mkdir mine && touch mine/notes mine/groups.svg
	fails 1 'cannot replace mine' -- page mine
	fails 1 'cannot replace mine' -- page mine/
	rm mine/notes && mv mine/groups.svg mine/drawing.svg
	fails 1 'cannot replace mine' -- page mine
	[ "$(ls mine)" = drawing.svg ]
	mkdir mine/groups.svg
	fails 1 'cannot replace mine' -- page mine
	fails 1 'cannot replace runs.tsv' -- page runs.tsv
	[ ! -e page.html ]
	[ "$(echo *)" = "in m1 m2 mine runs.tsv study" ]
	# an empty one, and one of its own beside what a killed run left
	rm -r mine && mkdir mine
	page mine/
	cp -r mine mine.tmp.1.old && touch mine/other.svg
	page mine
	[ ! -e mine/other.svg ] && [ -e mine/groups.svg ] && [ "$(echo mine*)" = mine ]
}

@test "what is malformed is refused, and no page is written" {
	fails 2 'are needed' -- study-report -o page.html runs.tsv
	fails 2 'title' -- study-report -o page.html --title '' runs.tsv study
	rm study/groups.tsv
	fails 1 'groups.tsv' -- study-report -o page.html runs.tsv study
	sed -i 's/verdict/other/' study/findings.tsv
	fails 3 'verdict' -- study-report -o page.html runs.tsv study
	[ ! -e page.html ]
}
