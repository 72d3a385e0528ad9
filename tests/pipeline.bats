# The pipelines on a toy corpus with the real programs: everything, again, in parallel, killed, swapped, elsewhere.

load common

setup() {
	scratch
	here=$PWD bin=${BUILD:-$root/build}/bin
	sh "$root/tests/toy.sh" toy
	model-init -q -c toy/config.json -t toy/tokenizer -o toy/m0 --seed 1
}

# study ARGUMENT...: cpt.mk over the toy corpus
study() {
	make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT="$here/out" CORPUS="$here/toy/corpus.jsonl" MODEL="$here/toy/m0" \
		SPLIT_FLAGS='--test-bytes 300 --valid-bytes 1' STEP_FLAGS='--batch 4 --lr 1e-3' EVAL_FLAGS='--protocol disjoint' \
		ORDER='random reverse' THREADS=1 Q=-q gnuplot= "$@" 2>&1
}
# everything in DIR but what a run notes for itself
tree() { (cd "$1" && find . -path ./.run -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }
# moves the finished study away, so that another can be made under the same name
keep_as() { mv out "$1" && tree "$1" >"$1.sums"; }
same_as() { tree out | diff "$1.sums" -; }

@test "a study: every checkpoint, row and table; again: nothing" {
	study
	for file in rows/M0.tsv rows/FT-wood_a.tsv ft/tool.b/model.safetensors random/M3/model.safetensors random/rows/M3.tsv \
		reverse/M1/config.json reverse/rows/M2.tsv matrix/random/matrix.tsv matrix/reverse/metrics.json; do
		[ -s "out/$file" ]
	done
	[ "$(find out -name '*.tmp.*' -o -name '*.partial' -o -name '*.new')" = "" ]
	# the stamp has the checkpoint's hash
	[ "$(cut -c -64 <out/random/M2.done)" = "$(sha256sum <out/random/M2/model.safetensors | cut -c -64)" ]
	# a column for each domain in the order's sequence, a line for each model
	grep -v '^#' out/matrix/random/matrix.tsv | awk -F '\t' 'NR == 1 { exit !(NF == 5) }'
	[ "$(grep -vc '^#' out/matrix/random/matrix.tsv)" -eq 5 ]

	find out -path out/.run -prune -o -type f -printf '%p %T@\n' | sort >before
	run study
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == "complete: "* ]]
	find out -path out/.run -prune -o -type f -printf '%p %T@\n' | sort | diff before -
	run study status
	[[ $output == *": 27 of 27 done" ]]
	run study show
	[ "$status" -eq 0 ]
	[[ $output == *wood_a* ]]
	run timeout 20 make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot= watch
	[ "$status" -eq 0 ]
	[[ $output == *'change in perplexity against zero-shot'* ]]
}

@test "to look on makes nothing; a watch that was there before the study says what it waits for, and ends with it" {
	run study status
	[ "$status" -eq 0 ]
	[ "$output" = "$here/out: nothing has been planned yet" ]
	run study show
	[ "$status" -eq 0 ]
	[[ $output == *'random: nothing has been measured yet'*'reverse: nothing has been measured yet'* ]]
	[ "$(ls out)" = settings.mk ]
	timeout 100 make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out ORDER=random gnuplot= watch >watched 2>said 3>&- &
	timeout 60 sh -c "until grep -q waiting said; do sleep 0.2; done"
	study ORDER=random FT=0
	wait $!
	[ "$(head -n 1 said)" = "waiting for $here/out/random/order.tsv" ]
	grep -q '(LC / ZS)' watched
}

@test "a study of a RoBERTa" {
	model-init -q -c toy/roberta.json -t toy/roberta -o toy/m0 --seed 1
	study ORDER=random FT=0 TOKENIZE="$bin/tokenize --add-special --no-newline" STEP_FLAGS='--objective mlm --batch 4 --lr 1e-3' \
		EVAL_FLAGS='--protocol masked'
	[ "$(grep -hv '^#' out/random/rows/M*.tsv | awk -F '\t' '$1 != "model" { print $4 }' | sort -u)" = masked:7:32 ]
	# it has learned: each domain is better right after its own step than before
	awk -F '\t' '/^#/ { next } !n++ { next } { if (n == 2) for (i = 3; i <= NF; i++) first[i] = $i; else if ($(n) >= first[n]) exit 1 }' \
		out/matrix/random/matrix.tsv
}

@test "a text is cut at whole lines, a long first line at whole words" {
	study TRAIN_BYTES=30 TEST_BYTES=200 "$here/out/text/wood_a.train.txt" "$here/out/text/wood_a.test.txt"
	cut=$(cat out/text/wood_a.train.txt)
	[ "${#cut}" -gt 15 ]
	[ "${#cut}" -lt 30 ]
	[[ $(head -n 1 out/data/wood_a/train.txt) == "$cut "* ]]
	[ "$(wc -c <out/text/wood_a.test.txt)" -le 200 ]
	cmp <(head -n "$(wc -l <out/text/wood_a.test.txt)" out/data/wood_a/test.txt) out/text/wood_a.test.txt
}

@test "a study goes on with the settings it was begun with, and refuses others" {
	study ORDER=random FT=0 TRAIN_BYTES=1500
	run make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot=
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	run study ORDER=random FT=0 TRAIN_BYTES=1600
	[ "$status" -eq 2 ]
	[[ $output == *"was begun with TRAIN_BYTES='1500', not '1600'"* ]]
	run study ORDER=random FT=0
	[ "$status" -eq 0 ]
	# another order and FT come on top of what is there
	before=$(stat -c %y out/random/M3.done)
	run study ORDER='random random:9' FT=1
	[ "$status" -eq 0 ]
	[ -s out/matrix/random-9/matrix.tsv ]
	head -n 1 out/random-9/order.tsv | grep -q -- '--order random --seed 9	'
	head -n 1 out/random/order.tsv | grep -q -- '--order random --seed 1	'
	[ "$before" = "$(stat -c %y out/random/M3.done)" ]
}

@test "what is wanted is as in the first call, the title and the file of a given order, too" {
	printf '%s\n' hue-c wood_a tool.b >given
	study ORDER=given GIVEN=given FT=0 TITLE='20 $$ # 1' "$here/out/domains.mk"
	rm -r out/given
	run make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot= "$here/out/given/order.tsv"
	[ "$status" -eq 0 ]
	[ "$(awk -F '\t' '$1 == 1 { print $2 }' out/given/order.tsv)" = hue-c ]
	[ "$(make --no-print-directory -f <(echo "include out/settings.mk"; echo "all:; @echo '\$(first.TITLE)'"))" = '20 $ # 1' ]
}

@test "what nothing has been made with can still be mended; what is no setting is refused" {
	run study ORDER=random FT=0 TRAIN_BYTES=1k STEP_FLAGS='--batchsize 4'
	[ "$status" -eq 2 ]
	[[ $output == *"unknown option: --batchsize"* ]]
	study ORDER=random FT=0 TRAIN_BYTES=1k
	[ "$(wc -c <out/text/wood_a.train.txt)" -gt 900 ]
	[ "$(wc -c <out/text/wood_a.train.txt)" -le 1000 ]
	[ -s out/matrix/random/matrix.tsv ]
	run study ORDER=random FT=0 TRAIN_BYTES=1k STEP_FLAGS='--batch 5'
	[ "$status" -eq 2 ]
	[[ $output == *"was begun with STEP_FLAGS='--batch 4 --lr 1e-3', not '--batch 5'"* ]]
	run study ORDER=random FT=0 TRAIN_BYTES=1k BIGBENCH="$root/tests/data/bigbench/shop" BIGBENCH_FLAGS=--max-example zero
	[ "$status" -eq 2 ]
	study ORDER=random FT=0 TRAIN_BYTES=1k BIGBENCH_FLAGS='--max-examples 4 --max-length 4' zero
	[ -s out/bigbench/M0.tsv ]
	# a group's tasks stand in its folder
	cp -r "$root/tests/data/bigbench/sums" .
	group() { study OUT="$here/grouped" ORDER=random FT=0 TRAIN_BYTES=1k BIGBENCH=sums BIGBENCH_FLAGS='--max-examples 6 --max-length 4' zero; }
	group
	group >again
	run ! grep -q BIG-bench again
	touch sums/add/task.json
	group | grep -q 'M0: BIG-bench'
	unset MAKELEVEL MAKEFLAGS # which are those of `make test`
	run study STEPFLAGS='--batch 5'
	[ "$status" -eq 2 ]
	[[ $output == *"STEPFLAGS=--batch 5: there is no such setting"* ]]
}

@test "another sequence: what was trained on another domain is trained again, and all after it" {
	given() { printf '%s\n' "$@" >given && study ORDER=given GIVEN=given FT=0 KEEP=last; }
	given wood_a tool.b hue-c >log
	sleep 1
	run given wood_a hue-c tool.b
	[ "$status" -eq 2 ]
	[[ $output == *"given/M1 is needed again but was not kept: to train it again, rm $here/out/given/M1.done"* ]]
	rm out/given/M1.done
	given wood_a hue-c tool.b >log
	keep_as changed
	given wood_a hue-c tool.b >log
	cmp out/matrix/given/matrix.tsv changed/matrix/given/matrix.tsv
	cmp out/given/M3/model.safetensors changed/given/M3/model.safetensors
}

@test "another test text: every row that holds it is measured anew, and nothing is trained" {
	study ORDER=random >log
	echo 'One more line.' >>out/data/wood_a/test.txt
	study ORDER=random >log
	run ! grep training log
	[ "$(grep -c 'random M.: evaluating' log)" -eq 3 ]
	[ "$(grep 'FT: evaluating' log | sed 's/.* on //')" = wood_a ]
	grep -q 'M0: evaluating' log
}

@test "another model: all is trained and measured anew, also where tokens come from elsewhere" {
	study ORDER=random OUT="$here/texts" texts >log
	study ORDER=random TOK_IN="$here/texts" >log
	model-init -q -c toy/config.json -t toy/tokenizer -o toy/m0 --seed 2
	study ORDER=random TOK_IN="$here/texts" >log
	[ "$(grep -c 'random M.: training' log)" -eq 3 ]
	[ "$(grep -c 'FT: training' log)" -eq 3 ]
	[ "$(grep -c 'evaluating' log)" -eq 7 ]
}

@test "CHAIN_FLAGS are for sequences alone, SEED is for all training" {
	study ORDER=random SEED=3 CHAIN_FLAGS=--keep-optimizer "$here/out/random/M1.done" "$here/out/ft/wood_a.done"
	for m in random/M1 ft/wood_a; do jq -e '.chain[-1].made | contains(" --seed 3 ")' out/$m/palimpsest.json; done
	[ -e out/random/M1/optimizer.safetensors ]
	[ ! -e out/ft/wood_a/optimizer.safetensors ]
}

@test "KEEP=delta in another sequence: packs are of the checkpoints that are there now" {
	given() { printf '%s\n' "$@" >given && study ORDER=given GIVEN=given FT=0 KEEP=delta; }
	given wood_a tool.b hue-c >log
	rm out/given/M1.done
	given wood_a hue-c tool.b >log
	study ORDER=given GIVEN=given FT=0 KEEP=delta checkpoint M=given/M2 TO="$here/again"
	[ "$(sha256sum <again/model.safetensors | cut -c -64)" = "$(cut -c -64 <out/given/M2.done)" ]
}

@test "another sequence from a file that is older than what the first made" {
	printf '%s\n' wood_a tool.b hue-c >first
	printf '%s\n' wood_a hue-c tool.b >older && touch -d '1 hour ago' older
	study ORDER=given GIVEN=first FT=0 >log
	study ORDER=given GIVEN=older FT=0 >log
	[ "$(awk -F '\t' '$1 == 2 { print $2 }' out/given/order.tsv)" = hue-c ]
	grep -q 'M2: training on hue-c' log
	run study ORDER=given GIVEN=older FT=0
	[ "${#lines[@]}" -eq 1 ]
	run study ORDER=given GIVEN=none FT=0
	[ "$status" -eq 2 ]
	[[ $output == *"GIVEN=$here/none: there is no such file"* ]]
}

@test "a program that is not given is the one that was given last; vectors may come later" {
	study ORDER=random FT=0 TOKENIZE="$bin/tokenize --no-newline"
	keep_as whole
	study ORDER=random FT=0 TOKENIZE="$bin/tokenize --no-newline" zero >log
	study -n ORDER=random FT=0 STEP=false >log
	study ORDER=random FT=0 STEP=false status >log
	study ORDER=random FT=0 >log
	same_as whole
	run study ORDER=random FT=0 STEP=false "$here/out/random/M1.done"
	[ "$status" -eq 0 ]
	rm out/random/M1.done
	run study ORDER=random FT=0
	[ "$status" -eq 2 ]
	study ORDER=random FT=0 STEP="$bin/cpt-step" >log
	mkdir vectors
	printf '#palimpsest-vectors 1\n' >vectors/vectors.tsv
	printf '%s\n' 'domain n v0 v1' '@base 1 1 0' 'wood_a 1 1 0.1' 'tool.b 1 0 1' 'hue-c 1 0.5 0.5' | tr ' ' '\t' >>vectors/vectors.tsv
	touch -d '1 hour ago' vectors/vectors.tsv
	study ORDER='random similar' VECTORS_IN="$here/vectors" FT=0 >log
	[ -s out/matrix/similar/matrix.tsv ]
	[ "$(awk -F '\t' '$1 == 2 { print $NF }' out/random/order.tsv)" != - ]
	! grep 'random M.*training' log || false
	run study ORDER='random similar' VECTORS_IN="$here/other" FT=0
	[ "$status" -eq 2 ]
	[[ $output == *"was begun with VECTORS_IN='$here/vectors', not '$here/other'"* ]]
}

@test "a checkpoint that cannot be retired costs nothing but that" {
	run study ORDER=random FT=0 KEEP=delta MODEL_PACK=false
	[ "$status" -eq 2 ]
	[ -s out/random/M2.done ]
	study ORDER=random FT=0 KEEP=delta >log
	! grep 'M2: training' log || false
	[ -s out/random/M1.pack ]
}

@test "job.sh: what an earlier run still makes is taken over, or added to" {
	export RUN=$here/run
	mkdir run
	job() { sh "$root/pipelines/job.sh" "$@" 2>&1; }
	job -c "$here/target" one sh -c 'sleep 1; echo less' &
	while ! ls run/*.lock >/dev/null 2>&1; do sleep 0.05; done
	run job -c "$here/target" two sh -c 'echo other'
	[ "$output" = 'two: waiting for an earlier run that still works on it' ]
	[ "$(cat target)" = less ]
	job -c "$here/target" one sh -c 'sleep 1; echo less' &
	sleep 0.3
	run job -a -c "$here/target" two sh -c "cat '$here/target'; echo more"
	[ "$output" = 'two: waiting for an earlier run that still works on it' ]
	[ "$(cat target)" = $'less\nmore' ]
	wait
}

@test "two makes on one OUT: the second waits for the first" {
	printf '#!/bin/sh\nsleep 2\nexec "%s/cpt-step" "$@"\n' "$bin" >slow && chmod +x slow
	study ORDER=random FT=0 KEEP=last STEP="$here/slow" >first &
	while ! grep -q 'training' first; do sleep 0.1; done
	run study status
	[[ $output == *' done' ]]
	run study ORDER=random FT=0 KEEP=last
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == "another make, process "*", works on "*"/out: waiting for it" ]]
	wait $!
	[[ $(cat first) == *'complete: '* ]]
}

@test "portions of an order: its folder has no comma, which make would take for the end of an argument" {
	mkdir vectors
	printf '#palimpsest-vectors 1\n' >vectors/vectors.tsv
	printf '%s\n' 'domain n v0 v1' '@base 1 1 0' 'wood_a 1 1 0.1' 'tool.b 1 0 1' 'hue-c 1 0.5 0.5' | tr ' ' '\t' >>vectors/vectors.tsv
	study ORDER=similar:indoor,outdoor VECTORS_IN="$here/vectors" FT=0 KEEP=last
	[ "$(awk 'END { print $1, $2 }' out/similar-indoor-outdoor/order.tsv)" = "3 wood_a" ]
	[ -s out/similar-indoor-outdoor/rows/M3.tsv ]
	study ORDER=farthest VECTORS_IN="$here/vectors" FT=0 KEEP=last START=hue-c OUT="$here/start" PORTIONS=indoor,outdoor
	[ "$(awk '$1 == 1 { print $2 }' start/farthest/order.tsv)" = hue-c ]
	[ -s out/matrix/similar-indoor-outdoor/matrix.tsv ]
}

@test "EMBED_TOGETHER: domains by groups, the same vectors, and a group again when a text of it is new" {
	cat >embed <<-'END'
		#!/bin/sh
		echo "$*" >>asked
		printf '#palimpsest-vectors 1\ndomain\tn\tv0\tv1\n'
		for arg in "$@"; do
			case $arg in
			*=*) printf '%s\t1\t%s\t1\n' "${arg%%=*}" "$(wc -c <"${arg#*=}")" ;;
			esac
		done
	END
	chmod +x embed
	vectors() { study vectors ORDER=random FT=0 EMBED="$here/embed" SBERT=toy SEED=3 EMBED_FLAGS='-n 9' "$@"; }
	domains() { grep -v '^#\|^domain' "$1" | cut -f 1 | tr '\n' ' '; }
	vectors
	[ "$(find out/vectors -type f | wc -l)" -eq 3 ]
	[ "$(grep -c -- '-m .*/toy --seed 3 -n 9 ' asked)" -eq 3 ]
	grep -v '^#\|^domain' out/vectors.tsv >alone
	rm -rf out
	vectors EMBED_TOGETHER=2
	grep -v '^#\|^domain' out/vectors.tsv | cmp - alone
	read -r first second third <<<"$(domains out/vectors.tsv)"
	[ "$(domains "out/vectors/@$first+1.tsv")" = "$first $second " ]
	[ "$(domains "out/vectors/$third.tsv")" = "$third " ]
	echo 'One more line.' >>"out/data/$second/train.txt"
	run vectors
	[[ $output == *"embedding $first $second"* && $output != *"embedding $third"* ]]
	[ "$(find out/vectors -type f | wc -l)" -eq 2 ]
}

@test "key-ngrams has the seed, and Sentence-BERT where its method asks for it" {
	printf '#!/bin/sh\necho "$*" >>asked\nprintf "#palimpsest-ngrams 1\\n"\n' >key && chmod +x key
	study ngrams ORDER= FT=0 KEY_NGRAMS="$here/key" SBERT=toy SEED=3 NGRAM_FLAGS='--method sbert'
	grep -q -- "--seed 3 -m $here/toy --method sbert " asked
}

@test "-j2 makes the same files as -j1" {
	study
	keep_as one
	study -j2
	same_as one
}

@test "killed again and again, a study ends with the same files" {
	took=$(date +%s%3N)
	study
	took=$(($(date +%s%3N) - took)) # ms
	keep_as whole
	RANDOM=7
	kills=0
	for ((start = 1; start <= 60; start++)); do
		setsid "$BASH" -c "$(declare -f study); root='$root' here='$here' bin='$bin'; study -j2" >log 3>&- &
		leader=$!
		while pause=$((took * (RANDOM % 9 + 1) / 100)) && sleep "$(printf '%d.%03d' $((pause / 1000)) $((pause % 1000)))" && kill -0 $leader 2>/dev/null; do
			mapfile -t processes < <(ps -o pid= --sid $leader)
			[ ${#processes[@]} -gt 0 ] || continue
			one=${processes[RANDOM % ${#processes[@]}]}
			signal=$((RANDOM % 2 ? 9 : 15))
			if ((RANDOM % 3)); then
				kill -$signal "$one" 2>/dev/null || :
			else
				kill -$signal -- -$leader 2>/dev/null || :
			fi
			kills=$((kills + 1))
			((kills < 25)) || break
		done
		wait $leader && break
	done
	echo "$kills kills, $start starts"
	[ $start -le 60 ]
	[ $kills -gt 3 ]
	study
	same_as whole
}

@test "KEEP=last leaves the last checkpoint, and the same numbers" {
	study ORDER=random
	keep_as all
	study ORDER=random KEEP=last
	[ "$(cd out && find . -name model.safetensors)" = ./random/M3/model.safetensors ]
	[ -s out/random/M1.log.jsonl ]
	for f in matrix/random/matrix.tsv random/rows/M1.tsv rows/FT-hue-c.tsv random/M1.done; do
		cmp "all/$f" "out/$f"
	done
	run study ORDER=random KEEP=last
	[ "${#lines[@]}" -eq 1 ]
	# a checkpoint that is needed again is missed, not made up
	rm out/random/M2.done
	run study ORDER=random KEEP=last
	[ "$status" -eq 2 ]
	[[ $output == *"random/M1 is needed again but was not kept"* ]]
}

@test "KEEP=delta packs what is gone on from, and any checkpoint comes back bit for bit; bf16, none" {
	study ORDER=random
	keep_as all
	study ORDER=random KEEP=delta -j2
	# the last is whole; of the others and of FT there are packs
	[ "$(cd out && find . -name model.safetensors)" = ./random/M3/model.safetensors ]
	[ "$(cd out && find . -name '*.pack' | sort | tr '\n' ' ')" = "./ft/hue-c.pack ./ft/tool.b.pack ./ft/wood_a.pack ./random/M1.pack ./random/M2.pack " ]
	for f in matrix/random/matrix.tsv random/rows/M2.tsv random/M2.log.jsonl rows/FT-hue-c.tsv; do
		cmp "all/$f" "out/$f" || cmp all/random/M2/train.log.jsonl "out/$f"
	done
	for k in 1 2 3; do
		study ORDER=random KEEP=delta checkpoint M=random/M$k TO="$here/again-$k"
		diff -r "all/random/M$k" "again-$k"
	done
	run study ORDER=random KEEP=delta checkpoint M=random/M1 TO="$here/again-1"
	[ "$status" -eq 2 ]
	[[ $output == *"/again-1 is there"* ]]
	run study ORDER=random KEEP=delta
	[ "${#lines[@]}" -eq 1 ]
	rm out/random/M1.pack
	run study ORDER=random KEEP=delta checkpoint M=random/M2 TO="$here/no"
	[ "$status" -eq 2 ]
	[[ $output == *"neither "*"/random/M1 nor its pack is there"* ]]
	[ ! -e no ]

	rm -r out
	study ORDER=random FT=0 KEEP=bf16
	[ "$(cd out/random && echo M*.bf16)" = 'M1.bf16 M2.bf16' ]
	[ -d out/random/M3 ]
	[ ! -e out/random/M1 ]
	[ "$(stat -c %s out/random/M1.bf16/model.safetensors)" -lt $(($(stat -c %s all/random/M1/model.safetensors) * 2 / 3)) ]
	cmp all/random/rows/M3.tsv out/random/rows/M3.tsv
	rm -r out
	study ORDER=random FT=0 KEEP=none
	[ "$(find out -name '*.safetensors')" = "" ]
	cmp all/random/rows/M3.tsv out/random/rows/M3.tsv
}

@test "KEEP=last when all is there already: FT's checkpoints go, too" {
	study ORDER=random >log
	study ORDER=random KEEP=last >log
	[ "$(cd out && find . -name model.safetensors)" = ./random/M3/model.safetensors ]
}

@test "KEEP is another halfway: what has lost the one before it stays whole" {
	study ORDER=random FT=0 KEEP=last "$here/out/random/M3.done" "$here/out/random/rows/M1.tsv" >log
	[ ! -e out/random/M1 ]
	[ -d out/random/M2 ]
	study ORDER=random FT=0 KEEP=delta >log
	[ -d out/random/M2 ]
	study ORDER=random FT=0 KEEP=delta checkpoint M=random/M2 TO="$here/again"
	diff -r out/random/M2 again
}

@test "more is wanted of checkpoints that may go: they go when it is there" {
	study ORDER=random FT=0 CELLS=ends >log
	study ORDER=random FT=0 CELLS=all TABLES=classes KEEP=last >log
	[ "$(cd out && find . -name model.safetensors)" = ./random/M3/model.safetensors ]
	for k in 1 2 3; do [ "$(grep -vc '^#' out/random/rows/M$k.tsv)" -eq 4 ]; done

	rm -r out
	study ORDER=random FT=0 TABLES=classes >log
	[ "$(grep -vc '^#' out/random/tables/M1.tsv)" -eq 2 ]
	study ORDER=random FT=0 TABLES=classes TABLES_AT=1 KEEP=last >log
	[ "$(cd out && find . -name model.safetensors)" = ./random/M3/model.safetensors ]
	for k in 1 2 3; do [ "$(grep -vc '^#' out/random/tables/M$k.tsv)" -eq 4 ]; done
	run study ORDER=random FT=0 TABLES=classes TABLES_AT=1 KEEP=last
	[ "${#lines[@]}" -eq 1 ]
}

@test "no command is too long for a study of many domains" {
	mkdir data
	printf '#palimpsest-domains 1\tmade\ndomain\tl1\tportion\ttrain_docs\ttrain_bytes\tvalid_docs\tvalid_bytes\ttest_docs\ttest_bytes\n' >data/domains.tsv
	for i in $(seq 200); do
		mkdir data/d$i
		echo "$i words" | tee data/d$i/train.txt >data/d$i/test.txt
		printf 'd%d\tl\tp\t1\t9\t0\t0\t1\t9\n' $i >>data/domains.tsv
	done
	for keep in last delta none; do
		make -n --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT="$here/out" DATA=data MODEL=toy/m0 ORDER='random:1 random:2' KEEP=$keep gnuplot= matrices |
			awk '{ n += length() + 1 } !/\\$/ { if (n > most) most = n; n = 0 } END { exit !(most > 1000 && most < 60000) }'
	done
}

@test "tables of tokens and BIG-bench: at M0, at the steps chosen, at the end; before a checkpoint goes, all is measured" {
	more() { study ORDER=random FT=0 KEEP=none TABLES='classes ranks' TABLES_AT=2 NGRAM_FLAGS='-n 3 --max-words 2' BIGBENCH="$root/tests/data/bigbench/shop" \
		BIGBENCH_AT=0 BIGBENCH_FLAGS='--max-examples 4 --max-length 4' "$@"; }
	more -j2
	[ "$(find out -name '*.safetensors' -o -name '*.tmp.*' -o -name '*.new')" = "" ]
	# all three domains before, after the second and the last step; after the first, that step's own
	domains() { awk -F '\t' -v m=$2 '$1 == m { print $3 }' out/tables/random/$1.tsv | sort -u | wc -l; }
	for t in classes ranks; do
		[ "$(for m in M0 M1 M2 M3; do domains $t $m; done | tr '\n' ' ')" = "3 1 3 3 " ]
	done
	[ "$(awk -F '\t' '$1 == "M1" { print $3 }' out/tables/random/classes.tsv | uniq)" = "$(awk -F '\t' '$1 == 1 { print $2 }' out/random/order.tsv)" ]
	[ "$(awk -F '\t' '$6 == "ngram" { print $1 }' out/tables/random/ranks.tsv | uniq -c | awk '{ print $2 ":" $1 }' | tr '\n' ' ')" = "M0:9 M1:3 M2:9 M3:9 " ]
	awk -F '\t' 'NR > 2 && $1 != "hue-c" && $1 != "tool.b" && $1 != "wood_a" { exit 1 }' out/ngrams.tsv
	[ "$(cut -f 1 out/tables/random/bigbench.tsv | grep -v -e '^#' -e model | uniq | tr '\n' ' ')" = "M0 M3 " ]
	# the same evaluation as that of the rows
	for m in M1 M3; do
		join -t $'\t' -j 3 <(grep -v '^#' out/random/rows/$m.tsv | sort -k 3,3) <(grep -v '^#' out/random/tables/$m.tsv | sort -k 3,3) |
			awk -F '\t' '$1 == "domain" { next } $6 != $20 || $7 != $21 { exit 1 } { n++ } END { exit !n }'
	done
	# by class: frequency of words is counted in all texts together
	[ -s out/counts.tok ]
	before=$(tree out)
	run more
	[ "${#lines[@]}" -eq 1 ]
	[ "$(tree out)" = "$before" ]
	[ "$(cut -f 1 out/.run/trace.tsv | grep -c -e evaluate-tokens -e bigbench -e key-ngrams)" -eq 7 ]
	run make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot= BIGBENCH_FLAGS=--max-examples\ 5
	[ "$status" -eq 2 ]
	[[ $output == *"has been measured with BIGBENCH_FLAGS='--max-examples 4 --max-length 4'"* ]]
	run more TABLE_FLAGS='--precision bf16'
	[ "$status" -eq 2 ]
	[[ $output == *"has been measured with TABLE_FLAGS='', not '--precision bf16'"* ]]
	# what was not measured in time is missed, not made up
	rm out/random/tables/M3.tsv
	run more
	[ "$status" -eq 2 ]
	[[ $output == *"random/M3 is needed again but was not kept"* ]]
}

# cells FILE...: rows and their domains, "M1 hue-c"
cells() { awk -F '\t' '/^#/ || $1 == "model" { next } { print $1, $3 }' "$@" | sort; }
# without the first line, which says how
numbers() { (cd "$1" && tail -q -n +2 random/rows/*.tsv rows/FT-*.tsv | sort); }

@test "CELLS: only what is wanted is measured, more later, and nothing twice" {
	study ORDER=random CELLS=ends
	mapfile -t d < <(awk -F '\t' '!/^#/ && $1 != "step" { print $2 }' out/random/order.tsv)
	[ "$(cells out/random/rows/*.tsv)" = "$(printf '%s\n' "M1 ${d[0]}" "M2 ${d[1]}" "M3 ${d[0]}" "M3 ${d[1]}" "M3 ${d[2]}" | sort)" ]
	[ "$(cells out/rows/M0.tsv | wc -l)" -eq 3 ]
	# a cell that was not measured is none, and the measures say of how many they are
	[ "$(awk -F '\t' '!/^#/ && $1 == 1' out/matrix/random/matrix.tsv | cut -f 3- | tr '\t' '\n' | grep -c '^-$')" -eq 2 ]
	[ "$(awk -F '\t' '$1 == "CPT-ZS" && $2 == "all" { print $6 "/" $7 }' out/matrix/random/metrics.tsv)" = 3/3 ]
	[ "$(awk -F '\t' '$1 == "BWD" && $2 == "all" { print $6 "/" $7 }' out/matrix/random/metrics.tsv)" = 2/3 ]
	[ "$(awk -F '\t' '$1 == "FG.best" && $2 == "all" { print $3 }' out/matrix/random/metrics.tsv)" = - ]
	run study ORDER=random CELLS=ends
	[ "${#lines[@]}" -eq 1 ]
	# as it was begun; less than what is there changes nothing
	run make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot=
	[ "${#lines[@]}" -eq 1 ]
	study ORDER=random CELLS=past Q= >log
	[ "$(grep -c evaluating log)" -eq 2 ] # M2, and M1, of which there is nothing to add but that it has been asked
	grep -q '1 of 2 texts known' log
	[ "$(cells out/random/rows/M2.tsv | wc -l)" -eq 2 ]
	study ORDER=random CELLS=all Q= >log
	[ "$(grep -c evaluating log)" -eq 2 ] # M3 has had all from the beginning
	run study ORDER=random CELLS=ends
	[ "${#lines[@]}" -eq 1 ]
	keep_as grown
	study ORDER=random
	diff <(numbers grown) <(numbers out)
	cmp grown/matrix/random/metrics.json out/matrix/random/metrics.json
}

@test "SAMPLE: M0 in full and the others as far as is needed, in one matrix; exact at last" {
	flags=(ORDER=random EVAL_FLAGS='--protocol disjoint --context 16' SPLIT_FLAGS='--test-bytes 1500 --valid-bytes 1')
	study "${flags[@]}" SAMPLE=0.2
	[ "$(wc -l <out/rows/M0.windows.tsv)" -gt 100 ]
	awk -F '\t' 'FNR > 2 { if ($12 > 0 && $9 >= 8) n++ } END { exit n != 12 }' out/random/rows/*.tsv out/rows/FT-*.tsv
	awk -F '\t' 'FNR > 2 && $12 != 0 { exit 1 }' out/rows/M0.tsv
	awk -F '\t' '$1 == "max_stderr" { exit !($2 > 0) }' out/matrix/random/about.tsv
	run study "${flags[@]}" SAMPLE=0.2
	[ "${#lines[@]}" -eq 1 ]
	# each stage still has its lines in the trace: nothing is lost, nothing counted twice
	[ "$(awk -F '\t' '$1 ~ /^evaluate/' out/.run/trace.tsv | wc -l)" -eq 7 ]
	keep_as sampled
	study "${flags[@]}" -j2 SAMPLE=0.2
	same_as sampled
	# more exact: what is so already stays; then exact
	study "${flags[@]}" SAMPLE=0.1 Q= >log
	grep -q '[23] of 3 texts known' log
	run study "${flags[@]}" SAMPLE=0.2
	[ "${#lines[@]}" -eq 1 ]
	study "${flags[@]}" SAMPLE=
	awk -F '\t' 'FNR > 2 && $12 != 0 { exit 1 }' out/random/rows/*.tsv out/rows/FT-*.tsv
	mv out exact
	study "${flags[@]}"
	diff <(numbers exact) <(numbers out)
	# the sample says what all windows say
	sh "$root/pipelines/compare-rows.sh" out/random sampled/random >agreement
	awk -F '\t' '$1 == "pearson" { exit !($2 > 0.9) }' agreement
	# an OUT without the windows of M0 gets them
	study "${flags[@]}" SAMPLE=0.2 ORDER='random reverse' FT=0 >log
	grep -q 'M0: evaluating' log
	awk -F '\t' 'FNR > 2 && $12 > 0 { n++ } END { exit n == 0 }' out/reverse/rows/*.tsv
}

@test "a first checkpoint that two orders have in common is measured once" {
	study ORDER=random FT=1 >log
	first=$(awk -F '\t' '$1 == 1 { print $2 }' out/random/order.tsv)
	{ head -n 3 out/random/order.tsv; sed -n 5p out/random/order.tsv; sed -n 4p out/random/order.tsv; } |
		awk -F '\t' -v OFS='\t' '$1 + 0 > 0 { $1 = ++n } { print }' >order
	printf '#!/bin/sh\ncat "%s/order"\n' "$here" >give
	study ORDER=swapped ORDER_DOMAINS="sh $here/give" FT=1 Q= >log
	cmp out/random/M1.done out/swapped/M1.done
	grep -A 3 'swapped M1: evaluating' log | grep -q '3 of 3 texts known'
	diff out/random/rows/M1.tsv out/swapped/rows/M1.tsv
	# and FT is that checkpoint, too
	cmp "out/ft/$first.done" out/random/M1.done
}

@test "the order can come from a script in another language" {
	study ORDER=curriculum ORDER_DOMAINS="sh $root/examples/stage/order-by-gzip.sh" FT=0
	[ "$(awk '!/^#/ { print $2 }' out/curriculum/order.tsv | tr '\n' ' ')" = 'domain tool.b hue-c wood_a ' ]
	[ -s out/matrix/curriculum/matrix.tsv ]
}

@test "the training stage can be transformers'" {
	need_refs torch transformers
	study ORDER=random FT=0 STEP="$python $root/examples/stage/step-transformers.py"
	[ -s out/matrix/random/matrix.tsv ]
	# it has learned: each domain is better right after its own step than before
	awk -F '\t' '/^#/ { next } !n++ { next } { if (n == 2) for (i = 3; i <= NF; i++) first[i] = $i; else if ($(n) >= first[n]) exit 1 }' \
		out/matrix/random/matrix.tsv
}

# An ssh that takes words as the real one does: joined with blanks, parsed by a shell, elsewhere, in a bare environment.
fake_ssh() {
	mkdir -p fake "elsewhere"
	cat >fake/ssh <<-'END'
		#!/bin/sh
		host=$1
		shift
		[ "$host" != down ] || exit 255
		echo "$host: $*" >>"$FAKE_LOG"
		cd "$FAKE_HOME" && exec env -i PATH=/usr/bin:/bin ${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"} sh -c "$*"
	END
	chmod +x fake/ssh
	export PATH="$here/fake:$PATH" FAKE_LOG="$here/ssh.log" FAKE_HOME="$here/elsewhere"
}

@test "every stage can run on another host" {
	study ORDER=random
	keep_as here
	fake_ssh
	study ORDER=random ON_SPLIT='ssh a' ON_TOKENIZE='ssh a' ON_ORDER='ssh a' ON_STEP='ssh b' ON_EVAL='ssh c' ON_MATRIX='ssh a'
	same_as here
	[ "$(grep -c '^b: .*cpt-step' ssh.log)" -eq 6 ]
	[ "$(grep -c '^c: .*ppl-eval' ssh.log)" -eq 7 ]
	[ "$(ls elsewhere)" = "" ]
}

@test "on-free-host.sh shares the work among hosts and passes over one that is down" {
	fake_ssh
	export LOCKS=$here/locks
	study -j3 FT=0 ORDER=random ON_EVAL="sh $root/examples/remote/on-free-host.sh down,x,y"
	[ "$(grep -c '^[xy]: .*ppl-eval' ssh.log)" -eq 4 ]
	# the command's own exit code comes through; no host at all is said
	run sh "$root/examples/remote/on-free-host.sh" x sh -c "'exit 3'"
	[ "$status" -eq 3 ]
	run sh "$root/examples/remote/on-free-host.sh" down true
	[ "$status" -eq 1 ]
	[[ $output == *"no host can be reached: down" ]]
}

@test "cpt.mk says what is wrong, in one line, before it does anything" {
	refused() { # WORDS ARGUMENT...
		local words=$1
		shift
		run make --no-print-directory -f "$root/pipelines/cpt.mk" gnuplot= "$@"
		[ "$status" -eq 2 ] && [[ $output == *"$words"* ]] || { echo "$output"; return 1; }
		[ ! -e out/rows ]
	}
	refused 'give OUT=DIR' MODEL=toy/m0
	refused 'give MODEL=DIR' OUT=out DATA=toy
	refused 'give DATA=DIR' OUT=out MODEL=toy/m0
	refused 'no config.json there' OUT=out MODEL=nowhere DATA=toy
	refused 'DATA and CORPUS: give one of them' OUT=out MODEL=toy/m0 DATA=toy CORPUS=toy/corpus.jsonl
	refused 'BASE_TEXT and BASE_VECTORS: give one of them' OUT=out MODEL=toy/m0 DATA=toy BASE_TEXT=a BASE_VECTORS=b
	refused 'cannot work with blanks in a name' OUT=out MODEL=toy/m0 DATA=toy ORDER=random BASE_TEXT='a b'
	refused 'ORDER=given needs GIVEN=FILE' OUT=out MODEL=toy/m0 DATA=toy ORDER=given
	refused 'give SBERT=DIR' OUT=out MODEL=toy/m0 DATA=toy ORDER=similar
	refused 'give BASE_TEXT=FILE, a sample of that text, or START=DOMAIN' OUT=out MODEL=toy/m0 DATA=toy ORDER=similar SBERT=toy
	refused 'TEST_BYTES=some: a number of bytes' OUT=out MODEL=toy/m0 DATA=toy ORDER=random TEST_BYTES=some
	refused 'TEST_BYTES=300ki: a number of bytes' OUT=out MODEL=toy/m0 DATA=toy ORDER=random TEST_BYTES=300ki
	refused 'LR=x: a learning rate' OUT=out MODEL=toy/m0 DATA=toy ORDER=random POLICY=rewarmed LR=x
	refused 'LR=1e-2 is for POLICY=continued or rewarmed' OUT=out MODEL=toy/m0 DATA=toy ORDER=random LR=1e-2
	refused 'ORDER=simliar:a,b: none of similar random' OUT=out MODEL=toy/m0 DATA=toy ORDER='random simliar:a,b'
	refused 'FT=2' OUT=out MODEL=toy/m0 DATA=toy ORDER=random FT=2
	refused 'EMBED_TOGETHER=0: a number from 1 on' OUT=out MODEL=toy/m0 DATA=toy ORDER=random EMBED_TOGETHER=0
	refused 'CELLS=some: all, past or ends' OUT=out MODEL=toy/m0 DATA=toy ORDER=random CELLS=some
	refused 'SAMPLE=x: a number of nats' OUT=out MODEL=toy/m0 DATA=toy ORDER=random SAMPLE=x
	refused 'all rows would write one file' OUT=out MODEL=toy/m0 DATA=toy ORDER=random EVAL_FLAGS='--by-class c'
	refused 'not with SAMPLE' OUT=out MODEL=toy/m0 DATA=toy ORDER=random SAMPLE=0.1 EVAL_FLAGS='--windows 5'
	refused "cannot work with '&'" 'OUT=o&t' MODEL=toy/m0 DATA=toy ORDER=random
	refused "TABLES=words: classes, ranks or both" OUT=out MODEL=toy/m0 DATA=toy ORDER=random TABLES=words
	refused "TABLES_AT=some: a number" OUT=out MODEL=toy/m0 DATA=toy ORDER=random TABLES_AT=some
	refused "no task.json there" OUT=out MODEL=toy/m0 DATA=toy ORDER=random BIGBENCH=toy
	refused 'give M=ORDER/M<step> and TO=DIR' OUT=out MODEL=toy/m0 DATA=toy ORDER=random checkpoint M=random/last TO=last
	refused '/toy: no domains.tsv there' OUT=out MODEL=toy/m0 DATA=toy ORDER=random
	refused '/none: there is no such file' OUT=other MODEL=toy/m0 CORPUS=none ORDER=random
	refused '/none: there is no such file' OUT=other MODEL=toy/m0 CORPUS=toy/corpus.jsonl ORDER=random SBERT=none
}

@test "a path with blanks is refused at once" {
	mkdir 'a b'
	cp -r "$root/pipelines" "$root/Makefile" 'a b'
	for file in Makefile pipelines/cpt.mk pipelines/study.mk pipelines/demo.mk pipelines/base.mk; do
		run make --no-print-directory -C 'a b' -f $file
		[ "$status" -eq 2 ]
		[[ $output == *" at a path with blanks: $here/a b."* ]]
		[ "${#lines[@]}" -eq 1 ]
	done
	[ "$(ls 'a b')" = "$(printf 'Makefile\npipelines')" ]
}

@test "base.mk: what other settings would make otherwise is made anew, and nothing else" {
	base() {
		make --no-print-directory -f "$root/pipelines/base.mk" BIN="$bin" BASE="$here/base" GPT2="$here/gpt2" OUT="$here/out" \
			VOCAB=300 WIDTH=16 LAYERS=1 HEADS=2 CONTEXT=32 HELD=500 EPOCHS=0.2 "$@" 2>&1
	}
	mkdir -p base/text gpt2
	words 1 3000 | gzip >base/text/a.txt.gz
	jq .model.vocab "$root/tests/gpt2-1024/tokenizer.json" >gpt2/encoder.json
	jq -r '.model.merges[]' "$root/tests/gpt2-1024/tokenizer.json" >gpt2/vocab.bpe
	base >log
	first=$(tail -n 1 log)
	[[ $first == "all together "* ]]
	run base
	[ "${#lines[@]}" -eq 2 ]
	base LR=1e-2 >log
	[ "$(tail -n 1 log)" != "$first" ]
	run ! grep '/tokenize ' log
	base >log
	[ "$(tail -n 1 log)" = "$first" ]
	base HELD=900 VOCAB=400 >log
	[ "$(wc -c <out/text/a.test.txt)" -gt 500 ]
	[ "$(jq '.model.vocab | length' out/tokenizer/tokenizer.json)" -eq 400 ]
}

@test "domains that cannot be worked with are named" {
	data() { # NAME: two domains, of which one has this name
		rm -rf data out
		for d in good "$1"; do
			mkdir -p "data/$d"
			echo 'some text to train on, and some more of it, so that it is enough' >"data/$d/train.txt"
			cp "data/$d/train.txt" "data/$d/test.txt"
			printf '%s\tl\tp\n' "$d"
		done | { printf '#palimpsest-domains 1\ndomain\tl1\tportion\n' && cat; } >domains.tsv
		mv domains.tsv data/
	}
	on() { make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="$bin" OUT=out gnuplot= MODEL=toy/m0 DATA=data ORDER=random "$@"; }
	for name in 'two words' 'a$b' 'a:b' "a'b" 'a%b' 'a;b'; do
		data "$name"
		run on
		[ "$status" -eq 2 ]
		[[ $output == *"cannot work with this name of a domain: $name"* ]]
		[ ! -e out/tok ]
	done
	data other
	: >data/other/test.txt
	run on
	[ "$status" -eq 2 ]
	[[ $output == *"other/test.txt: missing or empty"* ]]
	data other
	printf '#!/bin/sh\nprintf "#palimpsest-order 1\\nstep\\tdomain\\tl1\\tportion\\tcosine\\n1\\tgood\\tl\\tp\\t-\\n2\\tunknown\\tl\\tp\\t-\\n"\n' >order
	run on ORDER_DOMAINS="sh $here/order"
	[ "$status" -eq 2 ]
	[[ $output == *"not one of the domains: unknown"* ]]
}

@test "Brown: tags and spacing" {
	mkdir brown
	printf 'ca01 news\ncr01 humor\n' >brown/cats.txt
	cat >brown/ca01 <<-'END'


			Title/nn-hl words/nns-hl One/cd or/cc 1-1/2/cd ``/`` quoted/vbn ''/'' ,/, (/( aside/rb )/) Jr./np ./.
		Why/wrb ?/. ?/.


			He/pps said/vbd '/' no/rb '/' --/-- back\slash/nn ;/. ;/.
		then/rb left/vbd !/. !/.
	END
	cp brown/ca01 brown/cr01
	sh "$root/pipelines/brown-to-jsonl.sh" brown >brown.jsonl
	[ "$(wc -l <brown.jsonl)" -eq 2 ]
	cat >expected <<-'END'
		Title words
		One or 1-1/2 "quoted", (aside) Jr. Why?
		He said 'no' -- back\slash; then left!
	END
	jq -r 'select(.domain == "news") | .text' brown.jsonl | diff expected -
	[ "$(jq -r '.l1 + "/" + .portion' brown.jsonl | tr '\n' ' ')" = 'press/informative imaginative/imaginative ' ]
	# documents are runs of whole paragraphs
	[ "$(WORDS=1 sh "$root/pipelines/brown-to-jsonl.sh" brown | wc -l)" -eq 6 ]
	echo 'ca01 gossip' >brown/cats.txt
	run sh "$root/pipelines/brown-to-jsonl.sh" brown
	[ "$status" -eq 3 ]
	[[ $output == *"unknown genre gossip" ]]
}

@test "a trace says what a job did, whatever the folders above are called" {
	out=$here/text/tables/out
	mkdir -p "$out/.run"
	RUN=$out/.run sh "$root/pipelines/job.sh" -c "$out/rows/M0.tsv" label echo x
	RUN=$out/.run sh "$root/pipelines/job.sh" -c "$out/tables/M0.tsv" label echo x
	RUN=$out/.run sh "$root/pipelines/job.sh" -c "$out/random/order.tsv" label echo x
	[ "$(cut -f 1 "$out/.run/trace.tsv" | tr '\n' ' ')" = 'evaluate evaluate-tokens order ' ]
	# what failed or was stopped leaves a line, and nothing else
	run env RUN="$out/.run" sh "$root/pipelines/job.sh" -c "$out/rows/M1.tsv" label sh -c 'echo part; exit 3'
	[ "$status" -eq 3 ]
	RUN=$out/.run sh "$root/pipelines/job.sh" -c "$out/rows/M2.tsv" label sh -c 'echo part; touch begun; exec sleep 30' &
	while [ ! -e begun ]; do sleep 0.05; done
	kill -TERM $!
	wait $! || :
	[ "$(tail -n 2 "$out/.run/trace.tsv" | cut -f 9 | tr '\n' ' ')" = '3 143 ' ]
	[ "$(ls "$out/rows")" = M0.tsv ]
}

@test "what a study took and what lies there: by stage and kind, failed jobs, too" {
	mkdir -p study/.run study/runs/a/.run study/runs/a/rows
	head='#palimpsest-trace 1\tjob.sh\nstage\tstart\tend\tcpu_s\tpeak_kib\thost\tcommand_exit\tenergy_j\texit\tsha256\ttarget\n'
	# shellcheck disable=SC2059
	printf "$head" | tee study/.run/trace.tsv >study/runs/a/.run/trace.tsv
	printf '%s\n' 'train 100 1900 3600 2048 h 0 7200 0 x m' 'train 5000 6800 3600 4096 h 0 - 1 - m' | tr ' ' '\t' >>study/.run/trace.tsv
	echo 'evaluate 50 950 900 1024 h 0 3600 0 x r' | tr ' ' '\t' >>study/runs/a/.run/trace.tsv
	diff <(sh "$root/pipelines/cost.sh" study | tail -n +3 | sort) - <<-'END'
		all	3	1	1.2500	2.2500	4	missing
		evaluate	1	0	0.2500	0.2500	1	1.00
		train	2	1	1.0000	2.0000	4	missing
	END
	head -c 1000000 /dev/zero | tee study/runs/a/rows/M0.tsv >study/runs/a/rows/M1.tsv
	[ "$(sh "$root/pipelines/disk.sh" study | tail -n +3)" = $'rows\t2\t2.00\nall\t2\t2.00' ]
}

@test "setup.sh: says nothing and is quick when all is there; refuses an unknown role" {
	run sh "$root/pipelines/setup.sh" everything
	[ "$status" -eq 2 ]
	[ -e "$root/build/data/brown/cats.txt" ] || skip "not set up (make setup-test)"
	mkdir -p torch/include/ATen
	LIBTORCH=$PWD/torch run timeout 10 sh "$root/pipelines/setup.sh" demo
	[ "$status" -eq 0 ]
	[ "$output" = "" ]
}

@test "the demo, on three genres of made-up text" {
	[ -e "$root/build/data/minilm/vocab.txt" ] || skip "no MiniLM (make setup-demo)"
	mkdir brown
	jq -r '"\(.domain)\t\(.text)"' toy/corpus.jsonl | awk -F '\t' -v OFS= '
		{ genre = $1 == "wood_a" ? "news" : $1 == "tool.b" ? "humor" : "learned"; letter = $1 == "wood_a" ? "a" : $1 == "tool.b" ? "r" : "j"
		  file = "c" letter sprintf("%02d", 1 + n[genre]++ % 10); if (!(file in seen)) { seen[file] = 1; print file, " ", genre > "brown/cats.txt" }
		  gsub(/\./, " ."); gsub(/[^ ]+/, "&/nn", $2); print "\n\n\t", $2 > "brown/" file }'
	jq -r .text toy/corpus.jsonl | head -n 5 >base.txt
	embed-domains -q -m "$root/build/data/minilm" @base=base.txt >toy/m0/vectors.tsv
	demo() { make --no-print-directory -f "$root/pipelines/demo.mk" BIN="$bin" OUT="$here/demo-j" BROWN="$here/brown" MODEL="$here/toy/m0" \
		TEST_BYTES=300 TRAIN_BYTES=1500 EMBED_LINES=5 JOBS=2 "$@"; }
	run demo
	[ "$status" -eq 0 ]
	[[ $output == *similar* && $output == *random* && $output == *news* ]]
	[[ $output == *"The report, with figures: $here/demo-j/report.html" ]]
	grep -q 'data:image/svg' demo-j/report.html
	run --separate-stderr demo
	[ "$status" -eq 0 ]
	[[ $stderr != *training* ]]
	[[ $output == *"The report, with figures"* ]]
	[[ $(MAKEFLAGS='' demo MAKE=echo) == *' -j2 -f '* ]]
	[[ $(MAKEFLAGS='' demo -j3 MAKE=echo) != *' -j2 -f '* ]]
}
