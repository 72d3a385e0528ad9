#!/usr/bin/env bats
# cpt-step: what it writes, that interruptions and micro-batches change nothing, what it refuses.

load common

# A tiny model with a tokenizer, and two texts of made-up words, once for all tests.
setup_file() {
	scratch_file
	tiny_gpt2 >small.json
	model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
	words 12345 3000 | tokenize -q -t m0 -o a.tok
	words 54321 425 | tokenize -q -t m0 -o b.tok
}

setup() {
	scratch
	# 4 blocks of 16 a step: a step takes milliseconds
	quick=(-q --threads 1 --batch 4 --context 16 --lr 1e-3)
	train=(cpt-step "${quick[@]}" -m "$given/m0")
}

# losses DIR: of each step, with six digits after the point
losses() {
	jq -r 'select(.loss) | .loss' "$1/train.log.jsonl" | xargs -n1 printf '%.6f\n'
}

# await FILE: until it is there and not empty, or the tool in the background is gone
await() {
	while [ ! -s "$1" ] && kill -0 $! 2>/dev/null; do sleep 0.01; done
}

# blocks DIR: of 16 tokens in the text that DIR was trained on
blocks() {
	echo $(($(jq '.chain[-1].data[0].tokens' "$1/palimpsest.json") / 16))
}

@test "cpt-step: a model directory like the one it came from, a log, a summary" {
	run --separate-stderr "${train[@]}" --steps 5 -o m1 "$given/a.tok"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 1 ]
	[ "$(jq -c '[.model, .steps, .tokens]' <<<"$output")" = '["m1",5,320]' ]
	[ "$(ls)" = m1 ]
	[ "$(cd m1 && echo *) " = "config.json model.safetensors palimpsest.json tokenizer.json train.log.jsonl " ]
	cmp m1/config.json "$given/m0/config.json"
	cmp m1/tokenizer.json "$given/m0/tokenizer.json"
	run ! cmp -s m1/model.safetensors "$given/m0/model.safetensors"
	[ "$(jq -s 'map(.step)' -c m1/train.log.jsonl)" = '[1,2,3,4,5]' ]
	[ "$(jq -s 'map(.tokens)' -c m1/train.log.jsonl)" = '[64,128,192,256,320]' ]
	# linear from the peak down: the last step's rate is not yet 0
	[ "$(jq -r '.lr' m1/train.log.jsonl | xargs -n1 printf '%.4f ')" = "0.0010 0.0008 0.0006 0.0004 0.0002 " ]
	jq -e '.loss > 0 and .grad_norm > 0' m1/train.log.jsonl >/dev/null
}

@test "cpt-step: the record tells what made it, after that of the model it came from" {
	"${train[@]}" --steps 2 -o m1 "$given/a.tok"
	"${train[@]/"$given/m0"/m1}" --steps 2 -o m2 "$given/b.tok"
	[ "$(jq '.chain | length' m2/palimpsest.json)" -eq 3 ]
	[ "$(jq -c '.chain[:2]' m2/palimpsest.json)" = "$(jq -c .chain m1/palimpsest.json)" ]
	jq -e '.chain[2].made | startswith("cpt-step ") and contains("--batch 4") and contains("--lr 0.001")' m2/palimpsest.json
	[ "$(jq -r '.chain[2].from' m2/palimpsest.json)" = "$(cat m1/config.json m1/model.safetensors | sha256sum | cut -d' ' -f1)" ]
	[ "$(jq -r '.chain[2].data[0].hash' m2/palimpsest.json)" != "$(jq -r '.chain[1].data[0].hash' m2/palimpsest.json)" ]
	[ "$(jq -r '.chain[2].data[0].file' m2/palimpsest.json | sed 's,.*/,,')" = b.tok ]
}

@test "cpt-step: it learns" {
	"${train[@]}" --lr 3e-3 --dropout 0 --steps 120 -o m1 "$given/a.tok"
	jq -s -e '(.[-5:] | map(.loss) | add / 5) < 0.7 * .[0].loss' m1/train.log.jsonl
}

@test "cpt-step: same seed same bytes, another seed others" {
	"${train[@]}" --steps 4 -o m1 "$given/a.tok"
	"${train[@]}" --steps 4 -o m2 "$given/a.tok"
	diff -r m1 m2
	"${train[@]}" --seed 2 --steps 4 -o m3 "$given/a.tok"
	run ! cmp -s m1/model.safetensors m3/model.safetensors
	# dropout alone depends on it too
	"${train[@]}" --batch 64 --steps 1 -o m4 "$given/b.tok"
	"${train[@]}" --batch 64 --steps 1 --dropout 0 -o m5 "$given/b.tok"
	run ! cmp -s m4/model.safetensors m5/model.safetensors
	# and drops others in each step: a text of one block
	words 1 10 | tokenize -q -t "$given/m0" -o one.tok
	"${train[@]}" --lr 0 --batch 1 --steps 3 -o m6 one.tok
	[ "$(blocks m6)" -eq 1 ]
	[ "$(losses m6 | sort -u | wc -l)" -eq 3 ]
}

@test "cpt-step: one pass by default; the last batch is smaller; more passes come in another order" {
	"${train[@]}" --dropout 0 --epochs 2 -o m1 "$given/b.tok"
	n=$(blocks m1)
	[ $((n % 4)) -ne 0 ]
	per=$(((n + 3) / 4))
	[ "$(jq -s length m1/train.log.jsonl)" -eq $((2 * per)) ]
	[ "$(jq -s ".[$((per - 1))].tokens" m1/train.log.jsonl)" -eq $((n * 16)) ]
	[ "$(jq -s ".[$((per - 1))].epoch" m1/train.log.jsonl)" = 1 ]
	[ "$(jq -s '.[-1].tokens' m1/train.log.jsonl)" -eq $((2 * n * 16)) ]
	# with a rate of 0 each batch's loss tells which blocks were in it
	"${train[@]}" --lr 0 --dropout 0 --epochs 2 -o m2 "$given/b.tok"
	[ "$(losses m2 | head -n $per)" != "$(losses m2 | tail -n $per)" ]
	# a pass sees every block once: the mean over tokens is the same in both
	awk -v n="$n" -v per="$per" '{ i++; w = (i % per) ? 4 : n - 4 * (per - 1); s[i > per] += w * $1 }
		END { d = (s[0] - s[1]) / n; exit !(d < 1e-5 && d > -1e-5) }' <(jq .loss m2/train.log.jsonl)
}

@test "cpt-step: --tokens and --epochs say the same as --steps" {
	"${train[@]}" --tokens 500 -o m1 "$given/a.tok" >/dev/null
	[ "$(jq -s length m1/train.log.jsonl)" -eq 8 ] # 500 / 64, rounded up
	"${train[@]}" --epochs 0.5 -o m2 "$given/b.tok"
	per=$((($(blocks m2) + 3) / 4))
	[ "$(jq -s length m2/train.log.jsonl)" -eq $(((per + 1) / 2)) ]
}

@test "cpt-step: micro-batches add up to the batch" {
	for n in 1 3 4; do
		"${train[@]}" --dropout 0 --micro-batch $n --steps 6 -o m$n "$given/a.tok"
	done
	[ "$(losses m1 | cut -c1-6)" = "$(losses m4 | cut -c1-6)" ]
	[ "$(losses m3 | cut -c1-6)" = "$(losses m4 | cut -c1-6)" ]
}

@test "cpt-step: several files are one text, in the order given" {
	{ tokenize -t "$given/m0" -d "$given/b.tok"; tokenize -t "$given/m0" -d "$given/a.tok"; } >both
	tokenize -q -t "$given/m0" -o both.tok both
	"${train[@]}" --lr 0 --dropout 0 --batch 1000 --steps 1 -o m1 "$given/b.tok" "$given/a.tok"
	"${train[@]}" --lr 0 --dropout 0 --batch 1000 --steps 1 -o m2 both.tok
	"${train[@]}" --lr 0 --dropout 0 --batch 1000 --steps 1 -o m3 "$given/a.tok" "$given/b.tok"
	[ "$(losses m1 | cut -c1-7)" = "$(losses m2 | cut -c1-7)" ]
	[ "$(losses m1)" != "$(losses m3)" ]
}

@test "cpt-step: schedules" {
	rates() { jq -r .lr m/train.log.jsonl | xargs -n1 printf '%.5f '; }
	"${train[@]}" --schedule constant --warmup 2 --steps 5 -o m "$given/a.tok"
	[ "$(rates)" = "0.00000 0.00050 0.00100 0.00100 0.00100 " ]
	"${train[@]}" --schedule constant --warmup 0.3 --steps 5 -o m "$given/a.tok" # 1.5, rounded up
	[ "$(rates)" = "0.00000 0.00050 0.00100 0.00100 0.00100 " ]
	"${train[@]}" --schedule cosine --warmup 0.2 --steps 5 -o m "$given/a.tok"
	[ "$(rates)" = "0.00000 0.00100 0.00085 0.00050 0.00015 " ]
	"${train[@]}" --schedule wsd --decay 2 --steps 5 -o m "$given/a.tok"
	[ "$(rates)" = "0.00100 0.00100 0.00100 0.00100 0.00050 " ]
	"${train[@]}" --lr-floor 2e-4 --warmup 1 --steps 5 -o m "$given/a.tok"
	[ "$(rates)" = "0.00020 0.00100 0.00080 0.00060 0.00040 " ]
}

@test "cpt-step: bf16 follows f32, and weights can be written smaller" {
	"${train[@]}" --dropout 0 --steps 10 -o m1 "$given/a.tok"
	"${train[@]}" --dropout 0 --steps 10 --precision bf16 --dtype bf16 -o m2 "$given/a.tok"
	paste <(losses m1) <(losses m2) | awk '{ d = $1 - $2; if (d > 0.02 || d < -0.02) exit 1 }'
	[ "$(losses m1)" != "$(losses m2)" ]
	[ "$(stat -c %s m2/model.safetensors)" -lt $(($(stat -c %s m1/model.safetensors) * 6 / 10)) ]
	"${train[@]/"$given/m0"/m2}" --steps 1 -o m3 "$given/a.tok"
}

@test "cpt-step: a weight too large for f16 is no infinity" {
	cp -r "$given/m0" big
	# the last number of wpe, which stands before wte: position 31, which blocks of 16 do not reach; 70000 in f32
	printf '\000\270\210\107' | dd of=big/model.safetensors bs=1 seek=$(($(stat -c %s big/model.safetensors) - 1024 * 32 * 4 - 4)) \
		conv=notrunc status=none
	fails 1 wpe.weight "70000 is too large for F16" -- "${train[@]/"$given/m0"/big}" --steps 1 --dtype f16 -o m "$given/a.tok"
	[ ! -e m ]
	"${train[@]/"$given/m0"/big}" --steps 1 --dtype bf16 -o m "$given/a.tok"
}

# same_model DIR DIR: weights and log are the same bytes
same_model() {
	cmp "$1/model.safetensors" "$2/model.safetensors" && cmp "$1/train.log.jsonl" "$2/train.log.jsonl"
}

@test "cpt-step: what is computed again is the same bytes" {
	for precision in f32 bf16; do
		"${train[@]}" --precision $precision --micro-batch 3 --steps 4 -o kept "$given/a.tok"
		"${train[@]}" --precision $precision --micro-batch 3 --steps 4 --recompute -o again "$given/a.tok"
		same_model kept again
	done
}

small_memory=("--weights bf16 --precision bf16" "--weights bf16" "--optimizer-dtype bf16" "--weights bf16 --precision bf16 --optimizer-dtype bf16")

@test "cpt-step: weights and moments in bf16 follow f32" {
	"${train[@]}" --dropout 0 --steps 30 -o full "$given/a.tok"
	for mode in "${small_memory[@]}"; do
		# shellcheck disable=SC2086 # words
		"${train[@]}" --dropout 0 --steps 30 $mode -o m "$given/a.tok"
		paste <(losses full) <(losses m) | awk '{ d = $1 - $2; if (d > 0.03 || d < -0.03) exit 1 }'
		[ "$(losses full)" != "$(losses m)" ]
	done
	# small steps are not lost: rounded to the nearest, weights of 0.02 would never move by 1e-6
	"${train[@]}" --dropout 0 --lr 1e-6 --schedule constant --steps 60 -o full "$given/a.tok"
	"${train[@]}" --dropout 0 --lr 1e-6 --schedule constant --steps 60 --weights bf16 -o m "$given/a.tok"
	ppl() { ppl-eval -q -m "$1" --protocol disjoint --context 16 v="$given/a.tok" | awk -F'\t' 'NR == 3 { print $6 / $7 }'; }
	echo "$(ppl "$given/m0") $(ppl full) $(ppl m)" | awk '{ whole = $1 - $2; ours = $1 - $3; print; exit !(whole > 0 && ours > whole / 2 && ours < 2 * whole) }'
}

@test "cpt-step: gradients of several passes are added up in f32, whatever the weights are" {
	for n in 1 2 4; do
		"${train[@]}" --dropout 0 --lr 0 --weights bf16 --precision bf16 --micro-batch $n --steps 3 -o m$n "$given/a.tok"
	done
	for n in 1 2; do
		paste <(jq .grad_norm m$n/train.log.jsonl) <(jq .grad_norm m4/train.log.jsonl) |
			awk '{ d = $1 / $2 - 1; if (d > 0.01 || d < -0.01) exit 1 }'
	done
}

@test "cpt-step: in small memory, too, a run that was killed ends with the same bytes" {
	for mode in "${small_memory[@]}"; do
		# shellcheck disable=SC2206
		small=("${train[@]}" $mode --micro-batch 3 --steps 30 --keep-optimizer --valid "$given/b.tok" --eval-every 5 --keep-best)
		rm -rf whole cut cut.partial
		"${small[@]}" -o whole "$given/a.tok"
		"${small[@]}" --save-every 1 -o cut "$given/a.tok" >/dev/null 2>&1 &
		await cut.partial/state.safetensors
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		"${small[@]}" --recompute -o cut "$given/a.tok"
		diff -r whole cut
	done
	# the state holds what was asked for
	"${small[@]}" --save-every 1 -o cut "$given/b.tok" >/dev/null 2>&1 &
	await cut.partial/state.safetensors
	kill -KILL $! 2>/dev/null || true
	wait $! 2>/dev/null || true
	[ ! -e cut.partial/state.safetensors ] || head -c 30000 cut.partial/state.safetensors | grep -aq '"m.wte.weight":{"dtype":"BF16"'
}

@test "cpt-step: moments that lie elsewhere are the same moments" {
	for mode in "" "--optimizer-dtype bf16"; do
		# shellcheck disable=SC2086
		"${train[@]}" --steps 4 $mode -o here "$given/a.tok"
		# shellcheck disable=SC2086
		"${train[@]}" --steps 4 $mode --offload-optimizer -o there "$given/a.tok"
		same_model here there
	done
}

@test "cpt-step: moments of one type are taken over by a run with another" {
	"${train[@]}" --steps 3 --keep-optimizer -o m1 "$given/a.tok"
	"${train[@]/"$given/m0"/m1}" --steps 2 --optimizer-dtype bf16 --keep-optimizer -o m2 "$given/b.tok"
	[ "$(stat -c %s m2/optimizer.safetensors)" -lt $(($(stat -c %s m1/optimizer.safetensors) * 6 / 10)) ]
	"${train[@]/"$given/m0"/m2}" --steps 2 --keep-optimizer -o m3 "$given/b.tok"
	[ "$(jq -c .chain[-1].optimizer_taken_over m3/palimpsest.json)" = true ]
}

@test "cpt-step: validation, and the best model is kept" {
	"${train[@]}" --lr 3e-2 --dropout 0 --steps 12 --valid "$given/b.tok" --eval-every 2 -o last "$given/a.tok"
	"${train[@]}" --lr 3e-2 --dropout 0 --steps 12 --valid "$given/b.tok" --eval-every 2 --keep-best -o best "$given/a.tok"
	cmp last/train.log.jsonl best/train.log.jsonl
	[ "$(jq -s -c 'map(select(.valid_loss) | .step)' best/train.log.jsonl)" = "[2,4,6,8,10,12]" ]
	low=$(jq -s 'map(select(.valid_loss)) | min_by(.valid_loss)' best/train.log.jsonl)
	[ "$(jq .chain[-1].best_step best/palimpsest.json)" = "$(jq .step <<<"$low")" ]
	[ "$(jq .chain[-1].valid_loss best/palimpsest.json)" = "$(jq .valid_loss <<<"$low")" ]
	[ "$(cd best && echo *)" = "$(cd last && echo *)" ]
	# what is written has that loss
	ppl-eval -q -m best --protocol disjoint --context 16 v="$given/b.tok" | awk -F'\t' -v want="$(jq .valid_loss <<<"$low")" '
		NR == 3 { d = $6 / $7 - want; exit !(d < 1e-6 && d > -1e-6) }'
}

@test "cpt-step: the best of early steps is written, not the last" {
	# a rate that destroys the model: the first validation is the best
	"${train[@]}" --lr 1 --clip 0 --schedule constant --dropout 0 --steps 6 --valid "$given/b.tok" --eval-every 2 --keep-best \
		-o best "$given/a.tok" >summary
	[ "$(jq .valid_loss summary)" = "$(jq .chain[-1].valid_loss best/palimpsest.json)" ]
	step=$(jq .chain[-1].best_step best/palimpsest.json)
	[ "$step" -lt 6 ] || skip "the last step was the best"
	ppl-eval -q -m best --protocol disjoint --context 16 v="$given/b.tok" |
		awk -F'\t' -v want="$(jq .chain[-1].valid_loss best/palimpsest.json)" 'NR == 3 { d = $6 / $7 / want - 1; exit !(d < 1e-5 && d > -1e-5) }'
}

@test "cpt-step: Adam's moments can be handed on" {
	"${train[@]}" --dropout 0 --schedule constant --steps 3 --keep-optimizer -o m1 "$given/a.tok"
	[ -e m1/optimizer.safetensors ]
	again=("${train[@]/"$given/m0"/m1}" --dropout 0 --schedule constant --steps 3)
	"${again[@]}" --keep-optimizer -o m2 "$given/b.tok"
	"${again[@]}" -o m3 "$given/b.tok"
	[ ! -e m3/optimizer.safetensors ]
	[ "$(losses m2 | head -n 1)" = "$(losses m3 | head -n 1)" ]
	[ "$(losses m2 | tail -n 1)" != "$(losses m3 | tail -n 1)" ]
	[ "$(jq -c '[.chain[-1].optimizer_taken_over]' m2/palimpsest.json)" = "[true]" ]
}

# --- the Trainer ---

# as_the_trainer DIR: trains DIR/m0 to DIR/m1 with what parity-trainer.py gives to the Trainer
as_the_trainer() {
	cpt-step -q --threads 1 -m "$1/m0" -o "$1/m1" --batch 8 --micro-batch 4 --context 128 --lr 1e-3 --warmup 0.1 --weight-decay 0.1 \
		--dropout 0 --steps 50 "$1/train.tok"
}

# near_trainer TSV DIR: fifty losses within 1e-4, rates and norms of the gradient within a millionth and a ten-thousandth
near_trainer() {
	[ "$(grep -vc '^#' "$1")" -eq 50 ]
	paste <(grep -v '^#' "$1") <(jq -r '[.step, .loss, .lr, .grad_norm] | @tsv' "$2/m1/train.log.jsonl") | awk -F'\t' '
		function off(a, b) { return a > b ? a - b : b - a }
		$1 != $5 || off($2, $6) > 1e-4 || off($3, $7) > 1e-9 || off($4, $8) > 1e-4 * $8 { print "differs: " $0; bad = 1 }
		off($2, $6) > worst { worst = off($2, $6) }
		END { print "losses within " worst; exit bad }'
}

@test "cpt-step: fifty steps of the Hugging Face Trainer, with decay, warm-up, accumulation and a last batch that is smaller" {
	"$root/tests/trainer-case.sh" case
	"${BUILD:-$root/build}/tests/blocks" case/train.tok 128 1 3 >blocks
	[ "# ids $(sha256sum <blocks | cut -d' ' -f1)" = "$(head -n 1 "$root/tests/data/trainer.tsv")" ]
	as_the_trainer case
	near_trainer "$root/tests/data/trainer.tsv" case
}

@test "cpt-step: fifty steps of the Trainer on real text" {
	[ -n "${PALIMPSEST_LONG-}" ] || skip "runs in make test-long"
	need_refs torch transformers accelerate
	need_shared data/demo24/text
	gzip -dc "$shared"/data/demo24/text/*.gz | head -c 100000 >text
	"$root/tests/trainer-case.sh" case text
	"${BUILD:-$root/build}/tests/blocks" case/train.tok 128 1 3 >blocks
	"$python" "$root/tests/parity-trainer.py" case/m0 blocks 50 >trainer.tsv 2>/dev/null
	as_the_trainer case
	near_trainer trainer.tsv case
}

# --- what it would take ---

# value NAME: of the estimate on stdin
value() {
	awk -F'\t' -v name="$1" '$1 == name { print $2 }'
}

# gpt2 LAYERS WIDTH HEADS VOCABULARY: a configuration
gpt2() {
	echo "{\"model_type\": \"gpt2\", \"n_layer\": $1, \"n_embd\": $2, \"n_head\": $3, \"vocab_size\": $4, \"bos_token_id\": 0, \"eos_token_id\": 0}"
}

@test "cpt-step: --dry-run knows the paper's GPT-2s" {
	while read -r layers width heads parameters; do
		gpt2 "$layers" "$width" "$heads" 50257 >config.json
		cpt-step --dry-run --threads 1 -m config.json --micro-batch 1 --context 32 --precision bf16 >out
		[ "$(value parameters <out)" = "$parameters" ]
		[ "$(value weights <out)" = $((4 * parameters)) ]
		[ "$(value moments <out)" = $((8 * parameters)) ]
		[ "$(value state-file <out)" = $((12 * parameters)) ]
		[ "$(value operations-per-token <out)" -gt $((5 * parameters)) ]
		awk -F'\t' '$1 == "seconds-per-token" { exit !($2 > 0 && $2 < 1000) }' out
	done <<-'END'
		12 768 12 124439808
		24 1024 16 354823168
		36 1280 20 774030080
		48 1600 25 1557611200
	END
	[ "$(ls)" = "$(printf 'config.json\nout')" ]
}

@test "cpt-step: --dry-run knows Llama2-7B" {
	echo '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 11008,
		"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
		"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false}' >config.json
	cpt-step --dry-run --threads 1 -m config.json --batch 1 --context 32 --precision bf16 --weights bf16 --optimizer-dtype bf16 >out
	[ "$(value parameters <out)" = 6738415616 ]
	[ "$(value weights <out)" = $((2 * 6738415616)) ]
	[ "$(value peak <out)" -gt $((8 * 6738415616)) ]
}

@test "cpt-step: --dry-run knows RoBERTa" {
	echo '{"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "vocab_size": 50265, "max_position_embeddings": 514,
		"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1}' >base.json
	jq '.hidden_size = 1024 | .num_hidden_layers = 24 | .num_attention_heads = 16 | .intermediate_size = 4096' base.json >large.json
	[ "$(cpt-step --dry-run --threads 1 -m base.json --micro-batch 1 --context 32 | value parameters)" = 124697433 ]
	[ "$(cpt-step --dry-run --threads 1 -m large.json --micro-batch 1 --context 32 | value parameters)" = 355412057 ]
	# as many tokens as it has positions behind the padding's
	cpt-step --dry-run --threads 1 -m base.json --batch 1 --steps 1 | grep -q '^steps	1	512 tokens'
}

@test "cpt-step: --dry-run shows what each option saves" {
	gpt2 12 768 12 50257 >config.json
	peak() { cpt-step --dry-run --threads 1 -m config.json --batch 1 --context 512 "$@" | value peak; }
	plain=$(peak)
	[ "$(peak --recompute)" -lt "$plain" ]
	[ "$(peak --optimizer-dtype bf16)" -lt "$plain" ]
	half=$(peak --precision bf16 --weights bf16)
	[ "$half" -lt "$(peak --precision bf16)" ]
	[ "$(peak --precision bf16 --weights bf16 --optimizer-dtype bf16 --recompute)" -lt $((half - 400000000)) ]
	[ "$(peak --batch 2 --micro-batch 1 --precision bf16)" -gt "$(peak --precision bf16)" ]
}

@test "cpt-step: --dry-run counts steps as the Trainer does, and needs no output and no weights" {
	"$root/tests/trainer-case.sh" case
	rm case/m0/model.safetensors
	while read -r epochs steps; do
		[ "$(cpt-step --dry-run --threads 1 -m case/m0 --batch 8 --micro-batch 4 --context 128 --epochs "$epochs" case/train.tok | value steps)" = "$steps" ]
	done < <(sed -n 's/^# epochs \([0-9.]*\) are steps \([0-9]*\) .*/\1 \2/p' "$root/tests/data/trainer.tsv")
	cpt-step --dry-run --threads 1 -m case/m0 --steps 7 | grep -q "^steps	7	"
	for t in f32 bf16 f16; do
		cpt-step --dry-run --threads 1 -m case/m0 --dtype $t | grep -q "^model-file	.*: $t\$"
	done
	words 54321 5 | tokenize -q -t case/m0 -o case/cut.tok
	fails 1 "nowhere" -- cpt-step --dry-run -m nowhere
	fails 2 "-m" -- cpt-step --dry-run
	fails 3 "longer than the model's" -- cpt-step --dry-run -m case/m0 --context 1000
	fails 3 "case/cut.tok" "less than one block of 128" -- cpt-step --dry-run -m case/m0 --context 128 --steps 7 case/cut.tok
	[ "$(ls)" = case ]
}

# near_estimate DIR OPTION...: the peak that two steps have is within 15 % (a tenth more on a machine that is not the author's) of what was said
near_estimate() {
	local said took dir=$1
	shift
	said=$(cpt-step --dry-run --threads 1 -m "$dir" "$@" long.tok | value peak)
	took=$(cpt-step -q --threads 1 -m "$dir" -o m --steps 2 "$@" long.tok | jq .peak_memory)
	rm -r m
	echo "$* said $said took $took"
	awk -v a="$said" -v b="$took" 'BEGIN { exit !(a / b > 0.75 && a / b < 1.25) }'
}

@test "cpt-step: --dry-run is near the memory that is taken" {
	[[ ${BUILD:-} != *sanitize* ]] || skip "a sanitized build takes more"
	gpt2 4 256 4 8192 >config.json
	model-init -q -c config.json -t "$root/tests/gpt2-1024" -o m0
	words a 9000 | tokenize -q -t m0 -o long.tok
	near_estimate m0 --batch 4 --micro-batch 4 --context 256
	near_estimate m0 --batch 4 --micro-batch 2 --context 256 --precision bf16 --recompute
	rm -r m0
	jq -n '{model_type: "llama", architectures: ["LlamaForCausalLM"], hidden_size: 256, intermediate_size: 688, num_hidden_layers: 8,
		num_attention_heads: 8, num_key_value_heads: 4, vocab_size: 8192, max_position_embeddings: 1024, rms_norm_eps: 1e-5,
		hidden_act: "silu", tie_word_embeddings: false}' >config.json
	model-init -q -c config.json -t "$root/tests/gpt2-1024" -o m0
	near_estimate m0 --batch 4 --micro-batch 4 --context 256
	near_estimate m0 --batch 4 --micro-batch 4 --context 256 --precision bf16
	[ -n "${PALIMPSEST_LONG-}" ] || return 0
	gpt2 12 768 12 50257 >config.json
	rm -r m0
	model-init -q -c config.json -t "$root/tests/gpt2-1024" -o m0
	near_estimate m0 --batch 1 --context 512
	near_estimate m0 --batch 1 --context 512 --precision bf16
	near_estimate m0 --batch 2 --micro-batch 1 --context 256 --precision bf16 --weights bf16 --optimizer-dtype bf16 --recompute
}

# --- interruptions ---

@test "cpt-step: killed at any moment and started again: the same bytes" {
	long=("${train[@]}" --steps 60 --save-every 7 --valid "$given/b.tok" --eval-every 10 --keep-best --keep-optimizer)
	"${long[@]}" -o whole "$given/a.tok"
	kills=0
	for delay in 0 0.02 0.05 0.3 0.11 0.2 0.15 0.4; do # the first two before any machine is done
		"${long[@]}" -o cut "$given/a.tok" >/dev/null 2>&1 &
		await cut.partial/train.log.jsonl
		sleep "$delay"
		kill -KILL $! 2>/dev/null && kills=$((kills + 1))
		wait $! 2>/dev/null || true
		[ ! -d cut ] || break
	done
	[ "$kills" -gt 1 ]
	"${long[@]}" -o cut "$given/a.tok"
	diff -r whole cut
	[ "$(ls)" = "$(printf 'cut\nwhole')" ]
}

@test "cpt-step: what the log has beyond the saved state does not stand in it twice" {
	"${train[@]}" --steps 300 -o whole "$given/a.tok"
	"${train[@]}" --steps 300 --save-every 50 -o m "$given/a.tok" 2>/dev/null &
	until grep -qs '"step": 60,' m.partial/train.log.jsonl || ! kill -0 $!; do sleep 0.01; done
	kill -KILL $!
	wait $! || true
	"${train[@]}" --steps 300 -o m "$given/a.tok"
	diff -r whole m
}

@test "cpt-step: a saved state is gone on with, and says so" {
	"${train[@]}" --steps 40 -o whole "$given/a.tok"
	cpt-step "${quick[@]:1}" -m "$given/m0" --steps 40 --save-every 1 -o m "$given/a.tok" &
	await m.partial/state.safetensors
	kill -KILL $!
	wait $! || true
	[ ! -e m ]
	run --separate-stderr cpt-step "${quick[@]:1}" -m "$given/m0" --steps 40 --save-every 1 -o m "$given/a.tok"
	[ "$status" -eq 0 ]
	[[ $stderr == *"cpt-step: going on after step "*" of 40"* ]]
	diff -r whole m
}

@test "cpt-step: TERM saves, ends by that signal and goes on later" {
	"${train[@]}" --steps 300 -o whole "$given/a.tok"
	"${train[@]}" --steps 300 -o m "$given/a.tok" 2>err &
	await m.partial/train.log.jsonl
	kill -TERM $!
	code=0
	wait $! || code=$?
	[ "$code" -eq 143 ]
	[ ! -e m ]
	[ "$(wc -l <err)" -eq 1 ]
	grep -q "cpt-step: stopped by a signal: step [0-9]* of 300 is saved in m.partial" err
	[ -e m.partial/state.safetensors ]
	"${train[@]}" --steps 300 -o m "$given/a.tok"
	diff -r whole m
	[ ! -e m.partial ]
}

@test "cpt-step: what waits for it sees that it was a signal" {
	bash -c '"$@"; :' - "${train[@]}" --steps 300 -o m "$given/a.tok" 2>err &
	await m.partial/train.log.jsonl
	kill -TERM "$(ps -o pid= --ppid $! | tr -d ' ')"
	wait $!
	grep -q Terminated err
}

@test "cpt-step: TERM in a validation leaves it, and it is done later" {
	words 777 60000 | tokenize -q -t "$given/m0" -o long.tok
	valid=("${train[@]}" --micro-batch 1 --steps 2 --valid long.tok --eval-every 1 --keep-best)
	"${valid[@]}" -o whole "$given/a.tok"
	for at in 1 2; do # the second is at the end of the run
		"${valid[@]}" -o m "$given/a.tok" 2>err &
		until grep -qs "\"step\": $at, \"epoch\"" m.partial/train.log.jsonl || ! kill -0 $!; do sleep 0.01; done
		sleep 0.2
		kill -TERM $!
		code=0
		wait $! || code=$?
		[ "$code" -eq 143 ]
		grep -q "step $at of 2 is saved" err
		[ "$(jq .step m.partial/train.log.jsonl | tail -n 1)" = $at ]
		run ! grep "\"step\": $at, \"valid_loss\"" m.partial/train.log.jsonl
	done
	"${valid[@]}" -o m "$given/a.tok"
	diff -r whole m
}

@test "cpt-step: the best validation before a signal is still the best after it" {
	# a rate that destroys the model: the first validation is the best
	worse=("${train[@]}" --lr 1 --clip 0 --schedule constant --dropout 0 --steps 300 --valid "$given/b.tok" --eval-every 2 --keep-best)
	"${worse[@]}" -o whole "$given/a.tok" >summary
	[ "$(jq .chain[-1].best_step whole/palimpsest.json)" -le 10 ]
	"${worse[@]}" -o m "$given/a.tok" 2>/dev/null &
	until grep -qs '"step": 20, "valid_loss"' m.partial/train.log.jsonl || ! kill -0 $!; do sleep 0.01; done
	kill -TERM $!
	code=0
	wait $! || code=$?
	[ "$code" -eq 143 ]
	"${worse[@]}" -o m "$given/a.tok" >again
	[ "$(jq .valid_loss again)" = "$(jq .valid_loss summary)" ]
	diff -r whole m
}

@test "cpt-step: a state of another run is not gone on with" {
	for other in "--lr 2e-3" "--seed 9" "--steps 50"; do
		rm -rf m m.partial fresh
		"${train[@]}" --steps 300 -o m "$given/a.tok" 2>/dev/null &
		await m.partial/train.log.jsonl
		kill -TERM $!
		wait $! || true
		# shellcheck disable=SC2086 # two words
		run --separate-stderr "${train[@]}" --steps 20 $other -o m "$given/a.tok"
		[ "$status" -eq 0 ]
		[ "$stderr" = "cpt-step: m.partial/state.safetensors: is of a run with other options or inputs: starting over" ]
		# shellcheck disable=SC2086
		"${train[@]}" --steps 20 $other -o fresh "$given/a.tok"
		diff -r m fresh
	done
}

@test "cpt-step: nor one of a run with another validation text, or with other moments to begin with" {
	other() { # STOPPED... -- AGAIN...: options of a run that is stopped, and of one under the same name
		local stopped=()
		while [ "$1" != -- ]; do stopped+=("$1") && shift; done
		shift
		rm -rf m m.partial
		cpt-step "${quick[@]}" "${stopped[@]}" --steps 300 -o m "$given/a.tok" 2>/dev/null &
		await m.partial/train.log.jsonl
		kill -TERM $!
		wait $! || true
		run --separate-stderr cpt-step "${quick[@]}" "$@" --steps 300 -o m "$given/a.tok"
		[ "$status" -eq 0 ]
		[ "$stderr" = "cpt-step: m.partial/state.safetensors: is of a run with other options or inputs: starting over" ]
	}
	words 777 400 | tokenize -q -t "$given/m0" -o c.tok
	other -m "$given/m0" --valid "$given/b.tok" -- -m "$given/m0" --valid c.tok
	"${train[@]}" --steps 1 --keep-optimizer -o m1 "$given/a.tok"
	cp -r m1 m2
	poke m2/optimizer.safetensors $(($(stat -c %s m2/optimizer.safetensors) - 4)) '\0\0\200\076' # 0.25
	other -m m1 --keep-optimizer -- -m m2 --keep-optimizer
}

@test "cpt-step: ends with nothing more to do if only the renaming was missing" {
	"${train[@]}" --steps 4 -o m "$given/a.tok"
	cp -r m whole
	mv m m.partial
	touch m.partial/model.safetensors.tmp.1
	before=$(stat -c %Y.%i m.partial/model.safetensors)
	run --separate-stderr "${train[@]}" --steps 4 -o m "$given/a.tok"
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.steps, .tokens]' <<<"$output")" = "[4,256]" ]
	[ "$(stat -c %Y.%i m/model.safetensors)" = "$before" ]
	diff -r m whole
}

@test "cpt-step: steps that change nothing are still steps of their own" {
	cp -r "$given/m0" m0
	for k in 1 2; do cpt-step "${quick[@]}" --lr 0 --steps 2 -m m$((k - 1)) -o m$k "$given/a.tok"; done
	mkdir m3.partial && touch m3.partial/.unfinished && cp m2/palimpsest.json m3.partial # as a run that was killed at its beginning
	cpt-step "${quick[@]}" --lr 0 --steps 2 -m m2 -o m3 "$given/a.tok"
	cmp m2/model.safetensors m3/model.safetensors
	[ "$(jq '.chain | length' m3/palimpsest.json)" -eq 4 ]
}

@test "cpt-step: a second run into the same folder ends, and the first one's result is whole" {
	"${train[@]}" --steps 300 -o whole "$given/a.tok"
	"${train[@]}" --steps 300 -o m "$given/a.tok" >/dev/null &
	await m.partial/train.log.jsonl
	kill -STOP $!
	fails 1 "cannot write folder m: another run is writing it, in m.partial" -- "${train[@]}" --steps 2 -o m "$given/a.tok"
	fails 1 "another run is writing it" -- model-init -c "$given/small.json" -o m
	kill -CONT $!
	wait $!
	diff -r whole m
	[ ! -e m.partial ]
}

@test "cpt-step: IN_DIR is not needed any more once the training has begun" {
	cp -r "$given/m0" in
	"${train[@]}" --steps 300 -o whole "$given/a.tok"
	cpt-step "${quick[@]}" -m in --steps 300 -o m "$given/a.tok" >/dev/null &
	await m.partial/train.log.jsonl
	kill -STOP $!
	rm -r in
	kill -CONT $!
	wait $!
	diff -r whole m
}

@test "cpt-step: a folder OUT_DIR.partial that no tool began is left alone" {
	mkdir m.partial && echo x >m.partial/thesis.txt
	fails 1 "cannot replace m.partial" "left alone" -- "${train[@]}" --steps 1 -o m "$given/a.tok"
	[ "$(ls -A m.partial)" = thesis.txt ]
	rm -r m.partial
	cp -r "$given/m0" m.partial && rm m.partial/palimpsest.json
	cp -r m.partial foreign
	fails 2 "-m is where -o is written" -- cpt-step "${quick[@]}" -m m.partial --steps 1 -o m "$given/a.tok"
	fails 1 "cannot replace m.partial" -- "${train[@]}" --steps 1 -o m "$given/a.tok"
	diff -r foreign m.partial
	rm -r m.partial
	echo x >m.partial
	fails 1 "m.partial: Not a directory" -- "${train[@]}" --steps 1 -o m "$given/a.tok"
	fails 1 "m.partial: Not a directory" -- model-init -c "$given/small.json" -o m
	[ "$(cat m.partial)" = x ]
}

@test "cpt-step: an older model in the place of the output is replaced as a whole" {
	"${train[@]}" --steps 2 --keep-optimizer -o m "$given/a.tok"
	"${train[@]}" --steps 3 -o m "$given/a.tok"
	[ "$(jq -s length m/train.log.jsonl)" -eq 3 ]
	[ ! -e m/optimizer.safetensors ]
	[ "$(ls)" = m ]
}

# --- mistakes ---

# broken FILTER: m is the model with this change to its configuration
broken() {
	cp -r "$given/m0" m
	jq "$1" "$given/m0/config.json" >m/config.json
}

@test "cpt-step: usage" {
	fails 2 "-m and -o" -- cpt-step "$given/a.tok"
	fails 2 "no token file" -- "${train[@]}" -o m
	fails 2 "same directory" -- cpt-step -m "$given/m0" -o "$given/m0" "$given/a.tok"
	fails 2 "same directory" -- cpt-step -m "$given/m0" -o "$given/m0/" "$given/a.tok"
	fails 2 "same directory" -- cpt-step -m "$given/m0" -o "$given/m0/../m0" "$given/a.tok"
	ln -s "$given/m0" link
	fails 2 "same directory" -- cpt-step -m "$given/m0" -o link "$given/a.tok"
	rm link
	fails 2 "exclude" -- "${train[@]}" --steps 3 --epochs 1 -o m "$given/a.tok"
	fails 2 "exclude" -- "${train[@]}" --steps 3 --tokens 100 -o m "$given/a.tok"
	fails 2 "--valid" -- "${train[@]}" --keep-best -o m "$given/a.tok"
	fails 2 "--valid" -- "${train[@]}" --eval-every 3 -o m "$given/a.tok"
	fails 2 "context" -- "${train[@]}" --context 1 -o m "$given/a.tok"
	fails 2 "warmup" -- "${train[@]}" --steps 3 --warmup 5 -o m "$given/a.tok"
	fails 2 "lr-floor" -- "${train[@]}" --steps 3 --lr-floor 0.1 -o m "$given/a.tok"
	fails 2 "objective" -- "${train[@]}" --objective plm -o m "$given/a.tok"
	fails 2 "0 steps" -- "${train[@]}" --epochs 0 -o m "$given/a.tok"
	fails 2 "dropout" -- "${train[@]}" --dropout 1 -o m "$given/a.tok"
	fails 2 "dropout is -0.5" -- "${train[@]}" --dropout -0.5 -o m "$given/a.tok"
	fails 2 "--warmup 1.5" -- "${train[@]}" --steps 3 --warmup 1.5 -o m "$given/a.tok"
	fails 2 "--warmup is 1e+300 steps, more than the 3" -- "${train[@]}" --steps 3 --warmup 1e300 -o m "$given/a.tok"
	fails 2 "--decay 2.5" -- "${train[@]}" --steps 3 --schedule wsd --decay 2.5 -o m "$given/a.tok"
	fails 2 "unknown device 'tpu'" -- "${train[@]}" --device tpu -o m "$given/a.tok"
	fails 2 "unknown device 'cuda:1x'" -- "${train[@]}" --device cuda:1x -o m "$given/a.tok"
	fails 2 "batch" -- "${train[@]}" --batch 0 -o m "$given/a.tok"
	[ -z "$(ls)" ]
}

@test "cpt-step: no such device" {
	fails 4 -- "${train[@]}" --device cuda:99 --steps 1 -o m "$given/a.tok"
	[ -z "$(ls)" ]
}

@test "cpt-step: a model of one position" {
	tiny_gpt2 '.n_positions = 1' >one.json
	model-init -q -c one.json -t "$given/m0" -o one
	fails 3 "one: has only 1 position" -- cpt-step -q -m one --steps 1 -o m "$given/a.tok"
}

@test "cpt-step: a text that does not fit" {
	fails 3 "less than one block" -- "${train[@]}" --context 32 -o m <(words 54321 5 | tokenize -q -t "$given/m0")
	fails 3 "longer than the model's 32 positions" -- "${train[@]}" --context 33 -o m "$given/a.tok"
	fails 1 "nowhere.tok" -- "${train[@]}" -o m nowhere.tok
	head -c 300 "$given/a.tok" >cut.tok
	fails 3 "cut.tok" -- "${train[@]}" -o m cut.tok
	fails 3 /dev/null -- "${train[@]}" -o m /dev/null
	fails 3 -- "${train[@]}" -o m "$given/small.json"
	[ "$(ls)" = cut.tok ]
}

@test "cpt-step: a text by another tokenizer, or with ids that the model does not have" {
	cp -r "$given/m0" other
	jq '.model.merges |= .[:-1]' "$given/m0/tokenizer.json" >other/tokenizer.json
	if tokenize -q -t other -o other.tok <<<"the old river" 2>/dev/null; then
		fails 3 "other.tok" "another tokenizer" -- "${train[@]}" --context 2 -o m other.tok
	fi
	cp -r "$given/m0" bare
	rm bare/tokenizer.json
	model-init -q -c <(jq '.vocab_size = 300 | .bos_token_id = 0 | .eos_token_id = 0' "$given/small.json") -o tiny
	fails 3 "a.tok" "beyond the model's vocabulary of 300" -- cpt-step "${quick[@]}" -m tiny -o m "$given/a.tok"
	# without a tokenizer any will do whose ids the model has
	cpt-step "${quick[@]}" -m bare --steps 1 -o m "$given/a.tok"
}

@test "cpt-step: weights that do not fit the configuration" {
	broken '.n_embd = 16'
	fails 3 "wte.weight" "shape" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && broken '.n_layer = 3'
	fails 3 "h.2.ln_1.weight is missing" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && broken '.n_layer = 1'
	fails 3 "unknown tensor" "h.1." -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && broken '.tie_word_embeddings = false'
	fails 3 "lm_head.weight is missing" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && model-init -q -c <(jq '.tie_word_embeddings = false' "$given/small.json") -o m
	jq '.tie_word_embeddings = true' m/config.json >tied && mv tied m/config.json
	fails 3 "lm_head.weight: the configuration ties it to wte.weight, but they differ" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && broken '.model_type = "bert"'
	fails 3 -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm -r m && broken . && head -c 5000 "$given/m0/model.safetensors" >m/model.safetensors
	fails 3 "model.safetensors" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	rm m/model.safetensors
	fails 1 "model.safetensors" -- cpt-step "${quick[@]}" -m m -o n "$given/a.tok"
	[ "$(ls)" = m ]
}

@test "cpt-step: a loss that is not finite writes no model and keeps the last saved state" {
	fails 1 "step" -- "${train[@]}" --lr 1e30 --clip 0 --schedule constant --save-every 1 --steps 50 -o m "$given/a.tok"
	[ ! -e m ]
	[ -e m.partial/state.safetensors ]
}

@test "cpt-step: the last update, or a validation, is not finite: no model" {
	# places beyond the context have no gradient: 0 / 0
	fails 1 "a weight is not a number" -- "${train[@]}" --eps 0 --steps 1 -o m "$given/a.tok"
	fails 1 "loss in validation is" "step 1" -- "${train[@]}" --lr 1e38 --schedule constant --steps 2 --valid "$given/b.tok" --eval-every 1 \
		--keep-best -o v "$given/a.tok"
	[ ! -e m ] && [ ! -e v ]
}

@test "cpt-step: moments that cannot be" {
	"${train[@]}" --steps 1 --keep-optimizer -o m1 "$given/a.tok"
	file=m1/optimizer.safetensors
	again=("${train[@]/"$given/m0"/m1}" --steps 1 --keep-optimizer -o m2 "$given/b.tok")
	cp $file good
	poke $file $(($(stat -c %s $file) - 4)) '\0\0\200\277' # -1, of squares
	fails 3 "optimizer.safetensors: the moments of" -- "${again[@]}"
	poke $file $(($(stat -c %s $file) - 4)) '\0\0\300\177' # NaN
	fails 3 "optimizer.safetensors: the moments of" -- "${again[@]}"
	cp good $file
	poke $file "$(data_of $file)" '\377\377\377\377\377\377\377\177' # 2^63 - 1
	fails 3 "optimizer.safetensors: updates" -- "${again[@]}"
	cp good $file
	"${again[@]}"
}

@test "cpt-step: what is wrong with IN_DIR is found before the training" {
	cp -r "$given/m0" bad
	echo '{"chain": 1}' >bad/palimpsest.json
	fails 3 "bad/palimpsest.json: has no list 'chain'" -- "${train[@]/"$given/m0"/bad}" --steps 1 -o m "$given/a.tok"
	echo '{' >bad/palimpsest.json
	fails 3 "bad/palimpsest.json" -- "${train[@]/"$given/m0"/bad}" --steps 1 -o m "$given/a.tok"
	[ "$(ls)" = bad ]
	rm bad/palimpsest.json
	mkdir bad/generation_config.json
	fails 1 "bad/generation_config.json" -- "${train[@]/"$given/m0"/bad}" --steps 1 -o m "$given/a.tok"
}

@test "cpt-step: a full disk, no permission, something else in the way" {
	mkdir other && touch other/precious
	fails 1 "other" "left alone" -- "${train[@]}" --steps 1 -o other "$given/a.tok"
	[ -e other/precious ]
	mkdir project && echo '{"port": 80}' >project/config.json && cp "$given/a.tok" project
	fails 1 "project" "left alone" -- "${train[@]}" --steps 1 -o project project/a.tok
	[ "$(ls project)" = "$(printf 'a.tok\nconfig.json')" ]
	cp -r "$given/m0" with && cp "$given/a.tok" with
	fails 1 "cannot replace with" "a.tok" -- "${train[@]}" --steps 1 -o with with/a.tok
	[ -e with/a.tok ]
	[ ! -e with.partial ]
	if [ "$(id -u)" -ne 0 ]; then
		mkdir locked && chmod 555 locked
		fails 1 locked -- "${train[@]}" --steps 1 -o locked/m "$given/a.tok"
	fi
	fails 1 -- "${train[@]}" --steps 1 -o /dev/null/m "$given/a.tok"
	fails 1 "cannot write big.partial/" -- bash -c 'trap "" XFSZ; ulimit -f 20; exec "$@"' - "${train[@]}" --steps 1 -o big "$given/a.tok"
	[ ! -e big ]
	run --separate-stderr bash -c '"$@" >/dev/full' - "${train[@]}" --steps 1 -o m "$given/a.tok"
	[ "$status" -eq 1 ]
}

@test "cpt-step: the page and the help agree" {
	[ -e "$root/man/cpt-step.1" ]
	synopsis=$(mandoc -T utf8 -O width=400 "$root/man/cpt-step.1" | sed 's/.\x08//g' | awk '/^SYNOPSIS/ { on = 1; next } /^[A-Z]/ { on = 0 } on' | tr -s ' \n' ' ')
	[[ $synopsis == *"cpt-step -m IN_DIR -o OUT_DIR [options] TRAIN.tok..."* ]] || [[ $synopsis == *"cpt-step -m IN_DIR -o OUT_DIR [options] TRAIN.tok ..."* ]]
	for o in $(cpt-step -h | grep -o -- '--[a-z][a-z0-9-]*' | sort -u); do
		grep -q -- "${o/--/Fl -}" "$root/man/cpt-step.1" || { echo "no $o in the page"; return 1; }
	done
}
