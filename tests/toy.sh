#!/bin/sh
# toy.sh DIR: a corpus of three domains (some kB), a byte tokenizer and the configuration of a tiny GPT-2, and of a tiny RoBERTa, in DIR.
set -eu
mkdir -p "$1/tokenizer"
cd "$1"

# Three made-up languages: sentences of words that differ by domain, from a linear congruential generator.
LC_ALL=C awk 'BEGIN {
	n = split("alder birch cedar elm fir hazel maple oak pine rowan;anvil brass chisel drill forge gauge hammer lathe rivet vice;" \
		"amber blue coral ivory jade ochre pink ruby teal white", lexicon, ";")
	split("wood_a tool.b hue-c", name)
	split("nature craft craft", l1)
	split("outdoor indoor indoor", portion)
	seed = 1
	for (d = 1; d <= n; d++) {
		m = split(lexicon[d], word, " ")
		for (i = 1; i <= 40; i++) {
			text = ""
			for (j = 0; j < 12; j++) {
				seed = (seed * 16807) % 2147483647
				text = text (j ? " " : "") word[1 + seed % m]
			}
			printf "{\"domain\":\"%s\",\"l1\":\"%s\",\"portion\":\"%s\",\"text\":\"%s.\"}\n", name[d], l1[d], portion[d], text
		}
	}
}' >corpus.jsonl

# Byte-level BPE without merges: the 256 bytes, each under the letter that GPT-2 writes for it.
jq -n '
	[range(33; 127), range(161; 173), range(174; 256)] as $visible
	| [range(256) as $b | {b: $b, visible: ($visible | index($b) != null)}] as $bytes
	| [$bytes[] | select(.visible | not) | .b] as $hidden
	| reduce $bytes[] as $x ({}; . + {([if $x.visible then $x.b else 256 + ($hidden | index($x.b)) end] | implode): $x.b})
	| . + {"<|endoftext|>": 256}' >tokenizer/vocab.json
echo '#version: 0.2' >tokenizer/merges.txt

cat >config.json <<-'END'
	{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 257, "n_embd": 16, "n_layer": 1, "n_head": 2,
	"n_positions": 64, "n_ctx": 64, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "initializer_range": 0.02,
	"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, "bos_token_id": 256, "eos_token_id": 256, "tie_word_embeddings": true}
END

mkdir -p roberta
jq 'del(."<|endoftext|>") | map_values(. + 4) | {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3} + . + {"<mask>": 260}' \
	tokenizer/vocab.json >roberta/vocab.json
cp tokenizer/merges.txt roberta/
echo '{"tokenizer_class": "RobertaTokenizer"}' >roberta/tokenizer_config.json
cat >roberta.json <<-'END'
	{"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "vocab_size": 261, "hidden_size": 15, "num_hidden_layers": 2,
	"num_attention_heads": 3, "intermediate_size": 22, "max_position_embeddings": 34, "type_vocab_size": 1, "layer_norm_eps": 1e-05}
END
