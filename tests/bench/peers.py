#!/usr/bin/env python3
"""What a user would take instead of our tools, each as a whole process, for bench.py.

peers.py train DIR FILE.tok PRECISION DROPOUT BATCH CONTEXT STEPS MODE             seconds of each step, one a line
         MODE: transformers eager or compile, or the folder of nanoGPT's checkout, which is compiled
peers.py llmc DIR FILE.tok OUT                                                     the files that llm.c's train_gpt2 reads
peers.py eval DIR CONTEXT PRECISION FILE.tok...                                    name and perplexity, one a line
peers.py tokenize tiktoken|tokenizers|gigatoken|nanotoken DIR TEXT OUT             ids, 2 or 4 bytes each
peers.py embed DIR FILE.jsonl OUT                                                  vectors, f32
"""
import contextlib
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
    if mode in ("eager", "compile"):
        config = transformers.AutoConfig.from_pretrained(directory)
        config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = dropout
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, config=config, dtype=torch.float32)
        step_model = torch.compile(model) if mode == "compile" else model
    else:
        with contextlib.redirect_stdout(sys.stderr):  # it tells its size
            model = nanogpt(mode, directory, dropout)
        step_model = torch.compile(model)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0)
    ids = torch.from_numpy(read_ids(path))
    for step in range(steps):
        start = time.monotonic()
        at = torch.arange(batch)[:, None] * context + torch.arange(context) + step * batch * context
        block = ids[at % len(ids)]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            if mode in ("eager", "compile"):
                loss = step_model(input_ids=block, labels=block).loss
            else:
                loss = step_model(block[:, :-1].contiguous(), block[:, 1:].contiguous())[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(f"{time.monotonic() - start:.4f}", flush=True)


def nanogpt(checkout, directory, dropout):
    import json
    sys.path.insert(0, checkout)
    from model import GPT, GPTConfig
    with open(os.path.join(directory, "config.json")) as f:
        c = json.load(f)
    return GPT(GPTConfig(block_size=c["n_positions"], vocab_size=c["vocab_size"], n_layer=c["n_layer"], n_head=c["n_head"], n_embd=c["n_embd"],
                         dropout=dropout, bias=True))


def llmc(directory, path, out):
    """gpt2_124M.bin, and the tokens under the name where it looks for them."""
    import json
    import numpy
    from safetensors.numpy import load_file
    with open(os.path.join(directory, "config.json")) as f:
        c = json.load(f)
    tensors = {name.removeprefix("transformer."): t for name, t in load_file(os.path.join(directory, "model.safetensors")).items()}
    padded = (c["vocab_size"] + 127) // 128 * 128
    data = os.path.join(out, "dev", "data", "tinyshakespeare")
    os.makedirs(data)
    with open(os.path.join(out, "gpt2_124M.bin"), "wb") as f:
        header = numpy.zeros(256, "<i4")
        header[:8] = 20240326, 3, c["n_positions"], c["vocab_size"], c["n_layer"], c["n_head"], c["n_embd"], padded
        header.tofile(f)
        numpy.pad(tensors["wte.weight"], ((0, padded - c["vocab_size"]), (0, 0))).tofile(f)
        tensors["wpe.weight"].tofile(f)
        for part in "ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj":
            for kind in "weight", "bias":
                for layer in range(c["n_layer"]):  # its matrices are (out, in)
                    numpy.ascontiguousarray(tensors[f"h.{layer}.{part}.{kind}"].T).tofile(f)
        tensors["ln_f.weight"].tofile(f)
        tensors["ln_f.bias"].tofile(f)
    ids = read_ids(path)
    for name in "train", "val":
        with open(os.path.join(data, f"tiny_shakespeare_{name}.bin"), "wb") as f:
            header = numpy.zeros(256, "<i4")
            header[:3] = 20240520, 1, len(ids)
            header.tofile(f)
            ids.astype("<u2").tofile(f)


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
        more = {"add_special_tokens": False} if kind == "nanotoken" else {}
        ids = tokenizer.encode_files(library.TextFileSource([text]), **more)
        flat = getattr(ids, "ids", None)  # nanotoken: one buffer of all
        if flat is None:
            import awkward
            flat = awkward.to_numpy(awkward.flatten(ids))
        ids = numpy.asarray(flat)
    elif kind == "tiktoken":
        import json
        import tiktoken
        from tiktoken.load import data_gym_to_mergeable_bpe_ranks
        ranks = data_gym_to_mergeable_bpe_ranks(os.path.join(directory, "vocab.bpe"), os.path.join(directory, "encoder.json"))
        pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
        encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
        ids = numpy.asarray(encoding.encode_ordinary(read().decode()))
    else:
        import tokenizers
        tokenizer = tokenizers.Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ids = numpy.concatenate([numpy.asarray(e.ids, dtype="<u4") for e in
                                 tokenizer.encode_batch(read().decode().splitlines(keepends=True), add_special_tokens=False)])
    ids.astype("<u2" if ids.max() < 1 << 16 else "<u4", copy=False).tofile(out)


def embed(directory, path, out):
    import json
    from sentence_transformers import SentenceTransformer
    with open(path) as f:
        texts = [json.loads(line)["text"] for line in f]
    SentenceTransformer(directory, device="cpu").encode(texts, convert_to_numpy=True, normalize_embeddings=True).tofile(out)


if __name__ == "__main__":
    {"train": train, "llmc": llmc, "eval": evaluate, "tokenize": tokenize, "embed": embed}[sys.argv[1]](*sys.argv[2:])
