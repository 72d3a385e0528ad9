#!/usr/bin/env bats
# ppl-eval: the rows and their numbers, that nothing but the protocol changes them, what is refused.

load common

setup_file() {
	scratch_file
	tiny_gpt2 '.initializer_range = 0.2' >small.json
	model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
	words 12345 3000 >a.txt
	words 24690 417 >b.txt
	words 37035 9 >c.txt
	for i in a b c; do tokenize -q -t m0 -o $i.tok $i.txt; done
}

setup() {
	scratch
	eval=(ppl-eval -q --threads 1 -m "$given/m0")
}

# column NAME: of the rows on stdin
column() {
	awk -F '\t' -v name="$1" '/^#/ { next } !at { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }'
}

# count NAME: tokens in $given/NAME, by its header's size and its trailer's (palimpsest-tok(5))
count() {
	echo $((($(stat -c %s "$given/$1") - $(od -An -tu4 -j12 -N4 "$given/$1") - 32) / 2))
}

@test "ppl-eval: a row for each text" {
	run --separate-stderr "${eval[@]}" --protocol disjoint A="$given/a.tok" b.b="$given/b.tok"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[0]} == "#palimpsest-rows 1"$'\t'"ppl-eval "*" --protocol disjoint "* ]]
	[ "${lines[1]}" = $'model\tmodel_hash\tdomain\tprotocol\tdata_hash\tnll\ttargets\tbytes\twindows\tppl\tbpb\tstderr\twords\tword_ppl\tbyte_ppl' ]
	printf '%s\n' "${lines[@]}" >rows
	[ "$(column model <rows | tr '\n' ' ')" = "m0 m0 " ]
	[ "$(column domain <rows | tr '\n' ' ')" = "A b.b " ]
	[ "$(column protocol <rows | uniq)" = "disjoint:32" ]
	[ "$(column model_hash <rows | uniq)" = "$(cat "$given"/m0/config.json "$given"/m0/model.safetensors | sha256sum | cut -d' ' -f1)" ]
	[ "$(column bytes <rows | tr '\n' ' ')" = "$(stat -c %s "$given/a.txt") $(stat -c %s "$given/b.txt") " ]
	[ "$(column stderr <rows | uniq)" = 0 ]
	# all that follows from the others
	awk -F '\t' 'NR > 2 {
		tokens = $7 + $9
		if ($9 != int((tokens + 31) / 32)) exit 1
		if ((d = $10 / exp($6 / $7) - 1) > 1e-12 || d < -1e-12) exit 1
		if ((d = $11 / ($6 / $7 * tokens / $8 / log(2)) - 1) > 1e-12 || d < -1e-12) exit 1
		n++
	} END { exit n != 2 }' rows
}

@test "ppl-eval: the numbers of transformers, in both protocols" {
	need_refs torch transformers safetensors
	for t in a b c; do
		"$python" "$root/tests/ref-gpt2.py" score 32,20,7 "$given/$t.tok" "$given/m0" 2>/dev/null | cut -f 2- >want
		for context in 32 20 7; do
			"${eval[@]}" --context $context x="$given/$t.tok" >m2d2
			"${eval[@]}" --context $context --protocol disjoint x="$given/$t.tok" >disjoint.tsv
			[ "$(column nll <m2d2)" = "$(column nll <disjoint.tsv)" ]
			paste <(column nll <m2d2) <(column targets <m2d2) <(column ppl <m2d2) <(column ppl <disjoint.tsv)
		done >have
		paste have want | awk '
			function off(a, b) { return (a / b - 1) > 1e-6 || (a / b - 1) < -1e-6 }
			off($1, $5) || $2 != $6 || off($3, $7) || off($4, $8) { print; exit 1 }
			END { exit NR != 3 }'
	done
	# they are not the same where the last window is shorter
	[ "$(column ppl <m2d2)" != "$(column ppl <disjoint.tsv)" ]
}

# What tests/gen-protocols.py had from the guide's loop and from lm-evaluation-harness, in f64.
@test "ppl-eval: strided:S is Hugging Face's guide, lm-eval is lm-evaluation-harness" {
	local data=$root/tests/data/protocols text protocol context nll ppl words word_ppl byte_ppl bpb
	mkdir model
	cp "$data"/{config.json,model.safetensors} "$root/tests/gpt2-1024/tokenizer.json" model
	for text in long blanks short; do
		tokenize -q -t model -o $text.tok "$data/$text.txt"
	done
	sed 1d "$data/expected.tsv" | while IFS=$'\t' read -r text protocol context nll ppl words word_ppl byte_ppl bpb; do
		ppl-eval -q --threads 1 -m model --protocol "$protocol" --context "$context" x="$text.tok" >row
		printf '%s\t' "$text $protocol $context" "$nll" "$ppl" "$words" "$word_ppl" "$byte_ppl" "$bpb"
		for c in nll ppl words word_ppl byte_ppl bpb; do column $c <row; done | paste -s -
	done >both
	[ "$(wc -l <both)" -eq "$(sed 1d "$data/expected.tsv" | wc -l)" ]
	awk -F '\t' '{
		for (i = 2; i <= 7; i++)
			if ($i != "-" && ((d = $(i + 6) / $i - 1) > 1e-5 || d < -1e-5)) { print i ": " $0; bad = 1 }
	} END { exit bad || NR < 100 }' both
}

@test "ppl-eval: lm-eval begins with the tokenizer's token, and with the model's where that has none" {
	first() { # TOKENIZER_CONFIG CONFIG: nll
		rm -rf m && cp -r "$given/m0" m
		echo "$1" >m/tokenizer_config.json
		jq "$2" "$given/m0/config.json" >m/config.json
		ppl-eval -q --threads 1 -m m --protocol lm-eval c="$given/c.tok" | column nll
	}
	[ "$(first '{}' .)" = "$(first '{}' '.bos_token_id = 9')" ]
	none='{"bos_token": null, "eos_token": null}'
	[ "$(first "$none" .)" = "$(first '{}' .)" ]
	[ "$(first "$none" '.bos_token_id = 9')" != "$(first "$none" .)" ]
	[ "$(first "$none" '.bos_token_id = null')" = "$(first "$none" .)" ] # that of the end
}

@test "ppl-eval: strided windows score every token but the first once" {
	tokens=$(count a.tok)
	for p in strided:2 strided:7 strided:32; do
		"${eval[@]}" --protocol $p a="$given/a.tok" >rows
		want=$((tokens - 1))
		[ $p != strided:32 ] || want=$((tokens - (tokens + 31) / 32)) # none before each window's first
		[ "$(column targets <rows)" -eq $want ]
		[ "$(column protocol <rows)" = $p:32 ]
	done
	# every 32 tokens: the windows of disjoint, and its number
	[ "$(column nll <rows)" = "$("${eval[@]}" --protocol disjoint a="$given/a.tok" | column nll)" ]
	"${eval[@]}" --protocol strided:8 --precision bf16 --windows 9 a="$given/a.tok" | column protocol >how
	[ "$(cat how)" = strided:8:32,windows=9,seed=1,bf16 ]
}

@test "ppl-eval: words are those of the text, and not known without a tokenizer that holds it" {
	"${eval[@]}" a="$given/a.tok" b="$given/b.tok" >rows
	# one more than there are runs of white space, the last newline among them
	[ "$(column words <rows | paste -s -d' ')" = "3001 418" ]
	awk -F '\t' 'NR > 2 {
		whole = $6 / $7 * ($7 + $9)
		if ((d = $14 / exp(whole / $13) - 1) > 1e-9 || d < -1e-9) exit 1
		if ((d = $15 / 2 ^ $11 - 1) > 1e-9 || d < -1e-9) exit 1
	}' rows
	cp -r "$given/m0" bare
	rm bare/tokenizer.json
	ppl-eval -q --threads 1 -m bare a="$given/a.tok" b="$given/b.tok" >other
	[ "$(column words <other | paste -s -d' ')" = "0 0" ]
	[ "$(column word_ppl <other | paste -s -d' ')" = "0 0" ]
	[ "$(column byte_ppl <other)" = "$(column byte_ppl <rows)" ]
}

@test "ppl-eval: --by-class: the classes add up to the row, exactly" {
	printf 'The price: $5 and $7, not \\emph{9}.\n\n\tLet $x_1 = 2$ in 1999.\n' >kinds.txt
	tokenize -q -t "$given/m0" -o kinds.tok kinds.txt
	for p in m2d2 strided:5 lm-eval "m2d2 --windows 4"; do
		# shellcheck disable=SC2086 # words
		"${eval[@]}" --context 16 --protocol $p --by-class classes -o rows a="$given/a.tok" k=kinds.tok
		[[ $(head -n 1 classes) == "#palimpsest-classes 1"$'\t'"ppl-eval "* ]]
		[ "$(wc -l <classes)" -eq 22 ]
		for name in a k; do
			awk -F '\t' -v name=$name '$3 == name && NR > 2 { nll += $7; n += $8; class[$6] = $8 }
				END { printf "%.17g\t%d\n", nll, n }' classes >sum
			awk -F '\t' -v name=$name '$3 == name && NR > 2 { printf "%s\t%s\n", $6, $7 }' rows | cmp - sum
		done
	done
	"${eval[@]}" --protocol lm-eval --by-class classes -o rows k=kinds.tok
	awk -F '\t' 'NR > 2 { print $6, ($8 > 0) }' classes | paste -s -d, >have
	[ "$(cat have)" = "special 0,newline 1,space 1,latex 1,word-100 1,word-1000 0,word-10000 0,word-rare 0,digits 1,punctuation 1" ]
	# tokens that stand for no text
	tokenize -q --eos -t "$given/m0" -o eos.tok kinds.txt
	"${eval[@]}" --protocol lm-eval --by-class classes -o rows e=eos.tok
	[ "$(awk -F '\t' '$6 == "special" { print $8 }' classes)" -eq 3 ]
	# words that another text does not have are rare
	"${eval[@]}" --protocol lm-eval --by-class classes --counts "$given/a.tok" -o rows k=kinds.tok
	[ "$(awk -F '\t' '$6 == "word-rare" { print ($8 > 0) }' classes)" -eq 1 ]
	[ "$(awk -F '\t' '$6 == "word-100" { print ($8 > 0) }' classes)" -eq 1 ] # "the"
}

@test "ppl-eval: --rank: overall and on n-grams" {
	printf '#palimpsest-ngrams 1\ndomain\tngram\nc\triver stone\nc\tBridge\nother\tlight\nc\tnot there\n' >ngrams
	"${eval[@]}" --protocol lm-eval --rank ranks --ngrams ngrams -o rows a="$given/a.tok" c="$given/c.tok" 2>err
	[ "$(cat err)" = "ppl-eval: ngrams: has no n-grams of domain a" ]
	[[ $(head -n 1 ranks) == "#palimpsest-ranks 1"$'\t'"ppl-eval "* ]]
	[ "$(sed 1,2d ranks | cut -f 3,6,7 | paste -s -d, | tr '\t' ' ')" = \
		"a all -,c all -,c ngrams -,c ngram river stone,c ngram bridge,c ngram not there" ]
	# the tokens of all are those of the row
	[ "$(awk -F '\t' '$6 == "all" { print $9, $10 }' ranks)" = "$(sed 1,2d rows | cut -f 6,7 | tr '\t' ' ')" ]
	sed -n '$p' ranks | cut -f 8- | grep -qxF $'0\t0\t0\t-\t-\t-\t-\t-'
	[ "$(awk -F '\t' '$7 == "bridge" { print $8 }' ranks)" -eq "$(grep -o bridge "$given/c.txt" | wc -l)" ]
	# 1 <= ranks <= vocabulary, 1/mean <= mrr <= 1, top1 <= mrr, top1 <= top10
	awk -F '\t' 'NR > 2 && $11 != "-" {
		if ($11 < 1 || $11 > 1024 || $12 < 1 || $13 > 1 || $13 < 1 / $11 || $14 > $13 || $14 > $15) { print; exit 1 }
	}' ranks
	# the batch changes nothing
	"${eval[@]}" --protocol lm-eval --batch 3 --rank other --ngrams ngrams -o rows a="$given/a.tok" c="$given/c.tok" 2>/dev/null
	cmp ranks other
}

@test "ppl-eval: ranks are those of the model's logits" {
	need_refs torch transformers safetensors
	"${eval[@]}" --protocol lm-eval --context 32 --rank ranks -o rows b="$given/b.tok"
	"$python" "$root/tests/ref-gpt2.py" rank 32 "$given/b.tok" "$given/m0" 2>/dev/null >want
	awk -F '\t' '$6 == "all" { print $11, $12, $13, $14, $15 }' ranks | paste -d ' ' - want | awk '
		function off(a, b) { return (a / b - 1) > 1e-4 || (a / b - 1) < -1e-4 }
		off($1, $6) || off($2, $7) || off($3, $8) || off($4, $9) || off($5, $10) { print; exit 1 } END { exit NF != 10 }'
}

@test "ppl-eval: a last window of one token has nothing to score" {
	tokens=$(count c.tok)
	[ "$tokens" -le 33 ]
	run --separate-stderr "${eval[@]}" --context $((tokens - 1)) x="$given/c.tok"
	[ "$status" -eq 0 ]
	[ "$stderr" = "ppl-eval: $given/c.tok: the last window has only one token and is left out" ]
	printf '%s\n' "${lines[@]}" >rows
	[ "$(column windows <rows)" -eq 1 ]
	[ "$(column targets <rows)" -eq $((tokens - 2)) ]
}

@test "ppl-eval: the batch, the other texts and their order change no bit" {
	for p in "--precision f32" "--precision bf16" "--precision f32 --windows 20" "--precision f32 --context 9" \
		"--precision f32 --threads 2" "--precision bf16 --threads 2"; do
		# shellcheck disable=SC2086 # words
		"${eval[@]}" $p --batch 1 a="$given/a.tok" b="$given/b.tok" | sed 1d | sort >one
		for batch in 2 7 64 1000; do
			# shellcheck disable=SC2086
			"${eval[@]}" $p --batch $batch b="$given/b.tok" a="$given/a.tok" | sed 1d | sort >other
			cmp one other
		done
	done
}

@test "ppl-eval: the protocol says all that must be equal in a comparison" {
	how() { "${eval[@]}" "$@" b="$given/b.tok" | column protocol; }
	[ "$(how)" = m2d2:32 ]
	[ "$(how --context 16)" = m2d2:16 ]
	[ "$(how --protocol disjoint --windows 5 --seed 3)" = disjoint:32,windows=5,seed=3 ]
	[ "$(how --precision bf16)" = m2d2:32,bf16 ]
	[ "$(how --windows 5 --precision bf16)" = m2d2:32,windows=5,seed=1,bf16 ]
}

@test "ppl-eval: a sample of windows, and how far off it may be" {
	full=$("${eval[@]}" a="$given/a.tok" | awk -F '\t' 'NR == 3 { printf "%.17g", $6 / $7 }')
	for seed in 1 2 3 4 5 6 7 8 9 10; do
		"${eval[@]}" --windows 20 --seed $seed a="$given/a.tok" | awk -F '\t' 'NR == 3 { printf "%.17g %s %s\n", $6 / $7, $12, $9 }'
	done >estimates
	[ "$(cut -d' ' -f1 estimates | sort -u | wc -l)" -eq 10 ]
	[ "$(cut -d' ' -f3 estimates | uniq)" = 20 ]
	# their spread is what the standard error says, and no one is far from the whole
	awk -v full="$full" '{ d = $1 - full; s += d * d; e += $2 * $2; if (d > 5 * $2 || d < -5 * $2) exit 1 }
		END { r = sqrt(s / e); print r; exit !(r > 0.4 && r < 2.2) }' estimates
	# the same again; the same windows for another model
	"${eval[@]}" --windows 20 a="$given/a.tok" >one
	"${eval[@]}" --windows 20 a="$given/a.tok" | cmp - one
	# asking for more than there are scores all
	n=$("${eval[@]}" b="$given/b.tok" | column windows)
	"${eval[@]}" --windows $((n + 10)) b="$given/b.tok" >all
	[ "$(column nll <all)" = "$("${eval[@]}" b="$given/b.tok" | column nll)" ]
	[ "$(column stderr <all)" = 0 ]
}

@test "ppl-eval: the standard error by its formula" {
	# two windows of three: from the nll of each, which are those of the three pairs
	context=$((($(count c.tok) + 2) / 3))
	"${eval[@]}" --context "$context" --protocol disjoint c="$given/c.tok" >all
	[ "$(column windows <all)" -eq 3 ]
	for seed in 1 2 3 4 5 6 7 8; do
		"${eval[@]}" --context "$context" --protocol disjoint --windows 2 --seed $seed c="$given/c.tok" | sed -n 3p
	done | cut -f 6,7,12 | sort -u >pairs
	[ "$(wc -l <pairs)" -eq 3 ]
	# total - pair = the third window; e = +-(nll1 - r t1), n = 2, N = 3
	awk -F '\t' -v total="$(column nll <all)" -v targets="$(column targets <all)" '
		{ x[NR] = total - $1; t[NR] = targets - $2; r[NR] = $1 / $2; e[NR] = $3 }
		END {
			for (i = 1; i <= 3; i++) {
				j = i % 3 + 1; k = j % 3 + 1
				s = (x[j] - r[i] * t[j]) ^ 2 + (x[k] - r[i] * t[k]) ^ 2
				want = sqrt((1 - 2 / 3) * s / 1 / 2) / ((t[j] + t[k]) / 2)
				if ((d = e[i] / want - 1) > 1e-6 || d < -1e-6) { print i, e[i], want; exit 1 }
			}
		}' pairs
}

# Two models of other weights, whose difference is sampled.
other_model() {
	model-init -q -c "$given/small.json" -t "$root/tests/gpt2-1024" --seed 2 -o m1
	other=(ppl-eval -q --threads 1 -m m1)
}

@test "ppl-eval: what each window scores adds up to the row" {
	for p in m2d2 disjoint strided:9 lm-eval; do
		"${eval[@]}" --protocol $p --per-window windows a="$given/a.tok" b="$given/b.tok" >rows
		[ "$(sed -n 2p windows)" = $'model\tmodel_hash\tdomain\tprotocol\tdata_hash\twindow\tnll\ttargets' ]
		awk -F '\t' 'FNR == 1 { file++; next } FNR == 2 { next }
			file == 1 { if ($6 != n[$3]++) exit 1; nll[$3] += $7; targets[$3] += $8; about[$3] = $1 $2 $4 $5; next }
			{ if (nll[$3] != $6 || targets[$3] != $7 || n[$3] != $9 || about[$3] != $1 $2 $4 $5) exit 1; rows++ }
			END { exit rows != 2 }' windows rows
	done
	# of a sample, those that were scored
	"${eval[@]}" --windows 20 --per-window some a="$given/a.tok" >rows
	[ "$(wc -l <some)" -eq 22 ]
	cut -f 6 some | sed 1,2d | sort -n -c
}

@test "ppl-eval: sampled until it is exact enough, an estimate by its formula" {
	other_model
	for p in m2d2 disjoint strided:9 lm-eval; do
		"${eval[@]}" --protocol $p --per-window w0 a="$given/a.tok" >r0
		"${other[@]}" --protocol $p --per-window w1 a="$given/a.tok" >full
		"${other[@]}" --protocol $p --reference w0 --until 0.5 --per-window some a="$given/a.tok" >row
		# all is the same but the numbers: protocol and targets those of the full row
		[ "$(cut -f 1-5,7,8 row | sed 1d)" = "$(cut -f 1-5,7,8 full | sed 1d)" ]
		n=$(column windows <row)
		[ "$n" -lt "$(column windows <full)" ]
		[ "$(wc -l <some)" -eq $((n + 2)) ]
		# the windows' numbers are those of all windows
		[ "$(sed 1,2d some | sort | comm -13 <(sort w1) - | wc -l)" -eq 0 ]
		# y_i = difference, weights of the protocol; what the row says
		awk -F '\t' -v n="$n" -v p=$p '
			function near(a, b, what) { if ((d = a / b - 1) > 1e-9 || d < -1e-9) { print p, what, a, b; bad = 1 } }
			FNR == 1 { file++; next } FNR == 2 { next }
			file == 1 { ref[$6] = $7; t[$6] = $8; R += $7; T += $8; all++; next }
			file == 2 { y[$6] = $7 - ref[$6]; Y += y[$6]; X += $8; next }
			file == 3 {
				for (i in ref) {
					w[i] = p == "m2d2" ? t[i] + 1 : p == "strided:9" && i + 0 ? t[i] - 1 : t[i]
					W += w[i]; RW += w[i] * ref[i] / t[i]
				}
				for (i in y) { r = y[i] - Y / X * t[i]; s += r * r; D += w[i] * y[i] / t[i]; WS += w[i] }
				near($6, R + Y / X * T, "nll")
				near($10, exp(RW / W + D / WS), "ppl")
				near($12, sqrt((1 - n / all) * s / (n - 1) / n) / (X / n), "stderr")
			} END { exit bad || file != 3 }' w0 some row
	done
	# of a model that is not far from the reference, more exact than the same number of windows alone would be
	model-merge -q --linear 0.05 -o near "$given/m0" m1
	near=(ppl-eval -q --threads 1 -m near --protocol lm-eval)
	"${near[@]}" a="$given/a.tok" >full
	"${near[@]}" --reference w0 --until 0.5 a="$given/a.tok" >row
	"${near[@]}" --windows "$(column windows <row)" a="$given/a.tok" >alone
	awk -F '\t' 'FNR == 3 { m[++k] = $6 / $7; e[k] = $12 } END { exit !(e[2] < e[3] / 2 && (m[2] - m[1]) ^ 2 < (4 * e[2]) ^ 2) }' full row alone
}

@test "ppl-eval: an estimate below 0 nats is never exact enough" {
	# a text learned by heart, and a reference that was bad at it, at every other window more than at the rest
	for i in $(seq 250); do printf 'the same again and again '; done | tokenize -q -t "$given/m0" -o same.tok
	cpt-step -q --threads 1 -m "$given/m0" -o heart --dropout 0 --lr 1e-2 --batch 4 --steps 60 --schedule constant same.tok >/dev/null
	heart=(ppl-eval -q --threads 1 -m heart)
	"${heart[@]}" --per-window exact a=same.tok >all
	awk -F '\t' 'BEGIN { OFS = "\t" } NR > 2 { $1 = "M0"; $7 = $8 * ($6 % 2 ? 5 : 3) } { print }' exact >w0
	for seed in 1 2 3 4 5 6; do
		"${heart[@]}" --reference w0 --until 0.01 --seed $seed a=same.tok >row
		awk -v nll="$(column nll <row)" -v ppl="$(column ppl <row)" 'BEGIN { exit !(nll >= 0 && ppl >= 1) }'
		[ "$(column windows <row)" -lt "$(column windows <all)" ] || cmp <(column nll <row) <(column nll <all)
	done
}

@test "ppl-eval: the same windows, nested; in the end all of them, and the row without --until" {
	other_model
	"${eval[@]}" --per-window w0 a="$given/a.tok" b="$given/b.tok" c="$given/c.tok" >r0
	"${other[@]}" a="$given/a.tok" b="$given/b.tok" c="$given/c.tok" >full
	"${other[@]}" --reference w0 --until 1e-9 b="$given/b.tok" a="$given/a.tok" c="$given/c.tok" >exact
	diff <(sed 1d full | sort) <(sed 1d exact | sort)
	"${other[@]}" --reference w0 --until 0.5 --per-window few a="$given/a.tok" >row
	"${other[@]}" --reference w0 --until 0.5 --per-window again --batch 3 a="$given/a.tok" | cmp - row
	cmp few again
	"${other[@]}" --reference w0 --until 0.1 --per-window more a="$given/a.tok" >row2
	[ "$(column windows <row2)" -gt "$(column windows <row)" ]
	[ "$(sed 1,2d few | sort | comm -23 - <(sort more) | wc -l)" -eq 0 ]
	"${other[@]}" --reference w0 --until 0.5 --seed 2 --per-window differ a="$given/a.tok" >row
	run ! diff -q <(sed 1,2d few) <(sed 1,2d differ)
	# a small number is kept: c has fewer than 8 windows
	[ "$("${other[@]}" --reference w0 --until 5 c="$given/c.tok" | column stderr)" = 0 ]
	# the reference itself does not differ from itself
	"${eval[@]}" --reference w0 --until 1e-9 a="$given/a.tok" >self
	[ "$(column nll <self)" = "$(column nll <r0 | head -n 1)" ]
	[ "$(column windows <self)" -lt "$(column windows <r0 | head -n 1)" ]
	# they go into one matrix
	printf '#palimpsest-order 1\nstep\tdomain\tl1\tportion\tcosine\n1\ta\tl\tp\t-\n' >order.tsv
	"${eval[@]}" --name M0 a="$given/a.tok" >M0.tsv
	"${other[@]}" --name M1 --reference w0 --until 0.5 a="$given/a.tok" >M1.tsv
	transfer-matrix --order order.tsv -o matrix M0.tsv M1.tsv
	[ "$(awk -F '\t' '$1 == "max_stderr" { print ($2 > 0) }' matrix/about.tsv)" = 1 ]
}

@test "ppl-eval: the rule of when it is enough" {
	other_model
	"${eval[@]}" --protocol disjoint --per-window w0 a="$given/a.tok" >r0
	for until in 0.5 0.2 0.1 0.05 0.02; do
		"${other[@]}" --protocol disjoint --reference w0 --until $until --per-window some a="$given/a.tok" >row
		# a twentieth or 8 at first, doubled since; enough at last, and not before
		tail -n 1 row | awk -F '\t' -v until=$until -v all="$(column windows <r0)" -v ref="$(awk -F '\t' 'NR == 3 { printf "%.17g", $6 / $7 }' r0)" '{
			first = int((all + 19) / 20); if (first < 8) first = 8
			for (n = first; n < $9; n *= 2) ;
			if (n != $9 && $9 != all) exit 1
			t = 2.05 + 2.2 / ($9 - 1) # at least Student'"'"'s for 7 degrees on
			change = $6 / $7 - ref; if (change < 0) change = -change
			most = change / 4 > until ? change / 4 : until
			if (1.959 * $12 > most) { print; exit 1 }
		}'
	done
}

@test "ppl-eval: what is known is not measured twice" {
	other_model
	"${eval[@]}" -o full a="$given/a.tok" b="$given/b.tok" c="$given/c.tok"
	"${eval[@]}" -o some a="$given/a.tok"
	"${other[@]}" -o another a="$given/a.tok" b="$given/b.tok"
	run --separate-stderr ppl-eval --threads 1 -m "$given/m0" --known some --known another a="$given/a.tok" b="$given/b.tok" c="$given/c.tok"
	[[ $stderr == *"1 of 3 texts known, not measured again"* ]]
	cmp full <(echo "$output")
	# copied, and not by chance the same: the name is that of now
	awk -F '\t' -v OFS='\t' 'NR > 2 { $6 = "1.5" } { print }' full >forged
	"${eval[@]}" --name new --known forged x="$given/a.tok" | sed 1,2d | cut -f 1,3,6 | diff - <(printf 'new\tx\t1.5\n')
	# a cell that cannot be is not copied
	for bad in '6 -5' '6 x' '7 0' '7 1.5' '9 -1' '10 -1' '10 abc' '11 abc' '12 -1' '14 abc'; do
		awk -F '\t' -v OFS='\t' -v at="${bad% *}" -v to="${bad#* }" 'NR == 3 { $at = to } { print }' full >forged.bad
		fails 3 forged.bad:3 -- "${eval[@]}" --known forged.bad a="$given/a.tok"
	done
	# other protocols are none of it
	"${eval[@]}" --protocol disjoint --known forged a="$given/a.tok" >row
	[ "$(column nll <row)" = "$(column nll <full | head -n 1)" ]
	# all known: nothing computes, so weights that cannot be are no objection where the hash says that they are the same
	cp -r "$given/m0" m
	size=$(stat -c %s m/model.safetensors)
	head -c 40 /dev/zero | tr '\0' '\377' | dd of=m/model.safetensors bs=1 seek=$((size - 40)) conv=notrunc status=none
	hash=$(cat m/config.json m/model.safetensors | sha256sum | cut -d' ' -f1)
	awk -F '\t' -v OFS='\t' -v h="$hash" 'NR > 2 { $2 = h } { print }' full >rows
	ppl-eval -q -m m --name m0 --known rows a="$given/a.tok" b="$given/b.tok" c="$given/c.tok" >copied
	diff <(sed 1d rows) <(sed 1d copied)
	fails 1 "not finite" -- ppl-eval -q -m m --known rows --context 16 -o no a="$given/a.tok"
	# sampled rows: if they are exact enough
	"${eval[@]}" --per-window w0 -o r0 a="$given/a.tok"
	"${other[@]}" --reference w0 --until 0.5 a="$given/a.tok" >rough
	run --separate-stderr ppl-eval --threads 1 -m m1 --reference w0 --until 0.5 --known rough a="$given/a.tok"
	[[ $stderr == *"1 of 1 texts known"* ]]
	cmp rough <(echo "$output")
	run --separate-stderr ppl-eval --threads 1 -m m1 --reference w0 --until 0.001 --known rough a="$given/a.tok"
	[[ $stderr == *"0 of 1 texts known"* ]]
	run --separate-stderr ppl-eval --threads 1 -m m1 --known rough a="$given/a.tok"
	[[ $stderr == *"0 of 1 texts known"* ]]
	# a sample that is named is the same sample
	"${eval[@]}" --windows 20 a="$given/a.tok" >sample
	run --separate-stderr ppl-eval --threads 1 -m "$given/m0" --windows 20 --known sample a="$given/a.tok"
	[[ $stderr == *"1 of 1 texts known"* ]]
	cmp sample <(echo "$output")
}

@test "ppl-eval: a name for the model, a file for the rows" {
	"${eval[@]}" --name M7 -o rows.tsv b="$given/b.tok" >out
	[ ! -s out ]
	[ "$(column model <rows.tsv)" = M7 ]
	cp -r "$given/m0" dir
	[ "$(ppl-eval -q --threads 1 -m ./dir// b="$given/b.tok" | column model)" = dir ]
	[ "$(echo *)" = "dir out rows.tsv" ]
}

# --- mistakes ---

@test "ppl-eval: usage" {
	fails 2 "-m" -- ppl-eval b="$given/b.tok"
	fails 2 "no text" -- "${eval[@]}"
	fails 2 "NAME=FILE" -- "${eval[@]}" "$given/b.tok"
	fails 2 "--counts goes with --by-class" -- "${eval[@]}" --counts "$given/a.tok" b="$given/b.tok"
	fails 2 "--ngrams goes with --rank" -- "${eval[@]}" --ngrams x b="$given/b.tok"
	fails 2 "several tables to stdout" -- "${eval[@]}" --rank - b="$given/b.tok"
	touch x.tsv && ln -s x.tsv link
	fails 2 "link: is named for two outputs" -- "${eval[@]}" -o x.tsv --rank link b="$given/b.tok"
	fails 2 "x.tsv: is named for two outputs" -- "${eval[@]}" -o x.tsv --rank "$PWD/x.tsv" b="$given/b.tok"
	[ ! -s x.tsv ]
	rm x.tsv link
	fails 2 "several tables to stdout" -- "${eval[@]}" --per-window - b="$given/b.tok"
	fails 2 "--reference and --until go together" -- "${eval[@]}" --until 0.1 b="$given/b.tok"
	fails 2 "--reference and --until go together" -- "${eval[@]}" --reference x b="$given/b.tok"
	for with in "--windows 5" "--by-class c" "--rank r"; do
		# shellcheck disable=SC2086 # words
		fails 2 "--until decides which windows are scored" -- "${eval[@]}" --reference x --until 0.1 $with b="$given/b.tok"
	done
	fails 2 "--until" -- "${eval[@]}" --reference x --until -1 b="$given/b.tok"
	fails 2 "--known has rows alone" -- "${eval[@]}" --known x --per-window w b="$given/b.tok"
	fails 2 "two texts" "'b'" -- "${eval[@]}" b="$given/b.tok" b="$given/a.tok"
	fails 2 "--windows" -- "${eval[@]}" --windows 1 b="$given/b.tok"
	fails 2 "context" -- "${eval[@]}" --context 1 b="$given/b.tok"
	fails 2 "--protocol best" "m2d2|disjoint|strided:S|lm-eval" -- "${eval[@]}" --protocol best b="$given/b.tok"
	fails 2 "nothing may follow" -- "${eval[@]}" --protocol disjoint:16 b="$given/b.tok"
	for p in strided strided: strided:1 strided:-4 strided:8x; do
		fails 2 "strided:S expected" -- "${eval[@]}" --protocol $p b="$given/b.tok"
	done
	fails 2 "windows of 32 tokens would leave some out" -- "${eval[@]}" --protocol strided:33 b="$given/b.tok"
	fails 2 "name" -- "${eval[@]}" ="$given/b.tok"
	fails 2 "name" -- "${eval[@]}" --name $'a\tb' b="$given/b.tok"
}

@test "ppl-eval: no such device" {
	fails 4 -- "${eval[@]}" --device cuda:99 b="$given/b.tok"
}

@test "ppl-eval: texts that do not fit leave no rows behind" {
	fails 3 "longer than the model's 32 positions" -- "${eval[@]}" --context 33 -o rows b="$given/b.tok"
	fails 1 nowhere.tok -- "${eval[@]}" -o rows a="$given/a.tok" n=nowhere.tok
	head -c 200 "$given/b.tok" >cut.tok
	fails 3 cut.tok -- "${eval[@]}" -o rows a="$given/a.tok" b=cut.tok
	tokenize -q -t "$given/m0" -o empty.tok </dev/null
	fails 3 empty.tok "nothing to predict" -- "${eval[@]}" -o rows a="$given/a.tok" e=empty.tok
	printf x | tokenize -q -t "$given/m0" -o single.tok
	fails 3 single.tok "nothing to predict" -- "${eval[@]}" -o rows a="$given/a.tok" e=single.tok
	[ "$(echo *)" = "cut.tok empty.tok single.tok" ]
	# nor do the tables beside them
	fails 3 cut.tok -- "${eval[@]}" --by-class classes --counts cut.tok -o rows b="$given/b.tok"
	printf '#palimpsest-ngrams 1\ndomain\tngram\nb\t...\n' >bad
	fails 3 bad:3 "'...' is no n-gram" -- "${eval[@]}" --rank ranks --ngrams bad --by-class classes -o rows b="$given/b.tok"
	fails 1 "cannot" nowhere/ranks -- "${eval[@]}" --rank nowhere/ranks --by-class classes -o rows b="$given/b.tok"
	rm bad
	[ "$(echo *)" = "cut.tok empty.tok single.tok" ]
}

@test "ppl-eval: a reference may have one text under two names" {
	"${eval[@]}" --per-window w0 b="$given/b.tok" also="$given/b.tok" c="$given/c.tok" >/dev/null
	"${eval[@]}" --reference w0 --until 0.1 any="$given/b.tok" also="$given/b.tok" >rows
	[ "$(column stderr <rows | tr '\n' ' ')" = "0 0 " ]
	[ "$(column nll <rows | uniq | wc -l)" -eq 1 ]
}

@test "ppl-eval: a reference that does not fit leaves nothing behind" {
	"${eval[@]}" --protocol disjoint --per-window w0 -o r0 b="$given/b.tok"
	n=$(column windows <r0)
	sampled() { fails 3 "$@" -o rows --per-window windows b="$given/b.tok"; }
	sampled w0 "has no windows of b" "protocol m2d2:32" -- "${eval[@]}" --reference w0 --until 0.1
	sampled w0 "has no windows of a" "protocol disjoint:32" -- "${eval[@]}" --protocol disjoint --reference w0 --until 0.1 a="$given/a.tok"
	grep -v "$(printf '\t3\t')" w0 >bad
	sampled bad "has $((n - 1)) windows of b, not all $n" -- "${eval[@]}" --protocol disjoint --reference bad --until 0.1
	{ sed 3d w0; sed -n 3p w0; } >bad
	sampled bad:3 "window 1 where 0 is due" -- "${eval[@]}" --protocol disjoint --reference bad --until 0.1
	awk -F '\t' -v OFS='\t' 'NR == 5 { $8-- } { print }' w0 >bad
	sampled bad:5 "window 2 has 30 targets, in b it has 31" -- "${eval[@]}" --protocol disjoint --reference bad --until 0.1
	awk -F '\t' -v OFS='\t' 'NR == 5 { $2 = "other" } { print }' w0 >bad
	sampled bad:5 "second model" -- "${eval[@]}" --protocol disjoint --reference bad --until 0.1
	sampled r0 "#palimpsest-windows is expected" -- "${eval[@]}" --protocol disjoint --reference r0 --until 0.1
	cut -f 1-13 r0 >bad
	fails 3 bad "word_ppl is missing" -- "${eval[@]}" --known bad -o rows b="$given/b.tok"
	fails 1 nowhere -- "${eval[@]}" --known nowhere -o rows b="$given/b.tok"
	[ "$(echo *)" = "bad r0 w0" ]
}

@test "ppl-eval: another tokenizer, ids beyond the vocabulary, weights that do not fit" {
	model-init -q -c <(jq '.vocab_size = 300 | .bos_token_id = 0 | .eos_token_id = 0' "$given/small.json") -o tiny
	fails 3 b.tok "beyond the model's vocabulary of 300" -- ppl-eval -q -m tiny -o rows b="$given/b.tok"
	cp -r "$given/m0" other
	jq '.model.merges |= .[:-1]' "$given/m0/tokenizer.json" >other/tokenizer.json
	fails 3 b.tok "another tokenizer" -- ppl-eval -q -m other -o rows b="$given/b.tok"
	fails 3 b.tok "another tokenizer" -- "${eval[@]}" --by-class classes --counts <(tokenize -q -t other <"$given/b.txt") -o rows b="$given/b.tok" ||
		[[ $stderr == *"another tokenizer"* ]]
	cp -r "$given/m0" short
	cp -r "$given/m0" without
	rm without/tokenizer.json
	fails 3 without "no tokenizer" -- ppl-eval -q -m without --by-class classes -o rows b="$given/b.tok"
	jq '.bos_token_id = null | .eos_token_id = null' "$given/m0/config.json" >without/config.json
	fails 3 without "lm-eval" -- ppl-eval -q -m without --protocol lm-eval -o rows b="$given/b.tok"
	rm -r without
	head -c 9000 "$given/m0/model.safetensors" >short/model.safetensors
	fails 3 short/model.safetensors -- ppl-eval -q -m short -o rows b="$given/b.tok"
	[ "$(echo *)" = "other short tiny" ]
}

@test "ppl-eval: numbers that are not finite are no result" {
	cp -r "$given/m0" m
	# the last tensor of the file becomes NaN: 4 bytes ff each
	size=$(stat -c %s m/model.safetensors)
	head -c 40 /dev/zero | tr '\0' '\377' | dd of=m/model.safetensors bs=1 seek=$((size - 40)) conv=notrunc status=none
	fails 1 "b" "not finite" -- ppl-eval -q -m m -o rows b="$given/b.tok"
	[ ! -e rows ]
}

@test "ppl-eval: a perplexity beyond what a double holds is no result" {
	need_refs safetensors
	cp -r "$given/m0" m
	"$python" - m/model.safetensors <<-'EOF'
		import sys
		from safetensors.numpy import load_file, save_file
		w = load_file(sys.argv[1])
		w[next(name for name in w if name.endswith("ln_f.weight"))] *= 1e6
		save_file(w, sys.argv[1])
	EOF
	fails 1 "b" "perplexity is infinite" -- ppl-eval -q -m m -o rows b="$given/b.tok"
	[ ! -e rows ]
}

@test "ppl-eval: a full disk" {
	run --separate-stderr bash -c '"$@" >/dev/full' - "${eval[@]}" b="$given/b.tok"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "ppl-eval: the page and the help agree" {
	synopsis=$(mandoc -T utf8 -O width=400 "$root/man/ppl-eval.1" | sed 's/.\x08//g' | awk '/^SYNOPSIS/ { on = 1; next } /^[A-Z]/ { on = 0 } on' | tr -s ' \n' ' ')
	[[ $synopsis == *"ppl-eval -m MODEL_DIR [options] NAME=FILE.tok ..."* ]]
	for o in $(ppl-eval -h | grep -o -- '--[a-z][a-z0-9-]*' | sort -u); do
		grep -q -- "${o/--/Fl -}" "$root/man/ppl-eval.1" || { echo "no $o in the page"; return 1; }
	done
}
