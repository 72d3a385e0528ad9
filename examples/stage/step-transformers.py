#!/usr/bin/env python3
"""step-transformers.py: the training stage in Python, with transformers: for any causal model that it knows.

    make -f pipelines/cpt.mk ... STEP='python3 examples/stage/step-transformers.py'

Called like cpt-step: -m IN_DIR -o OUT_DIR, the options below, then TRAIN.tok files. Blocks of --context ids without overlap,
shuffled by the seed, AdamW without weight decay, linear decay, gradients clipped at 1. OUT_DIR appears whole or not at all;
an interrupted run begins again.
"""
import argparse
import os
import shutil
import struct
import sys
import zlib

import torch
from transformers import AutoModelForCausalLM


def read_tok(path):
    """The ids of a token file, palimpsest-tok(5)."""
    data = open(path, "rb").read()
    if len(data) < 100 or data[:8] != b"palimtok":
        sys.exit(f"{path}: not a token file")
    version, header, flags, width = struct.unpack_from("<4I", data, 8)
    magic, count, _source, crc, _ = struct.unpack("<8sQQII", data[-32:])
    ids = data[header:-32]
    if version != 1 or flags or magic != b"tok-end\n" or len(ids) != count * width or zlib.crc32(ids) != crc:
        sys.exit(f"{path}: cut or damaged")
    return torch.frombuffer(bytearray(ids), dtype={2: torch.uint16, 4: torch.int32}[width]).to(torch.int64)


p = argparse.ArgumentParser(prog="step-transformers.py")
p.add_argument("-m", "--model", required=True)
p.add_argument("-o", "--output", required=True)
p.add_argument("-q", "--quiet", action="store_true")
p.add_argument("--batch", type=int, default=16)
p.add_argument("--context", type=int, default=0, help="0: the model's positions, at most 1024")
p.add_argument("--lr", type=float, default=5e-5)
p.add_argument("--epochs", type=int, default=1)
p.add_argument("--seed", type=int, default=0)
p.add_argument("train", nargs="+")
o = p.parse_args()

torch.manual_seed(o.seed)
model = AutoModelForCausalLM.from_pretrained(o.model, dtype=torch.float32).train()
context = o.context or min(model.config.max_position_embeddings, 1024)
ids = torch.cat([read_tok(f) for f in o.train])
blocks = ids[: len(ids) // context * context].view(-1, context)
if not len(blocks):
    sys.exit(f"{o.train[0]}: less than one block of {context} tokens")
order = torch.cat([torch.randperm(len(blocks)) for _ in range(o.epochs)])
batches = order.split(o.batch)

optimizer = torch.optim.AdamW(model.parameters(), lr=o.lr, weight_decay=0)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
for step, batch in enumerate(batches):
    x = blocks[batch]
    loss = model(input_ids=x, labels=x).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    if not o.quiet and step % 50 == 0:
        print(f"step {step + 1}/{len(batches)}, loss {loss.item():.3f}", file=sys.stderr)

partial = o.output + ".partial"
shutil.rmtree(partial, ignore_errors=True)
model.save_pretrained(partial)
for name in os.listdir(o.model):  # the tokenizer's files
    if not name.endswith(".safetensors") and not os.path.exists(os.path.join(partial, name)):
        shutil.copy(os.path.join(o.model, name), partial)
shutil.rmtree(o.output, ignore_errors=True)
os.rename(partial, o.output)
