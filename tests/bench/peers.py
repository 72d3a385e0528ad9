#!/usr/bin/env python3
"""What a user would take instead of our tools, each as a whole process, for bench.py.

peers.py train DIR FILE.tok PRECISION DROPOUT BATCH CONTEXT STEPS eager|compile    seconds of each step, one a line
peers.py eval DIR CONTEXT PRECISION FILE.tok...                                    name and perplexity, one a line
peers.py tokenize tiktoken|tokenizers|gigatoken|nanotoken DIR TEXT OUT             ids, 2 bytes each
peers.py embed DIR FILE.jsonl OUT                                                  vectors, f32
"""
import math
import os
import struct
import sys
import time


def read_ids(path):
    import numpy
    with open(path, "rb") as f:
        data = f.read()
    size, _, width = struct.unpack_from("<III", data, 12)
    return numpy.frombuffer(data[size:-32], dtype={2: "<u2", 4: "<u4"}[width]).astype("int64")


def train(directory, path, precision, dropout, batch, context, steps, mode):
    import torch
    import transformers
    batch, context, steps, dropout = int(batch), int(context), int(steps), float(dropout)
    config = transformers.AutoConfig.from_pretrained(directory)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = dropout
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, config=config, dtype=torch.float32)
    model.train()
    step_model = torch.compile(model) if mode == "compile" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0)
    ids = torch.from_numpy(read_ids(path))
    for step in range(steps):
        start = time.monotonic()
        at = torch.arange(batch)[:, None] * context + torch.arange(context) + step * batch * context
        block = ids[at % len(ids)]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = step_model(input_ids=block, labels=block).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(f"{time.monotonic() - start:.4f}", flush=True)


def evaluate(directory, context, precision, *paths):
    import torch
    import transformers
    context = int(context)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    for path in paths:
        ids, nll, targets = torch.from_numpy(read_ids(path)), 0.0, 0
        size = max(1, 4096 // context)
        windows = list(ids.split(context))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            for i in range(0, len(windows), size):
                group = windows[i:i + size]
                if len(group[-1]) != context:
                    group, short = group[:-1], group[-1:]
                else:
                    short = []
                for block in ([torch.stack(group)] if group else []) + [s[None] for s in short if len(s) > 1]:
                    n = block.size(0) * (block.size(1) - 1)
                    nll += model(input_ids=block, labels=block).loss.item() * n
                    targets += n
        print(path, math.exp(nll / targets))


def tokenize(kind, directory, text, out):
    import numpy
    def read():
        with open(text, "rb") as f:
            return f.read()
    if kind in ("gigatoken", "nanotoken"):
        library = __import__(kind)
        tokenizer = library.Tokenizer(os.path.join(directory, "tokenizer.json"))
        ids = tokenizer.encode_files(library.TextFileSource([text]))
        flat = getattr(ids, "ids", None)  # nanotoken: one buffer of all
        if flat is None:
            import awkward
            flat = awkward.to_numpy(awkward.flatten(ids))
        ids = numpy.asarray(flat, dtype="<u2")
    elif kind == "tiktoken":
        import json
        import tiktoken
        from tiktoken.load import data_gym_to_mergeable_bpe_ranks
        ranks = data_gym_to_mergeable_bpe_ranks(os.path.join(directory, "vocab.bpe"), os.path.join(directory, "encoder.json"))
        pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
        encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
        ids = numpy.asarray(encoding.encode_ordinary(read().decode()), dtype="<u2")
    else:
        import tokenizers
        tokenizer = tokenizers.Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
        ids = numpy.concatenate([numpy.asarray(e.ids, dtype="<u2") for e in
                                 tokenizer.encode_batch(read().decode().splitlines(keepends=True), add_special_tokens=False)])
    ids.tofile(out)


def embed(directory, path, out):
    import json
    from sentence_transformers import SentenceTransformer
    with open(path) as f:
        texts = [json.loads(line)["text"] for line in f]
    SentenceTransformer(directory, device="cpu").encode(texts, convert_to_numpy=True, normalize_embeddings=True).tofile(out)


if __name__ == "__main__":
    {"train": train, "eval": evaluate, "tokenize": tokenize, "embed": embed}[sys.argv[1]](*sys.argv[2:])
