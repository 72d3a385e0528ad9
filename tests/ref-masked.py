#!/usr/bin/env python3
"""What transformers makes of masked language models, for masked.bats.

ref-masked.py save CONFIG.json OUT     a random model of the architecture that CONFIG.json names, as save_pretrained() writes it
ref-masked.py score CONTEXT FOLDS DATA_HASH FILE.tok DIR...
                                       the protocol masked:FOLDS as ppl-eval(1) describes it: a line each: DIR, nll, targets, perplexity;
                                       exit 1 if weights do not load without a remark
Numbers from Philox4x32-10 are made here anew. Ids below 4 and 260, the mask, are special.
"""
import importlib.util
import math
import os
import sys

import torch
import transformers

MASK32, MASK64 = 2**32 - 1, 2**64 - 1


MASK = 260


def save(config, out):
    torch.manual_seed(7)
    config = transformers.AutoConfig.from_pretrained(config)
    model = getattr(transformers, config.architectures[0])(config)
    for p in model.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.05)
    model.save_pretrained(out)


def philox(counter, key):
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK32
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return c0, c1, c2, c3


def halves(*numbers):
    return [h for x in numbers for h in (x & MASK32, x >> 32)]


def stream(purpose, a, b):
    h = 0xCBF29CE484222325
    for c in purpose.encode():
        h = (h ^ c) * 0x100000001B3 & MASK64
    low, high, *_ = philox(halves(a, b), halves(h))
    return low | high << 32


def numbers(of):
    """64 bits each."""
    block = 0
    while True:
        w = philox(halves(block, of), (0, 0))
        yield w[0] | w[1] << 32
        yield w[2] | w[3] << 32
        block += 1


def below(source, n):
    m = next(source) * n
    while m & MASK64 < 2**64 % n:
        m = next(source) * n
    return m >> 64


def folds(ids, count, domain, window):
    """The places that are masked in each fold."""
    place = [t for t, i in enumerate(ids) if 4 <= i != MASK]
    source, order = numbers(stream("mask folds", domain, window)), []
    for i in range(len(place)):
        j = below(source, i + 1)
        order.append(i)
        order[i] = order[j]
        order[j] = i
    return [[place[k] for k in order[f::count]] for f in range(count)]


def score(model, ids, context, count, domain):
    nll, targets = 0.0, 0
    for window, start in enumerate(range(0, len(ids), context)):
        part = ids[start:start + context]
        for fold in folds(part, count, domain, window):
            if fold:
                seen = torch.tensor([part])
                seen[0, fold] = MASK
                with torch.no_grad():
                    logits = model(input_ids=seen).logits[0, fold].double()
                nll += torch.nn.functional.cross_entropy(logits, torch.tensor(part)[fold], reduction="sum").item()
                targets += len(fold)
    return f"{nll:.17g}\t{targets}\t{math.exp(nll / targets):.17g}"


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("ref", os.path.join(os.path.dirname(__file__), "ref-gpt2.py"))
    ref = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ref)
    if sys.argv[1] == "save":
        sys.exit(save(*sys.argv[2:]))
    size, n, data, tok, *dirs = sys.argv[2:]
    text = ref.read_tok(tok).tolist()
    for name in dirs:
        loaded, info = transformers.AutoModelForMaskedLM.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
        if any(info.values()):
            sys.exit(f"{name}: {info}")
        print(name, score(loaded.double().eval(), text, int(size), int(n), int(data[:16], 16)), sep="\t")
