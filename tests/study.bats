# pipelines/study.mk on a toy corpus with the real programs: two models, two seeds; ablations; interrupted; what it refuses.

load common

setup() {
	scratch
	here=$PWD bin=${BUILD:-$root/build}/bin
	sh "$root/tests/toy.sh" toy
	model-init -q -c toy/config.json -t toy/tokenizer -o toy/m0 --seed 1
	sed 's/"n_embd": 16/"n_embd": 32/' toy/config.json >toy/large.json
	model-init -q -c toy/large.json -t toy/tokenizer -o toy/m1 --seed 1
	cat >toy.study <<-'END'
		# three made-up domains
		title       A toy
		corpus      toy/corpus.jsonl
		split       --test-bytes 300 --valid-bytes 1
		train-bytes 1500
		model       small toy/m0
		model       large toy/m1
		step        --dropout 0
		eval        --protocol disjoint
		base        batch=4 lr=1e-3 order=random:1
	END
	also="tables classes ranks|ngram-flags -n 3 --max-words 2|bigbench $root/tests/data/bigbench/shop|bigbench-at 2|bigbench-flags --max-examples 4"
}

study() {
	make --no-print-directory -f "$root/pipelines/study.mk" BIN="$bin" STUDY=toy.study OUT="$here/out" THREADS=1 Q=-q gnuplot= "$@" 2>&1
}
# everything in DIR but what a run notes for itself
tree() { (cd "$1" && find . -name .run -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }
# rates RUN K: learning rates of all steps, a line each
rates() { jq -r .lr "out/runs/$1/M$2.log.jsonl"; }

@test "two models, two seeds: shared work once, the numbers of cpt.mk, a report; again: nothing" {
	echo "$also|vary model small large x order random:1 random:2" | tr '|' '\n' >>toy.study
	sed -i 's/1500$/1k/' toy.study
	study -j2 CORPUS=toy/corpus.jsonl >log
	[ "$(awk -F '\t' '!/^#/ { print $1 }' out/runs.tsv | tr '\n' ' ')" = "run small/random-1 small/random-2 large/random-1 large/random-2 " ]
	# tokens once for both models, which have one tokenizer; M0 and FT once for each
	[ "$(grep -c 'tokenizing' log)" -eq 7 ]
	[ "$(grep -c 'M0: evaluating' log)" -eq 2 ]
	[ "$(grep -c 'key n-grams' log)" -eq 1 ]
	[ "$(grep -c 'M0: tables of tokens' log)" -eq 2 ]
	[ "$(grep -c 'tables of tokens' log)" -eq 14 ]
	[ "$(grep -c 'BIG-bench' log)" -eq 10 ]
	[ "$(grep -c 'FT: training' log)" -eq 6 ]
	[ "$(grep -c 'training on' log)" -eq 18 ]
	[ "$(cat out/study/groups.tsv | awk -F '\t' '$1 == "small/random" && $7 == "LC-ZS" && $8 == "all" { print $6 }')" = 2 ]
	[ "$(awk -F '\t' '$1 == "lc-beats-zs" { print $10 ": " $11 }' out/study/findings.tsv | sort -u)" = 'cannot say: too few domains: 3 of 8' ]
	grep -q '<h1>A toy</h1>' out/report.html
	# what was measured beside perplexity has come to the tables and the page
	[ "$(awk -F '\t' '$1 == "small/random" && $2 == "all" && $3 == "LC-ZS" && $4 == "all" { print $5 ":" $15 ":" $16 }' out/study/classes.tsv)" = 1:2:3 ]
	[ "$(awk -F '\t' '$1 == "small/random" && $2 == "all" && $3 == "end" && $4 == "ngrams" && $5 == "mrr" { print $11 ":" $12 }' out/study/ranks.tsv)" = 2:3 ]
	[ "$(awk -F '\t' '$1 == "large/random" { print $2 ":" $4 ":" $15 }' out/study/bigbench.tsv | tr '\n' ' ')" = '0:shop:2 2:shop:2 3:shop:2 ' ]
	grep -q 'id="bigbench"' out/report.html
	[ "$(find out -name '*.tmp.*' -o -name '*.partial' -o -name '*.new')" = "" ]

	make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT="$here/direct" DATA="$here/out/data" MODEL="$here/toy/m0" TRAIN_BYTES=1000 \
		STEP_FLAGS='--dropout 0 --batch 4 --lr 1e-3 --epochs 1' EVAL_FLAGS='--protocol disjoint' ORDER=random:1 THREADS=1 Q=-q gnuplot=
	cmp direct/matrix/random-1/metrics.json out/runs/small/matrix/random-1/metrics.json
	cmp direct/random-1/M3/model.safetensors out/runs/small/random-1/M3/model.safetensors

	find out -name .run -prune -o -type f -printf '%p %T@\n' | sort >before
	run study
	[ "$status" -eq 0 ]
	[ "$output" = "complete: $here/out/report.html" ]
	find out -name .run -prune -o -type f -printf '%p %T@\n' | sort | diff before -
	run study status
	[ "$(grep -c ': 24 of 24 done' <<<"$output")" -eq 2 ]

	# a run on top of them: what is there stays
	echo 'vary batch 2' >>toy.study
	study plan | grep -q '5 runs of 2 models'
	study partial >log
	grep -q '<h1>A toy</h1>' out/partial.html
	study FT=0 >log
	[ "$(grep -c 'training on' log)" -eq 3 ]
	grep -q '^small-batch2/random-1' out/study/sequence.tsv
	# and one of another model, before all others
	sed -i 's/^vary model/vary model large x batch 2\n&/' toy.study
	study ngrams
	# and balanced texts before all others: M0 is still measured on what it was
	sed -i '0,/^vary/s/^vary/vary balanced yes\n&/' toy.study
	study zero.do.small >log
	! grep -q evaluating log || false
	# the other way round, too
	{ sed '/^base/s/$/ balanced=yes/; /^vary/d; /large/d' toy.study && echo 'vary order random:1'; } >balanced.study
	other() { study STUDY=balanced.study OUT="$here/other" FT=0 "$@"; }
	other zero.do.small >log
	sed -i 's/^vary/vary balanced no\n&/' balanced.study
	other zero.do.small >log
	! grep -q evaluating log || false
}

@test "learning-rate policies, the optimiser's state, balanced data" {
	cat >>toy.study <<-'END'
		vary policy continued rewarmed
		vary optimizer kept
		vary balanced yes
	END
	# one domain is smaller than the others
	head -n 100 toy/corpus.jsonl >cut && mv cut toy/corpus.jsonl
	study FT=0 >log
	# one line over three domains: down to 2/3 and to 1/3
	awk '{ if ($1 > 1.0001e-3 - (NR - 1) / n * 1e-3 / 3 || $1 < 0.9999e-3 - (NR - 1) / n * 1e-3 / 3) exit 1 }' \
		n="$(rates small-policy-continued/random-1 1 | wc -l)" <(rates small-policy-continued/random-1 1)
	[ "$(rates small-policy-continued/random-1 2 | head -n 1 | xargs printf '%.6f')" = 0.000667 ]
	rates small-policy-rewarmed/random-1 2 | awk 'NR == 1 && $1 != 1e-4 { exit 1 } NR == 2 && $1 != 1e-3 { exit 1 } $1 < 1e-4 { exit 1 }'
	jq -e '.chain[-1].optimizer_taken_over' out/runs/small-optimizer-kept/random-1/M3/palimpsest.json
	# the first domain is trained the same, the second from moments that are there
	[ "$(jq -c '.chain[-2].optimizer_taken_over' out/runs/small-optimizer-kept/random-1/M3/palimpsest.json)" = true ]
	smallest=$(awk -F '\t' '/^#/ { next } !c { for (i = 1; i <= NF; i++) if ($i == "train_bytes") c = i; next } { print $c }' out/data/domains.tsv | sort -n | head -n 1)
	[ "$smallest" -lt 1500 ]
	for f in out/texts/small-balanced/text/*.train.txt; do
		[ "$(wc -c <"$f")" -le "$smallest" ]
	done
	# the test text is the same, so its runs can be compared
	cmp out/texts/small/tok/wood_a.test.tok out/texts/small-balanced/tok/wood_a.test.tok 2>/dev/null || [ ! -e out/texts/small ]
	[ "$(awk -F '\t' '!/^#/ && $1 == "small-balanced/random-1" { print $12 }' out/runs.tsv)" = balanced ]
}

@test "cells and sample: every part has them, and more is measured where more is wanted" {
	printf '%s\n' 'keep all' 'cells past' 'sample 0.3' 'vary order random:1 random:2' >>toy.study
	sed -i 's/--test-bytes 300/--test-bytes 1500/; s/--protocol disjoint/& --context 16/' toy.study
	study
	[ -s out/zero/small/rows/M0.windows.tsv ]
	awk -F '\t' 'FNR > 2 { n++; sampled += $12 > 0 } END { exit n != 3 || !sampled }' out/alone/small/rows/FT-*.tsv
	awk -F '\t' 'FNR > 2 { n++; sampled += $12 > 0 } END { exit n != 2 * (1 + 2 + 3) || !sampled }' out/runs/small/random-*/rows/M*.tsv
	grep -q . out/cost.tsv
	run study
	[ "$output" = "complete: $here/out/report.html" ]
	# the whole matrix, exact: nothing is trained again
	sed -i '/^sample/d; s/^cells.*/cells all/' toy.study
	study SAMPLE= >log
	run ! grep training log
	awk -F '\t' 'FNR > 2 { n++; if ($12 != 0) exit 1 } END { exit n != 2 * 9 }' out/runs/small/random-*/rows/M*.tsv
}

@test "killed, it goes on, and ends with the same files" {
	echo "$also|vary order random:1 random:2" | tr '|' '\n' >>toy.study
	study
	mv out whole && tree whole | grep -v -e settings.mk -e about.tsv -e cost.tsv -e report.html >whole.sums
	for pause in 1 2 1.5 2.5; do
		setsid "$BASH" -c "$(declare -f study); root='$root' here='$here' bin='$bin'; study -j2" >log 3>&- &
		sleep $pause
		kill -9 -- -$! 2>/dev/null || :
		wait $! || :
	done
	study
	tree out | grep -v -e settings.mk -e about.tsv -e cost.tsv -e report.html | diff whole.sums -
}

@test "another study file under the same OUT counts, however old it is; another split does not go" {
	study FT=0 runs >log
	{ cat toy.study && echo 'vary batch 2'; } >other.study
	touch -d '1 hour ago' other.study
	study STUDY=other.study plan | grep -q 'small-batch2'
	sed -i 's/--test-bytes 300/--test-bytes 400/' toy.study
	run study FT=0 runs
	[ "$status" -eq 2 ]
	[[ $output == *"out/data was split with "*"--test-bytes 300"*", not "*"--test-bytes 400"* ]]
	sed -i 's/--test-bytes 400/--test-bytes 300/' toy.study
	study plan
	# what is given on the command line stands instead of the other of two words, too
	sed -i 's/^corpus.*/data nowhere/' toy.study
	study OUT="$here/other" CORPUS=toy/corpus.jsonl "$here/other/data/domains.tsv"
	cmp other/data/domains.tsv out/data/domains.tsv
	run study CORPUS=toy/corpus.jsonl DATA=out/data plan
	[[ $output == *'CORPUS and DATA: give one of them'* ]]
}

@test "a study file that is wrong is refused, with its line, before anything is made" {
	refused() { # WORDS LINE...
		local words=$1
		shift
		printf '%s\n' 'corpus toy/corpus.jsonl' 'model small toy/m0' "$@" >bad.study
		run make --no-print-directory -f "$root/pipelines/study.mk" BIN="$bin" STUDY=bad.study OUT=bad
		[ "$status" -eq 2 ] && [[ $output == *"study.mk:"*": *** bad.study:"*"$words"* ]] && [ "${#lines[@]}" -eq 1 ] && [ ! -e bad/data ] || { echo "$output"; return 1; }
	}
	mkdir masked
	echo '{"model_type": "roberta"}' >masked/config.json
	refused '3: no such word: colour' 'colour red'
	refused "3: no axis 'colour'" 'vary colour red'
	refused '3: not a value of '"'batch': many" 'vary batch many'
	refused 'not a value of '"'model': large" 'vary model large'
	refused "give it a seed" 'vary order random'
	refused '3: no such order: simliar:2' 'vary order simliar:2'
	# another program may have such
	printf '%s\n' 'corpus toy/corpus.jsonl' 'model small toy/m0' 'vary order simliar:2' >own.study
	make --no-print-directory -f "$root/pipelines/study.mk" BIN="$bin" STUDY=own.study OUT=own ORDER_DOMAINS='sh mine' plan
	refused 'models small and masked: perplexity of a masked language model' "model masked $here/masked" 'vary model small masked'
	refused "nothing behind 'title'" 'title'
	refused "no values of 'batch'" 'vary batch x order similar'
	refused "model 'small' stands twice" 'model small toy/m1'
	refused "must stand before 'vary'" 'vary batch 4' 'base batch=2'
	refused 'cannot work with this character: $' 'step $(rm -r x)'
	refused "'corpus' stands twice" 'corpus other'
	refused "3: 'data' and 'corpus': one of them" 'data toy'
	refused "order given needs 'given FILE'" 'vary order given'
	refused 'no such tables: words' 'tables classes words'
	refused "'tables-at' needs a number" 'tables-at often'
	refused "not a value of 'cells': some" 'cells some'
	refused "not a value of 'sample': much" 'sample much'
	refused "'train-bytes' needs a number of bytes" 'train-bytes many'
	refused "'train-bytes' needs a number of bytes" 'train-bytes 300ki'
	run env -u MAKELEVEL -u MAKEFLAGS make -f "$root/pipelines/study.mk" STUDY=toy.study BASE=x
	[ "$status" -eq 2 ]
	[[ $output == *"BASE=x: there is no such setting"* ]]
	# what has been mended is seen
	printf '%s\n' 'corpus toy/corpus.jsonl' 'model small toy/m0' 'sbert toy' 'vary order similar' >walk.study
	run make -f "$root/pipelines/study.mk" STUDY=walk.study OUT=walk
	[ "$status" -eq 2 ]
	[[ $output == *"order similar begins at the domain nearest to what the model was trained on: 'base-text FILE'"* ]]
	echo 'start wood_a' >>walk.study
	make -f "$root/pipelines/study.mk" STUDY=walk.study OUT=walk plan
	run make -f "$root/pipelines/study.mk" STUDY=nowhere
	[ "$status" -eq 2 ]
	[[ $output == *"none named 'nowhere'"* ]]
	printf 'model small toy/m0\n' >none.study
	run make -f "$root/pipelines/study.mk" STUDY=none.study OUT=none
	[ "$status" -eq 2 ]
	[[ $output == *"neither 'corpus' nor 'data'"* ]]
}
