#!/usr/bin/env bats
load common

setup() {
	scratch
}

# Nothing of an output is there: no result, no staging folder.
nothing_left() {
	[ ! -e "${1:-out}" ] && [ ! -e "${1:-out}.partial" ]
}

# corpus DOCS BYTES: three domains of so many documents of about so many bytes, as JSON Lines.
corpus() {
	awk -v docs="$1" -v bytes="$2" 'BEGIN {
		split("news lore humor", name); split("press learned light", l1); split("a a b", part)
		for (i = 1; i <= docs; i++) for (d = 1; d <= 3; d++) {
			text = "document " i " of " name[d]
			while (length(text) < bytes - 8) text = text " word" length(text)
			printf "{\"domain\":\"%s\",\"l1\":\"%s\",\"portion\":\"%s\",\"text\":\"%s\"}\n", name[d], l1[d], part[d], text
		}
	}'
}

# column NAME: that column of out/domains.tsv, on one line.
column() {
	awk -F '\t' -v name="$1" 'NR == 2 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
		NR > 2 { printf "%s%s", sep, $c; sep = " " }' "${2:-out}/domains.tsv"
}

# jline DOMAIN L1 PORTION TEXT: text as JSON has it.
jline() {
	printf '{"domain":"%s","l1":"%s","portion":"%s","text":"%s"}\n' "$@"
}

@test "a labelled corpus: every document is in exactly one split, as it was" {
	corpus 200 300 > in.jsonl
	run --separate-stderr m2d2-split -o out in.jsonl
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ -z "$stderr" ]
	[ "$(ls out)" = "$(printf 'domains.tsv\nhumor\nlore\nnews')" ]
	[ "$(ls out/news)" = "$(printf 'test.txt\ntrain.txt\nvalid.txt')" ]
	for d in news lore humor; do
		cmp <(jq -r "select(.domain == \"$d\").text" in.jsonl | sort) <(sort out/$d/*.txt)
	done
	[ "$(head -n 1 out/domains.tsv | cut -f 1)" = "#palimpsest-domains 1" ]
	[ "$(head -n 1 out/domains.tsv | cut -f 3)" = "inputs $(sha_of in.jsonl)" ]
	[ "$(column domain)" = "news lore humor" ]
	[ "$(column l1)" = "press learned light" ]
	[ "$(column portion)" = "a a b" ]
	for s in train valid test; do
		[ "$(column ${s}_bytes)" = "$(for d in news lore humor; do wc -c < out/$d/$s.txt; done | xargs)" ]
		[ "$(column ${s}_docs)" = "$(for d in news lore humor; do wc -l < out/$d/$s.txt; done | xargs)" ]
	done
	# a tenth each, and the document that passes it
	awk -F '\t' 'NR > 2 { all = 10 * int(($5 + $7 + $9) / 10); if ($7 < all / 10 || $7 > all / 10 + 330 || $9 < all / 10 || $9 > all / 10 + 330) exit 1 }' out/domains.tsv
}

@test "documents keep the order of the input inside a split" {
	corpus 300 100 > in.jsonl
	m2d2-split -o out in.jsonl
	for f in out/news/*.txt; do
		sort -n -k 2,2 -c "$f"
	done
}

@test "same input and seed: same bytes; another seed, another split" {
	corpus 100 200 > in.jsonl
	m2d2-split -o out in.jsonl
	m2d2-split -o again in.jsonl
	diff -r out again
	m2d2-split -o other --seed 1 in.jsonl
	for d in news lore humor; do run ! cmp -s out/$d/test.txt other/$d/test.txt; done # the table names the seed
}

@test "equal documents of two domains are divided each in its own way" {
	corpus 100 200 | grep '"news"' >in.jsonl
	sed 's/"news"/"lore"/' in.jsonl >same.jsonl
	m2d2-split -o out in.jsonl same.jsonl
	run ! cmp -s out/news/test.txt out/lore/test.txt
}

@test "a domain with just the training text that is asked for stays" {
	corpus 100 200 >in.jsonl
	m2d2-split -o out in.jsonl
	m2d2-split -o same --min-train-bytes "$(column train_bytes | tr ' ' '\n' | sort -n | head -n 1)" in.jsonl
	[ "$(column domain same)" = "news lore humor" ]
}

@test "the split does not depend on the order of the input or on other domains" {
	corpus 100 200 > in.jsonl
	sort -r in.jsonl > reversed.jsonl
	grep '"news"' in.jsonl > news.jsonl
	m2d2-split -o out in.jsonl
	m2d2-split -o rev reversed.jsonl
	m2d2-split -o alone news.jsonl
	for s in train valid test; do
		cmp <(sort out/news/$s.txt) <(sort rev/news/$s.txt)
		cmp out/news/$s.txt alone/news/$s.txt
	done
}

@test "the split is random: it does not follow position or length" {
	corpus 1000 60 > in.jsonl
	m2d2-split -o out in.jsonl
	# the mean position of test documents is near the middle: 500, standard error 29 for 100 of them
	awk '{ n++; sum += $2 } END { mean = sum / n; exit !(n > 80 && mean > 385 && mean < 615) }' out/news/test.txt
}

@test "from stdin, from several files, packed: the same" {
	corpus 60 200 > in.jsonl
	head -n 90 in.jsonl > a.jsonl
	tail -n +91 in.jsonl | gzip > b.jsonl.gz
	m2d2-split -o out in.jsonl
	m2d2-split -o two a.jsonl b.jsonl.gz
	m2d2-split -o piped - < in.jsonl
	m2d2-split -o zipped --format jsonl <(gzip -c in.jsonl)
	diff -r out piped
	for d in two zipped; do diff -r -I '^#' out $d; done
	head -n 1 two/domains.tsv | grep -q "inputs $(sha_of a.jsonl b.jsonl.gz)\$"
}

@test "tsv: columns by name, the same result as jsonl" {
	corpus 50 100 > in.jsonl
	{ printf 'id\tportion\ttext\tl1\tdomain\n'; jq -r '["x", .portion, .text, .l1, .domain] | @tsv' in.jsonl; } > in.tsv
	m2d2-split -o out in.jsonl
	m2d2-split -o tsv in.tsv
	diff -r out/news tsv/news
	[ "$(column l1 tsv)" = "press learned light" ]
	gzip in.tsv
	m2d2-split -o packed in.tsv.gz
	diff -r -I '^#' tsv packed
	head -n 1 packed/domains.tsv | grep -q "inputs $(sha_of in.tsv.gz)\$"
}

@test "--test-bytes, --valid-bytes: at least so much" {
	corpus 100 1000 > in.jsonl
	m2d2-split -o out --test-bytes 20k --valid-bytes 5000 in.jsonl
	for d in news lore humor; do
		n=$(wc -c < out/$d/test.txt)
		[ "$n" -ge 20000 ]
		[ "$n" -lt 21100 ]
		n=$(wc -c < out/$d/valid.txt)
		[ "$n" -ge 5000 ]
		[ "$n" -lt 6100 ]
	done
}

@test "--test-bytes or --valid-bytes alone: the other is a tenth" {
	corpus 100 1000 > in.jsonl
	m2d2-split -o test --test-bytes 20k in.jsonl
	m2d2-split -o valid --valid-bytes 5000 in.jsonl
	for d in news lore humor; do
		tenth=$(($(cat test/$d/*.txt | wc -c) / 10))
		for want in "test/$d/test 20000" "test/$d/valid $tenth" "valid/$d/test $tenth" "valid/$d/valid 5000"; do
			n=$(wc -c < "${want% *}.txt")
			[ "$n" -ge "${want#* }" ]
			[ "$n" -lt $((${want#* } + 1100)) ]
		done
	done
}

@test "--max-train-bytes: at most so much, a smaller part of a larger one, the same test text" {
	corpus 100 1000 > in.jsonl
	m2d2-split -o out in.jsonl
	m2d2-split -o big --max-train-bytes 50k in.jsonl
	m2d2-split -o small --max-train-bytes 20k in.jsonl
	for d in news lore humor; do
		n=$(wc -c < big/$d/train.txt)
		[ "$n" -le 50000 ]
		[ "$n" -gt 48900 ]
		n=$(wc -c < small/$d/train.txt)
		[ "$n" -le 20000 ]
		[ "$n" -gt 18900 ]
		cmp out/$d/test.txt small/$d/test.txt
		[ -z "$(comm -23 <(sort small/$d/train.txt) <(sort big/$d/train.txt))" ]
		[ -z "$(comm -23 <(sort big/$d/train.txt) <(sort out/$d/train.txt))" ]
	done
}

@test "--balance: all the same, and too small a domain is an error unless it is left out" {
	{ corpus 100 500; corpus 200 500 | grep '"news"' | sed 's/document/another/'; } > in.jsonl
	m2d2-split -o out --balance 30k in.jsonl
	for n in $(column train_bytes); do
		[ "$n" -le 30000 ]
		[ "$n" -gt 29400 ]
	done
	fails 3 "too little training text to balance: domain lore" -- m2d2-split -o out2 --balance 80k in.jsonl
	nothing_left out2
	run --separate-stderr m2d2-split -o out2 --balance 80k --min-train-bytes 80k in.jsonl
	[ "$status" -eq 0 ]
	[ "$(column domain out2)" = news ]
	[[ $stderr == *"left out: lore: "*"below --min-train-bytes"* ]]
	[ ! -e out2/lore ]
}

@test "--balance and --max-train-bytes count equal documents one by one" {
	corpus 40 500 > some.jsonl
	{ cat some.jsonl; for _ in $(seq 60); do grep '"news"' some.jsonl | tail -n 3; done; } > in.jsonl
	m2d2-split -o all in.jsonl
	for seed in 1 2 3 4 5; do
		for n in 12000 11000; do
			m2d2-split -o out.$n --seed $seed --max-train-bytes $n in.jsonl
			bytes=$(wc -c < out.$n/news/train.txt)
			[ "$bytes" -le $n ]
			[ "$bytes" -gt $((n - 530)) ]
		done
		[ -z "$(comm -23 <(sort out.11000/news/train.txt) <(sort out.12000/news/train.txt))" ]
		tac in.jsonl | m2d2-split -o turned --seed $seed --max-train-bytes 12000 -
		cmp <(sort out.12000/news/train.txt) <(sort turned/news/train.txt)
		cmp out.12000/news/test.txt out.11000/news/test.txt
	done
	mkdir -p in/x
	printf 'same\n\n%.0s' 1 2 3 4 5 6 7 8 > in/x/train.txt # with a blank line behind each
	echo t | tee in/x/valid.txt > in/x/test.txt
	m2d2-split -o lines --max-train-bytes 22 in
	[ "$(cat -A lines/x/train.txt)" = "$(printf 'same$\n$\nsame$\n$\nsame$\n$')" ]
	[ "$(column train_docs lines) $(column train_bytes lines)" = "3 18" ]
}

@test "--max-domain-bytes leaves large domains out" {
	{ corpus 100 500; corpus 200 500 | grep '"news"' | sed 's/document/another/'; } > in.jsonl
	run --separate-stderr m2d2-split -o out --max-domain-bytes 60k in.jsonl
	[ "$status" -eq 0 ]
	[ "$(column domain)" = "lore humor" ]
	[[ $stderr == *"left out: news: "*"over --max-domain-bytes"* ]]
}

@test "--dedupe: once each, across domains; without it equals of a domain are in one split" {
	corpus 100 200 > once.jsonl
	{ cat once.jsonl; head -n 150 once.jsonl; sed 's/"news","l1":"press"/"copy","l1":"press"/' once.jsonl | grep '"copy"' | head -n 50
	  corpus 100 300 | sed 's/"[a-z]*","l1":"[a-z]*","portion":"[a-z]*"/"copy","l1":"press","portion":"a"/'; } > in.jsonl
	m2d2-split -o plain in.jsonl
	for d in news copy; do
		[ -z "$(comm -12 <(sort -u plain/$d/test.txt) <(sort -u plain/$d/train.txt))" ]
		[ -z "$(comm -12 <(sort -u plain/$d/valid.txt) <(sort -u plain/$d/train.txt))" ]
	done
	run --separate-stderr m2d2-split -o out --dedupe in.jsonl
	[ "$status" -eq 0 ]
	[[ $stderr == *"note: 200 duplicate documents left out"* ]]
	[ -z "$(sort out/*/*.txt | uniq -d)" ]
	cmp <(sort -u plain/*/*.txt) <(sort out/*/*.txt)
	m2d2-split -o once once.jsonl
	diff -r once/news out/news # the first in the input stays
}

@test "line breaks inside a document" {
	jline a g p 'one\ntwo\r\nthree\n\n four\n' > in.jsonl
	jline a g p 'plain' >> in.jsonl
	jline a g p 'also\u0009plain \u00e9\ud83d\ude00' >> in.jsonl
	jline a g p '  \n\n' >> in.jsonl
	run --separate-stderr m2d2-split -o out in.jsonl
	[ "$status" -eq 0 ]
	[[ $stderr == *"note: 3 line breaks inside 1 documents became blanks"* ]]
	[[ $stderr == *"note: 1 documents without text left out"* ]]
	cmp <(cat out/a/*.txt | sort) <(printf 'also\tplain \303\251\360\237\230\200\none two three  four\nplain\n' | sort)
	run --separate-stderr m2d2-split -o keep --newlines keep in.jsonl
	[ "$status" -eq 0 ]
	[[ $stderr != *breaks* ]]
	grep -c '' keep/a/*.txt
	[ "$(cat keep/a/*.txt | wc -c)" -eq "$(printf 'one\ntwo\r\nthree\n\n four\nplain\nalso\tplain \303\251\360\237\230\200\n' | wc -c)" ]
	[ "$(cat keep/a/*.txt | wc -l)" -eq 7 ]
	[ "$(column train_docs keep) $(column valid_docs keep) $(column test_docs keep)" = "1 1 1" ]
}

# tree: M2D2 in small, one line a document: S2ORC domains split, Wikipedia's raw, test sets apart, leftovers.
tree() {
	mkdir -p m2d2/cs.CL m2d2/hep-th m2d2/cs_l1 m2d2/Human_activites__Human_activities m2d2/Art m2d2/General_referece m2d2/only_text \
		m2d2/m2d2_test_sets/s2orc/hep-th m2d2/m2d2_test_sets/s2orc/cs.CL m2d2/eval_sets
	for d in cs.CL cs_l1 Art General_referece; do
		for s in train valid test; do
			seq -f "$d $s %g" 40 > m2d2/$d/$s.txt
		done
	done
	gzip m2d2/cs.CL/train.txt
	seq -f "hep-th train %g" 40 > m2d2/hep-th/train.txt
	seq -f "hep-th valid %g" 40 > m2d2/hep-th/valid.txt
	seq -f "hep-th test %g" 40 > m2d2/m2d2_test_sets/s2orc/hep-th/test.txt
	echo "not this" > m2d2/m2d2_test_sets/s2orc/cs.CL/test.txt
	w=m2d2/Human_activites__Human_activities
	seq -f "wiki b %g" 30 > $w/Beta.txt
	seq -f "wiki a %g" 30 > $w/Alpha.txt
	seq -f "held out %g" 31 40 > $w/VALID__Beta.txt
	seq -f "held out %g" 1 30 | gzip > $w/VALID__Alpha.txt.gz
	echo junk > m2d2/eval_sets/test.txt
	echo junk > m2d2/only_text/train.txt
}

@test "m2d2: splits as they come, VALID files in halves, labels from names" {
	tree
	run --separate-stderr m2d2-split -o out m2d2
	[ "$status" -eq 0 ]
	[ "${#stderr_lines[@]}" -eq 2 ]
	[[ $stderr == *"left out: m2d2/eval_sets"* && $stderr == *"left out: m2d2/only_text"* ]]
	[ "$(column domain)" = "Art General_referece Human_activites__Human_activities cs.CL cs_l1 hep-th" ]
	[ "$(column l1)" = "Art General_referece Human_activites cs cs hep-th" ]
	[ "$(column portion)" = "s2orc wiki wiki s2orc s2orc s2orc" ]
	for s in valid test; do cmp m2d2/cs.CL/$s.txt out/cs.CL/$s.txt; done
	zcat m2d2/cs.CL/train.txt.gz | cmp - out/cs.CL/train.txt
	cmp m2d2/m2d2_test_sets/s2orc/hep-th/test.txt out/hep-th/test.txt
	w=out/Human_activites__Human_activities
	cat m2d2/Human_activites__Human_activities/{Alpha,Beta}.txt | cmp - $w/train.txt
	seq -f "held out %g" 40 | cmp - <(cat $w/valid.txt $w/test.txt)
	awk -v a="$(wc -c < $w/valid.txt)" -v b="$(wc -c < $w/test.txt)" 'BEGIN { exit !(a >= b && a - b <= 24) }'
	# every file that was read, once
	cd m2d2
	[ "$(head -n 1 ../out/domains.tsv | cut -f 3)" = "inputs $(sha_of Human*/VALID__{Alpha.txt.gz,Beta.txt} \
		{Art,General_referece,cs.CL,cs_l1}/test.txt m2d2_test_sets/s2orc/hep-th/test.txt {Art,General_referece,cs.CL,cs_l1,hep-th}/valid.txt \
		{Art,General_referece}/train.txt Human*/{Alpha,Beta}.txt cs.CL/train.txt.gz {cs_l1,hep-th}/train.txt)" ]
	cd ..
	[ "$(find out -name '*.index' -o -name '*unsplit*' | wc -l)" -eq 0 ]
}

@test "m2d2: VALID files in halves: a line that begins at the half is of the second" {
	mkdir -p in/Art
	echo train > in/Art/Alpha.txt
	printf '%s\n' one two > in/Art/VALID__Alpha.txt
	m2d2-split -o out in
	[ "$(cat out/Art/valid.txt)" = one ]
	[ "$(cat out/Art/test.txt)" = two ]
}

@test "m2d2: --level, single folders, --test-bytes" {
	tree
	m2d2-split -o out --level l1 m2d2 2> err
	[ "$(column domain)" = "Art General_referece cs_l1" ]
	grep -q 'left out: cs.CL: an L2 domain' err
	m2d2-split -o two --level l2 m2d2 2> err
	[ "$(column domain two)" = "Human_activites__Human_activities cs.CL hep-th" ]
	(cd m2d2/cs.CL && m2d2-split -o ../../one .)
	[ "$(column domain one)" = cs.CL ]
	m2d2-split -o cut --test-bytes 100 --max-train-bytes 200 m2d2/cs.CL/ m2d2/Art
	for d in cs.CL Art; do
		n=$(wc -c < cut/$d/test.txt)
		[ "$n" -le 100 ]
		[ "$n" -gt 80 ]
		n=$(wc -c < cut/$d/train.txt)
		[ "$n" -le 200 ]
		[ "$n" -gt 180 ]
		[ "$(wc -l < cut/$d/valid.txt)" -eq 40 ]
	done
	[ "$(column test_docs cut)" = "$(wc -l < cut/Art/test.txt) $(wc -l < cut/cs.CL/test.txt)" ]
	[ "$(find cut -type f | wc -l)" -eq 7 ]
}

@test "m2d2: lines without text stay, and are no documents" {
	mkdir -p in/x
	printf 'one\n\ntwo\n \nthree' > in/x/train.txt
	printf 'v\n' > in/x/valid.txt
	printf '\n\nt\n' > in/x/test.txt
	m2d2-split -o out in
	[ "$(cat out/x/train.txt)" = "$(printf 'one\n\ntwo\n \nthree')" ]
	[ "$(column train_docs) $(column train_bytes) $(column test_docs)" = "3 17 1" ]
}

@test "m2d2: --dedupe keeps test before validation before training, across domains" {
	mkdir -p in/a in/b
	for d in a b; do
		printf 'in all\n%s train\nb test\nin both trains\n' $d > in/$d/train.txt
		printf 'in all\n%s valid\na test\n' $d > in/$d/valid.txt
		printf 'in all\n%s test\n' $d > in/$d/test.txt
	done
	m2d2-split -o out --dedupe in 2> err
	grep -q 'note: 10 duplicate' err
	[ "$(cat out/a/test.txt)" = "$(printf 'in all\na test')" ]
	[ "$(cat out/b/test.txt)" = "b test" ]
	[ "$(cat out/a/valid.txt)" = "a valid" ]
	[ "$(cat out/a/train.txt)" = "$(printf 'a train\nin both trains')" ]
	[ "$(cat out/b/train.txt)" = "b train" ]
	[ -z "$(sort out/*/*.txt | uniq -d)" ]
}

@test "m2d2: test sets alone" {
	mkdir -p m2d2_test_sets/wikipedia/Art m2d2_test_sets/s2orc/cs.CL
	echo x > m2d2_test_sets/wikipedia/Art/test.txt
	echo y > m2d2_test_sets/s2orc/cs.CL/test.txt
	m2d2-split -o out m2d2_test_sets
	[ "$(column train_bytes) $(column test_bytes)" = "0 0 2 2" ]
	[ "$(ls out/cs.CL)" = test.txt ]
}

@test "many documents: more than one buffer, more domains than descriptors" {
	awk 'BEGIN { for (i = 0; i < 6000; i++) printf "{\"text\":\"text %d of %d\",\"domain\":\"d%d\",\"l1\":\"l\",\"portion\":\"p\"}\n", i, i * 7, i % 100 }' > in.jsonl
	ulimit -n 20
	m2d2-split -o out in.jsonl
	[ "$(ls out | wc -l)" -eq 101 ]
	[ "$(cat out/*/*.txt | sort | md5sum)" = "$(jq -r .text in.jsonl | sort | md5sum)" ]
}

@test "an earlier result is replaced, another folder is not" {
	corpus 20 100 > in.jsonl
	m2d2-split -o out in.jsonl
	corpus 30 100 | grep news > in.jsonl
	m2d2-split -o out in.jsonl
	[ "$(column domain)" = news ]
	mkdir mine
	echo precious > mine/thesis.txt
	fails 1 "cannot replace mine: it holds other things and no domains.tsv" -- m2d2-split -o mine in.jsonl
	[ "$(cat mine/thesis.txt)" = precious ]
	[ ! -e mine.partial ]
	cp -r out more && echo precious >more/news/thesis.txt
	fails 1 "cannot replace more: it holds other things, such as news/thesis.txt" -- m2d2-split -o more in.jsonl
	mv more/news/thesis.txt more
	fails 1 "cannot replace more: it holds other things, such as thesis.txt" -- m2d2-split -o more in.jsonl
	[ "$(cat more/thesis.txt)" = precious ]
	mkdir empty
	m2d2-split -o empty in.jsonl
	[ -e empty/domains.tsv ]
}

@test "a domain may have the name of a temporary file" {
	corpus 20 100 | sed 's/news/a.tmp.1/g' > in.jsonl
	m2d2-split -o out in.jsonl
	[ -s out/a.tmp.1/train.txt ]
	m2d2-split -o out in.jsonl
}

@test "a failure leaves an earlier result as it was" {
	corpus 20 100 > in.jsonl
	m2d2-split -o out in.jsonl
	cp -r out before
	echo '{' >> in.jsonl
	fails 3 in.jsonl:61 -- m2d2-split -o out in.jsonl
	diff -r before out
	[ ! -e out.partial ]
}

@test "malformed JSON lines" {
	good=$(jline a g p text)
	while IFS='~' read -r line message; do
		printf '%s\n%s\n' "$good" "$line" > bad.jsonl
		fails 3 "bad.jsonl:2" "$message" -- m2d2-split -o out bad.jsonl || { echo "$line"; return 1; }
		nothing_left
	done <<- 'END'
		{"domain":"a","l1":"g","portion":"p","text":"x"~byte 48: no ',' or '}'
		{"domain":"a","l1":"g","portion":"p","text":"x~the line ends inside a string
		{"domain":"a","l1":"g","portion":"p","text":"x"} x~byte 50: something stands after
		{"domain":"a","l1":"g","portion":"p","text":"x"}{}~something stands after
		{"domain":"a","l1":"g","portion":"p","text":"x",}~no member name
		{"domain":"a","l1":"g","portion":"p","text":"x","text":"y"}~duplicate member
		{"domain":"a","l1":"g","portion":"p","text":"x","te\u0078t":"y"}~duplicate member
		{"domain":"a","l1":"g","portion":"p","text":"x","z":1,"z":2}~duplicate member
		{"domain":"a","l1":"g","portion":"p","text":"x","z":{"y":1,"y":2}}~duplicate
		{"domain":"a","l1":"g","portion":"p","text":"x","z":[1,]}~bad.jsonl:2
		{"domain":"a","l1":"g","portion":"p","text":"x","z":[1}~bad.jsonl:2
		{"domain":"a","l1":"g","portion":"p","text":"x","z":01}~no ',' or '}'
		{"domain":"a","l1":"g","portion":"p","text":"x","z":1.}~bad number
		{"domain":"a","l1":"g","portion":"p","text":"x","z":-}~bad number
		{"domain":"a","l1":"g","portion":"p","text":"x","z":nul}~no JSON value
		{"domain":"a","l1":"g","portion":"p","text":"x","z":NaN}~no JSON value
		{"domain":"a","l1":"g","portion":"p","text":"\ud800"}~lone surrogate
		{"domain":"a","l1":"g","portion":"p","text":"\udc00"}~lone surrogate
		{"domain":"a","l1":"g","portion":"p","text":"\ud800\u0041"}~lone surrogate
		{"domain":"a","l1":"g","portion":"p","text":"\x"}~bad escape
		{"domain":"a","l1":"g","portion":"p","text":"\u12g4"}~bad \u escape
		{"domain":"a","l1":"g","portion":"p","text":"a	b"}~control character
		{"domain":"a","l1":"g","portion":"p"}~no member text
		{"domain":"a","l1":"g","portion":"p","text":7}~text is no string
		{"domain":"a","l1":"g","portion":null,"text":"x"}~portion is no string
		{"domain":"a","l1":"other","portion":"p","text":"x"}~two l1 of domain a
		{"domain":"a","l1":"g","portion":"other","text":"x"}~two portions of domain a
		{"domain":"a/b","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":"..","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":"@base","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":"a\u0000b","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":"b","l1":"g\tg","portion":"p","text":"x"}~bad l1 name
		{"domain":"b","l1":"g","portion":"","text":"x"}~bad portion name
		{"domain":"domains.tsv","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":".unfinished","l1":"g","portion":"p","text":"x"}~bad domain name
		{"domain":"#palimpsest-x","l1":"g","portion":"p","text":"x"}~bad domain name
		["domain"]~no object
		{}~no member domain
		7~no object
	END
	printf '%s\n\n' "$good" > bad.jsonl
	fails 3 bad.jsonl:2 "no object" -- m2d2-split -o out bad.jsonl
	printf '{"domain":"a","l1":"g","portion":"p","text":"caf\351"}\n' > bad.jsonl
	fails 3 bad.jsonl:1 "byte 49: invalid UTF-8" -- m2d2-split -o out bad.jsonl
	nothing_left
}

@test "members that are not asked for may be anything" {
	for i in 1 2 3; do
		echo " { \"meta\" : {\"a\":[1,{\"b\":\"]}\\\"\"}]}, \"n\":-1.5e+3,\"t\":true,\"f\":false,\"z\":null,\"s\":\"\\/\", \"e\":[] ,\"domain\":\"a\",\"text\":\"x$i\\\\ \\\"y\\\"\",\"l1\":\"g\",\"portion\":\"p\" } "
	done > in.jsonl
	m2d2-split -o out in.jsonl
	cmp <(cat out/a/*.txt | sort) <(printf 'x%d\\ "y"\n' 1 2 3)
	# what a string cannot hold here, and a number that is none of ours
	sed -i 's/"a":\[1,/"u":"a\\u0000b","n":[1e400,-0.'"$(printf '%070d' 0)"'],&/' in.jsonl
	grep -q 'u0000.*1e400' in.jsonl
	m2d2-split -o out in.jsonl
	cmp <(cat out/a/*.txt | sort) <(printf 'x%d\\ "y"\n' 1 2 3)
	sed 's/\[1e400/[1e/' in.jsonl >bad.jsonl
	fails 3 bad.jsonl 'bad number' -- m2d2-split -o no bad.jsonl
}

@test "malformed tables" {
	printf 'domain\tl1\tportion\n' > bad.tsv
	fails 3 "bad.tsv:1: no column text" -- m2d2-split -o out bad.tsv
	printf 'domain\tl1\tportion\ttext\na\tg\tp\n' > bad.tsv
	fails 3 "bad.tsv:2: 3 cells, and 4" -- m2d2-split -o out bad.tsv
	printf 'domain\tl1\tportion\ttext\na\tg\tp\tx' > bad.tsv
	fails 3 "bad.tsv:2" "truncated" -- m2d2-split -o out bad.tsv
	printf 'domain\tl1\tportion\ttext\ttext\n' > bad.tsv
	fails 3 "column text stands twice" -- m2d2-split -o out bad.tsv
	printf 'domain\tl1\tportion\ttext\na\tg\tp\tx\377\n' > bad.tsv
	fails 3 "invalid UTF-8: bad.tsv:2: byte 8" -- m2d2-split -o out bad.tsv
	: > bad.tsv
	fails 3 "bad.tsv: empty file" -- m2d2-split -o out bad.tsv
	nothing_left
}

@test "truncated input" {
	corpus 50 400 | gzip > in.jsonl.gz
	head -c 500 in.jsonl.gz > cut.jsonl.gz
	fails 3 "cut.jsonl.gz" truncated -- m2d2-split -o out cut.jsonl.gz
	nothing_left
}

@test "domains without text in a split" {
	jline a g p 'only one' > in.jsonl
	fails 3 "no valid text: domain a" -- m2d2-split -o out in.jsonl
	jline a g p 'two' >> in.jsonl
	fails 3 "no train text: domain a" -- m2d2-split -o out in.jsonl
	corpus 10 100 > in.jsonl
	fails 3 "no valid text: domain news" -- m2d2-split -o out --test-bytes 1M in.jsonl
	fails 3 "no train text: domain news" -- m2d2-split -o out --max-train-bytes 5 in.jsonl
	: > in.jsonl
	fails 3 "no document: in.jsonl" -- m2d2-split -o out in.jsonl
	mkdir -p in/x
	echo a > in/x/train.txt
	echo a > in/x/valid.txt
	fails 3 "no test text: domain x" -- m2d2-split -o out in
	: > in/x/test.txt
	fails 3 "no test text: domain x" -- m2d2-split -o out in
	run --separate-stderr m2d2-split -o out --min-train-bytes 100 in
	[ "$status" -eq 3 ]
	[[ $stderr == *"left out: x"*"no domain is left"* ]]
	nothing_left
}

@test "trees that cannot be understood" {
	mkdir -p in/x other/x none/here
	for s in train valid test; do echo $s > in/x/$s.txt; done
	cp in/x/* other/x
	fails 3 "domain x stands twice" -- m2d2-split -o out in other
	gzip -k in/x/test.txt
	fails 3 "ambiguous domain: in/x: both" -- m2d2-split -o out in
	rm in/x/test.txt.gz
	echo x > in/x/VALID__x.txt
	fails 3 "VALID__ files beside" -- m2d2-split -o out in
	fails 3 "no domain in none" -- m2d2-split -o out none
	fails 1 "cannot open missing: No such file" -- m2d2-split -o out missing
	rm in/x/VALID__x.txt
	printf 'caf\351\n' > in/x/train.txt
	fails 3 "invalid UTF-8: in/x/train.txt:1: byte 4" -- m2d2-split -o out in
	nothing_left
}

@test "misuse" {
	fails 2 "nothing to split" -- m2d2-split
	fails 2 "unknown format: /etc/hostname" -- m2d2-split /etc/hostname
	fails 2 "different formats" -- m2d2-split a.jsonl b.tsv
	fails 2 "must be one of" -- m2d2-split --newlines maybe a.jsonl
	fails 2 "must be at least 1" -- m2d2-split --test-bytes 0 a.jsonl
	fails 2 "must be at least 0" -- m2d2-split --seed -1 a.jsonl
	fails 1 "missing.jsonl: No such file" -- m2d2-split -o out missing.jsonl
	nothing_left
}

@test "a full disk and a forbidden folder" {
	corpus 300 1000 > in.jsonl
	run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 100; exec m2d2-split -o out in.jsonl'
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"cannot write "*"File too large"* ]]
	nothing_left
	echo x > file
	fails 1 "Not a directory" -- m2d2-split -o file in.jsonl
	fails 1 "Not a directory" -- m2d2-split -o file/out in.jsonl
}

@test "kill -TERM leaves nothing, and after kill -9 a new run does" {
	corpus 20 100 > in.jsonl
	mkfifo pipe
	for sig in TERM HUP KILL; do
		m2d2-split -q -o out --format jsonl pipe &
		pid=$!
		exec {w}> pipe
		cat in.jsonl >&"$w"
		for _ in $(seq 100); do [ -e out.partial/news ] && break; sleep 0.05; done
		[ -e out.partial/news ]
		kill -s $sig $pid
		cat in.jsonl >&"$w" 2> /dev/null || :
		exec {w}>&-
		code=0
		wait $pid || code=$?
		[ $code -eq $((128 + $(kill -l $sig))) ]
		[ ! -e out ]
		[ $sig = KILL ] || nothing_left
	done
	[ -e out.partial ]
	m2d2-split -o out in.jsonl
	[ -e out/domains.tsv ]
	[ ! -e out.partial ]
	m2d2-split -o fresh in.jsonl
	diff -r out fresh
}

@test "kill -TERM before the first document, and notes that nobody reads, leave nothing" {
	mkfifo pipe
	m2d2-split -q -o out --format jsonl pipe &
	pid=$!
	exec {w}> pipe
	for _ in $(seq 100); do [ -e out.partial ] && break; sleep 0.05; done
	sleep 0.2 # the handler is there
	kill $pid
	exec {w}>&-
	code=0
	wait $pid || code=$?
	[ $code -eq 143 ]
	nothing_left
	tree
	bash -c 'exec 2> >(exec true); sleep 0.2; exec m2d2-split -q -o out --level l1 m2d2' || code=$?
	[ $code -eq 141 ]
	nothing_left
}

@test "a second signal while the staging folder is removed: the next run removes what is left" {
	awk 'BEGIN { for (i = 0; i < 9000; i++) printf "{\"text\":\"text %d\",\"domain\":\"d%d\",\"l1\":\"l\",\"portion\":\"p\"}\n", i, i }' >many.jsonl
	corpus 20 100 > in.jsonl
	mkfifo pipe
	m2d2-split -q -o out --format jsonl pipe &
	pid=$!
	exec {w}> pipe
	cat many.jsonl >&"$w"
	for _ in $(seq 600); do [ -e out.partial/d8990 ] && break; sleep 0.05; done
	kill $pid
	{ cat in.jsonl >&"$w" || :; } 2> /dev/null
	exec {w}>&-
	while [ "$(find out.partial -maxdepth 1 2> /dev/null | wc -l)" -gt 4000 ]; do :; done
	kill $pid 2> /dev/null || :
	wait $pid || :
	m2d2-split -q -o out in.jsonl
	[ -e out/domains.tsv ]
	[ ! -e out.partial ]
}

@test "a second run with the same -o ends, and the first one's result is whole" {
	corpus 20 100 > in.jsonl
	mkfifo pipe
	for sig in 0 KILL; do
		m2d2-split -q -o out --format jsonl pipe &
		pid=$!
		exec {w}> pipe
		cat in.jsonl >&"$w"
		for _ in $(seq 100); do [ -e out.partial/news ] && break; sleep 0.05; done
		fails 1 "cannot write folder out: another run is writing it, in out.partial" -- m2d2-split -o out in.jsonl
		[ -e out.partial/news ]
		[ $sig = 0 ] || kill -s $sig $pid
		exec {w}>&-
		wait $pid || [ $sig = KILL ]
	done
	m2d2-split -o fresh in.jsonl
	diff -r out fresh || diff -r -I '^#' out fresh
	[ -e out.partial ]
	m2d2-split -o out in.jsonl
	[ ! -e out.partial ]
	diff -r out fresh
}

@test "demo24: to-jsonl.sh loses nothing, and the split is whole" {
	need_shared data/demo24/docs.tsv.gz
	"$root/examples/demo24/to-jsonl.sh" "$shared/data/demo24" > in.jsonl
	[ "$(wc -l < in.jsonl)" -eq "$(($(zcat "$shared/data/demo24/docs.tsv.gz" | wc -l) - 1))" ]
	for d in cs.CL Technology_and_applied_sciences__Computing; do
		jq -r "select(.domain == \"$d\").text" in.jsonl | cmp - <(zcat "$shared/data/demo24/text/$d.txt.gz")
	done
	m2d2-split -o out --newlines keep in.jsonl
	[ "$(column domain | wc -w)" -eq 24 ]
	for d in $(column domain); do
		cmp <(zcat "$shared/data/demo24/text/$d.txt.gz" | sort) <(sort out/$d/*.txt)
	done
	cmp <(column l1 | xargs -n 1) <(cut -f 2 "$shared/data/demo24/domains.tsv" | tail -n +2)
	cmp <(column portion | xargs -n 1) <(cut -f 1 "$shared/data/demo24/domains.tsv" | tail -n +2)
}
