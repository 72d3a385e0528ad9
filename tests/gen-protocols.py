#!/usr/bin/env python3
"""gen-protocols.py DIR: perplexities of a small random GPT-2 by the programs whose protocols ppl-eval takes over.

DIR/{config.json,model.safetensors} is the model, for the tokenizer tests/gpt2-1024; DIR/*.txt are texts (made-up words),
DIR/expected.tsv has a line for each text, protocol and context. `strided:S` is what the loop in Hugging Face's guide
"Perplexity of fixed-length models" gives; `lm-eval` is lm-evaluation-harness itself (PyPI lm_eval: HFLM's
loglikelihood_rolling, wikitext's process_results and the aggregations of its three metrics). Both in f64.
"""
import json
import os
import random
import re
import sys

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks.wikitext.preprocess_wikitext import process_results
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

POSITIONS = 24
END = 1023


def make_model(out):
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=1024, n_positions=POSITIONS, n_embd=12, n_layer=2, n_head=2, bos_token_id=END, eos_token_id=END)
    model = GPT2LMHeadModel(config)
    for p in model.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.3)
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, f"{out}/model.safetensors", {"format": "pt"})
    kept = {k: v for k, v in config.to_diff_dict().items() if k not in ("transformers_version", "dtype")}
    kept["architectures"] = ["GPT2LMHeadModel"]
    with open(f"{out}/config.json", "w") as f:
        json.dump(kept, f, indent=1, sort_keys=True)
        f.write("\n")
    return model.double().eval()


def make_texts():
    random.seed(3)
    words = ["river", "of", "the", "stone", "light", "naïve", "12", "über", "(old)", "song,", "in", "\u00a0", "\n\n", "\t", "bridge.", "\n"]
    return {
        "long": " ".join(random.choice(words) for _ in range(150)),
        "blanks": " \n the river \u2003 runs\u3000on \n",
        "short": "the old song",
    }


def guide(model, ids, context, stride):
    """The guide's loop, with its names left out."""
    total, counted, before = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        window = torch.tensor(ids[begin:end]).unsqueeze(0)
        labels = window.clone()
        labels[:, :-(end - before)] = -100
        with torch.no_grad():
            mean = model(window, labels=labels).loss
        n = (labels != -100).sum().item() - 1
        total += mean.double().item() * n
        counted += n
        before = end
        if end == len(ids):
            break
    return torch.tensor(total / counted, dtype=torch.float64).exp().item()


def harness(model, tokenizer, text, context):
    lm = HFLM(pretrained=model, tokenizer=tokenizer, max_length=context, batch_size=1, device="cpu", softmax_dtype=torch.float64)
    request = Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
    (log_likelihood,) = lm.loglikelihood_rolling([request], disable_tqdm=True)
    one = process_results({"page": text}, (log_likelihood,))
    return log_likelihood, [weighted_perplexity([one["word_perplexity"]]), weighted_perplexity([one["byte_perplexity"]]),
                            bits_per_byte([one["bits_per_byte"]])]


def main(out, tokenizer_file):
    os.makedirs(out, exist_ok=True)
    model = make_model(out)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=tokenizer_file, bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    lines = ["text protocol context nll ppl words word_ppl byte_ppl bpb".replace(" ", "\t")]
    for name, text in make_texts().items():
        with open(f"{out}/{name}.txt", "w", newline="") as f:
            f.write(text)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        n = len(ids)
        # also contexts that leave a last window of one token, and none
        contexts = {POSITIONS, 7} | {c for c in range(2, POSITIONS) if n % c == 1 or n % c == 0}
        for context in sorted(contexts):
            for stride in sorted({2, 5, context // 2, context - 1, context}):
                if 2 <= stride <= context and not (stride == context and n % context == 1):  # where the guide divides 0 by 0
                    ppl = guide(model, ids, context, stride)
                    lines.append(f"{name}\tstrided:{stride}\t{context}\t-\t{ppl:.17g}\t-\t-\t-\t-")
            log_likelihood, metrics = harness(model, tokenizer, text, context)
            ppl = torch.tensor(-log_likelihood / n, dtype=torch.float64).exp().item()
            words = len(re.split(r"\s+", text))
            lines.append(f"{name}\tlm-eval\t{context}\t{-log_likelihood:.17g}\t{ppl:.17g}\t{words}\t"
                         + "\t".join(f"{m:.17g}" for m in metrics))
    with open(f"{out}/expected.tsv", "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], os.path.join(os.path.dirname(sys.argv[0]), "gpt2-1024", "tokenizer.json"))
