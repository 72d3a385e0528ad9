#!/usr/bin/env python3
"""gen-configs.py DIR: what transformers makes of the configurations DIR/NAME.json, as published or in every published form of a field.

DIR/tensors.tsv has the tensors of each model, without weights: name of the configuration, of the tensor (%d for the layer), how many layers
have it ("-": it is in none), and its shape. DIR/frequencies.safetensors has NAME, the rotary frequencies, and NAME.factor, that of cos and sin.
"""
import glob
import json
import os
import re
import sys

import torch
import transformers
from safetensors.torch import save_file

rows, frequencies = [], {}
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
    name = os.path.basename(path)[:-len(".json")]
    with open(path) as f:
        config = transformers.AutoConfig.for_model(**json.load(f))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    rope = type(model.model.rotary_emb)(config)
    frequencies[name] = rope.inv_freq.float()
    frequencies[f"{name}.factor"] = torch.tensor([rope.attention_scaling], dtype=torch.float64)
    count = {}
    for key, t in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        pattern = re.sub(r"\.(\d+)\.", ".%d.", key)
        layers, shape = count.get(pattern, (0, tuple(t.shape)))
        assert shape == tuple(t.shape)
        count[pattern] = (layers + (pattern != key), shape)
    for pattern, (layers, shape) in count.items():
        rows.append([name, pattern, str(layers or "-"), *map(str, shape)])
with open(os.path.join(sys.argv[1], "tensors.tsv"), "w") as f:
    f.writelines("\t".join(row) + "\n" for row in rows)
save_file(frequencies, os.path.join(sys.argv[1], "frequencies.safetensors"))
