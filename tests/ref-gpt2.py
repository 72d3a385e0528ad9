#!/usr/bin/env python3
"""What transformers makes of directories of causal models, for ppl-eval.bats and interop.bats.

ref-gpt2.py save CONFIG.json KIND...   writes to KIND a random model as save_pretrained() does (tied, untied, base, f16, bf16;
                                       sharded: in several files), or as other programs may (both: tied, and the head stored all the same)
ref-gpt2.py score CONTEXT FILE.tok DIR...
                                       a line each: DIR, nll, targets, and perplexity by the protocols m2d2 and disjoint, computed in f64;
                                       exit 1 if weights do not load without a remark
ref-gpt2.py rank CONTEXT FILE.tok DIR
                                       mean, median and mean reciprocal rank of the tokens, parts with rank 1 and of at most 10, every
                                       token scored, the first of a window after the last of the one before (a shorter last window reaches back)
CONTEXT may be several, with commas between: a line for each.
"""
import json
import math
import struct
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file


def save(config, kind):
    torch.manual_seed(7)
    out = kind
    with open(config) as f:
        config = transformers.AutoConfig.for_model(**json.load(f))
    config.tie_word_embeddings = kind != "untied"
    model = (transformers.AutoModel if kind == "base" else transformers.AutoModelForCausalLM).from_config(config)
    for p in model.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.05)
    if kind in ("f16", "bf16"):
        model.to({"f16": torch.float16, "bf16": torch.bfloat16}[kind])
    model.save_pretrained(out, max_shard_size="50KB" if kind == "sharded" else "50GB")
    if kind == "both":
        weights = load_file(f"{out}/model.safetensors")
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
        save_file(weights, f"{out}/model.safetensors", {"format": "pt"})


def read_tok(path):
    with open(path, "rb") as f:
        data = f.read()
    size, _, width = struct.unpack_from("<III", data, 12)
    assert data[:8] == b"palimtok"
    return torch.frombuffer(bytearray(data[size:-32]), dtype={2: torch.uint16, 4: torch.int32}[width]).long()


def load(model_dir):
    # not in the type that config.json names, to which transformers would round the weights that are there
    model, info = transformers.AutoModelForCausalLM.from_pretrained(model_dir, output_loading_info=True, dtype=torch.float32)
    remarks = {k: v for k, v in info.items() if v}
    if remarks:
        sys.exit(f"{model_dir}: {remarks}")
    return model.double().eval()


def score(model, ids, context):
    nll = tokens = targets = 0
    weighted = 0.0
    # M2D2's script, but for a last window of one token, where it divides 0 by 0
    for begin in range(0, len(ids), context):
        window = ids[begin:begin + context].unsqueeze(0)
        length = window.size(1)
        if length == 1:
            continue
        with torch.no_grad():
            logits = model(window).logits
        sums = torch.nn.functional.cross_entropy(logits[0, :-1], window[0, 1:], reduction="sum").item()
        nll += sums
        targets += length - 1
        weighted += sums / (length - 1) * length
        tokens += length
    return f"{nll:.17g}\t{targets}\t{math.exp(weighted / tokens):.17g}\t{math.exp(nll / targets):.17g}"


def rank(model, ids, context):
    ranks = []
    before = torch.cat([torch.tensor([model.config.bos_token_id]), ids[:-1]])
    for begin in range(0, len(ids), context):
        end = min(begin + context, len(ids))
        with torch.no_grad():
            logits = model(before[max(0, end - context):end].unsqueeze(0)).logits[0, begin - end:]
        target = ids[begin:end]
        own = logits.gather(1, target.unsqueeze(1))
        ranks += [1 + int(n) for n in (logits > own).sum(1)]
    n, ranks = len(ranks), sorted(ranks)
    return (sum(ranks) / n, (ranks[(n - 1) // 2] + ranks[n // 2]) / 2, sum(1 / r for r in ranks) / n,
            sum(r == 1 for r in ranks) / n, sum(r <= 10 for r in ranks) / n)


if __name__ == "__main__":
    if sys.argv[1] == "save":
        for what in sys.argv[3:]:
            save(sys.argv[2], what)
    elif sys.argv[1] == "rank":
        print(*rank(load(sys.argv[4]), read_tok(sys.argv[3]), int(sys.argv[2])))
    else:
        text = read_tok(sys.argv[3])
        for name in sys.argv[4:]:
            loaded = load(name)
            for size in sys.argv[2].split(","):
                print(name, score(loaded, text, int(size)), sep="\t")
