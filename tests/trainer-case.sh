#!/bin/sh
# trainer-case.sh DIR [TEXT]: a small random GPT-2 in DIR/m0 and a text for it in DIR/train.tok: made-up words, or the file TEXT.
# What cpt-step and the Trainer both learn (cpt-step.bats, parity-trainer.py). The tools must be on the path.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cat >"$1/config.json" <<'END'
{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 2, "n_head": 4, "n_embd": 64, "n_positions": 128,
 "vocab_size": 1024, "bos_token_id": 1023, "eos_token_id": 1023, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
END
model-init -q -c "$1/config.json" -t "$here/gpt2-1024" -o "$1/m0"
if [ $# -gt 1 ]; then
	cat "$2"
else
	# Words of one to three syllables, of which each likes to follow some others.
	LC_ALL=C awk 'BEGIN {
		n = split("ba ke li mo nu ra se ti vo zu", syllable, " ")
		seed = 7
		for (i = 0; i < 10000; i++) {
			seed = (seed * 16807) % 2147483647
			w = seed % 3 ? (w * 5 + seed % 7) % 200 : seed % 200
			text = syllable[1 + w % n] (w > 9 ? syllable[1 + int(w / n) % n] : "") (w > 99 ? "n" : "")
			printf "%s%s", text, seed % 11 ? " " : ".\n"
		}
	}'
fi | tokenize -q -t "$1/m0" -o "$1/train.tok"
