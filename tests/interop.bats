#!/usr/bin/env bats
# Model directories between us and transformers, in both directions.

load common

setup() {
	scratch
	need_refs torch transformers safetensors
	cat >small.json <<-'END'
		{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 2, "n_head": 3, "n_embd": 30,
		 "n_positions": 32, "vocab_size": 1024, "bos_token_id": 1023, "eos_token_id": 1023}
	END
	tokenize -q -t "$root/tests/gpt2-1024" -o t.tok "$root/LICENSE"
	quick=(-q --threads 1 --context 16 --batch 4 --lr 1e-3)
}

# agrees DIR [TOLERANCE]: transformers loads it without a remark, and finds the same perplexity
agrees() {
	"$python" "$root/tests/ref-gpt2.py" score "$1" t.tok 32 >want 2>remarks || { cat remarks; return 1; }
	! grep -iE 'warn|missing|unexpected|newly|mismatch|not used' remarks
	ppl-eval -q --threads 1 --protocol disjoint -m "$1" t=t.tok | sed -n 3p >have
	awk -F '\t' -v tolerance="${2:-1e-6}" 'NR == FNR { want = $1; next } { d = $6 / want - 1; exit !(d < tolerance && d > -tolerance) }' want have ||
		{ cat want have; return 1; }
}

@test "interop: a directory that we made and trained loads in transformers" {
	model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
	agrees m0
	cpt-step "${quick[@]}" -m m0 --steps 5 -o m1 t.tok
	agrees m1
	cpt-step "${quick[@]}" -m m1 --steps 5 --precision bf16 --dtype bf16 -o m2 t.tok
	agrees m2
	"$python" -c 'import transformers, sys; print(transformers.AutoTokenizer.from_pretrained("m2").encode("the bridge"))' 2>/dev/null >ids
	[ "$(tr -d '[],' <ids)" = "$(printf 'the bridge' | tokenize -t m2 --ids)" ]
}

@test "interop: what save_pretrained writes loads here, and comes back" {
	for kind in tied untied base both f16 bf16; do
		"$python" "$root/tests/ref-gpt2.py" save $kind $kind small.json 2>/dev/null
		agrees $kind
		cpt-step "${quick[@]}" -m $kind --steps 3 -o $kind.1 t.tok
		agrees $kind.1
	done
	# an output layer of its own was trained apart from the embeddings
	"$python" - <<-'END'
		from safetensors.torch import load_file
		a, b = load_file("untied/model.safetensors"), load_file("untied.1/model.safetensors")
		assert set(a) == set(b)
		assert not a["lm_head.weight"].equal(b["lm_head.weight"])
		assert not b["transformer.wte.weight"].equal(b["lm_head.weight"])
		assert not any("attn.bias" in k for k in b)
	END
}

@test "interop: masks as old checkpoints hold them are read over" {
	for kind in tied bare one-head; do
		ppl-eval -q --threads 1 --context 8 -m "$root/tests/data/gpt2/$kind" t=t.tok >rows && return 1
		[ "$kind" ] # the ids of this text are beyond their vocabularies: loading itself worked
	done
	run --separate-stderr ppl-eval -q --threads 1 --context 8 -m "$root/tests/data/gpt2/bare" t=t.tok
	[ "$status" -eq 3 ]
	[[ $stderr == *"vocabulary of 67"* ]]
}
