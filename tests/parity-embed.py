#!/usr/bin/env python3
"""parity-embed.py {SBERT_DIR TEXT TABLE LIMIT}...

Compares the table that `embed-domains --sentences -m SBERT_DIR TEXT` wrote with the vectors of sentence-transformers.
Prints the largest difference; exit 1 if it is over LIMIT anywhere.
"""
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy
import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(1)
bad = 0
for i in range(1, len(sys.argv), 4):
    directory, text, table, limit = sys.argv[i:i + 4]
    model = SentenceTransformer(directory, device="cpu")
    with open(text, "rb") as f:
        lines = f.read().decode(errors="replace").split("\n")[:-1]
    reference = model.encode(lines, batch_size=16, show_progress_bar=False)
    ours = numpy.loadtxt(table, delimiter="\t", skiprows=2, ndmin=2)
    if ours.shape != reference.shape:
        print(f"{directory}: shape {ours.shape}, expected {reference.shape}")
        bad += 1
        continue
    difference = abs(ours - reference).max(axis=1)
    worst = int(difference.argmax())
    print(f"{directory}: {len(lines)} texts, largest difference {difference[worst]:.3g} in line {worst + 1}")
    bad += not difference[worst] <= float(limit)
sys.exit(1 if bad else 0)
