#!/usr/bin/env python3
"""gen-gpt2.py DIR: small random GPT-2s of odd shapes, and what transformers computes with them.

DIR/NAME/{config.json,model.safetensors} are the models, DIR/NAME/dump.safetensors holds, computed in f64: `id` (B, T), `logits`,
`loss`, `grad.PARAMETER`, and `losses`, the loss before each of ten steps as the Trainer takes them (AdamW with weight decay on
matrices alone, clipping, warm-up and linear decay) on that one batch. DIR/schedules.safetensors: learning-rate factors.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, get_scheduler

STEPS, WARMUP, LR, DECAY, CLIP = 10, 3, 3e-3, 0.1, 1.0

MODELS = {
    "tied": dict(vocab_size=101, n_positions=32, n_embd=30, n_layer=2, n_head=5),
    # an output layer of its own, names without a prefix, masks as old checkpoints have them
    "bare": dict(vocab_size=67, n_positions=21, n_embd=21, n_layer=2, n_head=3, n_inner=50, activation_function="gelu",
                 scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False, layer_norm_epsilon=1e-3),
    "one-head": dict(vocab_size=33, n_positions=16, n_embd=17, n_layer=1, n_head=1, activation_function="relu",
                     scale_attn_weights=False),
}
BATCH = {"tied": (3, 32), "bare": (2, 19), "one-head": (5, 7)}


def randomize(model):
    """Larger than the usual start, so that every gradient matters; biases and norms are not left at 0 and 1."""
    for name, p in model.named_parameters():
        p.data.normal_(0, 0.15)
        if "ln_" in name and name.endswith("weight"):
            p.data.add_(1)


def parameters(model):
    """What the optimiser sees, by the name that the file would give it."""
    return {n.removeprefix("transformer."): p for n, p in model.named_parameters()}


def train(model, ids):
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}], lr=LR)
    sched = get_scheduler("linear", opt, WARMUP, STEPS)
    losses = []
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=ids).loss
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        opt.step()
        sched.step()
    return losses


def make(out, name, options):
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(len(name))
    model = GPT2LMHeadModel(GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
                                       **options))
    randomize(model)
    weights = {k: v.clone() for k, v in model.state_dict().items() if not (k == "lm_head.weight" and name != "bare")}
    if name == "bare":
        weights = {k.removeprefix("transformer."): v for k, v in weights.items()}
        n = options["n_positions"]
        for i in range(options["n_layer"]):
            weights[f"h.{i}.attn.bias"] = torch.ones(1, 1, n, n).tril().bool()
            weights[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(weights, f"{out}/model.safetensors", {"format": "pt"})
    config = {k: v for k, v in model.config.to_diff_dict().items() if k not in ("transformers_version", "dtype")}
    config["architectures"] = ["GPT2LMHeadModel"]
    with open(f"{out}/config.json", "w") as f:
        json.dump(config, f, indent=1, sort_keys=True)
        f.write("\n")

    model.double().train()
    ids = torch.randint(0, options["vocab_size"], BATCH[name])
    result = model(input_ids=ids, labels=ids)
    result.loss.backward()
    dump = {"id": ids, "logits": result.logits.detach().float(), "loss": result.loss.detach().double().reshape(1)}
    for n, p in parameters(model).items():
        dump[f"grad.{n}"] = p.grad.float().clone()
    dump["losses"] = torch.tensor(train(model, ids), dtype=torch.float64)
    save_file(dump, f"{out}/dump.safetensors")


def schedules(path):
    kinds = {"linear": {}, "cosine": {}, "constant_with_warmup": {}, "warmup_stable_decay": {"num_decay_steps": 5}}
    table = {}
    for warmup in (0, 4):
        for kind, extra in kinds.items():
            opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            sched = get_scheduler(kind, opt, warmup, 20, scheduler_specific_kwargs=dict(extra))
            rates = []
            for _ in range(20):
                rates.append(sched.get_last_lr()[0])
                opt.step()
                sched.step()
            table[f"{kind}.{warmup}"] = torch.tensor(rates, dtype=torch.float64)
    save_file(table, path)


if __name__ == "__main__":
    for model_name, model_options in MODELS.items():
        make(os.path.join(sys.argv[1], model_name), model_name, model_options)
    schedules(os.path.join(sys.argv[1], "schedules.safetensors"))
