#!/usr/bin/env bats
# model-merge: means of models, against torch; what fits together and what does not.

load common

setup_file() {
	scratch_file
	tiny_gpt2 '.n_embd = 16' >small.json
	for s in 1 2 3; do model-init -q -c small.json -t "$root/tests/gpt2-1024" --seed $s -o m$s; done
	model-init -q -c small.json -t "$root/tests/gpt2-1024" --seed 2 --dtype bf16 -o m2.bf16
	model-init -q -c small.json -t "$root/tests/gpt2-1024" --seed 3 --dtype f16 -o m3.f16
}

setup() {
	scratch
	m1=$given/m1 m2=$given/m2 m3=$given/m3
}

# with FILTER: m2's copy `other` with its configuration so changed
with() {
	rm -rf other
	cp -r "$m2" other
	jq "$1" "$m2/config.json" >other/config.json
}

# case_of OUT WEIGHTS TYPE DIR...: OUT is to be the sum of WEIGHTS (with commas between) times the models; check asks torch, in f64
case_of() {
	echo "$@" >>cases
}

check() {
	"$python" - <<-'END'
		import torch
		from safetensors.torch import load_file
		bare = lambda d: {k.removeprefix("transformer."): v for k, v in load_file(d + "/model.safetensors").items()}
		for line in open("cases"):
		    out, weights, dtype, *dirs = line.split()
		    weights = [eval(w) for w in weights.split(",")]
		    have, models = bare(out), [bare(d) for d in dirs]
		    assert len(have) == 28 and set(have) <= set(models[0]), line
		    for k, t in have.items():
		        want = sum(w * m[k].double() for w, m in zip(weights, models)).float().to(getattr(torch, dtype))
		        assert t.dtype == want.dtype and torch.equal(t, want), (line, k)
	END
}

@test "model-merge: a directory like the first, and where it comes from" {
	run --separate-stderr model-merge --linear 0.25 -o m "$m1" "$m2"
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	[ "$(ls)" = m ]
	[ "$(ls m)" = "$(ls "$m1")" ]
	cmp m/config.json "$m1/config.json"
	cmp m/tokenizer.json "$m1/tokenizer.json"
	cmp <(head -c 2000 m/model.safetensors) <(head -c 2000 "$m1/model.safetensors") # names, shapes and types
	[ "$(jq '.chain | length' m/palimpsest.json)" -eq 2 ]
	[ "$(jq -r '.chain[1].made' m/palimpsest.json)" = "model-merge 0.1.0 --linear 0.25 --dtype f32" ]
	hash() { cat "$1"/{config.json,model.safetensors} | sha256sum | cut -d' ' -f1; }
	[ "$(jq -c '.chain[1].merged' m/palimpsest.json)" = \
		"[{\"from\":\"$(hash "$m1")\",\"weight\":0.75},{\"from\":\"$(hash "$m2")\",\"weight\":0.25}]" ]
	model-merge --linear 0.25 -o again "$m1" "$m2"
	diff -r m again
}

@test "model-merge: nothing of a model with weight 0, and a model with itself is itself" {
	model-merge --linear 0 -o m "$m1" "$m2"
	cmp m/model.safetensors "$m1/model.safetensors"
	model-merge --linear 1 -o m "$m1" "$m2"
	cmp m/model.safetensors "$m2/model.safetensors"
	model-merge --linear 0.3 -o m "$m1" "$m1"
	cmp m/model.safetensors "$m1/model.safetensors"
	model-merge --weights 0,5,0 -o m "$m1" "$m2" "$m3"
	cmp m/model.safetensors "$m2/model.safetensors"
}

@test "model-merge: the numbers are torch's, for every mix of types" {
	need_refs torch safetensors
	model-merge --linear 0.3 -o a "$m1" "$m2"
	case_of a 1-0.3,0.3 float32 "$m1" "$m2"
	model-merge --linear -0.5 -o b "$m1" "$m2"
	case_of b 1.5,-0.5 float32 "$m1" "$m2"
	model-merge -o c "$m1" "$m2" "$m3"
	case_of c 1/3,1/3,1/3 float32 "$m1" "$m2" "$m3"
	model-merge --weights 2,1,0.5 -o d "$m1" "$m2" "$m3"
	case_of d 2/3.5,1/3.5,0.5/3.5 float32 "$m1" "$m2" "$m3"
	for t in f32:float32 bf16:bfloat16 f16:float16; do
		model-merge --weights 2,1,1 --dtype ${t%:*} -o ${t%:*} "$m1" "$given/m2.bf16" "$given/m3.f16"
		case_of ${t%:*} 0.5,0.25,0.25 ${t#*:} "$m1" "$given/m2.bf16" "$given/m3.f16"
	done
	check
}

@test "model-merge: transformers and ppl-eval load it; several files, other names, old buffers" {
	need_refs torch transformers safetensors
	model-merge -q -o plain "$m1" "$m2"
	# m2 in several files; in one without the prefix and with what old checkpoints hold besides
	"$python" - "$m1" "$m2" <<-'END' 2>/dev/null
		import json, sys, torch, transformers
		from safetensors.torch import load_file, save_file
		transformers.GPT2LMHeadModel.from_pretrained(sys.argv[2]).save_pretrained("sharded", max_shard_size="30KB")
		w = {k.removeprefix("transformer."): v for k, v in load_file(sys.argv[2] + "/model.safetensors").items()}
		w["h.0.attn.bias"] = torch.ones(1, 1, 32, 32).tril()
		w["h.0.attn.masked_bias"] = torch.tensor(-1e4)
		w["lm_head.weight"] = w["wte.weight"].clone()
		transformers.GPT2Config.from_pretrained(sys.argv[2]).save_pretrained("old")
		save_file(w, "old/model.safetensors", {"format": "pt"})
		w["lm_head.weight"][1, 2] += 1
		transformers.GPT2Config.from_pretrained(sys.argv[2]).save_pretrained("untrue")
		save_file(w, "untrue/model.safetensors", {"format": "pt"})
	END
	[ ! -e sharded/model.safetensors ]
	for b in sharded old; do
		model-merge -q -o m "$m1" $b
		cmp m/model.safetensors plain/model.safetensors
	done
	model-merge -q --linear 0.25 -o bare old "$m1"
	case_of bare 0.75,0.25 float32 old "$m1"
	check
	fails 3 untrue/model.safetensors lm_head.weight "ties it" -- model-merge -o n "$m1" untrue
	tokenize -q -t "$m1" -o t.tok "$root/LICENSE"
	"$python" "$root/tests/ref-gpt2.py" score 32 t.tok plain bare >score 2>remarks || { cat remarks; return 1; }
	run ! grep -iE 'warn|missing|unexpected|newly|mismatch|not used' remarks
	for d in plain bare; do ppl-eval -q --threads 1 --protocol disjoint --name $d -m $d t=t.tok | sed -n 3p; done | cut -f 1,6 |
		paste - score | awk -F '\t' '{ d = $2 / $4 - 1 } $1 != $3 || d > 1e-6 || d < -1e-6 { exit 1 } END { exit NR != 2 }'
}

@test "model-merge: before and after training, where cpt-step writes other names, or leaves tensors out" {
	need_refs torch safetensors
	model-init -q -c <(jq '.architectures = ["GPT2Model"]' "$given/small.json") -t "$root/tests/gpt2-1024" -o headless
	run ! grep -aq '"transformer\.' headless/model.safetensors
	tokenize -q -t headless -o t.tok "$root/LICENSE"
	cpt-step -q -m headless -o trained --context 16 --batch 4 --steps 1 t.tok
	grep -aq '"transformer\.' trained/model.safetensors
	model-merge -q --linear 0.5 -o m headless trained
	model-merge -q --linear 0 -o m trained headless
	cmp m/model.safetensors trained/model.safetensors

	echo '{"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 24, "max_position_embeddings": 32, "vocab_size": 200}' >bert.json
	for s in 1 2; do model-init -q -c bert.json --seed $s -o b$s; done
	model-merge -q -o plain b1 b2
	# as the first checkpoints were: other names, a pooler, which way the sentences stand, types
	"$python" - <<-'END'
		import shutil, torch
		from safetensors.torch import load_file, save_file
		for b in "b1", "b2":
		    shutil.copytree(b, "old-" + b)
		    w = load_file(b + "/model.safetensors")
		    w = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in w.items()}
		    w["bert.pooler.dense.weight"], w["cls.seq_relationship.bias"] = torch.ones(16, 16), torch.zeros(2)
		    w["bert.embeddings.token_type_ids"] = torch.zeros(1, 32, dtype=torch.int64)
		    save_file(w, "old-" + b + "/model.safetensors", {"format": "pt"})
	END
	model-merge -q -o m b1 old-b2
	cmp m/model.safetensors plain/model.safetensors
	model-merge -q -o m old-b1 b2
	! grep -aq -e pooler -e token_type_ids -e seq_relationship m/model.safetensors || false
	grep -aq LayerNorm.gamma m/model.safetensors
	model-merge -q -o m old-b1 old-b2 # which all have
	grep -aq pooler.dense.weight m/model.safetensors
	! grep -aq token_type_ids m/model.safetensors || false
}

@test "model-merge: configurations must agree in what matters, by name" {
	for change in '.n_head = 4' '.n_positions = 64' '.activation_function = "relu"' '.scale_attn_weights = false' \
		'.layer_norm_epsilon = 1e-6' '.tie_word_embeddings = false' '.eos_token_id = 5' '.reorder_and_upcast_attn = true'; do
		with "$change"
		field=${change#.}
		case $field in # where one leaves it away, the values are compared, under plain names
		activation_function*) field=activation ;;
		layer_norm_epsilon*) field="epsilon of norms" ;;
		esac
		fails 3 config.json "${field%% =*}" -- model-merge -o m "$m1" other
		[ ! -e m ]
	done
	with '.n_layer = 3'
	fails 3 other/config.json n_layer "$m1/config.json" -- model-merge -o m "$m1" other
	# what does not matter, or is the default
	with '.attn_pdrop = 0 | .transformers_version = "9" | .scale_attn_weights = true | .n_inner = null | .activation_function = "gelu_new" |
		.add_cross_attention = false | ._name_or_path = "x" | .torch_dtype = "float16"'
	model-merge -q -o m "$m1" other
	with '.model_type = "rwkv"'
	fails 3 other/config.json model_type rwkv -- model-merge -o m "$m1" other
}

@test "model-merge: Llama's configurations, in both spellings of the rotary positions" {
	llama='{"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
		"intermediate_size": 24, "vocab_size": 300, "max_position_embeddings": 32, "rope_theta": 10000}'
	jq -n "$llama" >a.json
	jq -n "$llama | del(.rope_theta) | .rope_parameters = {rope_type: \"default\", rope_theta: 10000} | .head_dim = 4 | .mlp_bias = false" >b.json
	model-init -q -c a.json -o a --seed 1
	model-init -q -c b.json -o b --seed 2
	model-merge -q -o m a b
	for change in '.rope_theta = 500 # rope_theta' '.num_key_value_heads = 4 # num_key_value_heads' \
		'.rope_scaling = {rope_type: "linear", factor: 2} # kind of rotary' '.attention_bias = true # biases of q, k and v'; do
		jq "${change% #*}" b.json >c.json
		[[ $change != .rope* ]] || jq "del(.rope_parameters) | ${change% #*}" b.json >c.json
		rm -rf c n
		model-init -q -c c.json -o c
		fails 3 c/config.json "${change#*# }" -- model-merge -o n a c
		[ ! -e n ]
	done
}

@test "model-merge: tensors and tokenizers that do not fit" {
	model-init -q -c <(jq '.n_inner = 40' "$given/small.json") -o wide
	cp -r "$m2" wide2 && cp wide/model.safetensors wide2/
	fails 3 wide2/model.safetensors "mlp.c_fc.bias: another shape" -- model-merge -o m "$m1" wide2
	model-init -q -c <(jq '.n_layer = 3' "$given/small.json") -o deep
	cp -r "$m2" deep2 && cp deep/model.safetensors deep2/
	fails 3 "$m1/model.safetensors" "tensor transformer.h.2." "is missing" -- model-merge -o m "$m1" deep2
	fails 3 "$m1/model.safetensors" "tensor transformer.h.2." "is missing" -- model-merge -o m deep2 "$m1"
	cp -r "$m2" twice && cp deep/model.safetensors twice/
	LC_ALL=C sed -i '1s/"transformer\.h\.2\./            "h.1./g' twice/model.safetensors
	fails 3 twice/model.safetensors "tensor h.1." "stands there twice" -- model-merge -o m "$m1" twice
	fails 3 twice/model.safetensors "stands there twice" -- model-merge -o m twice "$m1"
	fails 3 twice/model.safetensors "stands there twice" -- model-merge -o m twice twice
	cp -r "$m2" tok && jq '.model.merges |= .[:-1]' "$m2/tokenizer.json" >tok/tokenizer.json
	fails 3 tok: "another tokenizer" -- model-merge -o m "$m1" tok
	cp -r "$m2" cut && head -c 9000 "$m2/model.safetensors" >cut/model.safetensors
	fails 3 cut/model.safetensors truncated -- model-merge -o m "$m1" cut
	cp -r "$m2" nan
	printf '\377\377\377\377' | dd of=nan/model.safetensors bs=1 seek=$(($(stat -c %s nan/model.safetensors) - 4)) conv=notrunc status=none
	fails 3 wte.weight "not finite" -- model-merge -o m "$m1" nan
	printf '\000\270\210\107' | dd of=nan/model.safetensors bs=1 seek=$(($(stat -c %s nan/model.safetensors) - 4)) conv=notrunc status=none
	fails 1 wte.weight "too large for F16" -- model-merge --linear 1 --dtype f16 -o m "$m1" nan
	cp -r "$m2" whole && LC_ALL=C sed -i '1s/"F32"/"I32"/' whole/model.safetensors
	fails 3 whole/model.safetensors "I32 is no type for a weight" -- model-merge -o m "$m1" whole
	cp -r "$m2" none && printf '\2\0\0\0\0\0\0\0{}' >none/model.safetensors
	fails 3 none/model.safetensors "holds no tensors" -- model-merge -o m none none
	cp -r "$m2" past && echo '{"format": "palimpsest-model", "chain": {}}' >past/palimpsest.json
	fails 3 past/palimpsest.json "has no list 'chain'" -- model-merge -o m past "$m1"
	rm nan/model.safetensors
	fails 1 nan/model.safetensors -- model-merge -o m "$m1" nan
	[ ! -e m ] && [ ! -e m.partial ]
}

@test "model-merge: misuse, a folder that is none of ours, a full disk" {
	fails 2 -o -- model-merge "$m1" "$m2"
	fails 2 "two models" -- model-merge -o m "$m1"
	fails 2 "exclude each other" -- model-merge -o m --linear 0.5 --weights 1,1 "$m1" "$m2"
	fails 2 "takes two models, not 3" -- model-merge -o m --linear 0.5 "$m1" "$m2" "$m3"
	fails 2 "3 of them for 2" -- model-merge -o m --weights 1,1,1 "$m1" "$m2"
	fails 2 "1 of them for 2" -- model-merge -o m --weights 1 "$m1" "$m2"
	fails 2 "'-1'" -- model-merge -o m --weights 2,-1 "$m1" "$m2"
	fails 2 "'x'" -- model-merge -o m --weights 2,x "$m1" "$m2"
	fails 2 "''" -- model-merge -o m --weights 2, "$m1" "$m2"
	fails 2 "sum is 0" -- model-merge -o m --weights 0,0 "$m1" "$m2"
	fails 2 linear -- model-merge -o m --linear nan "$m1" "$m2"
	fails 1 nowhere/config.json -- model-merge -o m "$m1" nowhere
	mkdir thesis && echo x >thesis/text
	fails 1 thesis "no palimpsest.json" -- model-merge -o thesis "$m1" "$m2"
	[ "$(cat thesis/text)" = x ]
	fails 1 model.safetensors "File too large" -- bash -c 'trap "" XFSZ; ulimit -f 32; exec model-merge -o m "$@"' - "$m1" "$m2"
	[ "$(ls)" = thesis ]
}

@test "model-merge: an earlier model is replaced, even one of those merged" {
	cp -r "$m1" m
	model-merge -q -o m m "$m2"
	model-merge -q -o n "$m1" "$m2"
	cmp m/model.safetensors n/model.safetensors
	[ ! -e m.partial ]
}
