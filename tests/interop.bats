#!/usr/bin/env bats
# Model directories between us and transformers, in both directions.

load common

setup() {
	scratch
	need_refs torch transformers safetensors
	tiny_gpt2 '.n_head = 3 | .n_embd = 30' >small.json
	tokenize -q -t "$root/tests/gpt2-1024" -o t.tok "$root/LICENSE"
	quick=(-q --threads 1 --context 16 --batch 4 --lr 1e-3)
}

# agree DIR...: transformers loads each without a remark, and finds the same perplexity
agree() {
	"$python" "$root/tests/ref-gpt2.py" score 32 t.tok "$@" >want 2>remarks || { cat remarks; return 1; }
	run ! grep -iE 'warn|missing|unexpected|newly|mismatch|not used' remarks
	for dir; do ppl-eval -q --threads 1 --protocol disjoint --name "$dir" -m "$dir" t=t.tok | sed -n 3p; done | cut -f 1,6 >have
	paste have want | awk -F '\t' -v n=$# '{ d = $2 / $4 - 1 } $1 != $3 || d > 1e-6 || d < -1e-6 { print; exit 1 } END { exit NR != n }'
}

@test "interop: directories that we made and trained load in transformers" {
	model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
	cpt-step "${quick[@]}" -m m0 --steps 5 -o m1 t.tok
	cpt-step "${quick[@]}" -m m1 --steps 5 --precision bf16 --dtype bf16 -o m2 t.tok
	agree m0 m1 m2
	"$python" -c 'import transformers; print(transformers.AutoTokenizer.from_pretrained("m2").encode("the bridge"))' 2>/dev/null >ids
	[ "$(tr -d '[],' <ids)" = "$(printf 'the bridge' | tokenize -t m2 --ids)" ]
}

@test "interop: what save_pretrained writes loads here, and comes back" {
	kinds=(tied untied base both f16 bf16 sharded)
	"$python" "$root/tests/ref-gpt2.py" save small.json "${kinds[@]}" 2>/dev/null
	for kind in "${kinds[@]}"; do
		cpt-step "${quick[@]}" -m "$kind" --steps 3 -o "$kind.1" t.tok
	done
	agree "${kinds[@]}" "${kinds[@]/%/.1}"
	[ "$(ls sharded/*.safetensors | wc -l)" -gt 2 ]
	[ ! -e sharded/model.safetensors ]
	hash=$(cat sharded/config.json sharded/model-*.safetensors | sha256sum | cut -d' ' -f1)
	[ "$(jq -r '.chain[0].from' sharded.1/palimpsest.json)" = "$hash" ]
	[ -e sharded.1/model.safetensors ]
	[ ! -e sharded.1/model.safetensors.index.json ]
	# an output layer of its own was trained apart from the embeddings, and nothing but parameters is stored
	"$python" - <<-'END'
		from safetensors.torch import load_file
		a, b = load_file("untied/model.safetensors"), load_file("untied.1/model.safetensors")
		assert set(a) == set(b)
		assert not a["lm_head.weight"].equal(b["lm_head.weight"])
		assert not b["transformer.wte.weight"].equal(b["lm_head.weight"])
		assert "lm_head.weight" not in load_file("both.1/model.safetensors")
	END
}

# Small models of the Llama family: FAMILY.json
llamas() {
	cat >llama.json <<-'END'
		{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
		 "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 32, "vocab_size": 1024, "bos_token_id": 1023,
		 "eos_token_id": 1023, "attention_bias": true, "rope_theta": 500.0, "initializer_range": 0.1, "rope_scaling": {"rope_type": "llama3",
		 "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}
	END
	jq '.model_type = "mistral" | .architectures = ["MistralForCausalLM"] | .sliding_window = 32 | .head_dim = 10 |
		del(.attention_bias, .rope_scaling)' llama.json >mistral.json
	jq '.model_type = "qwen2" | .architectures = ["Qwen2ForCausalLM"] | .tie_word_embeddings = true | del(.attention_bias) |
		.rope_scaling = {type: "yarn", factor: 4.0, original_max_position_embeddings: 8}' llama.json >qwen2.json
}

@test "interop: Llama, Mistral and Qwen2 that we made and trained load in transformers" {
	llamas
	for f in llama mistral qwen2; do
		model-init -q -c $f.json -t "$root/tests/gpt2-1024" -o $f.0
		cpt-step "${quick[@]}" -m $f.0 --steps 5 -o $f.1 t.tok
		cpt-step "${quick[@]}" -m $f.1 --steps 5 --precision bf16 --dtype bf16 --recompute -o $f.2 t.tok
	done
	agree {llama,mistral,qwen2}.{0,1,2}
}

@test "interop: Llama, Mistral and Qwen2 of save_pretrained load here, in one file or several, and come back" {
	llamas
	for f in llama mistral qwen2; do
		mkdir $f
		(cd $f && "$python" "$root/tests/ref-gpt2.py" save ../$f.json tied untied bf16 sharded 2>/dev/null)
		[ "$(ls $f/sharded/*.safetensors | wc -l)" -gt 2 ]
		for kind in untied sharded bf16; do cpt-step "${quick[@]}" -m $f/$kind --steps 3 -o $f/$kind.1 t.tok; done
	done
	agree {llama,mistral,qwen2}/{tied,untied,bf16,sharded,untied.1,sharded.1,bf16.1}
}

@test "interop: a context longer than the window of attention is refused" {
	llamas
	jq '.sliding_window = 24' mistral.json >small.json
	model-init -q -c small.json -o m
	fails 3 "m: context of 25 tokens" "sliding_window 24" -- ppl-eval -q -m m --context 25 t=t.tok
	fails 3 "m: context of 33 tokens" "32 positions" -- cpt-step -q -m m --context 33 -o n t.tok
	ppl-eval -q -m m t=t.tok >rows # of the window, if none is asked for
	ppl-eval -q -m m --context 24 t=t.tok | cmp - rows
}

@test "interop: each type of weights is the f32 ones rounded, as in torch" {
	model-init -q -c small.json -o m0
	for t in f32 bf16 f16; do cpt-step "${quick[@]}" -m m0 --steps 5 --dtype $t -o $t t.tok; done
	"$python" - <<-'END'
		import torch
		from safetensors.torch import load_file
		m = load_file("f32/model.safetensors")
		for name, dtype in ("f32", torch.float32), ("bf16", torch.bfloat16), ("f16", torch.float16):
		    w = load_file(f"{name}/model.safetensors")
		    assert set(w) == set(m)
		    assert all(w[k].dtype == dtype and torch.equal(w[k], m[k].to(dtype)) for k in m), name
	END
}

@test "interop: a tied head that differs from the embeddings is refused" {
	"$python" "$root/tests/ref-gpt2.py" save small.json both 2>/dev/null
	mv both m
	"$python" - <<-'END'
		from safetensors.torch import load_file, save_file
		w = load_file("m/model.safetensors")
		w["lm_head.weight"][3, 4] += 1
		save_file(w, "m/model.safetensors", {"format": "pt"})
	END
	fails 3 m/model.safetensors lm_head.weight wte.weight -- ppl-eval -q -m m t=t.tok
}
