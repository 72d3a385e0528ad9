#!/usr/bin/env python3
"""parity-trainer.py MODEL_DIR BLOCKS STEPS: what the Hugging Face Trainer makes of the blocks that cpt-step trains on.

BLOCKS is the output of tests/helper/blocks.c: the Trainer gets them in the same order, epoch by epoch. Prints, tab-separated, after lines of
`# ...`: step, loss, lr and grad_norm. Every setting is the Trainer's default but those in ARGUMENTS, which cpt-step.bats gives to cpt-step, too.

tests/data/trainer.tsv is made by
    tests/trainer-case.sh DIR && build/tests/blocks DIR/train.tok 128 1 3 >DIR/blocks
    build/refs/bin/python tests/parity-trainer.py DIR/m0 DIR/blocks 50 >tests/data/trainer.tsv
"""
import hashlib
import sys
import tempfile

import torch
import transformers
from transformers import Trainer, TrainingArguments

MICRO, ACCUMULATE = 4, 2
ARGUMENTS = dict(per_device_train_batch_size=MICRO, gradient_accumulation_steps=ACCUMULATE, learning_rate=1e-3, warmup_steps=0.1,
                 weight_decay=0.1)


class InOrder(torch.utils.data.Sampler):
    """Epoch after epoch, each with its own order."""

    def __init__(self, epochs):
        self.epochs, self.next = epochs, 0

    def __len__(self):
        return self.epochs[0]

    def __iter__(self):
        first = sum(self.epochs[:self.next])
        yield from range(first, first + self.epochs[self.next])
        self.next += 1


class OurOrder(Trainer):
    def _get_train_sampler(self, *_):
        return InOrder(self.epochs)


def read(path):
    with open(path, "rb") as f:
        text = f.read()
    epochs = [[[int(i) for i in line.split()] for line in part.splitlines()] for part in text.decode().split("\n\n") if part.strip()]
    return epochs, hashlib.sha256(text).hexdigest()


def trainer(model, epochs, directory, **arguments):
    # The first label is never a target. transformers 5.23 counts it as one for GPT-2 all the same, and divides the loss by a token more
    # in each block, unless it is marked so.
    blocks = [{"input_ids": b, "labels": [-100] + b[1:]} for e in epochs for b in e]
    t = OurOrder(model=model, train_dataset=blocks, data_collator=lambda rows: {k: torch.tensor([r[k] for r in rows]) for k in rows[0]},
                 args=TrainingArguments(output_dir=directory, use_cpu=True, logging_steps=1, report_to=[], save_strategy="no",
                                        disable_tqdm=True, **{**ARGUMENTS, **arguments}))
    t.epochs = [len(e) for e in epochs]
    return t


def check_decay(t):
    """That decay is for matrices alone, which cpt-step takes for the Trainer's rule, for every family."""
    c = transformers
    small = dict(vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=9)
    for model in (t.model, c.RobertaForMaskedLM(c.RobertaConfig(**small)), c.BertForMaskedLM(c.BertConfig(**small)),
                  c.LlamaForCausalLM(c.LlamaConfig(**small, tie_word_embeddings=False)),
                  c.Qwen2ForCausalLM(c.Qwen2Config(**small, num_key_value_heads=2))):
        assert set(t.get_decay_parameter_names(model)) & {n for n, _ in model.named_parameters()} == \
            {n for n, p in model.named_parameters() if p.dim() >= 2}, type(model)


def main():
    epochs, digest = read(sys.argv[2])
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as directory:
        model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
        t = trainer(model, epochs, directory, max_steps=int(sys.argv[3]))
        check_decay(t)
        print(f"# ids {digest}")
        for n in (0.3, 1, 2.5):
            other = trainer(model, epochs, directory, num_train_epochs=n)
            steps = other.set_initial_training_values(other.args, other.get_train_dataloader())[-1]
            print(f"# epochs {n} are steps {steps} of which warm-up {other.args.get_warmup_steps(steps)}")
        stdout, sys.stdout = sys.stdout, sys.stderr  # it prints its log
        t.train()
        sys.stdout = stdout
        for row in t.state.log_history:
            if "loss" in row:
                print(row["step"], *(f"{float(row[k]):.9g}" for k in ("loss", "learning_rate", "grad_norm")), sep="\t")


if __name__ == "__main__":
    main()
