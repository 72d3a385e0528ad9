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
