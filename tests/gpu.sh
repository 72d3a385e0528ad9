#!/bin/bash
# gpu.sh: what only a GPU can show, to be run once on a machine that has one, after `make` with a CUDA libtorch and `make setup-test`:
# unit tests there; training against the processor's, with captured graphs and without, interrupted or not; speed of both.
# DEVICE=cpu tries out the script itself; STEPS, LAYERS and WIDTH are those of the timing (GPT-2 small).
set -eu
cd "$(dirname "$0")/.."
root=$PWD BUILD=${BUILD:-$PWD/build} DEVICE=${DEVICE:-cuda} STEPS=${STEPS:-30} LAYERS=${LAYERS:-12} WIDTH=${WIDTH:-768}
PATH=$BUILD/bin:$PATH
export BUILD LC_ALL=C.UTF-8
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "gpu.sh: $*" >&2; exit 1; }
# near A B TOLERANCE WHAT: lists of numbers
near() {
	awk -v a="$1" -v b="$2" -v t="$3" -v what="$4" 'BEGIN {
		n = split(a, x); m = split(b, y)
		for (i = 1; i <= n; i++) { d = x[i] - y[i]; d = d < 0 ? -d : d; if (d > worst) worst = d }
		ok = n == m && n > 0 && worst <= t
		printf "%s %s: %d numbers, largest difference %.2g, allowed %g\n", ok ? "ok" : "NOT OK", what, n, worst, t
		exit !ok
	}' || fail "$4"
}
losses() { jq -r 'select(.loss) | .loss' "$1/train.log.jsonl" | tr '\n' ' '; }
ppl() { awk -F '\t' '!/^#/ && ++n > 1 { printf "%s ", $10 }' "$1"; }

make -s -j"$(nproc)" all "$BUILD/tests/tensor" "$BUILD/tests/train"
[ "$DEVICE" = cpu ] || nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || fail "no GPU"
tests/run.sh unit/tensor unit/train | tee "$dir/unit"
if [ "$DEVICE" != cpu ] && grep -E '^skipped: (gpu_|replaying)' "$dir/unit"; then
	fail "the unit tests did not see the GPU, or the shim was built without captured graphs"
fi

cd "$dir"
# gpt2 LAYERS WIDTH POSITIONS VOCABULARY
gpt2() {
	jq -n --argjson l "$1" --argjson c "$2" --argjson p "$3" --argjson v "$4" '{model_type: "gpt2", architectures: ["GPT2LMHeadModel"],
		n_layer: $l, n_head: ($c / 64 | ceil), n_embd: $c, n_positions: $p, vocab_size: $v, bos_token_id: 1023, eos_token_id: 1023}'
}
gpt2 2 64 64 1024 >small.json
model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
# text PIECES: of words
text() {
	awk -v n="$1" 'BEGIN { x = 7; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647
		printf "%s%s", substr("the of river stone and light old song in water bridge under night", 1 + x % 60, 1 + x % 5), i % 10 ? " " : "\n" } }'
}
text 30000 | tokenize -q -t m0 -o a.tok

common=(-q -m m0 --batch 8 --micro-batch 4 --context 64 --lr 1e-3)
train() { cpt-step "${common[@]}" "$@" a.tok >/dev/null; }
on=(--device "$DEVICE")
for precision in f32 bf16; do
	tolerance=$([ $precision = f32 ] && echo 2e-3 || echo 5e-2)
	train --precision $precision --dropout 0 --steps 40 --device cpu -o "cpu-$precision"
	train --precision $precision --dropout 0 --steps 40 "${on[@]}" -o "auto-$precision"
	train --precision $precision --dropout 0 --steps 40 "${on[@]}" --graph off -o "off-$precision"
	near "$(losses "cpu-$precision")" "$(losses "auto-$precision")" "$tolerance" "$precision: losses as on the processor"
	near "$(losses "off-$precision")" "$(losses "auto-$precision")" "$tolerance" "$precision: losses with graphs as without"
	for d in cpu "$DEVICE"; do
		ppl-eval -q -m m0 --context 64 --windows 200 --precision $precision --device "$d" a=a.tok >"$d.rows"
	done
	near "$(ppl cpu.rows)" "$(ppl "$DEVICE.rows")" 1 "$precision: perplexity as on the processor"
done
# What is done in another way on a device than on the processor, in ten steps each
for more in '--recompute' '--offload-optimizer' '--weights bf16 --optimizer-dtype bf16' '--recompute --dropout 0.1 --graph off'; do
	steps=(--precision bf16 --dropout 0 --steps 10)
	# shellcheck disable=SC2086 # words
	train "${steps[@]}" $more --device cpu -o more-cpu
	# shellcheck disable=SC2086
	train "${steps[@]}" $more "${on[@]}" -o more
	near "$(losses more-cpu)" "$(losses more)" "$([[ $more == *0.1* ]] && echo 0.5 || echo 5e-2)" "$more: losses as on the processor"
	rm -r more-cpu more
done
# A Llama with fewer key heads, and text that goes on token by token
jq -n '{model_type: "llama", architectures: ["LlamaForCausalLM"], num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2,
	hidden_size: 64, intermediate_size: 128, max_position_embeddings: 64, vocab_size: 1024, rms_norm_eps: 1e-5, hidden_act: "silu",
	bos_token_id: 1023, eos_token_id: 1023}' >llama.json
model-init -q -c llama.json -t "$root/tests/gpt2-1024" -o l0
jq -n '{name: "t", description: "t", keywords: [], metrics: ["exact_str_match"], preferred_score: "exact_str_match",
	examples: [range(8) | {input: "the river \(.)", target: "stone"}]}' >task.json
for d in cpu "$DEVICE"; do
	cpt-step -q -m l0 --batch 8 --context 64 --lr 1e-3 --precision bf16 --dropout 0 --steps 10 --device "$d" -o "llama-$d" a.tok >/dev/null
	bigbench-eval -q -m m0 --max-length 20 --device "$d" -o "$d.bigbench" task.json
done
near "$(losses llama-cpu)" "$(losses "llama-$DEVICE")" 5e-2 "Llama: losses as on the processor"
cut -f 1-6 cpu.bigbench | grep -v '^#' >cpu.scores
cut -f 1-6 "$DEVICE.bigbench" | grep -v '^#' | cmp - cpu.scores || fail "bigbench-eval: other scores than on the processor"
echo "ok bigbench-eval: the scores of the processor"
for graph in auto off; do
	args=(--precision bf16 --dropout 0.1 --steps 300 --save-every 7 "${on[@]}" --graph "$graph" --valid a.tok --eval-every 100)
	train "${args[@]}" -o "whole-$graph"
	cpt-step "${common[@]}" "${args[@]}" -o "parts-$graph" a.tok >/dev/null & # not train(), whose shell would be what is killed
	while kill -0 $! 2>/dev/null && [ ! -e "parts-$graph.partial/state.safetensors" ]; do sleep 0.05; done
	kill $! 2>/dev/null || fail "too fast to be interrupted"
	wait $! || :
	[ -e "parts-$graph.partial/state.safetensors" ] || fail "nothing was saved"
	train "${args[@]}" -o "parts-$graph"
	diff -r "whole-$graph" "parts-$graph" || fail "--graph $graph: an interruption changed the result"
	echo "ok --graph $graph: the same bytes, interrupted or not"
	train --dropout 0 --lr 1e30 --steps 9 "${on[@]}" --graph $graph -o bad 2>err && fail "an infinite loss went through"
	if ! grep -qE "(loss|gradient norm) is .*: step 2\$" err || [ -e bad ]; then fail "not finite: $(cat err)"; fi
	rm -r bad.partial
	echo "ok --graph $graph: what is not finite ends it, and no model is written"
done

echo "timing: $LAYERS layers of $WIDTH, 16 x 1024 tokens a step, bf16, dropout 0.1; by the difference of $STEPS and $((3 * STEPS)) steps"
gpt2 "$LAYERS" "$WIDTH" 1024 50257 >big.json
model-init -q -c big.json -t "$root/tests/gpt2-1024" -o big
text 30300 | tokenize -q -t m0 -o b.tok # 64 blocks of 1024, so no batch is smaller, which would be computed without a graph
for micro in 4 16; do
	for graph in off auto; do
		for n in "$STEPS" $((3 * STEPS)); do
			cpt-step -q -m big --batch 16 --micro-batch $micro --context 1024 --precision bf16 --dropout 0.1 --steps "$n" "${on[@]}" --graph $graph \
				-o "big-$micro-$graph" b.tok | jq .seconds
			rm -r "big-$micro-$graph"
		done | awk -v n="$((2 * STEPS))" -v what="micro-batch $micro, --graph $graph" 'NR == 1 { first = $1; next } {
			printf "%s: %d tokens/s\n", what, n * 16 * 1024 / ($1 - first) }'
	done
done
