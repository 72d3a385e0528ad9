#!/usr/bin/env python3
"""gen-models.py DIR [FAMILY...]: small random models of odd shapes, and what transformers computes with them.

DIR/FAMILY/NAME/{config.json,model.safetensors} are the models, DIR/FAMILY/NAME/dump.safetensors holds, computed in f64: `id` (B, T),
`target` where it is not the next token (-100: not scored), `logits`, `loss`, `grad.PARAMETER`, and `losses`, the loss before each of ten steps as the Trainer takes them (AdamW with weight
decay on matrices alone, clipping, warm-up and linear decay) on that one batch. tests/unit/parity.h compares ours with them.
DIR/gpt2/schedules.safetensors: learning-rate factors.
"""
import json
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

STEPS, WARMUP, LR, DECAY, CLIP = 10, 3, 3e-3, 0.1, 1.0


def no_prefix(weights, prefix, config):
    """As the model without a head stores them, with the masks that old checkpoints hold."""
    weights = {k.removeprefix(prefix): v for k, v in weights.items()}
    n = config.n_positions
    for i in range(config.n_layer):
        weights[f"h.{i}.attn.bias"] = torch.ones(1, 1, n, n).tril().bool()
        weights[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    return weights


def with_frequencies(weights, prefix, config):
    """As the first Llamas were stored."""
    for i in range(config.num_hidden_layers):
        weights[f"{prefix}layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.ones(config.head_dim // 2)
    return weights


def in_bf16(weights, prefix, config):
    return {k: v.bfloat16() for k, v in weights.items()}


def no_prefix_llama(weights, prefix, config):
    return {k.removeprefix(prefix): v for k, v in weights.items()}


GPT2 = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0,
            eos_token_id=0)

MASKED = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
ROBERTA = MASKED | dict(model_type="roberta", architectures=["RobertaForMaskedLM"], type_vocab_size=1, layer_norm_eps=1e-5)
BERT = MASKED | dict(model_type="bert", architectures=["BertForMaskedLM"])


def old_buffers(weights, prefix, config):
    """What else lies in checkpoints: position ids, the layer over the first token, in BERT the head for sentences; the tied head, stored."""
    width = config.hidden_size
    weights[f"{prefix}embeddings.position_ids"] = torch.arange(config.max_position_embeddings).reshape(1, -1)
    weights[f"{prefix}pooler.dense.weight"], weights[f"{prefix}pooler.dense.bias"] = torch.randn(width, width), torch.randn(width)
    decoder, bias = "lm_head.decoder", "lm_head.bias"
    if config.model_type == "bert":
        weights["cls.seq_relationship.weight"], weights["cls.seq_relationship.bias"] = torch.randn(2, width), torch.randn(2)
        decoder, bias = "cls.predictions.decoder", "cls.predictions.bias"
        for new, old in ("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"):
            weights = {k.replace(new, old): v for k, v in weights.items()}
    weights[f"{decoder}.weight"] = weights[f"{prefix}embeddings.word_embeddings.weight"].clone()
    weights[f"{decoder}.bias"] = weights[bias].clone()
    return weights
LLAMA = dict(model_type="llama", architectures=["LlamaForCausalLM"], bos_token_id=0, eos_token_id=0, rms_norm_eps=1e-5)

# name: (config.json, B, T, what is done to the stored weights)
FAMILIES = {
    "gpt2": {
        "tied": (GPT2 | dict(vocab_size=101, n_positions=32, n_embd=30, n_layer=2, n_head=5), 3, 32, None),
        "bare": (GPT2 | dict(vocab_size=67, n_positions=21, n_embd=21, n_layer=2, n_head=3, n_inner=50,
                             activation_function="gelu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False,
                             layer_norm_epsilon=1e-3), 2, 19, no_prefix),
        "one-head": (GPT2 | dict(vocab_size=33, n_positions=16, n_embd=17, n_layer=1, n_head=1, activation_function="relu",
                                 scale_attn_weights=False), 5, 7, None),
    },
    "roberta": {
        "tied": (ROBERTA | dict(vocab_size=61, max_position_embeddings=23, hidden_size=21, num_hidden_layers=2, num_attention_heads=3,
                                intermediate_size=35), 3, 21, None),
        "untied": (ROBERTA | dict(vocab_size=37, max_position_embeddings=19, hidden_size=15, num_hidden_layers=2, num_attention_heads=5,
                                  intermediate_size=50, pad_token_id=3, hidden_act="relu", tie_word_embeddings=False), 4, 13, None),
        "stored": (ROBERTA | dict(vocab_size=29, max_position_embeddings=20, hidden_size=17, num_hidden_layers=1, num_attention_heads=1,
                                  intermediate_size=11, layer_norm_eps=1e-3), 2, 17, old_buffers),
    },
    "bert": {
        "tied": (BERT | dict(vocab_size=53, max_position_embeddings=22, hidden_size=18, num_hidden_layers=2, num_attention_heads=3,
                             intermediate_size=31, hidden_act="gelu_new"), 3, 22, None),
        "untied": (BERT | dict(vocab_size=37, max_position_embeddings=19, hidden_size=15, num_hidden_layers=2, num_attention_heads=5,
                               intermediate_size=50, type_vocab_size=3, hidden_act="silu", pad_token_id=7,
                               tie_word_embeddings=False), 4, 13, None),
        "stored": (BERT | dict(vocab_size=29, max_position_embeddings=20, hidden_size=17, num_hidden_layers=1, num_attention_heads=1,
                               intermediate_size=11, layer_norm_eps=1e-3), 2, 17, old_buffers),
    },
    "llama": {
        # every bias, keys shared by three heads, positions far enough apart that a wrong angle shows
        "plain": (LLAMA | dict(vocab_size=61, hidden_size=18, intermediate_size=37, num_hidden_layers=2, num_attention_heads=3,
                               num_key_value_heads=1, max_position_embeddings=32, rope_theta=500.0, attention_bias=True,
                               mlp_bias=True), 2, 21, with_frequencies),
        "linear": (LLAMA | dict(vocab_size=53, hidden_size=20, intermediate_size=27, num_hidden_layers=1, num_attention_heads=5,
                                max_position_embeddings=32, rope_scaling={"type": "linear", "factor": 2.5},
                                tie_word_embeddings=True, hidden_act="gelu"), 2, 19, None),
        "dynamic": (LLAMA | dict(vocab_size=43, hidden_size=12, intermediate_size=19, num_hidden_layers=1, num_attention_heads=2,
                                 max_position_embeddings=24, rope_scaling={"rope_type": "dynamic", "factor": 4.0}), 3, 24,
                    no_prefix_llama),
        # heads that are wider together than the model
        "llama3": (LLAMA | dict(vocab_size=59, hidden_size=18, intermediate_size=33, num_hidden_layers=2, num_attention_heads=6,
                                num_key_value_heads=2, head_dim=10, max_position_embeddings=128, tie_word_embeddings=True,
                                rope_parameters={"rope_theta": 1000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                                 "high_freq_factor": 4.0, "original_max_position_embeddings": 64}), 2, 29, None),
        "yarn": (LLAMA | dict(vocab_size=47, hidden_size=24, intermediate_size=29, num_hidden_layers=1, num_attention_heads=2,
                              num_key_value_heads=2, max_position_embeddings=128, rope_theta=10000.0,
                              rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
                                            "beta_fast": 4.0}), 2, 31, None),
        "mistral": (LLAMA | dict(model_type="mistral", architectures=["MistralForCausalLM"], vocab_size=41, hidden_size=18,
                                 intermediate_size=35, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                                 head_dim=4, max_position_embeddings=64, sliding_window=17), 3, 17, in_bf16),
        "qwen2": (LLAMA | dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], vocab_size=67, hidden_size=20,
                               intermediate_size=31, num_hidden_layers=2, num_attention_heads=10, num_key_value_heads=2,
                               max_position_embeddings=64, rope_theta=1000000.0, sliding_window=8, use_sliding_window=False,
                               max_window_layers=1, tie_word_embeddings=True), 2, 23, None),
        # a word of the text is the padding's: its row learns nothing from where it stands; -1 is the last word
        "padded": (LLAMA | dict(vocab_size=23, hidden_size=12, intermediate_size=19, num_hidden_layers=1, num_attention_heads=2,
                                max_position_embeddings=32, pad_token_id=5), 3, 24, None),
        "padded-last": (LLAMA | dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], vocab_size=19, hidden_size=12,
                                     intermediate_size=19, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                                     max_position_embeddings=32, pad_token_id=-1, tie_word_embeddings=True), 3, 24, None),
    },
}


def randomize(model):
    """Larger than the usual start, so that every gradient matters; biases and norms are not left at 0 and 1."""
    for name, p in model.named_parameters():
        p.data.normal_(0, 0.15)
        if ("ln_" in name or "norm" in name.lower()) and name.endswith("weight"):
            p.data.add_(1)


def batch(config, rows, length):
    """What the model is given: ids with their labels. To a masked language model, some are masked, some wrong; there is padding."""
    ids = torch.randint(0, config.vocab_size, (rows, length))
    if config.model_type not in ("bert", "roberta"):
        return dict(input_ids=ids, labels=ids)
    seen, labels, some = ids.clone(), torch.full_like(ids, -100), torch.rand(ids.shape) < 0.3
    labels[some] = ids[some]
    seen[some & (torch.rand(ids.shape) < 0.8)] = 4
    seen[:, 5] = config.pad_token_id
    seen[0, -1] = config.pad_token_id
    return dict(input_ids=seen, labels=labels)


def train(model, inputs):
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}], lr=LR)
    sched = transformers.get_scheduler("linear", opt, WARMUP, STEPS)
    losses = []
    for _ in range(STEPS):
        loss = model(**inputs).loss
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        opt.step()
        sched.step()
    return losses


def make(out, fields, rows, length, edit):
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(len(os.path.basename(out)))
    config = transformers.AutoConfig.for_model(**fields)
    model = getattr(transformers, fields["architectures"][0])(config)
    prefix = model.base_model_prefix + "."
    randomize(model)
    tied = model.all_tied_weights_keys if config.tie_word_embeddings else {}
    weights = {k: v.clone() for k, v in model.state_dict().items() if k not in tied}
    if edit:
        weights = edit(weights, prefix, config)
        model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)  # what the type has rounded
    save_file(weights, f"{out}/model.safetensors", {"format": "pt"})
    with open(f"{out}/config.json", "w") as f:
        json.dump(fields, f, indent=1, sort_keys=True)
        f.write("\n")

    model.double().train()
    inputs = batch(config, rows, length)
    result = model(**inputs)
    result.loss.backward()
    dump = {"id": inputs["input_ids"], "logits": result.logits.detach().float(), "loss": result.loss.detach().double().reshape(1)}
    if inputs["labels"] is not inputs["input_ids"]:
        dump["target"] = inputs["labels"]
    for n, p in model.named_parameters():  # by the names that our files have without a prefix
        if p.grad is not None:
            dump[f"grad.{n.removeprefix(prefix)}"] = p.grad.float().clone()
    dump["losses"] = torch.tensor(train(model, inputs), dtype=torch.float64)
    save_file(dump, f"{out}/dump.safetensors")


def schedules(path):
    kinds = {"linear": {}, "cosine": {}, "constant_with_warmup": {}, "warmup_stable_decay": {"num_decay_steps": 5}}
    table = {}
    for warmup in (0, 4):
        for kind, extra in kinds.items():
            opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            sched = transformers.get_scheduler(kind, opt, warmup, 20, scheduler_specific_kwargs=dict(extra))
            rates = []
            for _ in range(20):
                rates.append(sched.get_last_lr()[0])
                opt.step()
                sched.step()
            table[f"{kind}.{warmup}"] = torch.tensor(rates, dtype=torch.float64)
    save_file(table, path)


if __name__ == "__main__":
    for family in sys.argv[2:] or FAMILIES:
        for model_name, arguments in FAMILIES[family].items():
            make(os.path.join(sys.argv[1], family, model_name), *arguments)
        if family == "gpt2":
            schedules(os.path.join(sys.argv[1], family, "schedules.safetensors"))
