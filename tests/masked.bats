#!/usr/bin/env bats
# Masked language models: RoBERTa and BERT in cpt-step and ppl-eval, and between us and transformers.

load common

# A byte tokenizer with RoBERTa's special tokens, two small models, two texts.
setup_file() {
	root=$BATS_TEST_DIRNAME/..
	PATH="${BUILD:-$root/build}/bin:$PATH"
	export LC_ALL=C.UTF-8 OMP_NUM_THREADS=1 given=$BATS_FILE_TMPDIR
	cd "$given" || return 1
	sh "$root/tests/toy.sh" toy
	mv toy/roberta tokenizer
	mv toy/roberta.json .
	jq '.model_type = "bert" | .architectures = ["BertForMaskedLM"] | .pad_token_id = 1 | .type_vocab_size = 2' roberta.json >bert.json
	for kind in roberta bert; do
		model-init -q -c $kind.json -t tokenizer -o $kind
	done
	jq -r .text toy/corpus.jsonl | head -n 30 | tokenize -q -t tokenizer -o a.tok
	jq -r .text toy/corpus.jsonl | tail -n 2 | tokenize -q -t tokenizer -o b.tok
}

setup() {
	scratch
	quick=(-q --threads 1 --batch 4 --context 32 --lr 3e-3)
	train=(cpt-step "${quick[@]}" -m "$given/roberta")
	eval=(ppl-eval -q --threads 1 --context 32)
}

losses() {
	jq -r 'select(.loss) | .loss' "$1/train.log.jsonl" | xargs -n1 printf '%.5f\n'
}

# near FILE FILE: the same first column, numbers within a millionth in the others
near() {
	paste "$1" "$2" | awk -F '\t' '{ m = NF / 2; if ($1 != $(m + 1)) exit 1
		for (i = 2; i <= m; i++) { d = $i / $(m + i) - 1; if (d > 1e-6 || d < -1e-6) { print; exit 1 } } } END { if (!NR) exit 1 }'
}

@test "masked: both families learn; the objective follows the model" {
	for kind in roberta bert; do
		cpt-step "${quick[@]}" -m "$given/$kind" -o $kind --epochs 3 "$given/a.tok"
		"${eval[@]}" -m "$given/$kind" a="$given/a.tok" | tail -n 1 >before
		"${eval[@]}" -m $kind a="$given/a.tok" | tail -n 1 >after
		[ "$(cut -f 4 after)" = masked:7:32 ]
		awk -F '\t' 'NR == 1 { before = $10 } NR == 2 { exit !($10 < before / 4) }' before after
		cmp "$given/$kind/config.json" $kind/config.json
		[[ $(jq -r '.chain[-1].made' $kind/palimpsest.json) == *"--objective mlm"* ]]
	done
}

@test "masked: an objective or a protocol for the other kind of model is refused" {
	model-init -q -c "$given/toy/config.json" -t "$given/toy/tokenizer" -o gpt2
	fails 3 roberta "RobertaForMaskedLM learns by --objective mlm, not clm" -- "${train[@]}" --objective clm -o m "$given/a.tok"
	fails 3 gpt2 "GPT2LMHeadModel learns by --objective clm, not mlm" -- cpt-step "${quick[@]}" --objective mlm -m gpt2 -o m "$given/a.tok"
	fails 3 roberta "predicts masked tokens, not the next one: no protocol m2d2" -- "${eval[@]}" -m "$given/roberta" --protocol m2d2 a="$given/a.tok"
	fails 3 gpt2 "predicts the next token, not masked ones: no protocol masked" -- "${eval[@]}" -m gpt2 --protocol masked a="$given/a.tok"
	fails 2 "masked:1" "a number from 2 on" -- "${eval[@]}" -m "$given/roberta" --protocol masked:1 a="$given/a.tok"
	fails 2 "windows of 32 tokens would leave some folds empty" -- "${eval[@]}" -m "$given/roberta" --protocol masked:33 a="$given/a.tok"
	[ ! -e m ]
}

@test "masked: without a tokenizer, a mask token or a head there is nothing to do" {
	cp -r "$given/roberta" m
	rm m/vocab.json m/merges.txt
	fails 3 "m: has no tokenizer" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	jq -c 'del(."<mask>")' "$given/tokenizer/vocab.json" >m/vocab.json
	cp "$given/tokenizer/merges.txt" m/
	fails 3 "m: the tokenizer has no mask token" -- "${eval[@]}" -m m a="$given/a.tok"
	jq '.architectures = ["RobertaModel"]' "$given/roberta.json" >bare.json
	model-init -q -c bare.json -t "$given/tokenizer" -o bare
	fails 3 bare/model.safetensors "no head of a masked language model" lm_head.dense.weight -- cpt-step "${quick[@]}" -m bare -o n "$given/a.tok"
	# 32 tokens behind the padding's position, not 34
	fails 3 "context of 33 tokens is longer than the model's 32 positions" -- cpt-step "${quick[@]}" --context 33 -m "$given/roberta" -o n "$given/a.tok"
	[ ! -e n ] && [ ! -e n.partial ]
}

@test "masked: micro-batches add up to the batch, and what is computed again is the same bytes" {
	"${train[@]}" --steps 8 --dropout 0 --micro-batch 4 -o m "$given/a.tok"
	"${train[@]}" --steps 8 --dropout 0 --micro-batch 1 -o n "$given/a.tok"
	"${train[@]}" --steps 8 --dropout 0 --micro-batch 3 -o o "$given/a.tok"
	diff <(losses m) <(losses n)
	diff <(losses m) <(losses o)
	"${train[@]}" --steps 8 -o p "$given/a.tok"
	"${train[@]}" --steps 8 --recompute -o q "$given/a.tok"
	cmp p/model.safetensors q/model.safetensors
	run ! cmp -s p/model.safetensors m/model.safetensors # dropout does something
}

@test "masked: each pass has other masks" {
	# at a rate of 0, blocks of one step an epoch: the same blocks, other losses
	head -c 160 "$given/toy/corpus.jsonl" | tokenize -q -t "$given/tokenizer" -o s.tok
	"${train[@]}" --lr 0 --dropout 0 --batch 100 --epochs 6 -o m s.tok
	[ "$(losses m | wc -l)" -eq 6 ]
	[ "$(losses m | sort -u | wc -l)" -eq 6 ]
}

@test "masked: killed and started again: the same bytes" {
	"${train[@]}" --steps 60 -o whole "$given/a.tok"
	for step in 7 23 41; do
		"${train[@]}" --steps 60 --save-every 1 -o m "$given/a.tok" >log 2>&1 3>&- &
		while [ "$(grep -c . m.partial/train.log.jsonl 2>/dev/null || :)" -lt $step ] && kill -0 $! 2>/dev/null; do sleep 0.01; done
		kill -9 $! 2>/dev/null || :
		wait $! || :
	done
	"${train[@]}" --steps 60 -o m "$given/a.tok"
	cmp whole/model.safetensors m/model.safetensors
	cmp whole/train.log.jsonl m/train.log.jsonl
}

@test "masked: bf16 follows f32; the best of several is kept" {
	"${train[@]}" --steps 30 --dropout 0 -o m "$given/a.tok"
	"${train[@]}" --steps 30 --dropout 0 --precision bf16 -o n "$given/a.tok"
	paste <(losses m) <(losses n) | awk '{ d = $1 - $2; if (d > 0.05 || d < -0.05) { print; exit 1 } }'
	"${train[@]}" --steps 30 --valid "$given/b.tok" --eval-every 10 --keep-best -o o "$given/a.tok"
	[ "$(jq -s 'map(select(.valid_loss)) | length' o/train.log.jsonl)" -eq 3 ]
	# the validation's loss is that of the protocol
	"${eval[@]}" -m o b="$given/b.tok" | tail -n 1 >row
	jq -r '.chain[-1].valid_loss' o/palimpsest.json >loss
	paste row loss | awk -F '\t' '{ d = $6 / $7 - $NF; exit !(d < 1e-5 && d > -1e-5) }'
}

@test "masked: every token is scored once, whatever the batch" {
	"${eval[@]}" -m "$given/roberta" a="$given/a.tok" b="$given/b.tok" | tail -n 2 >rows
	[ "$(cut -f 4 rows | sort -u)" = masked:7:32 ]
	for t in a b; do
		tokens=$(($(awk -F '\t' -v t=$t '$3 == t { print $8 }' rows)))
		[ "$(awk -F '\t' -v t=$t '$3 == t { print $7 }' rows)" -eq $tokens ]
	done
	"${eval[@]}" -m "$given/roberta" --batch 1 a="$given/a.tok" b="$given/b.tok" | tail -n 2 >single
	near <(cut -f 3,6,7,10 rows) <(cut -f 3,6,7,10 single)
	"${eval[@]}" -m "$given/roberta" --windows 30 a="$given/a.tok" | tail -n 1 >sample
	[ "$(cut -f 4,9 sample)" = $'masked:7:32,windows=30,seed=1\t30' ]
	[ "$(cut -f 12 sample)" != 0 ]
	"${eval[@]}" -m "$given/roberta" --protocol masked:3 --precision bf16 a="$given/a.tok" | tail -n 1 >three
	[ "$(cut -f 4 three)" = masked:3:32,bf16 ]
}

@test "masked: a sample beside a model that is known: windows and their folds" {
	model-init -q -c "$given/roberta.json" -t "$given/tokenizer" --seed 9 -o m
	"${eval[@]}" -m "$given/roberta" --per-window w0 -o zero a="$given/a.tok"
	"${eval[@]}" -m m a="$given/a.tok" >full
	"${eval[@]}" -m m --reference w0 --until 0.5 a="$given/a.tok" >row
	awk -F '\t' 'FNR == 3 { m[++k] = $6 / $7; t[k] = $7; n[k] = $9; e = $12 }
		END { exit !(n[2] < n[1] && t[1] == t[2] && e > 0 && (m[1] - m[2]) ^ 2 < (4 * e) ^ 2) }' full row
}

@test "masked: special tokens are not scored; a text of nothing else has nothing to predict" {
	# [UNK] is what WordPiece makes of what it does not know
	mkdir wordpiece
	printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' alder birch cedar . >wordpiece/vocab.txt
	jq '.vocab_size = 9 | .pad_token_id = 0' "$given/bert.json" >small.json
	model-init -q -c small.json -t wordpiece -o m
	printf 'alder birch. oak cedar\npine alder fir rowan cedar birch.\n' | tokenize -q -t wordpiece -o t.tok
	"${eval[@]}" -m m --context 7 --protocol masked:2 t=t.tok | tail -n 1 >row
	[ "$(cut -f 7 row)" -eq 8 ]
	printf 'oak fir\n' | tokenize -q -t wordpiece -o u.tok
	fails 3 "u.tok: has nothing to predict" -- cpt-step -q -m m --context 2 --steps 1 --valid u.tok -o n t.tok
	fails 3 "u.tok: has nothing to predict but special tokens" -- "${eval[@]}" -m m --context 2 --protocol masked:2 u=u.tok
}

@test "masked: directories that we made and trained load in transformers, with the same perplexity" {
	need_refs torch transformers safetensors
	models=()
	for kind in roberta bert; do
		jq '.tie_word_embeddings = false | .hidden_act = "gelu_new"' "$given/$kind.json" >untied.json
		model-init -q -c untied.json -t "$given/tokenizer" -o $kind.untied
		cpt-step "${quick[@]}" -m $kind.untied --steps 5 -o $kind.untied.1 "$given/a.tok"
		cpt-step "${quick[@]}" -m "$given/$kind" --steps 5 -o $kind.1 "$given/a.tok"
		models+=($kind.1 $kind.untied.1)
	done
	for m in "${models[@]}"; do
		"${eval[@]}" -m $m --protocol masked:5 --context 30 b="$given/b.tok" | tail -n 1
	done >rows
	"$python" "$root/tests/ref-masked.py" score 30 5 "$(head -n 1 rows | cut -f 5)" "$given/b.tok" "${models[@]}" >want 2>remarks || { cat remarks; return 1; }
	run ! grep -iE 'warn|missing|unexpected|newly|mismatch|not used' remarks
	near <(cut -f 1,6,7,10 rows) want
}

@test "masked: what save_pretrained writes loads here, and comes back" {
	need_refs torch transformers safetensors
	models=()
	for kind in RobertaForMaskedLM BertForMaskedLM BertForPreTraining; do
		for tied in true false; do
			case $kind in Roberta*) base=roberta ;; *) base=bert ;; esac
			jq ".architectures = [\"$kind\"] | .tie_word_embeddings = $tied" $given/$base.json >c.json
			"$python" "$root/tests/ref-masked.py" save c.json $kind.$tied 2>/dev/null
			cp "$given/tokenizer"/* $kind.$tied/
			cpt-step "${quick[@]}" -m $kind.$tied --steps 3 -o $kind.$tied.1 "$given/a.tok"
			models+=($kind.$tied.1)
			[ $kind = BertForPreTraining ] || models+=($kind.$tied)
		done
	done
	for m in "${models[@]}"; do
		"${eval[@]}" -m $m --protocol masked:4 b="$given/b.tok" | tail -n 1
	done >rows
	"$python" "$root/tests/ref-masked.py" score 32 4 "$(head -n 1 rows | cut -f 5)" "$given/b.tok" "${models[@]}" >want 2>remarks || { cat remarks; return 1; }
	near <(cut -f 1,6,7,10 rows) want
}
